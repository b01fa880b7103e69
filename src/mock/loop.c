#define _GNU_SOURCE /* accept4 */
#include "mock/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16384
#define READ_BYTES ((size_t)64 << 10)
#define N_EVENTS 256
#define NOT_IN_HEAP SIZE_MAX
#define GONE SIZE_MAX

typedef struct thread thread;

typedef struct conn {
    int fd;
    thread *t;
    struct conn *prev, *next; /* all connections of the thread */
    enum { READING, HOLDING, SENDING, STALLED } state;
    atomic_bool handed_over; /* by the thread that accepted it: all fields above and below are written */
    bool arrived;            /* the head of the request under way was counted */
    bool readable;           /* there may be more to read, put off until the reply is out */
    bool keep;
    cfb_mock__ticket ticket;
    cfb_buf in;    /* a request that is not whole yet */
    uint64_t skip; /* bytes of a too large body still to be dropped */
    size_t max_body;
    /* the reply, as far as it could not leave at once */
    char *out;
    size_t out_len, sent, n_pieces, piece;
    cfb_mock__piece *pieces;
    cfb_mock__end end;
    int64_t begin_ns, due_ns;
    size_t heap_at;
} conn;

struct thread {
    cfb_mock__loop *loop;
    int number, epoll_fd;
    pthread_t id;
    bool running;
    pthread_mutex_t lock; /* of the list: thread 0 adds, the thread itself removes */
    conn *conns;
    conn **heap; /* binary min-heap by due_ns */
    size_t n_heap, cap_heap;
    char *scratch;
};

struct cfb_mock__loop {
    cfb_mock__handler h;
    int listen_fd, stop_fd, port;
    unsigned next_thread; /* thread 0 only */
    atomic_uint n_conns;
    unsigned max_conns;
    atomic_bool stopping;
    thread threads[CFB_MOCK__THREADS];
};

/* ---- timers ---- */

static void place(thread *t, size_t i, conn *c) {
    t->heap[i] = c;
    c->heap_at = i;
}

static void sift(thread *t, size_t i) {
    conn *c = t->heap[i];
    for (; i > 0 && t->heap[(i - 1) / 2]->due_ns > c->due_ns; i = (i - 1) / 2) place(t, i, t->heap[(i - 1) / 2]);
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && t->heap[child + 1]->due_ns < t->heap[child]->due_ns) child++;
        if (t->heap[child]->due_ns >= c->due_ns) break;
        place(t, i, t->heap[child]);
    }
    place(t, i, c);
}

static bool timer_set(conn *c, int64_t due_ns) {
    thread *t = c->t;
    c->due_ns = due_ns;
    if (c->heap_at == NOT_IN_HEAP) {
        if (t->n_heap == t->cap_heap) {
            size_t cap = t->cap_heap ? t->cap_heap * 2 : 256;
            conn **heap = realloc(t->heap, cap * sizeof(*heap));
            if (heap == NULL) return false;
            t->heap = heap;
            t->cap_heap = cap;
        }
        place(t, t->n_heap, c);
        t->n_heap++;
    }
    sift(t, c->heap_at);
    return true;
}

static void timer_clear(conn *c) {
    if (c->heap_at == NOT_IN_HEAP) return;
    thread *t = c->t;
    size_t i = c->heap_at;
    conn *last = t->heap[--t->n_heap];
    c->heap_at = NOT_IN_HEAP;
    if (last == c) return;
    place(t, i, last);
    sift(t, i);
}

/* ---- connections ---- */

static void reply_free(conn *c) {
    free(c->out);
    free(c->pieces);
    c->out = NULL;
    c->pieces = NULL;
    c->out_len = c->sent = c->n_pieces = c->piece = 0;
}

static void leave(conn *c, bool given) {
    if (!c->arrived) return;
    c->arrived = false;
    c->t->loop->h.leave(c->t->loop->h.ctx, &c->ticket, given);
}

static void conn_free(conn *c, bool reset) {
    thread *t = c->t;
    leave(c, false);
    timer_clear(c);
    if (reset) {
        struct linger now = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(c->fd);
    pthread_mutex_lock(&t->lock);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        t->conns = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    pthread_mutex_unlock(&t->lock);
    atomic_fetch_sub(&t->loop->n_conns, 1);
    reply_free(c);
    cfb_buf_free(&c->in);
    free(c);
}

static void conn_new(thread *t, int fd) {
    conn *c = calloc(1, sizeof *c);
    if (c == NULL || atomic_load(&t->loop->n_conns) >= t->loop->max_conns) {
        close(fd);
        free(c);
        return;
    }
    c->fd = fd;
    c->t = t;
    c->heap_at = NOT_IN_HEAP;
    c->in = CFB_BUF_INIT(SIZE_MAX / 4);
    atomic_fetch_add(&t->loop->n_conns, 1);
    pthread_mutex_lock(&t->lock);
    c->next = t->conns;
    if (c->next != NULL) c->next->prev = c;
    t->conns = c;
    atomic_store_explicit(&c->handed_over, true, memory_order_release); /* the kernel hands it over, but is no barrier of C11 */
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    bool ok = epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
    pthread_mutex_unlock(&t->lock);
    if (!ok) conn_free(c, false); /* no event can have come: the other thread does not know it */
}

static void accept_all(cfb_mock__loop *l) {
    for (;;) {
        int fd = accept4(l->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(&l->threads[l->next_thread++ % CFB_MOCK__THREADS], fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        /* out of files: the loop must not spin on a listening socket that stays readable */
        if (errno != EAGAIN && errno != EWOULDBLOCK) cfb_sleep_until_ns(cfb_now_ns() + 5000000, NULL);
        return;
    }
}

/* ---- sending ---- */

/* Sends as much of data as the socket takes. SIZE_MAX: the connection is broken. */
static size_t push(const conn *c, const char *data, size_t len) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = send(c->fd, data + done, len - done, MSG_NOSIGNAL);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            return GONE;
        }
    }
    return done;
}

/* The last piece is out. false: the connection is gone. */
static bool reply_end(conn *c) {
    reply_free(c);
    if (c->end == CFB_MOCK__END_STALL) {
        c->state = STALLED;
        if (timer_set(c, cfb_now_ns() + (int64_t)(CFB_MOCK__STALL_S * 1e9))) return true;
    }
    if (c->end != CFB_MOCK__END_KEEP || !c->keep) {
        if (c->end != CFB_MOCK__END_RESET) shutdown(c->fd, SHUT_WR);
        conn_free(c, c->end == CFB_MOCK__END_RESET);
        return false;
    }
    c->state = READING;
    return true;
}

static int64_t piece_ns(const conn *c, size_t i) { return c->begin_ns + (int64_t)(c->pieces[i].at_s * 1e9); }

/* Sends what is due. false: the connection is gone. */
static bool advance(conn *c) {
    c->state = SENDING;
    for (;;) {
        if (c->n_pieces > 0) {
            int64_t now = cfb_now_ns();
            if (now < piece_ns(c, c->piece)) {
                if (timer_set(c, piece_ns(c, c->piece))) return true;
                conn_free(c, true);
                return false;
            }
            while (c->piece + 1 < c->n_pieces && piece_ns(c, c->piece + 1) <= now) c->piece++; /* all that is due, in one go */
        }
        bool last = c->piece + 1 >= c->n_pieces;
        size_t end = c->n_pieces > 0 ? c->pieces[c->piece].end : c->out_len;
        if (last) leave(c, true);
        size_t n = push(c, c->out + c->sent, end - c->sent);
        if (n == GONE) {
            conn_free(c, false);
            return false;
        }
        c->sent += n;
        if (c->sent < end) return true; /* goes on when the socket takes more */
        if (last) return reply_end(c);
        c->piece++;
    }
}

/* Keeps what cannot leave now. */
static bool keep_reply(conn *c, cfb_str rest, const cfb_mock__reply *r) {
    c->out = malloc(rest.len + 1);
    if (c->out == NULL) return false;
    memcpy(c->out, rest.ptr, rest.len);
    c->out_len = rest.len;
    if (r->n_pieces > 0) {
        c->pieces = malloc(r->n_pieces * sizeof *c->pieces);
        if (c->pieces == NULL) return false;
        memcpy(c->pieces, r->pieces, r->n_pieces * sizeof *c->pieces);
        c->n_pieces = r->n_pieces;
    }
    return true;
}

/* false: the connection is gone. */
static bool reply_begin(conn *c, const cfb_mock__reply *r) {
    c->end = r->end;
    cfb_str rest = r->bytes;
    bool now = r->due_ns <= c->ticket.arrival_ns || r->due_ns <= cfb_now_ns();
    if (now && r->n_pieces == 0) { /* the usual case: straight from the handler's buffer */
        leave(c, true);
        size_t n = push(c, rest.ptr, rest.len);
        if (n == rest.len) return reply_end(c);
        if (n == GONE) {
            conn_free(c, false);
            return false;
        }
        rest = (cfb_str){rest.ptr + n, rest.len - n};
    }
    if (keep_reply(c, rest, r)) {
        c->begin_ns = r->due_ns;
        c->state = now ? SENDING : HOLDING;
        if (now && r->n_pieces == 0) return true; /* goes on when the socket takes more */
        if (now) return advance(c);
        if (timer_set(c, r->due_ns)) return true;
    }
    conn_free(c, true);
    return false;
}

/* ---- requests ---- */

static bool ask_handler(conn *c, int status, const cfb_mock__head *head, cfb_str body, bool too_large) {
    const cfb_mock__handler *h = &c->t->loop->h;
    cfb_mock__reply r = {0};
    c->keep = status == 200 && head->keep_alive;
    if (!h->answer(h->ctx, c->t->number, status, head, body, too_large, &c->ticket, &r)) {
        conn_free(c, true);
        return false;
    }
    return reply_begin(c, &r);
}

/* A head that is not HTTP: refused, and the rest of the connection is not believed. */
static size_t refuse_head(conn *c, int status) {
    cfb_mock__head none = {.method = CFB_STR_LIT(""), .path = CFB_STR_LIT("")};
    const cfb_mock__handler *h = &c->t->loop->h;
    h->arrive(h->ctx, &none, &c->ticket);
    c->arrived = true;
    return ask_handler(c, status, &none, CFB_STR_NULL, false) ? 0 : GONE;
}

static void arrive(conn *c, const cfb_mock__head *head) {
    const cfb_mock__handler *h = &c->t->loop->h;
    c->max_body = h->arrive(h->ctx, head, &c->ticket);
    c->arrived = true;
    if (!head->expect_continue) return;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    push(c, go_on, sizeof go_on - 1);
}

/* The body of a request whose head is known. Returns the bytes of head and body, 0 (more is needed) or GONE. */
static size_t take_body(conn *c, const cfb_mock__head *head, char *data, size_t len) {
    size_t body_len = (size_t)head->content_length, total = body_len;
    if (head->chunked) {
        int status = cfb_mock__chunks_scan((cfb_str){data, len}, &total, &body_len);
        bool too_large = status == 0 ? len > c->max_body + c->max_body / 4 + 65536 : status == 200 && body_len > c->max_body;
        if (status == 0 && !too_large) return 0;
        if (status == 400 || too_large) { /* where the next request begins is not known: the connection must end */
            cfb_mock__head last = *head;
            last.keep_alive = false;
            return ask_handler(c, status == 400 ? 400 : 200, &last, CFB_STR_NULL, too_large) ? len : GONE;
        }
        cfb_mock__chunks_join((cfb_str){data, total}, data);
    } else if (len < total) {
        return 0;
    }
    return ask_handler(c, 200, head, (cfb_str){data, body_len}, false) ? head->len + total : GONE;
}

/* One request at the beginning of data. Returns its bytes, 0 (more is needed) or GONE. */
static size_t take_request(conn *c, char *data, size_t len) {
    cfb_mock__head head;
    int status = cfb_mock__head_parse((cfb_str){data, len}, &head);
    if (status == 0) return 0;
    if (status != 200) return refuse_head(c, status);
    if (!c->arrived) arrive(c, &head);
    if (head.content_length > c->max_body) { /* read and dropped: closing at once could lose the reply in a reset */
        c->skip = head.content_length;
        return head.len;
    }
    size_t n = take_body(c, &head, data + head.len, len - head.len);
    if (n == 0 && head.content_length > 0 && c->in.len == 0 && len > 0)
        if (cfb_buf_reserve(&c->in, head.len + (size_t)head.content_length, NULL) != CFB_OK) return refuse_head(c, 503);
    return n;
}

static size_t skip_body(conn *c, size_t len) {
    size_t n = c->skip < len ? (size_t)c->skip : len;
    c->skip -= n;
    if (c->skip > 0) return n;
    cfb_mock__head head = {.method = CFB_STR_LIT(""), .path = CFB_STR_LIT(""), .keep_alive = true};
    return ask_handler(c, 200, &head, CFB_STR_NULL, true) ? n : GONE;
}

/* Answers all whole requests of data, until a reply has to wait. Returns the bytes used, or GONE. */
static size_t feed(conn *c, char *data, size_t len) {
    size_t used = 0;
    while (used < len && c->state == READING) {
        size_t n = c->skip > 0 ? skip_body(c, len - used) : take_request(c, data + used, len - used);
        if (n == GONE) return GONE;
        if (n == 0) break;
        used += n;
    }
    return used;
}

/* What came earlier and waited for a reply to leave. false: the connection is gone. */
static bool feed_kept(conn *c) {
    if (c->in.len == 0) return true;
    size_t used = feed(c, c->in.ptr, c->in.len);
    if (used == GONE) return false;
    memmove(c->in.ptr, c->in.ptr + used, c->in.len - used);
    c->in.len -= used;
    if (c->in.len == 0) cfb_buf_free(&c->in);
    return true;
}

static bool feed_new(conn *c, size_t n) {
    if (c->in.len > 0)
        return cfb_buf_append(&c->in, c->t->scratch, n, NULL) == CFB_OK ? feed_kept(c) : (conn_free(c, true), false);
    size_t used = feed(c, c->t->scratch, n);
    if (used == GONE) return false;
    if (used == n) return true;
    if (cfb_buf_append(&c->in, c->t->scratch + used, n - used, NULL) == CFB_OK) return true;
    conn_free(c, true);
    return false;
}

/* Reads until the socket is empty or a reply has to wait. */
static void read_some(conn *c, bool to_the_end) {
    c->readable = false;
    for (;;) {
        if (c->state != READING) {
            c->readable = true;
            return;
        }
        ssize_t n = recv(c->fd, c->t->scratch, READ_BYTES, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            conn_free(c, false);
            return;
        }
        if (!feed_new(c, (size_t)n)) return;
        if ((size_t)n < READ_BYTES && !to_the_end) return;
    }
}

/* A reply that had to wait is out: the connection goes on with what came meanwhile. */
static void go_on(conn *c) {
    if (c->state != READING || !feed_kept(c)) return;
    if (c->state == READING && c->readable) read_some(c, false);
}

static void on_event(conn *c, uint32_t events) {
    if (!atomic_load_explicit(&c->handed_over, memory_order_acquire))
        return; /* never: it was written before the kernel knew it */
    if (c->state != READING && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        conn_free(c, false); /* nobody waits for the reply any more */
        return;
    }
    if (c->state == SENDING && (events & EPOLLOUT)) {
        if (!advance(c)) return;
        if (events & EPOLLIN) c->readable = true;
        go_on(c);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) read_some(c, (events & EPOLLRDHUP) != 0);
}

static void on_timer(conn *c) {
    timer_clear(c);
    if (c->state == STALLED)
        conn_free(c, true);
    else if (advance(c))
        go_on(c);
}

/* ---- threads ---- */

/* Waits for events, at most until the next timer is due. */
static int wait_events(const thread *t, struct epoll_event *events) {
    int64_t ns = t->n_heap > 0 ? t->heap[0]->due_ns - cfb_now_ns() : -1;
    if (t->n_heap == 0) return epoll_wait(t->epoll_fd, events, N_EVENTS, -1);
    if (ns <= 0) return epoll_wait(t->epoll_fd, events, N_EVENTS, 0);
#if defined SYS_epoll_pwait2 && defined __LP64__
    struct timespec wait = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    long n = syscall(SYS_epoll_pwait2, t->epoll_fd, events, N_EVENTS, &wait, NULL, (size_t)0);
    if (n >= 0 || errno != ENOSYS) return (int)n;
#endif
    int64_t ms = ns / 1000000 + 1;
    return epoll_wait(t->epoll_fd, events, N_EVENTS, ms > 1000000 ? 1000000 : (int)ms);
}

static void *run(void *arg) {
    thread *t = arg;
    cfb_mock__loop *l = t->loop;
    struct epoll_event events[N_EVENTS];
    while (!atomic_load(&l->stopping)) {
        int n = wait_events(t, events);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == l)
                accept_all(l);
            else if (events[i].data.ptr != NULL)
                on_event(events[i].data.ptr, events[i].events);
        }
        if (t->n_heap == 0) continue;
        int64_t now = cfb_now_ns();
        while (t->n_heap > 0 && t->heap[0]->due_ns <= now) on_timer(t->heap[0]);
    }
    return NULL;
}

static bool thread_start(cfb_mock__loop *l, int i) {
    thread *t = &l->threads[i];
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = NULL}, knock = {.events = EPOLLIN, .data.ptr = l};
    t->scratch = malloc(READ_BYTES);
    if (t->scratch == NULL || epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, l->stop_fd, &stop) != 0) return false;
    if (i == 0 && epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, l->listen_fd, &knock) != 0) return false;
    t->running = pthread_create(&t->id, NULL, run, t) == 0;
    return t->running;
}

/* ---- start and stop ---- */

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

static cfb_code open_port(cfb_mock__loop *l, int port, cfb_err *err) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof addr;
    int on = 1;
    l->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->listen_fd < 0) return cfb_err_set_errno(err, errno, "cannot start the mock server");
    setsockopt(l->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit these. Loopback needs no pacing: BBR, where it is the default, costs half a microsecond a call. */
    setsockopt(l->listen_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(l->listen_fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    if (bind(l->listen_fd, (const struct sockaddr *)&addr, sizeof addr) != 0 || listen(l->listen_fd, 4096) != 0)
        return cfb_err_set_errno(err, errno, "cannot listen on 127.0.0.1:%d (choose another port, or 0)", port);
    if (getsockname(l->listen_fd, (struct sockaddr *)&addr, &len) != 0)
        return cfb_err_set_errno(err, errno, "cannot find the port of the mock server");
    l->port = ntohs(addr.sin_port);
    return CFB_OK;
}

cfb_code cfb_mock__loop_start(int port, const cfb_mock__handler *h, cfb_mock__loop **out, cfb_err *err) {
    cfb_mock__loop *l = calloc(1, sizeof *l);
    if (l == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    l->h = *h;
    l->listen_fd = l->stop_fd = -1;
    l->max_conns = connection_limit();
    bool ok = true;
    for (int i = 0; i < CFB_MOCK__THREADS; i++) {
        thread *t = &l->threads[i];
        t->loop = l;
        t->number = i;
        pthread_mutex_init(&t->lock, NULL); /* cannot fail with default attributes */
        t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        ok = ok && t->epoll_fd >= 0;
    }
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ok = ok && l->stop_fd >= 0;
    cfb_code rc = ok ? open_port(l, port, err) : cfb_err_set_errno(err, errno, "cannot start the mock server");
    for (int i = CFB_MOCK__THREADS - 1; i >= 0 && rc == CFB_OK; i--) /* thread 0 accepts: last */
        if (!thread_start(l, i)) rc = cfb_err_set(err, CFB_EIO, "cannot start the mock server's threads");
    if (rc != CFB_OK) {
        cfb_mock__loop_stop(l);
        return rc;
    }
    *out = l;
    return CFB_OK;
}

int cfb_mock__loop_port(const cfb_mock__loop *l) { return l->port; }

void cfb_mock__loop_stop(cfb_mock__loop *l) {
    if (l == NULL) return;
    atomic_store(&l->stopping, true);
    uint64_t one = 1;
    if (l->stop_fd >= 0 && write(l->stop_fd, &one, sizeof one) < 0) cfb_log(CFB_LOG_ERROR, "mock: cannot wake its threads");
    for (int i = 0; i < CFB_MOCK__THREADS; i++)
        if (l->threads[i].running) pthread_join(l->threads[i].id, NULL);
    for (int i = 0; i < CFB_MOCK__THREADS; i++) {
        thread *t = &l->threads[i];
        while (t->conns != NULL) conn_free(t->conns, false);
        if (t->epoll_fd >= 0) close(t->epoll_fd);
        pthread_mutex_destroy(&t->lock);
        free(t->heap);
        free(t->scratch);
    }
    if (l->listen_fd >= 0) close(l->listen_fd);
    if (l->stop_fd >= 0) close(l->stop_fd);
    free(l);
}
