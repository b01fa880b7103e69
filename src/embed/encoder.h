/* encoder.h - an open encoder. Private to embed. */
#ifndef CFB_EMBED_ENCODER_H
#define CFB_EMBED_ENCODER_H

#include "cfbench/embed.h"
#include "embed/forward.h"

struct cfb_encoder {
    embed_model *model;
    embed_pass *pass;
    cfb_wordpiece_t *tokens;
    cfb_wordpiece_cut cut;
    cfb_pooling pooling;
    cfb_precision precision;
    size_t max_tokens;
    int n_threads;
    char name[256], hash[65], model_name[104];
    cfb_encoder_work work;
};

/* Runs n different texts through the first `layers` layers (0: the embeddings alone). take(ctx, i, rows, n_rows) is called once
 * for each text, from any thread, with its hidden states (n_rows, hidden), one row for each token, or with only_first (and all
 * layers) that of the first token. What it returns other than CFB_OK ends the work. Errors: as cfb_encoder_embed; *index: the
 * text that an error is about. */
typedef cfb_code (*embed_take_fn)(void *ctx, size_t i, const float *rows, size_t n_rows);
CFB_MUST_CHECK cfb_code embed_states(cfb_encoder_t *e, const cfb_str *texts, size_t n, size_t layers, bool only_first,
                                     embed_take_fn take, void *ctx, size_t *index, cfb_err *err);

/* 1_Pooling/config.json: CLS or MEAN; EUNSUPPORTED for anything else. */
CFB_MUST_CHECK cfb_code embed_pooling_parse(const char *name, cfb_str json, cfb_pooling *out, cfb_err *err);

#endif
