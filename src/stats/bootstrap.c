#include "stats/internal.h"

/* A table of 1,024 doubles fits every first-level cache, and a word of 64 bits holds six indices into it. */
#define TABLE_BITS 10
#define TABLE ((size_t)1 << TABLE_BITS)
#define PER_WORD 6
/* Resamples that share a pass over the data: each table is read from memory once for all of them. */
#define GROUP 16

typedef struct resample {
    cfb_stats__stream stream;
    size_t left; /* draws that still have to fall into this block or a later one */
    double sum;
} resample;

typedef struct draw_job {
    const double *v;
    size_t n, n_resamples;
    uint64_t seed;
    double *out;
} draw_job;

/* Sum of `count` draws from a full table. The order of the additions is fixed: six sums, then these in order. */
static double draw_full(const double *t, size_t count, cfb_stats__stream *stream) {
    double a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0;
    cfb_stats__stream s = *stream;
    for (; count >= PER_WORD; count -= PER_WORD) {
        uint64_t w = cfb_stats__next(&s);
        a0 += t[w & (TABLE - 1)];
        a1 += t[w >> TABLE_BITS & (TABLE - 1)];
        a2 += t[w >> 2 * TABLE_BITS & (TABLE - 1)];
        a3 += t[w >> 3 * TABLE_BITS & (TABLE - 1)];
        a4 += t[w >> 4 * TABLE_BITS & (TABLE - 1)];
        a5 += t[w >> 5 * TABLE_BITS & (TABLE - 1)];
    }
    for (uint64_t w = count ? cfb_stats__next(&s) : 0; count > 0; count--, w >>= TABLE_BITS) a0 += t[w & (TABLE - 1)];
    *stream = s;
    return a0 + a1 + a2 + a3 + a4 + a5;
}

/* Sum of `count` draws from a table of n < 1,024 values. Lemire, "Fast random integer generation in an interval", ACM Trans.
 * Model. Comput. Simul. 29 (2019), with 16-bit words: the product's high half is the index; of the low halves, the first
 * 2^16 mod n are refused, which leaves every index the same number of words. */
static double draw_part(const double *t, size_t n, size_t count, cfb_stats__stream *stream) {
    const uint32_t size = (uint32_t)n, refused = 65536 % size;
    double a[2] = {0, 0};
    cfb_stats__stream s = *stream;
    while (count > 0) {
        uint64_t w = cfb_stats__next(&s);
        for (int k = 0; k < 4 && count > 0; k++, w >>= 16) {
            uint32_t product = (uint32_t)(w & 0xFFFF) * size;
            if ((product & 0xFFFF) < refused) continue;
            a[k & 1] += t[product >> 16];
            count--;
        }
    }
    *stream = s;
    return a[0] + a[1];
}

static void draw_group(void *ctx, size_t block, int worker) {
    (void)worker;
    const draw_job *job = ctx;
    size_t first = block * GROUP, n_here = job->n_resamples - first < GROUP ? job->n_resamples - first : GROUP;
    resample group[GROUP];
    for (size_t g = 0; g < n_here; g++) group[g] = (resample){cfb_stats__stream_at(job->seed, first + g), job->n, 0};
    for (size_t from = 0; from < job->n; from += TABLE) {
        size_t rows_left = job->n - from, size = rows_left < TABLE ? rows_left : TABLE;
        const double *table = job->v + from;
        for (size_t g = 0; g < n_here; g++) {
            resample *r = &group[g];
            size_t count = r->left;
            if (size < rows_left) count = cfb_stats__binomial(&r->stream, count, (double)size / (double)rows_left);
            r->left -= count;
            r->sum += size == TABLE ? draw_full(table, count, &r->stream) : draw_part(table, size, count, &r->stream);
        }
    }
    for (size_t g = 0; g < n_here; g++) job->out[first + g] = group[g].sum;
}

void cfb_stats__draw_sums(const double *v, size_t n, const cfb_stats_opts *opts, double *out) {
    draw_job job = {v, n, opts->n_resamples, opts->seed, out};
    size_t n_groups = (opts->n_resamples + GROUP - 1) / GROUP;
    cfb_par_blocks(n_groups, cfb_stats__threads(opts->n_threads, n, opts->n_resamples), draw_group, &job);
}

/* Clusters of different sizes: the same draws twice, once of the sums and once of the sizes. */
static cfb_code draw_means(const cfb_stats__units *u, const cfb_stats_opts *opts, double *out, cfb_err *err) {
    double *sizes = NULL;
    if (u->size != NULL) {
        sizes = cfb_stats__alloc(opts->n_resamples, sizeof *sizes, err);
        if (sizes == NULL) return CFB_ENOMEM;
        cfb_stats__draw_sums(u->size, u->n, opts, sizes);
    }
    cfb_stats__draw_sums(u->sum, u->n, opts, out);
    for (size_t r = 0; r < opts->n_resamples; r++) out[r] /= sizes ? sizes[r] : (double)u->n_rows;
    free(sizes);
    return CFB_OK;
}

static cfb_code means_of_units(const cfb_stats__units *u, const double *x, const cfb_stats_opts *opts, double *out,
                               cfb_err *err) {
    if (!cfb_stats__is_constant(x, u->n_rows)) return draw_means(u, opts, out, err);
    for (size_t r = 0; r < opts->n_resamples; r++) out[r] = x[0]; /* without the rounding of n additions */
    return CFB_OK;
}

cfb_code cfb_stats_bootstrap_means(const double *x, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts, double *out,
                                   cfb_err *err) {
    cfb_stats__units u;
    cfb_code code = cfb_stats__check_opts(opts, err);
    if (code == CFB_OK) code = cfb_stats__check_data(x, n, err);
    if (code == CFB_OK) code = cfb_stats__units_init(x, n, cluster, &u, err);
    if (code != CFB_OK) return code;
    code = means_of_units(&u, x, opts, out, err);
    cfb_stats__units_free(&u);
    return code;
}

/* ---- intervals ---- */

double cfb_stats__quantile(const double *sorted, size_t n, double p) {
    double at = p * (double)(n - 1);
    size_t i = (size_t)at;
    if (i >= n - 1) return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* Jackknife: sum of cubes over 6 (sum of squares)^1.5 of (mean of the leave-one-out means) - (leave-one-out mean). */
double cfb_stats__acceleration(const cfb_stats__units *u, double mean) {
    double squares = 0, cubes = 0, centre = 0, total = 0, same = (double)u->n_rows / (double)u->n, rows = (double)u->n_rows;
    if (u->n < 2) return 0;
    if (u->size != NULL) {
        total = cfb_stats__sum(u->sum, u->n);
        for (size_t i = 0; i < u->n; i++) centre += (total - u->sum[i]) / (rows - u->size[i]);
        centre /= (double)u->n;
    }
    for (size_t i = 0; i < u->n; i++) { /* of equal sizes, off is proportional to the unit's distance from the mean */
        double off = u->size ? centre - (total - u->sum[i]) / (rows - u->size[i]) : u->sum[i] / same - mean;
        squares += off * off;
        cubes += off * off * off;
    }
    return squares > 0 ? cubes / (6 * squares * sqrt(squares)) : 0;
}

static double bca_level(double z, double z0, double acceleration) {
    double w = z0 + z, down = 1 - acceleration * w;
    if (isinf(z0)) return z0 > 0; /* all bootstrap means on one side */
    if (down <= 0) return w > 0;  /* beyond the pole: the end of the distribution */
    return cfb_stats_normal_cdf(z0 + w / down);
}

void cfb_stats__intervals(double *means, size_t n, double scale, double confidence, cfb_stats_bootstrap *out) {
    double low = 0.5 * (1 - confidence), z = cfb_stats_normal_quantile(low), near = CFB_STATS__TIE * scale;
    out->se = cfb_stats__sd(means, n, cfb_stats__mean(means, n));
    qsort(means, n, sizeof *means, cfb_stats__by_value);
    size_t less = 0, equal = 0;
    while (less < n && means[less] < out->mean - near) less++;
    while (less + equal < n && means[less + equal] <= out->mean + near) equal++;
    out->bias_z0 = cfb_stats_normal_quantile(((double)less + 0.5 * (double)equal) / (double)n);
    out->percentile.lo = cfb_stats__quantile(means, n, low);
    out->percentile.hi = cfb_stats__quantile(means, n, 1 - low);
    out->bca.lo = cfb_stats__quantile(means, n, bca_level(z, out->bias_z0, out->acceleration));
    out->bca.hi = cfb_stats__quantile(means, n, bca_level(-z, out->bias_z0, out->acceleration));
}

static double largest(const double *x, size_t n) {
    double m = 0;
    for (size_t i = 0; i < n; i++) m = fmax(m, fabs(x[i]));
    return m;
}

cfb_code cfb_stats__bootstrap_units(const cfb_stats__units *u, const double *x, const cfb_stats_opts *opts, double *means,
                                    cfb_stats_bootstrap *out, cfb_err *err) {
    cfb_code code = means_of_units(u, x, opts, means, err);
    if (code != CFB_OK) return code;
    out->mean = cfb_stats__mean(x, u->n_rows);
    out->acceleration = cfb_stats__is_constant(x, u->n_rows) ? 0 : cfb_stats__acceleration(u, out->mean);
    cfb_stats__intervals(means, opts->n_resamples, largest(x, u->n_rows), opts->confidence, out);
    if (u->n < 2) {
        const cfb_stats_interval unknown = {NAN, NAN};
        out->se = NAN;
        out->percentile = out->bca = unknown;
    }
    return CFB_OK;
}

cfb_code cfb_stats_bootstrap_mean(const double *x, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts,
                                  cfb_stats_bootstrap *out, cfb_err *err) {
    cfb_stats__units u;
    cfb_code code = cfb_stats__check_opts(opts, err);
    if (code == CFB_OK) code = cfb_stats__check_data(x, n, err);
    if (code == CFB_OK) code = cfb_stats__units_init(x, n, cluster, &u, err);
    if (code != CFB_OK) return code;
    double *means = cfb_stats__alloc(opts->n_resamples, sizeof *means, err);
    code = means ? cfb_stats__bootstrap_units(&u, x, opts, means, out, err) : CFB_ENOMEM;
    free(means);
    cfb_stats__units_free(&u);
    return code;
}
