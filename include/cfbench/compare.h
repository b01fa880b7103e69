/* compare.h - models compared on the same rows: what a comparison holds, and its forms for terminal, JSON, Markdown and LaTeX. */
#ifndef CFBENCH_COMPARE_H
#define CFBENCH_COMPARE_H

#include "cfbench/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs are shown as A, B, C, ... */
#define CFB_COMPARE_MAX_RUNS 26

typedef struct cfb_compare_run {
    const char *model, *setting, *source; /* NULL if unknown */
} cfb_compare_run;

/* A row where two runs score differently. */
typedef struct cfb_compare_flip {
    uint64_t row;
    cfb_str id;
    double score_a, score_b;
} cfb_compare_flip;

/* Runs a and b (a < b) on the rows of one line. Differences are b less a: above 0, b is better. Methods: docs/statistics.md. */
typedef struct cfb_compare_pair {
    size_t a, b;
    double diff, lo, hi, se; /* interval of diff; NaN where rows are too few */
    double df;               /* degrees of freedom of the interval; NaN with it */
    double p, p_adjusted;    /* Holm: over all tasks and pairs, and apart from these over all means and pairs */
    const char *test;        /* "permutation", "t" where no random pattern was as extreme, or "mcnemar mid-p" */
    double cohen_d, delta;   /* NaN for means over tasks */
    uint64_t better, same, worse;
    double detectable;             /* smallest difference seen with 80 % power at this level */
    double rows_needed;            /* rows needed to see diff with 80 % power; NaN without a difference */
    const cfb_compare_flip *flips; /* largest change first */
    size_t n_flips;                /* may be fewer than better + worse; 0 for means */
} cfb_compare_pair;

typedef struct cfb_compare_rank {
    size_t best, worst;
} cfb_compare_rank;

/* A task, or a mean over tasks. */
typedef struct cfb_compare_line {
    const char *name, *title, *kind; /* a mean's name: the kind of its tasks, or "all" */
    const char *metric;              /* NULL for a mean */
    size_t n_tasks;                  /* 0 for a task */
    bool by_rows;                    /* the metric is a corpus score, and the mean of the rows' scores is compared in its place */
    uint64_t n_rows;                 /* compared */
    uint64_t n_clusters;
    uint64_t n_apart, n_failed;          /* rows left out: not in every run; failed in one of them */
    const double *score;                 /* (n_runs) over the rows compared */
    const cfb_report_interval *interval; /* (n_runs) of these; those of means take tasks as independent */
    const cfb_compare_rank *rank;        /* (n_runs) places that the data allow */
    cfb_compare_pair *pairs;             /* (n_pairs): 0-1, 0-2, ..., 1-2, ... */
} cfb_compare_line;

/* A --fail-if condition and what became of it. */
typedef struct cfb_compare_gate {
    const char *text;
    const char *line; /* what it looked at */
    size_t run;       /* compared with run A */
    double drop;      /* A less run: the measured drop, or its lower confidence bound */
    bool failed;
} cfb_compare_gate;

typedef struct cfb_compare {
    const char *title, *version;
    double confidence;
    const cfb_compare_run *runs;
    size_t n_runs, n_pairs;
    const cfb_compare_line *lines; /* tasks, then means */
    size_t n_lines;
    const cfb_compare_gate *gates;
    size_t n_gates;
    const char *left_out;         /* names of tasks that not all runs have; "" if none */
    cfb_report_language language; /* of terminal, Markdown and page */
} cfb_compare;

/* All are appended to out. Foreign text is made safe for each form. Errors: ENOMEM, ELIMIT. */
CFB_MUST_CHECK cfb_code cfb_compare_table(const cfb_compare *c, bool color, cfb_buf *out, cfb_err *err);
/* Schema "cfbench.compare/1" (docs/json.md). */
CFB_MUST_CHECK cfb_code cfb_compare_json(const cfb_compare *c, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_compare_markdown(const cfb_compare *c, cfb_buf *out, cfb_err *err);
/* One self-contained page, as cfb_report_html: leaderboard, places, and for each pair a plot of the differences. With many runs
 * only the pairs with the first. */
CFB_MUST_CHECK cfb_code cfb_compare_html(const cfb_compare *c, cfb_buf *out, cfb_err *err);
/* A tabular without packages: lines by runs, the best and what cannot be told from it in bold, places as subscripts. */
CFB_MUST_CHECK cfb_code cfb_compare_latex(const cfb_compare *c, cfb_buf *out, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
