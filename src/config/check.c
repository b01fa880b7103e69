/* check.c - what single values must look like, beyond type and range. */
#include "config/options.h"
#include "cfbench/metric_list.h"

#include <strings.h>

/* The host of http[s]://host[:port][/path]. The text is never repeated: it may hold a password. */
const char *cfb_check_base_url(const char *v) {
    if (strcmp(v, "mock") == 0) return NULL;
    size_t skip = strncasecmp(v, "http://", 7) == 0 ? 7 : strncasecmp(v, "https://", 8) == 0 ? 8 : 0;
    if (skip == 0) return "must begin with http:// or https:// (or be the word mock)";
    for (const char *p = v; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return "holds a space or another character that a URL cannot hold";
    size_t host = strcspn(v + skip, "/?#");
    if (memchr(v + skip, '@', host) != NULL)
        return "holds a user name or password, which would end up in logs; give the key by OPENAI_API_KEY or --api-key-file";
    if (host == 0 || v[skip] == ':') return "has no host name";
    if (strpbrk(v + skip, "?#") != NULL) return "holds a ? or #; only the part before /chat/completions is wanted";
    return NULL;
}

const char *cfb_check_names(const char *v) {
    for (const char *p = v;; p++) {
        size_t n = strcspn(p, ",");
        if (strspn(p, " \t") >= n) return "has an empty name; write it as NAME,NAME,...";
        p += n;
        if (*p == '\0') return NULL;
    }
}

static bool is_metric(const char *name, size_t n) {
    static const char *const names[] = {
#define CFB_X(NAME, name, kinds, how, row, full) name,
        CFB_METRIC_MAP(CFB_X)
#undef CFB_X
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) return true;
    return false;
}

/* NAME, TASK=NAME, or several of these with commas between them; NAME alone once at most. */
const char *cfb_check_metrics(const char *v) {
    static const char unknown[] = "is none of the metrics"
#define CFB_X(NAME, name, kinds, how, row, full) " " name
        CFB_METRIC_MAP(CFB_X)
#undef CFB_X
            " (or TASK=METRIC,...)";
    bool plain = false;
    for (const char *p = v;; p++) {
        size_t n = strcspn(p, ","), task = strcspn(p, "=,");
        if (task == 0) return "has an empty task name; write it as METRIC or TASK=METRIC,...";
        if (task < n ? !is_metric(p + task + 1, n - task - 1) : !is_metric(p, n)) return unknown;
        if (task == n && plain) return "names two metrics for all generation tasks; write TASK=METRIC,...";
        plain = plain || task == n;
        p += n;
        if (*p == '\0') return NULL;
    }
}

static bool read_row(const char **p, int64_t *out) {
    int64_t v = 0;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        v = v * 10 + (**p - '0');
        if (v > 1000000000000) return false;
    }
    *out = v;
    return *p > start;
}

const char *cfb_check_rows(const char *v) {
    const char *wrong = "is not a list of row numbers such as 0,10,20-29";
    for (const char *p = v;; p++) {
        int64_t first, last;
        if (!read_row(&p, &first)) return wrong;
        if (*p == '-') {
            p++;
            if (!read_row(&p, &last)) return wrong;
            if (last < first) return "has a range whose end is before its start";
        }
        if (*p == '\0') return NULL;
        if (*p != ',') return wrong;
    }
}

const char *cfb_check_line(const char *v) {
    for (const char *p = v; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return "holds a control character";
    return NULL;
}
