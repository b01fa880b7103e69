/* metrics.h - the metrics as pure functions, one row at a time, and the block kernels that scoring uses.
 * The formulas are CFBenchmark's, to the last bit; docs/metrics.md states them. */
#ifndef CFBENCH_METRICS_H
#define CFBENCH_METRICS_H

#include "cfbench/buf.h"
#include "cfbench/metric_list.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* F1 of CFBenchmark from counts: a = tp/max(n_true,1e-10), b = tp/max(n_pred,1e-10), 0 if either is 0, else 2ab/(a+b),
 * in binary64 and in this order. n_pred includes the extra class. */
double cfb_f1_from_counts(uint32_t tp, uint32_t n_true, uint32_t n_pred);

/* Block kernel: bit matrices of n_rows rows of n_words 64-bit words. For each row: tp = |truth & pred|, n_true = |truth|,
 * n_pred = |pred|. Shapes: truth, pred (n_rows, n_words) row-major; tp, n_true, n_pred (n_rows). A row has fewer than
 * 2^32 bits set. Threads: pure. */
void cfb_bits_count(const uint64_t *truth, const uint64_t *pred, size_t n_rows, size_t n_words, uint32_t *tp, uint32_t *n_true,
                    uint32_t *n_pred);

/* The extra class: n_pred[i] += 1 where no label was predicted or the output holds more items than known labels
 * (n_items[i] = |set(output)| > n_pred[i]); then score[i] = F1 from counts. Shapes: all (n_rows). Threads: pure. */
void cfb_f1_finish(const uint32_t *tp, const uint32_t *n_true, uint32_t *n_pred, const uint32_t *n_items, size_t n_rows,
                   double *score);

/* The usual precision both/n_out, recall both/n_ref and F1 2pr/(p+r) of two sets; 0 where a denominator is 0.
 * Shapes: all (n_rows). Threads: pure. */
void cfb_set_scores(const uint32_t *both, const uint32_t *n_ref, const uint32_t *n_out, size_t n_rows, double *precision,
                    double *recall, double *f1);

/* Cosine of two integer count vectors from their exact sums: dot / (sqrt(aa) * sqrt(bb)), clamped to [0, 1].
 * Edge: both empty (aa = bb = 0) 1, one empty 0. */
double cfb_cosine_from_counts(uint64_t dot, uint64_t aa, uint64_t bb);

/* Term-frequency cosine of two texts. Scratch space is reused between calls and grows as needed. A null text counts as
 * empty. Errors: EENCODING (not UTF-8), ELIMIT (a text of 4 GiB or more), ENOMEM. Threads: one scratch per thread. */
typedef struct cfb_tf_scratch cfb_tf_scratch_t;
CFB_MUST_CHECK cfb_code cfb_tf_scratch_new(cfb_tf_scratch_t **out, cfb_err *err);
void cfb_tf_scratch_free(cfb_tf_scratch_t *s);
CFB_MUST_CHECK cfb_code cfb_tf_cosine(cfb_tf_scratch_t *s, cfb_str response, cfb_str output, double *out, cfb_err *err);

/* The same, with what it is made of: exact sums over the token counts, and the lengths in code points. */
typedef struct cfb_tf_counts {
    uint64_t dot, aa, bb; /* aa: response with itself, bb: output with itself */
    size_t response_chars, output_chars;
} cfb_tf_counts;
CFB_MUST_CHECK cfb_code cfb_tf_count(cfb_tf_scratch_t *s, cfb_str response, cfb_str output, cfb_tf_counts *out, cfb_err *err);

/* ---- text metrics of one row ----
 * All compare an output with one reference. Scores are in [0, 1] and finite for every input. A null text counts as empty.
 * Errors of each: EENCODING (a text is not valid UTF-8), ELIMIT (a text of more than CFB_METRIC_MAX_BYTES; for rougeL and edit
 * also more than CFB_METRIC_MAX_CELLS pairs of tokens that are left to compare), ENOMEM. After an error the scratch space can be
 * used on. docs/metrics.md has every definition in full. */
#define CFB_METRIC_MAX_BYTES ((size_t)1 << 26)
#define CFB_METRIC_MAX_CELLS ((uint64_t)1 << 40)

/* Scratch space that all of these share. It grows with the longer text, linearly: two equal texts of 8 MiB took 16 to 60 bytes
 * for each byte of one of them (chrF most). It is reused between calls without allocation; what texts above 1 MiB needed is given
 * back at once. Threads: one per thread. */
typedef struct cfb_metric_scratch cfb_metric_scratch_t;
CFB_MUST_CHECK cfb_code cfb_metric_scratch_new(cfb_metric_scratch_t **out, cfb_err *err);
void cfb_metric_scratch_free(cfb_metric_scratch_t *s);

/* Exact match: 1 if both texts are the same after str.strip(), else 0. Both empty: 1. */
CFB_MUST_CHECK cfb_code cfb_metric_exact(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, double *out, cfb_err *err);

/* The choices A..E that a text names, as bits 0..4; 0 if it names none or leaves open which. The ordered rules are in
 * docs/metrics.md; the phrases are those that answers to Chinese choice questions use (see CFBenchmark's OpenFinData half).
 * Edge: empty text 0. Errors: EENCODING. Threads: pure. */
CFB_MUST_CHECK cfb_code cfb_metric_choices(cfb_str text, unsigned *choices, cfb_err *err);
/* Accuracy: 1 if output and reference name the same set of choices, which is not empty. *unmatchable: the reference names none.
 */
CFB_MUST_CHECK cfb_code cfb_metric_accuracy(cfb_str response, cfb_str output, double *out, bool *unmatchable, cfb_err *err);

/* ROUGE-N and ROUGE-L (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"), as Google's rouge-score computes them
 * from tokens: clipped n-gram matches (N = 1, 2) or the longest common subsequence of the whole texts (L), precision over the
 * output, recall over the reference, F = 2pr/(p+r). Tokens: str.lower(), then each CJK ideograph or kana alone, and runs of
 * other letters, marks and digits (cfb_text_class_of); all else separates.
 * Edge: 0 where a text has no n-gram of the order, so also for two empty texts, as rouge-score. */
typedef struct cfb_prf {
    double precision, recall, f;
} cfb_prf;
CFB_MUST_CHECK cfb_code cfb_metric_rouge_n(cfb_metric_scratch_t *s, unsigned n, cfb_str response, cfb_str output, cfb_prf *out,
                                           cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_metric_rouge_l(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_prf *out, cfb_err *err);

/* BLEU (Papineni et al. 2002), counts as sacreBLEU 2 with tok:zh, case:mixed, one reference, orders 1..4. The counts of rows are
 * added (all integers, in any order), and make a score at the end. */
#define CFB_BLEU_ORDER 4
typedef struct cfb_bleu_counts {
    uint64_t output_len, reference_len, match[CFB_BLEU_ORDER], total[CFB_BLEU_ORDER];
} cfb_bleu_counts;
CFB_MUST_CHECK cfb_code cfb_metric_bleu(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_bleu_counts *out,
                                        cfb_err *err);
/* BP * exp(mean log precision), smoothing "exp" (Chen and Cherry 2014, method 3: the k-th order without a match counts
 * 1/(2^k total)). effective_order: the mean goes over the orders that the output has (for single sentences); else a missing order
 * makes 0. Edge: 0 without any match, so also for empty texts. sacreBLEU's scores are 100 times these. Threads: pure. */
double cfb_bleu_score(const cfb_bleu_counts *c, bool effective_order);

/* chrF2 (Popovic 2015, 2016), counts as sacreBLEU 2: character n-grams of orders 1..6 over code points without Python's white
 * space, case kept, no word n-grams. */
#define CFB_CHRF_ORDER 6
typedef struct cfb_chrf_counts {
    uint64_t output[CFB_CHRF_ORDER], reference[CFB_CHRF_ORDER], match[CFB_CHRF_ORDER];
} cfb_chrf_counts;
CFB_MUST_CHECK cfb_code cfb_metric_chrf(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_chrf_counts *out,
                                        cfb_err *err);
/* (1+b^2) P R / (b^2 P + R) with b = 2; P and R are means of precision and recall over the orders that both sides have.
 * Edge: 0 where there is no such order or no match. sacreBLEU's scores are 100 times these. Threads: pure. */
double cfb_chrf_score(const cfb_chrf_counts *c);

/* Edit similarity 1 - d/max(m, n): d is the Levenshtein distance (insert, delete, replace: 1 each) over code points as they are,
 * m and n the lengths. Both empty: 1. Bit-parallel: Myers 1999, in blocks as Hyyro 2003; exact. *distance may be NULL. */
CFB_MUST_CHECK cfb_code cfb_metric_edit(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, double *out,
                                        uint64_t *distance, cfb_err *err);

/* Lengths in code points and in ROUGE's tokens. Sums of rows are integers; the ratios of sums are the corpus's. */
typedef struct cfb_lengths {
    uint64_t n_rows, response_chars, output_chars, response_tokens, output_tokens;
} cfb_lengths;
CFB_MUST_CHECK cfb_code cfb_metric_lengths(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_lengths *out,
                                           cfb_err *err);
void cfb_lengths_add(cfb_lengths *to, const cfb_lengths *from);
/* Output over reference, in code points and in tokens; 1 where both are 0, and NaN where only the reference is 0 (in a row or a
 * whole corpus there is then nothing to be a ratio of). Threads: pure. */
double cfb_lengths_char_ratio(const cfb_lengths *l);
double cfb_lengths_token_ratio(const cfb_lengths *l);

/* ---- averages over labels ----
 * Micro, macro and weighted F1 of multi-label rows, as scikit-learn's f1_score(average=..., zero_division=0) over the same
 * labels: micro 2*correct/(actual+predicted) of the sums; macro the mean of the labels' F1; weighted the mean weighted by actual.
 * Add every label of the set once, always in the same order (sums of doubles); a label that nobody has adds an F1 of 0 to macro.
 * Edge: no label, or a sum of 0 below the line: 0. Beside these, metric f1 is the sample-wise one. Threads: pure. */
typedef struct cfb_label_average {
    uint64_t n_labels, actual, predicted, correct;
    double f1_sum, weighted_sum;
} cfb_label_average;
void cfb_label_average_add(cfb_label_average *a, uint64_t actual, uint64_t predicted, uint64_t correct);
double cfb_label_average_micro(const cfb_label_average *a);
double cfb_label_average_macro(const cfb_label_average *a);
double cfb_label_average_weighted(const cfb_label_average *a);

/* ---- the table of metrics ---- */

/* What one row gives. counts belong to metrics of CFB_METRIC_FROM_COUNTS; 0 for others. */
#define CFB_METRIC_N_COUNTS 18
typedef struct cfb_metric_row {
    double score;
    bool reference_unmatchable; /* no output can score: accuracy, where the reference names no choice */
    size_t response_chars, output_chars;
    uint64_t counts[CFB_METRIC_N_COUNTS];
} cfb_metric_row;
/* Scores one row; *out is set in full. Errors and threads: as above. */
typedef cfb_code (*cfb_metric_row_fn)(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_row *out,
                                      cfb_err *err);

typedef enum cfb_metric_how {
    CFB_METRIC_FROM_LABELS,     /* f1: sample-wise F1; the scorer has the labels */
    CFB_METRIC_FROM_LABEL_MEAN, /* f1_micro, f1_macro, f1_weighted: from the per-label table */
    CFB_METRIC_FROM_MEAN,       /* the mean of the rows' scores */
    CFB_METRIC_FROM_PAIRS,      /* the mean of the rows' scores; the scorer is given a function for many pairs (score.h) */
    CFB_METRIC_FROM_COUNTS      /* cfb_metric_finish of the summed counts */
} cfb_metric_how;

typedef struct cfb_metric_info {
    const char *name, *full_name;
    unsigned kinds; /* bit 1 << kind for each kind of task that it suits */
    cfb_metric_how how;
    cfb_metric_row_fn row; /* NULL for metrics over labels */
} cfb_metric_info;
/* Precondition: metric < CFB_METRIC_COUNT. */
const cfb_metric_info *cfb_metric_get(cfb_metric metric);

/* Sums over rows: integers, so exact whatever the order and the number of threads. */
typedef struct cfb_metric_sums {
    uint64_t counts[CFB_METRIC_N_COUNTS];
} cfb_metric_sums;
void cfb_metric_sums_add(cfb_metric_sums *to, const cfb_metric_row *row);
void cfb_metric_sums_merge(cfb_metric_sums *to, const cfb_metric_sums *from);
/* The corpus score of a metric of CFB_METRIC_FROM_COUNTS; NaN for any other. */
double cfb_metric_finish(cfb_metric metric, const cfb_metric_sums *sums);

#ifdef __cplusplus
}
#endif
#endif
