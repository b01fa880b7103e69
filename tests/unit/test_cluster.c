/* Shards: stable, balanced, moved little by another count; and what a job's environment says. */
#include "cfbench/cluster.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t shard_of(int64_t n, const char *task, size_t i) {
    char id[24];
    snprintf(id, sizeof id, "%zu", i);
    return cfb_shard_of(n, cfb_str_from(task), cfb_str_from(id));
}

/* Values computed in Python from the two papers' formulas. They must never change, or old shards would be asked again. */
static void test_values_stay(void **state) {
    (void)state;
    static const struct {
        const char *task, *id;
        int64_t n, shard;
    } known[] = {{"sector", "0", 8, 5}, {"sector", "1", 8, 3},       {"sector", "402", 8, 6}, {"company", "a-17", 3, 0},
                 {"summary", "", 5, 3}, {"risk", "行-9", 1000, 305}, {"x", "y", 1, 0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(cfb_shard_of(known[i].n, cfb_str_from(known[i].task), cfb_str_from(known[i].id)), known[i].shard);
}

static void test_balanced_and_lazy(void **state) {
    (void)state;
    enum { ROWS = 100000, N = 16 };
    size_t n_of[N] = {0}, moved = 0;
    for (size_t i = 0; i < ROWS; i++) {
        int64_t a = shard_of(N, "sector", i), b = shard_of(N + 1, "sector", i);
        assert_in_range(a, 0, N - 1);
        n_of[a]++;
        assert_true(a == b || b == N); /* only the new shard gets rows */
        moved += a != b;
        assert_int_equal(shard_of(1, "sector", i), 0);
    }
    for (size_t k = 0; k < N; k++) assert_in_range(n_of[k], ROWS / N * 95 / 100, ROWS / N * 105 / 100);
    assert_in_range(moved, ROWS / 17 * 95 / 100, ROWS / 17 * 105 / 100);
}

static void test_names(void **state) {
    (void)state;
    char name[48];
    cfb_shard s = {0}, back = {0};
    cfb_jobenv none = {.array_index = -1, .proc_index = -1};
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_shard_parse("3/8", &none, &s, &err), CFB_OK);
    cfb_shard_folder(s, name);
    assert_string_equal(name, "shard-0003-of-0008");
    assert_true(cfb_shard_folder_parse(name, &back));
    assert_int_equal(back.index, 3);
    assert_int_equal(back.count, 8);
    static const char *const wrong[] = {"8/8", "x/8", "3/", "/8", "3/8x", "3/0", "-1/8", "3/99999999999", "", "3 / 8"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cfb_shard_parse(wrong[i], &none, &s, &err), CFB_EUSAGE);
    static const char *const other[] = {"shard-3", "shard-0008-of-0008", "shard-0003-of-0008.old", "run.db", "shard--of-"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) assert_false(cfb_shard_folder_parse(other[i], &back));
}

static void test_job(void **state) {
    (void)state;
    static const char *const names[] = {"SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_PROCID",
                                        "SLURM_NTASKS", "SLURM_JOB_END_TIME",  "SLURM_RESTART_COUNT"};
    static const char *const values[] = {"77", "5", "8", "0", "4", "1700000000", "2"};
    cfb_jobenv e;
    for (size_t i = 0; i < 7; i++) setenv(names[i], values[i], 1);
    unsetenv("SLURM_ARRAY_TASK_MIN");
    unsetenv("SLURM_ARRAY_TASK_STEP");
    unsetenv("SLURM_STEP_ID");
    cfb_jobenv_read(&e);
    assert_string_equal(e.scheduler, "slurm");
    assert_string_equal(e.job_id, "77");
    assert_int_equal(e.array_index, 5);
    assert_int_equal(e.array_count, 8);
    assert_int_equal(e.proc_count, 0); /* a batch script is one process, whatever the job's number of tasks */
    assert_int_equal(e.restarts, 2);
    assert_true(e.end_wall_ms == 1700000000000);
    for (size_t i = 0; i < 7; i++) unsetenv(names[i]);
    cfb_jobenv_read(&e);
    assert_null(e.scheduler);
    assert_int_equal(e.array_index, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_stay),
        cmocka_unit_test(test_balanced_and_lazy),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
