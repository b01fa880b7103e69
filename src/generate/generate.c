/* The job: every row without a reply -> prompt -> limiter -> call -> retries -> store. */
#include "cfbench/base.h"
#include "cfbench/generate.h"
#include "cfbench/prompt.h"
#include "cfbench/score.h"
#include "cfbench/text.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_PROMPT_BYTES ((size_t)32 << 20)
/* Rows that used up their tries while nothing ever succeeded: then the server is unusable, not the rows. */
#define HOPELESS_ROWS 5
/* A request that is refused may be one row's fault (too long, say), so more of them are waited for. */
#define HOPELESS_REFUSALS 20

struct job_task {
    const cfb_task *task;
    int64_t task_id;
    cfb_records records;
    size_t *pending; /* (n_pending) row numbers that have no reply */
    size_t n_pending;
    int max_tokens;
};

struct job {
    const cfb_generate_opts *o;
    struct job_task *tasks;
    cfb_progress *progress, own_progress;
    cfb_limiter limiter;
    cfb_stop stop;             /* on when the run cannot go on, or when its parent, the caller's, is */
    cfb_generate_summary *sum; /* its list of failed rows is filled as rows fail */
    size_t failed_task[CFB_FAILED_ROWS_KEPT];
    atomic_size_t n_ok, n_calls, n_exhausted, n_fail[CFB_FAIL_COUNT], n_tries_failed[CFB_FAIL_COUNT];
};

struct worker {
    cfb_client_t *client;
    cfb_buf prompt;
};

/* ---- preparing: what is to be asked ---- */

static void row_key(const struct job *j, const struct job_task *t, cfb_str prompt, char hex[65]) {
    char number[32], temperature[32];
    snprintf(number, sizeof number, "%d", t->max_tokens);
    cfb_format_double(j->o->client.temperature, temperature);
    cfb_str parts[] = {prompt, cfb_str_from(j->o->client.model), cfb_str_from(j->o->client.system_prompt), cfb_str_from(number),
                       cfb_str_from(temperature)};
    cfb_sha256_parts_hex(parts, sizeof parts / sizeof *parts, hex);
}

static cfb_code put_rows(struct job *j, struct job_task *t, cfb_err *err) {
    size_t n = t->records.n;
    cfb_store_row *rows = calloc(n ? n : 1, sizeof *rows);
    char(*keys)[65] = calloc(n ? n : 1, sizeof *keys);
    cfb_buf prompt = CFB_BUF_INIT(MAX_PROMPT_BYTES);
    cfb_code rc = rows && keys ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        const cfb_record *r = &t->records.rows[i];
        cfb_buf_clear(&prompt);
        rc = cfb_prompt_render(t->task, j->o->shot, r, &prompt, err);
        if (rc != CFB_OK) break;
        row_key(j, t, cfb_buf_str(&prompt), keys[i]);
        rows[i] = (cfb_store_row){(int64_t)i, r->id, {keys[i], 64}, r->input, r->instruction, r->response};
        if (j->o->on_row) rc = j->o->on_row(j->o->on_row_ctx, t->task, cfb_buf_str(&prompt), r->response, err);
    }
    if (rc == CFB_OK) rc = cfb_store_put_rows(j->o->store, t->task_id, rows, n, err);
    if (rc != CFB_OK) cfb_err_add_context(err, "task '%s'", t->task->name);
    cfb_buf_free(&prompt);
    free(rows);
    free(keys);
    return rc;
}

static cfb_code find_pending(struct job *j, struct job_task *t, cfb_err *err) {
    size_t n = t->records.n;
    unsigned char *done = malloc(n ? n : 1);
    t->pending = malloc((n ? n : 1) * sizeof *t->pending);
    cfb_code rc = done && t->pending ? cfb_store_get_done(j->o->store, t->task_id, done, n, err)
                                     : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == CFB_OK; i++)
        if (!done[i]) t->pending[t->n_pending++] = i;
    free(done);
    return rc;
}

static cfb_code prepare_task(struct job *j, size_t k, cfb_err *err) {
    const cfb_generate_opts *o = j->o;
    struct job_task *t = &j->tasks[k];
    size_t index = o->tasks[k];
    cfb_buf definition = CFB_BUF_INIT(0);
    t->task = cfb_suite_task(o->suite, index);
    t->max_tokens = o->max_tokens > 0 ? o->max_tokens : t->task->max_tokens;
    cfb_code rc = cfb_suite_read_records(o->suite, index, o->shot, o->limit, &t->records, err);
    if (rc == CFB_OK) rc = cfb_suite_write_task(o->suite, index, &definition, err);
    if (rc == CFB_OK) {
        cfb_store_task row = {t->task->name, cfb_task_kind_name(t->task->kind), cfb_metric_name(t->task->metric),
                              cfb_label_set_name(t->task->label_set), definition.ptr};
        rc = cfb_store_put_task(o->store, &row, &t->task_id, err);
    }
    if (rc == CFB_OK) rc = put_rows(j, t, err);
    if (rc == CFB_OK) rc = find_pending(j, t, err);
    cfb_buf_free(&definition);
    return rc;
}

static cfb_code prepare(struct job *j, cfb_err *err) {
    size_t n = j->o->n_tasks;
    j->tasks = calloc(n, sizeof *j->tasks);
    j->progress->tasks = calloc(n, sizeof *j->progress->tasks);
    if (j->tasks == NULL || j->progress->tasks == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    j->progress->n_tasks = n;
    cfb_code rc = CFB_OK;
    for (size_t k = 0; k < n && rc == CFB_OK; k++) {
        rc = prepare_task(j, k, err);
        cfb_task_progress *p = &j->progress->tasks[k];
        p->name = j->tasks[k].task ? j->tasks[k].task->name : "";
        if (rc != CFB_OK) break;
        p->total = j->tasks[k].records.n;
        p->done_before = p->total - j->tasks[k].n_pending;
    }
    if (rc == CFB_OK) atomic_store(&j->progress->ready, 1);
    return rc;
}

/* ---- one row ---- */

static cfb_row_state state_of(const cfb_chat_reply *r, cfb_str output) {
    if (r->finish == CFB_FINISH_FILTER) return CFB_ROW_FILTERED;
    if (r->finish == CFB_FINISH_LENGTH) return CFB_ROW_TRUNCATED;
    return output.len == 0 ? CFB_ROW_EMPTY : CFB_ROW_OK;
}

static cfb_code record_attempt(struct job *j, const struct job_task *t, size_t row, const cfb_chat_reply *r, int64_t wait_us,
                               cfb_err *err) {
    cfb_store_attempt a = {.task_id = t->task_id,
                           .row = (int64_t)row,
                           .started_wall_ms = r->started_wall_ms,
                           .wait_us = wait_us,
                           .latency_us = r->latency_us,
                           .http_status = r->http_status,
                           .fail = cfb_fail_name(r->fail),
                           .message = r->message,
                           .prompt_tokens = r->prompt_tokens,
                           .completion_tokens = r->completion_tokens};
    if (r->fail == CFB_FAIL_NONE) {
        a.content = r->content;
        a.output = cfb_prompt_postprocess(t->task, j->o->shot, r->content);
        a.finish_reason = cfb_finish_name(r->finish);
        a.state = cfb_row_state_name(state_of(r, a.output));
    }
    return cfb_store_put_attempt(j->o->store, &a, err);
}

/* The first failure of each class is worth a line at once; the others are counted, and logged with --verbose. */
static void log_failed_try(struct job *j, const struct job_task *t, size_t row, int try_number, const cfb_chat_reply *r) {
    bool first = atomic_fetch_add(&j->n_tries_failed[r->fail], 1) == 0 && cfb_fail_is_retried(r->fail) && j->o->max_retries > 0;
    cfb_log(first ? CFB_LOG_INFO : CFB_LOG_DEBUG, "%s row %zu, try %d: %s (HTTP %ld): %s%s", t->task->name, row, try_number,
            cfb_fail_name(r->fail), r->http_status, r->message,
            first ? "; it is tried again (the first failure of this kind)" : "");
}

/* Keeps the first failed rows by task and row, whatever the order in which they failed. */
static void note_failed_row(struct job *j, size_t k, size_t row, const cfb_chat_reply *r) {
    const struct job_task *t = &j->tasks[k];
    cfb_log(CFB_LOG_DEBUG, "%s row %zu failed: %s: %s", t->task->name, row, cfb_fail_name(r->fail), r->message);
#pragma omp critical(cfb_failed_rows)
    {
        cfb_failed_row *list = j->sum->failed;
        size_t n = j->sum->n_failed_kept, at = n;
        while (at > 0 && (j->failed_task[at - 1] > k || (j->failed_task[at - 1] == k && list[at - 1].row > row))) at--;
        if (at < CFB_FAILED_ROWS_KEPT) {
            if (n == CFB_FAILED_ROWS_KEPT) n--;
            memmove(list + at + 1, list + at, (n - at) * sizeof *list);
            memmove(j->failed_task + at + 1, j->failed_task + at, (n - at) * sizeof *j->failed_task);
            j->failed_task[at] = k;
            list[at].task = t->task->name;
            list[at].row = row;
            list[at].fail = r->fail;
            snprintf(list[at].id, sizeof list[at].id, "%.*s", CFB_STR_ARG(t->records.rows[row].id));
            memcpy(list[at].message, r->message, sizeof list[at].message);
            j->sum->n_failed_kept = n + 1;
        }
    }
}

static bool stopped(struct job *j) { return cfb_stop_is_on(&j->stop); }

/* Waits for the limiter, calls, records. *wait_until_ns: when the next try may start. */
static cfb_code one_try(struct job *j, struct worker *w, const struct job_task *t, size_t row, int try_number, cfb_chat_reply *r,
                        cfb_err *err) {
    int64_t asked = cfb_now_ns();
    if (!cfb_limiter_wait(&j->limiter, &j->stop)) {
        *r = (cfb_chat_reply){.fail = CFB_FAIL_STOPPED};
        return CFB_OK;
    }
    int64_t wait_us = (cfb_now_ns() - asked) / 1000;
    atomic_fetch_add(&j->n_calls, 1);
    atomic_fetch_add(&j->progress->in_flight, 1);
    cfb_code rc = cfb_client_chat(w->client, cfb_buf_str(&w->prompt), t->max_tokens, r, err);
    atomic_fetch_sub(&j->progress->in_flight, 1);
    if (rc != CFB_OK) return rc;
    if (r->fail == CFB_FAIL_STOPPED) return CFB_OK; /* given up on the user's word: not the server's failure */
    rc = record_attempt(j, t, row, r, wait_us, err);
    if (rc == CFB_OK && r->fail != CFB_FAIL_NONE) log_failed_try(j, t, row, try_number, r);
    if (r->retry_after_s > 0)
        cfb_limiter_pause(&j->limiter, r->retry_after_s < j->o->retry_max_s ? r->retry_after_s : j->o->retry_max_s);
    return rc;
}

static cfb_code no_answers(struct job *j, cfb_code code, const cfb_chat_reply *r, cfb_err *err) {
    char status[32] = "";
    if (r->http_status) snprintf(status, sizeof status, " (HTTP %ld)", r->http_status);
    return cfb_err_set(err, code, "no row got an answer from %s; the last one: %s%s: %s; %s", j->o->client.base_url,
                       cfb_fail_name(r->fail), status, r->message, cfb_fail_remedy(r->fail));
}

/* Is the server of no use at all? Then the run stops, instead of failing row by row. */
static cfb_code check_hopeless(struct job *j, const cfb_chat_reply *r, cfb_err *err) {
    const char *remedy = cfb_fail_remedy(r->fail);
    /* Once the server has answered, a 403, 404 or TLS failure is this row's: only a wrong key is everybody's. */
    if (cfb_fail_stops_run(r->fail) && (atomic_load(&j->n_ok) == 0 || r->http_status == 401)) {
        cfb_code code = r->fail == CFB_FAIL_TLS ? CFB_ENET : CFB_EAUTH;
        if (r->http_status)
            return cfb_err_set(err, code, "%s refused the request (HTTP %ld): %s; %s", j->o->client.base_url, r->http_status,
                               r->message, remedy);
        return cfb_err_set(err, code, "%s: %s; %s", j->o->client.base_url, r->message, remedy);
    }
    if (r->fail == CFB_FAIL_TOO_LARGE || r->fail == CFB_FAIL_REPLY_TOO_LARGE) return CFB_OK;
    size_t n = atomic_fetch_add(&j->n_exhausted, 1) + 1;
    /* of the calls that started together some fail first: all of them must have had their turn */
    size_t together = cfb_has_openmp() ? (size_t)j->o->task_workers * (size_t)j->o->row_workers : 1;
    size_t patience = r->fail == CFB_FAIL_BAD_REQUEST ? HOPELESS_REFUSALS : HOPELESS_ROWS;
    if (patience < together) patience = together;
    if (r->fail == CFB_FAIL_CONNECT && j->o->max_retries > 0) patience = 1; /* nothing listened there for several tries */
    if (atomic_load(&j->n_ok) > 0 || n < patience) return CFB_OK;
    cfb_code code = r->fail == CFB_FAIL_BAD_REPLY || r->fail == CFB_FAIL_BAD_REQUEST ? CFB_EPROTOCOL : CFB_ENET;
    return no_answers(j, code, r, err);
}

/* A run that ends without a single answer is not a run with failed rows: it says why, and exits as if it had been stopped. */
static cfb_code check_all_failed(struct job *j, cfb_err *err) {
    size_t done = atomic_load(&j->n_ok), failed = 0;
    for (size_t k = 0; k < j->progress->n_tasks; k++) {
        done += j->progress->tasks[k].done_before;
        failed += atomic_load(&j->progress->tasks[k].failed);
    }
    if (done > 0 || failed == 0 || atomic_load(&j->n_fail[CFB_FAIL_TOO_LARGE]) > 0) return CFB_OK;
    const cfb_failed_row *row = &j->sum->failed[0];
    cfb_chat_reply last = {.fail = row->fail};
    memcpy(last.message, row->message, sizeof last.message);
    return no_answers(j, CFB_ENET, &last, err);
}

static cfb_code ask_row(struct job *j, struct worker *w, size_t k, size_t row, cfb_err *err) {
    const struct job_task *t = &j->tasks[k];
    cfb_task_progress *p = &j->progress->tasks[k];
    cfb_buf_clear(&w->prompt);
    cfb_code rc = cfb_prompt_render(t->task, j->o->shot, &t->records.rows[row], &w->prompt, err);
    if (rc != CFB_OK) return rc;
    cfb_chat_reply r = {0};
    for (int tries = 1;; tries++) {
        rc = one_try(j, w, t, row, tries, &r, err);
        if (rc != CFB_OK) return rc;
        if (r.fail == CFB_FAIL_NONE) {
            atomic_fetch_add(&j->n_ok, 1);
            atomic_fetch_add(&p->done, 1);
            return CFB_OK;
        }
        if (stopped(j) || !cfb_fail_is_retried(r.fail) || tries > j->o->max_retries) break;
        atomic_fetch_add(&p->retries, 1);
        double wait_s =
            cfb_backoff_s(j->o->retry_base_s, j->o->retry_max_s, tries, r.retry_after_s, j->o->seed, ((uint64_t)k << 40) + row);
        if (r.retry_after_s > j->o->retry_max_s) wait_s = j->o->retry_max_s;
        cfb_sleep_until_ns(cfb_now_ns() + (int64_t)(wait_s * 1e9), &j->stop);
    }
    if (r.fail == CFB_FAIL_STOPPED || stopped(j)) return CFB_OK; /* not failed: not done */
    atomic_fetch_add(&p->failed, 1);
    atomic_fetch_add(&j->n_fail[r.fail], 1);
    note_failed_row(j, k, row, &r);
    rc = check_hopeless(j, &r, err);
    if (rc != CFB_OK) cfb_stop_set(&j->stop); /* wakes those that wait to try again */
    return rc;
}

/* ---- callbacks of the scheduler ---- */

static void worker_free(void *ctx, void *worker) {
    (void)ctx;
    struct worker *w = worker;
    if (w == NULL) return;
    cfb_client_free(w->client);
    cfb_buf_free(&w->prompt);
    free(w);
}

static cfb_code worker_new(void *ctx, void **worker, cfb_err *err) {
    const struct job *j = ctx;
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    w->prompt.max = MAX_PROMPT_BYTES;
    cfb_code rc = cfb_client_new(&j->o->client, &w->client, err);
    if (rc != CFB_OK) {
        free(w);
        return rc;
    }
    *worker = w;
    return CFB_OK;
}

static cfb_code on_row(void *ctx, void *worker, size_t task, size_t row, cfb_err *err) {
    struct job *j = ctx;
    return ask_row(j, worker, task, j->tasks[task].pending[row], err);
}

/* Said before the first call, in words, instead of by OpenMP's run-time in the middle. */
static cfb_code check_limits(int outer, int inner, cfb_err *err) {
    size_t n = cfb_has_openmp() ? (size_t)outer * (size_t)inner : 1;
    cfb_code rc = cfb_check_open_files(3 * n + 64, err); /* libcurl's easy mode keeps up to 3 for a worker */
    if (rc == CFB_OK && n > 64) rc = cfb_check_threads(n, err);
    if (rc != CFB_OK)
        cfb_err_add_context(err, "%d x %d workers are too many here; lower --max-workers or --task-workers", outer, inner);
    return rc;
}

static cfb_code run_scheduler(struct job *j, cfb_generate_summary *sum, cfb_err *err) {
    size_t n = j->o->n_tasks, pending = 0;
    size_t *n_rows = malloc((n ? n : 1) * sizeof *n_rows);
    if (n_rows == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++) pending += n_rows[k] = j->tasks[k].n_pending;
    cfb_code rc = CFB_OK;
    int outer = j->o->task_workers < (int)n ? j->o->task_workers : (int)n;
    int inner =
        (size_t)j->o->row_workers < pending ? j->o->row_workers : (int)pending; /* no threads for rows that are not there */
    if (pending > 0) rc = check_limits(outer, inner, err);
    if (pending > 0 && rc == CFB_OK) {
        cfb_sched s = {n, n_rows, j->o->task_workers, inner, j, worker_new, worker_free, on_row, j->o->stop};
        rc = cfb_sched_run(&s, &sum->sched, err);
        if (cfb_has_openmp() && (sum->sched.outer_threads < outer || sum->sched.inner_threads_min < inner))
            cfb_log(CFB_LOG_WARN,
                    "asked for %d x %d workers, OpenMP gave %d x %d: is OMP_THREAD_LIMIT, OMP_DYNAMIC or a process limit (ulimit "
                    "-u) set?",
                    outer, inner, sum->sched.outer_threads, sum->sched.inner_threads_min);
    }
    free(n_rows);
    return rc;
}

static void sum_up(struct job *j, cfb_generate_summary *sum) {
    for (size_t k = 0; k < j->progress->n_tasks; k++) {
        cfb_task_progress *p = &j->progress->tasks[k];
        sum->n_rows += p->total;
        sum->n_done_before += p->done_before;
        sum->n_done += atomic_load(&p->done);
        sum->n_failed += atomic_load(&p->failed);
        sum->n_retries += atomic_load(&p->retries);
    }
    for (int f = 0; f < CFB_FAIL_COUNT; f++) sum->n_fail[f] = atomic_load(&j->n_fail[f]);
    sum->n_calls = atomic_load(&j->n_calls);
    sum->limiter = j->limiter;
}

cfb_code cfb_generate(const cfb_generate_opts *opts, cfb_generate_summary *sum, cfb_err *err) {
    struct job j = {.o = opts, .sum = sum, .stop = {0, opts->stop}};
    int64_t start = cfb_now_ns();
    *sum = (cfb_generate_summary){0};
    j.progress = opts->progress ? opts->progress : &j.own_progress;
    cfb_limiter_init(&j.limiter, opts->api_rate_limit_s);
    cfb_code rc = prepare(&j, err);
    if (rc == CFB_OK) rc = run_scheduler(&j, sum, err);
    if (rc == CFB_OK) rc = check_all_failed(&j, err);
    sum_up(&j, sum);
    if (rc == CFB_EINTERRUPTED && sum->n_rows > 0 && sum->n_done_before + sum->n_done + sum->n_failed == sum->n_rows)
        rc = CFB_OK; /* the signal came when everything was under way already */
    sum->elapsed_s = (double)(cfb_now_ns() - start) * 1e-9;
    for (size_t k = 0; j.tasks && k < opts->n_tasks; k++) {
        cfb_records_free(&j.tasks[k].records);
        free(j.tasks[k].pending);
    }
    free(j.tasks);
    if (opts->progress == NULL) free(j.own_progress.tasks);
    return rc;
}
