#include "test.h"

#include "cfbench/cache.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char dir[64], path[128];

static int new_path(void **state) {
    (void)state;
    if (test_folder(dir) == NULL) return 1;
    snprintf(path, sizeof path, "%s/deep/er/cache.db", dir); /* the folder is made */
    return 0;
}

static cfb_cache_t *open_cache(void) {
    cfb_cache_t *c;
    assert_ok(cfb_cache_open(path, true, &c, &test_err));
    return c;
}

struct made {
    char key[65], text[512];
    cfb_cache_entry e;
};

static cfb_cache_entry *make(struct made *m, const char *model, int i) {
    snprintf(m->text, sizeof m->text, "answer %d: 中文", i);
    cfb_cache_key(CFB_STR_LIT("http://x/v1"), (cfb_str){(const char *)&i, sizeof i}, m->key);
    m->e = (cfb_cache_entry){.key = m->key,
                             .model = cfb_str_from(model),
                             .endpoint = CFB_STR_LIT("http://x/v1"),
                             .content = cfb_str_from(m->text),
                             .reasoning = i % 2 ? CFB_STR_LIT("") : CFB_STR_NULL,
                             .finish = CFB_STR_LIT("stop"),
                             .prompt_tokens = 10,
                             .completion_tokens = i % 3 ? 5 : -1,
                             .reasoning_tokens = -1,
                             .cached_tokens = 3,
                             .latency_us = 1234,
                             .created_ms = 1000000 + i};
    return &m->e;
}

/* Adds answers first..last in one transaction. */
static void put(cfb_cache_t *c, const char *model, int first, int last) {
    size_t n = (size_t)(last - first + 1);
    struct made *m = calloc(n, sizeof *m);
    cfb_cache_entry *e = calloc(n, sizeof *e);
    for (size_t i = 0; i < n; i++) e[i] = *make(&m[i], model, first + (int)i);
    assert_ok(cfb_cache_put_many(c, e, n, &test_err));
    free(m);
    free(e);
}

static bool has(cfb_cache_t *c, int i) {
    struct made m;
    cfb_buf scratch = CFB_BUF_INIT((size_t)1 << 20);
    cfb_cache_entry out;
    bool hit;
    make(&m, "m", i);
    assert_ok(cfb_cache_get(c, m.key, &scratch, &out, &hit, &test_err));
    if (hit) assert_str(out.content, m.text);
    cfb_buf_free(&scratch);
    return hit;
}

static int sql(const char *statement) {
    char cmd[800];
    snprintf(cmd, sizeof cmd, "python3 -c \"import sqlite3; c=sqlite3.connect('%s'); c.execute('''%s'''); c.commit()\"", path,
             statement);
    return system(cmd);
}

static void what_was_put_comes_back(void **state) {
    (void)state;
    cfb_cache_t *c = open_cache();
    struct made m;
    cfb_buf scratch = CFB_BUF_INIT((size_t)1 << 20);
    cfb_cache_entry out;
    bool hit = true;
    cfb_cache_entry *e = make(&m, "org/model", 2);
    e->reasoning = (cfb_str){"why\0so", 6};
    assert_ok(cfb_cache_get(c, m.key, &scratch, &out, &hit, &test_err));
    assert_false(hit);
    assert_ok(cfb_cache_put_many(c, e, 1, &test_err));
    assert_ok(cfb_cache_close(c, &test_err));
    c = open_cache();
    assert_ok(cfb_cache_get(c, m.key, &scratch, &out, &hit, &test_err));
    assert_true(hit);
    assert_str(out.content, m.text);
    assert_str(out.model, "org/model");
    assert_str(out.endpoint, "http://x/v1");
    assert_str(out.finish, "stop");
    assert_int_equal(out.reasoning.len, 6);
    assert_memory_equal(out.reasoning.ptr, "why\0so", 6);
    assert_int_equal(out.prompt_tokens, 10);
    assert_int_equal(out.completion_tokens, 5);
    assert_int_equal(out.reasoning_tokens, -1);
    assert_int_equal(out.cached_tokens, 3);
    assert_int_equal(out.latency_us, 1234);
    assert_int_equal(out.created_ms, 1000002);
    e->content = CFB_STR_LIT("another answer"); /* the first one stays: equal runs give equal bytes */
    assert_ok(cfb_cache_put_many(c, e, 1, &test_err));
    assert_true(has(c, 2));
    e->key = "no key";
    assert_fails(cfb_cache_put_many(c, e, 1, &test_err), CFB_EDOMAIN, "64 hex digits");
    cfb_buf small = CFB_BUF_INIT(8);
    assert_int_equal(cfb_cache_get(c, m.key, &small, &out, &hit, &test_err), CFB_ELIMIT);
    assert_false(hit);
    cfb_buf_free(&small);
    put(c, "m", 3, 3); /* an empty reasoning is not none */
    make(&m, "m", 3);
    assert_ok(cfb_cache_get(c, m.key, &scratch, &out, &hit, &test_err));
    assert_true(hit && out.reasoning.ptr != NULL && out.reasoning.len == 0);
    assert_ok(cfb_cache_close(c, &test_err));
    cfb_buf_free(&scratch);
}

static void keys_differ_by_address_and_body(void **state) {
    (void)state;
    char a[65], b[65];
    cfb_cache_key(CFB_STR_LIT("http://a"), CFB_STR_LIT("b"), a);
    cfb_cache_key(CFB_STR_LIT("http://ab"), CFB_STR_LIT(""), b);
    assert_string_not_equal(a, b);
}

static void a_damaged_entry_is_a_miss_and_can_be_replaced(void **state) {
    (void)state;
    static const char *const damages[] = {"update entry set content=substr(content,1,3)",
                                          "update entry set finish=\\'length\\'",
                                          "update entry set prompt_tokens=1",
                                          "update entry set reasoning=\\'\\'",
                                          "update entry set content=cast(x\\'ff00\\' as text)",
                                          "update entry set check_sum=0",
                                          "update entry set model=7"};
    cfb_cache_t *c = open_cache();
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        put(c, "m", 4, 4);
        assert_true(has(c, 4));
        assert_int_equal(sql(damages[i]), 0);
        assert_false(has(c, 4));
        put(c, "m", 4, 4); /* takes the place of the damaged one */
        assert_true(has(c, 4));
    }
    assert_ok(cfb_cache_close(c, &test_err));
}

static void other_and_broken_files_are_refused_in_words(void **state) {
    (void)state;
    cfb_cache_t *c;
    assert_fails(cfb_cache_open(path, false, &c, &test_err), CFB_ENOTFOUND, "there is no response cache");
    assert_fails(cfb_cache_open(dir, true, &c, &test_err), CFB_EACCESS, "is a folder");
    snprintf(path, sizeof path, "%s/x.db", dir);
    assert_ok(cfb_file_write(path, CFB_STR_LIT("this is no database at all, but long enough to be looked at as one"), &test_err));
    assert_fails(cfb_cache_open(path, true, &c, &test_err), CFB_EDATA, "delete it with its -wal and -shm");
    snprintf(path, sizeof path, "%s/y.db", dir);
    assert_int_equal(sql("create table t(a)"), 0);
    assert_fails(cfb_cache_open(path, true, &c, &test_err), CFB_EDATA, "a database, but not a response cache");
    snprintf(path, sizeof path, "%s/z.db", dir);
    assert_ok(cfb_cache_close(open_cache(), &test_err));
    assert_int_equal(sql("pragma user_version=9"), 0);
    assert_fails(cfb_cache_open(path, true, &c, &test_err), CFB_EDATA, "newer cfbench");
}

/* Every place of the file overwritten, one block at a time: never a wrong answer, never a crash. */
static void a_file_damaged_anywhere_never_gives_a_wrong_answer(void **state) {
    (void)state;
    char copy[160];
    cfb_cache_t *c = open_cache();
    put(c, "m", 0, 99);
    assert_ok(cfb_cache_close(c, &test_err));
    cfb_buf file = CFB_BUF_INIT((size_t)1 << 24);
    assert_ok(cfb_file_read(path, (size_t)1 << 24, &file, &test_err));
    memcpy(copy, path, sizeof path);
    size_t refused = 0, opened = 0, hits = 0;
    for (size_t at = 0; at < file.len; at += 509) {
        size_t n = file.len - at < 64 ? file.len - at : 64;
        char old[64];
        memcpy(old, file.ptr + at, n);
        for (size_t i = 0; i < n; i++) file.ptr[at + i] = (char)cfb_rand_u64(1, at, i);
        snprintf(path, sizeof path, "%s/damaged.db", dir);
        assert_ok(cfb_file_write(path, cfb_buf_str(&file), &test_err));
        memcpy(file.ptr + at, old, n);
        cfb_err err = CFB_ERR_INIT;
        cfb_code rc = cfb_cache_open(path, true, &c, &err);
        if (rc != CFB_OK) {
            assert_true(rc == CFB_EDATA || rc == CFB_EIO || rc == CFB_EACCESS);
            assert_non_null(strstr(err.msg, path));
            refused++;
            continue;
        }
        opened++;
        for (int i = 0; i < 100; i += 7) hits += has(c, i); /* has() compares the text */
        struct made m;
        cfb_cache_info all;
        rc = cfb_cache_put_many(c, make(&m, "m", 1000), 1, &err);
        assert_true(rc == CFB_OK || err.msg[0]);
        rc = cfb_cache_stats(c, &all, NULL, NULL, &err);
        assert_true(rc == CFB_OK || err.msg[0]);
        cfb_cache_close(c, NULL);
    }
    assert_true(refused > 0 && opened > 10 && hits > 100);
    cfb_buf_free(&file);
}

struct models {
    int n;
    int64_t entries;
    char last[16];
};

static cfb_code count_model(void *ctx, const cfb_cache_info *i, cfb_err *err) {
    struct models *m = ctx;
    (void)err;
    assert_true(strcmp(m->last, i->model) < 0);
    snprintf(m->last, sizeof m->last, "%s", i->model);
    m->n++;
    m->entries += i->entries;
    return CFB_OK;
}

static void stats_and_pruning(void **state) {
    (void)state;
    cfb_cache_t *c = open_cache();
    cfb_cache_info all;
    struct models models = {0};
    int64_t n;
    assert_ok(cfb_cache_stats(c, &all, count_model, &models, &test_err));
    assert_int_equal(all.entries, 0);
    assert_int_equal(all.oldest_ms, 0);
    put(c, "one", 0, 9);
    put(c, "two", 10, 29);
    assert_ok(cfb_cache_stats(c, &all, count_model, &models, &test_err));
    assert_int_equal(all.entries, 30);
    assert_int_equal(models.n, 2);
    assert_int_equal(models.entries, 30);
    assert_int_equal(all.oldest_ms, 1000000);
    assert_int_equal(all.newest_ms, 1000029);
    assert_int_equal(all.prompt_tokens, 300);
    assert_int_equal(all.completion_tokens, 5 * 20);
    assert_true(all.text_bytes > 30 * 10 && all.file_bytes >= 8192);

    cfb_cache_prune_opts o = CFB_CACHE_PRUNE_INIT;
    assert_fails(cfb_cache_prune(c, &o, &n, &test_err), CFB_EUSAGE, "give an age, a size or a model");
    o.before_ms = 1000005;
    assert_ok(cfb_cache_prune(c, &o, &n, &test_err));
    assert_int_equal(n, 5);
    assert_false(has(c, 4));
    assert_true(has(c, 5));
    o.before_ms = 1000015;
    o.model = "one";
    assert_ok(cfb_cache_prune(c, &o, &n, &test_err));
    assert_int_equal(n, 5);
    assert_true(has(c, 10));
    o.before_ms = 0;
    o.model = "two";
    assert_ok(cfb_cache_prune(c, &o, &n, &test_err));
    assert_int_equal(n, 20);
    assert_ok(cfb_cache_close(c, &test_err));
}

static void the_least_recently_used_go_first_and_the_file_shrinks(void **state) {
    (void)state;
    cfb_cache_t *c = open_cache();
    put(c, "m", 0, 1999);
    for (int i = 0; i < 100; i++) assert_true(has(c, i)); /* used now, while all others were used in 1970 */
    assert_ok(cfb_cache_close(c, &test_err));             /* writes the times of use */
    c = open_cache();
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    cfb_cache_prune_opts o = CFB_CACHE_PRUNE_INIT;
    o.max_bytes = before.st_size / 4;
    int64_t n;
    assert_ok(cfb_cache_prune(c, &o, &n, &test_err));
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size <= o.max_bytes && after.st_size > o.max_bytes / 2);
    for (int i = 0; i < 100; i++) assert_true(has(c, i));
    assert_false(has(c, 100));
    assert_true(has(c, 1999));
    o.max_bytes = 0;
    assert_ok(cfb_cache_prune(c, &o, &n, &test_err));
    assert_false(has(c, 5));
    assert_ok(cfb_cache_prune(c, &o, &n, &test_err));
    assert_int_equal(n, 0);
    assert_ok(cfb_cache_close(c, &test_err));
}

#define THREADS 16
static cfb_cache_t *shared;
static atomic_int wrong, hits;

static void *use(void *ctx) {
    int t = (int)(intptr_t)ctx;
    cfb_buf scratch = CFB_BUF_INIT((size_t)1 << 16);
    for (int i = 0; i < 400; i++) {
        struct made m;
        cfb_cache_entry out, *e = make(&m, "m", (i * 7 + t) % 300);
        bool hit;
        cfb_err err = CFB_ERR_INIT;
        if (cfb_cache_get(shared, m.key, &scratch, &out, &hit, &err) != CFB_OK) atomic_fetch_add(&wrong, 1);
        if (hit) atomic_fetch_add(&hits, 1);
        if (hit && !cfb_str_eqz(out.content, m.text)) atomic_fetch_add(&wrong, 1);
        if (!hit && i % 8 == 0 && cfb_cache_put_many(shared, e, 1, &err) != CFB_OK) atomic_fetch_add(&wrong, 1);
    }
    cfb_buf_free(&scratch);
    return NULL;
}

static void many_threads_share_it(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    shared = open_cache();
    for (intptr_t t = 0; t < THREADS; t++) assert_int_equal(pthread_create(&threads[t], NULL, use, (void *)t), 0);
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(atomic_load(&hits) > 0);
    assert_ok(cfb_cache_close(shared, &test_err));
}

/* Two processes make the file together; one is killed while it writes; what was committed stays. */
static void processes_share_it_and_a_kill_loses_nothing(void **state) {
    (void)state;
    int ends[2];
    pid_t child[4];
    assert_int_equal(pipe(ends), 0);
    for (int p = 0; p < 4; p++) {
        child[p] = fork();
        assert_true(child[p] >= 0);
        if (child[p] == 0) {
            cfb_cache_t *c;
            struct made m;
            if (cfb_cache_open(path, true, &c, NULL) != CFB_OK) _exit(1);
            for (int i = 0;; i++) {
                int number = p * 100000 + i;
                if (cfb_cache_put_many(c, make(&m, "m", number), 1, NULL) != CFB_OK) _exit(2);
                if (write(ends[1], &number, sizeof number) != sizeof number) _exit(3);
            }
        }
    }
    close(ends[1]);
    int promised[4][2000], n[4] = {0}, number;
    for (int total = 0; total < 400; total++) {
        assert_int_equal(read(ends[0], &number, sizeof number), sizeof number);
        promised[number / 100000][n[number / 100000]++] = number;
    }
    for (int p = 0; p < 4; p++) kill(child[p], SIGKILL);
    for (int p = 0; p < 4; p++) {
        int status;
        waitpid(child[p], &status, 0);
        assert_true(WIFSIGNALED(status));
    }
    close(ends[0]);
    cfb_cache_t *c = open_cache();
    for (int p = 0; p < 4; p++)
        for (int i = 0; i < n[p]; i++) assert_true(has(c, promised[p][i]));
    assert_ok(cfb_cache_close(c, &test_err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_put_comes_back, new_path),
        cmocka_unit_test_setup(keys_differ_by_address_and_body, new_path),
        cmocka_unit_test_setup(a_damaged_entry_is_a_miss_and_can_be_replaced, new_path),
        cmocka_unit_test_setup(other_and_broken_files_are_refused_in_words, new_path),
        cmocka_unit_test_setup(a_file_damaged_anywhere_never_gives_a_wrong_answer, new_path),
        cmocka_unit_test_setup(stats_and_pruning, new_path),
        cmocka_unit_test_setup(the_least_recently_used_go_first_and_the_file_shrinks, new_path),
        cmocka_unit_test_setup(many_threads_share_it, new_path),
        cmocka_unit_test_setup(processes_share_it_and_a_kill_loses_nothing, new_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
