/* Which labels stand in for which: pairs of a label that a row missed and one that it has too much. */
#include "cfbench/score.h"
#include "cfbench/text.h"
#include "score/labels.h"
#include "score/split.h"

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

/* The text's non-empty labels, each once. */
static size_t read_labels(cfb_str text, label_key keys[MAX_ROW_LABELS]) {
    const char *p = text.ptr, *end = text.ptr + text.len;
    size_t n = 0, k, comma_len = text.len > 0;
    while (comma_len > 0 && n < MAX_ROW_LABELS) {
        const char *q = find_comma(p, end, true, &comma_len);
        cfb_str item = q > p ? strip_item(p, q) : CFB_STR_NULL;
        p = q + comma_len;
        if (item.len == 0) continue;
        keys[n] = label_key_of(item);
        for (k = 0; !label_key_eq(&keys[k], &keys[n]); k++) {
        }
        n += k == n;
    }
    return n;
}

/* Of n labels those that are not among the others; their ids. SIZE_MAX: no memory. */
static size_t keep_others(cfb_confused_t *c, const label_key *keys, size_t n, const label_key *others, size_t n_others,
                          uint32_t *ids) {
    size_t n_ids = 0, k;
    for (size_t i = 0; i < n; i++) {
        for (k = 0; k < n_others && !label_key_eq(&keys[i], &others[k]); k++) {
        }
        if (k < n_others) continue;
        ids[n_ids] = label_table_intern_key(&c->table, &keys[i]);
        if (ids[n_ids++] == LABEL_NONE) return SIZE_MAX;
    }
    return n_ids;
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

static bool count_pair(cfb_confused_t *c, uint32_t ref, uint32_t out) {
    if (!make_room(c)) return false;
    pair_slot *p = find_pair(c, (uint64_t)ref << 32 | out);
    c->n += p->key == 0;
    p->key = (uint64_t)ref << 32 | out;
    p->n++;
    return true;
}

cfb_code cfb_confused_add(cfb_confused_t *c, cfb_str response, cfb_str output, cfb_err *err) {
    label_key ref_keys[MAX_ROW_LABELS], out_keys[MAX_ROW_LABELS];
    uint32_t ref[MAX_ROW_LABELS], out[MAX_ROW_LABELS];
    if (response.len >= UINT32_MAX || output.len >= UINT32_MAX)
        return cfb_err_set(err, CFB_ELIMIT, "a text is too long (confused labels)");
    size_t n_ref_keys = read_labels(response, ref_keys), n_out_keys = read_labels(output, out_keys);
    size_t n_ref = keep_others(c, ref_keys, n_ref_keys, out_keys, n_out_keys, ref);
    if (n_ref == 0) return CFB_OK; /* as in the rows that name too much */
    size_t n_out = keep_others(c, out_keys, n_out_keys, ref_keys, n_ref_keys, out);
    bool ok = n_ref != SIZE_MAX && n_out != SIZE_MAX;
    for (size_t i = 0; ok && i < n_ref; i++)
        for (size_t k = 0; ok && k < n_out; k++) ok = count_pair(c, ref[i], out[k]);
    return ok ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (confused labels)");
}

/* A pair on its way into the list: labels as their places in code point order. */
typedef struct ranked_pair {
    uint64_t n, labels; /* reference's place, output's place */
} ranked_pair;

typedef struct ranked_label {
    cfb_str text;
    uint32_t id;
} ranked_label;

static int by_text(const void *a, const void *b) {
    return cfb_str_cmp(((const ranked_label *)a)->text, ((const ranked_label *)b)->text);
}

static int by_count(const void *a, const void *b) {
    const ranked_pair *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return (x->labels > y->labels) - (x->labels < y->labels);
}

/* Labels in code point order, and the place of each id: a label stands in many pairs, and is compared only here. */
static void rank_labels(const cfb_confused_t *c, ranked_label *labels, uint32_t *place) {
    for (size_t i = 0; i < c->table.n; i++) {
        const label_key *k = &c->table.labels[i].key;
        labels[i] = (ranked_label){{k->ptr, k->len}, (uint32_t)i};
    }
    qsort(labels, c->table.n, sizeof *labels, by_text);
    for (size_t i = 0; i < c->table.n; i++) place[labels[i].id] = (uint32_t)i;
}

cfb_code cfb_confused_list(cfb_confused_t *c, const cfb_confused_pair **pairs, size_t *n, cfb_err *err) {
    free(c->pairs);
    c->pairs = malloc((c->n + 1) * sizeof *c->pairs);
    ranked_pair *order = malloc((c->n + 1) * sizeof *order);
    ranked_label *labels = malloc(c->table.n * sizeof *labels);
    uint32_t *place = malloc(c->table.n * sizeof *place);
    bool ok = c->pairs && order && labels && place;
    *pairs = c->pairs;
    *n = 0;
    if (ok) rank_labels(c, labels, place);
    for (size_t i = 0; ok && i < c->n_slots; i++) {
        const pair_slot *p = &c->slots[i];
        if (p->key) order[(*n)++] = (ranked_pair){p->n, (uint64_t)place[p->key >> 32] << 32 | place[p->key & UINT32_MAX]};
    }
    if (*n) qsort(order, *n, sizeof *order, by_count);
    for (size_t i = 0; i < *n; i++)
        c->pairs[i] =
            (cfb_confused_pair){labels[order[i].labels >> 32].text, labels[order[i].labels & UINT32_MAX].text, order[i].n};
    free(order);
    free(labels);
    free(place);
    return ok ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory (confused labels)");
}
