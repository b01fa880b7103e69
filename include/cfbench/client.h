/* client.h - one call to an OpenAI-compatible server: request, reply, error class; and the rate limiter that all calls pass. */
#ifndef CFBENCH_CLIENT_H
#define CFBENCH_CLIENT_H

#include "cfbench/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a call failed. X(NAME, name, tried again?, stops the whole run?, what to do) */
#define CFB_FAIL_MAP(X)                                                                                 \
    X(NONE, "none", 0, 0, "")                                                                           \
    X(CONNECT, "connect", 1, 0, "is the server up, and --base-url right?")                              \
    X(TIMEOUT, "timeout", 1, 0, "the server is slow: raise --timeout, or lower --max-workers")          \
    X(TLS, "tls", 0, 1, "the server's certificate could not be verified")                               \
    X(BAD_REQUEST, "bad_request", 0, 0, "the server does not accept this request")                      \
    X(AUTH, "auth", 0, 1, "check OPENAI_API_KEY or --api-key-file")                                     \
    X(NOT_FOUND, "not_found", 0, 1, "check --model and --base-url (it usually ends in /v1)")            \
    X(TOO_LARGE, "too_large", 0, 0, "the prompt is larger than the server accepts")                     \
    X(RATE_LIMIT, "rate_limit", 1, 0, "raise --api-rate-limit, or lower --max-workers")                 \
    X(SERVER, "server", 1, 0, "the server failed; it is tried again")                                   \
    X(CUT, "cut", 1, 0, "the connection broke in the middle of a reply")                                \
    X(BAD_REPLY, "bad_reply", 1, 0, "is --base-url an OpenAI-compatible API? (it usually ends in /v1)") \
    X(REPLY_TOO_LARGE, "reply_too_large", 0, 0, "the reply passed the size limit")                      \
    X(STOPPED, "stopped", 1, 0, "the run was stopped; run again to continue")

typedef enum cfb_fail {
#define CFB_X(NAME, name, retried, stops, remedy) CFB_FAIL_##NAME,
    CFB_FAIL_MAP(CFB_X)
#undef CFB_X
        CFB_FAIL_COUNT
} cfb_fail;
const char *cfb_fail_name(cfb_fail f);
const char *cfb_fail_remedy(cfb_fail f);
bool cfb_fail_is_retried(cfb_fail f);
bool cfb_fail_stops_run(cfb_fail f);

typedef enum cfb_finish { CFB_FINISH_STOP, CFB_FINISH_LENGTH, CFB_FINISH_FILTER, CFB_FINISH_OTHER } cfb_finish;
const char *cfb_finish_name(cfb_finish f);

typedef struct cfb_client_opts {
    const char *base_url, *model;
    const char *api_key;       /* may be NULL; never logged */
    const char *system_prompt; /* may be NULL */
    double temperature;
    double timeout_s, connect_timeout_s;
    size_t max_reply_bytes;
    cfb_stop *abort; /* when on, the transfer under way is given up; may be NULL */
} cfb_client_opts;
#define CFB_CLIENT_OPTS_INIT \
    { NULL, NULL, NULL, NULL, 0.0, 120.0, 10.0, (size_t)16 << 20, NULL }

/* What came back. Strings are borrowed until the next call on the client. */
typedef struct cfb_chat_reply {
    cfb_fail fail;    /* NONE: content and finish are valid */
    long http_status; /* 0 if there was no answer */
    cfb_str content;  /* the reply's text as sent; valid UTF-8; null and absent content is the empty string */
    cfb_finish finish;
    int64_t prompt_tokens, completion_tokens; /* -1 = not told */
    int64_t started_wall_ms, latency_us;
    double retry_after_s; /* what the server asked for, or -1 */
    char message[256];    /* of a failure: what the server or the transport said, on one line */
} cfb_chat_reply;

/* libcurl's global set-up and tear-down: once per process, before and after any client exists. */
CFB_MUST_CHECK cfb_code cfb_client_global_init(cfb_err *err);
void cfb_client_global_cleanup(void);

/* A client owns one libcurl easy handle and re-uses its connection. One thread at a time. opts is copied; its strings are
 * borrowed for the client's life. */
typedef struct cfb_client cfb_client_t;
CFB_MUST_CHECK cfb_code cfb_client_new(const cfb_client_opts *opts, cfb_client_t **out, cfb_err *err);
void cfb_client_free(cfb_client_t *c);

/* POST {base_url}/chat/completions with one user message (after the system prompt, if there is one). A failed call is a
 * result, in reply->fail; errors are ours only (ENOMEM, ELIMIT). */
CFB_MUST_CHECK cfb_code cfb_client_chat(cfb_client_t *c, cfb_str prompt, int max_tokens, cfb_chat_reply *reply, cfb_err *err);

/* The request body as it would be sent, for `cfbench prompt` and tests. Appended to out. */
CFB_MUST_CHECK cfb_code cfb_client_body(const cfb_client_opts *opts, cfb_str prompt, int max_tokens, cfb_buf *out, cfb_err *err);
/* Reads a reply's body. Pure; for tests and fuzzing. scratch keeps the text that reply->content borrows. */
CFB_MUST_CHECK cfb_code cfb_client_parse_reply(cfb_str body, cfb_buf *scratch, cfb_chat_reply *reply, cfb_err *err);

/* Wait before try number `tries` + 1 (tries >= 1 have failed): base * 2^(tries-1), at most max_s, of which a random half
 * (seed, row, tries decide) is jitter; never less than retry_after_s. In seconds. Pure. */
double cfb_backoff_s(double base_s, double max_s, int tries, double retry_after_s, uint64_t seed, uint64_t row);

/* ---- rate limiter ---- */

/* At least interval_s between the starts of any two calls that pass one limiter, over all threads. A start is reserved inside
 * `#pragma omp critical(cfb_rate_limiter)`; waiting happens outside, so nobody sleeps while holding it. */
typedef struct cfb_limiter {
    int64_t interval_ns;
    int64_t next_ns;     /* first start that is not reserved yet */
    int64_t last_ns;     /* latest start that happened */
    uint64_t starts;     /* how many happened */
    int64_t min_gap_ns;  /* between two starts, the shortest so far; 0 before the second start */
    int64_t max_hold_ns; /* longest time that one thread was inside the critical */
} cfb_limiter;

void cfb_limiter_init(cfb_limiter *l, double interval_s);
/* Waits for this thread's turn and takes it. Returns false if stop came on first (no start is taken). */
bool cfb_limiter_wait(cfb_limiter *l, cfb_stop *stop);
/* No start before now + delay_s: what a server's Retry-After asks of all threads. */
void cfb_limiter_pause(cfb_limiter *l, double delay_s);

#ifdef __cplusplus
}
#endif
#endif
