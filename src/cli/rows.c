/* Row scores of one task, kept for statistics: the interval of its score, and comparisons. */
#include "cfbench/metrics.h"
#include "cfbench/stats.h"
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>

void cfb_rows_init(cfb_rows_kept *t, size_t max, bool ids) {
    *t = (cfb_rows_kept){.max = max, .with_ids = ids, .binary = true, .ids = CFB_BUF_INIT(SIZE_MAX / 2)};
}

void cfb_rows_free(cfb_rows_kept *t) {
    free(t->rows);
    cfb_buf_free(&t->ids);
    t->rows = NULL;
    t->n = t->cap = 0;
}

/* Rows without an input belong to nobody else. */
static uint64_t cluster_of(cfb_str input, uint64_t row) {
    return input.len ? cfb_hash64(input.ptr, input.len, 1) : cfb_hash64(&row, sizeof row, 2);
}

cfb_code cfb_rows_keep(cfb_rows_kept *t, const cfb_sink_row *r, double score, cfb_err *err) {
    if (t->n >= t->max) return CFB_OK;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 1024;
        cfb_kept_row *more = realloc(t->rows, cap * sizeof *more);
        if (more == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        t->rows = more;
        t->cap = cap;
    }
    size_t at = t->ids.len;
    if (t->with_ids && r->id.len) {
        cfb_code rc = cfb_buf_append(&t->ids, r->id.ptr, r->id.len, err);
        if (rc != CFB_OK) return rc;
    }
    t->rows[t->n++] = (cfb_kept_row){.row = r->row,
                                     .cluster = cluster_of(r->input, r->row),
                                     .reference = cfb_hash64(r->response.ptr, r->response.len, 3),
                                     .score = score,
                                     .id_at = at,
                                     .id_len = t->ids.len - at,
                                     .state = r->state};
    return CFB_OK;
}

cfb_str cfb_rows_id(const cfb_rows_kept *t, size_t i) { return (cfb_str){t->ids.ptr + t->rows[i].id_at, t->rows[i].id_len}; }

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

/* All rows were kept: Wilson's interval for right/wrong rows, else BCa. */
static cfb_code from_rows(const cfb_rows_kept *t, const cfb_stats_opts *o, double *x, uint64_t *cluster, cfb_report_interval *out,
                          cfb_err *err) {
    cfb_stats_summary s;
    cfb_stats_bootstrap b;
    cfb_stats_interval v = {0, 0};
    for (size_t i = 0; i < t->n; i++) cluster[i] = t->rows[i].cluster;
    bool apart = count_clusters(cluster, t->n) == t->n; /* every input once */
    for (size_t i = 0; i < t->n; i++) {
        x[i] = t->rows[i].score;
        cluster[i] = t->rows[i].cluster;
    }
    cfb_code rc = cfb_stats_describe(x, t->n, apart ? NULL : cluster, o->confidence, &s, err);
    if (rc != CFB_OK || s.n_clusters < 2) return rc;
    out->se = s.se;
    out->n_clusters = s.n_clusters;
    if (t->binary && apart) {
        rc = cfb_stats_wilson((uint64_t)(t->sum + 0.5), t->n, o->confidence, &v, err);
        out->method = "wilson";
    } else if (o->n_resamples > 0) {
        rc = cfb_stats_bootstrap_mean(x, t->n, apart ? NULL : cluster, o, &b, err);
        v = b.bca;
        out->method = "bca";
    } else {
        v = s.interval;
        out->method = "t";
    }
    out->lo = fmax(0, v.lo);
    out->hi = fmin(1, v.hi);
    return rc;
}

/* More rows than are kept: Student's t from sums over all rows. */
static void from_sums(const cfb_rows_kept *t, double mean, double confidence, cfb_report_interval *out) {
    double n = (double)t->n_all, off = t->sum / n, variance = (t->squares - n * off * off) / (n - 1);
    out->se = sqrt(fmax(0, variance) / n);
    double half = cfb_stats_t_quantile(0.5 + 0.5 * confidence, n - 1) * out->se;
    out->lo = fmax(0, mean - half); /* scores lie in [0, 1] */
    out->hi = fmin(1, mean + half);
    out->n_clusters = t->n_all;
    out->method = "t";
}

cfb_code cfb_rows_interval(const cfb_rows_kept *t, const cfb_config *c, cfb_metric metric, const cfb_score_summary *s,
                           cfb_report_interval *out, cfb_err *err) {
    cfb_metric_how how = cfb_metric_get(metric)->how;
    *out = (cfb_report_interval){0};
    if (t->n_all < 2 || how == CFB_METRIC_FROM_COUNTS || how == CFB_METRIC_FROM_LABEL_MEAN) return CFB_OK;
    out->z = cfb_stats_normal_quantile(0.5 + 0.5 * c->confidence);
    out->best = s->mean_all + (double)s->n_state[CFB_ROW_FAILED] / (double)s->n_rows;
    if (t->n < t->n_all) {
        from_sums(t, s->mean_all, c->confidence, out);
        return CFB_OK;
    }
    cfb_stats_opts o = cfb_cli_stats_opts(c);
    double *x = malloc(t->n * sizeof *x);
    uint64_t *cluster = malloc(t->n * sizeof *cluster);
    cfb_code rc = x && cluster ? from_rows(t, &o, x, cluster, out, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    free(x);
    free(cluster);
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
