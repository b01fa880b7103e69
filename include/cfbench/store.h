/* store.h - the run store: one SQLite file that holds a run's configuration, rows, attempts, replies and scores.
 *
 * A reply is committed (WAL, synchronous=FULL) before it counts as done. Attempts from many threads go through one queue to one
 * writer thread, which commits all that has come while it committed the ones before. docs/run-store.md describes the tables. */
#ifndef CFBENCH_STORE_H
#define CFBENCH_STORE_H

#include "cfbench/buf.h"

#include <stdatomic.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_store cfb_store_t;

/* SHARED lets other processes of this machine read the store meanwhile; that needs shared memory (a file -shm) and locks. ALONE
 * needs neither: SQLite's exclusive mode, for network file systems. WRITE is ALONE on a network file system, else SHARED. */
typedef enum cfb_store_mode { CFB_STORE_READ, CFB_STORE_WRITE, CFB_STORE_WRITE_SHARED, CFB_STORE_WRITE_ALONE } cfb_store_mode;

/* Opens a run store, or creates it (WRITE). WRITE takes the run's lock file: a second writer gets EACCES with the first one's
 * process id. WRITE also keeps a small reserve file beside it, given back to the file system when the disk is full, so that
 * replies under way can still be committed; ENOSPACE if there is not even that much room.
 * Errors: ENOTFOUND, EACCESS, EDATA (not a run store, or of a newer version), EIO. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_store_open(const char *path, cfb_store_mode mode, cfb_store_t **out, cfb_err *err);
/* Commits what is left, checkpoints, and frees. Errors are reported, the store is freed in every case. NULL is fine. */
cfb_code cfb_store_close(cfb_store_t *s, cfb_err *err);
bool cfb_store_is_run_store(const char *path);    /* by content */
const char *cfb_store_path(const cfb_store_t *s); /* borrowed for the store's life */

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
/* Calls fn for each setting, by name. Strings are valid during the call only. */
typedef cfb_code (*cfb_store_setting_fn)(void *ctx, const char *name, const char *value, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store_each_setting(cfb_store_t *s, cfb_store_setting_fn fn, void *ctx, cfb_err *err);

/* Notes say how a run was made and decide no reply: the table `meta`. note_put replaces an older value, or takes it away (NULL).
 * note_get: borrowed for the store's life, or NULL. */
CFB_MUST_CHECK cfb_code cfb_store_note_put(cfb_store_t *s, const char *name, const char *value, cfb_err *err);
const char *cfb_store_note_get(cfb_store_t *s, const char *name);
int cfb_store_schema_version(void);

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
/* Around the cfb_store_put_rows of a run: faster while the store has no reply. No attempt may be recorded between them. */
CFB_MUST_CHECK cfb_code cfb_store_load_begin(cfb_store_t *s, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store_load_end(cfb_store_t *s, cfb_err *err);
/* done[i] = 1 for each of the rows 0..n-1 of the task that has a reply. failed (n, may be NULL): how many attempts of the row
 * have failed, over all runs; those of class "connect" reached no server and are not counted. */
CFB_MUST_CHECK cfb_code cfb_store_get_done(cfb_store_t *s, int64_t task_id, unsigned char *done, uint32_t *failed, size_t n,
                                           cfb_err *err);
/* Takes over the replies that another store (open for reading) has to rows of this task under the same keys. Errors: those of
 * reading and writing. */
CFB_MUST_CHECK cfb_code cfb_store_adopt(cfb_store_t *s, int64_t task_id, const char *task, cfb_store_t *from, cfb_err *err);

/* ---- shards of a run ---- */

#define CFB_STORE_NOTE_ROWS "rows." /* and the task's name: how many rows the task has over all shards */
typedef struct cfb_merge_summary {
    size_t n_stores, n_tasks;
    int64_t n_rows, n_replies, n_copies, n_failures; /* copies: replies that more than one store had, one call each */
} cfb_merge_summary;
/* Joins stores into a new one at path: rows, replies and failures of all; rows in the order of the data, tasks in that of the
 * first store. The setting "shard" and scores are left out, what was sampled once a second is added up. Errors: ECONFLICT: the
 * stores differ in another setting, in a task's definition, or in a row; two calls have answered one row. EDATA: a store is of no
 * shard, or rows are missing. Nothing is under path unless all went well. EUSAGE: path is there already, and force is false.
 * Memory: 1 bit for each row. */
CFB_MUST_CHECK cfb_code cfb_store_merge(const char *path, bool force, const char *const *stores, size_t n, cfb_merge_summary *out,
                                        cfb_err *err);

/* ---- attempts and replies ---- */

typedef struct cfb_store_attempt {
    int64_t task_id, row;
    int64_t started_wall_ms, wait_us, latency_us, ttft_us; /* ttft_us: -1 = not streamed */
    long http_status;
    const char *fail;    /* class name, "none" for success */
    const char *message; /* of a failure, else "" */
    int64_t endpoint;    /* index of the base URL */
    bool from_cache;
    /* of a success */
    const char *state; /* "ok", "empty", "truncated", "filtered"; NULL for a failure */
    const char *finish_reason;
    cfb_str content, output, reasoning;                                        /* reasoning: null if the model sent none */
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens; /* -1 = not told */
    int64_t cost; /* in millionths of the price file's currency; -1 = unknown */
} cfb_store_attempt;
#define CFB_STORE_ATTEMPT_INIT                                                                                              \
    {                                                                                                                       \
        .ttft_us = -1, .fail = "none", .message = "", .prompt_tokens = -1, .completion_tokens = -1, .reasoning_tokens = -1, \
        .cached_tokens = -1, .cost = -1                                                                                     \
    }
/* Records an attempt and, with a state, its reply. Returns after the commit. A second reply for a row is recorded as an
 * attempt only (the first one stays). Threads: safe from any number. */
CFB_MUST_CHECK cfb_code cfb_store_put_attempt(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err);
/* The same without waiting for the commit: a is copied. committed (may be NULL) is raised by one when the commit is through.
 * Waits only when more than CFB_STORE_QUEUE_BYTES are queued. An error is that of an earlier commit: what is queued is still
 * written if it can be. */
#define CFB_STORE_QUEUE_BYTES ((size_t)1 << 20)
CFB_MUST_CHECK cfb_code cfb_store_queue_attempt(cfb_store_t *s, const cfb_store_attempt *a, atomic_size_t *committed,
                                                cfb_err *err);
/* Waits until all that is queued is committed. Errors: that of any commit so far. */
CFB_MUST_CHECK cfb_code cfb_store_flush(cfb_store_t *s, cfb_err *err);

/* How a run went at one moment: a point of the report's time series. */
typedef struct cfb_store_sample {
    int64_t wall_ms;
    int64_t in_flight, limit;                     /* calls under way, and how many might be */
    int64_t n_done, n_failed_attempts, n_refused; /* since the run began */
    int64_t waited_us;                            /* by all calls, for the rate limiter, since the run began */
    const char *phase;                            /* of the adaptive limit, or "fixed" */
} cfb_store_sample;
/* Queued as attempts are. Errors of writing show up with the next attempt. */
void cfb_store_queue_sample(cfb_store_t *s, const cfb_store_sample *p);
typedef cfb_code (*cfb_store_sample_fn)(void *ctx, const cfb_store_sample *p, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store_each_sample(cfb_store_t *s, cfb_store_sample_fn fn, void *ctx, cfb_err *err);

/* ---- reading back ---- */

typedef struct cfb_store_result {
    int64_t row;
    cfb_str id, input, instruction, response;
    const char *state;       /* "ok" ... "filtered", or "failed" (asked without success, or not asked yet) */
    cfb_str content, output; /* null strings without a reply */
    int64_t n_attempts;
    const char *fail, *message; /* of the last attempt; "none" without one */
    cfb_str reasoning;          /* null if there is none */
    int64_t latency_us, ttft_us, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost;
    bool from_cache;
} cfb_store_result;
typedef cfb_code (*cfb_store_result_fn)(void *ctx, const cfb_store_result *r, cfb_err *err);
/* Calls fn for each row of a task in row order; strings are valid during the call only. Stops at fn's first error. */
CFB_MUST_CHECK cfb_code cfb_store_each_result(cfb_store_t *s, int64_t task_id, cfb_store_result_fn fn, void *ctx, cfb_err *err);
/* A call without its texts, for accounting. */
typedef struct cfb_store_call {
    int64_t task_id, row;
    int64_t started_ms, wait_us, latency_us, ttft_us; /* ttft_us: -1 = not streamed */
    const char *state;                                /* of a reply, else NULL */
    const char *fail; /* class of a failure; "none" for a reply, and for a second answer to a row (then state is NULL) */
    bool from_cache;
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost; /* -1 = not told; of failures always */
} cfb_store_call;
typedef cfb_code (*cfb_store_call_fn)(void *ctx, const cfb_store_call *c, cfb_err *err);
/* Calls fn for every call of the run: first the replies by task and row, then the failures in the order of their commits. Reads
 * no texts. Stops at fn's first error. */
CFB_MUST_CHECK cfb_code cfb_store_each_call(cfb_store_t *s, cfb_store_call_fn fn, void *ctx, cfb_err *err);
/* How many rows a task has. */
CFB_MUST_CHECK cfb_code cfb_store_count_rows(cfb_store_t *s, int64_t task_id, int64_t *n, cfb_err *err);
typedef cfb_code (*cfb_store_task_fn)(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store_each_task(cfb_store_t *s, cfb_store_task_fn fn, void *ctx, cfb_err *err);

/* Scores of rows 0..n-1 under a metric's full name, replacing older ones of that name. rows[i] is the row's number. */
CFB_MUST_CHECK cfb_code cfb_store_put_scores(cfb_store_t *s, int64_t task_id, const char *metric, const int64_t *rows,
                                             const double *scores, size_t n, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
