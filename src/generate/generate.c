/* The whole: prepare, ask, sum up. */
#include "cfbench/score.h"
#include "generate/job.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* libcurl walks lists per multi handle */
#define CALLS_PER_THREAD_MAX 256
/* Threads that wait on the network most of the time: more than cores, so that none starves while another parses */
#define THREADS_PER_CORE 2
#define ADAPTIVE_START 64

/* How the calls in flight are spread over threads: outer x inner row workers with so many calls each. */
struct shape {
    int outer, inner, in_flight;
    size_t calls_each;
};

static int at_least_1(int n) { return n > 0 ? n : 1; }

static struct shape choose_shape(const cfb_generate_opts *o, size_t n_pending) {
    struct shape s;
    s.outer = at_least_1(o->task_workers);
    if ((size_t)s.outer > o->n_tasks) s.outer = at_least_1((int)o->n_tasks);
    s.in_flight = o->in_flight > 0 ? o->in_flight : s.outer * at_least_1(o->row_workers);
    if ((size_t)s.in_flight > n_pending) s.in_flight = at_least_1((int)n_pending);
    if (s.outer > s.in_flight) s.outer = s.in_flight;
    if (!cfb_has_openmp()) s.outer = 1;
    int in_task = (s.in_flight + s.outer - 1) / s.outer;
    if (o->calls_per_thread > 0) {
        s.inner = (in_task + o->calls_per_thread - 1) / o->calls_per_thread;
    } else { /* as many threads as keep the cores busy, and no more than 256 calls in each */
        int threads = THREADS_PER_CORE * cfb_cpu_count(), by_calls = (in_task + CALLS_PER_THREAD_MAX - 1) / CALLS_PER_THREAD_MAX;
        s.inner = threads / s.outer;
        if (s.inner < by_calls) s.inner = by_calls;
        if (s.inner > in_task) s.inner = in_task;
    }
    s.inner = cfb_has_openmp() ? at_least_1(s.inner) : 1;
    int threads = s.outer * s.inner;
    s.calls_each = (size_t)((s.in_flight + threads - 1) / threads);
    return s;
}

cfb_generate_shape cfb_generate_plan_shape(const cfb_generate_opts *opts, size_t n_pending) {
    struct shape s = choose_shape(opts, n_pending);
    return (cfb_generate_shape){s.outer, s.inner, s.in_flight, s.calls_each};
}

/* Said before the first call, in words, instead of by OpenMP's run-time in the middle. */
static cfb_code check_limits(struct shape s, cfb_err *err) {
    size_t threads = (size_t)s.outer * (size_t)s.inner, calls = threads * s.calls_each;
    cfb_code rc = cfb_check_open_files(calls + 4 * threads + 64, err);
    if (rc == CFB_OK && threads > 1) rc = cfb_check_threads(threads, err); /* one less, and the store's writer */
    if (rc != CFB_OK)
        cfb_err_add_context(err, "%zu calls at once are too many here; lower --in-flight, --max-workers or --task-workers",
                            calls);
    return rc;
}

static cfb_code set_up(struct job *j, struct shape s, cfb_err *err) {
    int start = j->o->source ? 0 : j->o->adaptive && s.in_flight > ADAPTIVE_START ? ADAPTIVE_START : s.in_flight;
    cfb_code rc = check_limits(s, err);
    j->calls_per_worker = s.calls_each;
    j->sum->in_flight = s.in_flight;
    if (rc == CFB_OK) rc = cfb_gate_init(&j->gate, start, (size_t)s.outer * (size_t)s.inner, err);
    if (rc == CFB_OK) rc = cfb_server_new(&j->o->client, &j->server, err);
    if (rc == CFB_OK && j->o->cache)
        rc = cfb_recall_new(j->o->cache, &j->o->client.request, j->o->client.base_urls[0], &j->recall, err);
    cfb_limiter_init(&j->limiter, &j->o->limits);
    j->limiter.source = j->o->source;
    if (j->o->source) j->o->source->watch(j->o->source->ctx, &j->gate.used, s.in_flight);
    cfb_adaptive_init(&j->adaptive, start, s.in_flight, cfb_now_ns());
    atomic_store(&j->progress->limit, start);
    atomic_store(&j->progress->phase, j->o->adaptive && !j->o->source ? (int)j->adaptive.phase : -1);
    return rc;
}

static void say_if_fewer(const cfb_sched_stats *got, struct shape s) {
    if (cfb_has_openmp() && (got->outer_threads < s.outer || got->inner_threads_min < s.inner))
        cfb_log(CFB_LOG_WARN,
                "asked for %d x %d workers, OpenMP gave %d x %d: is OMP_THREAD_LIMIT, OMP_DYNAMIC or a process limit (ulimit "
                "-u) set?",
                s.outer, s.inner, got->outer_threads, got->inner_threads_min);
}

/* ---- with other processes ---- */

static bool claim(void *ctx, size_t *task, size_t *row) {
    struct job *j = ctx;
    size_t index;
    if (!j->o->team->claim(j->o->team->ctx, &index)) return false;
    for (*task = 0; index >= j->tasks[*task].n_pending; (*task)++) index -= j->tasks[*task].n_pending;
    *row = index;
    return true;
}

/* Names as this program has them: the store keeps only the pointers. */
static const char *own_fail(const char *name) {
    for (int f = 0; f < CFB_FAIL_COUNT; f++)
        if (strcmp(cfb_fail_name((cfb_fail)f), name) == 0) return cfb_fail_name((cfb_fail)f);
    return cfb_fail_name(CFB_FAIL_BAD_REPLY);
}

static const char *own_state(const char *name) {
    for (int s = 0; name && s < CFB_ROW_STATE_COUNT; s++)
        if (strcmp(cfb_row_state_name((cfb_row_state)s), name) == 0) return cfb_row_state_name((cfb_row_state)s);
    return NULL;
}

static const char *own_finish(const char *name) {
    static const cfb_finish all[] = {CFB_FINISH_STOP, CFB_FINISH_LENGTH, CFB_FINISH_FILTER};
    for (size_t i = 0; name && i < sizeof all / sizeof *all; i++)
        if (strcmp(cfb_finish_name(all[i]), name) == 0) return cfb_finish_name(all[i]);
    return name ? cfb_finish_name(CFB_FINISH_OTHER) : NULL;
}

static void deliver(void *to, size_t k, const cfb_store_attempt *a) {
    struct job *j = to;
    if (k >= j->o->n_tasks) return;
    cfb_store_attempt mine = *a;
    cfb_err err = CFB_ERR_INIT;
    mine.task_id = j->tasks[k].task_id;
    mine.fail = own_fail(a->fail);
    mine.state = own_state(a->state);
    mine.finish_reason = own_finish(a->finish_reason);
    if (cfb_store_queue_attempt(j->o->store, &mine, a->state ? &j->progress->tasks[k].done : NULL, &err) != CFB_OK)
        cfb_brake_stop(j, &err);
    if (a->state) atomic_fetch_add(&j->n_ok, 1);
}

static cfb_code begin_team(struct job *j, cfb_err *err) {
    size_t pending = 0;
    if (j->o->team == NULL) return CFB_OK;
    for (size_t k = 0; k < j->o->n_tasks; k++) pending += j->tasks[k].n_pending;
    j->team_begun = true;
    return j->o->team->begin(j->o->team->ctx, pending, deliver, j, err);
}

static cfb_code wait_for_team(struct job *j, cfb_code rc, cfb_err *err) {
    cfb_err team_err = CFB_ERR_INIT;
    cfb_code waited = j->o->team->wait(j->o->team->ctx, &team_err);
    if (waited == CFB_OK) waited = cfb_store_flush(j->o->store, &team_err);
    if (rc != CFB_OK || waited == CFB_OK) return rc;
    if (err) *err = team_err;
    return waited;
}

static cfb_code ask(struct job *j, cfb_err *err) {
    size_t n = j->o->n_tasks, pending = 0;
    size_t *n_rows = malloc((n ? n : 1) * sizeof *n_rows);
    if (n_rows == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++) pending += n_rows[k] = j->tasks[k].n_pending;
    cfb_code rc = CFB_OK;
    if (pending > 0) {
        struct shape s = choose_shape(j->o, pending);
        rc = set_up(j, s, err);
        cfb_sched sched = {n, n_rows, s.outer, s.inner, j, j->o->team ? claim : NULL, cfb_job_work, &j->stop};
        int64_t begin = cfb_now_ns();
        double cpu_s = cfb_cpu_time_s();
        if (rc == CFB_OK) {
            cfb_log(CFB_LOG_DEBUG, "%d calls in flight at most: %d x %d threads with up to %zu each", s.in_flight, s.outer,
                    s.inner, s.calls_each);
            rc = cfb_sched_run(&sched, &j->sum->sched, err);
            say_if_fewer(&j->sum->sched, s);
        }
        if (j->o->source) j->o->source->watch(j->o->source->ctx, NULL, 0);
        cfb_err flush_err = CFB_ERR_INIT;
        cfb_code flushed = cfb_store_flush(j->o->store, &flush_err);
        if (flushed != CFB_OK && (rc == CFB_OK || rc == CFB_EINTERRUPTED)) {
            if (err) *err = flush_err;
            rc = flushed;
        }
        int64_t end = cfb_now_ns();
        j->sum->asking_s = (double)(end - begin) * 1e-9;
        if (cfb_trace_on()) {
            cfb_trace_span("generate", "ask", CFB_TRACE_HERE, begin, end, NULL, 0);
            cfb_job_trace_tasks(j);
        }
        j->sum->asking_cpu_s = cfb_cpu_time_s() - cpu_s;
    }
    free(n_rows);
    return rc;
}

static void sum_up(struct job *j) {
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    cfb_generate_summary *sum = j->sum;
    for (size_t k = 0; k < j->progress->n_tasks; k++) {
        cfb_task_progress *p = &j->progress->tasks[k];
        sum->n_rows += p->total;
        sum->n_done_before += p->done_before;
        sum->n_done += atomic_load(&p->done);
        sum->n_failed += atomic_load(&p->failed);
        sum->n_retries += atomic_load(&p->retries);
        sum->n_given_up += j->tasks[k].n_given_up;
    }
    for (int f = 0; f < CFB_FAIL_COUNT; f++) sum->n_fail[f] = atomic_load(&j->n_fail[f]);
    for (int f = 0; f < CFB_FAIL_COUNT; f++) sum->n_failed_calls[f] = atomic_load(&j->n_failed_calls[f]);
    sum->n_calls = atomic_load(&j->n_calls);
    sum->n_unfit = atomic_load(&j->n_unfit);
    sum->n_truncated = atomic_load(&j->n_truncated);
    sum->n_thought = atomic_load(&j->n_thought);
    sum->n_from_cache = atomic_load(&j->n_from_cache);
    sum->prompt_tokens = atomic_load(&j->prompt_tokens);
    sum->completion_tokens = atomic_load(&j->completion_tokens);
    sum->reasoning_tokens = atomic_load(&j->reasoning_tokens);
    sum->cached_tokens = atomic_load(&j->cached_tokens);
    sum->cost = j->o->budget.price ? atomic_load(&j->cost) : -1;
    for (int i = 0; i < 5; i++) sum->latency_s[i] = cfb_job_latency_quantile(j, quantiles[i]);
    sum->waited_s = (double)atomic_load(&j->waited_us) * 1e-6;
    sum->in_flight_end = atomic_load(&j->progress->limit);
    sum->limiter = j->limiter;
}

static cfb_code begin(struct job *j, const cfb_generate_opts *o, cfb_generate_summary *sum, cfb_pending_fn fn, void *ctx,
                      cfb_err *err) {
    *sum = (cfb_generate_summary){0};
    j->o = o;
    j->sum = sum;
    j->stop.parent = o->stop;
    j->progress = o->progress ? o->progress : &j->own_progress;
    j->spool.fd = -1;
    j->latency = calloc(LATENCY_BUCKETS, sizeof *j->latency);
    if (j->latency == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    char scratch[PATH_MAX];
    snprintf(scratch, sizeof scratch, "%.4000s/cfbench", o->scratch ? o->scratch : "");
    cfb_code rc = cfb_spool_open(&j->spool, o->scratch ? scratch : cfb_store_path(o->store), err);
    return rc == CFB_OK ? cfb_job_prepare(j, fn, ctx, err) : rc;
}

cfb_code cfb_generate(const cfb_generate_opts *opts, cfb_generate_summary *sum, cfb_err *err) {
    struct job j = {0};
    int64_t start = cfb_now_ns();
    cfb_code rc = begin(&j, opts, sum, NULL, NULL, err);
    if (cfb_trace_on()) cfb_trace_span("generate", "prepare", CFB_TRACE_HERE, start, cfb_now_ns(), NULL, 0);
    if (rc == CFB_OK) rc = begin_team(&j, err);
    if (rc == CFB_OK) {
        rc = ask(&j, err);
        if (opts->team && opts->team->leads) rc = wait_for_team(&j, rc, err);
        if (rc == CFB_OK || rc == CFB_EINTERRUPTED) {
            cfb_code verdict = cfb_brake_at_end(&j, err), end = verdict == CFB_OK ? cfb_fit_at_end(&j, err) : CFB_OK;
            if (verdict != CFB_OK || end != CFB_OK) rc = verdict != CFB_OK ? verdict : end;
        }
        if (atomic_load(&j.n_calls) > 0 || atomic_load(&j.n_from_cache) > 0)
            cfb_job_sample(&j, true); /* a run that asks nothing leaves no trace */
    }
    sum_up(&j);
    if (rc == CFB_EINTERRUPTED && j.brake.verdict.code == CFB_OK && sum->n_rows > 0 &&
        sum->n_done_before + sum->n_done + sum->n_failed == sum->n_rows)
        rc = CFB_OK; /* the signal came when everything was under way already */
    sum->elapsed_s = (double)(cfb_now_ns() - start) * 1e-9;
    if (opts->team && j.team_begun) opts->team->report(opts->team->ctx, sum, rc, err);
    cfb_job_free(&j);
    return rc;
}

cfb_code cfb_generate_pending(const cfb_generate_opts *opts, cfb_pending_fn fn, void *ctx, cfb_err *err) {
    struct job j = {0};
    cfb_generate_summary sum;
    cfb_code rc = begin(&j, opts, &sum, fn, ctx, err);
    cfb_job_free(&j);
    return rc;
}
