/* compare_forms.c - a comparison as JSON, Markdown and LaTeX. */
#include "cfbench/json.h"
#include "report/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---- JSON ---- */

static void put_run(cfb_jw *w, const char *key, size_t run) {
    char letter[2] = {(char)('A' + run), '\0'};
    cfb_jw_member_strz(w, key, letter);
}

static void json_flips(cfb_jw *w, const cfb_compare_pair *p) {
    cfb_jw_key(w, "changed_rows");
    cfb_jw_arr(w);
    for (size_t i = 0; i < p->n_flips; i++) {
        const cfb_compare_flip *f = &p->flips[i];
        cfb_jw_obj(w);
        cfb_jw_member_count(w, "row", f->row);
        cfb_jw_member_str(w, "id", f->id.len ? f->id : CFB_STR_NULL);
        cfb_jw_member_num(w, "score_a", f->score_a);
        cfb_jw_member_num(w, "score_b", f->score_b);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void json_pair(cfb_jw *w, const cfb_compare *c, const cfb_compare_pair *p) {
    cfb_jw_obj(w);
    put_run(w, "a", p->a);
    put_run(w, "b", p->b);
    cfb_jw_member_num(w, "difference", p->diff);
    cfb_jw_member_num(w, "low", p->lo);
    cfb_jw_member_num(w, "high", p->hi);
    cfb_jw_member_num(w, "standard_error", p->se);
    cfb_jw_member_strz(w, "test", p->test);
    cfb_jw_member_num(w, "p", p->p);
    cfb_jw_member_num(w, "p_holm", p->p_adjusted);
    cfb_jw_key(w, "better");
    if (compare_is_clear(c, p))
        cfb_jw_strz(w, (char[2]){(char)('A' + (p->diff > 0 ? p->b : p->a)), '\0'});
    else
        cfb_jw_null(w);
    cfb_jw_member_num(w, "cohen_d", isinf(p->cohen_d) ? NAN : p->cohen_d);
    cfb_jw_member_num(w, "cliff_delta", p->delta);
    cfb_jw_member_count(w, "rows_better", p->better);
    cfb_jw_member_count(w, "rows_same", p->same);
    cfb_jw_member_count(w, "rows_worse", p->worse);
    cfb_jw_member_num(w, "detectable", p->detectable);
    cfb_jw_member_num(w, "rows_needed", p->rows_needed);
    json_flips(w, p);
    cfb_jw_end_obj(w);
}

static void json_line(cfb_jw *w, const cfb_compare *c, const cfb_compare_line *l) {
    cfb_jw_obj(w);
    cfb_jw_member_strz(w, "name", l->name);
    cfb_jw_member_count(w, "tasks", l->n_tasks ? l->n_tasks : 1);
    if (l->n_tasks == 0) cfb_jw_member_strz(w, "kind", l->kind);
    if (l->n_tasks == 0) cfb_jw_member_strz(w, "metric", l->metric);
    cfb_jw_key(w, "by_rows");
    cfb_jw_bool(w, l->by_rows);
    cfb_jw_member_count(w, "rows", l->n_rows);
    cfb_jw_member_count(w, "clusters", l->n_clusters);
    cfb_jw_member_count(w, "rows_not_shared", l->n_apart);
    cfb_jw_member_count(w, "rows_failed", l->n_failed);
    cfb_jw_key(w, "scores");
    cfb_jw_arr(w);
    for (size_t r = 0; r < c->n_runs; r++) {
        cfb_jw_obj(w);
        put_run(w, "run", r);
        bool known = l->interval[r].method != NULL;
        cfb_jw_member_num(w, "score", l->score[r]);
        cfb_jw_member_num(w, "low", known ? l->interval[r].lo : (double)NAN);
        cfb_jw_member_num(w, "high", known ? l->interval[r].hi : (double)NAN);
        cfb_jw_member_count(w, "rank_best", l->rank[r].best);
        cfb_jw_member_count(w, "rank_worst", l->rank[r].worst);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
    cfb_jw_key(w, "pairs");
    cfb_jw_arr(w);
    for (size_t k = 0; k < c->n_pairs; k++) json_pair(w, c, &l->pairs[k]);
    cfb_jw_end_arr(w);
    cfb_jw_end_obj(w);
}

static void json_gates(cfb_jw *w, const cfb_compare *c) {
    cfb_jw_key(w, "fail_if");
    cfb_jw_arr(w);
    for (size_t i = 0; i < c->n_gates; i++) {
        cfb_jw_obj(w);
        cfb_jw_member_strz(w, "condition", c->gates[i].text);
        put_run(w, "run", c->gates[i].run);
        cfb_jw_member_num(w, "drop", c->gates[i].drop);
        cfb_jw_key(w, "holds");
        cfb_jw_bool(w, c->gates[i].failed);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

cfb_code cfb_compare_json(const cfb_compare *c, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 2);
    cfb_jw_obj(&w);
    cfb_jw_member_strz(&w, "schema", "cfbench.compare/1");
    cfb_jw_member_strz(&w, "title", c->title);
    cfb_jw_member_strz(&w, "version", c->version);
    cfb_jw_member_num(&w, "confidence", c->confidence);
    cfb_jw_key(&w, "runs");
    cfb_jw_arr(&w);
    for (size_t r = 0; r < c->n_runs; r++) {
        cfb_jw_obj(&w);
        put_run(&w, "run", r);
        cfb_jw_member_strz(&w, "model", c->runs[r].model);
        cfb_jw_member_strz(&w, "setting", c->runs[r].setting);
        cfb_jw_member_strz(&w, "source", c->runs[r].source);
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    for (int means = 0; means < 2; means++) {
        cfb_jw_key(&w, means ? "means" : "tasks");
        cfb_jw_arr(&w);
        for (size_t i = 0; i < c->n_lines; i++)
            if ((c->lines[i].n_tasks > 0) == (means == 1)) json_line(&w, c, &c->lines[i]);
        cfb_jw_end_arr(&w);
    }
    cfb_jw_member_strz(&w, "not_compared", c->left_out);
    json_gates(&w, c);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? cfb_buf_append_char(out, '\n', err) : rc;
}

/* ---- Markdown ---- */

static void md_name(report_out *o, const cfb_compare_line *l) {
    report_put(o, l->n_tasks ? "| **" : "| ");
    if (l->n_tasks) report_put(o, WORD(o, MEAN_OF));
    report_textz(o, REPORT_MARKDOWN, compare_line_name(o, l));
    report_put(o, l->n_tasks ? "** |" : " |");
}

static void md_rank(report_out *o, const cfb_compare_rank *r) {
    report_putf(o, r->best == r->worst ? " (%zu)" : " (%zu–%zu)", r->best, r->worst);
}

static void md_scores(report_out *o, const cfb_compare *c) {
    report_putf(o, "\n## %s\n\n| %s | %s |", WORD(o, SCORES_AND_PLACES), WORD(o, TASK), WORD(o, ROWS));
    for (size_t r = 0; r < c->n_runs; r++) report_putf(o, " %c |", (int)('A' + r));
    report_put(o, "\n| --- | ---: |");
    report_repeat(o, " ---: |", c->n_runs);
    report_put(o, "\n");
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_line *l = &c->lines[i];
        md_name(o, l);
        report_putf(o, " %" PRIu64 " |", l->n_rows);
        for (size_t r = 0; r < c->n_runs; r++) {
            report_putf(o, l->rank[r].best == 1 ? " **%.4f**" : " %.4f", l->score[r]);
            if (l->interval[r].method) {
                char range[48];
                report_put(o, " [");
                report_put_str(o, report_range(l->interval[r].lo, l->interval[r].hi, range));
                report_put(o, "]");
            }
            md_rank(o, &l->rank[r]);
            report_put(o, " |");
        }
        report_put(o, "\n");
    }
}

static void md_pair(report_out *o, const cfb_compare *c, size_t k) {
    const cfb_compare_pair *p = &c->lines[0].pairs[k];
    char one[16], two[16];
    int a = (int)('A' + p->a), b = (int)('A' + p->b);
    report_put(o, "\n## ");
    report_putf(o, WORD(o, PAIR), a, b);
    report_putf(o, "\n\n| %s | %c − %c | %s | %s | %s | %s | %s | d | %s |\n", WORD(o, TASK), b, a, WORD(o, INTERVAL),
                WORD(o, P_VALUE), WORD(o, HOLM), WORD(o, ROWS_WON), WORD(o, LOST), WORD(o, BETTER));
    report_put(o, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (size_t i = 0; i < c->n_lines; i++) {
        p = &c->lines[i].pairs[k];
        md_name(o, &c->lines[i]);
        report_putf(o, " %+.4f |", p->diff);
        if (isnan(p->lo))
            report_put(o, " - |");
        else
            report_putf(o, " %+.4f … %+.4f |", p->lo, p->hi);
        report_putf(o, " %s | %s | %" PRIu64 " | %" PRIu64 " |", compare_p(p->p, one), compare_p(p->p_adjusted, two), p->better,
                    p->worse);
        if (isnan(p->cohen_d))
            report_put(o, " |");
        else
            report_putf(o, " %+.2f |", p->cohen_d);
        if (compare_is_clear(c, p))
            report_putf(o, " **%c** |\n", (int)('A' + (p->diff > 0 ? p->b : p->a)));
        else
            report_put(o, " – |\n");
    }
    report_put(o, "\n");
    compare_power(o, c, k);
}

cfb_code cfb_compare_markdown(const cfb_compare *c, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, c->language == CFB_REPORT_ZH};
    report_put(&o, "# ");
    report_textz(&o, REPORT_MARKDOWN, c->title);
    report_putf(&o, "\n\n| %s | %s | %s | %s |\n| --- | --- | --- | --- |\n", WORD(&o, RUN), WORD(&o, MODEL), WORD(&o, SETTING),
                WORD(&o, SOURCE_HEAD));
    for (size_t r = 0; r < c->n_runs; r++) {
        const char *parts[] = {c->runs[r].model, c->runs[r].setting, c->runs[r].source};
        report_putf(&o, "| %c |", (int)('A' + r));
        for (size_t i = 0; i < 3; i++) {
            report_put(&o, " ");
            report_textz(&o, REPORT_MARKDOWN, parts[i]);
            report_put(&o, " |");
        }
        report_put(&o, "\n");
    }
    if (c->n_lines == 0) return o.rc;
    md_scores(&o, c);
    for (size_t k = 0; k < c->n_pairs; k++) md_pair(&o, c, k);
    report_put(&o, "\n");
    compare_notes(&o, c, REPORT_MARKDOWN, "- ");
    compare_gates(&o, c, REPORT_MARKDOWN, "- ");
    return o.rc;
}

/* ---- LaTeX ---- */

static const char *latex_special(char c) {
    switch (c) {
    case '\\': return "\\textbackslash{}";
    case '~': return "\\textasciitilde{}";
    case '^': return "\\textasciicircum{}";
    case '&': return "\\&";
    case '%': return "\\%";
    case '$': return "\\$";
    case '#': return "\\#";
    case '_': return "\\_";
    case '{': return "\\{";
    case '}': return "\\}";
    case '<': return "\\textless{}";
    case '>': return "\\textgreater{}";
    default: return NULL;
    }
}

static void latex_text(report_out *o, const char *z) {
    cfb_buf safe = CFB_BUF_INIT(1 << 20);
    report_out s = {&safe, o->err, o->rc, false};
    report_textz(&s, REPORT_TERMINAL, z ? z : "?"); /* no control characters, valid UTF-8 */
    o->rc = s.rc;
    for (size_t i = 0; i < safe.len; i++) {
        const char *special = latex_special(safe.ptr[i]);
        if (special)
            report_put(o, special);
        else
            report_put_str(o, (cfb_str){safe.ptr + i, 1});
    }
    cfb_buf_free(&safe);
}

cfb_code cfb_compare_latex(const cfb_compare *c, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, false};
    report_put(&o, "\\begin{tabular}{l");
    report_repeat(&o, "r", c->n_runs);
    report_put(&o, "}\n\\hline\n");
    for (size_t r = 0; r < c->n_runs; r++) {
        report_put(&o, " & ");
        latex_text(&o, c->runs[r].model);
    }
    report_put(&o, " \\\\\n\\hline\n");
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_line *l = &c->lines[i];
        if (i > 0 && l->n_tasks && c->lines[i - 1].n_tasks == 0) report_put(&o, "\\hline\n");
        if (l->n_tasks) report_put(&o, "mean of ");
        latex_text(&o, l->name);
        for (size_t r = 0; r < c->n_runs; r++) {
            const cfb_compare_rank *k = &l->rank[r];
            report_putf(&o, k->best == 1 ? " & \\textbf{%.4f}$_{" : " & %.4f$_{", l->score[r]);
            report_putf(&o, k->best == k->worst ? "%zu}$" : "%zu\\textrm{--}%zu}$", k->best, k->worst);
        }
        report_put(&o, " \\\\\n");
    }
    report_put(&o, "\\hline\n\\end{tabular}\n");
    report_putf(
        &o,
        "%% Subscripts: places that the data allow, at %g%% confidence after Holm's adjustment. Bold: not told from the best.\n",
        100 * c->confidence);
    return o.rc;
}
