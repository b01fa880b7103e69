/* Published results of CFBenchmark: every row's score to the last bit, the means within 1e-12, for 1, 2 and 8 threads. The
 * files are research data that is not part of this project; without them the tests are skipped. */
#include "cfbench/base.h"
#include "cfbench/dataset.h"
#include "cfbench/json.h"
#include "cfbench/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOLDER "../shared/cfbenchmark/published/few-shot/"
#define MAX_ROWS 1000

typedef struct table {
    cfb_score_row_in rows[MAX_ROWS];
    double want[MAX_ROWS];
    size_t n;
    cfb_arena_t *arena;
} table;

static void need(const char *path) {
    if (cfb_path_exists(path)) return;
    print_message("skipped: %s is not there\n", path);
    skip();
}

/* response, output and (if score is not NULL) the published score of a CSV file. */
static void read_csv(const char *path, const char *score, table *t) {
    const cfb_column columns[] = {{"response", true}, {"output", true}, {score, true}};
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    opts.columns = columns;
    opts.n_columns = score ? 3 : 2;
    cfb_reader_t *reader;
    cfb_rows rows;
    t->n = 0;
    assert_int_equal(cfb_arena_new(0, &t->arena, NULL), CFB_OK);
    assert_int_equal(cfb_reader_open(path, &opts, &reader, NULL), CFB_OK);
    for (;;) {
        assert_int_equal(cfb_reader_next(reader, &rows, NULL), CFB_OK);
        if (rows.n_rows == 0) break;
        for (size_t i = 0; i < rows.n_rows; i++, t->n++) {
            assert_true(t->n < MAX_ROWS);
            const cfb_str *cell = rows.cells + i * rows.n_columns;
            cfb_score_row_in *in = &t->rows[t->n];
            in->state = CFB_ROW_OK;
            assert_int_equal(cfb_arena_dup(t->arena, cell[0], &in->response, NULL), CFB_OK);
            assert_int_equal(cfb_arena_dup(t->arena, cell[1], &in->output, NULL), CFB_OK);
            if (score == NULL) continue;
            cfb_str number;
            assert_int_equal(cfb_arena_dup(t->arena, cell[2], &number, NULL), CFB_OK);
            assert_true(cfb_parse_double(number.ptr, &t->want[t->n]));
        }
    }
    cfb_reader_close(reader);
}

static void assert_near(double got, double want) {
    if (fabs(got - want) > 1e-12) fail_msg("%.17g is not %.17g", got, want);
}

/* Scores the table with 1, 2 and 8 threads; the last summary goes to *sum and stays valid until free_scorer. */
static cfb_scorer_t *check_rows(const cfb_task *task, cfb_label_set set, const table *t, cfb_score_summary *sum) {
    cfb_scorer_t *s = NULL;
    static cfb_score_row out[MAX_ROWS];
    for (int threads = 1; threads <= 8; threads += threads == 1 ? 1 : 6) {
        cfb_scorer_free(s);
        cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
        opts.n_threads = threads;
        opts.label_set = set;
        assert_int_equal(cfb_scorer_new(task, &opts, &s, NULL), CFB_OK);
        assert_int_equal(cfb_scorer_add(s, t->rows, t->n, out, NULL), CFB_OK);
        double mean = 0;
        for (size_t i = 0; i < t->n; i++) {
            if (out[i].score != t->want[i]) fail_msg("row %zu: %.17g is not %.17g", i, out[i].score, t->want[i]);
            mean += t->want[i];
        }
        assert_int_equal(cfb_scorer_summary(s, sum, NULL), CFB_OK);
        assert_near(sum->mean_all, mean / (double)t->n);
    }
    return s;
}

static void test_company(void **state) {
    (void)state;
    const char *path = FOLDER "gpt-4.1-mini/company-scores.csv";
    need(path);
    static table t;
    read_csv(path, "f1score", &t);
    assert_int_equal(t.n, 273);
    const cfb_task task = {.name = "company", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_ROW};
    cfb_score_summary sum;
    cfb_scorer_t *s = check_rows(&task, CFB_LABELS_SUITE, &t, &sum);
    assert_true(fabs(sum.mean_all - 0.831705) < 5e-7);
    assert_int_equal(sum.n_unmatchable, 2);
    cfb_scorer_free(s);
    cfb_arena_free(t.arena);
}

static void test_sentiment(void **state) {
    (void)state;
    const char *path = FOLDER "gpt-4o-mini/sentiment-scores.csv";
    need(path);
    static table t;
    read_csv(path, "f1score", &t);
    assert_int_equal(t.n, 593);
    const cfb_task task = {.name = "sentiment", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_SUITE};
    cfb_score_summary sum;
    cfb_scorer_t *s = check_rows(&task, CFB_LABELS_OBSERVED, &t, &sum);
    assert_true(fabs(sum.mean_all - 0.440135) < 5e-7);
    assert_near(sum.mean_f1, 0.44013490725126475); /* published as average_f1 */
    assert_int_equal(sum.n_labels, 3);
    cfb_scorer_free(s);
    cfb_arena_free(t.arena);
}

static void test_suggestion(void **state) {
    (void)state;
    const char *path = FOLDER "gpt-4.1-mini/suggestion-output.csv";
    const char *json_path = FOLDER "gpt-4.1-mini/suggestion-scores_detailed_results.json";
    need(path);
    need(json_path);
    static table t;
    read_csv(path, NULL, &t);
    assert_int_equal(t.n, 593);
    cfb_buf text = CFB_BUF_INIT((size_t)1 << 24);
    cfb_json *doc;
    assert_int_equal(cfb_file_read(json_path, (size_t)1 << 24, &text, NULL), CFB_OK);
    assert_int_equal(cfb_json_parse(text.ptr, text.len, 0, &doc, NULL), CFB_OK);
    const cfb_json *results = cfb_json_get(doc, "detailed_results"), *metrics = cfb_json_get(doc, "metrics");
    assert_int_equal(cfb_json_count(results), t.n);
    size_t n = 0;
    for (const cfb_json *r = cfb_json_first(results); r; r = cfb_json_next(r))
        assert_true(cfb_json_num(cfb_json_get(r, "cosine_similarity"), &t.want[n++]));
    const cfb_task task = {.name = "suggestion", .metric = CFB_METRIC_TF};
    cfb_score_summary sum;
    cfb_scorer_t *s = check_rows(&task, CFB_LABELS_SUITE, &t, &sum);
    assert_near(sum.mean_all, 0.2825866371993803);
    double response_length, output_length;
    assert_true(cfb_json_num(cfb_json_get(metrics, "average_response_length"), &response_length));
    assert_true(cfb_json_num(cfb_json_get(metrics, "average_output_length"), &output_length));
    assert_near(sum.mean_response_chars, response_length);
    assert_near(sum.mean_output_chars, output_length);
    cfb_scorer_free(s);
    cfb_json_free(doc);
    cfb_buf_free(&text);
    cfb_arena_free(t.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_sentiment),
        cmocka_unit_test(test_suggestion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
