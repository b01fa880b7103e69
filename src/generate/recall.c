#include "generate/recall.h"
#include "cfbench/base.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define QUEUE_BYTES ((size_t)64 << 20)
#define AT_ONCE 512   /* replies in one transaction */
#define GATHER_MS 200 /* so long replies are gathered before they are written */

struct kept {
    struct kept *next;
    size_t bytes;
    char key[65];
    cfb_cache_entry e;
    char texts[];
};

struct cfb_recall {
    cfb_cache_t *cache;
    cfb_request request;
    const char *endpoint;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct kept *first, **end;
    size_t bytes;
    bool stop, said;
};

/* ---- writing behind ---- */

static void write_list(cfb_recall_t *r, struct kept *list) {
    cfb_cache_entry *e = calloc(AT_ONCE, sizeof *e);
    while (list) {
        size_t n = 0;
        struct kept *from = list;
        for (; e && list && n < AT_ONCE; list = list->next) e[n++] = list->e;
        cfb_err err = CFB_ERR_INIT;
        if (n > 0 && cfb_cache_put_many(r->cache, e, n, &err) != CFB_OK && !r->said) {
            cfb_log(CFB_LOG_WARN, "%s; replies of this run may be missing in the response cache", err.msg);
            r->said = true;
        }
        if (e == NULL) list = NULL; /* out of memory: they are in the run store, which is what counts */
        while (from != list) {
            struct kept *next = from->next;
            free(from);
            from = next;
        }
    }
    free(e);
}

static void *write_behind(void *ctx) {
    cfb_recall_t *r = ctx;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (r->first == NULL && !r->stop) pthread_cond_wait(&r->come, &r->lock);
        if (r->first == NULL) break;
        if (!r->stop && r->bytes < QUEUE_BYTES / 4) { /* more will come: one transaction for all of them */
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += GATHER_MS * 1000000L;
            if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
            while (!r->stop && r->bytes < QUEUE_BYTES / 4 && pthread_cond_timedwait(&r->come, &r->lock, &until) == 0) {
            }
        }
        struct kept *list = r->first;
        r->first = NULL;
        r->end = &r->first;
        r->bytes = 0;
        pthread_mutex_unlock(&r->lock);
        write_list(r, list);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

cfb_code cfb_recall_new(cfb_cache_t *cache, const cfb_request *request, const char *endpoint, cfb_recall_t **out, cfb_err *err) {
    cfb_recall_t *r = calloc(1, sizeof *r);
    if (r == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    r->cache = cache;
    r->request = *request;
    r->request.stream = false; /* how a reply travels is no part of what was asked */
    r->endpoint = endpoint;
    r->end = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->come, NULL);
    int e = pthread_create(&r->thread, NULL, write_behind, r);
    if (e != 0) {
        pthread_mutex_destroy(&r->lock);
        pthread_cond_destroy(&r->come);
        free(r);
        return cfb_err_set(err, CFB_ECONFIG, "the response cache got no thread of its own (error %d)", e);
    }
    *out = r;
    return CFB_OK;
}

void cfb_recall_free(cfb_recall_t *r) {
    if (r == NULL) return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->come);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->come);
    free(r);
}

static cfb_str put_text(char **at, cfb_str s) {
    if (s.ptr == NULL) return s;
    if (s.len) memcpy(*at, s.ptr, s.len);
    cfb_str copy = {*at, s.len};
    *at += s.len;
    return copy;
}

void cfb_recall_put(cfb_recall_t *r, const char *key, const cfb_chat_reply *reply) {
    size_t bytes = sizeof(struct kept) + reply->content.len + reply->reasoning.len + 1;
    struct kept *k = bytes < QUEUE_BYTES ? malloc(bytes) : NULL;
    if (k == NULL) return;
    char *at = k->texts;
    k->next = NULL;
    k->bytes = bytes;
    memcpy(k->key, key, sizeof k->key);
    k->e = (cfb_cache_entry){.key = k->key,
                             .model = cfb_str_from(r->request.model),
                             .endpoint = cfb_str_from(r->endpoint),
                             .content = put_text(&at, reply->content),
                             .reasoning = put_text(&at, reply->reasoning),
                             .finish = cfb_str_from(cfb_finish_name(reply->finish)),
                             .prompt_tokens = reply->prompt_tokens,
                             .completion_tokens = reply->completion_tokens,
                             .reasoning_tokens = reply->reasoning_tokens,
                             .cached_tokens = reply->cached_tokens,
                             .latency_us = reply->latency_us,
                             .created_ms = cfb_wall_ms()};
    pthread_mutex_lock(&r->lock);
    bool taken = r->bytes + bytes <= QUEUE_BYTES;
    if (taken) {
        bool first = r->first == NULL;
        *r->end = k;
        r->end = &k->next;
        r->bytes += bytes;
        if (first || r->bytes >= QUEUE_BYTES / 4) pthread_cond_signal(&r->come);
    }
    pthread_mutex_unlock(&r->lock);
    if (!taken) free(k);
}

/* ---- looking up ---- */

void cfb_recall_desk_free(cfb_recall_desk *d) {
    cfb_buf_free(&d->body);
    cfb_buf_free(&d->texts);
}

static cfb_finish finish_of(cfb_str name) {
    static const cfb_finish all[] = {CFB_FINISH_STOP, CFB_FINISH_LENGTH, CFB_FINISH_FILTER};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (cfb_str_eqz(name, cfb_finish_name(all[i]))) return all[i];
    return CFB_FINISH_OTHER;
}

cfb_code cfb_recall_get(cfb_recall_t *r, cfb_recall_desk *d, cfb_str prompt, int max_tokens, cfb_chat_reply *out, bool *hit,
                        cfb_err *err) {
    cfb_cache_entry e;
    *hit = false;
    cfb_buf_clear(&d->body);
    cfb_code rc = cfb_request_write(&r->request, 0, prompt, max_tokens, &d->body, err);
    if (rc != CFB_OK) return rc;
    cfb_cache_key(cfb_str_from(r->endpoint), cfb_buf_str(&d->body), d->key);
    rc = cfb_cache_get(r->cache, d->key, &d->texts, &e, hit, err);
    if (rc == CFB_ELIMIT) { /* larger than any reply may be: not one of ours */
        *hit = false;
        rc = CFB_OK;
    }
    if (rc != CFB_OK || !*hit) return rc;
    cfb_chat_reply_init(out);
    out->fail = CFB_FAIL_NONE;
    out->http_status = 200;
    out->content = e.content;
    out->reasoning = e.reasoning;
    out->finish = finish_of(e.finish);
    out->prompt_tokens = e.prompt_tokens;
    out->completion_tokens = e.completion_tokens;
    out->reasoning_tokens = e.reasoning_tokens;
    out->cached_tokens = e.cached_tokens;
    out->started_wall_ms = cfb_wall_ms();
    return CFB_OK;
}
