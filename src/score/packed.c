/* Rows of a block whose others are elsewhere, as few bytes as their sums need: counts are summed, floating values stay apart, as
 * their sums depend on the order. Columns that are zero throughout are left out. */
#include "score/piece.h"

#include <string.h>

#define CHUNK 64 /* rows */

enum column { SCORE, ANSWERED, PRECISION, RECALL, F1, N_COLUMNS };

struct packed {
    score_counts counts;
    uint64_t columns;  /* bits: those that follow */
    uint64_t answered; /* 1: as the score, and not among them */
};

static double value_of(const cfb_score_row *row, enum column c) {
    switch (c) {
    case SCORE: return row->score;
    case ANSWERED: return score_is_answered(row->state) ? row->score : 0;
    case PRECISION: return row->set_precision;
    case RECALL: return row->set_recall;
    default: return row->set_f1;
    }
}

static struct packed head_of(const cfb_score_row *rows, size_t n) {
    struct packed h;
    score_sums sums = {0};
    memset(&h, 0, sizeof h);
    score_add_rows(rows, n, &sums, &h.counts);
    h.answered = h.counts.n_state[CFB_ROW_OK] + h.counts.n_state[CFB_ROW_TRUNCATED] == n;
    for (int c = 0; c < N_COLUMNS; c++) {
        bool any = false;
        for (size_t i = 0; i < n && !any; i++) any = value_of(&rows[i], (enum column)c) != 0; /* -0 adds nothing either */
        if (any && !(c == ANSWERED && h.answered)) h.columns |= (uint64_t)1 << c;
    }
    return h;
}

cfb_code cfb_score_pack(const cfb_score_row *rows, size_t n, cfb_buf *out, cfb_err *err) {
    const struct packed h = head_of(rows, n);
    cfb_code rc = cfb_buf_append(out, &h, sizeof h, err);
    for (int c = 0; c < N_COLUMNS; c++) {
        if (!(h.columns >> c & 1)) continue;
        for (size_t done = 0; done < n && rc == CFB_OK; done += CHUNK) {
            double v[CHUNK];
            size_t k = n - done < CHUNK ? n - done : CHUNK;
            for (size_t i = 0; i < k; i++) v[i] = value_of(&rows[done + i], (enum column)c);
            rc = cfb_buf_append(out, v, k * sizeof *v, err);
        }
    }
    return rc;
}

static double *sum_of(score_sums *s, enum column c) {
    switch (c) {
    case SCORE: return &s->score;
    case ANSWERED: return &s->answered;
    case PRECISION: return &s->precision;
    case RECALL: return &s->recall;
    default: return &s->f1;
    }
}

static void add_column(const char *values, size_t n, double *sum) {
    double v[CHUNK]; /* what came in a message is not aligned */
    for (size_t done = 0; done < n; done += CHUNK) {
        size_t k = n - done < CHUNK ? n - done : CHUNK;
        memcpy(v, values + done * sizeof *v, k * sizeof *v);
        for (size_t i = 0; i < k; i++) *sum += v[i];
    }
}

cfb_code score_add_packed(cfb_str packed, size_t most, score_sums *sums, score_counts *counts, cfb_err *err) {
    static const char broken[] = "packed rows that nobody understands";
    struct packed h;
    size_t n_columns = 0;
    if (packed.len < sizeof h) return cfb_err_set(err, CFB_EBUG, broken);
    memcpy(&h, packed.ptr, sizeof h);
    for (int c = 0; c < N_COLUMNS; c++) n_columns += h.columns >> c & 1;
    const size_t n = h.counts.n_rows <= most ? (size_t)h.counts.n_rows : 0; /* most is small: no product below is too large */
    if (h.counts.n_rows > most || h.columns >> N_COLUMNS != 0 || packed.len - sizeof h != n_columns * n * sizeof(double))
        return cfb_err_set(err, CFB_EBUG, broken);
    const char *score = NULL, *at = packed.ptr + sizeof h;
    for (int c = 0; c < N_COLUMNS; c++) {
        const char *from = c == ANSWERED && h.answered ? score : NULL;
        if (h.columns >> c & 1) {
            from = at;
            at += n * sizeof(double);
        }
        if (c == SCORE) score = from;
        if (from != NULL) add_column(from, n, sum_of(sums, (enum column)c));
    }
    *counts = h.counts;
    return CFB_OK;
}
