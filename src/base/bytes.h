/* bytes.h - 16 bytes at once, in the vectors of gcc and clang, for rooms that walk over much text. */
#ifndef CFB_BASE_BYTES_H
#define CFB_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef uint8_t cfb_bytes16 __attribute__((vector_size(16)));
/* Bit i is set where byte i is not 0, of bytes that are 0 or 0xFF. */
static inline unsigned cfb_bits_of(cfb_bytes16 hit) {
#if defined(__SSE2__)
    return (unsigned)_mm_movemask_epi8((__m128i)hit);
#else
    uint64_t w[2];
    memcpy(w, &hit, 16);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    w[0] = __builtin_bswap64(w[0]);
    w[1] = __builtin_bswap64(w[1]);
#endif
    /* the lowest bit of byte i moves to bit 56 + i */
    const uint64_t ones = UINT64_C(0x0101010101010101), gather = UINT64_C(0x0102040810204080);
    return (unsigned)((w[0] & ones) * gather >> 56) | (unsigned)((w[1] & ones) * gather >> 56) << 8;
#endif
}

/* Sum of the bytes. */
static inline size_t cfb_sum_of(cfb_bytes16 v) {
    const uint64_t even = UINT64_C(0x00FF00FF00FF00FF), ones = UINT64_C(0x0001000100010001);
    uint64_t w[2];
    memcpy(w, &v, 16);
    uint64_t pairs = (w[0] & even) + (w[0] >> 8 & even) + (w[1] & even) + (w[1] >> 8 & even);
    return (size_t)(pairs * ones >> 48);
}

/* First byte of p[0..n) that ends a plain stretch of a JSON string (quote, backslash, below 0x20), or n. */
size_t cfb_plain_run(const char *p, size_t n);

#endif
