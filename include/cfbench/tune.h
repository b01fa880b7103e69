/* tune.h - finding the fastest of several ways to do the same work: the search, and models of what was measured. */
#ifndef CFBENCH_TUNE_H
#define CFBENCH_TUNE_H

#include "cfbench/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CFB_TUNE_REPS_MAX 1000

/* What was measured of one point. */
typedef struct cfb_tune_result {
    size_t n; /* repetitions */
    double rates[CFB_TUNE_REPS_MAX];
    double median, low, high; /* low..high: interval around the median, see cfb_tune_interval */
    bool dropped;             /* given up early: it is proved slower */
    bool failed;              /* it does not work here */
    char why[128];            /* of a failed one */
} cfb_tune_result;

/* Runs one point once. *rate: work per second, higher is better. A non-OK code: this point does not work here; EINTERRUPTED ends
 * the search. */
typedef cfb_code (*cfb_tune_measure_fn)(void *ctx, size_t point, double *rate, cfb_err *err);

typedef struct cfb_tune_opts {
    size_t n_points;
    const double *effort; /* (n_points) what a point costs: of equal ones the cheapest is chosen */
    int min_reps, max_reps;
    double budget_s; /* no round begins that would end after it, once every point was measured min_reps times */
    double enough;   /* a noise that ends it; 0: none does */
    uint64_t seed;   /* of the order within a round */
    cfb_stop *stop;
    /* Told after each round: its number, the leader, how many points are left, the noise so far. May be NULL. */
    void (*told)(void *ctx, int round, size_t leader, size_t n_left, double noise);
    double (*now_s)(void *ctx); /* the clock; NULL: the machine's */
} cfb_tune_opts;

/* Measures all points in rounds: each round runs every point that is left once, in an order of its own. A round before the first
 * warms up and is not counted. Points are compared by the ratios of their rates within each round (cfb_tune_ahead), so what slows
 * the machine down for a while slows both sides.
 * Dropped are points whose runs, the first included, are three times slower than the leader's, and from the third round on those
 * that are proved slower than it: the one-sided interval of error 1 % / (working points - 1) lies below 1. Leader and nearest
 * rival stay. Ends after max_reps rounds, at the budget, or from the tenth round on when the noise is at most `enough` or a
 * quarter of the distance between the leader and the one point left beside it. The choice is the leader, or a point of less
 * effort that is at most 1 % and half the noise behind it. *noise: with 95 % no point is faster than the choice by more than this
 * share of its speed: rate of the choice >= (1 - noise) x rate of the best. It is 1 - exp(-w), w the half width of the interval
 * around the choice's log ratio to its nearest rival (of error 5 % / (points left - 1), one-sided), and how far the choice is
 * behind it, if it is. A single point has none to be compared with: the half width of its own interval. With one repetition
 * nothing is known: 1. Source: multiple comparisons with the best, Hsu 1981 (The Annals of Statistics 9(5)), with Bonferroni's
 * bound. It covers chance within the search, not a machine that changes afterwards. results: (n_points). Errors: ECONFIG if no
 * point works; EINTERRUPTED. */
CFB_MUST_CHECK cfb_code cfb_tune_search(const cfb_tune_opts *o, cfb_tune_measure_fn fn, void *ctx, cfb_tune_result *results,
                                        size_t *best, double *noise, cfb_err *err);

/* How far one point is ahead of another, or a single one from 1. */
typedef struct cfb_tune_gap {
    double middle; /* of the logarithms */
    double se, df; /* its standard error (infinite for one value), and the degrees of freedom of that */
} cfb_tune_gap;

/* How far a is ahead of b in n >= 1 rounds, at most CFB_TUNE_REPS_MAX: of log(a[i] / b[i]), see cfb_tune_middle_of. Rates must be
 * positive. Pure. */
cfb_tune_gap cfb_tune_ahead(const double *a, const double *b, size_t n);
/* The mean of n values without a tenth at either end (of fewer than ten: of all). So rare slow runs, which are the machine's,
 * count little, and those that a point makes more often, as where two threads land on one core, do count: a median would not see
 * them. Its standard error is that of the winsorized values. Both sort v. Pure. Source: Tukey and McLaughlin 1963 (Sankhya A 25),
 * Yuen 1974 (Biometrika 61). */
double cfb_tune_middle(double *v, size_t n);
cfb_tune_gap cfb_tune_middle_of(double *v, size_t n);
/* Comparisons of n points with the same one: after three rounds each of them knows little of its own spread. Each variance
 * becomes its mean with that of all n, which counts as 4 degrees of freedom (or as many as the others have). Source: the
 * moderated t of Smyth 2004 (Statistical Applications in Genetics and Molecular Biology 3(1)), with a fixed weight of the prior.
 */
void cfb_tune_share_spread(cfb_tune_gap *gaps, size_t n);
/* Each end of middle -+ this lies on the wrong side with probability `error` (Student's t). Infinite where nothing is known. */
double cfb_tune_half_width(const cfb_tune_gap *g, double error);

/* The median of n values, and an interval from order statistics that holds it with at least 95 % (n >= 6; fewer: lowest and
 * highest). Sorts v. Pure. Source: binomial quantiles, as for the sign test. */
void cfb_tune_interval(double *v, size_t n, double *median, double *low, double *high);

/* Karp and Flatt 1990: the serial fraction that a speed-up of s on p threads means, (1/s - 1/p) / (1 - 1/p). NaN for p < 2. Pure.
 */
double cfb_tune_karp_flatt(double s, double p);
/* Amdahl 1967: the serial fraction f whose 1/S = f + (1 - f)/p lies closest (least squares of 1/S) to the measured ones, in [0,
 * 1]; NaN without two different p. Pure. */
double cfb_tune_amdahl(const double *p, const double *s, size_t n);

/* What the machine can do at most, measured here. */
typedef struct cfb_tune_roof {
    int threads;
    double read_gbs, triad_gbs; /* memory, 10^9 bytes/s: reading; a[i] = b[i] + k*c[i], three streams counted */
    double gemm_gflops;         /* binary32 matrix product of the loaded BLAS; NaN: there is none */
} cfb_tune_roof;
/* Takes about a second and 200 MB. Errors: ENOMEM. Outside of parallel regions. */
CFB_MUST_CHECK cfb_code cfb_tune_measure_roof(int threads, cfb_tune_roof *out, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
