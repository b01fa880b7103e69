/* Opening a library when it is first needed. */
#include "base/lazy.h"

#ifdef CFB_LAZY
#include <dlfcn.h>
#include <string.h>

cfb_code cfb_lazy_open(const char *file, const char *what, const cfb_lazy_symbol *symbols, size_t n, cfb_err *err) {
    void *library = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL)
        return cfb_err_set(err, CFB_ECONFIG, "%s cannot be loaded: %s; install it, or build with LAZY= where it is", what,
                           dlerror());
    for (size_t i = 0; i < n; i++)
        if (dlsym(library, symbols[i].name) == NULL)
            return cfb_err_set(err, CFB_ECONFIG, "%s has no %s: %s is older than the one this program was built with", file,
                               symbols[i].name, what);
    for (size_t i = 0; i < n; i++) {
        void *at = dlsym(library, symbols[i].name);
        memcpy(symbols[i].to, &at, sizeof at); /* ISO C has no cast from an object's pointer to a function's */
    }
    return CFB_OK;
}
#else
typedef int cfb_lazy_is_off; /* a file must say something */
#endif
