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
    size_t max_tokens;
    int n_threads;
    char name[256], hash[65];
    cfb_encoder_work work;
};

/* 1_Pooling/config.json: CLS or MEAN; EUNSUPPORTED for anything else. */
CFB_MUST_CHECK cfb_code embed_pooling_parse(const char *name, cfb_str json, cfb_pooling *out, cfb_err *err);

#endif
