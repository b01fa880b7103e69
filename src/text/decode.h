/* decode.h - strict UTF-8 decoding with a short path for what Chinese texts are made of. Private to text. */
#ifndef CFB_TEXT_DECODE_H
#define CFB_TEXT_DECODE_H

#include "cfbench/utf8.h"

/* U+4E00..U+9FFF as an unsigned distance: one comparison. */
static inline int text_is_ideograph(uint32_t cp) { return cp - 0x4E00u < 0x5200u; }

/* A lead byte of three-byte characters and its two continuation bytes; the value may still be overlong or a surrogate. */
static inline int text_is_three_bytes(const unsigned char *p, size_t n) {
    return n >= 3 && (p[0] & 0xF0u) == 0xE0 && ((p[1] ^ 0x80u) | (p[2] ^ 0x80u)) < 0x40;
}

/* Decodes the character at p (n >= 1 bytes are left) into *cp. Returns its length, or 0 if it is not valid UTF-8
 * (Table 3-7 of the Unicode Standard: no overlong forms, no surrogates, nothing above U+10FFFF). */
static inline size_t text_decode(const unsigned char *p, size_t n, uint32_t *cp) {
    uint32_t c = p[0];
    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    if (c >= 0xE0 && c < 0xF0) {
        if (n < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
        uint32_t v = (c & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
        if (v < 0x800 || v - 0xD800u < 0x800u) return 0;
        *cp = v;
        return 3;
    }
    if (c < 0xC2 || c > 0xF4) return 0;
    if (c < 0xE0) {
        if (n < 2 || (p[1] & 0xC0) != 0x80) return 0;
        *cp = (c & 0x1Fu) << 6 | (p[1] & 0x3Fu);
        return 2;
    }
    if (n < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return 0;
    uint32_t v = (c & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    if (v < 0x10000 || v > 0x10FFFF) return 0;
    *cp = v;
    return 4;
}

#endif
