/* machine.c - processor, cores and who limits them, memory, load. */
#include "base/cgroup.h"
#include "base/omp.h"
#include "cfbench/base.h"
#include "doctor/internal.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the processor ---- */

static const char *const kept_flags[] = {"avx2",        "fma",      "avx512f",  "avx512bw", "avx512_vnni",
                                         "avx512_bf16", "amx_tile", "amx_bf16", "asimd",    "sve"};

static bool has_word(const char *line, const char *word) {
    size_t n = strlen(word);
    for (const char *p = line; (p = strstr(p, word)) != NULL; p += n)
        if (p > line && p[-1] == ' ' && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0')) return true;
    return false;
}

static void processor(cfb_doctor_t *d, const cfb_doctor_want *w) {
    FILE *f = cfb_doctor__open(w, "/proc/cpuinfo");
    static char line[16384];
    char flags[256] = "";
    bool model = false, seen = false;
    while (f != NULL && !(model && seen) && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL) continue;
        if (!model && strncmp(line, "model name", 10) == 0) {
            colon[strcspn(colon, "\n")] = '\0';
            cfb_doctor_fact(d, "machine", "processor", "%s", colon[1] ? colon + 2 : "");
            model = true;
        } else if (!seen && (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0)) {
            for (size_t i = 0, used = 0; i < sizeof kept_flags / sizeof *kept_flags; i++)
                if (has_word(colon, kept_flags[i]))
                    used += (size_t)snprintf(flags + used, sizeof flags - used, "%s%s", used ? " " : "", kept_flags[i]);
            seen = true;
        }
    }
    if (f != NULL) fclose(f);
    cfb_doctor_fact(d, "machine", "instructions", "%s", flags[0] ? flags : "no vector instructions that are used here");
    cfb_doctor_fact(d, "machine", "text_kernels", "%s", cfb_simd_name());
}

/* ---- cores ---- */

/* Returns whether more threads than the job has CPUs are what it found: then that is their fault, and not the cores'. */
static bool slurm(cfb_doctor_t *d, const cfb_doctor_want *w, int cores) {
    const char *job = getenv("SLURM_JOB_ID");
    if (job == NULL) return false;
    int64_t per_task = cfb_doctor__env_number("SLURM_CPUS_PER_TASK");
    cfb_doctor_fact(d, "slurm", "job", "%s", job);
    if (per_task > 0) cfb_doctor_number(d, "slurm", "cpus_per_task", (double)per_task);
    bool beyond = per_task > 0 && w->threads > per_task && cores > per_task;
    if (beyond)
        cfb_doctor_find(
            d, FAULT, "slurm-cpus",
            cfb_doctor_text(d, "the Slurm task has %lld CPU%s, but %d threads would score: the job is not bound to its CPUs",
                            (long long)per_task, per_task == 1 ? "" : "s", w->threads),
            "threads beyond the allocation take cores from other jobs, and are slowed down by them",
            "--threads $SLURM_CPUS_PER_TASK");
    else if (per_task > cores)
        cfb_doctor_find(d, FAULT, "slurm-cpus",
                        cfb_doctor_text(d, "the Slurm task has %lld CPUs, this process may use %d", (long long)per_task, cores),
                        "since Slurm 22.05 srun does not pass the job's --cpus-per-task on to its steps: cores lie idle",
                        "srun --cpus-per-task=$SLURM_CPUS_PER_TASK cfbench ...");
    return beyond;
}

static int numa_nodes(const cfb_doctor_want *w) {
    FILE *f = cfb_doctor__open(w, "/sys/devices/system/node/online");
    char line[256] = "";
    int n = 0;
    if (f == NULL) return 1;
    if (fgets(line, sizeof line, f) == NULL) line[0] = '\0';
    fclose(f);
    for (char *p = line; *p >= '0' && *p <= '9';) { /* "0-1,4" */
        long from = strtol(p, &p, 10), to = from;
        if (*p == '-') to = strtol(p + 1, &p, 10);
        n += to >= from ? (int)(to - from + 1) : 0;
        if (*p == ',') p++;
    }
    return n > 0 ? n : 1;
}

struct periods {
    int64_t all, stopped; /* of the group that was stopped most often */
};

static void count_periods(void *ctx, const char *dir, bool v2) {
    struct periods *p = ctx;
    int64_t all = cfb_doctor__number_in(dir, "/cpu.stat", "nr_periods"),
            stopped = cfb_doctor__number_in(dir, "/cpu.stat", "nr_throttled");
    (void)v2;
    if (all >= 0 && stopped >= p->stopped) *p = (struct periods){all, stopped};
}

static void cores(cfb_doctor_t *d, const cfb_doctor_want *w) {
    int allowed = omp_get_num_procs(), use = cfb_has_openmp() ? cfb_cpu_count() : 1, nodes = numa_nodes(w);
    double quota = cfb_cgroup_cpu_quota(w->root ? w->root : "");
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (quota > 0 && quota < use) use = (int)ceil(quota); /* as many as are used without --threads */
    cfb_doctor_number(d, "machine", "cores_online", (double)online);
    cfb_doctor_number(d, "machine", "cores_of_this_process", allowed);
    if (quota > 0) cfb_doctor_number(d, "machine", "cgroup_cpu_quota", quota);
    cfb_doctor_number(d, "machine", "numa_nodes", nodes);
    cfb_doctor_number(d, "machine", "threads_for_scoring", w->threads);
    if (!slurm(d, w, allowed) && cfb_has_openmp() && w->threads > use)
        cfb_doctor_find(d, FAULT, "threads",
                        cfb_doctor_text(d, "%d threads would score on %d core%s%s", w->threads, use, use == 1 ? "" : "s",
                                        quota > 0 && quota < allowed ? " (the cgroup's quota)" : ""),
                        "threads beyond the cores take turns; under a quota all of them are stopped together",
                        cfb_doctor_text(d, "--threads %d, or leave --threads out", use));
    struct periods p = {0, 0};
    cfb_cgroup_each(w->root ? w->root : "", "cpu", count_periods, &p);
    if (quota > 0 && p.all >= 100 && p.stopped * 4 > p.all)
        cfb_doctor_find(d, HINT, "throttled",
                        cfb_doctor_text(d, "the cgroup's quota of %.3g cores stopped this container in %lld of %lld periods",
                                        quota, (long long)p.stopped, (long long)p.all),
                        "a stopped container neither computes nor reads replies: latencies look longer than they are",
                        "ask for a larger quota (docker run --cpus, resources.limits.cpu), or use fewer --threads");
    if (nodes > 1 && w->threads > 1 && getenv("OMP_PROC_BIND") == NULL && getenv("OMP_PLACES") == NULL)
        cfb_doctor_find(d, HINT, "numa", cfb_doctor_text(d, "%d NUMA nodes, and threads are not bound", nodes),
                        "a thread that moves to another node reads its memory from afar",
                        "OMP_PROC_BIND=spread OMP_PLACES=cores cfbench score ..., or numactl --cpunodebind=0 --membind=0");
}

static void memory_and_load(cfb_doctor_t *d, const cfb_doctor_want *w) {
    double mib = (double)cfb_memory_allowed() / 1048576, load = -1;
    cfb_doctor_number(d, "machine", "memory_allowed_mib", (double)(int64_t)mib);
    if (mib < 512)
        cfb_doctor_find(
            d, FAULT, "memory", cfb_doctor_text(d, "%.0f MiB of memory may be used", mib),
            "scoring takes up to 300 MB, asking about 40 KB for each call in flight; beyond the limit the kernel ends "
            "the process",
            "ask for more (sbatch --mem=2G, docker run --memory), or lower --in-flight and --threads");
    FILE *f = cfb_doctor__open(w, "/proc/loadavg");
    if (f != NULL && fscanf(f, "%lf", &load) != 1) load = -1;
    if (f != NULL) fclose(f);
    if (load >= 0) cfb_doctor_number(d, "machine", "load", load);
    int n = omp_get_num_procs();
    if (load > 1.5 * n + 0.5)
        cfb_doctor_find(d, HINT, "load",
                        cfb_doctor_text(d, "other programs keep the machine busy: load %.1f on %d cores", load, n),
                        "measurements vary, and so does the rate of calls", "wait, or look at `top`");
}

void cfb_doctor_machine(cfb_doctor_t *d, const cfb_doctor_want *w) {
    processor(d, w);
    cores(d, w);
    memory_and_load(d, w);
}
