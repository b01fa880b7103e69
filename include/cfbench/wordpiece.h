/* wordpiece.h - the tokeniser of BERT models: basic tokenisation (clean, split, lower, strip accents), then WordPiece. */
#ifndef CFBENCH_WORDPIECE_H
#define CFBENCH_WORDPIECE_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a text that is too long is cut to max_tokens.
 * KEEP_SEP: the last token is [SEP], as Hugging Face's tokenisers do it with truncation=True. CUT: the first max_tokens of the
 * whole sequence, so that a cut text has no [SEP]. */
typedef enum cfb_wordpiece_cut { CFB_WORDPIECE_KEEP_SEP, CFB_WORDPIECE_CUT } cfb_wordpiece_cut;

/* The two tokenisers of Hugging Face's transformers differ in small things, and so do we. PYTHON (BertTokenizer, which reads
 * vocab.txt): lower-casing knows the final sigma; unassigned code points are dropped. RUST (BertTokenizerFast, which reads
 * tokenizer.json): lower-casing goes character by character; unassigned code points stay; of CJK extension E only
 * U+2B920..U+2CEAF counts as CJK. */
typedef enum cfb_wordpiece_rules { CFB_WORDPIECE_PYTHON, CFB_WORDPIECE_RUST } cfb_wordpiece_rules;

/* Which ideographs are words of their own. ALL is BERT's rule; BMP leaves out the extensions from U+20000 on, as some other
 * implementations do. */
typedef enum cfb_wordpiece_cjk { CFB_WORDPIECE_CJK_NONE, CFB_WORDPIECE_CJK_ALL, CFB_WORDPIECE_CJK_BMP } cfb_wordpiece_cjk;

typedef struct cfb_wordpiece_opts {
    bool clean; /* drop control characters, make every white space a space */
    cfb_wordpiece_cjk split_cjk;
    bool lower;         /* lower-case */
    bool strip_accents; /* canonical decomposition (NFD), then nonspacing marks dropped */
    cfb_wordpiece_rules rules;
    size_t max_word_chars; /* a longer word is [UNK] */
} cfb_wordpiece_opts;
#define CFB_WORDPIECE_OPTS_INIT \
    { true, CFB_WORDPIECE_CJK_ALL, true, true, CFB_WORDPIECE_PYTHON, 100 }

#define CFB_WORDPIECE_MAX_FILE ((size_t)64 << 20) /* a vocabulary file, in bytes */

typedef struct cfb_wordpiece cfb_wordpiece_t;

/* vocab.txt: one token per line, its id is the line's number from 0; of a token on two lines the later counts.
 * Special tokens are [PAD], [UNK], [CLS], [SEP] and [MASK]; a text that holds one gets its id. name is for messages. Errors:
 * EDATA
 * ([UNK], [CLS] or [SEP] missing, not one token), EENCODING, ELIMIT, ENOMEM. Owns: *out, freed with cfb_wordpiece_free. */
CFB_MUST_CHECK cfb_code cfb_wordpiece_from_vocab(const char *name, cfb_str vocab, const cfb_wordpiece_opts *opts,
                                                 cfb_wordpiece_t **out, cfb_err *err);
/* tokenizer.json of Hugging Face: model WordPiece, normalizer BertNormalizer (its switches count), pre_tokenizer
 * BertPreTokenizer, added_tokens. Anything else is EUNSUPPORTED and named. */
CFB_MUST_CHECK cfb_code cfb_wordpiece_from_json(const char *name, cfb_str json, cfb_wordpiece_t **out, cfb_err *err);
void cfb_wordpiece_free(cfb_wordpiece_t *w);

/* One more than the highest id. */
size_t cfb_wordpiece_size(const cfb_wordpiece_t *w);
const cfb_wordpiece_opts *cfb_wordpiece_switches(const cfb_wordpiece_t *w);
/* The token of an id; a null string where there is none. Borrowed. */
cfb_str cfb_wordpiece_token(const cfb_wordpiece_t *w, uint32_t id);

/* [CLS] tokens [SEP]. ids has room for max_tokens >= 2; *n of them are written. A null text counts as empty. Work stops when
 * enough tokens are there, except that the whole text is checked. Errors: EENCODING (not UTF-8), EDOMAIN (max_tokens < 2),
 * ENOMEM. Threads: w is only read. */
CFB_MUST_CHECK cfb_code cfb_wordpiece_encode(const cfb_wordpiece_t *w, cfb_str text, cfb_wordpiece_cut cut, size_t max_tokens,
                                             uint32_t *ids, size_t *n, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
