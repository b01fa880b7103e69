/* kernels.h - what a layer does besides its matrix products. Each kernel gives the same bits on every instruction set: sums run
 * in 16 fixed lanes, and nothing is contracted. Private to embed. */
#ifndef CFB_EMBED_KERNELS_H
#define CFB_EMBED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct embed_kernels {
    /* c[m][n] (rows ldc apart) += bias[n] */
    void (*bias)(float *c, size_t m, size_t n, size_t ldc, const float *bias);
    /* c = gelu(c + bias); gelu(x) = x * Phi(x), Phi by erfc, relative error of Phi(-|x|) below 1e-6 */
    void (*bias_gelu)(float *c, size_t m, size_t n, size_t ldc, const float *bias);
    /* x = LayerNorm(x + t + bias) * w + b for m rows of n; t and bias may be NULL */
    void (*add_norm)(float *x, const float *t, const float *bias, size_t m, size_t n, const float *w, const float *b, float eps);
    /* each of m rows of n: softmax(scale * row) */
    void (*softmax)(float *s, size_t m, size_t n, float scale);
    /* n numbers to bfloat16, to the nearest, ties to even; NaN stays NaN */
    void (*to_bf16)(const float *x, size_t n, uint16_t *out);
} embed_kernels;

/* The kernels for this processor. level: -1 = the best there is, 0 plain, 1 AVX2, 2 AVX-512 (for tests; no more than there is).
 */
const embed_kernels *embed_kernels_get(int level);

#endif
