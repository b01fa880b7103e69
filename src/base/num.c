#include "cfbench/base.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* "d.ddde[+-]xx" of snprintf -> digits without trailing zeros and the decimal exponent of the first digit. */
static int split_exp(const char *text, char *digits, int *exp10) {
    int n = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p != '.') digits[n++] = *p;
    *exp10 = atoi(p + 1);
    while (n > 1 && digits[n - 1] == '0') n--;
    digits[n] = '\0';
    return n;
}

static double read_digits(const char *digits, int n, int exp10) {
    char text[48];
    snprintf(text, sizeof text, "%.*se%d", n, digits, exp10 - (n - 1));
    return strtod(text, NULL);
}

/* Adds one to the last digit; returns 0 when it would carry out of the first digit (not needed: the nearest
 * candidate is then shorter and was tried already). */
static int bump(char *digits, int n) {
    int i = n - 1;
    while (i >= 0 && digits[i] == '9') digits[i--] = '0';
    if (i < 0) return 0;
    digits[i]++;
    return 1;
}

/* Shortest digits that read back as v (v finite, positive). 15 digits always survive a trip through a normal binary64, so a
 * shorter decimal shows up as trailing zeros there; subnormals hold fewer digits and are tried from one digit on. Just above a
 * power of two the interval is lopsided, and the upper 16-digit neighbour may round-trip where the nearest one does not. */
static int shortest(double v, char digits[24], int *exp10) {
    char text[40];
    int n;
    for (int precision = v < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, v);
        n = split_exp(text, digits, exp10);
        if (precision == 17 || strtod(text, NULL) == v) return n;
        if (precision != 16) continue;
        while (n < 16) digits[n++] = '0'; /* the neighbour has all 16 digits */
        digits[n] = '\0';
        if (bump(digits, n) && read_digits(digits, n, *exp10) == v) return n;
    }
    return n;
}

size_t cfb_format_count(uint64_t v, char buf[20]) {
    char digits[20], *p = digits + sizeof digits;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    size_t n = (size_t)(digits + sizeof digits - p);
    memcpy(buf, p, n);
    return n;
}

/* Numbers with at most four decimals, the usual ones of tables, without printf and strtod. r and 10^k are exact, so r / 10^k is
 * the double nearest to that decimal. It has at most 14 digits, and no two decimals of up to 15 are the same double: the first k
 * that fits gives the shortest text. 0: not such a number. */
static size_t format_short(double v, char *buf) {
    double scale = 1;
    if (!(v < 4294967296.0)) return 0;
    for (size_t k = 0; k <= 4; k++, scale *= 10) {
        double r = rint(v * scale);
        if (r / scale != v) continue;
        uint64_t all = (uint64_t)r, unit = (uint64_t)scale;
        size_t n = cfb_format_count(all / unit, buf);
        buf[n++] = '.';
        if (k == 0) {
            buf[n++] = '0';
        } else {
            for (uint64_t rest = all % unit; unit > 1; rest %= unit) buf[n++] = (char)('0' + rest / (unit /= 10));
        }
        buf[n] = '\0';
        return n;
    }
    return 0;
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 wide;

/* Fractions, which most scores are, as `shortest` writes them, but in whole numbers: v is m / 2^s, and its decimal of k places is
 * m * 10^k / 2^s, which 128 bits hold exactly. v in [1e-4, 1) and not a power of two: halfway to the next double it is as far up
 * as down, so only the nearest decimal of so many digits can read back as v. 0: left to `shortest`. */
static size_t format_fraction(double v, char *buf) {
    static const double powers[] = {0.1, 0.01, 0.001, 0.0001};
    static const uint64_t limits[] = {UINT64_C(1000000000000000), UINT64_C(10000000000000000), UINT64_C(100000000000000000)};
    int e, zeros = 0, more = 0; /* behind the point; digits beyond 15 */
    uint64_t m = (uint64_t)ldexp(frexp(v, &e), 53), digits = 0;
    int s = 53 - e;
    while (v < powers[zeros]) zeros++;
    if (m == UINT64_C(1) << 52) return 0;
    wide scale = 1;
    for (int i = 0; i < 15 + zeros; i++) scale *= 10;
    for (;; more++, scale *= 10) {
        wide exact = m * scale, down = exact >> s, rest = exact - (down << s), half = (wide)1 << (s - 1);
        bool up = rest > half || (rest == half && (down & 1) != 0);
        wide off = 2 * (up ? ((wide)1 << s) - rest : rest); /* from v, in halves of the last binary place / scale */
        digits = (uint64_t)down + up;
        if (digits >= limits[more]) return 0; /* a digit more in front */
        if (more == 2 || off < scale || (off == scale && (m & 1) == 0)) break;
    }
    int n = 15 + more;
    for (; digits % 10 == 0; digits /= 10) n--;
    memcpy(buf, "0.0000", 6);
    buf[2 + zeros + n] = '\0';
    for (int i = n; i > 0; digits /= 10) buf[1 + zeros + i--] = (char)('0' + digits % 10);
    return (size_t)(2 + zeros + n);
}
#else
static size_t format_fraction(double v, char *buf) {
    (void)v, (void)buf;
    return 0;
}
#endif

size_t cfb_format_double(double v, char buf[32]) {
    if (v >= 1e-4) {
        size_t n = format_short(v, buf);
        if (n == 0 && v < 1) n = format_fraction(v, buf);
        if (n > 0) return n;
    }
    if (isnan(v)) return (size_t)snprintf(buf, 32, "nan");
    const char *sign = signbit(v) ? "-" : "";
    v = fabs(v);
    if (isinf(v)) return (size_t)snprintf(buf, 32, "%sinf", sign);
    if (v == 0) return (size_t)snprintf(buf, 32, "%s0.0", sign);
    char d[24];
    int e, n = shortest(v, d, &e);
    if (e < -4 || e >= 16) {
        const char *esign = e < 0 ? "-" : "+";
        int ae = e < 0 ? -e : e;
        if (n == 1) return (size_t)snprintf(buf, 32, "%s%ce%s%02d", sign, d[0], esign, ae);
        return (size_t)snprintf(buf, 32, "%s%c.%se%s%02d", sign, d[0], d + 1, esign, ae);
    }
    if (e < 0) return (size_t)snprintf(buf, 32, "%s0.%.*s%s", sign, -e - 1, "0000", d);
    if (n <= e + 1) return (size_t)snprintf(buf, 32, "%s%s%.*s.0", sign, d, e + 1 - n, "0000000000000000");
    return (size_t)snprintf(buf, 32, "%s%.*s.%s", sign, e + 1, d, d + e + 1);
}

static bool plain_number_start(const char *s) {
    if (*s == '-' || *s == '+') s++;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) return false;
    return (*s >= '0' && *s <= '9') || *s == '.';
}

bool cfb_parse_double(const char *s, double *out) {
    if (!plain_number_start(s)) return false;
    char *end;
    errno = 0;
    double v = strtod(s, &end);
    if (end == s || *end != '\0' || !isfinite(v)) return false;
    *out = v;
    return true;
}

bool cfb_parse_int(const char *s, int64_t *out) {
    if (!plain_number_start(s)) return false;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end != '\0' || errno == ERANGE) return false;
    *out = v;
    return true;
}
