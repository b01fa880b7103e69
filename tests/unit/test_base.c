#include "test.h"

#include "base/lazy.h"
#include "cfbench/utf8.h"

#include <float.h>
#include <math.h>

static void errors_have_names_and_exit_statuses(void **state) {
    (void)state;
    assert_string_equal(cfb_code_name(CFB_EDATA), "EDATA");
    assert_int_equal(cfb_code_exit_status(CFB_OK), 0);
    assert_int_equal(cfb_code_exit_status(CFB_EUSAGE), 1);
    assert_int_equal(cfb_code_exit_status(CFB_EDATA), 2);
    assert_int_equal(cfb_code_exit_status(CFB_EPARTIAL), 3);
    assert_int_equal(cfb_code_exit_status(CFB_EAUTH), 4);
    assert_int_equal(cfb_code_exit_status(CFB_EINTERRUPTED), 5);
    assert_int_equal(cfb_code_exit_status((cfb_code)9999), 70);
}

static void error_context_goes_in_front(void **state) {
    (void)state;
    cfb_err e = CFB_ERR_INIT;
    assert_int_equal(cfb_err_set(&e, CFB_EDATA, "row %d", 7), CFB_EDATA);
    assert_int_equal(cfb_err_add_context(&e, "a\nb"), CFB_EDATA);
    assert_string_equal(e.msg, "a b: row 7");
}

static void long_messages_end_at_a_character(void **state) {
    (void)state;
    char text[3 * 600 + 1];
    for (int i = 0; i < 600; i++) memcpy(text + 3 * i, "中", 3);
    text[1800] = '\0';
    for (int shift = 0; shift < 3; shift++) {
        cfb_err e = CFB_ERR_INIT;
        cfb_err_set(&e, CFB_EDATA, "%.*s%s", shift, "xx", text);
        assert_true(cfb_utf8_find_invalid(cfb_str_from(e.msg)) == SIZE_MAX);
        assert_true(strlen(e.msg) > sizeof e.msg - 6);
    }
}

static void buffers_keep_their_limit(void **state) {
    (void)state;
    cfb_buf b = CFB_BUF_INIT(10);
    assert_ok(cfb_buf_append(&b, "0123456789", 10, &test_err));
    assert_fails(cfb_buf_append_char(&b, 'x', &test_err), CFB_ELIMIT, "10 bytes");
    assert_str(cfb_buf_str(&b), "0123456789");
    assert_int_equal(b.ptr[10], '\0');
    cfb_buf_clear(&b);
    assert_ok(cfb_buf_printf(&b, &test_err, "%d", 42));
    assert_str(cfb_buf_str(&b), "42");
    cfb_buf_free(&b);
}

static void strings_are_found_and_ordered(void **state) {
    (void)state;
    assert_int_equal(cfb_str_find(CFB_STR_LIT("abcabd"), CFB_STR_LIT("abd"), 0), 3);
    assert_true(cfb_str_find(CFB_STR_LIT("abcab"), CFB_STR_LIT("abd"), 0) == SIZE_MAX);
    assert_true(cfb_str_find(CFB_STR_LIT("ab"), CFB_STR_LIT("abd"), 0) == SIZE_MAX);
    assert_int_equal(cfb_str_find(CFB_STR_LIT("abc"), CFB_STR_LIT(""), 3), 3);
    assert_true(cfb_str_cmp(CFB_STR_LIT("a"), CFB_STR_LIT("ab")) < 0);
    assert_true(cfb_str_cmp(CFB_STR_LIT("b"), CFB_STR_LIT("ab")) > 0);
    assert_true(cfb_str_cmp(CFB_STR_LIT("\xE4"), CFB_STR_LIT("z")) > 0); /* bytes, not chars */
}

static void arenas_keep_their_limit_and_start_again(void **state) {
    (void)state;
    cfb_arena_t *a;
    assert_ok(cfb_arena_new(1 << 20, &a, &test_err));
    assert_null(cfb_arena_alloc(a, (1 << 20) + 1));
    for (int round = 0; round < 3; round++) {
        size_t n = 0;
        while (cfb_arena_alloc(a, 1000)) n++;
        assert_int_equal(n, (1 << 20) / 1008);
        cfb_arena_reset(a);
    }
    cfb_str s;
    assert_ok(cfb_arena_dup(a, CFB_STR_LIT("xyz"), &s, &test_err));
    assert_str(s, "xyz");
    assert_int_equal(s.ptr[3], 0);
    assert_ok(cfb_arena_dup(a, CFB_STR_NULL, &s, &test_err));
    assert_null(s.ptr);
    assert_null(cfb_arena_calloc(a, SIZE_MAX / 2, 3));
    cfb_arena_free(a);
}

static void floats_look_like_python_repr(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {-0.0, "-0.0"},
                 {1, "1.0"},
                 {0.1, "0.1"},
                 {100, "100.0"},
                 {1e15, "1000000000000000.0"},
                 {1e16, "1e+16"},
                 {123456789012345680.0, "1.2345678901234568e+17"},
                 {0.0001, "0.0001"},
                 {0.00001, "1e-05"},
                 {1.5e-7, "1.5e-07"},
                 {0.3333333333333333, "0.3333333333333333"},
                 {2.0 / 3, "0.6666666666666666"},
                 {5e-324, "5e-324"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {0x1p-44, "5.684341886080802e-14"},
                 {9007199254740993.0, "9007199254740992.0"},
                 {-1234.5, "-1234.5"},
                 {0.2825866371993803, "0.2825866371993803"},
                 {7.678447687145631e-239, "7.678447687145631e-239"},
                 {6.150157786156811e+259, "6.150157786156811e+259"}};
    char buf[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cfb_format_double(cases[i].v, buf), strlen(cases[i].text));
        assert_string_equal(buf, cases[i].text);
    }
    cfb_format_double(NAN, buf);
    assert_string_equal(buf, "nan");
}

static void floats_read_back_as_the_same(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t bits = cfb_rand_u64(7, 0, i);
        double v, w;
        char buf[32];
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        cfb_format_double(v, buf);
        assert_true(cfb_parse_double(buf, &w));
        assert_memory_equal(&v, &w, sizeof v);
    }
}

static void numbers_are_parsed_whole(void **state) {
    (void)state;
    double d;
    int64_t n;
    static const char *const bad[] = {"", " 1", "1 ", "8x", "nan", "inf", "0x10", "1e999", "--1", "+"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(cfb_parse_double(bad[i], &d));
        assert_false(cfb_parse_int(bad[i], &n));
    }
    assert_true(cfb_parse_double("-1.5e3", &d));
    assert_true(d == -1500);
    assert_true(cfb_parse_int("-9223372036854775808", &n));
    assert_true(n == INT64_MIN);
    assert_false(cfb_parse_int("9223372036854775808", &n));
    assert_false(cfb_parse_int("1.0", &n));
}

static void utf8_is_checked_strictly(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bad;
    } cases[] = {{"plain", SIZE_MAX},     {"中文😀é", SIZE_MAX},      {"12345678\xff", 8}, {"\xC0\x80", 0},
                 {"\xED\xA0\x80", 0},     {"\xF4\x90\x80\x80", 0},   {"a\xE4\xB8", 1},    {"\xE0\x9F\xBF", 0},
                 {"\xF0\x8F\xBF\xBF", 0}, {"\xEF\xBF\xBF", SIZE_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(cfb_utf8_find_invalid(cfb_str_from(cases[i].text)) == cases[i].bad);
    /* every lead and second byte of three, in the middle of Chinese, where two characters are looked at at once */
    for (unsigned lead = 0xE0; lead <= 0xEF; lead++)
        for (unsigned second = 0x70; second <= 0xCF; second++)
            for (size_t at = 0; at <= 12; at += 3) {
                char text[] = "中文中文中文中文ab";
                text[at] = (char)lead;
                text[at + 1] = (char)second;
                unsigned low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
                assert_true(cfb_utf8_find_invalid(cfb_str_from(text)) == (second >= low && second <= high ? SIZE_MAX : at));
            }
    assert_int_equal(cfb_utf8_count(CFB_STR_LIT("中文😀é")), 4);
    cfb_str s = CFB_STR_LIT("a中😀");
    size_t pos = 0;
    assert_int_equal(cfb_utf8_next(s, &pos), 'a');
    assert_int_equal(cfb_utf8_next(s, &pos), 0x4E2D);
    assert_int_equal(cfb_utf8_next(s, &pos), 0x1F600);
    assert_int_equal(pos, s.len);
}

static void sha256_is_the_standard_one(void **state) {
    (void)state;
    char hex[65], other[65];
    cfb_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cfb_str ab_c[] = {CFB_STR_LIT("ab"), CFB_STR_LIT("c")}, a_bc[] = {CFB_STR_LIT("a"), CFB_STR_LIT("bc")};
    cfb_sha256_parts_hex(ab_c, 2, hex);
    cfb_sha256_parts_hex(a_bc, 2, other);
    assert_string_not_equal(hex, other);
    cfb_str null_part = CFB_STR_NULL, empty = CFB_STR_LIT("");
    cfb_sha256_parts_hex(&null_part, 1, hex);
    cfb_sha256_parts_hex(&empty, 1, other);
    assert_string_not_equal(hex, other);
}

static void files_appear_whole_or_not_at_all(void **state) {
    (void)state;
    char dir[64], path[128];
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_file_writer_t *w;
    assert_non_null(test_folder(dir));
    snprintf(path, sizeof path, "%s/a/b/c.txt", dir);
    assert_fails(cfb_file_write(path, CFB_STR_LIT("x"), &test_err), CFB_ENOTFOUND, "cannot write");
    snprintf(path, sizeof path, "%s/a/b", dir);
    assert_ok(cfb_mkdir_p(path, &test_err));
    snprintf(path, sizeof path, "%s/a/b/c.txt", dir);
    assert_ok(cfb_file_writer_open(path, &w, &test_err));
    assert_ok(cfb_file_writer_write(w, "half", 4, &test_err));
    assert_false(cfb_path_exists(path));
    cfb_file_writer_abort(w);
    assert_ok(cfb_file_write(path, CFB_STR_LIT("whole"), &test_err));
    assert_ok(cfb_file_read(path, 100, &b, &test_err));
    assert_str(cfb_buf_str(&b), "whole");
    cfb_buf_clear(&b);
    assert_fails(cfb_file_read(path, 3, &b, &test_err), CFB_ELIMIT, "larger than the limit");
    assert_fails(cfb_mkdir_p(path, &test_err), CFB_EACCESS, "not a folder");
    cfb_buf_free(&b);
}

static void full_disks_are_told_from_other_errors(void **state) {
    (void)state;
    cfb_err e = CFB_ERR_INIT;
    assert_int_equal(cfb_err_set_errno(&e, 28 /* ENOSPC */, "cannot write x"), CFB_ENOSPACE);
    assert_int_equal(cfb_code_exit_status(e.code), 5);
    assert_int_equal(cfb_err_set_errno(&e, 13 /* EACCES */, "cannot write x"), CFB_EACCESS);
}

static void random_streams_do_not_depend_on_order(void **state) {
    (void)state;
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = cfb_rand_unit(1, 2, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005);
    assert_true(cfb_rand_u64(1, 2, 3) == cfb_rand_u64(1, 2, 3));
    assert_true(cfb_rand_u64(1, 2, 3) != cfb_rand_u64(1, 3, 2));
}

static void square(void *ctx, size_t block, int worker) {
    (void)worker;
    ((uint64_t *)ctx)[block] = block * block;
}

static void blocks_all_run(void **state) {
    (void)state;
    for (int threads = 1; threads <= 8; threads *= 2) {
        uint64_t out[1000] = {0};
        cfb_par_blocks(1000, threads, square, out);
        for (size_t i = 0; i < 1000; i++) assert_true(out[i] == i * i);
    }
    cfb_par_blocks(0, 8, square, NULL);
}

static void limits_are_asked_for_beforehand(void **state) {
    (void)state;
    assert_ok(cfb_check_threads(100, &test_err));
    assert_ok(cfb_check_open_files(10, &test_err));
    assert_fails(cfb_check_open_files((size_t)1 << 40, &test_err), CFB_ECONFIG, "open files are needed");
}

static void test_memory_allowed(void **state) {
    (void)state;
    uint64_t here = cfb_memory_allowed();
    assert_true(here >= (uint64_t)1 << 24 && here < UINT64_MAX);
    assert_int_equal(setenv("SLURM_MEM_PER_NODE", "9", 1), 0);
    assert_int_equal(cfb_memory_allowed(), 9 << 20);
    assert_int_equal(setenv("SLURM_MEM_PER_NODE", "0", 1), 0); /* all of the node */
    assert_int_equal(cfb_memory_allowed(), here);
    assert_int_equal(setenv("SLURM_MEM_PER_CPU", "3", 1), 0);
    assert_int_equal(setenv("SLURM_CPUS_ON_NODE", "2", 1), 0);
    assert_int_equal(cfb_memory_allowed(), 6 << 20);
    unsetenv("SLURM_MEM_PER_NODE");
    unsetenv("SLURM_MEM_PER_CPU");
    unsetenv("SLURM_CPUS_ON_NODE");
}

static void loopback_is_this_machine(void **state) {
    (void)state;
    static const char *const here[] = {"http://127.0.0.1:8000/v1", "http://localhost/v1", "https://[::1]:8/", "http://127.1",
                                       "http://me@localhost:1"};
    static const char *const elsewhere[] = {"http://127.example.org/v1",
                                            "http://localhost.example.org",
                                            "http://10.0.0.1",
                                            "http://127.0.0.1@example.org/v1",
                                            "https://[::2]/",
                                            "http://"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) assert_true(cfb_url_is_loopback(here[i]));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) assert_false(cfb_url_is_loopback(elsewhere[i]));
}

static void libraries_are_opened_when_needed(void **state) {
    (void)state;
#ifdef CFB_LAZY
    void (*gemm)(void) = NULL, (*second)(void) = NULL;
    const cfb_lazy_symbol good[] = {{"cblas_sgemm", &gemm}, {"cblas_sgemv", &second}};
    const cfb_lazy_symbol bad[] = {{"cblas_sgemm", &gemm}, {"no_such_function", &second}};
    cfb_err e = CFB_ERR_INIT;
    assert_int_equal(cfb_lazy_open(CFB_LAZY_BLAS, bad, 2, &e), CFB_ECONFIG);
    assert_non_null(strstr(e.msg, "has no no_such_function: another OpenBLAS"));
    assert_true(gemm == NULL && second == NULL);
    assert_int_equal(cfb_lazy_open(CFB_LAZY_BLAS, good, 2, &e), CFB_OK);
    assert_true(gemm != NULL && second != NULL);
#else
    skip();
#endif
}

/* What snprintf writes, without the zeros at the end. */
static void few_decimals_are_as_printf_writes_them(void **state) {
    (void)state;
    const double scales[] = {1, 10, 100, 1000, 10000, 100000};
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t k = cfb_rand_u64(5, 0, i) % 6, bits = 1 + cfb_rand_u64(5, 1, i) % 46;
        uint64_t r = cfb_rand_u64(5, 2, i) & ((UINT64_C(1) << bits) - 1);
        double v = (double)(i < 20000 ? i : r) / scales[k];
        char want[64], got[32];
        size_t n = (size_t)snprintf(want, sizeof want, "%.6f", v);
        while (want[n - 1] == '0' && want[n - 2] != '.') want[--n] = '\0';
        if (v >= 1e9 || (v > 0 && v < 1e-4)) continue; /* more digits than six decimals show; exponents */
        assert_int_equal(cfb_format_double(v, got), n);
        assert_string_equal(got, want);
        assert_true(strtod(got, NULL) == v);
    }
}

/* Of 15, 16 and 17 digits as printf rounds them, the first that reads back as v. */
static void same_as_tried_digits(double v) {
    char want[40], got[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(want, sizeof want, "%.*g", digits, v);
        if (strtod(want, NULL) == v) break;
    }
    if (strchr(want, '.') == NULL || strchr(want, 'e') != NULL) return;
    assert_int_equal(cfb_format_double(v, got), strlen(want));
    assert_string_equal(got, want);
}

static void fractions_are_as_printf_writes_them(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t b = 1 + cfb_rand_u64(6, 1, i) % 3000000, a = cfb_rand_u64(6, 0, i) % b;
        same_as_tried_digits((double)a / (double)b);
        same_as_tried_digits(cfb_rand_unit(6, 2, i) / (double)(1u << i % 15));
    }
    const double powers[] = {1, 0.5, 0.1, 0.01, 0.001, 0.0001, 0x1p-1, 0x1p-4, 0x1p-13};
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        double up = powers[i], down = powers[i];
        for (int k = 0; k < 2000; k++) {
            up = nextafter(up, 2);
            down = nextafter(down, 0);
            if (up < 1) same_as_tried_digits(up);
            if (down >= 1e-4) same_as_tried_digits(down);
        }
    }
}

/* Texts that differ in one byte, in their length, or in the order of their pieces. */
static void long_hashes_tell_texts_apart(void **state) {
    (void)state;
    enum { MOST = 200 };
    static uint64_t seen[MOST * 9];
    char text[MOST];
    size_t n = 0;
    memset(text, 'x', sizeof text);
    for (size_t len = 0; len < MOST; len++) {
        seen[n++] = cfb_hash64_long(text, len);
        for (size_t i = 0; i < 8 && len > 0; i++) {
            size_t at = (len - 1) * i / 7;
            if (i > 0 && at == (len - 1) * (i - 1) / 7) continue;
            text[at] = 'y';
            seen[n++] = cfb_hash64_long(text, len);
            text[at] = 'x';
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) assert_true(seen[i] != seen[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_this_machine),
        cmocka_unit_test(test_memory_allowed),
        cmocka_unit_test(errors_have_names_and_exit_statuses),
        cmocka_unit_test(error_context_goes_in_front),
        cmocka_unit_test(long_messages_end_at_a_character),
        cmocka_unit_test(buffers_keep_their_limit),
        cmocka_unit_test(strings_are_found_and_ordered),
        cmocka_unit_test(arenas_keep_their_limit_and_start_again),
        cmocka_unit_test(floats_look_like_python_repr),
        cmocka_unit_test(floats_read_back_as_the_same),
        cmocka_unit_test(numbers_are_parsed_whole),
        cmocka_unit_test(utf8_is_checked_strictly),
        cmocka_unit_test(sha256_is_the_standard_one),
        cmocka_unit_test(files_appear_whole_or_not_at_all),
        cmocka_unit_test(full_disks_are_told_from_other_errors),
        cmocka_unit_test(random_streams_do_not_depend_on_order),
        cmocka_unit_test(blocks_all_run),
        cmocka_unit_test(limits_are_asked_for_beforehand),
        cmocka_unit_test(libraries_are_opened_when_needed),
        cmocka_unit_test(long_hashes_tell_texts_apart),
        cmocka_unit_test(few_decimals_are_as_printf_writes_them),
        cmocka_unit_test(fractions_are_as_printf_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
