/* stats.h - how far a score can be trusted: intervals, bootstrap, paired tests, adjusted p-values, power, shared ranks.
 *
 * All functions are pure: no I/O, no state, safe from any thread. The same arguments give the same bytes for any number of
 * threads: random numbers come from (seed, number of the resample), every resample has its own slot, and sums are taken in the
 * order of the rows. Which method for which question, with formulas: docs/statistics.md.
 *
 * Scores are finite doubles of any unit, at most 1e100 (sums of their powers must be finite too); results have the same unit. A
 * NaN, an infinity or a larger score is EDOMAIN, with err->offset = its index. What one value alone cannot tell (its spread, an
 * interval) is NaN in a result, never an error.
 *
 * Clusters: `cluster` (n) names each row's cluster by any number, or is NULL, and then each row stands alone. Rows of a cluster
 * (questions about one document, say) are not independent: they are drawn, or flipped, together. */
#ifndef CFBENCH_STATS_H
#define CFBENCH_STATS_H

#include "cfbench/error.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_stats_interval {
    double lo, hi;
} cfb_stats_interval;

typedef struct cfb_stats_opts {
    double confidence;     /* of intervals, two-sided, in (0, 1) */
    size_t n_resamples;    /* bootstrap; 1 .. CFB_STATS_MAX_RESAMPLES */
    size_t n_permutations; /* sign flips when there are too many to try all; 1 .. CFB_STATS_MAX_RESAMPLES */
    uint64_t seed;
    int n_threads; /* 0 = all cores */
} cfb_stats_opts;
#define CFB_STATS_OPTS_INIT \
    { 0.95, 10000, 10000, 20231108, 0 }
#define CFB_STATS_MAX_RESAMPLES ((size_t)1 << 30)

/* ---- distributions: like libm, NaN for arguments outside the domain ---- */

/* Standard normal distribution: P(Z <= z), and its inverse for p in (0, 1); p = 0 and 1 give the infinities.
 * Formula: erfc(-z/sqrt 2)/2; the inverse starts from Abramowitz & Stegun (1964) 26.2.23 and takes Halley steps; relative
 * error of the inverse below 1e-14. */
double cfb_stats_normal_cdf(double z);
double cfb_stats_normal_quantile(double p);
/* Student's t distribution with df >= 1 degrees of freedom (need not be whole): P(T <= t), P(|T| >= |t|), and the inverse.
 * Formula: P(|T| >= |t|) = I_x(df/2, 1/2), x = df/(df + t^2); continued fraction of the incomplete beta function (DLMF 8.17.22)
 * by Lentz's method; df > 2,000: Hill, Algorithm 395, Comm. ACM 13 (1970). Inverse by Newton steps inside a bracket.
 * Relative error below 1e-11 (of the smaller tail). */
double cfb_stats_t_cdf(double t, double df);
double cfb_stats_t_two_sided(double t, double df);
double cfb_stats_t_quantile(double p, double df);

/* ---- one sample ---- */

typedef struct cfb_stats_summary {
    size_t n, n_clusters; /* n_clusters = n without clusters */
    double mean, min, max;
    double sd;                   /* of the rows; divisor n - 1; NaN for n = 1 */
    double se;                   /* of the mean, between clusters; NaN for one cluster */
    cfb_stats_interval interval; /* mean -+ t(df = n_clusters - 1) * se; NaN for one cluster */
} cfb_stats_summary;

/* Mean, spread, and Student's t interval of the mean.
 * Formula: sd^2 = sum (x - mean)^2 / (n - 1), two passes; se = sd / sqrt(n). With m clusters of sums S_c and sizes n_c:
 *          se^2 = m/(m-1) * sum (S_c - n_c mean)^2 / n^2. Source: Student (1908); Cochran, Sampling Techniques (1977), 6.4 and
 * 9A. Edge   : n = 0 is EDOMAIN; n = 1 see above; constant data give sd = se = 0, an interval of width 0, and exactly their
 * value. Owns   : nothing. Threads: pure. Errors: EDOMAIN (also for confidence outside (0, 1)), ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_stats_describe(const double *x, size_t n, const uint64_t *cluster, double confidence,
                                           cfb_stats_summary *out, cfb_err *err);

/* Wilson's score interval of a proportion, within [0, 1]; never of width 0, also for 0 or n successes.
 * Formula: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n). Source: Wilson, JASA 22 (1927).
 * Errors : EDOMAIN for n = 0, successes > n, or confidence outside (0, 1). */
CFB_MUST_CHECK cfb_code cfb_stats_wilson(uint64_t successes, uint64_t n, double confidence, cfb_stats_interval *out,
                                         cfb_err *err);
/* The same formula with the mean of n scores in [0, 1] for the rate. Such scores cannot spread more than right/wrong rows with
 * the same mean, so the interval is rather too wide than too narrow: for so few rows that nothing is known of their spread. A
 * mean beyond the ends by less than 1e-9 counts as lying there. Errors: EDOMAIN for n = 0, another mean, or confidence outside
 * (0, 1). */
CFB_MUST_CHECK cfb_code cfb_stats_wilson_mean(double mean, size_t n, double confidence, cfb_stats_interval *out, cfb_err *err);

/* Bootstrap means: out[r] is the mean of n rows drawn with replacement (with clusters: of as many clusters as there are, drawn
 * with replacement; sum of their sums over sum of their sizes), r = 0 .. n_resamples - 1.
 * How    : rows are cut into blocks of 1,024. How many of the n draws fall into each block is one multinomial number, drawn as a
 *          chain of binomials; the draws of a block are then uniform within it. This is the same distribution as drawing each
 *          row on its own, with tables that fit the first-level cache. Indices have no modulo bias. Resample r uses only
 *          cfb_rand_u64(seed, r, 0, 1, 2, ...). Means of constant data are exactly their value.
 * Source : Efron, Ann. Statist. 7 (1979); Hoermann (1993) for binomials; Lemire (2019) for bounded integers.
 * Edge   : n = 0 is EDOMAIN. Owns: nothing; the caller provides out (n_resamples). Errors: EDOMAIN, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_stats_bootstrap_means(const double *x, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts,
                                                  double *out, cfb_err *err);

typedef struct cfb_stats_bootstrap {
    double mean;                  /* of the data */
    double se;                    /* standard deviation of the bootstrap means; NaN for one resample */
    double bias_z0, acceleration; /* BCa's two constants */
    cfb_stats_interval percentile, bca;
} cfb_stats_bootstrap;

/* Percentile and BCa intervals of the mean (BCa is the one to show for a mean of bounded scores) from n_resamples bootstrap
 * means. Formula: percentile: quantiles a/2 and 1 - a/2 of the bootstrap means, interpolated linearly at (B - 1) p (NumPy's
 * default). BCa: levels Phi(z0 + (z0 + z)/(1 - acc (z0 + z))) instead, z0 = Phi^-1((#less + #equal/2) / B); acceleration from the
 *          jackknife, in closed form for the mean: sum (x - mean)^3 / (6 (sum (x - mean)^2)^1.5); with clusters by leaving out
 * one cluster at a time. Source: Efron, JASA 82 (1987); Efron & Tibshirani, An Introduction to the Bootstrap (1993), 14.3. Edge
 * : n = 0 is EDOMAIN; one row or one cluster: intervals and se NaN; constant data: intervals of width 0. A mean equals the data's
 * when they differ by at most 1e-12 of the largest magnitude (rounding). Errors : EDOMAIN, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_stats_bootstrap_mean(const double *x, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts,
                                                 cfb_stats_bootstrap *out, cfb_err *err);

/* ---- two models on the same rows ---- */

typedef struct cfb_stats_flip {
    double p;           /* two-sided */
    bool exact;         /* all sign patterns were tried */
    size_t n_nonzero;   /* differences (or clusters' sums) that are not 0 */
    uint64_t n_flips;   /* patterns tried: 2^n_nonzero, or n_permutations */
    uint64_t n_extreme; /* of them, as extreme as the data */
} cfb_stats_flip;

/* Permutation test of paired differences d: if the models are equal, each row's (or cluster's) two scores could be swapped, so
 * each sign is as likely as the other. Statistic: |sum d|.
 * Formula: n_nonzero <= CFB_STATS_EXACT_FLIPS: p = n_extreme / 2^n_nonzero. Else m random patterns and
 *          p = (n_extreme + 1) / (m + 1), which is never 0. Sums that differ by 1e-12 sum|d| or less are equal.
 * Source : Fisher, The Design of Experiments (1935), 21; Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010).
 * Edge   : n = 0 is EDOMAIN; no difference at all: p = 1. Errors: EDOMAIN, ENOMEM. */
#define CFB_STATS_EXACT_FLIPS 20
CFB_MUST_CHECK cfb_code cfb_stats_sign_flip(const double *d, size_t n, const uint64_t *cluster, const cfb_stats_opts *opts,
                                            cfb_stats_flip *out, cfb_err *err);

typedef struct cfb_stats_mcnemar {
    double p_exact;                          /* two-sided binomial: min(1, 2 P(X <= min(b, c))), X ~ Bin(b + c, 1/2) */
    double p_mid;                            /* 2 P(X <= min(b, c)) - P(X = min(b, c)): less conservative */
    double chi2_corrected, p_chi2_corrected; /* (|b - c| - 1)^2 / (b + c), 0 if b = c; 1 df; with continuity correction */
} cfb_stats_mcnemar;

/* McNemar's test of right/wrong answers: b rows where only the first model is right, c where only the second is.
 * Source : McNemar, Psychometrika 12 (1947); Edwards, Psychometrika 13 (1948) for the correction; Fagerland, Lydersen & Laake,
 *          BMC Med. Res. Methodol. 13:91 (2013) for mid-p.
 * Edge   : b + c = 0 gives p = 1. Accuracy: relative error below 1e-9 for b + c <= 10^7. Errors: ELIMIT for b + c > 2^40. */
CFB_MUST_CHECK cfb_code cfb_stats_mcnemar_test(uint64_t b, uint64_t c, cfb_stats_mcnemar *out, cfb_err *err);

typedef struct cfb_stats_wilcoxon {
    size_t n_nonzero;
    double w_plus; /* sum of the ranks of positive differences; tied magnitudes share their mean rank */
    double p;      /* two-sided */
    bool exact;
} cfb_stats_wilcoxon;

/* Wilcoxon's signed-rank test of paired differences d. Zeros are left out (Wilcoxon's own way).
 * Formula: n_nonzero <= CFB_STATS_EXACT_RANKS: the exact distribution given the ranks, ties included; p = min(1, 2 smaller tail).
 *          Else normal approximation with tie and continuity correction.
 * Source : Wilcoxon, Biometrics Bulletin 1 (1945); Hollander, Wolfe & Chicken (2014), 3.1.
 * Edge   : n = 0 is EDOMAIN; no difference at all: p = 1. Magnitudes tie when they differ by 1e-12 of the largest or less.
 * Errors : EDOMAIN, ENOMEM. */
#define CFB_STATS_EXACT_RANKS 50
CFB_MUST_CHECK cfb_code cfb_stats_wilcoxon_test(const double *d, size_t n, cfb_stats_wilcoxon *out, cfb_err *err);

/* Cliff's delta between all pairs of two samples, in [-1, 1]: P(a > b) - P(a < b).
 * Source : Cliff, Psychol. Bull. 114 (1993). O(n log n). Errors: EDOMAIN (an empty sample, NaN: offset counts a, then b), ELIMIT
 *          (n_a * n_b beyond 64 bits), ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_stats_cliff_delta(const double *a, size_t n_a, const double *b, size_t n_b, double *out,
                                              cfb_err *err);

typedef struct cfb_stats_comparison {
    size_t n, n_clusters;
    double mean_a, mean_b, diff; /* diff = mean of a - b over rows */
    double sd_diff, se_diff;     /* of the differences, as in cfb_stats_summary */
    /* To show: Student's t interval of the difference, and McNemar's mid-p for right/wrong rows without clusters, else the
     * permutation test's p. In simulations these held their level where others did not: docs/statistics.md. */
    cfb_stats_interval interval;
    double p;
    cfb_stats_bootstrap bootstrap; /* of the difference */
    double p_bootstrap;            /* (#{|m* - diff| >= |diff|} + 1) / (B + 1): bootstrap under shift; 1 without a difference */
    double p_t;                    /* paired t test, df = n_clusters - 1; NaN for one cluster; 0 if se_diff = 0 and diff != 0 */
    cfb_stats_flip flip;
    cfb_stats_wilcoxon wilcoxon; /* over rows: clusters are not seen */
    size_t wins, ties, losses;   /* rows where a > b, a = b, a < b */
    double dominance;            /* (wins - losses) / n: Cliff's paired delta d_w, in [-1, 1] */
    double cohen_dz;             /* diff / sd_diff (Cohen 1988); 0 if diff = 0; NaN for n = 1; infinite for a constant shift */
    bool binary;                 /* all scores are 0 or 1; then: */
    cfb_stats_mcnemar mcnemar;   /* over rows; all NaN if not binary */
} cfb_stats_comparison;

/* Paired comparison of models a and b: a[i] and b[i] are the scores of the same row.
 * Scores that differ by at most 1e-12 of the larger magnitude are equal. Source: as above; Efron & Tibshirani (1993), 16.4, for
 * p_bootstrap; Cliff (1993). Edge: n = 0 is EDOMAIN; n = 1: the interval is NaN; equal models: diff = 0, p = 1.
 * Errors: EDOMAIN, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_stats_compare(const double *a, const double *b, size_t n, const uint64_t *cluster,
                                          const cfb_stats_opts *opts, cfb_stats_comparison *out, cfb_err *err);

/* ---- many comparisons ---- */

/* Adjusted p-values of m tests, in the order of p; at most 1, and in the order of the p-values (equal ones stay equal).
 * Holm   : max over j <= i of min(1, (m - j + 1) p_(j)): the chance of any false alarm stays below alpha, whatever the
 * dependence. Source: Holm, Scand. J. Statist. 6 (1979). BH     : min over j >= i of min(1, m p_(j) / j): the expected share of
 * false alarms among the findings stays below alpha, for independent or positively dependent tests. Source: Benjamini & Hochberg,
 * J. R. Statist. Soc. B 57 (1995). Edge   : m = 0 is fine. out (m) may be p itself. Errors: EDOMAIN (p outside [0, 1] or NaN;
 * offset = its index), ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_stats_holm(const double *p, size_t m, double *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_stats_benjamini_hochberg(const double *p, size_t m, double *out, cfb_err *err);

typedef struct cfb_stats_band {
    size_t best, worst; /* 1 = best; a band "1-3" */
} cfb_stats_band;

/* Rank bands of k models. Models i and j can be told apart when p[i * k + j] < alpha (adjusted p-values, symmetric; the diagonal
 * is not read) and their means differ. By mean alone, i has the places 1 + #{mean > its own} .. #{mean >= its own}. Its band
 * runs from the best to the worst place of all models that cannot be told apart from it, itself included. So two such models
 * always share at least both their places, and a model told apart from all others stands alone ("2-2").
 * Edge   : k = 0 is fine. "Cannot be told apart" is not transitive, so bands may overlap without being equal.
 * Errors : EDOMAIN (a mean that is not finite, p outside [0, 1] or not symmetric, alpha outside (0, 1)). */
CFB_MUST_CHECK cfb_code cfb_stats_rank_bands(const double *mean, const double *p, size_t k, double alpha, cfb_stats_band *out,
                                             cfb_err *err);

/* ---- power of a paired comparison: normal approximation, two-sided test at level alpha ---- */

/* The smallest true difference that n rows show with this power: (z_(1-alpha/2) + z_power) sd / sqrt(n).
 * sd: standard deviation of the rows' differences (sd_diff). Source: Cohen, Statistical Power Analysis (1988), 2.4; Card et al.,
 * EMNLP (2020). The far tail is left out, so power must be at least alpha/2. For n below about 30 it is a few percent too small.
 * Errors: EDOMAIN (sd negative or not finite, n = 0, alpha outside (0, 1), power outside [alpha/2, 1)). */
CFB_MUST_CHECK cfb_code cfb_stats_min_difference(double sd, uint64_t n, double alpha, double power, double *out, cfb_err *err);
/* Rows needed to see a true difference `diff` (its sign does not matter): the least whole n >= ((z_(1-alpha/2) + z_power) sd /
 * diff)^2, at least 1. Errors: EDOMAIN as above, and for diff = 0; ELIMIT beyond 2^53 rows. */
CFB_MUST_CHECK cfb_code cfb_stats_rows_needed(double sd, double diff, double alpha, double power, uint64_t *out, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
