/* Simulates benchmarks whose truth is known: how often do the intervals cover it, how often do the tests see a difference that
 * is not there?
 *   stats_coverage [SIMULATIONS [MAX_ROWS [SCENARIO|- [all]]]]
 * Prints one line a combination: kind (interval, difference, test or mean, which is an interval over tasks), scenario, rows,
 * method, percent: how many intervals cover the true mean or the true difference, how many p-values are 0.05 or less.
 * tests/slow/coverage.sh judges. all: also methods that are shown nowhere, for reading: the bootstrap of differences, and
 * clusters that are ignored. Takes three times as long. */
#include "cfbench/base.h"
#include "cfbench/stats.h"
#include "report/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ROWS 600
#define RESAMPLES 1999
#define FLIPS 999 /* the level of a permutation test is exact for any number that makes (FLIPS + 1) * ALPHA whole */
#define ALPHA 0.05

/* Uniform numbers of one simulation; the scenario's generators take as many as they like. */
typedef struct source {
    uint64_t seed, stream, index;
} source;

static double unit(source *s) { return cfb_rand_unit(s->seed, s->stream, s->index++); }

/* ---- populations: one score each, true mean beside it ---- */

static double mixed(source *s) { /* 30 % zeros, 30 % ones, the rest anywhere */
    double kind = unit(s), u = unit(s);
    return kind < 0.3 ? 0 : kind < 0.6 ? 1 : u;
}
static double hard(source *s) { /* 65 % zeros, 5 % ones, the rest low: mean 0.05 + 0.3 / 3 */
    double kind = unit(s), u = unit(s);
    return kind < 0.65 ? 0 : kind < 0.7 ? 1 : u * u;
}
static double easy(source *s) { /* 80 % ones, 5 % zeros, the rest high: mean 0.8 + 0.15 * 2/3 */
    double kind = unit(s), u = unit(s);
    return kind < 0.8 ? 1 : kind < 0.85 ? 0 : sqrt(u);
}
static double third(source *s) { /* F1 of few labels: 0, 1/2, 2/3, 1 */
    double u = unit(s);
    return u < 0.3 ? 0 : u < 0.5 ? 0.5 : u < 0.7 ? 2.0 / 3 : 1;
}
static double right70(source *s) { return unit(s) < 0.7; }
static double right95(source *s) { return unit(s) < 0.95; }

static const struct {
    const char *name;
    double (*score)(source *);
    double mean;
} populations[] = {
    {"mixed", mixed, 0.5},       {"hard", hard, 0.15},         {"easy", easy, 0.9}, {"f1", third, 0.1 + 0.4 / 3 + 0.3},
    {"binary-70", right70, 0.7}, {"binary-95", right95, 0.95},
};
#define N_POPULATIONS (sizeof populations / sizeof *populations)

static bool with_all;

#define FEW 50  /* rows below which only Wilson's interval is asked */
#define N_FEW 3 /* of these */
static const size_t row_counts[] = {5, 10, 25, 100, 200, 402, 600};
#define N_ROW_COUNTS (sizeof row_counts / sizeof *row_counts)

/* ---- one simulation: a bit for each method ---- */

enum { T, PERCENTILE, BCA, WILSON, N_INTERVALS };
static const char *const interval_names[] = {"t", "percentile", "bca", "wilson"};
enum { FLIP, STUDENT, BOOTSTRAP, WILCOXON, MCNEMAR, MCNEMAR_MID, MCNEMAR_CHI2, N_TESTS };
static const char *const test_names[] = {"permutation",   "t",           "bootstrap",   "wilcoxon",
                                         "mcnemar-exact", "mcnemar-mid", "mcnemar-chi2"};
/* A pair's bits: first the tests, then the intervals of the difference. */
#define FIRST_DIFFERENCE N_TESTS

typedef struct job {
    size_t population, n;
    int kind;
    uint64_t seed;
    uint16_t *bits; /* one per simulation */
} job;

static cfb_stats_opts options_of(const job *j, size_t simulation) {
    return (cfb_stats_opts){0.95, RESAMPLES, FLIPS, cfb_rand_u64(j->seed, 1, simulation), 1};
}

static uint16_t covers(cfb_stats_interval v, double mean) { return v.lo <= mean && mean <= v.hi; }

static bool all_right_or_wrong(const double *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0 && x[i] != 1) return false;
    return true;
}

static void judge_intervals(const job *j, size_t simulation, const double *x, const uint64_t *cluster, double mean) {
    cfb_stats_opts opts = options_of(j, simulation);
    cfb_stats_summary s;
    cfb_stats_bootstrap b;
    if (cfb_stats_describe(x, j->n, cluster, 0.95, &s, NULL) != CFB_OK ||
        cfb_stats_bootstrap_mean(x, j->n, cluster, &opts, &b, NULL) != CFB_OK)
        abort();
    uint16_t bits =
        (uint16_t)(covers(s.interval, mean) << T | covers(b.percentile, mean) << PERCENTILE | covers(b.bca, mean) << BCA);
    if (cluster == NULL && all_right_or_wrong(x, j->n)) {
        cfb_stats_interval w;
        if (cfb_stats_wilson((uint64_t)(s.mean * (double)j->n + 0.5), j->n, 0.95, &w, NULL) != CFB_OK) abort();
        bits |= (uint16_t)(covers(w, mean) << WILSON);
    }
    j->bits[simulation] = bits;
}

/* Few rows: Wilson's interval, whatever the scores. */
static void simulate_few(void *ctx, size_t simulation, int worker) {
    (void)worker;
    const job *j = ctx;
    source s = {j->seed, simulation + 2, 0};
    double sum = 0;
    for (size_t i = 0; i < j->n; i++) sum += populations[j->population].score(&s);
    cfb_stats_interval w;
    if (cfb_stats_wilson_mean(sum / (double)j->n, j->n, 0.95, &w, NULL) != CFB_OK) abort();
    j->bits[simulation] = (uint16_t)(covers(w, populations[j->population].mean) << WILSON);
}

static void simulate_rows(void *ctx, size_t simulation, int worker) {
    (void)worker;
    const job *j = ctx;
    source s = {j->seed, simulation + 2, 0};
    double x[MAX_ROWS];
    for (size_t i = 0; i < j->n; i++) x[i] = populations[j->population].score(&s);
    judge_intervals(j, simulation, x, NULL, populations[j->population].mean);
}

/* Clusters of 1 to 9 rows; a row has its cluster's score or one of its own, so that scores within a cluster are alike. */
static void simulate_clusters(void *ctx, size_t simulation, int worker) {
    (void)worker;
    const job *j = ctx;
    source s = {j->seed, simulation + 2, 0};
    double x[MAX_ROWS], shared = 0;
    uint64_t cluster[MAX_ROWS];
    size_t left = 0, id = 0;
    for (size_t i = 0; i < j->n; i++) {
        if (left == 0) {
            left = 1 + (size_t)(9 * unit(&s));
            shared = populations[j->population].score(&s);
            id++;
        }
        left--;
        double own = populations[j->population].score(&s);
        x[i] = unit(&s) < 0.6 ? shared : own;
        cluster[i] = id;
    }
    judge_intervals(j, simulation, x, j->kind ? cluster : NULL, populations[j->population].mean);
}

/* Two models of equal quality: on half of the rows they give the same answer. kind 1: equal means, other shape - the second
 * gives the population's mean on rows where they differ, give or take a little. */
static void simulate_pair(void *ctx, size_t simulation, int worker) {
    (void)worker;
    const job *j = ctx;
    source s = {j->seed, simulation + 2, 0};
    double a[MAX_ROWS], b[MAX_ROWS];
    for (size_t i = 0; i < j->n; i++) {
        a[i] = populations[j->population].score(&s);
        double own = populations[j->population].score(&s), same = unit(&s), little = unit(&s);
        if (j->kind) own = populations[j->population].mean + 0.1 * (little - 0.5);
        b[i] = same < 0.5 ? a[i] : own;
    }
    cfb_stats_opts opts = options_of(j, simulation);
    if (!with_all) opts.n_resamples = 1; /* as cfbench compare does */
    cfb_stats_comparison c;
    if (cfb_stats_compare(a, b, j->n, NULL, &opts, &c, NULL) != CFB_OK) abort();
    double p[N_TESTS] = {c.flip.p, c.p_t, c.p_bootstrap, c.wilcoxon.p, 1, 1, 1};
    if (c.binary) {
        p[MCNEMAR] = c.mcnemar.p_exact;
        p[MCNEMAR_MID] = c.mcnemar.p_mid;
        p[MCNEMAR_CHI2] = c.mcnemar.p_chi2_corrected;
    }
    uint16_t bits = 0;
    for (int t = 0; t < N_TESTS; t++) bits |= (uint16_t)((p[t] <= ALPHA) << t);
    bits |= (uint16_t)(covers(c.bootstrap.percentile, 0) << (FIRST_DIFFERENCE + PERCENTILE));
    bits |= (uint16_t)(covers(c.bootstrap.bca, 0) << (FIRST_DIFFERENCE + BCA));
    bits |= (uint16_t)(covers(c.interval, 0) << (FIRST_DIFFERENCE + T));
    j->bits[simulation] = bits;
}

/* A suite with a task of each population, and its mean over tasks as a report has it: of intervals by Wilson's formula for few
 * rows and for right/wrong rows, else by BCa. */
static cfb_report_interval interval_of(const double *x, size_t n, const cfb_stats_opts *opts, double *mean) {
    cfb_stats_summary s;
    cfb_stats_interval v;
    cfb_stats_bootstrap b;
    if (cfb_stats_describe(x, n, NULL, 0.95, &s, NULL) != CFB_OK) abort();
    *mean = s.mean;
    if (n < FEW || all_right_or_wrong(x, n)) {
        if (cfb_stats_wilson_mean(s.mean, n, 0.95, &v, NULL) != CFB_OK) abort();
    } else {
        if (cfb_stats_bootstrap_mean(x, n, NULL, opts, &b, NULL) != CFB_OK) abort();
        v = b.bca;
    }
    return (cfb_report_interval){.method = "simulated", .lo = v.lo, .hi = v.hi};
}

static void simulate_suite(void *ctx, size_t simulation, int worker) {
    (void)worker;
    const job *j = ctx;
    source s = {j->seed, simulation + 2, 0};
    cfb_stats_opts opts = options_of(j, simulation);
    cfb_report_task tasks[N_POPULATIONS] = {0};
    report_group g = {.tasks = tasks, .n = N_POPULATIONS};
    report_mean means[REPORT_MAX_MEANS];
    double x[MAX_ROWS], truth = 0;
    for (size_t t = 0; t < N_POPULATIONS; t++) {
        for (size_t i = 0; i < j->n; i++) x[i] = populations[t].score(&s);
        tasks[t].interval = interval_of(x, j->n, &opts, &tasks[t].summary.mean_all);
        truth += populations[t].mean / N_POPULATIONS;
    }
    size_t n = report_means(&g, means);
    if (n == 0) abort();
    j->bits[simulation] = means[n - 1].lo <= truth && truth <= means[n - 1].hi;
}

static void simulate(cfb_block_fn fn, job *j, size_t simulations) { cfb_par_blocks(simulations, cfb_cpu_count(), fn, j); }

static bool is_bootstrap(const char *method) {
    return strcmp(method, "percentile") == 0 || strcmp(method, "bca") == 0 || strcmp(method, "bootstrap") == 0;
}

static void print(const char *kind, const char *suffix, const job *j, size_t simulations, const char *const *names, int first,
                  int n) {
    for (int m = 0; m < n; m++) {
        if (!with_all && is_bootstrap(names[m]) && strcmp(kind, "interval") != 0) continue;
        size_t hits = 0;
        for (size_t i = 0; i < simulations; i++) hits += j->bits[i] >> (first + m) & 1;
        printf("%s %s%s %zu %s %.2f\n", kind, populations[j->population].name, suffix, j->n, names[m],
               100 * (double)hits / (double)simulations);
    }
    fflush(stdout);
}

static void simulate_all(job *j, size_t simulations) {
    bool binary = strncmp(populations[j->population].name, "binary", 6) == 0, enough_clusters = j->n >= 400;
    if (j->n < FEW) {
        simulate(simulate_few, j, simulations);
        print("interval", "-few", j, simulations, interval_names + WILSON, WILSON, 1);
        return;
    }
    simulate(simulate_rows, j, simulations);
    print("interval", "", j, simulations, interval_names, 0, binary ? N_INTERVALS : WILSON);
    for (j->kind = 0; j->kind < (binary ? 1 : 2); j->kind++) {
        simulate(simulate_pair, j, simulations);
        print("test", j->kind ? "-other-shape" : "", j, simulations, test_names, 0, binary ? N_TESTS : MCNEMAR);
        print("difference", j->kind ? "-other-shape" : "", j, simulations, interval_names, FIRST_DIFFERENCE, WILSON);
    }
    for (j->kind = with_all ? 0 : 1; enough_clusters && j->kind < 2; j->kind++) {
        simulate(simulate_clusters, j, simulations);
        print("interval", j->kind ? "-clusters" : "-clusters-ignored", j, simulations, interval_names, 0, WILSON);
    }
}

static void simulate_suites(size_t simulations, size_t max_rows, uint16_t *bits) {
    static const size_t rows[] = {10, 25, 100};
    for (size_t k = 0; k < sizeof rows / sizeof *rows && rows[k] <= max_rows; k++) {
        job j = {0, rows[k], 0, cfb_rand_u64(2023, N_POPULATIONS, k), bits};
        size_t hits = 0;
        simulate(simulate_suite, &j, simulations);
        for (size_t i = 0; i < simulations; i++) hits += bits[i];
        printf("mean tasks%s %zu zou-donner %.2f\n", j.n < FEW ? "-few" : "", j.n, 100 * (double)hits / (double)simulations);
    }
}

int main(int argc, char **argv) {
    size_t simulations = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 4000;
    size_t max_rows = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : MAX_ROWS;
    const char *only = argc > 3 && strcmp(argv[3], "-") != 0 ? argv[3] : NULL;
    with_all = argc > 4 && strcmp(argv[4], "all") == 0;
    uint16_t *bits = calloc(simulations + 1, sizeof *bits);
    if (bits == NULL) return 1;
    for (size_t p = 0; p < N_POPULATIONS; p++) {
        if (only != NULL && strcmp(only, populations[p].name) != 0) continue;
        for (size_t k = 0; k < N_ROW_COUNTS && row_counts[k] <= max_rows; k++) {
            job j = {p, row_counts[k], 0, cfb_rand_u64(2023, p, k >= N_FEW ? k - N_FEW : 100 + k), bits};
            simulate_all(&j, simulations);
        }
    }
    if (only == NULL || strcmp(only, "tasks") == 0) simulate_suites(simulations, max_rows, bits);
    free(bits);
    return 0;
}
