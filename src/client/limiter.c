/* The rate limiter: reserve inside the critical, wait outside, take. */
#include "cfbench/pace.h"

#include <math.h>

void cfb_limiter_init(cfb_limiter *l, const cfb_limits *limits) {
/* Entered here too, so that the OpenMP runtime has started before threads that it does not know come in: libomp 14 ends the
 * program when two of them start it at once. */
#pragma omp critical(cfb_rate_limiter)
    {
        *l = (cfb_limiter){.limits = *limits, .next_call_ns = NAN, .next_token_ns = NAN};
        l->spacing_ns = (int64_t)(limits->spacing_s * 1e9 + 0.5);
        l->last_ns = l->paused_until_ns = INT64_MIN / 2;
    }
}

static void note_hold(cfb_limiter *l, int64_t entered_ns) {
    int64_t held = cfb_now_ns() - entered_ns;
    if (held > l->max_hold_ns) l->max_hold_ns = held;
}

/* The next start of a grid: where it stands, but not further back than the slack. */
static double on_grid(double next_ns, double now_ns) {
    if (isnan(next_ns)) return now_ns;
    return next_ns < now_ns - CFB_LIMITER_SLACK_NS ? now_ns - CFB_LIMITER_SLACK_NS : next_ns;
}

static int64_t reserve_inside(cfb_limiter *l, double tokens, int64_t now) {
    double due = (double)now - CFB_LIMITER_SLACK_NS;
    bool calls = l->limits.calls_per_s > 0, by_tokens = l->limits.tokens_per_s > 0;
    if (calls) {
        l->next_call_ns = on_grid(l->next_call_ns, (double)now);
        if (l->next_call_ns > due) due = l->next_call_ns;
    }
    if (by_tokens) {
        l->next_token_ns = on_grid(l->next_token_ns, (double)now);
        if (l->next_token_ns > due) due = l->next_token_ns;
    }
    if ((double)l->paused_until_ns > due) due = (double)l->paused_until_ns;
    if (calls) l->next_call_ns = due + 1e9 / l->limits.calls_per_s;
    if (by_tokens) l->next_token_ns = due + tokens * 1e9 / l->limits.tokens_per_s;
    return (int64_t)due;
}

int64_t cfb_limiter_reserve(cfb_limiter *l, double tokens) {
    int64_t due;
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t now = cfb_now_ns();
        due = reserve_inside(l, tokens, now);
        if (l->source) l->source->want(l->source->ctx, tokens);
        note_hold(l, now);
    }
    return due;
}

/* A start that comes later than the slack has lost its place and takes the next one: else all that a busy machine has held up
 * would start at once. */
static int64_t renew_if_late(cfb_limiter *l, int64_t due_ns, int64_t now) {
    if (l->limits.calls_per_s <= 0 || now - due_ns <= CFB_LIMITER_SLACK_NS) return due_ns;
    return reserve_inside(l, 0, now);
}

/* With spacing, a thread that wakes after its slot would be followed too closely by the next one, on time. So such a start counts
 * when it happens, not when it was due. */
int64_t cfb_limiter_take(cfb_limiter *l, int64_t due_ns) {
    int64_t later = 0;
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t now = cfb_now_ns(), earliest = l->last_ns + l->spacing_ns;
        if (now < l->paused_until_ns && due_ns < l->paused_until_ns) {
            later = reserve_inside(l, 0, now); /* its tokens are counted already */
        } else {
            int64_t due = renew_if_late(l, due_ns, now);
            later = due > now ? due : now < earliest ? earliest : 0;
        }
        if (later == 0 && l->source) later = l->source->take(l->source->ctx, now);
        if (later == 0) {
            if (l->starts++ > 0 && (l->min_gap_ns == 0 || now - l->last_ns < l->min_gap_ns)) l->min_gap_ns = now - l->last_ns;
            l->last_ns = now;
        }
        note_hold(l, now);
    }
    return later;
}

void cfb_limiter_settle(cfb_limiter *l, double estimated_tokens, double real_tokens) {
    if (l->source) l->source->settle(l->source->ctx, real_tokens - estimated_tokens);
    if (l->limits.tokens_per_s <= 0) return;
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t entered = cfb_now_ns();
        l->next_token_ns += (real_tokens - estimated_tokens) * 1e9 / l->limits.tokens_per_s;
        note_hold(l, entered);
    }
}

void cfb_limiter_pause(cfb_limiter *l, double delay_s) {
    if (l->source) l->source->pause(l->source->ctx, delay_s);
#pragma omp critical(cfb_rate_limiter)
    {
        int64_t entered = cfb_now_ns(), until = entered + (int64_t)(delay_s * 1e9);
        if (until > l->paused_until_ns) {
            l->pauses += l->paused_until_ns < entered;
            l->paused_until_ns = until;
            /* starts that were reserved for the time of the pause reserve again when they are taken */
            if (l->limits.calls_per_s > 0 && !(l->next_call_ns >= (double)until)) l->next_call_ns = (double)until;
        }
        note_hold(l, entered);
    }
}

bool cfb_limiter_wait(cfb_limiter *l, cfb_stop *stop) {
    int64_t due = cfb_limiter_reserve(l, 0);
    while (due != 0) {
        cfb_sleep_until_ns(due, stop);
        if (cfb_stop_is_on(stop)) return false;
        due = cfb_limiter_take(l, due);
    }
    return true;
}

double cfb_backoff_s(double base_s, double max_s, int tries, double retry_after_s, uint64_t seed, uint64_t row) {
    double wait = base_s;
    for (int i = 1; i < tries && wait < max_s; i++) wait *= 2;
    if (wait > max_s) wait = max_s;
    /* "equal jitter": half fixed, half random, so that retries of many rows spread out but none comes at once */
    wait = wait / 2 + wait / 2 * cfb_rand_unit(seed, row, (uint64_t)tries);
    return wait < retry_after_s ? retry_after_s : wait;
}
