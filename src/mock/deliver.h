/* deliver.h - faults of a body as bytes, and of its way to the client. */
#ifndef CFB_MOCK_DELIVER_H
#define CFB_MOCK_DELIVER_H

#include "mock/plan.h"

/* Applies p->fault to a body that is whole. streamed: it is a stream of events. */
CFB_MUST_CHECK cfb_code cfb_mock__deliver(cfb_mock__plan *p, bool streamed, bool accepts_gzip, cfb_err *err);
/* Lines before the body while the reply is waited for, every quarter of a second; at least `least` of them. */
CFB_MUST_CHECK cfb_code cfb_mock__deliver_keep_alive(cfb_mock__plan *p, const char *line, size_t least, cfb_err *err);
/* Puts the frame of chunked transfer around each piece. */
CFB_MUST_CHECK cfb_code cfb_mock__deliver_chunked(cfb_mock__plan *p, cfb_err *err);

#endif
