/* request.h - checks and reads the bodies of chat and embedding requests. Strict: a wrong body gets status 400. */
#ifndef CFB_MOCK_REQUEST_H
#define CFB_MOCK_REQUEST_H

#include "cfbench/json.h"

typedef struct cfb_mock__chat {
    cfb_json *root;             /* NULL after the quick scan */
    cfb_buf text;               /* owns texts that had escapes or parts; may be used again */
    cfb_str model, prompt;      /* borrow from the body, root or text; prompt: last user message (without one: last message) */
    size_t n_prompt_tokens;     /* code points of all messages */
    int64_t max_tokens;         /* 0 = not given */
    const char *max_tokens_key; /* the member that gave it */
    bool has_temperature;
    double temperature;
    bool stream, include_usage;
} cfb_mock__chat;

typedef struct cfb_mock__embed {
    cfb_json *root;
    cfb_str model;
    cfb_str *texts; /* n_texts strings that borrow from root */
    size_t n_texts;
    size_t n_tokens; /* code points of all texts */
    int64_t dim;
    bool base64;
} cfb_mock__embed;

#define CFB_MOCK__EMBED_DIM 8
#define CFB_MOCK__EMBED_MAX_DIM 4096
#define CFB_MOCK__EMBED_MAX_TEXTS 2048

/* A body of the usual form is scanned in one pass (scan.h), any other is parsed in full.
 * Errors: ENOMEM, else the request is wrong: err->msg says why and *param names the parameter (a literal, or NULL).
 * Owns: *out in every case, freed with the function below. Threads: pure. */
CFB_MUST_CHECK cfb_code cfb_mock__chat_parse(cfb_str body, cfb_mock__chat *out, const char **param, cfb_err *err);
/* Without the quick scan: the same result, slower. */
CFB_MUST_CHECK cfb_code cfb_mock__chat_parse_full(cfb_str body, cfb_mock__chat *out, const char **param, cfb_err *err);
void cfb_mock__chat_free(cfb_mock__chat *req);
/* dim: of the vectors, when the request does not say. */
CFB_MUST_CHECK cfb_code cfb_mock__embed_parse(cfb_str body, int64_t dim, cfb_mock__embed *out, const char **param, cfb_err *err);
void cfb_mock__embed_free(cfb_mock__embed *req);

bool cfb_mock__known_role(cfb_str role);
/* Code points of valid UTF-8, and the longest prefix of at most n code points. */
size_t cfb_mock__count(cfb_str s);
cfb_str cfb_mock__prefix(cfb_str s, size_t n);

#endif
