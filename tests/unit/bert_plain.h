/* bert_plain.h - BERT's encoder written down once more, in plain loops and binary64, with a reader of its own for the files that
 * bert_model.h writes. */
#ifndef CFB_TESTS_BERT_PLAIN_H
#define CFB_TESTS_BERT_PLAIN_H

#include "cfbench/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct plain_bert {
    cfb_buf file, config;
    cfb_json *head, *shape;
    const char *data;
    size_t h, layers, heads, wide;
} plain_bert;

static inline size_t plain_int(const cfb_json *o, const char *key) {
    int64_t v = 0;
    (void)cfb_json_int(cfb_json_get(o, key), &v);
    return (size_t)v;
}

static inline plain_bert *plain_open(const char *dir) {
    plain_bert *p = calloc(1, sizeof *p);
    char path[200];
    if (p == NULL) return NULL;
    p->file = p->config = CFB_BUF_INIT(0);
    snprintf(path, sizeof path, "%.150s/model.safetensors", dir);
    if (cfb_file_read(path, (size_t)1 << 32, &p->file, NULL) != CFB_OK) return NULL;
    snprintf(path, sizeof path, "%.150s/config.json", dir);
    if (cfb_file_read(path, 1 << 20, &p->config, NULL) != CFB_OK) return NULL;
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)p->file.ptr[i];
    if (cfb_json_parse(p->file.ptr + 8, (size_t)n, 0, &p->head, NULL) != CFB_OK) return NULL;
    if (cfb_json_parse(p->config.ptr, p->config.len, 0, &p->shape, NULL) != CFB_OK) return NULL;
    p->data = p->file.ptr + 8 + n;
    p->h = plain_int(p->shape, "hidden_size");
    p->layers = plain_int(p->shape, "num_hidden_layers");
    p->heads = plain_int(p->shape, "num_attention_heads");
    p->wide = plain_int(p->shape, "intermediate_size");
    return p;
}

static inline void plain_close(plain_bert *p) {
    cfb_json_free(p->head);
    cfb_json_free(p->shape);
    cfb_buf_free(&p->file);
    cfb_buf_free(&p->config);
    free(p);
}

/* Items from first on of a tensor, in binary64; freed by the caller. layer < 0: not of a layer. */
static inline double *plain_get(const plain_bert *p, int layer, const char *name, size_t first, size_t n) {
    char full[200];
    double *out = malloc(n * sizeof *out);
    for (int k = 0; k < 2 && out; k++) {
        if (layer < 0)
            snprintf(full, sizeof full, "%s%s", k ? "bert." : "", name);
        else
            snprintf(full, sizeof full, "%sencoder.layer.%d.%s", k ? "bert." : "", layer, name);
        const cfb_json *t = cfb_json_get(p->head, full);
        if (t == NULL) continue;
        int64_t begin = 0;
        (void)cfb_json_int(cfb_json_first(cfb_json_get(t, "data_offsets")), &begin);
        const char *dtype = cfb_json_str(cfb_json_get(t, "dtype")).ptr;
        for (size_t i = 0; i < n; i++) {
            const char *at = p->data + begin + (first + i) * (dtype[0] == 'F' && dtype[1] == '3' ? 4 : 2);
            if (dtype[1] == '3') {
                float f;
                memcpy(&f, at, 4);
                out[i] = (double)f;
                continue;
            }
            uint16_t h;
            memcpy(&h, at, 2);
            int bits = dtype[0] == 'B' ? 7 : 10, exponent = h >> bits & (dtype[0] == 'B' ? 255 : 31),
                bias = dtype[0] == 'B' ? 127 : 15;
            double mantissa = (double)(h & ((1 << bits) - 1)) / (double)(1 << bits);
            out[i] = (h & 0x8000 ? -1 : 1) * (exponent ? ldexp(1 + mantissa, exponent - bias) : ldexp(mantissa, 1 - bias));
        }
        return out;
    }
    free(out);
    return NULL;
}

/* y (n, rows) = x (n, columns) w^T + b */
static inline void plain_linear(const plain_bert *p, int layer, const char *name, const double *x, size_t n, size_t rows,
                                size_t columns, double *y) {
    char full[120];
    snprintf(full, sizeof full, "%s.weight", name);
    double *w = plain_get(p, layer, full, 0, rows * columns);
    snprintf(full, sizeof full, "%s.bias", name);
    double *b = plain_get(p, layer, full, 0, rows);
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rows; r++) {
            double s = b[r];
            for (size_t k = 0; k < columns; k++) s += x[i * columns + k] * w[r * columns + k];
            y[i * rows + r] = s;
        }
    free(w);
    free(b);
}

static inline void plain_norm(const plain_bert *p, int layer, const char *name, double *x, size_t n) {
    char full[120];
    snprintf(full, sizeof full, "%s.weight", name);
    double *w = plain_get(p, layer, full, 0, p->h);
    snprintf(full, sizeof full, "%s.bias", name);
    double *b = plain_get(p, layer, full, 0, p->h);
    for (size_t i = 0; i < n; i++) {
        double mean = 0, var = 0, *row = x + i * p->h;
        for (size_t k = 0; k < p->h; k++) mean += row[k];
        mean /= (double)p->h;
        for (size_t k = 0; k < p->h; k++) var += (row[k] - mean) * (row[k] - mean);
        var /= (double)p->h;
        for (size_t k = 0; k < p->h; k++) row[k] = (row[k] - mean) / sqrt(var + 1e-12) * w[k] + b[k];
    }
    free(w);
    free(b);
}

static inline void plain_attention(const plain_bert *p, const double *q, const double *k, const double *v, size_t n,
                                   double *out) {
    size_t d = p->h / p->heads;
    double *s = malloc(n * sizeof *s);
    for (size_t head = 0; head < p->heads; head++)
        for (size_t i = 0; i < n; i++) {
            double top = -INFINITY, total = 0;
            for (size_t j = 0; j < n; j++) {
                s[j] = 0;
                for (size_t c = head * d; c < (head + 1) * d; c++) s[j] += q[i * p->h + c] * k[j * p->h + c];
                s[j] /= sqrt((double)d);
                if (s[j] > top) top = s[j];
            }
            for (size_t j = 0; j < n; j++) total += s[j] = exp(s[j] - top);
            for (size_t c = head * d; c < (head + 1) * d; c++) {
                double sum = 0;
                for (size_t j = 0; j < n; j++) sum += s[j] / total * v[j * p->h + c];
                out[i * p->h + c] = sum;
            }
        }
    free(s);
}

/* The normalised vector of a text's ids in out (h). */
static inline int plain_embed(const plain_bert *p, const uint32_t *ids, size_t n, int mean, double *out) {
    size_t h = p->h;
    double *x = calloc(n * h, sizeof *x), *q = malloc(n * h * sizeof *q), *k = malloc(n * h * sizeof *k),
           *v = malloc(n * h * sizeof *v);
    double *a = malloc(n * h * sizeof *a), *f = malloc(n * p->wide * sizeof *f);
    if (!x || !q || !k || !v || !a || !f) return 0;
    for (size_t i = 0; i < n; i++) {
        double *rows[] = {plain_get(p, -1, "embeddings.word_embeddings.weight", ids[i] * h, h),
                          plain_get(p, -1, "embeddings.position_embeddings.weight", i * h, h),
                          plain_get(p, -1, "embeddings.token_type_embeddings.weight", 0, h)};
        for (size_t r = 0; r < 3; r++) {
            for (size_t c = 0; c < h; c++) x[i * h + c] += rows[r][c];
            free(rows[r]);
        }
    }
    plain_norm(p, -1, "embeddings.LayerNorm", x, n);
    for (int l = 0; l < (int)p->layers; l++) {
        plain_linear(p, l, "attention.self.query", x, n, h, h, q);
        plain_linear(p, l, "attention.self.key", x, n, h, h, k);
        plain_linear(p, l, "attention.self.value", x, n, h, h, v);
        plain_attention(p, q, k, v, n, a);
        plain_linear(p, l, "attention.output.dense", a, n, h, h, q);
        for (size_t i = 0; i < n * h; i++) x[i] += q[i];
        plain_norm(p, l, "attention.output.LayerNorm", x, n);
        plain_linear(p, l, "intermediate.dense", x, n, p->wide, h, f);
        for (size_t i = 0; i < n * p->wide; i++) f[i] = f[i] * 0.5 * erfc(-f[i] * 0.70710678118654752440);
        plain_linear(p, l, "output.dense", f, n, h, p->wide, q);
        for (size_t i = 0; i < n * h; i++) x[i] += q[i];
        plain_norm(p, l, "output.LayerNorm", x, n);
    }
    double norm = 0;
    for (size_t c = 0; c < h; c++) {
        out[c] = x[c];
        for (size_t i = 1; mean && i < n; i++) out[c] += x[i * h + c];
        if (mean) out[c] /= (double)n;
        norm += out[c] * out[c];
    }
    for (size_t c = 0; c < h; c++) out[c] /= sqrt(norm);
    free(x);
    free(q);
    free(k);
    free(v);
    free(a);
    free(f);
    return 1;
}

#endif
