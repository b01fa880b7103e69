#include "cfbench/metrics.h"

/* Bits set in a word, in arithmetic that every SIMD instruction set has: a loop over it vectorises on any machine,
 * where a call of the population-count instruction would not. */
static inline uint64_t popcount64(uint64_t x) {
    x -= (x >> 1) & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    x += x >> 8;
    x += x >> 16;
    x += x >> 32;
    return x & 0x7F;
}

static void count_single_words(const uint64_t *truth, const uint64_t *pred, size_t n_rows, uint32_t *tp, uint32_t *n_true,
                               uint32_t *n_pred) {
#pragma omp simd
    for (size_t i = 0; i < n_rows; i++) {
        tp[i] = (uint32_t)popcount64(truth[i] & pred[i]);
        n_true[i] = (uint32_t)popcount64(truth[i]);
        n_pred[i] = (uint32_t)popcount64(pred[i]);
    }
}

/* Three counts of 7 bits, 21 bits apart: sums over up to 2^14 words cannot run into each other. */
#define FIELD_BITS 21
#define FIELD_MASK ((UINT64_C(1) << FIELD_BITS) - 1)
#define CHUNK_WORDS 512

/* One row: the words are counted in a flat SIMD loop, then added up. Integers, so the order does not matter. */
static void count_row(const uint64_t *truth, const uint64_t *pred, size_t n_words, uint32_t *tp, uint32_t *n_true,
                      uint32_t *n_pred) {
    *tp = *n_true = *n_pred = 0;
    for (size_t w = 0; w < n_words; w += CHUNK_WORDS) {
        size_t end = n_words - w < CHUNK_WORDS ? n_words : w + CHUNK_WORDS;
        uint64_t sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t k = w; k < end; k++)
            sum += popcount64(truth[k] & pred[k]) | popcount64(truth[k]) << FIELD_BITS | popcount64(pred[k]) << (2 * FIELD_BITS);
        *tp += (uint32_t)(sum & FIELD_MASK);
        *n_true += (uint32_t)(sum >> FIELD_BITS & FIELD_MASK);
        *n_pred += (uint32_t)(sum >> (2 * FIELD_BITS));
    }
}

/* Short rows (a suite of a few hundred labels): whole rows until the chunk is full, counted flat, then added up per row. */
static void count_short_rows(const uint64_t *truth, const uint64_t *pred, size_t n_rows, size_t n_words, uint32_t *tp,
                             uint32_t *n_true, uint32_t *n_pred) {
    uint64_t packed[CHUNK_WORDS];
    size_t rows_per_chunk = CHUNK_WORDS / n_words;
    for (size_t r = 0; r < n_rows; r += rows_per_chunk) {
        size_t rows = n_rows - r < rows_per_chunk ? n_rows - r : rows_per_chunk, words = rows * n_words;
        const uint64_t *t = truth + r * n_words, *p = pred + r * n_words;
#pragma omp simd
        for (size_t k = 0; k < words; k++)
            packed[k] = popcount64(t[k] & p[k]) | popcount64(t[k]) << FIELD_BITS | popcount64(p[k]) << (2 * FIELD_BITS);
        for (size_t i = 0; i < rows; i++) {
            uint64_t sum = 0;
            for (size_t w = 0; w < n_words; w++) sum += packed[i * n_words + w];
            tp[r + i] = (uint32_t)(sum & FIELD_MASK);
            n_true[r + i] = (uint32_t)(sum >> FIELD_BITS & FIELD_MASK);
            n_pred[r + i] = (uint32_t)(sum >> (2 * FIELD_BITS));
        }
    }
}

void cfb_bits_count(const uint64_t *truth, const uint64_t *pred, size_t n_rows, size_t n_words, uint32_t *tp, uint32_t *n_true,
                    uint32_t *n_pred) {
    if (n_words == 1) {
        count_single_words(truth, pred, n_rows, tp, n_true, n_pred);
    } else if (n_words > 0 && n_words <= CHUNK_WORDS / 8) {
        count_short_rows(truth, pred, n_rows, n_words, tp, n_true, n_pred);
    } else {
        for (size_t i = 0; i < n_rows; i++)
            count_row(truth + i * n_words, pred + i * n_words, n_words, &tp[i], &n_true[i], &n_pred[i]);
    }
}

/* Through int32_t, which every instruction set converts; a row of less than 4 GiB has fewer than 2^31 labels. */
static inline double count_value(uint32_t n) { return (double)(int32_t)n; }

/* tp / max(n, 1e-10) for tp <= n: with n = 0 both this and the formula are 0. */
static inline double share(uint32_t tp, uint32_t n) { return count_value(tp) / count_value(n + (n == 0)); }

/* 2ab/(a+b), or 0 where both shares of tp are 0 (they are never 0 alone). Without a branch, so that loops over it
 * vectorise: adding 0.0 to a positive sum changes nothing. Nothing here can be contracted into a fused multiply-add, and
 * every operation is one IEEE rounding: vector and scalar code give the same bits. */
static inline double f1_of_shares(double a, double b, uint32_t tp) { return 2.0 * a * b / (a + b + count_value(tp == 0)); }

double cfb_f1_from_counts(uint32_t tp, uint32_t n_true, uint32_t n_pred) {
    return f1_of_shares(share(tp, n_true), share(tp, n_pred), tp);
}

void cfb_f1_finish(const uint32_t *tp, const uint32_t *n_true, uint32_t *n_pred, const uint32_t *n_items, size_t n_rows,
                   double *score) {
#pragma omp simd
    for (size_t i = 0; i < n_rows; i++) {
        uint32_t p = n_pred[i];
        p += (uint32_t)((p == 0) | (n_items[i] > p));
        n_pred[i] = p;
        score[i] = f1_of_shares(share(tp[i], n_true[i]), share(tp[i], p), tp[i]);
    }
}

void cfb_set_scores(const uint32_t *both, const uint32_t *n_ref, const uint32_t *n_out, size_t n_rows, double *precision,
                    double *recall, double *f1) {
#pragma omp simd
    for (size_t i = 0; i < n_rows; i++) {
        precision[i] = share(both[i], n_out[i]);
        recall[i] = share(both[i], n_ref[i]);
        f1[i] = f1_of_shares(precision[i], recall[i], both[i]);
    }
}
