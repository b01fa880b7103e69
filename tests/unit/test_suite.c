/* Suites, templates, prompts and post-processing. */
#include "test.h"

#include "cfbench/prompt.h"
#include "cfbench/suite.h"

#define HEAD "{\"schema\":\"cfbench.suite/1\",\"name\":\"s\","
#define PROMPT "\"prompt\":{\"zero\":\"{instruction}{input}\"}"

static cfb_suite_t *suite;

static cfb_code parse(const char *json) { return cfb_suite_parse("suite.json", cfb_str_from(json), &suite, &test_err); }

static void a_suite_is_read(void **state) {
    (void)state;
    assert_ok(parse(HEAD "\"x-note\":1,\"title\":\"T\",\"defaults\":{" PROMPT
                         ",\"kind\":\"classification\",\"metric\":\"f1\",\"max_tokens\":9},"
                         "\"tasks\":[{\"name\":\"a\",\"labels\":[\"y\",\"x\"],\"label_set\":\"suite\"},"
                         "{\"name\":\"b\",\"kind\":\"generation\",\"metric\":\"tf\",\"max_tokens\":5,\"data\":[\"p\",\"q/r\"],"
                         "\"postprocess\":{\"zero\":[\"strip\",{\"after_first\":\"A:\"},{\"last_of_split\":{\"separator\":\":\","
                         "\"max_splits\":2}},\"first_line\"]}}]}"));
    assert_int_equal(cfb_suite_n_tasks(suite), 2);
    const cfb_task *a = cfb_suite_task(suite, 0), *b = cfb_suite_task(suite, 1);
    assert_int_equal(a->n_labels, 2);
    assert_str(a->labels[0], "x"); /* sorted */
    assert_int_equal(a->max_tokens, 9);
    assert_int_equal(b->max_tokens, 5);
    assert_int_equal(b->kind, CFB_KIND_GENERATION);
    assert_int_equal(b->n_data, 2);
    assert_int_equal(b->n_steps[0], 4);
    assert_int_equal(cfb_suite_find_task(suite, "b"), 1);
    assert_true(cfb_suite_find_task(suite, "c") == SIZE_MAX);
    assert_null(a->prompt[CFB_SHOT_FEW].ptr);
    /* a task written into a run store reads back as the same task */
    cfb_buf text = CFB_BUF_INIT(0), again = CFB_BUF_INIT(0);
    cfb_suite_t *copy;
    for (size_t i = 0; i < 2; i++) {
        cfb_buf_clear(&text);
        cfb_buf_clear(&again);
        assert_ok(cfb_suite_write_task(suite, i, &text, &test_err));
        assert_ok(cfb_suite_parse("copy", cfb_buf_str(&text), &copy, &test_err));
        assert_ok(cfb_suite_write_task(copy, 0, &again, &test_err));
        assert_str(cfb_buf_str(&again), text.ptr);
        cfb_suite_free(copy);
    }
    cfb_buf_free(&text);
    cfb_buf_free(&again);
    cfb_suite_free(suite);
}

static void bad_suites_say_what_is_wrong(void **state) {
    (void)state;
#define TASK(more) HEAD "\"tasks\":[{\"name\":\"a\",\"kind\":\"classification\",\"metric\":\"f1\"," more "}]}"
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "a suite is a JSON object"},
        {"{\"name\":\"s\"}", "'schema' must be"},
        {HEAD "\"tasks\":[]}", "'tasks' must be a list of 1 to 1000"},
        {HEAD "\"taks\":[]}", "unknown member 'taks'"},
        {HEAD "\"tasks\":[{\"name\":\"a/b\"}]}", "task 1: 'name' must be"},
        {HEAD "\"tasks\":[{\"name\":\"a\",\"metric\":\"f1\"," PROMPT "}]}", "task 'a': 'kind' must be there"},
        {TASK("\"max_token\":3"), "unknown member 'max_token'"},
        {TASK("\"max_tokens\":0"), "'max_tokens' must be a whole number"},
        {TASK("\"prompt\":{\"zero\":\"{inputs}\"}"), "'{inputs}' is not a place"},
        {TASK("\"prompt\":{\"zero\":\"a } b\"}"), "prompt 'zero', byte 2"},
        {TASK("\"prompt\":{\"zero\":\"{candidates}\"}"), "needs 'candidates'"},
        {TASK("\"prompt\":{\"one\":\"x\"}"), "unknown member 'one'"},
        {TASK("\"label_set\":\"all\""), "one of row, suite, observed"},
        {TASK("\"labels\":[\"a\",\"a\"]"), "stands twice"},
        {TASK(PROMPT ",\"data\":\"../x\""), "inside the data folder"},
        {TASK(PROMPT ",\"fewshot\":\"/etc/passwd\""), "inside the data folder"},
        {TASK("\"postprocess\":{\"zero\":[\"trim\"]}"), "a list of steps"},
        {TASK(""), "member name in quotes"},
        {HEAD "\"tasks\":[{\"name\":\"a\",\"kind\":\"recognition\",\"metric\":\"tf\"," PROMPT "}]}", "metric tf is for"},
        {HEAD "\"tasks\":[{\"name\":\"a\",\"kind\":\"generation\",\"metric\":\"tf\"," PROMPT "},{\"name\":\"a\"}]}",
         "two tasks of this name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(parse(cases[i].json), CFB_EDATA, cases[i].says);
        assert_int_equal(strncmp(test_err.msg, "suite.json: ", 12), 0);
    }
}

static void fingerprints_follow_what_matters(void **state) {
    (void)state;
    static const char *const variants[] = {TASK(PROMPT),
                                           TASK(PROMPT ",\"max_tokens\":7"),
                                           TASK(PROMPT ",\"labels\":[\"a\"]"),
                                           TASK(PROMPT ",\"label_set\":\"row\""),
                                           TASK("\"prompt\":{\"zero\":\"{input}\"}"),
                                           TASK(PROMPT ",\"postprocess\":{\"zero\":[\"strip\"]}"),
                                           TASK(PROMPT ",\"postprocess\":{\"few\":[\"strip\"]}")};
    enum { N = sizeof variants / sizeof *variants };
    char prints[N][65];
    for (size_t i = 0; i < N; i++) {
        assert_ok(parse(variants[i]));
        memcpy(prints[i], cfb_suite_fingerprint(suite), 65);
        cfb_suite_free(suite);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(prints[i], prints[k]);
    }
    assert_ok(parse(TASK(PROMPT ",\"title\":\"other words\",\"x-a\":1")));
    assert_string_equal(cfb_suite_fingerprint(suite), prints[0]);
    cfb_suite_free(suite);
}

static void templates_are_filled_in_one_pass(void **state) {
    (void)state;
    assert_ok(parse(HEAD "\"tasks\":[{\"name\":\"a\",\"kind\":\"classification\",\"metric\":\"f1\",\"candidates\":{\"open\":"
                         "\"（\",\"close\":\"）\"},"
                         "\"prompt\":{\"zero\":\"{{{instruction}}}|{input}|{candidates}\"}}]}"));
    cfb_record r = {
        .id = CFB_STR_LIT("7"), .instruction = CFB_STR_LIT("pick（x，y）z）{input}"), .input = CFB_STR_LIT("{candidates}{{")};
    cfb_buf b = CFB_BUF_INIT(0);
    assert_ok(cfb_prompt_render(cfb_suite_task(suite, 0), CFB_SHOT_ZERO, &r, &b, &test_err));
    assert_str(cfb_buf_str(&b), "{pick（x，y）z）{input}}|{candidates}{{|x，y");
    r.instruction = CFB_STR_LIT("no brackets");
    assert_fails(cfb_prompt_render(cfb_suite_task(suite, 0), CFB_SHOT_ZERO, &r, &b, &test_err), CFB_EDATA,
                 "row 7: there is nothing for {candidates}");
    assert_fails(cfb_prompt_render(cfb_suite_task(suite, 0), CFB_SHOT_FEW, &r, &b, &test_err), CFB_EDATA, "no few-shot prompt");
    cfb_buf_free(&b);
    cfb_suite_free(suite);
}

/* upstream.md, section 2 */
static void replies_become_outputs(void **state) {
    (void)state;
    assert_ok(cfb_suite_load("datasets/cfbenchmark", NULL, 0, &suite, &test_err));
    const cfb_task *t = cfb_suite_task(suite, 0);
    static const struct {
        const char *reply, *zero, *few;
    } cases[] = {
        {"  甲，乙 \nmore", "甲，乙", "甲，乙"},
        {"回答：甲", "甲", "甲"},
        {"a回答：b回答：c", "b回答：c", "c"},
        {"1回答：2回答：3回答：4回答：5回答：6", "2回答：3回答：4回答：5回答：6", "5回答：6"},
        {"回答：\n甲", "", ""},
        {"", "", ""},
        {"\xE3\x80\x80甲\xE3\x80\x80", "甲", "甲"}, /* U+3000 is white space */
        {"甲\r\n乙", "甲", "甲"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_str(cfb_prompt_postprocess(t, CFB_SHOT_ZERO, cfb_str_from(cases[i].reply)), cases[i].zero);
        assert_str(cfb_prompt_postprocess(t, CFB_SHOT_FEW, cfb_str_from(cases[i].reply)), cases[i].few);
    }
    cfb_suite_free(suite);
}

static void the_bundled_suites_load(void **state) {
    (void)state;
    static const struct {
        const char *path;
        size_t n_tasks, min_rows;
    } cases[] = {{"datasets/sample", 8, 12}, {"tests/data/suite-en", 3, 4}};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(cfb_suite_load(cases[i].path, NULL, CFB_SUITE_LABELS | CFB_SUITE_FEWSHOT, &suite, &test_err));
        assert_int_equal(cfb_suite_n_tasks(suite), cases[i].n_tasks);
        for (size_t k = 0; k < cfb_suite_n_tasks(suite); k++)
            for (int shot = 0; shot < 2; shot++) {
                const cfb_task *t = cfb_suite_task(suite, k);
                cfb_records records;
                cfb_buf b = CFB_BUF_INIT(0);
                if (t->prompt[shot].ptr == NULL) continue;
                assert_ok(cfb_suite_read_records(suite, k, (cfb_shot)shot, 0, &records, &test_err));
                assert_true(records.n >= cases[i].min_rows);
                for (size_t r = 0; r < records.n; r++)
                    assert_ok(cfb_prompt_render(t, (cfb_shot)shot, &records.rows[r], &b, &test_err));
                cfb_records_free(&records);
                assert_ok(cfb_suite_read_records(suite, k, (cfb_shot)shot, 2, &records, &test_err));
                assert_int_equal(records.n, 2);
                cfb_records_free(&records);
                cfb_buf_free(&b);
            }
        cfb_suite_free(suite);
    }
}

static void missing_files_are_named(void **state) {
    (void)state;
    char dir[64], path[128], cmd[300];
    assert_non_null(test_folder(dir));
    assert_fails(cfb_suite_load("no-such-suite", NULL, 0, &suite, &test_err), CFB_ENOTFOUND, "no suite 'no-such-suite'");
    assert_fails(cfb_suite_load(dir, NULL, 0, &suite, &test_err), CFB_ENOTFOUND, "no suite.json in this folder");
    assert_fails(cfb_suite_load("datasets/sample", "/no/such", 0, &suite, &test_err), CFB_ENOTFOUND,
                 "--data: there is no folder /no/such");
    snprintf(cmd, sizeof cmd, "cp -r datasets/sample/. %s && rm %s/sector.jsonl %s/fewshot/fewshot-event.txt", dir, dir, dir);
    assert_int_equal(system(cmd), 0);
    assert_fails(cfb_suite_load(dir, NULL, CFB_SUITE_FEWSHOT, &suite, &test_err), CFB_ENOTFOUND, "few-shot head of task 'event'");
    assert_ok(cfb_suite_load(dir, NULL, 0, &suite, &test_err));
    cfb_records records;
    assert_fails(cfb_suite_read_records(suite, 2, CFB_SHOT_ZERO, 0, &records, &test_err), CFB_ENOTFOUND, "data of task 'sector'");
    cfb_suite_free(suite);
    snprintf(path, sizeof path, "%s/suite.json", dir);
    assert_ok(cfb_file_write(path, CFB_STR_LIT("{\"schema\": 1"), &test_err));
    assert_fails(cfb_suite_load(dir, NULL, 0, &suite, &test_err), CFB_ETRUNCATED, path);
}

static void ids_must_be_unique(void **state) {
    (void)state;
    char dir[64], path[128];
    cfb_records records;
    assert_non_null(test_folder(dir));
    snprintf(path, sizeof path, "%s/suite.json", dir);
    assert_ok(cfb_file_write(path,
                             CFB_STR_LIT(HEAD "\"columns\":{\"id\":\"key\",\"instruction\":\"none\"},\"tasks\":[{\"name\":\"a\","
                                              "\"kind\":\"generation\",\"metric\":\"tf\",\"prompt\":{\"zero\":\"{input}\"}}]}"),
                             &test_err));
    snprintf(path, sizeof path, "%s/a.csv", dir);
    assert_ok(cfb_file_write(path, CFB_STR_LIT("key,input,response\nr1,x,y\nr2,x,y\nr1,z,z\n"), &test_err));
    assert_ok(cfb_suite_load(dir, NULL, 0, &suite, &test_err));
    assert_fails(cfb_suite_read_records(suite, 0, CFB_SHOT_ZERO, 0, &records, &test_err), CFB_EDATA,
                 "id 'r1' stands in line 2 and in line 4");
    assert_ok(cfb_suite_read_records(suite, 0, CFB_SHOT_ZERO, 2, &records, &test_err));
    assert_str(records.rows[1].id, "r2");
    cfb_records_free(&records);
    cfb_suite_free(suite);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suite_is_read),
        cmocka_unit_test(bad_suites_say_what_is_wrong),
        cmocka_unit_test(fingerprints_follow_what_matters),
        cmocka_unit_test(templates_are_filled_in_one_pass),
        cmocka_unit_test(replies_become_outputs),
        cmocka_unit_test(the_bundled_suites_load),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(ids_must_be_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
