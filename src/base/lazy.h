/* lazy.h - libraries that few commands need, opened when they are first needed. libcurl and OpenBLAS with what they drag in are
 * 30 shared objects with 20,000 symbols to look up: 11 ms before main, of every command.
 *
 * A room that uses such a library has one file that names its functions (client/lib.h, score/blas.h). With CFB_LAZY (what the
 * Makefile sets, but for LAZY=) a table of pointers stands behind these names; without it they are linked as usual. */
#ifndef CFB_BASE_LAZY_H
#define CFB_BASE_LAZY_H

#include "cfbench/error.h"

typedef struct cfb_lazy_symbol {
    const char *name;
    void *to; /* where its pointer goes: a pointer to a function pointer */
} cfb_lazy_symbol;

#ifdef CFB_LAZY
/* Opens a shared library, for good, and fills in the pointers; nothing is done to them if one is missing. `what` is its name
 * for people, in "what is not there". Errors: CFB_ECONFIG. Threads: any, but the pointers are the caller's to guard. */
CFB_MUST_CHECK cfb_code cfb_lazy_open(const char *file, const char *what, const cfb_lazy_symbol *symbols, size_t n, cfb_err *err);
#endif

#endif
