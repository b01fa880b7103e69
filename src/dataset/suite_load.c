/* Finding suite.json, and reading the texts that it names: label files and few-shot heads. */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/utf8.h"
#include "dataset/suite_internal.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef CFB_DATADIR
#define CFB_DATADIR "/usr/local/share/cfbench"
#endif
#define MAX_TEXT_BYTES ((size_t)16 << 20)

cfb_code cfb_suite__new(cfb_suite_t **out, cfb_err *err) {
    cfb_suite_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = cfb_arena_new((size_t)1 << 30, &s->arena, err);
    if (rc != CFB_OK) {
        free(s);
        return rc;
    }
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return CFB_OK;
}

void cfb_suite_free(cfb_suite_t *s) {
    if (s == NULL) return;
    cfb_arena_free(s->arena);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *cfb_suite_name(const cfb_suite_t *s) { return s->name; }
const char *cfb_suite_title(const cfb_suite_t *s) { return s->title; }
size_t cfb_suite_n_tasks(const cfb_suite_t *s) { return s->n_tasks; }
const cfb_task *cfb_suite_task(const cfb_suite_t *s, size_t i) { return &s->tasks[i]; }

const char *cfb_suite_fingerprint(const cfb_suite_t *s) {
    cfb_suite_t *own = (cfb_suite_t *)(uintptr_t)s; /* every suite was made by cfb_suite__new, so none is really const */
    pthread_mutex_lock(&own->lock);
    if (own->fingerprint[0] == '\0') cfb_suite__make_fingerprint(s, own->fingerprint);
    pthread_mutex_unlock(&own->lock);
    return s->fingerprint;
}

size_t cfb_suite_find_task(const cfb_suite_t *s, const char *name) {
    for (size_t i = 0; i < s->n_tasks; i++)
        if (strcmp(s->tasks[i].name, name) == 0) return i;
    return SIZE_MAX;
}

cfb_code cfb_suite_parse(const char *name, cfb_str json, cfb_suite_t **out, cfb_err *err) {
    cfb_suite_t *s;
    cfb_code rc = cfb_suite__new(&s, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_suite__parse(s, name, json, err);
    if (rc != CFB_OK) {
        cfb_suite_free(s);
        return rc;
    }
    *out = s;
    return CFB_OK;
}

/* dir/name/suite.json if that is there. */
static bool try_folder(const char *dir, size_t dir_len, const char *name, char *file) {
    int n = snprintf(file, PATH_MAX, "%.*s/%s/suite.json", (int)dir_len, dir, name);
    return n > 0 && n < PATH_MAX && cfb_path_exists(file);
}

static cfb_code find_suite(const char *spec, char *file, cfb_err *err) {
    bool is_dir = cfb_path_is_dir(spec);
    if (is_dir) {
        cfb_code rc = cfb_path_join(file, PATH_MAX, spec, "suite.json", err);
        if (rc != CFB_OK || cfb_path_exists(file)) return rc; /* else, such as a folder of data called cfbenchmark: a name */
    } else if (cfb_path_exists(spec)) {
        return cfb_path_join(file, PATH_MAX, NULL, spec, err);
    }
    bool is_name = strchr(spec, '/') == NULL;
    const char *path = getenv("CFBENCH_SUITE_PATH");
    while (is_name && path && *path) {
        size_t n = strcspn(path, ":");
        if (n > 0 && try_folder(path, n, spec, file)) return CFB_OK;
        path += n + (path[n] == ':');
    }
    if (is_name && (try_folder("datasets", 8, spec, file) || try_folder(CFB_DATADIR, strlen(CFB_DATADIR), spec, file)))
        return CFB_OK;
    if (is_dir) return cfb_err_set(err, CFB_ENOTFOUND, "%s: there is no suite.json in this folder", spec);
    return cfb_err_set(
        err, CFB_ENOTFOUND,
        "no suite '%s': neither a folder, nor a file, nor a name in $CFBENCH_SUITE_PATH, ./datasets or " CFB_DATADIR, spec);
}

static cfb_code read_text(const cfb_suite_t *s, const char *name, cfb_buf *out, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, s->dir, name, err);
    if (rc == CFB_OK) rc = cfb_file_read(path, MAX_TEXT_BYTES, out, err);
    if (rc != CFB_OK) return rc;
    size_t bad = cfb_utf8_find_invalid(cfb_buf_str(out));
    if (bad == SIZE_MAX) return CFB_OK;
    return cfb_err_set(err, CFB_EENCODING, "%s: byte %zu is not valid UTF-8", path, bad);
}

static cfb_code load_labels(cfb_suite_t *s, size_t i, cfb_err *err) {
    cfb_task *t = &s->tasks[i];
    const cfb_task_files *f = &s->files[i];
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_json *root = NULL;
    cfb_code rc = read_text(s, f->labels, &text, err);
    if (rc == CFB_OK) rc = cfb_json_parse(text.ptr, text.len, 0, &root, err);
    cfb_buf_free(&text);
    const cfb_json *list = cfb_json_get(root, f->labels_key);
    size_t n = cfb_json_count(list), k = 0;
    if (rc == CFB_OK && (cfb_json_kind_of(list) != CFB_JSON_ARRAY || n == 0))
        rc = cfb_err_set(err, CFB_EDATA, "member '%s' must be a list of labels", f->labels_key);
    cfb_str *labels = rc == CFB_OK ? cfb_arena_calloc(s->arena, n, sizeof *labels) : NULL;
    if (rc == CFB_OK && labels == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (const cfb_json *l = rc == CFB_OK ? cfb_json_first(list) : NULL; l && rc == CFB_OK; l = cfb_json_next(l)) {
        if (cfb_json_kind_of(l) != CFB_JSON_STRING)
            rc = cfb_err_set(err, CFB_EDATA, "'%s' holds something that is not a string", f->labels_key);
        else
            rc = cfb_arena_dup(s->arena, cfb_json_str(l), &labels[k++], err);
    }
    if (rc == CFB_OK) rc = cfb_suite__set_labels(t, labels, n, err);
    if (rc != CFB_OK) cfb_err_add_context(err, "labels of task '%s' (%s)", t->name, f->labels);
    cfb_json_free(root);
    return rc;
}

/* As Python reads a file in text mode: CRLF and CR become LF. */
static void universal_newlines(cfb_buf *b) {
    size_t to = 0;
    for (size_t i = 0; i < b->len; i++) {
        char c = b->ptr[i];
        if (c == '\r') {
            if (i + 1 < b->len && b->ptr[i + 1] == '\n') i++;
            c = '\n';
        }
        b->ptr[to++] = c;
    }
    b->len = to;
}

static cfb_code load_fewshot(cfb_suite_t *s, size_t i, cfb_err *err) {
    cfb_task *t = &s->tasks[i];
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_code rc = read_text(s, s->files[i].fewshot, &text, err);
    if (rc == CFB_OK) {
        universal_newlines(&text);
        rc = cfb_arena_dup(s->arena, cfb_buf_str(&text), &t->fewshot, err);
    }
    if (rc != CFB_OK) cfb_err_add_context(err, "few-shot head of task '%s'", t->name);
    cfb_buf_free(&text);
    return rc;
}

static cfb_code load_texts(cfb_suite_t *s, unsigned flags, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < s->n_tasks && rc == CFB_OK; i++) {
        if (s->files[i].labels && (flags & CFB_SUITE_LABELS)) rc = load_labels(s, i, err);
        bool wanted = (flags & CFB_SUITE_FEWSHOT) && s->files[i].fewshot != NULL &&
                      cfb_template_uses(s->tasks[i].prompt[CFB_SHOT_FEW], "fewshot");
        if (rc == CFB_OK && wanted) rc = load_fewshot(s, i, err);
    }
    return rc;
}

/* Without --data, files are looked for beside suite.json; for a suite whose data is not part of cfbench that cannot work. */
void cfb_suite__add_hint(const cfb_suite_t *s, cfb_err *err) {
    if (err == NULL) return;
    const char *hint = strcmp(s->name, "cfbenchmark") == 0
                           ? "; scripts/get-cfbenchmark.sh gets the data, --data FOLDER says where it is (or try --suite sample)"
                           : "; --data FOLDER says where the suite's files are, if not beside suite.json";
    size_t used = strlen(err->msg);
    snprintf(err->msg + used, sizeof err->msg - used, "%s", hint);
}

cfb_code cfb_suite_load(const char *spec, const char *data_dir, unsigned flags, cfb_suite_t **out, cfb_err *err) {
    cfb_suite_t *s = NULL;
    cfb_buf json = CFB_BUF_INIT(0);
    char file[PATH_MAX];
    cfb_code rc = find_suite(spec, file, err);
    if (rc == CFB_OK) rc = cfb_suite__new(&s, err);
    if (rc == CFB_OK) rc = cfb_file_read(file, MAX_TEXT_BYTES, &json, err);
    if (rc == CFB_OK) rc = cfb_suite__parse(s, file, cfb_buf_str(&json), err);
    if (rc == CFB_OK && data_dir) {
        rc = cfb_path_is_dir(data_dir) ? cfb_path_join(s->dir, sizeof s->dir, NULL, data_dir, err)
                                       : cfb_err_set(err, CFB_ENOTFOUND, "--data: there is no folder %s", data_dir);
    } else if (rc == CFB_OK) {
        const char *base = cfb_path_base(file);
        if (base == file)
            memcpy(s->dir, ".", 2);
        else
            snprintf(s->dir, sizeof s->dir, "%.*s", (int)(base - file - 1), file);
    }
    if (rc == CFB_OK) rc = load_texts(s, flags, err);
    if (rc == CFB_ENOTFOUND && s != NULL && data_dir == NULL) cfb_suite__add_hint(s, err);
    cfb_buf_free(&json);
    if (rc != CFB_OK) {
        cfb_suite_free(s);
        return rc;
    }
    *out = s;
    return CFB_OK;
}
