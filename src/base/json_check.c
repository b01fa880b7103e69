/* The grammar of RFC 8259, byte by byte: cJSON accepts more (control characters in strings, numbers like 01, text after a
 * NUL), and cannot hold U+0000. Nothing that passes here is refused by cJSON, apart from running out of memory. */
#include "base/bytes.h"
#include "cfbench/json.h"
#include "cfbench/utf8.h"

struct scan {
    const char *text;
    size_t len, pos;
    cfb_err *err;
};

static cfb_code fail(struct scan *s, cfb_code code, size_t at, const char *what) {
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at && i < s->len; i++)
        if (s->text[i] == '\n') {
            line++;
            start = i + 1;
        }
    cfb_err_set(s->err, code, "line %zu, column %zu: %s", line, at - start + 1, what);
    if (s->err) s->err->offset = at;
    return code;
}

static cfb_code fail_here(struct scan *s, const char *what) {
    if (s->pos >= s->len) return fail(s, CFB_ETRUNCATED, s->len, "the JSON text ends too early");
    return fail(s, CFB_EDATA, s->pos, what);
}

static void skip_space(struct scan *s) {
    while (s->pos < s->len) {
        char c = s->text[s->pos];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
        s->pos++;
    }
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hex digits at pos, or -1. */
static int hex4(const char *text, size_t len, size_t pos) {
    if (len - pos < 4 || pos > len) return -1;
    int v = 0;
    for (size_t i = 0; i < 4; i++) {
        int h = hex_value(text[pos + i]);
        if (h < 0) return -1;
        v = v * 16 + h;
    }
    return v;
}

/* What stands at a \u escape (pos at the backslash): bytes used, and whether a C string can hold it. */
static size_t unicode_escape(const char *text, size_t len, size_t pos, bool *storable) {
    int u = hex4(text, len, pos + 2);
    if (u < 0) return 0;
    *storable = u != 0 && (u < 0xD800 || u > 0xDFFF);
    if (u >= 0xD800 && u <= 0xDBFF && len - pos >= 12 && text[pos + 6] == '\\' && text[pos + 7] == 'u') {
        int low = hex4(text, len, pos + 8);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *storable = true;
            return 12;
        }
    }
    return 6;
}

static cfb_code scan_string(struct scan *s) {
    size_t open = s->pos++;
    while (s->pos < s->len) {
        s->pos += cfb_plain_run(s->text + s->pos, s->len - s->pos);
        if (s->pos >= s->len) break;
        unsigned char c = (unsigned char)s->text[s->pos];
        if (c == '"') {
            s->pos++;
            return CFB_OK;
        }
        if (c < 0x20) return fail(s, CFB_EDATA, s->pos, "control character in a string (write it as an escape)");
        if (s->pos + 1 >= s->len) break;
        char e = s->text[s->pos + 1];
        if (e == 'u') {
            bool storable;
            size_t n = unicode_escape(s->text, s->len, s->pos, &storable);
            if (n == 0) {
                if (s->len - s->pos < 6) break;
                return fail(s, CFB_EDATA, s->pos, "\\u needs four hex digits");
            }
            if (!storable) return fail(s, CFB_EDATA, s->pos, "\\u0000 or half of a surrogate pair in a string");
            s->pos += n;
        } else if (strchr("\"\\/bfnrt", e) != NULL && e != '\0') {
            s->pos += 2;
        } else {
            return fail(s, CFB_EDATA, s->pos, "unknown escape in a string");
        }
    }
    s->pos = s->len;
    return fail(s, CFB_ETRUNCATED, open, "this string has no end");
}

static size_t digits(struct scan *s) {
    size_t start = s->pos;
    while (s->pos < s->len && s->text[s->pos] >= '0' && s->text[s->pos] <= '9') s->pos++;
    return s->pos - start;
}

static cfb_code scan_number(struct scan *s) {
    size_t start = s->pos;
    if (s->text[s->pos] == '-') s->pos++;
    bool zero = s->pos < s->len && s->text[s->pos] == '0';
    size_t n = digits(s);
    if (n == 0) return fail_here(s, "a digit was expected");
    if (zero && n > 1) return fail(s, CFB_EDATA, start, "a number may not start with 0");
    if (s->pos < s->len && s->text[s->pos] == '.') {
        s->pos++;
        if (digits(s) == 0) return fail_here(s, "a digit was expected after the point");
    }
    if (s->pos < s->len && (s->text[s->pos] == 'e' || s->text[s->pos] == 'E')) {
        s->pos++;
        if (s->pos < s->len && (s->text[s->pos] == '+' || s->text[s->pos] == '-')) s->pos++;
        if (digits(s) == 0) return fail_here(s, "a digit was expected in the exponent");
    }
    return CFB_OK;
}

static cfb_code scan_word(struct scan *s, const char *word) {
    size_t n = strlen(word);
    if (s->len - s->pos < n) {
        if (memcmp(s->text + s->pos, word, s->len - s->pos) == 0)
            return fail(s, CFB_ETRUNCATED, s->len, "the JSON text ends too early");
        return fail(s, CFB_EDATA, s->pos, "a value was expected");
    }
    if (memcmp(s->text + s->pos, word, n) != 0) return fail(s, CFB_EDATA, s->pos, "a value was expected");
    s->pos += n;
    return CFB_OK;
}

static cfb_code scan_scalar(struct scan *s) {
    if (s->pos >= s->len) return fail_here(s, "");
    switch (s->text[s->pos]) {
    case '"': return scan_string(s);
    case 't': return scan_word(s, "true");
    case 'f': return scan_word(s, "false");
    case 'n': return scan_word(s, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': return scan_number(s);
    default: return fail_here(s, "a value was expected");
    }
}

/* Key and colon of an object's member. */
static cfb_code scan_key(struct scan *s) {
    skip_space(s);
    if (s->pos >= s->len || s->text[s->pos] != '"') return fail_here(s, "a member name in quotes was expected");
    cfb_code rc = scan_string(s);
    if (rc != CFB_OK) return rc;
    skip_space(s);
    if (s->pos >= s->len || s->text[s->pos] != ':') return fail_here(s, "':' was expected");
    s->pos++;
    return CFB_OK;
}

static cfb_code scan_document(struct scan *s) {
    char stack[CFB_JSON_MAX_DEPTH];
    size_t depth = 0;
    for (;;) {
        skip_space(s);
        char c = s->pos < s->len ? s->text[s->pos] : '\0';
        cfb_code rc;
        if (s->pos < s->len && (c == '{' || c == '[')) {
            if (depth == CFB_JSON_MAX_DEPTH) return fail(s, CFB_ELIMIT, s->pos, "nested too deeply");
            stack[depth++] = c;
            s->pos++;
            skip_space(s);
            char close = c == '{' ? '}' : ']';
            if (s->pos >= s->len || s->text[s->pos] != close) {
                if (c == '{' && (rc = scan_key(s)) != CFB_OK) return rc;
                continue;
            }
            s->pos++;
            depth--;
        } else if ((rc = scan_scalar(s)) != CFB_OK) {
            return rc;
        }
        /* behind a value: close containers, or go on to the next member */
        for (;;) {
            skip_space(s);
            if (depth == 0) return s->pos == s->len ? CFB_OK : fail_here(s, "text after the end of the JSON value");
            if (s->pos >= s->len) return fail_here(s, "");
            char d = s->text[s->pos];
            if (d == ',') {
                s->pos++;
                if (stack[depth - 1] == '{' && (rc = scan_key(s)) != CFB_OK) return rc;
                break;
            }
            if (d != (stack[depth - 1] == '{' ? '}' : ']'))
                return fail_here(s, stack[depth - 1] == '{' ? "',' or '}' was expected" : "',' or ']' was expected");
            s->pos++;
            depth--;
        }
    }
}

cfb_code cfb_json_check(const char *text, size_t len, unsigned flags, cfb_err *err) {
    (void)flags;
    struct scan s = {text, len, 0, err};
    size_t bad = cfb_utf8_find_invalid((cfb_str){text, len});
    if (bad != SIZE_MAX) return fail(&s, CFB_EENCODING, bad, "not valid UTF-8");
    return scan_document(&s);
}

cfb_code cfb_json__repair(const char *text, size_t len, cfb_buf *out, cfb_err *err);

/* A copy of the text in which everything that a C string in UTF-8 cannot hold is U+FFFD. */
cfb_code cfb_json__repair(const char *text, size_t len, cfb_buf *out, cfb_err *err) {
    cfb_code rc = cfb_buf_reserve(out, len, err);
    size_t pos = 0;
    while (rc == CFB_OK && pos < len) {
        size_t bad = cfb_utf8_find_invalid((cfb_str){text + pos, len - pos});
        size_t end = bad == SIZE_MAX ? len : pos + bad;
        while (rc == CFB_OK && pos < end) { /* escapes are ASCII, so they lie within the valid stretch or are cut by its end */
            const char *b = memchr(text + pos, '\\', end - pos);
            size_t to = b ? (size_t)(b - text) : end;
            rc = cfb_buf_append(out, text + pos, to - pos, err);
            pos = to;
            if (b == NULL || rc != CFB_OK) continue;
            bool storable = true;
            size_t n = end - pos >= 2 ? 2 : 1;
            if (n == 2 && text[pos + 1] == 'u') {
                size_t u = unicode_escape(text, end, pos, &storable);
                if (u) n = u;
            }
            rc = storable ? cfb_buf_append(out, text + pos, n, err) : cfb_buf_append(out, "\\ufffd", 6, err);
            pos += n;
        }
        if (rc == CFB_OK && bad != SIZE_MAX) {
            rc = cfb_buf_append(out, "\xEF\xBF\xBD", 3, err);
            pos = end + 1;
        }
    }
    return rc;
}
