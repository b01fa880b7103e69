/* headers.c - what response headers say about limits and waiting. Servers agree on little: every form below was seen somewhere.
 * What is malformed is left alone; a wait is never negative and never longer than a day. */
#include "client/internal.h"

#include <math.h>

#define DAY_S 86400.0

/* ---- values ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A decimal number at *pos, without sign or exponent, moved behind it. Absurdly long ones become huge, not infinite. */
static bool read_number(cfb_str s, size_t *pos, double *out) {
    size_t i = *pos;
    double v = 0, scale = 1;
    while (i < s.len && is_digit(s.ptr[i])) v = fmin(v * 10 + (s.ptr[i++] - '0'), 1e18);
    size_t n = i - *pos;
    if (i < s.len && s.ptr[i] == '.') {
        size_t point = i++;
        for (; i < s.len && is_digit(s.ptr[i]); i++)
            if (scale > 1e-9) v += (s.ptr[i] - '0') * (scale /= 10);
        n += i - point - 1;
    }
    if (n == 0) return false;
    *pos = i;
    *out = v;
    return true;
}

static bool take(cfb_str s, size_t *pos, const char *word) {
    size_t n = strlen(word);
    if (s.len - *pos < n || memcmp(s.ptr + *pos, word, n) != 0) return false;
    *pos += n;
    return true;
}

/* Exactly n digits. */
static bool take_digits(cfb_str s, size_t *pos, size_t n, int *out) {
    if (s.len - *pos < n) return false;
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s.ptr[*pos + i])) return false;
        v = v * 10 + (s.ptr[*pos + i] - '0');
    }
    *pos += n;
    *out = v;
    return true;
}

/* Days from 1970-01-01 of the proleptic Gregorian calendar (month 1..12), counted in years that begin in March. */
static int64_t days_of(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct date {
    int year, month, day, hour, minute, second;
};

static bool take_time(cfb_str s, size_t *pos, struct date *d) {
    return take_digits(s, pos, 2, &d->hour) && take(s, pos, ":") && take_digits(s, pos, 2, &d->minute) && take(s, pos, ":") &&
           take_digits(s, pos, 2, &d->second);
}

static bool take_month(cfb_str s, size_t *pos, int *month) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int m = 0; m < 12; m++)
        if (s.len - *pos >= 3 && memcmp(s.ptr + *pos, names + m * 3, 3) == 0) {
            *month = m + 1;
            *pos += 3;
            return true;
        }
    return false;
}

static bool to_seconds(const struct date *d, double *out) {
    if (d->month < 1 || d->month > 12 || d->day < 1 || d->day > 31 || d->hour > 23 || d->minute > 59 || d->second > 60)
        return false;
    *out = (double)(days_of(d->year, d->month, d->day) * 86400 + d->hour * 3600 + d->minute * 60 + d->second);
    return true;
}

/* RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". The name of the
 * day is not looked at. A year of two digits is the one that is at most 50 years ahead of now. */
static bool read_http_date(cfb_str s, double now_s, double *out) {
    struct date d = {0};
    size_t pos = 0;
    while (pos < s.len && ((s.ptr[pos] | 0x20) >= 'a' && (s.ptr[pos] | 0x20) <= 'z')) pos++;
    if (pos < 3) return false;
    if (take(s, &pos, ", ")) {
        if (!take_digits(s, &pos, 2, &d.day)) return false;
        if (take(s, &pos, "-")) {
            if (!take_month(s, &pos, &d.month) || !take(s, &pos, "-") || !take_digits(s, &pos, 2, &d.year)) return false;
            int this_year = 1970 + (int)(now_s / 31556952.0);
            d.year += this_year / 100 * 100;
            if (d.year > this_year + 50) d.year -= 100;
        } else if (!take(s, &pos, " ") || !take_month(s, &pos, &d.month) || !take(s, &pos, " ") ||
                   !take_digits(s, &pos, 4, &d.year)) {
            return false;
        }
        return take(s, &pos, " ") && take_time(s, &pos, &d) && take(s, &pos, " GMT") && pos == s.len && to_seconds(&d, out);
    }
    if (!take(s, &pos, " ") || !take_month(s, &pos, &d.month) || !take(s, &pos, " ")) return false;
    if (!(take(s, &pos, " ") ? take_digits(s, &pos, 1, &d.day) : take_digits(s, &pos, 2, &d.day))) return false;
    return take(s, &pos, " ") && take_time(s, &pos, &d) && take(s, &pos, " ") && take_digits(s, &pos, 4, &d.year) &&
           pos == s.len && to_seconds(&d, out);
}

/* RFC 3339: "2026-01-31T12:00:00Z", with a fraction, with +01:00. */
static bool read_iso_date(cfb_str s, double *out) {
    struct date d = {0};
    size_t pos = 0;
    if (!take_digits(s, &pos, 4, &d.year) || !take(s, &pos, "-") || !take_digits(s, &pos, 2, &d.month) || !take(s, &pos, "-") ||
        !take_digits(s, &pos, 2, &d.day))
        return false;
    if (!take(s, &pos, "T") && !take(s, &pos, "t") && !take(s, &pos, " ")) return false;
    if (!take_time(s, &pos, &d) || !to_seconds(&d, out)) return false;
    double fraction = 0;
    if (pos < s.len && s.ptr[pos] == '.' && !read_number(s, &pos, &fraction)) return false;
    *out += fraction;
    if (take(s, &pos, "Z") || take(s, &pos, "z")) return pos == s.len;
    int sign = take(s, &pos, "+") ? 1 : take(s, &pos, "-") ? -1 : 0, hours, minutes;
    if (sign == 0 || !take_digits(s, &pos, 2, &hours) || !take(s, &pos, ":") || !take_digits(s, &pos, 2, &minutes)) return false;
    *out -= sign * (hours * 3600 + minutes * 60);
    return pos == s.len;
}

/* Go's durations, as OpenAI and Groq send them: "1s", "6m0s", "20ms", "1h2m3.5s", "2m59.56s". */
static bool read_duration(cfb_str s, double *out) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6}, {"\xCE\xBCs", 1e-6}, {"ns", 1e-9},
                 {"s", 1},     {"m", 60},    {"h", 3600},         {"d", DAY_S}};
    double sum = 0;
    size_t pos = 0;
    if (s.len == 0) return false;
    while (pos < s.len) {
        double v;
        size_t unit = 0, n = sizeof units / sizeof *units;
        if (!read_number(s, &pos, &v)) return false;
        while (unit < n && !take(s, &pos, units[unit].name)) unit++;
        if (unit == n) return false;
        sum += v * units[unit].seconds;
    }
    *out = sum;
    return true;
}

static double clamped(double v) { return v > 0 ? fmin(v, DAY_S) : 0; }

/* A moment or a span, as seconds from now. A bare number is seconds, or, where it is as large as a date, Unix time in s or ms
 * (OpenRouter: X-RateLimit-Reset in ms). A negative number is over already. */
static bool read_wait(cfb_str s, int64_t now_wall_ms, double *out) {
    double v, now_s = (double)now_wall_ms / 1000;
    bool negative = s.len > 1 && s.ptr[0] == '-';
    size_t pos = negative ? 1 : 0;
    if (read_number(s, &pos, &v) && pos == s.len) {
        if (v >= 1e11)
            v = v / 1000 - now_s;
        else if (v >= 1e9)
            v -= now_s;
        *out = negative ? 0 : clamped(v);
        return true;
    }
    if (read_iso_date(s, &v) || read_http_date(s, now_s, &v)) {
        *out = clamped(v - now_s);
        return true;
    }
    if (!read_duration(s, &v)) return false;
    *out = clamped(v);
    return true;
}

/* The whole number at the beginning ("100", "100, 100;w=60"). Azure sends -1 for "no limit": not told. */
static bool read_limit(cfb_str s, int64_t *out) {
    double v;
    size_t pos = 0;
    if (!read_number(s, &pos, &v) || (pos < s.len && strchr(" ,;\t", s.ptr[pos]) == NULL)) return false;
    *out = (int64_t)fmin(floor(v), 9007199254740992.0);
    return true;
}

/* Azure says the same wait as Retry-After in whole seconds and as retry-after-ms: of two that are less than a second apart the
 * shorter one is the exact one; else the longer one counts. */
static void note_retry(cfb_rate_hints *h, double wait) {
    double known = h->retry_after_s;
    if (known < 0 || fabs(known - wait) < 1)
        h->retry_after_s = known < 0 ? wait : fmin(known, wait);
    else
        h->retry_after_s = fmax(known, wait);
}

/* ---- the IETF draft (draft-ietf-httpapi-ratelimit-headers) ---- */

/* Number of parameter `name` in one list item: "name=7" or ";name=7". */
static bool item_number(cfb_str item, const char *name, double *out) {
    size_t n = strlen(name);
    for (size_t i = 0; i + n < item.len; i++) {
        bool starts = i == 0 || strchr("; \t,", item.ptr[i - 1]) != NULL;
        if (!starts || memcmp(item.ptr + i, name, n) != 0 || item.ptr[i + n] != '=') continue;
        size_t pos = i + n + 1;
        return read_number(item, &pos, out);
    }
    return false;
}

/* Version 8 and later: RateLimit: "default";r=50;t=30, "daily";r=900;t=7200. Version 7: limit=100, remaining=50, reset=5. The
 * item with least remaining counts. */
static void read_draft(cfb_str s, cfb_rate_hints *h) {
    double v, reset;
    if (item_number(s, "remaining", &v)) {
        h->remaining_requests = (int64_t)v;
        if (item_number(s, "limit", &v)) h->limit_requests = (int64_t)v;
        if (item_number(s, "reset", &v)) h->reset_requests_s = clamped(v);
        return;
    }
    for (size_t pos = 0; pos < s.len;) {
        size_t end = cfb_str_find(s, CFB_STR_LIT(","), pos);
        if (end == SIZE_MAX) end = s.len;
        cfb_str item = {s.ptr + pos, end - pos};
        if (item_number(item, "r", &v) && (h->remaining_requests < 0 || (int64_t)v <= h->remaining_requests)) {
            h->remaining_requests = (int64_t)v;
            if (item_number(item, "t", &reset)) h->reset_requests_s = clamped(reset);
        }
        pos = end + 1;
    }
}

/* RateLimit-Policy: "burst";q=100;w=60 */
static void read_policy(cfb_str s, cfb_rate_hints *h) {
    double v;
    size_t end = cfb_str_find(s, CFB_STR_LIT(","), 0);
    if (item_number((cfb_str){s.ptr, end == SIZE_MAX ? s.len : end}, "q", &v)) h->limit_requests = (int64_t)v;
}

/* ---- names ---- */

enum kind {
    LIMIT_REQUESTS,
    LIMIT_TOKENS,
    REMAINING_REQUESTS,
    REMAINING_TOKENS,
    RESET_REQUESTS,
    RESET_TOKENS,
    RETRY,
    RETRY_MS,
    DRAFT,
    POLICY
};

static const struct {
    const char *name;
    enum kind kind;
} names[] = {
    {"retry-after", RETRY},
    {"retry-after-ms", RETRY_MS}, /* Azure, OpenAI */
    {"x-ms-retry-after-ms", RETRY_MS},
    /* OpenAI, Azure, Groq, OpenRouter's providers: platform.openai.com/docs/guides/rate-limits */
    {"x-ratelimit-limit-requests", LIMIT_REQUESTS},
    {"x-ratelimit-limit-tokens", LIMIT_TOKENS},
    {"x-ratelimit-remaining-requests", REMAINING_REQUESTS},
    {"x-ratelimit-remaining-tokens", REMAINING_TOKENS},
    {"x-ratelimit-reset-requests", RESET_REQUESTS},
    {"x-ratelimit-reset-tokens", RESET_TOKENS},
    /* OpenRouter, and many gateways */
    {"x-ratelimit-limit", LIMIT_REQUESTS},
    {"x-ratelimit-remaining", REMAINING_REQUESTS},
    {"x-ratelimit-reset", RESET_REQUESTS},
    /* Anthropic behind gateways */
    {"anthropic-ratelimit-requests-limit", LIMIT_REQUESTS},
    {"anthropic-ratelimit-requests-remaining", REMAINING_REQUESTS},
    {"anthropic-ratelimit-requests-reset", RESET_REQUESTS},
    {"anthropic-ratelimit-tokens-limit", LIMIT_TOKENS},
    {"anthropic-ratelimit-tokens-remaining", REMAINING_TOKENS},
    {"anthropic-ratelimit-tokens-reset", RESET_TOKENS},
    /* the IETF draft, up to version 6 and later */
    {"ratelimit-limit", LIMIT_REQUESTS},
    {"ratelimit-remaining", REMAINING_REQUESTS},
    {"ratelimit-reset", RESET_REQUESTS},
    {"ratelimit", DRAFT},
    {"ratelimit-policy", POLICY},
};

static void read_value(enum kind kind, cfb_str value, int64_t now_wall_ms, cfb_rate_hints *h) {
    int64_t *counts[] = {&h->limit_requests, &h->limit_tokens, &h->remaining_requests, &h->remaining_tokens};
    double wait;
    size_t pos = 0;
    switch (kind) {
    case LIMIT_REQUESTS:
    case LIMIT_TOKENS:
    case REMAINING_REQUESTS:
    case REMAINING_TOKENS: read_limit(value, counts[kind]); break;
    case RESET_REQUESTS:
        if (read_wait(value, now_wall_ms, &wait)) h->reset_requests_s = wait;
        break;
    case RESET_TOKENS:
        if (read_wait(value, now_wall_ms, &wait)) h->reset_tokens_s = wait;
        break;
    case RETRY:
        if (read_wait(value, now_wall_ms, &wait)) note_retry(h, wait);
        break;
    case RETRY_MS:
        if (value.len > 1 && value.ptr[0] == '-') pos = 1;
        if (read_number(value, &pos, &wait) && pos == value.len) note_retry(h, value.ptr[0] == '-' ? 0 : clamped(wait / 1000));
        break;
    case DRAFT: read_draft(value, h); break;
    case POLICY: read_policy(value, h); break;
    }
}

void cfb_client__read_header(cfb_str line, int64_t now_wall_ms, cfb_rate_hints *h) {
    char name[48];
    size_t n = 0;
    while (n < line.len && n < sizeof name - 1 && line.ptr[n] != ':') {
        char c = line.ptr[n];
        name[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (n == line.len || line.ptr[n] != ':') return;
    name[n] = '\0';
    cfb_str value = {line.ptr + n + 1, line.len - n - 1};
    while (value.len > 0 && memchr(" \t\r\n", value.ptr[value.len - 1], 4) != NULL) value.len--;
    while (value.len > 0 && memchr(" \t", value.ptr[0], 2) != NULL) value = (cfb_str){value.ptr + 1, value.len - 1};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0) {
            read_value(names[i].kind, value, now_wall_ms, h);
            return;
        }
}
