/* The fast way from the bytes of a file to scores against a slow one that shares nothing with it: a state machine over single
 * bytes, code points in arrays, sets as lists, loops over all labels. 100,000 random rows full of quotes, commas of both widths,
 * odd white space, empty fields, broken UTF-8 and very long texts; every instruction set, several numbers of threads and sizes of
 * parts. */
#include "cfbench/scan.h"
#include "cfbench/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define N_ROWS 100000
#define N_SUITE 12
#define MAX_ITEMS 4096

static void need(bool ok) {
    if (!ok) abort();
}

static uint64_t rnd(uint64_t stream, uint64_t i) { return cfb_rand_u64(20, stream, i); }

/* ---- the file ---- */

static const char *const suite_names[N_SUITE] = {"A",    "Zz",   "a",    "b c",    "x",    "É",
                                                 "银行", "证券", "保险", "新能源", "白酒", "房地产"};
static const char *const spaces[] = {" ",    "\t", "\xE3\x80\x80", "\xC2\xA0", "\xE2\x80\x83",
                                     "\x1C", "\n", "\r\n",         "\v",       "\xC2\x85"};
static const char *const odd[] = {"\"", "\"\"", "“", "，，", ",,", ", ,", "𠮷", "Ａ", "é", "12.5%", "。", "(x)", "\xE2\x80\x8B"};
static const char *const broken[] = {"\xFF",     "\xED\xA0\x80", "\xED\xBF\xBF",     "\xC0\xAF",         "\xE0\x80\x80",
                                     "\xE9\x93", "\x80",         "\xF4\x90\x80\x80", "\xF0\x80\x80\x80", "\xE9\x93\x41"};
#define PICK(list, v) (list)[(v) % (sizeof(list) / sizeof *(list))]

static void put(cfb_buf *b, const char *text) { need(cfb_buf_append(b, text, strlen(text), NULL) == CFB_OK); }

/* One of a few long lists, which come again and again, in the order of their labels; often one is left out or stands twice. */
static void make_list(cfb_buf *b, uint64_t row, uint64_t v) {
    uint64_t n = 10 + row % 6 * 12, odd_one = v % 80, what = v / 80 % 3;
    for (uint64_t k = 0; k < n; k++) {
        if (k == odd_one && what == 0) continue;
        need(cfb_buf_printf(b, NULL, "%s%s%u", k ? "，" : "", k % 3 ? "公司" : "an industry of number ", (unsigned)k) == CFB_OK);
        if (k == odd_one && what == 1) put(b, PICK(odd, v / 240));
    }
}

/* The value of a field: labels between commas, now and then something strange. */
static void make_value(cfb_buf *b, uint64_t row, uint64_t field) {
    uint64_t base = field * 1000, v = rnd(base, row), n = v % 16 == 0 ? 0 : v % 97 == 0 ? 40 : 1 + v / 16 % 4;
    if (rnd(9, row) % 150 == 3) { /* in all fields of the row */
        make_list(b, row, v);
        return;
    }
    if (v % 9973 == 1) n = 3000 + v / 9973 % 9000;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t w = rnd(base + 1 + k, row);
        if (k) put(b, w % 5 ? "，" : ",");
        if (w / 8 % 8 == 0) put(b, PICK(spaces, w / 64));
        if (w / 1024 % 12) put(b, PICK(suite_names, w / 16384));
        if (w / (1u << 20) % 8 == 0) put(b, PICK(odd, w >> 32));
        if (w / (1u << 24) % 16 == 0) put(b, PICK(spaces, w >> 36));
        if (w / (1u << 28) % 700 == 0 && k < 6) put(b, PICK(broken, w >> 40));
    }
}

static void put_field(cfb_buf *b, cfb_str value, uint64_t v) {
    bool must = false, starts = value.len && value.ptr[0] == '"';
    for (size_t i = 0; i < value.len; i++) must = must || value.ptr[i] == ',' || value.ptr[i] == '\n' || value.ptr[i] == '\r';
    bool has_quote = memchr(value.ptr, '"', value.len) != NULL;
    if (!must && !starts && !(has_quote && v % 4) && v % 5) { /* a quote within an unquoted field stands for itself */
        need(cfb_buf_append_str(b, value, NULL) == CFB_OK);
        return;
    }
    put(b, "\"");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"') put(b, "\"");
        need(cfb_buf_append_char(b, value.ptr[i], NULL) == CFB_OK);
    }
    put(b, "\"");
    if (v % 20011 == 3) put(b, "x"); /* text behind the closing quote */
}

static cfb_buf make_file(size_t n) {
    cfb_buf b = CFB_BUF_INIT(0), value = CFB_BUF_INIT(0);
    put(&b, "\xEF\xBB\xBFinput,response,output\r\n");
    for (uint64_t row = 0; row < n; row++) {
        uint64_t v = rnd(77, row), fields = v % 5003 == 0 ? 2 : v % 5003 == 1 ? 4 : 3;
        for (uint64_t f = 0; f < fields; f++) {
            cfb_buf_clear(&value);
            if (f == 2 && v % 3 == 0) /* the right answer */
                make_value(&value, row, 1);
            else
                make_value(&value, row, f);
            if (f) put(&b, ",");
            put_field(&b, cfb_buf_str(&value), rnd(90 + f, row));
        }
        if (row + 1 < n || v % 2) put(&b, v % 7 ? "\n" : "\r\n");
        if (v % 211 == 0 && row + 1 < n) put(&b, v % 2 ? "\n" : "\r\n\n");
    }
    cfb_buf_free(&value);
    return b;
}

/* ---- the slow way: CSV ---- */

typedef struct slow_row {
    cfb_buf field[3];
    uint64_t line;
    bool bad;
} slow_row;

static size_t slow_record(const char *t, size_t n, size_t i, slow_row *r) {
    size_t fields = 0;
    for (;;) {
        cfb_buf trash = CFB_BUF_INIT(0), *out = fields < 3 ? &r->field[fields] : &trash;
        bool more = false;
        put(out, "");
        if (i < n && t[i] == '"') {
            for (i++; i < n; i++) {
                if (t[i] == '"' && i + 1 < n && t[i + 1] == '"')
                    i++;
                else if (t[i] == '"')
                    break;
                need(cfb_buf_append_char(out, t[i], NULL) == CFB_OK);
            }
            i++; /* over the closing quote */
            if (i < n && t[i] == ',')
                more = true;
            else if (i + 1 < n && t[i] == '\r' && t[i + 1] == '\n')
                i++;
            else if (i < n && t[i] != '\n' && !(t[i] == '\r' && i + 1 == n)) {
                r->bad = true; /* the record ends with its line */
                while (i < n && t[i] != '\n') i++;
                cfb_buf_free(&trash);
                return i + 1 < n ? i + 1 : n;
            }
        } else {
            while (i < n && t[i] != ',' && t[i] != '\n') need(cfb_buf_append_char(out, t[i++], NULL) == CFB_OK);
            more = i < n && t[i] == ',';
            if (!more && out->len && out->ptr[out->len - 1] == '\r') out->ptr[--out->len] = '\0';
        }
        cfb_buf_free(&trash);
        fields++;
        i = i + 1 < n ? i + 1 : n;
        if (!more) break;
    }
    if (fields != 3) r->bad = true;
    return i;
}

static size_t slow_csv(cfb_str text, slow_row *rows) {
    size_t i = 3, n_rows = 0; /* behind the byte order mark */
    uint64_t line = 1;
    while (text.ptr[i] != '\n') i++;
    for (i++, line++; i < text.len;) {
        size_t skip = text.ptr[i] == '\n' ? 1 : text.ptr[i] == '\r' && (i + 1 == text.len || text.ptr[i + 1] == '\n') ? 2 : 0;
        if (skip) {
            i += skip;
            line++;
            continue;
        }
        slow_row *r = &rows[n_rows++];
        *r = (slow_row){.line = line, .field = {CFB_BUF_INIT(0), CFB_BUF_INIT(0), CFB_BUF_INIT(0)}};
        size_t next = slow_record(text.ptr, text.len, i, r);
        for (; i < next; i++) line += text.ptr[i] == '\n';
    }
    return n_rows;
}

/* ---- the slow way: scores ---- */

typedef struct cps {
    uint32_t *p;
    size_t n;
} cps;

/* Code points, by the definition of UTF-8; false: it is none. */
static bool slow_decode(const cfb_buf *b, cps *out) {
    out->p = malloc((b->len + 1) * sizeof *out->p);
    need(out->p != NULL);
    out->n = 0;
    for (size_t i = 0; i < b->len;) {
        unsigned char c = (unsigned char)b->ptr[i];
        int more = c < 0x80 ? 0 : c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : -1;
        if (more < 0 || c >= 0xF8) return false;
        uint32_t v = more == 0 ? c : (uint32_t)c & (0x3Fu >> more);
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        for (int k = 1; k <= more; k++) {
            unsigned char d = i + (size_t)k < b->len ? (unsigned char)b->ptr[i + (size_t)k] : 0;
            if (d >> 6 != 2) return false;
            v = v * 64 + (d & 63);
        }
        if (v < least[more] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) return false;
        out->p[out->n++] = v;
        i += 1 + (size_t)more;
    }
    return true;
}

static bool slow_space(uint32_t c) {
    static const uint32_t list[] = {9,      10,     11,     12,     13,     0x1C,   0x1D,   0x1E,   0x1F,   32,
                                    0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
                                    0x2007, 0x2008, 0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == c) return true;
    return false;
}

static cps slow_strip(cps s) {
    while (s.n && slow_space(s.p[0])) s.p++, s.n--;
    while (s.n && slow_space(s.p[s.n - 1])) s.n--;
    return s;
}

static bool same(cps a, cps b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n * sizeof *a.p) == 0); }

static bool in_set(const cps *set, size_t n, cps s) {
    for (size_t i = 0; i < n; i++)
        if (same(set[i], s)) return true;
    return false;
}

static size_t slow_split(cps t, bool wide_only, bool drop_empty, bool strip, bool unique, cps *out) {
    size_t n = 0, from = 0;
    for (size_t i = 0; i <= t.n; i++) {
        if (i < t.n && t.p[i] != 0xFF0C && (wide_only || t.p[i] != ',')) continue;
        cps item = {t.p + from, i - from};
        from = i + 1;
        if (item.n == 0 && drop_empty) continue;
        if (strip) item = slow_strip(item);
        if (unique && in_set(out, n, item)) continue;
        need(n < 4 * MAX_ITEMS);
        out[n++] = item;
    }
    return n;
}

enum { ROW, SUITE, OBSERVED, TF, N_TASKS };

static double slow_f1(int task, cps response, cps output, const cps *suite) {
    static cps truth[4 * MAX_ITEMS], pred[4 * MAX_ITEMS], labels[8 * MAX_ITEMS];
    size_t nt = slow_split(slow_strip(response), false, true, true, true, truth);
    size_t np = slow_split(slow_strip(output), false, true, true, true, pred), nl = 0;
    if (task == ROW) nl = slow_split(response, true, false, false, false, labels);
    for (size_t i = 0; task == SUITE && i < N_SUITE; i++) labels[nl++] = suite[i];
    for (size_t i = 0; task == OBSERVED && i < nt; i++)
        if (truth[i].n) labels[nl++] = truth[i];
    for (size_t i = 0; task == OBSERVED && i < np; i++)
        if (pred[i].n && !in_set(truth, nt, pred[i])) labels[nl++] = pred[i];
    size_t tp = 0, y_true = 0, y_pred = 0;
    for (size_t i = 0; i < nl; i++) {
        bool t = in_set(truth, nt, labels[i]), p = in_set(pred, np, labels[i]);
        tp += t && p;
        y_true += t;
        y_pred += p;
    }
    if (y_pred == 0 || np > y_pred) y_pred++;
    double a = (double)tp / fmax((double)y_true, 1e-10), b = (double)tp / fmax((double)y_pred, 1e-10);
    return a == 0 || b == 0 ? 0 : 2 * a * b / (a + b);
}

static bool slow_mark(uint32_t c) {
    static const uint32_t marks[] = {0xFF0C, 0x3002, 0xFF01, 0xFF1F, 0x3001, 0xFF1B, 0xFF1A, 0xFF08, 0xFF09, ',', '.',
                                     '!',    '?',    ';',    ':',    '\'',   '"',    '(',    ')',    '[',    ']'};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i] == c) return true;
    return false;
}

static int by_token(const void *a, const void *b) {
    const cps *x = a, *y = b;
    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (x->p[i] != y->p[i]) return x->p[i] < y->p[i] ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

static size_t slow_tokens(cps t, cps *out) {
    size_t n = 0;
    for (size_t i = 0; i < t.n; i++) {
        uint32_t c = t.p[i];
        if ((c >= 'A' && c <= 'Z') || c == 0xC9 || (c >= 0xFF21 && c <= 0xFF3A)) t.p[i] = c + 32;
    }
    for (size_t i = 0; i < t.n;) {
        size_t end = i;
        bool cjk = false;
        for (; end < t.n && !slow_space(t.p[end]) && !slow_mark(t.p[end]); end++)
            cjk = cjk || (t.p[end] >= 0x4E00 && t.p[end] <= 0x9FFF);
        if (end > i && !cjk) out[n++] = (cps){t.p + i, end - i};
        for (size_t k = i; cjk && k < end; k++) out[n++] = (cps){t.p + k, 1};
        i = end + 1;
    }
    qsort(out, n, sizeof *out, by_token);
    return n;
}

static double slow_tf(cps response, cps output) {
    cps *a = malloc((response.n + 1) * sizeof *a), *b = malloc((output.n + 1) * sizeof *b);
    need(a && b);
    size_t na = slow_tokens(response, a), nb = slow_tokens(output, b);
    uint64_t dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < na;) {
        uint64_t ca = 0, cb = 0;
        cps token = a[i];
        while (i < na && same(a[i], token)) ca++, i++;
        size_t lo = 0, hi = nb;
        while (lo < hi) {
            size_t mid = (lo + hi) / 2;
            if (by_token(&b[mid], &token) < 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        while (lo < nb && same(b[lo], token)) cb++, lo++;
        dot += ca * cb;
        aa += ca * ca;
    }
    for (size_t i = 0; i < nb;) {
        uint64_t c = 0;
        cps token = b[i];
        while (i < nb && same(b[i], token)) c++, i++;
        bb += c * c;
    }
    free(a);
    free(b);
    if (na == 0 || nb == 0) return na == nb;
    return fmin(1, (double)dot / (sqrt((double)aa) * sqrt((double)bb)));
}

typedef struct want {
    size_t n_rows;
    bool *bad;
    uint64_t *lines;
    double *score[N_TASKS];
    double mean[N_TASKS];
} want;

static want slow_all(cfb_str text, size_t cap) {
    want w = {0};
    slow_row *rows = calloc(cap, sizeof *rows);
    w.bad = calloc(cap, sizeof *w.bad);
    w.lines = calloc(cap, sizeof *w.lines);
    need(rows && w.bad && w.lines);
    for (int t = 0; t < N_TASKS; t++) need((w.score[t] = calloc(cap, sizeof(double))) != NULL);
    w.n_rows = slow_csv(text, rows);
    cps suite[N_SUITE];
    for (size_t i = 0; i < N_SUITE; i++) {
        cfb_buf b = CFB_BUF_INIT(0);
        put(&b, suite_names[i]);
        need(slow_decode(&b, &suite[i]));
        cfb_buf_free(&b);
    }
    size_t good = 0;
    double total[N_TASKS] = {0}, block[N_TASKS] = {0};
    for (size_t i = 0; i < w.n_rows; i++) {
        cps r = {0}, o = {0};
        w.lines[i] = rows[i].line;
        w.bad[i] = rows[i].bad || !slow_decode(&rows[i].field[1], &r) || !slow_decode(&rows[i].field[2], &o);
        for (int t = 0; t < N_TASKS && !w.bad[i]; t++) {
            double s = t == TF ? slow_tf(r, o) : slow_f1(t, r, o, suite);
            w.score[t][i] = s;
            block[t] += s;
            if ((good + 1) % CFB_SCORE_BLOCK == 0) {
                total[t] += block[t];
                block[t] = 0;
            }
        }
        good += !w.bad[i];
        free(r.p);
        free(o.p);
        for (int f = 0; f < 3; f++) cfb_buf_free(&rows[i].field[f]);
    }
    for (int t = 0; t < N_TASKS; t++) w.mean[t] = (total[t] + block[t]) / (double)good;
    for (size_t i = 0; i < N_SUITE; i++) free(suite[i].p);
    free(rows);
    return w;
}

static void free_want(want *w) {
    free(w->bad);
    free(w->lines);
    for (int t = 0; t < N_TASKS; t++) free(w->score[t]);
}

/* ---- the fast way ---- */

struct fast_part {
    cfb_score_row_in *in;
    cfb_score_row *out;
    size_t cap;
};
struct fast {
    cfb_scorer_t *scorer;
    struct fast_part *parts;
    const want *want;
    int task;
    uint64_t n_seen, n_bad;
    const char *wrong;
};

static cfb_code fast_work(void *ctx, const cfb_scan_part *p, int worker, cfb_err *err) {
    struct fast *f = ctx;
    struct fast_part *q = &f->parts[p->slot];
    if (p->n_rows > q->cap) {
        q->cap = p->n_rows * 2;
        q->in = realloc(q->in, q->cap * sizeof *q->in);
        q->out = realloc(q->out, q->cap * sizeof *q->out);
        need(q->in && q->out);
    }
    for (size_t i = 0; i < p->n_rows; i++)
        q->in[i] = (cfb_score_row_in){p->cells[2 * i], p->cells[2 * i + 1], p->cells[2 * i + 1].len ? CFB_ROW_OK : CFB_ROW_EMPTY};
    return cfb_scorer_score_part(f->scorer, worker, q->in, p->n_rows, q->out, err);
}

/* Not asserted here: cmocka's way out of a test must not cross the scan. */
static cfb_code fast_commit(void *ctx, const cfb_scan_part *p, cfb_err *err) {
    struct fast *f = ctx;
    const struct fast_part *q = &f->parts[p->slot];
    (void)err;
    for (size_t i = 0; i < p->n_rows; i++) {
        uint64_t n = p->numbers[i];
        if (n >= f->want->n_rows || f->want->bad[n]) f->wrong = "a row that is none, or bad";
        if (!f->wrong && q->out[i].score != f->want->score[f->task][n]) f->wrong = "a score";
        if (!f->wrong && f->n_seen % 64 == 0 && cfb_scan_line(p, i) != f->want->lines[n]) f->wrong = "a line";
        f->n_seen++;
    }
    for (size_t i = 0; i < p->n_bad; i++) {
        uint64_t n = p->bad[i].number;
        if (n >= f->want->n_rows || !f->want->bad[n]) f->wrong = "a bad row that is none";
        if (!f->wrong && p->bad[i].line != f->want->lines[n]) f->wrong = "the line of a bad row";
        f->n_bad++;
    }
    cfb_scorer_add_part(f->scorer, q->out, p->n_rows);
    return CFB_OK;
}

static void check_fast(cfb_str text, const want *w, int task, int threads, size_t part_bytes) {
    static cfb_str names[N_SUITE];
    for (size_t i = 0; i < N_SUITE; i++) names[i] = cfb_str_from(suite_names[i]);
    const cfb_task t = {.name = "t",
                        .metric = task == TF ? CFB_METRIC_TF : CFB_METRIC_F1,
                        .label_set = task == ROW ? CFB_LABELS_ROW : CFB_LABELS_SUITE,
                        .labels = names,
                        .n_labels = N_SUITE};
    const cfb_scan_column columns[] = {{"response", true, false}, {"output", true, false}};
    cfb_scan_opts so = CFB_SCAN_OPTS_INIT;
    so.columns = columns;
    so.n_columns = 2;
    so.n_threads = threads;
    so.part_bytes = part_bytes;
    so.skip_bad_rows = true;
    cfb_score_opts o = CFB_SCORE_OPTS_INIT;
    o.n_threads = threads;
    o.label_set = task == OBSERVED ? CFB_LABELS_OBSERVED : CFB_LABELS_SUITE;
    o.valid_utf8 = threads > 1; /* once checked by both, once by the scan alone: the same scores */
    struct fast f = {.want = w, .task = task};
    cfb_scan_t *scan = NULL;
    cfb_err err = CFB_ERR_INIT;
    cfb_score_summary sum;
    assert_int_equal(cfb_scorer_new(&t, &o, &f.scorer, &err), CFB_OK);
    assert_int_equal(cfb_scan_open_memory("random.csv", text.ptr, text.len, &so, &scan, &err), CFB_OK);
    size_t n_slots = cfb_scan_n_slots(scan);
    need((f.parts = calloc(n_slots, sizeof *f.parts)) != NULL);
    cfb_code rc = cfb_scan_run(scan, &(cfb_scan_job){&f, fast_work, fast_commit}, &err);
    if (rc != CFB_OK) print_message("%s\n", err.msg);
    assert_int_equal(rc, CFB_OK);
    if (f.wrong) fail_msg("task %d, %s, %d threads, parts of %zu bytes: %s", task, cfb_simd_name(), threads, part_bytes, f.wrong);
    assert_int_equal(f.n_seen + f.n_bad, w->n_rows);
    assert_int_equal(cfb_scorer_summary(f.scorer, &sum, &err), CFB_OK);
    assert_int_equal(sum.n_rows, f.n_seen);
    assert_true(sum.mean_all == w->mean[task]);
    for (size_t i = 0; i < n_slots; i++) {
        free(f.parts[i].in);
        free(f.parts[i].out);
    }
    free(f.parts);
    cfb_scan_close(scan);
    cfb_scorer_free(f.scorer);
}

static const char *const simd_names[] = {"avx512", "avx2", "neon", "portable"};

static void all_rows(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 50000, 3001};
    static const int threads[] = {1, 2, 3, 8};
    cfb_buf file = make_file(N_ROWS);
    want w = slow_all(cfb_buf_str(&file), N_ROWS + 1000);
    size_t bad = 0;
    for (size_t i = 0; i < w.n_rows; i++) bad += w.bad[i];
    assert_true(bad > 100 && bad < N_ROWS / 4 && w.n_rows > N_ROWS * 9 / 10);
    for (size_t k = 0; k < sizeof simd_names / sizeof *simd_names; k++) {
        if (!cfb_simd_use(simd_names[k])) continue;
        for (size_t t = 0; t < 4; t++)
            for (int task = 0; task < N_TASKS; task++)
                check_fast(cfb_buf_str(&file), &w, task, threads[t], sizes[(t + k + (size_t)task) % 3]);
    }
    cfb_simd_use(NULL);
    free_want(&w);
    cfb_buf_free(&file);
}

static void tiny_parts(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 5, 63, 64, 65, 257, 1000};
    static const int threads[] = {1, 2, 3, 8};
    cfb_buf file = make_file(700);
    want w = slow_all(cfb_buf_str(&file), 2000);
    for (size_t k = 0; k < sizeof simd_names / sizeof *simd_names; k++) {
        if (!cfb_simd_use(simd_names[k])) continue;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t t = 0; t < 4; t++) check_fast(cfb_buf_str(&file), &w, (int)((i + t) % N_TASKS), threads[t], sizes[i]);
    }
    cfb_simd_use(NULL);
    free_want(&w);
    cfb_buf_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiny_parts), cmocka_unit_test(all_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
