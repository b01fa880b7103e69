/* What the operating system lets this process have, asked for before it is needed: OpenMP's run-time ends the process when it
 * cannot make a thread, and libcurl fails call by call when it cannot open a socket. */
#include "cfbench/base.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct gate {
    pthread_mutex_t lock;
};

static void *wait_at_gate(void *ctx) {
    struct gate *g = ctx;
    pthread_mutex_lock(&g->lock);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

cfb_code cfb_check_threads(size_t n, cfb_err *err) {
    struct gate g;
    pthread_t *threads = malloc((n ? n : 1) * sizeof *threads);
    if (threads == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_mutex_init(&g.lock, NULL);
    pthread_mutex_lock(&g.lock); /* all of them live at the same time */
    size_t made = 0;
    int failed = 0;
    while (made < n && (failed = pthread_create(&threads[made], NULL, wait_at_gate, &g)) == 0) made++;
    pthread_mutex_unlock(&g.lock);
    for (size_t i = 0; i < made; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&g.lock);
    free(threads);
    if (made == n) return CFB_OK;
    cfb_err_set_errno(err, failed, "%zu threads were asked for, the system gives %zu (see ulimit -u, or the job's limits)", n,
                      made);
    if (err) err->code = CFB_ECONFIG;
    return CFB_ECONFIG;
}

cfb_code cfb_check_open_files(size_t n, cfb_err *err) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= n) return CFB_OK;
    struct rlimit more = {lim.rlim_max == RLIM_INFINITY || lim.rlim_max > n ? (rlim_t)n : lim.rlim_max, lim.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) lim = more;
    if (lim.rlim_cur >= n) return CFB_OK;
    return cfb_err_set(err, CFB_ECONFIG, "%zu open files are needed, the system allows %llu (see ulimit -Hn)", n,
                       (unsigned long long)lim.rlim_cur);
}

/* A file that holds one number; UINT64_MAX where there is none ("max"). */
static uint64_t number_in(const char *path) {
    unsigned long long v;
    FILE *f = fopen(path, "r");
    if (f == NULL) return UINT64_MAX;
    int got = fscanf(f, "%llu", &v);
    fclose(f);
    return got == 1 ? v : UINT64_MAX;
}

static uint64_t number_of(const char *variable) {
    const char *text = getenv(variable);
    int64_t v;
    return text && cfb_parse_int(text, &v) && v > 0 && v < (int64_t)1 << 40 ? (uint64_t)v : UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t cfb_memory_allowed(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t out = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    out = least(out, number_in("/sys/fs/cgroup/memory.max"));
    out = least(out, number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    uint64_t node = number_of("SLURM_MEM_PER_NODE"), cpu = number_of("SLURM_MEM_PER_CPU"), cpus = number_of("SLURM_CPUS_ON_NODE");
    if (node != UINT64_MAX) out = least(out, node << 20);
    if (cpu != UINT64_MAX) out = least(out, (cpu << 20) * (cpus < 65536 ? cpus : 1));
    return out == UINT64_MAX ? 0 : out;
}
