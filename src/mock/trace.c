#include "mock/trace.h"

#include "cfbench/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

cfb_code cfb_mock__trace_init(cfb_mock__trace *t, const char *log_path, cfb_err *err) {
    memset(t, 0, sizeof *t);
    t->fd = -1;
    t->start_ns = cfb_now_ns();
    t->series = calloc(CFB_MOCK__SERIES_N, sizeof *t->series);
    if (t->series == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_mutex_init(&t->lock, NULL); /* cannot fail with default attributes */
    if (log_path == NULL) return CFB_OK;
    t->fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (t->fd >= 0) return CFB_OK;
    int e = errno;
    cfb_mock__trace_destroy(t);
    return cfb_err_set_errno(err, e, "cannot write the request log %s", log_path);
}

void cfb_mock__trace_destroy(cfb_mock__trace *t) {
    if (t->fd >= 0) close(t->fd);
    free(t->series);
    pthread_mutex_destroy(&t->lock);
}

static cfb_mock__moment *moment(const cfb_mock__trace *t, int64_t now_ns) {
    int64_t i = (now_ns - t->start_ns) / CFB_MOCK__SERIES_NS;
    return i >= 0 && i < CFB_MOCK__SERIES_N ? &t->series[i] : NULL;
}

#define ADD(counter, n) atomic_fetch_add_explicit(&(counter), (n), memory_order_relaxed)

int64_t cfb_mock__trace_arrive(cfb_mock__trace *t, int64_t now_ns) {
    int_fast64_t n = atomic_fetch_add(&t->in_flight, 1) + 1;
    int_fast64_t max = atomic_load(&t->max_in_flight);
    while (n > max && !atomic_compare_exchange_weak(&t->max_in_flight, &max, n)) {
    }
    ADD(t->requests, 1);
    cfb_mock__moment *m = moment(t, now_ns);
    if (m == NULL) return (int64_t)n;
    ADD(m->arrived, 1);
    unsigned old = atomic_load(&m->max_in_flight);
    while ((unsigned)n > old && !atomic_compare_exchange_weak(&m->max_in_flight, &old, (unsigned)n)) {
    }
    return (int64_t)n;
}

void cfb_mock__trace_refuse(cfb_mock__trace *t, int64_t now_ns) {
    ADD(t->refused, 1);
    cfb_mock__moment *m = moment(t, now_ns);
    if (m != NULL) ADD(m->refused, 1);
}

void cfb_mock__trace_reset_peak(cfb_mock__trace *t) { atomic_store(&t->max_in_flight, atomic_load(&t->in_flight)); }

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
    cfb_mock__moment *m = moment(t, r->reply_ns);
    if (m != NULL) ADD(m->replied, 1);
    if (r->tokens_in > 0) ADD(t->tokens_in, r->tokens_in);
    if (r->tokens_out > 0) ADD(t->tokens_out, r->tokens_out);
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
    number(&w, "refused", &t->refused);
    number(&w, "tokens_in", &t->tokens_in);
    number(&w, "tokens_out", &t->tokens_out);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

cfb_code cfb_mock__trace_series(cfb_mock__trace *t, cfb_buf *out, cfb_err *err) {
    static const char *const names[] = {"arrived", "replied", "refused", "max_in_flight"};
    int64_t n = (cfb_now_ns() - t->start_ns) / CFB_MOCK__SERIES_NS + 1;
    if (n > CFB_MOCK__SERIES_N) n = CFB_MOCK__SERIES_N;
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "step_s");
    cfb_jw_num(&w, (double)CFB_MOCK__SERIES_NS * 1e-9);
    for (int k = 0; k < 4; k++) {
        cfb_jw_key(&w, names[k]);
        cfb_jw_arr(&w);
        for (int64_t i = 0; i < n; i++) {
            cfb_mock__moment *m = &t->series[i];
            atomic_uint *values[] = {&m->arrived, &m->replied, &m->refused, &m->max_in_flight};
            cfb_jw_int(&w, (int64_t)atomic_load(values[k]));
        }
        cfb_jw_end_arr(&w);
    }
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
