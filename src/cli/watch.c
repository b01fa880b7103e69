/* How fast scoring went, where the time went, and what held it up. */
#include "base/cgroup.h"
#include "cfbench/json.h"
#include "cfbench/speed.h"
#include "cli/scoring.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct cfb_watch {
    const cfb_config *c;
    int64_t start_ns;
    double start_cpu_s;
    uint64_t start_pushed;
    cfb_throttled start_throttled;
    uint64_t start_disk;
};

/* The number behind a name in a file of lines "name number" or "name: number"; 0 if it is not there. */
static uint64_t field_of(const char *path, const char *name) {
    FILE *f = fopen(path, "r");
    char line[128];
    unsigned long long v = 0;
    size_t n = strlen(name);
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, n) != 0 || (line[n] != ' ' && line[n] != ':')) continue;
        if (sscanf(line + n + 1, "%llu", &v) != 1) v = 0;
        break;
    }
    if (f != NULL) fclose(f);
    return v;
}

/* How often the kernel gave a thread's core to someone else. */
static uint64_t times_pushed(void) {
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 && u.ru_nivcsw > 0 ? (uint64_t)u.ru_nivcsw : 0;
}

cfb_watch_t *cfb_watch_start(const cfb_config *c) {
    cfb_watch_t *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->c = c;
    w->start_ns = cfb_now_ns();
    w->start_cpu_s = cfb_cpu_time_s();
    w->start_pushed = times_pushed();
    w->start_throttled = cfb_cgroup_throttled();
    w->start_disk = field_of("/proc/self/io", "read_bytes");
    return w;
}

struct measured {
    double wall_s, cpu_s, busy;
    uint64_t bytes, text_bytes, rows, disk_bytes, peak_bytes;
    double read_s, cut_s, check_s, work_s, commit_s, wait_s;
    uint64_t throttled, pushed;
    double throttled_s, waited_s;
    int threads, cores;
};

/* Seconds that all threads, ready to run, waited for a core; -1 where the kernel does not say. Threads of OpenMP stay until the
 * end, so that none is forgotten. */
static double waited_for_cores(void) {
    DIR *tasks = opendir("/proc/self/task");
    double sum = 0;
    bool known = false;
    for (struct dirent *d; tasks != NULL && (d = readdir(tasks)) != NULL;) {
        char path[300];
        unsigned long long run, wait;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f == NULL) continue;
        if (fscanf(f, "%llu %llu", &run, &wait) == 2) {
            sum += (double)wait * 1e-9;
            known = known || run > 0;
        }
        fclose(f);
    }
    if (tasks != NULL) closedir(tasks);
    return known ? sum : -1;
}

static double seconds(const atomic_ullong *ns) { return (double)atomic_load(ns) * 1e-9; }

static struct measured measure(const cfb_watch_t *w, const cfb_scoring_t *s) {
    const cfb_scan_meter *m = &s->meter;
    struct measured r = {.wall_s = (double)(cfb_now_ns() - w->start_ns) * 1e-9,
                         .cpu_s = cfb_cpu_time_s() - w->start_cpu_s,
                         .bytes = atomic_load(&m->bytes_done) + atomic_load(&s->progress.done),
                         .text_bytes = atomic_load(&m->text_bytes),
                         .rows = atomic_load(&m->rows_done),
                         .read_s = seconds(&m->ns_read),
                         .cut_s = seconds(&m->ns_cut),
                         .check_s = seconds(&m->ns_check),
                         .work_s = seconds(&m->ns_work),
                         .commit_s = seconds(&m->ns_commit),
                         .wait_s = seconds(&m->ns_wait),
                         .pushed = times_pushed() - w->start_pushed,
                         .disk_bytes = field_of("/proc/self/io", "read_bytes") - w->start_disk,
                         .cores = cfb_cpu_count()};
    cfb_throttled now = cfb_cgroup_throttled();
    r.throttled = now.times - w->start_throttled.times;
    r.throttled_s = now.seconds - w->start_throttled.seconds;
    r.waited_s = waited_for_cores();
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0) r.peak_bytes = (uint64_t)u.ru_maxrss * 1024;
    r.busy = r.wall_s > 0 ? r.cpu_s / r.wall_s : 0;
    r.threads = w->c->threads ? (int)w->c->threads : r.cores;
    return r;
}

static void write_json(const struct measured *r, cfb_buf *out) {
    cfb_jw j;
    cfb_jw_init(&j, out, 0);
    cfb_jw_obj(&j);
    cfb_jw_member_num(&j, "elapsed_s", r->wall_s);
    cfb_jw_member_num(&j, "cpu_s", r->cpu_s);
    cfb_jw_member_num(&j, "threads_busy", r->busy);
    cfb_jw_member_int(&j, "threads", (int64_t)r->threads);
    cfb_jw_member_int(&j, "cores", (int64_t)r->cores);
    cfb_jw_member_int(&j, "bytes", (int64_t)r->bytes);
    cfb_jw_member_int(&j, "text_bytes", (int64_t)r->text_bytes);
    cfb_jw_member_int(&j, "rows", (int64_t)r->rows);
    cfb_jw_member_int(&j, "disk_bytes", (int64_t)r->disk_bytes);
    cfb_jw_member_num(&j, "bytes_per_s", (double)r->bytes / r->wall_s);
    cfb_jw_member_num(&j, "rows_per_s", (double)r->rows / r->wall_s);
    cfb_jw_member_int(&j, "peak_memory_bytes", (int64_t)r->peak_bytes);
    cfb_jw_member_num(&j, "read_s", r->read_s);
    cfb_jw_member_num(&j, "cut_s", r->cut_s);
    cfb_jw_member_num(&j, "check_s", r->check_s);
    cfb_jw_member_num(&j, "score_s", r->work_s);
    cfb_jw_member_num(&j, "commit_s", r->commit_s);
    cfb_jw_member_num(&j, "wait_s", r->wait_s);
    cfb_jw_member_int(&j, "cores_lost", (int64_t)r->pushed);
    cfb_jw_member_num(&j, "waited_for_cores_s", r->waited_s < 0 ? NAN : r->waited_s);
    cfb_jw_member_int(&j, "throttled", (int64_t)r->throttled);
    cfb_jw_member_num(&j, "throttled_s", r->throttled_s);
    cfb_jw_end_obj(&j);
    if (cfb_jw_finish(&j, NULL) != CFB_OK) cfb_buf_clear(out);
}

static void say(const struct measured *r) {
    cfb_log(CFB_LOG_DEBUG, "%.2f s: %.1f MB (%.1f MB of text), %llu rows; %.1f MB/s, %.0f rows/s; peak memory %.0f MB", r->wall_s,
            (double)r->bytes * 1e-6, (double)r->text_bytes * 1e-6, (unsigned long long)r->rows,
            (double)r->bytes * 1e-6 / r->wall_s, (double)r->rows / r->wall_s, (double)r->peak_bytes * 1e-6);
    cfb_log(CFB_LOG_DEBUG, "threads: %d asked for, %.2f busy on average, %d cores; text scan: %s", r->threads, r->busy, r->cores,
            cfb_simd_name());
    cfb_log(
        CFB_LOG_DEBUG,
        "time of all threads: reading %.2f s, cutting %.2f s, checking %.2f s, scoring %.2f s, commits %.2f s, waiting %.2f s",
        r->read_s, r->cut_s, r->check_s, r->work_s, r->commit_s, r->wait_s);
}

#define LARGE_GZIP ((uint64_t)256 << 20)

static bool is_gzip(const char *path) {
    size_t n = strlen(path);
    return n > 3 && strcmp(path + n - 3, ".gz") == 0;
}

static void warn(const struct measured *r, const cfb_scoring_t *s) {
    cfb_speed speed = {.wall_s = r->wall_s,
                       .cpu_s = r->cpu_s,
                       .threads = r->threads,
                       .cores = r->cores,
                       .bytes = r->bytes,
                       .text_bytes = r->text_bytes,
                       .disk_bytes = r->disk_bytes,
                       .waited_s = r->waited_s,
                       .throttled = r->throttled,
                       .throttled_s = r->throttled_s};
    for (size_t i = 0; i < s->n_sources && speed.gzip_file == NULL; i++)
        if (s->sources[i].bytes >= LARGE_GZIP && is_gzip(s->sources[i].path)) speed.gzip_file = s->sources[i].path;
    char remarks[CFB_SPEED_REMARKS][CFB_SPEED_REMARK_BYTES];
    size_t n = cfb_speed_remarks(&speed, remarks);
    for (size_t i = 0; i < n; i++) cfb_log(CFB_LOG_WARN, "%s", remarks[i]);
}

void cfb_watch_stop(cfb_watch_t *w, const cfb_scoring_t *s, cfb_buf *json) {
    if (w != NULL && s != NULL) {
        struct measured r = measure(w, s);
        write_json(&r, json);
        say(&r);
        warn(&r, s);
    }
    free(w);
}
