/* cache.c - vectors by content, in a flat file.
 *
 * 64 bytes of head: "CFBEMB1\n", the dimension (u64), the model's hash (32 bytes), the first 16 bytes of the SHA-256 of these.
 * Then records of one size: SHA-256 of the text (32 bytes), the vector (binary32), the first 8 bytes of the SHA-256 of both. All
 * numbers little-endian. Appends happen under an exclusive flock, after anything behind the last whole record was cut off; so a
 * writer that was killed leaves at most a tail that the next writer drops. Readers index whole records with the right checksum.
 */
#include "cfbench/base.h"
#include "cfbench/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 64
#define KEY 32
#define SUM 8
#define READ_RECORDS 256

struct cfb_embed_cache {
    int fd;
    size_t dim, record; /* bytes of a record */
    char path[PATH_MAX];
    unsigned char head[HEAD];
    unsigned char (*keys)[KEY]; /* (n) */
    uint64_t *places;           /* (n): offset of the record */
    size_t n, cap;
    size_t *slots, n_slots; /* indices into keys; SIZE_MAX: empty */
    bool unnamed;           /* nothing outlives the process, so nothing is synced */
    uint64_t read_to;       /* records before this offset are in the index */
    size_t n_bad;
    unsigned char *one; /* room for a record */
};

/* 64 lower-case digits to bytes; false if they are none. */
static bool read_hash(const char *hex, unsigned char out[32]) {
    bool ok = true;
    for (size_t i = 0; i < 32; i++) {
        unsigned byte = 0;
        for (size_t k = 0; k < 2; k++) {
            unsigned c = (unsigned char)hex[2 * i + k];
            ok = ok && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
            byte = byte << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
        }
        out[i] = (unsigned char)byte;
    }
    return ok;
}

static void sha256(const void *data, size_t len, unsigned char out[32]) {
    char hex[65];
    cfb_sha256_hex(data, len, hex);
    (void)read_hash(hex, out);
}

void cfb_embed_key(cfb_str text, unsigned char key[32]) { sha256(text.ptr ? text.ptr : "", text.len, key); }

static cfb_code no_memory(cfb_err *err) { return cfb_err_set(err, CFB_ENOMEM, "out of memory (embedding cache)"); }

/* ---- whole reads and writes ---- */

/* Bytes read before the end of the file, or SIZE_MAX. */
static size_t read_at(int fd, void *buf, size_t len, uint64_t at) {
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(fd, (char *)buf + done, len - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return SIZE_MAX;
        if (got == 0) break;
        done += (size_t)got;
    }
    return done;
}

static bool write_at(int fd, const void *buf, size_t len, uint64_t at) {
    for (size_t done = 0; done < len;) {
        ssize_t put = pwrite(fd, (const char *)buf + done, len - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

static bool make_durable(const cfb_embed_cache_t *c) { return c->unnamed || fdatasync(c->fd) == 0; }

static cfb_code lock(cfb_embed_cache_t *c, cfb_err *err) {
    while (flock(c->fd, LOCK_EX) != 0)
        if (errno != EINTR) return cfb_err_set_errno(err, errno, "%s: cannot be locked", c->path);
    return CFB_OK;
}

/* ---- the index ---- */

static size_t *slot_of(const cfb_embed_cache_t *c, const unsigned char *key) {
    uint64_t h;
    memcpy(&h, key, sizeof h);
    size_t at = (size_t)h & (c->n_slots - 1);
    while (c->slots[at] != SIZE_MAX && memcmp(c->keys[c->slots[at]], key, KEY) != 0) at = (at + 1) & (c->n_slots - 1);
    return &c->slots[at];
}

static cfb_code grow(cfb_embed_cache_t *c, cfb_err *err) {
    size_t cap = c->cap ? 2 * c->cap : 1024, n_slots = 2 * cap;
    unsigned char(*keys)[KEY] = realloc(c->keys, cap * sizeof *keys);
    if (keys) c->keys = keys;
    uint64_t *places = keys ? realloc(c->places, cap * sizeof *places) : NULL;
    if (places) c->places = places;
    size_t *slots = places ? malloc(n_slots * sizeof *slots) : NULL;
    if (slots == NULL) return no_memory(err);
    free(c->slots);
    c->slots = slots;
    c->n_slots = n_slots;
    c->cap = cap;
    for (size_t i = 0; i < n_slots; i++) slots[i] = SIZE_MAX;
    for (size_t i = 0; i < c->n; i++) *slot_of(c, c->keys[i]) = i;
    return CFB_OK;
}

/* The first record of a key counts; later ones say the same. */
static cfb_code note(cfb_embed_cache_t *c, const unsigned char *key, uint64_t at, cfb_err *err) {
    if (c->n == c->cap) {
        cfb_code rc = grow(c, err);
        if (rc != CFB_OK) return rc;
    }
    size_t *slot = slot_of(c, key);
    if (*slot != SIZE_MAX) return CFB_OK;
    memcpy(c->keys[c->n], key, KEY);
    c->places[c->n] = at;
    *slot = c->n++;
    return CFB_OK;
}

static bool is_whole(const cfb_embed_cache_t *c, const unsigned char *record) {
    unsigned char sum[32];
    sha256(record, c->record - SUM, sum);
    return memcmp(sum, record + c->record - SUM, SUM) == 0;
}

/* Takes in the whole records from read_to on. */
static cfb_code read_records(cfb_embed_cache_t *c, cfb_err *err) {
    unsigned char *block = malloc(READ_RECORDS * c->record);
    cfb_code rc = block ? CFB_OK : no_memory(err);
    size_t got = rc == CFB_OK ? SIZE_MAX : 0;
    while (rc == CFB_OK && got > 0) {
        got = read_at(c->fd, block, READ_RECORDS * c->record, c->read_to);
        if (got == SIZE_MAX) rc = cfb_err_set_errno(err, errno, "%s", c->path);
        got = rc == CFB_OK ? got / c->record : 0;
        for (size_t i = 0; i < got && rc == CFB_OK; i++, c->read_to += c->record) {
            const unsigned char *r = block + i * c->record;
            if (is_whole(c, r))
                rc = note(c, r, c->read_to, err);
            else
                c->n_bad++;
        }
    }
    free(block);
    return rc;
}

/* ---- open ---- */

static void make_head(cfb_embed_cache_t *c, const unsigned char *model) {
    unsigned char sum[32];
    memcpy(c->head, "CFBEMB1\n", 8);
    for (int i = 0; i < 8; i++) c->head[8 + i] = (unsigned char)((uint64_t)c->dim >> (8 * i));
    memcpy(c->head + 16, model, 32);
    sha256(c->head, 48, sum);
    memcpy(c->head + 48, sum, 16);
}

/* Under the lock: an empty file, or one whose head was cut by a crash, gets its head. */
static cfb_code check_head(cfb_embed_cache_t *c, cfb_err *err) {
    unsigned char have[HEAD];
    size_t got = read_at(c->fd, have, HEAD, 0);
    if (got == SIZE_MAX) return cfb_err_set_errno(err, errno, "%s", c->path);
    if (memcmp(have, c->head, got) != 0)
        return cfb_err_set(err, CFB_EDATA, "%s is no embedding cache of this model; remove it or name another folder", c->path);
    if (got == HEAD) return CFB_OK;
    if (!write_at(c->fd, c->head, HEAD, 0) || !make_durable(c)) return cfb_err_set_errno(err, errno, "%s", c->path);
    return CFB_OK;
}

static cfb_code open_unnamed(cfb_embed_cache_t *c, cfb_err *err) {
    const char *tmp = getenv("TMPDIR");
    cfb_code rc = cfb_path_join(c->path, sizeof c->path, tmp && tmp[0] ? tmp : "/tmp", "cfbench-embed-XXXXXX", err);
    if (rc != CFB_OK) return rc;
    c->fd = mkstemp(c->path);
    if (c->fd < 0) return cfb_err_set_errno(err, errno, "%s", c->path);
    unlink(c->path);
    c->unnamed = true;
    return check_head(c, err);
}

static cfb_code open_file(cfb_embed_cache_t *c, const char *dir, const char *hash, cfb_err *err) {
    char name[32];
    if (dir == NULL) return open_unnamed(c, err);
    snprintf(name, sizeof name, "%.16s.emb", hash);
    cfb_code rc = cfb_mkdir_p(dir, err);
    if (rc == CFB_OK) rc = cfb_path_join(c->path, sizeof c->path, dir, name, err);
    if (rc != CFB_OK) return rc;
    c->fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (c->fd < 0) return cfb_err_set_errno(err, errno, "%s", c->path);
    rc = lock(c, err);
    if (rc != CFB_OK) return rc;
    rc = check_head(c, err);
    flock(c->fd, LOCK_UN);
    return rc;
}

cfb_code cfb_embed_cache_open(const char *dir, const char *model_hash, size_t dim, cfb_embed_cache_t **out, cfb_err *err) {
    static const uint16_t one = 1;
    unsigned char model[32];
    *out = NULL;
    if (*(const unsigned char *)&one != 1)
        return cfb_err_set(err, CFB_EUNSUPPORTED, "the embedding cache needs a little-endian machine");
    if (strlen(model_hash) != 64 || !read_hash(model_hash, model) || dim < 1 || dim > 65536)
        return cfb_err_set(err, CFB_EDOMAIN, "an embedding cache needs a model's hash and a dimension up to 65536");
    cfb_embed_cache_t *c = calloc(1, sizeof *c);
    if (c == NULL) return no_memory(err);
    c->fd = -1;
    c->dim = dim;
    c->record = KEY + dim * sizeof(float) + SUM;
    c->read_to = HEAD;
    c->one = malloc(c->record);
    make_head(c, model);
    cfb_code rc = c->one ? grow(c, err) : no_memory(err);
    if (rc == CFB_OK) rc = open_file(c, dir, model_hash, err);
    if (rc == CFB_OK) rc = read_records(c, err);
    if (rc != CFB_OK) {
        cfb_embed_cache_free(c);
        return rc;
    }
    if (c->n_bad) cfb_log(CFB_LOG_WARN, "%s: %zu records have a wrong checksum and are not used", c->path, c->n_bad);
    *out = c;
    return CFB_OK;
}

void cfb_embed_cache_free(cfb_embed_cache_t *c) {
    if (c == NULL) return;
    if (c->fd >= 0) close(c->fd);
    free(c->keys);
    free(c->places);
    free(c->slots);
    free(c->one);
    free(c);
}

size_t cfb_embed_cache_count(const cfb_embed_cache_t *c) { return c->n; }

/* ---- get, put ---- */

bool cfb_embed_cache_get(cfb_embed_cache_t *c, const unsigned char key[32], float *vector) {
    size_t i = *slot_of(c, key);
    if (i == SIZE_MAX || read_at(c->fd, c->one, c->record, c->places[i]) != c->record) return false;
    if (memcmp(c->one, key, KEY) != 0 || !is_whole(c, c->one)) return false;
    memcpy(vector, c->one + KEY, c->dim * sizeof *vector);
    return true;
}

static unsigned char *make_records(const cfb_embed_cache_t *c, const unsigned char (*keys)[32], const float *vectors, size_t n) {
    size_t bytes;
    unsigned char *block = cfb_size_mul(n, c->record, &bytes) ? malloc(bytes ? bytes : 1) : NULL, sum[32];
    for (size_t i = 0; block != NULL && i < n; i++) {
        unsigned char *r = block + i * c->record;
        memcpy(r, keys[i], KEY);
        memcpy(r + KEY, vectors + i * c->dim, c->dim * sizeof *vectors);
        sha256(r, c->record - SUM, sum);
        memcpy(r + c->record - SUM, sum, SUM);
    }
    return block;
}

/* Under the lock: cuts a torn tail, appends behind the last whole record. */
static cfb_code append(cfb_embed_cache_t *c, const unsigned char *block, size_t bytes, cfb_err *err) {
    struct stat st;
    if (fstat(c->fd, &st) != 0) return cfb_err_set_errno(err, errno, "%s", c->path);
    uint64_t size = (uint64_t)st.st_size;
    if (size < HEAD) return cfb_err_set(err, CFB_EDATA, "%s was cut by another program", c->path);
    uint64_t end = HEAD + (size - HEAD) / c->record * c->record;
    if (end != size && ftruncate(c->fd, (off_t)end) != 0) return cfb_err_set_errno(err, errno, "%s", c->path);
    if (!write_at(c->fd, block, bytes, end) || !make_durable(c)) {
        int e = errno;
        if (ftruncate(c->fd, (off_t)end) != 0) cfb_log(CFB_LOG_WARN, "%s: the end of the file is left incomplete", c->path);
        return cfb_err_set_errno(err, e, "%s", c->path);
    }
    return CFB_OK;
}

cfb_code cfb_embed_cache_put(cfb_embed_cache_t *c, const unsigned char (*keys)[32], const float *vectors, size_t n,
                             cfb_err *err) {
    unsigned char *block = make_records(c, keys, vectors, n);
    if (block == NULL) return no_memory(err);
    cfb_code rc = lock(c, err);
    if (rc == CFB_OK) {
        rc = append(c, block, n * c->record, err);
        if (rc == CFB_OK) rc = read_records(c, err); /* ours, and what others wrote meanwhile */
        flock(c->fd, LOCK_UN);
    }
    free(block);
    return rc;
}
