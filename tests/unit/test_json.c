#include "test.h"

#include "cfbench/json.h"

static cfb_code parse(const char *text, unsigned flags, cfb_json **out) {
    return cfb_json_parse(text, strlen(text), flags, out, &test_err);
}

static void good_documents_are_read(void **state) {
    (void)state;
    cfb_json *j;
    assert_ok(parse(" {\"a\": [1, -2.5e3, true, false, null, \"x\\u4e2d\\n\\ud83d\\ude00\"], \"A\": {}} ", 0, &j));
    assert_int_equal(cfb_json_count(j), 2);
    const cfb_json *a = cfb_json_first(cfb_json_get(j, "a"));
    int64_t n;
    double d;
    assert_true(cfb_json_int(a, &n));
    assert_int_equal(n, 1);
    a = cfb_json_next(a);
    assert_false(cfb_json_bool(a, &(bool){false}));
    assert_true(cfb_json_num(a, &d));
    assert_true(d == -2500);
    a = cfb_json_next(cfb_json_next(cfb_json_next(a)));
    assert_int_equal(cfb_json_kind_of(a), CFB_JSON_NULL);
    assert_str(cfb_json_str(cfb_json_next(a)), "x中\n😀");
    assert_int_equal(cfb_json_kind_of(cfb_json_get(j, "A")), CFB_JSON_OBJECT); /* exact case */
    assert_null(cfb_json_get(j, "b"));
    assert_null(cfb_json_get(NULL, "b"));
    cfb_json_free(j);
}

static void bad_documents_are_refused_with_their_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        cfb_code code;
        const char *says;
    } cases[] = {
        {"", CFB_ETRUNCATED, "too early"},
        {"{", CFB_ETRUNCATED, "too early"},
        {"[1,2", CFB_ETRUNCATED, "too early"},
        {"\"abc", CFB_ETRUNCATED, "no end"},
        {"tru", CFB_ETRUNCATED, "too early"},
        {"{\"a\":1,}", CFB_EDATA, "column 8"},
        {"[1,]", CFB_EDATA, "a value was expected"},
        {"{\n\"a\" 1}", CFB_EDATA, "line 2, column 5"},
        {"01", CFB_EDATA, "start with 0"},
        {"1.", CFB_ETRUNCATED, "too early"},
        {"+1", CFB_EDATA, "a value"},
        {"NaN", CFB_EDATA, "a value"},
        {"1 2", CFB_EDATA, "after the end"},
        {"{} x", CFB_EDATA, "after the end"},
        {"\"a\nb\"", CFB_EDATA, "control character"},
        {"\"\\x\"", CFB_EDATA, "escape"},
        {"\"\\u12g4\"", CFB_EDATA, "hex"},
        {"\"\\u0000\"", CFB_EDATA, "u0000"},
        {"\"\\ud800\"", CFB_EDATA, "surrogate"},
        {"\"\\udc00\\ud800\"", CFB_EDATA, "surrogate"},
        {"\"\xff\"", CFB_EENCODING, "UTF-8"},
        {"{\"a\":1,\"a\":2}", CFB_EDATA, "stands twice"},
        {"[{\"b\":{\"a\":1,\"c\":0,\"a\":2}}]", CFB_EDATA, "'a' stands twice"},
        {"[1}", CFB_EDATA, "']'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_json *j;
        assert_fails(parse(cases[i].text, 0, &j), cases[i].code, cases[i].says);
        assert_null(j);
    }
    char deep[2 * CFB_JSON_MAX_DEPTH + 3];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    cfb_json *j;
    assert_fails(parse(deep, 0, &j), CFB_ELIMIT, "too deeply");
}

static void replies_are_repaired(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {{"\"a\\u0000b\"", "a\xEF\xBF\xBD"
                                   "b"},
                 {"\"\\ud800\"", "\xEF\xBF\xBD"},
                 {"\"\\udc00x\"", "\xEF\xBF\xBDx"},
                 {"\"\\ud83d\\ude00\"", "😀"},
                 {"\"a\xff\xfe z\"", "a\xEF\xBF\xBD\xEF\xBF\xBD z"},
                 {"\"\\\\u0000\"", "\\u0000"},
                 {"\"\\\"\xe4\xb8\"", "\"\xEF\xBF\xBD\xEF\xBF\xBD"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_json *j;
        assert_ok(parse(cases[i].text, CFB_JSON_REPAIR, &j));
        assert_str(cfb_json_str(j), cases[i].want);
        cfb_json_free(j);
    }
}

static void the_writer_escapes_and_indents(void **state) {
    (void)state;
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_jw_init(&w, &b, 2);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "a");
    cfb_jw_arr(&w);
    cfb_jw_int(&w, 1);
    cfb_jw_num(&w, 0.5);
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "e");
    cfb_jw_arr(&w);
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "s");
    cfb_jw_strz(&w, "q\"\\\n中\xE2\x80\xA8");
    cfb_jw_key(&w, "n");
    cfb_jw_str(&w, CFB_STR_NULL);
    cfb_jw_end_obj(&w);
    assert_ok(cfb_jw_finish(&w, &test_err));
    assert_str(cfb_buf_str(&b),
               "{\n  \"a\": [\n    1,\n    0.5\n  ],\n  \"e\": [],\n  \"s\": \"q\\\"\\\\\\n中\\u2028\",\n  \"n\": null\n}");
    cfb_json *j;
    assert_ok(cfb_json_parse(b.ptr, b.len, 0, &j, &test_err));
    cfb_buf_clear(&b);
    assert_ok(cfb_json_print(j, &b, &test_err));
    assert_str(cfb_buf_str(&b), "{\"a\":[1,0.5],\"e\":[],\"s\":\"q\\\"\\\\\\n中\\u2028\",\"n\":null}");
    cfb_json_free(j);
    cfb_buf_clear(&b);
    assert_ok(cfb_json_quote(&b,
                             (cfb_str){"a\xff"
                                       "b",
                                       3},
                             &test_err));
    assert_str(cfb_buf_str(&b), "\"a\xEF\xBF\xBD"
                                "b\"");
    cfb_buf_free(&b);
}

static void the_writer_reports_a_full_buffer(void **state) {
    (void)state;
    cfb_buf b = CFB_BUF_INIT(8);
    cfb_jw w;
    cfb_jw_init(&w, &b, 0);
    cfb_jw_arr(&w);
    for (int i = 0; i < 100; i++) cfb_jw_int(&w, i);
    cfb_jw_end_arr(&w);
    assert_fails(cfb_jw_finish(&w, &test_err), CFB_ELIMIT, "8 bytes");
    cfb_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_documents_are_read),
        cmocka_unit_test(bad_documents_are_refused_with_their_place),
        cmocka_unit_test(replies_are_repaired),
        cmocka_unit_test(the_writer_escapes_and_indents),
        cmocka_unit_test(the_writer_reports_a_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
