/* scan.c - the pipeline: threads take parts, cut them on a guess, wait until the part before tells where they really start, check
 * and work on the rows, and commit the parts in their order. */
#include "dataset/scan.h"

#include "base/omp.h"

#include <sched.h>
#include <stdlib.h>

#define PART_BYTES ((size_t)512 << 10) /* with the rows of a part half a second-level cache */
#define LEAST_PART_BYTES ((size_t)64 << 10)
#define LEAST_FIELD ((size_t)1 << 20)
#define MOST_FIELD ((size_t)64 << 20)
#define MOST_BATCH ((size_t)32 << 20)
#define MEMORY_BYTES ((size_t)128 << 20)
#define KEEP_BYTES ((size_t)256 << 10) /* a buffer that one long record made larger is not kept */
#define GAVE_UP "another process gave the file up"
#define SPINS 1000 /* before a thread sleeps: the part before is usually just being finished */
#define PAUSES 64

/* ---- life ---- */

static cfb_code copy_options(struct cfb_scan *s, const cfb_scan_opts *o, cfb_err *err) {
    s->n_threads = !cfb_has_openmp() ? 1 : o->n_threads > 0 ? o->n_threads : cfb_cpu_count();
    s->n_slots = (size_t)s->n_threads * SLOTS_PER_THREAD;
    s->memory_bytes = o->memory_bytes ? o->memory_bytes : MEMORY_BYTES;
    s->part_bytes = o->part_bytes;
    if (s->part_bytes == 0) {
        /* As much again goes to rows and results; each thread has a mapped piece or two beside its parts. */
        s->part_bytes = s->memory_bytes / (4 * s->n_slots) & ~(LEAST_PART_BYTES - 1);
        if (s->part_bytes > PART_BYTES) s->part_bytes = PART_BYTES;
        if (s->part_bytes < LEAST_PART_BYTES) s->part_bytes = LEAST_PART_BYTES;
    }
    s->skip_bad_rows = o->skip_bad_rows;
    s->may_map = !o->never_map;
    s->team = o->team;
    s->stop = o->stop;
    s->meter = o->meter ? o->meter : &s->own_meter;
    s->n_columns = o->n_columns;
    s->raw = calloc(o->n_columns ? o->n_columns : 1, sizeof *s->raw);
    if (s->raw == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < o->n_columns; i++) s->raw[i] = o->columns[i].raw;
    return CFB_OK;
}

static cfb_code init_part(struct cfb_scan *s, size_t slot, cfb_err *err) {
    scan_part *p = &s->parts[slot];
    p->scan = s;
    p->seq = UINT64_MAX;
    p->pub.slot = slot;
    p->pub.hidden = p;
    p->pub.n_columns = s->n_columns;
    cfb_code rc = cfb_arena_new(0, &p->texts, err);
    return rc == CFB_OK && s->jsonl ? scan_jsonl__init(p, err) : rc;
}

/* Columns whose texts are wanted, in the order of the file. */
static bool find_checked(struct cfb_scan *s) {
    s->checked = calloc(s->n_columns ? s->n_columns : 1, sizeof *s->checked);
    for (size_t f = 0; s->checked != NULL && f < s->csv->n_header; f++)
        for (size_t i = 0; i < s->n_columns; i++)
            if (!s->raw[i] && s->csv->source_of[i] == f) s->checked[s->n_checked++] = i;
    return s->checked != NULL;
}

static cfb_code set_up(struct cfb_scan *s, cfb_err *err) {
    cfb_reader_t *r = s->reader;
    s->names = r->names;
    s->max_field_bytes = r->opts.max_field_bytes;
    s->max_record_bytes = cfb_reader__max_record(r);
    s->jsonl = strcmp(r->format->name, "jsonl") == 0;
    if (strcmp(r->format->name, "csv") == 0) s->csv = r->state;
    if (s->csv && !find_checked(s)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = scan_input__open(s, err);
    if (rc != CFB_OK) return rc;
    s->label = s->window ? cfb_source__label(s->window->src) : r->file;
    s->parts = calloc(s->n_slots, sizeof *s->parts);
    s->workers = calloc((size_t)s->n_threads, sizeof *s->workers);
    if (s->parts == NULL || s->workers == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < s->n_slots && rc == CFB_OK; i++) rc = init_part(s, i, err);
    for (int i = 0; i < s->n_threads && rc == CFB_OK && s->csv; i++) {
        s->workers[i].fields = calloc(s->csv->n_header, sizeof *s->workers[i].fields);
        if (s->workers[i].fields == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    if (s->window) atomic_fetch_add(&s->meter->bytes_total, cfb_source__raw_size(s->window->src));
    return rc;
}

static cfb_code new_scan(const cfb_scan_opts *opts, struct cfb_scan **out, cfb_reader_opts *ro, cfb_column **columns,
                         cfb_err *err) {
    struct cfb_scan *s = calloc(1, sizeof *s);
    *columns = calloc(opts->n_columns ? opts->n_columns : 1, sizeof **columns);
    cfb_code rc = s && *columns ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK) {
        s->own_meter = (cfb_scan_meter){0};
        pthread_mutex_init(&s->take, NULL);
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->changed, NULL);
        rc = copy_options(s, opts, err);
        if (rc != CFB_OK) cfb_scan_close(s);
    } else {
        free(s);
    }
    if (rc != CFB_OK) {
        free(*columns);
        return rc;
    }
    for (size_t i = 0; i < opts->n_columns; i++) (*columns)[i] = (cfb_column){opts->columns[i].name, opts->columns[i].required};
    *ro = (cfb_reader_opts)CFB_READER_OPTS_INIT;
    ro->columns = *columns;
    ro->n_columns = opts->n_columns;
    ro->max_field_bytes = opts->max_field_bytes;
    if (opts->memory_bytes) { /* the longest record must fit: its bytes, the same once more while a buffer grows, and its texts */
        size_t most = opts->memory_bytes / 16 < LEAST_FIELD ? LEAST_FIELD : opts->memory_bytes / 16;
        if (ro->max_field_bytes == 0) ro->max_field_bytes = most < MOST_FIELD ? most : MOST_FIELD;
        ro->max_json_bytes = opts->memory_bytes;
    }
    ro->batch_rows = 16 * 1024; /* Arrow and JSON lists: several parts from each batch */
    ro->batch_bytes = s->memory_bytes / 4 < MOST_BATCH ? s->memory_bytes / 4 : MOST_BATCH;
    *out = s;
    return CFB_OK;
}

static cfb_code finish_open(struct cfb_scan *s, cfb_code rc, cfb_column *columns, cfb_scan_t **out, cfb_err *err) {
    free(columns);
    if (rc == CFB_OK) rc = set_up(s, err);
    if (rc == CFB_OK)
        *out = s;
    else
        cfb_scan_close(s);
    return rc;
}

cfb_code cfb_scan_open(const char *path, const cfb_scan_opts *opts, cfb_scan_t **out, cfb_err *err) {
    const cfb_scan_opts usual = CFB_SCAN_OPTS_INIT;
    cfb_reader_opts ro;
    cfb_column *columns;
    struct cfb_scan *s;
    if (opts == NULL) opts = &usual;
    cfb_code rc = new_scan(opts, &s, &ro, &columns, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_reader__open_as(path, &ro, opts->format, &s->reader, err);
    return finish_open(s, rc, columns, out, err);
}

cfb_code cfb_scan_open_memory(const char *name, const void *data, size_t len, const cfb_scan_opts *opts, cfb_scan_t **out,
                              cfb_err *err) {
    const cfb_scan_opts usual = CFB_SCAN_OPTS_INIT;
    cfb_reader_opts ro;
    cfb_column *columns;
    struct cfb_scan *s;
    if (opts == NULL) opts = &usual;
    cfb_code rc = new_scan(opts, &s, &ro, &columns, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_reader_open_memory(name, data, len, &ro, &s->reader, err);
    return finish_open(s, rc, columns, out, err);
}

static void free_part(scan_part *p) {
    free(p->buf.ptr);
    free(p->cells);
    free(p->numbers);
    free(p->starts);
    free(p->bad);
    free(p->json.has);
    free(p->json.seen);
    cfb_arena_free(p->texts);
}

void cfb_scan_close(cfb_scan_t *s) {
    if (s == NULL) return;
    for (size_t i = 0; s->parts != NULL && i < s->n_slots; i++) {
        free_part(&s->parts[i]);
    }
    for (int i = 0; s->workers != NULL && i < s->n_threads; i++) {
        free(s->workers[i].marks);
        free(s->workers[i].fields);
        for (size_t k = 0; k < s->workers[i].n_free; k++) free(s->workers[i].free[k].ptr);
    }
    scan_input__close(s);
    cfb_reader_close(s->reader);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->take);
    free(s->raw);
    free(s->checked);
    free(s->workers);
    free(s->parts);
    free(s);
}

bool cfb_scan_is_shared(const cfb_scan_t *s) { return s->shared; }
const char *cfb_scan_format(const cfb_scan_t *s) { return cfb_reader_format(s->reader); }
bool cfb_scan_has_column(const cfb_scan_t *s, size_t i) { return cfb_reader_has_column(s->reader, i); }
int cfb_scan_n_threads(const cfb_scan_t *s) { return s->n_threads; }
size_t cfb_scan_n_slots(const cfb_scan_t *s) { return s->n_slots; }

/* ---- the pipeline ---- */

static void end_scan(struct cfb_scan *s) { /* behind lock */
    s->ended = true;
    if (s->shared) s->team->give_up(s->team->ctx);
    pthread_cond_broadcast(&s->changed);
}

/* Ends with an error that no part has: only where nothing else is known to be wrong. */
static void fail_scan(struct cfb_scan *s, cfb_code code, const char *message) {
    pthread_mutex_lock(&s->lock);
    if (s->code == CFB_OK) s->code = cfb_err_set(&s->err, code, "%s", message);
    end_scan(s);
    pthread_mutex_unlock(&s->lock);
}

/* The slot of the next part, once it is free; NULL at the end. Called with `take` held. */
static scan_part *next_slot(struct cfb_scan *s, int worker) {
    scan_part *p = NULL;
    pthread_mutex_lock(&s->lock);
    while (!s->ended && s->next_part < s->n_parts && s->next_part - s->n_committed >= s->n_slots)
        pthread_cond_wait(&s->changed, &s->lock);
    if (!s->ended && !s->chain_dead && s->next_part < s->n_parts) {
        p = &s->parts[s->next_part % s->n_slots];
        scan_part__reset(p);
        p->seq = p->index = s->next_part++;
        p->owner = worker;
        scan_worker *w = &s->workers[worker];
        if (w->n_free > 0) p->buf = w->free[--w->n_free];
    }
    pthread_mutex_unlock(&s->lock);
    return p;
}

/* There is no such part: the scan ends before it. */
static void no_part(struct cfb_scan *s, scan_part *p) {
    pthread_mutex_lock(&s->lock);
    s->n_parts = p->seq;
    p->seq = UINT64_MAX;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Of a file that processes share: which part it is. Called with `take` held. */
static scan_part *take_shared(struct cfb_scan *s, scan_part *p) {
    uint64_t index = 0;
    bool go = s->team->take(s->team->ctx, &index);
    if (!go) fail_scan(s, CFB_ECONFLICT, GAVE_UP);
    p->index = index + s->first_shared;
    if (go && p->index < s->n_shared) return p;
    no_part(s, p);
    return NULL;
}

static scan_part *take_part(struct cfb_scan *s, int worker) {
    scan_worker *w = &s->workers[worker];
    bool end = false;
    int64_t t0 = cfb_now_ns();
    pthread_mutex_lock(&s->take);
    if (cfb_stop_is_on(s->stop)) fail_scan(s, CFB_EINTERRUPTED, "interrupted");
    scan_part *p = next_slot(s, worker);
    if (p != NULL && s->shared) p = take_shared(s, p);
    int64_t t1 = scan__spent(&s->meter->ns_wait, "wait", t0);
    if (p != NULL && s->mode != SCAN_PLAIN) {
        p->code = scan_input__fetch(s, p, w, &end, &p->err);
        scan__spent(&s->meter->ns_read, "read", t1);
        if (end) {
            no_part(s, p);
            p = NULL;
        }
    }
    pthread_mutex_unlock(&s->take);
    if (p != NULL && s->mode == SCAN_PLAIN) p->code = scan_input__fetch(s, p, w, &end, &p->err);
    return p;
}

/* Waits for the part before. False: the scan has ended, or nothing behind an error can be cut. */
static bool wait_turn(struct cfb_scan *s, scan_part *p) {
    if (s->shared) {
        bool go = true;
        cfb_scan_place at = {s->chain.start, s->chain.rows, s->chain.line};
        if (p->index > s->first_shared) go = s->team->await(s->team->ctx, p->index - s->first_shared, &at);
        p->at = (scan_chain){at.start, at.rows, at.line};
        if (!go) fail_scan(s, CFB_ECONFLICT, GAVE_UP);
        return go;
    }
    for (int i = 1; i <= SPINS && atomic_load_explicit(&s->n_resolved, memory_order_acquire) < p->index; i++) {
        if (i % PAUSES == 0) sched_yield(); /* to the thread that is waited for, if the kernel has put it on this processor */
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&s->lock);
    while (!s->ended && !s->chain_dead && atomic_load(&s->n_resolved) < p->index) pthread_cond_wait(&s->changed, &s->lock);
    bool go = !s->ended && atomic_load(&s->n_resolved) == p->index;
    p->at = s->chain;
    pthread_mutex_unlock(&s->lock);
    return go;
}

/* Cuts from where the part is known to start, with as much text as that takes. */
static void cut_from_start(struct cfb_scan *s, scan_part *p, scan_worker *w) {
    bool careful = false;
    for (;;) {
        enum scan_cut got = s->jsonl ? scan_jsonl__cut(p) : careful ? scan_csv__strict(p, w) : scan_csv__cut(p, w);
        if (got == CUT_OK || got == CUT_FAIL) return;
        if (got == CUT_ODD) {
            careful = true;
            atomic_fetch_add(&s->meter->n_strict, 1);
        } else {
            p->code = scan_input__extend(p, &p->err);
            if (p->code != CFB_OK) return;
        }
    }
}

/* Tells the next part where it starts. */
static void resolve(struct cfb_scan *s, scan_part *p) {
    if (s->shared) { /* an error is told when this part comes to its commit */
        const cfb_scan_place next = {p->offset + p->next, p->at.rows + p->n_records, p->at.line + p->n_lines};
        if (p->code == CFB_OK)
            s->team->tell(s->team->ctx, p->index - s->first_shared + 1, &next);
        else
            s->team->give_up(s->team->ctx);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (p->code != CFB_OK) {
        s->chain_dead = true;
    } else {
        s->chain.start = p->offset + p->next;
        s->chain.rows += p->n_records;
        s->chain.line += p->n_lines;
        atomic_store_explicit(&s->n_resolved, p->index + 1, memory_order_release);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Finds the part's records. False: the scan ended before it was this part's turn. */
static bool cut_part(struct cfb_scan *s, scan_part *p, scan_worker *w) {
    bool text = s->mode != SCAN_BATCHES, guessed = false;
    int64_t t0 = cfb_now_ns();
    if (p->code == CFB_OK && s->mode == SCAN_PLAIN && (s->shared || atomic_load(&s->n_resolved) < p->index))
        guessed = (s->jsonl ? scan_jsonl__guess(p) : scan_csv__guess(p, w)) == CUT_OK;
    if (guessed) scan_input__measure(p);
    int64_t t1 = scan__spent(&s->meter->ns_cut, "cut", t0);
    if (!wait_turn(s, p)) return false;
    int64_t t2 = scan__spent(&s->meter->ns_wait, "wait", t1);
    if (text && p->code == CFB_OK) {
        size_t start = (size_t)(p->at.start - p->offset);
        if (!guessed || p->start != start) {
            if (guessed) atomic_fetch_add(&s->meter->n_again, 1);
            p->start = start;
            p->n_rows = p->n_records = p->n_lines = 0;
            p->next = start;
            if (start < p->end) cut_from_start(s, p, w);
            scan_input__measure(p);
        }
    }
    resolve(s, p);
    scan__spent(&s->meter->ns_cut, "cut", t2);
    return true;
}

static void work_on(struct cfb_scan *s, scan_part *p, int worker) {
    int64_t t0 = cfb_now_ns();
    scan_part__finish(p);
    int64_t t1 = scan__spent(&s->meter->ns_check, "check", t0);
    cfb_code rc = p->code;
    if (rc == CFB_OK && s->job->work) rc = s->job->work(s->job->ctx, &p->pub, worker, &p->err);
    p->code = rc;
    scan__spent(&s->meter->ns_work, "work", t1);
}

static void commit_part(struct cfb_scan *s, scan_part *p) {
    int64_t t0 = cfb_now_ns();
    cfb_code rc = p->code;
    if (rc == CFB_OK && s->job->commit) rc = s->job->commit(s->job->ctx, &p->pub, &p->err);
    p->code = rc;
    scan__spent(&s->meter->ns_commit, "commit", t0);
    if (rc != CFB_OK) return;
    atomic_fetch_add(&s->meter->rows_done, p->n_rows);
    atomic_fetch_add(&s->meter->bad_rows, p->n_bad);
    atomic_fetch_add(&s->meter->text_bytes, p->end - p->begin);
}

/* The buffer goes to the worker that filled it: it may still be in that core's cache. Behind lock. */
static void give_back(struct cfb_scan *s, scan_part *p) {
    scan_worker *w = &s->workers[p->owner];
    if (p->buf.ptr == NULL) return;
    if (w->n_free < SLOTS_PER_THREAD && p->buf.cap <= 4 * s->part_bytes + KEEP_BYTES)
        w->free[w->n_free++] = p->buf;
    else
        free(p->buf.ptr);
    p->buf = (scan_buffer){NULL, 0};
}

/* Commits what is due, unless another thread is at it. */
static void commit_parts(struct cfb_scan *s, scan_part *done) {
    pthread_mutex_lock(&s->lock);
    done->done = true;
    while (!s->committing && !s->ended) {
        scan_part *p = &s->parts[s->n_committed % s->n_slots];
        if (p->seq != s->n_committed || !p->done) break;
        s->committing = true;
        pthread_mutex_unlock(&s->lock);
        commit_part(s, p);
        scan_input__release(p);
        pthread_mutex_lock(&s->lock);
        give_back(s, p);
        s->committing = false;
        if (p->code != CFB_OK) {
            if (s->code == CFB_OK) {
                s->code = p->code;
                s->err = p->err;
            }
            end_scan(s);
            break;
        }
        atomic_fetch_add(&s->meter->bytes_done, s->shared ? p->end - p->begin : p->raw_done - s->raw_done);
        s->raw_done = p->raw_done;
        p->seq = UINT64_MAX;
        s->n_committed++;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
}

static void run_worker(struct cfb_scan *s, int worker) {
    scan_worker *w = &s->workers[worker];
    for (;;) {
        scan_part *p = take_part(s, worker);
        if (p == NULL) return;
        if (!cut_part(s, p, w)) return;
        work_on(s, p, worker);
        commit_parts(s, p);
    }
}

cfb_code cfb_scan_run(cfb_scan_t *s, const cfb_scan_job *job, cfb_err *err) {
    if (s->job != NULL) return cfb_err_set(err, CFB_EBUG, "a scan was run twice");
    s->job = job;
    /* One thread more than works: the OpenMP run-time then knows that all processors are in use, and threads that wait for the
     * team to come together, or to end, go to sleep instead of spinning. Where the kernel has started a thread on the processor
     * of the one that spins, that costs milliseconds. */
#pragma omp parallel num_threads(s->n_threads > 1 ? s->n_threads + 1 : 1) default(none) shared(s)
    {
        int worker = omp_get_thread_num();
        if (worker < s->n_threads) run_worker(s, worker);
    }
    if (s->code != CFB_OK && err) *err = s->err;
    return s->code;
}
