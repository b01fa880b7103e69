/* The manifest: what was written, sent, got back and taken in. One table says which members a file of requests has. */
#include "cfbench/base.h"
#include "cfbench/batch.h"
#include "cfbench/json.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define SCHEMA "cfbench.batch/1"
#define MAX_BYTES ((size_t)64 << 20)

enum kind { TEXT, NUMBER, FLAG };

static const struct member {
    const char *name;
    enum kind kind;
    size_t offset, size;
} members[] = {
#define AT(name_text, kind_of, member) \
    { name_text, kind_of, offsetof(cfb_batch_shard, member), sizeof(((cfb_batch_shard *)0)->member) }
    AT("file", TEXT, file.name),
    AT("sha256", TEXT, file.sha256),
    AT("requests", NUMBER, file.n_requests),
    AT("bytes", NUMBER, file.n_bytes),
    AT("upload_started", FLAG, upload_started),
    AT("file_id", TEXT, file_id),
    AT("create_started", FLAG, create_started),
    AT("batch_id", TEXT, batch_id),
    AT("status", TEXT, status),
    AT("total", NUMBER, n_total),
    AT("completed", NUMBER, n_completed),
    AT("failed", NUMBER, n_failed),
    AT("output_file_id", TEXT, output_file_id),
    AT("error_file_id", TEXT, error_file_id),
    AT("output_fetched", FLAG, output_fetched),
    AT("errors_fetched", FLAG, errors_fetched),
    AT("imported", FLAG, imported),
    AT("message", TEXT, message),
#undef AT
};
#define N_MEMBERS (sizeof members / sizeof *members)

bool cfb_batch_shard_is_over(const cfb_batch_shard *s) {
    static const char *const over[] = {"completed", "failed", "expired", "cancelled"};
    for (size_t i = 0; i < sizeof over / sizeof *over; i++)
        if (strcmp(s->status, over[i]) == 0) return true;
    return false;
}

void cfb_batch_manifest_free(cfb_batch_manifest *m) {
    free(m->shards);
    m->shards = NULL;
    m->n_shards = 0;
}

static cfb_code grow(cfb_batch_manifest *m, size_t n, cfb_err *err) {
    size_t total, bytes;
    if (n == 0) return CFB_OK;
    if (!cfb_size_add(m->n_shards, n, &total) || !cfb_size_mul(total, sizeof *m->shards, &bytes))
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_batch_shard *more = realloc(m->shards, bytes);
    if (more == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    m->shards = more;
    memset(m->shards + m->n_shards, 0, n * sizeof *m->shards);
    return CFB_OK;
}

cfb_code cfb_batch_manifest_add(cfb_batch_manifest *m, const cfb_batch_file *files, size_t n, cfb_err *err) {
    cfb_code rc = grow(m, n, err);
    if (rc != CFB_OK) return rc;
    for (size_t i = 0; i < n; i++) m->shards[m->n_shards++].file = files[i];
    return CFB_OK;
}

/* ---- writing ---- */

static void write_member(cfb_jw *w, const struct member *m, const cfb_batch_shard *s) {
    const char *at = (const char *)s + m->offset;
    int64_t number;
    bool flag;
    cfb_jw_key(w, m->name);
    switch (m->kind) {
    case TEXT: cfb_jw_strz(w, at); break;
    case NUMBER:
        memcpy(&number, at, sizeof number);
        cfb_jw_int(w, number);
        break;
    case FLAG:
        memcpy(&flag, at, sizeof flag);
        cfb_jw_bool(w, flag);
        break;
    }
}

cfb_code cfb_batch_manifest_write(const cfb_batch_manifest *m, cfb_buf *out, cfb_err *err) {
    const char *const heads[][2] = {{"schema", SCHEMA}, {"tag", m->tag}, {"model", m->model}, {"base_url", m->base_url}};
    cfb_jw w;
    cfb_jw_init(&w, out, 2);
    cfb_jw_obj(&w);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        cfb_jw_key(&w, heads[i][0]);
        cfb_jw_strz(&w, heads[i][1]);
    }
    cfb_jw_key(&w, "round");
    cfb_jw_int(&w, m->round);
    cfb_jw_key(&w, "files");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < m->n_shards; i++) {
        cfb_jw_obj(&w);
        for (size_t k = 0; k < N_MEMBERS; k++) write_member(&w, &members[k], &m->shards[i]);
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? cfb_buf_append_char(out, '\n', err) : rc;
}

cfb_code cfb_batch_manifest_save(const cfb_batch_manifest *m, const char *path, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(MAX_BYTES);
    cfb_code rc = cfb_batch_manifest_write(m, &text, err);
    if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&text), err);
    cfb_buf_free(&text);
    return rc;
}

/* ---- reading ---- */

static bool read_member(const cfb_json *node, const struct member *m, cfb_batch_shard *s) {
    char *at = (char *)s + m->offset;
    int64_t number;
    bool flag;
    switch (m->kind) {
    case TEXT: return cfb_json_copy(node, at, m->size);
    case NUMBER:
        if (!cfb_json_int(node, &number) || number < 0) return false;
        memcpy(at, &number, sizeof number);
        return true;
    case FLAG:
        if (!cfb_json_bool(node, &flag)) return false;
        memcpy(at, &flag, sizeof flag);
        return true;
    }
    return false;
}

/* Names are used as names of files in the batch's folder: nothing else may come in. */
static bool is_plain_name(const char *s) {
    if (*s == '\0' || *s == '.') return false;
    return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(s);
}

static cfb_code wrong(const char *name, const char *member, cfb_err *err) {
    return cfb_err_set(err, CFB_EDATA, "%s: \"%s\" is missing or wrong; was the file edited?", name, member);
}

static cfb_code read_shards(const char *name, const cfb_json *files, cfb_batch_manifest *m, cfb_err *err) {
    if (cfb_json_kind_of(files) != CFB_JSON_ARRAY) return wrong(name, "files", err);
    cfb_code rc = grow(m, cfb_json_count(files), err);
    for (const cfb_json *f = cfb_json_first(files); f && rc == CFB_OK; f = cfb_json_next(f)) {
        cfb_batch_shard *s = &m->shards[m->n_shards];
        for (size_t k = 0; k < N_MEMBERS && rc == CFB_OK; k++)
            if (!read_member(cfb_json_get(f, members[k].name), &members[k], s)) rc = wrong(name, members[k].name, err);
        if (rc == CFB_OK && !is_plain_name(s->file.name)) rc = wrong(name, "file", err);
        if (rc == CFB_OK) m->n_shards++;
    }
    return rc;
}

static cfb_code read_root(const char *name, const cfb_json *root, cfb_batch_manifest *m, cfb_err *err) {
    cfb_str schema = cfb_json_str(cfb_json_get(root, "schema"));
    int64_t round;
    if (schema.ptr == NULL) return cfb_err_set(err, CFB_EDATA, "%s: not a batch manifest", name);
    if (!cfb_str_eqz(schema, SCHEMA))
        return cfb_err_set(err, CFB_EDATA, "%s: its schema is '%.40s', this cfbench reads " SCHEMA, name, schema.ptr);
    if (!cfb_json_copy(cfb_json_get(root, "tag"), m->tag, sizeof m->tag) || !is_plain_name(m->tag))
        return wrong(name, "tag", err);
    if (!cfb_json_copy(cfb_json_get(root, "model"), m->model, sizeof m->model)) return wrong(name, "model", err);
    if (!cfb_json_copy(cfb_json_get(root, "base_url"), m->base_url, sizeof m->base_url)) return wrong(name, "base_url", err);
    if (!cfb_json_int(cfb_json_get(root, "round"), &round) || round < 0 || round > 9999) return wrong(name, "round", err);
    m->round = (int)round;
    return read_shards(name, cfb_json_get(root, "files"), m, err);
}

cfb_code cfb_batch_manifest_parse(const char *name, cfb_str json, cfb_batch_manifest *out, cfb_err *err) {
    cfb_json *root = NULL;
    *out = (cfb_batch_manifest){0};
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    if (rc != CFB_OK) {
        cfb_err_add_context(err, "%s", name);
        return rc;
    }
    rc = read_root(name, root, out, err);
    cfb_json_free(root);
    if (rc != CFB_OK) cfb_batch_manifest_free(out);
    return rc;
}

cfb_code cfb_batch_manifest_read(const char *path, cfb_batch_manifest *out, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(MAX_BYTES + 131072);
    *out = (cfb_batch_manifest){0};
    cfb_code rc = cfb_file_read(path, MAX_BYTES, &text, err);
    if (rc == CFB_OK) rc = cfb_batch_manifest_parse(path, cfb_buf_str(&text), out, err);
    cfb_buf_free(&text);
    return rc;
}
