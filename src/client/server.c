/* What all threads share of a server: addresses and their health, headers, certificates. */
#include "cfbench/base.h"
#include "client/engine.h"
#include "client/tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define EJECT_AFTER 3 /* failures in a row */
#define EJECT_FIRST_S 1
#define EJECT_LONGEST_S 60
#define SECRET_MIN 4 /* shorter ones would take ordinary words out of messages */

cfb_code cfb_client_global_init(cfb_err *err) {
    cfb_code rc = cfb_client__libs(err);
    if (rc != CFB_OK || curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) return rc;
    return cfb_err_set(err, CFB_EBUG, "libcurl could not be initialised");
}

const char *cfb_client_version(void) { return curl_version(); }

void cfb_client_global_cleanup(void) {
    if (cfb_client__has_libs()) curl_global_cleanup();
}

/* ---- headers ---- */

static bool add_header(cfb_server_t *s, const char *line) {
    struct curl_slist *more = curl_slist_append(s->headers, line);
    if (more == NULL) return false;
    s->headers = more;
    return true;
}

static bool add_key(cfb_server_t *s) {
    const cfb_client_opts *o = &s->opts;
    cfb_buf line = CFB_BUF_INIT(16384);
    if (o->api_key == NULL) return true;
    cfb_code rc = o->api_key_header ? cfb_buf_printf(&line, NULL, "%s: %s", o->api_key_header, o->api_key)
                                    : cfb_buf_printf(&line, NULL, "Authorization: Bearer %s", o->api_key);
    bool ok = rc == CFB_OK && add_header(s, line.ptr);
    if (line.ptr) memset(line.ptr, 0, line.len);
    cfb_buf_free(&line);
    return ok;
}

static cfb_code set_headers(cfb_server_t *s, cfb_err *err) {
    const cfb_client_opts *o = &s->opts;
    bool ok = add_header(s, "Content-Type: application/json") &&
              (!o->request.stream || add_header(s, "Accept: text/event-stream")) &&
              add_header(s, "Expect:"); /* no 100-continue round trip */
    struct curl_slist *before = s->headers;
    while (ok && before->next) before = before->next;
    ok = ok && add_key(s);
    for (size_t i = 0; i < o->n_headers && ok; i++) {
        const char *h = o->headers[i], *colon = strchr(h, ':');
        if (colon == NULL || colon == h || strpbrk(h, "\r\n"))
            return cfb_err_set(err, CFB_ECONFIG, "--header: '%.*s...' is not of the form 'Name: value'",
                               colon ? (int)(colon - h) : 8, h);
        ok = add_header(s, h);
    }
    if (ok) s->own_headers = before->next;
    return ok ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

void cfb_server__redact(const cfb_server_t *s, char *text, size_t len) {
    for (size_t i = 0; i <= s->opts.n_headers; i++) {
        const char *secret = s->opts.api_key;
        if (i < s->opts.n_headers) {
            secret = strchr(s->opts.headers[i], ':');
            if (secret) secret += 1 + strspn(secret + 1, " \t");
        }
        size_t n = secret ? strlen(secret) : 0;
        if (n < SECRET_MIN) continue;
        cfb_str hay = {text, len}, needle = {secret, n};
        for (size_t at = 0; (at = cfb_str_find(hay, needle, at)) != SIZE_MAX; at += n) memset(text + at, '*', n);
    }
}

/* ---- addresses ---- */

/* base + "/chat/completions", in front of a query if the base has one (Azure's api-version). */
static cfb_code set_endpoint(struct cfb_endpoint *e, const char *base, cfb_err *err) {
    static const char path[] = "/chat/completions";
    size_t len = strcspn(base, "?"), size = strlen(base) + sizeof path;
    size_t kept = len;
    while (kept > 0 && base[kept - 1] == '/') kept--;
    e->url = malloc(size);
    if (e->url == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    snprintf(e->url, size, "%.*s%s%s", (int)kept, base, path, base + len);
    e->loopback = cfb_url_is_loopback(base);
    return CFB_OK;
}

size_t cfb_server__take_endpoint(cfb_server_t *s) {
    size_t best = 0;
    if (s->n_endpoints > 1) {
        int64_t now = cfb_now_ns(), best_rest = INT64_MAX;
        int best_load = 0;
        for (size_t i = 0; i < s->n_endpoints; i++) {
            struct cfb_endpoint *e = &s->endpoints[i];
            int load = atomic_load(&e->outstanding);
            int64_t rest = atomic_load(&e->rest_until);
            if (rest <= now)
                rest = atomic_load(&e->failures) >= EJECT_AFTER && load > 0 ? now + 1 : 0; /* one call tries it out */
            if (rest < best_rest || (rest == best_rest && load < best_load)) {
                best = i;
                best_rest = rest;
                best_load = load;
            }
        }
    }
    atomic_fetch_add(&s->endpoints[best].outstanding, 1);
    return best;
}

void cfb_server__give_endpoint(cfb_server_t *s, size_t endpoint, const cfb_chat_reply *r) {
    struct cfb_endpoint *e = &s->endpoints[endpoint];
    atomic_fetch_sub(&e->outstanding, 1);
    bool bad = r->fail == CFB_FAIL_CONNECT || r->fail == CFB_FAIL_TIMEOUT || r->fail == CFB_FAIL_SERVER ||
               r->fail == CFB_FAIL_CUT || r->fail == CFB_FAIL_TLS || r->fail == CFB_FAIL_BAD_REPLY;
    if (s->n_endpoints == 1 || r->fail == CFB_FAIL_STOPPED) return;
    if (!bad) {
        if (atomic_exchange(&e->failures, 0) >= EJECT_AFTER)
            cfb_log(CFB_LOG_INFO, "%s answers again", s->opts.base_urls[endpoint]);
        atomic_store(&e->rest_until, 0);
        return;
    }
    /* calls that were under way when it was ejected fail too: they say nothing new, and must not prolong its rest */
    int64_t now = cfb_now_ns();
    if (atomic_load(&e->failures) >= EJECT_AFTER && now - r->latency_us * 1000 < atomic_load(&e->rest_until)) return;
    int n = atomic_fetch_add(&e->failures, 1) + 1;
    if (n < EJECT_AFTER) return;
    int doublings = n - EJECT_AFTER < 6 ? n - EJECT_AFTER : 6;
    int64_t rest_s = (int64_t)EJECT_FIRST_S << doublings;
    if (rest_s > EJECT_LONGEST_S) rest_s = EJECT_LONGEST_S;
    atomic_store(&e->rest_until, now + rest_s * 1000000000);
    if (n == EJECT_AFTER)
        cfb_log(CFB_LOG_WARN, "%s fails (%s); the other addresses take its calls", s->opts.base_urls[endpoint], r->message);
}

/* ---- certificates ---- */

/* libcurl would parse the system's bundle (50 ms) again for every handle. One parsed store can serve all. */
static bool uses_our_openssl(void) {
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    return v->ssl_version && strncmp(v->ssl_version, "OpenSSL/3", 9) == 0 && OPENSSL_version_major() == 3;
}

static cfb_code load_trust(cfb_server_t *s, cfb_err *err) {
    bool https = s->opts.proxy && strncmp(s->opts.proxy, "https:", 6) == 0;
    for (size_t i = 0; i < s->n_endpoints; i++) https = https || strncmp(s->endpoints[i].url, "https:", 6) == 0;
    if (!https || !uses_our_openssl()) return CFB_OK;
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    const char *file = s->opts.ca_file, *dir = NULL;
    if (file == NULL) {
        file = v->cainfo;
        dir = v->capath;
    }
    X509_STORE *store = X509_STORE_new();
    if (store == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    int ok = file || dir ? X509_STORE_load_locations(store, file, dir) : X509_STORE_set_default_paths(store);
    if (!ok) {
        X509_STORE_free(store);
        return cfb_err_set(err, CFB_ECONFIG, "%s: no certificates in it (--ca-file takes PEM)",
                           file ? file : "the system's certificates");
    }
    s->trust = store;
    return CFB_OK;
}

static CURLcode give_trust(CURL *curl, void *ssl_ctx, void *ctx) {
    const cfb_server_t *s = ctx;
    (void)curl;
    SSL_CTX_set1_cert_store(ssl_ctx, s->trust);
    return CURLE_OK;
}

void cfb_server__set_transport(const cfb_server_t *s, CURL *h) {
    const cfb_client_opts *o = &s->opts;
    curl_easy_setopt(h, CURLOPT_USERAGENT, "cfbench");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500 /* 7.85; clusters run older ones */
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(h, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* a connection of its own for each call in flight */
    curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");          /* each header is formatted again for each call */
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(o->connect_timeout_s * 1000));
    if (o->proxy) curl_easy_setopt(h, CURLOPT_PROXY, o->proxy);
    if (o->unix_socket) curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
    if (o->client_cert) curl_easy_setopt(h, CURLOPT_SSLCERT, o->client_cert);
    if (o->client_key) curl_easy_setopt(h, CURLOPT_SSLKEY, o->client_key);
    if (s->trust) {
        curl_easy_setopt(h, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
        curl_easy_setopt(h, CURLOPT_SSL_CTX_FUNCTION, give_trust);
        curl_easy_setopt(h, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)s);
    } else if (o->ca_file) {
        curl_easy_setopt(h, CURLOPT_CAINFO, o->ca_file);
    }
}

/* ---- direct calls: direct.c ---- */

static cfb_str name_of(const char *line) { return (cfb_str){line, strcspn(line, ":")}; }

static bool same_name(const char *a, const char *b) {
    cfb_str x = name_of(a), y = name_of(b);
    return x.len == y.len && strncasecmp(x.ptr, y.ptr, x.len) == 0;
}

static bool has_value(const char *line) {
    const char *colon = strchr(line, ':');
    return colon && colon[1 + strspn(colon + 1, " \t")] != '\0';
}

/* A later line of the same name, an empty one too, takes its place. */
static bool put_line(const cfb_server_t *s, cfb_buf *head, const char *line) {
    for (size_t i = 0; i < s->opts.n_headers; i++)
        if (same_name(s->opts.headers[i], line)) return true;
    return cfb_buf_printf(head, NULL, "%s\r\n", line) == CFB_OK;
}

static bool put_own_lines(const cfb_server_t *s, cfb_buf *head) {
    for (const struct curl_slist *l = s->own_headers; l; l = l->next)
        if (has_value(l->data) && cfb_buf_printf(head, NULL, "%s\r\n", l->data) != CFB_OK) return false;
    return true;
}

struct parts {
    char *scheme, *user, *host, *port, *path, *query;
};

static bool take_apart(const char *url, struct parts *p) {
    CURLU *u = curl_url();
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &p->scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &p->host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PATH, &p->path, 0) == CURLUE_OK;
    if (ok) curl_url_get(u, CURLUPART_USER, &p->user, 0);
    if (ok) curl_url_get(u, CURLUPART_QUERY, &p->query, 0);
    curl_url_cleanup(u);
    return ok;
}

static void free_parts(struct parts *p) {
    curl_free(p->scheme);
    curl_free(p->user);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->path);
    curl_free(p->query);
}

/* A name in letters that DNS knows, or an address: for others libcurl has rules of its own. */
static bool is_plain_host(const char *host) {
    size_t n = strlen(host);
    if (n == 0 || n > 255 || host[n - 1] == '.') return false;
    return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]") == n;
}

static char *copy_host(const char *host) {
    size_t n = strlen(host);
    return host[0] == '[' && n > 2 ? strndup(host + 1, n - 2) : strdup(host);
}

/* Addresses need nobody who looks names up. */
static void read_address(struct cfb_endpoint *e, const char *port) {
    uint16_t number = htons((uint16_t)strtoul(port, NULL, 10));
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = number};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = number};
    if (inet_pton(AF_INET, e->host, &four.sin_addr) == 1) {
        memcpy(&e->address, &four, sizeof four);
        e->address_len = sizeof four;
    } else if (inet_pton(AF_INET6, e->host, &six.sin6_addr) == 1) {
        memcpy(&e->address, &six, sizeof six);
        e->address_len = sizeof six;
    }
}

/* The head of a request to the endpoint, up to its length. */
static bool write_head(const cfb_server_t *s, const struct parts *p, bool other_port, cfb_buf *head) {
    char line[512];
    snprintf(line, sizeof line, "Host: %s%s%s", p->host, other_port ? ":" : "", other_port ? p->port : "");
    return cfb_buf_printf(head, NULL, "POST %s%s%s HTTP/1.1\r\n", p->path, p->query ? "?" : "", p->query ? p->query : "") ==
               CFB_OK &&
           put_line(s, head, line) && put_line(s, head, "User-Agent: cfbench") &&
           put_line(s, head, s->opts.request.stream ? "Accept: text/event-stream" : "Accept: */*") &&
           put_line(s, head, "Accept-Encoding: gzip, deflate") && put_line(s, head, "Content-Type: application/json") &&
           put_own_lines(s, head) && cfb_buf_printf(head, NULL, "Content-Length: ") == CFB_OK;
}

/* False: libcurl must make the calls to it. */
static bool prepare_endpoint(const cfb_server_t *s, struct cfb_endpoint *e) {
    struct parts p = {NULL, NULL, NULL, NULL, NULL, NULL};
    cfb_buf head = CFB_BUF_INIT(65536), url = CFB_BUF_INIT(1024);
    bool ok = take_apart(e->url, &p) && p.user == NULL && is_plain_host(p.host);
    e->tls = ok && strcmp(p.scheme, "https") == 0;
    ok = ok && (e->tls || strcmp(p.scheme, "http") == 0) &&
         write_head(s, &p, strcmp(p.port, e->tls ? "443" : "80") != 0, &head) &&
         cfb_buf_printf(&url, NULL, "http://%s:%s/", p.host, p.port) == CFB_OK && (e->host = copy_host(p.host)) != NULL;
    if (ok && s->opts.unix_socket == NULL) read_address(e, p.port);
    free_parts(&p);
    e->head = head.ptr;
    e->head_len = head.len;
    e->connect_url = url.ptr;
    return ok;
}

/* Headers that would change how a request or a reply is framed. */
static bool frames(const char *line) {
    static const char *const names[] = {"Content-Length:", "Transfer-Encoding:", "Connection:", "Expect:", "TE:", "Upgrade:"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same_name(line, names[i])) return true;
    return false;
}

static bool any_proxy(const cfb_server_t *s) {
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY"}, *const https[] = {"https_proxy", "HTTPS_PROXY",
                                                                                                  "all_proxy", "ALL_PROXY"};
    if (s->opts.proxy) return s->opts.proxy[0] != '\0';
    if (s->opts.unix_socket) return false;
    for (size_t i = 0; i < s->n_endpoints; i++) {
        const struct cfb_endpoint *e = &s->endpoints[i];
        bool tls = strncmp(e->url, "http:", 5) != 0;
        for (size_t k = 0; k < (tls ? 4u : 3u) && !e->loopback; k++)
            if (getenv(tls ? https[k] : http[k])) return true;
    }
    return false;
}

static void prepare_direct(cfb_server_t *s) {
    bool ok = !any_proxy(s), tls = false;
    for (size_t i = 0; i < s->opts.n_headers && ok; i++) ok = !frames(s->opts.headers[i]);
    for (size_t i = 0; i < s->n_endpoints && ok; i++) {
        ok = prepare_endpoint(s, &s->endpoints[i]);
        tls = tls || s->endpoints[i].tls;
        if (s->endpoints[i].head_len > s->head_room) s->head_room = s->endpoints[i].head_len;
    }
    if (ok && tls) ok = s->trust && (s->tls = cfb_tls_context(&s->opts, s->trust)) != NULL;
    s->head_room = ok ? s->head_room + 32 : 0; /* the number and the empty line */
    s->direct = ok;
}

/* ---- the whole ---- */

cfb_code cfb_server_new(const cfb_client_opts *opts, cfb_server_t **out, cfb_err *err) {
    cfb_server_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->opts = *opts;
    if (opts->n_base_urls == 0) {
        free(s);
        return cfb_err_set(err, CFB_ECONFIG, "--base-url is missing");
    }
    s->endpoints = calloc(opts->n_base_urls, sizeof *s->endpoints);
    cfb_code rc = s->endpoints ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < opts->n_base_urls && rc == CFB_OK; i++) {
        rc = set_endpoint(&s->endpoints[i], opts->base_urls[i], err);
        s->n_endpoints += rc == CFB_OK;
    }
    if (rc == CFB_OK) rc = set_headers(s, err);
    if (rc == CFB_OK) rc = load_trust(s, err);
    if (rc == CFB_OK) prepare_direct(s);
    if (rc != CFB_OK) {
        cfb_server_free(s);
        return rc;
    }
    *out = s;
    return CFB_OK;
}

void cfb_server_free(cfb_server_t *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->n_endpoints; i++) {
        free(s->endpoints[i].url);
        free(s->endpoints[i].head);
        free(s->endpoints[i].connect_url);
        free(s->endpoints[i].host);
    }
    free(s->endpoints);
    curl_slist_free_all(s->headers);
    if (s->tls) SSL_CTX_free(s->tls);
    X509_STORE_free(s->trust);
    free(s);
}
