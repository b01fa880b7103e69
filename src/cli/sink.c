/* Scored rows of one task: row scores go to the export as they come; the summary, the histogram, and a few rows that people
 * will want to see are kept. */
#include "cfbench/text.h"
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>

#define DEFAULT_WORST 5
#define N_BEST 5
/* Rows whose labels are looked at for confusions: one row at a time, while scoring them goes on in parallel. */
#define MAX_CONFUSED_ROWS 20000
#define MAX_FAILED 100
#define MAX_SHOWN_BYTES 4000                    /* of one text of a kept row */
#define MAX_CALIBRATED 1024                     /* rows */
#define MAX_CALIBRATED_BYTES ((size_t)64 << 10) /* of one text: longer ones are not drawn */

/* The n rows with the smallest keys, of equal keys the earlier ones: a heap with the row that goes next on top. */
struct kept {
    cfb_sink_kept *rows;
    cfb_report_row *report;        /* (n), once they are in order */
    size_t n, cap, max, max_bytes; /* max_bytes: of a text; 0 = what is shown of it */
};

struct cfb_sink {
    const cfb_task *task;
    cfb_scorer_t *scorer;
    cfb_export_t *export;
    struct kept worst, best, failed, sample, pairs; /* pairs: rows to calibrate with */
    cfb_sink_calibrate calibrate;
    cfb_report_calibration calibration;
    uint64_t *calibrated_rows;
    double *percentiles;
    uint64_t seed, stream, n_selected;
    uint64_t histogram[CFB_REPORT_BINS];
    cfb_report_lengths lengths;
    cfb_confused_t *confused; /* NULL: the metric is not over labels */
    cfb_score_row_in *in;
    cfb_score_row *out;
    unsigned char *selected;
    size_t cap;
    uint64_t n_taken;
    cfb_row_scores row_scores;
    bool keep_scores, in_parts;
    int64_t *score_rows;
    double *scores;
    size_t n_scores, cap_scores;
};

cfb_code cfb_sink_new(const cfb_sink_opts *o, cfb_sink_t **out, cfb_err *err) {
    cfb_sink_t *s = calloc(1, sizeof *s);
    cfb_code rc = s ? cfb_scorer_new(o->task, &o->score, &s->scorer, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK && cfb_metric_is_over_labels(o->task->metric)) rc = cfb_confused_new(&s->confused, err);
    if (rc != CFB_OK) {
        if (s) cfb_scorer_free(s->scorer);
        free(s);
        cfb_export_abort(o->export);
        return rc;
    }
    s->task = o->task;
    s->export = o->export;
    s->keep_scores = o->keep_scores;
    s->in_parts = o->in_parts;
    cfb_row_scores_init(&s->row_scores, o->keep_all);
    s->failed.max = MAX_FAILED;
    s->best.max = N_BEST;
    s->worst.max = o->n_worst ? o->n_worst : DEFAULT_WORST;
    s->sample.max = o->n_sample;
    s->calibrate = o->calibrate;
    s->pairs.max = o->calibrate.run ? MAX_CALIBRATED : 0;
    s->pairs.max_bytes = SIZE_MAX;
    s->seed = o->seed;
    s->stream = cfb_hash64(o->task->name, strlen(o->task->name), o->stream);
    *out = s;
    return CFB_OK;
}

static void free_kept(struct kept *k) {
    for (size_t i = 0; i < k->n; i++) free(k->rows[i].texts);
    free(k->rows);
    free(k->report);
}

void cfb_sink_free(cfb_sink_t *s) {
    if (s == NULL) return;
    cfb_export_abort(s->export);
    cfb_scorer_free(s->scorer);
    free_kept(&s->worst);
    free_kept(&s->best);
    cfb_confused_free(s->confused);
    free_kept(&s->failed);
    free_kept(&s->sample);
    free_kept(&s->pairs);
    free(s->calibrated_rows);
    free(s->percentiles);
    cfb_row_scores_free(&s->row_scores);
    free(s->in);
    free(s->out);
    free(s->selected);
    free(s->score_rows);
    free(s->scores);
    free(s);
}

const cfb_task *cfb_sink_task(const cfb_sink_t *s) { return s->task; }
cfb_scorer_t *cfb_sink_scorer(cfb_sink_t *s) { return s->scorer; }

static cfb_str cut(cfb_str s, size_t max) {
    if (s.len > max) {
        s.len = max;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xC0) == 0x80) s.len--;
    }
    return s;
}

/* Copies a row with its texts. */
static cfb_code copy_row(const cfb_sink_row *r, const cfb_score_row *score, double key, uint64_t order, size_t max,
                         cfb_sink_kept *out, cfb_err *err) {
    const cfb_str from[] = {cut(r->id, MAX_SHOWN_BYTES),
                            cut(r->input, MAX_SHOWN_BYTES),
                            cut(r->response, max),
                            cut(r->output, max),
                            cut(cfb_str_from(r->fail), MAX_SHOWN_BYTES),
                            cut(cfb_str_from(r->message), MAX_SHOWN_BYTES)};
    cfb_str to[6];
    size_t total = 0;
    for (size_t t = 0; t < 6; t++) total += from[t].len + 1;
    char *p = malloc(total);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *out = (cfb_sink_kept){.key = key, .order = order, .score = *score, .line = r->line, .source = r->source, .texts = p};
    for (size_t t = 0; t < 6; t++) {
        to[t] = (cfb_str){from[t].ptr ? p : NULL, from[t].len};
        if (from[t].len) memcpy(p, from[t].ptr, from[t].len);
        p[from[t].len] = '\0';
        p += from[t].len + 1;
    }
    out->row =
        (cfb_report_row){r->row, to[0], to[1], to[2], to[3], score->score, cfb_row_state_name(r->state), to[4].ptr, to[5].ptr};
    return CFB_OK;
}

static bool goes_before(const cfb_sink_kept *a, const cfb_sink_kept *b) {
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static int compare_kept(const void *a, const void *b) { return goes_before(a, b) ? -1 : 1; }

static int compare_places(const void *a, const void *b) {
    const cfb_sink_kept *x = a, *y = b;
    return x->order < y->order ? -1 : 1;
}

static void swap_kept(cfb_sink_kept *a, cfb_sink_kept *b) {
    cfb_sink_kept t = *a;
    *a = *b;
    *b = t;
}

static void sift_up(struct kept *k, size_t i) {
    for (; i > 0 && goes_before(&k->rows[(i - 1) / 2], &k->rows[i]); i = (i - 1) / 2)
        swap_kept(&k->rows[(i - 1) / 2], &k->rows[i]);
}

static void sift_down(struct kept *k) {
    for (size_t i = 0;;) {
        size_t last = i;
        for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < k->n; c++)
            if (goes_before(&k->rows[last], &k->rows[c])) last = c;
        if (last == i) return;
        swap_kept(&k->rows[i], &k->rows[last]);
        i = last;
    }
}

/* Would a row with this key, which comes after all others, be kept? */
static inline bool wants(const struct kept *k, double key) { return k->n < k->max || (k->max > 0 && key < k->rows[0].key); }

static cfb_code keep(struct kept *k, const cfb_sink_row *r, const cfb_score_row *score, double key, uint64_t order,
                     cfb_err *err) {
    if (k->n == k->cap && k->n < k->max) {
        size_t cap = k->cap ? k->cap * 2 : 8;
        if (cap > k->max) cap = k->max;
        cfb_sink_kept *rows = realloc(k->rows, cap * sizeof *rows);
        if (rows == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        k->rows = rows;
        k->cap = cap;
    }
    cfb_sink_kept row;
    cfb_code rc = copy_row(r, score, key, order, k->max_bytes ? k->max_bytes : MAX_SHOWN_BYTES, &row, err);
    if (rc != CFB_OK) return rc;
    if (k->n < k->max) {
        k->rows[k->n++] = row;
        sift_up(k, k->n - 1);
    } else {
        free(k->rows[0].texts);
        k->rows[0] = row;
        sift_down(k);
    }
    return CFB_OK;
}

/* Puts kept rows in order, and makes the report's list of them. */
static cfb_code settle(struct kept *k, bool by_key, cfb_err *err) {
    free(k->report);
    k->report = malloc((k->n ? k->n : 1) * sizeof *k->report);
    if (k->report == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (k->n) qsort(k->rows, k->n, sizeof *k->rows, by_key ? compare_kept : compare_places);
    for (size_t i = 0; i < k->n; i++) k->report[i] = k->rows[i].row;
    return CFB_OK;
}

static cfb_code keep_score(cfb_sink_t *s, uint64_t row, double score, cfb_err *err) {
    if (s->n_scores == s->cap_scores) {
        size_t cap = s->cap_scores ? s->cap_scores * 2 : 4096;
        int64_t *rows = realloc(s->score_rows, cap * sizeof *rows);
        if (rows) s->score_rows = rows;
        double *scores = rows ? realloc(s->scores, cap * sizeof *scores) : NULL;
        if (scores == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        s->scores = scores;
        s->cap_scores = cap;
    }
    s->score_rows[s->n_scores] = (int64_t)row;
    s->scores[s->n_scores++] = score;
    return CFB_OK;
}

static bool is_answered(cfb_row_state s) { return s == CFB_ROW_OK || s == CFB_ROW_TRUNCATED; }

static inline void count_score(cfb_sink_t *s, const cfb_score_row *row) {
    int at = (int)(row->score * CFB_REPORT_BINS), bin = at < 0 ? 0 : at >= CFB_REPORT_BINS ? CFB_REPORT_BINS - 1 : at;
    s->histogram[bin]++;
    cfb_row_scores_count(&s->row_scores, row->score);
    if (!is_answered(row->state)) return;
    size_t length = cfb_report_length_bin(row->output_chars);
    s->lengths.n[length][bin]++;
    s->lengths.sum[length] += row->score;
}

/* Does a row belong to the account of confused labels? */
static inline bool may_confuse(const cfb_sink_t *s, const cfb_score_row *row, uint64_t order) {
    return s->confused && order < MAX_CONFUSED_ROWS && row->score < 1 && is_answered(row->state);
}

/* Which of the lists of kept rows would take a row. */
enum { KEEP_WORST = 1, KEEP_FAILED = 2, KEEP_SAMPLE = 4, KEEP_PAIR = 8, KEEP_BEST = 16 };
static inline unsigned lists_for(const cfb_sink_t *s, const cfb_score_row *score, bool selected, double chance) {
    unsigned out = 0;
    if (score->state == CFB_ROW_FAILED && s->failed.n < MAX_FAILED) out |= KEEP_FAILED;
    if (selected && is_answered(score->state) && wants(&s->worst, score->score)) out |= KEEP_WORST;
    if (selected && is_answered(score->state) && wants(&s->best, -score->score)) out |= KEEP_BEST;
    if (selected && s->sample.max > 0 && wants(&s->sample, chance)) out |= KEEP_SAMPLE;
    if (s->pairs.max > 0 && is_answered(score->state) && wants(&s->pairs, chance)) out |= KEEP_PAIR;
    return out;
}

static bool is_pair_text(cfb_str s) { return s.len > 0 && s.len <= MAX_CALIBRATED_BYTES && cfb_text_strip(s).len > 0; }

static cfb_code take_row(cfb_sink_t *s, const cfb_sink_row *r, const cfb_score_row *score, unsigned lists, double chance,
                         uint64_t order, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (cfb_row_scores_wants(&s->row_scores)) rc = cfb_row_scores_keep(&s->row_scores, r, score->score, err);
    if (rc == CFB_OK && s->export) rc = cfb_export_row(s->export, r->input, r->response, r->output, score, err);
    if (rc == CFB_OK && (lists & KEEP_FAILED)) rc = keep(&s->failed, r, score, 0, order, err);
    if (rc == CFB_OK && (lists & KEEP_WORST)) rc = keep(&s->worst, r, score, score->score, order, err);
    if (rc == CFB_OK && (lists & KEEP_BEST)) rc = keep(&s->best, r, score, -score->score, order, err);
    if (rc == CFB_OK && may_confuse(s, score, order)) rc = cfb_confused_add(s->confused, r->response, r->output, err);
    if (rc == CFB_OK && (lists & KEEP_SAMPLE)) rc = keep(&s->sample, r, score, chance, order, err);
    if (rc == CFB_OK && (lists & KEEP_PAIR) && is_pair_text(r->response) && is_pair_text(r->output))
        rc = keep(&s->pairs, &(cfb_sink_row){.row = r->row, .response = r->response, .output = r->output}, score, chance, order,
                  err);
    if (rc == CFB_OK && s->keep_scores) rc = keep_score(s, r->row, score->score, err);
    return rc;
}

/* A row is in the sample if its chance is among the smallest: even over all rows, and a matter of seed and place alone. */
static inline double chance_of(const cfb_sink_t *s, uint64_t order) {
    return s->sample.max > 0 || s->pairs.max > 0 ? cfb_rand_unit(s->seed, s->stream, order) : 0;
}

cfb_code cfb_sink_score(cfb_sink_t *s, int worker, const cfb_score_row_in *rows, size_t n, cfb_score_row *out, cfb_err *err) {
    return cfb_scorer_score_part(s->scorer, worker, rows, n, out, err);
}

static cfb_code take_all(cfb_sink_t *s, const cfb_score_row *scores, const unsigned char *selected, size_t n, cfb_sink_row_fn row,
                         void *ctx, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        uint64_t order = s->n_taken + i;
        bool is_selected = selected == NULL || selected[i];
        double chance = chance_of(s, order);
        count_score(s, &scores[i]);
        s->n_selected += is_selected;
        unsigned lists = lists_for(s, &scores[i], is_selected, chance);
        bool texts = lists != 0 || s->export;
        if (!texts && !s->keep_scores && !cfb_row_scores_wants(&s->row_scores) && !may_confuse(s, &scores[i], order)) continue;
        cfb_sink_row r = {.state = scores[i].state};
        rc = row(ctx, i, texts, &r, err);
        if (rc == CFB_OK) rc = take_row(s, &r, &scores[i], lists, chance, order, err);
    }
    s->n_taken += n;
    return rc;
}

cfb_code cfb_sink_take(cfb_sink_t *s, const cfb_score_row *scores, const unsigned char *selected, size_t n, cfb_sink_row_fn row,
                       void *ctx, cfb_err *err) {
    cfb_scorer_add_part(s->scorer, scores, n);
    return take_all(s, scores, selected, n, row, ctx, err);
}

static cfb_code row_of_array(void *ctx, size_t i, bool texts, cfb_sink_row *r, cfb_err *err) {
    const cfb_sink_row *rows = ctx;
    (void)texts;
    (void)err;
    *r = rows[i];
    return CFB_OK;
}

static cfb_code reserve_rows(cfb_sink_t *s, size_t n, cfb_err *err) {
    if (n <= s->cap) return CFB_OK;
    free(s->in);
    free(s->out);
    free(s->selected);
    s->in = malloc(n * sizeof *s->in);
    s->out = malloc(n * sizeof *s->out);
    s->selected = malloc(n);
    s->cap = s->in && s->out && s->selected ? n : 0;
    return s->cap ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

static cfb_code score_rows(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, cfb_err *err) {
    cfb_code rc = reserve_rows(s, n, err);
    if (rc != CFB_OK) return rc;
    for (size_t i = 0; i < n; i++) s->in[i] = (cfb_score_row_in){rows[i].response, rows[i].output, rows[i].state};
    return s->in_parts ? cfb_scorer_score_part(s->scorer, 0, s->in, n, s->out, err)
                       : cfb_scorer_add(s->scorer, s->in, n, s->out, err);
}

static cfb_code pick_and_take(cfb_sink_t *s, const cfb_sink_row *rows, const cfb_score_row *scores, size_t n,
                              cfb_sink_pick_fn pick, void *ctx, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        bool selected = true;
        if (pick) rc = pick(ctx, &rows[i], &scores[i], &selected, err);
        s->selected[i] = selected;
    }
    cfb_sink_row *all = (cfb_sink_row *)(uintptr_t)rows; /* row_of_array only reads */
    return rc == CFB_OK ? take_all(s, scores, s->selected, n, row_of_array, all, err) : rc;
}

cfb_code cfb_sink_add(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, cfb_sink_pick_fn pick, void *ctx, cfb_err *err) {
    cfb_code rc = score_rows(s, rows, n, err);
    if (rc == CFB_OK && s->in_parts) cfb_scorer_add_part(s->scorer, s->out, n);
    return rc == CFB_OK ? pick_and_take(s, rows, s->out, n, pick, ctx, err) : rc;
}

cfb_code cfb_sink_score_only(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, const cfb_score_row **out, cfb_err *err) {
    cfb_code rc = score_rows(s, rows, n, err);
    *out = s->out;
    return rc;
}

cfb_code cfb_sink_add_scored(cfb_sink_t *s, const cfb_sink_row *rows, const cfb_score_row *scores, size_t n,
                             cfb_sink_pick_fn pick, void *ctx, cfb_err *err) {
    cfb_code rc = reserve_rows(s, n, err);
    if (rc == CFB_OK) cfb_scorer_add_part(s->scorer, scores, n);
    return rc == CFB_OK ? pick_and_take(s, rows, scores, n, pick, ctx, err) : rc;
}

static cfb_code calibrate(cfb_sink_t *s, cfb_err *err) {
    size_t n = s->pairs.n;
    cfb_str *texts = malloc((n ? n : 1) * 2 * sizeof *texts);
    s->calibrated_rows = malloc((n ? n : 1) * sizeof *s->calibrated_rows);
    s->percentiles = calloc(n ? n : 1, sizeof *s->percentiles);
    cfb_code rc = texts && s->calibrated_rows && s->percentiles ? settle(&s->pairs, false, err)
                                                                : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; rc == CFB_OK && i < n; i++) {
        const cfb_report_row *row = &s->pairs.rows[i].row;
        texts[i] = row->response;
        texts[n + i] = row->output;
        s->calibrated_rows[i] = row->row;
    }
    if (rc == CFB_OK) rc = s->calibrate.run(s->calibrate.ctx, texts, texts + n, n, &s->calibration, s->percentiles, err);
    s->calibration.rows = s->calibrated_rows;
    s->calibration.percentiles = s->percentiles;
    free(texts);
    free_kept(&s->pairs); /* their texts may be large, and there may be many sinks */
    s->pairs = (struct kept){0};
    return rc;
}

cfb_code cfb_sink_finish(cfb_sink_t *s, cfb_report_task *out, cfb_err *err) {
    cfb_code rc = cfb_scorer_summary(s->scorer, &out->summary, err);
    if (rc == CFB_OK && s->export) {
        rc = cfb_export_commit(s->export, &out->summary, err);
        s->export = NULL;
    }
    if (rc == CFB_OK) rc = settle(&s->failed, false, err);
    if (rc == CFB_OK) rc = settle(&s->worst, true, err);
    if (rc == CFB_OK) rc = settle(&s->best, true, err);
    if (rc == CFB_OK) rc = settle(&s->sample, false, err);
    if (rc == CFB_OK && s->confused) rc = cfb_confused_list(s->confused, &out->confused, &out->n_confused, err);
    if (rc == CFB_OK && s->calibrate.run) rc = calibrate(s, err);
    if (rc != CFB_OK) return rc;
    out->calibration = s->calibrate.run ? &s->calibration : NULL;
    out->task = s->task->name;
    out->title = s->task->title;
    out->kind = cfb_task_kind_name(s->task->kind);
    memcpy(out->histogram, s->histogram, sizeof out->histogram);
    out->failed = s->failed.report;
    out->n_failed_listed = s->failed.n;
    out->worst = s->worst.report;
    out->n_worst = s->worst.n;
    out->best = s->best.report;
    out->n_best = s->best.n;
    out->lengths = &s->lengths;
    out->n_confused_rows = s->n_taken < MAX_CONFUSED_ROWS ? s->n_taken : MAX_CONFUSED_ROWS;
    out->sample = s->sample.report;
    out->n_sample = s->sample.n;
    out->n_selected = s->n_selected;
    return CFB_OK;
}

size_t cfb_sink_worst(const cfb_sink_t *s, const cfb_sink_kept **rows) {
    *rows = s->worst.rows;
    return s->worst.n;
}

size_t cfb_sink_sample(const cfb_sink_t *s, const cfb_sink_kept **rows) {
    *rows = s->sample.rows;
    return s->sample.n;
}

const cfb_row_scores *cfb_sink_row_scores(const cfb_sink_t *s) { return &s->row_scores; }

size_t cfb_sink_scores(const cfb_sink_t *s, const int64_t **rows, const double **scores) {
    *rows = s->score_rows;
    *scores = s->scores;
    return s->n_scores;
}
