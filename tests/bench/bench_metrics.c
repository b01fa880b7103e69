/* Rows per second of each text metric against a plain scalar program that does the same (full tables, sorted n-grams), on
 * synthetic pairs of related texts in memory, one thread. bench_metrics [ROWS] Every score is compared with the plain program's;
 * a difference ends the benchmark with status 1. */
#include "cfbench/base.h"
#include "cfbench/metrics.h"
#include "cfbench/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 3
#define MAX_TOKENS 8192
#define WORD 0x200000u /* tokens that are words: behind all code points */

static void need(bool ok) {
    if (ok) return;
    fprintf(stderr, "bench_metrics: out of memory\n");
    exit(1);
}

/* ---- rows: ideographs, full-width commas, numbers; the output keeps about two thirds of the reference ---- */

typedef struct pair {
    cfb_str response, output;
} pair;

static uint64_t dice(uint64_t row, uint64_t i, uint64_t n) { return cfb_rand_u64(5, row, i) % n; }

static size_t put_char(char *p, uint32_t cp) {
    p[0] = (char)(0xE0 | cp >> 12);
    p[1] = (char)(0x80 | (cp >> 6 & 0x3F));
    p[2] = (char)(0x80 | (cp & 0x3F));
    return 3;
}

static size_t put_token(char *p, uint64_t row, uint64_t i) {
    uint64_t kind = dice(row, i, 20);
    if (kind == 0) return put_char(p, 0xFF0C);
    if (kind == 1) return (size_t)snprintf(p, 8, "%u ", (unsigned)dice(row, i + (1u << 20), 100));
    uint64_t a = dice(row, i + (2u << 20), 1500), b = dice(row, i + (3u << 20), 1500);
    return put_char(p, 0x4E00 + (uint32_t)(a * b / 1500)); /* small numbers are more frequent, as in real text */
}

static pair make_pair(uint64_t row, size_t length, char *text) {
    char *p = text;
    pair r;
    for (uint64_t i = 0; i < length; i++) p += put_token(p, row, i);
    r.response = (cfb_str){text, (size_t)(p - text)};
    char *begin = p;
    for (uint64_t i = 0; i < length; i++) {
        uint64_t change = dice(row, i + (4u << 20), 9);
        if (change == 0) continue;
        p += put_token(p, row, change < 3 ? i + (5u << 20) : i);
    }
    r.output = (cfb_str){begin, (size_t)(p - begin)};
    return r;
}

/* ---- the plain program ---- */

typedef struct gram {
    uint32_t t[6];
} gram;

static uint32_t tokens[2][MAX_TOKENS];
static gram sorted[2][MAX_TOKENS];
static uint32_t table[2][MAX_TOKENS + 1];

/* What a metric counts: all code points, all but white space, words without punctuation, words and punctuation. */
enum { CHARS, VISIBLE, ROUGE, ZH };

static size_t tokenise(cfb_str s, int how, uint32_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.len;) {
        uint32_t c = cfb_utf8_next(s, &i);
        if (how >= ROUGE && c - '0' < 10) {
            uint32_t v = c - '0';
            for (; i < s.len && (uint32_t)(s.ptr[i] - '0') < 10; i++) v = v * 10 + (uint32_t)(s.ptr[i] - '0') + 1000;
            out[n++] = WORD + v;
        } else if (how == CHARS || (c != ' ' && (how != ROUGE || c != 0xFF0C))) {
            out[n++] = c;
        }
    }
    return n;
}

static unsigned order_now;
static int by_gram(const void *a, const void *b) {
    const uint32_t *x = ((const gram *)a)->t, *y = ((const gram *)b)->t;
    for (unsigned i = 0; i < order_now; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

static uint64_t plain_matches(const size_t *n, unsigned order) {
    size_t m[2];
    for (int side = 0; side < 2; side++) {
        m[side] = n[side] >= order ? n[side] - order + 1 : 0;
        for (size_t i = 0; i < m[side]; i++) memcpy(sorted[side][i].t, &tokens[side][i], order * sizeof(uint32_t));
        order_now = order;
        qsort(sorted[side], m[side], sizeof(gram), by_gram);
    }
    uint64_t match = 0;
    for (size_t i = 0, k = 0; i < m[0] && k < m[1];) {
        int c = by_gram(&sorted[0][i], &sorted[1][k]);
        match += c == 0;
        i += c <= 0;
        k += c >= 0;
    }
    return match;
}

static uint64_t plain_table(const size_t *n, bool lcs) {
    for (size_t j = 0; j <= n[1]; j++) table[0][j] = lcs ? 0 : (uint32_t)j;
    for (size_t i = 1; i <= n[0]; i++) {
        const uint32_t *up = table[(i - 1) & 1];
        uint32_t *row = table[i & 1], x = tokens[0][i - 1];
        row[0] = lcs ? 0 : (uint32_t)i;
        for (size_t j = 1; j <= n[1]; j++) {
            bool same = tokens[1][j - 1] == x;
            uint32_t a = up[j], b = row[j - 1], d = up[j - 1];
            if (lcs)
                row[j] = same ? d + 1 : a > b ? a : b;
            else
                row[j] = d + !same < (a < b ? a : b) + 1 ? d + !same : (a < b ? a : b) + 1;
        }
    }
    return table[n[0] & 1][n[1]];
}

static double f_of(uint64_t match, size_t reference, size_t output) {
    double p = output ? (double)match / (double)output : 0, r = reference ? (double)match / (double)reference : 0;
    return p + r > 0 ? 2 * p * r / (p + r) : 0;
}

static double plain(cfb_metric m, const pair *row) {
    int how = m == CFB_METRIC_EDIT ? CHARS : m == CFB_METRIC_CHRF ? VISIBLE : m == CFB_METRIC_BLEU ? ZH : ROUGE;
    size_t n[2] = {tokenise(row->response, how, tokens[0]), tokenise(row->output, how, tokens[1])};
    if (m == CFB_METRIC_ROUGEL) return f_of(plain_table(n, true), n[0], n[1]);
    if (m == CFB_METRIC_EDIT) {
        size_t longer = n[0] > n[1] ? n[0] : n[1];
        return longer ? 1 - (double)plain_table(n, false) / (double)longer : 1;
    }
    if (m == CFB_METRIC_ROUGE1) return f_of(plain_matches(n, 1), n[0], n[1]);
    if (m == CFB_METRIC_ROUGE2) return f_of(plain_matches(n, 2), n[0] ? n[0] - 1 : 0, n[1] ? n[1] - 1 : 0);
    if (m == CFB_METRIC_BLEU) {
        cfb_bleu_counts c = {.output_len = n[1], .reference_len = n[0]};
        for (unsigned k = 1; k <= CFB_BLEU_ORDER; k++) {
            c.match[k - 1] = plain_matches(n, k);
            c.total[k - 1] = n[1] >= k ? n[1] - k + 1 : 0;
        }
        return cfb_bleu_score(&c, true);
    }
    cfb_chrf_counts c;
    for (unsigned k = 1; k <= CFB_CHRF_ORDER; k++) {
        c.match[k - 1] = plain_matches(n, k);
        c.output[k - 1] = n[1] >= k ? n[1] - k + 1 : 0;
        c.reference[k - 1] = n[0] >= k ? n[0] - k + 1 : 0;
    }
    return cfb_chrf_score(&c);
}

/* ---- side by side ---- */

static double seconds(int64_t since) { return (double)(cfb_now_ns() - since) / 1e9; }

/* Rounds of both sides in turn, the fastest of each; the plain side may do fewer rows. */
static void run(cfb_metric_scratch_t *s, cfb_metric m, const pair *rows, size_t n, size_t n_plain, size_t bytes) {
    double *got = calloc(n, sizeof *got), fast = 1e30, slow = 1e30;
    const cfb_metric_info *info = cfb_metric_get(m);
    need(got != NULL);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = cfb_now_ns();
        for (size_t i = 0; i < n; i++) {
            cfb_metric_row r;
            if (info->row(s, rows[i].response, rows[i].output, &r, NULL) != CFB_OK) exit(1);
            got[i] = r.score;
        }
        double t = seconds(start);
        if (t < fast) fast = t;
        start = cfb_now_ns();
        for (size_t i = 0; i < n_plain; i++) {
            double want = plain(m, &rows[i]);
            if (fabs(want - got[i]) <= 1e-12) continue;
            fprintf(stderr, "bench_metrics: %s, row %zu: %.17g, plain %.17g\n", info->name, i, got[i], want);
            exit(1);
        }
        t = seconds(start);
        if (t < slow) slow = t;
    }
    double per_s = (double)n / fast, plain_per_s = (double)n_plain / slow;
    printf("%-8s %6zu rows, %5zu bytes each: plain %9.0f rows/s; ours %9.0f rows/s, %5.0f MB/s (%.1f x)\n", info->name, n,
           bytes / n, plain_per_s, per_s, (double)bytes / fast / 1e6, per_s / plain_per_s);
    free(got);
}

int main(int argc, char **argv) {
    int64_t n_rows = 4000;
    if ((argc > 1 && !cfb_parse_int(argv[1], &n_rows)) || n_rows < 20 || n_rows > 10000000) {
        fprintf(stderr, "usage: bench_metrics [ROWS]\n");
        return 1;
    }
    static const cfb_metric metrics[] = {CFB_METRIC_ROUGE1, CFB_METRIC_ROUGE2, CFB_METRIC_ROUGEL,
                                         CFB_METRIC_BLEU,   CFB_METRIC_CHRF,   CFB_METRIC_EDIT};
    static const size_t lengths[] = {40, 300, 2000}; /* tokens: a sentence, a summary, a report */
    cfb_metric_scratch_t *s;
    need(cfb_metric_scratch_new(&s, NULL) == CFB_OK);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        size_t n = (size_t)n_rows * 40 / lengths[k] + 10, bytes = 0, room = lengths[k] * 8;
        pair *rows = calloc(n, sizeof *rows);
        char *text = malloc(n * room);
        need(rows && text);
        for (size_t i = 0; i < n; i++) {
            rows[i] = make_pair(i, lengths[k], text + i * room);
            bytes += rows[i].response.len + rows[i].output.len;
        }
        for (size_t m = 0; m < sizeof metrics / sizeof *metrics; m++)
            run(s, metrics[m], rows, n, lengths[k] > 1000 ? 10 + n / 4 : n, bytes);
        free(rows);
        free(text);
    }
    cfb_metric_scratch_free(s);
    return 0;
}
