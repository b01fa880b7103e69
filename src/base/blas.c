/* BLAS, opened when it is first wanted. */
#include "base/blas.h"

#ifdef CFB_LAZY
#include "base/lazy.h"

#include <pthread.h>
#include <stdbool.h>

cfb_blas_lib cfb_blas__lib;

cfb_code cfb_blas(cfb_err *err) {
#define CFB_X(name) {#name, &cfb_blas__lib.p_##name},
    static const cfb_lazy_symbol symbols[] = {CFB_BLAS_FUNCTIONS(CFB_X)};
#undef CFB_X
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool there;
    cfb_code rc = CFB_OK;
    pthread_mutex_lock(&lock);
    if (!there) rc = cfb_lazy_open(CFB_LAZY_BLAS, symbols, sizeof symbols / sizeof *symbols, err);
    there = rc == CFB_OK;
    pthread_mutex_unlock(&lock);
    return rc;
}
#else
cfb_code cfb_blas(cfb_err *err) {
    (void)err;
    return CFB_OK;
}
#endif
