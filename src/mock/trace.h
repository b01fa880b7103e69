/* trace.h - counters for /mock/stats, and the request log. */
#ifndef CFB_MOCK_TRACE_H
#define CFB_MOCK_TRACE_H

#include "cfbench/base.h"

#include <pthread.h>
#include <stdatomic.h>

#define CFB_MOCK__MAX_STATUS 600
#define CFB_MOCK__SERIES_NS INT64_C(100000000)
#define CFB_MOCK__SERIES_N 6000 /* ten minutes; later ones are not kept */

/* One tenth of a second. */
typedef struct cfb_mock__moment {
    atomic_uint arrived, replied, refused, max_in_flight;
} cfb_mock__moment;

typedef struct cfb_mock__trace {
    atomic_int_fast64_t requests, in_flight, max_in_flight, distinct, repeated, answered_again;
    atomic_int_fast64_t refused;                         /* by a limit: places, rates, quota */
    atomic_int_fast64_t tokens_in, tokens_out;           /* of chat replies with status 200 */
    atomic_int_fast64_t by_status[CFB_MOCK__MAX_STATUS]; /* 0 = closed without a reply */
    _Alignas(64) int64_t start_ns;
    cfb_mock__moment *series;
    int fd;               /* of the log, or -1 */
    pthread_mutex_t lock; /* of fd */
    bool log_failed;
} cfb_mock__trace;

/* What the log says about one request. */
typedef struct cfb_mock__record {
    int64_t arrival_ns, reply_ns;
    int64_t in_flight;                  /* on arrival, this one included */
    const char *route, *sha256, *fault; /* sha256 and fault may be NULL */
    uint64_t try_no;
    int status;
    uint32_t tokens_in, tokens_out;
} cfb_mock__record;

CFB_MUST_CHECK cfb_code cfb_mock__trace_init(cfb_mock__trace *t, const char *log_path, cfb_err *err);
void cfb_mock__trace_destroy(cfb_mock__trace *t);
/* Calls in flight, this one included. */
int64_t cfb_mock__trace_arrive(cfb_mock__trace *t, int64_t now_ns);
/* A prompt is asked. */
void cfb_mock__trace_ask(cfb_mock__trace *t, bool again, bool answered_before);
void cfb_mock__trace_refuse(cfb_mock__trace *t, int64_t now_ns);
/* Called before the last byte of the reply leaves, so that a client that has its reply finds it counted and logged. */
void cfb_mock__trace_leave(cfb_mock__trace *t, const cfb_mock__record *r);
/* The highest number in flight is counted anew. */
void cfb_mock__trace_reset_peak(cfb_mock__trace *t);
CFB_MUST_CHECK cfb_code cfb_mock__trace_stats(cfb_mock__trace *t, cfb_buf *out, cfb_err *err);
/* {"step_s": 0.1, "arrived": [...], "replied": [...], "refused": [...], "max_in_flight": [...]} up to now. */
CFB_MUST_CHECK cfb_code cfb_mock__trace_series(cfb_mock__trace *t, cfb_buf *out, cfb_err *err);

#endif
