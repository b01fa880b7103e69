#include "stats/internal.h"

#define BLOCK 1024
#define SMALL_WORK ((size_t)1 << 18)
#define LARGEST 1e100 /* squares and cubes, summed, stay finite */

cfb_code cfb_stats__check_data(const double *x, size_t n, cfb_err *err) {
    if (n == 0) return cfb_err_set(err, CFB_EDOMAIN, "statistics of no rows: at least one score is needed");
    for (size_t i = 0; i < n; i++) {
        if (fabs(x[i]) <= LARGEST) continue;
        cfb_code code =
            cfb_err_set(err, CFB_EDOMAIN, "score %zu is %g: statistics need finite scores, at most %g", i, x[i], LARGEST);
        if (err != NULL) err->offset = i;
        return code;
    }
    return CFB_OK;
}

cfb_code cfb_stats__check_level(double v, const char *name, cfb_err *err) {
    if (v > 0 && v < 1) return CFB_OK;
    return cfb_err_set(err, CFB_EDOMAIN, "%s is %g: it must lie between 0 and 1", name, v);
}

cfb_code cfb_stats__check_opts(const cfb_stats_opts *opts, cfb_err *err) {
    cfb_code code = cfb_stats__check_level(opts->confidence, "the confidence level", err);
    if (code != CFB_OK) return code;
    if (opts->n_resamples < 1 || opts->n_resamples > CFB_STATS_MAX_RESAMPLES || opts->n_permutations < 1 ||
        opts->n_permutations > CFB_STATS_MAX_RESAMPLES)
        return cfb_err_set(err, CFB_EDOMAIN, "%zu resamples and %zu permutations: each must be 1 to %zu", opts->n_resamples,
                           opts->n_permutations, CFB_STATS_MAX_RESAMPLES);
    return CFB_OK;
}

bool cfb_stats__is_constant(const double *x, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (x[i] != x[0]) return false;
    return true;
}

int cfb_stats__by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void *cfb_stats__alloc(size_t n, size_t size, cfb_err *err) {
    size_t bytes;
    void *p = cfb_size_mul(n ? n : 1, size, &bytes) ? malloc(bytes) : NULL;
    if (p == NULL) cfb_err_set(err, CFB_ENOMEM, "out of memory: %zu values of %zu bytes for statistics", n, size);
    return p;
}

int cfb_stats__threads(int n_threads, size_t n, size_t n_resamples) {
    size_t steps;
    if (cfb_size_mul(n, n_resamples, &steps) && steps < SMALL_WORK) return 1;
    return n_threads > 0 ? n_threads : cfb_cpu_count();
}

double cfb_stats__sum(const double *x, size_t n) {
    double sum = 0;
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t end = n - from < BLOCK ? n : from + BLOCK;
        double part = 0;
        for (size_t i = from; i < end; i++) part += x[i];
        sum += part;
    }
    return sum;
}

double cfb_stats__mean(const double *x, size_t n) {
    return cfb_stats__is_constant(x, n) ? x[0] : cfb_stats__sum(x, n) / (double)n;
}

double cfb_stats__sd(const double *x, size_t n, double mean) {
    if (n < 2) return NAN;
    double sum = 0;
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t end = n - from < BLOCK ? n : from + BLOCK;
        double part = 0;
        for (size_t i = from; i < end; i++) part += (x[i] - mean) * (x[i] - mean);
        sum += part;
    }
    return sqrt(sum / (double)(n - 1));
}

/* ---- clusters ---- */

typedef struct member {
    uint64_t cluster;
    size_t row;
} member;

static int by_cluster(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->cluster != y->cluster) return x->cluster < y->cluster ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void collect(const double *x, const member *rows, size_t n, cfb_stats__units *u) {
    bool equal = true;
    for (size_t i = 0; i < n; u->n++) {
        double sum = 0, size = 0;
        uint64_t id = rows[i].cluster;
        for (; i < n && rows[i].cluster == id; i++) {
            sum += x[rows[i].row];
            size += 1;
        }
        u->owned_sum[u->n] = sum;
        u->owned_size[u->n] = size;
        equal = equal && size == u->owned_size[0];
    }
    u->sum = u->owned_sum;
    u->size = equal ? NULL : u->owned_size;
}

cfb_code cfb_stats__units_init(const double *x, size_t n, const uint64_t *cluster, cfb_stats__units *out, cfb_err *err) {
    *out = (cfb_stats__units){.sum = x, .n = n, .n_rows = n};
    if (cluster == NULL) return CFB_OK;
    cfb_code code = CFB_ENOMEM;
    member *rows = cfb_stats__alloc(n, sizeof *rows, err);
    out->owned_sum = rows ? cfb_stats__alloc(n, sizeof(double), err) : NULL;
    out->owned_size = out->owned_sum ? cfb_stats__alloc(n, sizeof(double), err) : NULL;
    if (out->owned_size == NULL) goto out;
    for (size_t i = 0; i < n; i++) rows[i] = (member){cluster[i], i};
    qsort(rows, n, sizeof *rows, by_cluster);
    out->n = 0;
    collect(x, rows, n, out);
    code = CFB_OK;
out:
    free(rows);
    if (code != CFB_OK) cfb_stats__units_free(out);
    return code;
}

void cfb_stats__units_free(cfb_stats__units *u) {
    free(u->owned_sum);
    free(u->owned_size);
    u->owned_sum = u->owned_size = NULL;
}

double cfb_stats__units_se(const cfb_stats__units *u, double mean) {
    if (u->n < 2) return NAN;
    double sum = 0, same = (double)u->n_rows / (double)u->n, m = (double)u->n;
    for (size_t from = 0; from < u->n; from += BLOCK) {
        size_t end = u->n - from < BLOCK ? u->n : from + BLOCK;
        double part = 0;
        for (size_t i = from; i < end; i++) {
            double off = u->sum[i] - (u->size ? u->size[i] : same) * mean;
            part += off * off;
        }
        sum += part;
    }
    return sqrt(m / (m - 1) * sum) / (double)u->n_rows;
}

cfb_code cfb_stats_describe(const double *x, size_t n, const uint64_t *cluster, double confidence, cfb_stats_summary *out,
                            cfb_err *err) {
    cfb_code code = cfb_stats__check_level(confidence, "the confidence level", err);
    if (code == CFB_OK) code = cfb_stats__check_data(x, n, err);
    if (code != CFB_OK) return code;
    cfb_stats__units u;
    code = cfb_stats__units_init(x, n, cluster, &u, err);
    if (code != CFB_OK) return code;
    cfb_stats_summary s = {.n = n, .n_clusters = u.n, .mean = cfb_stats__mean(x, n), .min = x[0], .max = x[0]};
    for (size_t i = 1; i < n; i++) {
        if (x[i] < s.min) s.min = x[i];
        if (x[i] > s.max) s.max = x[i];
    }
    s.sd = cfb_stats__sd(x, n, s.mean);
    s.se = s.min == s.max && u.n > 1 ? 0 : cfb_stats__units_se(&u, s.mean);
    double half = u.n > 1 ? cfb_stats_t_quantile(0.5 + 0.5 * confidence, (double)(u.n - 1)) * s.se : NAN;
    s.interval = (cfb_stats_interval){s.mean - half, s.mean + half};
    cfb_stats__units_free(&u);
    *out = s;
    return CFB_OK;
}

static cfb_stats_interval wilson(double p, double n, double confidence) {
    double z = cfb_stats_normal_quantile(0.5 + 0.5 * confidence), z2 = z * z / n;
    double middle = (p + 0.5 * z2) / (1 + z2), half = z * sqrt((p * (1 - p) + 0.25 * z2) / n) / (1 + z2);
    /* exactly 0 and 1 at the ends */
    return (cfb_stats_interval){p <= 0 ? 0 : fmax(0, middle - half), p >= 1 ? 1 : fmin(1, middle + half)};
}

cfb_code cfb_stats_wilson(uint64_t successes, uint64_t n, double confidence, cfb_stats_interval *out, cfb_err *err) {
    cfb_code code = cfb_stats__check_level(confidence, "the confidence level", err);
    if (code != CFB_OK) return code;
    if (n == 0 || successes > n)
        return cfb_err_set(err, CFB_EDOMAIN,
                           "%llu successes of %llu trials: Wilson's interval needs at least one trial and no more "
                           "successes than trials",
                           (unsigned long long)successes, (unsigned long long)n);
    *out = wilson((double)successes / (double)n, (double)n, confidence);
    return CFB_OK;
}

cfb_code cfb_stats_wilson_mean(double mean, size_t n, double confidence, cfb_stats_interval *out, cfb_err *err) {
    const double rounding = 1e-9;
    cfb_code code = cfb_stats__check_level(confidence, "the confidence level", err);
    if (code != CFB_OK) return code;
    if (n == 0 || !(mean >= -rounding && mean <= 1 + rounding))
        return cfb_err_set(err, CFB_EDOMAIN, "Wilson's interval of a mean needs at least one score, and scores from 0 to 1");
    double p = mean < rounding ? 0 : mean > 1 - rounding ? 1 : mean;
    *out = wilson(p, (double)n, confidence);
    return CFB_OK;
}
