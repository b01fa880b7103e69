/* Shards: stable, balanced, moved little by another count; and what a job's environment says. */
#include "cfbench/cluster.h"
#include "cluster/wire.h"
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

/* ---- the hub ---- */

static void test_grid(void **state) {
    (void)state;
    static cfb_hub h;
    const cfb_limits limits = {.calls_per_s = 1000};
    int64_t now = 1000000000, last = 0, first = 0;
    size_t n = 0;
    cfb_hub_init(&h, &limits, 0, false, now);
    int m[3];
    for (int i = 0; i < 3; i++) m[i] = cfb_hub_join(&h, now);
    for (size_t i = 0; i < 3000; i++) { /* three members in turn, each 1 ms or so: more than is given */
        const cfb_hub_ask a = {.n_starts = 64};
        cfb_hub_grant g;
        cfb_hub_exchange(&h, m[i % 3], now, &a, &g);
        assert_in_range(g.n_starts, 1, 6); /* 5 ms at most */
        assert_int_equal(g.in_flight, INT32_MAX);
        if (last) assert_true(g.first_ns - last >= 999999 && g.first_ns - last <= 1000001); /* one grid */
        if (!first) first = g.first_ns;
        last = g.first_ns + (g.n_starts - 1) * g.step_ns;
        n += (size_t)g.n_starts;
        now = g.first_ns - 2000000 + (int64_t)(cfb_rand_unit(1, 2, i) * 1e6);
    }
    double rate = (double)(n - 1) / ((double)(last - first) * 1e-9);
    assert_true(rate > 999.99 && rate < 1000.01);
    /* after a pause of all, no rush */
    cfb_hub_ask a = {.n_starts = 1};
    cfb_hub_grant g;
    now = last + 2000000000;
    cfb_hub_exchange(&h, m[0], now, &a, &g);
    assert_true(g.first_ns >= now - CFB_LIMITER_SLACK_NS);
    a.pause_s = 3;
    cfb_hub_exchange(&h, m[1], now, &a, &g);
    assert_true(g.first_ns >= now + 2999999999 && g.paused_until_ns >= now + 2999999999);
}

/* Members that start and end calls at random, late with their words, some of them dying: never more calls than the limit. */
static void test_in_flight(void **state) {
    (void)state;
    enum { MEMBERS = 9, LIMIT = 40, STEPS = 200000 };
    static cfb_hub h;
    const cfb_limits none = {0};
    int64_t now = 1000000000;
    struct {
        int id, used, limit, told, want;
    } m[MEMBERS] = {{0}};
    cfb_hub_init(&h, &none, LIMIT, false, now);
    for (int i = 0; i < MEMBERS; i++) {
        m[i].id = cfb_hub_join(&h, now);
        m[i].want = i == 0 ? 3 : 30;
    }
    int most = 0;
    for (uint64_t s = 0; s < STEPS; s++) {
        int i = (int)(cfb_rand_u64(7, 1, s) % MEMBERS), what = (int)(cfb_rand_u64(7, 2, s) % 5), sum = 0;
        now += 100000;
        if (what == 0 && m[i].used > 0) m[i].used--;
        if (what == 1 && m[i].used < m[i].limit) m[i].used++;
        if (what == 2) m[i].limit = m[i].told; /* keeps to what it was told, at some time */
        if (what >= 3) {
            const cfb_hub_ask a = {.in_use = m[i].used, .held = m[i].limit, .want = m[i].want};
            cfb_hub_grant g;
            cfb_hub_exchange(&h, m[i].id, now, &a, &g);
            m[i].told = g.in_flight;
        }
        if (s % 5000 == 4999) { /* killed, and another one comes */
            cfb_hub_leave(&h, m[i].id);
            m[i].used = m[i].limit = m[i].told = 0;
            m[i].id = cfb_hub_join(&h, now);
        }
        for (int k = 0; k < MEMBERS; k++) sum += m[k].used;
        assert_true(sum <= LIMIT);
        if (sum > most) most = sum;
    }
    assert_true(most >= LIMIT - 4); /* and it is used */
}

static void test_silent_member(void **state) {
    (void)state;
    static cfb_hub h;
    const cfb_limits none = {0};
    cfb_hub_grant g;
    cfb_hub_init(&h, &none, 10, false, 1);
    int a = cfb_hub_join(&h, 1), b = cfb_hub_join(&h, 1);
    cfb_hub_ask ask = {.want = 10};
    cfb_hub_exchange(&h, a, 1, &ask, &g);
    assert_int_equal(g.in_flight, 10);
    cfb_hub_exchange(&h, b, 2, &ask, &g);
    assert_int_equal(g.in_flight, 0);
    cfb_hub_exchange(&h, b, CFB_HUB_SILENT_NS + 100, &ask, &g);
    assert_int_equal(g.in_flight, 10);
    int c = cfb_hub_join(&h, CFB_HUB_SILENT_NS + 200); /* a job that was suspended comes back to its own place */
    assert_int_not_equal(c, a);
    cfb_hub_exchange(&h, a, CFB_HUB_SILENT_NS + 300, &ask, &g);
    assert_int_equal(g.in_flight, 0); /* until the others have given something back */
}

static void test_wire(void **state) {
    (void)state;
    char line[CFB_WIRE_LINE];
    cfb_hub_event events[CFB_HUB_EVENTS], back[CFB_HUB_EVENTS];
    for (int i = 0; i < CFB_HUB_EVENTS; i++)
        events[i] =
            (cfb_hub_event){(cfb_signal)(i % 3), 1000 + i, INT64_C(8000000000000000000) - i * 1000, INT64_C(8000000000000000000)};
    const int64_t now = INT64_C(8000000000000000001);
    const cfb_hub_ask a = {7, 123.25, -0.5, 2.5, 3, 40, 60, 50, events, CFB_HUB_EVENTS};
    cfb_hub_ask b;
    size_t n = cfb_wire_put_ask(&a, now, line);
    assert_true(n < CFB_WIRE_LINE - 1 && strlen(line) == n);
    assert_true(cfb_wire_get_ask(line, now, &b, back));
    assert_true(b.n_starts == 7 && b.tokens == 123.25 && b.settle_tokens == -0.5 && b.pause_s == 2.5 && b.n_lost == 3);
    assert_true(b.in_use == 40 && b.want == 60 && b.held == 50 && b.n_events == CFB_HUB_EVENTS);
    for (int i = 0; i < CFB_HUB_EVENTS; i++)
        assert_true(back[i].started_ns == events[i].started_ns && back[i].ended_ns == events[i].ended_ns &&
                    back[i].signal == events[i].signal && back[i].in_flight == events[i].in_flight);
    static const char *const wrong[] = {"",
                                        "ask",
                                        "ask ",
                                        "ask 1 1 1 1 1 1 1 1",
                                        "ask 1 1 1 1 1 1 1 1 1",
                                        "ask 1 nan 0 0 0 0 0 0 0",
                                        "ask 1 inf 0 0 0 0 0 0 0",
                                        "ask -1 0 0 0 0 0 0 0 0",
                                        "ask 1 0 0 0 0 0 0 0 0 ",
                                        "ask 1 0 0 0 0 0 0 0 65",
                                        "ask 1 0 0 -1 0 0 0 0 0",
                                        "ask 1 0 0 0 0 0 0 0 1 9,0,0,0",
                                        "ask 1 0 0 0 0 0 0 0 1 0,1,2,0",
                                        "grant 1 2 3 4 5 6"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(cfb_wire_get_ask(wrong[i], now, &b, back));
    assert_true(cfb_wire_get_ask("ask 1 0 0 0 0 0 0 0 0", now, &b, back));
    const cfb_hub_grant g = {5, -77, 1000, INT64_MIN / 2, INT32_MAX};
    cfb_hub_grant k;
    int64_t theirs;
    cfb_wire_put_grant(&g, 99, line);
    assert_true(cfb_wire_get_grant(line, &k, &theirs));
    assert_true(k.n_starts == 5 && k.first_ns == -77 && k.step_ns == 1000 && k.in_flight == INT32_MAX &&
                k.paused_until_ns == INT64_MIN / 2 && theirs == 99);
    assert_false(cfb_wire_get_grant("no", &k, &theirs));
    assert_true(cfb_wire_same("abc", "abc"));
    assert_false(cfb_wire_same("abc", "abd") || cfb_wire_same("abc", "ab") || cfb_wire_same("abc", "abcd") ||
                 cfb_wire_same("abc", ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_stay),   cmocka_unit_test(test_balanced_and_lazy),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_job),
        cmocka_unit_test(test_grid),          cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_silent_member), cmocka_unit_test(test_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
