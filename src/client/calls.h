/* calls.h - one thread's calls, shared by calls.c (the engine) and direct.c (calls over sockets of our own). */
#ifndef CFB_CLIENT_CALLS_H
#define CFB_CLIENT_CALLS_H

#include "client/engine.h"
#include "client/http1.h"

#define NO_ENDPOINT SIZE_MAX
#define CFB_DIRECT_EVENT ((uint64_t)1 << 32) /* in epoll's data: a slot's number follows, not a descriptor of libcurl's */

#define CFB_DIRECT_IN_BYTES ((size_t)64 << 10)

struct call {
    cfb_calls_t *owner;
    CURL *easy;            /* direct: only while it connects */
    cfb_buf request, body; /* lent by the thread while they hold something: see cfb_calls__lend */
    cfb_sse *sse;          /* streaming only */
    void *tag;
    struct call *next;                   /* free list, or list of requests that could not be made */
    cfb_fail unmade;                     /* why it could not */
    size_t endpoint;                     /* the handle's, or the socket's */
    int64_t start_ns, first_ns, last_ns; /* first and latest bytes of the body */
    int64_t wall_ms, deadline_ns;
    double timeout_s; /* as set in the handle */
    cfb_rate_hints hints;
    bool busy, too_large, no_memory; /* why a body was not taken */
    char error[CURL_ERROR_SIZE];

    /* direct */
    int fd;                            /* -1: not connected. It outlives the call */
    void *ssl;                         /* SSL, over https */
    bool connecting, dialing, shaking; /* by libcurl; by ourselves; TLS */
    int dial_errno;
    bool waits_to_send, unsent;
    bool kept;   /* the connection carried another call before */
    bool broken; /* it takes no more, but there may be an answer to read */
    size_t at;   /* the request is sent up to here */
    char *location;
    cfb_http1 http;
};

struct cfb_calls {
    cfb_server_t *server;
    CURLM *multi;
    int epoll, wake;
    size_t max, in_flight;
    struct call *calls;
    struct call **free; /* (n_endpoints + 1) by the endpoint that a slot is connected to; the last: to none */
    struct call *unmade;
    cfb_call_done_fn done;
    void *ctx;
    int64_t curl_due_ns; /* when libcurl wants its time; INT64_MAX: never */
    int64_t watch_ns;
    int64_t deadline_ns; /* no call under way has an earlier one */
    cfb_buf scratch;
    cfb_buf spare_request, spare_body; /* for the next call that needs one: most need one for a moment only */
    size_t n_finished;
    bool woken;

    /* direct */
    char *in; /* what was received, of whatever call */
    CURL *idle[8];
    size_t n_idle; /* handles that may connect the next one */
};

/* ---- calls.c ---- */
/* More of a reply's body; false: no more of it (k->too_large, k->no_memory). */
bool cfb_calls__take_body(struct call *k, long status, const char *data, size_t len);
/* A buffer for *b, if it has none: the thread's spare one, if there is one. And back: kept as the spare one, or freed. */
void cfb_calls__lend(cfb_buf *spare, cfb_buf *b);
void cfb_calls__give_back(cfb_buf *spare, cfb_buf *b);
void cfb_calls__take_header(struct call *k, cfb_str line);
/* The call has ended. why: words of a failure, or NULL. */
void cfb_calls__finish(struct call *k, cfb_fail fail, const char *why);
/* too_large: the body was not taken (CURLE_WRITE_ERROR) because it passed the limit. */
cfb_fail cfb_calls__class_of_curl(CURLcode code, bool too_large);

/* ---- direct.c ---- */
/* Sends the request, over the connection that the slot has or a new one; nothing ends in here. False: no memory. */
bool cfb_direct__start(struct call *k, size_t endpoint);
/* libcurl has connected, or given up. */
void cfb_direct__connected(struct call *k, CURLcode code);
/* Something is to be read or written on the call's socket, or its server closed it between two calls. */
void cfb_direct__on_event(struct call *k, unsigned events);
/* The call has ended: the connection is kept if it may be. */
void cfb_direct__settle(struct call *k);
void cfb_direct__close(struct call *k);

#endif
