/* table.c - the table of metrics: name, what it suits, how a row is scored, how the task's score comes about. */
#include "metrics/scratch.h"

#include <math.h>

_Static_assert(CFB_METRIC_N_COUNTS >= 2 + 2 * CFB_BLEU_ORDER && CFB_METRIC_N_COUNTS >= 3 * CFB_CHRF_ORDER, "room for all counts");

/* ---- adaptors: one row each ---- */

static void take_lengths(const cfb_metric_scratch_t *s, cfb_metric_row *out) {
    out->response_chars = s->text[REFERENCE].n_chars;
    out->output_chars = s->text[OUTPUT].n_chars;
}

static void count_lengths(cfb_str response, cfb_str output, cfb_metric_row *out) { /* of valid texts */
    out->response_chars = cfb_utf8_count(response);
    out->output_chars = cfb_utf8_count(output);
}

static cfb_code row_tf(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    cfb_tf_counts c;
    *out = (cfb_metric_row){0};
    cfb_code rc = s->tf ? CFB_OK : cfb_tf_scratch_new(&s->tf, err);
    if (rc == CFB_OK) rc = cfb_tf_count(s->tf, response, output, &c, err);
    if (rc != CFB_OK) return rc;
    out->score = cfb_cosine_from_counts(c.dot, c.aa, c.bb);
    out->response_chars = c.response_chars;
    out->output_chars = c.output_chars;
    return CFB_OK;
}

static cfb_code row_exact(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_exact(s, response, output, &out->score, err);
    if (rc == CFB_OK) count_lengths(response, output, out);
    return rc;
}

static cfb_code row_accuracy(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    (void)s;
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_accuracy(response, output, &out->score, &out->reference_unmatchable, err);
    if (rc == CFB_OK) count_lengths(response, output, out);
    return rc;
}

static cfb_code row_rouge_n(cfb_metric_scratch_t *s, unsigned n, cfb_str response, cfb_str output, cfb_metric_row *out,
                            cfb_err *err) {
    cfb_prf score = {0};
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_rouge_n(s, n, response, output, &score, err);
    if (rc != CFB_OK) return rc;
    take_lengths(s, out);
    out->score = score.f;
    return CFB_OK;
}
static cfb_code row_rouge1(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    return row_rouge_n(s, 1, response, output, out, err);
}
static cfb_code row_rouge2(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    return row_rouge_n(s, 2, response, output, out, err);
}

static cfb_code row_rougeL(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    cfb_prf score = {0};
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_rouge_l(s, response, output, &score, err);
    if (rc != CFB_OK) return rc;
    take_lengths(s, out);
    out->score = score.f;
    return CFB_OK;
}

static cfb_code row_bleu(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    cfb_bleu_counts c;
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_bleu(s, response, output, &c, err);
    if (rc != CFB_OK) return rc;
    take_lengths(s, out);
    out->counts[0] = c.output_len;
    out->counts[1] = c.reference_len;
    memcpy(out->counts + 2, c.match, sizeof c.match);
    memcpy(out->counts + 2 + CFB_BLEU_ORDER, c.total, sizeof c.total);
    out->score = cfb_bleu_score(&c, true);
    return CFB_OK;
}

static cfb_code row_chrf(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    cfb_chrf_counts c;
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_chrf(s, response, output, &c, err);
    if (rc != CFB_OK) return rc;
    take_lengths(s, out);
    memcpy(out->counts, c.output, sizeof c.output);
    memcpy(out->counts + CFB_CHRF_ORDER, c.reference, sizeof c.reference);
    memcpy(out->counts + 2 * CFB_CHRF_ORDER, c.match, sizeof c.match);
    out->score = cfb_chrf_score(&c);
    return CFB_OK;
}

static cfb_code row_edit(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out, cfb_err *err) {
    *out = (cfb_metric_row){0};
    cfb_code rc = cfb_metric_edit(s, response, output, &out->score, NULL, err);
    if (rc == CFB_OK) take_lengths(s, out);
    return rc;
}

static double finish_bleu(const uint64_t *counts) {
    cfb_bleu_counts c = {.output_len = counts[0], .reference_len = counts[1]};
    memcpy(c.match, counts + 2, sizeof c.match);
    memcpy(c.total, counts + 2 + CFB_BLEU_ORDER, sizeof c.total);
    return cfb_bleu_score(&c, false);
}

static double finish_chrf(const uint64_t *counts) {
    cfb_chrf_counts c;
    memcpy(c.output, counts, sizeof c.output);
    memcpy(c.reference, counts + CFB_CHRF_ORDER, sizeof c.reference);
    memcpy(c.match, counts + 2 * CFB_CHRF_ORDER, sizeof c.match);
    return cfb_chrf_score(&c);
}

/* ---- the table ---- */

#define row_none NULL /* over labels: the scorer's */

static const cfb_metric_info infos[] = {
#define CFB_X(NAME, name, kinds, how, row, full) {name, full, kinds, CFB_METRIC_FROM_##how, row_##row},
    CFB_METRIC_MAP(CFB_X)
#undef CFB_X
};

const cfb_metric_info *cfb_metric_get(cfb_metric metric) { return &infos[metric]; }

void cfb_metric_sums_add(cfb_metric_sums *to, const cfb_metric_row *row) {
    for (int i = 0; i < CFB_METRIC_N_COUNTS; i++) to->counts[i] += row->counts[i];
}

void cfb_metric_sums_merge(cfb_metric_sums *to, const cfb_metric_sums *from) {
    for (int i = 0; i < CFB_METRIC_N_COUNTS; i++) to->counts[i] += from->counts[i];
}

double cfb_metric_finish(cfb_metric metric, const cfb_metric_sums *sums) {
    switch (metric) {
    case CFB_METRIC_BLEU: return finish_bleu(sums->counts);
    case CFB_METRIC_CHRF: return finish_chrf(sums->counts);
    default: return (double)NAN;
    }
}
