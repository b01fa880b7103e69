/* cfbench score PATH...: run stores, response files, and folders of them. */
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_DEPTH 16

struct list {
    char **paths;
    size_t n, cap;
};

static cfb_code add_path(struct list *l, const char *path, cfb_err *err) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        char **p = realloc(l->paths, cap * sizeof *p);
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        l->paths = p;
        l->cap = cap;
    }
    l->paths[l->n] = strdup(path);
    if (l->paths[l->n] == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    l->n++;
    return CFB_OK;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* What is scored of a folder: run stores, and files named TASK-output.*. Other files there (scores, reports) are results. */
static bool is_source(const char *name) {
    static const char *const ends[] = {"-output.csv",     "-output.jsonl",     "-output.json",
                                       "-output.csv.gz",  "-output.jsonl.gz",  "-output.json.gz",
                                       "-output.csv.zst", "-output.jsonl.zst", "-output.json.zst"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static cfb_code walk(struct list *l, const char *dir, int depth, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "run.db", err);
    if (rc == CFB_OK && cfb_path_exists(path)) return add_path(l, path, err); /* its exports are the same rows again */
    DIR *d = rc == CFB_OK ? opendir(dir) : NULL;
    if (d == NULL) return rc == CFB_OK ? cfb_err_set_errno(err, errno, "cannot read the folder %s", dir) : rc;
    struct list names = {0};
    for (struct dirent *e; rc == CFB_OK && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') rc = add_path(&names, e->d_name, err);
    closedir(d);
    if (names.n) qsort(names.paths, names.n, sizeof *names.paths, compare_paths); /* the same order on every file system */
    for (size_t i = 0; i < names.n && rc == CFB_OK; i++) {
        rc = cfb_path_join(path, sizeof path, dir, names.paths[i], err);
        if (rc != CFB_OK) break;
        if (cfb_path_is_dir(path)) {
            if (depth < MAX_DEPTH) rc = walk(l, path, depth + 1, err);
        } else if (is_source(names.paths[i])) {
            rc = add_path(l, path, err);
        }
    }
    for (size_t i = 0; i < names.n; i++) free(names.paths[i]);
    free(names.paths);
    return rc;
}

static cfb_code collect_path(const char *path, struct list *l, cfb_err *err) {
    size_t before = l->n;
    if (!cfb_path_exists(path)) return cfb_err_set(err, CFB_ENOTFOUND, "there is no file or folder %s", path);
    if (!cfb_path_is_dir(path)) return add_path(l, path, err);
    cfb_code rc = walk(l, path, 0, err);
    if (rc == CFB_OK && l->n == before)
        rc = cfb_err_set(err, CFB_ENOTFOUND,
                         "%s: nothing to score (looked for run.db and TASK-output.csv, .jsonl, .json, also .gz and .zst)", path);
    return rc;
}

static cfb_code collect(const cfb_config *c, struct list *l, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < c->n_args && rc == CFB_OK; i++) rc = collect_path(c->args[i], l, err);
    return rc;
}

static cfb_code score_all(cfb_scoring_t *s, const struct list *l, const char *dir, unsigned what, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < l->n && rc == CFB_OK; i++)
        rc = cfb_store_is_run_store(l->paths[i]) ? cfb_scoring_add_store(s, l->paths[i], dir, what, err)
                                                 : cfb_scoring_add_file(s, l->paths[i], dir, what, err);
    return rc;
}

static void free_list(struct list *l) {
    for (size_t i = 0; i < l->n; i++) free(l->paths[i]);
    free(l->paths);
}

cfb_code cfb_cli_score_path(cfb_scoring_t *s, const char *path, cfb_err *err) {
    struct list l = {0};
    cfb_code rc = collect_path(path, &l, err);
    if (rc == CFB_OK) rc = score_all(s, &l, NULL, 0, err);
    free_list(&l);
    return rc;
}

cfb_code cfb_cmd_score(const cfb_config *c, cfb_err *err) {
    struct list l = {0};
    cfb_scoring_t *s = NULL;
    cfb_code rc = collect(c, &l, err);
    if (rc == CFB_OK) rc = cfb_scoring_new(c, &s, err);
    unsigned what = CFB_EXPORT_SCORES | CFB_EXPORT_DETAILS;
    if (rc == CFB_OK) rc = score_all(s, &l, c->out, what, err);
    if (rc == CFB_OK && cfb_scoring_report(s)->n_tasks == 0)
        rc = cfb_err_set(err, CFB_EUSAGE, "--tasks %s: none of these is in what was given", c->tasks ? c->tasks : "");
    if (rc == CFB_OK) rc = cfb_scoring_check_metrics(s, err);
    if (rc == CFB_OK) rc = cfb_scoring_publish(s, c->out, err);
    uint64_t n_failed = rc == CFB_OK ? cfb_scoring_n_failed(s) : 0;
    if (n_failed)
        rc = cfb_err_set(err, CFB_EPARTIAL, "%llu row%s no answer and count%s 0 in the scores over all rows",
                         (unsigned long long)n_failed, n_failed == 1 ? " has" : "s have", n_failed == 1 ? "s" : "");
    cfb_scoring_free(s);
    free_list(&l);
    return rc;
}
