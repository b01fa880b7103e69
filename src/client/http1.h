/* http1.h - reads one HTTP/1.1 response as it arrives: head, framing, compression. Pure: it knows of bytes, not of sockets. */
#ifndef CFB_CLIENT_HTTP1_H
#define CFB_CLIENT_HTTP1_H

#include "cfbench/buf.h"

#include <stdbool.h>

typedef enum cfb_http1_state {
    CFB_HTTP1_STATUS, /* before and in the status line */
    CFB_HTTP1_HEADER,
    CFB_HTTP1_LENGTH, /* a body of known length */
    CFB_HTTP1_CLOSE,  /* a body until the connection closes */
    CFB_HTTP1_CHUNK_SIZE,
    CFB_HTTP1_CHUNK,
    CFB_HTTP1_CHUNK_END,
    CFB_HTTP1_TRAILER,
    CFB_HTTP1_DONE,
    CFB_HTTP1_BAD,     /* not HTTP, or broken: why says how */
    CFB_HTTP1_REFUSED, /* the sink took no more */
    CFB_HTTP1_NO_MEMORY
} cfb_http1_state;

/* Where the parts go. ctx is handed through. */
typedef struct cfb_http1_sink {
    void (*header)(void *ctx, cfb_str line);             /* "Name: value", without its line end */
    bool (*body)(void *ctx, const char *data, size_t n); /* unpacked; false: no more of it */
} cfb_http1_sink;

typedef struct cfb_http1 {
    cfb_http1_state state;
    int status;
    bool keep;    /* once DONE: the connection may carry another request */
    bool begun;   /* a byte of the response was seen */
    bool in_body; /* the head was read */
    bool chunked, has_length, foreign_coding;
    char packed;   /* 0, 'g' gzip, 'd' deflate */
    uint64_t left; /* of the body, or of its chunk */
    size_t head_bytes;
    cfb_buf line; /* an unfinished line */
    void *inflate;
    bool inflated; /* the packed body has come to its end */
    const char *why;
} cfb_http1;

void cfb_http1_init(cfb_http1 *h);
void cfb_http1_reset(cfb_http1 *h); /* for the next response; keeps a small line buffer */
void cfb_http1_free(cfb_http1 *h);
/* More bytes. Returns the state; *used: how many belong to this response, less than bytes.len only once it is DONE (or failed).
 */
cfb_http1_state cfb_http1_feed(cfb_http1 *h, cfb_str bytes, const cfb_http1_sink *sink, void *ctx, size_t *used);
/* The connection was closed: DONE if that ends the body, else BAD. */
cfb_http1_state cfb_http1_end(cfb_http1 *h);

#endif
