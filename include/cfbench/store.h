/* store.h - the run store: one SQLite file that holds a run's configuration, rows, attempts, replies and scores.
 *
 * A reply is committed (WAL, synchronous=FULL) before it counts as done. Calls from many threads share transactions: whoever
 * holds the lock commits what all others have queued. docs/run-store.md describes the tables. */
#ifndef CFBENCH_STORE_H
#define CFBENCH_STORE_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_store cfb_store_t;

typedef enum cfb_store_mode { CFB_STORE_READ, CFB_STORE_WRITE } cfb_store_mode;

/* Opens a run store, or creates it (WRITE). WRITE takes the run's lock file: a second writer gets EACCES with the first one's
 * process id. WRITE also keeps a small reserve file beside it, given back to the file system when the disk is full, so that
 * replies under way can still be committed; ENOSPACE if there is not even that much room.
 * Errors: ENOTFOUND, EACCESS, EDATA (not a run store, or of a newer version), EIO. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_store_open(const char *path, cfb_store_mode mode, cfb_store_t **out, cfb_err *err);
/* Commits what is left, checkpoints, and frees. Errors are reported, the store is freed in every case. NULL is fine. */
cfb_code cfb_store_close(cfb_store_t *s, cfb_err *err);
bool cfb_store_is_run_store(const char *path); /* by content */

/* ---- configuration ---- */

typedef struct cfb_store_setting {
    const char *name; /* option name without dashes, such as "model"; with a dot in it, something that is no option */
    const char *value;
} cfb_store_setting;
/* Writes the settings into a new store (or one without a single reply, which then starts again), or compares them with those of
 * an old one: ECONFLICT names the first that differs and both values. */
CFB_MUST_CHECK cfb_code cfb_store_bind(cfb_store_t *s, const cfb_store_setting *settings, size_t n, cfb_err *err);
/* Changes one setting of a store that has it, without comparing. */
CFB_MUST_CHECK cfb_code cfb_store_setting_put(cfb_store_t *s, const char *name, const char *value, cfb_err *err);
/* A setting's value, borrowed for the store's life, or NULL. */
const char *cfb_store_setting_get(cfb_store_t *s, const char *name);

/* ---- tasks and rows ---- */

typedef struct cfb_store_task {
    const char *name, *kind, *metric, *label_set;
    const char *definition; /* the task as JSON, for scoring without the suite's files */
} cfb_store_task;
/* Adds a task, or finds it by name. *task_id is its number in the store. */
CFB_MUST_CHECK cfb_code cfb_store_put_task(cfb_store_t *s, const cfb_store_task *t, int64_t *task_id, cfb_err *err);

typedef struct cfb_store_row {
    int64_t row; /* 0-based number in the task's data */
    cfb_str id;
    cfb_str key; /* hash of everything that decides the reply: prompt, model, parameters */
    cfb_str input, instruction, response;
} cfb_store_row;
/* Adds rows in one transaction. A row that is there with another key is ECONFLICT (its data or prompt changed). */
CFB_MUST_CHECK cfb_code cfb_store_put_rows(cfb_store_t *s, int64_t task_id, const cfb_store_row *rows, size_t n, cfb_err *err);
/* done[i] = 1 for each of the rows 0..n-1 of the task that has a reply. */
CFB_MUST_CHECK cfb_code cfb_store_get_done(cfb_store_t *s, int64_t task_id, unsigned char *done, size_t n, cfb_err *err);

/* ---- attempts and replies ---- */

typedef struct cfb_store_attempt {
    int64_t task_id, row;
    int64_t started_wall_ms, wait_us, latency_us;
    long http_status;
    const char *fail;    /* class name, "none" for success */
    const char *message; /* of a failure, else "" */
    /* of a success */
    const char *state; /* "ok", "empty", "truncated", "filtered"; NULL for a failure */
    const char *finish_reason;
    cfb_str content, output;
    int64_t prompt_tokens, completion_tokens; /* -1 = not told */
} cfb_store_attempt;
/* Records an attempt and, with a state, its reply. Returns after the commit. A second reply for a row is recorded as an
 * attempt only (the first one stays). Threads: safe from any number. */
CFB_MUST_CHECK cfb_code cfb_store_put_attempt(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err);

/* ---- reading back ---- */

typedef struct cfb_store_result {
    int64_t row;
    cfb_str id, input, instruction, response;
    const char *state;       /* "ok" ... "filtered", or "failed" (asked without success, or not asked yet) */
    cfb_str content, output; /* null strings without a reply */
    int64_t n_attempts;
    const char *fail, *message; /* of the last attempt; "none" without one */
    int64_t latency_us, prompt_tokens, completion_tokens;
} cfb_store_result;
typedef cfb_code (*cfb_store_result_fn)(void *ctx, const cfb_store_result *r, cfb_err *err);
/* Calls fn for each row of a task in row order; strings are valid during the call only. Stops at fn's first error. */
CFB_MUST_CHECK cfb_code cfb_store_each_result(cfb_store_t *s, int64_t task_id, cfb_store_result_fn fn, void *ctx, cfb_err *err);
typedef cfb_code (*cfb_store_task_fn)(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store_each_task(cfb_store_t *s, cfb_store_task_fn fn, void *ctx, cfb_err *err);

/* Scores of rows 0..n-1 under a metric's full name, replacing older ones of that name. rows[i] is the row's number. */
CFB_MUST_CHECK cfb_code cfb_store_put_scores(cfb_store_t *s, int64_t task_id, const char *metric, const int64_t *rows,
                                             const double *scores, size_t n, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
