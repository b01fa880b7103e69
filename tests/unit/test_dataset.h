/* test_dataset.h - what the tests of the dataset room share: everything a reader says, as one string to compare. */
#ifndef TEST_DATASET_H
#define TEST_DATASET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfbench/base.h"
#include "cfbench/dataset.h"

#define MAX_WANTED 16

/* "a,b,?c" -> columns; a question mark stands before an optional one. */
static inline size_t td_columns(const char *list, char *store, size_t size, cfb_column *out) {
    size_t n = 0;
    snprintf(store, size, "%s", list);
    for (char *p = store; *p && n < MAX_WANTED;) {
        char *comma = strchr(p, ',');
        if (comma) *comma = '\0';
        out[n++] = (cfb_column){*p == '?' ? p + 1 : p, *p != '?'};
        p = comma ? comma + 1 : p + strlen(p);
    }
    return n;
}

static inline void td_put(cfb_buf *out, const char *text, size_t len) {
    assert_int_equal(cfb_buf_append(out, text, len, NULL), CFB_OK);
}

/* Rows as "LINE:cell|cell;", null cells as "~"; an error as "!CODE: message". Batches are checked on the way. */
static inline void td_drain(cfb_reader_t *r, const cfb_reader_opts *opts, cfb_buf *out) {
    cfb_err err = CFB_ERR_INIT;
    cfb_rows rows;
    uint64_t total = 0;
    for (;;) {
        cfb_code rc = cfb_reader_next(r, &rows, &err);
        if (rc != CFB_OK) {
            assert_int_equal(rc, err.code);
            assert_int_equal(cfb_buf_printf(out, NULL, "!%s: %s", cfb_code_name(rc), err.msg), CFB_OK);
            assert_int_equal(cfb_reader_next(r, &rows, NULL), CFB_EBUG);
            return;
        }
        if (rows.n_rows == 0) return;
        assert_true(rows.n_rows <= opts->batch_rows);
        assert_int_equal(rows.n_columns, opts->n_columns);
        assert_int_equal(rows.first_row, total);
        assert_non_null(rows.file);
        total += rows.n_rows;
        for (size_t i = 0; i < rows.n_rows; i++) {
            assert_int_equal(cfb_buf_printf(out, NULL, "%llu:", (unsigned long long)rows.lines[i]), CFB_OK);
            for (size_t k = 0; k < rows.n_columns; k++) {
                cfb_str cell = rows.cells[i * rows.n_columns + k];
                if (k) td_put(out, "|", 1);
                td_put(out, cell.ptr ? cell.ptr : "~", cell.ptr ? cell.len : 1);
            }
            td_put(out, ";", 1);
        }
    }
}

static inline void td_open_error(cfb_code rc, const cfb_err *err, cfb_buf *out) {
    assert_int_equal(rc, err->code);
    assert_int_equal(cfb_buf_printf(out, NULL, "!%s: %s", cfb_code_name(rc), err->msg), CFB_OK);
}

/* Reads bytes in memory. limits may be NULL. Result: to be freed with cfb_buf_free. */
static inline cfb_buf td_memory_opts(const char *name, const void *data, size_t len, const char *columns,
                                     const cfb_reader_opts *limits) {
    char store[256];
    cfb_column wanted[MAX_WANTED];
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    if (limits) opts = *limits;
    opts.columns = wanted;
    opts.n_columns = td_columns(columns, store, sizeof store, wanted);
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_err err = CFB_ERR_INIT;
    cfb_reader_t *r = NULL;
    td_put(&out, "", 0);
    /* A copy of the exact size, so that a sanitizer sees a read behind the end. */
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len) memcpy(copy, data, len);
    cfb_code rc = cfb_reader_open_memory(name, copy, len, &opts, &r, &err);
    if (rc == CFB_OK)
        td_drain(r, &opts, &out);
    else
        td_open_error(rc, &err, &out);
    if (rc == CFB_OK) cfb_reader_close(r);
    free(copy);
    return out;
}

static inline cfb_buf td_path(const char *path, const char *columns) {
    char store[256];
    cfb_column wanted[MAX_WANTED];
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    opts.columns = wanted;
    opts.n_columns = td_columns(columns, store, sizeof store, wanted);
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_err err = CFB_ERR_INIT;
    cfb_reader_t *r = NULL;
    td_put(&out, "", 0);
    cfb_code rc = cfb_reader_open(path, &opts, &r, &err);
    if (rc == CFB_OK)
        td_drain(r, &opts, &out);
    else
        td_open_error(rc, &err, &out);
    if (rc == CFB_OK) cfb_reader_close(r);
    return out;
}

static inline void td_expect_bytes(const char *name, const void *data, size_t len, const char *columns, const char *expected) {
    cfb_buf got = td_memory_opts(name, data, len, columns, NULL);
    assert_string_equal(got.ptr, expected);
    cfb_buf_free(&got);
}

static inline void td_expect(const char *name, const char *text, const char *columns, const char *expected) {
    td_expect_bytes(name, text, strlen(text), columns, expected);
}

static inline void td_expect_limits(const char *name, const char *text, const char *columns, const cfb_reader_opts *limits,
                                    const char *expected) {
    cfb_buf got = td_memory_opts(name, text, strlen(text), columns, limits);
    assert_string_equal(got.ptr, expected);
    cfb_buf_free(&got);
}

static inline void td_expect_path(const char *path, const char *columns, const char *expected) {
    cfb_buf got = td_path(path, columns);
    assert_string_equal(got.ptr, expected);
    cfb_buf_free(&got);
}

static inline cfb_buf td_load(const char *path) {
    cfb_buf b = CFB_BUF_INIT(0);
    assert_int_equal(cfb_file_read(path, (size_t)1 << 26, &b, NULL), CFB_OK);
    return b;
}

/* Reads every beginning of the data: whatever comes out must be rows that the whole has too, then nothing or an error. */
static inline void td_cut_everywhere(const char *name, cfb_str data, const char *columns) {
    cfb_buf whole = td_memory_opts(name, data.ptr, data.len, columns, NULL);
    assert_null(strchr(whole.ptr, '!'));
    for (size_t n = 0; n < data.len; n++) {
        cfb_buf part = td_memory_opts(name, data.ptr, n, columns, NULL);
        char *error = strchr(part.ptr, '!');
        size_t same = error ? (size_t)(error - part.ptr) : part.len;
        if (same > whole.len || memcmp(part.ptr, whole.ptr, same) != 0)
            fail_msg("%s cut at %zu of %zu gives other rows: %s", name, n, data.len, part.ptr);
        cfb_buf_free(&part);
    }
    cfb_buf_free(&whole);
}

#endif
