/* test_report_asking.c - how a run was asked, in the report's four forms: numbers, figures, hostile text, nothing at all. */
#include "report_forms.h"

static const char *const classes[] = {"rate_limit", "server"};
static const uint64_t by_class[3][2] = {{5, 2}, {0, 1}, {5, 3}};
static const cfb_report_setting settings[] = {{"model", "m"}, {"stop", ""}, {"store.schema", "2"}};
static const char *const commands[] = {"cfbench run --mock --limit 1", "cfbench run --mock"};

typedef struct sample {
    cfb_report report;
    cfb_report_asking asking[2];
    cfb_report_asked tasks[2];
    cfb_report_point points[CFB_REPORT_POINTS];
    cfb_report_dot dots[CFB_REPORT_DOTS];
} sample;

static cfb_report_asked make_asked(const char *task, const uint64_t *n_by_class, uint64_t n_calls) {
    cfb_report_asked t = {.task = task,
                          .n_rows = n_calls,
                          .n_calls = n_calls,
                          .n_retries = 8,
                          .n_failed_calls = n_by_class[0] + n_by_class[1],
                          .n_by_class = n_by_class,
                          .waited_s = 1.5,
                          .n_counted = n_calls,
                          .prompt_tokens = 1234567,
                          .completion_tokens = 7654,
                          .cached_tokens = 11,
                          .cost = 0.0125,
                          .busy_s = 90,
                          .calls_per_s = 2.5,
                          .tokens_per_s = 85.04,
                          .latency = {n_calls, {0.25, 0.5, 1, 2, 75}},
                          .ttft = {0, {NAN, NAN, NAN, NAN, NAN}}};
    t.n_state[CFB_ROW_OK] = n_calls;
    return t;
}

static void make_sample(sample *s) {
    *s = (sample){0};
    s->tasks[0] = make_asked("sector", by_class[0], 150);
    s->tasks[1] = make_asked("event", by_class[1], 75);
    cfb_report_asking *a = &s->asking[0];
    *a = (cfb_report_asking){.source = "out/run.db",
                             .model = "m",
                             .setting = "few-shot",
                             .first_call = "2026-01-31T12:00:00Z",
                             .last_call = "2026-01-31T12:02:00Z",
                             .currency = "USD",
                             .all = make_asked(NULL, by_class[2], 225),
                             .tasks = s->tasks,
                             .n_tasks = 2,
                             .classes = classes,
                             .n_classes = 2,
                             .interval_s = 1,
                             .points = s->points,
                             .n_points = 90,
                             .dots = s->dots,
                             .n_dots = 180,
                             .settings = settings,
                             .n_settings = 3,
                             .n_notes = 1,
                             .commands = commands,
                             .n_commands = 2};
    static const char *const phases[] = {"grow", "search", "hold", "probe"};
    for (size_t i = 0; i < 90; i++)
        s->points[i] = (cfb_report_point){i % 5,          i % 7 == 0, i % 14 == 0, 3.5, 8,      i % 9 == 0 ? 4.0 : 8.0,
                                          phases[i / 23], 0.25,       0.5,         1,   i == 40};
    s->points[50].p50_s = s->points[50].p90_s = s->points[50].max_s = NAN;
    s->points[0].limit = s->points[0].limit_low = NAN;
    s->points[0].phase = NULL;
    for (size_t i = 0; i < 180; i++) s->dots[i] = (cfb_report_dot){(double)i / 2, 0.1 + (double)(i % 30) / 10, i % 20 == 3};
    a->latency_bins[cfb_report_latency_bin(250000)] = 200;
    a->latency_bins[cfb_report_latency_bin(75000000)] = 25;
    s->asking[1] = *a;
    s->report = (cfb_report){.title = "Sample", .asking = s->asking, .n_asking = 1};
}

static cfb_code table(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    cfb_table_style style = {.asking = true};
    return cfb_report_table(r, &style, out, err);
}

static const report_writer writers[] = {table, cfb_report_json, cfb_report_markdown, cfb_report_html};

/* ---- bins ---- */

static void bins_hold_their_edges(void **state) {
    (void)state;
    assert_int_equal(cfb_report_latency_bin(-5), 0);
    assert_int_equal(cfb_report_latency_bin(0), 0);
    assert_int_equal(cfb_report_latency_bin(1), 0);
    assert_int_equal(cfb_report_latency_bin(INT64_MAX), CFB_REPORT_LATENCY_BINS - 1);
    size_t last = 0;
    for (int64_t us = 1; us < (int64_t)1 << 36; us += us / 7 + 1) {
        size_t bin = cfb_report_latency_bin(us);
        double s = (double)us / 1e6;
        assert_true(bin >= last && bin < CFB_REPORT_LATENCY_BINS);
        last = bin;
        if (cfb_report_latency_edge_s(bin) > s * (1 + 1e-12)) fail_msg("%lld us in bin %zu", (long long)us, bin);
        if (bin + 1 < CFB_REPORT_LATENCY_BINS && cfb_report_latency_edge_s(bin + 1) <= s * (1 - 1e-12))
            fail_msg("%lld us in bin %zu", (long long)us, bin);
    }
    for (size_t i = 0; i < CFB_REPORT_LATENCY_BINS; i++)
        assert_true(cfb_report_latency_edge_s(i) < cfb_report_latency_edge_s(i + 1));
    assert_true(cfb_report_latency_edge_s(0) == 1e-6);
}

/* ---- forms ---- */

static void terminal_lines(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(table, &s.report);
    assert_has(&b,
               "asking: 225 calls in 90.0 s, 8 failed (rate_limit 5, server 3), 8 retries, waited 1.50 s\n"
               "        latency p50 250 ms, p99 1.00 s; tokens in 1,234,567, out 7,654, cached 11 (85.0/s); cost 0.012500 USD\n");
    cfb_buf_free(&b);
    cfb_table_style plain = {0};
    b = CFB_BUF_INIT(1 << 20);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_report_table(&s.report, &plain, &b, &err), CFB_OK);
    assert_lacks(&b, "asking:");
    cfb_buf_free(&b);
}

static void json_members(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(cfb_report_json, &s.report);
    cfb_json *root = parse_form(&b);
    const cfb_json *a = cfb_json_first(cfb_json_get(root, "asking")), *all = cfb_json_get(a, "all");
    assert_true(number_of(all, "calls") == 225);
    assert_true(number_of(all, "retries") == 8);
    assert_true(number_of(cfb_json_get(all, "failed_calls_by_class"), "server") == 3);
    assert_true(number_of(all, "prompt_tokens") == 1234567);
    assert_true(number_of(all, "cost") == 0.0125);
    assert_true(number_of(cfb_json_get(all, "latency"), "p999_s") == 2);
    assert_int_equal(cfb_json_kind_of(cfb_json_get(cfb_json_get(all, "time_to_first_text"), "p50_s")), CFB_JSON_NULL);
    assert_int_equal(cfb_json_count(cfb_json_get(a, "tasks")), 2);
    assert_int_equal(cfb_json_count(cfb_json_get(a, "series")), 90);
    assert_int_equal(cfb_json_kind_of(cfb_json_get(cfb_json_first(cfb_json_get(a, "series")), "limit")), CFB_JSON_NULL);
    assert_int_equal(cfb_json_count(cfb_json_get(a, "latency_histogram")), 2);
    assert_int_equal(cfb_json_count(cfb_json_get(a, "settings")), 3);
    assert_int_equal(cfb_json_count(cfb_json_get(a, "commands")), 2);
    cfb_json_free(root);
    cfb_buf_free(&b);
}

static void markdown_tables(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    s.tasks[0].task = "a|b\nc";
    cfb_buf b = write_form(cfb_report_markdown, &s.report);
    assert_has(
        &b,
        "\n## Asking\n\n| task | calls | failed calls | retries | waited | tokens in | out | cached | tokens out/s | cost |\n");
    assert_has(&b, "| a\\|b␊c | 150 |");
    assert_has(&b, "| all | 225 | 250 ms | 500 ms | 1.00 s | 2.00 s | 75.0 s |");
    assert_has(&b, "Failed calls: rate\\_limit 5, server 3.");
    assert_has(&b, "\n    cfbench run --mock --limit 1\n    cfbench run --mock\n");
    assert_has(&b, "| store.schema | 2 |");
    assert_cells(&b, "| task");
    cfb_buf_free(&b);
}

/* Every figure has a title and a description, and numbers beside it; drawing never leaves a number that is none. */
static void html_figures(void **state) {
    (void)state;
    static const char *const figures[] = {"flight", "rates", "latency", "latencies"};
    sample s;
    make_sample(&s);
    cfb_buf b = write_form(cfb_report_html, &s.report), again = write_form(cfb_report_html, &s.report);
    assert_string_equal(b.ptr, again.ptr);
    assert_nests(&b);
    for (size_t i = 0; i < 4; i++) {
        char text[96];
        snprintf(text, sizeof text, "<figure class=\"fig\" id=\"%s0\">", figures[i]);
        assert_has(&b, text);
        snprintf(text, sizeof text, "aria-labelledby=\"%s0t %s0d\"><title id=\"%s0t\">", figures[i], figures[i], figures[i]);
        assert_has(&b, text);
    }
    for (const char *p = b.ptr; (p = strstr(p, " d=\"")) != NULL;) { /* paths: letters and numbers only */
        p += 4;
        size_t n = strspn(p, "MHVZh0123456789. -");
        if (p[n] != '"') fail_msg("a path with '%.20s'", p + n);
    }
    assert_has(&b, "holding what it found");
    assert_has(&b, "class=\"pause\"");
    assert_has(&b, "The figures in numbers");
    assert_has(&b, "These commands made the run, in this order.");
    assert_has(&b, "none<bdi></bdi>");
    assert_lacks(&b, "nan");
    assert_lacks(&b, "inf\"");
    assert_lacks(&b, "<script");
    cfb_buf_free(&b);
    cfb_buf_free(&again);
}

/* A large run's part is as small as a middling one's. */
static void html_is_bounded(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    for (size_t i = 0; i < CFB_REPORT_POINTS; i++) {
        s.points[i] = s.points[i % 90];
        s.points[i].n_replies = 1000000000 + i * 7919 % 1000000;
        s.points[i].in_flight = 1e6 + (double)(i * 37 % 100);
    }
    for (size_t i = 0; i < CFB_REPORT_DOTS; i++)
        s.dots[i] = (cfb_report_dot){(double)i * 1e4, 1e-6 * pow(1.03, (double)i), i % 4 == 0};
    for (size_t i = 0; i < CFB_REPORT_LATENCY_BINS; i++) s.asking[0].latency_bins[i] = UINT32_MAX - i;
    s.asking[0].n_points = CFB_REPORT_POINTS;
    s.asking[0].n_dots = CFB_REPORT_DOTS;
    s.asking[0].interval_s = 50000;
    cfb_buf b = write_form(cfb_report_html, &s.report);
    assert_nests(&b);
    if (b.len > 90000) fail_msg("%zu bytes", b.len);
    assert_lacks(&b, "nan");
    cfb_buf_free(&b);
}

static void several_runs(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    s.report.n_asking = 2;
    s.asking[1].source = "other/run.db";
    cfb_buf b = write_form(cfb_report_html, &s.report);
    assert_nests(&b);
    assert_has(&b, "Asking: <bdi>out/run.db");
    assert_has(&b, "Asking: <bdi>other/run.db");
    assert_has(&b, "id=\"rates1\"");
    assert_has(&b, "Configuration of this run");
    assert_lacks(&b, "<h2>Configuration</h2>");
    cfb_buf_free(&b);
    b = write_form(cfb_report_markdown, &s.report);
    assert_has(&b, "## Asking: other/run.db\n");
    cfb_buf_free(&b);
}

/* ---- what can be missing, or evil ---- */

static void nothing_asked(void **state) {
    (void)state;
    cfb_report_asking bare = {0};
    cfb_report_times none = {0, {NAN, NAN, NAN, NAN, NAN}};
    bare.all.cost = bare.all.calls_per_s = bare.all.tokens_per_s = NAN;
    bare.all.latency = bare.all.ttft = none;
    cfb_report r = {.asking = &bare, .n_asking = 1};
    for (size_t i = 0; i < 4; i++) {
        cfb_buf b = write_form(writers[i], &r);
        assert_lacks(&b, "nan");
        if (i == 3) {
            assert_nests(&b);
            assert_has(&b, "No call was made.");
            assert_lacks(&b, "<figure");
        }
        cfb_buf_free(&b);
    }
    cfb_report_point one = {
        .n_replies = 1, .in_flight = 1, .limit = NAN, .limit_low = NAN, .p50_s = NAN, .p90_s = NAN, .max_s = NAN};
    bare.points = &one; /* one call that took no time that could be measured */
    bare.n_points = 1;
    bare.interval_s = 0.01;
    cfb_buf b = write_form(cfb_report_html, &r);
    assert_nests(&b);
    assert_has(&b, "id=\"flight0\"");
    assert_lacks(&b, "id=\"latency0\"");
    assert_lacks(&b, "nan");
    cfb_buf_free(&b);
}

static void hostile_text(void **state) {
    (void)state;
    static const char *const evil_list[] = {EVIL, EVIL};
    static const cfb_report_setting evil_settings[] = {{EVIL, EVIL}};
    sample s;
    make_sample(&s);
    cfb_report_asking *a = &s.asking[0];
    a->source = a->model = a->setting = a->first_call = a->last_call = a->currency = EVIL;
    a->classes = a->commands = evil_list;
    a->settings = evil_settings;
    a->n_settings = 1;
    a->n_notes = 0;
    s.tasks[0].task = EVIL;
    s.points[3].phase = EVIL;
    s.asking[1] = *a;
    for (size_t n = 1; n <= 2; n++)
        for (size_t i = 0; i < 4; i++) {
            s.report.n_asking = n;
            if (i == 2) a->n_commands = s.asking[1].n_commands = 0; /* they stand in a code block as they are */
            cfb_buf b = write_form(writers[i], &s.report);
            assert_int_equal(cfb_utf8_find_invalid(cfb_buf_str(&b)), SIZE_MAX);
            assert_lacks(&b, "\x1b");
            assert_lacks(&b, "\x07");
            if (i != 1) assert_lacks(&b, "\xE2\x80\xAE");
            if (i != 1) assert_lacks(&b, "\r");
            if (i >= 2) assert_lacks(&b, "<script");
            if (i >= 2) assert_lacks(&b, "\n# head");
            if (i == 3) assert_nests(&b);
            a->n_commands = s.asking[1].n_commands = 2;
            cfb_buf_free(&b);
        }
}

static void limits_are_kept(void **state) {
    (void)state;
    sample s;
    make_sample(&s);
    for (size_t i = 0; i < 4; i++) assert_limited(writers[i], &s.report);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bins_hold_their_edges), cmocka_unit_test(terminal_lines),
                                       cmocka_unit_test(json_members),          cmocka_unit_test(markdown_tables),
                                       cmocka_unit_test(html_figures),          cmocka_unit_test(html_is_bounded),
                                       cmocka_unit_test(several_runs),          cmocka_unit_test(nothing_asked),
                                       cmocka_unit_test(hostile_text),          cmocka_unit_test(limits_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
