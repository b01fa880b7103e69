/* Which labels stand in for which: pairs of a label that a row missed and one that it has too much. */
#include "cfbench/score.h"
#include "cfbench/text.h"
#include "score/labels.h"

#include <stdlib.h>

#define MAX_ROW_LABELS 64 /* labels beyond these of one text are not looked at */
#define MIN_SLOTS 256

bool cfb_label_next(cfb_str *rest, cfb_str *out) {
    while (rest->len > 0) {
        size_t n = 0, comma = 0;
        for (; n < rest->len && comma == 0; n++) {
            if (rest->ptr[n] == ',') comma = 1;
            if (rest->len - n >= 3 && memcmp(rest->ptr + n, "\xEF\xBC\x8C", 3) == 0) comma = 3;
            if (comma) break;
        }
        *out = cfb_text_strip((cfb_str){rest->ptr, n});
        *rest = (cfb_str){rest->ptr + n + comma, rest->len - n - comma};
        if (out->len > 0) return true;
    }
    return false;
}

typedef struct pair_slot {
    uint64_t key; /* reference's id, output's id; 0 = free: id 0 is the empty label */
    uint64_t n;
} pair_slot;

struct cfb_confused {
    label_table table;
    pair_slot *slots;
    size_t n, n_slots;
    cfb_confused_pair *pairs;
};

cfb_code cfb_confused_new(cfb_confused_t **out, cfb_err *err) {
    cfb_confused_t *c = calloc(1, sizeof *c);
    if (c && label_table_init(&c->table, NULL, 0)) {
        *out = c;
        return CFB_OK;
    }
    cfb_confused_free(c);
    return cfb_err_set(err, CFB_ENOMEM, "out of memory (confused labels)");
}

void cfb_confused_free(cfb_confused_t *c) {
    if (c == NULL) return;
    label_table_free(&c->table);
    free(c->slots);
    free(c->pairs);
    free(c);
}

/* The text's non-empty labels, each once. SIZE_MAX: no memory. */
static size_t read_labels(cfb_confused_t *c, cfb_str text, uint32_t ids[MAX_ROW_LABELS]) {
    size_t n = 0, k;
    for (cfb_str item; n < MAX_ROW_LABELS && cfb_label_next(&text, &item);) {
        uint32_t id = item.len < UINT32_MAX ? label_table_intern(&c->table, item) : LABEL_NONE;
        if (id == LABEL_NONE) return SIZE_MAX;
        for (k = 0; k < n && ids[k] != id; k++) {
        }
        if (k == n) ids[n++] = id;
    }
    return n;
}

static bool is_in(uint32_t id, const uint32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static pair_slot *find_pair(const cfb_confused_t *c, uint64_t key) {
    size_t i = (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (c->n_slots - 1);
    while (c->slots[i].key != 0 && c->slots[i].key != key) i = (i + 1) & (c->n_slots - 1);
    return &c->slots[i];
}

static bool make_room(cfb_confused_t *c) {
    if (2 * (c->n + 1) <= c->n_slots) return true;
    size_t n_old = c->n_slots;
    pair_slot *old = c->slots, *more = calloc(n_old ? n_old * 2 : MIN_SLOTS, sizeof *more);
    if (more == NULL) return false;
    c->slots = more;
    c->n_slots = n_old ? n_old * 2 : MIN_SLOTS;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].key) *find_pair(c, old[i].key) = old[i];
    free(old);
    return true;
}

cfb_code cfb_confused_add(cfb_confused_t *c, cfb_str response, cfb_str output, cfb_err *err) {
    uint32_t ref[MAX_ROW_LABELS], out[MAX_ROW_LABELS];
    size_t n_ref = read_labels(c, response, ref), n_out = read_labels(c, output, out);
    bool ok = n_ref != SIZE_MAX && n_out != SIZE_MAX;
    for (size_t i = 0; ok && i < n_ref; i++) {
        if (is_in(ref[i], out, n_out)) continue;
        for (size_t k = 0; ok && k < n_out; k++) {
            if (is_in(out[k], ref, n_ref)) continue;
            ok = make_room(c);
            if (!ok) break;
            pair_slot *p = find_pair(c, (uint64_t)ref[i] << 32 | out[k]);
            c->n += p->key == 0;
            p->key = (uint64_t)ref[i] << 32 | out[k];
            p->n++;
        }
    }
    return ok ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (confused labels)");
}

static int by_count(const void *a, const void *b) {
    const cfb_confused_pair *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    int c = cfb_str_cmp(x->reference, y->reference);
    return c ? c : cfb_str_cmp(x->output, y->output);
}

static cfb_str label_text(const cfb_confused_t *c, uint64_t id) {
    const label_key *k = &c->table.labels[id].key;
    return (cfb_str){k->ptr, k->len};
}

cfb_code cfb_confused_list(cfb_confused_t *c, const cfb_confused_pair **pairs, size_t *n, cfb_err *err) {
    free(c->pairs);
    c->pairs = malloc((c->n + 1) * sizeof *c->pairs);
    *pairs = c->pairs;
    *n = 0;
    if (c->pairs == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (confused labels)");
    for (size_t i = 0; i < c->n_slots; i++) {
        const pair_slot *p = &c->slots[i];
        if (p->key) c->pairs[(*n)++] = (cfb_confused_pair){label_text(c, p->key >> 32), label_text(c, p->key & UINT32_MAX), p->n};
    }
    if (*n) qsort(c->pairs, *n, sizeof *c->pairs, by_count);
    return CFB_OK;
}
