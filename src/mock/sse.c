#include "mock/sse.h"

#include "cfbench/json.h"
#include "mock/errors.h"

#define DELTA_CHARS 4
#define SPLIT_BYTES 97
#define SPLIT_GAP_S 0.0003

typedef struct stream {
    const cfb_mock__completion *c;
    const cfb_mock__sse *o;
    cfb_mock__plan *p;
    double at_s;
    size_t n_events;
} stream;

static cfb_code append(stream *s, cfb_str text, cfb_err *err) { return cfb_buf_append_str(&s->p->body, text, err); }

static cfb_code end_line(stream *s, int n, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (int i = 0; i < n && rc == CFB_OK; i++) rc = append(s, s->o->crlf ? CFB_STR_LIT("\r\n") : CFB_STR_LIT("\n"), err);
    return rc;
}

static cfb_code event_begin(stream *s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (s->o->pings && s->n_events % 3 == 1) {
        rc = append(s, CFB_STR_LIT(": ping"), err);
        if (rc == CFB_OK) rc = end_line(s, 2, err);
    }
    s->n_events++;
    return rc == CFB_OK ? append(s, CFB_STR_LIT("data: "), err) : rc;
}

static cfb_code event_end(stream *s, cfb_err *err) {
    cfb_code rc = end_line(s, 2, err);
    return rc == CFB_OK ? cfb_mock__plan_piece(s->p, s->p->body.len, s->at_s, err) : rc;
}

/* The beginning of a chunk, up to the value of "delta". */
static cfb_code chunk_begin(stream *s, cfb_err *err) {
    cfb_code rc = event_begin(s, err);
    if (rc == CFB_OK) rc = cfb_mock__write_head(s->c, CFB_STR_LIT("chat.completion.chunk"), &s->p->body, err);
    return rc == CFB_OK ? append(s, CFB_STR_LIT(",\"choices\":[{\"index\":0,\"delta\":"), err) : rc;
}

/* finish: null for a chunk in the middle */
static cfb_code chunk_end(stream *s, cfb_str finish, cfb_err *err) {
    cfb_code rc = append(s, CFB_STR_LIT(",\"finish_reason\":"), err);
    if (rc == CFB_OK) rc = finish.ptr == NULL ? append(s, CFB_STR_LIT("null"), err) : cfb_json_quote(&s->p->body, finish, err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT("}]"), err);
    if (rc == CFB_OK && s->o->include_usage) rc = append(s, CFB_STR_LIT(",\"usage\":null"), err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT("}"), err);
    return rc == CFB_OK ? event_end(s, err) : rc;
}

static cfb_code role_chunk(stream *s, cfb_err *err) {
    cfb_code rc = chunk_begin(s, err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT("{\"role\":\"assistant\",\"content\":\"\"}"), err);
    return rc == CFB_OK ? chunk_end(s, CFB_STR_NULL, err) : rc;
}

/* ASCII escapes for every other delta of a split stream, so that escapes are split as well. */
static cfb_code quote(stream *s, cfb_str text, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, &s->p->body, 0);
    w.ascii = s->o->split && s->n_events % 2 == 1;
    cfb_jw_str(&w, text);
    return cfb_jw_finish(&w, err);
}

static cfb_code delta_chunk(stream *s, const char *name, cfb_str text, cfb_err *err) {
    cfb_code rc = chunk_begin(s, err);
    if (rc == CFB_OK) rc = cfb_buf_printf(&s->p->body, err, "{\"%s\":", name);
    if (rc == CFB_OK) rc = quote(s, text, err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT("}"), err);
    return rc == CFB_OK ? chunk_end(s, CFB_STR_NULL, err) : rc;
}

static cfb_code deltas(stream *s, const char *name, cfb_str text, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t at = 0; at < text.len && rc == CFB_OK;) {
        cfb_str piece = cfb_mock__prefix((cfb_str){text.ptr + at, text.len - at}, DELTA_CHARS);
        if (s->o->tokens_per_s > 0) s->at_s += (double)cfb_mock__count(piece) / s->o->tokens_per_s;
        rc = delta_chunk(s, name, piece, err);
        at += piece.len;
    }
    return rc;
}

static cfb_code finish_chunk(stream *s, cfb_err *err) {
    cfb_code rc = chunk_begin(s, err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT("{}"), err);
    return rc == CFB_OK ? chunk_end(s, s->c->finish_reason, err) : rc;
}

static cfb_code usage_chunk(stream *s, cfb_err *err) {
    if (!s->o->include_usage) return CFB_OK;
    cfb_code rc = event_begin(s, err);
    if (rc == CFB_OK) rc = cfb_mock__write_head(s->c, CFB_STR_LIT("chat.completion.chunk"), &s->p->body, err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT(",\"choices\":[],\"usage\":"), err);
    if (rc == CFB_OK) rc = cfb_mock__write_usage(s->c, &s->p->body, err);
    if (rc == CFB_OK) rc = append(s, CFB_STR_LIT("}"), err);
    return rc == CFB_OK ? event_end(s, err) : rc;
}

static cfb_code error_event(stream *s, cfb_err *err) {
    const cfb_mock__error e = {.status = 500, .message = "the server had an error in the middle of its reply"};
    cfb_code rc = event_begin(s, err);
    if (rc == CFB_OK) rc = cfb_mock__write_error(s->c->profile, &e, &s->p->body, err);
    return rc == CFB_OK ? event_end(s, err) : rc;
}

/* The last place up to `max` that lies within a character or behind a backslash; without one, max. */
static size_t awkward_end(const cfb_buf *body, size_t from, size_t max) {
    for (size_t i = max; i > from + 1; i--)
        if ((i < body->len && ((unsigned char)body->ptr[i] & 0xC0) == 0x80) || body->ptr[i - 1] == '\\') return i;
    return max;
}

/* Cuts the pieces anew. */
static cfb_code split(cfb_mock__plan *p, cfb_err *err) {
    cfb_code rc = CFB_OK;
    cfb_buf_clear(&p->pieces);
    for (size_t i = 0, end = 0; end < p->body.len && rc == CFB_OK; i++) {
        size_t max = end + SPLIT_BYTES < p->body.len ? end + SPLIT_BYTES : p->body.len;
        end = awkward_end(&p->body, end, max);
        rc = cfb_mock__plan_piece(p, end, (double)i * SPLIT_GAP_S, err);
    }
    return rc;
}

cfb_code cfb_mock__write_sse(const cfb_mock__completion *c, const cfb_mock__sse *o, cfb_mock__plan *p, cfb_err *err) {
    stream s = {c, o, p, 0, 0};
    cfb_str text = c->content;
    if (o->error || o->no_done) text = cfb_mock__prefix(text, cfb_mock__count(text) / 2);
    p->content_type = o->split ? "text/event-stream; charset=utf-8" : "text/event-stream";
    cfb_code rc = role_chunk(&s, err);
    if (rc == CFB_OK && c->profile->reasoning != NULL) rc = deltas(&s, c->profile->reasoning, c->reasoning, err);
    if (rc == CFB_OK) rc = deltas(&s, "content", text, err);
    if (rc == CFB_OK && o->error) return error_event(&s, err);
    if (rc == CFB_OK && !o->no_done) {
        rc = finish_chunk(&s, err);
        if (rc == CFB_OK) rc = usage_chunk(&s, err);
        if (rc == CFB_OK) rc = event_begin(&s, err);
        if (rc == CFB_OK) rc = append(&s, CFB_STR_LIT("[DONE]"), err);
        if (rc == CFB_OK) rc = event_end(&s, err);
    }
    return rc == CFB_OK && o->split ? split(p, err) : rc;
}
