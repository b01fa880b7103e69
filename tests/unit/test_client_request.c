/* Requests as bytes. */
#include "test.h"

#include "cfbench/client.h"
#include "cfbench/json.h"

#include <math.h>

static cfb_buf out;

static cfb_request defaults(void) {
    cfb_request q = CFB_REQUEST_INIT;
    q.model = "m";
    return q;
}

static const char *write_body(const cfb_request *q, unsigned refused, const char *prompt) {
    cfb_buf_clear(&out);
    assert_ok(cfb_request_write(q, refused, cfb_str_from(prompt), 64, &out, &test_err));
    assert_ok(cfb_json_check(out.ptr, out.len, 0, &test_err));
    return out.ptr;
}

static void requests_are_json_whatever_the_prompt(void **state) {
    (void)state;
    cfb_request q = defaults();
    cfb_json *j;
    q.model = "m\"1";
    write_body(&q, 0, "a\"\\\n\x01中\xE2\x80\xA8");
    assert_null(strchr(out.ptr, '\n'));
    assert_ok(cfb_json_parse(out.ptr, out.len, 0, &j, &test_err));
    const cfb_json *message = cfb_json_first(cfb_json_get(j, "messages"));
    assert_str(cfb_json_str(cfb_json_get(j, "model")), "m\"1");
    assert_str(cfb_json_str(cfb_json_get(message, "role")), "user");
    assert_str(cfb_json_str(cfb_json_get(message, "content")), "a\"\\\n\x01中\xE2\x80\xA8");
    int64_t n;
    assert_true(cfb_json_int(cfb_json_get(j, "max_tokens"), &n));
    assert_int_equal(n, 64);
    cfb_json_free(j);
    q.system_prompt = "be brief";
    write_body(&q, 0, "x");
    assert_ok(cfb_json_parse(out.ptr, out.len, 0, &j, &test_err));
    message = cfb_json_first(cfb_json_get(j, "messages"));
    assert_str(cfb_json_str(cfb_json_get(message, "role")), "system");
    assert_str(cfb_json_str(cfb_json_get(cfb_json_next(message), "role")), "user");
    cfb_json_free(j);
}

/* What the first versions sent, by the general writer: the bytes stay. */
static void write_plainly(const cfb_request *q, cfb_str prompt, int max_tokens, cfb_buf *b) {
    cfb_jw w;
    cfb_jw_init(&w, b, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "model");
    cfb_jw_strz(&w, q->model);
    cfb_jw_key(&w, "messages");
    cfb_jw_arr(&w);
    for (int user = q->system_prompt == NULL; user < 2; user++) {
        cfb_jw_obj(&w);
        cfb_jw_key(&w, "role");
        cfb_jw_strz(&w, user ? "user" : "system");
        cfb_jw_key(&w, "content");
        cfb_jw_str(&w, user ? prompt : cfb_str_from(q->system_prompt));
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "temperature");
    cfb_jw_num(&w, q->temperature);
    cfb_jw_key(&w, "max_tokens");
    cfb_jw_int(&w, max_tokens);
    cfb_jw_end_obj(&w);
    assert_ok(cfb_jw_finish(&w, &test_err));
}

/* Prompts of all lengths whose pieces need escapes, or look as if they did, at every place of a block of 16. */
static void the_bytes_of_a_plain_request_stay(void **state) {
    (void)state;
    static const char *const pieces[] = {"a",
                                         "公司",
                                         "\n",
                                         "\"",
                                         "\\",
                                         "\x01",
                                         "\x7f",
                                         "\xE2\x80\xA8",
                                         "\xE2\x80\xA9",
                                         "“",
                                         "\t",
                                         "é",
                                         "\xF0\x9F\x98\x80",
                                         "plain ascii text, ",
                                         "净利润增长百分之十，",
                                         "\r\b\f\v\x1f",
                                         ""};
    static const double temperatures[] = {0, 0.7, 1, 0.1, 0.3, 1.25, 2, 0.15, 1e-7, 1.0 / 3, 9.9};
    cfb_request q = defaults();
    cfb_buf plain = CFB_BUF_INIT(0), prompt = CFB_BUF_INIT(0);
    for (uint64_t i = 0; i < 4000; i++) {
        cfb_buf_clear(&prompt);
        cfb_buf_clear(&plain);
        cfb_buf_clear(&out);
        size_t n = (size_t)(cfb_rand_u64(1, 0, i) % 40);
        for (size_t k = 0; k < n; k++) {
            const char *piece = pieces[cfb_rand_u64(1, i + 1, k) % (sizeof pieces / sizeof *pieces)];
            assert_ok(cfb_buf_append(&prompt, piece, strlen(piece), &test_err));
        }
        q.temperature = temperatures[i % (sizeof temperatures / sizeof *temperatures)];
        q.system_prompt = i % 3 == 0 ? "sys“\n" : NULL;
        int max_tokens = (int)(cfb_rand_u64(2, 0, i) % 100000);
        if (i % 5 == 0) cfb_buf_free(&out); /* a small buffer has to grow in the middle */
        write_plainly(&q, cfb_buf_str(&prompt), max_tokens, &plain);
        assert_ok(cfb_request_write(&q, 0, cfb_buf_str(&prompt), max_tokens, &out, &test_err));
        if (!cfb_str_eq(cfb_buf_str(&out), cfb_buf_str(&plain))) fail_msg("%s\nis not\n%s", out.ptr, plain.ptr);
    }
    cfb_buf_free(&plain);
    cfb_buf_free(&prompt);
}

static void every_temperature_reads_back(void **state) {
    (void)state;
    cfb_request q = defaults();
    for (int i = 0; i <= 2000; i++) {
        char want[64], number[32];
        q.temperature = i / 1000.0;
        cfb_format_double(q.temperature, number);
        snprintf(want, sizeof want, "\"temperature\":%s,", number);
        assert_non_null(strstr(write_body(&q, 0, "x"), want));
    }
}

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void options_become_members(void **state) {
    (void)state;
    static const char *const stop[] = {"\n\n", "。"};
    cfb_request q = defaults();
    assert_string_equal(write_body(&q, 0, "x"), "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64}");
    q.temperature = NAN;
    assert_string_equal(write_body(&q, 0, "x"), "{\"model\":\"m\"," USER ",\"max_tokens\":64}");
    q.completion_tokens = true;
    assert_string_equal(write_body(&q, 0, "x"), "{\"model\":\"m\"," USER ",\"max_completion_tokens\":64}");
    q = defaults();
    q.stop = stop;
    q.n_stop = 2;
    q.seed = -9007199254740993;
    q.has_seed = q.stream = true;
    assert_string_equal(write_body(&q, 0, "x"),
                        "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64,\"stop\":[\"\\n\\n\",\"。\"],"
                        "\"seed\":-9007199254740993,\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

static void refused_parameters_are_left_out(void **state) {
    (void)state;
    static const char *const stop[] = {"."};
    cfb_request q = defaults();
    q.stop = stop;
    q.n_stop = 1;
    q.has_seed = q.stream = true;
    assert_string_equal(write_body(&q, CFB_REFUSED_MAX_TOKENS, "x"),
                        "{\"model\":\"m\"," USER
                        ",\"temperature\":0.0,\"max_completion_tokens\":64,\"stop\":[\".\"],\"seed\":0,\"stream\":true,"
                        "\"stream_options\":{\"include_usage\":true}}");
    assert_string_equal(
        write_body(&q, CFB_REFUSED_TEMPERATURE | CFB_REFUSED_STOP | CFB_REFUSED_SEED | CFB_REFUSED_STREAM_OPTIONS, "x"),
        "{\"model\":\"m\"," USER ",\"max_tokens\":64,\"stream\":true}");
    q.completion_tokens = true;
    assert_non_null(strstr(write_body(&q, CFB_REFUSED_MAX_TOKENS, "x"), "\"max_tokens\":64"));
}

static void an_extra_body_adds_and_replaces(void **state) {
    (void)state;
    static const struct {
        const char *extra, *want;
    } cases[] = {
        {"{}", "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64}"},
        {" { \n} ", "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64}"},
        {"{\"top_p\":0.9}", "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64,\"top_p\":0.9}"},
        {"{\"chat_template_kwargs\":{\"enable_thinking\":false,\"temperature\":3},\"top_k\":1} ",
         "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64,\"chat_template_kwargs\":{\"enable_thinking\":false,"
         "\"temperature\":3},\"top_k\":1}"},
        {"{\"temperature\":null}", "{\"model\":\"m\"," USER ",\"max_tokens\":64,\"temperature\":null}"},
        {"{\"Temperature\":1}", "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64,\"Temperature\":1}"},
        {"{\"t\\u0065mperature\":1}", "{\"model\":\"m\"," USER ",\"max_tokens\":64,\"t\\u0065mperature\":1}"},
        {"{\"max_completion_tokens\":7}", "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_completion_tokens\":7}"},
        {"{\"model\":\"n\",\"messages\":[],\"temperature\":1,\"max_tokens\":2}",
         "{\"model\":\"n\",\"messages\":[],\"temperature\":1,\"max_tokens\":2}"},
        {"{\"n\":12345678901234567890}",
         "{\"model\":\"m\"," USER ",\"temperature\":0.0,\"max_tokens\":64,\"n\":12345678901234567890}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_request q = defaults();
        q.extra_body = cases[i].extra;
        assert_string_equal(write_body(&q, 0, "x"), cases[i].want);
    }
    static const char *const wrong[] = {"",          "[]",      "7",          "{",      "{\"a\":}",        "{\"a\":1} x",
                                        "{\"a\" 1}", "{'a':1}", "{\"a\":1,}", "\xFF{}", "{\"a\":\"\xFF\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cfb_request q = defaults();
        q.extra_body = wrong[i];
        cfb_buf_clear(&out);
        assert_fails(cfb_request_write(&q, 0, CFB_STR_LIT("x"), 1, &out, &test_err), CFB_ECONFIG, "JSON object");
        assert_int_equal(out.len, 0);
    }
}

/* The limit is exact, although the quick way wants some room to spare. */
static void a_request_that_is_too_large_is_refused(void **state) {
    (void)state;
    cfb_request q = defaults();
    cfb_buf b;
    size_t n = strlen(write_body(&q, 0, "some \"text\" and a little more"));
    for (size_t max = 1; max <= n + 40; max++) {
        b = CFB_BUF_INIT(max + 3);
        assert_ok(cfb_buf_append(&b, "abc", 3, &test_err));
        if (max >= n) {
            assert_ok(cfb_request_write(&q, 0, CFB_STR_LIT("some \"text\" and a little more"), 64, &b, &test_err));
            assert_string_equal(b.ptr + 3, out.ptr);
        } else {
            assert_fails(cfb_request_write(&q, 0, CFB_STR_LIT("some \"text\" and a little more"), 64, &b, &test_err), CFB_ELIMIT,
                         "bytes");
            assert_string_equal(b.ptr, "abc");
        }
        cfb_buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_json_whatever_the_prompt),  cmocka_unit_test(the_bytes_of_a_plain_request_stay),
        cmocka_unit_test(every_temperature_reads_back),           cmocka_unit_test(options_become_members),
        cmocka_unit_test(refused_parameters_are_left_out),        cmocka_unit_test(an_extra_body_adds_and_replaces),
        cmocka_unit_test(a_request_that_is_too_large_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cfb_buf_free(&out);
    return failed;
}
