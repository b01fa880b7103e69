/* Files of requests, one a line, cut by number and size. */
#include "cfbench/base.h"
#include "cfbench/batch.h"
#include "cfbench/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINE_BYTES ((size_t)128 << 20)

/* At most max bytes of s; what is not in the plain set becomes '_'. */
static size_t put_plain(char *to, cfb_str s, size_t max) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = s.len < max ? s.len : max;
    for (size_t i = 0; i < n; i++) to[i] = s.ptr[i] && strchr(plain, s.ptr[i]) ? s.ptr[i] : '_';
    return n;
}

void cfb_batch_custom_id(cfb_str task, cfb_str id, size_t row, cfb_str key, char out[CFB_BATCH_ID_SIZE]) {
    char tail[40];
    int n = snprintf(tail, sizeof tail, "%zu-%.16s", row, key.len >= 16 ? key.ptr : "");
    size_t left = CFB_BATCH_ID_SIZE - 3 - (size_t)n, at;
    at = put_plain(out, task, left / 2); /* a number of 20 digits leaves 25 bytes: there is always room for both */
    out[at++] = '/';
    at += put_plain(out + at, id, left + 1 - at);
    out[at++] = '/';
    memcpy(out + at, tail, (size_t)n + 1);
}

struct cfb_batch_writer {
    cfb_batch_writer_opts o;
    char dir[PATH_MAX];
    cfb_batch_file *files; /* the last one is being written while `file` is open */
    size_t n_files, cap;
    cfb_file_writer_t *file;
    cfb_buf line;
};

cfb_code cfb_batch_writer_new(const cfb_batch_writer_opts *o, cfb_batch_writer_t **out, cfb_err *err) {
    cfb_batch_writer_t *w = calloc(1, sizeof *w);
    if (w == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    w->o = *o;
    w->line.max = MAX_LINE_BYTES;
    cfb_code rc = cfb_path_join(w->dir, sizeof w->dir, NULL, o->dir, err);
    if (rc == CFB_OK) rc = cfb_mkdir_p(w->dir, err);
    if (rc != CFB_OK) {
        cfb_batch_writer_free(w);
        return rc;
    }
    *out = w;
    return CFB_OK;
}

void cfb_batch_writer_free(cfb_batch_writer_t *w) {
    if (w == NULL) return;
    cfb_file_writer_abort(w->file);
    cfb_buf_free(&w->line);
    free(w->files);
    free(w);
}

static cfb_code path_of(const cfb_batch_writer_t *w, const char *name, char path[PATH_MAX], cfb_err *err) {
    return cfb_path_join(path, PATH_MAX, w->dir, name, err);
}

static cfb_code start_file(cfb_batch_writer_t *w, cfb_err *err) {
    char path[PATH_MAX];
    if (w->n_files == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 8;
        cfb_batch_file *more = realloc(w->files, cap * sizeof *more);
        if (more == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        w->files = more;
        w->cap = cap;
    }
    cfb_batch_file *f = &w->files[w->n_files];
    *f = (cfb_batch_file){0};
    snprintf(f->name, sizeof f->name, "r%02d-%04zu.jsonl", w->o.round, w->n_files + 1);
    cfb_code rc = path_of(w, f->name, path, err);
    if (rc == CFB_OK) rc = cfb_file_writer_open(path, &w->file, err);
    if (rc == CFB_OK) w->n_files++;
    return rc;
}

/* As sha256sum prints it. The file was just written, so its pages are in memory. */
static cfb_code hash_file(const char *path, size_t len, char hex[65], cfb_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *p = fd >= 0 ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    int e = errno;
    if (fd >= 0) close(fd);
    if (p == MAP_FAILED) return cfb_err_set_errno(err, e, "cannot read %s", path);
    cfb_sha256_hex(p, len, hex);
    munmap(p, len);
    return CFB_OK;
}

static cfb_code end_file(cfb_batch_writer_t *w, cfb_err *err) {
    char path[PATH_MAX];
    cfb_batch_file *f = &w->files[w->n_files - 1];
    cfb_code rc = cfb_file_writer_commit(w->file, err);
    w->file = NULL;
    if (rc == CFB_OK) rc = path_of(w, f->name, path, err);
    return rc == CFB_OK ? hash_file(path, (size_t)f->n_bytes, f->sha256, err) : rc;
}

static cfb_code make_line(cfb_batch_writer_t *w, const char *custom_id, cfb_str body, cfb_err *err) {
    cfb_jw j;
    cfb_buf_clear(&w->line);
    cfb_jw_init(&j, &w->line, 0);
    cfb_jw_obj(&j);
    cfb_jw_key(&j, "custom_id");
    cfb_jw_strz(&j, custom_id);
    cfb_jw_key(&j, "method");
    cfb_jw_strz(&j, "POST");
    cfb_jw_key(&j, "url");
    cfb_jw_strz(&j, CFB_BATCH_URL);
    cfb_jw_key(&j, "body");
    cfb_jw_raw(&j, body);
    cfb_jw_end_obj(&j);
    cfb_code rc = cfb_jw_finish(&j, err);
    /* an extra body of the user's may be spread over lines; within texts JSON has no bare line ends */
    for (size_t i = 0; i < w->line.len; i++)
        if (w->line.ptr[i] == '\n' || w->line.ptr[i] == '\r') w->line.ptr[i] = ' ';
    return rc == CFB_OK ? cfb_buf_append_char(&w->line, '\n', err) : rc;
}

cfb_code cfb_batch_writer_add(cfb_batch_writer_t *w, const char *custom_id, cfb_str body, cfb_err *err) {
    cfb_code rc = make_line(w, custom_id, body, err);
    if (rc != CFB_OK) return rc;
    int64_t len = (int64_t)w->line.len;
    if (len > w->o.max_bytes)
        return cfb_err_set(err, CFB_ELIMIT, "the request of %s alone has %lld bytes, more than a batch file may have (%lld)",
                           custom_id, (long long)len, (long long)w->o.max_bytes);
    const cfb_batch_file *f = w->file ? &w->files[w->n_files - 1] : NULL;
    if (f && (f->n_requests >= w->o.max_requests || f->n_bytes + len > w->o.max_bytes)) rc = end_file(w, err);
    if (rc == CFB_OK && w->file == NULL) rc = start_file(w, err);
    if (rc == CFB_OK) rc = cfb_file_writer_write(w->file, w->line.ptr, w->line.len, err);
    if (rc != CFB_OK) return rc;
    w->files[w->n_files - 1].n_requests++;
    w->files[w->n_files - 1].n_bytes += len;
    return CFB_OK;
}

cfb_code cfb_batch_writer_finish(cfb_batch_writer_t *w, cfb_batch_file **files, size_t *n, cfb_err *err) {
    cfb_code rc = w->file ? end_file(w, err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    *files = w->files;
    *n = w->n_files;
    w->files = NULL;
    w->n_files = w->cap = 0;
    return CFB_OK;
}
