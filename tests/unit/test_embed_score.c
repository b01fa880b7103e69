/* Metrics that need many pairs at a time: rows given at once, in parts, with failures and errors. The scores come from a function
 * of the test; tests/cli/embed.sh has the real ones. */
#include "test.h"

#include "cfbench/score.h"

#include <math.h>

#define N 2500

static const cfb_task task = {.name = "brief", .kind = CFB_KIND_GENERATION, .metric = CFB_METRIC_BGE};
static char texts[N][16];
static cfb_score_row_in rows[N];

static double score_of(cfb_str a, cfb_str b) {
    return (double)((a.len * 7 + b.len * 3 + (size_t)(unsigned char)b.ptr[0]) % 100) / 100;
}

/* Calls are counted; a text of one '!' is an error. */
static cfb_code score_some(void *ctx, const cfb_score_row_in *in, size_t n, double *scores, cfb_err *err) {
    ++*(int *)ctx;
    for (size_t i = 0; i < n; i++) {
        if (cfb_str_eqz(in[i].output, "!")) {
            cfb_err_set(err, CFB_EENCODING, "not a text");
            err->offset = i;
            return CFB_EENCODING;
        }
        scores[i] = score_of(in[i].response, in[i].output);
    }
    return CFB_OK;
}

static void make_rows(void) {
    for (size_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "%zu", i * 7919 % 100003);
        rows[i] =
            (cfb_score_row_in){cfb_str_from(texts[i]), cfb_str_from(texts[N - 1 - i]), i % 10 ? CFB_ROW_OK : CFB_ROW_FAILED};
    }
    for (size_t i = 0; i < N; i++) rows[i].output = cfb_str_from(texts[N - 1 - i]);
}

static cfb_scorer_t *new_scorer(int n_threads, int *calls) {
    cfb_score_opts o = CFB_SCORE_OPTS_INIT;
    cfb_scorer_t *s = NULL;
    o.n_threads = n_threads;
    o.pairs = (cfb_score_pairs){score_some, calls, "bge cosine (test)"};
    assert_ok(cfb_scorer_new(&task, &o, &s, &test_err));
    return s;
}

static void test_add_and_parts(void **state) {
    (void)state;
    static cfb_score_row out[N], parts[N];
    cfb_score_summary one, two;
    int calls = 0;
    double sum = 0;
    make_rows();
    cfb_scorer_t *s = new_scorer(2, &calls), *p = new_scorer(3, &calls);
    assert_ok(cfb_scorer_add(s, rows, 100, out, &test_err));
    assert_ok(cfb_scorer_add(s, rows + 100, N - 100, out + 100, &test_err));
    assert_int_equal(calls, 2); /* many rows in one call */
    for (size_t i = 0; i < N; i++) {
        double want = i % 10 ? score_of(rows[i].response, rows[i].output) : 0;
        assert_true(out[i].score == want);
        assert_int_equal(out[i].response_chars, rows[i].response.len);
        sum += want;
    }
    for (size_t i = N; i-- > 0;) assert_ok(cfb_scorer_score_part(p, (int)(i % 3), &rows[i], 1, &parts[i], &test_err));
    cfb_scorer_add_part(p, parts, N);
    assert_ok(cfb_scorer_summary(s, &one, &test_err));
    assert_ok(cfb_scorer_summary(p, &two, &test_err));
    assert_string_equal(one.metric, "bge cosine (test)");
    assert_true(one.mean_all == two.mean_all && one.mean_answered == two.mean_answered);
    assert_true(fabs(one.mean_all - sum / N) < 1e-12);
    cfb_scorer_free(s);
    cfb_scorer_free(p);
}

/* More threads than a wave has blocks: each has room of its own. */
static void test_many_threads(void **state) {
    (void)state;
    enum { THREADS = 400, PART = 5 };
    static cfb_score_row out[N];
    int calls = 0;
    make_rows();
    cfb_scorer_t *s = new_scorer(THREADS, &calls);
    for (size_t i = 0; i < N; i += PART)
        assert_ok(cfb_scorer_score_part(s, (int)(i / PART % THREADS), rows + i, PART, out + i, &test_err));
    for (size_t i = 0; i < N; i++) assert_true(out[i].score == (i % 10 ? score_of(rows[i].response, rows[i].output) : 0));
    cfb_scorer_free(s);
}

static void test_errors(void **state) {
    (void)state;
    static cfb_score_row out[N];
    cfb_score_opts o = CFB_SCORE_OPTS_INIT;
    cfb_scorer_t *s = NULL;
    int calls = 0;
    assert_fails(cfb_scorer_new(&task, &o, &s, &test_err), CFB_ECONFIG, "needs an embedding model");
    assert_null(s);
    make_rows();
    rows[2001].output = CFB_STR_LIT("!");
    s = new_scorer(2, &calls);
    assert_fails(cfb_scorer_add(s, rows, N, out, &test_err), CFB_EENCODING, "row 2001 of these: not a text");
    assert_int_equal(test_err.offset, 2001);
    cfb_scorer_free(s);
    s = new_scorer(2, &calls);
    assert_fails(cfb_scorer_score_part(s, 1, rows, N, out, &test_err), CFB_EENCODING, "row 2001 of these");
    cfb_scorer_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_add_and_parts), cmocka_unit_test(test_many_threads),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
