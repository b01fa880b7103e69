/* A client of the coordinator: a connection that is made again when it breaks, and the two clocks brought together. */
#include "cluster/member.h"
#include "cluster/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 30.0
#define CLOCK_KEEP_NS 10000000000 /* an exchange that was quick tells the clocks' difference best; it is believed for so long */

struct connection {
    char *address, *token;
    int fd;
    size_t n_in;
    char in[CFB_WIRE_LINE];
    int64_t offset_ns, best_ns, best_at_ns; /* theirs - ours, by the quickest exchange */
};

static void hang_up(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->n_in = 0;
    c->best_at_ns = 0;
}

static cfb_code broken(struct connection *c, cfb_err *err) {
    int failed = errno;
    cfb_code rc = cfb_err_set(err, CFB_ENET, "the limiter at %.150s is gone: %s", c->address,
                              failed == EAGAIN ? "it does not answer"
                              : failed         ? strerror(failed)
                                               : "it closed the connection");
    hang_up(c);
    return rc;
}

static cfb_code send_line(struct connection *c, char *line, size_t n, cfb_err *err) {
    line[n++] = '\n';
    for (size_t done = 0; done < n;) {
        ssize_t k = send(c->fd, line + done, n - done, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return broken(c, err);
        done += (size_t)k;
    }
    return CFB_OK;
}

/* *line is good until the next call. */
static cfb_code read_line(struct connection *c, char line[CFB_WIRE_LINE], cfb_err *err) {
    for (;;) {
        char *end = memchr(c->in, '\n', c->n_in);
        if (end) {
            size_t n = (size_t)(end - c->in);
            memcpy(line, c->in, n);
            line[n] = '\0';
            c->n_in -= n + 1;
            memmove(c->in, end + 1, c->n_in);
            return CFB_OK;
        }
        if (c->n_in == sizeof c->in) return cfb_err_set(err, CFB_EPROTOCOL, "%.150s is no limiter of cfbench", c->address);
        errno = 0;
        ssize_t n = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return broken(c, err);
        c->n_in += (size_t)n;
    }
}

static cfb_code hang_up_with(struct connection *c, cfb_code rc) {
    hang_up(c);
    return rc;
}

static cfb_code call_up(struct connection *c, cfb_err *err) {
    char line[CFB_WIRE_LINE], proof[80] = "join ";
    cfb_code rc = cfb_wire_connect(c->address, &c->fd, err);
    if (rc == CFB_OK) rc = read_line(c, line, err);
    if (rc != CFB_OK) return hang_up_with(c, rc);
    const char *nonce = line + strlen(CFB_WIRE_HELLO);
    if (strncmp(line, CFB_WIRE_HELLO, strlen(CFB_WIRE_HELLO)) != 0 || strlen(nonce) != 64)
        return hang_up_with(
            c, cfb_err_set(err, CFB_EPROTOCOL, "%.150s is no limiter of cfbench, or of another version", c->address));
    cfb_wire_proof(nonce, c->token, proof + 5);
    rc = send_line(c, proof, strlen(proof), err);
    if (rc == CFB_OK) rc = read_line(c, line, err);
    if (rc != CFB_OK) return rc;
    if (strcmp(line, "ok") == 0) return CFB_OK;
    return hang_up_with(
        c, cfb_err_set(err, CFB_EAUTH,
                       "the limiter at %.150s refused: the token (CFBENCH_LIMITER_TOKEN, --limiter-token-file) must be "
                       "the one that it was started with",
                       c->address));
}

/* The server read its clock between sent and received: in the middle, give or take half of the way. */
static void set_clock(struct connection *c, int64_t sent, int64_t received, int64_t theirs) {
    int64_t way = received - sent;
    if (c->best_at_ns != 0 && way > c->best_ns && received - c->best_at_ns < CLOCK_KEEP_NS) return;
    c->best_ns = way;
    c->best_at_ns = received;
    c->offset_ns = theirs - (sent + way / 2);
}

static cfb_code exchange(void *ctx, const cfb_hub_ask *ask, cfb_hub_grant *out, cfb_err *err) {
    struct connection *c = ctx;
    char line[CFB_WIRE_LINE + 1];
    int64_t theirs;
    cfb_code rc = c->fd < 0 ? call_up(c, err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    int64_t sent = cfb_now_ns();
    rc = send_line(c, line, cfb_wire_put_ask(ask, sent, line), err);
    if (rc == CFB_OK) rc = read_line(c, line, err);
    if (rc != CFB_OK) return rc;
    if (!cfb_wire_get_grant(line, out, &theirs)) {
        hang_up(c);
        return cfb_err_set(err, CFB_EPROTOCOL, "the limiter at %.150s answered in words that are not known here", c->address);
    }
    set_clock(c, sent, cfb_now_ns(), theirs);
    out->first_ns -= c->offset_ns;
    if (out->paused_until_ns > INT64_MIN / 4) out->paused_until_ns -= c->offset_ns;
    return CFB_OK;
}

static void close_connection(void *ctx) {
    struct connection *c = ctx;
    hang_up(c);
    free(c->address);
    free(c->token);
    free(c);
}

cfb_code cfb_limiter_join(const char *address, const char *token, cfb_member_t **out, cfb_err *err) {
    if (token == NULL)
        return cfb_err_set(err, CFB_ECONFIG,
                           "--limiter needs the limiter's token: CFBENCH_LIMITER_TOKEN or --limiter-token-file");
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    c->fd = -1;
    c->address = strdup(address);
    c->token = strdup(token);
    cfb_code rc = c->address && c->token ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK) rc = call_up(c, err); /* a wrong address or token is said at once */
    if (rc != CFB_OK) {
        close_connection(c);
        return rc;
    }
    const cfb_member_way way = {c, exchange, close_connection};
    return cfb_member_new(&way, PATIENCE_S, out, err);
}
