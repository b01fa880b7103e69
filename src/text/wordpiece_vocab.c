/* wordpiece_vocab.c - vocab.txt and tokenizer.json to a hash table of tokens. */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/utf8.h"
#include "text/wordpiece.h"

#include <stdlib.h>

#define NO_MEMORY(err) cfb_err_set((err), CFB_ENOMEM, "out of memory (vocabulary)")

uint32_t wordpiece_find(const cfb_wordpiece_t *w, const char *token, size_t len) {
    uint32_t hash = (uint32_t)cfb_hash64(token, len, 0);
    for (size_t i = hash & (w->n_slots - 1);; i = (i + 1) & (w->n_slots - 1)) {
        const vocab_slot *s = &w->slots[i];
        if (s->id == WORDPIECE_NONE) return WORDPIECE_NONE;
        if (s->hash == hash && w->tokens[s->id].len == len && memcmp(w->tokens[s->id].ptr, token, len) == 0) return s->id;
    }
}

void cfb_wordpiece_free(cfb_wordpiece_t *w) {
    if (w == NULL) return;
    cfb_arena_free(w->arena);
    free(w);
}

size_t cfb_wordpiece_size(const cfb_wordpiece_t *w) { return w->n_ids; }
const cfb_wordpiece_opts *cfb_wordpiece_switches(const cfb_wordpiece_t *w) { return &w->opts; }
cfb_str cfb_wordpiece_token(const cfb_wordpiece_t *w, uint32_t id) { return id < w->n_ids ? w->tokens[id] : CFB_STR_NULL; }

/* ---- the table ---- */

/* Room for n_ids ids; the table is at most half full. */
static cfb_code start(size_t n_ids, cfb_wordpiece_t **out, cfb_err *err) {
    cfb_wordpiece_t *w = calloc(1, sizeof *w);
    if (w == NULL) return NO_MEMORY(err);
    cfb_code rc = cfb_arena_new((size_t)1 << 30, &w->arena, err);
    if (rc != CFB_OK) {
        free(w);
        return rc;
    }
    w->n_ids = n_ids;
    w->n_slots = 16;
    while (w->n_slots < 2 * (n_ids + 1)) w->n_slots *= 2;
    w->tokens = cfb_arena_calloc(w->arena, n_ids + 1, sizeof *w->tokens);
    w->slots = cfb_arena_calloc(w->arena, w->n_slots, sizeof *w->slots);
    if (w->tokens == NULL || w->slots == NULL) {
        cfb_wordpiece_free(w);
        return NO_MEMORY(err);
    }
    for (size_t i = 0; i < w->n_slots; i++) w->slots[i].id = WORDPIECE_NONE;
    *out = w;
    return CFB_OK;
}

/* The later of two equal tokens wins: its id replaces the other in the table. token must live as long as w. */
static cfb_code put(cfb_wordpiece_t *w, cfb_str token, uint32_t id, cfb_err *err) {
    if (token.len > WORDPIECE_MAX_TOKEN)
        return cfb_err_set(err, CFB_ELIMIT, "token %u has %zu bytes; at most %d", id, token.len, WORDPIECE_MAX_TOKEN);
    if (token.len > w->max_token_bytes) w->max_token_bytes = token.len;
    uint32_t hash = (uint32_t)cfb_hash64(token.ptr, token.len, 0);
    size_t i = hash & (w->n_slots - 1);
    while (w->slots[i].id != WORDPIECE_NONE && !(w->slots[i].hash == hash && cfb_str_eq(w->tokens[w->slots[i].id], token)))
        i = (i + 1) & (w->n_slots - 1);
    w->tokens[id] = token;
    w->slots[i] = (vocab_slot){hash, id};
    return CFB_OK;
}

static cfb_code need(const cfb_wordpiece_t *w, const char *token, uint32_t *id, cfb_err *err) {
    *id = wordpiece_find(w, token, strlen(token));
    return *id != WORDPIECE_NONE ? CFB_OK : cfb_err_set(err, CFB_EDATA, "the vocabulary has no token %s", token);
}

/* Longest first, so that the first match at a place is the longest. */
static cfb_code add_special(cfb_wordpiece_t *w, uint32_t id, cfb_err *err) {
    if (w->n_special == WORDPIECE_MAX_SPECIAL)
        return cfb_err_set(err, CFB_ELIMIT, "more than %d special tokens", WORDPIECE_MAX_SPECIAL);
    if (w->tokens[id].len == 0) return cfb_err_set(err, CFB_EDATA, "special token %u is empty", id);
    size_t i = w->n_special++;
    for (; i > 0 && w->tokens[w->special[i - 1]].len < w->tokens[id].len; i--) w->special[i] = w->special[i - 1];
    w->special[i] = id;
    w->starts_special[(unsigned char)w->tokens[id].ptr[0]] = true;
    return CFB_OK;
}

/* ---- vocab.txt ---- */

static cfb_code read_lines(cfb_wordpiece_t *w, cfb_str text, cfb_err *err) {
    cfb_code rc = CFB_OK;
    uint32_t id = 0;
    for (size_t at = 0; rc == CFB_OK && at < text.len; id++) {
        const char *line = text.ptr + at, *end = memchr(line, '\n', text.len - at);
        size_t len = end ? (size_t)(end - line) : text.len - at;
        at += len + 1;
        if (len > 0 && line[len - 1] == '\r') len--;
        rc = put(w, (cfb_str){line, len}, id, err);
    }
    return rc;
}

cfb_code cfb_wordpiece_from_vocab(const char *name, cfb_str vocab, const cfb_wordpiece_opts *opts, cfb_wordpiece_t **out,
                                  cfb_err *err) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    cfb_wordpiece_t *w = NULL;
    cfb_str text;
    size_t n = 0;
    *out = NULL;
    if (vocab.len > CFB_WORDPIECE_MAX_FILE) return cfb_err_set(err, CFB_ELIMIT, "%s: a vocabulary of %zu bytes", name, vocab.len);
    size_t bad = cfb_utf8_find_invalid(vocab);
    if (bad != SIZE_MAX) return cfb_err_set(err, CFB_EENCODING, "%s: byte %zu is not valid UTF-8", name, bad);
    for (size_t i = 0; i < vocab.len; i++) n += vocab.ptr[i] == '\n';
    n += vocab.len > 0 && vocab.ptr[vocab.len - 1] != '\n';
    if (n > WORDPIECE_MAX_IDS) return cfb_err_set(err, CFB_ELIMIT, "%s: %zu tokens; at most %zu", name, n, WORDPIECE_MAX_IDS);
    cfb_code rc = start(n, &w, err);
    if (rc != CFB_OK) return rc;
    w->opts = *opts;
    memcpy(w->prefix, "##", w->prefix_len = 2);
    rc = cfb_arena_dup(w->arena, vocab, &text, err);
    if (rc == CFB_OK) rc = read_lines(w, text, err);
    if (rc == CFB_OK) rc = need(w, "[UNK]", &w->unk, err);
    if (rc == CFB_OK) rc = need(w, "[CLS]", &w->cls, err);
    if (rc == CFB_OK) rc = need(w, "[SEP]", &w->sep, err);
    for (size_t i = 0; rc == CFB_OK && i < sizeof special / sizeof *special; i++) {
        uint32_t id = wordpiece_find(w, special[i], strlen(special[i]));
        if (id != WORDPIECE_NONE) rc = add_special(w, id, err);
    }
    if (rc == CFB_OK) {
        *out = w;
        return CFB_OK;
    }
    cfb_wordpiece_free(w);
    return cfb_err_add_context(err, "%s", name);
}

/* ---- tokenizer.json ---- */

/* A part of the file must have one of the types that we know; a part that is null or missing has type "". */
static cfb_code check_type(const cfb_json *root, const char *part, const char *known, const char *also, cfb_err *err) {
    const cfb_json *node = cfb_json_get(root, part);
    cfb_str type = cfb_json_str(cfb_json_get(node, "type"));
    if (cfb_json_kind_of(node) == CFB_JSON_OBJECT && (cfb_str_eqz(type, known) || (also && cfb_str_eqz(type, also))))
        return CFB_OK;
    return cfb_err_set(err, CFB_EUNSUPPORTED, "%s is of type '%.*s'; only %s is supported", part, CFB_STR_ARG(type), known);
}

static void read_bool(const cfb_json *object, const char *key, bool *value) {
    (void)cfb_json_bool(cfb_json_get(object, key), value);
}

static cfb_code read_switches(const cfb_json *root, cfb_wordpiece_opts *o, cfb_err *err) {
    const cfb_json *n = cfb_json_get(root, "normalizer"), *model = cfb_json_get(root, "model");
    *o = (cfb_wordpiece_opts)CFB_WORDPIECE_OPTS_INIT;
    o->rules = CFB_WORDPIECE_RUST;
    read_bool(n, "clean_text", &o->clean);
    bool cjk = true;
    read_bool(n, "handle_chinese_chars", &cjk);
    o->split_cjk = cjk ? CFB_WORDPIECE_CJK_ALL : CFB_WORDPIECE_CJK_NONE;
    read_bool(n, "lowercase", &o->lower);
    o->strip_accents = o->lower; /* where it is null */
    read_bool(n, "strip_accents", &o->strip_accents);
    int64_t longest = 100;
    (void)cfb_json_int(cfb_json_get(model, "max_input_chars_per_word"), &longest);
    if (longest < 1 || longest > 100000)
        return cfb_err_set(err, CFB_EDATA, "max_input_chars_per_word is %lld", (long long)longest);
    o->max_word_chars = (size_t)longest;
    return CFB_OK;
}

static cfb_code read_id(const cfb_json *node, cfb_str token, uint32_t *id, cfb_err *err) {
    int64_t v = -1;
    if (!cfb_json_int(node, &v) || v < 0 || v >= (int64_t)WORDPIECE_MAX_IDS)
        return cfb_err_set(err, CFB_EDATA, "token '%.*s' has no id from 0 to %zu", CFB_STR_ARG(token), WORDPIECE_MAX_IDS - 1);
    *id = (uint32_t)v;
    return CFB_OK;
}

/* Counts ids, or puts tokens where w is there. */
static cfb_code each_token(const cfb_json *root, cfb_wordpiece_t *w, size_t *n_ids, cfb_err *err) {
    const cfb_json *vocab = cfb_json_get(cfb_json_get(root, "model"), "vocab"), *added = cfb_json_get(root, "added_tokens");
    cfb_code rc = CFB_OK;
    for (int pass = 0; pass < 2; pass++)
        for (const cfb_json *t = cfb_json_first(pass ? added : vocab); t != NULL && rc == CFB_OK; t = cfb_json_next(t)) {
            uint32_t id = 0;
            cfb_str token = pass ? cfb_json_str(cfb_json_get(t, "content")) : cfb_json_key(t), copy = CFB_STR_NULL;
            rc = read_id(pass ? cfb_json_get(t, "id") : t, token, &id, err);
            if (rc == CFB_OK && token.ptr == NULL) rc = cfb_err_set(err, CFB_EDATA, "added token %u has no content", id);
            if (rc == CFB_OK && id >= *n_ids) *n_ids = id + (size_t)1;
            if (rc != CFB_OK || w == NULL) continue;
            if (w->tokens[id].ptr != NULL && !cfb_str_eq(w->tokens[id], token))
                return cfb_err_set(err, CFB_EDATA, "two tokens have the id %u", id);
            rc = cfb_arena_dup(w->arena, token, &copy, err);
            if (rc == CFB_OK) rc = put(w, copy, id, err);
        }
    return rc;
}

/* Added tokens are looked for in the raw text. Flags that would need more than that are refused. */
static cfb_code read_added(cfb_wordpiece_t *w, const cfb_json *root, cfb_err *err) {
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
    cfb_code rc = CFB_OK;
    for (const cfb_json *t = cfb_json_first(cfb_json_get(root, "added_tokens")); t != NULL && rc == CFB_OK;
         t = cfb_json_next(t)) {
        cfb_str token = cfb_json_str(cfb_json_get(t, "content"));
        for (size_t i = 0; i < 4; i++) {
            bool on = false;
            read_bool(t, flags[i], &on);
            if (on) return cfb_err_set(err, CFB_EUNSUPPORTED, "added token '%.*s' has '%s' set", CFB_STR_ARG(token), flags[i]);
        }
        rc = add_special(w, wordpiece_find(w, token.ptr, token.len), err);
    }
    return rc;
}

static cfb_code read_model(cfb_wordpiece_t *w, const cfb_json *root, cfb_err *err) {
    const cfb_json *model = cfb_json_get(root, "model"), *post = cfb_json_get(root, "post_processor");
    cfb_str prefix = cfb_json_str(cfb_json_get(model, "continuing_subword_prefix")),
            unk = cfb_json_str(cfb_json_get(model, "unk_token"));
    if (prefix.ptr == NULL) prefix = CFB_STR_LIT("##");
    if (unk.ptr == NULL) unk = CFB_STR_LIT("[UNK]");
    if (prefix.len > WORDPIECE_MAX_PREFIX) return cfb_err_set(err, CFB_ELIMIT, "continuing_subword_prefix is too long");
    memcpy(w->prefix, prefix.ptr, w->prefix_len = prefix.len);
    if (cfb_json_kind_of(post) != CFB_JSON_NULL &&
        check_type(root, "post_processor", "TemplateProcessing", "BertProcessing", err) != CFB_OK)
        return CFB_EUNSUPPORTED;
    cfb_code rc = need(w, unk.ptr, &w->unk, err);
    if (rc == CFB_OK) rc = need(w, "[CLS]", &w->cls, err);
    if (rc == CFB_OK) rc = need(w, "[SEP]", &w->sep, err);
    return rc == CFB_OK ? read_added(w, root, err) : rc;
}

cfb_code cfb_wordpiece_from_json(const char *name, cfb_str json, cfb_wordpiece_t **out, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_wordpiece_t *w = NULL;
    cfb_wordpiece_opts opts = CFB_WORDPIECE_OPTS_INIT;
    size_t n_ids = 0;
    *out = NULL;
    if (json.len > CFB_WORDPIECE_MAX_FILE) return cfb_err_set(err, CFB_ELIMIT, "%s: a tokeniser of %zu bytes", name, json.len);
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    if (rc == CFB_OK) rc = check_type(root, "model", "WordPiece", NULL, err);
    if (rc == CFB_OK) rc = check_type(root, "normalizer", "BertNormalizer", NULL, err);
    if (rc == CFB_OK) rc = check_type(root, "pre_tokenizer", "BertPreTokenizer", NULL, err);
    if (rc == CFB_OK) rc = read_switches(root, &opts, err);
    if (rc == CFB_OK) rc = each_token(root, NULL, &n_ids, err);
    if (rc == CFB_OK) rc = start(n_ids, &w, err);
    if (rc == CFB_OK) {
        w->opts = opts;
        rc = each_token(root, w, &n_ids, err);
    }
    if (rc == CFB_OK) rc = read_model(w, root, err);
    cfb_json_free(root);
    if (rc == CFB_OK) {
        *out = w;
        return CFB_OK;
    }
    cfb_wordpiece_free(w);
    return cfb_err_add_context(err, "%s", name);
}
