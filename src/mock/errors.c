#include "mock/errors.h"

#include "cfbench/json.h"

#include <stdio.h>

/* OpenAI's words for its codes: platform.openai.com/docs/guides/error-codes. */
static const struct kind {
    int status;
    const char *type, *code, *message;
} kinds[] = {
    {400, "invalid_request_error", NULL, "the request is not valid"},
    {401, "invalid_request_error", "invalid_api_key", "the API key is not correct"},
    {402, "insufficient_quota", "payment_required", "the balance is used up; add credit and try again"},
    {403, "invalid_request_error", "permission_denied", "this key may not use this model"},
    {404, "invalid_request_error", "not_found", "there is nothing under this address"},
    {405, "invalid_request_error", "method_not_allowed", "this method is not allowed here"},
    {408, "timeout", "request_timeout", "the request took too long to arrive"},
    {409, "conflict_error", "conflict", "the request conflicts with another one; try again"},
    {413, "invalid_request_error", "request_too_large", "the request is too large"},
    {429, "requests", "rate_limit_exceeded", "the rate limit was reached; try again later"},
    {502, "server_error", "bad_gateway", "the gateway got no answer from the model"},
    {503, "server_error", "overloaded", "the model is overloaded; try again later"},
    {504, "server_error", "gateway_timeout", "the model did not answer in time"},
    {529, "overloaded_error", "overloaded", "the model is overloaded; try again later"},
    {0, "server_error", NULL, "the server had an error; try again later"},
};

static void member(cfb_jw *w, const char *key, const char *value) {
    cfb_jw_key(w, key);
    cfb_jw_str(w, cfb_str_from(value));
}

static void member_int(cfb_jw *w, const char *key, int64_t v) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, v);
}

static void write_filter(cfb_jw *w) {
    static const char *const names[] = {"hate", "self_harm", "sexual", "violence"};
    cfb_jw_key(w, "innererror");
    cfb_jw_obj(w);
    member(w, "code", "ResponsibleAIPolicyViolation");
    cfb_jw_key(w, "content_filter_result");
    cfb_jw_obj(w);
    for (int i = 0; i < 4; i++) {
        cfb_jw_key(w, names[i]);
        cfb_jw_obj(w);
        cfb_jw_key(w, "filtered");
        cfb_jw_bool(w, i == 3);
        member(w, "severity", i == 3 ? "medium" : "safe");
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_obj(w);
    cfb_jw_end_obj(w);
}

static void write_members(const cfb_mock__profile *p, const cfb_mock__error *e, cfb_jw *w) {
    char status[16];
    snprintf(status, sizeof status, "%d", e->status);
    switch (p->errors) {
    case CFB_MOCK__ERROR_AZURE:
        member(w, "code", e->code != NULL ? e->code : status);
        member(w, "message", e->message);
        if (e->param != NULL) member(w, "param", e->param);
        if (e->content_filter) member_int(w, "status", e->status);
        break;
    case CFB_MOCK__ERROR_LLAMACPP:
        member_int(w, "code", e->status);
        member(w, "message", e->message);
        member(w, "type", e->type);
        if (e->n_ctx > 0) {
            member_int(w, "n_prompt_tokens", e->n_prompt_tokens);
            member_int(w, "n_ctx", e->n_ctx);
        }
        break;
    case CFB_MOCK__ERROR_OPENROUTER:
        member(w, "message", e->message);
        member_int(w, "code", e->status);
        break;
    case CFB_MOCK__ERROR_VLLM:
        member(w, "object", "error");
        member(w, "message", e->message);
        member(w, "type", e->type);
        member(w, "param", e->param);
        member_int(w, "code", e->status);
        break;
    case CFB_MOCK__ERROR_OPENAI:
        member(w, "message", e->message);
        member(w, "type", e->type);
        member(w, "param", e->param);
        member(w, "code", e->code);
        break;
    }
    if (e->content_filter) write_filter(w);
}

cfb_code cfb_mock__write_error(const cfb_mock__profile *p, const cfb_mock__error *given, cfb_buf *out, cfb_err *err) {
    const struct kind *kind = kinds;
    while (kind->status != given->status && kind->status != 0) kind++;
    cfb_mock__error e = *given;
    bool plain = e.type == NULL; /* the code belongs to the type */
    if (e.type == NULL) e.type = e.status >= 400 && e.status < 500 && kind->status == 0 ? "invalid_request_error" : kind->type;
    if (plain && e.code == NULL) e.code = p->errors == CFB_MOCK__ERROR_AZURE ? NULL : kind->code;
    if (e.message == NULL) e.message = kind->message;
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    bool nested = p->errors != CFB_MOCK__ERROR_VLLM;
    if (nested) {
        cfb_jw_key(&w, "error");
        cfb_jw_obj(&w);
    }
    write_members(p, &e, &w);
    if (nested) cfb_jw_end_obj(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
