/* cache.h - the response cache: replies by everything that decides them, in one SQLite file that runs and processes of one
 * machine share. It saves calls and never decides a result: an entry that is damaged is a miss. docs/cache.md describes it. */
#ifndef CFBENCH_CACHE_H
#define CFBENCH_CACHE_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_cache cfb_cache_t;

/* A reply. Token counts are -1 where the server did not tell them. */
typedef struct cfb_cache_entry {
    const char *key;         /* 64 lower-case hex digits: cfb_cache_key */
    cfb_str model, endpoint; /* for statistics and pruning; what counts of them is in the key */
    cfb_str content;         /* not null */
    cfb_str reasoning;       /* a null string if there is none */
    cfb_str finish;          /* name of the finish reason */
    int64_t prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
    int64_t latency_us;
    int64_t created_ms; /* Unix time of the reply, in ms */
} cfb_cache_entry;

/* SHA-256 of an address and the whole body of a request. */
void cfb_cache_key(cfb_str endpoint, cfb_str body, char hex[65]);

/* Opens a cache. create: makes the file and its folder if they are not there. Errors: ENOTFOUND, EACCESS, EDATA (not a response
 * cache, a damaged or newer one: the message says what to do), EIO, ENOMEM. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_cache_open(const char *path, bool create, cfb_cache_t **out, cfb_err *err);
/* Writes down which entries were used, and frees. Errors of that writing are reported; the cache is freed in every case. NULL is
 * fine. Call it when no other thread uses the cache. */
cfb_code cfb_cache_close(cfb_cache_t *c, cfb_err *err);

/* Looks a reply up. *hit says whether it is there; then *out is filled, its texts borrowed from scratch, which is cleared first.
 * An entry whose checksum is wrong is a miss, and so is everything in a file that turns out to be damaged (a warning is logged
 * once). Errors: ENOMEM, ELIMIT (scratch is full). Threads: safe from any number. */
CFB_MUST_CHECK cfb_code cfb_cache_get(cfb_cache_t *c, const char *key, cfb_buf *scratch, cfb_cache_entry *out, bool *hit,
                                      cfb_err *err);
/* Adds n entries in one transaction. One that is there stays as it is, unless it was found to be damaged. The caller decides what
 * is worth keeping; failures never are. n may be 0: then only the times of use are written. Errors: EDOMAIN (a key that is none),
 * ENOSPACE, EACCESS (locked), EDATA, EIO; then none of them is added. Threads: safe; one at a time writes. */
CFB_MUST_CHECK cfb_code cfb_cache_put_many(cfb_cache_t *c, const cfb_cache_entry *entries, size_t n, cfb_err *err);

typedef struct cfb_cache_info {
    const char *model;    /* of one model: borrowed for the callback; NULL for the whole cache */
    int64_t entries;      /* replies */
    int64_t text_bytes;   /* their contents and reasoning */
    int64_t file_bytes;   /* of the whole cache: what the file holds; 0 for one model */
    int64_t oldest_ms;    /* Unix time of the oldest reply; 0 without one */
    int64_t newest_ms;    /* and of the newest */
    int64_t last_used_ms; /* to within an hour */
    int64_t prompt_tokens, completion_tokens;
} cfb_cache_info;
typedef cfb_code (*cfb_cache_info_fn)(void *ctx, const cfb_cache_info *model, cfb_err *err);
/* Totals, and fn (may be NULL) for each model in the order of names. Reads every entry's head, not its text. */
CFB_MUST_CHECK cfb_code cfb_cache_stats(cfb_cache_t *c, cfb_cache_info *all, cfb_cache_info_fn fn, void *ctx, cfb_err *err);

typedef struct cfb_cache_prune_opts {
    int64_t before_ms; /* removes replies made before this Unix time in ms; 0 = does not matter */
    int64_t max_bytes; /* then removes the least recently used ones until the file is at most so large; -1 = no limit */
    const char *model; /* NULL: of any model; else all of the above is about this model's replies only */
} cfb_cache_prune_opts;
#define CFB_CACHE_PRUNE_INIT \
    { 0, -1, NULL }
/* Removes entries, and gives the space back to the file system. With model alone, all of that model's. *n_removed counts. Errors:
 * EUSAGE (no condition is given), and those of writing. Times of use are exact to an hour. An empty cache still has some 20 KB.
 */
CFB_MUST_CHECK cfb_code cfb_cache_prune(cfb_cache_t *c, const cfb_cache_prune_opts *o, int64_t *n_removed, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
