#include "score/confusion.h"
#include "score/piece.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Pieces that are scored before their label tables are merged: enough for many threads, little enough to stay small. A
 * constant, so that what is merged when does not depend on the threads. */
#define WAVE 64
/* A worker whose table has so many labels beyond the suite's merges it and starts anew. */
#define KEEP_LABELS ((size_t)1 << 16)
_Static_assert((size_t)WAVE *CFB_SCORE_BLOCK <= CONFUSION_MAX_ROWS, "a wave's counts must be exact in binary32");

struct cfb_scorer {
    score_plan plan;
    const cfb_task *task;
    size_t max_labels;
    int n_threads;
    score_worker *workers; /* n_threads */
    score_piece pieces[WAVE];
    score_piece *parts; /* n_threads: cfb_scorer_score_part's */
    pthread_mutex_t merge;
    label_shard shards[LABEL_SHARDS];
    cfb_code shard_codes[LABEL_SHARDS];
    size_t n_pieces; /* of the running wave */
    confusion *confusion;
    score_sums total, open; /* whole blocks; the block that is not full yet */
    score_counts counts;
    cfb_code broken; /* the error that ended this scorer */
    cfb_label_stat *stats;
    double *given; /* with pairs: scores of a wave (WAVE blocks), or of each thread's part (n_threads blocks) */
    char metric[400];
};

const char *cfb_row_state_name(cfb_row_state s) {
    static const char *const names[] = {
#define CFB_X(NAME, name) name,
        CFB_ROW_STATE_MAP(CFB_X)
#undef CFB_X
    };
    return (unsigned)s < CFB_ROW_STATE_COUNT ? names[s] : "?";
}

/* ---- creation ---- */

static const char *label_set_text(cfb_label_set s) {
    return s == CFB_LABELS_ROW ? "row" : s == CFB_LABELS_SUITE ? "suite" : "observed";
}

static void name_metric(cfb_scorer_t *s) {
    const char *name = s->plan.info->full_name;
    cfb_label_set set = s->plan.label_set;
    if (set == CFB_LABELS_ROW && s->plan.info->how == CFB_METRIC_FROM_LABEL_MEAN)
        set = CFB_LABELS_OBSERVED; /* see label_average */
    if (s->plan.f1)
        snprintf(s->metric, sizeof s->metric, "%s (labels: %s)", name, label_set_text(set));
    else
        snprintf(s->metric, sizeof s->metric, "%s", s->plan.pairs.score && s->plan.pairs.name ? s->plan.pairs.name : name);
}

static cfb_code check_options(const cfb_task *task, const cfb_score_opts *opts, const score_plan *plan, cfb_err *err) {
    bool suite_labels = plan->f1 && plan->label_set == CFB_LABELS_SUITE;
    if (suite_labels && task->n_labels == 0)
        return cfb_err_set(err, CFB_ECONFIG,
                           "task '%s' has no label list for the label set 'suite'; load its labels, or use "
                           "the label set 'observed'",
                           task->name);
    if (plan->info->how == CFB_METRIC_FROM_PAIRS && opts->pairs.score == NULL)
        return cfb_err_set(err, CFB_ECONFIG, "task '%s': the metric %s needs an embedding model", task->name, plan->info->name);
    if (opts->confusion && !suite_labels)
        return cfb_err_set(err, CFB_ECONFIG, "task '%s': a confusion matrix needs F1 with the label set 'suite'", task->name);
    if (opts->confusion && task->n_labels > CFB_SCORE_CONFUSION_LABELS)
        return cfb_err_set(err, CFB_ELIMIT, "task '%s': a confusion matrix of %zu labels; at most %d", task->name, task->n_labels,
                           CFB_SCORE_CONFUSION_LABELS);
    return CFB_OK;
}

static void make_plan(const cfb_task *task, const cfb_score_opts *opts, score_plan *plan) {
    plan->metric = task->metric;
    plan->info = cfb_metric_get(task->metric);
    plan->f1 = cfb_metric_is_over_labels(task->metric) != 0;
    plan->label_set = task->label_set == CFB_LABELS_ROW ? CFB_LABELS_ROW : opts->label_set;
    plan->n_words = 1;
    if (plan->f1 && plan->label_set == CFB_LABELS_SUITE) plan->n_words = (task->n_labels + 63) / 64;
    plan->valid_utf8 = opts->valid_utf8;
    plan->keep_bits = opts->confusion;
    if (plan->info->how == CFB_METRIC_FROM_PAIRS) plan->pairs = opts->pairs;
}

static bool allocate(cfb_scorer_t *s) {
    bool suite_labels = s->plan.label_set == CFB_LABELS_SUITE;
    if (s->plan.f1 && !label_table_init(&s->plan.start, s->task->labels, suite_labels ? s->task->n_labels : 0)) return false;
    s->workers = calloc((size_t)s->n_threads, sizeof *s->workers);
    s->parts = calloc((size_t)s->n_threads, sizeof *s->parts);
    if (s->workers == NULL || s->parts == NULL) return false;
    size_t n_given = s->n_threads > WAVE ? (size_t)s->n_threads : WAVE;
    if (s->plan.pairs.score && (s->given = malloc(n_given * CFB_SCORE_BLOCK * sizeof *s->given)) == NULL) return false;
    for (int i = 0; i < s->n_threads; i++)
        if (!score_worker_init(&s->workers[i], &s->plan)) return false;
    for (size_t i = 0; s->plan.keep_bits && i < WAVE; i++) {
        s->pieces[i].truth = calloc(CFB_SCORE_BLOCK * s->plan.n_words, sizeof(uint64_t));
        s->pieces[i].pred = calloc(CFB_SCORE_BLOCK * s->plan.n_words, sizeof(uint64_t));
        if (s->pieces[i].truth == NULL || s->pieces[i].pred == NULL) return false;
    }
    return true;
}

cfb_code cfb_scorer_new(const cfb_task *task, const cfb_score_opts *opts, cfb_scorer_t **out, cfb_err *err) {
    *out = NULL;
    const cfb_score_opts defaults = CFB_SCORE_OPTS_INIT;
    if (opts == NULL) opts = &defaults;
    score_plan plan = {0};
    make_plan(task, opts, &plan);
    cfb_code rc = check_options(task, opts, &plan, err);
    if (rc != CFB_OK) return rc;
    cfb_scorer_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_mutex_init(&s->merge, NULL);
    s->plan = plan;
    s->task = task;
    s->max_labels = opts->max_labels;
    s->n_threads = opts->n_threads > 0 ? opts->n_threads : cfb_cpu_count();
    name_metric(s);
    if (!allocate(s)) {
        cfb_scorer_free(s);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory (scoring with %d threads)", opts->n_threads);
    }
    if (opts->confusion) rc = confusion_new(task->n_labels, s->n_threads, &s->confusion, err);
    if (rc != CFB_OK) {
        cfb_scorer_free(s);
        return rc;
    }
    *out = s;
    return CFB_OK;
}

void cfb_scorer_free(cfb_scorer_t *s) {
    if (s == NULL) return;
    for (int i = 0; s->workers != NULL && i < s->n_threads; i++) score_worker_free(&s->workers[i]);
    free(s->workers);
    for (int i = 0; s->parts != NULL && i < s->n_threads; i++) score_piece_free(&s->parts[i]);
    free(s->parts);
    pthread_mutex_destroy(&s->merge);
    for (size_t i = 0; i < WAVE; i++) score_piece_free(&s->pieces[i]);
    for (size_t i = 0; i < LABEL_SHARDS; i++) label_shard_free(&s->shards[i]);
    label_table_free(&s->plan.start);
    confusion_free(s->confusion);
    free(s->stats);
    free(s->given);
    free(s);
}

/* ---- rows ---- */

static void run_piece(void *ctx, size_t i, int worker) {
    cfb_scorer_t *s = ctx;
    score_piece_run(&s->plan, &s->workers[worker], &s->pieces[i]);
}

/* All workers' counts of one shard's labels. */
static void merge_shard(void *ctx, size_t shard, int worker) {
    cfb_scorer_t *s = ctx;
    (void)worker;
    cfb_code code = CFB_OK;
    for (int i = 0; code == CFB_OK && i < s->n_threads; i++)
        code = label_shard_merge(&s->shards[shard], (unsigned)shard, &s->workers[i].table, s->max_labels);
    s->shard_codes[shard] = code;
}

static void add_counts(score_counts *to, const score_counts *c) {
    to->n_rows += c->n_rows;
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) to->n_state[i] += c->n_state[i];
    to->n_unmatchable += c->n_unmatchable;
    to->response_chars += c->response_chars;
    to->output_chars += c->output_chars;
}

static void add_sums(score_sums *to, const score_sums *s) {
    to->score += s->score;
    to->answered += s->answered;
    to->precision += s->precision;
    to->recall += s->recall;
    to->f1 += s->f1;
}

/* Cuts rows into pieces that end where blocks end, counted from the first row of the file. Returns the rows taken. */
static size_t cut_pieces(cfb_scorer_t *s, const cfb_score_row_in *rows, size_t n, cfb_score_row *out) {
    size_t taken = 0, in_block = (size_t)(s->counts.n_rows % CFB_SCORE_BLOCK);
    s->n_pieces = 0;
    while (taken < n && s->n_pieces < WAVE) {
        score_piece *p = &s->pieces[s->n_pieces++];
        size_t room = CFB_SCORE_BLOCK - in_block;
        p->in = rows + taken;
        p->out = out ? out + taken : NULL;
        p->n = n - taken < room ? n - taken : room;
        p->add_up = true;
        p->sums = in_block ? s->open : (score_sums){0};
        taken += p->n;
        in_block = 0;
    }
    return taken;
}

static cfb_code piece_error(const score_piece *p, size_t row, cfb_err *err) {
    switch (p->code) {
    case CFB_EENCODING: cfb_err_set(err, p->code, "row %zu of these: reference or output is not valid UTF-8", row); break;
    case CFB_ELIMIT:
        cfb_err_set(err, p->code,
                    "row %zu of these: a text is too long (f1 and tf take 4 GiB, other metrics 64 MiB; rougeL and edit 2^40 "
                    "pairs of tokens)",
                    row);
        break;
    case CFB_ENOMEM: cfb_err_set(err, p->code, "out of memory (scoring row %zu of these)", row); break;
    default: cfb_err_set(err, p->code, "row %zu of these: unknown row state", row); break;
    }
    if (err) err->offset = row;
    return p->code;
}

static cfb_code merge_error(const cfb_scorer_t *s, cfb_code code, size_t n_labels, cfb_err *err) {
    if (code == CFB_ENOMEM) return cfb_err_set(err, CFB_ENOMEM, "out of memory (table of labels)");
    if (code == CFB_ELIMIT || n_labels > s->max_labels)
        return cfb_err_set(err, CFB_ELIMIT, "task '%s': more than %zu different labels", s->task->name, s->max_labels);
    return CFB_OK;
}

static size_t count_totals(const cfb_scorer_t *s) {
    size_t n = 0;
    for (size_t i = 0; i < LABEL_SHARDS; i++) n += s->shards[i].n;
    return n;
}

static cfb_code merge_labels(cfb_scorer_t *s, cfb_err *err) {
    if (!s->plan.f1) return CFB_OK;
    size_t n = 0;
    for (int i = 0; i < s->n_threads; i++) n += s->workers[i].table.n;
    /* Opening a region for a few hundred labels costs more than it gives. */
    cfb_par_blocks(LABEL_SHARDS, n >= 4096 ? s->n_threads : 1, merge_shard, s);
    for (size_t i = 0; i < LABEL_SHARDS; i++) {
        cfb_code rc = merge_error(s, s->shard_codes[i], 0, err);
        if (rc != CFB_OK) return rc;
    }
    for (int i = 0; i < s->n_threads; i++) s->workers[i].n_counted = 0;
    return merge_error(s, CFB_OK, count_totals(s), err);
}

/* Are there so many labels, or so many rows, that the workers' tables must be merged before they can go on? */
static bool must_merge(const cfb_scorer_t *s, const score_worker *w) {
    return w->table.n > s->plan.start.n + KEEP_LABELS || w->n_counted > (uint64_t)1 << 31;
}

static cfb_code merge_when_full(cfb_scorer_t *s, cfb_err *err) {
    bool full = false;
    size_t n = count_totals(s);
    for (int i = 0; i < s->n_threads; i++) {
        n += s->workers[i].table.n;
        full = full || must_merge(s, &s->workers[i]);
    }
    if (!s->plan.f1 || (!full && n <= s->max_labels)) return CFB_OK;
    cfb_code rc = merge_labels(s, err);
    for (int i = 0; i < s->n_threads && rc == CFB_OK; i++)
        if (must_merge(s, &s->workers[i]) && !score_worker_forget(&s->workers[i], &s->plan))
            rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (table of labels)");
    return rc;
}

/* Blocks in order: whole ones go to the total, the last one may stay open. */
static void close_pieces(cfb_scorer_t *s) {
    for (size_t i = 0; i < s->n_pieces; i++) {
        const score_piece *p = &s->pieces[i];
        add_counts(&s->counts, &p->counts);
        if (s->counts.n_rows % CFB_SCORE_BLOCK == 0) {
            add_sums(&s->total, &p->sums);
            s->open = (score_sums){0};
        } else {
            s->open = p->sums;
        }
    }
}

static cfb_code run_wave(cfb_scorer_t *s, size_t first_row, cfb_err *err) {
    cfb_par_blocks(s->n_pieces, s->n_threads, run_piece, s);
    for (size_t i = 0, row = first_row; i < s->n_pieces; row += s->pieces[i++].n)
        if (s->pieces[i].code != CFB_OK) return piece_error(&s->pieces[i], row + s->pieces[i].bad_row, err);
    cfb_code rc = merge_when_full(s, err);
    if (rc != CFB_OK) return rc;
    if (s->confusion) confusion_add(s->confusion, s->pieces, s->n_pieces, s->plan.n_words);
    close_pieces(s);
    return CFB_OK;
}

static cfb_code still_broken(const cfb_scorer_t *s, cfb_err *err) {
    return cfb_err_set(err, s->broken, "scoring of task '%s' ended with an error before", s->task->name);
}

/* The scores of n rows by a metric of pairs; first_row: index of rows[0] in the caller's array, for messages. */
static cfb_code run_pairs(cfb_scorer_t *s, const cfb_score_row_in *rows, size_t n, size_t first_row, double *scores,
                          cfb_err *err) {
    cfb_err why = CFB_ERR_INIT;
    cfb_code rc = s->plan.pairs.score(s->plan.pairs.ctx, rows, n, scores, &why);
    if (rc == CFB_OK) return CFB_OK;
    if (rc == CFB_EENCODING)
        cfb_err_set(err, rc, "row %zu of these: %s", first_row + (size_t)why.offset, why.msg);
    else
        cfb_err_set(err, rc, "%s", why.msg);
    if (err) err->offset = first_row + why.offset;
    return rc;
}

static cfb_code score_pairs(cfb_scorer_t *s, const cfb_score_row_in *rows, size_t n, size_t first_row, cfb_err *err) {
    if (s->plan.pairs.score == NULL) return CFB_OK;
    for (size_t i = 0, row = 0; i < s->n_pieces; row += s->pieces[i++].n) s->pieces[i].given = s->given + row;
    return run_pairs(s, rows, n, first_row, s->given, err);
}

cfb_code cfb_scorer_add(cfb_scorer_t *s, const cfb_score_row_in *rows, size_t n, cfb_score_row *out, cfb_err *err) {
    if (s->broken != CFB_OK) return still_broken(s, err);
    for (size_t done = 0; done < n;) {
        size_t taken = cut_pieces(s, rows + done, n - done, out ? out + done : NULL);
        s->broken = score_pairs(s, rows + done, taken, done, err);
        if (s->broken == CFB_OK) s->broken = run_wave(s, done, err);
        if (s->broken != CFB_OK) return s->broken;
        done += taken;
    }
    return CFB_OK;
}

/* ---- parts ---- */

/* One worker's labels, when they are many; the others go on meanwhile. */
static cfb_code merge_part(cfb_scorer_t *s, score_worker *w, cfb_err *err) {
    if (!s->plan.f1 || (!must_merge(s, w) && w->table.n <= s->max_labels)) return CFB_OK;
    cfb_code rc = CFB_OK;
    pthread_mutex_lock(&s->merge);
    for (unsigned i = 0; i < LABEL_SHARDS && rc == CFB_OK; i++)
        rc = label_shard_merge(&s->shards[i], i, &w->table, s->max_labels);
    size_t n = count_totals(s);
    pthread_mutex_unlock(&s->merge);
    rc = merge_error(s, rc, n, err);
    if (rc == CFB_OK && must_merge(s, w) && !score_worker_forget(w, &s->plan))
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (table of labels)");
    return rc;
}

/* Pairs are scored by one thread at a time. */
static cfb_code score_part_pairs(cfb_scorer_t *s, int worker, score_piece *p, size_t first_row, cfb_err *err) {
    if (s->plan.pairs.score == NULL) return CFB_OK;
    double *scores = s->given + (size_t)worker * CFB_SCORE_BLOCK;
    pthread_mutex_lock(&s->merge);
    cfb_code rc = run_pairs(s, p->in, p->n, first_row, scores, err);
    pthread_mutex_unlock(&s->merge);
    p->given = scores;
    return rc;
}

cfb_code cfb_scorer_score_part(cfb_scorer_t *s, int worker, const cfb_score_row_in *rows, size_t n, cfb_score_row *out,
                               cfb_err *err) {
    if (s->confusion) return cfb_err_set(err, CFB_ECONFIG, "task '%s': a confusion matrix needs cfb_scorer_add", s->task->name);
    score_piece *p = &s->parts[worker];
    for (size_t done = 0; done < n; done += p->n) {
        p->in = rows + done;
        p->out = out + done;
        p->n = n - done < CFB_SCORE_BLOCK ? n - done : CFB_SCORE_BLOCK;
        cfb_code pairs = score_part_pairs(s, worker, p, done, err);
        if (pairs != CFB_OK) return pairs;
        score_piece_run(&s->plan, &s->workers[worker], p);
        if (p->code != CFB_OK) return piece_error(p, done + p->bad_row, err);
        cfb_code rc = merge_part(s, &s->workers[worker], err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

void cfb_scorer_add_part(cfb_scorer_t *s, const cfb_score_row *rows, size_t n) {
    while (n > 0) {
        size_t room = CFB_SCORE_BLOCK - (size_t)(s->counts.n_rows % CFB_SCORE_BLOCK), k = n < room ? n : room;
        score_counts c = {0};
        score_add_rows(rows, k, &s->open, &c);
        add_counts(&s->counts, &c);
        if (k == room) {
            add_sums(&s->total, &s->open);
            s->open = (score_sums){0};
        }
        rows += k;
        n -= k;
    }
}

void cfb_score_block_of(const cfb_score_row rows[CFB_SCORE_BLOCK], cfb_score_block *out) {
    score_sums s = {0};
    score_counts c = {0};
    score_add_rows(rows, CFB_SCORE_BLOCK, &s, &c);
    *out = (cfb_score_block){.score = s.score,
                             .answered = s.answered,
                             .precision = s.precision,
                             .recall = s.recall,
                             .f1 = s.f1,
                             .n_rows = c.n_rows,
                             .n_unmatchable = c.n_unmatchable,
                             .response_chars = c.response_chars,
                             .output_chars = c.output_chars};
    memcpy(out->n_state, c.n_state, sizeof out->n_state);
}

void cfb_scorer_add_block(cfb_scorer_t *s, const cfb_score_block *b) {
    const score_sums sums = {b->score, b->answered, b->precision, b->recall, b->f1};
    score_counts c = {.n_rows = b->n_rows,
                      .n_unmatchable = b->n_unmatchable,
                      .response_chars = b->response_chars,
                      .output_chars = b->output_chars};
    memcpy(c.n_state, b->n_state, sizeof c.n_state);
    add_counts(&s->counts, &c);
    add_sums(&s->total, &sums);
}

cfb_code cfb_scorer_add_packed(cfb_scorer_t *s, cfb_str packed, size_t *n_rows, cfb_err *err) {
    const size_t room = CFB_SCORE_BLOCK - (size_t)(s->counts.n_rows % CFB_SCORE_BLOCK);
    score_counts c;
    *n_rows = 0;
    cfb_code rc = score_add_packed(packed, room, &s->open, &c, err);
    if (rc != CFB_OK) return rc;
    *n_rows = (size_t)c.n_rows;
    add_counts(&s->counts, &c);
    if (c.n_rows < room) return CFB_OK;
    add_sums(&s->total, &s->open);
    s->open = (score_sums){0};
    return CFB_OK;
}

/* ---- counts from elsewhere ---- */

void cfb_scorer_sums(const cfb_scorer_t *s, cfb_metric_sums *all, cfb_metric_sums *answered) {
    *all = *answered = (cfb_metric_sums){{0}};
    for (int i = 0; i < s->n_threads; i++) {
        cfb_metric_sums_merge(all, &s->workers[i].corpus);
        cfb_metric_sums_merge(answered, &s->workers[i].corpus_answered);
    }
}

void cfb_scorer_add_sums(cfb_scorer_t *s, const cfb_metric_sums *all, const cfb_metric_sums *answered) {
    cfb_metric_sums_merge(&s->workers[0].corpus, all);
    cfb_metric_sums_merge(&s->workers[0].corpus_answered, answered);
}

static uint32_t take_some(uint64_t *n) {
    uint32_t some = *n < (uint32_t)1 << 30 ? (uint32_t)*n : (uint32_t)1 << 30;
    *n -= some;
    return some;
}

/* In portions that a worker's table can hold. */
cfb_code cfb_scorer_add_label(cfb_scorer_t *s, cfb_str text, uint64_t actual, uint64_t predicted, uint64_t correct,
                              cfb_err *err) {
    score_worker *w = &s->workers[0];
    if (s->broken != CFB_OK) return still_broken(s, err);
    if (!s->plan.f1) return cfb_err_set(err, CFB_ECONFIG, "task '%s': the metric counts no labels", s->task->name);
    while (s->broken == CFB_OK && (actual | predicted | correct) != 0) {
        uint32_t id = label_table_intern(&w->table, text);
        if (id == LABEL_NONE) return s->broken = cfb_err_set(err, CFB_ENOMEM, "out of memory (table of labels)");
        label_count *c = &w->table.counts[id];
        uint32_t a = take_some(&actual), p = take_some(&predicted);
        c->actual += a;
        c->predicted += p;
        c->correct += take_some(&correct);
        w->n_counted += a > p ? a : p;
        s->broken = merge_part(s, w, err);
    }
    return s->broken;
}

/* ---- summary ---- */

static int compare_stats(const void *a, const void *b) {
    return cfb_str_cmp(((const cfb_label_stat *)a)->label, ((const cfb_label_stat *)b)->label);
}

static double ratio(uint64_t a, uint64_t b) { return b ? (double)a / (double)b : 0.0; }

static cfb_code make_stats(cfb_scorer_t *s, size_t *n_stats, cfb_err *err) {
    size_t n = 0, size;
    for (size_t i = 0; i < LABEL_SHARDS; i++) n += s->shards[i].n;
    free(s->stats);
    s->stats = cfb_size_mul(n ? n : 1, sizeof *s->stats, &size) ? malloc(size) : NULL;
    if (s->stats == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu labels)", n);
    cfb_label_stat *to = s->stats;
    for (size_t i = 0; i < LABEL_SHARDS; i++) {
        for (size_t k = 0; k < s->shards[i].n; k++, to++) {
            const label_total *t = &s->shards[i].totals[k];
            double p = ratio(t->correct, t->predicted), r = ratio(t->correct, t->actual);
            *to = (cfb_label_stat){.label = {t->key.ptr, t->key.len},
                                   .actual = t->actual,
                                   .predicted = t->predicted,
                                   .correct = t->correct,
                                   .precision = p,
                                   .recall = r,
                                   .f1 = p + r > 0.0 ? 2.0 * p * r / (p + r) : 0.0};
        }
    }
    qsort(s->stats, n, sizeof *s->stats, compare_stats);
    *n_stats = n;
    return CFB_OK;
}

static double mean(double sum, uint64_t n) { return n ? sum / (double)n : (double)NAN; }

/* An average over the labels of the label set, in code point order: the suite's list, or all that were seen. */
static double label_average(const cfb_scorer_t *s, size_t n_stats) {
    cfb_label_average a = {0};
    bool suite_labels = s->plan.label_set == CFB_LABELS_SUITE;
    size_t n = suite_labels ? s->task->n_labels : n_stats;
    for (size_t i = 0, k = 0; i < n; i++) {
        cfb_label_stat none = {0};
        while (suite_labels && k < n_stats && cfb_str_cmp(s->stats[k].label, s->task->labels[i]) < 0) k++;
        if (!suite_labels) k = i;
        bool seen = k < n_stats && (!suite_labels || cfb_str_eq(s->stats[k].label, s->task->labels[i]));
        const cfb_label_stat *l = seen ? &s->stats[k] : &none;
        cfb_label_average_add(&a, l->actual, l->predicted, l->correct);
    }
    return s->plan.metric == CFB_METRIC_F1_MICRO   ? cfb_label_average_micro(&a)
           : s->plan.metric == CFB_METRIC_F1_MACRO ? cfb_label_average_macro(&a)
                                                   : cfb_label_average_weighted(&a);
}

/* Puts the corpus's score in the place of the mean of rows. The per-label table is over all rows, so an average over labels of
 * answered rows alone is known only where all were answered. */
static void set_corpus_score(const cfb_scorer_t *s, cfb_score_summary *out) {
    if (s->plan.info->how == CFB_METRIC_FROM_COUNTS) {
        cfb_metric_sums all, answered;
        cfb_scorer_sums(s, &all, &answered);
        if (out->n_rows) out->mean_all = cfb_metric_finish(s->plan.metric, &all);
        if (out->n_answered) out->mean_answered = cfb_metric_finish(s->plan.metric, &answered);
    } else if (s->plan.info->how == CFB_METRIC_FROM_LABEL_MEAN && out->n_rows) {
        out->mean_all = label_average(s, out->n_labels);
        out->mean_answered = out->n_answered == out->n_rows ? out->mean_all : (double)NAN;
    }
}

cfb_code cfb_scorer_summary(cfb_scorer_t *s, cfb_score_summary *out, cfb_err *err) {
    if (s->broken != CFB_OK) return still_broken(s, err);
    size_t n_labels = 0;
    cfb_code rc = merge_labels(s, err);
    if (rc == CFB_OK) rc = make_stats(s, &n_labels, err);
    if (rc != CFB_OK) return rc;
    score_sums sum = s->total;
    if (s->counts.n_rows % CFB_SCORE_BLOCK != 0) add_sums(&sum, &s->open);
    const score_counts *c = &s->counts;
    uint64_t n_answered = c->n_state[CFB_ROW_OK] + c->n_state[CFB_ROW_TRUNCATED];
    *out = (cfb_score_summary){.n_rows = c->n_rows,
                               .n_answered = n_answered,
                               .mean_all = mean(sum.score, c->n_rows),
                               .mean_answered = mean(sum.answered, n_answered),
                               .mean_precision = mean(sum.precision, c->n_rows),
                               .mean_recall = mean(sum.recall, c->n_rows),
                               .mean_f1 = mean(sum.f1, c->n_rows),
                               .mean_response_chars = mean((double)c->response_chars, c->n_rows),
                               .mean_output_chars = mean((double)c->output_chars, c->n_rows),
                               .n_unmatchable = c->n_unmatchable,
                               .labels = s->stats,
                               .n_labels = n_labels,
                               .metric = s->metric};
    out->mean_of_rows = out->mean_all;
    memcpy(out->n_state, c->n_state, sizeof out->n_state);
    set_corpus_score(s, out);
    return CFB_OK;
}

cfb_code cfb_scorer_confusion(cfb_scorer_t *s, const uint64_t **counts, size_t *n_labels, cfb_err *err) {
    if (s->broken != CFB_OK) return still_broken(s, err);
    if (s->confusion == NULL) return cfb_err_set(err, CFB_ECONFIG, "task '%s': no confusion matrix was asked for", s->task->name);
    *counts = confusion_counts(s->confusion);
    *n_labels = s->task->n_labels;
    return CFB_OK;
}
