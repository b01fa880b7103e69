/* plan.h - decides what a request gets, without knowing anything of sockets. */
#ifndef CFB_MOCK_PLAN_H
#define CFB_MOCK_PLAN_H

#include "cfbench/mock.h"

#include "mock/answers.h"
#include "mock/faults.h"
#include "mock/limit.h"
#include "mock/trace.h"

#define CFB_MOCK__MAX_BODY ((size_t)8 << 20)
#define CFB_MOCK__HANG_S 600.0
#define CFB_MOCK__MAX_DELAY_S 3600.0

/* All that a plan depends on. */
typedef struct cfb_mock__model {
    uint64_t seed;
    double latency_s, latency_sigma, error_rate;
    char *api_key; /* owned; NULL = any */
    cfb_mock__faults faults;
    cfb_mock__answers *answers;
    cfb_mock__limit limit;
    cfb_mock__trace trace;
} cfb_mock__model;

typedef enum cfb_mock__route {
    CFB_MOCK__ROUTE_OTHER,
    CFB_MOCK__ROUTE_CHAT,
    CFB_MOCK__ROUTE_EMBED,
    CFB_MOCK__ROUTE_MODELS,
    CFB_MOCK__ROUTE_STATS
} cfb_mock__route;

typedef struct cfb_mock__input {
    cfb_mock__route route;
    const char *method, *authorization; /* authorization may be NULL */
    cfb_str body;
    bool too_large;
} cfb_mock__input;

typedef enum cfb_mock__delivery { CFB_MOCK__WHOLE, CFB_MOCK__PIECES, CFB_MOCK__CUT } cfb_mock__delivery;

typedef struct cfb_mock__plan {
    int status;
    const char *content_type;
    const char *allow; /* for 405, else NULL */
    cfb_buf body;      /* owned by the caller */
    cfb_mock__delivery delivery;
    double delay_s; /* from the arrival */
    cfb_mock__fault fault;
    double retry_after_s; /* < 0 = no such header */
    cfb_mock__quota quota;
    cfb_mock__entry *entry; /* of the prompt, or NULL */
    uint64_t try_no;
    bool good; /* a faultless answer to a prompt */
} cfb_mock__plan;

cfb_mock__route cfb_mock__route_of(const char *path);
const char *cfb_mock__route_name(cfb_mock__route route);
/* Errors: only ENOMEM and EBUG; a wrong request is a plan too. Owns: out->body in every case. Threads: safe. */
CFB_MUST_CHECK cfb_code cfb_mock__plan_make(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *out, cfb_err *err);

#endif
