/* ngram.c - clipped n-gram matches of two texts, for ROUGE-N, BLEU and chrF.
 *
 * An n-gram can only match if both its (n-1)-grams do. So for each order only the places count whose (n-1)-gram stands on both
 * sides, and the next place's too; most texts share few long n-grams, and higher orders cost little. An n-gram is identified
 * exactly by the ranks of its two (n-1)-grams, a key of 64 bits: no n-gram is ever compared character by character. Its rank is
 * its slot in a hash table; slots of earlier orders and pairs are told apart by a stamp. */
#include "metrics/scratch.h"

#include <stdlib.h>

#define MIN_GRAMS ((size_t)256)
#define IN_OUTPUT 0x80000000u

/* Order 1: counts per symbol. */
static bool count_symbols(cfb_metric_scratch_t *s, uint64_t *match) {
    metric_text *r = &s->text[REFERENCE], *o = &s->text[OUTPUT];
    if (s->n_symbols >= s->cap_counts) {
        uint32_t *more = metric_grow_zeroed(s->counts, &s->cap_counts, s->n_symbols, sizeof *more);
        if (more == NULL) return false;
        s->counts = more;
    }
    uint32_t *counts = s->counts;
    for (size_t i = 0; i < r->n_symbols; i++) counts[r->symbols[i]]++;
    uint64_t n = 0;
    size_t kept = 0;
    /* The top bit says that the output has it too; it also keeps a count that is used up apart from one that never was. What is
     * met is hard to predict, so nothing here branches on it. */
    for (size_t i = 0; i < o->n_symbols; i++) {
        uint32_t symbol = o->symbols[i], c = counts[symbol], there = c != 0, hit = (c & ~IN_OUTPUT) != 0;
        counts[symbol] = (c - hit) | there << 31;
        o->rank[i] = symbol;
        o->alive[kept] = (uint32_t)i;
        kept += there;
        n += hit;
    }
    o->n_alive = kept;
    kept = 0;
    for (size_t i = 0; i < r->n_symbols; i++) {
        r->rank[i] = r->symbols[i];
        r->alive[kept] = (uint32_t)i;
        kept += counts[r->symbols[i]] >> 31;
    }
    r->n_alive = kept;
    for (size_t i = 0; i < r->n_symbols; i++) counts[r->symbols[i]] = 0;
    *match = n;
    return true;
}

static bool reserve_grams(cfb_metric_scratch_t *s, size_t n) {
    if (s->n_grams >= 2 * n && s->n_grams > 0) return true;
    size_t slots = MIN_GRAMS;
    while (slots < 2 * n) slots *= 2;
    metric_gram *grams = calloc(slots, sizeof *grams);
    if (grams == NULL) return false;
    free(s->grams);
    s->grams = grams;
    s->n_grams = slots;
    s->gram_stamp = 0;
    return true;
}

static void next_order(cfb_metric_scratch_t *s) {
    if (++s->gram_stamp != 0) return;
    memset(s->grams, 0, s->n_grams * sizeof *s->grams);
    s->gram_stamp = 1;
}

/* The slot of the key, or the free one where it belongs. */
static inline size_t find_gram(const metric_gram *grams, size_t mask, uint32_t stamp, uint64_t key) {
    uint64_t h = key * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = (size_t)(h ^ (h >> 32)) & mask;; i = (i + 1) & mask)
        if (grams[i].stamp != stamp || grams[i].key == key) return i;
}

static inline uint64_t key_at(const metric_text *t, size_t place) { return (uint64_t)t->rank[place] << 32 | t->rank[place + 1]; }

/* Keeps the places whose next place is alive too. */
static void keep_neighbours(metric_text *t) {
    size_t kept = 0;
    for (size_t k = 0; k + 1 < t->n_alive; k++) {
        uint32_t at = t->alive[k], next = t->alive[k + 1];
        t->alive[kept] = at;
        kept += next == at + 1;
    }
    t->n_alive = kept;
}

/* Order n >= 2, from the places and ranks that order n - 1 left. Ranks are overwritten behind the place that still needs them. */
static uint64_t match_order(cfb_metric_scratch_t *s) {
    metric_text *r = &s->text[REFERENCE], *o = &s->text[OUTPUT];
    metric_gram *grams = s->grams;
    const size_t mask = s->n_grams - 1;
    next_order(s);
    const uint32_t stamp = s->gram_stamp;
    keep_neighbours(r);
    keep_neighbours(o);
    for (size_t k = 0; k < r->n_alive; k++) {
        uint32_t at = r->alive[k];
        uint64_t key = key_at(r, at);
        size_t i = find_gram(grams, mask, stamp, key);
        uint32_t count = grams[i].stamp == stamp ? grams[i].count : 0;
        grams[i] = (metric_gram){key, stamp, count + 1};
        r->rank[at] = (uint32_t)i;
    }
    uint64_t n = 0;
    size_t kept = 0;
    for (size_t k = 0; k < o->n_alive; k++) {
        uint32_t at = o->alive[k];
        size_t i = find_gram(grams, mask, stamp, key_at(o, at));
        uint32_t there = grams[i].stamp == stamp, count = grams[i].count, hit = there & (uint32_t)((count & ~IN_OUTPUT) != 0);
        grams[i].count = (count - hit) | there << 31; /* a free slot's count is of no interest */
        o->rank[at] = (uint32_t)i;
        o->alive[kept] = at;
        kept += there;
        n += hit;
    }
    o->n_alive = kept;
    kept = 0;
    for (size_t k = 0; k < r->n_alive; k++) {
        uint32_t at = r->alive[k];
        r->alive[kept] = at;
        kept += grams[r->rank[at]].count >> 31;
    }
    r->n_alive = kept;
    return n;
}

cfb_code metric_count_matches(cfb_metric_scratch_t *s, unsigned order, uint64_t *match, cfb_err *err) {
    memset(match, 0, order * sizeof *match);
    if (!count_symbols(s, &match[0])) return metric_no_memory(err);
    if (order > 1 && !reserve_grams(s, s->text[REFERENCE].n_alive)) return metric_no_memory(err);
    for (unsigned n = 2; n <= order && s->text[OUTPUT].n_alive > 1; n++) match[n - 1] = match_order(s);
    return CFB_OK;
}
