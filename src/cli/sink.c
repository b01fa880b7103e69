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
    cfb_exact_sum length_sums[CFB_REPORT_LENGTH_BINS]; /* of lengths.sum */
    cfb_confused_t *confused;                          /* NULL: the metric is not over labels */
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
    s->length_sums[length] += cfb_exact(row->score);
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
    for (size_t i = 0; i < CFB_REPORT_LENGTH_BINS; i++) s->lengths.sum[i] = cfb_exact_value(s->length_sums[i]);
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

/* ---- portions: processes of one build, so structs travel as they are ---- */

enum item { ITEM_ROWS, ITEM_BLOCK, ITEM_FIRST, ITEM_LABELS, ITEM_TOTALS, ITEM_WORST, ITEM_BEST, ITEM_SAMPLE };

struct item_head {
    uint32_t what;
    uint64_t len;
};

struct first_row {
    uint64_t row, same_input;
    double score;
};

struct totals {
    uint64_t histogram[CFB_REPORT_BINS], length_n[CFB_REPORT_LENGTH_BINS][CFB_REPORT_BINS];
    cfb_exact_sum length_sums[CFB_REPORT_LENGTH_BINS], sum, squares;
    uint64_t n_all, n_selected;
    bool negative;
};

#define KEPT_TEXTS 4
struct kept_row {
    double key;
    uint64_t order, row, line, source;
    cfb_score_row score;
    int64_t len[KEPT_TEXTS]; /* id, input, response, output; -1: null */
};

static cfb_code put_head(cfb_buf *out, enum item what, size_t len, cfb_err *err) {
    struct item_head h;
    memset(&h, 0, sizeof h);
    h.what = what;
    h.len = len;
    return cfb_buf_append(out, &h, sizeof h, err);
}

static cfb_code put_item(cfb_buf *out, enum item what, const void *data, size_t len, cfb_err *err) {
    cfb_code rc = put_head(out, what, len, err);
    return rc == CFB_OK ? cfb_buf_append(out, data, len, err) : rc;
}

static cfb_code put_rows(cfb_buf *out, const cfb_score_row *rows, size_t n, cfb_err *err) {
    const size_t at = out->len;
    cfb_code rc = put_head(out, ITEM_ROWS, 0, err);
    if (rc == CFB_OK) rc = cfb_score_pack(rows, n, out, err);
    if (rc != CFB_OK) return rc;
    struct item_head h;
    memcpy(&h, out->ptr + at, sizeof h);
    h.len = out->len - at - sizeof h;
    memcpy(out->ptr + at, &h, sizeof h);
    return CFB_OK;
}

/* A part of a block goes row by row: whoever has the other parts cannot add it up before. */
static cfb_code put_sums(cfb_buf *out, uint64_t first, const cfb_score_row *rows, size_t n, cfb_err *err) {
    cfb_code rc = CFB_OK;
    while (n > 0 && rc == CFB_OK) {
        size_t room = CFB_SCORE_BLOCK - (size_t)(first % CFB_SCORE_BLOCK), k = n < room ? n : room;
        if (k == CFB_SCORE_BLOCK) {
            cfb_score_block b;
            cfb_score_block_of(rows, &b);
            rc = put_item(out, ITEM_BLOCK, &b, sizeof b, err);
        } else {
            rc = put_rows(out, rows, k, err);
        }
        first += k;
        rows += k;
        n -= k;
    }
    return rc;
}

static cfb_code put_labels(cfb_buf *out, const cfb_sink_row *r, cfb_err *err) {
    const uint64_t len = r->response.len;
    cfb_code rc = put_head(out, ITEM_LABELS, sizeof len + r->response.len + r->output.len, err);
    if (rc == CFB_OK) rc = cfb_buf_append(out, &len, sizeof len, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(out, r->response, err);
    return rc == CFB_OK ? cfb_buf_append_str(out, r->output, err) : rc;
}

static cfb_code take_of_portion(cfb_sink_t *s, const cfb_sink_row *r, const cfb_score_row *score, unsigned lists, double chance,
                                uint64_t order, cfb_buf *out, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (order < s->row_scores.max) {
        const struct first_row f = {r->row, r->same_input, score->score};
        rc = put_item(out, ITEM_FIRST, &f, sizeof f, err);
    }
    if (rc == CFB_OK && may_confuse(s, score, order)) rc = put_labels(out, r, err);
    if (rc == CFB_OK && (lists & KEEP_WORST)) rc = keep(&s->worst, r, score, score->score, order, err);
    if (rc == CFB_OK && (lists & KEEP_BEST)) rc = keep(&s->best, r, score, -score->score, order, err);
    return rc == CFB_OK && (lists & KEEP_SAMPLE) ? keep(&s->sample, r, score, chance, order, err) : rc;
}

cfb_code cfb_sink_take_portion(cfb_sink_t *s, uint64_t first, const cfb_score_row *scores, const unsigned char *selected,
                               size_t n, cfb_sink_row_fn row, void *ctx, cfb_buf *out, cfb_err *err) {
    cfb_code rc = put_sums(out, first, scores, n, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        uint64_t order = first + i;
        bool is_selected = selected == NULL || selected[i];
        double chance = chance_of(s, order);
        count_score(s, &scores[i]);
        s->n_selected += is_selected;
        unsigned lists = lists_for(s, &scores[i], is_selected, chance);
        if (lists == 0 && order >= s->row_scores.max && !may_confuse(s, &scores[i], order)) continue;
        cfb_sink_row r = {.state = scores[i].state};
        rc = row(ctx, i, lists != 0, &r, err);
        if (rc == CFB_OK) rc = take_of_portion(s, &r, &scores[i], lists, chance, order, out, err);
    }
    return rc;
}

static cfb_code add_rows_of(cfb_sink_t *s, cfb_str body, cfb_err *err) {
    size_t n = 0;
    cfb_code rc = cfb_scorer_add_packed(s->scorer, body, &n, err);
    s->n_taken += n;
    return rc;
}

static cfb_code add_labels_of(cfb_sink_t *s, cfb_str body, cfb_err *err) {
    uint64_t len;
    if (body.len < sizeof len || s->confused == NULL) return cfb_err_set(err, CFB_EBUG, "labels that nobody understands");
    memcpy(&len, body.ptr, sizeof len);
    body.ptr += sizeof len;
    body.len -= sizeof len;
    if (len > body.len) return cfb_err_set(err, CFB_EBUG, "labels that nobody understands");
    return cfb_confused_add(s->confused, (cfb_str){body.ptr, (size_t)len}, (cfb_str){body.ptr + len, body.len - (size_t)len},
                            err);
}

static cfb_code add_totals_of(cfb_sink_t *s, cfb_str body, cfb_err *err) {
    struct totals t;
    if (body.len != sizeof t) return cfb_err_set(err, CFB_EBUG, "totals that nobody understands");
    memcpy(&t, body.ptr, sizeof t);
    for (size_t i = 0; i < CFB_REPORT_BINS; i++) s->histogram[i] += t.histogram[i];
    for (size_t k = 0; k < CFB_REPORT_LENGTH_BINS; k++) {
        for (size_t i = 0; i < CFB_REPORT_BINS; i++) s->lengths.n[k][i] += t.length_n[k][i];
        s->length_sums[k] += t.length_sums[k];
    }
    s->row_scores.sum += t.sum;
    s->row_scores.squares += t.squares;
    s->row_scores.n_all += t.n_all;
    s->n_selected += t.n_selected;
    s->row_scores.negative = s->row_scores.negative || t.negative;
    return CFB_OK;
}

static cfb_code add_kept_of(struct kept *k, cfb_str body, cfb_err *err) {
    struct kept_row p;
    if (body.len < sizeof p) return cfb_err_set(err, CFB_EBUG, "a kept row that nobody understands");
    memcpy(&p, body.ptr, sizeof p);
    cfb_str texts[KEPT_TEXTS];
    size_t at = sizeof p;
    for (size_t i = 0; i < KEPT_TEXTS; i++) {
        size_t len = p.len[i] > 0 ? (size_t)p.len[i] : 0;
        if (len > body.len - at) return cfb_err_set(err, CFB_EBUG, "a kept row that nobody understands");
        texts[i] = p.len[i] < 0 ? CFB_STR_NULL : (cfb_str){body.ptr + at, len};
        at += len;
    }
    const cfb_sink_row r = {.row = p.row,
                            .line = p.line,
                            .source = (size_t)p.source,
                            .id = texts[0],
                            .input = texts[1],
                            .response = texts[2],
                            .output = texts[3],
                            .state = p.score.state};
    const cfb_sink_kept candidate = {.key = p.key, .order = p.order};
    if (k->n == k->max && !goes_before(&candidate, &k->rows[0])) return CFB_OK;
    return keep(k, &r, &p.score, p.key, p.order, err);
}

static cfb_code add_item(cfb_sink_t *s, uint32_t what, cfb_str body, cfb_err *err) {
    struct first_row f;
    cfb_score_block b;
    switch (what) {
    case ITEM_ROWS: return add_rows_of(s, body, err);
    case ITEM_BLOCK:
        if (body.len != sizeof b) break;
        memcpy(&b, body.ptr, sizeof b);
        cfb_scorer_add_block(s->scorer, &b);
        s->n_taken += b.n_rows;
        return CFB_OK;
    case ITEM_FIRST:
        if (body.len != sizeof f) break;
        memcpy(&f, body.ptr, sizeof f);
        return cfb_row_scores_keep(&s->row_scores, &(cfb_sink_row){.row = f.row, .same_input = f.same_input}, f.score, err);
    case ITEM_LABELS: return add_labels_of(s, body, err);
    case ITEM_TOTALS: return add_totals_of(s, body, err);
    case ITEM_WORST: return add_kept_of(&s->worst, body, err);
    case ITEM_BEST: return add_kept_of(&s->best, body, err);
    case ITEM_SAMPLE: return add_kept_of(&s->sample, body, err);
    default: break;
    }
    return cfb_err_set(err, CFB_EBUG, "a portion that nobody understands");
}

static cfb_code add_items(cfb_sink_t *s, cfb_str all, cfb_err *err) {
    struct item_head h;
    cfb_code rc = CFB_OK;
    while (all.len > 0 && rc == CFB_OK) {
        if (all.len < sizeof h) return cfb_err_set(err, CFB_EBUG, "a portion that nobody understands");
        memcpy(&h, all.ptr, sizeof h);
        all.ptr += sizeof h;
        all.len -= sizeof h;
        if (h.len > all.len) return cfb_err_set(err, CFB_EBUG, "a portion that nobody understands");
        rc = add_item(s, h.what, (cfb_str){all.ptr, (size_t)h.len}, err);
        all.ptr += h.len;
        all.len -= (size_t)h.len;
    }
    return rc;
}

cfb_code cfb_sink_add_portion(cfb_sink_t *s, cfb_str portion, cfb_err *err) { return add_items(s, portion, err); }

cfb_code cfb_sink_add_packed(cfb_sink_t *s, cfb_str packed, cfb_err *err) { return add_items(s, packed, err); }

static cfb_code put_kept(cfb_buf *out, enum item what, const struct kept *k, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < k->n && rc == CFB_OK; i++) {
        const cfb_sink_kept *row = &k->rows[i];
        const cfb_str texts[KEPT_TEXTS] = {row->row.id, row->row.input, row->row.response, row->row.output};
        struct kept_row p;
        size_t len = sizeof p;
        memset(&p, 0, sizeof p);
        p.key = row->key;
        p.order = row->order;
        p.row = row->row.row;
        p.line = row->line;
        p.source = row->source;
        p.score = row->score;
        for (size_t t = 0; t < KEPT_TEXTS; t++) {
            p.len[t] = texts[t].ptr ? (int64_t)texts[t].len : -1;
            len += texts[t].ptr ? texts[t].len : 0;
        }
        rc = put_head(out, what, len, err);
        if (rc == CFB_OK) rc = cfb_buf_append(out, &p, sizeof p, err);
        for (size_t t = 0; t < KEPT_TEXTS && rc == CFB_OK; t++)
            if (texts[t].len) rc = cfb_buf_append_str(out, texts[t], err);
    }
    return rc;
}

cfb_code cfb_sink_pack(const cfb_sink_t *s, cfb_buf *out, cfb_err *err) {
    struct totals t;
    memset(&t, 0, sizeof t);
    memcpy(t.histogram, s->histogram, sizeof t.histogram);
    memcpy(t.length_n, s->lengths.n, sizeof t.length_n);
    memcpy(t.length_sums, s->length_sums, sizeof t.length_sums);
    t.sum = s->row_scores.sum;
    t.squares = s->row_scores.squares;
    t.n_all = s->row_scores.n_all;
    t.n_selected = s->n_selected;
    t.negative = s->row_scores.negative;
    cfb_code rc = put_item(out, ITEM_TOTALS, &t, sizeof t, err);
    if (rc == CFB_OK) rc = put_kept(out, ITEM_WORST, &s->worst, err);
    if (rc == CFB_OK) rc = put_kept(out, ITEM_BEST, &s->best, err);
    return rc == CFB_OK ? put_kept(out, ITEM_SAMPLE, &s->sample, err) : rc;
}
