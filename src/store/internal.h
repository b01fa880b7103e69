/* internal.h - the run store's connection, shared by open.c (files, schema), write.c and read.c. */
#ifndef CFB_STORE_INTERNAL_H
#define CFB_STORE_INTERNAL_H

#include "cfbench/store.h"

#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>

struct queued; /* an attempt that waits for its commit: write.c */

struct cfb_store {
    sqlite3 *db;
    cfb_store_mode mode;
    char path[PATH_MAX];
    int lock_fd;
    int reserve_fd;     /* -1 once the reserve was given back */
    cfb_arena_t *arena; /* setting values that were lent out */
    sqlite3_stmt *insert_attempt, *insert_reply;
    pthread_mutex_t queue_lock, db_lock;
    struct queued *queue, **queue_tail;
};

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
