/* jsonl.c - JSON Lines: one object per line, streamed. */
#include "dataset/jsonrow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct jsonl_state {
    cfb_window win;
    uint64_t line; /* of win.pos, 1-based */
    bool any;      /* a row was read */
} jsonl_state;

static bool blank(cfb_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != ' ' && s.ptr[i] != '\t' && s.ptr[i] != '\r') return false;
    return true;
}

/* The line at the window's position, and where the next begins. *found is false at the end of the data, and when the text
 * in hand is used up and the batch has rows that borrow from it. */
static cfb_code next_line(const cfb_reader_t *r, jsonl_state *s, cfb_str *line, size_t *next, bool *found, cfb_err *err) {
    *found = false;
    size_t scanned = 0; /* bytes of the line known to hold no line end */
    for (;;) {
        const char *p = s->win.buf + s->win.pos;
        size_t left = s->win.len - s->win.pos;
        const char *nl = left > scanned ? memchr(p + scanned, '\n', left - scanned) : NULL;
        if (nl == NULL && left == 0 && s->win.eof) return CFB_OK;
        if (nl != NULL || s->win.eof) {
            size_t len = nl ? (size_t)(nl - p) : left;
            *line = (cfb_str){p, len};
            *next = s->win.pos + len + (nl != NULL);
            *found = true;
            return CFB_OK;
        }
        if (r->n_rows > 0) return CFB_OK;
        scanned = left;
        if (left > cfb_reader__max_record(r))
            return cfb_err_set(err, CFB_ELIMIT, "%s:%" PRIu64 ": the line is larger than the limit of %zu bytes",
                               cfb_source__label(s->win.src), s->line, cfb_reader__max_record(r));
        cfb_code rc = cfb_window__grow(&s->win, err);
        if (rc != CFB_OK) return rc;
    }
}

static cfb_code parse_line(cfb_reader_t *r, jsonl_state *s, cfb_str line, bool last, cfb_str *cells, size_t *bytes,
                           cfb_err *err) {
    const char *label = cfb_source__label(s->win.src);
    cfb_jplace at = {label, s->line, cfb_window__offset(&s->win, line.ptr)};
    cfb_code rc = cfb_jrow__check(line, at, err);
    if (rc == CFB_ETRUNCATED && !last) { /* more lines follow: it is this line that is broken, not the file */
        rc = CFB_EDATA;
        if (err) err->code = rc;
    }
    if (rc != CFB_OK) return rc;
    char where[256];
    snprintf(where, sizeof where, "%s:%" PRIu64, label, s->line);
    return cfb_jrow__fill(r, line, where, !s->any, cells, bytes, err);
}

static cfb_code jsonl_next(cfb_reader_t *r, cfb_err *err) {
    jsonl_state *s = r->state;
    cfb_code rc = cfb_window__fill(&s->win, cfb_reader__window_target(r), err);
    while (rc == CFB_OK && !cfb_reader__batch_full(r)) {
        cfb_str line, *cells;
        size_t next, bytes;
        bool found;
        rc = next_line(r, s, &line, &next, &found, err);
        if (rc != CFB_OK || !found) break;
        if (!blank(line)) {
            rc = cfb_reader__add_row(r, s->line, &cells, err);
            if (rc == CFB_OK) rc = parse_line(r, s, line, s->win.eof && next == s->win.len, cells, &bytes, err);
            if (rc != CFB_OK) break;
            cfb_reader__finish_row(r, bytes);
            s->any = true;
        }
        s->win.pos = next;
        s->line++;
    }
    return rc;
}

/* Looks at the first row, so that missing columns show at once; the row is read again as part of the first batch. */
static cfb_code look_ahead(cfb_reader_t *r, jsonl_state *s, cfb_err *err) {
    for (;;) {
        cfb_str line, *cells;
        size_t next, bytes;
        bool found;
        cfb_code rc = next_line(r, s, &line, &next, &found, err);
        if (rc != CFB_OK || !found) return rc;
        if (!blank(line)) {
            rc = cfb_reader__add_row(r, s->line, &cells, err);
            return rc == CFB_OK ? parse_line(r, s, line, s->win.eof && next == s->win.len, cells, &bytes, err) : rc;
        }
        s->win.pos = next;
        s->line++;
    }
}

static void jsonl_close(cfb_reader_t *r) {
    jsonl_state *s = r->state;
    cfb_window__free(&s->win);
    free(s);
}

cfb_code cfb_jsonl__open(cfb_reader_t *r, cfb_source_t *src, cfb_err *err) {
    static const cfb_format format = {"jsonl", jsonl_next, jsonl_close};
    jsonl_state *s = cfb_reader__new_state(r, &format, sizeof *s, src, err);
    if (s == NULL) return CFB_ENOMEM;
    s->line = 1;
    cfb_code rc = cfb_window__start(&s->win, src, err);
    if (rc == CFB_OK) rc = look_ahead(r, s, err);
    return rc;
}

cfb_window *cfb_jsonl__window(cfb_reader_t *r, uint64_t *line) {
    jsonl_state *s = r->state;
    *line = s->line;
    return &s->win;
}
