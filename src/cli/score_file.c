/* Response files: parts of a file are scored by several threads and taken in the order of the file. */
#include "cli/scoring.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_PLACE UINT32_MAX
#define CACHE 256 /* results that a worker remembers */

/* Places of columns among those that are read; SIZE_MAX: not read. */
struct columns {
    cfb_scan_column list[8 + CFB_EXPR_MAX_COLUMNS];
    size_t n, id, task, model, setting, where; /* where: the first of --where's own */
};

/* Rows of a part that go to one result: places [begin, begin + n) of in and out. */
struct group {
    cfb_target *t;
    size_t begin, n;
};

/* A part of the file on its way from cfb_scan's work to its commit. */
struct part {
    cfb_score_row_in *in;
    cfb_score_row *out;
    uint32_t *row_at, *place; /* the part's row at a place; the place of a row, or NO_PLACE */
    unsigned char *selected;
    cfb_target **target;  /* of each row; NULL: it is not scored */
    uint64_t *number;     /* of the row at a place, where ranks share the rows */
    uint64_t *same_input; /* of each row: a hash of its input; of a shard's row: of what was scored */
    size_t cap;
    struct group *groups;
    size_t n_groups, cap_groups;
    uint64_t n_missing, missing_line; /* rows without an output, the first one's line */
    cfb_scan_bad *bad;                /* found here; those of the reader are in the scan's part */
    size_t n_bad, cap_bad;
    cfb_arena_t *texts;
    cfb_buf lines; /* of --rows-out */
};

struct worker {
    cfb_target *cache[CACHE];
};

struct file_job {
    cfb_scoring_t *s;
    const cfb_source *source;
    struct columns columns;
    cfb_target *only; /* all rows are of this result; NULL: columns say */
    cfb_str task;     /* where no column does */
    struct part *parts;
    struct worker *workers;
    cfb_arena_t *texts; /* of the row that is being kept */
    const cfb_scan_part *now;
    const struct part *now_mine;
    const struct group *group;
    bool skip;
    cfb_share_t *share; /* NULL: this process reads the whole file */
    uint64_t n_bytes;   /* of the parts that it committed */
    uint64_t n_rows, n_missing, missing_line;
};

/* ---- columns ---- */

static size_t want(struct columns *c, const char *name, bool required, bool raw) {
    c->list[c->n] = (cfb_scan_column){name, required, raw};
    return c->n++;
}

static size_t want_if(struct columns *c, const char *name) { return name ? want(c, name, true, false) : SIZE_MAX; }

/* Of most rows nobody looks at input and id: they are checked only where they are written or shown. */
static void choose_columns(const cfb_scoring_t *s, struct columns *c) {
    const cfb_config *o = s->c;
    bool every = o->rows_out && !s->pick_only; /* a shard reads as the one process would, that writes them */
    bool input = cfb_where_uses_input(s->where) || (s->rows_out && every && cfb_rows_out_has_texts(s->rows_out)) ||
                 (s->export_dir && s->what);
    bool id = cfb_where_uses_id(s->where) || every || s->keep_rows;
    want(c, o->response_column, true, false);
    want(c, o->output_column, true, false);
    want(c, "input", false, !input);
    c->id = want(c, o->id_column ? o->id_column : "id", o->id_column != NULL, !id);
    c->task = want_if(c, o->task_column);
    c->model = want_if(c, o->model_column);
    c->setting = want_if(c, o->setting_column);
    c->where = c->n;
    for (size_t i = 0; s->where && i < cfb_expr_n_columns(s->where); i++) want(c, cfb_expr_column(s->where, i), true, false);
}

/* ---- results of rows ---- */

static bool is_name(const char *z, cfb_str s) {
    return z == NULL || s.ptr == NULL ? z == NULL && s.ptr == NULL : cfb_str_eqz(s, z);
}

static cfb_str source_name(const char *z) { return z ? cfb_str_from(z) : CFB_STR_NULL; }

/* A worker asks for the same few results again and again; the table of all is behind a lock. */
static cfb_code find_target(struct file_job *j, struct worker *w, const cfb_str *cells, cfb_target **out, cfb_err *err) {
    const struct columns *c = &j->columns;
    cfb_target_key k = {.task = c->task == SIZE_MAX ? j->task : cells[c->task],
                        .model = c->model == SIZE_MAX ? source_name(j->source->model) : cells[c->model],
                        .setting = c->setting == SIZE_MAX ? source_name(j->source->setting) : cells[c->setting]};
    if (k.task.ptr == NULL) k.task = CFB_STR_LIT("");
    uint64_t h = cfb_hash64(k.task.ptr, k.task.len, 1);
    if (k.model.len) h = cfb_hash64(k.model.ptr, k.model.len, h);
    if (k.setting.len) h = cfb_hash64(k.setting.ptr, k.setting.len, h);
    cfb_target **slot = &w->cache[h % CACHE];
    if (*slot && cfb_str_eqz(k.task, (*slot)->name) && is_name((*slot)->key_model, k.model) &&
        is_name((*slot)->setting, k.setting)) {
        *out = *slot;
        return CFB_OK;
    }
    cfb_code rc = cfb_scoring_target(j->s, &k, out, err);
    if (rc == CFB_OK) *slot = *out;
    return rc;
}

/* ---- work: any thread ---- */

static cfb_code reserve_part(struct part *p, size_t n, cfb_err *err) {
    if (p->texts == NULL) {
        cfb_code rc = cfb_arena_new(0, &p->texts, err);
        if (rc != CFB_OK) return rc;
    }
    cfb_arena_reset(p->texts);
    cfb_buf_clear(&p->lines);
    p->n_groups = p->n_bad = 0;
    p->n_missing = p->missing_line = 0;
    if (n <= p->cap) return CFB_OK;
    void *old[] = {p->in, p->out, p->row_at, p->place, p->selected, p->target, p->same_input, p->number};
    for (size_t i = 0; i < 8; i++) free(old[i]);
    p->in = malloc(n * sizeof *p->in);
    p->out = malloc(n * sizeof *p->out);
    p->row_at = malloc(n * sizeof *p->row_at);
    p->place = malloc(n * sizeof *p->place);
    p->selected = malloc(n);
    p->target = malloc(n * sizeof *p->target);
    p->same_input = malloc(n * sizeof *p->same_input);
    p->number = malloc(n * sizeof *p->number);
    p->cap = p->in && p->out && p->row_at && p->place && p->selected && p->target && p->same_input && p->number ? n : 0;
    return p->cap ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

static void free_part(struct part *p) {
    void *all[] = {p->in, p->out, p->row_at, p->place, p->selected, p->target, p->same_input, p->number, p->groups, p->bad};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    cfb_arena_free(p->texts);
    cfb_buf_free(&p->lines);
}

/* A row that the reader could read and nobody can score. */
static cfb_code bad_row(struct file_job *j, struct part *p, const cfb_scan_part *rows, size_t i, const char *what, cfb_err *err) {
    uint64_t line = cfb_scan_line(rows, i);
    cfb_err e = CFB_ERR_INIT;
    cfb_err_set(&e, CFB_EDATA, "%s:%llu: %s", j->source->path, (unsigned long long)line, what);
    p->target[i] = NULL;
    if (!j->skip) {
        *err = e;
        return CFB_EDATA;
    }
    if (p->n_bad == p->cap_bad) {
        size_t cap = p->cap_bad ? p->cap_bad * 2 : 8;
        cfb_scan_bad *b = realloc(p->bad, cap * sizeof *b);
        if (b == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        p->bad = b;
        p->cap_bad = cap;
    }
    cfb_str message;
    cfb_code rc = cfb_arena_dup(p->texts, cfb_str_from(e.msg), &message, err);
    if (rc == CFB_OK) p->bad[p->n_bad++] = (cfb_scan_bad){rows->numbers[i], line, CFB_EDATA, message.ptr};
    return rc;
}

/* Which result each row goes to. *plain: all go to j->only. */
static cfb_code find_targets(struct file_job *j, struct part *p, const cfb_scan_part *rows, int worker, bool *plain,
                             cfb_err *err) {
    cfb_code rc = CFB_OK;
    *plain = j->only != NULL;
    for (size_t i = 0; i < rows->n_rows && rc == CFB_OK; i++) {
        const cfb_str *cell = rows->cells + i * rows->n_columns;
        p->target[i] = j->only;
        if (cell[0].ptr == NULL) {
            char what[160];
            *plain = false;
            snprintf(what, sizeof what, "no '%.80s': it is missing, or null", j->s->c->response_column);
            rc = bad_row(j, p, rows, i, what, err);
            continue;
        }
        if (j->only == NULL) rc = find_target(j, &j->workers[worker], cell, &p->target[i], err);
        if (rc == CFB_OK && p->target[i]->error) {
            *plain = false;
            rc = bad_row(j, p, rows, i, p->target[i]->error, err);
            continue;
        }
        if (cell[1].ptr == NULL && p->n_missing++ == 0) p->missing_line = cfb_scan_line(rows, i);
    }
    return rc;
}

static cfb_code add_group(struct part *p, cfb_target *t, cfb_err *err) {
    if (p->n_groups == p->cap_groups) {
        size_t cap = p->cap_groups ? p->cap_groups * 2 : 8;
        struct group *g = realloc(p->groups, cap * sizeof *g);
        if (g == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        p->groups = g;
        p->cap_groups = cap;
    }
    p->groups[p->n_groups++] = (struct group){.t = t};
    return CFB_OK;
}

static size_t group_at(const struct part *p, const cfb_target *t, size_t hint) {
    if (hint < p->n_groups && p->groups[hint].t == t) return hint;
    for (size_t g = 0; g < p->n_groups; g++)
        if (p->groups[g].t == t) return g;
    return SIZE_MAX;
}

/* Sorts rows by result, those of each in their order: counts, then places. */
static cfb_code make_groups(struct part *p, size_t n, cfb_err *err) {
    size_t hint = 0, begin = 0;
    for (size_t i = 0; i < n; i++) {
        cfb_target *t = p->target[i];
        p->place[i] = NO_PLACE;
        if (t == NULL || t->sink == NULL) continue;
        size_t g = group_at(p, t, hint);
        if (g == SIZE_MAX) {
            cfb_code rc = add_group(p, t, err);
            if (rc != CFB_OK) return rc;
            g = p->n_groups - 1;
        }
        p->groups[g].n++;
        hint = g;
    }
    for (size_t g = 0; g < p->n_groups; g++) {
        p->groups[g].begin = begin;
        begin += p->groups[g].n;
        p->groups[g].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        cfb_target *t = p->target[i];
        if (t == NULL || t->sink == NULL) continue;
        hint = group_at(p, t, hint);
        p->place[i] = (uint32_t)(p->groups[hint].begin + p->groups[hint].n++);
        p->row_at[p->place[i]] = (uint32_t)i;
    }
    return CFB_OK;
}

static cfb_code one_group(struct file_job *j, struct part *p, size_t n, cfb_err *err) {
    cfb_code rc = add_group(p, j->only, err);
    if (rc != CFB_OK) return rc;
    p->groups[0].n = n;
    for (size_t i = 0; i < n; i++) p->place[i] = p->row_at[i] = (uint32_t)i;
    return CFB_OK;
}

/* The line of --rows-out for a row that was passed over. */
static cfb_code format_bad(struct file_job *j, struct part *p, const cfb_scan_bad *bad, cfb_err *err) {
    cfb_row_view v = cfb_scoring_view(j->s, j->only, NULL, bad->number, bad->line);
    v.error = bad->message;
    return cfb_rows_out_format(j->s->rows_out, &v, &p->lines, err);
}

/* Bad rows of both kinds, by number, up to a row. */
struct bad_rows {
    const cfb_scan_bad *a, *b;
    size_t n_a, n_b;
};
static const cfb_scan_bad *next_bad(struct bad_rows *r, uint64_t before) {
    bool from_a = r->n_a > 0 && (r->n_b == 0 || r->a->number < r->b->number);
    if (!from_a && r->n_b == 0) return NULL;
    const cfb_scan_bad *out = from_a ? r->a : r->b;
    if (out->number >= before) return NULL;
    if (from_a) {
        r->a++;
        r->n_a--;
    } else {
        r->b++;
        r->n_b--;
    }
    return out;
}

static cfb_code look_at_row(struct file_job *j, struct part *p, const cfb_scan_part *rows, size_t i, bool write, cfb_err *err) {
    const struct columns *c = &j->columns;
    const cfb_str *cell = rows->cells + i * rows->n_columns;
    uint32_t at = p->place[i];
    cfb_row_view v = cfb_scoring_view(j->s, p->target[i], &p->out[at], rows->numbers[i], cfb_scan_line(rows, i));
    v.response = cell[0];
    v.output = cell[1];
    v.input = c->list[2].raw ? CFB_STR_NULL : cell[2];
    v.id = c->list[c->id].raw ? CFB_STR_NULL : cell[c->id];
    p->selected[at] = j->s->where == NULL || cfb_where_holds(j->s->where, &v, cell + c->where);
    return write && p->selected[at] ? cfb_rows_out_format(j->s->rows_out, &v, &p->lines, err) : CFB_OK;
}

/* --where and --rows-out, in the order of the file. */
static cfb_code look_at_rows(struct file_job *j, struct part *p, const cfb_scan_part *rows, cfb_err *err) {
    bool write = j->s->rows_out && !j->s->pick_only;
    struct bad_rows bad = {rows->bad, p->bad, rows->n_bad, p->n_bad};
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i <= rows->n_rows && rc == CFB_OK; i++) {
        uint64_t number = i < rows->n_rows ? rows->numbers[i] : UINT64_MAX;
        for (const cfb_scan_bad *b; write && rc == CFB_OK && (b = next_bad(&bad, number)) != NULL;) rc = format_bad(j, p, b, err);
        if (rc == CFB_OK && i < rows->n_rows && p->place[i] != NO_PLACE) rc = look_at_row(j, p, rows, i, write, err);
    }
    return rc;
}

/* Rows of other shards are passed over. */
static void drop_others(struct file_job *j, struct part *p, const cfb_scan_part *rows) {
    for (size_t i = 0; i < rows->n_rows; i++) {
        cfb_target *t = p->target[i];
        cfb_str id = rows->cells[i * rows->n_columns + j->columns.id];
        if (t && !cfb_scoring_is_mine(j->s, t->name, id, rows->numbers[i])) p->target[i] = NULL;
    }
}

static cfb_code look_up_rows(struct file_job *j, struct part *p, const cfb_scan_part *rows, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < rows->n_rows && rc == CFB_OK; i++) {
        uint32_t at = p->place[i];
        if (at == NO_PLACE) continue;
        cfb_str id = rows->cells[i * rows->n_columns + j->columns.id];
        rc = cfb_scoring_look_up(j->s, p->target[i], id, rows->numbers[i], &p->in[at], &p->out[at], err);
        if (rc != CFB_OK) cfb_err_add_context(err, "%s:%llu", j->source->path, (unsigned long long)cfb_scan_line(rows, i));
    }
    return rc;
}

static cfb_code write_rows(struct file_job *j, const struct part *p, const cfb_scan_part *rows, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < rows->n_rows && rc == CFB_OK; i++) {
        uint32_t at = p->place[i];
        if (at == NO_PLACE) continue;
        uint64_t number = rows->numbers[i], texts = p->same_input[i];
        rc = j->s->ranks ? cfb_ranks_put(j->s->ranks, number, &p->out[at], texts, err)
                         : cfb_score_shard_put(j->s->shard_out, j->s->now, CFB_STR_LIT(""), number, &p->out[at], texts, err);
        j->s->n_put++;
    }
    return rc;
}

/* Rank 0: its own rows are scored; those of the others come from them. */
static cfb_code score_shared(struct file_job *j, struct part *p, const cfb_scan_part *rows, const struct group *of, int worker,
                             cfb_err *err) {
    cfb_ranks_t *ranks = j->s->ranks;
    cfb_code rc = CFB_OK;
    for (size_t at = of->begin, end = of->begin + of->n; at < end && rc == CFB_OK;) {
        int owner = cfb_ranks_owner(ranks, rows->numbers[p->row_at[at]]);
        size_t n = 0;
        for (; at + n < end && cfb_ranks_owner(ranks, rows->numbers[p->row_at[at + n]]) == owner; n++)
            p->number[at + n] = rows->numbers[p->row_at[at + n]];
        rc = owner == 0 ? cfb_sink_score(of->t->sink, worker, p->in + at, n, p->out + at, err)
                        : cfb_ranks_look_up(ranks, owner, p->number + at, p->in + at, n, p->out + at, err);
        if (rc != CFB_OK && err) err->offset += at - of->begin;
        at += n;
    }
    return rc;
}

static cfb_code score_groups(struct file_job *j, struct part *p, const cfb_scan_part *rows, int worker, cfb_err *err) {
    for (size_t i = 0; i < rows->n_rows; i++) {
        if (p->place[i] == NO_PLACE) continue;
        const cfb_str *cell = rows->cells + i * rows->n_columns;
        p->in[p->place[i]] = (cfb_score_row_in){cell[0], cell[1], cell[1].len == 0 ? CFB_ROW_EMPTY : CFB_ROW_OK};
    }
    if (j->s->shards_in) return look_up_rows(j, p, rows, err);
    for (size_t g = 0; g < p->n_groups; g++) {
        const struct group *of = &p->groups[g];
        bool shared = j->s->ranks && !j->s->shard_out && j->share == NULL;
        cfb_code rc = shared ? score_shared(j, p, rows, of, worker, err)
                             : cfb_sink_score(of->t->sink, worker, p->in + of->begin, of->n, p->out + of->begin, err);
        if (rc == CFB_OK) continue;
        if (err->offset < of->n && (rc == CFB_EENCODING || rc == CFB_ELIMIT)) {
            size_t row = p->row_at[of->begin + (size_t)err->offset];
            cfb_err_add_context(err, "%s:%llu", j->source->path, (unsigned long long)cfb_scan_line(rows, row));
        }
        return rc;
    }
    return CFB_OK;
}

/* Statistics ask which rows have the same input, of the first rows or of all. As it stands in the file: the same text is written
 * the same way throughout. */
static void hash_inputs(const struct file_job *j, struct part *p, const cfb_scan_part *rows) {
    for (size_t i = 0; i < rows->n_rows; i++) {
        cfb_str input = rows->cells[i * rows->n_columns + 2];
        bool wanted = input.len > 0 && (j->s->keep_rows || rows->numbers[i] < CFB_ROWS_FOR_INTERVAL);
        p->same_input[i] = wanted ? cfb_hash64_long(input.ptr, input.len) : 0;
    }
}

static void hash_texts(struct part *p, const cfb_scan_part *rows) {
    for (size_t i = 0; i < rows->n_rows; i++) {
        const cfb_score_row_in *in = p->place[i] == NO_PLACE ? NULL : &p->in[p->place[i]];
        if (in) p->same_input[i] = cfb_scoring_texts(in->response, in->output, in->state);
    }
}

/* Does another process put the rows' scores together? */
static bool sends_rows(const struct file_job *j) { return j->s->shard_out && j->share == NULL; }

static cfb_code work_part(void *ctx, const cfb_scan_part *rows, int worker, cfb_err *err) {
    struct file_job *j = ctx;
    struct part *p = &j->parts[rows->slot];
    bool plain = false;
    cfb_code rc = reserve_part(p, rows->n_rows, err);
    if (rc == CFB_OK) rc = find_targets(j, p, rows, worker, &plain, err);
    if (rc == CFB_OK && sends_rows(j)) {
        drop_others(j, p, rows);
        plain = false;
    }
    if (rc == CFB_OK) rc = plain ? one_group(j, p, rows->n_rows, err) : make_groups(p, rows->n_rows, err);
    if (rc == CFB_OK) rc = score_groups(j, p, rows, worker, err);
    if (rc == CFB_OK && sends_rows(j)) {
        hash_texts(p, rows);
        return CFB_OK;
    }
    if (rc == CFB_OK) hash_inputs(j, p, rows);
    if (rc == CFB_OK && (j->s->where || j->s->rows_out)) rc = look_at_rows(j, p, rows, err);
    return rc;
}

/* ---- commit: in the order of the file ---- */

static cfb_code text_of_row(void *ctx, size_t place, bool texts, cfb_sink_row *r, cfb_err *err) {
    struct file_job *j = ctx;
    size_t i = j->now_mine->row_at[j->group->begin + place];
    const cfb_str *cell = j->now->cells + i * j->now->n_columns;
    r->row = j->now->numbers[i];
    r->source = j->s->now;
    r->response = cell[0];
    r->output = cell[1];
    r->same_input = j->now_mine->same_input[i];
    if (!j->columns.list[j->columns.id].raw) r->id = cell[j->columns.id];
    if (!texts) return CFB_OK;
    r->line = cfb_scan_line(j->now, i);
    cfb_arena_reset(j->texts);
    cfb_code rc = cfb_scan_text(j->now, i, 2, j->texts, &r->input, err);
    if (rc == CFB_OK) rc = cfb_scan_text(j->now, i, j->columns.id, j->texts, &r->id, err);
    if (rc == CFB_OK || !j->skip) return rc;
    r->input = r->id = CFB_STR_NULL; /* the row was scored; only what is beside it cannot be shown */
    return CFB_OK;
}

static void count_part(struct file_job *j, const struct part *p, const cfb_scan_part *rows) {
    if (j->n_missing == 0) j->missing_line = p->missing_line;
    j->n_missing += p->n_missing;
    j->n_rows += rows->n_rows + rows->n_bad;
    j->n_bytes += rows->n_bytes;
}

/* Bad rows are not for files that ranks share. */
static cfb_code commit_shared(struct file_job *j, struct part *p, const cfb_scan_part *rows, cfb_err *err) {
    if (rows->n_bad + p->n_bad > 0) return cfb_err_set(err, CFB_ECONFLICT, "a bad row");
    j->group = p->groups;
    count_part(j, p, rows);
    return cfb_share_commit(j->share, rows->index, rows->n_rows ? rows->numbers[0] : 0, p->out, j->s->where ? p->selected : NULL,
                            rows->n_rows, text_of_row, j, err);
}

static cfb_code commit_part(void *ctx, const cfb_scan_part *rows, cfb_err *err) {
    struct file_job *j = ctx;
    struct part *p = &j->parts[rows->slot];
    cfb_code rc = CFB_OK;
    j->now = rows;
    j->now_mine = p;
    if (j->share) return commit_shared(j, p, rows, err);
    if (j->s->shard_out) rc = write_rows(j, p, rows, err);
    for (size_t g = 0; g < p->n_groups && rc == CFB_OK && !j->s->shard_out; g++) {
        j->group = &p->groups[g];
        rc = cfb_sink_take(j->group->t->sink, p->out + j->group->begin, j->s->where ? p->selected + j->group->begin : NULL,
                           j->group->n, text_of_row, j, err);
    }
    struct bad_rows bad = {rows->bad, p->bad, rows->n_bad, p->n_bad};
    for (const cfb_scan_bad *b; rc == CFB_OK && (b = next_bad(&bad, UINT64_MAX)) != NULL;)
        rc = cfb_scoring_skip(j->s, b->number, b->line, b->message, err);
    if (j->s->ranks && rows->n_rows) cfb_ranks_forget(j->s->ranks, rows->numbers[rows->n_rows - 1]);
    if (rc == CFB_OK && p->lines.len) rc = cfb_rows_out_write(j->s->rows_out, cfb_buf_str(&p->lines), err);
    count_part(j, p, rows);
    return rc;
}

/* ---- a file ---- */

static void say_what_is_odd(const struct file_job *j) {
    const char *path = j->source->path;
    if (j->n_rows == 0) cfb_log(CFB_LOG_WARN, "%s holds no rows", path);
    if (j->n_missing)
        cfb_log(CFB_LOG_WARN, "%s: %llu row%s no '%s' (missing, or null) and count%s as empty; the first one is at line %llu",
                path, (unsigned long long)j->n_missing, j->n_missing == 1 ? " has" : "s have", j->s->c->output_column,
                j->n_missing == 1 ? "s" : "", (unsigned long long)j->missing_line);
}

/* A mapped file that gets shorter takes its pages away from under the scan: there is no way on. */
static void file_got_shorter(int sig) {
    static const char text[] = "cfbench: a file got shorter while it was read\n";
    (void)sig;
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(2); /* as ETRUNCATED */
}

static cfb_code run_scan(struct file_job *j, cfb_scan_t *scan, cfb_err *err) {
    size_t n = cfb_scan_n_slots(scan), n_threads = (size_t)cfb_scan_n_threads(scan);
    signal(SIGBUS, file_got_shorter);
    j->parts = calloc(n, sizeof *j->parts);
    j->workers = calloc(n_threads, sizeof *j->workers);
    cfb_code rc = j->parts && j->workers ? cfb_arena_new(0, &j->texts, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; j->parts != NULL && i < n; i++) j->parts[i].lines = CFB_BUF_INIT(0);
    if (rc == CFB_OK) rc = cfb_scan_run(scan, &(cfb_scan_job){j, work_part, commit_part}, err);
    for (size_t i = 0; j->parts != NULL && i < n; i++) free_part(&j->parts[i]);
    free(j->parts);
    free(j->workers);
    cfb_arena_free(j->texts);
    j->texts = NULL;
    return rc;
}

/* The same by all ranks together. *done: else the file is to be read as if nothing had been. */
static cfb_code read_shared(struct file_job *j, cfb_scan_opts o, bool *done, cfb_err *err) {
    struct file_job before = *j;
    cfb_scan_t *scan = NULL;
    bool again = true;
    *done = false;
    cfb_scan_meter *m = &j->s->meter;
    const unsigned long long n[4] = {m->bytes_done, m->text_bytes, m->rows_done, m->bad_rows};
    cfb_code rc = cfb_share_new(j->s, j->only, &o, &j->share, err);
    if (rc == CFB_OK) rc = cfb_scan_open(j->source->path, &o, &scan, err);
    if (rc == CFB_OK && cfb_scan_is_shared(scan)) {
        cfb_share_begin(j->share);
        cfb_err why = CFB_ERR_INIT;
        rc = run_scan(j, scan, &why);
        if (rc != CFB_OK) cfb_log(CFB_LOG_DEBUG, "%s: not shared by the ranks: %s", j->source->path, why.msg);
        rc = cfb_share_end(j->share, rc == CFB_OK, j->n_bytes, &j->n_missing, &j->missing_line, &j->n_rows, &again, err);
        if (rc == CFB_OK && again) rc = cfb_scoring_renew(j->s, j->only, err);
    }
    cfb_scan_close(scan);
    cfb_share_free(j->share);
    j->share = NULL;
    *done = rc == CFB_OK && !again;
    if (*done) cfb_log(CFB_LOG_DEBUG, "%s: parts scored by several ranks", j->source->path);
    if (*done) return rc;
    *j = before;
    m->bytes_done = n[0];
    m->text_bytes = n[1];
    m->rows_done = n[2];
    m->bad_rows = n[3];
    return rc;
}

/* The one result of a file whose rows need not say theirs. */
static cfb_code open_only(struct file_job *j, cfb_err *err) {
    static const cfb_str none[1] = {{NULL, 0}};
    struct worker w = {{NULL}};
    cfb_code rc = find_target(j, &w, none, &j->only, err);
    if (rc == CFB_OK && j->only->error) rc = cfb_err_set(err, j->only->code, "%s", j->only->error);
    return rc;
}

cfb_code cfb_scoring_read_file(cfb_scoring_t *s, const cfb_source *source, cfb_err *err) {
    struct file_job j = {.s = s, .source = source, .skip = strcmp(s->c->on_bad_row, "skip") == 0};
    const char *base = cfb_path_base(source->path);
    bool is_stdin = strcmp(source->path, "-") == 0;
    j.task = s->c->task ? cfb_str_from(s->c->task) : (cfb_str){base, strcspn(base, "-.")};
    choose_columns(s, &j.columns);
    bool by_columns = s->c->task_column || s->c->model_column || s->c->setting_column;
    if (is_stdin && s->c->task == NULL && s->c->task_column == NULL)
        return cfb_err_set(err, CFB_EUSAGE, "standard input needs --task or --task-column: it has no name that says the task");
    cfb_scan_opts o = CFB_SCAN_OPTS_INIT;
    o.columns = j.columns.list;
    o.n_columns = j.columns.n;
    o.n_threads = (int)s->c->threads;
    o.memory_bytes = s->c->memory ? (size_t)s->c->memory << 20 : (size_t)(cfb_memory_allowed() / 4);
    o.part_bytes = (size_t)s->c->block_size << 10;
    if (o.part_bytes > o.memory_bytes / 16 / (size_t)(o.n_threads > 0 ? o.n_threads : cfb_cpu_count()))
        o.part_bytes = 0; /* as fits */
    o.skip_bad_rows = j.skip;
    o.meter = &s->meter;
    o.stop = &cfb_cli_stop;
    cfb_scan_t *scan = NULL;
    if (s->shards_in) cfb_score_shards_select(s->shards_in, s->now, CFB_STR_LIT(""));
    cfb_code rc = by_columns ? CFB_OK : open_only(&j, err);
    if (rc != CFB_OK || (j.only && j.only->sink == NULL)) return rc;
    bool done = false;
    if (cfb_share_is_possible(s, source, j.only)) rc = read_shared(&j, o, &done, err);
    if (rc == CFB_OK && !done) rc = cfb_scan_open(source->path, &o, &scan, err);
    if (rc == CFB_OK && !done) rc = run_scan(&j, scan, err);
    cfb_scan_close(scan);
    if (rc != CFB_OK) return rc;
    cfb_scoring_set_title(s, cfb_suite_title(s->suite));
    say_what_is_odd(&j);
    return CFB_OK;
}
