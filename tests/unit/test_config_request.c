/* Options about what a request holds and how the server is reached: lists, headers, extra members. */
#include "test.h"

#include "config/options.h"

static cfb_config c;
static cfb_config_want want;

/* argv ends with NULL; "cfbench run -m x" stands before it. */
static cfb_code parse(const char *const *argv) {
    char *all[24] = {0};
    int n = 0;
    static const char *const head[] = {"cfbench", "run", "-m", "x"};
    for (size_t i = 0; i < 4; i++) all[n++] = (char *)(uintptr_t)head[i];
    for (; *argv != NULL; argv++) all[n++] = (char *)(uintptr_t)*argv;
    test_err = (cfb_err)CFB_ERR_INIT;
    return cfb_config_parse(n, all, &c, &want, &test_err);
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PARSE(...) assert_ok(parse(ARGS(__VA_ARGS__)))
#define FAILS(code, text, ...) assert_fails(parse(ARGS(__VA_ARGS__)), code, text)

static void assert_list(cfb_string_list list, const char *const *items) {
    size_t n = 0;
    for (; items[n] != NULL; n++) {
        assert_true(n < list.n);
        assert_string_equal(list.items[n], items[n]);
    }
    assert_int_equal(list.n, n);
}

static void write_config(char path[64], const char *json) {
    snprintf(path, 64, "/tmp/cfbench-test-request-%d.json", (int)getpid());
    assert_ok(cfb_file_write(path, cfb_str_from(json), &test_err));
}

static void defaults_send_what_was_always_sent(void **state) {
    (void)state;
    PARSE("-q");
    assert_list(c.base_urls, ARGS("https://api.openai.com/v1"));
    assert_int_equal(c.stop.n, 0);
    assert_int_equal(c.headers.n, 0);
    assert_int_equal(c.n_seed, -1);
    assert_true(c.idle_timeout == 0);
    assert_false(c.stream || c.no_temperature || c.max_completion_tokens);
    assert_null(c.extra_body);
    assert_null(c.api_key_header);
    assert_null(c.proxy);
    assert_null(c.ca_file);
    assert_null(c.client_cert);
    assert_null(c.client_key);
    assert_null(c.unix_socket);
    cfb_config_free(&c);
}

static void stop_sequences_add_up(void **state) {
    (void)state;
    PARSE("--stop", "\n\n", "--stop=[END]", "--stop", "a,b");
    assert_list(c.stop, ARGS("\n\n", "[END]", "a,b"));
    cfb_config_free(&c);
    PARSE("--stop", "[\"\\n\\n\", \"\\u3002\"]");
    assert_list(c.stop, ARGS("\n\n", "。"));
    cfb_config_free(&c);
    FAILS(CFB_EUSAGE, "not a JSON list of strings: line 1, column", "--stop", "[\"a\",]");
    FAILS(CFB_EUSAGE, "a member is not a string", "--stop", "[\"a\",1]");
    FAILS(CFB_EUSAGE, "--stop: the value is empty", "--stop", "");
    FAILS(CFB_EUSAGE, "the value is empty", "--stop", "[\"\"]");
    FAILS(CFB_EUSAGE, "not valid UTF-8", "--stop", "\xFF");
    char path[64];
    write_config(path, "{\"stop\": [\"x\", \"y\"], \"extra-body\": {\"top_k\": 1, \"o\": {\"a\": [null]}}}");
    PARSE("--config", path);
    assert_list(c.stop, ARGS("x", "y"));
    assert_string_equal(c.extra_body, "{\"top_k\":1,\"o\":{\"a\":[null]}}");
    cfb_config_free(&c);
    PARSE("--config", path, "--stop", "z"); /* a higher source replaces the list */
    assert_list(c.stop, ARGS("z"));
    cfb_config_free(&c);
    setenv("CFBENCH_STOP", "e\nf", 1);
    PARSE("--config", path);
    assert_list(c.stop, ARGS("e\nf"));
    cfb_config_free(&c);
    unsetenv("CFBENCH_STOP");
    write_config(path, "{\"stop\": \"one\"}");
    PARSE("--config", path);
    assert_list(c.stop, ARGS("one"));
    cfb_config_free(&c);
    write_config(path, "{\"stop\": [1]}");
    FAILS(CFB_ECONFIG, "must be a string or a list of strings, not an array", "--config", path);
    write_config(path, "{\"stop\": 1}");
    FAILS(CFB_ECONFIG, "must be a string or a list of strings, not a number", "--config", path);
    unlink(path);
}

static void several_servers(void **state) {
    (void)state;
    PARSE("--base-url", "http://a/v1/, http://b:8000/v1", "--base-url=http://c/v1///");
    assert_list(c.base_urls, ARGS("http://a/v1", "http://b:8000/v1", "http://c/v1"));
    assert_string_equal(c.base_url, "http://a/v1");
    cfb_config_free(&c);
    PARSE("--base-url", "[\"http://a/x,y\"]");
    assert_list(c.base_urls, ARGS("http://a/x,y"));
    cfb_config_free(&c);
    FAILS(CFB_EUSAGE, "--base-url: the value is empty", "--base-url", "http://a/v1,");
    FAILS(CFB_EUSAGE, "must begin with http://", "--base-url", "http://a/v1,b");
    FAILS(CFB_ECONFIG, "mock cannot stand beside", "--base-url", "http://a/v1,mock");
    FAILS(CFB_EUSAGE, "exclude each other", "--mock", "--base-url", "http://a/v1,http://b/v1");
    FAILS(CFB_ECONFIG, "--base-url: the list is empty", "--base-url", "[]");
    char path[64];
    write_config(path, "{\"base-url\": [\"http://a/v1\", \"http://b/v1/\"]}");
    PARSE("--config", path);
    assert_list(c.base_urls, ARGS("http://a/v1", "http://b/v1"));
    cfb_config_free(&c);
    unlink(path);
}

static void headers_are_secret(void **state) {
    (void)state;
    PARSE("--header", "X-Title: a b", "--header=HTTP-Referer:http://x/");
    assert_list(c.headers, ARGS("X-Title: a b", "HTTP-Referer:http://x/"));
    cfb_buf b = CFB_BUF_INIT(0);
    assert_ok(cfb_config_print(&c, &b, &test_err));
    assert_null(strstr(b.ptr, "a b"));
    assert_null(strstr(b.ptr, "header"));
    cfb_buf_free(&b);
    cfb_config_free(&c);
    setenv("CFBENCH_HEADERS", "X-One: 1\n\n  X-Two: 2\r\nAuthorization: Basic geheim\n", 1);
    PARSE("-q");
    assert_list(c.headers, ARGS("X-One: 1", "X-Two: 2", "Authorization: Basic geheim"));
    cfb_config_free(&c);
    PARSE("--header", "X-Three: 3"); /* the command line replaces those of the environment */
    assert_list(c.headers, ARGS("X-Three: 3"));
    cfb_config_free(&c);
    setenv("CFBENCH_HEADERS", "geheim", 1);
    FAILS(CFB_ECONFIG, "'Name: value' (from CFBENCH_HEADERS)", "-q");
    assert_null(strstr(test_err.msg, "geheim"));
    unsetenv("CFBENCH_HEADERS");
    FAILS(CFB_EUSAGE, "OPENAI_API_KEY", "--header", "authorization: Bearer geheim");
    assert_null(strstr(test_err.msg, "geheim"));
    FAILS(CFB_EUSAGE, "CFBENCH_HEADERS", "--header", "Api-Key: geheim");
    FAILS(CFB_EUSAGE, "Name: value", "--header", "no colon");
    FAILS(CFB_EUSAGE, "Name: value", "--header", ": x");
    FAILS(CFB_EUSAGE, "Name: value", "--header", "a b: x");
    FAILS(CFB_EUSAGE, "without a value", "--header", "a: ");
    FAILS(CFB_EUSAGE, "line end", "--header", "a: b\r\nc: d");
    FAILS(CFB_EUSAGE, "sets itself", "--header", "content-length: 5");
    char path[64];
    write_config(path, "{\"header\": [\"X-Title: geheim\"]}");
    FAILS(CFB_ECONFIG, "use the variable CFBENCH_HEADERS", "--config", path);
    assert_null(strstr(test_err.msg, "geheim"));
    unlink(path);
    PARSE("--api-key-header", "api-key");
    assert_string_equal(c.api_key_header, "api-key");
    cfb_config_free(&c);
    FAILS(CFB_EUSAGE, "is not the name of a header", "--api-key-header", "api-key: x");
}

static void an_extra_body_is_checked_at_once(void **state) {
    (void)state;
    PARSE("--extra-body", "{\"chat_template_kwargs\": {\"enable_thinking\": false}, \"top_k\": 12345678901234567890}");
    assert_string_equal(c.extra_body,
                        "{\"chat_template_kwargs\": {\"enable_thinking\": false}, \"top_k\": 12345678901234567890}");
    cfb_config_free(&c);
    FAILS(CFB_EUSAGE, "--extra-body: the value is not JSON: line 1, column 6", "--extra-body", "{\"a\":}");
    FAILS(CFB_EUSAGE, "column 9: ", "--extra-body", "{\"a\": 1 \"b\": 2}");
    FAILS(CFB_EUSAGE, "must be a JSON object", "--extra-body", "[1]");
    FAILS(CFB_EUSAGE, "stands twice", "--extra-body", "{\"a\":1,\"a\":2}");
    FAILS(CFB_EUSAGE, "use --model", "--extra-body", "{\"model\":\"y\"}");
    FAILS(CFB_EUSAGE, "--system", "--extra-body", "{\"messages\":[]}");
    FAILS(CFB_EUSAGE, "use --stream", "--extra-body", "{\"stream\":true}");
    char path[64];
    write_config(path, "{\"extra-body\": [1]}");
    FAILS(CFB_ECONFIG, "must be a string", "--config", path);
    write_config(path, "{\"extra-body\": {\"stream\": true}}");
    FAILS(CFB_ECONFIG, "use --stream", "--config", path);
    unlink(path);
}

static void other_request_options(void **state) {
    (void)state;
    PARSE("--system", "be brief", "--n-seed", "7", "--no-temperature", "--max-completion-tokens", "--stream", "--idle-timeout",
          "2.5");
    assert_string_equal(c.system_prompt, "be brief");
    assert_int_equal(c.n_seed, 7);
    assert_true(c.no_temperature && c.max_completion_tokens && c.stream && c.idle_timeout == 2.5);
    cfb_config_free(&c);
    PARSE("--system-prompt=old name", "--no-stream");
    assert_string_equal(c.system_prompt, "old name");
    cfb_config_free(&c);
    FAILS(CFB_EUSAGE, "exclude each other", "--temperature", "0", "--no-temperature");
    setenv("CFBENCH_NO_TEMPERATURE", "1", 1);
    PARSE("--temperature", "0.5"); /* the higher source wins */
    assert_false(c.no_temperature);
    cfb_config_free(&c);
    unsetenv("CFBENCH_NO_TEMPERATURE");
    setenv("CFBENCH_TEMPERATURE", "1", 1);
    PARSE("--no-temperature");
    assert_true(c.no_temperature);
    cfb_config_free(&c);
    unsetenv("CFBENCH_TEMPERATURE");
    FAILS(CFB_EUSAGE, "-2 is not in -1..2^53", "--n-seed", "-2");
    char path[64];
    write_config(path, "{\"system\": \"from a file\"}");
    PARSE("--config", path);
    assert_string_equal(c.system_prompt, "from a file");
    cfb_config_free(&c);
    unlink(path);
}

static void ways_to_the_server(void **state) {
    (void)state;
    PARSE("--proxy", "http://proxy:3128", "--ca-file", "ca.pem", "--client-cert", "c.pem", "--client-key", "k.pem");
    assert_string_equal(c.proxy, "http://proxy:3128");
    assert_string_equal(c.ca_file, "ca.pem");
    assert_string_equal(c.client_cert, "c.pem");
    assert_string_equal(c.client_key, "k.pem");
    cfb_config_free(&c);
    PARSE("--unix-socket", "/run/llm.sock", "--base-url", "http://localhost/v1");
    assert_string_equal(c.unix_socket, "/run/llm.sock");
    cfb_config_free(&c);
    FAILS(CFB_ECONFIG, "--client-key (from the command line) needs --client-cert", "--client-key", "k.pem");
    FAILS(CFB_ECONFIG, "exclude each other", "--proxy", "http://p:1", "--unix-socket", "/s");
    FAILS(CFB_EUSAGE, "must begin with http://", "--proxy", "proxy:3128");
    FAILS(CFB_EUSAGE, "no host name", "--proxy", "socks5h://:1080");
    FAILS(CFB_EUSAGE, "https_proxy", "--proxy", "http://user:geheim@proxy:1");
    assert_null(strstr(test_err.msg, "geheim"));
}

/* Printed, read back, printed: the same, with lists of all lengths. */
static void lists_survive_a_round_trip(void **state) {
    (void)state;
    const char *const *const lines[] = {ARGS("--stop", "\n", "--stop", "b"),
                                        ARGS("--stop", "[1]"),
                                        ARGS("--base-url", "http://a/v1"),
                                        ARGS("--base-url", "http://a/v1,http://b/v1"),
                                        ARGS("--extra-body", "{ \"n\" : 12345678901234567890 }"),
                                        ARGS("--base-url", "[\"http://a/x,y\"]")};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cfb_buf first = CFB_BUF_INIT(0), second = CFB_BUF_INIT(0);
        char path[64];
        assert_ok(parse(lines[i]));
        assert_ok(cfb_config_print(&c, &first, &test_err));
        cfb_config_free(&c);
        write_config(path, first.ptr);
        PARSE("--config", path);
        assert_ok(cfb_config_print(&c, &second, &test_err));
        cfb_config_free(&c);
        assert_string_equal(first.ptr, second.ptr);
        cfb_buf_free(&first);
        cfb_buf_free(&second);
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_send_what_was_always_sent),
        cmocka_unit_test(stop_sequences_add_up),
        cmocka_unit_test(several_servers),
        cmocka_unit_test(headers_are_secret),
        cmocka_unit_test(an_extra_body_is_checked_at_once),
        cmocka_unit_test(other_request_options),
        cmocka_unit_test(ways_to_the_server),
        cmocka_unit_test(lists_survive_a_round_trip),
    };
    static const char *const vars[] = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "CFBENCH_CONFIG"};
    for (size_t i = 0; i < 3; i++) unsetenv(vars[i]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
