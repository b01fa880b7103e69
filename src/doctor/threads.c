/* threads.c - OpenMP and what it really gives, stacks, limits, BLAS. */
#include "base/blas.h"
#include "base/cgroup.h"
#include "base/omp.h"
#include "cfbench/base.h"
#include "doctor/internal.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef _OPENMP
/* Threads of a 2 x 2 nest, as asking opens it. */
static int nested_threads(void) {
    int n = 0;
    omp_set_dynamic(0);
    omp_set_max_active_levels(2);
#pragma omp parallel num_threads(2) default(none) reduction(+ : n)
    {
#pragma omp parallel num_threads(2) default(none) reduction(+ : n)
        n += 1;
    }
    return n;
}

static void openmp(cfb_doctor_t *d, const cfb_doctor_want *w, bool safe) {
    int asking = w->outer * w->inner, limit = omp_get_thread_limit(), most = asking > w->threads ? asking : w->threads;
    int nested = safe ? nested_threads() : 4, bind = (int)omp_get_proc_bind();
    cfb_doctor_number(d, "openmp", "version", _OPENMP);
    cfb_doctor_number(d, "openmp", "max_active_levels", omp_get_max_active_levels());
    if (safe) cfb_doctor_number(d, "openmp", "threads_of_a_2_by_2_nest", nested);
    if (limit < 1 << 20) cfb_doctor_number(d, "openmp", "thread_limit", limit);
    if (limit < most || (nested < 4 && limit >= 4))
        cfb_doctor_find(d, FAULT, "omp-threads",
                        limit < most ? cfb_doctor_text(d, "OMP_THREAD_LIMIT allows %d threads, %d are wanted", limit, most)
                                     : cfb_doctor_text(d, "a nest of 2 x 2 threads got %d", nested),
                        "OpenMP then gives fewer threads without a word, and fewer calls are in flight than asked for",
                        "unset OMP_THREAD_LIMIT OMP_DYNAMIC");
    if (bind == 2 && most > 1) /* omp_proc_bind_master: OpenMP 4.0, table of omp_proc_bind_t */
        cfb_doctor_find(d, FAULT, "omp-bind", "OMP_PROC_BIND binds all threads to the place of the first one",
                        "all of them share one core", "unset OMP_PROC_BIND, or OMP_PROC_BIND=spread");
}
#else
static void openmp(cfb_doctor_t *d, const cfb_doctor_want *w, bool safe) {
    (void)w, (void)safe;
    cfb_doctor_fact(d, "openmp", "version", "built without OpenMP: one thread");
}
#endif

static bool same_word(const char *text, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i < n; i++)
        if ((text[i] | 0x20) != word[i]) return false;
    return text[n] == '\0';
}

static void omp_environment(cfb_doctor_t *d, const cfb_doctor_want *w) {
    static const char *const names[] = {"OMP_NUM_THREADS", "OMP_THREAD_LIMIT",     "OMP_DYNAMIC",    "OMP_WAIT_POLICY",
                                        "OMP_PROC_BIND",   "OMP_PLACES",           "OMP_STACKSIZE",  "OMP_MAX_ACTIVE_LEVELS",
                                        "OMP_SCHEDULE",    "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME",
                                        "MALLOC_ARENA_MAX"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v != NULL) cfb_doctor_fact(d, "environment", names[i], "%s", v);
    }
    const char *wait = getenv("OMP_WAIT_POLICY"), *block = getenv("KMP_BLOCKTIME");
    if (cfb_has_openmp() && ((wait && same_word(wait, "active")) || (block && same_word(block, "infinite"))))
        cfb_doctor_find(d, FAULT, "omp-wait", "threads that wait spin: OMP_WAIT_POLICY=active (or KMP_BLOCKTIME=infinite)",
                        "waiting threads take the cores from those that read replies, and from a server on the same machine",
                        "unset OMP_WAIT_POLICY KMP_BLOCKTIME");
    if (cfb_doctor__env_number("MALLOC_ARENA_MAX") == 1 && w->outer * w->inner > 4)
        cfb_doctor_find(d, HINT, "malloc-arenas", "MALLOC_ARENA_MAX=1: all threads allocate from one place",
                        "with many threads each call costs about twice the CPU time", "unset MALLOC_ARENA_MAX");
}

static void stacks(cfb_doctor_t *d, const cfb_doctor_want *w) {
    struct rlimit r;
    const char *text = getenv("OMP_STACKSIZE");
    int n = w->outer * w->inner > w->threads ? w->outer * w->inner : w->threads;
    int64_t bytes = text ? cfb_doctor__stack_bytes(text) : -1;
    if (getrlimit(RLIMIT_STACK, &r) == 0 && r.rlim_cur != RLIM_INFINITY) {
        cfb_doctor_number(d, "threads", "stack_kib", (double)(r.rlim_cur / 1024));
        if (bytes < 0) bytes = (int64_t)r.rlim_cur;
    }
    if (text && cfb_doctor__stack_bytes(text) >= 0) cfb_doctor_number(d, "threads", "omp_stack_kib", (double)(bytes / 1024));
    if (!cfb_has_openmp() || bytes < 0) return;
    if (bytes < 256 * 1024)
        cfb_doctor_find(d, FAULT, "stack", cfb_doctor_text(d, "threads have stacks of %lld KiB", (long long)(bytes / 1024)),
                        "libcurl, TLS and BLAS need more than that: the program would crash",
                        "unset OMP_STACKSIZE; ulimit -s 8192");
    else if ((double)bytes * n > 0.5 * (double)cfb_memory_allowed() && bytes > (int64_t)64 << 20)
        cfb_doctor_find(d, FAULT, "stack",
                        cfb_doctor_text(d, "%d threads with stacks of %lld MiB reserve more than half of the memory", n,
                                        (long long)(bytes >> 20)),
                        "under a limit of address space (ulimit -v, strict overcommit) threads cannot be made",
                        "unset OMP_STACKSIZE; ulimit -s 8192");
}

struct pids {
    int64_t most, now; /* of the group with the least left; most -1: no limit */
};

static void count_pids(void *ctx, const char *dir, bool v2) {
    struct pids *p = ctx;
    int64_t most = cfb_doctor__number_in(dir, "/pids.max", ""), now = cfb_doctor__number_in(dir, "/pids.current", "");
    (void)v2;
    if (now < 0) now = 0;
    if (most >= 0 && (p->most < 0 || most - now < p->most - p->now)) *p = (struct pids){most, now};
}

static void limits(cfb_doctor_t *d, const cfb_doctor_want *w) {
    struct rlimit r;
    int threads = w->outer * w->inner > w->threads ? w->outer * w->inner : w->threads;
    size_t files = w->calls + 4 * (size_t)(w->outer * w->inner) + 64;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        if (r.rlim_max != RLIM_INFINITY) cfb_doctor_number(d, "limits", "open_files", (double)r.rlim_max);
        cfb_doctor_number(d, "limits", "open_files_wanted", (double)files);
        if (r.rlim_max != RLIM_INFINITY && r.rlim_max < files)
            cfb_doctor_find(
                d, FAULT, "open-files",
                cfb_doctor_text(d, "%zu calls in flight need %zu open files, %llu are allowed", w->calls, files,
                                (unsigned long long)r.rlim_max),
                "every call has a connection of its own; the run ends before its first call",
                cfb_doctor_text(d, "ulimit -Hn %zu (as root, or in /etc/security/limits.conf), or a lower --in-flight", files));
    }
    if (getrlimit(RLIMIT_NPROC, &r) == 0 && r.rlim_cur != RLIM_INFINITY) {
        cfb_doctor_number(d, "limits", "processes", (double)r.rlim_cur);
        if (geteuid() != 0 && r.rlim_cur < (rlim_t)threads + 8)
            cfb_doctor_find(d, FAULT, "processes",
                            cfb_doctor_text(d, "%d threads are wanted, this user may have %llu processes and threads in all",
                                            threads, (unsigned long long)r.rlim_cur),
                            "OpenMP ends the program when it cannot make a thread", "ulimit -u 4096, or fewer --max-workers");
    }
    struct pids p = {-1, 0};
    cfb_cgroup_each(w->root ? w->root : "", "pids", count_pids, &p);
    if (p.most >= 0) cfb_doctor_number(d, "limits", "cgroup_pids", (double)p.most);
    if (p.most >= 0 && p.most - p.now < threads + 8)
        cfb_doctor_find(d, FAULT, "cgroup-pids",
                        cfb_doctor_text(d, "%d threads are wanted, the cgroup allows %lld and %lld are there", threads,
                                        (long long)p.most, (long long)p.now),
                        "OpenMP ends the program when it cannot make a thread",
                        "docker run --pids-limit 4096 (podman and Kubernetes alike), or fewer --max-workers");
    cfb_err err = CFB_ERR_INIT;
    if (threads > 1 && cfb_check_threads((size_t)threads, &err) != CFB_OK)
        cfb_doctor_find(d, FAULT, "threads-refused", err.msg, "the run ends before its first call",
                        "ulimit -u 4096; ulimit -v unlimited; or fewer --max-workers");
}

void cfb_doctor_threads(cfb_doctor_t *d, const cfb_doctor_want *w) {
    size_t before = cfb_doctor_count(d, FAULT);
    limits(d, w);
    stacks(d, w);
    bool safe = cfb_doctor_count(d, FAULT) == before; /* OpenMP ends the program when it cannot make a thread */
    omp_environment(d, w);
    openmp(d, w, safe);
}

/* ---- libraries that are loaded: asked through the dynamic linker, so that no room's header is needed ---- */

typedef const char *(*text_fn)(void);

static void *symbol(const char *name) {
    void *program = dlopen(NULL, RTLD_LAZY); /* the program and all libraries that were loaded with it */
    void *found = program ? dlsym(program, name) : NULL;
    if (program) dlclose(program);
    return found;
}

static const char *text_of(const char *name) {
    text_fn f;
    void *p = symbol(name);
    if (p == NULL) return NULL;
    memcpy(&f, &p, sizeof f); /* POSIX: what dlsym gives may be called */
    return f();
}

static void blas(cfb_doctor_t *d, const cfb_doctor_want *w) {
    cfb_err err = CFB_ERR_INIT;
    if (cfb_blas_open(&err) != CFB_OK) {
        cfb_doctor_fact(d, "blas", "library", "none");
        cfb_doctor_find(d, FAULT, "blas-missing", err.msg, "confusion matrices and embeddings are computed with BLAS",
                        "apt-get install libopenblas0-openmp");
        return;
    }
    cfb_doctor_fact(d, "blas", "library", "%s", cfb_blas_config());
    cfb_doctor_fact(d, "blas", "kernels", "%s", cfb_blas_core());
    cfb_doctor_fact(d, "blas", "threading", "%s", cfb_blas_threading());
    cfb_doctor_number(d, "blas", "threads", cfb_blas_threads());
    cfb_doctor_fact(d, "blas", "oversubscribes", "%s",
                    "no: cfbench sets BLAS to one thread while its own threads compute, and uses either the one or the others");
    int64_t asked = cfb_doctor__env_number("OPENBLAS_NUM_THREADS");
    if (asked > omp_get_num_procs())
        cfb_doctor_find(d, FAULT, "blas-threads",
                        cfb_doctor_text(d, "OPENBLAS_NUM_THREADS=%lld on %d cores", (long long)asked, omp_get_num_procs()),
                        "BLAS keeps a pool of that many threads, which take turns on the cores and slow each product down",
                        "unset OPENBLAS_NUM_THREADS");
    if (cfb_has_openmp() && strcmp(cfb_blas_threading(), "serial") == 0 && w->threads > 1)
        cfb_doctor_find(d, FAULT, "blas-serial", "the loaded OpenBLAS is the serial build",
                        "it multiplies for one thread at a time: embeddings on many threads are as slow as on one",
                        "apt-get install libopenblas0-openmp (update-alternatives --config libopenblas.so.0-x86_64-linux-gnu)");
    if (strcmp(cfb_blas_threading(), "pthreads") == 0 && w->threads > 1)
        cfb_doctor_find(
            d, HINT, "blas-build", "the loaded OpenBLAS has threads of its own (pthreads build)",
            "beside OpenMP's they would oversubscribe; cfbench therefore keeps it at one thread, where the OpenMP build "
            "could share the team",
            "apt-get install libopenblas0-openmp (update-alternatives --config libopenblas.so.0-x86_64-linux-gnu)");
}

void cfb_doctor_libraries(cfb_doctor_t *d, const cfb_doctor_want *w) {
    static const struct {
        const char *name, *symbol;
    } libraries[] = {{"sqlite", "sqlite3_libversion"}, {"libc", "gnu_get_libc_version"}, {"zlib", "zlibVersion"},
                     {"zstd", "ZSTD_versionString"},   {"lz4", "LZ4_versionString"},     {"utf8proc", "utf8proc_version"}};
    cfb_doctor_fact(d, "versions", "cfbench", "%s (%s)", CFB_VERSION, cfb_has_openmp() ? "OpenMP" : "serial");
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        const char *v = text_of(libraries[i].symbol);
        if (v != NULL) cfb_doctor_fact(d, "versions", libraries[i].name, "%s", v);
    }
    blas(d, w);
}
