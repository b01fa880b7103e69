/* Scoring by rows and blocks: cases by hand, the same bytes for any threads and batches, limits and errors. */
#include "cfbench/base.h"
#include "cfbench/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cblas.h>
#include <cmocka.h>

static const cfb_str suite_labels[] = {{"a", 1}, {"b", 1}, {"c", 1}};
static const cfb_task row_task = {.name = "row", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_ROW};
static const cfb_task suite_task = {
    .name = "suite", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_SUITE, .labels = suite_labels, .n_labels = 3};
static const cfb_task tf_task = {.name = "tf", .kind = CFB_KIND_GENERATION, .metric = CFB_METRIC_TF};

static cfb_scorer_t *new_scorer(const cfb_task *task, cfb_label_set set, int threads, bool confusion) {
    cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
    opts.label_set = set;
    opts.n_threads = threads;
    opts.confusion = confusion;
    cfb_scorer_t *s = NULL;
    assert_int_equal(cfb_scorer_new(task, &opts, &s, NULL), CFB_OK);
    return s;
}

static cfb_score_row_in row_in(const char *response, const char *output) {
    return (cfb_score_row_in){cfb_str_from(response), cfb_str_from(output), CFB_ROW_OK};
}

static cfb_score_row score_in(const cfb_task *task, cfb_label_set set, cfb_score_row_in in) {
    cfb_scorer_t *s = new_scorer(task, set, 1, false);
    cfb_score_row out;
    assert_int_equal(cfb_scorer_add(s, &in, 1, &out, NULL), CFB_OK);
    cfb_scorer_free(s);
    return out;
}

static cfb_score_row score_one(const cfb_task *task, cfb_label_set set, const char *response, const char *output) {
    return score_in(task, set, row_in(response, output));
}

static void assert_counts(cfb_score_row r, uint32_t tp, uint32_t n_pred, uint32_t n_true) {
    assert_int_equal(r.true_positives, tp);
    assert_int_equal(r.predicted_positives, n_pred);
    assert_int_equal(r.actual_positives, n_true);
}

static void test_row_labels(void **state) {
    (void)state;
#define ROW(response, output) score_one(&row_task, CFB_LABELS_ROW, response, output)
    assert_true(ROW("甲，乙", "乙,甲").score == 1.0);
    assert_true(ROW("甲，乙", "甲").score == 2 * 0.5 * 1 / 1.5);
    assert_counts(ROW("甲，乙", "甲，丙"), 1, 2, 2); /* the unknown item sets the extra class */
    assert_counts(ROW("甲，乙", "丙"), 0, 1, 2);
    assert_counts(ROW("甲，乙", ""), 0, 1, 2); /* so does an empty output */
    /* an ASCII comma in the reference: one label that nothing matches */
    cfb_score_row r = ROW("a,b", "a,b");
    assert_counts(r, 0, 1, 0);
    assert_true(r.score == 0.0 && r.reference_unmatchable && r.set_f1 == 1.0);
    /* L is not stripped */
    r = ROW("甲， 乙", "甲，乙");
    assert_counts(r, 1, 2, 1);
    assert_true(r.reference_unmatchable);
    assert_false(ROW("甲，乙", "丁").reference_unmatchable);
    /* a label that stands twice in L is two classes; in a set it is one */
    r = ROW("甲，甲，乙", "甲，甲");
    assert_counts(r, 2, 2, 3);
    assert_true(r.set_recall == 0.5 && r.set_precision == 1.0);
    /* an item of white space alone is the empty label: it counts in |set(output)| and can match an empty item of L */
    assert_counts(ROW("甲", "甲, ,"), 1, 2, 1);
    assert_counts(ROW("甲", " ,甲, "), 1, 1, 1); /* outer white space goes before splitting */
    r = ROW("甲，，乙, ,丙，丁", "x, ,y");
    assert_counts(r, 1, 2, 3); /* L = 甲, "", "乙, ,丙", 丁; "" is in both sets */
    assert_true(r.set_f1 == 0.0);
    /* the empty reference: L is one empty label, which is in no set here */
    r = ROW("", "");
    assert_counts(r, 0, 1, 0);
    assert_true(r.reference_unmatchable && r.score == 0.0);
    assert_counts(ROW(NULL, "x"), 0, 1, 0);
#undef ROW
}

static void test_suite_labels(void **state) {
    (void)state;
#define SUITE(response, output) score_one(&suite_task, CFB_LABELS_SUITE, response, output)
    assert_true(SUITE("a，b", "b, a").score == 1.0);
    assert_counts(SUITE("a,b", "a,b,c"), 2, 3, 2);
    assert_counts(SUITE("a", "a,x"), 1, 2, 1);
    assert_counts(SUITE("x", "x"), 0, 1, 0); /* not in the suite */
    assert_true(SUITE("x", "x").set_f1 == 1.0);
    assert_counts(SUITE("a", "a, ,"), 1, 2, 1);
    assert_counts(SUITE("a", "a,a"), 1, 1, 1);
    assert_false(SUITE("a,b", "a").reference_unmatchable);
    assert_true(SUITE("a,no such label", "a").reference_unmatchable); /* the suite's list lacks it */
#undef SUITE
}

static void test_observed_labels(void **state) {
    (void)state;
#define OBSERVED(response, output) score_one(&suite_task, CFB_LABELS_OBSERVED, response, output)
    assert_true(OBSERVED("x", "x").score == 1.0);
    assert_counts(OBSERVED("x", "y"), 0, 1, 1); /* y is a known label: no extra class */
    assert_counts(OBSERVED("x,y", "y,z,w"), 1, 3, 2);
    assert_counts(OBSERVED("x", "x, ,"), 1, 2, 1); /* the empty label is not observed, but counts as an item */
    assert_counts(OBSERVED("x", ""), 0, 1, 1);
#undef OBSERVED
}

/* Rows with more labels than one word of the matrices has bits. */
static void test_long_rows(void **state) {
    (void)state;
    cfb_buf response = CFB_BUF_INIT(0), output = CFB_BUF_INIT(0);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(cfb_buf_printf(&response, NULL, "%sn%d", i ? "，" : "", i), CFB_OK);
        if (i % 3 == 0) assert_int_equal(cfb_buf_printf(&output, NULL, "%sn%d", i ? "，" : "", i), CFB_OK);
        if (i % 5 == 0) assert_int_equal(cfb_buf_printf(&output, NULL, ",m%d", i), CFB_OK);
    }
    cfb_score_row r = score_one(&row_task, CFB_LABELS_ROW, response.ptr, output.ptr);
    assert_counts(r, 167, 168, 500);
    r = score_one(&suite_task, CFB_LABELS_OBSERVED, response.ptr, output.ptr);
    assert_counts(r, 167, 267, 500);
    assert_true(r.set_recall == 167.0 / 500 && r.set_precision == 167.0 / 267);
    cfb_buf_free(&response);
    cfb_buf_free(&output);
}

static void test_states(void **state) {
    (void)state;
    cfb_score_row_in rows[] = {row_in("a", "a"), row_in("a", "a"), row_in("a", ""), row_in("a", "b"), row_in("a", "a")};
    rows[1].state = CFB_ROW_FAILED;
    rows[2].state = CFB_ROW_EMPTY;
    rows[3].state = CFB_ROW_TRUNCATED;
    rows[4].state = CFB_ROW_FILTERED;
    cfb_score_row out[5];
    cfb_scorer_t *s = new_scorer(&suite_task, CFB_LABELS_SUITE, 1, false);
    assert_int_equal(cfb_scorer_add(s, rows, 5, out, NULL), CFB_OK);
    cfb_score_summary sum;
    assert_int_equal(cfb_scorer_summary(s, &sum, NULL), CFB_OK);
    assert_true(out[0].score == 1 && out[1].score == 0 && out[2].score == 0 && out[3].score == 0 && out[4].score == 1);
    assert_int_equal(out[1].output_chars, 0); /* a failed row has no output */
    assert_true(out[1].set_f1 == 0.0);
    assert_int_equal(sum.n_rows, 5);
    assert_int_equal(sum.n_answered, 2);
    for (int k = 0; k < CFB_ROW_STATE_COUNT; k++) assert_int_equal(sum.n_state[k], 1);
    assert_true(sum.mean_all == 2.0 / 5 && sum.mean_answered == 1.0 / 2);
    assert_string_equal(sum.metric, "f1 (labels: suite)");
    assert_int_equal(sum.n_labels, 2);
    assert_true(cfb_str_eqz(sum.labels[0].label, "a") && cfb_str_eqz(sum.labels[1].label, "b"));
    assert_true(sum.labels[0].actual == 5 && sum.labels[0].predicted == 2 && sum.labels[0].correct == 2);
    assert_true(sum.labels[1].actual == 0 && sum.labels[1].predicted == 1 && sum.labels[1].f1 == 0.0);
    assert_true(sum.labels[0].precision == 1.0 && sum.labels[0].recall == 2.0 / 5);
    cfb_scorer_free(s);
    /* a failed row of two empty texts would have the cosine 1 */
    cfb_score_row_in in = {CFB_STR_NULL, CFB_STR_NULL, CFB_ROW_FAILED};
    assert_true(score_in(&tf_task, CFB_LABELS_SUITE, in).score == 0.0);
    in.state = CFB_ROW_EMPTY;
    assert_true(score_in(&tf_task, CFB_LABELS_SUITE, in).score == 1.0);
}

static void test_nothing(void **state) {
    (void)state;
    cfb_scorer_t *s = new_scorer(&tf_task, CFB_LABELS_SUITE, 2, false);
    cfb_score_summary sum;
    assert_int_equal(cfb_scorer_add(s, NULL, 0, NULL, NULL), CFB_OK);
    assert_int_equal(cfb_scorer_summary(s, &sum, NULL), CFB_OK);
    assert_int_equal(sum.n_rows, 0);
    assert_true(isnan(sum.mean_all) && isnan(sum.mean_answered));
    assert_string_equal(sum.metric, "tf cosine");
    cfb_scorer_free(s);
    cfb_scorer_free(NULL);
}

/* ---- many rows ---- */

#define N_ROWS 5000

static char texts[N_ROWS][2][48];
static cfb_score_row_in many[N_ROWS];

static int make_many(void **state) {
    (void)state;
    static const char *const labels[] = {"a", "b", "c", "新能源", "d ", " ", "银行", "x"};
    static const char *const commas[] = {",", "，"};
    for (size_t i = 0; i < N_ROWS; i++) {
        for (size_t k = 0; k < 2; k++) {
            uint64_t v = cfb_rand_u64(1, k, i);
            snprintf(texts[i][k], sizeof texts[i][k], "%s%s%s%s%s%u", labels[v % 8], commas[v >> 8 & 1], labels[v >> 16 & 7],
                     commas[v >> 24 & 1], labels[v >> 32 & 7], (unsigned)(v >> 40 & 63));
            if ((v >> 50 & 3) == 0) texts[i][k][strlen(labels[v % 8])] = '\0';
        }
        many[i] = row_in(texts[i][0], texts[i][1]);
        many[i].state = (cfb_row_state)(cfb_rand_u64(2, 0, i) % 20 == 0 ? CFB_ROW_FAILED : CFB_ROW_OK);
    }
    return 0;
}

static cfb_scorer_t *score_many(const cfb_task *task, cfb_label_set set, int threads, size_t batch, cfb_score_row *out) {
    cfb_scorer_t *s = new_scorer(task, set, threads, false);
    for (size_t i = 0; i < N_ROWS; i += batch) {
        size_t n = N_ROWS - i < batch ? N_ROWS - i : batch;
        assert_int_equal(cfb_scorer_add(s, many + i, n, out ? out + i : NULL, NULL), CFB_OK);
    }
    return s;
}

static void assert_same_double(double a, double b) { assert_memory_equal(&a, &b, sizeof a); }

static void assert_same_summary(cfb_scorer_t *a, cfb_scorer_t *b) {
    cfb_score_summary x, y;
    assert_int_equal(cfb_scorer_summary(a, &x, NULL), CFB_OK);
    assert_int_equal(cfb_scorer_summary(b, &y, NULL), CFB_OK);
    assert_same_double(x.mean_all, y.mean_all);
    assert_same_double(x.mean_answered, y.mean_answered);
    assert_same_double(x.mean_precision, y.mean_precision);
    assert_same_double(x.mean_recall, y.mean_recall);
    assert_same_double(x.mean_f1, y.mean_f1);
    assert_int_equal(x.n_unmatchable, y.n_unmatchable);
    assert_int_equal(x.n_labels, y.n_labels);
    for (size_t i = 0; i < x.n_labels; i++) {
        assert_true(cfb_str_eq(x.labels[i].label, y.labels[i].label));
        assert_true(i == 0 || cfb_str_cmp(x.labels[i - 1].label, x.labels[i].label) < 0);
        assert_memory_equal(&x.labels[i].actual, &y.labels[i].actual, sizeof x.labels[i] - sizeof x.labels[i].label);
    }
}

static void test_same_for_any_threads_and_batches(void **state) {
    (void)state;
    const struct {
        const cfb_task *task;
        cfb_label_set set;
    } ways[] = {{&row_task, CFB_LABELS_ROW},
                {&suite_task, CFB_LABELS_SUITE},
                {&suite_task, CFB_LABELS_OBSERVED},
                {&tf_task, CFB_LABELS_SUITE}};
    static cfb_score_row first[N_ROWS], other[N_ROWS];
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        cfb_scorer_t *a = score_many(ways[w].task, ways[w].set, 1, N_ROWS, first);
        static const struct {
            int threads;
            size_t batch;
        } runs[] = {{2, N_ROWS}, {8, N_ROWS}, {2, 1024}, {8, 999}, {1, 1}, {2, 3000}};
        for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
            cfb_scorer_t *b = score_many(ways[w].task, ways[w].set, runs[r].threads, runs[r].batch, other);
            for (size_t i = 0; i < N_ROWS; i++) {
                assert_same_double(first[i].score, other[i].score);
                assert_int_equal(first[i].true_positives, other[i].true_positives);
            }
            assert_same_summary(a, b);
            cfb_scorer_free(b);
        }
        cfb_scorer_free(a);
    }
}

static void test_mean_is_block_sums(void **state) {
    (void)state;
    static cfb_score_row out[N_ROWS];
    cfb_scorer_t *s = score_many(&row_task, CFB_LABELS_ROW, 2, 777, out);
    double total = 0;
    for (size_t b = 0; b < N_ROWS; b += CFB_SCORE_BLOCK) {
        double part = 0;
        for (size_t i = b; i < N_ROWS && i < b + CFB_SCORE_BLOCK; i++) part += out[i].score;
        total += part;
    }
    cfb_score_summary sum;
    assert_int_equal(cfb_scorer_summary(s, &sum, NULL), CFB_OK);
    assert_same_double(sum.mean_all, total / N_ROWS);
    cfb_scorer_free(s);
}

static bool has_label(const char *text, const char *label) {
    /* make_many's suite labels are single letters between commas; "d " and digits never make one */
    for (const char *p = text; (p = strstr(p, label)) != NULL; p++) {
        bool begins = p == text || p[-1] == ',' || (unsigned char)p[-1] == 0x8C || p[-1] == ' ';
        bool ends = p[1] == '\0' || p[1] == ',' || (unsigned char)p[1] == 0xEF || p[1] == ' ';
        if (begins && ends) return true;
    }
    return false;
}

static void test_confusion(void **state) {
    (void)state;
    uint64_t want[3][3] = {{0}};
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < N_ROWS; i++)
        for (size_t t = 0; t < 3; t++)
            for (size_t p = 0; p < 3; p++)
                want[t][p] +=
                    many[i].state != CFB_ROW_FAILED && has_label(texts[i][0], names[t]) && has_label(texts[i][1], names[p]);
    for (int threads = 1; threads <= 8; threads *= 2) {
        cfb_scorer_t *s = new_scorer(&suite_task, CFB_LABELS_SUITE, threads, true);
        for (size_t i = 0; i < N_ROWS; i += 1250) assert_int_equal(cfb_scorer_add(s, many + i, 1250, NULL, NULL), CFB_OK);
        const uint64_t *counts;
        size_t n;
        assert_int_equal(cfb_scorer_confusion(s, &counts, &n, NULL), CFB_OK);
        assert_int_equal(n, 3);
        assert_memory_equal(counts, want, sizeof want);
        assert_true(want[0][1] > 0);
        cfb_scorer_free(s);
    }
}

/* More labels than one panel of the product has columns. */
static void test_confusion_panels(void **state) {
    (void)state;
    enum { N = 150 };
    static char names[N][16];
    static cfb_str labels[N];
    static uint64_t want[N][N];
    static cfb_score_row_in rows[N_ROWS];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "L%03d", i);
        labels[i] = cfb_str_from(names[i]);
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t t = cfb_rand_u64(3, 0, i) % N, p = cfb_rand_u64(3, 1, i) % N;
        rows[i] = (cfb_score_row_in){labels[t], labels[p], CFB_ROW_OK};
        want[t][p]++;
    }
    cfb_task task = suite_task;
    task.labels = labels;
    task.n_labels = N;
    cfb_scorer_t *s = new_scorer(&task, CFB_LABELS_SUITE, 2, true);
#ifdef OPENBLAS_VERSION
    int blas_threads = openblas_get_num_threads();
    openblas_set_num_threads(3);
#endif
    assert_int_equal(cfb_scorer_add(s, rows, N_ROWS, NULL, NULL), CFB_OK);
#ifdef OPENBLAS_VERSION
    assert_int_equal(openblas_get_num_threads(), 3); /* what the process had */
    openblas_set_num_threads(blas_threads);
#endif
    const uint64_t *counts;
    size_t n;
    assert_int_equal(cfb_scorer_confusion(s, &counts, &n, NULL), CFB_OK);
    assert_memory_equal(counts, want, sizeof want);
    cfb_scorer_free(s);
}

/* ---- errors ---- */

static void test_bad_utf8(void **state) {
    (void)state;
    static cfb_score_row_in rows[3000];
    for (size_t i = 0; i < 3000; i++) rows[i] = row_in("a", "a");
    rows[2500].output = CFB_STR_LIT("\xE4\xB8");
    rows[2000].response = CFB_STR_LIT("\xFF");
    const cfb_task *tasks[] = {&suite_task, &tf_task};
    for (int t = 0; t < 2; t++)
        for (int threads = 1; threads <= 8; threads *= 8) {
            cfb_scorer_t *s = new_scorer(tasks[t], CFB_LABELS_SUITE, threads, false);
            cfb_err err = CFB_ERR_INIT;
            assert_int_equal(cfb_scorer_add(s, rows, 3000, NULL, &err), CFB_EENCODING);
            assert_int_equal(err.offset, 2000); /* the lowest, whichever thread met its own first */
            cfb_score_summary sum;
            assert_int_equal(cfb_scorer_summary(s, &sum, &err), CFB_EENCODING);
            assert_int_equal(cfb_scorer_add(s, rows, 1, NULL, &err), CFB_EENCODING);
            cfb_scorer_free(s);
        }
}

static void test_max_labels(void **state) {
    (void)state;
    static char names[4000][16];
    static cfb_score_row_in rows[4000];
    for (int i = 0; i < 4000; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        rows[i] = row_in(names[i], "n0, ,n1");
    }
    for (size_t limit = 3999; limit <= 4000; limit++) {
        cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
        opts.max_labels = limit;
        cfb_scorer_t *s;
        assert_int_equal(cfb_scorer_new(&row_task, &opts, &s, NULL), CFB_OK);
        assert_int_equal(cfb_scorer_add(s, rows, 4000, NULL, NULL), limit == 4000 ? CFB_OK : CFB_ELIMIT);
        cfb_scorer_free(s);
    }
}

static void test_options(void **state) {
    (void)state;
    cfb_scorer_t *s;
    cfb_err err = CFB_ERR_INIT;
    cfb_task bare = suite_task;
    bare.labels = NULL;
    bare.n_labels = 0;
    assert_int_equal(cfb_scorer_new(&bare, NULL, &s, &err), CFB_ECONFIG);
    cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
    opts.confusion = true;
    assert_int_equal(cfb_scorer_new(&row_task, &opts, &s, &err), CFB_ECONFIG);
    assert_int_equal(cfb_scorer_new(&tf_task, &opts, &s, &err), CFB_ECONFIG);
    bare.n_labels = CFB_SCORE_CONFUSION_LABELS + 1;
    assert_int_equal(cfb_scorer_new(&bare, &opts, &s, &err), CFB_ELIMIT);
    assert_int_equal(cfb_scorer_new(&suite_task, NULL, &s, &err), CFB_OK);
    const uint64_t *counts;
    size_t n;
    assert_int_equal(cfb_scorer_confusion(s, &counts, &n, &err), CFB_ECONFIG);
    cfb_scorer_free(s);
    assert_string_equal(cfb_row_state_name(CFB_ROW_TRUNCATED), "truncated");
}

/* ---- labels that stand in for others ---- */

static void labels_of_a_text(void **state) {
    (void)state;
    static const char *const want[] = {"a", "b c", "丁"};
    cfb_str rest = cfb_str_from(" ,a , b c\xEF\xBC\x8C ,\xEF\xBC\x8C丁\xE3\x80\x80,"), label;
    for (size_t i = 0; i < 3; i++) {
        assert_true(cfb_label_next(&rest, &label));
        assert_true(cfb_str_eqz(label, want[i]));
    }
    assert_false(cfb_label_next(&rest, &label));
    rest = CFB_STR_NULL;
    assert_false(cfb_label_next(&rest, &label));
}

static void confused_labels(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"a", "b"}, {"a", "b"}, {"b", "a"},       {"a", "a"}, {"a,c", "a,b,d"},
                                          {"a", ""},  {"", "b"},  {"a,a,b", "c,c"}, {"x", "x"}, {"c", "d"}};
    static const struct {
        const char *reference, *output;
        uint64_t n;
    } want[] = {{"a", "b", 2}, {"c", "d", 2}, {"a", "c", 1}, {"b", "a", 1}, {"b", "c", 1}, {"c", "b", 1}};
    cfb_confused_t *c = NULL;
    const cfb_confused_pair *pairs;
    size_t n;
    assert_int_equal(cfb_confused_new(&c, NULL), CFB_OK);
    assert_int_equal(cfb_confused_list(c, &pairs, &n, NULL), CFB_OK);
    assert_int_equal(n, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(cfb_confused_add(c, cfb_str_from(rows[i][0]), cfb_str_from(rows[i][1]), NULL), CFB_OK);
    assert_int_equal(cfb_confused_list(c, &pairs, &n, NULL), CFB_OK);
    assert_int_equal(n, sizeof want / sizeof *want);
    for (size_t i = 0; i < n; i++) {
        assert_true(cfb_str_eqz(pairs[i].reference, want[i].reference) && cfb_str_eqz(pairs[i].output, want[i].output));
        assert_int_equal(pairs[i].n, want[i].n);
    }
    for (int i = 0; i < 1000; i++) { /* many pairs: the table grows */
        char ref[16], out[16];
        snprintf(ref, sizeof ref, "r%d", i);
        snprintf(out, sizeof out, "o%d", i % 7);
        assert_int_equal(cfb_confused_add(c, cfb_str_from(ref), cfb_str_from(out), NULL), CFB_OK);
    }
    assert_int_equal(cfb_confused_list(c, &pairs, &n, NULL), CFB_OK);
    assert_int_equal(n, 1000 + sizeof want / sizeof *want);
    cfb_confused_free(c);
    cfb_confused_free(NULL);
}

/* A few labels, some with commas of their own width, white space, and characters that begin as the wide comma does. */
static void random_text(char *out, size_t size, uint64_t stream, uint64_t row) {
    static const char *const pieces[] = {
        "a", "b", "长江电力", "长江", "，", ",", "，", " ", "\xE3\x80\x80", "ｆ", "ａ", "，", "中国银行股份有限公司", ",", "é"};
    size_t n = (size_t)(cfb_rand_u64(stream, 0, row) % 40), len = 0;
    out[0] = '\0';
    for (size_t k = 0; k < n; k++) {
        const char *piece = pieces[cfb_rand_u64(stream, k + 1, row) % (sizeof pieces / sizeof *pieces)];
        if (len + strlen(piece) < size) len += (size_t)snprintf(out + len, size - len, "%s", piece);
    }
}

static size_t distinct_labels(cfb_str text, cfb_str out[64]) {
    size_t n = 0, k;
    for (cfb_str item; n < 64 && cfb_label_next(&text, &item);) {
        for (k = 0; k < n && !cfb_str_eq(out[k], item); k++) {
        }
        if (k == n) out[n++] = item;
    }
    return n;
}

static bool is_among(cfb_str s, const cfb_str *set, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (cfb_str_eq(set[i], s)) return true;
    return false;
}

/* Row by row: a new row's pairs are those that its labels, taken one by one, make. */
static void confused_labels_of_odd_texts(void **state) {
    (void)state;
    for (uint64_t row = 0; row < 3000; row++) {
        char a[600], b[600];
        cfb_str ref[64], out[64];
        const cfb_confused_pair *pairs;
        size_t n, want = 0;
        cfb_confused_t *c = NULL;
        random_text(a, sizeof a, 21, row);
        random_text(b, sizeof b, 22, row);
        assert_int_equal(cfb_confused_new(&c, NULL), CFB_OK);
        assert_int_equal(cfb_confused_add(c, cfb_str_from(a), cfb_str_from(b), NULL), CFB_OK);
        assert_int_equal(cfb_confused_list(c, &pairs, &n, NULL), CFB_OK);
        size_t n_ref = distinct_labels(cfb_str_from(a), ref), n_out = distinct_labels(cfb_str_from(b), out);
        for (size_t i = 0; i < n_ref; i++)
            for (size_t k = 0; k < n_out; k++) {
                if (is_among(ref[i], out, n_out) || is_among(out[k], ref, n_ref)) continue;
                bool found = false;
                for (size_t p = 0; p < n; p++)
                    found = found || (cfb_str_eq(pairs[p].reference, ref[i]) && cfb_str_eq(pairs[p].output, out[k]));
                assert_true(found);
                want++;
            }
        assert_int_equal(n, want);
        for (size_t p = 1; p < n; p++) {
            int by_ref = cfb_str_cmp(pairs[p - 1].reference, pairs[p].reference);
            assert_true(by_ref < 0 || (by_ref == 0 && cfb_str_cmp(pairs[p - 1].output, pairs[p].output) < 0));
        }
        cfb_confused_free(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_labels),
        cmocka_unit_test(test_suite_labels),
        cmocka_unit_test(test_observed_labels),
        cmocka_unit_test(test_long_rows),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_same_for_any_threads_and_batches),
        cmocka_unit_test(test_mean_is_block_sums),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_confusion_panels),
        cmocka_unit_test(test_bad_utf8),
        cmocka_unit_test(test_max_labels),
        cmocka_unit_test(test_options),
        cmocka_unit_test(labels_of_a_text),
        cmocka_unit_test(confused_labels),
        cmocka_unit_test(confused_labels_of_odd_texts),
    };
    return cmocka_run_group_tests(tests, make_many, NULL);
}
