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

#ifdef __cplusplus
}
#endif
#endif
