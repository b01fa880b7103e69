/* bf16.h - products with a model's weights in bfloat16, on oneDNN; only in builds with DNNL=1. Private to embed.
 *
 * Weights are rounded to bfloat16 and packed once. A product takes EMBED_BF16_ROWS rows of bfloat16 and adds up in binary32. All
 * products have this one height, and oneDNN runs each with one thread: so neither threads nor batches change a bit. */
#ifndef CFB_EMBED_BF16_H
#define CFB_EMBED_BF16_H

#include "embed/kernels.h"
#include "embed/model.h"

#define EMBED_BF16_ROWS 96

typedef struct embed_bf16 embed_bf16;

/* Packs all weights of m for n_workers threads. Errors: ECONFIG (a build without oneDNN, oneDNN not installed, a processor
 * without bfloat16; says what to do), ENOMEM. Owns: *out, freed with embed_bf16_free. */
CFB_MUST_CHECK cfb_code embed_bf16_new(const embed_model *m, const embed_kernels *k, int n_workers, embed_bf16 **out,
                                       cfb_err *err);
void embed_bf16_free(embed_bf16 *b);
/* c (EMBED_BF16_ROWS, n) = x (EMBED_BF16_ROWS, k) w^T, w (n, k) a weight matrix of a layer, and what follows while c is at hand:
 * queries, keys and values: + bias (n), rounded to bfloat16; F1_W: gelu(c + bias), rounded to bfloat16; the others: nothing, c is
 * binary32 and bias unused. Threads: each with a worker's number of its own. */
void embed_bf16_product(embed_bf16 *b, size_t layer, embed_weight which, const uint16_t *x, const float *bias, void *c,
                        int worker);
/* Did oneDNN refuse a product since the last call? Then its result is worthless. */
bool embed_bf16_failed(embed_bf16 *b);

#endif
