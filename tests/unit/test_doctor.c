#include "cfbench/doctor.h"
#include "doctor/internal.h"
#include "test.h"

static void stack_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"64", 65536},   {"64k", 65536}, {" 2 M ", 2 << 20}, {"1G", 1 << 30},
                 {"4096B", 4096}, {"", -1},       {"x", -1},          {"-1", -1},
                 {"8x", -1},      {"8 M x", -1},  {"0", 0},           {"99999999999999999999", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cfb_doctor__stack_bytes(cases[i].text) != cases[i].bytes) fail_msg("'%s'", cases[i].text);
}

static void the_longest_mount_point_counts(void **state) {
    (void)state;
    cfb_mount m;
    const cfb_str text = CFB_STR_LIT("21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                                     "22 21 0:5 / /home rw - nfs4 srv:/home rw,vers=4.2\n"
                                     "23 22 0:6 / /home/me/local rw shared:2 master:1 - xfs /dev/sdb rw\n"
                                     "24 22 0:7 / /home/me/local rw,nosuid - tmpfs none rw\n"
                                     "broken line\n25 1 0:8 / /homework rw - cifs //x/y rw,nobrl");
    static const struct {
        const char *path, *type;
    } cases[] = {{"/", "ext4"},
                 {"/usr", "ext4"},
                 {"/home", "nfs4"},
                 {"/home/me", "nfs4"},
                 {"/homes", "ext4"},
                 {"/homework/x", "cifs"},
                 {"/home/me/local/r", "tmpfs"},
                 {"/home/me/locals", "nfs4"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(cfb_doctor__find_mount(text, cases[i].path, &m));
        if (strcmp(m.type, cases[i].type) != 0) fail_msg("%s: %s", cases[i].path, m.type);
    }
    assert_true(cfb_doctor__find_mount(text, "/homework", &m));
    assert_non_null(strstr(m.options, "nobrl"));
    assert_false(cfb_doctor__find_mount(CFB_STR_LIT("nothing"), "/", &m));
    assert_true(cfb_doctor__is_network("nfs4") && cfb_doctor__is_network("fuse.sshfs") && !cfb_doctor__is_network("ext4"));
}

static void findings_are_kept_in_order(void **state) {
    (void)state;
    cfb_doctor_t *d;
    const cfb_finding *f;
    const cfb_fact *facts;
    assert_ok(cfb_doctor_new(&d, e_));
    for (int i = 0; i < 100; i++) {
        cfb_doctor_find(d, i % 2 ? CFB_FINDING_FAULT : CFB_FINDING_HINT, "x", cfb_doctor_text(d, "what %d", i), "why", "mend");
        cfb_doctor_number(d, "group", "n", i + 0.5);
    }
    cfb_doctor_number(d, "group", "whole", 7);
    assert_int_equal(cfb_doctor_findings(d, &f), 100);
    assert_string_equal(f[42].what, "what 42");
    assert_int_equal(cfb_doctor_count(d, CFB_FINDING_FAULT), 50);
    assert_int_equal(cfb_doctor_facts(d, &facts), 101);
    assert_string_equal(facts[3].text, "3.5");
    assert_string_equal(facts[100].text, "7");
    assert_ok(cfb_doctor_status(d, e_));
    cfb_doctor_free(d);
    cfb_doctor_free(NULL);
}

static void numbers_of_files_below_a_root(void **state) {
    (void)state;
    char root[] = "/tmp/cfb-doctor-XXXXXX", path[128];
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/stat", root);
    assert_ok(cfb_file_write(path, CFB_STR_LIT("nr_periods 12\nnr_throttled 3\nVmPeak:\t 99 kB\n"), e_));
    assert_int_equal(cfb_doctor__number_in(root, "/stat", "nr_throttled"), 3);
    assert_int_equal(cfb_doctor__number_in(root, "/stat", "VmPeak"), 99);
    assert_int_equal(cfb_doctor__number_in(root, "/stat", "nr"), -1);
    assert_int_equal(cfb_doctor__number_in(root, "/none", ""), -1);
    unlink(path);
    rmdir(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_sizes),
        cmocka_unit_test(the_longest_mount_point_counts),
        cmocka_unit_test(findings_are_kept_in_order),
        cmocka_unit_test(numbers_of_files_below_a_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
