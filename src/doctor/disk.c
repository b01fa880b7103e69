/* disk.c - the file system that a run writes to. */
#include "cfbench/base.h"
#include "doctor/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMITS 9
#define COMMIT_BYTES 65536
#define SLOW_COMMIT_S 0.25

/* The folder, or the nearest one above it that is there. */
static bool existing_folder(const char *out, char path[PATH_MAX]) {
    char try[PATH_MAX];
    if (snprintf(try, sizeof try, "%s", out) >= (int)sizeof try) return false;
    for (;;) {
        if (cfb_path_is_dir(try) && realpath(try, path) != NULL) return true;
        char *slash = strrchr(try, '/');
        if (slash == NULL) return realpath(".", path) != NULL;
        if (slash == try) return realpath("/", path) != NULL;
        *slash = '\0';
    }
}

static void kind(cfb_doctor_t *d, const cfb_doctor_want *w, const char *dir) {
    cfb_buf text = CFB_BUF_INIT((size_t)4 << 20);
    cfb_mount m = {.type = ""};
    char path[PATH_MAX + 64];
    const char *name;
    bool network = cfb_path_on_network(dir, &name) && strcmp(name, "fuse") != 0; /* of FUSE the mount's type says more */
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", w->root ? w->root : "");
    if (cfb_file_read(path, (size_t)2 << 20, &text, NULL) == CFB_OK && cfb_doctor__find_mount(cfb_buf_str(&text), dir, &m)) {
        network = network || cfb_doctor__is_network(m.type);
        cfb_doctor_fact(d, "disk", "file_system", "%s on %s", m.type, m.point);
    }
    cfb_buf_free(&text);
    if (network)
        cfb_doctor_find(
            d, FAULT, "network-disk", cfb_doctor_text(d, "%s lies on a network file system (%s)", dir, m.type[0] ? m.type : name),
            "the run store is an SQLite file in WAL mode; here it is opened for one process alone (--store-locks), but two nodes "
            "that "
            "write one store can still damage it where flock does not hold between them, and each commit waits for the server",
            "--out on a local disk ($TMPDIR, /tmp, /scratch), and copy the folder when the run is done");
    if (strstr(m.options, "nolock") || strstr(m.options, "nobrl"))
        cfb_doctor_find(d, FAULT, "locks", cfb_doctor_text(d, "%s is mounted without locks across machines", m.point),
                        "nothing keeps a second run from writing into the same run store", "--out on a local disk");
    if (strcmp(m.type, "tmpfs") == 0 || strcmp(m.type, "ramfs") == 0)
        cfb_doctor_find(d, HINT, "memory-disk", cfb_doctor_text(d, "%s is kept in memory (%s)", dir, m.type),
                        "replies are lost when the machine goes down", "--out on a disk, if the replies are paid for");
}

static void room(cfb_doctor_t *d, const cfb_doctor_want *w, const char *dir) {
    struct statvfs s;
    struct rlimit r;
    uint64_t need = w->out_bytes + ((uint64_t)16 << 20);
    if (statvfs(dir, &s) == 0) {
        uint64_t free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
        cfb_doctor_number(d, "disk", "free_mib", (double)(free_bytes >> 20));
        if (free_bytes < need)
            cfb_doctor_find(d, FAULT, "disk-space",
                            cfb_doctor_text(d, "%s has %llu MiB left, the run needs about %llu", dir,
                                            (unsigned long long)(free_bytes >> 20), (unsigned long long)(need >> 20)),
                            "a full disk ends the run; replies so far are kept", "--out on another disk, or free some space");
        if (s.f_files > 0 && s.f_favail < 100)
            cfb_doctor_find(d, FAULT, "disk-space",
                            cfb_doctor_text(d, "%s has %llu inodes left", dir, (unsigned long long)s.f_favail),
                            "no file can be made", "--out on another disk, or remove small files");
    }
    if (getrlimit(RLIMIT_FSIZE, &r) == 0 && r.rlim_cur != RLIM_INFINITY && r.rlim_cur < need)
        cfb_doctor_find(d, FAULT, "file-size",
                        cfb_doctor_text(d, "files may grow to %llu KiB, the run store needs about %llu",
                                        (unsigned long long)(r.rlim_cur >> 10), (unsigned long long)(need >> 10)),
                        "the kernel ends a program that writes beyond the limit", "ulimit -f unlimited");
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median time of a small write that reaches the disk; -1: it fails. */
static double commit_time(int fd) {
    static const char block[COMMIT_BYTES];
    double t[COMMITS];
    for (int i = 0; i < COMMITS; i++) {
        int64_t begin = cfb_now_ns();
        if (pwrite(fd, block, sizeof block, 0) != (ssize_t)sizeof block || fdatasync(fd) != 0) return -1;
        t[i] = (double)(cfb_now_ns() - begin) * 1e-9;
    }
    qsort(t, COMMITS, sizeof *t, compare);
    return t[COMMITS / 2];
}

/* Does a lock keep another process out? 1 yes, 0 no, -1 there are no locks (errno). */
static int locks_hold(int fd) {
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(fd, F_SETLK, &l) != 0) return -1;
    pid_t child = fork();
    if (child == 0) { /* only calls that are safe after a fork */
        struct flock again = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        _exit(fcntl(fd, F_SETLK, &again) != 0 ? 0 : 1);
    }
    int status = 0;
    if (child < 0) return 1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* False: nothing can be written there, and nothing more is to be said. */
static bool behaviour(cfb_doctor_t *d, const char *dir) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/.cfbench-doctor-XXXXXX", dir);
    int fd = mkstemp(path);
    if (fd < 0) {
        cfb_doctor_find(d, FAULT, "out", cfb_doctor_text(d, "%s cannot be written: %s", dir, strerror(errno)),
                        "the run store and the reports go there", "--out DIR with a folder of yours");
        return false;
    }
    unlink(path);
    double s = commit_time(fd);
    int hold = locks_hold(fd);
    close(fd);
    if (s >= 0) cfb_doctor_number(d, "disk", "commit_ms", s * 1e3);
    cfb_doctor_fact(d, "disk", "locks", "%s", hold == 1 ? "hold" : hold == 0 ? "do not hold" : "none");
    if (s < 0)
        cfb_doctor_find(d, FAULT, "disk-write",
                        cfb_doctor_text(d, "%s: a small file cannot be written: %s", dir, strerror(errno)),
                        "no reply could be saved", "--out on another disk");
    else if (s > SLOW_COMMIT_S)
        cfb_doctor_find(d, FAULT, "disk-speed", cfb_doctor_text(d, "%s takes %.0f ms to make 64 KiB safe", dir, s * 1e3),
                        "replies count only when they are on the disk: many calls wait for it in memory",
                        "--out on a local disk");
    if (hold != 1)
        cfb_doctor_find(d, FAULT, "locks", cfb_doctor_text(d, "locks of files do not work in %s", dir),
                        "nothing keeps a second run from writing into the same run store", "--out on a local disk");
    return true;
}

void cfb_doctor_disk(cfb_doctor_t *d, const cfb_doctor_want *w) {
    char dir[PATH_MAX];
    if (w->out == NULL) return;
    if (!existing_folder(w->out, dir)) {
        cfb_doctor_find(d, FAULT, "out", cfb_doctor_text(d, "%.800s: no such folder can be made", w->out),
                        "the run store and the reports go there", "--out DIR with a folder of yours");
        return;
    }
    cfb_doctor_fact(d, "disk", "folder", "%s", dir);
    if (!behaviour(d, dir)) return;
    kind(d, w, dir);
    room(d, w, dir);
}
