/* split.h - where the items of a text of labels begin and end. Private to score. */
#ifndef CFB_SCORE_SPLIT_H
#define CFB_SCORE_SPLIT_H

#include "base/bytes.h"
#include "cfbench/text.h"

static inline bool is_wide_comma(const char *p, const char *end) { return end - p >= 3 && memcmp(p, "\xEF\xBC\x8C", 3) == 0; }

/* Steps over a character of valid UTF-8, or over a part of it: three bytes where it has at least three, one byte else. */
static inline const char *step_over(const char *p) { return (unsigned char)*p >= 0xE0 ? p + 3 : p + 1; }

/* First comma in [p, end), or end; *len is its length in bytes: wide ones, and with `narrow` those of one byte. The 16 bytes from
 * any place before `readable` may be read: then no byte is looked at alone. Of characters other than the wide comma, those that
 * begin with EF are rare. */
static inline const char *find_comma_until(const char *p, const char *end, const char *readable, bool narrow, size_t *len) {
    while (p < readable) {
        cfb_bytes16 v;
        memcpy(&v, p, 16);
        unsigned hits = cfb_bits_of((cfb_bytes16)(narrow ? (v == ',') | (v == 0xEF) : v == 0xEF));
        p += hits ? (unsigned)__builtin_ctz(hits) : 16u;
        if (p >= end) break;
        if (hits == 0) continue;
        *len = narrow && *p == ',' ? 1 : is_wide_comma(p, end) ? 3 : 0;
        if (*len > 0) return p;
        p += 3;
    }
    for (; p < end; p = step_over(p)) {
        *len = narrow && *p == ',' ? 1 : *p == '\xEF' && is_wide_comma(p, end) ? 3 : 0;
        if (*len > 0) return p;
    }
    *len = 0;
    return end;
}

/* The same, within the text. */
static inline const char *find_comma(const char *p, const char *end, bool narrow, size_t *len) {
    return find_comma_until(p, end, end - p > 15 ? end - 15 : p, narrow, len);
}

/* A slice that begins and ends with one of these bytes has nothing to strip: ASCII letters, digits and signs, and the
 * lead bytes of CJK ideographs; at the end, ASCII or what the full check says. q > p. */
static inline cfb_str strip_item(const char *p, const char *q) {
    cfb_str s = {p, (size_t)(q - p)};
    unsigned char first = (unsigned char)*p, last = (unsigned char)q[-1];
    bool plain_first = (first > ' ' && first < 0x7F) || (first >= 0xE4 && first <= 0xE9);
    bool plain_last = (last > ' ' && last < 0x7F) ||
                      (s.len >= 3 && (unsigned char)q[-3] >= 0xE4 && (unsigned char)q[-3] <= 0xE9 && last >= 0x80);
    return plain_first && plain_last ? s : cfb_text_strip(s);
}

#endif
