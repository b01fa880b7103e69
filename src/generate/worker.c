/* A row worker: one thread that keeps its share of the calls in flight. A lane is one row on its way: asked, waiting to be asked
 * again, or next in turn for a permit and a start. */
#include "cfbench/prompt.h"
#include "generate/job.h"

#include <stdio.h>
#include <stdlib.h>

#define TICK_NS 25000000  /* how soon a stop is seen */
#define INSTANT_RETRIES 6 /* without a parameter that the server refused */

struct lane {
    size_t task, row, index;    /* index: in the task's list of pending rows */
    int tries, instant, failed; /* failed: calls of this run, in the store */
    cfb_fail last;              /* how the latest one failed */
    int64_t due_ns;             /* of the next try */
    int64_t first_ns;           /* the row's first call in this run */
    int64_t asked_ns, start_ns, wait_us;
    double tokens; /* estimated */
    struct cfb_spending reserved;
    int in_flight; /* calls under way when it started */
    char key[65];  /* in the response cache */
    struct cfb_lane_trace trace;
    struct lane *next;
};

struct worker {
    struct job *j;
    cfb_seat_t *seat;
    size_t number;
    cfb_calls_t *calls;
    struct lane *lanes, *free, *next; /* next: the lane whose turn it is */
    bool has_permit, has_start;
    int64_t start_due_ns;
    struct lane **waiting; /* heap by due_ns */
    size_t n_waiting, n_asked;
    cfb_buf prompt, text;
    cfb_recall_desk desk;
    cfb_code rc;
    cfb_err err;
};

/* ---- lanes that wait for another try: a binary heap ---- */

static void push_waiting(struct worker *w, struct lane *l) {
    size_t at = w->n_waiting++;
    for (; at > 0 && w->waiting[(at - 1) / 2]->due_ns > l->due_ns; at = (at - 1) / 2) w->waiting[at] = w->waiting[(at - 1) / 2];
    w->waiting[at] = l;
}

static struct lane *pop_waiting(struct worker *w) {
    struct lane *top = w->waiting[0], *last = w->waiting[--w->n_waiting];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < w->n_waiting; at = child) {
        if (child + 1 < w->n_waiting && w->waiting[child + 1]->due_ns < w->waiting[child]->due_ns) child++;
        if (last->due_ns <= w->waiting[child]->due_ns) break;
        w->waiting[at] = w->waiting[child];
    }
    w->waiting[at] = last;
    return top;
}

static void free_lane(struct worker *w, struct lane *l) {
    if (cfb_trace_on()) cfb_job_trace_row(w->j, &l->trace, l->task, l->row, l->tries, l->last);
    l->next = w->free;
    w->free = l;
}

/* ---- what a call will take ---- */

static size_t prompt_bytes(const struct job *j, const struct lane *l) { /* about: the template's places are counted as text */
    const struct job_task *t = &j->tasks[l->task];
    return t->length[l->index] + t->task->prompt[j->o->shot].len + (t->task->fewshot.ptr ? t->task->fewshot.len : 0);
}

/* Tokens of prompt and reply, as far as the replies so far have taught. */
static double estimate(struct job *j, const struct lane *l) {
    const struct job_task *t = &j->tasks[l->task];
    double bytes = (double)prompt_bytes(j, l), learned = (double)atomic_load(&j->prompt_bytes);
    double per_byte = learned > 0 ? (double)atomic_load(&j->prompt_tokens) / learned : 0.3;
    double replies = (double)atomic_load(&t->n_replies);
    /* before the first reply: a tenth of the limit, as limits are set with room to spare */
    double reply = replies > 0 ? (double)atomic_load(&t->completion_tokens) / replies : 0.1 * t->max_tokens;
    return bytes * per_byte + reply;
}

static void settle(struct job *j, struct lane *l, const cfb_chat_reply *r) {
    cfb_brake_settle(j, &l->reserved);
    if (r->prompt_tokens >= 0 && r->completion_tokens >= 0)
        cfb_limiter_settle(&j->limiter, l->tokens, (double)(r->prompt_tokens + r->completion_tokens));
    else if (r->fail != CFB_FAIL_NONE)
        cfb_limiter_settle(&j->limiter, l->tokens, 0);
}

/* ---- the end of a call ---- */

/* What the server says about its limits holds for all threads. */
static void obey_hints(struct job *j, const cfb_chat_reply *r) {
    const cfb_rate_hints *h = &r->hints;
    double wait_s = r->fail != CFB_FAIL_NONE ? h->retry_after_s : -1;
    if (h->remaining_requests == 0 && h->reset_requests_s > wait_s) wait_s = h->reset_requests_s;
    if (h->remaining_tokens == 0 && h->reset_tokens_s > wait_s) wait_s = h->reset_tokens_s;
    if (wait_s <= 0) return;
    cfb_limiter_pause(&j->limiter, wait_s < j->o->retry_max_s ? wait_s : j->o->retry_max_s);
}

/* With other processes: the number of calls that is this one's part. */
static void follow_source(struct job *j) {
    const cfb_pace_source *s = j->o->source;
    cfb_err err = CFB_ERR_INIT;
    if (s == NULL) return;
    if (s->check(s->ctx, &err) != CFB_OK) cfb_brake_stop(j, &err);
    if (cfb_brake_is_open(j)) return;
#pragma omp critical(cfb_follow)
    {
        int most = j->sum->in_flight, limit = s->in_flight(s->ctx);
        if (limit > most) limit = most;
        if (limit != atomic_exchange(&j->progress->limit, limit)) cfb_gate_set_limit(&j->gate, limit);
        s->keep_to(s->ctx, limit);
    }
}

static void adapt(struct job *j, const struct lane *l, const cfb_chat_reply *r) {
    if ((!j->o->adaptive && !j->o->source) || r->fail == CFB_FAIL_STOPPED) return;
    cfb_signal signal = CFB_SIGNAL_OTHER;
    if (r->fail == CFB_FAIL_NONE) signal = CFB_SIGNAL_OK;
    if (r->fail == CFB_FAIL_RATE_LIMIT || r->fail == CFB_FAIL_OVERLOADED || r->fail == CFB_FAIL_TIMEOUT)
        signal = CFB_SIGNAL_REFUSED;
    if (signal == CFB_SIGNAL_REFUSED) atomic_fetch_add(&j->n_refused, 1);
    if (j->o->source) {
        j->o->source->call_done(j->o->source->ctx, (int)signal, l->start_ns, cfb_now_ns(), l->in_flight);
        return;
    }
    int limit = 0, before = 0;
    cfb_adaptive_phase phase = CFB_ADAPTIVE_GROW;
#pragma omp critical(cfb_adaptive)
    {
        before = j->adaptive.limit;
        if (cfb_adaptive_done(&j->adaptive, signal, l->start_ns, cfb_now_ns(), l->in_flight)) limit = j->adaptive.limit;
        phase = j->adaptive.phase;
        atomic_store(&j->progress->phase, (int)phase);
        if (limit && !cfb_brake_is_open(j)) {
            cfb_gate_set_limit(&j->gate, limit);
            atomic_store(&j->progress->limit, limit);
        }
    }
    if (limit) cfb_log(CFB_LOG_DEBUG, "calls in flight: %d -> %d (%s)", before, limit, cfb_adaptive_phase_name(phase));
}

static void fail(struct worker *w, cfb_code rc, const cfb_err *err) {
    if (w->rc == CFB_OK) {
        w->rc = rc;
        w->err = *err;
    }
    cfb_stop_set(&w->j->stop); /* wakes those that wait to try again */
}

static void give_up(struct worker *w, struct lane *l, const cfb_chat_reply *r) {
    struct job *j = w->j;
    char id[64] = "";
    cfb_record record;
    cfb_err ignored;
    if (cfb_spool_get(&j->spool, j->tasks[l->task].spooled[l->index], j->tasks[l->task].length[l->index], &w->text, &record,
                      &ignored) == CFB_OK)
        snprintf(id, sizeof id, "%.*s", CFB_STR_ARG(record.id));
    atomic_fetch_add(&j->progress->tasks[l->task].failed, 1);
    atomic_fetch_add(&j->n_fail[r->fail], 1);
    cfb_job_note_failed_row(j, l->task, l->row, id, r);
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_brake_on_row(j, r, &err);
    if (rc != CFB_OK) fail(w, rc, &err);
    free_lane(w, l);
}

static bool is_late(const struct job *j, const struct lane *l, int64_t at_ns) {
    return j->o->row_deadline_s > 0 && l->first_ns != 0 && (double)(at_ns - l->first_ns) * 1e-9 >= j->o->row_deadline_s;
}

static int64_t next_try_ns(const struct job *j, const struct lane *l, const cfb_chat_reply *r, int64_t now) {
    double after_s = r->hints.retry_after_s < j->o->retry_max_s ? r->hints.retry_after_s : j->o->retry_max_s;
    double wait_s =
        cfb_backoff_s(j->o->retry_base_s, j->o->retry_max_s, l->tries, after_s, j->o->seed, ((uint64_t)l->task << 40) + l->row);
    return now + (int64_t)(wait_s * 1e9);
}

static bool may_try_again(struct job *j, struct lane *l, const cfb_chat_reply *r, int64_t now) {
    const struct job_task *t = &j->tasks[l->task];
    if (!cfb_fail_is_retried(r->fail)) return false;
    l->due_ns = next_try_ns(j, l, r, now);
    if (cfb_brake_is_open(j)) { /* no row's fault: the brake says when it is enough */
        l->tries--;
        return true;
    }
    if (t->failed && t->failed[l->index] + (uint32_t)l->failed >= (uint32_t)j->o->max_attempts) return false;
    if (l->tries > j->o->max_retries) {
        if (j->o->max_retries == 0 || !cfb_brake_suspects(j, r)) return false;
        l->tries--;
    }
    return !is_late(j, l, l->due_ns);
}

static void try_again(struct worker *w, struct lane *l) {
    atomic_fetch_add(&w->j->progress->tasks[l->task].retries, 1);
    if (cfb_trace_on()) l->trace.rest_ns = cfb_now_ns();
    push_waiting(w, l);
}

static void on_done(void *ctx, void *tag, const cfb_chat_reply *r) {
    struct worker *w = ctx;
    struct job *j = w->j;
    struct lane *l = tag;
    w->n_asked--;
    cfb_gate_leave(&j->gate, w->number);
    atomic_fetch_sub(&j->progress->in_flight, 1);
    settle(j, l, r);
    if (cfb_trace_on()) cfb_job_trace_call(j, &l->trace, l->task, l->row, l->start_ns, r);
    if (r->fail == CFB_FAIL_STOPPED) { /* given up on the user's word: not the server's failure, and the row is not done */
        free_lane(w, l);
        return;
    }
    int64_t now = cfb_now_ns();
    if (r->refused && l->instant < INSTANT_RETRIES) { /* the next try leaves out what the server does not know */
        l->instant++;
        l->tries--;
        l->due_ns = now;
        push_waiting(w, l);
        return;
    }
    cfb_err err = CFB_ERR_INIT;
    bool is_ok = false;
    cfb_code rc = cfb_job_record(j, l->task, l->row, r, l->wait_us, false, &is_ok, &err);
    if (rc != CFB_OK) fail(w, rc, &err);
    if (is_ok && j->recall) cfb_recall_put(j->recall, l->key, r);
    adapt(j, l, r);
    cfb_brake_on_call(j, l->task, l->row, r);
    obey_hints(j, r);
    if (r->fail == CFB_FAIL_NONE) {
        l->trace.answered = true;
        cfb_job_count_reply(j, l->task, r, prompt_bytes(j, l));
        cfb_fit_learn(j, l->task, (double)r->latency_us * 1e-6);
        free_lane(w, l);
        return;
    }
    l->last = r->fail;
    l->failed += r->fail != CFB_FAIL_CONNECT; /* that one reached no server: see cfb_store_get_done */
    cfb_job_log_failed_try(j, l->task, l->row, l->tries, r);
    if (cfb_stop_is_on(&j->stop))
        free_lane(w, l); /* not failed: not done */
    else if (may_try_again(j, l, r, now))
        try_again(w, l);
    else
        give_up(w, l, r);
}

/* ---- the start of a call ---- */

static cfb_code render(struct worker *w, const struct lane *l, cfb_err *err) {
    struct job *j = w->j;
    const struct job_task *t = &j->tasks[l->task];
    cfb_record record;
    cfb_code rc = cfb_spool_get(&j->spool, t->spooled[l->index], t->length[l->index], &w->text, &record, err);
    cfb_buf_clear(&w->prompt);
    return rc == CFB_OK ? cfb_prompt_render(t->task, j->o->shot, &record, &w->prompt, err) : rc;
}

/* Is the reply there from an earlier run? Then it is recorded, and the row is done. */
static bool is_recalled(struct worker *w, struct lane *l) {
    struct job *j = w->j;
    cfb_err err = CFB_ERR_INIT;
    cfb_chat_reply r;
    bool hit = false;
    cfb_code rc = render(w, l, &err);
    if (rc == CFB_OK)
        rc = cfb_recall_get(j->recall, &w->desk, cfb_buf_str(&w->prompt), j->tasks[l->task].max_tokens, &r, &hit, &err);
    if (rc == CFB_ELIMIT) return false; /* too large to be asked: the call says so */
    memcpy(l->key, w->desk.key, sizeof l->key);
    if (rc == CFB_OK && hit) rc = cfb_job_record(j, l->task, l->row, &r, 0, true, NULL, &err);
    if (rc != CFB_OK) fail(w, rc, &err);
    if (rc == CFB_OK && hit) {
        atomic_fetch_add(&j->n_ok, 1);
        atomic_fetch_add(&j->n_from_cache, 1);
        l->trace.answered = true;
    }
    return rc != CFB_OK || hit;
}

static bool next_lane(struct worker *w, int64_t now) {
    if (w->n_waiting > 0 && w->waiting[0]->due_ns <= now) {
        w->next = pop_waiting(w);
        if (cfb_trace_on()) cfb_job_trace_wait(&w->next->trace, "wait to try again", &w->next->trace.rest_ns, now);
        return true;
    }
    size_t task, index;
    while (w->free != NULL && cfb_sched_next(w->seat, &task, &index)) {
        struct lane *l = w->free;
        w->free = l->next;
        *l = (struct lane){
            .task = task, .index = index, .row = w->j->tasks[task].pending[index], .trace = {.track = l->trace.track}};
        if (cfb_trace_on()) cfb_job_trace_taken(&l->trace, w->number, (size_t)(l - w->lanes), now);
        w->next = l;
        if (w->j->recall == NULL || !is_recalled(w, l)) return true;
        w->next = NULL;
        free_lane(w, l);
    }
    return false;
}

/* The lane whose turn it was gives back what was set aside for its call. */
static struct lane *take_back_next(struct worker *w) {
    struct lane *l = w->next;
    if (w->has_permit) cfb_gate_leave(&w->j->gate, w->number);
    if (w->has_start) cfb_limiter_settle(&w->j->limiter, l->tokens, 0);
    cfb_brake_settle(w->j, &l->reserved);
    w->next = NULL;
    w->has_permit = w->has_start = false;
    return l;
}

/* Its turn came after its deadline: a pause, or the limit of calls in flight, held it back. */
static void give_up_late(struct worker *w) {
    struct lane *l = take_back_next(w);
    cfb_chat_reply r;
    cfb_chat_reply_init(&r);
    r.fail = l->last;
    snprintf(r.message, sizeof r.message, "no time was left for another try (--row-deadline)");
    give_up(w, l, &r);
}

static cfb_code start_call(struct worker *w, struct lane *l, int64_t now, cfb_err *err) {
    struct job *j = w->j;
    const struct job_task *t = &j->tasks[l->task];
    cfb_code rc = render(w, l, err);
    if (rc != CFB_OK) return rc;
    double limit_s = 0;
    if (l->tries++ == 0 && l->first_ns == 0) l->first_ns = now;
    if (j->o->row_deadline_s > 0) {
        limit_s = j->o->row_deadline_s - (double)(now - l->first_ns) * 1e-9;
        if (limit_s < 0.001) limit_s = 0.001;
    }
    l->start_ns = now;
    l->wait_us = (now - l->asked_ns) / 1000;
    atomic_fetch_add(&j->waited_us, l->wait_us);
    if (cfb_trace_on()) cfb_job_trace_wait(&l->trace, "wait for a start", &(int64_t){l->asked_ns}, now);
    cfb_brake_count_call(j, &l->reserved);
    l->in_flight = atomic_fetch_add(&j->progress->in_flight, 1) + 1;
    rc = cfb_calls_start(w->calls, l, cfb_buf_str(&w->prompt), t->max_tokens, limit_s, err);
    if (rc == CFB_OK) w->n_asked++;
    return rc;
}

/* Starts what may start. *until_ns: when something more may. */
static void fill(struct worker *w, int64_t *until_ns) {
    struct job *j = w->j;
    while (!cfb_stop_is_on(&j->stop)) {
        int64_t now = cfb_now_ns();
        if (w->next == NULL && !next_lane(w, now)) break;
        struct lane *l = w->next;
        if (is_late(j, l, now)) {
            give_up_late(w);
            continue;
        }
        if (!cfb_fit_starts(j, l->task, now)) { /* not failed: not done */
            free_lane(w, take_back_next(w));
            continue;
        }
        if (!w->has_permit) {
            l->tokens = estimate(j, l);
            if (!cfb_gate_enter(&j->gate, w->number)) {
                if (cfb_trace_on() && l->trace.rest_ns == 0) l->trace.rest_ns = now;
                return;
            }
            w->has_permit = true;
            if (cfb_trace_on()) cfb_job_trace_wait(&l->trace, "wait for a permit", &l->trace.rest_ns, now);
            if (!cfb_brake_reserve(j, l->tokens, &l->reserved)) return;
        }
        if (!w->has_start) {
            l->asked_ns = now;
            w->start_due_ns = cfb_limiter_reserve(&j->limiter, l->tokens);
            w->has_start = true;
        }
        int64_t later = w->start_due_ns > now ? w->start_due_ns : cfb_limiter_take(&j->limiter, w->start_due_ns);
        if (later) {
            w->start_due_ns = later;
            if (later < *until_ns) *until_ns = later;
            return;
        }
        w->next = NULL;
        w->has_permit = w->has_start = false;
        cfb_err err = CFB_ERR_INIT;
        cfb_code rc = start_call(w, l, now, &err);
        if (rc != CFB_OK) fail(w, rc, &err);
    }
    if (w->n_waiting > 0 && w->waiting[0]->due_ns < *until_ns) *until_ns = w->waiting[0]->due_ns;
}

/* ---- the whole ---- */

/* After a stop: what waits is dropped, calls under way finish, unless there is no time for it. */
static void wind_down(struct worker *w) {
    struct job *j = w->j;
    if (w->next) free_lane(w, take_back_next(w));
    while (w->n_waiting > 0) free_lane(w, pop_waiting(w));
    long long since = 0, now = cfb_now_ns();
    if (!atomic_compare_exchange_strong(&j->stopped_ns, &since, now)) now = cfb_now_ns();
    if (since == 0) since = now;
    double grace_s = cfb_fit_grace_s(j);
    bool out_of_time = grace_s >= 0 && (double)(now - since) * 1e-9 >= grace_s;
    if (out_of_time || cfb_stop_is_on(j->o->abort)) cfb_calls_cut(w->calls);
}

static cfb_code make_worker(struct worker *w, cfb_err *err) {
    size_t n = w->j->calls_per_worker;
    w->prompt.max = w->text.max = MAX_PROMPT_BYTES;
    w->lanes = calloc(n, sizeof *w->lanes);
    w->waiting = calloc(n, sizeof *w->waiting);
    if (w->lanes == NULL || w->waiting == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = n; i-- > 0;) free_lane(w, &w->lanes[i]);
    return cfb_calls_new(w->j->server, n, on_done, w, &w->calls, err);
}

static void run(struct worker *w) {
    struct job *j = w->j;
    cfb_gate_sit(&j->gate, w->number, w->calls);
    for (;;) {
        int64_t until = cfb_now_ns() + TICK_NS;
        cfb_fit_watch(j, until - TICK_NS);
        follow_source(j);
        if (cfb_stop_is_on(&j->stop))
            wind_down(w);
        else
            fill(w, &until);
        if (w->next == NULL && w->n_waiting == 0 && w->n_asked == 0) break;
        cfb_err err = CFB_ERR_INIT;
        cfb_code rc = cfb_calls_run(w->calls, until, &err);
        if (rc != CFB_OK) {
            fail(w, rc, &err);
            break;
        }
        cfb_job_sample(j, false);
    }
    cfb_gate_stand_up(&j->gate, w->number);
}

cfb_code cfb_job_work(void *ctx, cfb_seat_t *seat, cfb_err *err) {
    struct worker w = {.j = ctx, .seat = seat, .number = cfb_sched_seat_number(seat), .desk = CFB_RECALL_DESK_INIT};
    cfb_thread_name("cfb-rows");
    cfb_code rc = make_worker(&w, err);
    if (rc == CFB_OK) {
        run(&w);
        rc = w.rc;
        if (rc != CFB_OK && err) *err = w.err;
    }
    cfb_calls_free(w.calls);
    cfb_buf_free(&w.prompt);
    cfb_buf_free(&w.text);
    cfb_recall_desk_free(&w.desk);
    free(w.lanes);
    free(w.waiting);
    return rc;
}
