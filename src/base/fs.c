/* fs.c - what kind of file system a path is on. */
#include "cfbench/base.h"

#include <limits.h>
#include <stdio.h>
#ifdef __linux__
#include <sys/vfs.h>

/* Source: linux/magic.h and the file systems' own headers. */
static const struct {
    uint32_t magic;
    const char *name;
} network[] = {{0x6969, "nfs"},       {0x0bd00bd0, "lustre"},   {0x47504653, "gpfs"},  {0x19830326, "beegfs"},
               {0xff534d42, "cifs"},  {0xfe534d42, "smb"},      {0x517b, "smb"},       {0x00c36400, "ceph"},
               {0x5346414f, "afs"},   {0x6b414653, "afs"},      {0x73757245, "coda"},  {0x01021997, "9p"},
               {0xaad7aaea, "panfs"}, {0x20030528, "orangefs"}, {0x7461636f, "ocfs2"}, {0x01161970, "gfs2"},
               {0x65735546, "fuse"}};
#endif

bool cfb_path_on_network(const char *path, const char **name) {
#ifdef __linux__
    struct statfs fs;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    while (statfs(folder, &fs) != 0) { /* what is not there yet will be where its folder is */
        char *slash = strrchr(folder, '/');
        if (slash == NULL) {
            if (strcmp(folder, ".") == 0) return false;
            snprintf(folder, sizeof folder, ".");
        } else if (slash == folder) {
            if (folder[1] == '\0') return false;
            folder[1] = '\0';
        } else {
            *slash = '\0';
        }
    }
    for (size_t i = 0; i < sizeof network / sizeof *network; i++)
        if ((uint32_t)fs.f_type == network[i].magic) {
            if (name) *name = network[i].name;
            return true;
        }
#else
    (void)path;
#endif
    if (name) *name = "";
    return false;
}
