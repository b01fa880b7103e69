/* json.h - strict JSON (RFC 8259) in and out.
 *
 * Reading: a grammar check of our own (end of input, depth, UTF-8, escapes; cJSON is lenient there) and then cJSON's
 * tree. Keys match with exact case. Writing: straight into a buffer, no tree. */
#ifndef CFBENCH_JSON_H
#define CFBENCH_JSON_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A node of a parsed document. The root owns the whole tree; children are borrowed from it. */
typedef struct cfb_json cfb_json;

typedef enum cfb_json_kind {
    CFB_JSON_NULL,
    CFB_JSON_BOOL,
    CFB_JSON_NUMBER,
    CFB_JSON_STRING,
    CFB_JSON_ARRAY,
    CFB_JSON_OBJECT
} cfb_json_kind;

/* Lets a duplicate member pass (the first counts), and replaces what cannot be stored as a C string (\u0000, lone surrogates) and
 * broken UTF-8 by U+FFFD instead of refusing the document. For model replies, which must not be lost for one bad character. */
#define CFB_JSON_REPAIR 1u

#define CFB_JSON_MAX_DEPTH 128

/* Parses exactly one document of len bytes. text need not be NUL-terminated; it is copied.
 * Errors: EDATA/EENCODING/ETRUNCATED with "line L, column C" (bytes) and err->offset; ELIMIT beyond the depth;
 * EDATA for a duplicate key in one object. Owns: *out, freed with cfb_json_free. Threads: safe on different data. */
CFB_MUST_CHECK cfb_code cfb_json_parse(const char *text, size_t len, unsigned flags, cfb_json **out, cfb_err *err);
/* The grammar check alone; no allocation. */
CFB_MUST_CHECK cfb_code cfb_json_check(const char *text, size_t len, unsigned flags, cfb_err *err);
void cfb_json_free(cfb_json *root);

cfb_json_kind cfb_json_kind_of(const cfb_json *node); /* NULL gives CFB_JSON_NULL */
const char *cfb_json_kind_name(const cfb_json *node); /* "null", "boolean", "number", "string", "array", "object" */
/* Member of an object by exact key, or NULL (also for NULL and non-objects). */
const cfb_json *cfb_json_get(const cfb_json *object, const char *key);
/* Iteration over arrays and objects: first child, next sibling; key of an object's member (NULL in arrays). */
const cfb_json *cfb_json_first(const cfb_json *container);
const cfb_json *cfb_json_next(const cfb_json *child);
cfb_str cfb_json_key(const cfb_json *child);
size_t cfb_json_count(const cfb_json *container);
/* Value of a node; false / null string when the node is NULL or of another kind, *out untouched. */
cfb_str cfb_json_str(const cfb_json *node);
/* A text and a NUL into to[size]; false, and to is left alone, where node is no text or it does not fit. */
bool cfb_json_copy(const cfb_json *node, char *to, size_t size);
bool cfb_json_num(const cfb_json *node, double *out);
bool cfb_json_int(const cfb_json *node, int64_t *out); /* whole numbers up to 2^53 */
bool cfb_json_bool(const cfb_json *node, bool *out);

/* Writer. Errors stick: call as many functions as needed and look at cfb_jw_finish. Strings must be valid UTF-8
 * (broken bytes are written as U+FFFD); U+2028/2029 are escaped, so a document is one line for every reader. */
typedef struct cfb_jw {
    cfb_buf *out;
    cfb_err err;
    int indent; /* spaces per level; 0 = compact. With 2 the layout equals Python's json.dump(indent=2). */
    int depth;
    bool after_key;
    bool sp;               /* compact with Python's default ", " and ": " separators */
    uint64_t has_items[3]; /* one bit per level, CFB_JSON_MAX_DEPTH levels */
    bool ascii;            /* escape everything beyond ASCII */
} cfb_jw;

void cfb_jw_init(cfb_jw *w, cfb_buf *out, int indent);
void cfb_jw_obj(cfb_jw *w);
void cfb_jw_end_obj(cfb_jw *w);
void cfb_jw_arr(cfb_jw *w);
void cfb_jw_end_arr(cfb_jw *w);
void cfb_jw_key(cfb_jw *w, const char *key);
void cfb_jw_key_str(cfb_jw *w, cfb_str key);
void cfb_jw_str(cfb_jw *w, cfb_str s); /* a null string is written as null */
void cfb_jw_strz(cfb_jw *w, const char *s);
void cfb_jw_int(cfb_jw *w, int64_t v);
void cfb_jw_num(cfb_jw *w, double v); /* shortest round-trip, as Python's repr; NaN and infinities become null */
void cfb_jw_bool(cfb_jw *w, bool v);
void cfb_jw_null(cfb_jw *w);
void cfb_jw_raw(cfb_jw *w, cfb_str json); /* a value that is JSON already */
/* A member: its key, then its value. A count beyond int64_t is written as the largest one. */
void cfb_jw_member_str(cfb_jw *w, const char *key, cfb_str v);
void cfb_jw_member_strz(cfb_jw *w, const char *key, const char *v);
void cfb_jw_member_int(cfb_jw *w, const char *key, int64_t v);
void cfb_jw_member_num(cfb_jw *w, const char *key, double v);
void cfb_jw_member_count(cfb_jw *w, const char *key, uint64_t v);
/* The first error of all calls, or CFB_OK. */
CFB_MUST_CHECK cfb_code cfb_jw_finish(cfb_jw *w, cfb_err *err);
/* Appends s as a JSON string with its quotes. */
CFB_MUST_CHECK cfb_code cfb_json_quote(cfb_buf *out, cfb_str s, cfb_err *err);
/* Appends a parsed node as compact JSON. */
CFB_MUST_CHECK cfb_code cfb_json_print(const cfb_json *node, cfb_buf *out, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
