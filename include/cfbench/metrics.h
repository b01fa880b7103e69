/* metrics.h - the metrics as pure functions, one row at a time, and the block kernels that scoring uses.
 * The formulas are CFBenchmark's, to the last bit; docs/metrics.md states them. */
#ifndef CFBENCH_METRICS_H
#define CFBENCH_METRICS_H

#include "cfbench/buf.h"

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

#ifdef __cplusplus
}
#endif
#endif
