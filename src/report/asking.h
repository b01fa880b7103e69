/* asking.h - how runs were asked, in the forms of a report. Private to report. */
#ifndef CFB_REPORT_ASKING_H
#define CFB_REPORT_ASKING_H

#include "cfbench/json.h"
#include "report/internal.h"

extern const char *const report_quantile_name[CFB_REPORT_QUANTILE_COUNT]; /* "p999" */
const char *report_quantile_label(const report_out *o, int q);            /* "p99.9" */

/* "850 µs", "12 ms", "1.25 s", "3.1 min", "2.2 h"; "-" for NaN. In scratch or static. */
cfb_str report_seconds(double s, char scratch[48]);
cfb_str report_rate(double v, char scratch[48]);   /* three digits, or a whole number; "-" for NaN */
cfb_str report_large(int64_t n, char scratch[48]); /* "115,667", "1.08 M" */
cfb_str report_cost(double v, char scratch[48]);   /* without the currency; "-" for NaN */

/* X(NAME, word that is its head) */
#define REPORT_ASKED_MAP(X)    \
    X(TASK, TASK)              \
    X(CALLS, CALLS)            \
    X(FAILED, FAILED_CALLS)    \
    X(RETRIES, RETRIES)        \
    X(CACHE, FROM_CACHE)       \
    X(WAITED, WAITED)          \
    X(IN, TOKENS_IN)           \
    X(OUT, OUT)                \
    X(REASONING, REASONING)    \
    X(CACHED, CACHED)          \
    X(PER_S, TOKENS_OUT_PER_S) \
    X(COST, COST)

typedef enum report_asked_column {
#define REPORT_X(NAME, word) REPORT_ASKED_##NAME,
    REPORT_ASKED_MAP(REPORT_X)
#undef REPORT_X
        REPORT_ASKED_COUNT
} report_asked_column;

const char *report_asked_head(const report_out *o, report_asked_column c);
unsigned report_asked_columns(const cfb_report_asking *a); /* bit mask of the columns worth showing */
/* Text of a cell, foreign text as it is; in scratch or borrowed from t. */
cfb_str report_asked_cell(const cfb_report_asked *t, report_asked_column c, char scratch[48]);

void report_asking_lines(report_out *o, const cfb_report_asking *a); /* two lines for a terminal */
void report_asking_markdown(report_out *o, const cfb_report *r);
void report_asking_json(cfb_jw *w, const cfb_report *r);     /* one member */
void report_asking_html(report_out *o, const cfb_report *r); /* asking_html.c */
void report_html_settings(report_out *o, const cfb_report_setting *settings, size_t n);
void report_html_commands(report_out *o, const char *const *commands, size_t n);
/* asking_svg.c: figures. Nothing is written where there is nothing to draw. id: a number for the figure's name. */
/* What the adaptive limit was doing, by its name, in the page's language; another text stays as it is. */
const char *report_phase_word(const report_out *o, const char *phase);
void report_svg_in_flight(report_out *o, const cfb_report_asking *a, size_t id);
void report_svg_rates(report_out *o, const cfb_report_asking *a, size_t id);
void report_svg_latency(report_out *o, const cfb_report_asking *a, size_t id);
void report_svg_latencies(report_out *o, const cfb_report_asking *a, size_t id);

#endif
