/* How fast scoring went, where the time went, and what held it up. */
#include "cfbench/json.h"
#include "cli/scoring.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct cfb_watch {
    const cfb_config *c;
    int64_t start_ns;
    double start_cpu_s;
    uint64_t start_pushed;
    uint64_t start_throttled, start_throttled_us, start_disk;
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

#define CPU_STAT "/sys/fs/cgroup/cpu.stat"

cfb_watch_t *cfb_watch_start(const cfb_config *c) {
    cfb_watch_t *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->c = c;
    w->start_ns = cfb_now_ns();
    w->start_cpu_s = cfb_cpu_time_s();
    w->start_pushed = times_pushed();
    w->start_throttled = field_of(CPU_STAT, "nr_throttled");
    w->start_throttled_us = field_of(CPU_STAT, "throttled_usec");
    w->start_disk = field_of("/proc/self/io", "read_bytes");
    return w;
}

struct measured {
    double wall_s, cpu_s, busy;
    uint64_t bytes, text_bytes, rows, disk_bytes, peak_bytes;
    double read_s, cut_s, check_s, work_s, commit_s, wait_s;
    uint64_t throttled, pushed;
    double throttled_s;
    int threads, cores;
};

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
                         .throttled = field_of(CPU_STAT, "nr_throttled") - w->start_throttled,
                         .throttled_s = (double)(field_of(CPU_STAT, "throttled_usec") - w->start_throttled_us) * 1e-6,
                         .disk_bytes = field_of("/proc/self/io", "read_bytes") - w->start_disk,
                         .cores = cfb_cpu_count()};
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0) r.peak_bytes = (uint64_t)u.ru_maxrss * 1024;
    r.busy = r.wall_s > 0 ? r.cpu_s / r.wall_s : 0;
    r.threads = w->c->threads ? (int)w->c->threads : r.cores;
    return r;
}

static void put(cfb_jw *j, const char *key, double v) {
    cfb_jw_key(j, key);
    cfb_jw_num(j, v);
}

static void put_count(cfb_jw *j, const char *key, uint64_t v) {
    cfb_jw_key(j, key);
    cfb_jw_int(j, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static void write_json(const struct measured *r, cfb_buf *out) {
    cfb_jw j;
    cfb_jw_init(&j, out, 0);
    cfb_jw_obj(&j);
    put(&j, "elapsed_s", r->wall_s);
    put(&j, "cpu_s", r->cpu_s);
    put(&j, "threads_busy", r->busy);
    put_count(&j, "threads", (uint64_t)r->threads);
    put_count(&j, "cores", (uint64_t)r->cores);
    put_count(&j, "bytes", r->bytes);
    put_count(&j, "text_bytes", r->text_bytes);
    put_count(&j, "rows", r->rows);
    put_count(&j, "disk_bytes", r->disk_bytes);
    put(&j, "bytes_per_s", (double)r->bytes / r->wall_s);
    put(&j, "rows_per_s", (double)r->rows / r->wall_s);
    put_count(&j, "peak_memory_bytes", r->peak_bytes);
    put(&j, "read_s", r->read_s);
    put(&j, "cut_s", r->cut_s);
    put(&j, "check_s", r->check_s);
    put(&j, "score_s", r->work_s);
    put(&j, "commit_s", r->commit_s);
    put(&j, "wait_s", r->wait_s);
    put_count(&j, "cores_lost", r->pushed);
    put_count(&j, "throttled", r->throttled);
    put(&j, "throttled_s", r->throttled_s);
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

/* Short runs say nothing: what takes no time needs no remedy. */
#define WARN_FROM_S 2.0
#define LARGE_GZIP ((uint64_t)256 << 20)

static bool is_gzip(const char *path) {
    size_t n = strlen(path);
    return n > 3 && strcmp(path + n - 3, ".gz") == 0;
}

static void warn_about_sources(const struct measured *r, const cfb_scoring_t *s) {
    for (size_t i = 0; i < s->n_sources && r->cores > 1; i++) {
        const cfb_source *from = &s->sources[i];
        if (from->bytes < LARGE_GZIP || !is_gzip(from->path)) continue;
        cfb_log(CFB_LOG_WARN,
                "%s: a gzip file can be unpacked by one thread only, which took most of the time; zstd unpacks several times as "
                "fast, and plain files are read by all threads",
                from->path);
        return;
    }
}

static void warn(const struct measured *r, const cfb_scoring_t *s) {
    if (r->threads > r->cores)
        cfb_log(CFB_LOG_WARN, "--threads %d on %d cores: threads take turns; leave it out, or say --threads %d", r->threads,
                r->cores, r->cores);
    if (r->wall_s < WARN_FROM_S) return;
    if (r->throttled > 0 && r->throttled_s > 0.05 * r->wall_s)
        cfb_log(CFB_LOG_WARN,
                "the cgroup's CPU quota stopped this process %llu times, %.1f s in all; use fewer --threads or ask for a larger "
                "quota",
                (unsigned long long)r->throttled, r->throttled_s);
    double compute_s = r->cut_s + r->check_s + r->work_s + r->commit_s;
    if (r->disk_bytes > r->bytes / 2 && compute_s < 0.5 * r->busy * r->wall_s + 0.3 * r->wall_s && r->busy < 0.6 * r->threads &&
        compute_s > 0)
        cfb_log(
            CFB_LOG_WARN,
            "the disk gave %.0f MB/s, while scoring could take %.0f MB/s: compressed files (zstd) or a faster disk would help",
            (double)r->disk_bytes * 1e-6 / r->wall_s, (double)r->text_bytes * 1e-6 / compute_s * r->threads);
    /* a thread that computes without pause is pushed from its core a few times in a second even on an idle machine */
    bool computing = r->wait_s + r->read_s < 0.2 * r->wall_s * r->threads;
    if (r->threads <= r->cores && computing && r->busy < 0.7 * r->threads && (double)r->pushed > 20 * r->wall_s)
        cfb_log(CFB_LOG_WARN,
                "other processes took the cores %llu times: %.1f threads were busy of %d; run fewer jobs at once, or say fewer "
                "--threads",
                (unsigned long long)r->pushed, r->busy, r->threads);
    warn_about_sources(r, s);
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
