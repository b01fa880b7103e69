/* simd.c - finding the marks of CSV, 64 bytes at a time. Every path gives the same bits: they differ in how a
 * block's bytes become 64-bit masks, not in what is done with the masks. */
#include "dataset/simd.h"

#include "cfbench/base.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#define HAVE_NEON 1
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef struct block_masks {
    uint64_t quote, comma, lf, cr;
} block_masks;

/* Bit i: an odd number of bits up to i are set. */
INLINE uint64_t prefix_xor(uint64_t x) {
    x ^= x << 1;
    x ^= x << 2;
    x ^= x << 4;
    x ^= x << 8;
    x ^= x << 16;
    return x ^ x << 32;
}

/* Quotes toggle between inside and outside; a doubled quote toggles twice. That is the truth where every quote that opens stands
 * at the start of a field (or behind one that just closed), and behind every quote that closes there is a comma, the end of the
 * record, or another quote. Anything else is odd: a literal quote in an unquoted field, or an error. `inside` is inside for every
 * byte: prefix_xor(quote) ^ m->inside. */
INLINE size_t take_block(const block_masks *b, uint64_t inside, uint32_t base, csv_marks *m, uint32_t *out) {
    uint64_t open = b->quote & inside, close = b->quote & ~inside;
    uint64_t separator = (b->comma | b->lf) & ~inside;
    uint64_t prev_ok = (separator | close) << 1 | m->prev_ok;
    uint64_t after = close << 1 | m->after_close, after_cr = (after & b->cr) << 1 | m->after_cr;
    uint64_t odd = (open & ~prev_ok) | (after & ~(b->comma | b->lf | b->cr | b->quote)) | (after_cr & ~b->lf);
    m->prev_ok = (separator | close) >> 63;
    m->after_close = close >> 63;
    m->after_cr = (after & b->cr) >> 63;
    m->inside = 0 - (inside >> 63);
    m->n_lines += (uint64_t)__builtin_popcountll(b->lf);
    m->odd = odd != 0;
    size_t n = 0;
    for (; separator != 0; separator &= separator - 1) out[n++] = base + (uint32_t)__builtin_ctzll(separator);
    return n;
}

/* ---- portable: eight bytes in a word ---- */

INLINE uint64_t load_word(const char *p) {
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* Bit k: byte k of v is c. */
INLINE uint64_t word_mask(uint64_t v, unsigned char c) {
    const uint64_t low = UINT64_C(0x7F7F7F7F7F7F7F7F);
    uint64_t x = v ^ (UINT64_C(0x0101010101010101) * c);
    uint64_t zero = ~(((x & low) + low) | x | low);
    return (zero >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

/* May a byte of v be one of the four marks? A word of Chinese text has none. */
INLINE bool word_has_marks(uint64_t v) {
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t q = v ^ (ones * '"'), c = v ^ (ones * ','), l = v ^ (ones * '\n'), r = v ^ (ones * '\r');
    return ((((q - ones) & ~q) | ((c - ones) & ~c) | ((l - ones) & ~l) | ((r - ones) & ~r)) & high) != 0;
}

static size_t scan_portable(const char *p, size_t n_blocks, uint32_t base, csv_marks *m, uint32_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < n_blocks && !m->odd; i++, p += SIMD_BLOCK) {
        block_masks b = {0, 0, 0, 0};
        for (unsigned w = 0; w < 8; w++) {
            uint64_t v = load_word(p + 8 * w);
            if (!word_has_marks(v)) continue;
            b.quote |= word_mask(v, '"') << 8 * w;
            b.comma |= word_mask(v, ',') << 8 * w;
            b.lf |= word_mask(v, '\n') << 8 * w;
            b.cr |= word_mask(v, '\r') << 8 * w;
        }
        n += take_block(&b, prefix_xor(b.quote) ^ m->inside, base + (uint32_t)(i * SIMD_BLOCK), m, out + n);
    }
    return n;
}

/* ---- x86-64 ---- */

#ifdef HAVE_X86
#define AVX2 __attribute__((target("avx2,pclmul,popcnt,bmi,bmi2,lzcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,pclmul,popcnt,bmi,bmi2,lzcnt")))

AVX2 static inline uint64_t prefix_xor_clmul(uint64_t x) {
    __m128i product = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)x), _mm_set1_epi8((char)0xFF), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

AVX2 static inline uint64_t mask_avx2(__m256i lo, __m256i hi, char c) {
    __m256i v = _mm256_set1_epi8(c);
    uint32_t a = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(lo, v));
    uint32_t b = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(hi, v));
    return a | (uint64_t)b << 32;
}

/* The four marks differ in their low halves: one look-up by these finds the only mark that a byte can be, and one comparison says
 * whether it is. Entry 0 is no byte with low half 0. */
static const uint8_t mark_of_low_half[16] = {0xFF, 0, '"', 0, 0, 0, 0, 0, 0, 0, '\n', 0, ',', '\r', 0, 0};

AVX2 static inline __m256i table_avx2(const uint8_t *t) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)t));
}

AVX2 static inline __m256i load_avx2(const char *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

AVX2 static inline __m256i marks_avx2(const char *p, __m256i table) {
    __m256i lo = load_avx2(p), hi = load_avx2(p + 32);
    return _mm256_or_si256(_mm256_cmpeq_epi8(lo, _mm256_shuffle_epi8(table, lo)),
                           _mm256_cmpeq_epi8(hi, _mm256_shuffle_epi8(table, hi)));
}

AVX2 static inline __m256i equal_avx2(const char *p, __m256i c) {
    return _mm256_or_si256(_mm256_cmpeq_epi8(load_avx2(p), c), _mm256_cmpeq_epi8(load_avx2(p + 32), c));
}

AVX2 static inline bool is_zero(__m256i v) { return _mm256_testz_si256(v, v) != 0; }

/* found: zero where the block has no marks. */
AVX2 static inline size_t block_avx2(const char *p, __m256i found, uint32_t base, csv_marks *m, uint32_t *out) {
    if (is_zero(found) && !(m->after_close | m->after_cr)) {
        m->prev_ok = 0;
        return 0;
    }
    __m256i lo = load_avx2(p), hi = load_avx2(p + 32);
    block_masks b = {mask_avx2(lo, hi, '"'), mask_avx2(lo, hi, ','), mask_avx2(lo, hi, '\n'), mask_avx2(lo, hi, '\r')};
    return take_block(&b, prefix_xor_clmul(b.quote) ^ m->inside, base, m, out);
}

/* Most text is quiet: four blocks without any mark, or, within quotes, without a quote; and where there are marks, they are
 * mostly in one of the four. */
AVX2 static size_t scan_avx2(const char *p, size_t n_blocks, uint32_t base, csv_marks *marks, uint32_t *out) {
    const __m256i table = table_avx2(mark_of_low_half), quote = _mm256_set1_epi8('"');
    csv_marks m = *marks;
    size_t n = 0, i = 0;
    for (; i + 4 <= n_blocks && !m.odd; i += 4, p += 4 * SIMD_BLOCK) {
        __m256i in_a = marks_avx2(p, table), in_b = marks_avx2(p + 64, table), in_c = marks_avx2(p + 128, table),
                in_d = marks_avx2(p + 192, table);
        if (!(m.after_close | m.after_cr)) {
            if (is_zero(_mm256_or_si256(_mm256_or_si256(in_a, in_b), _mm256_or_si256(in_c, in_d)))) {
                m.prev_ok = 0;
                continue;
            }
            if (m.inside && is_zero(_mm256_or_si256(_mm256_or_si256(equal_avx2(p, quote), equal_avx2(p + 64, quote)),
                                                    _mm256_or_si256(equal_avx2(p + 128, quote), equal_avx2(p + 192, quote))))) {
                for (size_t k = 0; k < 4; k++)
                    m.n_lines += (uint64_t)__builtin_popcountll(
                        mask_avx2(load_avx2(p + k * SIMD_BLOCK), load_avx2(p + k * SIMD_BLOCK + 32), '\n'));
                m.prev_ok = 0;
                continue;
            }
        }
        uint32_t at = base + (uint32_t)(i * SIMD_BLOCK);
        n += block_avx2(p, in_a, at, &m, out + n);
        if (!m.odd) n += block_avx2(p + 64, in_b, at + 64, &m, out + n);
        if (!m.odd) n += block_avx2(p + 128, in_c, at + 128, &m, out + n);
        if (!m.odd) n += block_avx2(p + 192, in_d, at + 192, &m, out + n);
    }
    for (; i < n_blocks && !m.odd; i++, p += SIMD_BLOCK)
        n += block_avx2(p, marks_avx2(p, table), base + (uint32_t)(i * SIMD_BLOCK), &m, out + n);
    *marks = m;
    return n;
}

AVX512 static inline block_masks masks_avx512(__m512i v) {
    return (block_masks){_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')), _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(',')),
                         _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\n')), _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\r'))};
}

AVX512 static inline __mmask64 marks_avx512(__m512i v, __m512i table) {
    return _mm512_cmpeq_epi8_mask(v, _mm512_shuffle_epi8(table, v));
}

AVX512 static inline uint64_t count_avx512(__m512i v, __m512i c) {
    return (uint64_t)__builtin_popcountll(_mm512_cmpeq_epi8_mask(v, c));
}

/* found: where the block's marks are. */
AVX512 static inline size_t block_avx512(__m512i v, __mmask64 found, uint32_t base, csv_marks *m, uint32_t *out) {
    if (found == 0 && !(m->after_close | m->after_cr)) {
        m->prev_ok = 0;
        return 0;
    }
    block_masks b = masks_avx512(v);
    return take_block(&b, prefix_xor_clmul(b.quote) ^ m->inside, base, m, out);
}

/* Four blocks are named one by one: gcc would keep an array of them in memory. */
AVX512 static size_t scan_avx512(const char *p, size_t n_blocks, uint32_t base, csv_marks *marks, uint32_t *out) {
    const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)mark_of_low_half));
    const __m512i quote = _mm512_set1_epi8('"'), lf = _mm512_set1_epi8('\n');
    csv_marks m = *marks;
    size_t n = 0, i = 0;
    for (; i + 4 <= n_blocks && !m.odd; i += 4, p += 4 * SIMD_BLOCK) {
        __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64), c = _mm512_loadu_si512(p + 128),
                d = _mm512_loadu_si512(p + 192);
        __mmask64 in_a = marks_avx512(a, table), in_b = marks_avx512(b, table), in_c = marks_avx512(c, table),
                  in_d = marks_avx512(d, table);
        if (!(m.after_close | m.after_cr)) {
            if ((in_a | in_b | in_c | in_d) == 0) {
                m.prev_ok = 0;
                continue;
            }
            if (m.inside && (_mm512_cmpeq_epi8_mask(a, quote) | _mm512_cmpeq_epi8_mask(b, quote) |
                             _mm512_cmpeq_epi8_mask(c, quote) | _mm512_cmpeq_epi8_mask(d, quote)) == 0) {
                m.n_lines += count_avx512(a, lf) + count_avx512(b, lf) + count_avx512(c, lf) + count_avx512(d, lf);
                m.prev_ok = 0;
                continue;
            }
        }
        uint32_t at = base + (uint32_t)(i * SIMD_BLOCK);
        n += block_avx512(a, in_a, at, &m, out + n);
        if (!m.odd) n += block_avx512(b, in_b, at + 64, &m, out + n);
        if (!m.odd) n += block_avx512(c, in_c, at + 128, &m, out + n);
        if (!m.odd) n += block_avx512(d, in_d, at + 192, &m, out + n);
    }
    for (; i < n_blocks && !m.odd; i++, p += SIMD_BLOCK) {
        __m512i v = _mm512_loadu_si512(p);
        n += block_avx512(v, marks_avx512(v, table), base + (uint32_t)(i * SIMD_BLOCK), &m, out + n);
    }
    *marks = m;
    return n;
}

#endif

/* ---- AArch64 ---- */

#ifdef HAVE_NEON
INLINE uint64_t mask_neon(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d, char mark) {
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t v = vdupq_n_u8((uint8_t)mark), w = vld1q_u8(bits);
    uint8x16_t ab = vpaddq_u8(vandq_u8(vceqq_u8(a, v), w), vandq_u8(vceqq_u8(b, v), w));
    uint8x16_t cd = vpaddq_u8(vandq_u8(vceqq_u8(c, v), w), vandq_u8(vceqq_u8(d, v), w));
    uint8x16_t sum = vpaddq_u8(ab, cd);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static size_t scan_neon(const char *p, size_t n_blocks, uint32_t base, csv_marks *marks, uint32_t *out) {
    csv_marks m = *marks;
    size_t n = 0;
    for (size_t i = 0; i < n_blocks && !m.odd; i++, p += SIMD_BLOCK) {
        const uint8_t *u = (const uint8_t *)p;
        uint8x16_t v0 = vld1q_u8(u), v1 = vld1q_u8(u + 16), v2 = vld1q_u8(u + 32), v3 = vld1q_u8(u + 48);
        block_masks b = {mask_neon(v0, v1, v2, v3, '"'), mask_neon(v0, v1, v2, v3, ','), mask_neon(v0, v1, v2, v3, '\n'),
                         mask_neon(v0, v1, v2, v3, '\r')};
        n += take_block(&b, prefix_xor(b.quote) ^ m.inside, base + (uint32_t)(i * SIMD_BLOCK), &m, out + n);
    }
    *marks = m;
    return n;
}
#endif

/* ---- choosing ---- */

const simd_ops *cfb_simd__ops(void) {
    static const simd_ops paths[] = {
#ifdef HAVE_X86
        [CFB_SIMD_AVX512] = {scan_avx512},
        [CFB_SIMD_AVX2] = {scan_avx2},
#endif
#ifdef HAVE_NEON
        [CFB_SIMD_NEON] = {scan_neon},
#endif
        [CFB_SIMD_PORTABLE] = {scan_portable},
    };
    return &paths[cfb_simd()];
}
