/* Replies as bytes, as servers send them; calls over the network are tested against the mock in test_mock.c and tests/cli. */
#include "test.h"

#include "client/reading.h"

static cfb_buf scratch, tree_scratch;
static cfb_chat_reply r;

static bool same(cfb_str a, cfb_str b) { return (a.ptr == NULL) == (b.ptr == NULL) && cfb_str_eq(a, b); }

/* The quick way and the tree give the same. */
static void parse_bytes(cfb_str body) {
    cfb_chat_reply t;
    cfb_chat_reply_init(&r);
    r.http_status = 200;
    t = r;
    assert_ok(cfb_client_parse_reply(body, &scratch, &r, &test_err));
    assert_ok(cfb_client__parse_reply_by_tree(body, &tree_scratch, &t, &test_err));
    bool equal = r.fail == t.fail && r.http_status == t.http_status && same(r.content, t.content) &&
                 same(r.reasoning, t.reasoning) && r.finish == t.finish && r.prompt_tokens == t.prompt_tokens &&
                 r.completion_tokens == t.completion_tokens && r.reasoning_tokens == t.reasoning_tokens &&
                 r.cached_tokens == t.cached_tokens && r.refused == t.refused && strcmp(r.message, t.message) == 0;
    if (!equal) fail_msg("the walk and the tree differ for %.*s", CFB_STR_ARG(body));
}

static void parse(const char *body) { parse_bytes(cfb_str_from(body)); }

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
        {"{\"choices\":[{\"message\":{\"content\":[{\"type\":\"thinking\",\"text\":\"hidden\"},\"A\"]}}]}", "A", CFB_FAIL_NONE,
         CFB_FINISH_STOP},
        {"{\"error\":{},\"a\":1,\"a\":2,\"choices\":[{\"message\":{\"content\":\"x\"}}]}", "x", CFB_FAIL_NONE, CFB_FINISH_STOP},
        {"{\"choices\":[]}", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"{\"choices\":[{\"message\":{\"content\":\"cut", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"<html>hello</html>", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"", "", CFB_FAIL_BAD_REPLY, CFB_FINISH_OTHER},
        {"{\"error\":{\"message\":\"no\",\"code\":429}}", "", CFB_FAIL_RATE_LIMIT, CFB_FINISH_OTHER},
        {"{\"error\":{\"message\":\"\",\"code\":430}}", "", CFB_FAIL_BAD_REQUEST, CFB_FINISH_OTHER},
        {"{\"error\":{\"message\":\"no\"}}", "", CFB_FAIL_SERVER, CFB_FINISH_OTHER},
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

/* A choice with this message and the rest of the document. */
static void parse_message(const char *message, const char *rest) {
    char body[2048];
    snprintf(body, sizeof body, "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":%s,\"finish_reason\":\"stop\"}]%s}", message,
             rest);
    parse(body);
}

static void reasoning_stands_beside_the_answer(void **state) {
    (void)state;
    static const struct {
        const char *message, *content, *reasoning;
    } cases[] = {
        {"{\"role\":\"assistant\",\"content\":\"B\",\"reasoning_content\":\"first\\nA\"}", "B", "first\nA"}, /* DeepSeek */
        {"{\"reasoning\":\"hm\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\"}],\"content\":\"B\"}", "B",
         "hm"}, /* OpenRouter */
        {"{\"content\":\"B\",\"reasoning\":null,\"reasoning_details\":[{\"type\":\"reasoning.summary\",\"summary\":\"s\"},"
         "{\"type\":\"reasoning.encrypted\",\"data\":\"x\"},{\"text\":\"t\"}]}",
         "B", "st"},
        {"{\"content\":\"B\",\"reasoning\":[\"a\",{\"text\":\"b\"}]}", "B", "ab"},
        {"{\"content\":\"B\",\"reasoning_content\":\"\",\"reasoning\":\"r\"}", "B", "r"},
        {"{\"content\":\"B\",\"reasoning_content\":\"r\",\"reasoning\":\"r\"}", "B", "r"}, /* the same text twice */
        {"{\"content\":\"B\",\"reasoning_content\":null}", "B", NULL},
        {"{\"content\":\"B\",\"reasoning_content\":\"\"}", "B", NULL},
        {"{\"content\":null,\"reasoning_content\":\"all of it\"}", "", "all of it"},
        {"{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"why\"}]},{\"type\":\"text\",\"text\":"
         "\"B\"}]}",
         "B", "why"}, /* Mistral */
        {"{\"content\":[{\"type\":\"thinking\",\"thinking\":\"why\"},\"B\"]}", "B", "why"},
        {"{\"content\":null,\"refusal\":\"I cannot do that.\"}", "I cannot do that.", NULL},
        {"{\"content\":\"B\",\"refusal\":\"no\"}", "B", NULL},
        {"{\"content\":\"B\",\"refusal\":null}", "B", NULL},
        {"{\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}", "no", NULL},
        {"{\"content\":\"\\u7532\\ud83d\\ude00\\/\\b\\f\\t\\r\\\"\\\\\",\"tool_calls\":[]}", "甲😀/\b\f\t\r\"\\", NULL},
        {"{\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}"
         "\"}}]}",
         "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse_message(cases[i].message, "");
        assert_int_equal(r.fail, CFB_FAIL_NONE);
        assert_str(r.content, cases[i].content);
        if (cases[i].reasoning == NULL)
            assert_null(r.reasoning.ptr);
        else
            assert_str(r.reasoning, cases[i].reasoning);
    }
}

static void usage_as_servers_count_it(void **state) {
    (void)state;
    static const struct {
        const char *usage;
        int64_t prompt, completion, reasoning, cached;
    } cases[] = {
        {"", -1, -1, -1, -1},
        {",\"usage\":null", -1, -1, -1, -1},
        {",\"usage\":{}", -1, -1, -1, -1},
        {",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,\"prompt_tokens_details\":{\"cached_"
         "tokens\":8,"
         "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":7,\"audio_tokens\":0}}",
         9, 12, 7, 8}, /* OpenAI */
        {",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"prompt_cache_hit_tokens\":5,\"prompt_cache_miss_tokens\":4}",
         9, 12, -1, 5}, /* DeepSeek */
        {",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"prompt_tokens_details\":null,\"reasoning_tokens\":3}", 9, 12,
         3, -1}, /* SGLang */
        {",\"usage\":{\"prompt_tokens\":9.0,\"completion_tokens\":1e1}", 9, 10, -1, -1},
        {",\"usage\":{\"prompt_tokens\":-4,\"completion_tokens\":2.5}", -1, -1, -1, -1},
        {",\"usage\":{\"prompt_tokens\":\"9\",\"completion_tokens\":null}", -1, -1, -1, -1},
        {",\"usage\":{\"prompt_tokens\":1,\"prompt_tokens\":2}", 1, -1, -1, -1},
        {",\"usage\":{\"prompt_tokens\":99999999999999999999}", -1, -1, -1, -1},
        {",\"usage\":[1]", -1, -1, -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse_message("{\"content\":\"x\"}", cases[i].usage);
        assert_int_equal(r.fail, CFB_FAIL_NONE);
        assert_int_equal(r.prompt_tokens, cases[i].prompt);
        assert_int_equal(r.completion_tokens, cases[i].completion);
        assert_int_equal(r.reasoning_tokens, cases[i].reasoning);
        assert_int_equal(r.cached_tokens, cases[i].cached);
    }
}

static void finish_reasons_of_all_servers(void **state) {
    (void)state;
    static const struct {
        const char *reason;
        cfb_finish finish;
        cfb_fail fail;
    } cases[] = {
        {"\"stop\"", CFB_FINISH_STOP, CFB_FAIL_NONE},
        {"\"length\"", CFB_FINISH_LENGTH, CFB_FAIL_NONE},
        {"\"content_filter\"", CFB_FINISH_FILTER, CFB_FAIL_NONE},
        {"\"tool_calls\"", CFB_FINISH_OTHER, CFB_FAIL_NONE},
        {"\"function_call\"", CFB_FINISH_OTHER, CFB_FAIL_NONE},
        {"null", CFB_FINISH_STOP, CFB_FAIL_NONE},
        {"7", CFB_FINISH_STOP, CFB_FAIL_NONE},
        {"\"\"", CFB_FINISH_OTHER, CFB_FAIL_NONE},
        {"\"st\\u006fp\"", CFB_FINISH_STOP, CFB_FAIL_NONE},
        {"\"eos_token\"", CFB_FINISH_STOP, CFB_FAIL_NONE},
        {"\"end_turn\"", CFB_FINISH_STOP, CFB_FAIL_NONE},
        {"\"MAX_TOKENS\"", CFB_FINISH_LENGTH, CFB_FAIL_NONE},
        {"\"model_length\"", CFB_FINISH_LENGTH, CFB_FAIL_NONE},
        {"\"SAFETY\"", CFB_FINISH_FILTER, CFB_FAIL_NONE},
        {"\"insufficient_system_resource\"", CFB_FINISH_OTHER, CFB_FAIL_OVERLOADED},
        {"\"error\"", CFB_FINISH_OTHER, CFB_FAIL_SERVER},
        {"\"abort\"", CFB_FINISH_OTHER, CFB_FAIL_SERVER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":%s}]}", cases[i].reason);
        parse(body);
        assert_int_equal(r.fail, cases[i].fail);
        assert_int_equal(r.finish, cases[i].finish);
        assert_true(r.fail == CFB_FAIL_NONE || r.message[0] != '\0');
    }
}

static void errors_inside_a_200(void **state) {
    (void)state;
    static const struct {
        const char *body;
        cfb_fail fail;
        long status;
    } cases[] = {
        {"{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
         CFB_FAIL_BAD_REQUEST, 400},
        {"{\"object\":\"error\",\"message\":\"This model's maximum context length is 10 tokens.\",\"code\":40303}",
         CFB_FAIL_CONTEXT_LENGTH, 200},
        {"{\"error\":{\"code\":502,\"message\":\"Provider returned error\"},\"user_id\":\"u\"}", CFB_FAIL_SERVER, 502},
        {"{\"error\":{\"code\":\"503\",\"message\":\"m\"}}", CFB_FAIL_OVERLOADED, 503},
        {"{\"choices\":[{\"error\":{\"code\":429,\"message\":\"slow\"},\"finish_reason\":\"error\",\"message\":{\"content\":"
         "\"half\"}}]}",
         CFB_FAIL_RATE_LIMIT, 429},
        {"{\"error\":{\"type\":\"rate_limit_exceeded\",\"message\":\"m\"}}", CFB_FAIL_RATE_LIMIT, 200},
        {"{\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}", CFB_FAIL_OVERLOADED, 200},
        {"{\"error\":\"something\"}", CFB_FAIL_SERVER, 200},
        {"[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}]", CFB_FAIL_RATE_LIMIT, 429},
        {"{\"detail\":\"Not Found\"}", CFB_FAIL_SERVER, 200},
        {"{\"id\":\"x\",\"error\":null,\"choices\":null}", CFB_FAIL_BAD_REPLY, 200},
        {"[]", CFB_FAIL_BAD_REPLY, 200},
        {"7", CFB_FAIL_BAD_REPLY, 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse(cases[i].body);
        assert_int_equal(r.fail, cases[i].fail);
        assert_int_equal(r.http_status, cases[i].status);
        assert_true(r.message[0] != '\0');
    }
}

static void an_error_reply_has_its_class(void **state) {
    (void)state;
    static const struct {
        long status;
        const char *body;
        cfb_fail fail;
        const char *message;
        unsigned refused;
    } cases[] = {
        /* limits, quota, credit */
        {429, "{\"error\":{\"message\":\"Rate limit reached for gpt-4\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
         CFB_FAIL_RATE_LIMIT, "Rate limit reached", 0},
        {429,
         "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\",\"type\":"
         "\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}",
         CFB_FAIL_PAYMENT, "You exceeded", 0},
        {429,
         "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\",\"type\":"
         "\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"},\"request_id\":\"7\"}",
         CFB_FAIL_RATE_LIMIT, "You exceeded", 0}, /* DashScope's tokens per minute */
        {429,
         "{\"error\":{\"message\":\"Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested "
         "12000.\",\"type\":"
         "\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
         CFB_FAIL_TOO_LARGE, "Request too large", 0},
        {403,
         "{\"code\":\"AllocationQuota.FreeTierOnly\",\"message\":\"The free tier of the model has been "
         "exhausted.\",\"request_id\":\"1\"}",
         CFB_FAIL_PAYMENT, "The free tier", 0},
        {400, "{\"code\":\"Arrearage\",\"message\":\"Access denied\",\"request_id\":\"1\"}", CFB_FAIL_PAYMENT, "Access denied",
         0},
        {402, "{\"error\":{\"message\":\"Insufficient Balance\",\"code\":\"invalid_request_error\"}}", CFB_FAIL_PAYMENT,
         "Insufficient", 0},
        {400, "{\"error\":{\"message\":\"Insufficient Balance\",\"code\":\"invalid_request_error\"}}", CFB_FAIL_PAYMENT,
         "Insufficient", 0},
        {402, "", CFB_FAIL_PAYMENT, "the server said nothing more", 0},
        /* context length, as eight servers say it */
        {400,
         "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_length_"
         "exceeded\"}}",
         CFB_FAIL_CONTEXT_LENGTH, "m", 0},
        {400,
         "{\"object\":\"error\",\"message\":\"This model's maximum context length is 2048 tokens. However, you requested 6751 "
         "tokens "
         "(6719 in the messages, 32 in the completion).\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
         CFB_FAIL_CONTEXT_LENGTH, "This model's maximum", 0},
        {400, "{\"object\":\"error\",\"message\":\"max_tokens must be at least 1, got -186.\",\"code\":400}",
         CFB_FAIL_CONTEXT_LENGTH, "max_tokens must", 0},
        {400,
         "{\"error\":{\"message\":\"You passed 25 input tokens and requested 1000 output tokens. However, the model's context "
         "length is "
         "only 1024 tokens\",\"type\":\"BadRequestError\",\"param\":\"input_tokens\",\"code\":400}}",
         CFB_FAIL_CONTEXT_LENGTH, "You passed", 0},
        {400,
         "{\"object\":\"error\",\"message\":\"The input (900 tokens) is longer than the model's context length (512 tokens).\"}",
         CFB_FAIL_CONTEXT_LENGTH, "The input", 0},
        {400,
         "{\"error\":{\"code\":400,\"message\":\"request (4390 tokens) exceeds the available context size (4096 tokens), try "
         "increasing it\",\"type\":\"exceed_context_size_error\",\"n_ctx\":4096}}",
         CFB_FAIL_CONTEXT_LENGTH, "request (4390", 0},
        {500, "{\"error\":{\"code\":500,\"message\":\"Context size has been exceeded.\",\"type\":\"server_error\"}}",
         CFB_FAIL_CONTEXT_LENGTH, "Context size", 0},
        {400, "{\"error\":\"the input length exceeds the context length\"}", CFB_FAIL_CONTEXT_LENGTH, "the input", 0},
        {400,
         "{\"error\":{\"code\":\"invalid_parameter_error\",\"message\":\"<400> InternalError.Algo.InvalidParameter: Range of "
         "input length "
         "should be [1, 30720]\"},\"request_id\":\"1\"}",
         CFB_FAIL_CONTEXT_LENGTH, "<400>", 0},
        {413, "{\"error\":{\"message\":\"maximum context length is 8192\"}}", CFB_FAIL_CONTEXT_LENGTH, "maximum", 0},
        {413, "<html><head><title>413 Request Entity Too Large</title></head></html>", CFB_FAIL_TOO_LARGE, "413 Request", 0},
        /* keys and models */
        {401, "{\"error\":{\"message\":\"Incorrect API key provided\",\"code\":\"invalid_api_key\"}}", CFB_FAIL_AUTH, "Incorrect",
         0},
        {403, "{\"error\":{\"message\":\"no\"}}", CFB_FAIL_AUTH, "no", 0},
        {404, "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":\"model_not_found\"}}", CFB_FAIL_NOT_FOUND,
         "The model", 0},
        {404, "{\"detail\":\"Not Found\"}", CFB_FAIL_NOT_FOUND, "Not Found", 0},
        {404, "{\"error\":\"model 'x' not found\"}", CFB_FAIL_NOT_FOUND, "model 'x'", 0},
        {400, "{\"error\":{\"message\":\"Model Not Exist\",\"code\":\"invalid_request_error\"}}", CFB_FAIL_NOT_FOUND, "Model", 0},
        {400, "{\"error\":{\"message\":\"foo is not a valid model ID\",\"code\":400}}", CFB_FAIL_NOT_FOUND, "foo", 0},
        /* overload and failures */
        {503, "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}", CFB_FAIL_OVERLOADED,
         "Loading", 0},
        {502, "<html>\r\n<head><title>502 Bad Gateway</title></head>", CFB_FAIL_SERVER, "502 Bad Gateway", 0},
        {500, "boom\nbang", CFB_FAIL_SERVER, "boom bang", 0},
        {500, "\xFF\xFEx", CFB_FAIL_SERVER, "\xEF\xBF\xBD", 0},
        {500, "", CFB_FAIL_SERVER, "the server said nothing more", 0},
        {502,
         "{\"error\":{\"message\":\"Provider returned error\",\"code\":502,\"metadata\":{\"raw\":\"upstream is "
         "down\",\"provider_name\":"
         "\"Azure\"}}}",
         CFB_FAIL_SERVER, "Provider returned error (Azure: upstream is down)", 0},
        /* parameters that are not taken */
        {400,
         "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this model. Use "
         "'max_completion_tokens' "
         "instead.\",\"type\":\"invalid_request_error\",\"param\":\"max_tokens\",\"code\":\"unsupported_parameter\"}}",
         CFB_FAIL_BAD_REQUEST, "Unsupported parameter", CFB_REFUSED_MAX_TOKENS},
        {400,
         "{\"error\":{\"message\":\"Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) "
         "value is "
         "supported.\",\"type\":\"invalid_request_error\",\"param\":\"temperature\",\"code\":\"unsupported_value\"}}",
         CFB_FAIL_BAD_REQUEST, "Unsupported value", CFB_REFUSED_TEMPERATURE},
        {400, "{\"error\":{\"message\":\"Unsupported parameter: 'stop' is not supported with this model.\"}}",
         CFB_FAIL_BAD_REQUEST, "Unsupported", CFB_REFUSED_STOP},
        {400, "{\"error\":{\"message\":\"Unrecognized request argument supplied: stream_options\"}}", CFB_FAIL_BAD_REQUEST,
         "Unrecognized", CFB_REFUSED_STREAM_OPTIONS},
        {400, "{\"error\":{\"message\":\"Unrecognized request argument supplied: seed\"}}", CFB_FAIL_BAD_REQUEST, "Unrecognized",
         CFB_REFUSED_SEED},
        {422,
         "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"seed\"],\"msg\":\"Extra inputs are not "
         "permitted\",\"input\":1},"
         "{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"stream_options\"],\"msg\":\"Extra inputs are not permitted\"}]}",
         CFB_FAIL_BAD_REQUEST, "body.seed: Extra inputs are not permitted; body.stream_options",
         CFB_REFUSED_SEED | CFB_REFUSED_STREAM_OPTIONS},
        {400, "{\"error\":{\"code\":400,\"message\":\"Validation error at #/stream_options: Extra inputs are not permitted\"}}",
         CFB_FAIL_BAD_REQUEST, "Validation", CFB_REFUSED_STREAM_OPTIONS},
        {422,
         "{\"type\":\"urn:x\",\"title\":\"t\",\"detail\":\"body -> stop\\n  Extra inputs are not permitted "
         "(type=extra_forbidden)\"}",
         CFB_FAIL_BAD_REQUEST, "body -> stop", CFB_REFUSED_STOP},
        {400, "\"stream_options\" is not allowed", CFB_FAIL_BAD_REQUEST, "\"stream_options\"", CFB_REFUSED_STREAM_OPTIONS},
        {400, "{\"error\":{\"message\":\"Extra inputs are not permitted, field: 'stream_options'\"}}", CFB_FAIL_BAD_REQUEST,
         "Extra", CFB_REFUSED_STREAM_OPTIONS},
        /* and what only looks like it */
        {400,
         "{\"error\":{\"message\":\"max_tokens is too large: 99999. This model supports at most 4096 completion "
         "tokens.\",\"param\":"
         "\"max_tokens\"}}",
         CFB_FAIL_BAD_REQUEST, "max_tokens", 0},
        {400, "{\"error\":{\"message\":\"Unsupported parameter: 'logprobs'. We had to stop here.\",\"param\":\"logprobs\"}}",
         CFB_FAIL_BAD_REQUEST, "Unsupported", 0},
        {400, "{\"error\":{\"message\":\"This is not supported; please stop, or seed the pool\"}}", CFB_FAIL_BAD_REQUEST, "This",
         0},
        {422,
         "{\"detail\":[{\"loc\":[\"body\",\"top_k\"],\"msg\":\"Extra inputs are not permitted\",\"input\":\"maximum context "
         "length\"}]}",
         CFB_FAIL_BAD_REQUEST, "body.top_k", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_chat_reply_init(&r);
        r.http_status = cases[i].status;
        cfb_client__read_error_reply(cfb_str_from(cases[i].body), &r);
        if (r.fail != cases[i].fail || r.refused != cases[i].refused)
            fail_msg("%s: %s, refused %u", cases[i].body, cfb_fail_name(r.fail), r.refused);
        if (strncmp(r.message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s is not %s", r.message, cases[i].message);
        assert_int_equal(r.http_status, cases[i].status);
    }
}

static void a_wait_may_stand_in_the_words(void **state) {
    (void)state;
    static const struct {
        long status;
        const char *message;
        double known, wait;
    } cases[] = {
        {429, "Rate limit reached: Limit 10000, Used 8782, Requested 8172. Please try again in 41.724s. Visit x", -1, 41.724},
        {429, "Please try again in 6m0s.", -1, 360},
        {429, "Please try again in 20ms.", -1, 0.02},
        {429, "Please retry after 5 seconds.", -1, 5},
        {503, "Please retry after 5 seconds.", -1, 5},
        {429, "Please try again in 41s.", 7, 7}, /* a header said it */
        {429, "Please try again in a while", -1, -1},
        {429, "Please try again in ", -1, -1},
        {429, "try again in ....", -1, -1},
        {429, "slow down", -1, -1},
        {400, "Please retry after 5 seconds.", -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        cfb_chat_reply_init(&r);
        r.http_status = cases[i].status;
        r.hints.retry_after_s = cases[i].known;
        snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\"}}", cases[i].message);
        cfb_client__read_error_reply(cfb_str_from(body), &r);
        double off = r.hints.retry_after_s - cases[i].wait;
        if (!(off > -1e-6 && off < 1e-6)) fail_msg("%s: %g", cases[i].message, r.hints.retry_after_s);
    }
}

static void a_refusal_by_the_filter_is_a_result(void **state) {
    (void)state;
    static const struct {
        long status;
        const char *body;
    } cases[] = {
        {400, "{\"error\":{\"message\":\"The response was "
              "filtered\",\"type\":null,\"param\":\"prompt\",\"code\":\"content_filter\",\"status\":400}}"},
        {400, "{\"error\":{\"message\":\"m\",\"code\":\"x\",\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}}}"},
        {400, "{\"error\":{\"message\":\"Input data may contain inappropriate content.\",\"code\":\"data_inspection_failed\"}}"},
        {400, "{\"error\":{\"message\":\"Content Exists Risk\",\"code\":\"invalid_request_error\"}}"},
        {403,
         "{\"error\":{\"code\":403,\"message\":\"Your chosen model requires moderation and your input was flagged\",\"metadata\":"
         "{\"reasons\":[\"violence\"],\"flagged_input\":\"x\"}}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_chat_reply_init(&r);
        r.http_status = cases[i].status;
        r.fail = CFB_FAIL_SERVER;
        cfb_client__read_error_reply(cfb_str_from(cases[i].body), &r);
        if (r.fail != CFB_FAIL_NONE) fail_msg("%s: %s", cases[i].body, cfb_fail_name(r.fail));
        assert_int_equal(r.finish, CFB_FINISH_FILTER);
        assert_str(r.content, "");
    }
    cfb_chat_reply_init(&r);
    r.http_status = 500;
    cfb_client__read_error_reply(CFB_STR_LIT("{\"error\":{\"message\":\"m\",\"code\":\"content_filter\"}}"), &r);
    assert_int_equal(r.fail, CFB_FAIL_SERVER);
}

/* Every beginning, and every byte replaced: the walk never takes what the tree refuses, and never reads it otherwise. */
static void the_walk_equals_the_tree_on_damaged_replies(void **state) {
    (void)state;
    static const char whole[] = " {\"id\":\"c-1\",\"created\":1.5e9,\"choices\":[{\"index\":0,\"message\":{\"role\":"
                                "\"assistant\",\"content\":\"\\u7532\xE4\xB8\xAD\\n\\\"\","
                                "\"reasoning_content\":\"r\\ud83d\\ude00\",\"refusal\":null,\"tool_calls\":[]},\"logprobs\":null,"
                                "\"error\":null,\"finish_reason\":\"stop\"},"
                                "{\"x\":[-0,true,false]}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,\"prompt_"
                                "tokens_details\":{\"cached_tokens\":4},"
                                "\"completion_tokens_details\":{\"reasoning_tokens\":2},\"reasoning_tokens\":1}}\n";
    static const char replacements[] = "\"\\{}[],:0-9.eunx \n\x01\x7f\x80\xE4\xFF";
    size_t n = sizeof whole - 1;
    char copy[sizeof whole];
    parse(whole);
    assert_int_equal(r.fail, CFB_FAIL_NONE);
    assert_str(r.content, "甲中\n\"");
    assert_str(r.reasoning, "r😀");
    assert_int_equal(r.cached_tokens, 4);
    assert_int_equal(r.reasoning_tokens, 2);
    for (size_t len = 0; len < n; len++) parse_bytes((cfb_str){whole, len});
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof replacements - 1; k++) {
            memcpy(copy, whole, sizeof whole);
            copy[i] = replacements[k];
            parse_bytes((cfb_str){copy, n});
        }
}

static void a_large_reply_stops_at_its_limit(void **state) {
    (void)state;
    cfb_buf small = CFB_BUF_INIT(4);
    cfb_chat_reply big = {0};
    assert_fails(
        cfb_client_parse_reply(CFB_STR_LIT("{\"choices\":[{\"message\":{\"content\":\"12345\"}}]}"), &small, &big, &test_err),
        CFB_ELIMIT, "4 bytes");
    /* the written form is longer than what it means, and reasoning counts too */
    assert_ok(cfb_client_parse_reply(CFB_STR_LIT("{\"choices\":[{\"message\":{\"content\":\"1\\u0032\\n4\"}}]}"), &small, &big,
                                     &test_err));
    assert_str(big.content, "12\n4");
    assert_fails(cfb_client_parse_reply(CFB_STR_LIT("{\"choices\":[{\"message\":{\"content\":\"12\",\"reasoning\":\"345\"}}]}"),
                                        &small, &big, &test_err),
                 CFB_ELIMIT, "4 bytes");
    cfb_buf_free(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_in_the_wild),
        cmocka_unit_test(reasoning_stands_beside_the_answer),
        cmocka_unit_test(usage_as_servers_count_it),
        cmocka_unit_test(finish_reasons_of_all_servers),
        cmocka_unit_test(errors_inside_a_200),
        cmocka_unit_test(an_error_reply_has_its_class),
        cmocka_unit_test(a_wait_may_stand_in_the_words),
        cmocka_unit_test(a_refusal_by_the_filter_is_a_result),
        cmocka_unit_test(the_walk_equals_the_tree_on_damaged_replies),
        cmocka_unit_test(a_large_reply_stops_at_its_limit),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cfb_buf_free(&scratch);
    cfb_buf_free(&tree_scratch);
    return failed;
}
