/* replies.h - the bodies of replies. */
#ifndef CFB_MOCK_REPLIES_H
#define CFB_MOCK_REPLIES_H

#include "mock/request.h"

typedef struct cfb_mock__completion {
    cfb_str model, content, finish_reason; /* a null content is written as null */
    cfb_str quoted;                        /* content as a JSON string, or null: made when needed */
    const char *id;                        /* hash of the prompt */
    uint64_t try_no;
    size_t prompt_tokens, completion_tokens;
} cfb_mock__completion;

/* All append one JSON document to out. */
CFB_MUST_CHECK cfb_code cfb_mock__write_chat(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__write_embeddings(const cfb_mock__embed *req, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__write_models(cfb_buf *out, cfb_err *err);
/* An OpenAI-style error; type and code follow from the status. message NULL = a usual one for the status. */
CFB_MUST_CHECK cfb_code cfb_mock__write_error(int status, const char *message, const char *param, cfb_buf *out, cfb_err *err);

#endif
