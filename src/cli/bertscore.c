/* bertscore.c - the metric bertscore: its model, layer and baseline. */
#include "cfbench/text.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    cfb_encoder_t *encoder;
    size_t layer;
    bool rescaled;
    cfb_bertscore baseline;
    char name[400];
} bert;

void cfb_cli_bertscore_close(void) {
    cfb_encoder_free(bert.encoder);
    bert.encoder = NULL;
}

static cfb_code open_baseline(const char *path, char hash[65], cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT((size_t)2 << 20);
    cfb_code rc = cfb_bertscore_baseline(path, bert.layer, &bert.baseline, err);
    if (rc == CFB_OK) rc = cfb_file_read(path, (size_t)1 << 20, &text, err);
    if (rc == CFB_OK) cfb_sha256_hex(text.ptr, text.len, hash);
    cfb_buf_free(&text);
    return rc;
}

static cfb_code open_model(const cfb_config *c, cfb_err *err) {
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    char hash[65] = "", baseline[32];
    if (c->bert_model == NULL)
        return cfb_err_set(
            err, CFB_ECONFIG,
            "no model for bertscore: name its folder with --bert-model (such as bert-base-chinese with config.json, "
            "model.safetensors and vocab.txt from huggingface.co), or choose --metric tf, which needs none");
    o.n_threads = (int)c->threads;
    o.pooling = CFB_POOL_CLS; /* not used */
    o.precision = cfb_cli_precision(c);
    cfb_code rc = cfb_encoder_open(c->bert_model, &o, &bert.encoder, err);
    if (rc != CFB_OK) return rc;
    size_t layers = cfb_encoder_layers(bert.encoder);
    bert.layer = c->bert_layer < 0 ? cfb_bertscore_layer(bert.encoder) : (size_t)c->bert_layer;
    bert.rescaled = c->bert_baseline != NULL;
    if (bert.layer > layers)
        rc = cfb_err_set(err, CFB_ECONFIG, "--bert-layer %zu: the model in %s has %zu layers", bert.layer, c->bert_model, layers);
    if (rc == CFB_OK && bert.rescaled) rc = open_baseline(c->bert_baseline, hash, err);
    if (rc != CFB_OK) {
        cfb_cli_bertscore_close();
        return rc;
    }
    snprintf(baseline, sizeof baseline, "sha256 %.12s", hash);
    cfb_bertscore_name(bert.encoder, bert.layer, bert.rescaled ? baseline : NULL, bert.name, sizeof bert.name);
    return CFB_OK;
}

static cfb_code score_some(const cfb_score_row_in *rows, size_t n, cfb_str *texts, size_t *at, cfb_bertscore *found,
                           double *scores, cfb_err *err) {
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) {
        scores[i] = 0;
        if (cfb_text_count_valid(rows[i].response) == SIZE_MAX || cfb_text_count_valid(rows[i].output) == SIZE_MAX) {
            cfb_err_set(err, CFB_EENCODING, "reference or output is not valid UTF-8");
            if (err) err->offset = i;
            return CFB_EENCODING;
        }
        if (rows[i].state == CFB_ROW_FAILED || rows[i].response.len == 0 || rows[i].output.len == 0) continue;
        texts[n_found] = rows[i].response;
        texts[n + n_found] = rows[i].output;
        at[n_found++] = i;
    }
    cfb_code rc = cfb_bertscore_pairs(bert.encoder, bert.layer, texts, texts + n, n_found, found, err);
    if (rc != CFB_OK && err && n_found) err->offset = at[err->offset < n_found ? err->offset : 0];
    for (size_t i = 0; rc == CFB_OK && i < n_found;
         i++) /* a text without tokens keeps its 0; the authors' program rescales that too */
        scores[at[i]] = bert.rescaled && found[i].f1 != 0 ? cfb_bertscore_rescale(found[i], &bert.baseline).f1 : found[i].f1;
    return rc;
}

static cfb_code score_pairs(void *ctx, const cfb_score_row_in *rows, size_t n, double *scores, cfb_err *err) {
    size_t m = n ? n : 1;
    cfb_str *texts = malloc(m * 2 * sizeof *texts);
    size_t *at = malloc(m * sizeof *at);
    cfb_bertscore *found = malloc(m * sizeof *found);
    cfb_code rc = texts && at && found ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (BERTScore)");
    (void)ctx;
    cfb_cli_embed_lock();
    if (rc == CFB_OK) rc = score_some(rows, n, texts, at, found, scores, err);
    cfb_cli_embed_unlock();
    free(texts);
    free(at);
    free(found);
    return rc;
}

cfb_code cfb_cli_bertscore_pairs(const cfb_config *c, cfb_score_pairs *out, cfb_err *err) {
    cfb_code rc = bert.encoder ? CFB_OK : open_model(c, err);
    if (rc == CFB_OK) *out = (cfb_score_pairs){score_pairs, NULL, bert.name};
    return rc;
}
