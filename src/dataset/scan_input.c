/* scan_input.c - the text of parts: pieces of a file mapped as they are needed, a stream cut where records end, or a reader's
 * batches. */
#include "dataset/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENT_BYTES ((size_t)8 << 20)
#define OVERLAP_BYTES ((size_t)256 << 10) /* mapped behind a segment, for the record that crosses its end */
#define BATCH_ROWS ((size_t)1024)

/* ---- mapped files ---- */

static size_t page_size(void) {
    long n = sysconf(_SC_PAGESIZE);
    return n > 0 ? (size_t)n : 4096;
}

static cfb_code map_failed(const struct cfb_scan *s, cfb_err *err) {
    return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
}

static cfb_code map_segment(struct cfb_scan *s, size_t i, cfb_err *err) {
    uint64_t from = (uint64_t)i * s->segment_bytes, left = s->size - from;
    size_t len = left < s->segment_bytes + OVERLAP_BYTES ? (size_t)left : s->segment_bytes + OVERLAP_BYTES;
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, s->fd, (off_t)from);
    if (p == MAP_FAILED) return map_failed(s, err);
    (void)madvise(p, len, MADV_SEQUENTIAL);
    (void)posix_fadvise(s->fd, (off_t)(from + len), (off_t)(2 * s->segment_bytes), POSIX_FADV_WILLNEED);
    s->segments[i] = (scan_segment){p, len};
    return CFB_OK;
}

static cfb_code fetch_mapped(struct cfb_scan *s, scan_part *p, cfb_err *err) {
    uint64_t begin = p->index * s->part_bytes, end = begin + s->part_bytes < s->size ? begin + s->part_bytes : s->size;
    cfb_code rc = CFB_OK;
    if (s->memory != NULL) {
        p->data = s->memory;
        p->offset = 0;
        p->avail = (size_t)s->size;
    } else {
        size_t i = (size_t)(begin / s->segment_bytes);
        pthread_mutex_lock(&s->lock);
        if (s->segments[i].map == NULL) rc = map_segment(s, i, err);
        pthread_mutex_unlock(&s->lock);
        if (rc != CFB_OK) return rc;
        p->data = s->segments[i].map;
        p->offset = (uint64_t)i * s->segment_bytes;
        p->avail = s->segments[i].len;
    }
    p->begin = (size_t)(begin - p->offset);
    p->end = (size_t)(end - p->offset);
    p->eof = p->final = p->offset + p->avail == s->size;
    p->raw_done = end;
    return CFB_OK;
}

cfb_code scan_input__extend(scan_part *p, cfb_err *err) {
    struct cfb_scan *s = p->scan;
    uint64_t from = (p->offset + p->begin) & ~(uint64_t)(page_size() - 1), left = s->size - from;
    uint64_t want = (uint64_t)(p->avail - p->begin) * 2 + SEGMENT_BYTES / 8;
    size_t len = (size_t)(left < want ? left : want);
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, s->fd, (off_t)from);
    if (map == MAP_FAILED) return map_failed(s, err);
    if (p->map != NULL) munmap(p->map, p->map_len);
    p->begin -= (size_t)(from - p->offset);
    p->end -= (size_t)(from - p->offset);
    p->start -= (size_t)(from - p->offset);
    p->data = p->map = map;
    p->avail = p->map_len = len;
    p->offset = from;
    p->eof = p->final = from + len == s->size;
    return CFB_OK;
}

/* ---- streams ---- */

static bool reserve_text(scan_part *p, size_t size) {
    if (size <= p->buf_cap) return true;
    size_t cap = p->buf_cap * 2 > size ? p->buf_cap * 2 : size;
    char *b = realloc(p->buf, cap);
    if (b == NULL) return false;
    p->buf = b;
    p->buf_cap = cap;
    return true;
}

/* Bytes that the reader has in its window already come first. */
static cfb_code read_stream(struct cfb_scan *s, char *to, size_t want, size_t *got, cfb_err *err) {
    cfb_window *w = s->window;
    size_t n = w->len - w->pos < want ? w->len - w->pos : want, more = 0;
    if (n) memcpy(to, w->buf + w->pos, n);
    w->pos += n;
    *got = n;
    if (n == want || w->eof) return CFB_OK;
    cfb_code rc = cfb_source__read(w->src, to + n, want - n, &more, err);
    *got += more;
    if (rc == CFB_OK && more < want - n) w->eof = true;
    return rc;
}

static size_t last_end(struct cfb_scan *s, scan_worker *w, const char *text, size_t len) {
    if (!s->jsonl) return scan_csv__last_end(s, w, text, len);
    while (len > 0 && text[len - 1] != '\n') len--;
    return len;
}

static bool keep_carry(struct cfb_scan *s, const char *text, size_t len) {
    if (len > s->carry_cap) {
        char *b = realloc(s->carry_buf, len);
        if (b == NULL) return false;
        s->carry_buf = b;
        s->carry_cap = len;
    }
    if (len) memcpy(s->carry_buf, text, len);
    s->carry = len;
    return true;
}

static cfb_code fetch_stream(struct cfb_scan *s, scan_part *p, scan_worker *w, bool *end, cfb_err *err) {
    size_t len = s->carry, target = s->carry + s->part_bytes, cut = 0;
    bool out = false;
    *end = s->stream_end;
    if (s->stream_end) return CFB_OK;
    for (;;) {
        if (!reserve_text(p, target)) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", target);
        if (s->carry) memcpy(p->buf, s->carry_buf, s->carry);
        s->carry = 0;
        size_t got = 0;
        cfb_code rc =
            s->stream_err.code != CFB_OK ? s->stream_err.code : read_stream(s, p->buf + len, target - len, &got, &s->stream_err);
        len += got;
        out = rc != CFB_OK || len < target;
        cut = out && rc == CFB_OK ? len : last_end(s, w, p->buf, len);
        if (cut > 0 || out || len > s->max_record_bytes) break;
        target *= 2;
    }
    if (cut == 0 && s->stream_err.code != CFB_OK) { /* all before it was delivered */
        if (err) *err = s->stream_err;
        s->stream_end = true;
        return s->stream_err.code;
    }
    if (cut == 0 && out) {
        s->stream_end = *end = true;
        return CFB_OK;
    }
    p->final = out && s->stream_err.code == CFB_OK;
    p->eof = cut > 0;
    if (cut == 0) cut = len; /* too long a record: cutting will say so */
    if (!keep_carry(s, p->buf + cut, len - cut)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    p->data = p->buf;
    p->offset = s->stream_offset;
    p->begin = p->start = 0;
    p->end = p->avail = cut;
    s->stream_offset += cut;
    s->stream_end = p->final;
    p->raw_done = cfb_source__raw_offset(s->window->src);
    return CFB_OK;
}

/* ---- batches ---- */

static cfb_code fetch_batch(struct cfb_scan *s, scan_part *p, bool *end, cfb_err *err) {
    *end = s->stream_end;
    if (s->stream_end) return CFB_OK;
    if (s->batch_pos == s->batch.n_rows) { /* the next batch takes the memory of this one */
        pthread_mutex_lock(&s->lock);
        while (s->n_committed < p->index && !s->ended) pthread_cond_wait(&s->changed, &s->lock);
        bool over = s->ended;
        pthread_mutex_unlock(&s->lock);
        *end = over;
        if (over) return CFB_OK;
        s->batch_pos = 0;
        cfb_code rc = cfb_reader_next(s->reader, &s->batch, err);
        s->stream_end = *end = rc != CFB_OK || s->batch.n_rows == 0;
        if (rc != CFB_OK) *end = false;
        if (rc != CFB_OK || s->stream_end) return rc;
    }
    size_t n = s->batch.n_rows - s->batch_pos < BATCH_ROWS ? s->batch.n_rows - s->batch_pos : BATCH_ROWS;
    if (!scan_part__reserve(p, n)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (n && s->n_columns) memcpy(p->cells, s->batch.cells + s->batch_pos * s->n_columns, n * s->n_columns * sizeof *p->cells);
    p->lines = (uint64_t *)(uintptr_t)(s->batch.lines + s->batch_pos); /* only read */
    for (size_t i = 0; i < n; i++) p->numbers[i] = i;
    p->n_rows = n;
    p->n_records = n;
    s->batch_pos += n;
    return CFB_OK;
}

/* ---- all ---- */

cfb_code scan_input__fetch(struct cfb_scan *s, scan_part *p, scan_worker *w, bool *end, cfb_err *err) {
    *end = false;
    switch (s->mode) {
    case SCAN_MAPPED: return fetch_mapped(s, p, err);
    case SCAN_STREAM: return fetch_stream(s, p, w, end, err);
    default: return fetch_batch(s, p, end, err);
    }
}

void scan_input__release(struct cfb_scan *s, scan_part *p) {
    if (p->map != NULL) munmap(p->map, p->map_len);
    p->map = NULL;
    if (s->mode != SCAN_MAPPED || s->memory != NULL) return;
    uint64_t per = s->segment_bytes / s->part_bytes;
    if (p->index % per != per - 1) return;
    scan_segment *g = &s->segments[p->index / per];
    if (g->map != NULL) munmap(g->map, g->len);
    g->map = NULL;
}

cfb_code scan_input__open(struct cfb_scan *s, cfb_err *err) {
    cfb_plain plain;
    uint64_t line = 1;
    s->window = cfb_reader__text(s->reader, &line);
    s->chain = (scan_chain){0, 0, line};
    s->mode = s->window == NULL ? SCAN_BATCHES : cfb_source__plain(s->window->src, &plain) ? SCAN_MAPPED : SCAN_STREAM;
    s->n_parts = UINT64_MAX;
    if (s->window == NULL) return CFB_OK;
    s->chain.start = s->stream_offset = s->window->base + s->window->pos;
    if (s->mode == SCAN_STREAM) return CFB_OK;
    s->memory = plain.data;
    s->fd = plain.fd;
    s->size = plain.size;
    s->n_parts = (s->size + s->part_bytes - 1) / s->part_bytes;
    s->next_part = s->chain.start / s->part_bytes;
    s->n_committed = s->next_part;
    atomic_store(&s->n_resolved, s->next_part);
    if (s->memory != NULL) return CFB_OK;
    /* Whole parts, and whole pages. */
    size_t page = page_size(), unit = s->part_bytes;
    while (unit % page != 0) unit += s->part_bytes; /* part sizes are small or page-aligned */
    s->segment_bytes = unit;
    while (s->segment_bytes < SEGMENT_BYTES) s->segment_bytes += unit;
    s->n_segments = (size_t)(s->size / s->segment_bytes) + 1;
    s->segments = calloc(s->n_segments, sizeof *s->segments);
    return s->segments ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

void scan_input__close(struct cfb_scan *s) {
    for (size_t i = 0; s->segments != NULL && i < s->n_segments; i++)
        if (s->segments[i].map != NULL) munmap(s->segments[i].map, s->segments[i].len);
    free(s->segments);
    free(s->carry_buf);
}
