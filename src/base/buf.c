#include "cfbench/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int cfb_str_cmp(cfb_str a, cfb_str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0) return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t cfb_str_find(cfb_str hay, cfb_str needle, size_t from) {
    if (from > hay.len) return SIZE_MAX;
    if (needle.len == 0) return from;
    const char *p = hay.ptr + from, *end = hay.ptr + hay.len;
    while ((size_t)(end - p) >= needle.len) {
        p = memchr(p, needle.ptr[0], (size_t)(end - p) - needle.len + 1);
        if (p == NULL) return SIZE_MAX;
        if (memcmp(p, needle.ptr, needle.len) == 0) return (size_t)(p - hay.ptr);
        p++;
    }
    return SIZE_MAX;
}

cfb_code cfb_buf_reserve(cfb_buf *b, size_t extra, cfb_err *err) {
    size_t max = b->max ? b->max : SIZE_MAX - 1;
    if (extra > max || b->len > max - extra) return cfb_err_set(err, CFB_ELIMIT, "more than the allowed %zu bytes", max);
    size_t need = b->len + extra + 1;
    if (need <= b->cap) return CFB_OK;
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > max + 1) cap = max + 1;
    char *p = realloc(b->ptr, cap);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", cap);
    b->ptr = p;
    b->cap = cap;
    return CFB_OK;
}

cfb_code cfb_buf_append(cfb_buf *b, const void *data, size_t len, cfb_err *err) {
    cfb_code rc = cfb_buf_reserve(b, len, err);
    if (rc != CFB_OK) return rc;
    if (len) memcpy(b->ptr + b->len, data, len);
    b->len += len;
    b->ptr[b->len] = '\0';
    return CFB_OK;
}

cfb_code cfb_buf_append_str(cfb_buf *b, cfb_str s, cfb_err *err) { return cfb_buf_append(b, s.ptr, s.len, err); }
cfb_code cfb_buf_append_char(cfb_buf *b, char c, cfb_err *err) { return cfb_buf_append(b, &c, 1, err); }

cfb_code cfb_buf_printf(cfb_buf *b, cfb_err *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) return cfb_err_set(err, CFB_EBUG, "bad format string");
    cfb_code rc = cfb_buf_reserve(b, (size_t)n, err);
    if (rc != CFB_OK) return rc;
    va_start(args, fmt);
    vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return CFB_OK;
}

void cfb_buf_clear(cfb_buf *b) {
    b->len = 0;
    if (b->ptr) b->ptr[0] = '\0';
}

void cfb_buf_free(cfb_buf *b) {
    free(b->ptr);
    b->ptr = NULL;
    b->len = b->cap = 0;
}
