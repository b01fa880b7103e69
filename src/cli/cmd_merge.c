/* cfbench merge OUT SHARD...: the shards of a run become one run. */
#include "cfbench/cluster.h"
#include "cli/asking.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct found {
    char **paths;
    size_t n, cap;
};

static cfb_code add(struct found *f, const char *path, cfb_err *err) {
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        char **p = realloc(f->paths, cap * sizeof *p);
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        f->paths = p;
        f->cap = cap;
    }
    if ((f->paths[f->n] = strdup(path)) == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    f->n++;
    return CFB_OK;
}

/* The file of a shard's folder: a run store, or scores. False: it has neither. */
static bool file_of(const char *folder, char path[PATH_MAX]) {
    static const char *const names[] = {"run.db", CFB_SCORE_SHARD_FILE};
    for (size_t i = 0; i < 2; i++)
        if (snprintf(path, PATH_MAX, "%s/%s", folder, names[i]) < PATH_MAX && cfb_path_exists(path)) return true;
    return false;
}

/* All shards in a folder. */
static cfb_code add_shards(struct found *f, const char *folder, cfb_err *err) {
    char path[PATH_MAX], file[PATH_MAX];
    DIR *d = opendir(folder);
    if (d == NULL) return cfb_err_set_errno(err, errno, "cannot read the folder %s", folder);
    cfb_code rc = CFB_OK;
    for (struct dirent *e; rc == CFB_OK && (e = readdir(d)) != NULL;) {
        cfb_shard s;
        if (!cfb_shard_folder_parse(e->d_name, &s)) continue;
        rc = cfb_path_join(path, sizeof path, folder, e->d_name, err);
        if (rc == CFB_OK && file_of(path, file)) /* else: a shard that has not begun, and will be missed */
            rc = add(f, file, err);
    }
    closedir(d);
    return rc;
}

static cfb_code find(const cfb_config *c, struct found *f, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = CFB_OK;
    for (size_t i = 1; i < c->n_args && rc == CFB_OK; i++) {
        size_t before = f->n;
        if (!cfb_path_exists(c->args[i])) return cfb_err_set(err, CFB_ENOTFOUND, "there is no %s", c->args[i]);
        if (!cfb_path_is_dir(c->args[i]))
            rc = add(f, c->args[i], err);
        else
            rc = file_of(c->args[i], path) ? add(f, path, err) : add_shards(f, c->args[i], err);
        if (rc == CFB_OK && f->n == before)
            rc = cfb_err_set(err, CFB_ENOTFOUND,
                             "%s: no shard in it (looked for run.db and " CFB_SCORE_SHARD_FILE ", and for them in shard-*-of-*)",
                             c->args[i]);
    }
    return rc;
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* In a fixed order; each once. */
static void settle(struct found *f) {
    size_t n = 0;
    if (f->n) qsort(f->paths, f->n, sizeof *f->paths, compare_paths);
    for (size_t i = 0; i < f->n; i++) {
        if (n > 0 && strcmp(f->paths[n - 1], f->paths[i]) == 0)
            free(f->paths[i]);
        else
            f->paths[n++] = f->paths[i];
    }
    f->n = n;
}

static cfb_code merge_runs(const cfb_config *c, const char *out, const char *const *paths, size_t n, cfb_err *err) {
    cfb_merge_summary sum = {0};
    char path[PATH_MAX];
    uint64_t n_failed = 0;
    cfb_code rc = cfb_path_join(path, sizeof path, out, "run.db", err);
    int64_t begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = cfb_store_merge(path, c->force, paths, n, &sum, err);
    cfb_cli_stage_end("join shards", begin_ns);
    if (rc == CFB_OK && !c->quiet)
        fprintf(stderr, "merged %zu shards: %zu tasks, %lld rows, %lld replies, %lld failed calls; run store: %s\n", sum.n_stores,
                sum.n_tasks, (long long)sum.n_rows, (long long)sum.n_replies, (long long)sum.n_failures, path);
    if (rc == CFB_OK)
        rc = cfb_cli_publish_store(c, out, out, CFB_EXPORT_OUTPUT | CFB_EXPORT_SCORES | CFB_EXPORT_DETAILS, &n_failed, err);
    if (rc == CFB_OK && n_failed)
        rc = cfb_err_set(err, CFB_EPARTIAL, "%llu row%s no answer; run the shards again, and merge again with --force",
                         (unsigned long long)n_failed, n_failed == 1 ? " has" : "s have");
    return rc;
}

cfb_code cfb_cmd_merge(const cfb_config *c, cfb_err *err) {
    struct found f = {0};
    size_t n_scores = 0, n_vectors = 0;
    const char *out = c->args[0];
    cfb_code rc = find(c, &f, err);
    settle(&f);
    const char *const *paths = (const char *const *)f.paths;
    for (size_t i = 0; i < f.n; i++) {
        n_scores += cfb_score_shard_is_one(paths[i]);
        n_vectors += cfb_cli_is_npy(paths[i]);
    }
    if (rc == CFB_OK && n_scores + n_vectors > 0 && n_scores < f.n && n_vectors < f.n)
        rc = cfb_err_set(err, CFB_EUSAGE, "shards of runs, of 'score' and of 'embed' do not go together");
    if (rc == CFB_OK && n_vectors) {
        rc = cfb_cli_merge_vectors(c, out, paths, f.n, err);
        goto out;
    }
    if (rc == CFB_OK && cfb_path_exists(out) && !cfb_path_is_dir(out))
        rc = cfb_err_set(err, CFB_EUSAGE, "%s is a file; merge writes a folder", out);
    if (rc == CFB_OK) rc = cfb_mkdir_p(out, err);
    if (rc == CFB_OK) rc = n_scores ? cfb_cli_merge_scores(c, out, paths, f.n, err) : merge_runs(c, out, paths, f.n, err);
out:
    for (size_t i = 0; i < f.n; i++) free(f.paths[i]);
    free(f.paths);
    return rc;
}
