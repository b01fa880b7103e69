/* bert_model.h - writes a model folder of any BERT shape with made-up weights: for tests and benchmarks. */
#ifndef CFB_TESTS_BERT_MODEL_H
#define CFB_TESTS_BERT_MODEL_H

#include "cfbench/base.h"
#include "cfbench/json.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct bert_shape {
    size_t hidden, layers, heads, intermediate, vocab, positions;
    const char *dtype;  /* "F32", "F16" or "BF16" */
    const char *prefix; /* "" or "bert." */
    float scale;        /* of weights: uniform in +-scale * sqrt(3) */
} bert_shape;

/* Uniform noise; norms get 1 + noise. */
static inline float bert_value(uint64_t seed, size_t i, float scale, int is_norm) {
    float noise = (float)((cfb_rand_unit(seed, 0, i) - 0.5) * 3.4641016);
    return is_norm ? 1.0f + 0.1f * noise : scale * noise;
}

static inline uint16_t bert_half(float f, int is_bf16) { /* truncates: any value will do */
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (is_bf16) return (uint16_t)(bits >> 16);
    int32_t exponent = (int32_t)(bits >> 23 & 0xFF) - 127 + 15;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    return exponent <= 0 ? sign : (uint16_t)(sign | (uint32_t)exponent << 10 | (bits >> 13 & 0x3FF));
}

typedef struct bert_writer {
    const bert_shape *s;
    FILE *f; /* NULL: only the header is made */
    cfb_jw *w;
    uint64_t at;
    uint64_t seed;
    int failed;
} bert_writer;

static inline void bert_put(bert_writer *b, const char *name, size_t rows, size_t columns) {
    size_t n = rows * (columns ? columns : 1), item = strcmp(b->s->dtype, "F32") == 0 ? 4 : 2;
    int is_norm = strstr(name, "LayerNorm.weight") != NULL;
    uint64_t seed = b->seed++;
    if (b->f == NULL) {
        char full[200];
        snprintf(full, sizeof full, "%s%s", b->s->prefix, name);
        cfb_jw_key(b->w, full);
        cfb_jw_obj(b->w);
        cfb_jw_key(b->w, "dtype");
        cfb_jw_strz(b->w, b->s->dtype);
        cfb_jw_key(b->w, "shape");
        cfb_jw_arr(b->w);
        cfb_jw_int(b->w, (int64_t)rows);
        if (columns) cfb_jw_int(b->w, (int64_t)columns);
        cfb_jw_end_arr(b->w);
        cfb_jw_key(b->w, "data_offsets");
        cfb_jw_arr(b->w);
        cfb_jw_int(b->w, (int64_t)b->at);
        cfb_jw_int(b->w, (int64_t)(b->at += n * item));
        cfb_jw_end_arr(b->w);
        cfb_jw_end_obj(b->w);
        return;
    }
    float block[1024];
    uint16_t half[1024];
    for (size_t i = 0; i < n; i += 1024) {
        size_t m = n - i < 1024 ? n - i : 1024;
        for (size_t k = 0; k < m; k++) {
            block[k] = bert_value(seed, i + k, b->s->scale, is_norm);
            if (item == 2) half[k] = bert_half(block[k], b->s->dtype[0] == 'B');
        }
        if (fwrite(item == 4 ? (const void *)block : half, item, m, b->f) != m) b->failed = 1;
    }
}

static inline void bert_put_all(bert_writer *b) {
    const bert_shape *s = b->s;
    size_t h = s->hidden;
    bert_put(b, "embeddings.word_embeddings.weight", s->vocab, h);
    bert_put(b, "embeddings.position_embeddings.weight", s->positions, h);
    bert_put(b, "embeddings.token_type_embeddings.weight", 2, h);
    bert_put(b, "embeddings.LayerNorm.weight", h, 0);
    bert_put(b, "embeddings.LayerNorm.bias", h, 0);
    for (size_t i = 0; i < s->layers; i++) {
        static const struct {
            const char *name;
            char rows, columns;
        } parts[] = {{"attention.self.query.weight", 'H', 'H'},
                     {"attention.self.query.bias", 'H', 0},
                     {"attention.self.key.weight", 'H', 'H'},
                     {"attention.self.key.bias", 'H', 0},
                     {"attention.self.value.weight", 'H', 'H'},
                     {"attention.self.value.bias", 'H', 0},
                     {"attention.output.dense.weight", 'H', 'H'},
                     {"attention.output.dense.bias", 'H', 0},
                     {"attention.output.LayerNorm.weight", 'H', 0},
                     {"attention.output.LayerNorm.bias", 'H', 0},
                     {"intermediate.dense.weight", 'I', 'H'},
                     {"intermediate.dense.bias", 'I', 0},
                     {"output.dense.weight", 'H', 'I'},
                     {"output.dense.bias", 'H', 0},
                     {"output.LayerNorm.weight", 'H', 0},
                     {"output.LayerNorm.bias", 'H', 0}};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            char name[160];
            snprintf(name, sizeof name, "encoder.layer.%zu.%s", i, parts[k].name);
            bert_put(b, name, parts[k].rows == 'I' ? s->intermediate : h,
                     parts[k].columns == 0     ? 0
                     : parts[k].columns == 'I' ? s->intermediate
                                               : h);
        }
    }
}

static inline FILE *bert_open(const char *dir, const char *name) {
    char path[400];
    snprintf(path, sizeof path, "%.300s/%.80s", dir, name);
    return fopen(path, "wb");
}

/* config.json, model.safetensors, and a vocab.txt of special tokens, ASCII characters, and ideographs from U+4E00 on. */
static inline int bert_write(const char *dir, const bert_shape *s) {
    cfb_buf head = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_jw_init(&w, &head, 0);
    bert_writer b = {.s = s, .w = &w};
    cfb_jw_obj(&w);
    bert_put_all(&b);
    cfb_jw_end_obj(&w);
    if (cfb_jw_finish(&w, NULL) != CFB_OK) return 0;
    while (head.len % 8 != 0)
        if (cfb_buf_append_char(&head, ' ', NULL) != CFB_OK) return 0;
    b.f = bert_open(dir, "model.safetensors");
    if (b.f == NULL) return 0;
    for (int i = 0; i < 8; i++) fputc((int)((uint64_t)head.len >> (8 * i) & 0xFF), b.f);
    fwrite(head.ptr, 1, head.len, b.f);
    b.seed = 0;
    bert_put_all(&b);
    cfb_buf_free(&head);
    if (fclose(b.f) != 0 || b.failed) return 0;
    FILE *f = bert_open(dir, "config.json");
    if (f == NULL) return 0;
    fprintf(f,
            "{\"model_type\":\"bert\",\"hidden_size\":%zu,\"num_hidden_layers\":%zu,\"num_attention_heads\":%zu,\"intermediate_"
            "size\":%zu,"
            "\"vocab_size\":%zu,\"max_position_embeddings\":%zu,\"type_vocab_size\":2,\"hidden_act\":\"gelu\",\"layer_norm_eps\":"
            "1e-12}\n",
            s->hidden, s->layers, s->heads, s->intermediate, s->vocab, s->positions);
    if (fclose(f) != 0) return 0;
    f = bert_open(dir, "vocab.txt");
    if (f == NULL) return 0;
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", f);
    for (size_t i = 5; i < s->vocab; i++) {
        size_t c = i - 5 < 94 ? 0x21 + i - 5 : 0x4E00 + i - 99;
        if (c < 0x80)
            fprintf(f, "%c\n", (int)c);
        else
            fprintf(f, "%c%c%c\n", (int)(0xE0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3F)), (int)(0x80 | (c & 0x3F)));
    }
    return fclose(f) == 0;
}

#endif
