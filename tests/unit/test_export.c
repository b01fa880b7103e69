/* test_export.c - response and score files in CFBenchmark's layout, against published ones and for hostile rows. */
#include "cfbench/base.h"
#include "cfbench/dataset.h"
#include "cfbench/json.h"
#include "cfbench/report.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PUBLISHED "../shared/cfbenchmark/published/few-shot/"

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cfbench-export-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static void remove_tree(const char *path) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        unlink(path);
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char child[PATH_MAX];
        if (snprintf(child, sizeof child, "%s/%s", path, e->d_name) < (int)sizeof child) remove_tree(child);
    }
    closedir(dir);
    rmdir(path);
}

static int remove_folder(void **state) {
    (void)state;
    remove_tree(folder);
    return 0;
}

static cfb_buf read_file(const char *dir, const char *name) {
    char path[PATH_MAX];
    cfb_buf b = CFB_BUF_INIT((size_t)1 << 30);
    cfb_err err = CFB_ERR_INIT;
    assert_true(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
    if (cfb_file_read(path, (size_t)1 << 29, &b, &err) != CFB_OK) fail_msg("%s", err.msg);
    return b;
}

static void assert_same_file(const char *name, const char *expected_dir, const char *expected_name) {
    cfb_buf got = read_file(folder, name), want = read_file(expected_dir, expected_name);
    size_t i = 0;
    while (i < got.len && i < want.len && got.ptr[i] == want.ptr[i]) i++;
    if (got.len != want.len || i != want.len)
        fail_msg("%s: differs from %s at byte %zu: '%.40s' instead of '%.40s'", name, expected_name, i, got.ptr + i,
                 want.ptr + i);
    cfb_buf_free(&got);
    cfb_buf_free(&want);
}

static void assert_file(const char *name, const char *expected) {
    cfb_buf got = read_file(folder, name);
    assert_string_equal(got.ptr, expected);
    assert_int_equal(got.len, strlen(expected));
    cfb_buf_free(&got);
}

/* ---- published files ---- */

/* Reads rows from a response file, scores and exports them. */
static void run_published(const cfb_task *task, const char *model, cfb_label_set set) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, PUBLISHED "%s/%s-output.csv", model, task->name);
    cfb_column columns[] = {{"input", true}, {"response", true}, {"output", true}};
    cfb_reader_opts ro = CFB_READER_OPTS_INIT;
    ro.columns = columns;
    ro.n_columns = 3;
    cfb_reader_t *reader;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_reader_open(path, &ro, &reader, &err) != CFB_OK) fail_msg("%s", err.msg);
    cfb_score_opts so = CFB_SCORE_OPTS_INIT;
    so.label_set = set;
    cfb_scorer_t *scorer;
    cfb_export_t *e;
    if (cfb_scorer_new(task, &so, &scorer, &err) != CFB_OK) fail_msg("%s", err.msg);
    if (cfb_export_open(folder, "few-shot", model, task, 7, &e, &err) != CFB_OK) fail_msg("%s", err.msg);
    /* `observed` needs the whole file before a row can be scored: so do all of them here. */
    cfb_score_row_in *in = NULL;
    cfb_str *inputs = NULL;
    size_t n = 0;
    cfb_arena_t *arena;
    assert_int_equal(cfb_arena_new(0, &arena, &err), CFB_OK);
    for (cfb_rows rows;;) {
        if (cfb_reader_next(reader, &rows, &err) != CFB_OK) fail_msg("%s", err.msg);
        if (rows.n_rows == 0) break;
        in = realloc(in, (n + rows.n_rows) * sizeof *in);
        inputs = realloc(inputs, (n + rows.n_rows) * sizeof *inputs);
        assert_true(in != NULL && inputs != NULL);
        for (size_t i = 0; i < rows.n_rows; i++, n++) {
            in[n].state = CFB_ROW_OK;
            assert_int_equal(cfb_arena_dup(arena, rows.cells[i * 3], &inputs[n], &err), CFB_OK);
            assert_int_equal(cfb_arena_dup(arena, rows.cells[i * 3 + 1], &in[n].response, &err), CFB_OK);
            assert_int_equal(cfb_arena_dup(arena, rows.cells[i * 3 + 2], &in[n].output, &err), CFB_OK);
        }
    }
    cfb_score_row *scores = calloc(n, sizeof *scores);
    assert_non_null(scores);
    if (cfb_scorer_add(scorer, in, n, scores, &err) != CFB_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++)
        if (cfb_export_row(e, inputs[i], in[i].response, in[i].output, &scores[i], &err) != CFB_OK) fail_msg("%s", err.msg);
    cfb_score_summary summary;
    if (cfb_scorer_summary(scorer, &summary, &err) != CFB_OK) fail_msg("%s", err.msg);
    if (cfb_export_commit(e, &summary, &err) != CFB_OK) fail_msg("%s", err.msg);
    cfb_scorer_free(scorer);
    cfb_reader_close(reader);
    cfb_arena_free(arena);
    free(in);
    free(inputs);
    free(scores);
}

static bool published(void) {
    if (cfb_path_is_dir(PUBLISHED)) return true;
    printf("skipped: the published results are not at " PUBLISHED "\n");
    return false;
}

static void company_is_reproduced(void **state) {
    (void)state;
    if (!published()) skip();
    cfb_task task = {.name = "company", .kind = CFB_KIND_RECOGNITION, .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_ROW};
    run_published(&task, "gpt-4.1-mini", CFB_LABELS_ROW);
    assert_same_file("cfbenchmark-response/few-shot/gpt-4.1-mini/company-output.csv", PUBLISHED,
                     "gpt-4.1-mini/company-output.csv");
    assert_same_file("cfbenchmark-scores/few-shot/gpt-4.1-mini/company-scores.csv", PUBLISHED, "gpt-4.1-mini/company-scores.csv");
}

static void sentiment_is_reproduced(void **state) {
    (void)state;
    if (!published()) skip();
    cfb_task task = {
        .name = "sentiment", .kind = CFB_KIND_CLASSIFICATION, .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_OBSERVED};
    run_published(&task, "gpt-4o-mini", CFB_LABELS_OBSERVED);
    assert_same_file("cfbenchmark-response/few-shot/gpt-4o-mini/sentiment-output.csv", PUBLISHED,
                     "gpt-4o-mini/sentiment-output.csv");
    assert_same_file("cfbenchmark-scores/few-shot/gpt-4o-mini/sentiment-scores.csv", PUBLISHED,
                     "gpt-4o-mini/sentiment-scores.csv");
}

#define MEAN "\"average_cosine_similarity\": "

/* Cuts the mean out of a document and returns it: NumPy adds in another order than blocks do, so its last digit may differ. */
static double take_mean(cfb_buf *doc) {
    char *at = strstr(doc->ptr, MEAN);
    assert_non_null(at);
    char *end;
    double v = strtod(at + strlen(MEAN), &end);
    memmove(at + strlen(MEAN), end, strlen(end) + 1);
    doc->len = strlen(doc->ptr);
    return v;
}

static void suggestion_is_reproduced(void **state) {
    (void)state;
    if (!published()) skip();
    cfb_task task = {.name = "suggestion", .kind = CFB_KIND_GENERATION, .metric = CFB_METRIC_TF};
    run_published(&task, "gpt-4.1-mini", CFB_LABELS_ROW);
    assert_same_file("cfbenchmark-response/few-shot/gpt-4.1-mini/suggestion-output.csv", PUBLISHED,
                     "gpt-4.1-mini/suggestion-output.csv");
    cfb_buf got = read_file(folder, "cfbenchmark-scores/few-shot/gpt-4.1-mini/suggestion-scores_detailed_results.json");
    cfb_buf want = read_file(PUBLISHED, "gpt-4.1-mini/suggestion-scores_detailed_results.json");
    bool same = got.len == want.len && memcmp(got.ptr, want.ptr, got.len) == 0;
    double mean_got = take_mean(&got), mean_want = take_mean(&want);
    if (!same) printf("mean %.17g instead of %.17g\n", mean_got, mean_want);
    assert_true(fabs(mean_got - mean_want) <= 1e-12);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ptr, want.ptr, got.len);
    cfb_buf_free(&got);
    cfb_buf_free(&want);
}

/* ---- rows of our own ---- */

static const cfb_task f1_task = {
    .name = "topic", .kind = CFB_KIND_CLASSIFICATION, .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_OBSERVED};
static const cfb_task tf_task = {.name = "headline", .kind = CFB_KIND_GENERATION, .metric = CFB_METRIC_TF};

static cfb_export_t *open_or_fail(const cfb_task *task, unsigned what) {
    cfb_export_t *e = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_export_open(folder, "zero-shot", "org/model", task, what, &e, &err) != CFB_OK) fail_msg("%s", err.msg);
    return e;
}

static void csv_quotes_and_nulls(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    cfb_export_t *e = open_or_fail(&tf_task, CFB_EXPORT_OUTPUT | CFB_EXPORT_SCORES);
    cfb_score_row s = {.score = 1.0 / 3.0, .state = CFB_ROW_OK};
    assert_int_equal(cfb_export_row(e, CFB_STR_LIT("a,b"), CFB_STR_LIT("say \"x\""), CFB_STR_LIT("one\ntwo"), &s, &err), CFB_OK);
    s.score = 1e-7;
    assert_int_equal(cfb_export_row(e, CFB_STR_NULL, CFB_STR_LIT(""), CFB_STR_LIT("a\rb"), &s, &err), CFB_OK);
    s = (cfb_score_row){.score = 0, .state = CFB_ROW_FAILED};
    assert_int_equal(cfb_export_row(e, CFB_STR_LIT(" x "), CFB_STR_LIT("r"), CFB_STR_LIT("API Error"), &s, &err), CFB_OK);
    assert_int_equal(cfb_export_commit(e, NULL, &err), CFB_OK);
    assert_file("cfbenchmark-response/zero-shot/org/model/headline-output.csv",
                "input,response,output\n\"a,b\",\"say \"\"x\"\"\",\"one\ntwo\"\n,,\"a\rb\"\n x ,r,\n");
    assert_file("cfbenchmark-scores/zero-shot/org/model/headline-scores.csv",
                ",input,response,output,cosine_s\n0,\"a,b\",\"say \"\"x\"\"\",\"one\ntwo\",0.3333333333333333\n"
                "1,,,\"a\rb\",1e-07\n2, x ,r,,0.0\n");
}

static void f1_details(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    cfb_export_t *e = open_or_fail(&f1_task, CFB_EXPORT_DETAILS);
    cfb_score_row s = {.set_precision = 0.5, .set_recall = 1, .set_f1 = 2.0 / 3.0, .state = CFB_ROW_OK, .true_positives = 77};
    assert_int_equal(
        cfb_export_row(e, CFB_STR_NULL, CFB_STR_LIT(" b ，b,,\xE3\x80\x80"), CFB_STR_LIT("b,\"\x7f\x01\\"), &s, &err), CFB_OK);
    s = (cfb_score_row){.state = CFB_ROW_FAILED};
    assert_int_equal(cfb_export_row(e, CFB_STR_NULL, CFB_STR_LIT("b"), CFB_STR_LIT("b"), &s, &err), CFB_OK);
    cfb_label_stat labels[] = {{CFB_STR_LIT("\"\x7f\x01\\"), 0, 1, 0, 0, 0, 0}, {CFB_STR_LIT("b"), 2, 1, 1, 1, 0.5, 2.0 / 3.0}};
    cfb_score_summary sum = {
        .n_rows = 2, .mean_f1 = 0.25, .mean_precision = 0.5, .mean_recall = 1, .labels = labels, .n_labels = 2};
    assert_int_equal(cfb_export_commit(e, &sum, &err), CFB_OK);
    assert_file(
        "cfbenchmark-scores/zero-shot/org/model/topic-scores_detailed_results.json",
        "{\n  \"task_type\": \"classification\",\n  \"classification_type\": \"topic\",\n  \"total_samples\": 2,\n"
        "  \"metrics\": {\n    \"average_f1\": 0.25,\n    \"average_precision\": 0.5,\n    \"average_recall\": 1.0\n  },\n"
        "  \"label_statistics\": {\n    \"total_unique_labels\": 2,\n    \"label_metrics\": {\n"
        "      \"\\\"\x7f\\u0001\\\\\": {\n        \"precision\": 0.0,\n        \"recall\": 0.0,\n        \"f1\": 0.0,\n"
        "        \"actual_count\": 0,\n        \"predicted_count\": 1,\n        \"correct_count\": 0\n      },\n"
        "      \"b\": {\n        \"precision\": 1.0,\n        \"recall\": 0.5,\n        \"f1\": 0.6666666666666666,\n"
        "        \"actual_count\": 2,\n        \"predicted_count\": 1,\n        \"correct_count\": 1\n      }\n    }\n  },\n"
        "  \"detailed_results\": [\n    {\n      \"index\": 0,\n      \"response_labels\": [\n        \"b\",\n        \"b\"\n    "
        "  ],\n"
        "      \"output_labels\": [\n        \"b\",\n        \"\\\"\x7f\\u0001\\\\\"\n      ],\n"
        "      \"precision\": 0.5,\n      \"recall\": 1.0,\n      \"f1\": 0.6666666666666666,\n      \"true_positives\": 1,\n"
        "      \"predicted_positives\": 2,\n      \"actual_positives\": 1\n    },\n"
        "    {\n      \"index\": 1,\n      \"response_labels\": [\n        \"b\"\n      ],\n      \"output_labels\": [],\n"
        "      \"precision\": 0.0,\n      \"recall\": 0.0,\n      \"f1\": 0.0,\n      \"true_positives\": 0,\n"
        "      \"predicted_positives\": 0,\n      \"actual_positives\": 1\n    }\n  ]\n}");
}

static void no_rows(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    cfb_export_t *e = open_or_fail(&tf_task, 7);
    cfb_score_summary sum = {.mean_all = NAN, .mean_response_chars = NAN, .mean_output_chars = NAN};
    assert_int_equal(cfb_export_commit(e, &sum, &err), CFB_OK);
    assert_file("cfbenchmark-response/zero-shot/org/model/headline-output.csv", "input,response,output\n");
    cfb_buf doc = read_file(folder, "cfbenchmark-scores/zero-shot/org/model/headline-scores_detailed_results.json");
    cfb_json *root;
    assert_int_equal(cfb_json_parse(doc.ptr, doc.len, 0, &root, &err), CFB_OK);
    assert_int_equal(cfb_json_count(cfb_json_get(root, "detailed_results")), 0);
    assert_non_null(strstr(doc.ptr, "\"detailed_results\": []\n}"));
    cfb_json_free(root);
    cfb_buf_free(&doc);
}

/* More rows than the write buffer holds, a large text, and characters that other JSON writers escape. */
static void many_rows_stream(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    cfb_export_t *e = open_or_fail(&tf_task, 7);
    size_t big = (size_t)1 << 20;
    char *text = malloc(big);
    assert_non_null(text);
    memset(text, '"', big);
    cfb_score_row s = {.score = 0.5, .state = CFB_ROW_OK, .output_chars = (uint32_t)big};
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(cfb_export_row(e, CFB_STR_LIT("in"), CFB_STR_LIT("\xE2\x80\xA8\x7f<\b\f"),
                                        i == 1500 ? (cfb_str){text, big} : CFB_STR_LIT("o"), &s, &err),
                         CFB_OK);
    cfb_score_summary sum = {.n_rows = 3000, .mean_all = 0.5, .mean_response_chars = 3, .mean_output_chars = 3};
    assert_int_equal(cfb_export_commit(e, &sum, &err), CFB_OK);
    cfb_buf doc = read_file(folder, "cfbenchmark-scores/zero-shot/org/model/headline-scores_detailed_results.json");
    cfb_json *root;
    if (cfb_json_parse(doc.ptr, doc.len, 0, &root, &err) != CFB_OK) fail_msg("%s", err.msg);
    const cfb_json *row = cfb_json_first(cfb_json_get(root, "detailed_results"));
    int64_t index = -1;
    for (int64_t i = 0; i < 3000; i++, row = cfb_json_next(row)) {
        assert_true(cfb_json_int(cfb_json_get(row, "index"), &index));
        assert_int_equal(index, i);
    }
    assert_null(row);
    assert_non_null(strstr(doc.ptr, "\"response_text\": \"\xE2\x80\xA8\x7f<\\b\\f\""));
    cfb_json_free(root);
    cfb_buf_free(&doc);
    free(text);
}

static void names_stay_inside(void **state) {
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/../b", "a//b", "a/", "../up", "a/.", NULL};
    cfb_err err = CFB_ERR_INIT;
    cfb_export_t *e = (cfb_export_t *)&err;
    for (size_t i = 0; bad[i] != NULL; i++) {
        assert_int_equal(cfb_export_open(folder, "few-shot", bad[i], &tf_task, 7, &e, &err), CFB_EUSAGE);
        assert_null(e);
    }
    assert_int_equal(cfb_export_open(folder, "few-shot", NULL, &tf_task, 7, &e, &err), CFB_EUSAGE);
    assert_int_equal(cfb_export_open(folder, "many-shot", "m", &tf_task, 7, &e, &err), CFB_EUSAGE);
    cfb_task task = tf_task;
    task.name = "a/b";
    assert_int_equal(cfb_export_open(folder, "few-shot", "m", &task, 7, &e, &err), CFB_EUSAGE);
}

static size_t count_files(const char *path) {
    DIR *dir = opendir(path);
    if (dir == NULL) return 0;
    size_t n = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) n += d->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void nothing_is_left_behind(void **state) {
    (void)state;
    char dir[128];
    snprintf(dir, sizeof dir, "%s/cfbenchmark-scores/zero-shot/org/model", folder);
    cfb_err err = CFB_ERR_INIT;
    cfb_export_t *e = open_or_fail(&tf_task, 7);
    size_t before = count_files(dir);
    cfb_score_row s = {.state = CFB_ROW_OK};
    assert_int_equal(cfb_export_row(e, CFB_STR_LIT("i"), CFB_STR_LIT("\xff"), CFB_STR_LIT("o"), &s, &err), CFB_EENCODING);
    assert_int_equal(cfb_export_row(e, CFB_STR_LIT("i"), CFB_STR_LIT("r"), CFB_STR_LIT("o"), &s, &err), CFB_EENCODING);
    cfb_score_summary sum = {.n_rows = 1};
    assert_int_equal(cfb_export_commit(e, &sum, &err), CFB_EENCODING);
    assert_int_equal(count_files(dir), before - 2); /* the two temporaries are gone; the rows' file never had a name */
    cfb_export_abort(open_or_fail(&tf_task, 7));
    cfb_export_abort(NULL);
    assert_int_equal(count_files(dir), before - 2);
    e = open_or_fail(&tf_task, CFB_EXPORT_SCORES);
    assert_int_equal(cfb_export_row(e, CFB_STR_LIT("i"), CFB_STR_LIT("r"), CFB_STR_LIT("o"), NULL, &err), CFB_EBUG);
    cfb_export_abort(e);
    e = open_or_fail(&tf_task, CFB_EXPORT_DETAILS);
    assert_int_equal(cfb_export_commit(e, NULL, &err), CFB_EBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_is_reproduced),
        cmocka_unit_test(sentiment_is_reproduced),
        cmocka_unit_test(suggestion_is_reproduced),
        cmocka_unit_test(csv_quotes_and_nulls),
        cmocka_unit_test(f1_details),
        cmocka_unit_test(no_rows),
        cmocka_unit_test(many_rows_stream),
        cmocka_unit_test(names_stay_inside),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
