/* internal.h - the run store's connection, shared by open.c (files, schema), write.c and read.c. */
#ifndef CFB_STORE_INTERNAL_H
#define CFB_STORE_INTERNAL_H

#include "cfbench/store.h"

#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>

struct queued; /* an attempt or sample that waits for its commit: queue.c */

/* rows and replies are found by one number: a table with a primary key of its own keeps large rows in the leaf, an index does not
 */
#define CFB_STORE_BUSY_MS 10000
#define ROW_ID(task_id, row) ((sqlite3_int64)((uint64_t)(task_id) << 32 | (uint32_t)(row)))

struct cfb_store {
    sqlite3 *db;
    cfb_store_mode mode; /* READ or WRITE */
    bool alone;          /* exclusive: no shared memory */
    char path[PATH_MAX];
    int lock_fd;
    int reserve_fd;     /* -1 once the reserve was given back */
    cfb_arena_t *arena; /* setting values that were lent out */
    bool loading;       /* between load_begin and load_end, without the log */
    sqlite3_stmt *insert_attempt, *insert_reply, *insert_sample;

    /* the queue and its writer */
    pthread_mutex_t lock;
    pthread_cond_t work, progress; /* work: something was queued, or quit; progress: something was committed */
    pthread_t writer;
    bool has_writer, quit;
    struct queued *queue, **queue_tail;
    size_t queued_bytes;
    uint64_t n_queued, n_committed; /* items, since the store was opened */
    cfb_err failed;                 /* of the first commit that failed */
};

/* queue.c: ends the writer thread after it has written all that is queued. */
void cfb_store__stop_writer(cfb_store_t *s);

/* Turns SQLite's error into ours: what failed, the store's path, SQLite's words. */
cfb_code cfb_store__sql_error(cfb_store_t *s, const char *what, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store__exec(cfb_store_t *s, const char *sql, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store__prepare(cfb_store_t *s, const char *sql, sqlite3_stmt **out, cfb_err *err);
/* Runs a statement that gives no rows, then resets it. */
CFB_MUST_CHECK cfb_code cfb_store__step_done(cfb_store_t *s, sqlite3_stmt *q, cfb_err *err);
/* BEGIN IMMEDIATE / COMMIT, or ROLLBACK when rc is an error. Returns the first error. */
CFB_MUST_CHECK cfb_code cfb_store__begin(cfb_store_t *s, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_store__end(cfb_store_t *s, cfb_code rc, cfb_err *err);
/* Gives the reserve's space back to the file system. Returns false if it was given back before. */
bool cfb_store__release_reserve(cfb_store_t *s);

void cfb_store__bind_str(sqlite3_stmt *q, int index, cfb_str v);
cfb_str cfb_store__column_str(sqlite3_stmt *q, int column);

#endif
