/* embed.h - texts to vectors by an encoder of the BERT family, such as BAAI/bge-large-zh-v1.5, from a model folder as Hugging
 * Face lays it out; the vectors' cosines; and a cache of vectors on disk. docs/embeddings.md says what is computed and how fast.
 */
#ifndef CFBENCH_EMBED_H
#define CFBENCH_EMBED_H

#include "cfbench/wordpiece.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the last hidden states become one vector. AUTO: as the folder's 1_Pooling/config.json says, else CLS. */
typedef enum cfb_pooling { CFB_POOL_AUTO, CFB_POOL_CLS, CFB_POOL_MEAN } cfb_pooling;

/* Of the products with weights; all else is binary32. BF16: weights and their inputs are rounded to bfloat16, sums are binary32;
 * on oneDNN, in programs built with DNNL=1, on processors that have bfloat16 instructions. Never chosen unasked. */
typedef enum cfb_precision { CFB_PRECISION_F32, CFB_PRECISION_BF16 } cfb_precision;

typedef struct cfb_encoder_opts {
    const char *vocab; /* vocab.txt or *.json to use instead of the folder's; NULL: tokenizer.json, else vocab.txt */
    const cfb_wordpiece_opts *switches; /* NULL: the model's own (tokenizer.json; tokenizer_config.json for a vocab.txt) */
    cfb_wordpiece_cut cut;
    cfb_pooling pooling;
    size_t max_tokens; /* [CLS] and [SEP] counted; 0: 512, or fewer if the model has fewer positions */
    int n_threads;     /* 0 = all cores */
    cfb_precision precision;
} cfb_encoder_opts;
#define CFB_ENCODER_OPTS_INIT \
    { NULL, NULL, CFB_WORDPIECE_KEEP_SEP, CFB_POOL_AUTO, 0, 0, CFB_PRECISION_F32 }
#define CFB_ENCODER_MAX_TOKENS 512

typedef struct cfb_encoder cfb_encoder_t;

/* Opens DIR: config.json, model.safetensors or pytorch_model.bin (or the shards of their .index.json; F32, F16 or BF16),
 * tokenizer.json or vocab.txt, 1_Pooling/config.json. Every tensor's shape is checked; binary32 weights are used where they lie in the mapped file,
 * others are unpacked layer by layer. Errors: ENOTFOUND (says how to get a model), EDATA, EUNSUPPORTED, ETRUNCATED, ELIMIT,
 * ECONFIG (a library is missing; BF16 cannot be had), ENOMEM; messages name the file and the tensor. Owns: *out,
 * freed with cfb_encoder_free. */
CFB_MUST_CHECK cfb_code cfb_encoder_open(const char *dir, const cfb_encoder_opts *opts, cfb_encoder_t **out, cfb_err *err);
void cfb_encoder_free(cfb_encoder_t *e);

size_t cfb_encoder_dim(const cfb_encoder_t *e);
size_t cfb_encoder_layers(const cfb_encoder_t *e);
/* What the vectors are of, such as "bge-large-zh-v1.5, sha256 0123456789ab, cls, 512 tokens, fp32": folder's name, first digits
 * of the weights' hash, pooling, truncation ("512 tokens cut" without [SEP]), precision. Borrowed. */
const char *cfb_encoder_name(const cfb_encoder_t *e);
/* SHA-256, 64 hex digits, of all that decides a vector but the text: weights, configuration, tokeniser, pooling, truncation. */
const char *cfb_encoder_hash(const cfb_encoder_t *e);
const cfb_wordpiece_t *cfb_encoder_tokenizer(const cfb_encoder_t *e);

/* Vectors of n texts, L2-normalised: out (n, dim) row-major. A null text counts as empty. Equal texts are computed once; a
 * vector's bits depend on its text only, not on the other texts, their order or the number of threads (on one machine). Errors:
 * EENCODING with err->offset = index of the lowest text that is not UTF-8, ENOMEM, EDOMAIN (a vector that is not finite or is
 * zero). Threads: it uses n_threads itself; one call in the process at a time, since OpenBLAS's number of threads is set to one
 * meanwhile. */
CFB_MUST_CHECK cfb_code cfb_encoder_embed(cfb_encoder_t *e, const cfb_str *texts, size_t n, float *out, cfb_err *err);
/* Texts and tokens that went through the layers so far. */
typedef struct cfb_encoder_work {
    uint64_t texts, tokens, batches;
} cfb_encoder_work;
cfb_encoder_work cfb_encoder_work_done(const cfb_encoder_t *e);

/* ---- cosines ---- */

/* Dot products of rows: out[i] = a[i] . b[i], in binary64 by fixed blocks, clamped to [-1, 1]. For L2-normalised rows that is the
 * cosine. Shapes: a, b (n, dim), out (n). Pure. */
void cfb_embed_cosines(const float *a, const float *b, size_t n, size_t dim, double *out);
/* All of a against all of b, as blocked matrix products: out (na, nb) binary32, not clamped. Uses n_threads (0 = all cores); the
 * result does not depend on them. Errors: CFB_ECONFIG, no BLAS. Threads: as cfb_encoder_embed. */
CFB_MUST_CHECK cfb_code cfb_embed_cross(const float *a, size_t na, const float *b, size_t nb, size_t dim, int n_threads,
                                        float *out, cfb_err *err);

/* How far cosines of true pairs stand out from those of mismatched ones: outputs[i] belongs to references[i]. Over n rows, or
 * over max_rows of them drawn by seed (0 = all). Ties (cosines within 2^-20) count half: a row's percentile is the share of the
 * other references whose cosine with the output is lower, and a row counts 1/k in top1 if k references share the highest cosine
 * and its own is among them. So outputs in a random order give lift 0, percentile 0.5 and top1 1/n on average. */
typedef struct cfb_embed_calibration {
    size_t n;                   /* rows that were looked at; fewer than 2: all below is NaN */
    double matched, mismatched; /* mean cosine of true pairs, and of all others */
    double lift;                /* matched - mismatched */
    double percentile;          /* mean over rows */
    double top1;                /* share of rows whose own reference is the nearest */
} cfb_embed_calibration;
/* Shapes: outputs, references (n, dim), L2-normalised. percentiles (n of the result) may be NULL. Errors: ENOMEM. The same bytes
 * for any n_threads. Threads: as cfb_encoder_embed. */
CFB_MUST_CHECK cfb_code cfb_embed_calibrate(const float *outputs, const float *references, size_t n, size_t dim, size_t max_rows,
                                            uint64_t seed, int n_threads, cfb_embed_calibration *out, double *percentiles,
                                            cfb_err *err);

/* ---- BERTScore ---- */

/* Zhang, Kishore, Wu, Weinberger, Artzi: BERTScore: Evaluating Text Generation with BERT, ICLR 2020, without idf weights. Each
 * token of a text is matched with the most similar one of the other: the cosine of their hidden states after `layer` layers (0:
 * the embeddings). [CLS] and [SEP] can be matched but count for nothing themselves, as in the authors' program. A text without
 * tokens scores 0. */
typedef struct cfb_bertscore {
    double precision, recall, f1; /* over the candidate's tokens, over the reference's, 2PR/(P+R) */
} cfb_bertscore;
/* The layer that suits a model: two thirds of its layers, so 8 of bert-base-chinese's 12. */
size_t cfb_bertscore_layer(const cfb_encoder_t *e);
/* Scores of n pairs. Null texts count as empty; pooling does not matter. A pair's bits depend on its two texts only. Errors:
 * EDOMAIN (the model has fewer layers), EENCODING with err->offset = index of a pair, ENOMEM. Threads: as cfb_encoder_embed. */
CFB_MUST_CHECK cfb_code cfb_bertscore_pairs(cfb_encoder_t *e, size_t layer, const cfb_str *references, const cfb_str *candidates,
                                            size_t n, cfb_bertscore *out, cfb_err *err);
/* The authors' baseline files: lines "LAYER,P,R,F" under a head line. Errors: EDATA (no such line, or a number not below 1),
 * those of reading. */
CFB_MUST_CHECK cfb_code cfb_bertscore_baseline(const char *path, size_t layer, cfb_bertscore *out, cfb_err *err);
/* x -> (x - b) / (1 - b), each of the three by its own baseline. */
cfb_bertscore cfb_bertscore_rescale(cfb_bertscore x, const cfb_bertscore *baseline);
/* "bertscore f1 (bert-base-chinese, sha256 0123456789ab, layer 8, 512 tokens, fp32)" */
void cfb_bertscore_name(const cfb_encoder_t *e, size_t layer, const char *baseline, char *buf, size_t size);

/* ---- the cache ---- */

/* A file of vectors by content: DIR/HASH16.emb, where HASH16 are the first digits of cfb_encoder_hash. Append-only; a record is
 * the SHA-256 of a text, its vector, and a checksum. A record that was cut by a crash is dropped by the next writer; one with a
 * wrong checksum counts as absent. Several processes may use one file: appends are made under a lock, whole records at a time. */
typedef struct cfb_embed_cache cfb_embed_cache_t;
/* Creates DIR and the file where needed. dir NULL: a file without a name in TMPDIR or /tmp, gone with the cache. Errors: EDATA
 * (not such a file, or of another model), EACCESS, EIO, ENOSPACE, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_embed_cache_open(const char *dir, const char *model_hash, size_t dim, cfb_embed_cache_t **out,
                                             cfb_err *err);
void cfb_embed_cache_free(cfb_embed_cache_t *c);
/* Copies the vector of a text; false if it is not there. key: cfb_embed_key. */
bool cfb_embed_cache_get(cfb_embed_cache_t *c, const unsigned char key[32], float *vector);
/* Appends n records and makes them durable. vectors (n, dim). */
CFB_MUST_CHECK cfb_code cfb_embed_cache_put(cfb_embed_cache_t *c, const unsigned char (*keys)[32], const float *vectors, size_t n,
                                            cfb_err *err);
size_t cfb_embed_cache_count(const cfb_embed_cache_t *c);
/* SHA-256 of a text; a null text counts as empty. */
void cfb_embed_key(cfb_str text, unsigned char key[32]);

/* The same for vectors from elsewhere: embed(ctx, ...) makes those of n different texts, *index the text that an error is about.
 */
typedef cfb_code (*cfb_embed_fn)(void *ctx, const cfb_str *texts, size_t n, float *out, size_t *index, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_embed_with(cfb_embed_fn embed, void *ctx, size_t dim, cfb_embed_cache_t *cache, const cfb_str *texts,
                                       size_t n, float *out, cfb_err *err);
/* As cfb_encoder_embed, through a cache (may be NULL): only texts that are not in it are computed, in groups, and each group is
 * appended before the next begins. */
CFB_MUST_CHECK cfb_code cfb_embed_texts(cfb_encoder_t *e, cfb_embed_cache_t *cache, const cfb_str *texts, size_t n, float *out,
                                        cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
