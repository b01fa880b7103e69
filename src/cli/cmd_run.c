/* cfbench run, generate, report, export: asking, and scoring what is in a run store. */
#include "cfbench/json.h"
#include "cli/asking.h"
#include "cli/plan.h"

#include <stdio.h>
#include <stdlib.h>

static cfb_code failed_rows(uint64_t n, const char *again, cfb_err *err) {
    return cfb_err_set(err, CFB_EPARTIAL, "%llu row%s no answer (named above); %s", (unsigned long long)n,
                       n == 1 ? " has" : "s have", again);
}

cfb_code cfb_cli_publish_store(const cfb_config *c, const char *out, const char *dir, unsigned what, uint64_t *n_failed,
                               cfb_err *err) {
    cfb_scoring_t *s = NULL;
    char path[PATH_MAX];
    cfb_code rc = cfb_cli_store_path(out, path, err);
    if (rc == CFB_OK) rc = cfb_scoring_new(c, &s, err);
    if (rc == CFB_OK) rc = cfb_scoring_add_store(s, path, dir, what, err);
    if (rc == CFB_OK) rc = cfb_scoring_publish(s, dir, NULL, err);
    *n_failed = rc == CFB_OK ? cfb_scoring_n_failed(s) : 0;
    cfb_scoring_free(s);
    return rc;
}

cfb_code cfb_cmd_generate(const cfb_config *c, cfb_err *err) {
    size_t n_failed = 0;
    if (c->dry_run) return cfb_cli_dry_run(c, err);
    cfb_code rc = cfb_cli_ask(c, &n_failed, err);
    return rc == CFB_OK && n_failed ? failed_rows(n_failed, "the same command asks for them again", err) : rc;
}

cfb_code cfb_cmd_run(const cfb_config *c, cfb_err *err) {
    size_t asked_failed = 0;
    uint64_t n_failed = 0;
    if (c->dry_run) return cfb_cli_dry_run(c, err);
    cfb_code rc = cfb_cli_ask(c, &asked_failed, err);
    if (c->rank > 0) return rc; /* rank 0 has the replies */
    if (rc == CFB_OK)
        rc = cfb_cli_publish_store(c, c->out, c->out, CFB_EXPORT_OUTPUT | CFB_EXPORT_SCORES | CFB_EXPORT_DETAILS, &n_failed, err);
    if (rc == CFB_OK && !c->quiet)
        fprintf(stderr,
                "results: %s/ (report.html, report.md, scores.json, cfbenchmark-response/, cfbenchmark-scores/, run.db)\n",
                c->out);
    return rc == CFB_OK && n_failed ? failed_rows(n_failed, "the same command asks for them again", err) : rc;
}

cfb_code cfb_cmd_report(const cfb_config *c, cfb_err *err) {
    uint64_t n_failed = 0;
    const char *run = c->args[0], *dir = c->out ? c->out : run; /* a run is its folder, unless run.db itself was named */
    char folder[PATH_MAX], store[PATH_MAX];
    if (c->out == NULL && !cfb_path_is_dir(run)) {
        const char *base = cfb_path_base(run);
        snprintf(folder, sizeof folder, "%.*s", base == run ? 1 : (int)(base - run), base == run ? "." : run);
        dir = folder;
    }
    cfb_code rc = cfb_cli_store_path(run, store, err);
    if (rc == CFB_OK && !cfb_path_exists(store)) /* where many will look first for a report of their files */
        rc = cfb_err_set(err, CFB_ENOTFOUND,
                         "there is no run store %.500s; of files with outputs 'cfbench score %.500s --out DIR' makes a report",
                         store, run);
    if (rc == CFB_OK) rc = cfb_cli_publish_store(c, run, dir, 0, &n_failed, err);
    return rc == CFB_OK && n_failed ? failed_rows(n_failed, "`cfbench generate` asks for them again", err) : rc;
}

/* ---- export ---- */

struct jsonl_job {
    cfb_store_t *store;
    const char *dir, *task;
    bool force; /* replace files that are there */
    cfb_file_writer_t *file;
    cfb_buf line;
};

static void write_member(cfb_jw *w, const char *key, cfb_str value) {
    cfb_jw_key(w, key);
    cfb_jw_str(w, value);
}

static cfb_code jsonl_row(void *ctx, const cfb_store_result *r, cfb_err *err) {
    struct jsonl_job *j = ctx;
    cfb_jw w;
    cfb_buf_clear(&j->line);
    cfb_jw_init(&w, &j->line, 0);
    cfb_jw_obj(&w);
    write_member(&w, "task", cfb_str_from(j->task));
    cfb_jw_key(&w, "row");
    cfb_jw_int(&w, r->row);
    write_member(&w, "id", r->id);
    write_member(&w, "input", r->input);
    write_member(&w, "instruction", r->instruction);
    write_member(&w, "response", r->response);
    write_member(&w, "output", r->output);
    write_member(&w, "content", r->content);
    write_member(&w, "state", cfb_str_from(r->state));
    cfb_jw_key(&w, "attempts");
    cfb_jw_int(&w, r->n_attempts);
    write_member(&w, "fail", cfb_str_from(r->fail));
    write_member(&w, "message", cfb_str_from(r->message));
    cfb_jw_key(&w, "latency_us");
    cfb_jw_int(&w, r->latency_us);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    if (rc == CFB_OK) rc = cfb_buf_append_char(&j->line, '\n', err);
    return rc == CFB_OK ? cfb_file_writer_write(j->file, j->line.ptr, j->line.len, err) : rc;
}

static cfb_code jsonl_task(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err) {
    struct jsonl_job *j = ctx;
    char name[PATH_MAX], path[PATH_MAX];
    snprintf(name, sizeof name, "%s-output.jsonl", t->name);
    j->task = t->name;
    cfb_code rc = cfb_path_join(path, sizeof path, j->dir, name, err);
    if (rc == CFB_OK && !j->force && cfb_path_exists(path))
        rc = cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", path);
    if (rc == CFB_OK) rc = cfb_file_writer_open(path, &j->file, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_store_each_result(j->store, task_id, jsonl_row, j, err);
    if (rc == CFB_OK) return cfb_file_writer_commit(j->file, err);
    cfb_file_writer_abort(j->file);
    return rc;
}

static cfb_code export_jsonl(const char *path, const char *dir, bool force, cfb_err *err) {
    struct jsonl_job j = {.dir = dir, .force = force, .line = CFB_BUF_INIT(0)};
    cfb_code rc = cfb_mkdir_p(dir, err);
    if (rc == CFB_OK) rc = cfb_store_open(path, CFB_STORE_READ, &j.store, err);
    int64_t begin_ns = cfb_cli_stage_begin();
    if (rc == CFB_OK) rc = cfb_store_each_task(j.store, jsonl_task, &j, err);
    cfb_cli_stage_end("copy rows", begin_ns);
    cfb_store_close(j.store, NULL);
    cfb_buf_free(&j.line);
    return rc;
}

cfb_code cfb_cmd_export(const cfb_config *c, cfb_err *err) {
    const char *run = c->args[0], *dir = c->n_args > 1 ? c->args[1] : c->out;
    char path[PATH_MAX];
    cfb_scoring_t *s = NULL;
    if (dir == NULL) dir = cfb_path_is_dir(run) ? run : ".";
    cfb_code rc = cfb_cli_store_path(run, path, err);
    if (rc == CFB_OK && c->format && strcmp(c->format, "jsonl") == 0) {
        rc = export_jsonl(path, dir, c->force, err);
    } else if (rc == CFB_OK) {
        rc = cfb_scoring_new(c, &s, err);
        unsigned what = CFB_EXPORT_OUTPUT | CFB_EXPORT_SCORES | CFB_EXPORT_DETAILS | (c->force ? 0u : CFB_EXPORT_KEEP);
        if (rc == CFB_OK) rc = cfb_scoring_add_store(s, path, dir, what, err);
        cfb_scoring_free(s);
    }
    if (rc == CFB_OK && !c->quiet) fprintf(stderr, "exported to %s/\n", dir);
    return rc;
}
