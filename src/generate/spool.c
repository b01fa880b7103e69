/* Texts of records in an unlinked temporary file beside the run store. */
#include "generate/job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define N_TEXTS 3 /* id, input, instruction */
#define WRITE_BYTES ((size_t)1 << 20)
#define MISSING UINT64_MAX

cfb_code cfb_spool_open(struct spool *s, const char *near_path, cfb_err *err) {
    char path[PATH_MAX + 16];
    *s = (struct spool){.fd = -1};
    s->out = CFB_BUF_INIT((size_t)1 << 31);
    snprintf(path, sizeof path, "%.*s.spool.XXXXXX", PATH_MAX - 1, near_path);
    s->fd = mkstemp(path);
    if (s->fd < 0) return cfb_err_set_errno(err, errno, "cannot make %s", path);
    unlink(path);
    return CFB_OK;
}

void cfb_spool_close(struct spool *s) {
    if (s->fd > 0) close(s->fd);
    s->fd = -1;
    cfb_buf_free(&s->out);
}

cfb_code cfb_spool_flush(struct spool *s, cfb_err *err) {
    size_t done = 0;
    while (done < s->out.len) {
        ssize_t n = write(s->fd, s->out.ptr + done, s->out.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot keep the rows' texts in a temporary file beside the run store");
        done += (size_t)n;
    }
    cfb_buf_clear(&s->out);
    return CFB_OK;
}

cfb_code cfb_spool_put(struct spool *s, const cfb_record *r, uint64_t *at, uint32_t *len, cfb_err *err) {
    const cfb_str texts[N_TEXTS] = {r->id, r->input, r->instruction};
    uint64_t lens[N_TEXTS], total = sizeof lens;
    for (int i = 0; i < N_TEXTS; i++) {
        lens[i] = texts[i].ptr ? texts[i].len : MISSING;
        total += texts[i].len;
    }
    if (total > UINT32_MAX) return cfb_err_set(err, CFB_ELIMIT, "row %.*s: more than 4 GiB of text", CFB_STR_ARG(r->id));
    *at = s->end;
    *len = (uint32_t)total;
    s->end += total;
    cfb_code rc = cfb_buf_append(&s->out, lens, sizeof lens, err);
    for (int i = 0; i < N_TEXTS && rc == CFB_OK; i++)
        if (texts[i].ptr) rc = cfb_buf_append_str(&s->out, texts[i], err);
    if (rc == CFB_OK && s->out.len >= WRITE_BYTES) rc = cfb_spool_flush(s, err);
    return rc;
}

static cfb_code read_at(const struct spool *s, char *to, size_t len, uint64_t at, cfb_err *err) {
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(s->fd, to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot read the rows' texts again");
        if (n == 0) return cfb_err_set(err, CFB_EBUG, "the rows' texts end too early");
        done += (size_t)n;
    }
    return CFB_OK;
}

cfb_code cfb_spool_get(const struct spool *s, uint64_t at, uint32_t len, cfb_buf *text, cfb_record *r, cfb_err *err) {
    uint64_t lens[N_TEXTS];
    cfb_str *const to[N_TEXTS] = {&r->id, &r->input, &r->instruction};
    cfb_buf_clear(text);
    cfb_code rc = cfb_buf_reserve(text, len, err);
    if (rc == CFB_OK) rc = read_at(s, text->ptr, len, at, err);
    if (rc != CFB_OK) return rc;
    memcpy(lens, text->ptr, sizeof lens);
    *r = (cfb_record){0};
    size_t from = sizeof lens;
    for (int i = 0; i < N_TEXTS; i++) {
        if (lens[i] == MISSING) continue;
        *to[i] = (cfb_str){text->ptr + from, lens[i]};
        from += lens[i];
    }
    return CFB_OK;
}
