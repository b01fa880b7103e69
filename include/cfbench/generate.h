/* generate.h - asking the model: the nested scheduler, and the job that runs on it (prompt, limiter, call, retries, store). */
#ifndef CFBENCH_GENERATE_H
#define CFBENCH_GENERATE_H

#include "cfbench/cache.h"
#include "cfbench/client.h"
#include "cfbench/cluster.h"
#include "cfbench/pace.h"
#include "cfbench/store.h"
#include "cfbench/suite.h"

#include <stdatomic.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the nested scheduler: tasks side by side (level 1), row workers of a task side by side (level 2). It hands out rows and
 * knows nothing of HTTP or of stores. ---- */

typedef struct cfb_seat cfb_seat_t; /* a row worker's place: where it takes its rows */

typedef struct cfb_sched {
    size_t n_tasks;
    const size_t *n_rows; /* (n_tasks) */
    int task_workers;     /* outer threads; at most n_tasks are used */
    int row_workers;      /* inner threads of each outer thread */
    void *ctx;
    /* NULL, or who says which row is next; then n_rows are not handed out by the scheduler itself. */
    bool (*claim)(void *ctx, size_t *task, size_t *row);
    /* A row worker's whole life: takes rows with cfb_sched_next until there are none, and returns when all that it took is
     * settled. A non-OK code stops the run: nobody gets another row. */
    cfb_code (*work)(void *ctx, cfb_seat_t *seat, cfb_err *err);
    cfb_stop *stop; /* when on, no new row is handed out; may be NULL */
} cfb_sched;

typedef struct cfb_sched_stats {
    int outer_threads, inner_threads_min, inner_threads_max; /* what OpenMP really gave */
    size_t rows_started, rows_helped;                        /* helped: taken by a worker of another task */
} cfb_sched_stats;

/* Runs all row workers. A worker's home is its team's task; when that is empty the team's workers take up the next unstarted
 * task, and when there is none they help the task with most rows left. Each row is handed out exactly once. Errors: that of the
 * first failing worker (lowest seat among those that failed); EINTERRUPTED if stop is on. Threads: sets
 * omp_set_max_active_levels(2) and omp_set_dynamic(0); call it outside parallel regions. */
CFB_MUST_CHECK cfb_code cfb_sched_run(const cfb_sched *s, cfb_sched_stats *stats, cfb_err *err);
/* The next row for the worker of this seat, or false: none is left, or the run stops. Never waits. */
bool cfb_sched_next(cfb_seat_t *seat, size_t *task, size_t *row);
size_t cfb_sched_seat_number(const cfb_seat_t *seat); /* 0 .. task_workers * row_workers - 1 */

/* ---- the job ---- */

/* Counters that workers add to and a progress display reads at any time. */
typedef struct cfb_task_progress {
    const char *name;
    size_t total, done_before;           /* rows; those that the store had already */
    atomic_size_t done, failed, retries; /* of this call; done counts replies of any state, once they are committed */
} cfb_task_progress;

typedef struct cfb_progress {
    size_t n_tasks; /* set before `tasks` is; 0 until then */
    cfb_task_progress *tasks;
    atomic_int in_flight, limit, phase, ready; /* phase: cfb_adaptive_phase, or -1; ready: tasks may be read */
    atomic_llong completion_tokens, cost;      /* of the replies of this call; cost in micros, 0 without a price */
    atomic_size_t refused;                     /* calls that ended with 429 or 503 */
} cfb_progress;

/* What tokens cost, in millionths of a currency unit for a million tokens. */
typedef struct cfb_token_price {
    int64_t input, cached_input, output;
} cfb_token_price;

/* Limits of what may be spent; 0 = none. used_*: what was spent before this run, today, with the same key. */
typedef struct cfb_budget {
    int64_t max_requests, max_tokens, max_cost;
    int64_t used_requests, used_tokens, used_cost;
    const cfb_token_price *price; /* NULL: costs are unknown */
    /* Told about what was spent, about once a second and at the end; may be NULL. Called by one thread at a time. */
    void (*spent)(void *ctx, int64_t requests, int64_t prompt_tokens, int64_t completion_tokens, int64_t cost);
    void *ctx;
} cfb_budget;

/* Several processes that ask for the rows of one run together: each prepares it, the leader's store says what is pending, rows
 * are claimed from all of them, and the others' attempts go to the leader. team.h makes one. */
typedef struct cfb_generate_summary cfb_generate_summary;
typedef struct cfb_team_t cfb_team_t;
typedef struct cfb_team {
    cfb_team_t *ctx;
    bool leads;
    /* Each task, in order: pending[i] = 1 for rows that are to be asked, as the leader knows. digest: of all that decides
     * replies. ECONFLICT: a process reads other data. */
    cfb_code (*share)(cfb_team_t *t, const char *task, const char digest[65], unsigned char *pending, size_t n_rows,
                      cfb_err *err);
    /* After the last task. On the leader, attempts of others come to deliver, from one thread. */
    cfb_code (*begin)(cfb_team_t *t, size_t n_pending, void (*deliver)(void *to, size_t task, const cfb_store_attempt *a),
                      void *to, cfb_err *err);
    bool (*claim)(cfb_team_t *t, size_t *index); /* of all pending rows; false: none is left */
    cfb_code (*record)(cfb_team_t *t, size_t task, const cfb_store_attempt *a, cfb_err *err); /* not on the leader */
    cfb_code (*wait)(cfb_team_t *t, cfb_err *err); /* leader: until all attempts have come; the first error of another process */
    /* At the very end: the others' counts go to the leader's sum. */
    void (*report)(cfb_team_t *t, cfb_generate_summary *sum, cfb_code rc, const cfb_err *err);
} cfb_team;

typedef struct cfb_generate_opts {
    const cfb_suite_t *suite;
    const size_t *tasks; /* (n_tasks) indices of the tasks to run, in the suite's order */
    size_t n_tasks;
    cfb_shot shot;
    size_t limit;                /* first rows of each task; 0 = all */
    cfb_shard shard;             /* only the rows of this shard; count 0 = all */
    cfb_store_t *const *earlier; /* (n_earlier) other stores of the same configuration: replies in them are taken over */
    size_t n_earlier;
    cfb_client_opts client;
    int max_tokens;          /* 0 = the task's own */
    double max_tokens_scale; /* times the task's own; 0 = 1 */
    bool keep_reasoning;     /* what a reasoning model thinks aloud in its answer is scored with it */
    /* pace */
    cfb_limits limits;
    bool adaptive;
    const cfb_team *team;          /* NULL: alone */
    const cfb_pace_source *source; /* NULL, or who shares one pace among several processes */
    int task_workers, row_workers; /* as upstream: so many tasks side by side, so many calls in each */
    int in_flight;                 /* calls at once, over all tasks; 0 = task_workers (at most n_tasks) * row_workers */
    int calls_per_thread;          /* 0 = chosen; 1 = a thread for each call */
    /* failures */
    int max_retries;  /* of a row in this run */
    int max_attempts; /* of a row over all runs; 0 = no limit */
    double retry_base_s, retry_max_s;
    double row_deadline_s; /* from a row's first call in this run; 0 = none */
    double patience_s;     /* how long a server that has answered before may be gone */
    int64_t max_failures;  /* failed rows that end the run; -1 = any number */
    double max_failure_share;
    cfb_budget budget;
    cfb_cache_t *cache; /* replies of earlier runs; NULL: none. A hit takes no permit and no start */
    uint64_t seed;
    cfb_store_t *store;
    cfb_stop *stop;  /* when on: start nothing more; calls under way finish. May be NULL */
    cfb_stop *abort; /* when on: give up the calls under way. May be NULL */
    double grace_s;  /* calls under way are given up so long after stop; negative = never */
    int64_t end_ns;  /* 0, or cfb_now_ns by which all calls must have ended: rows whose calls are expected to take longer
                        are not started; calls still under way then are given up after end_grace_s */
    double end_grace_s;
    const char *scratch;    /* folder for the temporary file; NULL: beside the store */
    cfb_progress *progress; /* may be NULL */
    /* Called once, before the first call, for each row (for a mock that must know the answers). May be NULL. */
    cfb_code (*on_row)(void *ctx, const cfb_task *task, cfb_str prompt, cfb_str response, cfb_err *err);
    void *on_row_ctx;
} cfb_generate_opts;

/* A row that got no reply. */
typedef struct cfb_failed_row {
    const char *task; /* borrowed from the suite */
    size_t row;
    char id[64]; /* cut if longer */
    cfb_fail fail;
    char message[256];
} cfb_failed_row;
#define CFB_FAILED_ROWS_KEPT 20

struct cfb_generate_summary {
    size_t n_rows, n_done_before, n_done, n_failed; /* n_failed: asked in this call, without a reply at its end */
    size_t n_given_up;                              /* not asked: they used up max_attempts before */
    size_t n_unfit;                                 /* not asked: they would not have been answered before end_ns */
    size_t n_calls, n_retries, n_from_cache;
    size_t n_truncated, n_thought; /* replies of this call that met the token limit; and those of them without any answer */
    size_t n_fail[CFB_FAIL_COUNT]; /* failed rows by class of their last attempt */
    size_t n_failed_calls[CFB_FAIL_COUNT];       /* calls by class */
    cfb_failed_row failed[CFB_FAILED_ROWS_KEPT]; /* the first ones, by task and row */
    size_t n_failed_kept;
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens,
        cost;                     /* of the replies of this call; cost -1: unknown */
    double latency_s[5];          /* of the replies: p50, p90, p99, p99.9, longest; within 2 % (NaN without one) */
    double waited_s;              /* all calls together, for the rate limiter */
    double asking_cpu_s;          /* CPU time of the process while it asked */
    double elapsed_s, asking_s;   /* the whole; from the first call on */
    int in_flight, in_flight_end; /* the most that was allowed; the limit at the end */
    cfb_sched_stats sched;
    cfb_limiter limiter;
};

/* Asks for every row that has no reply in the store. A failing row never stops the others; it is recorded with its class,
 * counted, listed with task and row, and asked again by the next call. Errors: EAUTH/ENET/EPROTOCOL when the server cannot be
 * used at all (wrong key, no server, no API, gone for longer than patience_s) or too many rows fail; ENOSPACE/EIO when replies
 * cannot be stored; EINTERRUPTED (stop, or a budget is used up: the message says which); those of reading the data. summary is
 * filled in every case. */
CFB_MUST_CHECK cfb_code cfb_generate(const cfb_generate_opts *opts, cfb_generate_summary *summary, cfb_err *err);

/* Prepares the store as cfb_generate does, and calls fn for each row without a reply, in order, instead of asking: for requests
 * that go another way. Strings are valid during the call. Errors: those of preparing; the first of fn. */
typedef struct cfb_pending_row {
    size_t task; /* index in opts->tasks */
    const cfb_task *def;
    int64_t task_id; /* in the store */
    size_t row;
    cfb_str id, key, prompt;
    int max_tokens;
} cfb_pending_row;
typedef cfb_code (*cfb_pending_fn)(void *ctx, const cfb_pending_row *r, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_generate_pending(const cfb_generate_opts *opts, cfb_pending_fn fn, void *ctx, cfb_err *err);
/* How a run with so many rows to ask would spread its calls: outer x inner threads with up to calls_each calls. Pure. */
typedef struct cfb_generate_shape {
    int outer, inner, in_flight;
    size_t calls_each;
} cfb_generate_shape;
cfb_generate_shape cfb_generate_plan_shape(const cfb_generate_opts *opts, size_t n_pending);
/* The longest reply that is asked for, in tokens: max_tokens, or, if that is 0, the task's own times scale (0 counts as 1). */
int cfb_generate_reply_limit(int max_tokens, double scale, const cfb_task *task);
/* The store's attempt for a reply to a row: state, output after post-processing, tokens. Strings borrow from r. */
void cfb_generate_attempt(const cfb_generate_opts *opts, const cfb_task *task, int64_t task_id, size_t row,
                          const cfb_chat_reply *r, cfb_store_attempt *out);

#ifdef __cplusplus
}
#endif
#endif
