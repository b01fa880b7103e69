/* cfbench convert IN OUT: Arrow, CSV or JSON data -> JSON Lines or CSV, all columns, streaming. */
#include "cfbench/dataset.h"
#include "cfbench/json.h"
#include "cli/cli.h"

#include <stdlib.h>

struct out {
    cfb_file_writer_t *file; /* NULL: standard output */
    cfb_buf line;
    bool csv;
};

static cfb_code put_line(struct out *o, cfb_err *err) {
    cfb_code rc = cfb_buf_append_char(&o->line, '\n', err);
    if (rc == CFB_OK)
        rc = o->file ? cfb_file_writer_write(o->file, o->line.ptr, o->line.len, err) : cfb_cli_print(cfb_buf_str(&o->line), err);
    cfb_buf_clear(&o->line);
    return rc;
}

static cfb_code put_csv(struct out *o, const cfb_str *cells, size_t n, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        if (i) rc = cfb_buf_append_char(&o->line, ',', err);
        if (rc == CFB_OK) rc = cfb_csv_append_field(&o->line, cells[i], n == 1, err);
    }
    return rc == CFB_OK ? put_line(o, err) : rc;
}

static cfb_code put_json(struct out *o, const cfb_str *names, const cfb_str *cells, size_t n, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, &o->line, 0);
    cfb_jw_obj(&w);
    for (size_t i = 0; i < n; i++) {
        cfb_jw_key_str(&w, names[i]);
        cfb_jw_str(&w, cells[i]);
    }
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? put_line(o, err) : rc;
}

static cfb_code copy_rows(cfb_reader_t *r, struct out *o, const cfb_str *names, size_t n, cfb_err *err) {
    cfb_rows rows;
    cfb_code rc = o->csv ? put_csv(o, names, n, err) : CFB_OK;
    while (rc == CFB_OK && (rc = cfb_reader_next(r, &rows, err)) == CFB_OK && rows.n_rows > 0)
        for (size_t i = 0; i < rows.n_rows && rc == CFB_OK; i++)
            rc = o->csv ? put_csv(o, rows.cells + i * n, n, err) : put_json(o, names, rows.cells + i * n, n, err);
    return rc;
}

static bool wants_csv(const cfb_config *c, const char *path) {
    if (c->format) return strcmp(c->format, "csv") == 0;
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".csv") == 0;
}

cfb_code cfb_cmd_convert(const cfb_config *c, cfb_err *err) {
    const char *in = c->args[0], *to = c->n_args > 1 ? c->args[1] : "-";
    struct out o = {.line = CFB_BUF_INIT(0), .csv = wants_csv(c, to)};
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    cfb_reader_t *r = NULL;
    cfb_arena_t *arena = NULL;
    cfb_str *names = NULL;
    cfb_column *columns = NULL;
    size_t n = 0;
    if (strcmp(to, "-") != 0 && cfb_path_exists(to) && !c->force)
        return cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", to);
    cfb_code rc = cfb_arena_new((size_t)1 << 26, &arena, err);
    if (rc == CFB_OK) rc = cfb_dataset_columns(in, arena, &names, &n, err);
    if (rc == CFB_OK && (columns = cfb_arena_calloc(arena, n, sizeof *columns)) == NULL)
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; rc == CFB_OK && i < n; i++) columns[i].name = names[i].ptr;
    opts.columns = columns;
    opts.n_columns = n;
    if (rc == CFB_OK) rc = cfb_reader_open(in, &opts, &r, err);
    if (rc == CFB_OK && strcmp(to, "-") != 0) rc = cfb_file_writer_open(to, &o.file, err);
    int64_t begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = copy_rows(r, &o, names, n, err);
    cfb_cli_stage_end("copy rows", begin_ns);
    if (o.file && rc == CFB_OK)
        rc = cfb_file_writer_commit(o.file, err);
    else
        cfb_file_writer_abort(o.file);
    cfb_reader_close(r);
    cfb_buf_free(&o.line);
    cfb_arena_free(arena);
    return rc;
}
