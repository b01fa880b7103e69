/* cfbench batch submit, status, fetch, cancel: the steps that talk to the server. The manifest is saved around each request. */
#include "cfbench/files.h"
#include "cfbench/json.h"
#include "cli/batch.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The server that the batches are on: the one of the first submit. */
static cfb_code settle_url(cfb_cli_batch *b, const char *url, cfb_err *err) {
    if (b->m.base_url[0] == '\0') {
        if (strlen(url) >= sizeof b->m.base_url) return cfb_err_set(err, CFB_ECONFIG, "--base-url is too long");
        snprintf(b->m.base_url, sizeof b->m.base_url, "%s", url);
    }
    if (strcmp(b->m.base_url, url) == 0) return CFB_OK;
    return cfb_err_set(err, CFB_ECONFLICT, "these batches are on %s, not on %s: give --base-url %s", b->m.base_url, url,
                       b->m.base_url);
}

static cfb_code copy_id(char *to, size_t size, const char *from, cfb_err *err) {
    int n = snprintf(to, size, "%s", from);
    return n >= 0 && (size_t)n < size ? CFB_OK : cfb_err_set(err, CFB_EPROTOCOL, "an id of the server is too long");
}

/* What the server says of a batch, into the manifest. */
static cfb_code note_batch(cfb_batch_shard *s, const cfb_remote_batch *r, cfb_err *err) {
    s->n_total = r->n_total;
    s->n_completed = r->n_completed;
    s->n_failed = r->n_failed;
    snprintf(s->message, sizeof s->message, "%s", r->message);
    cfb_code rc = copy_id(s->batch_id, sizeof s->batch_id, r->id, err);
    if (rc == CFB_OK) rc = copy_id(s->status, sizeof s->status, r->status, err);
    if (rc == CFB_OK) rc = copy_id(s->output_file_id, sizeof s->output_file_id, r->output_file_id, err);
    if (rc == CFB_OK) rc = copy_id(s->error_file_id, sizeof s->error_file_id, r->error_file_id, err);
    /* it ended without any result: there is nothing that could be imported */
    if (rc == CFB_OK && cfb_batch_shard_is_over(s) && s->output_file_id[0] == '\0' && s->error_file_id[0] == '\0')
        s->imported = true;
    return rc;
}

/* ---- submit ---- */

static cfb_code check_unchanged(const cfb_batch_shard *s, const char *path, cfb_err *err) {
    char hex[65] = "";
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0) close(fd);
        return cfb_err_set(err, CFB_ENOTFOUND, "%s cannot be read; 'batch export' makes it again", path);
    }
    void *p = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (p != MAP_FAILED) {
        cfb_sha256_hex(p, (size_t)st.st_size, hex);
        munmap(p, (size_t)st.st_size);
    }
    return strcmp(hex, s->file.sha256) == 0
               ? CFB_OK
               : cfb_err_set(err, CFB_EDATA, "%s changed since it was made; 'batch export' makes it again", path);
}

static cfb_code upload(cfb_cli_batch *b, cfb_batch_shard *s, cfb_files_t *f, cfb_err *err) {
    char path[PATH_MAX], name[128];
    cfb_remote_file file = {0};
    bool found = false;
    snprintf(name, sizeof name, "cfbench-%s-%s", b->m.tag, s->file.name);
    cfb_code rc = cfb_cli_batch_path(b, s, "", path, err);
    if (rc == CFB_OK) rc = check_unchanged(s, path, err);
    if (rc == CFB_OK && s->upload_started) rc = cfb_files_find(f, name, s->file.n_bytes, &file, &found, err);
    if (rc == CFB_OK && !found) {
        s->upload_started = true;
        rc = cfb_cli_batch_save(b, err); /* before the server knows of it */
        if (rc == CFB_OK) rc = cfb_files_upload(f, path, name, &file, err);
    }
    if (rc == CFB_OK) rc = copy_id(s->file_id, sizeof s->file_id, file.id, err);
    return rc == CFB_OK ? cfb_cli_batch_save(b, err) : rc;
}

static cfb_code create(cfb_cli_batch *b, cfb_batch_shard *s, cfb_files_t *f, cfb_err *err) {
    cfb_remote_batch batch;
    bool found = false;
    cfb_code rc = s->create_started ? cfb_files_batch_find(f, s->file_id, &batch, &found, err) : CFB_OK;
    if (rc == CFB_OK && !found) {
        s->create_started = true;
        rc = cfb_cli_batch_save(b, err);
        if (rc == CFB_OK) rc = cfb_files_batch_create(f, s->file_id, b->m.tag, &batch, err);
    }
    if (rc == CFB_OK) rc = note_batch(s, &batch, err);
    return rc == CFB_OK ? cfb_cli_batch_save(b, err) : rc;
}

static cfb_code submit_one(cfb_cli_batch *b, cfb_batch_shard *s, cfb_files_t *f, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (s->batch_id[0]) return CFB_OK;
    if (s->file_id[0] == '\0') rc = upload(b, s, f, err);
    if (rc == CFB_OK) rc = create(b, s, f, err);
    if (rc != CFB_OK) return cfb_err_add_context(err, "%s", s->file.name);
    if (!b->c->quiet)
        fprintf(stderr, "%s: %lld requests are batch %s\n", s->file.name, (long long)s->file.n_requests, s->batch_id);
    return CFB_OK;
}

/* ---- status ---- */

static cfb_code refresh(cfb_cli_batch *b, cfb_batch_shard *s, cfb_files_t *f, cfb_err *err) {
    cfb_remote_batch batch;
    if (s->batch_id[0] == '\0' || cfb_batch_shard_is_over(s)) return CFB_OK;
    cfb_code rc = cfb_files_batch_get(f, s->batch_id, &batch, err);
    if (rc == CFB_OK) rc = note_batch(s, &batch, err);
    return rc == CFB_OK ? cfb_cli_batch_save(b, err) : cfb_err_add_context(err, "%s", s->file.name);
}

static const char *state_of(const cfb_batch_shard *s) {
    if (s->batch_id[0] == '\0') return s->upload_started ? "half submitted" : "not submitted";
    return s->status;
}

static cfb_code print_status(const cfb_cli_batch *b, cfb_err *err) {
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_code rc;
    if (b->c->json) {
        rc = cfb_batch_manifest_write(&b->m, &out, err);
    } else {
        rc = cfb_buf_printf(&out, err, "%-16s %9s %9s %9s  %-15s %-8s %-8s  %s\n", "file", "requests", "done", "failed", "status",
                            "fetched", "imported", "batch");
        for (size_t i = 0; i < b->m.n_shards && rc == CFB_OK; i++) {
            const cfb_batch_shard *s = &b->m.shards[i];
            rc = cfb_buf_printf(&out, err, "%-16s %9lld %9lld %9lld  %-15s %-8s %-8s  %s%s%s\n", s->file.name,
                                (long long)s->file.n_requests, (long long)s->n_completed, (long long)s->n_failed, state_of(s),
                                s->output_fetched || s->errors_fetched ? "yes" : "no", s->imported ? "yes" : "no",
                                s->batch_id[0] ? s->batch_id : "-", s->message[0] ? "  " : "", s->message);
        }
    }
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&out), err);
    cfb_buf_free(&out);
    return rc;
}

/* ---- fetch, cancel ---- */

static cfb_code fetch_one(cfb_cli_batch *b, cfb_batch_shard *s, cfb_files_t *f, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = refresh(b, s, f, err);
    if (rc != CFB_OK || !cfb_batch_shard_is_over(s)) return rc;
    for (int errors = 0; errors < 2 && rc == CFB_OK; errors++) {
        const char *id = errors ? s->error_file_id : s->output_file_id;
        bool *fetched = errors ? &s->errors_fetched : &s->output_fetched;
        if (id[0] == '\0' || *fetched) continue;
        rc = cfb_cli_batch_path(b, s, errors ? ".errors" : ".output", path, err);
        if (rc == CFB_OK) rc = cfb_files_download(f, id, path, err);
        if (rc == CFB_OK) *fetched = true;
        if (rc == CFB_OK) rc = cfb_cli_batch_save(b, err);
        if (rc == CFB_OK && !b->c->quiet) fprintf(stderr, "%s is here\n", path);
    }
    return rc == CFB_OK ? rc : cfb_err_add_context(err, "%s", s->file.name);
}

static cfb_code cancel_one(cfb_cli_batch *b, cfb_batch_shard *s, cfb_files_t *f, cfb_err *err) {
    cfb_remote_batch batch;
    if (!s->upload_started || cfb_batch_shard_is_over(s)) return CFB_OK;
    if (s->batch_id[0] == '\0') { /* half submitted: is there a batch that we never heard of? */
        bool found = false;
        cfb_code rc = s->file_id[0] && s->create_started ? cfb_files_batch_find(f, s->file_id, &batch, &found, err) : CFB_OK;
        if (rc == CFB_OK && !found) s->imported = true;
        if (rc != CFB_OK || !found) return rc == CFB_OK ? cfb_cli_batch_save(b, err) : rc;
        rc = note_batch(s, &batch, err);
        if (rc != CFB_OK || cfb_batch_shard_is_over(s)) return rc == CFB_OK ? cfb_cli_batch_save(b, err) : rc;
    }
    cfb_code rc = cfb_files_batch_cancel(f, s->batch_id, &batch, err);
    if (rc == CFB_OK) rc = note_batch(s, &batch, err);
    return rc == CFB_OK ? cfb_cli_batch_save(b, err) : cfb_err_add_context(err, "%s", s->file.name);
}

/* ---- for all of them ---- */

static cfb_code each_shard(cfb_cli_batch *b, cfb_code (*fn)(cfb_cli_batch *, cfb_batch_shard *, cfb_files_t *, cfb_err *),
                           cfb_err *err) {
    cfb_generate_opts o = {0};
    cfb_files_t *f = NULL;
    cfb_cli_set_asking(b->c, &o);
    cfb_code rc = settle_url(b, o.client.base_urls[0], err);
    if (rc == CFB_OK) rc = cfb_client_global_init(err);
    if (rc != CFB_OK) return rc;
    const cfb_files_opts fo = {&o.client, o.max_retries, o.retry_base_s, o.retry_max_s, o.seed, &cfb_cli_stop};
    cfb_cli_catch_signals(false);
    rc = cfb_files_new(&fo, &f, err);
    for (size_t i = 0; i < b->m.n_shards && rc == CFB_OK; i++)
        rc = cfb_stop_is_on(&cfb_cli_stop) ? cfb_err_set(err, CFB_EINTERRUPTED, "stopped; the same command continues")
                                           : fn(b, &b->m.shards[i], f, err);
    cfb_files_free(f);
    cfb_cli_release_signals();
    cfb_client_global_cleanup();
    return rc;
}

cfb_code cfb_cli_batch_submit(cfb_cli_batch *b, cfb_err *err) {
    if (b->m.n_shards == 0) return cfb_err_set(err, CFB_ENOTFOUND, "%s names no files: nothing is there to submit", b->path);
    cfb_code rc = each_shard(b, submit_one, err);
    return rc == CFB_OK && b->c->json ? print_status(b, err) : rc;
}

cfb_code cfb_cli_batch_status(cfb_cli_batch *b, cfb_err *err) {
    cfb_code rc = b->m.base_url[0] ? each_shard(b, refresh, err) : CFB_OK; /* nothing was submitted: nobody to ask */
    return rc == CFB_OK ? print_status(b, err) : rc;
}

cfb_code cfb_cli_batch_fetch(cfb_cli_batch *b, cfb_err *err) {
    size_t not_over = 0, not_sent = 0;
    if (b->m.base_url[0] == '\0') return cfb_err_set(err, CFB_ENOTFOUND, "nothing was submitted yet: 'batch submit' comes first");
    cfb_code rc = each_shard(b, fetch_one, err);
    for (size_t i = 0; i < b->m.n_shards; i++) {
        not_sent += b->m.shards[i].batch_id[0] == '\0' && !b->m.shards[i].imported;
        not_over += b->m.shards[i].batch_id[0] && !cfb_batch_shard_is_over(&b->m.shards[i]);
    }
    if (rc == CFB_OK && b->c->json) rc = print_status(b, err);
    if (rc == CFB_OK && not_over + not_sent > 0)
        rc = cfb_err_set(err, CFB_EPARTIAL,
                         "of %zu batches %zu are not over yet and %zu not submitted; the same command again brings the rest",
                         b->m.n_shards, not_over, not_sent);
    return rc;
}

cfb_code cfb_cli_batch_cancel(cfb_cli_batch *b, cfb_err *err) {
    if (b->m.base_url[0] == '\0') return cfb_err_set(err, CFB_ENOTFOUND, "nothing was submitted yet");
    cfb_code rc = each_shard(b, cancel_one, err);
    return rc == CFB_OK ? print_status(b, err) : rc;
}
