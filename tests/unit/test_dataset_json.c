/* JSON lists and JSON Lines, and telling them apart. */
#include "test_dataset.h"

static void lists(void **state) {
    (void)state;
    td_expect("d.json", "[{\"id\":\"1\",\"q\":\"x\"},{\"q\":\"y\",\"id\":\"2\"}]", "id,q", "1:1|x;2:2|y;");
    td_expect("d.json", " {\"version\": 1, \"data\" : [ {\"id\" : \"1\" } , {\"id\":null} ] , \"z\": []}\n", "id", "1:1;2:~;");
    td_expect("d.json", "\xEF\xBB\xBF[{\"id\":1}]", "id", "1:1;");
    td_expect("d.json", "[]", "id", "");
    td_expect("d.json", " [ \n ] ", "id", "");
    td_expect("d.json", "{\"data\":[]}", "id", "");
    td_expect("d.json", "[{}]", "?id", "1:~;");
    td_expect("d", "[{\"id\":\"1\"}]", "id", "1:1;");     /* by content */
    td_expect("d.csv", "[{\"id\":\"1\"}]", "id", "1:1;"); /* content before suffix */
    td_expect("d.csv", "[id],b\n1,2\n", "[id]", "2:1;");
}

static void lines(void **state) {
    (void)state;
    td_expect("d.jsonl", "{\"id\":\"1\"}\n{\"id\":\"2\"}\n", "id", "1:1;2:2;");
    td_expect("d.jsonl", "\xEF\xBB\xBF{\"id\":\"1\"}\r\n\r\n  \n{\"id\":\"2\"}", "id", "1:1;4:2;");
    td_expect("d.json", "{\"id\":\"1\"}\n{\"id\":\"2\"}\n", "id", "1:1;2:2;"); /* by content */
    td_expect("d", "\n{\"id\":\"1\"}\n\n{\"id\":\"2\"}\n", "id", "2:1;4:2;");
    td_expect("d.jsonl", "", "id", "");
    td_expect("d.jsonl", "\n \n", "id", "");
    td_expect("d.ndjson", "{\"id\":\"1\"}", "id,?q", "1:1|~;");
    td_expect("d.jsonl", "{\"id\":\"1\"}\n{\"q\":\"x\"}\n", "id,?q", "1:1|~;2:~|x;"); /* absent later on: null */
}

static void values(void **state) {
    (void)state;
    td_expect("d.jsonl", "{\"a\":12345678901234567890,\"b\":-1.50e3,\"c\":true,\"d\":false,\"e\":null}\n", "a,b,c,d,e",
              "1:12345678901234567890|-1.50e3|true|false|~;");
    td_expect("d.jsonl", "{\"a\":[1, {\"x y\" : \" [ \\\" \"} ],\"b\":{ },\"c\":[ ],\"d\":\"\"}", "a,b,c,d",
              "1:[1,{\"x y\":\" [ \\\" \"}]|{}|[]|;");
    td_expect("d.jsonl", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u516C\\ud83d\\uDE00\"}", "a",
              "1:\"\\/\b\f\n\r\tA\xC3\xA9\xE5\x85\xAC\xF0\x9F\x98\x80;");
    td_expect("d.jsonl", "{\"\\u0061\":\"x\\\\\",\"b\":\"\\\\\\\"\"}", "a,b", "1:x\\|\\\";"); /* a key with escapes */
    td_expect("d.jsonl", "{\"A\":\"x\",\"a\":\"y\"}", "a,A", "1:y|x;");
}

static void wrong_lines(void **state) {
    (void)state;
    td_expect("d.jsonl", "{\"id\":\"1\",\"question\":\"x\"}\n", "answer",
              "!EDATA: d.jsonl:1: column 'answer' missing (have: id, question)");
    td_expect("d.jsonl", "{\"id\":\"1\"}\n[1]\n", "id", "!EDATA: d.jsonl:2: expected an object, found a list");
    td_expect("d.jsonl", "{\"id\":\"1\",\"id\":\"2\"}", "id", "!EDATA: d.jsonl:1: member 'id' stands twice in one object");
    td_expect("d.jsonl", "{\"id\":\"1\"}\n{\"id\":\"\\u0000\"}\n", "id",
              "!EDATA: d.jsonl:2: byte 18, column 8: \\u0000 or half of a surrogate pair in a string");
    td_expect("d.jsonl", "{\"id\":\"1\"}\n{\"id\":\"\\ud800\"}\n", "id",
              "!EDATA: d.jsonl:2: byte 18, column 8: \\u0000 or half of a surrogate pair in a string");
    cfb_buf got = td_memory_opts("d.jsonl", "{\"id\":\"1\"}\n{\"id\":\"\xFF\"}\n", 22, "id", NULL);
    assert_int_equal(strncmp(got.ptr, "!EENCODING: d.jsonl:2: byte 18, column 8: ", 41), 0);
    cfb_buf_free(&got);
    /* A broken line in the middle is not a cut file. */
    got = td_memory_opts("d.jsonl", "{\"id\":\n{\"id\":\"1\"}\n", 18, "id", NULL);
    assert_int_equal(strncmp(got.ptr, "!EDATA: d.jsonl:1: byte 6, column 7: ", 37), 0);
    cfb_buf_free(&got);
    got = td_memory_opts("d.jsonl", "{\"id\":\"1\"}\n{\"id\":", 17, "id", NULL);
    assert_int_equal(strncmp(got.ptr, "!ETRUNCATED: d.jsonl:2: byte 17, column 7: ", 43), 0);
    cfb_buf_free(&got);
}

static void wrong_lists(void **state) {
    (void)state;
    td_expect("d.json", "[{\"id\":\"1\"}]", "answer", "!EDATA: d.json: row 1: column 'answer' missing (have: id)");
    td_expect("d.json", "{\"rows\":[]}", "id", "!EDATA: d.json: expected a list of objects or {\"data\": [...]}");
    td_expect("d.json", "{\"data\":{}}", "id", "!EDATA: d.json: expected a list of objects or {\"data\": [...]}");
    td_expect("d.json", "{\"data\":[],\"data\":[]}", "id", "!EDATA: d.json: member 'data' stands twice in one object");
    td_expect("d.json", "\"x\"", "id", "!EDATA: d.json: expected a list of objects or {\"data\": [...]}");
    td_expect("d.json", "[{\"id\":1},2]", "id", "!EDATA: d.json: row 2: expected an object, found a number");
    td_expect("d.json", "", "id", "!ETRUNCATED: d.json:1: byte 0, column 1: the JSON text ends too early");
    cfb_buf got = td_memory_opts("d.json", "[\n{\"id\":1},\n{\"id\"}\n]", 20, "id", NULL);
    assert_int_equal(strncmp(got.ptr, "!EDATA: d.json:3: byte 17, column 6: ", 37), 0);
    cfb_buf_free(&got);
}

static void limits(void **state) {
    (void)state;
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.max_field_bytes = 3;
    td_expect_limits("d.jsonl", "{\"id\":\"abc\",\"q\":\"abcd\"}", "id", &o, "1:abc;");
    td_expect_limits("d.jsonl", "{\"id\":\"abc\",\"q\":\"abcd\"}", "q", &o,
                     "!ELIMIT: d.jsonl:1: the value of 'q' is larger than the limit of 3 bytes");
    td_expect_limits("d.json", "[{\"q\":[1,2]}]", "q", &o,
                     "!ELIMIT: d.json: row 1: the value of 'q' is larger than the limit of 3 bytes");
    o.max_json_bytes = 12;
    td_expect_limits("d.json", "[{\"id\":100}]", "id", &o, "1:100;");
    td_expect_limits("d.json", "[{\"id\":100}] ", "id", &o,
                     "!ELIMIT: d.json: a JSON list is read whole and this one is larger than the limit of 12 bytes; JSON "
                     "Lines has no such limit");
    o.batch_rows = 2;
    td_expect_limits("d.jsonl", "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n", "id", &o, "1:1;2:2;3:3;");
    o.max_json_bytes = 100;
    td_expect_limits("d.json", "[{\"id\":1},{\"id\":2},{\"id\":3}]", "id", &o, "1:1;2:2;3:3;");
    /* A line without an end is given up at the limit of a record, not at the end of memory. */
    cfb_buf text = CFB_BUF_INIT(0);
    for (int i = 0; i < 400000; i++) td_put(&text, "{\"id\":[[[[", 10);
    cfb_buf got = td_memory_opts("d.jsonl", text.ptr, text.len, "id", &o);
    assert_int_equal(strncmp(got.ptr, "!ELIMIT: d.jsonl:1: the line is larger", 38), 0);
    cfb_buf_free(&got);
    cfb_buf_free(&text);
}

static void deep(void **state) {
    (void)state;
    cfb_buf text = CFB_BUF_INIT(0);
    td_put(&text, "{\"id\":", 6);
    for (int i = 0; i < 100000; i++) td_put(&text, "[", 1);
    cfb_buf got = td_memory_opts("d.jsonl", text.ptr, text.len, "id", NULL);
    assert_int_equal(strncmp(got.ptr, "!ELIMIT: d.jsonl:1: ", 20), 0);
    cfb_buf_free(&got);
    cfb_buf_free(&text);
}

static void large(void **state) {
    (void)state;
    cfb_buf lines_text = CFB_BUF_INIT(0), list = CFB_BUF_INIT(0), expected = CFB_BUF_INIT(0);
    td_put(&list, "[", 1);
    for (size_t i = 0; i < 500; i++) {
        cfb_buf row = CFB_BUF_INIT(0);
        assert_int_equal(cfb_buf_printf(&row, NULL, "{\"id\":%zu,\"q\":\"", i), CFB_OK);
        assert_int_equal(cfb_buf_printf(&expected, NULL, "%zu:%zu|", i + 1, i), CFB_OK);
        for (size_t k = 0; k < (i % 100 == 0 ? 100000 : i); k++) {
            td_put(&row, k % 5 ? "x" : "\\n", k % 5 ? 1 : 2);
            td_put(&expected, k % 5 ? "x" : "\n", 1);
        }
        td_put(&row, "\"}", 2);
        td_put(&expected, ";", 1);
        td_put(&lines_text, row.ptr, row.len);
        td_put(&lines_text, "\n", 1);
        td_put(&list, row.ptr, row.len);
        td_put(&list, i == 499 ? "]" : ",\n", i == 499 ? 1 : 2);
        cfb_buf_free(&row);
    }
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.batch_bytes = 1000;
    cfb_buf got = td_memory_opts("d.json", lines_text.ptr, lines_text.len, "id,q", &o);
    assert_string_equal(got.ptr, expected.ptr);
    cfb_buf_free(&got);
    td_expect_bytes("d.jsonl", lines_text.ptr, lines_text.len, "id,q", expected.ptr);
    td_expect_bytes("d.json", list.ptr, list.len, "id,q", expected.ptr);
    cfb_buf_free(&lines_text);
    cfb_buf_free(&list);
    cfb_buf_free(&expected);
}

static void cut(void **state) {
    (void)state;
    td_cut_everywhere("d.jsonl",
                      CFB_STR_LIT("{\"id\":\"a\\u00e9\\n\",\"q\":[1,2.5,{}]}\n\n{\"q\":null,\"id\":\"\xE5\x85\xAC\"}\n"), "id,q");
    td_cut_everywhere("d.json", CFB_STR_LIT("{\"data\":[{\"id\":\"a\",\"q\":true},{\"q\":-1e5,\"id\":\"\xE5\x85\xAC\"}]}"),
                      "id,q");
}

static void column_known(void **state) {
    (void)state;
    static const cfb_column columns[] = {{"id", true}, {"q", false}, {"z", false}};
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.columns = columns;
    o.n_columns = 3;
    static const struct {
        const char *name, *text, *format;
    } cases[] = {{"d.jsonl", "{\"id\":1,\"q\":null}\n", "jsonl"},
                 {"d.json", "[{\"q\":1,\"id\":1}]", "json"},
                 {"d.csv", "q,x,id\n1,2,3\n", "csv"}};
    for (size_t i = 0; i < 3; i++) {
        cfb_reader_t *r;
        cfb_err err = CFB_ERR_INIT;
        cfb_code rc = cfb_reader_open_memory(cases[i].name, cases[i].text, strlen(cases[i].text), &o, &r, &err);
        assert_int_equal(rc, CFB_OK);
        assert_string_equal(cfb_reader_format(r), cases[i].format);
        assert_true(cfb_reader_has_column(r, 0));
        assert_true(cfb_reader_has_column(r, 1));
        assert_false(cfb_reader_has_column(r, 2));
        assert_false(cfb_reader_has_column(r, 3));
        cfb_reader_close(r);
    }
    cfb_reader_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),       cmocka_unit_test(lines),        cmocka_unit_test(values), cmocka_unit_test(wrong_lines),
        cmocka_unit_test(wrong_lists), cmocka_unit_test(limits),       cmocka_unit_test(deep),   cmocka_unit_test(large),
        cmocka_unit_test(cut),         cmocka_unit_test(column_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
