/* tune_data.c - data of the shape of the user's suite, where none is given. */
#include "cfbench/dataset.h"
#include "cfbench/json.h"
#include "cfbench/prompt.h"
#include "cli/tune.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of ours: a few levels, no links followed. */
void tune_remove_folder(const char *path) {
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char sub[PATH_MAX];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (snprintf(sub, sizeof sub, "%s/%s", path, e->d_name) >= (int)sizeof sub || lstat(sub, &st) != 0) continue;
        if (S_ISDIR(st.st_mode))
            tune_remove_folder(sub);
        else
            unlink(sub);
    }
    if (d != NULL) closedir(d);
    rmdir(path);
}

static cfb_code put_field(cfb_buf *b, cfb_str v, char end, cfb_err *err) {
    cfb_code rc = cfb_csv_append_field(b, v, false, err);
    return rc == CFB_OK ? cfb_buf_append_char(b, end, err) : rc;
}

/* One pass over a task's rows. Every fourth output is another row's reference: right and wrong ones, as models write them. */
static cfb_code put_rows(const cfb_records *r, cfb_buf *b, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < r->n && rc == CFB_OK; i++) {
        cfb_str response = r->rows[i].response, output = r->rows[i % 4 == 3 ? (i + 1) % r->n : i].response;
        if (response.ptr == NULL || output.ptr == NULL) continue;
        rc = put_field(b, r->rows[i].input, ',', err);
        if (rc == CFB_OK) rc = put_field(b, response, ',', err);
        if (rc == CFB_OK) rc = put_field(b, output, '\n', err);
    }
    return rc;
}

static cfb_code make_file(tune_sweep *s, const char *folder, const cfb_suite_t *suite, size_t task, uint64_t bytes,
                          cfb_err *err) {
    char path[PATH_MAX + 128];
    cfb_records r;
    cfb_buf pass = CFB_BUF_INIT((size_t)1 << 30);
    cfb_file_writer_t *w = NULL;
    cfb_code rc = cfb_suite_read_records(suite, task, CFB_SHOT_ZERO, 0, &r, err);
    if (rc != CFB_OK) return rc;
    snprintf(path, sizeof path, "%s/%.100s-output.csv", folder, cfb_suite_task(suite, task)->name);
    rc = put_rows(&r, &pass, err);
    if (rc == CFB_OK) rc = cfb_file_writer_open(path, &w, err);
    if (rc == CFB_OK) rc = cfb_file_writer_write(w, "input,response,output\n", 22, err);
    for (uint64_t done = 0; rc == CFB_OK && pass.len > 0 && done < bytes; done += pass.len, s->bytes += pass.len)
        rc = cfb_file_writer_write(w, pass.ptr, pass.len, err);
    if (rc == CFB_OK)
        rc = cfb_file_writer_commit(w, err);
    else
        cfb_file_writer_abort(w);
    cfb_buf_free(&pass);
    cfb_records_free(&r);
    return rc;
}

cfb_code tune_make_responses(tune_sweep *s, uint64_t bytes, cfb_err *err) {
    static char folder[PATH_MAX + 16];
    cfb_suite_t *suite = NULL;
    size_t *tasks = NULL, n = 0;
    snprintf(folder, sizeof folder, "%s/responses", s->scratch);
    s->bytes = 0;
    cfb_code rc = cfb_mkdir_p(folder, err);
    if (rc == CFB_OK) rc = cfb_suite_load(s->c->suite, s->c->data, 0, &suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(s->c, suite, &tasks, &n, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = make_file(s, folder, suite, tasks[i], bytes / n, err);
    free(tasks);
    cfb_suite_free(suite);
    s->path = folder;
    return rc;
}

/* ---- texts to embed ---- */

#define TEXTS_MADE 16384
#define TEXTS_TRIED 64
#define LEAST_TOKENS 1536 /* two tiles of products: fewer say nothing about long batches */

/* One text on a line of its own. */
static cfb_code put_text(cfb_buf *b, size_t number, cfb_str text, cfb_err *err) {
    cfb_code rc = number ? cfb_buf_printf(b, err, "%zu ", number) : CFB_OK;
    size_t at = b->len;
    if (rc == CFB_OK) rc = cfb_buf_append_str(b, text, err);
    for (size_t i = at; rc == CFB_OK && i < b->len; i++)
        if (b->ptr[i] == '\n' || b->ptr[i] == '\r') b->ptr[i] = ' ';
    return rc == CFB_OK ? cfb_buf_append_char(b, '\n', err) : rc;
}

/* References and inputs of the suite, again and again, from the second pass on with a number so that no two are the same. */
static cfb_code texts_of_suite(const tune_sweep *s, cfb_buf *b, cfb_err *err) {
    cfb_suite_t *suite = NULL;
    size_t *tasks = NULL, n_tasks = 0, put = 0;
    cfb_code rc = cfb_suite_load(s->c->suite, s->c->data, 0, &suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(s->c, suite, &tasks, &n_tasks, err);
    for (size_t pass = 0, before = SIZE_MAX; rc == CFB_OK && put < TEXTS_MADE && put != before; pass++) {
        before = put;
        for (size_t t = 0; t < n_tasks && rc == CFB_OK; t++) {
            cfb_records r;
            rc = cfb_suite_read_records(suite, tasks[t], CFB_SHOT_ZERO, 0, &r, err);
            if (rc != CFB_OK) break;
            for (size_t i = 0; i < 2 * r.n && rc == CFB_OK; i++) {
                cfb_str text = i % 2 ? r.rows[i / 2].response : r.rows[i / 2].input;
                if (text.len == 0) continue;
                rc = put_text(b, pass, text, err);
                put++;
            }
            cfb_records_free(&r);
        }
    }
    if (rc == CFB_OK && put == 0) rc = cfb_err_set(err, CFB_EDATA, "the suite has no texts");
    free(tasks);
    cfb_suite_free(suite);
    return rc;
}

static cfb_code put_rows_of_column(void *ctx, const cfb_str *texts, size_t n, size_t first, cfb_err *err) {
    cfb_code rc = CFB_OK;
    (void)first;
    for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = put_text(ctx, 0, texts[i], err);
    return rc;
}

static cfb_code texts_of_column(const char *path, const char *column, cfb_buf *b, cfb_err *err) {
    size_t n;
    return cfb_cli_each_text(path, column, put_rows_of_column, b, &n, err);
}

/* The first n lines into the file of the sweep's texts; *n: how many there were. */
static cfb_code keep_lines(tune_sweep *s, cfb_str all, size_t *n, cfb_err *err) {
    size_t at = 0, lines = 0;
    while (at < all.len && lines < *n) {
        const char *end = memchr(all.ptr + at, '\n', all.len - at);
        at = end ? (size_t)(end - all.ptr) + 1 : all.len;
        lines++;
    }
    *n = lines;
    return cfb_file_write(s->texts, (cfb_str){all.ptr, at}, err);
}

cfb_code tune_make_texts(tune_sweep *s, const char *path, double run_s, cfb_err *err) {
    cfb_buf all = CFB_BUF_INIT((size_t)1 << 30);
    size_t n = TEXTS_TRIED;
    double tokens = 0, seconds = 0;
    snprintf(s->texts, sizeof s->texts, "%s/texts", s->scratch);
    cfb_code rc = path == NULL   ? texts_of_suite(s, &all, err)
                  : s->c->column ? texts_of_column(path, s->c->column, &all, err)
                                 : cfb_file_read(path, (size_t)1 << 29, &all, err);
    if (rc == CFB_OK) rc = keep_lines(s, cfb_buf_str(&all), &n, err);
    for (int i = 0; i < 2 && rc == CFB_OK; i++)
        rc = tune_try_texts(s, &tokens, &seconds, err); /* the first reads the model's file */
    if (rc == CFB_OK) {
        double wanted = tokens / seconds * run_s;
        if (wanted < LEAST_TOKENS) wanted = LEAST_TOKENS;
        n = (size_t)(wanted / tokens * (double)n) + 1;
        rc = keep_lines(s, cfb_buf_str(&all), &n, err);
    }
    cfb_buf_free(&all);
    return rc;
}

/* ---- a suite to ask ---- */

#define TASKS_MADE 8

static cfb_code put_prompt_row(cfb_buf *b, size_t i, cfb_str text, cfb_err *err) {
    cfb_jw w;
    char id[32];
    snprintf(id, sizeof id, "r%zu", i);
    cfb_jw_init(&w, b, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "id");
    cfb_jw_strz(&w, id);
    cfb_jw_key(&w, "input");
    cfb_jw_str(&w, text);
    cfb_jw_key(&w, "instruction");
    cfb_jw_strz(&w, "");
    cfb_jw_key(&w, "response");
    cfb_jw_strz(&w, "answer");
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? cfb_buf_append_char(b, '\n', err) : rc;
}

/* n rows, the i-th into b[i % TASKS_MADE]: their inputs are the prompts of the suite, in turn, each with a number so that no two
 * are the same. */
static cfb_code put_prompts(const cfb_config *c, size_t n, cfb_buf *b, cfb_err *err) {
    cfb_suite_t *suite = NULL;
    size_t *tasks = NULL, n_tasks = 0, put = 0;
    cfb_shot shot = cfb_cli_shot(c);
    cfb_buf prompt = CFB_BUF_INIT((size_t)64 << 20);
    cfb_code rc = cfb_suite_load(c->suite, c->data, shot == CFB_SHOT_FEW ? CFB_SUITE_FEWSHOT : 0, &suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(c, suite, &tasks, &n_tasks, err);
    while (rc == CFB_OK && put < n) {
        size_t before = put;
        for (size_t t = 0; t < n_tasks && rc == CFB_OK && put < n; t++) {
            cfb_records r;
            rc = cfb_suite_read_records(suite, tasks[t], shot, 0, &r, err);
            if (rc != CFB_OK) break;
            for (size_t i = 0; i < r.n && rc == CFB_OK && put < n; i++) {
                cfb_buf_clear(&prompt);
                rc = cfb_buf_printf(&prompt, err, "[%zu] ", put);
                if (rc == CFB_OK) rc = cfb_prompt_render(cfb_suite_task(suite, tasks[t]), shot, &r.rows[i], &prompt, err);
                if (rc == CFB_OK) rc = put_prompt_row(&b[put % TASKS_MADE], put, cfb_buf_str(&prompt), err);
                put++;
            }
            cfb_records_free(&r);
        }
        if (rc == CFB_OK && put == before) rc = cfb_err_set(err, CFB_EDATA, "the suite has no rows");
    }
    cfb_buf_free(&prompt);
    free(tasks);
    cfb_suite_free(suite);
    return rc;
}

cfb_code tune_make_suite(tune_sweep *s, size_t n, cfb_err *err) {
    static const char head[] =
        "{\"schema\": \"cfbench.suite/1\", \"name\": \"tune\", \"title\": \"Tuning\",\n"
        " \"columns\": {\"id\": \"id\", \"input\": \"input\", \"instruction\": \"instruction\", \"response\": \"response\"},\n"
        " \"defaults\": {\"max_tokens\": 64, \"prompt\": {\"zero\": \"{input}\"}, \"postprocess\": {\"zero\": [\"strip\"]}},\n"
        " \"tasks\": [";
    static char folder[PATH_MAX + 16];
    char path[PATH_MAX + 64];
    cfb_buf rows[TASKS_MADE], suite = CFB_BUF_INIT(65536);
    for (size_t t = 0; t < TASKS_MADE; t++) rows[t] = (cfb_buf)CFB_BUF_INIT((size_t)1 << 30);
    snprintf(folder, sizeof folder, "%s/suite", s->scratch);
    cfb_code rc = cfb_mkdir_p(folder, err);
    if (rc == CFB_OK) rc = put_prompts(s->c, n, rows, err);
    if (rc == CFB_OK) rc = cfb_buf_printf(&suite, err, "%s", head);
    for (size_t t = 0; t < TASKS_MADE && rc == CFB_OK; t++) {
        rc = cfb_buf_printf(&suite, err,
                            "%s{\"name\": \"ask%zu\", \"kind\": \"generation\", \"metric\": \"tf\", \"data\": [\"ask%zu\"]}%s",
                            t ? ", " : "", t, t, t + 1 == TASKS_MADE ? "]}\n" : "");
        snprintf(path, sizeof path, "%s/ask%zu.jsonl", folder, t);
        if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&rows[t]), err);
    }
    snprintf(path, sizeof path, "%s/suite.json", folder);
    if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&suite), err);
    for (size_t t = 0; t < TASKS_MADE; t++) cfb_buf_free(&rows[t]);
    cfb_buf_free(&suite);
    s->suite = folder;
    s->rows = n;
    s->n_tasks = TASKS_MADE;
    return rc;
}
