/* bytes.c - where a plain stretch of a JSON string ends. On each instruction set, all with the same answer. */
#include "base/bytes.h"

#include "cfbench/base.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

static size_t run_portable(const char *p, size_t n) {
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        cfb_bytes16 v;
        memcpy(&v, p + i, 16);
        unsigned hits = cfb_bits_of((cfb_bytes16)((v < 0x20) | (v == '"') | (v == '\\')));
        if (hits != 0) return i + (size_t)__builtin_ctz(hits);
    }
    for (; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c < 0x20 || c == '"' || c == '\\') break;
    }
    return i;
}

#ifdef HAVE_X86
__attribute__((target("avx2"))) static size_t run_avx2(const char *p, size_t n) {
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\'), control = _mm256_set1_epi8(0x1F);
    size_t i = 0;
    for (; n - i >= 32; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i end = _mm256_or_si256(_mm256_cmpeq_epi8(v, quote), _mm256_cmpeq_epi8(v, slash));
        end = _mm256_or_si256(end, _mm256_cmpeq_epi8(_mm256_min_epu8(v, control), v));
        unsigned hits = (unsigned)_mm256_movemask_epi8(end);
        if (hits != 0) return i + (size_t)__builtin_ctz(hits);
    }
    return i + run_portable(p + i, n - i);
}

__attribute__((target("avx512f,avx512bw"))) static size_t run_avx512(const char *p, size_t n) {
    const __m512i quote = _mm512_set1_epi8('"'), slash = _mm512_set1_epi8('\\'), control = _mm512_set1_epi8(0x20);
    for (size_t i = 0; i < n; i += 64) {
        __mmask64 here = n - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (n - i)) - 1;
        __m512i v = _mm512_maskz_loadu_epi8(here, p + i);
        __mmask64 end = _mm512_cmpeq_epi8_mask(v, quote) | _mm512_cmpeq_epi8_mask(v, slash) | _mm512_cmplt_epu8_mask(v, control);
        if ((end & here) != 0) return i + (size_t)__builtin_ctzll(end & here);
    }
    return n;
}
#endif

size_t cfb_plain_run(const char *p, size_t n) {
    switch (cfb_simd()) {
#ifdef HAVE_X86
    case CFB_SIMD_AVX512: return run_avx512(p, n);
    case CFB_SIMD_AVX2: return run_avx2(p, n);
#endif
    default: return run_portable(p, n);
    }
}
