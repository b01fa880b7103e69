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
        const cfb_tune_opts o = {8, effort, 3, 15, 1e9, seed, NULL, NULL};
        size_t best;
        double noise;
        assert_ok(cfb_tune_search(&o, measure, &m, r, &best, &noise, e_));
        assert_true(best == 2 || best == 3);
        assert_true(speed[best] >= 100 * (1 - noise));
        assert_true(noise > 0 && noise < 0.1);
        assert_true(r[0].dropped && r[0].n == 1); /* ten times slower */
        assert_true(r[4].dropped && r[4].n <= 3 && r[5].dropped);
        assert_true(r[6].failed && strcmp(r[6].why, "point 6 does not work") == 0 && m.runs_of[6] == 1);
        assert_true(r[2].n == 15 && m.runs_of[2] == 16); /* one warms up */
    }
}

static void of_equal_points_the_cheapest_is_chosen(void **state) {
    (void)state;
    static const double speed[] = {100, 100, 100}, effort[] = {8, 1, 4};
    cfb_tune_result r[3];
    struct machine m = {.speed = speed, .noise = 0.02, .seed = 4};
    const cfb_tune_opts o = {3, effort, 3, 9, 1e9, 0, NULL, NULL};
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
    const cfb_tune_opts o = {3, effort, 2, 60, 0, 0, NULL, NULL};
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
    cfb_tune_opts o = {2, effort, 3, 9, 1e9, 0, NULL, NULL};
    size_t best;
    double noise;
    assert_fails(cfb_tune_search(&o, measure, &m, r, &best, &noise, e_), CFB_ECONFIG, "point 0 does not work");
    o.stop = &stop;
    assert_fails(cfb_tune_search(&o, measure, &n, r, &best, &noise, e_), CFB_EINTERRUPTED, "interrupted");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_order_statistics),
        cmocka_unit_test(models_give_back_what_they_were_made_of),
        cmocka_unit_test(the_fastest_point_is_found_and_hopeless_ones_are_not_run_often),
        cmocka_unit_test(of_equal_points_the_cheapest_is_chosen),
        cmocka_unit_test(the_budget_ends_it_after_the_fewest_rounds),
        cmocka_unit_test(no_point_and_a_stop_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
