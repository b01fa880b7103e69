#include "cfbench/utf8.h"

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

size_t cfb_utf8_find_invalid(cfb_str s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        uint64_t w;
        while (s.len - i >= 8 && (memcpy(&w, p + i, 8), (w & UINT64_C(0x8080808080808080)) == 0)) i += 8;
        /* Runs of three-byte characters that cannot be overlong or surrogates: E1..EC. */
        while (s.len - i >= 3 && p[i] >= 0xE1 && p[i] <= 0xEC && ((p[i + 1] ^ 0x80u) | (p[i + 2] ^ 0x80u)) < 0x40) i += 3;
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

size_t cfb_utf8_count(cfb_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return n;
}
