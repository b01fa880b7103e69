/* memory.c - how much memory this process may use. */
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
static void limit_in_file(uint64_t *least, const char *path) {
    FILE *f = fopen(path, "r");
    unsigned long long v = 0;
    if (f == NULL) return;
    if (fscanf(f, "%llu", &v) == 1) at_most(least, v);
    fclose(f);
}

/* The limit of a cgroup and of those above it. dir starts with '/'. */
static void limit_of_cgroup(uint64_t *least, const char *root, char *dir, const char *name) {
    char path[PATH_MAX];
    for (;;) {
        size_t len = strlen(dir);
        if (len > 0 && dir[len - 1] == '/') dir[len - 1] = '\0';
        int n = snprintf(path, sizeof path, "%s%s/%s", root, dir, name);
        if (n > 0 && (size_t)n < sizeof path) limit_in_file(least, path);
        char *slash = strrchr(dir, '/');
        if (slash == NULL) return;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup: "0::/user.slice/x" (version 2), "4:memory:/job" (version 1). */
static void limit_of_cgroups(uint64_t *least) {
    FILE *f = fopen("/proc/self/cgroup", "r");
    char line[PATH_MAX];
    if (f == NULL) return;
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *kind = strchr(line, ':'), *dir = kind ? strchr(kind + 1, ':') : NULL;
        if (dir == NULL) continue;
        *dir++ = '\0';
        if (kind[1] == '\0')
            limit_of_cgroup(least, "/sys/fs/cgroup", dir, "memory.max");
        else if (strstr(kind, "memory") != NULL)
            limit_of_cgroup(least, "/sys/fs/cgroup/memory", dir, "memory.limit_in_bytes");
    }
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
    limit_of_cgroups(&least);
    limit_of_slurm(&least);
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        struct rlimit l;
        if (getrlimit((__rlimit_resource_t)resources[i], &l) == 0 && l.rlim_cur != RLIM_INFINITY) at_most(&least, l.rlim_cur);
    }
    return least;
}
