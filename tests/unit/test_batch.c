#include "test.h"

#include "cfbench/batch.h"
#include "cfbench/files.h"
#include "cfbench/json.h"

static char dir[64];

static int new_dir(void **state) {
    (void)state;
    return test_folder(dir) == NULL;
}

/* ---- ids ---- */

static const char *custom_id(const char *task, const char *id, size_t row, const char *key) {
    static char out[CFB_BATCH_ID_SIZE];
    memset(out, 'x', sizeof out);
    cfb_batch_custom_id(cfb_str_from(task), cfb_str_from(id), row, cfb_str_from(key), out);
    return out;
}

static void ids_are_short_plain_and_unique(void **state) {
    (void)state;
    static const char key[] = "0123456789abcdef0123456789abcdef";
    assert_string_equal(custom_id("company", "fin-017", 17, key), "company/fin-017/17-0123456789abcdef");
    assert_string_equal(custom_id("a/b c", "行\"\\\n", 0, key), "a_b_c/______/0-0123456789abcdef");
    assert_string_equal(custom_id("t", "", 1, "short"), "t//1-");
    char long_name[200];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const size_t rows[] = {0, 99, SIZE_MAX};
    for (size_t i = 0; i < 3; i++) {
        const char *id = custom_id(long_name, long_name, rows[i], key);
        assert_int_equal(strlen(id), CFB_BATCH_ID_SIZE - 1);
        assert_int_equal(strspn(id, "n/-0123456789abcdef"), CFB_BATCH_ID_SIZE - 1);
    }
    char first[CFB_BATCH_ID_SIZE]; /* ids that look alike once they are made plain still differ by their rows */
    snprintf(first, sizeof first, "%s", custom_id("t", "中", 1, key));
    assert_string_not_equal(first, custom_id("t", "国", 2, key));
}

/* ---- requests ---- */

static cfb_batch_file *write_some(int64_t max_requests, int64_t max_bytes, int n, size_t *n_files) {
    const cfb_batch_writer_opts o = {dir, 1, max_requests, max_bytes};
    cfb_batch_writer_t *w;
    cfb_batch_file *files = NULL;
    assert_ok(cfb_batch_writer_new(&o, &w, &test_err));
    for (int i = 0; i < n; i++) {
        char id[32];
        snprintf(id, sizeof id, "t/%d/%d-k", i, i);
        assert_ok(cfb_batch_writer_add(w, id,
                                       i % 2 ? CFB_STR_LIT("{\"model\":\"m\",\r\"messages\":\n[]}")
                                             : CFB_STR_LIT("{\"model\":\"m\",\"messages\":[]  }"),
                                       &test_err));
    }
    assert_ok(cfb_batch_writer_finish(w, &files, n_files, &test_err));
    cfb_batch_writer_free(w);
    return files;
}

static cfb_code count_id(void *ctx, cfb_str id, cfb_err *err) {
    char want[32];
    int *n = ctx;
    (void)err;
    snprintf(want, sizeof want, "t/%d/%d-k", *n, *n);
    assert_str(id, want);
    (*n)++;
    return CFB_OK;
}

static void requests_are_cut_by_number_and_size(void **state) {
    (void)state;
    static const char line[] = "{\"custom_id\":\"t/0/0-k\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
                               "{\"model\":\"m\",\"messages\":[]  }}\n";
    size_t n_files, len = sizeof line - 1;
    const struct {
        int64_t max_requests, max_bytes;
        size_t files, in_first;
    } cases[] = {{50000, 1 << 20, 1, 10},        {4, 1 << 20, 3, 4},
                 {10, 1 << 20, 1, 10},           {1, 1 << 20, 10, 1},
                 {50, (int64_t)(3 * len), 4, 3}, {50, (int64_t)(3 * len) + 1, 4, 3},
                 {2, (int64_t)(3 * len), 5, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        cfb_batch_file *files = write_some(cases[c].max_requests, cases[c].max_bytes, 10, &n_files);
        assert_int_equal(n_files, cases[c].files);
        assert_int_equal(files[0].n_requests, cases[c].in_first);
        int64_t total = 0;
        int ids = 0;
        for (size_t i = 0; i < n_files; i++) {
            char path[200], hex[65];
            cfb_buf text = CFB_BUF_INIT((size_t)1 << 20);
            snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
            assert_ok(cfb_file_read(path, (size_t)1 << 19, &text, &test_err));
            assert_int_equal(text.len, files[i].n_bytes);
            assert_true(files[i].n_bytes <= cases[c].max_bytes && files[i].n_requests <= cases[c].max_requests);
            cfb_sha256_hex(text.ptr, text.len, hex);
            assert_string_equal(files[i].sha256, hex);
            if (i == 0) assert_memory_equal(text.ptr, line, len);
            total += files[i].n_requests;
            assert_ok(cfb_batch_read_ids(path, count_id, &ids, &test_err));
            cfb_buf_free(&text);
        }
        assert_int_equal(total, 10);
        assert_int_equal(ids, 10);
        assert_string_equal(files[n_files - 1].name, n_files == 1 ? "r01-0001.jsonl" : files[n_files - 1].name);
        free(files);
    }
    cfb_batch_file *files = write_some(5, 100000, 0, &n_files);
    assert_int_equal(n_files, 0);
    free(files);
    const cfb_batch_writer_opts o = {dir, 1, 5, 50};
    cfb_batch_writer_t *w;
    assert_ok(cfb_batch_writer_new(&o, &w, &test_err));
    assert_fails(cfb_batch_writer_add(w, "t/7/7-k", CFB_STR_LIT("{\"messages\":[]}"), &test_err), CFB_ELIMIT, "t/7/7-k alone");
    cfb_batch_writer_free(w);
}

/* ---- one result ---- */

static void one_result_of_each_kind(void **state) {
    (void)state;
    static const struct {
        const char *line, *id;
        cfb_fail fail;
        cfb_finish finish;
        long status;
        const char *text; /* content, or a part of the message */
    } cases[] = {
        {"{\"id\":\"b\",\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"request_id\":\"r\",\"body\":{\"choices\":[{"
         "\"message\":"
         "{\"content\":\"yes\\u2028no\"},\"finish_reason\":\"stop\"}],\"created\":1700000000}},\"error\":null}",
         "a", CFB_FAIL_NONE, CFB_FINISH_STOP, 200, "yes\xe2\x80\xa8no"},
        {"{\"custom_id\":\"a\",\"response\":{\"body\":{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":"
         "\"length\"}]}}}",
         "a", CFB_FAIL_NONE, CFB_FINISH_LENGTH, 200, "x"},
        {"{\"id\":\"b\",\"custom_id\":\"a\",\"response\":{\"id\":\"cmpl\",\"choices\":[{\"message\":{\"content\":\"x\"}}]}}", "a",
         CFB_FAIL_NONE, CFB_FINISH_STOP, 200, "x"},
        {"{\"custom_id\":\"a\",\"response\":{\"status_code\":400,\"body\":{\"error\":{\"message\":\"no such "
         "thing\"}}},\"error\":null}",
         "a", CFB_FAIL_BAD_REQUEST, CFB_FINISH_OTHER, 400, "no such thing"},
        {"{\"custom_id\":\"a\",\"response\":{\"status_code\":429,\"body\":{\"error\":{\"message\":\"slow down\"}}}}", "a",
         CFB_FAIL_RATE_LIMIT, CFB_FINISH_OTHER, 429, "slow down"},
        {"{\"custom_id\":\"a\",\"response\":{\"status_code\":500,\"body\":null},\"error\":null}", "a", CFB_FAIL_SERVER,
         CFB_FINISH_OTHER, 500, ""},
        {"{\"custom_id\":\"a\",\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"too late\"}}", "a",
         CFB_FAIL_TIMEOUT, CFB_FINISH_OTHER, 0, "too late"},
        {"{\"custom_id\":\"a\",\"response\":null,\"error\":{\"code\":\"batch_cancelled\",\"message\":\"called off\"}}", "a",
         CFB_FAIL_STOPPED, CFB_FINISH_OTHER, 0, "called off"},
        {"{\"custom_id\":\"a\",\"response\":{\"status_code\":400,\"request_id\":\"v\",\"body\":null},\"error\":{\"object\":"
         "\"error\","
         "\"message\":\"bad\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}",
         "a", CFB_FAIL_BAD_REQUEST, CFB_FINISH_OTHER, 400, "bad"},
        {"{\"custom_id\":\"a\",\"response\":null,\"error\":{\"error\":{\"message\":\"gone\"}}}", "a", CFB_FAIL_SERVER,
         CFB_FINISH_OTHER, 0, "gone"},
        {"{\"custom_id\":\"a\",\"response\":null,\"error\":{\"message\":\"refused\",\"code\":401}}", "a", CFB_FAIL_AUTH,
         CFB_FINISH_OTHER, 401, "refused"},
        {"{\"custom_id\":\"a\"}", "a", CFB_FAIL_SERVER, CFB_FINISH_OTHER, 0, ""},
        {"{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"object\":\"list\"}}}", "a", CFB_FAIL_BAD_REPLY,
         CFB_FINISH_OTHER, 200, "choices"},
    };
    cfb_batch_scratch s = CFB_BATCH_SCRATCH_INIT;
    cfb_batch_result r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(cfb_batch_parse_line(cfb_str_from(cases[i].line), &s, &r, &test_err));
        assert_string_equal(r.custom_id, cases[i].id);
        if (r.reply.fail != cases[i].fail) fail_msg("%s: %s", cases[i].line, cfb_fail_name(r.reply.fail));
        assert_int_equal(r.reply.http_status, cases[i].status);
        if (r.reply.fail == CFB_FAIL_NONE) {
            assert_int_equal(r.reply.finish, cases[i].finish);
            assert_str(r.reply.content, cases[i].text);
        } else if (r.reply.message[0] == '\0' || strstr(r.reply.message, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].line, r.reply.message);
        }
        assert_true(r.reply.started_wall_ms == (i == 0 ? INT64_C(1700000000000) : 0));
    }
    static const char *const bad[] = {"", "[]", "{}", "{\"custom_id\": 7}", "{\"custom_id\":\"a\"", "null", "{\"id\":\"a\"} x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cfb_err err = CFB_ERR_INIT;
        assert_int_not_equal(cfb_batch_parse_line(cfb_str_from(bad[i]), &s, &r, &err), CFB_OK);
        assert_true(err.msg[0] != '\0');
    }
    cfb_batch_scratch_free(&s);
}

/* ---- a file of results ---- */

struct seen {
    int n, bad;
    char ids[200], messages[2000];
    uint64_t last_line;
};

static cfb_code on_result(void *ctx, const cfb_batch_result *r, uint64_t line, cfb_err *err) {
    struct seen *s = ctx;
    size_t used = strlen(s->ids);
    snprintf(s->ids + used, sizeof s->ids - used, "%s,", r->custom_id);
    s->n++;
    assert_true(line > s->last_line);
    s->last_line = line;
    return strcmp(r->custom_id, "stop") == 0 ? cfb_err_set(err, CFB_EIO, "stopped") : CFB_OK;
}

static void on_bad_line(void *ctx, const char *message) {
    struct seen *s = ctx;
    size_t used = strlen(s->messages);
    snprintf(s->messages + used, sizeof s->messages - used, "%s\n", message);
    s->bad++;
}

static const char *put_file(cfb_str text) {
    static char path[100];
    snprintf(path, sizeof path, "%s/results.jsonl", dir);
    assert_ok(cfb_file_write(path, text, &test_err));
    return path;
}

#define GOOD(id) \
    "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"message\":{\"content\":\"c\"}}]}}}"

static void one_bad_line_never_costs_the_rest(void **state) {
    (void)state;
    struct seen s = {0};
    const cfb_batch_reader reader = {&s, on_result, on_bad_line};
    const char *path = put_file(
        CFB_STR_LIT("\xef\xbb\xbf" GOOD("a") "\r\n\n  \n" GOOD("b") " x\n{\"custom_id\":\n" GOOD("c\xe2\x80\xa8"
                                                                                                 "c") "\n"
                                                                                                      "\xff\xfe\n" GOOD("d")));
    assert_ok(cfb_batch_read_results(path, &reader, &test_err));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.ids, "a,c\xe2\x80\xa8"
                               "c,d,");
    assert_int_equal(s.bad, 3);
    assert_non_null(strstr(s.messages, "results.jsonl:4: "));
    assert_non_null(strstr(s.messages, "results.jsonl:5: "));
    assert_non_null(strstr(s.messages, "results.jsonl:7: "));
    s = (struct seen){0};
    assert_fails(cfb_batch_read_results(put_file(CFB_STR_LIT(GOOD("stop") "\n" GOOD("a"))), &reader, &test_err), CFB_EIO,
                 "stopped");
    assert_int_equal(s.n, 1);
    s = (struct seen){0};
    assert_ok(cfb_batch_read_results(put_file(CFB_STR_LIT("")), &reader, &test_err));
    assert_int_equal(s.n + s.bad, 0);
    assert_fails(cfb_batch_read_results("/no/such/file", &reader, &test_err), CFB_ENOTFOUND, "/no/such/file");
}

static void lines_of_any_length(void **state) {
    (void)state;
    struct seen s = {0};
    const cfb_batch_reader reader = {&s, on_result, on_bad_line};
    cfb_buf b = CFB_BUF_INIT((size_t)256 << 20);
    size_t huge = ((size_t)64 << 20) + ((size_t)1 << 19), large = (size_t)700000; /* beyond the limit; beyond one read */
    for (int round = 0; round < 2; round++) {
        assert_ok(
            cfb_buf_append_str(&b,
                               CFB_STR_LIT("{\"custom_id\":\"long\",\"response\":{\"status_code\":200,\"body\":{\"choices\":["
                                           "{\"message\":{\"content\":\""),
                               &test_err));
        assert_ok(cfb_buf_reserve(&b, huge, &test_err));
        memset(b.ptr + b.len, 'y', round ? huge : large);
        b.len += round ? huge : large;
        assert_ok(cfb_buf_append_str(&b, CFB_STR_LIT("\"}}]}}}\n" GOOD("next") "\n"), &test_err));
    }
    assert_ok(cfb_buf_reserve(&b, huge, &test_err)); /* and one without an end */
    memset(b.ptr + b.len, 'z', huge);
    b.len += huge;
    assert_ok(cfb_batch_read_results(put_file(cfb_buf_str(&b)), &reader, &test_err));
    assert_string_equal(s.ids, "long,next,next,");
    assert_int_equal(s.bad, 2);
    assert_non_null(strstr(s.messages, ":3: the line is longer than 64 MiB"));
    assert_non_null(strstr(s.messages, ":5: the line is longer than 64 MiB"));
    cfb_buf_free(&b);
}

/* ---- the manifest ---- */

static void a_manifest_comes_back_as_it_was(void **state) {
    (void)state;
    char path[100];
    size_t n;
    cfb_batch_file *files = write_some(4, 100000, 10, &n);
    cfb_batch_manifest m = {.tag = "00112233aabbccdd", .model = "org/模型", .base_url = "https://x/v1", .round = 2}, back;
    assert_ok(cfb_batch_manifest_add(&m, files, n, &test_err));
    assert_ok(cfb_batch_manifest_add(&m, files, 0, &test_err));
    m.shards[1].upload_started = m.shards[1].create_started = m.shards[2].imported = true;
    snprintf(m.shards[1].file_id, sizeof m.shards[1].file_id, "file-1");
    snprintf(m.shards[1].status, sizeof m.shards[1].status, "in_progress");
    m.shards[1].n_completed = 3;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    assert_fails(cfb_batch_manifest_read(path, &back, &test_err), CFB_ENOTFOUND, path);
    assert_ok(cfb_batch_manifest_save(&m, path, &test_err));
    assert_ok(cfb_batch_manifest_read(path, &back, &test_err));
    assert_int_equal(back.n_shards, 3);
    assert_int_equal(back.round, 2);
    assert_string_equal(back.tag, m.tag);
    assert_string_equal(back.model, m.model);
    assert_string_equal(back.base_url, m.base_url);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(back.shards[i].file.name, files[i].name);
        assert_string_equal(back.shards[i].file.sha256, files[i].sha256);
        assert_int_equal(back.shards[i].file.n_bytes, files[i].n_bytes);
        assert_int_equal(back.shards[i].upload_started, i == 1);
        assert_int_equal(back.shards[i].imported, i == 2);
    }
    assert_string_equal(back.shards[1].file_id, "file-1");
    assert_int_equal(back.shards[1].n_completed, 3);
    assert_false(cfb_batch_shard_is_over(&back.shards[1]));
    snprintf(back.shards[1].status, sizeof back.shards[1].status, "expired");
    assert_true(cfb_batch_shard_is_over(&back.shards[1]));
    cfb_batch_manifest_free(&back);
    cfb_batch_manifest_free(&m);
    free(files);
}

static void wrong_manifests_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "m.json"},
        {"{}", "not a batch manifest"},
        {"{\"schema\":\"cfbench.batch/9\"}", "this cfbench reads cfbench.batch/1"},
        {"{\"schema\":\"cfbench.batch/1\",\"tag\":\"\"}", "\"tag\""},
        {"{\"schema\":\"cfbench.batch/1\",\"tag\":\"0123456789abcdef0\"}", "\"tag\""},
        {"{\"schema\":\"cfbench.batch/1\",\"tag\":\"a\",\"model\":\"m\",\"base_url\":\"u\",\"round\":1}", "\"files\""},
        {"{\"schema\":\"cfbench.batch/1\",\"tag\":\"a\",\"model\":\"m\",\"base_url\":\"u\",\"round\":-1,\"files\":[]}",
         "\"round\""},
        {"{\"schema\":\"cfbench.batch/1\",\"tag\":\"a\",\"model\":\"m\",\"base_url\":\"u\",\"round\":1,\"files\":[{}]}",
         "\"file\""},
        {"{\"schema\":\"cfbench.batch/"
         "1\",\"tag\":\"a\",\"model\":\"m\",\"base_url\":\"u\",\"round\":1,\"files\":[{\"file\":\"a\","
         "\"sha256\":7}]}",
         "\"sha256\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_batch_manifest m;
        cfb_err err = CFB_ERR_INIT;
        cfb_code rc = cfb_batch_manifest_parse("m.json", cfb_str_from(cases[i].json), &m, &err);
        if (rc == CFB_OK || strstr(err.msg, cases[i].message) == NULL) fail_msg("%s: %s", cases[i].json, err.msg);
    }
    /* a name that leaves the folder */
    cfb_batch_manifest m = {.tag = "a"}, back;
    const cfb_batch_file evil = {.name = "../../x"};
    cfb_buf text = CFB_BUF_INIT((size_t)1 << 20);
    assert_ok(cfb_batch_manifest_add(&m, &evil, 1, &test_err));
    assert_ok(cfb_batch_manifest_write(&m, &text, &test_err));
    assert_fails(cfb_batch_manifest_parse("m.json", cfb_buf_str(&text), &back, &test_err), CFB_EDATA, "\"file\"");
    cfb_buf_free(&text);
    cfb_batch_manifest_free(&m);
}

/* ---- the server's objects ---- */

static void objects_of_the_server(void **state) {
    (void)state;
    cfb_remote_file f;
    cfb_remote_batch b;
    assert_true(cfb_files__read_file(CFB_STR_LIT("{\"id\":\"file-1\",\"bytes\":12,\"filename\":\"a.jsonl\"}"), &f));
    assert_string_equal(f.id, "file-1");
    assert_string_equal(f.name, "a.jsonl");
    assert_int_equal(f.n_bytes, 12);
    assert_true(cfb_files__read_file(CFB_STR_LIT("{\"id\":\"file-1\",\"bytes\":null}"), &f));
    assert_int_equal(f.n_bytes, -1);
    assert_true(cfb_files__read_batch(
        CFB_STR_LIT(
            "{\"id\":\"batch_1\",\"status\":\"failed\",\"input_file_id\":\"file-1\",\"output_file_id\":null,"
            "\"request_counts\":{\"total\":7,\"completed\":-2,\"failed\":1},\"errors\":{\"object\":\"list\",\"data\":[{\"code\":"
            "\"x\",\"message\":\"line 1\\nis wrong\",\"line\":1}]}}"),
        &b));
    assert_string_equal(b.status, "failed");
    assert_string_equal(b.input_file_id, "file-1");
    assert_string_equal(b.output_file_id, "");
    assert_string_equal(b.message, "line 1 is wrong"); /* one line */
    assert_int_equal(b.n_total, 7);
    assert_int_equal(b.n_completed, 0);
    static const char *const none[] = {"", "[]", "{}", "{\"id\":\"\"}", "{\"id\":7,\"status\":\"x\"}", "<html>"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_false(cfb_files__read_file(cfb_str_from(none[i]), &f));
        assert_false(cfb_files__read_batch(cfb_str_from(none[i]), &b));
    }
    assert_false(cfb_files__read_batch(CFB_STR_LIT("{\"id\":\"b\"}"), &b)); /* without a status */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_short_plain_and_unique),
        cmocka_unit_test_setup(requests_are_cut_by_number_and_size, new_dir),
        cmocka_unit_test(one_result_of_each_kind),
        cmocka_unit_test_setup(one_bad_line_never_costs_the_rest, new_dir),
        cmocka_unit_test_setup(lines_of_any_length, new_dir),
        cmocka_unit_test_setup(a_manifest_comes_back_as_it_was, new_dir),
        cmocka_unit_test(wrong_manifests_are_refused),
        cmocka_unit_test(objects_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
