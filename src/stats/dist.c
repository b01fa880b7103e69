#include "stats/internal.h"

#define PI 3.14159265358979323846
#define SQRT2 1.41421356237309504880
#define SQRT_2PI 2.50662827463100050242

double cfb_stats_normal_cdf(double z) { return 0.5 * erfc(-z / SQRT2); }

/* z with P(Z > z) = q, for q in (0, 1/2]. */
static double upper_quantile(double q) {
    double t = sqrt(-2 * log(q));
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (int i = 0; i < 4; i++) { /* starts within 4.5e-4; each step multiplies the number of right digits by three */
        double step = (0.5 * erfc(z / SQRT2) / q - 1) * q * SQRT_2PI * exp(0.5 * z * z);
        z += step / (1 - 0.5 * z * step);
    }
    return z;
}

double cfb_stats_normal_quantile(double p) {
    if (!(p >= 0 && p <= 1)) return NAN;
    if (p == 0) return -HUGE_VAL;
    if (p == 1) return HUGE_VAL;
    if (p == 0.5) return 0;
    return p < 0.5 ? -upper_quantile(p) : upper_quantile(1 - p);
}

/* ln Gamma(a + 1/2) - ln Gamma(a). For large a, the asymptotic series (DLMF 5.11.8 at 1/2 and 0): the difference of two large
 * logarithms would lose digits. */
static double log_gamma_step(double a) {
    if (a < 20) {
        int sign;
        return lgamma_r(a + 0.5, &sign) - lgamma_r(a, &sign);
    }
    double r = 1 / a, r2 = r * r;
    return 0.5 * log(a) - r * (1.0 / 8 - r2 * (1.0 / 192 - r2 * (1.0 / 640 - r2 * (17.0 / 14336 - r2 * (31.0 / 18432)))));
}

/* Continued fraction of I_x(a, b) without its factor x^a (1-x)^b / (a B(a, b)): DLMF 8.17.22 by Lentz's method. */
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    if (fabs(d) < tiny) d = tiny;
    d = 1 / d;
    double h = d;
    for (int m = 1; m < 2000; m++) {
        double k = m, even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
        double odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
        for (int half = 0; half < 2; half++) {
            double term = half ? odd : even;
            d = 1 + term * d;
            c = 1 + term / c;
            if (fabs(d) < tiny) d = tiny;
            if (fabs(c) < tiny) c = tiny;
            d = 1 / d;
            h *= c * d;
        }
        if (fabs(c * d - 1) < 1e-16) break;
    }
    return h;
}

/* Many degrees of freedom: a normal deviate of the same tail, from Hill, "Algorithm 395: Student's t-distribution", Comm. ACM 13
 * (1970). The continued fraction needs 1 - x, which has lost its digits there. */
#define MANY_DF 2000
static double large_df_tail(double ratio, double df) {
    double a = df - 0.5, b = 48 * a * a, y = a * log1p(ratio);
    double rest = (((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b);
    return erfc(((rest + y + 3) / b + 1) * sqrt(y) / SQRT2);
}

double cfb_stats_t_two_sided(double t, double df) {
    if (isnan(t) || !(df >= 1) || isinf(df)) return NAN;
    if (t == 0) return 1;
    double ratio = t * t / df, a = 0.5 * df;
    if (isinf(ratio)) return isinf(t) ? 0 : exp(log_gamma_step(a) - 0.5 * log(PI) - log(a) - df * (log(fabs(t)) - 0.5 * log(df)));
    if (df > MANY_DF) return large_df_tail(ratio, df);
    /* x = df/(df + t^2) and 1 - x, both without cancellation */
    double x = 1 / (1 + ratio), y = ratio / (1 + ratio);
    double front = exp(-a * log1p(ratio) + 0.5 * log(y) + log_gamma_step(a) - 0.5 * log(PI));
    if (x < (a + 1) / (a + 2.5)) return fmin(1, front * beta_fraction(a, 0.5, x) / a);
    return fmax(0, 1 - front * beta_fraction(0.5, a, y) / 0.5);
}

double cfb_stats_t_cdf(double t, double df) {
    double tail = 0.5 * cfb_stats_t_two_sided(t, df);
    return t > 0 ? 1 - tail : tail;
}

/* t > 0 with P(|T| >= t) = q: Newton's method for log P, which is nearly straight, inside a bracket. */
static double two_sided_quantile(double q, double df) {
    double lo = 0, hi = fmax(1, upper_quantile(q / 2));
    while (cfb_stats_t_two_sided(hi, df) > q && hi < 1e300) {
        lo = hi;
        hi *= 2;
    }
    double log_density = log_gamma_step(0.5 * df) - 0.5 * log(PI * df), t = 0.5 * (lo + hi);
    for (int i = 0; i < 200; i++) {
        double tail = cfb_stats_t_two_sided(t, df);
        if (tail > q)
            lo = t;
        else
            hi = t;
        double density = exp(log_density - 0.5 * (df + 1) * log1p(t * t / df));
        double next = t + log(tail / q) * tail / (2 * density);
        if (!(next > lo && next < hi)) next = 0.5 * (lo + hi);
        double moved = fabs(next - t);
        t = next;
        if (moved <= 4e-16 * t) break;
    }
    return t;
}

double cfb_stats_t_quantile(double p, double df) {
    if (!(p >= 0 && p <= 1) || !(df >= 1) || isinf(df)) return NAN;
    if (p == 0) return -HUGE_VAL;
    if (p == 1) return HUGE_VAL;
    if (p == 0.5) return 0;
    return p < 0.5 ? -two_sided_quantile(2 * p, df) : two_sided_quantile(2 * (1 - p), df);
}
