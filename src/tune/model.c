/* model.c - speed-up: Amdahl's law, Karp and Flatt's metric. */
#include "cfbench/tune.h"

#include <math.h>

double cfb_tune_karp_flatt(double s, double p) { return p > 1 && s > 0 ? (1 / s - 1 / p) / (1 - 1 / p) : (double)NAN; }

double cfb_tune_amdahl(const double *p, const double *s, size_t n) {
    double xx = 0, xy = 0; /* 1/S - 1/p = f (1 - 1/p): a line through 0 */
    for (size_t i = 0; i < n; i++) {
        if (!(p[i] > 1) || !(s[i] > 0)) continue;
        double x = 1 - 1 / p[i], y = 1 / s[i] - 1 / p[i];
        xx += x * x;
        xy += x * y;
    }
    if (!(xx > 0)) return (double)NAN;
    double f = xy / xx;
    return f < 0 ? 0 : f > 1 ? 1 : f;
}
