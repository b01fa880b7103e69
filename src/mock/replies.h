/* replies.h - the bodies of replies. */
#ifndef CFB_MOCK_REPLIES_H
#define CFB_MOCK_REPLIES_H

#include "mock/profile.h"

typedef struct cfb_mock__completion {
    const cfb_mock__profile *profile;
    cfb_str model, content, finish_reason; /* a null content is written as null */
    cfb_str quoted;                        /* content as a JSON string, or null: made when needed */
    cfb_str reasoning;                     /* shown in the profile's member; null = none */
    const char *id;                        /* hash of the prompt */
    uint64_t try_no;
    size_t prompt_tokens, completion_tokens; /* the latter with those of the reasoning */
    size_t reasoning_tokens;                 /* named when with_reasoning */
    bool with_reasoning, with_cached;
    size_t cached_tokens; /* named when with_cached */
    bool as_parts;        /* content as a list of parts */
} cfb_mock__completion;

/* All append one JSON document, or a piece of one, to out. */
CFB_MUST_CHECK cfb_code cfb_mock__write_chat(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err);
/* "{"id": ..., "object": object, "created": ..., "model": ...": what all documents of one reply begin with. */
CFB_MUST_CHECK cfb_code cfb_mock__write_head(const cfb_mock__completion *c, cfb_str object, cfb_buf *out, cfb_err *err);
/* The value of "usage". */
CFB_MUST_CHECK cfb_code cfb_mock__write_usage(const cfb_mock__completion *c, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__write_embeddings(const cfb_mock__embed *req, cfb_buf *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__write_models(const cfb_mock__profile *p, int64_t context, cfb_buf *out, cfb_err *err);

#endif
