/* forward.h - the encoder's layers over a batch of packed texts. Private to embed.
 *
 * The tokens of a batch lie below each other in one matrix, each text's from a row that is a multiple of `align`; there is no
 * padding to a common length. Products with weights are cut into tiles of fixed heights (EMBED_TILE rows, lower ones in small
 * batches and at the end), each one single-threaded sgemm, so neither the threads nor OpenBLAS's own threads change a bit. In
 * bfloat16 it is forward_bf16.h that does the work. */
#ifndef CFB_EMBED_FORWARD_H
#define CFB_EMBED_FORWARD_H

#include "embed/kernels.h"
#include "embed/model.h"

#include <stdint.h>

#define EMBED_TILE 768      /* rows; a multiple of 12, 16, 24 and 32 */
#define EMBED_BATCH_TILES 8 /* a batch has at most so many rows: the constant token budget */
#define EMBED_BATCH_ROWS (EMBED_TILE * EMBED_BATCH_TILES)

typedef struct embed_span { /* a text of a batch */
    size_t first_row, n;
    const uint32_t *ids; /* (n) */
} embed_span;

typedef struct embed_pass embed_pass;

/* Room for batches of a model on n_threads threads. bf16: products in bfloat16. Errors: ENOMEM, those of bf16.h. */
CFB_MUST_CHECK cfb_code embed_pass_new(const embed_model *m, int n_threads, bool bf16, embed_pass **out, cfb_err *err);
void embed_pass_free(embed_pass *p);
/* Where the next text may begin, for texts whose last row is before `row`: 1, 12 or a tile. Found by trying the products of
 * this model's shapes on this machine's library: with this alignment a text's numbers do not depend on its neighbours. */
size_t embed_pass_align(const embed_pass *p);
/* Runs the first n_layers layers. spans: n texts, rows ascending, at most EMBED_BATCH_ROWS rows. Returns the hidden states
 * (rows, hidden), borrowed until the next call. With only_first, the last of these layers computes the first row of each text
 * alone, and the spans are changed to where those rows are. NULL: oneDNN refused a product. The caller stands between
 * cfb_blas_enter and cfb_blas_leave. */
const float *embed_pass_run(embed_pass *p, embed_span *spans, size_t n, size_t n_layers, bool only_first);

#endif
