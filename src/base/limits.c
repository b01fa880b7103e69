/* What the operating system lets this process have, asked for before it is needed: OpenMP's run-time ends the process when it
 * cannot make a thread, and libcurl fails call by call when it cannot open a socket. */
#include "cfbench/base.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

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
