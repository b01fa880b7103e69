/* Requests to a mock under test, for all test_mock files. */
#ifndef TEST_MOCK_HTTP_H
#define TEST_MOCK_HTTP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/mock.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASK(text) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

typedef struct reply {
    CURLcode curl;
    long status;
    cfb_buf body, headers;
    cfb_json *json; /* NULL when the body is no JSON */
    double seconds;
} reply;

static inline size_t collect(char *data, size_t size, size_t n, void *ctx) {
    return cfb_buf_append(ctx, data, size * n, NULL) == CFB_OK ? size * n : 0;
}

/* One request on a fresh connection. body NULL = GET; key may be NULL. */
static inline reply call_with(int port, const char *path, const char *body, size_t body_len, const char *key, long timeout_ms) {
    reply r = {.body = CFB_BUF_INIT(1 << 26), .headers = CFB_BUF_INIT(1 << 20)};
    char url[256], auth[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    CURL *curl = curl_easy_init();
    assert_non_null(curl);
    struct curl_slist *headers = NULL;
    if (key != NULL) {
        snprintf(auth, sizeof auth, "Authorization: Bearer %s", key);
        headers = curl_slist_append(headers, auth);
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r.body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &r.headers);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_len);
    }
    r.curl = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r.status);
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &r.seconds);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (r.body.len > 0 && cfb_json_parse(r.body.ptr, r.body.len, 0, &r.json, NULL) != CFB_OK) r.json = NULL;
    return r;
}

static inline reply call(int port, const char *path, const char *body) {
    return call_with(port, path, body, body ? strlen(body) : 0, NULL, 20000);
}

static inline void done(reply *r) {
    cfb_json_free(r->json);
    cfb_buf_free(&r->body);
    cfb_buf_free(&r->headers);
}

static inline const cfb_json *choice(const reply *r) { return cfb_json_first(cfb_json_get(r->json, "choices")); }
static inline cfb_str content(const reply *r) {
    return cfb_json_str(cfb_json_get(cfb_json_get(choice(r), "message"), "content"));
}
static inline cfb_str finish(const reply *r) { return cfb_json_str(cfb_json_get(choice(r), "finish_reason")); }

static inline int64_t number(const cfb_json *object, const char *key) {
    int64_t v = -1;
    cfb_json_int(cfb_json_get(object, key), &v);
    return v;
}

static inline void assert_str(cfb_str s, const char *expected) {
    assert_non_null(s.ptr);
    if (!cfb_str_eqz(s, expected)) fail_msg("'%.*s' is not '%s'", CFB_STR_ARG(s), expected);
}

static inline bool has_header(const reply *r, const char *text) {
    return cfb_str_find(cfb_buf_str(&r->headers), cfb_str_from(text), 0) != SIZE_MAX;
}

static inline cfb_mock_t *start(const cfb_mock_opts *o) {
    cfb_mock_t *m = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock_start(o, &m, &err) != CFB_OK) fail_msg("start: %s", err.msg);
    return m;
}

static inline cfb_mock_t *start_faults(const char *faults, int repeats) {
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.faults = faults;
    o.fault_repeats = repeats;
    return start(&o);
}

static inline void teach(cfb_mock_t *m, const char *prompt, const char *group, const char *answer) {
    char hex[65];
    cfb_err err = CFB_ERR_INIT;
    cfb_sha256_hex(prompt, strlen(prompt), hex);
    if (cfb_mock_teach(m, hex, cfb_str_from(group), cfb_str_from(answer), &err) != CFB_OK) fail_msg("%s", err.msg);
}

static inline int64_t stat_of(cfb_mock_t *m, const char *key) {
    reply r = call(cfb_mock_port(m), "/stats", NULL);
    assert_int_equal(r.status, 200);
    int64_t v = number(r.json, key);
    done(&r);
    return v;
}

static inline int64_t count_of_status(cfb_mock_t *m, const char *status) {
    reply r = call(cfb_mock_port(m), "/stats", NULL);
    int64_t v = number(cfb_json_get(r.json, "by_status"), status);
    done(&r);
    return v;
}

/* Sends n chat requests on n connections without reading the replies. */
static inline void send_many(int port, int n, int *fds) {
    for (int i = 0; i < n; i++) {
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(connect(fds[i], (const struct sockaddr *)&addr, sizeof addr), 0);
        char body[128], req[512];
        snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"prompt %d\"}]}", i);
        int len = snprintf(req, sizeof req,
                           "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
                           "%zu\r\n\r\n%s",
                           strlen(body), body);
        assert_int_equal(write(fds[i], req, (size_t)len), len);
    }
}

static inline size_t read_all(int fd, char *buf, size_t size) {
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, buf + len, size - 1 - len);
        if (n <= 0) break;
        len += (size_t)n;
    }
    buf[len] = '\0';
    return len;
}

static inline void wait_in_flight(cfb_mock_t *m, int64_t n) {
    for (int i = 0; i < 400 && stat_of(m, "in_flight") != n; i++) cfb_sleep_until_ns(cfb_now_ns() + 10000000, NULL);
    assert_int_equal(stat_of(m, "in_flight"), n);
}

#endif
