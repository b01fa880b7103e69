/* metric_list.h - the names of all metrics: one list, from which suite.json, --metric, the table of metrics.h and every report
 * take them. docs/metrics.md says what each one computes. */
#ifndef CFBENCH_METRIC_LIST_H
#define CFBENCH_METRIC_LIST_H

#ifdef __cplusplus
extern "C" {
#endif

/* Which kinds of task a metric suits: bits by the order of cfb_task_kind (recognition, classification, generation). */
#define CFB_FOR_LABELS 3u
#define CFB_FOR_TEXT 4u
#define CFB_FOR_CHOICE 6u
#define CFB_FOR_ALL 7u

/* X(NAME, name, kinds, how the task's score comes about, row function in src/metrics/table.c, full name)
 * LABELS: from sets of labels; the scorer adds the label set to the full name. MEAN: the mean of the rows' scores. COUNTS: from
 * integer counts that are summed over all rows. LABEL_MEAN: a row's score is its f1, the task's score an
 * average over labels. PAIRS: as MEAN; there is no row function, the scorer is given one for many pairs (score.h). New metrics go
 * at the end: a suite's fingerprint holds a metric's number. */
#define CFB_METRIC_MAP(X)                                                                                             \
    X(F1, "f1", CFB_FOR_ALL, LABELS, none, "f1")                                                                      \
    X(TF, "tf", CFB_FOR_TEXT, MEAN, tf, "tf cosine")                                                                  \
    X(EXACT, "exact_match", CFB_FOR_ALL, MEAN, exact, "exact match (outer white space stripped)")                     \
    X(ACCURACY, "accuracy", CFB_FOR_CHOICE, MEAN, accuracy, "accuracy (choices A-E, extracted)")                      \
    X(F1_MICRO, "f1_micro", CFB_FOR_ALL, LABEL_MEAN, none, "f1 micro")                                                \
    X(F1_MACRO, "f1_macro", CFB_FOR_ALL, LABEL_MEAN, none, "f1 macro")                                                \
    X(F1_WEIGHTED, "f1_weighted", CFB_FOR_ALL, LABEL_MEAN, none, "f1 weighted")                                       \
    X(ROUGE1, "rouge1", CFB_FOR_TEXT, MEAN, rouge1, "rouge1 f (tokens: cjk characters, words; lower)")                \
    X(ROUGE2, "rouge2", CFB_FOR_TEXT, MEAN, rouge2, "rouge2 f (tokens: cjk characters, words; lower)")                \
    X(ROUGEL, "rougeL", CFB_FOR_TEXT, MEAN, rougeL, "rougeL f (tokens: cjk characters, words; lower)")                \
    X(BLEU, "bleu", CFB_FOR_TEXT, COUNTS, bleu, "bleu corpus (order 4, tok zh, case mixed, smooth exp, eff no)")      \
    X(BLEU_SENTENCE, "bleu_sentence", CFB_FOR_TEXT, MEAN, bleu,                                                       \
      "bleu mean of rows (order 4, tok zh, case mixed, smooth exp, eff yes)")                                         \
    X(CHRF, "chrf", CFB_FOR_TEXT, COUNTS, chrf, "chrF2 corpus (order 6, case mixed, space no)")                       \
    X(CHRF_SENTENCE, "chrf_sentence", CFB_FOR_TEXT, MEAN, chrf, "chrF2 mean of rows (order 6, case mixed, space no)") \
    X(EDIT, "edit", CFB_FOR_TEXT, MEAN, edit, "edit similarity (levenshtein, code points)")                           \
    X(BGE, "bge", CFB_FOR_TEXT, PAIRS, none, "bge cosine")                                                            \
    X(BERTSCORE, "bertscore", CFB_FOR_TEXT, PAIRS, none, "bertscore f1")

typedef enum cfb_metric {
#define CFB_X(NAME, name, kinds, how, row, full) CFB_METRIC_##NAME,
    CFB_METRIC_MAP(CFB_X)
#undef CFB_X
        CFB_METRIC_COUNT
} cfb_metric;

/* Metrics over sets of labels: they have a label set, a per-label table, and set precision and recall. */
static inline int cfb_metric_is_over_labels(cfb_metric m) {
    return m == CFB_METRIC_F1 || m == CFB_METRIC_F1_MICRO || m == CFB_METRIC_F1_MACRO || m == CFB_METRIC_F1_WEIGHTED;
}

/* Metrics that are computed for many pairs at a time, with a model. */
static inline int cfb_metric_is_of_pairs(cfb_metric m) { return m == CFB_METRIC_BGE || m == CFB_METRIC_BERTSCORE; }

#ifdef __cplusplus
}
#endif
#endif
