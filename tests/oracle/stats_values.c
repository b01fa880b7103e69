/* Answers one line for each line of standard input: a function's name, its numbers; the numbers of its result (%.17g, exact).
 * stats_oracle.py asks, and computes the same in another way. */
#include "cfbench/base.h"
#include "cfbench/stats.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct numbers {
    double *v;
    size_t n;
} numbers;

static cfb_err err;

static void check(cfb_code code) {
    if (code == CFB_OK) return;
    fprintf(stderr, "stats_values: %s\n", err.msg);
    exit(cfb_code_exit_status(code));
}

static void put(double v) { printf("%.17g ", v); }
static void put_interval(cfb_stats_interval v) {
    put(v.lo);
    put(v.hi);
}

static double *list_of(size_t n) {
    double *p = malloc((n + 1) * sizeof *p);
    if (p == NULL) exit(1);
    return p;
}

static void normal_cdf(numbers a) { put(cfb_stats_normal_cdf(a.v[0])); }
static void normal_quantile(numbers a) { put(cfb_stats_normal_quantile(a.v[0])); }
static void t_two_sided(numbers a) { put(cfb_stats_t_two_sided(a.v[0], a.v[1])); }
static void t_quantile(numbers a) { put(cfb_stats_t_quantile(a.v[0], a.v[1])); }

/* confidence, x... */
static void describe(numbers a) {
    cfb_stats_summary s;
    check(cfb_stats_describe(a.v + 1, a.n - 1, NULL, a.v[0], &s, &err));
    put(s.mean);
    put(s.sd);
    put(s.se);
    put_interval(s.interval);
}

/* successes, n, confidence */
static void wilson(numbers a) {
    cfb_stats_interval v;
    check(cfb_stats_wilson((uint64_t)a.v[0], (uint64_t)a.v[1], a.v[2], &v, &err));
    put_interval(v);
}

/* resamples, seed, confidence, clustered, x..., then clusters... : result, bootstrap means */
static void bootstrap(numbers a) {
    cfb_stats_opts opts = {a.v[2], (size_t)a.v[0], 1, (uint64_t)a.v[1], 2};
    size_t n = a.v[3] != 0 ? (a.n - 4) / 2 : a.n - 4;
    const double *x = a.v + 4;
    uint64_t *cluster = malloc((n + 1) * sizeof *cluster);
    double *means = list_of(opts.n_resamples);
    if (cluster == NULL) exit(1);
    for (size_t i = 0; a.v[3] != 0 && i < n; i++) cluster[i] = (uint64_t)x[n + i];
    cfb_stats_bootstrap b;
    check(cfb_stats_bootstrap_mean(x, n, a.v[3] != 0 ? cluster : NULL, &opts, &b, &err));
    check(cfb_stats_bootstrap_means(x, n, a.v[3] != 0 ? cluster : NULL, &opts, means, &err));
    put(b.mean);
    put(b.se);
    put(b.bias_z0);
    put(b.acceleration);
    put_interval(b.percentile);
    put_interval(b.bca);
    for (size_t r = 0; r < opts.n_resamples; r++) put(means[r]);
    free(means);
    free(cluster);
}

/* permutations, d... */
static void flip(numbers a) {
    cfb_stats_opts opts = CFB_STATS_OPTS_INIT;
    cfb_stats_flip f;
    opts.n_permutations = (size_t)a.v[0];
    check(cfb_stats_sign_flip(a.v + 1, a.n - 1, NULL, &opts, &f, &err));
    put(f.p);
    put(f.exact);
    put((double)f.n_nonzero);
}

static void mcnemar(numbers a) {
    cfb_stats_mcnemar m;
    check(cfb_stats_mcnemar_test((uint64_t)a.v[0], (uint64_t)a.v[1], &m, &err));
    put(m.p_exact);
    put(m.p_mid);
    put(m.chi2_corrected);
    put(m.p_chi2_corrected);
}

static void wilcoxon(numbers a) {
    cfb_stats_wilcoxon w;
    check(cfb_stats_wilcoxon_test(a.v, a.n, &w, &err));
    put(w.p);
    put(w.w_plus);
    put(w.exact);
}

/* size of the first sample, both samples */
static void cliff(numbers a) {
    double delta;
    size_t n = (size_t)a.v[0];
    check(cfb_stats_cliff_delta(a.v + 1, n, a.v + 1 + n, a.n - 1 - n, &delta, &err));
    put(delta);
}

static void holm(numbers a) {
    check(cfb_stats_holm(a.v, a.n, a.v, &err));
    for (size_t i = 0; i < a.n; i++) put(a.v[i]);
}

static void benjamini_hochberg(numbers a) {
    check(cfb_stats_benjamini_hochberg(a.v, a.n, a.v, &err));
    for (size_t i = 0; i < a.n; i++) put(a.v[i]);
}

/* alpha, k, means..., p... */
static void bands(numbers a) {
    size_t k = (size_t)a.v[1];
    cfb_stats_band *band = calloc(k + 1, sizeof *band);
    if (band == NULL) exit(1);
    check(cfb_stats_rank_bands(a.v + 2, a.v + 2 + k, k, a.v[0], band, &err));
    for (size_t i = 0; i < k; i++) printf("%zu %zu ", band[i].best, band[i].worst);
    free(band);
}

/* sd, n, diff, alpha, power */
static void power(numbers a) {
    double least;
    uint64_t rows;
    check(cfb_stats_min_difference(a.v[0], (uint64_t)a.v[1], a.v[3], a.v[4], &least, &err));
    check(cfb_stats_rows_needed(a.v[0], a.v[2], a.v[3], a.v[4], &rows, &err));
    put(least);
    put((double)rows);
}

static const struct {
    const char *name;
    void (*fn)(numbers);
    size_t least;
} functions[] = {
    {"normal_cdf", normal_cdf, 1},
    {"normal_quantile", normal_quantile, 1},
    {"t_two_sided", t_two_sided, 2},
    {"t_quantile", t_quantile, 2},
    {"describe", describe, 1},
    {"wilson", wilson, 3},
    {"bootstrap", bootstrap, 5},
    {"flip", flip, 1},
    {"mcnemar", mcnemar, 2},
    {"wilcoxon", wilcoxon, 0},
    {"cliff", cliff, 1},
    {"holm", holm, 0},
    {"bh", benjamini_hochberg, 0},
    {"bands", bands, 2},
    {"power", power, 5},
};

static void answer(char *line) {
    char *end = line + strcspn(line, " \n");
    size_t n_name = (size_t)(end - line);
    numbers a = {list_of(strlen(line)), 0};
    for (char *p = end, *next;; p = next) {
        double v = strtod(p, &next);
        if (next == p) break;
        a.v[a.n++] = v;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strlen(functions[i].name) == n_name && memcmp(functions[i].name, line, n_name) == 0 && a.n >= functions[i].least) {
            functions[i].fn(a);
            printf("\n");
            free(a.v);
            return;
        }
    fprintf(stderr, "stats_values: no such function, or too few numbers: %.60s\n", line);
    exit(1);
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) answer(line);
    free(line);
    return 0;
}
