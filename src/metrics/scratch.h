/* scratch.h - texts as symbols (small integers), and the space that the text metrics work in. Private to metrics. */
#ifndef CFB_METRICS_SCRATCH_H
#define CFB_METRICS_SCRATCH_H

#include "cfbench/metrics.h"
#include "cfbench/text.h"

#define METRIC_BMP 0x10000u

/* What a character is to the tokenisers: one byte for each of the Basic Multilingual Plane. */
#define CLASS_ROUGE 3u     /* a cfb_text_class */
#define CLASS_SPACE 4u     /* Python's white space */
#define CLASS_ZH_CHAR 8u   /* stands alone in sacreBLEU's zh tokeniser */
#define CLASS_ZH_PUNCT 16u /* gets spaces around it there */

/* A token that is no single character of the Basic Multilingual Plane. */
typedef struct metric_word {
    const uint32_t *key;
    uint32_t len, hash, stamp, symbol;
} metric_word;

/* An n-gram of the reference: the symbols of its two (n-1)-grams are its key. */
typedef struct metric_gram {
    uint64_t key;
    uint32_t stamp, count; /* count: what is left of it to match; top bit: the output has it too */
} metric_gram;

/* One side of a pair. Shapes: (cap). */
typedef struct metric_text {
    uint32_t *chars;   /* code points, lower-cased where the metric says so */
    uint32_t *spaced;  /* sacreBLEU's tokeniser: room for 2 * cap + 2 */
    uint32_t *spaced2; /* the same */
    uint32_t *symbols; /* n_symbols: the tokens */
    uint32_t *rank;    /* of the n-gram that begins here */
    uint32_t *alive;   /* n_alive places whose n-gram stands on both sides, ascending */
    size_t cap, n_chars, n_symbols, n_alive;
} metric_text;

struct cfb_metric_scratch {
    uint8_t *classes;    /* (METRIC_BMP) */
    uint32_t *symbol_of; /* (METRIC_BMP): symbol + 1 of a one-character token; all 0 between pairs */
    uint32_t *used;      /* (METRIC_BMP): n_used characters that have a symbol */
    size_t n_used;
    metric_word *words; /* n_slots, a power of two; never more than half full */
    size_t n_slots, n_words;
    uint32_t word_stamp, n_symbols; /* symbols are 0 .. n_symbols - 1, shared by both texts of a pair */
    metric_text text[2];            /* reference, output */
    uint32_t *counts;               /* (cap_counts): per symbol; all 0 between uses */
    size_t cap_counts;
    metric_gram *grams; /* n_grams, a power of two */
    size_t n_grams;
    uint32_t gram_stamp;
    uint64_t *masks; /* (cap_masks): match masks per symbol; all 0 between uses */
    size_t cap_masks;
    uint8_t *carry; /* (cap_carry): what a block of rows hands to the next, per column */
    size_t cap_carry;
    cfb_tf_scratch_t *tf; /* made when first needed */
    int simd;             /* which kernels: metric_simd_level(), or less for tests */
};

enum { REFERENCE = 0, OUTPUT = 1 };

typedef enum metric_tokens { TOKENS_CHARS, TOKENS_VISIBLE, TOKENS_ROUGE, TOKENS_ZH } metric_tokens;

/* Reads both texts into symbols. TOKENS_CHARS: code points; TOKENS_VISIBLE: those that are not white space; TOKENS_ROUGE: words
 * and ideographs, lower-cased; TOKENS_ZH: sacreBLEU's. Equal tokens have equal symbols on both sides. */
CFB_MUST_CHECK cfb_code metric_read(cfb_metric_scratch_t *s, metric_tokens tokens, cfb_str response, cfb_str output,
                                    cfb_err *err);
/* Ends a pair: what was set is set back, and space for very long texts is given back. */
void metric_done(cfb_metric_scratch_t *s);

/* Token by token, for metric_read. */
CFB_MUST_CHECK bool metric_put_word(cfb_metric_scratch_t *s, metric_text *t, const uint32_t *key, size_t len);
CFB_MUST_CHECK static inline bool metric_put_token(cfb_metric_scratch_t *s, metric_text *t, const uint32_t *key, size_t len) {
    uint32_t c = key[0];
    if (len > 1 || c >= METRIC_BMP) return metric_put_word(s, t, key, len);
    uint32_t symbol = s->symbol_of[c];
    if (symbol == 0) {
        s->used[s->n_used++] = c;
        s->symbol_of[c] = symbol = ++s->n_symbols;
    }
    t->symbols[t->n_symbols++] = symbol - 1;
    return true;
}
/* tokens.c: chars -> symbols. */
CFB_MUST_CHECK bool metric_tokens_rouge(cfb_metric_scratch_t *s, metric_text *t);
CFB_MUST_CHECK bool metric_tokens_zh(cfb_metric_scratch_t *s, metric_text *t);
uint8_t metric_class_of(uint32_t cp);
static inline uint8_t metric_class(const cfb_metric_scratch_t *s, uint32_t cp) {
    return cp < METRIC_BMP ? s->classes[cp] : metric_class_of(cp);
}

/* match[n-1] = sum over the n-grams of order n, 1 <= n <= order, of min(count in reference, count in output). */
CFB_MUST_CHECK cfb_code metric_count_matches(cfb_metric_scratch_t *s, unsigned order, uint64_t *match, cfb_err *err);
static inline uint64_t metric_n_grams(size_t n_tokens, unsigned n) { return n_tokens >= n ? n_tokens - n + 1 : 0; }

/* What this machine can do: 0 nothing special, 1 AVX2, 2 AVX-512. */
int metric_simd_level(void);
/* Length of the longest common subsequence, and Levenshtein distance, of the two texts' symbols. Both may reorder s->text. */
CFB_MUST_CHECK cfb_code metric_lcs(cfb_metric_scratch_t *s, uint64_t *length, cfb_err *err);
CFB_MUST_CHECK cfb_code metric_levenshtein(cfb_metric_scratch_t *s, uint64_t *distance, cfb_err *err);

/* p with room for more than n elements of `size` bytes, the new ones zeroed; NULL without memory (p is then as before). Called
 * where n > *cap. */
CFB_MUST_CHECK void *metric_grow_zeroed(void *p, size_t *cap, size_t n, size_t size);
cfb_code metric_no_memory(cfb_err *err);

#endif
