/* test_report.c - the report's four forms, from hand-filled summaries: numbers, layout, and hostile text. */
#include "report_forms.h"

/* ---- a report to play with ---- */

static const cfb_label_stat labels[] = {
    {CFB_STR_LIT("中性"), 40, 50, 30, 0.6, 0.75, 2.0 / 3.0},
    {CFB_STR_LIT("消极"), 50, 30, 25, 25.0 / 30.0, 0.5, 0.625},
    {CFB_STR_LIT("积极"), 10, 20, 5, 0.25, 0.5, 1.0 / 3.0},
};
static const cfb_report_row failed_rows[] = {
    {6, CFB_STR_LIT("6"), CFB_STR_LIT("in"), CFB_STR_LIT("ref"), CFB_STR_NULL, 0, "failed", "timeout", "no reply within 60 s"},
    {17, CFB_STR_LIT("doc-17"), CFB_STR_NULL, CFB_STR_NULL, CFB_STR_NULL, 0, "failed", "server", "HTTP 500\nagain"},
};
static const cfb_report_row worst_rows[] = {
    {3, CFB_STR_LIT("3"), CFB_STR_LIT("some input"), CFB_STR_LIT("a reference"), CFB_STR_LIT(""), 0.125, "ok", NULL, NULL},
};

static cfb_report_task make_task(const char *name, const char *kind, const char *metric, double all, double answered) {
    cfb_report_task t = {
        .model = "gpt-4o-mini", .setting = "few-shot", .task = name, .title = name, .kind = kind, .source = "out/x.csv"};
    t.summary =
        (cfb_score_summary){.n_rows = 100, .n_answered = 100, .mean_all = all, .mean_answered = answered, .metric = metric};
    t.summary.n_state[CFB_ROW_OK] = 100;
    t.histogram[0] = 20;
    t.histogram[CFB_REPORT_BINS - 1] = 80;
    return t;
}

typedef struct sample {
    cfb_report report;
    cfb_report_task tasks[4];
    cfb_report_setting settings[2];
} sample;

static void make_sample(sample *s) {
    s->tasks[0] = make_task("company", "recognition", "f1 (labels: row)", 0.8, 0.8);
    s->tasks[0].summary.mean_precision = 0.81;
    s->tasks[0].summary.mean_recall = 0.82;
    s->tasks[0].summary.n_unmatchable = 3;
    s->tasks[1] = make_task("sentiment", "classification", "f1 (labels: suite)", 0.5, 0.625);
    s->tasks[1].summary.labels = labels;
    s->tasks[1].summary.n_labels = 3;
    s->tasks[1].summary.n_answered = 80;
    memcpy(s->tasks[1].summary.n_state, (uint64_t[CFB_ROW_STATE_COUNT]){80, 5, 0, 0, 15}, sizeof s->tasks[1].summary.n_state);
    s->tasks[1].failed = failed_rows;
    s->tasks[1].n_failed_listed = 2;
    s->tasks[1].worst = worst_rows;
    s->tasks[1].n_worst = 1;
    s->tasks[2] = make_task("summary", "generation", "tf cosine", 0.4, 0.4);
    s->tasks[3] = make_task("risk", "generation", "tf cosine", 0.3, 0.3);
    s->settings[0] = (cfb_report_setting){"model", "gpt-4o-mini"};
    s->settings[1] = (cfb_report_setting){"max-workers", "4"};
    s->report = (cfb_report){.title = "Sample",
                             .version = "0.1.0",
                             .created_at = NULL,
                             .command = "cfbench score out",
                             .settings = s->settings,
                             .n_settings = 2,
                             .tasks = s->tasks,
                             .n_tasks = 4};
}

static cfb_code plain_table(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    cfb_table_style style = {.width = 0};
    return cfb_report_table(r, &style, out, err);
}

static const report_writer writers[] = {plain_table, cfb_report_json, cfb_report_markdown, cfb_report_html};

static size_t widest_line(const cfb_buf *b) {
    size_t widest = 0;
    for (const char *p = b->ptr; *p;) {
        size_t n = strcspn(p, "\n"), w = cfb_display_width((cfb_str){p, n});
        if (w > widest) widest = w;
        p += n + (p[n] != '\0');
    }
    return widest;
}

/* ---- width ---- */

static void display_width(void **state) {
    (void)state;
    assert_int_equal(cfb_display_width(CFB_STR_LIT("")), 0);
    assert_int_equal(cfb_display_width(CFB_STR_NULL), 0);
    assert_int_equal(cfb_display_width(CFB_STR_LIT("abc")), 3);
    assert_int_equal(cfb_display_width(CFB_STR_LIT("中文，a")), 7);
    assert_int_equal(cfb_display_width(CFB_STR_LIT("e\xCC\x81")), 1); /* combining accent */
    assert_int_equal(cfb_display_width(CFB_STR_LIT("…─")), 2);
}

static void display_fit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t width;
        const char *padded;
    } cases[] = {{"abc", 5, "abc  "},
                 {"中文任务", 8, "中文任务"},
                 {"中文任务", 7, "中文任…"},
                 {"中文任务", 6, "中文… "},
                 {"a\x1b[1mb", 6, "a␛[1mb"},
                 {"", 2, "  "},
                 {"abc", 0, ""},
                 {"e\xCC\x81x", 3, "e\xCC\x81x "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_buf b = CFB_BUF_INIT(1 << 10);
        cfb_err err = CFB_ERR_INIT;
        assert_int_equal(cfb_buf_reserve(&b, 0, &err), CFB_OK);
        assert_int_equal(cfb_display_fit(cfb_str_from(cases[i].text), cases[i].width, true, &b, &err), CFB_OK);
        assert_string_equal(b.ptr, cases[i].padded);
        assert_int_equal(cfb_display_width(cfb_buf_str(&b)), cases[i].width);
        cfb_buf_free(&b);
    }
}

/* ---- table ---- */

static const char TABLE[] = "Sample\n"
                            "\n"
                            "gpt-4o-mini, few-shot\n"
                            "                                    ─────────── rows ───────────  ──── score ─────  ─ label sets ─\n"
                            "task            metric              all  answered  empty  failed     all  answered    prec  recall\n"
                            "──────────────────────────────────────────────────────────────────────────────────────────────────\n"
                            "company         f1 (labels: row)    100       100      0       0  0.8000    0.8000  0.8100  0.8200\n"
                            "sentiment       f1 (labels: suite)  100        80      5      15  0.5000    0.6250  0.0000  0.0000\n"
                            "summary         tf cosine           100       100      0       0  0.4000    0.4000\n"
                            "risk            tf cosine           100       100      0       0  0.3000    0.3000\n"
                            "──────────────────────────────────────────────────────────────────────────────────────────────────\n"
                            "recognition     mean of 1 task      100       100      0       0  0.8000    0.8000\n"
                            "classification  mean of 1 task      100        80      5      15  0.5000    0.6250\n"
                            "generation      mean of 2 tasks     200       200      0       0  0.3500    0.3500\n"
                            "all             mean of 4 tasks     400       380      5      15  0.5000    0.5312\n"
                            "\n"
                            "15 rows failed:\n"
                            "  sentiment row 6: timeout: no reply within 60 s\n"
                            "  sentiment row 17 (id doc-17): server: HTTP 500␊again\n"
                            "  and 13 more\n"
                            "\n"
                            "note: company: 3 references hold what F1 cannot match: ',' or spaces inside, or no suite label\n"
                            "note: sentiment: 15 of 100 rows have no reply; not to be quoted\n";

static void table_whole(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(plain_table, &s.report);
    assert_string_equal(b.ptr, TABLE);
    cfb_buf_free(&b);
}

static void table_parts(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(plain_table, &s.report);
    assert_has(&b, "gpt-4o-mini, few-shot\n");
    assert_has(&b, "15 rows failed:\n  sentiment row 6: timeout: no reply within 60 s\n  sentiment row 17 (id doc-17): server: "
                   "HTTP 500␊again\n"
                   "  and 13 more\n");
    assert_has(&b, "note: company: 3 references hold what F1 cannot match");
    assert_has(&b, "mean of 4 tasks");
    assert_lacks(&b, "\033");
    assert_lacks(&b, "truncated");
    assert_lacks(&b, " \n");
    assert_true(widest_line(&b) <= 100);
    cfb_buf_free(&b);
}

static void give_intervals(sample *s) {
    s->report.confidence = 0.9;
    for (size_t i = 0; i < 4; i++)
        s->tasks[i].interval = (cfb_report_interval){.method = "bca",
                                                     .lo = s->tasks[i].summary.mean_all - 0.05,
                                                     .hi = s->tasks[i].summary.mean_all + 0.0625,
                                                     .se = 0.03,
                                                     .n_clusters = 99,
                                                     .best = 0.65};
}

static void intervals(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) { /* none were made */
        cfb_buf b = write_form(writers[i], &s.report);
        assert_lacks(&b, "confidence");
        cfb_buf_free(&b);
    }
    give_intervals(&s);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        cfb_buf b = write_form(writers[i], &s.report);
        assert_has(&b, i == 1 ? "\"low\": 0.75,\n" : "0.750–0.863");
        assert_has(&b,
                   i == 1 ? "\"score_best\": 0.65" : "15 of 100 rows have no reply: score between 0.500 and 0.650; not to be");
        assert_has(&b, i == 1 ? "\"confidence\": 0.9" : "interval: 90 % confidence");
        assert_has(&b, i == 1 ? "\"interval_low\": 0.475" : i == 3 ? "no headline" : "0.475–0.531"); /* 0.05 and 0.0625 over 2 */
        if (i == 1) assert_has(&b, "\"headline\": false");
        cfb_buf_free(&b);
    }
    s.tasks[3].interval.method = NULL; /* a corpus score: no mean has an interval */
    cfb_buf b = write_form(plain_table, &s.report);
    assert_lacks(&b, "0.475–0.531");
    assert_has(&b, "  0.3000            -    0.3000");
    cfb_buf_free(&b);
}

/* Empty outputs that decide a score are named; a single task's score is the headline. */
static void empty_outputs(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    s.report.n_tasks = 1;
    for (uint64_t empty = 5; empty <= 40; empty += 35) {
        s.tasks[0].summary.n_state[CFB_ROW_EMPTY] = empty;
        s.tasks[0].summary.n_state[CFB_ROW_OK] = s.tasks[0].summary.n_answered = 100 - empty;
        s.tasks[0].summary.mean_answered = 0.9;
        for (size_t i = 0; i < 4; i++) {
            cfb_buf b = write_form(writers[i], &s.report);
            const char *note = "40 of 100 outputs are empty and count 0; answered rows score 0.900";
            if (i != 1 && empty > 5) assert_has(&b, note);
            if (empty == 5) assert_lacks(&b, "outputs are empty");
            if (i == 3) assert_has(&b, "<div class=\"tile main\"><span class=\"dim\">company</span><b>0.8000</b>");
            if (i == 3) assert_has(&b, empty == 5 ? ">5 empty<" : ">40 empty<");
            cfb_buf_free(&b);
        }
    }
}

static void table_fits(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    s.tasks[2].summary.n_state[CFB_ROW_TRUNCATED] = 4;
    s.tasks[2].summary.n_state[CFB_ROW_OK] = 90;
    s.tasks[2].summary.n_state[CFB_ROW_FILTERED] = 6;
    s.tasks[2].task = "任务名称很长很长很长很长很长很长很长很长";
    s.tasks[3].summary.metric = "cosine of BAAI/bge-large-zh-v1.5 embeddings, 512 tokens";
    s.tasks[0].summary.n_unmatchable = 0;
    give_intervals(&s);
    static const int widths[] = {0, 60, 80, 100, 200};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        cfb_table_style style = {.width = widths[i]};
        cfb_buf b = CFB_BUF_INIT(1 << 20);
        cfb_err err = CFB_ERR_INIT;
        assert_int_equal(cfb_report_table(&s.report, &style, &b, &err), CFB_OK);
        assert_true(widest_line(&b) <= (size_t)(widths[i] == 0 ? 100 : widths[i] < 92 ? 92 : widths[i]));
        assert_has(&b, "failed");
        assert_has(&b, "任务名称");
        cfb_buf_free(&b);
    }
}

static void table_colours(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_table_style style = {.color = true};
    cfb_buf b = CFB_BUF_INIT(1 << 20);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_report_table(&s.report, &style, &b, &err), CFB_OK);
    assert_has(&b, "\033[31m15\033[0m");
    assert_has(&b, "\033[1mtask\033[0m");
    cfb_buf_free(&b);
}

static void groups_and_gaps(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    s.tasks[2].model = "other";
    s.tasks[3].model = "other";
    s.tasks[3].summary.mean_answered = NAN; /* nothing was answered */
    for (size_t i = 0; i < 4; i++) {
        cfb_buf b = write_form(writers[i], &s.report);
        assert_has(&b, "gpt-4o-mini");
        assert_has(&b, "other");
        assert_lacks(&b, "nan");
        cfb_buf_free(&b);
    }
    cfb_report empty = {0};
    for (size_t i = 0; i < 4; i++) {
        cfb_buf b = write_form(writers[i], &empty);
        assert_true(b.len > 0);
        cfb_buf_free(&b);
    }
    cfb_report_task bare = {0};
    cfb_report bare_report = {.tasks = &bare, .n_tasks = 1};
    for (size_t i = 0; i < 4; i++) {
        cfb_buf b = write_form(writers[i], &bare_report);
        cfb_buf_free(&b);
    }
}

/* ---- JSON ---- */

static void json_members(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(cfb_report_json, &s.report), again = write_form(cfb_report_json, &s.report);
    assert_string_equal(b.ptr, again.ptr);
    cfb_json *root = parse_form(&b);
    assert_true(cfb_str_eqz(cfb_json_str(cfb_json_get(root, "schema")), "cfbench.scores/2"));
    assert_null(cfb_json_get(root, "created_at"));
    const cfb_json *tasks = cfb_json_get(root, "tasks"), *second = cfb_json_next(cfb_json_first(tasks));
    assert_int_equal(cfb_json_count(tasks), 4);
    assert_true(number_of(second, "score_all") == 0.5);
    assert_true(number_of(second, "score_answered") == 0.625);
    assert_true(number_of(cfb_json_get(second, "states"), "failed") == 15);
    assert_int_equal(cfb_json_count(cfb_json_get(second, "histogram")), CFB_REPORT_BINS);
    assert_int_equal(cfb_json_count(cfb_json_get(second, "labels")), 3);
    assert_true(number_of(cfb_json_first(cfb_json_get(second, "labels")), "recall") == 0.75);
    assert_int_equal(cfb_json_count(cfb_json_get(second, "failed_rows")), 2);
    const cfb_json *means = cfb_json_get(root, "means");
    assert_int_equal(cfb_json_count(means), 4);
    const cfb_json *all = cfb_json_first(means);
    for (const cfb_json *next; (next = cfb_json_next(all)) != NULL;) all = next;
    assert_true(cfb_str_eqz(cfb_json_str(cfb_json_get(all, "kind")), "all"));
    assert_true(fabs(number_of(all, "score_all") - 0.5) < 1e-12);
    assert_true(number_of(all, "tasks") == 4);
    cfb_json_free(root);
    cfb_buf_free(&b);
    cfb_buf_free(&again);
}

/* ---- hostile text ---- */

static void hostile_text(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    size_t big = (size_t)1 << 20;
    char *line = malloc(big + 1);
    assert_non_null(line);
    memset(line, 'x', big);
    line[big] = '\0';
    cfb_report_row rows[2] = {
        {0, CFB_STR_LIT(EVIL), CFB_STR_LIT(EVIL), CFB_STR_LIT(EVIL), CFB_STR_LIT("a\0b"), 0, "failed", EVIL, EVIL},
        {1, {line, big}, {line, big}, {line, big}, {line, big}, 0, "failed", line, line}};
    cfb_label_stat label = {CFB_STR_LIT(EVIL), 1, 1, 1, 1, 1, 1};
    cfb_report_task *t = &s.tasks[1];
    t->model = t->setting = t->task = t->title = t->kind = t->source = EVIL;
    t->failed = t->worst = rows;
    t->n_failed_listed = t->n_worst = 2;
    t->summary.labels = &label;
    t->summary.n_labels = 1;
    s.report.title = s.report.command = s.report.created_at = s.report.version = EVIL;
    s.settings[0] = (cfb_report_setting){EVIL, EVIL};
    for (size_t i = 0; i < 4; i++) {
        if (i == 2) s.report.command = NULL; /* it stands in a code block as it is */
        cfb_buf b = write_form(writers[i], &s.report);
        assert_int_equal(cfb_utf8_find_invalid(cfb_buf_str(&b)), SIZE_MAX);
        assert_lacks(&b, "\x1b");
        assert_lacks(&b, "\x07");
        assert_int_equal(strlen(b.ptr), b.len);
        if (i != 1) {
            assert_lacks(&b, "\xE2\x80\xAE");
            assert_lacks(&b, "\xC2\x9B");
            assert_lacks(&b, "\r");
            assert_has(&b, "U+202E");
            assert_has(&b, "\\xFF");
        }
        if (i >= 2) {
            assert_lacks(&b, "<script");
            assert_lacks(&b, "\n# head\n");
        }
        if (i == 0) assert_true(widest_line(&b) <= 200);
        if (i == 2) assert_lacks(&b, "&|");
        if (i == 3) assert_true(b.len < 200000); /* long text is cut */
        if (i == 3) assert_has(&b, "Cut: 1,046,576 more characters.");
        cfb_buf_free(&b);
    }
    free(line);
}

static void markdown_cells(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    s.tasks[0].task = "a|b\nc";
    cfb_buf b = write_form(cfb_report_markdown, &s.report);
    assert_cells(&b, "| task");
    assert_has(&b, "| a\\|b␊c |");
    assert_has(&b, "| **all** | **mean of 4 tasks** |");
    assert_has(&b, "- and 13 more");
    cfb_buf_free(&b);
}

static void html_nests(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(cfb_report_html, &s.report);
    assert_nests(&b);
    assert_has(&b, "id=\"t3\"");
    assert_has(&b, "aria-label=\"Histogram of 100 row scores");
    assert_lacks(&b, "<script");
    assert_lacks(&b, "http://");
    assert_lacks(&b, "https://");
    cfb_buf_free(&b);
}

static void labels_by_frequency(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    static cfb_label_stat many[300];
    static char names[300][8];
    for (size_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "L%03zu", i);
        many[i] = (cfb_label_stat){cfb_str_from(names[i]), i % 100, 0, 0, 0, 0, 0};
    }
    s.tasks[1].summary.labels = many;
    s.tasks[1].summary.n_labels = 300;
    cfb_buf b = write_form(cfb_report_html, &s.report);
    assert_has(&b, "the 20 most frequent of 300");
    const char *a = strstr(b.ptr, "L099"), *c = strstr(b.ptr, "L199"), *d = strstr(b.ptr, "L098");
    assert_true(a != NULL && c != NULL && d != NULL && a < c && c < d);
    assert_lacks(&b, "L050");
    cfb_buf_free(&b);
}

static void limits_are_kept(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    for (size_t i = 0; i < 4; i++) {
        cfb_buf b = CFB_BUF_INIT(300);
        cfb_err err = CFB_ERR_INIT;
        assert_int_equal(writers[i](&s.report, &b, &err), CFB_ELIMIT);
        cfb_buf_free(&b);
    }
}

/* ---- rows, lengths, confused labels ---- */

/* The page of one task with this row among the lowest. */
static void page_with(const cfb_report_row *row, const char *metric, const cfb_confused_pair *pairs, size_t n_pairs,
                      const cfb_report_lengths *lengths, cfb_buf *out) {
    sample s;
    make_sample(&s);
    cfb_report_task t = s.tasks[1];
    t.summary.metric = metric;
    t.worst = row;
    t.best = row;
    t.n_worst = t.n_best = row != NULL;
    t.confused = pairs;
    t.n_confused = n_pairs;
    t.n_confused_rows = t.summary.n_rows;
    t.lengths = lengths;
    s.report.tasks = &t;
    s.report.n_tasks = 1;
    cfb_buf_clear(out);
    assert_int_equal(cfb_report_html(&s.report, out, NULL), CFB_OK);
}

static void differences(void **state) {
    (void)state;
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_report_row row = {
        .row = 1, .response = CFB_STR_LIT("公司，a<b, 同"), .output = CFB_STR_LIT("同，新,&x"), .score = 0.5, .state = "ok"};
    page_with(&row, "f1 (labels: suite)", NULL, 0, NULL, &b);
    assert_has(&b, "<del>公司</del>，<del>a&lt;b</del>, 同</bdi>");
    assert_has(&b, "同，<ins>新</ins>,<ins>&amp;x</ins></bdi>");
    row.response = CFB_STR_LIT("the quick 狐狸跳 over 10 dogs");
    row.output = CFB_STR_LIT("the slow 狐狸走 over 100 dogs");
    page_with(&row, "tf cosine", NULL, 0, NULL, &b);
    assert_has(&b, "the <del>quick</del> 狐狸<del>跳</del> over <del>10</del> dogs</bdi>");
    assert_has(&b, "the <ins>slow</ins> 狐狸<ins>走</ins> over <ins>100</ins> dogs</bdi>");
    row.output = CFB_STR_LIT("别的什么都没有共同之处吧啊"); /* marks over everything would say nothing */
    page_with(&row, "tf cosine", NULL, 0, NULL, &b);
    assert_null(strstr(b.ptr, "<ins>"));
    assert_has(&b, "别的什么都没有共同之处吧啊</bdi>");
    row.output = CFB_STR_LIT("");
    page_with(&row, "tf cosine", NULL, 0, NULL, &b);
    assert_has(&b, "(empty)");
    static char broken[] = "the \xE7\x8B quick \x1B over";
    row.output = (cfb_str){broken, sizeof broken - 1};
    page_with(&row, "tf cosine", NULL, 0, NULL, &b);
    assert_int_equal(cfb_utf8_find_invalid(cfb_buf_str(&b)), SIZE_MAX);
    cfb_buf_free(&b);
}

static void lengths_and_scores(void **state) {
    (void)state;
    static const double edges[] = {0, 1, 1.5, 2, 3, 4, 6, 8, 12};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) assert_true(cfb_report_length_edge(i) == edges[i]);
    for (uint32_t n = 0; n < 100000; n++) {
        size_t bin = cfb_report_length_bin(n);
        assert_true(cfb_report_length_edge(bin) <= n && n < cfb_report_length_edge(bin + 1));
    }
    assert_int_equal(cfb_report_length_bin(UINT32_MAX), CFB_REPORT_LENGTH_BINS - 1);
    cfb_report_lengths *l = calloc(1, sizeof *l);
    cfb_buf b = CFB_BUF_INIT(0);
    assert_non_null(l);
    l->n[5][10] = 4;
    l->sum[5] = 2;
    page_with(NULL, "tf cosine", NULL, 0, l, &b);
    assert_null(strstr(b.ptr, "Length and score")); /* all are as long */
    l->n[12][CFB_REPORT_BINS - 1] = 1;
    l->sum[12] = 1;
    page_with(NULL, "tf cosine", NULL, 0, l, &b);
    assert_has(&b, "from 4: 0.50 (4); from 48: 1.00 (1);");
    assert_has(&b, "<path class=\"mean\"");
    free(l);
    cfb_buf_free(&b);
}

static void confusions(void **state) {
    (void)state;
    static const cfb_confused_pair few[] = {{CFB_STR_LIT("消极"), CFB_STR_LIT("中性"), 20},
                                            {CFB_STR_LIT("积极"), CFB_STR_LIT("中性"), 4}};
    static const cfb_confused_pair rare[] = {{CFB_STR_LIT("a"), CFB_STR_LIT("b"), 2}, {CFB_STR_LIT("a"), CFB_STR_LIT("c"), 1}};
    cfb_buf b = CFB_BUF_INIT(0);
    page_with(NULL, "f1 (labels: suite)", few, 2, NULL, &b);
    assert_has(&b, "<table class=\"cm\">");
    assert_has(&b, "24%,transparent)\">20</td>"); /* 60 % of the share, 20 of 50 */
    cfb_label_stat many[13] = {{CFB_STR_LIT("a"), 8, 1, 1, 1, 0.125, 0.2}};
    static const char *const names[] = {"b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"};
    for (size_t i = 0; i < 12; i++) many[i + 1] = (cfb_label_stat){cfb_str_from(names[i]), 1, 1, 0, 0, 0, 0};
    sample s;
    make_sample(&s);
    cfb_report_task t = s.tasks[1];
    t.summary.labels = many;
    t.summary.n_labels = 13;
    t.confused = rare;
    t.n_confused = 2;
    t.n_confused_rows = 50;
    s.report.tasks = &t;
    s.report.n_tasks = 1;
    cfb_buf_clear(&b);
    assert_int_equal(cfb_report_html(&s.report, &b, NULL), CFB_OK);
    assert_null(strstr(b.ptr, "<table class=\"cm\">"));
    assert_has(&b, "Confused labels, in the first 50 rows");
    assert_has(&b, "<td class=\"n\">2</td><td class=\"n\">25 %</td></tr>\n</tbody>"); /* what occurs once is left out */
    cfb_buf_free(&b);
}

/* The fixture's page in both languages; test cli/language.sh looks at every word. */
static void languages(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf en = write_form(cfb_report_html, &s.report);
    s.report.language = CFB_REPORT_ZH;
    cfb_buf zh = write_form(cfb_report_html, &s.report), other = write_form(cfb_report_markdown, &s.report);
    assert_has(&en, "<html lang=\"en\">");
    assert_has(&zh, "<html lang=\"zh-CN\">");
    assert_has(&zh, "<th scope=\"col\" class=\"n\">召回率</th>");
    assert_has(&zh, "个任务的平均");
    assert_lacks(&zh, "Lowest scores");
    assert_lacks(&zh, ">rows<");
    assert_has(&other, "| 召回率 |");
    assert_has(&other, "失败样本 15 个：");
    assert_has(&other, "，样本 17（编号 doc-17）：server");
    assert_lacks(&other, " more");
    assert_int_equal(cfb_report_language_of(cfb_buf_str(&other)), CFB_REPORT_ZH);
    cfb_buf md = write_form(cfb_report_markdown, &(cfb_report){.tasks = s.tasks, .n_tasks = 4}), term;
    assert_int_equal(cfb_report_language_of(cfb_buf_str(&md)), CFB_REPORT_EN);
    cfb_buf_free(&md);
    term = write_form(plain_table, &s.report);
    assert_has(&term, "─ 样本数 ─");
    assert_has(&term, "任务  "); /* 4 columns wide */
    assert_has(&term, "说明：company：3 个参考答案");
    assert_lacks(&term, "rows");
    cfb_buf_free(&term);
    for (int width = 60; width <= 140; width += 40) {
        cfb_table_style style = {.width = width};
        cfb_buf b = CFB_BUF_INIT(1 << 20);
        assert_ok(cfb_report_table(&s.report, &style, &b, e_));
        assert_true(widest_line(&b) <= (size_t)(width < 92 ? 92 : width));
        cfb_buf_free(&b);
    }
    assert_int_equal(cfb_report_language_of(cfb_buf_str(&en)), CFB_REPORT_EN);
    assert_int_equal(cfb_report_language_of(cfb_buf_str(&zh)), CFB_REPORT_ZH);
    assert_int_equal(cfb_report_language_of((cfb_str){zh.ptr, 20}), CFB_REPORT_EN);
    assert_int_equal(cfb_report_language_of(CFB_STR_NULL), CFB_REPORT_EN);
    cfb_buf_free(&en);
    cfb_buf_free(&zh);
    cfb_buf_free(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(display_width), cmocka_unit_test(display_fit),         cmocka_unit_test(table_whole),
        cmocka_unit_test(table_parts),   cmocka_unit_test(empty_outputs),       cmocka_unit_test(intervals),
        cmocka_unit_test(table_fits),    cmocka_unit_test(table_colours),       cmocka_unit_test(groups_and_gaps),
        cmocka_unit_test(json_members),  cmocka_unit_test(hostile_text),        cmocka_unit_test(markdown_cells),
        cmocka_unit_test(html_nests),    cmocka_unit_test(labels_by_frequency), cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(differences),   cmocka_unit_test(lengths_and_scores),  cmocka_unit_test(confusions),
        cmocka_unit_test(languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
