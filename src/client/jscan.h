/* jscan.h - a quick walk over JSON bytes without a tree, for what is done once a call. It knows the grammar of RFC 8259 strictly;
 * whatever it does not like, it refuses, and the caller takes the slow way (cfb_json_parse), which knows why. */
#ifndef CFB_CLIENT_JSCAN_H
#define CFB_CLIENT_JSCAN_H

#include "base/bytes.h"
#include "cfbench/buf.h"

#include <stdbool.h>

typedef struct cfb_jscan {
    const char *p, *end;
    int depth;
} cfb_jscan;

/* A string as it stands in the text, between its quotes. ptr NULL: there was none. */
typedef struct cfb_jraw {
    const char *ptr;
    size_t len;
    bool escaped; /* holds a backslash */
} cfb_jraw;

/* The start of a text that is valid UTF-8. */
static inline cfb_jscan cfb_jscan_of(cfb_str text) { return (cfb_jscan){text.ptr, text.ptr + text.len, 0}; }
/* Behind white space: the next byte, or 0 at the end. */
char cfb_jscan_peek(cfb_jscan *s);
/* Goes into an object or array (open: '{' or '['). */
bool cfb_jscan_open(cfb_jscan *s, char open);
/* The next member of an object: 1 with *key and the scan at its value; 0 behind the closing brace; -1: refused (also names with
 * escapes). first: no member was read yet. */
int cfb_jscan_member(cfb_jscan *s, bool first, cfb_str *key);
int cfb_jscan_member_raw(cfb_jscan *s, bool first, cfb_jraw *key); /* the same, with names as they are written */
/* The next element of an array, in the same way. */
int cfb_jscan_element(cfb_jscan *s, bool first);
bool cfb_jscan_string(cfb_jscan *s, cfb_jraw *out);
/* A whole number of 0 to 15 digits without sign. */
bool cfb_jscan_count(cfb_jscan *s, int64_t *out);
bool cfb_jscan_skip(cfb_jscan *s); /* any value */
/* Is nothing but white space left? */
bool cfb_jscan_at_end(cfb_jscan *s);

/* Appends what a string means. False: half of a surrogate pair, \u0000, out is full, or no memory; then out is as it was. */
bool cfb_jraw_decode(cfb_jraw raw, cfb_buf *out);

#endif
