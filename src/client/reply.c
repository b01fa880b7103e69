/* reply.c - the body of a reply, as servers really write it. The common form is read by a walk over the bytes; everything else,
 * and everything that is wrong, through a tree. Both give the same result (tests/unit/test_client_reply.c,
 * tests/fuzz/fuzz_reply.c). */
#include "client/reading.h"
#include "client/jscan.h"
#include "cfbench/utf8.h"

#include <stdio.h>

void cfb_chat_reply_init(cfb_chat_reply *r) {
    *r = (cfb_chat_reply){.content = CFB_STR_LIT(""),
                          .finish = CFB_FINISH_OTHER,
                          .prompt_tokens = -1,
                          .completion_tokens = -1,
                          .reasoning_tokens = -1,
                          .cached_tokens = -1,
                          .ttft_us = -1,
                          .hints = CFB_RATE_HINTS_INIT};
}

/* ---- what whole replies and streams have in common ---- */

/* A part of a content list: its text, and whether it is thinking. Mistral's thinking parts hold a list of parts again. */
static cfb_code read_part(const cfb_json *part, cfb_buf *text, cfb_buf *reasoning, cfb_err *err) {
    if (cfb_json_kind_of(part) == CFB_JSON_STRING) return cfb_buf_append_str(text, cfb_json_str(part), err);
    cfb_str type = cfb_json_str(cfb_json_get(part, "type"));
    if (type.ptr == NULL || cfb_str_eqz(type, "text") || cfb_str_eqz(type, "output_text")) {
        cfb_str s = cfb_json_str(cfb_json_get(part, "text"));
        return s.ptr ? cfb_buf_append_str(text, s, err) : CFB_OK;
    }
    if (cfb_str_eqz(type, "refusal")) {
        cfb_str s = cfb_json_str(cfb_json_get(part, "refusal"));
        return s.ptr ? cfb_buf_append_str(text, s, err) : CFB_OK;
    }
    if (!cfb_str_eqz(type, "thinking") && !cfb_str_eqz(type, "reasoning")) return CFB_OK;
    const cfb_json *inner = cfb_json_get(part, "thinking");
    cfb_str s = cfb_json_str(cfb_json_kind_of(inner) == CFB_JSON_STRING ? inner : cfb_json_get(part, "text"));
    if (s.ptr != NULL) return cfb_buf_append_str(reasoning, s, err);
    cfb_code rc = CFB_OK;
    if (cfb_json_kind_of(inner) != CFB_JSON_ARRAY) return rc;
    for (const cfb_json *p = cfb_json_first(inner); p && rc == CFB_OK; p = cfb_json_next(p)) {
        s = cfb_json_str(cfb_json_get(p, "text"));
        if (s.ptr != NULL) rc = cfb_buf_append_str(reasoning, s, err);
    }
    return rc;
}

cfb_code cfb_client__read_content(const cfb_json *content, cfb_buf *text, cfb_buf *reasoning, bool *ok, cfb_err *err) {
    cfb_code rc = CFB_OK;
    *ok = true;
    switch (cfb_json_kind_of(content)) {
    case CFB_JSON_NULL: break;
    case CFB_JSON_STRING: rc = cfb_buf_append_str(text, cfb_json_str(content), err); break;
    case CFB_JSON_ARRAY:
        for (const cfb_json *p = cfb_json_first(content); p && rc == CFB_OK; p = cfb_json_next(p))
            rc = read_part(p, text, reasoning, err);
        break;
    default: *ok = false;
    }
    return rc;
}

/* A text, or a list of texts and objects that hold one (OpenRouter's reasoning_details: text or summary). */
static cfb_code add_reasoning(const cfb_json *node, cfb_buf *reasoning, cfb_err *err) {
    cfb_str s = cfb_json_str(node);
    if (s.ptr != NULL) return cfb_buf_append_str(reasoning, s, err);
    cfb_code rc = CFB_OK;
    if (cfb_json_kind_of(node) != CFB_JSON_ARRAY) return rc;
    for (const cfb_json *p = cfb_json_first(node); p && rc == CFB_OK; p = cfb_json_next(p)) {
        s = cfb_json_str(p);
        if (s.ptr == NULL) s = cfb_json_str(cfb_json_get(p, "text"));
        if (s.ptr == NULL) s = cfb_json_str(cfb_json_get(p, "summary"));
        if (s.ptr != NULL) rc = cfb_buf_append_str(reasoning, s, err);
    }
    return rc;
}

/* reasoning_content: DeepSeek, DashScope, SGLang, llama.cpp, older vLLM. reasoning: OpenRouter, Ollama, newer vLLM. Some
 * send the same text under two names: the first that holds any counts. */
cfb_code cfb_client__read_reasoning(const cfb_json *message, cfb_buf *reasoning, cfb_err *err) {
    static const char *const names[] = {"reasoning_content", "reasoning", "reasoning_details"};
    size_t before = reasoning->len;
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && rc == CFB_OK && reasoning->len == before; i++)
        rc = add_reasoning(cfb_json_get(message, names[i]), reasoning, err);
    return rc;
}

/* OpenAI's four, which most servers keep to, and what others say for them. */
static const struct {
    const char *name;
    cfb_finish finish;
} finishes[] = {
    {"stop", CFB_FINISH_STOP},
    {"length", CFB_FINISH_LENGTH},
    {"content_filter", CFB_FINISH_FILTER},
    {"tool_calls", CFB_FINISH_OTHER},
    {"eos", CFB_FINISH_STOP}, /* text-generation-inference and older gateways */
    {"eos_token", CFB_FINISH_STOP},
    {"stop_sequence", CFB_FINISH_STOP},
    {"end_turn", CFB_FINISH_STOP}, /* Anthropic behind gateways */
    {"STOP", CFB_FINISH_STOP},     /* Google behind gateways */
    {"max_tokens", CFB_FINISH_LENGTH},
    {"MAX_TOKENS", CFB_FINISH_LENGTH},
    {"model_length", CFB_FINISH_LENGTH}, /* Mistral: the context is full */
    {"refusal", CFB_FINISH_FILTER},
    {"SAFETY", CFB_FINISH_FILTER},
    {"sensitive", CFB_FINISH_FILTER}, /* Zhipu */
};

bool cfb_client__read_finish(cfb_str reason, cfb_chat_reply *r) {
    static const struct {
        const char *name;
        cfb_fail fail;
        const char *what;
    } broken[] = {
        /* DeepSeek, api-docs.deepseek.com "Create Chat Completion" */
        {"insufficient_system_resource", CFB_FAIL_OVERLOADED, "the server ran out of resources in the middle of the reply"},
        {"error", CFB_FAIL_SERVER, "the server failed in the middle of the reply"},  /* OpenRouter */
        {"abort", CFB_FAIL_SERVER, "the server gave up in the middle of the reply"}, /* vLLM, SGLang */
    };
    r->finish = reason.ptr == NULL ? CFB_FINISH_STOP : CFB_FINISH_OTHER;
    for (size_t i = 0; reason.ptr != NULL && i < sizeof finishes / sizeof *finishes; i++)
        if (cfb_str_eqz(reason, finishes[i].name)) {
            r->finish = finishes[i].finish;
            return true;
        }
    for (size_t i = 0; reason.ptr != NULL && i < sizeof broken / sizeof *broken; i++)
        if (cfb_str_eqz(reason, broken[i].name)) {
            r->fail = broken[i].fail;
            cfb_client__set_message(r, cfb_str_from(broken[i].what));
            return false;
        }
    return true;
}

static void read_count(const cfb_json *object, const char *name, int64_t *out) {
    int64_t v;
    if (cfb_json_int(cfb_json_get(object, name), &v) && v >= 0) *out = v;
}

/* OpenAI's names; prompt_cache_hit_tokens is DeepSeek's, reasoning_tokens beside the others SGLang's. */
void cfb_client__read_usage(const cfb_json *usage, cfb_chat_reply *r) {
    read_count(usage, "prompt_tokens", &r->prompt_tokens);
    read_count(usage, "completion_tokens", &r->completion_tokens);
    read_count(usage, "prompt_cache_hit_tokens", &r->cached_tokens);
    read_count(cfb_json_get(usage, "prompt_tokens_details"), "cached_tokens", &r->cached_tokens);
    read_count(usage, "reasoning_tokens", &r->reasoning_tokens);
    read_count(cfb_json_get(usage, "completion_tokens_details"), "reasoning_tokens", &r->reasoning_tokens);
}

static void bad_reply(cfb_chat_reply *r, const char *what) {
    cfb_client__set_message(r, cfb_str_from(what));
    r->fail = CFB_FAIL_BAD_REPLY;
}

/* ---- the tree ---- */

/* Content, reasoning behind it in the same buffer, and OpenAI's refusal where there is no content: the model's own words. */
static cfb_code read_message(const cfb_json *message, cfb_buf *scratch, cfb_chat_reply *r, cfb_err *err) {
    cfb_buf reasoning = CFB_BUF_INIT(scratch->max);
    bool ok;
    cfb_code rc = cfb_client__read_content(cfb_json_get(message, "content"), scratch, &reasoning, &ok, err);
    cfb_str refusal = cfb_json_str(cfb_json_get(message, "refusal"));
    if (rc == CFB_OK && scratch->len == 0 && refusal.len > 0) rc = cfb_buf_append_str(scratch, refusal, err);
    size_t len = scratch->len;
    if (rc == CFB_OK && reasoning.len > 0)
        rc = cfb_buf_append_str(scratch, cfb_buf_str(&reasoning), err);
    else if (rc == CFB_OK)
        rc = cfb_client__read_reasoning(message, scratch, err);
    cfb_buf_free(&reasoning);
    if (rc != CFB_OK) return rc;
    r->content = (cfb_str){scratch->ptr, len};
    if (scratch->len > len) r->reasoning = (cfb_str){scratch->ptr + len, scratch->len - len};
    if (!ok) bad_reply(r, "choices[0].message.content is neither text nor null");
    return CFB_OK;
}

static cfb_code read_tree(const cfb_json *root, cfb_str body, cfb_buf *scratch, cfb_chat_reply *r, cfb_err *err) {
    const cfb_json *choice = cfb_json_first(cfb_json_get(root, "choices"));
    const cfb_json *message = cfb_json_get(choice, "message");
    cfb_client__read_usage(cfb_json_get(root, "usage"), r);
    if (cfb_json_kind_of(cfb_json_get(choice, "error")) != CFB_JSON_NULL && cfb_client__read_error(choice, body, r))
        return CFB_OK;
    if (cfb_json_kind_of(message) != CFB_JSON_OBJECT) {
        if (!cfb_client__read_error(root, body, r)) bad_reply(r, "the server's JSON has no choices[0].message");
        return CFB_OK;
    }
    cfb_code rc = read_message(message, scratch, r, err); /* an answer counts, whatever stands beside it */
    if (rc == CFB_OK) cfb_client__read_finish(cfb_json_str(cfb_json_get(choice, "finish_reason")), r);
    return rc;
}

static void not_json(cfb_str body, const char *why, cfb_chat_reply *r) {
    size_t skip = 0;
    while (skip < body.len && body.ptr[skip] != '\0' && strchr(" \t\r\n", body.ptr[skip])) skip++;
    bool html = skip < body.len && body.ptr[skip] == '<';
    char what[200];
    snprintf(what, sizeof what, "the server answered %s instead of JSON (%.120s)",
             skip == body.len ? "nothing"
             : html           ? "HTML"
                              : "something",
             why);
    bad_reply(r, what);
}

/* ---- the walk ---- */

enum { PROMPT, COMPLETION, CACHE_HIT, CACHED, REASONING, REASONING_BESIDE, USAGES };

struct found {
    cfb_jraw content, reasoning_content, reasoning, finish;
    int64_t usage[USAGES];
    bool message;
};

static bool is(cfb_str key, cfb_str name) { return key.len == name.len && memcmp(key.ptr, name.ptr, name.len) == 0; }
#define IS(key, name) is(key, CFB_STR_LIT(name))

/* A string or null; only the first member of a name counts. */
static bool take_text(cfb_jscan *s, cfb_jraw *out, unsigned *seen, unsigned bit) {
    if ((*seen & bit) != 0) return cfb_jscan_skip(s);
    *seen |= bit;
    return cfb_jscan_peek(s) == '"' ? cfb_jscan_string(s, out) : cfb_jscan_peek(s) == 'n' && cfb_jscan_skip(s);
}

/* Only what needs no thought: null, an empty list, an empty text. */
static bool skip_nothing(cfb_jscan *s) {
    const char *p = (cfb_jscan_peek(s), s->p);
    if (!cfb_jscan_skip(s)) return false;
    size_t n = (size_t)(s->p - p);
    return (n == 4 && p[0] == 'n') || (n == 2 && p[0] != '{');
}

static bool walk_message(cfb_jscan *s, struct found *f) {
    cfb_str key;
    unsigned seen = 0;
    if (!cfb_jscan_open(s, '{')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(s, first, &key);
        if (more != 1) return more == 0;
        bool ok;
        if (IS(key, "content"))
            ok = take_text(s, &f->content, &seen, 1);
        else if (IS(key, "reasoning_content"))
            ok = take_text(s, &f->reasoning_content, &seen, 2);
        else if (IS(key, "reasoning"))
            ok = take_text(s, &f->reasoning, &seen, 4);
        else if (IS(key, "refusal") || IS(key, "reasoning_details"))
            ok = skip_nothing(s);
        else
            ok = cfb_jscan_skip(s);
        if (!ok) return false;
    }
}

static bool walk_choice(cfb_jscan *s, struct found *f) {
    cfb_str key;
    unsigned seen = 0;
    if (!cfb_jscan_open(s, '{')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(s, first, &key);
        if (more != 1) return more == 0;
        bool ok;
        if (IS(key, "message") && !f->message) {
            ok = walk_message(s, f);
            f->message = true;
        } else if (IS(key, "finish_reason")) {
            ok = take_text(s, &f->finish, &seen, 1);
        } else if (IS(key, "error")) {
            ok = cfb_jscan_peek(s) == 'n' && cfb_jscan_skip(s);
        } else {
            ok = cfb_jscan_skip(s);
        }
        if (!ok) return false;
    }
}

static bool walk_choices(cfb_jscan *s, struct found *f) {
    if (!cfb_jscan_open(s, '[')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_element(s, first);
        if (more != 1) return more == 0;
        if (!(first ? walk_choice(s, f) : cfb_jscan_skip(s))) return false;
    }
}

static bool take_count(cfb_jscan *s, int64_t *out) { return *out < 0 ? cfb_jscan_count(s, out) : false; }

static bool walk_details(cfb_jscan *s, const char *name, int64_t *out) {
    cfb_str key;
    if (cfb_jscan_peek(s) == 'n') return cfb_jscan_skip(s);
    if (!cfb_jscan_open(s, '{')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(s, first, &key);
        if (more != 1) return more == 0;
        if (!(cfb_str_eqz(key, name) ? take_count(s, out) : cfb_jscan_skip(s))) return false;
    }
}

static bool walk_usage(cfb_jscan *s, struct found *f) {
    cfb_str key;
    unsigned seen = 0;
    if (!cfb_jscan_open(s, '{')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(s, first, &key);
        if (more != 1) return more == 0;
        bool ok;
        if (IS(key, "prompt_tokens")) {
            ok = take_count(s, &f->usage[PROMPT]);
        } else if (IS(key, "completion_tokens")) {
            ok = take_count(s, &f->usage[COMPLETION]);
        } else if (IS(key, "prompt_cache_hit_tokens")) {
            ok = take_count(s, &f->usage[CACHE_HIT]);
        } else if (IS(key, "prompt_tokens_details")) {
            ok = !(seen & 1) && walk_details(s, "cached_tokens", &f->usage[CACHED]);
            seen |= 1;
        } else if (IS(key, "completion_tokens_details")) {
            ok = !(seen & 2) && walk_details(s, "reasoning_tokens", &f->usage[REASONING]);
            seen |= 2;
        } else if (IS(key, "reasoning_tokens")) {
            ok = take_count(s, &f->usage[REASONING_BESIDE]);
        } else {
            ok = cfb_jscan_skip(s);
        }
        if (!ok) return false;
    }
}

static bool walk(cfb_str body, struct found *f) {
    cfb_jscan s = cfb_jscan_of(body);
    cfb_str key;
    bool choices = false, usage = false;
    if (!cfb_jscan_open(&s, '{')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(&s, first, &key);
        if (more == 0) return f->message && cfb_jscan_at_end(&s);
        if (more < 0) return false;
        bool ok;
        if (IS(key, "choices") && !choices) {
            ok = walk_choices(&s, f);
            choices = true;
        } else if (IS(key, "usage") && !usage) {
            ok = cfb_jscan_peek(&s) == 'n' ? cfb_jscan_skip(&s) : walk_usage(&s, f);
            usage = true;
        } else {
            ok = cfb_jscan_skip(&s);
        }
        if (!ok) return false;
    }
}

/* False: not the common form; r and scratch are as before. */
static bool read_walk(cfb_str body, cfb_buf *scratch, cfb_chat_reply *r) {
    struct found f = {.usage = {-1, -1, -1, -1, -1, -1}};
    if (cfb_utf8_find_invalid(body) != SIZE_MAX || !walk(body, &f)) return false;
    size_t reason = 0;
    while (f.finish.ptr && reason < 4 && !cfb_str_eqz((cfb_str){f.finish.ptr, f.finish.len}, finishes[reason].name)) reason++;
    if (reason == 4) return false;
    cfb_jraw thought = f.reasoning_content.len > 0 ? f.reasoning_content : f.reasoning;
    if (!cfb_jraw_decode(f.content.ptr ? f.content : (cfb_jraw){"", 0, false}, scratch)) return false;
    size_t len = scratch->len;
    if (thought.len > 0 && !cfb_jraw_decode(thought, scratch)) {
        cfb_buf_clear(scratch);
        return false;
    }
    r->content = (cfb_str){scratch->ptr, len};
    if (scratch->len > len) r->reasoning = (cfb_str){scratch->ptr + len, scratch->len - len};
    r->finish = f.finish.ptr ? finishes[reason].finish : CFB_FINISH_STOP;
    r->prompt_tokens = f.usage[PROMPT];
    r->completion_tokens = f.usage[COMPLETION];
    r->cached_tokens = f.usage[CACHED] >= 0 ? f.usage[CACHED] : f.usage[CACHE_HIT];
    r->reasoning_tokens = f.usage[REASONING] >= 0 ? f.usage[REASONING] : f.usage[REASONING_BESIDE];
    return true;
}

static void nothing_read(cfb_chat_reply *r) {
    r->prompt_tokens = r->completion_tokens = r->reasoning_tokens = r->cached_tokens = -1;
    r->content = CFB_STR_LIT("");
    r->reasoning = CFB_STR_NULL;
    r->finish = CFB_FINISH_OTHER;
    r->fail = CFB_FAIL_NONE;
    r->refused = 0;
    r->message[0] = '\0';
}

cfb_code cfb_client__parse_reply_by_tree(cfb_str body, cfb_buf *scratch, cfb_chat_reply *r, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_err json_err = CFB_ERR_INIT;
    nothing_read(r);
    cfb_buf_clear(scratch);
    cfb_code rc = cfb_buf_reserve(scratch, 0, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_json_parse(body.ptr ? body.ptr : "", body.len, CFB_JSON_REPAIR, &root, &json_err);
    if (rc == CFB_ENOMEM) {
        if (err) *err = json_err;
        return rc;
    }
    if (rc == CFB_OK) {
        rc = read_tree(root, body, scratch, r, err);
    } else {
        not_json(body, json_err.msg, r);
        rc = CFB_OK;
    }
    cfb_json_free(root);
    return rc;
}

cfb_code cfb_client_parse_reply(cfb_str body, cfb_buf *scratch, cfb_chat_reply *r, cfb_err *err) {
    nothing_read(r);
    cfb_buf_clear(scratch);
    if (body.ptr != NULL && read_walk(body, scratch, r)) return CFB_OK;
    return cfb_client__parse_reply_by_tree(body, scratch, r, err);
}
