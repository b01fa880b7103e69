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

/* ---- a suite to ask ---- */

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

/* Rows whose inputs are the prompts of the suite, in turn, each with a number so that no two are the same. */
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
                if (rc == CFB_OK) rc = put_prompt_row(b, put++, cfb_buf_str(&prompt), err);
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
    static const char suite[] =
        "{\"schema\": \"cfbench.suite/1\", \"name\": \"tune\", \"title\": \"Tuning\",\n"
        " \"columns\": {\"id\": \"id\", \"input\": \"input\", \"instruction\": \"instruction\", \"response\": \"response\"},\n"
        " \"defaults\": {\"max_tokens\": 64, \"prompt\": {\"zero\": \"{input}\"}, \"postprocess\": {\"zero\": [\"strip\"]}},\n"
        " \"tasks\": [{\"name\": \"ask\", \"kind\": \"generation\", \"metric\": \"tf\", \"data\": [\"ask\"]}]}\n";
    static char folder[PATH_MAX + 16];
    char path[PATH_MAX + 64];
    cfb_buf rows = CFB_BUF_INIT((size_t)1 << 30);
    snprintf(folder, sizeof folder, "%s/suite", s->scratch);
    cfb_code rc = cfb_mkdir_p(folder, err);
    snprintf(path, sizeof path, "%s/suite.json", folder);
    if (rc == CFB_OK) rc = cfb_file_write(path, CFB_STR_LIT(suite), err);
    if (rc == CFB_OK) rc = put_prompts(s->c, n, &rows, err);
    snprintf(path, sizeof path, "%s/ask.jsonl", folder);
    if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&rows), err);
    cfb_buf_free(&rows);
    s->suite = folder;
    s->rows = n;
    return rc;
}
