/* Shards of a run -> one store; and replies of other stores, taken over by a shard. */
#include "cfbench/base.h"
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_COLUMNS                                                                                                  \
    "started_ms, wait_us, latency_us, ttft_us, http_status, endpoint, from_cache, state, finish_reason, prompt_tokens," \
    " completion_tokens, reasoning_tokens, cached_tokens, cost, content, own_output, reasoning"
#define N_ANSWER_COLUMNS 17
#define FAILURE_COLUMNS "started_ms, wait_us, latency_us, http_status, endpoint, fail, message"
#define N_FAILURE_COLUMNS 7
#define OF_TASK(column) " WHERE " column " BETWEEN ?1 << 32 AND (?1 << 32 | 4294967295)"

static void copy_columns(sqlite3_stmt *from, int first, sqlite3_stmt *to, int at, int n) {
    for (int i = 0; i < n; i++) sqlite3_bind_value(to, at + i, sqlite3_column_value(from, first + i));
}

static cfb_code count(cfb_store_t *s, const char *sql, int64_t arg, int64_t *out, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(s, sql, &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(q, 1, arg);
        if (sqlite3_step(q) == SQLITE_ROW)
            *out = sqlite3_column_int64(q, 0);
        else
            rc = cfb_store__sql_error(s, "read the run store", err);
    }
    sqlite3_finalize(q);
    return rc;
}

/* Number of a task by name, or 0. */
static cfb_code task_number(cfb_store_t *s, const char *name, int64_t *out, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    *out = 0;
    cfb_code rc = cfb_store__prepare(s, "SELECT task_id FROM task WHERE name = ?1", &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        int step = sqlite3_step(q);
        if (step == SQLITE_ROW)
            *out = sqlite3_column_int64(q, 0);
        else if (step != SQLITE_DONE)
            rc = cfb_store__sql_error(s, "read the run store", err);
    }
    sqlite3_finalize(q);
    return rc;
}

/* ---- taking over ---- */

cfb_code cfb_store_adopt(cfb_store_t *s, int64_t task_id, const char *task, cfb_store_t *from, cfb_err *err) {
    sqlite3_stmt *get = NULL, *add = NULL;
    int64_t theirs = 0;
    cfb_code rc = task_number(from, task, &theirs, err);
    if (rc != CFB_OK || theirs == 0) return rc;
    rc = cfb_store__prepare(
        from, "SELECT a.row, r.key, " ANSWER_COLUMNS " FROM answer a JOIN row r ON r.row_id = a.row_id" OF_TASK("a.row_id"), &get,
        err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(s,
                                "INSERT INTO answer(row_id, task_id, row, " ANSWER_COLUMNS ") SELECT row_id, task_id, row,"
                                " ?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19"
                                " FROM row WHERE row_id = ?1 AND key = ?2 ON CONFLICT DO NOTHING",
                                &add, err);
    if (rc == CFB_OK) rc = cfb_store__begin(s, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(get, 1, theirs);
        int step = SQLITE_DONE;
        while (rc == CFB_OK && (step = sqlite3_step(get)) == SQLITE_ROW) {
            sqlite3_bind_int64(add, 1, ROW_ID(task_id, sqlite3_column_int64(get, 0)));
            copy_columns(get, 1, add, 2, 1 + N_ANSWER_COLUMNS);
            rc = cfb_store__step_done(s, add, err);
        }
        if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(from, "read the run store", err);
        rc = cfb_store__end(s, rc, err);
    }
    sqlite3_finalize(get);
    sqlite3_finalize(add);
    return rc;
}

/* ---- merging ---- */

struct merging {
    cfb_store_t *to, *from;
    const char *const *paths;
    size_t n, now;
    cfb_merge_summary *sum;
    sqlite3_stmt *add_row, *find_key, *add_answer, *find_answer, *add_failure;
};

/* What every store of a run has in common. */
static cfb_code merge_setting(void *ctx, const char *name, const char *value, cfb_err *err) {
    struct merging *m = ctx;
    if (strcmp(name, "shard") == 0) return CFB_OK;
    const char *first = cfb_store_setting_get(m->to, name);
    if (first && strcmp(first, value) == 0) return CFB_OK;
    return cfb_err_set(err, CFB_ECONFLICT,
                       "%.150s and %.150s are not of one run: %s%s is '%.60s' in the one, '%.60s' in the other", m->paths[0],
                       m->paths[m->now], strchr(name, '.') ? "" : "--", name, first ? first : "(not set)", value);
}

static cfb_code copy_setting(void *ctx, const char *name, const char *value, cfb_err *err) {
    struct merging *m = ctx;
    if (strcmp(name, "shard") == 0) return CFB_OK;
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(m->to, "INSERT INTO setting(name, value) VALUES(?1, ?2)", &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_text(q, 2, value, -1, SQLITE_STATIC);
        rc = cfb_store__step_done(m->to, q, err);
    }
    sqlite3_finalize(q);
    return rc;
}

/* Notes of the first store; created_at is the earliest; how many rows there are must agree. */
static cfb_code merge_notes(struct merging *m, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(m->from, "SELECT key, value FROM meta ORDER BY key", &q, err);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(q, 0), *value = (const char *)sqlite3_column_text(q, 1);
        const char *old = cfb_store_note_get(m->to, name);
        bool rows = strncmp(name, CFB_STORE_NOTE_ROWS, strlen(CFB_STORE_NOTE_ROWS)) == 0;
        if (rows && old && strcmp(old, value) != 0)
            rc = cfb_err_set(
                err, CFB_ECONFLICT,
                "%.150s: task '%.60s' has %.20s rows there and %.20s in the shards before: were they run with another "
                "--limit, or other data?",
                m->paths[m->now], name + strlen(CFB_STORE_NOTE_ROWS), value, old);
        else if (m->now == 0 || (rows && old == NULL) || (strcmp(name, "created_at") == 0 && (!old || strcmp(value, old) < 0)))
            rc = cfb_store_note_put(m->to, name, value, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(m->from, "read the run store", err);
    sqlite3_finalize(q);
    return rc;
}

static cfb_code check_row(struct merging *m, const char *task, sqlite3_stmt *get, cfb_err *err) {
    cfb_code rc = CFB_OK;
    sqlite3_bind_value(m->find_key, 1, sqlite3_column_value(get, 0));
    if (sqlite3_step(m->find_key) != SQLITE_ROW ||
        !cfb_str_eq(cfb_store__column_str(m->find_key, 0), cfb_store__column_str(get, 3)))
        rc = cfb_err_set(err, CFB_ECONFLICT, "%.200s: row %lld of task '%.60s' (id %.*s) is another one in the shards before",
                         m->paths[m->now], (long long)sqlite3_column_int64(get, 1), task,
                         CFB_STR_ARG(cfb_store__column_str(get, 2)));
    sqlite3_reset(m->find_key);
    return rc;
}

static cfb_code merge_rows(struct merging *m, const char *task, int64_t theirs, int64_t ours, cfb_err *err) {
    sqlite3_stmt *get = NULL;
    cfb_code rc = cfb_store__prepare(
        m->from, "SELECT (?2 << 32) + row, row, id, key, input, instruction, response FROM row" OF_TASK("row_id"), &get, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(get, 1, theirs);
        sqlite3_bind_int64(get, 2, ours);
    }
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(get)) == SQLITE_ROW) {
        copy_columns(get, 0, m->add_row, 1, 7);
        sqlite3_bind_int64(m->add_row, 8, ours);
        rc = cfb_store__step_done(m->to, m->add_row, err);
        if (rc == CFB_OK && sqlite3_changes(m->to->db) == 0) rc = check_row(m, task, get, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(m->from, "read the run store", err);
    sqlite3_finalize(get);
    return rc;
}

/* A reply that is there already: the same call (a shard took it over), or a second one? */
static cfb_code check_answer(struct merging *m, const char *task, sqlite3_stmt *get, cfb_err *err) {
    static const int columns[] = {2, 3, 4, 16}; /* started_ms, wait_us, latency_us, content: the call */
    cfb_code rc = CFB_OK;
    sqlite3_bind_value(m->find_answer, 1, sqlite3_column_value(get, 0));
    bool same = sqlite3_step(m->find_answer) == SQLITE_ROW;
    for (size_t i = 0; same && i < sizeof columns / sizeof *columns; i++) {
        cfb_str a = cfb_store__column_str(m->find_answer, (int)i), b = cfb_store__column_str(get, columns[i]);
        same = cfb_str_eq(a, b);
    }
    m->sum->n_copies += same;
    if (!same)
        rc =
            cfb_err_set(err, CFB_ECONFLICT,
                        "%.200s: row %lld of task '%.60s' was answered there and by another call in the shards before: give each "
                        "shard once",
                        m->paths[m->now], (long long)sqlite3_column_int64(get, 1), task);
    sqlite3_reset(m->find_answer);
    return rc;
}

static cfb_code merge_answers(struct merging *m, const char *task, int64_t theirs, int64_t ours, cfb_err *err) {
    sqlite3_stmt *get = NULL;
    cfb_code rc =
        cfb_store__prepare(m->from, "SELECT (?2 << 32) + row, row, " ANSWER_COLUMNS " FROM answer" OF_TASK("row_id"), &get, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(get, 1, theirs);
        sqlite3_bind_int64(get, 2, ours);
    }
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(get)) == SQLITE_ROW) {
        copy_columns(get, 0, m->add_answer, 1, 2 + N_ANSWER_COLUMNS);
        sqlite3_bind_int64(m->add_answer, 3 + N_ANSWER_COLUMNS, ours);
        rc = cfb_store__step_done(m->to, m->add_answer, err);
        if (rc == CFB_OK && sqlite3_changes(m->to->db) == 0) rc = check_answer(m, task, get, err);
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(m->from, "read the run store", err);
    sqlite3_finalize(get);
    return rc;
}

static cfb_code merge_failures(struct merging *m, int64_t theirs, int64_t ours, cfb_err *err) {
    sqlite3_stmt *get = NULL;
    cfb_code rc = cfb_store__prepare(
        m->from, "SELECT row, " FAILURE_COLUMNS " FROM failure WHERE task_id = ?1 ORDER BY failure_id", &get, err);
    if (rc == CFB_OK) sqlite3_bind_int64(get, 1, theirs);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(get)) == SQLITE_ROW) {
        sqlite3_bind_int64(m->add_failure, 1, ours);
        copy_columns(get, 0, m->add_failure, 2, 1 + N_FAILURE_COLUMNS);
        rc = cfb_store__step_done(m->to, m->add_failure, err);
        m->sum->n_failures++;
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_store__sql_error(m->from, "read the run store", err);
    sqlite3_finalize(get);
    return rc;
}

static cfb_code check_definition(struct merging *m, const cfb_store_task *t, int64_t ours, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_store__prepare(m->to, "SELECT definition FROM task WHERE task_id = ?1", &q, err);
    if (rc == CFB_OK) {
        sqlite3_bind_int64(q, 1, ours);
        if (sqlite3_step(q) != SQLITE_ROW || !cfb_str_eqz(cfb_store__column_str(q, 0), t->definition))
            rc = cfb_err_set(err, CFB_ECONFLICT, "%.200s: task '%.60s' is defined in another way than in the shards before",
                             m->paths[m->now], t->name);
    }
    sqlite3_finalize(q);
    return rc;
}

static cfb_code merge_task(void *ctx, int64_t theirs, const cfb_store_task *t, cfb_err *err) {
    struct merging *m = ctx;
    int64_t ours = 0;
    cfb_code rc = cfb_store_put_task(m->to, t, &ours, err);
    if (rc == CFB_OK) rc = check_definition(m, t, ours, err);
    if (rc == CFB_OK) rc = merge_rows(m, t->name, theirs, ours, err);
    if (rc == CFB_OK) rc = merge_answers(m, t->name, theirs, ours, err);
    return rc == CFB_OK ? merge_failures(m, theirs, ours, err) : rc;
}

static cfb_code merge_one(struct merging *m, cfb_err *err) {
    cfb_code rc = cfb_store_open(m->paths[m->now], CFB_STORE_READ, &m->from, err);
    if (rc == CFB_OK && cfb_store_setting_get(m->from, "shard") == NULL)
        rc = cfb_err_set(err, CFB_EDATA, "%.300s: a whole run, or none yet, but no shard of one (made with --shard)",
                         m->paths[m->now]);
    if (rc == CFB_OK) rc = cfb_store_each_setting(m->from, m->now == 0 ? copy_setting : merge_setting, m, err);
    if (rc == CFB_OK) rc = merge_notes(m, err);
    if (rc == CFB_OK) rc = cfb_store_each_task(m->from, merge_task, m, err);
    cfb_store_close(m->from, NULL);
    m->from = NULL;
    return rc;
}

/* ---- samples: what ran side by side is added up, second by second ---- */

struct second {
    int64_t s; /* Unix time */
    size_t store;
    int64_t v[6]; /* in_flight, limit, done, failed, refused, waited */
};

struct seconds {
    struct second *list;
    size_t n, cap, store;
};

static cfb_code take_sample(void *ctx, const cfb_store_sample *p, cfb_err *err) {
    struct seconds *t = ctx;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        struct second *l = realloc(t->list, cap * sizeof *l);
        if (l == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        t->list = l;
        t->cap = cap;
    }
    t->list[t->n++] = (struct second){
        p->wall_ms / 1000, t->store, {p->in_flight, p->limit, p->n_done, p->n_failed_attempts, p->n_refused, p->waited_us}};
    return CFB_OK;
}

static int compare_seconds(const void *x, const void *y) {
    const struct second *a = x, *b = y;
    if (a->s != b->s) return a->s < b->s ? -1 : 1;
    return a->store < b->store ? -1 : a->store > b->store;
}

#define STALE_S 5 /* a store without a sample for so long has ended, or not begun: nothing of it is in flight */

static void put_second(cfb_store_t *to, int64_t s, const struct second *last, size_t n_stores) {
    int64_t sum[6] = {0};
    for (size_t i = 0; i < n_stores; i++) {
        if (last[i].s == 0) continue;
        for (int k = last[i].s + STALE_S < s ? 2 : 0; k < 6; k++) sum[k] += last[i].v[k];
    }
    const cfb_store_sample p = {s * 1000, sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], "merged"};
    cfb_store_queue_sample(to, &p);
}

static cfb_code merge_samples(struct merging *m, cfb_err *err) {
    struct seconds t = {0};
    struct second *last = calloc(m->n, sizeof *last);
    cfb_code rc = last ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (t.store = 0; rc == CFB_OK && t.store < m->n; t.store++) {
        cfb_store_t *from = NULL;
        rc = cfb_store_open(m->paths[t.store], CFB_STORE_READ, &from, err);
        if (rc == CFB_OK) rc = cfb_store_each_sample(from, take_sample, &t, err);
        cfb_store_close(from, NULL);
    }
    if (rc == CFB_OK && t.n) qsort(t.list, t.n, sizeof *t.list, compare_seconds);
    for (size_t i = 0; rc == CFB_OK && i < t.n; i++) {
        last[t.list[i].store] = t.list[i];
        if (i + 1 == t.n || t.list[i + 1].s != t.list[i].s) put_second(m->to, t.list[i].s, last, m->n);
    }
    free(t.list);
    free(last);
    return rc == CFB_OK ? cfb_store_flush(m->to, err) : rc;
}

/* ---- is it complete? ---- */

/* The shards that nobody gave, if all are of one number of shards: " (shard 3/8 was not given, ...)". */
static void say_missing(struct merging *m, char *out, size_t size) {
    long long index, total, of = 0;
    size_t at = 0, named = 0;
    char *seen = NULL;
    out[0] = '\0';
    for (size_t i = 0; i < m->n; i++) {
        cfb_store_t *s = NULL;
        const char *shard =
            cfb_store_open(m->paths[i], CFB_STORE_READ, &s, NULL) == CFB_OK ? cfb_store_setting_get(s, "shard") : NULL;
        bool known = shard && sscanf(shard, "%lld/%lld", &index, &total) == 2 && total > 0 && total <= 1000000 && index >= 0 &&
                     index < total;
        cfb_store_close(s, NULL);
        if (!known || (of && total != of)) goto out;
        of = total;
        if (seen == NULL && (seen = calloc((size_t)of, 1)) == NULL) return;
        seen[index] = 1;
    }
    for (long long i = 0; i < of; i++) {
        if (seen[i] || named > 8) continue;
        int n = snprintf(out + at, size - at,
                         named == 8 ? ", ..."
                         : named    ? ", %lld/%lld"
                                    : "; not given: shard %lld/%lld",
                         i, of);
        if (n < 0 || (size_t)n >= size - at) break;
        at += (size_t)n;
        named++;
    }
out:
    free(seen);
}

static cfb_code check_task(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err) {
    struct merging *m = ctx;
    char name[160], missing[200];
    int64_t want = -1, n = 0, replies = 0;
    snprintf(name, sizeof name, CFB_STORE_NOTE_ROWS "%.120s", t->name);
    const char *note = cfb_store_note_get(m->to, name);
    cfb_code rc = count(m->to, "SELECT count(*) FROM row" OF_TASK("row_id"), task_id, &n, err);
    if (rc == CFB_OK) rc = count(m->to, "SELECT count(*) FROM answer" OF_TASK("row_id"), task_id, &replies, err);
    if (rc != CFB_OK) return rc;
    m->sum->n_tasks++;
    m->sum->n_rows += n;
    m->sum->n_replies += replies;
    if (note == NULL || !cfb_parse_int(note, &want))
        return cfb_err_set(err, CFB_EDATA, "task '%.60s': no shard says how many rows it has", t->name);
    if (n == want) return CFB_OK;
    say_missing(m, missing, sizeof missing);
    return cfb_err_set(err, CFB_EDATA, "task '%.60s': %lld of %lld rows are in none of the %zu shards%s", t->name,
                       (long long)(want - n), (long long)want, m->n, missing);
}

static cfb_code prepare_merge(struct merging *m, cfb_err *err) {
    cfb_store_t *s = m->to;
    cfb_code rc = cfb_store__prepare(s,
                                     "INSERT INTO row(row_id, row, id, key, input, instruction, response, task_id)"
                                     " VALUES(?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT DO NOTHING",
                                     &m->add_row, err);
    if (rc == CFB_OK) rc = cfb_store__prepare(s, "SELECT key FROM row WHERE row_id = ?1", &m->find_key, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(s,
                                "INSERT INTO answer(row_id, row, " ANSWER_COLUMNS ", task_id)"
                                " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)"
                                " ON CONFLICT DO NOTHING",
                                &m->add_answer, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(s, "SELECT started_ms, wait_us, latency_us, content FROM answer WHERE row_id = ?1",
                                &m->find_answer, err);
    if (rc == CFB_OK)
        rc = cfb_store__prepare(s, "INSERT INTO failure(task_id, row, " FAILURE_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
                                &m->add_failure, err);
    return rc;
}

static cfb_code merge_all(struct merging *m, cfb_err *err) {
    cfb_code rc = cfb_store_load_begin(m->to, err);
    if (rc == CFB_OK) rc = prepare_merge(m, err);
    if (rc == CFB_OK) rc = cfb_store__begin(m->to, err);
    if (rc == CFB_OK) {
        for (m->now = 0; m->now < m->n && rc == CFB_OK; m->now++) rc = merge_one(m, err);
        if (rc == CFB_OK) rc = cfb_store_each_task(m->to, check_task, m, err);
        rc = cfb_store__end(m->to, rc, err);
    }
    sqlite3_stmt *const all[] = {m->add_row, m->find_key, m->add_answer, m->find_answer, m->add_failure};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) sqlite3_finalize(all[i]);
    if (rc == CFB_OK) rc = cfb_store_load_end(m->to, err);
    return rc == CFB_OK ? merge_samples(m, err) : rc;
}

static void remove_all(const char *path) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal", ".lock", ".reserve"};
    char name[PATH_MAX + 32];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

cfb_code cfb_store_merge(const char *path, bool force, const char *const *stores, size_t n, cfb_merge_summary *out,
                         cfb_err *err) {
    char made[PATH_MAX];
    struct merging m = {.paths = stores, .n = n, .sum = out};
    *out = (cfb_merge_summary){.n_stores = n};
    if (n == 0) return cfb_err_set(err, CFB_EUSAGE, "there is no shard to merge");
    if (!force && cfb_path_exists(path)) return cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", path);
    if (snprintf(made, sizeof made, "%s.merging", path) >= (int)sizeof made)
        return cfb_err_set(err, CFB_ELIMIT, "%s: too long", path);
    cfb_store_t *old = NULL; /* its lock: nobody writes the run that is to be replaced */
    cfb_code rc = cfb_path_exists(path) ? cfb_store_open(path, CFB_STORE_WRITE, &old, err) : CFB_OK;
    if (rc != CFB_OK) return rc; /* what lies there may be the merge of the process that has the lock */
    remove_all(made);
    rc = cfb_store_open(made, CFB_STORE_WRITE, &m.to, err);
    if (rc == CFB_OK) rc = merge_all(&m, err);
    cfb_code closed = cfb_store_close(m.to, rc == CFB_OK ? err : NULL);
    if (rc == CFB_OK) rc = closed;
    cfb_store_close(old, NULL);
    if (rc == CFB_OK && rename(made, path) != 0) rc = cfb_err_set_errno(err, errno, "cannot rename %s to %s", made, path);
    remove_all(made);
    return rc;
}
