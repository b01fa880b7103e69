/* F1 from counts, bit counting, cosine: cases by hand and against the obvious loops. */
#include "cfbench/base.h"
#include "cfbench/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The formula as upstream has it, step by step. */
static double plain_f1(uint32_t tp, uint32_t n_true, uint32_t n_pred) {
    double t = n_true, p = n_pred;
    if (t < 1e-10) t = 1e-10;
    if (p < 1e-10) p = 1e-10;
    double a = tp / t, b = tp / p;
    if (a == 0 || b == 0) return 0;
    double product = 2 * a * b, sum = a + b;
    return product / sum;
}

static void test_f1_from_counts(void **state) {
    (void)state;
    assert_true(cfb_f1_from_counts(0, 0, 0) == 0.0);
    assert_true(cfb_f1_from_counts(0, 0, 1) == 0.0);
    assert_true(cfb_f1_from_counts(1, 1, 1) == 1.0);
    assert_true(cfb_f1_from_counts(1, 1, 2) == 2.0 / 3.0);
    assert_true(cfb_f1_from_counts(2, 3, 4) == 2 * (2.0 / 3) * (2.0 / 4) / (2.0 / 3 + 2.0 / 4));
    for (uint32_t t = 0; t < 40; t++)
        for (uint32_t p = 0; p < 40; p++)
            for (uint32_t tp = 0; tp <= t && tp <= p; tp++) assert_true(cfb_f1_from_counts(tp, t, p) == plain_f1(tp, t, p));
}

static uint32_t plain_count(uint64_t w) {
    uint32_t n = 0;
    for (; w; w &= w - 1) n++;
    return n;
}

static void check_bits(size_t n_rows, size_t n_words, int kind) {
    size_t n = n_rows * n_words + 1;
    uint64_t *truth = calloc(n, 8), *pred = calloc(n, 8);
    uint32_t *tp = calloc(n_rows, 4), *n_true = calloc(n_rows, 4), *n_pred = calloc(n_rows, 4);
    assert_true(truth && pred && tp && n_true && n_pred);
    for (size_t i = 0; i < n; i++) {
        truth[i] = kind == 0 ? UINT64_MAX : cfb_rand_u64(7, n_words, i);
        pred[i] = kind == 0 ? UINT64_MAX : cfb_rand_u64(8, n_words, i) & cfb_rand_u64(9, n_words, i);
    }
    cfb_bits_count(truth, pred, n_rows, n_words, tp, n_true, n_pred);
    for (size_t r = 0; r < n_rows; r++) {
        uint32_t want[3] = {0, 0, 0};
        for (size_t w = r * n_words; w < (r + 1) * n_words; w++) {
            want[0] += plain_count(truth[w] & pred[w]);
            want[1] += plain_count(truth[w]);
            want[2] += plain_count(pred[w]);
        }
        assert_int_equal(tp[r], want[0]);
        assert_int_equal(n_true[r], want[1]);
        assert_int_equal(n_pred[r], want[2]);
    }
    free(truth);
    free(pred);
    free(tp);
    free(n_true);
    free(n_pred);
}

static void test_bits_count(void **state) {
    (void)state;
    static const size_t words[] = {0, 1, 2, 3, 4, 7, 63, 64, 65, 511, 512, 513, 1100};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int kind = 0; kind < 2; kind++) {
            check_bits(1, words[i], kind);
            check_bits(131, words[i], kind);
        }
}

static void test_f1_finish(void **state) {
    (void)state;
    /* nothing predicted; all known; one item unknown; the empty output; an item too many although all labels hit */
    const uint32_t tp[] = {0, 2, 1, 0, 2}, n_true[] = {1, 2, 1, 0, 2}, n_items[] = {1, 2, 2, 0, 3};
    uint32_t n_pred[] = {0, 2, 1, 0, 2};
    const uint32_t want[] = {1, 2, 2, 1, 3};
    double score[5];
    cfb_f1_finish(tp, n_true, n_pred, n_items, 5, score);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(n_pred[i], want[i]);
        assert_true(score[i] == plain_f1(tp[i], n_true[i], want[i]));
    }
}

static void test_set_scores(void **state) {
    (void)state;
    const uint32_t both[] = {0, 0, 0, 1, 2, 3}, n_ref[] = {0, 2, 0, 2, 2, 7}, n_out[] = {0, 0, 3, 1, 2, 5};
    double p[6], r[6], f[6];
    cfb_set_scores(both, n_ref, n_out, 6, p, r, f);
    for (int i = 0; i < 3; i++) assert_true(p[i] == 0 && r[i] == 0 && f[i] == 0);
    assert_true(p[3] == 1.0 && r[3] == 0.5 && f[3] == 2 * 1.0 * 0.5 / 1.5);
    assert_true(p[4] == 1.0 && r[4] == 1.0 && f[4] == 1.0);
    assert_true(f[5] == 2 * (3.0 / 5) * (3.0 / 7) / (3.0 / 5 + 3.0 / 7));
}

static void test_cosine_from_counts(void **state) {
    (void)state;
    assert_true(cfb_cosine_from_counts(0, 0, 0) == 1.0);
    assert_true(cfb_cosine_from_counts(0, 0, 5) == 0.0);
    assert_true(cfb_cosine_from_counts(0, 5, 0) == 0.0);
    assert_true(cfb_cosine_from_counts(3, 3, 3) <= 1.0); /* sqrt(3)^2 is below 3: clamped */
    assert_true(cfb_cosine_from_counts(1, 2, 2) == 1.0 / (sqrt(2.0) * sqrt(2.0)));
}

static double cosine(const char *a, const char *b) {
    cfb_tf_scratch_t *s;
    double c = -1;
    assert_int_equal(cfb_tf_scratch_new(&s, NULL), CFB_OK);
    assert_int_equal(cfb_tf_cosine(s, cfb_str_from(a), cfb_str_from(b), &c, NULL), CFB_OK);
    cfb_tf_scratch_free(s);
    return c;
}

static void test_tf_cosine(void **state) {
    (void)state;
    assert_true(cosine("", "") == 1.0);
    assert_true(cosine("，。 !", "\xE3\x80\x80") == 1.0); /* both empty only after the preprocessing */
    assert_true(cosine("a", "，") == 0.0);
    assert_true(cosine(NULL, "a") == 0.0);
    assert_true(cosine("Hello, WORLD", "hello world") > 0.999);
    assert_true(cosine("中国", "国中") > 0.999);                            /* a CJK word is its characters */
    assert_true(cosine("中a", "a") == 1 / (sqrt(2.0) * 1));                 /* the Latin one too, equal to the word "a" */
    assert_true(cosine("ab", "a b") == 0.0);                                /* but a Latin word is one token */
    assert_true(cosine("\xE3\x90\x80\xE3\x90\x81", "\xE3\x90\x80") == 0.0); /* extension A is not split */
    assert_true(cosine("a\xE2\x80\x9C", "a") == 0.0);                       /* curly quotes stay */
    assert_true(cosine("中\xF0\xA0\x80\x80", "\xF0\xA0\x80\x80") == 1 / (sqrt(2.0) * 1)); /* beyond the BMP */
    assert_true(cosine("ΑΣ", "ας") == 1.0);
    assert_true(cosine("a a b", "a") == 2 / (sqrt(5.0) * 1));
}

static void test_tf_many_words(void **state) {
    (void)state;
    cfb_buf a = CFB_BUF_INIT(0), b = CFB_BUF_INIT(0);
    for (int i = 0; i < 3000; i++) { /* the word table grows; 1000 words in common */
        assert_int_equal(cfb_buf_printf(&a, NULL, "word%d ", i), CFB_OK);
        assert_int_equal(cfb_buf_printf(&b, NULL, "word%d ", i + 2000), CFB_OK);
    }
    cfb_tf_scratch_t *s;
    assert_int_equal(cfb_tf_scratch_new(&s, NULL), CFB_OK);
    cfb_tf_counts c;
    for (int round = 0; round < 2; round++) { /* nothing is left over from one pair to the next */
        assert_int_equal(cfb_tf_count(s, cfb_buf_str(&a), cfb_buf_str(&b), &c, NULL), CFB_OK);
        assert_true(c.dot == 1000 && c.aa == 3000 && c.bb == 3000);
        assert_int_equal(c.response_chars, a.len);
        assert_int_equal(cfb_tf_count(s, CFB_STR_LIT("x"), CFB_STR_LIT("x"), &c, NULL), CFB_OK);
        assert_true(c.dot == 1 && c.aa == 1 && c.bb == 1);
    }
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_tf_count(s, CFB_STR_LIT("a"), CFB_STR_LIT("\xE4\xB8"), &c, &err), CFB_EENCODING);
    cfb_tf_scratch_free(s);
    cfb_tf_scratch_free(NULL);
    cfb_buf_free(&a);
    cfb_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f1_from_counts), cmocka_unit_test(test_bits_count),         cmocka_unit_test(test_f1_finish),
        cmocka_unit_test(test_set_scores),     cmocka_unit_test(test_cosine_from_counts), cmocka_unit_test(test_tf_cosine),
        cmocka_unit_test(test_tf_many_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
