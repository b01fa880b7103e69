/* Shards of scores: what was written is found again, sums and labels are those of one scorer, and what is damaged is refused. */
#include "cfbench/base.h"
#include "cfbench/score_shard.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS 3000
#define N 4

static char folder[] = "/tmp/cfbench-shard-XXXXXX";
static cfb_str reference[ROWS], output[ROWS];

static cfb_scorer_t *new_scorer(const cfb_task *task, int n_threads) {
    cfb_scorer_t *s = NULL;
    cfb_err err = CFB_ERR_INIT;
    cfb_score_opts o = CFB_SCORE_OPTS_INIT;
    o.n_threads = n_threads;
    o.label_set = CFB_LABELS_OBSERVED;
    assert_int_equal(cfb_scorer_new(task, &o, &s, &err), CFB_OK);
    return s;
}

static void path_of(size_t shard, char path[200]) { snprintf(path, 200, "%s/%zu", folder, shard); }

static uint64_t texts_of(size_t i) { return cfb_hash64(&i, sizeof i, 9); }

/* Rows i with i % N == shard. */
static void write_shard(const cfb_task *task, size_t shard) {
    static const char *const words[] = {"score", "a b"};
    static const cfb_score_shard_source sources[] = {{"x.csv", 100}, {"run.db", 0}};
    const cfb_score_shard_head head = {shard, N, "cfbench score", words, 2, sources, 2};
    const cfb_score_shard_key key = {0, CFB_STR_LIT("m"), CFB_STR_NULL, CFB_STR_LIT("t")};
    char path[200];
    cfb_err err = CFB_ERR_INIT;
    cfb_score_shard_writer_t *w = NULL;
    cfb_scorer_t *s = new_scorer(task, 2);
    path_of(shard, path);
    assert_int_equal(cfb_score_shard_create(path, &head, &w, &err), CFB_OK);
    for (size_t i = shard; i < ROWS; i += N) {
        const cfb_score_row_in in = {reference[i], output[i], CFB_ROW_OK};
        cfb_score_row row;
        assert_int_equal(cfb_scorer_score_part(s, 0, &in, 1, &row, &err), CFB_OK);
        assert_int_equal(cfb_score_shard_put(w, 0, CFB_STR_LIT(""), i, &row, texts_of(i), &err), CFB_OK);
    }
    assert_int_equal(cfb_score_shard_put_counts(w, &key, s, &err), CFB_OK);
    assert_int_equal(cfb_score_shard_commit(w, &err), CFB_OK);
    cfb_scorer_free(s);
}

static void same_summary(cfb_scorer_t *a, cfb_scorer_t *b) {
    cfb_score_summary x, y;
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_scorer_summary(a, &x, &err), CFB_OK);
    assert_int_equal(cfb_scorer_summary(b, &y, &err), CFB_OK);
    assert_memory_equal(&x.mean_all, &y.mean_all, sizeof x.mean_all);
    assert_memory_equal(&x.mean_f1, &y.mean_f1, sizeof x.mean_f1);
    assert_memory_equal(&x.mean_precision, &y.mean_precision, sizeof x.mean_precision);
    assert_int_equal(x.n_rows, y.n_rows);
    assert_int_equal(x.n_labels, y.n_labels);
    for (size_t i = 0; i < x.n_labels; i++) {
        assert_true(cfb_str_eq(x.labels[i].label, y.labels[i].label));
        assert_int_equal(x.labels[i].actual, y.labels[i].actual);
        assert_int_equal(x.labels[i].predicted, y.labels[i].predicted);
        assert_int_equal(x.labels[i].correct, y.labels[i].correct);
    }
}

static void join(const cfb_task *task) {
    char paths[N][200];
    const char *list[N];
    const cfb_score_shard_key key = {0, CFB_STR_LIT("m"), CFB_STR_NULL, CFB_STR_LIT("t")};
    cfb_err err = CFB_ERR_INIT;
    cfb_score_shards_t *s = NULL;
    cfb_scorer_t *one = new_scorer(task, 1), *joined = new_scorer(task, 3);
    cfb_score_row row;
    for (size_t i = 0; i < N; i++) {
        path_of(N - 1 - i, paths[i]); /* in any order */
        list[i] = paths[i];
    }
    assert_int_equal(cfb_score_shards_open(list, N, &s, &err), CFB_OK);
    assert_int_equal(cfb_score_shards_n_rows(s), ROWS);
    assert_string_equal(cfb_score_shards_head(s)->words[1], "a b");
    cfb_score_shards_select(s, 0, CFB_STR_LIT(""));
    for (size_t i = 0; i < ROWS; i++) {
        const cfb_score_row_in in = {reference[i], output[i], CFB_ROW_OK};
        assert_int_equal(cfb_scorer_add(one, &in, 1, NULL, &err), CFB_OK);
        assert_int_equal(cfb_score_shards_find(s, i % N, i, texts_of(i), &row, &err), CFB_OK);
        cfb_scorer_add_part(joined, &row, 1);
        assert_int_equal(cfb_score_shards_find(s, (i + 1) % N, i, texts_of(i), &row, &err), CFB_ENOTFOUND);
    }
    assert_int_equal(cfb_score_shards_find(s, 0, 0, texts_of(1), &row, &err), CFB_EDATA);
    assert_int_equal(cfb_score_shards_find(s, 0, UINT64_MAX, 0, &row, &err), CFB_ENOTFOUND);
    assert_int_equal(cfb_score_shards_find(s, N, 0, 0, &row, &err), CFB_ENOTFOUND);
    assert_int_equal(cfb_score_shards_add_counts(s, &key, joined, &err), CFB_OK);
    same_summary(one, joined);
    cfb_score_shards_select(s, 1, CFB_STR_LIT(""));
    assert_int_equal(cfb_score_shards_find(s, 0, 0, texts_of(0), &row, &err), CFB_ENOTFOUND);
    cfb_score_shards_close(s);
    assert_int_equal(cfb_score_shards_open(list, N - 1, &s, &err), CFB_EUSAGE);
    list[0] = list[1];
    assert_int_equal(cfb_score_shards_open(list, N, &s, &err), CFB_EUSAGE);
    cfb_scorer_free(one);
    cfb_scorer_free(joined);
}

static void test_joined_is_one(void **state) {
    (void)state;
    static const cfb_metric metrics[] = {CFB_METRIC_F1, CFB_METRIC_F1_MACRO, CFB_METRIC_BLEU, CFB_METRIC_TF};
    for (size_t k = 0; k < sizeof metrics / sizeof *metrics; k++) {
        const cfb_task task = {.name = "t", .metric = metrics[k], .label_set = CFB_LABELS_OBSERVED};
        for (size_t i = 0; i < N; i++) write_shard(&task, i);
        join(&task);
    }
}

static cfb_code open_bytes(const cfb_buf *b, size_t len) {
    cfb_score_shards_t *s = NULL;
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_score_shards_open_memory("x", b->ptr, len, &s, &err);
    if (rc == CFB_OK) cfb_score_shards_close(s);
    return rc;
}

/* Any changed bit, and any other length. */
static void test_damaged(void **state) {
    (void)state;
    const cfb_task task = {.name = "t", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_OBSERVED};
    char path[200];
    cfb_err err = CFB_ERR_INIT;
    cfb_buf b = CFB_BUF_INIT((size_t)1 << 24);
    write_shard(&task, 0);
    path_of(0, path);
    assert_int_equal(cfb_file_read(path, (size_t)1 << 23, &b, &err), CFB_OK);
    assert_int_equal(open_bytes(&b, b.len), CFB_OK);
    for (size_t i = 0; i < b.len; i += i < 600 || i > b.len - 2000 ? 1 : 97) {
        b.ptr[i] = (char)(b.ptr[i] ^ 1 << i % 8);
        assert_int_not_equal(open_bytes(&b, b.len), CFB_OK);
        b.ptr[i] = (char)(b.ptr[i] ^ 1 << i % 8);
    }
    for (size_t len = 0; len < b.len; len += 61) assert_int_not_equal(open_bytes(&b, len), CFB_OK);
    assert_int_equal(open_bytes(&b, b.len), CFB_OK);
    cfb_buf_free(&b);
}

static void test_out_of_order(void **state) {
    (void)state;
    char path[200];
    cfb_err err = CFB_ERR_INIT;
    cfb_score_shard_writer_t *w = NULL;
    const cfb_score_shard_head head = {0, 1, "c", NULL, 0, NULL, 0};
    const cfb_score_row row = {0};
    path_of(9, path);
    assert_int_equal(cfb_score_shard_create(path, &head, &w, &err), CFB_OK);
    assert_int_equal(cfb_score_shard_put(w, 0, CFB_STR_LIT(""), 5, &row, 0, &err), CFB_OK);
    assert_int_equal(cfb_score_shard_put(w, 0, CFB_STR_LIT(""), 5, &row, 0, &err), CFB_EBUG);
    cfb_score_shard_abort(w);
    assert_false(cfb_path_exists(path));
}

int main(void) {
    static char texts[2 * ROWS][40];
    char command[300];
    if (mkdtemp(folder) == NULL) return 1;
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(texts[2 * i], sizeof texts[0], "label%zu,b%zu", i % 7, i % 41);
        snprintf(texts[2 * i + 1], sizeof texts[0], "label%zu,b%zu", i % 5, i % 37);
        reference[i] = cfb_str_from(texts[2 * i]);
        output[i] = cfb_str_from(texts[2 * i + 1]);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_joined_is_one), cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_out_of_order)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return failed || system(command) != 0;
}
