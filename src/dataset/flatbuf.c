/* flatbuf.c - see flatbuf.h. Layout: https://flatbuffers.dev (internals): a table starts with a signed distance back to
 * its vtable; the vtable holds its own size, the table's size, and per field an offset into the table or 0. */
#include "dataset/flatbuf.h"

static const cfb_fb_table absent;

static bool inside(const cfb_fb *fb, size_t pos, size_t n) { return pos <= fb->len && n <= fb->len - pos; }

static cfb_fb_table table_at(cfb_fb *fb, size_t pos) {
    cfb_fb_table t = absent;
    fb->bad = true; /* until all is seen */
    if (pos == 0 || !inside(fb, pos, 4)) return t;
    int64_t vt = (int64_t)pos - (int32_t)cfb_le32(fb->data + pos);
    if (vt < 0 || !inside(fb, (size_t)vt, 4)) return t;
    size_t vt_len = cfb_le16(fb->data + vt), len = cfb_le16(fb->data + vt + 2);
    if (vt_len < 4 || vt_len % 2 != 0 || !inside(fb, (size_t)vt, vt_len)) return t;
    if (len < 4 || !inside(fb, pos, len)) return t;
    fb->bad = false;
    return (cfb_fb_table){pos, (size_t)vt, vt_len, len};
}

/* Position of a field's bytes, or 0. */
static size_t field_at(cfb_fb *fb, cfb_fb_table t, unsigned field, size_t bytes) {
    size_t slot = 4 + 2 * (size_t)field;
    if (t.pos == 0 || slot + 2 > t.vtable_len) return 0;
    size_t off = cfb_le16(fb->data + t.vtable + slot);
    if (off == 0) return 0;
    if (off < 4 || off > t.len || bytes > t.len - off) {
        fb->bad = true;
        return 0;
    }
    return t.pos + off;
}

/* Follows the unsigned offset at pos. 0 when broken. */
static size_t follow(cfb_fb *fb, size_t pos) {
    size_t off = cfb_le32(fb->data + pos);
    if (off == 0 || !inside(fb, pos, off) || !inside(fb, pos + off, 4)) {
        fb->bad = true;
        return 0;
    }
    return pos + off;
}

cfb_fb_table cfb_fb__root(cfb_fb *fb) {
    if (!inside(fb, 0, 4)) {
        fb->bad = true;
        return absent;
    }
    size_t pos = follow(fb, 0);
    return pos ? table_at(fb, pos) : absent;
}

int64_t cfb_fb__int(cfb_fb *fb, cfb_fb_table t, unsigned field, size_t bytes, int64_t fallback) {
    size_t pos = field_at(fb, t, field, bytes);
    if (pos == 0) return fallback;
    const unsigned char *p = fb->data + pos;
    switch (bytes) {
    case 1: return (int8_t)*p;
    case 2: return (int16_t)cfb_le16(p);
    case 4: return (int32_t)cfb_le32(p);
    default: return (int64_t)cfb_le64(p);
    }
}

bool cfb_fb__bool(cfb_fb *fb, cfb_fb_table t, unsigned field, bool fallback) {
    return cfb_fb__int(fb, t, field, 1, fallback) != 0;
}

/* As table_at, but keeps an earlier `bad`. */
static cfb_fb_table checked_table(cfb_fb *fb, size_t pos) {
    bool bad = fb->bad;
    cfb_fb_table t = table_at(fb, pos);
    fb->bad = fb->bad || bad;
    return t;
}

cfb_fb_table cfb_fb__table(cfb_fb *fb, cfb_fb_table t, unsigned field) {
    size_t pos = field_at(fb, t, field, 4);
    if (pos) pos = follow(fb, pos);
    return pos ? checked_table(fb, pos) : absent;
}

cfb_fb_vector cfb_fb__vector(cfb_fb *fb, cfb_fb_table t, unsigned field, size_t elem_bytes) {
    cfb_fb_vector v = {0, 0, elem_bytes};
    size_t pos = field_at(fb, t, field, 4);
    if (pos) pos = follow(fb, pos);
    if (pos == 0) return v;
    size_t count = cfb_le32(fb->data + pos);
    if (count > (fb->len - pos - 4) / elem_bytes) {
        fb->bad = true;
        return v;
    }
    v.pos = pos + 4;
    v.count = count;
    return v;
}

cfb_str cfb_fb__string(cfb_fb *fb, cfb_fb_table t, unsigned field) {
    cfb_fb_vector v = cfb_fb__vector(fb, t, field, 1);
    return v.pos ? (cfb_str){(const char *)fb->data + v.pos, v.count} : CFB_STR_NULL;
}

cfb_fb_table cfb_fb__table_at(cfb_fb *fb, cfb_fb_vector v, size_t i) {
    size_t pos = follow(fb, v.pos + 4 * i);
    return pos ? checked_table(fb, pos) : absent;
}

int64_t cfb_fb__word_at(const cfb_fb *fb, cfb_fb_vector v, size_t i, size_t k) {
    return (int64_t)cfb_le64(fb->data + v.pos + i * v.elem_bytes + 8 * k);
}
