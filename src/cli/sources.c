/* PATH... -> sources: run stores and response files, folders searched; and what tells two results of one name apart. */
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define MAX_DEPTH 16

/* ---- files and folders ---- */

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

static void free_list(struct list *l) {
    for (size_t i = 0; i < l->n; i++) free(l->paths[i]);
    free(l->paths);
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* What is scored of a folder: run stores, and files named TASK-output.*. Other files there (scores, reports) are results. */
static bool is_source(const char *name) {
    static const char *const forms[] = {".csv", ".jsonl", ".json", ".arrow"}, *const packed[] = {"", ".gz", ".zst"};
    char end[32];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (size_t k = 0; k < sizeof packed / sizeof *packed; k++) {
            snprintf(end, sizeof end, "-output%s%s", forms[i], packed[k]);
            if (ends_with(name, end)) return true;
        }
    return false;
}

/* A folder that Hugging Face's save_to_disk wrote is one source. */
static bool is_dataset(const char *dir) {
    char path[PATH_MAX];
    cfb_err ignored = CFB_ERR_INIT;
    return cfb_path_join(path, sizeof path, dir, "state.json", &ignored) == CFB_OK && cfb_path_exists(path);
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static cfb_code read_names(const char *dir, struct list *names, cfb_err *err) {
    DIR *d = opendir(dir);
    if (d == NULL) return cfb_err_set_errno(err, errno, "cannot read the folder %s", dir);
    cfb_code rc = CFB_OK;
    for (struct dirent *e; rc == CFB_OK && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') rc = add_path(names, e->d_name, err);
    closedir(d);
    if (names->n) qsort(names->paths, names->n, sizeof *names->paths, compare_paths); /* the same order on every file system */
    return rc;
}

static cfb_code walk(struct list *l, const char *dir, int depth, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "run.db", err);
    if (rc != CFB_OK) return rc;
    if (cfb_path_exists(path)) return add_path(l, path, err); /* its exports are the same rows again */
    struct list names = {0};
    rc = read_names(dir, &names, err);
    for (size_t i = 0; i < names.n && rc == CFB_OK; i++) {
        rc = cfb_path_join(path, sizeof path, dir, names.paths[i], err);
        if (rc != CFB_OK) break;
        if (!cfb_path_is_dir(path)) {
            if (is_source(names.paths[i])) rc = add_path(l, path, err);
        } else if (ends_with(names.paths[i], "-output") && is_dataset(path)) {
            rc = add_path(l, path, err);
        } else if (depth < MAX_DEPTH) {
            rc = walk(l, path, depth + 1, err);
        }
    }
    free_list(&names);
    return rc;
}

static cfb_code collect(const cfb_config *c, struct list *l, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < c->n_args && rc == CFB_OK; i++) {
        const char *arg = c->args[i];
        size_t before = l->n;
        if (strcmp(arg, "-") == 0) {
            rc = add_path(l, arg, err);
        } else if (!cfb_path_exists(arg)) {
            rc = cfb_err_set(err, CFB_ENOTFOUND, "there is no file or folder %s", arg);
        } else if (!cfb_path_is_dir(arg) || is_dataset(arg)) {
            rc = add_path(l, arg, err);
        } else {
            rc = walk(l, arg, 0, err);
            if (rc == CFB_OK && l->n == before)
                rc = cfb_err_set(
                    err, CFB_ENOTFOUND,
                    "%s: nothing to score (looked for run.db and TASK-output.csv, .jsonl, .json, .arrow, also .gz and "
                    ".zst)",
                    arg);
        }
    }
    return rc;
}

/* A source that is named twice, by whatever path, counts once. */
static void drop_repeats(struct list *l) {
    size_t n = 0;
    struct stat a, b;
    for (size_t i = 0; i < l->n; i++) {
        size_t k = 0;
        bool here = strcmp(l->paths[i], "-") != 0 && stat(l->paths[i], &a) == 0;
        for (; k < n; k++) {
            if (strcmp(l->paths[i], l->paths[k]) == 0) break;
            if (here && strcmp(l->paths[k], "-") != 0 && stat(l->paths[k], &b) == 0 && a.st_ino == b.st_ino &&
                a.st_dev == b.st_dev)
                break;
        }
        if (k < n) {
            cfb_log(CFB_LOG_WARN, "%s is given twice and counted once", l->paths[i]);
            free(l->paths[i]);
        } else {
            l->paths[n++] = l->paths[i];
        }
    }
    l->n = n;
}

/* ---- names ---- */

struct tasks {
    char **names;
    size_t n;
};

static cfb_code dup_to(cfb_arena_t *arena, const char *text, size_t len, const char **out, cfb_err *err) {
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(arena, (cfb_str){text, len}, &copy, err);
    if (rc == CFB_OK) *out = copy.ptr;
    return rc;
}

/* .../few-shot/openai/gpt-4o-mini/sector-output.csv -> setting and model, and what stands before. */
static cfb_code names_from_path(const char *path, cfb_arena_t *arena, cfb_source *s, size_t *root_len, cfb_err *err) {
    const char *base = cfb_path_base(path);
    cfb_code rc = CFB_OK;
    *root_len = base > path ? (size_t)(base - path - 1) : 0;
    for (int k = 0; k < 2 && rc == CFB_OK; k++) {
        const char *setting = cfb_shot_name((cfb_shot)k), *at = strstr(path, setting);
        size_t n = strlen(setting);
        if (at == NULL || (at != path && at[-1] != '/') || at[n] != '/') continue;
        s->setting = setting;
        *root_len = at > path ? (size_t)(at - path - 1) : 0;
        if (at + n + 1 < base) rc = dup_to(arena, at + n + 1, (size_t)(base - 1 - (at + n + 1)), &s->model, err);
    }
    return rc;
}

static cfb_code names_from_store(const char *path, cfb_arena_t *arena, cfb_source *s, cfb_err *err) {
    cfb_store_t *store = NULL;
    cfb_code rc = cfb_store_open(path, CFB_STORE_READ, &store, err);
    if (rc != CFB_OK) return rc;
    const char *model = cfb_store_setting_get(store, "model"), *shot = cfb_store_setting_get(store, "shot");
    if (model == NULL) model = "unknown-model";
    rc = dup_to(arena, model, strlen(model), &s->model, err);
    s->setting = cfb_shot_name(shot && strcmp(shot, "zero") == 0 ? CFB_SHOT_ZERO : CFB_SHOT_FEW);
    cfb_store_close(store, NULL);
    return rc;
}

/* Folders that say nothing about a run. */
static bool is_layout(const char *name, size_t len) {
    static const char *const names[] = {"cfbenchmark-response", "cfbenchmark-scores", "."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) return true;
    return false;
}

/* The last n parts of root that say something, joined by '-'. */
static void last_parts(const char *root, size_t len, int n, char *out, size_t size) {
    size_t begin = len, kept = 0;
    out[0] = '\0';
    for (int k = 0; k < n && begin > 0;) {
        size_t end = begin;
        while (begin > 0 && root[begin - 1] != '/') begin--;
        size_t part = end - begin;
        if (part > 0 && !is_layout(root + begin, part) && kept + part + 2 < size) {
            memmove(out + part + (kept > 0), out, kept + 1);
            memcpy(out, root + begin, part);
            if (kept > 0) out[part] = '-';
            kept += part + (kept > 0);
            k++;
        }
        while (begin > 0 && root[begin - 1] == '/') begin--;
    }
}

cfb_code cfb_source_of(const cfb_config *c, const char *path, bool is_store, cfb_arena_t *arena, cfb_source *s, cfb_err *err) {
    *s = (cfb_source){.is_store = is_store};
    struct stat st;
    size_t root_len = 0;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode)) s->bytes = (uint64_t)st.st_size;
    cfb_code rc = dup_to(arena, path, strlen(path), &s->path, err);
    if (rc == CFB_OK && is_store) rc = names_from_store(path, arena, s, err);
    if (rc == CFB_OK && !is_store) rc = names_from_path(path, arena, s, &root_len, err);
    if (rc != CFB_OK) return rc;
    s->own_tag = s->path;
    if (is_store) return CFB_OK;
    if (c->model_name) s->model = c->model_name;
    if (c->setting) s->setting = c->setting;
    return CFB_OK;
}

/* ---- two sources of one result ---- */

struct clash {
    cfb_source *s;
    size_t root_len; /* of s->path: the folder of the run */
    struct tasks tasks;
    bool marked;
};

static cfb_code note_task(void *ctx, int64_t id, const cfb_store_task *t, cfb_err *err) {
    struct tasks *to = ctx;
    (void)id;
    char **names = realloc(to->names, (to->n + 1) * sizeof *names);
    if (names) to->names = names;
    char *name = names ? strdup(t->name) : NULL;
    if (name == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    to->names[to->n++] = name;
    return CFB_OK;
}

static cfb_code list_tasks(const cfb_config *c, struct clash *x, cfb_err *err) {
    const char *base = cfb_path_base(x->s->path);
    char name[80];
    if (x->s->is_store) {
        cfb_store_t *store = NULL;
        cfb_code rc = cfb_store_open(x->s->path, CFB_STORE_READ, &store, err);
        if (rc == CFB_OK) rc = cfb_store_each_task(store, note_task, &x->tasks, err);
        cfb_store_close(store, NULL);
        x->root_len = base > x->s->path ? (size_t)(base - x->s->path - 1) : 0;
        return rc;
    }
    cfb_source ignored = {0};
    cfb_arena_t *arena = NULL;
    cfb_code rc = cfb_arena_new(0, &arena, err);
    if (rc == CFB_OK) rc = names_from_path(x->s->path, arena, &ignored, &x->root_len, err);
    cfb_arena_free(arena);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "-."), base);
    cfb_store_task one = {.name = c->task ? c->task : name};
    return rc == CFB_OK ? note_task(&x->tasks, 0, &one, err) : rc;
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static bool same_names(const struct clash *a, const struct clash *b) {
    return same(a->s->model, b->s->model) && same(a->s->setting, b->s->setting);
}

static bool same_root(const struct clash *a, const struct clash *b) {
    return a->root_len == b->root_len && memcmp(a->s->path, b->s->path, a->root_len) == 0;
}

static const char *common_task(const cfb_config *c, const struct clash *a, const struct clash *b) {
    for (size_t i = 0; i < a->tasks.n; i++)
        for (size_t k = 0; k < b->tasks.n; k++)
            if (strcmp(a->tasks.names[i], b->tasks.names[k]) == 0 && cfb_cli_is_picked(c, a->tasks.names[i]))
                return a->tasks.names[i];
    return NULL;
}

static cfb_code mark(const cfb_config *c, struct clash *x, size_t n, cfb_err *err) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            const char *task = same_names(&x[i], &x[k]) ? common_task(c, &x[i], &x[k]) : NULL;
            if (task == NULL) continue;
            if (strcmp(c->duplicates, "fail") == 0)
                return cfb_err_set(
                    err, CFB_EUSAGE,
                    "%.90s and %.90s both hold task '%.40s' of one model and setting: --duplicates separate or join",
                    x[i].s->path, x[k].s->path, task);
            x[i].marked = x[k].marked = true;
        }
    /* the other tasks of these runs go with them */
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && !x[i].marked; k++)
            if (x[k].marked && same_names(&x[i], &x[k]) && same_root(&x[i], &x[k])) x[i].marked = true;
    return CFB_OK;
}

/* The shortest end of the run's folder that no other run here has; two files of one folder are told apart by their names. */
static cfb_code make_tag(struct clash *x, size_t n, size_t i, cfb_arena_t *arena, cfb_err *err) {
    char tag[300] = "", other[300];
    bool unique = false;
    for (int parts = 1; parts <= 8 && !unique; parts++) {
        last_parts(x[i].s->path, x[i].root_len, parts, tag, 160);
        unique = true;
        for (size_t k = 0; k < n && unique; k++) {
            last_parts(x[k].s->path, x[k].root_len, parts, other, 160);
            unique = same_root(&x[i], &x[k]) || strcmp(tag, other) != 0;
        }
    }
    bool alone = true;
    for (size_t k = 0; k < n; k++)
        if (k != i && same_root(&x[i], &x[k]) && same_names(&x[i], &x[k]) && x[k].tasks.n && x[i].tasks.n &&
            strcmp(x[k].tasks.names[0], x[i].tasks.names[0]) == 0)
            alone = false;
    size_t used = strlen(tag);
    const char *base = cfb_path_base(x[i].s->path);
    if (!alone || used == 0)
        snprintf(tag + used, sizeof tag - used, "%s%.100s", used ? "-" : "", strcmp(base, "-") == 0 ? "stdin" : base);
    return dup_to(arena, tag, strlen(tag), &x[i].s->own_tag, err);
}

static cfb_code tell_apart(const cfb_config *c, cfb_source *s, size_t n, cfb_arena_t *arena, cfb_err *err) {
    struct clash *x = calloc(n ? n : 1, sizeof *x);
    cfb_code rc = x ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        x[i].s = &s[i];
        rc = list_tasks(c, &x[i], err);
    }
    if (rc == CFB_OK && c->task_column == NULL) rc = mark(c, x, n, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        if (!x[i].marked || strcmp(c->duplicates, "separate") != 0) continue;
        rc = make_tag(x, n, i, arena, err);
        s[i].tag = s[i].own_tag;
    }
    for (size_t i = 0; x != NULL && i < n; i++) {
        for (size_t k = 0; k < x[i].tasks.n; k++) free(x[i].tasks.names[k]);
        free(x[i].tasks.names);
    }
    free(x);
    return rc;
}

cfb_code cfb_sources_find(const cfb_config *c, cfb_arena_t *arena, cfb_source **out, size_t *n, cfb_err *err) {
    struct list l = {0};
    cfb_code rc = collect(c, &l, err);
    drop_repeats(&l);
    *n = l.n;
    *out = rc == CFB_OK ? cfb_arena_calloc(arena, l.n ? l.n : 1, sizeof **out) : NULL;
    if (rc == CFB_OK && *out == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < l.n && rc == CFB_OK; i++) {
        bool is_store = strcmp(l.paths[i], "-") != 0 && cfb_store_is_run_store(l.paths[i]);
        rc = cfb_source_of(c, l.paths[i], is_store, arena, &(*out)[i], err);
    }
    if (rc == CFB_OK && l.n > 1) rc = tell_apart(c, *out, l.n, arena, err);
    free_list(&l);
    return rc;
}
