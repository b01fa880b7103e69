#include "mock/request.h"

#include "mock/scan.h"

#include <stdlib.h>

size_t cfb_mock__count(cfb_str s) {
    size_t n = 0;
#pragma omp simd reduction(+ : n)
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return n;
}

cfb_str cfb_mock__prefix(cfb_str s, size_t n) {
    size_t i = 0;
    for (; i < s.len; i++)
        if (((unsigned char)s.ptr[i] & 0xC0) != 0x80 && n-- == 0) break;
    return (cfb_str){s.ptr, i};
}

/* An optional member; null counts as absent, as in OpenAI's API. */
static const cfb_json *optional(const cfb_json *object, const char *key) {
    const cfb_json *node = cfb_json_get(object, key);
    return cfb_json_kind_of(node) == CFB_JSON_NULL ? NULL : node;
}

static cfb_code parse_object(cfb_str body, cfb_json **root, cfb_str *model, const char **param, cfb_err *err) {
    *param = NULL;
    cfb_code rc = cfb_json_parse(body.ptr, body.len, 0, root, err);
    if (rc == CFB_ENOMEM) return rc;
    if (rc != CFB_OK) return cfb_err_add_context(err, "the body is not valid JSON");
    if (cfb_json_kind_of(*root) != CFB_JSON_OBJECT)
        return cfb_err_set(err, CFB_EDATA, "the body must be a JSON object, not %s", cfb_json_kind_name(*root));
    *model = cfb_json_str(cfb_json_get(*root, "model"));
    if (model->ptr != NULL && model->len > 0) return CFB_OK;
    *param = "model";
    return cfb_err_set(err, CFB_EDATA, "you must provide a model parameter (a non-empty string)");
}

static cfb_code append_content(const cfb_json *content, cfb_buf *out, cfb_err *err) {
    cfb_str text = cfb_json_str(content);
    if (text.ptr != NULL) return cfb_buf_append_str(out, text, err);
    if (cfb_json_kind_of(content) != CFB_JSON_ARRAY || cfb_json_count(content) == 0)
        return cfb_err_set(err, CFB_EDATA, "content must be a string or a non-empty list of text parts");
    for (const cfb_json *part = cfb_json_first(content); part != NULL; part = cfb_json_next(part)) {
        text = cfb_json_str(cfb_json_get(part, "text"));
        if (!cfb_str_eqz(cfb_json_str(cfb_json_get(part, "type")), "text") || text.ptr == NULL)
            return cfb_err_set(err, CFB_EDATA, "a content part must be {\"type\": \"text\", \"text\": string}");
        cfb_code rc = cfb_buf_append_str(out, text, err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

bool cfb_mock__known_role(cfb_str role) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (cfb_str_eqz(role, roles[i])) return true;
    return false;
}

static cfb_code parse_messages(cfb_mock__chat *out, cfb_err *err) {
    const cfb_json *messages = cfb_json_get(out->root, "messages");
    if (cfb_json_kind_of(messages) != CFB_JSON_ARRAY || cfb_json_count(messages) == 0)
        return cfb_err_set(err, CFB_EDATA, "messages must be a non-empty list");
    bool have_user = false;
    size_t i = 0, prompt_at = 0, prompt_len = 0;
    cfb_code rc = CFB_OK;
    for (const cfb_json *msg = cfb_json_first(messages); msg != NULL && rc == CFB_OK; msg = cfb_json_next(msg), i++) {
        cfb_str role = cfb_json_str(cfb_json_get(msg, "role"));
        bool is_user = cfb_str_eqz(role, "user");
        if (!cfb_mock__known_role(role))
            return cfb_err_set(err, CFB_EDATA, "messages[%zu].role must be one of system, developer, user, assistant, tool", i);
        size_t at = out->text.len;
        rc = append_content(cfb_json_get(msg, "content"), &out->text, err);
        if (rc == CFB_OK) {
            size_t len = out->text.len - at;
            out->n_prompt_tokens += cfb_mock__count((cfb_str){cfb_buf_str(&out->text).ptr + at, len});
            if (!is_user && have_user) continue;
            have_user = have_user || is_user;
            prompt_at = at;
            prompt_len = len;
        } else if (rc != CFB_ENOMEM) {
            rc = cfb_err_add_context(err, "messages[%zu]", i);
        }
    }
    out->prompt = (cfb_str){cfb_buf_str(&out->text).ptr + prompt_at, prompt_len};
    return rc;
}

static cfb_code parse_max_tokens(cfb_mock__chat *out, const char **param, cfb_err *err) {
    static const char *const keys[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; i < 2; i++) {
        const cfb_json *node = optional(out->root, keys[i]);
        if (node == NULL) continue;
        *param = keys[i];
        if (out->max_tokens != 0) return cfb_err_set(err, CFB_EDATA, "give max_tokens or max_completion_tokens, not both");
        if (!cfb_json_int(node, &out->max_tokens) || out->max_tokens <= 0)
            return cfb_err_set(err, CFB_EDATA, "%s must be a positive whole number", keys[i]);
        out->max_tokens_key = keys[i];
    }
    return CFB_OK;
}

static cfb_code check_options(cfb_mock__chat *out, const char **param, cfb_err *err) {
    double v;
    const cfb_json *node = optional(out->root, *param = "temperature");
    if (node != NULL && (!cfb_json_num(node, &v) || v < 0 || v > 2))
        return cfb_err_set(err, CFB_EDATA, "temperature must be a number from 0 to 2");
    if (node != NULL) {
        out->temperature = v;
        out->has_temperature = true;
    }
    node = optional(out->root, *param = "top_p");
    if (node != NULL && (!cfb_json_num(node, &v) || v < 0 || v > 1))
        return cfb_err_set(err, CFB_EDATA, "top_p must be a number from 0 to 1");
    node = optional(out->root, *param = "n");
    if (node != NULL && (!cfb_json_num(node, &v) || v < 1 || v > 1))
        return cfb_err_set(err, CFB_EDATA, "n must be 1: the mock model gives one answer");
    return CFB_OK;
}

static cfb_code check_stream(cfb_mock__chat *out, const char **param, cfb_err *err) {
    const cfb_json *node = optional(out->root, *param = "stream");
    if (node != NULL && !cfb_json_bool(node, &out->stream)) return cfb_err_set(err, CFB_EDATA, "stream must be true or false");
    node = optional(out->root, *param = "stream_options");
    if (node == NULL) return CFB_OK;
    if (cfb_json_kind_of(node) != CFB_JSON_OBJECT || !out->stream)
        return cfb_err_set(err, CFB_EDATA, "stream_options must be an object, and needs stream true");
    node = optional(node, "include_usage");
    if (node != NULL && !cfb_json_bool(node, &out->include_usage))
        return cfb_err_set(err, CFB_EDATA, "include_usage must be true or false");
    return CFB_OK;
}

cfb_code cfb_mock__chat_parse_full(cfb_str body, cfb_mock__chat *out, const char **param, cfb_err *err) {
    *out = (cfb_mock__chat){.text = CFB_BUF_INIT(SIZE_MAX / 4)};
    cfb_code rc = parse_object(body, &out->root, &out->model, param, err);
    if (rc != CFB_OK) return rc;
    *param = "messages";
    rc = parse_messages(out, err);
    if (rc == CFB_OK) rc = parse_max_tokens(out, param, err);
    if (rc == CFB_OK) rc = check_options(out, param, err);
    return rc == CFB_OK ? check_stream(out, param, err) : rc;
}

cfb_code cfb_mock__chat_parse(cfb_str body, cfb_mock__chat *out, const char **param, cfb_err *err) {
    *param = NULL;
    *out = (cfb_mock__chat){.text = CFB_BUF_INIT(SIZE_MAX / 4)};
    if (cfb_mock__scan_chat(body, out)) return CFB_OK;
    cfb_mock__chat_free(out);
    return cfb_mock__chat_parse_full(body, out, param, err);
}

void cfb_mock__chat_free(cfb_mock__chat *req) {
    cfb_json_free(req->root);
    cfb_buf_free(&req->text);
    req->root = NULL;
}

static cfb_code parse_input(cfb_mock__embed *out, cfb_err *err) {
    const cfb_json *input = cfb_json_get(out->root, "input");
    bool is_list = cfb_json_kind_of(input) == CFB_JSON_ARRAY;
    size_t n = is_list ? cfb_json_count(input) : 1;
    if (n == 0 || n > CFB_MOCK__EMBED_MAX_TEXTS)
        return cfb_err_set(err, CFB_EDATA, "input must have 1 to %d texts, not %zu", CFB_MOCK__EMBED_MAX_TEXTS, n);
    out->texts = calloc(n, sizeof *out->texts);
    if (out->texts == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    const cfb_json *node = is_list ? cfb_json_first(input) : input;
    for (size_t i = 0; i < n; i++, node = cfb_json_next(node)) {
        cfb_str text = cfb_json_str(node);
        if (text.ptr == NULL || text.len == 0)
            return cfb_err_set(err, CFB_EDATA, "input must be a non-empty string or a list of such strings");
        out->texts[i] = text;
        out->n_tokens += cfb_mock__count(text);
    }
    out->n_texts = n;
    return CFB_OK;
}

cfb_code cfb_mock__embed_parse(cfb_str body, int64_t dim, cfb_mock__embed *out, const char **param, cfb_err *err) {
    *out = (cfb_mock__embed){.dim = dim};
    cfb_code rc = parse_object(body, &out->root, &out->model, param, err);
    if (rc != CFB_OK) return rc;
    *param = "input";
    rc = parse_input(out, err);
    if (rc != CFB_OK) return rc;
    const cfb_json *node = optional(out->root, *param = "dimensions");
    if (node != NULL && (!cfb_json_int(node, &out->dim) || out->dim < 1 || out->dim > CFB_MOCK__EMBED_MAX_DIM))
        return cfb_err_set(err, CFB_EDATA, "dimensions must be from 1 to %d", CFB_MOCK__EMBED_MAX_DIM);
    node = optional(out->root, *param = "encoding_format");
    if (node == NULL) return CFB_OK;
    cfb_str format = cfb_json_str(node);
    out->base64 = cfb_str_eqz(format, "base64");
    if (!out->base64 && !cfb_str_eqz(format, "float"))
        return cfb_err_set(err, CFB_EDATA, "encoding_format must be \"float\" or \"base64\"");
    return CFB_OK;
}

void cfb_mock__embed_free(cfb_mock__embed *req) {
    cfb_json_free(req->root);
    free(req->texts);
    req->root = NULL;
    req->texts = NULL;
}
