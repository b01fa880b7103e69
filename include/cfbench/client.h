/* client.h - calls to an OpenAI-compatible server: what is sent, what comes back, why a call failed, and the engine that keeps
 * many calls in flight from one thread. When a call may start is pace.h's business. */
#ifndef CFBENCH_CLIENT_H
#define CFBENCH_CLIENT_H

#include "cfbench/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a call failed. X(NAME, name, tried again?, stops the whole run?, what to do) */
#define CFB_FAIL_MAP(X)                                                                                           \
    X(NONE, "none", 0, 0, "")                                                                                     \
    X(CONNECT, "connect", 1, 0, "is the server up, and --base-url right?")                                        \
    X(TIMEOUT, "timeout", 1, 0, "the server is slow: raise --timeout, or lower --max-workers")                    \
    X(TLS, "tls", 0, 1, "the server's certificate could not be verified: --ca-file names another authority")      \
    X(BAD_REQUEST, "bad_request", 0, 0, "the server does not accept this request")                                \
    X(AUTH, "auth", 0, 1, "check OPENAI_API_KEY or --api-key-file")                                               \
    X(PAYMENT, "payment", 0, 1, "the account has no credit or quota left; the same command continues later")      \
    X(NOT_FOUND, "not_found", 0, 1, "check --model and --base-url (it usually ends in /v1)")                      \
    X(TOO_LARGE, "too_large", 0, 0, "the prompt is larger than the server accepts")                               \
    X(CONTEXT_LENGTH, "context_length", 0, 0, "prompt and --max-tokens together pass the model's context length") \
    X(RATE_LIMIT, "rate_limit", 1, 0, "raise --api-rate-limit, or lower --max-workers")                           \
    X(OVERLOADED, "overloaded", 1, 0, "the server has too much to do: lower --max-workers, or wait")              \
    X(SERVER, "server", 1, 0, "the server failed; it is tried again")                                             \
    X(CUT, "cut", 1, 0, "the connection broke in the middle of a reply")                                          \
    X(BAD_REPLY, "bad_reply", 1, 0, "is --base-url an OpenAI-compatible API? (it usually ends in /v1)")           \
    X(REPLY_TOO_LARGE, "reply_too_large", 0, 0, "the reply passed the size limit")                                \
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

/* Parameters that a server may refuse; a call that was refused for one is sent again without it, and so are all later ones. */
enum {
    CFB_REFUSED_MAX_TOKENS = 1,
    CFB_REFUSED_TEMPERATURE = 2,
    CFB_REFUSED_STOP = 4,
    CFB_REFUSED_STREAM_OPTIONS = 8,
    CFB_REFUSED_SEED = 16
};

/* What is asked, beside the prompt. All strings are borrowed. */
typedef struct cfb_request {
    const char *model;
    const char *system_prompt; /* may be NULL */
    double temperature;        /* NaN: not sent */
    const char *const *stop;   /* (n_stop) stop sequences */
    size_t n_stop;
    int64_t seed; /* sent as "seed" where has_seed */
    bool has_seed;
    bool stream;            /* server-sent events, with usage in the last one */
    bool completion_tokens; /* the limit is sent as max_completion_tokens instead of max_tokens */
    /* A JSON object's text, or NULL. Its members come after ours and replace those of the same name (max_tokens and
     * max_completion_tokens count as one name); they are sent whatever was refused. */
    const char *extra_body;
} cfb_request;
#define CFB_REQUEST_INIT \
    { NULL, NULL, 0.0, NULL, 0, 0, false, false, false, NULL }

typedef struct cfb_client_opts {
    const char *const *base_urls; /* (n_base_urls) one or more addresses of the same model, such as http://host/v1 */
    size_t n_base_urls;
    const char *api_key;        /* may be NULL; never logged */
    const char *api_key_header; /* NULL: "Authorization: Bearer KEY"; else this header holds the key alone, such as "api-key" */
    const char *const *headers; /* (n_headers) further lines, "Name: value"; secret as the key is */
    size_t n_headers;
    const char *proxy;                    /* NULL: as the environment says */
    const char *ca_file;                  /* NULL: the system's */
    const char *client_cert, *client_key; /* PEM files, or NULL */
    const char *unix_socket;              /* NULL: TCP */
    cfb_request request;
    double timeout_s;         /* from the start of a call to the end of its reply */
    double connect_timeout_s; /* until the connection stands */
    double idle_timeout_s;    /* longest silence in the middle of a reply; 0 = no limit */
    size_t max_reply_bytes;
} cfb_client_opts;
#define CFB_CLIENT_OPTS_INIT \
    { NULL, 0, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, CFB_REQUEST_INIT, 120.0, 10.0, 0.0, (size_t)16 << 20 }

/* What a server's headers say about its limits. -1: not said. */
typedef struct cfb_rate_hints {
    double retry_after_s;                 /* Retry-After (seconds or a date) or retry-after-ms */
    int64_t limit_requests, limit_tokens; /* per window */
    int64_t remaining_requests, remaining_tokens;
    double reset_requests_s, reset_tokens_s; /* until the window is whole again */
} cfb_rate_hints;
#define CFB_RATE_HINTS_INIT \
    { -1, -1, -1, -1, -1, -1, -1 }

/* What came back. Strings are borrowed: see who gave the reply. */
typedef struct cfb_chat_reply {
    cfb_fail fail;     /* NONE: content and finish are valid */
    long http_status;  /* 0 if there was no answer */
    cfb_str content;   /* the reply's text as sent; valid UTF-8; null and absent content is the empty string */
    cfb_str reasoning; /* what a reasoning model sent beside it (reasoning_content, reasoning); a null string if nothing */
    cfb_finish finish;
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens; /* -1 = not told */
    int64_t started_wall_ms, latency_us;
    int64_t ttft_us; /* streaming: until the first text; -1 else */
    cfb_rate_hints hints;
    unsigned refused;  /* of a bad_request: CFB_REFUSED_* that the server named */
    size_t endpoint;   /* index of the base URL that answered */
    char message[256]; /* of a failure: what the server or the transport said, on one line */
} cfb_chat_reply;

/* libcurl's global set-up and tear-down: once per process, before and after any client exists. */
CFB_MUST_CHECK cfb_code cfb_client_global_init(cfb_err *err);
/* libcurl's version and what it was built with, for people; after cfb_client_global_init. Static. */
const char *cfb_client_version(void);
void cfb_client_global_cleanup(void);

/* ---- pure parts ---- */

/* The request's body for one prompt, as JSON, appended to out. refused: CFB_REFUSED_* that are left out (or renamed). Errors:
 * ECONFIG (extra_body is not a JSON object), ELIMIT (out is full), ENOMEM. Threads: pure. */
CFB_MUST_CHECK cfb_code cfb_request_write(const cfb_request *q, unsigned refused, cfb_str prompt, int max_tokens, cfb_buf *out,
                                          cfb_err *err);
/* Reads a whole reply's body (not a stream). scratch keeps the texts that the reply borrows. A body that is no answer is a
 * result, in reply->fail. Errors: ENOMEM, ELIMIT (scratch is full). Pure; for the engine, tests and fuzzing. */
CFB_MUST_CHECK cfb_code cfb_client_parse_reply(cfb_str body, cfb_buf *scratch, cfb_chat_reply *reply, cfb_err *err);
void cfb_chat_reply_init(cfb_chat_reply *r); /* nothing told, nothing said */

/* ---- the engine ---- */

/* What all threads share: addresses with their state, options, the parsed certificates, refused parameters. opts is copied; its
 * strings are borrowed for the server's life. Errors: ECONFIG (an address, header or file that cannot be used). Owns: *out. */
typedef struct cfb_server cfb_server_t;
CFB_MUST_CHECK cfb_code cfb_server_new(const cfb_client_opts *opts, cfb_server_t **out, cfb_err *err);
void cfb_server_free(cfb_server_t *s); /* after all its cfb_calls; NULL is fine */

/* Many calls in flight from one thread: one libcurl multi handle with up to max_calls transfers, driven by epoll. One thread owns
 * it; only cfb_calls_wake may come from another. */
typedef struct cfb_calls cfb_calls_t;
/* A call's end. reply's strings are valid during the callback, which starts no calls. tag: what cfb_calls_start was given. */
typedef void (*cfb_call_done_fn)(void *ctx, void *tag, const cfb_chat_reply *reply);
CFB_MUST_CHECK cfb_code cfb_calls_new(cfb_server_t *s, size_t max_calls, cfb_call_done_fn done, void *ctx, cfb_calls_t **out,
                                      cfb_err *err);
void cfb_calls_free(cfb_calls_t *c); /* calls under way are cut, without a callback */
/* Sends one prompt. timeout_s: this call's limit, at most that of the options; 0: theirs. Needs in_flight < max_calls, else EBUG.
 * A request that cannot be made (too large) ends at once with a callback in the next wait. Errors: ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_calls_start(cfb_calls_t *c, void *tag, cfb_str prompt, int max_tokens, double timeout_s,
                                        cfb_err *err);
size_t cfb_calls_in_flight(const cfb_calls_t *c);
/* Runs transfers and callbacks until until_ns (cfb_now_ns; INT64_MAX: no limit), a wake, or at least one finished call. Errors:
 * EIO. */
CFB_MUST_CHECK cfb_code cfb_calls_run(cfb_calls_t *c, int64_t until_ns, cfb_err *err);
/* Ends a cfb_calls_run under way, or the next one. Threads: from any thread, and from a signal handler. */
void cfb_calls_wake(cfb_calls_t *c);
/* Ends every call under way with CFB_FAIL_STOPPED, with its callback. */
void cfb_calls_cut(cfb_calls_t *c);

#ifdef __cplusplus
}
#endif
#endif
