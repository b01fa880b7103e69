/* Many calls in flight from one thread: a libcurl multi handle driven by epoll (curl_multi_socket_action). libcurl walks lists
 * per multi handle, so a thread should have a few hundred calls at most; more threads take more. */
#define _GNU_SOURCE /* ppoll */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "client/engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_REQUEST_BYTES ((size_t)64 << 20)
#define KEPT_BYTES ((size_t)256 << 10) /* a slot's buffer larger than this is not kept for the next call */
#define RECEIVE_BYTES 8192L            /* libcurl's buffer of each transfer */
#define EVENTS 128
#define WATCH_NS 100000000 /* how often silent transfers are looked for */

struct call {
    cfb_calls_t *owner;
    CURL *easy;
    cfb_buf request, body;
    cfb_sse *sse; /* streaming only */
    void *tag;
    struct call *next; /* free list, or list of requests that could not be made */
    cfb_fail unmade;   /* why it could not */
    size_t endpoint;
    int64_t start_ns, first_ns, last_ns; /* first and latest bytes of the body */
    int64_t wall_ms;
    double timeout_s; /* as set in the handle */
    cfb_rate_hints hints;
    bool busy, too_large, no_memory; /* why on_body ended the transfer */
    char error[CURL_ERROR_SIZE];
};

struct cfb_calls {
    cfb_server_t *server;
    CURLM *multi;
    int epoll, wake;
    size_t max, in_flight;
    struct call *calls, *free, *unmade;
    cfb_call_done_fn done;
    void *ctx;
    int64_t curl_due_ns; /* when libcurl wants its time; INT64_MAX: never */
    int64_t watch_ns;
    cfb_buf scratch;
    size_t n_finished;
    bool woken;
};

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx) {
    struct call *k = ctx;
    int64_t now = 0;
    size_t len = size * n;
    if (k->sse || k->owner->server->opts.idle_timeout_s > 0) k->last_ns = now = cfb_now_ns();
    cfb_code rc;
    long status = 200;
    if (k->sse) curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    if (k->sse && status >= 200 && status <= 299) {
        rc = cfb_sse_feed(k->sse, (cfb_str){data, len}, NULL);
        if (k->first_ns == 0 && k->sse->any_text) k->first_ns = now;
    } else {
        rc = cfb_buf_append(&k->body, data, len, NULL);
    }
    if (rc == CFB_OK) return len;
    k->too_large = rc == CFB_ELIMIT;
    k->no_memory = !k->too_large;
    return 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx) {
    struct call *k = ctx;
    size_t len = size * n;
    /* x-..., r(ate..., retry...), anthropic-...: others are not looked at */
    if (len > 5 && strchr("xXrRaA", line[0])) cfb_client__read_header((cfb_str){line, len}, k->wall_ms, &k->hints);
    return len;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known) {
    cfb_calls_t *c = ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event e = {.data.fd = fd};
    if (what & CURL_POLL_IN) e.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) e.events |= EPOLLOUT;
    if (known) {
        epoll_ctl(c->epoll, EPOLL_CTL_MOD, fd, &e);
    } else {
        /* a closed descriptor left the set by itself, so its number may be back before libcurl said that it was removed */
        if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) != 0 && errno == EEXIST) epoll_ctl(c->epoll, EPOLL_CTL_MOD, fd, &e);
        curl_multi_assign(c->multi, fd, c);
    }
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx) {
    cfb_calls_t *c = ctx;
    (void)multi;
    c->curl_due_ns = ms < 0 ? INT64_MAX : cfb_now_ns() + (int64_t)ms * 1000000;
    return 0;
}

/* ---- making ---- */

static bool make_call(cfb_calls_t *c, struct call *k) {
    k->owner = c;
    k->request.max = MAX_REQUEST_BYTES;
    k->body.max = c->server->opts.max_reply_bytes;
    k->easy = curl_easy_init();
    if (c->server->opts.request.stream) {
        k->sse = malloc(sizeof *k->sse);
        if (k->sse) cfb_sse_init(k->sse, c->server->opts.max_reply_bytes);
    }
    if (k->easy == NULL || (c->server->opts.request.stream && k->sse == NULL)) return false;
    CURL *h = k->easy;
    cfb_server__set_transport(c->server, h);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->server->headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, k);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, k);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, k->error);
    curl_easy_setopt(h, CURLOPT_PRIVATE, k);
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    k->endpoint = SIZE_MAX;
    return true;
}

cfb_code cfb_calls_new(cfb_server_t *s, size_t max_calls, cfb_call_done_fn done, void *ctx, cfb_calls_t **out, cfb_err *err) {
    cfb_calls_t *c = calloc(1, sizeof *c);
    if (c == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    c->server = s;
    c->max = max_calls ? max_calls : 1;
    c->done = done;
    c->ctx = ctx;
    c->curl_due_ns = INT64_MAX;
    c->scratch.max = 2 * s->opts.max_reply_bytes;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = c->wake};
    if (c->epoll < 0 || c->wake < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->wake, &e) != 0) {
        cfb_code rc = cfb_err_set_errno(err, errno, "cannot wait for connections");
        cfb_calls_free(c);
        return rc;
    }
    c->multi = curl_multi_init();
    c->calls = calloc(c->max, sizeof *c->calls);
    if (c->multi == NULL || c->calls == NULL) {
        cfb_calls_free(c);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)c->max);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    for (size_t i = c->max; i-- > 0;) {
        c->calls[i].next = c->free;
        c->free = &c->calls[i];
    }
    *out = c;
    return CFB_OK;
}

void cfb_calls_free(cfb_calls_t *c) {
    if (c == NULL) return;
    for (size_t i = 0; c->calls && i < c->max; i++) {
        struct call *k = &c->calls[i];
        if (k->busy && k->easy) curl_multi_remove_handle(c->multi, k->easy);
        curl_easy_cleanup(k->easy);
        cfb_buf_free(&k->request);
        cfb_buf_free(&k->body);
        if (k->sse) cfb_sse_free(k->sse);
        free(k->sse);
    }
    curl_multi_cleanup(c->multi);
    if (c->epoll >= 0) close(c->epoll);
    if (c->wake >= 0) close(c->wake);
    cfb_buf_free(&c->scratch);
    free(c->calls);
    free(c);
}

/* ---- the end of a call ---- */

static cfb_fail class_of_curl(const struct call *k, CURLcode code) {
    switch (code) {
    case CURLE_OK: return CFB_FAIL_NONE;
    case CURLE_OPERATION_TIMEDOUT: return CFB_FAIL_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER: return CFB_FAIL_TLS;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return CFB_FAIL_CUT;
    case CURLE_WRITE_ERROR: return k->too_large ? CFB_FAIL_REPLY_TOO_LARGE : CFB_FAIL_CUT;
    case CURLE_ABORTED_BY_CALLBACK: return CFB_FAIL_STOPPED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: return CFB_FAIL_BAD_REPLY;
    default: return CFB_FAIL_CONNECT;
    }
}

static void read_bad_status(struct call *k, cfb_chat_reply *r) {
    if (r->http_status >= 300 && r->http_status < 400) {
        char *to = NULL;
        curl_easy_getinfo(k->easy, CURLINFO_REDIRECT_URL, &to);
        r->fail = CFB_FAIL_NOT_FOUND;
        snprintf(r->message, sizeof r->message, "the server redirects to %.200s; redirects are not followed",
                 to ? to : "nowhere");
        return;
    }
    if (k->body.ptr) cfb_server__redact(k->owner->server, k->body.ptr, k->body.len);
    cfb_client__read_error_reply(cfb_buf_str(&k->body), r);
}

static const char no_memory[] = "there was no memory for the reply";

static void too_large(cfb_chat_reply *r, const cfb_err *err) {
    r->fail = err->code == CFB_ENOMEM ? CFB_FAIL_CUT : CFB_FAIL_REPLY_TOO_LARGE; /* memory may be there at the next try */
    snprintf(r->message, sizeof r->message, "%.250s", err->msg[0] ? err->msg : "the reply is too large");
}

/* An answer is kept as it is; the words of an error, which go to logs and reports, lose the key if they repeat it. */
static void read_answer(struct call *k, cfb_chat_reply *r) {
    cfb_calls_t *c = k->owner;
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc;
    if (k->sse) {
        rc = cfb_sse_finish(k->sse, r, &err);
    } else {
        cfb_buf_clear(&c->scratch);
        rc = cfb_client_parse_reply(cfb_buf_str(&k->body), &c->scratch, r, &err);
    }
    if (rc == CFB_OK && r->fail != CFB_FAIL_NONE) cfb_server__redact(c->server, r->message, strlen(r->message));
    if (rc != CFB_OK) too_large(r, &err); /* repairing broken characters makes a text longer */
}

static void release(struct call *k) {
    cfb_calls_t *c = k->owner;
    k->busy = false;
    if (k->request.cap > KEPT_BYTES) cfb_buf_free(&k->request);
    if (k->body.cap > KEPT_BYTES) cfb_buf_free(&k->body);
    k->next = c->free;
    c->free = k;
    c->in_flight--;
    c->n_finished++;
}

static void finish(struct call *k, CURLcode code, const char *why_cut) {
    cfb_calls_t *c = k->owner;
    cfb_chat_reply r;
    int64_t now = cfb_now_ns();
    cfb_chat_reply_init(&r);
    r.started_wall_ms = k->wall_ms;
    r.latency_us = (now - k->start_ns) / 1000;
    if (k->first_ns) r.ttft_us = (k->first_ns - k->start_ns) / 1000;
    r.endpoint = k->endpoint;
    r.hints = k->hints;
    curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &r.http_status);
    if (why_cut || code != CURLE_OK) {
        r.fail = why_cut ? CFB_FAIL_TIMEOUT : class_of_curl(k, code);
        if (k->no_memory) why_cut = no_memory;
        snprintf(r.message, sizeof r.message, "%.250s", why_cut ? why_cut : k->error[0] ? k->error : curl_easy_strerror(code));
    } else if (r.http_status < 200 || r.http_status > 299) {
        read_bad_status(k, &r);
    } else {
        read_answer(k, &r);
    }
    if (r.refused) atomic_fetch_or(&c->server->refused, r.refused);
    curl_multi_remove_handle(c->multi, k->easy);
    cfb_server__give_endpoint(c->server, k->endpoint, &r);
    c->done(c->ctx, k->tag, &r);
    release(k);
}

/* ---- starting ---- */

size_t cfb_calls_in_flight(const cfb_calls_t *c) { return c->in_flight; }

static void cannot_make(struct call *k, cfb_fail why) {
    cfb_calls_t *c = k->owner;
    k->busy = false;
    k->unmade = why;
    k->next = c->unmade;
    c->unmade = k;
}

static void no_memory_for_call(struct call *k, size_t endpoint) {
    cfb_chat_reply r;
    cfb_chat_reply_init(&r);
    r.fail = CFB_FAIL_STOPPED; /* says nothing about the server */
    cfb_server__give_endpoint(k->owner->server, endpoint, &r);
    cannot_make(k, CFB_FAIL_CONNECT);
}

cfb_code cfb_calls_start(cfb_calls_t *c, void *tag, cfb_str prompt, int max_tokens, double timeout_s, cfb_err *err) {
    struct call *k = c->free;
    if (k == NULL) return cfb_err_set(err, CFB_EBUG, "more calls than %zu at once", c->max);
    if (k->easy == NULL && !make_call(c, k)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    c->free = k->next;
    k->next = NULL;
    k->tag = tag;
    k->too_large = k->no_memory = false;
    k->error[0] = '\0';
    k->hints = (cfb_rate_hints)CFB_RATE_HINTS_INIT;
    k->first_ns = k->last_ns = 0;
    cfb_buf_clear(&k->request);
    cfb_buf_clear(&k->body);
    if (k->sse) cfb_sse_reset(k->sse);
    c->in_flight++;
    k->start_ns = cfb_now_ns();
    k->wall_ms = cfb_wall_ms();
    cfb_code rc =
        cfb_request_write(&c->server->opts.request, atomic_load(&c->server->refused), prompt, max_tokens, &k->request, err);
    if (rc != CFB_OK && rc != CFB_ELIMIT) { /* the caller hears of it here, and not once more when the call ends */
        release(k);
        c->n_finished--;
        return rc;
    }
    if (rc == CFB_ELIMIT) {
        cannot_make(k, CFB_FAIL_TOO_LARGE);
        return CFB_OK;
    }
    size_t endpoint = cfb_server__take_endpoint(c->server);
    const struct cfb_endpoint *e = &c->server->endpoints[endpoint];
    if (endpoint != k->endpoint) {
        bool ok = curl_easy_setopt(k->easy, CURLOPT_URL, e->url) == CURLE_OK &&
                  curl_easy_setopt(k->easy, CURLOPT_NOPROXY, e->loopback ? "*" : NULL) == CURLE_OK;
        k->endpoint = ok ? endpoint : SIZE_MAX;
        if (!ok) {
            no_memory_for_call(k, endpoint);
            return CFB_OK;
        }
    }
    double limit_s = c->server->opts.timeout_s;
    if (timeout_s > 0 && timeout_s < limit_s) limit_s = timeout_s;
    if (limit_s != k->timeout_s) {
        curl_easy_setopt(k->easy, CURLOPT_TIMEOUT_MS, (long)(limit_s * 1000) > 0 ? (long)(limit_s * 1000) : 1L);
        k->timeout_s = limit_s;
    }
    curl_easy_setopt(k->easy, CURLOPT_POSTFIELDS, k->request.ptr);
    curl_easy_setopt(k->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->request.len);
    k->busy = true;
    if (curl_multi_add_handle(c->multi, k->easy) != CURLM_OK) no_memory_for_call(k, endpoint); /* it would never end */
    return CFB_OK;
}

static void finish_unmade(cfb_calls_t *c) {
    while (c->unmade) {
        struct call *k = c->unmade;
        c->unmade = k->next;
        cfb_chat_reply r;
        cfb_chat_reply_init(&r);
        r.fail = k->unmade;
        r.started_wall_ms = k->wall_ms;
        snprintf(r.message, sizeof r.message, "%s",
                 k->unmade == CFB_FAIL_TOO_LARGE ? "the request is too large" : "there is no memory for one more call");
        c->done(c->ctx, k->tag, &r);
        release(k);
    }
}

/* ---- running ---- */

static void read_messages(cfb_calls_t *c) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE) continue;
        struct call *k = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &k);
        finish(k, code, NULL);
    }
}

/* A server that has begun to answer and then says nothing. */
static void cut_silent(cfb_calls_t *c, int64_t now) {
    double idle_s = c->server->opts.idle_timeout_s;
    if (idle_s <= 0 || now < c->watch_ns) return;
    c->watch_ns = now + WATCH_NS;
    for (size_t i = 0; i < c->max; i++) {
        struct call *k = &c->calls[i];
        if (!k->busy || k->last_ns == 0 || (double)(now - k->last_ns) * 1e-9 < idle_s) continue;
        char why[96];
        snprintf(why, sizeof why, "the server fell silent for %.1f s in the middle of its reply", idle_s);
        finish(k, CURLE_OPERATION_TIMEDOUT, why);
    }
}

static int wait_events(cfb_calls_t *c, struct epoll_event *events, int64_t wait_ns) {
    if (wait_ns > 0 && wait_ns < 5000000) { /* epoll counts in milliseconds: too coarse for a rate */
        struct pollfd p = {c->epoll, POLLIN, 0};
        struct timespec t = {0, (long)wait_ns};
        if (ppoll(&p, 1, &t, NULL) <= 0) return 0;
        wait_ns = 0;
    }
    int64_t ms = wait_ns <= 0 ? 0 : wait_ns / 1000000;
    return epoll_wait(c->epoll, events, EVENTS, ms > 1000 ? 1000 : (int)ms);
}

static void on_event(cfb_calls_t *c, const struct epoll_event *e) {
    if (e->data.fd == c->wake) {
        uint64_t n;
        c->woken = read(c->wake, &n, sizeof n) == (ssize_t)sizeof n || c->woken;
        return;
    }
    int running, mask = 0;
    if (e->events & EPOLLIN) mask |= CURL_CSELECT_IN;
    if (e->events & EPOLLOUT) mask |= CURL_CSELECT_OUT;
    if (e->events & (EPOLLERR | EPOLLHUP)) mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(c->multi, e->data.fd, mask, &running);
}

cfb_code cfb_calls_run(cfb_calls_t *c, int64_t until_ns, cfb_err *err) {
    struct epoll_event events[EVENTS];
    int running;
    c->n_finished = 0;
    c->woken = false;
    finish_unmade(c);
    for (;;) {
        int64_t now = cfb_now_ns();
        if (now >= c->curl_due_ns) {
            c->curl_due_ns = INT64_MAX;
            curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
            read_messages(c);
        }
        cut_silent(c, now);
        int64_t due = c->curl_due_ns < until_ns ? c->curl_due_ns : until_ns;
        if (c->server->opts.idle_timeout_s > 0 && c->in_flight && due > now + WATCH_NS) due = now + WATCH_NS;
        bool ready = c->n_finished > 0 || c->woken;
        int n = wait_events(c, events, ready ? 0 : due == INT64_MAX ? 1000000000 : due - now);
        if (n < 0 && errno != EINTR) return cfb_err_set_errno(err, errno, "cannot wait for connections");
        for (int i = 0; i < n; i++) on_event(c, &events[i]);
        if (n > 0) read_messages(c);
        if (n < EVENTS && (c->n_finished > 0 || c->woken || cfb_now_ns() >= until_ns)) return CFB_OK;
    }
}

void cfb_calls_wake(cfb_calls_t *c) {
    const uint64_t one = 1;
    ssize_t n = write(c->wake, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

void cfb_calls_cut(cfb_calls_t *c) {
    struct epoll_event events[EVENTS];
    int running;
    /* What has arrived is paid for: it is read first. Bounded, as a server may go on sending. */
    for (size_t round = 0; c->in_flight > 0 && round <= c->max / EVENTS * 2 + 2; round++) {
        int n = epoll_wait(c->epoll, events, EVENTS, 0);
        for (int i = 0; i < n; i++) on_event(c, &events[i]);
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        read_messages(c);
        if (n <= 0) break;
    }
    for (size_t i = 0; i < c->max; i++) {
        struct call *k = &c->calls[i];
        if (!k->busy) continue;
        snprintf(k->error, sizeof k->error, "the run was stopped");
        finish(k, CURLE_ABORTED_BY_CALLBACK, NULL);
    }
    finish_unmade(c);
}
