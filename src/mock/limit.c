#include "mock/limit.h"

#include <stdlib.h>

cfb_code cfb_mock__limit_init(cfb_mock__limit *l, cfb_err *err) {
    memset(l, 0, sizeof *l);
    l->last_ns = cfb_now_ns();
    return pthread_mutex_init(&l->lock, NULL) == 0 ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
}

void cfb_mock__limit_destroy(cfb_mock__limit *l) {
    free(l->free_ns);
    pthread_mutex_destroy(&l->lock);
}

/* ---- rates ---- */

static void bucket_set(cfb_mock__bucket *b, int64_t per_minute) {
    double second = (double)((per_minute + 59) / 60);
    b->per_minute = per_minute;
    b->size = b->level = second < 2 ? 2 : second;
}

static void bucket_fill(cfb_mock__bucket *b, double seconds) {
    b->level += seconds * (double)b->per_minute / 60;
    if (b->level > b->size) b->level = b->size;
}

/* Seconds until n can be taken. */
static double bucket_wait(const cfb_mock__bucket *b, double n) {
    double need = n < b->size ? n : b->size;
    return b->per_minute == 0 || b->level >= need ? 0 : (need - b->level) * 60 / (double)b->per_minute;
}

static cfb_mock__level bucket_level(const cfb_mock__bucket *b) {
    if (b->per_minute == 0) return (cfb_mock__level){0};
    return (cfb_mock__level){b->per_minute, b->level > 0 ? (int64_t)b->level : 0,
                             (b->size - b->level) * 60 / (double)b->per_minute};
}

static void update_paced(cfb_mock__limit *l) {
    atomic_store(&l->paced, l->requests.per_minute > 0 || l->tokens.per_minute > 0 || l->quota > 0);
}

void cfb_mock__limit_set_rates(cfb_mock__limit *l, int64_t requests_per_minute, int64_t tokens_per_minute) {
    pthread_mutex_lock(&l->lock);
    bucket_set(&l->requests, requests_per_minute);
    bucket_set(&l->tokens, tokens_per_minute);
    update_paced(l);
    pthread_mutex_unlock(&l->lock);
}

void cfb_mock__limit_set_quota(cfb_mock__limit *l, int64_t calls) {
    pthread_mutex_lock(&l->lock);
    l->quota = calls;
    l->used = 0;
    update_paced(l);
    pthread_mutex_unlock(&l->lock);
}

static cfb_mock__pass take_locked(cfb_mock__limit *l, double tokens, cfb_mock__quota *out) {
    if (l->quota > 0 && l->used >= l->quota) return CFB_MOCK__PASS_QUOTA;
    double a = bucket_wait(&l->requests, 1), b = bucket_wait(&l->tokens, tokens);
    out->wait_s = a > b ? a : b;
    if (out->wait_s > 0) return a >= b ? CFB_MOCK__PASS_REQUESTS : CFB_MOCK__PASS_TOKENS;
    l->requests.level -= 1;
    l->tokens.level -= tokens;
    l->used++;
    return CFB_MOCK__PASS;
}

cfb_mock__pass cfb_mock__limit_take(cfb_mock__limit *l, int64_t now_ns, int64_t tokens, cfb_mock__quota *out) {
    *out = (cfb_mock__quota){0};
    if (!atomic_load(&l->paced)) return CFB_MOCK__PASS;
    pthread_mutex_lock(&l->lock);
    if (now_ns > l->last_ns) {
        double seconds = (double)(now_ns - l->last_ns) * 1e-9;
        bucket_fill(&l->requests, seconds);
        bucket_fill(&l->tokens, seconds);
        l->last_ns = now_ns;
    }
    cfb_mock__pass pass = take_locked(l, (double)tokens, out);
    out->requests = bucket_level(&l->requests);
    out->tokens = bucket_level(&l->tokens);
    pthread_mutex_unlock(&l->lock);
    return pass;
}

void cfb_mock__limit_settle(cfb_mock__limit *l, int64_t tokens) {
    if (!atomic_load(&l->paced)) return;
    pthread_mutex_lock(&l->lock);
    l->tokens.level -= (double)tokens;
    pthread_mutex_unlock(&l->lock);
}

/* ---- places ---- */

void cfb_mock__limit_set_inflight(cfb_mock__limit *l, int64_t max) { atomic_store(&l->max_inflight, max); }

bool cfb_mock__limit_enter(cfb_mock__limit *l) {
    int_fast64_t max = atomic_load(&l->max_inflight), n = atomic_fetch_add(&l->inflight, 1);
    if (max == 0 || n < max) return true;
    atomic_fetch_sub(&l->inflight, 1);
    return false;
}

void cfb_mock__limit_leave(cfb_mock__limit *l) { atomic_fetch_sub(&l->inflight, 1); }

/* ---- slots ---- */

static void heap_up(int64_t *h, size_t i) {
    int64_t v = h[i];
    for (; i > 0 && h[(i - 1) / 2] > v; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
    h[i] = v;
}

static void heap_down(int64_t *h, size_t n) {
    int64_t v = h[0];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && h[child + 1] < h[child]) child++;
        if (h[child] >= v) break;
        h[i] = h[child];
    }
    h[i] = v;
}

cfb_code cfb_mock__limit_set_slots(cfb_mock__limit *l, int64_t n, cfb_err *err) {
    cfb_code rc = CFB_OK;
    pthread_mutex_lock(&l->lock);
    if (l->free_ns == NULL && n > 0) l->free_ns = calloc(CFB_MOCK__MAX_SLOTS, sizeof *l->free_ns);
    if (l->free_ns == NULL && n > 0) {
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    } else {
        while (l->n_heap < (size_t)n) { /* new slots are free from now on */
            l->free_ns[l->n_heap] = 0;
            heap_up(l->free_ns, l->n_heap++);
        }
        while (l->n_heap > (size_t)n) { /* the slots that are free first go first; busy ones stay */
            l->free_ns[0] = l->free_ns[--l->n_heap];
            heap_down(l->free_ns, l->n_heap);
        }
        atomic_store(&l->n_slots, n);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

int64_t cfb_mock__limit_queue(cfb_mock__limit *l, int64_t now_ns, int64_t service_ns) {
    if (atomic_load(&l->n_slots) == 0) return now_ns + service_ns;
    pthread_mutex_lock(&l->lock);
    int64_t begin = now_ns;
    if (l->n_heap > 0) {
        if (l->free_ns[0] > begin) begin = l->free_ns[0];
        l->free_ns[0] = begin + service_ns;
        heap_down(l->free_ns, l->n_heap);
    }
    pthread_mutex_unlock(&l->lock);
    return begin + service_ns;
}
