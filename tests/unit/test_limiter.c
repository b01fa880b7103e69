/* The rate limiter: spacing, rate, nobody waits inside the critical, pausing, stopping, back-off. */
#include "test.h"

#include "cfbench/client.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#ifdef _OPENMP
#define THREADS 32
#else
#define THREADS 1 /* without OpenMP a process has one thread, and a critical is nothing */
#endif
#define STARTS 200
static cfb_limiter limiter;
static _Atomic size_t taken;

/* Plain threads, not an OpenMP team: the named critical of a library must hold for any thread. */
static void *start_often(void *ctx) {
    (void)ctx;
    for (;;) {
        if (atomic_fetch_add(&taken, 1) >= STARTS) return NULL;
        assert_true(cfb_limiter_wait(&limiter, NULL));
    }
}

/* The gaps themselves are measured where they matter: at the mock, in tests/cli/parallel.sh. */
static void starts_take_at_least_their_intervals(void **state) {
    (void)state;
    const double interval_s = 0.002;
    pthread_t threads[THREADS];
    cfb_limiter_init(&limiter, interval_s);
    atomic_store(&taken, 0);
    int64_t begin = cfb_now_ns();
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, start_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(limiter.starts, STARTS);
    assert_true(limiter.min_gap_ns >= limiter.interval_ns); /* no two starts are closer */
    assert_true((double)(cfb_now_ns() - begin) * 1e-9 >= (STARTS - 1) * interval_s);
}

/* Threads take turns 20 ms apart. One that slept inside would stay there for the whole interval. */
static void nobody_waits_inside_the_critical(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    cfb_limiter_init(&limiter, 0.020);
    atomic_store(&taken, STARTS - 40);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, start_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(limiter.starts, 40);
    assert_true(limiter.max_hold_ns < limiter.interval_ns / 2);
}

static void a_pause_holds_everybody(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, 0.001);
    assert_true(cfb_limiter_wait(&limiter, NULL));
    int64_t begin = cfb_now_ns();
    cfb_limiter_pause(&limiter, 0.15);
    assert_true(cfb_limiter_wait(&limiter, NULL));
    assert_true(cfb_now_ns() - begin >= 149 * 1000000);
}

static void no_limit_does_not_wait(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, 0);
    for (int i = 0; i < 1000; i++) assert_true(cfb_limiter_wait(&limiter, NULL));
    assert_int_equal(limiter.starts, 1000);
}

static void a_stop_ends_the_wait_without_a_start(void **state) {
    (void)state;
    cfb_stop stop = {1, NULL};
    cfb_limiter_init(&limiter, 3600);
    assert_true(cfb_limiter_wait(&limiter, NULL));
    int64_t begin = cfb_now_ns();
    assert_false(cfb_limiter_wait(&limiter, &stop));
    assert_true(cfb_now_ns() - begin < (int64_t)5 * 1000000000);
    assert_int_equal(limiter.starts, 1);
}

static void back_off_doubles_with_jitter_up_to_its_maximum(void **state) {
    (void)state;
    for (int tries = 1; tries <= 10; tries++)
        for (uint64_t row = 0; row < 200; row++) {
            double full = fmin(2.0 * pow(2, tries - 1), 60), wait = cfb_backoff_s(2, 60, tries, -1, 5, row);
            assert_true(wait >= full / 2 && wait < full);
            assert_true(cfb_backoff_s(2, 60, tries, -1, 5, row) == wait); /* a run repeats */
        }
    assert_true(cfb_backoff_s(2, 60, 1, 30, 5, 0) == 30); /* the server's word is a lower bound */
    assert_true(cfb_backoff_s(2, 60, 1, -1, 5, 0) != cfb_backoff_s(2, 60, 1, -1, 5, 1));
    assert_true(cfb_backoff_s(0, 60, 5, -1, 5, 0) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_take_at_least_their_intervals),
        cmocka_unit_test(nobody_waits_inside_the_critical),
        cmocka_unit_test(a_pause_holds_everybody),
        cmocka_unit_test(no_limit_does_not_wait),
        cmocka_unit_test(a_stop_ends_the_wait_without_a_start),
        cmocka_unit_test(back_off_doubles_with_jitter_up_to_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
