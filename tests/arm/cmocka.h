/* cmocka.h - as much of cmocka as test_simd.c and test_scan.c use, for tests/arm.sh: there is no cmocka for a foreign machine.
 * Tests named in the environment's SKIP are left out. */
#ifndef CFB_TESTS_ARM_CMOCKA_H
#define CFB_TESTS_ARM_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fail_msg(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define fail() fail_msg("failed")
#define assert_true(c)                \
    do {                              \
        if (!(c)) fail_msg("%s", #c); \
    } while (0)
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_null(p) assert_true((p) == NULL)
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)
#define assert_string_equal(a, b)                                              \
    do {                                                                       \
        const char *a_ = (a), *b_ = (b);                                       \
        if (strcmp(a_, b_) != 0) fail_msg("'%.500s' is not '%.500s'", a_, b_); \
    } while (0)

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(f) \
    { #f, f }

static inline int run_tests(const struct CMUnitTest *tests, size_t n) {
    const char *leave = getenv("SKIP");
    for (size_t i = 0; i < n; i++) {
        if (leave && strstr(leave, tests[i].name)) continue;
        tests[i].run(NULL);
        printf("ok arm: %s\n", tests[i].name);
        fflush(stdout);
    }
    return 0;
}
#define cmocka_run_group_tests(tests, up, down) run_tests(tests, sizeof(tests) / sizeof *(tests))

#endif
