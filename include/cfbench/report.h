/* report.h - score tables -> terminal, JSON, Markdown, HTML; and exports in CFBenchmark's own layout. */
#ifndef CFBENCH_REPORT_H
#define CFBENCH_REPORT_H

#include "cfbench/score.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CFB_REPORT_BINS 20
/* Failed rows leave a score open between counting 0 and counting 1. Beyond this gap a report says so, and gives no headline. */
#define CFB_REPORT_MAX_GAP 0.05

/* A row worth looking at. Strings are borrowed. */
typedef struct cfb_report_row {
    uint64_t row;
    cfb_str id, input, response, output;
    double score;
    const char *state;          /* "ok" ... "failed" */
    const char *fail, *message; /* of a failed row, else NULL */
} cfb_report_row;

/* How far the scores of true pairs stand out from those of mismatched ones (cosines of embeddings; docs/metrics.md). Over n
 * rows: all that have both texts, or a random sample. Means are NaN if n < 2. */
typedef struct cfb_report_calibration {
    size_t n;
    double matched, mismatched, lift, percentile, top1;
    const uint64_t *rows; /* (n), in row order */
    const double *percentiles;
} cfb_report_calibration;

/* How far summary.mean_all can be trusted. Zero-initialised: unknown. */
typedef struct cfb_report_interval {
    const char *method; /* "bca", "wilson" or "t"; NULL: no interval (not a mean of rows, or too few rows) */
    double lo, hi, se;
    uint64_t n_clusters; /* groups of rows with the same input, as far as rows were kept; else rows */
    double best;         /* the score if every failed row had scored 1 */
} cfb_report_interval;

/* Output lengths of answered rows against their scores. Two bins for each doubling of the number of characters. */
#define CFB_REPORT_LENGTH_BINS 65
typedef struct cfb_report_lengths {
    uint64_t n[CFB_REPORT_LENGTH_BINS][CFB_REPORT_BINS];
    double sum[CFB_REPORT_LENGTH_BINS]; /* of the scores */
} cfb_report_lengths;
size_t cfb_report_length_bin(uint32_t chars);
double cfb_report_length_edge(size_t bin); /* least number of characters in a bin */

/* One task of one model in one setting. */
typedef struct cfb_report_task {
    const char *model, *setting; /* such as "gpt-4o-mini", "few-shot"; NULL if unknown */
    const char *task, *title, *kind;
    const char *source; /* the file or run store that was scored */
    cfb_score_summary summary;
    cfb_report_interval interval;
    uint64_t histogram[CFB_REPORT_BINS]; /* of row scores over [0, 1]; 1.0 is in the last bin */
    const cfb_report_row *failed;        /* failed rows in row order, maybe only the first ones */
    size_t n_failed_listed;
    const cfb_report_row *worst; /* answered rows with the lowest scores, lowest first */
    size_t n_worst;
    const cfb_report_row *best; /* those with the highest, highest first */
    size_t n_best;
    const cfb_report_lengths *lengths; /* NULL: not counted */
    const cfb_confused_pair *confused; /* F1 tasks: labels that stand in for others */
    size_t n_confused;
    uint64_t n_confused_rows;     /* rows that were looked at: the first ones */
    const cfb_report_row *sample; /* random rows, in row order */
    size_t n_sample;
    uint64_t n_selected;                       /* rows that worst and sample were chosen from */
    const cfb_report_calibration *calibration; /* NULL: the metric has none */
} cfb_report_task;

typedef struct cfb_report_setting {
    const char *name, *value;
} cfb_report_setting;

/* A row of a file that could not be scored and was passed over. Strings are borrowed. */
typedef struct cfb_report_skipped {
    const char *source, *message;
    uint64_t row, line;
} cfb_report_skipped;

/* ---- how a run was asked ---- */

/* X(NAME, name, thousandths): exact percentiles by nearest rank: the smallest value that so many thousandths do not exceed. */
#define CFB_REPORT_QUANTILE_MAP(X) \
    X(P50, "p50", 500) X(P90, "p90", 900) X(P99, "p99", 990) X(P999, "p999", 999) X(MAX, "max", 1000)
typedef enum cfb_report_quantile {
#define CFB_X(NAME, name, thousandths) CFB_REPORT_##NAME,
    CFB_REPORT_QUANTILE_MAP(CFB_X)
#undef CFB_X
        CFB_REPORT_QUANTILE_COUNT
} cfb_report_quantile;

typedef struct cfb_report_times {
    uint64_t n;                          /* replies that were measured */
    double s[CFB_REPORT_QUANTILE_COUNT]; /* NaN if n is 0 */
} cfb_report_times;

/* The calls of one task, or of all. */
typedef struct cfb_report_asked {
    const char *task; /* NULL: all */
    uint64_t n_rows, n_state[CFB_ROW_STATE_COUNT];
    uint64_t n_calls, n_retries; /* retries: calls for a row beyond its first, over all sessions */
    uint64_t n_failed_calls, n_from_cache;
    const uint64_t *n_by_class; /* (n_classes of the run) failed calls */
    double waited_s;            /* all calls together, for the rate limiter */
    /* of the replies, as the server counted; replies from the cache left out */
    uint64_t n_counted; /* replies with counts */
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
    double cost;                      /* in the currency's unit; NaN: unknown */
    double busy_s;                    /* time with a call under way or waiting, pauses of more than a minute left out */
    double calls_per_s, tokens_per_s; /* in busy_s; tokens of replies that were measured; NaN without such time */
    cfb_report_times latency, ttft;   /* of the replies; ttft: streamed ones */
} cfb_report_asked;

#define CFB_REPORT_POINTS 120
#define CFB_REPORT_DOTS 800

/* What happened in one interval of the time series. */
typedef struct cfb_report_point {
    uint64_t n_replies, n_failures, n_refusals; /* calls that ended in it; refusals are failures with 429 or 503 */
    double in_flight;                           /* mean number of calls under way */
    double limit, limit_low;                    /* calls allowed at its end, and the fewest; NaN: not known */
    const char *phase;                          /* of the adaptive limit at its end, or "fixed"; NULL: not known */
    double p50_s, p90_s, max_s;                 /* latency of its replies; NaN without one */
    bool resumed;                               /* a pause was left out before or in it */
} cfb_report_point;

/* One call: when it ended, and how long it took. */
typedef struct cfb_report_dot {
    double at_s, latency_s;
    bool failed;
} cfb_report_dot;

/* Latencies by size: four bins for each doubling, from 1 us to more than 9 hours. */
#define CFB_REPORT_LATENCY_BINS 144
size_t cfb_report_latency_bin(int64_t us);    /* below 1 us: 0; beyond the last: the last */
double cfb_report_latency_edge_s(size_t bin); /* lower edge of a bin; of CFB_REPORT_LATENCY_BINS: the upper edge of the last */

/* A run store's account. Strings and arrays are borrowed. */
typedef struct cfb_report_asking {
    const char *source, *model, *setting;
    const char *first_call, *last_call; /* UTC times; NULL without a call */
    const char *currency;               /* NULL: unknown */
    cfb_report_asked all;
    const cfb_report_asked *tasks;
    size_t n_tasks;
    const char *const *classes; /* names of the failure classes that occur, most frequent first */
    size_t n_classes;
    /* time series: intervals of interval_s, pauses of more than a minute left out */
    double interval_s;
    const cfb_report_point *points;
    size_t n_points;            /* at most CFB_REPORT_POINTS */
    const cfb_report_dot *dots; /* a sample of the calls, in order of their ends */
    size_t n_dots;              /* at most CFB_REPORT_DOTS */
    uint64_t latency_bins[CFB_REPORT_LATENCY_BINS];
    const cfb_report_setting *settings; /* what the store is bound to, then notes on how it was made */
    size_t n_settings, n_notes;         /* n_settings counts the notes too */
    const char *const *commands;        /* that made the run, in order */
    size_t n_commands;
} cfb_report_asking;

/* Of the words of pages, Markdown and terminal tables. JSON, CSV and LaTeX are English. */
typedef enum cfb_report_language { CFB_REPORT_EN, CFB_REPORT_ZH } cfb_report_language;

typedef struct cfb_report {
    const char *title;      /* such as the suite's */
    const char *version;    /* of cfbench */
    const char *created_at; /* UTC, or NULL to leave it out (then a report's bytes depend on its data alone) */
    const char *command;    /* a command that reproduces it, or NULL */
    double confidence;      /* of the intervals; 0 = there are none */
    const cfb_report_setting *settings;
    size_t n_settings;
    const cfb_report_task *tasks; /* in the suite's order, grouped by model and setting */
    size_t n_tasks;
    const char *where; /* the condition that rows were chosen by, or NULL */
    uint64_t n_skipped;
    const cfb_report_skipped *skipped; /* maybe only the first ones */
    size_t n_skipped_listed;
    const char *performance;         /* a JSON value that goes into the JSON form as it is, or NULL */
    const cfb_report_asking *asking; /* one for each run store */
    size_t n_asking;
    cfb_report_language language;
} cfb_report;

typedef struct cfb_table_style {
    bool color;
    int width;   /* columns of the terminal; 0 = do not care */
    bool asking; /* with two lines on how each run was asked */
} cfb_table_style;

/* The table for people: per task rows, answered, states, score over all and over answered rows; a mean over tasks per kind and in
 * all; failed rows are never hidden (first ones named below the table with class and message). Chinese is aligned by display
 * width; control characters in names are shown, not sent to the terminal. Appended to out. */
CFB_MUST_CHECK cfb_code cfb_report_table(const cfb_report *r, const cfb_table_style *style, cfb_buf *out, cfb_err *err);
/* One JSON document, schema "cfbench.scores/2" (docs/json.md). */
CFB_MUST_CHECK cfb_code cfb_report_json(const cfb_report *r, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_report_markdown(const cfb_report *r, cfb_buf *out, cfb_err *err);
/* One self-contained HTML page in r->language: no script, no network, light and dark, model text escaped. */
CFB_MUST_CHECK cfb_code cfb_report_html(const cfb_report *r, cfb_buf *out, cfb_err *err);
/* The language of what cfb_report_html, cfb_compare_html or cfb_report_markdown made; English for any other text. */
cfb_report_language cfb_report_language_of(cfb_str text);

/* A CSV table, a line for each task: model, setting, task, kind, source, metric, counts and means; a mean that does not exist is
 * an empty field. Appended to out. */
CFB_MUST_CHECK cfb_code cfb_report_csv(const cfb_report *r, cfb_buf *out, cfb_err *err);

/* Number of terminal columns of valid UTF-8 (East Asian wide = 2). */
size_t cfb_display_width(cfb_str s);

/* Appends text as a terminal may show it, controls made visible, cut to `width` columns (an ellipsis says so) and, with pad,
 * filled up with blanks to exactly as many. Errors: those of out. */
CFB_MUST_CHECK cfb_code cfb_display_fit(cfb_str s, size_t width, bool pad, cfb_buf *out, cfb_err *err);

/* ---- CFBenchmark's layout ---- */

/* Which of upstream's files to write for a task, below dir:
 * OUTPUT  cfbenchmark-response/{zero-shot|few-shot}/MODEL/TASK-output.csv                   input,response,output
 * SCORES  cfbenchmark-scores/{zero-shot|few-shot}/MODEL/TASK-scores.csv ,input,response,output,f1score|cosine_s DETAILS
 * cfbenchmark-scores/{zero-shot|few-shot}/MODEL/TASK-scores_detailed_results.json   upstream's keys CSV as pandas writes it
 * (QUOTE_MINIMAL, "\n", shortest round-trip floats, index from 0); files appear whole or not at all. */
enum { CFB_EXPORT_OUTPUT = 1, CFB_EXPORT_SCORES = 2, CFB_EXPORT_DETAILS = 4 };
/* With it, a file that is there already is EUSAGE; without it, it is replaced. */
enum { CFB_EXPORT_KEEP = 8 };
typedef struct cfb_export cfb_export_t;

/* Can a model's name become folders? '/' separates them, those at the front are dropped ("/models/qwen" as vLLM names its
 * models); "..", "." and parts of more than 255 bytes are EUSAGE. */
CFB_MUST_CHECK cfb_code cfb_export_check_model(const char *model, cfb_err *err);
/* setting: "zero-shot"/"few-shot". */
CFB_MUST_CHECK cfb_code cfb_export_open(const char *dir, const char *setting, const char *model, const cfb_task *task,
                                        unsigned what, cfb_export_t **out, cfb_err *err);
/* The next row, in order. score may be NULL if only OUTPUT is written. */
CFB_MUST_CHECK cfb_code cfb_export_row(cfb_export_t *e, cfb_str input, cfb_str response, cfb_str output,
                                       const cfb_score_row *score, cfb_err *err);
/* Writes what needs the whole (DETAILS' head), and makes the files appear. Frees e in every case. summary may be NULL without
 * DETAILS. */
CFB_MUST_CHECK cfb_code cfb_export_commit(cfb_export_t *e, const cfb_score_summary *summary, cfb_err *err);
void cfb_export_abort(cfb_export_t *e); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
