/* check.c - what single values must look like, beyond type and range. */
#include "config/options.h"

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
