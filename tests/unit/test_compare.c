/* test_compare.c - the forms of a comparison, from hand-filled numbers: layout, verdicts, hostile text, missing values. */
#include "cfbench/compare.h"

#include "report_forms.h"

typedef struct sample {
    cfb_compare c;
    cfb_compare_run runs[3];
    cfb_compare_line lines[3];
    cfb_compare_pair pairs[3][3];
    double score[3][3];
    cfb_compare_rank rank[3][3];
    cfb_report_interval interval[3][3];
    cfb_compare_flip flips[2];
    cfb_compare_gate gates[1];
} sample;

static void make_pairs(sample *s, size_t i, size_t n_runs) {
    size_t k = 0;
    for (size_t a = 0; a < n_runs; a++)
        for (size_t b = a + 1; b < n_runs; b++, k++)
            s->pairs[i][k] = (cfb_compare_pair){.a = a,
                                                .b = b,
                                                .diff = s->score[i][b] - s->score[i][a],
                                                .lo = -0.2,
                                                .hi = -0.05,
                                                .se = 0.03,
                                                .df = 99,
                                                .p = 0.00001,
                                                .p_adjusted = k ? 0.2 : 0.012,
                                                .test = "permutation",
                                                .cohen_d = i == 2 ? NAN : -0.4,
                                                .delta = -0.1,
                                                .better = 3,
                                                .same = 80,
                                                .worse = 17,
                                                .detectable = 0.084,
                                                .rows_needed = 61};
}

static void make_sample(sample *s, size_t n_runs) {
    *s = (sample){0};
    for (size_t r = 0; r < 3; r++) s->runs[r] = (cfb_compare_run){r ? "gpt-4o-mini" : "gpt-4.1-mini", "few-shot", "runs/x"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t r = 0; r < n_runs; r++) {
            s->score[i][r] = 0.9 - 0.125 * (double)r;
            s->rank[i][r] = (cfb_compare_rank){r ? 2 : 1, r ? n_runs : 1};
            s->interval[i][r] = (cfb_report_interval){.method = i == 1 ? NULL : "bca", .lo = 0.5, .hi = 0.95};
        }
        make_pairs(s, i, n_runs);
        s->lines[i] = (cfb_compare_line){.name = i == 0   ? "company"
                                                 : i == 1 ? "摘要"
                                                          : "all",
                                         .kind = "recognition",
                                         .metric = "f1 (labels: row)",
                                         .n_tasks = i == 2 ? 2 : 0,
                                         .n_rows = 100,
                                         .n_clusters = 100,
                                         .score = s->score[i],
                                         .interval = s->interval[i],
                                         .rank = s->rank[i],
                                         .pairs = s->pairs[i]};
    }
    s->flips[0] = (cfb_compare_flip){7, CFB_STR_LIT("doc-7"), 1, 0};
    s->flips[1] = (cfb_compare_flip){9, CFB_STR_NULL, 0, 0.5};
    s->pairs[0][0].flips = s->flips;
    s->pairs[0][0].n_flips = 2;
    s->gates[0] = (cfb_compare_gate){"f1 drops > 0.01", "f1", 1, 0.125, true};
    s->c = (cfb_compare){.title = "Sample",
                         .version = "0.1.0",
                         .confidence = 0.95,
                         .runs = s->runs,
                         .n_runs = n_runs,
                         .n_pairs = n_runs * (n_runs - 1) / 2,
                         .lines = s->lines,
                         .n_lines = 3,
                         .gates = s->gates,
                         .n_gates = 1,
                         .left_out = ""};
}

typedef cfb_code (*writer)(const cfb_compare *, cfb_buf *, cfb_err *);
static cfb_code plain(const cfb_compare *c, cfb_buf *out, cfb_err *err) { return cfb_compare_table(c, false, out, err); }
static const writer writers[] = {plain, cfb_compare_json, cfb_compare_markdown, cfb_compare_latex, cfb_compare_html};

static cfb_buf make(writer fn, const cfb_compare *c) {
    cfb_buf b = CFB_BUF_INIT((size_t)1 << 26);
    assert_ok(fn(c, &b, e_));
    return b;
}

static void test_table(void **state) {
    (void)state;
    sample s;
    make_sample(&s, 2);
    cfb_buf b = make(plain, &s.c);
    assert_has(&b, "A  gpt-4.1-mini, few-shot  (runs/x)\n");
    assert_has(&b, "company   100  0.9000  0.7750  -0.1250  -0.200…-0.050  <0.0001  0.0120    3    17       A\n");
    assert_has(&b, "摘要      100  0.9000");
    assert_has(&b, "company: doc-7 1.00→0.00, 9 0.00→0.50, … (20 rows)");
    assert_has(&b, "a difference of 0.0840 would be seen in 8 of 10 such suites; one of 0.1250 needs 61 rows (now 100)");
    assert_has(&b, "FAIL f1 drops > 0.01 (B: 0.1250)");
    cfb_buf_free(&b);
    s.pairs[1][0].p_adjusted = 0.06;
    s.pairs[1][0].lo = s.pairs[1][0].hi = NAN;
    s.lines[1].n_apart = 4;
    s.lines[1].n_clusters = 98;
    s.lines[1].by_rows = true;
    s.c.left_out = "risk";
    b = make(plain, &s.c);
    assert_has(&b, "-0.1250              -  <0.0001  0.0600    3    17       –\n");
    assert_has(&b,
               "摘要: 4 rows left out that not every run has; 98 different inputs; a corpus score: the mean of the rows' scores");
    assert_has(&b, "not compared, because not every run has it: risk\n");
    cfb_buf_free(&b);
}

static void test_three_runs(void **state) {
    (void)state;
    sample s;
    make_sample(&s, 3);
    s.score[2][2] = 0.95; /* C leads */
    s.rank[2][2] = (cfb_compare_rank){1, 2};
    cfb_buf b = make(plain, &s.c);
    assert_has(&b, "place  run  model");
    assert_has(&b, "1–2    C    gpt-4o-mini");
    assert_true(strstr(b.ptr, "1–2    C") < strstr(b.ptr, "1      A"));
    cfb_buf_free(&b);
    b = make(cfb_compare_markdown, &s.c);
    assert_has(
        &b,
        "| **mean of all** | 100 | **0.9000** [0.500–0.950] (1) | 0.7750 [0.500–0.950] (2–3) | **0.9500** [0.500–0.950] (1–2) |");
    assert_has(&b, "## B and C");
    cfb_buf_free(&b);
    b = make(cfb_compare_html, &s.c);
    assert_has(&b, "<h2>B and C</h2>");
    assert_true(strstr(b.ptr, "<b>1–2</b></td><th scope=\"row\">C</th>") <
                strstr(b.ptr, "<b>1</b></td><th scope=\"row\">A</th>"));
    assert_has(&b, "<b>0.9500</b></span></td><td class=\"n\">0.500–0.950</td>");
    assert_has(&b, "<circle class=\"ci down\"");
    cfb_buf_free(&b);
    b = make(cfb_compare_latex, &s.c);
    assert_has(&b, "\\begin{tabular}{lrrr}");
    assert_has(&b, "company & \\textbf{0.9000}$_{1}$ & 0.7750$_{2\\textrm{--}3}$ & 0.6500$_{2\\textrm{--}3}$ \\\\\n");
    cfb_buf_free(&b);
}

static void test_hostile(void **state) {
    (void)state;
    sample s;
    make_sample(&s, 2);
    s.runs[0].model = s.lines[0].name = s.c.title = "<b>\x1b[31m|&_%$#{}\\^~\xE2\x80\xAE\n\xff";
    s.flips[0].id = CFB_STR_LIT("\x1b]0;x\x07\n# head");
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        cfb_buf b = make(writers[i], &s.c);
        for (size_t k = 0; k < b.len; k++) assert_true((unsigned char)b.ptr[k] >= 0x20 || b.ptr[k] == '\n');
        if (i != 1) assert_null(strstr(b.ptr, "\xE2\x80\xAE"));
        if (i == 2) assert_null(strstr(b.ptr, "<b>"));
        if (i == 4) assert_nests(&b);
        if (i == 4) assert_has(&b, "<h1>&lt;b&gt;\\x1B[31m|&amp;_%$#{}");
        if (i == 3) assert_has(&b, "\\textless{}b\\textgreater{}");
        if (i == 3) assert_has(&b, "\\&\\_\\%\\$\\#\\{\\}\\textbackslash{}\\textasciicircum{}\\textasciitilde{}");
        cfb_json *root = NULL;
        if (i == 1) assert_int_equal(cfb_json_parse(b.ptr, b.len, 0, &root, NULL), CFB_OK);
        cfb_json_free(root);
        cfb_buf_free(&b);
    }
}

static void test_no_lines(void **state) {
    (void)state;
    sample s;
    make_sample(&s, 2);
    s.c.n_lines = 0;
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        cfb_buf b = make(writers[i], &s.c);
        assert_true(b.len > 0);
        cfb_buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_three_runs),
                                       cmocka_unit_test(test_hostile), cmocka_unit_test(test_no_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
