/* Headers about limits and waiting. */
#include "test.h"

#include "client/internal.h"

#define NOW_MS INT64_C(1792065600000) /* 2026-10-15T12:00:00Z */
static cfb_rate_hints h;

static void read_one(const char *line) { cfb_client__read_header(cfb_str_from(line), NOW_MS, &h); }
static void read_lines(const char *const *lines) {
    h = (cfb_rate_hints)CFB_RATE_HINTS_INIT;
    for (; *lines != NULL; lines++) read_one(*lines);
}

static void near(double got, double want, const char *what) {
    if (!(got > want - 1e-6 && got < want + 1e-6)) fail_msg("%s: %.9g is not %.9g", what, got, want);
}

static void waits_in_all_forms(void **state) {
    (void)state;
    static const struct {
        const char *line;
        double wait; /* -1: left alone */
    } cases[] = {
        {"Retry-After: 5", 5},
        {"retry-after:5\r\n", 5},
        {"RETRY-AFTER:\t 2.5 \r\n", 2.5},
        {"Retry-After: 0", 0},
        {"Retry-After: .25", 0.25},
        {"Retry-After: -3", 0},
        {"Retry-After: 99999999", 86400},
        {"Retry-After: 99999999999999999999999999999999999999999999", 86400},
        {"Retry-After: 20s", 20},
        {"Retry-After: Thu, 15 Oct 2026 12:00:30 GMT", 30},
        {"Retry-After: Thursday, 15-Oct-26 12:01:00 GMT", 60},
        {"Retry-After: Thu Oct 15 12:00:07 2026", 7},
        {"Retry-After: Mon Oct  5 12:00:07 2026", 0},
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Retry-After: Sunday, 06-Nov-94 08:49:37 GMT", 0}, /* 1994, not 2094 */
        {"Retry-After: Fri, 01 Jan 2100 00:00:00 GMT", 86400},
        {"Retry-After: 2026-10-15T12:00:45Z", 45},
        {"Retry-After-Ms: 312", 0.312},
        {"x-ms-retry-after-ms: 1500", 1.5},
        {"retry-after-ms: -1", 0},
        {"retry-after-ms: 1e3", -1},
        {"Retry-After:", -1},
        {"Retry-After", -1},
        {"Retry-After: soon", -1},
        {"Retry-After: 5 seconds", -1},
        {"Retry-After: nan", -1},
        {"Retry-After: inf", -1},
        {"Retry-After: -", -1},
        {"Retry-After: Thu, 15 Oct 2026 25:00:30 GMT", -1},
        {"Retry-After: Thu, 15 Foo 2026 12:00:30 GMT", -1},
        {"Retry-After: Thu, 15 Oct 2026 12:00:30 CET", -1},
        {"X-Retry-After: 5", -1},
        {": 5", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h = (cfb_rate_hints)CFB_RATE_HINTS_INIT;
        read_one(cases[i].line);
        near(h.retry_after_s, cases[i].wait, cases[i].line);
    }
}

static void of_two_waits_the_exact_or_the_longer_counts(void **state) {
    (void)state;
    read_lines((const char *const[]){"Retry-After: 1", "retry-after-ms: 312", NULL});
    near(h.retry_after_s, 0.312, "ms after s");
    read_lines((const char *const[]){"retry-after-ms: 312", "Retry-After: 1", NULL});
    near(h.retry_after_s, 0.312, "s after ms");
    read_lines((const char *const[]){"Retry-After: 60", "Retry-After: 5", NULL});
    near(h.retry_after_s, 60, "two");
    read_lines((const char *const[]){"Retry-After: 5", "Retry-After: oops", NULL});
    near(h.retry_after_s, 5, "a malformed one changes nothing");
}

static void resets_in_all_forms(void **state) {
    (void)state;
    static const struct {
        const char *value;
        double reset;
    } cases[] = {
        {"1s", 1},
        {"6m0s", 360},
        {"20ms", 0.02},
        {"1h2m3.5s", 3723.5},
        {"2m59.56s", 179.56},
        {"1d", 86400},
        {"3d", 86400},
        {"250us", 0.00025},
        {"250\xC2\xB5s", 0.00025},
        {"7.66", 7.66},
        {"0", 0},
        {"2026-10-15T12:00:10Z", 10},
        {"2026-10-15T12:00:10.5Z", 10.5},
        {"2026-10-15T13:00:10+01:00", 10},
        {"2026-10-15T11:30:10-00:30", 10},
        {"1792065605", 5},    /* Unix time in s */
        {"1792065607000", 7}, /* and in ms: OpenRouter */
        {"6m0", -1},
        {"6x", -1},
        {"m", -1},
        {"2026-10-15T12:00:10", -1},
        {"2026-13-15T12:00:10Z", -1},
        {"2026-10-15", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[128];
        h = (cfb_rate_hints)CFB_RATE_HINTS_INIT;
        snprintf(line, sizeof line, "x-ratelimit-reset-tokens: %s", cases[i].value);
        read_one(line);
        near(h.reset_tokens_s, cases[i].reset, line);
        near(h.reset_requests_s, -1, line);
    }
}

static void limits_of_the_apis(void **state) {
    (void)state;
    read_lines((const char *const[]){"x-ratelimit-limit-requests: 5000", "x-ratelimit-limit-tokens: 160000", /* OpenAI */
                                     "x-ratelimit-remaining-requests: 4999", "x-ratelimit-remaining-tokens: 159976",
                                     "x-ratelimit-reset-requests: 12ms", "x-ratelimit-reset-tokens: 9ms",
                                     "content-type: application/json", NULL});
    assert_int_equal(h.limit_requests, 5000);
    assert_int_equal(h.limit_tokens, 160000);
    assert_int_equal(h.remaining_requests, 4999);
    assert_int_equal(h.remaining_tokens, 159976);
    near(h.reset_requests_s, 0.012, "requests");
    near(h.reset_tokens_s, 0.009, "tokens");
    near(h.retry_after_s, -1, "retry");
    read_lines((const char *const[]){"x-ratelimit-limit-tokens: -1", "x-ratelimit-remaining-tokens: -1",
                                     "x-ratelimit-limit-requests: many", NULL});
    assert_int_equal(h.limit_tokens, -1); /* Azure's "no limit" */
    assert_int_equal(h.remaining_tokens, -1);
    assert_int_equal(h.limit_requests, -1);
    read_lines((const char *const[]){"anthropic-ratelimit-requests-limit: 1000", "anthropic-ratelimit-requests-remaining: 999",
                                     "anthropic-ratelimit-requests-reset: 2026-10-15T12:00:01Z",
                                     "anthropic-ratelimit-tokens-limit: 96000", "anthropic-ratelimit-tokens-remaining: 0",
                                     "anthropic-ratelimit-tokens-reset: 2026-10-15T12:00:59Z", NULL});
    assert_int_equal(h.limit_requests, 1000);
    assert_int_equal(h.remaining_requests, 999);
    assert_int_equal(h.limit_tokens, 96000);
    assert_int_equal(h.remaining_tokens, 0);
    near(h.reset_requests_s, 1, "requests");
    near(h.reset_tokens_s, 59, "tokens");
    read_lines(
        (const char *const[]){"X-RateLimit-Limit: 20", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1792065660000", NULL});
    assert_int_equal(h.limit_requests, 20);
    assert_int_equal(h.remaining_requests, 0);
    near(h.reset_requests_s, 60, "OpenRouter");
}

static void the_draft_in_its_versions(void **state) {
    (void)state;
    read_lines((const char *const[]){"RateLimit-Limit: 100, 100;w=60", "RateLimit-Remaining: 7", "RateLimit-Reset: 30", NULL});
    assert_int_equal(h.limit_requests, 100);
    assert_int_equal(h.remaining_requests, 7);
    near(h.reset_requests_s, 30, "6");
    read_lines((const char *const[]){"RateLimit: limit=100, remaining=50, reset=5", NULL});
    assert_int_equal(h.limit_requests, 100);
    assert_int_equal(h.remaining_requests, 50);
    near(h.reset_requests_s, 5, "7");
    read_lines((const char *const[]){"RateLimit-Policy: \"burst\";q=100;w=60, \"daily\";q=1000;w=86400",
                                     "RateLimit: \"daily\";r=900;t=7200, \"burst\";r=3;t=31", NULL});
    assert_int_equal(h.limit_requests, 100);
    assert_int_equal(h.remaining_requests, 3);
    near(h.reset_requests_s, 31, "8");
    read_lines((const char *const[]){"RateLimit: \"x\";t=5", "RateLimit: ", "RateLimit: ,,;r=,", NULL});
    assert_int_equal(h.remaining_requests, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_in_all_forms),        cmocka_unit_test(of_two_waits_the_exact_or_the_longer_counts),
        cmocka_unit_test(resets_in_all_forms),       cmocka_unit_test(limits_of_the_apis),
        cmocka_unit_test(the_draft_in_its_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
