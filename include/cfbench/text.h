/* text.h - Unicode text exactly as Python's str does it: white space, strip, lower. docs/metrics.md says what for. */
#ifndef CFBENCH_TEXT_H
#define CFBENCH_TEXT_H

#include "cfbench/utf8.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All functions take valid UTF-8 unless they say otherwise, and are pure: safe from any thread. */

/* Python's str.isspace() of one code point: the white space that strip() and split() use. */
bool cfb_text_is_space(uint32_t cp);
/* Python's str.strip(): a slice of s. A null string stays null. */
cfb_str cfb_text_strip(cfb_str s);
/* Python's str.lower(), full mappings and final sigma included: appended to out. Errors: ELIMIT, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_text_lower(cfb_str s, cfb_buf *out, cfb_err *err);

/* Number of code points, or SIZE_MAX if s is not valid UTF-8: check and len() in one pass. */
size_t cfb_text_count_valid(cfb_str s);
/* str.lower() as code points, with check and len() in the same pass. out has room for s.len code points (lower() never
 * gives more than that). Returns how many were written, or SIZE_MAX if s is not valid UTF-8. *n_chars = len(s). */
size_t cfb_text_lower_decode(cfb_str s, uint32_t *out, size_t *n_chars);
/* The code points as they are. out has room for s.len. Returns how many, or SIZE_MAX if s is not valid UTF-8. */
size_t cfb_text_decode(cfb_str s, uint32_t *out);

/* What a character is to a tokeniser of mixed Chinese and Latin text.
 * IDEOGRAPH: a token by itself. CJK ideographs (U+3005..U+3007, U+3400..U+4DBF, U+4E00..U+9FFF, U+F900..U+FAFF,
 *            U+20000..U+323AF) and kana (U+3041..U+30FF without U+30FB, U+31F0..U+31FF, U+FF66..U+FF9F).
 * WORD     : part of a word. Every other letter, mark or number (general categories L, M, N).
 * BREAK    : all else: white space, punctuation, symbols, control characters. */
typedef enum cfb_text_class { CFB_TEXT_BREAK, CFB_TEXT_WORD, CFB_TEXT_IDEOGRAPH } cfb_text_class;
cfb_text_class cfb_text_class_of(uint32_t cp);

#ifdef __cplusplus
}
#endif
#endif
