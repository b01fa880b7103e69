/* The rows of one task, in memory: generation needs them in any order, and suites are small beside replies. */
#include "cfbench/base.h"
#include "cfbench/dataset.h"
#include "dataset/suite_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_RECORD_BYTES ((size_t)64 << 30)

static cfb_code find_data(const cfb_suite_t *s, const cfb_task *t, char *path, cfb_err *err) {
    cfb_code rc = CFB_ENOTFOUND;
    for (size_t i = 0; i < t->n_data && rc == CFB_ENOTFOUND; i++) rc = cfb_dataset_find(s->dir, t->data[i], path, PATH_MAX, err);
    if (rc == CFB_ENOTFOUND) {
        cfb_err_add_context(err, "data of task '%s'", t->name);
        cfb_suite__add_hint(s, err);
    }
    return rc;
}

static cfb_code check_needed(const cfb_task *t, cfb_shot shot, const cfb_record *r, const char *path, cfb_err *err) {
    static const char *const names[] = {"input", "instruction"};
    const cfb_str values[] = {r->input, r->instruction};
    for (size_t i = 0; i < 2; i++) {
        bool needed =
            cfb_template_uses(t->prompt[shot], names[i]) || (i == 1 && cfb_template_uses(t->prompt[shot], "candidates"));
        if (needed && values[i].ptr == NULL)
            return cfb_err_set(err, CFB_EDATA, "%s:%llu: task '%s' needs a value for '%s', but it is missing or null", path,
                               (unsigned long long)r->line, t->name, names[i]);
    }
    return CFB_OK;
}

/* cells: input, instruction, response, and the id where the suite names a column for it. */
static cfb_code add_record(cfb_records *out, const cfb_str *cells, size_t n_cells, uint64_t line, cfb_err *err) {
    cfb_record *r = &out->rows[out->n];
    cfb_code rc = cfb_arena_dup(out->arena, cells[0], &r->input, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(out->arena, cells[1], &r->instruction, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(out->arena, cells[2], &r->response, err);
    if (rc != CFB_OK) return rc;
    char number[24];
    int n = snprintf(number, sizeof number, "%zu", out->n);
    bool has_id = n_cells > 3 && cells[3].ptr != NULL;
    rc = cfb_arena_dup(out->arena, has_id ? cells[3] : (cfb_str){number, (size_t)n}, &r->id, err);
    r->line = line;
    if (rc == CFB_OK) out->n++;
    return rc;
}

static int compare_ids(const void *a, const void *b) {
    return cfb_str_cmp((*(const cfb_record *const *)a)->id, (*(const cfb_record *const *)b)->id);
}

static cfb_code check_ids(const cfb_records *r, cfb_err *err) {
    const cfb_record **order = malloc((r->n ? r->n : 1) * sizeof *order);
    if (order == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < r->n; i++) order[i] = &r->rows[i];
    qsort(order, r->n, sizeof *order, compare_ids);
    cfb_code rc = CFB_OK;
    for (size_t i = 1; i < r->n && rc == CFB_OK; i++)
        if (cfb_str_eq(order[i - 1]->id, order[i]->id))
            rc = cfb_err_set(err, CFB_EDATA, "%s: id '%.*s' stands in line %llu and in line %llu", r->path,
                             CFB_STR_ARG(order[i]->id), (unsigned long long)order[i - 1]->line,
                             (unsigned long long)order[i]->line);
    free(order);
    return rc;
}

static cfb_code read_all(cfb_reader_t *reader, const cfb_task *t, cfb_shot shot, size_t limit, cfb_records *out, cfb_err *err) {
    size_t cap = 0;
    for (;;) {
        cfb_rows batch;
        cfb_code rc = cfb_reader_next(reader, &batch, err);
        if (rc != CFB_OK || batch.n_rows == 0) return rc;
        for (size_t i = 0; i < batch.n_rows; i++) {
            if (limit && out->n == limit) return CFB_OK;
            if (out->n == cap) {
                size_t bytes;
                cap = cap ? cap * 2 : 1024;
                cfb_record *rows = cfb_size_mul(cap, sizeof *rows, &bytes) ? realloc(out->rows, bytes) : NULL;
                if (rows == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
                out->rows = rows;
            }
            rc = add_record(out, batch.cells + i * batch.n_columns, batch.n_columns, batch.lines[i], err);
            if (rc == CFB_OK) rc = check_needed(t, shot, &out->rows[out->n - 1], out->path, err);
            if (rc != CFB_OK) return rc;
        }
    }
}

cfb_code cfb_suite_read_records(const cfb_suite_t *s, size_t task, cfb_shot shot, size_t limit, cfb_records *out, cfb_err *err) {
    const cfb_task *t = &s->tasks[task];
    bool instruction = cfb_template_uses(t->prompt[shot], "instruction") || cfb_template_uses(t->prompt[shot], "candidates");
    cfb_column columns[4] = {{s->column_input, cfb_template_uses(t->prompt[shot], "input")},
                             {s->column_instruction, instruction},
                             {s->column_response, true},
                             {s->column_id, true}};
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    cfb_reader_t *reader = NULL;
    char path[PATH_MAX];
    cfb_str kept;
    *out = (cfb_records){0};
    opts.columns = columns;
    opts.n_columns = s->column_id ? 4 : 3;
    cfb_code rc = cfb_arena_new(MAX_RECORD_BYTES, &out->arena, err);
    if (rc == CFB_OK) rc = find_data(s, t, path, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(out->arena, cfb_str_from(path), &kept, err);
    if (rc == CFB_OK) {
        out->path = kept.ptr;
        rc = cfb_reader_open(path, &opts, &reader, err);
    }
    if (rc == CFB_OK) rc = read_all(reader, t, shot, limit, out, err);
    if (rc == CFB_OK && s->column_id) rc = check_ids(out, err);
    cfb_reader_close(reader);
    if (rc != CFB_OK) cfb_records_free(out);
    return rc;
}

void cfb_records_free(cfb_records *r) {
    free(r->rows);
    cfb_arena_free(r->arena);
    *r = (cfb_records){0};
}
