/* BLAS, opened when it is first wanted. */
#include "score/blas.h"

#ifdef CFB_LAZY
#include "base/lazy.h"

#include <pthread.h>
#include <stdbool.h>

#ifndef CFB_BLAS_FILE /* what the Makefile found */
#define CFB_BLAS_FILE "libopenblas.so.0"
#endif

score_blas_lib score_blas__lib;

cfb_code score_blas(cfb_err *err) {
#define CFB_X(name) \
    { #name, &score_blas__lib.p_##name }
    static const cfb_lazy_symbol symbols[] = {
#ifdef OPENBLAS_VERSION
        CFB_X(openblas_get_num_threads), CFB_X(openblas_set_num_threads),
#endif
        CFB_X(cblas_sgemm)};
#undef CFB_X
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool there;
    cfb_code rc = CFB_OK;
    pthread_mutex_lock(&lock);
    if (!there) rc = cfb_lazy_open(CFB_BLAS_FILE, "OpenBLAS", symbols, sizeof symbols / sizeof *symbols, err);
    there = rc == CFB_OK;
    pthread_mutex_unlock(&lock);
    return rc;
}
#else
cfb_code score_blas(cfb_err *err) {
    (void)err;
    return CFB_OK;
}
#endif
