/* http.h - HTTP/1.1 requests as bytes: heads and chunked bodies. Knows nothing of sockets. */
#ifndef CFB_MOCK_HTTP_H
#define CFB_MOCK_HTTP_H

#include "cfbench/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define CFB_MOCK__MAX_HEAD ((size_t)32 << 10)

/* A request's head. All texts borrow from the bytes that were parsed; null when the header is absent. */
typedef struct cfb_mock__head {
    cfb_str method, path, query; /* query without '?' */
    cfb_str authorization, api_key, content_type, accept_encoding;
    bool keep_alive, expect_continue, chunked;
    uint64_t content_length; /* 0 when absent */
    size_t len;              /* bytes of the head, the empty line included */
} cfb_mock__head;

/* Parses the head at the beginning of data. Returns 0 when more bytes are needed, 200 when *out is filled, or the status of
 * the refusal: 400 (not HTTP, contradictory lengths), 431 (longer than CFB_MOCK__MAX_HEAD), 501 (another transfer coding),
 * 505 (another version than 1.0 and 1.1). Pure. */
int cfb_mock__head_parse(cfb_str data, cfb_mock__head *out);

/* Looks for the end of a chunked body at the beginning of data. Returns 0 when more is needed, 200 with *total (bytes of all
 * chunks, frame included) and *content (bytes without frame), or 400. Pure. */
int cfb_mock__chunks_scan(cfb_str data, size_t *total, size_t *content);
/* Removes the frame of a body that was scanned whole; out (may be data) gets content bytes. */
void cfb_mock__chunks_join(cfb_str data, char *out);

/* Is the word (lower case) among the comma-separated ones of a header, in any case? */
bool cfb_mock__has_word(cfb_str list, const char *word);
/* "/v1/files/abc" and prefix "/v1/files/": the rest "abc"; else a null string. */
cfb_str cfb_mock__path_after(cfb_str path, const char *prefix);

#endif
