/* White space, strip, lower, counting: cases by hand. tests/oracle/text_oracle.py compares every code point with Python. */
#include "cfbench/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_str(cfb_str got, const char *want) {
    assert_int_equal(got.len, strlen(want));
    if (got.len) assert_memory_equal(got.ptr, want, got.len);
}

static void test_space(void **state) {
    (void)state;
    static const uint32_t spaces[] = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x1C,   0x1D,   0x1E,   0x1F,   0x20,
                                      0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
                                      0x2007, 0x2008, 0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    size_t n = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) n += cfb_text_is_space(cp);
    assert_int_equal(n, sizeof spaces / sizeof *spaces);
    for (size_t i = 0; i < n; i++) assert_true(cfb_text_is_space(spaces[i]));
    assert_false(cfb_text_is_space(0x200B)); /* zero width space is none */
    assert_false(cfb_text_is_space(0xFEFF));
}

static void test_strip(void **state) {
    (void)state;
    assert_str(cfb_text_strip(CFB_STR_LIT("")), "");
    assert_str(cfb_text_strip(CFB_STR_LIT(" \t\n")), "");
    assert_str(cfb_text_strip(CFB_STR_LIT("\xE3\x80\x80\xE4\xB8\xAD \xC2\xA0")), "\xE4\xB8\xAD");
    assert_str(cfb_text_strip(CFB_STR_LIT("\x1f"
                                          "a b"
                                          "\xC2\x85")),
               "a b");
    assert_str(cfb_text_strip(CFB_STR_LIT("\xE2\x80\x8B")), "\xE2\x80\x8B");
    assert_null(cfb_text_strip(CFB_STR_NULL).ptr);
}

static void assert_lower(const char *text, const char *want) {
    cfb_buf b = CFB_BUF_INIT(1000);
    assert_int_equal(cfb_buf_append(&b, "<", 1, NULL), CFB_OK);
    assert_int_equal(cfb_text_lower(cfb_str_from(text), &b, NULL), CFB_OK);
    assert_str((cfb_str){b.ptr + 1, b.len - 1}, want);
    cfb_buf_free(&b);
}

static void test_lower(void **state) {
    (void)state;
    assert_lower("", "");
    assert_lower("AbC-Z[@`{", "abc-z[@`{");
    assert_lower("中国ＡＢ", "中国ａｂ");
    assert_lower("ẞÉⅧⒶ𐐀", "ßéⅷⓐ𐐨");
    assert_lower("İ", "i\xCC\x87");
    assert_lower("AİİB", "ai\xCC\x87i\xCC\x87"
                         "b");
    /* final sigma: a cased character before, none behind, ignorable ones (', ., U+00AD, U+0301) skipped */
    assert_lower("Σ", "σ");
    assert_lower("ΑΣ", "ας");
    assert_lower("ΑΣΑ", "ασα");
    assert_lower("ΑΣΣ", "ασς");
    assert_lower("ΑΣ ΣΑ", "ας σα");
    assert_lower("Α.Σ.", "α.ς.");
    assert_lower("ΑΣ.Α", "ασ.α");
    assert_lower("A\xCC\x81Σ\xC2\xAD'", "a\xCC\x81ς\xC2\xAD'");
    assert_lower("中Σ", "中σ");
    assert_lower("AΣ中", "aς中");
    assert_lower("İΣ", "i\xCC\x87ς");
    assert_lower("ΑΣİ", "ασi\xCC\x87");
    assert_lower("ªΣ", "ªς"); /* Other_Lowercase is cased */
}

static void test_lower_limits(void **state) {
    (void)state;
    cfb_buf b = CFB_BUF_INIT(2);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_text_lower(CFB_STR_LIT("AB"), &b, &err), CFB_OK); /* exactly full */
    cfb_buf_clear(&b);
    assert_int_equal(cfb_text_lower(CFB_STR_LIT("İ"), &b, &err), CFB_ELIMIT); /* two bytes become three */
    assert_int_equal(cfb_text_lower(CFB_STR_LIT("\xFF"), &b, &err), CFB_EENCODING);
    assert_int_equal(cfb_text_lower(CFB_STR_NULL, &b, &err), CFB_OK);
    cfb_buf_free(&b);
}

static void test_lower_decode(void **state) {
    (void)state;
    uint32_t cps[8];
    size_t n_chars = 0;
    assert_int_equal(cfb_text_lower_decode(CFB_STR_LIT("İİİİ"), cps, &n_chars), 8);
    assert_int_equal(n_chars, 4);
    for (int i = 0; i < 8; i++) assert_int_equal(cps[i], i % 2 ? 0x307 : 'i');
    assert_int_equal(cfb_text_lower_decode(CFB_STR_NULL, cps, &n_chars), 0);
    assert_int_equal(n_chars, 0);
}

static void test_count_valid(void **state) {
    (void)state;
    assert_int_equal(cfb_text_count_valid(CFB_STR_NULL), 0);
    assert_int_equal(cfb_text_count_valid(CFB_STR_LIT("abcdefgh中é😀12345678")), 19);
    static const char *const bad[] = {"\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",
                                      "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                                      "\xE4\xB8",     "abcdefgh\xFF",     "\xF0\x9F\x98",     "\xC3",
                                      "\xE4\xB8\x41", "\xF0\x9F\x98\x41"};
    uint32_t cps[16];
    size_t n_chars;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* an own allocation of the exact size, so that the address sanitizer sees a read behind it */
        size_t len = strlen(bad[i]);
        char *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, bad[i], len);
        assert_true(cfb_text_count_valid((cfb_str){copy, len}) == SIZE_MAX);
        assert_true(cfb_text_lower_decode((cfb_str){copy, len}, cps, &n_chars) == SIZE_MAX);
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space),        cmocka_unit_test(test_strip),        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_lower_limits), cmocka_unit_test(test_lower_decode), cmocka_unit_test(test_count_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
