/* limit.h - what the mock serves at once and in a minute: places, slots, token buckets, a quota. */
#ifndef CFB_MOCK_LIMIT_H
#define CFB_MOCK_LIMIT_H

#include "cfbench/base.h"

#include <pthread.h>

#define CFB_MOCK__MAX_SLOTS 65536

/* A token bucket of one second's worth: a client that spreads its calls evenly passes in spite of small jitter, one that
 * sends a minute's worth at once does not. It starts full. */
typedef struct cfb_mock__bucket {
    int64_t per_minute; /* 0 = no limit */
    double size, level; /* a call larger than the bucket passes when it is full, and leaves a debt */
} cfb_mock__bucket;

typedef struct cfb_mock__limit {
    pthread_mutex_t lock; /* of all but the atomics */
    atomic_bool paced;    /* a bucket or the quota is on */
    cfb_mock__bucket requests, tokens;
    int64_t last_ns;
    int64_t quota, used;                        /* calls in all; quota 0 = no limit */
    atomic_int_fast64_t max_inflight, inflight; /* max 0 = no limit */
    atomic_int_fast64_t n_slots;                /* served at once, others queue; 0 = all */
    int64_t *free_ns;                           /* min-heap: when each slot is free again */
    size_t n_heap;
} cfb_mock__limit;

typedef enum cfb_mock__pass {
    CFB_MOCK__PASS,
    CFB_MOCK__PASS_REQUESTS, /* refused: too many calls in a minute */
    CFB_MOCK__PASS_TOKENS,   /* refused: too many tokens in a minute */
    CFB_MOCK__PASS_QUOTA     /* refused: for good */
} cfb_mock__pass;

/* State of a bucket after a request, for the x-ratelimit headers. */
typedef struct cfb_mock__level {
    int64_t limit; /* per minute; 0 = no limit, the rest is then meaningless */
    int64_t remaining;
    double reset_s; /* until the bucket is full again */
} cfb_mock__level;

typedef struct cfb_mock__quota {
    cfb_mock__level requests, tokens;
    double wait_s; /* until the call would pass; 0 when it passed */
} cfb_mock__quota;

CFB_MUST_CHECK cfb_code cfb_mock__limit_init(cfb_mock__limit *l, cfb_err *err);
void cfb_mock__limit_destroy(cfb_mock__limit *l);
/* The functions below may be called from any thread, while serving. */

/* The buckets start full again. */
void cfb_mock__limit_set_rates(cfb_mock__limit *l, int64_t requests_per_minute, int64_t tokens_per_minute);
void cfb_mock__limit_set_quota(cfb_mock__limit *l, int64_t calls);
/* Takes one call and its tokens. */
cfb_mock__pass cfb_mock__limit_take(cfb_mock__limit *l, int64_t now_ns, int64_t tokens, cfb_mock__quota *out);

/* Tokens of a reply, once it is known: taken in any case, as a debt if need be. */
void cfb_mock__limit_settle(cfb_mock__limit *l, int64_t tokens);

void cfb_mock__limit_set_inflight(cfb_mock__limit *l, int64_t max);
/* Takes one of the places; false = none is free. What was taken is given back with cfb_mock__limit_leave. */
bool cfb_mock__limit_enter(cfb_mock__limit *l);
void cfb_mock__limit_leave(cfb_mock__limit *l);

/* Calls that were queued keep their turn when the number changes. ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_mock__limit_set_slots(cfb_mock__limit *l, int64_t n, cfb_err *err);
/* When a call that arrives now and takes service_ns is done: at once begun where a slot is free, else queued. Slots are
 * given in the order of arrival; a client that goes away frees none. */
int64_t cfb_mock__limit_queue(cfb_mock__limit *l, int64_t now_ns, int64_t service_ns);

#endif
