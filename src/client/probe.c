/* probe.c - one request to see whether a server is there. */
#include "cfbench/probe.h"
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "client/calls.h"

#include <stdio.h>

#define MAX_LIST_BYTES ((size_t)16 << 20)

struct answer {
    cfb_buf body;
    cfb_probe *out;
};

static size_t on_body(char *data, size_t size, size_t n, void *ctx) {
    struct answer *a = ctx;
    return cfb_buf_append(&a->body, data, size * n, NULL) == CFB_OK ? size * n : 0;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx) {
    struct answer *a = ctx;
    cfb_client__read_header((cfb_str){data, size * n}, cfb_wall_ms(), &a->out->hints);
    return size * n;
}

/* {"data": [{"id": "..."}]}; OpenAI's list, which all compatible servers have. */
static void read_list(cfb_str body, const char *model, cfb_probe *out) {
    cfb_json *root = NULL;
    if (cfb_json_parse(body.ptr, body.len, 0, &root, NULL) != CFB_OK) return;
    const cfb_json *list = cfb_json_get(root, "data");
    out->has_models = cfb_json_kind_of(list) == CFB_JSON_ARRAY;
    size_t used = 0;
    for (const cfb_json *m = out->has_models ? cfb_json_first(list) : NULL; m != NULL; m = cfb_json_next(m)) {
        cfb_str id = cfb_json_str(cfb_json_get(m, "id"));
        if (id.ptr == NULL) continue;
        if (out->n_models++ < 8 && used < sizeof out->models)
            used += (size_t)snprintf(out->models + used, sizeof out->models - used, "%s%.60s", used ? ", " : "", id.ptr);
        if (model == NULL || !cfb_str_eqz(id, model)) continue;
        out->model_listed = true;
        if (!cfb_json_int(cfb_json_get(m, "max_model_len"), &out->context)) out->context = -1;
    }
    cfb_json_free(root);
}

static void set_options(CURL *h, cfb_server_t *s, const char *url, struct curl_slist *headers, struct answer *a, char *words) {
    cfb_server__set_transport(s, h);
    if (s->endpoints[0].loopback) curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, words);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(s->opts.timeout_s * 1e3 < 20000 ? s->opts.timeout_s * 1e3 : 20000));
}

static void judge(CURL *h, CURLcode code, cfb_server_t *s, struct answer *a, const char *words, const char *model) {
    cfb_probe *out = a->out;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &out->http_status);
    if (code != CURLE_OK) {
        out->fail = cfb_calls__class_of_curl(code, true);
        snprintf(out->message, sizeof out->message, "%s", words[0] ? words : curl_easy_strerror(code));
    } else if (out->http_status < 200 || out->http_status > 299) {
        cfb_chat_reply r;
        cfb_chat_reply_init(&r);
        r.http_status = out->http_status;
        if (a->body.ptr) cfb_server__redact(s, a->body.ptr, a->body.len);
        cfb_client__read_error_reply(cfb_buf_str(&a->body), &r);
        out->fail = r.fail;
        memcpy(out->message, r.message, sizeof out->message);
    } else {
        read_list(cfb_buf_str(&a->body), model, out);
    }
}

static cfb_probe fresh(void) { return (cfb_probe){.context = -1, .hints = CFB_RATE_HINTS_INIT}; }

cfb_code cfb_probe_models(const cfb_client_opts *o, size_t endpoint, const char *model, cfb_probe *out, cfb_err *err) {
    cfb_client_opts one = *o;
    cfb_server_t *s = NULL;
    char url[1200], words[CURL_ERROR_SIZE] = "";
    *out = fresh();
    one.base_urls = o->base_urls + endpoint;
    one.n_base_urls = 1;
    cfb_code rc = cfb_server_new(&one, &s, err);
    if (rc != CFB_OK) return rc;
    struct answer a = {.body = CFB_BUF_INIT(MAX_LIST_BYTES), .out = out};
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    for (const struct curl_slist *h = s->own_headers; h && headers; h = h->next) {
        struct curl_slist *more = curl_slist_append(headers, h->data);
        if (more == NULL) break;
        headers = more;
    }
    CURL *h = curl_easy_init();
    if (h == NULL || headers == NULL) {
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    } else {
        snprintf(url, sizeof url, "%.1100s/models", one.base_urls[0]);
        set_options(h, s, url, headers, &a, words);
        int64_t begin = cfb_now_ns();
        CURLcode code = curl_easy_perform(h);
        out->latency_s = (double)(cfb_now_ns() - begin) * 1e-9;
        judge(h, code, s, &a, words, model);
    }
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    cfb_buf_free(&a.body);
    cfb_server_free(s);
    return rc;
}

static void on_reply(void *ctx, void *tag, const cfb_chat_reply *r) {
    cfb_probe *out = ctx;
    (void)tag;
    out->fail = r->fail;
    out->http_status = r->http_status;
    out->latency_s = (double)r->latency_us * 1e-6;
    out->hints = r->hints;
    memcpy(out->message, r->message, sizeof out->message);
}

cfb_code cfb_probe_call(const cfb_client_opts *o, size_t endpoint, cfb_probe *out, cfb_err *err) {
    cfb_client_opts one = *o;
    cfb_server_t *s = NULL;
    cfb_calls_t *calls = NULL;
    *out = fresh();
    one.base_urls = o->base_urls + endpoint;
    one.n_base_urls = 1;
    cfb_code rc = cfb_server_new(&one, &s, err);
    if (rc == CFB_OK) rc = cfb_calls_new(s, 1, on_reply, out, &calls, err);
    if (rc == CFB_OK) rc = cfb_calls_start(calls, out, CFB_STR_LIT("1"), 1, 0, err);
    while (rc == CFB_OK && cfb_calls_in_flight(calls) > 0) rc = cfb_calls_run(calls, INT64_MAX, err);
    cfb_calls_free(calls);
    cfb_server_free(s);
    return rc;
}
