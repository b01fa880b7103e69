/* The rate limiter: spacing, rate, nobody waits inside the critical, pausing, stopping, back-off. */
#include "test.h"

#include "cfbench/pace.h"

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
    cfb_limiter_init(&limiter, &(cfb_limits){.spacing_s = interval_s});
    atomic_store(&taken, 0);
    int64_t begin = cfb_now_ns();
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, start_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(limiter.starts, STARTS);
    assert_true(limiter.min_gap_ns >= limiter.spacing_ns); /* no two starts are closer */
    assert_true((double)(cfb_now_ns() - begin) * 1e-9 >= (STARTS - 1) * interval_s);
}

/* Threads take turns 20 ms apart. One that slept inside would stay there for the whole interval. */
static void nobody_waits_inside_the_critical(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    cfb_limiter_init(&limiter, &(cfb_limits){.spacing_s = 0.020});
    atomic_store(&taken, STARTS - 40);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, start_often, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(limiter.starts, 40);
    assert_true(limiter.max_hold_ns < limiter.spacing_ns / 2);
}

static void a_pause_holds_everybody(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.spacing_s = 0.001});
    assert_true(cfb_limiter_wait(&limiter, NULL));
    int64_t begin = cfb_now_ns();
    cfb_limiter_pause(&limiter, 0.15);
    assert_true(cfb_limiter_wait(&limiter, NULL));
    assert_true(cfb_now_ns() - begin >= 149 * 1000000);
}

static void no_limit_does_not_wait(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.spacing_s = 0});
    for (int i = 0; i < 1000; i++) assert_true(cfb_limiter_wait(&limiter, NULL));
    assert_int_equal(limiter.starts, 1000);
}

static void a_stop_ends_the_wait_without_a_start(void **state) {
    (void)state;
    cfb_stop stop = {1, NULL};
    cfb_limiter_init(&limiter, &(cfb_limits){.spacing_s = 3600});
    assert_true(cfb_limiter_wait(&limiter, NULL));
    int64_t begin = cfb_now_ns();
    assert_false(cfb_limiter_wait(&limiter, &stop));
    assert_true(cfb_now_ns() - begin < (int64_t)5 * 1000000000);
    assert_int_equal(limiter.starts, 1);
}

/* The grid itself, without waiting for it: reservations come at the asked rate whoever makes them. */
static void a_rate_is_a_grid(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.calls_per_s = 1000});
    int64_t first = cfb_limiter_reserve(&limiter, 0), last = first;
    for (int i = 1; i < 5000; i++) {
        int64_t due = cfb_limiter_reserve(&limiter, 0);
        assert_true(due - last >= 999998 && due - last <= 1000002);
        last = due;
    }
    assert_true(last - first >= 4998990000 && last - first <= 4999010000); /* no drift */
}

static void a_late_thread_catches_up_a_little_only(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.calls_per_s = 1000});
    cfb_limiter_reserve(&limiter, 0);
    cfb_sleep_until_ns(cfb_now_ns() + 200000000, NULL); /* 200 starts were not made */
    int64_t now = cfb_now_ns();
    int at_once = 0;
    while (cfb_limiter_reserve(&limiter, 0) <= now) at_once++;
    assert_true(at_once <= CFB_LIMITER_SLACK_NS / 1000000 + 2); /* not 200 */
}

/* Threads that were held up with a reserved start in hand do not all start together. */
static void late_starts_do_not_pile_up(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.calls_per_s = 100});
    int64_t due[8], later[8];
    for (int i = 0; i < 8; i++) due[i] = cfb_limiter_reserve(&limiter, 0);
    cfb_sleep_until_ns(cfb_now_ns() + 200000000, NULL);
    int at_once = 0;
    for (int i = 0; i < 8; i++) at_once += (later[i] = cfb_limiter_take(&limiter, due[i])) == 0;
    assert_true(at_once >= 1 && at_once <= 2);
    for (int i = 3; i < 8; i++) assert_true(later[i] - later[i - 1] >= 9999998); /* the others are spread again */
    assert_int_equal(limiter.starts, at_once);
}

static void tokens_are_paid_for_in_time(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.tokens_per_s = 1000});
    int64_t a = cfb_limiter_reserve(&limiter, 500), b = cfb_limiter_reserve(&limiter, 500), c = cfb_limiter_reserve(&limiter, 0);
    assert_true(b - a >= 499999999 && b - a <= 500000001);
    assert_true(c - b >= 499999999 && c - b <= 500000001);
    cfb_limiter_settle(&limiter, 500, 100); /* the call took less: those after it may come sooner */
    assert_true(c - cfb_limiter_reserve(&limiter, 0) >= 399999990);
    cfb_limiter_settle(&limiter, 0, 2000);
    assert_true(cfb_limiter_reserve(&limiter, 0) - c >= 1599999990);
}

static void starts_reserved_before_a_pause_are_reserved_again(void **state) {
    (void)state;
    cfb_limiter_init(&limiter, &(cfb_limits){.calls_per_s = 100});
    int64_t due[8];
    for (int i = 0; i < 8; i++) due[i] = cfb_limiter_reserve(&limiter, 0);
    cfb_limiter_pause(&limiter, 10);
    for (int i = 0; i < 8; i++) {
        int64_t later = cfb_limiter_take(&limiter, due[i]);
        assert_true(later - due[0] >= (int64_t)9900000000 + i * 10000000); /* after the pause, and not all at once */
    }
    assert_int_equal(limiter.starts, 0);
    assert_int_equal(limiter.pauses, 1);
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
        cmocka_unit_test(a_rate_is_a_grid),
        cmocka_unit_test(a_late_thread_catches_up_a_little_only),
        cmocka_unit_test(late_starts_do_not_pile_up),
        cmocka_unit_test(tokens_are_paid_for_in_time),
        cmocka_unit_test(starts_reserved_before_a_pause_are_reserved_again),
        cmocka_unit_test(back_off_doubles_with_jitter_up_to_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
