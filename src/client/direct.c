/* Calls over sockets of our own. libcurl makes the connection (names, addresses, Unix sockets); then its socket is taken over,
 * and a call is one send and one receive. A request is never sent twice by itself, except when the kernel says that no byte of it
 * left: a server that closes a kept connection may have read the request, and generating a reply costs money. Such a call fails
 * as any other that was cut, and the run's rules for trying again hold. */
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC */
#include "cfbench/base.h"
#include "client/calls.h"
#include "client/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVES 8 /* of one call, before others have their turn */

void cfb_direct__close(struct call *k) {
    cfb_tls_close(k->ssl, !k->shaking && !k->broken);
    k->ssl = NULL;
    k->dialing = k->shaking = false;
    if (k->fd >= 0) close(k->fd); /* leaves the epoll set by itself */
    k->fd = -1;
    k->endpoint = NO_ENDPOINT;
}

static void watch(struct call *k, int op, bool to_send) {
    struct epoll_event e = {.events = EPOLLIN | (to_send ? (unsigned)EPOLLOUT : 0u),
                            .data.u64 = (uint64_t)(k - k->owner->calls) + CFB_DIRECT_EVENT};
    epoll_ctl(k->owner->epoll, op, k->fd, &e);
    k->waits_to_send = to_send;
}

static ssize_t put(struct call *k, const char *data, size_t n) {
    return k->ssl ? cfb_tls_send(k->ssl, data, n) : send(k->fd, data, n, MSG_NOSIGNAL);
}

static ssize_t get(struct call *k, char *to, size_t n) { return k->ssl ? cfb_tls_receive(k->ssl, to, n) : recv(k->fd, to, n, 0); }

static bool would_wait(ssize_t n) { return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK); }

/* ---- connecting ---- */

static CURL *take_handle(cfb_calls_t *c) {
    if (c->n_idle > 0) return c->idle[--c->n_idle];
    CURL *h = curl_easy_init();
    if (h == NULL) return NULL;
    cfb_server__set_transport(c->server, h);
    curl_easy_setopt(h, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*"); /* with a proxy a server is not direct */
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 1024L);
    return h;
}

static void give_handle(cfb_calls_t *c, CURL *h) {
    if (c->n_idle < sizeof c->idle / sizeof *c->idle)
        c->idle[c->n_idle++] = h;
    else
        curl_easy_cleanup(h);
}

static void stop_connecting(struct call *k) {
    if (!k->connecting) return;
    curl_multi_remove_handle(k->owner->multi, k->easy); /* closes what libcurl holds */
    curl_easy_setopt(k->easy, CURLOPT_ERRORBUFFER, NULL);
    give_handle(k->owner, k->easy);
    k->easy = NULL;
    k->connecting = false;
}

static void set_deadline(struct call *k, double limit_s) {
    k->deadline_ns = k->start_ns + (int64_t)(limit_s * 1e9);
    if (k->deadline_ns < k->owner->deadline_ns) k->owner->deadline_ns = k->deadline_ns;
}

/* Until the connection stands, TLS and all. */
static void hurry(struct call *k) {
    double limit_s = k->owner->server->opts.connect_timeout_s;
    if (limit_s < k->timeout_s) set_deadline(k, limit_s);
}

/* ---- sending ---- */

static void note_sent(struct call *k, size_t n) {
    k->at += n;
    k->unsent = k->at < k->request.len;
    if (!k->unsent) cfb_calls__give_back(&k->owner->spare_request, &k->request);
}

/* False: the connection is broken. */
static bool send_more(struct call *k) {
    while (k->unsent) {
        ssize_t n = put(k, k->request.ptr + k->at, k->request.len - k->at);
        if (n > 0)
            note_sent(k, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (would_wait(n))
            break;
        else
            return false;
    }
    if (k->unsent != k->waits_to_send) watch(k, EPOLL_CTL_MOD, k->unsent);
    return true;
}

/* The head stands right before the body: one buffer, one send. */
static void put_head(struct call *k, size_t endpoint) {
    const cfb_server_t *s = k->owner->server;
    const struct cfb_endpoint *e = &s->endpoints[endpoint];
    char tail[32];
    int n = snprintf(tail, sizeof tail, "%zu\r\n\r\n", k->request.len - s->head_room);
    k->at = s->head_room - (size_t)n - e->head_len;
    memcpy(k->request.ptr + k->at, e->head, e->head_len);
    memcpy(k->request.ptr + k->at + e->head_len, tail, (size_t)n);
}

/* Errors come as events: nothing ends in here. False: no socket is to be had. */
static bool dial(struct call *k, size_t endpoint) {
    const struct cfb_endpoint *e = &k->owner->server->endpoints[endpoint];
    const int on = 1;
    k->fd = socket(e->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->fd < 0) return false;
    k->endpoint = endpoint;
    k->dialing = true;
    setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    hurry(k);
    k->dial_errno = connect(k->fd, (const struct sockaddr *)&e->address, e->address_len) == 0 || errno == EINPROGRESS ? 0 : errno;
    if (k->dial_errno == 0 && !e->tls) { /* near servers have answered by now */
        ssize_t n = put(k, k->request.ptr + k->at, k->request.len - k->at);
        if (n > 0) {
            k->dialing = false;
            set_deadline(k, k->timeout_s);
            note_sent(k, (size_t)n);
        } else if (!would_wait(n)) {
            k->dial_errno = n < 0 ? errno : EPIPE;
        }
    }
    watch(k, EPOLL_CTL_ADD, k->dialing || k->unsent); /* a socket that did not connect is ready at once */
    return true;
}

static bool connect_to(struct call *k, size_t endpoint) {
    cfb_calls_t *c = k->owner;
    k->kept = false;
    if (c->server->endpoints[endpoint].address_len > 0) return dial(k, endpoint);
    k->easy = take_handle(c);
    if (k->easy == NULL) return false;
    if (curl_easy_setopt(k->easy, CURLOPT_URL, c->server->endpoints[endpoint].connect_url) != CURLE_OK) {
        give_handle(c, k->easy);
        k->easy = NULL;
        return false;
    }
    k->error[0] = '\0';
    curl_easy_setopt(k->easy, CURLOPT_ERRORBUFFER, k->error);
    curl_easy_setopt(k->easy, CURLOPT_PRIVATE, k);
    k->endpoint = endpoint;
    k->connecting = true;
    if (curl_multi_add_handle(c->multi, k->easy) == CURLM_OK) return true;
    stop_connecting(k);
    return false;
}

/* Has the server closed it since the last reply? Then nothing was sent, and nothing is lost. */
static bool is_alive(struct call *k) {
    char c;
    ssize_t n = recv(k->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 && k->ssl) n = get(k, &c, 1); /* what TLS says for itself, such as a session ticket, is no data */
    return would_wait(n);
}

bool cfb_direct__start(struct call *k, size_t endpoint) {
    put_head(k, endpoint);
    k->unsent = true;
    k->broken = false;
    if (k->fd >= 0 && (k->endpoint != endpoint || !is_alive(k))) cfb_direct__close(k);
    if (k->fd >= 0) {
        size_t at = k->at;
        k->kept = true;
        if (send_more(k)) return true;
        if (k->at != at) { /* some of it left: the event that tells the error is on its way */
            k->broken = true;
            return true;
        }
        cfb_direct__close(k); /* none of it left */
    }
    return connect_to(k, endpoint);
}

static void begin(struct call *k) {
    if (!send_more(k)) cfb_calls__finish(k, CFB_FAIL_CUT, "the server closed the connection at once");
}

static void shake(struct call *k) {
    char why[200];
    cfb_tls_state state = cfb_tls_shake(k->ssl, why, sizeof why);
    if (state == CFB_TLS_UNTRUSTED || state == CFB_TLS_FAILED) {
        cfb_calls__finish(k, state == CFB_TLS_UNTRUSTED ? CFB_FAIL_TLS : CFB_FAIL_CONNECT, why);
        return;
    }
    bool waits = state == CFB_TLS_WANTS_WRITE;
    if (waits != k->waits_to_send) watch(k, EPOLL_CTL_MOD, waits);
    if (state != CFB_TLS_DONE) return;
    k->shaking = false;
    set_deadline(k, k->timeout_s);
    begin(k);
}

static void begin_tls(struct call *k) {
    const cfb_server_t *s = k->owner->server;
    k->ssl = cfb_tls_open(s->tls, k->fd, s->endpoints[k->endpoint].host);
    if (k->ssl == NULL) {
        k->no_memory = true;
        cfb_calls__finish(k, CFB_FAIL_CONNECT, "");
        return;
    }
    k->shaking = true;
    hurry(k);
    shake(k);
}

static void on_connection(struct call *k) {
    if (k->owner->server->endpoints[k->endpoint].tls)
        begin_tls(k);
    else
        begin(k);
}

static void on_dialed(struct call *k) {
    int e = k->dial_errno;
    socklen_t n = sizeof e;
    if (e == 0 && getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) e = errno;
    if (e != 0) {
        char why[160];
        snprintf(why, sizeof why, "cannot connect to %s: %s", k->owner->server->opts.base_urls[k->endpoint], strerror(e));
        cfb_calls__finish(k, CFB_FAIL_CONNECT, why);
        return;
    }
    k->dialing = false;
    set_deadline(k, k->timeout_s);
    on_connection(k);
}

void cfb_direct__connected(struct call *k, CURLcode code) {
    curl_socket_t theirs = CURL_SOCKET_BAD;
    if (code == CURLE_OK) curl_easy_getinfo(k->easy, CURLINFO_ACTIVESOCKET, &theirs);
    k->fd = theirs == CURL_SOCKET_BAD ? -1 : fcntl(theirs, F_DUPFD_CLOEXEC, 3);
    int e = errno;
    stop_connecting(k);
    if (code != CURLE_OK || k->fd < 0) {
        char why[CURL_ERROR_SIZE + 8];
        snprintf(why, sizeof why, "%s", code == CURLE_OK ? strerror(e) : k->error[0] ? k->error : curl_easy_strerror(code));
        cfb_calls__finish(k, code == CURLE_OK ? CFB_FAIL_CONNECT : cfb_calls__class_of_curl(code, false), why);
        return;
    }
    watch(k, EPOLL_CTL_ADD, false);
    on_connection(k);
}

/* ---- receiving ---- */

static void on_header(void *ctx, cfb_str line) {
    struct call *k = ctx;
    static const char name[] = "location:";
    cfb_calls__take_header(k, line);
    if (k->http.status < 300 || k->http.status > 399 || k->location || line.len < sizeof name) return;
    for (size_t i = 0; i < sizeof name - 1; i++)
        if ((line.ptr[i] | 0x20) != (name[i] | 0x20)) return;
    size_t at = sizeof name - 1;
    while (at < line.len && line.ptr[at] == ' ') at++;
    k->location = strndup(line.ptr + at, line.len - at);
}

static bool on_body(void *ctx, const char *data, size_t n) {
    struct call *k = ctx;
    return cfb_calls__take_body(k, k->http.status, data, n);
}

static void finish_bad(struct call *k) {
    switch (k->http.state) {
    case CFB_HTTP1_NO_MEMORY: k->no_memory = true; /* fall through */
    case CFB_HTTP1_REFUSED:
        cfb_calls__finish(k, k->too_large ? CFB_FAIL_REPLY_TOO_LARGE : CFB_FAIL_CUT, "the reply passed the size limit");
        break;
    default: cfb_calls__finish(k, k->http.in_body ? CFB_FAIL_CUT : CFB_FAIL_BAD_REPLY, k->http.why); break;
    }
}

/* No more will come. */
static void on_closed(struct call *k, int e) {
    char why[160];
    if (!k->http.begun)
        snprintf(why, sizeof why, "the server closed the connection without an answer%s%s%s",
                 k->kept ? ", after earlier ones" : "", e ? ": " : "", e ? strerror(e) : "");
    else if (e == 0 && cfb_http1_end(&k->http) == CFB_HTTP1_DONE) {
        cfb_calls__finish(k, CFB_FAIL_NONE, NULL);
        return;
    } else
        snprintf(why, sizeof why, "%s", k->http.why ? k->http.why : strerror(e));
    cfb_calls__finish(k, CFB_FAIL_CUT, why);
}

static void receive(struct call *k) {
    static const cfb_http1_sink sink = {on_header, on_body};
    cfb_calls_t *c = k->owner;
    for (int i = 0; i < RECEIVES || k->ssl; i++) { /* epoll does not know what TLS has read ahead */
        ssize_t n = get(k, c->in, CFB_DIRECT_IN_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (would_wait(n)) return;
        if (n <= 0) {
            on_closed(k, n < 0 ? errno : 0);
            return;
        }
        size_t used;
        cfb_http1_state state = cfb_http1_feed(&k->http, (cfb_str){c->in, (size_t)n}, &sink, k, &used);
        if (state == CFB_HTTP1_DONE) {
            if (used < (size_t)n) k->http.keep = false; /* what was not asked for */
            cfb_calls__finish(k, CFB_FAIL_NONE, NULL);
            return;
        }
        if (state > CFB_HTTP1_DONE) {
            finish_bad(k);
            return;
        }
        if ((size_t)n < CFB_DIRECT_IN_BYTES && k->ssl == NULL) return; /* that was all */
    }
}

void cfb_direct__on_event(struct call *k, unsigned events) {
    if (k->fd < 0) return; /* closed since */
    if (!k->busy) {        /* closed by the server; or it says what nobody asked for */
        if (!is_alive(k)) cfb_direct__close(k);
        return;
    }
    if (k->dialing) {
        on_dialed(k);
        return;
    }
    if (k->shaking) {
        shake(k);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) { /* an answer that comes before all is sent is final: the rest stays here */
        receive(k);
    } else if ((events & EPOLLOUT) && k->waits_to_send && !send_more(k)) {
        k->broken = true; /* it will take no more, but may have said why */
        watch(k, EPOLL_CTL_MOD, false);
    }
}

void cfb_direct__settle(struct call *k) {
    stop_connecting(k);
    /* After 413 a server may read the rest to throw it away, and whatever follows, too (RFC 9110, 15.5.14). */
    bool keep = k->http.state == CFB_HTTP1_DONE && k->http.keep && k->http.status != 413 && !k->unsent && !k->broken;
    char c;
    if (keep && k->ssl && SSL_has_pending(k->ssl)) keep = would_wait(get(k, &c, 1)); /* its farewell, mostly */
    if (!keep) cfb_direct__close(k);
    cfb_http1_reset(&k->http);
    free(k->location);
    k->location = NULL;
}
