/* Requests and replies as bytes; calls over the network are tested against the mock in test_mock.c and tests/cli. */
#include "test.h"

#include "cfbench/client.h"
#include "cfbench/json.h"

static cfb_buf scratch;
static cfb_chat_reply r;

static void parse(const char *body) {
    r = (cfb_chat_reply){.http_status = 200};
    assert_ok(cfb_client_parse_reply(cfb_str_from(body), &scratch, &r, &test_err));
}

static void replies_in_the_wild(void **state) {
    (void)state;
    static const struct {
        const char *body, *content;
        cfb_fail fail;
        cfb_finish finish;
    } cases[] = {
        {"{\"choices\":[{\"message\":{\"content\":\" 甲 \"},\"finish_reason\":\"stop\"}]}", " 甲 ", CFB_FAIL_NONE,
         CFB_FINISH_STOP},
        {"{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":\"content_filter\"}]}", "", CFB_FAIL_NONE,
         CFB_FINISH_FILTER},
        {"{\"choices\":[{\"message\":{},\"finish_reason\":\"length\"}]}", "", CFB_FAIL_NONE, CFB_FINISH_LENGTH},
        {"{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"},{\"text\":\"b\"}]}}]}",
         "ab", CFB_FAIL_NONE, CFB_FINISH_STOP},
        {"{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"tool_calls\"}]}", "x", CFB_FAIL_NONE,
         CFB_FINISH_OTHER},
        {"{\"choices\":[{\"message\":{\"content\":\"a\\u0000\\ud800b\"}}]}",
         "a\xEF\xBF\xBD\xEF\xBF\xBD"
         "b",
         CFB_FAIL_NONE, CFB_FINISH_STOP},
        {"{\"choices\":[{\"message\":{\"content\":7}}]}", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_STOP},
        {"{\"choices\":[{\"message\":{\"content\":[{\"type\":\"thinking\",\"text\":\"hidden\"},\"A\"]}}]}", "A", CFB_FAIL_NONE, CFB_FINISH_STOP},
        {"{\"error\":{},\"a\":1,\"a\":2,\"choices\":[{\"message\":{\"content\":\"x\"}}]}", "x", CFB_FAIL_NONE, CFB_FINISH_STOP},
        {"{\"choices\":[]}", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"{\"choices\":[{\"message\":{\"content\":\"cut", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"<html>hello</html>", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"{\"error\":{\"message\":\"no\",\"code\":429}}", "", CFB_FAIL_SERVER, CFB_FINISH_OTHER},
        {"{\"error\":{\"message\":\"\",\"code\":430}}", "", CFB_FAIL_SERVER, CFB_FINISH_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse(cases[i].body);
        assert_int_equal(r.fail, cases[i].fail);
        assert_str(r.content, cases[i].content);
        assert_int_equal(r.finish, cases[i].finish);
        if (r.fail != CFB_FAIL_NONE) assert_true(r.message[0] != '\0');
    }
    parse("<html>");
    assert_non_null(strstr(r.message, "HTML"));
    parse("{\"error\":{\"message\":\"slow\\ndown\",\"code\":429}}");
    assert_int_equal(r.http_status, 429); /* an error wrapped in a 200 */
    assert_string_equal(r.message, "slow down");
    parse("{\"choices\":[{\"message\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}");
    assert_int_equal(r.prompt_tokens, 12);
    assert_int_equal(r.completion_tokens, 3);
}

static void requests_are_json_whatever_the_prompt(void **state) {
    (void)state;
    cfb_client_opts o = CFB_CLIENT_OPTS_INIT;
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_json *j;
    o.model = "m\"1";
    o.temperature = 0;
    assert_ok(cfb_client_body(&o, CFB_STR_LIT("a\"\\\n\x01中\xE2\x80\xA8"), 64, &b, &test_err));
    assert_null(strchr(b.ptr, '\n'));
    assert_ok(cfb_json_parse(b.ptr, b.len, 0, &j, &test_err));
    const cfb_json *message = cfb_json_first(cfb_json_get(j, "messages"));
    assert_str(cfb_json_str(cfb_json_get(j, "model")), "m\"1");
    assert_str(cfb_json_str(cfb_json_get(message, "role")), "user");
    assert_str(cfb_json_str(cfb_json_get(message, "content")), "a\"\\\n\x01中\xE2\x80\xA8");
    int64_t n;
    assert_true(cfb_json_int(cfb_json_get(j, "max_tokens"), &n));
    assert_int_equal(n, 64);
    cfb_json_free(j);
    cfb_buf_clear(&b);
    o.system_prompt = "be brief";
    assert_ok(cfb_client_body(&o, CFB_STR_LIT("x"), 64, &b, &test_err));
    assert_ok(cfb_json_parse(b.ptr, b.len, 0, &j, &test_err));
    message = cfb_json_first(cfb_json_get(j, "messages"));
    assert_str(cfb_json_str(cfb_json_get(message, "role")), "system");
    assert_str(cfb_json_str(cfb_json_get(cfb_json_next(message), "role")), "user");
    cfb_json_free(j);
    cfb_buf_free(&b);
}

static void an_unreachable_server_is_a_result(void **state) {
    (void)state;
    cfb_client_opts o = CFB_CLIENT_OPTS_INIT;
    cfb_client_t *c;
    o.base_url = "http://127.0.0.1:9"; /* discard: nothing listens there */
    o.model = "m";
    o.api_key = "sk-very-secret";
    assert_ok(cfb_client_global_init(&test_err));
    assert_ok(cfb_client_new(&o, &c, &test_err));
    assert_ok(cfb_client_chat(c, CFB_STR_LIT("x"), 5, &r, &test_err));
    assert_int_equal(r.fail, CFB_FAIL_CONNECT);
    assert_null(strstr(r.message, "secret"));
    assert_true(cfb_fail_is_retried(r.fail));
    cfb_client_free(c);
    cfb_client_global_cleanup();
}

static void a_large_reply_stops_at_its_limit(void **state) {
    (void)state;
    cfb_buf small = CFB_BUF_INIT(4);
    cfb_chat_reply big = {0};
    assert_fails(
        cfb_client_parse_reply(CFB_STR_LIT("{\"choices\":[{\"message\":{\"content\":\"12345\"}}]}"), &small, &big, &test_err),
        CFB_ELIMIT, "4 bytes");
    cfb_buf_free(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_in_the_wild),
        cmocka_unit_test(requests_are_json_whatever_the_prompt),
        cmocka_unit_test(an_unreachable_server_is_a_result),
        cmocka_unit_test(a_large_reply_stops_at_its_limit),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cfb_buf_free(&scratch);
    return failed;
}
