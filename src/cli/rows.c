/* Single rows: which ones --where chooses, and the file of --rows-out, a line for each. */
#include "cfbench/dataset.h"
#include "cfbench/json.h"
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- --where ---- */

/* X(name, type, value of the row r; s is its score) */
#define WHERE_MAP(X)                                     \
    X(score, NUMBER, s->score)                           \
    X(precision, NUMBER, s->set_precision)               \
    X(recall, NUMBER, s->set_recall)                     \
    X(f1, NUMBER, s->set_f1)                             \
    X(correct, NUMBER, (double)s->true_positives)        \
    X(predicted, NUMBER, (double)s->predicted_positives) \
    X(actual, NUMBER, (double)s->actual_positives)       \
    X(response_chars, NUMBER, (double)s->response_chars) \
    X(output_chars, NUMBER, (double)s->output_chars)     \
    X(unmatchable, TRUTH, s->reference_unmatchable)      \
    X(row, NUMBER, (double)r->row)                       \
    X(line, NUMBER, (double)r->line)                     \
    X(model, TEXT, cfb_str_from(r->model))               \
    X(setting, TEXT, cfb_str_from(r->setting))           \
    X(task, TEXT, cfb_str_from(r->task))                 \
    X(source, TEXT, cfb_str_from(r->source))             \
    X(state, TEXT, cfb_str_from(r->state))               \
    X(id, TEXT, r->id)                                   \
    X(input, TEXT, r->input)                             \
    X(response, TEXT, r->response)                       \
    X(output, TEXT, r->output)

enum {
#define CFB_X(name, type, value) WHERE_##name,
    WHERE_MAP(CFB_X)
#undef CFB_X
        N_WHERE
};

static const cfb_expr_name where_names[] = {
#define CFB_X(name, type, value) {#name, CFB_EXPR_##type},
    WHERE_MAP(CFB_X)
#undef CFB_X
};

cfb_code cfb_where_parse(const cfb_config *c, cfb_expr_t **out, cfb_err *err) {
    *out = NULL;
    if (c->where == NULL) return CFB_OK;
    cfb_code rc = cfb_expr_parse(cfb_str_from(c->where), where_names, N_WHERE, out, err);
    if (rc != CFB_OK) cfb_err_add_context(err, "--where");
    return rc;
}

bool cfb_where_uses_input(const cfb_expr_t *e) { return e && cfb_expr_uses(e, WHERE_input); }
bool cfb_where_uses_id(const cfb_expr_t *e) { return e && cfb_expr_uses(e, WHERE_id); }

#define NUMBER_VALUE(v) .number = (v)
#define TEXT_VALUE(v) .text = (v)
#define TRUTH_VALUE(v) .truth = (v)

bool cfb_where_holds(const cfb_expr_t *e, const cfb_row_view *r, const cfb_str *columns) {
    cfb_expr_value v[N_WHERE + CFB_EXPR_MAX_COLUMNS];
    const cfb_score_row *s = r->score;
#define CFB_X(name, type, value) v[WHERE_##name] = (cfb_expr_value){type##_VALUE(value)};
    WHERE_MAP(CFB_X)
#undef CFB_X
    for (size_t i = 0; i < cfb_expr_n_columns(e); i++) v[N_WHERE + i] = (cfb_expr_value){.text = columns[i]};
    return cfb_expr_eval(e, v);
}

/* ---- --rows-out ---- */

struct cfb_rows_out {
    cfb_file_writer_t *file;
    bool csv, texts;
    cfb_buf pending; /* lines on their way to the file */
};

#define PENDING ((size_t)1 << 18)

/* X(name, writer, argument): the columns, in their order. */
#define COLUMN_MAP(X)                                                    \
    X(model, put_text, cfb_str_from(r->model))                           \
    X(setting, put_text, cfb_str_from(r->setting))                       \
    X(task, put_text, cfb_str_from(r->task))                             \
    X(source, put_text, cfb_str_from(r->source))                         \
    X(row, put_count, r->row)                                            \
    X(line, put_line, r->line)                                           \
    X(id, put_text, r->id)                                               \
    X(state, put_text, cfb_str_from(r->state))                           \
    X(score, put_number, s ? s->score : none)                            \
    X(precision, put_number, parts ? s->set_precision : none)            \
    X(recall, put_number, parts ? s->set_recall : none)                  \
    X(f1, put_number, parts ? s->set_f1 : none)                          \
    X(correct, put_part, parts ? (int64_t)s->true_positives : -1)        \
    X(predicted, put_part, parts ? (int64_t)s->predicted_positives : -1) \
    X(actual, put_part, parts ? (int64_t)s->actual_positives : -1)       \
    X(response_chars, put_part, s ? (int64_t)s->response_chars : -1)     \
    X(output_chars, put_part, s ? (int64_t)s->output_chars : -1)         \
    X(unmatchable, put_part, s ? (int64_t)s->reference_unmatchable : -1) \
    X(picked, put_text, cfb_str_from(r->picked))                         \
    X(error, put_text, cfb_str_from(r->error))

/* One line under way. Errors stick. Keys are written as they stand: a general writer of JSON took most of the time. */
struct line {
    cfb_buf *to;
    cfb_err *err;
    cfb_code rc;
    bool csv, first;
};

static void put_raw(struct line *l, const char *text, size_t len) {
    if (l->rc == CFB_OK) l->rc = cfb_buf_append(l->to, text, len, l->err);
}

/* key: `,"name":` */
static void begin_value(struct line *l, cfb_str key) {
    size_t skip = l->first ? 1 : 0;
    put_raw(l, key.ptr + skip, l->csv ? 1 - skip : key.len - skip);
    l->first = false;
}

static void put_nothing(struct line *l) {
    if (!l->csv) put_raw(l, "null", 4);
}

static void put_text(struct line *l, cfb_str key, cfb_str v) {
    begin_value(l, key);
    if (v.ptr == NULL)
        put_nothing(l);
    else if (l->rc == CFB_OK)
        l->rc = l->csv ? cfb_csv_append_field(l->to, v, false, l->err) : cfb_json_quote(l->to, v, l->err);
}

/* Scores of rows are few different numbers, and shortest texts of numbers are dear: each thread remembers some. */
#define N_NUMBERS 256
static cfb_str number_text(double v) {
    static _Thread_local struct {
        uint64_t bits;
        uint8_t len;
        char text[32];
    } known[N_NUMBERS];
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    size_t at = (size_t)((bits * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
    if (known[at].len == 0 || known[at].bits != bits) {
        known[at].bits = bits;
        known[at].len = (uint8_t)cfb_format_double(v, known[at].text);
    }
    return (cfb_str){known[at].text, known[at].len};
}

static void put_number(struct line *l, cfb_str key, double v) {
    begin_value(l, key);
    if (isnan(v)) {
        put_nothing(l);
        return;
    }
    cfb_str text = number_text(v);
    put_raw(l, text.ptr, text.len);
}

static void put_part(struct line *l, cfb_str key, int64_t v) {
    char text[20], *p = text + sizeof text;
    begin_value(l, key);
    if (v < 0) {
        put_nothing(l);
        return;
    }
    for (uint64_t u = (uint64_t)v; p == text + sizeof text || u > 0; u /= 10) *--p = (char)('0' + u % 10);
    put_raw(l, p, (size_t)(text + sizeof text - p));
}

static void put_count(struct line *l, cfb_str key, uint64_t v) { put_part(l, key, v > INT64_MAX ? INT64_MAX : (int64_t)v); }

static void put_line(struct line *l, cfb_str key, uint64_t v) {
    put_part(l, key, v == 0 ? -1 : v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

#define KEY(name) CFB_STR_LIT(",\"" name "\":")

cfb_code cfb_rows_out_format(const cfb_rows_out_t *o, const cfb_row_view *r, cfb_buf *to, cfb_err *err) {
    const cfb_score_row *s = r->score;
    const bool parts = s != NULL && r->over_labels;
    const double none = (double)NAN;
    struct line l = {.to = to, .err = err, .csv = o->csv, .first = true};
    if (!o->csv) put_raw(&l, "{", 1);
#define CFB_X(name, put, value) put(&l, KEY(#name), value);
    COLUMN_MAP(CFB_X)
#undef CFB_X
    if (o->texts) {
        put_text(&l, KEY("input"), r->input);
        put_text(&l, KEY("response"), r->response);
        put_text(&l, KEY("output"), r->output);
    }
    put_raw(&l, o->csv ? "\n" : "}\n", o->csv ? 1 : 2);
    return l.rc;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static cfb_code choose_form(const cfb_config *c, bool *csv, cfb_err *err) {
    *csv = c->format ? strcmp(c->format, "csv") == 0 : ends_with(c->rows_out, ".csv");
    if (c->format || *csv || ends_with(c->rows_out, ".jsonl") || ends_with(c->rows_out, ".ndjson")) return CFB_OK;
    return cfb_err_set(err, CFB_EUSAGE, "--rows-out %s: the name ends neither in .csv nor in .jsonl; say --format csv or jsonl",
                       c->rows_out);
}

cfb_code cfb_rows_out_open(const cfb_config *c, cfb_rows_out_t **out, cfb_err *err) {
    *out = NULL;
    if (c->rows_out == NULL)
        return c->command == CFB_CMD_SCORE && (c->rows_texts || c->format)
                   ? cfb_err_set(err, CFB_EUSAGE, "--%s is for --rows-out, which is missing", c->format ? "format" : "rows-texts")
                   : CFB_OK;
    struct stat st;
    bool csv;
    cfb_code rc = choose_form(c, &csv, err);
    if (rc != CFB_OK) return rc;
    if (stat(c->rows_out, &st) == 0 && !S_ISREG(st.st_mode)) /* it would be replaced */
        return cfb_err_set(err, CFB_EUSAGE, "--rows-out %s: there is something that is no file", c->rows_out);
    cfb_rows_out_t *o = calloc(1, sizeof *o);
    if (o == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *o = (cfb_rows_out_t){.csv = csv, .texts = c->rows_texts, .pending = CFB_BUF_INIT(0)};
    rc = cfb_file_writer_open(c->rows_out, &o->file, err);
    if (rc == CFB_OK && csv) {
#define CFB_X(name, put, value) "," #name
        static const char head[] = COLUMN_MAP(CFB_X);
#undef CFB_X
        rc = cfb_buf_append(&o->pending, head + 1, sizeof head - 2, err);
        if (rc == CFB_OK && o->texts) rc = cfb_buf_append_str(&o->pending, CFB_STR_LIT(",input,response,output"), err);
        if (rc == CFB_OK) rc = cfb_buf_append_char(&o->pending, '\n', err);
    }
    if (rc == CFB_OK)
        *out = o;
    else
        cfb_rows_out_abort(o);
    return rc;
}

bool cfb_rows_out_has_texts(const cfb_rows_out_t *o) { return o && o->texts; }

static cfb_code flush(cfb_rows_out_t *o, cfb_err *err) {
    cfb_code rc = o->pending.len ? cfb_file_writer_write(o->file, o->pending.ptr, o->pending.len, err) : CFB_OK;
    cfb_buf_clear(&o->pending);
    return rc;
}

cfb_code cfb_rows_out_write(cfb_rows_out_t *o, cfb_str lines, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (o->pending.len + lines.len > PENDING) rc = flush(o, err);
    if (rc == CFB_OK && lines.len > PENDING) return cfb_file_writer_write(o->file, lines.ptr, lines.len, err);
    return rc == CFB_OK ? cfb_buf_append_str(&o->pending, lines, err) : rc;
}

cfb_code cfb_rows_out_commit(cfb_rows_out_t *o, cfb_err *err) {
    if (o == NULL) return CFB_OK;
    cfb_code rc = flush(o, err);
    if (rc == CFB_OK) {
        rc = cfb_file_writer_commit(o->file, err);
        o->file = NULL;
    }
    cfb_rows_out_abort(o);
    return rc;
}

void cfb_rows_out_abort(cfb_rows_out_t *o) {
    if (o == NULL) return;
    cfb_file_writer_abort(o->file);
    cfb_buf_free(&o->pending);
    free(o);
}
