/* overview.c - groups, means and cells of the overview, the same for every form of report. */
#include "report/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define REPORT_X(NAME, two, word, right) right,
const bool report_column_right[REPORT_COLUMN_COUNT] = {REPORT_COLUMN_MAP(REPORT_X)};
#undef REPORT_X

const char *report_column_head(const report_out *o, report_column c) {
    switch (c) {
#define REPORT_X(NAME, two, word, right) \
    case REPORT_COL_##NAME: return WORD(o, two);
        REPORT_COLUMN_MAP(REPORT_X)
#undef REPORT_X
    default: return "";
    }
}

const char *report_column_name(const report_out *o, report_column c) {
    switch (c) {
#define REPORT_X(NAME, two, word, right) \
    case REPORT_COL_##NAME: return WORD(o, word);
        REPORT_COLUMN_MAP(REPORT_X)
#undef REPORT_X
    default: return "";
    }
}

static bool same(const char *a, const char *b) { return cfb_str_eq(cfb_str_from(a), cfb_str_from(b)) && !a == !b; }

bool report_next_group(const cfb_report *r, report_group *g) {
    size_t begin = g->tasks == NULL ? 0 : (size_t)(g->tasks - r->tasks) + g->n;
    if (begin >= r->n_tasks) return false;
    const cfb_report_task *first = r->tasks + begin;
    size_t n = 1;
    while (begin + n < r->n_tasks && same(first[n].model, first->model) && same(first[n].setting, first->setting)) n++;
    *g = (report_group){first, n, g->tasks == NULL ? 0 : g->index + 1, first->model, first->setting};
    return true;
}

static void add_to_mean(report_mean *m, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    m->n_tasks++;
    double below = s->mean_all - t->interval.lo, above = t->interval.hi - s->mean_all;
    m->lo += t->interval.method ? below * below : NAN; /* turned into the interval by end_mean */
    m->hi += t->interval.method ? above * above : NAN;
    m->all += s->mean_all;
    m->answered += s->mean_answered;
    m->n_rows += s->n_rows;
    m->n_answered += s->n_answered;
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) m->n_state[i] += s->n_state[i];
}

/* The distances of the tasks' limits from their scores add up as independent errors do: Zou and Donner, Statist. Med. 27 (2008).
 * So a mean of skewed intervals is skewed too, and one of tasks without a spread has a width. */
static void end_mean(report_mean *m) {
    double n = (double)m->n_tasks;
    m->all /= n;
    m->answered /= n;
    m->lo = m->all - sqrt(m->lo) / n;
    m->hi = m->all + sqrt(m->hi) / n;
}

size_t report_means(const report_group *g, report_mean out[REPORT_MAX_MEANS]) {
    size_t n = 0;
    report_mean all = {0};
    if (g->n < 2) return 0;
    for (size_t i = 0; i < g->n; i++) {
        const char *kind = g->tasks[i].kind ? g->tasks[i].kind : REPORT_EN_OTHER;
        size_t k = 0;
        while (k < n && !same(out[k].kind, kind)) k++;
        if (k == n && n < REPORT_MAX_MEANS - 1) out[n++] = (report_mean){.kind = kind};
        if (k < n) add_to_mean(&out[k], &g->tasks[i]);
        add_to_mean(&all, &g->tasks[i]);
    }
    if (n < 2) n = 0;
    out[n++] = all;
    for (size_t i = 0; i < n; i++) end_mean(&out[i]);
    return n;
}

const char *report_mean_name(const report_out *o, const report_mean *m) {
    if (m->kind == NULL) return WORD(o, ALL);
#define KIND(ID) \
    if (strcmp(m->kind, REPORT_EN_##ID) == 0) return WORD(o, ID);
    KIND(RECOGNITION)
    KIND(CLASSIFICATION)
    KIND(GENERATION)
    KIND(OTHER)
#undef KIND
    return m->kind;
}

bool report_is_f1(const cfb_report_task *t) { return t->summary.metric != NULL && strncmp(t->summary.metric, "f1", 2) == 0; }

uint64_t report_n_failed(const cfb_report *r) {
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_tasks; i++) n += r->tasks[i].summary.n_state[CFB_ROW_FAILED];
    return n;
}

#define BIT(c) (1u << REPORT_COL_##c)

unsigned report_columns(const cfb_report *r) {
    unsigned mask = BIT(TASK) | BIT(METRIC) | BIT(ROWS) | BIT(ANSWERED) | BIT(FAILED) | BIT(SCORE) | BIT(SCORE_ANSWERED);
    for (size_t i = 0; i < r->n_tasks; i++) {
        const cfb_score_summary *s = &r->tasks[i].summary;
        if (s->n_state[CFB_ROW_OK] != s->n_answered) mask |= BIT(OK);
        if (s->n_state[CFB_ROW_EMPTY]) mask |= BIT(EMPTY);
        if (s->n_state[CFB_ROW_TRUNCATED]) mask |= BIT(TRUNCATED);
        if (s->n_state[CFB_ROW_FILTERED]) mask |= BIT(FILTERED);
        if (r->tasks[i].interval.method) mask |= BIT(INTERVAL);
        if (report_is_f1(&r->tasks[i])) mask |= BIT(PRECISION) | BIT(RECALL);
    }
    return mask;
}

static cfb_str digits(uint64_t n, char scratch[48]) {
    int len = snprintf(scratch, 48, "%" PRIu64, n);
    return (cfb_str){scratch, len > 0 ? (size_t)len : 0};
}

static cfb_str state_cell(const uint64_t *n_state, report_column c, char scratch[48]) {
    switch (c) {
    case REPORT_COL_OK: return digits(n_state[CFB_ROW_OK], scratch);
    case REPORT_COL_EMPTY: return digits(n_state[CFB_ROW_EMPTY], scratch);
    case REPORT_COL_TRUNCATED: return digits(n_state[CFB_ROW_TRUNCATED], scratch);
    case REPORT_COL_FILTERED: return digits(n_state[CFB_ROW_FILTERED], scratch);
    case REPORT_COL_FAILED: return digits(n_state[CFB_ROW_FAILED], scratch);
    default: return CFB_STR_LIT("");
    }
}

cfb_str report_cell(const cfb_report_task *t, report_column c, char scratch[48]) {
    const cfb_score_summary *s = &t->summary;
    switch (c) {
    case REPORT_COL_TASK: return cfb_str_from(t->task ? t->task : "?");
    case REPORT_COL_METRIC: return cfb_str_from(s->metric ? s->metric : "?");
    case REPORT_COL_ROWS: return digits(s->n_rows, scratch);
    case REPORT_COL_ANSWERED: return digits(s->n_answered, scratch);
    case REPORT_COL_SCORE: return report_score(s->mean_all, scratch);
    case REPORT_COL_INTERVAL:
        return t->interval.method ? report_range(t->interval.lo, t->interval.hi, scratch) : CFB_STR_LIT("-");
    case REPORT_COL_SCORE_ANSWERED: return report_score(s->mean_answered, scratch);
    case REPORT_COL_PRECISION: return report_is_f1(t) ? report_score(s->mean_precision, scratch) : CFB_STR_LIT("");
    case REPORT_COL_RECALL: return report_is_f1(t) ? report_score(s->mean_recall, scratch) : CFB_STR_LIT("");
    default: return state_cell(s->n_state, c, scratch);
    }
}

cfb_str report_mean_cell(const report_out *o, const report_mean *m, report_column c, char scratch[48]) {
    switch (c) {
    case REPORT_COL_TASK: return cfb_str_from(report_mean_name(o, m));
    case REPORT_COL_METRIC: {
        int n = snprintf(scratch, 48, m->n_tasks == 1 ? WORD(o, MEAN_OF_TASK) : WORD(o, MEAN_OF_TASKS), m->n_tasks);
        return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
    }
    case REPORT_COL_ROWS: return digits(m->n_rows, scratch);
    case REPORT_COL_ANSWERED: return digits(m->n_answered, scratch);
    case REPORT_COL_SCORE: return report_score(m->all, scratch);
    case REPORT_COL_INTERVAL: return report_range(m->lo, m->hi, scratch);
    case REPORT_COL_SCORE_ANSWERED: return report_score(m->answered, scratch);
    default: return state_cell(m->n_state, c, scratch);
    }
}

void report_unmatchable_note(report_out *o, uint64_t n) {
    if (n == 0) return;
    report_putf(o, n == 1 ? WORD(o, UNMATCHABLE_ONE) : WORD(o, UNMATCHABLE_MANY), n);
}

void report_calibration_note(report_out *o, const cfb_report_calibration *c) {
    if (c == NULL || c->n < 2) return;
    report_putf(o, WORD(o, CALIBRATION), c->lift, c->mismatched, 100 * c->percentile, 100 * c->top1, c->n, 100.0 / (double)c->n);
}

cfb_str report_range(double lo, double hi, char scratch[48]) {
    if (isnan(lo) || isnan(hi)) return CFB_STR_LIT("-");
    int n = snprintf(scratch, 48, "%.3f–%.3f", lo, hi);
    return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
}

bool report_is_open(const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    return (double)s->n_state[CFB_ROW_FAILED] > CFB_REPORT_MAX_GAP * (double)s->n_rows;
}

void report_open_note(report_out *o, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    report_putf(o, WORD(o, NO_REPLY), s->n_state[CFB_ROW_FAILED], s->n_rows);
    if (t->interval.method) report_putf(o, WORD(o, SCORE_BETWEEN), s->mean_all, t->interval.best);
    report_put(o, WORD(o, NOT_TO_BE_QUOTED));
}

void report_interval_note(report_out *o, const cfb_report *r) {
    if (r->confidence > 0 && report_columns(r) & BIT(INTERVAL)) report_putf(o, WORD(o, INTERVAL_NOTE), 100 * r->confidence);
}

/* Empty outputs are results, and yet they decide the score where there are many: of a weak model, or of calls that failed and
 * were written as empty, which a file of outputs does not tell apart. */
static bool has_many_empty(const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    return s->n_answered > 0 && (double)s->n_state[CFB_ROW_EMPTY] > CFB_REPORT_MAX_GAP * (double)s->n_rows;
}

bool report_has_note(const cfb_report_task *t, report_note note) {
    switch (note) {
    case REPORT_NOTE_UNMATCHABLE: return t->summary.n_unmatchable > 0;
    case REPORT_NOTE_OPEN: return report_is_open(t);
    case REPORT_NOTE_EMPTY: return has_many_empty(t);
    default: return t->calibration && t->calibration->n >= 2;
    }
}

void report_put_note(report_out *o, const cfb_report_task *t, report_note note) {
    const cfb_score_summary *s = &t->summary;
    switch (note) {
    case REPORT_NOTE_UNMATCHABLE: report_unmatchable_note(o, t->summary.n_unmatchable); break;
    case REPORT_NOTE_OPEN: report_open_note(o, t); break;
    case REPORT_NOTE_EMPTY: report_putf(o, WORD(o, MANY_EMPTY), s->n_state[CFB_ROW_EMPTY], s->n_rows, s->mean_answered); break;
    default: report_calibration_note(o, t->calibration);
    }
}
