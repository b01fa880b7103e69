/* Files of results: lines in any order, some of them broken. */
#include "cfbench/base.h"
#include "cfbench/batch.h"
#include "cfbench/json.h"
#include "client/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_LINE_BYTES ((size_t)64 << 20)
#define READ_BYTES ((size_t)1 << 18)

void cfb_batch_scratch_free(cfb_batch_scratch *s) {
    cfb_buf_free(&s->body);
    cfb_buf_free(&s->text);
}

/* ---- one line ---- */

/* Errors of a line as a whole, in OpenAI's words: the request never reached the model. */
static cfb_fail class_of_code(cfb_str code) {
    if (cfb_str_eqz(code, "batch_expired") || cfb_str_eqz(code, "request_timeout")) return CFB_FAIL_TIMEOUT;
    if (cfb_str_eqz(code, "batch_cancelled")) return CFB_FAIL_STOPPED;
    return CFB_FAIL_NONE;
}

static cfb_code print_to(const cfb_json *node, cfb_buf *out, cfb_err *err) {
    cfb_buf_clear(out);
    return cfb_json_print(node, out, err);
}

static bool is_something(const cfb_json *node) { return node != NULL && cfb_json_kind_of(node) != CFB_JSON_NULL; }

/* A failed request: the error's own words, from the body of the response or from the line's "error". */
static cfb_code read_failure(const cfb_json *body, const cfb_json *error, long status, cfb_batch_scratch *s, cfb_chat_reply *r,
                             cfb_err *err) {
    const cfb_json *says = is_something(body) ? body : error;
    cfb_str code = cfb_json_str(cfb_json_get(error, "code"));
    int64_t number;
    if (status == 0 && cfb_json_int(cfb_json_get(error, "code"), &number) && number >= 400 && number < 600) status = (long)number;
    r->http_status = status ? status : 500; /* for the class alone */
    cfb_code rc = says ? print_to(says, &s->body, err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    cfb_client__read_error_reply(says ? cfb_buf_str(&s->body) : CFB_STR_LIT("{}"), r);
    r->http_status = status;
    cfb_fail f = code.ptr ? class_of_code(code) : CFB_FAIL_NONE;
    if (f != CFB_FAIL_NONE) r->fail = f;
    if (r->fail != CFB_FAIL_NONE && r->message[0] == '\0')
        snprintf(r->message, sizeof r->message, "the batch gave neither a reply nor a reason");
    return CFB_OK;
}

static void read_time(const cfb_json *body, cfb_chat_reply *r) {
    int64_t created = 0;
    if (cfb_json_int(cfb_json_get(body, "created"), &created) && created > 0 && created < INT64_C(100000000000))
        r->started_wall_ms = created * 1000;
}

static cfb_code read_root(const cfb_json *root, cfb_batch_scratch *s, cfb_batch_result *out, cfb_err *err) {
    const cfb_json *response = cfb_json_get(root, "response"), *error = cfb_json_get(root, "error");
    const cfb_json *body = cfb_json_get(response, "body");
    cfb_str id = cfb_json_str(cfb_json_get(root, "custom_id"));
    int64_t status = 0;
    if (id.ptr == NULL) return cfb_err_set(err, CFB_EDATA, "no result of a batch: custom_id is missing");
    snprintf(out->custom_id, sizeof out->custom_id, "%.*s", CFB_STR_ARG(id));
    if (body == NULL && cfb_json_get(response, "choices")) body = response; /* some servers put the completion right there */
    if (!cfb_json_int(cfb_json_get(response, "status_code"), &status) || status < 0 || status > 999) status = 0;
    if (status == 0 && is_something(body) && !is_something(error)) status = 200;
    bool good = status >= 200 && status < 300 && is_something(body);
    if (!good) return read_failure(body, error, status >= 200 && status < 300 ? 0 : (long)status, s, &out->reply, err);
    out->reply.http_status = (long)status;
    read_time(body, &out->reply);
    cfb_code rc = print_to(body, &s->body, err);
    return rc == CFB_OK ? cfb_client_parse_reply(cfb_buf_str(&s->body), &s->text, &out->reply, err) : rc;
}

cfb_code cfb_batch_parse_line(cfb_str line, cfb_batch_scratch *scratch, cfb_batch_result *out, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_chat_reply_init(&out->reply);
    out->reply.started_wall_ms = 0;
    cfb_code rc = cfb_json_parse(line.ptr, line.len, CFB_JSON_REPAIR, &root, err);
    if (rc == CFB_OK && cfb_json_kind_of(root) != CFB_JSON_OBJECT)
        rc = cfb_err_set(err, CFB_EDATA, "no result of a batch: it must be an object, not %s", cfb_json_kind_name(root));
    if (rc == CFB_OK) rc = read_root(root, scratch, out, err);
    cfb_json_free(root);
    return rc;
}

/* ---- a file of lines ---- */

struct lines {
    const char *path;
    int fd;
    cfb_buf buf;      /* what was read */
    size_t at;        /* beginning of the next line in it */
    size_t looked_at; /* no line end before this place */
    uint64_t number;  /* of the line that was given last, from 1 */
    bool at_end;
};

static cfb_code fill(struct lines *l, cfb_err *err) {
    if (l->at > 0) {
        memmove(l->buf.ptr, l->buf.ptr + l->at, l->buf.len - l->at);
        l->buf.len -= l->at;
        l->looked_at -= l->at;
        l->at = 0;
    }
    cfb_code rc = cfb_buf_reserve(&l->buf, READ_BYTES, err);
    if (rc != CFB_OK) return rc;
    for (;;) {
        ssize_t n = read(l->fd, l->buf.ptr + l->buf.len, READ_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot read %s", l->path);
        l->at_end = n == 0;
        l->buf.len += (size_t)n;
        return CFB_OK;
    }
}

/* The next line without its end; *too_long: only the beginning of it is there. False at the end of the file. */
static bool next_line(struct lines *l, cfb_str *line, bool *too_long, cfb_code *rc, cfb_err *err) {
    *too_long = false;
    for (;;) {
        const char *p = l->buf.ptr ? memchr(l->buf.ptr + l->looked_at, '\n', l->buf.len - l->looked_at) : NULL;
        if (p || (l->at_end && (l->buf.len > l->at || *too_long))) {
            size_t end = p ? (size_t)(p - l->buf.ptr) : l->buf.len;
            *line = (cfb_str){l->buf.ptr + l->at, end - l->at};
            l->at = l->looked_at = p ? end + 1 : end;
            if (line->len && line->ptr[line->len - 1] == '\r') line->len--;
            l->number++;
            return true;
        }
        if (l->at_end) return false;
        l->looked_at = l->buf.len;
        if (l->buf.len - l->at > MAX_LINE_BYTES) { /* too long: what is known of it is dropped, until its end comes */
            *too_long = true;
            l->at = l->looked_at = l->buf.len;
        }
        *rc = fill(l, err);
        if (*rc != CFB_OK) return false;
    }
}

static cfb_code open_lines(struct lines *l, const char *path, cfb_err *err) {
    *l = (struct lines){.path = path, .buf = CFB_BUF_INIT(MAX_LINE_BYTES + 4 * READ_BYTES)};
    l->fd = open(path, O_RDONLY | O_CLOEXEC);
    return l->fd < 0 ? cfb_err_set_errno(err, errno, "cannot open %s", path) : CFB_OK;
}

static void close_lines(struct lines *l) {
    if (l->fd >= 0) close(l->fd);
    cfb_buf_free(&l->buf);
}

static bool is_blank(cfb_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (strchr(" \t", s.ptr[i]) == NULL || s.ptr[i] == '\0') return false;
    return true;
}

static void bad_line(const struct lines *l, const cfb_batch_reader *r, const char *what) {
    char message[768];
    snprintf(message, sizeof message, "%.200s:%llu: %.500s", l->path, (unsigned long long)l->number, what);
    r->on_bad_line(r->ctx, message);
}

static cfb_code one_line(const struct lines *l, cfb_str line, const cfb_batch_reader *r, cfb_batch_scratch *s, cfb_err *err) {
    static const char bom[] = "\xef\xbb\xbf";
    cfb_batch_result result;
    cfb_err why = CFB_ERR_INIT;
    if (l->number == 1 && line.len >= 3 && memcmp(line.ptr, bom, 3) == 0) line.ptr += 3, line.len -= 3;
    if (is_blank(line)) return CFB_OK;
    cfb_code rc = cfb_batch_parse_line(line, s, &result, &why);
    if (rc == CFB_OK) return r->on_result(r->ctx, &result, l->number, err);
    if (rc == CFB_ENOMEM) return cfb_err_set(err, rc, "%s", why.msg);
    bad_line(l, r, why.msg);
    return CFB_OK;
}

cfb_code cfb_batch_read_results(const char *path, const cfb_batch_reader *r, cfb_err *err) {
    struct lines l;
    cfb_batch_scratch scratch = CFB_BATCH_SCRATCH_INIT;
    cfb_str line;
    bool too_long;
    cfb_code rc = open_lines(&l, path, err);
    while (rc == CFB_OK && next_line(&l, &line, &too_long, &rc, err)) {
        if (too_long)
            bad_line(&l, r, "the line is longer than 64 MiB");
        else
            rc = one_line(&l, line, r, &scratch, err);
    }
    close_lines(&l);
    cfb_batch_scratch_free(&scratch);
    return rc;
}

cfb_code cfb_batch_read_ids(const char *path, cfb_batch_id_fn fn, void *ctx, cfb_err *err) {
    static const char head[] = "{\"custom_id\":\"";
    struct lines l;
    cfb_str line;
    bool too_long;
    cfb_code rc = open_lines(&l, path, err);
    while (rc == CFB_OK && next_line(&l, &line, &too_long, &rc, err)) {
        size_t skip = sizeof head - 1;
        const char *end = !too_long && line.len > skip && memcmp(line.ptr, head, skip) == 0
                              ? memchr(line.ptr + skip, '"', line.len - skip)
                              : NULL;
        if (end == NULL)
            rc = cfb_err_set(err, CFB_EDATA, "%s:%llu: not a line that cfbench wrote", path, (unsigned long long)l.number);
        else
            rc = fn(ctx, (cfb_str){line.ptr + skip, (size_t)(end - line.ptr) - skip}, err);
    }
    close_lines(&l);
    return rc;
}
