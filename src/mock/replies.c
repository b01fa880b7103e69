#include "mock/replies.h"

#include "cfbench/base.h"
#include "mock/put.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A fixed time, so that equal questions get equal bytes in every run. */
#define CREATED INT64_C(1700000000)

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

static cfb_code append(cfb_buf *out, const char *text, cfb_err *err) { return cfb_buf_append_str(out, cfb_str_from(text), err); }

cfb_code cfb_mock__write_head(const cfb_mock__completion *c, cfb_str object, cfb_buf *out, cfb_err *err) {
    cfb_str prefix = cfb_str_from(c->profile->id_prefix);
    cfb_code rc = cfb_buf_reserve(out, prefix.len + object.len + FIXED_ROOM, err);
    if (rc != CFB_OK) return rc;
    char *p = out->ptr + out->len;
    p = CFB_MOCK__PUT(p, "{\"id\":\"");
    p = cfb_mock__put(p, prefix.ptr, prefix.len);
    p = cfb_mock__put(p, c->id, 16);
    *p++ = '-';
    p = cfb_mock__put_num(p, c->try_no);
    p = CFB_MOCK__PUT(p, "\",\"object\":\"");
    p = cfb_mock__put(p, object.ptr, object.len);
    p = CFB_MOCK__PUT(p, "\",\"created\":");
    p = cfb_mock__put_num(p, CREATED);
    p = CFB_MOCK__PUT(p, ",\"model\":");
    grow(out, p);
    return cfb_json_quote(out, c->model, err);
}

cfb_code cfb_mock__write_usage(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    cfb_code rc = cfb_buf_reserve(out, FIXED_ROOM, err);
    if (rc != CFB_OK) return rc;
    char *p = out->ptr + out->len;
    p = CFB_MOCK__PUT(p, "{\"prompt_tokens\":");
    p = cfb_mock__put_num(p, c->prompt_tokens);
    p = CFB_MOCK__PUT(p, ",\"completion_tokens\":");
    p = cfb_mock__put_num(p, c->completion_tokens);
    p = CFB_MOCK__PUT(p, ",\"total_tokens\":");
    p = cfb_mock__put_num(p, c->prompt_tokens + c->completion_tokens);
    if (c->with_cached) {
        p = CFB_MOCK__PUT(p, ",\"prompt_tokens_details\":{\"cached_tokens\":");
        p = cfb_mock__put_num(p, c->cached_tokens);
        p = CFB_MOCK__PUT(p, "},\"prompt_cache_hit_tokens\":"); /* DeepSeek's names for the same */
        p = cfb_mock__put_num(p, c->cached_tokens);
        p = CFB_MOCK__PUT(p, ",\"prompt_cache_miss_tokens\":");
        p = cfb_mock__put_num(p, c->prompt_tokens - c->cached_tokens);
    }
    if (c->with_reasoning) {
        p = CFB_MOCK__PUT(p, ",\"completion_tokens_details\":{\"reasoning_tokens\":");
        p = cfb_mock__put_num(p, c->reasoning_tokens);
        *p++ = '}';
    }
    *p++ = '}';
    grow(out, p);
    return CFB_OK;
}

/* content, or one part with all of it */
static cfb_code write_content(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    if (!c->as_parts) return quote_content(c, out, err);
    cfb_code rc = append(out, "[{\"type\":\"text\",\"text\":", err);
    if (rc == CFB_OK) rc = quote_content(c, out, err);
    return rc == CFB_OK ? append(out, "}]", err) : rc;
}

static cfb_code write_reasoning(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    if (c->reasoning.ptr == NULL || c->profile->reasoning == NULL) return CFB_OK;
    cfb_code rc = cfb_buf_printf(out, err, ",\"%s\":", c->profile->reasoning);
    return rc == CFB_OK ? cfb_json_quote(out, c->reasoning, err) : rc;
}

/* llama.cpp's measurements: made up, but of the right form; 1 ms a token. */
static cfb_code write_timings(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    if (!c->profile->timings) return CFB_OK;
    return cfb_buf_printf(
        out, err,
        ",\"timings\":{\"prompt_n\":%zu,\"prompt_ms\":%zu.0,\"prompt_per_token_ms\":1.0,\"prompt_per_second\":1000.0,"
        "\"predicted_n\":%zu,\"predicted_ms\":%zu.0,\"predicted_per_token_ms\":1.0,\"predicted_per_second\":1000.0}",
        c->prompt_tokens, c->prompt_tokens, c->completion_tokens, c->completion_tokens);
}

cfb_code cfb_mock__write_chat(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err) {
    cfb_code rc = cfb_buf_reserve(out, c->quoted.len + c->model.len + FIXED_ROOM, err);
    if (rc == CFB_OK) rc = cfb_mock__write_head(c, CFB_STR_LIT("chat.completion"), out, err);
    if (rc == CFB_OK)
        rc = cfb_buf_append_str(out, CFB_STR_LIT(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"),
                                err);
    if (rc == CFB_OK) rc = write_content(c, out, err);
    if (rc == CFB_OK) rc = write_reasoning(c, out, err);
    if (rc == CFB_OK) rc = append(out, c->profile->message_extra, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(out, CFB_STR_LIT("},\"finish_reason\":"), err);
    if (rc == CFB_OK) rc = cfb_json_quote(out, c->finish_reason, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(out, CFB_STR_LIT("}],\"usage\":"), err);
    if (rc == CFB_OK) rc = cfb_mock__write_usage(c, out, err);
    if (rc == CFB_OK) rc = write_timings(c, out, err);
    return rc == CFB_OK ? cfb_buf_append_char(out, '}', err) : rc;
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
    cfb_jw_key(&w, "usage");
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "prompt_tokens");
    cfb_jw_int(&w, (int64_t)req->n_tokens);
    cfb_jw_key(&w, "total_tokens");
    cfb_jw_int(&w, (int64_t)req->n_tokens);
    cfb_jw_end_obj(&w);
    cfb_jw_end_obj(&w);
    free(v);
    cfb_buf_free(&scratch);
    return rc != CFB_OK ? rc : cfb_jw_finish(&w, err);
}

cfb_code cfb_mock__write_models(const cfb_mock__profile *profile, int64_t context, cfb_buf *out, cfb_err *err) {
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
    if (context > 0 && profile->errors == CFB_MOCK__ERROR_VLLM) { /* vLLM and SGLang say how much they take */
        cfb_jw_key(&w, "max_model_len");
        cfb_jw_int(&w, context);
    }
    cfb_jw_end_obj(&w);
    cfb_jw_end_arr(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
