/* html.c - the page: head, one overview per model and setting, the tasks' sections, configuration. */
#include "report/asking.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- head ---- */

static void put_meta(report_out *o, const char *label, const char *value) {
    if (value == NULL) return;
    report_putf(o, "<span>%s", label);
    report_textz(o, REPORT_HTML, value);
    report_put(o, "</span>");
}

#define DOCTYPE "<!doctype html>\n<html lang=\""

cfb_report_language cfb_report_language_of(cfb_str text) {
    const cfb_str page = CFB_STR_LIT(DOCTYPE REPORT_LANG_ZH), table = {REPORT_ZH_MD_TABLE, sizeof REPORT_ZH_MD_TABLE - 1};
    if (text.len >= page.len && memcmp(text.ptr, page.ptr, page.len) == 0) return CFB_REPORT_ZH;
    bool markdown = text.len > 1 && memcmp(text.ptr, "# ", 2) == 0;
    return markdown && cfb_str_find(text, table, 0) != SIZE_MAX ? CFB_REPORT_ZH : CFB_REPORT_EN;
}

void report_html_head(report_out *o, const char *title) {
    report_putf(o, DOCTYPE "%s", WORD(o, LANG));
    report_put(o, "\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                  "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    report_textz(o, REPORT_HTML, title);
    report_put(o, "</title>\n<style>\n");
    report_put(o, report_css);
    report_put(o, "</style>\n</head>\n<body>\n");
}

void report_html_column(report_out *o, const char *word, bool right) {
    report_putf(o, "<th scope=\"col\"%s>%s</th>", right ? " class=\"n\"" : "", word);
}

const char *report_state_word(const report_out *o, const char *state) {
    if (state == NULL) return NULL;
#define CFB_X(NAME, name) \
    if (strcmp(state, name) == 0) return WORD(o, NAME);
    CFB_ROW_STATE_MAP(CFB_X)
#undef CFB_X
    return state;
}

/* What all tasks share stands in the head; NULL if they differ. */
static void put_head(report_out *o, const cfb_report *r) {
    const char *title = r->title ? r->title : WORD(o, SCORES);
    report_html_head(o, title);
    report_put(o, "<header>\n<h1>");
    report_textz(o, REPORT_HTML, title);
    report_put(o, "</h1>\n<p class=\"meta\">");
    report_group g = {0};
    bool single = report_next_group(r, &g) && g.n == r->n_tasks;
    put_meta(o, "", single ? g.model : NULL);
    put_meta(o, "", single ? g.setting : NULL);
    put_meta(o, "", r->created_at);
    put_meta(o, "cfbench ", r->version);
    report_put(o, "</p>\n</header>\n<main>\n");
}

/* ---- overview ---- */

static void put_tile(report_out *o, const char *css, cfb_str big, const char *label, const char *foot) {
    report_putf(o, "<div class=\"tile%s\"><span class=\"dim\">", css);
    report_textz(o, REPORT_HTML, label);
    report_put(o, "</span><b>");
    report_put_str(o, big);
    report_put(o, "</b><span class=\"dim\">");
    report_textz(o, REPORT_HTML, foot);
    report_put(o, "</span></div>\n");
}

/* A single task has no mean; its own score is the headline. */
static void put_task_tile(report_out *o, const cfb_report_task *t) {
    char scratch[48], range[48], foot[256];
    const char *metric = t->summary.metric ? t->summary.metric : "?";
    cfb_str r = t->interval.method ? report_range(t->interval.lo, t->interval.hi, range) : CFB_STR_LIT("");
    snprintf(foot, sizeof foot, "%.150s%s%.*s", metric, r.len ? WORD(o, COMMA) : "", (int)r.len, r.ptr);
    if (report_is_open(t)) snprintf(foot, sizeof foot, "%s", WORD(o, NO_HEADLINE));
    put_tile(o, " main", report_is_open(t) ? CFB_STR_LIT("–") : report_score(t->summary.mean_all, scratch),
             t->task ? t->task : "?", foot);
}

static void put_tiles(report_out *o, const report_group *g, const report_mean *means, size_t n_means) {
    char scratch[48], foot[96];
    uint64_t n_rows = 0, n_answered = 0, n_failed = 0, n_empty = 0;
    for (size_t i = 0; i < g->n; i++) {
        n_rows += g->tasks[i].summary.n_rows;
        n_answered += g->tasks[i].summary.n_answered;
        n_failed += g->tasks[i].summary.n_state[CFB_ROW_FAILED];
        n_empty += g->tasks[i].summary.n_state[CFB_ROW_EMPTY];
    }
    bool open = false; /* no headline over scores that missing rows leave open */
    for (size_t i = 0; i < g->n; i++) open = open || report_is_open(&g->tasks[i]);
    report_put(o, "<div class=\"tiles\">\n");
    if (g->n == 1) put_task_tile(o, &g->tasks[0]);
    for (size_t k = 0; k < n_means; k++) { /* the mean of all tasks first */
        const report_mean *m = &means[(k + n_means - 1) % n_means];
        char range[48];
        cfb_str r = report_range(m->lo, m->hi, range);
        int len = snprintf(foot, sizeof foot, m->n_tasks == 1 ? WORD(o, MEAN_OF_TASK) : WORD(o, MEAN_OF_TASKS), m->n_tasks);
        if (r.len > 1) snprintf(foot + len, sizeof foot - (size_t)len, "%s%.*s", WORD(o, COMMA), (int)r.len, r.ptr);
        if (open) snprintf(foot, sizeof foot, "%s", WORD(o, NO_HEADLINE));
        put_tile(o, m->kind ? "" : " main", open ? CFB_STR_LIT("–") : report_score(m->all, scratch),
                 m->kind ? report_mean_name(o, m) : WORD(o, ALL_TASKS), foot);
    }
    snprintf(foot, sizeof foot, WORD(o, N_ANSWERED), n_answered);
    put_tile(o, "", report_count(n_rows, scratch), WORD(o, ROWS), foot);
    snprintf(foot, sizeof foot, WORD(o, N_EMPTY), n_empty);
    put_tile(o, n_failed ? " bad" : "", report_count(n_failed, scratch), WORD(o, FAILED),
             n_failed  ? WORD(o, WITHOUT_ANSWER)
             : n_empty ? foot
                       : WORD(o, EVERY_ROW_ANSWERED));
    report_put(o, "</div>\n");
}

static void put_score_bar(report_out *o, double v) {
    char scratch[48];
    if (v != v) {
        report_put(o, "-");
        return;
    }
    report_putf(o, "<span class=\"bar\"><i style=\"width:%.2f%%\"></i><b>", (v < 0 ? 0 : v > 1 ? 1 : v) * 100);
    report_put_str(o, report_score(v, scratch));
    report_put(o, "</b></span>");
}

static void put_cell(report_out *o, report_column c, cfb_str s, double score, uint64_t n_failed) {
    report_put(o, report_column_right[c] ? c == REPORT_COL_FAILED && n_failed ? "<td class=\"n bad\">" : "<td class=\"n\">"
                                         : "<td class=\"t\">");
    if (c == REPORT_COL_SCORE)
        put_score_bar(o, score);
    else
        (void)report_text(o, REPORT_HTML, s, 0);
    report_put(o, "</td>");
}

static void put_overview(report_out *o, const cfb_report *r, const report_group *g, const report_mean *means, size_t n_means) {
    unsigned mask = report_columns(r);
    char scratch[48];
    report_put(o, "<div class=\"card scroll\"><table>\n<thead><tr>");
    for (int c = 0; c < REPORT_COLUMN_COUNT; c++)
        if (mask >> c & 1) report_html_column(o, report_column_name(o, (report_column)c), report_column_right[c]);
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < g->n; i++) {
        const cfb_report_task *t = &g->tasks[i];
        report_putf(o, "<tr><th scope=\"row\" class=\"t\"><a href=\"#t%zu\">", (size_t)(t - r->tasks));
        (void)report_text(o, REPORT_HTML, report_cell(t, REPORT_COL_TASK, scratch), 0);
        report_put(o, "</a></th>");
        for (int c = REPORT_COL_TASK + 1; c < REPORT_COLUMN_COUNT; c++)
            if (mask >> c & 1)
                put_cell(o, (report_column)c, report_cell(t, (report_column)c, scratch), t->summary.mean_all,
                         t->summary.n_state[CFB_ROW_FAILED]);
        report_put(o, "</tr>\n");
    }
    for (size_t i = 0; i < n_means; i++) {
        report_putf(o, "<tr class=\"mean%s\"><th scope=\"row\">", means[i].kind ? "" : " all");
        report_textz(o, REPORT_HTML, report_mean_name(o, &means[i]));
        report_put(o, "</th>");
        for (int c = REPORT_COL_TASK + 1; c < REPORT_COLUMN_COUNT; c++)
            if (mask >> c & 1)
                put_cell(o, (report_column)c, report_mean_cell(o, &means[i], (report_column)c, scratch), means[i].all,
                         means[i].n_state[CFB_ROW_FAILED]);
        report_put(o, "</tr>\n");
    }
    report_put(o, "</tbody></table></div>\n");
}

static void put_group(report_out *o, const cfb_report *r, const report_group *g) {
    report_mean means[REPORT_MAX_MEANS];
    size_t n_means = report_means(g, means);
    report_put(o, "<section>\n<h2>");
    if (g->model || g->setting) {
        report_textz(o, REPORT_HTML, g->model);
        report_put(o, g->model && g->setting ? WORD(o, COMMA) : "");
        report_textz(o, REPORT_HTML, g->setting);
    } else
        report_put(o, WORD(o, OVERVIEW));
    report_put(o, "</h2>\n");
    put_tiles(o, g, means, n_means);
    put_overview(o, r, g, means, n_means);
    for (size_t i = 0; i < g->n; i++) report_html_task(o, &g->tasks[i], (size_t)(g->tasks + i - r->tasks));
    report_put(o, "</section>\n");
}

/* ---- what made it ---- */

#define MAX_SKIPPED_SHOWN 100

static void put_skipped(report_out *o, const cfb_report *r) {
    if (r->n_skipped == 0) return;
    size_t n = r->n_skipped_listed < MAX_SKIPPED_SHOWN ? r->n_skipped_listed : MAX_SKIPPED_SHOWN;
    report_putf(o, "<section>\n<h2>%s</h2>\n<p class=\"note\">", WORD(o, SKIPPED_ROWS));
    report_putf(o, r->n_skipped == 1 ? WORD(o, SKIPPED_ROW) : WORD(o, SKIPPED_MANY), r->n_skipped);
    report_putf(o, "%s</p>\n<ul>\n", WORD(o, STOP));
    for (size_t i = 0; i < n; i++) {
        report_put(o, "<li><bdi>");
        report_textz(o, REPORT_HTML, r->skipped[i].message);
        report_put(o, "</bdi></li>\n");
    }
    report_put(o, "</ul>\n");
    if (r->n_skipped > n) {
        report_put(o, "<p class=\"dim\">");
        report_putf(o, WORD(o, AND_MORE), r->n_skipped - n);
        report_put(o, "</p>\n");
    }
    report_put(o, "</section>\n");
}

static void put_settings(report_out *o, const cfb_report *r) {
    const cfb_report_asking *run = r->n_asking == 1 ? &r->asking[0] : NULL;
    size_t n = run ? run->n_settings : r->n_settings;
    if (n > 0) {
        report_putf(o, "<section>\n<h2>%s</h2>\n<div class=\"card\">", WORD(o, CONFIGURATION));
        report_html_settings(o, run ? run->settings : r->settings, n);
        report_put(o, "</div>\n</section>\n");
    }
    if (run && run->n_commands > 0) {
        report_putf(o, "<section>\n<h2>%s</h2>\n", WORD(o, REPRODUCE));
        if (run->n_commands > 1) report_putf(o, "<p class=\"dim\">%s</p>\n", WORD(o, COMMANDS_IN_ORDER));
        report_html_commands(o, run->commands, run->n_commands);
        report_put(o, "</section>\n");
    } else if (r->command) {
        report_putf(o, "<section>\n<h2>%s</h2>\n", WORD(o, REPRODUCE));
        report_html_commands(o, &r->command, 1);
        report_put(o, "</section>\n");
    }
}

cfb_code cfb_report_html(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, r->language == CFB_REPORT_ZH};
    put_head(&o, r);
    if (r->n_tasks == 0) report_putf(&o, "<p>%s</p>\n", WORD(&o, NO_TASKS));
    report_group g = {0};
    while (report_next_group(r, &g)) put_group(&o, r, &g);
    put_skipped(&o, r);
    report_asking_html(&o, r);
    put_settings(&o, r);
    report_put(&o, "</main>\n<footer><p>");
    size_t before = out->len;
    report_interval_note(&o, r);
    if (out->len > before) report_put(&o, WORD(&o, MEAN_NOTE));
    report_put(&o, WORD(&o, SCORE_NOTE));
    report_put(&o, "</p></footer>\n</body>\n</html>\n");
    return o.rc;
}
