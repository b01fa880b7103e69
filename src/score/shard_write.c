/* The scores of a shard, written: see score_shard.h. Rows go out as they come; the tail is held until the end. */
#include "score/shard.h"

#include <stdlib.h>

#define OUT_BYTES ((size_t)1 << 20)

struct cfb_score_shard_writer {
    cfb_file_writer_t *file; /* NULL: into memory: */
    cfb_buf memory;
    cfb_score_shard_head head;
    cfb_buf out, sections, counts;
    uint32_t n_sections, n_counts;
    /* the section that is open */
    size_t source;
    cfb_buf task;
    uint64_t n_rows, last, check;
};

static cfb_code put_u32(cfb_buf *b, uint32_t v, cfb_err *err) {
    unsigned char p[4];
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
    return cfb_buf_append(b, p, 4, err);
}

static cfb_code put_u64(cfb_buf *b, uint64_t v, cfb_err *err) {
    cfb_code rc = put_u32(b, (uint32_t)v, err);
    return rc == CFB_OK ? put_u32(b, (uint32_t)(v >> 32), err) : rc;
}

static cfb_code put_text(cfb_buf *b, cfb_str s, cfb_err *err) {
    if (s.ptr != NULL && s.len >= SHARD_NO_TEXT) return cfb_err_set(err, CFB_ELIMIT, "a text of %zu bytes is too long", s.len);
    cfb_code rc = put_u32(b, s.ptr ? (uint32_t)s.len : SHARD_NO_TEXT, err);
    return rc == CFB_OK && s.len ? cfb_buf_append_str(b, s, err) : rc;
}

void cfb_score_shard_pack(uint64_t number, const cfb_score_row *row, uint64_t texts, unsigned char out[SHARD_RECORD]) {
    const double reals[4] = {row->score, row->set_precision, row->set_recall, row->set_f1};
    const uint32_t wholes[6] = {row->true_positives,
                                row->predicted_positives,
                                row->actual_positives,
                                row->response_chars,
                                row->output_chars,
                                (uint32_t)row->state | (row->reference_unmatchable ? SHARD_UNMATCHABLE : 0) |
                                    (uint32_t)(texts >> 44) << SHARD_TEXTS_SHIFT};
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)(number >> 8 * i);
    for (int k = 0; k < 4; k++) {
        uint64_t bits;
        memcpy(&bits, &reals[k], 8);
        for (int i = 0; i < 8; i++) out[8 + 8 * k + i] = (unsigned char)(bits >> 8 * i);
    }
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < 4; i++) out[40 + 4 * k + i] = (unsigned char)(wholes[k] >> 8 * i);
}

static cfb_code emit(cfb_score_shard_writer_t *w, const void *data, size_t len, cfb_err *err) {
    return w->file ? cfb_file_writer_write(w->file, data, len, err) : cfb_buf_append(&w->memory, data, len, err);
}

cfb_code cfb_score_shard_create(const char *path, const cfb_score_shard_head *head, cfb_score_shard_writer_t **out,
                                cfb_err *err) {
    cfb_score_shard_writer_t *w = calloc(1, sizeof *w);
    if (w == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    w->head = *head;
    w->out = CFB_BUF_INIT(2 * OUT_BYTES);
    w->sections = w->counts = w->task = CFB_BUF_INIT(SHARD_TAIL_MAX);
    w->source = SIZE_MAX;
    w->memory = CFB_BUF_INIT(SHARD_TAIL_MAX);
    cfb_code rc = path ? cfb_file_writer_open(path, &w->file, err) : CFB_OK;
    if (rc == CFB_OK) rc = emit(w, CFB_SCORE_SHARD_MAGIC, 16, err);
    if (rc == CFB_OK)
        *out = w;
    else
        cfb_score_shard_abort(w);
    return rc;
}

void cfb_score_shard_abort(cfb_score_shard_writer_t *w) {
    if (w == NULL) return;
    cfb_file_writer_abort(w->file);
    cfb_buf_free(&w->memory);
    cfb_buf_free(&w->out);
    cfb_buf_free(&w->sections);
    cfb_buf_free(&w->counts);
    cfb_buf_free(&w->task);
    free(w);
}

static cfb_code flush_rows(cfb_score_shard_writer_t *w, cfb_err *err) {
    cfb_code rc = w->out.len ? emit(w, w->out.ptr, w->out.len, err) : CFB_OK;
    cfb_buf_clear(&w->out);
    return rc;
}

static cfb_code end_section(cfb_score_shard_writer_t *w, cfb_err *err) {
    if (w->source == SIZE_MAX) return CFB_OK;
    cfb_code rc = put_u32(&w->sections, (uint32_t)w->source, err);
    if (rc == CFB_OK) rc = put_text(&w->sections, cfb_buf_str(&w->task), err);
    if (rc == CFB_OK) rc = put_u64(&w->sections, w->n_rows, err);
    if (rc == CFB_OK) rc = put_u64(&w->sections, w->check, err);
    w->n_sections++;
    w->source = SIZE_MAX;
    return rc;
}

static cfb_code begin_section(cfb_score_shard_writer_t *w, size_t source, cfb_str task, cfb_err *err) {
    cfb_code rc = end_section(w, err);
    cfb_buf_clear(&w->task);
    if (rc == CFB_OK) rc = cfb_buf_append_str(&w->task, task, err);
    if (rc != CFB_OK) return rc;
    w->source = source;
    w->n_rows = 0;
    w->check = SHARD_CHECK_SEED;
    return CFB_OK;
}

cfb_code cfb_score_shard_put(cfb_score_shard_writer_t *w, size_t source, cfb_str task, uint64_t number, const cfb_score_row *row,
                             uint64_t texts, cfb_err *err) {
    unsigned char record[SHARD_RECORD];
    cfb_code rc = CFB_OK;
    if (w->source != source || !cfb_str_eq(cfb_buf_str(&w->task), task)) rc = begin_section(w, source, task, err);
    if (rc != CFB_OK) return rc;
    if (w->n_rows > 0 && number <= w->last) return cfb_err_set(err, CFB_EBUG, "rows of a shard out of order");
    cfb_score_shard_pack(number, row, texts, record);
    w->check = cfb_hash64(record, sizeof record, w->check);
    w->last = number;
    w->n_rows++;
    rc = cfb_buf_append(&w->out, record, sizeof record, err);
    return rc == CFB_OK && w->out.len >= OUT_BYTES ? flush_rows(w, err) : rc;
}

static cfb_code put_sums(cfb_buf *b, const cfb_metric_sums *sums, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < CFB_METRIC_N_COUNTS && rc == CFB_OK; i++) rc = put_u64(b, sums->counts[i], err);
    return rc;
}

static cfb_code put_label(cfb_buf *b, const cfb_label_stat *l, cfb_err *err) {
    cfb_code rc = put_text(b, l->label, err);
    if (rc == CFB_OK) rc = put_u64(b, l->actual, err);
    if (rc == CFB_OK) rc = put_u64(b, l->predicted, err);
    return rc == CFB_OK ? put_u64(b, l->correct, err) : rc;
}

cfb_code cfb_score_shard_put_counts(cfb_score_shard_writer_t *w, const cfb_score_shard_key *key, cfb_scorer_t *s, cfb_err *err) {
    cfb_score_summary sum;
    cfb_metric_sums all, answered;
    cfb_buf *b = &w->counts;
    cfb_code rc = cfb_scorer_summary(s, &sum, err);
    if (rc != CFB_OK) return rc;
    cfb_scorer_sums(s, &all, &answered);
    rc = put_u32(b, (uint32_t)key->source, err);
    if (rc == CFB_OK) rc = put_text(b, key->model, err);
    if (rc == CFB_OK) rc = put_text(b, key->setting, err);
    if (rc == CFB_OK) rc = put_text(b, key->task, err);
    if (rc == CFB_OK) rc = put_sums(b, &all, err);
    if (rc == CFB_OK) rc = put_sums(b, &answered, err);
    if (rc == CFB_OK) rc = put_u64(b, sum.n_labels, err);
    for (size_t i = 0; i < sum.n_labels && rc == CFB_OK; i++) rc = put_label(b, &sum.labels[i], err);
    w->n_counts++;
    return rc;
}

static cfb_code put_head(cfb_buf *b, const cfb_score_shard_head *h, cfb_err *err) {
    cfb_code rc = put_u64(b, h->index, err);
    if (rc == CFB_OK) rc = put_u64(b, h->count, err);
    if (rc == CFB_OK) rc = put_u32(b, CFB_METRIC_N_COUNTS, err);
    if (rc == CFB_OK) rc = put_text(b, cfb_str_from(h->command), err);
    if (rc == CFB_OK) rc = put_u32(b, (uint32_t)h->n_words, err);
    for (size_t i = 0; i < h->n_words && rc == CFB_OK; i++) rc = put_text(b, cfb_str_from(h->words[i]), err);
    if (rc == CFB_OK) rc = put_u32(b, (uint32_t)h->n_sources, err);
    for (size_t i = 0; i < h->n_sources && rc == CFB_OK; i++) {
        rc = put_text(b, cfb_str_from(h->sources[i].path), err);
        if (rc == CFB_OK) rc = put_u64(b, h->sources[i].bytes, err);
    }
    return rc;
}

static cfb_code put_tail(cfb_score_shard_writer_t *w, cfb_err *err) {
    cfb_buf tail = CFB_BUF_INIT(SHARD_TAIL_MAX);
    cfb_code rc = end_section(w, err);
    if (rc == CFB_OK) rc = flush_rows(w, err);
    if (rc == CFB_OK) rc = put_head(&tail, &w->head, err);
    if (rc == CFB_OK) rc = put_u32(&tail, w->n_sections, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(&tail, cfb_buf_str(&w->sections), err);
    if (rc == CFB_OK) rc = put_u32(&tail, w->n_counts, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(&tail, cfb_buf_str(&w->counts), err);
    uint64_t len = tail.len, check = rc == CFB_OK ? cfb_hash64(tail.ptr, tail.len, SHARD_CHECK_SEED) : 0;
    if (rc == CFB_OK) rc = put_u64(&tail, len, err);
    if (rc == CFB_OK) rc = put_u64(&tail, check, err);
    if (rc == CFB_OK) rc = emit(w, tail.ptr, tail.len, err);
    cfb_buf_free(&tail);
    return rc;
}

cfb_code cfb_score_shard_take(cfb_score_shard_writer_t *w, cfb_buf *out, cfb_err *err) {
    cfb_code rc = put_tail(w, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(out, cfb_buf_str(&w->memory), err);
    cfb_score_shard_abort(w);
    return rc;
}

cfb_code cfb_score_shard_commit(cfb_score_shard_writer_t *w, cfb_err *err) {
    cfb_code rc = put_tail(w, err);
    if (rc == CFB_OK) {
        rc = cfb_file_writer_commit(w->file, err);
        w->file = NULL;
    }
    cfb_score_shard_abort(w);
    return rc;
}
