#include "test.h"

#include "cfbench/price.h"

#include <math.h>

static cfb_prices_t *parse(const char *json) {
    cfb_prices_t *p;
    assert_ok(cfb_prices_parse("prices.json", cfb_str_from(json), &p, &test_err));
    return p;
}

static void prices_are_read_exactly(void **state) {
    (void)state;
    cfb_prices_t *p = parse("{\"x-note\": [1], \"gpt\": {\"input_per_million\": 0.15, \"output_per_million\": 0.6,"
                            " \"cached_input_per_million\": 0.075, \"currency\": \"EUR\", \"x-seen\": \"today\"},"
                            " \"qwen\": {\"output_per_million\": 2, \"input_per_million\": 0.000001}, \"free\":"
                            " {\"input_per_million\": 0, \"output_per_million\": 1e6}}");
    const cfb_price *a = cfb_prices_find(p, "gpt"), *b = cfb_prices_find(p, "qwen"), *c = cfb_prices_find(p, "free");
    assert_int_equal(a->input, 150000);
    assert_int_equal(a->output, 600000);
    assert_int_equal(a->cached_input, 75000);
    assert_string_equal(a->currency, "EUR");
    assert_int_equal(b->input, 1);
    assert_int_equal(b->cached_input, 1); /* as input, where it is left out */
    assert_string_equal(b->currency, "USD");
    assert_int_equal(c->input, 0);
    assert_int_equal(c->output, INT64_C(1000000000000));
    assert_null(cfb_prices_find(p, "GPT"));
    const cfb_price *none;
    assert_fails(cfb_prices_require(p, "o9", &none, &test_err), CFB_ECONFIG,
                 "prices.json: no price for the model 'o9', so its cost cannot be limited; add it (there are: gpt, qwen, free)");
    assert_ok(cfb_prices_require(p, "qwen", &none, &test_err));
    assert_ptr_equal(none, b);
    cfb_prices_free(p);
    p = parse("{}");
    assert_fails(cfb_prices_require(p, "m", &none, &test_err), CFB_ECONFIG, "(there are: none)");
    cfb_prices_free(p);
}

static void wrong_files_are_named_with_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "prices.json"},
        {"[]", "must be a JSON object with models as members, not array"},
        {"{\"m\": 1}", "\"m\": must be an object with prices"},
        {"{\"\": {}}", "a model has no name"},
        {"{\"m\": {}}", "\"m\": \"input_per_million\" is missing"},
        {"{\"m\": {\"input_per_million\": 1}}", "\"output_per_million\" is missing"},
        {"{\"m\": {\"input_per_million\": \"1\", \"output_per_million\": 1}}", "must be a number from 0 to 1000000"},
        {"{\"m\": {\"input_per_million\": -1, \"output_per_million\": 1}}", "must be a number from 0 to 1000000"},
        {"{\"m\": {\"input_per_million\": 1000001, \"output_per_million\": 1}}", "must be a number from 0 to 1000000"},
        {"{\"m\": {\"input_per_million\": 1e999, \"output_per_million\": 1}}", "prices.json"},
        {"{\"m\": {\"input\": 1, \"output_per_million\": 1}}", "unknown member \"input\""},
        {"{\"m\": {\"input_per_million\": 1, \"output_per_million\": 1, \"currency\": \"usd\"}}", "1 to 8 capital letters"},
        {"{\"m\": {\"input_per_million\": 1, \"output_per_million\": 1, \"currency\": \"\"}}", "1 to 8 capital letters"},
        {"{\"m\": {\"input_per_million\": 1, \"input_per_million\": 2, \"output_per_million\": 1}}", "prices.json"},
        {"{\"m\": {\"input_per_million\": 1, \"output_per_million\": 1}} x", "prices.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_prices_t *p = NULL;
        cfb_err err = CFB_ERR_INIT;
        cfb_code rc = cfb_prices_parse("prices.json", cfb_str_from(cases[i].json), &p, &err);
        if (rc == CFB_OK || strstr(err.msg, cases[i].message) == NULL) fail_msg("%s: %s", cases[i].json, err.msg);
        assert_int_equal(cfb_code_exit_status(rc), 2);
    }
    cfb_prices_t *p;
    assert_fails(cfb_prices_read("/no/such/prices.json", &p, &test_err), CFB_ENOTFOUND, "/no/such/prices.json");
}

static void costs_are_exact_and_rounded_up_once(void **state) {
    (void)state;
    const cfb_price p = {"m", 150000, 600000, 75000, "USD"}, small = {"s", 1, 1, 1, "USD"};
    const cfb_price top = {"t", INT64_C(1000000000000), INT64_C(1000000000000), INT64_C(1000000000000), "USD"};
    assert_int_equal(cfb_price_cost(&p, 0, 0, 0), 0);
    assert_int_equal(cfb_price_cost(&p, -1, -1, -1), 0);
    assert_int_equal(cfb_price_cost(&p, 1000000, 0, 0), 150000);
    assert_int_equal(cfb_price_cost(&p, 1000000, 400000, 1000000), 90000 + 30000 + 600000);
    assert_int_equal(cfb_price_cost(&p, 1000, -1, 100), 150 + 60);
    assert_int_equal(cfb_price_cost(&p, 10, 999, 0), 1); /* cached is at most prompt: 0.75 micros */
    assert_int_equal(cfb_price_cost(&small, 1, 0, 1), 1);
    assert_int_equal(cfb_price_cost(&small, 1000000, 0, 1), 2);
    assert_int_equal(cfb_price_cost(&top, INT64_MAX, 0, INT64_MAX), INT64_C(2000000000000000000));
    assert_int_equal(cfb_price_cost(&top, 999999, 5, 999999), INT64_C(1999998000000));
    /* differences of running sums add up to the cost of the sum */
    int64_t sum = 0, before = 0;
    for (int i = 1; i <= 1000; i++) {
        int64_t now = cfb_price_cost(&p, 7 * i, 3 * i, i);
        sum += now - before;
        before = now;
    }
    assert_int_equal(sum, cfb_price_cost(&p, 7000, 3000, 1000));
}

static void amounts_and_their_texts(void **state) {
    (void)state;
    char buf[32];
    assert_int_equal(cfb_price_micros(1.5), 1500000);
    assert_int_equal(cfb_price_micros(0.1), 100000);
    assert_int_equal(cfb_price_micros(0), 0);
    assert_int_equal(cfb_price_micros(-1), 0);
    assert_int_equal(cfb_price_micros(1e300), INT64_C(9007199254740992));
    assert_int_equal(cfb_price_micros(NAN), INT64_C(9007199254740992));
    assert_string_equal(cfb_price_format(0, buf), "0.00");
    assert_string_equal(cfb_price_format(1500000, buf), "1.50");
    assert_string_equal(cfb_price_format(1, buf), "0.000001");
    assert_string_equal(cfb_price_format(-1230000, buf), "-1.23");
    assert_string_equal(cfb_price_format(1234500, buf), "1.2345");
    assert_string_equal(cfb_price_format(INT64_MIN, buf), "-9223372036854.775808");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prices_are_read_exactly),
        cmocka_unit_test(wrong_files_are_named_with_what_is_wrong),
        cmocka_unit_test(costs_are_exact_and_rounded_up_once),
        cmocka_unit_test(amounts_and_their_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
