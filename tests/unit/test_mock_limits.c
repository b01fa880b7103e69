/* The mock's limits: places, slots, rates, and their change while it serves. */
#include "mock_http.h"

#include "mock/limit.h"

static reply control(cfb_mock_t *m, const char *json) { return call(cfb_mock_port(m), "/mock/control", json); }

static int64_t setting(cfb_mock_t *m, const char *key) {
    reply r = control(m, NULL);
    assert_int_equal(r.status, 200);
    int64_t v = number(r.json, key);
    done(&r);
    return v;
}

static void change(cfb_mock_t *m, const char *json) {
    reply r = control(m, json);
    if (r.status != 200) fail_msg("%s: %.*s", json, CFB_STR_ARG(cfb_buf_str(&r.body)));
    done(&r);
}

/* ---- places ---- */

static void test_max_inflight(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.latency_s = 0.5;
    o.max_inflight = 5;
    o.control = true;
    cfb_mock_t *m = start(&o);
    int fds[12];
    send_many(cfb_mock_port(m), 12, fds);
    int n_ok = 0, n_refused = 0;
    for (int i = 0; i < 12; i++) {
        char buf[4096];
        read_all(fds[i], buf, sizeof buf);
        close(fds[i]);
        n_ok += strncmp(buf, "HTTP/1.1 200", 12) == 0;
        n_refused += strncmp(buf, "HTTP/1.1 429", 12) == 0;
        if (strncmp(buf, "HTTP/1.1 429", 12) == 0) assert_null(strstr(buf, "Retry-After"));
    }
    assert_int_equal(n_ok, 5);
    assert_int_equal(n_refused, 7);
    assert_int_equal(stat_of(m, "refused"), 7);
    assert_int_equal(stat_of(m, "distinct_prompts"), 5); /* a refusal is no try */

    change(m, "{\"max_inflight\": 1, \"refuse\": 503, \"reset_peak\": true}");
    send_many(cfb_mock_port(m), 1, fds);
    wait_in_flight(m, 1);
    reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("x"));
    assert_int_equal(r.status, 503);
    done(&r);
    assert_int_equal(stat_of(m, "max_in_flight"), 2);
    close(fds[0]); /* a client that goes away gives its place back */
    wait_in_flight(m, 0);
    change(m, "{\"latency\": 0}");
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("x"));
    assert_int_equal(r.status, 200);
    done(&r);
    cfb_mock_stop(m);
}

/* ---- slots ---- */

static void test_slots_one_by_one(void **state) {
    (void)state;
    cfb_mock__limit l;
    assert_int_equal(cfb_mock__limit_init(&l, NULL), CFB_OK);
    assert_int_equal(cfb_mock__limit_queue(&l, 1000, 50), 1050); /* no slots: no queue */
    assert_int_equal(cfb_mock__limit_set_slots(&l, 2, NULL), CFB_OK);
    assert_int_equal(cfb_mock__limit_queue(&l, 1000, 50), 1050);
    assert_int_equal(cfb_mock__limit_queue(&l, 1000, 70), 1070);
    assert_int_equal(cfb_mock__limit_queue(&l, 1001, 10), 1060); /* behind the first */
    assert_int_equal(cfb_mock__limit_queue(&l, 1002, 10), 1070);
    assert_int_equal(cfb_mock__limit_queue(&l, 1003, 5), 1075);
    assert_int_equal(cfb_mock__limit_set_slots(&l, 3, NULL), CFB_OK);
    assert_int_equal(cfb_mock__limit_queue(&l, 1004, 5), 1009); /* the new slot is free */
    assert_int_equal(cfb_mock__limit_set_slots(&l, 1, NULL), CFB_OK);
    assert_int_equal(cfb_mock__limit_queue(&l, 1005, 5), 1080); /* the busiest slot stays */
    assert_int_equal(cfb_mock__limit_queue(&l, 2000, 5), 2005);
    assert_int_equal(cfb_mock__limit_set_slots(&l, 0, NULL), CFB_OK);
    assert_int_equal(cfb_mock__limit_queue(&l, 2000, 5), 2005);
    cfb_mock__limit_destroy(&l);
}

static void test_slots_served(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.latency_s = 0.05;
    o.slots = 2;
    cfb_mock_t *m = start(&o);
    int fds[8];
    int64_t begin = cfb_now_ns();
    send_many(cfb_mock_port(m), 8, fds);
    for (int i = 0; i < 8; i++) {
        char buf[4096];
        read_all(fds[i], buf, sizeof buf);
        close(fds[i]);
        assert_int_equal(strncmp(buf, "HTTP/1.1 200", 12), 0);
    }
    assert_true(cfb_now_ns() - begin >= 200000000); /* 4 rounds of 50 ms */
    cfb_mock_stop(m);
}

/* ---- rates ---- */

static void test_token_bucket(void **state) {
    (void)state;
    cfb_mock__limit l;
    cfb_mock__quota q;
    assert_int_equal(cfb_mock__limit_init(&l, NULL), CFB_OK);
    cfb_mock__limit_set_rates(&l, 0, 6000); /* 100 a second */
    int64_t t = l.last_ns;
    assert_int_equal(cfb_mock__limit_take(&l, t, 60, &q), CFB_MOCK__PASS);
    assert_int_equal(q.tokens.limit, 6000);
    assert_int_equal(q.tokens.remaining, 40);
    assert_int_equal(q.requests.limit, 0);
    assert_int_equal(cfb_mock__limit_take(&l, t, 60, &q), CFB_MOCK__PASS_TOKENS);
    assert_true(q.wait_s > 0.19 && q.wait_s < 0.21);
    assert_int_equal(q.tokens.remaining, 40); /* a refusal takes nothing */
    assert_int_equal(cfb_mock__limit_take(&l, t + 210000000, 60, &q), CFB_MOCK__PASS);
    /* more than the bucket holds: passes when it is full, and leaves a debt */
    assert_int_equal(cfb_mock__limit_take(&l, t + 1300000000, 300, &q), CFB_MOCK__PASS);
    assert_int_equal(q.tokens.remaining, 0);
    assert_int_equal(cfb_mock__limit_take(&l, t + 3000000000, 1, &q), CFB_MOCK__PASS_TOKENS);
    assert_int_equal(cfb_mock__limit_take(&l, t + 3400000000, 1, &q), CFB_MOCK__PASS);

    /* a reply's tokens are known late, and owed */
    cfb_mock__limit_set_rates(&l, 0, 6000);
    assert_int_equal(cfb_mock__limit_take(&l, t + 3400000000, 50, &q), CFB_MOCK__PASS);
    cfb_mock__limit_settle(&l, 100);
    assert_int_equal(cfb_mock__limit_take(&l, t + 3800000000, 1, &q), CFB_MOCK__PASS_TOKENS);
    assert_int_equal(cfb_mock__limit_take(&l, t + 4000000000, 1, &q), CFB_MOCK__PASS);

    cfb_mock__limit_set_rates(&l, 0, 0);
    cfb_mock__limit_set_quota(&l, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cfb_mock__limit_take(&l, t, 1, &q), i < 2 ? CFB_MOCK__PASS : CFB_MOCK__PASS_QUOTA);
    cfb_mock__limit_set_quota(&l, 0);
    assert_int_equal(cfb_mock__limit_take(&l, t, 1, &q), CFB_MOCK__PASS);
    cfb_mock__limit_destroy(&l);
}

/* ---- control ---- */

static void test_control(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    reply r = control(m, "{\"slots\": 1}");
    assert_int_equal(r.status, 404); /* not asked for */
    done(&r);
    cfb_mock_stop(m);

    o.control = true;
    o.max_inflight = 7;
    m = start(&o);
    assert_int_equal(setting(m, "max_inflight"), 7);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{",
                                      "{\"slots\": -1}",
                                      "{\"slots\": 1.5}",
                                      "{\"slots\": 70000}",
                                      "{\"slots\": \"1\"}",
                                      "{\"refuse\": 404}",
                                      "{\"faults\": \"teapot:1\"}",
                                      "{\"faults\": 1}",
                                      "{\"latency\": 1e9}",
                                      "{\"unknown\": 1}",
                                      "{\"max_inflight\": 9, \"slots\": -1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r = control(m, bad[i]);
        if (r.status != 400) fail_msg("%s: status %ld", bad[i], r.status);
        done(&r);
    }
    assert_int_equal(setting(m, "max_inflight"), 7); /* all or nothing */
    change(m, "{\"faults\": \"500:1\", \"latency\": 0.001, \"rpm\": 6000, \"slots\": 3}");
    assert_int_equal(setting(m, "rpm"), 6000);
    assert_int_equal(setting(m, "slots"), 3);
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("x"));
    assert_int_equal(r.status, 500);
    assert_true(has_header(&r, "x-ratelimit-limit-requests: 6000\r\n"));
    done(&r);
    change(m, "{\"faults\": \"\", \"rpm\": 0}");
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("x"));
    assert_int_equal(r.status, 200);
    assert_false(has_header(&r, "x-ratelimit"));
    done(&r);
    cfb_mock_stop(m);
}

static int64_t sum(const cfb_json *list) {
    int64_t s = 0, v = 0;
    for (const cfb_json *n = cfb_json_first(list); n != NULL; n = cfb_json_next(n)) s += cfb_json_int(n, &v) ? v : 0;
    return s;
}

static void test_counts(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    teach(m, "abc", NULL, "四个字儿");
    for (int i = 0; i < 3; i++) {
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("abc"));
        done(&r);
    }
    assert_int_equal(stat_of(m, "tokens_in"), 9);
    assert_int_equal(stat_of(m, "tokens_out"), 12);
    reply r = call(cfb_mock_port(m), "/mock/stats", NULL);
    assert_int_equal(number(r.json, "requests"), 3);
    done(&r);
    r = call(cfb_mock_port(m), "/mock/series", NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(sum(cfb_json_get(r.json, "arrived")), 3);
    assert_int_equal(sum(cfb_json_get(r.json, "replied")), 3);
    assert_int_equal(sum(cfb_json_get(r.json, "refused")), 0);
    done(&r);
    cfb_mock_stop(m);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_max_inflight), cmocka_unit_test(test_slots_one_by_one), cmocka_unit_test(test_slots_served),
        cmocka_unit_test(test_token_bucket), cmocka_unit_test(test_control),          cmocka_unit_test(test_counts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
