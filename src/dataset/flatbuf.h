/* flatbuf.h - reading FlatBuffers with every offset checked. A table that is absent or broken reads as empty; what was
 * broken stays noted in `bad`, so that a caller may read everything and look once. */
#ifndef CFB_DATASET_FLATBUF_H
#define CFB_DATASET_FLATBUF_H

#include "cfbench/buf.h"

#include <stdbool.h>

typedef struct cfb_fb {
    const unsigned char *data;
    size_t len;
    bool bad;
} cfb_fb;

typedef struct cfb_fb_table {
    size_t pos; /* 0: absent */
    size_t vtable, vtable_len, len;
} cfb_fb_table;

typedef struct cfb_fb_vector {
    size_t pos; /* of the first element */
    size_t count;
    size_t elem_bytes;
} cfb_fb_vector;

static inline uint16_t cfb_le16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t cfb_le32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t cfb_le64(const unsigned char *p) { return cfb_le32(p) | (uint64_t)cfb_le32(p + 4) << 32; }

cfb_fb_table cfb_fb__root(cfb_fb *fb);
/* Scalars of 1, 2, 4 or 8 bytes, sign-extended; fallback when absent. */
int64_t cfb_fb__int(cfb_fb *fb, cfb_fb_table t, unsigned field, size_t bytes, int64_t fallback);
bool cfb_fb__bool(cfb_fb *fb, cfb_fb_table t, unsigned field, bool fallback);
cfb_fb_table cfb_fb__table(cfb_fb *fb, cfb_fb_table t, unsigned field);
cfb_fb_vector cfb_fb__vector(cfb_fb *fb, cfb_fb_table t, unsigned field, size_t elem_bytes);
cfb_str cfb_fb__string(cfb_fb *fb, cfb_fb_table t, unsigned field); /* null when absent */
/* Element i of a vector of tables (elem_bytes 4). Precondition: i < v.count. */
cfb_fb_table cfb_fb__table_at(cfb_fb *fb, cfb_fb_vector v, size_t i);
/* 8-byte word k of element i of a vector of structs or longs. Precondition: within the element. */
int64_t cfb_fb__word_at(const cfb_fb *fb, cfb_fb_vector v, size_t i, size_t k);

#endif
