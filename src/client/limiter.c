#include "cfbench/base.h"
#include "cfbench/client.h"

void cfb_limiter_init(cfb_limiter *l, double interval_s) {
    *l = (cfb_limiter){0};
    l->interval_ns = (int64_t)(interval_s * 1e9 + 0.5);
    l->last_ns = INT64_MIN / 2;
}

static void note_hold(cfb_limiter *l, int64_t entered_ns) {
    int64_t held = cfb_now_ns() - entered_ns;
    if (held > l->max_hold_ns) l->max_hold_ns = held;
}

/* The next free start on the grid. */
static int64_t reserve(cfb_limiter *l) {
    int64_t due;
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t now = cfb_now_ns();
        due = l->next_ns > now ? l->next_ns : now;
        l->next_ns = due + l->interval_ns;
        note_hold(l, now);
    }
    return due;
}

/* Takes the start now, or says when it may be tried again. A thread may wake late, after its slot; the next one, on time, would
 * then follow too closely. So a start counts when it happens, not when it was due. */
static int64_t take(cfb_limiter *l) {
    int64_t retry_ns = 0;
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t now = cfb_now_ns(), earliest = l->last_ns + l->interval_ns;
        if (now >= earliest) {
            if (l->starts++ > 0 && (l->min_gap_ns == 0 || now - l->last_ns < l->min_gap_ns)) l->min_gap_ns = now - l->last_ns;
            l->last_ns = now;
        } else {
            retry_ns = earliest;
        }
        note_hold(l, now);
    }
    return retry_ns;
}

bool cfb_limiter_wait(cfb_limiter *l, cfb_stop *stop) {
    int64_t due = reserve(l);
    while (due != 0) {
        cfb_sleep_until_ns(due, stop);
        if (cfb_stop_is_on(stop)) return false;
        due = take(l);
    }
    return true;
}

void cfb_limiter_pause(cfb_limiter *l, double delay_s) {
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t entered = cfb_now_ns(), until = entered + (int64_t)(delay_s * 1e9);
        /* threads that hold an earlier reservation meet `last_ns` when they take their start */
        if (until - l->interval_ns > l->last_ns) l->last_ns = until - l->interval_ns;
        if (until > l->next_ns) l->next_ns = until;
        note_hold(l, entered);
    }
}

double cfb_backoff_s(double base_s, double max_s, int tries, double retry_after_s, uint64_t seed, uint64_t row) {
    double wait = base_s;
    for (int i = 1; i < tries && wait < max_s; i++) wait *= 2;
    if (wait > max_s) wait = max_s;
    /* "equal jitter": half fixed, half random, so that retries of many rows spread out but none comes at once */
    wait = wait / 2 + wait / 2 * cfb_rand_unit(seed, row, (uint64_t)tries);
    return wait < retry_after_s ? retry_after_s : wait;
}
