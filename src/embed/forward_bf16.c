#include "embed/forward_bf16.h"
#include "base/omp.h"
#include "cfbench/base.h"
#include "embed/attention.h"
#include "embed/bf16.h"

#include <stdlib.h>

#define TILE EMBED_BF16_ROWS
#define ALIGNMENT 64
enum { QUERIES, KEYS, VALUES, CONTEXT, PLANES };

struct embed_half {
    const embed_model *m;
    const embed_kernels *k;
    embed_bf16 *products;
    embed_attention_fn attention;
    int n_threads;
    size_t align;
    float *x;                /* (rows, H): the hidden states */
    uint16_t *rounded;       /* (rows, H): the same */
    uint16_t *plane[PLANES]; /* (rows, H) */
    float *sums;             /* (n_threads, TILE, H): what a sublayer adds */
    uint16_t *wide;          /* (n_threads, TILE, I): the intermediate */
    char *scratch;           /* (n_threads, scratch_bytes): of attention */
    size_t scratch_bytes;
    float *unpacked; /* one layer's vectors, where they are not used in place */
    /* of the running batch */
    const embed_span *spans;
    size_t n_spans, rows, layer;
    const float *w[EMBED_N_WEIGHTS];
};

static size_t n_tiles(const embed_half *p) { return (p->rows + TILE - 1) / TILE; }

/* ---- stages; each block writes rows or columns of its own ---- */

static void embed_text(void *ctx, size_t block, int worker) {
    embed_half *p = ctx;
    const embed_span *s = &p->spans[block];
    const embed_model *m = p->m;
    size_t h = m->config.hidden;
    float *add = p->sums + (size_t)worker * TILE * h;
    for (size_t i = 0; i < s->n; i++) {
        float *row = p->x + (s->first_row + i) * h;
        embed_tensor_read(m->words, (size_t)s->ids[i] * h, h, row);
        embed_tensor_read(m->positions, i * h, h, add);
        p->k->add_norm(row, add, m->type0, 1, h, m->norm_w, m->norm_b, m->config.layer_norm_eps);
    }
    p->k->to_bf16(p->x + s->first_row * h, s->n * h, p->rounded + s->first_row * h);
}

static void project(embed_half *p, size_t which, size_t tile, int worker) {
    size_t at = tile * TILE * p->m->config.hidden;
    embed_bf16_product(p->products, p->layer, (embed_weight)(EMBED_Q_W + 2 * which), p->rounded + at, p->w[EMBED_Q_B + 2 * which],
                       p->plane[which] + at, worker);
}

static void all_of_tile(void *ctx, size_t tile, int worker) {
    for (size_t which = QUERIES; which <= VALUES; which++) project(ctx, which, tile, worker);
}

static void keys_and_values(void *ctx, size_t tile, int worker) {
    project(ctx, KEYS, tile, worker);
    project(ctx, VALUES, tile, worker);
}

static void queries(void *ctx, size_t tile, int worker) { project(ctx, QUERIES, tile, worker); }

/* One head of one text: m rows from row `first` on attend to the text's keys. */
static void attend_rows(embed_half *p, size_t block, size_t first, size_t m, int worker) {
    size_t h = p->m->config.hidden, heads = p->m->config.heads, d = h / heads, column = block % heads * d;
    const embed_span *s = &p->spans[block / heads];
    size_t from = first * h + column, keys = s->first_row * h + column;
    p->attention(p->plane[QUERIES] + from, p->plane[KEYS] + keys, p->plane[VALUES] + keys, m, s->n, d, h,
                 p->scratch + (size_t)worker * p->scratch_bytes, p->plane[CONTEXT] + from);
}

static void attend(void *ctx, size_t block, int worker) {
    embed_half *p = ctx;
    const embed_span *s = &p->spans[block / p->m->config.heads];
    attend_rows(p, block, s->first_row, s->n, worker);
}

static void attend_first(void *ctx, size_t block, int worker) {
    embed_half *p = ctx;
    attend_rows(p, block, block / p->m->config.heads * p->align, 1, worker);
}

/* x = LayerNorm(x + inputs W^T + b), and its rounding. */
static void add_product(embed_half *p, embed_weight which, const uint16_t *inputs, size_t tile, int worker) {
    size_t h = p->m->config.hidden, at = tile * TILE * h;
    float *sum = p->sums + (size_t)worker * TILE * h;
    embed_bf16_product(p->products, p->layer, which, inputs, NULL, sum, worker);
    embed_weight bias = (embed_weight)(which + 1), norm = (embed_weight)(which + 2);
    p->k->add_norm(p->x + at, sum, p->w[bias], TILE, h, p->w[norm], p->w[norm + 1], p->m->config.layer_norm_eps);
    p->k->to_bf16(p->x + at, TILE * h, p->rounded + at);
}

/* All that follows attention: what a tile needs stays in the cache. */
static void rest_of_tile(void *ctx, size_t tile, int worker) {
    embed_half *p = ctx;
    size_t at = tile * TILE * p->m->config.hidden;
    uint16_t *wide = p->wide + (size_t)worker * TILE * p->m->config.intermediate;
    add_product(p, EMBED_O_W, p->plane[CONTEXT] + at, tile, worker);
    embed_bf16_product(p->products, p->layer, EMBED_F1_W, p->rounded + at, p->w[EMBED_F1_B], wide, worker);
    add_product(p, EMBED_F2_W, wide, tile, worker);
}

/* ---- the whole ---- */

/* Keys and values of all rows; then the hidden states shrink to the first rows. A text's first row is never above its place among
 * them. */
static void shrink(embed_half *p) {
    size_t h = p->m->config.hidden;
    cfb_par_blocks(n_tiles(p), p->n_threads, keys_and_values, p);
    for (size_t i = 0; i < p->n_spans; i++) {
        size_t to = i * p->align * h, from = p->spans[i].first_row * h;
        memmove(p->x + to, p->x + from, h * sizeof *p->x);
        memmove(p->rounded + to, p->rounded + from, h * sizeof *p->rounded);
    }
    p->rows = (p->n_spans - 1) * p->align + 1;
    cfb_par_blocks(n_tiles(p), p->n_threads, queries, p);
    cfb_par_blocks(p->n_spans * p->m->config.heads, p->n_threads, attend_first, p);
}

static void run_layer(embed_half *p, size_t layer, bool only_first) {
    p->layer = layer;
    embed_model_layer(p->m, layer, true, p->unpacked, p->w);
    if (only_first) {
        shrink(p);
    } else {
        cfb_par_blocks(n_tiles(p), p->n_threads, all_of_tile, p);
        cfb_par_blocks(p->n_spans * p->m->config.heads, p->n_threads, attend, p);
    }
    cfb_par_blocks(n_tiles(p), p->n_threads, rest_of_tile, p);
}

/* Rows between texts take part in the products, and their numbers must be finite; nobody looks at them. */
static void clear_gaps(embed_half *p) {
    size_t h = p->m->config.hidden, at = 0, end = n_tiles(p) * TILE;
    for (size_t i = 0; i <= p->n_spans; i++) {
        size_t next = i < p->n_spans ? p->spans[i].first_row : end, items = (next - at) * h;
        memset(p->x + at * h, 0, items * sizeof *p->x);
        memset(p->rounded + at * h, 0, items * sizeof *p->rounded);
        memset(p->plane[CONTEXT] + at * h, 0, items * sizeof *p->rounded);
        if (i < p->n_spans) at = next + p->spans[i].n;
    }
}

const float *embed_half_run(embed_half *p, embed_span *spans, size_t n, size_t n_layers, bool only_first) {
    p->spans = spans;
    p->n_spans = n;
    p->rows = spans[n - 1].first_row + spans[n - 1].n;
    clear_gaps(p);
    cfb_par_blocks(n, p->n_threads, embed_text, p);
    for (size_t i = 0; i < n_layers; i++) run_layer(p, i, only_first && i + 1 == n_layers);
    for (size_t i = 0; only_first && i < n; i++) spans[i].first_row = i * p->align;
    return embed_bf16_failed(p->products) ? NULL : p->x;
}

/* ---- alignment ---- */

/* Does a row give other bits by its place in a tile, or by its neighbours? Tried with a weight of the first layer. */
static bool row_matters(embed_half *p, embed_weight which, uint16_t *x, char *c, char *want) {
    const embed_config *config = &p->m->config;
    size_t k = which == EMBED_F2_W ? config->intermediate : config->hidden;
    size_t bytes = which == EMBED_F1_W   ? config->intermediate * sizeof(uint16_t)
                   : which == EMBED_F2_W ? config->hidden * sizeof(float)
                                         : config->hidden * sizeof(uint16_t);
    bool matters = false;
    for (size_t i = 0; i < TILE * k; i++) {
        float value = (float)((double)cfb_rand_unit(11, 0, i) - 0.5);
        p->k->to_bf16(&value, 1, x + i);
    }
    embed_bf16_product(p->products, 0, which, x, p->w[which + 1], c, 0);
    memcpy(want, c, bytes);
    for (size_t i = 1; i < TILE; i++) memcpy(x + i * k, x, k * sizeof *x);
    embed_bf16_product(p->products, 0, which, x, p->w[which + 1], c, 0);
    for (size_t i = 0; i < TILE; i++) matters = matters || memcmp(c + i * bytes, want, bytes) != 0;
    return matters;
}

static cfb_code find_align(embed_half *p, cfb_err *err) {
    static const embed_weight shapes[] = {EMBED_Q_W, EMBED_F1_W, EMBED_F2_W};
    size_t h = p->m->config.hidden, wide = p->m->config.intermediate, most = h > wide ? h : wide;
    uint16_t *x = malloc(TILE * most * sizeof *x);
    char *c = malloc(TILE * most * sizeof(float)), *want = malloc(most * sizeof(float));
    cfb_code rc = x && c && want ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (trying oneDNN)");
    p->align = 1;
    if (rc == CFB_OK) embed_model_layer(p->m, 0, true, p->unpacked, p->w);
    for (size_t i = 0; i < 3 && rc == CFB_OK; i++) {
        if (row_matters(p, shapes[i], x, c, want)) p->align = TILE;
        if (embed_bf16_failed(p->products))
            rc = cfb_err_set(err, CFB_ECONFIG, "oneDNN refuses a bfloat16 product; use --precision f32");
    }
    free(x);
    free(c);
    free(want);
    return rc;
}

size_t embed_half_align(const embed_half *p) { return p->align; }

/* ---- room ---- */

static void *room(size_t n, size_t m, size_t size, bool *ok) {
    size_t bytes = 0;
    void *r = NULL;
    if (cfb_size_mul(n, m, &bytes) && cfb_size_mul(bytes, size, &bytes) && bytes <= SIZE_MAX - 2 * ALIGNMENT)
        r = aligned_alloc(ALIGNMENT, bytes / ALIGNMENT * ALIGNMENT + 2 * ALIGNMENT);
    if (r == NULL) *ok = false;
    return r;
}

static bool make_room(embed_half *p) {
    const embed_config *c = &p->m->config;
    size_t h = c->hidden, n = (size_t)p->n_threads;
    bool ok = true;
    p->scratch_bytes = embed_attention_bytes(c->positions < 512 ? c->positions : 512, h / c->heads);
    p->x = room(EMBED_BATCH_ROWS, h, sizeof *p->x, &ok);
    p->rounded = room(EMBED_BATCH_ROWS, h, sizeof *p->rounded, &ok);
    for (size_t i = 0; i < PLANES; i++) p->plane[i] = room(EMBED_BATCH_ROWS, h, sizeof *p->rounded, &ok);
    p->sums = room(n * TILE, h, sizeof *p->sums, &ok);
    p->wide = room(n * TILE, c->intermediate, sizeof *p->wide, &ok);
    p->scratch = room(n, p->scratch_bytes, 1, &ok);
    if (!p->m->direct) p->unpacked = room(p->m->layer_items, 1, sizeof *p->unpacked, &ok);
    return ok;
}

cfb_code embed_half_new(const embed_model *m, int n_threads, embed_half **out, cfb_err *err) {
    *out = NULL;
    embed_half *p = calloc(1, sizeof *p);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (encoder)");
    p->m = m;
    p->k = embed_kernels_get(-1);
    p->attention = embed_attention_get(-1);
    p->n_threads = n_threads;
    cfb_code rc = make_room(p) ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (encoder)");
    if (rc == CFB_OK) rc = embed_bf16_new(m, p->k, p->n_threads, &p->products, err);
    if (rc == CFB_OK) rc = find_align(p, err);
    if (rc == CFB_OK)
        *out = p;
    else
        embed_half_free(p);
    return rc;
}

void embed_half_free(embed_half *p) {
    if (p == NULL) return;
    free(p->x);
    free(p->rounded);
    for (size_t i = 0; i < PLANES; i++) free(p->plane[i]);
    free(p->sums);
    free(p->wide);
    free(p->scratch);
    free(p->unpacked);
    embed_bf16_free(p->products);
    free(p);
}
