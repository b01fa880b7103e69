/* How many calls in flight the server takes well: a search that never ends, in epochs of calls. */
#include "cfbench/pace.h"

/* An epoch is judged after so many calls at least, and after two generations of them: those that started while the queue was
 * still settling, and those that are measured. */
#define EPOCH_CALLS 16
#define REFUSED_SHARE 0.05 /* more than this is a refusal of the limit */
#define NOISE_FACTOR 2.0   /* with refusals at random: this many times as many */
#define SURE_SHARE 0.30    /* a share that never counts as random */
#define GAIN 0.30          /* doubling must bring this share of a doubled throughput */
#define ENOUGH 0.95        /* of the best throughput */
#define SLOW 0.70          /* of the throughput when the limit was found: the server has changed */
#define SLOW_EPOCHS 3
#define PROBE_FIRST_S 1.0
#define PROBE_LONGEST_S 30.0

const char *cfb_adaptive_phase_name(cfb_adaptive_phase p) {
    static const char *const names[] = {"grow", "search", "trim", "hold", "probe"};
    return names[p];
}

static void new_epoch(cfb_adaptive *a, int64_t now_ns) {
    a->epoch_ns = now_ns;
    a->n_done = a->n_refused = a->n_measured = 0;
    a->sum_latency_s = a->sum_in_flight = 0;
}

static void set_limit(cfb_adaptive *a, int limit) {
    if (limit > a->max) limit = a->max;
    if (limit < 1) limit = 1;
    if (limit != a->limit) a->n_changes++;
    a->limit = limit;
}

void cfb_adaptive_init(cfb_adaptive *a, int start, int max, int64_t now_ns) {
    *a = (cfb_adaptive){.max = max > 0 ? max : 1, .phase = CFB_ADAPTIVE_GROW, .probe_wait_s = PROBE_FIRST_S};
    set_limit(a, start);
    a->n_changes = 0;
    new_epoch(a, now_ns);
}

/* Are two limits so close that the better one need not be searched any more? */
static bool is_close(int low, int high) {
    int step = low / 25; /* 4 % */
    return high - low <= (step > 1 ? step : 1);
}

static void hold(cfb_adaptive *a, int limit, cfb_adaptive_phase found_by, double per_s, int64_t now_ns) {
    a->phase = CFB_ADAPTIVE_HOLD;
    a->found_by = found_by;
    a->held_per_s = per_s;
    a->slow_epochs = 0;
    a->probe_at_ns = now_ns + (int64_t)(a->probe_wait_s * 1e9);
    set_limit(a, limit);
}

/* Goes on between good and bad, or stays at good. */
static void search(cfb_adaptive *a, double per_s, int64_t now_ns) {
    if (a->bad - a->good <= 1 || is_close(a->good, a->bad)) {
        hold(a, a->good, CFB_ADAPTIVE_SEARCH, per_s, now_ns);
        return;
    }
    a->phase = CFB_ADAPTIVE_SEARCH;
    set_limit(a, a->good + (a->bad - a->good) / 2);
}

/* good: too little throughput; bad: enough. Stays at the lowest that is enough. */
static void trim(cfb_adaptive *a, double per_s, int64_t now_ns) {
    if (is_close(a->good, a->bad)) {
        hold(a, a->bad, CFB_ADAPTIVE_TRIM, per_s, now_ns);
        return;
    }
    a->phase = CFB_ADAPTIVE_TRIM;
    set_limit(a, a->good + (a->bad - a->good) / 2);
}

static void on_refused(cfb_adaptive *a, double share, int64_t now_ns) {
    int refused = a->limit;
    if (a->bad_limit > 0 && refused <= a->bad_limit / 2 && share < SURE_SHARE) {
        a->noise = share; /* a limit that is far too high would refuse most: these do not come from the limit */
        a->bad = 0;
        a->phase = CFB_ADAPTIVE_GROW;
        a->last_limit = 0;
        set_limit(a, a->bad_limit);
        a->bad_limit = 0;
        return;
    }
    if (a->phase == CFB_ADAPTIVE_PROBE) { /* what was held is still the limit */
        a->probe_wait_s = a->probe_wait_s * 2 < PROBE_LONGEST_S ? a->probe_wait_s * 2 : PROBE_LONGEST_S;
        hold(a, a->good, a->found_by, a->held_per_s, now_ns);
        return;
    }
    if (refused > a->bad_limit) a->bad_limit = refused;
    a->bad = refused;
    if (a->phase == CFB_ADAPTIVE_HOLD || a->phase == CFB_ADAPTIVE_TRIM || a->good >= refused) { /* the limit moved down */
        a->good = 0;
        a->probe_wait_s = PROBE_FIRST_S;
    }
    if (a->good == 0 && refused > 1) { /* nothing known to be good: down by half, not into the middle of nowhere */
        a->phase = CFB_ADAPTIVE_SEARCH;
        set_limit(a, refused / 2);
        return;
    }
    search(a, 0, now_ns);
}

static void on_grown(cfb_adaptive *a, double per_s, int64_t now_ns) {
    double gain = a->last_limit > 0 ? (double)a->limit / a->last_limit - 1 : 0;
    if (gain > 0.1 && per_s < a->last_per_s * (1 + GAIN * gain)) { /* the server only queues */
        a->good = a->last_limit;
        a->bad = a->limit;
        if (a->last_per_s >= ENOUGH * a->best_per_s) { /* the one before was enough already: look below it */
            a->bad = a->last_limit;
            a->good = 0;
        }
        trim(a, per_s, now_ns);
        return;
    }
    a->good = a->limit;
    a->last_limit = a->limit;
    a->last_per_s = per_s;
    if (a->limit >= a->max)
        hold(a, a->max, CFB_ADAPTIVE_GROW, per_s, now_ns);
    else
        set_limit(a, a->limit * 2);
}

static void on_held(cfb_adaptive *a, double per_s, int64_t now_ns) {
    a->slow_epochs = per_s < SLOW * a->held_per_s ? a->slow_epochs + 1 : 0;
    if (a->slow_epochs >= SLOW_EPOCHS && a->limit > 1) { /* the server takes less than it did: is less enough? */
        a->best_per_s = per_s;
        a->bad = a->limit;
        a->good = a->limit / 4;
        a->probe_wait_s = PROBE_FIRST_S;
        trim(a, per_s, now_ns);
        return;
    }
    a->good = a->limit;
    if (a->limit >= a->max || now_ns < a->probe_at_ns) return;
    a->phase = CFB_ADAPTIVE_PROBE;
    a->held_per_s = per_s;
    set_limit(a, a->limit + (a->limit / 16 > 1 ? a->limit / 16 : 1));
}

static void on_probed(cfb_adaptive *a, double per_s, int64_t now_ns) {
    double step = (double)a->limit / a->good - 1;
    if (a->found_by == CFB_ADAPTIVE_TRIM && per_s < a->held_per_s * (1 + 0.5 * step)) { /* more calls still bring nothing */
        a->probe_wait_s = a->probe_wait_s * 2 < PROBE_LONGEST_S ? a->probe_wait_s * 2 : PROBE_LONGEST_S;
        hold(a, a->good, a->found_by, a->held_per_s, now_ns);
        return;
    }
    a->probe_wait_s = PROBE_FIRST_S;
    a->bad = a->bad_limit = 0; /* the limit moved up, who knows how far */
    a->phase = CFB_ADAPTIVE_GROW;
    a->last_limit = a->good;
    a->last_per_s = a->held_per_s;
    a->best_per_s = per_s;
    a->good = a->limit;
    set_limit(a, a->limit + (a->limit / 4 > 1 ? a->limit / 4 : 1));
}

static void on_clean(cfb_adaptive *a, double per_s, int64_t now_ns) {
    if (per_s > a->best_per_s) a->best_per_s = per_s;
    switch (a->phase) {
    case CFB_ADAPTIVE_GROW: on_grown(a, per_s, now_ns); return;
    case CFB_ADAPTIVE_SEARCH:
        a->good = a->limit;
        search(a, per_s, now_ns);
        return;
    case CFB_ADAPTIVE_TRIM:
        if (per_s >= ENOUGH * a->best_per_s)
            a->bad = a->limit;
        else
            a->good = a->limit;
        trim(a, per_s, now_ns);
        return;
    case CFB_ADAPTIVE_HOLD: on_held(a, per_s, now_ns); return;
    case CFB_ADAPTIVE_PROBE: on_probed(a, per_s, now_ns); return;
    }
}

/* Half the calls of a limit that was refused, and refusals again? Then they may come at random: worth a whole epoch. */
static bool is_doubtful(const cfb_adaptive *a) { return a->bad_limit > 0 && a->limit <= a->bad_limit / 2; }

/* Share of refusals that is too much at the present limit. */
static double too_many(const cfb_adaptive *a) {
    double random = a->noise * NOISE_FACTOR;
    return random > REFUSED_SHARE ? random : REFUSED_SHARE;
}

bool cfb_adaptive_done(cfb_adaptive *a, cfb_signal signal, int64_t started_ns, int64_t ended_ns, int in_flight) {
    if (started_ns < a->epoch_ns || signal == CFB_SIGNAL_OTHER) return false;
    int before = a->limit, half = a->limit > EPOCH_CALLS / 2 ? a->limit : EPOCH_CALLS / 2;
    a->n_done++;
    a->n_refused += signal == CFB_SIGNAL_REFUSED;
    if (a->n_done > half && signal == CFB_SIGNAL_OK) {
        a->n_measured++;
        a->sum_latency_s += (double)(ended_ns - started_ns) * 1e-9;
        a->sum_in_flight += in_flight;
    }
    /* Refusals come back at once and replies late: calls still under way count as if they went well. */
    double share = (double)a->n_refused / (a->n_done + a->limit);
    bool early = is_doubtful(a) ? share >= SURE_SHARE : a->n_refused >= 3 && share >= too_many(a);
    if (!early && a->n_done < 2 * half) return false;
    if (!early) share = (double)a->n_refused / a->n_done;
    if (early || share >= too_many(a)) {
        on_refused(a, share, ended_ns);
    } else if (a->n_measured > 0) {
        double mean_in_flight = a->sum_in_flight / a->n_measured, latency_s = a->sum_latency_s / a->n_measured;
        bool used = mean_in_flight >= 0.9 * a->limit; /* else something else holds the calls back: nothing to learn */
        if (used) on_clean(a, mean_in_flight / (latency_s > 1e-9 ? latency_s : 1e-9), ended_ns);
    }
    new_epoch(a, ended_ns);
    return a->limit != before;
}
