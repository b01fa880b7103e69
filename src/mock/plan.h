/* plan.h - decides what a request gets, without knowing anything of sockets. */
#ifndef CFB_MOCK_PLAN_H
#define CFB_MOCK_PLAN_H

#include "cfbench/mock.h"

#include "mock/answers.h"
#include "mock/faults.h"
#include "mock/http.h"
#include "mock/limit.h"
#include "mock/loop.h"
#include "mock/errors.h"
#include "mock/trace.h"

#define CFB_MOCK__MAX_BODY ((size_t)8 << 20)
#define CFB_MOCK__HANG_S 600.0
#define CFB_MOCK__MAX_DELAY_S 3600.0

/* What may change while the mock serves. Read without a lock; a change puts another one in its place. */
typedef struct cfb_mock__settings {
    struct cfb_mock__settings *old; /* kept until the end: a thread may still read it */
    double latency_s, latency_sigma, ttft_s, tokens_per_s;
    int refuse_status; /* 429 or 503, when too many calls are under way */
    cfb_mock__faults faults;
    int64_t requests_per_minute, tokens_per_minute, quota, max_inflight, slots;
} cfb_mock__settings;

typedef enum cfb_mock__thinking {
    CFB_MOCK__THINKING_OFF,
    CFB_MOCK__THINKING_THINK, /* <think>...</think> at the beginning of the content */
    CFB_MOCK__THINKING_FIELD, /* in a member of the message */
    CFB_MOCK__THINKING_HIDDEN /* counted only */
} cfb_mock__thinking;

/* Blocks of prompts that were seen, as a server's prefix cache has them. */
#define CFB_MOCK__SEEN_SLOTS 65536
#define CFB_MOCK__SEEN_BYTES 192

/* All that a plan depends on. */
typedef struct cfb_mock__model {
    uint64_t seed;
    double error_rate;
    char *api_key; /* owned; NULL = any */
    bool control;  /* POST /mock/control is served */
    const cfb_mock__profile *profile;
    cfb_mock__thinking thinking;
    int64_t context;            /* tokens of prompt and reply that fit; 0 = any */
    int embed_dim;              /* when the request does not say */
    atomic_uint_fast64_t *seen; /* hashes of prefixes, or NULL: no prefix cache */
    _Atomic(cfb_mock__settings *) settings;
    pthread_mutex_t settings_lock; /* of changes */
    int n_changes;
    cfb_mock__answers *answers;
    cfb_mock__limit limit;
    cfb_mock__trace trace;
    struct cfb_mock__jobs *jobs;
} cfb_mock__model;

typedef enum cfb_mock__route {
    CFB_MOCK__ROUTE_OTHER,
    CFB_MOCK__ROUTE_CHAT,
    CFB_MOCK__ROUTE_EMBED,
    CFB_MOCK__ROUTE_MODELS,
    CFB_MOCK__ROUTE_STATS,
    CFB_MOCK__ROUTE_SERIES,
    CFB_MOCK__ROUTE_CONTROL,
    CFB_MOCK__ROUTE_FILES,
    CFB_MOCK__ROUTE_BATCHES
} cfb_mock__route;

typedef enum cfb_mock__method { CFB_MOCK__GET, CFB_MOCK__POST, CFB_MOCK__DELETE, CFB_MOCK__OTHER_METHOD } cfb_mock__method;

typedef struct cfb_mock__input {
    int status; /* 200, or why the request's head was refused */
    cfb_mock__route route;
    cfb_mock__method method;
    const cfb_mock__head *head;
    cfb_str body;
    bool too_large;
    int64_t arrival_ns;
} cfb_mock__input;

/* A thread's plan is used again and again: its buffers keep their memory. */
typedef struct cfb_mock__plan {
    const cfb_mock__profile *profile;
    int status;
    const char *content_type;
    cfb_buf headers; /* lines with CRLF, beside Content-Type and the body's length */
    cfb_buf body;
    bool chunked;   /* body has the frame of chunks in it */
    cfb_buf pieces; /* of cfb_mock__piece, by bytes of the body */
    cfb_buf text;   /* room for a content that had to be made */
    cfb_mock__end end;
    int64_t due_ns; /* when the reply begins */
    double delay_s; /* until then, without a queue */
    double busy_s;  /* and from then on, as a stream leaves piece by piece */
    cfb_mock__fault fault;
    cfb_mock__quota quota;
    cfb_mock__entry *entry; /* of the prompt, or NULL */
    uint64_t try_no;
    bool good;     /* a faultless answer to a prompt */
    bool admitted; /* holds a place (cfb_mock__limit_enter) */
    size_t tokens_in, tokens_out;
} cfb_mock__plan;

/* Path without what comes before the service's own part, such as "/v1". */
cfb_str cfb_mock__strip_base(cfb_str path);
/* path as in the request's first line */
cfb_mock__route cfb_mock__route_of(cfb_str path);
const char *cfb_mock__route_name(cfb_mock__route route);
bool cfb_mock__route_is_own(cfb_mock__route route); /* of the mock itself: not counted, needs no key */
cfb_mock__method cfb_mock__method_of(cfb_str method);

/* Errors: only ENOMEM and EBUG; a wrong request is a plan too. Owns: out's buffers, before and after; freed with
 * cfb_mock__plan_free. Zero-initialised at first. Threads: safe, with a plan for each thread. */
CFB_MUST_CHECK cfb_code cfb_mock__plan_make(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *out, cfb_err *err);
/* Answers a body as a row of a batch: status and body only, no limits, no delay; faults of the transport do not occur. */
CFB_MUST_CHECK cfb_code cfb_mock__plan_row(cfb_mock__model *m, cfb_mock__route route, cfb_str body, cfb_mock__plan *p,
                                           cfb_err *err);
void cfb_mock__plan_free(cfb_mock__plan *p);

/* An error reply, at once: a real server refuses without asking the model. */
CFB_MUST_CHECK cfb_code cfb_mock__plan_refuse(cfb_mock__plan *p, int status, const char *message, const char *param,
                                              cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__plan_error(cfb_mock__plan *p, const cfb_mock__error *e, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__plan_piece(cfb_mock__plan *p, size_t end, double at_s, cfb_err *err);

#endif
