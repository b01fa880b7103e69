/* scan_jsonl.c - JSON Lines in parts: where lines begin and end is plain, what stands in them is parsed part by part. */
#include "dataset/jsonrow.h"
#include "dataset/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool blank(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r') return false;
    return true;
}

enum scan_cut scan_jsonl__cut(scan_part *p) {
    p->n_rows = p->n_bad = 0;
    p->n_records = p->n_lines = 0;
    size_t pos = p->start;
    while (pos < p->end) {
        const char *nl = memchr(p->data + pos, '\n', p->avail - pos);
        if (nl == NULL && !p->eof) {
            if (p->avail - pos <= p->scan->max_record_bytes) return CUT_MORE;
            p->code = cfb_err_set(&p->err, CFB_ELIMIT, "%s:%" PRIu64 ": the line is larger than the limit of %zu bytes",
                                  p->scan->label, p->at.line + p->n_lines, p->scan->max_record_bytes);
            return CUT_FAIL;
        }
        size_t end = nl ? (size_t)(nl - p->data) : p->avail;
        if (nl == NULL && end == pos) break;
        if (!blank(p->data + pos, end - pos)) {
            if (!scan_part__reserve(p, p->n_rows + 1)) {
                p->code = cfb_err_set(&p->err, CFB_ENOMEM, "out of memory");
                return CUT_FAIL;
            }
            p->starts[p->n_rows] = pos;
            p->numbers[p->n_rows++] = p->n_records++;
        }
        p->n_lines++;
        pos = end + (nl != NULL);
        if (nl == NULL) break;
    }
    p->next = pos;
    return CUT_OK;
}

/* A line end within quotes is written \n in JSON: the first line end is one. */
enum scan_cut scan_jsonl__guess(scan_part *p) {
    const char *nl = memchr(p->data + p->begin, '\n', p->avail - p->begin);
    if (nl == NULL) return CUT_ODD;
    p->start = (size_t)(nl - p->data) + 1;
    enum scan_cut got = scan_jsonl__cut(p);
    if (got == CUT_FAIL) p->code = CFB_OK; /* not before it is known that this part's turn comes */
    if (p->start >= p->end) p->next = p->start;
    return got == CUT_FAIL ? CUT_ODD : got;
}

cfb_code scan_jsonl__init(scan_part *p, cfb_err *err) {
    cfb_reader_t *from = p->scan->reader;
    size_t n = p->scan->n_columns ? p->scan->n_columns : 1;
    p->json = *from;
    p->json.has = calloc(n, sizeof *p->json.has);
    p->json.seen = calloc(n, sizeof *p->json.seen);
    p->json.values = p->texts;
    return p->json.has && p->json.seen ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

/* where: "file:line", for messages. */
static cfb_code parse_line(scan_part *p, size_t row, uint64_t line, const char *where, cfb_str *cells, cfb_err *err) {
    size_t pos = p->starts[row];
    const char *nl = memchr(p->data + pos, '\n', p->avail - pos);
    size_t end = nl ? (size_t)(nl - p->data) : p->avail, bytes;
    cfb_str text = {p->data + pos, end - pos};
    bool last = p->final && end + (nl != NULL) == p->avail;
    cfb_code rc = cfb_jrow__check(text, (cfb_jplace){p->scan->label, line, p->offset + pos}, err);
    if (rc == CFB_ETRUNCATED && !last) { /* more lines follow: it is this line that is broken, not the file */
        rc = CFB_EDATA;
        if (err) err->code = rc;
    }
    return rc == CFB_OK ? cfb_jrow__fill(&p->json, text, where, false, cells, &bytes, err) : rc;
}

/* Once more, to say which line of the file it is: counting lines for each row would cost as much as to read it. */
static cfb_code explain(scan_part *p, size_t row, uint64_t line, cfb_str *cells, cfb_err *err) {
    char where[256];
    snprintf(where, sizeof where, "%s:%" PRIu64, p->scan->label, line);
    *err = (cfb_err)CFB_ERR_INIT;
    return parse_line(p, row, line, where, cells, err);
}

void scan_jsonl__finish(scan_part *p) {
    size_t n = p->scan->n_columns, kept = 0;
    cfb_err err = CFB_ERR_INIT;
    for (size_t row = 0; row < p->n_rows; row++) {
        cfb_str *cells = p->cells + kept * n;
        for (size_t i = 0; i < n; i++) cells[i] = CFB_STR_NULL;
        if (parse_line(p, row, 0, "", cells, &err) == CFB_OK) {
            p->starts[kept] = p->starts[row];
            p->numbers[kept++] = p->numbers[row];
            continue;
        }
        uint64_t line = cfb_scan_line(&p->pub, row);
        for (size_t i = 0; i < n; i++) cells[i] = CFB_STR_NULL;
        if (explain(p, row, line, cells, &err) == CFB_OK) cfb_err_set(&err, CFB_EBUG, "a line was wrong, and then was not");
        if (!scan_part__bad(p, p->numbers[row], line, &err)) break;
    }
    p->n_rows = kept;
    p->line_row = SIZE_MAX;
}
