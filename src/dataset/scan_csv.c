/* scan_csv.c - cutting CSV into records: the fast way over marks that simd.c finds, on a guess where a part begins; the careful
 * way, which is the reader's, where the text is odd. */
#include "dataset/scan.h"

#include "cfbench/utf8.h"

#include <stdlib.h>

#define PIECE_BLOCKS ((size_t)256)    /* of text whose marks are found at once */
#define TAIL_BLOCKS ((size_t)16)      /* behind the part's end: only the last record is wanted */
#define GUESS_BYTES ((size_t)1 << 16) /* without a line end in so much text a guess is given up */
#define FAST_BYTES ((size_t)1 << 31)  /* marks are 32-bit */

/* A fast cut under way. Positions count from p->data. */
typedef struct cutter {
    scan_part *p;
    scan_worker *w;
    csv_marks marks;
    size_t origin;  /* where scanning began: marks count from here */
    size_t scanned; /* behind the last byte looked at */
    size_t record;  /* where the running record starts */
    bool find_start;
    bool over; /* the record at `record` belongs to the next part */
} cutter;

static bool reserve_marks(scan_worker *w, size_t more) {
    if (w->n_marks + more <= w->cap_marks) return true;
    size_t cap = w->cap_marks ? w->cap_marks : 4096;
    while (cap < w->n_marks + more) cap *= 2;
    uint32_t *m = realloc(w->marks, cap * sizeof *m);
    if (m == NULL) return false;
    w->marks = m;
    w->cap_marks = cap;
    return true;
}

/* Looks at the next piece of text. CUT_MORE: there is none in hand. */
static enum scan_cut scan_piece(cutter *c) {
    scan_part *p = c->p;
    const simd_ops *ops = cfb_simd__ops();
    size_t left = p->avail - c->scanned, blocks = left / SIMD_BLOCK, most = PIECE_BLOCKS;
    if (c->scanned - c->origin >= FAST_BYTES) return CUT_ODD;
    if (p->end > c->scanned) {
        size_t inside = (p->end - c->scanned + SIMD_BLOCK - 1) / SIMD_BLOCK;
        if (inside < most) most = inside;
    } else {
        most = TAIL_BLOCKS;
    }
    if (blocks > most) blocks = most;
    if (blocks == 0 && (left == 0 || !p->eof)) return CUT_MORE;
    if (!reserve_marks(c->w, blocks ? blocks * SIMD_BLOCK : SIMD_BLOCK)) return CUT_ODD;
    uint32_t base = (uint32_t)(c->scanned - c->origin), *out = c->w->marks + c->w->n_marks;
    if (blocks > 0) {
        c->w->n_marks += ops->csv_scan(p->data + c->scanned, blocks, base, &c->marks, out);
        c->scanned += blocks * SIMD_BLOCK;
    } else {
        char tail[SIMD_BLOCK] = {0}; /* zeros are no marks */
        memcpy(tail, p->data + c->scanned, left);
        c->w->n_marks += ops->csv_scan(tail, 1, base, &c->marks, out);
        c->scanned += left;
    }
    return c->marks.odd ? CUT_ODD : CUT_OK;
}

/* Is the line that ends at `end` empty (but for a CR)? */
static inline bool empty_line(const char *data, size_t begin, size_t end) {
    return end == begin || (end == begin + 1 && data[begin] == '\r');
}

static inline cfb_str field_between(const char *data, size_t begin, size_t end, bool last) {
    size_t len = end - begin;
    if (last && len > 0 && data[end - 1] == '\r') len--;
    return (cfb_str){data + begin, len};
}

/* One record whose separators are marks[0 .. n_header). */
static inline void add_record(cutter *c, const uint32_t *marks, size_t record_end) {
    scan_part *p = c->p;
    struct cfb_scan *s = p->scan;
    size_t row = p->n_rows++, n = s->n_columns, last = s->csv->n_header - 1;
    cfb_str *cells = p->cells + row * n;
    p->starts[row] = c->record;
    p->numbers[row] = p->n_records++;
    for (size_t i = 0; i < n; i++) {
        size_t f = s->csv->source_of[i];
        if (f > last) {
            cells[i] = CFB_STR_NULL;
            continue;
        }
        size_t begin = f == 0 ? c->record : c->origin + marks[f - 1] + 1;
        size_t end = f == last ? record_end : c->origin + marks[f];
        cells[i] = field_between(p->data, begin, end, f == last);
    }
}

/* Cuts the records whose marks are all there. What is left of the marks stays for the next piece. */
static enum scan_cut cut_marks(cutter *c) {
    scan_part *p = c->p;
    size_t n_fields = p->scan->csv->n_header, i = 0;
    const uint32_t *marks = c->w->marks;
    const char *data = p->data, *from = p->data + c->origin;
    while (i < c->w->n_marks && !c->over) {
        if (c->find_start) {
            if (from[marks[i++]] != '\n') continue;
            c->record = p->start = c->origin + marks[i - 1] + 1;
            c->find_start = false;
            c->over = c->record >= p->end;
            continue;
        }
        size_t first = c->origin + marks[i];
        if (data[first] == '\n' && empty_line(data, c->record, first)) {
            i++;
            c->record = first + 1;
            c->over = c->record >= p->end;
            continue;
        }
        if (c->w->n_marks - i < n_fields) {
            for (size_t k = i; k < c->w->n_marks; k++)
                if (from[marks[k]] == '\n') return CUT_ODD; /* too few fields */
            break;
        }
        for (size_t k = 0; k + 1 < n_fields; k++)
            if (from[marks[i + k]] != ',') return CUT_ODD;
        size_t end = c->origin + marks[i + n_fields - 1];
        if (data[end] != '\n' || end - c->record > p->scan->max_field_bytes) return CUT_ODD;
        if (p->n_rows == p->cap_rows && !scan_part__reserve(p, p->n_rows + 1)) return CUT_ODD;
        add_record(c, marks + i, end);
        i += n_fields;
        c->record = end + 1;
        c->over = c->record >= p->end;
    }
    if (i > 0) {
        memmove(c->w->marks, c->w->marks + i, (c->w->n_marks - i) * sizeof *c->w->marks);
        c->w->n_marks -= i;
    }
    return CUT_OK;
}

/* The end of the data, where the last record may lack its line end. */
static enum scan_cut cut_last(cutter *c) {
    scan_part *p = c->p;
    size_t n_fields = p->scan->csv->n_header;
    if (c->marks.inside) return CUT_ODD; /* the quoted field has no end */
    if (c->find_start) {                 /* no record starts here */
        p->start = c->record = p->avail;
        c->find_start = false;
        return CUT_OK;
    }
    if (c->record < p->avail && !empty_line(p->data, c->record, p->avail)) {
        if (c->w->n_marks != n_fields - 1 || p->avail - c->record > p->scan->max_field_bytes) return CUT_ODD;
        if (p->n_rows == p->cap_rows && !scan_part__reserve(p, p->n_rows + 1)) return CUT_ODD;
        add_record(c, c->w->marks, p->avail);
    }
    c->record = p->avail;
    return CUT_OK;
}

static uint64_t count_lines(const char *p, size_t from, size_t to) { return cfb_text__count_lines(p + from, p + to); }

static enum scan_cut run_cutter(cutter *c) {
    scan_part *p = c->p;
    size_t give_up = (p->end > p->begin ? p->end : p->begin) + GUESS_BYTES;
    bool guess = c->find_start;
    p->n_rows = 0;
    p->n_records = 0;
    c->w->n_marks = 0;
    c->over = !c->find_start && c->record >= p->end;
    while (!c->over) {
        if (guess && c->scanned > give_up) return CUT_ODD;
        enum scan_cut got = scan_piece(c);
        if (got == CUT_MORE && p->eof) {
            got = cut_last(c);
            if (got != CUT_OK) return got;
            break;
        }
        if (got == CUT_OK) got = cut_marks(c);
        if (got != CUT_OK) return got;
    }
    p->next = c->record;
    p->n_lines = c->marks.n_lines - count_lines(p->data, c->origin, p->start) - count_lines(p->data, p->next, c->scanned);
    /* A last line without a line end counts, as it does for the reader. */
    return CUT_OK;
}

/* Outside of quotes first; text that has any quotes shows soon if that was wrong. */
enum scan_cut scan_csv__guess(scan_part *p, scan_worker *w) {
    enum scan_cut got = CUT_ODD;
    for (int inside = 0; inside < 2 && got != CUT_OK && got != CUT_MORE; inside++) {
        cutter c = {.p = p, .w = w, .origin = p->begin, .scanned = p->begin, .find_start = true};
        c.marks.inside = inside ? ~UINT64_C(0) : 0;
        c.marks.prev_ok = 1;
        got = run_cutter(&c);
    }
    return got;
}

enum scan_cut scan_csv__cut(scan_part *p, scan_worker *w) {
    cutter c = {.p = p, .w = w, .origin = p->start, .scanned = p->start, .record = p->start, .marks.prev_ok = 1};
    return run_cutter(&c);
}

/* ---- the careful way ---- */

/* Behind a record that makes no sense: at the next line end. False: it takes more text. */
static bool resync(csv_state *s, char **next) {
    const char *end = s->win.buf + s->win.len;
    const char *nl = memchr(s->error_at, '\n', (size_t)(end - s->error_at));
    if (nl == NULL && !s->win.eof) return false;
    s->lines_in_record = cfb_text__count_lines(s->win.buf + s->win.pos, nl ? nl + 1 : end);
    *next = s->win.buf + (nl ? (size_t)(nl + 1 - s->win.buf) : s->win.len);
    return true;
}

static bool strict_row(scan_part *p, csv_state *s) {
    struct cfb_scan *scan = p->scan;
    if (p->n_rows == p->cap_rows && !scan_part__reserve(p, p->n_rows + 1)) {
        cfb_err_set(&p->err, CFB_ENOMEM, "out of memory");
        p->code = CFB_ENOMEM;
        return false;
    }
    size_t row = p->n_rows++;
    p->starts[row] = s->win.pos;
    p->numbers[row] = p->n_records++;
    for (size_t i = 0; i < scan->n_columns; i++) {
        size_t f = scan->csv->source_of[i];
        cfb_str *cell = &p->cells[row * scan->n_columns + i];
        *cell = CFB_STR_NULL;
        if (f == SIZE_MAX) continue;
        const csv_field *from = &s->fields[f];
        bool quoted = from->ptr > s->win.buf + s->win.pos && from->ptr[-1] == '"';
        *cell = quoted ? (cfb_str){from->ptr - 1, from->len + 2} : (cfb_str){from->ptr, from->len};
    }
    return true;
}

enum csv_scan scan_csv__step(csv_state *s, bool skip, char **next, bool *bad, cfb_err *err) {
    enum csv_scan got = cfb_csv__scan_record(s, next, err);
    *bad = false;
    if (got == SCAN_ERROR && s->code == CFB_EDATA && skip) {
        if (!resync(s, next)) return SCAN_MORE;
        *bad = true;
        return SCAN_RECORD;
    }
    if (got == SCAN_RECORD && s->n_fields != s->n_header) {
        s->code = cfb_csv__wrong_fields(s->label, s->line, s->n_header, s->n_fields, err);
        *bad = skip;
        return skip ? SCAN_RECORD : SCAN_ERROR;
    }
    return got;
}

enum scan_cut scan_csv__strict(scan_part *p, scan_worker *w) {
    struct cfb_scan *scan = p->scan;
    csv_state s = *scan->csv;
    s.win = (cfb_window){.buf = (char *)(uintptr_t)p->data, .pos = p->start, .len = p->avail, .base = p->offset, .eof = p->eof};
    s.line = p->at.line;
    s.fields = w->fields;
    p->n_rows = p->n_bad = 0;
    p->n_records = 0;
    for (;;) {
        bool told = cfb_csv__skip_empty_lines(&s), bad = false;
        p->next = s.win.pos;
        p->n_lines = s.line - p->at.line;
        if (s.win.pos >= p->end || (told && s.win.pos == s.win.len)) return CUT_OK;
        char *next = NULL;
        cfb_err err = CFB_ERR_INIT;
        enum csv_scan got = told ? scan_csv__step(&s, scan->skip_bad_rows, &next, &bad, &err) : SCAN_MORE;
        if (got == SCAN_MORE) {
            if (s.win.len - s.win.pos <= s.max_record_bytes) return CUT_MORE;
            cfb_csv__record_too_large(&s, &err);
            got = SCAN_ERROR;
        }
        if ((got == SCAN_ERROR || bad) && !scan_part__bad(p, p->n_records, s.line, &err)) return CUT_FAIL;
        if (bad)
            p->n_records++;
        else if (!strict_row(p, &s))
            return CUT_FAIL;
        s.win.pos = (size_t)(next - s.win.buf);
        s.line += s.lines_in_record;
    }
}

static size_t strict_last_end(const struct cfb_scan *scan, scan_worker *w, const char *text, size_t len) {
    csv_state s = *scan->csv;
    s.win = (cfb_window){.buf = (char *)(uintptr_t)text, .len = len};
    s.fields = w->fields;
    for (;;) {
        char *next = NULL;
        bool bad;
        if (!cfb_csv__skip_empty_lines(&s) || s.win.pos == len) return s.win.pos;
        enum csv_scan got = scan_csv__step(&s, scan->skip_bad_rows, &next, &bad, NULL);
        if (got == SCAN_ERROR) return len; /* whoever cuts this part will meet it again */
        if (got == SCAN_MORE) return s.win.pos;
        s.win.pos = (size_t)(next - s.win.buf);
    }
}

size_t scan_csv__last_end(const struct cfb_scan *s, scan_worker *w, const char *text, size_t len) {
    const simd_ops *ops = cfb_simd__ops();
    csv_marks m = {.prev_ok = 1};
    size_t end = 0;
    for (size_t at = 0; at + SIMD_BLOCK <= len;) {
        size_t blocks = (len - at) / SIMD_BLOCK < PIECE_BLOCKS ? (len - at) / SIMD_BLOCK : PIECE_BLOCKS;
        w->n_marks = 0;
        if (!reserve_marks(w, blocks * SIMD_BLOCK)) return strict_last_end(s, w, text, len);
        size_t n = ops->csv_scan(text + at, blocks, 0, &m, w->marks);
        if (m.odd) return strict_last_end(s, w, text, len);
        while (n > 0 && text[at + w->marks[n - 1]] != '\n') n--;
        if (n > 0) end = at + w->marks[n - 1] + 1;
        at += blocks * SIMD_BLOCK;
    }
    /* The last few bytes are left to the next part; a short text that must be had whole goes the careful way. */
    return end > 0 ? end : strict_last_end(s, w, text, len);
}

/* ---- texts ---- */

static cfb_code broken(scan_part *p, size_t row, size_t column, const char *at, cfb_err *err) {
    uint64_t line = cfb_scan_line(&p->pub, row) + cfb_text__count_lines(p->data + p->starts[row], at);
    return cfb_csv__broken_utf8(p->scan->label, line, p->offset + (uint64_t)(at - p->data), p->scan->names[column], err);
}

/* What stands between the quotes of a valid cell; doubled ones become one. */
static cfb_code unquote(cfb_str raw, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    cfb_str text = {raw.ptr + 1, raw.len - 2};
    *out = text;
    if (memchr(text.ptr, '"', text.len) == NULL) return CFB_OK;
    char *joined = cfb_arena_alloc(arena, text.len);
    if (joined == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", text.len);
    *out = (cfb_str){joined, cfb_csv__join_doubled(text.ptr, text.len, joined)};
    return CFB_OK;
}

static inline bool is_quoted(cfb_str raw) { return raw.len > 1 && raw.ptr[0] == '"'; }

cfb_code scan_csv__text(scan_part *p, size_t row, size_t column, cfb_arena_t *arena, cfb_str *out, cfb_err *err) {
    cfb_str raw = p->cells[row * p->scan->n_columns + column];
    *out = raw;
    if (raw.ptr == NULL) return CFB_OK;
    if (!cfb_utf8_is_valid(raw)) return broken(p, row, column, raw.ptr + cfb_utf8_find_invalid(raw), err);
    return is_quoted(raw) ? unquote(raw, arena, out, err) : CFB_OK;
}

/* Cells that stand side by side, such as response and output, are checked at once: between them is a comma, so all of it is valid
 * if each one is. */
static bool are_valid(const struct cfb_scan *s, const cfb_str *cells) {
    const char *begin = cells[s->checked[0]].ptr, *end = begin + cells[s->checked[0]].len;
    for (size_t i = 1; i < s->n_checked; i++) {
        cfb_str c = cells[s->checked[i]];
        if (c.ptr != end + 1) return false;
        end = c.ptr + c.len;
    }
    return cfb_utf8_is_valid((cfb_str){begin, (size_t)(end - begin)});
}

cfb_code scan_csv__row(scan_part *p, size_t row, cfb_err *err) {
    const struct cfb_scan *s = p->scan;
    cfb_str *cells = &p->cells[row * s->n_columns];
    bool valid = s->n_checked > 1 && are_valid(s, cells);
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < s->n_checked && rc == CFB_OK; i++) {
        size_t k = s->checked[i];
        if (!valid)
            rc = scan_csv__text(p, row, k, p->texts, &cells[k], err);
        else if (is_quoted(cells[k]))
            rc = unquote(cells[k], p->texts, &cells[k], err);
    }
    return rc;
}
