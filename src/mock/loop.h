/* loop.h - connections: a few threads with epoll, timers, and replies that leave piece by piece. */
#ifndef CFB_MOCK_LOOP_H
#define CFB_MOCK_LOOP_H

#include "cfbench/base.h"
#include "mock/http.h"
#include "mock/ticket.h"

#define CFB_MOCK__THREADS 2

/* Bytes of a reply up to `end` leave at_s seconds after the reply began, and never earlier than the piece before. */
typedef struct cfb_mock__piece {
    size_t end;
    double at_s;
} cfb_mock__piece;

/* What happens to the connection behind the last piece. */
typedef enum cfb_mock__end {
    CFB_MOCK__END_KEEP,  /* as the request's head says */
    CFB_MOCK__END_CLOSE, /* closed in order */
    CFB_MOCK__END_RESET, /* closed with a TCP reset */
    CFB_MOCK__END_STALL  /* stays open, silent, for CFB_MOCK__STALL_S or until the client closes it */
} cfb_mock__end;

#define CFB_MOCK__STALL_S 600.0

/* What a handler answers. All is borrowed until the thread's next call of the handler. */
typedef struct cfb_mock__reply {
    cfb_str bytes;  /* head and body */
    int64_t due_ns; /* when it begins */
    const cfb_mock__piece *pieces;
    size_t n_pieces; /* 0 = all at once; bytes behind the last piece are never sent */
    cfb_mock__end end;
} cfb_mock__reply;

/* Functions that the loop calls on its own threads; thread = 0 .. CFB_MOCK__THREADS - 1. */
typedef struct cfb_mock__handler {
    void *ctx;
    /* A request's head is here. Returns the largest body that is kept. */
    size_t (*arrive)(void *ctx, const cfb_mock__head *head, cfb_mock__ticket *t);
    /* The request is whole; or too_large, then without its body; or status != 200: its head was refused. false: no reply. */
    bool (*answer)(void *ctx, int thread, int status, const cfb_mock__head *head, cfb_str body, bool too_large,
                   cfb_mock__ticket *t, cfb_mock__reply *out);
    /* Just before the last byte of a reply leaves, or (given false) when the request ends without it. Once per request. */
    void (*leave)(void *ctx, cfb_mock__ticket *t, bool given);
} cfb_mock__handler;

typedef struct cfb_mock__loop cfb_mock__loop;

/* Binds 127.0.0.1:port (0 = any free one) and serves. Errors: EIO (port in use), ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_mock__loop_start(int port, const cfb_mock__handler *h, cfb_mock__loop **out, cfb_err *err);
int cfb_mock__loop_port(const cfb_mock__loop *l);
/* Ends the threads, drops all connections, frees; NULL is fine. */
void cfb_mock__loop_stop(cfb_mock__loop *l);

#endif
