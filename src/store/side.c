#include "store/side.h"
#include "cfbench/base.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define BUSY_MS 10000

cfb_code cfb_side_error(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *doing, cfb_err *err) {
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM, ext = db ? sqlite3_extended_errcode(db) : 0;
    int system_errno = db ? sqlite3_system_errno(db) : 0;
    const char *words = db ? sqlite3_errmsg(db) : "out of memory";
    switch (code) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return cfb_err_set(err, CFB_EDATA, "%s: not a %s, or a damaged one (%s); %s", path, k->what, words, k->remedy);
    case SQLITE_FULL: return cfb_err_set(err, CFB_ENOSPACE, "%s: cannot %s: no space left on the disk", path, doing);
    case SQLITE_BUSY: return cfb_err_set(err, CFB_EACCESS, "%s: cannot %s: another program keeps it locked", path, doing);
    case SQLITE_NOMEM: return cfb_err_set(err, CFB_ENOMEM, "%s: cannot %s: out of memory", path, doing);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return cfb_err_set(err, CFB_EACCESS, "%s: cannot %s: %s (SQLite %d)", path, doing, words, ext);
    default: break;
    }
    if (code == SQLITE_IOERR && (system_errno == ENOSPC || system_errno == EDQUOT))
        return cfb_err_set(err, CFB_ENOSPACE, "%s: cannot %s: no space left on the disk", path, doing);
    return cfb_err_set(err, CFB_EIO, "%s: cannot %s: %s (SQLite %d)", path, doing, words, ext);
}

cfb_code cfb_side_exec(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *sql, cfb_err *err) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? CFB_OK : cfb_side_error(k, path, db, "write it", err);
}

cfb_code cfb_side_prepare(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *sql, sqlite3_stmt **out,
                          cfb_err *err) {
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK
               ? CFB_OK
               : cfb_side_error(k, path, db, "read it", err);
}

cfb_code cfb_side_step(const cfb_side_kind *k, const char *path, sqlite3 *db, sqlite3_stmt *q, cfb_err *err) {
    int step = sqlite3_step(q);
    cfb_code rc = step == SQLITE_DONE || step == SQLITE_ROW ? CFB_OK : cfb_side_error(k, path, db, "write it", err);
    sqlite3_reset(q);
    return rc;
}

cfb_code cfb_side_number(const cfb_side_kind *k, const char *path, sqlite3 *db, const char *sql, int64_t *out, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_side_prepare(k, path, db, sql, &q, err);
    if (rc == CFB_OK && sqlite3_step(q) != SQLITE_ROW) rc = cfb_side_error(k, path, db, "read it", err);
    if (rc == CFB_OK) *out = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_side_end(const cfb_side_kind *k, const char *path, sqlite3 *db, cfb_code rc, cfb_err *err) {
    if (rc == CFB_OK) rc = cfb_side_exec(k, path, db, "COMMIT", err);
    if (rc != CFB_OK && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* SQLite's own waiting for locks does not cover the change to WAL: of two processes that make the file together one is refused.
 */
static cfb_code set_wal(const cfb_side_kind *k, const char *path, sqlite3 *db, cfb_err *err) {
    int64_t give_up_ns = cfb_now_ns() + (int64_t)BUSY_MS * 1000000;
    for (;;) {
        if (sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) == SQLITE_OK) return CFB_OK;
        if ((sqlite3_errcode(db) & 0xff) != SQLITE_BUSY || cfb_now_ns() > give_up_ns)
            return cfb_side_error(k, path, db, "write it", err);
        cfb_sleep_until_ns(cfb_now_ns() + 5000000, NULL);
    }
}

static cfb_code make_schema(const cfb_side_kind *k, const char *path, sqlite3 *db, cfb_err *err) {
    char sql[128];
    int64_t tables = 0;
    /* before the first page is written, or it has no effect; lets a pruned file become smaller */
    cfb_code rc = cfb_side_exec(k, path, db, "PRAGMA auto_vacuum=INCREMENTAL", err);
    if (rc == CFB_OK) rc = set_wal(k, path, db, err);
    if (rc == CFB_OK) rc = cfb_side_exec(k, path, db, "BEGIN IMMEDIATE", err);
    if (rc != CFB_OK) return rc;
    rc = cfb_side_number(k, path, db, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc == CFB_OK && tables == 0) { /* else another process was first */
        snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d", k->application_id, k->version);
        rc = cfb_side_exec(k, path, db, k->schema, err);
        if (rc == CFB_OK) rc = cfb_side_exec(k, path, db, sql, err);
    }
    return cfb_side_end(k, path, db, rc, err);
}

static cfb_code check_kind(const cfb_side_kind *k, const char *path, bool create, sqlite3 *db, cfb_err *err) {
    int64_t app = 0, version = 0, tables = 0;
    cfb_code rc = cfb_side_number(k, path, db, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc == CFB_OK) rc = cfb_side_number(k, path, db, "PRAGMA application_id", &app, err);
    if (rc == CFB_OK && tables == 0 && app == 0 && create) {
        rc = make_schema(k, path, db, err);
        if (rc == CFB_OK) rc = cfb_side_number(k, path, db, "PRAGMA application_id", &app, err);
    }
    if (rc == CFB_OK) rc = cfb_side_number(k, path, db, "PRAGMA user_version", &version, err);
    if (rc != CFB_OK) return rc;
    if (app != k->application_id) return cfb_err_set(err, CFB_EDATA, "%s: a database, but not a %s", path, k->what);
    if (version > k->version)
        return cfb_err_set(err, CFB_EDATA, "%s: made by a newer cfbench (version %lld of a %s, this one reads up to %d)", path,
                           (long long)version, k->what, k->version);
    return CFB_OK;
}

cfb_code cfb_side_make_folder(const char *path, cfb_err *err) {
    char dir[PATH_MAX];
    const char *base = cfb_path_base(path);
    if (base - path <= 1) return CFB_OK;
    int n = snprintf(dir, sizeof dir, "%.*s", (int)(base - path - 1), path);
    if (n < 0 || (size_t)n >= sizeof dir) return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", path);
    return cfb_path_is_dir(dir) ? CFB_OK : cfb_mkdir_p(dir, err);
}

cfb_code cfb_side_open(const cfb_side_kind *k, const char *path, bool create, sqlite3 **out, cfb_err *err) {
    sqlite3 *db = NULL;
    if (path[0] == '\0') return cfb_err_set(err, CFB_ECONFIG, "the %s has no path", k->what);
    if (cfb_path_is_dir(path)) return cfb_err_set(err, CFB_EACCESS, "%s is a folder; a %s is a file", path, k->what);
    if (!create && !cfb_path_exists(path)) return cfb_err_set(err, CFB_ENOTFOUND, "there is no %s %s", k->what, path);
    cfb_code rc = create ? cfb_side_make_folder(path, err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) rc = cfb_side_error(k, path, db, "open it", err);
    if (rc == CFB_OK) sqlite3_busy_timeout(db, BUSY_MS);
    if (rc == CFB_OK) rc = check_kind(k, path, create, db, err);
    /* A power cut may take back the last moments, never damage the file: nothing here is the only copy of a reply. */
    if (rc == CFB_OK) rc = cfb_side_exec(k, path, db, "PRAGMA synchronous=NORMAL", err);
    if (rc != CFB_OK) {
        sqlite3_close(db);
        return rc;
    }
    *out = db;
    return CFB_OK;
}
