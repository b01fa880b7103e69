/* overlap.c - the metrics that compare two texts token by token: ROUGE, BLEU, chrF, edit similarity, exact match, lengths. */
#include "metrics/scratch.h"

#include <math.h>

static double ratio(uint64_t a, uint64_t b) { return b ? (double)a / (double)b : 0.0; }

static cfb_prf prf(uint64_t match, uint64_t n_reference, uint64_t n_output) {
    double p = ratio(match, n_output), r = ratio(match, n_reference);
    return (cfb_prf){p, r, p + r > 0.0 ? 2.0 * p * r / (p + r) : 0.0};
}

cfb_code cfb_metric_exact(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, double *out, cfb_err *err) {
    (void)s;
    if (cfb_text_count_valid(response) == SIZE_MAX || cfb_text_count_valid(output) == SIZE_MAX)
        return cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8");
    *out = cfb_str_eq(cfb_text_strip(response), cfb_text_strip(output)) ? 1.0 : 0.0;
    return CFB_OK;
}

cfb_code cfb_metric_rouge_n(cfb_metric_scratch_t *s, unsigned n, cfb_str response, cfb_str output, cfb_prf *out, cfb_err *err) {
    uint64_t match[8];
    if (n < 1 || n > 8) return cfb_err_set(err, CFB_EDOMAIN, "ROUGE-%u: the order is 1 to 8", n);
    cfb_code rc = metric_read(s, TOKENS_ROUGE, response, output, err);
    if (rc != CFB_OK) return rc;
    rc = metric_count_matches(s, n, match, err);
    *out = prf(match[n - 1], metric_n_grams(s->text[REFERENCE].n_symbols, n), metric_n_grams(s->text[OUTPUT].n_symbols, n));
    metric_done(s);
    return rc;
}

cfb_code cfb_metric_rouge_l(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_prf *out, cfb_err *err) {
    cfb_code rc = metric_read(s, TOKENS_ROUGE, response, output, err);
    if (rc != CFB_OK) return rc;
    uint64_t length = 0;
    rc = metric_lcs(s, &length, err);
    *out = prf(length, s->text[REFERENCE].n_symbols, s->text[OUTPUT].n_symbols);
    metric_done(s);
    return rc;
}

cfb_code cfb_metric_bleu(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_bleu_counts *out, cfb_err *err) {
    cfb_code rc = metric_read(s, TOKENS_ZH, response, output, err);
    if (rc != CFB_OK) return rc;
    rc = metric_count_matches(s, CFB_BLEU_ORDER, out->match, err);
    out->reference_len = s->text[REFERENCE].n_symbols;
    out->output_len = s->text[OUTPUT].n_symbols;
    for (unsigned n = 1; n <= CFB_BLEU_ORDER; n++) out->total[n - 1] = metric_n_grams(s->text[OUTPUT].n_symbols, n);
    metric_done(s);
    return rc;
}

double cfb_bleu_score(const cfb_bleu_counts *c, bool effective_order) {
    uint64_t any = 0;
    for (int n = 0; n < CFB_BLEU_ORDER; n++) any |= c->match[n];
    if (any == 0 || c->output_len == 0) return 0.0;
    double sum = 0.0, smooth = 1.0;
    int n = 0;
    for (; n < CFB_BLEU_ORDER && c->total[n] > 0; n++) {
        double hits = (double)c->match[n];
        if (c->match[n] == 0) hits = 1.0 / (smooth *= 2.0);
        sum += log(hits / (double)c->total[n]);
    }
    if (n < CFB_BLEU_ORDER && !effective_order) return 0.0;
    double brevity = c->output_len < c->reference_len ? 1.0 - (double)c->reference_len / (double)c->output_len : 0.0;
    double score = exp(brevity + sum / n);
    return score < 1.0 ? score : 1.0;
}

cfb_code cfb_metric_chrf(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_chrf_counts *out, cfb_err *err) {
    cfb_code rc = metric_read(s, TOKENS_VISIBLE, response, output, err);
    if (rc != CFB_OK) return rc;
    rc = metric_count_matches(s, CFB_CHRF_ORDER, out->match, err);
    for (unsigned n = 1; n <= CFB_CHRF_ORDER; n++) {
        out->reference[n - 1] = metric_n_grams(s->text[REFERENCE].n_symbols, n);
        out->output[n - 1] = metric_n_grams(s->text[OUTPUT].n_symbols, n);
    }
    metric_done(s);
    return rc;
}

double cfb_chrf_score(const cfb_chrf_counts *c) {
    double p = 0.0, r = 0.0;
    int orders = 0;
    for (int n = 0; n < CFB_CHRF_ORDER; n++) {
        if (c->output[n] == 0 || c->reference[n] == 0) continue;
        p += (double)c->match[n] / (double)c->output[n];
        r += (double)c->match[n] / (double)c->reference[n];
        orders++;
    }
    if (p + r <= 0.0) return 0.0;
    p /= orders;
    r /= orders;
    double score = 5.0 * p * r / (4.0 * p + r);
    return score < 1.0 ? score : 1.0;
}

cfb_code cfb_metric_edit(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, double *out, uint64_t *distance,
                         cfb_err *err) {
    cfb_code rc = metric_read(s, TOKENS_CHARS, response, output, err);
    if (rc != CFB_OK) return rc;
    uint64_t d = 0;
    rc = metric_levenshtein(s, &d, err);
    size_t n = s->text[REFERENCE].n_symbols, m = s->text[OUTPUT].n_symbols, longer = n > m ? n : m;
    if (rc == CFB_OK) *out = longer ? 1.0 - (double)d / (double)longer : 1.0;
    if (rc == CFB_OK && distance) *distance = d;
    metric_done(s);
    return rc;
}

cfb_code cfb_metric_lengths(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_lengths *out, cfb_err *err) {
    cfb_code rc = metric_read(s, TOKENS_ROUGE, response, output, err);
    if (rc != CFB_OK) return rc;
    const metric_text *r = &s->text[REFERENCE], *o = &s->text[OUTPUT];
    *out = (cfb_lengths){1, r->n_chars, o->n_chars, r->n_symbols, o->n_symbols};
    metric_done(s);
    return CFB_OK;
}

void cfb_lengths_add(cfb_lengths *to, const cfb_lengths *from) {
    to->n_rows += from->n_rows;
    to->response_chars += from->response_chars;
    to->output_chars += from->output_chars;
    to->response_tokens += from->response_tokens;
    to->output_tokens += from->output_tokens;
}

static double length_ratio(uint64_t output, uint64_t reference) {
    if (reference == 0) return output == 0 ? 1.0 : (double)NAN;
    return (double)output / (double)reference;
}
double cfb_lengths_char_ratio(const cfb_lengths *l) { return length_ratio(l->output_chars, l->response_chars); }
double cfb_lengths_token_ratio(const cfb_lengths *l) { return length_ratio(l->output_tokens, l->response_tokens); }
