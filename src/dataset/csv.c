/* csv.c - RFC 4180 as pandas writes it. Fields are slices of the window; doubled quotes are joined in place, once the
 * whole record is there. */
#include "dataset/csv.h"

#include "cfbench/utf8.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAX_HEADER_FIELDS ((size_t)65536)

/* First ',' or '\n', or end: eight bytes at a time. */
static char *find_separator(char *p, char *end) {
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    while (end - p >= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        uint64_t a = v ^ (ones * ','), b = v ^ (ones * '\n');
        if ((((a - ones) & ~a) | ((b - ones) & ~b)) & high) break;
        p += 8;
    }
    while (p < end && *p != ',' && *p != '\n') p++;
    return p;
}

static enum csv_scan too_large(csv_state *s, const char *field, cfb_err *err) {
    const char *record = s->win.buf + s->win.pos;
    s->code = cfb_err_set(err, CFB_ELIMIT, "%s:%" PRIu64 ": field %zu is larger than the limit of %zu bytes", s->label,
                          s->line + cfb_text__count_lines(record, field), s->n_fields + 1, s->max_field_bytes);
    return SCAN_ERROR;
}

static void keep_field(csv_state *s, char *ptr, size_t len, size_t n_doubled) {
    if (s->n_fields < s->cap_fields) s->fields[s->n_fields] = (csv_field){ptr, len, n_doubled};
    s->n_fields++;
}

/* Scans a quoted field from behind its opening quote. *next is then behind the closing quote. */
static enum csv_scan scan_quoted(csv_state *s, char *start, char *end, char **next, cfb_err *err) {
    size_t n_doubled = 0;
    char *q = start;
    for (;;) {
        char *quote = memchr(q, '"', (size_t)(end - q));
        size_t len = (size_t)((quote ? quote : end) - start) - n_doubled;
        if (len > s->max_field_bytes) return too_large(s, start, err);
        if (quote == NULL) {
            if (!s->win.eof) return SCAN_MORE;
            const char *record = s->win.buf + s->win.pos;
            s->code = cfb_err_set(err, CFB_ETRUNCATED, "%s:%" PRIu64 ": the quoted field that begins here never ends", s->label,
                                  s->line + cfb_text__count_lines(record, start));
            if (err) err->offset = cfb_window__offset(&s->win, start - 1);
            return SCAN_ERROR;
        }
        if (quote + 1 == end && !s->win.eof) return SCAN_MORE;
        if (quote + 1 < end && quote[1] == '"') {
            n_doubled++;
            q = quote + 2;
            continue;
        }
        s->lines_in_record += cfb_text__count_lines(start, quote);
        keep_field(s, start, (size_t)(quote - start), n_doubled);
        *next = quote + 1;
        return SCAN_RECORD;
    }
}

/* What follows a closing quote: a comma (*more), the end of the record, or an error. */
static enum csv_scan scan_behind_quote(csv_state *s, char **p, char *end, bool *more, cfb_err *err) {
    *more = false;
    if (*p == end) return s->win.eof ? SCAN_RECORD : SCAN_MORE;
    if (**p == '\n' || **p == ',') {
        *more = **p == ',';
        ++*p;
        return SCAN_RECORD;
    }
    if (**p == '\r') {
        if (*p + 1 == end && !s->win.eof) return SCAN_MORE;
        if (*p + 1 == end || (*p)[1] == '\n') {
            *p += *p + 1 == end ? 1 : 2;
            return SCAN_RECORD;
        }
    }
    s->code = cfb_err_set(err, CFB_EDATA, "%s:%" PRIu64 ": text behind the closing quote of field %zu", s->label,
                          s->line + s->lines_in_record, s->n_fields);
    if (err) err->offset = cfb_window__offset(&s->win, *p);
    s->error_at = *p;
    return SCAN_ERROR;
}

enum csv_scan cfb_csv__scan_record(csv_state *s, char **next, cfb_err *err) {
    char *p = s->win.buf + s->win.pos, *end = s->win.buf + s->win.len;
    s->n_fields = 0;
    s->lines_in_record = 0;
    for (;;) {
        bool more = false;
        if (p < end && *p == '"') {
            enum csv_scan got = scan_quoted(s, p + 1, end, &p, err);
            if (got == SCAN_RECORD) got = scan_behind_quote(s, &p, end, &more, err);
            if (got != SCAN_RECORD) return got;
        } else {
            char *stop = find_separator(p, end);
            size_t len = (size_t)(stop - p);
            if (len > s->max_field_bytes) return too_large(s, p, err);
            if (stop == end && !s->win.eof) return SCAN_MORE;
            more = stop < end && *stop == ',';
            if (!more && len > 0 && stop[-1] == '\r') len--;
            keep_field(s, p, len, 0);
            p = stop < end ? stop + 1 : end;
        }
        if (!more) {
            /* At the end of the file the last record may lack its line end. */
            s->lines_in_record += p > s->win.buf && p[-1] == '\n';
            *next = p;
            return SCAN_RECORD;
        }
    }
}

bool cfb_csv__skip_empty_lines(csv_state *s) {
    cfb_window *w = &s->win;
    for (;;) {
        size_t left = w->len - w->pos;
        const char *p = w->buf + w->pos;
        if (left == 0) return w->eof;
        size_t n = *p == '\n' ? 1 : 0;
        if (*p == '\r') {
            if (left == 1 && !w->eof) return false;
            n = left == 1 ? 1 : p[1] == '\n' ? 2 : 0;
        }
        if (n == 0) return true;
        w->pos += n;
        s->line++;
    }
}

cfb_code cfb_csv__record_too_large(const csv_state *s, cfb_err *err) {
    return cfb_err_set(err, CFB_ELIMIT, "%s:%" PRIu64 ": the record is larger than the limit of %zu bytes", s->label, s->line,
                       s->max_record_bytes);
}

/* Brings the next record into the window: *found is false at the end of the data, and also when the text in hand is used
 * up and the batch has rows that borrow from it. */
static cfb_code next_record(const cfb_reader_t *r, csv_state *s, char **next, bool *found, cfb_err *err) {
    *found = false;
    for (;;) {
        enum csv_scan got = SCAN_MORE;
        if (cfb_csv__skip_empty_lines(s)) {
            if (s->win.pos == s->win.len) return CFB_OK;
            got = cfb_csv__scan_record(s, next, err);
            if (got == SCAN_ERROR) return s->code;
        }
        if (got == SCAN_RECORD) {
            *found = true;
            return CFB_OK;
        }
        if (r->n_rows > 0) return CFB_OK;
        if (s->win.len - s->win.pos > s->max_record_bytes) return cfb_csv__record_too_large(s, err);
        cfb_code rc = cfb_window__grow(&s->win, err);
        if (rc != CFB_OK) return rc;
    }
}

size_t cfb_csv__join_doubled(const char *from, size_t len, char *to) {
    const char *p = from, *end = from + len;
    char *out = to;
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        size_t n = quote ? (size_t)(quote - p) + 1 : (size_t)(end - p);
        memmove(out, p, n);
        out += n;
        p += quote ? n + 1 : n; /* over the second quote */
    }
    return (size_t)(out - to);
}

cfb_code cfb_csv__broken_utf8(const char *label, uint64_t line, uint64_t at, cfb_str column, cfb_err *err) {
    cfb_err_set(err, CFB_EENCODING, "%s:%" PRIu64 ": byte %" PRIu64 ", %s%.*s%s: not valid UTF-8", label, line, at,
                column.ptr ? "column '" : "header", CFB_STR_ARG(column), column.ptr ? "'" : "");
    if (err) err->offset = at;
    return CFB_EENCODING;
}

/* column: its name for messages, or null in the header. */
static cfb_code field_text(csv_state *s, csv_field *f, cfb_str column, cfb_str *out, cfb_err *err) {
    size_t bad = cfb_utf8_find_invalid((cfb_str){f->ptr, f->len});
    if (bad != SIZE_MAX) {
        uint64_t line = s->line + cfb_text__count_lines(s->win.buf + s->win.pos, f->ptr + bad);
        return cfb_csv__broken_utf8(s->label, line, cfb_window__offset(&s->win, f->ptr + bad), column, err);
    }
    if (f->n_doubled) {
        f->len = cfb_csv__join_doubled(f->ptr, f->len, f->ptr);
        f->n_doubled = 0;
    }
    *out = (cfb_str){f->ptr, f->len};
    return CFB_OK;
}

static cfb_code map_columns(cfb_reader_t *r, csv_state *s, const cfb_str *names, cfb_err *err) {
    const char *label = s->label;
    for (size_t k = 0; k < s->n_header; k++)
        for (size_t i = cfb_reader__find(r, names[k], 0); i < r->opts.n_columns; i = cfb_reader__find(r, names[k], i + 1)) {
            if (r->has[i])
                return cfb_err_set(err, CFB_EDATA, "%s:%" PRIu64 ": column '%.*s' is there twice (fields %zu and %zu)", label,
                                   s->line, CFB_STR_ARG(names[k]), s->source_of[i] + 1, k + 1);
            r->has[i] = true;
            s->source_of[i] = k;
        }
    return cfb_reader__check_columns(r, label, names, s->n_header, err);
}

static cfb_code read_header(cfb_reader_t *r, csv_state *s, cfb_err *err) {
    char *next = NULL;
    bool found;
    cfb_code rc = next_record(r, s, &next, &found, err);
    if (rc != CFB_OK) return rc;
    if (!found) return cfb_err_set(err, CFB_ETRUNCATED, "%s: empty, expected a header line", s->label);
    if (s->n_fields > MAX_HEADER_FIELDS)
        return cfb_err_set(err, CFB_ELIMIT, "%s:%" PRIu64 ": %zu columns, the limit is %zu", s->label, s->line, s->n_fields,
                           MAX_HEADER_FIELDS);
    s->n_header = s->cap_fields = s->n_fields;
    s->fields = cfb_arena_calloc(r->arena, s->cap_fields, sizeof *s->fields);
    s->source_of = cfb_arena_calloc(r->arena, r->opts.n_columns, sizeof *s->source_of);
    cfb_str *names = cfb_arena_calloc(r->values, s->n_header, sizeof *names);
    if (!s->fields || !s->source_of || !names) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < r->opts.n_columns; i++) s->source_of[i] = SIZE_MAX;
    /* Again, now that there is room for the fields; the first scan only counted them. */
    if (cfb_csv__scan_record(s, &next, err) != SCAN_RECORD) return cfb_err_set(err, CFB_EBUG, "the header changed");
    for (size_t k = 0; k < s->n_header && rc == CFB_OK; k++) rc = field_text(s, &s->fields[k], CFB_STR_NULL, &names[k], err);
    if (rc == CFB_OK) rc = map_columns(r, s, names, err);
    s->win.pos = (size_t)(next - s->win.buf);
    s->line += s->lines_in_record;
    return rc;
}

cfb_code cfb_csv__wrong_fields(const char *label, uint64_t line, size_t expected, size_t found, cfb_err *err) {
    return cfb_err_set(err, CFB_EDATA, "%s:%" PRIu64 ": expected %zu field%s, found %zu", label, line, expected,
                       expected == 1 ? "" : "s", found);
}

static cfb_code take_record(cfb_reader_t *r, csv_state *s, size_t bytes, cfb_err *err) {
    if (s->n_fields != s->n_header) return cfb_csv__wrong_fields(s->label, s->line, s->n_header, s->n_fields, err);
    cfb_str *cells;
    cfb_code rc = cfb_reader__add_row(r, s->line, &cells, err);
    for (size_t i = 0; i < r->opts.n_columns && rc == CFB_OK; i++)
        if (s->source_of[i] != SIZE_MAX) rc = field_text(s, &s->fields[s->source_of[i]], r->names[i], &cells[i], err);
    if (rc == CFB_OK) cfb_reader__finish_row(r, bytes);
    return rc;
}

static cfb_code csv_next(cfb_reader_t *r, cfb_err *err) {
    csv_state *s = r->state;
    cfb_code rc = cfb_window__fill(&s->win, cfb_reader__window_target(r), err);
    while (rc == CFB_OK && !cfb_reader__batch_full(r)) {
        char *next;
        bool found;
        rc = next_record(r, s, &next, &found, err);
        if (rc != CFB_OK || !found) break;
        size_t end = (size_t)(next - s->win.buf);
        rc = take_record(r, s, end - s->win.pos, err);
        s->win.pos = end;
        s->line += s->lines_in_record;
    }
    return rc;
}

static void csv_close(cfb_reader_t *r) {
    csv_state *s = r->state;
    cfb_window__free(&s->win);
    free(s);
}

cfb_code cfb_csv__open(cfb_reader_t *r, cfb_source_t *src, cfb_err *err) {
    static const cfb_format format = {"csv", csv_next, csv_close};
    csv_state *s = cfb_reader__new_state(r, &format, sizeof *s, src, err);
    if (s == NULL) return CFB_ENOMEM;
    s->line = 1;
    s->label = cfb_source__label(src);
    s->max_field_bytes = r->opts.max_field_bytes;
    s->max_record_bytes = cfb_reader__max_record(r);
    cfb_code rc = cfb_window__start(&s->win, src, err);
    if (rc == CFB_OK) rc = read_header(r, s, err);
    return rc;
}

cfb_window *cfb_csv__window(cfb_reader_t *r, uint64_t *line) {
    csv_state *s = r->state;
    *line = s->line;
    return &s->win;
}
