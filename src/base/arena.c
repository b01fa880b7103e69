#include "cfbench/buf.h"

#include <stdlib.h>

#define FIRST_BLOCK ((size_t)16 * 1024)
#define MAX_BLOCK ((size_t)4 * 1024 * 1024)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

struct cfb_arena {
    struct block *head; /* the block that allocations come from */
    size_t used, max, next_size;
};

cfb_code cfb_arena_new(size_t max_bytes, cfb_arena_t **out, cfb_err *err) {
    cfb_arena_t *a = calloc(1, sizeof *a);
    if (a == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    a->max = max_bytes ? max_bytes : SIZE_MAX;
    a->next_size = FIRST_BLOCK;
    *out = a;
    return CFB_OK;
}

static void free_list(struct block *b) {
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void cfb_arena_free(cfb_arena_t *a) {
    if (a == NULL) return;
    free_list(a->head);
    free(a);
}

void cfb_arena_reset(cfb_arena_t *a) {
    struct block *best = a->head;
    for (struct block *b = a->head; b; b = b->next)
        if (b->size > best->size) best = b;
    for (struct block *b = a->head; b;) {
        struct block *next = b->next;
        if (b != best) free(b);
        b = next;
    }
    a->head = best;
    if (best) {
        best->next = NULL;
        best->used = 0;
    }
    a->used = 0;
}

void *cfb_arena_alloc(cfb_arena_t *a, size_t size) {
    if (size > SIZE_MAX - 64) return NULL;
    size = (size + 15) & ~(size_t)15;
    if (size == 0) size = 16;
    if (size > a->max - a->used) return NULL;
    struct block *b = a->head;
    if (b == NULL || b->size - b->used < size) {
        size_t want = a->next_size > size ? a->next_size : size;
        b = malloc(sizeof *b + want);
        if (b == NULL) return NULL;
        b->size = want;
        b->used = 0;
        b->next = a->head;
        a->head = b;
        if (a->next_size < MAX_BLOCK) a->next_size *= 2;
    }
    void *p = b->data + b->used;
    b->used += size;
    a->used += size;
    return p;
}

void *cfb_arena_calloc(cfb_arena_t *a, size_t n, size_t size) {
    size_t total;
    if (!cfb_size_mul(n, size, &total)) return NULL;
    void *p = cfb_arena_alloc(a, total);
    if (p) memset(p, 0, total);
    return p;
}

cfb_code cfb_arena_dup(cfb_arena_t *a, cfb_str s, cfb_str *out, cfb_err *err) {
    if (s.ptr == NULL) {
        *out = CFB_STR_NULL;
        return CFB_OK;
    }
    size_t size;
    char *p = cfb_size_add(s.len, 1, &size) ? cfb_arena_alloc(a, size) : NULL;
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory, or over the limit of %zu bytes", a->max);
    if (s.len) memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    *out = (cfb_str){p, s.len};
    return CFB_OK;
}

size_t cfb_arena_used(const cfb_arena_t *a) { return a->used; }
