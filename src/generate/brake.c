/* When a run must not go on: nothing ever worked, the server is gone, too many rows failed, the budget is used up. */
#include "generate/job.h"

#include <stdio.h>

/* Rows that used up their tries while nothing ever succeeded: then the server is unusable, not the rows. */
#define HOPELESS_ROWS 5
/* A request that is refused may be one row's fault (too long, say), so more of them are waited for. */
#define HOPELESS_REFUSALS 20
/* Calls in a row that failed before a server that has answered counts as gone. */
#define GONE_CALLS 10
/* From so many on it may be: no row is given up until that is known. */
#define SUSPECT_CALLS 5
#define PROBE_FIRST_S 0.5
#define PROBE_LONGEST_S 15.0
/* A share of failed rows is judged from so many rows on. */
#define SHARE_ROWS 50

static size_t calls_together(const struct job *j) {
    int n = j->sum->in_flight;
    return n > 1 ? (size_t)n : 1;
}

/* The first reason counts; it wakes those that wait. */
void cfb_brake_stop(struct job *j, const cfb_err *why) {
#pragma omp critical(cfb_brake)
    if (j->brake.verdict.code == CFB_OK) j->brake.verdict = *why;
    cfb_stop_set(&j->stop);
}

/* ---- a server that was there and is gone ---- */

static bool speaks_for_gone(cfb_fail f) {
    return f == CFB_FAIL_CONNECT || f == CFB_FAIL_TIMEOUT || f == CFB_FAIL_CUT || f == CFB_FAIL_TLS || f == CFB_FAIL_SERVER ||
           f == CFB_FAIL_OVERLOADED || f == CFB_FAIL_BAD_REPLY;
}

enum change { NOTHING, OPENED, STILL_OPEN, CLOSED, TOO_LONG };

/* In critical(cfb_brake). *probe_wait_s: until the next call may try. */
static enum change judge(struct job *j, uint64_t row, bool bad, const cfb_chat_reply *r, double *probe_wait_s, double *gone_s) {
    int64_t now = cfb_now_ns();
    *gone_s = j->brake.open_ns ? (double)(now - j->brake.open_ns) * 1e-9 : 0;
    if (!bad) {
        bool was_open = j->brake.open_ns != 0;
        j->brake.bad_in_a_row = j->brake.rows_in_a_row = 0;
        j->brake.open_ns = 0;
        return was_open ? CLOSED : NOTHING;
    }
    /* Of so many calls under way each may fail once. Were it more, rows would use up their tries before. */
    size_t allowed = (size_t)atomic_load(&j->gate.limit), limit = allowed > GONE_CALLS ? allowed : GONE_CALLS;
    j->brake.bad_in_a_row++;
    /* one row that always fails is its own fault, but for a connection that does not even come about */
    if (j->brake.rows_in_a_row == 0 || j->brake.bad_row != row || r->fail == CFB_FAIL_CONNECT) j->brake.rows_in_a_row++;
    j->brake.bad_row = row;
    if (j->brake.open_ns == 0) {
        if (j->brake.bad_in_a_row < limit || j->brake.rows_in_a_row < 2 || atomic_load(&j->n_ok) == 0) return NOTHING;
        j->brake.open_ns = j->brake.judged_ns = now;
        j->brake.probe_wait_s = *probe_wait_s = PROBE_FIRST_S;
        return OPENED;
    }
    /* Calls that were under way say nothing new: only those that started since prolong the wait. */
    if (now - r->latency_us * 1000 < j->brake.judged_ns) return NOTHING;
    j->brake.judged_ns = now;
    if (*gone_s > j->o->patience_s) return TOO_LONG;
    *probe_wait_s = j->brake.probe_wait_s;
    j->brake.probe_wait_s = j->brake.probe_wait_s * 2 < PROBE_LONGEST_S ? j->brake.probe_wait_s * 2 : PROBE_LONGEST_S;
    return STILL_OPEN;
}

static void set_limit(struct job *j, int limit) {
    cfb_gate_set_limit(&j->gate, limit);
    atomic_store(&j->progress->limit, limit);
}

void cfb_brake_on_call(struct job *j, size_t k, size_t row, const cfb_chat_reply *r) {
    bool bad = speaks_for_gone(r->fail);
    enum change change = NOTHING;
    double wait_s = 0, gone_s = 0;
    int limit = 0;
    if (r->fail == CFB_FAIL_STOPPED) return;
#pragma omp critical(cfb_brake)
    change = judge(j, ((uint64_t)k << 40) + row, bad, r, &wait_s, &gone_s);
    if (change == NOTHING) return;
    cfb_err e = CFB_ERR_INIT;
    switch (change) {
    case OPENED:
        cfb_log(CFB_LOG_WARN, "%s does not answer any more (%s: %s); trying again with one call at a time, for %.0f s at most",
                j->o->client.base_urls[0], cfb_fail_name(r->fail), r->message, j->o->patience_s);
        set_limit(j, 1);
        cfb_limiter_pause(&j->limiter, wait_s);
        break;
    case STILL_OPEN: cfb_limiter_pause(&j->limiter, wait_s); break;
    case CLOSED:
#pragma omp critical(cfb_adaptive)
        limit = j->o->adaptive ? j->adaptive.limit : j->sum->in_flight;
        cfb_log(CFB_LOG_INFO, "%s answers again after %.1f s", j->o->client.base_urls[0], gone_s);
        set_limit(j, limit);
        break;
    default:
        cfb_err_set(&e, CFB_ENET,
                    "%s has not answered for %.0f s (%s: %s); every answer so far is saved: the same command continues",
                    j->o->client.base_urls[0], gone_s, cfb_fail_name(r->fail), r->message);
        cfb_brake_stop(j, &e);
    }
}

bool cfb_brake_is_open(struct job *j) {
    bool open;
#pragma omp critical(cfb_brake)
    open = j->brake.open_ns != 0;
    return open;
}

bool cfb_brake_suspects(struct job *j, const cfb_chat_reply *r) {
    bool suspects;
#pragma omp critical(cfb_brake)
    suspects = j->brake.bad_in_a_row >= SUSPECT_CALLS && j->brake.rows_in_a_row > 1;
    return (suspects || r->fail == CFB_FAIL_CONNECT) && atomic_load(&j->n_ok) > 0;
}

/* ---- rows that are given up ---- */

static cfb_code no_answers(struct job *j, cfb_code code, const cfb_chat_reply *r, cfb_err *err) {
    char status[32] = "";
    if (r->http_status) snprintf(status, sizeof status, " (HTTP %ld)", r->http_status);
    return cfb_err_set(err, code, "no row got an answer from %s; the last one: %s%s: %s; %s", j->o->client.base_urls[0],
                       cfb_fail_name(r->fail), status, r->message, cfb_fail_remedy(r->fail));
}

/* Failures that no other row will escape. */
static cfb_code check_refusal(struct job *j, const cfb_chat_reply *r, cfb_err *err) {
    const char *remedy = cfb_fail_remedy(r->fail),
               *url = j->o->client.base_urls[r->endpoint < j->o->client.n_base_urls ? r->endpoint : 0];
    /* Once the server has answered, a 403, 404 or TLS failure is this row's: only a wrong key, or an empty account, is
     * everybody's. */
    bool everybodys = r->http_status == 401 || r->fail == CFB_FAIL_PAYMENT;
    if (!cfb_fail_stops_run(r->fail) || (atomic_load(&j->n_ok) > 0 && !everybodys)) return CFB_OK;
    cfb_code code = r->fail == CFB_FAIL_TLS ? CFB_ENET : CFB_EAUTH;
    if (r->http_status)
        return cfb_err_set(err, code, "%s refused the request (HTTP %ld): %s; %s", url, r->http_status, r->message, remedy);
    return cfb_err_set(err, code, "%s: %s; %s", url, r->message, remedy);
}

static cfb_code check_hopeless(struct job *j, const cfb_chat_reply *r, cfb_err *err) {
    if (r->fail == CFB_FAIL_TOO_LARGE || r->fail == CFB_FAIL_REPLY_TOO_LARGE || r->fail == CFB_FAIL_CONTEXT_LENGTH) return CFB_OK;
    size_t n = atomic_fetch_add(&j->n_exhausted, 1) + 1;
    /* of the calls that started together some fail first: all of them must have had their turn */
    size_t patience = r->fail == CFB_FAIL_BAD_REQUEST ? HOPELESS_REFUSALS : HOPELESS_ROWS;
    if (patience < calls_together(j)) patience = calls_together(j);
    if (r->fail == CFB_FAIL_CONNECT && j->o->max_retries > 0) patience = 1; /* nothing listened there for several tries */
    if (atomic_load(&j->n_ok) > 0 || n < patience) return CFB_OK;
    cfb_code code = r->fail == CFB_FAIL_BAD_REPLY || r->fail == CFB_FAIL_BAD_REQUEST ? CFB_EPROTOCOL : CFB_ENET;
    return no_answers(j, code, r, err);
}

static cfb_code check_too_many(struct job *j, const cfb_chat_reply *r, cfb_err *err) {
    size_t failed = 0, ok = atomic_load(&j->n_ok);
    for (int f = 1; f < CFB_FAIL_COUNT; f++) failed += atomic_load(&j->n_fail[f]);
    double share = (double)failed / (double)(failed + ok);
    bool by_number = j->o->max_failures >= 0 && failed > (size_t)j->o->max_failures;
    bool by_share = j->o->max_failure_share > 0 && failed + ok >= SHARE_ROWS && share > j->o->max_failure_share;
    if (!by_number && !by_share) return CFB_OK;
    return cfb_err_set(err, CFB_ENET, "%zu of %zu rows failed, more than --max-failures allows; the last one: %s: %s; %s", failed,
                       failed + ok, cfb_fail_name(r->fail), r->message, cfb_fail_remedy(r->fail));
}

cfb_code cfb_brake_on_row(struct job *j, const cfb_chat_reply *r, cfb_err *err) {
    cfb_code rc = check_refusal(j, r, err);
    if (rc == CFB_OK) rc = check_hopeless(j, r, err);
    if (rc == CFB_OK) rc = check_too_many(j, r, err);
    if (rc != CFB_OK) cfb_stop_set(&j->stop);
    return rc;
}

/* ---- budgets ---- */

static bool is_enough(const struct job *j, const struct cfb_spending *want, cfb_err *e) {
    const cfb_budget *b = &j->o->budget;
    int64_t requests = b->used_requests + (int64_t)atomic_load(&j->n_calls) + atomic_load(&j->reserved_requests);
    if (b->max_requests > 0 && requests >= b->max_requests)
        cfb_err_set(e, CFB_EINTERRUPTED, "the budget of %lld requests is used up (--max-requests)", (long long)b->max_requests);
    int64_t tokens =
        b->used_tokens + atomic_load(&j->prompt_tokens) + atomic_load(&j->completion_tokens) + atomic_load(&j->reserved_tokens);
    if (e->code == CFB_OK && b->max_tokens > 0 && tokens + want->tokens > b->max_tokens)
        cfb_err_set(e, CFB_EINTERRUPTED, "the budget of %lld tokens is used up (--max-total-tokens)", (long long)b->max_tokens);
    int64_t cost = b->used_cost + atomic_load(&j->cost) + atomic_load(&j->reserved_cost);
    if (e->code == CFB_OK && b->max_cost > 0 && b->price && cost + want->cost > b->max_cost)
        cfb_err_set(e, CFB_EINTERRUPTED, "the budget of %.6g is used up (--max-cost)", (double)b->max_cost * 1e-6);
    return e->code == CFB_OK;
}

bool cfb_brake_reserve(struct job *j, double tokens, struct cfb_spending *out) {
    const cfb_token_price *p = j->o->budget.price;
    cfb_err e = CFB_ERR_INIT;
    bool enough = false;
    *out = (struct cfb_spending){.requests = 1, .tokens = (int64_t)tokens};
    if (p) out->cost = (int64_t)(tokens * (double)(p->output > p->input ? p->output : p->input) / 1e6);
#pragma omp critical(cfb_budget) /* two threads must not both take the last call */
    if ((enough = is_enough(j, out, &e))) {
        atomic_fetch_add(&j->reserved_requests, out->requests);
        atomic_fetch_add(&j->reserved_tokens, out->tokens);
        atomic_fetch_add(&j->reserved_cost, out->cost);
    }
    if (enough) return true;
    *out = (struct cfb_spending){0};
    cfb_err_add_context(&e, "every answer so far is saved, and the same command continues");
    cfb_brake_stop(j, &e);
    return false;
}

void cfb_brake_count_call(struct job *j, struct cfb_spending *s) {
#pragma omp critical(cfb_budget) /* never counted twice, nor not at all */
    {
        atomic_fetch_add(&j->n_calls, 1);
        atomic_fetch_sub(&j->reserved_requests, s->requests);
        s->requests = 0;
    }
}

void cfb_brake_settle(struct job *j, struct cfb_spending *s) {
    atomic_fetch_sub(&j->reserved_requests, s->requests);
    atomic_fetch_sub(&j->reserved_tokens, s->tokens);
    atomic_fetch_sub(&j->reserved_cost, s->cost);
    *s = (struct cfb_spending){0};
}

/* ---- the end ---- */

/* A run that ends without a single answer is not a run with failed rows: it says why, and exits as if it had been stopped. */
cfb_code cfb_brake_at_end(struct job *j, cfb_err *err) {
    if (j->brake.verdict.code != CFB_OK) {
        if (err) *err = j->brake.verdict;
        return j->brake.verdict.code;
    }
    size_t done = atomic_load(&j->n_ok), failed = 0;
    for (size_t k = 0; k < j->progress->n_tasks; k++) done += j->progress->tasks[k].done_before;
    for (int f = 1; f < CFB_FAIL_COUNT; f++) failed += atomic_load(&j->n_fail[f]);
    size_t rows_own = atomic_load(&j->n_fail[CFB_FAIL_TOO_LARGE]) + atomic_load(&j->n_fail[CFB_FAIL_CONTEXT_LENGTH]);
    if (done > 0 || failed == 0 || rows_own > 0) return CFB_OK;
    const cfb_failed_row *row = &j->sum->failed[0];
    cfb_chat_reply last = {.fail = row->fail};
    memcpy(last.message, row->message, sizeof last.message);
    return no_answers(j, CFB_ENET, &last, err);
}
