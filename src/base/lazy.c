/* Opening a library when it is first needed. */
#include "base/lazy.h"

#ifdef CFB_LAZY
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#ifndef CFB_CURL_FILE /* what the Makefile found */
#define CFB_CURL_FILE "libcurl.so.4"
#endif
#ifndef CFB_SSL_FILE
#define CFB_SSL_FILE "libssl.so.3"
#endif
#ifndef CFB_BLAS_FILE
#define CFB_BLAS_FILE "libopenblas.so.0"
#endif
#ifndef CFB_DNNL_FILE
#define CFB_DNNL_FILE "libdnnl.so.2"
#endif

static const struct {
    const char *file, *name;
} libraries[CFB_LAZY_COUNT] = {[CFB_LAZY_CURL] = {CFB_CURL_FILE, "libcurl"},
                               [CFB_LAZY_SSL] = {CFB_SSL_FILE, "OpenSSL"},
                               [CFB_LAZY_BLAS] = {CFB_BLAS_FILE, "OpenBLAS"},
                               [CFB_LAZY_DNNL] = {CFB_DNNL_FILE, "oneDNN"}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool there[CFB_LAZY_COUNT]; /* behind lock */

static cfb_code load(cfb_lazy_library library, const cfb_lazy_symbol *symbols, size_t n, cfb_err *err) {
    const char *file = libraries[library].file, *name = libraries[library].name;
    void *handle = dlopen(file, RTLD_LAZY | RTLD_GLOBAL);
    if (handle == NULL)
        return cfb_err_set(err, CFB_ECONFIG, "%s cannot be loaded: %s. This needs it: install it, or set LD_LIBRARY_PATH", name,
                           dlerror());
    for (size_t i = 0; i < n; i++)
        if (dlsym(handle, symbols[i].name) == NULL)
            return cfb_err_set(err, CFB_ECONFIG, "%s has no %s: another %s than the one this program was built with", file,
                               symbols[i].name, name);
    for (size_t i = 0; i < n; i++) {
        void *at = dlsym(handle, symbols[i].name);
        memcpy(symbols[i].to, &at, sizeof at); /* ISO C has no cast from an object's pointer to a function's */
    }
    return CFB_OK;
}

cfb_code cfb_lazy_open(cfb_lazy_library library, const cfb_lazy_symbol *symbols, size_t n, cfb_err *err) {
    pthread_mutex_lock(&lock);
    cfb_code rc = there[library] ? CFB_OK : load(library, symbols, n, err);
    there[library] = rc == CFB_OK;
    pthread_mutex_unlock(&lock);
    return rc;
}

bool cfb_lazy_is_open(cfb_lazy_library library) {
    pthread_mutex_lock(&lock);
    bool out = there[library];
    pthread_mutex_unlock(&lock);
    return out;
}

void cfb_lazy_open_all(void) {
    for (int i = 0; i < CFB_LAZY_DNNL; i++) (void)dlopen(libraries[i].file, RTLD_LAZY | RTLD_GLOBAL);
}
#else
cfb_code cfb_lazy_open(cfb_lazy_library library, const cfb_lazy_symbol *symbols, size_t n, cfb_err *err) {
    (void)symbols;
    return cfb_err_set(err, CFB_EBUG, "library %d was linked (%zu names)", (int)library, n);
}

bool cfb_lazy_is_open(cfb_lazy_library library) { return library < CFB_LAZY_COUNT; }

void cfb_lazy_open_all(void) {}
#endif
