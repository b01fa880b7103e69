/* cfbench batch: offline batches. The folder OUT/batch is their state; here: the folder, and export. */
#include "cli/batch.h"
#include "cfbench/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define MAX_BODY_BYTES ((size_t)64 << 20)

/* ---- the folder ---- */

static cfb_code take_lock(cfb_cli_batch *b, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, b->dir, "lock", err);
    if (rc != CFB_OK) return rc;
    b->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (b->lock_fd < 0) return cfb_err_set_errno(err, errno, "cannot write %s", path);
    if (flock(b->lock_fd, LOCK_EX | LOCK_NB) == 0) return CFB_OK;
    if (errno == EWOULDBLOCK) return cfb_err_set(err, CFB_EACCESS, "another 'cfbench batch' works in %s; wait for it", b->dir);
    return cfb_err_set_errno(err, errno, "cannot lock %s", path);
}

static cfb_code new_manifest(cfb_cli_batch *b, cfb_err *err) {
    unsigned char bytes[8];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return cfb_err_set_errno(err, errno, "no random numbers");
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(b->m.tag + 2 * i, 3, "%02x", bytes[i]);
    return CFB_OK;
}

cfb_code cfb_cli_batch_open(const cfb_config *c, bool create, cfb_cli_batch *b, cfb_err *err) {
    *b = (cfb_cli_batch){.c = c, .lock_fd = -1};
    cfb_code rc = cfb_path_join(b->dir, sizeof b->dir, c->out, "batch", err);
    if (rc == CFB_OK) rc = cfb_path_join(b->path, sizeof b->path, b->dir, "manifest.json", err);
    if (rc == CFB_OK && create) rc = cfb_mkdir_p(b->dir, err);
    if (rc == CFB_OK && !cfb_path_exists(b->path) && !create)
        rc = cfb_err_set(err, CFB_ENOTFOUND, "there is no %s: 'cfbench batch export' comes first, with the same --out", b->path);
    if (rc == CFB_OK) rc = take_lock(b, err);
    if (rc == CFB_OK) rc = cfb_path_exists(b->path) ? cfb_batch_manifest_read(b->path, &b->m, err) : new_manifest(b, err);
    if (rc != CFB_OK) cfb_cli_batch_close(b);
    return rc;
}

void cfb_cli_batch_close(cfb_cli_batch *b) {
    if (b->lock_fd >= 0) close(b->lock_fd);
    b->lock_fd = -1;
    cfb_batch_manifest_free(&b->m);
}

cfb_code cfb_cli_batch_save(const cfb_cli_batch *b, cfb_err *err) { return cfb_batch_manifest_save(&b->m, b->path, err); }

cfb_code cfb_cli_batch_path(const cfb_cli_batch *b, const cfb_batch_shard *s, const char *suffix, char path[PATH_MAX],
                            cfb_err *err) {
    char name[CFB_BATCH_FILE_SIZE + 16];
    int stem = (int)strcspn(s->file.name, ".");
    snprintf(name, sizeof name, "%.*s%s%s", stem, s->file.name, suffix, s->file.name + stem);
    return cfb_path_join(path, PATH_MAX, b->dir, name, err);
}

/* ---- the run ---- */

cfb_code cfb_cli_batch_run_open(const cfb_config *c, cfb_cli_batch_run *r, cfb_err *err) {
    unsigned flags = CFB_SUITE_LABELS | (cfb_cli_shot(c) == CFB_SHOT_FEW ? CFB_SUITE_FEWSHOT : 0u);
    *r = (cfb_cli_batch_run){0};
    if (c->model == NULL)
        return cfb_err_set(err, CFB_EUSAGE, "--model is missing: name the model that is asked; see 'cfbench batch --help'");
    cfb_code rc = cfb_export_check_model(c->model, err);
    if (rc == CFB_OK) rc = cfb_suite_load(c->suite, c->data, flags, &r->suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(c, r->suite, &r->tasks, &r->n_tasks, err);
    if (rc == CFB_OK) rc = cfb_mkdir_p(c->out, err);
    if (rc == CFB_OK) rc = cfb_cli_store_path(c->out, r->store_path, err);
    if (rc == CFB_OK) rc = cfb_store_open(r->store_path, cfb_cli_store_mode(c), &r->store, err);
    if (rc == CFB_OK) rc = cfb_cli_bind_settings(c, r->suite, r->store, err);
    if (rc != CFB_OK) return cfb_cli_batch_run_close(r, rc, err);
    r->opts.suite = r->suite;
    r->opts.tasks = r->tasks;
    r->opts.n_tasks = r->n_tasks;
    r->opts.shot = cfb_cli_shot(c);
    r->opts.limit = (size_t)c->limit;
    cfb_cli_set_asking(c, &r->opts);
    r->opts.store = r->store;
    r->opts.client.request.stream = false; /* a batch has no streams */
    r->opts.max_attempts = 0;              /* rows that failed before may well go through in a batch */
    return CFB_OK;
}

cfb_code cfb_cli_batch_run_close(cfb_cli_batch_run *r, cfb_code rc, cfb_err *err) {
    cfb_code closed = cfb_store_close(r->store, rc == CFB_OK ? err : NULL);
    cfb_suite_free(r->suite);
    free(r->tasks);
    *r = (cfb_cli_batch_run){0};
    return rc == CFB_OK ? closed : rc;
}

/* ---- export ---- */

struct exporting {
    const cfb_request *request;
    cfb_batch_writer_t *writer;
    cfb_buf body;
};

static cfb_code export_row(void *ctx, const cfb_pending_row *r, cfb_err *err) {
    struct exporting *e = ctx;
    char id[CFB_BATCH_ID_SIZE];
    cfb_buf_clear(&e->body);
    cfb_batch_custom_id(cfb_str_from(r->def->name), r->id, r->row, r->key, id);
    cfb_code rc = cfb_request_write(e->request, 0, r->prompt, r->max_tokens, &e->body, err);
    if (rc == CFB_OK) rc = cfb_batch_writer_add(e->writer, id, cfb_buf_str(&e->body), err);
    return rc == CFB_OK ? rc : cfb_err_add_context(err, "task '%s', row %zu", r->def->name, r->row);
}

/* What was sent must come back first, or its rows would be asked, and paid for, twice. Files that were never sent are made again.
 */
static cfb_code drop_unsent(cfb_cli_batch *b, cfb_batch_manifest *old, cfb_err *err) {
    size_t kept = 0;
    cfb_code rc = cfb_batch_manifest_add(old, NULL, 0, err);
    for (size_t i = 0; i < b->m.n_shards && rc == CFB_OK; i++) {
        const cfb_batch_shard *s = &b->m.shards[i];
        if (s->upload_started && !s->imported)
            return cfb_err_set(
                err, CFB_EUSAGE,
                "%s was sent and not imported yet (%s): 'batch fetch' and 'batch import' come first, or 'batch cancel'",
                s->file.name, s->status[0] ? s->status : "not started");
        if (!s->upload_started)
            rc = cfb_batch_manifest_add(old, &s->file, 1, err);
        else
            b->m.shards[kept++] = *s;
    }
    if (rc == CFB_OK) b->m.n_shards = kept;
    return rc;
}

static cfb_code say_export(const cfb_cli_batch *b, const cfb_batch_file *files, size_t n, cfb_err *err) {
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_jw w;
    int64_t requests = 0;
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n; i++) requests += files[i].n_requests;
    if (b->c->json) {
        cfb_jw_init(&w, &out, 2);
        cfb_jw_obj(&w);
        cfb_jw_key(&w, "schema");
        cfb_jw_strz(&w, "cfbench.batch-export/1");
        cfb_jw_key(&w, "folder");
        cfb_jw_strz(&w, b->dir);
        cfb_jw_key(&w, "requests");
        cfb_jw_int(&w, requests);
        cfb_jw_key(&w, "files");
        cfb_jw_arr(&w);
        for (size_t i = 0; i < n; i++) cfb_jw_strz(&w, files[i].name);
        cfb_jw_end_arr(&w);
        cfb_jw_end_obj(&w);
        rc = cfb_jw_finish(&w, err);
        if (rc == CFB_OK) rc = cfb_buf_append_char(&out, '\n', err);
    } else if (n == 0) {
        rc = cfb_buf_printf(&out, err, "every row has a reply: there is nothing to export\n");
    } else {
        for (size_t i = 0; i < n && rc == CFB_OK; i++)
            rc = cfb_buf_printf(&out, err, "%s/%s  %lld requests, %lld bytes\n", b->dir, files[i].name,
                                (long long)files[i].n_requests, (long long)files[i].n_bytes);
    }
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&out), err);
    cfb_buf_free(&out);
    return rc;
}

static cfb_code write_requests(cfb_cli_batch *b, const cfb_cli_batch_run *run, cfb_batch_file **files, size_t *n, cfb_err *err) {
    cfb_batch_writer_opts o = {.dir = b->dir, .round = b->m.round + 1, .max_requests = b->c->batch_max_requests};
    struct exporting e = {&run->opts.client.request, NULL, CFB_BUF_INIT(MAX_BODY_BYTES)};
    (void)cfb_config_parse_size(b->c->batch_max_bytes, &o.max_bytes); /* was checked as an option */
    cfb_code rc = cfb_batch_writer_new(&o, &e.writer, err);
    if (rc == CFB_OK) rc = cfb_generate_pending(&run->opts, export_row, &e, err);
    if (rc == CFB_OK) rc = cfb_batch_writer_finish(e.writer, files, n, err);
    cfb_batch_writer_free(e.writer);
    cfb_buf_free(&e.body);
    return rc;
}

static void remove_files(const cfb_cli_batch *b, const cfb_batch_manifest *old) {
    char path[PATH_MAX];
    for (size_t i = 0; i < old->n_shards; i++)
        if (cfb_cli_batch_path(b, &old->shards[i], "", path, NULL) == CFB_OK) unlink(path);
}

static cfb_code export_requests(cfb_cli_batch *b, cfb_err *err) {
    cfb_cli_batch_run run;
    cfb_batch_manifest old = {0};
    cfb_batch_file *files = NULL;
    size_t n = 0;
    cfb_code rc = drop_unsent(b, &old, err);
    if (rc == CFB_OK) rc = cfb_cli_batch_run_open(b->c, &run, err);
    if (rc == CFB_OK) rc = cfb_cli_batch_run_close(&run, write_requests(b, &run, &files, &n, err), err);
    if (rc == CFB_OK) rc = cfb_batch_manifest_add(&b->m, files, n, err);
    if (rc == CFB_OK) {
        b->m.round++;
        snprintf(b->m.model, sizeof b->m.model, "%.255s", b->c->model);
        rc = cfb_cli_batch_save(b, err); /* from here on the new files count */
    }
    if (rc == CFB_OK) remove_files(b, &old);
    if (rc == CFB_OK) rc = say_export(b, files, n, err);
    cfb_batch_manifest_free(&old);
    free(files);
    return rc;
}

/* ---- the command ---- */

cfb_code cfb_cmd_batch(const cfb_config *c, cfb_err *err) {
    static const struct {
        const char *name;
        cfb_code (*run)(cfb_cli_batch *b, cfb_err *err);
        bool creates, takes_files;
    } steps[] = {{"export", export_requests, true, false},       {"submit", cfb_cli_batch_submit, false, false},
                 {"status", cfb_cli_batch_status, false, false}, {"fetch", cfb_cli_batch_fetch, false, false},
                 {"import", cfb_cli_batch_import, true, true},   {"cancel", cfb_cli_batch_cancel, false, false}};
    size_t n = sizeof steps / sizeof *steps, i = 0;
    while (i < n && strcmp(steps[i].name, c->args[0]) != 0) i++;
    if (i == n)
        return cfb_err_set(err, CFB_EUSAGE,
                           "batch: '%.40s' is none of export, submit, status, fetch, import, cancel; see 'cfbench batch --help'",
                           c->args[0]);
    if (c->n_args > 1 && !steps[i].takes_files)
        return cfb_err_set(err, CFB_EUSAGE, "batch %s takes no file: '%.200s'; only import does", steps[i].name, c->args[1]);
    if (c->mock) return cfb_err_set(err, CFB_EUSAGE, "batch needs a server of its own: 'cfbench mock' serves one for trials");
    cfb_cli_batch b;
    cfb_code rc = cfb_cli_batch_open(c, steps[i].creates, &b, err);
    if (rc != CFB_OK) return rc;
    int64_t begin_ns = cfb_cli_stage_begin();
    rc = steps[i].run(&b, err);
    cfb_cli_stage_end(steps[i].name, begin_ns);
    cfb_cli_batch_close(&b);
    return rc;
}
