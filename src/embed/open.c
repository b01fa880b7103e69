/* open.c - a model folder to an encoder: tokeniser, pooling, names. */
#include "base/blas.h"
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "embed/encoder.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the tokeniser ---- */

static cfb_code read_small(const char *path, size_t max, cfb_buf *text, cfb_err *err) {
    *text = CFB_BUF_INIT(max + ((size_t)1 << 20));
    return cfb_file_read(path, max, text, err);
}

/* The switches of a tokenizer_config.json; where it is missing, or says nothing, BERT's own. */
static cfb_code read_switches(const char *dir, cfb_wordpiece_opts *o, cfb_err *err) {
    char path[PATH_MAX];
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_json *root = NULL;
    bool cjk = true;
    *o = (cfb_wordpiece_opts)CFB_WORDPIECE_OPTS_INIT;
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "tokenizer_config.json", err);
    if (rc != CFB_OK || !cfb_path_exists(path)) return rc;
    rc = read_small(path, (size_t)4 << 20, &text, err);
    if (rc == CFB_OK && (rc = cfb_json_parse(text.ptr, text.len, 0, &root, err)) != CFB_OK) cfb_err_add_context(err, "%s", path);
    (void)cfb_json_bool(cfb_json_get(root, "do_lower_case"), &o->lower);
    o->strip_accents = o->lower;
    (void)cfb_json_bool(cfb_json_get(root, "strip_accents"), &o->strip_accents);
    (void)cfb_json_bool(cfb_json_get(root, "tokenize_chinese_chars"), &cjk);
    o->split_cjk = cjk ? CFB_WORDPIECE_CJK_ALL : CFB_WORDPIECE_CJK_NONE;
    cfb_json_free(root);
    cfb_buf_free(&text);
    return rc;
}

static bool is_json(const char *path) {
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

static cfb_code find_vocab(const char *dir, const cfb_encoder_opts *o, char path[PATH_MAX], cfb_err *err) {
    static const char *const names[] = {"tokenizer.json", "vocab.txt"};
    if (o->vocab) return cfb_path_join(path, PATH_MAX, ".", o->vocab, err);
    for (size_t i = 0; i < 2; i++) {
        cfb_code rc = cfb_path_join(path, PATH_MAX, dir, names[i], err);
        if (rc != CFB_OK || cfb_path_exists(path)) return rc;
    }
    return cfb_err_set(err, CFB_ENOTFOUND, "%s has neither tokenizer.json nor vocab.txt; name a vocabulary with --vocab", dir);
}

/* hash: of the file and of the switches that a vocab.txt does not hold. */
static cfb_code open_tokens(cfb_encoder_t *e, const char *dir, const cfb_encoder_opts *o, char hash[65], cfb_err *err) {
    char path[PATH_MAX], switches[80] = "";
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_wordpiece_opts s = CFB_WORDPIECE_OPTS_INIT;
    cfb_code rc = find_vocab(dir, o, path, err);
    if (rc == CFB_OK) rc = read_small(path, CFB_WORDPIECE_MAX_FILE, &text, err);
    if (rc == CFB_OK && is_json(path)) {
        rc = cfb_wordpiece_from_json(path, cfb_buf_str(&text), &e->tokens, err);
    } else if (rc == CFB_OK) {
        rc = read_switches(dir, &s, err);
        if (o->switches) s = *o->switches;
        if (rc == CFB_OK) rc = cfb_wordpiece_from_vocab(path, cfb_buf_str(&text), &s, &e->tokens, err);
    }
    if (rc == CFB_OK) {
        const cfb_wordpiece_opts *w = cfb_wordpiece_switches(e->tokens);
        snprintf(switches, sizeof switches, "%d %d %d %d %d %zu", w->clean, (int)w->split_cjk, w->lower, w->strip_accents,
                 (int)w->rules, w->max_word_chars);
        const cfb_str parts[] = {cfb_buf_str(&text), cfb_str_from(switches)};
        cfb_sha256_parts_hex(parts, 2, hash);
        if (cfb_wordpiece_size(e->tokens) > e->model->config.vocab)
            rc = cfb_err_set(err, CFB_EDATA, "%s has %zu tokens, but the model's \"vocab_size\" is %zu", path,
                             cfb_wordpiece_size(e->tokens), e->model->config.vocab);
    }
    cfb_buf_free(&text);
    return rc;
}

/* ---- pooling ---- */

cfb_code embed_pooling_parse(const char *name, cfb_str json, cfb_pooling *out, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    size_t n_on = 0;
    *out = CFB_POOL_AUTO;
    for (const cfb_json *node = cfb_json_first(root); rc == CFB_OK && node != NULL; node = cfb_json_next(node)) {
        bool on = false;
        cfb_str key = cfb_json_key(node);
        if (key.len < 13 || memcmp(key.ptr, "pooling_mode_", 13) != 0 || !cfb_json_bool(node, &on) || !on) continue;
        n_on++;
        if (cfb_str_eqz(key, "pooling_mode_cls_token")) *out = CFB_POOL_CLS;
        if (cfb_str_eqz(key, "pooling_mode_mean_tokens")) *out = CFB_POOL_MEAN;
    }
    if (rc == CFB_OK && (n_on != 1 || *out == CFB_POOL_AUTO))
        rc = cfb_err_set(err, CFB_EUNSUPPORTED, "pooling must be either pooling_mode_cls_token or pooling_mode_mean_tokens");
    cfb_json_free(root);
    return rc == CFB_OK ? CFB_OK : cfb_err_add_context(err, "%s", name);
}

static cfb_code find_pooling(const char *dir, cfb_pooling wanted, cfb_pooling *out, cfb_err *err) {
    char path[PATH_MAX];
    cfb_buf text = CFB_BUF_INIT(0);
    *out = wanted == CFB_POOL_AUTO ? CFB_POOL_CLS : wanted;
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "1_Pooling/config.json", err);
    if (rc != CFB_OK || wanted != CFB_POOL_AUTO || !cfb_path_exists(path)) return rc;
    rc = read_small(path, (size_t)1 << 16, &text, err);
    if (rc == CFB_OK) rc = embed_pooling_parse(path, cfb_buf_str(&text), out, err);
    cfb_buf_free(&text);
    return rc;
}

/* ---- names ---- */

static const char *precision(const cfb_encoder_t *e) {
    bool half = e->precision == CFB_PRECISION_BF16;
    switch (e->model->words->dtype) {
    case EMBED_F16: return half ? "bf16 of fp16 weights" : "fp32 of fp16 weights";
    case EMBED_BF16: return half ? "bf16 of bf16 weights" : "fp32 of bf16 weights";
    default: return half ? "bf16" : "fp32";
    }
}

/* The folder's name; a snapshot of Hugging Face's cache lies in .../models--ORG--NAME/snapshots/REVISION. */
static void model_name(const char *dir, char *buf, size_t size) {
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && dir[begin - 1] != '/') begin--;
    const char *cached = strstr(dir, "models--"), *tail = cached ? strstr(cached, "/snapshots/") : NULL;
    if (tail != NULL) {
        for (const char *p = cached; (p = strstr(p, "--")) != NULL && p < tail; p += 2) begin = (size_t)(p + 2 - dir);
        end = (size_t)(tail - dir);
    }
    snprintf(buf, size, "%.*s", (int)(end - begin < 100 ? end - begin : 100), dir + begin);
}

static void set_names(cfb_encoder_t *e, const char *dir, const char *token_hash) {
    char *model = e->model_name, how[160];
    const embed_config *c = &e->model->config;
    model_name(dir, model, sizeof e->model_name);
    const char *pooling = e->pooling == CFB_POOL_CLS ? "cls" : "mean", *cut = e->cut == CFB_WORDPIECE_CUT ? " cut" : "";
    snprintf(e->name, sizeof e->name, "%s, sha256 %.12s, %s, %zu tokens%s, %s", model, e->model->tensors.hash, pooling,
             e->max_tokens, cut, precision(e));
    snprintf(how, sizeof how, "%s %zu%s, heads %zu, layers %zu, eps %a%s", pooling, e->max_tokens, cut, c->heads, c->layers,
             (double)c->layer_norm_eps, e->precision == CFB_PRECISION_BF16 ? ", bf16 with attention" : "");
    const cfb_str parts[] = {cfb_str_from(e->model->tensors.hash), cfb_str_from(token_hash), cfb_str_from(how)};
    cfb_sha256_parts_hex(parts, 3, e->hash);
}

/* ---- the whole ---- */

static cfb_code check_folder(const char *dir, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "config.json", err);
    if (rc != CFB_OK || cfb_path_exists(path)) return rc;
    return cfb_err_set(
        err, CFB_ENOTFOUND,
        "%s: no embedding model is there (no config.json); scripts/get-bge.sh fetches one, --embed-model names its folder, "
        "and --metric tf needs none",
        dir);
}

cfb_code cfb_encoder_open(const char *dir, const cfb_encoder_opts *opts, cfb_encoder_t **out, cfb_err *err) {
    const cfb_encoder_opts defaults = CFB_ENCODER_OPTS_INIT;
    char token_hash[65] = "";
    *out = NULL;
    if (opts == NULL) opts = &defaults;
    cfb_code rc = check_folder(dir, err);
    if (rc != CFB_OK) return rc;
    cfb_encoder_t *e = calloc(1, sizeof *e);
    if (e == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (encoder)");
    e->cut = opts->cut;
    e->precision = opts->precision;
    e->n_threads = opts->n_threads > 0 ? opts->n_threads : cfb_cpu_count();
    rc = embed_model_open(dir, &e->model, err);
    if (rc == CFB_OK) {
        size_t most = e->model->config.positions < CFB_ENCODER_MAX_TOKENS ? e->model->config.positions : CFB_ENCODER_MAX_TOKENS;
        e->max_tokens = opts->max_tokens ? opts->max_tokens : most;
        if (e->max_tokens < 2 || e->max_tokens > most)
            rc = cfb_err_set(err, CFB_EDOMAIN, "%s: texts of %zu tokens; the model takes 2 to %zu", dir, e->max_tokens, most);
    }
    if (rc == CFB_OK) rc = open_tokens(e, dir, opts, token_hash, err);
    if (rc == CFB_OK) rc = find_pooling(dir, opts->pooling, &e->pooling, err);
    if (rc == CFB_OK) rc = cfb_blas_open(err);
    if (rc == CFB_OK) rc = embed_pass_new(e->model, e->n_threads, e->precision == CFB_PRECISION_BF16, &e->pass, err);
    if (rc != CFB_OK) {
        cfb_encoder_free(e);
        return rc;
    }
    set_names(e, dir, token_hash);
    if (e->precision == CFB_PRECISION_BF16)
        cfb_log(CFB_LOG_INFO, "encoder %s; oneDNN, %d threads, rows aligned to %zu", e->name, e->n_threads,
                embed_pass_align(e->pass));
    else
        cfb_log(CFB_LOG_INFO, "encoder %s; OpenBLAS %s (%s), %d threads, rows aligned to %zu", e->name, cfb_blas_threading(),
                cfb_blas_core(), e->n_threads, embed_pass_align(e->pass));
    *out = e;
    return CFB_OK;
}

void cfb_encoder_free(cfb_encoder_t *e) {
    if (e == NULL) return;
    embed_pass_free(e->pass);
    cfb_wordpiece_free(e->tokens);
    embed_model_free(e->model);
    free(e);
}

size_t cfb_encoder_dim(const cfb_encoder_t *e) { return e->model->config.hidden; }
size_t cfb_encoder_layers(const cfb_encoder_t *e) { return e->model->config.layers; }
const char *cfb_encoder_name(const cfb_encoder_t *e) { return e->name; }
const char *cfb_encoder_hash(const cfb_encoder_t *e) { return e->hash; }
const cfb_wordpiece_t *cfb_encoder_tokenizer(const cfb_encoder_t *e) { return e->tokens; }
cfb_encoder_work cfb_encoder_work_done(const cfb_encoder_t *e) { return e->work; }
