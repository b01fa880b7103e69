/* simd.h - the byte loops of reading, once for each instruction set, all with the same results. Private to dataset. */
#ifndef CFB_DATASET_SIMD_H
#define CFB_DATASET_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIMD_BLOCK 64

/* Where a scan for the marks of CSV stands between two blocks. Zero-initialised but for prev_ok: outside of quotes. */
typedef struct csv_marks {
    uint64_t inside;      /* all ones: within a quoted field */
    uint64_t prev_ok;     /* 1: a quote may open a field here (or be the second of a doubled one) */
    uint64_t after_close; /* 1: the last byte was a quote that closed */
    uint64_t after_cr;    /* 1: the last bytes were such a quote and a CR */
    uint64_t n_lines;     /* line ends met, also in quotes */
    bool odd;             /* a quote stands where RFC 4180 has none: the careful path must look */
} csv_marks;

typedef struct simd_ops {
    /* Looks at n_blocks blocks from p on. The places of commas and line ends outside of quotes go to out, as base + distance
     * from p (room for 64 a block). Returns how many. Stops behind the block that is odd. */
    size_t (*csv_scan)(const char *p, size_t n_blocks, uint32_t base, csv_marks *m, uint32_t *out);
} simd_ops;

/* Those of the instruction set in use. */
const simd_ops *cfb_simd__ops(void);

#endif
