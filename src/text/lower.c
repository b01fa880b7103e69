#include "cfbench/base.h"
#include "cfbench/text.h"
#include "text/decode.h"

#include <stdlib.h>
#include <utf8proc.h>
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

#define CAPITAL_SIGMA 0x03A3u
#define SMALL_SIGMA 0x03C3u
#define FINAL_SIGMA 0x03C2u
#define I_WITH_DOT 0x0130u /* the only code point whose lower case is two: U+0069 U+0307 */
#define COMBINING_DOT 0x0307u

/* Whether a code point above ASCII can have another lower case. Outside these ranges no character has case, in any
 * version of Unicode so far; a test compares every code point with Python. */
static inline bool may_have_case(uint32_t c) {
    if (c < 0x2D00) return c < 0x2000 || c >= 0x2126;
    if (c < 0xA640) return false; /* CJK, kana, punctuation */
    if (c < 0x10000) return c < 0xAC00 || c - 0xFF21u < 26;
    return true;
}

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

/* Unicode's derived property Cased, except for characters that are also Case_Ignorable (nobody asks for those).
 * utf8proc has no table of Other_Lowercase and Other_Uppercase; what they add is listed. */
static bool is_cased(uint32_t c) {
    if (c < 0x80) return (c | 0x20) - 'a' < 26;
    if (c == 0xAA || c == 0xBA || c - 0x2160u <= 0x1F || c - 0x24B6u <= 0x33) return true;
    if (c - 0x1F130u <= 0x19 || c - 0x1F150u <= 0x19 || c - 0x1F170u <= 0x19) return true;
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* Unicode's derived property Case_Ignorable: Mn, Me, Cf, Lm, Sk, and the word-break classes MidLetter, MidNumLet and
 * Single_Quote, which utf8proc does not tell apart and which are listed. */
static bool is_case_ignorable(uint32_t c) {
    switch (c) {
    case 0x27:
    case 0x2E:
    case 0x3A:
    case 0xB7:
    case 0x387:
    case 0x55F:
    case 0x5F4:
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0x2027:
    case 0xFE13:
    case 0xFE52:
    case 0xFE55:
    case 0xFF07:
    case 0xFF0E:
    case 0xFF1A: return true;
    default: break;
    }
    if (text_is_ideograph(c)) return false;
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_LM ||
           k == UTF8PROC_CATEGORY_SK;
}

/* The sigma at t[i] is final if a cased character stands before it and none behind it, ignorable ones skipped. The
 * answer is the same on text that is partly lower-cased: lower-casing keeps a character cased, and never touches an
 * ignorable one. Each gap between sigmas is walked at most twice, so the whole text costs linear time. */
static uint32_t lower_sigma(const uint32_t *t, size_t n, size_t i) {
    size_t j = i;
    while (j > 0 && is_case_ignorable(t[j - 1])) j--;
    if (j == 0 || !is_cased(t[j - 1])) return SMALL_SIGMA;
    j = i + 1;
    while (j < n && is_case_ignorable(t[j])) j++;
    return j < n && is_cased(t[j]) ? SMALL_SIGMA : FINAL_SIGMA;
}

/* Makes room for the second code point of each U+0130, from the end, in place. */
static size_t expand_dotted(uint32_t *t, size_t n, size_t n_dotted) {
    size_t to = n + n_dotted;
    for (size_t from = n; from-- > 0 && to > from + 1;) {
        if (t[from] == I_WITH_DOT) {
            t[--to] = COMBINING_DOT;
            t[--to] = 'i';
        } else {
            t[--to] = t[from];
        }
    }
    return n + n_dotted;
}

/* The characters that the fast pass left alone. */
static size_t lower_rest(uint32_t *t, size_t n) {
    size_t n_dotted = 0;
    for (size_t i = 0; i < n; i++) n_dotted += t[i] == I_WITH_DOT;
    if (n_dotted) n = expand_dotted(t, n, n_dotted);
    for (size_t i = 0; i < n; i++) {
        uint32_t c = t[i];
        if (c < 0x80 || !may_have_case(c)) continue;
        t[i] = c == CAPITAL_SIGMA ? lower_sigma(t, n, i) : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    return n;
}

/* Per 256 code points of the Basic Multilingual Plane: whether some of them may have case (see may_have_case; the
 * full-width letters of FF are looked at by themselves), and whether three bytes must not encode them. */
#define CASE 1
#define BAD 2
#define FOUR(x) x, x, x, x
#define EIGHT(x) FOUR(x), FOUR(x)
static const unsigned char pages[256] = {
    [0x00] = EIGHT(BAD),                                                              /* overlong */
    [0x08] = EIGHT(CASE), EIGHT(CASE), EIGHT(CASE), [0x21] = EIGHT(CASE), FOUR(CASE), /* 21..2C */
    [0xA6] = FOUR(CASE),  CASE,        CASE,                                          /* A6..AB */
    [0xD8] = EIGHT(BAD),                                                              /* surrogates */
};

/* The characters at p that three bytes each encode and that are surely valid and without case, eight at a time: ideographs, kana,
 * their punctuation, general punctuation, and the full-width forms but for letters. Returns how many. The first other one ends
 * it, and so does the text's last part. out has room for eight more than there are. */
#ifdef HAVE_X86
__attribute__((target("avx2"))) static size_t decode_run_avx2(const unsigned char *p, size_t n, uint32_t *out) {
    const __m256i order = _mm256_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1, 2, 1, 0, -1, 5, 4, 3, -1, 8, 7,
                                           6, -1, 11, 10, 9, -1);
    size_t done = 0;
    for (; n >= 28; p += 24, n -= 24, done += 8) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(p + 12));
        __m256i v = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), order);
        __m256i form = _mm256_cmpeq_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xF0C0C0)), _mm256_set1_epi32(0xE08080));
        __m256i cp = _mm256_or_si256(_mm256_and_si256(v, _mm256_set1_epi32(0x3F)),
                                     _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(v, 2), _mm256_set1_epi32(0xFC0)),
                                                     _mm256_and_si256(_mm256_srli_epi32(v, 4), _mm256_set1_epi32(0xF000))));
        __m256i cjk = _mm256_and_si256(_mm256_cmpgt_epi32(cp, _mm256_set1_epi32(0x2FFF)),
                                       _mm256_cmpgt_epi32(_mm256_set1_epi32(0xA000), cp));
        __m256i punctuation = _mm256_and_si256(_mm256_cmpgt_epi32(cp, _mm256_set1_epi32(0x1FFF)),
                                               _mm256_cmpgt_epi32(_mm256_set1_epi32(0x2126), cp));
        __m256i wide = _mm256_and_si256(_mm256_cmpgt_epi32(cp, _mm256_set1_epi32(0xFEFF)),
                                        _mm256_cmpgt_epi32(_mm256_set1_epi32(0xFF21), cp));
        __m256i good = _mm256_and_si256(form, _mm256_or_si256(_mm256_or_si256(cjk, punctuation), wide));
        _mm256_storeu_si256((__m256i *)(void *)(out + done), cp);
        unsigned bad = ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(good)) & 0xFF;
        if (bad) return done + (size_t)__builtin_ctz(bad);
    }
    return done;
}
#endif

/* Runs of three-byte characters (ideographs and their punctuation) and of ASCII go through loops of their own, without
 * a branch per character; what they meet is gathered in `seen`. */
size_t cfb_text_lower_decode(cfb_str s, uint32_t *out, size_t *n_chars) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0, n = 0;
    unsigned seen = 0;
#ifdef HAVE_X86
    bool avx2 = cfb_simd() <= CFB_SIMD_AVX2;
#endif
    while (i < s.len) {
#ifdef HAVE_X86
        if (avx2 && s.len - i >= 28) {
            size_t run = decode_run_avx2(p + i, s.len - i, out + n);
            i += 3 * run;
            n += run;
        }
#endif
        for (; text_is_three_bytes(p + i, s.len - i); i += 3) {
            uint32_t cp = (p[i] & 0x0Fu) << 12 | (p[i + 1] & 0x3Fu) << 6 | (p[i + 2] & 0x3Fu);
            seen |= pages[cp >> 8] | (unsigned)(cp - 0xFF21u < 26) * CASE;
            out[n++] = cp;
        }
        for (; i < s.len && p[i] < 0x80; i++) out[n++] = p[i] + ((uint32_t)(p[i] - (unsigned)'A' < 26) << 5);
        if (i >= s.len || text_is_three_bytes(p + i, s.len - i)) continue;
        size_t len = text_decode(p + i, s.len - i, &out[n]);
        if (len == 0) return SIZE_MAX;
        seen |= CASE;
        i += len;
        n++;
    }
    if (seen & BAD) return SIZE_MAX;
    *n_chars = n;
    return seen & CASE ? lower_rest(out, n) : n;
}

cfb_code cfb_text_lower(cfb_str s, cfb_buf *out, cfb_err *err) {
    if (s.len == 0) return cfb_buf_append(out, "", 0, err);
    size_t size, n_chars;
    if (!cfb_size_mul(s.len, sizeof(uint32_t), &size)) return cfb_err_set(err, CFB_ELIMIT, "text of %zu bytes", s.len);
    uint32_t *t = malloc(size);
    if (t == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", size);
    size_t n = cfb_text_lower_decode(s, t, &n_chars);
    cfb_code rc = CFB_OK;
    if (n == SIZE_MAX) rc = cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8");
    /* In pieces, so that the buffer's limit is met exactly and nothing is reserved beyond the text. */
    for (size_t i = 0; rc == CFB_OK && i < n;) {
        utf8proc_uint8_t piece[512];
        size_t used = 0;
        for (; i < n && used + 4 <= sizeof piece; i++) used += (size_t)utf8proc_encode_char((utf8proc_int32_t)t[i], piece + used);
        rc = cfb_buf_append(out, piece, used, err);
    }
    free(t);
    return rc;
}
