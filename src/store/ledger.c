#include "cfbench/ledger.h"
#include "cfbench/base.h"
#include "store/side.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const cfb_side_kind kind = {
    .what = "usage ledger",
    .remedy = "move it away, or name another --usage-file: then the budgets of today begin at 0",
    .application_id = 0x4346424c, /* "CFBL" */
    .version = 1,
    .schema = "CREATE TABLE usage(day TEXT NOT NULL, key_hash TEXT NOT NULL, model TEXT NOT NULL, currency TEXT NOT NULL,"
              " requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,"
              " cost_micros INTEGER NOT NULL, PRIMARY KEY(day, key_hash, model, currency)) WITHOUT ROWID;"};

struct cfb_ledger {
    char path[PATH_MAX];
    sqlite3 *db;
    sqlite3_stmt *get, *add;
    pthread_mutex_t lock;
};

void cfb_ledger_key_hash(const char *key, char hash[CFB_KEY_HASH_SIZE]) {
    const cfb_str parts[] = {CFB_STR_LIT("cfbench usage ledger, version 1"), cfb_str_from(key)};
    char hex[65];
    cfb_sha256_parts_hex(parts, 2, hex);
    memcpy(hash, hex, CFB_KEY_HASH_SIZE - 1);
    hash[CFB_KEY_HASH_SIZE - 1] = '\0';
}

void cfb_ledger_day(int64_t wall_ms, char day[11]) {
    char text[24];
    cfb_format_utc(wall_ms, text);
    memcpy(day, text, 10);
    day[10] = '\0';
}

cfb_code cfb_ledger_default_path(char *path, size_t size, cfb_err *err) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state && state[0] == '/')
        n = snprintf(path, size, "%s/cfbench/usage.db", state);
    else if (home && home[0] == '/')
        n = snprintf(path, size, "%s/.local/state/cfbench/usage.db", home);
    else
        return cfb_err_set(err, CFB_ECONFIG, "budgets need a place for the usage ledger, and HOME is not set: give --usage-file");
    return n > 0 && (size_t)n < size ? CFB_OK : cfb_err_set(err, CFB_ELIMIT, "the path of the usage ledger is too long");
}

/* What a user spends is nobody else's business: the file is made before SQLite does, and SQLite gives its logs the same rights.
 */
static void make_private(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

cfb_code cfb_ledger_open(const char *path, cfb_ledger_t **out, cfb_err *err) {
    static const char add[] =
        "INSERT INTO usage(day, key_hash, model, currency, requests, prompt_tokens, completion_tokens, cost_micros)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT(day, key_hash, model, currency) DO UPDATE SET"
        /* SQLite turns an integer sum that is too large into a float: it is cut to the largest integer */
        " requests = cast(requests + excluded.requests AS INTEGER),"
        " prompt_tokens = cast(prompt_tokens + excluded.prompt_tokens AS INTEGER),"
        " completion_tokens = cast(completion_tokens + excluded.completion_tokens AS INTEGER),"
        " cost_micros = cast(cost_micros + excluded.cost_micros AS INTEGER)";
    static const char get[] =
        "SELECT requests, prompt_tokens, completion_tokens, CASE WHEN currency = ?3 THEN cost_micros ELSE 0 END"
        " FROM usage WHERE day = ?1 AND key_hash = ?2";
    cfb_ledger_t *l = calloc(1, sizeof *l);
    if (l == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_mutex_init(&l->lock, NULL);
    cfb_code rc = cfb_path_join(l->path, sizeof l->path, NULL, path, err);
    if (rc == CFB_OK) rc = cfb_side_make_folder(path, err);
    if (rc == CFB_OK) make_private(path);
    if (rc == CFB_OK) rc = cfb_side_open(&kind, path, true, &l->db, err);
    if (rc == CFB_OK) rc = cfb_side_prepare(&kind, path, l->db, add, &l->add, err);
    if (rc == CFB_OK) rc = cfb_side_prepare(&kind, path, l->db, get, &l->get, err);
    if (rc != CFB_OK) {
        cfb_ledger_close(l);
        return rc;
    }
    *out = l;
    return CFB_OK;
}

void cfb_ledger_close(cfb_ledger_t *l) {
    if (l == NULL) return;
    sqlite3_finalize(l->get);
    sqlite3_finalize(l->add);
    sqlite3_close(l->db);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void add_up(int64_t *sum, int64_t v) { *sum = v > 0 && *sum > INT64_MAX - v ? INT64_MAX : *sum + v; }

cfb_code cfb_ledger_get(cfb_ledger_t *l, const char *day, const char *key_hash, const char *currency, cfb_usage *out,
                        cfb_err *err) {
    int step;
    cfb_code rc = CFB_OK;
    *out = (cfb_usage){0};
    pthread_mutex_lock(&l->lock);
    sqlite3_bind_text(l->get, 1, day, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->get, 2, key_hash, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->get, 3, currency, -1, SQLITE_STATIC);
    while ((step = sqlite3_step(l->get)) == SQLITE_ROW) {
        int64_t *const to[] = {&out->requests, &out->prompt_tokens, &out->completion_tokens, &out->cost_micros};
        for (int i = 0; i < 4; i++) add_up(to[i], sqlite3_column_int64(l->get, i));
    }
    if (step != SQLITE_DONE) rc = cfb_side_error(&kind, l->path, l->db, "read it", err);
    sqlite3_reset(l->get);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

cfb_code cfb_ledger_add(cfb_ledger_t *l, const char *day, const char *key_hash, const char *model, const char *currency,
                        const cfb_usage *d, cfb_err *err) {
    const char *const texts[] = {day, key_hash, model, currency ? currency : ""};
    const int64_t numbers[] = {d->requests, d->prompt_tokens, d->completion_tokens, d->cost_micros};
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < 4; i++) {
        sqlite3_bind_text(l->add, i + 1, texts[i], -1, SQLITE_STATIC);
        sqlite3_bind_int64(l->add, i + 5, numbers[i]);
    }
    cfb_code rc = cfb_side_step(&kind, l->path, l->db, l->add, err);
    pthread_mutex_unlock(&l->lock);
    return rc;
}
