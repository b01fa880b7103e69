/* internal.h - what the files of this room share: checks, clusters, random streams, sums of random draws. */
#ifndef CFB_STATS_INTERNAL_H
#define CFB_STATS_INTERNAL_H

#include "cfbench/base.h"
#include "cfbench/stats.h"

#include <math.h>
#include <stdlib.h>

/* Numbers closer than this share of their scale are equal: rounding must not break ties. */
#define CFB_STATS__TIE 1e-12

/* ---- random streams ---- */

/* Word j of a stream is cfb_rand_u64(seed, stream, j), j = 0, 1, ...; here without mixing the seed again for every word. */
typedef struct cfb_stats__stream {
    uint64_t state;
} cfb_stats__stream;

static inline uint64_t cfb_stats__mix(uint64_t z) { /* SplitMix64's finaliser, as in base/rand.c */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#define CFB_STATS__GOLDEN UINT64_C(0x9E3779B97F4A7C15)

static inline cfb_stats__stream cfb_stats__stream_at(uint64_t seed, uint64_t stream) {
    uint64_t mixed = cfb_stats__mix(seed + CFB_STATS__GOLDEN);
    return (cfb_stats__stream){cfb_stats__mix(mixed + stream * CFB_STATS__GOLDEN + CFB_STATS__GOLDEN)};
}

static inline uint64_t cfb_stats__next(cfb_stats__stream *s) {
    s->state += CFB_STATS__GOLDEN;
    return cfb_stats__mix(s->state);
}

static inline double cfb_stats__next_unit(cfb_stats__stream *s) { return (double)(cfb_stats__next(s) >> 11) * 0x1.0p-53; }

/* A binomial number of n trials with chance p in [0, 1]; takes as many words of the stream as it needs. n < 2^53. */
uint64_t cfb_stats__binomial(cfb_stats__stream *s, uint64_t n, double p);

/* ---- data ---- */

cfb_code cfb_stats__check_data(const double *x, size_t n, cfb_err *err);   /* n >= 1, all finite, none too large */
cfb_code cfb_stats__check_level(double v, const char *name, cfb_err *err); /* in (0, 1) */
cfb_code cfb_stats__check_opts(const cfb_stats_opts *opts, cfb_err *err);
bool cfb_stats__is_constant(const double *x, size_t n);
int cfb_stats__by_value(const void *a, const void *b); /* qsort order of doubles */
/* NULL and ENOMEM when there is no memory or n * size overflows. n = 0 gives a valid pointer. */
void *cfb_stats__alloc(size_t n, size_t size, cfb_err *err);
/* Threads worth starting for so many steps of work; n_threads 0 = all cores. */
int cfb_stats__threads(int n_threads, size_t n, size_t n_resamples);

/* What is drawn, flipped and left out together: rows (sum = x, borrowed) or clusters in the order of their ids. */
typedef struct cfb_stats__units {
    const double *sum;
    const double *size; /* NULL: all units have the same size */
    size_t n, n_rows;
    double *owned_sum, *owned_size;
} cfb_stats__units;

cfb_code cfb_stats__units_init(const double *x, size_t n, const uint64_t *cluster, cfb_stats__units *out, cfb_err *err);
void cfb_stats__units_free(cfb_stats__units *u);
/* Sum of n values in blocks of 1,024: a smaller rounding error than one long sum. */
double cfb_stats__sum(const double *x, size_t n);
double cfb_stats__mean(const double *x, size_t n); /* exact for constant data */
double cfb_stats__sd(const double *x, size_t n, double mean);
double cfb_stats__units_se(const cfb_stats__units *u, double mean);

/* ---- bootstrap ---- */

/* out[r] = sum of n values drawn from v (n) with replacement, with the random numbers of stream r. */
void cfb_stats__draw_sums(const double *v, size_t n, const cfb_stats_opts *opts, double *out);
/* Quantile p of sorted values, interpolated linearly at (n - 1) p. */
double cfb_stats__quantile(const double *sorted, size_t n, double p);
double cfb_stats__acceleration(const cfb_stats__units *u, double mean);
/* Fills all of *out but mean and acceleration, which it reads. Sorts `means`. scale: largest magnitude in the data. */
void cfb_stats__intervals(double *means, size_t n, double scale, double confidence, cfb_stats_bootstrap *out);
/* The bootstrap of these units; means (n_resamples) keeps the sorted bootstrap means. */
cfb_code cfb_stats__bootstrap_units(const cfb_stats__units *u, const double *x, const cfb_stats_opts *opts, double *means,
                                    cfb_stats_bootstrap *out, cfb_err *err);

#endif
