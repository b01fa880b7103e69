/* The mock model over real connections: answers, faults, limits, script, log, stop. */
#include "mock_http.h"

/* ---- answers ---- */

static void test_plain_answer(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    teach(m, "问题", "sector", "金融");
    static const char *const paths[] = {"/v1/chat/completions", "/chat/completions"};
    for (size_t i = 0; i < 2; i++) {
        reply r = call(cfb_mock_port(m), paths[i],
                       "{\"model\":\"some-model\",\"temperature\":0,\"messages\":[{\"role\":\"system\",\"content\":\"ab\"},"
                       "{\"role\":\"user\",\"content\":\"前\"},{\"role\":\"assistant\",\"content\":\"x\"},"
                       "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"问\"},"
                       "{\"type\":\"text\",\"text\":\"题\"}]},{\"role\":\"assistant\",\"content\":\"\"}]}");
        assert_int_equal(r.status, 200);
        assert_true(has_header(&r, "Content-Type: application/json; charset=utf-8\r\n"));
        char length[64];
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", r.body.len);
        assert_true(has_header(&r, length));
        assert_str(content(&r), "金融");
        assert_str(finish(&r), "stop");
        assert_str(cfb_json_str(cfb_json_get(r.json, "object")), "chat.completion");
        assert_str(cfb_json_str(cfb_json_get(r.json, "model")), "some-model");
        const cfb_json *usage = cfb_json_get(r.json, "usage");
        assert_int_equal(number(usage, "prompt_tokens"), 6);
        assert_int_equal(number(usage, "completion_tokens"), 2);
        assert_int_equal(number(usage, "total_tokens"), 8);
        done(&r);
    }
    reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("unknown"));
    assert_int_equal(cfb_str_find(content(&r), cfb_str_from("模拟回答 "), 0), 0);
    done(&r);
    assert_int_equal(stat_of(m, "requests"), 3);
    assert_int_equal(stat_of(m, "in_flight"), 0);
    assert_int_equal(stat_of(m, "max_in_flight"), 1);
    assert_int_equal(stat_of(m, "distinct_prompts"), 2);
    assert_int_equal(stat_of(m, "repeated"), 1);
    assert_int_equal(stat_of(m, "answered_again"), 1);
    assert_int_equal(count_of_status(m, "200"), 3);
    cfb_mock_stop(m);
}

static void test_max_tokens(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    teach(m, "q", NULL, "一二三四五六七八九");
    reply r = call(cfb_mock_port(m), "/v1/chat/completions",
                   "{\"model\":\"m\",\"max_tokens\":2,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    assert_str(content(&r), "一二三四五六七八");
    assert_str(finish(&r), "length");
    done(&r);
    r = call(cfb_mock_port(m), "/v1/chat/completions",
             "{\"model\":\"m\",\"max_completion_tokens\":3,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    assert_str(finish(&r), "stop");
    done(&r);
    cfb_mock_stop(m);
}

static void test_bad_requests(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\"}",
        "{\"model\":\"m\",\"messages\":[]}",
        "{\"model\":\"m\",\"messages\":{\"role\":\"user\",\"content\":\"q\"}}",
        "{\"model\":\"m\",\"messages\":[\"q\"]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"usr\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":null}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"text\":\"q\"}]}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
        "{\"model\":\"m\",\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"max_tokens\":1.5,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"max_tokens\":1,\"max_completion_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"temperature\":2.1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"temperature\":\"0\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"top_p\":-1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"stream\":\"yes\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"stream_options\":{},\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
        ASK("q") "x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", bad[i]);
        if (r.status != 400) fail_msg("%s: status %ld", bad[i], r.status);
        const cfb_json *error = cfb_json_get(r.json, "error");
        assert_true(cfb_json_str(cfb_json_get(error, "message")).len > 5);
        assert_str(cfb_json_str(cfb_json_get(error, "type")), "invalid_request_error");
        done(&r);
    }
    assert_int_equal(count_of_status(m, "400"), (int64_t)(sizeof bad / sizeof *bad));
    assert_int_equal(stat_of(m, "distinct_prompts"), 0);
    cfb_mock_stop(m);
}

static void test_routes(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    int port = cfb_mock_port(m);
    reply r = call(port, "/v1/nothing", NULL);
    assert_int_equal(r.status, 404);
    assert_non_null(cfb_json_get(r.json, "error"));
    done(&r);
    r = call(port, "/v1/chat/completions", NULL);
    assert_int_equal(r.status, 405);
    assert_true(has_header(&r, "Allow: POST"));
    done(&r);
    r = call(port, "/v1/models", "{}");
    assert_int_equal(r.status, 405);
    done(&r);
    r = call(port, "/models", NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(cfb_json_count(cfb_json_get(r.json, "data")), 1);
    done(&r);

    size_t big = (size_t)9 << 20;
    char *body = malloc(big);
    assert_non_null(body);
    memset(body, ' ', big);
    r = call_with(port, "/v1/chat/completions", body, big, NULL, 20000);
    assert_int_equal(r.status, 413);
    done(&r);
    static const char head[] = ASK("q");
    memcpy(body, head, sizeof head - 1); /* 8 MiB exactly is allowed: JSON with white space behind it */
    r = call_with(port, "/v1/chat/completions", body, (size_t)8 << 20, NULL, 20000);
    assert_int_equal(r.status, 200);
    done(&r);
    free(body);
    cfb_mock_stop(m);
}

static void test_embeddings(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    int port = cfb_mock_port(m);
    reply a = call(port, "/v1/embeddings", "{\"model\":\"m\",\"input\":[\"甲\",\"乙\"]}");
    reply b = call(port, "/embeddings", "{\"model\":\"m\",\"input\":\"乙\"}");
    assert_int_equal(a.status, 200);
    assert_int_equal(b.status, 200);
    const cfb_json *second = cfb_json_next(cfb_json_first(cfb_json_get(a.json, "data")));
    const cfb_json *x = cfb_json_get(second, "embedding");
    const cfb_json *y = cfb_json_get(cfb_json_first(cfb_json_get(b.json, "data")), "embedding");
    assert_int_equal(cfb_json_count(x), 8);
    double sum = 0;
    for (const cfb_json *i = cfb_json_first(x), *j = cfb_json_first(y); i != NULL; i = cfb_json_next(i), j = cfb_json_next(j)) {
        double u = 0, v = 1;
        assert_true(cfb_json_num(i, &u) && cfb_json_num(j, &v));
        assert_true(u <= v && v <= u);
        sum += u * u;
    }
    assert_true(sum > 0.999999 && sum < 1.000001);
    assert_int_equal(number(second, "index"), 1);
    done(&a);
    done(&b);
    a = call(port, "/v1/embeddings", "{\"model\":\"m\",\"input\":\"甲\",\"encoding_format\":\"base64\",\"dimensions\":16}");
    assert_int_equal(a.status, 200);
    assert_int_equal(cfb_json_str(cfb_json_get(cfb_json_first(cfb_json_get(a.json, "data")), "embedding")).len, 88);
    done(&a);
    static const char *const bad[] = {"{\"model\":\"m\"}",
                                      "{\"model\":\"m\",\"input\":[]}",
                                      "{\"model\":\"m\",\"input\":[1]}",
                                      "{\"model\":\"m\",\"input\":\"\"}",
                                      "{\"model\":\"m\",\"input\":\"a\",\"dimensions\":0}",
                                      "{\"model\":\"m\",\"input\":\"a\",\"encoding_format\":\"hex\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        a = call(port, "/v1/embeddings", bad[i]);
        assert_int_equal(a.status, 400);
        done(&a);
    }
    cfb_mock_stop(m);
}

static void test_api_key(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.api_key = "right";
    cfb_mock_t *m = start(&o);
    static const struct {
        const char *key;
        long status;
    } cases[] = {{NULL, 401}, {"wrong", 401}, {"right", 200}};
    for (size_t i = 0; i < 3; i++) {
        reply r = call_with(cfb_mock_port(m), "/v1/chat/completions", ASK("q"), strlen(ASK("q")), cases[i].key, 5000);
        assert_int_equal(r.status, cases[i].status);
        done(&r);
    }
    assert_int_equal(stat_of(m, "distinct_prompts"), 1);
    cfb_mock_stop(m);
}

/* ---- time ---- */

static void test_latency(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.latency_s = 0.2;
    cfb_mock_t *m = start(&o);
    double best = 10;
    for (int i = 0; i < 5; i++) {
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        assert_int_equal(r.status, 200);
        assert_true(r.seconds >= 0.2);
        if (r.seconds < best) best = r.seconds;
        done(&r);
    }
    if (best > 0.206) fail_msg("best of 5: %.4f s", best); /* the best: other work on the machine must not fail this */
    reply r = call(cfb_mock_port(m), "/v1/models", NULL);
    assert_true(r.seconds < 0.15);
    done(&r);
    cfb_mock_stop(m);
}

static void test_many_waiting(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.latency_s = 0.5;
    o.latency_sigma = 0.2;
    cfb_mock_t *m = start(&o);
    int fds[300];
    int64_t begin = cfb_now_ns();
    send_many(cfb_mock_port(m), 300, fds);
    for (int i = 0; i < 2000; i++) { /* teaching while serving; the table grows meanwhile */
        char prompt[32];
        snprintf(prompt, sizeof prompt, "prompt %d", i);
        teach(m, prompt, i % 2 ? "odd" : "even", prompt);
    }
    for (int i = 0; i < 300; i++) {
        char buf[4096];
        read_all(fds[i], buf, sizeof buf);
        close(fds[i]);
        assert_int_equal(strncmp(buf, "HTTP/1.1 200", 12), 0);
    }
    assert_true(cfb_now_ns() - begin < INT64_C(5000000000)); /* one after the other would take 150 s */
    assert_int_equal(count_of_status(m, "200"), 300);
    assert_int_equal(stat_of(m, "in_flight"), 0);
    assert_true(stat_of(m, "max_in_flight") > 150);
    cfb_mock_stop(m);
}

static void test_stop_while_hanging(void **state) {
    (void)state;
    cfb_mock_t *m = start_faults("hang:1", 0);
    int fds[200];
    send_many(cfb_mock_port(m), 200, fds);
    wait_in_flight(m, 200);
    int64_t begin = cfb_now_ns();
    cfb_mock_stop(m);
    assert_true(cfb_now_ns() - begin < 1000000000);
    for (int i = 0; i < 200; i++) {
        char buf[256];
        assert_int_equal(read_all(fds[i], buf, sizeof buf), 0);
        close(fds[i]);
    }
}

/* Clients that send without a pause while the server stops: nothing may crash, hang or leak. */
static void *keep_asking(void *arg) {
    int port = *(int *)arg;
    for (int i = 0; i < 2000; i++) {
        reply r = call_with(port, "/v1/chat/completions", ASK("q"), strlen(ASK("q")), NULL, 2000);
        CURLcode code = r.curl;
        done(&r);
        if (code == CURLE_COULDNT_CONNECT) break;
    }
    return NULL;
}

static void test_stop_under_load(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++) {
        cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
        o.latency_s = 0.002;
        o.faults = "slow:0.3,cut:0.2";
        cfb_mock_t *m = start(&o);
        int port = cfb_mock_port(m);
        pthread_t threads[8];
        for (int i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, keep_asking, &port), 0);
        cfb_sleep_until_ns(cfb_now_ns() + 100000000, NULL);
        int64_t begin = cfb_now_ns();
        cfb_mock_stop(m);
        assert_true(cfb_now_ns() - begin < 1000000000);
        for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    }
}

/* ---- faults ---- */

static void test_fault_statuses(void **state) {
    (void)state;
    static const struct {
        const char *faults;
        long status;
        bool retry_after;
    } cases[] = {{"429:1", 429, true},  {"429-bare:1", 429, false}, {"500:1", 500, false}, {"503:1", 503, false},
                 {"400:1", 400, false}, {"401:1", 401, false},      {"404:1", 404, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_mock_t *m = start_faults(cases[i].faults, 0);
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        assert_int_equal(r.status, cases[i].status);
        assert_int_equal(has_header(&r, "Retry-After: 1\r\n"), cases[i].retry_after);
        assert_true(cfb_json_str(cfb_json_get(cfb_json_get(r.json, "error"), "message")).len > 5);
        done(&r);
        r = call(cfb_mock_port(m), "/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\"}");
        assert_int_equal(r.status, cases[i].status);
        done(&r);
        assert_int_equal(stat_of(m, "answered_again"), 0);
        cfb_mock_stop(m);
    }
}

static void test_fault_texts(void **state) {
    (void)state;
    static const struct {
        const char *faults, *content, *finish;
    } cases[] = {{"empty:1", "", "stop"}, {"length:1", "一二", "length"}, {"filter:1", NULL, "content_filter"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_mock_t *m = start_faults(cases[i].faults, 0);
        teach(m, "q", NULL, "一二三四");
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        assert_int_equal(r.status, 200);
        if (cases[i].content != NULL)
            assert_str(content(&r), cases[i].content);
        else
            assert_null(content(&r).ptr);
        assert_str(finish(&r), cases[i].finish);
        done(&r);
        cfb_mock_stop(m);
    }
}

static void test_fault_bodies(void **state) {
    (void)state;
    cfb_mock_t *m = start_faults("badjson:1", 0);
    reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.curl, CURLE_OK);
    assert_int_equal(r.status, 200);
    assert_true(r.body.len > 20);
    assert_null(r.json);
    done(&r);
    cfb_mock_stop(m);

    m = start_faults("html:1", 0);
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.status, 200);
    assert_true(has_header(&r, "Content-Type: text/html"));
    assert_true(cfb_str_find(cfb_buf_str(&r.body), CFB_STR_LIT("<html>"), 0) != SIZE_MAX);
    done(&r);
    cfb_mock_stop(m);

    m = start_faults("cut:1", 0);
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.curl, CURLE_PARTIAL_FILE);
    assert_int_equal(r.status, 200);
    assert_true(r.body.len > 20);
    done(&r);
    assert_int_equal(stat_of(m, "in_flight"), 0);
    cfb_mock_stop(m);

    m = start_faults("slow:1", 0);
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.curl, CURLE_OK);
    assert_non_null(choice(&r));
    assert_true(r.seconds >= 0.26 && r.seconds < 2); /* 9 gaps of 30 ms */
    done(&r);
    cfb_mock_stop(m);
}

static void test_fault_hang(void **state) {
    (void)state;
    cfb_mock_t *m = start_faults("hang:1", 1);
    reply r = call_with(cfb_mock_port(m), "/v1/chat/completions", ASK("q"), strlen(ASK("q")), NULL, 300);
    assert_int_equal(r.curl, CURLE_OPERATION_TIMEDOUT);
    done(&r);
    wait_in_flight(m, 0); /* the client that gave up is noticed */
    assert_int_equal(count_of_status(m, "0"), 1);
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.status, 200);
    done(&r);
    cfb_mock_stop(m);
}

/* A reply that came too late for its client is no answer. */
static void test_late_reply(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.latency_s = 0.3;
    cfb_mock_t *m = start(&o);
    for (int i = 0; i < 3; i++) {
        reply r = call_with(cfb_mock_port(m), "/v1/chat/completions", ASK("q"), strlen(ASK("q")), NULL, i ? 5000 : 100);
        assert_int_equal(r.curl, i ? CURLE_OK : CURLE_OPERATION_TIMEDOUT);
        done(&r);
        wait_in_flight(m, 0);
    }
    assert_int_equal(stat_of(m, "repeated"), 2);
    assert_int_equal(stat_of(m, "answered_again"), 1);
    cfb_mock_stop(m);
}

static void test_fault_repeats(void **state) {
    (void)state;
    cfb_mock_t *m = start_faults("500:0.5,503:0.5", 2);
    for (int i = 0; i < 4; i++) {
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        assert_int_equal(r.status < 300, i >= 2);
        done(&r);
    }
    assert_int_equal(stat_of(m, "repeated"), 3);
    assert_int_equal(stat_of(m, "answered_again"), 1);
    cfb_mock_stop(m);
}

static void test_wrong_options(void **state) {
    (void)state;
    static const char *const bad[] = {"500",        "500:",     "500:x",           "500:1.1",         "500:-0.1",
                                      "teapot:0.1", "500:0.1,", "500:0.6,503:0.6", "500:0.1,500:0.1", ",",
                                      ":1",         "500:nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
        o.faults = bad[i];
        cfb_mock_t *m = NULL;
        cfb_err err = CFB_ERR_INIT;
        if (cfb_mock_start(&o, &m, &err) != CFB_ECONFIG) fail_msg("%s was accepted", bad[i]);
        assert_int_equal(strncmp(err.msg, "faults: ", 8), 0);
    }
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *first = start(&o), *m = NULL;
    cfb_err err = CFB_ERR_INIT;
    o.port = cfb_mock_port(first);
    assert_int_equal(cfb_mock_start(&o, &m, &err), CFB_EIO);
    assert_int_equal(strncmp(err.msg, "cannot listen on 127.0.0.1:", 27), 0);
    cfb_mock_stop(first);
    m = start(&o); /* and the port is free again at once */
    assert_int_equal(cfb_mock_port(m), o.port);
    char hex[65] = "xyz";
    assert_int_equal(cfb_mock_teach(m, hex, CFB_STR_NULL, CFB_STR_LIT("a"), &err), CFB_EDATA);
    cfb_mock_stop(m);
    o = (cfb_mock_opts)CFB_MOCK_OPTS_INIT;
    o.log_path = "/nonexistent/folder/log";
    assert_int_equal(cfb_mock_start(&o, &m, &err), CFB_ENOTFOUND);
    o.log_path = NULL;
    o.error_rate = 1.5;
    assert_int_equal(cfb_mock_start(&o, &m, &err), CFB_ECONFIG);
    cfb_mock_stop(NULL);
}

/* ---- determinism ---- */

typedef struct worker {
    int port, first, step;
    char (*out)[96];
} worker;

#define N_PROMPTS 60
#define N_TRIES 4

static void *ask_share(void *arg) {
    worker *w = arg;
    for (int i = w->first; i < N_PROMPTS; i += w->step) {
        char body[128];
        snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"p%d\"}]}", i);
        for (int k = 0; k < N_TRIES; k++) {
            reply r = call(w->port, "/v1/chat/completions", body);
            cfb_str text = content(&r);
            snprintf(w->out[i * N_TRIES + k], 96, "%ld %.*s", r.status, CFB_STR_ARG(text));
            done(&r);
        }
    }
    return NULL;
}

static void ask_all(uint64_t seed, int n_threads, char (*out)[96]) {
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.seed = seed;
    o.error_rate = 0.3;
    o.faults = "429:0.1,500:0.2,empty:0.1";
    o.latency_s = 0.001;
    o.latency_sigma = 0.5;
    cfb_mock_t *m = start(&o);
    for (int i = 0; i < N_PROMPTS; i++) {
        char prompt[16], answer[16];
        snprintf(prompt, sizeof prompt, "p%d", i);
        snprintf(answer, sizeof answer, "a%d", i % 5);
        teach(m, prompt, "group", answer);
    }
    pthread_t threads[8];
    worker workers[8];
    for (int t = 0; t < n_threads; t++) {
        workers[t] = (worker){cfb_mock_port(m), t, n_threads, out};
        assert_int_equal(pthread_create(&threads[t], NULL, ask_share, &workers[t]), 0);
    }
    for (int t = 0; t < n_threads; t++) pthread_join(threads[t], NULL);
    cfb_mock_stop(m);
}

static void test_runs_repeat(void **state) {
    (void)state;
    static char a[N_PROMPTS * N_TRIES][96], b[N_PROMPTS * N_TRIES][96], c[N_PROMPTS * N_TRIES][96];
    ask_all(7, 1, a);
    ask_all(7, 8, b);
    ask_all(8, 4, c);
    assert_memory_equal(a, b, sizeof a);
    assert_int_not_equal(memcmp(a, c, sizeof a), 0);
    int wrong = 0, plain = 0, failed = 0;
    for (int i = 0; i < N_PROMPTS * N_TRIES; i++) {
        char right[32];
        snprintf(right, sizeof right, "200 a%d", i / N_TRIES % 5);
        failed += strncmp(a[i], "200", 3) != 0;
        if (strncmp(a[i], "200 a", 5) != 0) continue;
        plain++;
        wrong += strcmp(a[i], right) != 0;
    }
    assert_in_range(failed, N_PROMPTS * N_TRIES * 20 / 100, N_PROMPTS * N_TRIES * 42 / 100);
    assert_in_range(wrong, plain * 18 / 100, plain * 42 / 100);
}

/* ---- limit, script, log ---- */

static void test_requests_per_minute(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.requests_per_minute = 120; /* 2 at once, then 2 a second */
    cfb_mock_t *m = start(&o);
    for (int i = 0; i < 3; i++) {
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        assert_int_equal(r.status, i < 2 ? 200 : 429);
        assert_int_equal(has_header(&r, "Retry-After: 1\r\n"), i == 2);
        assert_int_equal(has_header(&r, "retry-after-ms: "), i == 2);
        assert_true(has_header(&r, "x-ratelimit-limit-requests: 120\r\n"));
        assert_true(has_header(&r, "x-ratelimit-remaining-requests: "));
        assert_true(has_header(&r, "x-ratelimit-reset-requests: "));
        done(&r);
    }
    cfb_sleep_until_ns(cfb_now_ns() + 520000000, NULL);
    reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.status, 200);
    done(&r);
    assert_int_equal(stat_of(m, "repeated"), 2); /* the refused one was no try */
    cfb_mock_stop(m);
}

static void write_temp(char *path, cfb_str text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
    close(fd);
}

static void test_script(void **state) {
    (void)state;
    char hex[65], text[1024], path[] = "/tmp/cfb-mock-script-XXXXXX";
    cfb_sha256_hex("q", 1, hex);
    int n = snprintf(text, sizeof text,
                     "{\"prompt_sha256\": \"%s\", \"status\": 503, \"content\": \"busy now\"}\r\n\n"
                     "{\"prompt_sha256\": \"%s\", \"content\": \"半\", \"finish_reason\": \"length\", \"row\": 3}\n"
                     "{\"prompt_sha256\": \"%s\", \"content\": null, \"delay_s\": 0.1, \"task\": \"t\"}",
                     hex, hex, hex);
    write_temp(path, (cfb_str){text, (size_t)n});
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.script = path;
    cfb_mock_t *m = start(&o);
    teach(m, "q", NULL, "taught");
    reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_int_equal(r.status, 503);
    assert_str(cfb_json_str(cfb_json_get(cfb_json_get(r.json, "error"), "message")), "busy now");
    done(&r);
    r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
    assert_str(content(&r), "半");
    assert_str(finish(&r), "length");
    done(&r);
    for (int i = 0; i < 2; i++) {
        r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        assert_int_equal(r.status, 200);
        assert_null(content(&r).ptr);
        assert_true(r.seconds >= 0.1);
        done(&r);
    }
    cfb_mock_stop(m);
    unlink(path);
}

static void test_bad_scripts(void **state) {
    (void)state;
    char hex[65];
    cfb_sha256_hex("q", 1, hex);
    static const char *const bad[] = {
        "{\"prompt_sha256\": \"%s\"}",
        "{\"prompt_sha256\": \"%s\", \"content\": 1}",
        "{\"prompt_sha256\": \"%s\", \"content\": \"a\", \"status\": 99}",
        "{\"prompt_sha256\": \"%s\", \"content\": \"a\", \"delay_s\": -1}",
        "{\"prompt_sha256\": \"%s\", \"content\": \"a\", \"contents\": \"b\"}",
        "{\"prompt_sha256\": \"%sx\", \"content\": \"a\"}",
        "{\"content\": \"a\"}",
        "[]",
        "{",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512], path[] = "/tmp/cfb-mock-script-XXXXXX", place[64];
        size_t cut = cfb_str_find(cfb_str_from(bad[i]), CFB_STR_LIT("%s"), 0);
        snprintf(text, sizeof text, "\n%.*s%s%s\n", (int)(cut == SIZE_MAX ? strlen(bad[i]) : cut), bad[i],
                 cut == SIZE_MAX ? "" : hex, cut == SIZE_MAX ? "" : bad[i] + cut + 2);
        write_temp(path, cfb_str_from(text));
        cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
        o.script = path;
        cfb_mock_t *m = NULL;
        cfb_err err = CFB_ERR_INIT;
        if (cfb_mock_start(&o, &m, &err) == CFB_OK) fail_msg("accepted: %s", text);
        snprintf(place, sizeof place, "%s:2: ", path);
        assert_true(cfb_str_find(cfb_str_from(err.msg), cfb_str_from(place), 0) != SIZE_MAX);
        unlink(path);
    }
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.script = "/nonexistent/script.jsonl";
    cfb_mock_t *m = NULL;
    assert_int_equal(cfb_mock_start(&o, &m, NULL), CFB_ENOTFOUND);
}

static void test_log(void **state) {
    (void)state;
    char path[] = "/tmp/cfb-mock-log-XXXXXX", hex[65];
    write_temp(path, CFB_STR_LIT("old\n"));
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.log_path = path;
    o.latency_s = 0.05;
    o.faults = "500:1";
    o.fault_repeats = 1;
    cfb_mock_t *m = start(&o);
    for (int i = 0; i < 2; i++) {
        reply r = call(cfb_mock_port(m), "/v1/chat/completions", ASK("q"));
        done(&r);
    }
    cfb_buf text = CFB_BUF_INIT(1 << 20);
    assert_int_equal(cfb_file_read(path, 1 << 20, &text, NULL), CFB_OK); /* complete although the mock still runs */
    cfb_sha256_hex("q", 1, hex);
    size_t from = 0;
    for (int i = 0; i < 2; i++) {
        size_t end = cfb_str_find(cfb_buf_str(&text), CFB_STR_LIT("\n"), from);
        assert_true(end != SIZE_MAX);
        cfb_json *line = NULL;
        assert_int_equal(cfb_json_parse(text.ptr + from, end - from, 0, &line, NULL), CFB_OK);
        assert_str(cfb_json_str(cfb_json_get(line, "sha256")), hex);
        assert_str(cfb_json_str(cfb_json_get(line, "route")), "chat");
        assert_int_equal(number(line, "try"), i);
        assert_int_equal(number(line, "status"), i == 0 ? 500 : 200);
        assert_int_equal(number(line, "in_flight"), 1);
        assert_true(number(line, "reply_ns") - number(line, "arrival_ns") >= 50000000);
        if (i == 0)
            assert_str(cfb_json_str(cfb_json_get(line, "fault")), "500");
        else
            assert_int_equal(cfb_json_kind_of(cfb_json_get(line, "fault")), CFB_JSON_NULL);
        cfb_json_free(line);
        from = end + 1;
    }
    assert_int_equal(from, text.len);
    cfb_buf_free(&text);
    cfb_mock_stop(m);
    unlink(path);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_answer),
        cmocka_unit_test(test_max_tokens),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_embeddings),
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_many_waiting),
        cmocka_unit_test(test_stop_while_hanging),
        cmocka_unit_test(test_stop_under_load),
        cmocka_unit_test(test_fault_statuses),
        cmocka_unit_test(test_fault_texts),
        cmocka_unit_test(test_fault_bodies),
        cmocka_unit_test(test_fault_hang),
        cmocka_unit_test(test_late_reply),
        cmocka_unit_test(test_fault_repeats),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_runs_repeat),
        cmocka_unit_test(test_requests_per_minute),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_bad_scripts),
        cmocka_unit_test(test_log),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
