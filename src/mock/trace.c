#include "mock/trace.h"

#include "cfbench/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

cfb_code cfb_mock__trace_init(cfb_mock__trace *t, const char *log_path, cfb_err *err) {
    memset(t, 0, sizeof *t);
    t->fd = -1;
    if (pthread_mutex_init(&t->lock, NULL) != 0) return cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
    if (log_path == NULL) return CFB_OK;
    t->fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (t->fd >= 0) return CFB_OK;
    int e = errno;
    pthread_mutex_destroy(&t->lock);
    return cfb_err_set_errno(err, e, "cannot write the request log %s", log_path);
}

void cfb_mock__trace_destroy(cfb_mock__trace *t) {
    if (t->fd >= 0) close(t->fd);
    pthread_mutex_destroy(&t->lock);
}

int64_t cfb_mock__trace_arrive(cfb_mock__trace *t) {
    int_fast64_t n = atomic_fetch_add(&t->in_flight, 1) + 1;
    int_fast64_t max = atomic_load(&t->max_in_flight);
    while (n > max && !atomic_compare_exchange_weak(&t->max_in_flight, &max, n)) {
    }
    atomic_fetch_add(&t->requests, 1);
    return (int64_t)n;
}

void cfb_mock__trace_ask(cfb_mock__trace *t, bool again, bool answered_before) {
    atomic_fetch_add(again ? &t->repeated : &t->distinct, 1);
    if (answered_before) atomic_fetch_add(&t->answered_again, 1);
}

static void write_line(cfb_mock__trace *t, const char *line, size_t len) {
    pthread_mutex_lock(&t->lock);
    while (len > 0 && !t->log_failed) {
        ssize_t n = write(t->fd, line, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) { /* said once; the replies matter more than the log */
            t->log_failed = true;
            cfb_log(CFB_LOG_ERROR, "mock: cannot write the request log: %s", strerror(errno));
            break;
        }
        line += n;
        len -= (size_t)n;
    }
    pthread_mutex_unlock(&t->lock);
}

static const char *quoted(const char *s, char *buf, size_t size) {
    if (s == NULL) return "null";
    snprintf(buf, size, "\"%s\"", s);
    return buf;
}

void cfb_mock__trace_leave(cfb_mock__trace *t, const cfb_mock__record *r) {
    atomic_fetch_sub(&t->in_flight, 1);
    int status = r->status > 0 && r->status < CFB_MOCK__MAX_STATUS ? r->status : 0;
    atomic_fetch_add(&t->by_status[status], 1);
    if (t->fd < 0) return;
    char line[512], sha256[72], fault[24]; /* nothing here needs JSON escapes: all texts are ours */
    int n =
        snprintf(line, sizeof line,
                 "{\"arrival_ns\": %" PRId64 ", \"reply_ns\": %" PRId64 ", \"route\": \"%s\", \"sha256\": %s, \"try\": %" PRIu64
                 ", \"status\": %d, \"fault\": %s, \"in_flight\": %" PRId64 "}\n",
                 r->arrival_ns, r->reply_ns, r->route, quoted(r->sha256, sha256, sizeof sha256), r->try_no, status,
                 quoted(r->fault, fault, sizeof fault), r->in_flight);
    if (n > 0 && (size_t)n < sizeof line) write_line(t, line, (size_t)n);
}

static void number(cfb_jw *w, const char *key, atomic_int_fast64_t *v) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, (int64_t)atomic_load(v));
}

cfb_code cfb_mock__trace_stats(cfb_mock__trace *t, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    number(&w, "requests", &t->requests);
    number(&w, "in_flight", &t->in_flight);
    number(&w, "max_in_flight", &t->max_in_flight);
    cfb_jw_key(&w, "by_status");
    cfb_jw_obj(&w);
    for (int i = 0; i < CFB_MOCK__MAX_STATUS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        if (atomic_load(&t->by_status[i]) > 0) number(&w, key, &t->by_status[i]);
    }
    cfb_jw_end_obj(&w);
    number(&w, "distinct_prompts", &t->distinct);
    number(&w, "repeated", &t->repeated);
    number(&w, "answered_again", &t->answered_again);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
