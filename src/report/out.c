/* out.c - the text sink. */
#include "report/internal.h"

#include <stdarg.h>
#include <stdio.h>

void report_put_str(report_out *o, cfb_str s) {
    if (o->rc == CFB_OK) o->rc = cfb_buf_append_str(o->buf, s, o->err);
}

void report_put(report_out *o, const char *z) { report_put_str(o, cfb_str_from(z)); }

void report_putf(report_out *o, const char *fmt, ...) {
    char text[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) {
        if (o->rc == CFB_OK) o->rc = cfb_err_set(o->err, CFB_EBUG, "report: piece of text too long");
        return;
    }
    report_put_str(o, (cfb_str){text, (size_t)n});
}

void report_repeat(report_out *o, const char *z, size_t n) {
    for (size_t i = 0; i < n && o->rc == CFB_OK; i++) report_put(o, z);
}

cfb_str report_score(double v, char scratch[48]) {
    if (v != v) return CFB_STR_LIT("-");
    int n = snprintf(scratch, 48, "%.4f", v);
    return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
}

cfb_str report_count(uint64_t n, char scratch[48]) {
    size_t i = 48, digits = 0;
    do {
        if (digits > 0 && digits % 3 == 0) scratch[--i] = ',';
        scratch[--i] = (char)('0' + n % 10);
        n /= 10;
        digits++;
    } while (n > 0);
    return (cfb_str){scratch + i, 48 - i};
}
