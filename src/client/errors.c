/* errors.c - why a server refused, as the servers word it: the class of failure, which parameter it does not take, and one line
 * for the user. Each wording has the place where it was seen. */
#include "client/reading.h"
#include "cfbench/utf8.h"

#include <stdio.h>

#define TEXT_MAX 8192u   /* what is searched for wordings */
#define MESSAGE_MAX 200u /* what is shown */

/* What an error says. Strings are null where it does not say it. */
struct facts {
    cfb_str message, code, type, param, inner, provider, raw;
    int64_t number;      /* code, where it is a number; else 0 */
    bool has_request_id; /* DashScope's mark */
    bool has_reasons;    /* OpenRouter's moderation */
    char text[TEXT_MAX]; /* all of it in lower case, NUL-terminated */
    char detail[512];    /* a message made of several members */
};

void cfb_client__set_message(cfb_chat_reply *r, cfb_str text) {
    size_t used = 0, i = 0;
    while (i < text.len && used < MESSAGE_MAX) {
        size_t n = 1;
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80) {
            while (n < 4 && i + n < text.len && ((unsigned char)text.ptr[i + n] & 0xC0) == 0x80) n++;
            bool bad = cfb_utf8_find_invalid((cfb_str){text.ptr + i, n}) != SIZE_MAX;
            if (used + (bad ? 3 : n) > MESSAGE_MAX) break;
            memcpy(r->message + used, bad ? "\xEF\xBF\xBD" : text.ptr + i, bad ? 3 : n);
            used += bad ? 3 : n;
        } else {
            r->message[used++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        }
        i += n;
    }
    r->message[used] = '\0';
}

/* The first of the members that is text with something in it. */
static cfb_str text_of(const cfb_json *object, const char *a, const char *b) {
    cfb_str s = cfb_json_str(cfb_json_get(object, a));
    return s.len == 0 && b != NULL ? cfb_json_str(cfb_json_get(object, b)) : s;
}

/* FastAPI's list of what is wrong (vLLM, SGLang and whatever stands on pydantic): [{"loc":["body","stop"],"msg":"..."}]. Its
 * "input" repeats what was sent and is left out. */
static cfb_str read_detail(const cfb_json *list, struct facts *f) {
    cfb_buf b = CFB_BUF_INIT(sizeof f->detail - 1);
    cfb_code rc = CFB_OK;
    for (const cfb_json *e = cfb_json_first(list); e != NULL && rc == CFB_OK; e = cfb_json_next(e)) {
        cfb_str msg = cfb_json_str(cfb_json_get(e, "msg"));
        if (msg.ptr == NULL) continue;
        if (b.len > 0) rc = cfb_buf_append(&b, "; ", 2, NULL);
        for (const cfb_json *l = cfb_json_first(cfb_json_get(e, "loc")); l != NULL && rc == CFB_OK; l = cfb_json_next(l))
            rc = cfb_buf_printf(&b, NULL, "%s%s", cfb_json_str(l).ptr ? cfb_json_str(l).ptr : "#", cfb_json_next(l) ? "." : ": ");
        if (rc == CFB_OK) rc = cfb_buf_append_str(&b, msg, NULL);
    }
    memcpy(f->detail, b.len ? b.ptr : "", b.len);
    f->detail[b.len] = '\0';
    cfb_str out = {f->detail, b.len};
    cfb_buf_free(&b);
    return out.len ? out : CFB_STR_NULL;
}

/* The words of an error: a text, a list as above, or an object that holds them further inside (Mistral: {"detail": [...]}). */
static cfb_str words_of(const cfb_json *node, struct facts *f) {
    for (int depth = 0; depth < 4 && node != NULL; depth++) {
        cfb_str s = cfb_json_str(node);
        if (s.ptr != NULL) return s;
        if (cfb_json_kind_of(node) == CFB_JSON_ARRAY) return read_detail(node, f);
        const cfb_json *in = cfb_json_get(node, "message");
        node = in != NULL ? in : cfb_json_get(node, "detail");
    }
    return CFB_STR_NULL;
}

/* {"error": {...}} (OpenAI and most), {"error": "..."} (Ollama), {"object": "error", "message": ...} (vLLM before 0.10, SGLang),
 * {"code": "...", "message": "..."} (DashScope), {"detail": ...} (FastAPI), and any of them in a list (Google). */
static bool read_facts(const cfb_json *root, struct facts *f) {
    if (cfb_json_kind_of(root) == CFB_JSON_ARRAY) root = cfb_json_first(root);
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT) return false;
    const cfb_json *e = cfb_json_get(root, "error");
    if (cfb_json_kind_of(e) == CFB_JSON_NULL) {
        bool is_error = cfb_str_eqz(text_of(root, "object", NULL), "error") || cfb_json_get(root, "message") != NULL ||
                        cfb_json_get(root, "detail") != NULL;
        if (!is_error) return false;
        e = root;
    }
    f->message = words_of(e, f);
    if (f->message.len == 0) f->message = words_of(cfb_json_get(root, "message"), f);
    f->has_request_id = cfb_json_get(root, "request_id") != NULL;
    const cfb_json *code = cfb_json_get(e, "code");
    if (cfb_json_kind_of(code) == CFB_JSON_NULL) code = cfb_json_get(root, "code");
    f->code = cfb_json_str(code);
    cfb_json_int(code, &f->number);
    if (f->code.len == 3) f->number = (f->code.ptr[0] - '0') * 100 + (f->code.ptr[1] - '0') * 10 + (f->code.ptr[2] - '0');
    if (f->number < 400 || f->number > 599) f->number = 0;
    f->type = text_of(e, "type", "status");
    f->param = text_of(e, "param", NULL);
    f->inner = text_of(cfb_json_get(e, "innererror"), "code", NULL);
    const cfb_json *more = cfb_json_get(e, "metadata");
    f->provider = text_of(more, "provider_name", NULL);
    f->raw = text_of(more, "raw", NULL);
    f->has_reasons = cfb_json_first(cfb_json_get(more, "reasons")) != NULL;
    return true;
}

static size_t add_lower(struct facts *f, size_t used, cfb_str s) {
    for (size_t i = 0; i < s.len && used + 2 < TEXT_MAX; i++) {
        char c = s.ptr[i];
        f->text[used++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '\0' ? ' ' : c;
    }
    f->text[used++] = '\n';
    f->text[used] = '\0';
    return used;
}

/* The body counts only where no message was found: it may repeat the prompt. */
static void collect_text(struct facts *f, cfb_str body) {
    const cfb_str parts[] = {f->code, f->type, f->inner, f->message, f->raw, f->message.len ? CFB_STR_LIT("") : body};
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && used + 2 < TEXT_MAX; i++) used = add_lower(f, used, parts[i]);
}

/* words: ends with NULL */
static bool says(const struct facts *f, const char *const *words) {
    for (; *words != NULL; words++)
        if (strstr(f->text, *words) != NULL) return true;
    return false;
}

/* Refused for what the prompt is about. That is an answer of its kind. */
static bool is_filtered(const struct facts *f, long status) {
    static const char *const words[] = {
        "\ncontent_filter\n", /* Azure, learn.microsoft.com "content filtering": 400, code content_filter */
        "content management policy",
        "responsibleaipolicyviolation", /* Azure's words and its innererror */
        "content_policy_violation",
        "content_filter_error",
        "data_inspection_failed",
        "datainspectionfailed",                   /* DashScope, help.aliyun.com error codes: 400 */
        "inappropriate content",                  /* DashScope's words for it */
        "content exists risk",                    /* DeepSeek: 400 */
        "potentially violating our usage policy", /* OpenAI's reasoning models: 400, code invalid_prompt */
        NULL};
    if (status != 400 && status != 403 && status != 451 && status >= 300) return false;
    if (strncmp(f->text, "content_filter\n", 15) == 0 || says(f, words)) return true;
    /* openrouter.ai/docs/errors, "Moderation Errors": 403 with metadata.reasons */
    return status == 403 && (f->has_reasons || strstr(f->text, "requires moderation") != NULL);
}

/* Nothing will come until somebody pays or a day has passed. */
static bool is_payment(const struct facts *f, long status) {
    static const char *const words[] = {
        "insufficient_quota", /* OpenAI, platform.openai.com error codes: 429 */
        "billing_not_active",
        "billing_hard_limit_reached",   /* OpenAI: 429, 400 */
        "exceeded_current_quota_error", /* Moonshot: 429 */
        "insufficient balance",         /* DeepSeek: 402, behind gateways also 400 (Aider-AI/aider#4851) */
        "insufficient credits",
        "insufficient_credits",
        "requires more credits",     /* OpenRouter: 402 */
        "credit balance is too low", /* Anthropic: 400 */
        "arrearage",                 /* DashScope: 400 */
        "freetieronly",              /* DashScope, AllocationQuota.FreeTierOnly: 403 */
        NULL};
    if (status == 402) return true;
    if (status != 400 && status != 401 && status != 403 && status != 429 && status >= 300) return false;
    if (!says(f, words)) return false;
    /* On DashScope insufficient_quota is the limit of tokens per minute (alibabacloud.com/help/en/model-studio/rate-limit). */
    bool dashscope =
        f->has_request_id || strstr(f->text, "aliyun") || strstr(f->text, "alibabacloud") || strstr(f->text, "allocated quota");
    return !(dashscope && strstr(f->text, "insufficient_quota") && !strstr(f->text, "freetieronly"));
}

static bool is_context_length(const struct facts *f, long status) {
    static const char *const words[] = {"context_length_exceeded", /* OpenAI, Azure: code */
                                        "maximum context length",  /* OpenAI, vLLM (#20409), DeepSeek, OpenRouter, SGLang */
                                        "model's context length",  /* vLLM 0.16 (harbor#996), SGLang */
                                        "exceed_context_size_error",
                                        "available context size",         /* llama.cpp (#15780, #19774) */
                                        "context size has been exceeded", /* llama.cpp: 500 (#19774) */
                                        "exceed context window",
                                        "the context window of this model",
                                        "exceeds the context window", /* llama-cpp-python, OpenAI */
                                        "exceeds the context length",
                                        "exceeds maximum context", /* Ollama */
                                        "longer than the maximum model length",
                                        "maximum model length",
                                        "max_model_len", /* vLLM */
                                        "max_tokens must be at least 1, got -",
                                        "max_completion_tokens must be at least 1, got -", /* vLLM (#4667) */
                                        "range of input length should be",
                                        "message token length exceed", /* DashScope: 400 invalid_parameter_error */
                                        "prompt is too long",
                                        "input is too long for requested model", /* Anthropic, Bedrock */
                                        "reduce the length of the ",             /* the advice that most of the above end with */
                                        NULL};
    return (status < 300 || status == 400 || status == 413 || status == 422 || status >= 500) && says(f, words);
}

static bool is_wrong_model(const struct facts *f, long status) {
    static const char *const words[] = {"model_not_found",         /* OpenAI, DashScope, SGLang */
                                        "model not exist",         /* DeepSeek: 400 */
                                        "is not a valid model id", /* OpenRouter: 400 */
                                        "deploymentnotfound",      /* Azure: 404 */
                                        NULL};
    return (status == 400 || status == 403 || status == 404 || status < 300) && says(f, words);
}

static bool is_wrong_key(const struct facts *f, long status) {
    static const char *const words[] = {"invalid_api_key", "invalidapikey", "incorrect api key", "api key not valid", NULL};
    return (status == 400 || status < 300) && says(f, words);
}

static bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

/* Does the text name this parameter? A name that is an English word too must stand in quotes, or behind what announces one. */
static bool names(const struct facts *f, const char *name) {
    static const char *const before[] = {"supplied: ", "parameter: ", "parameters: ", "field: ", "body -> ", "body.", "#/", NULL};
    size_t n = strlen(name);
    bool plain = strchr(name, '_') == NULL;
    for (const char *p = f->text; (p = strstr(p, name)) != NULL; p += n) {
        if ((p > f->text && is_word(p[-1])) || is_word(p[n])) continue;
        if (!plain) return true;
        bool quoted = p > f->text && strchr("'\"`", p[-1]) != NULL && p[n] != '\0' && strchr("'\"`\\", p[n]) != NULL;
        if (quoted && p[n + 1] != ':') return true; /* with a colon it is a member of what was sent */
        for (const char *const *b = before; *b != NULL; b++) {
            size_t len = strlen(*b);
            if ((size_t)(p - f->text) >= len && memcmp(p - len, *b, len) == 0) return true;
        }
    }
    return false;
}

/* Which of the parameters that we send does the server not take? OpenAI: 400 with code unsupported_parameter, unsupported_value
 * or unknown_parameter, and param. Older Azure: "Unrecognized request argument supplied: stream_options". pydantic: type
 * extra_forbidden (microsoft/semantic-kernel#10510, NVIDIA/garak#748). Others: "... is not allowed" (Roo-Code#83). */
static unsigned refused_by(const struct facts *f) {
    static const char *const words[] = {"unsupported",
                                        "not supported",
                                        "does not support",
                                        "not_supported",
                                        "unknown_parameter",
                                        "unknown parameter",
                                        "unknown field",
                                        "unknown argument",
                                        "unrecognized",
                                        "unexpected keyword",
                                        "was unexpected",
                                        "extra inputs",
                                        "extra_forbidden",
                                        "extra fields",
                                        "not permitted",
                                        "not allowed",
                                        NULL};
    static const struct {
        const char *name;
        unsigned bit;
    } params[] = {{"max_tokens", CFB_REFUSED_MAX_TOKENS},         {"max_completion_tokens", CFB_REFUSED_MAX_TOKENS},
                  {"temperature", CFB_REFUSED_TEMPERATURE},       {"stop", CFB_REFUSED_STOP},
                  {"stream_options", CFB_REFUSED_STREAM_OPTIONS}, {"seed", CFB_REFUSED_SEED}};
    unsigned refused = 0;
    if (!says(f, words)) return 0;
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        if (f->param.len > 0 ? cfb_str_eqz(f->param, params[i].name) : names(f, params[i].name)) refused |= params[i].bit;
    return refused;
}

/* An error without a status: by the names that the APIs give their errors. */
static cfb_fail class_of_name(const struct facts *f) {
    static const struct {
        const char *word;
        cfb_fail fail;
    } types[] = {{"rate_limit", CFB_FAIL_RATE_LIMIT},
                 {"ratelimit", CFB_FAIL_RATE_LIMIT},
                 {"throttling", CFB_FAIL_RATE_LIMIT},
                 {"overloaded", CFB_FAIL_OVERLOADED},
                 {"unavailable", CFB_FAIL_OVERLOADED},
                 {"authentication", CFB_FAIL_AUTH},
                 {"permission", CFB_FAIL_AUTH},
                 {"not_found", CFB_FAIL_NOT_FOUND},
                 {"invalid_request", CFB_FAIL_BAD_REQUEST},
                 {"invalid_parameter", CFB_FAIL_BAD_REQUEST},
                 {"badrequest", CFB_FAIL_BAD_REQUEST}};
    char name[160];
    size_t n = strcspn(f->text, "\n"); /* code, then type: the first two lines */
    n += f->text[n] == '\n' ? 1 + strcspn(f->text + n + 1, "\n") : 0;
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), f->text);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strstr(name, types[i].word) != NULL) return types[i].fail;
    return CFB_FAIL_SERVER;
}

/* Without a header, the wait stands in the words: "Please try again in 41.724s." (OpenAI), "Please retry after 5 seconds."
 * (Azure). */
static void read_wait_in_words(const struct facts *f, cfb_chat_reply *r) {
    static const char *const before[] = {"try again in ", "retry after "};
    char line[64];
    for (size_t i = 0; r->hints.retry_after_s < 0 && i < sizeof before / sizeof *before; i++) {
        const char *p = strstr(f->text, before[i]);
        if (p == NULL) continue;
        p += strlen(before[i]);
        size_t n = strspn(p, "0123456789.hms");
        while (n > 0 && p[n - 1] == '.') n--;
        if (n == 0 || n > 32) continue;
        int len = snprintf(line, sizeof line, "retry-after: %.*s", (int)n, p);
        cfb_client__read_header((cfb_str){line, (size_t)len}, 0, &r->hints);
    }
}

static void classify(const struct facts *f, cfb_chat_reply *r) {
    long status = r->http_status;
    r->refused = 0;
    if (is_filtered(f, status)) {
        r->fail = CFB_FAIL_NONE;
        r->finish = CFB_FINISH_FILTER;
        r->content = CFB_STR_LIT("");
        return;
    }
    /* OpenAI, 429: more tokens at once than a minute may have. Waiting does not help. */
    bool too_large = status == 429 && strstr(f->text, "request too large for ") != NULL;
    bool given = (status >= 200 && status < 300) || status == 400 || status == 422;
    if (is_payment(f, status)) {
        r->fail = CFB_FAIL_PAYMENT;
    } else if (is_context_length(f, status)) {
        r->fail = CFB_FAIL_CONTEXT_LENGTH;
    } else if (too_large) {
        r->fail = CFB_FAIL_TOO_LARGE;
    } else if (is_wrong_key(f, status)) {
        r->fail = CFB_FAIL_AUTH;
    } else if (is_wrong_model(f, status)) {
        r->fail = CFB_FAIL_NOT_FOUND;
    } else if (given && (r->refused = refused_by(f)) != 0) {
        r->fail = CFB_FAIL_BAD_REQUEST;
    } else {
        r->fail = status >= 200 && status < 300 ? class_of_name(f) : cfb_client__class_of_status(status);
    }
    if (r->fail == CFB_FAIL_RATE_LIMIT || r->fail == CFB_FAIL_OVERLOADED) read_wait_in_words(f, r);
}

/* A page of a proxy: its title says more than its beginning. */
static cfb_str shown_part(cfb_str body) {
    size_t skip = 0;
    if (body.len == 0) return body;
    while (skip < body.len && body.ptr[skip] != '\0' && strchr(" \t\r\n", body.ptr[skip]) != NULL) skip++;
    body = (cfb_str){body.ptr + skip, body.len - skip};
    if (body.len == 0 || body.ptr[0] != '<') return body;
    size_t at = cfb_str_find(body, CFB_STR_LIT("<title>"), 0);
    size_t end = at == SIZE_MAX ? at : cfb_str_find(body, CFB_STR_LIT("</title>"), at);
    return end == SIZE_MAX ? body : (cfb_str){body.ptr + at + 7, end - at - 7};
}

static void show(const struct facts *f, cfb_str body, cfb_chat_reply *r) {
    char line[600];
    cfb_str text = f->message.len ? f->message : shown_part(body);
    if (f->raw.len > 0) { /* OpenRouter: "Provider returned error", and what the provider said */
        snprintf(line, sizeof line, "%.80s (%.40s: %.300s)", text.len ? text.ptr : "",
                 f->provider.len ? f->provider.ptr : "provider", f->raw.ptr);
        text = cfb_str_from(line);
    }
    cfb_client__set_message(r, text);
    if (r->message[strspn(r->message, " ")] == '\0')
        cfb_client__set_message(r, CFB_STR_LIT("the server answered an error without a message"));
}

bool cfb_client__read_error(const cfb_json *root, cfb_str body, cfb_chat_reply *r) {
    struct facts f;
    memset(&f, 0, offsetof(struct facts, text));
    f.detail[0] = '\0';
    if (!read_facts(root, &f)) return false;
    if (r->http_status < 400 && f.number != 0) r->http_status = (long)f.number; /* gateways wrap an upstream error in a 200 */
    collect_text(&f, body);
    show(&f, f.message, r);
    classify(&f, r);
    return true;
}

void cfb_client__read_error_reply(cfb_str body, cfb_chat_reply *r) {
    cfb_json *root = NULL;
    if (body.ptr == NULL) body = CFB_STR_LIT("");
    cfb_code rc = cfb_json_parse(body.ptr, body.len, CFB_JSON_REPAIR, &root, NULL);
    if (rc != CFB_OK || !cfb_client__read_error(root, body, r)) {
        struct facts f;
        memset(&f, 0, offsetof(struct facts, text));
        collect_text(&f, body);
        classify(&f, r);
        cfb_client__set_message(r, body.len ? shown_part(body) : CFB_STR_LIT("the server said nothing more"));
        if (r->message[0] == '\0') cfb_client__set_message(r, CFB_STR_LIT("the server said nothing more"));
    }
    cfb_json_free(root);
}
