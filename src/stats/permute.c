#include "stats/internal.h"

/* Sixty-four differences use one random word per pattern: eight tables of the 256 signed sums of eight differences. */
#define CHUNK 64
#define BYTES (CHUNK / 8)
/* Patterns that share the tables: many, because making a table costs as much as 256 look-ups. */
#define GROUP 1024

typedef struct flip_job {
    const double *d;
    size_t n, n_permutations;
    uint64_t seed;
    double threshold;    /* |sum| from here on counts as extreme */
    uint64_t *n_extreme; /* one per group */
} flip_job;

/* t[mask] = sum of the n <= 8 differences, those with a bit in mask with plus, the others with minus; bits from n on change
 * nothing. */
static void signed_sums(const double *d, size_t n, double t[256]) {
    t[0] = 0;
    for (size_t k = 0, half = 1; k < 8; k++, half *= 2) {
        double v = k < n ? d[k] : 0;
        for (size_t m = 0; m < half; m++) {
            t[half + m] = t[m] + v;
            t[m] -= v;
        }
    }
}

static void flip_group(void *ctx, size_t block, int worker) {
    (void)worker;
    const flip_job *job = ctx;
    double sum[GROUP] = {0}, table[BYTES][256];
    cfb_stats__stream stream[GROUP];
    size_t first = block * GROUP, n_here = job->n_permutations - first < GROUP ? job->n_permutations - first : GROUP;
    for (size_t g = 0; g < n_here; g++) stream[g] = cfb_stats__stream_at(job->seed, first + g);
    for (size_t from = 0; from < job->n; from += CHUNK) {
        for (size_t b = 0; b < BYTES; b++) {
            size_t at = from + 8 * b, n = at < job->n ? job->n - at : 0;
            signed_sums(job->d + (n ? at : 0), n < 8 ? n : 8, table[b]);
        }
        for (size_t g = 0; g < n_here; g++) {
            uint64_t w = cfb_stats__next(&stream[g]);
            double even = 0, odd = 0;
            for (size_t b = 0; b < BYTES; b += 2) {
                even += table[b][w >> (8 * b) & 255];
                odd += table[b + 1][w >> (8 * b + 8) & 255];
            }
            sum[g] += even + odd;
        }
    }
    uint64_t extreme = 0;
    for (size_t g = 0; g < n_here; g++) extreme += fabs(sum[g]) >= job->threshold;
    job->n_extreme[block] = extreme;
}

static cfb_code flip_at_random(const double *d, size_t n, double threshold, const cfb_stats_opts *opts, cfb_stats_flip *out,
                               cfb_err *err) {
    size_t m = opts->n_permutations, n_groups = (m + GROUP - 1) / GROUP;
    uint64_t *extreme = cfb_stats__alloc(n_groups, sizeof *extreme, err);
    if (extreme == NULL) return CFB_ENOMEM;
    flip_job job = {d, n, m, opts->seed, threshold, extreme};
    cfb_par_blocks(n_groups, cfb_stats__threads(opts->n_threads, n, m), flip_group, &job);
    out->n_extreme = 0;
    for (size_t g = 0; g < n_groups; g++) out->n_extreme += extreme[g];
    free(extreme);
    out->n_flips = m;
    out->p = (double)(out->n_extreme + 1) / (double)(m + 1);
    return CFB_OK;
}

/* All patterns: every signed sum of the first ten differences beside every one of the rest. */
static void flip_all(const double *d, size_t n, double threshold, cfb_stats_flip *out) {
    double half[2][1 << (CFB_STATS_EXACT_FLIPS / 2)];
    size_t n_half[2] = {n / 2, n - n / 2};
    for (size_t h = 0; h < 2; h++) {
        double *t = half[h];
        const double *v = h ? d + n_half[0] : d;
        t[0] = 0;
        for (size_t k = 0, size = 1; k < n_half[h]; k++, size *= 2)
            for (size_t m = 0; m < size; m++) {
                t[size + m] = t[m] + v[k];
                t[m] -= v[k];
            }
    }
    out->n_extreme = 0;
    for (size_t i = 0; i < (size_t)1 << n_half[0]; i++)
        for (size_t j = 0; j < (size_t)1 << n_half[1]; j++) out->n_extreme += fabs(half[0][i] + half[1][j]) >= threshold;
    out->n_flips = UINT64_C(1) << n;
    out->p = (double)out->n_extreme / (double)out->n_flips;
}

static cfb_code flip_units(const cfb_stats__units *u, double scale, const cfb_stats_opts *opts, cfb_stats_flip *out,
                           cfb_err *err) {
    double *d = cfb_stats__alloc(u->n, sizeof *d, err), near = CFB_STATS__TIE * scale;
    if (d == NULL) return CFB_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) /* a cluster whose differences cancel out is 0 up to rounding */
        if (fabs(u->sum[i]) > (u->owned_sum ? near : 0)) d[n++] = u->sum[i];
    double magnitude = 0;
    for (size_t i = 0; i < n; i++) magnitude += fabs(d[i]);
    double threshold = fabs(cfb_stats__sum(d, n)) - CFB_STATS__TIE * magnitude;
    *out = (cfb_stats_flip){.n_nonzero = n};
    cfb_code code = CFB_OK;
    out->exact = n <= CFB_STATS_EXACT_FLIPS;
    if (out->exact)
        flip_all(d, n, threshold, out);
    else
        code = flip_at_random(d, n, threshold, opts, out, err);
    free(d);
    return code;
}

cfb_code cfb_stats_sign_flip(const double *d, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts, cfb_stats_flip *out,
                             cfb_err *err) {
    cfb_stats__units u;
    cfb_code code = cfb_stats__check_opts(opts, err);
    if (code == CFB_OK) code = cfb_stats__check_data(d, n, err);
    if (code == CFB_OK) code = cfb_stats__units_init(d, n, cluster, &u, err);
    if (code != CFB_OK) return code;
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(d[i]));
    code = flip_units(&u, largest, opts, out, err);
    cfb_stats__units_free(&u);
    return code;
}
