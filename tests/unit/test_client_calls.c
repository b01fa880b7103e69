/* The engine: many calls from one thread against a small server of this test, which does what the prompt says. */
#include "test.h"

#include "cfbench/client.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

static int listener = -1;
static char url[64], url_gone[64];
static atomic_int n_connections, n_open, max_open, n_dropped;
static bool by_libcurl; /* the other way: a header that only libcurl handles */
static bool by_name;    /* libcurl looks the name up and connects */

/* ---- the server ---- */

static void say(int fd, const char *text) {
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t m = send(fd, text, n, MSG_NOSIGNAL);
        if (m <= 0) return;
        text += m;
        n -= (size_t)m;
    }
}

static void say_ok(int fd, const char *content) {
    char body[512], head[128];
    int n = snprintf(body, sizeof body,
                     "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],"
                     "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}",
                     content);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", n);
    say(fd, head);
    say(fd, body);
}

static void sleep_ms(int ms) { cfb_sleep_until_ns(cfb_now_ns() + ms * (int64_t)1000000, NULL); }

/* Reads one request, of which `to` keeps the beginning; false when the client has gone. */
static bool read_request(int fd, char *to, size_t size) {
    size_t n = 0, total = 0;
    char rest[4096];
    for (;;) {
        to[n] = '\0';
        const char *end = strstr(to, "\r\n\r\n"), *len = strstr(to, "Content-Length: ");
        if (end && len && total >= (size_t)(end - to) + 4 + strtoul(len + 16, NULL, 10)) return true;
        if (n + 1 >= size && (strstr(to, "do:early") || strstr(to, "do:refuse"))) return true; /* answers before it has read all */
        bool full = n + 1 >= size;
        ssize_t m = full ? recv(fd, rest, sizeof rest, 0) : recv(fd, to + n, size - 1 - n, 0);
        if (m <= 0) return false;
        total += (size_t)m;
        if (!full) n += (size_t)m;
    }
}

static bool answer(int fd, const char *request) {
    if (strstr(request, "do:slow")) sleep_ms(100);
    if (strstr(request, "do:hang")) sleep_ms(3000);
    if (strstr(request, "do:close")) return false;
    if (strstr(request, "do:early")) {
        char rest[4096];
        say(fd, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}");
        while (recv(fd, rest, sizeof rest, 0) > 0) continue; /* the request's rest, and what anyone sends after it */
        return false;
    }
    if (strstr(request, "do:refuse")) {
        char rest[4096];
        say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}");
        sleep_ms(300); /* the socket's buffers are full of the request: its end is still with the client */
        while (recv(fd, rest, sizeof rest, 0) > 0) continue;
        return false;
    }
    if (strstr(request, "do:drop")) {
        atomic_fetch_add(&n_dropped, 1);
        return false;
    }
    if (strstr(request, "do:answer-and-close")) {
        say_ok(fd, "last");
        return false;
    }
    if (strstr(request, "do:cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":[");
        return false;
    }
    if (strstr(request, "do:silent")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":[");
        sleep_ms(3000);
        return false;
    }
    if (strstr(request, "do:redirect")) {
        say(fd, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n");
    } else if (strstr(request, "do:echo-key")) {
        say(fd, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 62\r\n\r\n{\"error\":{\"message\":\"wrong key sk-secret-secret, "
                "and token-42\"}}");
    } else if (strstr(request, "do:limit")) {
        say(fd, "HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: 1500\r\nx-ratelimit-remaining-requests: 0\r\n"
                "x-ratelimit-reset-requests: 2s\r\nContent-Length: 2\r\n\r\n{}");
    } else if (strstr(request, "do:large")) {
        char head[64], chunk[1001];
        memset(chunk, 'x', 1000);
        chunk[1000] = '\0';
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 100000);
        say(fd, head);
        for (int i = 0; i < 100; i++) say(fd, chunk);
    } else if (strstr(request, "do:stream")) {
        static const char *const parts[] = {
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"one \"}}]}\n\n", ": still here\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}]}\n\n", "data: [DONE]\n\n"};
        say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            sleep_ms(20);
            say(fd, parts[i]);
        }
        return false;
    } else {
        say_ok(fd, strstr(request, "x-extra: token-42") ? "with header" : "fine");
    }
    return true;
}

static void *serve_connection(void *ctx) {
    int fd = (int)(intptr_t)ctx, open = atomic_fetch_add(&n_open, 1) + 1, most = atomic_load(&max_open);
    char request[8192];
    while (open > most && !atomic_compare_exchange_weak(&max_open, &most, open)) continue;
    while (read_request(fd, request, sizeof request) && answer(fd, request)) continue;
    close(fd);
    atomic_fetch_sub(&n_open, 1);
    return NULL;
}

static void *serve(void *ctx) {
    (void)ctx;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t t;
        atomic_fetch_add(&n_connections, 1);
        if (pthread_create(&t, NULL, serve_connection, (void *)(intptr_t)fd) == 0) pthread_detach(t);
    }
    return NULL;
}

static int listen_anywhere(char to[64]) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    const int window = 256 << 10; /* takes no large request whole, whatever this machine's limits are */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0) return -1;
    snprintf(to, 64, "http://127.0.0.1:%d/v1", ntohs(a.sin_port));
    return fd;
}

static int start_server(void **state) {
    (void)state;
    pthread_t t;
    signal(SIGPIPE, SIG_IGN);
    listener = listen_anywhere(url);
    int gone = listen_anywhere(url_gone); /* a port that nobody listens on */
    if (gone >= 0) close(gone);
    if (listener < 0 || listen(listener, 512) != 0 || pthread_create(&t, NULL, serve, NULL) != 0) return 1;
    pthread_detach(t);
    return cfb_client_global_init(&test_err) == CFB_OK ? 0 : 1;
}

/* ---- the client ---- */

struct got {
    int n, n_fail[CFB_FAIL_COUNT], tags[1024];
    cfb_chat_reply last;
    char content[256];
};

static void on_done(void *ctx, void *tag, const cfb_chat_reply *r) {
    struct got *g = ctx;
    g->n++;
    g->n_fail[r->fail]++;
    g->tags[(intptr_t)tag]++;
    g->last = *r;
    snprintf(g->content, sizeof g->content, "%.*s", CFB_STR_ARG(r->content));
}

static struct got got;
static cfb_server_t *server;
static cfb_calls_t *calls;

static cfb_client_opts base_opts(void) {
    static const char *urls[1];
    static const char *const headers[] = {"x-extra: token-42", "Connection: keep-alive"};
    static char named[80];
    snprintf(named, sizeof named, "http://localhost%s", strrchr(url, ':'));
    urls[0] = by_name ? named : url;
    cfb_client_opts o = CFB_CLIENT_OPTS_INIT;
    o.base_urls = urls;
    o.n_base_urls = 1;
    o.api_key = "sk-secret-secret";
    o.headers = headers;
    o.n_headers = by_libcurl ? 2 : 1;
    o.request.model = "m";
    return o;
}

static void open_client(const cfb_client_opts *o, size_t max) {
    memset(&got, 0, sizeof got);
    assert_ok(cfb_server_new(o, &server, &test_err));
    assert_ok(cfb_calls_new(server, max, on_done, &got, &calls, &test_err));
}

static void close_client(void) {
    cfb_calls_free(calls);
    cfb_server_free(server);
}

static void start_call(int tag, const char *prompt) {
    assert_ok(cfb_calls_start(calls, (void *)(intptr_t)tag, cfb_str_from(prompt), 5, 0, &test_err));
}

static void run_all(void) {
    while (cfb_calls_in_flight(calls) > 0) assert_ok(cfb_calls_run(calls, INT64_MAX, &test_err));
}

static void one(const cfb_client_opts *o, const char *prompt) {
    open_client(o, 1);
    start_call(0, prompt);
    run_all();
    assert_int_equal(got.n, 1);
    close_client();
}

/* ---- tests ---- */

static void many_calls_at_once_from_one_thread(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    open_client(&o, 200);
    atomic_store(&max_open, 0);
    atomic_store(&n_connections, 0);
    for (int i = 0; i < 200; i++) start_call(i, "do:slow");
    assert_int_equal(cfb_calls_in_flight(calls), 200);
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 200);
    for (int i = 0; i < 200; i++) assert_int_equal(got.tags[i], 1);
    assert_true(max_open >= 150); /* together, not one after the other */
    int before = n_connections;
    for (int i = 0; i < 200; i++) start_call(200 + i, "quick");
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 400);
    assert_string_equal(got.content, "with header");
    assert_int_equal(got.last.prompt_tokens, 7);
    assert_int_equal(n_connections, before); /* connections are used again */
    close_client();
}

static void every_end_of_a_call_has_its_class(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    o.timeout_s = 0.3;
    o.max_reply_bytes = 50000;
    static const struct {
        const char *prompt;
        cfb_fail fail;
        long status;
        const char *message;
    } cases[] = {
        {"fine", CFB_FAIL_NONE, 200, ""},
        {"do:close", CFB_FAIL_CUT, 0, ""},
        {"do:cut", CFB_FAIL_CUT, 200, ""},
        {"do:hang", CFB_FAIL_TIMEOUT, 0, ""},
        {"do:large", CFB_FAIL_REPLY_TOO_LARGE, 200, ""},
        {"do:redirect", CFB_FAIL_NOT_FOUND, 307, "redirects to http://127.0.0.1:1/x"},
        {"do:limit", CFB_FAIL_RATE_LIMIT, 429, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        one(&o, cases[i].prompt);
        if (got.last.fail != cases[i].fail)
            fail_msg("%s: %s, not %s: %s", cases[i].prompt, cfb_fail_name(got.last.fail), cfb_fail_name(cases[i].fail),
                     got.last.message);
        assert_int_equal(got.last.http_status, cases[i].status);
        assert_non_null(strstr(got.last.message, cases[i].message));
    }
    one(&o, "do:limit");
    assert_true(got.last.hints.retry_after_s == 1.5);
    assert_int_equal(got.last.hints.remaining_requests, 0);
    assert_true(got.last.hints.reset_requests_s == 2);
    const char *gone[] = {url_gone};
    o.base_urls = gone;
    one(&o, "fine");
    assert_int_equal(got.last.fail, CFB_FAIL_CONNECT);
    assert_true(got.last.message[0] != '\0');
}

static void a_silent_server_is_left(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    o.timeout_s = 60;
    o.idle_timeout_s = 0.3;
    int64_t begin = cfb_now_ns();
    one(&o, "do:silent");
    assert_int_equal(got.last.fail, CFB_FAIL_TIMEOUT);
    assert_non_null(strstr(got.last.message, "fell silent"));
    assert_true(cfb_now_ns() - begin < (int64_t)2500000000);
}

static void keys_do_not_come_back(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    one(&o, "do:echo-key");
    assert_int_equal(got.last.fail, CFB_FAIL_AUTH);
    assert_null(strstr(got.last.message, "sk-secret"));
    assert_null(strstr(got.last.message, "token-42"));
    assert_non_null(strstr(got.last.message, "wrong key ****"));
}

static void a_stream_tells_when_it_began(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    o.request.stream = true;
    one(&o, "do:stream");
    assert_int_equal(got.last.fail, CFB_FAIL_NONE);
    assert_string_equal(got.content, "one two");
    assert_int_equal(got.last.finish, CFB_FINISH_STOP);
    assert_true(got.last.ttft_us > 0 && got.last.ttft_us < got.last.latency_us);
}

static void a_cut_ends_all_calls_with_their_callbacks(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    open_client(&o, 64);
    for (int i = 0; i < 64; i++) start_call(i, "do:hang");
    assert_ok(cfb_calls_run(calls, cfb_now_ns() + 50000000, &test_err));
    assert_int_equal(got.n, 0);
    cfb_calls_cut(calls);
    assert_int_equal(got.n_fail[CFB_FAIL_STOPPED], 64);
    assert_int_equal(cfb_calls_in_flight(calls), 0);
    start_call(64, "fine"); /* and the engine is as good as new */
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 1);
    close_client();
}

static void *wake_later(void *ctx) {
    sleep_ms(50);
    cfb_calls_wake(ctx);
    return NULL;
}

static void another_thread_can_wake_it(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    open_client(&o, 1);
    pthread_t t;
    int64_t begin = cfb_now_ns();
    assert_int_equal(pthread_create(&t, NULL, wake_later, calls), 0);
    assert_ok(cfb_calls_run(calls, begin + (int64_t)20000000000, &test_err));
    assert_true(cfb_now_ns() - begin < (int64_t)10000000000);
    pthread_join(t, NULL);
    close_client();
}

/* Two addresses of one model: calls go to both, and an address that fails is left alone. */
static void calls_go_where_they_are_answered(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    const char *urls[] = {url_gone, url};
    o.base_urls = urls;
    o.n_base_urls = 2;
    open_client(&o, 8);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 8; i++) start_call(i, "fine");
        run_all();
    }
    assert_true(got.n_fail[CFB_FAIL_CONNECT] >= 3);
    assert_true(got.n_fail[CFB_FAIL_CONNECT] <= 30); /* of 160: the first few, and one that tries now and then */
    assert_int_equal(got.n_fail[CFB_FAIL_CONNECT] + got.n_fail[CFB_FAIL_NONE], 160);
    close_client();
}

static void a_call_can_have_less_time(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    open_client(&o, 1);
    assert_ok(cfb_calls_start(calls, NULL, CFB_STR_LIT("do:hang"), 5, 0.1, &test_err));
    int64_t begin = cfb_now_ns();
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_TIMEOUT], 1);
    assert_true(cfb_now_ns() - begin < (int64_t)2500000000);
    start_call(1, "do:slow"); /* the next one has all of it again */
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 1);
    close_client();
}

/* More than a socket takes at once: the rest follows when there is room. An answer may come before all is sent. */
static void large_requests_are_sent_in_parts(void **state) {
    (void)state;
    enum { BYTES = 24 << 20 };
    cfb_client_opts o = base_opts();
    char *prompt = malloc(BYTES + 1);
    assert_non_null(prompt);
    memset(prompt, 'x', BYTES);
    prompt[BYTES] = '\0';
    open_client(&o, 4);
    for (int i = 0; i < 4; i++) start_call(i, prompt);
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 4);
    memcpy(prompt, "do:early", 8);
    start_call(4, prompt);
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_TOO_LARGE], 1);
    assert_int_equal(got.last.http_status, 413);
    start_call(5, "fine"); /* not on the connection that is full of the last one */
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 5);
    memcpy(prompt, "do:refuse", 9);
    start_call(6, prompt);
    run_all();
    assert_int_equal(got.last.http_status, 400);
    start_call(7, "fine");
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 6);
    close_client();
    free(prompt);
}

/* The server took the request, and closed: it may have begun to generate, so the engine must not ask again by itself. */
static void a_request_is_not_repeated_unseen(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    open_client(&o, 1);
    atomic_store(&n_dropped, 0);
    atomic_store(&n_connections, 0);
    start_call(0, "fine");
    run_all();
    start_call(1, "do:drop"); /* on the same connection */
    run_all();
    if (!by_libcurl) assert_int_equal(n_connections, 1); /* libcurl connects once more before it gives up */
    assert_int_equal(n_dropped, 1);
    assert_int_equal(got.n_fail[CFB_FAIL_CUT], 1);
    assert_int_equal(got.last.http_status, 0);
    assert_non_null(strstr(got.last.message, "after earlier ones"));
    start_call(2, "fine");
    run_all();
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 2);
    close_client();
}

/* What was closed before the request left is no failure: another connection takes it. */
static void a_connection_closed_in_between_is_replaced(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    open_client(&o, 1);
    for (int i = 0; i < 10; i++) {
        start_call(i, "do:answer-and-close");
        run_all();
        if (i % 2 == 0) assert_ok(cfb_calls_run(calls, cfb_now_ns() + 20000000, &test_err)); /* hears of it */
        sleep_ms(20);                                                                        /* or finds it out */
    }
    assert_int_equal(got.n_fail[CFB_FAIL_NONE], 10);
    close_client();
}

static void what_cannot_be_used_is_said(void **state) {
    (void)state;
    cfb_client_opts o = base_opts();
    static const char *const bad[] = {"no colon here"};
    o.headers = bad;
    assert_fails(cfb_server_new(&o, &server, &test_err), CFB_ECONFIG, "--header");
    o = base_opts();
    static const char *const https[] = {"https://127.0.0.1:1/v1"};
    o.base_urls = https;
    o.ca_file = "Makefile";
    assert_fails(cfb_server_new(&o, &server, &test_err), CFB_ECONFIG, "no certificates");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_calls_at_once_from_one_thread),
        cmocka_unit_test(every_end_of_a_call_has_its_class),
        cmocka_unit_test(a_silent_server_is_left),
        cmocka_unit_test(keys_do_not_come_back),
        cmocka_unit_test(a_stream_tells_when_it_began),
        cmocka_unit_test(a_cut_ends_all_calls_with_their_callbacks),
        cmocka_unit_test(another_thread_can_wake_it),
        cmocka_unit_test(calls_go_where_they_are_answered),
        cmocka_unit_test(a_call_can_have_less_time),
        cmocka_unit_test(large_requests_are_sent_in_parts),
        cmocka_unit_test(a_request_is_not_repeated_unseen),
        cmocka_unit_test(a_connection_closed_in_between_is_replaced),
        cmocka_unit_test(what_cannot_be_used_is_said),
    };
    int failed = cmocka_run_group_tests_name("over sockets of our own", tests, start_server, NULL);
    by_name = true;
    failed += cmocka_run_group_tests_name("over sockets that libcurl connected", tests, NULL, NULL);
    by_name = false;
    by_libcurl = true;
    return failed + cmocka_run_group_tests_name("by libcurl", tests, NULL, NULL);
}
