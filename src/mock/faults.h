/* faults.h - which request goes wrong, and how. */
#ifndef CFB_MOCK_FAULTS_H
#define CFB_MOCK_FAULTS_H

#include "cfbench/base.h"

/* X(name, text in the option, HTTP status, does the client get the whole answer all the same?) */
#define CFB_MOCK__FAULT_MAP(X)        \
    X(429, "429", 429, 0)             \
    X(429_BARE, "429-bare", 429, 0)   \
    X(429_DATE, "429-date", 429, 0)   \
    X(429_MS, "429-ms", 429, 0)       \
    X(429_FLOAT, "429-float", 429, 0) \
    X(429_QUOTA, "429-quota", 429, 0) \
    X(500, "500", 500, 0)             \
    X(502, "502", 502, 0)             \
    X(503, "503", 503, 0)             \
    X(504, "504", 504, 0)             \
    X(529, "529", 529, 0)             \
    X(400, "400", 400, 0)             \
    X(401, "401", 401, 0)             \
    X(402, "402", 402, 0)             \
    X(403, "403", 403, 0)             \
    X(404, "404", 404, 0)             \
    X(408, "408", 408, 0)             \
    X(409, "409", 409, 0)             \
    X(413, "413", 413, 0)             \
    X(CONTEXT, "context", 400, 0)     \
    X(FILTER400, "filter400", 400, 0) \
    X(SLOW, "slow", 200, 1)           \
    X(CUT, "cut", 200, 0)             \
    X(RESET, "reset", 200, 0)         \
    X(STALL, "stall", 200, 0)         \
    X(HANG, "hang", 200, 0)           \
    X(BADCHUNK, "badchunk", 200, 0)   \
    X(BADJSON, "badjson", 200, 0)     \
    X(HTML, "html", 200, 0)           \
    X(TYPE, "type", 200, 1)           \
    X(GZIP, "gzip", 200, 1)           \
    X(HUGE, "huge", 200, 0)           \
    X(ERROR200, "error200", 200, 0)   \
    X(EMPTY, "empty", 200, 0)         \
    X(NULL, "null", 200, 0)           \
    X(PARTS, "parts", 200, 1)         \
    X(CONTROL, "control", 200, 0)     \
    X(LENGTH, "length", 200, 0)       \
    X(FILTER, "filter", 200, 0)       \
    X(THINKING, "thinking", 200, 0)   \
    X(SSE_PING, "sse-ping", 200, 1)   \
    X(SSE_CRLF, "sse-crlf", 200, 1)   \
    X(SSE_SPLIT, "sse-split", 200, 1) \
    X(SSE_ERROR, "sse-error", 200, 0) \
    X(SSE_NODONE, "sse-nodone", 200, 0)

typedef enum cfb_mock__fault {
    CFB_MOCK__FAULT_NONE,
#define CFB_X(name, text, status, whole) CFB_MOCK__FAULT_##name,
    CFB_MOCK__FAULT_MAP(CFB_X)
#undef CFB_X
        CFB_MOCK__FAULT_COUNT
} cfb_mock__fault;

typedef struct cfb_mock__faults {
    double share[CFB_MOCK__FAULT_COUNT];
    bool any;
    int first_tries; /* only the first n tries of a prompt draw; 0 = all */
} cfb_mock__faults;

/* Reads "CLASS:SHARE,..." (NULL or "" = none). ECONFIG: unknown or doubled class, share outside [0, 1], sum beyond 1. */
CFB_MUST_CHECK cfb_code cfb_mock__faults_parse(const char *spec, int first_tries, cfb_mock__faults *out, cfb_err *err);
/* The fault of a prompt's try (counted from 0): a pure function of its arguments. */
cfb_mock__fault cfb_mock__faults_draw(const cfb_mock__faults *f, uint64_t seed, uint64_t prompt_key, uint64_t try_no);
const char *cfb_mock__fault_name(cfb_mock__fault fault); /* NULL for none */
int cfb_mock__fault_status(cfb_mock__fault fault);
/* The client gets the whole, right answer in spite of the fault (or there is none). */
bool cfb_mock__fault_is_whole(cfb_mock__fault fault);

/* Of streams only, and of the text only. */
bool cfb_mock__fault_is_stream(cfb_mock__fault fault);
bool cfb_mock__fault_is_text(cfb_mock__fault fault);

/* One uniform number in [0, 1) per (seed, prompt, try, choice). */
typedef enum cfb_mock__choice {
    CFB_MOCK__CHOICE_FAULT,
    CFB_MOCK__CHOICE_LATENCY_RADIUS,
    CFB_MOCK__CHOICE_LATENCY_ANGLE,
    CFB_MOCK__CHOICE_WRONG,
    CFB_MOCK__CHOICE_OTHER,
    CFB_MOCK__CHOICE_COUNT
} cfb_mock__choice;
double cfb_mock__draw(uint64_t seed, uint64_t prompt_key, uint64_t try_no, cfb_mock__choice choice);

#endif
