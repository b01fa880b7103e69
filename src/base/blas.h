/* blas.h - what this program takes from BLAS, opened when it is first wanted (base/lazy.h), and a way to keep it at one thread.
 * A function that is not named here cannot be called where BLAS is opened late. */
#ifndef CFB_BASE_BLAS_H
#define CFB_BASE_BLAS_H

#include "cfbench/error.h"

#include <cblas.h>

#ifdef OPENBLAS_VERSION
#define CFB_OPENBLAS_FUNCTIONS(X) \
    X(openblas_get_config)        \
    X(openblas_get_corename)      \
    X(openblas_get_num_threads)   \
    X(openblas_get_parallel)      \
    X(openblas_set_num_threads)
#else
#define CFB_OPENBLAS_FUNCTIONS(X)
#endif
#define CFB_BLAS_FUNCTIONS(X) X(cblas_sgemm) X(cblas_sgemv) CFB_OPENBLAS_FUNCTIONS(X)

/* BLAS is there, or err says why not. Must have been asked before anything else of it. Threads: any. */
CFB_MUST_CHECK cfb_code cfb_blas_open(cfb_err *err);

/* Our threads are the parallelism: each calls sgemm for its own piece, and BLAS must not start threads of its own below them.
 * OpenBLAS's openmp build sees that it is inside a parallel region; its pthread build does not, and neither does the openmp build
 * where there is one thread and no region. openblas_set_num_threads is for the whole process and has no counterpart for one
 * thread in 0.3.21. So the first who enters sets it to 1 and the last who leaves puts back what was there: whoever else uses BLAS
 * in this process finds its own number again. Results do not depend on it. Threads: any, outside parallel regions. */
void cfb_blas_enter(void);
void cfb_blas_leave(void);

/* How BLAS runs: "serial", "pthreads", "OpenMP" or "unknown"; the processor that its kernels are for; its version and options.
 * "unknown" where it is not OpenBLAS. */
const char *cfb_blas_threading(void);
const char *cfb_blas_core(void);
const char *cfb_blas_config(void);
int cfb_blas_threads(void); /* that it would start; 1 where it is not OpenBLAS */
void cfb_blas_set_threads(int n);

#ifdef CFB_LAZY
typedef struct cfb_blas_lib {
#define CFB_X(name) __typeof__(&(name)) p_##name;
    CFB_BLAS_FUNCTIONS(CFB_X)
#undef CFB_X
} cfb_blas_lib;
extern cfb_blas_lib cfb_blas__lib;
#define cblas_sgemm cfb_blas__lib.p_cblas_sgemm
#define cblas_sgemv cfb_blas__lib.p_cblas_sgemv
#define openblas_get_config cfb_blas__lib.p_openblas_get_config
#define openblas_get_corename cfb_blas__lib.p_openblas_get_corename
#define openblas_get_num_threads cfb_blas__lib.p_openblas_get_num_threads
#define openblas_get_parallel cfb_blas__lib.p_openblas_get_parallel
#define openblas_set_num_threads cfb_blas__lib.p_openblas_set_num_threads
#endif

#endif
