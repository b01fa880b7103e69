#include "cfbench/tune.h"
#include "test.h"

#include <math.h>

static void intervals_are_order_statistics(void **state) {
    (void)state;
    double m, low, high, v[20];
    double few[] = {3, 1, 2};
    cfb_tune_interval(few, 3, &m, &low, &high);
    assert_true(m == 2 && low == 1 && high == 3);
    double two[] = {4, 1};
    cfb_tune_interval(two, 2, &m, &low, &high);
    assert_true(m == 2.5 && low == 1 && high == 4);
    cfb_tune_interval(v, 0, &m, &low, &high);
    assert_true(isnan(m));
    /* binomial(n, 1/2): n = 8: P(X < 1) = 0.0039, P(X < 2) = 0.0352: first and last. n = 9: P(X < 2) = 0.0195: second and eighth
     */
    for (int i = 0; i < 8; i++) v[i] = 8 - i;
    cfb_tune_interval(v, 8, &m, &low, &high);
    assert_true(m == 4.5 && low == 1 && high == 8);
    for (int i = 0; i < 9; i++) v[i] = 9 - i;
    cfb_tune_interval(v, 9, &m, &low, &high);
    assert_true(m == 5 && low == 2 && high == 8);
    /* n = 20: P(X < 6) = 0.0207, P(X < 7) = 0.0577 */
    for (int i = 0; i < 20; i++) v[i] = i + 1;
    cfb_tune_interval(v, 20, &m, &low, &high);
    assert_true(m == 10.5 && low == 6 && high == 15);
    double many[2000]; /* nearly normal: 1000 -+ 0.98 sqrt(2000) */
    for (int i = 0; i < 2000; i++) many[i] = i + 1;
    cfb_tune_interval(many, 2000, &m, &low, &high);
    assert_true(m == 1000.5 && low == 956 && high == 1045);
}

/* Reference values: SciPy's trim_mean, winsorize and t.ppf (which is right to ten digits). */
static void slow_runs_count_little_in_a_comparison(void **state) {
    (void)state;
    double v[20], few[] = {3, 1, 4, 1.5, 9}, one[] = {5};
    for (int i = 0; i < 20; i++) v[19 - i] = 1 + 0.5 * i * (i + 1);
    cfb_tune_gap g = cfb_tune_middle_of(v, 20), f = cfb_tune_middle_of(few, 5), o = cfb_tune_middle_of(one, 1);
    assert_true(fabs(g.middle - 61.5) < 1e-12 && fabs(g.se - 15.666843970627907) < 1e-12 && g.df == 15);
    assert_true(fabs(cfb_tune_half_width(&g, 0.025) - 2.131449545559323 * 15.666843970627907) < 1e-8);
    assert_true(fabs(f.middle - 3.7) < 1e-12 && fabs(f.se - 1.42828568570857) < 1e-12 && f.df == 4);
    assert_true(o.middle == 5 && isinf(o.se) && isinf(cfb_tune_half_width(&o, 0.05)));
    for (int i = 0; i < 12; i++) v[i] = 1 + 0.5 * i * (i + 1);
    g = cfb_tune_middle_of(v, 12);
    assert_true(fabs(g.middle - 23) < 1e-12 && fabs(g.se - 7.164728420068226) < 1e-12 && g.df == 9);
    g = cfb_tune_middle_of(v, 9); /* nothing is left out */
    assert_true(fabs(g.middle - 43.0 / 3) < 1e-12 && fabs(g.se - 4.236088342379611) < 1e-12 && g.df == 8);
    /* one run ten times slower moves the comparison by less than its error */
    double a[20], b[20];
    for (int i = 0; i < 20; i++) a[i] = 100 + i % 5, b[i] = a[i] * (i % 2 ? 0.99 : 1.01);
    cfb_tune_gap before = cfb_tune_ahead(a, b, 20);
    a[3] /= 10;
    cfb_tune_gap after = cfb_tune_ahead(a, b, 20);
    assert_true(fabs(before.middle) < 1e-4 && fabs(after.middle - before.middle) < after.se);
}

static void few_rounds_borrow_the_spread_of_the_other_points(void **state) {
    (void)state;
    cfb_tune_gap g[] = {{0, 1, 2}, {0, 3, 2}, {0, 2, 2}}, alone[] = {{0, 1, 2}}, two[] = {{0, 1, 1}, {0, 2, 1}};
    cfb_tune_share_spread(g, 3); /* mean variance 14/3, as much as 4 degrees of freedom */
    assert_true(fabs(g[0].se - sqrt((4 * 14.0 / 3 + 2 * 1) / 6)) < 1e-12 && g[0].df == 6);
    assert_true(fabs(g[1].se - sqrt((4 * 14.0 / 3 + 2 * 9) / 6)) < 1e-12 && g[1].df == 6);
    cfb_tune_share_spread(alone, 1);
    assert_true(alone[0].se == 1 && alone[0].df == 2);
    cfb_tune_share_spread(two, 2);
    assert_true(fabs(two[1].se - sqrt((2.5 + 4) / 2)) < 1e-12 && two[1].df == 2);
}

static void models_give_back_what_they_were_made_of(void **state) {
    (void)state;
    double p[] = {1, 2, 4, 8, 16}, s[5];
    for (int i = 0; i < 5; i++) s[i] = 1 / (0.07 + 0.93 / p[i]);
    assert_true(fabs(cfb_tune_amdahl(p, s, 5) - 0.07) < 1e-12);
    for (int i = 1; i < 5; i++) assert_true(fabs(cfb_tune_karp_flatt(s[i], p[i]) - 0.07) < 1e-12);
    assert_true(isnan(cfb_tune_karp_flatt(1, 1)));
    assert_true(isnan(cfb_tune_amdahl(p, s, 1)));
    double perfect[] = {1, 2.2, 4.4, 8, 16}; /* more than ideal is 0, not less */
    assert_true(cfb_tune_amdahl(p, perfect, 5) == 0);
    double slower[] = {1, 0.5, 0.4, 0.3, 0.2};
    assert_true(cfb_tune_amdahl(p, slower, 5) == 1);
}

struct machine {
    const double *speed; /* 0: does not work */
    double noise;
    uint64_t seed;
    size_t n_runs, runs_of[16];
    cfb_stop *stop;
    size_t stop_after;
};

static cfb_code measure(void *ctx, size_t i, double *rate, cfb_err *err) {
    struct machine *m = ctx;
    m->runs_of[i]++;
    if (m->speed[i] == 0) return cfb_err_set(err, CFB_ECONFIG, "point %zu does not work", i);
    *rate = m->speed[i] * (1 + m->noise * (cfb_rand_unit(m->seed, i, m->n_runs) - 0.5));
    if (++m->n_runs == m->stop_after) cfb_stop_set(m->stop);
    return CFB_OK;
}

static void the_fastest_point_is_found_and_hopeless_ones_are_not_run_often(void **state) {
    (void)state;
    static const double speed[] = {10, 40, 100, 97, 60, 55, 0, 80};
    static const double effort[] = {1, 2, 3, 4, 5, 6, 7, 8};
    cfb_tune_result r[8];
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct machine m = {.speed = speed, .noise = 0.1, .seed = seed};
        const cfb_tune_opts o = {8, effort, 3, 15, 1e9, 0, seed, NULL, NULL, NULL};
        size_t best;
        double noise;
        assert_ok(cfb_tune_search(&o, measure, &m, r, &best, &noise, e_));
        assert_true(best == 2 || best == 3);
        assert_true(speed[best] >= 100 * (1 - noise));
        assert_true(noise > 0 && noise < 0.1);
        assert_true(r[0].dropped && r[0].n == 1); /* ten times slower */
        assert_true(r[4].dropped && r[4].n <= 3 && r[5].dropped);
        assert_true(r[6].failed && strcmp(r[6].why, "point 6 does not work") == 0 && m.runs_of[6] == 1);
        assert_true(r[2].n >= 10 && r[2].n == r[best].n && m.runs_of[2] == r[2].n + 1); /* one warms up */
    }
}

static cfb_code measure_held_up(void *ctx, size_t i, double *rate, cfb_err *err) {
    cfb_code rc = measure(ctx, i, rate, err);
    if (i == 1 && ((struct machine *)ctx)->runs_of[1] == 2) *rate /= 8; /* the first that counts */
    return rc;
}

static void one_run_that_was_held_up_drops_no_point(void **state) {
    (void)state;
    static const double speed[] = {80, 100, 70}, effort[] = {1, 2, 3};
    cfb_tune_result r[3];
    struct machine m = {.speed = speed, .noise = 0.02, .seed = 1};
    const cfb_tune_opts o = {3, effort, 3, 30, 1e9, 0, 0, NULL, NULL, NULL};
    size_t best;
    double noise;
    assert_ok(cfb_tune_search(&o, measure_held_up, &m, r, &best, &noise, e_));
    assert_true(best == 1 && !r[1].dropped);
}

static void of_equal_points_the_cheapest_is_chosen(void **state) {
    (void)state;
    static const double speed[] = {100, 100, 100}, effort[] = {8, 1, 4};
    cfb_tune_result r[3];
    struct machine m = {.speed = speed, .noise = 0.02, .seed = 4};
    const cfb_tune_opts o = {3, effort, 3, 9, 1e9, 0, 0, NULL, NULL, NULL};
    size_t best;
    double noise;
    assert_ok(cfb_tune_search(&o, measure, &m, r, &best, &noise, e_));
    assert_true(best == 1 || r[1].median < r[best].median * (1 - 0.5 * noise));
}

static void the_budget_ends_it_after_the_fewest_rounds(void **state) {
    (void)state;
    static const double speed[] = {100, 99, 98}, effort[] = {1, 2, 3};
    cfb_tune_result r[3];
    struct machine m = {.speed = speed, .noise = 0.5};
    const cfb_tune_opts o = {3, effort, 2, 60, 0, 0, 0, NULL, NULL, NULL};
    size_t best;
    double noise;
    assert_ok(cfb_tune_search(&o, measure, &m, r, &best, &noise, e_));
    assert_int_equal(r[best].n, 2);
}

static void no_point_and_a_stop_are_errors(void **state) {
    (void)state;
    static const double none[] = {0, 0}, some[] = {1, 2}, effort[] = {1, 2};
    cfb_tune_result r[2];
    cfb_stop stop = {0};
    struct machine m = {.speed = none}, n = {.speed = some, .stop = &stop, .stop_after = 5};
    cfb_tune_opts o = {2, effort, 3, 9, 1e9, 0, 0, NULL, NULL, NULL};
    size_t best;
    double noise;
    assert_fails(cfb_tune_search(&o, measure, &m, r, &best, &noise, e_), CFB_ECONFIG, "point 0 does not work");
    o.stop = &stop;
    assert_fails(cfb_tune_search(&o, measure, &n, r, &best, &noise, e_), CFB_EINTERRUPTED, "interrupted");
}

/* A machine like those that tune runs on: its speed wanders, runs scatter by a tenth, every tenth run is much slower. A run takes
 * as long as its rate says. */
struct busy {
    const double *lead; /* log of each point's speed */
    double scatter, slow_share, wander, now_s, work_s, wandered;
    uint64_t seed, n_runs, order; /* order: hash of which points ran when */
};

static double bell(uint64_t seed, uint64_t stream, uint64_t i) { /* sum of 12 uniforms: nearly normal, variance 1 */
    double sum = -6;
    for (uint64_t k = 0; k < 12; k++) sum += cfb_rand_unit(seed, stream, 12 * i + k);
    return sum;
}

static cfb_code run_busy(void *ctx, size_t i, double *rate, cfb_err *err) {
    struct busy *m = ctx;
    uint64_t k = m->n_runs++;
    (void)err;
    m->order = m->order * 1099511628211u + i + 1;
    m->wandered = 0.97 * m->wandered + m->wander * bell(m->seed, 1, k);
    double log_rate = m->lead[i] + m->wandered + m->scatter * bell(m->seed, 2, k);
    if (cfb_rand_unit(m->seed, 3, k) < m->slow_share) log_rate -= 0.1 + 0.5 * cfb_rand_unit(m->seed, 4, k);
    *rate = exp(log_rate);
    m->now_s += m->work_s / *rate;
    return CFB_OK;
}

static double now_busy(void *ctx) { return ((struct busy *)ctx)->now_s; }

/* 15 points as those of scoring with 2 cores. */
static const double lead[] = {-.44, -.44, -.45, -.6, -.14, 0, -.003, -.005, -.06, -.045, -.36, -.57, -1.3, -.6, -.72};
static const double costs[] = {1, 1.05, 1.1, 1.15, 2, 2.2, 2.4, 2.6, 2.05, 2.1, 2.15, 4, 4.05, 4.1, 4.15};

static void the_choice_is_within_the_noise_of_the_best_and_the_noise_is_small(void **state) {
    (void)state;
    cfb_tune_result r[15];
    int beyond = 0;
    double noises = 0, worst = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct busy m = {.lead = lead, .scatter = 0.1, .slow_share = 0.1, .wander = 0.02, .work_s = 0.025, .seed = seed};
        const cfb_tune_opts o = {15, costs, 3, CFB_TUNE_REPS_MAX, 30, 0.01, seed, NULL, NULL, now_busy};
        size_t best;
        double noise;
        assert_ok(cfb_tune_search(&o, run_busy, &m, r, &best, &noise, e_));
        double loss = 1 - exp(lead[best]);
        assert_true(m.now_s <= 31 && noise > 0);
        beyond += loss > noise;
        noises += noise;
        if (loss > worst) worst = loss;
    }
    assert_true(beyond <= 2); /* of 50: what an interval of 95 % may */
    assert_true(noises / 50 < 0.04);
    assert_true(worst < 0.05);
}

/* Ten rounds of points that lie close: chance decides between them, and the noise must say so. */
static void few_rounds_state_a_noise_that_holds(void **state) {
    (void)state;
    static const double close[] = {-0.06, 0, -0.04, -0.02, -0.05, -0.01}, same[6] = {1, 1, 1, 1, 1, 1};
    cfb_tune_result r[6];
    for (int reps = 3; reps <= 12; reps += 3) {
        int beyond = 0;
        double noises = 0;
        for (uint64_t seed = 0; seed < 100; seed++) {
            struct busy m = {.lead = close, .scatter = 0.03, .slow_share = 0.05, .wander = 0.02, .work_s = 1, .seed = seed};
            const cfb_tune_opts o = {6, same, reps, reps, 0, 0.01, seed, NULL, NULL, now_busy};
            size_t best;
            double noise;
            assert_ok(cfb_tune_search(&o, run_busy, &m, r, &best, &noise, e_));
            beyond += 1 - exp(close[best]) > noise;
            noises += noise;
        }
        assert_true(beyond <= 5);
        assert_true(noises / 100 < (reps == 3 ? 0.25 : 0.15));
    }
}

static cfb_code run_two_faced(void *ctx, size_t i, double *rate, cfb_err *err) {
    struct busy *m = ctx;
    bool together = i == 1 && cfb_rand_unit(m->seed, 5, m->n_runs) < 0.3; /* two threads on one core */
    cfb_code rc = run_busy(ctx, i, rate, err);
    if (together) *rate *= 0.6;
    return rc;
}

/* A point that is 3 % faster in most runs, but much slower in three of ten, has the higher median and takes longer. */
static void slow_runs_of_one_point_count(void **state) {
    (void)state;
    static const double two[] = {0, 0.03};
    cfb_tune_result r[2];
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct busy m = {.lead = two, .scatter = 0.03, .work_s = 0.025, .seed = seed};
        const cfb_tune_opts o = {2, costs, 3, CFB_TUNE_REPS_MAX, 5, 0.01, seed, NULL, NULL, now_busy};
        size_t best;
        double noise;
        assert_ok(cfb_tune_search(&o, run_two_faced, &m, r, &best, &noise, e_));
        assert_true(best == 0);
    }
}

static void no_round_begins_that_would_end_after_the_budget(void **state) {
    (void)state;
    cfb_tune_result r[15];
    for (int budget = 2; budget <= 20; budget += 3) {
        struct busy m = {.lead = lead, .scatter = 0.02, .work_s = 0.02};
        const cfb_tune_opts o = {15, costs, 3, CFB_TUNE_REPS_MAX, budget, 0, 5, NULL, NULL, now_busy};
        size_t best;
        double noise;
        assert_ok(cfb_tune_search(&o, run_busy, &m, r, &best, &noise, e_));
        assert_true(m.now_s < 1.03 * budget && m.now_s > 0.8 * budget);
    }
}

static void the_seed_fixes_the_order(void **state) {
    (void)state;
    cfb_tune_result r[15];
    uint64_t orders[3];
    for (int i = 0; i < 3; i++) {
        struct busy m = {.lead = lead, .scatter = 0.1, .work_s = 0.02, .seed = 9};
        const cfb_tune_opts o = {15, costs, 3, 30, 1e9, 0.01, i == 2, NULL, NULL, now_busy};
        size_t best;
        double noise;
        assert_ok(cfb_tune_search(&o, run_busy, &m, r, &best, &noise, e_));
        orders[i] = m.order;
    }
    assert_true(orders[0] == orders[1] && orders[0] != orders[2]);
}

static void a_clear_lead_and_little_noise_end_it(void **state) {
    (void)state;
    static const double far[] = {0, -0.5, -0.9}, near[] = {0, -0.02, -0.025}, cost[] = {1, 2, 3};
    cfb_tune_result r[3];
    size_t best;
    double noise;
    struct busy clear = {.lead = far, .scatter = 0.05}, quiet = {.lead = near, .scatter = 0.001},
                loud = {.lead = near, .scatter = 0.1};
    cfb_tune_opts o = {3, cost, 3, 40, 1e9, 0.01, 0, NULL, NULL, now_busy};
    assert_ok(cfb_tune_search(&o, run_busy, &clear, r, &best, &noise, e_));
    assert_true(best == 0 && r[0].n < 20 && r[1].n == r[0].n && !r[1].dropped && r[2].dropped && noise < 0.125);
    assert_ok(cfb_tune_search(&o, run_busy, &quiet, r, &best, &noise, e_));
    assert_true(best == 0 && r[0].n == 10 && noise < 0.003);
    o.enough = 0;
    assert_ok(cfb_tune_search(&o, run_busy, &loud, r, &best, &noise, e_));
    assert_true(r[0].n == 40 && noise > 0.02);
}

static void one_point_has_the_noise_of_its_own_rate(void **state) {
    (void)state;
    static const double zero[] = {0};
    cfb_tune_result r[1];
    size_t best;
    double noise;
    struct busy m = {.lead = zero, .scatter = 0.05}, once = m;
    cfb_tune_opts o = {1, costs, 3, 30, 1e9, 0.001, 0, NULL, NULL, now_busy};
    assert_ok(cfb_tune_search(&o, run_busy, &m, r, &best, &noise, e_));
    assert_true(best == 0 && r[0].n == 30 && noise > 0.005 && noise < 0.05);
    o.max_reps = 1;
    assert_ok(cfb_tune_search(&o, run_busy, &once, r, &best, &noise, e_));
    assert_true(noise == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_order_statistics),
        cmocka_unit_test(models_give_back_what_they_were_made_of),
        cmocka_unit_test(the_fastest_point_is_found_and_hopeless_ones_are_not_run_often),
        cmocka_unit_test(one_run_that_was_held_up_drops_no_point),
        cmocka_unit_test(of_equal_points_the_cheapest_is_chosen),
        cmocka_unit_test(the_budget_ends_it_after_the_fewest_rounds),
        cmocka_unit_test(slow_runs_count_little_in_a_comparison),
        cmocka_unit_test(few_rounds_borrow_the_spread_of_the_other_points),
        cmocka_unit_test(the_choice_is_within_the_noise_of_the_best_and_the_noise_is_small),
        cmocka_unit_test(few_rounds_state_a_noise_that_holds),
        cmocka_unit_test(slow_runs_of_one_point_count),
        cmocka_unit_test(no_round_begins_that_would_end_after_the_budget),
        cmocka_unit_test(the_seed_fixes_the_order),
        cmocka_unit_test(a_clear_lead_and_little_noise_end_it),
        cmocka_unit_test(one_point_has_the_noise_of_its_own_rate),
        cmocka_unit_test(no_point_and_a_stop_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
