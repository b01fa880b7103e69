#include "cfbench/base.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- configuration ---- */

static cfb_code insert_settings(cfb_store_t *s, const cfb_store_setting *settings, size_t n, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, "INSERT INTO setting(name, value) VALUES(?1, ?2)", &q, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        sqlite3_bind_text(q, 1, settings[i].name, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 2, settings[i].value, -1, SQLITE_STATIC);
        rc = cfb_store__step_done(s, q, err);
    }
    sqlite3_finalize(q);
    return rc;
}

static cfb_code is_empty(cfb_store_t *s, const char *count_sql, bool *empty, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, count_sql, &q, err);
    if (rc == CFB_OK && sqlite3_step(q) != SQLITE_ROW) rc = cfb_store__sql_error(s, "read the run store", err);
    if (rc == CFB_OK) *empty = sqlite3_column_int64(q, 0) == 0;
    sqlite3_finalize(q);
    return rc;
}

/* A store without a single reply has nothing that could be mixed up: a wrong URL or model is mended in the same folder. */
static cfb_code start_again(cfb_store_t *s, const cfb_store_setting *settings, size_t n, cfb_err *err) {
    cfb_code rc = cfb_store__begin(s, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_store__exec(
        s,
        "DELETE FROM setting; DELETE FROM score; DELETE FROM failure; DELETE FROM sample; DELETE FROM row; DELETE FROM task;"
        " DELETE FROM meta WHERE key <> 'created_at'",
        err);
    if (rc == CFB_OK) rc = insert_settings(s, settings, n, err);
    return cfb_store__end(s, rc, err);
}

static cfb_code put_value(cfb_store_t *s, const char *sql, const char *name, const char *value, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, sql, &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 2, value, -1, SQLITE_STATIC);
        rc = cfb_store__step_done(s, q, err);
    }
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_store_setting_put(cfb_store_t *s, const char *name, const char *value, cfb_err *err) {
    return put_value(s, "UPDATE setting SET value = ?2 WHERE name = ?1", name, value, err);
}

cfb_code cfb_store_note_put(cfb_store_t *s, const char *name, const char *value, cfb_err *err) {
    if (value == NULL) return put_value(s, "DELETE FROM meta WHERE key = ?1 AND ?2 IS NULL", name, NULL, err);
    return put_value(s, "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2", name, value,
                     err);
}

cfb_code cfb_store_bind(cfb_store_t *s, const cfb_store_setting *settings, size_t n, cfb_err *err) {
    bool unbound = false;
    cfb_code rc = is_empty(s, "SELECT count(*) FROM setting", &unbound, err);
    if (rc != CFB_OK) return rc;
    if (unbound) {
        rc = cfb_store__begin(s, err);
        if (rc != CFB_OK) return rc;
        return cfb_store__end(s, insert_settings(s, settings, n, err), err);
    }
    for (size_t i = 0; i < n; i++) {
        const char *old = cfb_store_setting_get(s, settings[i].name);
        if (old != NULL && strcmp(old, settings[i].value) == 0) continue;
        bool empty = false;
        rc = is_empty(s, "SELECT count(*) FROM answer", &empty, err);
        if (rc == CFB_OK && empty) rc = start_again(s, settings, n, err);
        if (rc != CFB_OK || empty) return rc;
        return cfb_err_set(
            err, CFB_ECONFLICT,
            "%s belongs to another configuration: %s%s was '%.100s', now it is '%.100s'; use another --out, or the old value%s",
            s->path, strchr(settings[i].name, '.') ? "" : "--", settings[i].name, old ? old : "(not set)", settings[i].value,
            strcmp(settings[i].name, "base-url") == 0 ? ", or --moved if the same model only moved" : "");
    }
    return CFB_OK;
}

/* ---- tasks and rows ---- */

cfb_code cfb_store_put_task(cfb_store_t *s, const cfb_store_task *t, int64_t *task_id, cfb_err *err) {
    sqlite3_stmt *add = NULL, *find = NULL;
    cfb_code rc = cfb_store__prepare(
        s, "INSERT INTO task(name, kind, metric, label_set, definition) VALUES(?1,?2,?3,?4,?5) ON CONFLICT(name) DO NOTHING",
        &add, err);
    if (rc == CFB_OK) {
        const char *const values[] = {t->name, t->kind, t->metric, t->label_set, t->definition};
        for (int i = 0; i < 5; i++) sqlite3_bind_text(add, i + 1, values[i], -1, SQLITE_STATIC);
        rc = cfb_store__step_done(s, add, err);
    }
    if (rc == CFB_OK) rc = cfb_store__prepare(s, "SELECT task_id FROM task WHERE name = ?1", &find, err);
    if (rc == CFB_OK) {
        sqlite3_bind_text(find, 1, t->name, -1, SQLITE_STATIC);
        if (sqlite3_step(find) == SQLITE_ROW)
            *task_id = sqlite3_column_int64(find, 0);
        else
            rc = cfb_store__sql_error(s, "read the run store", err);
    }
    sqlite3_finalize(add);
    sqlite3_finalize(find);
    return rc;
}

/* Many rows for a store without replies: each page is written once, into the file itself, instead of into the log and from there
 * into the file. A killed process leaves a rollback journal as usual; only a power cut could damage the store, and nothing in it
 * was paid for. */
cfb_code cfb_store_load_begin(cfb_store_t *s, cfb_err *err) {
    bool empty = false;
    cfb_code rc = is_empty(s, "SELECT count(*) FROM (SELECT 1 FROM answer LIMIT 1)", &empty, err);
    if (rc != CFB_OK || !empty) return rc;
    sqlite3_busy_timeout(s->db, 0); /* somebody reads it: then the slow way */
    int got = sqlite3_exec(s->db, "PRAGMA journal_mode=TRUNCATE", NULL, NULL, NULL);
    sqlite3_busy_timeout(s->db, CFB_STORE_BUSY_MS);
    s->loading = got == SQLITE_OK;
    return s->loading ? cfb_store__exec(s, "PRAGMA synchronous=OFF", err) : CFB_OK;
}

static cfb_code sync_file(const cfb_store_t *s, cfb_err *err) {
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    return failed ? cfb_err_set_errno(err, failed, "cannot write %s", s->path) : CFB_OK;
}

cfb_code cfb_store_load_end(cfb_store_t *s, cfb_err *err) {
    if (!s->loading) return CFB_OK;
    s->loading = false;
    cfb_code rc = sync_file(s, err);
    return rc == CFB_OK ? cfb_store__exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", err) : rc;
}

/* A row that is there already: what decides its reply must be the same; a corrected reference is taken over. */
static cfb_code put_row(cfb_store_t *s, sqlite3_stmt *find, sqlite3_stmt *add, sqlite3_stmt *update, int64_t task_id,
                        const cfb_store_row *r, cfb_err *err) {
    sqlite3_int64 row_id = ROW_ID(task_id, r->row);
    sqlite3_bind_int64(find, 1, row_id);
    int step = sqlite3_step(find);
    cfb_code rc = CFB_OK;
    if (step == SQLITE_ROW) {
        if (!cfb_str_eq(cfb_store__column_str(find, 0), r->key))
            rc = cfb_err_set(
                err, CFB_ECONFLICT,
                "%s: row %lld (id %.*s) is not the one that was asked before: its data or prompt changed; use another --out",
                s->path, (long long)r->row, CFB_STR_ARG(r->id));
    } else if (step != SQLITE_DONE) {
        rc = cfb_store__sql_error(s, "read the run store", err);
    }
    sqlite3_reset(find);
    if (rc != CFB_OK) return rc;
    if (step == SQLITE_ROW) {
        const cfb_str now[] = {r->id, r->input, r->instruction, r->response};
        sqlite3_bind_int64(update, 1, row_id);
        for (int i = 0; i < 4; i++) cfb_store__bind_str(update, i + 2, now[i]);
        return cfb_store__step_done(s, update, err);
    }
    sqlite3_bind_int64(add, 1, row_id);
    sqlite3_bind_int64(add, 2, task_id);
    sqlite3_bind_int64(add, 3, r->row);
    const cfb_str values[] = {r->id, r->key, r->input, r->instruction, r->response};
    for (int i = 0; i < 5; i++) cfb_store__bind_str(add, i + 4, values[i]);
    return cfb_store__step_done(s, add, err);
}

cfb_code cfb_store_put_rows(cfb_store_t *s, int64_t task_id, const cfb_store_row *rows, size_t n, cfb_err *err) {
    sqlite3_stmt *find = NULL, *add = NULL, *update = NULL;
    cfb_code rc = cfb_store__prepare(s, "SELECT key FROM row WHERE row_id = ?1", &find, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(s,
                                "UPDATE row SET id = ?2, input = ?3, instruction = ?4, response = ?5 WHERE row_id = ?1"
                                " AND (id IS NOT ?2 OR input IS NOT ?3 OR instruction IS NOT ?4 OR response IS NOT ?5)",
                                &update, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(
            s, "INSERT INTO row(row_id, task_id, row, id, key, input, instruction, response) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
            &add, err);
    if (rc == CFB_OK) rc = cfb_store__begin(s, err);
    if (rc == CFB_OK) {
        for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = put_row(s, find, add, update, task_id, &rows[i], err);
        rc = cfb_store__end(s, rc, err);
    }
    sqlite3_finalize(find);
    sqlite3_finalize(add);
    sqlite3_finalize(update);
    return rc;
}

/* ---- scores ---- */

cfb_code cfb_store_put_scores(cfb_store_t *s, int64_t task_id, const char *metric, const int64_t *rows, const double *scores,
                              size_t n, cfb_err *err) {
    sqlite3_stmt *clear = NULL, *add = NULL;
    cfb_code rc = cfb_store__prepare(s, "DELETE FROM score WHERE task_id = ?1 AND metric = ?2", &clear, err);
    if (rc == CFB_OK) rc = cfb_store__prepare(s, "INSERT INTO score(task_id, metric, row, value) VALUES(?1,?2,?3,?4)", &add, err);
    if (rc == CFB_OK) rc = cfb_store__begin(s, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(clear, 1, task_id);
        sqlite3_bind_text(clear, 2, metric, -1, SQLITE_STATIC);
        rc = cfb_store__step_done(s, clear, err);
        sqlite3_bind_int64(add, 1, task_id);
        sqlite3_bind_text(add, 2, metric, -1, SQLITE_STATIC);
        for (size_t i = 0; i < n && rc == CFB_OK; i++) {
            sqlite3_bind_int64(add, 3, rows[i]);
            sqlite3_bind_double(add, 4, scores[i]);
            rc = cfb_store__step_done(s, add, err);
        }
        rc = cfb_store__end(s, rc, err);
    }
    sqlite3_finalize(clear);
    sqlite3_finalize(add);
    return rc;
}
