/* json.c - a JSON list of objects, or an object whose "data" is one. The text is held whole; rows are slices of it. */
#include "dataset/jsonrow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct list_state {
    cfb_source_t *src;
    cfb_buf buf;
    cfb_str list; /* from '[' to ']' */
    size_t pos;
    uint64_t row; /* rows read so far */
} list_state;

static cfb_code read_whole(const cfb_reader_t *r, list_state *s, cfb_err *err) {
    size_t max = r->opts.max_json_bytes, step = (size_t)64 * 1024, got;
    do {
        cfb_code rc = cfb_buf_reserve(&s->buf, step, err);
        if (rc == CFB_OK) rc = cfb_source__read(s->src, s->buf.ptr + s->buf.len, step, &got, err);
        if (rc != CFB_OK) return rc;
        s->buf.len += got;
        if (s->buf.len > max)
            return cfb_err_set(err, CFB_ELIMIT,
                               "%s: a JSON list is read whole and this one is larger than the limit of %zu bytes; JSON "
                               "Lines has no such limit",
                               cfb_source__label(s->src), max);
        if (step < (size_t)16 << 20) step *= 2;
    } while (got > 0);
    s->buf.ptr[s->buf.len] = '\0';
    return CFB_OK;
}

static cfb_code find_list(cfb_reader_t *r, list_state *s, cfb_err *err) {
    const char *label = cfb_source__label(s->src);
    cfb_str text = cfb_buf_str(&s->buf);
    size_t bom = text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    text.ptr += bom;
    text.len -= bom;
    cfb_code rc = cfb_jrow__check(text, (cfb_jplace){label, 1, bom}, err);
    if (rc != CFB_OK) return rc;
    size_t pos = 0;
    s->list = cfb_jrow__value(text, &pos);
    if (s->list.len && s->list.ptr[0] == '{') {
        rc = cfb_jrow__member(s->list, "data", r->values, &s->list, err);
        if (rc != CFB_OK) {
            cfb_err_add_context(err, "%s", label);
            return rc;
        }
    }
    if (s->list.len == 0 || s->list.ptr[0] != '[')
        return cfb_err_set(err, CFB_EDATA, "%s: expected a list of objects or {\"data\": [...]}", label);
    s->pos = 1;
    return CFB_OK;
}

/* The next element; *found is false behind the last. */
static cfb_code next_element(cfb_reader_t *r, list_state *s, bool *found, cfb_err *err) {
    cfb_jrow__accept(s->list, &s->pos, ',');
    size_t at = s->pos;
    *found = false;
    if (cfb_jrow__accept(s->list, &at, ']')) return CFB_OK;
    cfb_str object = cfb_jrow__value(s->list, &s->pos), *cells;
    if (object.len == 0) return CFB_OK;
    char where[256];
    snprintf(where, sizeof where, "%s: row %" PRIu64, cfb_source__label(s->src), s->row + 1);
    size_t bytes = 0;
    cfb_code rc = cfb_reader__add_row(r, s->row + 1, &cells, err);
    if (rc == CFB_OK) rc = cfb_jrow__fill(r, object, where, s->row == 0, cells, &bytes, err);
    if (rc != CFB_OK) return rc;
    cfb_reader__finish_row(r, bytes);
    s->row++;
    *found = true;
    return CFB_OK;
}

static cfb_code list_next(cfb_reader_t *r, cfb_err *err) {
    list_state *s = r->state;
    bool found = true;
    cfb_code rc = CFB_OK;
    while (rc == CFB_OK && found && !cfb_reader__batch_full(r)) rc = next_element(r, s, &found, err);
    return rc;
}

/* Looks at the first row, so that missing columns show at once. */
static cfb_code look_ahead(cfb_reader_t *r, list_state *s, cfb_err *err) {
    bool found;
    size_t pos = s->pos;
    cfb_code rc = next_element(r, s, &found, err);
    s->pos = pos;
    s->row = 0;
    r->n_rows = r->batch_bytes = 0;
    return rc;
}

static void list_close(cfb_reader_t *r) {
    list_state *s = r->state;
    cfb_source__close(s->src);
    cfb_buf_free(&s->buf);
    free(s);
}

cfb_code cfb_jsonlist__open(cfb_reader_t *r, cfb_source_t *src, cfb_err *err) {
    static const cfb_format format = {"json", list_next, list_close};
    list_state *s = calloc(1, sizeof *s);
    if (s == NULL) {
        cfb_source__close(src);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    s->src = src;
    r->format = &format;
    r->state = s;
    r->file = cfb_source__path(src);
    cfb_code rc = read_whole(r, s, err);
    if (rc == CFB_OK) rc = find_list(r, s, err);
    if (rc == CFB_OK) rc = look_ahead(r, s, err);
    return rc;
}
