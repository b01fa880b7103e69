/* A process's place in a cluster job: its shard, its folder, and the stores beside its own. */
#include "cfbench/cluster.h"
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

cfb_store_mode cfb_cli_store_mode(const cfb_config *c) {
    if (c->store_locks && strcmp(c->store_locks, "exclusive") == 0) return CFB_STORE_WRITE_ALONE;
    return c->store_locks && strcmp(c->store_locks, "shared") == 0 ? CFB_STORE_WRITE_SHARED : CFB_STORE_WRITE;
}

/* When the job ends, and where its temporary files go. */
static void settle_job(cfb_config *c, const cfb_jobenv *env) {
    int64_t now = cfb_now_ns();
    double left_s = c->time_limit;
    if (left_s <= 0 && env->end_wall_ms > 0) {
        left_s = (double)(env->end_wall_ms - cfb_wall_ms()) * 1e-3;
        if (left_s < -3600 || left_s > 31536000) return; /* no limit, or a variable of another job */
        if (left_s < 1e-3) left_s = 1e-3;                /* it is over, and about to be killed: nothing fits any more */
        cfb_log(CFB_LOG_DEBUG, "job %s ends in %.0f s", env->job_id ? env->job_id : "", left_s);
    }
    if (left_s > 0) c->end_ns = now + (int64_t)(left_s * 1e9);
    if (env->scratch && cfb_path_is_dir(env->scratch)) c->scratch = env->scratch;
    if (env->restarts > 0)
        cfb_log(CFB_LOG_INFO, "job %s was requeued (%lld so far): going on where it stopped", env->job_id ? env->job_id : "",
                (long long)env->restarts);
}

/* A rank whose replies go to rank 0 keeps its rows' keys in a store that nobody else sees. */
static cfb_code scratch_run(cfb_config *c, cfb_err *err) {
    char path[PATH_MAX];
    const char *tmp = c->scratch ? c->scratch : getenv("TMPDIR");
    cfb_str copy;
    snprintf(path, sizeof path, "%.4000s/cfbench-rank-%d.XXXXXX", tmp && *tmp ? tmp : "/tmp", c->rank);
    if (mkdtemp(path) == NULL) return cfb_err_set_errno(err, errno, "rank %d: cannot make %s", c->rank, path);
    cfb_code rc = cfb_arena_dup(c->arena, cfb_str_from(path), &copy, err);
    if (rc == CFB_OK) c->out = copy.ptr;
    return rc;
}

void cfb_cli_remove_scratch(const cfb_config *c) {
    static const char *const names[] = {
        "/run.db", "/run.db-wal", "/run.db-shm", "/run.db-journal", "/run.db.lock", "/run.db.reserve", ""};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%.4000s%s", c->out, names[i]);
        remove(path);
    }
}

cfb_code cfb_cli_place(cfb_config *c, cfb_err *err) {
    cfb_jobenv env;
    cfb_shard shard;
    char name[48], path[PATH_MAX];
    cfb_str copy;
    bool asks = c->command == CFB_CMD_RUN || c->command == CFB_CMD_GENERATE, plans = c->command == CFB_CMD_DOCTOR;
    if (!asks && !plans && c->command != CFB_CMD_SCORE && c->command != CFB_CMD_EMBED) return CFB_OK;
    cfb_jobenv_read(&env);
    if (asks) settle_job(c, &env);
    if (c->rank > 0 && asks) return scratch_run(c, err);
    if (c->n_ranks > 0 && !asks && c->shard)
        return cfb_err_set(err, CFB_EUSAGE, "--shard: the ranks of a job over MPI share the rows by themselves");
    if (c->shard == NULL) return CFB_OK;
    cfb_code rc = cfb_shard_parse(c->shard, &env, &shard, err);
    if (rc == CFB_OK && (c->command == CFB_CMD_EMBED || plans)) { /* it names its file itself; it writes nothing */
        c->shard_index = shard.index;
        c->shard_count = shard.count;
        return CFB_OK;
    }
    if (rc == CFB_OK && c->out == NULL)
        rc = cfb_err_set(err, CFB_EUSAGE, "--shard needs --out: the folder that all shards are written into");
    if (rc != CFB_OK) return rc;
    cfb_shard_folder(shard, name);
    rc = cfb_path_join(path, sizeof path, c->out, name, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(c->arena, cfb_str_from(path), &copy, err);
    if (rc != CFB_OK) return rc;
    c->out = copy.ptr;
    c->shard_index = shard.index;
    c->shard_count = shard.count;
    return CFB_OK;
}

/* ---- stores beside ---- */

struct beside {
    cfb_store_t *own, *other;
    char differs[64];
};

static cfb_code compare_setting(void *ctx, const char *name, const char *value, cfb_err *err) {
    struct beside *b = ctx;
    (void)err;
    if (strcmp(name, "shard") == 0 || strcmp(name, "base-url") == 0) return CFB_OK; /* another address is still the same model */
    const char *theirs = cfb_store_setting_get(b->other, name);
    if (theirs == NULL || strcmp(theirs, value) != 0) snprintf(b->differs, sizeof b->differs, "%s", name);
    return CFB_OK;
}

static cfb_code take_store(const char *path, cfb_store_t *own, cfb_store_t ***stores, size_t *n, cfb_err *err) {
    struct beside b = {.own = own};
    cfb_err why = CFB_ERR_INIT;
    if (cfb_store_open(path, CFB_STORE_READ, &b.other, &why) != CFB_OK) {
        cfb_log(CFB_LOG_WARN, "replies in %s are not used: %s", path, why.msg);
        return CFB_OK;
    }
    cfb_code rc = cfb_store_each_setting(own, compare_setting, &b, err);
    if (rc == CFB_OK && b.differs[0])
        cfb_log(CFB_LOG_WARN, "replies in %s are not used: %s is another one there", path, b.differs);
    cfb_store_t **more = rc == CFB_OK && !b.differs[0] ? realloc(*stores, (*n + 1) * sizeof *more) : NULL;
    if (more == NULL) {
        cfb_store_close(b.other, NULL);
        return rc == CFB_OK && !b.differs[0] ? cfb_err_set(err, CFB_ENOMEM, "out of memory") : rc;
    }
    more[(*n)++] = b.other;
    *stores = more;
    return CFB_OK;
}

cfb_code cfb_cli_earlier_stores(const cfb_config *c, cfb_store_t *own, cfb_store_t ***stores, size_t *n, cfb_err *err) {
    char folder[PATH_MAX], path[PATH_MAX + 300];
    *stores = NULL;
    *n = 0;
    if (c->shard_count == 0) return CFB_OK;
    const char *base = cfb_path_base(c->out);
    snprintf(folder, sizeof folder, "%.*s", base == c->out ? 1 : (int)(base - c->out), base == c->out ? "." : c->out);
    cfb_code rc = CFB_OK;
    snprintf(path, sizeof path, "%s/run.db", folder);
    if (cfb_path_exists(path)) rc = take_store(path, own, stores, n, err);
    DIR *d = opendir(folder);
    for (struct dirent *e; rc == CFB_OK && d && (e = readdir(d)) != NULL;) {
        cfb_shard s;
        /* those of the same number of shards have other rows, and are being written */
        if (!cfb_shard_folder_parse(e->d_name, &s) || s.count == c->shard_count) continue;
        snprintf(path, sizeof path, "%s/%s/run.db", folder, e->d_name);
        if (cfb_path_exists(path)) rc = take_store(path, own, stores, n, err);
    }
    if (d) closedir(d);
    return rc;
}

void cfb_cli_close_stores(cfb_store_t **stores, size_t n) {
    for (size_t i = 0; i < n; i++) cfb_store_close(stores[i], NULL);
    free(stores);
}
