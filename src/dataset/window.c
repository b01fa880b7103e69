/* window.c - a sliding piece of text over a byte source. */
#include "dataset/internal.h"

#include <stdlib.h>

#define FIRST_CAP ((size_t)64 * 1024)

cfb_code cfb_window__fill(cfb_window *w, size_t target, cfb_err *err) {
    if (w->pos > 0) {
        if (w->len > w->pos) memmove(w->buf, w->buf + w->pos, w->len - w->pos);
        w->base += w->pos;
        w->len -= w->pos;
        w->pos = 0;
    }
    while (w->len < target && !w->eof) {
        if (w->len == w->cap) {
            /* Doubling: memory follows the data that is really there, not what a limit would allow. */
            size_t cap = w->cap ? w->cap : FIRST_CAP / 2;
            if (!cfb_size_mul(cap, 2, &cap)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
            char *p = realloc(w->buf, cap);
            if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", cap);
            w->buf = p;
            w->cap = cap;
        }
        size_t end = w->cap < target ? w->cap : target, got = 0;
        cfb_code rc = cfb_source__read(w->src, w->buf + w->len, end - w->len, &got, err);
        if (rc != CFB_OK) return rc;
        w->eof = got < end - w->len;
        w->len += got;
    }
    return CFB_OK;
}

cfb_code cfb_window__grow(cfb_window *w, cfb_err *err) {
    size_t unread = w->len - w->pos, target;
    if (!cfb_size_mul(unread, 2, &target)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    return cfb_window__fill(w, target < FIRST_CAP ? FIRST_CAP : target, err);
}

cfb_code cfb_window__start(cfb_window *w, cfb_source_t *src, cfb_err *err) {
    w->src = src;
    cfb_code rc = cfb_window__fill(w, FIRST_CAP, err);
    if (rc == CFB_OK && w->len >= 3 && memcmp(w->buf, "\xEF\xBB\xBF", 3) == 0) w->pos = 3;
    return rc;
}

void cfb_window__free(cfb_window *w) {
    cfb_source__close(w->src);
    free(w->buf);
    w->src = NULL;
    w->buf = NULL;
}

uint64_t cfb_window__offset(const cfb_window *w, const char *p) { return w->base + (uint64_t)(p - w->buf); }

/* In pieces of at most 255 bytes, so that a piece's count fits a byte and the loop works on bytes. */
size_t cfb_text__count_lines(const char *p, const char *end) {
    size_t n = 0;
    while (p < end) {
        size_t piece = (size_t)(end - p) < 255 ? (size_t)(end - p) : 255;
        unsigned char in_piece = 0;
#pragma omp simd reduction(+ : in_piece)
        for (size_t i = 0; i < piece; i++) in_piece = (unsigned char)(in_piece + (p[i] == '\n'));
        n += in_piece;
        p += piece;
    }
    return n;
}
