/* check.c - what single values must look like, beyond type and range. */
#include "config/options.h"
#include "cfbench/metric_list.h"

#include <ctype.h>
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

const char *cfb_check_failures(const char *v) {
    char text[32];
    size_t n = strlen(v);
    int64_t count;
    double share;
    if (n == 0 || n >= sizeof text) return "is neither a number of rows nor a share such as 10%";
    memcpy(text, v, n + 1);
    if (text[n - 1] == '%') {
        text[n - 1] = '\0';
        if (cfb_parse_double(text, &share) && share > 0 && share <= 100) return NULL;
        return "is no share between 0 and 100%";
    }
    return cfb_parse_int(text, &count) && count >= 0 ? NULL : "is neither a number of rows nor a share such as 10%";
}

/* RFC 9110, 5.6.2: the characters of a header's name. */
static size_t token_length(const char *v) {
    size_t n = 0;
    while (isalnum((unsigned char)v[n]) || (v[n] != '\0' && strchr("!#$%&'*+-.^_`|~", v[n]) != NULL)) n++;
    return n;
}

const char *cfb_check_header_name(const char *v) {
    return v[0] != '\0' && v[token_length(v)] == '\0' ? NULL : "is not the name of a header, such as api-key";
}

const char *cfb_check_header(const char *v) {
    static const char *const ours[] = {"Content-Type", "Content-Length", "Transfer-Encoding",
                                       "Connection",   "Expect",         "Accept-Encoding"};
    size_t n = token_length(v);
    if (n == 0 || v[n] != ':') return "is not of the form 'Name: value'";
    if (v[n + 1 + strspn(v + n + 1, " \t")] == '\0') return "is a header without a value";
    for (const char *p = v + n; *p != '\0'; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f) return "holds a line end or another control character";
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i]) == n && strncasecmp(v, ours[i], n) == 0) return "names a header that cfbench sets itself";
    return NULL;
}

bool cfb_header_is_secret(const char *line) {
    static const char *const names[] = {"Authorization", "Proxy-Authorization",       "api-key",
                                        "x-api-key",     "Ocp-Apim-Subscription-Key", "Cookie"};
    size_t n = token_length(line);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && strncasecmp(line, names[i], n) == 0) return true;
    return false;
}

const char *cfb_check_proxy(const char *v) {
    static const char *const schemes[] = {"http://", "https://", "socks4://", "socks4a://", "socks5://", "socks5h://"};
    const char *host = NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(v, schemes[i], strlen(schemes[i])) == 0) host = v + strlen(schemes[i]);
    if (host == NULL) return "must begin with http://, https://, socks4://, socks4a://, socks5:// or socks5h://";
    for (const char *p = v; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f) return "holds a character that a URL cannot hold";
    if (strchr(host, '@') != NULL)
        return "holds a user name or password, which would end up in the process list; put the whole URL into the variable "
               "https_proxy or http_proxy instead";
    return host[0] == '\0' || host[0] == ':' || host[0] == '/' ? "has no host name" : NULL;
}

/* stream decides how the reply is read; model and messages are what a run is about, and are kept with it. */
const char *cfb_check_extra_body(const char *v) {
    static char what[200];
    static const struct {
        const char *name, *wrong;
    } ours[] = {{"model", "has the member model: use --model"},
                {"messages", "has the member messages: those are the suite's prompts (--system for a system message)"},
                {"stream", "has the member stream: use --stream"}};
    cfb_json *root = NULL;
    cfb_err err = CFB_ERR_INIT;
    const char *wrong = NULL;
    if (cfb_json_parse(v, strlen(v), 0, &root, &err) != CFB_OK) {
        snprintf(what, sizeof what, "is not JSON: %.150s", err.msg);
        return what;
    }
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT) {
        snprintf(what, sizeof what, "must be a JSON object such as {\"top_k\": 1}, not %s", cfb_json_kind_name(root));
        wrong = what;
    }
    for (size_t i = 0; wrong == NULL && i < sizeof ours / sizeof *ours; i++)
        if (cfb_json_get(root, ours[i].name) != NULL) wrong = ours[i].wrong;
    cfb_json_free(root);
    return wrong;
}
