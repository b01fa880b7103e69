/* cli.h - what the commands share. One file per command: cmd_NAME.c. */
#ifndef CFB_CLI_CLI_H
#define CFB_CLI_CLI_H

#include "cfbench/base.h"
#include "cfbench/config.h"
#include "cfbench/generate.h"
#include "cfbench/report.h"
#include "cfbench/score.h"
#include "cfbench/stats.h"
#include "cfbench/store.h"
#include "cfbench/suite.h"

#include <limits.h>

/* Commands. A non-OK code becomes the exit status; the message is printed by main. */
cfb_code cfb_cmd_run(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_generate(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_score(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_report(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_compare(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_verify(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_export(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_convert(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_prompt(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_mock(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_batch(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_cache(const cfb_config *c, cfb_err *err);

/* ---- ui.c: signals, log, progress ---- */

/* On after the first SIGINT/SIGTERM: start nothing more; abort follows with the second: give up calls under way. announce: say so
 * on standard error when the first one comes. */
extern cfb_stop cfb_cli_stop, cfb_cli_abort;
void cfb_cli_catch_signals(bool announce);
void cfb_cli_release_signals(void); /* signals end the program again: what follows is atomic or can be made again */
void cfb_cli_log_to_stderr(const cfb_config *c);
CFB_MUST_CHECK cfb_code cfb_cli_log_to_file(const cfb_config *c, cfb_err *err); /* --log, if it is given */
void cfb_cli_log_end(const char *message); /* closes it, with the error that ended the program, or NULL */
/* Draws p until stopped: lines that are redrawn on a terminal, or a plain line now and then. */
typedef struct cfb_cli_progress cfb_cli_progress_t;
cfb_cli_progress_t *cfb_cli_progress_start(const cfb_config *c, cfb_progress *p);
void cfb_cli_progress_stop(cfb_cli_progress_t *d);
bool cfb_cli_use_color(const cfb_config *c, FILE *f);

/* ---- pick.c: options -> suite, tasks, rows ---- */

cfb_shot cfb_cli_shot(const cfb_config *c);
/* Indices of the tasks of --tasks (all without it), in the suite's order, in *tasks (malloc). EUSAGE names an unknown task
 * and those there are. */
CFB_MUST_CHECK cfb_code cfb_cli_pick_tasks(const cfb_config *c, const cfb_suite_t *s, size_t **tasks, size_t *n, cfb_err *err);
/* Is a task named by --tasks (or is there no --tasks)? */
bool cfb_cli_is_picked(const cfb_config *c, const char *task);
/* OUT/run.db, or the path itself if that is a run store. */
CFB_MUST_CHECK cfb_code cfb_cli_store_path(const char *out, char path[PATH_MAX], cfb_err *err);
/* Writes all of b to standard output. EIO/ENOSPACE if that fails (a full disk behind a redirection). */
CFB_MUST_CHECK cfb_code cfb_cli_print(cfb_str text, cfb_err *err);

/* ---- metric.c: --metric ---- */

/* The metric of a task: that of --metric, or else the suite's. EUSAGE: it does not suit the task. */
CFB_MUST_CHECK cfb_code cfb_cli_metric(const cfb_config *c, const cfb_task *t, cfb_metric *out, cfb_err *err);
/* Does every part of --metric concern one of these tasks? EUSAGE names the part that does not. */
CFB_MUST_CHECK cfb_code cfb_cli_check_metrics(const cfb_config *c, const cfb_task *const *tasks, size_t n, cfb_err *err);

/* ---- sink.c: scored rows of one task -> summary, worst and failed rows, export ---- */

typedef struct cfb_sink_row {
    uint64_t row;
    cfb_str id, input, response, output;
    cfb_row_state state;
    const char *fail, *message; /* of a failed row */
} cfb_sink_row;

/* ---- rows.c: row scores of a task, kept for statistics ---- */

/* Beyond so many rows Student's t interval differs from BCa by less than 1 % of its width. */
#define CFB_ROWS_FOR_INTERVAL 20000

typedef struct cfb_kept_row {
    uint64_t row, cluster, reference; /* hashes: rows with the same input share `cluster` */
    double score;
    size_t id_at, id_len;
    cfb_row_state state;
} cfb_kept_row;

typedef struct cfb_rows_kept {
    cfb_kept_row *rows;
    size_t n, cap, max; /* rows behind the first `max` are only counted */
    bool with_ids;
    cfb_buf ids;
    /* over all rows */
    uint64_t n_all;
    double sum, squares;
    bool binary; /* every score is 0 or 1 */
} cfb_rows_kept;

void cfb_rows_init(cfb_rows_kept *t, size_t max, bool ids);
void cfb_rows_free(cfb_rows_kept *t);
/* Once for every row, in order; then cfb_rows_keep, if it wants the row. */
static inline void cfb_rows_count(cfb_rows_kept *t, double score) {
    t->n_all++;
    t->sum += score;
    t->squares += score * score;
    t->binary = t->binary && (score == 0 || score == 1);
}
static inline bool cfb_rows_wants(const cfb_rows_kept *t) { return t->n < t->max; }
CFB_MUST_CHECK cfb_code cfb_rows_keep(cfb_rows_kept *t, const cfb_sink_row *r, double score, cfb_err *err);
cfb_str cfb_rows_id(const cfb_rows_kept *t, size_t i); /* borrowed */
/* The interval of s->mean_all; *out is zeroed where there is none. */
CFB_MUST_CHECK cfb_code cfb_rows_interval(const cfb_rows_kept *t, const cfb_config *c, cfb_metric metric,
                                          const cfb_score_summary *s, cfb_report_interval *out, cfb_err *err);
/* --confidence, --resamples, --seed, --threads. */
cfb_stats_opts cfb_cli_stats_opts(const cfb_config *c);

typedef struct cfb_sink cfb_sink_t;
typedef struct cfb_sink_opts {
    const cfb_task *task;
    cfb_score_opts score;
    cfb_export_t *export; /* owned from here on; NULL = none */
    bool keep_scores;     /* for cfb_sink_scores */
    bool keep_all;        /* cfb_sink_rows holds every row, with its id */
} cfb_sink_opts;
CFB_MUST_CHECK cfb_code cfb_sink_new(const cfb_sink_opts *o, cfb_sink_t **out, cfb_err *err);
/* Scores n rows; strings are read during the call only. */
CFB_MUST_CHECK cfb_code cfb_sink_add(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, cfb_err *err);
/* The same in two steps, as cfb_scorer_score_part and cfb_scorer_add_part: from any thread, then in order. */
CFB_MUST_CHECK cfb_code cfb_sink_score(cfb_sink_t *s, int worker, const cfb_score_row_in *rows, size_t n, cfb_score_row *out,
                                       cfb_err *err);
/* row(ctx, i, &r) fills in the texts of row i: only rows that are exported or kept are asked for. */
typedef cfb_code (*cfb_sink_row_fn)(void *ctx, size_t i, cfb_sink_row *r, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_sink_take(cfb_sink_t *s, const cfb_score_row *scores, size_t n, cfb_sink_row_fn row, void *ctx,
                                      cfb_err *err);
/* Ends: commits the export, fills the report's task (borrowed from s). */
CFB_MUST_CHECK cfb_code cfb_sink_finish(cfb_sink_t *s, cfb_report_task *out, cfb_err *err);
const cfb_task *cfb_sink_task(const cfb_sink_t *s);
size_t cfb_sink_scores(const cfb_sink_t *s, const int64_t **rows, const double **scores);
const cfb_rows_kept *cfb_sink_rows(const cfb_sink_t *s);
void cfb_sink_free(cfb_sink_t *s);

/* ---- scoring.c: sources -> report ---- */

typedef struct cfb_scoring cfb_scoring_t; /* owns everything that a report borrows */
CFB_MUST_CHECK cfb_code cfb_scoring_new(const cfb_config *c, cfb_scoring_t **out, cfb_err *err);
void cfb_scoring_free(cfb_scoring_t *s);
/* Scores every task of a run store. export_dir: where upstream's files go, or NULL. what: CFB_EXPORT_* */
CFB_MUST_CHECK cfb_code cfb_scoring_add_store(cfb_scoring_t *s, const char *path, const char *export_dir, unsigned what,
                                              cfb_err *err);
/* Scores a response file. */
CFB_MUST_CHECK cfb_code cfb_scoring_add_file(cfb_scoring_t *s, const char *path, const char *export_dir, unsigned what,
                                             cfb_err *err);
/* Adds every run store and response file that a path names or holds (cmd_score.c). */
CFB_MUST_CHECK cfb_code cfb_cli_score_path(cfb_scoring_t *s, const char *path, cfb_err *err);
/* Does every part of --metric concern a task that was scored? EUSAGE names the part that does not. */
CFB_MUST_CHECK cfb_code cfb_scoring_check_metrics(const cfb_scoring_t *s, cfb_err *err);
/* Keeps every row for cfb_scoring_rows, and writes nothing back into run stores. Call before anything is added. */
void cfb_scoring_keep_rows(cfb_scoring_t *s);
const cfb_task *cfb_scoring_task(const cfb_scoring_t *s, size_t task); /* as it is scored */
const cfb_rows_kept *cfb_scoring_rows(const cfb_scoring_t *s, size_t task);
/* Gives every task its interval. */
CFB_MUST_CHECK cfb_code cfb_scoring_intervals(cfb_scoring_t *s, cfb_err *err);
/* The report of all that was added; borrowed from s. */
const cfb_report *cfb_scoring_report(cfb_scoring_t *s);
uint64_t cfb_scoring_n_failed(const cfb_scoring_t *s);
/* The source that reports name, for all tasks. */
CFB_MUST_CHECK cfb_code cfb_scoring_name_source(cfb_scoring_t *s, const char *source, cfb_err *err);
/* scores.json, report.html and report.md into dir (NULL = none). */
CFB_MUST_CHECK cfb_code cfb_scoring_write(cfb_scoring_t *s, const char *dir, cfb_err *err);
/* The same, and table or JSON to standard output; scores.json, report.html and report.md into dir (NULL = none). */
CFB_MUST_CHECK cfb_code cfb_scoring_publish(cfb_scoring_t *s, const char *dir, cfb_err *err);

#endif
