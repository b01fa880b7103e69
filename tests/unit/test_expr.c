/* Expressions over the values of a row: what they mean, and what is refused with which words at which place. */
#include "cfbench/expr.h"
#include "test.h"

#include <math.h>

static const cfb_expr_name names[] = {
    {"score", CFB_EXPR_NUMBER}, {"task", CFB_EXPR_TEXT}, {"output", CFB_EXPR_TEXT}, {"bad", CFB_EXPR_TRUTH}};
#define N_NAMES 4

static bool value_of(const char *text) {
    cfb_expr_t *e;
    cfb_expr_value v[N_NAMES + 3] = {
        {.number = 0.25}, {.text = CFB_STR_LIT("sector")}, {.text = CFB_STR_LIT("银行，证券")}, {.truth = true}};
    assert_ok(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_));
    for (size_t i = 0; i < cfb_expr_n_columns(e); i++) {
        const char *c = cfb_expr_column(e, i);
        v[N_NAMES + i].text = strcmp(c, "n") == 0       ? CFB_STR_LIT(" 1.5 ")
                              : strcmp(c, "列 名") == 0 ? CFB_STR_LIT("x")
                                                        : CFB_STR_NULL;
    }
    bool out = cfb_expr_eval(e, v);
    cfb_expr_free(e);
    return out;
}

static void values(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"true", true},
        {"false", false},
        {"bad", true},
        {"!bad", false},
        {"!!bad", true},
        {"task == \"sector\" && score < 0.5", true},
        {"task == 'sector' && score > 0.5", false},
        {"task != \"sector\" || score <= 0.25", true},
        {"score >= 0.25", true},
        {"score > 0.25", false},
        /* || binds weaker than &&, ! stronger than both, - and / go from left to right */
        {"true || false && false", true},
        {"(true || false) && false", false},
        {"!false && false", false},
        {"10 - 3 - 2 == 5", true},
        {"12 / 3 / 2 == 2", true},
        {"1 + 2 * 3 == 7", true},
        {"(1 + 2) * 3 == 9", true},
        {"-score == 0 - 0.25", true},
        {"- - 1 == 1", true},
        {"1e2 == 100 && 1.5E-1 == 0.15 && 2e+0 == 2", true},
        {"chars(output) == 5", true},
        {"contains(output, \"银行\")", true},
        {"contains(output, '保险')", false},
        {"contains(output, '')", true},
        {"!contains(absent, 'a') && contains(absent, absent) && starts(absent, '') && ends(absent, absent)", true},
        {"starts(output, '银')", true},
        {"starts(output, '证')", false},
        {"ends(output, '券')", true},
        {"ends('券', '证券')", false},
        {"number(n) == 1.5", true},
        {"number(task) == number(task)", false},
        {"number(task) != number(task)", true},
        {"number('0x10') != 16 && number('inf') != number('inf') && number('') != 0", true},
        {"`列 名` == 'x'", true},
        {"`task` == ''", true},
        {"missing(`task`) && !missing(task)", true},
        {"absent == ''", true},
        {"abs(-2) == 2 && abs(2) == 2", true},
        {"min(1, 2) == 1 && max(1, 2) == 2 && min(2, 1) == 1 && max(2, 1) == 2", true},
        {"max(number('x'), 1) == 1", false},
        {"1 / 0 > 1e300", true},
        {"0 / 0 == 0 / 0", false},
        {"'a' < 'b' && 'a' < 'aa' && '' < 'a' && '啊' > 'z'", true},
        {"bad == true && bad != false", true},
        {"'\\\"\\'\\\\\\n\\r\\t' == \"\\\"'\\\\\n\r\t\"", true},
        {"true||false", true},
        {" \t\r\n true \n", true},
        {"score<0.5&&score>0.1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (value_of(cases[i].text) != cases[i].want) fail_msg("%s is not %d", cases[i].text, cases[i].want);
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "at character 1: the expression is empty"},
        {"  ", "at character 1: the expression is empty"},
        {"score <", "at character 8: a value is missing at the end"},
        {"score < && true", "at character 9: a value is missing here"},
        {"(true", "at character 6: expected ')'"},
        {"true)", "at character 5: this does not belong here"},
        {"true false", "at character 6: an operator is missing before this"},
        {"score", "at character 1: the whole expression must be a truth value, and this is a number"},
        {"score = 1", "at character 7: a single '='; equality is '=='"},
        {"bad & bad", "at character 5: a single '&'"},
        {"bad | bad", "at character 5: a single '|'"},
        {"'银行' == 银", "at character 9: this character means nothing here"},
        {"task < 0.5", "at character 6: a text is compared with a number; number(...) reads a number from a column"},
        {"scor < 0.5", "at character 6: a text is compared with a number"},
        {"score == 'a'", "at character 7: a number is compared with a text"},
        {"bad < true", "at character 5: truth values have no order"},
        {"1 < 2 < 3", "at character 7: comparisons cannot be chained"},
        {"1 == 1 == true", "at character 8: comparisons cannot be chained"},
        {"n + 1 > 2", "at character 1: what stands beside '+' must be a number, and this is a text; number(...)"},
        {"1 && true", "at character 1: what stands beside '&&' must be a truth value"},
        {"!score", "at character 2: what '!' stands before must be a truth value"},
        {"-task == 1", "at character 2: what '-' stands before must be a number"},
        {"task == 'a", "at character 9: this quote is not closed"},
        {"task == `a", "at character 9: this quote is not closed"},
        {"task == 'a\\", "at character 9: this quote is not closed"},
        {"task == 'a\\x'", "at character 11: escapes are"},
        {"`` == ''", "at character 1: a column without a name"},
        {"1.5.2 == 1", "at character 4: this does not belong to a number"},
        {"1x == 1", "at character 2: this does not belong to a number"},
        {"1e999 == 1", "at character 1: not a number that binary64 holds"},
        {"length(task) > 1", "at character 1: no such function (there are: chars, contains"},
        {"chars() > 1", "at character 7: chars() takes 1 value"},
        {"chars(task, 1) > 1", "at character 11: chars() takes 1 value; expected ')'"},
        {"contains(task)", "at character 14: contains() takes 2 values"},
        {"contains(task, )", "at character 16: contains() takes 2 values"},
        {"contains(task, 1)", "at character 16: the second value of contains() must be a text, and this is a number"},
        {"chars(score) > 1", "at character 7: the first value of chars() must be a text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_expr_t *e;
        assert_fails(cfb_expr_parse(cfb_str_from(cases[i].text), names, N_NAMES, &e, e_), CFB_EUSAGE, cases[i].want);
        assert_null(e);
        assert_true(test_err.offset <= strlen(cases[i].text));
    }
    cfb_expr_t *e;
    assert_fails(cfb_expr_parse((cfb_str){"tr\0ue", 5}, names, N_NAMES, &e, e_), CFB_EUSAGE, "zero byte");
    assert_fails(cfb_expr_parse((cfb_str){"'\xff' == ''", 9}, names, N_NAMES, &e, e_), CFB_EUSAGE, "not valid UTF-8");
}

/* Neither nesting, length nor columns without end. */
static void limits(void **state) {
    (void)state;
    static char text[CFB_EXPR_MAX_BYTES + 8];
    cfb_expr_t *e;
    memset(text, '(', 200);
    memcpy(text + 200, "true", 5);
    assert_fails(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_), CFB_EUSAGE, "nested too deep");
    memset(text, '!', 200);
    assert_fails(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_), CFB_EUSAGE, "nested too deep");
    memset(text, '-', 200);
    assert_fails(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_), CFB_EUSAGE, "nested too deep");
    memset(text, '(', 40);
    memcpy(text + 40, "true", 4);
    memset(text + 44, ')', 40);
    text[84] = '\0';
    assert_true(value_of(text));
    size_t n = 0;
    while (n < 400 * 6) n += (size_t)sprintf(text + n, "bad &&");
    strcpy(text + n, "bad");
    assert_true(value_of(text));
    while (n < 2000 * 6) n += (size_t)sprintf(text + n, "bad &&");
    strcpy(text + n, "bad");
    assert_fails(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_), CFB_EUSAGE, "too long");
    n = 0;
    for (int i = 0; i <= CFB_EXPR_MAX_COLUMNS; i++) n += (size_t)sprintf(text + n, "%sc%d == ''", i ? " && " : "", i);
    assert_fails(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_), CFB_EUSAGE, "too many different columns");
    memset(text, ' ', CFB_EXPR_MAX_BYTES + 1);
    text[CFB_EXPR_MAX_BYTES + 1] = '\0';
    assert_fails(cfb_expr_parse(cfb_str_from(text), names, N_NAMES, &e, e_), CFB_EUSAGE, "at most 16384");
}

static void names_and_columns(void **state) {
    (void)state;
    cfb_expr_t *e;
    assert_ok(cfb_expr_parse(cfb_str_from("a == b || `a` == `x y` && score > 1"), names, N_NAMES, &e, e_));
    assert_true(cfb_expr_uses(e, 0) && !cfb_expr_uses(e, 1) && !cfb_expr_uses(e, 3));
    assert_int_equal(cfb_expr_n_columns(e), 3);
    assert_string_equal(cfb_expr_column(e, 0), "a");
    assert_string_equal(cfb_expr_column(e, 1), "b");
    assert_string_equal(cfb_expr_column(e, 2), "x y");
    cfb_expr_free(e);
    cfb_expr_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limits),
        cmocka_unit_test(names_and_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
