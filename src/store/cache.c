/* The response cache. Readers have a small pool of connections, so that threads do not wait for each other; writing goes through
 * one more, in transactions of many entries. What a reader finds out (this entry was used, that one is damaged) is noted in
 * memory and written with the next transaction. */
#include "cfbench/cache.h"
#include "cfbench/base.h"
#include "store/side.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define READERS 8
#define NOTES_KEPT 4096              /* uses beyond it are forgotten: the times of use only order what is pruned */
#define USED_STEP_MS (3600 * 1000LL) /* how exact a time of use is: an entry is written at most once in it */

static const cfb_side_kind kind = {
    .what = "response cache",
    .remedy = "it only saves calls: delete it with its -wal and -shm, or name another --cache",
    .application_id = 0x43464243, /* "CFBC" */
    .version = 1,
    .schema = "CREATE TABLE entry(entry_id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, check_sum INTEGER NOT NULL,"
              " used_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL, latency_us INTEGER NOT NULL,"
              " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,"
              " cached_tokens INTEGER NOT NULL, text_bytes INTEGER NOT NULL, model TEXT NOT NULL, endpoint TEXT NOT NULL,"
              " finish TEXT NOT NULL, content TEXT NOT NULL, reasoning TEXT);"};

struct reader {
    pthread_mutex_t lock;
    sqlite3 *db; /* opened when first needed */
    sqlite3_stmt *get;
};

struct note {
    int64_t entry_id;
    bool damaged; /* else: used */
};

struct cfb_cache {
    char path[PATH_MAX];
    struct reader readers[READERS];
    atomic_uint turn;
    atomic_bool broken; /* the file turned out to be damaged: everything is a miss */
    pthread_mutex_t write_lock;
    sqlite3 *db;
    sqlite3_stmt *insert, *touch, *drop;
    pthread_mutex_t notes_lock;
    struct note notes[NOTES_KEPT];
    size_t n_notes;
};

void cfb_cache_key(cfb_str endpoint, cfb_str body, char hex[65]) {
    const cfb_str parts[] = {endpoint, body};
    cfb_sha256_parts_hex(parts, 2, hex);
}

static int hex_value(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool key_bytes(const char *hex, unsigned char out[32]) {
    for (int i = 0; i < 32; i++) {
        int high = hex_value(hex[2 * i]), low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);
        if (low < 0) return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return hex[64] == '\0';
}

/* 60 bits of a SHA-256 over all that an entry says. */
static int64_t check_sum(const cfb_cache_entry *e) {
    const int64_t numbers[] = {e->prompt_tokens, e->completion_tokens, e->reasoning_tokens,
                               e->cached_tokens, e->latency_us,        e->created_ms};
    char text[160], hex[65];
    int n = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%lld,", (long long)numbers[i]);
    const cfb_str parts[] = {{e->key, 64}, e->model, e->endpoint, e->finish, e->content, e->reasoning, {text, (size_t)n}};
    cfb_sha256_parts_hex(parts, sizeof parts / sizeof *parts, hex);
    hex[15] = '\0';
    return (int64_t)strtoll(hex, NULL, 16);
}

/* ---- opening ---- */

cfb_code cfb_cache_open(const char *path, bool create, cfb_cache_t **out, cfb_err *err) {
    cfb_cache_t *c = calloc(1, sizeof *c);
    if (c == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_mutex_init(&c->write_lock, NULL);
    pthread_mutex_init(&c->notes_lock, NULL);
    for (int i = 0; i < READERS; i++) pthread_mutex_init(&c->readers[i].lock, NULL);
    cfb_code rc = cfb_path_join(c->path, sizeof c->path, NULL, path, err);
    if (rc == CFB_OK) rc = cfb_side_open(&kind, c->path, create, &c->db, err);
    if (rc == CFB_OK)
        rc =
            cfb_side_prepare(&kind, c->path, c->db,
                             "INSERT INTO entry(key, check_sum, used_ms, created_ms, latency_us, prompt_tokens,"
                             " completion_tokens, reasoning_tokens, cached_tokens, text_bytes, model, endpoint, finish, content,"
                             " reasoning) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15) ON CONFLICT(key) DO NOTHING",
                             &c->insert, err);
    if (rc == CFB_OK)
        rc = cfb_side_prepare(&kind, c->path, c->db, "UPDATE entry SET used_ms = ?2 WHERE entry_id = ?1 AND used_ms < ?2",
                              &c->touch, err);
    if (rc == CFB_OK) rc = cfb_side_prepare(&kind, c->path, c->db, "DELETE FROM entry WHERE entry_id = ?1", &c->drop, err);
    if (rc != CFB_OK) {
        cfb_cache_close(c, NULL);
        return rc;
    }
    *out = c;
    return CFB_OK;
}

cfb_code cfb_cache_close(cfb_cache_t *c, cfb_err *err) {
    if (c == NULL) return CFB_OK;
    cfb_code rc = c->drop && c->n_notes ? cfb_cache_put_many(c, NULL, 0, err) : CFB_OK;
    for (int i = 0; i < READERS; i++) {
        sqlite3_finalize(c->readers[i].get);
        sqlite3_close(c->readers[i].db);
        pthread_mutex_destroy(&c->readers[i].lock);
    }
    sqlite3_finalize(c->insert);
    sqlite3_finalize(c->touch);
    sqlite3_finalize(c->drop);
    sqlite3_close(c->db);
    pthread_mutex_destroy(&c->write_lock);
    pthread_mutex_destroy(&c->notes_lock);
    free(c);
    return rc;
}

/* ---- looking up ---- */

static cfb_code reader_open(cfb_cache_t *c, struct reader *r, cfb_err *err) {
    static const char sql[] = "SELECT entry_id, used_ms, check_sum, prompt_tokens, completion_tokens, reasoning_tokens,"
                              " cached_tokens, latency_us, created_ms, model, endpoint, finish, content, reasoning"
                              " FROM entry WHERE key = ?1";
    if (r->get) return CFB_OK;
    cfb_code rc = r->db ? CFB_OK : cfb_side_open(&kind, c->path, false, &r->db, err);
    return rc == CFB_OK ? cfb_side_prepare(&kind, c->path, r->db, sql, &r->get, err) : rc;
}

/* A free reader, locked; or the next one in turn, once it is free. */
static struct reader *reader_take(cfb_cache_t *c) {
    for (int i = 0; i < READERS; i++)
        if (pthread_mutex_trylock(&c->readers[i].lock) == 0) return &c->readers[i];
    struct reader *r = &c->readers[atomic_fetch_add(&c->turn, 1) % READERS];
    pthread_mutex_lock(&r->lock);
    return r;
}

static void note(cfb_cache_t *c, int64_t entry_id, bool damaged) {
    pthread_mutex_lock(&c->notes_lock);
    if (c->n_notes < NOTES_KEPT) c->notes[c->n_notes++] = (struct note){entry_id, damaged};
    pthread_mutex_unlock(&c->notes_lock);
}

/* The five texts of the row that the statement stands on, copied into scratch. */
static cfb_code copy_texts(sqlite3_stmt *q, cfb_buf *scratch, cfb_cache_entry *e, cfb_err *err) {
    cfb_str *const to[] = {&e->model, &e->endpoint, &e->finish, &e->content, &e->reasoning};
    size_t total = 0;
    cfb_buf_clear(scratch);
    for (int i = 0; i < 5; i++) {
        const char *p = sqlite3_column_blob(q, 9 + i);
        *to[i] = (cfb_str){p, p ? (size_t)sqlite3_column_bytes(q, 9 + i) : 0};
        if (p == NULL && sqlite3_column_type(q, 9 + i) != SQLITE_NULL) *to[i] = CFB_STR_LIT("");
        total += to[i]->len;
    }
    cfb_code rc = cfb_buf_reserve(scratch, total, err); /* so that no text moves while they are added */
    for (int i = 0; i < 5 && rc == CFB_OK; i++) {
        size_t at = scratch->len;
        if (to[i]->ptr == NULL) continue;
        rc = cfb_buf_append_str(scratch, *to[i], err);
        if (rc == CFB_OK) to[i]->ptr = scratch->ptr + at;
    }
    return rc;
}

static cfb_code read_entry(cfb_cache_t *c, sqlite3_stmt *q, const char *key, cfb_buf *scratch, cfb_cache_entry *e, bool *hit,
                           cfb_err *err) {
    int64_t *const numbers[] = {&e->prompt_tokens, &e->completion_tokens, &e->reasoning_tokens,
                                &e->cached_tokens, &e->latency_us,        &e->created_ms};
    int64_t entry_id = sqlite3_column_int64(q, 0), used_ms = sqlite3_column_int64(q, 1), now = cfb_wall_ms();
    e->key = key;
    for (int i = 0; i < 6; i++) *numbers[i] = sqlite3_column_int64(q, 3 + i);
    cfb_code rc = copy_texts(q, scratch, e, err);
    if (rc != CFB_OK) return rc;
    *hit = e->content.ptr != NULL && sqlite3_column_int64(q, 2) == check_sum(e);
    if (!*hit)
        note(c, entry_id, true);
    else if (now - used_ms > USED_STEP_MS)
        note(c, entry_id, false);
    return CFB_OK;
}

/* The file cannot be read: the run goes on without its cache. */
static cfb_code give_up_reading(cfb_cache_t *c, const cfb_err *why) {
    if (!atomic_exchange(&c->broken, true)) cfb_log(CFB_LOG_WARN, "%s; this run goes on without it", why->msg);
    return CFB_OK;
}

cfb_code cfb_cache_get(cfb_cache_t *c, const char *key, cfb_buf *scratch, cfb_cache_entry *out, bool *hit, cfb_err *err) {
    unsigned char bytes[32];
    cfb_err why = CFB_ERR_INIT;
    *hit = false;
    if (!key_bytes(key, bytes)) return cfb_err_set(err, CFB_EDOMAIN, "a cache key is 64 hex digits");
    if (atomic_load(&c->broken)) return CFB_OK;
    struct reader *r = reader_take(c);
    cfb_code rc = reader_open(c, r, &why);
    int step = SQLITE_DONE;
    if (rc == CFB_OK) {
        sqlite3_bind_blob(r->get, 1, bytes, sizeof bytes, SQLITE_STATIC);
        step = sqlite3_step(r->get);
        if (step != SQLITE_ROW && step != SQLITE_DONE) rc = cfb_side_error(&kind, c->path, r->db, "read it", &why);
    }
    if (rc != CFB_OK)
        rc = rc == CFB_ENOMEM ? cfb_err_set(err, rc, "out of memory") : give_up_reading(c, &why);
    else if (step == SQLITE_ROW)
        rc = read_entry(c, r->get, key, scratch, out, hit, err);
    if (r->get) sqlite3_reset(r->get);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* ---- adding ---- */

static void bind_text(sqlite3_stmt *q, int index, cfb_str v) {
    if (v.ptr == NULL)
        sqlite3_bind_null(q, index);
    else
        sqlite3_bind_text64(q, index, v.ptr, v.len, SQLITE_STATIC, SQLITE_UTF8);
}

static cfb_code insert(cfb_cache_t *c, const cfb_cache_entry *given, cfb_err *err) {
    unsigned char bytes[32];
    cfb_cache_entry e = *given;
    if (e.key == NULL || strnlen(e.key, 65) != 64 || !key_bytes(e.key, bytes))
        return cfb_err_set(err, CFB_EDOMAIN, "a cache key is 64 hex digits");
    if (e.model.ptr == NULL) e.model = CFB_STR_LIT("");
    if (e.endpoint.ptr == NULL) e.endpoint = CFB_STR_LIT("");
    if (e.finish.ptr == NULL) e.finish = CFB_STR_LIT("");
    if (e.content.ptr == NULL) e.content = CFB_STR_LIT("");
    const int64_t numbers[] = {check_sum(&e),      e.created_ms,    e.created_ms,
                               e.latency_us,       e.prompt_tokens, e.completion_tokens,
                               e.reasoning_tokens, e.cached_tokens, (int64_t)(e.content.len + e.reasoning.len)};
    const cfb_str texts[] = {e.model, e.endpoint, e.finish, e.content, e.reasoning};
    sqlite3_bind_blob(c->insert, 1, bytes, sizeof bytes, SQLITE_STATIC);
    for (int i = 0; i < 9; i++) sqlite3_bind_int64(c->insert, 2 + i, numbers[i]);
    for (int i = 0; i < 5; i++) bind_text(c->insert, 11 + i, texts[i]);
    return cfb_side_step(&kind, c->path, c->db, c->insert, err);
}

/* Notes of readers are taken out first, so that they can go on noting; those of a failed transaction are lost, which does no
 * harm. */
static cfb_code apply_notes(cfb_cache_t *c, cfb_err *err) {
    cfb_code rc = CFB_OK;
    pthread_mutex_lock(&c->notes_lock);
    size_t n = c->n_notes;
    struct note *list = n ? malloc(n * sizeof *list) : NULL;
    if (list) memcpy(list, c->notes, n * sizeof *list);
    c->n_notes = 0;
    pthread_mutex_unlock(&c->notes_lock);
    int64_t now = cfb_wall_ms();
    for (size_t i = 0; list && i < n && rc == CFB_OK; i++) {
        sqlite3_stmt *q = list[i].damaged ? c->drop : c->touch;
        sqlite3_bind_int64(q, 1, list[i].entry_id);
        if (!list[i].damaged) sqlite3_bind_int64(q, 2, now);
        rc = cfb_side_step(&kind, c->path, c->db, q, err);
    }
    free(list);
    return rc;
}

cfb_code cfb_cache_put_many(cfb_cache_t *c, const cfb_cache_entry *entries, size_t n, cfb_err *err) {
    pthread_mutex_lock(&c->write_lock);
    cfb_code rc = cfb_side_exec(&kind, c->path, c->db, "BEGIN IMMEDIATE", err);
    if (rc == CFB_OK) {
        rc = apply_notes(c, err);
        for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = insert(c, &entries[i], err);
        rc = cfb_side_end(&kind, c->path, c->db, rc, err);
    }
    pthread_mutex_unlock(&c->write_lock);
    return rc;
}

/* ---- what is in it ---- */

#define AGGREGATES                                                                                        \
    "count(*), coalesce(sum(text_bytes), 0), coalesce(min(created_ms), 0), coalesce(max(created_ms), 0)," \
    " coalesce(max(used_ms), 0), coalesce(sum(max(prompt_tokens, 0)), 0), coalesce(sum(max(completion_tokens, 0)), 0)"

static void read_info(sqlite3_stmt *q, cfb_cache_info *out) {
    int64_t *const to[] = {&out->entries,      &out->text_bytes,    &out->oldest_ms,        &out->newest_ms,
                           &out->last_used_ms, &out->prompt_tokens, &out->completion_tokens};
    for (int i = 0; i < 7; i++) *to[i] = sqlite3_column_int64(q, i);
}

/* Bytes of the pages that hold something. */
static cfb_code used_bytes(cfb_cache_t *c, int64_t *out, cfb_err *err) {
    int64_t pages = 0, unused = 0, size = 0;
    cfb_code rc = cfb_side_number(&kind, c->path, c->db, "PRAGMA page_count", &pages, err);
    if (rc == CFB_OK) rc = cfb_side_number(&kind, c->path, c->db, "PRAGMA freelist_count", &unused, err);
    if (rc == CFB_OK) rc = cfb_side_number(&kind, c->path, c->db, "PRAGMA page_size", &size, err);
    *out = (pages - unused) * size;
    return rc;
}

static cfb_code each_row(cfb_cache_t *c, const char *sql, cfb_cache_info *all, cfb_cache_info_fn fn, void *ctx, cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_side_prepare(&kind, c->path, c->db, sql, &q, err);
    int step = SQLITE_DONE;
    while (rc == CFB_OK && (step = sqlite3_step(q)) == SQLITE_ROW) {
        cfb_cache_info info = {0};
        read_info(q, all ? all : &info);
        if (all) continue;
        info.model = (const char *)sqlite3_column_text(q, 7);
        rc = info.model ? fn(ctx, &info, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    if (rc == CFB_OK && step != SQLITE_DONE) rc = cfb_side_error(&kind, c->path, c->db, "read it", err);
    sqlite3_finalize(q);
    return rc;
}

cfb_code cfb_cache_stats(cfb_cache_t *c, cfb_cache_info *all, cfb_cache_info_fn fn, void *ctx, cfb_err *err) {
    *all = (cfb_cache_info){0};
    pthread_mutex_lock(&c->write_lock);
    cfb_code rc = cfb_side_exec(&kind, c->path, c->db, "BEGIN", err); /* totals and models of the same moment */
    if (rc == CFB_OK) {
        rc = used_bytes(c, &all->file_bytes, err);
        if (rc == CFB_OK) rc = each_row(c, "SELECT " AGGREGATES " FROM entry", all, NULL, NULL, err);
        if (rc == CFB_OK && fn)
            rc = each_row(c, "SELECT " AGGREGATES ", model FROM entry GROUP BY model ORDER BY model", NULL, fn, ctx, err);
        rc = cfb_side_end(&kind, c->path, c->db, rc, err);
    }
    pthread_mutex_unlock(&c->write_lock);
    return rc;
}

/* ---- pruning ---- */

/* Runs "DELETE FROM entry WHERE ..." with the model as ?1 (NULL: any) and a number as ?2. */
static cfb_code delete_where(cfb_cache_t *c, const char *sql, const char *model, int64_t number, int64_t *n_removed,
                             cfb_err *err) {
    sqlite3_stmt *q = NULL;
    cfb_code rc = cfb_side_prepare(&kind, c->path, c->db, sql, &q, err);
    if (rc == CFB_OK) {
        if (model) sqlite3_bind_text(q, 1, model, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 2, number);
        rc = cfb_side_step(&kind, c->path, c->db, q, err);
    }
    if (rc == CFB_OK) *n_removed += sqlite3_changes(c->db);
    sqlite3_finalize(q);
    return rc;
}

/* Removes about half as many of the least recently used entries as seem to have to go, looks again, and so on. */
static cfb_code shrink_to(cfb_cache_t *c, int64_t max_bytes, const char *model, int64_t *n_removed, cfb_err *err) {
    for (;;) {
        int64_t used = 0, entries = 0, before = *n_removed;
        cfb_code rc = used_bytes(c, &used, err);
        if (rc == CFB_OK) rc = cfb_side_number(&kind, c->path, c->db, "SELECT count(*) FROM entry", &entries, err);
        if (rc != CFB_OK || used <= max_bytes || entries == 0) return rc;
        int64_t mean = used / entries + 1, n = (used - max_bytes) / mean / 2 + entries / 512 + 1;
        rc = delete_where(c,
                          "DELETE FROM entry WHERE entry_id IN (SELECT entry_id FROM entry WHERE ?1 IS NULL OR model = ?1"
                          " ORDER BY used_ms, entry_id LIMIT ?2)",
                          model, n, n_removed, err);
        if (rc != CFB_OK || *n_removed == before) return rc;
    }
}

cfb_code cfb_cache_prune(cfb_cache_t *c, const cfb_cache_prune_opts *o, int64_t *n_removed, cfb_err *err) {
    *n_removed = 0;
    if (o->before_ms == 0 && o->max_bytes < 0 && o->model == NULL)
        return cfb_err_set(err, CFB_EUSAGE, "what is to be removed from the cache? give an age, a size or a model");
    pthread_mutex_lock(&c->write_lock);
    cfb_code rc = cfb_side_exec(&kind, c->path, c->db, "BEGIN IMMEDIATE", err);
    if (rc == CFB_OK) {
        rc = apply_notes(c, err);
        if (rc == CFB_OK && (o->before_ms != 0 || o->max_bytes < 0))
            rc = delete_where(c, "DELETE FROM entry WHERE (?1 IS NULL OR model = ?1) AND (?2 = 0 OR created_ms < ?2)", o->model,
                              o->before_ms, n_removed, err);
        if (rc == CFB_OK && o->max_bytes >= 0) rc = shrink_to(c, o->max_bytes, o->model, n_removed, err);
        rc = cfb_side_end(&kind, c->path, c->db, rc, err);
    }
    if (rc == CFB_OK) rc = cfb_side_exec(&kind, c->path, c->db, "PRAGMA incremental_vacuum", err);
    /* another process that reads keeps the log: then its space comes back later */
    if (rc == CFB_OK) sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    pthread_mutex_unlock(&c->write_lock);
    return rc;
}
