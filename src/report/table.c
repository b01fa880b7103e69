/* table.c - the table for people: one block per model and setting, then failed rows and notes. */
#include "report/asking.h"

#include <inttypes.h>
#include <stdio.h>

#define DEFAULT_WIDTH 100
#define MIN_WIDTH 60
#define GAP 2
#define MAX_TASK 24
#define MAX_METRIC 36
#define MAX_FAILED_SHOWN 10

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define RED "\033[31m"
#define RESET "\033[0m"

typedef struct table {
    const cfb_report *r;
    report_out *o;
    bool color;
    size_t limit;      /* columns of a line */
    unsigned mask;     /* columns shown */
    bool metric_below; /* no room for the metrics beside the numbers */
    size_t width[REPORT_COLUMN_COUNT];
    cfb_buf cell; /* scratch: the cell being measured or written */
} table;

static bool shown(const table *t, int c) { return (t->mask >> c & 1) != 0; }
static void color(table *t, const char *code) {
    if (t->color) report_put(t->o, code);
}

/* Safe text of z, cut to max columns, in t->cell. Returns its columns. */
static size_t make_text(table *t, cfb_str s, size_t max) {
    cfb_buf safe = CFB_BUF_INIT(SIZE_MAX / 2);
    report_out tmp = {&safe, t->o->err, t->o->rc, false};
    (void)report_text(&tmp, REPORT_TERMINAL, s, max + 1); /* bounds the work; report_fit does the exact cut */
    size_t used = 0;
    cfb_buf_clear(&t->cell);
    report_out cell = {&t->cell, t->o->err, tmp.rc, false};
    if (cell.rc == CFB_OK) used = report_fit(&cell, cfb_buf_str(&safe), max);
    if (t->o->rc == CFB_OK) t->o->rc = cell.rc;
    cfb_buf_free(&safe);
    return used;
}

static size_t width_of(const char *z) { return cfb_display_width(cfb_str_from(z)); }
static size_t max_of(int c) { return c == REPORT_COL_TASK ? MAX_TASK : MAX_METRIC; }

/* A mean's name has to say that it is one, where no other column does. */
static cfb_str mean_cell(const table *t, const report_mean *m, int c, char scratch[48]) {
    if (c != REPORT_COL_TASK || !t->metric_below) return report_mean_cell(t->o, m, (report_column)c, scratch);
    int n = snprintf(scratch, 48, "%s%.36s", WORD(t->o, MEAN_OF), report_mean_name(t->o, m));
    return (cfb_str){scratch, n > 0 ? (size_t)n : 0};
}

static void measure_cell(table *t, int c, cfb_str s) {
    size_t w = make_text(t, s, max_of(c));
    if (w > t->width[c]) t->width[c] = w;
}

static void measure(table *t) {
    char scratch[48];
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++) t->width[c] = width_of(report_column_head(t->o, (report_column)c));
    report_group g = {0};
    while (report_next_group(t->r, &g)) {
        report_mean means[REPORT_MAX_MEANS];
        size_t n_means = report_means(&g, means);
        for (int c = 0; c < REPORT_COLUMN_COUNT; c++) {
            for (size_t i = 0; i < g.n; i++) measure_cell(t, c, report_cell(&g.tasks[i], (report_column)c, scratch));
            for (size_t i = 0; i < n_means; i++) measure_cell(t, c, mean_cell(t, &means[i], c, scratch));
        }
    }
}

static size_t line_width(const table *t) {
    size_t sum = 0;
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++)
        if (shown(t, c)) sum += t->width[c] + GAP;
    return sum > GAP ? sum - GAP : 0;
}

/* Leaves out what can be read elsewhere until a line fits. Counts of failed rows and scores always stay. */
static void fit_columns(table *t) {
    const unsigned sets = 1u << REPORT_COL_PRECISION | 1u << REPORT_COL_RECALL;
    t->mask = report_columns(t->r);
    measure(t);
    if (line_width(t) > t->limit) t->mask &= ~sets;
    if (line_width(t) > t->limit) t->mask &= ~(1u << REPORT_COL_OK);
    if (line_width(t) > t->limit) {
        t->metric_below = true;
        t->mask &= ~(1u << REPORT_COL_METRIC);
        measure(t); /* the means' names say what the metric column said */
    }
    if (line_width(t) > t->limit) t->mask &= ~(1u << REPORT_COL_INTERVAL);
}

/* ---- lines ---- */

static void put_cell(table *t, int c, cfb_str s, const char *code, size_t *pending) {
    size_t w = make_text(t, s, max_of(c)), fill = t->width[c] > w ? t->width[c] - w : 0;
    bool right = report_column_right[c];
    if (w == 0) { /* blanks at the end of a line are not written */
        *pending += fill + GAP;
        return;
    }
    report_repeat(t->o, " ", *pending + (right ? fill : 0));
    if (code) color(t, code);
    report_put_str(t->o, cfb_buf_str(&t->cell));
    if (code) color(t, RESET);
    *pending = (right ? 0 : fill) + GAP;
}

static bool is_red(int c, uint64_t n_failed) { return c == REPORT_COL_FAILED && n_failed > 0; }

static void put_task_line(table *t, const cfb_report_task *task) {
    char scratch[48];
    size_t pending = 0;
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++) {
        if (!shown(t, c)) continue;
        put_cell(t, c, report_cell(task, (report_column)c, scratch),
                 is_red(c, task->summary.n_state[CFB_ROW_FAILED]) ? RED : NULL, &pending);
    }
    report_put(t->o, "\n");
}

static void put_mean_line(table *t, const report_mean *m) {
    char scratch[48];
    size_t pending = 0;
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++) {
        if (!shown(t, c)) continue;
        const char *code = is_red(c, m->n_state[CFB_ROW_FAILED]) ? RED : m->kind == NULL ? BOLD : NULL;
        put_cell(t, c, mean_cell(t, m, c, scratch), code, &pending);
    }
    report_put(t->o, "\n");
}

static void put_head_line(table *t) {
    size_t pending = 0;
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++)
        if (shown(t, c)) put_cell(t, c, cfb_str_from(report_column_head(t->o, (report_column)c)), BOLD, &pending);
    report_put(t->o, "\n");
}

/* The line above the heads: what `rows`, `score` and `label sets` span, with a rule as wide as their columns. */
static void put_span(table *t, int first, int last, const char *name, size_t *pending) {
    size_t width = 0, name_len = width_of(name);
    for (int c = first; c <= last; c++)
        if (shown(t, c)) width += t->width[c] + GAP;
    if (width < GAP + 1) return;
    width -= GAP;
    report_repeat(t->o, " ", *pending);
    *pending = GAP;
    color(t, DIM);
    if (width < name_len + 4) {
        report_repeat(t->o, " ", width > name_len ? width - name_len : 0);
        report_put(t->o, name);
    } else {
        size_t left = (width - name_len - 2) / 2;
        report_repeat(t->o, "─", left);
        report_putf(t->o, " %s ", name);
        report_repeat(t->o, "─", width - name_len - 2 - left);
    }
    color(t, RESET);
}

static void put_spans(table *t) {
    size_t pending = 0;
    for (int c = REPORT_COL_TASK; c <= REPORT_COL_METRIC; c++)
        if (shown(t, c)) pending += t->width[c] + GAP;
    put_span(t, REPORT_COL_ROWS, REPORT_COL_FAILED, WORD(t->o, ROWS), &pending);
    put_span(t, REPORT_COL_SCORE, REPORT_COL_SCORE_ANSWERED, WORD(t->o, SCORE), &pending);
    put_span(t, REPORT_COL_PRECISION, REPORT_COL_RECALL, WORD(t->o, LABEL_SETS_HEAD), &pending);
    report_put(t->o, "\n");
}

static void put_rule(table *t) {
    color(t, DIM);
    report_repeat(t->o, "─", line_width(t));
    color(t, RESET);
    report_put(t->o, "\n");
}

static void put_line_text(table *t, cfb_str s, const char *code) {
    (void)make_text(t, s, t->limit);
    if (code) color(t, code);
    report_put_str(t->o, cfb_buf_str(&t->cell));
    if (code) color(t, RESET);
    report_put(t->o, "\n");
}

static void put_group_title(table *t, const report_group *g) {
    if (g->model == NULL && g->setting == NULL) return;
    char line[600];
    snprintf(line, sizeof line, "%.400s%s%.100s", g->model ? g->model : "", g->model && g->setting ? WORD(t->o, COMMA) : "",
             g->setting ? g->setting : "");
    put_line_text(t, cfb_str_from(line), BOLD);
}

static void put_metrics_below(table *t, const report_group *g) {
    for (size_t i = 0; i < g->n && t->metric_below; i++) {
        char line[640];
        int indent = i == 0 ? 0 : (int)width_of(WORD(t->o, METRICS_BELOW));
        snprintf(line, sizeof line, "%*s%s%.120s%s%.400s", indent, "", i == 0 ? WORD(t->o, METRICS_BELOW) : "",
                 g->tasks[i].task ? g->tasks[i].task : "?", WORD(t->o, COLON),
                 g->tasks[i].summary.metric ? g->tasks[i].summary.metric : "?");
        put_line_text(t, cfb_str_from(line), NULL);
    }
}

static void put_group(table *t, const report_group *g) {
    report_put(t->o, "\n");
    put_group_title(t, g);
    put_spans(t);
    put_head_line(t);
    put_rule(t);
    for (size_t i = 0; i < g->n; i++) put_task_line(t, &g->tasks[i]);
    report_mean means[REPORT_MAX_MEANS];
    size_t n_means = report_means(g, means);
    if (n_means > 0) put_rule(t);
    for (size_t i = 0; i < n_means; i++) put_mean_line(t, &means[i]);
    put_metrics_below(t, g);
}

/* ---- below the table ---- */

/* "model, setting: " where the report has several of them. */
static void task_name(const table *t, const cfb_report_task *task, char *out, size_t size) {
    report_group first = {0};
    bool several = report_next_group(t->r, &first) && first.n < t->r->n_tasks;
    snprintf(out, size, "%.150s%s%.40s%s%.100s", several && task->model ? task->model : "", several && task->model ? " " : "",
             several && task->setting ? task->setting : "", several && task->setting ? " " : "", task->task ? task->task : "?");
}

static void put_failed_row(table *t, const cfb_report_task *task, const cfb_report_row *row) {
    char name[320], number[24], line[1600];
    task_name(t, task, name, sizeof name);
    snprintf(number, sizeof number, "%" PRIu64, row->row);
    bool has_id = row->id.len > 0 && !cfb_str_eqz(row->id, number);
    cfb_str id = row->id.len > 200 ? (cfb_str){row->id.ptr, 200} : row->id;
    const char *colon = WORD(t->o, COLON);
    snprintf(line, sizeof line, "  %s %s%s%s%.*s%s%s%.100s%s%.700s", name, WORD(t->o, ROW), number,
             has_id ? WORD(t->o, ROW_ID) : "", has_id ? (int)id.len : 0, has_id ? id.ptr : "",
             has_id ? WORD(t->o, PAREN_END) : "", colon, row->fail ? row->fail : WORD(t->o, FAILED), row->message ? colon : "",
             row->message ? row->message : "");
    put_line_text(t, cfb_str_from(line), NULL);
}

static void put_failed(table *t) {
    uint64_t n_failed = report_n_failed(t->r), n_shown = 0;
    if (n_failed == 0) return;
    report_put(t->o, "\n");
    color(t, RED);
    report_putf(t->o, n_failed == 1 ? WORD(t->o, ROW_FAILED) : WORD(t->o, ROWS_FAILED), n_failed);
    color(t, RESET);
    report_put(t->o, "\n");
    for (size_t i = 0; i < t->r->n_tasks; i++) {
        const cfb_report_task *task = &t->r->tasks[i];
        for (size_t k = 0; k < task->n_failed_listed && n_shown < MAX_FAILED_SHOWN; k++, n_shown++)
            put_failed_row(t, task, &task->failed[k]);
    }
    if (n_failed == n_shown) return;
    report_put(t->o, "  ");
    report_putf(t->o, n_shown > 0 ? WORD(t->o, AND_MORE) : WORD(t->o, AND_NOT_LISTED), n_failed - n_shown);
    report_put(t->o, "\n");
}

static void put_note(table *t, const cfb_report_task *task, report_note note) {
    char name[320];
    cfb_buf text = CFB_BUF_INIT(1024);
    report_out o = {&text, t->o->err, t->o->rc, t->o->zh};
    size_t indent = width_of(WORD(t->o, NOTE));
    report_put_note(&o, task, note);
    t->o->rc = o.rc;
    task_name(t, task, name, sizeof name);
    size_t used = make_text(t, cfb_str_from(name), t->limit - indent - 1);
    report_put(t->o, WORD(t->o, NOTE));
    report_put_str(t->o, cfb_buf_str(&t->cell));
    if (used + indent + 2 + cfb_display_width(cfb_buf_str(&text)) > t->limit) {
        report_putf(t->o, "%s\n", WORD(t->o, COLON_END));
        report_repeat(t->o, " ", indent);
    } else
        report_put(t->o, WORD(t->o, COLON));
    report_put_str(t->o, cfb_buf_str(&text));
    report_put(t->o, "\n");
    cfb_buf_free(&text);
}

static void put_notes(table *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->r->n_tasks; i++) {
        const cfb_report_task *task = &t->r->tasks[i];
        for (report_note note = 0; note < REPORT_NOTE_COUNT; note++) {
            if (!report_has_note(task, note)) continue;
            if (n++ == 0) report_put(t->o, "\n");
            put_note(t, task, note);
        }
    }
    if (!shown(t, REPORT_COL_INTERVAL)) return;
    if (n == 0) report_put(t->o, "\n");
    report_interval_note(t->o, t->r);
    report_put(t->o, "\n");
}

#define MAX_SKIPPED_SHOWN 20

static void put_skipped(table *t) {
    uint64_t n = t->r->n_skipped;
    size_t n_shown = t->r->n_skipped_listed < MAX_SKIPPED_SHOWN ? t->r->n_skipped_listed : MAX_SKIPPED_SHOWN;
    if (n == 0) return;
    report_put(t->o, "\n");
    color(t, RED);
    report_putf(t->o, n == 1 ? WORD(t->o, SKIPPED_ROW) : WORD(t->o, SKIPPED_MANY), n);
    report_put(t->o, WORD(t->o, COLON_END));
    color(t, RESET);
    report_put(t->o, "\n");
    for (size_t i = 0; i < n_shown; i++) {
        char line[1024];
        snprintf(line, sizeof line, "  %.1000s", t->r->skipped[i].message ? t->r->skipped[i].message : "?");
        put_line_text(t, cfb_str_from(line), NULL);
    }
    if (n == n_shown) return;
    report_put(t->o, "  ");
    report_putf(t->o, WORD(t->o, AND_MORE), n - n_shown);
    report_put(t->o, "\n");
}

static void put_selected(table *t) {
    uint64_t n = 0, all = 0;
    if (t->r->where == NULL) return;
    for (size_t i = 0; i < t->r->n_tasks; i++) {
        n += t->r->tasks[i].n_selected;
        all += t->r->tasks[i].summary.n_rows;
    }
    char line[480], behind[96];
    snprintf(behind, sizeof behind, WORD(t->o, N_OF_ROWS), n, all);
    snprintf(line, sizeof line, "%s%.300s%s", WORD(t->o, WHERE), t->r->where, behind);
    report_put(t->o, "\n");
    put_line_text(t, cfb_str_from(line), NULL);
}

cfb_code cfb_report_table(const cfb_report *r, const cfb_table_style *style, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, r->language == CFB_REPORT_ZH};
    table t = {.r = r, .o = &o, .color = style && style->color, .limit = DEFAULT_WIDTH, .cell = CFB_BUF_INIT(SIZE_MAX / 2)};
    if (style && style->width > 0) t.limit = style->width < MIN_WIDTH ? MIN_WIDTH : (size_t)style->width;
    fit_columns(&t);
    if (r->title) put_line_text(&t, cfb_str_from(r->title), BOLD);
    if (r->n_tasks == 0) report_putf(&o, "%s\n", WORD(&o, NO_TASKS_LINE));
    report_group g = {0};
    while (report_next_group(r, &g)) put_group(&t, &g);
    put_failed(&t);
    put_skipped(&t);
    put_selected(&t);
    put_notes(&t);
    for (size_t i = 0; style && style->asking && i < r->n_asking; i++) {
        if (i == 0) report_put(&o, "\n");
        report_asking_lines(&o, &r->asking[i]);
    }
    cfb_buf_free(&t.cell);
    return o.rc;
}
