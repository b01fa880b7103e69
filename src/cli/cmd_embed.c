/* cfbench embed IN OUT: texts -> vectors, as a NumPy array. */
#include "cfbench/cluster.h"
#include "cfbench/json.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_LINES_FILE ((size_t)4 << 30)
#define GROUP 4096 /* texts at a time */

struct out {
    const char *in;
    size_t dim, n;
    int64_t open_ns, embed_ns; /* time spent */
    cfb_file_writer_t *file;
    float *vectors;        /* (GROUP, dim) */
    cfb_embed_shard shard; /* n: all texts; count 0: this process embeds them all */
    size_t first, end;     /* the texts that are its own */
};

/* Once the number of texts is known. */
static cfb_code begin(struct out *o, size_t n, cfb_err *err) {
    o->shard.n = n;
    o->first = cfb_cli_embed_first(o->shard.index, o->shard.count, n);
    o->end = cfb_cli_embed_first(o->shard.index + 1, o->shard.count, n);
    return cfb_cli_npy_header(o->file, o->end - o->first, o->dim, err);
}

/* Texts first, first + 1, ...: those that are this process's own. */
static cfb_code put_texts(struct out *o, const cfb_str *texts, size_t n, size_t first, cfb_err *err) {
    size_t dim = o->dim, skip = first < o->first ? o->first - first : 0;
    if (first >= o->end || skip >= n) return CFB_OK;
    if (o->end - first < n) n = o->end - first;
    for (size_t at = skip; at < n; at += GROUP) {
        size_t m = n - at < GROUP ? n - at : GROUP;
        int64_t begin_ns = cfb_now_ns();
        cfb_code rc = cfb_cli_embed_texts(texts + at, m, o->vectors, err);
        cfb_cli_stage_end("embed", begin_ns);
        o->embed_ns += cfb_now_ns() - begin_ns;
        o->n += m;
        if (rc == CFB_EENCODING)
            cfb_err_add_context(err, "%s: text %llu", strcmp(o->in, "-") == 0 ? "standard input" : o->in,
                                (unsigned long long)first + at + (err ? err->offset : 0) + 1);
        if (rc == CFB_OK) rc = cfb_file_writer_write(o->file, o->vectors, m * dim * sizeof *o->vectors, err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

/* ---- lines ---- */

static cfb_code read_stdin(cfb_buf *b, cfb_err *err) {
    char block[1 << 16];
    for (size_t got; (got = fread(block, 1, sizeof block, stdin)) > 0;) {
        cfb_code rc = cfb_buf_append(b, block, got, err);
        if (rc != CFB_OK) return rc;
    }
    return ferror(stdin) ? cfb_err_set(err, CFB_EIO, "standard input cannot be read") : CFB_OK;
}

static size_t cut_lines(cfb_str text, cfb_str *lines) {
    size_t n = 0;
    for (size_t at = 0; at < text.len; n++) {
        const char *end = memchr(text.ptr + at, '\n', text.len - at);
        size_t len = end ? (size_t)(end - text.ptr) - at : text.len - at;
        if (lines) lines[n] = (cfb_str){text.ptr + at, len > 0 && text.ptr[at + len - 1] == '\r' ? len - 1 : len};
        at += len + 1;
    }
    return n;
}

static cfb_code embed_lines(struct out *o, const char *in, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(MAX_LINES_FILE + ((size_t)1 << 20));
    cfb_code rc = strcmp(in, "-") == 0 ? read_stdin(&text, err) : cfb_file_read(in, MAX_LINES_FILE, &text, err);
    size_t n = rc == CFB_OK ? cut_lines(cfb_buf_str(&text), NULL) : 0;
    cfb_str *lines = malloc((n ? n : 1) * sizeof *lines);
    if (lines == NULL && rc == CFB_OK) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu lines)", n);
    if (rc == CFB_OK) {
        cut_lines(cfb_buf_str(&text), lines);
        o->shard.input = cfb_hash64_long(text.len ? text.ptr : "", text.len);
        rc = begin(o, n, err);
    }
    if (rc == CFB_OK) rc = put_texts(o, lines, n, 0, err);
    free(lines);
    cfb_buf_free(&text);
    return rc;
}

/* ---- a column ---- */

static cfb_code count_texts(void *ctx, const cfb_str *texts, size_t n, size_t first, cfb_err *err) {
    struct out *o = ctx;
    (void)first, (void)err;
    for (size_t i = 0; o->shard.count && i < n; i++)
        o->shard.input = cfb_hash64(texts[i].len ? texts[i].ptr : "", texts[i].len, o->shard.input);
    return CFB_OK;
}

static cfb_code embed_rows(void *ctx, const cfb_str *texts, size_t n, size_t first, cfb_err *err) {
    return put_texts(ctx, texts, n, first, err);
}

/* The header holds the number of rows, so the data set is read twice: first to count, into *n. */
static cfb_code embed_column(struct out *o, const char *in, const char *column, bool count, size_t *n, cfb_err *err) {
    size_t seen = 0;
    cfb_code rc = count ? CFB_OK : begin(o, *n, err);
    if (rc == CFB_OK) rc = cfb_cli_each_text(in, column, count ? count_texts : embed_rows, o, &seen, err);
    if (rc == CFB_OK && !count && seen != *n) rc = cfb_err_set(err, CFB_EDATA, "%s changed while it was read", in);
    *n = seen;
    return rc;
}

/* What was computed, and how fast: without opening the model, reading and writing. */
static cfb_code print_summary(const struct out *o, cfb_err *err) {
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_encoder_work work;
    const char *source = cfb_cli_embed_source(&work);
    cfb_jw_init(&w, &b, 2);
    cfb_jw_obj(&w);
    cfb_jw_member_strz(&w, "schema", "cfbench.embed/1");
    cfb_jw_member_strz(&w, "model", source);
    cfb_jw_member_int(&w, "dimension", (int64_t)o->dim);
    cfb_jw_member_int(&w, "texts", (int64_t)o->n);
    cfb_jw_member_int(&w, "computed_texts", (int64_t)work.texts);
    cfb_jw_member_int(&w, "computed_tokens", (int64_t)work.tokens);
    cfb_jw_member_num(&w, "open_s", (double)o->open_ns * 1e-9);
    cfb_jw_member_num(&w, "embed_s", (double)o->embed_ns * 1e-9);
    cfb_jw_end_obj(&w);
    return cfb_cli_print_json(&w, &b, err);
}

cfb_code cfb_cmd_embed(const cfb_config *c, cfb_err *err) {
    const char *in = c->args[0], *to = c->args[1];
    struct out o = {.in = in, .shard = {.index = (uint64_t)c->shard_index, .count = (uint64_t)c->shard_count}};
    char path[PATH_MAX], name[48];
    size_t n = 0;
    if (c->shard_count) {
        cfb_shard_folder((cfb_shard){c->shard_index, c->shard_count}, name);
        if (snprintf(path, sizeof path, "%s.%s", to, name) >= (int)sizeof path)
            return cfb_err_set(err, CFB_ELIMIT, "%.200s...: too long", to);
        to = path;
    }
    if (cfb_path_exists(to) && !c->force) return cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", to);
    int64_t begin_ns = cfb_now_ns();
    cfb_code rc = cfb_cli_embed_open(c, &o.dim, err);
    cfb_cli_stage_end("open the model", begin_ns);
    o.open_ns = cfb_now_ns() - begin_ns;
    if (rc != CFB_OK) return rc;
    o.vectors = malloc(GROUP * o.dim * sizeof *o.vectors);
    if (o.vectors == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (vectors)");
    if (rc == CFB_OK && c->column) rc = embed_column(&o, in, c->column, true, &n, err);
    if (rc == CFB_OK) rc = cfb_file_writer_open(to, &o.file, err);
    if (rc == CFB_OK) rc = c->column ? embed_column(&o, in, c->column, false, &n, err) : embed_lines(&o, in, err);
    o.shard.dim = o.dim;
    cfb_cli_embed_hash(o.shard.model);
    if (rc == CFB_OK && c->shard_count) rc = cfb_cli_embed_shard_end(o.file, &o.shard, err);
    if (o.file && rc == CFB_OK)
        rc = cfb_file_writer_commit(o.file, err);
    else
        cfb_file_writer_abort(o.file);
    free(o.vectors);
    return rc == CFB_OK && c->json ? print_summary(&o, err) : rc;
}
