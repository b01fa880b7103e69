#include "mock/scan.h"

#define LITTLE_ENDIAN_BYTES (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

typedef struct scan {
    const unsigned char *p, *end;
} scan;

/* A string as it stands in the body, without its quotes. */
typedef struct piece {
    cfb_str raw;
    size_t n_chars; /* right only when not escaped */
    bool escaped;
} piece;

static void skip_space(scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) s->p++;
}

static bool take(scan *s, char c) {
    skip_space(s);
    if (s->p == s->end || *s->p != (unsigned char)c) return false;
    s->p++;
    return true;
}

static bool take_word(scan *s, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return false;
    s->p += n;
    return true;
}

static bool is_tail(unsigned char c) { return (c & 0xC0) == 0x80; }

/* Bytes of the valid character beyond ASCII at p, or 0 (RFC 3629). */
static size_t wide_char(const unsigned char *p, const unsigned char *end) {
    size_t left = (size_t)(end - p);
    if (p[0] >= 0xE0 && p[0] < 0xF0) {
        if (left < 3 || !is_tail(p[1]) || !is_tail(p[2])) return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] >= 0xA0)) return 0;
        return 3;
    }
    if (p[0] >= 0xC2 && p[0] < 0xE0) return left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xF0 || p[0] > 0xF4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3])) return 0;
    return (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] >= 0x90) ? 0 : 4;
}

/* Skips characters of one byte, 8 at a time, and of three bytes, two at a time, as long as they need no closer look. */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end, size_t *n) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        if (LITTLE_ENDIAN_BYTES && (x & UINT64_C(0x0000C0C0F0C0C0F0)) == UINT64_C(0x00008080E08080E0)) {
            /* E0 and ED have rules of their own for the second byte */
            unsigned a = x & 0xF, b = x >> 24 & 0xF;
            if (a == 0 || a == 13 || b == 0 || b == 13) break;
            p += 6;
            *n += 2;
        } else {
            uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
            /* a byte with its top bit set, or below 0x20, or one of the two: exact for the lowest such byte */
            if ((x | (x - ones * 0x20) | (quote - ones) | (slash - ones)) & tops) break;
            p += 8;
            *n += 8;
        }
    }
    return p;
}

static bool take_string(scan *s, piece *out) {
    if (!take(s, '"')) return false;
    const unsigned char *p = s->p, *begin = p;
    size_t n = 0;
    bool escaped = false;
    for (;; n++) {
        p = skip_plain(p, s->end, &n);
        if (p == s->end || *p == '"') break;
        if (*p >= 0x80) {
            size_t len = wide_char(p, s->end);
            if (len == 0) return false;
            p += len;
        } else if (*p == '\\') {
            escaped = true; /* checked when it is decoded */
            if (s->end - p < 2) return false;
            p += 2;
        } else if (*p < 0x20) {
            return false;
        } else {
            p++;
        }
    }
    if (p >= s->end) return false;
    *out = (piece){{(const char *)begin, (size_t)(p - begin)}, n, escaped};
    s->p = p + 1;
    return true;
}

static bool take_hex4(cfb_str raw, size_t at, uint32_t *out) {
    uint32_t v = 0;
    if (raw.len - at < 4) return false;
    for (size_t i = at; i < at + 4; i++) {
        char c = raw.ptr[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* \uXXXX, or two of them for a character beyond U+FFFF; *at is behind the 'u'. */
static bool take_unicode(cfb_str raw, size_t *at, char **to) {
    uint32_t cp, low;
    if (!take_hex4(raw, *at, &cp) || cp == 0) return false;
    *at += 4;
    if (cp >= 0xD800 && cp < 0xE000) {
        if (cp >= 0xDC00 || raw.len - *at < 6 || raw.ptr[*at] != '\\' || raw.ptr[*at + 1] != 'u') return false;
        if (!take_hex4(raw, *at + 2, &low) || low < 0xDC00 || low > 0xDFFF) return false;
        *at += 6;
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    char *p = *to;
    if (cp < 0x80) {
        *p++ = (char)cp;
    } else {
        if (cp < 0x800) {
            *p++ = (char)(0xC0 | cp >> 6);
        } else {
            if (cp < 0x10000) {
                *p++ = (char)(0xE0 | cp >> 12);
            } else {
                *p++ = (char)(0xF0 | cp >> 18);
                *p++ = (char)(0x80 | (cp >> 12 & 0x3F));
            }
            *p++ = (char)(0x80 | (cp >> 6 & 0x3F));
        }
        *p++ = (char)(0x80 | (cp & 0x3F));
    }
    *to = p;
    return true;
}

/* Appends the text of an escaped string, which is never longer than the string itself. */
static bool decode(cfb_str raw, cfb_buf *out) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (cfb_buf_reserve(out, raw.len + 4, NULL) != CFB_OK) return false;
    char *to = out->ptr + out->len;
    for (size_t i = 0; i < raw.len;) {
        char c = raw.ptr[i++];
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        c = raw.ptr[i++]; /* there is one: a string does not end in a lone backslash */
        if (c == 'u') {
            if (!take_unicode(raw, &i, &to)) return false;
            continue;
        }
        const char *known = c != '\0' ? strchr(from, c) : NULL;
        if (known == NULL) return false;
        *to++ = into[known - from];
    }
    out->len = (size_t)(to - out->ptr);
    return true;
}

/* A plain number: at most 15 digits, no exponent. */
static bool take_number(scan *s, double *out, bool *whole) {
    static const double scale[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    skip_space(s);
    bool minus = take_word(s, "-");
    const unsigned char *begin = s->p;
    int64_t v = 0;
    size_t digits = 0, decimals = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9' && digits < 16; s->p++, digits++) v = v * 10 + (*s->p - '0');
    if (digits == 0 || (digits > 1 && *begin == '0')) return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        for (; s->p < s->end && *s->p >= '0' && *s->p <= '9' && digits < 16; s->p++, digits++, decimals++)
            v = v * 10 + (*s->p - '0');
        if (decimals == 0) return false;
    }
    if (digits > 15 || (s->p < s->end && (*s->p == 'e' || *s->p == 'E'))) return false;
    *out = (minus ? -1.0 : 1.0) * ((double)v / scale[decimals]); /* both are exact, so this is the nearest number */
    *whole = decimals == 0;
    return true;
}

static bool take_message(scan *s, cfb_mock__chat *out, bool *have_user, size_t *prompt_at) {
    piece role = {0}, content = {0};
    if (!take(s, '{')) return false;
    do {
        piece key;
        if (!take_string(s, &key) || key.escaped || !take(s, ':')) return false;
        piece *to = cfb_str_eqz(key.raw, "role") ? &role : cfb_str_eqz(key.raw, "content") ? &content : NULL;
        if (to == NULL || to->raw.ptr != NULL || !take_string(s, to)) return false;
    } while (take(s, ','));
    if (!take(s, '}') || role.raw.ptr == NULL || content.raw.ptr == NULL || role.escaped) return false;
    if (!cfb_mock__known_role(role.raw)) return false;
    bool is_user = cfb_str_eqz(role.raw, "user"), chosen = is_user || !*have_user;
    size_t at = out->text.len;
    if (content.escaped) {
        if (!decode(content.raw, &out->text)) return false;
        content.n_chars = cfb_mock__count((cfb_str){out->text.ptr + at, out->text.len - at});
    }
    out->n_prompt_tokens += content.n_chars;
    if (!chosen) return true;
    *have_user = *have_user || is_user;
    *prompt_at = content.escaped ? at : SIZE_MAX;
    out->prompt = content.escaped ? (cfb_str){NULL, out->text.len - at} : content.raw; /* the buffer may still move */
    return true;
}

static bool take_messages(scan *s, cfb_mock__chat *out) {
    bool have_user = false;
    size_t prompt_at = SIZE_MAX;
    if (out->prompt.ptr != NULL || !take(s, '[')) return false;
    do {
        if (!take_message(s, out, &have_user, &prompt_at)) return false;
    } while (take(s, ','));
    if (!take(s, ']')) return false;
    if (prompt_at != SIZE_MAX) out->prompt.ptr = out->text.ptr + prompt_at;
    return true;
}

/* Numbers, and what each must be. */
static bool take_setting(scan *s, cfb_str key, unsigned *seen, cfb_mock__chat *out) {
    static const char *const keys[] = {"temperature", "top_p", "n", "max_tokens", "max_completion_tokens", "seed"};
    unsigned i = 0;
    while (i < 6 && !cfb_str_eqz(key, keys[i])) i++;
    double v;
    bool whole;
    if (i == 6 || (*seen & 1u << i) || !take_number(s, &v, &whole)) return false;
    *seen |= 1u << i;
    if (i == 0) {
        out->temperature = v;
        out->has_temperature = true;
        return v >= 0 && v <= 2;
    }
    if (i == 1) return v >= 0 && v <= 1;
    if (i == 2) return v >= 1 && v <= 1;
    if (i == 5) return true;
    if (!whole || v < 1 || out->max_tokens != 0) return false;
    out->max_tokens = (int64_t)v;
    out->max_tokens_key = keys[i];
    return true;
}

static bool take_stream(scan *s, unsigned *seen, cfb_mock__chat *out) {
    if (*seen & 1u << 8) return false;
    *seen |= 1u << 8;
    skip_space(s);
    out->stream = take_word(s, "true");
    return out->stream || take_word(s, "false");
}

static bool take_member(scan *s, unsigned *seen, cfb_mock__chat *out) {
    piece key, value;
    if (!take_string(s, &key) || key.escaped || !take(s, ':')) return false;
    if (cfb_str_eqz(key.raw, "messages")) return take_messages(s, out);
    if (cfb_str_eqz(key.raw, "stream")) return take_stream(s, seen, out);
    if (!cfb_str_eqz(key.raw, "model")) return take_setting(s, key.raw, seen, out);
    if (out->model.ptr != NULL || !take_string(s, &value) || value.escaped || value.raw.len == 0) return false;
    out->model = value.raw;
    return true;
}

bool cfb_mock__scan_chat(cfb_str body, cfb_mock__chat *out) {
    scan s = {(const unsigned char *)body.ptr, (const unsigned char *)body.ptr + body.len};
    unsigned seen = 0;
    if (body.ptr == NULL || !take(&s, '{')) return false;
    do {
        if (!take_member(&s, &seen, out)) return false;
    } while (take(&s, ','));
    if (!take(&s, '}')) return false;
    skip_space(&s);
    return s.p == s.end && out->model.ptr != NULL && out->prompt.ptr != NULL;
}
