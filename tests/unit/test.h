/* test.h - cmocka, and the few helpers that several tests need. */
#ifndef CFB_TESTS_TEST_H
#define CFB_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cfbench/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define assert_ok(call)                                                     \
    do {                                                                    \
        cfb_err *e_ = &test_err;                                            \
        *e_ = (cfb_err)CFB_ERR_INIT;                                        \
        cfb_code rc_ = (call);                                              \
        if (rc_ != CFB_OK) fail_msg("%s: %s", cfb_code_name(rc_), e_->msg); \
    } while (0)
/* The call fails with this code, and its message holds `text`. */
#define assert_fails(call, want, text)                                                                       \
    do {                                                                                                     \
        cfb_err *e_ = &test_err;                                                                             \
        *e_ = (cfb_err)CFB_ERR_INIT;                                                                         \
        cfb_code rc_ = (call);                                                                               \
        if (rc_ != (want)) fail_msg("got %s, not %s: %s", cfb_code_name(rc_), cfb_code_name(want), e_->msg); \
        if (strstr(e_->msg, (text)) == NULL) fail_msg("'%s' is not in: %s", (text), e_->msg);                \
    } while (0)
#define assert_str(s, z)                                                                 \
    do {                                                                                 \
        cfb_str s_ = (s);                                                                \
        if (!cfb_str_eqz(s_, (z))) fail_msg("'%.*s' is not '%s'", CFB_STR_ARG(s_), (z)); \
    } while (0)

static cfb_err test_err __attribute__((unused));

/* A fresh folder, removed by the tests that care or left to the system's temporary folder. */
static inline char *test_folder(char path[64]) {
    snprintf(path, 64, "/tmp/cfbench-test-XXXXXX");
    return mkdtemp(path);
}

#endif
