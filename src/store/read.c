#include "cfbench/base.h"
#include "store/internal.h"

static const char *value_of(cfb_store_t *s, const char *sql, const char *name) {
    sqlite3_stmt *q = NULL;
    cfb_str copy = CFB_STR_NULL;
    if (cfb_store__prepare(s, sql, &q, NULL) == CFB_OK) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        if (sqlite3_step(q) == SQLITE_ROW && cfb_arena_dup(s->arena, cfb_store__column_str(q, 0), &copy, NULL) != CFB_OK)
            copy = CFB_STR_NULL;
    }
    sqlite3_finalize(q);
    return copy.ptr;
}

const char *cfb_store_setting_get(cfb_store_t *s, const char *name) {
    return value_of(s, "SELECT value FROM setting WHERE name = ?1", name);
}

const char *cfb_store_note_get(cfb_store_t *s, const char *name) {
    return value_of(s, "SELECT value FROM meta WHERE key = ?1", name);
}

cfb_code cfb_store_each_setting(cfb_store_t *s, cfb_store_setting_fn fn, void *ctx, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, "SELECT name, value FROM setting ORDER BY name", &q, err);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW)
        rc = fn(ctx, (const char *)sqlite3_column_text(q, 0), (const char *)sqlite3_column_text(q, 1), err);
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

static cfb_code each_number(cfb_store_t *s, const char *sql, int64_t task_id, size_t n, unsigned char *done, uint32_t *count,
                            cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, sql, &q, err);
    if (rc != CFB_OK) return rc;
    sqlite3_bind_int64(q, 1, task_id);
    int step;
    while ((step = sqlite3_step(q)) == SQLITE_ROW) {
        sqlite3_int64 row = sqlite3_column_int64(q, 0);
        if (row < 0 || (uint64_t)row >= n) continue;
        if (done) done[row] = 1;
        if (count) count[row] = (uint32_t)sqlite3_column_int64(q, 1);
    }
    if (step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_store_get_done(cfb_store_t *s, int64_t task_id, unsigned char *done, uint32_t *failed, size_t n, cfb_err *err) {
    memset(done, 0, n);
    if (failed) memset(failed, 0, n * sizeof *failed);
    cfb_code rc = each_number(s, "SELECT row FROM answer WHERE row_id BETWEEN ?1 << 32 AND (?1 << 32 | 4294967295)", task_id, n,
                              done, NULL, err);
    if (rc == CFB_OK && failed)
        rc = each_number(s,
                         "SELECT row, count(*) FROM failure WHERE task_id = ?1 AND fail NOT IN ('none', 'connect') GROUP BY row",
                         task_id, n, NULL, failed, err);
    return rc;
}

static int64_t column_tokens(sqlite3_stmt *q, int column) {
    return sqlite3_column_type(q, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(q, column);
}

cfb_code cfb_store_each_result(cfb_store_t *s, int64_t task_id, cfb_store_result_fn fn, void *ctx, cfb_err *err) {
    static const char sql[] =
        "SELECT r.row, r.id, r.input, r.instruction, r.response, p.state, p.content, coalesce(p.own_output, p.content),"
        " (p.row_id IS NOT NULL) + (SELECT count(*) FROM failure f WHERE f.task_id = r.task_id AND f.row = r.row),"
        " coalesce(l.fail, 'none'), l.message, coalesce(p.latency_us, l.latency_us, 0), p.prompt_tokens, p.completion_tokens,"
        " p.reasoning, p.ttft_us, p.reasoning_tokens, p.cached_tokens, p.cost, p.from_cache"
        " FROM row r LEFT JOIN answer p ON p.row_id = r.row_id"
        " LEFT JOIN failure l ON p.row_id IS NULL AND l.failure_id ="
        "  (SELECT max(f.failure_id) FROM failure f WHERE f.task_id = r.task_id AND f.row = r.row)"
        " WHERE r.row_id BETWEEN ?1 << 32 AND (?1 << 32 | 4294967295) ORDER BY r.row_id";
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
        r.reasoning = cfb_store__column_str(q, 14);
        r.ttft_us = column_tokens(q, 15);
        r.reasoning_tokens = column_tokens(q, 16);
        r.cached_tokens = column_tokens(q, 17);
        r.cost = column_tokens(q, 18);
        r.from_cache = sqlite3_column_int(q, 19) != 0;
        rc = fn(ctx, &r, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

/* The rows of both statements have the same columns. */
static cfb_code each_call(cfb_store_t *s, const char *sql, cfb_store_call_fn fn, void *ctx, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, sql, &q, err);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        cfb_store_call c = {.state = (const char *)sqlite3_column_text(q, 6), .fail = (const char *)sqlite3_column_text(q, 7)};
        int64_t *const counts[] = {&c.task_id, &c.row, &c.started_ms, &c.wait_us, &c.latency_us};
        int64_t *const known[] = {&c.prompt_tokens, &c.completion_tokens, &c.reasoning_tokens, &c.cached_tokens, &c.cost};
        for (int i = 0; i < 5; i++) *counts[i] = sqlite3_column_int64(q, i);
        c.ttft_us = column_tokens(q, 5);
        c.from_cache = sqlite3_column_int(q, 8) != 0;
        for (int i = 0; i < 5; i++) *known[i] = column_tokens(q, 9 + i);
        rc = fn(ctx, &c, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(s, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_store_each_call(cfb_store_t *s, cfb_store_call_fn fn, void *ctx, cfb_err *err) {
    cfb_code rc =
        each_call(s,
                  "SELECT task_id, row, started_ms, wait_us, latency_us, ttft_us, state, 'none', from_cache,"
                  " prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost FROM answer ORDER BY row_id",
                  fn, ctx, err);
    if (rc == CFB_OK)
        rc = each_call(s,
                       "SELECT task_id, row, started_ms, wait_us, latency_us, NULL, NULL, fail, 0, NULL, NULL, NULL, NULL, NULL"
                       " FROM failure ORDER BY failure_id",
                       fn, ctx, err);
    return rc;
}

cfb_code cfb_store_count_rows(cfb_store_t *s, int64_t task_id, int64_t *n, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc =
        cfb_store__prepare(s, "SELECT count(*) FROM row WHERE row_id BETWEEN ?1 << 32 AND (?1 << 32 | 4294967295)", &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(q, 1, task_id);
        if (sqlite3_step(q) == SQLITE_ROW)
            *n = sqlite3_column_int64(q, 0);
        else
            rc = cfb_store__sql_error(s, "read the run store", err);
    }
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_store_each_sample(cfb_store_t *s, cfb_store_sample_fn fn, void *ctx, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc =
        cfb_store__prepare(s,
                           "SELECT wall_ms, in_flight, in_flight_limit, done, failed_attempts, refused, waited_us, phase"
                           " FROM sample ORDER BY sample_id",
                           &q, err);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        cfb_store_sample p;
        int64_t *const to[] = {&p.wall_ms, &p.in_flight, &p.limit, &p.n_done, &p.n_failed_attempts, &p.n_refused, &p.waited_us};
        for (int i = 0; i < 7; i++) *to[i] = sqlite3_column_int64(q, i);
        p.phase = (const char *)sqlite3_column_text(q, 7);
        rc = fn(ctx, &p, err);
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
