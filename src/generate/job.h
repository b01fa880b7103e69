/* job.h - what the files of the generate room share: the job, its tasks, its permits.
 *
 * prepare.c  rows -> prompts -> keys -> store; what is to be asked
 * spool.c    the texts of rows, on disk instead of in memory
 * sched.c    the nested regions, and who gets which row
 * gate.c     permits: how many calls may be in flight
 * recall.c   the response cache
 * worker.c   a row worker: an event loop that keeps its calls in flight
 * traced.c   what of it a trace shows
 * outcome.c  what becomes of a call: record, count, list
 * fit.c      the end of the job's time
 * brake.c    when a run must not go on: nothing works, the server is gone, too much failed or spent */
#ifndef CFB_GENERATE_JOB_H
#define CFB_GENERATE_JOB_H

#include "cfbench/base.h"
#include "cfbench/generate.h"
#include "cfbench/trace.h"
#include "generate/recall.h"

#define MAX_PROMPT_BYTES ((size_t)32 << 20)

/* ---- spool.c ---- */

/* Texts of records in an unlinked file: read again when they are asked, so that memory does not grow with the data. */
struct spool {
    int fd;
    uint64_t end;
    cfb_buf out; /* not written yet */
};
CFB_MUST_CHECK cfb_code cfb_spool_open(struct spool *s, const char *near_path, cfb_err *err);
void cfb_spool_close(struct spool *s);
/* *at, *len: where the record is found again, and its bytes. Not thread-safe. */
CFB_MUST_CHECK cfb_code cfb_spool_put(struct spool *s, const cfb_record *r, uint64_t *at, uint32_t *len, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_spool_flush(struct spool *s, cfb_err *err); /* before the first get */
/* Strings of *r borrow from text. Threads: safe from any number. */
CFB_MUST_CHECK cfb_code cfb_spool_get(const struct spool *s, uint64_t at, uint32_t len, cfb_buf *text, cfb_record *r,
                                      cfb_err *err);

/* ---- gate.c ---- */

struct gate_seat {
    cfb_calls_t *calls; /* to wake; NULL: nobody sits here */
    atomic_int waiting, granted;
};
struct gate {
    atomic_int used, limit, n_waiting;
    struct gate_seat *seats; /* (n_seats) */
    size_t n_seats;
};
CFB_MUST_CHECK cfb_code cfb_gate_init(struct gate *g, int limit, size_t n_seats, cfb_err *err);
void cfb_gate_free(struct gate *g);
/* One permit, or false: then the seat is woken when one is there for it. */
bool cfb_gate_enter(struct gate *g, size_t seat);
void cfb_gate_leave(struct gate *g, size_t seat);
void cfb_gate_set_limit(struct gate *g, int limit);
void cfb_gate_sit(struct gate *g, size_t seat, cfb_calls_t *calls);
/* The seat goes: whoever wanted a permit gets those that were meant for it. */
void cfb_gate_stand_up(struct gate *g, size_t seat);

/* ---- the job ---- */

/* How long replies take, smoothed; in critical(cfb_fit). */
struct fit {
    double mean_s, deviation_s;
    bool known;
};

struct job_task {
    const cfb_task *task;
    int64_t task_id;
    size_t n_rows;
    uint64_t *spooled; /* (n_pending) where the row's texts are */
    uint32_t *length;  /* (n_pending) and their bytes */
    size_t *pending;   /* (n_pending) row numbers that have no reply */
    uint32_t *failed;  /* (n_pending) calls that failed in earlier runs; NULL without max_attempts */
    size_t n_pending;
    size_t n_given_up;
    int max_tokens;
    atomic_llong n_replies, completion_tokens; /* for the estimate */
    struct fit fit;
    atomic_llong first_ns, last_ns; /* of its rows, while a trace is open */
};

/* Latencies of replies: 32 buckets for each doubling, from 1 us on. */
#define LATENCY_BUCKETS (32 * 40)

struct job {
    const cfb_generate_opts *o;
    struct job_task *tasks;
    struct spool spool;
    cfb_server_t *server;
    cfb_recall_t *recall; /* NULL: no response cache */
    struct gate gate;
    cfb_progress *progress, own_progress;
    cfb_limiter limiter;
    cfb_stop stop;             /* on when the run cannot go on, or when its parent, the caller's, is */
    atomic_llong stopped_ns;   /* when that was seen first */
    cfb_generate_summary *sum; /* its list of failed rows is filled as rows fail */
    size_t failed_task[CFB_FAILED_ROWS_KEPT];
    size_t calls_per_worker;

    cfb_adaptive adaptive;                  /* in critical(cfb_adaptive) */
    struct {                                /* in critical(cfb_brake) */
        size_t bad_in_a_row, rows_in_a_row; /* calls that failed, and how often it was another row's */
        uint64_t bad_row;
        int64_t open_ns;   /* since when the server is gone; 0: it is there */
        int64_t judged_ns; /* when a call that started since then failed last */
        double probe_wait_s;
        bool held;       /* the gate's limit is 1 */
        cfb_err verdict; /* why the run stops */
    } brake;
    int64_t first_call_ns; /* in critical(cfb_brake) */

    atomic_size_t n_truncated, n_thought; /* replies that met the token limit; and those whose limit all went into reasoning */
    atomic_size_t n_ok, n_calls, n_exhausted, n_from_cache, n_refused, n_asked_rows;
    atomic_size_t n_fail[CFB_FAIL_COUNT], n_failed_calls[CFB_FAIL_COUNT];
    atomic_llong prompt_bytes, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost, waited_us;
    atomic_llong reserved_requests, reserved_tokens, reserved_cost; /* by calls that are about to start, or under way */
    atomic_llong sampled_ns, told_requests, told_prompt, told_completion, told_cost;
    atomic_uint *latency; /* (LATENCY_BUCKETS) */
    struct fit fit;       /* of all tasks, for one that has no reply yet */
    atomic_size_t n_unfit;
    atomic_int time_is_up;
    bool team_begun;
};

/* ---- prepare.c ---- */
CFB_MUST_CHECK cfb_code cfb_job_prepare(struct job *j, cfb_pending_fn fn, void *ctx,
                                        cfb_err *err); /* fn: NULL, or told of each pending row */
void cfb_job_free(struct job *j);

/* ---- outcome.c ---- */
/* *is_ok (may be NULL): the reply is whole: state ok. */
CFB_MUST_CHECK cfb_code cfb_job_record(struct job *j, size_t k, size_t row, const cfb_chat_reply *r, int64_t wait_us,
                                       bool from_cache, bool *is_ok, cfb_err *err);
void cfb_job_log_failed_try(struct job *j, size_t k, size_t row, int try_number, const cfb_chat_reply *r);
void cfb_job_note_failed_row(struct job *j, size_t k, size_t row, const char *id, const cfb_chat_reply *r);
void cfb_job_count_reply(struct job *j, size_t k, const cfb_chat_reply *r, size_t prompt_bytes);
int64_t cfb_job_cost(const struct job *j, const cfb_chat_reply *r); /* -1 = unknown */
void cfb_job_sample(struct job *j, bool last);
double cfb_job_latency_quantile(const struct job *j, double q); /* s */

/* ---- brake.c ---- */
/* A call of task k's row ended: is the server still there? */
void cfb_brake_on_call(struct job *j, size_t k, size_t row, const cfb_chat_reply *r);
bool cfb_brake_is_open(struct job *j); /* the server is gone: failures are not the rows' fault */
/* It may be: calls fail one after the other. Soon one succeeds, or it is open. */
bool cfb_brake_suspects(struct job *j, const cfb_chat_reply *r);
/* A row is given up. A non-OK code ends the run. */
cfb_code cfb_brake_on_row(struct job *j, const cfb_chat_reply *r, cfb_err *err);
/* Part of the budgets that is set aside for a call. */
struct cfb_spending {
    int64_t requests, tokens, cost;
};
/* May one more call be paid for? Then it is set aside; if not, that is the run's verdict. tokens: about what it takes. */
bool cfb_brake_reserve(struct job *j, double tokens, struct cfb_spending *out);
void cfb_brake_count_call(struct job *j, struct cfb_spending *s); /* the call starts: from now on it is one of n_calls */
/* What was set aside is free again, or really spent and counted. */
void cfb_brake_settle(struct job *j, struct cfb_spending *s);
void cfb_brake_stop(struct job *j, const cfb_err *why); /* the run ends with this verdict, if it has none yet */
CFB_MUST_CHECK cfb_code cfb_brake_at_end(struct job *j, cfb_err *err);

/* ---- traced.c: call these while a trace is open ---- */

/* A lane's own track: its rows lie one behind the other, while those of a thread overlap. */
struct cfb_lane_trace {
    int64_t track, taken_ns, rest_ns; /* rest_ns: since when it waits; 0 = it does not */
    bool answered;
};
void cfb_job_trace_taken(struct cfb_lane_trace *t, size_t worker, size_t lane, int64_t now);
void cfb_job_trace_wait(struct cfb_lane_trace *t, const char *name, int64_t *since_ns, int64_t now);
void cfb_job_trace_call(struct job *j, struct cfb_lane_trace *t, size_t task, size_t row, int64_t start_ns,
                        const cfb_chat_reply *r);
void cfb_job_trace_row(struct job *j, struct cfb_lane_trace *t, size_t task, size_t row, int tries, cfb_fail last);
void cfb_job_trace_tasks(const struct job *j);
void cfb_job_trace_counters(const struct job *j);

/* ---- fit.c: the end of the job ---- */
/* A reply took so long. */
void cfb_fit_learn(struct job *j, size_t k, double latency_s);
/* May a call of task k start now, and be answered in time? Counts those that may not. */
bool cfb_fit_starts(struct job *j, size_t k, int64_t now_ns);
/* The end is here: nothing more is started. */
void cfb_fit_watch(struct job *j, int64_t now_ns);
/* How long calls under way may take after a stop, in s; negative: as long as they like. */
double cfb_fit_grace_s(const struct job *j);
/* EINTERRUPTED if rows were left out. */
CFB_MUST_CHECK cfb_code cfb_fit_at_end(struct job *j, cfb_err *err);

/* ---- worker.c ---- */
cfb_code cfb_job_work(void *ctx, cfb_seat_t *seat, cfb_err *err);

#endif
