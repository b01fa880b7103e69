/* search.c - rounds of measurements, early ends for points that are proved slower, the choice. */
#include "cfbench/tune.h"

#include <math.h>
#include <stdlib.h>

#define HOPELESS 3       /* times slower than the leader: no noise makes up for that */
#define LEAST_ROUNDS 3   /* before anything else is proved */
#define SURE_ROUNDS 10   /* before little noise may end it: the spread must be known itself */
#define DROP_ERROR 0.01  /* of dropping the fastest, over all points */
#define NOISE_ERROR 0.05 /* of the stated noise, over the points that are left */
#define EQUAL 0.01       /* so little is given away for less effort, */
#define EQUAL_NOISES 0.5 /* and at most so much of the noise */
#define LEADS_BY 4       /* times the noise: far enough ahead of the next */

/* ---- rounds ---- */

struct rival {
    size_t at;
    double ahead, half; /* of the point that it is compared to: middle of the log ratios, half width of its interval */
};

struct search {
    const cfb_tune_opts *o;
    cfb_tune_measure_fn fn;
    void *ctx;
    cfb_tune_result *r;
    size_t *order;
    struct rival *rivals; /* n_rivals; of the last comparison */
    size_t n_rivals;
    cfb_tune_gap *gaps; /* of them */
    double *warming;    /* each point's rate when it warmed up */
    double *seconds;    /* that each point's runs took in all, the one that warmed up included */
};

static bool is_left(const cfb_tune_result *r) { return !r->dropped && !r->failed; }

static double seconds_of(const struct search *s) { return s->o->now_s ? s->o->now_s(s->ctx) : (double)cfb_now_ns() * 1e-9; }

static void shuffle(struct search *s, int round) {
    for (size_t i = 0; i < s->o->n_points; i++) s->order[i] = i;
    for (size_t i = s->o->n_points; i-- > 1;) {
        size_t k = (size_t)(cfb_rand_u64(s->o->seed, (uint64_t)round, i) % (i + 1)), t = s->order[i];
        s->order[i] = s->order[k];
        s->order[k] = t;
    }
}

static void sum_up(cfb_tune_result *r) {
    double v[CFB_TUNE_REPS_MAX];
    for (size_t i = 0; i < r->n; i++) v[i] = r->rates[i];
    cfb_tune_interval(v, r->n, &r->median, &r->low, &r->high);
}

/* round 0 warms up. */
static cfb_code run_round(struct search *s, int round, cfb_err *err) {
    shuffle(s, round);
    for (size_t i = 0; i < s->o->n_points; i++) {
        size_t at = s->order[i];
        cfb_tune_result *r = &s->r[at];
        cfb_err why = CFB_ERR_INIT;
        double rate = 0;
        if (!is_left(r)) continue;
        if (cfb_stop_is_on(s->o->stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted: nothing was chosen");
        double began_s = seconds_of(s);
        cfb_code rc = s->fn(s->ctx, at, &rate, &why);
        s->seconds[at] += seconds_of(s) - began_s;
        if (rc == CFB_EINTERRUPTED) {
            if (err) *err = why;
            return rc;
        }
        if (rc != CFB_OK || !(rate > 0)) {
            r->failed = true;
            memcpy(r->why, why.msg, sizeof r->why - 1);
            continue;
        }
        if (round == 0) {
            s->warming[at] = rate;
            continue;
        }
        r->rates[r->n++] = rate;
        sum_up(r);
    }
    return CFB_OK;
}

/* ---- comparing the points that are left; all of them have the same rounds ---- */

static size_t count_left(const struct search *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->o->n_points; i++) n += is_left(&s->r[i]);
    return n;
}

/* The point with the highest middle of its rates against the mean of each round. */
static size_t leader(const struct search *s) {
    size_t best = SIZE_MAX, n = 0, n_left = count_left(s);
    double most = 0, mean[CFB_TUNE_REPS_MAX] = {0}, v[CFB_TUNE_REPS_MAX];
    for (size_t i = 0; i < s->o->n_points; i++) {
        if (!is_left(&s->r[i])) continue;
        n = s->r[i].n;
        for (size_t k = 0; k < n; k++) mean[k] += log(s->r[i].rates[k]) / (double)n_left;
    }
    for (size_t i = 0; i < s->o->n_points && n > 0; i++) {
        if (!is_left(&s->r[i])) continue;
        for (size_t k = 0; k < n; k++) v[k] = log(s->r[i].rates[k]) - mean[k];
        double middle = cfb_tune_middle(v, n);
        if (best == SIZE_MAX || middle > most) best = i, most = middle;
    }
    return best;
}

/* All points that are left against one of them, into s->rivals. */
static void compare(struct search *s, size_t point, double error) {
    size_t n = 0;
    for (size_t i = 0; i < s->o->n_points; i++) {
        if (i == point || !is_left(&s->r[i])) continue;
        s->gaps[n] = cfb_tune_ahead(s->r[i].rates, s->r[point].rates, s->r[i].n);
        s->rivals[n++].at = i;
    }
    cfb_tune_share_spread(s->gaps, n);
    for (size_t k = 0; k < n; k++) {
        s->rivals[k].ahead = s->gaps[k].middle;
        s->rivals[k].half = cfb_tune_half_width(&s->gaps[k], error);
    }
    s->n_rivals = n;
}

/* The rival that may be furthest ahead, or least behind; after one round, which says nothing of that, the fastest. NULL: none. */
static const struct rival *nearest(const struct search *s) {
    const struct rival *near = NULL;
    for (size_t k = 0; k < s->n_rivals; k++) {
        const struct rival *r = &s->rivals[k];
        double most = near ? near->ahead + near->half : 0, its = r->ahead + r->half;
        if (near == NULL || its > most || (isinf(its) && r->ahead > near->ahead)) near = r;
    }
    return near;
}

/* The largest share of the best point's speed that a choice may miss, or the half width that hides less. */
static double noise_of(struct search *s, size_t choice) {
    size_t n = s->r[choice].n, n_left = count_left(s);
    double v[CFB_TUNE_REPS_MAX];
    compare(s, choice, NOISE_ERROR / (double)(n_left > 1 ? n_left - 1 : 1));
    const struct rival *near = nearest(s);
    if (near != NULL) return 1 - exp(-near->half - fmax(0, near->ahead));
    /* nothing to compare with: how well its own rate is known */
    for (size_t k = 0; k < n; k++) v[k] = log(s->r[choice].rates[k]);
    cfb_tune_gap own = cfb_tune_middle_of(v, n);
    return 1 - exp(-cfb_tune_half_width(&own, NOISE_ERROR / 2));
}

/* Points that cannot win any more. Leader and nearest rival stay: their distance is what the noise is about. */
static void drop(struct search *s, int round, size_t best) {
    size_t working = 0;
    for (size_t i = 0; i < s->o->n_points; i++) working += !s->r[i].failed;
    double too_slow = s->r[best].low / HOPELESS;
    compare(s, best, DROP_ERROR / (double)(working > 1 ? working - 1 : 1));
    const struct rival *near = nearest(s);
    for (size_t k = 0; k < s->n_rivals; k++) {
        const struct rival *r = &s->rivals[k];
        bool slower = round >= LEAST_ROUNDS && r->ahead + r->half < 0;
        bool hopeless = fmax(s->r[r->at].high, s->warming[r->at]) < too_slow; /* one run alone may have been held up */
        if (r->at != near->at) s->r[r->at].dropped = slower || hopeless;
    }
}

/* Is it known well enough which one is the fastest? After noise_of. */
static bool is_clear(const struct search *s, int round, double noise) {
    if (round < SURE_ROUNDS) return false;
    if (noise <= s->o->enough) return true;
    return s->n_rivals == 1 && LEADS_BY * s->rivals[0].half < -s->rivals[0].ahead;
}

static size_t choose(struct search *s, size_t best, double noise) {
    double most = fmin(EQUAL, EQUAL_NOISES * noise);
    size_t choice = best;
    compare(s, best, NOISE_ERROR);
    for (size_t k = 0; k < s->n_rivals; k++) {
        const struct rival *r = &s->rivals[k];
        if (-r->ahead <= most && s->o->effort[r->at] < s->o->effort[choice]) choice = r->at;
    }
    return choice;
}

/* Would another round of the points that are left, each taking as long as its runs have taken so far, end within the budget? */
static bool has_time(const struct search *s, double begin_s) {
    double round_s = 0;
    for (size_t i = 0; i < s->o->n_points; i++)
        if (is_left(&s->r[i])) round_s += s->seconds[i] / (double)(s->r[i].n + 1);
    return seconds_of(s) - begin_s + round_s <= s->o->budget_s;
}

static cfb_code run_rounds(struct search *s, size_t *best, double *noise, cfb_err *err) {
    int most = s->o->max_reps < CFB_TUNE_REPS_MAX ? s->o->max_reps : CFB_TUNE_REPS_MAX;
    double begin_s = seconds_of(s);
    for (int round = 0; round <= most; round++) {
        if (round > s->o->min_reps && !has_time(s, begin_s)) break;
        cfb_code rc = run_round(s, round, err);
        if (rc != CFB_OK) return rc;
        if (count_left(s) == 0)
            return cfb_err_set(err, CFB_ECONFIG, "no point could be measured: %s",
                               s->o->n_points ? s->r[0].why : "there is none");
        if (round == 0) continue;
        *best = leader(s);
        drop(s, round, *best);
        *noise = noise_of(s, *best);
        if (s->o->told) s->o->told(s->ctx, round, *best, count_left(s), *noise);
        if (is_clear(s, round, *noise)) break;
    }
    *best = choose(s, *best, *noise);
    *noise = noise_of(s, *best);
    return CFB_OK;
}

cfb_code cfb_tune_search(const cfb_tune_opts *o, cfb_tune_measure_fn fn, void *ctx, cfb_tune_result *results, size_t *best,
                         double *noise, cfb_err *err) {
    size_t most = o->n_points + 1;
    struct search s = {.o = o, .fn = fn, .ctx = ctx, .r = results};
    s.order = malloc(most * sizeof *s.order);
    s.rivals = malloc(most * sizeof *s.rivals);
    s.gaps = malloc(most * sizeof *s.gaps);
    s.warming = calloc(most, sizeof *s.warming);
    s.seconds = calloc(most, sizeof *s.seconds);
    bool made = s.order && s.rivals && s.gaps && s.warming && s.seconds;
    cfb_code rc = made ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < o->n_points; i++) memset(&results[i], 0, sizeof results[i]);
    if (rc == CFB_OK) rc = run_rounds(&s, best, noise, err);
    free(s.order);
    free(s.rivals);
    free(s.gaps);
    free(s.warming);
    free(s.seconds);
    return rc;
}
