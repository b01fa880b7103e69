/* trace.c - events in the Trace Event Format. Each thread formats its events into a buffer of its own; full buffers go to the
 * file under a lock. The public description of the format: "Trace Event Format", Google, 2016. */
#include "cfbench/trace.h"
#include "cfbench/base.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)64 << 10)
#define EVENT_BYTES 3072 /* the longest event */
#define TEXT_BYTES 120
#define KINDS 48

/* All events of one name. */
struct kind {
    const char *category, *name;
    uint64_t n;
    int64_t ns;
};

struct desk {
    struct desk *next;
    int64_t tid;
    char name[16];
    struct kind kinds[KINDS];
    size_t n_kinds, used;
    char buf[BUFFER_BYTES];
};

atomic_int cfb_trace_flag;

static struct {
    pthread_mutex_t lock;
    cfb_file_writer_t *file;
    struct desk *desks; /* of all threads that recorded anything */
    int64_t start_ns;
    int generation; /* of desks: one trace's threads may live on into the next */
    cfb_err err;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER};
static atomic_llong n_events, next_track;
static _Thread_local struct desk *my_desk;
static _Thread_local int my_generation;
static _Thread_local char my_name[16];

static void flush_desk(struct desk *d) {
    pthread_mutex_lock(&trace.lock);
    if (trace.err.code == CFB_OK && d->used > 0 && cfb_file_writer_write(trace.file, d->buf, d->used, &trace.err) != CFB_OK)
        cfb_log(CFB_LOG_WARN, "the trace ends here: %s", trace.err.msg);
    d->used = 0;
    pthread_mutex_unlock(&trace.lock);
}

/* NULL without memory: the event is not recorded. */
static struct desk *desk(void) {
    if (my_desk != NULL && my_generation == trace.generation) return my_desk;
    struct desk *d = calloc(1, sizeof *d);
    if (d == NULL) return NULL;
    memcpy(d->name, my_name, sizeof d->name);
    d->tid = (int64_t)atomic_fetch_add(&next_track, 1);
    pthread_mutex_lock(&trace.lock);
    d->next = trace.desks;
    trace.desks = d;
    pthread_mutex_unlock(&trace.lock);
    my_desk = d;
    my_generation = trace.generation;
    return d;
}

/* ---- text of events ---- */

static void put(struct desk *d, const char *fmt, ...) CFB_PRINTF(2, 3);
static void put(struct desk *d, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(d->buf + d->used, sizeof d->buf - d->used, fmt, args);
    va_end(args);
    if (n > 0) d->used += (size_t)n < sizeof d->buf - d->used ? (size_t)n : sizeof d->buf - d->used - 1;
}

static void put_text(struct desk *d, const char *text) {
    size_t n = strlen(text);
    if (n > TEXT_BYTES)
        for (n = TEXT_BYTES; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;) n--; /* whole characters */
    put(d, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            put(d, "\\%c", c);
        else
            put(d, "%c", c < 0x20 ? ' ' : c);
    }
    put(d, "\"");
}

static void put_args(struct desk *d, const cfb_trace_arg *args, size_t n) {
    put(d, ",\"args\":{");
    for (size_t i = 0; i < n && i < 8; i++) {
        put(d, "%s\"%s\":", i ? "," : "", args[i].name);
        if (args[i].text)
            put_text(d, args[i].text);
        else
            put(d, "%lld", (long long)args[i].n);
    }
    put(d, "}},\n");
}

/* A name that is part of the file's frame: threads and tracks. */
static void put_name(struct desk *d, int64_t tid, const char *name) {
    put(d, "{\"ph\":\"M\",\"pid\":1,\"tid\":%lld,\"name\":\"thread_name\"", (long long)tid);
    put_args(d, &(cfb_trace_arg){.name = "name", .text = name}, 1);
}

static bool has_room(struct desk *d) {
    if (atomic_fetch_add_explicit(&n_events, 1, memory_order_relaxed) >= CFB_TRACE_EVENTS_MAX) return false;
    if (sizeof d->buf - d->used < EVENT_BYTES) flush_desk(d);
    return true;
}

static double us(int64_t ns) { return (double)ns * 1e-3; }

/* ---- recording ---- */

static void add_up(struct kind *kinds, size_t *n_kinds, const struct kind *k) {
    size_t i = 0;
    while (i < *n_kinds && (strcmp(kinds[i].name, k->name) != 0 || strcmp(kinds[i].category, k->category) != 0)) i++;
    if (i == KINDS) return;
    if (i == *n_kinds) kinds[(*n_kinds)++] = (struct kind){k->category, k->name, 0, 0};
    kinds[i].n += k->n;
    kinds[i].ns += k->ns;
}

void cfb_trace_span(const char *category, const char *name, int64_t track, int64_t begin_ns, int64_t end_ns,
                    const cfb_trace_arg *args, size_t n_args) {
    struct desk *d = cfb_trace_on() ? desk() : NULL;
    if (d == NULL) return;
    if (end_ns < begin_ns) end_ns = begin_ns;
    add_up(d->kinds, &d->n_kinds, &(struct kind){category, name, 1, end_ns - begin_ns});
    if (!has_room(d)) return;
    put(d, "{\"ph\":\"X\",\"pid\":1,\"tid\":%lld,\"cat\":\"%s\",\"name\":\"%s\",\"ts\":%.3f,\"dur\":%.3f",
        (long long)(track ? track : d->tid), category, name, us(begin_ns - trace.start_ns), us(end_ns - begin_ns));
    put_args(d, args, n_args);
}

void cfb_trace_counter(const char *name, const cfb_trace_arg *values, size_t n) {
    struct desk *d = cfb_trace_on() ? desk() : NULL;
    if (d == NULL || !has_room(d)) return;
    put(d, "{\"ph\":\"C\",\"pid\":1,\"tid\":%lld,\"name\":\"%s\",\"ts\":%.3f", (long long)d->tid, name,
        us(cfb_now_ns() - trace.start_ns));
    put_args(d, values, n);
}

int64_t cfb_trace_track(const char *name) {
    struct desk *d = cfb_trace_on() ? desk() : NULL;
    if (d == NULL || !has_room(d)) return 0;
    int64_t tid = (int64_t)atomic_fetch_add(&next_track, 1);
    put_name(d, tid, name);
    return tid;
}

void cfb_trace_name_thread(const char *name) {
    snprintf(my_name, sizeof my_name, "%s", name);
    if (cfb_trace_on() && my_desk != NULL && my_generation == trace.generation) memcpy(my_desk->name, my_name, sizeof my_name);
}

/* ---- the file ---- */

cfb_code cfb_trace_open(const char *path, cfb_err *err) {
    static const char head[] = "{\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_name\","
                               "\"args\":{\"name\":\"cfbench\"}},\n";
    if (cfb_trace_on()) return cfb_err_set(err, CFB_EUSAGE, "%s: a trace is being written already", path);
    cfb_code rc = cfb_file_writer_open(path, &trace.file, err);
    if (rc == CFB_OK) rc = cfb_file_writer_write(trace.file, head, sizeof head - 1, err);
    if (rc != CFB_OK) {
        cfb_file_writer_abort(trace.file);
        trace.file = NULL;
        return rc;
    }
    trace.err = (cfb_err)CFB_ERR_INIT;
    trace.generation++;
    trace.start_ns = cfb_now_ns();
    atomic_store(&n_events, 0);
    atomic_store(&next_track, 1);
    if (my_name[0] == '\0') snprintf(my_name, sizeof my_name, "main");
    (void)desk(); /* who opens it is thread 1 */
    atomic_store(&cfb_trace_flag, 1);
    return CFB_OK;
}

static void free_desks(void) {
    while (trace.desks) {
        struct desk *next = trace.desks->next;
        free(trace.desks);
        trace.desks = next;
    }
    my_desk = NULL;
}

/* Sums of all threads, and the end of the document. */
static cfb_code write_sums(const struct kind *kinds, size_t n_kinds, cfb_err *err) {
    long long n = atomic_load(&n_events), missing = n > CFB_TRACE_EVENTS_MAX ? n - CFB_TRACE_EVENTS_MAX : 0;
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_code rc =
        cfb_buf_printf(&b, err,
                       "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":0}}],\n"
                       "\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"schema\":\"cfbench.trace/1\",\"version\":\"%s\","
                       "\"missing_events\":%lld,\"wall_s\":%.6f,\"sums\":{",
                       CFB_VERSION, missing, (double)(cfb_now_ns() - trace.start_ns) * 1e-9);
    for (size_t i = 0; i < n_kinds && rc == CFB_OK; i++)
        rc = cfb_buf_printf(&b, err, "%s\n\"%s: %s\":{\"events\":%llu,\"seconds\":%.9f}", i ? "," : "", kinds[i].category,
                            kinds[i].name, (unsigned long long)kinds[i].n, (double)kinds[i].ns * 1e-9);
    if (rc == CFB_OK) rc = cfb_buf_printf(&b, err, "}}}\n");
    if (rc == CFB_OK) rc = cfb_file_writer_write(trace.file, b.ptr, b.len, err);
    cfb_buf_free(&b);
    return rc;
}

static int by_name(const void *a, const void *b) {
    const struct kind *x = a, *y = b;
    int c = strcmp(x->category, y->category);
    return c ? c : strcmp(x->name, y->name);
}

cfb_code cfb_trace_close(cfb_err *err) {
    struct kind all[KINDS];
    size_t n = 0;
    if (!cfb_trace_on()) return CFB_OK;
    atomic_store(&cfb_trace_flag, 0);
    for (struct desk *d = trace.desks; d; d = d->next) {
        if (sizeof d->buf - d->used < EVENT_BYTES) flush_desk(d);
        put_name(d, d->tid, d->name[0] ? d->name : "compute");
        flush_desk(d);
        for (size_t i = 0; i < d->n_kinds; i++) add_up(all, &n, &d->kinds[i]);
    }
    qsort(all, n, sizeof *all, by_name);
    cfb_code rc = trace.err.code;
    if (rc != CFB_OK && err) *err = trace.err;
    if (rc == CFB_OK) rc = write_sums(all, n, err);
    if (rc == CFB_OK)
        rc = cfb_file_writer_commit(trace.file, err);
    else
        cfb_file_writer_abort(trace.file);
    trace.file = NULL;
    free_desks();
    return rc;
}
