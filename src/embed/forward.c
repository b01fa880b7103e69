#include "embed/forward.h"
#include "base/blas.h"
#include "base/omp.h"
#include "cfbench/base.h"
#include "embed/forward_bf16.h"

#include <math.h>
#include <stdlib.h>

#define COLUMNS 1024 /* of a tile, at most */
#define ALIGNMENT 64
#define FEW_TILES 4

struct embed_pass {
    const embed_model *m;
    const embed_kernels *k;
    embed_half *half; /* all is done there; NULL: in binary32 */
    int n_threads;
    size_t tile; /* rows of a tile of this batch */
    size_t align;
    float *x;       /* (rows, H): the hidden states */
    float *wide;    /* first q, k, v and the context, each (rows, H); then the intermediate (rows, I) */
    float *sum;     /* (rows, H): what a sublayer adds */
    float *scratch; /* one layer's weights, where they are not used in place */
    float *scores;  /* (n_threads, positions^2) */
    size_t max_len;
    /* of the running batch */
    const embed_span *spans;
    size_t n_spans, rows, layer;
    const float *w[EMBED_N_WEIGHTS];
    size_t wide_pieces; /* of a row of the intermediate, or of q, k and v each */
    size_t from_weight; /* 0: q, k and v; 1: k and v */
};

/* ---- BLAS ---- */

/* c (m, n) = x (m, k) w^T, w (n, k) */
static void product(const float *x, size_t ldx, const float *w, size_t m, size_t n, size_t k, float *c, size_t ldc) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)m, (blasint)n, (blasint)k, 1.0f, x, (blasint)ldx, w, (blasint)k,
                0.0f, c, (blasint)ldc);
}

/* Rows of tile i of a batch: whole tiles, then the least height that holds the rest. */
static size_t tile_rows(const embed_pass *p, size_t i) {
    static const size_t heights[] = {48, 96, 192, 384};
    size_t left = p->rows - i * p->tile;
    for (size_t h = 0; h < 4 && left < p->tile; h++)
        if (left <= heights[h]) return heights[h];
    return p->tile;
}

static size_t n_tiles(const embed_pass *p) { return (p->rows + p->tile - 1) / p->tile; }

/* q, k, v and the context. */
static float *plane(const embed_pass *p, size_t i, size_t row) {
    return p->wide + (i * EMBED_BATCH_ROWS + row) * p->m->config.hidden;
}

/* Columns from..to of piece i of n; pieces begin at multiples of 16. */
static size_t piece_begin(size_t columns, size_t n, size_t i) {
    size_t begin = (columns * i / n + 15) / 16 * 16;
    return i == n || begin > columns ? columns : begin;
}

/* ---- stages; each block writes rows or columns of its own ---- */

/* The row of a token; texts are short, so the span is found by a walk. */
static void embed_text(void *ctx, size_t block, int worker) {
    embed_pass *p = ctx;
    const embed_span *s = &p->spans[block];
    const embed_model *m = p->m;
    size_t h = m->config.hidden;
    (void)worker;
    for (size_t i = 0; i < s->n; i++) {
        float *row = p->x + (s->first_row + i) * h, *add = p->sum + (s->first_row + i) * h;
        embed_tensor_read(m->words, (size_t)s->ids[i] * h, h, row);
        embed_tensor_read(m->positions, i * h, h, add);
        p->k->add_norm(row, add, m->type0, 1, h, m->norm_w, m->norm_b, m->config.layer_norm_eps);
    }
}

/* q, k and v, or k and v: one region over tiles, the weights and pieces of their columns. */
static void qkv_tile(void *ctx, size_t block, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, pieces = p->wide_pieces, weights = 3 - p->from_weight;
    size_t tile = block / (weights * pieces), which = p->from_weight + block / pieces % weights;
    size_t from = piece_begin(h, pieces, block % pieces), to = piece_begin(h, pieces, block % pieces + 1), row = tile * p->tile;
    size_t rows = tile_rows(p, tile);
    float *c = plane(p, which, row) + from;
    (void)worker;
    product(p->x + row * h, h, p->w[EMBED_Q_W + 2 * which] + from * h, rows, to - from, h, c, h);
    p->k->bias(c, rows, to - from, h, p->w[EMBED_Q_B + 2 * which] + from);
}

/* One head of one text: softmax(q k^T / sqrt(d)) v. */
static void attend(void *ctx, size_t block, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, heads = p->m->config.heads, d = h / heads, head = block % heads;
    const embed_span *s = &p->spans[block / heads];
    const float *q = plane(p, 0, s->first_row) + head * d, *key = plane(p, 1, s->first_row) + head * d,
                *value = plane(p, 2, s->first_row) + head * d;
    float *scores = p->scores + (size_t)worker * p->max_len * p->max_len, *context = plane(p, 3, s->first_row) + head * d;
    blasint n = (blasint)s->n, width = (blasint)d, ld = (blasint)h;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, width, 1.0f, q, ld, key, ld, 0.0f, scores, n);
    p->k->softmax(scores, s->n, s->n, 1.0f / sqrtf((float)d));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, width, n, 1.0f, scores, n, value, ld, 0.0f, context, ld);
}

/* The queries of first rows. */
static void first_queries(void *ctx, size_t tile, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, row = tile * p->tile, rows = tile_rows(p, tile);
    (void)worker;
    product(p->x + row * h, h, p->w[EMBED_Q_W], rows, h, h, p->sum + row * h, h);
    p->k->bias(p->sum + row * h, rows, h, h, p->w[EMBED_Q_B]);
}

/* One head of the first row of one text. */
static void attend_first(void *ctx, size_t block, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, heads = p->m->config.heads, d = h / heads, head = block % heads, text = block / heads;
    const embed_span *s = &p->spans[text];
    const float *q = p->sum + text * p->align * h + head * d, *key = plane(p, 1, s->first_row) + head * d,
                *value = plane(p, 2, s->first_row) + head * d;
    float *scores = p->scores + (size_t)worker * p->max_len * p->max_len, *context = plane(p, 3, text * p->align) + head * d;
    blasint n = (blasint)s->n, width = (blasint)d, ld = (blasint)h;
    cblas_sgemv(CblasRowMajor, CblasNoTrans, n, width, 1.0f, key, ld, q, 1, 0.0f, scores, 1);
    p->k->softmax(scores, 1, s->n, 1.0f / sqrtf((float)d));
    cblas_sgemv(CblasRowMajor, CblasTrans, n, width, 1.0f, value, ld, scores, 1, 0.0f, context, 1);
}

/* x = LayerNorm(x + context W^T + b): a whole row per tile, so that the norm can follow at once. */
static void attention_out(void *ctx, size_t tile, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, row = tile * p->tile, rows = tile_rows(p, tile);
    float *sum = p->sum + row * h;
    (void)worker;
    product(plane(p, 3, row), h, p->w[EMBED_O_W], rows, h, h, sum, h);
    p->k->add_norm(p->x + row * h, sum, p->w[EMBED_O_B], rows, h, p->w[EMBED_N1_W], p->w[EMBED_N1_B],
                   p->m->config.layer_norm_eps);
}

static void feed_in(void *ctx, size_t block, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, wide = p->m->config.intermediate, pieces = p->wide_pieces, tile = block / pieces;
    size_t from = piece_begin(wide, pieces, block % pieces), to = piece_begin(wide, pieces, block % pieces + 1);
    size_t row = tile * p->tile, rows = tile_rows(p, tile);
    float *c = p->wide + row * wide + from;
    (void)worker;
    product(p->x + row * h, h, p->w[EMBED_F1_W] + from * h, rows, to - from, h, c, wide);
    p->k->bias_gelu(c, rows, to - from, wide, p->w[EMBED_F1_B] + from);
}

static void feed_out(void *ctx, size_t tile, int worker) {
    embed_pass *p = ctx;
    size_t h = p->m->config.hidden, wide = p->m->config.intermediate, row = tile * p->tile, rows = tile_rows(p, tile);
    float *sum = p->sum + row * h;
    (void)worker;
    product(p->wide + row * wide, wide, p->w[EMBED_F2_W], rows, h, wide, sum, h);
    p->k->add_norm(p->x + row * h, sum, p->w[EMBED_F2_B], rows, h, p->w[EMBED_N2_W], p->w[EMBED_N2_B],
                   p->m->config.layer_norm_eps);
}

/* ---- the whole ---- */

/* Low tiles for a small batch: so that threads have something to share, and little is computed for rows that nobody needs.
 * Numbers do not depend on a tile's height, unless texts need tiles of their own. */
static void choose_tile(embed_pass *p) {
    if (p->align == EMBED_TILE) return;
    for (p->tile = EMBED_TILE; p->tile > 96 && p->rows < FEW_TILES * p->tile; p->tile /= 2) continue;
}

/* Columns of a product are cut into so many pieces. */
static size_t pieces_of(size_t columns) { return (columns + COLUMNS - 1) / COLUMNS; }

/* Keys and values of all rows; then x shrinks to the first rows. A text's first row is never above its place among them. */
static void shrink(embed_pass *p) {
    const embed_config *c = &p->m->config;
    p->from_weight = 1;
    cfb_par_blocks(n_tiles(p) * 2 * p->wide_pieces, p->n_threads, qkv_tile, p);
    for (size_t i = 0; i < p->n_spans; i++)
        memmove(p->x + i * p->align * c->hidden, p->x + p->spans[i].first_row * c->hidden, c->hidden * sizeof *p->x);
    p->rows = (p->n_spans - 1) * p->align + 1;
    cfb_par_blocks(n_tiles(p), p->n_threads, first_queries, p);
    cfb_par_blocks(p->n_spans * c->heads, p->n_threads, attend_first, p);
}

static void run_layer(embed_pass *p, size_t layer, bool only_first) {
    const embed_config *c = &p->m->config;
    p->layer = layer;
    embed_model_layer(p->m, layer, false, p->scratch, p->w);
    p->wide_pieces = pieces_of(c->hidden);
    if (only_first) {
        shrink(p);
    } else {
        p->from_weight = 0;
        cfb_par_blocks(n_tiles(p) * 3 * p->wide_pieces, p->n_threads, qkv_tile, p);
        cfb_par_blocks(p->n_spans * c->heads, p->n_threads, attend, p);
    }
    size_t tiles = n_tiles(p);
    p->wide_pieces = pieces_of(c->intermediate);
    cfb_par_blocks(tiles, p->n_threads, attention_out, p);
    cfb_par_blocks(tiles * p->wide_pieces, p->n_threads, feed_in, p);
    cfb_par_blocks(tiles, p->n_threads, feed_out, p);
}

/* Rows between texts take part in the products, and their numbers must be finite; nobody looks at them. */
static void clear_gaps(embed_pass *p) {
    size_t h = p->m->config.hidden, last = n_tiles(p) - 1, at = 0, end = last * p->tile + tile_rows(p, last);
    float *context = plane(p, 3, 0);
    for (size_t i = 0; i <= p->n_spans; i++) {
        size_t next = i < p->n_spans ? p->spans[i].first_row : end;
        memset(p->x + at * h, 0, (next - at) * h * sizeof *p->x);
        memset(context + at * h, 0, (next - at) * h * sizeof *context);
        if (i < p->n_spans) at = next + p->spans[i].n;
    }
}

const float *embed_pass_run(embed_pass *p, embed_span *spans, size_t n, size_t n_layers, bool only_first) {
    if (n == 0) return p->x;
    if (p->half) return embed_half_run(p->half, spans, n, n_layers, only_first);
    p->spans = spans;
    p->n_spans = n;
    p->rows = spans[n - 1].first_row + spans[n - 1].n;
    choose_tile(p);
    clear_gaps(p);
    cfb_par_blocks(n, p->n_threads, embed_text, p);
    for (size_t i = 0; i < n_layers; i++) run_layer(p, i, only_first && i + 1 == n_layers);
    for (size_t i = 0; only_first && i < n; i++) spans[i].first_row = i * p->align;
    return p->x;
}

/* ---- alignment ---- */

static float probe_value(size_t i) { return (float)((double)cfb_rand_unit(11, 0, i) - 0.5); }

/* Does the same row of x give the same bits at every multiple of `align` and in tiles of every height? */
static bool holds(size_t align, const float *x, float *rows, const float *w, size_t n, size_t k, float *c, const float *want) {
    static const size_t heights[] = {48, 96, 192, 384, EMBED_TILE};
    for (size_t i = 0; i < 5; i++) {
        for (size_t r = 0; r < heights[i]; r++)
            if (r % align == 0) memcpy(rows + r * k, x, k * sizeof *rows);
        product(rows, k, w, heights[i], n, k, c, n);
        for (size_t r = 0; r < heights[i]; r += align)
            if (memcmp(c + r * n, want, n * sizeof *c) != 0) return false;
    }
    return true;
}

/* Tries one shape on made-up numbers; returns the alignment it needs, at least `align`. Few columns are enough: a kernel treats
 * its blocks of columns alike, and 48 is a multiple of all their widths. */
static cfb_code probe(embed_pass *p, size_t n, size_t k, cfb_err *err) {
    static const size_t tries[] = {1, 12};
    if (n > 192) n = 192 + n % 48;
    float *x = malloc(k * sizeof *x), *rows = malloc(EMBED_TILE * k * sizeof *rows), *w = malloc(n * k * sizeof *w);
    float *c = malloc(EMBED_TILE * n * sizeof *c), *want = malloc(n * sizeof *want);
    cfb_code rc = CFB_OK;
    if (x && rows && w && c && want) {
        for (size_t i = 0; i < k; i++) x[i] = probe_value(i);
        for (size_t i = 0; i < n * k; i++) w[i] = probe_value(i + k);
        size_t found = EMBED_TILE;
        for (size_t t = 0; t < 2 && found == EMBED_TILE; t++) {
            for (size_t i = 0; i < EMBED_TILE; i++) memcpy(rows + i * k, w, k * sizeof *rows);
            memcpy(rows, x, k * sizeof *rows);
            product(rows, k, w, EMBED_TILE, n, k, c, n);
            memcpy(want, c, n * sizeof *want);
            if (holds(tries[t], x, rows, w, n, k, c, want)) found = tries[t];
        }
        if (found > p->align) p->align = found;
    } else {
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (trying BLAS)");
    }
    free(x);
    free(rows);
    free(w);
    free(c);
    free(want);
    return rc;
}

static cfb_code find_align(embed_pass *p, cfb_err *err) {
    const embed_config *c = &p->m->config;
    p->align = 1;
    cfb_blas_enter();
    cfb_code rc = probe(p, c->hidden, c->hidden, err);
    if (rc == CFB_OK) rc = probe(p, c->intermediate, c->hidden, err);
    if (rc == CFB_OK) rc = probe(p, c->hidden, c->intermediate, err);
    cfb_blas_leave();
    return rc;
}

size_t embed_pass_align(const embed_pass *p) { return p->half ? embed_half_align(p->half) : p->align; }

static float *floats(size_t n, bool *ok) {
    size_t bytes;
    if (!cfb_size_mul(n, sizeof(float), &bytes) || bytes > SIZE_MAX - ALIGNMENT) {
        *ok = false;
        return NULL;
    }
    float *f = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + ALIGNMENT);
    if (f == NULL) *ok = false;
    return f;
}

static cfb_code prepare(embed_pass *p, cfb_err *err) {
    size_t h = p->m->config.hidden, wide = 4 * h > p->m->config.intermediate ? 4 * h : p->m->config.intermediate;
    bool ok = true;
    p->max_len = p->m->config.positions < 512 ? p->m->config.positions : 512;
    p->x = floats(EMBED_BATCH_ROWS * h, &ok);
    p->sum = floats(EMBED_BATCH_ROWS * h, &ok);
    p->wide = floats(EMBED_BATCH_ROWS * wide, &ok);
    p->scores = floats((size_t)p->n_threads * p->max_len * p->max_len, &ok);
    if (!p->m->direct) p->scratch = floats(p->m->layer_items, &ok);
    return ok ? find_align(p, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory (encoder)");
}

cfb_code embed_pass_new(const embed_model *m, int n_threads, bool bf16, embed_pass **out, cfb_err *err) {
    *out = NULL;
    embed_pass *p = calloc(1, sizeof *p);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (encoder)");
    omp_set_max_active_levels(2); /* a caller may be in a region of its own, with the others waiting */
    p->m = m;
    p->k = embed_kernels_get(-1);
    p->n_threads = strcmp(cfb_blas_threading(), "serial") == 0 ? 1 : n_threads;
    p->tile = EMBED_TILE;
    cfb_code rc = bf16 ? embed_half_new(m, n_threads, &p->half, err) : prepare(p, err);
    if (rc == CFB_OK)
        *out = p;
    else
        embed_pass_free(p);
    return rc;
}

void embed_pass_free(embed_pass *p) {
    if (p == NULL) return;
    free(p->x);
    free(p->sum);
    free(p->wide);
    free(p->scores);
    free(p->scratch);
    embed_half_free(p->half);
    free(p);
}
