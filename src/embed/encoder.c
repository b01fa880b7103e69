/* encoder.c - texts to vectors: tokens, batches, pooling. */
#include "embed/encoder.h"
#include "base/blas.h"
#include "cfbench/base.h"

#include <math.h>
#include <stdlib.h>

#define TOKEN_BLOCK 64 /* texts that are tokenised at a time */
#define GROUP 4096     /* texts whose tokens are held at a time, and the unit in which a cache grows */

typedef struct job {
    cfb_encoder_t *e;
    const cfb_str *texts; /* (n) */
    size_t n, *order;     /* order: of the texts in batches */
    uint32_t *ids;        /* (n, max_tokens) */
    uint32_t *lengths;    /* (n) */
    cfb_code *codes;      /* (n) */
    size_t layers;
    bool only_first;
    embed_take_fn take;
    void *ctx;
    /* of the running batch */
    const float *states;
    embed_span spans[EMBED_BATCH_ROWS / 2];
    size_t first, n_spans; /* in order */
} job;

static void tokenise(void *ctx, size_t block, int worker) {
    job *j = ctx;
    size_t end = (block + 1) * TOKEN_BLOCK < j->n ? (block + 1) * TOKEN_BLOCK : j->n, max = j->e->max_tokens, n = 0;
    (void)worker;
    for (size_t i = block * TOKEN_BLOCK; i < end; i++) {
        j->codes[i] = cfb_wordpiece_encode(j->e->tokens, j->texts[i], j->e->cut, max, j->ids + i * max, &n, NULL);
        j->lengths[i] = (uint32_t)n;
    }
}

/* Longest first; of equal ones the earlier. A counting sort: lengths are small numbers. */
static void sort_by_length(job *j) {
    size_t at[CFB_ENCODER_MAX_TOKENS + 2] = {0};
    for (size_t i = 0; i < j->n; i++) at[CFB_ENCODER_MAX_TOKENS - j->lengths[i] + 1]++;
    for (size_t l = 1; l <= CFB_ENCODER_MAX_TOKENS + 1; l++) at[l] += at[l - 1];
    for (size_t i = 0; i < j->n; i++) j->order[at[CFB_ENCODER_MAX_TOKENS - j->lengths[i]]++] = i;
}

static double add_squares(const float *v, size_t n) {
    double lane[8] = {0};
    for (size_t i = 0; i < n; i++) lane[i % 8] += (double)v[i] * (double)v[i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

typedef struct vectors {
    size_t dim;
    float *out; /* (n, dim) */
} vectors;

/* CLS: the first row; MEAN: of all rows, each column summed from the top in binary64. Then divided by its length. */
static cfb_code pool(void *ctx, size_t i, const float *rows, size_t n_rows) {
    const vectors *v = ctx;
    size_t dim = v->dim;
    float *out = v->out + i * dim;
    for (size_t k = 0; k < dim; k++) {
        double sum = rows[k];
        for (size_t r = 1; r < n_rows; r++) sum += rows[r * dim + k];
        out[k] = (float)(sum / (double)n_rows);
    }
    double norm = sqrt(add_squares(out, dim));
    if (!isfinite(norm) || norm == 0) return CFB_EDOMAIN;
    for (size_t k = 0; k < dim; k++) out[k] = (float)(out[k] / norm);
    return CFB_OK;
}

static void take_text(void *ctx, size_t block, int worker) {
    job *j = ctx;
    const embed_span *s = &j->spans[block];
    size_t i = j->order[j->first + block];
    (void)worker;
    j->codes[i] = j->take(j->ctx, i, j->states + s->first_row * cfb_encoder_dim(j->e), j->only_first ? 1 : s->n);
}

/* As many texts as fit, in order. Returns how many. */
static size_t fill_batch(job *j, size_t first) {
    size_t align = embed_pass_align(j->e->pass), row = 0, n = 0;
    for (; first + n < j->n && n < sizeof j->spans / sizeof *j->spans; n++) {
        size_t i = j->order[first + n], len = j->lengths[i];
        if (row + len > EMBED_BATCH_ROWS) break;
        j->spans[n] = (embed_span){row, len, j->ids + i * j->e->max_tokens};
        row = (row + len + align - 1) / align * align;
        j->e->work.tokens += len;
    }
    j->first = first;
    j->n_spans = n;
    return n;
}

static cfb_code check_codes(const job *j, size_t *index, cfb_err *err) {
    for (size_t i = 0; i < j->n; i++) {
        if (j->codes[i] == CFB_OK) continue;
        *index = i;
        switch (j->codes[i]) {
        case CFB_EENCODING: return cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8");
        case CFB_EDOMAIN: return cfb_err_set(err, CFB_EDOMAIN, "the model gives a vector that is not finite, or zero");
        default: return cfb_err_set(err, j->codes[i], "out of memory (tokens)");
        }
    }
    return CFB_OK;
}

/* At most GROUP texts, all different. index: of the text that an error is about. */
static cfb_code embed_group(job *j, size_t *index, cfb_err *err) {
    cfb_par_blocks((j->n + TOKEN_BLOCK - 1) / TOKEN_BLOCK, j->n >= 2 * TOKEN_BLOCK ? j->e->n_threads : 1, tokenise, j);
    cfb_code rc = check_codes(j, index, err);
    if (rc != CFB_OK) return rc;
    sort_by_length(j);
    cfb_blas_enter();
    for (size_t first = 0; first < j->n; first += j->n_spans) {
        fill_batch(j, first);
        j->states = embed_pass_run(j->e->pass, j->spans, j->n_spans, j->layers, j->only_first);
        if (j->states == NULL) break;
        cfb_par_blocks(j->n_spans, j->e->n_threads, take_text, j);
        j->e->work.batches++;
    }
    cfb_blas_leave();
    if (j->n > 0 && j->states == NULL)
        return cfb_err_set(err, CFB_ECONFIG, "oneDNN refused a bfloat16 product; use --precision f32");
    j->e->work.texts += j->n;
    return check_codes(j, index, err);
}

static void free_job(job *j) {
    if (j == NULL) return;
    free(j->order);
    free(j->ids);
    free(j->lengths);
    free(j->codes);
    free(j);
}

static job *new_job(cfb_encoder_t *e, size_t n) {
    job *j = calloc(1, sizeof *j);
    if (j == NULL) return NULL;
    j->e = e;
    j->order = malloc(n * sizeof *j->order);
    j->ids = malloc(n * e->max_tokens * sizeof *j->ids);
    j->lengths = malloc(n * sizeof *j->lengths);
    j->codes = malloc(n * sizeof *j->codes);
    if (j->order && j->ids && j->lengths && j->codes) return j;
    free_job(j);
    return NULL;
}

cfb_code embed_states(cfb_encoder_t *e, const cfb_str *texts, size_t n, size_t layers, bool only_first, embed_take_fn take,
                      void *ctx, size_t *index, cfb_err *err) {
    job *j = new_job(e, n ? n : 1);
    *index = 0;
    if (j == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (embedding %zu texts)", n);
    j->texts = texts;
    j->n = n;
    j->layers = layers;
    j->only_first = only_first;
    j->take = take;
    j->ctx = ctx;
    cfb_code rc = embed_group(j, index, err);
    free_job(j);
    return rc;
}

/* ---- equal texts, and those that the cache knows ---- */

typedef unsigned char key_bytes[32];

typedef struct todo {
    key_bytes *keys; /* (n) of all texts */
    size_t *same;    /* (n): index of the first equal text */
    size_t *slots, n_slots;
} todo;

static void find_equal(todo *t, size_t n) {
    for (size_t i = 0; i < t->n_slots; i++) t->slots[i] = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        uint64_t h;
        memcpy(&h, t->keys[i], sizeof h);
        size_t at = (size_t)h & (t->n_slots - 1);
        while (t->slots[at] != SIZE_MAX && memcmp(t->keys[t->slots[at]], t->keys[i], 32) != 0) at = (at + 1) & (t->n_slots - 1);
        if (t->slots[at] == SIZE_MAX) t->slots[at] = i;
        t->same[i] = t->slots[at];
    }
}

static bool todo_init(todo *t, size_t n) {
    t->n_slots = 16;
    while (t->n_slots < 2 * n) t->n_slots *= 2;
    t->keys = malloc((n ? n : 1) * sizeof *t->keys);
    t->same = malloc((n ? n : 1) * sizeof *t->same);
    t->slots = malloc(t->n_slots * sizeof *t->slots);
    return t->keys && t->same && t->slots;
}

static void todo_free(todo *t) {
    free(t->keys);
    free(t->same);
    free(t->slots);
}

typedef struct source {
    cfb_embed_fn embed;
    void *ctx;
    size_t dim;
    cfb_embed_cache_t *cache;
} source;

/* Embeds texts picked[0..n) of `texts` and puts their vectors in place. */
static cfb_code embed_picked(const source *s, const todo *t, const cfb_str *texts, const size_t *picked, size_t n, float *out,
                             cfb_err *err) {
    size_t dim = s->dim, index = 0;
    cfb_str *some = malloc(n * sizeof *some);
    key_bytes *keys = malloc(n * sizeof *keys);
    float *made = malloc(n * dim * sizeof *made);
    cfb_code rc = some && keys && made ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (embedding %zu texts)", n);
    if (rc == CFB_OK) {
        for (size_t i = 0; i < n; i++) {
            some[i] = texts[picked[i]];
            memcpy(keys[i], t->keys[picked[i]], sizeof keys[i]);
        }
        rc = s->embed(s->ctx, some, n, made, &index, err);
        if (rc != CFB_OK && err) err->offset = picked[index];
    }
    for (size_t i = 0; rc == CFB_OK && i < n; i++) memcpy(out + picked[i] * dim, made + i * dim, dim * sizeof *out);
    if (rc == CFB_OK && s->cache) rc = cfb_embed_cache_put(s->cache, (const key_bytes *)keys, made, n, err);
    free(some);
    free(keys);
    free(made);
    return rc;
}

cfb_code cfb_embed_with(cfb_embed_fn embed, void *ctx, size_t dim, cfb_embed_cache_t *cache, const cfb_str *texts, size_t n,
                        float *out, cfb_err *err) {
    const source s = {embed, ctx, dim, cache};
    size_t n_picked = 0;
    todo t = {0};
    size_t *picked = malloc(GROUP * sizeof *picked);
    cfb_code rc = todo_init(&t, n) && picked ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (embedding %zu texts)", n);
    if (rc == CFB_OK) {
        for (size_t i = 0; i < n; i++) cfb_embed_key(texts[i], t.keys[i]);
        find_equal(&t, n);
    }
    for (size_t i = 0; rc == CFB_OK && i < n; i++) {
        if (t.same[i] == i && !(cache && cfb_embed_cache_get(cache, t.keys[i], out + i * dim))) picked[n_picked++] = i;
        if (n_picked > 0 && (n_picked == GROUP || i + 1 == n)) {
            rc = embed_picked(&s, &t, texts, picked, n_picked, out, err);
            n_picked = 0;
        }
    }
    for (size_t i = 0; rc == CFB_OK && i < n; i++)
        if (t.same[i] != i) memcpy(out + i * dim, out + t.same[i] * dim, dim * sizeof *out);
    todo_free(&t);
    free(picked);
    return rc;
}

static cfb_code encode(void *ctx, const cfb_str *texts, size_t n, float *out, size_t *index, cfb_err *err) {
    cfb_encoder_t *e = ctx;
    vectors v = {cfb_encoder_dim(e), out};
    return embed_states(e, texts, n, e->model->config.layers, e->pooling == CFB_POOL_CLS, pool, &v, index, err);
}

cfb_code cfb_embed_texts(cfb_encoder_t *e, cfb_embed_cache_t *cache, const cfb_str *texts, size_t n, float *out, cfb_err *err) {
    return cfb_embed_with(encode, e, cfb_encoder_dim(e), cache, texts, n, out, err);
}

cfb_code cfb_encoder_embed(cfb_encoder_t *e, const cfb_str *texts, size_t n, float *out, cfb_err *err) {
    return cfb_embed_texts(e, NULL, texts, n, out, err);
}
