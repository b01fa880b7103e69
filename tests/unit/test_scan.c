/* cfb_scan: every path, any number of threads, any size of parts: the same rows, numbers, lines and errors as the reader. */
#include "test_dataset.h"

#include "cfbench/scan.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const simd_names[] = {"avx512", "avx2", "neon", "portable"};
#define N_SIMD (sizeof simd_names / sizeof *simd_names)

struct slot_text {
    cfb_buf text;
};
struct drain {
    struct slot_text *slots;
    cfb_buf *out;
    bool lines;
};

static cfb_code drain_work(void *ctx, const cfb_scan_part *p, int worker, cfb_err *err) {
    struct drain *d = ctx;
    cfb_buf *b = &d->slots[p->slot].text;
    (void)worker;
    cfb_buf_clear(b);
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < p->n_rows && rc == CFB_OK; i++) {
        rc = cfb_buf_printf(b, err, "%llu@%llu:", (unsigned long long)p->numbers[i], (unsigned long long)cfb_scan_line(p, i));
        for (size_t k = 0; k < p->n_columns && rc == CFB_OK; k++) {
            cfb_str cell = p->cells[i * p->n_columns + k];
            if (k) rc = cfb_buf_append_char(b, '|', err);
            if (rc == CFB_OK) rc = cfb_buf_append(b, cell.ptr ? cell.ptr : "~", cell.ptr ? cell.len : 1, err);
        }
        if (rc == CFB_OK) rc = cfb_buf_append_char(b, ';', err);
    }
    for (size_t i = 0; i < p->n_bad && rc == CFB_OK; i++)
        rc = cfb_buf_printf(b, err, "[bad %llu@%llu %s]", (unsigned long long)p->bad[i].number,
                            (unsigned long long)p->bad[i].line, p->bad[i].message);
    return rc;
}

static cfb_code drain_commit(void *ctx, const cfb_scan_part *p, cfb_err *err) {
    struct drain *d = ctx;
    return cfb_buf_append_str(d->out, cfb_buf_str(&d->slots[p->slot].text), err);
}

/* Rows as "NUMBER@LINE:cell|cell;", then the error, if there is one, as "!CODE: message". */
static cfb_buf scan_text(const char *name, const void *data, size_t len, const char *columns, const cfb_scan_opts *limits) {
    char store[256];
    cfb_column wanted[MAX_WANTED];
    cfb_scan_column scan_wanted[MAX_WANTED];
    cfb_scan_opts opts = *limits;
    opts.n_columns = td_columns(columns, store, sizeof store, wanted);
    for (size_t i = 0; i < opts.n_columns; i++) scan_wanted[i] = (cfb_scan_column){wanted[i].name, wanted[i].required, false};
    opts.columns = scan_wanted;
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_err err = CFB_ERR_INIT;
    cfb_scan_t *s = NULL;
    td_put(&out, "", 0);
    cfb_code rc = cfb_scan_open_memory(name, data, len, &opts, &s, &err);
    if (rc == CFB_OK) {
        struct drain d = {calloc(cfb_scan_n_slots(s), sizeof *d.slots), &out, true};
        assert_non_null(d.slots);
        rc = cfb_scan_run(s, &(cfb_scan_job){&d, drain_work, drain_commit}, &err);
        for (size_t i = 0; i < cfb_scan_n_slots(s); i++) cfb_buf_free(&d.slots[i].text);
        free(d.slots);
    }
    cfb_scan_close(s);
    assert_int_equal(rc, err.code);
    if (rc != CFB_OK) assert_int_equal(cfb_buf_printf(&out, NULL, "!%s: %s", cfb_code_name(rc), err.msg), CFB_OK);
    return out;
}

/* What the reader says, in the same form. Rows before an error do not count: how many come out depends on the parts. */
static cfb_buf reader_text(const char *name, const void *data, size_t len, const char *columns) {
    char store[256];
    cfb_column wanted[MAX_WANTED];
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    opts.columns = wanted;
    opts.n_columns = td_columns(columns, store, sizeof store, wanted);
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_err err = CFB_ERR_INIT;
    cfb_reader_t *r = NULL;
    td_put(&out, "", 0);
    cfb_code rc = cfb_reader_open_memory(name, data, len, &opts, &r, &err);
    while (rc == CFB_OK) {
        cfb_rows rows;
        rc = cfb_reader_next(r, &rows, &err);
        if (rc != CFB_OK || rows.n_rows == 0) break;
        for (size_t i = 0; i < rows.n_rows; i++) {
            assert_int_equal(cfb_buf_printf(&out, NULL, "%llu@%llu:", (unsigned long long)(rows.first_row + i),
                                            (unsigned long long)rows.lines[i]),
                             CFB_OK);
            for (size_t k = 0; k < rows.n_columns; k++) {
                cfb_str cell = rows.cells[i * rows.n_columns + k];
                if (k) td_put(&out, "|", 1);
                td_put(&out, cell.ptr ? cell.ptr : "~", cell.ptr ? cell.len : 1);
            }
            td_put(&out, ";", 1);
        }
    }
    if (rc != CFB_OK) assert_int_equal(cfb_buf_printf(&out, NULL, "!%s: %s", cfb_code_name(rc), err.msg), CFB_OK);
    cfb_reader_close(r);
    return out;
}

static const char *error_of(const cfb_buf *b) {
    for (size_t i = 0; i < b->len; i++)
        if (b->ptr[i] == '!') return b->ptr + i;
    return NULL;
}

/* All sizes of parts and threads on every instruction set. */
static void check_same(const char *name, const void *data, size_t len, const char *columns) {
    static const size_t sizes[] = {1, 3, 7, 64, 100, 4096, 0};
    static const int threads[] = {1, 2, 3, 8};
    cfb_buf want = reader_text(name, data, len, columns);
    const char *error = error_of(&want);
    for (size_t k = 0; k < N_SIMD; k++) {
        if (!cfb_simd_use(simd_names[k])) continue;
        assert_string_equal(cfb_simd_name(), simd_names[k]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
                cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
                o.part_bytes = sizes[i];
                o.n_threads = threads[t];
                cfb_buf got = scan_text(name, data, len, columns, &o);
                const char *got_error = error_of(&got);
                if (error && got_error)
                    assert_string_equal(got_error, error);
                else
                    assert_string_equal(got.ptr, want.ptr);
                cfb_buf_free(&got);
            }
    }
    cfb_simd_use(NULL);
    cfb_buf_free(&want);
}

#define SAME(name, text, columns) check_same(name, text, sizeof(text) - 1, columns)

static void csv_cases(void **state) {
    (void)state;
    SAME("a.csv", "a,b\n1,2\n3,4\n", "a,b");
    SAME("a.csv", "a,b\n1,2\n3,4", "b,a");
    SAME("a.csv", "a,b\r\n1,2\r\n\r\n3,4\r", "a,b");
    SAME("a.csv",
         "\xEF\xBB\xBF"
         "a,b\n\n\n1,\"x\ny\"\n\"q\"\"q\",\"\"\n",
         "a,b,?c");
    SAME("a.csv", "a,b\n\"1,1\",\"\"\"\"\n\"\"\"\",\",\"\n", "a,b");
    SAME("a.csv", "a,b\nx\"y,z\n\"a\nb,c\n\",d\n", "a,b"); /* a quote in an unquoted field is a character */
    SAME("a.csv", "a,b\n1,2\n3\n4,5\n", "a,b");
    SAME("a.csv", "a,b\n1,2\n3,4,5\n4,5\n", "a");
    SAME("a.csv", "a,b\n\"1\"x,2\n", "a");
    SAME("a.csv", "a,b\n1,\"2\n3\n4\n", "a");
    SAME("a.csv", "a,b\n1,\"2\"\r3\n", "a");
    SAME("a.csv", "a,b\n1,2\nok,\xFF\nok,ok\n", "a,b");
    SAME("a.csv", "a,b\n1,\"x\n\xED\xA0\x80\"\n", "a,b");
    SAME("a.csv", "a\n\n1\n\"\"\n", "a");
    SAME("a.csv", "a,b\n", "a");
    SAME("a.csv", "a,b\n1,2\n", "a,c");
    SAME("a.csv", "", "a");
    SAME("a.csv", "a,b\n\"\",\"\"\n,\n\"\r\n\",\"\r\"\r\n", "a,b");
}

static void jsonl_cases(void **state) {
    (void)state;
    SAME("a.jsonl", "{\"a\":\"1\",\"b\":\"x\\ny\"}\n\n{\"b\":2,\"a\":null}\n", "a,b");
    SAME("a.jsonl", "{\"a\":\"1\"}\n  \n{\"a\":[1, 2]}", "a,?b");
    SAME("a.jsonl", "{\"a\":\"1\"}\n{\"a\":\n{\"a\":\"2\"}\n", "a");
    SAME("a.jsonl", "{\"a\":\"1\"}\n{\"a\":\"\xFF\"}\n{\"a\":\"2\"}\n", "a");
    SAME("a.jsonl", "{\"a\":\"1\"}\n[1]\n", "a");
}

static void json_list(void **state) {
    (void)state;
    SAME("a.json", "[{\"a\":\"1\"},{\"a\":\"2\"},{\"a\":3}]", "a");
}

/* Rows of many forms, with a seed; every few rows something odd. */
static void make_csv(cfb_buf *b, uint64_t seed, size_t n_rows, bool odd) {
    static const char *const plain[] = {"银行", "a", "", "银行，证券", " x ", "12.5", "end\r"};
    static const char *const quoted[] = {"\"a,b\"",  "\"line\nline\"", "\"say \"\"no\"\"\"", "\"\"",
                                         "\"\"\"\"", "\"，,\n\"",      "\"\",\"\""};
    td_put(b, "a,b,c\n", 6);
    for (size_t i = 0; i < n_rows; i++) {
        for (uint64_t f = 0; f < 3; f++) {
            uint64_t v = cfb_rand_u64(seed, f, i);
            const char *text = v % 3 ? plain[v / 8 % (f == 2 ? 7 : 6)] : quoted[v / 8 % 6];
            if (f) td_put(b, ",", 1);
            if (odd && v % 97 == 0) text = "in\"side";
            td_put(b, text, strlen(text));
            if (v % 31 == 0 && text[0] != '"')
                for (int k = 0; k < 40; k++) td_put(b, "证券行业", 12);
        }
        td_put(b, i % 5 ? "\n" : "\r\n", i % 5 ? 1 : 2);
        if (i % 41 == 0) td_put(b, "\n", 1);
    }
}

static void random_rows(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 7; seed++) {
        cfb_buf b = CFB_BUF_INIT(0);
        make_csv(&b, seed, 300, seed % 2 == 0);
        check_same("a.csv", b.ptr, b.len, "a,b,c");
        check_same("a.csv", b.ptr, b.len, "c,?none,a");
        cfb_buf_free(&b);
    }
}

static void bad_rows(void **state) {
    (void)state;
    static const char text[] = "a,b\n1,2\n3\n\"x\"y,z\n4,\xFF\n5,6\n";
    for (size_t size = 1; size < 40; size++) {
        cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
        o.skip_bad_rows = true;
        o.part_bytes = size;
        o.n_threads = 2;
        cfb_buf got = scan_text("a.csv", text, sizeof text - 1, "a,b", &o);
        cfb_buf plain = CFB_BUF_INIT(0);
        for (size_t i = 0; i < got.len; i++) /* where the bad rows stand in the text depends on the parts */
            if (got.ptr[i] == '[')
                while (got.ptr[i] != ']') i++;
            else
                td_put(&plain, got.ptr + i, 1);
        assert_string_equal(plain.ptr, "0@2:1|2;4@6:5|6;");
        assert_non_null(strstr(got.ptr, "[bad 1@3 a.csv:3: expected 2 fields, found 1]"));
        assert_non_null(strstr(got.ptr, "[bad 2@4 a.csv:4: text behind the closing quote of field 1]"));
        assert_non_null(strstr(got.ptr, "[bad 3@5 a.csv:5: byte 19, column 'b': not valid UTF-8]"));
        cfb_buf_free(&got);
        cfb_buf_free(&plain);
    }
}

/* ---- several processes that share a file: here threads, each with a scan of its own ---- */

#define MOST_PARTS 512

struct board {
    pthread_mutex_t lock;
    uint64_t next, known;
    cfb_scan_place at;
    bool gave_up;
    const char *path;
    cfb_buf parts[MOST_PARTS];
    cfb_code code;
};

struct sharer {
    struct board *board;
    struct slot_text *slots;
};

static bool board_take(void *ctx, uint64_t *index) {
    struct board *b = ctx;
    pthread_mutex_lock(&b->lock);
    *index = b->next++;
    bool go = !b->gave_up;
    pthread_mutex_unlock(&b->lock);
    return go;
}

static bool board_await(void *ctx, uint64_t index, cfb_scan_place *at) {
    struct board *b = ctx;
    for (;;) {
        pthread_mutex_lock(&b->lock);
        bool there = b->known == index, over = b->gave_up;
        *at = b->at;
        pthread_mutex_unlock(&b->lock);
        if (there || over) return !over;
        usleep(20);
    }
}

static void board_tell(void *ctx, uint64_t index, const cfb_scan_place *at) {
    struct board *b = ctx;
    pthread_mutex_lock(&b->lock);
    b->known = index;
    b->at = *at;
    pthread_mutex_unlock(&b->lock);
}

static void board_give_up(void *ctx) {
    struct board *b = ctx;
    pthread_mutex_lock(&b->lock);
    b->gave_up = true;
    pthread_mutex_unlock(&b->lock);
}

static cfb_code share_commit(void *ctx, const cfb_scan_part *p, cfb_err *err) {
    struct sharer *s = ctx;
    if (p->index >= MOST_PARTS) return cfb_err_set(err, CFB_EBUG, "too many parts for this test");
    return cfb_buf_append_str(&s->board->parts[p->index], cfb_buf_str(&s->slots[p->slot].text), err);
}

static cfb_code share_work(void *ctx, const cfb_scan_part *p, int worker, cfb_err *err) {
    struct sharer *s = ctx;
    struct drain d = {s->slots, NULL, true};
    return drain_work(&d, p, worker, err);
}

static void *share(void *arg) {
    struct board *b = arg;
    const cfb_scan_team team = {b, board_take, board_await, board_tell, board_give_up};
    const cfb_scan_column columns[] = {{"a", true, false}, {"c", false, false}};
    cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
    cfb_err err = CFB_ERR_INIT;
    cfb_scan_t *scan = NULL;
    o.columns = columns;
    o.n_columns = 2;
    o.part_bytes = 4096;
    o.n_threads = 2;
    o.team = &team;
    struct sharer s = {b, NULL};
    cfb_code rc = cfb_scan_open(b->path, &o, &scan, &err);
    if (rc == CFB_OK && !cfb_scan_is_shared(scan)) rc = CFB_EBUG;
    if (rc == CFB_OK && (s.slots = calloc(cfb_scan_n_slots(scan), sizeof *s.slots)) == NULL) rc = CFB_ENOMEM;
    if (rc == CFB_OK) rc = cfb_scan_run(scan, &(cfb_scan_job){&s, share_work, share_commit}, &err);
    for (size_t i = 0; s.slots && i < cfb_scan_n_slots(scan); i++) cfb_buf_free(&s.slots[i].text);
    free(s.slots);
    cfb_scan_close(scan);
    pthread_mutex_lock(&b->lock);
    if (rc != CFB_OK) b->code = rc;
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* n processes. Their rows, in the order of the parts, or the code of one that failed. */
static cfb_code share_file(const char *path, size_t n, cfb_buf *out) {
    struct board *b = calloc(1, sizeof *b);
    pthread_t threads[4];
    assert_non_null(b);
    pthread_mutex_init(&b->lock, NULL);
    b->path = path;
    for (size_t i = 0; i < n; i++) assert_int_equal(pthread_create(&threads[i], NULL, share, b), 0);
    for (size_t i = 0; i < n; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < MOST_PARTS; i++) {
        if (b->parts[i].len) td_put(out, b->parts[i].ptr, b->parts[i].len);
        cfb_buf_free(&b->parts[i]);
    }
    cfb_code rc = b->code;
    pthread_mutex_destroy(&b->lock);
    free(b);
    return rc;
}

static void put_file(const char *path, const cfb_buf *b) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->ptr, 1, b->len, f), b->len);
    assert_int_equal(fclose(f), 0);
}

static void shared_files(void **state) {
    (void)state;
    char path[] = "/tmp/cfbench-scan-XXXXXX.csv";
    int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    close(fd);
    for (uint64_t seed = 1; seed < 5; seed++) {
        cfb_buf b = CFB_BUF_INIT(0);
        make_csv(&b, seed, 9000, seed % 2 == 0); /* some hundred parts */
        put_file(path, &b);
        cfb_buf want = reader_text("a.csv", b.ptr, b.len, "a,?c");
        for (size_t n = 1; n <= 4; n++) {
            cfb_buf got = CFB_BUF_INIT(0);
            cfb_code rc = share_file(path, n, &got);
            if (error_of(&want)) {
                assert_true(rc != CFB_OK);
            } else {
                assert_int_equal(rc, CFB_OK);
                assert_string_equal(got.ptr, want.ptr);
            }
            cfb_buf_free(&got);
        }
        cfb_buf_free(&want);
        cfb_buf_free(&b);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_cases),   cmocka_unit_test(jsonl_cases), cmocka_unit_test(json_list),
        cmocka_unit_test(random_rows), cmocka_unit_test(bad_rows),    cmocka_unit_test(shared_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
