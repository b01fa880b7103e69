/* memory.c - how much memory this process may use. */
#include "base/cgroup.h"
#include "cfbench/base.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void at_most(uint64_t *least, uint64_t bytes) {
    if (bytes > 0 && bytes < *least) *least = bytes;
}

/* A file that holds one number of bytes; "max", or nothing there: no limit. */
static void limit_of_group(void *least, const char *dir, bool v2) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, v2 ? "memory.max" : "memory.limit_in_bytes");
    FILE *f = n > 0 && (size_t)n < sizeof path ? fopen(path, "r") : NULL;
    unsigned long long v = 0;
    if (f == NULL) return;
    if (fscanf(f, "%llu", &v) == 1) at_most(least, v);
    fclose(f);
}

/* Slurm gives megabytes, for the node or for each of its CPUs; 0 means all of the node. */
static void limit_of_slurm(uint64_t *least) {
    int64_t mb, cpus;
    const char *node = getenv("SLURM_MEM_PER_NODE"), *cpu = getenv("SLURM_MEM_PER_CPU"), *n = getenv("SLURM_CPUS_ON_NODE");
    if (node != NULL && cfb_parse_int(node, &mb) && mb > 0) at_most(least, (uint64_t)mb << 20);
    if (cpu != NULL && n != NULL && cfb_parse_int(cpu, &mb) && cfb_parse_int(n, &cpus) && mb > 0 && cpus > 0 && mb < INT32_MAX &&
        cpus < INT32_MAX)
        at_most(least, (uint64_t)(mb * cpus) << 20);
}

uint64_t cfb_memory_allowed(void) {
    static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
    uint64_t least = UINT64_MAX;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) at_most(&least, (uint64_t)pages * (uint64_t)page);
    cfb_cgroup_each("", "memory", limit_of_group, &least);
    limit_of_slurm(&least);
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        struct rlimit l;
        if (getrlimit((__rlimit_resource_t)resources[i], &l) == 0 && l.rlim_cur != RLIM_INFINITY) at_most(&least, l.rlim_cur);
    }
    return least;
}
