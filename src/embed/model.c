/* model.c - config.json, and the names and shapes of BERT's tensors. */
#include "embed/model.h"
#include "cfbench/base.h"
#include "cfbench/json.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NAME 160
#define MAX_NAMED 4 /* tensors that a message names */

/* ---- config.json ---- */

static cfb_code read_size(const cfb_json *root, const char *key, size_t max, size_t *out, cfb_err *err) {
    int64_t v = 0;
    if (!cfb_json_int(cfb_json_get(root, key), &v) || v < 1 || v > (int64_t)max)
        return cfb_err_set(err, CFB_EDATA, "\"%s\" is no whole number from 1 to %zu", key, max);
    *out = (size_t)v;
    return CFB_OK;
}

/* A text that may be missing, but if it is there must be one of two. */
static cfb_code check_text(const cfb_json *root, const char *key, const char *known, cfb_err *err) {
    const cfb_json *node = cfb_json_get(root, key);
    cfb_str s = cfb_json_str(node);
    if (node == NULL || cfb_str_eqz(s, known)) return CFB_OK;
    return cfb_err_set(err, CFB_EUNSUPPORTED, "\"%s\" is \"%.*s\"; only \"%s\" is supported", key, CFB_STR_ARG(s), known);
}

static cfb_code read_config(const cfb_json *root, embed_config *c, cfb_err *err) {
    double eps = 1e-12;
    cfb_code rc = CFB_OK;
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT) return cfb_err_set(err, CFB_EDATA, "not a JSON object");
    if (cfb_json_get(root, "model_type") == NULL) return cfb_err_set(err, CFB_EDATA, "\"model_type\" is missing");
    rc = check_text(root, "model_type", "bert", err);
    if (rc == CFB_OK) rc = check_text(root, "hidden_act", "gelu", err);
    if (rc == CFB_OK) rc = check_text(root, "position_embedding_type", "absolute", err);
    if (rc == CFB_OK) rc = read_size(root, "hidden_size", 65536, &c->hidden, err);
    if (rc == CFB_OK) rc = read_size(root, "num_hidden_layers", 1000, &c->layers, err);
    if (rc == CFB_OK) rc = read_size(root, "num_attention_heads", 1024, &c->heads, err);
    if (rc == CFB_OK) rc = read_size(root, "intermediate_size", 1 << 20, &c->intermediate, err);
    if (rc == CFB_OK) rc = read_size(root, "vocab_size", 1 << 22, &c->vocab, err);
    if (rc == CFB_OK) rc = read_size(root, "max_position_embeddings", 65536, &c->positions, err);
    if (rc == CFB_OK) rc = read_size(root, "type_vocab_size", 1024, &c->types, err);
    if (rc != CFB_OK) return rc;
    if (c->hidden % c->heads != 0)
        return cfb_err_set(err, CFB_EDATA, "\"hidden_size\" %zu is no multiple of \"num_attention_heads\" %zu", c->hidden,
                           c->heads);
    (void)cfb_json_num(cfb_json_get(root, "layer_norm_eps"), &eps);
    if (!(eps > 0 && eps < 1)) return cfb_err_set(err, CFB_EDATA, "\"layer_norm_eps\" is not between 0 and 1");
    c->layer_norm_eps = (float)eps;
    return CFB_OK;
}

cfb_code embed_config_parse(const char *name, cfb_str json, embed_config *out, cfb_err *err) {
    cfb_json *root = NULL;
    *out = (embed_config){0};
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    if (rc == CFB_OK) rc = read_config(root, out, err);
    cfb_json_free(root);
    return rc == CFB_OK ? CFB_OK : cfb_err_add_context(err, "%s", name);
}

/* ---- tensors ---- */

struct binder {
    embed_model *m;
    const char *prefix; /* "" or "bert." */
    char missing[360];
    size_t n_missing, len;
    cfb_code code; /* of the first wrong shape or type */
    cfb_err *err;
};

static void note_missing(struct binder *b, const char *name) {
    if (b->n_missing++ < MAX_NAMED)
        b->len += (size_t)snprintf(b->missing + b->len, sizeof b->missing - b->len, "%s%.80s", b->len ? ", " : "", name);
}

/* columns 0: a vector. */
static const embed_tensor *take(struct binder *b, const char *name, const char *old, size_t rows, size_t columns) {
    char full[MAX_NAME], want_text[128], have_text[128];
    size_t want[2] = {rows, columns}, n_dims = columns ? 2 : 1;
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    embed_tensor *t = embed_tensors_find(&b->m->tensors, full);
    if (t == NULL && old != NULL) {
        char other[MAX_NAME];
        snprintf(other, sizeof other, "%s%s", b->prefix, old);
        t = embed_tensors_find(&b->m->tensors, other);
    }
    if (t == NULL) {
        note_missing(b, full);
        return NULL;
    }
    t->used = true;
    if (b->code != CFB_OK) return t;
    if (t->n_dims != n_dims || t->dims[0] != want[0] || (columns && t->dims[1] != want[1]))
        b->code = cfb_err_set(b->err, CFB_EDATA, "tensor '%s' has the shape %s; config.json asks for %s", full,
                              embed_shape_text(t->dims, t->n_dims, have_text), embed_shape_text(want, n_dims, want_text));
    else if (t->dtype == EMBED_OTHER)
        b->code = cfb_err_set(b->err, CFB_EUNSUPPORTED, "tensor '%s' is not F32, F16 or BF16", full);
    return t;
}

static void take_layer(struct binder *b, size_t i) {
    static const struct {
        const char *name, *old;
        char rows, columns;
    } weights[] = {
#define EMBED_X(NAME, name, old, rows, columns) {name, old, #rows[0], #columns[0]},
        EMBED_LAYER_MAP(EMBED_X)
#undef EMBED_X
    };
    const embed_config *c = &b->m->config;
    for (size_t k = 0; k < EMBED_N_WEIGHTS; k++) {
        char name[MAX_NAME - 8], old[MAX_NAME - 8];
        snprintf(name, sizeof name, "encoder.layer.%zu.%s", i, weights[k].name);
        snprintf(old, sizeof old, "encoder.layer.%zu.%s", i, weights[k].old ? weights[k].old : weights[k].name);
        size_t rows = weights[k].rows == 'I' ? c->intermediate : c->hidden;
        size_t columns = weights[k].columns == '0' ? 0 : weights[k].columns == 'I' ? c->intermediate : c->hidden;
        b->m->layers[i].t[k] = take(b, name, old, rows, columns);
    }
}

/* What BERT checkpoints carry beside the encoder. */
static bool is_known_extra(const char *name) {
    static const char *const known[] = {"embeddings.position_ids", "pooler.", "cls."};
    if (strncmp(name, "bert.", 5) == 0) name += 5;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(name, known[i], strlen(known[i])) == 0) return true;
    return false;
}

static cfb_code check_extra(struct binder *b) {
    char names[360] = "";
    size_t n = 0, len = 0;
    for (size_t i = 0; i < b->m->tensors.n; i++) {
        const embed_tensor *t = &b->m->tensors.items[i];
        if (t->used || is_known_extra(t->name.ptr)) continue;
        if (n++ < MAX_NAMED) len += (size_t)snprintf(names + len, sizeof names - len, "%s%.80s", len ? ", " : "", t->name.ptr);
    }
    if (n == 0) return CFB_OK;
    return cfb_err_set(b->err, CFB_EDATA, "%zu tensors are unknown to config.json's model: %s%s", n, names,
                       n > MAX_NAMED ? ", ..." : "");
}

static cfb_code copy_small(embed_model *m, const embed_tensor *norm_w, const embed_tensor *norm_b, cfb_err *err) {
    size_t h = m->config.hidden;
    m->norm_w = malloc(3 * h * sizeof *m->norm_w);
    if (m->norm_w == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (weights)");
    m->norm_b = m->norm_w + h;
    m->type0 = m->norm_b + h;
    embed_tensor_read(norm_w, 0, h, m->norm_w);
    embed_tensor_read(norm_b, 0, h, m->norm_b);
    embed_tensor_read(m->types, 0, h, m->type0);
    m->direct = true;
    for (size_t i = 0; i < m->config.layers; i++)
        for (size_t k = 0; k < EMBED_N_WEIGHTS; k++) {
            const embed_tensor *t = m->layers[i].t[k];
            m->direct = m->direct && t->dtype == EMBED_F32 && (uintptr_t)t->data % sizeof(float) == 0;
            if (i == 0) m->layer_items += (t->n_items + 15) / 16 * 16;
        }
    return CFB_OK;
}

cfb_code embed_model_bind(embed_model *m, cfb_err *err) {
    const embed_config *c = &m->config;
    struct binder b = {.m = m, .prefix = "", .err = err};
    if (embed_tensors_find(&m->tensors, "bert.embeddings.word_embeddings.weight")) b.prefix = "bert.";
    m->layers = calloc(c->layers, sizeof *m->layers);
    if (m->layers == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (weights)");
    m->words = take(&b, "embeddings.word_embeddings.weight", NULL, c->vocab, c->hidden);
    m->positions = take(&b, "embeddings.position_embeddings.weight", NULL, c->positions, c->hidden);
    m->types = take(&b, "embeddings.token_type_embeddings.weight", NULL, c->types, c->hidden);
    const embed_tensor *w = take(&b, "embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma", c->hidden, 0);
    const embed_tensor *bias = take(&b, "embeddings.LayerNorm.bias", "embeddings.LayerNorm.beta", c->hidden, 0);
    for (size_t i = 0; i < c->layers; i++) take_layer(&b, i);
    if (b.code != CFB_OK) return b.code;
    if (b.n_missing)
        return cfb_err_set(err, CFB_EDATA, "%zu tensors are missing: %s%s", b.n_missing, b.missing,
                           b.n_missing > MAX_NAMED ? ", ..." : "");
    cfb_code rc = check_extra(&b);
    return rc == CFB_OK ? copy_small(m, w, bias, err) : rc;
}

cfb_code embed_model_open(const char *dir, embed_model **out, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT((size_t)2 << 20);
    char path[PATH_MAX];
    embed_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (m == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (model)");
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "config.json", err);
    if (rc == CFB_OK) rc = cfb_file_read(path, (size_t)1 << 20, &text, err);
    if (rc == CFB_OK) rc = embed_config_parse(path, cfb_buf_str(&text), &m->config, err);
    cfb_buf_free(&text);
    if (rc == CFB_OK) rc = embed_tensors_open(&m->tensors, dir, err);
    if (rc == CFB_OK && (rc = embed_model_bind(m, err)) != CFB_OK) cfb_err_add_context(err, "%s", dir);
    if (rc == CFB_OK)
        *out = m;
    else
        embed_model_free(m);
    return rc;
}

void embed_model_free(embed_model *m) {
    if (m == NULL) return;
    embed_tensors_free(&m->tensors);
    free(m->layers);
    free(m->norm_w);
    free(m);
}

void embed_model_layer(const embed_model *m, size_t layer, bool only_vectors, float *scratch,
                       const float *weights[EMBED_N_WEIGHTS]) {
    for (size_t k = 0; k < EMBED_N_WEIGHTS; k++) {
        const embed_tensor *t = m->layers[layer].t[k];
        if (only_vectors && t->n_dims != 1) continue;
        if (m->direct) {
            weights[k] = (const float *)(const void *)t->data;
            continue;
        }
        embed_tensor_read(t, 0, t->n_items, scratch);
        embed_tensor_release(t);
        weights[k] = scratch;
        scratch += (t->n_items + 15) / 16 * 16;
    }
}
