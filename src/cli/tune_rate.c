/* tune_rate.c - the highest rate of calls that a server takes. */
#include "cli/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A server that counts calls saves up what it was not asked for: a bucket. Whoever begins with a full one is not refused for a
 * while, however fast he is. So rates rise until one is refused, and from then on each trial begins with the bucket empty: a run
 * far beyond the limit comes first. What the server takes of such a trial is its limit; the trials only close in on it. */

#define FIRST_RPS 16.0
#define STEP 4.0        /* from one rate to the next, until one is refused */
#define LADDER_S 1.5    /* how long each is asked */
#define DRAIN_S 0.5     /* the run that empties the bucket, of the rate that was refused; */
#define DRAIN_TIMES 3.0 /* it is so much faster */
#define LEAST_CALLS 20
#define CLOSE 1.03 /* refused / taken: near enough */
#define TRIALS 12
#define IN_FLIGHT 256

struct rates {
    tune_sweep *s;
    size_t good_at;   /* its point */
    double good, bad; /* taken, refused; 0: none yet */
    double guess;     /* of the limit, from the last refused trial; 0: none */
    double floor;     /* what the last taken trial proves: the bucket filled a little before it began */
};

static bool taken(const tune_measured *m) { return m->refused <= 0.01 * m->calls; }

static int calls_at_once(const tune_sweep *s) { return s->c->in_flight > 0 ? (int)s->c->in_flight : IN_FLIGHT; }

/* One run; what came of it goes into the table unless it only empties the bucket. */
static cfb_code ask(struct rates *r, double rps, double seconds, bool drains, tune_measured *m, cfb_err *err) {
    tune_sweep *s = r->s;
    double calls = rps * seconds;
    tune_point p = {.in_flight = calls_at_once(s), .rps = rps};
    p.rows = calls < LEAST_CALLS ? LEAST_CALLS : calls > 1e6 ? (size_t)1000000 : (size_t)calls;
    cfb_code rc = tune_run(s, &p, m, err);
    if (rc != CFB_OK || drains || s->n == TUNE_POINTS_MAX) return rc;
    cfb_tune_result *to = &s->results[s->n];
    *to = (cfb_tune_result){.n = 1, .median = m->work / m->seconds};
    to->low = to->high = to->rates[0] = to->median;
    to->failed = !taken(m);
    if (to->failed) snprintf(to->why, sizeof to->why, "%.0f of %.0f calls refused", m->refused, m->calls);
    s->effort[s->n] = rps;
    s->points[s->n++] = p;
    if (!s->c->quiet) fprintf(stderr, "rate: --rps %-9.6g %6.0f calls, %6.0f refused\n", rps, m->calls, m->refused);
    return CFB_OK;
}

/* Rises until a rate is refused (r->bad), or is more than there are calls for, than client and server can reach, or than --rps.
 */
static cfb_code climb(struct rates *r, cfb_err *err) {
    double most = r->s->c->rps > 0 ? r->s->c->rps : 1e6;
    for (double rps = fmin(FIRST_RPS, most);; rps = fmin(rps * STEP, most)) {
        tune_measured m;
        cfb_code rc = ask(r, rps, LADDER_S, false, &m, err);
        if (rc != CFB_OK) return rc;
        if (!taken(&m)) {
            r->bad = rps;
            r->guess = rps * (m.calls - m.refused) / m.calls;
            return CFB_OK;
        }
        double sending_s = m.seconds - m.latency_s;
        bool reached = sending_s <= 0 || m.calls / sending_s > 0.8 * rps;
        r->good = rps;
        r->good_at = r->s->n - 1;
        if (!reached || rps >= most || m.calls < 0.9 * LADDER_S * rps) return CFB_OK;
    }
}

static cfb_code drain(struct rates *r, tune_measured *m, cfb_err *err) {
    cfb_code rc = CFB_OK;
    double seconds = DRAIN_S;
    for (int i = 0; i < 4; i++, seconds *= 2) {
        rc = ask(r, r->bad * DRAIN_TIMES, seconds, true, m, err);
        if (rc != CFB_OK || !taken(m)) break;
    }
    return rc;
}

/* Between what was taken and what was refused; a guess is tried from both sides. */
static double next_rate(const struct rates *r) {
    double low = r->good > 0 ? r->good : r->bad / 4, c = r->guess * (r->good > 0 ? 1.015 : 0.985);
    return c > low && c < r->bad ? c : sqrt(low * r->bad);
}

/* A second's calls of a trial that n calls were taken of: with the time in which the bucket filled before it, and without one
 * call that it may have begun with. */
static double per_s(double n, const tune_measured *before, const tune_measured *m, double rps) {
    double gap_s = fmax(0, before->wall_s - before->seconds) + fmax(0, m->wall_s - m->seconds);
    return (n - 1) / (fmax(m->calls / rps, m->seconds - m->latency_s) + gap_s); /* a busy machine may start calls late */
}

static cfb_code trial(struct rates *r, double rps, double seconds, cfb_err *err) {
    tune_measured emptying, m;
    cfb_code rc = drain(r, &emptying, err);
    if (rc == CFB_OK) rc = ask(r, rps, seconds, false, &m, err);
    if (rc != CFB_OK) return rc;
    double takes = per_s(m.calls - m.refused, &emptying, &m, rps);
    if (taken(&m)) {
        r->good = rps;
        r->good_at = r->s->n - 1;
        r->floor = takes;
    } else {
        r->bad = rps;
        r->guess = takes > r->good ? takes : 0;
    }
    return CFB_OK;
}

/* The rate to keep to: what is proved, once more. */
static cfb_code settle(struct rates *r, double seconds, cfb_err *err) {
    char digits[32];
    double bad = r->bad, proved = r->floor;
    snprintf(digits, sizeof digits, "%.3g", 0.995 * proved);
    cfb_code rc = trial(r, strtod(digits, NULL), seconds, err);
    r->bad = bad;
    r->floor = proved;
    return rc;
}

static cfb_code close_in(struct rates *r, double budget_s, cfb_err *err) {
    int64_t begin = cfb_now_ns();
    double seconds = budget_s / 12;
    seconds = seconds < 1 ? 1 : seconds > 10 ? 10 : seconds;
    r->good = 0; /* what was taken on the way up came out of a full bucket */
    for (int i = 0; i < TRIALS; i++) {
        if (cfb_stop_is_on(&cfb_cli_stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted: nothing was chosen");
        if (r->good > 0 && (r->bad < r->good * CLOSE || (double)(cfb_now_ns() - begin) * 1e-9 > budget_s)) break;
        cfb_code rc = trial(r, next_rate(r), seconds, err);
        if (rc != CFB_OK) return rc;
    }
    if (r->good > 0) return settle(r, seconds, err);
    return cfb_err_set(
        err, CFB_ECONFIG,
        "the server refuses even %.3g calls/s after it was asked for more: it counts over a longer time than these "
        "runs, or counts refused calls too; 'cfbench doctor --probe' may say its limit",
        r->bad);
}

cfb_code tune_find_rate(tune_sweep *s, double budget_s, cfb_err *err) {
    struct rates r = {.s = s};
    s->n = 0;
    cfb_code rc = climb(&r, err);
    if (rc == CFB_OK && r.bad > 0) rc = close_in(&r, budget_s, err);
    if (rc != CFB_OK) return rc;
    s->unlimited = r.bad <= 0;
    s->noise = s->unlimited ? 0 : r.bad / r.s->points[r.good_at].rps - 1;
    s->best = r.good_at;
    return CFB_OK;
}
