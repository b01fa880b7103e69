#include "cfbench/base.h"
#include "cfbench/client.h"
#include "cfbench/json.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

bool cfb_client__read_error_body(cfb_str body, cfb_chat_reply *r);

#define MAX_REQUEST_BYTES ((size_t)64 << 20)

struct cfb_client {
    cfb_client_opts opts;
    CURL *curl;
    struct curl_slist *headers;
    cfb_buf request, body, scratch;
    bool too_large;
    char url[2048], curl_error[CURL_ERROR_SIZE];
};

cfb_code cfb_client_global_init(cfb_err *err) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) return CFB_OK;
    return cfb_err_set(err, CFB_EBUG, "libcurl could not be initialised");
}

void cfb_client_global_cleanup(void) { curl_global_cleanup(); }

static size_t on_body(char *data, size_t size, size_t n, void *ctx) {
    cfb_client_t *c = ctx;
    if (cfb_buf_append(&c->body, data, size * n, NULL) == CFB_OK) return size * n;
    c->too_large = true;
    return 0;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un) {
    (void)dt, (void)dn, (void)ut, (void)un;
    const cfb_client_t *c = ctx;
    return cfb_stop_is_on(c->opts.abort);
}

static bool add_header(cfb_client_t *c, const char *line) {
    struct curl_slist *more = curl_slist_append(c->headers, line);
    if (more == NULL) return false;
    c->headers = more;
    return true;
}

static bool set_headers(cfb_client_t *c) {
    bool ok = add_header(c, "Content-Type: application/json") && add_header(c, "Accept: application/json") &&
              add_header(c, "Expect:"); /* no 100-continue round trip */
    if (!ok || c->opts.api_key == NULL) return ok;
    cfb_buf line = CFB_BUF_INIT(16384);
    ok = cfb_buf_printf(&line, NULL, "Authorization: Bearer %s", c->opts.api_key) == CFB_OK && add_header(c, line.ptr);
    cfb_buf_free(&line);
    return ok;
}

/* A proxy of the environment must not take calls to this machine. */
static bool is_loopback(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static void set_options(cfb_client_t *c) {
    CURL *h = c->curl;
    curl_easy_setopt(h, CURLOPT_URL, c->url);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "cfbench");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500 /* 7.85; clusters run older ones */
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(h, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS); /* cleartext stays on HTTP/1.1 */
    curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(c->opts.timeout_s * 1000));
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->opts.connect_timeout_s * 1000));
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->curl_error);
    if (is_loopback(c->url)) curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    if (c->opts.abort != NULL) {
        curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
    }
}

cfb_code cfb_client_new(const cfb_client_opts *opts, cfb_client_t **out, cfb_err *err) {
    cfb_client_t *c = calloc(1, sizeof *c);
    if (c == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    c->opts = *opts;
    c->request.max = MAX_REQUEST_BYTES;
    c->body.max = c->scratch.max = opts->max_reply_bytes;
    int n = snprintf(c->url, sizeof c->url, "%s/chat/completions", opts->base_url);
    if (n < 0 || (size_t)n >= sizeof c->url) {
        cfb_client_free(c);
        return cfb_err_set(err, CFB_ECONFIG, "--base-url is too long");
    }
    c->curl = curl_easy_init();
    if (c->curl == NULL || !set_headers(c)) {
        cfb_client_free(c);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    set_options(c);
    *out = c;
    return CFB_OK;
}

void cfb_client_free(cfb_client_t *c) {
    if (c == NULL) return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    cfb_buf_free(&c->request);
    cfb_buf_free(&c->body);
    cfb_buf_free(&c->scratch);
    free(c);
}

cfb_code cfb_client_body(const cfb_client_opts *opts, cfb_str prompt, int max_tokens, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "model");
    cfb_jw_strz(&w, opts->model);
    cfb_jw_key(&w, "messages");
    cfb_jw_arr(&w);
    for (int user = opts->system_prompt == NULL; user < 2; user++) {
        cfb_jw_obj(&w);
        cfb_jw_key(&w, "role");
        cfb_jw_strz(&w, user ? "user" : "system");
        cfb_jw_key(&w, "content");
        cfb_jw_str(&w, user ? prompt : cfb_str_from(opts->system_prompt));
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "temperature");
    cfb_jw_num(&w, opts->temperature);
    cfb_jw_key(&w, "max_tokens");
    cfb_jw_int(&w, max_tokens);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

static cfb_fail class_of_curl(const cfb_client_t *c, CURLcode code) {
    switch (code) {
    case CURLE_OK: return CFB_FAIL_NONE;
    case CURLE_OPERATION_TIMEDOUT: return CFB_FAIL_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER: return CFB_FAIL_TLS;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return CFB_FAIL_CUT;
    case CURLE_WRITE_ERROR: return c->too_large ? CFB_FAIL_REPLY_TOO_LARGE : CFB_FAIL_CUT;
    case CURLE_ABORTED_BY_CALLBACK: return CFB_FAIL_STOPPED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: return CFB_FAIL_BAD_REPLY;
    default: return CFB_FAIL_CONNECT;
    }
}

static cfb_fail class_of_status(long status) {
    if (status == 401 || status == 403) return CFB_FAIL_AUTH;
    if (status == 404) return CFB_FAIL_NOT_FOUND;
    if (status == 413) return CFB_FAIL_TOO_LARGE;
    if (status == 429) return CFB_FAIL_RATE_LIMIT;
    if (status == 408 || status == 409 || status == 425 || status >= 500) return CFB_FAIL_SERVER;
    return CFB_FAIL_BAD_REQUEST;
}

/* Some servers repeat the key in their errors. What is logged, stored and reported must not hold it. */
static void redact(const cfb_client_t *c, char *text, size_t len) {
    size_t n = c->opts.api_key ? strlen(c->opts.api_key) : 0;
    if (n < 4) return;
    cfb_str hay = {text, len}, key = {c->opts.api_key, n};
    for (size_t at = 0; (at = cfb_str_find(hay, key, at)) != SIZE_MAX; at += n) memset(text + at, '*', n);
}

static void read_status(cfb_client_t *c, cfb_chat_reply *r) {
#if LIBCURL_VERSION_NUM >= 0x074200 /* 7.66 */
    curl_off_t after = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &after);
    if (after > 0) r->retry_after_s = (double)after;
#endif
    if (r->http_status >= 300 && r->http_status < 400) {
        char *to = NULL;
        curl_easy_getinfo(c->curl, CURLINFO_REDIRECT_URL, &to);
        r->fail = CFB_FAIL_NOT_FOUND;
        snprintf(r->message, sizeof r->message, "the server redirects to %.200s; redirects are not followed",
                 to ? to : "nowhere");
        return;
    }
    if (c->body.ptr) redact(c, c->body.ptr, c->body.len);
    if (cfb_client__read_error_body(cfb_buf_str(&c->body), r)) return; /* refused by the content filter: a result */
    if (r->message[0] == '\0') snprintf(r->message, sizeof r->message, "the server said nothing more");
    r->fail = class_of_status(r->http_status);
}

cfb_code cfb_client_chat(cfb_client_t *c, cfb_str prompt, int max_tokens, cfb_chat_reply *r, cfb_err *err) {
    *r = (cfb_chat_reply){.prompt_tokens = -1, .completion_tokens = -1, .retry_after_s = -1, .finish = CFB_FINISH_OTHER};
    cfb_buf_clear(&c->request);
    cfb_buf_clear(&c->body);
    c->too_large = false;
    c->curl_error[0] = '\0';
    cfb_code rc = cfb_client_body(&c->opts, prompt, max_tokens, &c->request, err);
    if (rc == CFB_ELIMIT) {
        snprintf(r->message, sizeof r->message, "the request is too large");
        r->fail = CFB_FAIL_TOO_LARGE;
        return CFB_OK;
    }
    if (rc != CFB_OK) return rc;
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, c->request.ptr);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->request.len);
    r->started_wall_ms = cfb_wall_ms();
    int64_t start = cfb_now_ns();
    CURLcode code = curl_easy_perform(c->curl);
    r->latency_us = (cfb_now_ns() - start) / 1000;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &r->http_status);
    if (code != CURLE_OK) {
        r->fail = class_of_curl(c, code);
        snprintf(r->message, sizeof r->message, "%.250s", c->curl_error[0] ? c->curl_error : curl_easy_strerror(code));
        return CFB_OK;
    }
    if (r->http_status < 200 || r->http_status > 299) {
        read_status(c, r);
        return CFB_OK;
    }
    long status = r->http_status;
    rc = cfb_client_parse_reply(cfb_buf_str(&c->body), &c->scratch, r, err);
    if (rc == CFB_OK && r->fail != CFB_FAIL_NONE &&
        c->body.ptr) { /* an error inside a 200: its words are shown; answers stay as they are */
        redact(c, c->body.ptr, c->body.len);
        rc = cfb_client_parse_reply(cfb_buf_str(&c->body), &c->scratch, r, err);
    }
    if (rc == CFB_ELIMIT) { /* repairing broken characters makes a text longer */
        snprintf(r->message, sizeof r->message, "%.250s", err ? err->msg : "the reply is too large");
        r->fail = CFB_FAIL_REPLY_TOO_LARGE;
        rc = CFB_OK;
    }
    if (rc == CFB_OK && r->fail == CFB_FAIL_SERVER && r->http_status != status) r->fail = class_of_status(r->http_status);
    return rc;
}
