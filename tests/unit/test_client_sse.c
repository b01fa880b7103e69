/* Streamed replies, fed whole, byte by byte, and cut at every place. */
#include "test.h"

#include "client/internal.h"

static cfb_sse s;
static cfb_chat_reply r;
static char content[4096], reasoning[4096];

/* Feeds text in pieces of `step` bytes, the first one of `first`; r holds the result, with its texts copied. */
static void stream(cfb_str text, size_t first, size_t step) {
    cfb_sse_reset(&s);
    cfb_chat_reply_init(&r);
    r.http_status = 200;
    for (size_t at = 0; at < text.len;) {
        size_t n = at == 0 && first > 0 ? first : step;
        if (n > text.len - at) n = text.len - at;
        assert_ok(cfb_sse_feed(&s, (cfb_str){text.ptr + at, n}, &test_err));
        at += n;
    }
    assert_ok(cfb_sse_finish(&s, &r, &test_err));
    snprintf(content, sizeof content, "%.*s", CFB_STR_ARG(r.content));
    snprintf(reasoning, sizeof reasoning, "%.*s", CFB_STR_ARG(r.reasoning));
}

static void assert_result(cfb_fail fail, const char *text, const char *thought, cfb_finish finish) {
    if (r.fail != fail) fail_msg("%s (%s) is not %s", cfb_fail_name(r.fail), r.message, cfb_fail_name(fail));
    assert_string_equal(content, text);
    assert_string_equal(reasoning, thought);
    assert_int_equal(r.finish, finish);
    assert_int_equal(r.http_status, 200);
    if (fail != CFB_FAIL_NONE) assert_true(r.message[0] != '\0');
}

#define CHUNK(delta) "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}\n\n"
#define LAST(reason) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define USAGE                                                                                                            \
    "data: "                                                                                                             \
    "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"completion_tokens_details\":{\"reasoning_" \
    "tokens\":1}}}\n\n"
#define DONE "data: [DONE]\n\n"

static void streams_of_all_servers(void **state) {
    (void)state;
    static const struct {
        const char *text, *content, *reasoning;
        cfb_fail fail;
        cfb_finish finish;
        int64_t tokens;
    } cases[] = {
        {CHUNK("{\"role\":\"assistant\",\"content\":\"\"}") CHUNK("{\"content\":\"甲\"}") CHUNK("{\"content\":\"\\u4e59\\n\"}")
             LAST("stop") USAGE DONE,
         "甲乙\n", "", CFB_FAIL_NONE, CFB_FINISH_STOP, 2},
        {"\xEF\xBB\xBF\r\n: keep-alive\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n: OPENROUTER "
         "PROCESSING\r\n\r\n"
         "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}\r\n\r\ndata: [DONE]\r\n\r\n",
         "ab", "", CFB_FAIL_NONE, CFB_FINISH_LENGTH, -1},
        {CHUNK("{\"reasoning_content\":\"hm\",\"content\":null}") CHUNK("{\"reasoning\":\"!\"}") CHUNK("{\"content\":\"B\"}")
             LAST("stop") DONE,
         "B", "hm!", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\"},{\"type\":\"text\",\"text\":\"B\"}]}") LAST("stop") DONE,
         "B", "t", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"refusal\":\"I can\"}") CHUNK("{\"refusal\":\"not\"}") LAST("stop") DONE, "I cannot", "", CFB_FAIL_NONE,
         CFB_FINISH_STOP, -1},
        {CHUNK("{\"tool_calls\":[{}]}") LAST("tool_calls") DONE, "", "", CFB_FAIL_NONE, CFB_FINISH_OTHER, -1},
        {CHUNK("{\"content\":\"x\"}") LAST("content_filter") DONE, "x", "", CFB_FAIL_NONE, CFB_FINISH_FILTER, -1},
        /* the end in all its forms */
        {CHUNK("{\"content\":\"x\"}") LAST("stop"), "x", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"content\":\"x\"}") LAST("stop") USAGE, "x", "", CFB_FAIL_NONE, CFB_FINISH_STOP, 2},
        {CHUNK("{\"content\":\"x\"}") DONE, "x", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"content\":\"x\"}") LAST("stop") "data: [DONE]", "x", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"content\":\"x\"}") LAST("stop") DONE CHUNK("{\"content\":\"late\"}"), "x", "", CFB_FAIL_NONE, CFB_FINISH_STOP,
         -1},
        {CHUNK("{\"content\":\"x\"}"), "", "", CFB_FAIL_CUT, CFB_FINISH_OTHER, -1},
        {CHUNK("{\"content\":\"x\"}") "data: {\"choices\":[{\"del", "", "", CFB_FAIL_CUT, CFB_FINISH_OTHER, -1},
        {": nothing\n\n", "", "", CFB_FAIL_CUT, CFB_FINISH_OTHER, -1},
        {"", "", "", CFB_FAIL_CUT, CFB_FINISH_OTHER, -1},
        {DONE, "", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER, -1},
        /* events over several lines, events without an empty line between, other fields and events */
        {"data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"x\"},\ndata: \"finish_reason\":\"stop\"}]}\n\n" DONE, "x", "",
         CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\ndata: "
         "{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\ndata: "
         "[DONE]\n",
         "ab", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {"id: 7\nretry: 100\nevent: message\n" CHUNK(
             "{\"content\":\"a\"}") "event: ping\ndata: pong\n\nfoo\n\ndata\n\ndata: \n\n" LAST("stop") DONE,
         "a", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {"data: "
         "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}"
         "]}\n\n" DONE,
         "all", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {"data: "
         "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}},{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n" LAST(
             "stop") DONE,
         "x", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"content\":null,\"content\":\"second\"}") LAST("stop") DONE, "", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        {CHUNK("{\"content\":\"a\\ud800\"}") LAST("stop") DONE, "a\xEF\xBF\xBD", "", CFB_FAIL_NONE, CFB_FINISH_STOP, -1},
        /* errors */
        {CHUNK("{\"content\":\"x\"}") "data: {\"error\":{\"message\":\"down\",\"code\":502}}\n\n" DONE, "", "", CFB_FAIL_SERVER,
         CFB_FINISH_OTHER, -1},
        {"data: {\"error\":{\"message\":\"slow\",\"code\":429}}\n\n", "", "", CFB_FAIL_RATE_LIMIT, CFB_FINISH_OTHER, -1},
        {"data: {\"object\":\"error\",\"message\":\"maximum context length\",\"code\":400}\n\n" DONE, "", "",
         CFB_FAIL_CONTEXT_LENGTH, CFB_FINISH_OTHER, -1},
        {"event: error\ndata: {\"message\":\"m\",\"type\":\"overloaded_error\"}\n\n", "", "", CFB_FAIL_OVERLOADED,
         CFB_FINISH_OTHER, -1},
        {"event: error\ndata: boom\n\n", "", "", CFB_FAIL_SERVER, CFB_FINISH_OTHER, -1},
        {"event: error\ndata: {}\n\n", "", "", CFB_FAIL_SERVER, CFB_FINISH_OTHER, -1},
        {"data: "
         "{\"choices\":[{\"index\":0,\"delta\":{},\"error\":{\"code\":503,\"message\":\"m\"},\"finish_reason\":\"error\"}]}"
         "\n\n" DONE,
         "", "", CFB_FAIL_OVERLOADED, CFB_FINISH_OTHER, -1},
        {CHUNK("{\"content\":\"x\"}") LAST("insufficient_system_resource") DONE, "", "", CFB_FAIL_OVERLOADED, CFB_FINISH_OTHER,
         -1},
        {CHUNK("{\"content\":\"x\"}") "data: {\"error\":{\"message\":\"m\",\"code\":\"content_filter\"}}\n\n", "", "",
         CFB_FAIL_NONE, CFB_FINISH_FILTER, -1},
        {"data: what\n\n" DONE, "", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER, -1},
        {CHUNK("{\"content\":7}") DONE, "", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER, -1},
        /* no stream after all */
        {"\n\n{\"choices\":[{\"message\":{\"content\":\"whole\",\"reasoning\":\"r\"},\"finish_reason\":\"stop\"}],\"usage\":{"
         "\"completion_tokens\":4}}\n",
         "whole", "r", CFB_FAIL_NONE, CFB_FINISH_STOP, 4},
        {"{\"error\":{\"message\":\"m\",\"code\":429}}", "", "", CFB_FAIL_RATE_LIMIT, CFB_FINISH_OTHER, -1},
        {"<html>hello\n\n</html>", "", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER, -1},
        {"{\"choices\":[", "", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_str text = cfb_str_from(cases[i].text);
        for (size_t way = 0; way < 2 * (text.len + 20); way++) { /* whole; byte by byte and so on; cut once at every place */
            size_t step = way / 2;
            s.by_tree = way % 2 == 1;
            if (step < 20)
                stream(text, 0, step == 0 ? text.len : step);
            else
                stream(text, step - 20, text.len);
            assert_result(cases[i].fail, cases[i].content, cases[i].reasoning, cases[i].finish);
            assert_int_equal(r.completion_tokens, cases[i].tokens);
        }
    }
}

/* An early end is an error, wherever it comes, until the finish_reason is there. */
static void a_cut_stream_is_never_an_answer(void **state) {
    (void)state;
    static const char text[] = CHUNK("{\"content\":\"one\"}") CHUNK("{\"content\":\"two\"}") LAST("stop");
    size_t end = sizeof text - 1 - strlen("\n\n");
    for (size_t n = 0; n < end; n++) {
        stream((cfb_str){text, n}, 0, n ? n : 1);
        assert_result(CFB_FAIL_CUT, "", "", CFB_FINISH_OTHER);
    }
    stream((cfb_str){text, end}, 0, end);
    assert_result(CFB_FAIL_NONE, "onetwo", "", CFB_FINISH_STOP);
}

static void feed(const char *text) { assert_ok(cfb_sse_feed(&s, cfb_str_from(text), &test_err)); }

static void first_text_and_end_are_told_at_once(void **state) {
    (void)state;
    cfb_sse_reset(&s);
    feed(": wait\n\n" CHUNK("{\"role\":\"assistant\",\"content\":\"\"}"));
    assert_false(s.any_text);
    feed("data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"r\"}}]}");
    assert_false(s.any_text);
    feed("\n");
    assert_true(s.any_text);
    feed(LAST("stop"));
    assert_false(s.done); /* usage may follow */
    feed(USAGE);
    assert_true(s.done);
    cfb_sse_reset(&s);
    assert_false(s.any_text || s.done || s.failed);
    feed(CHUNK("{\"content\":\"x\"}") DONE);
    assert_true(s.done && !s.failed);
    cfb_sse_reset(&s);
    feed("data: {\"error\":{\"message\":\"m\"}}\n");
    assert_true(s.failed);
}

static void everything_has_a_limit(void **state) {
    (void)state;
    cfb_sse small;
    static const char line[] = "data: {\"choices\":[{\"delta\":{\"content\":\"0123456789\"}}]}\n";
    cfb_sse_init(&small, 60);
    for (int i = 0; i < 6; i++) assert_ok(cfb_sse_feed(&small, CFB_STR_LIT(line), &test_err));
    assert_fails(cfb_sse_feed(&small, CFB_STR_LIT(line), &test_err), CFB_ELIMIT, "60 bytes"); /* the text */
    cfb_sse_free(&small);
    cfb_sse_init(&small, 30);
    assert_fails(cfb_sse_feed(&small, CFB_STR_LIT(line), &test_err), CFB_ELIMIT, "30 bytes"); /* a line */
    cfb_sse_reset(&small);
    assert_ok(cfb_sse_feed(&small, CFB_STR_LIT("data: 0123456789"), &test_err));
    assert_ok(cfb_sse_feed(&small, CFB_STR_LIT("01234567890123"), &test_err));
    assert_fails(cfb_sse_feed(&small, CFB_STR_LIT("4"), &test_err), CFB_ELIMIT, "30 bytes"); /* an unfinished one */
    cfb_sse_reset(&small);
    assert_ok(
        cfb_sse_feed(&small, CFB_STR_LIT("data: [\ndata: 1,\ndata: 2,\ndata: 3,\ndata: 4,\ndata: 5,\ndata: 6,\n"), &test_err));
    assert_fails(cfb_sse_feed(&small, CFB_STR_LIT("data: 7,\ndata: 8,\ndata: 9,\ndata: 10,\ndata: 11,\n"), &test_err), CFB_ELIMIT,
                 "30 bytes");
    cfb_sse_reset(&small);
    assert_ok(cfb_sse_feed(&small, CFB_STR_LIT("{0123456789012345678901234567"), &test_err));
    assert_fails(cfb_sse_feed(&small, CFB_STR_LIT("89"), &test_err), CFB_ELIMIT, "30 bytes"); /* a document */
    cfb_sse_free(&small);
    cfb_sse_init(&small, 1 << 20); /* lines of one event, each of which would be tried with all before */
    assert_ok(cfb_sse_feed(&small, CFB_STR_LIT("data: [\n"), &test_err));
    for (int i = 0; i < 1000; i++) assert_ok(cfb_sse_feed(&small, CFB_STR_LIT("data: 1,\n"), &test_err));
    assert_true(small.failed);
    assert_ok(cfb_sse_finish(&small, &r, &test_err));
    assert_int_equal(r.fail, CFB_FAIL_BAD_REPLY);
    cfb_sse_free(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_of_all_servers),
        cmocka_unit_test(a_cut_stream_is_never_an_answer),
        cmocka_unit_test(first_text_and_end_are_told_at_once),
        cmocka_unit_test(everything_has_a_limit),
    };
    cfb_sse_init(&s, (size_t)1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cfb_sse_free(&s);
    return failed;
}
