/* compare.h - what the forms of a comparison share. Private to report. */
#ifndef CFB_REPORT_COMPARE_H
#define CFB_REPORT_COMPARE_H

#include "cfbench/compare.h"
#include "report/internal.h"

#include <stdarg.h>

typedef struct compare_text {
    char text[128];
    const char *code; /* colour, or NULL */
} compare_text;

/* Cells of a table, row by row; the first row holds the heads. */
typedef struct compare_cells {
    compare_text *cell;
    size_t n_cols, n_rows, n;
} compare_cells;

bool compare_cells_init(compare_cells *t, size_t n_cols, size_t n_rows, report_out *o);
void compare_cell(compare_cells *t, const char *code, const char *fmt, ...) CFB_PRINTF(3, 4);
/* A name, made safe and cut to fit. */
void compare_name(compare_cells *t, report_out *o, const char *name, const char *code);

/* A line's name: means have names of ours, tasks have their own. */
const char *compare_line_name(const report_out *o, const cfb_compare_line *l);
/* Number of lines before the means. */
size_t compare_first_mean(const cfb_compare *c);
/* The leaderboard: runs by the score of the last line, best first; and its lines: the last one, then the other means. */
void compare_order(const cfb_compare *c, size_t order[CFB_COMPARE_MAX_RUNS]);
size_t compare_columns(const cfb_compare *c);
const cfb_compare_line *compare_column(const cfb_compare *c, size_t i);

/* Can the two runs be told apart on this line? */
bool compare_is_clear(const cfb_compare *c, const cfb_compare_pair *p);
const char *compare_p(double p, char scratch[16]);
void compare_power(report_out *o, const cfb_compare *c, size_t pair); /* of the last line */
void compare_notes(report_out *o, const cfb_compare *c, report_form form, const char *bullet);
void compare_gates(report_out *o, const cfb_compare *c, report_form form, const char *bullet);

#endif
