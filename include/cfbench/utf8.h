/* utf8.h - UTF-8 (RFC 3629) at the lowest level: validation, decoding, counting. */
#ifndef CFBENCH_UTF8_H
#define CFBENCH_UTF8_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Offset of the first byte that is not part of valid UTF-8 (no surrogates, no overlong forms), or SIZE_MAX. Pure. */
size_t cfb_utf8_find_invalid(cfb_str s);
/* Is this valid UTF-8, by the same measure? Faster than to look for the place. Pure. */
bool cfb_utf8_is_valid(cfb_str s);
/* Decodes one code point of valid UTF-8 at s.ptr[*pos] and moves *pos behind it. Precondition: *pos < s.len. */
uint32_t cfb_utf8_next(cfb_str s, size_t *pos);
/* Number of code points of valid UTF-8: Python's len(). */
size_t cfb_utf8_count(cfb_str s);

#ifdef __cplusplus
}
#endif
#endif
