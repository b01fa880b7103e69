/* Before the first call: records -> prompts -> keys -> store, and which rows are to be asked. */
#include "cfbench/prompt.h"
#include "generate/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything that decides a reply. What not every run sets is added only where it is set, so that the keys of other runs stay. */
static cfb_code row_key(const struct job *j, const struct job_task *t, cfb_str prompt, char hex[65], cfb_err *err) {
    const cfb_request *q = &j->o->client.request;
    char number[32], temperature[32], seed[32];
    snprintf(number, sizeof number, "%d", t->max_tokens);
    snprintf(seed, sizeof seed, "seed %lld", (long long)q->seed);
    cfb_format_double(q->temperature, temperature);
    size_t n = 5, cap = 7 + q->n_stop;
    cfb_str *parts = malloc(cap * sizeof *parts);
    if (parts == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    const cfb_str always[] = {prompt, cfb_str_from(q->model), cfb_str_from(q->system_prompt), cfb_str_from(number),
                              cfb_str_from(temperature)};
    memcpy(parts, always, sizeof always);
    if (q->has_seed) parts[n++] = cfb_str_from(seed);
    if (q->extra_body) parts[n++] = cfb_str_from(q->extra_body);
    for (size_t i = 0; i < q->n_stop; i++) parts[n++] = cfb_str_from(q->stop[i]);
    cfb_sha256_parts_hex(parts, n, hex);
    free(parts);
    return CFB_OK;
}

struct preparing {
    cfb_records records;
    cfb_store_row *rows;
    char (*keys)[65];
    unsigned char *done, *mine; /* mine: of this shard */
    uint32_t *failed;
    size_t n_mine;
    cfb_buf prompt;
};

/* A shard's store has the shard's rows, and notes of how many rows there are in all: so a merge knows when it is complete. */
static cfb_code choose_rows(struct job *j, const struct job_task *t, struct preparing *p, cfb_err *err) {
    cfb_shard shard = j->o->shard;
    char name[160], n[24];
    for (size_t i = 0; i < p->records.n; i++) {
        p->mine[i] =
            shard.count == 0 || cfb_shard_of(shard.count, cfb_str_from(t->task->name), p->records.rows[i].id) == shard.index;
        p->n_mine += p->mine[i];
    }
    if (shard.count == 0) return CFB_OK;
    snprintf(name, sizeof name, CFB_STORE_NOTE_ROWS "%.120s", t->task->name);
    snprintf(n, sizeof n, "%zu", p->records.n);
    return cfb_store_note_put(j->o->store, name, n, err);
}

static cfb_code put_rows(struct job *j, struct job_task *t, struct preparing *p, cfb_err *err) {
    size_t n = 0;
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < p->records.n && rc == CFB_OK; i++) {
        const cfb_record *r = &p->records.rows[i];
        if (!p->mine[i] && j->o->on_row == NULL) continue; /* a mock's answers depend on all rows */
        cfb_buf_clear(&p->prompt);
        rc = cfb_prompt_render(t->task, j->o->shot, r, &p->prompt, err);
        if (rc == CFB_OK) rc = row_key(j, t, cfb_buf_str(&p->prompt), p->keys[i], err);
        if (rc != CFB_OK) break;
        if (p->mine[i])
            p->rows[n++] = (cfb_store_row){(int64_t)i, r->id, {p->keys[i], 64}, r->input, r->instruction, r->response};
        if (j->o->on_row) rc = j->o->on_row(j->o->on_row_ctx, t->task, cfb_buf_str(&p->prompt), r->response, err);
    }
    if (rc == CFB_OK) rc = cfb_store_put_rows(j->o->store, t->task_id, p->rows, n, err);
    for (size_t k = 0; rc == CFB_OK && k < j->o->n_earlier; k++)
        rc = cfb_store_adopt(j->o->store, t->task_id, t->task->name, j->o->earlier[k], err);
    return rc == CFB_OK ? rc : cfb_err_add_context(err, "task '%s'", t->task->name);
}

/* fn, or the spool, gets what is to be asked. */
static cfb_code take_pending(struct job *j, size_t k, struct preparing *p, cfb_pending_fn fn, void *ctx, cfb_err *err) {
    struct job_task *t = &j->tasks[k];
    size_t n = p->records.n;
    cfb_code rc = cfb_store_get_done(j->o->store, t->task_id, p->done, p->failed, n, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        const cfb_record *r = &p->records.rows[i];
        if (!p->mine[i] || p->done[i]) continue;
        if (j->o->max_attempts > 0 && p->failed[i] >= (uint32_t)j->o->max_attempts) {
            t->n_given_up++;
            continue;
        }
        if (fn) {
            cfb_buf_clear(&p->prompt);
            rc = cfb_prompt_render(t->task, j->o->shot, r, &p->prompt, err);
            if (rc != CFB_OK) break;
            const cfb_pending_row row = {
                k, t->task, t->task_id, i, r->id, {p->keys[i], 64}, cfb_buf_str(&p->prompt), t->max_tokens};
            rc = fn(ctx, &row, err);
        } else {
            rc = cfb_spool_put(&j->spool, r, &t->spooled[t->n_pending], &t->length[t->n_pending], err);
        }
        if (t->failed) t->failed[t->n_pending] = p->failed[i];
        t->pending[t->n_pending++] = i;
    }
    return rc;
}

static cfb_code put_task(struct job *j, struct job_task *t, size_t index, cfb_err *err) {
    cfb_buf definition = CFB_BUF_INIT(0);
    cfb_code rc = cfb_suite_write_task(j->o->suite, index, &definition, err);
    if (rc == CFB_OK) {
        cfb_store_task row = {t->task->name, cfb_task_kind_name(t->task->kind), cfb_metric_name(t->task->metric),
                              cfb_label_set_name(t->task->label_set), definition.ptr};
        rc = cfb_store_put_task(j->o->store, &row, &t->task_id, err);
    }
    cfb_buf_free(&definition);
    return rc;
}

int cfb_generate_reply_limit(int max_tokens, double scale, const cfb_task *task) {
    double n = max_tokens > 0 ? max_tokens : task->max_tokens * (scale > 0 ? scale : 1);
    return n < 1 ? 1 : n > 2e9 ? 2000000000 : (int)n;
}

/* The leader's list of pending rows; the same rows are then found on every rank under the same index. */
static cfb_code share_pending(struct job *j, struct job_task *t, struct preparing *p, cfb_err *err) {
    const cfb_team *team = j->o->team;
    size_t n = p->records.n, kept = 0;
    char digest[65];
    cfb_sha256_hex(p->keys, n * sizeof *p->keys, digest);
    unsigned char *pending = p->done; /* done with */
    memset(pending, 0, n);
    for (size_t i = 0; i < t->n_pending; i++) pending[t->pending[i]] = 1;
    cfb_code rc = team->share(team->ctx, t->task->name, digest, pending, n, err);
    if (rc != CFB_OK || team->leads) return rc;
    for (size_t i = 0; i < t->n_pending; i++) {
        if (!pending[t->pending[i]]) continue;
        t->pending[kept] = t->pending[i];
        t->spooled[kept] = t->spooled[i];
        t->length[kept++] = t->length[i];
    }
    t->n_pending = kept;
    return CFB_OK;
}

static cfb_code prepare_task(struct job *j, size_t k, cfb_pending_fn fn, void *ctx, cfb_err *err) {
    const cfb_generate_opts *o = j->o;
    struct job_task *t = &j->tasks[k];
    size_t index = o->tasks[k];
    struct preparing p = {.prompt = CFB_BUF_INIT(MAX_PROMPT_BYTES)};
    t->task = cfb_suite_task(o->suite, index);
    t->max_tokens = cfb_generate_reply_limit(o->max_tokens, o->max_tokens_scale, t->task);
    cfb_code rc = cfb_suite_read_records(o->suite, index, o->shot, o->limit, &p.records, err);
    size_t size = rc == CFB_OK && p.records.n ? p.records.n : 1;
    if (rc == CFB_OK) {
        p.rows = calloc(size, sizeof *p.rows);
        p.keys = calloc(size, sizeof *p.keys);
        p.done = malloc(size);
        p.mine = malloc(size);
        p.failed = malloc(size * sizeof *p.failed);
        t->pending = malloc(size * sizeof *t->pending);
        t->spooled = malloc(size * sizeof *t->spooled);
        t->length = malloc(size * sizeof *t->length);
        if (o->max_attempts > 0) t->failed = malloc(size * sizeof *t->failed);
        if (!p.rows || !p.keys || !p.done || !p.mine || !p.failed || !t->pending || !t->spooled || !t->length ||
            (o->max_attempts > 0 && !t->failed))
            rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    if (rc == CFB_OK) rc = put_task(j, t, index, err);
    if (rc == CFB_OK) rc = choose_rows(j, t, &p, err);
    t->n_rows = p.n_mine;
    if (rc == CFB_OK) rc = put_rows(j, t, &p, err);
    if (rc == CFB_OK) rc = take_pending(j, k, &p, fn, ctx, err);
    if (rc == CFB_OK && o->team) rc = share_pending(j, t, &p, err);
    cfb_records_free(&p.records);
    cfb_buf_free(&p.prompt);
    free(p.rows);
    free(p.keys);
    free(p.done);
    free(p.mine);
    free(p.failed);
    return rc;
}

cfb_code cfb_job_prepare(struct job *j, cfb_pending_fn fn, void *ctx, cfb_err *err) {
    size_t n = j->o->n_tasks;
    j->tasks = calloc(n ? n : 1, sizeof *j->tasks);
    j->progress->tasks = calloc(n ? n : 1, sizeof *j->progress->tasks);
    if (j->tasks == NULL || j->progress->tasks == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    j->progress->n_tasks = n;
    cfb_code rc = cfb_store_load_begin(j->o->store, err);
    for (size_t k = 0; k < n && rc == CFB_OK; k++) {
        struct job_task *t = &j->tasks[k];
        cfb_task_progress *p = &j->progress->tasks[k];
        rc = cfb_stop_is_on(&j->stop) ? cfb_err_set(err, CFB_EINTERRUPTED, "stopped before the first call")
                                      : prepare_task(j, k, fn, ctx, err);
        p->name = t->task ? t->task->name : "";
        if (rc != CFB_OK) break;
        p->total = t->n_rows;
        p->done_before = t->n_rows - t->n_pending - t->n_given_up;
        atomic_store(&p->failed, t->n_given_up);
    }
    if (rc == CFB_OK) rc = cfb_store_load_end(j->o->store, err);
    if (rc == CFB_OK) rc = cfb_spool_flush(&j->spool, err);
    if (rc == CFB_OK) atomic_store(&j->progress->ready, 1);
    return rc;
}

void cfb_job_free(struct job *j) {
    for (size_t k = 0; j->tasks && k < j->o->n_tasks; k++) {
        free(j->tasks[k].pending);
        free(j->tasks[k].spooled);
        free(j->tasks[k].length);
        free(j->tasks[k].failed);
    }
    free(j->tasks);
    free(j->latency);
    cfb_spool_close(&j->spool);
    cfb_gate_free(&j->gate);
    cfb_recall_free(j->recall);
    cfb_server_free(j->server);
    if (j->progress == &j->own_progress) free(j->own_progress.tasks);
}
