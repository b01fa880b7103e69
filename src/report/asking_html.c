/* asking_html.c - the page's part on how runs were asked: tiles, figures, tables. */
#include "report/asking.h"

#include <inttypes.h>

#define MAX_TABLE_POINTS 20

static void put_tile(report_out *o, const char *label, cfb_str big, const char *unit, cfb_str foot, const char *foot_unit) {
    report_putf(o, "<div class=\"tile\"><span class=\"dim\">%s</span><b>", label);
    report_put_str(o, big);
    report_put(o, unit);
    report_put(o, "</b><span class=\"dim\">");
    report_put_str(o, foot);
    report_put(o, foot_unit);
    report_put(o, "</span></div>\n");
}

static void put_cost_tile(report_out *o, const cfb_report_asking *a) {
    char scratch[48];
    if (a->all.cost != a->all.cost) return;
    report_putf(o, "<div class=\"tile\"><span class=\"dim\">%s</span><b>", WORD(o, COST));
    report_put_str(o, report_cost(a->all.cost, scratch));
    report_put(o, "</b><span class=\"dim\">");
    if (a->currency)
        report_textz(o, REPORT_HTML, a->currency);
    else
        report_put(o, WORD(o, BY_PRICE_FILE));
    report_put(o, "</span></div>\n");
}

static void put_tiles(report_out *o, const cfb_report_asking *a) {
    const cfb_report_asked *t = &a->all;
    char big[48], foot[48];
    report_put(o, "<div class=\"tiles small\">\n");
    put_tile(o, WORD(o, CALLS), report_large((int64_t)t->n_calls, big), "", report_rate(t->calls_per_s, foot),
             WORD(o, PER_SECOND));
    put_tile(o, WORD(o, FAILED_CALLS), report_large((int64_t)t->n_failed_calls, big), "", report_count(t->n_retries, foot),
             t->n_retries == 1 ? WORD(o, RETRY) : WORD(o, RETRIES_UNIT));
    put_tile(o, WORD(o, ASKED_FOR), report_seconds(t->busy_s, big), "", report_seconds(t->waited_s, foot), WORD(o, AT_LIMITER));
    put_tile(o, WORD(o, LATENCY_P50), report_seconds(t->latency.s[CFB_REPORT_P50], big), "",
             report_seconds(t->latency.s[CFB_REPORT_P99], foot), WORD(o, P99));
    if (t->ttft.n > 0)
        put_tile(o, WORD(o, TTFT_P50), report_seconds(t->ttft.s[CFB_REPORT_P50], big), "",
                 report_seconds(t->ttft.s[CFB_REPORT_P99], foot), WORD(o, P99));
    if (t->n_counted > 0)
        put_tile(o, WORD(o, TOKENS_OUT), report_large(t->completion_tokens, big), "", report_rate(t->tokens_per_s, foot),
                 WORD(o, TOKENS_PER_SECOND));
    put_cost_tile(o, a);
    report_put(o, "</div>\n");
}

/* ---- tables ---- */

static void put_asked_row(report_out *o, const cfb_report_asked *t, unsigned mask) {
    char scratch[48];
    report_put(o, t->task ? "<tr><th scope=\"row\" class=\"t\">" : "<tr class=\"mean all\"><th scope=\"row\" class=\"t\">");
    report_textz(o, REPORT_HTML, t->task ? t->task : WORD(o, ALL));
    report_put(o, "</th>");
    for (int c = REPORT_ASKED_TASK + 1; c < REPORT_ASKED_COUNT; c++) {
        if ((mask >> c & 1) == 0) continue;
        report_put(o, "<td class=\"n\">");
        (void)report_text(o, REPORT_HTML, report_asked_cell(t, (report_asked_column)c, scratch), 0);
        report_put(o, "</td>");
    }
    report_put(o, "</tr>\n");
}

static void put_accounts(report_out *o, const cfb_report_asking *a) {
    unsigned mask = report_asked_columns(a);
    report_putf(o, "<h4>%s</h4>\n<div class=\"scroll\"><table>\n<thead><tr>", WORD(o, ACCOUNTS));
    for (int c = 0; c < REPORT_ASKED_COUNT; c++)
        if (mask >> c & 1) report_html_column(o, report_asked_head(o, (report_asked_column)c), c != REPORT_ASKED_TASK);
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < a->n_tasks; i++) put_asked_row(o, &a->tasks[i], mask);
    put_asked_row(o, &a->all, mask);
    report_put(o, "</tbody></table></div>\n");
}

/* what: said of the name, or NULL */
static void put_times_row(report_out *o, const char *name, const char *what, const cfb_report_times *t, bool sum) {
    char scratch[48];
    report_put(o, sum ? "<tr class=\"mean all\"><th scope=\"row\" class=\"t\">" : "<tr><th scope=\"row\" class=\"t\">");
    report_textz(o, REPORT_HTML, name);
    if (what) report_putf(o, " <span class=\"dim\">%s</span>", what);
    report_put(o, "</th><td class=\"n\">");
    report_put_str(o, report_count(t->n, scratch));
    report_put(o, "</td>");
    for (int q = 0; q < CFB_REPORT_QUANTILE_COUNT; q++) {
        report_put(o, "<td class=\"n\">");
        report_put_str(o, report_seconds(t->s[q], scratch));
        report_put(o, "</td>");
    }
    report_put(o, "</tr>\n");
}

static void put_times_head(report_out *o, const char *title) {
    report_putf(o, "<h4>%s</h4>\n<div class=\"scroll\"><table>\n<thead><tr>", title);
    report_html_column(o, WORD(o, TASK), false);
    report_html_column(o, WORD(o, REPLIES), true);
    for (int q = 0; q < CFB_REPORT_QUANTILE_COUNT; q++) report_html_column(o, report_quantile_label(o, q), true);
    report_put(o, "</tr></thead>\n<tbody>\n");
}

static void put_times(report_out *o, const cfb_report_asking *a) {
    put_times_head(o, WORD(o, LATENCY_BY_TASK));
    for (size_t i = 0; i < a->n_tasks; i++) put_times_row(o, a->tasks[i].task, NULL, &a->tasks[i].latency, false);
    put_times_row(o, WORD(o, ALL), NULL, &a->all.latency, true);
    if (a->all.ttft.n > 0) put_times_row(o, WORD(o, ALL), WORD(o, TO_FIRST_TEXT), &a->all.ttft, false);
    report_put(o, "</tbody></table></div>\n");
}

static void put_ttft(report_out *o, const cfb_report_asking *a) {
    if (a->all.ttft.n == 0) return;
    put_times_head(o, WORD(o, TTFT_BY_TASK));
    for (size_t i = 0; i < a->n_tasks; i++) put_times_row(o, a->tasks[i].task, NULL, &a->tasks[i].ttft, false);
    put_times_row(o, WORD(o, ALL), NULL, &a->all.ttft, true);
    report_put(o, "</tbody></table></div>\n");
}

static void put_classes(report_out *o, const cfb_report_asking *a) {
    char scratch[48];
    if (a->n_classes == 0) return;
    report_putf(o, "<h4>%s</h4>\n<div class=\"scroll\"><table>\n<thead><tr>", WORD(o, BY_CLASS));
    report_html_column(o, WORD(o, TASK), false);
    for (size_t i = 0; i < a->n_classes; i++) {
        report_put(o, "<th scope=\"col\" class=\"n\">");
        report_textz(o, REPORT_HTML, a->classes[i]);
        report_put(o, "</th>");
    }
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t k = 0; k <= a->n_tasks; k++) {
        const cfb_report_asked *t = k < a->n_tasks ? &a->tasks[k] : &a->all;
        if (t->n_failed_calls == 0) continue;
        report_put(o, t->task ? "<tr><th scope=\"row\" class=\"t\">" : "<tr class=\"mean all\"><th scope=\"row\" class=\"t\">");
        report_textz(o, REPORT_HTML, t->task ? t->task : WORD(o, ALL));
        report_put(o, "</th>");
        for (size_t i = 0; i < a->n_classes; i++) {
            report_put(o, "<td class=\"n\">");
            report_put_str(o, report_count(t->n_by_class[i], scratch));
            report_put(o, "</td>");
        }
        report_put(o, "</tr>\n");
    }
    report_put(o, "</tbody></table></div>\n");
}

/* ---- the figures' numbers ---- */

static void put_point_row(report_out *o, const cfb_report_asking *a, size_t from, size_t to) {
    char scratch[48];
    double in_flight = 0, longest = 0, seconds = (double)(to - from) * a->interval_s;
    uint64_t replies = 0, failures = 0, refusals = 0;
    for (size_t i = from; i < to; i++) {
        const cfb_report_point *p = &a->points[i];
        in_flight += p->in_flight / (double)(to - from);
        replies += p->n_replies;
        failures += p->n_failures;
        refusals += p->n_refusals;
        if (p->max_s > longest) longest = p->max_s;
    }
    const cfb_report_point *last = &a->points[to - 1];
    report_put(o, "<tr><th scope=\"row\" class=\"t\">");
    report_put_str(o, report_seconds((double)from * a->interval_s, scratch));
    report_putf(o, "</th><td class=\"n\">%.1f</td><td class=\"n\">", in_flight);
    report_put_str(o, last->limit == last->limit ? report_rate(last->limit, scratch) : CFB_STR_LIT("-"));
    report_put(o, "</td><td>");
    report_textz(o, REPORT_HTML, last->phase ? report_phase_word(o, last->phase) : "-");
    report_put(o, "</td><td class=\"n\">");
    report_put_str(o, report_rate((double)replies / seconds, scratch));
    report_putf(o, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">", failures, refusals);
    report_put_str(o, longest > 0 ? report_seconds(longest, scratch) : CFB_STR_LIT("-"));
    report_put(o, "</td></tr>\n");
}

static void put_series(report_out *o, const cfb_report_asking *a) {
    if (a->n_points == 0) return;
    size_t step = (a->n_points + MAX_TABLE_POINTS - 1) / MAX_TABLE_POINTS;
    const struct {
        const char *word;
        bool right;
    } heads[] = {{WORD(o, FROM), false},         {WORD(o, IN_FLIGHT), true}, {WORD(o, LIMIT), true},   {WORD(o, PHASE), false},
                 {WORD(o, REPLIES_PER_S), true}, {WORD(o, FAILED), true},    {WORD(o, REFUSED), true}, {WORD(o, LONGEST), true}};
    report_putf(o, "<h4>%s</h4>\n<div class=\"scroll\"><table>\n<thead><tr>", WORD(o, OVER_TIME));
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) report_html_column(o, heads[i].word, heads[i].right);
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < a->n_points; i += step) put_point_row(o, a, i, i + step < a->n_points ? i + step : a->n_points);
    report_put(o, "</tbody></table></div>\n");
}

static void put_bins(report_out *o, const cfb_report_asking *a) {
    char scratch[48];
    report_putf(o, "<h4>%s</h4>\n<p class=\"dim\">", WORD(o, BY_LATENCY));
    for (size_t i = 0, n = 0; i < CFB_REPORT_LATENCY_BINS; i++) {
        if (a->latency_bins[i] == 0) continue;
        report_put(o, n++ == 0 ? "" : WORD(o, SEMICOLON));
        report_put_str(o, report_seconds(cfb_report_latency_edge_s(i), scratch));
        report_put(o, WORD(o, TO));
        report_put_str(o, report_seconds(cfb_report_latency_edge_s(i + 1), scratch));
        report_put(o, WORD(o, COLON));
        report_put_str(o, report_count(a->latency_bins[i], scratch));
    }
    report_putf(o, "%s</p>\n", a->all.latency.n ? WORD(o, STOP) : WORD(o, NO_REPLY_MEASURED));
}

/* ---- the part ---- */

static void put_span(report_out *o, const cfb_report_asking *a) {
    report_put(o, "<p class=\"dim\">");
    if (a->first_call == NULL) {
        report_putf(o, "%s</p>\n", a->all.n_from_cache ? WORD(o, ALL_FROM_CACHE) : WORD(o, NO_CALL));
        return;
    }
    report_put(o, WORD(o, ASKED_FROM));
    report_textz(o, REPORT_HTML, a->first_call);
    report_put(o, WORD(o, TO));
    report_textz(o, REPORT_HTML, a->last_call);
    report_putf(o, "%s</p>\n", WORD(o, PAUSES_LEFT_OUT));
}

void report_html_settings(report_out *o, const cfb_report_setting *settings, size_t n) {
    report_put(o, "<table class=\"cfg\">\n<tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const char *value = settings[i].value;
        report_put(o, "<tr><th scope=\"row\">");
        report_textz(o, REPORT_HTML, settings[i].name);
        if (value && value[0])
            report_put(o, "</th><td><bdi>");
        else
            report_putf(o, "</th><td class=\"dim\">%s<bdi>", WORD(o, NONE));
        report_textz(o, REPORT_HTML, value);
        report_put(o, "</bdi></td></tr>\n");
    }
    report_put(o, "</tbody></table>");
}

void report_html_commands(report_out *o, const char *const *commands, size_t n) {
    for (size_t i = 0; i < n; i++) {
        report_put(o, "<pre class=\"cmd\"><code><bdi>");
        report_textz(o, REPORT_HTML, commands[i]);
        report_put(o, "</bdi></code></pre>\n");
    }
}

/* Settings and commands of one run of several: those of a single run stand at the end of the page. */
static void put_made(report_out *o, const cfb_report_asking *a) {
    report_putf(o, "<details><summary>%s</summary>\n", WORD(o, RUN_CONFIGURATION));
    report_html_settings(o, a->settings, a->n_settings);
    report_html_commands(o, a->commands, a->n_commands);
    report_put(o, "</details>\n");
}

static void put_asking(report_out *o, const cfb_report *r, size_t id) {
    const cfb_report_asking *a = &r->asking[id];
    report_putf(o, "<section id=\"asking%zu\">\n<h2>%s", id, WORD(o, ASKING));
    if (r->n_asking > 1) {
        report_putf(o, "%s<bdi>", WORD(o, COLON));
        report_textz(o, REPORT_HTML, a->source);
        report_put(o, "</bdi>");
    }
    report_put(o, "</h2>\n");
    put_span(o, a);
    put_tiles(o, a);
    report_put(o, "<div class=\"card\">\n");
    if (a->n_points > 0) {
        report_put(o, "<div class=\"figs\">\n");
        report_svg_in_flight(o, a, id);
        report_svg_rates(o, a, id);
        report_svg_latency(o, a, id);
        report_svg_latencies(o, a, id);
        report_put(o, "</div>\n");
    }
    put_accounts(o, a);
    put_times(o, a);
    put_classes(o, a);
    report_putf(o, "<details><summary>%s</summary>\n", WORD(o, FIGURES_IN_NUMBERS));
    put_series(o, a);
    put_bins(o, a);
    put_ttft(o, a);
    report_put(o, "</details>\n");
    if (r->n_asking > 1) put_made(o, a);
    report_put(o, "</div>\n</section>\n");
}

void report_asking_html(report_out *o, const cfb_report *r) {
    for (size_t i = 0; i < r->n_asking; i++) put_asking(o, r, i);
}
