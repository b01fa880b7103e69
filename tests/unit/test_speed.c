/* What is said about a slow run, from measurements made up for it. */
#include "test.h"

#include "cfbench/speed.h"

/* 10 s on two cores, nothing wrong. */
static const cfb_speed good = {
    .wall_s = 10, .cpu_s = 19, .threads = 2, .cores = 2, .bytes = 40000000000, .text_bytes = 40000000000, .waited_s = 0.3};

static char said[CFB_SPEED_REMARKS][CFB_SPEED_REMARK_BYTES];

static void says(cfb_speed s, const char *text) {
    size_t n = cfb_speed_remarks(&s, said);
    assert_int_equal(n, text != NULL);
    if (text && strstr(said[0], text) == NULL) fail_msg("'%s' is not in '%s'", text, said[0]);
}

static void good_runs_are_not_remarked_on(void **state) {
    (void)state;
    says(good, NULL);
    cfb_speed s = good;
    s.threads = 1;
    s.cpu_s = 9.9;
    says(s, NULL);
    s = good;
    s.wall_s = s.cpu_s = 1.9; /* short */
    s.waited_s = 1.9;
    s.throttled = 100;
    s.throttled_s = 1;
    says(s, NULL);
    s = good;
    s.cpu_s = 0; /* a clock that says nothing */
    says(s, NULL);
    s = good;
    s.disk_bytes = s.bytes; /* from the disk, as fast as scoring */
    says(s, NULL);
}

static void each_cause_has_its_remedy(void **state) {
    (void)state;
    cfb_speed s = good;
    s.threads = 8;
    says(s, "--threads 8 on 2 cores: threads take turns; leave it out, or say --threads 2");
    s = good;
    s.throttled = 70;
    s.throttled_s = 6;
    s.cpu_s = 10;
    s.waited_s = 9; /* a quota shows as lost cores, too: it is named once */
    says(s, "CPU quota stopped this process 70 times, 6.0 s in all; use fewer --threads or ask for a larger quota");
    s.throttled_s = 0.4; /* too little to matter */
    says(s, "other processes took the cores: 2 threads waited 9.0 s for one, and 1.0 were busy; run fewer jobs at once");
    s.waited_s = -1; /* unknown: then nothing is said of it */
    says(s, NULL);
    s = good;
    s.cpu_s = 2;
    s.disk_bytes = s.bytes = 2000000000;
    s.text_bytes = 8000000000; /* compressed four times */
    says(s, "the disk gave 200 MB/s, while scoring could take 8000 MB/s");
    s.disk_bytes = 0;
    says(s, "the input came at 200.0 MB/s, while scoring could take 8000 MB/s");
    s.cpu_s = 11; /* one thread unpacks all the time */
    says(s, NULL);
    s.gzip_file = "big.csv.gz";
    says(s, "big.csv.gz: a gzip file can be unpacked by one thread only");
    s.cores = s.threads = 1;
    s.cpu_s = 9.9;
    says(s, NULL);
}

static void several_causes_are_all_named(void **state) {
    (void)state;
    cfb_speed s = good;
    s.threads = 4;
    s.throttled = 10;
    s.throttled_s = 2;
    s.gzip_file = "big.csv.gz";
    assert_int_equal(cfb_speed_remarks(&s, said), 3);
    assert_non_null(strstr(said[0], "--threads 4"));
    assert_non_null(strstr(said[1], "quota"));
    assert_non_null(strstr(said[2], "gzip"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_runs_are_not_remarked_on),
        cmocka_unit_test(each_cause_has_its_remedy),
        cmocka_unit_test(several_causes_are_all_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
