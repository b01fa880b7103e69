/* The mock's Files and Batches endpoints. */
#include "mock_http.h"

#include "mock/multipart.h"

#define FORM "multipart/form-data; boundary=XyZ"

static reply request(int port, const char *method, const char *path, const char *type, cfb_str body) {
    reply r = {.body = CFB_BUF_INIT(1 << 26), .headers = CFB_BUF_INIT(1 << 20)};
    char url[256], header[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    snprintf(header, sizeof header, "Content-Type: %s", type);
    CURL *curl = curl_easy_init();
    assert_non_null(curl);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r.body);
    if (body.ptr != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    }
    r.curl = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r.status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (r.body.len > 0 && cfb_json_parse(r.body.ptr, r.body.len, 0, &r.json, NULL) != CFB_OK) r.json = NULL;
    return r;
}

/* Uploads a text and writes the file's id. */
static long upload(int port, const char *text, const char *purpose, char id[64]) {
    cfb_buf form = CFB_BUF_INIT(1 << 24);
    assert_int_equal(
        cfb_buf_printf(&form, NULL,
                       "--XyZ\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n%s\r\n--XyZ\r\nContent-Disposition: "
                       "form-data; name=\"file\"; filename=\"in.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n",
                       purpose),
        CFB_OK);
    assert_int_equal(cfb_buf_append_str(&form, cfb_str_from(text), NULL), CFB_OK);
    assert_int_equal(cfb_buf_append_str(&form, CFB_STR_LIT("\r\n--XyZ--\r\n"), NULL), CFB_OK);
    reply r = request(port, "POST", "/v1/files", FORM, cfb_buf_str(&form));
    if (r.status == 200) {
        assert_str(cfb_json_str(cfb_json_get(r.json, "object")), "file");
        assert_str(cfb_json_str(cfb_json_get(r.json, "filename")), "in.jsonl");
        assert_int_equal(number(r.json, "bytes"), (int64_t)strlen(text));
        snprintf(id, 64, "%.*s", CFB_STR_ARG(cfb_json_str(cfb_json_get(r.json, "id"))));
    }
    long status = r.status;
    done(&r);
    cfb_buf_free(&form);
    return status;
}

static reply create(int port, const char *file) {
    char body[256];
    snprintf(body, sizeof body,
             "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/"
             "completions\",\"completion_window\":\"24h\",\"metadata\":{\"a\":\"b\"}}",
             file);
    return call(port, "/v1/batches", body);
}

static reply look(int port, const char *id) {
    char path[128];
    snprintf(path, sizeof path, "/v1/batches/%s", id);
    return call(port, path, NULL);
}

static cfb_str text_of(const cfb_json *object, const char *key) { return cfb_json_str(cfb_json_get(object, key)); }

static void rows(cfb_buf *out, int n) {
    for (int i = 0; i < n; i++)
        assert_int_equal(
            cfb_buf_printf(
                out, NULL,
                "{\"custom_id\":\"row-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\","
                "\"messages\":[{\"role\":\"user\",\"content\":\"q%d\"}]}}\n",
                i, i),
            CFB_OK);
}

/* Reads an output or error file: each custom_id once, in seen; returns the lines. */
static int read_lines(int port, cfb_str id, int n, bool *seen, long status, bool *in_order) {
    char path[128];
    snprintf(path, sizeof path, "/v1/files/%.*s/content", CFB_STR_ARG(id));
    reply r = call(port, path, NULL);
    assert_int_equal(r.status, 200);
    int lines = 0, last = -1;
    *in_order = true;
    for (size_t from = 0; from < r.body.len; lines++) {
        size_t end = cfb_str_find(cfb_buf_str(&r.body), CFB_STR_LIT("\n"), from);
        assert_true(end != SIZE_MAX);
        cfb_json *line = NULL;
        assert_int_equal(cfb_json_parse(r.body.ptr + from, end - from, 0, &line, NULL), CFB_OK);
        cfb_str custom = text_of(line, "custom_id");
        int i = atoi(custom.ptr + 4);
        assert_true(i >= 0 && i < n && !seen[i]);
        seen[i] = true;
        *in_order = *in_order && i > last;
        last = i;
        const cfb_json *response = cfb_json_get(line, "response");
        assert_int_equal(number(response, "status_code"), status);
        const cfb_json *body = cfb_json_get(response, "body");
        if (status == 200) {
            char right[32];
            snprintf(right, sizeof right, "a%d", i);
            const cfb_json *message = cfb_json_get(cfb_json_first(cfb_json_get(body, "choices")), "message");
            assert_str(text_of(message, "content"), right);
        } else {
            assert_non_null(cfb_json_get(body, "error"));
        }
        cfb_json_free(line);
        from = end + 1;
    }
    done(&r);
    return lines;
}

#define N 200

static void test_batch(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.faults = "500:0.2,slow:0.2,hang:0.1"; /* the two of the transport must not occur */
    cfb_mock_t *m = start(&o);
    int port = cfb_mock_port(m);
    cfb_buf text = CFB_BUF_INIT(1 << 20);
    rows(&text, N);
    for (int i = 0; i < N; i++) {
        char prompt[16], answer[16];
        snprintf(prompt, sizeof prompt, "q%d", i);
        snprintf(answer, sizeof answer, "a%d", i);
        teach(m, prompt, NULL, answer);
    }
    char file[64];
    assert_int_equal(upload(port, text.ptr, "batch", file), 200);
    reply r = create(port, file);
    assert_int_equal(r.status, 200);
    assert_str(text_of(r.json, "object"), "batch");
    assert_str(text_of(r.json, "status"), "completed"); /* no delay */
    assert_str(text_of(r.json, "input_file_id"), file);
    assert_str(text_of(cfb_json_get(r.json, "metadata"), "a"), "b");
    const cfb_json *counts = cfb_json_get(r.json, "request_counts");
    int64_t completed = number(counts, "completed"), failed = number(counts, "failed");
    assert_int_equal(number(counts, "total"), N);
    assert_int_equal(completed + failed, N);
    assert_in_range(failed, N / 10, N * 3 / 10);
    bool seen[N] = {false}, in_order = true;
    assert_int_equal(read_lines(port, text_of(r.json, "output_file_id"), N, seen, 200, &in_order), completed);
    assert_false(in_order);
    assert_int_equal(read_lines(port, text_of(r.json, "error_file_id"), N, seen, 500, &in_order), failed);
    done(&r);
    r = call(port, "/v1/batches", NULL);
    assert_int_equal(cfb_json_count(cfb_json_get(r.json, "data")), 1);
    done(&r);
    cfb_buf_free(&text);
    cfb_mock_stop(m);
}

static void test_states(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.batch_delay_s = 0.6;
    cfb_mock_t *m = start(&o);
    int port = cfb_mock_port(m);
    cfb_buf text = CFB_BUF_INIT(1 << 20);
    rows(&text, 100);
    char file[64], id[64];
    assert_int_equal(upload(port, text.ptr, "batch", file), 200);
    reply r = create(port, file);
    assert_str(text_of(r.json, "status"), "validating");
    assert_null(text_of(r.json, "output_file_id").ptr);
    snprintf(id, sizeof id, "%.*s", CFB_STR_ARG(text_of(r.json, "id")));
    done(&r);
    static const char *const states[] = {"validating", "in_progress", "finalizing", "completed"};
    int at = 0;
    int64_t last = 0;
    for (int i = 0; i < 500 && at < 3; i++) { /* states come in order, and the counts never fall */
        r = look(port, id);
        cfb_str now = text_of(r.json, "status");
        while (at < 3 && !cfb_str_eqz(now, states[at])) at++;
        assert_str(now, states[at]);
        int64_t completed = number(cfb_json_get(r.json, "request_counts"), "completed");
        assert_true(completed >= last && completed <= 100);
        last = completed;
        done(&r);
        cfb_sleep_until_ns(cfb_now_ns() + 10000000, NULL);
    }
    r = look(port, id);
    assert_int_equal(number(cfb_json_get(r.json, "request_counts"), "completed"), 100);
    assert_int_equal(cfb_json_kind_of(cfb_json_get(r.json, "error_file_id")), CFB_JSON_NULL); /* nothing failed: no file */
    done(&r);
    char path[128];
    snprintf(path, sizeof path, "/v1/batches/%s/cancel", id);
    r = call(port, path, "");
    assert_int_equal(r.status, 400); /* it has ended */
    done(&r);

    r = create(port, file);
    snprintf(path, sizeof path, "/v1/batches/%.*s/cancel", CFB_STR_ARG(text_of(r.json, "id")));
    snprintf(id, sizeof id, "%.*s", CFB_STR_ARG(text_of(r.json, "id")));
    done(&r);
    cfb_sleep_until_ns(cfb_now_ns() + 300000000, NULL);
    r = call(port, path, "");
    assert_int_equal(r.status, 200);
    assert_str(text_of(r.json, "status"), "cancelling");
    done(&r);
    for (int i = 0; i < 200; i++) {
        r = look(port, id);
        bool ended = cfb_str_eqz(text_of(r.json, "status"), "cancelled");
        if (ended) assert_true(number(cfb_json_get(r.json, "request_counts"), "completed") < 100);
        done(&r);
        if (ended) break;
        assert_true(i < 199);
        cfb_sleep_until_ns(cfb_now_ns() + 10000000, NULL);
    }
    cfb_buf_free(&text);
    cfb_mock_stop(m);
}

static void test_wrong_input(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    int port = cfb_mock_port(m);
    static const struct {
        const char *text, *code;
        int64_t line;
    } cases[] = {
        {"", "empty_file", -1},
        {"\n{\"a\":\n", "invalid_json_line", 2},
        {"[]", "invalid_json_line", 1},
        {"{\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}", "missing_required_parameter", 1},
        {"{\"custom_id\":\"a\",\"method\":\"GET\",\"url\":\"/v1/chat/completions\",\"body\":{}}", "invalid_method", 1},
        {"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{}}", "mismatched_url", 1},
        {"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}\n"
         "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}",
         "duplicate_custom_id", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char file[64];
        assert_int_equal(upload(port, cases[i].text, "batch", file), 200);
        reply r = create(port, file);
        assert_str(text_of(r.json, "status"), "failed");
        const cfb_json *error = cfb_json_first(cfb_json_get(cfb_json_get(r.json, "errors"), "data"));
        assert_str(text_of(error, "code"), cases[i].code);
        assert_int_equal(number(error, "line"), cases[i].line);
        assert_null(text_of(r.json, "output_file_id").ptr);
        done(&r);
    }
    /* a wrong body is no wrong line: the row fails */
    char file[64];
    assert_int_equal(
        upload(port, "{\"custom_id\":\"row-0\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\"}}",
               "batch", file),
        200);
    reply r = create(port, file);
    assert_str(text_of(r.json, "status"), "completed");
    assert_int_equal(number(cfb_json_get(r.json, "request_counts"), "failed"), 1);
    bool seen[1] = {false}, in_order;
    assert_int_equal(read_lines(port, text_of(r.json, "error_file_id"), 1, seen, 400, &in_order), 1);
    assert_null(text_of(r.json, "output_file_id").ptr);
    done(&r);
    static const char *const bad[] = {
        "{", "{}", "{\"input_file_id\":\"nothing\",\"endpoint\":\"/v1/embeddings\",\"completion_window\":\"24h\"}"};
    for (size_t i = 0; i < 3; i++) {
        r = call(port, "/v1/batches", bad[i]);
        assert_int_equal(r.status, 400);
        done(&r);
    }
    r = look(port, "batch_x");
    assert_int_equal(r.status, 404);
    done(&r);
    cfb_mock_stop(m);
}

static void test_files(void **state) {
    (void)state;
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    cfb_mock_t *m = start(&o);
    int port = cfb_mock_port(m);
    char id[64], path[128];
    assert_int_equal(upload(port, "x", "fine-tune", id), 400);
    assert_int_equal(upload(port, "line\nline", "batch", id), 200);
    snprintf(path, sizeof path, "/v1/files/%s", id);
    reply r = call(port, path, NULL);
    assert_str(text_of(r.json, "status"), "processed");
    done(&r);
    r = call(port, "/v1/files", NULL);
    assert_int_equal(cfb_json_count(cfb_json_get(r.json, "data")), 1);
    done(&r);
    snprintf(path, sizeof path, "/v1/files/%s/content", id);
    r = call(port, path, NULL);
    assert_str(cfb_buf_str(&r.body), "line\nline");
    done(&r);
    snprintf(path, sizeof path, "/v1/files/%s", id);
    r = request(port, "DELETE", path, "x/y", CFB_STR_NULL);
    assert_int_equal(r.status, 200);
    done(&r);
    r = call(port, path, NULL);
    assert_int_equal(r.status, 404);
    done(&r);
    r = request(port, "POST", "/v1/files", "application/json", CFB_STR_LIT("{}"));
    assert_int_equal(r.status, 400);
    done(&r);
    cfb_mock_stop(m);
}

static void test_multipart(void **state) {
    (void)state;
    cfb_mock__part parts[CFB_MOCK__MAX_PARTS];
    size_t n = 0;
    cfb_str type = cfb_str_from("Multipart/Form-Data; charset=x; boundary=\"a b\"");
    cfb_str body = cfb_str_from(
        "--a b\r\nContent-Disposition: form-data; filename=f; name=\"n\"\r\n\r\n\r\n--a b\r\ncontent-disposition: form-data; "
        "name=m\r\nX: y\r\n\r\n--a\r\n--a c\r\n--a b--");
    assert_true(cfb_mock__multipart(type, body, parts, &n));
    assert_int_equal(n, 2);
    assert_str(parts[0].name, "n");
    assert_str(parts[0].filename, "f");
    assert_int_equal(parts[0].data.len, 0);
    assert_str(parts[1].name, "m");
    assert_null(parts[1].filename.ptr);
    assert_str(parts[1].data, "--a\r\n--a c");
    for (size_t len = 0; len < body.len; len++) assert_false(cfb_mock__multipart(type, (cfb_str){body.ptr, len}, parts, &n));
    assert_false(cfb_mock__multipart(cfb_str_from("multipart/form-data"), body, parts, &n));
    assert_false(cfb_mock__multipart(cfb_str_from("text/plain; boundary=a"), body, parts, &n));
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch), cmocka_unit_test(test_states),    cmocka_unit_test(test_wrong_input),
        cmocka_unit_test(test_files), cmocka_unit_test(test_multipart),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
