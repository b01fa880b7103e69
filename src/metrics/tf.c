#include "cfbench/base.h"
#include "cfbench/metrics.h"
#include "cfbench/text.h"

#include <math.h>
#include <stdlib.h>

double cfb_cosine_from_counts(uint64_t dot, uint64_t aa, uint64_t bb) {
    if (aa == 0 || bb == 0) return aa == bb ? 1.0 : 0.0;
    double c = (double)dot / (sqrt((double)aa) * sqrt((double)bb));
    return c > 1.0 ? 1.0 : c;
}

/* Token counts of one pair of texts. One-character tokens of the Basic Multilingual Plane (nearly all, in Chinese) have a
 * cell of their own, set back to 0 after each pair by walking over the texts once more. All others are looked up as slices
 * of the lower-cased text and compared exactly; a word's entry is in use if its stamp is the current pair's.
 *
 * The sums are kept up to date token by token: a count that goes from c to c + 1 adds 2c + 1 to its square, and a token
 * of the output adds the response's count to the dot product. A text has fewer than 2^32 tokens, so no count passes 32 bits
 * and no sum 64. */
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
    uint32_t *low[2];  /* response, output in lower case */
    uint32_t *rest[2]; /* places of what is neither ideograph nor separator */
    size_t cap[2];
};

typedef struct sums {
    uint64_t dot, aa, bb;
} sums;

static bool is_separator(uint32_t c);

static void drop_text(cfb_tf_scratch_t *s, int side) {
    free(s->low[side]);
    free(s->rest[side]);
    s->low[side] = s->rest[side] = NULL;
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
    if (len == 1 && key[0] < BMP) {
        count_cell(&s->chars[key[0]], side, sum);
        return true;
    }
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

static void uncount_cell(cell *c, int side, sums *sum) {
    if (side == 0) {
        sum->aa -= 2 * (uint64_t)--c->a + 1;
    } else {
        sum->dot -= c->a;
        sum->bb -= 2 * (uint64_t)--c->b + 1;
    }
}

/* First pass: counts every character that is no separator as a token, and notes those that are no ideographs. Without a
 * branch that depends on the text: words are short, and a wrong guess at each end would cost more than all the rest.
 * Characters beyond the BMP are noted only. Returns how many are noted. */
static inline size_t count_chars(cfb_tf_scratch_t *s, const uint32_t *t, size_t n, int side, uint32_t *rest, sums *out) {
    sums sum = *out;
    size_t n_rest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = t[i], low = c & (BMP - 1), beyond = c >= BMP;
        uint32_t separator = s->separator[low / 32] >> low % 32 & 1 & ~beyond;
        uint32_t one = (separator | beyond) ^ 1;
        uint64_t mask = 0 - (uint64_t)one;
        cell *e = &s->chars[low];
        if (side == 0) {
            sum.aa += (2 * (uint64_t)e->a + 1) & mask;
            e->a += one;
        } else {
            sum.dot += e->a & mask;
            sum.bb += (2 * (uint64_t)e->b + 1) & mask;
            e->b += one;
        }
        rest[n_rest] = (uint32_t)i;
        n_rest += (separator | is_cjk(c)) ^ 1;
    }
    *out = sum;
    return n_rest;
}

/* Second pass, over the runs of what was noted. A run between separators is a word without an ideograph: one token, and
 * its characters are taken back. A run that touches an ideograph belongs to a word of single characters. */
static bool count_words(cfb_tf_scratch_t *s, const uint32_t *t, size_t n, int side, const uint32_t *rest, size_t n_rest,
                        sums *sum) {
    for (size_t r = 0; r < n_rest;) {
        size_t begin = rest[r], end = begin + 1;
        for (r++; r < n_rest && rest[r] == end; r++) end++;
        bool in_cjk_word = (begin > 0 && is_cjk(t[begin - 1])) || (end < n && is_cjk(t[end]));
        bool one_token = !in_cjk_word && end - begin > 1;
        for (size_t i = begin; i < end; i++) {
            if (t[i] < BMP && one_token)
                uncount_cell(&s->chars[t[i]], side, sum);
            else if (t[i] >= BMP && !one_token && !count_word(s, t + i, 1, side, sum))
                return false;
        }
        if (one_token && !count_word(s, t + begin, end - begin, side, sum)) return false;
    }
    return true;
}

static bool count_tokens(cfb_tf_scratch_t *s, size_t n, int side, sums *sum) {
    const uint32_t *t = s->low[side];
    uint32_t *rest = s->rest[side];
    size_t n_rest = side == 0 ? count_chars(s, t, n, 0, rest, sum) : count_chars(s, t, n, 1, rest, sum);
    return count_words(s, t, n, side, rest, n_rest, sum);
}

static void clear_cells(cfb_tf_scratch_t *s, const uint32_t *t, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (t[i] < BMP) s->chars[t[i]] = (cell){0, 0};
}

static cfb_code lower_text(cfb_tf_scratch_t *s, int side, cfb_str text, size_t *n, size_t *n_chars, cfb_err *err) {
    if (text.len >= UINT32_MAX)
        return cfb_err_set(err, CFB_ELIMIT, "a text of %zu bytes; at most 4 GiB can be compared", text.len);
    if (text.len > s->cap[side]) {
        size_t cap = text.len < 4096 ? 4096 : text.len + text.len / 2, size;
        drop_text(s, side);
        bool ok = cfb_size_mul(cap, sizeof(uint32_t), &size);
        if (ok) s->low[side] = malloc(size);
        if (ok) s->rest[side] = malloc(size);
        if (s->low[side] == NULL || s->rest[side] == NULL) {
            drop_text(s, side);
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
    for (int side = 0; side < 2; side++) clear_cells(s, s->low[side], n[side]);
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
