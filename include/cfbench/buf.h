/* buf.h - borrowed strings, growable byte buffers with a hard maximum, and arenas. */
#ifndef CFBENCH_BUF_H
#define CFBENCH_BUF_H

#include "cfbench/error.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A borrowed run of bytes, not NUL-terminated. ptr == NULL means "null" (a missing value), which is not the same as
 * the empty string (ptr != NULL, len == 0). */
typedef struct cfb_str {
    const char *ptr;
    size_t len;
} cfb_str;

#define CFB_STR_NULL ((cfb_str){NULL, 0})
#define CFB_STR_LIT(s) ((cfb_str){(s), sizeof(s) - 1})
/* For printf("%.*s"): at most INT_MAX bytes. */
#define CFB_STR_ARG(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), ((s).ptr ? (s).ptr : "")

static inline cfb_str cfb_str_from(const char *z) { return (cfb_str){z, z ? strlen(z) : 0}; }
static inline int cfb_str_eq(cfb_str a, cfb_str b) { return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0); }
static inline int cfb_str_eqz(cfb_str a, const char *z) { return cfb_str_eq(a, cfb_str_from(z)); }
/* Order by bytes (for UTF-8 this is code point order), shorter first: for qsort-style comparisons. */
int cfb_str_cmp(cfb_str a, cfb_str b);
/* First place of needle in hay at or after `from`, or SIZE_MAX. An empty needle is found at `from`. */
size_t cfb_str_find(cfb_str hay, cfb_str needle, size_t from);

/* Growable bytes. Always NUL-terminated after `len` once anything was written. Zero-initialised means "empty, no
 * limit set": use CFB_BUF_INIT(max). Appending beyond `max` fails with ELIMIT and leaves the buffer as it was. */
typedef struct cfb_buf {
    char *ptr;
    size_t len, cap, max;
} cfb_buf;

#define CFB_BUF_INIT(max_bytes) ((cfb_buf){NULL, 0, 0, (max_bytes)})

CFB_MUST_CHECK cfb_code cfb_buf_reserve(cfb_buf *b, size_t extra, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_buf_append(cfb_buf *b, const void *data, size_t len, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_buf_append_str(cfb_buf *b, cfb_str s, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_buf_append_char(cfb_buf *b, char c, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_buf_printf(cfb_buf *b, cfb_err *err, const char *fmt, ...) CFB_PRINTF(3, 4);
void cfb_buf_clear(cfb_buf *b); /* len = 0, memory kept */
void cfb_buf_free(cfb_buf *b);  /* memory freed, max kept; safe on a zeroed buffer */
static inline cfb_str cfb_buf_str(const cfb_buf *b) { return (cfb_str){b->ptr ? b->ptr : "", b->len}; }

/* a * b and a + b with overflow checks. Return 0 and leave *out alone on overflow, 1 otherwise. */
static inline int cfb_size_mul(size_t a, size_t b, size_t *out) {
    if (a != 0 && b > SIZE_MAX / a) return 0;
    *out = a * b;
    return 1;
}
static inline int cfb_size_add(size_t a, size_t b, size_t *out) {
    if (b > SIZE_MAX - a) return 0;
    *out = a + b;
    return 1;
}

/* Arena: many small allocations with one lifetime. Not thread-safe: one per thread or per owner. */
typedef struct cfb_arena cfb_arena_t;

/* Total memory is limited to max_bytes (0 = no limit). */
CFB_MUST_CHECK cfb_code cfb_arena_new(size_t max_bytes, cfb_arena_t **out, cfb_err *err);
void cfb_arena_free(cfb_arena_t *a);
void cfb_arena_reset(cfb_arena_t *a); /* forgets all allocations, keeps the largest block */
/* 16-byte aligned, uninitialised; NULL when the limit or memory is exhausted. size 0 gives a valid pointer. */
void *cfb_arena_alloc(cfb_arena_t *a, size_t size);
/* n * size zeroed bytes, overflow-checked. */
void *cfb_arena_calloc(cfb_arena_t *a, size_t n, size_t size);
/* Copy with a NUL behind it; the result borrows from the arena. A null string stays null. ptr NULL + len>0: failed. */
CFB_MUST_CHECK cfb_code cfb_arena_dup(cfb_arena_t *a, cfb_str s, cfb_str *out, cfb_err *err);
size_t cfb_arena_used(const cfb_arena_t *a);

#ifdef __cplusplus
}
#endif
#endif
