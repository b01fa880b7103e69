/* roofline.c - what the machine can do at most: memory bandwidth, matrix products (Williams, Waterman and Patterson 2009). */
#include "base/blas.h"
#include "cfbench/tune.h"

#include <math.h>
#include <stdlib.h>

#define FLOATS ((size_t)16 << 20) /* 64 MiB: beyond the caches */
#define BLOCK ((size_t)1 << 16)
#define REPS 5
#define SIDE 1024

struct arrays {
    float *a, *b, *c;
    double sums[FLOATS / BLOCK];
};

static void fill(void *ctx, size_t block, int worker) {
    struct arrays *x = ctx;
    (void)worker;
    for (size_t i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
        x->a[i] = 0;
        x->b[i] = 1;
        x->c[i] = 2;
    }
}

static void triad(void *ctx, size_t block, int worker) {
    struct arrays *x = ctx;
    float *a = x->a + block * BLOCK;
    const float *b = x->b + block * BLOCK, *c = x->c + block * BLOCK;
    (void)worker;
#pragma omp simd
    for (size_t i = 0; i < BLOCK; i++) a[i] = b[i] + 3.0f * c[i];
}

static void read_all(void *ctx, size_t block, int worker) {
    struct arrays *x = ctx;
    const float *b = x->b + block * BLOCK;
    float sum = 0;
    (void)worker;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < BLOCK; i++) sum += b[i];
    x->sums[block] = sum;
}

static double best_time(cfb_block_fn fn, struct arrays *x, int threads) {
    double best = INFINITY;
    for (int i = 0; i < REPS; i++) {
        int64_t begin = cfb_now_ns();
        cfb_par_blocks(FLOATS / BLOCK, threads, fn, x);
        double s = (double)(cfb_now_ns() - begin) * 1e-9;
        if (s < best) best = s;
    }
    return best;
}

/* BLAS's own threads: as many as are asked for. NaN without BLAS. */
static double gemm_rate(struct arrays *x, int threads) {
    double best = INFINITY;
    cfb_err none = CFB_ERR_INIT;
    if (cfb_blas_open(&none) != CFB_OK) return (double)NAN;
    int before = cfb_blas_threads();
    cfb_blas_set_threads(threads);
    for (int i = 0; i < REPS + 1; i++) { /* the first one warms up */
        int64_t begin = cfb_now_ns();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1.0f, x->b, SIDE, x->c, SIDE, 0.0f, x->a, SIDE);
        double s = (double)(cfb_now_ns() - begin) * 1e-9;
        if (i > 0 && s < best) best = s;
    }
    cfb_blas_set_threads(before);
    return 2.0 * SIDE * SIDE * SIDE / best * 1e-9;
}

cfb_code cfb_tune_measure_roof(int threads, cfb_tune_roof *out, cfb_err *err) {
    struct arrays *x = calloc(1, sizeof *x);
    if (x != NULL) {
        x->a = malloc(FLOATS * sizeof *x->a);
        x->b = malloc(FLOATS * sizeof *x->b);
        x->c = malloc(FLOATS * sizeof *x->c);
    }
    cfb_code rc = x && x->a && x->b && x->c ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (200 MB wanted)");
    if (rc == CFB_OK) {
        cfb_par_blocks(FLOATS / BLOCK, threads, fill, x);
        double bytes = (double)(FLOATS * sizeof(float));
        *out = (cfb_tune_roof){.threads = threads};
        out->read_gbs = bytes / best_time(read_all, x, threads) * 1e-9;
        out->triad_gbs = 3 * bytes / best_time(triad, x, threads) * 1e-9;
        out->gemm_gflops = gemm_rate(x, threads);
    }
    if (x != NULL) {
        free(x->a);
        free(x->b);
        free(x->c);
    }
    free(x);
    return rc;
}
