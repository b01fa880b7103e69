/* tune.h - finding the fastest of several ways to do the same work: the search, and models of what was measured. */
#ifndef CFBENCH_TUNE_H
#define CFBENCH_TUNE_H

#include "cfbench/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CFB_TUNE_REPS_MAX 64

/* What was measured of one point. */
typedef struct cfb_tune_result {
    size_t n; /* repetitions */
    double rates[CFB_TUNE_REPS_MAX];
    double median, low, high; /* low..high: interval around the median, see cfb_tune_interval */
    bool dropped;             /* given up early: it could not win any more */
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
    double budget_s; /* after this no further round begins once every point was measured */
    uint64_t seed;   /* of the order within a round */
    cfb_stop *stop;
    /* Told after each measurement; may be NULL. */
    void (*told)(void *ctx, size_t point, int round, double rate);
} cfb_tune_opts;

/* Measures all points in rounds: each round runs every point that is left once, in an order of its own (interleaved, so that a
 * machine that slows down slows all). A round before the first warms up and is not counted. A point whose runs are all three times
 * slower than the leader's is dropped at once. From the third round on, one is dropped when its best run is slower than the leader's
 * worst; and after every second round the slower half goes, down to four, if it is also slower than the leader by more than the noise.
 * *best: the highest median; of those within half the noise of it the one of the least effort. *noise: relative half width of the
 * interval around the median: the leader's or the median one of all that were measured to the end, whichever is larger. results:
 * (n_points). Errors: ECONFIG if no point works; EINTERRUPTED. */
CFB_MUST_CHECK cfb_code cfb_tune_search(const cfb_tune_opts *o, cfb_tune_measure_fn fn, void *ctx, cfb_tune_result *results,
                                        size_t *best, double *noise, cfb_err *err);

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
