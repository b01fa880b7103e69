/* Sources (run stores, response files) -> scored tasks -> report. */
#include "cfbench/json.h"
#include "cfbench/scan.h"
#include "cli/cli.h"
#include "cli/asked.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STORE_BATCH 1024

struct scored {
    cfb_sink_t *sink;
    cfb_suite_t *suite; /* parsed from a store's task definition; NULL for files */
};

struct cfb_scoring {
    const cfb_config *c;
    cfb_arena_t *arena;
    cfb_suite_t *suite; /* for files; loaded when first needed */
    cfb_report report;
    cfb_report_task *tasks;
    struct scored *scored;
    size_t n, cap;
    bool keep_rows;            /* for a comparison */
    cfb_report_asking *asking; /* (n_asking) one for each run store */
    size_t n_asking;
};

cfb_code cfb_scoring_new(const cfb_config *c, cfb_scoring_t **out, cfb_err *err) {
    cfb_scoring_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->c = c;
    cfb_code rc = cfb_arena_new(0, &s->arena, err);
    if (rc != CFB_OK) {
        free(s);
        return rc;
    }
    s->report.title = "cfbench";
    s->report.version = CFB_VERSION;
    *out = s;
    return CFB_OK;
}

void cfb_scoring_free(cfb_scoring_t *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->n; i++) {
        cfb_sink_free(s->scored[i].sink);
        cfb_suite_free(s->scored[i].suite);
    }
    cfb_suite_free(s->suite);
    cfb_arena_free(s->arena);
    free(s->asking);
    free(s->tasks);
    free(s->scored);
    free(s);
}

const cfb_report *cfb_scoring_report(cfb_scoring_t *s) {
    s->report.tasks = s->tasks;
    s->report.n_tasks = s->n;
    s->report.asking = s->asking;
    s->report.n_asking = s->n_asking;
    return &s->report;
}

void cfb_scoring_keep_rows(cfb_scoring_t *s) { s->keep_rows = true; }

const cfb_rows_kept *cfb_scoring_rows(const cfb_scoring_t *s, size_t task) { return cfb_sink_rows(s->scored[task].sink); }

const cfb_task *cfb_scoring_task(const cfb_scoring_t *s, size_t task) { return cfb_sink_task(s->scored[task].sink); }

cfb_code cfb_scoring_intervals(cfb_scoring_t *s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    s->report.confidence = s->c->confidence;
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++)
        rc = cfb_rows_interval(cfb_scoring_rows(s, i), s->c, cfb_sink_task(s->scored[i].sink)->metric, &s->tasks[i].summary,
                               &s->tasks[i].interval, err);
    return rc;
}

uint64_t cfb_scoring_n_failed(const cfb_scoring_t *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += s->tasks[i].summary.n_state[CFB_ROW_FAILED];
    return n;
}

static cfb_code keep_text(cfb_scoring_t *s, const char *text, const char **out, cfb_err *err) {
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(s->arena, cfb_str_from(text), &copy, err);
    if (rc == CFB_OK) *out = copy.ptr;
    return rc;
}

static cfb_code grow(cfb_scoring_t *s, cfb_err *err) {
    if (s->n < s->cap) return CFB_OK;
    size_t cap = s->cap ? s->cap * 2 : 16;
    cfb_report_task *tasks = realloc(s->tasks, cap * sizeof *tasks);
    if (tasks) s->tasks = tasks;
    struct scored *scored = tasks ? realloc(s->scored, cap * sizeof *scored) : NULL;
    if (scored == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->scored = scored;
    s->cap = cap;
    return CFB_OK;
}

static cfb_code score_opts(const cfb_scoring_t *s, const cfb_task *t, cfb_score_opts *o, cfb_err *err) {
    *o = (cfb_score_opts)CFB_SCORE_OPTS_INIT;
    o->n_threads = (int)s->c->threads;
    o->label_set = t->label_set;
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
    for (size_t i = 0; i < s->n; i++) tasks[i] = cfb_sink_task(s->scored[i].sink);
    cfb_code rc = cfb_cli_check_metrics(s->c, tasks, s->n, err);
    free(tasks);
    return rc;
}

/* Opens the export (where one is wanted) and the sink of one task. */
static cfb_code open_sink(cfb_scoring_t *s, const cfb_task *t, const cfb_report_task *r, const char *export_dir, unsigned what,
                          bool keep_scores, cfb_sink_t **out, cfb_err *err) {
    cfb_code rc = task_to_score(s, &t, err);
    cfb_sink_opts o = {.task = t, .keep_scores = keep_scores && !s->keep_rows, .keep_all = s->keep_rows};
    if (rc == CFB_OK) rc = score_opts(s, t, &o.score, err);
    if (rc == CFB_OK && export_dir && what)
        rc = cfb_export_open(export_dir, r->setting ? r->setting : "few-shot", r->model ? r->model : "unknown-model", t, what,
                             &o.export, err);
    return rc == CFB_OK ? cfb_sink_new(&o, out, err) : rc;
}

static cfb_code add_scored(cfb_scoring_t *s, cfb_sink_t *sink, cfb_suite_t *suite, cfb_report_task *r, cfb_err *err) {
    cfb_code rc = cfb_sink_finish(sink, r, err);
    if (rc == CFB_OK) rc = grow(s, err);
    if (rc != CFB_OK) {
        cfb_sink_free(sink);
        cfb_suite_free(suite);
        return rc;
    }
    s->scored[s->n] = (struct scored){sink, suite};
    s->tasks[s->n++] = *r;
    return CFB_OK;
}

/* ---- run stores ---- */

struct store_job {
    cfb_scoring_t *s;
    cfb_store_t *store;
    const char *path, *model, *setting, *export_dir;
    unsigned what;
    cfb_sink_t *sink;
    cfb_sink_row batch[STORE_BATCH];
    size_t n;
    cfb_arena_t *texts;
};

static cfb_code flush_batch(struct store_job *j, cfb_err *err) {
    cfb_code rc = cfb_sink_add(j->sink, j->batch, j->n, err);
    j->n = 0;
    cfb_arena_reset(j->texts);
    return rc;
}

static cfb_row_state state_by_name(const char *name) {
    for (int k = 0; k < CFB_ROW_STATE_COUNT; k++)
        if (strcmp(name, cfb_row_state_name((cfb_row_state)k)) == 0) return (cfb_row_state)k;
    return CFB_ROW_FAILED;
}

static cfb_code on_result(void *ctx, const cfb_store_result *r, cfb_err *err) {
    struct store_job *j = ctx;
    cfb_sink_row *row = &j->batch[j->n];
    bool never_asked = r->n_attempts == 0;
    *row = (cfb_sink_row){.row = (uint64_t)r->row, .state = state_by_name(r->state)};
    cfb_str fail = CFB_STR_NULL, message = CFB_STR_NULL;
    if (row->state == CFB_ROW_FAILED) {
        fail = cfb_str_from(never_asked ? "not_asked" : r->fail);
        message = cfb_str_from(never_asked ? "the run ended before this row" : r->message);
    }
    cfb_str from[] = {r->id, r->input, r->response, r->output, fail, message};
    cfb_str to[6];
    for (size_t i = 0; i < 6; i++) {
        cfb_code rc = cfb_arena_dup(j->texts, from[i], &to[i], err);
        if (rc != CFB_OK) return rc;
    }
    row->id = to[0];
    row->input = to[1];
    row->response = to[2];
    row->output = to[3];
    row->fail = to[4].ptr;
    row->message = to[5].ptr;
    j->n++;
    return j->n == STORE_BATCH ? flush_batch(j, err) : CFB_OK;
}

static cfb_code on_task(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err) {
    struct store_job *j = ctx;
    if (!cfb_cli_is_picked(j->s->c, t->name)) return CFB_OK;
    cfb_suite_t *suite = NULL;
    cfb_report_task r = {.model = j->model, .setting = j->setting, .source = j->path};
    cfb_code rc = cfb_suite_parse(t->name, cfb_str_from(t->definition), &suite, err);
    if (rc == CFB_OK) rc = open_sink(j->s, cfb_suite_task(suite, 0), &r, j->export_dir, j->what, true, &j->sink, err);
    if (rc != CFB_OK) {
        cfb_suite_free(suite);
        return rc;
    }
    rc = cfb_store_each_result(j->store, task_id, on_result, j, err);
    if (rc == CFB_OK) rc = flush_batch(j, err);
    if (rc != CFB_OK) {
        cfb_err_add_context(err, "task '%s'", t->name);
        cfb_sink_free(j->sink);
        cfb_suite_free(suite);
        return rc;
    }
    return add_scored(j->s, j->sink, suite, &r, err);
}

/* Row scores go back into the store once all tasks were read: its tables are then complete for people's own queries. */
static cfb_code store_scores(cfb_scoring_t *s, size_t first, const char *path, cfb_err *err) {
    cfb_store_t *w = NULL;
    cfb_code rc = cfb_store_open(path, CFB_STORE_WRITE, &w, err);
    for (size_t i = first; i < s->n && rc == CFB_OK; i++) {
        const int64_t *rows;
        const double *scores;
        int64_t task_id = 0;
        size_t n = cfb_sink_scores(s->scored[i].sink, &rows, &scores);
        cfb_store_task t = {s->tasks[i].task, "", "", "", ""}; /* known by name: nothing is added */
        rc = cfb_store_put_task(w, &t, &task_id, err);
        if (rc == CFB_OK) rc = cfb_store_put_scores(w, task_id, s->tasks[i].summary.metric, rows, scores, n, err);
    }
    cfb_code close_rc = cfb_store_close(w, rc == CFB_OK ? err : NULL);
    return rc == CFB_OK ? close_rc : rc;
}

/* What the tasks share: with several sources each run has its own. */
static void take_settings(cfb_scoring_t *s, const cfb_report_asking *a, bool single) {
    s->report.settings = single ? a->settings : NULL;
    s->report.n_settings = single ? a->n_settings - a->n_notes : 0;
}

static cfb_code add_asking(cfb_scoring_t *s, const struct store_job *j, bool first, cfb_err *err) {
    cfb_report_asking *p = realloc(s->asking, (s->n_asking + 1) * sizeof *p);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->asking = p;
    cfb_code rc = cfb_cli_asked(j->store, j->path, j->model, j->setting, s->arena, &p[s->n_asking], err);
    if (rc == CFB_OK) take_settings(s, &p[s->n_asking], first && s->n_asking == 0);
    if (rc == CFB_OK) s->n_asking++;
    return rc;
}

cfb_code cfb_scoring_add_store(cfb_scoring_t *s, const char *path, const char *export_dir, unsigned what, cfb_err *err) {
    struct store_job *j = calloc(1, sizeof *j);
    if (j == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    size_t first = s->n;
    *j = (struct store_job){.s = s, .export_dir = export_dir, .what = what};
    cfb_code rc = cfb_arena_new(0, &j->texts, err);
    if (rc == CFB_OK) rc = keep_text(s, path, &j->path, err);
    if (rc == CFB_OK) rc = cfb_store_open(path, CFB_STORE_READ, &j->store, err);
    if (rc == CFB_OK) {
        const char *model = cfb_store_setting_get(j->store, "model"), *shot = cfb_store_setting_get(j->store, "shot");
        rc = keep_text(s, model ? model : "unknown-model", &j->model, err);
        j->setting = cfb_shot_name(shot && strcmp(shot, "zero") == 0 ? CFB_SHOT_ZERO : CFB_SHOT_FEW);
        const char *title = cfb_store_setting_get(j->store, "suite.title"), *kept = NULL;
        if (s->n == 0 && title && keep_text(s, title, &kept, NULL) == CFB_OK) s->report.title = kept;
    }
    if (rc == CFB_OK) rc = cfb_store_each_task(j->store, on_task, j, err);
    if (rc == CFB_OK) rc = add_asking(s, j, first == 0, err);
    cfb_store_close(j->store, NULL);
    cfb_arena_free(j->texts);
    free(j);
    if (rc == CFB_OK && s->n == first && s->c->tasks == NULL)
        rc = cfb_err_set(err, CFB_EDATA, "%s: the run store has no tasks yet", path);
    if (rc != CFB_OK || s->keep_rows) return rc;
    cfb_err store_err = CFB_ERR_INIT;
    if (store_scores(s, first, path, &store_err) != CFB_OK) /* a read-only copy is scored all the same */
        cfb_log(CFB_LOG_INFO, "row scores were not written back into the store: %s", store_err.msg);
    return CFB_OK;
}

/* ---- response files ---- */

/* Which task a file holds: --task, or its name up to '-' or '.', as in sector-output.csv. */
static cfb_code task_of_file(cfb_scoring_t *s, const char *path, const cfb_task **task, cfb_err *err) {
    char name[80];
    const char *base = cfb_path_base(path);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "-."), base);
    const char *wanted = s->c->task ? s->c->task : name;
    size_t i = cfb_suite_find_task(s->suite, wanted);
    if (i == SIZE_MAX)
        return cfb_err_set(err, CFB_EUSAGE,
                           "%s: suite '%s' has no task '%s'; say which one it is with --task (or give another --suite)", path,
                           cfb_suite_name(s->suite), wanted);
    *task = cfb_suite_task(s->suite, i);
    return CFB_OK;
}

/* .../few-shot/openai/gpt-4o-mini/sector-output.csv -> setting and model; options fill in what the path does not say. */
static cfb_code names_from_path(cfb_scoring_t *s, const char *path, cfb_report_task *r, cfb_err *err) {
    const char *base = cfb_path_base(path);
    for (int k = 0; k < 2; k++) {
        const char *setting = cfb_shot_name((cfb_shot)k), *at = strstr(path, setting);
        size_t n = strlen(setting);
        if (at == NULL || (at != path && at[-1] != '/') || at[n] != '/') continue;
        r->setting = setting;
        if (at + n + 1 < base) {
            char model[256];
            snprintf(model, sizeof model, "%.*s", (int)(base - 1 - (at + n + 1)), at + n + 1);
            cfb_code rc = keep_text(s, model, &r->model, err);
            if (rc != CFB_OK) return rc;
        }
    }
    if (s->c->model) r->model = s->c->model;
    return CFB_OK;
}

static cfb_code load_suite(cfb_scoring_t *s, cfb_err *err) {
    if (s->suite) return CFB_OK;
    cfb_err first = CFB_ERR_INIT;
    bool observed = s->c->label_set && strcmp(s->c->label_set, "observed") == 0;
    cfb_code rc = observed ? CFB_ENOTFOUND : cfb_suite_load(s->c->suite, s->c->data, CFB_SUITE_LABELS, &s->suite, &first);
    if (rc == CFB_OK) return CFB_OK;
    rc = cfb_suite_load(s->c->suite, s->c->data, 0, &s->suite, err);
    if (rc == CFB_OK && !observed) cfb_log(CFB_LOG_DEBUG, "no label lists: %s", first.msg);
    return rc;
}

/* A part of the file on its way from cfb_scan's work to its commit. */
struct part {
    cfb_score_row_in *in;
    cfb_score_row *out;
    size_t cap;
};

struct file_job {
    cfb_sink_t *sink;
    struct part *parts; /* one for each slot */
    cfb_arena_t *texts; /* of the row that is being kept */
    const cfb_scan_part *now;
};

static cfb_code reserve_part(struct part *p, size_t n, cfb_err *err) {
    if (n <= p->cap) return CFB_OK;
    free(p->in);
    free(p->out);
    p->in = malloc(n * sizeof *p->in);
    p->out = malloc(n * sizeof *p->out);
    p->cap = p->in && p->out ? n : 0;
    return p->cap ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

static cfb_code work_part(void *ctx, const cfb_scan_part *rows, int worker, cfb_err *err) {
    struct file_job *j = ctx;
    struct part *p = &j->parts[rows->slot];
    cfb_code rc = reserve_part(p, rows->n_rows, err);
    if (rc != CFB_OK) return rc;
    for (size_t i = 0; i < rows->n_rows; i++) {
        const cfb_str *cell = rows->cells + i * rows->n_columns;
        p->in[i] = (cfb_score_row_in){cell[0], cell[1], cell[1].len == 0 ? CFB_ROW_EMPTY : CFB_ROW_OK};
    }
    return cfb_sink_score(j->sink, worker, p->in, rows->n_rows, p->out, err);
}

static cfb_code text_of_row(void *ctx, size_t i, cfb_sink_row *r, cfb_err *err) {
    struct file_job *j = ctx;
    const cfb_str *cell = j->now->cells + i * j->now->n_columns;
    r->row = j->now->numbers[i];
    r->response = cell[0];
    r->output = cell[1];
    cfb_arena_reset(j->texts);
    return cfb_scan_text(j->now, i, 2, j->texts, &r->input, err);
}

static cfb_code commit_part(void *ctx, const cfb_scan_part *rows, cfb_err *err) {
    struct file_job *j = ctx;
    j->now = rows;
    return cfb_sink_take(j->sink, j->parts[rows->slot].out, rows->n_rows, text_of_row, j, err);
}

/* A mapped file that gets shorter takes its pages away from under the scan: there is no way on. */
static void file_got_shorter(int sig) {
    static const char text[] = "cfbench: a file got shorter while it was read\n";
    (void)sig;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(2); /* as ETRUNCATED */
}

static cfb_code score_rows(cfb_sink_t *sink, cfb_scan_t *scan, cfb_err *err) {
    struct file_job j = {.sink = sink};
    signal(SIGBUS, file_got_shorter);
    size_t n = cfb_scan_n_slots(scan);
    j.parts = calloc(n, sizeof *j.parts);
    cfb_code rc = j.parts ? cfb_arena_new(0, &j.texts, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK) rc = cfb_scan_run(scan, &(cfb_scan_job){&j, work_part, commit_part}, err);
    for (size_t i = 0; j.parts != NULL && i < n; i++) {
        free(j.parts[i].in);
        free(j.parts[i].out);
    }
    free(j.parts);
    cfb_arena_free(j.texts);
    return rc;
}

cfb_code cfb_scoring_add_file(cfb_scoring_t *s, const char *path, const char *export_dir, unsigned what, cfb_err *err) {
    /* Of most rows nobody looks at the input: it is checked only where it is written or shown. */
    const cfb_scan_column columns[] = {
        {s->c->response_column, true, false}, {s->c->output_column, true, false}, {"input", false, true}};
    cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
    cfb_report_task r = {0};
    cfb_scan_t *scan = NULL;
    cfb_sink_t *sink = NULL;
    const cfb_task *task = NULL;
    o.columns = columns;
    o.n_columns = 3;
    o.n_threads = (int)s->c->threads;
    o.memory_bytes = s->c->memory ? (size_t)s->c->memory << 20 : (size_t)(cfb_memory_allowed() / 4);
    cfb_code rc = load_suite(s, err);
    if (rc == CFB_OK) rc = task_of_file(s, path, &task, err);
    if (rc == CFB_OK && !cfb_cli_is_picked(s->c, task->name)) return CFB_OK;
    if (rc == CFB_OK) rc = keep_text(s, path, &r.source, err);
    if (rc == CFB_OK) rc = names_from_path(s, path, &r, err);
    if (rc == CFB_OK) rc = cfb_scan_open(path, &o, &scan, err);
    if (rc == CFB_OK) rc = open_sink(s, task, &r, export_dir, what, false, &sink, err);
    if (rc == CFB_OK) rc = score_rows(sink, scan, err);
    cfb_scan_close(scan);
    if (rc != CFB_OK) {
        cfb_sink_free(sink);
        return rc;
    }
    s->report.title = cfb_suite_title(s->suite);
    return add_scored(s, sink, NULL, &r, err);
}

/* ---- publishing ---- */

typedef cfb_code (*render_fn)(const cfb_report *r, cfb_buf *out, cfb_err *err);

cfb_code cfb_scoring_name_source(cfb_scoring_t *s, const char *source, cfb_err *err) {
    const char *kept = NULL;
    cfb_code rc = keep_text(s, source, &kept, err);
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++) s->tasks[i].source = kept;
    for (size_t i = 0; i < s->n_asking && rc == CFB_OK; i++) s->asking[i].source = kept;
    return rc;
}

cfb_code cfb_scoring_write(cfb_scoring_t *s, const char *dir, cfb_err *err) {
    static const struct {
        const char *name;
        render_fn render;
    } files[] = {{"scores.json", cfb_report_json}, {"report.md", cfb_report_markdown}, {"report.html", cfb_report_html}};
    const cfb_report *r = cfb_scoring_report(s);
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_code rc = cfb_scoring_intervals(s, err);
    char path[PATH_MAX];
    if (rc == CFB_OK && dir) rc = cfb_mkdir_p(dir, err);
    for (size_t i = 0; dir && i < 3 && rc == CFB_OK; i++) {
        cfb_buf_clear(&text);
        rc = files[i].render(r, &text, err);
        if (rc == CFB_OK) rc = cfb_path_join(path, sizeof path, dir, files[i].name, err);
        if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&text), err);
    }
    cfb_buf_free(&text);
    return rc;
}

cfb_code cfb_scoring_publish(cfb_scoring_t *s, const char *dir, cfb_err *err) {
    const cfb_report *r = cfb_scoring_report(s);
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_code rc = cfb_scoring_write(s, dir, err);
    if (rc == CFB_OK) {
        /* run says on standard error how it asked */
        cfb_table_style style = {.color = cfb_cli_use_color(s->c, stdout), .asking = s->c->command == CFB_CMD_REPORT};
        rc = s->c->json ? cfb_report_json(r, &text, err) : cfb_report_table(r, &style, &text, err);
        if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&text), err);
    }
    cfb_buf_free(&text);
    return rc;
}
