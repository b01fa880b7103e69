/* The nested scheduler: every row once, real parallelism at both levels, helping, failures, stopping. */
#include "test.h"

#include "cfbench/generate.h"

#include <stdatomic.h>

#define MAX_TASKS 8
#define MAX_ROWS 500

struct job {
    atomic_int seen[MAX_TASKS][MAX_ROWS];
    atomic_int in_flight, max_in_flight, workers, seats[64];
    int sleep_ms;
    size_t poison_task, poison_row; /* returns an error there */
    cfb_stop stop;
    size_t stop_after;
    atomic_size_t done;
};

static cfb_code do_row(struct job *j, size_t task, size_t r, cfb_err *err) {
    int now = atomic_fetch_add(&j->in_flight, 1) + 1, most = atomic_load(&j->max_in_flight);
    while (now > most && !atomic_compare_exchange_weak(&j->max_in_flight, &most, now)) continue;
    atomic_fetch_add(&j->seen[task][r], 1);
    if (j->sleep_ms) cfb_sleep_until_ns(cfb_now_ns() + j->sleep_ms * (int64_t)1000000, NULL);
    atomic_fetch_sub(&j->in_flight, 1);
    if (j->stop_after && atomic_fetch_add(&j->done, 1) + 1 >= j->stop_after) cfb_stop_set(&j->stop);
    if (task == j->poison_task && r == j->poison_row) return cfb_err_set(err, CFB_EAUTH, "poisoned row");
    return CFB_OK;
}

static cfb_code work(void *ctx, cfb_seat_t *seat, cfb_err *err) {
    struct job *j = ctx;
    size_t task, r;
    cfb_code rc = CFB_OK;
    atomic_fetch_add(&j->workers, 1);
    atomic_fetch_add(&j->seats[cfb_sched_seat_number(seat)], 1);
    while (rc == CFB_OK && cfb_sched_next(seat, &task, &r)) rc = do_row(j, task, r, err);
    return rc;
}

static struct job *new_job(void) {
    struct job *j = calloc(1, sizeof *j);
    j->poison_task = SIZE_MAX;
    return j;
}

static cfb_sched sched(struct job *j, size_t n_tasks, const size_t *n_rows, int outer, int inner) {
    return (cfb_sched){n_tasks, n_rows, outer, inner, j, NULL, work, &j->stop};
}

static void every_row_runs_once(void **state) {
    (void)state;
    static const size_t n_rows[] = {100, 0, 1, 499, 7, 50, 3, 2};
    static const int shapes[][2] = {{1, 1}, {2, 3}, {8, 4}, {3, 16}, {8, 1}, {1, 8}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct job *j = new_job();
        cfb_sched s = sched(j, 8, n_rows, shapes[i][0], shapes[i][1]);
        cfb_sched_stats stats;
        assert_ok(cfb_sched_run(&s, &stats, &test_err));
        size_t total = 0;
        for (size_t t = 0; t < 8; t++)
            for (size_t r = 0; r < MAX_ROWS; r++) assert_int_equal(j->seen[t][r], r < n_rows[t]);
        for (size_t t = 0; t < 8; t++) total += n_rows[t];
        assert_int_equal(stats.rows_started, total);
        free(j);
    }
}

/* A region that silently got one thread would show here, not as a wrong result. */
static void both_levels_get_their_threads(void **state) {
    (void)state;
#ifndef _OPENMP
    print_message("SKIPPED: no OpenMP in this build\n");
    skip();
#endif
    static const size_t n_rows[] = {12, 12, 12, 12, 12, 12, 12, 12};
    struct job *j = new_job();
    j->sleep_ms = 50;
    cfb_sched s = sched(j, 8, n_rows, 8, 4);
    cfb_sched_stats stats;
    assert_ok(cfb_sched_run(&s, &stats, &test_err));
    assert_int_equal(stats.outer_threads, 8);
    assert_int_equal(stats.inner_threads_min, 4);
    assert_int_equal(stats.inner_threads_max, 4);
    assert_int_equal(j->workers, 32);
    for (int i = 0; i < 32; i++) assert_int_equal(j->seats[i], 1); /* each has a seat of its own */
    assert_int_equal(j->max_in_flight, 32);
    free(j);
}

static void workers_without_rows_help(void **state) {
    (void)state;
#ifndef _OPENMP
    print_message("SKIPPED: no OpenMP in this build\n");
    skip();
#endif
    static const size_t n_rows[] = {64, 1, 1, 1};
    struct job *j = new_job();
    j->sleep_ms = 20;
    cfb_sched s = sched(j, 4, n_rows, 4, 4);
    cfb_sched_stats stats;
    assert_ok(cfb_sched_run(&s, &stats, &test_err));
    assert_int_equal(j->max_in_flight, 16); /* all 16 workers, not only the 4 of the long task */
    assert_true(stats.rows_helped >= 32);
    free(j);
}

static void a_failing_callback_ends_the_run(void **state) {
    (void)state;
    static const size_t n_rows[] = {400, 400};
    struct job *j = new_job();
    j->sleep_ms = 1;
    j->poison_task = 1;
    j->poison_row = 3;
    cfb_sched s = sched(j, 2, n_rows, 2, 4);
    cfb_sched_stats stats;
    assert_fails(cfb_sched_run(&s, &stats, &test_err), CFB_EAUTH, "poisoned row");
#ifdef _OPENMP
    assert_true(stats.rows_started < 400);
#endif
    free(j);
}

static void a_stop_hands_out_nothing_more(void **state) {
    (void)state;
    static const size_t n_rows[] = {400, 400};
    struct job *j = new_job();
    j->stop_after = 10;
    cfb_sched s = sched(j, 2, n_rows, 2, 4);
    cfb_sched_stats stats;
    assert_fails(cfb_sched_run(&s, &stats, &test_err), CFB_EINTERRUPTED, "stopped");
    assert_true(stats.rows_started >= 10 && stats.rows_started < 800);
    free(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_runs_once),           cmocka_unit_test(both_levels_get_their_threads),
        cmocka_unit_test(workers_without_rows_help),     cmocka_unit_test(a_failing_callback_ends_the_run),
        cmocka_unit_test(a_stop_hands_out_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
