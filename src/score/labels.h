/* labels.h - label strings to small integers: one table per piece of a block, and the totals over the whole file.
 * Private to score. */
#ifndef CFB_SCORE_LABELS_H
#define CFB_SCORE_LABELS_H

#include "cfbench/base.h"

#include <string.h>

#define LABEL_NONE UINT32_MAX
#define LABEL_EMPTY 0u /* every table holds the empty label under this id */
#define LABEL_SHARDS 16

/* A label's bytes reduced to what a comparison looks at first. For up to 16 bytes, head, tail and len say everything. */
typedef struct label_key {
    uint64_t head, tail, hash;
    const char *ptr;
    uint32_t len;
} label_key;

static inline uint64_t cfb_load8(const char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t cfb_load4(const char *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* The key without its hash. First and last bytes overlap for 5..7 and 9..15, which does no harm: with the length they determine
 * the string. */
static inline label_key label_key_ends(cfb_str s) {
    label_key k = {0, 0, 0, s.ptr, (uint32_t)s.len};
    if (s.len >= 8) {
        k.head = cfb_load8(s.ptr);
        k.tail = cfb_load8(s.ptr + s.len - 8);
    } else if (s.len >= 4) {
        k.head = cfb_load4(s.ptr);
        k.tail = cfb_load4(s.ptr + s.len - 4);
    } else if (s.len > 0) {
        k.head = (unsigned char)s.ptr[0];
        k.tail = (uint64_t)(unsigned char)s.ptr[s.len / 2] << 8 | (unsigned char)s.ptr[s.len - 1];
    }
    return k;
}

/* The byte order of the machine changes the hash, and the hash changes nothing that is reported. */
static inline void label_key_hash(label_key *k) {
    uint64_t h = (k->head ^ k->len) * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 8; i + 8 < k->len; i += 8) h = ((h ^ (h >> 32)) + cfb_load8(k->ptr + i)) * UINT64_C(0xD6E8FEB86659FD93);
    h = (h ^ (h >> 32) ^ k->tail) * UINT64_C(0xD6E8FEB86659FD93);
    k->hash = (h ^ (h >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline label_key label_key_of(cfb_str s) {
    label_key k = label_key_ends(s);
    label_key_hash(&k);
    return k;
}

static inline bool label_key_eq(const label_key *a, const label_key *b) {
    return a->head == b->head && a->tail == b->tail && a->len == b->len && (a->len <= 16 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

typedef struct label {
    label_key key;
    uint32_t next;           /* in its shard's chain, or LABEL_NONE */
    uint32_t in_ref, in_out; /* stamp of the last row that had it there; stamps start at 1 */
} label;

/* Apart from the label, so that the counts of many labels share cache lines. */
typedef struct label_count {
    uint32_t actual, predicted, correct; /* rows since the last merge */
    uint32_t bit;                        /* its column in the bit matrices, or LABEL_NONE */
} label_count;

typedef struct label_slot {
    uint32_t tag, id_plus_1; /* upper half of the hash; 0 = free slot */
} label_slot;

/* Lives as long as its worker: ids are good until the table is reset. */
typedef struct label_table {
    label *labels;
    label_count *counts;
    cfb_arena_t *keys; /* the labels' bytes */
    size_t n, cap;
    label_slot *slots;
    size_t n_slots, slots_cap; /* n_slots is a power of two and at least 2n */
    uint32_t chain[LABEL_SHARDS];
} label_table;

/* A table with the empty label and `fixed` ones; those get the bits 0, 1, ... in their order. */
CFB_MUST_CHECK bool label_table_init(label_table *t, const cfb_str *fixed, size_t n_fixed);
/* Makes t a copy of `start`, which must outlive it, in the memory that t has. */
CFB_MUST_CHECK bool label_table_reset(label_table *t, const label_table *start);
void label_table_free(label_table *t);
/* Id of a label, new or known; LABEL_NONE without memory. text.len < UINT32_MAX. May move t->labels. */
uint32_t label_table_intern(label_table *t, cfb_str text);
uint32_t label_table_intern_key(label_table *t, const label_key *k);
/* Id of a known label, or LABEL_NONE. */
uint32_t label_table_find(const label_table *t, cfb_str text);

typedef struct label_total {
    label_key key; /* its bytes are in the shard's arena */
    uint64_t actual, predicted, correct;
} label_total;

/* The totals are cut into shards by hash, so that shards can be merged in parallel, each one in the order of the pieces. */
typedef struct label_shard {
    label_total *totals;
    size_t n, cap;
    uint32_t *slots; /* id + 1 */
    size_t n_slots;
    cfb_arena_t *arena;
} label_shard;

/* Takes over the counts of t's labels that belong to shard number `shard`. ELIMIT beyond max labels in this shard, ENOMEM. */
CFB_MUST_CHECK cfb_code label_shard_merge(label_shard *s, unsigned shard, label_table *t, size_t max_labels);
void label_shard_free(label_shard *s);

/* ---- texts seen before ---- */

/* References and answers repeat: over models, settings and rows. What the labels of a text are is kept for the next time, of
 * short texts in one table, of longer ones in another, smaller one. */
#define TEXT_MOST_BYTES 1024

typedef struct text_entry {
    uint64_t hash;
    uint16_t chars, len; /* of the text, in code points, in bytes */
    uint8_t n;           /* labels; more than the table takes: that many and one */
    bool plain;          /* the text, split at wide commas alone and not stripped, is just these labels: L of a reference */
    bool used;
    uint8_t heat;   /* up with each time it is met again, down with each other text that wants its place */
    uint32_t ids[]; /* (max_labels) of the table: set(text), each label once, in the order of the text; then the text */
} text_entry;

typedef struct text_table {
    unsigned char *entries;
    size_t entry_bytes, max_bytes; /* max_bytes: of a text */
    uint32_t max_labels;
    unsigned set_bits;
} text_table;

/* Its copy of the text; 16 bytes may be read from any of its bytes. */
static inline char *text_of_entry(const text_table *t, const text_entry *e) {
    return (char *)(uintptr_t)(e->ids + t->max_labels);
}

/* Of at least one byte. */
uint64_t text_hash(cfb_str text);
/* Asks the processor for the entry, so that it is near when it is looked for. */
void text_table_fetch(const text_table *t, uint64_t hash);
/* The entry for a text of that hash, which holds a copy of it: *known, or to be filled in (it is the caller's from here on).
 * Never `keep`, an entry that the caller still reads, or NULL; good until the next search but one. text.len in [1, max_bytes]. */
text_entry *text_table_find(const text_table *t, cfb_str text, uint64_t hash, const text_entry *keep, bool *known);
CFB_MUST_CHECK bool text_table_init(text_table *t, bool long_texts);
void text_table_clear(text_table *t);
void text_table_free(text_table *t);

#endif
