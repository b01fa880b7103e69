#include "cfbench/base.h"
#include "store/internal.h"

#include <stdlib.h>

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
    rc =
        cfb_store__exec(s, "DELETE FROM setting; DELETE FROM score; DELETE FROM attempt; DELETE FROM row; DELETE FROM task", err);
    if (rc == CFB_OK) rc = insert_settings(s, settings, n, err);
    return cfb_store__end(s, rc, err);
}

cfb_code cfb_store_setting_put(cfb_store_t *s, const char *name, const char *value, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, "UPDATE setting SET value = ?2 WHERE name = ?1", &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 2, value, -1, SQLITE_STATIC);
        rc = cfb_store__step_done(s, q, err);
    }
    sqlite3_finalize(q);
    return rc;
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
        rc = is_empty(s, "SELECT count(*) FROM reply", &empty, err);
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

/* A row that is there already: what decides its reply must be the same; a corrected reference is taken over. */
static cfb_code put_row(cfb_store_t *s, sqlite3_stmt *find, sqlite3_stmt *add, sqlite3_stmt *update, const cfb_store_row *r,
                        cfb_err *err) {
    sqlite3_bind_int64(find, 2, r->row);
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
        sqlite3_bind_int64(update, 2, r->row);
        for (int i = 0; i < 4; i++) cfb_store__bind_str(update, i + 3, now[i]);
        return cfb_store__step_done(s, update, err);
    }
    sqlite3_bind_int64(add, 2, r->row);
    const cfb_str values[] = {r->id, r->key, r->input, r->instruction, r->response};
    for (int i = 0; i < 5; i++) cfb_store__bind_str(add, i + 3, values[i]);
    return cfb_store__step_done(s, add, err);
}

cfb_code cfb_store_put_rows(cfb_store_t *s, int64_t task_id, const cfb_store_row *rows, size_t n, cfb_err *err) {
    sqlite3_stmt *find = NULL, *add = NULL, *update = NULL;
    cfb_code rc = cfb_store__prepare(s, "SELECT key FROM row WHERE task_id = ?1 AND row = ?2", &find, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(
            s,
            "UPDATE row SET id = ?3, input = ?4, instruction = ?5, response = ?6 WHERE task_id = ?1 AND row = ?2"
            " AND (id IS NOT ?3 OR input IS NOT ?4 OR instruction IS NOT ?5 OR response IS NOT ?6)",
            &update, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(
            s, "INSERT INTO row(task_id, row, id, key, input, instruction, response) VALUES(?1,?2,?3,?4,?5,?6,?7)", &add, err);
    if (rc == CFB_OK) rc = cfb_store__begin(s, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(find, 1, task_id);
        sqlite3_bind_int64(add, 1, task_id);
        sqlite3_bind_int64(update, 1, task_id);
        for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = put_row(s, find, add, update, &rows[i], err);
        rc = cfb_store__end(s, rc, err);
    }
    sqlite3_finalize(find);
    sqlite3_finalize(add);
    sqlite3_finalize(update);
    return rc;
}

/* ---- attempts and replies: group commit ---- */

#define BUSY_TRIES 60 /* of 10 s each */

struct queued {
    const cfb_store_attempt *a;
    struct queued *next;
    bool done;
    cfb_code rc;
    cfb_err err;
};

static cfb_code prepare_inserts(cfb_store_t *s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (s->insert_attempt == NULL)
        rc = cfb_store__prepare(s,
                                "INSERT INTO attempt(task_id, row, started_ms, wait_us, latency_us, http_status, fail, message)"
                                " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
                                &s->insert_attempt, err);
    if (rc == CFB_OK && s->insert_reply == NULL)
        rc =
            cfb_store__prepare(s,
                               "INSERT INTO reply(task_id, row, attempt_id, state, finish_reason, content, output, prompt_tokens,"
                               " completion_tokens) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT DO NOTHING",
                               &s->insert_reply, err);
    return rc;
}

static void bind_tokens(sqlite3_stmt *q, int index, int64_t n) {
    if (n < 0)
        sqlite3_bind_null(q, index);
    else
        sqlite3_bind_int64(q, index, n);
}

static cfb_code insert_one(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err) {
    sqlite3_stmt *q = s->insert_attempt;
    const int64_t numbers[] = {a->task_id, a->row, a->started_wall_ms, a->wait_us, a->latency_us, a->http_status};
    for (int i = 0; i < 6; i++) sqlite3_bind_int64(q, i + 1, numbers[i]);
    sqlite3_bind_text(q, 7, a->fail, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 8, a->message ? a->message : "", -1, SQLITE_STATIC);
    cfb_code rc = cfb_store__step_done(s, q, err);
    if (rc != CFB_OK || a->state == NULL) return rc;
    q = s->insert_reply;
    sqlite3_bind_int64(q, 1, a->task_id);
    sqlite3_bind_int64(q, 2, a->row);
    sqlite3_bind_int64(q, 3, sqlite3_last_insert_rowid(s->db));
    sqlite3_bind_text(q, 4, a->state, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 5, a->finish_reason ? a->finish_reason : "", -1, SQLITE_STATIC);
    cfb_store__bind_str(q, 6, a->content);
    cfb_store__bind_str(q, 7, a->output);
    bind_tokens(q, 8, a->prompt_tokens);
    bind_tokens(q, 9, a->completion_tokens);
    return cfb_store__step_done(s, q, err);
}

static cfb_code commit_list(cfb_store_t *s, const struct queued *list, cfb_err *err) {
    cfb_code rc = prepare_inserts(s, err);
    if (rc == CFB_OK) rc = cfb_store__begin(s, err);
    if (rc != CFB_OK) return rc;
    for (; list && rc == CFB_OK; list = list->next) rc = insert_one(s, list->a, err);
    return cfb_store__end(s, rc, err);
}

/* The list's items belong to threads that wait for db_lock, which the caller holds: they cannot go away before. */
static void commit_batch(cfb_store_t *s, struct queued *list) {
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = commit_list(s, list, &err);
    /* Another program holds the database. The replies are here and paid for: waiting loses nothing, giving up would. */
    for (int tries = 0; rc != CFB_OK && (sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY && tries < BUSY_TRIES; tries++) {
        if (tries == 0) cfb_log(CFB_LOG_WARN, "%s is locked by another program; waiting to save replies", s->path);
        rc = commit_list(s, list, &err);
    }
    if (rc == CFB_ENOSPACE && cfb_store__release_reserve(s)) {
        cfb_code again = commit_list(s, list, &err); /* saved, but the run must stop: there is no second reserve */
        if (again == CFB_OK)
            rc =
                cfb_err_set(&err, CFB_ENOSPACE,
                            "%s: no space left on the disk; every reply so far is saved: free some space and run again", s->path);
    }
    while (list) {
        struct queued *next = list->next;
        list->rc = rc;
        list->err = err;
        list->done = true;
        list = next;
    }
}

cfb_code cfb_store_put_attempt(cfb_store_t *s, const cfb_store_attempt *a, cfb_err *err) {
    struct queued mine = {a, NULL, false, CFB_OK, CFB_ERR_INIT};
    pthread_mutex_lock(&s->queue_lock);
    *s->queue_tail = &mine;
    s->queue_tail = &mine.next;
    pthread_mutex_unlock(&s->queue_lock);

    pthread_mutex_lock(&s->db_lock); /* whoever gets here first commits what everybody has queued */
    if (!mine.done) {
        pthread_mutex_lock(&s->queue_lock);
        struct queued *list = s->queue;
        s->queue = NULL;
        s->queue_tail = &s->queue;
        pthread_mutex_unlock(&s->queue_lock);
        commit_batch(s, list);
    }
    pthread_mutex_unlock(&s->db_lock);
    if (mine.rc != CFB_OK && err) *err = mine.err;
    return mine.rc;
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
