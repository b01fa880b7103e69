/* score.h - batch-level scoring: rows of (reference, output) in, exact scores out, the same for any number of threads. */
#ifndef CFBENCH_SCORE_H
#define CFBENCH_SCORE_H

#include "cfbench/metrics.h"
#include "cfbench/suite.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What became of a row. X(NAME, name) */
#define CFB_ROW_STATE_MAP(X)                                               \
    X(OK, "ok")                                                            \
    X(EMPTY, "empty")         /* the model answered nothing */             \
    X(TRUNCATED, "truncated") /* stopped at the token limit */             \
    X(FILTERED, "filtered")   /* refused by the server's content filter */ \
    X(FAILED, "failed")       /* no answer: asked again by the next run */

typedef enum cfb_row_state {
#define CFB_X(NAME, name) CFB_ROW_##NAME,
    CFB_ROW_STATE_MAP(CFB_X)
#undef CFB_X
        CFB_ROW_STATE_COUNT
} cfb_row_state;
const char *cfb_row_state_name(cfb_row_state s);

typedef struct cfb_score_row_in {
    cfb_str response; /* the reference; null counts as empty */
    cfb_str output;   /* null counts as empty */
    cfb_row_state state;
} cfb_score_row_in;

/* Scores of one row. score is the task's metric. A failed row has no output, whatever text it carries: it scores 0, predicts no
 * label and has output_chars 0. The set_* values are the usual ones over the sets of non-empty labels (F1 tasks; else 0). The
 * *_positives are the counts that score is made of, over the metric's own labels: predicted_positives counts the extra class.
 * Lengths are in code points. */
typedef struct cfb_score_row {
    double score;
    double set_precision, set_recall, set_f1;
    uint32_t true_positives, predicted_positives, actual_positives;
    uint32_t response_chars, output_chars;
    cfb_row_state state;
    bool reference_unmatchable; /* suite labels: the reference has a label that is not in the list; row labels: some item of the
                                   reference, as the metric splits it, is not in set(response) */
} cfb_score_row;

/* One label: rows that have it in the reference, in the output, in both; the usual precision correct/predicted and
 * recall correct/actual (0 where the denominator is 0). */
typedef struct cfb_label_stat {
    cfb_str label;
    uint64_t actual, predicted, correct;
    double precision, recall, f1;
} cfb_label_stat;

typedef struct cfb_score_summary {
    uint64_t n_rows, n_state[CFB_ROW_STATE_COUNT];
    uint64_t n_answered; /* rows with state ok or truncated */
    /* The task's score over all rows, rows without an answer included, as upstream, and over answered rows (NaN if there are
     * none). The mean of the rows' scores, or, for metrics from counts and averages over labels, the corpus's score (metrics.h);
     * an average over labels of answered rows is given where all rows were answered, else NaN. */
    double mean_all, mean_answered;
    double mean_of_rows;                         /* of the rows' scores over all rows, whatever the metric */
    double mean_precision, mean_recall, mean_f1; /* of set_*, over all rows (F1 tasks) */
    double mean_response_chars, mean_output_chars;
    uint64_t n_unmatchable;
    const cfb_label_stat *labels; /* every non-empty label seen in a reference or an output, sorted by code point (F1 tasks) */
    size_t n_labels;
    const char *metric; /* the metric's full name, such as "f1 (labels: suite)" or "tf cosine" */
} cfb_score_summary;

/* A metric that needs many pairs at a time, such as the cosine of embeddings: scores[i] of rows[0..n). Called by the thread that
 * calls cfb_scorer_add, with at most 65,536 rows, or by any that is in cfb_scorer_score_part, one at a time for a scorer; what it
 * gives for a failed row is not used. name: the metric's full name. Errors: EENCODING with err->offset = index in rows; any
 * other. */
typedef struct cfb_score_pairs {
    cfb_code (*score)(void *ctx, const cfb_score_row_in *rows, size_t n, double *scores, cfb_err *err);
    void *ctx;
    const char *name;
} cfb_score_pairs;

typedef struct cfb_score_opts {
    int n_threads;           /* 0 = all cores */
    cfb_label_set label_set; /* for F1 tasks that are not `row` */
    size_t max_labels;       /* distinct labels in the per-label table; more is ELIMIT */
    bool confusion;          /* count label by label: see cfb_scorer_confusion */
    cfb_score_pairs pairs;   /* for metrics of CFB_METRIC_FROM_PAIRS, which need one */
    bool valid_utf8;         /* all texts are known to be valid UTF-8, as a scan's cells are: F1 does not check it once more */
} cfb_score_opts;
#define CFB_SCORE_OPTS_INIT \
    { 0, CFB_LABELS_SUITE, (size_t)8 << 20, false, {NULL, NULL, NULL}, false }

typedef struct cfb_scorer cfb_scorer_t;

/* Formulas: see metrics.h. Level 3: rows are cut into blocks of CFB_SCORE_BLOCK rows (counted over the whole file, never a
 * function of threads or of how rows arrive); blocks are scored in parallel; sums are one partial per block, added in
 * block order. Threads: one thread per scorer calls it; it uses n_threads itself. */
#define CFB_SCORE_BLOCK 1024
/* The task (and its labels) must outlive the scorer, and so must pairs. Errors: ECONFIG (suite labels wanted, and the task has
 * none; a metric of pairs without them; confusion without suite labels), ELIMIT (confusion for more than
 * CFB_SCORE_CONFUSION_LABELS labels), ENOMEM. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_scorer_new(const cfb_task *task, const cfb_score_opts *opts, cfb_scorer_t **out, cfb_err *err);
/* Scores n more rows. out (n) receives their scores and may be NULL. Texts are only read during the call. Fast when a call
 * brings many blocks: a call is one or more parallel regions.
 * Errors: EENCODING with err->offset = index in `rows` for broken UTF-8 (the lowest such row of its 64 blocks); ELIMIT; ENOMEM.
 * After an error every later call on s but cfb_scorer_free returns the same code. */
CFB_MUST_CHECK cfb_code cfb_scorer_add(cfb_scorer_t *s, const cfb_score_row_in *rows, size_t n, cfb_score_row *out, cfb_err *err);
/* The same in two steps, for rows that several threads have in parts (cfb_scan_job's work and commit):
 * cfb_scorer_score_part scores n rows into out (n). Any number of threads may be in it at once, each with a worker of its own,
 * 0 .. n_threads-1; in a scan use the scan's worker, and the scan's number of threads for opts.n_threads. Texts are only read
 * during the call. Labels are counted here: what was scored counts, so score what you keep. Errors: as cfb_scorer_add (offset:
 * index in `rows`); ECONFIG with opts.confusion. An error in one thread does not stop the others. cfb_scorer_add_part adds the
 * scores of n rows to the sums. One thread at a time, the rows in their final order; how they are spread over calls does not
 * matter. The result is that of cfb_scorer_add, bit by bit. Not to be mixed with it on one scorer. */
CFB_MUST_CHECK cfb_code cfb_scorer_score_part(cfb_scorer_t *s, int worker, const cfb_score_row_in *rows, size_t n,
                                              cfb_score_row *out, cfb_err *err);
void cfb_scorer_add_part(cfb_scorer_t *s, const cfb_score_row *rows, size_t n);
/* A whole block added up elsewhere: what cfb_scorer_add_part does with its CFB_SCORE_BLOCK rows, bit by bit. Only where a block
 * begins: behind a multiple of CFB_SCORE_BLOCK rows. */
typedef struct cfb_score_block {
    double score, answered, precision, recall, f1;
    uint64_t n_rows, n_state[CFB_ROW_STATE_COUNT], n_unmatchable, response_chars, output_chars;
} cfb_score_block;
void cfb_score_block_of(const cfb_score_row rows[CFB_SCORE_BLOCK], cfb_score_block *out); /* pure */
void cfb_scorer_add_block(cfb_scorer_t *s, const cfb_score_block *b);
/* Rows of a block whose others are elsewhere: what of them can be added here goes into `out`, appended, for a process of the same
 * build. n: at most CFB_SCORE_BLOCK. Errors: ENOMEM. cfb_scorer_add_packed does with it what cfb_scorer_add_part does with the
 * rows, bit by bit; they must end where the block of the next row ends, or before. Errors: EBUG (not made by cfb_score_pack, or
 * rows of two blocks); nothing is added then. */
CFB_MUST_CHECK cfb_code cfb_score_pack(const cfb_score_row *rows, size_t n, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_scorer_add_packed(cfb_scorer_t *s, cfb_str packed, size_t *n_rows, cfb_err *err);
/* The summary of all rows so far; borrowed until the next call on s. Means are NaN where there is no row. */
CFB_MUST_CHECK cfb_code cfb_scorer_summary(cfb_scorer_t *s, cfb_score_summary *out, cfb_err *err);
/* How often label i of the suite was in the reference while label j was in the output: (*counts)[i * *n_labels + j], a
 * matrix product truth^T pred per block. Needs opts.confusion, else ECONFIG. Borrowed until the next call on s. */
#define CFB_SCORE_CONFUSION_LABELS 4096
CFB_MUST_CHECK cfb_code cfb_scorer_confusion(cfb_scorer_t *s, const uint64_t **counts, size_t *n_labels, cfb_err *err);
void cfb_scorer_free(cfb_scorer_t *s);

/* ---- counts from elsewhere: rows that another process has scored, and that come here by cfb_scorer_add_part alone ---- */

/* What a metric of CFB_METRIC_FROM_COUNTS has added up: all rows, answered rows. Zero for others. Integers: exact in any order.
 */
void cfb_scorer_sums(const cfb_scorer_t *s, cfb_metric_sums *all, cfb_metric_sums *answered);
void cfb_scorer_add_sums(cfb_scorer_t *s, const cfb_metric_sums *all, const cfb_metric_sums *answered);
/* Rows that have a label in the reference, in the output, in both. Errors: ECONFIG (the metric is not over labels), ELIMIT,
 * ENOMEM; as after cfb_scorer_add. Not while others are in cfb_scorer_score_part. */
CFB_MUST_CHECK cfb_code cfb_scorer_add_label(cfb_scorer_t *s, cfb_str label, uint64_t actual, uint64_t predicted,
                                             uint64_t correct, cfb_err *err);

/* ---- labels of single texts ---- */

/* Takes the next non-empty label off *rest, as F1 tasks read a text: parts between commas of either width, stripped. False at the
 * end. *out is borrowed from the text. Threads: pure. */
bool cfb_label_next(cfb_str *rest, cfb_str *out);

/* Counts which labels stand in for which: in a row, each label of the reference that the output misses is paired with each label
 * of the output that the reference has not. With one label in each, that is the confusion matrix beside its diagonal. One thread
 * at a time. Of a text's labels the first 64 count. */
typedef struct cfb_confused cfb_confused_t;
typedef struct cfb_confused_pair {
    cfb_str reference, output;
    uint64_t n; /* rows */
} cfb_confused_pair;
CFB_MUST_CHECK cfb_code cfb_confused_new(cfb_confused_t **out, cfb_err *err);
void cfb_confused_free(cfb_confused_t *c); /* NULL is fine */
CFB_MUST_CHECK cfb_code cfb_confused_add(cfb_confused_t *c, cfb_str response, cfb_str output, cfb_err *err);
/* All pairs, most rows first, then by code point. Borrowed until the next call on c. */
CFB_MUST_CHECK cfb_code cfb_confused_list(cfb_confused_t *c, const cfb_confused_pair **pairs, size_t *n, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
