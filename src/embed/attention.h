/* attention.h - attention of one head of one text in bfloat16, in one piece: products, softmax, products. Private to embed. */
#ifndef CFB_EMBED_ATTENTION_H
#define CFB_EMBED_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

/* out = softmax(q k^T / sqrt(d)) v. Shapes: q, out (m, d), k, v (n, d), bfloat16, rows ld apart; scratch of
 * embed_attention_bytes(n, d) bytes, aligned to 64. Sums, and all of the softmax, are in binary32; its exponentials are rounded
 * to bfloat16 before they meet v, and the result after. A row of out depends on its row of q, on k and on v alone.
 * Threads: pure. */
typedef void (*embed_attention_fn)(const uint16_t *q, const uint16_t *k, const uint16_t *v, size_t m, size_t n, size_t d,
                                   size_t ld, void *scratch, uint16_t *out);
size_t embed_attention_bytes(size_t n, size_t d);
/* For this processor: level -1 the best there is, 0 plain, 1 AVX-512 BF16 (for tests; no more than there is). */
embed_attention_fn embed_attention_get(int level);

#endif
