/* stream.c - byte sources: a file or memory, plain, gzip or zstd, read once from front to back. */
#include "dataset/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define RAW_BYTES ((size_t)128 * 1024)
#define LABEL_BYTES 200

enum packing { PLAIN, GZIP, ZSTD };

struct cfb_source {
    int fd;                  /* -1: memory */
    const unsigned char *in; /* raw bytes not yet used */
    size_t n_in;
    unsigned char *raw;     /* RAW_BYTES, for files */
    uint64_t raw_offset;    /* of the first byte behind `in` */
    bool raw_eof, seekable; /* seekable: a regular file */
    enum packing packing;
    bool in_member; /* inside a gzip member or zstd frame */
    z_stream gz;
    ZSTD_DStream *zst;
    cfb_buf head; /* peeked bytes */
    size_t head_pos;
    uint64_t offset;
    char *path;
    char label[LABEL_BYTES + 4];
};

static void set_label(cfb_source_t *s) {
    size_t len = strlen(s->path);
    const char *p = s->path;
    if (len > LABEL_BYTES) {
        p += len - LABEL_BYTES;
        while (((unsigned char)*p & 0xC0) == 0x80) p++;
    }
    snprintf(s->label, sizeof s->label, "%s%s", p == s->path ? "" : "...", p);
}

/* Makes at least one raw byte available, or sets raw_eof. */
static cfb_code raw_fill(cfb_source_t *s, cfb_err *err) {
    if (s->n_in > 0 || s->raw_eof) return CFB_OK;
    if (s->fd < 0) {
        s->raw_eof = true;
        return CFB_OK;
    }
    ssize_t n;
    do n = read(s->fd, s->raw, RAW_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0) return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
    s->in = s->raw;
    s->n_in = (size_t)n;
    s->raw_offset += (size_t)n;
    s->raw_eof = n == 0;
    return CFB_OK;
}

/* At least `want` raw bytes (a few), for the magic number; fewer only at the end. */
static cfb_code raw_need(cfb_source_t *s, size_t want, cfb_err *err) {
    if (s->fd < 0) return CFB_OK;
    while (s->n_in < want) {
        if (s->n_in && s->in != s->raw) memmove(s->raw, s->in, s->n_in);
        s->in = s->raw;
        ssize_t n;
        do n = read(s->fd, s->raw + s->n_in, RAW_BYTES - s->n_in);
        while (n < 0 && errno == EINTR);
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
        if (n == 0) break;
        s->n_in += (size_t)n;
        s->raw_offset += (size_t)n;
    }
    return CFB_OK;
}

static cfb_code detect_packing(cfb_source_t *s, cfb_err *err) {
    cfb_code rc = raw_need(s, 4, err);
    if (rc != CFB_OK) return rc;
    const unsigned char *p = s->in;
    if (s->n_in >= 2 && p[0] == 0x1f && p[1] == 0x8b) {
        /* 16: gzip wrapping only. */
        if (inflateInit2(&s->gz, 15 + 16) != Z_OK) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        s->packing = GZIP;
        return CFB_OK;
    }
    if (s->n_in < 4) return CFB_OK;
    bool frame = p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd;
    bool skippable = (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18;
    if (!frame && !skippable) return CFB_OK;
    s->zst = ZSTD_createDStream();
    if (s->zst == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->packing = ZSTD;
    return CFB_OK;
}

static cfb_code new_source(const char *path, cfb_source_t **out, cfb_err *err) {
    cfb_source_t *s = calloc(1, sizeof *s);
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->fd = -1;
    s->path = strdup(path);
    if (s->path == NULL) {
        free(s);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    set_label(s);
    *out = s;
    return CFB_OK;
}

static cfb_code open_fd(cfb_source_t *s, cfb_err *err) {
    s->fd = strcmp(s->path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(s->path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) return cfb_err_set_errno(err, errno, "cannot open %s", s->label);
    struct stat st;
    if (fstat(s->fd, &st) != 0) return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
    s->seekable = S_ISREG(st.st_mode);
    s->raw = malloc(RAW_BYTES);
    if (s->raw == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->in = s->raw;
    return CFB_OK;
}

cfb_code cfb_source__open(const char *path, cfb_source_t **out, cfb_err *err) {
    cfb_source_t *s;
    cfb_code rc = new_source(path, &s, err);
    if (rc != CFB_OK) return rc;
    rc = open_fd(s, err);
    if (rc == CFB_OK) rc = detect_packing(s, err);
    if (rc != CFB_OK) {
        cfb_source__close(s);
        return rc;
    }
    *out = s;
    return CFB_OK;
}

cfb_code cfb_source__open_memory(const char *name, const void *data, size_t len, cfb_source_t **out, cfb_err *err) {
    cfb_source_t *s;
    cfb_code rc = new_source(name, &s, err);
    if (rc != CFB_OK) return rc;
    s->in = len ? data : (const void *)"";
    s->n_in = len;
    s->raw_offset = len;
    rc = detect_packing(s, err);
    if (rc != CFB_OK) {
        cfb_source__close(s);
        return rc;
    }
    *out = s;
    return CFB_OK;
}

void cfb_source__close(cfb_source_t *s) {
    if (s == NULL) return;
    if (s->packing == GZIP) inflateEnd(&s->gz);
    ZSTD_freeDStream(s->zst);
    if (s->fd >= 0) close(s->fd);
    cfb_buf_free(&s->head);
    free(s->raw);
    free(s->path);
    free(s);
}

static uint64_t raw_pos(const cfb_source_t *s) { return s->raw_offset - s->n_in; }

static cfb_code data_error(const cfb_source_t *s, cfb_code code, const char *what, cfb_err *err) {
    uint64_t at = raw_pos(s);
    cfb_err_set(err, code, "%s: byte %" PRIu64 ": %s", s->label, at, what);
    if (err) err->offset = at;
    return code;
}

static void use_raw(cfb_source_t *s, size_t n) {
    s->in += n;
    s->n_in -= n;
}

/* Between members: zero padding is passed over (tape blocks, as gzip does), anything else must be a new member. */
static void skip_padding(cfb_source_t *s) {
    while (s->n_in > 0 && *s->in == 0) use_raw(s, 1);
}

static cfb_code read_gzip(cfb_source_t *s, unsigned char *dst, size_t size, size_t *got, cfb_err *err) {
    while (*got < size) {
        cfb_code rc = raw_fill(s, err);
        if (rc != CFB_OK) return rc;
        if (!s->in_member && s->raw_offset > s->n_in) skip_padding(s);
        if (s->n_in == 0 && !s->raw_eof) continue;
        if (s->n_in == 0) {
            if (!s->in_member) return CFB_OK;
            return data_error(s, CFB_ETRUNCATED, "the gzip data ends in the middle of a member", err);
        }
        if (!s->in_member) {
            if (*s->in != 0x1f) return data_error(s, CFB_EDATA, "not gzip data behind a gzip member", err);
            if (inflateReset(&s->gz) != Z_OK) return cfb_err_set(err, CFB_EBUG, "inflateReset failed");
            s->in_member = true;
        }
        uInt n_in = (uInt)(s->n_in < UINT_MAX / 2 ? s->n_in : UINT_MAX / 2);
        uInt n_out = (uInt)(size - *got < UINT_MAX / 2 ? size - *got : UINT_MAX / 2);
        s->gz.next_in = (z_const Bytef *)(uintptr_t)s->in; /* zlib does not write through it */
        s->gz.avail_in = n_in;
        s->gz.next_out = dst + *got;
        s->gz.avail_out = n_out;
        int z = inflate(&s->gz, Z_NO_FLUSH);
        use_raw(s, n_in - s->gz.avail_in);
        *got += n_out - s->gz.avail_out;
        if (z == Z_STREAM_END)
            s->in_member = false;
        else if (z == Z_MEM_ERROR)
            return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        else if (z != Z_OK && z != Z_BUF_ERROR)
            return data_error(s, CFB_EDATA, s->gz.msg ? s->gz.msg : "damaged gzip data", err);
    }
    return CFB_OK;
}

static cfb_code zstd_error(const cfb_source_t *s, size_t ret, cfb_err *err) {
    switch (ZSTD_getErrorCode(ret)) {
    case ZSTD_error_memory_allocation: return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    case ZSTD_error_frameParameter_windowTooLarge:
        return data_error(s, CFB_ELIMIT, "the zstd data needs a window of more than 128 MB", err);
    case ZSTD_error_prefix_unknown: return data_error(s, CFB_EDATA, "not zstd data behind a zstd frame", err);
    default: return data_error(s, CFB_EDATA, ZSTD_getErrorName(ret), err);
    }
}

static cfb_code read_zstd(cfb_source_t *s, unsigned char *dst, size_t size, size_t *got, cfb_err *err) {
    while (*got < size) {
        cfb_code rc = raw_fill(s, err);
        if (rc != CFB_OK) return rc;
        if (s->n_in == 0 && !s->in_member) return CFB_OK;
        ZSTD_inBuffer in = {s->in, s->n_in, 0};
        ZSTD_outBuffer out = {dst, size, *got};
        size_t ret = ZSTD_decompressStream(s->zst, &out, &in);
        if (ZSTD_isError(ret)) return zstd_error(s, ret, err);
        /* At the end of the input there may still be output inside the decoder; without progress the frame is cut. */
        bool stuck = in.pos == 0 && out.pos == *got && s->raw_eof;
        use_raw(s, in.pos);
        *got = out.pos;
        s->in_member = ret != 0;
        if (ret != 0 && stuck) return data_error(s, CFB_ETRUNCATED, "the zstd data ends in the middle of a frame", err);
    }
    return CFB_OK;
}

static cfb_code read_plain(cfb_source_t *s, unsigned char *dst, size_t size, size_t *got, cfb_err *err) {
    while (*got < size) {
        if (s->n_in == 0 && s->fd >= 0 && size - *got >= RAW_BYTES) { /* large: straight to its place */
            ssize_t n = read(s->fd, dst + *got, size - *got > INT_MAX ? INT_MAX : size - *got);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
            if (n == 0) return CFB_OK;
            s->raw_offset += (size_t)n;
            *got += (size_t)n;
            continue;
        }
        cfb_code rc = raw_fill(s, err);
        if (rc != CFB_OK) return rc;
        if (s->n_in == 0) return CFB_OK;
        size_t n = s->n_in < size - *got ? s->n_in : size - *got;
        memcpy(dst + *got, s->in, n);
        use_raw(s, n);
        *got += n;
    }
    return CFB_OK;
}

static cfb_code read_unpacked(cfb_source_t *s, unsigned char *dst, size_t size, size_t *got, cfb_err *err) {
    switch (s->packing) {
    case GZIP: return read_gzip(s, dst, size, got, err);
    case ZSTD: return read_zstd(s, dst, size, got, err);
    default: return read_plain(s, dst, size, got, err);
    }
}

cfb_code cfb_source__read(cfb_source_t *s, void *dst, size_t size, size_t *got, cfb_err *err) {
    size_t n = s->head.len - s->head_pos;
    if (n > size) n = size;
    if (n) memcpy(dst, s->head.ptr + s->head_pos, n);
    s->head_pos += n;
    *got = n;
    if (s->head_pos == s->head.len) {
        cfb_buf_free(&s->head);
        s->head_pos = 0;
    }
    cfb_code rc = *got < size ? read_unpacked(s, dst, size, got, err) : CFB_OK;
    s->offset += *got;
    return rc;
}

cfb_code cfb_source__peek(cfb_source_t *s, size_t want, cfb_str *out, cfb_err *err) {
    if (want > s->head.len) {
        size_t got = 0, more = want - s->head.len;
        cfb_code rc = cfb_buf_reserve(&s->head, more, err);
        if (rc == CFB_OK) rc = read_unpacked(s, (unsigned char *)s->head.ptr + s->head.len, more, &got, err);
        if (rc != CFB_OK) return rc;
        s->head.len += got;
        s->head.ptr[s->head.len] = '\0';
    }
    *out = (cfb_str){s->head.ptr ? s->head.ptr : "", s->head.len < want ? s->head.len : want};
    return CFB_OK;
}

/* A seek may pass the end unseen, so the last byte is read and not seeked over. */
static cfb_code seek_over(cfb_source_t *s, uint64_t n, cfb_err *err) {
    use_raw(s, s->n_in);
    if (n > INT64_MAX || lseek(s->fd, (off_t)n, SEEK_CUR) < 0)
        return cfb_err_set_errno(err, n > INT64_MAX ? EOVERFLOW : errno, "cannot seek in %s", s->label);
    s->raw_offset += n;
    s->offset += n;
    return CFB_OK;
}

cfb_code cfb_source__skip(cfb_source_t *s, uint64_t n, uint64_t *skipped, cfb_err *err) {
    unsigned char trash[4096];
    uint64_t done = 0;
    while (done < n) {
        uint64_t left = n - done;
        if (s->packing == PLAIN && s->seekable && s->head.len == s->head_pos && left > s->n_in + 2 * RAW_BYTES) {
            /* Never past the end, so that the caller learns where the data stops. */
            struct stat st;
            if (fstat(s->fd, &st) != 0) return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
            uint64_t size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
            uint64_t there = size > s->raw_offset ? size - s->raw_offset : 0;
            uint64_t hop = left - s->n_in - 1 < there ? left - s->n_in - 1 : there;
            done += s->n_in + hop;
            s->offset += s->n_in;
            cfb_code rc = seek_over(s, hop, err);
            if (rc != CFB_OK) return rc;
            if (hop < left - 1 && hop == there) break;
            continue;
        }
        size_t got, want = left < sizeof trash ? (size_t)left : sizeof trash;
        cfb_code rc = cfb_source__read(s, trash, want, &got, err);
        if (rc != CFB_OK) return rc;
        done += got;
        if (got < want) break;
    }
    *skipped = done;
    return CFB_OK;
}

uint64_t cfb_source__offset(const cfb_source_t *s) { return s->offset; }
const char *cfb_source__label(const cfb_source_t *s) { return s->label; }
const char *cfb_source__path(const cfb_source_t *s) { return s->path; }
uint64_t cfb_source__raw_offset(const cfb_source_t *s) { return raw_pos(s); }

bool cfb_source__plain(const cfb_source_t *s, cfb_plain *out) {
    if (s->packing != PLAIN) return false;
    *out = (cfb_plain){.fd = s->fd};
    if (s->fd < 0) {
        out->data = (const char *)s->in + s->n_in - s->raw_offset;
        out->size = s->raw_offset;
        return true;
    }
    struct stat st;
    if (!s->seekable || fstat(s->fd, &st) != 0 || st.st_size < 0) return false;
    out->size = (uint64_t)st.st_size;
    return true;
}

uint64_t cfb_source__raw_size(const cfb_source_t *s) {
    struct stat st;
    if (s->fd < 0) return s->raw_offset;
    return s->seekable && fstat(s->fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}
