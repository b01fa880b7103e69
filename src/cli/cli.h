/* cli.h - what the commands share. One file per command: cmd_NAME.c. */
#ifndef CFB_CLI_CLI_H
#define CFB_CLI_CLI_H

#include "cfbench/base.h"
#include "cfbench/config.h"
#include "cfbench/json.h"
#include "cfbench/embed.h"
#include "cfbench/expr.h"
#include "cfbench/generate.h"
#include "cfbench/report.h"
#include "cfbench/scan.h"
#include "cfbench/score.h"
#include "cfbench/score_shard.h"
#include "cfbench/stats.h"
#include "cfbench/store.h"
#include "cfbench/suite.h"

#include <limits.h>
#include <stdatomic.h>

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
cfb_code cfb_cmd_merge(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_limiter(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_embed(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_doctor(const cfb_config *c, cfb_err *err);
cfb_code cfb_cmd_tune(const cfb_config *c, cfb_err *err);

/* ---- ui.c: signals, log; progress.c ---- */

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
/* currency: of p's cost; NULL = costs are unknown. */
cfb_cli_progress_t *cfb_cli_progress_start(const cfb_config *c, cfb_progress *p, const char *currency);
/* The same for reading files: bytes done of bytes_total (0 = unknown), rows, bytes/s, time left. */
typedef struct cfb_cli_bytes {
    const cfb_scan_meter *meter;
    atomic_ullong done; /* bytes beside those of the meter: sources that are done and were not scanned */
    uint64_t total;
    atomic_size_t n_sources_done;
    size_t n_sources;
} cfb_cli_bytes;
cfb_cli_progress_t *cfb_cli_progress_start_bytes(const cfb_config *c, const cfb_cli_bytes *b);
void cfb_cli_progress_stop(cfb_cli_progress_t *d);
bool cfb_cli_use_color(const cfb_config *c, FILE *f);
cfb_report_language cfb_cli_language(const cfb_config *c); /* --language; English for commands without it */
/* Around everything that is written to standard error while a run goes on: takes its lock and takes away the lines of the
 * progress display; n_drawn: lines just written that the next one takes away. */
void cfb_cli_stderr_begin(void);
void cfb_cli_stderr_end(size_t n_drawn);

/* A stage of a command on the main thread, for --profile-out: begin gives what end wants; name lives as long as the program. */
int64_t cfb_cli_stage_begin(void);
void cfb_cli_stage_end(const char *name, int64_t begin_ns);

/* ---- pick.c: options -> suite, tasks, rows ---- */
/* The texts of one column of a data set, some at a time; first: number of the first of them, from 0. *n: how many there were. The
 * texts are gone after the call. A code of fn ends it. */
typedef cfb_code (*cfb_cli_texts_fn)(void *ctx, const cfb_str *texts, size_t n, size_t first, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_each_text(const char *path, const char *column, cfb_cli_texts_fn fn, void *ctx, size_t *n,
                                          cfb_err *err);

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
/* Ends w's document, which is in b, prints it with a new line behind it, and frees b. */
CFB_MUST_CHECK cfb_code cfb_cli_print_json(cfb_jw *w, cfb_buf *b, cfb_err *err);

/* ---- cmd_limiter.c ---- */

#define CFB_LIMITER_TOKEN_SIZE 256
/* The token of --limiter-token-file or CFBENCH_LIMITER_TOKEN. Errors: ECONFIG, those of reading the file. */
CFB_MUST_CHECK cfb_code cfb_cli_limiter_token(const cfb_config *c, char token[CFB_LIMITER_TOKEN_SIZE], cfb_err *err);
void cfb_cli_set_limits(const cfb_config *c, cfb_limits *out); /* asking.c: --rps, --rpm, --tpm, --api-rate-limit */

/* ---- place.c: this process's place in a cluster job ---- */

/* Settles when the job ends (c->end_ns) and where its scratch is, and --shard: c->shard_index, shard_count; c->out becomes the
 * shard's folder. EUSAGE: what is wrong with it, or not known. */
CFB_MUST_CHECK cfb_code cfb_cli_place(cfb_config *c, cfb_err *err);
cfb_store_mode cfb_cli_store_mode(const cfb_config *c); /* --store-locks */
/* Stores of the same run beside a shard's own, with another number of shards, or whole: their replies are taken over. Those that
 * are of another configuration, or cannot be read, are left out with a word. *stores: malloc, each to be closed. */
CFB_MUST_CHECK cfb_code cfb_cli_earlier_stores(const cfb_config *c, cfb_store_t *own, cfb_store_t ***stores, size_t *n,
                                               cfb_err *err);
void cfb_cli_close_stores(cfb_store_t **stores, size_t n);
void cfb_cli_remove_scratch(const cfb_config *c); /* of a rank other than 0: its c->out */
/* ---- cmd_score.c, score_shard.c ---- */

#define CFB_SCORE_SHARD_FILE "scores.shard" /* in the folder of a shard of `score` */
/* shards: the scores of all rows, in place of scoring; NULL: none. */
CFB_MUST_CHECK cfb_code cfb_cli_score(const cfb_config *c, cfb_score_shards_t *shards, cfb_err *err);
/* Joins shards of `score`, as one process would have scored: into the folder out. */
CFB_MUST_CHECK cfb_code cfb_cli_merge_scores(const cfb_config *c, const char *out, const char *const *paths, size_t n,
                                             cfb_err *err);

/* ---- embedding.c: the embedding model ---- */

/* The encoder of --embed-model or the server of --embed-url, and the cache of --embed-cache, opened when first asked for and kept
 * until cfb_cli_embed_close. ECONFIG and ENOTFOUND say how to get a model, or how to do without. */
CFB_MUST_CHECK cfb_code cfb_cli_embed_open(const cfb_config *c, size_t *dim, cfb_err *err);
/* Vectors of texts, of length 1, through the cache: out (n, dim). Errors: as cfb_encoder_embed, and those of the network. */
CFB_MUST_CHECK cfb_code cfb_cli_embed_texts(const cfb_str *texts, size_t n, float *out, cfb_err *err);
/* What the vectors are of, and what the encoder has computed so far (zeros: a server's). While it is open. */
const char *cfb_cli_embed_source(cfb_encoder_work *work);
void cfb_cli_embed_hash(char hash[65]); /* of all that decides a vector but its text, once the model is open */
/* ---- embed_shard.c ---- */
#define CFB_NPY_HEADER 128 /* bytes */
CFB_MUST_CHECK cfb_code cfb_cli_npy_header(cfb_file_writer_t *w, size_t n, size_t dim, cfb_err *err);
/* Which vectors a file holds: those of texts cfb_cli_embed_first(index, ...) to cfb_cli_embed_first(index + 1, ...) of n. */
typedef struct cfb_embed_shard {
    uint64_t index, count, input; /* input: a hash of all texts */
    size_t n, dim;
    char model[65]; /* cfb_cli_embed_hash */
} cfb_embed_shard;
size_t cfb_cli_embed_first(uint64_t index, uint64_t count, size_t n); /* count 0: one process has all. Pure. */
CFB_MUST_CHECK cfb_code cfb_cli_embed_shard_end(cfb_file_writer_t *w, const cfb_embed_shard *s, cfb_err *err);
bool cfb_cli_is_npy(const char *path);
/* All shards of one embedding, in any order, become the file out. */
CFB_MUST_CHECK cfb_code cfb_cli_merge_vectors(const cfb_config *c, const char *out, const char *const *paths, size_t n,
                                              cfb_err *err);
/* ---- embed_remote.c ---- */
CFB_MUST_CHECK cfb_code cfb_cli_remote_open(const cfb_config *c, size_t *dim, char name[320], char hash[65], cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_remote_embed(void *ctx, const cfb_str *texts, size_t n, float *out, size_t *index, cfb_err *err);
void cfb_cli_remote_close(void);
/* The metric bge: cosines of embeddings, and their calibration. */
CFB_MUST_CHECK cfb_code cfb_cli_embed_pairs(const cfb_config *c, cfb_score_pairs *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_embed_calibrate(void *ctx, const cfb_str *responses, const cfb_str *outputs, size_t n,
                                                cfb_report_calibration *out, double *percentiles, cfb_err *err);
/* --precision */
cfb_precision cfb_cli_precision(const cfb_config *c);
/* The threads of a scan come each with a part of its file: an encoder works for one at a time, with all threads. */
void cfb_cli_embed_lock(void);
void cfb_cli_embed_unlock(void);

/* ---- bertscore.c ---- */
CFB_MUST_CHECK cfb_code cfb_cli_bertscore_pairs(const cfb_config *c, cfb_score_pairs *out, cfb_err *err);
void cfb_cli_bertscore_close(void);

/* Either of them; the model is opened when first asked for. */
CFB_MUST_CHECK cfb_code cfb_cli_pairs(const cfb_config *c, cfb_metric metric, cfb_score_pairs *out, cfb_err *err);
void cfb_cli_embed_close(void);

/* ---- metric.c: --metric ---- */

/* The metric of a task: that of --metric, or else the suite's. EUSAGE: it does not suit the task. */
CFB_MUST_CHECK cfb_code cfb_cli_metric(const cfb_config *c, const cfb_task *t, cfb_metric *out, cfb_err *err);
/* Does every part of --metric concern one of these tasks? EUSAGE names the part that does not. */
CFB_MUST_CHECK cfb_code cfb_cli_check_metrics(const cfb_config *c, const cfb_task *const *tasks, size_t n, cfb_err *err);

/* ---- sink.c: scored rows of one task -> summary, worst, failed and sampled rows, export ---- */

typedef struct cfb_sink_row {
    uint64_t row, line;  /* line: where it starts in its file, from 1; 0 = there are no lines */
    uint64_t same_input; /* a hash that rows with the same input share; 0 = that of `input` */
    size_t source;       /* as the caller numbers them */
    cfb_str id, input, response, output;
    cfb_row_state state;
    const char *fail, *message; /* of a failed row */
} cfb_sink_row;

typedef struct cfb_sink_kept {
    double key;
    uint64_t order; /* number of the row in its sink */
    cfb_report_row row;
    cfb_score_row score;
    uint64_t line;
    size_t source;
    char *texts; /* the memory behind row's strings */
} cfb_sink_kept;

/* ---- row_scores.c: row scores of a task, kept for statistics ---- */

/* Beyond so many rows Student's t interval differs from BCa by less than 1 % of its width. */
#define CFB_ROWS_FOR_INTERVAL 20000

/* What tells a row from others, where all rows are kept. */
typedef struct cfb_row_key {
    uint64_t row, reference; /* reference: a hash */
    size_t id_at, id_len;
    cfb_row_state state;
} cfb_row_key;

/* Sums of scores that do not depend on the order of the rows: in units of 2^-52, each score cut to whole ones. Scores beyond
 * 2^40, which a strange baseline can make, count as 2^40; what is no number counts as 0. */
__extension__ typedef __int128 cfb_exact_sum;
#define CFB_EXACT_UNITS 4503599627370496.0
cfb_exact_sum cfb_exact_large(double score);
static inline cfb_exact_sum cfb_exact(double score) {
    return score > -1024 && score < 1024 ? (int64_t)(score * CFB_EXACT_UNITS) : cfb_exact_large(score);
}
static inline double cfb_exact_value(cfb_exact_sum s) { return (double)s / CFB_EXACT_UNITS; }

typedef struct cfb_row_scores {
    double *score;      /* (n) */
    uint64_t *cluster;  /* (n) rows with the same input share it */
    cfb_row_key *key;   /* (n), if with_keys */
    size_t n, cap, max; /* rows behind the first `max` are only counted */
    bool with_keys;
    cfb_buf ids;
    /* over all rows */
    uint64_t n_all;
    cfb_exact_sum sum, squares;
    bool negative; /* a score is below 0 */
} cfb_row_scores;

/* every: keep all rows, with their keys; else only what an interval needs. */
void cfb_row_scores_init(cfb_row_scores *t, bool every);
void cfb_row_scores_free(cfb_row_scores *t);
/* Once for every row, in order; then cfb_row_scores_keep, if it wants the row. */
static inline void cfb_row_scores_count(cfb_row_scores *t, double score) {
    t->n_all++;
    t->sum += cfb_exact(score);
    t->squares += cfb_exact(score * score);
    t->negative = t->negative || score < 0;
}
static inline bool cfb_row_scores_wants(const cfb_row_scores *t) { return t->n < t->max; }
CFB_MUST_CHECK cfb_code cfb_row_scores_keep(cfb_row_scores *t, const cfb_sink_row *r, double score, cfb_err *err);
cfb_str cfb_row_scores_id(const cfb_row_scores *t, size_t i); /* with_keys; borrowed */
/* The interval of s->mean_all; *out is zeroed where there is none. */
CFB_MUST_CHECK cfb_code cfb_row_scores_interval(const cfb_row_scores *t, const cfb_config *c, cfb_metric metric,
                                                const cfb_score_summary *s, cfb_report_interval *out, cfb_err *err);
/* The interval of the mean of n rows' scores: Wilson's for right/wrong rows and for few rows, else BCa, or Student's t for many
 * rows or without resamples. No method is set where there are fewer than two clusters; best is left out. */
CFB_MUST_CHECK cfb_code cfb_cli_interval(const double *x, const uint64_t *cluster, size_t n, const cfb_stats_opts *o,
                                         cfb_report_interval *out, cfb_err *err);
/* --confidence, --resamples, --seed, --threads. */
cfb_stats_opts cfb_cli_stats_opts(const cfb_config *c);

typedef struct cfb_sink cfb_sink_t;
/* Fills in all of out but rows; percentiles (n). */
typedef struct cfb_sink_calibrate {
    cfb_code (*run)(void *ctx, const cfb_str *responses, const cfb_str *outputs, size_t n, cfb_report_calibration *out,
                    double *percentiles, cfb_err *err); /* NULL: nothing is calibrated */
    void *ctx;
} cfb_sink_calibrate;
typedef struct cfb_sink_opts {
    const cfb_task *task;
    cfb_score_opts score;
    cfb_export_t *export; /* owned from here on; NULL = none */
    bool keep_scores;     /* for cfb_sink_scores */
    bool keep_all;        /* cfb_sink_row_scores holds every row, with its id */
    bool in_parts;        /* cfb_sink_add and cfb_sink_score may both be called: see cfb_scorer_score_part */
    size_t n_worst;       /* rows with the lowest scores to keep; 0 = 5 */
    size_t n_sample;      /* random rows to keep */
    cfb_sink_calibrate calibrate;
    uint64_t seed, stream;
} cfb_sink_opts;
CFB_MUST_CHECK cfb_code cfb_sink_new(const cfb_sink_opts *o, cfb_sink_t **out, cfb_err *err);
/* Scores n rows; strings are read during the call only. pick(ctx, ...), which may be NULL, is told each row's scores and says
 * whether worst rows and samples are to be chosen from it too. */
typedef cfb_code (*cfb_sink_pick_fn)(void *ctx, const cfb_sink_row *row, const cfb_score_row *score, bool *selected,
                                     cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_sink_add(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, cfb_sink_pick_fn pick, void *ctx,
                                     cfb_err *err);
/* The first half of it: what the rows score, and nothing else. *out (n) is borrowed until the next call on s. */
CFB_MUST_CHECK cfb_code cfb_sink_score_only(cfb_sink_t *s, const cfb_sink_row *rows, size_t n, const cfb_score_row **out,
                                            cfb_err *err);
/* The second half, for rows whose scores are known: scores (n). */
CFB_MUST_CHECK cfb_code cfb_sink_add_scored(cfb_sink_t *s, const cfb_sink_row *rows, const cfb_score_row *scores, size_t n,
                                            cfb_sink_pick_fn pick, void *ctx, cfb_err *err);
/* The same in two steps, as cfb_scorer_score_part and cfb_scorer_add_part: from any thread, then in order. */
CFB_MUST_CHECK cfb_code cfb_sink_score(cfb_sink_t *s, int worker, const cfb_score_row_in *rows, size_t n, cfb_score_row *out,
                                       cfb_err *err);
/* row(ctx, i, texts, &r) fills in row i: only rows that are exported or kept are asked for. Without texts its input may be left
 * out beside same_input, and its line. selected (n): see cfb_sink_add; NULL = all. */
typedef cfb_code (*cfb_sink_row_fn)(void *ctx, size_t i, bool texts, cfb_sink_row *r, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_sink_take(cfb_sink_t *s, const cfb_score_row *scores, const unsigned char *selected, size_t n,
                                      cfb_sink_row_fn row, void *ctx, cfb_err *err);
/* Rows that one of several processes has scored, for the sink of the first one. What depends on the order goes into `out`,
 * portion by portion: block sums, scores of rows in blocks that other portions share, the first rows' scores and labels. What
 * does not stays here until cfb_sink_pack. first: number of the first row among all. selected: as for cfb_sink_take. No export,
 * no calibration, all rows answered by files. */
CFB_MUST_CHECK cfb_code cfb_sink_take_portion(cfb_sink_t *s, uint64_t first, const cfb_score_row *scores,
                                              const unsigned char *selected, size_t n, cfb_sink_row_fn row, void *ctx,
                                              cfb_buf *out, cfb_err *err);
/* Adds the next portion: portions in the order of their rows. Errors: EBUG (not made by the above), ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_sink_add_portion(cfb_sink_t *s, cfb_str portion, cfb_err *err);
/* The rest of what a process has, but for labels and sums of counts (score_shard.h); and adding it, once per process, any order.
 */
CFB_MUST_CHECK cfb_code cfb_sink_pack(const cfb_sink_t *s, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_sink_add_packed(cfb_sink_t *s, cfb_str packed, cfb_err *err);
/* Ends: commits the export, fills the report's task (borrowed from s). */
CFB_MUST_CHECK cfb_code cfb_sink_finish(cfb_sink_t *s, cfb_report_task *out, cfb_err *err);
const cfb_task *cfb_sink_task(const cfb_sink_t *s);
cfb_scorer_t *cfb_sink_scorer(cfb_sink_t *s);
size_t cfb_sink_scores(const cfb_sink_t *s, const int64_t **rows, const double **scores);
const cfb_row_scores *cfb_sink_row_scores(const cfb_sink_t *s);
/* After cfb_sink_finish: worst rows, lowest first; sampled rows in their order. Borrowed. */
size_t cfb_sink_worst(const cfb_sink_t *s, const cfb_sink_kept **rows);
size_t cfb_sink_sample(const cfb_sink_t *s, const cfb_sink_kept **rows);
void cfb_sink_free(cfb_sink_t *s);

/* ---- rows.c: --where, and the file of --rows-out ---- */

/* All that is known of a scored row. */
typedef struct cfb_row_view {
    const char *model, *setting, *task, *source; /* NULL if unknown */
    const cfb_score_row *score;                  /* NULL: the row was skipped */
    bool over_labels;                            /* the metric is: the set_* values and counts mean something */
    uint64_t row, line;
    const char *state, *picked, *error; /* picked: "row", "worst", "sample" or "sample+worst"; error may be NULL */
    cfb_str id, input, response, output;
} cfb_row_view;

/* NULL in *out without --where. */
CFB_MUST_CHECK cfb_code cfb_where_parse(const cfb_config *c, cfb_expr_t **out, cfb_err *err);
bool cfb_where_uses_input(const cfb_expr_t *e);
bool cfb_where_uses_id(const cfb_expr_t *e);
/* columns: (cfb_expr_n_columns) values of the columns that the expression names. Pure. */
bool cfb_where_holds(const cfb_expr_t *e, const cfb_row_view *row, const cfb_str *columns);

typedef struct cfb_rows_out cfb_rows_out_t;
/* NULL in *out without --rows-out. Nothing is under the file's name until the commit. */
CFB_MUST_CHECK cfb_code cfb_rows_out_open(const cfb_config *c, cfb_rows_out_t **out, cfb_err *err);
bool cfb_rows_out_has_texts(const cfb_rows_out_t *o);
/* Appends the row's line to a buffer. Pure: any thread. */
CFB_MUST_CHECK cfb_code cfb_rows_out_format(const cfb_rows_out_t *o, const cfb_row_view *row, cfb_buf *line, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_rows_out_write(cfb_rows_out_t *o, cfb_str lines, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_rows_out_commit(cfb_rows_out_t *o, cfb_err *err); /* frees o in every case; NULL is fine */
void cfb_rows_out_abort(cfb_rows_out_t *o);                                   /* NULL is fine */

/* ---- sources.c: PATH... -> what is scored ---- */

typedef struct cfb_source {
    const char *path;
    bool is_store;
    const char *model, *setting; /* by store or path; NULL if that does not say */
    const char *tag;             /* what tells it from another source of the same model, setting and task; NULL: none needed */
    const char *own_tag;         /* the tag that it would have */
    uint64_t bytes;              /* 0 = unknown */
} cfb_source;
/* Run stores and files of c->args, folders searched, in a fixed order; each once. In the arena. */
CFB_MUST_CHECK cfb_code cfb_sources_find(const cfb_config *c, cfb_arena_t *arena, cfb_source **out, size_t *n, cfb_err *err);
/* A source by itself. */
CFB_MUST_CHECK cfb_code cfb_source_of(const cfb_config *c, const char *path, bool is_store, cfb_arena_t *arena, cfb_source *out,
                                      cfb_err *err);

/* ---- scoring.c: sources -> report ---- */

typedef struct cfb_scoring cfb_scoring_t; /* owns everything that a report borrows */
CFB_MUST_CHECK cfb_code cfb_scoring_new(const cfb_config *c, cfb_scoring_t **out, cfb_err *err);
void cfb_scoring_free(cfb_scoring_t *s);
/* Scores every task of a run store. export_dir: where upstream's files go, or NULL. what: CFB_EXPORT_* */
CFB_MUST_CHECK cfb_code cfb_scoring_add_store(cfb_scoring_t *s, const char *path, const char *export_dir, unsigned what,
                                              cfb_err *err);
/* Scores everything that c->args names. */
CFB_MUST_CHECK cfb_code cfb_scoring_add_sources(cfb_scoring_t *s, const char *export_dir, unsigned what, cfb_err *err);
/* Keeps every row for cfb_scoring_rows, and writes nothing back into run stores. Call before anything is added. */
void cfb_scoring_keep_rows(cfb_scoring_t *s);
void cfb_scoring_set_language(cfb_scoring_t *s, cfb_report_language language); /* in place of --language */
/* Does every part of --metric concern a task that was scored? EUSAGE names the part that does not. */
CFB_MUST_CHECK cfb_code cfb_scoring_check_metrics(const cfb_scoring_t *s, cfb_err *err);
size_t cfb_scoring_n_results(const cfb_scoring_t *s);
uint64_t cfb_scoring_n_failed(const cfb_scoring_t *s);
uint64_t cfb_scoring_n_skipped(const cfb_scoring_t *s);
/* The report of all that was added, with every score's interval if that is asked for. Borrowed from s. */
CFB_MUST_CHECK cfb_code cfb_scoring_report(cfb_scoring_t *s, bool intervals, const cfb_report **out, cfb_err *err);
/* Of the report's task i: the task as it is scored, and its rows. */
const cfb_task *cfb_scoring_task(const cfb_scoring_t *s, size_t i);
const cfb_row_scores *cfb_scoring_rows(const cfb_scoring_t *s, size_t i);
/* The source that reports name, for all tasks. */
CFB_MUST_CHECK cfb_code cfb_scoring_name_source(cfb_scoring_t *s, const char *source, cfb_err *err);
/* scores.json, report.html and report.md into dir. */
CFB_MUST_CHECK cfb_code cfb_scoring_write(cfb_scoring_t *s, const char *dir, cfb_err *err);
/* Table or JSON to standard output; scores.json, report.html and report.md into dir (NULL = none); --csv; picked rows, and the
 * end of --rows-out. performance: JSON for the document on standard output, or NULL. */
CFB_MUST_CHECK cfb_code cfb_scoring_publish(cfb_scoring_t *s, const char *dir, const char *performance, cfb_err *err);

#endif
