#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/trace.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];

static cfb_json *read_trace(void) {
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_err err = CFB_ERR_INIT;
    cfb_json *root = NULL;
    assert_int_equal(cfb_file_read(path, (size_t)1 << 28, &b, &err), CFB_OK);
    if (cfb_json_parse(b.ptr, b.len, 0, &root, &err) != CFB_OK) fail_msg("%s", err.msg);
    cfb_buf_free(&b);
    return root;
}

static size_t count_phase(const cfb_json *root, char ph) {
    size_t n = 0;
    for (const cfb_json *e = cfb_json_first(cfb_json_get(root, "traceEvents")); e; e = cfb_json_next(e))
        n += cfb_json_str(cfb_json_get(e, "ph")).ptr[0] == ph;
    return n;
}

static void nothing_is_recorded_without_a_trace(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    assert_false(cfb_trace_on());
    cfb_trace_span("a", "b", CFB_TRACE_HERE, 1, 2, NULL, 0);
    cfb_trace_counter("c", &(cfb_trace_arg){"v", 1, NULL}, 1);
    assert_int_equal(cfb_trace_track("t"), 0);
    assert_int_equal(cfb_trace_close(&err), CFB_OK);
}

static void record(void *ctx, size_t block, int worker) {
    (void)ctx;
    (void)worker;
    const cfb_trace_arg args[] = {{"block", (int64_t)block, NULL}, {"text", 0, "\"quoted\" \\ \n \x01 中文"}};
    int64_t now = cfb_now_ns();
    cfb_trace_span("test", "span", CFB_TRACE_HERE, now, now + 1000, args, 2);
}

static void many_events_of_several_threads_are_all_there(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    for (int round = 0; round < 2; round++) { /* threads live on from one trace into the next */
        assert_int_equal(cfb_trace_open(path, &err), CFB_OK);
        assert_int_equal(cfb_trace_open(path, &err), CFB_EUSAGE);
        cfb_par_blocks(20000, 4, record, NULL);
        int64_t track = cfb_trace_track("a track");
        assert_true(track > 0);
        cfb_trace_span("test", "long", track, cfb_now_ns(), cfb_now_ns() - 5, NULL, 0); /* a clock that went back: 0 */
        cfb_trace_counter("counter", &(cfb_trace_arg){"v", -3, NULL}, 1);
        assert_int_equal(cfb_trace_close(&err), CFB_OK);
        cfb_json *root = read_trace();
        assert_int_equal(count_phase(root, 'X'), 40001); /* blocks are events too */
        assert_int_equal(count_phase(root, 'C'), 1);
        const cfb_json *sums = cfb_json_get(cfb_json_get(root, "otherData"), "sums");
        double n = 0, s = 0;
        assert_true(cfb_json_num(cfb_json_get(cfb_json_get(sums, "test: span"), "events"), &n));
        assert_true(cfb_json_num(cfb_json_get(cfb_json_get(sums, "test: span"), "seconds"), &s));
        assert_true(n == 20000 && s > 0.0199999 && s < 0.0200001);
        cfb_json_free(root);
    }
}

static void a_path_that_cannot_be_written_is_an_error(void **state) {
    (void)state;
    cfb_err err = CFB_ERR_INIT;
    assert_int_not_equal(cfb_trace_open("/nonexistent-folder/x.json", &err), CFB_OK);
    assert_false(cfb_trace_on());
}

int main(void) {
    snprintf(path, sizeof path, "/tmp/cfb-trace-%ld.json", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_recorded_without_a_trace),
        cmocka_unit_test(many_events_of_several_threads_are_all_there),
        cmocka_unit_test(a_path_that_cannot_be_written_is_an_error),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
