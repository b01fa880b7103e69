/* put.h - texts and numbers into room that is known to suffice: formatting costs more than all the rest of a reply. */
#ifndef CFB_MOCK_PUT_H
#define CFB_MOCK_PUT_H

#include "cfbench/buf.h"

#include <stdint.h>

#define CFB_MOCK__PUT(p, literal) cfb_mock__put((p), (literal), sizeof(literal) - 1)

static inline char *cfb_mock__put(char *p, const char *s, size_t n) {
    memcpy(p, s, n);
    return p + n;
}

/* At most 20 digits. */
static inline char *cfb_mock__put_num(char *p, uint64_t v) {
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0) *p++ = digits[--n];
    return p;
}

#endif
