/* search.c - rounds of measurements, early ends for hopeless points, the choice. */
#include "cfbench/tune.h"

#include <math.h>
#include <stdlib.h>

#define HOPELESS 3 /* times slower than the leader: no noise makes up for that */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void cfb_tune_interval(double *v, size_t n, double *median, double *low, double *high) {
    qsort(v, n, sizeof *v, by_value);
    *median = n == 0 ? (double)NAN : n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
    *low = n ? v[0] : (double)NAN;
    *high = n ? v[n - 1] : (double)NAN;
    /* P(fewer than k of n below the median) = sum_{i<k} C(n, i) / 2^n; the largest k with twice that <= 5 % */
    double p = n < 1000 ? pow(0.5, (double)n) : 0, sum = p;
    size_t k = 0;
    while (2 * sum <= 0.05 && k < n / 2) {
        k++;
        p *= (double)(n - k + 1) / (double)k;
        sum += p;
    }
    if (k > 1) {
        *low = v[k - 1];
        *high = v[n - k];
    }
}

/* ---- rounds ---- */

struct search {
    const cfb_tune_opts *o;
    cfb_tune_measure_fn fn;
    void *ctx;
    cfb_tune_result *r;
    size_t *order;
};

static bool is_left(const cfb_tune_result *r) { return !r->dropped && !r->failed; }

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
        cfb_code rc = s->fn(s->ctx, at, &rate, &why);
        if (rc == CFB_EINTERRUPTED) {
            if (err) *err = why;
            return rc;
        }
        if (rc != CFB_OK || !(rate > 0)) {
            r->failed = true;
            memcpy(r->why, why.msg, sizeof r->why - 1);
            continue;
        }
        if (round == 0) continue;
        r->rates[r->n++] = rate;
        sum_up(r);
        if (s->o->told) s->o->told(s->ctx, at, round, rate);
    }
    return CFB_OK;
}

static size_t leader(const struct search *s) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->o->n_points; i++)
        if (is_left(&s->r[i]) && s->r[i].n && (best == SIZE_MAX || s->r[i].median > s->r[best].median)) best = i;
    return best;
}

static double half_width(const cfb_tune_result *r) { return r->median > 0 ? 0.5 * (r->high - r->low) / r->median : 0; }

static double noise_of(const struct search *s, size_t best, double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < s->o->n_points; i++)
        if (is_left(&s->r[i]) && s->r[i].n > 1) scratch[n++] = half_width(&s->r[i]);
    if (n == 0) return 1;
    qsort(scratch, n, sizeof *scratch, by_value);
    double own = half_width(&s->r[best]), usual = scratch[n / 2];
    return own > usual ? own : usual;
}

/* Points that cannot win any more. */
static void drop(struct search *s, int round, double *scratch) {
    size_t best = leader(s), n = 0;
    if (best == SIZE_MAX || round < 1) return;
    double noise = noise_of(s, best, scratch), too_slow = s->r[best].low / (round < 3 ? HOPELESS : 1);
    for (size_t i = 0; i < s->o->n_points; i++) {
        cfb_tune_result *r = &s->r[i];
        if (i != best && is_left(r) && r->high < too_slow) r->dropped = true;
        if (is_left(r)) scratch[n++] = r->median;
    }
    if (round < 3) return;
    if (round % 2 == 0 || n <= 4) return;
    qsort(scratch, n, sizeof *scratch, by_value);
    double middle = scratch[n / 2];
    for (size_t i = 0; i < s->o->n_points && n > 4; i++) {
        cfb_tune_result *r = &s->r[i];
        if (!is_left(r) || r->median >= middle || r->median >= s->r[best].median * (1 - noise)) continue;
        r->dropped = true;
        n--;
    }
}

static size_t choose(const struct search *s, size_t best, double noise) {
    double enough = s->r[best].median * (1 - 0.5 * noise);
    size_t choice = best;
    for (size_t i = 0; i < s->o->n_points; i++)
        if (is_left(&s->r[i]) && s->r[i].median >= enough && s->o->effort[i] < s->o->effort[choice]) choice = i;
    return choice;
}

cfb_code cfb_tune_search(const cfb_tune_opts *o, cfb_tune_measure_fn fn, void *ctx, cfb_tune_result *results, size_t *best,
                         double *noise, cfb_err *err) {
    struct search s = {o, fn, ctx, results, malloc((o->n_points + 1) * sizeof *s.order)};
    double *scratch = malloc((o->n_points + 1) * sizeof *scratch);
    cfb_code rc = s.order && scratch ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    int64_t begin = cfb_now_ns();
    int most = o->max_reps < CFB_TUNE_REPS_MAX ? o->max_reps : CFB_TUNE_REPS_MAX;
    for (size_t i = 0; i < o->n_points; i++) results[i] = (cfb_tune_result){0};
    for (int round = 0; round <= most && rc == CFB_OK; round++) {
        if (round > o->min_reps && (double)(cfb_now_ns() - begin) * 1e-9 > o->budget_s) break;
        rc = run_round(&s, round, err);
        if (rc == CFB_OK) drop(&s, round, scratch);
    }
    size_t first = rc == CFB_OK ? leader(&s) : SIZE_MAX;
    if (rc == CFB_OK && first == SIZE_MAX)
        rc = cfb_err_set(err, CFB_ECONFIG, "no point could be measured: %s", o->n_points ? results[0].why : "there is none");
    if (rc == CFB_OK) {
        *noise = noise_of(&s, first, scratch);
        *best = choose(&s, first, *noise);
    }
    free(s.order);
    free(scratch);
    return rc;
}
