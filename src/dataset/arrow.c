/* arrow.c - Arrow IPC streams (and files, which hold a stream behind their magic), message by message. Of a record batch
 * only the wanted columns' buffers are read. Format: Apache Arrow columnar format, "IPC streaming format". */
#include "dataset/arrow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_METADATA ((size_t)64 << 20)
#define MAX_ROWS ((int64_t)INT32_MAX)

enum { MESSAGE_SCHEMA = 1, MESSAGE_DICTIONARY = 2, MESSAGE_BATCH = 3 };

/* The values of a dictionary, as text; several batches may extend it. */
typedef struct arrow_dictionary {
    int64_t id;
    arrow_type type;
    bool loaded;
    cfb_arena_t *texts;
    cfb_str *values;
    size_t n, cap;
} arrow_dictionary;

/* A wanted column of the open file. */
typedef struct arrow_slot {
    const arrow_column *column; /* NULL: not there */
    arrow_array own;            /* values, or indices of a dictionary */
    arrow_array *array;         /* own, or that of an earlier slot with the same column */
    arrow_dictionary *dictionary;
} arrow_slot;

typedef struct arrow_state {
    const char *const *paths; /* of a folder */
    size_t n_paths, next_path;
    cfb_source_t *src;
    bool file_format;   /* ARROW1: a footer follows behind the end of the stream */
    bool ended;         /* end of the current file's stream */
    cfb_arena_t *arena; /* lives as long as the current file */
    arrow_schema schema;
    arrow_slot *slots; /* (n_columns) */
    arrow_dictionary *dictionaries;
    size_t n_dictionaries;
    cfb_buf meta;   /* the current message's metadata */
    cfb_buf packed; /* one compressed buffer */
    cfb_fb fb;
    arrow_want *wants;
    size_t n_wants, cap_wants;
    size_t loaded_bytes; /* held for the current batch */
    arrow_array scratch; /* a dictionary batch */
    uint64_t body_start; /* offset in the file */
    size_t batch_rows, batch_pos;
    uint64_t row; /* rows of the file so far */
} arrow_state;

/* ---- bytes ---- */

static const char *label_of(const arrow_state *s) { return cfb_source__label(s->src); }

static cfb_code truncated(arrow_state *s, const char *what, uint64_t expected, uint64_t there, cfb_err *err) {
    uint64_t at = cfb_source__offset(s->src);
    cfb_err_set(err, CFB_ETRUNCATED, "%s: ends at byte %" PRIu64 " in %s: %" PRIu64 " bytes expected, %" PRIu64 " there",
                label_of(s), at, what, expected, there);
    if (err) err->offset = at;
    return CFB_ETRUNCATED;
}

static cfb_code damaged(arrow_state *s, const char *what, cfb_err *err) {
    uint64_t at = cfb_source__offset(s->src);
    cfb_err_set(err, CFB_EDATA, "%s: damaged before byte %" PRIu64 ": %s", label_of(s), at, what);
    if (err) err->offset = at;
    return CFB_EDATA;
}

/* Puts the place in front of a message that has none. */
static cfb_code placed(arrow_state *s, cfb_code rc, cfb_err *err) {
    if (rc != CFB_OK) cfb_err_add_context(err, "%s", label_of(s));
    return rc;
}

/* Reads n bytes into out. Memory follows the data: a wrong length at the end of a short file costs nothing. */
static cfb_code read_bytes(arrow_state *s, uint64_t n, cfb_buf *out, const char *what, cfb_err *err) {
    cfb_buf_clear(out);
    while (out->len < n) {
        size_t step = out->len < 65536 ? 65536 : out->len, got = 0;
        if (step > n - out->len) step = (size_t)(n - out->len);
        cfb_code rc = cfb_buf_reserve(out, step, err);
        if (rc != CFB_OK) return placed(s, rc, err);
        rc = cfb_source__read(s->src, out->ptr + out->len, step, &got, err);
        if (rc != CFB_OK) return rc;
        out->len += got;
        out->ptr[out->len] = '\0';
        if (got < step) return truncated(s, what, n, out->len, err);
    }
    return CFB_OK;
}

static cfb_code skip_bytes(arrow_state *s, uint64_t n, const char *what, cfb_err *err) {
    uint64_t skipped;
    cfb_code rc = cfb_source__skip(s->src, n, &skipped, err);
    if (rc == CFB_OK && skipped < n) rc = truncated(s, what, n, skipped, err);
    return rc;
}

/* ---- the end of a stream ---- */

/* What may follow: nothing, zeros, or the footer of the file format. A second stream behind the first would be rows that
 * nobody sees. */
static cfb_code check_tail(arrow_state *s, cfb_err *err) {
    unsigned char buf[4096];
    unsigned char last[6] = {0};
    uint64_t total = 0;
    size_t got = sizeof buf;
    while (got == sizeof buf) {
        cfb_code rc = cfb_source__read(s->src, buf, sizeof buf, &got, err);
        if (rc != CFB_OK) return rc;
        for (size_t i = 0; i < got && !s->file_format; i++)
            if (buf[i] != 0) return damaged(s, "data behind the end-of-stream marker", err);
        for (size_t i = got < 6 ? 0 : got - 6; i < got; i++) {
            memmove(last, last + 1, 5);
            last[5] = buf[i];
        }
        total += got;
    }
    if (s->file_format && memcmp(last, "ARROW1", 6) != 0) return truncated(s, "the footer", total + 6, total, err);
    return CFB_OK;
}

/* Reads the next message's metadata; *type is 0 at the end of the stream. */
static cfb_code next_message(arrow_state *s, int64_t *type, cfb_fb_table *header, uint64_t *body, cfb_err *err) {
    unsigned char word[4];
    size_t got;
    *type = 0;
    cfb_code rc = cfb_source__read(s->src, word, 4, &got, err);
    if (rc != CFB_OK) return rc;
    if (got == 0 && !s->file_format) return CFB_OK; /* an end marker is not required */
    if (got < 4) return truncated(s, "a message's length", 4, got, err);
    uint32_t len = cfb_le32(word);
    if (len == 0xFFFFFFFFu) { /* releases before 0.15 wrote the length at once */
        rc = cfb_source__read(s->src, word, 4, &got, err);
        if (rc != CFB_OK) return rc;
        if (got < 4) return truncated(s, "a message's length", 4, got, err);
        len = cfb_le32(word);
    }
    if (len == 0) return check_tail(s, err);
    if (len > MAX_METADATA) return damaged(s, "a message's metadata would be larger than 64 MB", err);
    rc = read_bytes(s, len, &s->meta, "a message's metadata", err);
    if (rc != CFB_OK) return rc;
    s->fb = (cfb_fb){(const unsigned char *)s->meta.ptr, s->meta.len, false};
    cfb_fb_table message = cfb_fb__root(&s->fb);
    int64_t version = cfb_fb__int(&s->fb, message, 0, 2, 0), n = cfb_fb__int(&s->fb, message, 3, 8, 0);
    *type = cfb_fb__int(&s->fb, message, 1, 1, 0);
    *header = cfb_fb__table(&s->fb, message, 2);
    if (s->fb.bad || header->pos == 0 || n < 0) return damaged(s, "a message's metadata", err);
    if (version != 3 && version != 4)
        return cfb_err_set(err, CFB_EUNSUPPORTED, "%s: Arrow metadata version V%" PRId64 "; V4 and V5 are supported", label_of(s),
                           version + 1);
    if (*type < MESSAGE_SCHEMA || *type > MESSAGE_BATCH)
        return cfb_err_set(err, CFB_EUNSUPPORTED, "%s: Arrow message type %" PRId64 " (a tensor?)", label_of(s), *type);
    s->schema.v4 = version == 3;
    *body = (uint64_t)n;
    s->body_start = cfb_source__offset(s->src);
    return CFB_OK;
}

/* ---- schema ---- */

static cfb_code bind_column(cfb_reader_t *r, arrow_state *s, size_t i, const arrow_column *c, cfb_err *err) {
    arrow_slot *slot = &s->slots[i];
    if (slot->column) return cfb_err_set(err, CFB_EDATA, "%s: column '%.*s' is there twice", label_of(s), CFB_STR_ARG(c->name));
    if (c->type.kind == ARROW_OTHER || (c->has_dictionary && c->type.kind == ARROW_NULL))
        return cfb_err_set(err, CFB_EUNSUPPORTED,
                           "%s: column '%.*s' has type %s; text, integers, floats and booleans "
                           "are supported",
                           label_of(s), CFB_STR_ARG(c->name), c->type.name);
    slot->column = c;
    slot->array = &slot->own;
    for (size_t k = 0; k < i; k++)
        if (s->slots[k].column == c && slot->array == &slot->own) slot->array = &s->slots[k].own;
    r->has[i] = true;
    if (!c->has_dictionary) return CFB_OK;
    arrow_dictionary *d = s->dictionaries;
    while (d < s->dictionaries + s->n_dictionaries && d->id != c->dictionary_id) d++;
    slot->dictionary = d;
    if (d < s->dictionaries + s->n_dictionaries) { /* shared */
        if (d->type.kind == c->type.kind && d->type.width == c->type.width && d->type.is_signed == c->type.is_signed)
            return CFB_OK;
        return cfb_err_set(err, CFB_EDATA, "%s: two columns share dictionary %" PRId64 " but not its type", label_of(s), d->id);
    }
    *d = (arrow_dictionary){.id = c->dictionary_id, .type = c->type};
    s->n_dictionaries++;
    return cfb_arena_new(0, &d->texts, err);
}

static cfb_code bind_columns(cfb_reader_t *r, arrow_state *s, cfb_err *err) {
    size_t k = r->opts.n_columns;
    for (size_t i = 0; i < k; i++) r->has[i] = false;
    for (size_t c = 0; c < s->schema.n_columns; c++) {
        const arrow_column *column = &s->schema.columns[c];
        for (size_t i = cfb_reader__find(r, column->name, 0); i < k; i = cfb_reader__find(r, column->name, i + 1)) {
            cfb_code rc = bind_column(r, s, i, column, err);
            if (rc != CFB_OK) return rc;
        }
    }
    cfb_str *have = cfb_arena_calloc(s->arena, s->schema.n_columns, sizeof *have);
    if (have == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t c = 0; c < s->schema.n_columns; c++) have[c] = s->schema.columns[c].name;
    return cfb_reader__check_columns(r, label_of(s), have, s->schema.n_columns, err);
}

static cfb_code read_schema(cfb_reader_t *r, arrow_state *s, cfb_err *err) {
    int64_t type;
    cfb_fb_table header;
    uint64_t body;
    uint64_t before = cfb_source__offset(s->src);
    cfb_code rc = next_message(s, &type, &header, &body, err);
    if (rc != CFB_OK) return rc;
    if (type == 0 && cfb_source__offset(s->src) == before) return truncated(s, "the schema message", 8, 0, err);
    if (type != MESSAGE_SCHEMA) return damaged(s, "expected a schema message first", err);
    rc = arrow_schema_read(&s->fb, header, s->schema.v4, s->arena, &s->schema, err);
    if (rc != CFB_OK) return placed(s, rc, err);
    rc = skip_bytes(s, body, "the schema's body", err);
    return rc == CFB_OK ? bind_columns(r, s, err) : rc;
}

/* ---- files ---- */

static void close_file(cfb_reader_t *r, arrow_state *s) {
    for (size_t i = 0; i < s->n_dictionaries; i++) {
        cfb_arena_free(s->dictionaries[i].texts);
        free(s->dictionaries[i].values);
    }
    s->n_dictionaries = 0;
    for (size_t i = 0; i < r->opts.n_columns && s->slots; i++) {
        arrow_array_clear(&s->slots[i].own);
        s->slots[i].column = NULL;
        s->slots[i].dictionary = NULL;
    }
    cfb_source__close(s->src);
    s->src = NULL;
}

/* Starts the stream of s->src. */
static cfb_code start_file(cfb_reader_t *r, arrow_state *s, cfb_err *err) {
    cfb_str head;
    cfb_code rc = cfb_source__peek(s->src, 8, &head, err);
    if (rc != CFB_OK) return rc;
    s->file_format = head.len >= 6 && memcmp(head.ptr, "ARROW1", 6) == 0;
    if (s->file_format) rc = skip_bytes(s, 8, "the magic number", err);
    cfb_arena_reset(s->arena);
    s->ended = false;
    s->row = s->batch_rows = s->batch_pos = 0;
    memset(&s->schema, 0, sizeof s->schema);
    r->file = cfb_source__path(s->src);
    return rc == CFB_OK ? read_schema(r, s, err) : rc;
}

/* ---- bodies ---- */

static cfb_code want_buffer(arrow_state *s, cfb_fb_vector buffers, size_t k, cfb_buf *into, cfb_err *err) {
    if (k >= buffers.count) return damaged(s, "a batch has fewer buffers than its schema asks for", err);
    int64_t offset = cfb_fb__word_at(&s->fb, buffers, k, 0), length = cfb_fb__word_at(&s->fb, buffers, k, 1);
    if (length == 0) return CFB_OK;
    if (offset < 0 || length < 0) return damaged(s, "a buffer has a negative size or place", err);
    if (s->n_wants == s->cap_wants) {
        size_t cap = s->cap_wants ? s->cap_wants * 2 : 16;
        arrow_want *p = realloc(s->wants, cap * sizeof *p);
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        s->wants = p;
        s->cap_wants = cap;
    }
    s->wants[s->n_wants++] = (arrow_want){(uint64_t)offset, (uint64_t)length, into};
    return CFB_OK;
}

static cfb_code want_views(arrow_state *s, arrow_array *a, cfb_fb_vector buffers, size_t k, uint64_t n, cfb_err *err) {
    if (n > buffers.count) return damaged(s, "a batch has fewer buffers than its schema asks for", err);
    if (n > a->cap_views) {
        cfb_buf *p = realloc(a->views, (size_t)n * sizeof *p);
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        memset(p + a->cap_views, 0, ((size_t)n - a->cap_views) * sizeof *p);
        a->views = p;
        a->cap_views = (size_t)n;
    }
    a->n_views = (size_t)n;
    for (size_t i = 0; i < n; i++) {
        cfb_code rc = want_buffer(s, buffers, k + i, &a->views[i], err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

/* Notes the buffers of one array: field node `node`, buffers from k on. */
static cfb_code want_array(arrow_state *s, arrow_array *a, const arrow_type *type, cfb_fb_vector nodes, size_t node,
                           cfb_fb_vector buffers, size_t k, uint64_t n_views, cfb_err *err) {
    arrow_array_clear(a);
    a->type = *type;
    if (node >= nodes.count) return damaged(s, "a batch has fewer fields than its schema", err);
    int64_t length = cfb_fb__word_at(&s->fb, nodes, node, 0);
    if (length < 0 || length > MAX_ROWS) return damaged(s, "a field's length is out of range", err);
    a->length = (size_t)length;
    a->has_nulls = cfb_fb__word_at(&s->fb, nodes, node, 1) != 0;
    if (type->kind == ARROW_NULL) return CFB_OK;
    cfb_code rc = a->has_nulls ? want_buffer(s, buffers, k, &a->validity, err) : CFB_OK;
    if (rc == CFB_OK) rc = want_buffer(s, buffers, k + 1, &a->first, err);
    if (rc == CFB_OK && type->kind == ARROW_TEXT) rc = want_buffer(s, buffers, k + 2, &a->second, err);
    if (rc == CFB_OK && type->kind == ARROW_VIEW) rc = want_views(s, a, buffers, k + 2, n_views, err);
    return rc;
}

static int compare_wants(const void *a, const void *b) {
    const arrow_want *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static cfb_code read_want(cfb_reader_t *r, arrow_state *s, const arrow_want *w, arrow_codec codec, cfb_err *err) {
    /* One batch is held whole: the same limit as for a JSON list. */
    size_t left = r->opts.max_json_bytes > s->loaded_bytes ? r->opts.max_json_bytes - s->loaded_bytes : 0;
    if (w->length > left)
        return cfb_err_set(err, CFB_ELIMIT,
                           "%s: the wanted columns of one Arrow batch are larger than the limit of %zu bytes; write the "
                           "data set in smaller batches",
                           label_of(s), r->opts.max_json_bytes);
    if (codec == ARROW_PLAIN) {
        s->loaded_bytes += (size_t)w->length;
        return read_bytes(s, w->length, w->into, "a batch", err);
    }
    cfb_code rc = read_bytes(s, w->length, &s->packed, "a batch", err);
    if (rc != CFB_OK) return rc;
    rc = arrow_decompress(cfb_buf_str(&s->packed), codec, left, w->into, err);
    s->loaded_bytes += w->into->len;
    return placed(s, rc, err);
}

/* Reads the noted buffers in the order of the file, and passes over the rest of the body. */
static cfb_code read_wants(cfb_reader_t *r, arrow_state *s, uint64_t body, arrow_codec codec, cfb_err *err) {
    uint64_t pos = 0;
    s->loaded_bytes = 0;
    if (s->n_wants) qsort(s->wants, s->n_wants, sizeof *s->wants, compare_wants);
    for (size_t i = 0; i < s->n_wants; i++) {
        const arrow_want *w = &s->wants[i];
        if (w->offset < pos || w->offset > body || w->length > body - w->offset)
            return damaged(s, w->offset < pos ? "two buffers of a batch overlap" : "a buffer lies outside its batch", err);
        cfb_code rc = skip_bytes(s, w->offset - pos, "a batch", err);
        if (rc == CFB_OK) rc = read_want(r, s, w, codec, err);
        if (rc != CFB_OK) return rc;
        pos = w->offset + w->length;
    }
    return skip_bytes(s, body - pos, "a batch", err);
}

static cfb_code codec_of(arrow_state *s, cfb_fb_table batch, arrow_codec *out, cfb_err *err) {
    cfb_fb_table compression = cfb_fb__table(&s->fb, batch, 3);
    *out = ARROW_PLAIN;
    if (compression.pos == 0) return CFB_OK;
    int64_t codec = cfb_fb__int(&s->fb, compression, 0, 1, 0), method = cfb_fb__int(&s->fb, compression, 1, 1, 0);
    if (codec < 0 || codec > 1 || method != 0)
        return cfb_err_set(err, CFB_EUNSUPPORTED, "%s: unknown body compression %" PRId64, label_of(s), codec);
    *out = codec == 0 ? ARROW_LZ4 : ARROW_ZSTD;
    return CFB_OK;
}

static cfb_code check_array(arrow_state *s, const arrow_array *a, cfb_str column, cfb_err *err) {
    const char *what = "";
    if (arrow_array_check(a, &what)) return CFB_OK;
    return cfb_err_set(err, CFB_EDATA,
                       "%s: the batch at byte %" PRIu64 ": column '%.*s': the %s buffer is too short for "
                       "%zu rows",
                       label_of(s), s->body_start, CFB_STR_ARG(column), what, a->length);
}

/* ---- dictionaries ---- */

static cfb_code extend_dictionary(cfb_reader_t *r, arrow_state *s, arrow_dictionary *d, cfb_err *err) {
    const arrow_array *a = &s->scratch;
    size_t n;
    if (!cfb_size_add(d->n, a->length, &n)) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (n > d->cap) {
        cfb_str *p = n <= SIZE_MAX / sizeof *p ? realloc(d->values, n * sizeof *p) : NULL;
        if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        d->values = p;
        d->cap = n;
    }
    for (size_t i = 0; i < a->length; i++) {
        cfb_str text;
        cfb_code rc = arrow_array_text(a, i, r->opts.max_field_bytes, d->texts, &text, err);
        if (rc == CFB_OK) rc = cfb_arena_dup(d->texts, text, &d->values[d->n], err);
        if (rc != CFB_OK) {
            cfb_err_add_context(err, "%s: dictionary %" PRId64 ", value %zu", label_of(s), d->id, d->n);
            return rc;
        }
        d->n++;
        if (cfb_arena_used(d->texts) > r->opts.max_json_bytes)
            return cfb_err_set(err, CFB_ELIMIT, "%s: dictionary %" PRId64 " is larger than the limit of %zu bytes", label_of(s),
                               d->id, r->opts.max_json_bytes);
    }
    return CFB_OK;
}

static cfb_code read_dictionary(cfb_reader_t *r, arrow_state *s, cfb_fb_table header, uint64_t body, cfb_err *err) {
    int64_t id = cfb_fb__int(&s->fb, header, 0, 8, 0);
    bool delta = cfb_fb__bool(&s->fb, header, 2, false);
    arrow_dictionary *d = s->dictionaries, *end = d + s->n_dictionaries;
    while (d < end && d->id != id) d++;
    if (d == end) return skip_bytes(s, body, "a dictionary", err);
    cfb_fb_table batch = cfb_fb__table(&s->fb, header, 1);
    cfb_fb_vector nodes = cfb_fb__vector(&s->fb, batch, 1, 16), buffers = cfb_fb__vector(&s->fb, batch, 2, 16);
    cfb_fb_vector counts = cfb_fb__vector(&s->fb, batch, 4, 8);
    arrow_codec codec;
    s->n_wants = 0;
    cfb_code rc = codec_of(s, batch, &codec, err);
    if (rc != CFB_OK) return rc;
    if (s->fb.bad || batch.pos == 0) return damaged(s, "a dictionary's metadata", err);
    int64_t n_views = counts.count ? cfb_fb__word_at(&s->fb, counts, 0, 0) : 0;
    rc = want_array(s, &s->scratch, &d->type, nodes, 0, buffers, 0, n_views < 0 ? UINT64_MAX : (uint64_t)n_views, err);
    if (rc == CFB_OK) rc = read_wants(r, s, body, codec, err);
    if (rc == CFB_OK) rc = check_array(s, &s->scratch, CFB_STR_LIT("(dictionary)"), err);
    if (rc != CFB_OK) return rc;
    if (!delta) {
        cfb_arena_reset(d->texts);
        d->n = 0;
    }
    d->loaded = true;
    return extend_dictionary(r, s, d, err);
}

/* ---- record batches ---- */

/* Notes what the wanted columns need. Walks over all fields, as only the sum of their buffers tells where one begins. */
static cfb_code want_columns(cfb_reader_t *r, arrow_state *s, cfb_fb_table batch, cfb_err *err) {
    cfb_fb_vector nodes = cfb_fb__vector(&s->fb, batch, 1, 16), buffers = cfb_fb__vector(&s->fb, batch, 2, 16);
    cfb_fb_vector counts = cfb_fb__vector(&s->fb, batch, 4, 8);
    if (s->fb.bad) return damaged(s, "a batch's metadata", err);
    uint64_t k = 0;
    size_t n_counts = 0;
    for (size_t node = 0; node < s->schema.n_nodes; node++) {
        const arrow_node *f = &s->schema.nodes[node];
        const arrow_column *c = &s->schema.columns[f->column];
        uint64_t n_views = 0;
        if (f->is_view && n_counts < counts.count) n_views = (uint64_t)cfb_fb__word_at(&s->fb, counts, n_counts++, 0);
        if (k > buffers.count || n_views > buffers.count)
            return damaged(s, "a batch has fewer buffers than its schema asks for", err);
        for (size_t i = 0; i < r->opts.n_columns && c->node == node; i++) {
            arrow_slot *slot = &s->slots[i];
            if (slot->column != c || slot->array != &slot->own) continue;
            cfb_code rc = want_array(s, slot->array, c->has_dictionary ? &c->index : &c->type, nodes, node, buffers, (size_t)k,
                                     n_views, err);
            if (rc != CFB_OK) return rc;
        }
        k += f->n_buffers + n_views;
    }
    return CFB_OK;
}

static cfb_code read_batch(cfb_reader_t *r, arrow_state *s, cfb_fb_table batch, uint64_t body, cfb_err *err) {
    int64_t rows = cfb_fb__int(&s->fb, batch, 0, 8, 0);
    arrow_codec codec;
    s->n_wants = 0;
    cfb_code rc = codec_of(s, batch, &codec, err);
    if (rc != CFB_OK) return rc;
    if (s->fb.bad || rows < 0 || rows > MAX_ROWS) return damaged(s, "a batch's metadata", err);
    rc = want_columns(r, s, batch, err);
    if (rc == CFB_OK) rc = read_wants(r, s, body, codec, err);
    for (size_t i = 0; i < r->opts.n_columns && rc == CFB_OK; i++) {
        const arrow_slot *slot = &s->slots[i];
        if (slot->column == NULL) continue;
        if (slot->array->length != (size_t)rows) return damaged(s, "a column has another number of rows than its batch", err);
        rc = check_array(s, slot->array, slot->column->name, err);
    }
    s->batch_rows = (size_t)rows;
    s->batch_pos = 0;
    return rc;
}

/* Brings a batch with rows; s->ended at the end of the file. */
static cfb_code next_batch(cfb_reader_t *r, arrow_state *s, cfb_err *err) {
    while (s->batch_pos == s->batch_rows && !s->ended) {
        int64_t type;
        cfb_fb_table header;
        uint64_t body;
        cfb_code rc = next_message(s, &type, &header, &body, err);
        if (rc == CFB_OK && type == MESSAGE_SCHEMA) rc = damaged(s, "a second schema", err);
        if (rc == CFB_OK && type == MESSAGE_DICTIONARY) rc = read_dictionary(r, s, header, body, err);
        if (rc == CFB_OK && type == MESSAGE_BATCH) rc = read_batch(r, s, header, body, err);
        if (rc != CFB_OK) return rc;
        s->ended = type == 0;
    }
    return CFB_OK;
}

static cfb_code cell_text(cfb_reader_t *r, arrow_state *s, const arrow_slot *slot, cfb_str *cell, cfb_err *err) {
    size_t i = s->batch_pos;
    if (slot->dictionary == NULL) return arrow_array_text(slot->array, i, r->opts.max_field_bytes, r->values, cell, err);
    int64_t index;
    *cell = CFB_STR_NULL;
    if (!arrow_array_index(slot->array, i, &index)) return CFB_OK;
    const arrow_dictionary *d = slot->dictionary;
    if (!d->loaded) return cfb_err_set(err, CFB_EDATA, "dictionary %" PRId64 " has not been sent", d->id);
    if (index < 0 || (uint64_t)index >= d->n)
        return cfb_err_set(err, CFB_EDATA, "index %" PRId64 " is not in the dictionary of %zu values", index, d->n);
    *cell = d->values[index];
    return CFB_OK;
}

static cfb_code take_row(cfb_reader_t *r, arrow_state *s, cfb_err *err) {
    cfb_str *cells;
    size_t bytes = 0;
    cfb_code rc = cfb_reader__add_row(r, s->row + 1, &cells, err);
    if (rc != CFB_OK) return rc;
    for (size_t i = 0; i < r->opts.n_columns; i++) {
        const arrow_slot *slot = &s->slots[i];
        if (slot->column == NULL) continue;
        rc = cell_text(r, s, slot, &cells[i], err);
        if (rc != CFB_OK) {
            cfb_err_add_context(err, "%s: row %" PRIu64 ", column '%.100s'", label_of(s), s->row + 1, r->names[i].ptr);
            return rc;
        }
        bytes += cells[i].len;
    }
    cfb_reader__finish_row(r, bytes);
    s->batch_pos++;
    s->row++;
    return CFB_OK;
}

/* Rows of one Arrow batch at most: their texts lie in its buffers. */
static cfb_code arrow_next(cfb_reader_t *r, cfb_err *err) {
    arrow_state *s = r->state;
    cfb_code rc = next_batch(r, s, err);
    while (rc == CFB_OK && s->ended && s->next_path < s->n_paths) {
        close_file(r, s);
        rc = cfb_source__open(s->paths[s->next_path++], &s->src, err);
        if (rc == CFB_OK) rc = start_file(r, s, err);
        if (rc == CFB_OK) rc = next_batch(r, s, err);
    }
    while (rc == CFB_OK && s->batch_pos < s->batch_rows && !cfb_reader__batch_full(r)) rc = take_row(r, s, err);
    return rc;
}

static void free_state(cfb_reader_t *r, arrow_state *s) {
    close_file(r, s);
    for (size_t i = 0; i < r->opts.n_columns && s->slots; i++) arrow_array_free(&s->slots[i].own);
    arrow_array_free(&s->scratch);
    cfb_buf_free(&s->meta);
    cfb_buf_free(&s->packed);
    cfb_arena_free(s->arena);
    free(s->wants);
    free(s);
}

static void arrow_close(cfb_reader_t *r) { free_state(r, r->state); }

cfb_code cfb_arrow__open(cfb_reader_t *r, cfb_source_t *src, const char *const *paths, size_t n_paths, cfb_err *err) {
    static const cfb_format format = {"arrow", arrow_next, arrow_close};
    arrow_state *s = calloc(1, sizeof *s);
    if (s == NULL) {
        cfb_source__close(src);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    s->src = src;
    s->paths = paths;
    s->n_paths = n_paths;
    s->next_path = 1;
    r->format = &format;
    r->state = s;
    s->slots = cfb_arena_calloc(r->arena, r->opts.n_columns, sizeof *s->slots);
    s->dictionaries = cfb_arena_calloc(r->arena, r->opts.n_columns, sizeof *s->dictionaries);
    if (!s->slots || !s->dictionaries) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = cfb_arena_new(0, &s->arena, err);
    return rc == CFB_OK ? start_file(r, s, err) : rc;
}
