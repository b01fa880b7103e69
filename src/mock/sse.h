/* sse.h - a reply as a stream of server-sent events. */
#ifndef CFB_MOCK_SSE_H
#define CFB_MOCK_SSE_H

#include "mock/plan.h"
#include "mock/replies.h"

/* What may be odd about a stream. */
typedef struct cfb_mock__sse {
    bool include_usage;
    double tokens_per_s; /* 0 = all at once */
    bool pings;          /* comment lines between the events */
    bool crlf;           /* CRLF as the end of a line */
    bool split;          /* pieces that end within characters and escapes */
    bool no_done;        /* ends without finish_reason and [DONE] */
    bool error;          /* an error in the middle, then the end */
} cfb_mock__sse;

/* Writes all events into p->body, with the time of each in p->pieces: the role, the content in pieces of four code points, the
 * finish reason, usage when asked for, and [DONE]. */
CFB_MUST_CHECK cfb_code cfb_mock__write_sse(const cfb_mock__completion *c, const cfb_mock__sse *o, cfb_mock__plan *p,
                                            cfb_err *err);

#endif
