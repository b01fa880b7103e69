#include "mock/replies.h"

#include "cfbench/base.h"
#include "mock/put.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A fixed time, so that equal questions get equal bytes in every run. */
#define CREATED INT64_C(1700000000)

static void write_usage(cfb_jw *w, size_t prompt, size_t completion, bool with_completion) {
    cfb_jw_key(w, "usage");
    cfb_jw_obj(w);
    cfb_jw_key(w, "prompt_tokens");
    cfb_jw_int(w, (int64_t)prompt);
    if (with_completion) {
        cfb_jw_key(w, "completion_tokens");
        cfb_jw_int(w, (int64_t)completion);
    }
    cfb_jw_key(w, "total_tokens");
    cfb_jw_int(w, (int64_t)(prompt + completion));
    cfb_jw_end_obj(w);
}

/* Room for all fixed texts and numbers of a reply. */
#define FIXED_ROOM 512

static void grow(cfb_buf *out, const char *end) {
    out->len = (size_t)(end - out->ptr);
    out->ptr[out->len] = '\0';
}

static cfb_code quote_content(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    if (c->quoted.ptr != NULL) return cfb_buf_append_str(out, c->quoted, err);
    return c->content.ptr == NULL ? cfb_buf_append_str(out, CFB_STR_LIT("null"), err) : cfb_json_quote(out, c->content, err);
}

cfb_code cfb_mock__write_chat(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    cfb_code rc = cfb_buf_reserve(out, c->quoted.len + c->model.len + FIXED_ROOM, err);
    if (rc != CFB_OK) return rc;
    char *p = out->ptr + out->len;
    p = CFB_MOCK__PUT(p, "{\"id\":\"chatcmpl-");
    p = cfb_mock__put(p, c->id, 16);
    *p++ = '-';
    p = cfb_mock__put_num(p, c->try_no);
    p = CFB_MOCK__PUT(p, "\",\"object\":\"chat.completion\",\"created\":");
    p = cfb_mock__put_num(p, CREATED);
    p = CFB_MOCK__PUT(p, ",\"model\":");
    grow(out, p);
    rc = cfb_json_quote(out, c->model, err);
    if (rc == CFB_OK)
        rc = cfb_buf_append_str(out, CFB_STR_LIT(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"),
                                err);
    if (rc == CFB_OK) rc = quote_content(c, out, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(out, CFB_STR_LIT("},\"finish_reason\":"), err);
    if (rc == CFB_OK) rc = cfb_json_quote(out, c->finish_reason, err);
    if (rc == CFB_OK) rc = cfb_buf_reserve(out, FIXED_ROOM, err);
    if (rc != CFB_OK) return rc;
    p = out->ptr + out->len;
    p = CFB_MOCK__PUT(p, "}],\"usage\":{\"prompt_tokens\":");
    p = cfb_mock__put_num(p, c->prompt_tokens);
    p = CFB_MOCK__PUT(p, ",\"completion_tokens\":");
    p = cfb_mock__put_num(p, c->completion_tokens);
    p = CFB_MOCK__PUT(p, ",\"total_tokens\":");
    p = cfb_mock__put_num(p, c->prompt_tokens + c->completion_tokens);
    p = CFB_MOCK__PUT(p, "}}");
    grow(out, p);
    return CFB_OK;
}

/* A unit vector that depends on the text alone. */
static void embed(cfb_str text, size_t dim, float *out) {
    uint64_t stream = cfb_hash64(text.ptr, text.len, 0);
    double sum = 0;
    for (size_t i = 0; i < dim; i++) {
        double v = 2 * cfb_rand_unit(0, stream, i) - 1;
        sum += v * v;
        out[i] = (float)v;
    }
    double norm = sqrt(sum);
    if (norm < 1e-9) { /* only for dim 1 or 2, and then nearly never */
        out[0] = 1;
        norm = 1;
    }
    for (size_t i = 0; i < dim; i++) out[i] = (float)(out[i] / norm);
}

static cfb_code append_base64(const float *v, size_t dim, cfb_buf *out, cfb_err *err) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)v; /* IEEE binary32; little-endian machines only */
    cfb_code rc = CFB_OK;
    for (size_t left = dim * sizeof *v; left > 0 && rc == CFB_OK;) {
        size_t n = left < 3 ? left : 3;
        unsigned bits = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? (unsigned)p[2] : 0);
        char quad[4] = {digits[bits >> 18 & 63], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
                        n > 2 ? digits[bits & 63] : '='};
        rc = cfb_buf_append(out, quad, 4, err);
        p += n;
        left -= n;
    }
    return rc;
}

static cfb_code write_vector(cfb_jw *w, const cfb_mock__embed *req, cfb_str text, float *v, cfb_buf *scratch, cfb_err *err) {
    size_t dim = (size_t)req->dim;
    embed(text, dim, v);
    if (req->base64) {
        cfb_buf_clear(scratch);
        cfb_code rc = append_base64(v, dim, scratch, err);
        cfb_jw_str(w, cfb_buf_str(scratch));
        return rc;
    }
    cfb_jw_arr(w);
    for (size_t i = 0; i < dim; i++) cfb_jw_num(w, (double)v[i]);
    cfb_jw_end_arr(w);
    return CFB_OK;
}

cfb_code cfb_mock__write_embeddings(const cfb_mock__embed *req, cfb_buf *out, cfb_err *err) {
    float *v = calloc((size_t)req->dim, sizeof *v);
    if (v == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_buf scratch = CFB_BUF_INIT((size_t)1 << 20);
    cfb_code rc = CFB_OK;
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "object");
    cfb_jw_strz(&w, "list");
    cfb_jw_key(&w, "data");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < req->n_texts && rc == CFB_OK; i++) {
        cfb_jw_obj(&w);
        cfb_jw_key(&w, "object");
        cfb_jw_strz(&w, "embedding");
        cfb_jw_key(&w, "index");
        cfb_jw_int(&w, (int64_t)i);
        cfb_jw_key(&w, "embedding");
        rc = write_vector(&w, req, req->texts[i], v, &scratch, err);
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "model");
    cfb_jw_str(&w, req->model);
    write_usage(&w, req->n_tokens, 0, false);
    cfb_jw_end_obj(&w);
    free(v);
    cfb_buf_free(&scratch);
    return rc != CFB_OK ? rc : cfb_jw_finish(&w, err);
}

cfb_code cfb_mock__write_models(cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "object");
    cfb_jw_strz(&w, "list");
    cfb_jw_key(&w, "data");
    cfb_jw_arr(&w);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "id");
    cfb_jw_strz(&w, "mock");
    cfb_jw_key(&w, "object");
    cfb_jw_strz(&w, "model");
    cfb_jw_key(&w, "created");
    cfb_jw_int(&w, CREATED);
    cfb_jw_key(&w, "owned_by");
    cfb_jw_strz(&w, "cfbench");
    cfb_jw_end_obj(&w);
    cfb_jw_end_arr(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

static const struct error_kind {
    int status;
    const char *type, *code, *message;
} error_kinds[] = {
    {400, "invalid_request_error", NULL, "the request is not valid"},
    {401, "invalid_request_error", "invalid_api_key", "the API key is not correct"},
    {404, "invalid_request_error", "not_found", "there is nothing under this address"},
    {405, "invalid_request_error", "method_not_allowed", "this method is not allowed here"},
    {413, "invalid_request_error", "request_too_large", "the request is too large"},
    {429, "requests", "rate_limit_exceeded", "the rate limit was reached; try again later"},
    {503, "server_error", "overloaded", "the model is overloaded; try again later"},
    {0, "server_error", NULL, "the server had an error; try again later"},
};

cfb_code cfb_mock__write_error(int status, const char *message, const char *param, cfb_buf *out, cfb_err *err) {
    const struct error_kind *kind = error_kinds;
    while (kind->status != status && kind->status != 0) kind++;
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "error");
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "message");
    cfb_jw_strz(&w, message != NULL ? message : kind->message);
    cfb_jw_key(&w, "type");
    cfb_jw_strz(&w, status >= 402 && status < 500 && kind->status == 0 ? "invalid_request_error" : kind->type);
    cfb_jw_key(&w, "param");
    cfb_jw_str(&w, cfb_str_from(param));
    cfb_jw_key(&w, "code");
    cfb_jw_str(&w, cfb_str_from(kind->code));
    cfb_jw_end_obj(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
