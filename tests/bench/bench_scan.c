/* Where the time of offline scoring goes: a response file read, cut, checked, scored and summed, stage by stage, beside what
 * bounds a stage: the page cache copied, and the marks of CSV found, on each instruction set, within the second-level cache.
 *
 *   bench_scan FILE.csv row|suite|tf [THREADS] */
#include "cfbench/scan.h"
#include "cfbench/score.h"
#include "dataset/simd.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 3
#define CACHED ((size_t)256 << 10)

static void need(cfb_code rc, const cfb_err *err) {
    if (rc == CFB_OK) return;
    fprintf(stderr, "bench_scan: %s\n", err->msg);
    exit(1);
}

struct part {
    cfb_score_row_in *in;
    cfb_score_row *out;
    size_t cap;
};
struct job {
    cfb_scorer_t *scorer;
    struct part *parts;
};

static cfb_code work(void *ctx, const cfb_scan_part *p, int worker, cfb_err *err) {
    struct job *j = ctx;
    struct part *q = &j->parts[p->slot];
    if (p->n_rows > q->cap) {
        free(q->in);
        free(q->out);
        q->in = malloc(p->n_rows * sizeof *q->in);
        q->out = malloc(p->n_rows * sizeof *q->out);
        q->cap = p->n_rows;
        if (!q->in || !q->out) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < p->n_rows; i++)
        q->in[i] = (cfb_score_row_in){p->cells[2 * i], p->cells[2 * i + 1], p->cells[2 * i + 1].len ? CFB_ROW_OK : CFB_ROW_EMPTY};
    return cfb_scorer_score_part(j->scorer, worker, q->in, p->n_rows, q->out, err);
}

static cfb_code commit(void *ctx, const cfb_scan_part *p, cfb_err *err) {
    struct job *j = ctx;
    (void)err;
    cfb_scorer_add_part(j->scorer, j->parts[p->slot].out, p->n_rows);
    return CFB_OK;
}

/* One pass; work: with scoring. Returns the seconds. */
static double pass(const char *path, const cfb_task *t, int threads, bool score, cfb_scan_meter *m, double *mean) {
    const cfb_scan_column columns[] = {{"response", true, !score}, {"output", true, !score}};
    cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
    cfb_score_opts so = CFB_SCORE_OPTS_INIT;
    cfb_err err = CFB_ERR_INIT;
    struct job j = {0};
    cfb_scan_t *s;
    cfb_score_summary sum;
    o.columns = columns;
    o.n_columns = 2;
    o.n_threads = so.n_threads = threads;
    o.meter = m;
    so.valid_utf8 = true;
    so.label_set = t->n_labels ? CFB_LABELS_SUITE : CFB_LABELS_OBSERVED;
    need(cfb_scorer_new(t, &so, &j.scorer, &err), &err);
    int64_t begin = cfb_now_ns();
    need(cfb_scan_open(path, &o, &s, &err), &err);
    size_t n = cfb_scan_n_slots(s);
    j.parts = calloc(n, sizeof *j.parts);
    if (j.parts == NULL) need(cfb_err_set(&err, CFB_ENOMEM, "out of memory"), &err);
    const cfb_scan_job full = {&j, work, commit}, bare = {&j, NULL, NULL};
    need(cfb_scan_run(s, score ? &full : &bare, &err), &err);
    cfb_scan_close(s);
    need(cfb_scorer_summary(j.scorer, &sum, &err), &err);
    double seconds = (double)(cfb_now_ns() - begin) * 1e-9;
    *mean = sum.mean_all;
    for (size_t i = 0; i < n; i++) {
        free(j.parts[i].in);
        free(j.parts[i].out);
    }
    free(j.parts);
    cfb_scorer_free(j.scorer);
    return seconds;
}

static void print_profile(const char *path, const cfb_task *t, int threads) {
    double best = INFINITY, bare = INFINITY, mean = 0;
    unsigned long long ns[6] = {0}, rows = 0, bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        cfb_scan_meter m = {0};
        double s = pass(path, t, threads, true, &m, &mean), trash;
        if (s < best) {
            best = s;
            unsigned long long now[] = {m.ns_read, m.ns_cut, m.ns_check, m.ns_work, m.ns_commit, m.ns_wait};
            memcpy(ns, now, sizeof ns);
            rows = m.rows_done;
            bytes = m.bytes_done;
        }
        cfb_scan_meter m2 = {0};
        s = pass(path, t, threads, false, &m2, &trash);
        if (s < bare) bare = s;
    }
    double sum = 0;
    for (int i = 0; i < 6; i++) sum += (double)ns[i];
    printf("| %d | %.2f | %.2f | %.2f | ", threads, (double)bytes / best / 1e9, (double)bytes / bare / 1e9,
           (double)rows / best / 1e6);
    for (int i = 0; i < 6; i++) printf("%.0f (%.0f %%) | ", (double)ns[i] / (double)rows, 100 * (double)ns[i] / sum);
    printf("%.6f |\n", mean);
}

static void print_bounds(const char *path) {
    char *text = aligned_alloc(4096, CACHED);
    uint32_t *marks = malloc(CACHED * sizeof *marks);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cfb_err err = CFB_ERR_INIT;
    if (!text || !marks || fd < 0) need(cfb_err_set(&err, CFB_EIO, "cannot read %s", path), &err);
    size_t total = 0;
    ssize_t got;
    int64_t begin = cfb_now_ns();
    for (off_t at = 0; at < ((off_t)1 << 30) && (got = pread(fd, text, CACHED, at)) > 0; at += got) total += (size_t)got;
    printf("What bounds a stage, one thread: copying out of the page cache %.1f GB/s",
           (double)total / (double)(cfb_now_ns() - begin));
    got = pread(fd, text, CACHED, 0);
    size_t blocks = got > 0 ? (size_t)got / SIMD_BLOCK : 0, n = 0;
    static const char *const names[] = {"avx512", "avx2", "neon", "portable"};
    for (size_t i = 0; i < sizeof names / sizeof *names && blocks; i++) {
        if (!cfb_simd_use(names[i])) continue;
        begin = cfb_now_ns();
        int64_t rounds = 0;
        for (; cfb_now_ns() - begin < 100000000; rounds++) {
            csv_marks m = {.prev_ok = 1};
            n += cfb_simd__ops()->csv_scan(text, blocks, 0, &m, marks);
        }
        printf("; marks in the cache, %s, %.1f", names[i],
               (double)rounds * (double)(blocks * SIMD_BLOCK) / (double)(cfb_now_ns() - begin));
    }
    printf(" GB/s (%zu marks).\n", n ? n : 0);
    cfb_simd_use(NULL);
    close(fd);
    free(text);
    free(marks);
}

int main(int argc, char **argv) {
    int64_t threads = cfb_cpu_count();
    bool tf = argc > 2 && strcmp(argv[2], "tf") == 0, row = argc > 2 && strcmp(argv[2], "row") == 0;
    if (argc < 3 || (!tf && !row && strcmp(argv[2], "suite") != 0) || (argc > 3 && !cfb_parse_int(argv[3], &threads)) ||
        threads < 1) {
        fprintf(stderr, "usage: bench_scan FILE.csv row|suite|tf [THREADS]\n");
        return 1;
    }
    const cfb_task t = {
        .name = "t", .metric = tf ? CFB_METRIC_TF : CFB_METRIC_F1, .label_set = row ? CFB_LABELS_ROW : CFB_LABELS_OBSERVED};
    printf("Per row, in ns, summed over the threads (share); \"read only\" neither checks nor scores.\n\n");
    printf("| threads | GB/s | read only, GB/s | million rows/s | read | cut | check | score | sum | wait | mean score |\n");
    printf("|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int n = 1; n <= threads; n++) print_profile(argv[1], &t, n);
    printf("\n");
    print_bounds(argv[1]);
    return 0;
}
