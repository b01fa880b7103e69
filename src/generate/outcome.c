/* What becomes of a call: recorded, counted, listed. */
#include "cfbench/prompt.h"
#include "cfbench/score.h"
#include "generate/job.h"

#include <math.h>
#include <stdio.h>

static cfb_row_state state_of(const cfb_chat_reply *r, cfb_str output) {
    if (r->finish == CFB_FINISH_FILTER) return CFB_ROW_FILTERED;
    if (r->finish == CFB_FINISH_LENGTH) return CFB_ROW_TRUNCATED;
    return output.len == 0 ? CFB_ROW_EMPTY : CFB_ROW_OK;
}

void cfb_generate_attempt(const cfb_generate_opts *opts, const cfb_task *task, int64_t task_id, size_t row,
                          const cfb_chat_reply *r, cfb_store_attempt *out) {
    *out = (cfb_store_attempt)CFB_STORE_ATTEMPT_INIT;
    out->task_id = task_id;
    out->row = (int64_t)row;
    out->started_wall_ms = r->started_wall_ms;
    out->latency_us = r->latency_us;
    out->ttft_us = r->ttft_us;
    out->http_status = r->http_status;
    out->endpoint = (int64_t)r->endpoint;
    out->fail = cfb_fail_name(r->fail);
    out->message = r->message;
    if (r->fail != CFB_FAIL_NONE) return;
    out->message = "";
    out->content = r->content;
    out->reasoning = r->reasoning;
    out->output =
        cfb_prompt_postprocess(task, opts->shot, opts->keep_reasoning ? r->content : cfb_prompt_strip_reasoning(r->content));
    out->finish_reason = cfb_finish_name(r->finish);
    out->state = cfb_row_state_name(state_of(r, out->output));
    out->prompt_tokens = r->prompt_tokens;
    out->completion_tokens = r->completion_tokens;
    out->reasoning_tokens = r->reasoning_tokens;
    out->cached_tokens = r->cached_tokens;
}

int64_t cfb_job_cost(const struct job *j, const cfb_chat_reply *r) {
    const cfb_token_price *p = j->o->budget.price;
    if (p == NULL || r->prompt_tokens < 0 || r->completion_tokens < 0) return -1;
    int64_t cached = r->cached_tokens > 0 && r->cached_tokens <= r->prompt_tokens ? r->cached_tokens : 0;
    double cost = (double)(r->prompt_tokens - cached) * (double)p->input + (double)cached * (double)p->cached_input +
                  (double)r->completion_tokens * (double)p->output;
    return (int64_t)(cost / 1e6 + 0.5);
}

/* The first of its kind is worth a line at once: on a paid API, or after an hour, the end of the run would be late. */
static void note_truncated(struct job *j, size_t k, size_t row, bool thought_only) {
    atomic_fetch_add(&j->n_truncated, 1);
    if (!thought_only || atomic_fetch_add(&j->n_thought, 1) > 0) return;
    cfb_log(CFB_LOG_INFO,
            "%s row %zu: the whole token limit of %d went into reasoning, there is no answer; --max-tokens-scale or --max-tokens "
            "gives more room (the first reply of this kind)",
            j->tasks[k].task->name, row, j->tasks[k].max_tokens);
}

cfb_code cfb_job_record(struct job *j, size_t k, size_t row, const cfb_chat_reply *r, int64_t wait_us, bool from_cache,
                        bool *is_ok, cfb_err *err) {
    cfb_store_attempt a;
    cfb_generate_attempt(j->o, j->tasks[k].task, j->tasks[k].task_id, row, r, &a);
    a.wait_us = wait_us;
    a.from_cache = from_cache;
    if (r->fail == CFB_FAIL_NONE && r->finish == CFB_FINISH_LENGTH) note_truncated(j, k, row, a.output.len == 0);
    if (is_ok) *is_ok = a.state && strcmp(a.state, cfb_row_state_name(CFB_ROW_OK)) == 0;
    if (r->fail == CFB_FAIL_NONE) a.cost = from_cache ? 0 : cfb_job_cost(j, r);
    atomic_size_t *committed = r->fail == CFB_FAIL_NONE ? &j->progress->tasks[k].done : NULL;
    if (j->o->team == NULL || j->o->team->leads) return cfb_store_queue_attempt(j->o->store, &a, committed, err);
    cfb_code rc = j->o->team->record(j->o->team->ctx, k, &a, err);
    if (rc == CFB_OK && committed) atomic_fetch_add(committed, 1);
    return rc;
}

/* ---- latencies ---- */

static size_t bucket_of(int64_t us) {
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    if (v < 32) return (size_t)v;
    int e = 63 - __builtin_clzll(v);
    size_t at = (size_t)(e - 4) * 32 + (size_t)((v >> (e - 5)) & 31);
    return at < LATENCY_BUCKETS ? at : LATENCY_BUCKETS - 1;
}

static double middle_of(size_t bucket) {
    if (bucket < 32) return (double)bucket;
    int e = (int)(bucket / 32) + 4;
    double low = ldexp(32.0 + (double)(bucket % 32), e - 5);
    return low * (1 + 0.5 / (32.0 + (double)(bucket % 32)));
}

double cfb_job_latency_quantile(const struct job *j, double q) {
    uint64_t n = 0, seen = 0;
    if (j->latency == NULL) return NAN; /* the run ended before it began */
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) n += atomic_load(&j->latency[i]);
    if (n == 0) return NAN;
    double want = q * (double)n;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += atomic_load(&j->latency[i]);
        if (seen > 0 && (double)seen >= want) return middle_of(i) * 1e-6;
    }
    return NAN;
}

void cfb_job_count_reply(struct job *j, size_t k, const cfb_chat_reply *r, size_t prompt_bytes) {
    struct job_task *t = &j->tasks[k];
    int64_t cost = cfb_job_cost(j, r);
    atomic_fetch_add(&j->n_ok, 1);
    if (r->prompt_tokens > 0) {
        atomic_fetch_add(&j->prompt_bytes, (long long)prompt_bytes);
        atomic_fetch_add(&j->prompt_tokens, r->prompt_tokens);
    }
    if (r->completion_tokens >= 0) {
        atomic_fetch_add(&j->completion_tokens, r->completion_tokens);
        atomic_fetch_add(&j->progress->completion_tokens, r->completion_tokens);
        atomic_fetch_add(&t->completion_tokens, r->completion_tokens);
        atomic_fetch_add(&t->n_replies, 1);
    }
    if (r->reasoning_tokens > 0) atomic_fetch_add(&j->reasoning_tokens, r->reasoning_tokens);
    if (r->cached_tokens > 0) atomic_fetch_add(&j->cached_tokens, r->cached_tokens);
    if (cost > 0) atomic_fetch_add(&j->cost, cost);
    if (cost > 0) atomic_fetch_add(&j->progress->cost, cost);
    atomic_fetch_add(&j->latency[bucket_of(r->latency_us)], 1);
}

/* ---- failures ---- */

/* The first failure of each class is worth a line at once; the others are counted, and logged with --verbose. */
void cfb_job_log_failed_try(struct job *j, size_t k, size_t row, int try_number, const cfb_chat_reply *r) {
    if (r->fail == CFB_FAIL_RATE_LIMIT || r->fail == CFB_FAIL_OVERLOADED) atomic_fetch_add(&j->progress->refused, 1);
    bool first = atomic_fetch_add(&j->n_failed_calls[r->fail], 1) == 0 && cfb_fail_is_retried(r->fail) && j->o->max_retries > 0;
    cfb_log(first ? CFB_LOG_INFO : CFB_LOG_DEBUG, "%s row %zu, try %d: %s (HTTP %ld): %s%s", j->tasks[k].task->name, row,
            try_number, cfb_fail_name(r->fail), r->http_status, r->message,
            first ? "; it is tried again (the first failure of this kind)" : "");
}

/* Keeps the first failed rows by task and row, whatever the order in which they failed. */
void cfb_job_note_failed_row(struct job *j, size_t k, size_t row, const char *id, const cfb_chat_reply *r) {
    cfb_log(CFB_LOG_DEBUG, "%s row %zu failed: %s: %s", j->tasks[k].task->name, row, cfb_fail_name(r->fail), r->message);
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
            list[at].task = j->tasks[k].task->name;
            list[at].row = row;
            list[at].fail = r->fail;
            snprintf(list[at].id, sizeof list[at].id, "%s", id);
            memcpy(list[at].message, r->message, sizeof list[at].message);
            j->sum->n_failed_kept = n + 1;
        }
    }
}

/* ---- the time series ---- */

#define SAMPLE_NS 1000000000

static void tell_spent(struct job *j) {
    const cfb_budget *b = &j->o->budget;
    if (b->spent == NULL) return;
    long long requests = (long long)atomic_load(&j->n_calls), prompt = atomic_load(&j->prompt_tokens),
              completion = atomic_load(&j->completion_tokens), cost = atomic_load(&j->cost);
    b->spent(b->ctx, requests - atomic_exchange(&j->told_requests, requests), prompt - atomic_exchange(&j->told_prompt, prompt),
             completion - atomic_exchange(&j->told_completion, completion), cost - atomic_exchange(&j->told_cost, cost));
}

void cfb_job_sample(struct job *j, bool last) {
    long long before = atomic_load(&j->sampled_ns), now = cfb_now_ns();
    if (!last && (now - before < SAMPLE_NS || !atomic_compare_exchange_strong(&j->sampled_ns, &before, now))) return;
    size_t done = 0, failed = 0;
    for (size_t k = 0; k < j->o->n_tasks; k++) done += atomic_load(&j->progress->tasks[k].done);
    for (int f = 1; f < CFB_FAIL_COUNT; f++) failed += atomic_load(&j->n_failed_calls[f]);
    int phase = atomic_load(&j->progress->phase);
    const cfb_store_sample p = {.wall_ms = cfb_wall_ms(),
                                .in_flight = atomic_load(&j->progress->in_flight),
                                .limit = atomic_load(&j->gate.limit),
                                .n_done = (int64_t)done,
                                .n_failed_attempts = (int64_t)failed,
                                .n_refused = (int64_t)atomic_load(&j->n_refused),
                                .waited_us = atomic_load(&j->waited_us),
                                .phase = phase < 0 ? "fixed" : cfb_adaptive_phase_name((cfb_adaptive_phase)phase)};
    cfb_store_queue_sample(j->o->store, &p);
    if (cfb_trace_on()) cfb_job_trace_counters(j);
#pragma omp critical(cfb_spent)
    tell_spent(j);
}
