/* Attempts on their way into the store: threads queue them, one writer commits. While it commits, more are queued, so a
 * transaction is as large as the disk is slow. */
#include "cfbench/base.h"
#include "cfbench/trace.h"
#include "store/internal.h"

#include <stdlib.h>
#include <time.h>

#define BUSY_TRIES 60 /* of 10 s each */
#define MEMORY_TRIES 200
#define MEMORY_PIECE 64 /* items of a transaction, at first */
#define MEMORY_WAIT_NS 25000000
/* The writer lets so much time pass between two commits: a commit writes at least one page for each table and task. */
#define GATHER_NS 5000000

/* One allocation: the item, then its texts. */
struct queued {
    struct queued *next;
    bool is_sample;
    size_t bytes;
    atomic_size_t *committed;
    union {
        cfb_store_attempt attempt;
        cfb_store_sample sample;
    } u;
};

/* ---- writing ---- */

static cfb_code prepare_inserts(cfb_store_t *s, cfb_err *err) {
    static const char reply[] =
        "INSERT INTO answer(row_id, task_id, row, started_ms, wait_us, latency_us, ttft_us, http_status, endpoint,"
        " from_cache, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost, state,"
        " finish_reason, content, own_output, reasoning)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20) ON CONFLICT DO NOTHING";
    static const char failure[] =
        "INSERT INTO failure(task_id, row, started_ms, wait_us, latency_us, http_status, endpoint, fail, message)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)";
    static const char sample[] =
        "INSERT INTO sample(wall_ms, in_flight, in_flight_limit, done, failed_attempts, refused, waited_us, phase)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)";
    cfb_code rc = CFB_OK;
    if (s->insert_reply == NULL) rc = cfb_store__prepare(s, reply, &s->insert_reply, err);
    if (rc == CFB_OK && s->insert_attempt == NULL) rc = cfb_store__prepare(s, failure, &s->insert_attempt, err);
    if (rc == CFB_OK && s->insert_sample == NULL) rc = cfb_store__prepare(s, sample, &s->insert_sample, err);
    return rc;
}

static void bind_known(sqlite3_stmt *q, int index, int64_t n) {
    if (n < 0)
        sqlite3_bind_null(q, index);
    else
        sqlite3_bind_int64(q, index, n);
}

static cfb_code insert_failure(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err) {
    sqlite3_stmt *q = s->insert_attempt;
    const int64_t numbers[] = {a->task_id, a->row, a->started_wall_ms, a->wait_us, a->latency_us, a->http_status, a->endpoint};
    for (int i = 0; i < 7; i++) sqlite3_bind_int64(q, i + 1, numbers[i]);
    sqlite3_bind_text(q, 8, a->fail, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 9, a->message ? a->message : "", -1, SQLITE_STATIC);
    return cfb_store__step_done(s, q, err);
}

static cfb_code insert_attempt(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err) {
    if (a->state == NULL) return insert_failure(s, a, err);
    sqlite3_stmt *q = s->insert_reply;
    const int64_t numbers[] = {ROW_ID(a->task_id, a->row), a->task_id, a->row, a->started_wall_ms, a->wait_us, a->latency_us};
    for (int i = 0; i < 6; i++) sqlite3_bind_int64(q, i + 1, numbers[i]);
    bind_known(q, 7, a->ttft_us);
    sqlite3_bind_int64(q, 8, a->http_status);
    sqlite3_bind_int64(q, 9, a->endpoint);
    sqlite3_bind_int64(q, 10, a->from_cache);
    const int64_t known[] = {a->prompt_tokens, a->completion_tokens, a->reasoning_tokens, a->cached_tokens, a->cost};
    for (int i = 0; i < 5; i++) bind_known(q, i + 11, known[i]);
    sqlite3_bind_text(q, 16, a->state, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 17, a->finish_reason ? a->finish_reason : "", -1, SQLITE_STATIC);
    cfb_store__bind_str(q, 18, a->content);
    bool one_text = a->output.ptr == a->content.ptr && a->output.len == a->content.len; /* see copy_attempt */
    cfb_store__bind_str(q, 19, one_text ? CFB_STR_NULL : a->output);
    cfb_store__bind_str(q, 20, a->reasoning);
    cfb_code rc = cfb_store__step_done(s, q, err);
    return rc == CFB_OK && sqlite3_changes(s->db) == 0 ? insert_failure(s, a, err)
                                                       : rc; /* a second answer: the first one stays */
}

static cfb_code insert_sample(cfb_store_t *s, const cfb_store_sample *p, cfb_err *err) {
    sqlite3_stmt *q = s->insert_sample;
    const int64_t numbers[] = {p->wall_ms, p->in_flight, p->limit, p->n_done, p->n_failed_attempts, p->n_refused, p->waited_us};
    for (int i = 0; i < 7; i++) sqlite3_bind_int64(q, i + 1, numbers[i]);
    sqlite3_bind_text(q, 8, p->phase, -1, SQLITE_STATIC);
    return cfb_store__step_done(s, q, err);
}

/* The list up to `end`, in one transaction. */
static cfb_code commit_list(cfb_store_t *s, const struct queued *list, const struct queued *end, cfb_err *err) {
    cfb_code rc = prepare_inserts(s, err);
    if (rc == CFB_OK) rc = cfb_store__begin(s, err);
    if (rc != CFB_OK) return rc;
    for (; list != end && rc == CFB_OK; list = list->next)
        rc = list->is_sample ? insert_sample(s, &list->u.sample, err) : insert_attempt(s, &list->u.attempt, err);
    return cfb_store__end(s, rc, err);
}

/* The next items after list, n at most. */
static struct queued *skip(struct queued *list, size_t n) {
    while (list && n-- > 0) list = list->next;
    return list;
}

static void note_committed(struct queued *list, const struct queued *end) {
    for (; list != end; list = list->next) {
        if (list->committed) atomic_fetch_add(list->committed, 1);
        list->committed = NULL;
    }
}

/* There was no memory. The run hears of it at once and stops; as its calls end, memory comes free, and small transactions need
 * less of it. True: all is saved. */
static bool commit_in_pieces(cfb_store_t *s, struct queued *list, const cfb_err *why) {
    cfb_err err = CFB_ERR_INIT;
    if (s->has_writer) { /* else the lock is held by who commits */
        pthread_mutex_lock(&s->lock);
        if (s->failed.code == CFB_OK) s->failed = *why;
        pthread_mutex_unlock(&s->lock);
    }
    size_t n = MEMORY_PIECE;
    for (int tries = 0; list && tries < MEMORY_TRIES;) {
        struct queued *end = skip(list, n);
        cfb_code rc = commit_list(s, list, end, &err);
        if (rc == CFB_OK) {
            note_committed(list, end);
            list = end;
            continue;
        }
        if (rc != CFB_ENOMEM) break;
        sqlite3_db_release_memory(s->db);
        cfb_sleep_until_ns(cfb_now_ns() + MEMORY_WAIT_NS, NULL);
        n = n > 1 ? n / 2 : 1;
        tries++;
    }
    return list == NULL;
}

/* *saved: it is in the store, whatever the code says. */
static cfb_code commit_batch(cfb_store_t *s, struct queued *list, bool *saved, cfb_err *err) {
    cfb_code rc = commit_list(s, list, NULL, err);
    /* Another program holds the database. The replies are here and paid for: waiting loses nothing, giving up would. */
    for (int tries = 0; rc != CFB_OK && (sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY && tries < BUSY_TRIES; tries++) {
        if (tries == 0) cfb_log(CFB_LOG_WARN, "%s is locked by another program; waiting to save replies", s->path);
        rc = commit_list(s, list, NULL, err);
    }
    if (rc == CFB_ENOMEM && commit_in_pieces(s, list, err)) {
        *saved = true; /* but the run must stop: the next one may find none */
        return rc;
    }
    *saved = rc == CFB_OK;
    if (rc == CFB_ENOSPACE && cfb_store__release_reserve(s)) {
        sqlite3_wal_autocheckpoint(s->db, 0); /* the room is for replies under way, not for copying older ones out of the log */
        *saved = commit_list(s, list, NULL, err) == CFB_OK; /* but the run must stop: there is no second reserve */
        if (*saved)
            rc =
                cfb_err_set(err, CFB_ENOSPACE,
                            "%s: no space left on the disk; every reply so far is saved: free some space and run again", s->path);
    }
    return rc;
}

/* ---- the writer ---- */

static void gather(int64_t last_ns) {
    int64_t due = last_ns + GATHER_NS;
    if (cfb_now_ns() < due) cfb_sleep_until_ns(due, NULL);
}

/* Commits the list and frees it. Returns how many items it had. */
static uint64_t settle_list(cfb_store_t *s, struct queued *list, cfb_code *rc, cfb_err *err) {
    bool saved = false;
    uint64_t n = 0;
    *rc = commit_batch(s, list, &saved, err);
    if (saved) note_committed(list, NULL);
    while (list) {
        struct queued *next = list->next;
        free(list);
        list = next;
        n++;
    }
    return n;
}

static void *write_queue(void *ctx) {
    cfb_store_t *s = ctx;
    int64_t last_ns = 0;
    cfb_thread_name("cfb-store");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->queue == NULL && !s->quit) pthread_cond_wait(&s->work, &s->lock);
        if (s->queue == NULL) break;
        if (!s->quit) {
            pthread_mutex_unlock(&s->lock);
            gather(last_ns);
            pthread_mutex_lock(&s->lock);
        }
        struct queued *list = s->queue;
        size_t bytes = s->queued_bytes;
        s->queue = NULL;
        s->queue_tail = &s->queue;
        pthread_mutex_unlock(&s->lock);

        cfb_err err = CFB_ERR_INIT;
        cfb_code rc;
        int64_t begin_ns = cfb_trace_on() ? cfb_now_ns() : 0;
        uint64_t n = settle_list(s, list, &rc, &err);
        last_ns = cfb_now_ns();
        if (cfb_trace_on()) {
            const cfb_trace_arg args[] = {{"items", (int64_t)n, NULL}, {"bytes", (int64_t)bytes, NULL}};
            cfb_trace_span("store", "commit", CFB_TRACE_HERE, begin_ns, last_ns, args, 2);
        }
        pthread_mutex_lock(&s->lock);
        s->queued_bytes -= bytes;
        s->n_committed += n;
        if (rc != CFB_OK && s->failed.code == CFB_OK) s->failed = err;
        pthread_cond_broadcast(&s->progress);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void cfb_store__stop_writer(cfb_store_t *s) {
    if (!s->has_writer) return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->writer, NULL);
    s->has_writer = s->quit = false;
}

/* ---- queueing ---- */

/* Returns the item's number. Takes the item over. */
static uint64_t push(cfb_store_t *s, struct queued *item, cfb_err *err) {
    uint64_t number = 0;
    pthread_mutex_lock(&s->lock);
    while (s->has_writer && s->queued_bytes > CFB_STORE_QUEUE_BYTES) pthread_cond_wait(&s->progress, &s->lock);
    if (!s->has_writer) s->has_writer = pthread_create(&s->writer, NULL, write_queue, s) == 0;
    number = ++s->n_queued;
    if (s->has_writer) {
        if (s->queue == NULL) pthread_cond_signal(&s->work);
        *s->queue_tail = item;
        s->queue_tail = &item->next;
        s->queued_bytes += item->bytes;
    } else { /* no thread is to be had: slow, but the reply is paid for */
        cfb_err e = CFB_ERR_INIT;
        cfb_code rc;
        s->n_committed += settle_list(s, item, &rc, &e);
        if (rc != CFB_OK && s->failed.code == CFB_OK) s->failed = e;
    }
    if (s->failed.code != CFB_OK && err) *err = s->failed;
    pthread_mutex_unlock(&s->lock);
    return number;
}

static cfb_str copy_str(char **to, cfb_str v) {
    if (v.ptr == NULL) return v;
    memcpy(*to, v.ptr, v.len);
    v.ptr = *to;
    *to += v.len;
    return v;
}

static const char *copy_text(char **to, const char *v) {
    if (v == NULL) return NULL;
    size_t n = strlen(v) + 1;
    const char *copy = *to;
    memcpy(*to, v, n);
    *to += n;
    return copy;
}

static struct queued *copy_attempt(const cfb_store_attempt *a) {
    bool same = a->output.ptr && cfb_str_eq(a->output, a->content); /* mostly nothing was taken off the reply */
    size_t bytes = sizeof(struct queued) + a->content.len + (same ? 0 : a->output.len) + a->reasoning.len +
                   (a->message ? strlen(a->message) + 1 : 0);
    struct queued *q = malloc(bytes);
    if (q == NULL) return NULL;
    *q = (struct queued){.bytes = bytes, .u.attempt = *a};
    char *to = (char *)(q + 1);
    q->u.attempt.content = copy_str(&to, a->content);
    q->u.attempt.output = same ? q->u.attempt.content : copy_str(&to, a->output);
    q->u.attempt.reasoning = copy_str(&to, a->reasoning);
    q->u.attempt.message = copy_text(&to, a->message);
    return q; /* fail, state and finish_reason are names that live as long as the program */
}

static cfb_code queue_attempt(cfb_store_t *s, const cfb_store_attempt *a, atomic_size_t *committed, uint64_t *number,
                              cfb_err *err) {
    cfb_err before = CFB_ERR_INIT;
    struct queued *q = copy_attempt(a);
    if (q == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    q->committed = committed;
    *number = push(s, q, &before);
    if (before.code != CFB_OK && err) *err = before;
    return before.code;
}

cfb_code cfb_store_queue_attempt(cfb_store_t *s, const cfb_store_attempt *a, atomic_size_t *committed, cfb_err *err) {
    uint64_t number;
    return queue_attempt(s, a, committed, &number, err);
}

static cfb_code wait_for(cfb_store_t *s, uint64_t number, cfb_err *err) {
    pthread_mutex_lock(&s->lock);
    while (s->n_committed < number) pthread_cond_wait(&s->progress, &s->lock);
    cfb_code rc = s->failed.code;
    if (rc != CFB_OK && err) *err = s->failed;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

cfb_code cfb_store_put_attempt(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err) {
    uint64_t number = 0;
    cfb_code rc = queue_attempt(s, a, NULL, &number, err);
    return number > 0 ? wait_for(s, number, err) : rc;
}

cfb_code cfb_store_flush(cfb_store_t *s, cfb_err *err) {
    pthread_mutex_lock(&s->lock);
    uint64_t number = s->n_queued;
    pthread_mutex_unlock(&s->lock);
    return wait_for(s, number, err);
}

void cfb_store_queue_sample(cfb_store_t *s, const cfb_store_sample *p) {
    struct queued *q = malloc(sizeof *q);
    if (q == NULL) return; /* a point less in a plot */
    *q = (struct queued){.bytes = sizeof *q, .is_sample = true, .u.sample = *p};
    push(s, q, NULL);
}
