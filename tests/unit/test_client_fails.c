/* Classes of failures: every remedy names options that exist; every status has its class. */
#include "test.h"

#include "client/internal.h"
#include "config/options.h"

static void remedies_name_options_that_exist(void **state) {
    (void)state;
    for (int f = 0; f < CFB_FAIL_COUNT; f++) {
        assert_true(cfb_fail_name((cfb_fail)f)[0] != '\0');
        const char *p = cfb_fail_remedy((cfb_fail)f);
        if (f != CFB_FAIL_NONE) assert_true(p[0] != '\0');
        while ((p = strstr(p, "--")) != NULL) {
            size_t n = strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-");
            const cfb_opt *o = cfb_opt_find(p + 2, n, CFB_CMD_RUN);
            if (o == NULL || !cfb_opt_is_for(o, CFB_CMD_RUN))
                fail_msg("%s: --%.*s is no option of run", cfb_fail_name((cfb_fail)f), (int)n, p + 2);
            p += 2 + n;
        }
    }
}

static void a_run_stops_only_for_what_does_not_pass(void **state) {
    (void)state;
    for (int f = 0; f < CFB_FAIL_COUNT; f++) assert_false(cfb_fail_is_retried((cfb_fail)f) && cfb_fail_stops_run((cfb_fail)f));
}

static void every_status_has_its_class(void **state) {
    (void)state;
    static const struct {
        long status;
        cfb_fail fail;
    } cases[] = {
        {101, CFB_FAIL_BAD_REPLY},   {301, CFB_FAIL_NOT_FOUND}, {307, CFB_FAIL_NOT_FOUND},  {400, CFB_FAIL_BAD_REQUEST},
        {401, CFB_FAIL_AUTH},        {402, CFB_FAIL_PAYMENT},   {403, CFB_FAIL_AUTH},       {404, CFB_FAIL_NOT_FOUND},
        {405, CFB_FAIL_NOT_FOUND},   {408, CFB_FAIL_SERVER},    {409, CFB_FAIL_SERVER},     {413, CFB_FAIL_TOO_LARGE},
        {422, CFB_FAIL_BAD_REQUEST}, {425, CFB_FAIL_SERVER},    {429, CFB_FAIL_RATE_LIMIT}, {499, CFB_FAIL_BAD_REQUEST},
        {500, CFB_FAIL_SERVER},      {502, CFB_FAIL_SERVER},    {503, CFB_FAIL_OVERLOADED}, {504, CFB_FAIL_SERVER},
        {529, CFB_FAIL_OVERLOADED},  {599, CFB_FAIL_SERVER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(cfb_client__class_of_status(cases[i].status), cases[i].fail);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remedies_name_options_that_exist),
        cmocka_unit_test(a_run_stops_only_for_what_does_not_pass),
        cmocka_unit_test(every_status_has_its_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
