#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/utf8.h"

#include <math.h>
#include <stdio.h>

static cfb_code append_escape(cfb_buf *out, unsigned c, cfb_err *err) {
    switch (c) {
    case '"': return cfb_buf_append(out, "\\\"", 2, err);
    case '\\': return cfb_buf_append(out, "\\\\", 2, err);
    case '\b': return cfb_buf_append(out, "\\b", 2, err);
    case '\f': return cfb_buf_append(out, "\\f", 2, err);
    case '\n': return cfb_buf_append(out, "\\n", 2, err);
    case '\r': return cfb_buf_append(out, "\\r", 2, err);
    case '\t': return cfb_buf_append(out, "\\t", 2, err);
    default: break;
    }
    if (c < 0x10000) return cfb_buf_printf(out, err, "\\u%04x", c);
    c -= 0x10000;
    return cfb_buf_printf(out, err, "\\u%04x\\u%04x", 0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF));
}

/* U+2028 and U+2029 end a line for some readers of JSON Lines. */
static bool is_line_separator(const char *p, size_t left) {
    return left >= 3 && (unsigned char)p[0] == 0xE2 && (unsigned char)p[1] == 0x80 &&
           ((unsigned char)p[2] == 0xA8 || (unsigned char)p[2] == 0xA9);
}

static cfb_code quote_valid(cfb_buf *out, cfb_str s, bool ascii, cfb_err *err) {
    cfb_code rc = CFB_OK;
    size_t start = 0, i = 0;
    while (i < s.len && rc == CFB_OK) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
        if (plain && (c < 0x80 || (!ascii && !is_line_separator(s.ptr + i, s.len - i)))) {
            i++;
            continue;
        }
        rc = cfb_buf_append(out, s.ptr + start, i - start, err);
        uint32_t cp = cfb_utf8_next(s, &i);
        if (rc == CFB_OK) rc = append_escape(out, cp, err);
        start = i;
    }
    if (rc == CFB_OK) rc = cfb_buf_append(out, s.ptr + start, s.len - start, err);
    return rc;
}

static cfb_code quote(cfb_buf *out, cfb_str s, bool ascii, cfb_err *err) {
    cfb_code rc = cfb_buf_append_char(out, '"', err);
    while (rc == CFB_OK && s.len > 0) {
        size_t bad = cfb_utf8_find_invalid(s);
        size_t n = bad == SIZE_MAX ? s.len : bad;
        rc = quote_valid(out, (cfb_str){s.ptr, n}, ascii, err);
        if (bad != SIZE_MAX) {
            if (rc == CFB_OK) rc = ascii ? cfb_buf_append(out, "\\ufffd", 6, err) : cfb_buf_append(out, "\xEF\xBF\xBD", 3, err);
            n++;
        }
        s.ptr += n;
        s.len -= n;
    }
    return rc == CFB_OK ? cfb_buf_append_char(out, '"', err) : rc;
}

cfb_code cfb_json_quote(cfb_buf *out, cfb_str s, cfb_err *err) { return quote(out, s, false, err); }

void cfb_jw_init(cfb_jw *w, cfb_buf *out, int indent) {
    *w = (cfb_jw){0};
    w->out = out;
    w->indent = indent;
}

static void put(cfb_jw *w, const char *s, size_t n) {
    if (w->err.code == CFB_OK) w->err.code = cfb_buf_append(w->out, s, n, &w->err);
}

static bool has_items(const cfb_jw *w) { return w->has_items[w->depth / 64] >> (w->depth % 64) & 1; }

static void set_has_items(cfb_jw *w, bool on) {
    uint64_t bit = UINT64_C(1) << (w->depth % 64);
    if (on)
        w->has_items[w->depth / 64] |= bit;
    else
        w->has_items[w->depth / 64] &= ~bit;
}

static void new_line(cfb_jw *w) {
    if (w->indent == 0) return;
    static const char spaces[] = "                                ";
    put(w, "\n", 1);
    for (size_t left = (size_t)w->depth * (size_t)w->indent; left > 0;) {
        size_t n = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        put(w, spaces, n);
        left -= n;
    }
}

/* Comma, line and indentation before an item of a container. */
static void before_item(cfb_jw *w) {
    if (w->depth == 0) return;
    if (has_items(w)) put(w, w->sp ? ", " : ",", w->sp ? 2 : 1);
    set_has_items(w, true);
    new_line(w);
}

static void before_value(cfb_jw *w) {
    if (w->after_key)
        w->after_key = false;
    else
        before_item(w);
}

static void open_container(cfb_jw *w, char c) {
    before_value(w);
    put(w, &c, 1);
    if (w->depth + 1 >= CFB_JSON_MAX_DEPTH) {
        if (w->err.code == CFB_OK) cfb_err_set(&w->err, CFB_EBUG, "JSON written too deeply");
        return;
    }
    w->depth++;
    set_has_items(w, false);
}

static void close_container(cfb_jw *w, char c) {
    bool items = has_items(w);
    if (w->depth > 0) w->depth--;
    if (items) new_line(w);
    put(w, &c, 1);
}

void cfb_jw_obj(cfb_jw *w) { open_container(w, '{'); }
void cfb_jw_end_obj(cfb_jw *w) { close_container(w, '}'); }
void cfb_jw_arr(cfb_jw *w) { open_container(w, '['); }
void cfb_jw_end_arr(cfb_jw *w) { close_container(w, ']'); }

void cfb_jw_key_str(cfb_jw *w, cfb_str key) {
    before_item(w);
    if (w->err.code == CFB_OK) w->err.code = quote(w->out, key, w->ascii, &w->err);
    bool space = w->sp || w->indent > 0;
    put(w, space ? ": " : ":", space ? 2 : 1);
    w->after_key = true;
}

void cfb_jw_key(cfb_jw *w, const char *key) { cfb_jw_key_str(w, cfb_str_from(key)); }

void cfb_jw_str(cfb_jw *w, cfb_str s) {
    before_value(w);
    if (s.ptr == NULL)
        put(w, "null", 4);
    else if (w->err.code == CFB_OK)
        w->err.code = quote(w->out, s, w->ascii, &w->err);
}

void cfb_jw_strz(cfb_jw *w, const char *s) { cfb_jw_str(w, cfb_str_from(s)); }

void cfb_jw_raw(cfb_jw *w, cfb_str json) {
    before_value(w);
    put(w, json.ptr, json.len);
}

void cfb_jw_int(cfb_jw *w, int64_t v) {
    char text[24] = "-";
    size_t sign = v < 0;
    size_t n = cfb_format_count(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, text + sign);
    cfb_jw_raw(w, (cfb_str){text, sign + n});
}

void cfb_jw_num(cfb_jw *w, double v) {
    char text[32];
    if (!isfinite(v)) {
        cfb_jw_null(w);
        return;
    }
    cfb_jw_raw(w, (cfb_str){text, cfb_format_double(v, text)});
}

void cfb_jw_bool(cfb_jw *w, bool v) { cfb_jw_raw(w, v ? CFB_STR_LIT("true") : CFB_STR_LIT("false")); }
void cfb_jw_null(cfb_jw *w) { cfb_jw_raw(w, CFB_STR_LIT("null")); }

void cfb_jw_member_str(cfb_jw *w, const char *key, cfb_str v) {
    cfb_jw_key(w, key);
    cfb_jw_str(w, v);
}

void cfb_jw_member_strz(cfb_jw *w, const char *key, const char *v) {
    cfb_jw_key(w, key);
    cfb_jw_strz(w, v);
}

void cfb_jw_member_int(cfb_jw *w, const char *key, int64_t v) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, v);
}

void cfb_jw_member_num(cfb_jw *w, const char *key, double v) {
    cfb_jw_key(w, key);
    cfb_jw_num(w, v);
}

void cfb_jw_member_count(cfb_jw *w, const char *key, uint64_t v) {
    cfb_jw_member_int(w, key, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

cfb_code cfb_jw_finish(cfb_jw *w, cfb_err *err) {
    if (w->err.code == CFB_OK) return CFB_OK;
    if (err) *err = w->err;
    return w->err.code;
}
