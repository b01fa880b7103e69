/* html_task.c - the section of one task: scores, states, histogram, labels, rows worth looking at. */
#include "report/internal.h"

#include <inttypes.h>
#include <stdio.h>

#define MAX_LABELS 20
#define MAX_ROWS 50
#define MAX_CHARS 2000

void report_html_states(report_out *o, const uint64_t n_state[CFB_ROW_STATE_COUNT], uint64_t n_rows) {
#define CFB_X(NAME, name) name,
    static const char *const names[] = {CFB_ROW_STATE_MAP(CFB_X)};
#undef CFB_X
    char scratch[48];
    if (n_rows == 0) return;
    report_put(o, "<div class=\"states\" aria-hidden=\"true\">");
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++)
        if (n_state[i]) report_putf(o, "<i class=\"s-%s\" style=\"flex:%" PRIu64 "\"></i>", names[i], n_state[i]);
    report_put(o, "</div>\n<ul class=\"legend\">");
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) {
        if (n_state[i] == 0 && i != CFB_ROW_FAILED) continue;
        report_putf(o, "<li><span class=\"dot s-%s\"></span>%s ", names[i], report_state_word(o, names[i]));
        report_put_str(o, report_count(n_state[i], scratch));
        report_putf(o, " (%.1f %%)</li>", 100.0 * (double)n_state[i] / (double)n_rows);
    }
    report_put(o, "</ul>\n");
}

/* ---- labels ---- */

static bool is_before(const cfb_label_stat *a, const cfb_label_stat *b) {
    if (a->actual != b->actual) return a->actual > b->actual;
    return a->predicted > b->predicted; /* then by code point: the order they come in */
}

/* The most frequent labels, in order. One pass: there may be millions. */
static size_t pick_labels(const cfb_score_summary *s, const cfb_label_stat *top[MAX_LABELS]) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_labels; i++) {
        const cfb_label_stat *l = &s->labels[i];
        if (n == MAX_LABELS && !is_before(l, top[n - 1])) continue;
        size_t at = n < MAX_LABELS ? n++ : n - 1;
        for (; at > 0 && is_before(l, top[at - 1]); at--) top[at] = top[at - 1];
        top[at] = l;
    }
    return n;
}

static void put_bar(report_out *o, const char *css, double v) {
    char scratch[48];
    report_putf(o, "<td class=\"n\"><span class=\"bar%s\"><i style=\"width:%.1f%%\"></i><b>", css,
                (v >= 0 && v <= 1 ? v : 0) * 100);
    report_put_str(o, report_score(v, scratch));
    report_put(o, "</b></span></td>");
}

static void put_labels(report_out *o, const cfb_report_task *t) {
    const cfb_label_stat *top[MAX_LABELS];
    char scratch[48];
    size_t n = report_is_f1(t) ? pick_labels(&t->summary, top) : 0;
    if (n == 0) return;
    const char *const heads[] = {
        WORD(o, LABEL), WORD(o, IN_REFERENCES), WORD(o, IN_OUTPUTS), WORD(o, IN_BOTH), WORD(o, PRECISION), WORD(o, RECALL), "F1"};
    report_putf(o, "<h4>%s", WORD(o, LABELS));
    if (t->summary.n_labels > n) {
        report_putf(o, WORD(o, MOST_FREQUENT), n);
        report_put_str(o, report_count(t->summary.n_labels, scratch));
        report_put(o, WORD(o, MOST_FREQUENT_END));
    }
    report_put(o, "</h4>\n<div class=\"scroll\"><table>\n<thead><tr>");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) report_html_column(o, heads[i], i > 0);
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const uint64_t counts[3] = {top[i]->actual, top[i]->predicted, top[i]->correct};
        report_put(o, "<tr><th scope=\"row\" class=\"t\"><bdi>");
        if (report_text(o, REPORT_HTML, top[i]->label, 80) > 0) report_put(o, "…");
        report_put(o, "</bdi></th>");
        for (size_t k = 0; k < 3; k++) {
            report_put(o, "<td class=\"n\">");
            report_put_str(o, report_count(counts[k], scratch));
            report_put(o, "</td>");
        }
        put_bar(o, " p", top[i]->precision);
        put_bar(o, " r", top[i]->recall);
        put_bar(o, "", top[i]->f1);
        report_put(o, "</tr>\n");
    }
    report_put(o, "</tbody></table></div>\n");
}

/* ---- confused labels ---- */

#define MATRIX_LABELS 12
#define MAX_PAIRS 12

static void put_label(report_out *o, cfb_str label) {
    report_put(o, "<bdi>");
    if (report_text(o, REPORT_HTML, label, 40) > 0) report_put(o, "…");
    report_put(o, "</bdi>");
}

static uint64_t count_of(const cfb_report_task *t, cfb_str reference, cfb_str output) {
    for (size_t i = 0; i < t->n_confused; i++)
        if (cfb_str_eq(t->confused[i].reference, reference) && cfb_str_eq(t->confused[i].output, output)) return t->confused[i].n;
    return 0;
}

/* All labels against all, where they are few. */
static void put_matrix(report_out *o, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    report_put(o, "<div class=\"scroll\"><table class=\"cm\">\n<thead><tr>");
    report_html_column(o, WORD(o, CONFUSION_CORNER), false);
    for (size_t k = 0; k < s->n_labels; k++) {
        report_put(o, "<th scope=\"col\">");
        put_label(o, s->labels[k].label);
        report_put(o, "</th>");
    }
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < s->n_labels; i++) {
        const cfb_label_stat *l = &s->labels[i];
        report_put(o, "<tr><th scope=\"row\">");
        put_label(o, l->label);
        report_put(o, "</th>");
        for (size_t k = 0; k < s->n_labels; k++) {
            uint64_t n = i == k ? l->correct : count_of(t, l->label, s->labels[k].label);
            double share = l->actual ? (double)n / (double)l->actual : 0;
            report_putf(o, "<td%s style=\"background:color-mix(in srgb,var(--%s) %.0f%%,transparent)\">%" PRIu64 "</td>",
                        i == k ? " class=\"hit\"" : "", i == k ? "ok" : "failed", (share > 1 ? 1 : share) * 60, n);
        }
        report_put(o, "</tr>\n");
    }
    report_put(o, "</tbody></table></div>\n");
}

static const cfb_label_stat *stat_of(const cfb_score_summary *s, cfb_str label) {
    size_t lo = 0, hi = s->n_labels;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = cfb_str_cmp(s->labels[mid].label, label);
        if (c == 0) return &s->labels[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void put_pairs(report_out *o, const cfb_report_task *t, size_t n) {
    char scratch[48];
    report_put(o, "<div class=\"scroll\"><table>\n<thead><tr>");
    report_html_column(o, WORD(o, MISSED), false);
    report_html_column(o, WORD(o, INSTEAD), false);
    report_html_column(o, WORD(o, ROWS), true);
    report_html_column(o, WORD(o, OF_REFERENCE_ROWS), true);
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const cfb_confused_pair *p = &t->confused[i];
        const cfb_label_stat *l = stat_of(&t->summary, p->reference);
        report_put(o, "<tr><th scope=\"row\">");
        put_label(o, p->reference);
        report_put(o, "</th><td>");
        put_label(o, p->output);
        report_put(o, "</td><td class=\"n\">");
        report_put_str(o, report_count(p->n, scratch));
        report_putf(o, "</td><td class=\"n\">%.0f %%</td></tr>\n", l && l->actual ? 100 * (double)p->n / (double)l->actual : 0);
    }
    report_put(o, "</tbody></table></div>\n");
}

/* A pair that occurs once is no pattern: it is shown in a matrix only. */
static void put_confused(report_out *o, const cfb_report_task *t) {
    size_t n = 0;
    while (n < t->n_confused && n < MAX_PAIRS && t->confused[n].n > 1) n++;
    bool matrix = t->n_confused > 0 && t->summary.n_labels <= MATRIX_LABELS;
    if (!matrix && n == 0) return;
    report_putf(o, "<h4>%s", WORD(o, CONFUSED_LABELS));
    if (t->n_confused_rows < t->summary.n_rows) report_putf(o, WORD(o, IN_FIRST_ROWS), t->n_confused_rows);
    report_put(o, "</h4>\n");
    if (matrix && t->n_confused_rows == t->summary.n_rows)
        put_matrix(o, t);
    else
        put_pairs(o, t, n);
}

/* ---- rows ---- */

static void put_text(report_out *o, const char *label, cfb_str s) {
    char scratch[48];
    if (s.ptr == NULL) return;
    report_putf(o, "<span class=\"lab\">%s</span>", label);
    if (s.len == 0) {
        report_putf(o, "<span class=\"txt dim\">%s</span>\n", WORD(o, EMPTY_TEXT));
        return;
    }
    report_put(o, "<bdi class=\"txt\" dir=\"auto\">");
    size_t left_out = report_text(o, REPORT_HTML_BLOCK, s, MAX_CHARS);
    report_put(o, "</bdi>\n");
    if (left_out == 0) return;
    report_putf(o, "<p class=\"dim\">%s", WORD(o, CUT));
    report_put_str(o, report_count(left_out, scratch));
    report_putf(o, "%s</p>\n", WORD(o, CUT_END));
}

static void put_row(report_out *o, const cfb_report_row *row, bool labels) {
    char scratch[48];
    report_putf(o, "<div class=\"row\"><p><b>%s", WORD(o, ROW));
    report_put_str(o, report_count(row->row, scratch));
    report_put(o, "</b>");
    if (row->id.len > 0) {
        report_put(o, WORD(o, ID));
        if (report_text(o, REPORT_HTML, row->id, 80) > 0) report_put(o, "…");
        report_put(o, "</bdi></span>");
    }
    report_put(o, " <span class=\"dim\">·</span> ");
    report_textz(o, REPORT_HTML, report_state_word(o, row->state));
    report_putf(o, " <span class=\"dim\">·</span>%s", WORD(o, ROW_SCORE));
    report_put_str(o, report_score(row->score, scratch));
    report_put(o, "</p>\n");
    if (row->fail || row->message) {
        report_put(o, "<p class=\"bad\"><bdi>");
        if (report_text(o, REPORT_HTML, cfb_str_from(row->fail), 80) > 0) report_put(o, "…");
        report_put(o, row->fail && row->message ? ": " : "");
        if (report_text(o, REPORT_HTML, cfb_str_from(row->message), MAX_CHARS) > 0) report_put(o, "…");
        report_put(o, "</bdi></p>\n");
    }
    put_text(o, WORD(o, INPUT), row->input);
    report_difference(o, row, labels);
    report_put(o, "</div>\n");
}

static void put_rows(report_out *o, const char *title, const cfb_report_row *rows, size_t n, uint64_t n_all, bool open,
                     bool labels) {
    if (n_all == 0) return;
    size_t n_shown = n < MAX_ROWS ? n : MAX_ROWS;
    report_putf(o, "<details%s><summary>%s", open ? " open" : "", title);
    report_putf(o, WORD(o, HOW_MANY), n_all);
    report_put(o, "</summary>\n");
    for (size_t i = 0; i < n_shown; i++) put_row(o, &rows[i], labels);
    if (n_all > n_shown) {
        report_put(o, "<p class=\"dim\">");
        report_putf(o, n_shown ? WORD(o, AND_MORE) : WORD(o, AND_NOT_LISTED), n_all - n_shown);
        report_put(o, "</p>\n");
    }
    report_put(o, "</details>\n");
}

/* ---- section ---- */

static void put_numbers(report_out *o, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    char scratch[48];
    report_put(o, "<p class=\"dim\">");
    report_put_str(o, report_count(s->n_rows, scratch));
    report_put(o, WORD(o, N_ROWS));
    report_put_str(o, report_count(s->n_answered, scratch));
    report_put(o, WORD(o, ANSWERED_SCORE));
    report_put_str(o, report_score(s->mean_answered, scratch));
    if (report_is_f1(t)) {
        report_put(o, WORD(o, LABEL_SETS));
        report_put_str(o, report_score(s->mean_precision, scratch));
        report_put(o, WORD(o, AND_RECALL));
        report_put_str(o, report_score(s->mean_recall, scratch));
        report_put(o, WORD(o, AND_F1));
        report_put_str(o, report_score(s->mean_f1, scratch));
    }
    report_putf(o, WORD(o, MEAN_LENGTHS), s->n_rows ? s->mean_response_chars : 0.0, s->n_rows ? s->mean_output_chars : 0.0);
    report_put(o, "</p>\n");
}

void report_html_task(report_out *o, const cfb_report_task *t, size_t id) {
    const cfb_score_summary *s = &t->summary;
    char scratch[48];
    report_putf(o, "<article class=\"card\" id=\"t%zu\">\n<div class=\"top\"><h3>", id);
    (void)report_text(o, REPORT_HTML, report_cell(t, REPORT_COL_TASK, scratch), 0);
    if (t->title && (!t->task || strcmp(t->title, t->task) != 0)) {
        report_put(o, " <span class=\"dim\">");
        report_textz(o, REPORT_HTML, t->title);
        report_put(o, "</span>");
    }
    report_put(o, "</h3><span><span class=\"dim\">");
    (void)report_text(o, REPORT_HTML, report_cell(t, REPORT_COL_METRIC, scratch), 0);
    report_put(o, "</span> <span class=\"big\">");
    report_put_str(o, report_score(s->mean_all, scratch));
    report_put(o, "</span>");
    if (t->interval.method) {
        report_put(o, " <span class=\"dim\">");
        report_put_str(o, report_range(t->interval.lo, t->interval.hi, scratch));
        report_put(o, "</span>");
    }
    report_put(o, "</span></div>\n");
    put_numbers(o, t);
    report_html_states(o, s->n_state, s->n_rows);
    for (report_note note = 0; note < REPORT_NOTE_COUNT; note++) {
        if (!report_has_note(t, note)) continue;
        report_put(o, "<p class=\"note\">");
        report_put_note(o, t, note);
        report_putf(o, "%s</p>\n", WORD(o, STOP));
    }
    report_putf(o, "<div class=\"figs\"><div><h4>%s</h4>\n", WORD(o, ROW_SCORES));
    report_svg_histogram(o, t->histogram);
    report_put(o, "</div><div>");
    report_svg_lengths(o, t->lengths, id);
    report_put(o, "</div></div>\n");
    put_labels(o, t);
    put_confused(o, t);
    bool f1 = report_is_f1(t);
    put_rows(o, WORD(o, FAILED_ROWS), t->failed, t->n_failed_listed, s->n_state[CFB_ROW_FAILED], true, f1);
    put_rows(o, WORD(o, RANDOM_ROWS), t->sample, t->n_sample, t->n_sample, false, f1);
    put_rows(o, WORD(o, LOWEST_SCORES), t->worst, t->n_worst, t->n_worst, false, f1);
    put_rows(o, WORD(o, HIGHEST_SCORES), t->best, t->n_best, t->n_best, false, f1);
    if (t->source) {
        report_putf(o, "<p class=\"dim\">%s<bdi>", WORD(o, SOURCE));
        report_textz(o, REPORT_HTML, t->source);
        report_put(o, "</bdi></p>\n");
    }
    report_put(o, "</article>\n");
}
