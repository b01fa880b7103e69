/* bertscore.c - token by token similarities of two texts. */
#include "cfbench/base.h"
#include "embed/encoder.h"

#include "base/blas.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIRS 64 /* pairs whose hidden states are held at a time */

size_t cfb_bertscore_layer(const cfb_encoder_t *e) { return (2 * e->model->config.layers + 1) / 3; }

/* States of the texts of some pairs: text i's rows from i * max_tokens on; references at even, candidates at odd places. */
typedef struct tokens {
    cfb_encoder_t *e;
    size_t dim;
    float *states;  /* (2 PAIRS, max_tokens, dim), each row of length 1 */
    size_t *n_rows; /* (2 PAIRS) */
    float *scores;  /* (threads, max_tokens^2) */
    cfb_bertscore *out;
} tokens;

static cfb_code take(void *ctx, size_t i, const float *rows, size_t n_rows) {
    tokens *t = ctx;
    float *to = t->states + i * t->e->max_tokens * t->dim;
    t->n_rows[i] = n_rows;
    for (size_t r = 0; r < n_rows; r++) {
        const float *row = rows + r * t->dim;
        double lane[8] = {0};
        for (size_t k = 0; k < t->dim; k++) lane[k % 8] += (double)row[k] * (double)row[k];
        double norm = sqrt(((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7])));
        if (!isfinite(norm) || norm == 0) return CFB_EDOMAIN;
        for (size_t k = 0; k < t->dim; k++) to[r * t->dim + k] = (float)(row[k] / norm);
    }
    return CFB_OK;
}

static float highest(const float *s, size_t n, size_t step) {
    float top = s[0];
    for (size_t i = 1; i < n; i++) top = s[i * step] > top ? s[i * step] : top;
    return top;
}

/* Mean over the n lines of s, but for [CLS] and [SEP], of the highest of each. */
static double mean_of_highest(const float *s, size_t n, size_t step, size_t others, size_t other_step, size_t last) {
    double sum = 0;
    for (size_t i = 1; i < n - last; i++) sum += (double)highest(s + i * step, others, other_step);
    return n > 1 + last ? sum / (double)(n - 1 - last) : 0;
}

static void score_pair(void *ctx, size_t pair, int worker) {
    const tokens *t = ctx;
    size_t max = t->e->max_tokens, n = t->n_rows[2 * pair], m = t->n_rows[2 * pair + 1];
    size_t last = t->e->cut == CFB_WORDPIECE_KEEP_SEP ? 1 : 0;
    const float *reference = t->states + 2 * pair * max * t->dim, *candidate = reference + max * t->dim;
    float *s = t->scores + (size_t)worker * max * max;
    cfb_bertscore *out = &t->out[pair];
    *out = (cfb_bertscore){0, 0, 0};
    if (n <= 1 + last || m <= 1 + last) return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n, (blasint)m, (blasint)t->dim, 1.0f, reference,
                (blasint)t->dim, candidate, (blasint)t->dim, 0.0f, s, (blasint)m);
    out->recall = mean_of_highest(s, n, m, m, 1, last);
    out->precision = mean_of_highest(s, m, 1, n, m, last);
    double sum = out->precision + out->recall;
    out->f1 = sum != 0 ? 2 * out->precision * out->recall / sum : 0;
}

static cfb_code score_some(tokens *t, size_t layer, const cfb_str *references, const cfb_str *candidates, size_t n, size_t *bad,
                           cfb_err *err) {
    cfb_str texts[2 * PAIRS];
    size_t index = 0;
    for (size_t i = 0; i < n; i++) {
        texts[2 * i] = references[i];
        texts[2 * i + 1] = candidates[i];
    }
    cfb_code rc = embed_states(t->e, texts, 2 * n, layer, false, take, t, &index, err);
    *bad = index / 2;
    if (rc != CFB_OK) return rc;
    cfb_blas_enter();
    bool alone = strcmp(cfb_blas_threading(), "serial") == 0;
    cfb_par_blocks(n, alone ? 1 : t->e->n_threads, score_pair, t);
    cfb_blas_leave();
    return CFB_OK;
}

cfb_code cfb_bertscore_pairs(cfb_encoder_t *e, size_t layer, const cfb_str *references, const cfb_str *candidates, size_t n,
                             cfb_bertscore *out, cfb_err *err) {
    tokens t = {.e = e, .dim = cfb_encoder_dim(e), .out = out};
    size_t some = n < PAIRS ? n : PAIRS, max = e->max_tokens, bad = 0;
    if (layer > e->model->config.layers)
        return cfb_err_set(err, CFB_EDOMAIN, "BERTScore after layer %zu; the model has %zu", layer, e->model->config.layers);
    if (n == 0) return CFB_OK;
    t.states = malloc(2 * some * max * t.dim * sizeof *t.states);
    t.n_rows = malloc(2 * some * sizeof *t.n_rows);
    t.scores = malloc((size_t)e->n_threads * max * max * sizeof *t.scores);
    cfb_code rc = t.states && t.n_rows && t.scores ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (BERTScore)");
    for (size_t at = 0; rc == CFB_OK && at < n; at += some) {
        t.out = out + at;
        rc = score_some(&t, layer, references + at, candidates + at, n - at < some ? n - at : some, &bad, err);
        if (rc != CFB_OK && err) err->offset = at + bad;
    }
    free(t.states);
    free(t.n_rows);
    free(t.scores);
    return rc;
}

/* ---- baselines ---- */

/* "8,0.58,0.58,0.58" */
static bool read_line(const char *line, size_t layer, cfb_bertscore *out, bool *is_layer) {
    char *end;
    double v[4];
    for (size_t i = 0; i < 4; i++) {
        v[i] = strtod(line, &end);
        if (end == line || (i < 3 && *end != ',')) return false;
        line = end + 1;
    }
    *is_layer = v[0] == (double)layer;
    *out = (cfb_bertscore){v[1], v[2], v[3]};
    return true;
}

cfb_code cfb_bertscore_baseline(const char *path, size_t layer, cfb_bertscore *out, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT((size_t)2 << 20);
    cfb_code rc = cfb_file_read(path, (size_t)1 << 20, &text, err);
    bool found = false;
    if (rc == CFB_OK) rc = cfb_buf_append_char(&text, '\0', err);
    for (const char *p = rc == CFB_OK ? text.ptr : NULL; p != NULL && !found;) {
        bool is_layer = false;
        found = read_line(p, layer, out, &is_layer) && is_layer;
        p = strchr(p, '\n');
        if (p) p++;
    }
    cfb_buf_free(&text);
    if (rc != CFB_OK) return rc;
    if (!found) return cfb_err_set(err, CFB_EDATA, "%s has no line for layer %zu (LAYER,P,R,F)", path, layer);
    if (!(out->precision < 1 && out->recall < 1 && out->f1 < 1 && out->precision > -1 && out->recall > -1 && out->f1 > -1))
        return cfb_err_set(err, CFB_EDATA, "%s: baselines of layer %zu are not between -1 and 1", path, layer);
    return CFB_OK;
}

cfb_bertscore cfb_bertscore_rescale(cfb_bertscore x, const cfb_bertscore *b) {
    return (cfb_bertscore){(x.precision - b->precision) / (1 - b->precision), (x.recall - b->recall) / (1 - b->recall),
                           (x.f1 - b->f1) / (1 - b->f1)};
}

void cfb_bertscore_name(const cfb_encoder_t *e, size_t layer, const char *baseline, char *buf, size_t size) {
    const char *precision = strrchr(e->name, ',');
    snprintf(buf, size, "bertscore f1 (%s, sha256 %.12s, layer %zu, %zu tokens%s%s%s%.40s)", e->model_name,
             e->model->tensors.hash, layer, e->max_tokens, e->cut == CFB_WORDPIECE_CUT ? " cut" : "", precision ? precision : "",
             baseline ? ", rescaled by " : "", baseline ? baseline : "");
}
