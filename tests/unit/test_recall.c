#include "test.h"

#include "generate/recall.h"

#include <pthread.h>

static char dir[64], path[128];

static int new_path(void **state) {
    (void)state;
    if (test_folder(dir) == NULL) return 1;
    snprintf(path, sizeof path, "%s/cache.db", dir);
    return 0;
}

static cfb_cache_t *open_cache(void) {
    cfb_cache_t *c;
    assert_ok(cfb_cache_open(path, true, &c, &test_err));
    return c;
}

static cfb_recall_t *new_recall(cfb_cache_t *c, const cfb_request *q, const char *endpoint) {
    cfb_recall_t *r;
    assert_ok(cfb_recall_new(c, q, endpoint, &r, &test_err));
    return r;
}

static bool look_up(cfb_recall_t *r, cfb_recall_desk *d, const char *prompt, cfb_chat_reply *out) {
    bool hit;
    assert_ok(cfb_recall_get(r, d, cfb_str_from(prompt), 64, out, &hit, &test_err));
    return hit;
}

static cfb_chat_reply answer(const char *text) {
    cfb_chat_reply a;
    cfb_chat_reply_init(&a);
    a.fail = CFB_FAIL_NONE;
    a.content = cfb_str_from(text);
    a.finish = CFB_FINISH_STOP;
    a.prompt_tokens = 7;
    a.completion_tokens = 3;
    a.latency_us = 99;
    return a;
}

static void a_reply_is_found_by_what_was_asked(void **state) {
    (void)state;
    cfb_recall_desk d = CFB_RECALL_DESK_INIT;
    cfb_chat_reply out, a = answer("yes");
    cfb_request q = CFB_REQUEST_INIT;
    q.model = "m";
    cfb_cache_t *c = open_cache();
    cfb_recall_t *r = new_recall(c, &q, "http://x/v1");
    assert_false(look_up(r, &d, "why?", &out));
    a.reasoning = CFB_STR_LIT("because");
    cfb_recall_put(r, d.key, &a);
    cfb_recall_free(r); /* writes it */
    q.stream = true;    /* how it travels does not matter */
    r = new_recall(c, &q, "http://x/v1");
    assert_true(look_up(r, &d, "why?", &out));
    assert_int_equal(out.fail, CFB_FAIL_NONE);
    assert_str(out.content, "yes");
    assert_str(out.reasoning, "because");
    assert_int_equal(out.finish, CFB_FINISH_STOP);
    assert_int_equal(out.prompt_tokens, 7);
    assert_int_equal(out.reasoning_tokens, -1);
    assert_int_equal(out.latency_us, 0); /* nobody waited */
    assert_false(look_up(r, &d, "why not?", &out));
    cfb_recall_free(r);
    r = new_recall(c, &q, "http://y/v1");
    assert_false(look_up(r, &d, "why?", &out));
    cfb_recall_free(r);
    q.temperature = 0.5;
    r = new_recall(c, &q, "http://x/v1");
    assert_false(look_up(r, &d, "why?", &out));
    cfb_recall_free(r);
    cfb_recall_free(NULL);
    cfb_recall_desk_free(&d);
    assert_ok(cfb_cache_close(c, &test_err));
}

#define THREADS 8
#define EACH 300
static cfb_recall_t *shared;

static void *put_some(void *ctx) {
    cfb_recall_desk d = CFB_RECALL_DESK_INIT;
    void *failed = NULL;
    for (int i = 0; i < EACH; i++) {
        char prompt[32], text[64];
        cfb_chat_reply out;
        bool hit;
        snprintf(prompt, sizeof prompt, "%d.%d", (int)(intptr_t)ctx, i);
        snprintf(text, sizeof text, "answer to %s", prompt);
        cfb_chat_reply a = answer(text);
        if (cfb_recall_get(shared, &d, cfb_str_from(prompt), 64, &out, &hit, NULL) != CFB_OK || hit) failed = &shared;
        cfb_recall_put(shared, d.key, &a);
    }
    cfb_recall_desk_free(&d);
    return failed;
}

static void many_threads_keep_all(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    cfb_recall_desk d = CFB_RECALL_DESK_INIT;
    cfb_request q = CFB_REQUEST_INIT;
    q.model = "m";
    cfb_cache_t *c = open_cache();
    shared = new_recall(c, &q, "http://x/v1");
    for (intptr_t t = 0; t < THREADS; t++) assert_int_equal(pthread_create(&threads[t], NULL, put_some, (void *)t), 0);
    for (int t = 0; t < THREADS; t++) {
        void *failed;
        pthread_join(threads[t], &failed);
        assert_null(failed);
    }
    cfb_recall_free(shared);
    shared = new_recall(c, &q, "http://x/v1");
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < EACH; i++) {
            char prompt[32], text[64];
            cfb_chat_reply out;
            snprintf(prompt, sizeof prompt, "%d.%d", t, i);
            snprintf(text, sizeof text, "answer to %s", prompt);
            assert_true(look_up(shared, &d, prompt, &out));
            assert_str(out.content, text);
        }
    cfb_recall_free(shared);
    cfb_recall_desk_free(&d);
    assert_ok(cfb_cache_close(c, &test_err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_reply_is_found_by_what_was_asked, new_path),
        cmocka_unit_test_setup(many_threads_keep_all, new_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
