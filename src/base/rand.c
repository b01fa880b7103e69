#include "cfbench/base.h"

/* The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014). */
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

uint64_t cfb_rand_u64(uint64_t seed, uint64_t stream, uint64_t index) {
    return mix(mix(mix(seed + GOLDEN) + stream * GOLDEN + GOLDEN) + (index + 1) * GOLDEN);
}

double cfb_rand_unit(uint64_t seed, uint64_t stream, uint64_t index) {
    return (double)(cfb_rand_u64(seed, stream, index) >> 11) * 0x1.0p-53;
}

uint64_t cfb_hash64(const void *data, size_t len, uint64_t seed) {
    const unsigned char *p = data;
    uint64_t h = seed ^ (len * GOLDEN);
    while (len >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w) + GOLDEN;
        p += 8;
        len -= 8;
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < len; i++) tail |= (uint64_t)p[i] << (8 * i);
    return mix(h ^ tail);
}

static inline uint64_t round_of(uint64_t h, const unsigned char *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    h = (h ^ w) * UINT64_C(0xD6E8FEB86659FD93);
    return h << 29 | h >> 35;
}

/* Four chains of multiplications side by side, none of which loses a bit: a long text waits for memory, not for them. */
uint64_t cfb_hash64_long(const void *data, size_t len) {
    uint64_t a = GOLDEN, b = GOLDEN * 3, c = GOLDEN * 5, d = GOLDEN * 7;
    const unsigned char *p = data;
    size_t left = len;
    for (; left >= 32; p += 32, left -= 32) {
        a = round_of(a, p);
        b = round_of(b, p + 8);
        c = round_of(c, p + 16);
        d = round_of(d, p + 24);
    }
    return cfb_hash64(p, left, mix(mix(mix(mix(a + len) ^ b) ^ c) ^ d));
}
