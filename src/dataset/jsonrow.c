/* jsonrow.c - rows out of JSON text. Values are slices: a number keeps the digits that the file has (a tree of doubles
 * would round long ids), a string without escapes is not copied. */
#include "dataset/jsonrow.h"

#include "cfbench/json.h"

#include <inttypes.h>
#include <stdlib.h>

cfb_code cfb_jrow__check(cfb_str text, cfb_jplace at, cfb_err *err) {
    cfb_err local = CFB_ERR_INIT;
    cfb_code rc = cfb_json_check(text.ptr, text.len, 0, &local);
    if (rc == CFB_OK) return CFB_OK;
    /* The message starts with the line within the text: the file's line is wanted. */
    const char *what = local.msg;
    uint64_t line = at.line, offset = at.offset + local.offset;
    if (strncmp(what, "line ", 5) == 0) {
        char *end;
        unsigned long n = strtoul(what + 5, &end, 10);
        if (n > 0 && strncmp(end, ", ", 2) == 0) {
            line += n - 1;
            what = end + 2;
        }
    }
    cfb_err_set(err, rc, "%s:%" PRIu64 ": byte %" PRIu64 ", %s", at.label, line, offset, what);
    if (err) err->offset = offset;
    return rc;
}

static size_t skip_space(cfb_str t, size_t i) {
    while (i < t.len && (t.ptr[i] == ' ' || t.ptr[i] == '\n' || t.ptr[i] == '\t' || t.ptr[i] == '\r')) i++;
    return i;
}

/* Behind the closing quote of the string whose opening quote is at i. */
static size_t skip_string(cfb_str t, size_t i) {
    for (i++; i < t.len; i++) {
        const char *q = memchr(t.ptr + i, '"', t.len - i);
        if (q == NULL) return t.len;
        size_t at = (size_t)(q - t.ptr), slashes = 0;
        while (at - slashes > i && t.ptr[at - slashes - 1] == '\\') slashes++;
        if (slashes % 2 == 0) return at + 1;
        i = at; /* that quote was escaped */
    }
    return t.len;
}

static bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static size_t skip_container(cfb_str t, size_t i) {
    size_t depth = 0;
    while (i < t.len) {
        char c = t.ptr[i];
        if (c == '"') {
            i = skip_string(t, i);
            continue;
        }
        i++;
        if (c == '[' || c == '{') depth++;
        if ((c == ']' || c == '}') && --depth == 0) return i;
    }
    return t.len;
}

cfb_str cfb_jrow__value(cfb_str t, size_t *pos) {
    size_t start = skip_space(t, *pos), i = start;
    if (start >= t.len) {
        *pos = t.len;
        return CFB_STR_NULL;
    }
    if (t.ptr[i] == '"')
        i = skip_string(t, i);
    else if (t.ptr[i] == '[' || t.ptr[i] == '{')
        i = skip_container(t, i);
    else
        while (i < t.len && !ends_scalar(t.ptr[i])) i++;
    *pos = i;
    return (cfb_str){t.ptr + start, i - start};
}

bool cfb_jrow__accept(cfb_str t, size_t *pos, char mark) {
    *pos = skip_space(t, *pos);
    if (*pos >= t.len || t.ptr[*pos] != mark) return false;
    ++*pos;
    return true;
}

static unsigned hex4(const char *p) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
        v = v * 16 + (d & 15);
    }
    return v;
}

static size_t put_utf8(char *out, unsigned cp) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

/* One escape at p (behind the backslash, n bytes left): bytes used, 0 if it is none. */
static size_t unescape_one(const char *p, size_t n, char *out, size_t *n_out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (n == 0) return 0;
    if (*p != 'u') {
        const char *at = memchr(from, *p, sizeof from - 1);
        if (at == NULL) return 0;
        *out = to[at - from];
        *n_out = 1;
        return 1;
    }
    if (n < 5) return 0;
    unsigned cp = hex4(p + 1);
    size_t used = 5;
    if (cp >= 0xD800 && cp <= 0xDBFF && n >= 11 && p[5] == '\\' && p[6] == 'u') {
        cp = 0x10000 + ((cp & 0x3FF) << 10) + (hex4(p + 7) & 0x3FF);
        used = 11;
    }
    *n_out = put_utf8(out, cp);
    return used;
}

/* The text of a raw string value (with its quotes). An escape is never shorter than what it stands for. */
static cfb_code string_text(cfb_str raw, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    if (raw.len < 2) return cfb_err_set(err, CFB_EBUG, "a JSON string without quotes");
    const char *p = raw.ptr + 1, *end = raw.ptr + raw.len - 1;
    const char *slash = memchr(p, '\\', (size_t)(end - p));
    if (slash == NULL) {
        *out = (cfb_str){p, (size_t)(end - p)};
        return CFB_OK;
    }
    char *text = cfb_arena_alloc(arena, raw.len);
    if (text == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    size_t len = 0;
    while (slash != NULL) {
        memcpy(text + len, p, (size_t)(slash - p));
        len += (size_t)(slash - p);
        size_t n_out = 0, used = unescape_one(slash + 1, (size_t)(end - slash - 1), text + len, &n_out);
        if (used == 0) return cfb_err_set(err, CFB_EBUG, "a JSON escape passed the check and is none");
        len += n_out;
        p = slash + 1 + used;
        slash = memchr(p, '\\', (size_t)(end - p));
    }
    memcpy(text + len, p, (size_t)(end - p));
    *out = (cfb_str){text, len + (size_t)(end - p)};
    return CFB_OK;
}

/* A list or object without the white space between its marks. */
static cfb_code compact_text(cfb_str raw, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    char *text = cfb_arena_alloc(arena, raw.len);
    if (text == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    size_t len = 0;
    for (size_t i = 0; i < raw.len;) {
        size_t next = skip_space(raw, i);
        if (next > i) {
            i = next;
            continue;
        }
        next = raw.ptr[i] == '"' ? skip_string(raw, i) : i + 1;
        memcpy(text + len, raw.ptr + i, next - i);
        len += next - i;
        i = next;
    }
    *out = (cfb_str){text, len};
    return CFB_OK;
}

static cfb_code value_text(cfb_str raw, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    switch (raw.ptr[0]) {
    case '"': return string_text(raw, arena, out, err);
    case '[':
    case '{': return compact_text(raw, arena, out, err);
    case 'n': *out = CFB_STR_NULL; return CFB_OK;
    default: *out = raw; return CFB_OK;
    }
}

/* Next member of an object; *pos starts behind the '{'. Returns false at the end of the object. */
static bool next_member(cfb_str object, size_t *pos, cfb_str *key, cfb_str *value) {
    cfb_jrow__accept(object, pos, ',');
    *key = cfb_jrow__value(object, pos);
    if (key->len == 0 || key->ptr[0] != '"') return false;
    if (!cfb_jrow__accept(object, pos, ':')) return false;
    *value = cfb_jrow__value(object, pos);
    return value->len > 0;
}

cfb_code cfb_jrow__member(cfb_str object, const char *name, cfb_arena_t *scratch, cfb_str *out, cfb_err *err) {
    size_t pos = 0;
    cfb_str key, value, text;
    *out = CFB_STR_NULL;
    cfb_jrow__accept(object, &pos, '{');
    while (next_member(object, &pos, &key, &value)) {
        cfb_code rc = string_text(key, scratch, &text, err);
        if (rc != CFB_OK) return rc;
        if (!cfb_str_eqz(text, name)) continue;
        if (out->ptr) return cfb_err_set(err, CFB_EDATA, "member '%s' stands twice in one object", name);
        *out = value;
    }
    return CFB_OK;
}

static cfb_code check_first(cfb_reader_t *r, cfb_str object, const char *where, cfb_err *err) {
    cfb_str key, value;
    size_t n = 0, k = 0, pos = 0;
    cfb_jrow__accept(object, &pos, '{');
    for (size_t p = pos; next_member(object, &p, &key, &value);) n++;
    cfb_str *have = cfb_arena_calloc(r->values, n, sizeof *have);
    if (have == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    while (next_member(object, &pos, &key, &value)) {
        cfb_code rc = string_text(key, r->values, &have[k++], err);
        if (rc != CFB_OK) return rc;
    }
    return cfb_reader__check_columns(r, where, have, n, err);
}

static cfb_code store_value(cfb_reader_t *r, size_t i, cfb_str raw, const char *where, cfb_str *cell, cfb_err *err) {
    const char *name = r->names[i].ptr;
    if (r->seen[i]) return cfb_err_set(err, CFB_EDATA, "%s: member '%.80s' stands twice in one object", where, name);
    r->seen[i] = true;
    cfb_code rc = value_text(raw, r->values, cell, err);
    if (rc == CFB_OK && cell->len > r->opts.max_field_bytes)
        rc = cfb_err_set(err, CFB_ELIMIT, "%s: the value of '%.80s' is larger than the limit of %zu bytes", where, name,
                         r->opts.max_field_bytes);
    return rc;
}

static const char *kind_name(cfb_str raw) {
    switch (raw.len ? raw.ptr[0] : 'n') {
    case '[': return "a list";
    case '"': return "a string";
    case 't':
    case 'f': return "a boolean";
    case 'n': return "null";
    default: return "a number";
    }
}

cfb_code cfb_jrow__fill(cfb_reader_t *r, cfb_str object, const char *where, bool first, cfb_str *cells, size_t *bytes,
                        cfb_err *err) {
    size_t pos = 0, k = r->opts.n_columns;
    cfb_str key, raw, name;
    cfb_code rc = CFB_OK;
    *bytes = object.len;
    if (!cfb_jrow__accept(object, &pos, '{'))
        return cfb_err_set(err, CFB_EDATA, "%s: expected an object, found %s", where, kind_name(object));
    if (k) memset(r->seen, 0, k * sizeof *r->seen);
    while (rc == CFB_OK && next_member(object, &pos, &key, &raw)) {
        rc = string_text(key, r->values, &name, err);
        if (rc != CFB_OK) break;
        for (size_t i = cfb_reader__find(r, name, 0); i < k && rc == CFB_OK; i = cfb_reader__find(r, name, i + 1))
            rc = store_value(r, i, raw, where, &cells[i], err);
    }
    for (size_t i = 0; i < k; i++) r->has[i] = r->has[i] || r->seen[i];
    return rc == CFB_OK && first ? check_first(r, object, where, err) : rc;
}
