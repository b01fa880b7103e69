/* Sources (run stores, response files) -> results -> report. */
#include "cli/scoring.h"

#include <stdio.h>
#include <stdlib.h>

cfb_code cfb_scoring_new(const cfb_config *c, cfb_scoring_t **out, cfb_err *err) {
    cfb_scoring_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->c = c;
    pthread_mutex_init(&s->lock, NULL);
    s->report.version = CFB_VERSION;
    s->report.where = c->where;
    s->report.language = cfb_cli_language(c);
    s->pick_only = c->sample > 0 || c->worst > 0;
    cfb_code rc = cfb_arena_new(0, &s->arena, err);
    if (rc == CFB_OK) rc = cfb_where_parse(c, &s->where, err);
    if (rc == CFB_OK && c->shard_count == 0 && c->rank == 0) rc = cfb_rows_out_open(c, &s->rows_out, err);
    if (rc == CFB_OK)
        *out = s;
    else
        cfb_scoring_free(s);
    return rc;
}

void cfb_scoring_free(cfb_scoring_t *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->n; i++) {
        cfb_sink_free(s->targets[i]->sink);
        cfb_suite_free(s->targets[i]->suite);
        free(s->targets[i]);
    }
    cfb_score_shard_abort(s->shard_out);
    cfb_ranks_free(s->ranks);
    cfb_rows_out_abort(s->rows_out);
    cfb_expr_free(s->where);
    cfb_suite_free(s->suite);
    cfb_arena_free(s->arena);
    pthread_mutex_destroy(&s->lock);
    free(s->targets);
    free(s->tasks);
    free(s->shown);
    free(s->asking);
    free(s->skipped);
    free(s);
}

cfb_code cfb_scoring_keep_text(cfb_scoring_t *s, const char *text, const char **out, cfb_err *err) {
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(s->arena, cfb_str_from(text), &copy, err);
    if (rc == CFB_OK) *out = copy.ptr;
    return rc;
}

void cfb_scoring_set_title(cfb_scoring_t *s, const char *title) {
    const char *kept = NULL;
    if (s->report.title && strcmp(s->report.title, title) != 0) title = "cfbench"; /* sources of several suites */
    if (cfb_scoring_keep_text(s, title, &kept, NULL) == CFB_OK) s->report.title = kept;
}

/* ---- results ---- */

static cfb_code score_opts(const cfb_scoring_t *s, const cfb_task *t, cfb_score_opts *o, cfb_err *err) {
    *o = (cfb_score_opts)CFB_SCORE_OPTS_INIT;
    o->n_threads = (int)s->c->threads;
    o->label_set = t->label_set;
    if (cfb_metric_is_of_pairs(t->metric)) return cfb_cli_pairs(s->c, t->metric, &o->pairs, err);
    if (!cfb_metric_is_over_labels(t->metric) || t->label_set == CFB_LABELS_ROW) return CFB_OK;
    if (s->c->label_set) o->label_set = strcmp(s->c->label_set, "observed") == 0 ? CFB_LABELS_OBSERVED : CFB_LABELS_SUITE;
    if (o->label_set == CFB_LABELS_SUITE && t->n_labels == 0)
        return cfb_err_set(err, CFB_EDATA, "task '%s': the suite has no labels for it; use --label-set observed", t->name);
    return CFB_OK;
}

/* The task as it is scored: with the metric of --metric, in a copy that lives as long as s. */
static cfb_code task_to_score(cfb_scoring_t *s, const cfb_task **t, cfb_err *err) {
    cfb_metric metric;
    cfb_code rc = cfb_cli_metric(s->c, *t, &metric, err);
    if (rc != CFB_OK || metric == (*t)->metric) return rc;
    cfb_task *copy = cfb_arena_alloc(s->arena, sizeof *copy);
    if (copy == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *copy = **t;
    copy->metric = metric;
    *t = copy;
    return CFB_OK;
}

cfb_code cfb_scoring_check_metrics(const cfb_scoring_t *s, cfb_err *err) {
    const cfb_task **tasks = malloc((s->n ? s->n : 1) * sizeof *tasks);
    if (tasks == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->targets[i]->sink) tasks[n++] = cfb_sink_task(s->targets[i]->sink);
    cfb_code rc = cfb_cli_check_metrics(s->c, tasks, n, err);
    free(tasks);
    return rc;
}

static const char *without_root(const char *model) {
    while (model != NULL && *model == '/') model++;
    return model;
}

/* A tag as a folder's name too. */
static cfb_code tagged(cfb_scoring_t *s, const char *model, const char *tag, const char **out, cfb_err *err) {
    char name[600];
    size_t n = (size_t)snprintf(name, sizeof name, "%.250s@", model ? model : "unknown-model");
    snprintf(name + n, sizeof name - n, "%.250s", tag);
    for (char *p = name + n; *p; p++)
        if (*p == '/') *p = '-';
    return cfb_scoring_keep_text(s, name, out, err);
}

static bool same_str(const char *z, cfb_str s) {
    return z == NULL || s.ptr == NULL ? z == NULL && s.ptr == NULL : cfb_str_eqz(s, z);
}

/* Opens the export (where one is wanted) and the sink. */
static cfb_code open_sink(cfb_scoring_t *s, cfb_target *t, const cfb_task *task, bool keep_scores, cfb_err *err) {
    cfb_sink_opts o = {.keep_scores = keep_scores && !s->keep_rows,
                       .keep_all = s->keep_rows,
                       .in_parts = strcmp(s->c->duplicates, "join") == 0,
                       .n_worst = (size_t)s->c->worst,
                       .n_sample = (size_t)s->c->sample,
                       .seed = (uint64_t)s->c->seed,
                       .stream = 0};
    if (t->model) o.stream = cfb_hash64(t->model, strlen(t->model), o.stream);
    if (t->setting) o.stream = cfb_hash64(t->setting, strlen(t->setting), o.stream + 1);
    cfb_code rc = task_to_score(s, &task, err);
    o.task = task;
    if (rc == CFB_OK) rc = score_opts(s, task, &o.score, err);
    if (rc == CFB_OK && task->metric == CFB_METRIC_BGE) o.calibrate.run = cfb_cli_embed_calibrate;
    o.score.valid_utf8 = !keep_scores && !o.in_parts; /* files alone: the scan has checked its cells */
    if (rc == CFB_OK && s->export_dir && s->what)
        rc = cfb_export_open(s->export_dir, t->setting ? t->setting : "few-shot",
                             t->model ? without_root(t->model) : "unknown-model", task, s->what, &o.export, err);
    t->over_labels = cfb_metric_is_over_labels(task->metric) != 0;
    return rc == CFB_OK ? cfb_sink_new(&o, &t->sink, err) : rc;
}

cfb_code cfb_scoring_renew(cfb_scoring_t *s, cfb_target *t, cfb_err *err) {
    const cfb_task *task = cfb_sink_task(t->sink);
    cfb_sink_free(t->sink);
    t->sink = NULL;
    return open_sink(s, t, task, false, err);
}

/* One of this name from another source: joined to it, or given a name of its own. */
static cfb_code settle_name(cfb_scoring_t *s, const cfb_target_key *k, cfb_target *t, cfb_err *err) {
    const cfb_source *from = &s->sources[s->now];
    cfb_code rc = CFB_OK;
    if (from->tag) return tagged(s, t->key_model, from->tag, &t->model, err);
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++) {
        const cfb_target *other = s->targets[i];
        if (!same_str(other->model, k->model) || !same_str(other->setting, k->setting) || !cfb_str_eqz(k->task, other->name))
            continue;
        if (strcmp(s->c->duplicates, "fail") == 0)
            return cfb_err_set(err, CFB_EUSAGE,
                               "%.90s and %.90s both hold task '%.40s' of one model and setting: --duplicates separate or join",
                               other->source, from->path, t->name);
        rc = tagged(s, t->key_model, from->own_tag, &t->model, err);
        break;
    }
    return rc;
}

static cfb_code add_target(cfb_scoring_t *s, cfb_target *t, cfb_err *err) {
    if (s->n == MAX_TARGETS)
        return cfb_err_set(err, CFB_ELIMIT, "more than %d results (models times settings times tasks) in one call", MAX_TARGETS);
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        cfb_target **p = realloc(s->targets, cap * sizeof *p);
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        s->targets = p;
        s->cap = cap;
    }
    s->targets[s->n++] = t;
    return CFB_OK;
}

/* The task's definition. A task that is not in the suite, or cannot be scored, is a fault of the rows that name it. */
static cfb_code find_task(cfb_scoring_t *s, const cfb_target_key *k, cfb_target *t, const cfb_task **task, cfb_err *err) {
    *task = k->definition;
    t->order = s->n; /* of a store: as they come */
    if (*task) return CFB_OK;
    size_t i = cfb_suite_find_task(s->suite, t->name);
    if (i != SIZE_MAX) {
        *task = cfb_suite_task(s->suite, i);
        t->order = i;
        return CFB_OK;
    }
    t->code = CFB_EUSAGE;
    if (s->c->task_column)
        t->code = cfb_err_set(err, CFB_EDATA, "suite '%s' has no task '%.60s'", cfb_suite_name(s->suite), t->name);
    else
        cfb_err_set(err, CFB_EUSAGE, "%s: suite '%s' has no task '%s'; say which one it is with --task (or give another --suite)",
                    s->sources[s->now].path, cfb_suite_name(s->suite), t->name);
    return cfb_scoring_keep_text(s, err->msg, &t->error, err);
}

static cfb_code keep_str(cfb_scoring_t *s, cfb_str text, const char **out, cfb_err *err) {
    cfb_str copy;
    *out = NULL;
    if (text.ptr == NULL) return CFB_OK;
    cfb_code rc = cfb_arena_dup(s->arena, text, &copy, err);
    *out = copy.ptr;
    return rc;
}

static cfb_code open_target(cfb_scoring_t *s, const cfb_target_key *k, cfb_target **out, cfb_err *err) {
    cfb_target *t = calloc(1, sizeof *t);
    if (t == NULL) {
        cfb_suite_free(k->own);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    t->suite = k->own;
    t->source = s->sources[s->now].path;
    t->source_index = s->now;
    cfb_code rc = add_target(s, t, err);
    if (rc != CFB_OK) {
        cfb_suite_free(t->suite);
        free(t);
        return rc;
    }
    const cfb_task *task = NULL;
    rc = keep_str(s, k->model, &t->key_model, err);
    t->model = t->key_model;
    if (rc == CFB_OK) rc = keep_str(s, k->setting, &t->setting, err);
    if (rc == CFB_OK) rc = keep_str(s, k->task, &t->name, err);
    if (rc != CFB_OK) return rc;
    s->n--; /* settle_name looks at the others */
    if (strcmp(s->c->duplicates, "join") != 0) rc = settle_name(s, k, t, err);
    s->n++;
    if (rc == CFB_OK) rc = find_task(s, k, t, &task, err);
    if (rc == CFB_OK && task && cfb_cli_is_picked(s->c, t->name)) rc = open_sink(s, t, task, k->keep_scores, err);
    *out = t;
    return rc;
}

cfb_code cfb_scoring_target(cfb_scoring_t *s, const cfb_target_key *k, cfb_target **out, cfb_err *err) {
    bool join = strcmp(s->c->duplicates, "join") == 0;
    cfb_code rc = CFB_OK;
    *out = NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n && *out == NULL; i++) {
        cfb_target *t = s->targets[i];
        if ((join || t->source_index == s->now) && cfb_str_eqz(k->task, t->name) && same_str(t->key_model, k->model) &&
            same_str(t->setting, k->setting))
            *out = t;
    }
    if (*out == NULL)
        rc = open_target(s, k, out, err);
    else
        cfb_suite_free(k->own);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static cfb_code finish_target(cfb_scoring_t *s, cfb_target *t, cfb_err *err) {
    if (t->done || t->sink == NULL) return CFB_OK;
    t->done = true;
    if (s->shard_out) return cfb_scoring_put_counts(s, t, err);
    cfb_code rc = s->shards_in || s->ranks ? cfb_scoring_add_counts(s, t, err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    t->result.model = t->model;
    t->result.setting = t->setting;
    t->result.source = t->source;
    return cfb_sink_finish(t->sink, &t->result, err);
}

cfb_code cfb_scoring_source_done(cfb_scoring_t *s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    bool last = s->now + 1 == s->n_sources;
    if (strcmp(s->c->duplicates, "join") == 0 && !last) return CFB_OK;
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++) rc = finish_target(s, s->targets[i], err);
    return rc;
}

cfb_row_view cfb_scoring_view(const cfb_scoring_t *s, const cfb_target *t, const cfb_score_row *score, uint64_t row,
                              uint64_t line) {
    cfb_row_view v = {.score = score, .row = row, .line = line, .source = s->sources[s->now].path};
    if (t) {
        v.model = t->model;
        v.setting = t->setting;
        v.task = t->name;
        v.over_labels = t->over_labels;
    }
    v.state = score ? cfb_row_state_name(score->state) : "bad";
    v.picked = score ? "row" : "";
    return v;
}

#define SKIPPED_SHOWN 20

cfb_code cfb_scoring_skip(cfb_scoring_t *s, uint64_t row, uint64_t line, const char *message, cfb_err *err) {
    uint64_t n = s->report.n_skipped++;
    if (n < SKIPPED_SHOWN) cfb_log(CFB_LOG_WARN, "row skipped: %s", message);
    if (n == SKIPPED_SHOWN) cfb_log(CFB_LOG_WARN, "further rows were skipped; --json lists them, --rows-out all of them");
    if (n >= MAX_SKIPPED_LISTED) return CFB_OK;
    if (n == s->cap_skipped) {
        size_t cap = s->cap_skipped ? s->cap_skipped * 2 : 16;
        cfb_report_skipped *p = realloc(s->skipped, cap * sizeof *p);
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        s->skipped = p;
        s->cap_skipped = cap;
    }
    const char *kept = NULL;
    pthread_mutex_lock(&s->lock);
    cfb_code rc = cfb_scoring_keep_text(s, message, &kept, err);
    pthread_mutex_unlock(&s->lock);
    s->skipped[n] = (cfb_report_skipped){s->sources[s->now].path, kept, row, line};
    s->report.n_skipped_listed = (size_t)n + 1;
    return rc;
}

/* ---- sources ---- */

cfb_code cfb_scoring_add_store(cfb_scoring_t *s, const char *path, const char *export_dir, unsigned what, cfb_err *err) {
    s->sources = cfb_arena_calloc(s->arena, 1, sizeof *s->sources);
    if (s->sources == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = cfb_source_of(s->c, path, true, s->arena, s->sources, err);
    s->n_sources = 1;
    s->export_dir = export_dir;
    s->what = what;
    int64_t begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = cfb_scoring_read_store(s, path, err);
    if (rc == CFB_OK) rc = cfb_scoring_source_done(s, err);
    cfb_cli_stage_end("score", begin_ns);
    return rc;
}

static cfb_code load_suite(cfb_scoring_t *s, cfb_err *err) {
    if (s->suite) return CFB_OK;
    cfb_err first = CFB_ERR_INIT;
    bool observed = s->c->label_set && strcmp(s->c->label_set, "observed") == 0;
    cfb_code rc = observed ? CFB_ENOTFOUND : cfb_suite_load(s->c->suite, s->c->data, CFB_SUITE_LABELS, &s->suite, &first);
    if (rc != CFB_OK) {
        rc = cfb_suite_load(s->c->suite, s->c->data, 0, &s->suite, err);
        if (rc == CFB_OK && !observed) cfb_log(CFB_LOG_DEBUG, "no label lists: %s", first.msg);
    }
    return rc;
}

static cfb_code check_options(const cfb_config *c, cfb_err *err) {
    if (c->task && c->task_column) return cfb_err_set(err, CFB_EUSAGE, "--task and --task-column exclude each other");
    if (c->model_name && c->model_column)
        return cfb_err_set(err, CFB_EUSAGE, "--model-name and --model-column exclude each other");
    if (c->setting && c->setting_column) return cfb_err_set(err, CFB_EUSAGE, "--setting and --setting-column exclude each other");
    return CFB_OK;
}

cfb_code cfb_scoring_add_sources(cfb_scoring_t *s, const char *export_dir, unsigned what, cfb_err *err) {
    cfb_code rc = check_options(s->c, err);
    if (rc == CFB_OK) rc = cfb_sources_find(s->c, s->arena, &s->sources, &s->n_sources, err);
    if (rc == CFB_OK) rc = cfb_scoring_begin_shard(s, err);
    if (rc != CFB_OK) return rc;
    s->export_dir = export_dir;
    s->what = what;
    bool known = true;
    s->progress.n_sources = s->n_sources;
    s->progress.meter = &s->meter;
    for (size_t i = 0; i < s->n_sources; i++) {
        s->progress.total += s->sources[i].bytes;
        known = known && s->sources[i].bytes > 0;
    }
    if (!known) s->progress.total = 0;
    cfb_cli_progress_t *display = cfb_cli_progress_start_bytes(s->c, &s->progress);
    for (s->now = 0; s->now < s->n_sources && rc == CFB_OK; s->now++) {
        const cfb_source *from = &s->sources[s->now];
        bool other_rank = s->ranks && !cfb_ranks_is_first(s->ranks);
        if (s->ranks) rc = cfb_ranks_begin(s, err);
        if (rc != CFB_OK) break;
        if (from->is_store) { /* by one rank: its file is locked, and its scores go back into it */
            if (!other_rank) rc = cfb_scoring_read_store(s, from->path, err);
            atomic_fetch_add(&s->progress.done, from->bytes);
        } else {
            rc = load_suite(s, err);
            if (rc == CFB_OK) rc = cfb_scoring_read_file(s, from, err);
        }
        if (rc == CFB_OK && s->ranks && !other_rank) rc = cfb_ranks_end(s, err);
        if (rc == CFB_OK) rc = cfb_scoring_source_done(s, err);
        if (rc == CFB_OK && other_rank) rc = cfb_ranks_end(s, err);
        atomic_fetch_add(&s->progress.n_sources_done, 1);
    }
    cfb_cli_progress_stop(display);
    return rc;
}

/* ---- the report ---- */

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* Results of one model and setting stand together, in the order in which they came; those of one file with a task column in the
 * suite's order, as rows come in any. */
static size_t group_of(const cfb_scoring_t *s, const cfb_target *t) {
    for (size_t i = 0; i < s->n; i++) {
        const cfb_target *o = s->targets[i];
        if (o->sink && same(o->model, t->model) && same(o->setting, t->setting)) return i;
    }
    return s->n;
}

struct place {
    size_t group, source, order, index;
    cfb_target *t;
};

static int compare_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : ""); }

static int compare_by_name(const void *a, const void *b) {
    const cfb_target *x = *(cfb_target *const *)a, *y = *(cfb_target *const *)b;
    if (x->source_index != y->source_index) return x->source_index < y->source_index ? -1 : 1;
    int by_model = compare_text(x->model, y->model), by_setting = compare_text(x->setting, y->setting);
    return by_model               ? by_model
           : by_setting           ? by_setting
           : x->order != y->order ? (x->order < y->order ? -1 : 1)
                                  : strcmp(x->name, y->name);
}

static int compare_places(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    return x->group != y->group ? (x->group < y->group ? -1 : 1) : x->index < y->index ? -1 : 1;
}

/* What a report needs of every task. */
static cfb_code make_tasks(cfb_scoring_t *s, cfb_err *err) {
    struct place *places = malloc((s->n ? s->n : 1) * sizeof *places);
    s->tasks = malloc((s->n ? s->n : 1) * sizeof *s->tasks);
    s->shown = malloc((s->n ? s->n : 1) * sizeof *s->shown);
    if (places == NULL || s->tasks == NULL || s->shown == NULL) {
        free(places);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    /* threads met the keys of a file in any order */
    bool by_columns = s->c->task_column || s->c->model_column || s->c->setting_column;
    if (by_columns && s->n) qsort(s->targets, s->n, sizeof *s->targets, compare_by_name);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->targets[i]->sink)
            places[n++] = (struct place){.group = group_of(s, s->targets[i]), .index = i, .t = s->targets[i]};
    if (n) qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 0; i < n; i++) {
        s->tasks[i] = places[i].t->result;
        s->shown[i] = places[i].t;
    }
    free(places);
    s->report.tasks = s->tasks;
    s->report.n_tasks = n;
    return CFB_OK;
}

static cfb_code make_intervals(cfb_scoring_t *s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < s->report.n_tasks && rc == CFB_OK; i++)
        rc = cfb_row_scores_interval(cfb_scoring_rows(s, i), s->c, cfb_scoring_task(s, i)->metric, &s->tasks[i].summary,
                                     &s->tasks[i].interval, err);
    s->report.confidence = s->c->confidence;
    return rc;
}

/* Files do not say how they were made; how they were scored is known. Nothing in it depends on where the report is written, or on
 * whether vectors were seen before. */
cfb_code cfb_scoring_command(cfb_scoring_t *s, const char **out, cfb_err *err) {
    cfb_config c = *s->c;
    cfb_buf text = CFB_BUF_INIT(0);
    c.out = c.embed_cache = c.shard = NULL;
    cfb_code rc = cfb_config_print_command(&c, &text, err);
    for (size_t i = 0; i < c.n_args && rc == CFB_OK; i++) {
        rc = cfb_buf_append_char(&text, ' ', err);
        if (rc == CFB_OK) rc = cfb_config_shell_word(&text, c.args[i], err);
    }
    if (rc == CFB_OK) rc = cfb_scoring_keep_text(s, text.ptr, out, err);
    cfb_buf_free(&text);
    return rc;
}

static cfb_code make_report(cfb_scoring_t *s, cfb_err *err) {
    if (s->tasks) return CFB_OK;
    if (s->report.title == NULL) s->report.title = "cfbench";
    s->report.skipped = s->skipped;
    s->report.asking = s->asking;
    s->report.n_asking = s->n_asking;
    if (s->n_sources == 1 && s->n_asking == 1) { /* what the tasks share; of several sources each run has its own */
        s->report.settings = s->asking->settings;
        s->report.n_settings = s->asking->n_settings - s->asking->n_notes;
    }
    cfb_code rc = s->n_asking == 0 && s->c->command == CFB_CMD_SCORE ? cfb_scoring_command(s, &s->report.command, err) : CFB_OK;
    return rc == CFB_OK ? make_tasks(s, err) : rc;
}

cfb_code cfb_scoring_report(cfb_scoring_t *s, bool intervals, const cfb_report **out, cfb_err *err) {
    cfb_code rc = make_report(s, err);
    if (rc == CFB_OK && intervals && s->report.confidence == 0) rc = make_intervals(s, err);
    *out = &s->report;
    return rc;
}

void cfb_scoring_keep_rows(cfb_scoring_t *s) { s->keep_rows = true; }

void cfb_scoring_set_language(cfb_scoring_t *s, cfb_report_language language) { s->report.language = language; }
const cfb_task *cfb_scoring_task(const cfb_scoring_t *s, size_t i) { return cfb_sink_task(s->shown[i]->sink); }
const cfb_row_scores *cfb_scoring_rows(const cfb_scoring_t *s, size_t i) { return cfb_sink_row_scores(s->shown[i]->sink); }

cfb_code cfb_scoring_name_source(cfb_scoring_t *s, const char *source, cfb_err *err) {
    const char *kept = NULL;
    cfb_code rc = cfb_scoring_keep_text(s, source, &kept, err);
    if (rc == CFB_OK) rc = make_report(s, err);
    for (size_t i = 0; i < s->report.n_tasks && rc == CFB_OK; i++) s->tasks[i].source = kept;
    for (size_t i = 0; i < s->n_asking && rc == CFB_OK; i++) s->asking[i].source = kept;
    return rc;
}

size_t cfb_scoring_n_results(const cfb_scoring_t *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += s->targets[i]->sink != NULL;
    return n;
}

uint64_t cfb_scoring_n_failed(const cfb_scoring_t *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += s->targets[i]->result.summary.n_state[CFB_ROW_FAILED];
    return n;
}

uint64_t cfb_scoring_n_skipped(const cfb_scoring_t *s) { return s->report.n_skipped; }

/* ---- picked rows ---- */

struct picked {
    const cfb_sink_kept *kept;
    const cfb_target *t;
    bool worst, sample;
};

static int compare_picked(const void *a, const void *b) {
    const struct picked *x = a, *y = b;
    if (x->kept->source != y->kept->source) return x->kept->source < y->kept->source ? -1 : 1;
    if (x->kept->row.row != y->kept->row.row) return x->kept->row.row < y->kept->row.row ? -1 : 1;
    int by_task = strcmp(x->t->name, y->t->name); /* rows of a store are numbered by task */
    return by_task ? by_task : (int)x->sample - (int)y->sample;
}

static cfb_code write_picked(cfb_scoring_t *s, const struct picked *p, cfb_buf *line, cfb_err *err) {
    const cfb_sink_kept *k = p->kept;
    s->now = k->source;
    cfb_row_view v = cfb_scoring_view(s, p->t, &k->score, k->row.row, k->line);
    v.picked = !p->worst ? "sample" : p->sample ? "sample+worst" : "worst";
    v.id = k->row.id;
    v.input = k->row.input;
    v.response = k->row.response;
    v.output = k->row.output;
    v.error = k->row.fail;
    cfb_buf_clear(line);
    cfb_code rc = cfb_rows_out_format(s->rows_out, &v, line, err);
    return rc == CFB_OK ? cfb_rows_out_write(s->rows_out, cfb_buf_str(line), err) : rc;
}

static size_t gather(const cfb_scoring_t *s, struct picked *to) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const cfb_target *t = s->targets[i];
        const cfb_sink_kept *worst = NULL, *sample = NULL;
        if (t->sink == NULL) continue;
        size_t n_worst = s->c->worst > 0 ? cfb_sink_worst(t->sink, &worst) : 0, n_sample = cfb_sink_sample(t->sink, &sample);
        for (size_t k = 0; k < n_worst; k++, n++)
            if (to) to[n] = (struct picked){&worst[k], t, true, false};
        for (size_t k = 0; k < n_sample; k++, n++)
            if (to) to[n] = (struct picked){&sample[k], t, false, true};
    }
    return n;
}

/* Sampled and worst rows, in the order of their sources; a row that is both, once. */
static cfb_code write_picks(cfb_scoring_t *s, cfb_err *err) {
    if (s->rows_out == NULL || !s->pick_only) return CFB_OK;
    size_t n = gather(s, NULL);
    struct picked *all = calloc(n ? n : 1, sizeof *all);
    if (all == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    gather(s, all);
    if (n) qsort(all, n, sizeof *all, compare_picked);
    cfb_buf line = CFB_BUF_INIT(0);
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        struct picked p = all[i];
        if (i + 1 < n && all[i + 1].t == p.t && all[i + 1].kept->order == p.kept->order) {
            p.worst = p.sample = true;
            i++;
        }
        rc = write_picked(s, &p, &line, err);
    }
    cfb_buf_free(&line);
    free(all);
    return rc;
}

/* ---- publishing ---- */

typedef cfb_code (*render_fn)(const cfb_report *r, cfb_buf *out, cfb_err *err);

cfb_code cfb_scoring_write(cfb_scoring_t *s, const char *dir, cfb_err *err) {
    static const struct {
        const char *name;
        render_fn render;
    } files[] = {{"scores.json", cfb_report_json}, {"report.md", cfb_report_markdown}, {"report.html", cfb_report_html}};
    char path[PATH_MAX];
    const cfb_report *r = NULL;
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_code rc = cfb_scoring_report(s, true, &r, err);
    if (rc == CFB_OK) rc = cfb_mkdir_p(dir, err);
    int64_t begin_ns = cfb_cli_stage_begin();
    for (size_t i = 0; i < 3 && rc == CFB_OK; i++) {
        cfb_buf_clear(&text);
        rc = files[i].render(r, &text, err);
        if (rc == CFB_OK) rc = cfb_path_join(path, sizeof path, dir, files[i].name, err);
        if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&text), err);
    }
    cfb_cli_stage_end("write reports", begin_ns);
    cfb_buf_free(&text);
    return rc;
}

cfb_code cfb_scoring_publish(cfb_scoring_t *s, const char *dir, const char *performance, cfb_err *err) {
    const cfb_report *r = NULL;
    cfb_code rc = cfb_scoring_report(s, true, &r, err);
    if (rc == CFB_OK) rc = write_picks(s, err);
    if (rc == CFB_OK) {
        rc = cfb_rows_out_commit(s->rows_out, err);
        s->rows_out = NULL;
    }
    cfb_buf text = CFB_BUF_INIT(0);
    if (rc == CFB_OK && dir) rc = cfb_scoring_write(s, dir, err);
    if (rc == CFB_OK && s->c->csv) {
        cfb_buf_clear(&text);
        rc = cfb_report_csv(r, &text, err);
        if (rc == CFB_OK) rc = cfb_file_write(s->c->csv, cfb_buf_str(&text), err);
    }
    if (rc == CFB_OK) {
        /* run says on standard error how it asked */
        cfb_table_style style = {.color = cfb_cli_use_color(s->c, stdout), .asking = s->c->command == CFB_CMD_REPORT};
        cfb_buf_clear(&text);
        s->report.performance = performance;
        rc = s->c->json ? cfb_report_json(r, &text, err) : cfb_report_table(r, &style, &text, err);
        if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&text), err);
    }
    cfb_buf_free(&text);
    return rc;
}
