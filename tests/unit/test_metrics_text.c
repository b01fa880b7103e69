/* Text metrics: values by hand, edge cases, limits, and long texts against the obvious loops. */
#include "cfbench/metrics.h"
#include "metrics/scratch.h"
#include "test.h"

#include <math.h>

static cfb_metric_scratch_t *scratch;

static int make_scratch(void **state) {
    (void)state;
    return cfb_metric_scratch_new(&scratch, NULL) == CFB_OK ? 0 : -1;
}
static int drop_scratch(void **state) {
    (void)state;
    cfb_metric_scratch_free(scratch);
    cfb_metric_scratch_free(NULL);
    return 0;
}

static cfb_str z(const char *text) { return cfb_str_from(text); }

static void assert_near(double got, double want) {
    if (!(fabs(got - want) <= 1e-12)) fail_msg("%.17g is not %.17g", got, want);
}

static double score(cfb_metric m, const char *response, const char *output) {
    cfb_metric_row row;
    assert_ok(cfb_metric_get(m)->row(scratch, z(response), z(output), &row, e_));
    assert_true(row.score >= 0.0 && row.score <= 1.0);
    return row.score;
}

/* ---- exact match ---- */

static void test_exact(void **state) {
    (void)state;
    assert_true(score(CFB_METRIC_EXACT, "正面", " 正面\n") == 1.0);
    assert_true(score(CFB_METRIC_EXACT, "\xE3\x80\x80正面", "正面") == 1.0);
    assert_true(score(CFB_METRIC_EXACT, "正面", "正 面") == 0.0);
    assert_true(score(CFB_METRIC_EXACT, "A", "a") == 0.0);
    assert_true(score(CFB_METRIC_EXACT, "", "  ") == 1.0);
    assert_true(score(CFB_METRIC_EXACT, "", "x") == 0.0);
}

/* ---- choices ---- */

static void assert_choices(const char *text, const char *letters) {
    unsigned got, want = 0;
    for (; *letters; letters++) want |= 1u << (*letters - 'A');
    assert_ok(cfb_metric_choices(z(text), &got, e_));
    if (got != want) fail_msg("'%s' names 0x%x, not 0x%x", text, got, want);
}

static void test_choices_alone(void **state) {
    (void)state;
    const char *const cases[][2] = {
        {"A", "A"},     {" B\n", "B"},    {"c", "C"},      {"(D)", "D"},         {"（E）", "E"}, {"**B**", "B"},
        {"__B__", "B"}, {"【C】。", "C"}, {"Ｄ", "D"},     {"ｂ", "B"},          {"ABD", "ABD"}, {"ＡＢＤ", "ABD"},
        {"A、C", "AC"}, {"A,C", "AC"},    {"A， C", "AC"}, {"a c", "AC"},        {"A和D", "AD"}, {"A, B and D", "ABD"},
        {"A/B", "AB"},  {"\"B\".", "B"},  {"", ""},        {"   ", ""},          {"F", ""},      {"BA", ""},
        {"AA", ""},     {"我不知道", ""}, {"DEAD", ""},    {"$\\boxed{A}$", "A"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_choices(cases[i][0], cases[i][1]);
}

static void test_choices_announced(void **state) {
    (void)state;
    const char *const cases[][2] = {{"答案是 B", "B"},
                                    {"答案：B", "B"},
                                    {"答案为：Ｂ", "B"},
                                    {"正确答案应该是选项C。", "C"},
                                    {"选B", "B"},
                                    {"故选：D", "D"},
                                    {"因此应选择（A）", "A"},
                                    {"答案选 AC", "AC"},
                                    {"答案：A、C、D", "ACD"},
                                    {"答案是A，B选项错误", "A"},
                                    {"答案是A、B，C错误", "AB"},
                                    {"答案是A,B。", "AB"},
                                    {"先看A，再看B。答案是C", "C"},
                                    {"答案可能是A吗？不，答案是 D。", "D"},
                                    {"不选A，选C", "C"},
                                    {"不应该选A。应该选B。", "B"},
                                    {"The answer is B because of C.", "B"},
                                    {"Answer: A because it rose", "A"},
                                    {"the correct option is (D).", "D"},
                                    {"正确的是B", "B"},
                                    {"最终答案：**C**", "C"},
                                    {"答案：\\boxed{\\text{E}}", "E"},
                                    {"answers A", "A"}, /* by rule 5: "answers" announces nothing */
                                    {"推荐A股，答案是C", "C"},
                                    {"选A股", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_choices(cases[i][0], cases[i][1]);
}

static void test_choices_other(void **state) {
    (void)state;
    const char *const cases[][2] = {/* rule 3 */
                                    {"A选项错误，B选项正确，C选项错误", "B"},
                                    {"A正确，B错误，C正确", "AC"},
                                    {"选项D符合题意，选项A不符合题意", "D"},
                                    {"A is correct, B is incorrect", "A"},
                                    {"A、B选项正确，C不正确", "AB"},
                                    /* rule 4 */
                                    {"B. 净利润增长，高于C", "B"},
                                    {"逐项分析 A 与 B 后得出\nC", "C"},
                                    {"A. 甲\nB. 乙\nC. 丙", ""},
                                    {"- B\n- B", "B"},
                                    /* rule 5 */
                                    {"我认为是B", "B"},
                                    {"A股上涨，因此是D项", "D"},
                                    {"公司C轮融资，A级信用，B+评级", ""},
                                    {"A或者B", ""},
                                    {"A company that is listed", ""},
                                    {"B2B, C&D, A-share, x_A", ""},
                                    {"β与É", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_choices(cases[i][0], cases[i][1]);
    cfb_metric_row row;
    assert_true(score(CFB_METRIC_ACCURACY, "B", "我选B。") == 1.0);
    assert_true(score(CFB_METRIC_ACCURACY, "ABD", "答案：A、B、D") == 1.0);
    assert_true(score(CFB_METRIC_ACCURACY, "ABD", "答案：A、B") == 0.0);
    assert_true(score(CFB_METRIC_ACCURACY, "B", "") == 0.0);
    assert_ok(cfb_metric_get(CFB_METRIC_ACCURACY)->row(scratch, z("见解析"), z("B"), &row, e_));
    assert_true(row.score == 0.0 && row.reference_unmatchable);
    assert_true(row.response_chars == 3 && row.output_chars == 1);
}

/* ---- ROUGE ---- */

static void test_rouge(void **state) {
    (void)state;
    cfb_prf p;
    /* tokens: the cat sat on mat / the cat is on the mat */
    assert_ok(cfb_metric_rouge_n(scratch, 1, z("The cat is on the mat."), z("the cat sat on mat"), &p, e_));
    assert_near(p.precision, 4.0 / 5);
    assert_near(p.recall, 4.0 / 6);
    assert_near(p.f, 2 * (4.0 / 5) * (4.0 / 6) / (4.0 / 5 + 4.0 / 6));
    assert_ok(cfb_metric_rouge_n(scratch, 2, z("The cat is on the mat."), z("the cat sat on mat"), &p, e_));
    assert_near(p.precision, 1.0 / 4);
    assert_near(p.recall, 1.0 / 5);
    assert_ok(cfb_metric_rouge_l(scratch, z("The cat is on the mat."), z("the cat sat on mat"), &p, e_));
    assert_near(p.recall, 4.0 / 6);
    /* 净 利 润 增 长 12 5 / 利 润 下 降 12 */
    assert_ok(cfb_metric_rouge_n(scratch, 1, z("净利润增长12.5%"), z("利润下降12%"), &p, e_));
    assert_near(p.precision, 3.0 / 5);
    assert_near(p.recall, 3.0 / 7);
    assert_ok(cfb_metric_rouge_l(scratch, z("净利润增长12.5%"), z("12利润"), &p, e_));
    assert_near(p.precision, 2.0 / 3);
    /* clipped: the reference has two a */
    assert_ok(cfb_metric_rouge_n(scratch, 1, z("a a b"), z("a a a a"), &p, e_));
    assert_near(p.precision, 2.0 / 4);
    assert_near(p.recall, 2.0 / 3);
    /* lower case, full width is not narrowed, kana and astral ideographs stand alone */
    assert_true(score(CFB_METRIC_ROUGE1, "GDP", "gdp") == 1.0);
    assert_true(score(CFB_METRIC_ROUGE1, "GDP", "ＧＤＰ") == 0.0);
    assert_near(score(CFB_METRIC_ROUGE1, "かな", "か"), 2.0 / 3);
    assert_near(score(CFB_METRIC_ROUGE1, "\xF0\xA0\x80\x80中", "\xF0\xA0\x80\x80"), 2.0 / 3);
    for (cfb_metric m = CFB_METRIC_ROUGE1; m <= CFB_METRIC_ROUGEL; m++) {
        assert_true(score(m, "", "") == 0.0);
        assert_true(score(m, "", "a b") == 0.0);
        assert_true(score(m, "a b", "。") == 0.0);
        assert_true(score(m, "营收 增长", "营收，增长！") == 1.0);
    }
    assert_fails(cfb_metric_rouge_n(scratch, 0, z("a"), z("a"), &p, e_), CFB_EDOMAIN, "order");
    assert_fails(cfb_metric_rouge_n(scratch, 9, z("a"), z("a"), &p, e_), CFB_EDOMAIN, "order");
}

/* ---- BLEU ---- */

static void test_bleu_counts(void **state) {
    (void)state;
    cfb_bleu_counts c;
    /* 净 利 润 增 长 12.5 % 。 / 净 利 润 下 降 12.5 % 。 */
    assert_ok(cfb_metric_bleu(scratch, z("净利润增长12.5%。"), z("净利润下降12.5%。"), &c, e_));
    assert_int_equal(c.output_len, 8);
    assert_int_equal(c.reference_len, 8);
    const uint64_t match[] = {6, 4, 2, 0}, total[] = {8, 7, 6, 5};
    assert_memory_equal(c.match, match, sizeof match);
    assert_memory_equal(c.total, total, sizeof total);
    assert_near(cfb_bleu_score(&c, true), exp((log(6.0 / 8) + log(4.0 / 7) + log(2.0 / 6) + log(1.0 / (2 * 5))) / 4));
    assert_near(cfb_bleu_score(&c, false), cfb_bleu_score(&c, true));
    /* two orders only: the effective order is 2, and without it the score is 0 */
    assert_ok(cfb_metric_bleu(scratch, z("净利润增长"), z("净利"), &c, e_));
    assert_near(cfb_bleu_score(&c, true), exp(1 - 5.0 / 2));
    assert_true(cfb_bleu_score(&c, false) == 0.0);
    assert_true(score(CFB_METRIC_BLEU, "", "") == 0.0);
    assert_true(score(CFB_METRIC_BLEU, "a", "") == 0.0);
    assert_true(score(CFB_METRIC_BLEU, "", "a") == 0.0);
    assert_true(score(CFB_METRIC_BLEU, "a b c d", "a b c d") == 1.0);
    assert_true(score(CFB_METRIC_BLEU, "A b c d", "a B C D") == 0.0); /* case counts */
}

static uint64_t n_zh_tokens(const char *text) {
    cfb_bleu_counts c;
    assert_ok(cfb_metric_bleu(scratch, z(text), z(text), &c, e_));
    assert_int_equal(c.output_len, c.reference_len);
    return c.output_len;
}

static void test_bleu_tokens(void **state) {
    (void)state;
    assert_int_equal(n_zh_tokens("12.5,3"), 1);                           /* digits on both sides keep points */
    assert_int_equal(n_zh_tokens("a.b"), 3);                              /* a . b */
    assert_int_equal(n_zh_tokens("a."), 2);                               /* a . */
    assert_int_equal(n_zh_tokens(".a"), 2);                               /* . a */
    assert_int_equal(n_zh_tokens("5."), 1);                               /* "unless preceded by a digit", and nothing follows */
    assert_int_equal(n_zh_tokens("5. "), 1);                              /* stripped first */
    assert_int_equal(n_zh_tokens("5.a"), 3);                              /* 5 . a */
    assert_int_equal(n_zh_tokens("5-6"), 3);                              /* 5 - 6 */
    assert_int_equal(n_zh_tokens("a-6"), 1);                              /* a-6 */
    assert_int_equal(n_zh_tokens("don't"), 1);                            /* the apostrophe stays */
    assert_int_equal(n_zh_tokens("(a/b)"), 5);                            /* ( a / b ) */
    assert_int_equal(n_zh_tokens("中文，English"), 4);                    /* 中 文 ， English */
    assert_int_equal(n_zh_tokens("“好”"), 3);                             /* U+201C lies in the odd block U+2001..U+2A6D */
    assert_int_equal(n_zh_tokens("ＡＢ"), 2);                             /* full width: each alone */
    assert_int_equal(n_zh_tokens("\xF0\xA0\x80\x80\xF0\xA0\x80\x81"), 1); /* extension B is not split */
    assert_int_equal(n_zh_tokens("かな"), 1);
    assert_int_equal(n_zh_tokens(" \t\n"), 0);
    assert_int_equal(n_zh_tokens(".,"), 2);
    assert_int_equal(n_zh_tokens("..."), 3);
}

static void test_bleu_corpus(void **state) {
    (void)state;
    cfb_metric_sums a = {{0}}, b = {{0}};
    cfb_metric_row row;
    const cfb_metric_info *bleu = cfb_metric_get(CFB_METRIC_BLEU);
    assert_true(cfb_metric_finish(CFB_METRIC_BLEU, &a) == 0.0);
    assert_ok(bleu->row(scratch, z("a b c d e"), z("a b c d"), &row, e_));
    cfb_metric_sums_add(&a, &row);
    assert_ok(bleu->row(scratch, z("x y"), z("x z"), &row, e_));
    cfb_metric_sums_add(&b, &row);
    cfb_metric_sums_merge(&a, &b);
    double p = log(5.0 / 6) + log(3.0 / 4) + log(2.0 / 2) + log(1.0 / 1);
    assert_near(cfb_metric_finish(CFB_METRIC_BLEU, &a), exp(1 - 7.0 / 6) * exp(p / 4));
    assert_true(isnan(cfb_metric_finish(CFB_METRIC_ROUGE1, &a)));
}

/* ---- chrF ---- */

static void test_chrf(void **state) {
    (void)state;
    cfb_chrf_counts c;
    assert_ok(cfb_metric_chrf(scratch, z("净利 润"), z("净 利"), &c, e_));
    const uint64_t output[] = {2, 1, 0, 0, 0, 0}, reference[] = {3, 2, 1, 0, 0, 0}, match[] = {2, 1, 0, 0, 0, 0};
    assert_memory_equal(c.output, output, sizeof output);
    assert_memory_equal(c.reference, reference, sizeof reference);
    assert_memory_equal(c.match, match, sizeof match);
    double p = 1, r = (2.0 / 3 + 1.0 / 2) / 2;
    assert_near(cfb_chrf_score(&c), 5 * p * r / (4 * p + r));
    assert_true(score(CFB_METRIC_CHRF, "abc", "abc") == 1.0);
    assert_true(score(CFB_METRIC_CHRF, "abc", "ABC") == 0.0);
    assert_true(score(CFB_METRIC_CHRF, "", "") == 0.0);
    assert_true(score(CFB_METRIC_CHRF, " ", "a") == 0.0);
    cfb_metric_sums sums = {{0}};
    cfb_metric_row row;
    assert_true(cfb_metric_finish(CFB_METRIC_CHRF, &sums) == 0.0);
    assert_ok(cfb_metric_get(CFB_METRIC_CHRF)->row(scratch, z("净利 润"), z("净 利"), &row, e_));
    cfb_metric_sums_add(&sums, &row);
    assert_near(cfb_metric_finish(CFB_METRIC_CHRF, &sums), row.score);
    assert_int_equal(row.response_chars, 4);
    assert_int_equal(row.output_chars, 3);
}

/* ---- edit similarity and LCS ---- */

static void test_edit(void **state) {
    (void)state;
    uint64_t d;
    double s;
    const struct {
        const char *a, *b;
        uint64_t d;
    } cases[] = {{"kitten", "sitting", 3},
                 {"", "", 0},
                 {"", "abc", 3},
                 {"abc", "", 3},
                 {"净利润增长", "净利下降", 3},
                 {"flaw", "lawn", 2},
                 {"ab", "ba", 2},
                 {"a b", "ab", 1},
                 {"A", "a", 1},
                 {"abcdef", "azced", 3},
                 {"intention", "execution", 5},
                 {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x81", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(cfb_metric_edit(scratch, z(cases[i].a), z(cases[i].b), &s, &d, e_));
        if (d != cases[i].d) fail_msg("'%s' and '%s': %d", cases[i].a, cases[i].b, (int)d);
    }
    assert_near(score(CFB_METRIC_EDIT, "kitten", "sitting"), 1 - 3.0 / 7);
    assert_true(score(CFB_METRIC_EDIT, "", "") == 1.0);
    assert_true(score(CFB_METRIC_EDIT, "abc", "") == 0.0);
}

/* The whole table, one cell after the other. */
static void plain_tables(const uint32_t *a, size_t n, const uint32_t *b, size_t m, uint64_t *lcs, uint64_t *edit) {
    uint32_t *l = calloc(2 * (m + 1), sizeof *l), *e = calloc(2 * (m + 1), sizeof *e);
    assert_true(l != NULL && e != NULL);
    for (size_t j = 0; j <= m; j++) e[j] = (uint32_t)j;
    for (size_t i = 1; i <= n; i++) {
        uint32_t *l0 = l + ((i - 1) & 1) * (m + 1), *l1 = l + (i & 1) * (m + 1);
        uint32_t *e0 = e + ((i - 1) & 1) * (m + 1), *e1 = e + (i & 1) * (m + 1);
        l1[0] = 0;
        e1[0] = (uint32_t)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = a[i - 1] == b[j - 1];
            l1[j] = same ? l0[j - 1] + 1 : l0[j] > l1[j - 1] ? l0[j] : l1[j - 1];
            uint32_t best = e0[j - 1] + !same;
            if (e0[j] + 1 < best) best = e0[j] + 1;
            if (e1[j - 1] + 1 < best) best = e1[j - 1] + 1;
            e1[j] = best;
        }
    }
    *lcs = l[(n & 1) * (m + 1) + m];
    *edit = e[(n & 1) * (m + 1) + m];
    free(l);
    free(e);
}

/* Random texts of ideographs over a small and a large alphabet, of lengths around every word and strip boundary. */
static void test_alignment_against_tables(void **state) {
    (void)state;
    const int level = scratch->simd;
    static const size_t lengths[] = {1, 2, 63, 64, 65, 127, 128, 129, 191, 193, 255, 256, 257, 263, 320, 511, 513, 700, 1100};
    const size_t n_lengths = sizeof lengths / sizeof *lengths;
    char text[2][4096];
    uint32_t chars[2][1200];
    for (uint64_t run = 0; run < 400; run++) {
        uint32_t alphabet = run % 3 == 0 ? 2 : run % 3 == 1 ? 20 : 800;
        size_t n[2];
        for (int side = 0; side < 2; side++) {
            n[side] = lengths[cfb_rand_u64(1, run, (uint64_t)side) % n_lengths];
            for (size_t i = 0; i < n[side]; i++) {
                uint32_t c = 0x4E00 + (uint32_t)(cfb_rand_u64(2 + (uint64_t)side, run, i) % alphabet);
                chars[side][i] = c;
                text[side][3 * i] = (char)(0xE0 | c >> 12);
                text[side][3 * i + 1] = (char)(0x80 | (c >> 6 & 0x3F));
                text[side][3 * i + 2] = (char)(0x80 | (c & 0x3F));
            }
        }
        uint64_t lcs, edit, d;
        double s;
        cfb_prf p;
        cfb_str a = {text[0], 3 * n[0]}, b = {text[1], 3 * n[1]};
        plain_tables(chars[0], n[0], chars[1], n[1], &lcs, &edit);
        for (scratch->simd = metric_simd_level(); scratch->simd >= 0; scratch->simd--) {
            assert_ok(cfb_metric_edit(scratch, a, b, &s, &d, e_));
            if (d != edit) fail_msg("run %d: distance %d, not %d", (int)run, (int)d, (int)edit);
            assert_ok(cfb_metric_rouge_l(scratch, a, b, &p, e_));
            assert_near(p.recall, (double)lcs / (double)n[0]);
            assert_near(p.precision, (double)lcs / (double)n[1]);
        }
    }
    scratch->simd = level;
}

/* ---- values that the reference tools' own tests state ---- */

static double chrf_of_corpus(const char *const (*pairs)[2], size_t n) {
    cfb_metric_sums sums = {{0}};
    for (size_t i = 0; i < n; i++) {
        cfb_metric_row row;
        assert_ok(cfb_metric_get(CFB_METRIC_CHRF)->row(scratch, z(pairs[i][1]), z(pairs[i][0]), &row, e_));
        cfb_metric_sums_add(&sums, &row);
    }
    return cfb_metric_finish(CFB_METRIC_CHRF, &sums);
}

static void test_published_values(void **state) {
    (void)state;
    /* sacreBLEU, test_bleu.py: a score from counts */
    const cfb_bleu_counts c = {.output_len = 11, .reference_len = 11, .match = {9, 7, 5, 3}, .total = {10, 8, 6, 4}};
    assert_true(fabs(cfb_bleu_score(&c, false) - 0.8375922397) < 1e-8);
    /* sacreBLEU, test_chrf.py, effective order, output first; precision and recall are equal, so any beta gives these */
    const char *const two[][2] = {{"a", "a"}, {"b", "c"}}, *const half[][2] = {{"aa", "ab"}},
                      *const same[][2] = {{"a b c", "abc"}}, *const none[][2] = {{"", "c"}};
    assert_near(chrf_of_corpus(two, 2), 0.5);
    assert_near(chrf_of_corpus(half, 1), 0.25);
    assert_near(chrf_of_corpus(same, 1), 1.0);
    assert_near(chrf_of_corpus(none, 1), 0.0);
    /* rouge-score, rouge_scorer_test.py: one, two neighbouring, two other words of three */
    cfb_prf p;
    assert_ok(cfb_metric_rouge_n(scratch, 1, z("testing one two"), z("testing"), &p, e_));
    assert_near(p.recall, 1.0 / 3);
    assert_near(p.f, 1.0 / 2);
    assert_ok(cfb_metric_rouge_n(scratch, 2, z("testing one two"), z("testing one"), &p, e_));
    assert_near(p.recall, 1.0 / 2);
    assert_near(p.f, 2.0 / 3);
    assert_ok(cfb_metric_rouge_l(scratch, z("testing one two"), z("testing two"), &p, e_));
    assert_near(p.recall, 2.0 / 3);
    assert_near(p.f, 4.0 / 5);
}

/* ---- lengths, averages, the table ---- */

static void test_lengths(void **state) {
    (void)state;
    cfb_lengths a = {0}, b;
    assert_ok(cfb_metric_lengths(scratch, z("净利润 up 5%"), z("净利 UP"), &a, e_));
    assert_int_equal(a.response_chars, 9);
    assert_int_equal(a.response_tokens, 5);
    assert_int_equal(a.output_chars, 5);
    assert_int_equal(a.output_tokens, 3);
    assert_near(cfb_lengths_char_ratio(&a), 5.0 / 9);
    assert_near(cfb_lengths_token_ratio(&a), 3.0 / 5);
    assert_ok(cfb_metric_lengths(scratch, z(""), z("x"), &b, e_));
    assert_true(isnan(cfb_lengths_char_ratio(&b)));
    cfb_lengths_add(&a, &b);
    assert_int_equal(a.n_rows, 2);
    assert_near(cfb_lengths_token_ratio(&a), 4.0 / 5);
    /* the length before lower-casing: U+0130 becomes two */
    assert_ok(cfb_metric_lengths(scratch, z("İ"), z(""), &b, e_));
    assert_int_equal(b.response_chars, 1);
    assert_true(cfb_lengths_char_ratio(&b) == 0.0);
    b = (cfb_lengths){0};
    assert_true(cfb_lengths_char_ratio(&b) == 1.0 && cfb_lengths_token_ratio(&b) == 1.0);
}

static void test_label_averages(void **state) {
    (void)state;
    cfb_label_average a = {0};
    assert_true(cfb_label_average_micro(&a) == 0 && cfb_label_average_macro(&a) == 0 && cfb_label_average_weighted(&a) == 0);
    cfb_label_average_add(&a, 3, 2, 2); /* F1 4/5 */
    cfb_label_average_add(&a, 1, 2, 1); /* 2/3 */
    cfb_label_average_add(&a, 0, 0, 0); /* 0 */
    assert_near(cfb_label_average_micro(&a), 6.0 / 8);
    assert_near(cfb_label_average_macro(&a), (4.0 / 5 + 2.0 / 3) / 3);
    assert_near(cfb_label_average_weighted(&a), (3 * 4.0 / 5 + 2.0 / 3) / 4);
}

static void test_table(void **state) {
    (void)state;
    for (cfb_metric m = 0; m < CFB_METRIC_COUNT; m++) {
        const cfb_metric_info *info = cfb_metric_get(m);
        assert_true(info->name[0] && info->full_name[0] && info->kinds && info->kinds < 8);
        bool over_labels = info->how == CFB_METRIC_FROM_LABELS || info->how == CFB_METRIC_FROM_LABEL_MEAN;
        assert_true(over_labels == (cfb_metric_is_over_labels(m) != 0));
        assert_true((info->how == CFB_METRIC_FROM_PAIRS) == (cfb_metric_is_of_pairs(m) != 0));
        assert_true((info->row == NULL) == (over_labels || info->how == CFB_METRIC_FROM_PAIRS));
        assert_true(isnan(cfb_metric_finish(m, &(cfb_metric_sums){{0}})) == (info->how != CFB_METRIC_FROM_COUNTS));
    }
    assert_true(score(CFB_METRIC_TF, "", "") == 1.0);
    assert_near(score(CFB_METRIC_TF, "净利", "净利润"), 2 / (sqrt(2) * sqrt(3)));
}

static void test_null_and_broken(void **state) {
    (void)state;
    static const char bad[] = "ab\xED\xA0\x80";
    for (cfb_metric m = 0; m < CFB_METRIC_COUNT; m++) {
        const cfb_metric_info *info = cfb_metric_get(m);
        cfb_metric_row row;
        if (info->row == NULL) continue;
        assert_fails(info->row(scratch, z("a"), z(bad), &row, e_), CFB_EENCODING, "UTF-8");
        assert_fails(info->row(scratch, z(bad), z("a"), &row, e_), CFB_EENCODING, "UTF-8");
        assert_ok(info->row(scratch, CFB_STR_NULL, CFB_STR_NULL, &row, e_));
        bool one = m == CFB_METRIC_TF || m == CFB_METRIC_EXACT || m == CFB_METRIC_EDIT;
        assert_true(row.score == (one ? 1.0 : 0.0));
        /* the scratch space is as good as new */
        assert_true(score(m, "净利润增长 B", "净利润增长 B") == 1.0);
    }
}

static void test_limits(void **state) {
    (void)state;
    size_t n = CFB_METRIC_MAX_BYTES + 1;
    char *big = malloc(n);
    assert_non_null(big);
    memset(big, 'a', n);
    cfb_metric_row row;
    assert_fails(cfb_metric_get(CFB_METRIC_CHRF)->row(scratch, z("a"), (cfb_str){big, n}, &row, e_), CFB_ELIMIT, "at most");
    /* 3 million against 3 million different ends: too many pairs, said before any work */
    size_t half = 3000000;
    memset(big + half, 'b', half);
    big[half - 1] = 'x';
    big[2 * half - 1] = 'y';
    big[0] = 'v';
    big[half] = 'w';
    assert_fails(cfb_metric_get(CFB_METRIC_EDIT)->row(scratch, (cfb_str){big, half}, (cfb_str){big + half, half}, &row, e_),
                 CFB_ELIMIT, "2^40");
    /* equal ends cost nothing */
    assert_ok(cfb_metric_get(CFB_METRIC_EDIT)->row(scratch, (cfb_str){big, half}, (cfb_str){big, half}, &row, e_));
    assert_true(row.score == 1.0);
    assert_true(score(CFB_METRIC_CHRF, "abc", "abc") == 1.0);
    free(big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_choices_alone),
        cmocka_unit_test(test_choices_announced),
        cmocka_unit_test(test_choices_other),
        cmocka_unit_test(test_rouge),
        cmocka_unit_test(test_bleu_counts),
        cmocka_unit_test(test_bleu_tokens),
        cmocka_unit_test(test_bleu_corpus),
        cmocka_unit_test(test_chrf),
        cmocka_unit_test(test_edit),
        cmocka_unit_test(test_alignment_against_tables),
        cmocka_unit_test(test_published_values),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_label_averages),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_null_and_broken),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
