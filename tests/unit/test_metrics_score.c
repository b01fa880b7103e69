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

static cfb_code pack(const cfb_score_row *rows, size_t n, cfb_buf *out) {
    cfb_buf_clear(out);
    return cfb_score_pack(rows, n, out, NULL);
}

/* Rows that were packed in stretches of all sizes give the bits of the rows themselves, over several blocks. */
static void packed_rows_give_the_same(void **state) {
    (void)state;
    enum { N = 3 * CFB_SCORE_BLOCK + 77 };
    static cfb_score_row rows[N];
    static const size_t sizes[] = {1, 64, 77, 500, CFB_SCORE_BLOCK};
    for (int kind = 0; kind < 4; kind++) { /* all answered; some not; values of F1; nothing but zeros */
        for (size_t i = 0; i < N; i++) {
            const double x = kind == 3 ? -0.0 : 1.0 / (double)(1 + i % 997);
            rows[i] = (cfb_score_row){.score = x,
                                      .set_precision = kind == 2 ? x / 3 : 0,
                                      .set_recall = kind == 2 ? x / 7 : 0,
                                      .set_f1 = kind == 2 ? x / 9 : 0,
                                      .response_chars = (uint32_t)i,
                                      .output_chars = UINT32_MAX,
                                      .state = kind == 1 ? (cfb_row_state)(i % CFB_ROW_STATE_COUNT) : CFB_ROW_OK,
                                      .reference_unmatchable = i % 5 == 0};
        }
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            const cfb_task task = {.name = "t", .kind = CFB_KIND_GENERATION, .metric = CFB_METRIC_TF};
            cfb_scorer_t *plain, *packed;
            cfb_score_summary a, b;
            cfb_buf buf = CFB_BUF_INIT(0);
            assert_ok(cfb_scorer_new(&task, NULL, &plain, e_));
            assert_ok(cfb_scorer_new(&task, NULL, &packed, e_));
            cfb_scorer_add_part(plain, rows, N);
            for (size_t i = 0, n, got; i < N; i += n) {
                const size_t room = CFB_SCORE_BLOCK - i % CFB_SCORE_BLOCK;
                n = sizes[k] < room ? sizes[k] : room;
                if (n > N - i) n = N - i;
                assert_ok(pack(rows + i, n, &buf));
                assert_ok(cfb_scorer_add_packed(packed, cfb_buf_str(&buf), &got, e_));
                assert_int_equal(got, n);
            }
            assert_ok(cfb_scorer_summary(plain, &a, e_));
            assert_ok(cfb_scorer_summary(packed, &b, e_));
            assert_string_equal(a.metric, b.metric);
            b.metric = a.metric;
            b.labels = a.labels;
            assert_memory_equal(&a, &b, sizeof a);
            cfb_scorer_free(plain);
            cfb_scorer_free(packed);
            cfb_buf_free(&buf);
        }
    }
}

static void packed_rows_that_are_none(void **state) {
    (void)state;
    const cfb_task task = {.name = "t", .kind = CFB_KIND_GENERATION, .metric = CFB_METRIC_TF};
    const cfb_score_row row = {.score = 0.5};
    static cfb_score_row rows[CFB_SCORE_BLOCK];
    cfb_scorer_t *s;
    cfb_score_summary sum;
    cfb_buf buf = CFB_BUF_INIT(0);
    size_t n;
    assert_ok(cfb_scorer_new(&task, NULL, &s, e_));
    assert_ok(pack(&row, 1, &buf));
    const cfb_str whole = cfb_buf_str(&buf);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(cfb_scorer_add_packed(s, (cfb_str){whole.ptr, len}, &n, NULL), CFB_EBUG);
    for (size_t i = 0; i < whole.len; i += 8) { /* a number that is too large: the sizes say so, or it is a count */
        buf.ptr[i + 7] = (char)0x7f;
        if (cfb_scorer_add_packed(s, whole, &n, NULL) == CFB_OK) assert_int_equal(n, 1);
        buf.ptr[i + 7] = 0;
    }
    cfb_scorer_free(s);
    assert_ok(cfb_scorer_new(&task, NULL, &s, e_));
    assert_ok(pack(rows, CFB_SCORE_BLOCK, &buf));
    cfb_scorer_add_part(s, &row, 1);
    assert_int_equal(cfb_scorer_add_packed(s, cfb_buf_str(&buf), &n, NULL), CFB_EBUG); /* of two blocks */
    assert_ok(cfb_scorer_summary(s, &sum, e_));
    assert_true(sum.n_rows == 1 && sum.mean_all == 0.5);
    cfb_scorer_free(s);
    cfb_buf_free(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_goes_through_the_scorer),
        cmocka_unit_test(averages_over_labels),
        cmocka_unit_test(parts_give_the_same),
        cmocka_unit_test(packed_rows_give_the_same),
        cmocka_unit_test(packed_rows_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
