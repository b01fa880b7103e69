/* Ranks that share one large file: each scans parts of it, handed out by a counter. Where records start goes from part to part
 * over the board, as it does between the threads of one process (scan.c). Block sums and the like go to rank 0, which adds them
 * in the order of the file; what does not depend on the order goes there once, at the end. Rows themselves stay where they were
 * read.
 *
 * Anything out of the ordinary (a bad row, an error) makes all ranks give the file up: it is scored again as score_ranks.c does
 * it, which also says what was wrong. */
#include "cli/scoring.h"

#include <stdlib.h>
#include <time.h>

#define PART_BYTES ((size_t)512 << 10)
#define LEAST_BYTES ((uint64_t)2 << 20)
#define LEAST_MEMORY 64 /* MiB */
#define LEAD 64         /* parts for each rank that may be done before an earlier one is */
#define NAP_NS 20000
#define SPINS 100
#define MESSAGE_MAX ((size_t)2 << 30)

/* Words of the board. */
enum { NEXT, KNOWN, START, ROWS_BEFORE, LINE, GAVE_UP, MERGED, READY, VERDICT };

struct head {
    uint32_t kind, source;
    uint64_t epoch, index;
};

/* What a rank has to say at the end; the rest of its sink follows. */
struct ending {
    uint64_t gave_up, n_portions, n_missing, missing_line, n_rows, n_bytes;
};

struct portion {
    struct portion *next;
    uint64_t index;
    cfb_buf data; /* head included */
};

struct cfb_share {
    cfb_scoring_t *s;
    const cfb_rank_link *link;
    cfb_sink_t *sink;
    int64_t epoch; /* counts the files that were shared */
    uint64_t n_portions;
    cfb_buf message; /* being made, or that came last */
    cfb_scan_team team;
    /* rank 0, behind lock */
    pthread_mutex_t lock;
    struct portion *waiting; /* their turn has not come */
    struct portion *spare;
    uint64_t n_merged;
    bool *has_ended;
    int n_ended;
    struct ending all; /* sums; missing_line: of the first one */
    cfb_buf packed;    /* lengths and what cfb_sink_pack made, of all */
    cfb_code code;
    cfb_err err;
};

static void nap(void) {
    const struct timespec t = {0, NAP_NS};
    nanosleep(&t, NULL);
}

/* ---- rank 0: what comes from the others ---- */

/* Takes over what is in data, and leaves an old buffer in it. */
static cfb_code keep_portion(cfb_share_t *x, uint64_t index, cfb_buf *data, cfb_err *err) {
    struct portion *p = x->spare;
    if (p) x->spare = p->next;
    if (p == NULL && (p = calloc(1, sizeof *p)) != NULL) p->data = CFB_BUF_INIT(MESSAGE_MAX);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_buf old = p->data;
    p->data = *data;
    *data = old;
    p->index = index;
    p->next = x->waiting;
    x->waiting = p;
    return CFB_OK;
}

static cfb_code take_ending(cfb_share_t *x, int from, cfb_str body, cfb_err *err) {
    struct ending e;
    if (body.len < sizeof e || x->has_ended[from])
        return cfb_err_set(err, CFB_EBUG, "rank %d sent what nobody understands", from);
    memcpy(&e, body.ptr, sizeof e);
    x->has_ended[from] = true;
    x->n_ended++;
    x->all.gave_up |= e.gave_up;
    x->all.n_portions += e.n_portions;
    if (e.n_missing && (x->all.n_missing == 0 || e.missing_line < x->all.missing_line)) x->all.missing_line = e.missing_line;
    x->all.n_missing += e.n_missing;
    x->all.n_rows += e.n_rows;
    x->all.n_bytes += e.n_bytes;
    return cfb_buf_append(&x->packed, body.ptr + sizeof e, body.len - sizeof e, err);
}

static cfb_code take_message(cfb_share_t *x, int from, cfb_buf *message, cfb_err *err) {
    const cfb_str m = cfb_buf_str(message);
    struct head h;
    uint32_t kind;
    if (m.len < CFB_RANKS_HEADER) return cfb_err_set(err, CFB_EBUG, "rank %d sent too little", from);
    memcpy(&kind, m.ptr, sizeof kind);
    if (kind == CFB_RANKS_FAILED)
        return cfb_ranks_failed(from, (cfb_str){m.ptr + CFB_RANKS_HEADER, m.len - CFB_RANKS_HEADER}, err);
    if (m.len < sizeof h) return cfb_err_set(err, CFB_EBUG, "rank %d sent too little", from);
    memcpy(&h, m.ptr, sizeof h);
    if (h.source != x->s->now || h.epoch != (uint64_t)x->epoch)
        return cfb_err_set(err, CFB_ECONFLICT, "rank %d is at another file: do all ranks see the same ones?", from);
    if (kind == CFB_RANKS_PORTION) return keep_portion(x, h.index, message, err);
    if (kind == CFB_RANKS_SHARED) return take_ending(x, from, (cfb_str){m.ptr + sizeof h, m.len - sizeof h}, err);
    return cfb_err_set(err, CFB_EBUG, "rank %d sent what nobody understands", from);
}

/* Adds portions whose turn has come. */
static cfb_code merge(cfb_share_t *x, cfb_err *err) {
    cfb_code rc = CFB_OK;
    uint64_t before = x->n_merged;
    for (struct portion **at = &x->waiting; *at != NULL && rc == CFB_OK;) {
        struct portion *p = *at;
        if (p->index != x->n_merged) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        rc = cfb_sink_add_portion(x->sink, (cfb_str){p->data.ptr + sizeof(struct head), p->data.len - sizeof(struct head)}, err);
        p->next = x->spare;
        x->spare = p;
        x->n_merged++;
        at = &x->waiting;
    }
    const int64_t now = (int64_t)x->n_merged;
    if (x->n_merged != before) x->link->write(MERGED, 1, &now);
    return rc;
}

/* Takes what has come, without waiting. Behind lock. */
static void drain(cfb_share_t *x, cfb_buf *m) {
    for (int from = 1; from < x->link->n_ranks; from++) {
        bool there = x->code == CFB_OK && !x->has_ended[from];
        while (there) {
            x->code = x->link->poll(from, m, &there, &x->err);
            if (x->code == CFB_OK && there) x->code = take_message(x, from, m, &x->err);
            there = there && x->code == CFB_OK && !x->has_ended[from];
        }
    }
    if (x->code == CFB_OK) x->code = merge(x, &x->err);
    if (x->code != CFB_OK) x->link->write(GAVE_UP, 1, &x->epoch);
}

static void look_around(cfb_share_t *x) {
    cfb_buf m = CFB_BUF_INIT(MESSAGE_MAX);
    if (x->link->rank == 0 && pthread_mutex_trylock(&x->lock) == 0) {
        drain(x, &m);
        pthread_mutex_unlock(&x->lock);
    }
    cfb_buf_free(&m);
}

/* ---- the scan's team ---- */

static bool take(void *ctx, uint64_t *index) {
    cfb_share_t *x = ctx;
    int64_t mine = x->link->add(NEXT, 1), now[2];
    *index = (uint64_t)mine;
    for (;;) {
        x->link->read(GAVE_UP, 2, now);
        if (now[0] == x->epoch || cfb_stop_is_on(&cfb_cli_stop)) return false;
        if (mine < now[1] + LEAD * x->link->n_ranks) return true;
        look_around(x);
        nap();
    }
}

static bool await(void *ctx, uint64_t index, cfb_scan_place *at) {
    cfb_share_t *x = ctx;
    int64_t now[5];
    for (size_t i = 0;; i++) {
        x->link->read(KNOWN, 5, now);
        if (now[4] == x->epoch || cfb_stop_is_on(&cfb_cli_stop)) return false;
        if (now[0] == (int64_t)index) break;
        if (i > SPINS) nap();
    }
    x->link->read(START, 3, now); /* written before KNOWN: now they are there for certain */
    *at = (cfb_scan_place){(uint64_t)now[0], (uint64_t)now[1], (uint64_t)now[2]};
    return true;
}

static void tell(void *ctx, uint64_t index, const cfb_scan_place *at) {
    cfb_share_t *x = ctx;
    const int64_t place[3] = {(int64_t)at->start, (int64_t)at->rows, (int64_t)at->line}, known = (int64_t)index;
    x->link->write(START, 3, place);
    x->link->write(KNOWN, 1, &known);
}

static void give_up(void *ctx) {
    cfb_share_t *x = ctx;
    x->link->write(GAVE_UP, 1, &x->epoch);
}

/* ---- a file ---- */

bool cfb_share_is_possible(const cfb_scoring_t *s, const cfb_source *source, const cfb_target *only) {
    const cfb_config *c = s->c;
    if (s->ranks == NULL || s->shards_in || only == NULL || only->sink == NULL || source->bytes < LEAST_BYTES) return false;
    if (c->out || s->keep_rows || strcmp(c->duplicates, "join") == 0) return false;
    if (c->rows_out && !s->pick_only) return false; /* every row, in the order of the file */
    if (c->memory && c->memory < LEAST_MEMORY) return false;
    return !cfb_metric_is_of_pairs(cfb_sink_task(only->sink)->metric);
}

cfb_code cfb_share_new(cfb_scoring_t *s, cfb_target *only, cfb_scan_opts *o, cfb_share_t **out, cfb_err *err) {
    cfb_share_t *x = calloc(1, sizeof *x);
    if (x) x->has_ended = calloc((size_t)cfb_ranks_link(s->ranks)->n_ranks, sizeof *x->has_ended);
    if (x == NULL || x->has_ended == NULL) {
        free(x);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    x->s = s;
    x->link = cfb_ranks_link(s->ranks);
    x->sink = only->sink;
    x->message = x->packed = CFB_BUF_INIT(MESSAGE_MAX);
    x->team = (cfb_scan_team){x, take, await, tell, give_up};
    pthread_mutex_init(&x->lock, NULL);
    o->team = &x->team;
    o->part_bytes = PART_BYTES;
    *out = x;
    return CFB_OK;
}

static void free_portions(struct portion *p) {
    while (p) {
        struct portion *next = p->next;
        cfb_buf_free(&p->data);
        free(p);
        p = next;
    }
}

void cfb_share_free(cfb_share_t *x) {
    if (x == NULL) return;
    free_portions(x->waiting);
    free_portions(x->spare);
    cfb_buf_free(&x->message);
    cfb_buf_free(&x->packed);
    pthread_mutex_destroy(&x->lock);
    free(x->has_ended);
    free(x);
}

void cfb_share_begin(cfb_share_t *x) {
    int64_t now[1], nothing[NEXT + 5] = {0};
    x->epoch = cfb_ranks_next_epoch(x->s->ranks);
    if (x->link->rank == 0) { /* nobody is left in the file before: all have told rank 0 their end, and wait */
        const int64_t zero = 0;
        x->link->write(NEXT, NEXT + 5, nothing);
        x->link->write(MERGED, 1, &zero);
        x->link->write(READY, 1, &x->epoch);
        return;
    }
    do {
        x->link->read(READY, 1, now);
        if (now[0] < x->epoch) nap();
    } while (now[0] < x->epoch && !cfb_stop_is_on(&cfb_cli_stop));
}

static cfb_code start_message(cfb_share_t *x, uint32_t kind, uint64_t index, cfb_err *err) {
    struct head h;
    memset(&h, 0, sizeof h);
    h.kind = kind;
    h.source = (uint32_t)x->s->now;
    h.epoch = (uint64_t)x->epoch;
    h.index = index;
    cfb_buf_clear(&x->message);
    return cfb_buf_append(&x->message, &h, sizeof h, err);
}

cfb_code cfb_share_commit(cfb_share_t *x, uint64_t index, uint64_t first, const cfb_score_row *scores,
                          const unsigned char *selected, size_t n, cfb_sink_row_fn row, void *ctx, cfb_err *err) {
    cfb_code rc = start_message(x, CFB_RANKS_PORTION, index, err);
    if (rc == CFB_OK) rc = cfb_sink_take_portion(x->sink, first, scores, selected, n, row, ctx, &x->message, err);
    if (rc != CFB_OK) return rc;
    x->n_portions++;
    if (x->link->rank > 0) return x->link->send(x->message.ptr, x->message.len, err);
    pthread_mutex_lock(&x->lock);
    rc = keep_portion(x, index, &x->message, err);
    drain(x, &x->message);
    if (rc == CFB_OK && x->code != CFB_OK) {
        rc = x->code;
        if (err) *err = x->err;
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

/* Others: the end, and what rank 0 makes of all of them. */
static cfb_code send_ending(cfb_share_t *x, const struct ending *e, bool *again, cfb_err *err) {
    int64_t verdict = 0;
    cfb_code rc = start_message(x, CFB_RANKS_SHARED, 0, err);
    if (rc == CFB_OK) rc = cfb_buf_append(&x->message, e, sizeof *e, err);
    if (rc == CFB_OK && !e->gave_up) rc = cfb_sink_pack(x->sink, &x->message, err);
    if (rc == CFB_OK) rc = x->link->send(x->message.ptr, x->message.len, err);
    while (rc == CFB_OK && verdict / 2 != x->epoch) {
        if (cfb_stop_is_on(&cfb_cli_stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted");
        nap();
        x->link->read(VERDICT, 1, &verdict);
    }
    *again = verdict % 2 != 0;
    return rc;
}

/* Rank 0: until all have ended. */
static cfb_code wait_for_all(cfb_share_t *x, struct ending *e, bool *again, cfb_err *err) {
    while (x->code == CFB_OK && x->n_ended < x->link->n_ranks - 1 && !cfb_stop_is_on(&cfb_cli_stop)) {
        drain(x, &x->message);
        nap();
    }
    if (cfb_stop_is_on(&cfb_cli_stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted");
    if (x->code == CFB_OK && !e->gave_up && !x->all.gave_up) {
        x->code = merge(x, &x->err);
        if (x->code == CFB_OK && x->n_merged != x->n_portions + x->all.n_portions)
            x->code = cfb_err_set(&x->err, CFB_EBUG, "parts of a file are missing");
        if (x->code == CFB_OK) x->code = cfb_sink_add_packed(x->sink, cfb_buf_str(&x->packed), &x->err);
    }
    if (x->code != CFB_OK) {
        *err = x->err;
        return x->code;
    }
    *again = e->gave_up || x->all.gave_up;
    const int64_t verdict = 2 * x->epoch + *again;
    x->link->write(VERDICT, 1, &verdict);
    if (x->all.n_missing && (e->n_missing == 0 || x->all.missing_line < e->missing_line)) e->missing_line = x->all.missing_line;
    e->n_missing += x->all.n_missing;
    e->n_rows += x->all.n_rows;
    atomic_fetch_add(&x->s->meter.rows_done, x->all.n_rows);
    atomic_fetch_add(&x->s->meter.bytes_done, x->all.n_bytes);
    atomic_fetch_add(&x->s->meter.text_bytes, x->all.n_bytes);
    return CFB_OK;
}

cfb_code cfb_share_end(cfb_share_t *x, bool went_well, uint64_t n_bytes, uint64_t *n_missing, uint64_t *missing_line,
                       uint64_t *n_rows, bool *again, cfb_err *err) {
    struct ending e = {.gave_up = !went_well,
                       .n_portions = x->n_portions,
                       .n_missing = *n_missing,
                       .missing_line = *missing_line,
                       .n_rows = *n_rows,
                       .n_bytes = n_bytes};
    *again = false;
    if (cfb_stop_is_on(&cfb_cli_stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted");
    if (x->link->rank > 0) return send_ending(x, &e, again, err);
    cfb_code rc = wait_for_all(x, &e, again, err);
    *n_missing = e.n_missing;
    *missing_line = e.missing_line;
    *n_rows = e.n_rows;
    return rc;
}
