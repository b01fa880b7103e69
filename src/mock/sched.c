#include "mock/sched.h"

#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

/* libmicrohttpd walks all suspended connections of a thread on every wake-up, so it pays to resume in groups. */
#define TICK_NS INT64_C(1000000)
#define WATCH_NS INT64_C(200000000)
#define BATCH 256

typedef struct entry {
    int64_t wake_ns; /* due, or earlier to look at the socket */
    int64_t due_ns;
    struct MHD_Connection *conn;
    int watch_fd;
} entry;

struct cfb_mock__sched {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    entry *heap; /* binary min-heap by wake_ns */
    size_t n, cap;
    bool stopping, joined;
};

static void sift_up(entry *heap, size_t i) {
    entry e = heap[i];
    for (; i > 0 && heap[(i - 1) / 2].wake_ns > e.wake_ns; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
}

static void sift_down(entry *heap, size_t n, size_t i) {
    entry e = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && heap[child + 1].wake_ns < heap[child].wake_ns) child++;
        if (heap[child].wake_ns >= e.wake_ns) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = e;
}

static int64_t round_up(int64_t t) { return (t + TICK_NS - 1) / TICK_NS * TICK_NS; }

static int64_t wake_time(const entry *e, int64_t now) {
    return e->watch_fd >= 0 && e->due_ns > now + WATCH_NS ? round_up(now + WATCH_NS) : e->due_ns;
}

bool cfb_mock__client_gone(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    /* POLLRDHUP is not POSIX; a readable socket without a byte to read is a closed one */
    if (poll(&p, 1, 0) <= 0) return false;
    if (p.revents & (POLLERR | POLLHUP | POLLNVAL)) return true;
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Moves due connections into out. The lock is held. Entries that were only looked at go back into the heap. */
static size_t take_due(cfb_mock__sched *s, int64_t now, struct MHD_Connection *out[BATCH]) {
    size_t n_out = 0;
    while (n_out < BATCH && s->n > 0 && (s->stopping || s->heap[0].wake_ns <= now)) {
        entry *top = &s->heap[0];
        if (!s->stopping && top->due_ns > now && !cfb_mock__client_gone(top->watch_fd)) {
            top->wake_ns = wake_time(top, now);
        } else {
            out[n_out++] = top->conn;
            *top = s->heap[--s->n];
        }
        if (s->n > 0) sift_down(s->heap, s->n, 0);
    }
    return n_out;
}

static void *run(void *arg) {
    cfb_mock__sched *s = arg;
    struct MHD_Connection *due[BATCH];
    pthread_mutex_lock(&s->lock);
    for (;;) {
        size_t n = take_due(s, cfb_now_ns(), due);
        if (n > 0) {
            pthread_mutex_unlock(&s->lock);
            for (size_t i = 0; i < n; i++) MHD_resume_connection(due[i]);
            pthread_mutex_lock(&s->lock);
        } else if (s->stopping) {
            break;
        } else if (s->n == 0) {
            pthread_cond_wait(&s->wake, &s->lock);
        } else {
            int64_t t = s->heap[0].wake_ns;
            struct timespec until = {(time_t)(t / 1000000000), (long)(t % 1000000000)};
            pthread_cond_timedwait(&s->wake, &s->lock, &until);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

bool cfb_mock__sched_suspend(cfb_mock__sched *s, struct MHD_Connection *conn, int64_t due_ns, int watch_fd) {
    entry e = {.due_ns = round_up(due_ns), .conn = conn, .watch_fd = watch_fd};
    e.wake_ns = wake_time(&e, cfb_now_ns());
    bool ok = false, first = false;
    pthread_mutex_lock(&s->lock);
    if (s->n == s->cap && !s->stopping) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        entry *heap = realloc(s->heap, cap * sizeof *heap);
        if (heap != NULL) {
            s->heap = heap;
            s->cap = cap;
        }
    }
    if (!s->stopping && s->n < s->cap) {
        MHD_suspend_connection(conn); /* before the thread can see it, since it must not resume first */
        s->heap[s->n] = e;
        sift_up(s->heap, s->n++);
        first = s->heap[0].conn == conn;
        ok = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (first) pthread_cond_signal(&s->wake);
    return ok;
}

static cfb_code init_cond(pthread_cond_t *cond, cfb_err *err) {
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
    int rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0) rc = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return rc == 0 ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
}

cfb_code cfb_mock__sched_start(cfb_mock__sched **out, cfb_err *err) {
    cfb_mock__sched *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
    }
    cfb_code rc = init_cond(&s->wake, err);
    if (rc != CFB_OK) {
        pthread_mutex_destroy(&s->lock);
        free(s);
        return rc;
    }
    int e = pthread_create(&s->thread, NULL, run, s);
    if (e != 0) {
        s->joined = true;
        cfb_mock__sched_free(s);
        return cfb_err_set_errno(err, e, "cannot start the mock's scheduler thread");
    }
    *out = s;
    return CFB_OK;
}

void cfb_mock__sched_stop(cfb_mock__sched *s) {
    if (s == NULL || s->joined) return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    pthread_cond_signal(&s->wake);
    pthread_join(s->thread, NULL);
    s->joined = true;
}

void cfb_mock__sched_free(cfb_mock__sched *s) {
    if (s == NULL) return;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->heap);
    free(s);
}
