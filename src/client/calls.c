/* Many calls in flight from one thread, driven by epoll: direct ones (direct.c), else transfers of a libcurl multi handle
 * (curl_multi_socket_action). libcurl walks lists per multi handle, so a thread should have a few hundred calls at most; more
 * threads take more. */
#define _GNU_SOURCE /* ppoll */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "client/calls.h"

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

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx) {
    struct call *k = ctx;
    long status = 200;
    if (k->sse) curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    return cfb_calls__take_body(k, status, data, size * n) ? size * n : 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx) {
    cfb_calls__take_header(ctx, (cfb_str){line, size * n});
    return size * n;
}

/* libcurl would repeat a request when a kept connection turns out dead; but the server may have read it, and replies cost money.
 * Going back to its start fails, so libcurl gives up instead. */
static int on_seek(void *ctx, curl_off_t offset, int origin) {
    struct call *k = ctx;
    if (origin != SEEK_SET || k->at > 0) return CURL_SEEKFUNC_FAIL;
    return offset == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static size_t on_read(char *to, size_t size, size_t n, void *ctx) {
    struct call *k = ctx;
    size_t room = size * n, left = k->request.len - k->at, len = left < room ? left : room;
    memcpy(to, k->request.ptr + k->at, len);
    k->at += len;
    return len;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known) {
    cfb_calls_t *c = ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event e = {.data.u64 = (uint64_t)fd};
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

/* ---- what comes back ---- */

void cfb_calls__lend(cfb_buf *spare, cfb_buf *b) {
    if (b->ptr != NULL) return;
    b->ptr = spare->ptr;
    b->cap = spare->cap;
    *spare = (cfb_buf){NULL, 0, 0, 0};
    cfb_buf_clear(b);
}

void cfb_calls__give_back(cfb_buf *spare, cfb_buf *b) {
    if (spare->ptr != NULL || b->cap > KEPT_BYTES) {
        cfb_buf_free(b);
        return;
    }
    *spare = *b;
    *b = (cfb_buf){NULL, 0, 0, b->max};
}

bool cfb_calls__take_body(struct call *k, long status, const char *data, size_t len) {
    int64_t now = 0;
    cfb_code rc;
    if (k->sse || k->owner->server->opts.idle_timeout_s > 0) k->last_ns = now = cfb_now_ns();
    if (k->sse && status >= 200 && status <= 299) {
        rc = cfb_sse_feed(k->sse, (cfb_str){data, len}, NULL);
        if (k->first_ns == 0 && k->sse->any_text) k->first_ns = now;
    } else {
        cfb_calls__lend(&k->owner->spare_body, &k->body);
        rc = cfb_buf_append(&k->body, data, len, NULL);
    }
    k->too_large = rc == CFB_ELIMIT;
    k->no_memory = rc != CFB_OK && !k->too_large;
    return rc == CFB_OK;
}

void cfb_calls__take_header(struct call *k, cfb_str line) {
    /* x-..., r(ate..., retry...), anthropic-...: others are not looked at */
    if (line.len > 5 && memchr("xXrRaA", line.ptr[0], 6)) cfb_client__read_header(line, k->wall_ms, &k->hints);
}

/* ---- making ---- */

static bool make_call(cfb_calls_t *c, struct call *k) {
    k->request.max = MAX_REQUEST_BYTES + c->server->head_room;
    k->body.max = c->server->opts.max_reply_bytes;
    if (c->server->opts.request.stream) {
        k->sse = malloc(sizeof *k->sse);
        if (k->sse) cfb_sse_init(k->sse, c->server->opts.max_reply_bytes);
        if (k->sse == NULL) return false;
    }
    k->owner = c; /* made */
    return true;
}

/* A handle that makes whole calls, kept by its slot. */
static bool make_handle(struct call *k) {
    const cfb_server_t *s = k->owner->server;
    CURL *h = k->easy = curl_easy_init();
    if (h == NULL) return false;
    cfb_server__set_transport(s, h);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(h, CURLOPT_POST, 1L);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(h, CURLOPT_READDATA, k);
    curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(h, CURLOPT_SEEKDATA, k);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, k);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, k);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, k->error);
    curl_easy_setopt(h, CURLOPT_PRIVATE, k);
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 16384L); /* the least */
    return true;
}

/* A slot for a call to the endpoint: one that is connected to it, else one that is not connected, else any. */
static struct call *take_slot(cfb_calls_t *c, size_t endpoint) {
    size_t n = c->server->n_endpoints, from = c->free[endpoint] ? endpoint : n;
    for (size_t i = 0; c->free[from] == NULL && i < n; i++) from = i;
    struct call *k = c->free[from];
    if (k == NULL || (k->owner == NULL && !make_call(c, k))) return NULL;
    c->free[from] = k->next;
    k->next = NULL;
    return k;
}

static void free_slot(struct call *k) {
    cfb_calls_t *c = k->owner;
    struct call **list = &c->free[k->fd >= 0 ? k->endpoint : c->server->n_endpoints];
    k->next = *list;
    *list = k;
}

cfb_code cfb_calls_new(cfb_server_t *s, size_t max_calls, cfb_call_done_fn done, void *ctx, cfb_calls_t **out, cfb_err *err) {
    cfb_calls_t *c = calloc(1, sizeof *c);
    if (c == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    c->server = s;
    c->max = max_calls ? max_calls : 1;
    c->done = done;
    c->ctx = ctx;
    c->curl_due_ns = c->deadline_ns = INT64_MAX;
    c->scratch.max = 2 * s->opts.max_reply_bytes;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)c->wake};
    if (c->epoll < 0 || c->wake < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->wake, &e) != 0) {
        cfb_code rc = cfb_err_set_errno(err, errno, "cannot wait for connections");
        cfb_calls_free(c);
        return rc;
    }
    c->multi = curl_multi_init();
    c->calls = calloc(c->max, sizeof *c->calls);
    c->free = calloc(s->n_endpoints + 1, sizeof(struct call *));
    c->in = s->direct ? malloc(CFB_DIRECT_IN_BYTES) : NULL;
    if (c->multi == NULL || c->calls == NULL || c->free == NULL || (s->direct && c->in == NULL)) {
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
        cfb_http1_init(&c->calls[i].http);
        c->calls[i].fd = -1;
        c->calls[i].endpoint = NO_ENDPOINT;
        c->calls[i].next = c->free[s->n_endpoints];
        c->free[s->n_endpoints] = &c->calls[i];
    }
    *out = c;
    return CFB_OK;
}

void cfb_calls_free(cfb_calls_t *c) {
    if (c == NULL) return;
    for (size_t i = 0; c->calls && i < c->max; i++) {
        struct call *k = &c->calls[i];
        if (k->owner == NULL) continue; /* never used */
        if (k->busy && k->easy) curl_multi_remove_handle(c->multi, k->easy);
        curl_easy_cleanup(k->easy);
        cfb_direct__close(k);
        cfb_http1_free(&k->http);
        free(k->location);
        cfb_buf_free(&k->request);
        cfb_buf_free(&k->body);
        if (k->sse) cfb_sse_free(k->sse);
        free(k->sse);
    }
    while (c->n_idle > 0) curl_easy_cleanup(c->idle[--c->n_idle]);
    curl_multi_cleanup(c->multi);
    free(c->free);
    free(c->in);
    if (c->epoll >= 0) close(c->epoll);
    if (c->wake >= 0) close(c->wake);
    cfb_buf_free(&c->scratch);
    cfb_buf_free(&c->spare_request);
    cfb_buf_free(&c->spare_body);
    free(c->calls);
    free(c);
}

/* ---- the end of a call ---- */

cfb_fail cfb_calls__class_of_curl(CURLcode code, bool too_large) {
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
    case CURLE_SEND_FAIL_REWIND: /* see on_seek */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return CFB_FAIL_CUT;
    case CURLE_WRITE_ERROR: return too_large ? CFB_FAIL_REPLY_TOO_LARGE : CFB_FAIL_CUT;
    case CURLE_ABORTED_BY_CALLBACK: return CFB_FAIL_STOPPED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: return CFB_FAIL_BAD_REPLY;
    default: return CFB_FAIL_CONNECT;
    }
}

static void read_bad_status(struct call *k, cfb_chat_reply *r) {
    if (r->http_status >= 300 && r->http_status < 400) {
        char *to = NULL;
        if (k->easy)
            curl_easy_getinfo(k->easy, CURLINFO_REDIRECT_URL, &to);
        else
            to = k->location;
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
    cfb_calls__give_back(&c->spare_request, &k->request);
    cfb_calls__give_back(&c->spare_body, &k->body);
    free_slot(k);
    c->in_flight--;
    c->n_finished++;
}

void cfb_calls__finish(struct call *k, cfb_fail fail, const char *why) {
    cfb_calls_t *c = k->owner;
    cfb_chat_reply r;
    int64_t now = cfb_now_ns();
    cfb_chat_reply_init(&r);
    r.started_wall_ms = k->wall_ms;
    r.latency_us = (now - k->start_ns) / 1000;
    if (k->first_ns) r.ttft_us = (k->first_ns - k->start_ns) / 1000;
    r.endpoint = k->endpoint;
    r.hints = k->hints;
    if (c->server->direct)
        r.http_status = k->http.in_body ? k->http.status : 0;
    else
        curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &r.http_status);
    if (fail != CFB_FAIL_NONE) {
        r.fail = fail;
        snprintf(r.message, sizeof r.message, "%.250s", k->no_memory ? no_memory : why);
    } else if (r.http_status < 200 || r.http_status > 299) {
        read_bad_status(k, &r);
    } else {
        read_answer(k, &r);
    }
    if (r.refused) atomic_fetch_or(&c->server->refused, r.refused);
    size_t endpoint = k->endpoint;
    if (c->server->direct)
        cfb_direct__settle(k);
    else
        curl_multi_remove_handle(c->multi, k->easy);
    cfb_server__give_endpoint(c->server, endpoint, &r);
    c->done(c->ctx, k->tag, &r);
    release(k);
}

static void finish_transfer(struct call *k, CURLcode code) {
    cfb_fail fail = cfb_calls__class_of_curl(code, k->too_large);
    const char *why = k->error[0] ? k->error : curl_easy_strerror(code);
    if (code == CURLE_SEND_FAIL_REWIND) why = "the server closed the connection without an answer, after earlier ones";
    cfb_calls__finish(k, fail, why);
}

/* ---- starting ---- */

size_t cfb_calls_in_flight(const cfb_calls_t *c) { return c->in_flight; }

/* It ends with a callback in the next wait. */
static void cannot_make(struct call *k, size_t endpoint, cfb_fail why) {
    cfb_calls_t *c = k->owner;
    cfb_chat_reply r;
    cfb_chat_reply_init(&r);
    r.fail = CFB_FAIL_STOPPED; /* says nothing about the server */
    cfb_server__give_endpoint(c->server, endpoint, &r);
    k->busy = false;
    k->unmade = why;
    k->next = c->unmade;
    c->unmade = k;
}

static bool start_direct(struct call *k, size_t endpoint, double limit_s) {
    cfb_calls_t *c = k->owner;
    k->timeout_s = limit_s;
    k->deadline_ns = k->start_ns + (int64_t)(limit_s * 1e9);
    if (k->deadline_ns < c->deadline_ns) c->deadline_ns = k->deadline_ns;
    k->busy = true;
    return cfb_direct__start(k, endpoint);
}

static bool start_transfer(struct call *k, size_t endpoint, double limit_s) {
    const struct cfb_endpoint *e = &k->owner->server->endpoints[endpoint];
    if (k->easy == NULL && !make_handle(k)) return false;
    if (endpoint != k->endpoint) {
        bool ok = curl_easy_setopt(k->easy, CURLOPT_URL, e->url) == CURLE_OK &&
                  curl_easy_setopt(k->easy, CURLOPT_NOPROXY, e->loopback ? "*" : NULL) == CURLE_OK;
        k->endpoint = ok ? endpoint : NO_ENDPOINT;
        if (!ok) return false;
    }
    if (limit_s != k->timeout_s) {
        curl_easy_setopt(k->easy, CURLOPT_TIMEOUT_MS, (long)(limit_s * 1000) > 0 ? (long)(limit_s * 1000) : 1L);
        k->timeout_s = limit_s;
    }
    k->at = 0;
    curl_easy_setopt(k->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->request.len);
    k->busy = true;
    return curl_multi_add_handle(k->owner->multi, k->easy) == CURLM_OK;
}

static cfb_code write_request(struct call *k, cfb_str prompt, int max_tokens, cfb_err *err) {
    cfb_server_t *s = k->owner->server;
    cfb_calls__lend(&k->owner->spare_request, &k->request);
    cfb_buf_clear(&k->request);
    cfb_code rc = cfb_buf_reserve(&k->request, s->head_room, err);
    if (rc != CFB_OK) return rc;
    k->request.len = s->head_room;
    return cfb_request_write(&s->opts.request, atomic_load(&s->refused), prompt, max_tokens, &k->request, err);
}

cfb_code cfb_calls_start(cfb_calls_t *c, void *tag, cfb_str prompt, int max_tokens, double timeout_s, cfb_err *err) {
    if (c->in_flight >= c->max) return cfb_err_set(err, CFB_EBUG, "more calls than %zu at once", c->max);
    size_t endpoint = cfb_server__take_endpoint(c->server);
    struct call *k = take_slot(c, endpoint);
    cfb_chat_reply unsent;
    cfb_chat_reply_init(&unsent);
    unsent.fail = CFB_FAIL_STOPPED;
    if (k == NULL) {
        cfb_server__give_endpoint(c->server, endpoint, &unsent);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    k->tag = tag;
    k->too_large = k->no_memory = false;
    k->error[0] = '\0';
    k->hints = (cfb_rate_hints)CFB_RATE_HINTS_INIT;
    k->first_ns = k->last_ns = 0;
    if (k->sse) cfb_sse_reset(k->sse);
    c->in_flight++;
    k->start_ns = cfb_now_ns();
    k->wall_ms = cfb_wall_ms();
    cfb_code rc = write_request(k, prompt, max_tokens, err);
    if (rc != CFB_OK && rc != CFB_ELIMIT) { /* the caller hears of it here, and not once more when the call ends */
        cfb_server__give_endpoint(c->server, endpoint, &unsent);
        release(k);
        c->n_finished--;
        return rc;
    }
    double limit_s = c->server->opts.timeout_s;
    if (timeout_s > 0 && timeout_s < limit_s) limit_s = timeout_s;
    if (rc == CFB_ELIMIT)
        cannot_make(k, endpoint, CFB_FAIL_TOO_LARGE);
    else if (!(c->server->direct ? start_direct : start_transfer)(k, endpoint, limit_s))
        cannot_make(k, endpoint, CFB_FAIL_CONNECT); /* it would never end */
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
        if (c->server->direct)
            cfb_direct__connected(k, code);
        else
            finish_transfer(k, code);
    }
}

/* Calls that have had all their time. */
static void cut_late(cfb_calls_t *c, int64_t now) {
    if (now < c->deadline_ns) return;
    c->deadline_ns = INT64_MAX;
    for (size_t i = 0; i < c->max; i++) {
        struct call *k = &c->calls[i];
        if (!k->busy) continue;
        if (now >= k->deadline_ns) {
            char why[96];
            snprintf(why, sizeof why, "no %s after %.3f s",
                     k->connecting   ? "connection"
                     : k->http.begun ? "whole reply"
                                     : "reply",
                     (double)(now - k->start_ns) * 1e-9);
            cfb_calls__finish(k, CFB_FAIL_TIMEOUT, why);
        } else if (k->deadline_ns < c->deadline_ns) {
            c->deadline_ns = k->deadline_ns;
        }
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
        cfb_calls__finish(k, CFB_FAIL_TIMEOUT, why);
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
    if (e->data.u64 >= CFB_DIRECT_EVENT) {
        cfb_direct__on_event(&c->calls[e->data.u64 - CFB_DIRECT_EVENT], e->events);
        return;
    }
    if (e->data.u64 == (uint64_t)c->wake) {
        uint64_t n;
        c->woken = read(c->wake, &n, sizeof n) == (ssize_t)sizeof n || c->woken;
        return;
    }
    int running, mask = 0;
    if (e->events & EPOLLIN) mask |= CURL_CSELECT_IN;
    if (e->events & EPOLLOUT) mask |= CURL_CSELECT_OUT;
    if (e->events & (EPOLLERR | EPOLLHUP)) mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(c->multi, (curl_socket_t)e->data.u64, mask, &running);
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
        cut_late(c, now);
        cut_silent(c, now);
        int64_t due = c->curl_due_ns < until_ns ? c->curl_due_ns : until_ns;
        if (c->deadline_ns < due) due = c->deadline_ns;
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
        cfb_calls__finish(k, CFB_FAIL_STOPPED, "the run was stopped");
    }
    finish_unmade(c);
}
