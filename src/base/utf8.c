#include "cfbench/utf8.h"
#include "base/bytes.h"

/* Length of the valid character at p (n bytes are left), or 0. Table 3-7 of the Unicode Standard. */
static size_t char_len(const unsigned char *p, size_t n) {
    unsigned char c = p[0];
    if (c < 0x80) return 1;
    if (c < 0xC2 || c > 0xF4) return 0;
    if (c < 0xE0) return n >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    unsigned char low = 0x80, high = 0xBF;
    if (c == 0xE0) low = 0xA0;
    if (c == 0xED) high = 0x9F;
    if (c == 0xF0) low = 0x90;
    if (c == 0xF4) high = 0x8F;
    size_t want = c < 0xF0 ? 3 : 4;
    if (n < want || p[1] < low || p[1] > high || (p[2] & 0xC0) != 0x80) return 0;
    return want == 3 || (p[3] & 0xC0) == 0x80 ? want : 0;
}

/* Two characters of three bytes each in the 8 bytes at p, whose first bytes are not those with a rule of their own (E0: overlong
 * forms, ED: surrogates): most of Chinese. Compared as bytes, so that the order of bytes in a word does not matter. */
static int are_two_threes(const unsigned char *p) {
    static const unsigned char mask[8] = {0xF0, 0xC0, 0xC0, 0xF0, 0xC0, 0xC0, 0, 0},
                               want[8] = {0xE0, 0x80, 0x80, 0xE0, 0x80, 0x80, 0, 0};
    uint64_t w, m, v;
    memcpy(&w, p, 8);
    memcpy(&m, mask, 8);
    memcpy(&v, want, 8);
    return (w & m) == v && p[0] != 0xE0 && p[0] != 0xED && p[3] != 0xE0 && p[3] != 0xED;
}

size_t cfb_utf8_find_invalid(cfb_str s) {
    if (s.len >= 64 && cfb_utf8_is_valid(s)) return SIZE_MAX;
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        uint64_t w;
        while (s.len - i >= 8 && (memcpy(&w, p + i, 8), (w & UINT64_C(0x8080808080808080)) == 0)) i += 8;
        while (s.len - i >= 8 && are_two_threes(p + i)) i += 6;
        if (i >= s.len) break;
        size_t n = char_len(p + i, s.len - i);
        if (n == 0) return i;
        i += n;
    }
    return SIZE_MAX;
}

uint32_t cfb_utf8_next(cfb_str s, size_t *pos) {
    const unsigned char *p = (const unsigned char *)s.ptr + *pos;
    uint32_t c = p[0];
    if (c < 0x80) {
        *pos += 1;
        return c;
    }
    if (c < 0xE0) {
        *pos += 2;
        return (c & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    }
    if (c < 0xF0) {
        *pos += 3;
        return (c & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *pos += 4;
    return (c & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

/* Every byte but continuation bytes begins a code point. 16 bytes at a time, summed up before a sum can overflow. */
size_t cfb_utf8_count(cfb_str s) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t n = 0, i = 0;
    while (s.len - i >= 16) {
        cfb_bytes16 sum = {0};
        for (int k = 0; k < 255 && s.len - i >= 16; k++, i += 16) {
            cfb_bytes16 v;
            memcpy(&v, s.ptr + i, 16);
            sum -= (cfb_bytes16)((v & 0xC0) != 0x80); /* true is -1 */
        }
        n += cfb_sum_of(sum);
    }
    if (s.len - i >= 8) { /* bit 7 set and bit 6 clear, then the bytes added */
        uint64_t v;
        memcpy(&v, s.ptr + i, 8);
        n += 8 - (size_t)(((v >> 7 & ~(v >> 6) & ones) * ones) >> 56);
        i += 8;
    }
    for (; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return n;
}
