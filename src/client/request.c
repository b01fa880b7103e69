/* request.c - the body of a request. Written straight into the buffer: a run sends the same few hundred bytes around a prompt of
 * a few thousand again and again, and the prompt is copied 16 bytes at a time where nothing in it needs an escape. */
#include "client/internal.h"
#include "client/jscan.h"
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/utf8.h"

#include <math.h>
#include <stdio.h>

/* The members that we write, and that extra_body may replace. */
enum { MODEL = 1, MESSAGES = 2, TEMPERATURE = 4, MAX_TOKENS = 8, STOP = 16, SEED = 32, STREAM = 64, STREAM_OPTIONS = 128 };

static const struct {
    const char *name;
    unsigned bit;
} members[] = {{"model", MODEL},
               {"messages", MESSAGES},
               {"temperature", TEMPERATURE},
               {"max_tokens", MAX_TOKENS},
               {"max_completion_tokens", MAX_TOKENS}, /* one limit under two names: OpenAI refuses both at once */
               {"stop", STOP},
               {"seed", SEED},
               {"stream", STREAM},
               {"stream_options", STREAM_OPTIONS}};

struct writer {
    cfb_buf *out;
    cfb_err *err;
    cfb_code rc;
    bool any; /* a member was written */
};

static void put(struct writer *w, const char *text, size_t len) {
    if (w->rc == CFB_OK) w->rc = cfb_buf_append(w->out, text, len, w->err);
}
#define PUT(w, literal) put(w, literal, sizeof(literal) - 1)

/* U+2028 and U+2029 end a line for some readers. */
static bool is_separator(const char *p, size_t left) {
    return left >= 3 && (unsigned char)p[1] == 0x80 && ((unsigned char)p[2] & 0xFE) == 0xA8;
}

/* The escape of what stands at p, as cfb_json_quote writes it; *used: bytes that it stands for. */
static size_t escape_at(const char *p, char to[8], size_t *used) {
    static const char names[] = "btn_fr", hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*p;
    *used = 1;
    if (c == 0xE2) {
        *used = 3;
        memcpy(to, (unsigned char)p[2] == 0xA8 ? "\\u2028" : "\\u2029", 6);
        return 6;
    }
    to[0] = '\\';
    to[1] = (char)c;
    if (c == '"' || c == '\\') return 2;
    if (c >= '\b' && c <= '\r' && c != '\v') {
        to[1] = names[c - '\b'];
        return 2;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = hex[c >> 4];
    to[5] = hex[c & 15];
    return 6;
}

/* Which of the 16 bytes at p need an escape: a bit for each. left >= 18: a separator may reach 2 bytes beyond. */
static unsigned find_escapes(const char *p) {
    cfb_bytes16 v, next, third;
    memcpy(&v, p, 16);
    memcpy(&next, p + 1, 16);
    memcpy(&third, p + 2, 16);
    return cfb_bits_of((cfb_bytes16)((v < 0x20) | (v == '"') | (v == '\\') | (v == 0x7F) |
                                     ((v == 0xE2) & (next == 0x80) & ((third | 1) == 0xA9))));
}

/* The same for the last bytes of a text. */
static unsigned find_last_escapes(const char *p, size_t left) {
    unsigned bits = 0;
    for (size_t i = 0; i < left && i < 16; i++) {
        unsigned char c = (unsigned char)p[i];
        bool hit = c < 0x20 || c == '"' || c == '\\' || c == 0x7F || (c == 0xE2 && is_separator(p + i, left - i));
        bits |= (unsigned)hit << i;
    }
    return bits;
}

/* s between quotes, in out's free space, which is kept larger than what is left of s. False: no room or no memory. */
static bool quote_quickly(cfb_buf *out, cfb_str s) {
    enum { SLACK = 32 }; /* a whole block, an escape, two quotes */
    if (s.len > SIZE_MAX / 2 || cfb_buf_reserve(out, s.len + SLACK, NULL) != CFB_OK) return false;
    char *to = out->ptr + out->len;
    const char *p = s.ptr, *end = s.ptr + s.len;
    *to++ = '"';
    while (p < end) {
        size_t left = (size_t)(end - p), at;
        unsigned hits = left >= 18 ? find_escapes(p) : find_last_escapes(p, left);
        memcpy(to, p, left >= 16 ? 16 : left);
        at = hits ? (size_t)__builtin_ctz(hits) : 16;
        if (at > left) at = left;
        p += at;
        to += at;
        if (at == 16 || p == end) continue;
        char escape[8] = {0};
        size_t used, n = escape_at(p, escape, &used);
        memcpy(to, escape, 8);
        to += n;
        p += used;
        size_t len = (size_t)(to - out->ptr);
        if (out->cap - len >= (size_t)(end - p) + SLACK) continue;
        out->len = len;
        if (cfb_buf_reserve(out, (size_t)(end - p) + SLACK, NULL) != CFB_OK) return false;
        to = out->ptr + len;
    }
    *to++ = '"';
    *to = '\0';
    out->len = (size_t)(to - out->ptr);
    return true;
}

/* Near the limit of out the slow way finds out whether it fits. */
static void put_text(struct writer *w, cfb_str s) {
    if (w->rc != CFB_OK) return;
    size_t before = w->out->len;
    if (s.ptr != NULL && quote_quickly(w->out, s)) return;
    w->out->len = before;
    w->rc = cfb_json_quote(w->out, s, w->err);
}

static void put_int(struct writer *w, int64_t v) {
    char text[24], *p = text + sizeof text;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do *--p = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    if (v < 0) *--p = '-';
    put(w, p, (size_t)(text + sizeof text - p));
}

/* Tenths, which temperatures nearly always are, need no search for the shortest text. */
static void put_double(struct writer *w, double v) {
    char text[32];
    int tenths = v >= 0 && v < 10 && !signbit(v) ? (int)(v * 10 + 0.5) : -1;
    if (tenths >= 0 && tenths < 100 && (double)tenths / 10 == v) {
        memcpy(text, (char[3]){(char)('0' + tenths / 10), '.', (char)('0' + tenths % 10)}, 3);
        put(w, text, 3);
    } else {
        put(w, text, cfb_format_double(v, text));
    }
}

/* Comma and name of the next member, given as "\"name\":". */
static void put_key(struct writer *w, const char *key, size_t len) {
    if (w->any) PUT(w, ",");
    w->any = true;
    put(w, key, len);
}
#define KEY(w, name) put_key(w, "\"" name "\":", sizeof(name) + 2)

static void put_messages(struct writer *w, const char *system_prompt, cfb_str prompt) {
    KEY(w, "messages");
    PUT(w, "[{\"role\":\"");
    if (system_prompt != NULL) {
        PUT(w, "system\",\"content\":");
        put_text(w, cfb_str_from(system_prompt));
        PUT(w, "},{\"role\":\"");
    }
    PUT(w, "user\",\"content\":");
    if (prompt.ptr == NULL)
        PUT(w, "null");
    else
        put_text(w, prompt);
    PUT(w, "}]");
}

static void put_stop(struct writer *w, const cfb_request *q) {
    KEY(w, "stop");
    for (size_t i = 0; i < q->n_stop; i++) {
        put(w, i == 0 ? "[" : ",", 1);
        put_text(w, cfb_str_from(q->stop[i]));
    }
    PUT(w, "]");
}

static unsigned member_bit(cfb_jraw key) {
    char name[32];
    if (key.escaped) { /* such as "mod\u0065l" */
        cfb_buf b = CFB_BUF_INIT(256);
        bool ok = cfb_jraw_decode(key, &b) && b.len < sizeof name;
        if (ok) memcpy(name, b.ptr, b.len);
        key = (cfb_jraw){name, ok ? b.len : 0, false};
        cfb_buf_free(&b);
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (cfb_str_eqz((cfb_str){key.ptr, key.len}, members[i].name)) return members[i].bit;
    return 0;
}

/* Which of our members extra_body replaces, and its text between the braces. */
static cfb_code read_extra(const char *text, unsigned *replaced, cfb_str *inside, cfb_err *err) {
    *replaced = 0;
    *inside = CFB_STR_LIT("");
    if (text == NULL) return CFB_OK;
    cfb_str all = cfb_str_from(text);
    cfb_jscan s = cfb_jscan_of(all);
    bool ok = cfb_utf8_find_invalid(all) == SIZE_MAX && cfb_jscan_open(&s, '{'), any = false;
    const char *start = s.p;
    int more = ok ? 1 : -1;
    for (bool first = true; more == 1; first = false) {
        cfb_jraw key;
        more = cfb_jscan_member_raw(&s, first, &key);
        if (more != 1) break;
        any = true;
        *replaced |= member_bit(key);
        if (!cfb_jscan_skip(&s)) more = -1;
    }
    if (more == 0 && cfb_jscan_at_end(&s)) {
        const char *end = s.p;
        while (*--end != '}') {
        }
        if (any) *inside = (cfb_str){start, (size_t)(end - start)};
        return CFB_OK;
    }
    cfb_err why = CFB_ERR_INIT;
    if (cfb_json_check(all.ptr, all.len, 0, &why) == CFB_OK) cfb_err_set(&why, CFB_ECONFIG, "no object, or nested too deeply");
    return cfb_err_set(err, CFB_ECONFIG, "the extra body is not a JSON object: %.300s", why.msg);
}

cfb_code cfb_request_write(const cfb_request *q, unsigned refused, cfb_str prompt, int max_tokens, cfb_buf *out, cfb_err *err) {
    unsigned replaced;
    cfb_str extra;
    cfb_code rc = read_extra(q->extra_body, &replaced, &extra, err);
    if (rc != CFB_OK) return rc;
    struct writer w = {out, err, CFB_OK, false};
    size_t before = out->len;
    PUT(&w, "{");
    if (!(replaced & MODEL)) {
        KEY(&w, "model");
        if (q->model != NULL)
            put_text(&w, cfb_str_from(q->model));
        else
            PUT(&w, "null");
    }
    if (!(replaced & MESSAGES)) put_messages(&w, q->system_prompt, prompt);
    if (!(replaced & TEMPERATURE) && !(refused & CFB_REFUSED_TEMPERATURE) && isfinite(q->temperature)) {
        KEY(&w, "temperature");
        put_double(&w, q->temperature);
    }
    if (!(replaced & MAX_TOKENS)) {
        if (q->completion_tokens != ((refused & CFB_REFUSED_MAX_TOKENS) != 0))
            KEY(&w, "max_completion_tokens");
        else
            KEY(&w, "max_tokens");
        put_int(&w, max_tokens);
    }
    if (!(replaced & STOP) && !(refused & CFB_REFUSED_STOP) && q->n_stop > 0) put_stop(&w, q);
    if (!(replaced & SEED) && !(refused & CFB_REFUSED_SEED) && q->has_seed) {
        KEY(&w, "seed");
        put_int(&w, q->seed);
    }
    if (!(replaced & STREAM) && q->stream) {
        KEY(&w, "stream");
        PUT(&w, "true");
    }
    if (!(replaced & STREAM_OPTIONS) && !(refused & CFB_REFUSED_STREAM_OPTIONS) && q->stream) {
        KEY(&w, "stream_options");
        PUT(&w, "{\"include_usage\":true}");
    }
    if (extra.len > 0) put_key(&w, extra.ptr, extra.len);
    PUT(&w, "}");
    if (w.rc == CFB_OK) return CFB_OK;
    out->len = before;
    if (out->ptr != NULL) out->ptr[before] = '\0';
    return w.rc;
}
