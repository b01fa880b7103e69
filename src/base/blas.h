/* blas.h - cblas.h, from a BLAS that is opened when it is first wanted: see lazy.h. Functions that are not in this list cannot be
 * called. */
#ifndef CFB_BASE_BLAS_H
#define CFB_BASE_BLAS_H

#include "cfbench/error.h"

#include <cblas.h>

#ifdef OPENBLAS_VERSION
#define CFB_OPENBLAS_FUNCTIONS(X) \
    X(openblas_get_num_threads)   \
    X(openblas_set_num_threads)   \
    X(openblas_get_parallel)      \
    X(openblas_get_corename)
#else
#define CFB_OPENBLAS_FUNCTIONS(X)
#endif
#define CFB_BLAS_FUNCTIONS(X) \
    X(cblas_sgemm)            \
    X(cblas_sgemv)            \
    CFB_OPENBLAS_FUNCTIONS(X)

/* BLAS is there from now on, or err says why not. Threads: any. */
CFB_MUST_CHECK cfb_code cfb_blas(cfb_err *err);

#ifdef CFB_LAZY
typedef struct cfb_blas_lib {
#define CFB_X(name) __typeof__(&(name)) p_##name;
    CFB_BLAS_FUNCTIONS(CFB_X)
#undef CFB_X
} cfb_blas_lib;
extern cfb_blas_lib cfb_blas__lib;

#define cblas_sgemm cfb_blas__lib.p_cblas_sgemm
#define cblas_sgemv cfb_blas__lib.p_cblas_sgemv
#define openblas_get_num_threads cfb_blas__lib.p_openblas_get_num_threads
#define openblas_set_num_threads cfb_blas__lib.p_openblas_set_num_threads
#define openblas_get_parallel cfb_blas__lib.p_openblas_get_parallel
#define openblas_get_corename cfb_blas__lib.p_openblas_get_corename
#endif

#endif
