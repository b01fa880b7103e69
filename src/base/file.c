#include "cfbench/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

cfb_code cfb_file_read(const char *path, size_t max_bytes, cfb_buf *out, cfb_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cfb_err_set_errno(err, errno, "cannot open %s", path);
    cfb_code rc = CFB_OK;
    size_t start = out->len;
    for (;;) {
        rc = cfb_buf_reserve(out, 65536, err);
        if (rc != CFB_OK) break;
        ssize_t n = read(fd, out->ptr + out->len, out->cap - out->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = cfb_err_set_errno(err, errno, "cannot read %s", path);
            break;
        }
        if (n == 0) break;
        out->len += (size_t)n;
        if (out->len - start > max_bytes) {
            rc = cfb_err_set(err, CFB_ELIMIT, "%s: larger than the limit of %zu bytes", path, max_bytes);
            break;
        }
    }
    if (rc == CFB_OK) out->ptr[out->len] = '\0';
    close(fd);
    return rc;
}

struct cfb_file_writer {
    int fd;
    size_t used;
    char path[PATH_MAX], tmp[PATH_MAX];
    char buf[1 << 16];
};

cfb_code cfb_file_writer_open(const char *path, cfb_file_writer_t **out, cfb_err *err) {
    cfb_file_writer_t *w = malloc(sizeof *w);
    if (w == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    w->used = 0;
    int n = snprintf(w->path, sizeof w->path, "%s", path);
    /* beside the target; its name is cut, so that a target with the longest name that there may be has one too */
    const char *base = cfb_path_base(path);
    int m = snprintf(w->tmp, sizeof w->tmp, "%.*s%.200s.tmp.%ld", (int)(base - path), path, base, (long)getpid());
    if (n < 0 || m < 0 || (size_t)m >= sizeof w->tmp) {
        free(w);
        return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", path);
    }
    w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        cfb_code rc = cfb_err_set_errno(err, errno, "cannot write %s", path);
        free(w);
        return rc;
    }
    *out = w;
    return CFB_OK;
}

static cfb_code write_all(cfb_file_writer_t *w, const char *data, size_t len, cfb_err *err) {
    while (len > 0) {
        ssize_t n = write(w->fd, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot write %s", w->path);
        data += n;
        len -= (size_t)n;
    }
    return CFB_OK;
}

static cfb_code flush(cfb_file_writer_t *w, cfb_err *err) {
    cfb_code rc = write_all(w, w->buf, w->used, err);
    w->used = 0;
    return rc;
}

cfb_code cfb_file_writer_write(cfb_file_writer_t *w, const void *data, size_t len, cfb_err *err) {
    if (len > sizeof w->buf - w->used) {
        cfb_code rc = flush(w, err);
        if (rc != CFB_OK) return rc;
        if (len > sizeof w->buf) return write_all(w, data, len, err);
    }
    if (len) memcpy(w->buf + w->used, data, len);
    w->used += len;
    return CFB_OK;
}

/* After the rename the folder must reach the disk too, or a power cut could bring the old name back. */
static void sync_folder_of(const char *path) {
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == dir)
        dir[1] = '\0';
    else if (slash != NULL)
        *slash = '\0';
    else
        memcpy(dir, ".", 2);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd); /* some file systems refuse it for folders; the file itself is synced */
    close(fd);
}

cfb_code cfb_file_writer_commit(cfb_file_writer_t *w, cfb_err *err) {
    cfb_code rc = flush(w, err);
    if (rc == CFB_OK && fsync(w->fd) != 0) rc = cfb_err_set_errno(err, errno, "cannot write %s", w->path);
    if (close(w->fd) != 0 && rc == CFB_OK) rc = cfb_err_set_errno(err, errno, "cannot write %s", w->path);
    w->fd = -1;
    if (rc == CFB_OK && rename(w->tmp, w->path) != 0)
        rc = cfb_err_set_errno(err, errno, "cannot rename %s to %s", w->tmp, w->path);
    if (rc == CFB_OK)
        sync_folder_of(w->path);
    else
        unlink(w->tmp);
    free(w);
    return rc;
}

void cfb_file_writer_abort(cfb_file_writer_t *w) {
    if (w == NULL) return;
    close(w->fd);
    unlink(w->tmp);
    free(w);
}

cfb_code cfb_file_write(const char *path, cfb_str data, cfb_err *err) {
    cfb_file_writer_t *w;
    cfb_code rc = cfb_file_writer_open(path, &w, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_file_writer_write(w, data.ptr, data.len, err);
    if (rc == CFB_OK) return cfb_file_writer_commit(w, err);
    cfb_file_writer_abort(w);
    return rc;
}

cfb_code cfb_mkdir_p(const char *path, cfb_err *err) {
    char dir[PATH_MAX];
    int n = snprintf(dir, sizeof dir, "%s", path);
    if (n < 0 || (size_t)n >= sizeof dir) return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", path);
    for (char *p = dir + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char old = *p;
        *p = '\0';
        if (mkdir(dir, 0777) != 0 && errno != EEXIST) return cfb_err_set_errno(err, errno, "cannot make the folder %s", dir);
        *p = old;
        if (old == '\0') break;
    }
    if (!cfb_path_is_dir(path)) return cfb_err_set(err, CFB_EACCESS, "%s exists and is not a folder", path);
    return CFB_OK;
}

bool cfb_path_exists(const char *path) { return access(path, F_OK) == 0; }

bool cfb_path_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

cfb_code cfb_path_join(char *buf, size_t size, const char *dir, const char *name, cfb_err *err) {
    int n;
    size_t dlen = dir ? strlen(dir) : 0;
    if (name[0] == '/' || dlen == 0)
        n = snprintf(buf, size, "%s", name);
    else
        n = snprintf(buf, size, "%s%s%s", dir, dir[dlen - 1] == '/' ? "" : "/", name);
    if (n < 0 || (size_t)n >= size) return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", name);
    return CFB_OK;
}

const char *cfb_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
