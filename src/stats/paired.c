/* Two models on the same rows: McNemar, Wilcoxon, Cliff's delta, and the comparison that holds everything. */
#include "stats/internal.h"

#define SQRT2 1.41421356237309504880
#define LN2 0.69314718055994530942

/* ---- McNemar ---- */

cfb_code cfb_stats_mcnemar_test(uint64_t b, uint64_t c, cfb_stats_mcnemar *out, cfb_err *err) {
    const uint64_t most = UINT64_C(1) << 40;
    if (b > most || c > most || b + c > most)
        return cfb_err_set(err, CFB_ELIMIT, "McNemar's test of more than 2^40 rows where the models differ");
    *out = (cfb_stats_mcnemar){1, 1, 0, 1};
    if (b == c) return CFB_OK; /* nothing is less extreme; also b + c = 0 */
    double n = (double)(b + c), least = (double)(b < c ? b : c);
    int sign;
    double point = exp(lgamma_r(n + 1, &sign) - lgamma_r(least + 1, &sign) - lgamma_r(n - least + 1, &sign) - n * LN2);
    double tail = 0, term = 1;
    for (double k = least; term > 1e-18 * tail; k--) { /* P(X = k) over P(X = least), downwards */
        tail += term;
        if (k == 0) break;
        term *= k / (n - k + 1);
    }
    out->p_exact = fmin(1, 2 * point * tail);
    out->p_mid = fmin(1, 2 * point * tail - point);
    double beyond = fabs((double)b - (double)c) - 1;
    out->chi2_corrected = beyond * beyond / n;
    out->p_chi2_corrected = erfc(sqrt(out->chi2_corrected / 2));
    return CFB_OK;
}

/* ---- Wilcoxon ---- */

typedef struct ranked {
    double magnitude;
    bool positive;
    uint64_t rank2; /* twice the rank: whole also for the mean rank of a tie */
} ranked;

static int by_magnitude(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->magnitude != y->magnitude) return x->magnitude < y->magnitude ? -1 : 1;
    return x->positive - y->positive;
}

/* Gives ranks to sorted magnitudes; a tie starts at its smallest member. Returns the sum of t^3 - t over ties of t. */
static double give_ranks(ranked *r, size_t n) {
    double near = n ? CFB_STATS__TIE * r[n - 1].magnitude : 0, ties = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && r[end].magnitude - r[i].magnitude <= near) end++;
        double t = (double)(end - i);
        ties += t * t * t - t;
        for (size_t k = i; k < end; k++) r[k].rank2 = i + end + 1; /* ranks i + 1 .. end */
        i = end;
    }
    return ties;
}

/* Two-sided p from the number of sign patterns with each sum of doubled ranks. All numbers are whole and below 2^53. */
static double exact_ranks(const ranked *r, size_t n, uint64_t w2) {
    double ways[CFB_STATS_EXACT_RANKS * (CFB_STATS_EXACT_RANKS + 1) + 1] = {1};
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t add = (size_t)r[i].rank2;
        for (size_t s = most + 1; s-- > 0;) ways[s + add] += ways[s];
        most += add;
    }
    double below = 0, above = 0;
    for (size_t s = 0; s <= most; s++) {
        if (s <= w2) below += ways[s];
        if (s >= w2) above += ways[s];
    }
    return fmin(1, ldexp(2 * fmin(below, above), -(int)n));
}

static double approximate_ranks(size_t n_nonzero, double w, double ties) {
    double n = (double)n_nonzero, off = fabs(w - n * (n + 1) / 4) - 0.5;
    double variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48;
    return erfc(fmax(0, off) / sqrt(variance) / SQRT2);
}

cfb_code cfb_stats_wilcoxon_test(const double *d, size_t n, cfb_stats_wilcoxon *out, cfb_err *err) {
    cfb_code code = cfb_stats__check_data(d, n, err);
    if (code != CFB_OK) return code;
    ranked *r = cfb_stats__alloc(n, sizeof *r, err);
    if (r == NULL) return CFB_ENOMEM;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (d[i] != 0) r[m++] = (ranked){fabs(d[i]), d[i] > 0, 0};
    qsort(r, m, sizeof *r, by_magnitude);
    double ties = give_ranks(r, m);
    uint64_t w2 = 0;
    for (size_t i = 0; i < m; i++)
        if (r[i].positive) w2 += r[i].rank2;
    *out = (cfb_stats_wilcoxon){.n_nonzero = m, .w_plus = 0.5 * (double)w2, .exact = m <= CFB_STATS_EXACT_RANKS};
    out->p = out->exact ? exact_ranks(r, m, w2) : approximate_ranks(m, out->w_plus, ties);
    free(r);
    return CFB_OK;
}

/* ---- Cliff's delta ---- */

/* Both sorted. Adds up, over all of a, how many of b are smaller and how many are larger. */
static void count_pairs(const double *a, size_t n_a, const double *b, size_t n_b, uint64_t *more, uint64_t *less) {
    size_t below = 0, not_above = 0;
    *more = *less = 0;
    for (size_t i = 0; i < n_a; i++) {
        while (below < n_b && b[below] < a[i]) below++;
        while (not_above < n_b && b[not_above] <= a[i]) not_above++;
        *more += below;
        *less += n_b - not_above;
    }
}

cfb_code cfb_stats_cliff_delta(const double *a, size_t n_a, const double *b, size_t n_b, double *out, cfb_err *err) {
    size_t pairs, n;
    if (!cfb_size_mul(n_a, n_b, &pairs) || !cfb_size_add(n_a, n_b, &n))
        return cfb_err_set(err, CFB_ELIMIT, "Cliff's delta of %zu and %zu scores: too many pairs", n_a, n_b);
    cfb_code code = cfb_stats__check_data(a, n_a, err);
    if (code != CFB_OK) return code;
    code = cfb_stats__check_data(b, n_b, err);
    if (code != CFB_OK) {
        if (err != NULL) err->offset += n_a;
        return code;
    }
    double *sorted = cfb_stats__alloc(n, sizeof *sorted, err);
    if (sorted == NULL) return CFB_ENOMEM;
    memcpy(sorted, a, n_a * sizeof *a);
    memcpy(sorted + n_a, b, n_b * sizeof *b);
    qsort(sorted, n_a, sizeof *sorted, cfb_stats__by_value);
    qsort(sorted + n_a, n_b, sizeof *sorted, cfb_stats__by_value);
    uint64_t more, less;
    count_pairs(sorted, n_a, sorted + n_a, n_b, &more, &less);
    *out = (more >= less ? (double)(more - less) : -(double)(less - more)) / (double)pairs;
    free(sorted);
    return CFB_OK;
}

/* ---- everything about two models ---- */

/* d = a - b, exactly 0 where the scores are equal up to rounding; counts wins; says whether all scores are 0 or 1. */
static void subtract(const double *a, const double *b, double *d, cfb_stats_comparison *c) {
    c->binary = true;
    for (size_t i = 0; i < c->n; i++) {
        bool equal = fabs(a[i] - b[i]) <= CFB_STATS__TIE * fmax(fabs(a[i]), fabs(b[i]));
        d[i] = equal ? 0 : a[i] - b[i];
        c->wins += d[i] > 0;
        c->ties += equal;
        c->losses += d[i] < 0;
        c->binary = c->binary && (a[i] == 0 || a[i] == 1) && (b[i] == 0 || b[i] == 1);
    }
}

static double shifted_p(const double *means, size_t n, double diff, double scale) {
    if (diff == 0) return 1;
    double threshold = fabs(diff) - CFB_STATS__TIE * scale;
    size_t extreme = 0;
    for (size_t r = 0; r < n; r++) extreme += fabs(means[r] - diff) >= threshold;
    return (double)(extreme + 1) / (double)(n + 1);
}

static void effect_sizes(cfb_stats_comparison *c) {
    c->dominance = ((double)c->wins - (double)c->losses) / (double)c->n;
    c->cohen_dz = c->n < 2 ? NAN : c->diff == 0 ? 0 : c->diff / c->sd_diff;
    if (c->n_clusters < 2)
        c->p_t = NAN;
    else if (c->diff == 0)
        c->p_t = 1;
    else
        c->p_t = c->se_diff > 0 ? cfb_stats_t_two_sided(c->diff / c->se_diff, (double)(c->n_clusters - 1)) : 0;
}

static cfb_code test_differences(const double *d, const uint64_t *cluster, const cfb_stats_opts *opts, cfb_stats_comparison *c,
                                 cfb_err *err) {
    cfb_stats_summary s;
    cfb_stats__units u = {0};
    double *means = cfb_stats__alloc(opts->n_resamples, sizeof *means, err);
    cfb_code code = means ? cfb_stats_describe(d, c->n, cluster, opts->confidence, &s, err) : CFB_ENOMEM;
    if (code == CFB_OK) code = cfb_stats__units_init(d, c->n, cluster, &u, err);
    if (code != CFB_OK) goto out;
    c->n_clusters = s.n_clusters;
    c->diff = s.mean;
    c->sd_diff = s.sd;
    c->se_diff = s.se;
    c->interval = s.interval;
    code = cfb_stats__bootstrap_units(&u, d, opts, means, &c->bootstrap, err);
    if (code != CFB_OK) goto out;
    c->p_bootstrap = u.n < 2 ? NAN : shifted_p(means, opts->n_resamples, c->diff, fmax(fabs(s.min), fabs(s.max)));
    code = cfb_stats_sign_flip(d, c->n, cluster, opts, &c->flip, err);
    if (code == CFB_OK) code = cfb_stats_wilcoxon_test(d, c->n, &c->wilcoxon, err);
out:
    cfb_stats__units_free(&u);
    free(means);
    return code;
}

cfb_code cfb_stats_compare(const double *a, const double *b, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts,
                           cfb_stats_comparison *out, cfb_err *err) {
    cfb_code code = cfb_stats__check_opts(opts, err);
    if (code == CFB_OK) code = cfb_stats__check_data(a, n, err);
    if (code == CFB_OK) code = cfb_stats__check_data(b, n, err);
    if (code != CFB_OK) return code;
    double *d = cfb_stats__alloc(n, sizeof *d, err);
    if (d == NULL) return CFB_ENOMEM;
    cfb_stats_comparison c = {
        .n = n, .mean_a = cfb_stats__mean(a, n), .mean_b = cfb_stats__mean(b, n), .mcnemar = {NAN, NAN, NAN, NAN}};
    subtract(a, b, d, &c);
    code = test_differences(d, cluster, opts, &c, err);
    if (code != CFB_OK) goto out;
    effect_sizes(&c);
    if (c.binary) code = cfb_stats_mcnemar_test(c.wins, c.losses, &c.mcnemar, err);
    if (code != CFB_OK) goto out;
    c.p = c.binary && cluster == NULL ? c.mcnemar.p_mid : c.flip.p;
    *out = c;
out:
    free(d);
    return code;
}
