#include "cfbench/base.h"
#include "store/internal.h"

const char *cfb_store_setting_get(cfb_store_t *s, const char *name) {
    sqlite3_stmt *q = NULL;
    cfb_str copy = CFB_STR_NULL;
    if (cfb_store__prepare(s, "SELECT value FROM setting WHERE name = ?1", &q, NULL) == CFB_OK) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        if (sqlite3_step(q) == SQLITE_ROW && cfb_arena_dup(s->arena, cfb_store__column_str(q, 0), &copy, NULL) != CFB_OK)
            copy = CFB_STR_NULL;
    }
    sqlite3_finalize(q);
    return copy.ptr;
}

cfb_code cfb_store_get_done(cfb_store_t *s, int64_t task_id, unsigned char *done, size_t n, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    memset(done, 0, n);
    cfb_code rc = cfb_store__prepare(s, "SELECT row FROM reply WHERE task_id = ?1", &q, err);
    if (rc != CFB_OK) return rc;
    sqlite3_bind_int64(q, 1, task_id);
    int step;
    while ((step = sqlite3_step(q)) == SQLITE_ROW) {
        sqlite3_int64 row = sqlite3_column_int64(q, 0);
        if (row >= 0 && (uint64_t)row < n) done[row] = 1;
    }
    if (step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

static int64_t column_tokens(sqlite3_stmt *q, int column) {
    return sqlite3_column_type(q, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(q, column);
}

cfb_code cfb_store_each_result(cfb_store_t *s, int64_t task_id, cfb_store_result_fn fn, void *ctx, cfb_err *err) {
    static const char sql[] = "SELECT r.row, r.id, r.input, r.instruction, r.response, p.state, p.content, p.output,"
                              " (SELECT count(*) FROM attempt a WHERE a.task_id = r.task_id AND a.row = r.row),"
                              " l.fail, l.message, l.latency_us, p.prompt_tokens, p.completion_tokens"
                              " FROM row r LEFT JOIN reply p ON p.task_id = r.task_id AND p.row = r.row"
                              " LEFT JOIN attempt l ON l.attempt_id = coalesce(p.attempt_id,"
                              "  (SELECT max(a.attempt_id) FROM attempt a WHERE a.task_id = r.task_id AND a.row = r.row))"
                              " WHERE r.task_id = ?1 ORDER BY r.row";
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, sql, &q, err);
    if (rc != CFB_OK) return rc;
    sqlite3_bind_int64(q, 1, task_id);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        cfb_store_result r = {.row = sqlite3_column_int64(q, 0)};
        r.id = cfb_store__column_str(q, 1);
        r.input = cfb_store__column_str(q, 2);
        r.instruction = cfb_store__column_str(q, 3);
        r.response = cfb_store__column_str(q, 4);
        cfb_str state = cfb_store__column_str(q, 5), fail = cfb_store__column_str(q, 9), message = cfb_store__column_str(q, 10);
        r.state = state.ptr ? state.ptr : "failed";
        r.content = cfb_store__column_str(q, 6);
        r.output = cfb_store__column_str(q, 7);
        r.n_attempts = sqlite3_column_int64(q, 8);
        r.fail = fail.ptr ? fail.ptr : "none";
        r.message = message.ptr ? message.ptr : "";
        r.latency_us = sqlite3_column_int64(q, 11);
        r.prompt_tokens = column_tokens(q, 12);
        r.completion_tokens = column_tokens(q, 13);
        rc = fn(ctx, &r, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_store_each_task(cfb_store_t *s, cfb_store_task_fn fn, void *ctx, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc =
        cfb_store__prepare(s, "SELECT task_id, name, kind, metric, label_set, definition FROM task ORDER BY task_id", &q, err);
    if (rc != CFB_OK) return rc;
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        cfb_store_task t = {(const char *)sqlite3_column_text(q, 1), (const char *)sqlite3_column_text(q, 2),
                            (const char *)sqlite3_column_text(q, 3), (const char *)sqlite3_column_text(q, 4),
                            (const char *)sqlite3_column_text(q, 5)};
        rc = fn(ctx, sqlite3_column_int64(q, 0), &t, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}
