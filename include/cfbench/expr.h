/* expr.h - a small expression language over the values of a row, for choosing rows: `task == "sector" && score < 0.5`. An
 * expression is parsed and type-checked once; evaluating it allocates nothing, ends always, and cannot fail. */
#ifndef CFBENCH_EXPR_H
#define CFBENCH_EXPR_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grammar (white space between tokens is free):
 *   or      = and { "||" and }
 *   and     = not { "&&" not }
 *   not     = "!" not | compare
 *   compare = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum ]
 *   sum     = product { ("+" | "-") product }
 *   product = sign { ("*" | "/") sign }
 *   sign    = "-" sign | value
 *   value   = number | text | "true" | "false" | name | name "(" or { "," or } ")" | "(" or ")"
 *   number  = digits [ "." digits ] [ ("e" | "E") [ "+" | "-" ] digits ]
 *   text    = "..." or '...', with the escapes \\ \" \' \n \r \t
 *   name    = an ASCII letter or "_", then letters, digits and "_"; or anything but a line end between backquotes
 * Names are those that the caller knows, and otherwise columns of the data, which are texts; in backquotes always a column.
 * Both sides of a comparison have one type; texts compare by code point, truth values only with == and !=. Numbers are binary64:
 * a comparison with NaN is false but for !=. Nothing else is converted.
 * Functions: chars(text) code points; contains(text, part), starts(text, part), ends(text, part); number(text), NaN where the
 * text, but for white space around it, is no number; missing(text), true for a missing value, which is otherwise the empty text;
 * abs(number); min(number, number), max(number, number): NaN if one of them is. */

typedef enum cfb_expr_type { CFB_EXPR_NUMBER, CFB_EXPR_TEXT, CFB_EXPR_TRUTH } cfb_expr_type;

/* A name that the caller gives a value to. */
typedef struct cfb_expr_name {
    const char *name;
    cfb_expr_type type;
} cfb_expr_name;

/* The member of the name's type counts. A null text is a missing value. */
typedef struct cfb_expr_value {
    double number;
    cfb_str text;
    bool truth;
} cfb_expr_value;

typedef struct cfb_expr cfb_expr_t;

#define CFB_EXPR_MAX_BYTES 16384
#define CFB_EXPR_MAX_DEPTH 64
#define CFB_EXPR_MAX_COLUMNS 64

/* Parses an expression that is a truth value as a whole. names (n_names) are read during the call only. Errors: EUSAGE with what
 * is wrong and at which character (err->offset: its byte), also for texts beyond the limits above; ENOMEM. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_expr_parse(cfb_str text, const cfb_expr_name *names, size_t n_names, cfb_expr_t **out, cfb_err *err);
void cfb_expr_free(cfb_expr_t *e); /* NULL is fine */
/* Does the expression use names[i]? */
bool cfb_expr_uses(const cfb_expr_t *e, size_t i);
/* The columns that it uses, in order of appearance; each once. */
size_t cfb_expr_n_columns(const cfb_expr_t *e);
const char *cfb_expr_column(const cfb_expr_t *e, size_t i);
/* values: (n_names + n_columns), those of the names first; of names that are not used they may be anything. Threads: pure. */
bool cfb_expr_eval(const cfb_expr_t *e, const cfb_expr_value *values);

#ifdef __cplusplus
}
#endif
#endif
