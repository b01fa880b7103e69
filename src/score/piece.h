/* piece.h - one piece of a block: rows that are scored together by one worker. Private to score. */
#ifndef CFB_SCORE_PIECE_H
#define CFB_SCORE_PIECE_H

#include "cfbench/metrics.h"
#include "cfbench/score.h"
#include "score/labels.h"

/* Sums of doubles, carried from row to row in the order of the file and never added across a block's end. */
typedef struct score_sums {
    double score, answered, precision, recall, f1;
} score_sums;

typedef struct score_counts {
    uint64_t n_rows, n_state[CFB_ROW_STATE_COUNT], n_unmatchable, response_chars, output_chars;
} score_counts;

/* What all pieces share. */
typedef struct score_plan {
    bool f1; /* over labels; else row by row: */
    cfb_metric metric;
    const cfb_metric_info *info;
    cfb_score_pairs pairs; /* score is not NULL: scores come with each piece */
    cfb_label_set label_set;
    size_t n_words;    /* of a row of the bit matrices: the suite's labels, or 1 where rows number their own */
    label_table start; /* the table that every worker begins with */
    bool valid_utf8;   /* all texts are: only count their characters */
    bool keep_bits;    /* leave each piece's bit matrices for the confusion matrix */
} score_plan;

/* Scratch space of one worker, reused from piece to piece. */
typedef struct score_worker {
    cfb_tf_scratch_t *tf;
    cfb_metric_scratch_t *metric;
    cfb_metric_sums corpus, corpus_answered; /* metrics from counts: of all rows, of answered rows; order is no matter */
    label_table table;                       /* of all rows since the last merge */
    text_table texts, long_texts;            /* with ids of this table */
    uint64_t *hashes;                        /* (CFB_SCORE_BLOCK, 2): of the rows' texts of up to TEXT_MOST_BYTES */
    uint32_t stamp;                          /* of the row read last: see label.in_ref */
    uint64_t n_counted;                      /* rows since the last merge */
    /* Shapes: (CFB_SCORE_BLOCK). n_items = |set(output)| with the empty label; both, n_ref, n_out without it. */
    uint32_t *tp, *n_true, *n_pred, *n_items, *both, *n_ref, *n_out;
    double *score, *precision, *recall, *f1;
    cfb_score_row *rows;
    uint64_t *truth, *pred; /* (CFB_SCORE_BLOCK, n_words) with keep_bits, else one row */
    /* The current row, where it numbers its own labels: bits beyond the first 64. */
    uint64_t *long_truth, *long_pred;
    size_t long_cap;
} score_worker;

typedef struct score_piece {
    const cfb_score_row_in *in;
    cfb_score_row *out;  /* may be NULL */
    const double *given; /* (n) with pairs */
    size_t n;
    bool add_up;
    score_sums sums; /* with add_up. Before: those of the block's earlier rows */
    score_counts counts;
    uint64_t *truth, *pred; /* (CFB_SCORE_BLOCK, n_words), with keep_bits */
    cfb_code code;
    size_t bad_row; /* where code is not OK */
} score_piece;

CFB_MUST_CHECK bool score_worker_init(score_worker *w, const score_plan *plan);
void score_worker_free(score_worker *w);
/* Forgets the labels that were met; their counts were merged. */
CFB_MUST_CHECK bool score_worker_forget(score_worker *w, const score_plan *plan);
/* Scores a piece; the result, good or bad, is in p. */
void score_piece_run(const score_plan *plan, score_worker *w, score_piece *p);
/* Adds rows to running sums and counts, one after the other. */
void score_add_rows(const cfb_score_row *rows, size_t n, score_sums *sums, score_counts *counts);
bool score_is_answered(cfb_row_state s);
/* The same for rows that cfb_score_pack packed, `most` at most. *counts: theirs alone. Errors: EBUG, and nothing is added. */
CFB_MUST_CHECK cfb_code score_add_packed(cfb_str packed, size_t most, score_sums *sums, score_counts *counts, cfb_err *err);
void score_piece_free(score_piece *p);

#endif
