/* Ranks that score together, where files cannot be shared part by part (score_share.c). Rank 0 reads all files and does all that
 * is done in order; stretches of rows belong to the ranks in turn. The others read the files too, score what is theirs, and send
 * it in order: rows as they come, and, behind a source, what they counted. Rank 0 takes a row's scores when it comes to that row,
 * so nobody holds more than what lies between the ranks. */
#include "cli/scoring.h"

#include <pthread.h>
#include <stdlib.h>

#define STRETCH 128      /* rows */
#define MESSAGE_ROWS 512 /* of one message */
#define MESSAGE_MAX ((size_t)2 << 30)

/* What has come from a rank of the source that is being read. */
struct stream {
    cfb_buf rows, tail;
    bool ended;
    cfb_score_shards_t *counts; /* in tail */
};

struct cfb_ranks {
    cfb_rank_link link;
    uint32_t source;
    int64_t epoch;
    cfb_buf message; /* others: being filled; rank 0: that came last, behind lock as all below */
    pthread_mutex_t lock;
    struct stream *streams; /* (n_ranks) */
    uint64_t forget;        /* rows before this number are not asked for any more */
    cfb_score_shard_head head;
};

cfb_code cfb_ranks_new(const cfb_rank_link *link, cfb_ranks_t **out, cfb_err *err) {
    cfb_ranks_t *r = calloc(1, sizeof *r);
    if (r) r->streams = calloc((size_t)link->n_ranks, sizeof *r->streams);
    if (r == NULL || r->streams == NULL) {
        free(r);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory (%d ranks)", link->n_ranks);
    }
    r->link = *link;
    r->message = CFB_BUF_INIT(MESSAGE_MAX);
    for (int i = 0; i < link->n_ranks; i++) r->streams[i].rows = r->streams[i].tail = CFB_BUF_INIT(MESSAGE_MAX);
    r->head = (cfb_score_shard_head){.index = (uint64_t)link->rank, .count = (uint64_t)link->n_ranks, .command = ""};
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return CFB_OK;
}

void cfb_ranks_free(cfb_ranks_t *r) {
    if (r == NULL) return;
    for (int i = 0; i < r->link.n_ranks; i++) {
        cfb_buf_free(&r->streams[i].rows);
        cfb_buf_free(&r->streams[i].tail);
        cfb_score_shards_close(r->streams[i].counts);
    }
    cfb_buf_free(&r->message);
    pthread_mutex_destroy(&r->lock);
    free(r->streams);
    free(r);
}

const cfb_rank_link *cfb_ranks_link(const cfb_ranks_t *r) { return &r->link; }
int64_t cfb_ranks_next_epoch(cfb_ranks_t *r) { return ++r->epoch; }
bool cfb_ranks_is_first(const cfb_ranks_t *r) { return r->link.rank == 0; }
int cfb_ranks_owner(const cfb_ranks_t *r, uint64_t number) { return (int)(number / STRETCH % (uint64_t)r->link.n_ranks); }
bool cfb_ranks_has(const cfb_ranks_t *r, uint64_t number) { return cfb_ranks_owner(r, number) == r->link.rank; }

/* ---- the others ---- */

static cfb_code start_message(cfb_ranks_t *r, enum cfb_ranks_kind kind, cfb_err *err) {
    const uint32_t header[2] = {kind, r->source};
    cfb_buf_clear(&r->message);
    return cfb_buf_append(&r->message, header, sizeof header, err);
}

static cfb_code send_rows(cfb_ranks_t *r, cfb_err *err) {
    cfb_code rc = r->message.len > CFB_RANKS_HEADER ? r->link.send(r->message.ptr, r->message.len, err) : CFB_OK;
    return rc == CFB_OK ? start_message(r, CFB_RANKS_ROWS, err) : rc;
}

cfb_code cfb_ranks_put(cfb_ranks_t *r, uint64_t number, const cfb_score_row *row, uint64_t texts, cfb_err *err) {
    unsigned char record[CFB_SCORE_SHARD_RECORD];
    cfb_score_shard_pack(number, row, texts, record);
    cfb_code rc = cfb_buf_append(&r->message, record, sizeof record, err);
    return rc == CFB_OK && r->message.len >= CFB_RANKS_HEADER + MESSAGE_ROWS * sizeof record ? send_rows(r, err) : rc;
}

void cfb_ranks_fail(cfb_ranks_t *r, const cfb_err *why) {
    cfb_code rc = start_message(r, CFB_RANKS_FAILED, NULL);
    if (rc == CFB_OK) rc = cfb_buf_append(&r->message, why, sizeof *why, NULL);
    if (rc == CFB_OK) rc = r->link.send(r->message.ptr, r->message.len, NULL);
    if (rc != CFB_OK) cfb_log(CFB_LOG_WARN, "rank %d: %s", r->link.rank, why->msg);
}

/* ---- both ---- */

cfb_code cfb_ranks_begin(cfb_scoring_t *s, cfb_err *err) {
    cfb_ranks_t *r = s->ranks;
    r->source = (uint32_t)s->now;
    r->forget = 0;
    if (r->link.rank > 0) {
        cfb_code rc = cfb_score_shard_create(NULL, &r->head, &s->shard_out, err); /* of counts alone */
        return rc == CFB_OK ? start_message(r, CFB_RANKS_ROWS, err) : rc;
    }
    for (int i = 1; i < r->link.n_ranks; i++) {
        struct stream *x = &r->streams[i];
        cfb_buf_clear(&x->rows);
        x->ended = false;
        cfb_score_shards_close(x->counts);
        x->counts = NULL;
    }
    return CFB_OK;
}

/* ---- rank 0 ---- */

cfb_code cfb_ranks_failed(int from, cfb_str why, cfb_err *err) {
    cfb_err e;
    if (why.len != sizeof e) return cfb_err_set(err, CFB_EBUG, "rank %d sent what nobody understands", from);
    memcpy(&e, why.ptr, sizeof e);
    return cfb_err_set(err, e.code, "rank %d: %.400s", from, e.msg);
}

static size_t first_from(const cfb_buf *rows, uint64_t number) {
    const unsigned char *p = (const unsigned char *)rows->ptr;
    size_t low = 0, high = rows->len / CFB_SCORE_SHARD_RECORD;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cfb_score_shard_number(p + middle * CFB_SCORE_SHARD_RECORD) < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void drop_old(cfb_ranks_t *r, cfb_buf *rows) {
    size_t n = first_from(rows, r->forget) * CFB_SCORE_SHARD_RECORD;
    if (n == 0) return;
    memmove(rows->ptr, rows->ptr + n, rows->len - n);
    rows->len -= n;
}

static cfb_code take_message(cfb_ranks_t *r, int from, cfb_err *err) {
    struct stream *x = &r->streams[from];
    uint32_t header[2];
    cfb_code rc = r->link.receive(from, &r->message, err);
    if (rc != CFB_OK) return rc;
    if (r->message.len < CFB_RANKS_HEADER) return cfb_err_set(err, CFB_EBUG, "rank %d sent too little", from);
    memcpy(header, r->message.ptr, sizeof header);
    cfb_str body = {r->message.ptr + CFB_RANKS_HEADER, r->message.len - CFB_RANKS_HEADER};
    if (header[0] == CFB_RANKS_FAILED) return cfb_ranks_failed(from, body, err);
    if (header[1] != r->source)
        return cfb_err_set(err, CFB_ECONFLICT, "rank %d is at another file: do all ranks see the same ones?", from);
    if (header[0] == CFB_RANKS_ROWS) {
        drop_old(r, &x->rows);
        return cfb_buf_append_str(&x->rows, body, err);
    }
    x->ended = true;
    cfb_buf_clear(&x->tail);
    rc = cfb_buf_append_str(&x->tail, body, err);
    return rc == CFB_OK ? cfb_score_shards_open_memory("a rank's counts", x->tail.ptr, x->tail.len, &x->counts, err) : rc;
}

static bool reaches(const struct stream *x, uint64_t number) {
    const unsigned char *end = (const unsigned char *)x->rows.ptr + x->rows.len;
    return x->rows.len > 0 && cfb_score_shard_number(end - CFB_SCORE_SHARD_RECORD) >= number;
}

static cfb_code look_up(cfb_ranks_t *r, int owner, const uint64_t *numbers, const cfb_score_row_in *texts, size_t n,
                        cfb_score_row *out, cfb_err *err) {
    struct stream *x = &r->streams[owner];
    cfb_code rc = CFB_OK;
    while (rc == CFB_OK && !x->ended && !reaches(x, numbers[n - 1])) rc = take_message(r, owner, err);
    if (rc != CFB_OK) return rc;
    size_t at = first_from(&x->rows, numbers[0]), have = x->rows.len / CFB_SCORE_SHARD_RECORD;
    for (size_t i = 0; i < n; i++, at++) {
        const unsigned char *p = (const unsigned char *)x->rows.ptr + at * CFB_SCORE_SHARD_RECORD;
        uint64_t hash = cfb_scoring_texts(texts[i].response, texts[i].output, texts[i].state);
        while (at < have && cfb_score_shard_number(p) < numbers[i]) at++, p += CFB_SCORE_SHARD_RECORD;
        if (at == have || cfb_score_shard_number(p) != numbers[i] || !cfb_score_shard_unpack(p, hash, &out[i]))
            return cfb_err_set(err, CFB_ECONFLICT, "rank %d has other rows (number %llu): do all ranks see the same files?",
                               owner, (unsigned long long)numbers[i]);
    }
    return CFB_OK;
}

cfb_code cfb_ranks_look_up(cfb_ranks_t *r, int owner, const uint64_t *numbers, const cfb_score_row_in *texts, size_t n,
                           cfb_score_row *out, cfb_err *err) {
    pthread_mutex_lock(&r->lock);
    cfb_code rc = look_up(r, owner, numbers, texts, n, out, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void cfb_ranks_forget(cfb_ranks_t *r, uint64_t number) {
    pthread_mutex_lock(&r->lock);
    r->forget = number + 1;
    pthread_mutex_unlock(&r->lock);
}

cfb_code cfb_ranks_end(cfb_scoring_t *s, cfb_err *err) {
    cfb_ranks_t *r = s->ranks;
    cfb_code rc = CFB_OK;
    if (r->link.rank > 0) {
        cfb_score_shard_writer_t *w = s->shard_out;
        s->shard_out = NULL;
        rc = send_rows(r, err);
        if (rc == CFB_OK) rc = start_message(r, CFB_RANKS_END, err);
        if (rc != CFB_OK)
            cfb_score_shard_abort(w);
        else
            rc = cfb_score_shard_take(w, &r->message, err);
        return rc == CFB_OK ? r->link.send(r->message.ptr, r->message.len, err) : rc;
    }
    for (int i = 1; i < r->link.n_ranks && rc == CFB_OK; i++)
        while (rc == CFB_OK && !r->streams[i].ended) rc = take_message(r, i, err);
    return rc;
}

cfb_code cfb_ranks_add_counts(cfb_ranks_t *r, const cfb_score_shard_key *key, cfb_scorer_t *to, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (int i = 1; i < r->link.n_ranks && rc == CFB_OK; i++)
        if (r->streams[i].counts) rc = cfb_score_shards_add_counts(r->streams[i].counts, key, to, err);
    return rc;
}
