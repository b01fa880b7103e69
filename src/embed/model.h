/* model.h - a BERT encoder: its configuration, and where its weights lie. Private to embed. */
#ifndef CFB_EMBED_MODEL_H
#define CFB_EMBED_MODEL_H

#include "embed/tensors.h"

/* config.json */
typedef struct embed_config {
    size_t hidden, layers, heads, intermediate, vocab, positions, types;
    float layer_norm_eps;
} embed_config;

/* The weights of a layer. X(NAME, name in the file, old name or NULL, rows, columns (0: a vector)) with H hidden, I intermediate.
 */
#define EMBED_LAYER_MAP(X)                                                                 \
    X(Q_W, "attention.self.query.weight", NULL, H, H)                                      \
    X(Q_B, "attention.self.query.bias", NULL, H, 0)                                        \
    X(K_W, "attention.self.key.weight", NULL, H, H)                                        \
    X(K_B, "attention.self.key.bias", NULL, H, 0)                                          \
    X(V_W, "attention.self.value.weight", NULL, H, H)                                      \
    X(V_B, "attention.self.value.bias", NULL, H, 0)                                        \
    X(O_W, "attention.output.dense.weight", NULL, H, H)                                    \
    X(O_B, "attention.output.dense.bias", NULL, H, 0)                                      \
    X(N1_W, "attention.output.LayerNorm.weight", "attention.output.LayerNorm.gamma", H, 0) \
    X(N1_B, "attention.output.LayerNorm.bias", "attention.output.LayerNorm.beta", H, 0)    \
    X(F1_W, "intermediate.dense.weight", NULL, I, H)                                       \
    X(F1_B, "intermediate.dense.bias", NULL, I, 0)                                         \
    X(F2_W, "output.dense.weight", NULL, H, I)                                             \
    X(F2_B, "output.dense.bias", NULL, H, 0)                                               \
    X(N2_W, "output.LayerNorm.weight", "output.LayerNorm.gamma", H, 0)                     \
    X(N2_B, "output.LayerNorm.bias", "output.LayerNorm.beta", H, 0)

typedef enum embed_weight {
#define EMBED_X(NAME, name, old, rows, columns) EMBED_##NAME,
    EMBED_LAYER_MAP(EMBED_X)
#undef EMBED_X
        EMBED_N_WEIGHTS
} embed_weight;

typedef struct embed_layer {
    const embed_tensor *t[EMBED_N_WEIGHTS];
} embed_layer;

typedef struct embed_model {
    embed_config config;
    embed_tensors tensors;
    const embed_tensor *words, *positions, *types;
    float *norm_w, *norm_b, *type0; /* (hidden): of the embeddings; type0 is the row of token type 0 */
    embed_layer *layers;
    bool direct;        /* every layer's weights are aligned binary32 and used where they lie */
    size_t layer_items; /* of one layer, over all weights */
} embed_model;

/* config.json, also as text for tests. Errors: EDATA, EUNSUPPORTED (not BERT, another activation, relative positions). */
CFB_MUST_CHECK cfb_code embed_config_parse(const char *name, cfb_str json, embed_config *out, cfb_err *err);
/* Finds every tensor of the configuration in m->tensors and checks its shape. EDATA names what is wrong, missing or too much. */
CFB_MUST_CHECK cfb_code embed_model_bind(embed_model *m, cfb_err *err);
/* config.json and the tensors of a folder. Owns: *out, freed with embed_model_free. */
CFB_MUST_CHECK cfb_code embed_model_open(const char *dir, embed_model **out, cfb_err *err);
void embed_model_free(embed_model *m);
/* Pointers to the weights of a layer: into the file, or to copies as binary32 in scratch (layer_items). With only_vectors those
 * of matrices are left alone. */
void embed_model_layer(const embed_model *m, size_t layer, bool only_vectors, float *scratch,
                       const float *weights[EMBED_N_WEIGHTS]);

#endif
