/* errors.h - error documents, in the form of each server. */
#ifndef CFB_MOCK_ERRORS_H
#define CFB_MOCK_ERRORS_H

#include "mock/profile.h"

typedef struct cfb_mock__error {
    int status;
    const char *type, *code, *message, *param; /* NULL: the usual ones of the status; param: null */
    int64_t n_prompt_tokens, n_ctx;            /* llama.cpp, when the context is too small; else 0 */
    bool content_filter;                       /* Azure: with innererror */
} cfb_mock__error;

/* Appends one JSON document. */
CFB_MUST_CHECK cfb_code cfb_mock__write_error(const cfb_mock__profile *p, const cfb_mock__error *e, cfb_buf *out, cfb_err *err);

#endif
