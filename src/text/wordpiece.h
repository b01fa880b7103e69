/* wordpiece.h - a vocabulary as a hash table, and what a tokeniser knows. Private to text. */
#ifndef CFB_TEXT_WORDPIECE_H
#define CFB_TEXT_WORDPIECE_H

#include "cfbench/wordpiece.h"

#include <stdint.h>

#define WORDPIECE_NONE UINT32_MAX
#define WORDPIECE_MAX_IDS ((size_t)1 << 22)
#define WORDPIECE_MAX_TOKEN 1024 /* bytes; a longer token is refused */
#define WORDPIECE_MAX_SPECIAL 256
#define WORDPIECE_MAX_PREFIX 15

typedef struct vocab_slot {
    uint32_t hash, id; /* id WORDPIECE_NONE: empty */
} vocab_slot;

struct cfb_wordpiece {
    cfb_wordpiece_opts opts;
    cfb_arena_t *arena;
    cfb_str *tokens; /* (n_ids): a null string where an id has no token */
    size_t n_ids;
    vocab_slot *slots; /* (n_slots), a power of two */
    size_t n_slots;
    size_t max_token_bytes;
    char prefix[WORDPIECE_MAX_PREFIX + 1]; /* of a piece that continues a word: "##" */
    size_t prefix_len;
    uint32_t unk, cls, sep;
    uint32_t special[WORDPIECE_MAX_SPECIAL]; /* ids of tokens that are found in the raw text, longest first */
    size_t n_special;
    bool starts_special[256]; /* first bytes of special tokens */
};

/* The id of a token, or WORDPIECE_NONE. */
uint32_t wordpiece_find(const cfb_wordpiece_t *w, const char *token, size_t len);

#endif
