#include "score/piece.h"
#include "score/split.h"
#include "cfbench/utf8.h"

#include <stdlib.h>

static void *new_array(size_t n, size_t size) { return calloc(n ? n : 1, size); }

bool score_worker_init(score_worker *w, const score_plan *plan) {
    memset(w, 0, sizeof *w);
    const size_t n = CFB_SCORE_BLOCK;
    w->rows = new_array(n, sizeof *w->rows);
    if (w->rows == NULL) return false;
    if (plan->metric == CFB_METRIC_TF) return cfb_tf_scratch_new(&w->tf, NULL) == CFB_OK;
    if (!plan->f1) return cfb_metric_scratch_new(&w->metric, NULL) == CFB_OK;
    w->hashes = new_array(2 * n, sizeof *w->hashes);
    if (w->hashes == NULL || !text_table_init(&w->texts, false) || !text_table_init(&w->long_texts, true)) return false;
    if (!label_table_reset(&w->table, &plan->start)) return false;
    uint32_t **counts[] = {&w->tp, &w->n_true, &w->n_pred, &w->n_items, &w->both, &w->n_ref, &w->n_out};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if ((*counts[i] = new_array(n, sizeof **counts[i])) == NULL) return false;
    double **values[] = {&w->score, &w->precision, &w->recall, &w->f1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if ((*values[i] = new_array(n, sizeof **values[i])) == NULL) return false;
    size_t words;
    if (!cfb_size_mul(plan->keep_bits ? n : 1, plan->n_words, &words)) return false;
    w->truth = new_array(words, sizeof *w->truth);
    w->pred = new_array(words, sizeof *w->pred);
    return w->truth && w->pred;
}

void score_worker_free(score_worker *w) {
    cfb_tf_scratch_free(w->tf);
    cfb_metric_scratch_free(w->metric);
    void *arrays[] = {w->tp,     w->n_true, w->n_pred, w->n_items, w->both, w->n_ref,      w->n_out,     w->score, w->precision,
                      w->recall, w->f1,     w->rows,   w->truth,   w->pred, w->long_truth, w->long_pred, w->hashes};
    label_table_free(&w->table);
    text_table_free(&w->texts);
    text_table_free(&w->long_texts);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
    memset(w, 0, sizeof *w);
}

void score_piece_free(score_piece *p) {
    free(p->truth);
    free(p->pred);
    memset(p, 0, sizeof *p);
}

bool score_worker_forget(score_worker *w, const score_plan *plan) {
    text_table_clear(&w->texts);
    text_table_clear(&w->long_texts);
    w->n_counted = 0;
    return label_table_reset(&w->table, &plan->start);
}

/* ---- one row's labels ---- */

#define PLAIN_ITEMS 16

/* State of the row that is being read. */
typedef struct row_reader {
    label_table *table;
    score_worker *w;
    cfb_label_set label_set;
    uint32_t stamp;              /* of this row: its number in the piece, from 1 */
    uint64_t *truth, *pred;      /* this row of the matrices */
    uint32_t n_items;            /* |set(output)| */
    uint32_t both, n_ref, n_out; /* non-empty labels */
    uint32_t n_own;              /* labels (or positions) that this row has numbered itself */
    size_t long_words;           /* words of w->long_* in use */
    /* The reference's items in order, for read_positions; not plain: there were more, or they are not the items of L. */
    bool plain;
    uint32_t n_plain, plain_ids[PLAIN_ITEMS];
} row_reader;

static bool reserve_long(score_worker *w, size_t words) {
    if (words <= w->long_cap) return true;
    size_t cap = w->long_cap ? w->long_cap : 64, size;
    while (cap < words) cap *= 2;
    if (!cfb_size_mul(cap, sizeof(uint64_t), &size)) return false;
    uint64_t *t = realloc(w->long_truth, size);
    if (t != NULL) w->long_truth = t;
    uint64_t *p = realloc(w->long_pred, size);
    if (p != NULL) w->long_pred = p;
    if (t == NULL || p == NULL) return false;
    w->long_cap = cap;
    return true;
}

/* Sets bit `bit` of this row of a matrix. Rows that number their own labels have one word there; a row with more labels
 * continues in the long words, and is counted by itself. */
static inline bool set_bit(row_reader *r, uint32_t bit, bool in_truth) {
    size_t word = bit / 64;
    uint64_t mask = UINT64_C(1) << (bit % 64);
    if (word == 0 || r->label_set == CFB_LABELS_SUITE) {
        (in_truth ? r->truth : r->pred)[word] |= mask;
        return true;
    }
    if (word > r->long_words) {
        if (!reserve_long(r->w, word)) return false;
        memset(r->w->long_truth + r->long_words, 0, (word - r->long_words) * sizeof(uint64_t));
        memset(r->w->long_pred + r->long_words, 0, (word - r->long_words) * sizeof(uint64_t));
        r->long_words = word;
    }
    (in_truth ? r->w->long_truth : r->w->long_pred)[word - 1] |= mask;
    return true;
}

/* Observed labels. L would be every non-empty label of the whole file, which sounds like a first pass over it. None is
 * needed: L only enters through the classes where the row has y_true or y_pred, all labels of a row are in L because they
 * were seen, and a class where both are 0 adds nothing to tp, sum(y_true) or sum(y_pred). So the row's own non-empty
 * labels give the same counts, under numbers of the row's own. */
static inline bool set_label_bit(row_reader *r, uint32_t id, bool in_truth) {
    label *l = &r->table->labels[id];
    label_count *c = &r->table->counts[id];
    if (r->label_set == CFB_LABELS_OBSERVED) {
        if (id == LABEL_EMPTY) return true;
        bool numbered = !in_truth && l->in_ref == r->stamp;
        if (!numbered) c->bit = r->n_own++;
    }
    /* Row labels are numbered by their place in the reference: see read_positions. */
    if (r->label_set == CFB_LABELS_ROW || c->bit == LABEL_NONE) return true;
    return set_bit(r, c->bit, in_truth);
}

static bool add_reference_label(row_reader *r, cfb_str text) {
    uint32_t id = label_table_intern(r->table, text);
    if (id == LABEL_NONE) return false;
    if (r->n_plain < PLAIN_ITEMS)
        r->plain_ids[r->n_plain++] = id;
    else
        r->plain = false;
    label *l = &r->table->labels[id];
    if (l->in_ref == r->stamp) return true;
    l->in_ref = r->stamp;
    if (id != LABEL_EMPTY) {
        r->n_ref++;
        r->table->counts[id].actual++;
    }
    return set_label_bit(r, id, true);
}

static bool add_output_label(row_reader *r, cfb_str text) {
    uint32_t id = label_table_intern(r->table, text);
    if (id == LABEL_NONE) return false;
    label *l = &r->table->labels[id];
    if (l->in_out == r->stamp) return true;
    l->in_out = r->stamp;
    r->n_items++;
    if (id != LABEL_EMPTY) {
        r->n_out++;
        r->table->counts[id].predicted++;
        if (l->in_ref == r->stamp) {
            r->both++;
            r->table->counts[id].correct++;
        }
    }
    return set_label_bit(r, id, false);
}

/* set(t): the outer white space goes first, so that " ,a" has no empty label but "a, ,b" has one. */
static bool read_items(row_reader *r, cfb_str text, bool reference) {
    if (text.len == 0) return true;
    cfb_str t = strip_item(text.ptr, text.ptr + text.len);
    const char *p = t.ptr, *end = t.ptr + t.len;
    bool plain = reference && t.len == text.len;
    for (size_t comma_len = 1; comma_len > 0;) {
        const char *q = find_comma(p, end, true, &comma_len);
        plain = plain && q > p && comma_len != 1;
        if (q > p) {
            cfb_str item = strip_item(p, q);
            plain = plain && item.len == (size_t)(q - p);
            if (!(reference ? add_reference_label(r, item) : add_output_label(r, item))) return false;
        }
        p = q + comma_len;
    }
    if (reference) r->plain = r->plain && plain;
    return true;
}

/* L where the reference has wide commas only and nothing to strip, as nearly all have: the items of set(response). */
static bool read_plain_positions(row_reader *r) {
    for (uint32_t i = 0; i < r->n_plain; i++) {
        if (!set_bit(r, i, true)) return false;
        if (r->table->labels[r->plain_ids[i]].in_out == r->stamp && !set_bit(r, i, false)) return false;
    }
    return true;
}

/* Row labels: L is the reference split at the full-width comma alone, unstripped; an item that stands there twice is two
 * classes. Bit i is L[i]. *unmatchable: some L[i] is not in set(response). */
static bool read_positions(row_reader *r, cfb_str response, bool *unmatchable) {
    if (r->plain && r->n_plain > 0) return read_plain_positions(r);
    const char *p = response.ptr ? response.ptr : "", *end = p + response.len;
    for (uint32_t i = 0;; i++) {
        size_t comma_len;
        const char *q = find_comma(p, end, false, &comma_len);
        uint32_t id = label_table_find(r->table, (cfb_str){p, (size_t)(q - p)});
        const label *l = id == LABEL_NONE ? NULL : &r->table->labels[id];
        if (l == NULL || l->in_ref != r->stamp)
            *unmatchable = true;
        else if (!set_bit(r, i, true))
            return false;
        if (l != NULL && l->in_out == r->stamp && !set_bit(r, i, false)) return false;
        if (q == end) return true;
        p = q + 3;
    }
}

/* Length in code points; SIZE_MAX: not valid UTF-8. */
static inline size_t count_chars(const score_plan *plan, cfb_str s) {
    return plan->valid_utf8 ? cfb_utf8_count(s) : cfb_text_count_valid(s);
}

/* ---- texts seen before ---- */

static uint32_t next_stamp(score_worker *w) {
    if (++w->stamp == 0) { /* after four thousand million rows: no label may look as if this row had it */
        for (size_t i = 0; i < w->table.n; i++) w->table.labels[i].in_ref = w->table.labels[i].in_out = 0;
        w->stamp = 1;
    }
    return w->stamp;
}

/* An entry on its way. */
typedef struct entry_reader {
    label_table *labels;
    text_entry *e;
    uint32_t stamp, n, max_labels;
    bool plain;
} entry_reader;

static inline cfb_code add_label(entry_reader *r, const label_key *k) {
    uint32_t id = label_table_intern_key(r->labels, k);
    if (id == LABEL_NONE) return CFB_ENOMEM;
    label *l = &r->labels->labels[id];
    bool again = l->in_out == r->stamp;
    l->in_out = r->stamp;
    r->plain = r->plain && !again;
    if (r->n < r->max_labels) r->e->ids[r->n] = id;
    r->n += !again;
    return CFB_OK;
}

/* As read_items. */
static cfb_code read_odd_items(entry_reader *r, cfb_str text) {
    cfb_str t = strip_item(text.ptr, text.ptr + text.len);
    const char *p = t.ptr, *end = t.ptr + t.len;
    cfb_code code = CFB_OK;
    r->plain = t.len == text.len;
    for (size_t comma_len = 1; comma_len > 0 && code == CFB_OK;) {
        const char *q = find_comma_until(p, end, end, true, &comma_len);
        r->plain = r->plain && q > p && comma_len != 1;
        if (q > p) {
            cfb_str item = strip_item(p, q);
            r->plain = r->plain && item.len == (size_t)(q - p);
            label_key k = label_key_of(item);
            code = add_label(r, &k);
        }
        p = q + comma_len;
    }
    return code;
}

/* A text without a byte that white space may begin with: nothing is to be stripped. */
static cfb_code read_plain_items(entry_reader *r, cfb_str text, const split_block *blocks) {
    size_t begin = 0;
    cfb_code code = CFB_OK;
    for (size_t at = 0; at < text.len && code == CFB_OK; at += 64, blocks++) {
        uint64_t commas = blocks->narrow | blocks->wide;
        r->plain = r->plain && blocks->narrow == 0;
        for (; commas != 0 && code == CFB_OK; commas &= commas - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(commas);
            size_t end = at + bit;
            r->plain = r->plain && end > begin;
            if (end > begin) {
                label_key k = label_key_within((cfb_str){text.ptr + begin, end - begin});
                code = add_label(r, &k);
            }
            begin = end + 1 + 2 * (blocks->wide >> bit & 1);
        }
    }
    r->plain = r->plain && text.len > begin;
    if (text.len <= begin || code != CFB_OK) return code;
    label_key k = label_key_within((cfb_str){text.ptr + begin, text.len - begin});
    return add_label(r, &k);
}

/* The labels of a text that is new to the table of texts. It is read from its copy there: what lies behind it may be read, too.
 */
static cfb_code read_entry(const score_plan *plan, score_worker *w, const text_table *table, text_entry *e) {
    const cfb_str text = {text_of_entry(table, e), e->len};
    split_block blocks[TEXT_MOST_BYTES / 64];
    uint64_t odd = 0;
    size_t chars = text.len;
    for (size_t at = 0; at < text.len; at += 64) {
        split_block b = split_64(text.ptr + at);
        uint64_t mine = text.len - at >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (text.len - at)) - 1;
        b.narrow &= mine;
        b.wide &= mine;
        odd |= b.odd & mine;
        chars -= (size_t)__builtin_popcountll(b.inner & mine);
        blocks[at / 64] = b;
    }
    if (!plan->valid_utf8) chars = cfb_text_count_valid(text);
    if (chars == SIZE_MAX) return CFB_EENCODING;
    entry_reader r = {&w->table, e, next_stamp(w), 0, table->max_labels, true};
    cfb_code code = odd ? read_odd_items(&r, text) : read_plain_items(&r, text, blocks);
    if (code != CFB_OK) return code;
    e->n = (uint8_t)(r.n < r.max_labels ? r.n : r.max_labels + (r.n > r.max_labels));
    for (uint32_t k = r.n; k % 4 != 0 && k < r.max_labels; k++) e->ids[k] = LABEL_NONE;
    e->chars = (uint16_t)chars;
    e->plain = r.plain;
    e->used = true;
    return CFB_OK;
}

static const text_entry no_text = {.hash = 0};

static inline const text_entry *entry_of(const score_plan *plan, score_worker *w, const text_table *table, cfb_str text,
                                         uint64_t hash, const text_entry *ref, cfb_code *code) {
    bool known;
    text_entry *e = text_table_find(table, text, hash, ref, &known);
    if (!known) *code = read_entry(plan, w, table, e);
    return *code == CFB_OK && e->n <= table->max_labels ? e : NULL;
}

/* The entry of a text that has one of its own; NULL with code OK: it is too long, or has too many labels. ref: an output's. */
static inline const text_entry *labels_of(const score_plan *plan, score_worker *w, cfb_str text, uint64_t hash,
                                          const text_entry *ref, cfb_code *code) {
    const text_entry *e = NULL;
    *code = CFB_OK;
    if (text.len == 0) return &no_text;
    if (text.len <= w->texts.max_bytes) e = entry_of(plan, w, &w->texts, text, hash, ref, code);
    if (e == NULL && *code == CFB_OK && text.len <= w->long_texts.max_bytes)
        e = entry_of(plan, w, &w->long_texts, text, hash, ref, code);
    return e;
}

static inline void set_row_bit(uint64_t *words, uint32_t bit) {
    if (bit != LABEL_NONE) words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* The row of the bit matrices: each has its own where they are kept, else it is used by one row after the other. */
static inline size_t bit_row(const score_plan *plan, size_t i) { return plan->keep_bits ? i * plan->n_words : 0; }

typedef uint32_t four_ids __attribute__((vector_size(16)));

/* Four at a time: mostly that is all of them, and the branch that ends the loop is foreseen. */
static inline bool has_label(const text_entry *e, uint32_t id) {
    four_ids hit = {0, 0, 0, 0};
    for (uint32_t k = 0; k < e->n; k += 4) {
        four_ids v;
        memcpy(&v, e->ids + k, sizeof v);
        hit |= (four_ids)(v == id);
    }
    return cfb_bits_of((cfb_bytes16)hit) != 0;
}

/* A row whose texts have entries: no stamps and no bits, every label of the output is looked for among those of the reference.
 * The same counts as read_items, read_positions and the bits give. `set` is a constant for the compiler. */
static inline __attribute__((always_inline)) void match(score_worker *w, size_t i, const text_entry *ref, const text_entry *out,
                                                        cfb_label_set set) {
    label_count *counts = w->table.counts;
    uint32_t n_ref = 0, n_out = 0, both = 0, n_found = 0, n_true = 0, n_pred = 0, tp = 0;
    for (uint32_t k = 0; k < ref->n; k++) {
        label_count *c = &counts[ref->ids[k]];
        bool named = ref->ids[k] != LABEL_EMPTY;
        n_ref += named;
        c->actual += named;
        if (set == CFB_LABELS_SUITE) n_true += c->bit != LABEL_NONE;
    }
    for (uint32_t k = 0; k < out->n; k++) {
        uint32_t id = out->ids[k];
        label_count *c = &counts[id];
        bool named = id != LABEL_EMPTY, found = has_label(ref, id);
        n_out += named;
        n_found += found;
        both += named & found;
        c->predicted += named;
        c->correct += named & found;
        if (set == CFB_LABELS_SUITE) {
            bool known = c->bit != LABEL_NONE;
            n_pred += known;
            tp += known & found;
        }
    }
    w->n_items[i] = out->n;
    w->both[i] = both;
    w->n_ref[i] = n_ref;
    w->n_out[i] = n_out;
    /* Row labels: L is the reference's items. Observed ones: the row's own non-empty labels, see set_label_bit. */
    w->n_true[i] = set == CFB_LABELS_SUITE ? n_true : set == CFB_LABELS_ROW ? ref->n : n_ref;
    w->n_pred[i] = set == CFB_LABELS_SUITE ? n_pred : set == CFB_LABELS_ROW ? n_found : n_out;
    w->tp[i] = set == CFB_LABELS_SUITE ? tp : set == CFB_LABELS_ROW ? n_found : both;
}

static void count_row(const score_plan *plan, score_worker *w, size_t i, const text_entry *ref, const text_entry *out) {
    switch (plan->label_set) {
    case CFB_LABELS_ROW: match(w, i, ref, out, CFB_LABELS_ROW); break;
    case CFB_LABELS_SUITE: match(w, i, ref, out, CFB_LABELS_SUITE); break;
    default: match(w, i, ref, out, CFB_LABELS_OBSERVED); break;
    }
    if (!plan->keep_bits) return;
    uint64_t *truth = w->truth + bit_row(plan, i), *pred = w->pred + bit_row(plan, i);
    for (uint32_t k = 0; k < ref->n; k++) set_row_bit(truth, w->table.counts[ref->ids[k]].bit);
    for (uint32_t k = 0; k < out->n; k++) set_row_bit(pred, w->table.counts[out->ids[k]].bit);
}

/* ---- pieces ---- */

static void fail(score_piece *p, cfb_code code, size_t row) {
    p->code = code;
    p->bad_row = row;
}

static cfb_code check_texts(const score_plan *plan, const cfb_score_row_in *in, cfb_str output, cfb_score_row *row) {
    /* A label's length and a row's number of labels are 32-bit. */
    if (in->response.len >= UINT32_MAX || output.len >= UINT32_MAX) return CFB_ELIMIT;
    size_t response_chars = count_chars(plan, in->response), output_chars = count_chars(plan, output);
    if (response_chars == SIZE_MAX || output_chars == SIZE_MAX) return CFB_EENCODING;
    row->response_chars = (uint32_t)response_chars;
    row->output_chars = (uint32_t)output_chars;
    return CFB_OK;
}

static inline cfb_str output_of(const cfb_score_row_in *in) { return in->state == CFB_ROW_FAILED ? CFB_STR_NULL : in->output; }

static cfb_code read_long_row(const score_plan *plan, score_worker *w, const cfb_score_row_in *in, size_t i, cfb_score_row *row) {
    cfb_str output = output_of(in), response = in->response;
    cfb_code code = check_texts(plan, in, output, row);
    if (code != CFB_OK) return code;
    row_reader r = {.table = &w->table,
                    .w = w,
                    .label_set = plan->label_set,
                    .stamp = next_stamp(w),
                    .plain = true,
                    .truth = w->truth + bit_row(plan, i),
                    .pred = w->pred + bit_row(plan, i)};
    memset(r.truth, 0, plan->n_words * sizeof *r.truth);
    memset(r.pred, 0, plan->n_words * sizeof *r.pred);
    if (!read_items(&r, response, true) || !read_items(&r, output, false)) return CFB_ENOMEM;
    if (plan->label_set == CFB_LABELS_ROW && !read_positions(&r, response, &row->reference_unmatchable)) return CFB_ENOMEM;
    w->n_items[i] = r.n_items;
    w->both[i] = r.both;
    w->n_ref[i] = r.n_ref;
    w->n_out[i] = r.n_out;
    cfb_bits_count(r.truth, r.pred, 1, plan->n_words, &w->tp[i], &w->n_true[i], &w->n_pred[i]);
    if (r.long_words > 0) {
        uint32_t tp, n_true, n_pred;
        cfb_bits_count(w->long_truth, w->long_pred, 1, r.long_words, &tp, &n_true, &n_pred);
        w->tp[i] += tp;
        w->n_true[i] += n_true;
        w->n_pred[i] += n_pred;
    }
    return CFB_OK;
}

static cfb_code read_row(const score_plan *plan, score_worker *w, const cfb_score_row_in *in, size_t i, cfb_score_row *row) {
    cfb_code code;
    const uint64_t *hash = w->hashes + 2 * i;
    cfb_str output = output_of(in);
    const text_entry *ref = labels_of(plan, w, in->response, hash[0], NULL, &code);
    if (ref != NULL && (plan->label_set != CFB_LABELS_ROW || ref->plain)) {
        bool same = output.len > 0 && hash[0] == hash[1] && cfb_str_eq(in->response, output);
        const text_entry *out = same ? ref : labels_of(plan, w, output, hash[1], ref, &code);
        if (out != NULL) {
            count_row(plan, w, i, ref, out);
            row->response_chars = ref->chars;
            row->output_chars = out->chars;
            return CFB_OK;
        }
    }
    return code == CFB_OK ? read_long_row(plan, w, in, i, row) : code;
}

/* Hashes run ahead of the rows by so much that the entries have come when a row needs them. */
#define AHEAD 8

static inline void hash_text(score_worker *w, cfb_str text, uint64_t *hash) {
    if (text.len == 0 || text.len > TEXT_MOST_BYTES) return;
    *hash = text_hash(text);
    text_table_fetch(text.len <= w->texts.max_bytes ? &w->texts : &w->long_texts, *hash);
}

static inline void hash_row(score_worker *w, const score_piece *p, size_t i) {
    if (i >= p->n) return;
    cfb_str response = p->in[i].response, output = output_of(&p->in[i]);
    uint64_t *hash = w->hashes + 2 * i;
    hash_text(w, response, &hash[0]);
    if (cfb_str_eq(response, output))
        hash[1] = hash[0];
    else
        hash_text(w, output, &hash[1]);
}

static void run_f1(const score_plan *plan, score_worker *w, score_piece *p, cfb_score_row *rows) {
    w->n_counted += p->n;
    if (plan->keep_bits) {
        memset(w->truth, 0, p->n * plan->n_words * sizeof *w->truth);
        memset(w->pred, 0, p->n * plan->n_words * sizeof *w->pred);
    }
    for (size_t i = 0; i < AHEAD; i++) hash_row(w, p, i);
    for (size_t i = 0; i < p->n; i++) {
        hash_row(w, p, i + AHEAD);
        cfb_code code = read_row(plan, w, &p->in[i], i, &rows[i]);
        if (code != CFB_OK) {
            fail(p, code, i);
            return;
        }
    }
    cfb_f1_finish(w->tp, w->n_true, w->n_pred, w->n_items, p->n, w->score);
    cfb_set_scores(w->both, w->n_ref, w->n_out, p->n, w->precision, w->recall, w->f1);
    for (size_t i = 0; i < p->n; i++) {
        cfb_score_row *row = &rows[i];
        if (plan->label_set == CFB_LABELS_SUITE) row->reference_unmatchable = w->n_true[i] < w->n_ref[i]; /* a label not in L */
        row->score = w->score[i];
        row->set_precision = w->precision[i];
        row->set_recall = w->recall[i];
        row->set_f1 = w->f1[i];
        row->true_positives = w->tp[i];
        row->predicted_positives = w->n_pred[i];
        row->actual_positives = w->n_true[i];
    }
}

static void run_tf(score_worker *w, score_piece *p, cfb_score_row *rows) {
    for (size_t i = 0; i < p->n; i++) {
        cfb_score_row *row = &rows[i];
        cfb_tf_counts c;
        cfb_code code = cfb_tf_count(w->tf, p->in[i].response, output_of(&p->in[i]), &c, NULL);
        if (code != CFB_OK) {
            fail(p, code, i);
            return;
        }
        bool failed = p->in[i].state == CFB_ROW_FAILED;
        row->score = failed ? 0.0 : cfb_cosine_from_counts(c.dot, c.aa, c.bb);
        row->response_chars = (uint32_t)c.response_chars;
        row->output_chars = (uint32_t)c.output_chars;
    }
}

bool score_is_answered(cfb_row_state s) { return s == CFB_ROW_OK || s == CFB_ROW_TRUNCATED; }

/* Any metric of the table that scores a row by itself. */
static void run_rows(const score_plan *plan, score_worker *w, score_piece *p, cfb_score_row *rows) {
    for (size_t i = 0; i < p->n; i++) {
        cfb_score_row *row = &rows[i];
        cfb_metric_row r;
        cfb_code code = plan->info->row(w->metric, p->in[i].response, output_of(&p->in[i]), &r, NULL);
        if (code != CFB_OK) {
            fail(p, code, i);
            return;
        }
        row->score = row->state == CFB_ROW_FAILED ? 0.0 : r.score;
        row->reference_unmatchable = r.reference_unmatchable;
        row->response_chars = (uint32_t)r.response_chars;
        row->output_chars = (uint32_t)r.output_chars;
        if (plan->info->how != CFB_METRIC_FROM_COUNTS) continue;
        cfb_metric_sums_add(&w->corpus, &r);
        if (score_is_answered(row->state)) cfb_metric_sums_add(&w->corpus_answered, &r);
    }
}

/* Scores that came for the whole wave. */
static void run_given(score_piece *p, cfb_score_row *rows) {
    for (size_t i = 0; i < p->n; i++) {
        cfb_score_row *row = &rows[i];
        size_t response = cfb_text_count_valid(p->in[i].response), output = cfb_text_count_valid(output_of(&p->in[i]));
        if (response == SIZE_MAX || output == SIZE_MAX) {
            fail(p, CFB_EENCODING, i);
            return;
        }
        row->score = row->state == CFB_ROW_FAILED ? 0.0 : p->given[i];
        row->response_chars = (uint32_t)response;
        row->output_chars = (uint32_t)output;
    }
}

/* Row by row, in order: what a block's partial sums are must not depend on how the rows arrived. */
void score_add_rows(const cfb_score_row *rows, size_t n, score_sums *sums, score_counts *counts) {
    score_sums s = *sums;
    score_counts c = *counts;
    for (size_t i = 0; i < n; i++) {
        const cfb_score_row *row = &rows[i];
        s.score += row->score;
        if (score_is_answered(row->state)) s.answered += row->score;
        s.precision += row->set_precision;
        s.recall += row->set_recall;
        s.f1 += row->set_f1;
        c.n_state[row->state]++;
        c.n_unmatchable += row->reference_unmatchable;
        c.response_chars += row->response_chars;
        c.output_chars += row->output_chars;
    }
    c.n_rows += n;
    *sums = s;
    *counts = c;
}

/* Hands the worker's matrices to the piece, and the piece's old ones to the worker. */
static void swap_bits(score_worker *w, score_piece *p) {
    uint64_t *truth = w->truth, *pred = w->pred;
    w->truth = p->truth;
    w->pred = p->pred;
    p->truth = truth;
    p->pred = pred;
}

void score_piece_run(const score_plan *plan, score_worker *w, score_piece *p) {
    cfb_score_row *rows = p->out ? p->out : w->rows;
    p->code = CFB_OK;
    for (size_t i = 0; i < p->n; i++) {
        cfb_row_state state = p->in[i].state;
        if ((unsigned)state >= CFB_ROW_STATE_COUNT) {
            fail(p, CFB_EBUG, i);
            return;
        }
        rows[i] = (cfb_score_row){.state = state};
    }
    if (plan->f1)
        run_f1(plan, w, p, rows);
    else if (plan->metric == CFB_METRIC_TF)
        run_tf(w, p, rows);
    else if (plan->pairs.score != NULL)
        run_given(p, rows);
    else
        run_rows(plan, w, p, rows);
    if (p->code != CFB_OK) return;
    p->counts = (score_counts){0};
    if (p->add_up) score_add_rows(rows, p->n, &p->sums, &p->counts);
    if (plan->keep_bits) swap_bits(w, p);
}
