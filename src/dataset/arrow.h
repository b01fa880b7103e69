/* arrow.h - the parts of the Arrow reader: schema, arrays (one column of one batch), and the message loop in arrow.c.
 * Names and numbers are those of the Arrow columnar format (Schema.fbs, Message.fbs). */
#ifndef CFB_DATASET_ARROW_H
#define CFB_DATASET_ARROW_H

#include "dataset/flatbuf.h"
#include "dataset/internal.h"

/* How the values of a column become text. */
typedef enum arrow_kind {
    ARROW_OTHER, /* not text and not a simple scalar */
    ARROW_NULL,
    ARROW_BOOL,
    ARROW_INT,
    ARROW_FLOAT,
    ARROW_TEXT, /* Utf8, LargeUtf8, Binary, LargeBinary */
    ARROW_VIEW  /* Utf8View, BinaryView */
} arrow_kind;

typedef struct arrow_type {
    arrow_kind kind;
    uint8_t width; /* bytes of an integer, a float, or an offset of a text */
    bool is_signed;
    const char *name; /* for messages */
} arrow_type;

/* One field of the schema, nested ones too, in the order of a batch's field nodes. */
typedef struct arrow_node {
    uint8_t n_buffers; /* without a view's data buffers */
    bool is_view;
    size_t column; /* of the top-level field that it belongs to */
} arrow_node;

typedef struct arrow_column {
    cfb_str name;
    size_t node; /* its first node */
    arrow_type type;
    bool has_dictionary;
    int64_t dictionary_id;
    arrow_type index; /* of the dictionary's indices */
} arrow_column;

typedef struct arrow_schema {
    arrow_node *nodes;
    size_t n_nodes, cap_nodes;
    arrow_column *columns;
    size_t n_columns;
    bool v4; /* metadata version 4: unions have a validity buffer */
} arrow_schema;

/* Reads a Schema message. Memory comes from arena. */
CFB_MUST_CHECK cfb_code arrow_schema_read(cfb_fb *fb, cfb_fb_table schema, bool v4, cfb_arena_t *arena, arrow_schema *out,
                                          cfb_err *err);

/* One column of one batch, or the values of a dictionary. */
typedef struct arrow_array {
    arrow_type type;
    size_t length;
    bool has_nulls;
    cfb_buf validity;
    cfb_buf first;  /* values, offsets or views */
    cfb_buf second; /* text bytes */
    cfb_buf *views; /* (n_views): data buffers of a view */
    size_t n_views, cap_views;
} arrow_array;

void arrow_array_clear(arrow_array *a);
void arrow_array_free(arrow_array *a);
/* Are the buffers large enough for the length? On false, *what says which is not. */
bool arrow_array_check(const arrow_array *a, const char **what);
/* Value i as text; a null string for null. Copies what is not text already into arena. On error the message has no place
 * in front; it is the caller's to add. Precondition: i < length, arrow_array_check passed. */
CFB_MUST_CHECK cfb_code arrow_array_text(const arrow_array *a, size_t i, size_t max_bytes, cfb_arena_t *arena, cfb_str *out,
                                         cfb_err *err);
/* Value i of an integer array as an index; false: null. Same precondition. *out = -1 when it is too large. */
bool arrow_array_index(const arrow_array *a, size_t i, int64_t *out);

/* A buffer of a message's body that is wanted. */
typedef struct arrow_want {
    uint64_t offset, length; /* in the body */
    cfb_buf *into;
} arrow_want;

typedef enum arrow_codec { ARROW_PLAIN, ARROW_LZ4, ARROW_ZSTD } arrow_codec;

/* Decompresses one buffer: 8 bytes of length (-1: what follows is not compressed), then an LZ4 or zstd frame. Memory grows
 * with what really comes out. Errors have no place in front. */
CFB_MUST_CHECK cfb_code arrow_decompress(cfb_str in, arrow_codec codec, size_t max_bytes, cfb_buf *out, cfb_err *err);

#endif
