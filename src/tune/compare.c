/* compare.c - the interval around a median, and two points compared round by round. */
#include "cfbench/stats.h"
#include "cfbench/tune.h"

#include <math.h>
#include <stdlib.h>

#define SHARED_DF 4 /* weight of what the other points say about the spread, in degrees of freedom */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void cfb_tune_interval(double *v, size_t n, double *median, double *low, double *high) {
    qsort(v, n, sizeof *v, by_value);
    *median = n == 0 ? (double)NAN : n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
    *low = n ? v[0] : (double)NAN;
    *high = n ? v[n - 1] : (double)NAN;
    /* P(fewer than k of n below the median) = sum_{i<k} C(n, i) / 2^n; the largest k with twice that <= 5 % */
    double p = n <= 1000 ? pow(0.5, (double)n) : 1, sum = p;
    size_t k = n <= 1000 ? 0 : (size_t)(0.5 * ((double)n - 1.96 * sqrt((double)n))); /* many: nearly normal */
    while (2 * sum <= 0.05 && k < n / 2) {
        k++;
        p *= (double)(n - k + 1) / (double)k;
        sum += p;
    }
    if (k > 1) {
        *low = v[k - 1];
        *high = v[n - k];
    }
}

static size_t trimmed(size_t n) { return n / 10; }

double cfb_tune_middle(double *v, size_t n) {
    double sum = 0;
    size_t g = trimmed(n);
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = g; i < n - g; i++) sum += v[i];
    return n ? sum / (double)(n - 2 * g) : (double)NAN;
}

cfb_tune_gap cfb_tune_middle_of(double *v, size_t n) {
    size_t g = trimmed(n), h = n - 2 * g;
    cfb_tune_gap gap = {.middle = cfb_tune_middle(v, n), .se = (double)INFINITY}; /* v is sorted now */
    double mean = 0, squares = 0;
    if (n < 2) return gap;
    /* winsorized: what is trimmed counts as the nearest value that is not */
    for (size_t i = 0; i < n; i++) mean += v[i < g ? g : i >= n - g ? n - g - 1 : i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = v[i < g ? g : i >= n - g ? n - g - 1 : i] - mean;
        squares += d * d;
    }
    gap.se = sqrt(squares / ((double)h * (double)(h - 1)));
    gap.df = (double)(h - 1);
    return gap;
}

cfb_tune_gap cfb_tune_ahead(const double *a, const double *b, size_t n) {
    double v[CFB_TUNE_REPS_MAX];
    if (n > CFB_TUNE_REPS_MAX) n = CFB_TUNE_REPS_MAX;
    for (size_t i = 0; i < n; i++) v[i] = log(a[i]) - log(b[i]);
    return cfb_tune_middle_of(v, n);
}

void cfb_tune_share_spread(cfb_tune_gap *gaps, size_t n) {
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += gaps[i].se * gaps[i].se / (double)n;
    for (size_t i = 0; i < n; i++) {
        double others = (double)(n - 1) * gaps[i].df, df = others < SHARED_DF ? others : SHARED_DF;
        if (gaps[i].df < 1) continue;
        gaps[i].se = sqrt((df * mean + gaps[i].df * gaps[i].se * gaps[i].se) / (df + gaps[i].df));
        gaps[i].df += df;
    }
}

double cfb_tune_half_width(const cfb_tune_gap *g, double error) {
    return g->df < 1 ? (double)INFINITY : cfb_stats_t_quantile(1 - error, g->df) * g->se;
}
