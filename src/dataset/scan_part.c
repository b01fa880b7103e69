/* scan_part.c - the rows of a part: room for them, bad ones, checking, and what callers may ask of them. */
#include "dataset/scan.h"

#include "cfbench/utf8.h"
#include "dataset/jsonrow.h"

#include <stdlib.h>

bool scan_part__reserve(scan_part *p, size_t n_rows) {
    if (n_rows <= p->cap_rows) return true;
    size_t cap = p->cap_rows ? p->cap_rows : 256, k = p->scan->n_columns ? p->scan->n_columns : 1, cells;
    while (cap < n_rows) cap *= 2;
    if (!cfb_size_mul(cap, k * sizeof(cfb_str), &cells)) return false;
    cfb_str *c = realloc(p->cells, cells);
    if (c != NULL) p->cells = c;
    uint64_t *n = realloc(p->numbers, cap * sizeof *n);
    if (n != NULL) p->numbers = n;
    size_t *s = realloc(p->starts, cap * sizeof *s);
    if (s != NULL) p->starts = s;
    if (c == NULL || n == NULL || s == NULL) return false;
    p->cap_rows = cap;
    return true;
}

void scan_part__reset(scan_part *p) {
    p->done = false;
    p->n_rows = p->n_bad = 0;
    p->n_records = p->n_lines = 0;
    p->code = CFB_OK;
    p->err = (cfb_err)CFB_ERR_INIT;
    p->line_row = SIZE_MAX;
    p->lines = NULL;
    p->raw_done = p->scan->raw_done;
    cfb_arena_reset(p->texts);
}

static bool keep_bad(scan_part *p, uint64_t number, uint64_t line, const cfb_err *err) {
    if (p->n_bad == p->cap_bad) {
        size_t cap = p->cap_bad ? p->cap_bad * 2 : 8;
        cfb_scan_bad *b = realloc(p->bad, cap * sizeof *b);
        if (b == NULL) return false;
        p->bad = b;
        p->cap_bad = cap;
    }
    cfb_str message;
    if (cfb_arena_dup(p->texts, cfb_str_from(err->msg), &message, NULL) != CFB_OK) return false;
    p->bad[p->n_bad++] = (cfb_scan_bad){number, line, err->code, message.ptr};
    return true;
}

bool scan_part__bad(scan_part *p, uint64_t number, uint64_t line, cfb_err *err) {
    bool may = err->code == CFB_EDATA || err->code == CFB_EENCODING;
    if (p->scan->skip_bad_rows && may) {
        if (keep_bad(p, number, line, err)) return true;
        cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    p->code = err->code;
    p->err = *err;
    return false;
}

static int compare_bad(const void *a, const void *b) {
    uint64_t x = ((const cfb_scan_bad *)a)->number, y = ((const cfb_scan_bad *)b)->number;
    return x < y ? -1 : x > y;
}

static void drop_row(scan_part *p, size_t row) {
    size_t n = p->scan->n_columns;
    memmove(p->cells + row * n, p->cells + (row + 1) * n, (p->n_rows - row - 1) * n * sizeof *p->cells);
    memmove(p->numbers + row, p->numbers + row + 1, (p->n_rows - row - 1) * sizeof *p->numbers);
    memmove(p->starts + row, p->starts + row + 1, (p->n_rows - row - 1) * sizeof *p->starts);
    p->n_rows--;
    p->line_row = SIZE_MAX;
}

void scan_part__finish(scan_part *p) {
    size_t n_bad = p->n_bad;
    for (size_t i = 0; i < n_bad; i++) p->bad[i].number += p->at.rows; /* cutting counted from the part's start */
    for (size_t i = 0; i < p->n_rows; i++) p->numbers[i] += p->at.rows;
    if (p->scan->jsonl) {
        scan_jsonl__finish(p);
    } else if (p->scan->mode != SCAN_BATCHES) {
        cfb_err err = CFB_ERR_INIT; /* once: clearing its message for each row would cost as much as a short text */
        for (size_t row = 0; row < p->n_rows;) {
            if (scan_csv__row(p, row, &err) == CFB_OK) {
                row++;
                continue;
            }
            uint64_t line = cfb_scan_line(&p->pub, row);
            if (!scan_part__bad(p, p->numbers[row], line, &err)) {
                p->n_rows = row;
                break;
            }
            drop_row(p, row);
        }
    }
    if (p->n_bad > n_bad && n_bad > 0) qsort(p->bad, p->n_bad, sizeof *p->bad, compare_bad);
    p->pub.n_rows = p->n_rows;
    p->pub.index = p->index - p->scan->first_shared;
    p->pub.n_bytes = p->end - p->begin;
    p->pub.cells = p->cells;
    p->pub.numbers = p->numbers;
    p->pub.bad = p->bad;
    p->pub.n_bad = p->n_bad;
}

uint64_t cfb_scan_line(const cfb_scan_part *part, size_t row) {
    scan_part *p = part->hidden;
    if (p->lines != NULL) return p->lines[row];
    if (p->line_row == SIZE_MAX || p->line_row > row) {
        p->line_row = 0;
        p->line_pos = p->start;
        p->line_of = p->at.line;
    }
    p->line_of += cfb_text__count_lines(p->data + p->line_pos, p->data + p->starts[row]);
    p->line_pos = p->starts[row];
    p->line_row = row;
    return p->line_of;
}

cfb_code cfb_scan_text(const cfb_scan_part *part, size_t row, size_t column, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    scan_part *p = part->hidden;
    *out = part->cells[row * part->n_columns + column];
    if (!p->scan->raw[column] || p->scan->mode == SCAN_BATCHES || p->scan->jsonl) return CFB_OK;
    return scan_csv__text(p, row, column, arena, out, err);
}
