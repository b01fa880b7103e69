/* units.c - sizes such as 200M and ages such as 30d. */
#include "config/options.h"

#include <stddef.h>

/* A number at the beginning of text; *rest is what stands behind it. */
static bool read_number(const char *text, double *v, const char **rest) {
    char number[32];
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits >= sizeof number) return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    *rest = text + digits;
    return cfb_parse_double(number, v);
}

static bool to_whole(double v, int64_t *out) {
    if (v > 9007199254740992.0) return false;
    *out = (int64_t)v;
    return true;
}

bool cfb_config_parse_size(const char *text, int64_t *bytes) {
    static const char prefixes[] = "kKMGT"; /* 1, 1, 2, 3 and 4 steps */
    double v, step = 1000;
    if (!read_number(text, &v, &text)) return false;
    const char *prefix = *text ? strchr(prefixes, *text) : NULL;
    if (prefix) {
        if (*++text == 'i') step = 1024, text++;
        for (ptrdiff_t n = prefix - prefixes + (prefix == prefixes); n > 0; n--) v *= step;
    }
    if (*text == 'B') text++;
    return *text == '\0' && to_whole(v, bytes);
}

bool cfb_config_parse_age(const char *text, int64_t *seconds) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    double v;
    if (!read_number(text, &v, &text)) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text, units[i].name) == 0) return to_whole(v * units[i].seconds, seconds);
    return false;
}

const char *cfb_check_size(const char *v) {
    int64_t bytes;
    return cfb_config_parse_size(v, &bytes) ? NULL : "is not a size such as 200M, 1.5G or 64MiB";
}

const char *cfb_check_age(const char *v) {
    int64_t seconds;
    return cfb_config_parse_age(v, &seconds) ? NULL : "is not an age such as 30d, 12h, 90min or 2w";
}
