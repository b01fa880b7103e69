#include "cfbench/dataset.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

cfb_shot cfb_cli_shot(const cfb_config *c) { return strcmp(c->shot, "zero") == 0 ? CFB_SHOT_ZERO : CFB_SHOT_FEW; }

static cfb_code unknown_task(const cfb_suite_t *s, const char *name, size_t len, cfb_err *err) {
    char have[300] = "";
    for (size_t i = 0; i < cfb_suite_n_tasks(s); i++) {
        size_t used = strlen(have);
        snprintf(have + used, sizeof have - used, "%s%s", i ? ", " : "", cfb_suite_task(s, i)->name);
    }
    return cfb_err_set(err, CFB_EUSAGE, "--tasks: suite '%s' has no task '%.*s' (it has: %s)", cfb_suite_name(s), (int)len, name,
                       have);
}

cfb_code cfb_cli_pick_tasks(const cfb_config *c, const cfb_suite_t *s, size_t **tasks, size_t *n, cfb_err *err) {
    size_t total = cfb_suite_n_tasks(s);
    unsigned char *wanted = calloc(total, 1);
    *tasks = malloc(total * sizeof **tasks);
    *n = 0;
    cfb_code rc = wanted && *tasks ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK && (c->tasks == NULL || c->tasks[0] == '\0')) memset(wanted, 1, total);
    for (const char *p = c->tasks; rc == CFB_OK && p && *p;) {
        char name[80];
        size_t len = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, p);
        size_t i = len < sizeof name ? cfb_suite_find_task(s, name) : SIZE_MAX;
        if (i == SIZE_MAX)
            rc = unknown_task(s, p, len, err);
        else
            wanted[i] = 1;
        p += len + (p[len] == ',');
    }
    for (size_t i = 0; i < total && rc == CFB_OK; i++) {
        if (!wanted[i]) continue;
        (*tasks)[(*n)++] = i;
        if (cfb_suite_task(s, i)->prompt[cfb_cli_shot(c)].ptr == NULL)
            rc = cfb_err_set(err, CFB_EUSAGE, "task '%s' of suite '%s' has no %s prompt; choose another --shot, or other --tasks",
                             cfb_suite_task(s, i)->name, cfb_suite_name(s), cfb_shot_name(cfb_cli_shot(c)));
    }
    free(wanted);
    if (rc != CFB_OK) {
        free(*tasks);
        *tasks = NULL;
    }
    return rc;
}

bool cfb_cli_is_picked(const cfb_config *c, const char *task) {
    if (c->tasks == NULL || c->tasks[0] == '\0') return true;
    for (const char *p = c->tasks; *p;) {
        size_t n = strcspn(p, ",");
        if (strlen(task) == n && memcmp(task, p, n) == 0) return true;
        p += n + (p[n] == ',');
    }
    return false;
}

cfb_code cfb_cli_store_path(const char *out, char path[PATH_MAX], cfb_err *err) {
    if (cfb_path_exists(out) && !cfb_path_is_dir(out)) return cfb_path_join(path, PATH_MAX, NULL, out, err);
    return cfb_path_join(path, PATH_MAX, out, "run.db", err);
}

cfb_code cfb_cli_each_text(const char *path, const char *column, cfb_cli_texts_fn fn, void *ctx, size_t *n, cfb_err *err) {
    const cfb_column wanted = {column, true};
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    cfb_reader_t *r = NULL;
    cfb_rows rows;
    opts.columns = &wanted;
    opts.n_columns = 1;
    *n = 0;
    cfb_code rc = cfb_reader_open(path, &opts, &r, err);
    while (rc == CFB_OK && (rc = cfb_reader_next(r, &rows, err)) == CFB_OK && rows.n_rows > 0) {
        rc = fn(ctx, rows.cells, rows.n_rows, *n, err);
        *n += rows.n_rows;
    }
    cfb_reader_close(r);
    return rc;
}

cfb_code cfb_cli_print(cfb_str text, cfb_err *err) {
    errno = 0;
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0 && !ferror(stdout)) return CFB_OK;
    if (errno == EPIPE) { /* `cfbench ... | head`: the reader has seen enough; what is left to do has no one to read it */
        fflush(NULL);
        _exit(0);
    }
    return cfb_err_set_errno(err, errno ? errno : EIO, "cannot write to standard output");
}

cfb_code cfb_cli_print_json(cfb_jw *w, cfb_buf *b, cfb_err *err) {
    cfb_code rc = cfb_jw_finish(w, err);
    if (rc == CFB_OK) rc = cfb_buf_append_char(b, '\n', err);
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(b), err);
    cfb_buf_free(b);
    return rc;
}
