#include "cfbench/text.h"
#include "text/decode.h"

#include <utf8proc.h>

/* Three-byte characters and ASCII in loops of their own, as in cfb_text_lower_decode. */
size_t cfb_text_decode(cfb_str s, uint32_t *out) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0, n = 0;
    unsigned bad = 0;
    while (i < s.len) {
        for (; text_is_three_bytes(p + i, s.len - i); i += 3) {
            uint32_t cp = (p[i] & 0x0Fu) << 12 | (p[i + 1] & 0x3Fu) << 6 | (p[i + 2] & 0x3Fu);
            bad |= (unsigned)(cp < 0x800) | (unsigned)(cp - 0xD800u < 0x800u);
            out[n++] = cp;
        }
        for (; i < s.len && p[i] < 0x80; i++) out[n++] = p[i];
        if (i >= s.len || text_is_three_bytes(p + i, s.len - i)) continue;
        size_t len = text_decode(p + i, s.len - i, &out[n]);
        if (len == 0) return SIZE_MAX;
        i += len;
        n++;
    }
    return bad ? SIZE_MAX : n;
}

static bool is_ideograph(uint32_t c) {
    if (c < 0x3005) return false;
    if (c < 0x3400) return c <= 0x3007 || (c >= 0x3041 && c <= 0x30FF && c != 0x30FB) || (c >= 0x31F0 && c <= 0x31FF);
    if (c < 0xA000) return c <= 0x4DBF || c >= 0x4E00;
    return (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF66 && c <= 0xFF9F) || (c >= 0x20000 && c <= 0x323AF);
}

cfb_text_class cfb_text_class_of(uint32_t cp) {
    if (cp < 0x80) return (cp | 0x20) - 'a' < 26 || cp - '0' < 10 ? CFB_TEXT_WORD : CFB_TEXT_BREAK;
    if (is_ideograph(cp)) return CFB_TEXT_IDEOGRAPH;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return CFB_TEXT_WORD;
    default: return CFB_TEXT_BREAK;
    }
}
