/* cfbench batch import: files of results -> the run store. */
#include "cfbench/json.h"
#include "cli/batch.h"

#include <stdio.h>
#include <stdlib.h>

#define SAID_EACH 10 /* lines and ids that are named; the rest is counted */

/* A row that may get a result. */
struct wanted {
    char id[CFB_BATCH_ID_SIZE];
    const cfb_task *def; /* NULL: it was asked in a batch, but has a reply, or is none of the tasks that were picked */
    int64_t task_id;
    size_t row;
    bool answered, failed; /* by this import */
};

struct importing {
    cfb_cli_batch_run run;
    const char *file;
    struct wanted *list;
    size_t n, cap, n_open; /* n_open: rows without a reply at the beginning */
    uint32_t *slots;       /* (n_slots) 1 + index in list; 0 = free */
    size_t n_slots;
    /* counts */
    int64_t n_lines, n_bad, n_answered, n_failed, n_cancelled, n_known, n_unknown, n_twice;
    int64_t by_class[CFB_FAIL_COUNT];
};

/* ---- the table of ids ---- */

static uint32_t *slot_of(struct importing *im, const char *id) {
    size_t at = (size_t)cfb_hash64(id, strlen(id), 0) & (im->n_slots - 1);
    while (im->slots[at] != 0 && strcmp(im->list[im->slots[at] - 1].id, id) != 0) at = (at + 1) & (im->n_slots - 1);
    return &im->slots[at];
}

static cfb_code more_slots(struct importing *im, cfb_err *err) {
    size_t n = im->n_slots ? 2 * im->n_slots : 1024;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (slots == NULL || im->n >= UINT32_MAX / 2) {
        free(slots);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    free(im->slots);
    im->slots = slots;
    im->n_slots = n;
    for (size_t i = 0; i < im->n; i++) *slot_of(im, im->list[i].id) = (uint32_t)i + 1;
    return CFB_OK;
}

/* Adds an id, unless it is there. */
static cfb_code add(struct importing *im, const struct wanted *w, cfb_err *err) {
    if (2 * (im->n + 1) > im->n_slots) {
        cfb_code rc = more_slots(im, err);
        if (rc != CFB_OK) return rc;
    }
    if (im->n == im->cap) {
        size_t cap = im->cap ? 2 * im->cap : 512;
        struct wanted *more = realloc(im->list, cap * sizeof *more);
        if (more == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        im->list = more;
        im->cap = cap;
    }
    uint32_t *slot = slot_of(im, w->id);
    if (*slot != 0) return CFB_OK;
    im->list[im->n++] = *w;
    *slot = (uint32_t)im->n;
    return CFB_OK;
}

static cfb_code add_pending(void *ctx, const cfb_pending_row *r, cfb_err *err) {
    struct importing *im = ctx;
    struct wanted w = {.def = r->def, .task_id = r->task_id, .row = r->row};
    cfb_batch_custom_id(cfb_str_from(r->def->name), r->id, r->row, r->key, w.id);
    im->n_open++;
    return add(im, &w, err);
}

static cfb_code add_asked(void *ctx, cfb_str id, cfb_err *err) {
    struct wanted w = {0};
    if (id.len >= sizeof w.id) return CFB_OK;
    memcpy(w.id, id.ptr, id.len);
    return add(ctx, &w, err);
}

/* What was asked in batches but is not open: its results are no strangers. Request files may be gone; that is no error. */
static cfb_code add_all_asked(struct importing *im, const cfb_cli_batch *b, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < b->m.n_shards && rc == CFB_OK; i++) {
        rc = cfb_cli_batch_path(b, &b->m.shards[i], "", path, err);
        if (rc == CFB_OK && cfb_path_exists(path)) rc = cfb_batch_read_ids(path, add_asked, im, err);
    }
    return rc;
}

/* ---- results ---- */

static cfb_code take_result(struct importing *im, struct wanted *w, const cfb_batch_result *r, cfb_err *err) {
    cfb_store_attempt a;
    bool good = r->reply.fail == CFB_FAIL_NONE;
    if (w->answered || (w->failed && !good)) {
        im->n_twice++;
        return CFB_OK;
    }
    if (r->reply.fail == CFB_FAIL_STOPPED) { /* called off before it was asked: no attempt */
        im->n_cancelled++;
        w->failed = true;
        return CFB_OK;
    }
    if (good) {
        im->n_answered++;
        w->answered = true;
    } else {
        im->n_failed++;
        im->by_class[r->reply.fail]++;
        w->failed = true;
    }
    cfb_generate_attempt(&im->run.opts, w->def, w->task_id, w->row, &r->reply, &a);
    if (a.started_wall_ms == 0) a.started_wall_ms = cfb_wall_ms();
    return cfb_store_queue_attempt(im->run.store, &a, NULL, err);
}

static cfb_code on_result(void *ctx, const cfb_batch_result *r, uint64_t line, cfb_err *err) {
    struct importing *im = ctx;
    im->n_lines++;
    uint32_t slot = im->n_slots ? *slot_of(im, r->custom_id) : 0;
    if (slot == 0) {
        if (im->n_unknown++ < SAID_EACH)
            cfb_log(CFB_LOG_WARN, "%s:%llu: custom_id '%.64s' is no row of this run (or its prompt changed since)", im->file,
                    (unsigned long long)line, r->custom_id);
        return CFB_OK;
    }
    struct wanted *w = &im->list[slot - 1];
    if (w->def) return take_result(im, w, r, err);
    im->n_known++;
    return CFB_OK;
}

static void on_bad_line(void *ctx, const char *message) {
    struct importing *im = ctx;
    if (im->n_bad++ < SAID_EACH) cfb_log(CFB_LOG_WARN, "%s", message);
}

static cfb_code read_file(struct importing *im, const char *path, cfb_err *err) {
    const cfb_batch_reader reader = {im, on_result, on_bad_line};
    im->file = path;
    return cfb_batch_read_results(path, &reader, err);
}

/* The files that fetch brought, of batches that were not imported yet. */
static cfb_code read_fetched(struct importing *im, const cfb_cli_batch *b, size_t *n_files, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < b->m.n_shards; i++) {
        const cfb_batch_shard *s = &b->m.shards[i];
        for (int errors = 0; errors < 2 && rc == CFB_OK && !s->imported; errors++) {
            if (!(errors ? s->errors_fetched : s->output_fetched)) continue;
            rc = cfb_cli_batch_path(b, s, errors ? ".errors" : ".output", path, err);
            if (rc == CFB_OK) rc = read_file(im, path, err);
            ++*n_files;
        }
    }
    return rc;
}

static bool is_all_fetched(const cfb_batch_shard *s) {
    return (s->output_fetched || s->errors_fetched) && (s->output_fetched || s->output_file_id[0] == '\0') &&
           (s->errors_fetched || s->error_file_id[0] == '\0');
}

static bool is_all_imported(const cfb_batch_manifest *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_shards; i++) n += m->shards[i].imported;
    return n > 0 && n == m->n_shards;
}

static cfb_code read_all(struct importing *im, cfb_cli_batch *b, cfb_err *err) {
    size_t n_files = 0;
    cfb_code rc = CFB_OK;
    if (b->c->n_args == 1) {
        rc = read_fetched(im, b, &n_files, err);
        if (rc == CFB_OK && n_files == 0 && !is_all_imported(&b->m))
            rc = cfb_err_set(err, CFB_ENOTFOUND,
                             "there is nothing to import yet: 'batch fetch' brings results, or name result files");
    }
    for (size_t i = 1; i < b->c->n_args && rc == CFB_OK; i++) rc = read_file(im, b->c->args[i], err);
    cfb_err flush_err = CFB_ERR_INIT;
    cfb_code flushed = cfb_store_flush(im->run.store, &flush_err); /* also what came before an error */
    if (rc == CFB_OK && flushed != CFB_OK) {
        rc = flushed;
        if (err) *err = flush_err;
    }
    if (rc != CFB_OK || b->c->n_args > 1) return rc;
    for (size_t i = 0; i < b->m.n_shards; i++) b->m.shards[i].imported |= is_all_fetched(&b->m.shards[i]);
    return cfb_cli_batch_save(b, err);
}

/* ---- what came of it ---- */

static cfb_code print_summary(const struct importing *im, const cfb_config *c, cfb_err *err) {
    const struct {
        const char *name, *words;
        int64_t n;
    } counts[] = {{"results", "results", im->n_lines},
                  {"answered", "rows answered", im->n_answered},
                  {"failed", "failed", im->n_failed},
                  {"cancelled", "cancelled before they were asked", im->n_cancelled},
                  {"twice", "given twice", im->n_twice},
                  {"answered_before", "answered before", im->n_known},
                  {"unknown", "of no row of this run", im->n_unknown},
                  {"bad_lines", "lines that are no result", im->n_bad},
                  {"open", "rows still without a reply", (int64_t)im->n_open - im->n_answered}};
    cfb_buf out = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_code rc = CFB_OK;
    cfb_jw_init(&w, &out, 2);
    if (c->json) cfb_jw_obj(&w);
    if (c->json) cfb_jw_key(&w, "schema");
    if (c->json) cfb_jw_strz(&w, "cfbench.batch-import/1");
    for (size_t i = 0; i < sizeof counts / sizeof *counts && rc == CFB_OK; i++) {
        if (c->json) {
            cfb_jw_key(&w, counts[i].name);
            cfb_jw_int(&w, counts[i].n);
        } else if (counts[i].n || i < 2) {
            rc = cfb_buf_printf(&out, err, "%s%lld %s", i ? ", " : "", (long long)counts[i].n, counts[i].words);
        }
    }
    if (c->json) {
        cfb_jw_key(&w, "failed_by_class");
        cfb_jw_obj(&w);
        for (int f = 1; f < CFB_FAIL_COUNT; f++) {
            if (im->by_class[f] == 0) continue;
            cfb_jw_key(&w, cfb_fail_name((cfb_fail)f));
            cfb_jw_int(&w, im->by_class[f]);
        }
        cfb_jw_end_obj(&w);
        cfb_jw_end_obj(&w);
        rc = cfb_jw_finish(&w, err);
    }
    if (rc == CFB_OK) rc = cfb_buf_append_char(&out, '\n', err);
    if (rc == CFB_OK && (c->json || !c->quiet)) rc = cfb_cli_print(cfb_buf_str(&out), err);
    cfb_buf_free(&out);
    return rc;
}

cfb_code cfb_cli_batch_import(cfb_cli_batch *b, cfb_err *err) {
    struct importing im = {0};
    cfb_code rc = cfb_cli_batch_run_open(b->c, &im.run, err);
    if (rc != CFB_OK) return rc;
    rc = cfb_generate_pending(&im.run.opts, add_pending, &im, err);
    if (rc == CFB_OK) rc = add_all_asked(&im, b, err);
    if (rc == CFB_OK) rc = read_all(&im, b, err);
    rc = cfb_cli_batch_run_close(&im.run, rc, err);
    if (rc == CFB_OK) rc = print_summary(&im, b->c, err);
    free(im.list);
    free(im.slots);
    if (rc == CFB_OK && im.n_bad + im.n_failed + im.n_cancelled + im.n_unknown > 0)
        rc = cfb_err_set(
            err, CFB_EPARTIAL,
            "%lld results gave no reply (%lld failed, %lld cancelled, %lld unknown, %lld broken lines); 'batch export' or "
            "'generate' asks again for rows without one",
            (long long)(im.n_bad + im.n_failed + im.n_cancelled + im.n_unknown), (long long)im.n_failed,
            (long long)im.n_cancelled, (long long)im.n_unknown, (long long)im.n_bad);
    return rc;
}
