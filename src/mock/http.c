#include "mock/http.h"

static bool is_token(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* name is in lower case */
static bool same_name(cfb_str s, const char *name, size_t len) {
    if (s.len != len) return false;
    for (size_t i = 0; i < len; i++)
        if (lower(s.ptr[i]) != name[i]) return false;
    return true;
}

bool cfb_mock__has_word(cfb_str list, const char *word) {
    size_t len = strlen(word);
    for (size_t i = 0; i < list.len;) {
        while (i < list.len && (list.ptr[i] == ' ' || list.ptr[i] == ',' || list.ptr[i] == '\t')) i++;
        size_t from = i;
        while (i < list.len && list.ptr[i] != ',' && list.ptr[i] != ' ' && list.ptr[i] != '\t' && list.ptr[i] != ';') i++;
        if (same_name((cfb_str){list.ptr + from, i - from}, word, len)) return true;
        while (i < list.len && list.ptr[i] != ',') i++;
    }
    return false;
}

static bool read_length(cfb_str s, uint64_t *out) {
    uint64_t v = 0;
    if (s.len == 0 || s.len > 18) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        v = v * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    *out = v;
    return true;
}

static int request_line(cfb_str line, cfb_mock__head *out) {
    size_t a = 0;
    while (a < line.len && is_token(line.ptr[a])) a++;
    if (a == 0 || a == line.len || line.ptr[a] != ' ') return 400;
    size_t b = a + 1;
    while (b < line.len && line.ptr[b] > ' ' && line.ptr[b] != 127) b++;
    if (b == a + 1 || b == line.len || line.ptr[b] != ' ' || line.len - b != 9) return 400;
    const char *version = line.ptr + b + 1;
    if (memcmp(version, "HTTP/", 5) != 0) return 400;
    if (memcmp(version, "HTTP/1.1", 8) != 0 && memcmp(version, "HTTP/1.0", 8) != 0) return 505;
    out->keep_alive = version[7] == '1';
    out->method = (cfb_str){line.ptr, a};
    cfb_str target = {line.ptr + a + 1, b - a - 1};
    cfb_str after = cfb_mock__path_after(target, "http://"); /* as a client writes it that takes the mock for its proxy */
    if (after.ptr != NULL) {
        const char *slash = memchr(after.ptr, '/', after.len);
        if (slash == NULL) return 400;
        target = (cfb_str){slash, after.len - (size_t)(slash - after.ptr)};
    }
    if (target.ptr[0] != '/') return 400;
    const char *question = memchr(target.ptr, '?', target.len);
    size_t cut = question != NULL ? (size_t)(question - target.ptr) : target.len;
    out->path = (cfb_str){target.ptr, cut};
    out->query = question != NULL ? (cfb_str){question + 1, target.len - cut - 1} : CFB_STR_NULL;
    return 200;
}

/* Only the headers that matter are told apart, by their length first. */
static int take_header(cfb_str name, cfb_str value, bool *has_length, cfb_mock__head *out) {
    switch (name.len) {
    case 6:
        if (same_name(name, "expect", 6)) out->expect_continue = cfb_mock__has_word(value, "100-continue");
        break;
    case 7:
        if (same_name(name, "api-key", 7)) out->api_key = value;
        break;
    case 10:
        if (!same_name(name, "connection", 10)) break;
        if (cfb_mock__has_word(value, "close"))
            out->keep_alive = false;
        else if (cfb_mock__has_word(value, "keep-alive"))
            out->keep_alive = true;
        break;
    case 12:
        if (same_name(name, "content-type", 12)) out->content_type = value;
        break;
    case 13:
        if (same_name(name, "authorization", 13)) out->authorization = value;
        break;
    case 14:
        if (!same_name(name, "content-length", 14)) break;
        if (*has_length || !read_length(value, &out->content_length)) return 400;
        *has_length = true;
        break;
    case 15:
        if (same_name(name, "accept-encoding", 15)) out->accept_encoding = value;
        break;
    case 17:
        if (!same_name(name, "transfer-encoding", 17)) break;
        if (!same_name(value, "chunked", 7)) return 501;
        out->chunked = true;
        break;
    default: break;
    }
    return 200;
}

static int header_line(cfb_str line, bool *has_length, cfb_mock__head *out) {
    size_t n = 0;
    while (n < line.len && is_token(line.ptr[n])) n++;
    if (n == 0 || n == line.len || line.ptr[n] != ':') return 400;
    size_t from = n + 1, to = line.len;
    while (from < to && (line.ptr[from] == ' ' || line.ptr[from] == '\t')) from++;
    while (to > from && (line.ptr[to - 1] == ' ' || line.ptr[to - 1] == '\t')) to--;
    return take_header((cfb_str){line.ptr, n}, (cfb_str){line.ptr + from, to - from}, has_length, out);
}

int cfb_mock__head_parse(cfb_str data, cfb_mock__head *out) {
    *out = (cfb_mock__head){0};
    bool has_length = false, first = true;
    size_t at = 0, max = data.len < CFB_MOCK__MAX_HEAD ? data.len : CFB_MOCK__MAX_HEAD;
    while (at + 1 < max && first && data.ptr[at] == '\r' && data.ptr[at + 1] == '\n') at += 2; /* RFC 9112, 2.2 */
    for (;;) {
        const char *end = at < max ? memchr(data.ptr + at, '\n', max - at) : NULL;
        if (end == NULL) return data.len >= CFB_MOCK__MAX_HEAD ? 431 : 0;
        cfb_str line = {data.ptr + at, (size_t)(end - data.ptr) - at};
        at += line.len + 1;
        if (line.len == 0 || line.ptr[line.len - 1] != '\r') return 400;
        line.len--;
        if (line.len == 0 && !first) break;
        int status = first ? request_line(line, out) : header_line(line, &has_length, out);
        if (status != 200) return status;
        first = false;
    }
    if (out->chunked && has_length) return 400; /* RFC 9112, 6.3: never guess which one holds */
    out->len = at;
    return 200;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1a;ext\r\n": size of the chunk; *at moves behind the line. */
static int chunk_size(cfb_str data, size_t *at, size_t *size) {
    size_t i = *at, v = 0;
    for (; i < data.len && hex_value(data.ptr[i]) >= 0; i++) {
        if (i - *at >= 8) return 400;
        v = v * 16 + (size_t)hex_value(data.ptr[i]);
    }
    if (i == data.len) return 0;
    if (i == *at) return 400;
    for (; i < data.len && data.ptr[i] != '\n'; i++)
        if (i - *at > 256) return 400;
    if (i == data.len) return 0;
    if (data.ptr[i - 1] != '\r') return 400;
    *at = i + 1;
    *size = v;
    return 200;
}

int cfb_mock__chunks_scan(cfb_str data, size_t *total, size_t *content) {
    size_t at = 0, sum = 0, size = 0;
    for (;;) {
        int status = chunk_size(data, &at, &size);
        if (status != 200) return status;
        if (size == 0) break;
        if (data.len - at < size + 2) return 0;
        if (memcmp(data.ptr + at + size, "\r\n", 2) != 0) return 400;
        at += size + 2;
        sum += size;
    }
    for (;;) { /* trailers, up to the empty line */
        const char *end = at < data.len ? memchr(data.ptr + at, '\n', data.len - at) : NULL;
        if (end == NULL) return data.len - at > CFB_MOCK__MAX_HEAD ? 400 : 0;
        size_t line = (size_t)(end - data.ptr) - at;
        if (line == 0 || end[-1] != '\r') return 400;
        at += line + 1;
        if (line == 1) break;
    }
    *total = at;
    *content = sum;
    return 200;
}

void cfb_mock__chunks_join(cfb_str data, char *out) {
    size_t at = 0, size = 0;
    while (chunk_size(data, &at, &size) == 200 && size > 0) {
        memmove(out, data.ptr + at, size);
        out += size;
        at += size + 2;
    }
}

cfb_str cfb_mock__path_after(cfb_str path, const char *prefix) {
    size_t n = strlen(prefix);
    if (path.len < n || memcmp(path.ptr, prefix, n) != 0) return CFB_STR_NULL;
    return (cfb_str){path.ptr + n, path.len - n};
}
