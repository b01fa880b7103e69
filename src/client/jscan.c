#include "client/jscan.h"

#define MAX_DEPTH 64 /* deeper ones are rare: the slow way has a limit of its own */

char cfb_jscan_peek(cfb_jscan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) s->p++;
    return s->p < s->end ? *s->p : '\0';
}

bool cfb_jscan_at_end(cfb_jscan *s) {
    cfb_jscan_peek(s);
    return s->p == s->end;
}

bool cfb_jscan_open(cfb_jscan *s, char open) {
    if (cfb_jscan_peek(s) != open || s->depth >= MAX_DEPTH) return false;
    s->p++;
    s->depth++;
    return true;
}

/* Before an item: 1, or 0 when the container is closed, or -1. */
static int next_item(cfb_jscan *s, bool first, char close) {
    char c = cfb_jscan_peek(s);
    if (c == close) {
        s->p++;
        s->depth--;
        return 0;
    }
    if (first) return 1;
    if (c != ',') return -1;
    s->p++;
    return 1;
}

int cfb_jscan_element(cfb_jscan *s, bool first) { return next_item(s, first, ']'); }

int cfb_jscan_member_raw(cfb_jscan *s, bool first, cfb_jraw *key) {
    int more = next_item(s, first, '}');
    if (more != 1) return more;
    if (cfb_jscan_peek(s) != '"' || !cfb_jscan_string(s, key) || cfb_jscan_peek(s) != ':') return -1;
    s->p++;
    return 1;
}

int cfb_jscan_member(cfb_jscan *s, bool first, cfb_str *key) {
    cfb_jraw name;
    int more = cfb_jscan_member_raw(s, first, &name);
    if (more != 1) return more;
    *key = (cfb_str){name.ptr, name.len};
    return name.escaped ? -1 : 1;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The four hex digits behind \u (at p), or -1. */
static int hex4(const char *p, const char *end) {
    if (end - p < 4) return -1;
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int h = hex_value(p[i]);
        if (h < 0) return -1;
        v = v * 16 + h;
    }
    return v;
}

bool cfb_jscan_string(cfb_jscan *s, cfb_jraw *out) {
    if (cfb_jscan_peek(s) != '"') return false;
    const char *p = ++s->p;
    bool escaped = false;
    for (;;) {
        p += cfb_plain_run(p, (size_t)(s->end - p));
        if (p == s->end || (unsigned char)*p < 0x20) return false;
        if (*p == '"') break;
        escaped = true;
        if (s->end - p < 2) return false;
        char e = p[1];
        if (e == 'u') {
            if (hex4(p + 2, s->end) < 0) return false;
            p += 6;
        } else if (e == 'n' || e == '"' || e == '\\' || e == '/' || e == 't' || e == 'r' || e == 'b' || e == 'f') {
            p += 2;
        } else {
            return false;
        }
    }
    *out = (cfb_jraw){s->p, (size_t)(p - s->p), escaped};
    s->p = p + 1;
    return true;
}

static size_t digits(cfb_jscan *s) {
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    return (size_t)(s->p - start);
}

bool cfb_jscan_count(cfb_jscan *s, int64_t *out) {
    cfb_jscan_peek(s);
    const char *start = s->p;
    size_t n = digits(s);
    if (n == 0 || n > 15 || (n > 1 && *start == '0')) return false;
    if (s->p < s->end && (*s->p == '.' || *s->p == 'e' || *s->p == 'E')) return false;
    int64_t v = 0;
    for (const char *p = start; p < s->p; p++) v = v * 10 + (*p - '0');
    *out = v;
    return true;
}

static bool skip_number(cfb_jscan *s) {
    const char *start = s->p;
    if (*s->p == '-') s->p++;
    bool zero = s->p < s->end && *s->p == '0';
    size_t n = digits(s);
    if (n == 0 || (zero && n > 1)) return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (digits(s) == 0) return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        if (digits(s) == 0) return false;
    }
    return s->p - start <= 40; /* longer than any program writes a binary64 */
}

static bool skip_word(cfb_jscan *s, cfb_str word) {
    if ((size_t)(s->end - s->p) < word.len || memcmp(s->p, word.ptr, word.len) != 0) return false;
    s->p += word.len;
    return true;
}

static bool skip_container(cfb_jscan *s, char open) {
    if (!cfb_jscan_open(s, open)) return false;
    cfb_str key;
    for (bool first = true;; first = false) {
        int more = open == '{' ? cfb_jscan_member(s, first, &key) : cfb_jscan_element(s, first);
        if (more != 1) return more == 0;
        if (!cfb_jscan_skip(s)) return false; /* depth is bounded by cfb_jscan_open */
    }
}

bool cfb_jscan_skip(cfb_jscan *s) {
    cfb_jraw raw;
    char c = cfb_jscan_peek(s);
    switch (c) {
    case '"': return cfb_jscan_string(s, &raw);
    case '{':
    case '[': return skip_container(s, c);
    case 't': return skip_word(s, CFB_STR_LIT("true"));
    case 'f': return skip_word(s, CFB_STR_LIT("false"));
    case 'n': return skip_word(s, CFB_STR_LIT("null"));
    default: return (c == '-' || (c >= '0' && c <= '9')) && skip_number(s);
    }
}

/* UTF-8 of one code point; returns its length. */
static size_t encode(uint32_t c, char *to) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | (c >> 6));
        to[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | (c >> 12));
        to[1] = (char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | (c >> 18));
    to[1] = (char)(0x80 | (c >> 12 & 0x3F));
    to[2] = (char)(0x80 | (c >> 6 & 0x3F));
    to[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The escape at *p (a whole one, as cfb_jscan_string lets pass), moved behind it; 0 for what a text cannot hold. */
static uint32_t unescape(const char **p, const char *end) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char e = (*p)[1];
    *p += 2;
    if (e != 'u') return (uint32_t)to[strchr(from, e) - from];
    uint32_t c = (uint32_t)hex4(*p, end);
    *p += 4;
    if (c < 0xD800 || c > 0xDFFF) return c;
    if (c > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') return 0;
    int low = hex4(*p + 2, end);
    if (low < 0xDC00 || low > 0xDFFF) return 0;
    *p += 6;
    return 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
}

bool cfb_jraw_decode(cfb_jraw raw, cfb_buf *out) {
    if (cfb_buf_reserve(out, raw.len, NULL) != CFB_OK) return false; /* what it means is never longer than how it is written */
    char *to = out->ptr + out->len;
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    while (p < end) {
        size_t n = raw.escaped ? cfb_plain_run(p, (size_t)(end - p)) : raw.len;
        memcpy(to, p, n);
        to += n;
        p += n;
        if (p == end) break;
        uint32_t c = unescape(&p, end);
        if (c == 0) {
            out->ptr[out->len] = '\0';
            return false;
        }
        to += encode(c, to);
    }
    out->len = (size_t)(to - out->ptr);
    out->ptr[out->len] = '\0';
    return true;
}
