/* cgroup.h - the control groups that this process is in, versions 1 and 2. */
#ifndef CFB_BASE_CGROUP_H
#define CFB_BASE_CGROUP_H

#include <stdbool.h>

/* A group's folder. v2: of version 2. */
typedef void (*cfb_cgroup_fn)(void *ctx, const char *dir, bool v2);

/* Calls fn for the process's group of a controller ("cpu", "memory") and those above it, whose limits hold for it, too. A group
 * that is not mounted where it usually is has a folder that does not exist. root: in front of /proc and /sys, "" but in tests.
 * Threads: any. */
void cfb_cgroup_each(const char *root, const char *controller, cfb_cgroup_fn fn, void *ctx);

/* How often, and for how long, the groups' CPU quota has stopped this process's group since the group began. */
typedef struct cfb_throttled {
    unsigned long long times;
    double seconds;
} cfb_throttled;
cfb_throttled cfb_cgroup_throttled(void);

/* Cores that CPU quotas grant, such as 1.5; 0: there is none. root: as above. */
double cfb_cgroup_cpu_quota(const char *root);

#endif
