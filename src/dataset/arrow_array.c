/* arrow_array.c - values of one column as text, with every offset checked against its buffer. */
#include "dataset/arrow.h"

#include "cfbench/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void arrow_array_clear(arrow_array *a) {
    cfb_buf_clear(&a->validity);
    cfb_buf_clear(&a->first);
    cfb_buf_clear(&a->second);
    for (size_t i = 0; i < a->cap_views; i++) cfb_buf_clear(&a->views[i]);
    a->n_views = 0;
    a->length = 0;
    a->has_nulls = false;
}

void arrow_array_free(arrow_array *a) {
    cfb_buf_free(&a->validity);
    cfb_buf_free(&a->first);
    cfb_buf_free(&a->second);
    for (size_t i = 0; i < a->cap_views; i++) cfb_buf_free(&a->views[i]);
    free(a->views);
    memset(a, 0, sizeof *a);
}

bool arrow_array_check(const arrow_array *a, const char **what) {
    size_t n = a->length;
    if (n == 0 || a->type.kind == ARROW_NULL) return true;
    *what = "validity";
    if (a->has_nulls && a->validity.len < (n - 1) / 8 + 1) return false;
    *what = "values";
    switch (a->type.kind) {
    case ARROW_BOOL: return a->first.len >= (n - 1) / 8 + 1;
    case ARROW_INT:
    case ARROW_FLOAT: return a->first.len / a->type.width >= n;
    case ARROW_VIEW: return a->first.len / 16 >= n;
    default: break;
    }
    *what = "offsets";
    return a->first.len / a->type.width > n;
}

static const unsigned char *bytes_of(const cfb_buf *b) { return (const unsigned char *)b->ptr; }

static bool bit(const cfb_buf *b, size_t i) { return bytes_of(b)[i / 8] >> (i % 8) & 1; }

static uint64_t raw_int(const arrow_array *a, size_t i) {
    const unsigned char *p = bytes_of(&a->first) + i * a->type.width;
    switch (a->type.width) {
    case 1: return a->type.is_signed ? (uint64_t)(int64_t)(int8_t)*p : *p;
    case 2: return a->type.is_signed ? (uint64_t)(int64_t)(int16_t)cfb_le16(p) : cfb_le16(p);
    case 4: return a->type.is_signed ? (uint64_t)(int64_t)(int32_t)cfb_le32(p) : cfb_le32(p);
    default: return cfb_le64(p);
    }
}

bool arrow_array_index(const arrow_array *a, size_t i, int64_t *out) {
    if (a->has_nulls && !bit(&a->validity, i)) return false;
    uint64_t v = raw_int(a, i);
    *out = v > INT64_MAX ? -1 : (int64_t)v;
    return true;
}

static double half_to_double(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v;
    if (exponent == 31)
        v = fraction ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        v = ldexp(fraction, -24);
    else
        v = ldexp(fraction + 1024, exponent - 25);
    return h & 0x8000 ? -v : v;
}

/* The shortest digits that read back as this float: 0.1f is "0.1" and not "0.10000000149011612". */
static double widen(float f) {
    char text[32];
    for (int digits = 6; digits < 9 && isfinite(f); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)f);
        if (strtof(text, NULL) == f) return strtod(text, NULL);
    }
    if (!isfinite(f)) return (double)f;
    snprintf(text, sizeof text, "%.9g", (double)f);
    return strtod(text, NULL);
}

static double raw_float(const arrow_array *a, size_t i) {
    const unsigned char *p = bytes_of(&a->first) + i * a->type.width;
    if (a->type.width == 2) return half_to_double(cfb_le16(p));
    if (a->type.width == 4) {
        uint32_t bits = cfb_le32(p);
        float f;
        memcpy(&f, &bits, sizeof f);
        return widen(f);
    }
    uint64_t bits = cfb_le64(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static cfb_code number_text(const arrow_array *a, size_t i, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    char text[32];
    if (a->type.kind == ARROW_FLOAT)
        cfb_format_double(raw_float(a, i), text);
    else if (a->type.is_signed)
        snprintf(text, sizeof text, "%" PRId64, (int64_t)raw_int(a, i));
    else
        snprintf(text, sizeof text, "%" PRIu64, raw_int(a, i));
    return cfb_arena_dup(arena, cfb_str_from(text), out, err);
}

static cfb_code text_bytes(const arrow_array *a, size_t i, cfb_str *out, cfb_err *err) {
    const unsigned char *p = bytes_of(&a->first) + i * a->type.width;
    bool large = a->type.width == 8;
    uint64_t from = large ? cfb_le64(p) : cfb_le32(p), to = large ? cfb_le64(p + 8) : cfb_le32(p + 4);
    if (from > to || to > a->second.len)
        return cfb_err_set(err, CFB_EDATA, "text offsets %" PRIu64 " to %" PRIu64 " do not fit into %zu bytes", from, to,
                           a->second.len);
    *out = (cfb_str){to > from ? a->second.ptr + from : "", (size_t)(to - from)};
    return CFB_OK;
}

/* A view: length, then the text itself if it has up to 12 bytes, else 4 bytes of it, buffer number and offset. */
static cfb_code view_bytes(const arrow_array *a, size_t i, cfb_str *out, cfb_err *err) {
    const unsigned char *p = bytes_of(&a->first) + i * 16;
    uint32_t len = cfb_le32(p), buffer = cfb_le32(p + 8), offset = cfb_le32(p + 12);
    if (len <= 12) {
        *out = (cfb_str){a->first.ptr + i * 16 + 4, len};
        return CFB_OK;
    }
    if (buffer >= a->n_views || offset > a->views[buffer].len || len > a->views[buffer].len - offset)
        return cfb_err_set(err, CFB_EDATA, "a text view points to %u bytes at %u of buffer %u, which is not there", len, offset,
                           buffer);
    *out = (cfb_str){a->views[buffer].ptr + offset, len};
    return CFB_OK;
}

cfb_code arrow_array_text(const arrow_array *a, size_t i, size_t max_bytes, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    *out = CFB_STR_NULL;
    if (a->type.kind == ARROW_NULL || (a->has_nulls && !bit(&a->validity, i))) return CFB_OK;
    cfb_code rc;
    switch (a->type.kind) {
    case ARROW_BOOL: *out = bit(&a->first, i) ? CFB_STR_LIT("true") : CFB_STR_LIT("false"); return CFB_OK;
    case ARROW_INT:
    case ARROW_FLOAT: return number_text(a, i, arena, out, err);
    case ARROW_TEXT: rc = text_bytes(a, i, out, err); break;
    case ARROW_VIEW: rc = view_bytes(a, i, out, err); break;
    default: return cfb_err_set(err, CFB_EBUG, "a column of type %s was read", a->type.name);
    }
    if (rc != CFB_OK) return rc;
    if (out->len > max_bytes) return cfb_err_set(err, CFB_ELIMIT, "the value is larger than the limit of %zu bytes", max_bytes);
    size_t bad = cfb_utf8_find_invalid(*out);
    if (bad != SIZE_MAX) return cfb_err_set(err, CFB_EENCODING, "not valid UTF-8 at byte %zu of the value", bad);
    return CFB_OK;
}
