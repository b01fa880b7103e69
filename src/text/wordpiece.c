/* wordpiece.c - text to ids. A text is cut at special tokens; what is between is cut into chunks (at white space and around
 * ideographs), a chunk is lower-cased and stripped of accents, cut into words at punctuation, and a word into pieces. */
#include "text/wordpiece.h"
#include "cfbench/text.h"
#include "text/decode.h"

#include <stdlib.h>
#include <utf8proc.h>

/* Canonical decompositions have at most four code points; lower-casing gives at most two. */
#define MAX_DECOMPOSED 8
#define CHUNK_START 256

typedef struct state {
    const cfb_wordpiece_t *w;
    uint32_t *ids;
    size_t n, room; /* ids so far; no more than room are wanted */
    uint32_t *chunk;
    size_t n_chunk, cap_chunk;
    bool has_sigma; /* the chunk has a capital sigma */
    uint32_t *word; /* (max_word_chars) */
    size_t n_word;  /* may count beyond max_word_chars */
    size_t ordered; /* marks behind this place of the word may still change places */
    uint32_t fixed[CHUNK_START], word_fixed[128];
    char pieces[128 * 4 + WORDPIECE_MAX_PREFIX], *bytes;
} state;

static bool full(const state *s) { return s->n >= s->room; }
static void put_id(state *s, uint32_t id) {
    if (!full(s)) s->ids[s->n++] = id;
}

/* ---- classes of characters ---- */

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

/* U+0000, U+FFFD and general category C, where white space of ASCII stays. */
static bool is_dropped(cfb_wordpiece_rules rules, uint32_t c) {
    if (c < 0x80) return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
    if (text_is_ideograph(c)) return false;
    if (c == 0xFFFD) return true;
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO ||
           (k == UTF8PROC_CATEGORY_CN && rules == CFB_WORDPIECE_PYTHON);
}

/* Where words end. Of Python's white space, 0x1C..0x1F are not White_Space in Unicode. */
static bool is_space(cfb_wordpiece_rules rules, uint32_t c) {
    return cfb_text_is_space(c) && (rules == CFB_WORDPIECE_PYTHON || c < 0x1C || c > 0x1F);
}

/* The blocks that BERT took for Chinese; compatibility ideographs are among them, kana and hangul are not. */
static bool is_cjk(const cfb_wordpiece_opts *o, uint32_t c) {
    if (c < 0x3400 || o->split_cjk == CFB_WORDPIECE_CJK_NONE || (c > 0xFFFF && o->split_cjk == CFB_WORDPIECE_CJK_BMP))
        return false;
    return (c >= 0x4E00 && c <= 0x9FFF) || c <= 0x4DBF || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B81F) || (c >= (o->rules == CFB_WORDPIECE_RUST ? 0x2B920u : 0x2B820u) && c <= 0x2CEAF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
}

/* Everything printable in ASCII that is neither letter nor digit, and general category P. */
static bool is_punctuation(uint32_t c) {
    if (c < 0x80) return c > 0x20 && c < 0x7F && !((c | 0x20) - 'a' < 26 || c - '0' < 10);
    if (text_is_ideograph(c)) return false;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return true;
    default: return false;
    }
}

/* ---- a word to pieces ---- */

/* Longest match first; a word with a part that no piece matches is [UNK] as a whole. */
static void put_pieces(state *s) {
    const cfb_wordpiece_t *w = s->w;
    char *text = s->bytes + w->prefix_len;
    size_t len = 0, first = s->n, room = s->room;
    for (size_t i = 0; i < s->n_word; i++)
        len += (size_t)utf8proc_encode_char((utf8proc_int32_t)s->word[i], (utf8proc_uint8_t *)text + len);
    for (size_t at = 0; at < len;) {
        char *piece = text + at;
        if (at > 0) memcpy(piece -= w->prefix_len, w->prefix, w->prefix_len); /* over bytes that are done with */
        size_t head = at > 0 ? w->prefix_len : 0, n = len - at + head;
        uint32_t id = WORDPIECE_NONE;
        if (n > w->max_token_bytes) {
            n = w->max_token_bytes;
            while (n > head && ((unsigned char)piece[n] & 0xC0) == 0x80) n--;
        }
        for (; n > head; n--) {
            if (piece + n < text + len && ((unsigned char)piece[n] & 0xC0) == 0x80) continue;
            id = wordpiece_find(w, piece, n);
            if (id != WORDPIECE_NONE) break;
        }
        if (id == WORDPIECE_NONE) {
            s->n = first;
            put_id(s, w->unk);
            return;
        }
        /* A word is matched to its end even when there is no more room: its last part decides whether it is [UNK]. */
        if (s->n < room) s->ids[s->n++] = id;
        at += n - head;
    }
}

static void end_word(state *s) {
    if (s->n_word > s->w->opts.max_word_chars)
        put_id(s, s->w->unk);
    else if (s->n_word > 0 && !full(s))
        put_pieces(s);
    s->n_word = s->ordered = 0;
}

/* Canonical order: a mark moves before marks of a higher combining class, never over a character of class 0. */
static void add_to_word(state *s, uint32_t c) {
    if (s->n_word >= s->w->opts.max_word_chars) {
        s->n_word++;
        return;
    }
    size_t i = s->n_word++;
    int class = c < 0x300 ? 0 : utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
    if (class == 0 || !s->w->opts.strip_accents)
        s->ordered = s->n_word;
    else
        for (; i > s->ordered && utf8proc_get_property((utf8proc_int32_t)s->word[i - 1])->combining_class > class; i--)
            s->word[i] = s->word[i - 1];
    s->word[i] = c;
}

static void add_char(state *s, uint32_t c) {
    if (is_space(s->w->opts.rules, c)) { /* a decomposition can be one */
        end_word(s);
    } else if (is_punctuation(c)) {
        end_word(s);
        add_to_word(s, c);
        end_word(s);
    } else {
        add_to_word(s, c);
    }
}

/* ---- a chunk to words ---- */

static size_t lower_char(uint32_t c, uint32_t out[2]) {
    out[0] = c < 0x80               ? c + ((uint32_t)(c - 'A' < 26) << 5)
             : text_is_ideograph(c) ? c
                                    : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    if (c != 0x130) return 1; /* the only one with a longer lower case */
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
}

static void add_lower(state *s, uint32_t c) {
    uint32_t low[2] = {c, 0};
    size_t n = s->w->opts.lower && s->w->opts.rules == CFB_WORDPIECE_RUST ? lower_char(c, low) : 1;
    for (size_t i = 0; i < n; i++) add_char(s, low[i]);
}

static void add_stripped(state *s, uint32_t c) {
    utf8proc_int32_t parts[MAX_DECOMPOSED];
    int last_class;
    if (!s->w->opts.strip_accents || c < 0xC0 || text_is_ideograph(c)) {
        add_lower(s, c);
        return;
    }
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, MAX_DECOMPOSED, UTF8PROC_DECOMPOSE, &last_class);
    if (n < 1 || n > MAX_DECOMPOSED) { /* cannot happen for a valid code point */
        add_lower(s, c);
        return;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        uint32_t part = (uint32_t)parts[i];
        if (category(part) != UTF8PROC_CATEGORY_MN) {
            add_lower(s, part);
        } else if (utf8proc_get_property(parts[i])->combining_class == 0) {
            s->ordered = s->n_word; /* dropped, but nothing moves over it */
        }
    }
}

/* lower() of the chunk as a whole, since a final sigma depends on what stands around it. */
static cfb_code lower_chunk(state *s, cfb_err *err) {
    size_t len = 0, n_chars;
    char *text = malloc(s->n_chunk * 4);
    uint32_t *low = text ? malloc(s->n_chunk * 4 * sizeof *low) : NULL;
    if (low == NULL) {
        free(text);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory (tokens of a text)");
    }
    for (size_t i = 0; i < s->n_chunk; i++)
        len += (size_t)utf8proc_encode_char((utf8proc_int32_t)s->chunk[i], (utf8proc_uint8_t *)text + len);
    size_t n = cfb_text_lower_decode((cfb_str){text, len}, low, &n_chars);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) add_stripped(s, low[i]);
    free(text);
    free(low);
    return n == SIZE_MAX ? cfb_err_set(err, CFB_EBUG, "text is not valid UTF-8") : CFB_OK;
}

static cfb_code end_chunk(state *s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    bool python_lower = s->w->opts.lower && s->w->opts.rules == CFB_WORDPIECE_PYTHON;
    if (!full(s) && python_lower && s->has_sigma) {
        rc = lower_chunk(s, err);
    } else if (!full(s)) {
        for (size_t i = 0; i < s->n_chunk; i++) {
            uint32_t low[2] = {s->chunk[i], 0};
            size_t n = python_lower ? lower_char(s->chunk[i], low) : 1;
            for (size_t k = 0; k < n; k++) add_stripped(s, low[k]);
        }
    }
    end_word(s);
    s->n_chunk = 0;
    s->has_sigma = false;
    return rc;
}

static cfb_code add_to_chunk(state *s, uint32_t c, cfb_err *err) {
    if (s->n_chunk == s->cap_chunk) {
        size_t cap = s->cap_chunk * 2;
        uint32_t *more = malloc(cap * sizeof *more);
        if (more == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (tokens of a text)");
        memcpy(more, s->chunk, s->n_chunk * sizeof *more);
        if (s->chunk != s->fixed) free(s->chunk);
        s->chunk = more;
        s->cap_chunk = cap;
    }
    s->chunk[s->n_chunk++] = c;
    s->has_sigma = s->has_sigma || c == 0x3A3;
    return CFB_OK;
}

/* ---- a text to chunks ---- */

static cfb_code put_text(state *s, cfb_str text, cfb_err *err) {
    const cfb_wordpiece_opts *o = &s->w->opts;
    cfb_code rc = CFB_OK;
    for (size_t at = 0; at < text.len && rc == CFB_OK && !full(s);) {
        uint32_t c = cfb_utf8_next(text, &at);
        if (o->clean && is_dropped(o->rules, c)) continue;
        if (is_space(o->rules, c)) {
            rc = end_chunk(s, err);
        } else if (is_cjk(o, c)) {
            rc = end_chunk(s, err);
            if (rc == CFB_OK) rc = add_to_chunk(s, c, err);
            if (rc == CFB_OK) rc = end_chunk(s, err);
        } else {
            rc = add_to_chunk(s, c, err);
        }
    }
    return rc == CFB_OK ? end_chunk(s, err) : rc;
}

/* The longest special token at p, or WORDPIECE_NONE. */
static uint32_t special_at(const cfb_wordpiece_t *w, const char *p, size_t len) {
    for (size_t i = 0; i < w->n_special; i++) {
        cfb_str t = w->tokens[w->special[i]];
        if (t.len <= len && memcmp(t.ptr, p, t.len) == 0) return w->special[i];
    }
    return WORDPIECE_NONE;
}

static cfb_code put_all(state *s, cfb_str text, cfb_err *err) {
    cfb_code rc = CFB_OK;
    size_t from = 0;
    put_id(s, s->w->cls);
    for (size_t at = 0; at < text.len && rc == CFB_OK && !full(s);) {
        uint32_t id = WORDPIECE_NONE;
        if (s->w->starts_special[(unsigned char)text.ptr[at]]) id = special_at(s->w, text.ptr + at, text.len - at);
        if (id == WORDPIECE_NONE) {
            at++;
            continue;
        }
        rc = put_text(s, (cfb_str){text.ptr + from, at - from}, err);
        put_id(s, id);
        from = at += s->w->tokens[id].len;
    }
    return rc == CFB_OK && from < text.len ? put_text(s, (cfb_str){text.ptr + from, text.len - from}, err) : rc;
}

/* Words have at most max_word_chars characters; the usual 100 need no allocation. */
static cfb_code make_room(state *s, cfb_err *err) {
    size_t chars = s->w->opts.max_word_chars;
    s->chunk = s->fixed;
    s->cap_chunk = CHUNK_START;
    s->word = s->word_fixed;
    s->bytes = s->pieces;
    if (chars <= sizeof s->word_fixed / sizeof *s->word_fixed) return CFB_OK;
    s->word = malloc(chars * sizeof *s->word);
    s->bytes = malloc(chars * 4 + WORDPIECE_MAX_PREFIX);
    return s->word && s->bytes ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (tokens of a text)");
}

cfb_code cfb_wordpiece_encode(const cfb_wordpiece_t *w, cfb_str text, cfb_wordpiece_cut cut, size_t max_tokens, uint32_t *ids,
                              size_t *n, cfb_err *err) {
    state s;
    s.w = w;
    s.ids = ids;
    s.n = s.n_chunk = s.n_word = s.ordered = 0;
    s.has_sigma = false;
    s.room = cut == CFB_WORDPIECE_KEEP_SEP ? max_tokens - 1 : max_tokens;
    if (max_tokens < 2) return cfb_err_set(err, CFB_EDOMAIN, "a text needs room for two tokens at least");
    if (cfb_text_count_valid(text) == SIZE_MAX) return cfb_err_set(err, CFB_EENCODING, "text is not valid UTF-8");
    cfb_code rc = make_room(&s, err);
    if (rc == CFB_OK) rc = put_all(&s, text, err);
    s.room = max_tokens;
    put_id(&s, w->sep);
    *n = s.n;
    if (s.chunk != s.fixed) free(s.chunk);
    if (s.word != s.word_fixed) free(s.word);
    if (s.bytes != s.pieces) free(s.bytes);
    return rc;
}
