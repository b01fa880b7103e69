/* What control groups say about the CPU, and where their files are. */
#include "base/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The group's folder and those above it, up to the root. dir starts with '/'. */
static void each_above(const char *root, char *dir, bool v2, cfb_cgroup_fn fn, void *ctx) {
    char path[PATH_MAX];
    for (;;) {
        size_t len = strlen(dir);
        if (len > 0 && dir[len - 1] == '/') dir[len - 1] = '\0';
        int n = snprintf(path, sizeof path, "%s%s", root, dir);
        if (n > 0 && (size_t)n < sizeof path) fn(ctx, path, v2);
        char *slash = strrchr(dir, '/');
        if (slash == NULL) return;
        *slash = '\0';
    }
}

static bool is_among(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        if (*p == ',') p++;
        if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0')) return true;
    }
    return false;
}

/* Lines of /proc/self/cgroup: "0::/user.slice/x" (version 2), "4:cpu,cpuacct:/job" (version 1). */
void cfb_cgroup_each(const char *root, const char *controller, cfb_cgroup_fn fn, void *ctx) {
    char line[PATH_MAX], top[PATH_MAX];
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *f = fopen(line, "r");
    if (f == NULL) return;
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *kinds = strchr(line, ':'), *dir = kinds ? strchr(kinds + 1, ':') : NULL;
        if (dir == NULL) continue;
        *dir++ = '\0';
        if (kinds[1] == '\0') {
            snprintf(top, sizeof top, "%s/sys/fs/cgroup", root);
            each_above(top, dir, true, fn, ctx);
        } else if (is_among(kinds + 1, controller)) {
            snprintf(top, sizeof top, "%s/sys/fs/cgroup/%s", root, controller);
            each_above(top, dir, false, fn, ctx);
        }
    }
    fclose(f);
}

static FILE *open_in(const char *dir, const char *name) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof path ? fopen(path, "r") : NULL;
}

static void add_throttled(void *ctx, const char *dir, bool v2) {
    cfb_throttled *t = ctx;
    FILE *f = open_in(dir, "cpu.stat");
    char name[64];
    unsigned long long v;
    if (f == NULL) return;
    while (fscanf(f, "%63s %llu", name, &v) == 2) {
        if (strcmp(name, "nr_throttled") == 0) t->times += v;
        if (strcmp(name, v2 ? "throttled_usec" : "throttled_time") == 0) t->seconds += (double)v * (v2 ? 1e-6 : 1e-9);
    }
    fclose(f);
}

cfb_throttled cfb_cgroup_throttled(void) {
    cfb_throttled t = {0, 0};
    cfb_cgroup_each("", "cpu", add_throttled, &t);
    return t;
}

/* Version 2: "max 100000" or "150000 100000" in one file. Version 1: -1, or the quota, and the period in another. */
static void least_quota(void *ctx, const char *dir, bool v2) {
    double *least = ctx, quota = 0, period = 0;
    FILE *f = open_in(dir, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (f == NULL) return;
    if (fscanf(f, "%lf %lf", &quota, &period) < 1) quota = 0;
    fclose(f);
    if (!v2 && (f = open_in(dir, "cpu.cfs_period_us")) != NULL) {
        if (fscanf(f, "%lf", &period) != 1) period = 0;
        fclose(f);
    }
    if (quota > 0 && period > 0 && (*least == 0 || quota / period < *least)) *least = quota / period;
}

double cfb_cgroup_cpu_quota(const char *root) {
    double least = 0;
    cfb_cgroup_each(root, "cpu", least_quota, &least);
    return least;
}
