/* embedding.c - the embedding model of the command line: opened once, used by `cfbench embed` and by --metric bge. A folder, or
 * a server (embed_remote.c). */
#include "cfbench/text.h"
#include "cli/cli.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIRS 2048 /* pairs whose vectors are held at a time */

static struct {
    bool is_open;
    cfb_encoder_t *encoder; /* NULL: the vectors come from a server */
    cfb_embed_cache_t *cache;
    size_t dim;
    int n_threads;
    char source[320], name[340], hash[65];
} model;

void cfb_cli_embed_close(void) {
    cfb_cli_bertscore_close();
    cfb_embed_cache_free(model.cache);
    cfb_encoder_free(model.encoder);
    cfb_cli_remote_close();
    model.cache = NULL;
    model.encoder = NULL;
    model.is_open = false;
}

/* --embed-cache, or cfbench/embeddings in XDG_CACHE_HOME or ~/.cache. false: none that lasts. */
static bool cache_folder(const cfb_config *c, char path[PATH_MAX]) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (c->embed_cache) {
        snprintf(path, PATH_MAX, "%s", c->embed_cache);
        return strcmp(c->embed_cache, "off") != 0;
    }
    if (xdg && xdg[0] == '/')
        snprintf(path, PATH_MAX, "%s/cfbench/embeddings", xdg);
    else if (home && home[0] == '/')
        snprintf(path, PATH_MAX, "%s/.cache/cfbench/embeddings", home);
    else
        return false;
    return true;
}

cfb_precision cfb_cli_precision(const cfb_config *c) {
    return c->precision && strcmp(c->precision, "bf16") == 0 ? CFB_PRECISION_BF16 : CFB_PRECISION_F32;
}

static cfb_code open_encoder(const cfb_config *c, char hash[65], cfb_err *err) {
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    if (c->embed_model == NULL)
        return cfb_err_set(
            err, CFB_ECONFIG,
            "no embedding model: name its folder with --embed-model (scripts/get-bge.sh fetches one), or choose --metric tf, "
            "which needs none");
    o.vocab = c->vocab;
    o.n_threads = (int)c->threads;
    if (c->pooling)
        o.pooling = strcmp(c->pooling, "cls") == 0    ? CFB_POOL_CLS
                    : strcmp(c->pooling, "mean") == 0 ? CFB_POOL_MEAN
                                                      : CFB_POOL_AUTO;
    o.precision = cfb_cli_precision(c);
    cfb_code rc = cfb_encoder_open(c->embed_model, &o, &model.encoder, err);
    if (rc != CFB_OK) return rc;
    model.dim = cfb_encoder_dim(model.encoder);
    snprintf(hash, 65, "%s", cfb_encoder_hash(model.encoder));
    snprintf(model.source, sizeof model.source, "%s", cfb_encoder_name(model.encoder));
    return CFB_OK;
}

static cfb_code open_cache(const cfb_config *c, const char *hash, cfb_err *err) {
    char folder[PATH_MAX];
    bool lasts = cache_folder(c, folder);
    cfb_code rc = cfb_embed_cache_open(lasts ? folder : NULL, hash, model.dim, &model.cache, err);
    if (rc != CFB_OK && !lasts) { /* texts that come again are computed again */
        cfb_log(CFB_LOG_INFO, "no embedding cache: %s", err ? err->msg : "");
        rc = CFB_OK;
    }
    return rc == CFB_OK ? rc : cfb_err_add_context(err, "embedding cache (--embed-cache off does without)");
}

cfb_code cfb_cli_embed_open(const cfb_config *c, size_t *dim, cfb_err *err) {
    char hash[65];
    cfb_code rc = CFB_OK;
    if (!model.is_open) {
        model.n_threads = (int)c->threads;
        rc = c->embed_url ? cfb_cli_remote_open(c, &model.dim, model.source, hash, err) : open_encoder(c, hash, err);
        if (rc == CFB_OK) rc = open_cache(c, hash, err);
        if (rc == CFB_OK) memcpy(model.hash, hash, sizeof model.hash);
        if (rc != CFB_OK)
            cfb_cli_embed_close();
        else
            model.is_open = true;
    }
    *dim = model.dim;
    return rc;
}

void cfb_cli_embed_hash(char hash[65]) { memcpy(hash, model.hash, sizeof model.hash); }

cfb_code cfb_cli_embed_texts(const cfb_str *texts, size_t n, float *out, cfb_err *err) {
    if (model.encoder) return cfb_embed_texts(model.encoder, model.cache, texts, n, out, err);
    return cfb_embed_with(cfb_cli_remote_embed, NULL, model.dim, model.cache, texts, n, out, err);
}

const char *cfb_cli_embed_source(cfb_encoder_work *work) {
    *work = model.encoder ? cfb_encoder_work_done(model.encoder) : (cfb_encoder_work){0};
    return model.source;
}

/* ---- the metric bge ---- */

static bool is_blank(cfb_str s) { return s.len == 0 || cfb_text_strip(s).len == 0; }

/* A text with nothing in it has no meaning to compare: 1 if both are empty, 0 if one is. */
static cfb_code score_some(const cfb_score_row_in *rows, size_t n, cfb_str *texts, float *vectors, double *scores, cfb_err *err) {
    size_t dim = model.dim, n_texts = 0;
    for (size_t i = 0; i < n; i++) {
        if (cfb_text_count_valid(rows[i].response) == SIZE_MAX || cfb_text_count_valid(rows[i].output) == SIZE_MAX) {
            cfb_err_set(err, CFB_EENCODING, "reference or output is not valid UTF-8");
            if (err) err->offset = i;
            return CFB_EENCODING;
        }
        bool no_response = is_blank(rows[i].response), no_output = is_blank(rows[i].output);
        scores[i] = no_response && no_output ? 1 : no_response || no_output ? 0 : 2;
        if (scores[i] != 2 || rows[i].state == CFB_ROW_FAILED) continue;
        texts[n_texts++] = rows[i].response;
        texts[n_texts++] = rows[i].output;
    }
    cfb_code rc = cfb_cli_embed_texts(texts, n_texts, vectors, err);
    for (size_t i = 0, at = 0; rc == CFB_OK && i < n; i++) {
        if (scores[i] != 2 || rows[i].state == CFB_ROW_FAILED) continue;
        cfb_embed_cosines(vectors + at * dim, vectors + (at + 1) * dim, 1, dim, &scores[i]);
        at += 2;
    }
    return rc;
}

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void cfb_cli_embed_lock(void) { pthread_mutex_lock(&one_at_a_time); }
void cfb_cli_embed_unlock(void) { pthread_mutex_unlock(&one_at_a_time); }

static cfb_code score_pairs(void *ctx, const cfb_score_row_in *rows, size_t n, double *scores, cfb_err *err) {
    size_t some = n < PAIRS ? n : PAIRS;
    cfb_str *texts = malloc((some ? some : 1) * 2 * sizeof *texts);
    float *vectors = malloc((some ? some : 1) * 2 * model.dim * sizeof *vectors);
    cfb_code rc = texts && vectors ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (embeddings)");
    (void)ctx;
    cfb_cli_embed_lock();
    for (size_t at = 0; rc == CFB_OK && at < n; at += some) {
        size_t m = n - at < some ? n - at : some;
        rc = score_some(rows + at, m, texts, vectors, scores + at, err);
        if (rc == CFB_EENCODING && err) err->offset += at;
    }
    cfb_cli_embed_unlock();
    free(texts);
    free(vectors);
    return rc;
}

/* The rows' vectors are in the cache since they were scored. */
cfb_code cfb_cli_embed_calibrate(void *ctx, const cfb_str *responses, const cfb_str *outputs, size_t n,
                                 cfb_report_calibration *out, double *percentiles, cfb_err *err) {
    size_t dim = model.dim;
    float *vectors = malloc((n ? n : 1) * 2 * dim * sizeof *vectors), *of_outputs = vectors ? vectors + n * dim : NULL;
    cfb_embed_calibration c;
    (void)ctx;
    if (vectors == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (embeddings)");
    cfb_cli_embed_lock();
    cfb_code rc = cfb_cli_embed_texts(responses, n, vectors, err);
    if (rc == CFB_OK) rc = cfb_cli_embed_texts(outputs, n, of_outputs, err);
    if (rc == CFB_OK) rc = cfb_embed_calibrate(of_outputs, vectors, n, dim, 0, 0, model.n_threads, &c, percentiles, err);
    cfb_cli_embed_unlock();
    if (rc == CFB_OK)
        *out = (cfb_report_calibration){.n = c.n,
                                        .matched = c.matched,
                                        .mismatched = c.mismatched,
                                        .lift = c.lift,
                                        .percentile = c.percentile,
                                        .top1 = c.top1};
    free(vectors);
    return rc;
}

cfb_code cfb_cli_embed_pairs(const cfb_config *c, cfb_score_pairs *out, cfb_err *err) {
    size_t dim;
    cfb_code rc = cfb_cli_embed_open(c, &dim, err);
    if (rc != CFB_OK) return rc;
    snprintf(model.name, sizeof model.name, "%s cosine (%s)", c->embed_url ? "embedding" : "bge", model.source);
    *out = (cfb_score_pairs){score_pairs, NULL, model.name};
    return CFB_OK;
}

cfb_code cfb_cli_pairs(const cfb_config *c, cfb_metric metric, cfb_score_pairs *out, cfb_err *err) {
    return metric == CFB_METRIC_BERTSCORE ? cfb_cli_bertscore_pairs(c, out, err) : cfb_cli_embed_pairs(c, out, err);
}
