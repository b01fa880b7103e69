/* compare_html.c - a comparison as one page: leaderboard, scores and places, a forest plot and a table for each pair. */
#include "report/compare.h"

#include <inttypes.h>
#include <math.h>

#define MAX_PAIRS 30 /* with their tables; beyond, only those with A */
#define PLOT_LEFT 170
#define PLOT_WIDTH 520
#define LINE_HEIGHT 22

static void put_letter(report_out *o, size_t run) { report_putf(o, "%c", (int)('A' + run)); }

static void put_head(report_out *o, const cfb_compare *c) {
    report_html_head(o, c->title ? c->title : WORD(o, COMPARISON));
    report_put(o, "<header>\n<h1>");
    report_textz(o, REPORT_HTML, c->title);
    report_put(o, "</h1>\n<p class=\"meta\"><span>");
    report_putf(o, WORD(o, RUNS_ON_SAME_ROWS), c->n_runs);
    report_put(o, "</span><span>cfbench ");
    report_textz(o, REPORT_HTML, c->version);
    report_put(o, "</span></p>\n</header>\n<main>\n");
}

static void put_rank(report_out *o, const cfb_compare_rank *r) {
    report_putf(o, r->best == r->worst ? "%zu" : "%zu–%zu", r->best, r->worst);
}

static void put_interval(report_out *o, const cfb_report_interval *v) {
    char scratch[48];
    report_put_str(o, v->method ? report_range(v->lo, v->hi, scratch) : CFB_STR_LIT("-"));
}

static void put_bar(report_out *o, double v) {
    report_putf(o, "<span class=\"bar\"><i style=\"width:%.2f%%\"></i><b>%.4f</b></span>", fmax(0, fmin(1, v)) * 100, v);
}

/* ---- leaderboard ---- */

static void put_leaderboard(report_out *o, const cfb_compare *c) {
    size_t n = compare_columns(c), order[CFB_COMPARE_MAX_RUNS];
    compare_order(c, order);
    report_putf(o, "<section>\n<h2>%s</h2>\n<div class=\"card scroll\"><table>\n<thead><tr>", WORD(o, LEADERBOARD));
    report_html_column(o, WORD(o, PLACE), false);
    report_html_column(o, WORD(o, RUN), false);
    report_html_column(o, WORD(o, MODEL), false);
    report_html_column(o, WORD(o, SETTING), false);
    for (size_t i = 0; i < n; i++) {
        report_put(o, "<th scope=\"col\" class=\"n\">");
        report_textz(o, REPORT_HTML, compare_line_name(o, compare_column(c, i)));
        report_put(o, "</th>");
        if (i == 0) report_html_column(o, WORD(o, INTERVAL), true);
    }
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t k = 0; k < c->n_runs; k++) {
        size_t r = order[k];
        const char *texts[] = {c->runs[r].model ? c->runs[r].model : WORD(o, UNKNOWN_MODEL), c->runs[r].setting};
        report_put(o, "<tr><td><b>");
        put_rank(o, &compare_column(c, 0)->rank[r]);
        report_put(o, "</b></td><th scope=\"row\">");
        put_letter(o, r);
        report_put(o, "</th>");
        for (size_t i = 0; i < 2; i++) {
            report_put(o, "<td class=\"t\">");
            report_textz(o, REPORT_HTML, texts[i]);
            report_put(o, "</td>");
        }
        for (size_t i = 0; i < n; i++) {
            const cfb_compare_line *l = compare_column(c, i);
            report_put(o, "<td class=\"n\">");
            put_bar(o, l->score[r]);
            report_put(o, "</td>");
            if (i > 0) continue;
            report_put(o, "<td class=\"n\">");
            put_interval(o, &l->interval[r]);
            report_put(o, "</td>");
        }
        report_put(o, "</tr>\n");
    }
    report_putf(o, "</tbody></table></div>\n<p class=\"dim\">%s</p>\n<ul>\n", WORD(o, SHARED_PLACES));
    for (size_t r = 0; r < c->n_runs; r++) {
        report_put(o, "<li>");
        put_letter(o, r);
        report_putf(o, "%s<bdi>", WORD(o, COLON));
        report_textz(o, REPORT_HTML, c->runs[r].source ? c->runs[r].source : "?");
        report_put(o, "</bdi></li>\n");
    }
    report_put(o, "</ul>\n</section>\n");
}

/* ---- scores ---- */

static void put_line_name(report_out *o, const cfb_compare_line *l) {
    report_putf(o, "<tr%s><th scope=\"row\" class=\"t\">", l->n_tasks ? " class=\"mean\"" : "");
    if (l->n_tasks) report_put(o, WORD(o, MEAN_OF));
    report_textz(o, REPORT_HTML, compare_line_name(o, l));
    report_put(o, "</th>");
}

static void put_scores(report_out *o, const cfb_compare *c) {
    report_putf(o, "<section>\n<h2>%s</h2>\n<div class=\"card scroll\"><table>\n<thead><tr>", WORD(o, SCORES_AND_PLACES));
    report_html_column(o, WORD(o, TASK), false);
    report_html_column(o, WORD(o, ROWS), true);
    for (size_t r = 0; r < c->n_runs; r++) {
        report_put(o, "<th scope=\"col\" class=\"n\">");
        put_letter(o, r);
        report_put(o, "</th>");
        report_html_column(o, WORD(o, PLACE), true);
    }
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_line *l = &c->lines[i];
        put_line_name(o, l);
        report_putf(o, "<td class=\"n\">%" PRIu64 "</td>", l->n_rows);
        for (size_t r = 0; r < c->n_runs; r++) {
            report_putf(o,
                        l->rank[r].best == 1 ? "<td class=\"n\"><b>%.4f</b><br><span class=\"dim\">"
                                             : "<td class=\"n\">%.4f<br><span class=\"dim\">",
                        l->score[r]);
            put_interval(o, &l->interval[r]);
            report_put(o, "</span></td><td class=\"n\">");
            put_rank(o, &l->rank[r]);
            report_put(o, "</td>");
        }
        report_put(o, "</tr>\n");
    }
    report_put(o, "</tbody></table></div>\n</section>\n");
}

/* ---- pairs ---- */

static double reach(const cfb_compare *c, size_t k) {
    double most = 0.01;
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_pair *p = &c->lines[i].pairs[k];
        double far = isnan(p->lo) ? fabs(p->diff) : fmax(fabs(p->lo), fabs(p->hi));
        most = fmax(most, far);
    }
    return most * 1.05;
}

static double place(double v, double most) { return PLOT_LEFT + PLOT_WIDTH / 2.0 * (1 + v / most); }

/* Differences with their intervals, line by line; those told from 0 in colour. */
static void put_forest(report_out *o, const cfb_compare *c, size_t k) {
    const cfb_compare_pair *head = &c->lines[0].pairs[k];
    double most = reach(c, k);
    int height = (int)c->n_lines * LINE_HEIGHT + 30, bottom = (int)c->n_lines * LINE_HEIGHT + 4;
    report_putf(o, "<svg class=\"plot forest\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"ft%zu fd%zu\">",
                PLOT_LEFT + PLOT_WIDTH + 10, height, k, k);
    report_putf(o, "<title id=\"ft%zu\">", k);
    report_putf(o, WORD(o, DIFFERENCES), (int)('A' + head->b), (int)('A' + head->a));
    report_putf(o, "</title><desc id=\"fd%zu\">%s</desc>\n", k, WORD(o, TABLE_BELOW));
    report_putf(o, "<line class=\"ax\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%d\"/>", place(0, most), place(0, most), bottom);
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_pair *p = &c->lines[i].pairs[k];
        double y = ((double)i + 0.5) * LINE_HEIGHT;
        const char *css = !compare_is_clear(c, p) ? "none" : p->diff > 0 ? "up" : "down";
        report_putf(o, "<text class=\"tk\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", PLOT_LEFT - 10, y + 4);
        if (report_text(o, REPORT_HTML, cfb_str_from(compare_line_name(o, &c->lines[i])), 22) > 0) report_put(o, "…");
        report_put(o, "</text>");
        if (!isnan(p->lo))
            report_putf(o, "<line class=\"ci %s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", css, place(p->lo, most),
                        place(p->hi, most), y, y);
        report_putf(o, "<circle class=\"ci %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"/>\n", css, place(p->diff, most), y,
                    c->lines[i].n_tasks ? 5 : 4);
    }
    for (int t = -1; t <= 1; t++)
        report_putf(o, "<text class=\"tk\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s%.3f</text>", place(t * most * 0.9, most),
                    bottom + 16, t > 0 ? "+" : "", t * most * 0.9);
    report_put(o, "</svg>\n");
}

static void put_flips(report_out *o, const cfb_compare *c, size_t k) {
    bool any = false;
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_pair *p = &c->lines[i].pairs[k];
        if (p->n_flips == 0) continue;
        if (!any) report_putf(o, "<details><summary>%s</summary>\n", WORD(o, CHANGED_MOST));
        any = true;
        report_put(o, "<h4>");
        report_textz(o, REPORT_HTML, c->lines[i].name);
        report_putf(o, WORD(o, CHANGED_ROWS), p->better + p->worse);
        report_put(o, "</h4>\n<p>");
        for (size_t f = 0; f < p->n_flips; f++) {
            const cfb_compare_flip *flip = &p->flips[f];
            report_putf(o, "%s<bdi>", f ? WORD(o, COMMA) : "");
            if (flip->id.len) {
                if (report_text(o, REPORT_HTML, flip->id, 40) > 0) report_put(o, "…");
            } else
                report_putf(o, "%" PRIu64, flip->row);
            report_putf(o, "</bdi> %.2f → %.2f", flip->score_a, flip->score_b);
        }
        report_put(o, "</p>\n");
    }
    if (any) report_put(o, "</details>\n");
}

static void put_pair_table(report_out *o, const cfb_compare *c, size_t k) {
    char one[16], two[16];
    const cfb_compare_pair *p = &c->lines[0].pairs[k];
    const char *const heads[] = {WORD(o, INTERVAL), WORD(o, P_VALUE), WORD(o, HOLM), WORD(o, ROWS_WON), WORD(o, LOST), "d"};
    report_put(o, "<div class=\"scroll\"><table>\n<thead><tr>");
    report_html_column(o, WORD(o, TASK), false);
    report_putf(o, "<th scope=\"col\" class=\"n\">%c − %c</th>", (int)('A' + p->b), (int)('A' + p->a));
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) report_html_column(o, heads[i], true);
    report_html_column(o, WORD(o, BETTER), false);
    report_put(o, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < c->n_lines; i++) {
        p = &c->lines[i].pairs[k];
        put_line_name(o, &c->lines[i]);
        report_putf(o, "<td class=\"n\">%+.4f</td><td class=\"n\">", p->diff);
        if (isnan(p->lo))
            report_put(o, "-");
        else
            report_putf(o, "%+.4f … %+.4f", p->lo, p->hi);
        report_putf(o, "</td><td class=\"n\">%s</td><td class=\"n\">", p->p < 0.0001 ? "&lt;0.0001" : compare_p(p->p, one));
        report_putf(o, "%s</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">",
                    p->p_adjusted < 0.0001 ? "&lt;0.0001" : compare_p(p->p_adjusted, two), p->better, p->worse);
        if (!isnan(p->cohen_d)) report_putf(o, "%+.2f", p->cohen_d);
        report_put(o, "</td><td><b>");
        if (compare_is_clear(c, p))
            put_letter(o, p->diff > 0 ? p->b : p->a);
        else
            report_put(o, "–");
        report_put(o, "</b></td></tr>\n");
    }
    report_put(o, "</tbody></table></div>\n");
}

static void put_pair(report_out *o, const cfb_compare *c, size_t k) {
    const cfb_compare_pair *p = &c->lines[0].pairs[k];
    int a = (int)('A' + p->a), b = (int)('A' + p->b);
    report_put(o, "<section>\n<h2>");
    report_putf(o, WORD(o, PAIR), a, b);
    report_put(o, "</h2>\n<div class=\"card\">\n<p class=\"dim\">");
    report_putf(o, WORD(o, LESS), b, a, b);
    report_put(o, "</p>\n");
    put_forest(o, c, k);
    put_pair_table(o, c, k);
    report_put(o, "<p class=\"dim\">");
    compare_power(o, c, k);
    report_put(o, "</p>\n");
    put_flips(o, c, k);
    report_put(o, "</div>\n</section>\n");
}

cfb_code cfb_compare_html(const cfb_compare *c, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, c->language == CFB_REPORT_ZH};
    put_head(&o, c);
    if (c->n_lines > 0) {
        put_leaderboard(&o, c);
        put_scores(&o, c);
        for (size_t k = 0; k < c->n_pairs; k++)
            if (c->n_pairs <= MAX_PAIRS || c->lines[0].pairs[k].a == 0) put_pair(&o, c, k);
        report_putf(&o, "<section>\n<h2>%s</h2>\n<pre>", WORD(&o, NOTES));
        compare_gates(&o, c, REPORT_HTML, "");
        compare_notes(&o, c, REPORT_HTML, "");
        report_put(&o, "</pre>\n</section>\n");
    }
    report_put(&o, "</main>\n</body>\n</html>\n");
    return o.rc;
}
