/* compare.c - a comparison for people: who is who, a leaderboard, differences pair by pair, what could have been seen. */
#include "report/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GAP 2
#define NAME_WIDTH 24
#define RUNS_ABREAST 6
#define MAX_PAIR_TABLES 3
#define FLIPS_SHOWN 6

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define GREEN "\033[32m"
#define RED "\033[31m"
#define RESET "\033[0m"

/* ---- what all forms share ---- */

void compare_cell(compare_cells *t, const char *code, const char *fmt, ...) {
    if (t->n >= t->n_cols * t->n_rows || t->cell == NULL) return;
    compare_text *c = &t->cell[t->n++];
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
    c->code = code;
}

void compare_name(compare_cells *t, report_out *o, const char *name, const char *code) {
    cfb_buf safe = CFB_BUF_INIT(1 << 20), fit = CFB_BUF_INIT(1 << 20);
    report_out a = {&safe, o->err, o->rc, false}, b = {&fit, o->err, CFB_OK, false};
    (void)report_text(&a, REPORT_TERMINAL, cfb_str_from(name ? name : "?"), NAME_WIDTH + 1);
    b.rc = a.rc;
    if (b.rc == CFB_OK) (void)report_fit(&b, cfb_buf_str(&safe), NAME_WIDTH);
    o->rc = b.rc;
    compare_cell(t, code, "%.*s", (int)fit.len, fit.len ? fit.ptr : "");
    cfb_buf_free(&safe);
    cfb_buf_free(&fit);
}

bool compare_cells_init(compare_cells *t, size_t n_cols, size_t n_rows, report_out *o) {
    *t = (compare_cells){.n_cols = n_cols, .n_rows = n_rows, .cell = calloc(n_cols * n_rows, sizeof *t->cell)};
    if (t->cell == NULL && o->rc == CFB_OK) o->rc = cfb_err_set(o->err, CFB_ENOMEM, "out of memory");
    return t->cell != NULL;
}

bool compare_is_clear(const cfb_compare *c, const cfb_compare_pair *p) { return p->p_adjusted < 1 - c->confidence; }

const char *compare_p(double p, char scratch[16]) {
    if (isnan(p)) return "-";
    snprintf(scratch, 16, p < 0.0001 ? "<0.0001" : "%.4f", p);
    return scratch;
}

const char *compare_line_name(const report_out *o, const cfb_compare_line *l) {
    const report_mean mean = {.kind = strcmp(l->name ? l->name : "", REPORT_EN_ALL) == 0 ? NULL : l->name};
    return l->n_tasks ? report_mean_name(o, &mean) : l->name;
}

size_t compare_first_mean(const cfb_compare *c) {
    size_t i = 0;
    while (i < c->n_lines && c->lines[i].n_tasks == 0) i++;
    return i;
}

void compare_order(const cfb_compare *c, size_t order[CFB_COMPARE_MAX_RUNS]) {
    const double *score = c->lines[c->n_lines - 1].score;
    for (size_t r = 0; r < c->n_runs; r++) {
        size_t k = r;
        for (; k > 0 && score[order[k - 1]] < score[r]; k--) order[k] = order[k - 1];
        order[k] = r;
    }
}

size_t compare_columns(const cfb_compare *c) {
    size_t means = compare_first_mean(c);
    return means < c->n_lines ? c->n_lines - means : 1;
}

const cfb_compare_line *compare_column(const cfb_compare *c, size_t i) {
    const cfb_compare_line *last = &c->lines[c->n_lines - 1];
    return i == 0 ? last : last - compare_columns(c) + i;
}

/* ---- the grid ---- */

static size_t width_of(const char *z) { return cfb_display_width(cfb_str_from(z)); }

/* First row: heads. Columns from `right` on are right-aligned. */
static void put_grid(report_out *o, bool color, const compare_cells *t, size_t right, size_t rule_before) {
    size_t width[RUNS_ABREAST * 4 + 16] = {0}, total = 0, n = t->n_cols;
    for (size_t i = 0; i < t->n; i++) {
        size_t w = width_of(t->cell[i].text), *slot = &width[i % n];
        if (w > *slot) *slot = w;
    }
    for (size_t k = 0; k < n; k++) total += width[k] + (k ? GAP : 0);
    for (size_t r = 0; r < t->n / n; r++) {
        if (r == 1 || r == rule_before) {
            if (color) report_put(o, DIM);
            report_repeat(o, "─", total);
            report_put(o, color ? RESET "\n" : "\n");
        }
        size_t pending = 0;
        for (size_t k = 0; k < n; k++) {
            const compare_text *c = &t->cell[r * n + k];
            const char *code = r == 0 ? BOLD : c->code;
            size_t fill = width[k] - width_of(c->text);
            if (c->text[0] == '\0') {
                pending += width[k] + GAP;
                continue;
            }
            report_repeat(o, " ", pending + (k >= right ? fill : 0));
            if (color && code) report_put(o, code);
            report_put(o, c->text);
            if (color && code) report_put(o, RESET);
            pending = GAP + (k >= right ? 0 : fill);
        }
        report_put(o, "\n");
    }
}

/* ---- pieces ---- */

static void put_runs(report_out *o, const cfb_compare *c) {
    for (size_t r = 0; r < c->n_runs; r++) {
        report_putf(o, "%c  ", (int)('A' + r));
        report_textz(o, REPORT_TERMINAL, c->runs[r].model ? c->runs[r].model : WORD(o, UNKNOWN_MODEL));
        if (c->runs[r].setting) report_put(o, WORD(o, COMMA));
        report_textz(o, REPORT_TERMINAL, c->runs[r].setting);
        report_put(o, "  (");
        report_textz(o, REPORT_TERMINAL, c->runs[r].source ? c->runs[r].source : "?");
        report_put(o, ")\n");
    }
}

/* All runs by the last line: the mean over all tasks, or the only task. */
static void put_leaderboard(report_out *o, const cfb_compare *c, bool color) {
    compare_cells t;
    size_t n = compare_columns(c), order[CFB_COMPARE_MAX_RUNS];
    compare_order(c, order);
    if (!compare_cells_init(&t, 4 + n, c->n_runs + 1, o)) return;
    compare_cell(&t, NULL, "%s", WORD(o, PLACE));
    compare_cell(&t, NULL, "%s", WORD(o, RUN));
    compare_cell(&t, NULL, "%s", WORD(o, MODEL));
    for (size_t i = 0; i < n; i++) {
        compare_name(&t, o, compare_line_name(o, compare_column(c, i)), NULL);
        if (i == 0) compare_cell(&t, NULL, "%s", WORD(o, INTERVAL));
    }
    for (size_t k = 0; k < c->n_runs; k++) {
        const cfb_compare_rank *rank = &compare_column(c, 0)->rank[order[k]];
        compare_cell(&t, BOLD, rank->best == rank->worst ? "%zu" : "%zu–%zu", rank->best, rank->worst);
        compare_cell(&t, NULL, "%c", (int)('A' + order[k]));
        compare_name(&t, o, c->runs[order[k]].model, NULL);
        for (size_t i = 0; i < n; i++) {
            char range[48];
            const cfb_compare_line *l = compare_column(c, i);
            const cfb_report_interval *v = &l->interval[order[k]];
            compare_cell(&t, NULL, "%.4f", l->score[order[k]]);
            if (i > 0) continue;
            cfb_str text = v->method ? report_range(v->lo, v->hi, range) : CFB_STR_LIT("-");
            compare_cell(&t, NULL, "%.*s", (int)text.len, text.ptr);
        }
    }
    report_put(o, "\n");
    put_grid(o, color, &t, 3, SIZE_MAX);
    free(t.cell);
}

/* Scores and places, line by line, some runs at a time. */
static void put_scores(report_out *o, const cfb_compare *c, bool color) {
    for (size_t from = 0; from < c->n_runs; from += RUNS_ABREAST) {
        compare_cells t;
        size_t n = c->n_runs - from < RUNS_ABREAST ? c->n_runs - from : RUNS_ABREAST;
        if (!compare_cells_init(&t, 2 + 2 * n, c->n_lines + 1, o)) return;
        compare_cell(&t, NULL, "%s", WORD(o, TASK));
        compare_cell(&t, NULL, "%s", WORD(o, ROWS));
        for (size_t r = from; r < from + n; r++) {
            compare_cell(&t, NULL, "%c", (int)('A' + r));
            compare_cell(&t, NULL, "%s", WORD(o, PLACE));
        }
        for (size_t i = 0; i < c->n_lines; i++) {
            const cfb_compare_line *l = &c->lines[i];
            compare_name(&t, o, compare_line_name(o, l), NULL);
            compare_cell(&t, NULL, "%" PRIu64, l->n_rows);
            for (size_t r = from; r < from + n; r++) {
                compare_cell(&t, l->rank[r].best == 1 ? BOLD : NULL, "%.4f", l->score[r]);
                compare_cell(&t, NULL, l->rank[r].best == l->rank[r].worst ? "%zu" : "%zu–%zu", l->rank[r].best,
                             l->rank[r].worst);
            }
        }
        report_put(o, "\n");
        put_grid(o, color, &t, 1, compare_first_mean(c) + 1);
        free(t.cell);
    }
}

static void put_pair_line(report_out *o, const cfb_compare *c, const cfb_compare_line *l, size_t k, compare_cells *t) {
    const cfb_compare_pair *p = &l->pairs[k];
    char one[16], two[16];
    const char *code = !compare_is_clear(c, p) ? NULL : p->diff > 0 ? GREEN : RED;
    compare_name(t, o, compare_line_name(o, l), NULL);
    compare_cell(t, NULL, "%" PRIu64, l->n_rows);
    compare_cell(t, NULL, "%.4f", l->score[p->a]);
    compare_cell(t, NULL, "%.4f", l->score[p->b]);
    compare_cell(t, code, "%+.4f", p->diff);
    if (isnan(p->lo))
        compare_cell(t, NULL, "-");
    else
        compare_cell(t, NULL, "%+.3f…%+.3f", p->lo, p->hi);
    compare_cell(t, NULL, "%s", compare_p(p->p, one));
    compare_cell(t, NULL, "%s", compare_p(p->p_adjusted, two));
    compare_cell(t, NULL, "%" PRIu64, p->better);
    compare_cell(t, NULL, "%" PRIu64, p->worse);
    if (!compare_is_clear(c, p))
        compare_cell(t, NULL, "–");
    else
        compare_cell(t, code, "%c", (int)('A' + (p->diff > 0 ? p->b : p->a)));
}

static void put_pair(report_out *o, const cfb_compare *c, size_t k, bool color) {
    compare_cells t;
    const cfb_compare_pair *p = &c->lines[0].pairs[k];
    int a = (int)('A' + p->a), b = (int)('A' + p->b);
    if (!compare_cells_init(&t, 11, c->n_lines + 1, o)) return;
    compare_cell(&t, NULL, "%s", WORD(o, TASK));
    compare_cell(&t, NULL, "%s", WORD(o, ROWS));
    compare_cell(&t, NULL, "%c", a);
    compare_cell(&t, NULL, "%c", b);
    compare_cell(&t, NULL, "%c − %c", b, a);
    const char *const heads[] = {WORD(o, INTERVAL),  WORD(o, P_VALUE),    WORD(o, HOLM),
                                 WORD(o, WON_SHORT), WORD(o, LOST_SHORT), WORD(o, BETTER)};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) compare_cell(&t, NULL, "%s", heads[i]);
    for (size_t i = 0; i < c->n_lines; i++) put_pair_line(o, c, &c->lines[i], k, &t);
    report_put(o, "\n");
    put_grid(o, color, &t, 1, compare_first_mean(c) + 1);
    free(t.cell);
}

void compare_power(report_out *o, const cfb_compare *c, size_t k) {
    const cfb_compare_line *l = &c->lines[c->n_lines - 1];
    const cfb_compare_pair *p = &l->pairs[k];
    if (isnan(p->detectable)) return;
    report_putf(o, l->n_tasks ? WORD(o, POWER_ALL) : WORD(o, POWER_THESE), (int)('A' + p->a), (int)('A' + p->b), p->detectable);
    if (!isnan(p->rows_needed)) report_putf(o, WORD(o, ROWS_NEEDED), fabs(p->diff), p->rows_needed, l->n_rows);
    report_put(o, "\n");
}

static void put_flips(report_out *o, const cfb_compare *c, size_t k) {
    bool head = false;
    for (size_t i = 0; i < c->n_lines; i++) {
        const cfb_compare_pair *p = &c->lines[i].pairs[k];
        if (p->n_flips == 0) continue;
        if (!head) {
            report_put(o, "\n");
            report_putf(o, WORD(o, CHANGED_FROM_TO), (int)('A' + p->a), (int)('A' + p->b));
            report_put(o, "\n");
        }
        head = true;
        report_put(o, "  ");
        report_textz(o, REPORT_TERMINAL, c->lines[i].name);
        for (size_t f = 0; f < p->n_flips && f < FLIPS_SHOWN; f++) {
            const cfb_compare_flip *flip = &p->flips[f];
            report_put(o, f ? WORD(o, COMMA) : WORD(o, COLON));
            if (flip->id.len)
                (void)report_text(o, REPORT_TERMINAL, flip->id, 20);
            else
                report_putf(o, "%" PRIu64, flip->row);
            report_putf(o, " %.2f→%.2f", flip->score_a, flip->score_b);
        }
        if (p->better + p->worse > FLIPS_SHOWN) report_putf(o, WORD(o, CHANGED_IN_ALL), p->better + p->worse);
        report_put(o, "\n");
    }
}

/* What was not compared, and what stands behind the numbers. */
void compare_notes(report_out *o, const cfb_compare *c, report_form form, const char *bullet) {
    for (size_t i = 0; i < c->n_lines && c->lines[i].n_tasks == 0; i++) {
        const cfb_compare_line *l = &c->lines[i];
        if (l->n_apart + l->n_failed == 0 && !l->by_rows && l->n_clusters == l->n_rows) continue;
        const char *sep = WORD(o, COLON), *next = WORD(o, SEMICOLON);
        report_put(o, bullet);
        report_textz(o, form, l->name);
        if (l->n_apart) report_put(o, sep), report_putf(o, WORD(o, LEFT_OUT_APART), l->n_apart), sep = next;
        if (l->n_failed) report_put(o, sep), report_putf(o, WORD(o, LEFT_OUT_FAILED), l->n_failed), sep = next;
        if (l->n_clusters != l->n_rows) report_put(o, sep), report_putf(o, WORD(o, DIFFERENT_INPUTS), l->n_clusters), sep = next;
        if (l->by_rows) report_put(o, sep), report_put(o, WORD(o, CORPUS_SCORE));
        report_put(o, "\n");
    }
    if (c->left_out[0]) {
        report_put(o, bullet);
        report_put(o, WORD(o, NOT_COMPARED));
        report_textz(o, form, c->left_out);
        report_put(o, "\n");
    }
    report_put(o, bullet);
    report_putf(o, WORD(o, COMPARE_NOTE), 100 * c->confidence, 1 - c->confidence);
    report_put(o, "\n");
}

void compare_gates(report_out *o, const cfb_compare *c, report_form form, const char *bullet) {
    for (size_t i = 0; i < c->n_gates; i++) {
        const cfb_compare_gate *g = &c->gates[i];
        report_put(o, bullet);
        report_put(o, g->failed ? WORD(o, GATE_FAILED) : WORD(o, GATE_PASSED));
        report_textz(o, form, g->text);
        report_putf(o, WORD(o, GATE_RUN), (int)('A' + g->run));
        if (isnan(g->drop))
            report_put(o, WORD(o, GATE_TOO_FEW));
        else
            report_putf(o, WORD(o, GATE_DROP), g->drop);
        report_put(o, "\n");
    }
}

cfb_code cfb_compare_table(const cfb_compare *c, bool color, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, c->language == CFB_REPORT_ZH};
    if (color) report_put(&o, BOLD);
    report_textz(&o, REPORT_TERMINAL, c->title);
    report_put(&o, color ? RESET "\n\n" : "\n\n");
    put_runs(&o, c);
    if (c->n_lines == 0) return o.rc;
    if (c->n_runs > 2) put_leaderboard(&o, c, color);
    if (c->n_runs > 2) put_scores(&o, c, color);
    for (size_t k = 0; k < c->n_pairs && c->n_pairs <= MAX_PAIR_TABLES; k++) put_pair(&o, c, k, color);
    for (size_t k = 0; k < c->n_pairs && c->n_pairs == 1; k++) put_flips(&o, c, k);
    report_put(&o, "\n");
    for (size_t k = 0; k < c->n_pairs && c->n_pairs <= MAX_PAIR_TABLES; k++) compare_power(&o, c, k);
    compare_notes(&o, c, REPORT_TERMINAL, "");
    if (c->n_gates) report_put(&o, "\n");
    compare_gates(&o, c, REPORT_TERMINAL, "");
    return o.rc;
}
