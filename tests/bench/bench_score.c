/* Rows per second of the scorer against a plain scalar program that does the same, on synthetic rows in memory.
 *   bench_score [THREADS] [ROWS]
 * Every score of every run is compared with the plain program's; a difference ends the benchmark with status 1. */
#include "cfbench/base.h"
#include "cfbench/metrics.h"
#include "cfbench/score.h"
#include "cfbench/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N_SECTORS 138
#define N_NAMES 600
#define ROUNDS 5
#define MAX_SET 64

static void need(bool ok) {
    if (ok) return;
    fprintf(stderr, "bench_score: out of memory\n");
    exit(1);
}

/* ---- rows ---- */

static cfb_str sectors[N_SECTORS], names[N_NAMES];
static char label_text[N_SECTORS + N_NAMES][24];

static size_t put_char(char *p, uint32_t cp) {
    p[0] = (char)(0xE0 | cp >> 12);
    p[1] = (char)(0x80 | (cp >> 6 & 0x3F));
    p[2] = (char)(0x80 | (cp & 0x3F));
    return 3;
}

/* A label of 2 to 5 ideographs; its number is in the first two, so that labels differ. */
static cfb_str make_label(size_t i) {
    char *p = label_text[i];
    size_t n = put_char(p, 0x4E00 + (uint32_t)(i / 64));
    n += put_char(p + n, 0x5E00 + (uint32_t)(i % 64));
    for (uint64_t k = cfb_rand_u64(1, 0, i) % 4; k > 0; k--)
        n += put_char(p + n, 0x6000 + (uint32_t)(cfb_rand_u64(1, k, i) % 500));
    return (cfb_str){p, n};
}

static int by_text(const void *a, const void *b) { return cfb_str_cmp(*(const cfb_str *)a, *(const cfb_str *)b); }

static void make_labels(void) {
    for (size_t i = 0; i < N_SECTORS; i++) sectors[i] = make_label(i);
    for (size_t i = 0; i < N_NAMES; i++) names[i] = make_label(N_SECTORS + i);
    qsort(sectors, N_SECTORS, sizeof *sectors, by_text);
}

static void append(cfb_buf *b, cfb_str s) { need(cfb_buf_append_str(b, s, NULL) == CFB_OK); }

/* 1 to 3 labels between commas. The output shares about half of the reference's. */
static void make_label_text(cfb_buf *b, const cfb_str *labels, size_t n_labels, size_t row, uint64_t side) {
    uint64_t n = 1 + cfb_rand_u64(2, side, row) % 3;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t from = side == 1 && cfb_rand_u64(3, k, row) % 2 ? 0 : side;
        if (k) append(b, CFB_STR_LIT("，"));
        append(b, labels[cfb_rand_u64(4 + from, k, row) % n_labels]);
    }
}

/* 80 to 220 characters: 700 ideographs of unequal frequency, full-width punctuation, a few numbers and Latin words. */
static void make_free_text(cfb_buf *b, size_t row, uint64_t side) {
    static const char *const extras[] = {"，", "，", "。", "、", "2023", "EPS", "“", "”", "A股", "12.5%"};
    uint64_t n = 80 + cfb_rand_u64(6, side, row) % 140;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t v = cfb_rand_u64(7 + side, k, row);
        char c[4];
        if (v % 10 == 0) {
            append(b, cfb_str_from(extras[(v >> 8) % 10]));
            continue;
        }
        double u = cfb_rand_unit(9 + side, k, row);
        append(b, (cfb_str){c, put_char(c, 0x4E00 + (uint32_t)(u * u * u * 700) * 29)});
    }
}

typedef struct workload {
    const char *title;
    cfb_task task;
    cfb_buf text;
    cfb_score_row_in *rows;
    size_t n;
} workload;

static void make_rows(workload *w, size_t n) {
    size_t(*ends)[2] = malloc(n * sizeof *ends);
    w->rows = malloc(n * sizeof *w->rows);
    need(ends && w->rows);
    w->n = n;
    for (size_t i = 0; i < n; i++)
        for (uint64_t side = 0; side < 2; side++) {
            if (w->task.metric == CFB_METRIC_TF)
                make_free_text(&w->text, i, side);
            else if (w->task.labels)
                make_label_text(&w->text, sectors, N_SECTORS, i, side);
            else
                make_label_text(&w->text, names, N_NAMES, i, side);
            ends[i][side] = w->text.len;
        }
    for (size_t i = 0; i < n; i++) {
        size_t begin = i ? ends[i - 1][1] : 0, middle = ends[i][0];
        w->rows[i].response = (cfb_str){w->text.ptr + begin, middle - begin};
        w->rows[i].output = (cfb_str){w->text.ptr + middle, ends[i][1] - middle};
        w->rows[i].state = CFB_ROW_OK;
    }
    free(ends);
}

/* ---- the plain program: sets as lists, a loop over all labels, tokens sorted and counted ---- */

static size_t next_part(cfb_str t, size_t from, bool wide_only, size_t *after) {
    for (size_t i = from; i < t.len; i++) {
        if (!wide_only && t.ptr[i] == ',') {
            *after = i + 1;
            return i;
        }
        if (t.len - i >= 3 && memcmp(t.ptr + i, "，", 3) == 0) {
            *after = i + 3;
            return i;
        }
    }
    *after = SIZE_MAX;
    return t.len;
}

static bool contains(const cfb_str *set, size_t n, cfb_str s) {
    for (size_t i = 0; i < n; i++)
        if (cfb_str_eq(set[i], s)) return true;
    return false;
}

static size_t plain_set(cfb_str text, cfb_str *set) {
    cfb_str t = cfb_text_strip(text);
    size_t n = 0;
    for (size_t from = 0, after; from != SIZE_MAX; from = after) {
        size_t end = next_part(t, from, false, &after);
        cfb_str item = cfb_text_strip((cfb_str){t.ptr + from, end - from});
        if (end > from && n < MAX_SET && !contains(set, n, item)) set[n++] = item;
    }
    return n;
}

static double plain_f1(const cfb_task *task, const cfb_score_row_in *row) {
    cfb_str truth[MAX_SET], pred[MAX_SET], own[MAX_SET];
    size_t n_truth = plain_set(row->response, truth), n_output = plain_set(row->output, pred), n_own = 0;
    const cfb_str *labels = task->labels;
    size_t n_labels = task->n_labels;
    if (labels == NULL) {
        for (size_t from = 0, after; from != SIZE_MAX && n_own < MAX_SET; from = after) {
            size_t end = next_part(row->response, from, true, &after);
            own[n_own++] = (cfb_str){row->response.ptr + from, end - from};
        }
        labels = own;
        n_labels = n_own;
    }
    size_t tp = 0, y_true = 0, y_pred = 0;
    for (size_t i = 0; i < n_labels; i++) {
        bool t = contains(truth, n_truth, labels[i]), p = contains(pred, n_output, labels[i]);
        tp += t && p;
        y_true += t;
        y_pred += p;
    }
    if (y_pred == 0 || n_output > y_pred) y_pred++;
    double a = (double)tp / fmax((double)y_true, 1e-10), b = (double)tp / fmax((double)y_pred, 1e-10);
    return a == 0 || b == 0 ? 0 : 2 * a * b / (a + b);
}

static bool in_list(uint32_t c, const uint32_t *list) {
    for (; *list; list++)
        if (*list == c) return true;
    return false;
}

static size_t plain_tokens(cfb_str text, cfb_buf *low, cfb_str *out) {
    static const uint32_t marks[] = {0xFF0C, 0x3002, 0xFF01, 0xFF1F, 0x3001, 0xFF1B, 0xFF1A, 0xFF08, 0xFF09, ',', '.',
                                     '!',    '?',    ';',    ':',    '\'',   '"',    '(',    ')',    '[',    ']', 0};
    cfb_buf_clear(low);
    need(cfb_text_lower(text, low, NULL) == CFB_OK);
    cfb_str t = cfb_buf_str(low);
    size_t n = 0;
    for (size_t i = 0; i < t.len;) {
        size_t end = i, stop = i;
        bool cjk = false;
        while (end < t.len) {
            uint32_t c = cfb_utf8_next(t, &stop);
            if (cfb_text_is_space(c) || in_list(c, marks)) break;
            cjk = cjk || (c >= 0x4E00 && c <= 0x9FFF);
            end = stop;
        }
        for (size_t k = i; k < end;) {
            size_t next = k;
            (void)cfb_utf8_next(t, &next);
            if (!cjk) next = end;
            out[n++] = (cfb_str){t.ptr + k, next - k};
            k = next;
        }
        i = end < t.len ? stop : end;
    }
    qsort(out, n, sizeof *out, by_text);
    return n;
}

static size_t run_length(const cfb_str *tokens, size_t n, size_t i) {
    size_t k = i + 1;
    while (k < n && cfb_str_eq(tokens[k], tokens[i])) k++;
    return k - i;
}

static double square_sum(const cfb_str *tokens, size_t n) {
    size_t sum = 0;
    for (size_t i = 0, c; i < n; i += c) {
        c = run_length(tokens, n, i);
        sum += c * c;
    }
    return (double)sum;
}

static double plain_tf(const cfb_score_row_in *row, cfb_buf low[2], cfb_str *tokens[2]) {
    size_t na = plain_tokens(row->response, &low[0], tokens[0]), nb = plain_tokens(row->output, &low[1], tokens[1]), dot = 0;
    if (na == 0 || nb == 0) return na == nb;
    for (size_t i = 0, k = 0; i < na && k < nb;) {
        int c = cfb_str_cmp(tokens[0][i], tokens[1][k]);
        size_t ca = run_length(tokens[0], na, i), cb = run_length(tokens[1], nb, k);
        if (c == 0) dot += ca * cb;
        if (c <= 0) i += ca;
        if (c >= 0) k += cb;
    }
    return fmin(1, (double)dot / (sqrt(square_sum(tokens[0], na)) * sqrt(square_sum(tokens[1], nb))));
}

static double time_plain(const workload *w, double *score) {
    cfb_buf low[2] = {CFB_BUF_INIT(0), CFB_BUF_INIT(0)};
    cfb_str *tokens[2] = {malloc(w->text.len * sizeof(cfb_str) + 1), malloc(w->text.len * sizeof(cfb_str) + 1)};
    need(tokens[0] && tokens[1]);
    int64_t begin = cfb_now_ns();
    for (size_t i = 0; i < w->n; i++)
        score[i] = w->task.metric == CFB_METRIC_TF ? plain_tf(&w->rows[i], low, tokens) : plain_f1(&w->task, &w->rows[i]);
    double seconds = (double)(cfb_now_ns() - begin) * 1e-9;
    for (int i = 0; i < 2; i++) {
        cfb_buf_free(&low[i]);
        free(tokens[i]);
    }
    return seconds;
}

/* ---- the scorer ---- */

static double time_scorer(const workload *w, int threads, const double *want, cfb_score_row *out) {
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
        opts.n_threads = threads;
        cfb_scorer_t *s;
        cfb_score_summary sum;
        need(cfb_scorer_new(&w->task, &opts, &s, NULL) == CFB_OK);
        int64_t begin = cfb_now_ns();
        need(cfb_scorer_add(s, w->rows, w->n, out, NULL) == CFB_OK && cfb_scorer_summary(s, &sum, NULL) == CFB_OK);
        double seconds = (double)(cfb_now_ns() - begin) * 1e-9;
        if (seconds < best) best = seconds;
        cfb_scorer_free(s);
        for (size_t i = 0; i < w->n; i++)
            if (out[i].score != want[i]) {
                fprintf(stderr, "bench_score: %s, row %zu: %.17g, the plain program says %.17g\n", w->title, i, out[i].score,
                        want[i]);
                exit(1);
            }
    }
    return best;
}

static void run(workload *w, size_t n, int threads) {
    make_rows(w, n);
    double *want = malloc(n * sizeof *want);
    cfb_score_row *out = malloc(n * sizeof *out);
    need(want && out);
    double plain = time_plain(w, want), one = time_scorer(w, 1, want, out);
    double many = threads == 1 ? one : time_scorer(w, threads, want, out);
    printf("%-22s %8zu rows, %4zu bytes each: plain %9.0f rows/s; scorer %9.0f with 1 thread (%.1f x), %9.0f with %d (%.1f x; "
           "%.2f x of 1 thread)\n",
           w->title, n, w->text.len / n, (double)n / plain, (double)n / one, plain / one, (double)n / many, threads, plain / many,
           one / many);
    free(want);
    free(out);
    free(w->rows);
    cfb_buf_free(&w->text);
}

/* ---- counters against bit matrices ---- */

#define BLOCK 1024
#define MOST_LABELS 1024
#define MOST_ITEMS 4

typedef struct id_rows { /* label numbers: up to four of each row's reference and output */
    uint32_t ref[BLOCK][MOST_ITEMS], out[BLOCK][MOST_ITEMS];
    uint8_t n_ref[BLOCK], n_out[BLOCK];
} id_rows;

typedef struct counts {
    uint64_t actual[MOST_LABELS], predicted[MOST_LABELS], correct[MOST_LABELS];
    uint64_t rows_tp;
} counts;

/* What scoring does: the output's labels are looked for among the reference's, which the row's own score needs anyway. */
static void count_plainly(const id_rows *r, size_t n_labels, counts *c) {
    (void)n_labels;
    for (size_t i = 0; i < BLOCK; i++) {
        uint32_t tp = 0;
        for (size_t k = 0; k < r->n_ref[i]; k++) c->actual[r->ref[i][k]]++;
        for (size_t k = 0; k < r->n_out[i]; k++) {
            size_t at = 0;
            while (at < r->n_ref[i] && r->ref[i][at] != r->out[i][k]) at++;
            bool found = at < r->n_ref[i];
            c->predicted[r->out[i][k]]++;
            c->correct[r->out[i][k]] += found;
            tp += found;
        }
        c->rows_tp += tp;
    }
}

/* A block as bit matrices, a label's rows side by side and a row's labels side by side: AND + popcount of each. */
static uint64_t by_label[2][MOST_LABELS][BLOCK / 64], by_row[2][BLOCK][MOST_LABELS / 64];

#define CFB_BODY                                                                                                            \
    size_t words = (n_labels + 63) / 64;                                                                                    \
    for (int m = 0; m < 2; m++) {                                                                                           \
        memset(by_label[m], 0, n_labels * sizeof by_label[m][0]);                                                           \
        for (size_t i = 0; i < BLOCK; i++) {                                                                                \
            const uint32_t *ids = m ? r->out[i] : r->ref[i];                                                                \
            memset(by_row[m][i], 0, words * sizeof(uint64_t));                                                              \
            for (size_t k = 0; k < (m ? r->n_out[i] : r->n_ref[i]); k++) {                                                  \
                by_label[m][ids[k]][i / 64] |= UINT64_C(1) << (i % 64);                                                     \
                by_row[m][i][ids[k] / 64] |= UINT64_C(1) << (ids[k] % 64);                                                  \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    for (size_t i = 0; i < BLOCK; i++)                                                                                      \
        for (size_t w = 0; w < words; w++) c->rows_tp += (uint64_t)__builtin_popcountll(by_row[0][i][w] & by_row[1][i][w]); \
    for (size_t l = 0; l < n_labels; l++)                                                                                   \
        for (size_t w = 0; w < BLOCK / 64; w++) {                                                                           \
            uint64_t a = by_label[0][l][w], b = by_label[1][l][w];                                                          \
            c->actual[l] += (uint64_t)__builtin_popcountll(a);                                                              \
            c->predicted[l] += (uint64_t)__builtin_popcountll(b);                                                           \
            c->correct[l] += (uint64_t)__builtin_popcountll(a & b);                                                         \
        }

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vpopcntdq,popcnt"))) static void count_bits_avx512(const id_rows *r, size_t n_labels,
                                                                                        counts *c) {
    CFB_BODY
}
__attribute__((target("popcnt"))) static void count_bits_popcnt(const id_rows *r, size_t n_labels, counts *c) { CFB_BODY }
#endif
static void count_bits_plain(const id_rows *r, size_t n_labels, counts *c) { CFB_BODY }

typedef void (*count_fn)(const id_rows *r, size_t n_labels, counts *c);

static count_fn bits_here(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vpopcntdq")) return count_bits_avx512;
    if (__builtin_cpu_supports("popcnt")) return count_bits_popcnt;
#endif
    return count_bits_plain;
}

static double time_counts(count_fn count, const id_rows *r, size_t n_labels, counts *c) {
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        memset(c, 0, sizeof *c);
        int64_t begin = cfb_now_ns();
        for (int i = 0; i < 400; i++) count(r, n_labels, c);
        double ns = (double)(cfb_now_ns() - begin) / (400.0 * BLOCK);
        if (ns < best) best = ns;
    }
    return best;
}

static void compare_counts(size_t n_labels) {
    static id_rows r;
    static counts plain, bits;
    for (size_t i = 0; i < BLOCK; i++) {
        r.n_ref[i] = (uint8_t)(1 + cfb_rand_u64(7, 0, i) % 3);
        r.n_out[i] = (uint8_t)(1 + cfb_rand_u64(7, 1, i) % MOST_ITEMS);
        for (size_t k = 0; k < MOST_ITEMS; k++) { /* different ones, by their remainders */
            size_t j = i * MOST_ITEMS + k, n = n_labels / MOST_ITEMS;
            r.ref[i][k] = (uint32_t)(cfb_rand_u64(7, 2, j) % n * MOST_ITEMS + k);
            r.out[i][k] = cfb_rand_u64(7, 3, j) % 3 ? r.ref[i][k] : (uint32_t)(cfb_rand_u64(7, 4, j) % n * MOST_ITEMS + k);
        }
    }
    double a = time_counts(count_plainly, &r, n_labels, &plain), b = time_counts(bits_here(), &r, n_labels, &bits);
    if (memcmp(&plain, &bits, sizeof plain) != 0) {
        fprintf(stderr, "bench_score: counters and bit matrices of %zu labels count differently\n", n_labels);
        exit(1);
    }
    printf("counts of a block of %d rows, per row and per label, %4zu labels: counters %.1f ns a row; bit matrices with AND and "
           "popcount %.1f\n",
           BLOCK, n_labels, a, b);
}

int main(int argc, char **argv) {
    int64_t threads = cfb_cpu_count(), n = 400000;
    bool ok = (argc < 2 || cfb_parse_int(argv[1], &threads)) && (argc < 3 || cfb_parse_int(argv[2], &n));
    if (!ok || threads < 1 || threads > 64 || n < 10 || n > 100000000) {
        fprintf(stderr, "usage: bench_score [THREADS] [ROWS]\n");
        return 1;
    }
    make_labels();
    workload works[] = {
        {.title = "f1, 138 suite labels",
         .task = {.name = "sector",
                  .metric = CFB_METRIC_F1,
                  .label_set = CFB_LABELS_SUITE,
                  .labels = sectors,
                  .n_labels = N_SECTORS}},
        {.title = "f1, row labels", .task = {.name = "company", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_ROW}},
        {.title = "tf cosine", .task = {.name = "suggestion", .metric = CFB_METRIC_TF}},
    };
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        run(&works[i], works[i].task.metric == CFB_METRIC_TF ? (size_t)n / 10 : (size_t)n, (int)threads);
    const size_t label_counts[] = {32, 136, 840};
    for (size_t i = 0; i < 3; i++) compare_counts(label_counts[i]);
    return 0;
}
