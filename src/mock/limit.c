#include "mock/limit.h"

cfb_code cfb_mock__limit_init(cfb_mock__limit *l, int64_t per_minute, cfb_err *err) {
    if (pthread_mutex_init(&l->lock, NULL) != 0) return cfb_err_set(err, CFB_ENOMEM, "cannot make a lock");
    double second = (double)((per_minute + 59) / 60);
    l->per_minute = per_minute;
    l->size = second < 2 ? 2 : second;
    l->tokens = l->size;
    l->last_ns = cfb_now_ns();
    return CFB_OK;
}

void cfb_mock__limit_destroy(cfb_mock__limit *l) { pthread_mutex_destroy(&l->lock); }

bool cfb_mock__limit_take(cfb_mock__limit *l, int64_t now_ns, cfb_mock__quota *out) {
    *out = (cfb_mock__quota){.limit = l->per_minute};
    if (l->per_minute == 0) return true;
    const double per_s = (double)l->per_minute / 60.0;
    pthread_mutex_lock(&l->lock);
    if (now_ns > l->last_ns) {
        double tokens = l->tokens + (double)(now_ns - l->last_ns) * 1e-9 * per_s;
        l->tokens = tokens > l->size ? l->size : tokens;
        l->last_ns = now_ns;
    }
    bool pass = l->tokens >= 1;
    if (pass) l->tokens -= 1;
    out->remaining = (int64_t)l->tokens;
    out->reset_s = (l->size - l->tokens) / per_s;
    out->wait_s = pass ? 0 : (1 - l->tokens) / per_s;
    pthread_mutex_unlock(&l->lock);
    return pass;
}
