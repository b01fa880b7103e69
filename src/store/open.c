/* Opening and closing: the SQLite file, its lock, its reserve of disk space, and the schema. */
#include "cfbench/base.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x43464231 /* "CFB1": sqlite3's header field that tells run stores from other databases */
#define SCHEMA_VERSION 2
#define RESERVE_BYTES ((off_t)4 << 20)

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE task(task_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, metric TEXT NOT NULL,"
    " label_set TEXT NOT NULL, definition TEXT NOT NULL);"
    "CREATE TABLE row(row_id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL REFERENCES task, row INTEGER NOT NULL,"
    " id TEXT NOT NULL, key TEXT NOT NULL, input TEXT, instruction TEXT, response TEXT);"
    "CREATE TABLE answer(row_id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, row INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, wait_us INTEGER NOT NULL, latency_us INTEGER NOT NULL, ttft_us INTEGER,"
    " http_status INTEGER NOT NULL, endpoint INTEGER NOT NULL, from_cache INTEGER NOT NULL, state TEXT NOT NULL,"
    " finish_reason TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, reasoning_tokens INTEGER,"
    " cached_tokens INTEGER, cost INTEGER, content TEXT NOT NULL, own_output TEXT, reasoning TEXT);"
    "CREATE TABLE failure(failure_id INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, row INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, wait_us INTEGER NOT NULL, latency_us INTEGER NOT NULL, http_status INTEGER NOT NULL,"
    " endpoint INTEGER NOT NULL, fail TEXT NOT NULL, message TEXT NOT NULL);"
    "CREATE INDEX failure_of_row ON failure(task_id, row);"
    "CREATE VIEW attempt AS SELECT task_id, row, started_ms, wait_us, latency_us, http_status, endpoint, fail, message FROM "
    "failure"
    " UNION ALL SELECT task_id, row, started_ms, wait_us, latency_us, http_status, endpoint, 'none', '' FROM answer;"
    "CREATE VIEW reply AS SELECT task_id, row, state, finish_reason, content, coalesce(own_output, content) AS output, reasoning,"
    " prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost, started_ms, wait_us, latency_us, ttft_us,"
    " http_status, endpoint, from_cache, row_id FROM answer;"
    "CREATE TRIGGER reply_delete INSTEAD OF DELETE ON reply BEGIN DELETE FROM answer WHERE row_id = OLD.row_id; END;"
    "CREATE TABLE sample(sample_id INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, in_flight INTEGER NOT NULL,"
    " in_flight_limit INTEGER NOT NULL, done INTEGER NOT NULL, failed_attempts INTEGER NOT NULL, refused INTEGER NOT NULL,"
    " waited_us INTEGER NOT NULL, phase TEXT NOT NULL);"
    "CREATE TABLE score(task_id INTEGER NOT NULL, metric TEXT NOT NULL, row INTEGER NOT NULL, value REAL NOT NULL,"
    " PRIMARY KEY(task_id, metric, row)) WITHOUT ROWID;";

cfb_code cfb_store__sql_error(cfb_store_t *s, const char *what, cfb_err *err) {
    int code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;
    int ext = s->db ? sqlite3_extended_errcode(s->db) : 0;
    const char *words = s->db ? sqlite3_errmsg(s->db) : "out of memory";
    cfb_code rc = CFB_EIO;
    if (code == SQLITE_FULL ||
        (code == SQLITE_IOERR && s->db && (sqlite3_system_errno(s->db) == ENOSPC || sqlite3_system_errno(s->db) == EDQUOT)))
        return cfb_err_set(err, CFB_ENOSPACE,
                           "%s: cannot %s: no space left; free some and run again, nothing that was committed is lost", s->path,
                           what);
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) rc = CFB_EDATA;
    if (code == SQLITE_NOMEM) rc = CFB_ENOMEM;
    if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM || code == SQLITE_BUSY) rc = CFB_EACCESS;
    return cfb_err_set(err, rc, "%s: cannot %s: %s (SQLite %d)", s->path, what, words, ext);
}

cfb_code cfb_store__exec(cfb_store_t *s, const char *sql, cfb_err *err) {
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK) return CFB_OK;
    return cfb_store__sql_error(s, "write the run store", err);
}

cfb_code cfb_store__prepare(cfb_store_t *s, const char *sql, sqlite3_stmt **out, cfb_err *err) {
    if (sqlite3_prepare_v2(s->db, sql, -1, out, NULL) == SQLITE_OK) return CFB_OK;
    return cfb_store__sql_error(s, "read the run store", err);
}

cfb_code cfb_store__step_done(cfb_store_t *s, sqlite3_stmt *q, cfb_err *err) {
    int step = sqlite3_step(q);
    cfb_code rc = step == SQLITE_DONE || step == SQLITE_ROW ? CFB_OK : cfb_store__sql_error(s, "write the run store", err);
    sqlite3_reset(q);
    return rc;
}

cfb_code cfb_store__begin(cfb_store_t *s, cfb_err *err) { return cfb_store__exec(s, "BEGIN IMMEDIATE", err); }

cfb_code cfb_store__end(cfb_store_t *s, cfb_code rc, cfb_err *err) {
    if (rc == CFB_OK) rc = cfb_store__exec(s, "COMMIT", err);
    if (rc != CFB_OK && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

void cfb_store__bind_str(sqlite3_stmt *q, int index, cfb_str v) {
    if (v.ptr == NULL)
        sqlite3_bind_null(q, index);
    else
        sqlite3_bind_text64(q, index, v.ptr, v.len, SQLITE_STATIC, SQLITE_UTF8);
}

cfb_str cfb_store__column_str(sqlite3_stmt *q, int column) {
    if (sqlite3_column_type(q, column) == SQLITE_NULL) return CFB_STR_NULL;
    const char *p = (const char *)sqlite3_column_text(q, column);
    return (cfb_str){p, p ? (size_t)sqlite3_column_bytes(q, column) : 0};
}

/* One writer per run: two would ask for the same rows twice. The lock goes with the process, however it ends. */
static cfb_code take_lock(cfb_store_t *s, cfb_err *err) {
    char path[PATH_MAX + 8], text[32] = {0};
    snprintf(path, sizeof path, "%s.lock", s->path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->lock_fd < 0) return cfb_err_set_errno(err, errno, "cannot write %s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = errno == EWOULDBLOCK ? pread(s->lock_fd, text, sizeof text - 1, 0) : -1;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot lock %s", path);
        return cfb_err_set(err, CFB_EACCESS,
                           "%s: another cfbench (process %.20s) writes this run; wait for it, or use another --out", s->path,
                           n > 0 ? text : "unknown");
    }
    int n = snprintf(text, sizeof text, "%ld", (long)getpid());
    if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, text, (size_t)n, 0) != n)
        return cfb_err_set_errno(err, errno, "cannot write %s", path);
    return CFB_OK;
}

static void reserve_path(const cfb_store_t *s, char path[PATH_MAX + 16]) { snprintf(path, PATH_MAX + 16, "%s.reserve", s->path); }

/* Space that is ours already: when the disk fills up, replies that are on their way (and paid for) still find room. */
static cfb_code take_reserve(cfb_store_t *s, cfb_err *err) {
    char path[PATH_MAX + 16];
    reserve_path(s, path);
    s->reserve_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->reserve_fd < 0) return cfb_err_set_errno(err, errno, "cannot write %s", path);
    int e = posix_fallocate(s->reserve_fd, 0, RESERVE_BYTES);
    if (e == ENOSPC || e == EDQUOT) {
        unlink(path);
        return cfb_err_set_errno(err, e, "%s: there is no room for a run (%lld MiB are kept free for replies under way)", s->path,
                                 (long long)(RESERVE_BYTES >> 20));
    }
    return CFB_OK; /* file systems without fallocate: then there is no reserve, and nothing worse */
}

bool cfb_store__release_reserve(cfb_store_t *s) {
    char path[PATH_MAX + 16];
    if (s->reserve_fd < 0) return false;
    reserve_path(s, path);
    unlink(path);
    close(s->reserve_fd);
    s->reserve_fd = -1;
    return true;
}

static cfb_code read_pragma(cfb_store_t *s, const char *sql, int64_t *out, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, sql, &q, err);
    if (rc == CFB_OK) {
        if (sqlite3_step(q) == SQLITE_ROW)
            *out = sqlite3_column_int64(q, 0);
        else
            rc = cfb_store__sql_error(s, "read the run store", err);
    }
    sqlite3_finalize(q);
    return rc;
}

static cfb_code create_schema(cfb_store_t *s, cfb_err *err) {
    char sql[256], now[24];
    cfb_format_utc(cfb_wall_ms(), now);
    cfb_code rc = cfb_store__begin(s, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_store__exec(s, schema, err);
    snprintf(sql, sizeof sql, "INSERT INTO meta VALUES('created_at','%s'); PRAGMA application_id=%d; PRAGMA user_version=%d", now,
             APPLICATION_ID, SCHEMA_VERSION);
    if (rc == CFB_OK) rc = cfb_store__exec(s, sql, err);
    rc = cfb_store__end(s, rc, err);
    /* the file itself must show whose it is, not only its log: cfb_store_is_run_store reads its head */
    return rc == CFB_OK ? cfb_store__exec(s, "PRAGMA wal_checkpoint(TRUNCATE)", err) : rc;
}

/* Only once the file is known to be ours, or empty: this writes to it. */
static cfb_code prepare_writing(cfb_store_t *s, cfb_err *err) {
    return cfb_store__exec(
        s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-16384", err);
}

static cfb_code check_schema(cfb_store_t *s, cfb_err *err) {
    int64_t app = 0, version = 0, tables = 0;
    cfb_code rc = read_pragma(s, "PRAGMA application_id", &app, err);
    if (rc == CFB_OK) rc = read_pragma(s, "PRAGMA user_version", &version, err);
    if (rc == CFB_OK) rc = read_pragma(s, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc != CFB_OK) return rc;
    if (tables == 0 && app == 0 && s->mode == CFB_STORE_WRITE) {
        rc = prepare_writing(s, err);
        return rc == CFB_OK ? create_schema(s, err) : rc;
    }
    if (app != APPLICATION_ID) return cfb_err_set(err, CFB_EDATA, "%s: a database, but not a cfbench run store", s->path);
    if (version > SCHEMA_VERSION)
        return cfb_err_set(err, CFB_EDATA, "%s: made by a newer cfbench (store version %lld, this one reads up to %d)", s->path,
                           (long long)version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION)
        return cfb_err_set(
            err, CFB_EDATA,
            "%s: made by an older cfbench (store version %lld, this one needs %d); export it with that one, or run again in "
            "another --out",
            s->path, (long long)version, SCHEMA_VERSION);
    return s->mode == CFB_STORE_WRITE ? prepare_writing(s, err) : CFB_OK;
}

/* On a read-only or full disk SQLite cannot make the shared memory that a WAL file needs. If no WAL is left behind, nothing needs
 * it: the file is complete, and can be read as one that nobody changes. */
static bool must_be_immutable(const cfb_store_t *s) {
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s-wal", s->path);
    struct stat wal; /* an empty log holds nothing: SQLite leaves one behind where it could not make the shared memory */
    bool no_log = stat(path, &wal) != 0 || wal.st_size == 0;
    return s->mode == CFB_STORE_READ && no_log &&
           (s->alone || sqlite3_exec(s->db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) != SQLITE_OK);
}

static void immutable_uri(const char *path, char uri[3 * PATH_MAX + 32]) {
    static const char digits[] = "0123456789ABCDEF";
    memcpy(uri, "file:", 5);
    char *to = uri + 5;
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("/-_.~", *p);
        if (plain) {
            *to++ = (char)*p;
            continue;
        }
        *to++ = '%';
        *to++ = digits[*p >> 4];
        *to++ = digits[*p & 15];
    }
    memcpy(to, "?immutable=1", 13);
}

static cfb_code open_db(cfb_store_t *s, cfb_err *err) {
    int flags = s->mode == CFB_STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                           : SQLITE_OPEN_READWRITE; /* falls back to read-only */
    int rc = sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc == SQLITE_OK && must_be_immutable(s)) {
        sqlite3_close(s->db);
        char uri[3 * PATH_MAX + 32];
        immutable_uri(s->path, uri);
        rc = sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_URI, NULL);
    }
    if (rc != SQLITE_OK) return cfb_store__sql_error(s, "open the run store", err);
    sqlite3_busy_timeout(s->db, CFB_STORE_BUSY_MS);
    /* before the log is touched: then its index is kept in this process's memory */
    if (s->alone) return cfb_store__exec(s, "PRAGMA locking_mode=EXCLUSIVE", err);
    return CFB_OK;
}

cfb_code cfb_store_open(const char *path, cfb_store_mode mode, cfb_store_t **out, cfb_err *err) {
    if (mode == CFB_STORE_READ && !cfb_path_exists(path))
        return cfb_err_set(err, CFB_ENOTFOUND, "there is no run store %s", path);
    cfb_store_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->mode = mode == CFB_STORE_READ ? CFB_STORE_READ : CFB_STORE_WRITE;
    s->alone = mode == CFB_STORE_WRITE_ALONE || (mode != CFB_STORE_WRITE_SHARED && cfb_path_on_network(path, NULL));
    s->lock_fd = s->reserve_fd = -1;
    s->queue_tail = &s->queue;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->progress, NULL);
    cfb_code rc = cfb_path_join(s->path, sizeof s->path - 16, NULL, path, err);
    if (rc == CFB_OK) rc = cfb_arena_new(0, &s->arena, err);
    if (rc == CFB_OK && s->mode == CFB_STORE_WRITE) rc = take_lock(s, err);
    if (rc == CFB_OK && s->mode == CFB_STORE_WRITE) rc = take_reserve(s, err);
    if (rc == CFB_OK) rc = open_db(s, err);
    if (rc == CFB_OK) rc = check_schema(s, err);
    if (rc != CFB_OK) {
        cfb_store_close(s, NULL);
        return rc;
    }
    *out = s;
    return CFB_OK;
}

cfb_code cfb_store_close(cfb_store_t *s, cfb_err *err) {
    if (s == NULL) return CFB_OK;
    cfb_store__stop_writer(s);
    cfb_code rc = s->failed.code;
    if (rc != CFB_OK && err) *err = s->failed;
    sqlite3_finalize(s->insert_attempt);
    sqlite3_finalize(s->insert_reply);
    sqlite3_finalize(s->insert_sample);
    if (s->db) sqlite3_busy_timeout(s->db, 0); /* a reader at work is no reason to wait: the log stays, and nothing is lost */
    if (s->db && s->mode == CFB_STORE_WRITE) sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (s->db && sqlite3_close(s->db) != SQLITE_OK && rc == CFB_OK) rc = cfb_store__sql_error(s, "close the run store", err);
    cfb_store__release_reserve(s);
    if (s->lock_fd >= 0) close(s->lock_fd); /* the lock file stays: removing it would race with a waiting writer */
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->progress);
    cfb_arena_free(s->arena);
    free(s);
    return rc;
}

const char *cfb_store_path(const cfb_store_t *s) { return s->path; }

int cfb_store_schema_version(void) { return SCHEMA_VERSION; }

bool cfb_store_is_run_store(const char *path) {
    unsigned char head[72];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    if (n != (ssize_t)sizeof head || memcmp(head, "SQLite format 3", 16) != 0) return false;
    uint32_t id = (uint32_t)head[68] << 24 | (uint32_t)head[69] << 16 | (uint32_t)head[70] << 8 | head[71];
    return id == APPLICATION_ID;
}
