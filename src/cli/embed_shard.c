/* Vectors of some of the texts: a .npy file like any, with a line behind its end that says which they are; and their joining. */
#include "cfbench/cluster.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE 192 /* bytes behind the vectors */
#define COPY ((size_t)1 << 20)

cfb_code cfb_cli_npy_header(cfb_file_writer_t *w, size_t n, size_t dim, cfb_err *err) {
    /* NumPy's format 1.0: a magic, a version, the header's length, a Python literal padded to a multiple of 64 bytes. */
    static const uint16_t one = 1;
    char head[CFB_NPY_HEADER + 64], literal[128];
    const char *order = *(const unsigned char *)&one ? "<" : ">";
    int len =
        snprintf(literal, sizeof literal, "{'descr': '%sf4', 'fortran_order': False, 'shape': (%zu, %zu), }", order, n, dim);
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(head + 10, literal, (size_t)len);
    head[CFB_NPY_HEADER - 1] = '\n';
    return cfb_file_writer_write(w, head, CFB_NPY_HEADER, err);
}

size_t cfb_cli_embed_first(uint64_t index, uint64_t count, size_t n) {
    return count == 0 ? (index ? n : 0) : (size_t)(n / count * index + n % count * index / count);
}

static void print_line(const cfb_embed_shard *s, char line[LINE + 1]) {
    int n = snprintf(line, LINE + 1, "\ncfbench.vectors/1 shard %llu/%llu texts %llu dim %llu input %016llx model %.64s",
                     (unsigned long long)s->index, (unsigned long long)s->count, (unsigned long long)s->n,
                     (unsigned long long)s->dim, (unsigned long long)s->input, s->model);
    memset(line + n, ' ', (size_t)(LINE - n));
    line[LINE - 1] = '\n';
    line[LINE] = '\0';
}

cfb_code cfb_cli_embed_shard_end(cfb_file_writer_t *w, const cfb_embed_shard *s, cfb_err *err) {
    char line[LINE + 1];
    print_line(s, line);
    return cfb_file_writer_write(w, line, LINE, err);
}

/* What print_line wrote, and nothing else. */
static bool read_line(const char line[LINE + 1], cfb_embed_shard *out) {
    unsigned long long index, count, n, dim, input;
    char again[LINE + 1];
    *out = (cfb_embed_shard){0};
    if (sscanf(line, "\ncfbench.vectors/1 shard %19llu/%19llu texts %19llu dim %19llu input %16llx model %64[0-9a-f]", &index,
               &count, &n, &dim, &input, out->model) != 6)
        return false;
    out->index = index;
    out->count = count;
    out->n = (size_t)n;
    out->dim = (size_t)dim;
    out->input = input;
    print_line(out, again);
    return memcmp(line, again, LINE) == 0 && index < count && count <= CFB_SHARDS_MAX && dim > 0 && dim <= 1 << 20 &&
           n < SIZE_MAX / 8 / dim;
}

struct file {
    const char *path;
    FILE *f;
    cfb_embed_shard s;
    size_t bytes; /* of its vectors */
};

static cfb_code open_one(struct file *x, cfb_err *err) {
    char line[LINE + 1];
    long size = 0;
    x->f = fopen(x->path, "rb");
    if (x->f == NULL) return cfb_err_set_errno(err, errno, "cannot open %s", x->path);
    bool good = fseek(x->f, -LINE, SEEK_END) == 0 && (size = ftell(x->f)) >= CFB_NPY_HEADER && fread(line, 1, LINE, x->f) == LINE;
    line[LINE] = '\0';
    if (!good || !read_line(line, &x->s))
        return cfb_err_set(err, CFB_EDATA, "%s: not a shard of 'cfbench embed', or damaged", x->path);
    size_t first = cfb_cli_embed_first(x->s.index, x->s.count, x->s.n),
           end = cfb_cli_embed_first(x->s.index + 1, x->s.count, x->s.n);
    x->bytes = (end - first) * x->s.dim * sizeof(float);
    if ((size_t)size != x->bytes + CFB_NPY_HEADER)
        return cfb_err_set(err, CFB_ETRUNCATED, "%s: has not the %zu vectors that it should", x->path, end - first);
    return fseek(x->f, CFB_NPY_HEADER, SEEK_SET) == 0 ? CFB_OK : cfb_err_set_errno(err, errno, "cannot read %s", x->path);
}

static int by_index(const void *a, const void *b) {
    uint64_t x = ((const struct file *)a)->s.index, y = ((const struct file *)b)->s.index;
    return (x > y) - (x < y);
}

static cfb_code check_set(struct file *x, size_t n, cfb_err *err) {
    for (size_t i = 1; i < n; i++)
        if (x[i].s.count != x[0].s.count || x[i].s.n != x[0].s.n || x[i].s.dim != x[0].s.dim || x[i].s.input != x[0].s.input ||
            strcmp(x[i].s.model, x[0].s.model) != 0)
            return cfb_err_set(err, CFB_EUSAGE, "%.200s and %.200s are of other texts, another model or another number of shards",
                               x[0].path, x[i].path);
    qsort(x, n, sizeof *x, by_index);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && x[i].s.index == x[i - 1].s.index)
            return cfb_err_set(err, CFB_EUSAGE, "shard %llu/%llu is given twice: %.180s and %.180s",
                               (unsigned long long)x[i].s.index, (unsigned long long)x[i].s.count, x[i - 1].path, x[i].path);
        if (x[i].s.index != i) break;
        if (i + 1 == x[0].s.count) return CFB_OK;
    }
    size_t k = 0;
    while (k < n && x[k].s.index == k) k++;
    return cfb_err_set(err, CFB_EUSAGE, "not given: shard %zu/%llu, and maybe more", k, (unsigned long long)x[0].s.count);
}

static cfb_code copy(struct file *x, cfb_file_writer_t *w, char *block, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t left = x->bytes; left > 0 && rc == CFB_OK;) {
        size_t some = left < COPY ? left : COPY;
        if (fread(block, 1, some, x->f) != some) return cfb_err_set_errno(err, errno ? errno : EIO, "cannot read %s", x->path);
        rc = cfb_file_writer_write(w, block, some, err);
        left -= some;
    }
    return rc;
}

bool cfb_cli_is_npy(const char *path) {
    char magic[6];
    FILE *f = cfb_path_is_dir(path) ? NULL : fopen(path, "rb");
    bool is = f && fread(magic, 1, 6, f) == 6 && memcmp(magic, "\x93NUMPY", 6) == 0;
    if (f) fclose(f);
    return is;
}

cfb_code cfb_cli_merge_vectors(const cfb_config *c, const char *out, const char *const *paths, size_t n, cfb_err *err) {
    cfb_file_writer_t *w = NULL;
    char *block = malloc(COPY);
    struct file *x = calloc(n, sizeof *x);
    cfb_code rc = x && block ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK && cfb_path_exists(out) && !c->force)
        rc = cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", out);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        x[i].path = paths[i];
        rc = open_one(&x[i], err);
    }
    if (rc == CFB_OK) rc = check_set(x, n, err);
    if (rc == CFB_OK) rc = cfb_file_writer_open(out, &w, err);
    if (rc == CFB_OK) rc = cfb_cli_npy_header(w, x[0].s.n, x[0].s.dim, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) rc = copy(&x[i], w, block, err);
    if (rc == CFB_OK)
        rc = cfb_file_writer_commit(w, err);
    else
        cfb_file_writer_abort(w);
    if (rc == CFB_OK && !c->quiet) fprintf(stderr, "merged %zu shards: %zu vectors: %s\n", n, x[0].s.n, out);
    for (size_t i = 0; x && i < n; i++)
        if (x[i].f) fclose(x[i].f);
    free(x);
    free(block);
    return rc;
}
