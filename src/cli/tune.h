/* tune.h - what the files of `cfbench tune` share: cmd_tune.c (the command), tune_runs.c (points -> child processes), tune_rate.c
 * (a server's limit), tune_data.c (data of the user's shape), tune_out.c (table, CSV, SVG, profile). */
#ifndef CFB_CLI_TUNE_H
#define CFB_CLI_TUNE_H

#include "cfbench/mock.h"
#include "cfbench/tune.h"
#include "cli/cli.h"

#define TUNE_POINTS_MAX 128
#define TUNE_VARIABLES 2

typedef enum tune_kind { TUNE_SCORE, TUNE_EMBED, TUNE_CLIENT, TUNE_RATE, TUNE_KINDS } tune_kind;

/* Of the environment; name NULL: none. */
typedef struct tune_variable {
    const char *name, *value;
} tune_variable;

/* 0 and NULL: the option is left out. */
typedef struct tune_point {
    int threads, block_kib;                        /* score; threads: embed, too */
    int in_flight, calls_per_thread, task_workers; /* client, rate */
    double rps;                                    /* rate: starts a second, 0: no limit */
    size_t rows;                                   /* rate: calls of the run */
    tune_variable variables[TUNE_VARIABLES];
} tune_point;

typedef struct tune_sweep {
    const cfb_config *c;
    tune_kind kind;
    tune_point points[TUNE_POINTS_MAX];
    double effort[TUNE_POINTS_MAX];
    cfb_tune_result results[TUNE_POINTS_MAX];
    size_t n, best;
    double noise;
    int64_t told_ns; /* when the last line of progress was written */
    /* score */
    const char *path; /* what is scored */
    uint64_t bytes;   /* of it */
    /* embed */
    char texts[PATH_MAX + 16]; /* file, one on each line */
    /* client, rate */
    const char *suite, *url; /* url NULL: the mock's, in mock_url */
    size_t n_tasks;
    char mock_url[64];
    cfb_mock_t *mock;
    double latency_s;
    size_t rows;
    bool unlimited;         /* rate: no limit was met */
    char scratch[PATH_MAX]; /* folder that is removed at the end */
    uint64_t n_runs;
} tune_sweep;

const char *tune_kind_name(tune_kind k);
const char *tune_unit(tune_kind k); /* "MB/s", "tokens/s", "calls/s" */

/* What a run said of itself. */
typedef struct tune_measured {
    double work, seconds, failed;
    double calls, refused, latency_s; /* rate; refused: by the server's limit; latency_s: median */
    double wall_s;                    /* of the whole process */
} tune_measured;
/* Runs p once in a process of its own. Errors: ECONFIG with its words; EINTERRUPTED. */
CFB_MUST_CHECK cfb_code tune_run(tune_sweep *s, const tune_point *p, tune_measured *m, cfb_err *err);
/* Fills points, results, best and noise with the rates that were tried. Errors: ECONFIG if even the lowest is refused. */
CFB_MUST_CHECK cfb_code tune_find_rate(tune_sweep *s, double budget_s, cfb_err *err);
void tune_make_points(tune_sweep *s);
/* Runs a point once in a process of its own. */
CFB_MUST_CHECK cfb_code tune_measure(void *sweep, size_t point, double *rate, cfb_err *err);
/* Runs embedding once over the texts of the file, with all cores; tokens and seconds. */
CFB_MUST_CHECK cfb_code tune_try_texts(tune_sweep *s, double *tokens, double *seconds, cfb_err *err);
/* "--threads 2 --block-size 64" */
void tune_describe(const tune_sweep *s, size_t point, char *buf, size_t size);

/* ---- tune_data.c ---- */
/* Response files of the tasks of --suite, rows repeated, about so many bytes in all, in a folder below scratch. */
CFB_MUST_CHECK cfb_code tune_make_responses(tune_sweep *s, uint64_t bytes, cfb_err *err);
/* Texts to embed in s->texts: lines of a file or a column of a data set (PATH), else references and inputs of --suite; as many as
 * take about run_s seconds. */
CFB_MUST_CHECK cfb_code tune_make_texts(tune_sweep *s, const char *path, double run_s, cfb_err *err);
/* A suite of eight tasks with n rows in all, of the prompt lengths of --suite. */
CFB_MUST_CHECK cfb_code tune_make_suite(tune_sweep *s, size_t n, cfb_err *err);
void tune_remove_folder(const char *path);

/* ---- tune_out.c ---- */
CFB_MUST_CHECK cfb_code tune_print(const cfb_config *c, const tune_sweep *sweeps, size_t n, const cfb_tune_roof *roofs,
                                   size_t n_roofs, cfb_err *err);
CFB_MUST_CHECK cfb_code tune_write_files(const cfb_config *c, const tune_sweep *sweeps, size_t n, const cfb_tune_roof *roofs,
                                         size_t n_roofs, cfb_err *err);

#endif
