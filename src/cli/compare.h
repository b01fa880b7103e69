/* compare.h - what the files of `cfbench compare` share: runs, rows that all of them have, and the numbers over these. */
#ifndef CFB_CLI_COMPARE_H
#define CFB_CLI_COMPARE_H

#include "cfbench/compare.h"
#include "cli/cli.h"

/* One model in one setting of one source: neighbouring tasks of its report. */
typedef struct cli_run {
    const cfb_scoring_t *scoring; /* borrowed */
    const cfb_report *report;     /* of it */
    size_t first, n;              /* its tasks in the scoring's report */
    const char *suite, *fingerprint;
} cli_run;

/* The rows of one task that all runs have. Arrays of n; scores by run: score[run * n + i]. */
typedef struct cli_rows {
    double *score;
    uint64_t *cluster;
    size_t *at; /* index in the first run's rows */
    size_t n;
    uint64_t n_apart, n_failed;
    bool apart; /* no two rows share an input */
    const cfb_row_scores *first;
    const char *kind;
} cli_rows;

/* Rows of task t[r] of each run r, matched by id (by number where rows have none). EDATA: the runs' references differ, or
 * there is no row in common. Owns: *out, freed with cli_rows_free also after an error. */
CFB_MUST_CHECK cfb_code cli_rows_match(const cli_run *runs, size_t n_runs, const size_t *t, cli_rows *out, cfb_err *err);
void cli_rows_free(cli_rows *r);

/* Fills a line's scores and pairs from one task's rows; p_adjusted and rank are left to cli_adjust. */
CFB_MUST_CHECK cfb_code cli_line_of_task(const cli_rows *rows, size_t n_runs, const cfb_stats_opts *o, cfb_arena_t *arena,
                                         cfb_compare_line *line, cfb_err *err);
/* The same for the mean over several tasks, each with the same weight. lines: of these tasks. */
CFB_MUST_CHECK cfb_code cli_line_of_mean(const cli_rows *const *tasks, const cfb_compare_line *const *lines, size_t n_tasks,
                                         size_t n_runs, const cfb_stats_opts *o, cfb_arena_t *arena, cfb_compare_line *line,
                                         cfb_err *err);
/* Holm's adjusted p-values over these lines and their pairs, and the ranks from them. */
CFB_MUST_CHECK cfb_code cli_adjust(cfb_compare_line *lines, size_t n, size_t n_runs, double alpha, cfb_arena_t *arena,
                                   cfb_err *err);

/* "f1 drops > 0.01 at 95%" */
typedef struct cli_gate {
    char what[80];
    double limit, confidence; /* confidence 0: the measured drop */
} cli_gate;
CFB_MUST_CHECK cfb_code cli_gate_parse(const char *text, cli_gate *out, cfb_err *err);
/* Did b of this pair drop by more than the limit below a? *drop: the drop, or its lower bound at the gate's confidence. */
bool cli_gate_holds(const cli_gate *g, const cfb_compare_pair *p, double *drop);

#endif
