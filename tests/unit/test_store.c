#include "test.h"

#include "cfbench/store.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char dir[64], path[128];

static int new_path(void **state) {
    (void)state;
    if (test_folder(dir) == NULL) return 1;
    snprintf(path, sizeof path, "%s/run.db", dir);
    return 0;
}

static cfb_store_t *open_store(cfb_store_mode mode) {
    cfb_store_t *s;
    assert_ok(cfb_store_open(path, mode, &s, &test_err));
    return s;
}

static int64_t add_task(cfb_store_t *s, size_t n_rows) {
    const cfb_store_task t = {"company", "recognition", "f1", "row", "{}"};
    int64_t id = 0;
    assert_ok(cfb_store_put_task(s, &t, &id, &test_err));
    cfb_store_row *rows = calloc(n_rows, sizeof *rows);
    for (size_t i = 0; i < n_rows; i++) {
        rows[i] = (cfb_store_row){(int64_t)i,   CFB_STR_LIT("id"), CFB_STR_LIT("key"), CFB_STR_LIT("in\0put"),
                                  CFB_STR_NULL, CFB_STR_LIT("中")};
        rows[i].input.len = 6;
    }
    assert_ok(cfb_store_put_rows(s, id, rows, n_rows, &test_err));
    free(rows);
    return id;
}

static cfb_store_attempt reply(int64_t task_id, int64_t row, const char *state_name) {
    return (cfb_store_attempt){.task_id = task_id,
                               .row = row,
                               .http_status = state_name ? 200 : 500,
                               .fail = state_name ? "none" : "server",
                               .message = state_name ? "" : "it broke",
                               .state = state_name,
                               .finish_reason = "stop",
                               .latency_us = 5,
                               .content = CFB_STR_LIT("a\nb"),
                               .output = CFB_STR_LIT("a"),
                               .prompt_tokens = -1,
                               .completion_tokens = 3};
}

struct collected {
    size_t n, failed;
    int64_t attempts;
};

static cfb_code collect(void *ctx, const cfb_store_result *r, cfb_err *err) {
    struct collected *c = ctx;
    (void)err;
    assert_int_equal(r->row, c->n);
    assert_int_equal(r->input.len, 6); /* a NUL in a text survives */
    assert_null(r->instruction.ptr);
    assert_str(r->response, "中");
    if (strcmp(r->state, "failed") == 0) {
        c->failed++;
        assert_null(r->output.ptr);
    } else {
        assert_str(r->content, "a\nb");
        assert_str(r->output, "a");
        assert_int_equal(r->prompt_tokens, -1);
        assert_int_equal(r->completion_tokens, 3);
    }
    c->n++;
    c->attempts += r->n_attempts;
    return CFB_OK;
}

static void replies_survive_a_reopening(void **state) {
    (void)state;
    cfb_store_t *s = open_store(CFB_STORE_WRITE);
    int64_t id = add_task(s, 4);
    cfb_store_attempt bad = reply(id, 1, NULL), good = reply(id, 1, "ok"), late = reply(id, 1, "truncated"),
                      hopeless = reply(id, 3, NULL), unreached = reply(id, 3, NULL);
    late.output = CFB_STR_LIT("late");
    assert_ok(cfb_store_put_attempt(s, &bad, &test_err));
    assert_ok(cfb_store_put_attempt(s, &good, &test_err));
    assert_ok(cfb_store_put_attempt(s, &late, &test_err)); /* counted, but the first reply stays */
    assert_ok(cfb_store_put_attempt(s, &hopeless, &test_err));
    unreached.fail = "connect"; /* stored, but no attempt that --max-attempts counts */
    assert_ok(cfb_store_put_attempt(s, &unreached, &test_err));
    assert_ok(cfb_store_close(s, &test_err));

    s = open_store(CFB_STORE_READ);
    unsigned char done[4];
    uint32_t failed[4];
    assert_ok(cfb_store_get_done(s, id, done, failed, 4, &test_err));
    assert_memory_equal(done, "\0\1\0\0", 4);
    assert_true(failed[0] == 0 && failed[1] == 1 && failed[2] == 0 && failed[3] == 1); /* a second answer is no failure */
    struct collected c = {0};
    assert_ok(cfb_store_each_result(s, id, collect, &c, &test_err));
    assert_int_equal(c.n, 4);
    assert_int_equal(c.failed, 3);
    assert_int_equal(c.attempts, 5);
    assert_ok(cfb_store_close(s, &test_err));
    assert_true(cfb_store_is_run_store(path));
    s = open_store(CFB_STORE_WRITE);
    assert_true(cfb_store_is_run_store(path)); /* while it is written, too */
    assert_ok(cfb_store_close(s, &test_err));
    assert_false(cfb_store_is_run_store("Makefile"));
}

static cfb_code last_response(void *ctx, const cfb_store_result *r, cfb_err *err) {
    static char text[16];
    (void)err;
    snprintf(text, sizeof text, "%.*s", CFB_STR_ARG(r->response));
    *(cfb_str *)ctx = cfb_str_from(text);
    return CFB_OK;
}

static void another_configuration_is_refused_by_name(void **state) {
    (void)state;
    const cfb_store_setting first[] = {{"model", "a"}, {"shot", "few"}}, same[] = {{"shot", "few"}, {"model", "a"}},
                            other[] = {{"model", "b"}, {"shot", "few"}};
    cfb_store_t *s = open_store(CFB_STORE_WRITE);
    assert_ok(cfb_store_bind(s, first, 2, &test_err));
    assert_ok(cfb_store_bind(s, same, 2, &test_err));
    assert_ok(cfb_store_bind(s, other, 2, &test_err)); /* without a reply there is nothing to mix up */
    assert_ok(cfb_store_bind(s, first, 2, &test_err));
    int64_t id = add_task(s, 2);
    cfb_store_attempt a = reply(id, 0, "ok");
    assert_ok(cfb_store_put_attempt(s, &a, &test_err));
    assert_fails(cfb_store_bind(s, other, 2, &test_err), CFB_ECONFLICT, "--model was 'a', now it is 'b'");
    assert_string_equal(cfb_store_setting_get(s, "model"), "a");
    assert_null(cfb_store_setting_get(s, "none"));
    assert_ok(cfb_store_setting_put(s, "model", "b", &test_err));
    assert_ok(cfb_store_bind(s, other, 2, &test_err));
    const cfb_store_row changed = {1, CFB_STR_LIT("id"), CFB_STR_LIT("other key"), CFB_STR_NULL, CFB_STR_NULL, CFB_STR_NULL};
    assert_fails(cfb_store_put_rows(s, id, &changed, 1, &test_err), CFB_ECONFLICT, "row 1 (id id)");
    const cfb_store_row corrected = {1, CFB_STR_LIT("id"), CFB_STR_LIT("key"), {"in\0put", 6}, CFB_STR_NULL, CFB_STR_LIT("国")};
    assert_ok(cfb_store_put_rows(s, id, &corrected, 1, &test_err)); /* a reference decides no reply: the new one counts */
    cfb_str seen = CFB_STR_NULL;
    assert_ok(cfb_store_each_result(s, id, last_response, &seen, &test_err));
    assert_str(seen, "国");
    assert_ok(cfb_store_close(s, &test_err));
}

static void a_second_writer_is_refused(void **state) {
    (void)state;
    cfb_store_t *s = open_store(CFB_STORE_WRITE), *second;
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_fails(cfb_store_open(path, CFB_STORE_WRITE, &second, &test_err), CFB_EACCESS, pid);
    cfb_store_t *reader = open_store(CFB_STORE_READ); /* looking on is fine */
    assert_ok(cfb_store_close(reader, &test_err));
    assert_ok(cfb_store_close(s, &test_err));
    s = open_store(CFB_STORE_WRITE);
    assert_ok(cfb_store_close(s, &test_err));
}

static void other_files_are_not_taken_for_stores(void **state) {
    (void)state;
    cfb_store_t *s;
    char cmd[300];
    assert_fails(cfb_store_open("/no/such/run.db", CFB_STORE_READ, &s, &test_err), CFB_ENOTFOUND, "there is no run store");
    assert_fails(cfb_store_open("/no/such/run.db", CFB_STORE_WRITE, &s, &test_err), CFB_ENOTFOUND, "/no/such/run.db");
    assert_ok(cfb_file_write(path, CFB_STR_LIT("input,response,output\n"), &test_err));
    assert_fails(cfb_store_open(path, CFB_STORE_WRITE, &s, &test_err), CFB_EDATA, "not a database");
    snprintf(cmd, sizeof cmd,
             "python3 -c \"import sqlite3; c=sqlite3.connect('%s/x.db'); c.execute('create table t(a)'); c.commit()\"", dir);
    assert_int_equal(system(cmd), 0);
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_fails(cfb_store_open(path, CFB_STORE_READ, &s, &test_err), CFB_EDATA, "not a cfbench run store");
}

#define THREADS 16
#define PER_THREAD 50
static cfb_store_t *shared_store;
static int64_t shared_task;

static void *put_many(void *ctx) {
    size_t t = (size_t)(uintptr_t)ctx;
    for (size_t i = 0; i < PER_THREAD; i++) {
        cfb_store_attempt a = reply(shared_task, (int64_t)(t * PER_THREAD + i), i % 10 == 9 ? NULL : "ok");
        cfb_err err = CFB_ERR_INIT;
        if (cfb_store_put_attempt(shared_store, &a, &err) != CFB_OK) return NULL;
    }
    return ctx;
}

static void many_threads_commit_together(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    shared_store = open_store(CFB_STORE_WRITE);
    shared_task = add_task(shared_store, THREADS * PER_THREAD);
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, put_many, (void *)(uintptr_t)(t + 0)), 0);
    for (size_t t = 0; t < THREADS; t++) {
        void *end;
        pthread_join(threads[t], &end);
        assert_ptr_equal(end, (void *)(uintptr_t)t);
    }
    struct collected c = {0};
    assert_ok(cfb_store_each_result(shared_store, shared_task, collect, &c, &test_err));
    assert_int_equal(c.n, THREADS * PER_THREAD);
    assert_int_equal(c.failed, THREADS * PER_THREAD / 10);
    assert_ok(cfb_store_close(shared_store, &test_err));
}

/* What put_attempt returned for is there after kill -9: the child dies right behind its last commit. */
static void a_killed_writer_loses_nothing(void **state) {
    (void)state;
    cfb_store_t *s = open_store(CFB_STORE_WRITE);
    int64_t id = add_task(s, 300);
    assert_ok(cfb_store_close(s, &test_err));
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (cfb_store_open(path, CFB_STORE_WRITE, &s, NULL) != CFB_OK) _exit(1);
        for (int64_t i = 0; i < 300; i++) {
            cfb_store_attempt a = reply(id, i, "ok");
            if (cfb_store_put_attempt(s, &a, NULL) != CFB_OK || write(ends[1], "x", 1) != 1) _exit(1);
        }
        pause();
    }
    char byte;
    for (int i = 0; i < 120; i++) assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(child, 9);
    waitpid(child, NULL, 0);
    close(ends[1]);
    size_t promised = 120;
    while (read(ends[0], &byte, 1) == 1) promised++;
    s = open_store(CFB_STORE_WRITE); /* the dead process's lock is free, its log is played back */
    unsigned char done[300];
    assert_ok(cfb_store_get_done(s, id, done, NULL, 300, &test_err));
    for (size_t i = 0; i < promised; i++) assert_int_equal(done[i], 1);
    assert_ok(cfb_store_close(s, &test_err));
}

static void scores_are_replaced_by_metric(void **state) {
    (void)state;
    cfb_store_t *s = open_store(CFB_STORE_WRITE);
    int64_t id = add_task(s, 2), rows[] = {0, 1};
    double a[] = {0.5, 1}, b[] = {0.25, 0};
    assert_ok(cfb_store_put_scores(s, id, "f1", rows, a, 2, &test_err));
    assert_ok(cfb_store_put_scores(s, id, "f1", rows, b, 2, &test_err));
    assert_ok(cfb_store_put_scores(s, id, "tf", rows, b, 1, &test_err));
    assert_ok(cfb_store_close(s, &test_err));
    char cmd[400];
    snprintf(cmd, sizeof cmd,
             "python3 -c \"import sqlite3; r=sqlite3.connect('%s').execute('select metric,row,value from score order by "
             "metric,row').fetchall();"
             " assert r==[('f1',0,0.25),('f1',1,0.0),('tf',0,0.25)], r\"",
             path);
    assert_int_equal(system(cmd), 0);
}

/* ---- accounting ---- */

struct calls {
    size_t n, replies, second;
    int64_t latency, tokens;
    char fails[64];
};

static cfb_code count_call(void *ctx, const cfb_store_call *c, cfb_err *err) {
    struct calls *k = ctx;
    (void)err;
    k->n++;
    k->latency += c->latency_us;
    assert_int_equal(c->prompt_tokens, -1);
    if (c->state) {
        assert_int_equal(k->n, k->replies + 1); /* replies come first */
        k->replies++;
        k->tokens += c->completion_tokens;
        assert_string_equal(c->fail, "none");
    } else if (strcmp(c->fail, "none") == 0) {
        k->second++;
    } else {
        assert_int_equal(c->completion_tokens, -1);
        snprintf(k->fails + strlen(k->fails), sizeof k->fails - strlen(k->fails), "%s ", c->fail);
    }
    return CFB_OK;
}

static void every_call_is_accounted_for(void **state) {
    (void)state;
    cfb_store_t *s = open_store(CFB_STORE_WRITE);
    int64_t id = add_task(s, 4), n = 0;
    cfb_store_attempt a = reply(id, 2, NULL);
    a.fail = "rate_limit";
    assert_ok(cfb_store_put_attempt(s, &a, &test_err));
    a = reply(id, 1, NULL);
    assert_ok(cfb_store_put_attempt(s, &a, &test_err));
    a = reply(id, 2, "ok");
    a.ttft_us = -1;
    assert_ok(cfb_store_put_attempt(s, &a, &test_err));
    assert_ok(cfb_store_put_attempt(s, &a, &test_err)); /* a second answer */
    struct calls k = {0};
    assert_ok(cfb_store_each_call(s, count_call, &k, &test_err));
    assert_int_equal(k.n, 4);
    assert_int_equal(k.replies, 1);
    assert_int_equal(k.second, 1);
    assert_int_equal(k.latency, 20);
    assert_int_equal(k.tokens, 3);
    assert_string_equal(k.fails, "rate_limit server ");
    assert_ok(cfb_store_count_rows(s, id, &n, &test_err));
    assert_int_equal(n, 4);
    assert_ok(cfb_store_count_rows(s, id + 1, &n, &test_err));
    assert_int_equal(n, 0);
    assert_ok(cfb_store_close(s, &test_err));
}

static cfb_code list_setting(void *ctx, const char *name, const char *value, cfb_err *err) {
    char *out = ctx;
    (void)err;
    snprintf(out + strlen(out), 100 - strlen(out), "%s=%s ", name, value);
    return CFB_OK;
}

static void notes_are_no_settings(void **state) {
    (void)state;
    const cfb_store_setting settings[] = {{"model", "m"}, {"base-url", "u"}}, others[] = {{"model", "n"}, {"base-url", "u"}};
    char list[100] = "";
    cfb_store_t *s = open_store(CFB_STORE_WRITE);
    assert_ok(cfb_store_bind(s, settings, 2, &test_err));
    assert_null(cfb_store_note_get(s, "version"));
    assert_ok(cfb_store_note_put(s, "version", "1", &test_err));
    assert_ok(cfb_store_note_put(s, "version", "2", &test_err));
    assert_string_equal(cfb_store_note_get(s, "version"), "2");
    assert_ok(cfb_store_note_put(s, "gone", "x", &test_err));
    assert_ok(cfb_store_note_put(s, "gone", NULL, &test_err));
    assert_null(cfb_store_note_get(s, "gone"));
    assert_non_null(cfb_store_note_get(s, "created_at"));
    assert_null(cfb_store_setting_get(s, "version"));
    assert_ok(cfb_store_each_setting(s, list_setting, list, &test_err));
    assert_string_equal(list, "base-url=u model=m ");
    assert_ok(cfb_store_bind(s, others, 2, &test_err)); /* no reply yet: it starts again, and so do the notes */
    assert_null(cfb_store_note_get(s, "version"));
    assert_non_null(cfb_store_note_get(s, "created_at"));
    assert_ok(cfb_store_close(s, &test_err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(replies_survive_a_reopening, new_path),
        cmocka_unit_test_setup(another_configuration_is_refused_by_name, new_path),
        cmocka_unit_test_setup(a_second_writer_is_refused, new_path),
        cmocka_unit_test_setup(other_files_are_not_taken_for_stores, new_path),
        cmocka_unit_test_setup(many_threads_commit_together, new_path),
        cmocka_unit_test_setup(a_killed_writer_loses_nothing, new_path),
        cmocka_unit_test_setup(scores_are_replaced_by_metric, new_path),
        cmocka_unit_test_setup(every_call_is_accounted_for, new_path),
        cmocka_unit_test_setup(notes_are_no_settings, new_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
