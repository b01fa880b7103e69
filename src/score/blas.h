/* blas.h - the one product that scoring takes from BLAS, opened when a confusion matrix is first wanted: see base/lazy.h. */
#ifndef CFB_SCORE_BLAS_H
#define CFB_SCORE_BLAS_H

#include "cfbench/error.h"

#include <cblas.h>

/* BLAS is there, or err says why not. Threads: any. */
CFB_MUST_CHECK cfb_code score_blas(cfb_err *err);

#ifdef CFB_LAZY
typedef struct score_blas_lib {
    __typeof__(&(cblas_sgemm)) p_cblas_sgemm;
#ifdef OPENBLAS_VERSION
    __typeof__(&(openblas_get_num_threads)) p_openblas_get_num_threads;
    __typeof__(&(openblas_set_num_threads)) p_openblas_set_num_threads;
#endif
} score_blas_lib;
extern score_blas_lib score_blas__lib;
#define cblas_sgemm score_blas__lib.p_cblas_sgemm
#define openblas_get_num_threads score_blas__lib.p_openblas_get_num_threads
#define openblas_set_num_threads score_blas__lib.p_openblas_set_num_threads
#endif

#endif
