#include "cfbench/mock.h"

#include "mock/plan.h"
#include "mock/sched.h"

#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* libmicrohttpd 0.9.75 with epoll and one internal thread can stall under load; a pool of two or more does not. */
#define POOL_THREADS 4
#define MAX_CONNECTIONS 16384
#define CONNECTION_BYTES 16384 /* headers and one piece of the body; all of it is touched, so it counts */
#define N_PIECES 10
#define PIECE_GAP_NS INT64_C(30000000)

struct cfb_mock {
    cfb_mock__model model;
    cfb_mock__sched *sched;
    struct MHD_Daemon *daemon;
    int port;
    atomic_bool stopping;
};

/* One request, from its headers to its end. Only the connection's own thread touches it. */
typedef struct request {
    cfb_mock_t *mock;
    struct MHD_Connection *conn;
    cfb_mock__route route;
    enum { READING, WAITING, REPLYING, DONE } state;
    int64_t arrival_ns, due_ns, in_flight;
    cfb_buf body;
    bool too_large;
    cfb_mock__plan plan;
} request;

/* ---- life of a request ---- */

static request *new_request(cfb_mock_t *m, struct MHD_Connection *conn, const char *path) {
    int64_t now = cfb_now_ns();
    request *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->mock = m;
    r->conn = conn;
    r->arrival_ns = now;
    r->route = cfb_mock__route_of(path);
    r->body = CFB_BUF_INIT(CFB_MOCK__MAX_BODY);
    if (r->route != CFB_MOCK__ROUTE_STATS) r->in_flight = cfb_mock__trace_arrive(&m->model.trace);
    return r;
}

/* Counts and logs the request, once. */
static void leave(request *r, int status) {
    if (r->state == DONE) return;
    r->state = DONE;
    if (r->route == CFB_MOCK__ROUTE_STATS) return;
    const cfb_mock__plan *p = &r->plan;
    if (status == 200 && p->good) atomic_store(&p->entry->answered, true);
    cfb_mock__record record = {.arrival_ns = r->arrival_ns,
                               .reply_ns = cfb_now_ns(),
                               .in_flight = r->in_flight,
                               .route = cfb_mock__route_name(r->route),
                               .sha256 = p->entry != NULL ? p->entry->sha256 : NULL,
                               .fault = cfb_mock__fault_name(p->fault),
                               .try_no = p->try_no,
                               .status = status};
    cfb_mock__trace_leave(&r->mock->model.trace, &record);
}

static void on_completed(void *ctx, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode code) {
    (void)ctx;
    (void)conn;
    (void)code;
    request *r = *con_cls;
    if (r == NULL) return;
    leave(r, 0); /* no reply was given: the client went away, or the server stops */
    cfb_buf_free(&r->body);
    cfb_buf_free(&r->plan.body);
    free(r);
    *con_cls = NULL;
}

static void take_body(request *r, const char *data, size_t len) {
    /* the rest of a too large body is read and dropped: closing at once could lose the reply in a reset */
    if (r->too_large || cfb_buf_append(&r->body, data, len, NULL) == CFB_OK) return;
    r->too_large = true;
    cfb_buf_free(&r->body);
}

/* ---- replies ---- */

/* Body of the faults "slow" and "cut": libmicrohttpd asks for more until all is there. */
static ssize_t read_pieces(void *ctx, uint64_t pos, char *buf, size_t max) {
    request *r = ctx;
    const cfb_buf *body = &r->plan.body;
    size_t end = body->len;
    if (r->plan.delivery == CFB_MOCK__CUT) {
        end = body->len / 2;
        if (pos >= end) return MHD_CONTENT_READER_END_WITH_ERROR;
    } else {
        int64_t now = cfb_now_ns();
        if (now < r->due_ns) /* 0 = nothing yet; without a suspend the thread would spin */
            return cfb_mock__sched_suspend(r->mock->sched, r->conn, r->due_ns, -1) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
        r->due_ns = now + PIECE_GAP_NS;
    }
    size_t n = (body->len + N_PIECES - 1) / N_PIECES;
    if (n > end - (size_t)pos) n = end - (size_t)pos;
    if (n > max) n = max;
    memcpy(buf, body->ptr + pos, n);
    if (pos + n >= end) leave(r, r->plan.status);
    return (ssize_t)n;
}

static struct MHD_Response *make_response(request *r) {
    cfb_buf *body = &r->plan.body;
    if (r->plan.delivery != CFB_MOCK__WHOLE) return MHD_create_response_from_callback(body->len, 65536, read_pieces, r, NULL);
    struct MHD_Response *resp = MHD_create_response_from_buffer(body->len, body->ptr, MHD_RESPMEM_MUST_FREE);
    if (resp != NULL) *body = CFB_BUF_INIT(0); /* the response owns it now */
    return resp;
}

static bool add_header(struct MHD_Response *resp, const char *name, const char *fmt, ...) CFB_PRINTF(3, 4);
static bool add_header(struct MHD_Response *resp, const char *name, const char *fmt, ...) {
    char value[96];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    return n >= 0 && (size_t)n < sizeof value && MHD_add_response_header(resp, name, value) == MHD_YES;
}

static bool add_headers(struct MHD_Response *resp, const cfb_mock__plan *p) {
    bool ok = add_header(resp, "Content-Type", "%s", p->content_type);
    if (p->allow != NULL) ok = ok && add_header(resp, "Allow", "%s", p->allow);
    if (p->retry_after_s >= 0) { /* whole seconds, and never too early */
        double s = ceil(p->retry_after_s);
        ok = ok && add_header(resp, "Retry-After", "%.0f", s < 1 ? 1 : s);
    }
    if (p->quota.limit > 0) {
        if (p->quota.wait_s > 0) ok = ok && add_header(resp, "retry-after-ms", "%.0f", ceil(p->quota.wait_s * 1e3));
        ok = ok && add_header(resp, "x-ratelimit-limit-requests", "%lld", (long long)p->quota.limit);
        ok = ok && add_header(resp, "x-ratelimit-remaining-requests", "%lld", (long long)p->quota.remaining);
        ok = ok && add_header(resp, "x-ratelimit-reset-requests", "%.3fs", p->quota.reset_s);
    }
    return ok;
}

static enum MHD_Result reply(request *r) {
    struct MHD_Response *resp = make_response(r);
    if (resp == NULL) return MHD_NO;
    enum MHD_Result rc = MHD_NO;
    if (add_headers(resp, &r->plan)) {
        if (r->plan.delivery == CFB_MOCK__WHOLE)
            leave(r, r->plan.status);
        else
            r->state = REPLYING;
        rc = MHD_queue_response(r->conn, (unsigned)r->plan.status, resp);
    }
    MHD_destroy_response(resp);
    return rc;
}

static int socket_of(struct MHD_Connection *conn) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

/* The request is complete: plans the reply, and waits or replies. */
static enum MHD_Result answer(request *r, const char *method) {
    cfb_mock__input in = {.route = r->route,
                          .method = method,
                          .authorization = MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, "Authorization"),
                          .body = cfb_buf_str(&r->body),
                          .too_large = r->too_large};
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock__plan_make(&r->mock->model, &in, &r->plan, &err) != CFB_OK) {
        cfb_log(CFB_LOG_ERROR, "mock: a request got no reply: %s", err.msg);
        return MHD_NO;
    }
    cfb_buf_free(&r->body);
    r->due_ns = r->arrival_ns + (int64_t)(r->plan.delay_s * 1e9);
    if (r->plan.delay_s <= 0 || r->due_ns <= cfb_now_ns()) return reply(r);
    /* a client that gave up must not stay in flight for 600 s */
    int watch_fd = r->plan.fault == CFB_MOCK__FAULT_HANG ? socket_of(r->conn) : -1;
    r->state = WAITING;
    return cfb_mock__sched_suspend(r->mock->sched, r->conn, r->due_ns, watch_fd) ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_len, void **con_cls) {
    (void)version;
    request *r = *con_cls;
    if (r == NULL) { /* the headers are here */
        *con_cls = r = new_request(ctx, conn, url);
        return r != NULL ? MHD_YES : MHD_NO;
    }
    if (*data_len > 0) {
        take_body(r, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    if (r->state == READING) return answer(r, method);
    if (r->state != WAITING) return MHD_YES;
    if (cfb_now_ns() < r->due_ns) return MHD_NO; /* resumed early: the client is gone, or the server stops */
    /* a reply that nobody reads any more is no answer: the prompt may be asked again without blame */
    if (cfb_mock__client_gone(socket_of(conn))) r->plan.good = false;
    return reply(r);
}

/* ---- start and stop ---- */

static void on_mhd_log(void *ctx, const char *fmt, va_list args) {
    const cfb_mock_t *m = ctx;
    if (atomic_load(&m->stopping)) return; /* else a line for every request that is dropped */
    char line[512];
    vsnprintf(line, sizeof line, fmt, args);
    cfb_log(CFB_LOG_DEBUG, "mock: %s", line);
}

/* Raises the soft limit of open files as far as it helps, and leaves some for the rest of the process. */
static unsigned connection_limit(void) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0) return 512;
    rlim_t want = MAX_CONNECTIONS + 256;
    if (want > lim.rlim_max) want = lim.rlim_max;
    if (lim.rlim_cur < want) {
        struct rlimit more = {want, lim.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0) lim = more;
    }
    if (lim.rlim_cur > MAX_CONNECTIONS + 256) return MAX_CONNECTIONS;
    return lim.rlim_cur > 512 ? (unsigned)lim.rlim_cur - 256 : (unsigned)(lim.rlim_cur / 2);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return addr;
}

/* libmicrohttpd says only that it failed; binding once more tells why. */
static cfb_code explain_failure(int port, cfb_err *err) {
    struct sockaddr_in addr = loopback(port);
    int on = 1, e = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return cfb_err_set_errno(err, errno, "cannot start the mock server");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 1) != 0) e = errno;
    close(fd);
    if (e != 0) return cfb_err_set_errno(err, e, "cannot listen on 127.0.0.1:%d (choose another port, or 0)", port);
    return cfb_err_set(err, CFB_EIO, "cannot start the mock server's threads");
}

static cfb_code start_daemon(cfb_mock_t *m, int port, cfb_err *err) {
    struct sockaddr_in addr = loopback(port);
    unsigned flags = MHD_USE_ERROR_LOG | MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    m->daemon = MHD_start_daemon(flags, (uint16_t)port, NULL, NULL, on_request, m,             /* the logger must come first */
                                 MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, m,                    /* */
                                 MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&addr,         /* */
                                 MHD_OPTION_THREAD_POOL_SIZE, (unsigned)POOL_THREADS,          /* */
                                 MHD_OPTION_CONNECTION_LIMIT, connection_limit(),              /* */
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, /* */
                                 MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u,                        /* */
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,              /* */
                                 MHD_OPTION_END);
    if (m->daemon == NULL) return explain_failure(port, err);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    socklen_t len = sizeof addr;
    if (info == NULL || getsockname(info->listen_fd, (struct sockaddr *)&addr, &len) != 0)
        return cfb_err_set(err, CFB_EIO, "cannot find the port of the mock server");
    m->port = ntohs(addr.sin_port);
    return CFB_OK;
}

static cfb_code check_opts(const cfb_mock_opts *o, cfb_err *err) {
    if (o->port < 0 || o->port > 65535) return cfb_err_set(err, CFB_ECONFIG, "port %d is not in 0..65535", o->port);
    if (!(o->latency_s >= 0 && o->latency_s <= CFB_MOCK__MAX_DELAY_S))
        return cfb_err_set(err, CFB_ECONFIG, "latency %g s is not in 0..%g", o->latency_s, CFB_MOCK__MAX_DELAY_S);
    if (!(o->latency_sigma >= 0 && o->latency_sigma <= 10))
        return cfb_err_set(err, CFB_ECONFIG, "latency sigma %g is not in 0..10", o->latency_sigma);
    if (!(o->error_rate >= 0 && o->error_rate <= 1))
        return cfb_err_set(err, CFB_ECONFIG, "error rate %g is not in 0..1", o->error_rate);
    if (o->requests_per_minute < 0 || o->requests_per_minute > INT64_C(1000000000))
        return cfb_err_set(err, CFB_ECONFIG, "%lld requests per minute are not in 0..1000000000",
                           (long long)o->requests_per_minute);
    return CFB_OK;
}

static cfb_code fill_model(cfb_mock__model *m, const cfb_mock_opts *o, cfb_err *err) {
    m->seed = o->seed;
    m->latency_s = o->latency_s;
    m->latency_sigma = o->latency_sigma;
    m->error_rate = o->error_rate;
    if (o->api_key != NULL && (m->api_key = strdup(o->api_key)) == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = cfb_mock__answers_new(&m->answers, err);
    if (rc == CFB_OK && o->script != NULL) {
        rc = cfb_mock__answers_load(m->answers, o->script, err);
        if (rc != CFB_OK) cfb_err_add_context(err, "mock script");
    }
    return rc;
}

cfb_code cfb_mock_start(const cfb_mock_opts *opts, cfb_mock_t **out, cfb_err *err) {
    cfb_mock__faults faults;
    cfb_code rc = check_opts(opts, err);
    if (rc == CFB_OK) rc = cfb_mock__faults_parse(opts->faults, opts->fault_repeats, &faults, err);
    if (rc != CFB_OK) return rc;
    cfb_mock_t *m = calloc(1, sizeof *m);
    if (m == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    atomic_init(&m->stopping, false);
    m->model.faults = faults;
    rc = cfb_mock__limit_init(&m->model.limit, opts->requests_per_minute, err);
    if (rc != CFB_OK) goto no_limit;
    rc = cfb_mock__trace_init(&m->model.trace, opts->log_path, err);
    if (rc != CFB_OK) goto no_trace;
    rc = fill_model(&m->model, opts, err);
    if (rc == CFB_OK) rc = cfb_mock__sched_start(&m->sched, err);
    if (rc == CFB_OK) rc = start_daemon(m, opts->port, err);
    if (rc != CFB_OK) {
        cfb_mock_stop(m);
        return rc;
    }
    *out = m;
    return CFB_OK;

no_trace:
    cfb_mock__limit_destroy(&m->model.limit);
no_limit:
    free(m);
    return rc;
}

cfb_code cfb_mock_teach(cfb_mock_t *m, const char *prompt_sha256, cfb_str group, cfb_str answer, cfb_err *err) {
    return cfb_mock__answers_teach(m->model.answers, cfb_str_from(prompt_sha256), group, answer, err);
}

int cfb_mock_port(const cfb_mock_t *m) { return m->port; }

void cfb_mock_stop(cfb_mock_t *m) {
    if (m == NULL) return;
    atomic_store(&m->stopping, true);
    /* libmicrohttpd must not be stopped while a connection is suspended, and from here on none can be */
    cfb_mock__sched_stop(m->sched);
    if (m->daemon != NULL) MHD_stop_daemon(m->daemon);
    cfb_mock__sched_free(m->sched);
    cfb_mock__trace_destroy(&m->model.trace);
    cfb_mock__limit_destroy(&m->model.limit);
    cfb_mock__answers_free(m->model.answers);
    free(m->model.api_key);
    free(m);
}
