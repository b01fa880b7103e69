/* Arrow IPC: the fixtures of tests/data/arrow (written by another implementation, see make.mjs there), damaged in every
 * place, and a few streams put together here for what that implementation does not write. */
#include "test_dataset.h"

#include <unistd.h>

#define DATA "tests/data/arrow/"
#define ROWS                                                                                                                                 \
    "1:a-1|What is 1 + 1?|2;2:a-2|公司甲发布了什么？|新产品;3:a-3||~;4:a-4|Name two colours,\nplease: \"red\" or …|red, blue;" \
    "5:a-5|😀 ok?|;"
#define LONG " one two three one two three one two three one two three one two three one two three "

static void same_rows(void **state) {
    (void)state;
    static const char *const names[] = {"utf8", "large_utf8", "file_format", "legacy", "types", "dictionary", "utf8_view"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, DATA "%s.arrow", names[i]);
        td_expect_path(path, "id,question,answer", ROWS);
    }
    td_expect_path(DATA "empty.arrow", "id,question,answer", "");
    td_expect_path(DATA "utf8.arrow", "answer", "1:2;2:新产品;3:~;4:red, blue;5:;");
    td_expect_path(DATA "utf8.arrow", "", "1:;2:;3:;4:;5:;");
}

static void compressed(void **state) {
    (void)state;
    static const char expected[] = "1:a-1|What is 1 + 1?" LONG "|2;2:a-2|公司甲发布了什么？" LONG "|新产品;3:a-3|" LONG
                                   "|~;4:a-4|Name two colours,\nplease: \"red\" or …" LONG "|red, blue;5:a-5|😀 ok?" LONG "|;";
    td_expect_path(DATA "lz4.arrow", "id,question,answer", expected);
    td_expect_path(DATA "zstd.arrow", "id,question,answer", expected);
}

static void dictionaries(void **state) {
    (void)state;
    td_expect_path(DATA "dictionary_delta.arrow", "label", "1:up;2:down;3:~;4:flat;5:up;6:down;7:new;");
    td_expect_path(DATA "dictionary_replaced.arrow", "label", "1:up;2:down;3:~;4:up;5:flat;6:flat;7:up;");
    td_expect_path(DATA "dictionary.arrow", "id", "1:a-1;2:a-2;3:a-3;4:a-4;5:a-5;"); /* dictionaries passed over */
}

static void scalars(void **state) {
    (void)state;
    td_expect_path(DATA "types.arrow", "i8,u16,i64,u64",
                   "1:-128|65535|-9007199254740993|18446744073709551615;2:127|1|1|0;3:0|2|~|1;4:~|3|3|2;"
                   "5:1|~|9223372036854775807|3;");
    td_expect_path(DATA "types.arrow", "f16,f32,f64,flag",
                   "1:1.0|0.1|0.1|true;2:0.5|1.0|1e-05|false;3:-2.0|-2.5|1e+16|~;4:0.0|~|nan|true;"
                   "5:65504.0|16777216.0|~|false;");
    td_expect_path(DATA "types.arrow", "bytes,nothing", "1:hi0|~;2:hi1|~;3:hi2|~;4:hi3|~;5:hi4|~;");
    td_expect_path(DATA "types.arrow", "day",
                   "!EUNSUPPORTED: " DATA "types.arrow: column 'day' has type Date; text, integers, floats and booleans "
                   "are supported");
    td_expect_path(DATA "types.arrow", "?pair",
                   "!EUNSUPPORTED: " DATA "types.arrow: column 'pair' has type Struct; text, integers, floats and "
                   "booleans are supported");
}

static void columns(void **state) {
    (void)state;
    td_expect_path(DATA "utf8.arrow", "id,response",
                   "!EDATA: " DATA "utf8.arrow: column 'response' missing (have: id, question, answer)");
    td_expect_path(DATA "utf8.arrow", "?response,id", "1:~|a-1;2:~|a-2;3:~|a-3;4:~|a-4;5:~|a-5;");
    td_expect_path(DATA "dictionary_delta.arrow", "label,label",
                   "1:up|up;2:down|down;3:~|~;4:flat|flat;5:up|up;6:down|down;7:new|new;");
}

static void limits(void **state) {
    (void)state;
    cfb_buf file = td_load(DATA "utf8.arrow"), packed = td_load(DATA "zstd.arrow");
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.batch_rows = 2; /* an Arrow batch of three rows is cut in two */
    cfb_buf got = td_memory_opts("d.arrow", file.ptr, file.len, "id", &o);
    assert_string_equal(got.ptr, "1:a-1;2:a-2;3:a-3;4:a-4;5:a-5;");
    cfb_buf_free(&got);
    o.batch_bytes = 1;
    got = td_memory_opts("d.arrow", file.ptr, file.len, "id", &o);
    assert_string_equal(got.ptr, "1:a-1;2:a-2;3:a-3;4:a-4;5:a-5;");
    cfb_buf_free(&got);
    o.max_field_bytes = 10;
    got = td_memory_opts("d.arrow", file.ptr, file.len, "id,question", &o);
    assert_string_equal(got.ptr, "!ELIMIT: d.arrow: row 1, column 'question': the value is larger than the limit of 10 bytes");
    cfb_buf_free(&got);
    o.max_json_bytes = 40;
    got = td_memory_opts("d.arrow", file.ptr, file.len, "question,answer", &o);
    assert_non_null(strstr(got.ptr, "!ELIMIT: d.arrow: the wanted columns of one Arrow batch are larger than"));
    cfb_buf_free(&got);
    got = td_memory_opts("d.arrow", packed.ptr, packed.len, "question", &o);
    assert_non_null(strstr(got.ptr, "!ELIMIT: d.arrow: "));
    cfb_buf_free(&got);
    cfb_buf_free(&file);
    cfb_buf_free(&packed);
}

static const char *const all_fixtures[] = {
    "utf8",       "large_utf8",       "file_format",         "legacy",    "empty", "types",
    "dictionary", "dictionary_delta", "dictionary_replaced", "utf8_view", "lz4",   "zstd",
};

static const char *columns_of(const char *name) { return strncmp(name, "dictionary_", 11) == 0 ? "label" : "id,question,answer"; }

static void cut(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof all_fixtures / sizeof *all_fixtures; i++) {
        char path[64];
        snprintf(path, sizeof path, DATA "%s.arrow", all_fixtures[i]);
        cfb_buf file = td_load(path);
        td_cut_everywhere("d.arrow", cfb_buf_str(&file), columns_of(all_fixtures[i]));
        cfb_buf_free(&file);
    }
    td_expect("d.arrow", "", "id", "!ETRUNCATED: d.arrow: ends at byte 0 in the schema message: 8 bytes expected, 0 there");
    cfb_buf file = td_load(DATA "utf8.arrow");
    td_expect_bytes("d.arrow", file.ptr, 6, "id",
                    "!ETRUNCATED: d.arrow: ends at byte 6 in a message's length: 4 bytes expected, 2 there");
    cfb_buf got = td_memory_opts("d.arrow", file.ptr, file.len - 20, "id", NULL);
    assert_non_null(strstr(got.ptr, "!ETRUNCATED: d.arrow: ends at byte 1100 in a batch: "));
    cfb_buf_free(&got);
    /* Without its end marker the stream is whole all the same; with something behind it, it is not. */
    cfb_buf plain = td_memory_opts("d.arrow", file.ptr, file.len - 8, "id,question,answer", NULL);
    assert_string_equal(plain.ptr, ROWS);
    cfb_buf_free(&plain);
    td_put(&file, "\0\0\0\0", 4);
    plain = td_memory_opts("d.arrow", file.ptr, file.len, "id,question,answer", NULL);
    assert_string_equal(plain.ptr, ROWS);
    cfb_buf_free(&plain);
    td_put(&file, "\xFF", 1);
    plain = td_memory_opts("d.arrow", file.ptr, file.len, "id", NULL);
    assert_non_null(strstr(plain.ptr, "!EDATA: d.arrow: damaged before byte 1125: data behind the end-of-stream marker"));
    cfb_buf_free(&plain);
    cfb_buf_free(&file);
}

/* Every byte of every fixture set to a few values: an answer or an error, never a crash. */
static void damaged(void **state) {
    (void)state;
    static const unsigned char values[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
    for (size_t i = 0; i < sizeof all_fixtures / sizeof *all_fixtures; i++) {
        char path[64];
        snprintf(path, sizeof path, DATA "%s.arrow", all_fixtures[i]);
        cfb_buf file = td_load(path);
        cfb_reader_opts o = CFB_READER_OPTS_INIT;
        o.max_json_bytes = 1 << 20;
        for (size_t at = 0; at < file.len; at++)
            for (size_t v = 0; v < sizeof values; v++) {
                char old = file.ptr[at];
                file.ptr[at] = (char)values[v];
                cfb_column wanted[3] = {{"id", false}, {"question", false}, {"label", false}};
                cfb_reader_t *r;
                cfb_rows rows;
                o.columns = wanted;
                o.n_columns = 3;
                if (cfb_reader_open_memory("d.arrow", file.ptr, file.len, &o, &r, NULL) == CFB_OK) {
                    /* A damaged row count of a batch without columns may be huge. */
                    for (int n = 0; n < 4 && cfb_reader_next(r, &rows, NULL) == CFB_OK && rows.n_rows; n++) {
                    }
                    cfb_reader_close(r);
                }
                file.ptr[at] = old;
            }
        cfb_buf_free(&file);
    }
}

static void bad_text(void **state) {
    (void)state;
    cfb_buf file = td_load(DATA "utf8.arrow");
    size_t at = cfb_str_find(cfb_buf_str(&file), CFB_STR_LIT("公司"), 0);
    assert_true(at != SIZE_MAX);
    file.ptr[at + 3] = (char)0xC0;
    cfb_buf got = td_memory_opts("d.arrow", file.ptr, file.len, "id,question", NULL);
    assert_string_equal(got.ptr, "!EENCODING: d.arrow: row 2, column 'question': not valid UTF-8 at byte 3 of the value");
    cfb_buf_free(&got);
    td_expect_bytes("d.arrow", file.ptr, file.len, "id", "1:a-1;2:a-2;3:a-3;4:a-4;5:a-5;");
    cfb_buf_free(&file);
}

/* A compressed buffer that promises far more than it holds must cost no memory. */
static void false_promise(void **state) {
    (void)state;
    static const char *const names[] = {DATA "lz4.arrow", DATA "zstd.arrow"};
    for (size_t i = 0; i < 2; i++) {
        cfb_buf file = td_load(names[i]);
        cfb_str magic = i ? CFB_STR_LIT("\x28\xB5\x2F\xFD") : CFB_STR_LIT("\x04\x22\x4D\x18");
        size_t at = cfb_str_find(cfb_buf_str(&file), magic, 0);
        assert_true(at != SIZE_MAX);
        file.ptr[at - 1] = 0x10; /* 2^60 and some */
        cfb_buf got = td_memory_opts("d.arrow", file.ptr, file.len, "question", NULL);
        assert_non_null(strstr(got.ptr, "!ELIMIT: d.arrow: a compressed buffer announces 115292150460684"));
        cfb_buf_free(&got);
        file.ptr[at - 1] = 0;
        file.ptr[at - 5] = 0x30; /* 768 MB: within the limit, but not what comes out */
        got = td_memory_opts("d.arrow", file.ptr, file.len, "question", NULL);
        assert_non_null(strstr(got.ptr, "!EDATA: d.arrow: damaged "));
        assert_non_null(strstr(got.ptr, "than the 8053"));
        cfb_buf_free(&got);
        cfb_buf_free(&file);
    }
}

/* ---- folders ---- */

static void write_file(const char *dir, const char *name, cfb_str text) {
    char path[512];
    assert_int_equal(cfb_path_join(path, sizeof path, dir, name, NULL), CFB_OK);
    assert_int_equal(cfb_file_write(path, text, NULL), CFB_OK);
}

static void remove_file(const char *dir, const char *name) {
    char path[512];
    assert_int_equal(cfb_path_join(path, sizeof path, dir, name, NULL), CFB_OK);
    unlink(path);
}

static void folders(void **state) {
    (void)state;
    char dir[] = "/tmp/cfb-dataset-XXXXXX", expected[512];
    assert_non_null(mkdtemp(dir));
    snprintf(expected, sizeof expected, "!ENOTFOUND: %s: no state.json: not a folder that Hugging Face's save_to_disk wrote",
             dir);
    td_expect_path(dir, "id", expected);
    write_file(dir, "state.json",
               CFB_STR_LIT("{\"_data_files\": [{\"filename\": \"a.arrow\"}, {\"filename\": \"b.arrow\"},"
                           "{\"filename\": \"c.arrow\"}], \"_split\": null}"));
    cfb_buf utf8 = td_load(DATA "utf8.arrow"), large = td_load(DATA "large_utf8.arrow"), none = td_load(DATA "empty.arrow");
    write_file(dir, "a.arrow", cfb_buf_str(&utf8));
    write_file(dir, "b.arrow", cfb_buf_str(&none));
    snprintf(expected, sizeof expected, "!ENOTFOUND: %s/state.json names c.arrow, which is not there", dir);
    td_expect_path(dir, "id", expected);
    write_file(dir, "c.arrow", cfb_buf_str(&large));
    td_expect_path(dir, "id,question,answer", ROWS ROWS);
    write_file(dir, "c.arrow", (cfb_str){large.ptr, large.len - 20});
    cfb_buf got = td_path(dir, "id");
    snprintf(expected, sizeof expected, "!ETRUNCATED: %s/c.arrow: ends at byte %zu in a batch: ", dir, large.len - 20);
    assert_non_null(strstr(got.ptr, expected));
    cfb_buf_free(&got);

    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{\"_data_files\": []}", "'_data_files' lists no file"},
        {"{}", "'_data_files' lists no file"},
        {"{\"_data_files\": [{\"filename\": \"../a.arrow\"}]}", "'_data_files' holds no plain file name: '../a.arrow'"},
        {"{\"_data_files\": [{\"filename\": \"a.arrow\"}], \"_indices_data_files\": [{\"filename\": \"i.arrow\"}]}",
         "'_indices_data_files' is not supported"},
        {"{\"_data_files\": [", "the JSON text ends too early"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(dir, "state.json", cfb_str_from(cases[i].json));
        got = td_path(dir, "id");
        assert_non_null(strstr(got.ptr, cases[i].message));
        cfb_buf_free(&got);
    }
    remove_file(dir, "state.json");
    write_file(dir, "dataset_dict.json", CFB_STR_LIT("{\"splits\": [\"train\", \"test\"]}"));
    snprintf(expected, sizeof expected, "!EDATA: %s: holds several splits; give the folder of one of them: train, test", dir);
    td_expect_path(dir, "id", expected);

    static const char *const names[] = {"a.arrow", "b.arrow", "c.arrow", "dataset_dict.json"};
    for (size_t i = 0; i < 4; i++) remove_file(dir, names[i]);
    assert_int_equal(rmdir(dir), 0);
    cfb_buf_free(&utf8);
    cfb_buf_free(&large);
    cfb_buf_free(&none);
}

/* The real data, if it is there: row counts, and the one missing reference. */
static void published_data(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t rows, nulls;
    } tasks[] = {{"company", 273, 0},   {"product", 297, 0}, {"sector", 402, 0}, {"event", 578, 0},
                 {"sentiment", 593, 0}, {"summary", 593, 1}, {"risk", 591, 0},   {"suggestion", 593, 0}};
    static const char root[] = "../shared/cfbenchmark/data";
    if (!cfb_path_is_dir(root)) {
        print_message("skipped: no %s\n", root);
        skip();
    }
    static const cfb_column columns_wanted[] = {{"input", true}, {"instruction", true}, {"response", true}};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        char path[512];
        cfb_err err = CFB_ERR_INIT;
        cfb_reader_t *r;
        cfb_rows rows;
        cfb_reader_opts o = CFB_READER_OPTS_INIT;
        o.columns = columns_wanted;
        o.n_columns = 3;
        assert_int_equal(cfb_dataset_find(root, tasks[i].name, path, sizeof path, &err), CFB_OK);
        assert_int_equal(cfb_reader_open(path, &o, &r, &err), CFB_OK);
        size_t n = 0, nulls = 0;
        do {
            assert_int_equal(cfb_reader_next(r, &rows, &err), CFB_OK);
            for (size_t k = 0; k < rows.n_rows * 3; k++) nulls += rows.cells[k].ptr == NULL;
            n += rows.n_rows;
        } while (rows.n_rows);
        assert_int_equal(n, tasks[i].rows);
        assert_int_equal(nulls, tasks[i].nulls);
        cfb_reader_close(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_rows),     cmocka_unit_test(compressed), cmocka_unit_test(dictionaries),
        cmocka_unit_test(scalars),       cmocka_unit_test(columns),    cmocka_unit_test(limits),
        cmocka_unit_test(cut),           cmocka_unit_test(damaged),    cmocka_unit_test(bad_text),
        cmocka_unit_test(false_promise), cmocka_unit_test(folders),    cmocka_unit_test(published_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
