/* tokens.c - code points to tokens, for ROUGE (our own rule, see text.h) and for BLEU (sacreBLEU's zh tokeniser). */
#include "metrics/scratch.h"

bool metric_tokens_rouge(cfb_metric_scratch_t *s, metric_text *t) {
    const uint32_t *c = t->chars;
    for (size_t i = 0; i < t->n_chars;) {
        unsigned class = metric_class(s, c[i]) & CLASS_ROUGE;
        size_t begin = i++;
        if (class == CFB_TEXT_BREAK) continue;
        if (class == CFB_TEXT_WORD)
            while (i < t->n_chars && (metric_class(s, c[i]) & CLASS_ROUGE) == CFB_TEXT_WORD) i++;
        if (!metric_put_token(s, t, c + begin, i - begin)) return false;
    }
    return true;
}

/* ---- sacreBLEU, tokeniser zh (tokenizer_zh.py, then tokenizer_re.py) ---- */

/* The blocks that get spaces around each character. The source lists '\u20000'..'\u2a6d6' and '\u2f800'..'\u2fa1d' for two blocks
 * beyond the Basic Multilingual Plane. In Python these are strings of two characters, and a character compared with them lies
 * between if it is in U+2001..U+2A6D or U+2F81..U+2FA1: so it runs, and so it is here. */
static const struct {
    uint32_t first, last;
} zh_blocks[] = {{0x3400, 0x4DB5}, {0x4E00, 0x9FA5}, {0x9FA6, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9},
                 {0x2001, 0x2A6D}, {0x2F81, 0x2FA1}, {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF}, {0x3000, 0x303F}, {0x31C0, 0x31EF},
                 {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF}, {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
                 {0x2600, 0x26FF}, {0x2700, 0x27BF}, {0x3200, 0x32FF}, {0x3300, 0x33FF}};

/* ASCII punctuation but the apostrophe, the comma, the hyphen and the full stop. */
static bool is_zh_punct(uint32_t c) {
    if (c <= ' ' || c >= 0x7F || (c | 0x20) - 'a' < 26 || c - '0' < 10) return false;
    return c != '\'' && c != ',' && c != '-' && c != '.';
}

uint8_t metric_class_of(uint32_t cp) {
    unsigned class = (unsigned)cfb_text_class_of(cp);
    if (cfb_text_is_space(cp)) class |= CLASS_SPACE;
    for (size_t i = 0; i < sizeof zh_blocks / sizeof *zh_blocks; i++)
        if (cp >= zh_blocks[i].first && cp <= zh_blocks[i].last) class |= CLASS_ZH_CHAR;
    if (is_zh_punct(cp)) class |= CLASS_ZH_PUNCT;
    return (uint8_t) class;
}

/* Text under construction. Only whether there is white space matters to what follows, not which or how much: so it is one space.
 * A space follows on a character that is none, so at most 2n + 1 are written for n characters. */
typedef struct spaced {
    uint32_t *to;
    size_t n;
} spaced;

static inline void put(spaced *o, uint32_t c) { o->to[o->n++] = c; }
static inline void put_space(spaced *o) {
    if (o->n == 0 || o->to[o->n - 1] != ' ') put(o, ' ');
}
static inline void put_any(spaced *o, uint32_t c) {
    if (c == ' ')
        put_space(o);
    else
        put(o, c);
}

static inline bool is_digit(uint32_t c) { return c - '0' < 10; }
static inline bool is_point(uint32_t c) { return c == '.' || c == ','; }

/* Spaces around Chinese characters and around punctuation. */
static void space_out(const cfb_metric_scratch_t *s, const uint32_t *c, size_t n, spaced *o) {
    for (size_t i = 0; i < n; i++) {
        unsigned class = metric_class(s, c[i]);
        if (class & CLASS_SPACE) {
            put_space(o);
        } else if (class & (CLASS_ZH_CHAR | CLASS_ZH_PUNCT)) {
            put_space(o);
            put(o, c[i]);
            put(o, ' ');
        } else {
            put(o, c[i]);
        }
    }
}

/* The three substitutions that look at two characters; each walks over the text once and goes on behind what it replaced. */
static void points_behind(const uint32_t *c, size_t n, spaced *o) { /* ([^0-9])([.,]) -> \1 \2_ */
    for (size_t i = 0; i < n; i++) {
        put_any(o, c[i]);
        if (i + 1 == n || is_digit(c[i]) || !is_point(c[i + 1])) continue;
        put_space(o);
        put(o, c[++i]);
        put_space(o);
    }
}

static void points_before(const uint32_t *c, size_t n, spaced *o) { /* ([.,])([^0-9]) -> _\1 \2 */
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n || !is_point(c[i]) || is_digit(c[i + 1])) {
            put_any(o, c[i]);
            continue;
        }
        put_space(o);
        put(o, c[i]);
        put_space(o);
        put_any(o, c[++i]);
    }
}

static void hyphens(const uint32_t *c, size_t n, spaced *o) { /* ([0-9])(-) -> \1 \2_ */
    for (size_t i = 0; i < n; i++) {
        put_any(o, c[i]);
        if (i + 1 == n || !is_digit(c[i]) || c[i + 1] != '-') continue;
        put_space(o);
        put(o, c[++i]);
        put_space(o);
    }
}

bool metric_tokens_zh(cfb_metric_scratch_t *s, metric_text *t) {
    size_t begin = 0, end = t->n_chars;
    while (begin < end && cfb_text_is_space(t->chars[begin])) begin++;
    while (end > begin && cfb_text_is_space(t->chars[end - 1])) end--;
    bool point = false, hyphen = false;
    for (size_t i = begin; i < end; i++) {
        point = point || is_point(t->chars[i]);
        hyphen = hyphen || t->chars[i] == '-';
    }
    spaced a = {t->spaced, 0}, b = {t->spaced2, 0};
    space_out(s, t->chars + begin, end - begin, &a);
    if (point) {
        points_behind(a.to, a.n, &b);
        a.n = 0;
        points_before(b.to, b.n, &a);
    }
    if (hyphen) {
        b.n = 0;
        hyphens(a.to, a.n, &b);
        a = b;
    }
    for (size_t i = 0; i < a.n;) {
        size_t start = i;
        while (i < a.n && a.to[i] != ' ') i++;
        if (i > start && !metric_put_token(s, t, a.to + start, i - start)) return false;
        i++;
    }
    return true;
}
