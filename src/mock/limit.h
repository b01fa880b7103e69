/* limit.h - requests per minute: a token bucket. */
#ifndef CFB_MOCK_LIMIT_H
#define CFB_MOCK_LIMIT_H

#include "cfbench/base.h"

#include <pthread.h>

typedef struct cfb_mock__limit {
    pthread_mutex_t lock;
    int64_t per_minute; /* 0 = no limit */
    double size, tokens;
    int64_t last_ns;
} cfb_mock__limit;

/* State of the bucket after a request, for the x-ratelimit headers. */
typedef struct cfb_mock__quota {
    int64_t limit; /* per minute; 0 = no limit, the rest is then meaningless */
    int64_t remaining;
    double reset_s; /* until the bucket is full again */
    double wait_s;  /* until the next token; 0 when the request passed */
} cfb_mock__quota;

/* The bucket holds one second's worth of requests, at least 2: a client that spreads its calls evenly passes in
 * spite of small jitter, one that sends a minute's worth at once does not. It starts full. */
CFB_MUST_CHECK cfb_code cfb_mock__limit_init(cfb_mock__limit *l, int64_t per_minute, cfb_err *err);
void cfb_mock__limit_destroy(cfb_mock__limit *l);
/* Takes one token. false = none left. Threads: safe. */
bool cfb_mock__limit_take(cfb_mock__limit *l, int64_t now_ns, cfb_mock__quota *out);

#endif
