#include "test.h"

#include "cfbench/ledger.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char dir[64], path[128];

static int new_path(void **state) {
    (void)state;
    if (test_folder(dir) == NULL) return 1;
    snprintf(path, sizeof path, "%s/state/cfbench/usage.db", dir);
    return 0;
}

static cfb_ledger_t *open_ledger(void) {
    cfb_ledger_t *l;
    assert_ok(cfb_ledger_open(path, &l, &test_err));
    return l;
}

static void assert_usage(cfb_ledger_t *l, const char *day, const char *key, const char *currency, int64_t requests,
                         int64_t prompt, int64_t completion, int64_t cost) {
    cfb_usage u;
    assert_ok(cfb_ledger_get(l, day, key, currency, &u, &test_err));
    assert_int_equal(u.requests, requests);
    assert_int_equal(u.prompt_tokens, prompt);
    assert_int_equal(u.completion_tokens, completion);
    assert_int_equal(u.cost_micros, cost);
}

static void use_adds_up_by_day_key_and_currency(void **state) {
    (void)state;
    cfb_ledger_t *l = open_ledger();
    const cfb_usage one = {1, 10, 5, 7}, huge = {INT64_MAX, INT64_MAX - 3, 0, 0};
    assert_usage(l, "2026-01-31", "aa", "USD", 0, 0, 0, 0);
    assert_ok(cfb_ledger_add(l, "2026-01-31", "aa", "m1", "USD", &one, &test_err));
    assert_ok(cfb_ledger_add(l, "2026-01-31", "aa", "m1", "USD", &one, &test_err));
    assert_ok(cfb_ledger_add(l, "2026-01-31", "aa", "m2", "CNY", &one, &test_err));
    assert_ok(cfb_ledger_add(l, "2026-01-31", "bb", "m1", "USD", &one, &test_err));
    assert_ok(cfb_ledger_add(l, "2026-02-01", "aa", "m1", NULL, &one, &test_err));
    assert_usage(l, "2026-01-31", "aa", "USD", 3, 30, 15, 14);
    assert_usage(l, "2026-01-31", "aa", "CNY", 3, 30, 15, 7);
    assert_usage(l, "2026-01-31", "aa", NULL, 3, 30, 15, 0);
    assert_usage(l, "2026-01-31", "bb", "USD", 1, 10, 5, 7);
    assert_usage(l, "2026-02-01", "aa", NULL, 1, 10, 5, 0);
    assert_ok(cfb_ledger_add(l, "2026-01-31", "bb", "m1", "USD", &huge, &test_err)); /* stays at the top */
    assert_ok(cfb_ledger_add(l, "2026-01-31", "bb", "m2", "USD", &huge, &test_err));
    cfb_usage u;
    assert_ok(cfb_ledger_get(l, "2026-01-31", "bb", "USD", &u, &test_err));
    assert_int_equal(u.requests, INT64_MAX);
    assert_int_equal(u.prompt_tokens, INT64_MAX);
    cfb_ledger_close(l);
    l = open_ledger();
    assert_usage(l, "2026-01-31", "aa", "USD", 3, 30, 15, 14);
    cfb_ledger_close(l);
}

static void a_key_leaves_only_a_hash(void **state) {
    (void)state;
    char a[CFB_KEY_HASH_SIZE], b[CFB_KEY_HASH_SIZE], none[CFB_KEY_HASH_SIZE], plain[65];
    cfb_ledger_key_hash("a-made-up-key", a);
    cfb_ledger_key_hash("a-made-up-kez", b);
    cfb_ledger_key_hash(NULL, none);
    cfb_sha256_hex("a-made-up-key", 13, plain);
    assert_int_equal(strlen(a), 16);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, none);
    assert_memory_not_equal(a, plain, 16);
    cfb_ledger_t *l = open_ledger();
    const cfb_usage one = {1, 1, 1, 1};
    assert_ok(cfb_ledger_add(l, "2026-01-31", a, "m", "USD", &one, &test_err));
    cfb_ledger_close(l);
    char cmd[300];
    snprintf(cmd, sizeof cmd, "grep -rq %s %s && ! grep -rq a-made-up-key %s", a, dir, dir);
    assert_int_equal(system(cmd), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0); /* nobody else's business */
}

static void days_are_utc_and_the_place_is_the_users(void **state) {
    (void)state;
    char day[11], place[256], small[8];
    cfb_ledger_day(INT64_C(1769903999999), day);
    assert_string_equal(day, "2026-01-31");
    cfb_ledger_day(INT64_C(1769904000000), day);
    assert_string_equal(day, "2026-02-01");
    setenv("HOME", "/home/x", 1);
    unsetenv("XDG_STATE_HOME");
    assert_ok(cfb_ledger_default_path(place, sizeof place, &test_err));
    assert_string_equal(place, "/home/x/.local/state/cfbench/usage.db");
    setenv("XDG_STATE_HOME", "/s", 1);
    assert_ok(cfb_ledger_default_path(place, sizeof place, &test_err));
    assert_string_equal(place, "/s/cfbench/usage.db");
    assert_fails(cfb_ledger_default_path(small, sizeof small, &test_err), CFB_ELIMIT, "too long");
    setenv("XDG_STATE_HOME", "relative", 1); /* the specification: to be ignored */
    unsetenv("HOME");
    assert_fails(cfb_ledger_default_path(place, sizeof place, &test_err), CFB_ECONFIG, "--usage-file");
}

static void other_files_are_refused(void **state) {
    (void)state;
    cfb_ledger_t *l;
    snprintf(path, sizeof path, "%s/text", dir);
    assert_ok(cfb_file_write(path, CFB_STR_LIT("neither empty nor a database, as anyone can see at once"), &test_err));
    assert_fails(cfb_ledger_open(path, &l, &test_err), CFB_EDATA, "name another --usage-file");
    assert_fails(cfb_ledger_open(dir, &l, &test_err), CFB_EACCESS, "is a folder");
}

#define THREADS 8
#define EACH 50
static cfb_ledger_t *shared;

static void *add_some(void *ctx) {
    const cfb_usage one = {1, 2, 3, 4};
    for (int i = 0; i < EACH; i++)
        if (cfb_ledger_add(shared, "2026-01-31", "aa", i % 2 ? "m1" : "m2", "USD", &one, NULL) != CFB_OK) return ctx;
    return NULL;
}

static void threads_and_processes_lose_no_count(void **state) {
    (void)state;
    pid_t child[4];
    pthread_t threads[THREADS];
    for (int p = 0; p < 4; p++) {
        child[p] = fork();
        assert_true(child[p] >= 0);
        if (child[p] == 0) { /* they also make the file together */
            if (cfb_ledger_open(path, &shared, NULL) != CFB_OK) _exit(1);
            _exit(add_some(&shared) != NULL);
        }
    }
    shared = open_ledger();
    for (int t = 0; t < THREADS; t++) assert_int_equal(pthread_create(&threads[t], NULL, add_some, &shared), 0);
    for (int t = 0; t < THREADS; t++) {
        void *failed;
        pthread_join(threads[t], &failed);
        assert_null(failed);
    }
    for (int p = 0; p < 4; p++) {
        int status;
        waitpid(child[p], &status, 0);
        assert_int_equal(status, 0);
    }
    int64_t n = (THREADS + 4) * EACH;
    assert_usage(shared, "2026-01-31", "aa", "USD", n, 2 * n, 3 * n, 4 * n);
    cfb_ledger_close(shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(use_adds_up_by_day_key_and_currency, new_path),
        cmocka_unit_test_setup(a_key_leaves_only_a_hash, new_path),
        cmocka_unit_test_setup(days_are_utc_and_the_place_is_the_users, new_path),
        cmocka_unit_test_setup(other_files_are_refused, new_path),
        cmocka_unit_test_setup(threads_and_processes_lose_no_count, new_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
