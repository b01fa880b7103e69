/* profile.h - how different servers of the same interface answer and refuse. */
#ifndef CFB_MOCK_PROFILE_H
#define CFB_MOCK_PROFILE_H

#include "mock/request.h"

/* Forms of an error document. */
typedef enum cfb_mock__error_form {
    CFB_MOCK__ERROR_OPENAI,     /* {"error": {"message", "type", "param", "code"}} */
    CFB_MOCK__ERROR_AZURE,      /* {"error": {"code": "429", "message"}} */
    CFB_MOCK__ERROR_VLLM,       /* {"object": "error", "message", "type", "param", "code": 400} */
    CFB_MOCK__ERROR_LLAMACPP,   /* {"error": {"code": 400, "message", "type"}} */
    CFB_MOCK__ERROR_OPENROUTER, /* {"error": {"message", "code": 400}, "user_id"} */
} cfb_mock__error_form;

typedef enum cfb_mock__rate_form {
    CFB_MOCK__RATE_OPENAI,    /* x-ratelimit-limit-requests, ... */
    CFB_MOCK__RATE_OPENROUTER /* X-RateLimit-Limit, ... */
} cfb_mock__rate_form;

typedef struct cfb_mock__profile {
    const char *name;
    const char *id_prefix; /* of a reply */
    cfb_mock__error_form errors;
    cfb_mock__rate_form rates;
    const char *reasoning;        /* member of the message that holds it; NULL = not shown */
    const char *keep_alive;       /* what a stream sends while it waits, or NULL */
    const char *keep_alive_plain; /* the same before a whole reply */
    const char *message_extra;    /* members behind content, with a comma in front, or "" */
    bool strict_reasoning_models; /* refuses max_tokens and temperature for such models */
    bool timings;                 /* llama.cpp's */
} cfb_mock__profile;

/* NULL or "" = the plain profile. NULL result: unknown. */
const cfb_mock__profile *cfb_mock__profile_of(const char *name);
extern const char cfb_mock__profile_names[]; /* "plain, openai, ..." */

/* Why the server refuses a request that is right by itself, or false. Texts borrow from buf. */
typedef struct cfb_mock__refusal {
    const char *param, *code, *type;
    char message[256];
} cfb_mock__refusal;
bool cfb_mock__profile_refuses(const cfb_mock__profile *p, const cfb_mock__chat *req, cfb_mock__refusal *out);
/* The request and its max_tokens do not fit into context tokens (0 = any do). */
bool cfb_mock__too_long(const cfb_mock__profile *p, const cfb_mock__chat *req, int64_t context, cfb_mock__refusal *out);

#endif
