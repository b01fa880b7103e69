#include "base/cgroup.h"
#include "base/omp.h"
#include "cfbench/base.h"
#include "cfbench/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#ifdef _OPENMP
/* Cores that a batch system gave to this process, where it says so and does not bind it to them; 0: it does not say. */
static int job_cpus(void) {
    static const char *const names[][2] = {{"SLURM_JOB_ID", "SLURM_CPUS_PER_TASK"},
                                           {"PBS_JOBID", "NCPUS"},
                                           {"LSB_JOBID", "LSB_DJOB_NUMPROC"},
                                           {"SGE_ROOT", "NSLOTS"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *job = getenv(names[i][0]), *v = getenv(names[i][1]);
        int64_t n;
        if (job && *job && v && cfb_parse_int(v, &n) && n > 0 && n < INT32_MAX) return (int)n;
    }
    return 0;
}
#endif

bool cfb_has_openmp(void) {
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

int cfb_cpu_count(void) {
#ifdef _OPENMP
    int cores = omp_get_num_procs(), job = job_cpus();
    double quota = cfb_cgroup_cpu_quota("");
    if (quota > 0 && quota < cores) cores = (int)ceil(quota);
    if (job > 0 && job < cores) cores = job;
    return cores > 0 ? cores : 1;
#else
    return 1;
#endif
}

static void run_block(cfb_block_fn fn, void *ctx, size_t block, int worker) {
    int64_t begin_ns = cfb_trace_on() ? cfb_now_ns() : 0;
    fn(ctx, block, worker);
    if (cfb_trace_on())
        cfb_trace_span("compute", "block", CFB_TRACE_HERE, begin_ns, cfb_now_ns(),
                       &(cfb_trace_arg){.name = "block", .n = (int64_t)block}, 1);
}

void cfb_par_blocks(size_t n_blocks, int n_threads, cfb_block_fn fn, void *ctx) {
    if (n_threads < 1) n_threads = 1;
    if ((size_t)n_threads > n_blocks) n_threads = n_blocks ? (int)n_blocks : 1;
    if (n_threads == 1) { /* small work stays serial */
        for (size_t b = 0; b < n_blocks; b++) run_block(fn, ctx, b, 0);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads) default(none) shared(n_blocks, fn, ctx)
    for (size_t b = 0; b < n_blocks; b++) run_block(fn, ctx, b, omp_get_thread_num());
}

void cfb_thread_name(const char *name) {
    cfb_trace_name_thread(name);
#ifdef __linux__
    if ((pid_t)syscall(SYS_gettid) != getpid()) prctl(PR_SET_NAME, name, 0, 0, 0);
#else
    (void)name;
#endif
}

double cfb_cpu_time_s(void) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}
