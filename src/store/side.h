/* side.h - small SQLite files beside the runs that several processes share: the response cache and the usage ledger. */
#ifndef CFB_STORE_SIDE_H
#define CFB_STORE_SIDE_H

#include "cfbench/buf.h"

#include <sqlite3.h>
#include <stdbool.h>

typedef struct cfb_side_kind {
    const char *what;   /* "response cache" */
    const char *remedy; /* what to do about a damaged one */
    int application_id; /* sqlite3's header field that tells one kind of file from another */
    int version;
    const char *schema;
} cfb_side_kind;

/* Opens the file, or makes it and its folder (create). WAL; a lock of another process is waited for. The connection is used by
 * one thread at a time. Errors: ENOTFOUND (no file, and not create), EACCESS, EDATA (another kind of file, a damaged or newer
 * one), EIO, ENOMEM. Owns: *db, closed with sqlite3_close. */
CFB_MUST_CHECK cfb_code cfb_side_open(const cfb_side_kind *k, const char *path, bool create, sqlite3 **db, cfb_err *err);
/* The folder that the file is to be in. */
CFB_MUST_CHECK cfb_code cfb_side_make_folder(const char *path, cfb_err *err);
/* SQLite's error as ours: the file, what failed, SQLite's words, and what to do about damage. */
cfb_code cfb_side_error(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *doing, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_side_exec(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *sql, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_side_prepare(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *sql,
                                         sqlite3_stmt **out, cfb_err *err);
/* Runs a statement that gives no rows, then resets it. */
CFB_MUST_CHECK cfb_code cfb_side_step(const cfb_side_kind *k, const char *path, sqlite3 *db, sqlite3_stmt *q, cfb_err *err);
/* The first column of the first row of a query, as a number. */
CFB_MUST_CHECK cfb_code cfb_side_number(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *sql, int64_t *out,
                                        cfb_err *err);
/* COMMIT, or ROLLBACK when rc is an error. Returns the first error. */
CFB_MUST_CHECK cfb_code cfb_side_end(const cfb_side_kind *k, const char *path, sqlite3 *db, cfb_code rc, cfb_err *err);

#endif
