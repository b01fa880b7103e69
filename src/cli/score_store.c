/* Run stores: their rows, states and settings; row scores go back into them. */
#include "cli/scoring.h"

#include <stdio.h>
#include <stdlib.h>

#define STORE_BATCH 1024

struct store_job {
    cfb_scoring_t *s;
    cfb_store_t *store;
    const char *path;
    cfb_target *target;
    cfb_sink_row batch[STORE_BATCH];
    cfb_score_row scores[STORE_BATCH];
    size_t n;
    cfb_arena_t *texts;
    cfb_buf line;
};

/* --where, and a line of --rows-out. */
static cfb_code on_scored(void *ctx, const cfb_sink_row *row, const cfb_score_row *score, bool *selected, cfb_err *err) {
    struct store_job *j = ctx;
    cfb_scoring_t *s = j->s;
    cfb_row_view v = cfb_scoring_view(s, j->target, score, row->row, 0);
    v.id = row->id;
    v.input = row->input;
    v.response = row->response;
    v.output = row->output;
    v.error = row->fail;
    if (s->where && !cfb_where_holds(s->where, &v, NULL)) *selected = false;
    if (!*selected || s->rows_out == NULL || s->pick_only) return CFB_OK;
    cfb_buf_clear(&j->line);
    cfb_code rc = cfb_rows_out_format(s->rows_out, &v, &j->line, err);
    return rc == CFB_OK ? cfb_rows_out_write(s->rows_out, cfb_buf_str(&j->line), err) : rc;
}

/* Only this process's rows are in the batch. */
static cfb_code write_batch(struct store_job *j, cfb_err *err) {
    const cfb_score_row *scores = NULL;
    cfb_scoring_t *s = j->s;
    cfb_code rc = cfb_sink_score_only(j->target->sink, j->batch, j->n, &scores, err);
    for (size_t i = 0; i < j->n && rc == CFB_OK; i++) {
        const cfb_sink_row *r = &j->batch[i];
        rc = cfb_score_shard_put(s->shard_out, s->now, cfb_str_from(j->target->name), r->row, &scores[i],
                                 cfb_scoring_texts(r->response, r->output, r->state), err);
    }
    s->n_put += j->n;
    return rc;
}

static cfb_code look_up_batch(struct store_job *j, cfb_sink_pick_fn pick, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < j->n && rc == CFB_OK; i++) {
        const cfb_sink_row *r = &j->batch[i];
        const cfb_score_row_in texts = {r->response, r->output, r->state};
        rc = cfb_scoring_look_up(j->s, j->target, r->id, r->row, &texts, &j->scores[i], err);
    }
    return rc == CFB_OK ? cfb_sink_add_scored(j->target->sink, j->batch, j->scores, j->n, pick, j, err) : rc;
}

static cfb_code flush_batch(struct store_job *j, cfb_err *err) {
    cfb_sink_pick_fn pick = j->s->where || j->s->rows_out ? on_scored : NULL;
    cfb_code rc = j->s->shard_out   ? write_batch(j, err)
                  : j->s->shards_in ? look_up_batch(j, pick, err)
                                    : cfb_sink_add(j->target->sink, j->batch, j->n, pick, j, err);
    atomic_fetch_add(&j->s->meter.rows_done, j->n);
    j->n = 0;
    cfb_arena_reset(j->texts);
    return rc;
}

static cfb_row_state state_by_name(const char *name) {
    for (int k = 0; k < CFB_ROW_STATE_COUNT; k++)
        if (strcmp(name, cfb_row_state_name((cfb_row_state)k)) == 0) return (cfb_row_state)k;
    return CFB_ROW_FAILED;
}

static cfb_code on_result(void *ctx, const cfb_store_result *r, cfb_err *err) {
    struct store_job *j = ctx;
    if (j->s->c->command == CFB_CMD_SCORE && cfb_stop_is_on(&cfb_cli_stop))
        return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted");
    if (j->s->shard_out && !cfb_scoring_is_mine(j->s, j->target->name, r->id, (uint64_t)r->row)) return CFB_OK;
    cfb_sink_row *row = &j->batch[j->n];
    bool never_asked = r->n_attempts == 0;
    *row = (cfb_sink_row){.row = (uint64_t)r->row, .source = j->s->now, .state = state_by_name(r->state)};
    cfb_str fail = CFB_STR_NULL, message = CFB_STR_NULL;
    if (row->state == CFB_ROW_FAILED) {
        fail = cfb_str_from(never_asked ? "not_asked" : r->fail);
        message = cfb_str_from(never_asked ? "the run ended before this row" : r->message);
    }
    cfb_str from[] = {r->id, r->input, r->response, r->output, fail, message};
    cfb_str to[6];
    for (size_t i = 0; i < 6; i++) {
        cfb_code rc = cfb_arena_dup(j->texts, from[i], &to[i], err);
        if (rc != CFB_OK) return rc;
    }
    row->id = to[0];
    row->input = to[1];
    row->response = to[2];
    row->output = to[3];
    row->fail = to[4].ptr;
    row->message = to[5].ptr;
    j->n++;
    return j->n == STORE_BATCH ? flush_batch(j, err) : CFB_OK;
}

static cfb_code on_task(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err) {
    struct store_job *j = ctx;
    if (!cfb_cli_is_picked(j->s->c, t->name)) return CFB_OK;
    const cfb_source *from = &j->s->sources[j->s->now];
    cfb_target_key key = {.model = cfb_str_from(from->model),
                          .setting = cfb_str_from(from->setting),
                          .task = cfb_str_from(t->name),
                          .keep_scores = true};
    cfb_code rc = cfb_suite_parse(t->name, cfb_str_from(t->definition), &key.own, err);
    if (rc != CFB_OK) return rc;
    key.definition = cfb_suite_task(key.own, 0);
    rc = cfb_scoring_target(j->s, &key, &j->target, err);
    if (j->s->shards_in) cfb_score_shards_select(j->s->shards_in, j->s->now, cfb_str_from(t->name));
    if (rc == CFB_OK) rc = cfb_store_each_result(j->store, task_id, on_result, j, err);
    if (rc == CFB_OK) rc = flush_batch(j, err);
    if (rc != CFB_OK) cfb_err_add_context(err, "task '%s'", t->name);
    return rc;
}

/* Row scores go back into the store once all tasks were read: its tables are then complete for people's own queries. */
static cfb_code store_scores(cfb_scoring_t *s, size_t source, const char *path, cfb_err *err) {
    cfb_store_t *w = NULL;
    cfb_code rc = cfb_store_open(path, CFB_STORE_WRITE, &w, err);
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++) {
        const cfb_target *of = s->targets[i];
        if (of->source_index != source || of->sink == NULL) continue;
        const int64_t *rows;
        const double *scores;
        int64_t task_id = 0;
        size_t n = cfb_sink_scores(of->sink, &rows, &scores);
        cfb_store_task t = {of->name, "", "", "", ""}; /* known by name: nothing is added */
        rc = cfb_store_put_task(w, &t, &task_id, err);
        if (rc == CFB_OK) rc = cfb_store_put_scores(w, task_id, of->result.summary.metric, rows, scores, n, err);
    }
    cfb_code close_rc = cfb_store_close(w, rc == CFB_OK ? err : NULL);
    return rc == CFB_OK ? close_rc : rc;
}

/* The account of the run, under the names that its results have. */
static cfb_code add_asking(struct store_job *j, cfb_err *err) {
    cfb_scoring_t *s = j->s;
    const cfb_source *from = &s->sources[s->now];
    cfb_report_asking *p = realloc(s->asking, (s->n_asking + 1) * sizeof *p);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    s->asking = p;
    const char *model = j->target ? j->target->model : from->model;
    cfb_code rc = cfb_cli_asked(j->store, from->path, model, from->setting, s->arena, &p[s->n_asking], err);
    if (rc == CFB_OK) s->n_asking++;
    const char *title = cfb_store_setting_get(j->store, "suite.title");
    if (rc == CFB_OK && title) cfb_scoring_set_title(s, title);
    return rc;
}

cfb_code cfb_scoring_read_store(cfb_scoring_t *s, const char *path, cfb_err *err) {
    if (s->where && cfb_expr_n_columns(s->where) > 0)
        return cfb_err_set(err, CFB_EUSAGE, "--where: %.120s is a run store and has no column '%.60s'", path,
                           cfb_expr_column(s->where, 0));
    struct store_job *j = calloc(1, sizeof *j);
    if (j == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *j = (struct store_job){.s = s, .path = path, .line = CFB_BUF_INIT(0)};
    cfb_code rc = cfb_arena_new(0, &j->texts, err);
    if (rc == CFB_OK) rc = cfb_store_open(path, CFB_STORE_READ, &j->store, err);
    if (rc == CFB_OK) rc = cfb_store_each_task(j->store, on_task, j, err);
    if (rc == CFB_OK) rc = add_asking(j, err);
    bool read_any = j->target != NULL;
    cfb_store_close(j->store, NULL);
    cfb_arena_free(j->texts);
    cfb_buf_free(&j->line);
    free(j);
    if (rc == CFB_OK && !read_any && s->c->tasks == NULL)
        rc = cfb_err_set(err, CFB_EDATA, "%s: the run store has no tasks yet", path);
    bool joined = strcmp(s->c->duplicates, "join") == 0; /* then scores are not of this store alone */
    if (rc == CFB_OK && !joined) rc = cfb_scoring_source_done(s, err);
    if (rc != CFB_OK || joined || s->keep_rows || s->shard_out) return rc;
    cfb_err store_err = CFB_ERR_INIT;
    if (store_scores(s, s->now, path, &store_err) != CFB_OK) /* a read-only copy is scored all the same */
        cfb_log(CFB_LOG_INFO, "row scores were not written back into the store: %s", store_err.msg);
    return CFB_OK;
}
