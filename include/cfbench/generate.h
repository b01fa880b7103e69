/* generate.h - asking the model: the nested scheduler, and the job that runs on it (prompt, limiter, call, retries, store). */
#ifndef CFBENCH_GENERATE_H
#define CFBENCH_GENERATE_H

#include "cfbench/client.h"
#include "cfbench/store.h"
#include "cfbench/suite.h"

#include <stdatomic.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the nested scheduler: tasks side by side (level 1), rows of a task side by side (level 2). It calls back for each row and
 * knows nothing of HTTP or of stores. ---- */

typedef struct cfb_sched {
    size_t n_tasks;
    const size_t *n_rows; /* (n_tasks) */
    int task_workers;     /* outer threads; at most n_tasks are used */
    int row_workers;      /* inner threads of each outer thread */
    void *ctx;
    /* Each inner thread makes its state once, and frees it at the end. */
    cfb_code (*worker_new)(void *ctx, void **worker, cfb_err *err);
    void (*worker_free)(void *ctx, void *worker);
    /* One row. A non-OK code stops the run: rows under way finish, no new one starts. */
    cfb_code (*row)(void *ctx, void *worker, size_t task, size_t row, cfb_err *err);
    cfb_stop *stop; /* when on, no new row starts; may be NULL */
} cfb_sched;

typedef struct cfb_sched_stats {
    int outer_threads, inner_threads_min, inner_threads_max; /* what OpenMP really gave */
    size_t rows_started, rows_helped;                        /* helped: done by a worker of another task */
} cfb_sched_stats;

/* Runs all rows. A worker's home is its team's task; when that is empty the team's workers take up the next unstarted task, and
 * when there is none they help the task with most rows left. Each row is handed out exactly once.
 * Errors: that of the first failing callback (lowest task and row among those that failed); EINTERRUPTED if stop is on.
 * Threads: sets omp_set_max_active_levels(2) and omp_set_dynamic(0); call it outside parallel regions. */
CFB_MUST_CHECK cfb_code cfb_sched_run(const cfb_sched *s, cfb_sched_stats *stats, cfb_err *err);

/* ---- the job ---- */

/* Counters that workers add to and a progress display reads at any time. */
typedef struct cfb_task_progress {
    const char *name;
    size_t total, done_before;           /* rows; those that the store had already */
    atomic_size_t done, failed, retries; /* of this call; done counts replies of any state */
} cfb_task_progress;

typedef struct cfb_progress {
    size_t n_tasks; /* set before `tasks` is; 0 until then */
    cfb_task_progress *tasks;
    atomic_int in_flight, ready; /* ready: tasks may be read */
} cfb_progress;

typedef struct cfb_generate_opts {
    const cfb_suite_t *suite;
    const size_t *tasks; /* (n_tasks) indices of the tasks to run, in the suite's order */
    size_t n_tasks;
    cfb_shot shot;
    size_t limit; /* first rows of each task; 0 = all */
    cfb_client_opts client;
    int max_tokens; /* 0 = the task's own */
    double api_rate_limit_s;
    int max_retries;
    double retry_base_s, retry_max_s;
    int task_workers, row_workers;
    uint64_t seed;
    cfb_store_t *store;
    cfb_stop *stop;         /* when on: start nothing more; calls under way finish. May be NULL */
    cfb_progress *progress; /* may be NULL */
    /* Called once, before the first call, for each row that will be asked (for a mock that must know the answers). May be NULL.
     */
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

typedef struct cfb_generate_summary {
    size_t n_rows, n_done_before, n_done, n_failed; /* n_failed: asked in this call, without a reply at its end */
    size_t n_calls, n_retries;
    size_t n_fail[CFB_FAIL_COUNT];               /* failed rows by class of their last attempt */
    cfb_failed_row failed[CFB_FAILED_ROWS_KEPT]; /* the first ones, by task and row */
    size_t n_failed_kept;
    double elapsed_s;
    cfb_sched_stats sched;
    cfb_limiter limiter;
} cfb_generate_summary;

/* Asks for every row that has no reply in the store. A failing row never stops the others; it is recorded with its class,
 * counted, listed with task and row, and asked again by the next call. Errors: EAUTH/ENET/EPROTOCOL when the server cannot be
 * used at all (wrong key, no server, no API); ENOSPACE/EIO when replies cannot be stored; EINTERRUPTED; those of reading the
 * data. summary is filled in every case. */
CFB_MUST_CHECK cfb_code cfb_generate(const cfb_generate_opts *opts, cfb_generate_summary *summary, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
