/* internal.h - what the files of the client room tell each other: pure readers of what a server sends (headers.c, reply.c, sse.c,
 * fails.c), used by the engine (calls.c, server.c). */
#ifndef CFB_CLIENT_INTERNAL_H
#define CFB_CLIENT_INTERNAL_H

#include "cfbench/client.h"

/* ---- headers.c ---- */
/* One header line ("Name: value", with or without its line end): notes what it says about limits. Unknown and malformed ones are
 * left alone. now_wall_ms: for dates. Pure. */
void cfb_client__read_header(cfb_str line, int64_t now_wall_ms, cfb_rate_hints *h);

/* ---- fails.c ---- */
/* Class of an HTTP status outside 200..299. */
cfb_fail cfb_client__class_of_status(long status);

/* ---- reply.c ---- */
/* A body that came with an HTTP error status (r->http_status): sets fail, message, refused, and finish for prompts that the
 * content filter refused (then fail is NONE). A 429 or 403 whose error says that quota or credit is used up is CFB_FAIL_PAYMENT,
 * a 400 or 413 about the context length CFB_FAIL_CONTEXT_LENGTH. A wait that only the words tell goes into hints, unless the
 * headers, which are read before, told one. */
void cfb_client__read_error_reply(cfb_str body, cfb_chat_reply *r);

/* ---- sse.c ---- */
/* A streamed reply (text/event-stream), fed as it arrives. Texts and the unfinished line are bounded by the buffers' max. A
 * server that does not stream although it was asked to, and answers one JSON document or a page, is read as such at the end. */
typedef struct cfb_sse {
    cfb_buf line, content, reasoning;
    cfb_buf data;                    /* of an event over several lines; or the whole body, if it is no stream */
    bool any_text, done;             /* done: [DONE] came, or a finish_reason with nothing more needed */
    bool failed;                     /* an error event, or data that are none */
    bool started, plain;             /* a first byte came; it was that of a document */
    bool any_chunk, ended, finished; /* a choice was seen; [DONE] came; a finish_reason came */
    int event;                       /* of which kind the event under way is */
    size_t n_data_lines;
    bool by_tree; /* read every chunk the slow way; for tests, which compare */
    cfb_chat_reply reply;
} cfb_sse;
void cfb_sse_init(cfb_sse *s, size_t max_bytes);
void cfb_sse_reset(cfb_sse *s); /* for the next reply; keeps the buffers */
void cfb_sse_free(cfb_sse *s);
/* More bytes. Errors: ENOMEM, ELIMIT. */
CFB_MUST_CHECK cfb_code cfb_sse_feed(cfb_sse *s, cfb_str bytes, cfb_err *err);
/* The end of the body: fills fail, content, reasoning, finish, tokens, message of r (borrowed from s); a stream that ended before
 * its end is CFB_FAIL_CUT. Leaves http_status, times, hints alone. */
CFB_MUST_CHECK cfb_code cfb_sse_finish(cfb_sse *s, cfb_chat_reply *r, cfb_err *err);

#endif
