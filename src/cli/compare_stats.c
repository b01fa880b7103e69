/* The numbers of a comparison, from rows that all runs have. */
#include "cli/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define POWER 0.8
#define MAX_FLIPS 20

static cfb_code no_memory(cfb_err *err) { return cfb_err_set(err, CFB_ENOMEM, "out of memory"); }

/* Memory of a line that all forms need. */
static cfb_code prepare(cfb_compare_line *line, size_t n_runs, cfb_arena_t *arena, double **score, cfb_report_interval **interval,
                        cfb_err *err) {
    size_t n_pairs = n_runs * (n_runs - 1) / 2, k = 0;
    *score = cfb_arena_calloc(arena, n_runs, sizeof **score);
    line->score = *score;
    line->pairs = cfb_arena_calloc(arena, n_pairs, sizeof *line->pairs);
    line->interval = *interval = cfb_arena_calloc(arena, n_runs, sizeof **interval);
    if (line->score == NULL || line->pairs == NULL || line->interval == NULL) return no_memory(err);
    for (size_t a = 0; a < n_runs; a++)
        for (size_t b = a + 1; b < n_runs; b++) line->pairs[k++] = (cfb_compare_pair){.a = a, .b = b};
    return CFB_OK;
}

static double mean_of(const double *x, size_t n) {
    cfb_stats_summary s;
    return cfb_stats_describe(x, n, NULL, 0.95, &s, NULL) == CFB_OK ? s.mean : NAN;
}

/* What could be seen with this spread; n rows gave it. */
static void set_power(cfb_compare_pair *p, double n, double alpha) {
    uint64_t rows;
    p->detectable = p->rows_needed = NAN;
    if (!(p->se > 0)) return;
    if (cfb_stats_min_difference(p->se, 1, alpha, POWER, &p->detectable, NULL) != CFB_OK) p->detectable = NAN;
    if (p->diff != 0 && cfb_stats_rows_needed(p->se * sqrt(n), p->diff, alpha, POWER, &rows, NULL) == CFB_OK)
        p->rows_needed = (double)rows;
}

/* Random patterns cannot show a p below 1 / (patterns + 1), which Holm's factor would lift above any level where many runs are
 * compared. Where none of them was as extreme as the data, the t test says how far below it is. */
static void set_p(const cfb_stats_flip *flip, cfb_compare_pair *p) {
    double by_t = p->se > 0 && p->df > 0 ? cfb_stats_t_two_sided(p->diff / p->se, p->df) : NAN;
    bool beyond = !flip->exact && flip->n_extreme == 0 && by_t < flip->p;
    p->p = beyond ? by_t : flip->p;
    p->test = beyond ? "t" : "permutation";
}

/* That all of these rows differ alike does not mean that all others do. As many of them may differ otherwise, and by as much as
 * scores can, as Wilson's interval of 0 in n allows. */
static void bound_without_spread(double n, double confidence, cfb_compare_pair *p) {
    cfb_stats_interval share;
    if (p->se != 0 || isnan(p->df) || cfb_stats_wilson(0, (uint64_t)n, confidence, &share, NULL) != CFB_OK) return;
    p->lo = fmax(-1, p->diff * (1 - share.hi) - share.hi);
    p->hi = fmin(1, p->diff * (1 - share.hi) + share.hi);
}

static int by_change(const void *a, const void *b) {
    const cfb_compare_flip *x = a, *y = b;
    double dx = fabs(x->score_b - x->score_a), dy = fabs(y->score_b - y->score_a);
    if (dx != dy) return dx > dy ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static cfb_code list_flips(const cli_rows *rows, cfb_compare_pair *p, cfb_arena_t *arena, cfb_err *err) {
    const double *a = rows->score + p->a * rows->n, *b = rows->score + p->b * rows->n;
    size_t n = 0, most = (size_t)(p->better + p->worse);
    if (most == 0) return CFB_OK;
    cfb_compare_flip *all = malloc(most * sizeof *all);
    if (all == NULL) return no_memory(err);
    for (size_t i = 0; i < rows->n && n < most; i++) {
        if (a[i] == b[i]) continue;
        const cfb_row_key *row = &rows->first->key[rows->at[i]];
        all[n++] = (cfb_compare_flip){row->row, cfb_row_scores_id(rows->first, rows->at[i]), a[i], b[i]};
    }
    qsort(all, n, sizeof *all, by_change);
    if (n > MAX_FLIPS) n = MAX_FLIPS;
    cfb_compare_flip *kept = cfb_arena_alloc(arena, (n + 1) * sizeof *kept);
    if (kept != NULL) memcpy(kept, all, n * sizeof *kept);
    free(all);
    p->flips = kept;
    p->n_flips = n;
    return kept ? CFB_OK : no_memory(err);
}

static cfb_code fill_pair(const cli_rows *rows, const cfb_stats_opts *o, cfb_compare_pair *p, cfb_arena_t *arena, cfb_err *err) {
    cfb_stats_comparison c;
    cfb_stats_opts once = *o;
    once.n_resamples = 1; /* the bootstrap of a difference is not shown: see docs/statistics.md */
    /* stats.h takes the first less the second; here the second run is the newer one */
    cfb_code rc = cfb_stats_compare(rows->score + p->b * rows->n, rows->score + p->a * rows->n, rows->n,
                                    rows->apart ? NULL : rows->cluster, &once, &c, err);
    if (rc != CFB_OK) return rc;
    p->diff = c.diff;
    p->lo = c.interval.lo;
    p->hi = c.interval.hi;
    p->se = c.se_diff;
    p->df = c.n_clusters > 1 ? (double)(c.n_clusters - 1) : NAN;
    bound_without_spread((double)c.n_clusters, o->confidence, p);
    set_p(&c.flip, p);
    if (c.binary && rows->apart) {
        p->p = c.mcnemar.p_mid;
        p->test = "mcnemar mid-p";
    }
    p->cohen_d = c.cohen_dz;
    p->delta = c.dominance;
    p->better = c.wins;
    p->same = c.ties;
    p->worse = c.losses;
    set_power(p, (double)rows->n, 1 - o->confidence);
    return list_flips(rows, p, arena, err);
}

static uint64_t count_clusters(const cli_rows *rows) {
    cfb_stats_summary s;
    if (rows->apart) return rows->n;
    return cfb_stats_describe(rows->score, rows->n, rows->cluster, 0.95, &s, NULL) == CFB_OK ? s.n_clusters : rows->n;
}

cfb_code cli_line_of_task(const cli_rows *rows, size_t n_runs, const cfb_stats_opts *o, cfb_arena_t *arena,
                          cfb_compare_line *line, cfb_err *err) {
    double *score;
    cfb_report_interval *interval;
    cfb_code rc = prepare(line, n_runs, arena, &score, &interval, err);
    if (rc != CFB_OK) return rc;
    line->n_rows = rows->n;
    line->n_apart = rows->n_apart;
    line->n_failed = rows->n_failed;
    line->n_clusters = count_clusters(rows);
    for (size_t r = 0; r < n_runs && rc == CFB_OK; r++) {
        score[r] = mean_of(rows->score + r * rows->n, rows->n);
        rc = cfb_cli_interval(rows->score + r * rows->n, rows->cluster, rows->n, o, &interval[r], err);
    }
    for (size_t k = 0; k < n_runs * (n_runs - 1) / 2 && rc == CFB_OK; k++) rc = fill_pair(rows, o, &line->pairs[k], arena, err);
    return rc;
}

/* ---- means over tasks ---- */

/* All rows of the tasks one behind the other. */
typedef struct pooled {
    double *weighted; /* difference times n / (tasks * rows of its task): their mean is the mean over tasks */
    double *centred;  /* the same less its task's mean, times sqrt(m / (m - 1)) for the m clusters of its task: spread within
                         tasks, which is all the chance there is */
    uint64_t *cluster;
    size_t n;
    bool spread_known; /* no task is a single cluster */
} pooled;

static void pool_pair(const cli_rows *const *tasks, const cfb_compare_line *const *lines, size_t n_tasks, cfb_compare_pair *p,
                      const double *diffs, pooled *all) {
    size_t k = 0;
    p->better = p->same = p->worse = 0;
    all->spread_known = true;
    for (size_t t = 0; t < n_tasks; t++) {
        const cli_rows *r = tasks[t];
        const double *a = r->score + p->a * r->n, *b = r->score + p->b * r->n;
        double weight = (double)all->n / ((double)n_tasks * (double)r->n), m = (double)lines[t]->n_clusters;
        double spread = m > 1 ? weight * sqrt(m / (m - 1)) : 0;
        all->spread_known = all->spread_known && m > 1;
        for (size_t i = 0; i < r->n; i++, k++) {
            bool equal = fabs(b[i] - a[i]) <= 1e-12 * fmax(fabs(a[i]), fabs(b[i])); /* as cfb_stats_compare */
            double d = equal ? 0 : b[i] - a[i];
            all->weighted[k] = d * weight;
            all->centred[k] = (d - diffs[t]) * spread;
            all->cluster[k] = r->cluster[i];
            p->better += d > 0;
            p->same += equal;
            p->worse += d < 0;
        }
    }
}

static cfb_code fill_mean(size_t n_tasks, const pooled *all, const cfb_stats_opts *o, cfb_compare_pair *p, uint64_t *n_clusters,
                          cfb_err *err) {
    cfb_stats_summary s;
    cfb_stats_flip flip;
    cfb_code rc = cfb_stats_describe(all->centred, all->n, all->cluster, o->confidence, &s, err);
    if (rc == CFB_OK) rc = cfb_stats_sign_flip(all->weighted, all->n, all->cluster, o, &flip, err);
    if (rc != CFB_OK) return rc;
    double m = (double)s.n_clusters;
    *n_clusters = s.n_clusters;
    p->se = all->spread_known && m > 1 ? s.se * sqrt((m - 1) / m) : NAN; /* each task has a factor of its own */
    p->df = !isnan(p->se) && s.n_clusters > n_tasks ? m - (double)n_tasks : NAN;
    double half = isnan(p->df) ? NAN : cfb_stats_t_quantile(0.5 + 0.5 * o->confidence, p->df) * p->se;
    p->lo = p->diff - half;
    p->hi = p->diff + half;
    set_p(&flip, p);
    p->cohen_d = p->delta = NAN;
    set_power(p, (double)all->n, 1 - o->confidence);
    return CFB_OK;
}

/* Limits of a mean over n tasks from those of the tasks, as report_means does. off: sums of the squared distances. */
static void add_limits(double score, double lo, double hi, double off[2]) {
    off[0] += (score - lo) * (score - lo);
    off[1] += (hi - score) * (hi - score);
}

static void mean_interval(const cfb_compare_line *const *tasks, size_t n_tasks, size_t run, double score,
                          cfb_report_interval *out) {
    double off[2] = {0, 0}, n = (double)n_tasks;
    for (size_t t = 0; t < n_tasks; t++) {
        const cfb_report_interval *v = &tasks[t]->interval[run];
        if (v->method == NULL) return;
        add_limits(tasks[t]->score[run], v->lo, v->hi, off);
    }
    out->lo = score - sqrt(off[0]) / n;
    out->hi = score + sqrt(off[1]) / n;
    out->method = "mover";
}

/* No task has a spread: see bound_without_spread. */
static void bound_mean_without_spread(const cfb_compare_line *const *tasks, size_t n_tasks, size_t pair, cfb_compare_pair *p) {
    double off[2] = {0, 0}, n = (double)n_tasks;
    if (p->se != 0 || isnan(p->df)) return;
    for (size_t t = 0; t < n_tasks; t++) {
        const cfb_compare_pair *q = &tasks[t]->pairs[pair];
        add_limits(q->diff, q->lo, q->hi, off);
    }
    p->lo = p->diff - sqrt(off[0]) / n;
    p->hi = p->diff + sqrt(off[1]) / n;
}

cfb_code cli_line_of_mean(const cli_rows *const *tasks, const cfb_compare_line *const *lines, size_t n_tasks, size_t n_runs,
                          const cfb_stats_opts *o, cfb_arena_t *arena, cfb_compare_line *line, cfb_err *err) {
    double *score, *diffs = malloc(n_tasks * sizeof *diffs);
    cfb_report_interval *interval;
    pooled all = {0};
    cfb_stats_opts once = *o;
    line->n_tasks = n_tasks;
    for (size_t t = 0; t < n_tasks; t++) {
        all.n += tasks[t]->n;
        line->n_apart += tasks[t]->n_apart;
        line->n_failed += tasks[t]->n_failed;
    }
    line->n_rows = all.n;
    once.n_resamples = 1; /* as for a task: --resamples 0 is no error here */
    all.weighted = malloc(all.n * sizeof *all.weighted);
    all.centred = malloc(all.n * sizeof *all.centred);
    all.cluster = malloc(all.n * sizeof *all.cluster);
    cfb_code rc = diffs && all.weighted && all.centred && all.cluster ? CFB_OK : no_memory(err);
    if (rc == CFB_OK) rc = prepare(line, n_runs, arena, &score, &interval, err);
    for (size_t r = 0; r < n_runs && rc == CFB_OK; r++) {
        for (size_t t = 0; t < n_tasks; t++) score[r] += mean_of(tasks[t]->score + r * tasks[t]->n, tasks[t]->n);
        score[r] /= (double)n_tasks;
        mean_interval(lines, n_tasks, r, score[r], &interval[r]);
    }
    for (size_t k = 0; k < n_runs * (n_runs - 1) / 2 && rc == CFB_OK; k++) {
        cfb_compare_pair *p = &line->pairs[k];
        for (size_t t = 0; t < n_tasks; t++) {
            const cli_rows *r = tasks[t];
            diffs[t] = mean_of(r->score + p->b * r->n, r->n) - mean_of(r->score + p->a * r->n, r->n);
            p->diff += diffs[t];
        }
        p->diff /= (double)n_tasks;
        pool_pair(tasks, lines, n_tasks, p, diffs, &all);
        rc = fill_mean(n_tasks, &all, &once, p, &line->n_clusters, err);
        bound_mean_without_spread(lines, n_tasks, k, p);
    }
    free(diffs);
    free(all.weighted);
    free(all.centred);
    free(all.cluster);
    return rc;
}

/* ---- many comparisons ---- */

static cfb_code rank_line(cfb_compare_line *line, size_t n_runs, double alpha, cfb_arena_t *arena, cfb_err *err) {
    cfb_stats_band band[CFB_COMPARE_MAX_RUNS];
    double p[CFB_COMPARE_MAX_RUNS * CFB_COMPARE_MAX_RUNS] = {0};
    cfb_compare_rank *rank = cfb_arena_alloc(arena, n_runs * sizeof *rank);
    if (rank == NULL) return no_memory(err);
    for (size_t k = 0; k < n_runs * (n_runs - 1) / 2; k++) {
        const cfb_compare_pair *q = &line->pairs[k];
        p[q->a * n_runs + q->b] = p[q->b * n_runs + q->a] = q->p_adjusted;
    }
    cfb_code rc = cfb_stats_rank_bands(line->score, p, n_runs, alpha, band, err);
    for (size_t r = 0; r < n_runs && rc == CFB_OK; r++) rank[r] = (cfb_compare_rank){band[r].best, band[r].worst};
    line->rank = rank;
    return rc;
}

cfb_code cli_adjust(cfb_compare_line *lines, size_t n, size_t n_runs, double alpha, cfb_arena_t *arena, cfb_err *err) {
    size_t n_pairs = n_runs * (n_runs - 1) / 2, m = 0;
    if (n == 0) return CFB_OK;
    double *p = cfb_arena_calloc(arena, n * n_pairs, sizeof *p);
    if (p == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_pairs; k++) p[m++] = lines[i].pairs[k].p;
    cfb_code rc = cfb_stats_holm(p, m, p, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        for (size_t k = 0; k < n_pairs; k++) lines[i].pairs[k].p_adjusted = p[i * n_pairs + k];
        rc = rank_line(&lines[i], n_runs, alpha, arena, err);
    }
    return rc;
}

/* ---- --fail-if ---- */

cfb_code cli_gate_parse(const char *text, cli_gate *out, cfb_err *err) {
    int end = 0;
    double at = 0;
    *out = (cli_gate){.limit = NAN};
    bool ok = sscanf(text, " %79s drops > %lf %n", out->what, &out->limit, &end) == 2 && isfinite(out->limit);
    if (ok && text[end] != '\0') {
        int more = 0;
        ok = sscanf(text + end, "at %lf %% %n", &at, &more) == 1 && more > 0 && text[end + more] == '\0' && at >= 50 && at < 100;
    }
    out->confidence = at / 100;
    if (ok) return CFB_OK;
    return cfb_err_set(err, CFB_EUSAGE,
                       "--fail-if '%.100s': it has the form 'WHAT drops > NUMBER' or 'WHAT drops > NUMBER at 95%%', such as 'f1 "
                       "drops > 0.01 at 95%%'; WHAT is a task, a metric, a kind of task, or all",
                       text);
}

bool cli_gate_holds(const cli_gate *g, const cfb_compare_pair *p, double *drop) {
    *drop = -p->diff;
    if (g->confidence > 0) /* one-sided: the drop is larger than this with the confidence asked for */
        *drop = isnan(p->df) ? NAN : -p->diff - cfb_stats_t_quantile(g->confidence, p->df) * p->se;
    return *drop > g->limit;
}
