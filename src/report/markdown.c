/* markdown.c - the overview as Markdown: one table per model and setting, failed rows, notes, configuration. */
#include "report/asking.h"

#include <inttypes.h>

#define MAX_FAILED_SHOWN 10
#define MAX_MESSAGE 500

static bool shown(unsigned mask, int c) { return (mask >> c & 1) != 0; }

static void put_head(report_out *o, unsigned mask) {
    report_putf(o, "\n%s", WORD(o, MD_TABLE)); /* the first column; cfb_report_language_of looks for it */
    for (int c = REPORT_COL_TASK + 1; c < REPORT_COLUMN_COUNT; c++)
        if (shown(mask, c)) report_putf(o, "%s%s |", c > REPORT_COL_TASK + 1 ? " " : "", report_column_name(o, (report_column)c));
    report_put(o, "\n|");
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++)
        if (shown(mask, c)) report_put(o, report_column_right[c] ? " ---: |" : " --- |");
    report_put(o, "\n");
}

static void put_cell(report_out *o, cfb_str s, bool bold) {
    report_put(o, s.len == 0 ? " " : bold ? " **" : " ");
    (void)report_text(o, REPORT_MARKDOWN, s, 0);
    report_put(o, s.len == 0 ? "|" : bold ? "** |" : " |");
}

static void put_group(report_out *o, const report_group *g, unsigned mask) {
    char scratch[48];
    if (g->model || g->setting) {
        report_put(o, "\n## ");
        report_textz(o, REPORT_MARKDOWN, g->model);
        report_put(o, g->model && g->setting ? WORD(o, COMMA) : "");
        report_textz(o, REPORT_MARKDOWN, g->setting);
        report_put(o, "\n");
    }
    put_head(o, mask);
    for (size_t i = 0; i < g->n; i++) {
        const cfb_report_task *t = &g->tasks[i];
        report_put(o, "|");
        for (int c = 0; c < REPORT_COLUMN_COUNT; c++) {
            bool bold = c == REPORT_COL_FAILED && t->summary.n_state[CFB_ROW_FAILED] > 0;
            if (shown(mask, c)) put_cell(o, report_cell(t, (report_column)c, scratch), bold);
        }
        report_put(o, "\n");
    }
    report_mean means[REPORT_MAX_MEANS];
    size_t n = report_means(g, means);
    for (size_t i = 0; i < n; i++) {
        report_put(o, "|");
        for (int c = 0; c < REPORT_COLUMN_COUNT; c++)
            if (shown(mask, c)) put_cell(o, report_mean_cell(o, &means[i], (report_column)c, scratch), true);
        report_put(o, "\n");
    }
}

/* "model, setting, task" */
static void put_name(report_out *o, const cfb_report_task *t) {
    const char *parts[] = {t->model, t->setting, t->task ? t->task : "?"};
    for (size_t i = 0; i < 3; i++) {
        if (parts[i] == NULL) continue;
        report_textz(o, REPORT_MARKDOWN, parts[i]);
        report_put(o, i < 2 ? WORD(o, COMMA) : "");
    }
}

static void put_skipped(report_out *o, const cfb_report *r) {
    if (r->n_skipped == 0) return;
    report_put(o, "\n**");
    report_putf(o, r->n_skipped == 1 ? WORD(o, SKIPPED_ROW) : WORD(o, SKIPPED_MANY), r->n_skipped);
    report_putf(o, "%s**\n\n", WORD(o, COLON_END));
    size_t n = r->n_skipped_listed < MAX_FAILED_SHOWN ? r->n_skipped_listed : MAX_FAILED_SHOWN;
    for (size_t i = 0; i < n; i++) {
        report_put(o, "- ");
        (void)report_text(o, REPORT_MARKDOWN, cfb_str_from(r->skipped[i].message), 400);
        report_put(o, "\n");
    }
    if (r->n_skipped == n) return;
    report_put(o, "- ");
    report_putf(o, WORD(o, AND_MORE), r->n_skipped - n);
    report_put(o, "\n");
}

static void put_failed(report_out *o, const cfb_report *r) {
    uint64_t n_failed = report_n_failed(r), n_shown = 0;
    if (n_failed == 0) return;
    report_put(o, "\n**");
    report_putf(o, n_failed == 1 ? WORD(o, ROW_FAILED) : WORD(o, ROWS_FAILED), n_failed);
    report_put(o, "**\n\n");
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_failed_listed && n_shown < MAX_FAILED_SHOWN; k++, n_shown++) {
            const cfb_report_row *row = &r->tasks[i].failed[k];
            report_put(o, "- ");
            put_name(o, &r->tasks[i]);
            report_putf(o, "%s%s%" PRIu64 "%s", WORD(o, COMMA), WORD(o, ROW), row->row, WORD(o, ROW_ID));
            (void)report_text(o, REPORT_MARKDOWN, row->id, MAX_MESSAGE);
            report_putf(o, "%s%s", WORD(o, PAREN_END), WORD(o, COLON));
            (void)report_text(o, REPORT_MARKDOWN, cfb_str_from(row->fail ? row->fail : WORD(o, FAILED)), 80);
            if (row->message) {
                report_put(o, WORD(o, COLON));
                if (report_text(o, REPORT_MARKDOWN, cfb_str_from(row->message), MAX_MESSAGE) > 0) report_put(o, "…");
            }
            report_put(o, "\n");
        }
    if (n_failed == n_shown) return;
    report_put(o, "- ");
    report_putf(o, n_shown ? WORD(o, AND_MORE) : WORD(o, AND_NOT_LISTED), n_failed - n_shown);
    report_put(o, "\n");
}

static void put_notes(report_out *o, const cfb_report *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_tasks; i++) {
        const cfb_report_task *t = &r->tasks[i];
        for (report_note note = 0; note < REPORT_NOTE_COUNT; note++) {
            if (!report_has_note(t, note)) continue;
            report_put(o, n++ == 0 ? "\n- " : "- ");
            put_name(o, t);
            report_put(o, WORD(o, COLON));
            report_put_note(o, t, note);
            report_put(o, "\n");
        }
    }
    if ((report_columns(r) >> REPORT_COL_INTERVAL & 1) == 0) return;
    report_put(o, n == 0 ? "\n- " : "- ");
    report_interval_note(o, r);
    report_put(o, "\n");
}

static void put_settings(report_out *o, const cfb_report *r) {
    const cfb_report_asking *run = r->n_asking == 1 ? &r->asking[0] : NULL;
    const cfb_report_setting *settings = run ? run->settings : r->settings;
    size_t n = run ? run->n_settings : r->n_settings;
    if (n > 0) report_putf(o, "\n## %s\n\n| %s | %s |\n| --- | --- |\n", WORD(o, CONFIGURATION), WORD(o, OPTION), WORD(o, VALUE));
    for (size_t i = 0; i < n; i++) {
        report_put(o, "| ");
        report_textz(o, REPORT_MARKDOWN, settings[i].name);
        report_put(o, " | ");
        report_textz(o, REPORT_MARKDOWN, settings[i].value);
        report_put(o, " |\n");
    }
}

/* An indented block needs no closing mark that a command could contain. */
static void put_commands(report_out *o, const cfb_report *r) {
    bool run = r->n_asking == 1 && r->asking[0].n_commands > 0;
    const char *const *commands = run ? r->asking[0].commands : &r->command;
    size_t n = run ? r->asking[0].n_commands : r->command != NULL;
    if (n > 0) report_putf(o, "\n## %s\n\n", WORD(o, REPRODUCE));
    for (size_t i = 0; i < n; i++) {
        report_put(o, "    ");
        report_textz(o, REPORT_TERMINAL, commands[i]);
        report_put(o, "\n");
    }
}

cfb_code cfb_report_markdown(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, r->language == CFB_REPORT_ZH};
    unsigned mask = report_columns(r);
    report_put(&o, "# ");
    report_textz(&o, REPORT_MARKDOWN, r->title ? r->title : WORD(&o, SCORES));
    report_put(&o, "\n");
    if (r->version || r->created_at) {
        report_put(&o, "\n");
        if (r->version) report_put(&o, "cfbench ");
        report_textz(&o, REPORT_MARKDOWN, r->version);
        report_put(&o, r->version && r->created_at ? ", " : "");
        report_textz(&o, REPORT_MARKDOWN, r->created_at);
        report_put(&o, "\n");
    }
    report_group g = {0};
    while (report_next_group(r, &g)) put_group(&o, &g, mask);
    put_failed(&o, r);
    put_skipped(&o, r);
    put_notes(&o, r);
    report_asking_markdown(&o, r);
    put_settings(&o, r);
    put_commands(&o, r);
    return o.rc;
}
