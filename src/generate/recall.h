/* recall.h - the response cache as a run uses it: looked up before a call, written behind by a thread of its own. */
#ifndef CFB_GENERATE_RECALL_H
#define CFB_GENERATE_RECALL_H

#include "cfbench/cache.h"
#include "cfbench/client.h"

typedef struct cfb_recall cfb_recall_t;

/* cache and the strings of request and endpoint are borrowed until it is freed. endpoint: the first base URL, as all of them
 * serve the same model. Whether a reply streams is no part of the key. Errors: ENOMEM, ECONFIG (no thread). Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_recall_new(cfb_cache_t *cache, const cfb_request *request, const char *endpoint, cfb_recall_t **out,
                                       cfb_err *err);
/* Writes what is left, and frees. Failing to write is a warning: the replies are in the run store. NULL is fine. */
void cfb_recall_free(cfb_recall_t *r);

/* What a worker keeps for its look-ups. */
typedef struct cfb_recall_desk {
    cfb_buf body, texts;
    char key[65]; /* of the last look-up */
} cfb_recall_desk;
#define CFB_RECALL_DESK_INIT                                                  \
    {                                                                         \
        CFB_BUF_INIT((size_t)64 << 20), CFB_BUF_INIT((size_t)64 << 20), { 0 } \
    }
void cfb_recall_desk_free(cfb_recall_desk *d);

/* Looks a request up. *hit: out is a reply that needed no call: its strings borrow from the desk, its latency is 0. d->key is set
 * in any case, for cfb_recall_put. Errors: ENOMEM, those of cfb_request_write. Threads: safe, each with its own desk. */
CFB_MUST_CHECK cfb_code cfb_recall_get(cfb_recall_t *r, cfb_recall_desk *d, cfb_str prompt, int max_tokens, cfb_chat_reply *out,
                                       bool *hit, cfb_err *err);
/* Has a good reply kept, soon. Copies; never waits: what comes faster than it can be written is not kept. Only whole replies
 * should come here (state ok). Threads: safe. */
void cfb_recall_put(cfb_recall_t *r, const char *key, const cfb_chat_reply *reply);

#endif
