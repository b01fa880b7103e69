/* Binomial random numbers: inversion for a small mean, else Hoermann's transformed rejection (BTRS), "The generation of binomial
 * random variates", J. Stat. Comput. Simul. 46 (1993). Both follow the distribution up to rounding of binary64. */
#include "stats/internal.h"

/* ln k! minus Stirling's main part (k + 1/2) ln(k + 1) - (k + 1) + ln(2 pi)/2. */
static double stirling_rest(double k) {
    static const double rest[10] = {0.08106146679532726,  0.04134069595540929, 0.02767792568499834, 0.02079067210376509,
                                    0.01664469118982119,  0.01387612882307075, 0.01189670994589177, 0.01041126526197209,
                                    0.009255462182712733, 0.008330563433362871};
    if (k < 10) return rest[(int)k];
    double r = 1 / ((k + 1) * (k + 1));
    return (1.0 / 12 - (1.0 / 360 - r / 1260) * r) / (k + 1);
}

/* Walks up the distribution function. p <= 1/2, n p < 10. */
static uint64_t by_inversion(cfb_stats__stream *s, uint64_t n, double p) {
    double odds = p / (1 - p), first = exp((double)n * log1p(-p));
    for (;;) {
        double u = cfb_stats__next_unit(s), f = first;
        for (uint64_t k = 0; k <= n && k < 200; k++) {
            if (u < f) return k;
            u -= f;
            f *= odds * (double)(n - k) / (double)(k + 1);
        }
        /* u fell into what rounding left over, about 1e-16: draw again */
    }
}

/* p <= 1/2, n p >= 10. */
static uint64_t by_rejection(cfb_stats__stream *s, uint64_t trials, double p) {
    double n = (double)trials, spq = sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * spq, a = -0.0873 + 0.0248 * b + 0.01 * p;
    double c = n * p + 0.5, v_r = 0.92 - 4.2 / b;
    for (;;) {
        double u = cfb_stats__next_unit(s) - 0.5, v = cfb_stats__next_unit(s), us = 0.5 - fabs(u);
        if (us == 0) continue;
        double k = floor((2 * a / us + b) * u + c);
        if (us >= 0.07 && v <= v_r) return (uint64_t)k; /* most draws end here */
        if (k < 0 || k > n) continue;
        double alpha = (2.83 + 5.1 / b) * spq, m = floor((n + 1) * p), odds = p / (1 - p);
        double left = log(v * alpha / (a / (us * us) + b));
        double right = (m + 0.5) * log((m + 1) / (odds * (n - m + 1))) + (n + 1) * log((n - m + 1) / (n - k + 1)) +
                       (k + 0.5) * log(odds * (n - k + 1) / (k + 1)) + stirling_rest(m) + stirling_rest(n - m) -
                       stirling_rest(k) - stirling_rest(n - k);
        if (left <= right) return (uint64_t)k;
    }
}

uint64_t cfb_stats__binomial(cfb_stats__stream *s, uint64_t n, double p) {
    if (n == 0 || p <= 0) return 0;
    if (p >= 1) return n;
    if (p > 0.5) return n - cfb_stats__binomial(s, n, 1 - p);
    return (double)n * p < 10 ? by_inversion(s, n, p) : by_rejection(s, n, p);
}
