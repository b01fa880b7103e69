/* Statistics: published examples, hand values, edges, and the same bytes for any number of threads. The oracle
 * (tests/oracle/stats.sh) compares many more values with SciPy. */
#include "test.h"

#include "cfbench/stats.h"
#include "stats/internal.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define assert_near(got, want, tolerance)                                                      \
    do {                                                                                       \
        double g_ = (got), w_ = (want);                                                        \
        if (!(fabs(g_ - w_) <= (tolerance))) fail_msg("%s is %.17g, not %.17g", #got, g_, w_); \
    } while (0)
#define assert_same(got, want)                                                     \
    do {                                                                           \
        double g_ = (got), w_ = (want);                                            \
        if (!(g_ == w_)) fail_msg("%s is %.17g, not exactly %.17g", #got, g_, w_); \
    } while (0)

/* Darwin's maize, cross- minus self-fertilised, in eighths of an inch; Fisher, The Design of Experiments (1935), 17 and 21. */
static const double darwin[] = {49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48};

static const cfb_stats_opts defaults = CFB_STATS_OPTS_INIT;

/* Scores in [0, 1] with many zeros and ones. */
static void make_scores(double *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        double kind = cfb_rand_unit(seed, 1, i), u = cfb_rand_unit(seed, 2, i);
        x[i] = kind < 0.3 ? 0 : kind < 0.6 ? 1 : u;
    }
}

/* ---- distributions ---- */

static void test_normal(void **state) {
    (void)state;
    assert_near(cfb_stats_normal_quantile(0.975), 1.959963984540054, 2e-15);
    assert_near(cfb_stats_normal_quantile(0.995), 2.5758293035489004, 3e-15);
    assert_near(cfb_stats_normal_quantile(1e-10), -6.361340902404056, 1e-13);
    assert_near(cfb_stats_normal_cdf(-1.959963984540054), 0.025, 1e-16);
    assert_same(cfb_stats_normal_quantile(0.5), 0);
    assert_true(isinf(cfb_stats_normal_quantile(0)) && isinf(cfb_stats_normal_quantile(1)));
    assert_true(isnan(cfb_stats_normal_quantile(-0.1)) && isnan(cfb_stats_normal_quantile(NAN)));
    for (double p = 1e-300; p < 0.5; p *= 7) {
        assert_near(cfb_stats_normal_cdf(cfb_stats_normal_quantile(p)) / p, 1, 1e-12); /* d ln p / dz is about z: up to 37 */
        if (p > 1e-15) assert_near(cfb_stats_normal_quantile(1 - p), -cfb_stats_normal_quantile(1 - (1 - p)), 1e-12);
    }
}

static void test_student(void **state) {
    (void)state;
    /* the usual table, with the digits that it leaves out */
    assert_near(cfb_stats_t_quantile(0.975, 1), 12.706204736174698, 1e-9);
    assert_near(cfb_stats_t_quantile(0.975, 2), 4.302652729749464, 1e-11);
    assert_near(cfb_stats_t_quantile(0.975, 10), 2.2281388519862735, 2e-14);
    assert_near(cfb_stats_t_quantile(0.975, 30), 2.0422724563012373, 1e-12);
    assert_near(cfb_stats_t_quantile(0.995, 5), 4.032142983557536, 1e-11);
    assert_near(cfb_stats_t_quantile(0.975, 1e12), 1.959963984540054, 1e-11);
    assert_same(cfb_stats_t_quantile(0.5, 3), 0);
    assert_near(cfb_stats_t_quantile(0.1, 7), -cfb_stats_t_quantile(0.9, 7), 1e-14);
    assert_true(isnan(cfb_stats_t_quantile(0.9, 0.5)) && isnan(cfb_stats_t_quantile(1.1, 5)) && isnan(cfb_stats_t_cdf(NAN, 5)));
    assert_same(cfb_stats_t_two_sided(0, 5), 1);
    assert_same(cfb_stats_t_two_sided(HUGE_VAL, 5), 0);
    assert_near(cfb_stats_t_cdf(1, 1), 0.75, 1e-15); /* Cauchy: 1/2 + atan(1)/pi */
    for (double df = 1; df < 1e10; df *= 3.7) {
        for (double p = 1e-12; p < 0.5; p *= 11) {
            double t = cfb_stats_t_quantile(p, df);
            assert_near(cfb_stats_t_cdf(t, df) / p, 1, 1e-10);
        }
    }
    /* both sides of the change of formula at 2,000 agree; ln p falls by about 2e-12 over this step at t = 8 */
    for (double t = 0.01; t < 8; t *= 1.5)
        assert_near(cfb_stats_t_two_sided(t, 2000) / cfb_stats_t_two_sided(t, 2000.000001), 1,
                    2e-12 + 1e-9 * t * t * t * t / 4000);
    assert_near(cfb_stats_t_two_sided(1e200, 1) / (2 / (1e200 * 3.14159265358979)), 1, 1e-12);
}

/* ---- one sample ---- */

static void test_describe(void **state) {
    (void)state;
    cfb_stats_summary s;
    assert_ok(cfb_stats_describe(darwin, COUNT(darwin), NULL, 0.95, &s, e_));
    assert_near(s.mean, 314 / 15.0, 1e-13);
    assert_near(s.mean / s.se, 2.148, 5e-4); /* Fisher, 17: t = 2.148 */
    assert_near(s.sd, s.se * sqrt(15), 1e-12);
    assert_near(s.interval.hi - s.mean, 2.1447866879169273 * s.se, 1e-10);
    assert_near(s.mean - s.interval.lo, s.interval.hi - s.mean, 1e-12);
    assert_same(s.min, -67);
    assert_same(s.max, 75);
    assert_int_equal(s.n_clusters, 15);
}

static void test_describe_edges(void **state) {
    (void)state;
    cfb_stats_summary s;
    double bad[] = {0, 1, NAN}, same[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, one = 0.7;
    assert_fails(cfb_stats_describe(same, 0, NULL, 0.95, &s, e_), CFB_EDOMAIN, "no rows");
    assert_fails(cfb_stats_describe(bad, 3, NULL, 0.95, &s, e_), CFB_EDOMAIN, "score 2 is nan");
    assert_int_equal(test_err.offset, 2);
    bad[2] = -HUGE_VAL;
    assert_fails(cfb_stats_describe(bad, 3, NULL, 0.95, &s, e_), CFB_EDOMAIN, "inf");
    assert_fails(cfb_stats_describe(same, 3, NULL, 1, &s, e_), CFB_EDOMAIN, "confidence");
    bad[1] = -2e100; /* the sum of its squares would be infinite, and every result after it */
    assert_fails(cfb_stats_describe(bad, 2, NULL, 0.95, &s, e_), CFB_EDOMAIN, "score 1 is -2e+100");
    assert_fails(cfb_stats_describe(same, 3, NULL, NAN, &s, e_), CFB_EDOMAIN, "confidence");
    assert_int_equal(cfb_stats_describe(bad, 3, NULL, 0.95, &s, NULL), CFB_EDOMAIN);
    assert_ok(cfb_stats_describe(&one, 1, NULL, 0.95, &s, e_));
    assert_same(s.mean, 0.7);
    assert_true(isnan(s.sd) && isnan(s.se) && isnan(s.interval.lo) && isnan(s.interval.hi));
    assert_ok(cfb_stats_describe(same, 6, NULL, 0.95, &s, e_));
    assert_true(s.mean == 0.1 && s.sd == 0 && s.se == 0 && s.interval.lo == 0.1 && s.interval.hi == 0.1);
}

static void test_clusters(void **state) {
    (void)state;
    cfb_stats_summary s, rows;
    /* sums 3 and 1, sizes 3 and 2; mean 0.8; offsets 3 - 2.4 and 1 - 1.6; se^2 = 2/1 * 0.72 / 25 */
    double x[] = {1, 1, 0, 1, 0};
    uint64_t cluster[] = {77, 77, 3, 77, 3};
    x[2] = 1;
    assert_ok(cfb_stats_describe(x, 5, cluster, 0.95, &s, e_));
    assert_int_equal(s.n_clusters, 2);
    assert_near(s.mean, 0.8, 1e-15);
    assert_near(s.se, sqrt(2 * 0.72 / 25), 1e-15);
    uint64_t one[] = {4, 4, 4, 4, 4}, each[] = {9, 8, 7, 6, 5};
    assert_ok(cfb_stats_describe(x, 5, one, 0.95, &s, e_));
    assert_true(s.n_clusters == 1 && isnan(s.se) && isnan(s.interval.lo) && !isnan(s.sd));
    assert_ok(cfb_stats_describe(x, 5, each, 0.95, &s, e_)); /* a cluster for each row: as without clusters */
    assert_ok(cfb_stats_describe(x, 5, NULL, 0.95, &rows, e_));
    assert_near(s.se, rows.se, 1e-15);
    /* every row twice in one cluster: the se of the single rows, not that of twice as many */
    double data[100], twice[200];
    uint64_t pair[200];
    make_scores(data, 100, 1);
    for (size_t i = 0; i < 200; i++) {
        twice[i] = data[i / 2];
        pair[i] = i / 2;
    }
    assert_ok(cfb_stats_describe(data, 100, NULL, 0.95, &rows, e_));
    assert_ok(cfb_stats_describe(twice, 200, pair, 0.95, &s, e_));
    assert_near(s.se, rows.se, 1e-14);
    assert_near(s.interval.lo, rows.interval.lo, 1e-13);
}

static void test_wilson(void **state) {
    (void)state;
    /* Newcombe, Statist. Med. 17 (1998), table I, method 3 */
    static const struct {
        uint64_t k, n;
        double lo, hi;
    } published[] = {{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}};
    cfb_stats_interval v, mirror;
    for (size_t i = 0; i < COUNT(published); i++) {
        assert_ok(cfb_stats_wilson(published[i].k, published[i].n, 0.95, &v, e_));
        assert_near(v.lo, published[i].lo, 5.1e-5);
        assert_near(v.hi, published[i].hi, 5.1e-5);
        assert_ok(cfb_stats_wilson(published[i].n - published[i].k, published[i].n, 0.95, &mirror, e_));
        assert_near(mirror.lo, 1 - v.hi, 1e-15);
    }
    assert_ok(cfb_stats_wilson(7, 7, 0.95, &v, e_));
    assert_true(v.hi == 1 && v.lo > 0.6 && v.lo < 0.7);
    assert_fails(cfb_stats_wilson(0, 0, 0.95, &v, e_), CFB_EDOMAIN, "at least one");
    assert_ok(cfb_stats_wilson(9, 12, 0.9, &v, e_));
    assert_ok(cfb_stats_wilson_mean(0.75, 12, 0.9, &mirror, e_));
    assert_true(v.lo == mirror.lo && v.hi == mirror.hi);
    assert_ok(cfb_stats_wilson_mean(1 + 1e-12, 12, 0.9, &v, e_));
    assert_true(v.hi == 1 && v.lo < 0.9);
    assert_ok(cfb_stats_wilson_mean(-1e-12, 12, 0.9, &v, e_));
    assert_true(v.lo == 0 && v.hi > 0.1);
    assert_fails(cfb_stats_wilson_mean(1.1, 12, 0.9, &v, e_), CFB_EDOMAIN, "from 0 to 1");
    assert_fails(cfb_stats_wilson_mean(NAN, 12, 0.9, &v, e_), CFB_EDOMAIN, "from 0 to 1");
    assert_fails(cfb_stats_wilson_mean(0.5, 0, 0.9, &v, e_), CFB_EDOMAIN, "at least one");
    assert_fails(cfb_stats_wilson(3, 2, 0.95, &v, e_), CFB_EDOMAIN, "3 successes of 2");
    assert_fails(cfb_stats_wilson(1, 2, 0, &v, e_), CFB_EDOMAIN, "confidence");
}

/* ---- random draws ---- */

static void test_stream(void **state) {
    (void)state;
    for (uint64_t stream = 0; stream < 5; stream++) {
        cfb_stats__stream s = cfb_stats__stream_at(42, stream);
        for (uint64_t j = 0; j < 50; j++) assert_int_equal(cfb_stats__next(&s), cfb_rand_u64(42, stream, j));
    }
}

/* Chi-square of `draws` binomial numbers against the exact probabilities, cells of 10 expected or more; fails beyond 6 sigma. */
static void check_binomial(uint64_t n, double p, size_t draws) {
    cfb_stats__stream s = cfb_stats__stream_at(7, n);
    size_t *seen = calloc((size_t)n + 1, sizeof *seen);
    assert_non_null(seen);
    for (size_t i = 0; i < draws; i++) {
        uint64_t k = cfb_stats__binomial(&s, n, p);
        assert_true(k <= n);
        seen[k]++;
    }
    double chi2 = 0, cells = 0, expected = 0, got = 0, left = (double)draws;
    for (uint64_t k = 0; k <= n; k++) {
        double log_p = lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) + (double)k * log(p) +
                       (double)(n - k) * log1p(-p);
        expected += (double)draws * exp(log_p);
        got += (double)seen[k];
        if (expected < 10 || left - expected < 10) continue;
        chi2 += (got - expected) * (got - expected) / expected;
        left -= expected;
        cells++;
        expected = got = 0;
    }
    chi2 += (got - left) * (got - left) / left;
    if (chi2 > cells + 6 * sqrt(2 * cells) + 6) fail_msg("Bin(%d, %g): chi2 %g of %g cells", (int)n, p, chi2, cells);
    free(seen);
}

static void test_binomial(void **state) {
    (void)state;
    check_binomial(1, 0.3, 20000);
    check_binomial(12, 0.5, 100000);
    check_binomial(1027, 3.0 / 1027, 100000);    /* by inversion */
    check_binomial(1500, 1024.0 / 1500, 200000); /* p > 1/2 */
    check_binomial(21, 0.48, 200000);            /* by rejection, just allowed */
    check_binomial(100000, 0.01024, 400000);     /* as the bootstrap of 100,000 rows uses it */
    check_binomial(100000, 0.5, 100000);
    cfb_stats__stream s = cfb_stats__stream_at(1, 1);
    assert_int_equal(cfb_stats__binomial(&s, 0, 0.5), 0);
    assert_int_equal(cfb_stats__binomial(&s, 9, 0), 0);
    assert_int_equal(cfb_stats__binomial(&s, 9, 1), 9);
}

/* How often row `row` of n is drawn, over many resamples, must be Bin(n, 1/n): mean 1, variance 1 - 1/n; and the counts of two
 * rows must have covariance -1/n. */
static void check_counts(size_t n, size_t row, size_t other, size_t resamples) {
    double *x = calloc(n, sizeof *x), *a = calloc(resamples, sizeof *a), *b = calloc(resamples, sizeof *b);
    assert_true(x && a && b);
    cfb_stats_opts opts = defaults;
    opts.n_resamples = resamples;
    x[row] = 1;
    cfb_stats__draw_sums(x, n, &opts, a);
    x[row] = 0;
    x[other] = 1;
    cfb_stats__draw_sums(x, n, &opts, b);
    double mean = 0, square = 0, product = 0, m = (double)resamples, inverse = 1 / (double)n;
    size_t none = 0;
    for (size_t r = 0; r < resamples; r++) {
        mean += a[r] / m;
        square += (a[r] - 1) * (a[r] - 1) / m;
        product += (a[r] - 1) * (b[r] - 1) / m;
        none += a[r] == 0;
    }
    assert_near(mean, 1, 5 / sqrt(m));
    assert_near(square, 1 - inverse, 5 * sqrt(3 / m)); /* var of (c-1)^2 is about 3 */
    assert_near(product, -inverse, 5 / sqrt(m));
    double never = pow(1 - inverse, (double)n);
    assert_near((double)none / m, never, 5 * sqrt(never * (1 - never) / m));
    free(x);
    free(a);
    free(b);
}

static void test_draws_are_uniform(void **state) {
    (void)state;
    check_counts(3, 0, 2, 100000);
    check_counts(1000, 999, 0, 20000);
    check_counts(1024, 1023, 512, 20000);
    check_counts(1025, 1024, 3, 20000); /* the last block has one row */
    check_counts(3000, 1023, 1024, 20000);
    check_counts(3000, 2999, 0, 20000);
    /* every draw is made: n ones sum to n */
    double ones[5000], sums[50];
    cfb_stats_opts opts = defaults;
    opts.n_resamples = 50;
    for (size_t i = 0; i < 5000; i++) ones[i] = 1;
    for (size_t n = 1; n <= 5000; n += 357) {
        cfb_stats__draw_sums(ones, n, &opts, sums);
        for (size_t r = 0; r < 50; r++) assert_same(sums[r], (double)n);
    }
}

/* A row's share of all draws, for every row: chi-square over rows. */
static void test_every_row_alike(void **state) {
    (void)state;
    enum { ROWS = 700, RESAMPLES = 3000 };
    double x[ROWS] = {0}, chi2 = 0, *out = calloc(RESAMPLES, sizeof *out);
    cfb_stats_opts opts = defaults;
    opts.n_resamples = RESAMPLES;
    for (size_t i = 0; i < ROWS; i++) {
        double total = 0;
        x[i] = 1;
        cfb_stats__draw_sums(x, ROWS, &opts, out);
        x[i] = 0;
        for (size_t r = 0; r < RESAMPLES; r++) total += out[r];
        chi2 += (total - RESAMPLES) * (total - RESAMPLES) / RESAMPLES;
    }
    assert_near(chi2, ROWS - 1, 6 * sqrt(2.0 * ROWS));
    free(out);
}

/* ---- bootstrap ---- */

static void test_bootstrap(void **state) {
    (void)state;
    /* Efron & Tibshirani (1993), table 2.1: treated mice; the ideal bootstrap's standard error of the mean is 23.36 */
    static const double mice[] = {94, 197, 16, 38, 99, 141, 23};
    cfb_stats_opts opts = defaults;
    opts.n_resamples = 200000;
    cfb_stats_bootstrap b;
    assert_ok(cfb_stats_bootstrap_mean(mice, COUNT(mice), NULL, &opts, &b, e_));
    assert_near(b.mean, 608 / 7.0, 1e-12);
    assert_near(b.se, 23.36, 0.2);
    double squares = 0, cubes = 0;
    for (size_t i = 0; i < COUNT(mice); i++) {
        double off = mice[i] - 608 / 7.0;
        squares += off * off;
        cubes += off * off * off;
    }
    assert_near(b.acceleration, cubes / (6 * pow(squares, 1.5)), 1e-14);
    assert_true(b.percentile.lo < b.mean && b.mean < b.percentile.hi);
    assert_true(b.bca.lo > b.percentile.lo && b.bca.hi > b.percentile.hi); /* skewed to the right: BCa moves right */
    double quantiles[] = {1, 2, 4, 8};
    assert_same(cfb_stats__quantile(quantiles, 4, 0.5), 3);
    assert_same(cfb_stats__quantile(quantiles, 4, 1), 8);
    assert_same(cfb_stats__quantile(quantiles, 4, 0), 1);
}

static void test_bootstrap_edges(void **state) {
    (void)state;
    cfb_stats_bootstrap b;
    cfb_stats_opts opts = defaults;
    double same[3000], one = 0.25, bad[] = {1, NAN}, out[8];
    for (size_t i = 0; i < COUNT(same); i++) same[i] = 0.1;
    assert_ok(cfb_stats_bootstrap_mean(same, COUNT(same), NULL, &opts, &b, e_));
    assert_true(b.mean == 0.1 && b.se == 0 && b.percentile.lo == 0.1 && b.bca.hi == 0.1 && b.acceleration == 0 && b.bias_z0 == 0);
    assert_ok(cfb_stats_bootstrap_mean(&one, 1, NULL, &opts, &b, e_));
    assert_true(b.mean == 0.25 && isnan(b.se) && isnan(b.percentile.lo) && isnan(b.bca.hi));
    assert_fails(cfb_stats_bootstrap_mean(bad, 2, NULL, &opts, &b, e_), CFB_EDOMAIN, "score 1");
    assert_fails(cfb_stats_bootstrap_means(&one, 0, NULL, &opts, out, e_), CFB_EDOMAIN, "no rows");
    opts.n_resamples = 0;
    assert_fails(cfb_stats_bootstrap_means(&one, 1, NULL, &opts, out, e_), CFB_EDOMAIN, "0 resamples");
    opts.n_resamples = 1;
    double two[] = {0, 1};
    assert_ok(cfb_stats_bootstrap_mean(two, 2, NULL, &opts, &b, e_));
    assert_true(isnan(b.se) && b.percentile.lo == b.percentile.hi);
}

static void test_clustered_bootstrap(void **state) {
    (void)state;
    enum { N = 600 };
    double x[N];
    uint64_t cluster[N];
    cfb_stats_opts opts = defaults;
    opts.n_resamples = 20000;
    make_scores(x, N, 3);
    for (size_t i = 0; i < N; i++) { /* 60 clusters of 1 to 19 rows, scores alike within a cluster, rows mixed */
        cluster[i] = (uint64_t)(60 * sqrt((double)(i * 7 % N) / N)) * 1000003;
        x[i] = 0.3 * x[i] + 0.7 * cfb_rand_unit(5, 0, cluster[i]);
    }
    cfb_stats_summary s, rows;
    cfb_stats_bootstrap b, plain;
    assert_ok(cfb_stats_describe(x, N, cluster, 0.95, &s, e_));
    assert_ok(cfb_stats_describe(x, N, NULL, 0.95, &rows, e_));
    assert_ok(cfb_stats_bootstrap_mean(x, N, cluster, &opts, &b, e_));
    assert_ok(cfb_stats_bootstrap_mean(x, N, NULL, &opts, &plain, e_));
    assert_true(s.n_clusters > 50 && s.n_clusters <= 60);
    assert_near(b.se / s.se, 1, 0.03);
    assert_near(plain.se / rows.se, 1, 0.03);
    assert_true(b.se > 1.5 * plain.se);
    assert_near((b.percentile.hi - b.percentile.lo) / (s.interval.hi - s.interval.lo), 1, 0.05);
    /* a cluster for each row is the bootstrap of rows, but for the rows' order */
    for (size_t i = 0; i < N; i++) cluster[i] = i;
    assert_ok(cfb_stats_bootstrap_mean(x, N, cluster, &opts, &b, e_));
    assert_memory_equal(&b, &plain, sizeof b);
}

/* ---- two models ---- */

static void test_sign_flip(void **state) {
    (void)state;
    cfb_stats_flip f;
    /* Fisher, 21: of the 2^15 sums 835 exceed 314 and 28 equal it, and as many on the other side */
    assert_ok(cfb_stats_sign_flip(darwin, COUNT(darwin), NULL, &defaults, &f, e_));
    assert_true(f.exact && f.n_nonzero == 15 && f.n_flips == 32768);
    assert_int_equal(f.n_extreme, 2 * (835 + 28));
    assert_near(f.p, 1726 / 32768.0, 1e-16);
    double zeros[30] = {0}, few[30] = {0, 0.1, 0, 0.2, -0.3};
    assert_ok(cfb_stats_sign_flip(zeros, 30, NULL, &defaults, &f, e_));
    assert_true(f.p == 1 && f.exact && f.n_nonzero == 0 && f.n_flips == 1);
    assert_ok(cfb_stats_sign_flip(few, 30, NULL, &defaults, &f, e_)); /* 0.1 + 0.2 - 0.3 is 0 but for rounding */
    assert_true(f.p == 1 && f.n_flips == 8);
    few[4] = 0.3; /* all positive: 2 of 8 */
    assert_ok(cfb_stats_sign_flip(few, 30, NULL, &defaults, &f, e_));
    assert_same(f.p, 0.25);
    assert_fails(cfb_stats_sign_flip(few, 0, NULL, &defaults, &f, e_), CFB_EDOMAIN, "no rows");
    /* clusters whose differences cancel out are no differences */
    double pairs[] = {0.1, 0.2, -0.3, 0.7, 0.7};
    uint64_t cluster[] = {1, 1, 1, 2, 3};
    assert_ok(cfb_stats_sign_flip(pairs, 5, cluster, &defaults, &f, e_));
    assert_true(f.n_nonzero == 2 && f.p == 0.5);
}

static void test_sign_flip_at_random(void **state) {
    (void)state;
    /* 20 wins and 10 losses: exactly 2 P(Bin(30, 1/2) <= 10), McNemar's */
    double d[30];
    for (size_t i = 0; i < 30; i++) d[i] = i % 3 ? 1 : -1;
    cfb_stats_opts opts = defaults;
    opts.n_permutations = 400000;
    cfb_stats_flip f;
    cfb_stats_mcnemar m;
    assert_ok(cfb_stats_sign_flip(d, 30, NULL, &opts, &f, e_));
    assert_ok(cfb_stats_mcnemar_test(20, 10, &m, e_));
    assert_true(!f.exact && f.n_flips == 400000);
    assert_near(f.p, m.p_exact, 5 * sqrt(0.1 / 400000));
    assert_near(m.p_exact, 0.0987371, 1e-7);
    /* nothing random is as extreme: 1/(m + 1), not 0 */
    double up[200];
    for (size_t i = 0; i < 200; i++) up[i] = 0.1;
    opts.n_permutations = 999;
    assert_ok(cfb_stats_sign_flip(up, 200, NULL, &opts, &f, e_));
    assert_same(f.p, 0.001);
    /* the eight-at-a-time sums are those of the definition */
    make_scores(up, 200, 9);
    for (size_t i = 0; i < 200; i++) up[i] -= 0.47;
    assert_ok(cfb_stats_sign_flip(up, 200, NULL, &opts, &f, e_));
    double sum = cfb_stats__sum(up, 200);
    uint64_t extreme = 0;
    for (uint64_t r = 0; r < 999; r++) {
        double flipped = 0;
        for (uint64_t i = 0; i < 200; i++) flipped += cfb_rand_u64(opts.seed, r, i / 64) >> (i % 64) & 1 ? up[i] : -up[i];
        extreme += fabs(flipped) >= fabs(sum) - 1e-9;
    }
    assert_int_equal(f.n_extreme, extreme);
}

static void test_mcnemar(void **state) {
    (void)state;
    cfb_stats_mcnemar m, mirror;
    /* Fagerland, Lydersen & Laake (2013), table 1: 1 and 7 */
    assert_ok(cfb_stats_mcnemar_test(1, 7, &m, e_));
    assert_near(m.p_exact, 18 / 256.0, 1e-15);
    assert_near(m.p_mid, 10 / 256.0, 1e-15);
    assert_near(m.chi2_corrected, 25 / 8.0, 1e-15);
    assert_near(m.p_chi2_corrected, 0.0771, 5e-5);
    assert_ok(cfb_stats_mcnemar_test(7, 1, &mirror, e_));
    assert_memory_equal(&m, &mirror, sizeof m);
    assert_ok(cfb_stats_mcnemar_test(0, 6, &m, e_));
    assert_near(m.p_exact, 2 / 64.0, 1e-16);
    assert_near(m.p_mid, 1 / 64.0, 1e-16);
    assert_ok(cfb_stats_mcnemar_test(0, 0, &m, e_));
    assert_true(m.p_exact == 1 && m.p_mid == 1 && m.p_chi2_corrected == 1 && m.chi2_corrected == 0);
    assert_ok(cfb_stats_mcnemar_test(5, 5, &m, e_));
    assert_true(m.p_exact == 1 && m.p_mid == 1 && m.chi2_corrected == 0);
    assert_ok(cfb_stats_mcnemar_test(5, 6, &m, e_));
    assert_same(m.p_exact, 1);
    assert_ok(cfb_stats_mcnemar_test(5000000, 5003000, &m, e_)); /* the normal limit */
    assert_near(m.p_exact / m.p_chi2_corrected, 1, 1e-4);
    assert_fails(cfb_stats_mcnemar_test(UINT64_MAX, 1, &m, e_), CFB_ELIMIT, "2^40");
}

static void test_wilcoxon(void **state) {
    (void)state;
    cfb_stats_wilcoxon w;
    assert_ok(cfb_stats_wilcoxon_test(darwin, COUNT(darwin), &w, e_));
    assert_true(w.exact && w.w_plus == 96);
    assert_near(w.p, 0.04125977, 5e-9);
    double ties[] = {1, 1, -1, 2, 0, 0}; /* ranks 2, 2, 2, 4; W+ = 8; of the 16 sums 4 are 8 or more: 10, and 8 three times */
    assert_ok(cfb_stats_wilcoxon_test(ties, 6, &w, e_));
    assert_true(w.n_nonzero == 4 && w.w_plus == 8 && w.exact);
    assert_same(w.p, 0.5);
    double rounded[] = {0.3 - 0.2, 0.1, -(0.4 - 0.3)}; /* one magnitude, three roundings */
    assert_ok(cfb_stats_wilcoxon_test(rounded, 3, &w, e_));
    assert_same(w.w_plus, 4);
    assert_ok(cfb_stats_wilcoxon_test(ties + 4, 2, &w, e_));
    assert_true(w.n_nonzero == 0 && w.p == 1);
    /* where the normal approximation takes over, the exact p is close to it; it is computed here from its definition */
    double many[51];
    for (size_t i = 0; i < 51; i++) many[i] = (i % 3 ? 1 : -1) * (1 + (double)i);
    for (size_t n = 50; n <= 51; n++) {
        assert_ok(cfb_stats_wilcoxon_test(many, n, &w, e_));
        double m = (double)n, z = (fabs(w.w_plus - m * (m + 1) / 4) - 0.5) / sqrt(m * (m + 1) * (2 * m + 1) / 24);
        assert_true(w.exact == (n == 50));
        assert_near(w.p, 2 * cfb_stats_normal_cdf(-z), n == 50 ? 1e-3 : 1e-12);
    }
    assert_fails(cfb_stats_wilcoxon_test(many, 0, &w, e_), CFB_EDOMAIN, "no rows");
}

static void test_cliff(void **state) {
    (void)state;
    double a[] = {1, 2, 3}, b[] = {2, 0, 2, 5}, delta;
    /* pairs a > b: 1, 1, 3; a < b: 3, 1, 1 */
    assert_ok(cfb_stats_cliff_delta(a, 3, b, 4, &delta, e_));
    assert_same(delta, (1 + 1 + 3 - 3 - 1 - 1) / 12.0);
    double low[] = {0, 0.5};
    assert_ok(cfb_stats_cliff_delta(low, 2, a, 3, &delta, e_));
    assert_same(delta, -1);
    a[1] = NAN;
    assert_fails(cfb_stats_cliff_delta(low, 2, a, 3, &delta, e_), CFB_EDOMAIN, "nan");
    assert_int_equal(test_err.offset, 3);
    assert_fails(cfb_stats_cliff_delta(low, 2, a, 0, &delta, e_), CFB_EDOMAIN, "no rows");
    assert_fails(cfb_stats_cliff_delta(low, SIZE_MAX, a, 2, &delta, e_), CFB_ELIMIT, "too many");
}

static void test_compare(void **state) {
    (void)state;
    enum { N = 300 };
    double a[N], b[N];
    cfb_stats_comparison c, swapped;
    make_scores(a, N, 1);
    make_scores(b, N, 2);
    for (size_t i = 0; i < N; i++) a[i] = i % 2 ? b[i] : 0.8 * a[i] + 0.2;
    assert_ok(cfb_stats_compare(a, b, N, NULL, &defaults, &c, e_));
    assert_ok(cfb_stats_compare(b, a, N, NULL, &defaults, &swapped, e_));
    assert_near(c.diff, c.mean_a - c.mean_b, 1e-15);
    assert_near(swapped.diff, -c.diff, 0);
    assert_true(c.wins + c.ties + c.losses == N && c.ties >= 150 && swapped.wins == c.losses);
    assert_near(c.interval.lo, -swapped.interval.hi, 0);
    assert_near(c.cohen_dz, c.diff / c.sd_diff, 0);
    assert_near(c.dominance, ((double)c.wins - (double)c.losses) / N, 0);
    assert_true(c.p == c.flip.p && !c.flip.exact && swapped.flip.n_extreme == c.flip.n_extreme);
    assert_near(c.p_bootstrap, c.p_t, 0.02);
    assert_near(c.flip.p, c.p_t, 0.02);
    assert_true(!c.binary && isnan(c.mcnemar.p_exact));
    assert_true(fabs(c.bootstrap.se / c.se_diff - 1) < 0.05);
    /* right or wrong */
    for (size_t i = 0; i < N; i++) {
        a[i] = i < 200;
        b[i] = i < 180 || i > 295;
    }
    assert_ok(cfb_stats_compare(a, b, N, NULL, &defaults, &c, e_));
    assert_true(c.binary && c.wins == 20 && c.losses == 4);
    assert_near(c.mcnemar.p_exact, c.flip.p, 0.002);
    assert_true(c.p == c.mcnemar.p_mid);
}

static void test_compare_edges(void **state) {
    (void)state;
    cfb_stats_comparison c;
    double a[] = {0.1 + 0.2, 0.5, 1}, b[] = {0.3, 0.5, 1}, up[] = {1, 1, 1}, zero[] = {0, 0, 0}, bad[] = {0, 0, NAN};
    assert_ok(cfb_stats_compare(a, b, 3, NULL, &defaults, &c, e_)); /* equal up to rounding */
    assert_true(c.diff == 0 && c.ties == 3 && c.p == 1 && c.p_t == 1 && c.p_bootstrap == 1 && c.wilcoxon.p == 1);
    assert_true(c.cohen_dz == 0 && c.interval.lo == 0 && c.interval.hi == 0);
    assert_ok(cfb_stats_compare(up, zero, 3, NULL, &defaults, &c, e_)); /* a constant shift */
    assert_true(c.diff == 1 && c.se_diff == 0 && c.p_t == 0 && fabs(c.p - 0.125) < 1e-15 && c.flip.p == 0.25 &&
                isinf(c.cohen_dz) && c.dominance == 1);
    assert_ok(cfb_stats_compare(up, zero, 1, NULL, &defaults, &c, e_));
    assert_true(c.flip.p == 1 && fabs(c.p - 0.5) < 1e-15 && isnan(c.p_t) && isnan(c.p_bootstrap) && isnan(c.interval.lo) &&
                isnan(c.cohen_dz) && c.binary);
    assert_fails(cfb_stats_compare(up, bad, 3, NULL, &defaults, &c, e_), CFB_EDOMAIN, "score 2");
    assert_fails(cfb_stats_compare(up, bad, 0, NULL, &defaults, &c, e_), CFB_EDOMAIN, "no rows");
    cfb_stats_opts opts = defaults;
    opts.confidence = 95;
    assert_fails(cfb_stats_compare(up, zero, 3, NULL, &opts, &c, e_), CFB_EDOMAIN, "confidence");
    uint64_t cluster[] = {1, 1, 2};
    assert_ok(cfb_stats_compare(up, zero, 3, cluster, &defaults, &c, e_));
    assert_true(c.n_clusters == 2 && c.se_diff == 0 && c.p == 0.5);
}

/* ---- many comparisons ---- */

static void test_holm_and_bh(void **state) {
    (void)state;
    double p[] = {0.01, 0.04, 0.03, 0.005}, out[15];
    assert_ok(cfb_stats_holm(p, 4, out, e_)); /* 0.005*4, 0.01*3, 0.03*2, max(0.06, 0.04) */
    assert_near(out[3], 0.02, 1e-16);
    assert_near(out[0], 0.03, 1e-16);
    assert_near(out[2], 0.06, 1e-16);
    assert_near(out[1], 0.06, 1e-16);
    assert_ok(cfb_stats_benjamini_hochberg(p, 4, out, e_));
    assert_near(out[3], 0.02, 1e-16);
    assert_near(out[0], 0.02, 1e-16);
    assert_near(out[2], 0.04, 1e-16);
    assert_near(out[1], 0.04, 1e-16);
    /* Benjamini & Hochberg (1995), 4.1: 4 findings at 0.05 where Bonferroni and Holm find 3 */
    double study[] = {0.0344, 0.0001, 0.7590, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278,
                      0.0298, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 1.0000};
    size_t found = 0;
    assert_ok(cfb_stats_benjamini_hochberg(study, 15, out, e_));
    for (size_t i = 0; i < 15; i++) found += out[i] <= 0.05;
    assert_int_equal(found, 4);
    assert_ok(cfb_stats_holm(study, 15, out, e_));
    found = 0;
    for (size_t i = 0; i < 15; i++) found += out[i] <= 0.05;
    assert_int_equal(found, 3);
    for (size_t i = 0; i < 15; i++)
        for (size_t j = 0; j < 15; j++) assert_true(!(study[i] <= study[j]) || out[i] <= out[j]);
    double ties[] = {0.02, 1, 0.02, 0.02, 0};
    assert_ok(cfb_stats_holm(ties, 5, ties, e_)); /* in place */
    assert_true(ties[0] == ties[2] && ties[2] == ties[3] && ties[0] == 0.08 && ties[1] == 1 && ties[4] == 0);
    ties[2] = 1.5;
    assert_fails(cfb_stats_holm(ties, 5, out, e_), CFB_EDOMAIN, "p-value 2 is 1.5");
    assert_int_equal(test_err.offset, 2);
    ties[2] = NAN;
    assert_fails(cfb_stats_benjamini_hochberg(ties, 5, out, e_), CFB_EDOMAIN, "p-value 2");
    assert_ok(cfb_stats_holm(NULL, 0, NULL, e_));
}

static void test_rank_bands(void **state) {
    (void)state;
    /* A 0.9, B 0.8, C 0.79, D 0.5: only B and C cannot be told apart; then A and B neither */
    double mean[] = {0.5, 0.9, 0.79, 0.8}, p[16];
    cfb_stats_band band[4];
    for (size_t i = 0; i < 16; i++) p[i] = 0.001;
    p[2 * 4 + 3] = p[3 * 4 + 2] = 0.4;
    assert_ok(cfb_stats_rank_bands(mean, p, 4, 0.05, band, e_));
    assert_true(band[1].best == 1 && band[1].worst == 1 && band[0].best == 4 && band[0].worst == 4);
    assert_true(band[2].best == 2 && band[2].worst == 3 && band[3].best == 2 && band[3].worst == 3);
    p[1 * 4 + 3] = p[3 * 4 + 1] = 0.05; /* not below alpha */
    assert_ok(cfb_stats_rank_bands(mean, p, 4, 0.05, band, e_));
    assert_true(band[1].best == 1 && band[1].worst == 2 && band[3].best == 1 && band[3].worst == 3);
    assert_true(band[2].best == 2 && band[2].worst == 3);
    mean[0] = 0.9; /* equal means share both places, whatever p says */
    assert_ok(cfb_stats_rank_bands(mean, p, 4, 0.05, band, e_));
    assert_true(band[0].best == 1 && band[0].worst == 2 && band[1].worst == 3);
    for (size_t i = 0; i < 16; i++) p[i] = 1;
    assert_ok(cfb_stats_rank_bands(mean, p, 4, 0.05, band, e_));
    for (size_t i = 0; i < 4; i++) assert_true(band[i].best == 1 && band[i].worst == 4);
    p[1] = 0.5;
    assert_fails(cfb_stats_rank_bands(mean, p, 4, 0.05, band, e_), CFB_EDOMAIN, "models 0 and 1");
    p[1] = p[4] = NAN;
    assert_fails(cfb_stats_rank_bands(mean, p, 4, 0.05, band, e_), CFB_EDOMAIN, "models 0 and 1");
    assert_fails(cfb_stats_rank_bands(mean, p, 4, 1, band, e_), CFB_EDOMAIN, "alpha");
    assert_ok(cfb_stats_rank_bands(NULL, NULL, 0, 0.05, NULL, e_));
    mean[0] = 0.2;
    assert_ok(cfb_stats_rank_bands(mean, p + 2, 1, 0.05, band, e_));
    assert_true(band[0].best == 1 && band[0].worst == 1);
}

static void test_power(void **state) {
    (void)state;
    double least;
    uint64_t rows;
    /* (1.959964 + 0.841621)^2 = 7.848880: the usual 7.85 (sd / diff)^2 */
    assert_ok(cfb_stats_min_difference(0.4, 400, 0.05, 0.8, &least, e_));
    assert_near(least, 2.8015852 * 0.02, 1e-9);
    assert_ok(cfb_stats_rows_needed(0.4, -0.05, 0.05, 0.8, &rows, e_));
    assert_int_equal(rows, 503); /* 7.848880 * 64 = 502.33 */
    assert_ok(cfb_stats_min_difference(0.4, rows, 0.05, 0.8, &least, e_));
    assert_true(least <= 0.05);
    assert_ok(cfb_stats_min_difference(0.4, rows - 1, 0.05, 0.8, &least, e_));
    assert_true(least > 0.05);
    assert_ok(cfb_stats_rows_needed(0, 0.1, 0.05, 0.8, &rows, e_));
    assert_int_equal(rows, 1);
    assert_fails(cfb_stats_rows_needed(0.4, 0, 0.05, 0.8, &rows, e_), CFB_EDOMAIN, "not 0");
    assert_fails(cfb_stats_rows_needed(0.4, 1e-12, 0.05, 0.8, &rows, e_), CFB_ELIMIT, "2^53");
    assert_fails(cfb_stats_rows_needed(-1, 1, 0.05, 0.8, &rows, e_), CFB_EDOMAIN, "standard deviation");
    assert_fails(cfb_stats_rows_needed(NAN, 1, 0.05, 0.8, &rows, e_), CFB_EDOMAIN, "standard deviation");
    assert_fails(cfb_stats_min_difference(1, 0, 0.05, 0.8, &least, e_), CFB_EDOMAIN, "0 rows");
    assert_fails(cfb_stats_min_difference(1, 9, 0.05, 1, &least, e_), CFB_EDOMAIN, "power");
    assert_fails(cfb_stats_min_difference(1, 9, 0.05, 0.01, &least, e_), CFB_EDOMAIN, "at least alpha/2");
    assert_fails(cfb_stats_min_difference(1, 9, 0, 0.8, &least, e_), CFB_EDOMAIN, "alpha");
}

/* ---- the same bytes for any number of threads ---- */

static void test_same_bytes(void **state) {
    (void)state;
    enum { N = 3500 };
    static double a[N], b[N], means[4][2001];
    static uint64_t cluster[N];
    make_scores(a, N, 21);
    make_scores(b, N, 22);
    for (size_t i = 0; i < N; i++) cluster[i] = cfb_rand_u64(23, 0, i) % 400;
    cfb_stats_comparison c[4];
    const int threads[] = {1, 2, 8, 64};
    for (int clustered = 0; clustered < 2; clustered++) {
        for (size_t t = 0; t < 4; t++) {
            cfb_stats_opts opts = {0.9, 2001, 5001, 99, threads[t]};
            memset(&c[t], 0, sizeof c[t]);
            assert_ok(cfb_stats_compare(a, b, N, clustered ? cluster : NULL, &opts, &c[t], e_));
            assert_ok(cfb_stats_bootstrap_means(a, N, clustered ? cluster : NULL, &opts, means[t], e_));
            assert_memory_equal(&means[t], &means[0], sizeof means[0]);
            assert_memory_equal(&c[t].diff, &c[0].diff,
                                offsetof(cfb_stats_comparison, flip) - offsetof(cfb_stats_comparison, diff));
            assert_true(c[t].flip.n_extreme == c[0].flip.n_extreme && c[t].p == c[0].p);
        }
    }
    /* a longer bootstrap begins with the shorter one; another seed is another bootstrap */
    cfb_stats_opts opts = {0.9, 1000, 1, 99, 0};
    assert_ok(cfb_stats_bootstrap_means(a, N, cluster, &opts, means[1], e_));
    assert_memory_equal(means[1], means[0], 1000 * sizeof(double));
    opts.seed = 100;
    assert_ok(cfb_stats_bootstrap_means(a, N, cluster, &opts, means[1], e_));
    assert_memory_not_equal(means[1], means[0], 1000 * sizeof(double));
}

/* The same bytes from every compiler and build: sums of quarters are exact, so that only the draws can differ. */
static void test_known_draws(void **state) {
    (void)state;
    enum { N = 2500 };
    double x[N], sums[3];
    cfb_stats_opts opts = defaults;
    opts.n_resamples = 3;
    for (size_t i = 0; i < N; i++) x[i] = (double)(i * i % 29) / 4;
    cfb_stats__draw_sums(x, N, &opts, sums);
    assert_same(sums[0], 8859.5);
    assert_same(sums[1], 8832.5);
    assert_same(sums[2], 8774.25);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_student),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_describe_edges),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_binomial),
        cmocka_unit_test(test_draws_are_uniform),
        cmocka_unit_test(test_every_row_alike),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_bootstrap_edges),
        cmocka_unit_test(test_clustered_bootstrap),
        cmocka_unit_test(test_sign_flip),
        cmocka_unit_test(test_sign_flip_at_random),
        cmocka_unit_test(test_mcnemar),
        cmocka_unit_test(test_wilcoxon),
        cmocka_unit_test(test_cliff),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_compare_edges),
        cmocka_unit_test(test_holm_and_bh),
        cmocka_unit_test(test_rank_bands),
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_known_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
