/* Every metric of the table through the scorer: rows, corpus scores, averages over labels. */
#include "cfbench/metrics.h"
#include "cfbench/score.h"
#include "test.h"

#include <math.h>

static const cfb_score_row_in some_rows[] = {
    {{"银行，证券", 15}, {"银行", 6}, CFB_ROW_OK}, {{"B", 1}, {"B", 1}, CFB_ROW_TRUNCATED},
    {{"银行", 6}, {"银行，保险", 15}, CFB_ROW_OK}, {{"净利润增长", 15}, {"净利润", 9}, CFB_ROW_FAILED},
    {{"", 0}, {NULL, 0}, CFB_ROW_EMPTY},
};
#define N_SOME (sizeof some_rows / sizeof *some_rows)

/* The scorer gives what the row function gives, and the corpus's score is that of the summed counts, in any cut of the rows. */
static void every_metric_goes_through_the_scorer(void **state) {
    (void)state;
    cfb_metric_scratch_t *scratch;
    assert_ok(cfb_metric_scratch_new(&scratch, e_));
    for (cfb_metric m = 0; m < CFB_METRIC_COUNT; m++) {
        const cfb_metric_info *info = cfb_metric_get(m);
        const cfb_task task = {.name = "t", .kind = CFB_KIND_GENERATION, .metric = m, .label_set = CFB_LABELS_OBSERVED};
        cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
        opts.label_set = CFB_LABELS_OBSERVED;
        cfb_scorer_t *s;
        cfb_score_summary sum;
        cfb_score_row out[N_SOME];
        if (info->row == NULL) continue;
        assert_ok(cfb_scorer_new(&task, &opts, &s, e_));
        assert_ok(cfb_scorer_add(s, some_rows, 2, out, e_));
        assert_ok(cfb_scorer_add(s, some_rows + 2, N_SOME - 2, out + 2, e_));
        assert_ok(cfb_scorer_summary(s, &sum, e_));
        assert_string_equal(sum.metric, info->full_name);
        cfb_metric_sums all = {{0}}, answered = {{0}};
        double total = 0;
        for (size_t i = 0; i < N_SOME; i++) {
            bool failed = some_rows[i].state == CFB_ROW_FAILED;
            cfb_metric_row row;
            assert_ok(info->row(scratch, some_rows[i].response, failed ? CFB_STR_NULL : some_rows[i].output, &row, e_));
            assert_true(out[i].score == (failed ? 0.0 : row.score));
            assert_true(out[i].response_chars == row.response_chars && out[i].output_chars == row.output_chars);
            assert_true(out[i].reference_unmatchable == row.reference_unmatchable);
            cfb_metric_sums_add(&all, &row);
            if (i < 3) cfb_metric_sums_add(&answered, &row);
            total += out[i].score;
        }
        assert_true(sum.mean_of_rows == total / N_SOME);
        if (info->how == CFB_METRIC_FROM_COUNTS) {
            assert_true(sum.mean_all == cfb_metric_finish(m, &all));
            assert_true(sum.mean_answered == cfb_metric_finish(m, &answered));
        } else {
            assert_true(sum.mean_all == total / N_SOME);
        }
        cfb_scorer_free(s);
    }
    cfb_metric_scratch_free(scratch);
}

static void averages_over_labels(void **state) {
    (void)state;
    /* per label of the first three rows, actual / predicted / correct: 保险 0/1/0, 证券 1/0/0, 银行 2/2/2, B 1/1/1 */
    static const cfb_str list[] = {{"B", 1}, {"汽车", 6}, {"银行", 6}};
    const struct {
        cfb_metric metric;
        cfb_label_set set;
        double want;
    } cases[] = {{CFB_METRIC_F1_MICRO, CFB_LABELS_OBSERVED, 6.0 / 8},    {CFB_METRIC_F1_MACRO, CFB_LABELS_OBSERVED, 2.0 / 4},
                 {CFB_METRIC_F1_WEIGHTED, CFB_LABELS_OBSERVED, 3.0 / 4}, {CFB_METRIC_F1_MICRO, CFB_LABELS_SUITE, 1.0},
                 {CFB_METRIC_F1_MACRO, CFB_LABELS_SUITE, 2.0 / 3},       {CFB_METRIC_F1_WEIGHTED, CFB_LABELS_SUITE, 1.0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cfb_task task = {.name = "t", .metric = cases[i].metric, .label_set = cases[i].set, .labels = list, .n_labels = 3};
        cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
        opts.label_set = cases[i].set;
        cfb_scorer_t *s;
        cfb_score_summary sum;
        assert_ok(cfb_scorer_new(&task, &opts, &s, e_));
        assert_ok(cfb_scorer_summary(s, &sum, e_));
        assert_true(isnan(sum.mean_all) && isnan(sum.mean_answered));
        assert_ok(cfb_scorer_add(s, some_rows, 3, NULL, e_));
        assert_ok(cfb_scorer_summary(s, &sum, e_));
        assert_true(fabs(sum.mean_all - cases[i].want) < 1e-15 && sum.mean_answered == sum.mean_all);
        assert_ok(cfb_scorer_add(s, some_rows + 4, 1, NULL, e_));
        assert_ok(cfb_scorer_summary(s, &sum, e_));
        assert_true(!isnan(sum.mean_all) && isnan(sum.mean_answered));
        cfb_scorer_free(s);
    }
}

/* For metrics of many pairs: something that is cheap and not the same for all rows. */
static cfb_code lengths(void *ctx, const cfb_score_row_in *rows, size_t n, double *scores, cfb_err *err) {
    (void)ctx;
    (void)err;
    for (size_t i = 0; i < n; i++) scores[i] = 1.0 / (double)(1 + rows[i].response.len + rows[i].output.len);
    return CFB_OK;
}

/* Parts from several workers give what one call gives. */
static void parts_give_the_same(void **state) {
    (void)state;
    for (cfb_metric m = 0; m < CFB_METRIC_COUNT; m++) {
        const cfb_task task = {.name = "t", .kind = CFB_KIND_GENERATION, .metric = m, .label_set = CFB_LABELS_OBSERVED};
        cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
        opts.label_set = CFB_LABELS_OBSERVED;
        opts.n_threads = 3;
        opts.pairs = (cfb_score_pairs){lengths, NULL, "lengths"};
        cfb_scorer_t *whole, *parts;
        cfb_score_summary a, b;
        cfb_score_row out[N_SOME];
        assert_ok(cfb_scorer_new(&task, &opts, &whole, e_));
        assert_ok(cfb_scorer_new(&task, &opts, &parts, e_));
        assert_ok(cfb_scorer_add(whole, some_rows, N_SOME, NULL, e_));
        for (size_t i = N_SOME; i-- > 0;) assert_ok(cfb_scorer_score_part(parts, (int)(i % 3), &some_rows[i], 1, &out[i], e_));
        cfb_scorer_add_part(parts, out, N_SOME);
        assert_ok(cfb_scorer_summary(whole, &a, e_));
        assert_ok(cfb_scorer_summary(parts, &b, e_));
        assert_memory_equal(&a.mean_all, &b.mean_all, sizeof a.mean_all);
        assert_memory_equal(&a.mean_answered, &b.mean_answered, sizeof a.mean_answered);
        assert_memory_equal(&a.mean_of_rows, &b.mean_of_rows, sizeof a.mean_of_rows);
        assert_string_equal(a.metric, b.metric);
        cfb_scorer_free(whole);
        cfb_scorer_free(parts);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_goes_through_the_scorer),
        cmocka_unit_test(averages_over_labels),
        cmocka_unit_test(parts_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
