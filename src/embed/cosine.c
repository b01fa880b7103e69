/* cosine.c - dot products of rows, and of all rows with all. */
#include "base/blas.h"
#include "cfbench/base.h"
#include "cfbench/embed.h"
#include "embed/forward.h"

#define CROSS_ROWS 256
#define CROSS_COLUMNS 1024

void cfb_embed_cosines(const float *a, const float *b, size_t n, size_t dim, double *out) {
    for (size_t i = 0; i < n; i++) {
        const float *x = a + i * dim, *y = b + i * dim;
        double lane[8] = {0};
        for (size_t k = 0; k < dim; k++) lane[k % 8] += (double)x[k] * (double)y[k];
        double dot = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
        out[i] = dot > 1 ? 1 : dot < -1 ? -1 : dot;
    }
}

struct cross {
    const float *a, *b;
    float *out;
    size_t na, nb, dim, columns;
};

static void cross_block(void *ctx, size_t block, int worker) {
    const struct cross *c = ctx;
    size_t row = block / c->columns * CROSS_ROWS, column = block % c->columns * CROSS_COLUMNS;
    size_t m = c->na - row < CROSS_ROWS ? c->na - row : CROSS_ROWS,
           n = c->nb - column < CROSS_COLUMNS ? c->nb - column : CROSS_COLUMNS;
    (void)worker;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)m, (blasint)n, (blasint)c->dim, 1.0f, c->a + row * c->dim,
                (blasint)c->dim, c->b + column * c->dim, (blasint)c->dim, 0.0f, c->out + row * c->nb + column, (blasint)c->nb);
}

cfb_code cfb_embed_cross(const float *a, size_t na, const float *b, size_t nb, size_t dim, int n_threads, float *out,
                         cfb_err *err) {
    cfb_code rc = cfb_blas_open(err);
    if (rc != CFB_OK) return rc;
    struct cross c = {a, b, out, na, nb, dim, (nb + CROSS_COLUMNS - 1) / CROSS_COLUMNS};
    cfb_blas_enter();
    if (n_threads <= 0) n_threads = cfb_cpu_count();
    if (strcmp(cfb_blas_threading(), "serial") == 0) n_threads = 1;
    cfb_par_blocks((na + CROSS_ROWS - 1) / CROSS_ROWS * c.columns, n_threads, cross_block, &c);
    cfb_blas_leave();
    return CFB_OK;
}
