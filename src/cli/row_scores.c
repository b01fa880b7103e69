/* Row scores of one task, kept for statistics: the interval of its score, and comparisons. */
#include "cfbench/metrics.h"
#include "cfbench/stats.h"
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>

void cfb_row_scores_init(cfb_row_scores *t, bool every) {
    *t = (cfb_row_scores){.max = every ? SIZE_MAX : CFB_ROWS_FOR_INTERVAL, .with_keys = every, .ids = CFB_BUF_INIT(SIZE_MAX / 2)};
}

void cfb_row_scores_free(cfb_row_scores *t) {
    free(t->score);
    free(t->cluster);
    free(t->key);
    cfb_buf_free(&t->ids);
    *t = (cfb_row_scores){0};
}

/* Rows without an input belong to nobody else. */
static uint64_t cluster_of(const cfb_sink_row *r) {
    if (r->same_input) return r->same_input;
    return r->input.len ? cfb_hash64_long(r->input.ptr, r->input.len) : cfb_hash64(&r->row, sizeof r->row, 2);
}

static cfb_code reserve(cfb_row_scores *t, cfb_err *err) {
    size_t cap = t->cap ? t->cap * 2 : 1024;
    double *score = realloc(t->score, cap * sizeof *score);
    if (score) t->score = score;
    uint64_t *cluster = score ? realloc(t->cluster, cap * sizeof *cluster) : NULL;
    if (cluster) t->cluster = cluster;
    cfb_row_key *key = cluster && t->with_keys ? realloc(t->key, cap * sizeof *key) : NULL;
    if (key) t->key = key;
    if (cluster == NULL || (key == NULL && t->with_keys)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    t->cap = cap;
    return CFB_OK;
}

cfb_exact_sum cfb_exact_large(double score) {
    const double most = 0x1p40;
    if (isnan(score)) return 0;
    return (cfb_exact_sum)((score < -most ? -most : score > most ? most : score) * CFB_EXACT_UNITS);
}

cfb_code cfb_row_scores_keep(cfb_row_scores *t, const cfb_sink_row *r, double score, cfb_err *err) {
    if (t->n >= t->max) return CFB_OK;
    cfb_code rc = t->n == t->cap ? reserve(t, err) : CFB_OK;
    size_t at = t->ids.len;
    if (rc == CFB_OK && t->with_keys && r->id.len) rc = cfb_buf_append(&t->ids, r->id.ptr, r->id.len, err);
    if (rc != CFB_OK) return rc;
    t->score[t->n] = score;
    t->cluster[t->n] = cluster_of(r);
    if (t->with_keys)
        t->key[t->n] = (cfb_row_key){r->row, cfb_hash64(r->response.ptr, r->response.len, 3), at, t->ids.len - at, r->state};
    t->n++;
    return CFB_OK;
}

cfb_str cfb_row_scores_id(const cfb_row_scores *t, size_t i) { return (cfb_str){t->ids.ptr + t->key[i].id_at, t->key[i].id_len}; }

/* ---- the interval ---- */

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t count_clusters(uint64_t *sorted, size_t n) {
    size_t clusters = n > 0;
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 1; i < n; i++) clusters += sorted[i] != sorted[i - 1];
    return clusters;
}

/* Does every row have an input of its own? */
static cfb_code all_apart(const uint64_t *cluster, size_t n, bool *out, cfb_err *err) {
    uint64_t *sorted = malloc((n ? n : 1) * sizeof *sorted);
    if (sorted == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (n) memcpy(sorted, cluster, n * sizeof *sorted);
    *out = count_clusters(sorted, n) == n;
    free(sorted);
    return CFB_OK;
}

static bool is_binary(const double *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0 && x[i] != 1) return false;
    return true;
}

/* Scores lie in [0, 1], but cosines of embeddings may be negative. */
static bool is_negative(const double *x, size_t n) {
    const double rounding = 1e-9;
    for (size_t i = 0; i < n; i++)
        if (x[i] < -rounding) return true;
    return false;
}

/* Rows (or clusters) below which resamples know too little of what rows may score: of easy tasks BCa covered as little as 78 %.
 */
#define FEW 50

cfb_code cfb_cli_interval(const double *x, const uint64_t *cluster, size_t n, const cfb_stats_opts *o, cfb_report_interval *out,
                          cfb_err *err) {
    cfb_stats_summary s;
    cfb_stats_bootstrap b;
    cfb_stats_interval v = {0, 0};
    bool apart = false, negative = is_negative(x, n);
    *out = (cfb_report_interval){0};
    cfb_code rc = all_apart(cluster, n, &apart, err);
    if (apart) cluster = NULL;
    if (rc == CFB_OK) rc = cfb_stats_describe(x, n, cluster, o->confidence, &s, err);
    if (rc != CFB_OK || s.n_clusters < 2) return rc;
    out->se = s.se;
    out->n_clusters = s.n_clusters;
    if (apart && is_binary(x, n)) {
        rc = cfb_stats_wilson((uint64_t)(s.mean * (double)n + 0.5), n, o->confidence, &v, err);
        out->method = "wilson";
    } else if ((s.n_clusters < FEW || s.min == s.max) && !negative) { /* resamples of equal scores have no spread */
        rc = cfb_stats_wilson_mean(s.mean, s.n_clusters, o->confidence, &v, err);
        out->method = "wilson";
    } else if (o->n_resamples > 0 && n <= CFB_ROWS_FOR_INTERVAL && s.n_clusters >= FEW) {
        rc = cfb_stats_bootstrap_mean(x, n, cluster, o, &b, err);
        v = b.bca;
        out->method = "bca";
    } else {
        v = s.interval;
        out->method = "t";
    }
    out->lo = fmax(negative ? -1 : 0, v.lo);
    out->hi = fmin(1, v.hi);
    return rc;
}

/* More rows than are kept: Student's t from sums over all rows. */
static void from_sums(const cfb_row_scores *t, double mean, double confidence, cfb_report_interval *out) {
    double n = (double)t->n_all, off = cfb_exact_value(t->sum) / n;
    double variance = (cfb_exact_value(t->squares) - n * off * off) / (n - 1);
    out->se = sqrt(fmax(0, variance) / n);
    double half = cfb_stats_t_quantile(0.5 + 0.5 * confidence, n - 1) * out->se;
    out->lo = fmax(t->negative ? -1 : 0, mean - half);
    out->hi = fmin(1, mean + half);
    out->n_clusters = t->n_all;
    out->method = "t";
    cfb_stats_interval v;
    if (out->se > 0 || t->negative || cfb_stats_wilson_mean(mean, t->n_all, confidence, &v, NULL) != CFB_OK) return;
    out->lo = v.lo;
    out->hi = v.hi;
    out->method = "wilson";
}

cfb_code cfb_row_scores_interval(const cfb_row_scores *t, const cfb_config *c, cfb_metric metric, const cfb_score_summary *s,
                                 cfb_report_interval *out, cfb_err *err) {
    cfb_metric_how how = cfb_metric_get(metric)->how;
    cfb_code rc = CFB_OK;
    *out = (cfb_report_interval){0};
    if (t->n_all < 2 || how == CFB_METRIC_FROM_COUNTS || how == CFB_METRIC_FROM_LABEL_MEAN) return CFB_OK;
    cfb_stats_opts o = cfb_cli_stats_opts(c);
    if (t->n < t->n_all) {
        from_sums(t, s->mean_all, c->confidence, out);
    } else
        rc = cfb_cli_interval(t->score, t->cluster, t->n, &o, out, err);
    out->best = s->mean_all + (double)s->n_state[CFB_ROW_FAILED] / (double)s->n_rows;
    return rc;
}

cfb_stats_opts cfb_cli_stats_opts(const cfb_config *c) {
    cfb_stats_opts o = CFB_STATS_OPTS_INIT;
    o.confidence = c->confidence;
    o.n_resamples = (size_t)c->resamples;
    if (c->resamples > 0) o.n_permutations = (size_t)c->resamples;
    o.seed = (uint64_t)c->seed;
    o.n_threads = (int)c->threads;
    return o;
}
