#include "cfbench/text.h"
#include "text/decode.h"

/* Python's white space: bidirectional type WS, B or S, or category Zs. The set has been the same since Unicode 6.3. */
bool cfb_text_is_space(uint32_t cp) {
    if (cp < 0x80) return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20);
    if (text_is_ideograph(cp)) return false;
    switch (cp) {
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000: return true;
    default: return cp >= 0x2000 && cp <= 0x200A;
    }
}

/* Where the last character before `end` begins; `end` > 0. */
static size_t last_char(cfb_str s, size_t end) {
    size_t i = end - 1;
    while (i > 0 && ((unsigned char)s.ptr[i] & 0xC0) == 0x80) i--;
    return i;
}

cfb_str cfb_text_strip(cfb_str s) {
    if (s.ptr == NULL) return s;
    size_t begin = 0, end = s.len, next = 0;
    while (begin < end && cfb_text_is_space(cfb_utf8_next(s, &next))) begin = next;
    while (end > begin) {
        size_t last = last_char(s, end), pos = last;
        if (!cfb_text_is_space(cfb_utf8_next(s, &pos))) break;
        end = last;
    }
    return (cfb_str){s.ptr + begin, end - begin};
}

/* Runs of ASCII and of three-byte characters in loops of their own, everything else by text_decode. */
size_t cfb_text_count_valid(cfb_str s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0, n = 0;
    unsigned bad = 0;
    while (i < s.len) {
        size_t begin = i;
        while (i < s.len && p[i] < 0x80) i++;
        n += i - begin;
        begin = i;
        for (; text_is_three_bytes(p + i, s.len - i); i += 3)
            bad |= ((unsigned)(p[i] == 0xE0) & (unsigned)(p[i + 1] < 0xA0)) | /* overlong */
                   ((unsigned)(p[i] == 0xED) & (unsigned)(p[i + 1] >= 0xA0)); /* surrogate */
        n += (i - begin) / 3;
        if (i >= s.len || p[i] < 0x80) continue;
        uint32_t cp;
        size_t len = text_decode(p + i, s.len - i, &cp);
        if (len == 0) return SIZE_MAX;
        i += len;
        n++;
    }
    return bad ? SIZE_MAX : n;
}
