#include "cfbench/base.h"
#include "cfbench/metrics.h"
#include "cfbench/text.h"

#include <math.h>
#include <stdlib.h>
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

double cfb_cosine_from_counts(uint64_t dot, uint64_t aa, uint64_t bb) {
    if (aa == 0 || bb == 0) return aa == bb ? 1.0 : 0.0;
    double c = (double)dot / (sqrt((double)aa) * sqrt((double)bb));
    return c > 1.0 ? 1.0 : c;
}

/* Token counts of one pair of texts. One-character tokens of the Basic Multilingual Plane (nearly all, in Chinese) have a
 * cell of their own. First every character is counted, then what is no token is taken back, and at the end the texts are walked
 * over once more: where a character stands first its counts go into the sums and back to 0, so that they count once.
 * All other tokens are looked up as slices of the lower-cased text and compared exactly; a word's entry is in use if its stamp is
 * the current pair's. Their sums are kept up to date token by token: a count that goes from c to c + 1 adds 2c + 1 to its square,
 * and a token of the output adds the response's count to the dot product. A text has fewer than 2^32 tokens, so no count passes
 * 32 bits and no sum 64. */
typedef struct cell {
    uint32_t a, b; /* in the response, in the output */
} cell;

typedef struct word {
    const uint32_t *key;
    uint32_t len, hash, stamp;
    cell count;
} word;

#define BMP 0x10000u
#define MIN_WORDS 256u
#define KEEP_CHARS ((size_t)1 << 20) /* space for longer texts is given back at once */

struct cfb_tf_scratch {
    cell *chars;         /* (BMP), all 0 between pairs */
    uint32_t *separator; /* (BMP / 32): a bit for each character that ends a word */
    word *words;         /* n_slots, a power of two; never more than half full */
    size_t n_slots, n_words;
    uint32_t stamp;
    uint32_t *low[2]; /* response, output in lower case */
    uint32_t *rest;   /* places of what is no ideograph */
    size_t cap[2], cap_rest;
};

typedef struct sums {
    uint64_t dot, aa, bb;
} sums;

static bool is_separator(uint32_t c);

static void drop_rest(cfb_tf_scratch_t *s) {
    free(s->rest);
    s->rest = NULL;
    s->cap_rest = 0;
}

static void drop_text(cfb_tf_scratch_t *s, int side) {
    free(s->low[side]);
    s->low[side] = NULL;
    s->cap[side] = 0;
}

cfb_code cfb_tf_scratch_new(cfb_tf_scratch_t **out, cfb_err *err) {
    *out = NULL;
    cfb_tf_scratch_t *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->chars = calloc(BMP, sizeof *s->chars);
        s->separator = calloc(BMP / 32, sizeof *s->separator);
        s->words = calloc(MIN_WORDS, sizeof *s->words);
        s->n_slots = MIN_WORDS;
    }
    if (s == NULL || s->chars == NULL || s->separator == NULL || s->words == NULL) {
        cfb_tf_scratch_free(s);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory (scratch space for term counts)");
    }
    for (uint32_t c = 0; c < BMP; c++) s->separator[c / 32] |= (uint32_t)is_separator(c) << c % 32;
    *out = s;
    return CFB_OK;
}

void cfb_tf_scratch_free(cfb_tf_scratch_t *s) {
    if (s == NULL) return;
    free(s->chars);
    free(s->separator);
    free(s->words);
    for (int side = 0; side < 2; side++) drop_text(s, side);
    drop_rest(s);
    free(s);
}

static void next_stamp(cfb_tf_scratch_t *s) {
    s->n_words = 0;
    if (++s->stamp != 0) return;
    memset(s->words, 0, s->n_slots * sizeof *s->words);
    s->stamp = 1;
}

/* side 0: response, counted first; side 1: output. */
static inline void count_cell(cell *c, int side, sums *sum) {
    if (side == 0) {
        sum->aa += 2 * (uint64_t)c->a++ + 1;
    } else {
        sum->dot += c->a;
        sum->bb += 2 * (uint64_t)c->b++ + 1;
    }
}

static word *find_word(word *words, size_t n_slots, uint32_t stamp, const uint32_t *key, uint32_t len, uint32_t hash) {
    size_t i = hash & (n_slots - 1);
    for (;; i = (i + 1) & (n_slots - 1)) {
        word *w = &words[i];
        if (w->stamp != stamp) return w; /* free */
        if (w->hash == hash && w->len == len && memcmp(w->key, key, len * sizeof *key) == 0) return w;
    }
}

static bool grow_words(cfb_tf_scratch_t *s) {
    size_t n = s->n_slots * 2;
    word *bigger = n > SIZE_MAX / sizeof *bigger ? NULL : calloc(n, sizeof *bigger);
    if (bigger == NULL) return false;
    for (size_t i = 0; i < s->n_slots; i++) {
        const word *w = &s->words[i];
        if (w->stamp == s->stamp) *find_word(bigger, n, s->stamp, w->key, w->len, w->hash) = *w;
    }
    free(s->words);
    s->words = bigger;
    s->n_slots = n;
    return true;
}

static bool count_word(cfb_tf_scratch_t *s, const uint32_t *key, size_t len, int side, sums *sum) {
    uint32_t hash = (uint32_t)cfb_hash64(key, len * sizeof *key, 0);
    word *w = find_word(s->words, s->n_slots, s->stamp, key, (uint32_t)len, hash);
    if (w->stamp != s->stamp) {
        if (s->n_words >= s->n_slots / 2) {
            if (!grow_words(s)) return false;
            w = find_word(s->words, s->n_slots, s->stamp, key, (uint32_t)len, hash);
        }
        *w = (word){.key = key, .len = (uint32_t)len, .hash = hash, .stamp = s->stamp};
        s->n_words++;
    }
    count_cell(&w->count, side, sum);
    return true;
}

/* U+4E00..U+9FFF, as upstream has it: not the extension blocks. */
static inline bool is_cjk(uint32_t c) { return c - 0x4E00u < 0x5200u; }

/* White space, and the punctuation that becomes a space. Curly quotes are not in the list. */
static bool is_separator(uint32_t c) {
    switch (c) {
    case ',':
    case '.':
    case '!':
    case '?':
    case ';':
    case ':':
    case '\'':
    case '"':
    case '(':
    case ')':
    case '[':
    case ']':
    case 0x3001: /* ideographic comma */
    case 0x3002: /* ideographic full stop */
    case 0xFF01: /* full-width ! ( ) , : ; ? */
    case 0xFF08:
    case 0xFF09:
    case 0xFF0C:
    case 0xFF1A:
    case 0xFF1B:
    case 0xFF1F: return true;
    default: return cfb_text_is_space(c);
    }
}

/* First pass: counts every character of the BMP, and notes the places of those that are no ideographs. Without a branch that
 * depends on the text: words are short, and a wrong guess at each end would cost more than all the rest. counts: of the side, two
 * apart. Returns how many are noted. */
static size_t count_chars(uint32_t *counts, const uint32_t *t, size_t from, size_t n, uint32_t *rest, size_t n_rest) {
    for (size_t i = from; i < n; i++) {
        uint32_t c = t[i];
        counts[2 * (c & (BMP - 1))] += c < BMP;
        rest[n_rest] = (uint32_t)i;
        n_rest += !is_cjk(c);
    }
    return n_rest;
}

#ifdef HAVE_X86
/* The same, eight characters at a time. */
__attribute__((target("avx2"))) static size_t count_chars_avx2(uint32_t *counts, const uint32_t *t, size_t n, uint32_t *rest) {
    const __m256i first = _mm256_set1_epi32(0x4E00), beyond = _mm256_set1_epi32(0x51FF), bmp = _mm256_set1_epi32(BMP - 1);
    size_t n_rest = 0, i = 0;
    for (; n - i >= 8; i += 8) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(t + i)), at = _mm256_sub_epi32(v, first);
        __m256i other = _mm256_or_si256(at, _mm256_sub_epi32(beyond, at)); /* below 0: no ideograph */
        unsigned noted = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(other));
        if (!_mm256_testz_si256(_mm256_cmpgt_epi32(v, bmp), _mm256_set1_epi32(-1))) {
            n_rest = count_chars(counts, t, i, i + 8, rest, n_rest);
            continue;
        }
        for (size_t k = 0; k < 8; k += 4) { /* two characters in a load */
            uint64_t low, high;
            memcpy(&low, t + i + k, 8);
            memcpy(&high, t + i + k + 2, 8);
            counts[2 * (size_t)(uint32_t)low]++;
            counts[2 * (size_t)(low >> 32)]++;
            counts[2 * (size_t)(uint32_t)high]++;
            counts[2 * (size_t)(high >> 32)]++;
        }
        for (; noted != 0; noted &= noted - 1) rest[n_rest++] = (uint32_t)i + (uint32_t)__builtin_ctz(noted);
    }
    return count_chars(counts, t, i, n, rest, n_rest);
}
#endif

static inline bool separates(const cfb_tf_scratch_t *s, uint32_t c) {
    return c < BMP && (s->separator[c / 32] >> c % 32 & 1) != 0;
}

/* Second pass, over what was noted. Separators count nothing. A run between separators is a word without an ideograph: one
 * token, and its characters are taken back. A run that touches an ideograph belongs to a word of single characters. */
static bool count_words(cfb_tf_scratch_t *s, uint32_t *counts, const uint32_t *t, size_t n, int side, size_t n_rest, sums *sum) {
    const uint32_t *rest = s->rest;
    for (size_t r = 0; r < n_rest;) {
        size_t begin = rest[r++], end = begin + 1;
        if (separates(s, t[begin])) {
            counts[2 * t[begin]] = 0;
            continue;
        }
        for (; r < n_rest && rest[r] == end && !separates(s, t[end]); r++) end++;
        bool in_cjk_word = (begin > 0 && is_cjk(t[begin - 1])) || (end < n && is_cjk(t[end]));
        bool one_token = !in_cjk_word && end - begin > 1;
        for (size_t i = begin; i < end; i++) {
            if (t[i] < BMP)
                counts[2 * t[i]] -= one_token;
            else if (!one_token && !count_word(s, t + i, 1, side, sum))
                return false;
        }
        if (one_token && !count_word(s, t + begin, end - begin, side, sum)) return false;
    }
    return true;
}

static bool count_tokens(cfb_tf_scratch_t *s, size_t n, int side, sums *sum) {
    const uint32_t *t = s->low[side];
    uint32_t *counts = side == 0 ? &s->chars->a : &s->chars->b;
    size_t n_rest;
#ifdef HAVE_X86
    if (cfb_simd() <= CFB_SIMD_AVX2)
        n_rest = count_chars_avx2(counts, t, n, s->rest);
    else
#endif
        n_rest = count_chars(counts, t, 0, n, s->rest, 0);
    return count_words(s, counts, t, n, side, n_rest, sum);
}

/* The sums over the characters' counts, which are 0 afterwards. */
static void add_up(cfb_tf_scratch_t *s, const size_t n[2], sums *out) {
    const uint32_t *t = s->low[1];
    sums sum = *out;
    for (size_t i = 0; i < n[1]; i++) {
        cell *e = &s->chars[t[i] & (BMP - 1)];
        uint64_t b = e->b;
        e->b = 0;
        sum.dot += b * e->a;
        sum.bb += b * b;
    }
    t = s->low[0];
    for (size_t i = 0; i < n[0]; i++) {
        cell *e = &s->chars[t[i] & (BMP - 1)];
        uint64_t a = e->a;
        e->a = 0;
        sum.aa += a * a;
    }
    *out = sum;
}

static cfb_code lower_text(cfb_tf_scratch_t *s, int side, cfb_str text, size_t *n, size_t *n_chars, cfb_err *err) {
    if (text.len >= UINT32_MAX)
        return cfb_err_set(err, CFB_ELIMIT, "a text of %zu bytes; at most 4 GiB can be compared", text.len);
    if (text.len > s->cap[side]) {
        size_t cap = text.len < 4096 ? 4096 : text.len + text.len / 2, size;
        drop_text(s, side);
        bool ok = cfb_size_mul(cap, sizeof(uint32_t), &size);
        if (ok) s->low[side] = malloc(size);
        if (ok && cap > s->cap_rest) {
            drop_rest(s);
            s->rest = malloc(size);
            s->cap_rest = s->rest ? cap : 0;
        }
        if (s->low[side] == NULL || s->rest == NULL) {
            for (int k = 0; k < 2; k++) drop_text(s, k); /* none may find less room in `rest` than it has itself */
            return cfb_err_set(err, CFB_ENOMEM, "out of memory (text of %zu bytes)", text.len);
        }
        s->cap[side] = cap;
    }
    *n = cfb_text_lower_decode(text, s->low[side], n_chars);
    return *n == SIZE_MAX ? cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8") : CFB_OK;
}

static void give_back(cfb_tf_scratch_t *s) {
    for (int side = 0; side < 2; side++) {
        if (s->cap[side] > KEEP_CHARS) drop_text(s, side);
    }
    if (s->cap_rest > KEEP_CHARS) {
        drop_rest(s);
        for (int side = 0; side < 2; side++) drop_text(s, side);
    }
    if (s->n_slots <= KEEP_CHARS / 16) return;
    word *fewer = calloc(MIN_WORDS, sizeof *fewer);
    if (fewer == NULL) return;
    free(s->words);
    s->words = fewer;
    s->n_slots = MIN_WORDS;
}

cfb_code cfb_tf_count(cfb_tf_scratch_t *s, cfb_str response, cfb_str output, cfb_tf_counts *out, cfb_err *err) {
    size_t n[2];
    cfb_code rc = lower_text(s, 0, response, &n[0], &out->response_chars, err);
    if (rc == CFB_OK) rc = lower_text(s, 1, output, &n[1], &out->output_chars, err);
    if (rc != CFB_OK) return rc;
    next_stamp(s);
    sums sum = {0, 0, 0};
    bool counted = count_tokens(s, n[0], 0, &sum) && count_tokens(s, n[1], 1, &sum);
    add_up(s, n, &sum);
    if (!counted) return cfb_err_set(err, CFB_ENOMEM, "out of memory (counting %zu words)", s->n_words);
    out->dot = sum.dot;
    out->aa = sum.aa;
    out->bb = sum.bb;
    give_back(s);
    return CFB_OK;
}

cfb_code cfb_tf_cosine(cfb_tf_scratch_t *s, cfb_str response, cfb_str output, double *out, cfb_err *err) {
    cfb_tf_counts c;
    cfb_code rc = cfb_tf_count(s, response, output, &c, err);
    if (rc == CFB_OK) *out = cfb_cosine_from_counts(c.dot, c.aa, c.bb);
    return rc;
}
