/* cfbench compare PATH...: models on the same rows. */
#include "cfbench/metrics.h"
#include "cli/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct job {
    const cfb_config *c;
    cfb_arena_t *arena;
    cfb_config *config; /* one for each path, that names it alone: a path may be given twice */
    cfb_scoring_t **scoring;
    size_t n_scoring;
    cli_run runs[CFB_COMPARE_MAX_RUNS];
    cfb_compare_run shown[CFB_COMPARE_MAX_RUNS];
    size_t n_runs;
    cli_rows *rows; /* of the shared tasks */
    const cfb_task **tasks;
    size_t n_tasks;
    cfb_compare_line *lines; /* tasks, kinds, all */
    size_t n_lines;
    cfb_compare_gate *gates;
    size_t n_gates;
    cfb_buf left_out;
    const char *gone; /* the first task of A that another run lacks, or NULL */
    cfb_stats_opts opts;
} job;

static cfb_code no_memory(cfb_err *err) { return cfb_err_set(err, CFB_ENOMEM, "out of memory"); }

/* ---- runs ---- */

static bool same(const char *a, const char *b) { return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0); }

static const char *setting_of(const cfb_report *r, const char *name) {
    for (size_t i = 0; i < r->n_settings; i++)
        if (strcmp(r->settings[i].name, name) == 0) return r->settings[i].value;
    return NULL;
}

/* Neighbouring tasks of one model and setting are one run. */
static cfb_code add_runs(job *j, cfb_scoring_t *s, cfb_err *err) {
    const cfb_report *r = NULL;
    cfb_code rc = cfb_scoring_report(s, false, &r, err);
    if (rc != CFB_OK) return rc;
    for (size_t i = 0, n; i < r->n_tasks; i += n) {
        const cfb_report_task *t = &r->tasks[i];
        for (n = 1; i + n < r->n_tasks && same(r->tasks[i + n].model, t->model) && same(r->tasks[i + n].setting, t->setting); n++)
            for (size_t k = i; k < i + n; k++)
                if (strcmp(r->tasks[k].task, r->tasks[i + n].task) == 0)
                    return cfb_err_set(err, CFB_EDATA, "task '%s' is there twice for one model: in %s and in %s", t->task,
                                       r->tasks[k].source, r->tasks[i + n].source);
        if (j->n_runs == CFB_COMPARE_MAX_RUNS)
            return cfb_err_set(err, CFB_ELIMIT, "more than %d runs to compare", CFB_COMPARE_MAX_RUNS);
        const char *source = t->source;
        if (!same(source, r->tasks[i + n - 1].source)) { /* several files: their folder */
            cfb_str folder = {source, (size_t)(cfb_path_base(source) - source)}, kept;
            rc = cfb_arena_dup(j->arena, folder.len ? folder : CFB_STR_LIT("."), &kept, err);
            if (rc != CFB_OK) return rc;
            source = kept.ptr;
        }
        j->runs[j->n_runs] = (cli_run){s, r, i, n, setting_of(r, "suite"), setting_of(r, "suite.sha256")};
        j->shown[j->n_runs++] = (cfb_compare_run){t->model, t->setting, source};
    }
    return CFB_OK;
}

static cfb_code check_suites(const job *j, cfb_err *err) {
    for (size_t r = 1; r < j->n_runs; r++) {
        const cli_run *a = &j->runs[0], *b = &j->runs[r];
        if (a->suite && b->suite && strcmp(a->suite, b->suite) != 0)
            return cfb_err_set(err, CFB_EDATA, "A is a run of suite '%s', %c of suite '%s': they share no rows", a->suite,
                               (int)('A' + r), b->suite);
        if (a->fingerprint && b->fingerprint && strcmp(a->fingerprint, b->fingerprint) != 0)
            cfb_log(CFB_LOG_WARN, "A and %c were made with different versions of suite '%s': prompts may differ", (int)('A' + r),
                    a->suite ? a->suite : "?");
    }
    return CFB_OK;
}

static cfb_code load(job *j, cfb_err *err) {
    const cfb_config *c = j->c;
    cfb_code rc = CFB_OK;
    j->scoring = calloc(c->n_args, sizeof *j->scoring);
    j->config = malloc(c->n_args * sizeof *j->config);
    if (j->scoring == NULL || j->config == NULL) return no_memory(err);
    for (size_t i = 0; i < c->n_args && rc == CFB_OK; i++) {
        j->config[i] = *c;
        j->config[i].args += i;
        j->config[i].n_args = 1;
        rc = cfb_scoring_new(&j->config[i], &j->scoring[i], err);
        if (rc != CFB_OK) break;
        j->n_scoring++;
        cfb_scoring_keep_rows(j->scoring[i]);
        rc = cfb_scoring_add_sources(j->scoring[i], NULL, 0, err);
        if (rc == CFB_OK) rc = cfb_scoring_check_metrics(j->scoring[i], err);
        if (rc == CFB_OK) rc = add_runs(j, j->scoring[i], err);
    }
    if (rc == CFB_OK && j->n_runs < 2)
        rc = cfb_err_set(err, CFB_EUSAGE, "there is nothing to compare: %s holds one model in one setting; name another run",
                         c->args[0]);
    return rc == CFB_OK ? check_suites(j, err) : rc;
}

/* ---- tasks ---- */

static const cfb_report_task *task_of(const cli_run *r, size_t i) { return &r->report->tasks[i]; }

/* The task of this name in every run; SIZE_MAX in a run that has none. */
static bool find_task(const job *j, const char *name, size_t at[CFB_COMPARE_MAX_RUNS]) {
    bool everywhere = true;
    for (size_t r = 0; r < j->n_runs; r++) {
        at[r] = SIZE_MAX;
        for (size_t i = j->runs[r].first; i < j->runs[r].first + j->runs[r].n; i++)
            if (strcmp(task_of(&j->runs[r], i)->task, name) == 0) at[r] = i;
        everywhere = everywhere && at[r] != SIZE_MAX;
    }
    return everywhere;
}

static cfb_code note_left_out(job *j, const char *name, cfb_err *err) {
    char text[200];
    int n = snprintf(text, sizeof text, "%s%.150s", j->left_out.len ? ", " : "", name);
    return cfb_buf_append(&j->left_out, text, (size_t)n, err);
}

static cfb_code check_metric(const job *j, const size_t *at, cfb_err *err) {
    const cfb_report_task *a = task_of(&j->runs[0], at[0]);
    for (size_t r = 1; r < j->n_runs; r++) {
        const cfb_report_task *b = task_of(&j->runs[r], at[r]);
        if (!same(a->summary.metric, b->summary.metric))
            return cfb_err_set(err, CFB_EDATA, "task '%s' is scored by '%s' in A and by '%s' in %c: such scores do not compare",
                               a->task, a->summary.metric, b->summary.metric, (int)('A' + r));
    }
    return CFB_OK;
}

static cfb_code add_task(job *j, size_t i, cfb_err *err) {
    size_t at[CFB_COMPARE_MAX_RUNS];
    const cfb_report_task *t = task_of(&j->runs[0], i);
    if (!find_task(j, t->task, at)) {
        if (j->gone == NULL) j->gone = t->task;
        return note_left_out(j, t->task, err);
    }
    cfb_code rc = check_metric(j, at, err);
    if (rc == CFB_OK) rc = cli_rows_match(j->runs, j->n_runs, at, &j->rows[j->n_tasks++], err);
    if (rc != CFB_OK) return rc;
    const cli_rows *rows = &j->rows[j->n_tasks - 1];
    const cfb_task *task = cfb_scoring_task(j->runs[0].scoring, i);
    cfb_metric_how how = cfb_metric_get(task->metric)->how;
    j->tasks[j->n_tasks - 1] = task;
    cfb_compare_line *line = &j->lines[j->n_lines++];
    *line = (cfb_compare_line){.name = t->task,
                               .title = t->title,
                               .kind = t->kind,
                               .metric = t->summary.metric,
                               .by_rows = how == CFB_METRIC_FROM_COUNTS || how == CFB_METRIC_FROM_LABEL_MEAN};
    return cli_line_of_task(rows, j->n_runs, &j->opts, j->arena, line, err);
}

static cfb_code add_tasks(job *j, cfb_err *err) {
    size_t n = j->runs[0].n;
    j->rows = calloc(n, sizeof *j->rows);
    j->tasks = calloc(n, sizeof *j->tasks);
    j->lines = calloc(2 * n + 1, sizeof *j->lines);
    if (j->rows == NULL || j->tasks == NULL || j->lines == NULL) return no_memory(err);
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = add_task(j, j->runs[0].first + i, err);
    for (size_t r = 1; r < j->n_runs && rc == CFB_OK; r++) /* tasks that A has not */
        for (size_t i = j->runs[r].first; i < j->runs[r].first + j->runs[r].n && rc == CFB_OK; i++) {
            size_t at[CFB_COMPARE_MAX_RUNS];
            const char *name = task_of(&j->runs[r], i)->task;
            (void)find_task(j, name, at);
            bool first = true; /* named once */
            for (size_t k = 0; k < r; k++) first = first && at[k] == SIZE_MAX;
            if (first) rc = note_left_out(j, name, err);
        }
    if (rc == CFB_OK && j->n_tasks == 0)
        rc = cfb_err_set(err, CFB_EDATA, "the runs have no task in common (%.300s)", j->left_out.ptr);
    return rc;
}

/* ---- means ---- */

/* The mean over the tasks that `what` names: a task, a kind, a metric, or all. EUSAGE if there is none. */
static cfb_code mean_over(const job *j, const char *what, cfb_compare_line *line, cfb_err *err) {
    const cli_rows **rows = calloc(j->n_tasks, sizeof *rows);
    const cfb_compare_line **lines = calloc(j->n_tasks, sizeof *lines);
    if (rows == NULL || lines == NULL) {
        free(rows);
        free(lines);
        return no_memory(err);
    }
    size_t n = 0;
    for (int by = 0; by < 4 && n == 0; by++)
        for (size_t t = 0; t < j->n_tasks; t++) {
            const char *name = by == 0   ? j->tasks[t]->name
                               : by == 1 ? j->lines[t].kind
                               : by == 2 ? cfb_metric_get(j->tasks[t]->metric)->name
                                         : "all";
            if (name == NULL || strcmp(name, what) != 0) continue;
            rows[n] = &j->rows[t];
            lines[n++] = &j->lines[t];
        }
    cfb_code rc =
        n ? cli_line_of_mean(rows, lines, n, j->n_runs, &j->opts, j->arena, line, err)
          : cfb_err_set(err, CFB_EUSAGE, "'%s' is no task, kind of task or metric that is compared here, and not 'all'", what);
    free(rows);
    free(lines);
    return rc;
}

static cfb_code add_means(job *j, cfb_err *err) {
    size_t first = j->n_lines, n_kinds = 0;
    cfb_code rc = CFB_OK;
    for (size_t t = 0; t < j->n_tasks; t++) {
        bool seen = j->lines[t].kind == NULL;
        for (size_t k = 0; k < n_kinds; k++) seen = seen || strcmp(j->lines[first + k].name, j->lines[t].kind) == 0;
        if (!seen) j->lines[first + n_kinds++] = (cfb_compare_line){.name = j->lines[t].kind};
    }
    if (n_kinds == 1) n_kinds = 0;
    j->lines[first + n_kinds] = (cfb_compare_line){.name = "all"};
    if (j->n_tasks > 1) j->n_lines = first + n_kinds + 1;
    for (size_t i = first; i < j->n_lines && rc == CFB_OK; i++) rc = mean_over(j, j->lines[i].name, &j->lines[i], err);
    double alpha = 1 - j->opts.confidence;
    if (rc == CFB_OK) rc = cli_adjust(j->lines, first, j->n_runs, alpha, j->arena, err);
    if (rc == CFB_OK) rc = cli_adjust(j->lines + first, j->n_lines - first, j->n_runs, alpha, j->arena, err);
    return rc;
}

/* ---- gates ---- */

static cfb_code add_gates(job *j, cfb_err *err) {
    const cfb_string_list *texts = &j->c->fail_if;
    j->gates = calloc(texts->n * j->n_runs + 1, sizeof *j->gates);
    if (j->gates == NULL) return no_memory(err);
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < texts->n && rc == CFB_OK; i++) {
        cli_gate gate;
        cfb_compare_line line = {0};
        cfb_str what = CFB_STR_NULL;
        rc = cli_gate_parse(texts->items[i], &gate, err);
        if (rc == CFB_OK) rc = cfb_arena_dup(j->arena, cfb_str_from(gate.what), &what, err);
        if (rc == CFB_OK) rc = mean_over(j, gate.what, &line, err);
        if (rc != CFB_OK) cfb_err_add_context(err, "--fail-if");
        for (size_t r = 1; r < j->n_runs && rc == CFB_OK; r++) { /* the first pairs are those with A */
            cfb_compare_gate *g = &j->gates[j->n_gates++];
            *g = (cfb_compare_gate){.text = texts->items[i], .line = what.ptr, .run = r};
            g->failed = cli_gate_holds(&gate, &line.pairs[r - 1], &g->drop);
        }
    }
    return rc;
}

static bool is_one_task(const job *j, const char *what) {
    for (size_t t = 0; t < j->n_tasks; t++)
        if (strcmp(j->tasks[t]->name, what) == 0) return true;
    return false;
}

static cfb_code judge(const job *j, cfb_err *err) {
    for (size_t i = 0; i < j->n_gates; i++)
        if (j->gates[i].failed)
            return cfb_err_set(err, CFB_EWORSE, "--fail-if '%.200s' holds: %c lies below A by more than %.4f", j->gates[i].text,
                               (int)('A' + j->gates[i].run), j->gates[i].drop);
    for (size_t t = 0; t < j->n_tasks && j->n_gates > 0; t++) { /* a server that was down must not look like a pass */
        const cfb_compare_line *l = &j->lines[t];
        uint64_t all = l->n_rows + l->n_failed + l->n_apart;
        if ((double)l->n_failed > CFB_REPORT_MAX_GAP * (double)(l->n_rows + l->n_failed))
            return cfb_err_set(err, CFB_EPARTIAL, "task '%s': %llu of %llu rows failed in a run: too many for --fail-if to pass",
                               l->name, (unsigned long long)l->n_failed, (unsigned long long)(l->n_rows + l->n_failed));
        if ((double)l->n_apart > CFB_REPORT_MAX_GAP * (double)all)
            return cfb_err_set(err, CFB_EPARTIAL,
                               "task '%s': %llu of %llu rows are not in every run: too many for --fail-if to pass", l->name,
                               (unsigned long long)l->n_apart, (unsigned long long)all);
    }
    for (size_t i = 0; i < j->n_gates && j->gone; i++) /* nor one that was never asked a task */
        if (!is_one_task(j, j->gates[i].line))
            return cfb_err_set(
                err, CFB_EPARTIAL,
                "task '%s' of A is not in every run: --fail-if '%.200s' cannot pass without it; name the tasks to be "
                "judged, or run it",
                j->gone, j->gates[i].text);
    return CFB_OK;
}

/* ---- output ---- */

static cfb_code plain_table(const cfb_compare *c, cfb_buf *out, cfb_err *err) { return cfb_compare_table(c, false, out, err); }

static cfb_code color_table(const cfb_compare *c, cfb_buf *out, cfb_err *err) { return cfb_compare_table(c, true, out, err); }

typedef cfb_code (*render_fn)(const cfb_compare *c, cfb_buf *out, cfb_err *err);

static cfb_code publish(job *j, cfb_err *err) {
    static const struct {
        const char *name;
        render_fn render;
    } files[] = {{"compare.json", cfb_compare_json},
                 {"compare.md", cfb_compare_markdown},
                 {"compare.tex", cfb_compare_latex},
                 {"compare.html", cfb_compare_html}};
    cfb_compare all = {.title = j->runs[0].report->title,
                       .version = CFB_VERSION,
                       .confidence = j->c->confidence,
                       .runs = j->shown,
                       .n_runs = j->n_runs,
                       .n_pairs = j->n_runs * (j->n_runs - 1) / 2,
                       .lines = j->lines,
                       .n_lines = j->n_lines,
                       .gates = j->gates,
                       .n_gates = j->n_gates,
                       .left_out = j->left_out.len ? j->left_out.ptr : "",
                       .language = cfb_cli_language(j->c)};
    const char *format = j->c->json ? "json" : j->c->format;
    render_fn render = strcmp(format, "json") == 0       ? cfb_compare_json
                       : strcmp(format, "markdown") == 0 ? cfb_compare_markdown
                       : strcmp(format, "latex") == 0    ? cfb_compare_latex
                       : cfb_cli_use_color(j->c, stdout) ? color_table
                                                         : plain_table;
    cfb_buf text = CFB_BUF_INIT(SIZE_MAX / 2);
    char path[PATH_MAX];
    cfb_code rc = j->c->out ? cfb_mkdir_p(j->c->out, err) : CFB_OK;
    for (size_t i = 0; j->c->out && i < sizeof files / sizeof *files && rc == CFB_OK; i++) {
        cfb_buf_clear(&text);
        rc = files[i].render(&all, &text, err);
        if (rc == CFB_OK) rc = cfb_path_join(path, sizeof path, j->c->out, files[i].name, err);
        if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&text), err);
    }
    cfb_buf_clear(&text);
    if (rc == CFB_OK) rc = render(&all, &text, err);
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&text), err);
    cfb_buf_free(&text);
    return rc;
}

cfb_code cfb_cmd_compare(const cfb_config *c, cfb_err *err) {
    job j = {.c = c, .opts = cfb_cli_stats_opts(c), .left_out = CFB_BUF_INIT((size_t)1 << 20)};
    cli_gate gate;
    cfb_code rc = cfb_arena_new(0, &j.arena, err);
    for (size_t i = 0; i < c->fail_if.n && rc == CFB_OK; i++) rc = cli_gate_parse(c->fail_if.items[i], &gate, err);
    int64_t begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = load(&j, err);
    cfb_cli_stage_end("score", begin_ns);
    begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = add_tasks(&j, err);
    if (rc == CFB_OK) rc = add_means(&j, err);
    cfb_cli_stage_end("statistics", begin_ns);
    if (rc == CFB_OK) rc = add_gates(&j, err);
    begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = publish(&j, err);
    cfb_cli_stage_end("write reports", begin_ns);
    if (rc == CFB_OK) rc = judge(&j, err);
    for (size_t t = 0; t < j.n_tasks; t++) cli_rows_free(&j.rows[t]);
    for (size_t i = 0; i < j.n_scoring; i++) cfb_scoring_free(j.scoring[i]);
    free(j.scoring);
    free(j.config);
    free(j.rows);
    free(j.tasks);
    free(j.lines);
    free(j.gates);
    cfb_buf_free(&j.left_out);
    cfb_arena_free(j.arena);
    return rc;
}
