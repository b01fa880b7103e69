/* BLAS, opened when it is first wanted, at one thread while others compute. */
#include "base/blas.h"

#include <pthread.h>
#include <stdbool.h>

#ifdef CFB_LAZY
#include "base/lazy.h"

cfb_blas_lib cfb_blas__lib;

cfb_code cfb_blas_open(cfb_err *err) {
#define CFB_X(name) {#name, &cfb_blas__lib.p_##name},
    static const cfb_lazy_symbol symbols[] = {CFB_BLAS_FUNCTIONS(CFB_X)};
#undef CFB_X
    return cfb_lazy_open(CFB_LAZY_BLAS, symbols, sizeof symbols / sizeof *symbols, err);
}
#else
cfb_code cfb_blas_open(cfb_err *err) {
    (void)err;
    return CFB_OK;
}
#endif

#ifdef OPENBLAS_VERSION
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users, threads_before;

void cfb_blas_enter(void) {
    pthread_mutex_lock(&lock);
    if (users++ == 0) {
        threads_before = openblas_get_num_threads();
        openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&lock);
}

void cfb_blas_leave(void) {
    pthread_mutex_lock(&lock);
    if (--users == 0) openblas_set_num_threads(threads_before);
    pthread_mutex_unlock(&lock);
}

const char *cfb_blas_threading(void) {
    switch (openblas_get_parallel()) {
    case OPENBLAS_SEQUENTIAL: return "serial";
    case OPENBLAS_THREAD: return "pthreads";
    case OPENBLAS_OPENMP: return "OpenMP";
    default: return "unknown";
    }
}

const char *cfb_blas_core(void) { return openblas_get_corename(); }
const char *cfb_blas_config(void) { return openblas_get_config(); }
int cfb_blas_threads(void) { return openblas_get_num_threads(); }
void cfb_blas_set_threads(int n) { openblas_set_num_threads(n); }
#else
void cfb_blas_enter(void) {}
void cfb_blas_leave(void) {}
const char *cfb_blas_threading(void) { return "unknown"; }
const char *cfb_blas_core(void) { return "unknown"; }
const char *cfb_blas_config(void) { return "unknown"; }
int cfb_blas_threads(void) { return 1; }
void cfb_blas_set_threads(int n) { (void)n; }
#endif
