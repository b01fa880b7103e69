/* A scan in parts, on two threads, against the reader, which goes from front to back: the same rows, numbers and lines, or the
 * same error. The first three bytes choose format, size of parts and instruction set. */
#include "cfbench/dataset.h"
#include "cfbench/scan.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_FIELD ((size_t)4096)

static uint64_t add_row(uint64_t h, uint64_t number, uint64_t line, const cfb_str *cells, size_t n) {
    h = cfb_hash64(&number, sizeof number, h);
    h = cfb_hash64(&line, sizeof line, h);
    for (size_t i = 0; i < n; i++) h = cfb_hash64(cells[i].ptr ? cells[i].ptr : "", cells[i].len, h + (cells[i].ptr == NULL) + 2);
    return h;
}

static cfb_code commit(void *ctx, const cfb_scan_part *p, cfb_err *err) {
    uint64_t *h = ctx;
    (void)err;
    for (size_t i = 0; i < p->n_rows; i++)
        *h = add_row(*h, p->numbers[i], cfb_scan_line(p, i), p->cells + i * p->n_columns, p->n_columns);
    return CFB_OK;
}

static cfb_code read_all(const char *name, const void *data, size_t len, const cfb_column *columns, size_t n, uint64_t *h,
                         cfb_err *err) {
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.columns = columns;
    o.n_columns = n;
    o.max_field_bytes = MAX_FIELD;
    cfb_reader_t *r;
    cfb_rows rows;
    cfb_code rc = cfb_reader_open_memory(name, data, len, &o, &r, err);
    if (rc != CFB_OK) return rc;
    while ((rc = cfb_reader_next(r, &rows, err)) == CFB_OK && rows.n_rows > 0)
        for (size_t i = 0; i < rows.n_rows; i++) *h = add_row(*h, rows.first_row + i, rows.lines[i], rows.cells + i * n, n);
    cfb_reader_close(r);
    return rc;
}

static cfb_code scan_all(const char *name, const void *data, size_t len, size_t part, const cfb_scan_column *columns, size_t n,
                         bool skip, uint64_t *h, cfb_err *err) {
    cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
    o.columns = columns;
    o.n_columns = n;
    o.max_field_bytes = MAX_FIELD;
    o.part_bytes = part;
    o.n_threads = 2;
    o.skip_bad_rows = skip;
    cfb_scan_t *s;
    cfb_code rc = cfb_scan_open_memory(name, data, len, &o, &s, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_scan_run(s, &(cfb_scan_job){h, NULL, commit}, err);
    cfb_scan_close(s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const simd[] = {"avx512", "avx2", "neon", "portable"};
    const cfb_column columns[] = {{"id", false}, {"answer", false}, {"label", false}};
    const cfb_scan_column scan_columns[] = {{"id", false, false}, {"answer", false, false}, {"label", false, false}};
    if (size < 3) return 0;
    const char *name = data[0] % 2 ? "fuzz.jsonl" : "fuzz.csv";
    size_t part = 1 + (size_t)data[1] * (data[1] % 4 ? 1 : 40);
    if (!cfb_simd_use(simd[data[2] % 4])) cfb_simd_use("portable");
    cfb_err a = CFB_ERR_INIT, b = CFB_ERR_INIT;
    uint64_t want = 1, got = 1, skipped = 1;
    cfb_code rc_a = read_all(name, data + 3, size - 3, columns, 3, &want, &a);
    cfb_code rc_b = scan_all(name, data + 3, size - 3, part, scan_columns, 3, false, &got, &b);
    if (rc_a != rc_b || strcmp(a.msg, b.msg) != 0 || (rc_a == CFB_OK && want != got)) {
        fprintf(stderr, "reader: %s; scan: %s\n", a.msg, b.msg);
        abort();
    }
    cfb_err c = CFB_ERR_INIT;
    cfb_code rc_c = scan_all(name, data + 3, size - 3, part, scan_columns, 3, true, &skipped, &c);
    if (rc_a == CFB_OK && (rc_c != CFB_OK || skipped != want)) abort();
    return 0;
}
