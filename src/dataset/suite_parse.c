/* suite.json -> tasks. Every member is known by name: a misspelt one is an error, not a silent default. */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "dataset/suite_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_TASKS 1000
#define MAX_STEPS 32
#define MAX_LABELS ((size_t)1 << 20)
#define SUITE_SCHEMA "cfbench.suite/1"

struct parse {
    cfb_suite_t *s;
    const char *task; /* name for messages, or "defaults" */
    cfb_err *err;
};

const char *cfb_task_kind_name(cfb_task_kind k) {
    static const char *const names[] = {"recognition", "classification", "generation"};
    return names[k];
}
const char *cfb_label_set_name(cfb_label_set l) {
    static const char *const names[] = {"row", "suite", "observed"};
    return names[l];
}
const char *cfb_shot_name(cfb_shot s) { return s == CFB_SHOT_ZERO ? "zero-shot" : "few-shot"; }

static cfb_code bad(const struct parse *p, const char *member, const char *want) {
    return cfb_err_set(p->err, CFB_EDATA, "%s: '%s' must be %s", p->task, member, want);
}

static cfb_code no_memory(const struct parse *p) { return cfb_err_set(p->err, CFB_ENOMEM, "out of memory"); }

static cfb_code check_members(const struct parse *p, const cfb_json *object, const char *const *known, size_t n_known) {
    for (const cfb_json *m = cfb_json_first(object); m; m = cfb_json_next(m)) {
        cfb_str key = cfb_json_key(m);
        bool ok = key.len > 2 && key.ptr[0] == 'x' && key.ptr[1] == '-';
        for (size_t i = 0; i < n_known && !ok; i++) ok = cfb_str_eqz(key, known[i]);
        if (!ok)
            return cfb_err_set(p->err, CFB_EDATA, "%s: unknown member '%.60s' (docs/suites.md lists them; x-... is free)",
                               p->task, key.ptr);
    }
    return CFB_OK;
}

/* Copies a string member; absent leaves *out alone. Refuses U+0000 by construction of JSON strings here. */
static cfb_code get_string(const struct parse *p, const cfb_json *object, const char *key, const char **out) {
    const cfb_json *m = cfb_json_get(object, key);
    if (m == NULL) return CFB_OK;
    cfb_str v = cfb_json_str(m), copy;
    if (v.ptr == NULL || v.len == 0) return bad(p, key, "a non-empty string");
    cfb_code rc = cfb_arena_dup(p->s->arena, v, &copy, p->err);
    if (rc == CFB_OK) *out = copy.ptr;
    return rc;
}

/* A data file's name must stay inside the data folder. */
static cfb_code check_path(const struct parse *p, const char *member, const char *path) {
    bool up = strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 || strstr(path, "/../") != NULL;
    size_t n = strlen(path);
    if (n >= 3 && strcmp(path + n - 3, "/..") == 0) up = true;
    if (path[0] == '/' || up || n > 1000) return bad(p, member, "a path inside the data folder (no '..', not absolute)");
    return CFB_OK;
}

static cfb_code get_choice(const struct parse *p, const cfb_json *object, const char *key, const char *const *names, size_t n,
                           int *out) {
    const cfb_json *m = cfb_json_get(object, key);
    if (m == NULL) return CFB_OK;
    char want[128] = "";
    for (size_t i = 0; i < n; i++) {
        if (cfb_json_str(m).ptr && cfb_str_eqz(cfb_json_str(m), names[i])) {
            *out = (int)i;
            return CFB_OK;
        }
        size_t used = strlen(want);
        snprintf(want + used, sizeof want - used, "%s%s", i ? ", " : "one of ", names[i]);
    }
    return bad(p, key, want);
}

static cfb_code parse_step(const struct parse *p, const cfb_json *j, cfb_step *step) {
    static const char want[] = "a list of steps: \"strip\", \"first_line\", {\"after_first\": TEXT}, "
                               "{\"last_of_split\": {\"separator\": TEXT, \"max_splits\": N}}";
    cfb_str name = cfb_json_str(j);
    if (name.ptr && cfb_str_eqz(name, "strip")) {
        step->kind = CFB_STEP_STRIP;
        return CFB_OK;
    }
    if (name.ptr && cfb_str_eqz(name, "first_line")) {
        step->kind = CFB_STEP_FIRST_LINE;
        return CFB_OK;
    }
    const cfb_json *after = cfb_json_get(j, "after_first"), *split = cfb_json_get(j, "last_of_split");
    if (cfb_json_count(j) != 1 || (after == NULL && split == NULL)) return bad(p, "postprocess", want);
    cfb_str separator = cfb_json_str(after ? after : cfb_json_get(split, "separator"));
    if (separator.ptr == NULL || separator.len == 0) return bad(p, "postprocess", want);
    step->kind = after ? CFB_STEP_AFTER_FIRST : CFB_STEP_LAST_OF_SPLIT;
    if (split) {
        int64_t n;
        if (!cfb_json_int(cfb_json_get(split, "max_splits"), &n) || n < 1 || n > 1000000 || cfb_json_count(split) != 2)
            return bad(p, "postprocess", want);
        step->max_splits = (size_t)n;
    }
    return cfb_arena_dup(p->s->arena, separator, &step->separator, p->err);
}

static cfb_code parse_steps(const struct parse *p, const cfb_json *list, const cfb_step **out, size_t *n_out) {
    size_t n = cfb_json_count(list), i = 0;
    if (cfb_json_kind_of(list) != CFB_JSON_ARRAY || n > MAX_STEPS)
        return bad(p, "postprocess", "an object of lists (at most 32 steps)");
    cfb_step *steps = cfb_arena_calloc(p->s->arena, n, sizeof *steps);
    if (steps == NULL) return no_memory(p);
    for (const cfb_json *j = cfb_json_first(list); j; j = cfb_json_next(j)) {
        cfb_code rc = parse_step(p, j, &steps[i++]);
        if (rc != CFB_OK) return rc;
    }
    *out = steps;
    *n_out = n;
    return CFB_OK;
}

static cfb_code check_template(const struct parse *p, const char *setting, const cfb_task *t, cfb_str text) {
    size_t pos = 0;
    cfb_template_piece piece;
    cfb_code rc;
    while (cfb_template_next(text, &pos, &piece, &rc, p->err)) continue;
    if (rc != CFB_OK) {
        cfb_err_add_context(p->err, "%s: prompt '%s', byte %zu", p->task, setting, (size_t)(p->err ? p->err->offset : 0));
        return rc;
    }
    if (t->candidates_open.ptr == NULL && cfb_template_uses(text, "candidates"))
        return cfb_err_set(p->err, CFB_EDATA,
                           "%s: prompt '%s' uses {candidates}, so the task needs 'candidates' with 'open' and 'close'", p->task,
                           setting);
    return CFB_OK;
}

/* prompt and postprocess: objects with a member per setting. */
static cfb_code parse_settings(const struct parse *p, const cfb_json *j, cfb_task *t) {
    static const char *const shots[] = {"zero", "few"};
    const cfb_json *prompt = cfb_json_get(j, "prompt"), *post = cfb_json_get(j, "postprocess");
    cfb_code rc = CFB_OK;
    if (prompt) {
        if (cfb_json_kind_of(prompt) != CFB_JSON_OBJECT) return bad(p, "prompt", "an object with 'zero' and/or 'few'");
        rc = check_members(p, prompt, shots, 2);
        for (int k = 0; k < 2 && rc == CFB_OK; k++) {
            const cfb_json *m = cfb_json_get(prompt, shots[k]);
            t->prompt[k] = CFB_STR_NULL;
            if (m && cfb_json_str(m).len == 0) return bad(p, "prompt", "an object of non-empty strings");
            if (m) rc = cfb_arena_dup(p->s->arena, cfb_json_str(m), &t->prompt[k], p->err);
        }
    }
    if (rc == CFB_OK && post) {
        if (cfb_json_kind_of(post) != CFB_JSON_OBJECT) return bad(p, "postprocess", "an object with 'zero' and/or 'few'");
        rc = check_members(p, post, shots, 2);
        for (int k = 0; k < 2 && rc == CFB_OK; k++) {
            const cfb_json *m = cfb_json_get(post, shots[k]);
            if (m) rc = parse_steps(p, m, &t->steps[k], &t->n_steps[k]);
        }
    }
    return rc;
}

static cfb_code parse_candidates(const struct parse *p, const cfb_json *j, cfb_task *t) {
    static const char *const known[] = {"open", "close"};
    const cfb_json *c = cfb_json_get(j, "candidates");
    if (c == NULL) return CFB_OK;
    cfb_code rc = check_members(p, c, known, 2);
    if (rc != CFB_OK) return rc;
    cfb_str open = cfb_json_str(cfb_json_get(c, "open")), close = cfb_json_str(cfb_json_get(c, "close"));
    if (open.len == 0 || close.len == 0) return bad(p, "candidates", "an object with the strings 'open' and 'close'");
    rc = cfb_arena_dup(p->s->arena, open, &t->candidates_open, p->err);
    return rc == CFB_OK ? cfb_arena_dup(p->s->arena, close, &t->candidates_close, p->err) : rc;
}

static int compare_labels(const void *a, const void *b) { return cfb_str_cmp(*(const cfb_str *)a, *(const cfb_str *)b); }

cfb_code cfb_suite__set_labels(cfb_task *t, cfb_str *labels, size_t n, cfb_err *err) {
    qsort(labels, n, sizeof *labels, compare_labels);
    for (size_t i = 0; i < n; i++) {
        if (labels[i].len == 0) return cfb_err_set(err, CFB_EDATA, "a label of task '%s' is empty", t->name);
        if (i && cfb_str_eq(labels[i - 1], labels[i]))
            return cfb_err_set(err, CFB_EDATA, "label '%.*s' of task '%s' stands twice", CFB_STR_ARG(labels[i]), t->name);
    }
    t->labels = labels;
    t->n_labels = n;
    return CFB_OK;
}

static cfb_code parse_labels(const struct parse *p, const cfb_json *j, cfb_task *t, cfb_task_files *f) {
    static const char *const known[] = {"file", "key"};
    const cfb_json *labels = cfb_json_get(j, "labels");
    if (labels == NULL) return CFB_OK;
    if (cfb_json_kind_of(labels) == CFB_JSON_OBJECT) {
        cfb_code rc = check_members(p, labels, known, 2);
        if (rc == CFB_OK) rc = get_string(p, labels, "file", &f->labels);
        if (rc == CFB_OK) rc = get_string(p, labels, "key", &f->labels_key);
        if (rc == CFB_OK && (f->labels == NULL || f->labels_key == NULL))
            rc = bad(p, "labels", "a list of strings, or an object with 'file' and 'key'");
        return rc == CFB_OK ? check_path(p, "labels", f->labels) : rc;
    }
    size_t n = cfb_json_count(labels), i = 0;
    if (cfb_json_kind_of(labels) != CFB_JSON_ARRAY || n == 0 || n > MAX_LABELS)
        return bad(p, "labels", "a list of strings, or an object with 'file' and 'key'");
    cfb_str *list = cfb_arena_calloc(p->s->arena, n, sizeof *list);
    if (list == NULL) return no_memory(p);
    for (const cfb_json *l = cfb_json_first(labels); l; l = cfb_json_next(l)) {
        if (cfb_json_kind_of(l) != CFB_JSON_STRING) return bad(p, "labels", "a list of strings");
        cfb_code rc = cfb_arena_dup(p->s->arena, cfb_json_str(l), &list[i++], p->err);
        if (rc != CFB_OK) return rc;
    }
    return cfb_suite__set_labels(t, list, n, p->err);
}

static cfb_code parse_data(const struct parse *p, const cfb_json *j, cfb_task *t) {
    const cfb_json *data = cfb_json_get(j, "data");
    size_t n = cfb_json_kind_of(data) == CFB_JSON_ARRAY ? cfb_json_count(data) : 1, i = 0;
    if (n == 0 || n > 100) return bad(p, "data", "a name, or a list of 1 to 100 names");
    const char **names = cfb_arena_calloc(p->s->arena, n, sizeof *names);
    if (names == NULL) return no_memory(p);
    t->data = names;
    t->n_data = n;
    if (data == NULL) { /* the task's own name */
        names[0] = t->name;
        return CFB_OK;
    }
    const cfb_json *m = cfb_json_kind_of(data) == CFB_JSON_ARRAY ? cfb_json_first(data) : data;
    for (; i < n; i++, m = cfb_json_next(m)) {
        cfb_str copy;
        if (cfb_json_str(m).len == 0) return bad(p, "data", "a name, or a list of 1 to 100 names");
        cfb_code rc = cfb_arena_dup(p->s->arena, cfb_json_str(m), &copy, p->err);
        if (rc == CFB_OK) rc = check_path(p, "data", copy.ptr);
        if (rc != CFB_OK) return rc;
        names[i] = copy.ptr;
    }
    return CFB_OK;
}

static cfb_code get_metric(const struct parse *p, const cfb_json *object, cfb_metric *out) {
    const cfb_json *m = cfb_json_get(object, "metric");
    if (m == NULL || (cfb_json_str(m).ptr != NULL && cfb_metric_by_name(cfb_json_str(m), out))) return CFB_OK;
    static const char want[] = "one of "
#define CFB_X(NAME, name, kinds, how, row, full) name ", "
        CFB_METRIC_MAP(CFB_X)
#undef CFB_X
            "as docs/metrics.md has them";
    return bad(p, "metric", want);
}

/* Members that may also stand in "defaults". */
static cfb_code parse_common(const struct parse *p, const cfb_json *j, cfb_task *t, cfb_task_files *f) {
    static const char *const kinds[] = {"recognition", "classification", "generation"};
    static const char *const sets[] = {"row", "suite", "observed"};
    int kind = (int)t->kind, set = (int)t->label_set;
    cfb_code rc = get_choice(p, j, "kind", kinds, 3, &kind);
    if (rc == CFB_OK) rc = get_metric(p, j, &t->metric);
    if (rc == CFB_OK) rc = get_choice(p, j, "label_set", sets, 3, &set);
    if (rc != CFB_OK) return rc;
    t->kind = (cfb_task_kind)kind;
    t->label_set = (cfb_label_set)set;
    const cfb_json *max = cfb_json_get(j, "max_tokens");
    int64_t n = t->max_tokens;
    if (max && (!cfb_json_int(max, &n) || n < 1 || n > 1000000)) return bad(p, "max_tokens", "a whole number from 1 to 1000000");
    t->max_tokens = (int)n;
    rc = get_string(p, j, "fewshot", &f->fewshot);
    if (rc == CFB_OK && f->fewshot) rc = check_path(p, "fewshot", f->fewshot);
    if (rc == CFB_OK) rc = parse_candidates(p, j, t);
    if (rc == CFB_OK) rc = parse_labels(p, j, t, f);
    if (rc == CFB_OK) rc = parse_settings(p, j, t);
    return rc;
}

#define COMMON_MEMBERS "kind", "metric", "label_set", "max_tokens", "fewshot", "candidates", "labels", "prompt", "postprocess"

static bool valid_task_name(const char *name) {
    size_t n = strlen(name);
    if (n == 0 || n > 64 || name[0] == '.' || name[0] == '-') return false;
    for (const char *c = name; *c; c++) {
        bool ok = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("_-.", *c);
        if (!ok) return false;
    }
    return true;
}

static cfb_code check_task(const struct parse *p, const cfb_task *t) {
    static const char *const shots[] = {"zero", "few"};
    if (t->prompt[0].ptr == NULL && t->prompt[1].ptr == NULL) return bad(p, "prompt", "there, with 'zero' and/or 'few'");
    for (int k = 0; k < 2; k++) {
        cfb_code rc = check_template(p, shots[k], t, t->prompt[k]);
        if (rc != CFB_OK) return rc;
    }
    cfb_code rc = cfb_metric_check_kind(t->metric, t->kind, p->err);
    if (rc != CFB_OK) cfb_err_add_context(p->err, "%s", p->task);
    return rc;
}

static cfb_code parse_task(struct parse *p, const cfb_json *j, const cfb_json *defaults, size_t i) {
    static const char *const known[] = {"name", "title", "data", COMMON_MEMBERS};
    cfb_task *t = &p->s->tasks[i];
    cfb_task_files *f = &p->s->files[i];
    char where[96];
    snprintf(where, sizeof where, "task %zu", i + 1);
    p->task = where;
    cfb_code rc = cfb_json_kind_of(j) == CFB_JSON_OBJECT ? CFB_OK : bad(p, "tasks", "a list of objects");
    if (rc == CFB_OK) rc = get_string(p, j, "name", &t->name);
    if (rc == CFB_OK && (t->name == NULL || !valid_task_name(t->name)))
        rc = bad(p, "name", "1 to 64 of the characters a-z A-Z 0-9 _ - . (not starting with . or -)");
    if (rc != CFB_OK) return rc;
    snprintf(where, sizeof where, "task '%s'", t->name);
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->s->tasks[k].name, t->name) == 0)
            return cfb_err_set(p->err, CFB_EDATA, "%s: there are two tasks of this name", where);
    t->title = t->name;
    t->max_tokens = 512;
    t->label_set = CFB_LABELS_OBSERVED;
    rc = check_members(p, j, known, sizeof known / sizeof *known);
    if (rc == CFB_OK) rc = get_string(p, j, "title", &t->title);
    if (rc == CFB_OK && defaults) rc = parse_common(p, defaults, t, f);
    if (rc == CFB_OK && (cfb_json_get(j, "kind") == NULL && cfb_json_get(defaults, "kind") == NULL)) rc = bad(p, "kind", "there");
    if (rc == CFB_OK && (cfb_json_get(j, "metric") == NULL && cfb_json_get(defaults, "metric") == NULL))
        rc = bad(p, "metric", "there");
    if (rc == CFB_OK) rc = parse_common(p, j, t, f);
    if (rc == CFB_OK) rc = parse_data(p, j, t);
    return rc == CFB_OK ? check_task(p, t) : rc;
}

static cfb_code parse_columns(struct parse *p, const cfb_json *root) {
    static const char *const known[] = {"input", "instruction", "response", "id"};
    const cfb_json *c = cfb_json_get(root, "columns");
    cfb_suite_t *s = p->s;
    s->column_input = "input";
    s->column_instruction = "instruction";
    s->column_response = "response";
    if (c == NULL) return CFB_OK;
    p->task = "columns";
    if (cfb_json_kind_of(c) != CFB_JSON_OBJECT) return bad(p, "columns", "an object");
    cfb_code rc = check_members(p, c, known, 4);
    if (rc == CFB_OK) rc = get_string(p, c, "input", &s->column_input);
    if (rc == CFB_OK) rc = get_string(p, c, "instruction", &s->column_instruction);
    if (rc == CFB_OK) rc = get_string(p, c, "response", &s->column_response);
    if (rc == CFB_OK) rc = get_string(p, c, "id", &s->column_id);
    return rc;
}

static cfb_code parse_root(struct parse *p, const cfb_json *root) {
    static const char *const known[] = {"schema",      "name",    "title",    "language", "license",
                                        "description", "columns", "defaults", "tasks"};
    static const char *const common[] = {COMMON_MEMBERS};
    cfb_suite_t *s = p->s;
    p->task = "suite";
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT) return cfb_err_set(p->err, CFB_EDATA, "a suite is a JSON object");
    cfb_str schema = cfb_json_str(cfb_json_get(root, "schema"));
    if (schema.ptr == NULL || !cfb_str_eqz(schema, SUITE_SCHEMA)) return bad(p, "schema", "\"" SUITE_SCHEMA "\"");
    cfb_code rc = check_members(p, root, known, sizeof known / sizeof *known);
    if (rc == CFB_OK) rc = get_string(p, root, "name", &s->name);
    if (rc == CFB_OK && (s->name == NULL || !valid_task_name(s->name))) rc = bad(p, "name", "a short name without spaces");
    s->title = s->name;
    if (rc == CFB_OK) rc = get_string(p, root, "title", &s->title);
    if (rc == CFB_OK) rc = parse_columns(p, root);
    const cfb_json *defaults = cfb_json_get(root, "defaults"), *tasks = cfb_json_get(root, "tasks");
    if (rc == CFB_OK && defaults) {
        p->task = "defaults";
        rc = cfb_json_kind_of(defaults) == CFB_JSON_OBJECT ? check_members(p, defaults, common, sizeof common / sizeof *common)
                                                           : bad(p, "defaults", "an object");
    }
    if (rc != CFB_OK) return rc;
    p->task = "suite";
    s->n_tasks = cfb_json_count(tasks);
    if (cfb_json_kind_of(tasks) != CFB_JSON_ARRAY || s->n_tasks == 0 || s->n_tasks > MAX_TASKS)
        return bad(p, "tasks", "a list of 1 to 1000 tasks");
    s->tasks = cfb_arena_calloc(s->arena, s->n_tasks, sizeof *s->tasks);
    s->files = cfb_arena_calloc(s->arena, s->n_tasks, sizeof *s->files);
    if (s->tasks == NULL || s->files == NULL) return no_memory(p);
    size_t i = 0;
    for (const cfb_json *j = cfb_json_first(tasks); j && rc == CFB_OK; j = cfb_json_next(j)) rc = parse_task(p, j, defaults, i++);
    return rc;
}

cfb_code cfb_suite__parse(cfb_suite_t *s, const char *where, cfb_str json, cfb_err *err) {
    cfb_err local = CFB_ERR_INIT;
    struct parse p = {s, "suite", err ? err : &local};
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, p.err);
    if (rc == CFB_OK) rc = parse_root(&p, root);
    if (rc != CFB_OK) cfb_err_add_context(p.err, "%s", where);
    cfb_json_free(root);
    return rc;
}

/* Everything that can change a prompt, an output or a score, in one fixed order. */
void cfb_suite__make_fingerprint(const cfb_suite_t *s, char hex[65]) {
    char total[65] = "", piece[65];
    for (size_t i = 0; i < s->n_tasks; i++) {
        const cfb_task *t = &s->tasks[i];
        char head[160], labels[65] = "", steps[65] = "";
        snprintf(head, sizeof head, "%d %d %d %d", (int)t->kind, (int)t->metric, (int)t->label_set, t->max_tokens);
        cfb_sha256_parts_hex(t->labels, t->n_labels, labels);
        for (int k = 0; k < 2; k++)
            for (size_t j = 0; j < t->n_steps[k]; j++) {
                char what[64];
                snprintf(what, sizeof what, "%d %d %zu", k, (int)t->steps[k][j].kind, t->steps[k][j].max_splits);
                cfb_str parts[] = {cfb_str_from(steps), cfb_str_from(what), t->steps[k][j].separator};
                cfb_sha256_parts_hex(parts, 3, piece);
                memcpy(steps, piece, sizeof steps);
            }
        cfb_str parts[] = {cfb_str_from(total),  cfb_str_from(t->name), cfb_str_from(head),  t->prompt[0],
                           t->prompt[1],         t->candidates_open,    t->candidates_close, t->fewshot,
                           cfb_str_from(labels), cfb_str_from(steps)};
        cfb_sha256_parts_hex(parts, sizeof parts / sizeof *parts, piece);
        memcpy(total, piece, sizeof total);
    }
    cfb_str parts[] = {cfb_str_from(s->name), cfb_str_from(total)};
    cfb_sha256_parts_hex(parts, 2, hex);
}
