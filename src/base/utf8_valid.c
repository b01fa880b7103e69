/* utf8_valid.c - is a text valid UTF-8? On each instruction set, all with the same answer. */
#include "cfbench/base.h"
#include "cfbench/utf8.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

static inline uint64_t load_word(const char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* Runs of ASCII and of three-byte characters have loops of their own. */
static bool valid_portable(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    unsigned bad = 0;
    while (i < n) {
        while (n - i >= 8 && (load_word(text + i) & UINT64_C(0x8080808080808080)) == 0) i += 8;
        while (i < n && p[i] < 0x80) i++;
        for (; n - i >= 3 && (p[i] & 0xF0) == 0xE0 && ((p[i + 1] ^ 0x80u) | (p[i + 2] ^ 0x80u)) < 0x40; i += 3)
            bad |= ((unsigned)(p[i] == 0xE0) & (unsigned)(p[i + 1] < 0xA0)) |
                   ((unsigned)(p[i] == 0xED) & (unsigned)(p[i + 1] >= 0xA0));
        if (i >= n || p[i] < 0x80) continue;
        /* Two or four bytes, or broken. */
        size_t len = p[i] < 0xE0 ? 2 : 4;
        if (n - i < len || cfb_utf8_find_invalid((cfb_str){text + i, len}) != SIZE_MAX) return false;
        i += len;
    }
    return bad == 0;
}

#ifdef HAVE_X86
/* UTF-8 by table look-up: Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte" (2021). Each error class is
 * a bit; a pair of bytes is wrong in a class if the tables of the first byte's halves and of the second byte's upper half all say
 * so. */
enum {
    TOO_SHORT = 1 << 0,  /* a lead byte, then no continuation */
    TOO_LONG = 1 << 1,   /* ASCII, then a continuation */
    OVERLONG_3 = 1 << 2, /* E0 80..9F */
    TOO_LARGE = 1 << 3,  /* F4 90.. and above */
    SURROGATE = 1 << 4,  /* ED A0..BF */
    OVERLONG_2 = 1 << 5, /* C0, C1 */
    TOO_LARGE_2 = 1 << 6,
    OVERLONG_4 = 1 << 6, /* F0 80..8F; shares a bit with F5 80..8F and above */
    TWO_CONTS = 1 << 7,  /* right behind a lead byte of three or four bytes, else wrong */
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS
};

static const uint8_t first_high[16] = {TOO_LONG,
                                       TOO_LONG,
                                       TOO_LONG,
                                       TOO_LONG,
                                       TOO_LONG,
                                       TOO_LONG,
                                       TOO_LONG,
                                       TOO_LONG,
                                       TWO_CONTS,
                                       TWO_CONTS,
                                       TWO_CONTS,
                                       TWO_CONTS,
                                       TOO_SHORT | OVERLONG_2,
                                       TOO_SHORT,
                                       TOO_SHORT | OVERLONG_3 | SURROGATE,
                                       TOO_SHORT | TOO_LARGE | TOO_LARGE_2 | OVERLONG_4};
#define ABOVE (CARRY | TOO_LARGE | TOO_LARGE_2)
static const uint8_t first_low[16] = {CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4,
                                      CARRY | OVERLONG_2,
                                      CARRY,
                                      CARRY,
                                      CARRY | TOO_LARGE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE,
                                      ABOVE | SURROGATE,
                                      ABOVE,
                                      ABOVE};
#define CONT (TOO_LONG | OVERLONG_2 | TWO_CONTS)
static const uint8_t second_high[16] = {TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        CONT | OVERLONG_3 | TOO_LARGE_2 | OVERLONG_4,
                                        CONT | OVERLONG_3 | TOO_LARGE,
                                        CONT | SURROGATE | TOO_LARGE,
                                        CONT | SURROGATE | TOO_LARGE,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT,
                                        TOO_SHORT};

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx2")))

AVX2 static inline __m256i table_avx2(const uint8_t *t) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)t));
}

AVX2 static inline __m256i errors_of(__m256i v, __m256i before) {
    const __m256i low_half = _mm256_set1_epi8(0x0F);
    __m256i across = _mm256_permute2x128_si256(before, v, 0x21);
    __m256i prev1 = _mm256_alignr_epi8(v, across, 15), prev2 = _mm256_alignr_epi8(v, across, 14),
            prev3 = _mm256_alignr_epi8(v, across, 13);
    __m256i a = _mm256_shuffle_epi8(table_avx2(first_high), _mm256_and_si256(_mm256_srli_epi16(prev1, 4), low_half));
    __m256i b = _mm256_shuffle_epi8(table_avx2(first_low), _mm256_and_si256(prev1, low_half));
    __m256i c = _mm256_shuffle_epi8(table_avx2(second_high), _mm256_and_si256(_mm256_srli_epi16(v, 4), low_half));
    __m256i special = _mm256_and_si256(_mm256_and_si256(a, b), c);
    /* The third byte of three, the third and fourth of four must be continuations behind continuations, and no others. */
    __m256i third = _mm256_subs_epu8(prev2, _mm256_set1_epi8((char)(0xE0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(prev3, _mm256_set1_epi8((char)(0xF0 - 0x80)));
    __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(must, special);
}

AVX2 static bool valid_avx2(const char *p, size_t n) {
    __m256i before = _mm256_setzero_si256(), errors = _mm256_setzero_si256();
    size_t i = 0;
    for (; n - i >= 32; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        errors = _mm256_or_si256(errors, errors_of(v, before));
        before = v;
    }
    /* Zeros behind the end: what is cut there shows as too short. */
    char tail[32] = {0};
    __builtin_memcpy(tail, p + i, n - i);
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)tail);
    errors = _mm256_or_si256(errors, errors_of(v, before));
    return _mm256_testz_si256(errors, errors) != 0;
}

/* The same; the end is loaded under a mask and not copied, which for short texts is most of the time. */
AVX512 static bool valid_avx512(const char *p, size_t n) {
    __m256i before = _mm256_setzero_si256(), errors = _mm256_setzero_si256();
    size_t i = 0;
    for (; n - i >= 32; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        errors = _mm256_or_si256(errors, errors_of(v, before));
        before = v;
    }
    __m256i v = _mm256_maskz_loadu_epi8((__mmask32)((UINT32_C(1) << (n - i)) - 1), p + i);
    errors = _mm256_or_si256(errors, errors_of(v, before));
    return _mm256_testz_si256(errors, errors) != 0;
}
#endif

bool cfb_utf8_is_valid(cfb_str s) {
    switch (cfb_simd()) {
#ifdef HAVE_X86
    case CFB_SIMD_AVX512: return valid_avx512(s.ptr, s.len);
    case CFB_SIMD_AVX2: return valid_avx2(s.ptr, s.len);
#endif
    default: return valid_portable(s.ptr, s.len);
    }
}
