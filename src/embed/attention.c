#include "embed/attention.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX512
#endif

#define ROWS 6 /* of q at a time: with 4 vectors of columns, 24 sums fit the registers */
#define VECTORS 4
#define LANES 16 /* binary32 numbers, or pairs of bfloat16, of a vector */

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* What scratch holds. A pair is two neighbours in the direction in which a product sums. */
typedef struct plan {
    size_t n, d, keys, columns, key_pairs, value_pairs; /* keys, columns: whole vectors */
    uint32_t *k;                                        /* (value of d / 2, keys): pairs of columns of k */
    uint32_t *v;                                        /* (keys / 2, columns): pairs of rows of v */
    uint32_t *q;                                        /* (ROWS, d / 2) */
    uint32_t *p;                                        /* (ROWS, keys / 2): the exponentials */
    float *s;                                           /* (ROWS, keys) */
} plan;

static plan make_plan(size_t n, size_t d, void *scratch) {
    plan p = {n, d, up(n, LANES), up(d, LANES), (d + 1) / 2, (n + 1) / 2, scratch, NULL, NULL, NULL, NULL};
    if (scratch == NULL) return p;
    p.v = p.k + p.key_pairs * p.keys;
    p.p = p.v + p.value_pairs * p.columns;
    p.s = (float *)(void *)(p.p + ROWS * p.keys / 2);
    p.q = (uint32_t *)(void *)(p.s + ROWS * p.keys);
    return p;
}

size_t embed_attention_bytes(size_t n, size_t d) {
    plan p = make_plan(n, d, NULL);
    size_t items = p.key_pairs * p.keys + p.value_pairs * p.columns + ROWS * (p.keys / 2 + p.keys + p.key_pairs);
    return up(items * sizeof(uint32_t), 64);
}

/* ---- plain ---- */

static float widen(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t narrow(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static void attend_plain(const uint16_t *q, const uint16_t *k, const uint16_t *v, size_t m, size_t n, size_t d, size_t ld,
                         void *scratch, uint16_t *out) {
    float *s = scratch, scale = 1.0f / sqrtf((float)d);
    for (size_t i = 0; i < m; i++) {
        float top = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            s[j] = 0;
            for (size_t c = 0; c < d; c++) s[j] += widen(q[i * ld + c]) * widen(k[j * ld + c]);
            top = s[j] > top ? s[j] : top;
        }
        for (size_t j = 0; j < n; j++) {
            float e = expf((s[j] - top) * scale);
            sum += e;
            s[j] = widen(narrow(e));
        }
        for (size_t c = 0; c < d; c++) {
            float t = 0;
            for (size_t j = 0; j < n; j++) t += s[j] * widen(v[j * ld + c]);
            out[i * ld + c] = narrow(t / sum);
        }
    }
}

/* ---- AVX-512 BF16 ---- */

#ifdef HAVE_AVX512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* 16 rows of 16 pairs to 16 columns, in place. */
INLINE void transpose(__m512i r[LANES]) {
    __m512i t[LANES], u[LANES];
    for (size_t i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (size_t i = 0; i < LANES; i += 4) /* u[i + c]: columns c, 4 + c, 8 + c and 12 + c of rows i to i + 3 */
        for (size_t k = 0; k < 2; k++) {
            u[i + 2 * k] = _mm512_unpacklo_epi64(t[i + k], t[i + k + 2]);
            u[i + 2 * k + 1] = _mm512_unpackhi_epi64(t[i + k], t[i + k + 2]);
        }
    for (size_t c = 0; c < 4; c++) {
        __m512i even[2] = {_mm512_shuffle_i32x4(u[c], u[4 + c], 0x88), _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x88)};
        __m512i odd[2] = {_mm512_shuffle_i32x4(u[c], u[4 + c], 0xDD), _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xDD)};
        r[c] = _mm512_shuffle_i32x4(even[0], even[1], 0x88);
        r[4 + c] = _mm512_shuffle_i32x4(odd[0], odd[1], 0x88);
        r[8 + c] = _mm512_shuffle_i32x4(even[0], even[1], 0xDD);
        r[12 + c] = _mm512_shuffle_i32x4(odd[0], odd[1], 0xDD);
    }
}

INLINE __mmask32 first(size_t n) { return n >= 32 ? 0xFFFFFFFF : (1u << n) - 1; }

/* Pairs of columns, keys side by side; what is beyond them is 0. */
TARGET static void pack_keys(const plan *p, const uint16_t *k, size_t ld) {
    for (size_t j = 0; j < p->keys; j += LANES)
        for (size_t c = 0; c < p->key_pairs; c += LANES) {
            __m512i r[LANES];
            __mmask32 there = first(p->d - 2 * c);
            for (size_t i = 0; i < LANES; i++)
                r[i] = j + i < p->n ? _mm512_maskz_loadu_epi16(there, k + (j + i) * ld + 2 * c) : _mm512_setzero_si512();
            transpose(r);
            for (size_t i = 0; i < LANES && c + i < p->key_pairs; i++) _mm512_storeu_si512(p->k + (c + i) * p->keys + j, r[i]);
        }
}

/* Pairs of rows; what is beyond them is 0. */
TARGET static void pack_values(const plan *p, const uint16_t *v, size_t ld) {
    for (size_t j = 0; j < p->value_pairs; j++)
        for (size_t c = 0; c < p->columns; c += LANES) {
            const uint16_t *at = v + 2 * j * ld + c;
            __mmask16 there = (__mmask16)first(p->d - c);
            __m256i a = _mm256_maskz_loadu_epi16(there, at), b = _mm256_setzero_si256();
            if (2 * j + 1 < p->n) b = _mm256_maskz_loadu_epi16(there, at + ld);
            __m512i pairs = _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
            _mm512_storeu_si512(p->v + j * p->columns + c, pairs);
        }
}

/* ROWS rows of q from row i on; beyond the last, zeros. */
TARGET static void pack_queries(const plan *p, const uint16_t *q, size_t i, size_t m, size_t ld) {
    memset(p->q, 0, ROWS * p->key_pairs * sizeof *p->q);
    for (size_t r = 0; r < ROWS && i + r < m; r++) memcpy(p->q + r * p->key_pairs, q + (i + r) * ld, p->d * sizeof *q);
}

/* sums[r][c] = the products of `pairs` pairs of rows a with n_vectors vectors of columns of b. */
INLINE void multiply(const uint32_t *a, size_t lda, const uint32_t *b, size_t ldb, size_t pairs, size_t n_vectors,
                     __m512 sums[ROWS][VECTORS]) {
#pragma GCC unroll 6
    for (size_t r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vectors; c++) sums[r][c] = _mm512_setzero_ps();
    for (size_t i = 0; i < pairs; i++) {
        __m512i columns[VECTORS];
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vectors; c++) columns[c] = _mm512_loadu_si512(b + i * ldb + c * LANES);
#pragma GCC unroll 6
        for (size_t r = 0; r < ROWS; r++) {
            __m512i row = _mm512_set1_epi32((int)a[r * lda + i]);
#pragma GCC unroll 4
            for (size_t c = 0; c < n_vectors; c++) sums[r][c] = _mm512_dpbf16_ps(sums[r][c], (__m512bh)row, (__m512bh)columns[c]);
        }
    }
}

INLINE void score_columns(const plan *p, size_t from, size_t n_vectors) {
    __m512 sums[ROWS][VECTORS];
    multiply(p->q, p->key_pairs, p->k + from, p->keys, p->key_pairs, n_vectors, sums);
#pragma GCC unroll 6
    for (size_t r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vectors; c++) _mm512_storeu_ps(p->s + r * p->keys + from + c * LANES, sums[r][c]);
}

INLINE void mix_columns(const plan *p, size_t from, size_t n_vectors, size_t rows, const float *scales, uint16_t *out,
                        size_t ld) {
    __m512 sums[ROWS][VECTORS];
    multiply(p->p, p->keys / 2, p->v + from, p->columns, p->value_pairs, n_vectors, sums);
#pragma GCC unroll 6
    for (size_t r = 0; r < ROWS; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < n_vectors && r < rows; c++) {
            size_t at = from + c * LANES;
            __mmask16 mask = (__mmask16)first(p->d - at);
            __m256i half = (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(sums[r][c], _mm512_set1_ps(scales[r])));
            _mm256_mask_storeu_epi16(out + r * ld + at, mask, half);
        }
}

/* n_vectors as a constant, so that the sums stay in registers. */
#define BY_VECTORS(left, call) \
    switch (left) {            \
    case 1: call(1); break;    \
    case 2: call(2); break;    \
    case 3: call(3); break;    \
    default: call(4); break;   \
    }

TARGET static void score_rows(const plan *p) {
    for (size_t from = 0; from < p->keys; from += VECTORS * LANES) {
#define CALL(n) score_columns(p, from, n)
        BY_VECTORS((p->keys - from) / LANES, CALL)
#undef CALL
    }
}

TARGET static void mix_rows(const plan *p, size_t rows, const float *scales, uint16_t *out, size_t ld) {
    for (size_t from = 0; from < p->columns; from += VECTORS * LANES) {
#define CALL(n) mix_columns(p, from, n, rows, scales, out, ld)
        BY_VECTORS((p->columns - from) / LANES, CALL)
#undef CALL
    }
}

/* 2^x for x <= 0: 2^k * 2^r, |r| <= 1/2; the series to r^5 is off by 3e-6, far below what bfloat16 can show. Below -126 as at
 * -126: next to the largest, which is 1, that is nothing. */
INLINE __m512 exp2_of(__m512 x) {
    const __m512 rounder = _mm512_set1_ps(12582912.0f); /* its last bit is 1: sums with it are whole numbers */
    x = _mm512_max_ps(_mm512_set1_ps(-126.0f), x);      /* in this order NaN stays NaN */
    __m512 shifted = _mm512_add_ps(x, rounder), r = _mm512_sub_ps(x, _mm512_sub_ps(shifted, rounder));
    __m512 p = _mm512_set1_ps(1.33335581e-3f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.61812911e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55041087e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.240226507f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693147181f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i k = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23); /* only the low bits of k stay, in the exponent */
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), k));
}

/* Row r of s to exponentials, rounded; returns 1 / their sum. Lanes beyond the last key give 0. */
TARGET static float exponentials(const plan *p, size_t r, float scale) {
    const float *s = p->s + r * p->keys;
    uint16_t *to = (uint16_t *)(void *)(p->p + r * (p->keys / 2));
    size_t whole = p->n / LANES * LANES;
    __mmask16 rest = (__mmask16)((1u << (p->n - whole)) - 1);
    __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps(), factor = _mm512_set1_ps(scale);
    for (size_t j = 0; j < whole; j += LANES) top = _mm512_max_ps(top, _mm512_loadu_ps(s + j));
    if (rest) top = _mm512_mask_max_ps(top, rest, top, _mm512_loadu_ps(s + whole));
    top = _mm512_mul_ps(_mm512_set1_ps(_mm512_reduce_max_ps(top)), factor);
    for (size_t j = 0; j < p->keys; j += LANES) {
        __m512 e = exp2_of(_mm512_fmsub_ps(_mm512_loadu_ps(s + j), factor, top));
        if (j >= whole) e = _mm512_maskz_mov_ps(rest, e);
        sum = _mm512_add_ps(sum, e);
        _mm256_storeu_si256((__m256i *)(void *)(to + j), (__m256i)_mm512_cvtneps_pbh(e));
    }
    return 1.0f / _mm512_reduce_add_ps(sum);
}

TARGET static void attend_avx512(const uint16_t *q, const uint16_t *k, const uint16_t *v, size_t m, size_t n, size_t d, size_t ld,
                                 void *scratch, uint16_t *out) {
    plan p = make_plan(n, d, scratch);
    float scales[ROWS], scale = 1.44269504f / sqrtf((float)d); /* exponents of 2 */
    pack_keys(&p, k, ld);
    pack_values(&p, v, ld);
    for (size_t i = 0; i < m; i += ROWS) {
        size_t rows = m - i < ROWS ? m - i : ROWS;
        pack_queries(&p, q, i, m, ld);
        score_rows(&p);
        for (size_t r = 0; r < ROWS; r++) scales[r] = exponentials(&p, r, scale);
        mix_rows(&p, rows, scales, out + i * ld, ld);
    }
}
#endif

embed_attention_fn embed_attention_get(int level) {
#ifdef HAVE_AVX512
    if (level != 0 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return attend_avx512;
#endif
    (void)level;
    return attend_plain;
}
