#include "metrics/scratch.h"
#include "cfbench/base.h"

#include <stdlib.h>

#define MIN_WORDS ((size_t)256)
#define KEEP_CHARS ((size_t)1 << 20) /* space for longer texts is given back at once */

cfb_code metric_no_memory(cfb_err *err) { return cfb_err_set(err, CFB_ENOMEM, "out of memory (comparing two texts)"); }

cfb_code cfb_metric_scratch_new(cfb_metric_scratch_t **out, cfb_err *err) {
    *out = NULL;
    cfb_metric_scratch_t *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->classes = malloc(METRIC_BMP * sizeof *s->classes);
        s->symbol_of = calloc(METRIC_BMP, sizeof *s->symbol_of);
        s->used = malloc(METRIC_BMP * sizeof *s->used);
        s->words = calloc(MIN_WORDS, sizeof *s->words);
        s->n_slots = MIN_WORDS;
    }
    if (s == NULL || s->classes == NULL || s->symbol_of == NULL || s->used == NULL || s->words == NULL) {
        cfb_metric_scratch_free(s);
        return metric_no_memory(err);
    }
    s->simd = metric_simd_level();
    for (uint32_t c = 0; c < METRIC_BMP; c++) s->classes[c] = metric_class_of(c);
    *out = s;
    return CFB_OK;
}

static void drop_text(metric_text *t) {
    void *parts[] = {t->chars, t->spaced, t->spaced2, t->symbols, t->rank, t->alive};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
    *t = (metric_text){0};
}

void cfb_metric_scratch_free(cfb_metric_scratch_t *s) {
    if (s == NULL) return;
    for (int side = 0; side < 2; side++) drop_text(&s->text[side]);
    void *parts[] = {s->classes, s->symbol_of, s->used, s->words, s->counts, s->grams, s->masks, s->carry};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
    cfb_tf_scratch_free(s->tf);
    free(s);
}

void *metric_grow_zeroed(void *p, size_t *cap, size_t n, size_t size) {
    size_t want = n + n / 2 + 64, bytes;
    if (!cfb_size_mul(want, size, &bytes)) return NULL;
    char *more = realloc(p, bytes);
    if (more == NULL) return NULL;
    memset(more + *cap * size, 0, (want - *cap) * size);
    *cap = want;
    return more;
}

static bool reserve_text(metric_text *t, size_t n) {
    if (n < t->cap) return true; /* so there is space even for an empty text */
    size_t cap = n < 1024 ? 1024 : n < KEEP_CHARS ? n + n / 2 : n + 1;
    drop_text(t);
    t->chars = malloc(cap * sizeof *t->chars);
    t->spaced = malloc((2 * cap + 2) * sizeof *t->spaced);
    t->spaced2 = malloc((2 * cap + 2) * sizeof *t->spaced2);
    t->symbols = malloc(cap * sizeof *t->symbols);
    t->rank = malloc(cap * sizeof *t->rank);
    t->alive = malloc(cap * sizeof *t->alive);
    if (!t->chars || !t->spaced || !t->spaced2 || !t->symbols || !t->rank || !t->alive) {
        drop_text(t);
        return false;
    }
    t->cap = cap;
    return true;
}

/* ---- symbols ---- */

static metric_word *find_word(metric_word *words, size_t n_slots, uint32_t stamp, const uint32_t *key, size_t len,
                              uint32_t hash) {
    for (size_t i = hash & (n_slots - 1);; i = (i + 1) & (n_slots - 1)) {
        metric_word *w = &words[i];
        if (w->stamp != stamp) return w; /* free */
        if (w->hash == hash && w->len == len && memcmp(w->key, key, len * sizeof *key) == 0) return w;
    }
}

static bool grow_words(cfb_metric_scratch_t *s) {
    size_t n = s->n_slots * 2;
    metric_word *bigger = calloc(n, sizeof *bigger);
    if (bigger == NULL) return false;
    for (size_t i = 0; i < s->n_slots; i++) {
        const metric_word *w = &s->words[i];
        if (w->stamp == s->word_stamp) *find_word(bigger, n, s->word_stamp, w->key, w->len, w->hash) = *w;
    }
    free(s->words);
    s->words = bigger;
    s->n_slots = n;
    return true;
}

/* Short words, as numbers and codes are, are hashed where they stand. */
static uint32_t hash_word(const uint32_t *key, size_t len) {
    if (len > 8) return (uint32_t)cfb_hash64(key, len * sizeof *key, 0);
    uint64_t h = len;
    for (size_t i = 0; i < len; i++) h = (h ^ key[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(h >> 32);
}

static bool symbol_of_word(cfb_metric_scratch_t *s, const uint32_t *key, size_t len, uint32_t *symbol) {
    uint32_t hash = hash_word(key, len);
    metric_word *w = find_word(s->words, s->n_slots, s->word_stamp, key, len, hash);
    if (w->stamp != s->word_stamp) {
        if (s->n_words >= s->n_slots / 2) {
            if (!grow_words(s)) return false;
            w = find_word(s->words, s->n_slots, s->word_stamp, key, len, hash);
        }
        *w = (metric_word){key, (uint32_t)len, hash, s->word_stamp, s->n_symbols++};
        s->n_words++;
    }
    *symbol = w->symbol;
    return true;
}

bool metric_put_word(cfb_metric_scratch_t *s, metric_text *t, const uint32_t *key, size_t len) {
    return symbol_of_word(s, key, len, &t->symbols[t->n_symbols++]);
}

static bool tokens_chars(cfb_metric_scratch_t *s, metric_text *t, bool visible) {
    for (size_t i = 0; i < t->n_chars; i++) {
        uint32_t c = t->chars[i];
        if (visible && (metric_class(s, c) & CLASS_SPACE)) continue;
        if (!metric_put_token(s, t, &t->chars[i], 1)) return false;
    }
    return true;
}

static void next_pair(cfb_metric_scratch_t *s) {
    s->n_used = s->n_words = 0;
    s->n_symbols = 0;
    if (++s->word_stamp != 0) return;
    memset(s->words, 0, s->n_slots * sizeof *s->words);
    s->word_stamp = 1;
}

static cfb_code read_side(cfb_metric_scratch_t *s, metric_tokens tokens, int side, cfb_str text, cfb_err *err) {
    metric_text *t = &s->text[side];
    t->n_symbols = t->n_alive = t->n_chars = 0;
    if (text.len > CFB_METRIC_MAX_BYTES)
        return cfb_err_set(err, CFB_ELIMIT, "a text of %zu bytes; at most %zu can be compared", text.len, CFB_METRIC_MAX_BYTES);
    if (!reserve_text(t, text.len)) return metric_no_memory(err);
    size_t n, n_chars;
    if (tokens == TOKENS_ROUGE) {
        n = cfb_text_lower_decode(text, t->chars, &n_chars);

    } else {
        n = n_chars = cfb_text_decode(text, t->chars);
    }
    if (n == SIZE_MAX) return cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8");
    t->n_chars = n;
    bool ok = tokens == TOKENS_ROUGE ? metric_tokens_rouge(s, t)
              : tokens == TOKENS_ZH  ? metric_tokens_zh(s, t)
                                     : tokens_chars(s, t, tokens == TOKENS_VISIBLE);
    t->n_chars = n_chars;
    return ok ? CFB_OK : metric_no_memory(err);
}

cfb_code metric_read(cfb_metric_scratch_t *s, metric_tokens tokens, cfb_str response, cfb_str output, cfb_err *err) {
    next_pair(s);
    cfb_code rc = read_side(s, tokens, REFERENCE, response, err);
    if (rc == CFB_OK) rc = read_side(s, tokens, OUTPUT, output, err);
    /* The table of characters is needed only while symbols are given out. */
    for (size_t i = 0; i < s->n_used; i++) s->symbol_of[s->used[i]] = 0;
    if (rc != CFB_OK) metric_done(s);
    return rc;
}

#define DROP(p, cap) (free(p), (p) = NULL, (cap) = 0)

void metric_done(cfb_metric_scratch_t *s) {
    for (int side = 0; side < 2; side++)
        if (s->text[side].cap > 2 * KEEP_CHARS) drop_text(&s->text[side]);
    if (s->cap_counts > KEEP_CHARS) DROP(s->counts, s->cap_counts);
    if (s->n_grams > 4 * KEEP_CHARS) DROP(s->grams, s->n_grams);
    if (s->cap_masks > 4 * KEEP_CHARS) DROP(s->masks, s->cap_masks);
    if (s->cap_carry > 4 * KEEP_CHARS) DROP(s->carry, s->cap_carry);
    if (s->n_slots <= KEEP_CHARS / 16) return;
    metric_word *fewer = calloc(MIN_WORDS, sizeof *fewer);
    if (fewer == NULL) return;
    free(s->words);
    s->words = fewer;
    s->n_slots = MIN_WORDS;
}
