/* sse.c - a reply that comes piece by piece as server-sent events (html.spec.whatwg.org, 9.2), as servers write them: with and
 * without a space behind the colon, with comments to keep the connection alive, with and without [DONE]. */
#include "client/reading.h"
#include "client/jscan.h"
#include "cfbench/utf8.h"

#define MAX_DATA_LINES 64u /* of one event; each further line is tried together with those before */

enum event { EVENT_MESSAGE, EVENT_ERROR, EVENT_OTHER };

void cfb_sse_init(cfb_sse *s, size_t max_bytes) {
    *s = (cfb_sse){0};
    s->line.max = s->content.max = s->reasoning.max = s->data.max = max_bytes;
    cfb_chat_reply_init(&s->reply);
}

void cfb_sse_reset(cfb_sse *s) {
    cfb_sse kept = *s;
    cfb_sse_init(s, 0);
    s->by_tree = kept.by_tree;
    s->line = kept.line;
    s->content = kept.content;
    s->reasoning = kept.reasoning;
    s->data = kept.data;
    cfb_buf_clear(&s->line);
    cfb_buf_clear(&s->content);
    cfb_buf_clear(&s->reasoning);
    cfb_buf_clear(&s->data);
}

void cfb_sse_free(cfb_sse *s) {
    cfb_buf_free(&s->line);
    cfb_buf_free(&s->content);
    cfb_buf_free(&s->reasoning);
    cfb_buf_free(&s->data);
}

static void fail(cfb_sse *s, cfb_fail f, const char *what) {
    s->failed = true;
    s->reply.fail = f;
    cfb_client__set_message(&s->reply, cfb_str_from(what));
}

/* What a chunk adds. Some servers send a whole message instead of a delta. */
static cfb_code add_delta(cfb_sse *s, const cfb_json *choice, cfb_err *err) {
    const cfb_json *delta = cfb_json_get(choice, "delta");
    if (cfb_json_kind_of(delta) != CFB_JSON_OBJECT) delta = cfb_json_get(choice, "message");
    bool ok;
    cfb_code rc = cfb_client__read_content(cfb_json_get(delta, "content"), &s->content, &s->reasoning, &ok, err);
    if (rc == CFB_OK && !ok) fail(s, CFB_FAIL_BAD_REPLY, "choices[0].delta.content is neither text nor null");
    cfb_str refusal = cfb_json_str(cfb_json_get(delta, "refusal"));
    if (rc == CFB_OK && refusal.ptr != NULL) rc = cfb_buf_append_str(&s->content, refusal, err);
    return rc == CFB_OK ? cfb_client__read_reasoning(delta, &s->reasoning, err) : rc;
}

/* The choice with index 0, which is the only one unless --extra-body asks for more. */
static const cfb_json *first_choice(const cfb_json *choices) {
    for (const cfb_json *c = cfb_json_first(choices); c != NULL; c = cfb_json_next(c)) {
        int64_t index = 0;
        cfb_json_int(cfb_json_get(c, "index"), &index);
        if (index == 0 && cfb_json_kind_of(c) == CFB_JSON_OBJECT) return c;
    }
    return NULL;
}

static cfb_code add_chunk(cfb_sse *s, const cfb_json *root, cfb_str text, cfb_err *err) {
    const cfb_json *choice = first_choice(cfb_json_get(root, "choices"));
    bool is_error = s->event == EVENT_ERROR || cfb_json_kind_of(cfb_json_get(root, "error")) != CFB_JSON_NULL ||
                    cfb_str_eqz(cfb_json_str(cfb_json_get(root, "object")), "error");
    bool choice_failed = cfb_json_kind_of(cfb_json_get(choice, "error")) != CFB_JSON_NULL; /* OpenRouter */
    if (is_error || choice_failed) {
        s->reply.http_status = 200;
        s->failed = true;
        if (!cfb_client__read_error(choice_failed ? choice : root, text, &s->reply))
            fail(s, CFB_FAIL_SERVER, "the server sent an error event in the middle of the reply");
        if (s->reply.fail == CFB_FAIL_NONE) { /* stopped by the content filter: a result */
            s->failed = false;
            s->finished = s->ended = true;
            cfb_buf_clear(&s->content);
        }
        return CFB_OK;
    }
    cfb_client__read_usage(cfb_json_get(root, "usage"), &s->reply);
    if (choice == NULL) return CFB_OK; /* a chunk with usage alone, or one to keep the connection alive */
    s->any_chunk = true;
    cfb_code rc = add_delta(s, choice, err);
    cfb_str reason = cfb_json_str(cfb_json_get(choice, "finish_reason"));
    if (rc != CFB_OK || s->failed || reason.len == 0) return rc;
    s->finished = true;
    s->failed = !cfb_client__read_finish(reason, &s->reply);
    return CFB_OK;
}

/* ---- the common chunk, by a walk over its bytes ---- */

struct walked {
    cfb_jraw content, reasoning_content, reasoning, finish;
    bool choice, delta, finish_seen;
};

#define IS(key, name) cfb_str_eq(key, CFB_STR_LIT(name))

static bool skip_null(cfb_jscan *s) { return cfb_jscan_peek(s) == 'n' && cfb_jscan_skip(s); }

/* A string or null, for the first time. */
static bool take_text(cfb_jscan *s, cfb_jraw *out) {
    if (out->ptr != NULL) return false;
    if (cfb_jscan_peek(s) == '"') return cfb_jscan_string(s, out);
    *out = (cfb_jraw){"", 0, false};
    return skip_null(s);
}

static bool walk_delta(cfb_jscan *s, struct walked *w) {
    cfb_str key;
    if (w->delta || !cfb_jscan_open(s, '{')) return false;
    w->delta = true;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(s, first, &key);
        if (more != 1) return more == 0;
        bool ok;
        if (IS(key, "content"))
            ok = take_text(s, &w->content);
        else if (IS(key, "reasoning_content"))
            ok = take_text(s, &w->reasoning_content);
        else if (IS(key, "reasoning"))
            ok = take_text(s, &w->reasoning);
        else if (IS(key, "refusal") || IS(key, "reasoning_details"))
            ok = skip_null(s);
        else
            ok = cfb_jscan_skip(s);
        if (!ok) return false;
    }
}

static bool walk_choice(cfb_jscan *s, struct walked *w) {
    cfb_str key;
    int64_t index;
    if (w->choice || !cfb_jscan_open(s, '{')) return false;
    w->choice = true;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(s, first, &key);
        if (more != 1) return more == 0 && w->delta;
        bool ok;
        if (IS(key, "delta")) {
            ok = walk_delta(s, w);
        } else if (IS(key, "finish_reason")) {
            ok = !w->finish_seen && take_text(s, &w->finish);
            w->finish_seen = true;
        } else if (IS(key, "index")) {
            ok = cfb_jscan_count(s, &index) && index == 0;
        } else if (IS(key, "error")) {
            ok = skip_null(s);
        } else {
            ok = cfb_jscan_skip(s);
        }
        if (!ok) return false;
    }
}

/* One choice with index 0, no usage, no error. */
static bool walk_chunk(cfb_str text, struct walked *w) {
    cfb_jscan s = cfb_jscan_of(text);
    cfb_str key;
    if (!cfb_jscan_open(&s, '{')) return false;
    for (bool first = true;; first = false) {
        int more = cfb_jscan_member(&s, first, &key);
        if (more == 0) return w->choice && cfb_jscan_at_end(&s);
        if (more < 0) return false;
        bool ok;
        cfb_jraw object = {NULL, 0, false};
        if (IS(key, "choices"))
            ok = cfb_jscan_open(&s, '[') && cfb_jscan_element(&s, true) == 1 && walk_choice(&s, w) &&
                 cfb_jscan_element(&s, false) == 0;
        else if (IS(key, "usage") || IS(key, "error"))
            ok = skip_null(&s);
        else if (IS(key, "object"))
            ok = take_text(&s, &object) && !object.escaped &&
                 (object.ptr == NULL || !cfb_str_eqz((cfb_str){object.ptr, object.len}, "error"));
        else
            ok = cfb_jscan_skip(&s);
        if (!ok) return false;
    }
}

/* False: not the common form, or no room; then nothing has changed. */
static bool add_by_walk(cfb_sse *s, cfb_str text) {
    struct walked w = {0};
    if (s->by_tree || s->event == EVENT_ERROR || cfb_utf8_find_invalid(text) != SIZE_MAX || !walk_chunk(text, &w) ||
        w.finish.escaped)
        return false;
    size_t before = s->content.len;
    cfb_jraw thought = w.reasoning_content.len > 0 ? w.reasoning_content : w.reasoning;
    if (w.content.len > 0 && !cfb_jraw_decode(w.content, &s->content)) return false;
    if (thought.len > 0 && !cfb_jraw_decode(thought, &s->reasoning)) {
        s->content.len = before;
        return false;
    }
    s->any_chunk = true;
    if (w.finish.len > 0) {
        s->finished = true;
        s->failed = !cfb_client__read_finish((cfb_str){w.finish.ptr, w.finish.len}, &s->reply);
    }
    return true;
}

/* One event's data: a chunk, or [DONE]. *whole: false if it is no JSON (yet). */
static cfb_code add_data(cfb_sse *s, cfb_str text, bool *whole, cfb_err *err) {
    *whole = true;
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    if (text.len == 0) return CFB_OK;
    if (cfb_str_eqz(text, "[DONE]")) {
        s->ended = true;
        return CFB_OK;
    }
    if (add_by_walk(s, text)) return CFB_OK;
    cfb_json *root = NULL;
    cfb_err json_err = CFB_ERR_INIT;
    cfb_code rc = cfb_json_parse(text.ptr, text.len, CFB_JSON_REPAIR, &root, &json_err);
    if (rc == CFB_ENOMEM) {
        if (err) *err = json_err;
        return rc;
    }
    *whole = rc == CFB_OK;
    rc = rc == CFB_OK ? add_chunk(s, root, text, err) : CFB_OK;
    cfb_json_free(root);
    return rc;
}

/* A data line. Events over several lines are put together; but as some servers leave out the empty line between events, data that
 * are whole already count at once. */
static cfb_code add_data_line(cfb_sse *s, cfb_str value, cfb_err *err) {
    bool whole;
    cfb_code rc;
    if (s->n_data_lines == 0) {
        rc = add_data(s, value, &whole, err);
        if (rc != CFB_OK || whole) return rc;
    }
    if (s->n_data_lines > 0)
        rc = cfb_buf_append_char(&s->data, '\n', err);
    else
        rc = CFB_OK;
    if (rc == CFB_OK) rc = cfb_buf_append_str(&s->data, value, err);
    if (rc != CFB_OK || s->n_data_lines++ == 0) return rc;
    rc = add_data(s, cfb_buf_str(&s->data), &whole, err);
    if (whole) {
        cfb_buf_clear(&s->data);
        s->n_data_lines = 0;
    } else if (s->n_data_lines > MAX_DATA_LINES) {
        fail(s, CFB_FAIL_BAD_REPLY, "an event of the stream is not JSON");
    }
    return rc;
}

/* The empty line behind an event: what was put together must be whole. */
static void end_event(cfb_sse *s) {
    if (s->n_data_lines > 0 && s->event == EVENT_ERROR) {
        s->failed = true;
        s->reply.http_status = 500;
        cfb_client__read_error_reply(cfb_buf_str(&s->data), &s->reply);
    } else if (s->n_data_lines > 0 && s->event == EVENT_MESSAGE) {
        fail(s, CFB_FAIL_BAD_REPLY, "an event of the stream is not JSON");
    }
    cfb_buf_clear(&s->data);
    s->n_data_lines = 0;
    s->event = EVENT_MESSAGE;
}

static cfb_code read_line(cfb_sse *s, cfb_str line, cfb_err *err) {
    if (s->failed || s->ended) return CFB_OK;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    if (line.len == 0) {
        end_event(s);
        return CFB_OK;
    }
    if (line.ptr[0] == ':')
        return CFB_OK; /* a comment, such as DeepSeek's ": keep-alive" and OpenRouter's ": OPENROUTER PROCESSING" */
    const char *colon = memchr(line.ptr, ':', line.len);
    cfb_str field = {line.ptr, colon ? (size_t)(colon - line.ptr) : line.len};
    cfb_str value = colon ? (cfb_str){colon + 1, line.len - field.len - 1} : CFB_STR_LIT("");
    if (value.len > 0 && value.ptr[0] == ' ') value = (cfb_str){value.ptr + 1, value.len - 1};
    if (cfb_str_eqz(field, "data")) return add_data_line(s, value, err);
    if (cfb_str_eqz(field, "event")) {
        bool plain = value.len == 0 || cfb_str_eqz(value, "message") || cfb_str_eqz(value, "completion");
        s->event = cfb_str_eqz(value, "error") ? EVENT_ERROR : plain ? EVENT_MESSAGE : EVENT_OTHER;
    }
    return CFB_OK;
}

/* White space and a byte order mark before the first byte that says what this is. */
static void skip_start(cfb_sse *s, cfb_str *bytes) {
    while (!s->started && bytes->len > 0) {
        char c = bytes->ptr[0];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\xEF' || c == '\xBB' || c == '\xBF') {
            *bytes = (cfb_str){bytes->ptr + 1, bytes->len - 1};
            continue;
        }
        s->started = true;
        s->plain = c == '{' || c == '[' || c == '<';
    }
}

cfb_code cfb_sse_feed(cfb_sse *s, cfb_str bytes, cfb_err *err) {
    skip_start(s, &bytes);
    if (s->plain) return cfb_buf_append_str(&s->data, bytes, err);
    while (bytes.len > 0 && !s->failed && !s->ended) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        size_t n = end ? (size_t)(end - bytes.ptr) : bytes.len;
        cfb_str line = {bytes.ptr, n};
        cfb_code rc = CFB_OK;
        if (end == NULL || s->line.len > 0) {
            rc = cfb_buf_append_str(&s->line, line, err);
            line = cfb_buf_str(&s->line);
        } else if (s->line.max != 0 && n > s->line.max) {
            rc = cfb_err_set(err, CFB_ELIMIT, "more than the allowed %zu bytes", s->line.max);
        }
        if (rc != CFB_OK || end == NULL) return rc;
        rc = read_line(s, line, err);
        cfb_buf_clear(&s->line);
        s->any_text = s->any_text || s->content.len > 0 || s->reasoning.len > 0;
        s->done = s->ended || (s->finished && s->reply.completion_tokens >= 0);
        if (rc != CFB_OK) return rc;
        bytes = (cfb_str){end + 1, bytes.len - n - 1};
    }
    return CFB_OK;
}

/* What came was one document after all. */
static cfb_code finish_plain(cfb_sse *s, cfb_err *err) {
    cfb_chat_reply *r = &s->reply;
    r->http_status = 200;
    cfb_code rc = cfb_client_parse_reply(cfb_buf_str(&s->data), &s->content, r, err);
    s->failed = r->fail != CFB_FAIL_NONE;
    return rc;
}

static cfb_code finish_stream(cfb_sse *s, cfb_err *err) {
    cfb_chat_reply *r = &s->reply;
    cfb_code rc = CFB_OK;
    if (s->line.len > 0) { /* the last line may lack its end */
        rc = read_line(s, cfb_buf_str(&s->line), err);
        cfb_buf_clear(&s->line);
        if (rc != CFB_OK) return rc;
    }
    if (!s->failed && !s->ended && !s->finished)
        fail(s, CFB_FAIL_CUT,
             s->any_chunk ? "the stream ended in the middle of the reply" : "the stream ended before a reply came");
    if (!s->failed && !s->any_chunk && !s->finished) fail(s, CFB_FAIL_BAD_REPLY, "the stream held no choices");
    if (!s->failed && !s->finished) r->finish = CFB_FINISH_STOP;
    r->content = cfb_buf_str(&s->content);
    r->reasoning = s->reasoning.len > 0 ? cfb_buf_str(&s->reasoning) : CFB_STR_NULL;
    return CFB_OK;
}

cfb_code cfb_sse_finish(cfb_sse *s, cfb_chat_reply *r, cfb_err *err) {
    cfb_code rc = s->plain ? finish_plain(s, err) : finish_stream(s, err);
    if (rc != CFB_OK) return rc;
    r->fail = s->reply.fail;
    r->content = s->failed ? CFB_STR_LIT("") : s->reply.content;
    r->reasoning = s->failed ? CFB_STR_NULL : s->reply.reasoning;
    r->finish = s->failed ? CFB_FINISH_OTHER : s->reply.finish;
    r->prompt_tokens = s->reply.prompt_tokens;
    r->completion_tokens = s->reply.completion_tokens;
    r->reasoning_tokens = s->reply.reasoning_tokens;
    r->cached_tokens = s->reply.cached_tokens;
    r->refused = s->reply.refused;
    memcpy(r->message, s->reply.message, sizeof r->message);
    return CFB_OK;
}
