/* Makes a large response file out of a small one: its rows repeated and changed, with a seed. Row n depends on the seed and n
 * only, so a shorter file is the beginning of a longer one.
 *
 *   make_rows IN.csv OUT.csv labels|text --mb N|--rows N [--seed N]
 *
 * IN has the columns input and response, and output where somebody answered. Of the answers two in five stay as they are (without
 * an output column: are right); labels: the others miss, add or confuse a label; text: pieces are replaced by pieces of other
 * texts. */
#include "cfbench/base.h"
#include "cfbench/dataset.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OUT_BYTES ((size_t)4 << 20)

typedef struct row {
    cfb_str input, response, output;
} row;

static row *rows;
static size_t n_rows, n_labels;
static cfb_str *labels;
static cfb_arena_t *arena;
static uint64_t seed = 1;

static void die(const char *what) {
    fprintf(stderr, "make_rows: %s\n", what);
    exit(1);
}

static void need(cfb_code rc, const cfb_err *err) {
    if (rc != CFB_OK) die(err->msg);
}

/* A lone CR in an unquoted field means different things to different readers; it is not the matter here. */
static cfb_str keep(cfb_str s) {
    cfb_str out;
    cfb_err err = CFB_ERR_INIT;
    need(cfb_arena_dup(arena, s.ptr ? s : CFB_STR_LIT(""), &out, &err), &err);
    char *p = (char *)(uintptr_t)out.ptr;
    for (size_t i = 0; i < out.len; i++)
        if (p[i] == '\r') p[i] = ' ';
    return out;
}

static void read_rows(const char *path) {
    const cfb_column columns[] = {{"input", true}, {"response", true}, {"output", false}};
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    cfb_err err = CFB_ERR_INIT;
    cfb_reader_t *r;
    cfb_rows batch;
    o.columns = columns;
    o.n_columns = 3;
    need(cfb_reader_open(path, &o, &r, &err), &err);
    for (;;) {
        need(cfb_reader_next(r, &batch, &err), &err);
        if (batch.n_rows == 0) break;
        rows = realloc(rows, (n_rows + batch.n_rows) * sizeof *rows);
        if (rows == NULL) die("out of memory");
        for (size_t i = 0; i < batch.n_rows; i++) {
            const cfb_str *c = batch.cells + 3 * i;
            rows[n_rows++] = (row){keep(c[0]), keep(c[1]), cfb_reader_has_column(r, 2) ? keep(c[2]) : CFB_STR_NULL};
        }
    }
    cfb_reader_close(r);
    if (n_rows == 0) die("no rows");
}

/* Next item between commas of either width; false at the end. */
static bool next_item(cfb_str t, size_t *pos, cfb_str *item) {
    if (*pos > t.len) return false;
    size_t i = *pos, skip = 0;
    for (; i < t.len && !skip; i++) skip = t.ptr[i] == ',' ? 1 : t.len - i >= 3 && memcmp(t.ptr + i, "，", 3) == 0 ? 3 : 0;
    if (skip) i--;
    *item = (cfb_str){t.ptr + *pos, i - *pos};
    *pos = skip ? i + skip : t.len + 1;
    return true;
}

static void collect_labels(void) {
    size_t cap = 0;
    for (size_t i = 0; i < n_rows; i++) {
        cfb_str item;
        for (size_t pos = 0; next_item(rows[i].response, &pos, &item);) {
            if (item.len == 0) continue;
            if (n_labels == cap) {
                cap = cap ? cap * 2 : 1024;
                labels = realloc(labels, cap * sizeof *labels);
                if (labels == NULL) die("out of memory");
            }
            labels[n_labels++] = item;
        }
    }
    if (n_labels == 0) labels = calloc(1, sizeof *labels), n_labels = labels ? 1 : 0;
}

static void put(cfb_buf *b, cfb_str s) {
    cfb_err err = CFB_ERR_INIT;
    need(cfb_buf_append_str(b, s, &err), &err);
}

static uint64_t rnd(uint64_t stream, uint64_t n) { return cfb_rand_u64(seed, stream, n); }

static void other_labels(cfb_buf *b, cfb_str t, uint64_t n) {
    cfb_str item;
    size_t count = 0, k = 0;
    for (size_t pos = 0; next_item(t, &pos, &item);) count++;
    uint64_t v = rnd(1, n), what = v / 8 % 3, at = v / 64 % count;
    if (t.len == 0 || v % 5 < 2) {
        put(b, t);
        return;
    }
    cfb_str comma = v >> 40 & 1 ? CFB_STR_LIT("，") : CFB_STR_LIT(","), other = labels[rnd(2, n) % n_labels];
    bool first = true;
    for (size_t pos = 0; next_item(t, &pos, &item); k++) {
        if (k == at && what == 0 && count > 1) continue;
        if (!first) put(b, comma);
        first = false;
        if (k == at && what == 1) {
            put(b, other);
            put(b, comma);
        }
        put(b, k == at && what == 2 ? other : item);
    }
}

/* A place between characters. */
static size_t place(cfb_str t, uint64_t v) {
    size_t at = t.len ? (size_t)(v % (t.len + 1)) : 0;
    while (at > 0 && at < t.len && ((unsigned char)t.ptr[at] & 0xC0) == 0x80) at--;
    return at;
}

static void other_text(cfb_buf *b, cfb_str t, uint64_t n) {
    size_t from = 0;
    for (uint64_t k = 0; k < 2; k++) {
        cfb_str donor = rows[rnd(10 + k, n) % n_rows].response;
        size_t at = from + place((cfb_str){t.ptr + from, t.len - from}, rnd(20 + k, n) % (t.len / 2 + 1));
        size_t a = place(donor, rnd(30 + k, n)), len = 12 + (size_t)(rnd(40 + k, n) % 60),
               end = a + len < donor.len ? a + len : donor.len;
        while (end < donor.len && ((unsigned char)donor.ptr[end] & 0xC0) == 0x80) end++;
        put(b, (cfb_str){t.ptr + from, at - from});
        put(b, (cfb_str){donor.ptr + a, end - a});
        from = at + len < t.len ? at + len : t.len;
        while (from < t.len && ((unsigned char)t.ptr[from] & 0xC0) == 0x80) from++;
    }
    put(b, (cfb_str){t.ptr + from, t.len - from});
}

static void make_row(cfb_buf *b, cfb_buf *text, uint64_t n, bool of_labels) {
    const row *r = &rows[n % n_rows];
    cfb_err err = CFB_ERR_INIT;
    bool first = n < n_rows && r->output.ptr;
    cfb_str answer = r->output.ptr ? r->output : r->response;
    cfb_buf_clear(text);
    need(cfb_buf_printf(text, &err, "[%" PRIu64 "] ", n), &err);
    put(text, r->input);
    need(cfb_csv_append_field(b, cfb_buf_str(text), false, &err), &err);
    put(b, CFB_STR_LIT(","));
    need(cfb_csv_append_field(b, r->response, false, &err), &err);
    put(b, CFB_STR_LIT(","));
    cfb_buf_clear(text);
    put(text, CFB_STR_LIT(""));
    if (first || (!of_labels && (answer.len == 0 || rnd(3, n) % 5 < 2)))
        put(text, answer);
    else if (of_labels)
        other_labels(text, answer, n);
    else
        other_text(text, answer, n);
    need(cfb_csv_append_field(b, cfb_buf_str(text), false, &err), &err);
    put(b, CFB_STR_LIT("\n"));
}

static void flush(int fd, cfb_buf *b) {
    for (size_t done = 0; done < b->len;) {
        ssize_t k = write(fd, b->ptr + done, b->len - done);
        if (k < 0) die("cannot write");
        done += (size_t)k;
    }
    cfb_buf_clear(b);
}

int main(int argc, char **argv) {
    int64_t mb = 0, want = 0, s = 1;
    bool ok = argc >= 6 && argc % 2 == 0;
    for (int i = 4; ok && i + 1 < argc; i += 2) {
        int64_t *to = strcmp(argv[i], "--mb") == 0     ? &mb
                      : strcmp(argv[i], "--rows") == 0 ? &want
                      : strcmp(argv[i], "--seed") == 0 ? &s
                                                       : NULL;
        ok = to != NULL && cfb_parse_int(argv[i + 1], to) && *to >= 0;
    }
    bool of_labels = ok && strcmp(argv[3], "labels") == 0;
    if (!ok || (mb == 0 && want == 0) || (!of_labels && strcmp(argv[3], "text") != 0)) {
        fprintf(stderr, "usage: make_rows IN.csv OUT.csv labels|text --mb N|--rows N [--seed N]\n");
        return 1;
    }
    seed = (uint64_t)s;
    cfb_err err = CFB_ERR_INIT;
    need(cfb_arena_new(0, &arena, &err), &err);
    read_rows(argv[1]);
    collect_labels();
    int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) die("cannot create the file");
    cfb_buf b = CFB_BUF_INIT(0), text = CFB_BUF_INIT(0);
    uint64_t n = 0, bytes = 0;
    put(&b, CFB_STR_LIT("input,response,output\n"));
    while (want ? n < (uint64_t)want : bytes + b.len < (uint64_t)mb * 1000000) {
        make_row(&b, &text, n++, of_labels);
        if (b.len >= OUT_BYTES) {
            bytes += b.len;
            flush(fd, &b);
        }
    }
    bytes += b.len;
    flush(fd, &b);
    if (close(fd) != 0) die("cannot write");
    printf("%" PRIu64 " %" PRIu64 "\n", n, bytes);
    cfb_buf_free(&b);
    cfb_buf_free(&text);
    free(rows);
    free(labels);
    cfb_arena_free(arena);
    return 0;
}
