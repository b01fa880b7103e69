/* archive.c - the directory of a ZIP archive. The file is foreign: every number is checked against its size. */
#include "embed/archive.h"
#include "cfbench/base.h"

#include <stdlib.h>

#define MAX_ENTRIES ((size_t)1 << 16)
#define MAX_COMMENT 65535
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30

static uint64_t number(const unsigned char *p, size_t n_bytes) {
    uint64_t v = 0;
    for (size_t i = n_bytes; i-- > 0;) v = v << 8 | p[i];
    return v;
}

static bool is_record(const unsigned char *p, uint32_t signature) { return number(p, 4) == signature; }

struct directory {
    uint64_t n, at, len;
};

/* The record at the end, behind which only a comment may follow; a field that is full means that the ZIP64 record has the value.
 */
static cfb_code find_directory(const unsigned char *file, size_t len, struct directory *d, cfb_err *err) {
    size_t at = len < END_BYTES ? 0 : len - END_BYTES, lowest = at > MAX_COMMENT ? at - MAX_COMMENT : 0;
    if (len < END_BYTES) return cfb_err_set(err, CFB_ETRUNCATED, "%zu bytes are no ZIP archive", len);
    while (!(is_record(file + at, 0x06054b50) && number(file + at + 20, 2) == len - at - END_BYTES))
        if (at-- == lowest)
            return cfb_err_set(err, CFB_ETRUNCATED, "the archive has no end: the file is cut short, or no ZIP archive");
    *d = (struct directory){number(file + at + 10, 2), number(file + at + 16, 4), number(file + at + 12, 4)};
    if (d->n < 0xFFFF && d->at < 0xFFFFFFFF && d->len < 0xFFFFFFFF) return CFB_OK;
    if (at < LOCATOR_BYTES || !is_record(file + at - LOCATOR_BYTES, 0x07064b50)) return CFB_OK; /* just full */
    uint64_t where = number(file + at - LOCATOR_BYTES + 8, 8);
    if (where > len || len - where < END64_BYTES || !is_record(file + where, 0x06064b50))
        return cfb_err_set(err, CFB_EDATA, "the archive's ZIP64 record is not where it is said to be");
    *d = (struct directory){number(file + where + 32, 8), number(file + where + 48, 8), number(file + where + 40, 8)};
    return CFB_OK;
}

struct sizes {
    uint64_t plain, packed, at;
};

/* Of the extra fields the one with the numbers that do not fit into four bytes, in a fixed order. */
static bool widen(const unsigned char *extra, size_t len, struct sizes *s) {
    uint64_t *const wide[] = {&s->plain, &s->packed, &s->at};
    if (s->plain != 0xFFFFFFFF && s->packed != 0xFFFFFFFF && s->at != 0xFFFFFFFF) return true;
    for (size_t at = 0; len - at >= 4;) {
        size_t id = (size_t)number(extra + at, 2), n = (size_t)number(extra + at + 2, 2), used = 0;
        at += 4;
        if (n > len - at) return false;
        for (size_t i = 0; id == 1 && i < 3; i++) {
            if (*wide[i] != 0xFFFFFFFF) continue;
            if (n - used < 8) return false;
            *wide[i] = number(extra + at + used, 8);
            used += 8;
        }
        if (id == 1) return true;
        at += n;
    }
    return false;
}

/* p: a record of the directory, with left bytes from it to the directory's end. *step: to the next one. */
static cfb_code read_entry(const unsigned char *file, size_t len, const unsigned char *p, size_t left, embed_entry *e,
                           size_t *step, cfb_err *err) {
    if (left < ENTRY_BYTES || !is_record(p, 0x02014b50)) return cfb_err_set(err, CFB_EDATA, "the archive's directory is damaged");
    size_t n_name = (size_t)number(p + 28, 2), n_extra = (size_t)number(p + 30, 2);
    *step = ENTRY_BYTES + n_name + n_extra + (size_t)number(p + 32, 2);
    struct sizes s = {number(p + 24, 4), number(p + 20, 4), number(p + 42, 4)};
    if (*step > left || !widen(p + ENTRY_BYTES + n_name, n_extra, &s))
        return cfb_err_set(err, CFB_EDATA, "the archive's directory is damaged");
    e->name = (cfb_str){(const char *)p + ENTRY_BYTES, n_name};
    if ((number(p + 8, 2) & 1) != 0 || number(p + 10, 2) != 0 || s.plain != s.packed)
        return cfb_err_set(err, CFB_EUNSUPPORTED,
                           "the archive's entries are compressed or encrypted; PyTorch stores them as they are");
    if (s.at > len || len - s.at < LOCAL_BYTES || !is_record(file + s.at, 0x04034b50))
        return cfb_err_set(err, CFB_EDATA, "an entry of the archive is not where its directory says");
    uint64_t begin = s.at + LOCAL_BYTES + number(file + s.at + 26, 2) + number(file + s.at + 28, 2);
    if (begin > len || s.plain > len - begin)
        return cfb_err_set(err, CFB_ETRUNCATED, "an entry of the archive ends behind the file");
    e->data = file + begin;
    e->len = (size_t)s.plain;
    return CFB_OK;
}

cfb_code embed_archive_read(const unsigned char *file, size_t len, embed_archive *out, cfb_err *err) {
    struct directory d = {0};
    *out = (embed_archive){0};
    if (len < 4 || !is_record(file, 0x04034b50))
        return cfb_err_set(
            err, CFB_EUNSUPPORTED,
            "not written by PyTorch 1.6 or later (no ZIP archive); load it with PyTorch and save it as safetensors");
    cfb_code rc = find_directory(file, len, &d, err);
    if (rc != CFB_OK) return rc;
    if (d.at > len || d.len > len - d.at) return cfb_err_set(err, CFB_ETRUNCATED, "the archive's directory ends behind the file");
    if (d.n > MAX_ENTRIES) return cfb_err_set(err, CFB_ELIMIT, "more than %zu entries in the archive", MAX_ENTRIES);
    out->entries = calloc(d.n ? (size_t)d.n : 1, sizeof *out->entries);
    if (out->entries == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (archive)");
    size_t at = 0, step = 0;
    for (; out->n < d.n && rc == CFB_OK; at += step, out->n += rc == CFB_OK)
        rc = read_entry(file, len, file + d.at + at, (size_t)d.len - at, &out->entries[out->n], &step, err);
    if (rc != CFB_OK) embed_archive_free(out);
    return rc;
}

void embed_archive_free(embed_archive *a) {
    free(a->entries);
    *a = (embed_archive){0};
}

const embed_entry *embed_archive_find(const embed_archive *a, cfb_str folder, cfb_str name) {
    for (size_t i = 0; i < a->n; i++) {
        cfb_str s = a->entries[i].name;
        if (s.len == folder.len + 1 + name.len && s.ptr[folder.len] == '/' && memcmp(s.ptr, folder.ptr, folder.len) == 0 &&
            memcmp(s.ptr + folder.len + 1, name.ptr, name.len) == 0)
            return &a->entries[i];
    }
    return NULL;
}
