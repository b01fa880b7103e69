/* Files and batches: one easy handle, one request after the other. */
#include "cfbench/files.h"
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/pace.h"
#include "client/engine.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_ANSWER_BYTES ((size_t)64 << 20)
#define MAX_PAGES 1000

struct cfb_files {
    cfb_files_opts o;
    CURL *curl;
    cfb_server_t *server;                      /* key, headers, transport: as for calls */
    struct curl_slist *headers, *json_headers; /* the second one says that the body is JSON */
    char base[1024];
    cfb_buf answer; /* the body, but for a download that goes well */
    cfb_file_writer_t *sink;
    cfb_code sink_rc;
    cfb_err sink_err;
    bool too_large;
    char curl_error[CURL_ERROR_SIZE];
    uint64_t n_requests; /* for the jitter of waits */
};

/* ---- setting up ---- */

static bool add_header(struct curl_slist **list, const char *line) {
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more) *list = more;
    return more != NULL;
}

/* Key and headers of one's own as in every call; what else a body needs is added for those that have one. */
static bool set_headers(cfb_files_t *f) {
    struct curl_slist **const lists[] = {&f->headers, &f->json_headers};
    for (int i = 0; i < 2; i++) {
        if (!add_header(lists[i], "Accept: application/json, */*") || !add_header(lists[i], "Expect:")) return false;
        for (const struct curl_slist *h = f->server->own_headers; h; h = h->next)
            if (!add_header(lists[i], h->data)) return false;
    }
    return add_header(&f->json_headers, "Content-Type: application/json");
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx) {
    cfb_files_t *f = ctx;
    long status = 0;
    size_t len = size * n;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    if (f->sink && status >= 200 && status < 300) {
        f->sink_rc = cfb_file_writer_write(f->sink, data, len, &f->sink_err);
        return f->sink_rc == CFB_OK ? len : 0;
    }
    f->too_large = cfb_buf_append(&f->answer, data, len, NULL) != CFB_OK;
    return f->too_large ? 0 : len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const cfb_files_t *f = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return f->o.stop && cfb_stop_is_on(f->o.stop);
}

static void set_options(cfb_files_t *f) {
    CURL *h = f->curl;
    cfb_server__set_transport(f->server, h);
    if (f->server->endpoints[0].loopback) curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, f->curl_error);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, f);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)ceil(f->o.client->timeout_s));
}

cfb_code cfb_files_new(const cfb_files_opts *o, cfb_files_t **out, cfb_err *err) {
    cfb_files_t *f = calloc(1, sizeof *f);
    if (f == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    f->o = *o;
    f->answer.max = MAX_ANSWER_BYTES;
    cfb_code rc = CFB_OK;
    int n = o->client->n_base_urls ? snprintf(f->base, sizeof f->base, "%s", o->client->base_urls[0]) : -1;
    if (n <= 0 || (size_t)n >= sizeof f->base) rc = cfb_err_set(err, CFB_ECONFIG, "--base-url is missing or too long");
    if (rc == CFB_OK) rc = cfb_server_new(o->client, &f->server, err);
    if (rc == CFB_OK && ((f->curl = curl_easy_init()) == NULL || !set_headers(f)))
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc != CFB_OK) {
        cfb_files_free(f);
        return rc;
    }
    set_options(f);
    *out = f;
    return CFB_OK;
}

void cfb_files_free(cfb_files_t *f) {
    if (f == NULL) return;
    cfb_file_writer_abort(f->sink);
    curl_easy_cleanup(f->curl);
    curl_slist_free_all(f->headers);
    curl_slist_free_all(f->json_headers);
    cfb_server_free(f->server);
    cfb_buf_free(&f->answer);
    free(f);
}

/* ---- one try ---- */

/* What came of a try. UNSURE: the server may have done what was asked. */
enum outcome { DONE, AGAIN, UNSURE, FAILED };

struct call {
    const char *path; /* behind the base URL, parameters included */
    const char *body; /* JSON to post, "" for an empty post; NULL: get */
    const char *upload_path, *upload_name;
    const char *download_path;
    bool harmless;     /* a post that may come twice */
    const char *needs; /* what a server without this path has not got; NULL: files and batches */
};

static enum outcome curl_failed(cfb_files_t *f, CURLcode code, cfb_err *err) {
    const char *words = f->curl_error[0] ? f->curl_error : curl_easy_strerror(code);
    if (f->sink_rc != CFB_OK) {
        if (err) *err = f->sink_err;
        return FAILED;
    }
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK: cfb_err_set(err, CFB_EINTERRUPTED, "stopped; the same command continues"); return FAILED;
    case CURLE_OUT_OF_MEMORY: cfb_err_set(err, CFB_ENOMEM, "out of memory"); return FAILED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_READ_ERROR: cfb_err_set(err, CFB_ENET, "%s: %s", f->base, words); return FAILED;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR: cfb_err_set(err, CFB_ENET, "%s: %s", f->base, words); return AGAIN;
    case CURLE_WRITE_ERROR:
        if (f->too_large) {
            cfb_err_set(err, CFB_EPROTOCOL, "%s: the answer is larger than 64 MiB", f->base);
            return FAILED;
        }
        break;
    default: break;
    }
    cfb_err_set(err, CFB_ENET, "%s: %s", f->base, words);
    return UNSURE;
}

static enum outcome status_failed(cfb_files_t *f, const struct call *c, long status, cfb_err *err) {
    cfb_chat_reply r;
    cfb_chat_reply_init(&r);
    r.http_status = status;
    if (f->answer.ptr) cfb_server__redact(f->server, f->answer.ptr, f->answer.len);
    cfb_client__read_error_reply(cfb_buf_str(&f->answer), &r);
    cfb_code code = r.fail == CFB_FAIL_AUTH || r.fail == CFB_FAIL_PAYMENT ? CFB_EAUTH
                    : cfb_fail_is_retried(r.fail)                         ? CFB_ENET
                                                                          : CFB_EPROTOCOL;
    int shown = (int)strcspn(c->path, "?");
    if (status == 404 || status == 405)
        cfb_err_set(err, code, "%s%.*s: HTTP %ld: %s; has this server %s?", f->base, shown, c->path, status, r.message,
                    c->needs ? c->needs : "the Files and Batches endpoints");
    else
        cfb_err_set(err, code, "%s%.*s: HTTP %ld: %s", f->base, shown, c->path, status, r.message);
    if (!cfb_fail_is_retried(r.fail)) return FAILED;
    return status == 429 || status == 503 ? AGAIN : UNSURE;
}

/* The parts of a form: purpose, and the file, read from disk while it is sent. */
static curl_mime *make_form(cfb_files_t *f, const struct call *c) {
    curl_mime *form = curl_mime_init(f->curl);
    curl_mimepart *purpose = form ? curl_mime_addpart(form) : NULL, *file = purpose ? curl_mime_addpart(form) : NULL;
    bool ok = file && curl_mime_name(purpose, "purpose") == CURLE_OK &&
              curl_mime_data(purpose, "batch", CURL_ZERO_TERMINATED) == CURLE_OK && curl_mime_name(file, "file") == CURLE_OK &&
              curl_mime_filedata(file, c->upload_path) == CURLE_OK && curl_mime_filename(file, c->upload_name) == CURLE_OK &&
              curl_mime_type(file, "application/jsonl") == CURLE_OK;
    if (ok) return form;
    curl_mime_free(form);
    return NULL;
}

static enum outcome perform(cfb_files_t *f, const struct call *c, cfb_err *err) {
    long status = 0;
    CURLcode code = curl_easy_perform(f->curl);
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) return curl_failed(f, code, err);
    if (status < 200 || status > 299) return status_failed(f, c, status, err);
    if (f->sink == NULL) return DONE;
    f->sink_rc = cfb_file_writer_commit(f->sink, err);
    f->sink = NULL;
    return f->sink_rc == CFB_OK ? DONE : FAILED;
}

static enum outcome one_try(cfb_files_t *f, const struct call *c, cfb_err *err) {
    char url[2048];
    curl_mime *form = NULL;
    int n = snprintf(url, sizeof url, "%s%s", f->base, c->path);
    if (n < 0 || (size_t)n >= sizeof url) {
        cfb_err_set(err, CFB_EPROTOCOL, "%s: an id of the server is too long", f->base);
        return FAILED;
    }
    cfb_buf_clear(&f->answer);
    f->too_large = false;
    f->sink_rc = CFB_OK;
    f->curl_error[0] = '\0';
    if (c->download_path && (f->sink_rc = cfb_file_writer_open(c->download_path, &f->sink, err)) != CFB_OK) return FAILED;
    if (c->upload_path && (form = make_form(f, c)) == NULL) {
        cfb_err_set(err, CFB_ENOMEM, "out of memory");
        return FAILED;
    }
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    /* libcurl sends a request again by itself when a kept connection turns out to be dead, whether the server has read it or not
     */
    curl_easy_setopt(f->curl, CURLOPT_FRESH_CONNECT, (c->body && !c->harmless) || form ? 1L : 0L);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, c->body ? f->json_headers : f->headers);
    curl_easy_setopt(f->curl, CURLOPT_HTTPGET, 1L);
    if (c->body) {
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, c->body);
        curl_easy_setopt(f->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(c->body));
    }
    if (form) curl_easy_setopt(f->curl, CURLOPT_MIMEPOST, form);
    enum outcome o = perform(f, c, err);
    curl_easy_setopt(f->curl, CURLOPT_HTTPGET, 1L); /* forgets the form, which is freed now */
    curl_mime_free(form);
    cfb_file_writer_abort(f->sink);
    f->sink = NULL;
    return o;
}

/* Waits before a further try; false if there is none, or stop came. */
static bool wait_for_try(cfb_files_t *f, int tries, const cfb_err *why) {
    double after_s = -1;
#if LIBCURL_VERSION_NUM >= 0x074200 /* 7.66 */
    curl_off_t after = 0;
    curl_easy_getinfo(f->curl, CURLINFO_RETRY_AFTER, &after);
    if (after > 0) after_s = (double)after;
#endif
    if (tries > f->o.max_retries) return false;
    double s = cfb_backoff_s(f->o.retry_base_s, f->o.retry_max_s, tries, after_s, f->o.seed, f->n_requests);
    if (s > f->o.retry_max_s) s = f->o.retry_max_s;
    cfb_log(CFB_LOG_INFO, "%s; it is tried again in %.1f s", why->msg, s);
    cfb_sleep_until_ns(cfb_now_ns() + (int64_t)(s * 1e9), f->o.stop);
    return f->o.stop == NULL || !cfb_stop_is_on(f->o.stop);
}

/* For requests that change nothing, or that may be repeated. */
static cfb_code repeat(cfb_files_t *f, const struct call *c, cfb_err *err) {
    cfb_err own = CFB_ERR_INIT, *e = err ? err : &own;
    f->n_requests++;
    for (int tries = 1;; tries++) {
        enum outcome o = one_try(f, c, e);
        if (o == DONE) return CFB_OK;
        if (o == FAILED || !wait_for_try(f, tries, e)) return e->code;
    }
}

cfb_code cfb_files__post(cfb_files_t *f, const char *path, const char *body, const char *needs, cfb_str *answer, cfb_err *err) {
    cfb_code rc = repeat(f, &(struct call){.path = path, .body = body, .harmless = true, .needs = needs}, err);
    if (rc == CFB_OK) *answer = cfb_buf_str(&f->answer);
    return rc;
}

/* ---- what servers answer ---- */

static bool read_file(const cfb_json *node, cfb_remote_file *out) {
    *out = (cfb_remote_file){.n_bytes = -1};
    cfb_json_int(cfb_json_get(node, "bytes"), &out->n_bytes);
    cfb_json_copy(cfb_json_get(node, "filename"), out->name, sizeof out->name);
    return cfb_json_copy(cfb_json_get(node, "id"), out->id, sizeof out->id) && out->id[0] != '\0';
}

static bool read_batch(const cfb_json *node, cfb_remote_batch *out) {
    *out = (cfb_remote_batch){0};
    const cfb_json *counts = cfb_json_get(node, "request_counts");
    const cfb_json *error = cfb_json_first(cfb_json_get(cfb_json_get(node, "errors"), "data"));
    int64_t *const to[] = {&out->n_total, &out->n_completed, &out->n_failed};
    static const char *const names[] = {"total", "completed", "failed"};
    for (int i = 0; i < 3; i++)
        if (cfb_json_int(cfb_json_get(counts, names[i]), to[i]) && *to[i] < 0) *to[i] = 0;
    cfb_json_copy(cfb_json_get(node, "input_file_id"), out->input_file_id, sizeof out->input_file_id);
    cfb_json_copy(cfb_json_get(node, "output_file_id"), out->output_file_id, sizeof out->output_file_id);
    cfb_json_copy(cfb_json_get(node, "error_file_id"), out->error_file_id, sizeof out->error_file_id);
    cfb_str words = cfb_json_str(cfb_json_get(error, "message"));
    cfb_err one_line = CFB_ERR_INIT; /* control characters of foreign text become spaces there */
    cfb_err_set(&one_line, CFB_OK, "%.240s", words.ptr ? words.ptr : "");
    snprintf(out->message, sizeof out->message, "%.255s", one_line.msg);
    return cfb_json_copy(cfb_json_get(node, "id"), out->id, sizeof out->id) && out->id[0] != '\0' &&
           cfb_json_copy(cfb_json_get(node, "status"), out->status, sizeof out->status) && out->status[0] != '\0';
}

bool cfb_files__read_file(cfb_str json, cfb_remote_file *out) {
    cfb_json *root = NULL;
    bool ok = cfb_json_parse(json.ptr, json.len, CFB_JSON_REPAIR, &root, NULL) == CFB_OK && read_file(root, out);
    cfb_json_free(root);
    return ok;
}

bool cfb_files__read_batch(cfb_str json, cfb_remote_batch *out) {
    cfb_json *root = NULL;
    bool ok = cfb_json_parse(json.ptr, json.len, CFB_JSON_REPAIR, &root, NULL) == CFB_OK && read_batch(root, out);
    cfb_json_free(root);
    return ok;
}

static cfb_code no_object(const cfb_files_t *f, const char *what, cfb_err *err) {
    return cfb_err_set(err, CFB_EPROTOCOL, "%s: the answer is no %s object of this API: %.200s", f->base, what,
                       f->answer.ptr ? f->answer.ptr : "");
}

static cfb_code batch_of_answer(const cfb_files_t *f, cfb_remote_batch *out, cfb_err *err) {
    return cfb_files__read_batch(cfb_buf_str(&f->answer), out) ? CFB_OK : no_object(f, "batch", err);
}

/* path + id + rest, the id escaped: it comes from the server. */
static cfb_code make_path(cfb_files_t *f, char path[1024], const char *before, const char *id, const char *behind, cfb_err *err) {
    char *escaped = curl_easy_escape(f->curl, id, 0);
    if (escaped == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    int n = snprintf(path, 1024, "%s%s%s", before, escaped, behind);
    curl_free(escaped);
    return n > 0 && n < 1024 ? CFB_OK : cfb_err_set(err, CFB_EPROTOCOL, "%s: an id of the server is too long", f->base);
}

/* Goes through the pages of a list until take has found what it looks for. */
static cfb_code each_item(cfb_files_t *f, const char *list, bool (*take)(void *ctx, const cfb_json *item), void *ctx, bool *found,
                          cfb_err *err) {
    char path[1024];
    snprintf(path, sizeof path, "%s", list);
    *found = false;
    for (int page = 0; page < MAX_PAGES; page++) {
        const struct call c = {.path = path};
        cfb_json *root = NULL;
        bool more = false;
        char last[CFB_REMOTE_ID_SIZE] = "";
        cfb_code rc = repeat(f, &c, err);
        if (rc != CFB_OK) return rc;
        if (cfb_json_parse(f->answer.ptr ? f->answer.ptr : "", f->answer.len, CFB_JSON_REPAIR, &root, NULL) != CFB_OK ||
            cfb_json_kind_of(cfb_json_get(root, "data")) != CFB_JSON_ARRAY) {
            cfb_json_free(root);
            return no_object(f, "list", err);
        }
        for (const cfb_json *i = cfb_json_first(cfb_json_get(root, "data")); i && !*found; i = cfb_json_next(i)) {
            *found = take(ctx, i);
            if (!cfb_json_copy(cfb_json_get(i, "id"), last, sizeof last)) last[0] = '\0';
        }
        cfb_json_bool(cfb_json_get(root, "has_more"), &more);
        cfb_json_free(root);
        if (*found || !more || last[0] == '\0') return CFB_OK;
        char before[600];
        snprintf(before, sizeof before, "%s%cafter=", list, strchr(list, '?') ? '&' : '?');
        rc = make_path(f, path, before, last, "", err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

/* ---- files ---- */

struct wanted_file {
    const char *name;
    int64_t n_bytes;
    cfb_remote_file *out;
};

static bool take_file(void *ctx, const cfb_json *item) {
    const struct wanted_file *w = ctx;
    cfb_remote_file file;
    if (!read_file(item, &file) || strcmp(file.name, w->name) != 0) return false;
    if (file.n_bytes >= 0 && w->n_bytes >= 0 && file.n_bytes != w->n_bytes) return false; /* half of it, perhaps */
    *w->out = file;
    return true;
}

cfb_code cfb_files_find(cfb_files_t *f, const char *name, int64_t n_bytes, cfb_remote_file *out, bool *found, cfb_err *err) {
    struct wanted_file w = {name, n_bytes, out};
    return each_item(f, "/files?purpose=batch", take_file, &w, found, err);
}

cfb_code cfb_files_upload(cfb_files_t *f, const char *path, const char *name, cfb_remote_file *out, cfb_err *err) {
    const struct call c = {.path = "/files", .upload_path = path, .upload_name = name};
    cfb_err own = CFB_ERR_INIT, *e = err ? err : &own;
    struct stat st;
    if (stat(path, &st) != 0) return cfb_err_set_errno(err, errno, "cannot read %s", path);
    f->n_requests++;
    for (int tries = 1;; tries++) {
        enum outcome o = one_try(f, &c, e);
        if (o == DONE) return cfb_files__read_file(cfb_buf_str(&f->answer), out) ? CFB_OK : no_object(f, "file", err);
        if (o == FAILED || !wait_for_try(f, tries, e)) return e->code;
        bool found = false;
        cfb_code rc = o == UNSURE ? cfb_files_find(f, name, (int64_t)st.st_size, out, &found, e) : CFB_OK;
        if (rc != CFB_OK || found) return rc;
    }
}

cfb_code cfb_files_download(cfb_files_t *f, const char *id, const char *to, cfb_err *err) {
    char path[1024];
    cfb_code rc = make_path(f, path, "/files/", id, "/content", err);
    const struct call c = {.path = path, .download_path = to};
    return rc == CFB_OK ? repeat(f, &c, err) : rc;
}

/* ---- batches ---- */

struct wanted_batch {
    const char *input_file_id;
    cfb_remote_batch *out;
};

static bool take_batch(void *ctx, const cfb_json *item) {
    const struct wanted_batch *w = ctx;
    cfb_remote_batch b;
    if (!read_batch(item, &b) || strcmp(b.input_file_id, w->input_file_id) != 0) return false;
    *w->out = b;
    return true;
}

cfb_code cfb_files_batch_find(cfb_files_t *f, const char *input_file_id, cfb_remote_batch *out, bool *found, cfb_err *err) {
    struct wanted_batch w = {input_file_id, out};
    return each_item(f, "/batches?limit=100", take_batch, &w, found, err);
}

static cfb_code create_body(const char *input_file_id, const char *tag, cfb_buf *out, cfb_err *err) {
    const char *const members[][2] = {
        {"input_file_id", input_file_id}, {"endpoint", "/v1/chat/completions"}, {"completion_window", "24h"}};
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    for (int i = 0; i < 3; i++) {
        cfb_jw_key(&w, members[i][0]);
        cfb_jw_strz(&w, members[i][1]);
    }
    cfb_jw_key(&w, "metadata");
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "cfbench");
    cfb_jw_strz(&w, tag);
    cfb_jw_end_obj(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

static cfb_code create(cfb_files_t *f, const struct call *c, const char *input_file_id, cfb_remote_batch *out, cfb_err *e) {
    f->n_requests++;
    for (int tries = 1;; tries++) {
        enum outcome o = one_try(f, c, e);
        if (o == DONE) return batch_of_answer(f, out, e);
        if (o == FAILED || !wait_for_try(f, tries, e)) return e->code;
        bool found = false;
        cfb_code rc = o == UNSURE ? cfb_files_batch_find(f, input_file_id, out, &found, e) : CFB_OK;
        if (rc != CFB_OK || found) return rc;
    }
}

cfb_code cfb_files_batch_create(cfb_files_t *f, const char *input_file_id, const char *tag, cfb_remote_batch *out, cfb_err *err) {
    cfb_err own = CFB_ERR_INIT;
    cfb_buf body = CFB_BUF_INIT((size_t)1 << 16);
    cfb_code rc = create_body(input_file_id, tag, &body, err);
    if (rc == CFB_OK) {
        const struct call c = {.path = "/batches", .body = body.ptr};
        rc = create(f, &c, input_file_id, out, err ? err : &own);
    }
    cfb_buf_free(&body);
    return rc;
}

cfb_code cfb_files_batch_get(cfb_files_t *f, const char *id, cfb_remote_batch *out, cfb_err *err) {
    char path[1024];
    cfb_code rc = make_path(f, path, "/batches/", id, "", err);
    const struct call c = {.path = path};
    if (rc == CFB_OK) rc = repeat(f, &c, err);
    return rc == CFB_OK ? batch_of_answer(f, out, err) : rc;
}

cfb_code cfb_files_batch_cancel(cfb_files_t *f, const char *id, cfb_remote_batch *out, cfb_err *err) {
    char path[1024];
    cfb_code rc = make_path(f, path, "/batches/", id, "/cancel", err);
    const struct call c = {.path = path, .body = ""};
    if (rc == CFB_OK) rc = repeat(f, &c, err);
    return rc == CFB_OK ? batch_of_answer(f, out, err) : rc;
}
