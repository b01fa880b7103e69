/* The coordinator: one thread, one hub, a line in and a line out for each client. */
#include "cluster/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define JOIN_NS 5000000000 /* who has not said the token by then is not waited for */
#define TICK_MS 50

struct client {
    int fd, member; /* member -1: the token has not been said yet */
    int64_t since_ns;
    char nonce[65];
    size_t n_in, n_out;
    char in[CFB_WIRE_LINE], out[CFB_WIRE_LINE];
};

struct cfb_limiter_server {
    int fd;
    char name[300];
    char *token;
    cfb_hub hub;
    struct client *clients[CFB_HUB_MEMBERS];
    size_t n;
    uint64_t n_joined, n_refused, n_nonces;
    char secret[65];
};

cfb_code cfb_limiter_server_open(const cfb_limiter_opts *o, cfb_limiter_server_t **out, cfb_err *err) {
    if (o->token == NULL || strlen(o->token) < CFB_WIRE_TOKEN_MIN)
        return cfb_err_set(err, CFB_ECONFIG,
                           "the limiter needs a token of %d bytes or more, which its clients must know: CFBENCH_LIMITER_TOKEN or "
                           "--limiter-token-file",
                           CFB_WIRE_TOKEN_MIN);
    cfb_limiter_server_t *s = calloc(1, sizeof *s);
    if (s == NULL || (s->token = strdup(o->token)) == NULL) {
        free(s);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    s->fd = -1;
    cfb_hub_init(&s->hub, &o->limits, o->in_flight, o->adaptive, cfb_now_ns());
    unsigned char random[32];
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    cfb_code rc = fd >= 0 && read(fd, random, sizeof random) == (ssize_t)sizeof random
                      ? CFB_OK
                      : cfb_err_set_errno(err, errno, "cannot read /dev/urandom");
    if (fd >= 0) close(fd);
    cfb_sha256_hex(random, sizeof random, s->secret);
    if (rc == CFB_OK) rc = cfb_wire_listen(o->listen, &s->fd, s->name, sizeof s->name, err);
    if (rc == CFB_OK && fcntl(s->fd, F_SETFL, O_NONBLOCK) != 0) rc = cfb_err_set_errno(err, errno, "a socket");
    if (rc == CFB_OK)
        *out = s;
    else
        cfb_limiter_server_close(s);
    return rc;
}

const char *cfb_limiter_server_address(const cfb_limiter_server_t *s) { return s->name; }

cfb_limiter_counts cfb_limiter_server_counts(const cfb_limiter_server_t *s) {
    return (cfb_limiter_counts){s->n_joined, s->n_refused, s->hub.n_granted, s->hub.n_lost, s->hub.n_exchanges};
}

/* ---- clients ---- */

static void drop(cfb_limiter_server_t *s, size_t i) {
    struct client *c = s->clients[i];
    if (c->member >= 0) {
        cfb_hub_leave(&s->hub, c->member);
        cfb_log(CFB_LOG_DEBUG, "limiter: a client left; %zu connections", s->n - 1);
    }
    close(c->fd);
    free(c);
    s->clients[i] = s->clients[--s->n];
}

static bool put_line(struct client *c, const char *line, size_t n) {
    if (c->n_out + n + 1 > sizeof c->out) return false; /* it does not read what it asked for */
    memcpy(c->out + c->n_out, line, n);
    c->out[c->n_out + n] = '\n';
    c->n_out += n + 1;
    return true;
}

static bool flush(struct client *c) {
    while (c->n_out > 0) {
        ssize_t n = send(c->fd, c->out, c->n_out, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        memmove(c->out, c->out + n, c->n_out - (size_t)n);
        c->n_out -= (size_t)n;
    }
    return true;
}

static void add_client(cfb_limiter_server_t *s) {
    int fd = accept(s->fd, NULL, NULL);
    if (fd < 0) return;
    struct client *c = s->n < CFB_HUB_MEMBERS ? calloc(1, sizeof *c) : NULL;
    if (c == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        close(fd);
        free(c);
        s->n_refused++;
        return;
    }
    *c = (struct client){.fd = fd, .member = -1, .since_ns = cfb_now_ns()};
    char number[24], hello[100];
    snprintf(number, sizeof number, "%llu", (unsigned long long)s->n_nonces++);
    cfb_wire_proof(s->secret, number, c->nonce);
    int n = snprintf(hello, sizeof hello, CFB_WIRE_HELLO "%s", c->nonce);
    s->clients[s->n++] = c;
    if (!put_line(c, hello, (size_t)n) || !flush(c)) drop(s, s->n - 1);
}

static bool join(cfb_limiter_server_t *s, struct client *c, const char *line) {
    char want[65];
    cfb_wire_proof(c->nonce, s->token, want);
    if (strncmp(line, "join ", 5) != 0 || !cfb_wire_same(want, line + 5)) {
        s->n_refused++;
        static const char no[] = "no the token is another one";
        put_line(c, no, sizeof no - 1);
        flush(c);
        return false;
    }
    c->member = cfb_hub_join(&s->hub, cfb_now_ns());
    if (c->member < 0) return false;
    s->n_joined++;
    cfb_log(CFB_LOG_DEBUG, "limiter: a client joined; %zu connections", s->n);
    return put_line(c, "ok", 2);
}

/* False: the client goes. */
static bool on_line(cfb_limiter_server_t *s, struct client *c, const char *line) {
    if (c->member < 0) return join(s, c, line);
    cfb_hub_event events[CFB_HUB_EVENTS];
    cfb_hub_ask ask;
    cfb_hub_grant grant;
    char answer[CFB_WIRE_LINE];
    int64_t now = cfb_now_ns();
    if (!cfb_wire_get_ask(line, now, &ask, events)) return false;
    cfb_hub_exchange(&s->hub, c->member, now, &ask, &grant);
    return put_line(c, answer, cfb_wire_put_grant(&grant, now, answer));
}

static bool on_bytes(cfb_limiter_server_t *s, struct client *c) {
    ssize_t n = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    c->n_in += (size_t)n;
    char *from = c->in, *end;
    while ((end = memchr(from, '\n', c->n_in - (size_t)(from - c->in))) != NULL) {
        *end = '\0';
        if (!on_line(s, c, from)) return false;
        from = end + 1;
    }
    c->n_in -= (size_t)(from - c->in);
    memmove(c->in, from, c->n_in);
    return c->n_in < sizeof c->in && flush(c);
}

cfb_code cfb_limiter_server_run(cfb_limiter_server_t *s, cfb_stop *stop, cfb_err *err) {
    struct pollfd fds[CFB_HUB_MEMBERS + 1];
    while (!cfb_stop_is_on(stop)) {
        fds[0] = (struct pollfd){s->fd, POLLIN, 0};
        size_t n = s->n;
        for (size_t i = 0; i < n; i++)
            fds[i + 1] = (struct pollfd){s->clients[i]->fd, (short)(POLLIN | (s->clients[i]->n_out ? POLLOUT : 0)), 0};
        int ready = poll(fds, (nfds_t)(n + 1), TICK_MS);
        if (ready < 0 && errno != EINTR) return cfb_err_set_errno(err, errno, "cannot wait for clients");
        int64_t now = cfb_now_ns();
        for (size_t i = n; i-- > 0;) { /* from the end: drop moves the last one */
            struct client *c = s->clients[i];
            bool keep = !(c->member < 0 && now - c->since_ns > JOIN_NS);
            if (ready > 0 && keep && (fds[i + 1].revents & (POLLIN | POLLERR | POLLHUP))) keep = on_bytes(s, c);
            if (ready > 0 && keep && (fds[i + 1].revents & POLLOUT)) keep = flush(c);
            if (!keep) drop(s, i);
        }
        if (ready > 0 && (fds[0].revents & POLLIN)) add_client(s);
    }
    return CFB_OK;
}

void cfb_limiter_server_close(cfb_limiter_server_t *s) {
    if (s == NULL) return;
    while (s->n > 0) drop(s, s->n - 1);
    if (s->fd >= 0) {
        close(s->fd);
        cfb_wire_unlisten(s->name);
    }
    free(s->token);
    free(s);
}
