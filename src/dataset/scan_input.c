/* scan_input.c - the text of parts: pieces of a file, a stream cut where records end, or a reader's
 * batches. */
#include "dataset/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TAIL_BYTES ((size_t)8 << 10)
#define SEGMENT_PARTS ((size_t)16)
#define WARM ((size_t)2)   /* segments before measuring: new buffers and a cold start would count as reading */
#define TRIALS ((size_t)6) /* segments from then on go the faster way; of those before, every other one is mapped */
#define PAGE ((size_t)4096)
#define BATCH_ROWS ((size_t)1024)

static bool reserve_text(scan_part *p, size_t size) {
    if (size <= p->buf.cap) return true;
    size_t cap = p->buf.cap * 2 > size ? p->buf.cap * 2 : size;
    cap = (cap + PAGE - 1) / PAGE * PAGE;
    void *b;
    if (posix_memalign(&b, PAGE, cap) != 0) return false;
    if (p->buf.ptr && p->avail) memcpy(b, p->buf.ptr, p->avail);
    free(p->buf.ptr);
    p->buf = (scan_buffer){b, cap};
    return true;
}

/* ---- plain files and memory ---- */

/* Reads on until the part has `want` bytes, or the file ends. What lies in the page cache is copied faster than it is mapped,
 * page by page, unless the file has large folios; and nobody can pull the text from under a copy by cutting the file short. */
static cfb_code read_plain(scan_part *p, size_t want, cfb_err *err) {
    struct cfb_scan *s = p->scan;
    int64_t t0 = cfb_now_ns();
    if (want > s->size - p->offset) want = (size_t)(s->size - p->offset);
    if (!reserve_text(p, want)) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", want);
    while (p->avail < want) {
        ssize_t n = pread(s->fd, p->buf.ptr + p->avail, want - p->avail, (off_t)(p->offset + p->avail));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot read %s", s->label);
        if (n == 0) return cfb_err_set(err, CFB_ETRUNCATED, "%s: the file got shorter while it was read", s->label);
        p->avail += (size_t)n;
    }
    p->data = p->buf.ptr;
    p->eof = p->final = p->offset + p->avail == s->size;
    scan__spent(&s->meter->ns_read, "read", t0);
    return CFB_OK;
}

static int64_t cpu_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Counts the segments of this process. Of those of a shared file it has some parts only: these are counted in groups as large. */
static size_t segment_rank(const struct cfb_scan *s, const scan_part *p) {
    if (s->shared) return (size_t)p->seq / SEGMENT_PARTS;
    return (size_t)(p->index * s->part_bytes / s->segment_bytes) - s->first_segment;
}

static bool is_measured(const struct cfb_scan *s, const scan_part *p) {
    size_t n = segment_rank(s, p);
    return n >= WARM && n < TRIALS;
}

static bool mapping_is_faster(const struct cfb_scan *s) {
    double map = (double)s->way_ns[WAY_MAP] * (double)s->way_bytes[WAY_READ];
    return s->way_bytes[WAY_MAP] && s->way_bytes[WAY_READ] && map < (double)s->way_ns[WAY_READ] * (double)s->way_bytes[WAY_MAP];
}

/* The first part of a segment says how it is read. Behind lock. */
static void choose_way(struct cfb_scan *s, const scan_part *p, size_t i) {
    scan_segment *g = &s->segments[i];
    uint64_t from = (uint64_t)i * s->segment_bytes, left = s->size - from;
    size_t want = s->segment_bytes + s->part_bytes / 4, n = segment_rank(s, p);
    g->len = left < want ? (size_t)left : want;
    g->way = s->may_map && (n < TRIALS ? n % 2 == 0 : mapping_is_faster(s)) ? WAY_MAP : WAY_READ;
    if (g->way == WAY_MAP) {
        g->map = mmap(NULL, g->len, PROT_READ, MAP_SHARED, s->fd, (off_t)from);
        if (g->map == MAP_FAILED) {
            g->map = NULL;
            g->way = WAY_READ;
        } else {
            (void)madvise(g->map, g->len, MADV_SEQUENTIAL); /* where it is not in the page cache yet */
        }
    }
}

static cfb_code fetch_plain(struct cfb_scan *s, scan_part *p, cfb_err *err) {
    uint64_t begin = p->index * s->part_bytes, end = begin + s->part_bytes < s->size ? begin + s->part_bytes : s->size;
    const char *text = s->memory;
    p->raw_done = end;
    p->offset = 0;
    p->avail = (size_t)s->size;
    if (text == NULL) {
        size_t i = (size_t)(begin / s->segment_bytes);
        scan_segment *g = &s->segments[i];
        pthread_mutex_lock(&s->lock);
        if (g->way == WAY_OPEN) choose_way(s, p, i);
        pthread_mutex_unlock(&s->lock);
        p->cpu_ns = is_measured(s, p) ? cpu_now_ns() : 0;
        text = g->map;
        p->offset = (uint64_t)i * s->segment_bytes;
        p->avail = g->len;
    }
    if (text != NULL) {
        p->data = text;
        p->begin = (size_t)(begin - p->offset);
        p->end = (size_t)(end - p->offset);
        p->eof = p->final = p->offset + p->avail == s->size;
        return CFB_OK;
    }
    p->offset = begin;
    p->avail = p->begin = 0;
    p->end = (size_t)(end - begin);
    return read_plain(p, p->end + atomic_load_explicit(&s->tail, memory_order_relaxed), err);
}

cfb_code scan_input__extend(scan_part *p, cfb_err *err) {
    struct cfb_scan *s = p->scan;
    size_t tail = (p->avail - p->end) * 2, most = s->part_bytes / 4;
    if (tail < TAIL_BYTES) tail = TAIL_BYTES;
    if (p->data != p->buf.ptr) { /* the last record of a mapped segment: this part is read instead */
        size_t shift = p->begin;
        p->offset += shift;
        p->begin = p->avail = 0;
        p->end -= shift;
        p->start -= shift;
    } else {
        /* Where records are long, the next parts read more at once. */
        size_t next = tail < most ? tail : most;
        if (next > atomic_load_explicit(&s->tail, memory_order_relaxed))
            atomic_store_explicit(&s->tail, next, memory_order_relaxed);
    }
    return read_plain(p, p->end + tail, err);
}

void scan_input__measure(scan_part *p) {
    struct cfb_scan *s = p->scan;
    if (p->cpu_ns == 0 || s->memory != NULL) return;
    int64_t ns = cpu_now_ns() - p->cpu_ns;
    p->cpu_ns = 0;
    pthread_mutex_lock(&s->lock);
    enum scan_way way = s->segments[p->index * s->part_bytes / s->segment_bytes].way;
    s->way_ns[way] += ns > 0 ? (uint64_t)ns : 0;
    s->way_bytes[way] += p->end - p->begin;
    pthread_mutex_unlock(&s->lock);
}

/* No part of this process lies before the end of this one any more: commits are in the order of the file. */
void scan_input__release(scan_part *p) {
    struct cfb_scan *s = p->scan;
    if (s->segments == NULL) return;
    const uint64_t per = s->segment_bytes / s->part_bytes, end = (p->index + 1) / per;
    int64_t t0 = 0;
    for (; s->n_released < end; s->n_released++) {
        scan_segment *g = &s->segments[s->n_released];
        if (g->map == NULL) continue;
        if (t0 == 0) t0 = cpu_now_ns();
        munmap(g->map, g->len);
        g->map = NULL;
    }
    if (t0 == 0 || !is_measured(s, p)) return;
    pthread_mutex_lock(&s->lock);
    s->way_ns[WAY_MAP] += (uint64_t)(cpu_now_ns() - t0);
    pthread_mutex_unlock(&s->lock);
}

/* ---- streams ---- */

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
    p->avail = 0;
    size_t len = s->carry, target = s->carry + s->part_bytes, cut = 0;
    bool out = false;
    *end = s->stream_end;
    if (s->stream_end) return CFB_OK;
    for (;;) {
        if (!reserve_text(p, target)) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", target);
        if (s->carry) memcpy(p->buf.ptr, s->carry_buf, s->carry);
        s->carry = 0;
        size_t got = 0;
        cfb_code rc = s->stream_err.code != CFB_OK ? s->stream_err.code
                                                   : read_stream(s, p->buf.ptr + len, target - len, &got, &s->stream_err);
        p->avail = len += got;
        out = rc != CFB_OK || len < target;
        cut = out && rc == CFB_OK ? len : last_end(s, w, p->buf.ptr, len);
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
    if (!keep_carry(s, p->buf.ptr + cut, len - cut)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    p->data = p->buf.ptr;
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
        while (s->n_committed < p->seq && !s->ended) pthread_cond_wait(&s->changed, &s->lock);
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
    case SCAN_PLAIN: return fetch_plain(s, p, err);
    case SCAN_STREAM: return fetch_stream(s, p, w, end, err);
    default: return fetch_batch(s, p, end, err);
    }
}

static size_t common_multiple(size_t a, size_t b) {
    size_t x = a, y = b;
    while (y != 0) {
        size_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

static cfb_code open_plain(struct cfb_scan *s, const cfb_plain *plain, cfb_err *err) {
    s->memory = plain->data;
    s->fd = plain->fd;
    s->size = plain->size;
    s->n_parts = (s->size + s->part_bytes - 1) / s->part_bytes;
    s->next_part = s->n_committed = s->chain.start / s->part_bytes;
    atomic_store(&s->n_resolved, s->next_part);
    atomic_init(&s->tail, TAIL_BYTES);
    if (s->memory != NULL) return CFB_OK;
    long page = sysconf(_SC_PAGESIZE);
    s->segment_bytes = common_multiple(s->part_bytes, page > 0 ? (size_t)page : PAGE) * SEGMENT_PARTS;
    if (s->team != NULL) {
        s->shared = true;
        s->first_shared = s->next_part;
        s->n_shared = s->n_parts;
        s->n_parts = UINT64_MAX;
        s->next_part = s->n_committed = 0;
    }
    s->first_segment = (size_t)(s->chain.start / s->segment_bytes);
    s->n_segments = (size_t)(s->size / s->segment_bytes) + 1;
    s->segments = calloc(s->n_segments, sizeof *s->segments);
    return s->segments ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

cfb_code scan_input__open(struct cfb_scan *s, cfb_err *err) {
    cfb_plain plain;
    uint64_t line = 1;
    s->window = cfb_reader__text(s->reader, &line);
    s->chain = (scan_chain){0, 0, line};
    s->mode = s->window == NULL ? SCAN_BATCHES : cfb_source__plain(s->window->src, &plain) ? SCAN_PLAIN : SCAN_STREAM;
    s->n_parts = UINT64_MAX;
    if (s->window != NULL) s->chain.start = s->stream_offset = s->window->base + s->window->pos;
    return s->mode == SCAN_PLAIN ? open_plain(s, &plain, err) : CFB_OK;
}

void scan_input__close(struct cfb_scan *s) {
    for (size_t i = 0; s->segments != NULL && i < s->n_segments; i++)
        if (s->segments[i].map != NULL) munmap(s->segments[i].map, s->segments[i].len);
    free(s->segments);
    free(s->carry_buf);
}
