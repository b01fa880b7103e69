/* Where a task's data is looked for, and in which order. */
#include "test_dataset.h"

#include <limits.h>
#include <unistd.h>

static void put_file(const char *dir, const char *name) {
    char path[512];
    assert_int_equal(cfb_path_join(path, sizeof path, dir, name, NULL), CFB_OK);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(cfb_mkdir_p(path, NULL), CFB_OK);
    *slash = '/';
    assert_int_equal(cfb_file_write(path, CFB_STR_LIT("x"), NULL), CFB_OK);
}

static void expect(const char *dir, const char *name, const char *found) {
    char path[PATH_MAX], expected[600];
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_dataset_find(dir, name, path, sizeof path, &err);
    if (rc != CFB_OK) fail_msg("%s", err.msg);
    snprintf(expected, sizeof expected, "%s/%s", dir, found);
    assert_string_equal(path, expected);
}

/* Each place is filled in turn, from the last looked at to the first. */
static void order(void **state) {
    (void)state;
    static const char *const places[] = {
        "t/state.json",    "t.json",           "t.json.gz",  "t.json.zst",    "t.jsonl",        "t.jsonl.gz",      "t.jsonl.zst",
        "t.csv",           "t.csv.gz",         "t.csv.zst",  "t/data.json",   "t/data.json.gz", "t/data.json.zst", "t/data.jsonl",
        "t/data.jsonl.gz", "t/data.jsonl.zst", "t/data.csv", "t/data.csv.gz", "t/data.csv.zst",
    };
    size_t n = sizeof places / sizeof *places;
    char dir[] = "/tmp/cfb-find-XXXXXX", path[PATH_MAX];
    assert_non_null(mkdtemp(dir));
    for (size_t i = n; i-- > 0;) {
        put_file(dir, places[i]);
        expect(dir, "t", i == 0 ? "t" : places[i]);
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, places[i]);
        unlink(path);
    }
    put_file(dir, "t/dataset_dict.json");
    expect(dir, "t", "t"); /* the reader then says which splits there are */
    put_file(dir, "u");
    expect(dir, "u", "u");
    put_file(dir, "v.csv");
    expect(dir, "v.csv", "v.csv");
    static const char *const left[] = {"t/dataset_dict.json", "u", "v.csv"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, left[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/t", dir);
    rmdir(path);
    assert_int_equal(rmdir(dir), 0);
}

static void nothing(void **state) {
    (void)state;
    char path[PATH_MAX];
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_dataset_find("/tmp/no/such/dir", "event", path, sizeof path, &err), CFB_ENOTFOUND);
    assert_string_equal(err.msg, "no data for 'event' in /tmp/no/such/dir (looked for event/state.json, event.json, event.jsonl, "
                                 "event.csv, event/data.json, .jsonl, .csv, each also .gz or .zst, and event itself)");
    assert_int_equal(cfb_dataset_find("tests", "", path, sizeof path, &err), CFB_ENOTFOUND);
    assert_int_equal(cfb_dataset_find("tests/data/arrow", "utf8.arrow", path, 10, &err), CFB_ELIMIT);
    assert_int_equal(cfb_dataset_find("tests/data/arrow", "utf8.arrow", path, sizeof path, NULL), CFB_OK);
    assert_string_equal(path, "tests/data/arrow/utf8.arrow");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
