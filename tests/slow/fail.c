/* Preloaded by fault.py: fails the FAIL_AT-th call (and, with FAIL_MORE=n, the n after it) of FAIL_CALL: malloc (calloc and
 * realloc too), pthread_create, epoll_create1, eventfd, socket. Allocations and threads count only where the program itself asks
 * for them: what its libraries do when they get none is their affair. FAIL_COUNT names a file that gets the number of calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static struct {
    atomic_int ready;
    char call[32];
    long at, more;
    atomic_long n;
    uintptr_t low, high; /* of the program's code */
} f;

static int find_program(struct dl_phdr_info *info, size_t size, void *ctx) {
    (void)size, (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X)) continue;
        f.low = info->dlpi_addr + p->p_vaddr;
        f.high = f.low + p->p_memsz;
    }
    return 1; /* the first object is the program */
}

static void __attribute__((constructor)) begin(void) {
    const char *call = getenv("FAIL_CALL"), *at = getenv("FAIL_AT"), *more = getenv("FAIL_MORE");
    if (call == NULL) return;
    snprintf(f.call, sizeof f.call, "%s", call);
    f.at = at ? atol(at) : 0;
    f.more = more ? atol(more) : 0;
    dl_iterate_phdr(find_program, NULL);
    atomic_store(&f.ready, 1);
}

static void __attribute__((destructor)) end(void) {
    const char *path = getenv("FAIL_COUNT");
    FILE *out = atomic_load(&f.ready) && path ? fopen(path, "w") : NULL;
    if (out == NULL) return;
    fprintf(out, "%ld\n", atomic_load(&f.n));
    fclose(out);
}

static bool fails(const char *call, const void *from) {
    if (!atomic_load(&f.ready) || strcmp(call, f.call) != 0) return false;
    if (from && ((uintptr_t)from < f.low || (uintptr_t)from >= f.high)) return false;
    long n = atomic_fetch_add(&f.n, 1) + 1;
    return f.at > 0 && n >= f.at && n <= f.at + f.more;
}
#define FAILS(call) fails(call, __builtin_return_address(0))

void *malloc(size_t n) {
    if (FAILS("malloc")) return errno = ENOMEM, NULL;
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    if (FAILS("malloc")) return errno = ENOMEM, NULL;
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    if (FAILS("malloc")) return errno = ENOMEM, NULL;
    return __libc_realloc(p, n);
}
int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *ctx) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (FAILS("pthread_create")) return EAGAIN;
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(t, a, fn, ctx);
}
int epoll_create1(int flags) {
    static int (*real)(int);
    if (fails("epoll_create1", NULL)) return errno = EMFILE, -1;
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "epoll_create1");
    return real(flags);
}
int eventfd(unsigned count, int flags) {
    static int (*real)(unsigned, int);
    if (fails("eventfd", NULL)) return errno = EMFILE, -1;
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "eventfd");
    return real(count, flags);
}
int socket(int domain, int type, int protocol) {
    static int (*real)(int, int, int);
    if (fails("socket", NULL)) return errno = EMFILE, -1;
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "socket");
    return real(domain, type, protocol);
}
