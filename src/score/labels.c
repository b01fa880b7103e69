#include "score/labels.h"

#include <stdlib.h>

#define MIN_SLOTS 1024
#define MIN_SHARD_SLOTS 64
/* A table that one strange block made larger than this is not kept for the next one. */
#define KEEP_LABELS ((size_t)1 << 16)

static inline uint32_t key_tag(const label_key *k) { return (uint32_t)(k->hash >> 32); }

/* The slot of k: the one that holds it, or the free one where it belongs. */
static inline size_t find_slot(const label_table *t, const label_key *k) {
    size_t i = k->hash & (t->n_slots - 1);
    for (;; i = (i + 1) & (t->n_slots - 1)) {
        label_slot s = t->slots[i];
        if (s.id_plus_1 == 0) return i;
        if (s.tag == key_tag(k) && label_key_eq(&t->labels[s.id_plus_1 - 1].key, k)) return i;
    }
}

static bool reserve_labels(label_table *t, size_t n) {
    if (n <= t->cap) return true;
    size_t cap = t->cap ? t->cap : MIN_SLOTS / 2, size;
    while (cap < n) cap *= 2;
    label *p = cfb_size_mul(cap, sizeof *p, &size) ? realloc(t->labels, size) : NULL;
    if (p != NULL) t->labels = p;
    label_count *c = realloc(t->counts, cap * sizeof *c);
    if (c != NULL) t->counts = c;
    if (p == NULL || c == NULL) return false;
    t->cap = cap;
    return true;
}

/* Room for n slots, contents undefined. */
static bool reserve_slots(label_table *t, size_t n) {
    if (n <= t->slots_cap) return true;
    size_t size;
    label_slot *p = cfb_size_mul(n, sizeof *p, &size) ? malloc(size) : NULL;
    if (p == NULL) return false;
    free(t->slots);
    t->slots = p;
    t->slots_cap = n;
    return true;
}

static bool grow_slots(label_table *t) {
    size_t n = t->n_slots * 2;
    if (n > UINT32_MAX || !reserve_slots(t, n)) return false;
    memset(t->slots, 0, n * sizeof *t->slots);
    t->n_slots = n;
    for (size_t i = 0; i < t->n; i++) {
        const label_key *k = &t->labels[i].key;
        t->slots[find_slot(t, k)] = (label_slot){key_tag(k), (uint32_t)i + 1};
    }
    return true;
}

uint32_t label_table_intern(label_table *t, cfb_str text) {
    label_key k = label_key_of(text);
    return label_table_intern_key(t, &k);
}

uint32_t label_table_intern_key(label_table *t, const label_key *k) {
    size_t i = find_slot(t, k);
    if (t->slots[i].id_plus_1 != 0) return t->slots[i].id_plus_1 - 1;
    if (2 * (t->n + 1) > t->n_slots) {
        if (!grow_slots(t)) return LABEL_NONE;
        i = find_slot(t, k);
    }
    if (!reserve_labels(t, t->n + 1)) return LABEL_NONE;
    cfb_str kept;
    if (cfb_arena_dup(t->keys, (cfb_str){k->ptr, k->len}, &kept, NULL) != CFB_OK) return LABEL_NONE;
    uint32_t id = (uint32_t)t->n++;
    label *l = &t->labels[id];
    *l = (label){.key = *k, .next = LABEL_NONE};
    l->key.ptr = kept.ptr;
    t->counts[id] = (label_count){.bit = LABEL_NONE};
    t->slots[i] = (label_slot){key_tag(k), id + 1};
    if (id != LABEL_EMPTY) { /* the empty label is not in the per-label table */
        uint32_t *chain = &t->chain[k->hash >> 60];
        l->next = *chain;
        *chain = id;
    }
    return id;
}

uint32_t label_table_find(const label_table *t, cfb_str text) {
    label_key k = label_key_of(text);
    uint32_t id_plus_1 = t->slots[find_slot(t, &k)].id_plus_1;
    return id_plus_1 ? id_plus_1 - 1 : LABEL_NONE;
}

bool label_table_init(label_table *t, const cfb_str *fixed, size_t n_fixed) {
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < LABEL_SHARDS; i++) t->chain[i] = LABEL_NONE;
    if (!reserve_slots(t, MIN_SLOTS) || cfb_arena_new(0, &t->keys, NULL) != CFB_OK) return false;
    memset(t->slots, 0, MIN_SLOTS * sizeof *t->slots);
    t->n_slots = MIN_SLOTS;
    if (label_table_intern(t, CFB_STR_LIT("")) != LABEL_EMPTY) return false;
    for (size_t i = 0; i < n_fixed; i++) {
        if (fixed[i].len >= UINT32_MAX || i >= LABEL_NONE) return false;
        uint32_t id = label_table_intern(t, fixed[i]);
        if (id == LABEL_NONE) return false;
        t->counts[id].bit = (uint32_t)i;
    }
    return true;
}

bool label_table_reset(label_table *t, const label_table *start) {
    if (t->cap > KEEP_LABELS + start->cap) label_table_free(t);
    if (t->keys == NULL && cfb_arena_new(0, &t->keys, NULL) != CFB_OK) return false;
    if (!reserve_labels(t, start->n) || !reserve_slots(t, start->n_slots)) return false;
    cfb_arena_reset(t->keys);
    memcpy(t->labels, start->labels, start->n * sizeof *t->labels);
    memcpy(t->counts, start->counts, start->n * sizeof *t->counts);
    memcpy(t->slots, start->slots, start->n_slots * sizeof *t->slots);
    memcpy(t->chain, start->chain, sizeof t->chain);
    t->n = start->n;
    t->n_slots = start->n_slots;
    return true;
}

void label_table_free(label_table *t) {
    free(t->labels);
    free(t->counts);
    free(t->slots);
    cfb_arena_free(t->keys);
    memset(t, 0, sizeof *t);
}

/* ---- totals ---- */

static size_t find_total(const label_shard *s, const label_key *k) {
    size_t i = k->hash & (s->n_slots - 1);
    for (; s->slots[i] != 0; i = (i + 1) & (s->n_slots - 1)) {
        const label_total *t = &s->totals[s->slots[i] - 1];
        if (t->key.hash == k->hash && label_key_eq(&t->key, k)) break;
    }
    return i;
}

static bool grow_shard(label_shard *s) {
    size_t n = s->n_slots ? s->n_slots * 2 : MIN_SHARD_SLOTS, size;
    if (n > UINT32_MAX || (s->arena == NULL && cfb_arena_new(0, &s->arena, NULL) != CFB_OK)) return false;
    label_total *totals = cfb_size_mul(n / 2, sizeof *totals, &size) ? realloc(s->totals, size) : NULL;
    if (totals == NULL) return false;
    s->totals = totals;
    s->cap = n / 2;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (slots == NULL) return false;
    for (size_t i = 0; i < s->n; i++) {
        size_t at = totals[i].key.hash & (n - 1);
        while (slots[at] != 0) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(s->slots);
    s->slots = slots;
    s->n_slots = n;
    return true;
}

/* The total of a label, new or known; NULL without memory. */
static label_total *intern_total(label_shard *s, const label_key *k) {
    if (2 * (s->n + 1) > s->n_slots && !grow_shard(s)) return NULL;
    size_t i = find_total(s, k);
    if (s->slots[i] != 0) return &s->totals[s->slots[i] - 1];
    label_total *t = &s->totals[s->n];
    cfb_str text;
    if (cfb_arena_dup(s->arena, (cfb_str){k->ptr, k->len}, &text, NULL) != CFB_OK) return NULL;
    *t = (label_total){.key = *k};
    t->key.ptr = text.ptr;
    s->slots[i] = (uint32_t)++s->n;
    return t;
}

cfb_code label_shard_merge(label_shard *s, unsigned shard, label_table *t, size_t max_labels) {
    for (uint32_t id = t->chain[shard]; id != LABEL_NONE; id = t->labels[id].next) {
        label_count *c = &t->counts[id];
        if (c->actual == 0 && c->predicted == 0) continue; /* of the suite and not seen, or not seen again */
        label_total *total = intern_total(s, &t->labels[id].key);
        if (total == NULL) return CFB_ENOMEM;
        total->actual += c->actual;
        total->predicted += c->predicted;
        total->correct += c->correct;
        c->actual = c->predicted = c->correct = 0;
        if (s->n > max_labels) return CFB_ELIMIT;
    }
    return CFB_OK;
}

void label_shard_free(label_shard *s) {
    free(s->totals);
    free(s->slots);
    cfb_arena_free(s->arena);
    memset(s, 0, sizeof *s);
}

/* ---- texts seen before ---- */

/* A text has two places. Many answers come once and never again: they must not drive out those that come often, so a place is
 * given up only when its text was not met for a while. What finds no place is read into a spare entry. */
#define TEXT_WAYS ((size_t)2)
#define TEXT_SPARE ((size_t)2) /* a reference's and an output's */
#define MOST_HEAT 3

static size_t n_places(const text_table *t) { return TEXT_WAYS << t->set_bits; }

static inline text_entry *entry_at(const text_table *t, size_t i) {
    return (text_entry *)(void *)(t->entries + i * t->entry_bytes); /* aligned to 64 */
}

bool text_table_init(text_table *t, bool long_texts) {
    static const text_table small = {.max_bytes = 256, .max_labels = 12, .set_bits = 10},
                            large = {.max_bytes = TEXT_MOST_BYTES, .max_labels = 60, .set_bits = 6};
    *t = long_texts ? large : small;
    t->entry_bytes = sizeof(text_entry) + t->max_labels * sizeof(uint32_t) + t->max_bytes;
    size_t size = (n_places(t) + TEXT_SPARE) * t->entry_bytes + 64; /* 16 bytes may be read from any of a text's */
    t->entries = t->entry_bytes % 64 == 0 ? aligned_alloc(64, size) : NULL;
    if (t->entries != NULL) memset(t->entries, 0, size);
    return t->entries != NULL;
}

void text_table_clear(text_table *t) {
    for (size_t i = 0; i < n_places(t); i++) {
        text_entry *e = entry_at(t, i);
        e->used = false;
        e->heat = 0;
    }
}

void text_table_free(text_table *t) {
    free(t->entries);
    *t = (text_table){0};
}

/* Two words at a time: their product's halves, folded. */
static inline uint64_t mix(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
#else
    uint64_t h = (a ^ (b << 32 | b >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
#endif
}

uint64_t text_hash(cfb_str s) {
    const uint64_t k1 = UINT64_C(0x9E3779B97F4A7C15), k2 = UINT64_C(0xD6E8FEB86659FD93);
    uint64_t h = s.len;
    if (s.len < 8) {
        uint64_t v = 0;
        memcpy(&v, s.ptr, s.len);
        h = mix(v ^ k1, h ^ k2);
    } else if (s.len < 16) {
        h = mix(cfb_load8(s.ptr) ^ k1, cfb_load8(s.ptr + s.len - 8) ^ k2 ^ h);
    } else {
        for (size_t i = 0; i + 16 < s.len; i += 16) h = mix(cfb_load8(s.ptr + i) ^ k1, cfb_load8(s.ptr + i + 8) ^ k2 ^ h);
        h = mix(cfb_load8(s.ptr + s.len - 16) ^ k1, cfb_load8(s.ptr + s.len - 8) ^ k2 ^ h);
    }
    return (h ^ h >> 32) * k2;
}

static inline size_t first_place(const text_table *t, uint64_t hash) { return (size_t)(hash >> (64 - t->set_bits)) * TEXT_WAYS; }

void text_table_fetch(const text_table *t, uint64_t hash) {
    for (size_t i = 0; i < TEXT_WAYS; i++) {
        const text_entry *e = entry_at(t, first_place(t, hash) + i);
        __builtin_prefetch(e);
        __builtin_prefetch(text_of_entry(t, e));
    }
}

static inline bool entry_has(const text_table *t, const text_entry *e, cfb_str text, uint64_t hash) {
    return e->hash == hash && e->used && e->len == text.len && memcmp(text_of_entry(t, e), text.ptr, text.len) == 0;
}

text_entry *text_table_find(const text_table *t, cfb_str text, uint64_t hash, const text_entry *keep, bool *known) {
    text_entry *first = entry_at(t, first_place(t, hash)), *second = entry_at(t, first_place(t, hash) + 1);
    text_entry *e = entry_has(t, first, text, hash) ? first : entry_has(t, second, text, hash) ? second : NULL;
    *known = e != NULL;
    if (*known) {
        e->heat = (uint8_t)(e->heat + (e->heat < MOST_HEAT));
        return e;
    }
    e = first->heat <= second->heat ? first : second;
    if (e->heat > 0 || e == keep) {
        first->heat = (uint8_t)(first->heat - (first->heat > 0));
        second->heat = (uint8_t)(second->heat - (second->heat > 0));
        e = entry_at(t, n_places(t) + (keep != NULL));
    }
    e->hash = hash;
    e->len = (uint16_t)text.len;
    e->used = false;
    memcpy(text_of_entry(t, e), text.ptr, text.len);
    return e;
}
