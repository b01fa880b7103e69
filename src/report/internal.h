/* internal.h - what the writers share: a text sink with sticky errors, safe forms of foreign text, the overview's columns
 * and means. Private to report. */
#ifndef CFB_REPORT_INTERNAL_H
#define CFB_REPORT_INTERNAL_H

#include "cfbench/report.h"
#include "report/words.h"

/* ---- text sink: after the first error every call does nothing; rc keeps it ---- */

typedef struct report_out {
    cfb_buf *buf;
    cfb_err *err;
    cfb_code rc;
    bool zh; /* the words are Chinese (words.h) */
} report_out;

void report_put(report_out *o, const char *z);
void report_put_str(report_out *o, cfb_str s);
void report_putf(report_out *o, const char *fmt, ...) CFB_PRINTF(2, 3);
void report_repeat(report_out *o, const char *z, size_t n);

/* ---- foreign text ---- */

/* Names and model text may hold anything. Control characters become their pictures (U+2400...; `\x1B` in HTML), bidirectional
 * controls and other invisible ones `U+202E`, broken bytes `\x80`: text cannot drive a terminal or reorder a page. */
typedef enum report_form {
    REPORT_TERMINAL,
    REPORT_MARKDOWN,  /* one table cell */
    REPORT_HTML,      /* element content or a quoted attribute; one line */
    REPORT_HTML_BLOCK /* element content that keeps line ends and tabs; what was made visible is marked up */
} report_form;
/* Appends at most max_chars code points of s (0 = all) and returns how many were left out. */
size_t report_text(report_out *o, report_form form, cfb_str s, size_t max_chars);
static inline void report_textz(report_out *o, report_form form, const char *z) {
    (void)report_text(o, form, cfb_str_from(z), 0);
}
/* Appends valid UTF-8 cut to `width` columns, with an ellipsis where something is missing. Returns the columns used. */
size_t report_fit(report_out *o, cfb_str s, size_t width);

/* ---- groups, means and columns of the overview ---- */

/* Neighbouring tasks of one model in one setting. */
typedef struct report_group {
    const cfb_report_task *tasks;
    size_t n, index;
    const char *model, *setting;
} report_group;
/* Start with a zeroed group. False at the end. */
bool report_next_group(const cfb_report *r, report_group *g);

#define REPORT_MAX_MEANS 9
/* The mean over tasks, of one kind or of all (kind NULL). Scores are NaN if one of the tasks has none. Counts are sums. */
typedef struct report_mean {
    const char *kind;
    size_t n_tasks;
    double all, answered;
    double lo, hi; /* interval of `all`, tasks taken as independent; NaN if one of them has none */
    uint64_t n_rows, n_answered, n_state[CFB_ROW_STATE_COUNT];
} report_mean;
/* Kinds in order of appearance (the first eight), then all. None for a single task, no kinds if there is one only. */
size_t report_means(const report_group *g, report_mean out[REPORT_MAX_MEANS]);
const char *report_mean_name(const report_out *o, const report_mean *m); /* "all" for kind NULL */

/* X(NAME, word that is its head in a two-line table, word that is its head alone, right-aligned) */
#define REPORT_COLUMN_MAP(X)                       \
    X(TASK, TASK, TASK, 0)                         \
    X(METRIC, METRIC, METRIC, 0)                   \
    X(ROWS, ALL, ROWS, 1)                          \
    X(ANSWERED, ANSWERED, ANSWERED, 1)             \
    X(OK, OK, OK, 1)                               \
    X(EMPTY, EMPTY, EMPTY, 1)                      \
    X(TRUNCATED, TRUNCATED, TRUNCATED, 1)          \
    X(FILTERED, FILTERED, FILTERED, 1)             \
    X(FAILED, FAILED, FAILED, 1)                   \
    X(SCORE, ALL, SCORE_ALL, 1)                    \
    X(INTERVAL, INTERVAL, INTERVAL, 1)             \
    X(SCORE_ANSWERED, ANSWERED, SCORE_ANSWERED, 1) \
    X(PRECISION, PREC, PRECISION, 1)               \
    X(RECALL, RECALL, RECALL, 1)

typedef enum report_column {
#define REPORT_X(NAME, two, word, right) REPORT_COL_##NAME,
    REPORT_COLUMN_MAP(REPORT_X)
#undef REPORT_X
        REPORT_COLUMN_COUNT
} report_column;

const char *report_column_head(const report_out *o, report_column c); /* its head below "rows", "score" or "label sets" */
const char *report_column_name(const report_out *o, report_column c); /* its head alone */
extern const bool report_column_right[REPORT_COLUMN_COUNT];

/* Bit mask of the columns worth showing. `ok` is shown where it differs from `answered`; other states where a task has one;
 * `failed` always. */
unsigned report_columns(const cfb_report *r);
/* Text of a cell, foreign text as it is; in scratch or borrowed from the task. Empty where the column says nothing. */
cfb_str report_cell(const cfb_report_task *t, report_column c, char scratch[48]);
cfb_str report_mean_cell(const report_out *o, const report_mean *m, report_column c, char scratch[48]);

bool report_is_f1(const cfb_report_task *t);
uint64_t report_n_failed(const cfb_report *r);
/* "0.1234", or "-" for NaN. */
cfb_str report_score(double v, char scratch[48]);
/* "0.712–0.803", or "-" for NaN. */
cfb_str report_range(double lo, double hi, char scratch[48]);
/* Do failed rows leave the score open by more than CFB_REPORT_MAX_GAP? */
bool report_is_open(const cfb_report_task *t);
/* "12 of 100 rows have no reply: ..." for such a task. */
void report_open_note(report_out *o, const cfb_report_task *t);
/* "interval: 95 % ..." ; nothing without intervals. */
void report_interval_note(report_out *o, const cfb_report *r);
/* "1,234" */
cfb_str report_count(uint64_t n, char scratch[48]);

/* One sentence on references that the metric cannot match; nothing is written if there are none. */
void report_unmatchable_note(report_out *o, uint64_t n);

/* One sentence on the calibration; nothing is written if there is none. */
void report_calibration_note(report_out *o, const cfb_report_calibration *c);
/* The sentences on a task, in the order they are shown. */
typedef enum report_note {
    REPORT_NOTE_UNMATCHABLE,
    REPORT_NOTE_OPEN,
    REPORT_NOTE_EMPTY,
    REPORT_NOTE_CALIBRATION,
    REPORT_NOTE_COUNT
} report_note;
bool report_has_note(const cfb_report_task *t, report_note note);
void report_put_note(report_out *o, const cfb_report_task *t, report_note note);

/* ---- HTML pieces ---- */

extern const char report_css[];
/* From the doctype to the start of the body. */
void report_html_head(report_out *o, const char *title);
/* The head of a column: a word, which may be markup. */
void report_html_column(report_out *o, const char *word, bool right);
/* A row's state by its name, in the page's language; another text stays as it is. */
const char *report_state_word(const report_out *o, const char *state);
/* Inline SVG of a histogram over [0, 1]. */
void report_svg_histogram(report_out *o, const uint64_t bins[CFB_REPORT_BINS]);
/* Output length against score, with its heading: shaded cells, and the mean score of each length. Nothing where all outputs are
 * about as long. */
void report_svg_lengths(report_out *o, const cfb_report_lengths *l, size_t id);
/* Reference and output of a row, with what only one of them has marked: labels, or words and characters. */
void report_difference(report_out *o, const cfb_report_row *row, bool labels);
/* The section of one task; id is its anchor. */
void report_html_task(report_out *o, const cfb_report_task *t, size_t id);
/* The shares of the states as one bar with a legend. */
void report_html_states(report_out *o, const uint64_t n_state[CFB_ROW_STATE_COUNT], uint64_t n_rows);

#endif
