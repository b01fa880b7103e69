/* pace.h - when the next call may start: the rate limiter that all threads share, the adaptive limit of calls in flight, and the
 * wait before a retry. Knows nothing of HTTP. */
#ifndef CFBENCH_PACE_H
#define CFBENCH_PACE_H

#include "cfbench/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Wait before try number `tries` + 1 (tries >= 1 have failed): base * 2^(tries-1), at most max_s, of which a random half
 * (seed, row, tries decide) is jitter; never less than retry_after_s. In seconds. Pure. */
double cfb_backoff_s(double base_s, double max_s, int tries, double retry_after_s, uint64_t seed, uint64_t row);

/* ---- rate limiter ---- */

/* Three limits at once; 0 = none. Spacing holds between real starts: a late start pushes the next one. The rates are grids: a
 * start that comes late does not move those after it, so the asked rate is reached; a thread that is late may catch up, by
 * CFB_LIMITER_SLACK_NS at most. */
typedef struct cfb_limits {
    double spacing_s;    /* at least so long between two starts */
    double calls_per_s;  /* so many starts a second */
    double tokens_per_s; /* so many tokens a second, as estimated by who starts and settled afterwards */
} cfb_limits;
#define CFB_LIMITER_SLACK_NS 4000000

/* Starts and calls in flight that are shared with other processes. All functions may be called from any thread and never wait. */
typedef struct cfb_pace_source {
    void *ctx;
    void (*want)(void *ctx, double tokens);     /* a call of about so many tokens wants to start */
    int64_t (*take)(void *ctx, int64_t now_ns); /* as cfb_limiter_take */
    void (*settle)(void *ctx, double tokens);   /* really taken, less what was estimated */
    void (*pause)(void *ctx, double delay_s);   /* a server asked for it */
    /* in_use counts the permits that are taken until the next watch (NULL ends); want: as many as there could be. */
    void (*watch)(void *ctx, atomic_int *in_use, int want);
    int (*in_flight)(void *ctx);           /* how many calls may be under way now */
    void (*keep_to)(void *ctx, int limit); /* from now on no more than this will be */
    void (*call_done)(void *ctx, int signal, int64_t started_ns, int64_t ended_ns, int in_flight); /* signal: cfb_signal */
    cfb_code (*check)(void *ctx, cfb_err *err);                                                    /* is it still there? */
} cfb_pace_source;

/* A start is reserved inside `#pragma omp critical(cfb_rate_limiter)`; waiting happens outside, so nobody sleeps while holding
 * it. Whoever has reserved waits until the due time, and then takes. */
typedef struct cfb_limiter {
    cfb_limits limits;
    int64_t spacing_ns;
    double next_call_ns, next_token_ns; /* first start of each grid that is not reserved yet; NaN before the first */
    int64_t paused_until_ns;
    int64_t last_ns;               /* latest start that happened */
    uint64_t starts;               /* how many happened */
    uint64_t pauses;               /* how often a server asked for one */
    int64_t min_gap_ns;            /* between two starts, the shortest so far; 0 before the second start */
    int64_t max_hold_ns;           /* longest time that one thread was inside the critical */
    const cfb_pace_source *source; /* NULL, or who gives the starts, within the limits above too */
} cfb_limiter;

void cfb_limiter_init(cfb_limiter *l, const cfb_limits *limits);
/* Reserves a start for a call of about so many tokens. Returns its due time (cfb_now_ns); it may have come already. */
int64_t cfb_limiter_reserve(cfb_limiter *l, double tokens);
/* At its due time: takes the start, and returns 0; or returns a later due time, because a pause came or the start would be too
 * close to another. */
int64_t cfb_limiter_take(cfb_limiter *l, int64_t due_ns);
/* A reserved start that will not be taken gives its tokens back. */
void cfb_limiter_settle(cfb_limiter *l, double estimated_tokens, double real_tokens);
/* No start before now + delay_s: what a server's Retry-After asks of all threads. */
void cfb_limiter_pause(cfb_limiter *l, double delay_s);
/* Reserve, sleep, take. Returns false if stop came on first (no start is taken). */
bool cfb_limiter_wait(cfb_limiter *l, cfb_stop *stop);

/* ---- adaptive limit ---- */

/* How many calls may be in flight, found out from how the server takes them. The limit doubles while all goes well. A refusal
 * (429, 503, timeout) marks a limit as too high: then the highest one that is taken well is searched between the last good and
 * the refused one, by halving the distance. A limit that brings no more throughput than a lower one is too high as well (the
 * server only queues): then the lowest one with at least 95 % of the best throughput is searched. Once found, a higher limit is
 * tried from time to time, and a lower one is searched as soon as the found one is refused. Refusals that do not depend on the
 * limit (a server that fails at random) are told apart and do not lower it for good.
 * The increase/decrease idea: Chiu and Jain 1989, doi:10.1016/0169-7552(89)90019-6; throughput from Little's law. */
typedef enum cfb_signal { CFB_SIGNAL_OK, CFB_SIGNAL_REFUSED, CFB_SIGNAL_OTHER } cfb_signal;
typedef enum cfb_adaptive_phase {
    CFB_ADAPTIVE_GROW,   /* doubling */
    CFB_ADAPTIVE_SEARCH, /* between good and refused */
    CFB_ADAPTIVE_TRIM,   /* between too little throughput and enough */
    CFB_ADAPTIVE_HOLD,
    CFB_ADAPTIVE_PROBE /* a little above what is held */
} cfb_adaptive_phase;
const char *cfb_adaptive_phase_name(cfb_adaptive_phase p);

typedef struct cfb_adaptive {
    int max, limit;
    cfb_adaptive_phase phase, found_by; /* found_by: how the held limit was found (GROW: it is max) */
    int good, bad;                      /* ends of the search; bad 0: none known */
    double best_per_s;                  /* highest throughput seen */
    double held_per_s;                  /* that of the held limit, when it was found */
    int last_limit;                     /* GROW: the limit before, and its throughput */
    double last_per_s;
    double noise;    /* share of refusals that does not depend on the limit */
    int bad_limit;   /* highest that was refused */
    int slow_epochs; /* HOLD: epochs in a row with far less throughput than when it was found */
    /* the epoch: calls that started under the present limit */
    int64_t epoch_ns, probe_at_ns;
    double probe_wait_s;
    int n_done, n_refused, n_measured;
    double sum_latency_s, sum_in_flight;
    uint64_t n_changes;
} cfb_adaptive;

/* start: the first limit, 1..max. */
void cfb_adaptive_init(cfb_adaptive *a, int start, int max, int64_t now_ns);
/* A call ended. in_flight: calls under way when it started, itself counted. Returns true if the limit changed (read a->limit).
 * Not thread-safe: the caller guards it. */
bool cfb_adaptive_done(cfb_adaptive *a, cfb_signal signal, int64_t started_ns, int64_t ended_ns, int in_flight);

#ifdef __cplusplus
}
#endif
#endif
