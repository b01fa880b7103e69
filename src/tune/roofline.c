/* roofline.c - what the machine can do at most: memory bandwidth, matrix products (Williams, Waterman and Patterson 2009). */
#include "cfbench/tune.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>

#ifndef CFB_BLAS_FILE /* what the Makefile found */
#define CFB_BLAS_FILE "libopenblas.so.0"
#endif

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

/* cblas_sgemm of the BLAS that is loaded, found as doctor finds its version. */
typedef void (*sgemm_fn)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
typedef void (*set_threads_fn)(int);
typedef int (*get_threads_fn)(void);

static double gemm_rate(struct arrays *x, int threads) {
    enum { ROW_MAJOR = 101, AS_IT_IS = 111 }; /* of the CBLAS standard */
    void *program = dlopen(NULL, RTLD_LAZY), *p = program ? dlsym(program, "cblas_sgemm") : NULL;
    if (p == NULL) { /* it is opened when it is first needed: base/lazy.h */
        if (program) dlclose(program);
        program = dlopen(CFB_BLAS_FILE, RTLD_LAZY | RTLD_LOCAL);
        p = program ? dlsym(program, "cblas_sgemm") : NULL;
    }
    void *set = program ? dlsym(program, "openblas_set_num_threads") : NULL;
    void *get = program ? dlsym(program, "openblas_get_num_threads") : NULL;
    sgemm_fn sgemm;
    set_threads_fn set_threads;
    get_threads_fn get_threads;
    double best = INFINITY;
    if (p == NULL) return (double)NAN;
    memcpy(&sgemm, &p, sizeof sgemm);
    memcpy(&set_threads, &set, sizeof set_threads);
    memcpy(&get_threads, &get, sizeof get_threads);
    int before = get ? get_threads() : 0;
    if (set) set_threads(threads);
    for (int i = 0; i < REPS + 1; i++) { /* the first one warms up */
        int64_t begin = cfb_now_ns();
        sgemm(ROW_MAJOR, AS_IT_IS, AS_IT_IS, SIDE, SIDE, SIDE, 1.0f, x->b, SIDE, x->c, SIDE, 0.0f, x->a, SIDE);
        double s = (double)(cfb_now_ns() - begin) * 1e-9;
        if (i > 0 && s < best) best = s;
    }
    if (set && before > 0) set_threads(before);
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
