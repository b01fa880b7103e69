/* Many comparisons, shared ranks, and power. */
#include "stats/internal.h"

/* ---- adjusted p-values ---- */

typedef struct test {
    double p;
    size_t at;
} test;

static int by_p(const void *a, const void *b) {
    const test *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static bool is_probability(double p) { return p >= 0 && p <= 1; }

static cfb_code sort_tests(const double *p, size_t m, test **out, cfb_err *err) {
    for (size_t i = 0; i < m; i++) {
        if (is_probability(p[i])) continue;
        cfb_code code = cfb_err_set(err, CFB_EDOMAIN, "p-value %zu is %g: it must lie between 0 and 1", i, p[i]);
        if (err != NULL) err->offset = i;
        return code;
    }
    *out = cfb_stats__alloc(m, sizeof **out, err);
    if (*out == NULL) return CFB_ENOMEM;
    for (size_t i = 0; i < m; i++) (*out)[i] = (test){p[i], i};
    qsort(*out, m, sizeof **out, by_p);
    return CFB_OK;
}

cfb_code cfb_stats_holm(const double *p, size_t m, double *out, cfb_err *err) {
    test *t = NULL;
    cfb_code code = sort_tests(p, m, &t, err);
    if (code != CFB_OK) return code;
    double so_far = 0;
    for (size_t i = 0; i < m; i++) { /* the running maximum also keeps equal p-values equal: the first has the largest factor */
        so_far = fmax(so_far, fmin(1, (double)(m - i) * t[i].p));
        out[t[i].at] = so_far;
    }
    free(t);
    return CFB_OK;
}

cfb_code cfb_stats_benjamini_hochberg(const double *p, size_t m, double *out, cfb_err *err) {
    test *t = NULL;
    cfb_code code = sort_tests(p, m, &t, err);
    if (code != CFB_OK) return code;
    double so_far = 1;
    for (size_t i = m; i-- > 0;) {
        so_far = fmin(so_far, t[i].p * (double)m / (double)(i + 1));
        out[t[i].at] = so_far;
    }
    free(t);
    return CFB_OK;
}

/* ---- rank bands ---- */

static cfb_code check_bands(const double *mean, const double *p, size_t k, double alpha, cfb_err *err) {
    cfb_code code = cfb_stats__check_level(alpha, "alpha", err);
    if (code != CFB_OK || k == 0) return code;
    code = cfb_stats__check_data(mean, k, err);
    if (code != CFB_OK) return code;
    for (size_t i = 0; i < k; i++)
        for (size_t j = i + 1; j < k; j++)
            if (!is_probability(p[i * k + j]) || p[i * k + j] != p[j * k + i])
                return cfb_err_set(err, CFB_EDOMAIN,
                                   "p-values of models %zu and %zu: %g and %g; both must be the same, between 0 and 1", i, j,
                                   p[i * k + j], p[j * k + i]);
    return CFB_OK;
}

static cfb_stats_band place_by_mean(const double *mean, size_t k, size_t i) {
    cfb_stats_band place = {1, 0};
    for (size_t j = 0; j < k; j++) {
        place.best += mean[j] > mean[i];
        place.worst += mean[j] >= mean[i];
    }
    return place;
}

cfb_code cfb_stats_rank_bands(const double *mean, const double *p, size_t k, double alpha, cfb_stats_band *out, cfb_err *err) {
    cfb_code code = check_bands(mean, p, k, alpha, err);
    if (code != CFB_OK) return code;
    for (size_t i = 0; i < k; i++) out[i] = (cfb_stats_band){k, 1};
    for (size_t j = 0; j < k; j++) {
        cfb_stats_band place = place_by_mean(mean, k, j);
        for (size_t i = 0; i < k; i++) {
            if (i != j && p[i * k + j] < alpha && mean[i] != mean[j]) continue;
            if (place.best < out[i].best) out[i].best = place.best;
            if (place.worst > out[i].worst) out[i].worst = place.worst;
        }
    }
    return CFB_OK;
}

/* ---- power ---- */

/* (z_(1-alpha/2) + z_power) sd */
static cfb_code signal(double sd, double alpha, double power, double *out, cfb_err *err) {
    cfb_code code = cfb_stats__check_level(alpha, "alpha", err);
    if (code == CFB_OK) code = cfb_stats__check_level(power, "the power", err);
    if (code != CFB_OK) return code;
    if (power < alpha / 2)
        return cfb_err_set(err, CFB_EDOMAIN, "the power is %g: it must be at least alpha/2 = %g", power, alpha / 2);
    if (!(sd >= 0 && isfinite(sd)))
        return cfb_err_set(err, CFB_EDOMAIN, "the standard deviation is %g: it must be finite and not negative", sd);
    double z = cfb_stats_normal_quantile(1 - alpha / 2) + cfb_stats_normal_quantile(power);
    *out = fmax(0, z) * sd;
    return CFB_OK;
}

cfb_code cfb_stats_min_difference(double sd, uint64_t n, double alpha, double power, double *out, cfb_err *err) {
    double s;
    cfb_code code = signal(sd, alpha, power, &s, err);
    if (code != CFB_OK) return code;
    if (n == 0) return cfb_err_set(err, CFB_EDOMAIN, "the difference that 0 rows show: at least one row is needed");
    *out = s / sqrt((double)n);
    return CFB_OK;
}

cfb_code cfb_stats_rows_needed(double sd, double diff, double alpha, double power, uint64_t *out, cfb_err *err) {
    double s;
    cfb_code code = signal(sd, alpha, power, &s, err);
    if (code != CFB_OK) return code;
    if (!isfinite(diff) || diff == 0)
        return cfb_err_set(err, CFB_EDOMAIN, "rows needed to see a difference of %g: it must be finite and not 0", diff);
    double n = ceil((s / diff) * (s / diff));
    if (!(n <= 0x1p53)) return cfb_err_set(err, CFB_ELIMIT, "a difference of %g needs more than 2^53 rows", diff);
    *out = n < 1 ? 1 : (uint64_t)n;
    return CFB_OK;
}
