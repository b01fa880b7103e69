/* lazy.h - libraries that few commands need, opened when they are first needed. libcurl and OpenBLAS with what they drag in are
 * 30 shared objects with 20,000 symbols to look up: 11 ms before main, of every command.
 *
 * One header names the functions of such a library and is included instead of the library's own (base/blas.h, client/lib.h). With
 * CFB_LAZY (what the Makefile sets, but for LAZY=) a table of pointers stands behind these names, and somebody must open the
 * library before they are called; without it they are linked as usual. */
#ifndef CFB_BASE_LAZY_H
#define CFB_BASE_LAZY_H

#include "cfbench/error.h"

#include <stdbool.h>

typedef enum cfb_lazy_library { CFB_LAZY_CURL, CFB_LAZY_SSL, CFB_LAZY_BLAS, CFB_LAZY_DNNL, CFB_LAZY_COUNT } cfb_lazy_library;

typedef struct cfb_lazy_symbol {
    const char *name;
    void *to; /* where its pointer goes: a pointer to a function pointer */
} cfb_lazy_symbol;

/* Opens a library, for good, and fills in the pointers; nothing is done to them if one is missing. Its symbols can be found from
 * everywhere then, as if it had been linked. Once it is open, nothing is done: a library has one table. Errors: CFB_ECONFIG, with
 * a word about the package; the next call tries again. Threads: any. */
CFB_MUST_CHECK cfb_code cfb_lazy_open(cfb_lazy_library library, const cfb_lazy_symbol *symbols, size_t n, cfb_err *err);

/* Has cfb_lazy_open opened it? Without CFB_LAZY: always. Threads: any. */
bool cfb_lazy_is_open(cfb_lazy_library library);

/* Opens all that are there, for those who tell what this machine has (but oneDNN, which only one option needs). Without CFB_LAZY:
 * they were opened. */
void cfb_lazy_open_all(void);

#endif
