/* archive.h - the entries of a ZIP archive in memory, stored and not compressed, as PyTorch writes them. Private to embed. */
#ifndef CFB_EMBED_ARCHIVE_H
#define CFB_EMBED_ARCHIVE_H

#include "cfbench/buf.h"

typedef struct embed_entry {
    cfb_str name;
    const unsigned char *data;
    size_t len;
} embed_entry;

typedef struct embed_archive {
    embed_entry *entries;
    size_t n;
} embed_archive;

/* Reads the central directory (APPNOTE 6.3.10, ZIP64 too); entries borrow from file. Checksums are not compared. Errors:
 * EUNSUPPORTED (no ZIP archive; compressed or encrypted entries), ETRUNCATED, EDATA, ELIMIT, ENOMEM. */
CFB_MUST_CHECK cfb_code embed_archive_read(const unsigned char *file, size_t len, embed_archive *out, cfb_err *err);
void embed_archive_free(embed_archive *a);
/* The entry called FOLDER/NAME, or NULL. */
const embed_entry *embed_archive_find(const embed_archive *a, cfb_str folder, cfb_str name);

#endif
