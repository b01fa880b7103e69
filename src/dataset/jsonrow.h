/* jsonrow.h - rows out of JSON text without a tree: the grammar check of base/json.h first, then slices of the text. */
#ifndef CFB_DATASET_JSONROW_H
#define CFB_DATASET_JSONROW_H

#include "dataset/internal.h"

/* Where a piece of JSON text comes from, for messages. */
typedef struct cfb_jplace {
    const char *label;
    uint64_t line;   /* of the first byte of the text */
    uint64_t offset; /* of the same in the file */
} cfb_jplace;

/* The grammar check; an error names file, line, byte and column. */
CFB_MUST_CHECK cfb_code cfb_jrow__check(cfb_str text, cfb_jplace at, cfb_err *err);

/* The functions below expect text that passed the check. They never leave the text, whatever is in it. */

/* A value as it stands at *pos (white space before it is skipped); *pos is moved behind it. Null string: none. */
cfb_str cfb_jrow__value(cfb_str text, size_t *pos);
/* Moves *pos over white space and `mark`; false, with *pos at the next character, if another character is there. */
bool cfb_jrow__accept(cfb_str text, size_t *pos, char mark);
/* The raw value of a member by name, or a null string. Precondition: text is an object. */
cfb_code cfb_jrow__member(cfb_str object, const char *name, cfb_arena_t *scratch, cfb_str *out, cfb_err *err);

/* Fills the cells of one row from an object. With first = true also sets has[] and demands the required columns.
 * where: "file:line", for messages. */
CFB_MUST_CHECK cfb_code cfb_jrow__fill(cfb_reader_t *r, cfb_str object, const char *where, bool first, cfb_str *cells,
                                       size_t *bytes, cfb_err *err);

#endif
