/* Which rows of a task all runs have. */
#include "cli/compare.h"

#include <stdlib.h>

/* A row of one run under its key: the id, or the number. */
typedef struct keyed {
    cfb_str id; /* null: the number is the key */
    uint64_t row;
    size_t at;
} keyed;

static int compare_keys(const keyed *x, const keyed *y) {
    if (x->id.ptr == NULL) return (x->row > y->row) - (x->row < y->row);
    size_t n = x->id.len < y->id.len ? x->id.len : y->id.len;
    int c = memcmp(x->id.ptr, y->id.ptr, n);
    return c ? c : (x->id.len > y->id.len) - (x->id.len < y->id.len);
}
static int by_key(const void *a, const void *b) { return compare_keys(a, b); }

static bool all_have_ids(const cfb_row_scores *t) {
    for (size_t i = 0; i < t->n; i++)
        if (t->key[i].id_len == 0) return false;
    return t->n > 0;
}

/* Sorted keys of a run's rows. False in *unique where two rows have the same key. */
static cfb_code make_keys(const cfb_row_scores *t, bool ids, keyed **out, bool *unique, cfb_err *err) {
    keyed *k = malloc((t->n ? t->n : 1) * sizeof *k);
    if (k == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < t->n; i++) k[i] = (keyed){ids ? cfb_row_scores_id(t, i) : CFB_STR_NULL, t->key[i].row, i};
    qsort(k, t->n, sizeof *k, by_key);
    *unique = true;
    for (size_t i = 1; i < t->n; i++) *unique = *unique && compare_keys(&k[i - 1], &k[i]) != 0;
    *out = k;
    return CFB_OK;
}

typedef struct matching {
    const cli_run *runs;
    const size_t *task;
    size_t n_runs;
    const cfb_row_scores *kept[CFB_COMPARE_MAX_RUNS];
    keyed *keys[CFB_COMPARE_MAX_RUNS];
} matching;

static void free_keys(matching *m) {
    for (size_t r = 0; r < m->n_runs; r++) {
        free(m->keys[r]);
        m->keys[r] = NULL;
    }
}

static cfb_code make_all_keys(matching *m, bool ids, bool *unique, cfb_err *err) {
    *unique = true;
    for (size_t r = 0; r < m->n_runs && *unique; r++) {
        cfb_code rc = make_keys(m->kept[r], ids, &m->keys[r], unique, err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

static cfb_code references_differ(const matching *m, const cfb_row_key *row, cfb_str id, size_t r, cfb_err *err) {
    const cfb_report_task *t = &m->runs[0].report->tasks[m->task[0]];
    const cfb_report_task *u = &m->runs[r].report->tasks[m->task[r]];
    return cfb_err_set(
        err, CFB_EDATA,
        "task '%s', row %llu%s%.*s%s: its reference in %s is not that in %s: these are not the same rows; compare runs "
        "of the same data",
        t->task, (unsigned long long)row->row, id.len ? " (id " : "", id.len < 80 ? (int)id.len : 80, id.ptr ? id.ptr : "",
        id.len ? ")" : "", t->source ? t->source : "A", u->source ? u->source : "B");
}

/* Looks a row of the first run up in all others. found[r]: its index there. */
static cfb_code find_everywhere(const matching *m, const keyed *key, size_t *found, bool *everywhere, cfb_err *err) {
    const cfb_row_key *row = &m->kept[0]->key[key->at];
    found[0] = key->at;
    *everywhere = true;
    for (size_t r = 1; r < m->n_runs; r++) {
        const keyed *k = bsearch(key, m->keys[r], m->kept[r]->n, sizeof *k, by_key);
        if (k == NULL) {
            *everywhere = false;
            continue;
        }
        found[r] = k->at;
        if (m->kept[r]->key[k->at].reference != row->reference)
            return references_differ(m, row, cfb_row_scores_id(m->kept[0], key->at), r, err);
    }
    return CFB_OK;
}

static bool failed_somewhere(const matching *m, const size_t *found) {
    for (size_t r = 0; r < m->n_runs; r++)
        if (m->kept[r]->key[found[r]].state == CFB_ROW_FAILED) return true;
    return false;
}

static int by_hash(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static cfb_code note_clusters(cli_rows *out, cfb_err *err) {
    uint64_t *copy = malloc((out->n ? out->n : 1) * sizeof *copy);
    if (copy == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    memcpy(copy, out->cluster, out->n * sizeof *copy);
    qsort(copy, out->n, sizeof *copy, by_hash);
    out->apart = true;
    for (size_t i = 1; i < out->n; i++) out->apart = out->apart && copy[i] != copy[i - 1];
    free(copy);
    return CFB_OK;
}

static cfb_code take_rows(const matching *m, cli_rows *out, cfb_err *err) {
    const cfb_row_scores *first = m->kept[0];
    size_t found[CFB_COMPARE_MAX_RUNS], most = first->n, n_everywhere = 0, bytes;
    bool fits = cfb_size_mul(first->n + 1, m->n_runs * sizeof(double), &bytes);
    double *by_row = fits ? malloc(bytes) : NULL; /* score[i * n_runs + r], turned around at the end */
    out->score = by_row ? malloc(bytes) : NULL;
    out->cluster = malloc((first->n + 1) * sizeof *out->cluster);
    out->at = malloc((first->n + 1) * sizeof *out->at);
    cfb_code rc = out->score && out->cluster && out->at ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < first->n && rc == CFB_OK;
         i++) { /* in the order of the rows, which makes results the same by any key */
        bool everywhere;
        keyed key = {m->keys[0][0].id.ptr ? cfb_row_scores_id(first, i) : CFB_STR_NULL, first->key[i].row, i};
        rc = find_everywhere(m, &key, found, &everywhere, err);
        if (rc != CFB_OK || !everywhere) continue;
        n_everywhere++;
        if (failed_somewhere(m, found)) {
            out->n_failed++;
            continue;
        }
        for (size_t r = 0; r < m->n_runs; r++) by_row[out->n * m->n_runs + r] = m->kept[r]->score[found[r]];
        out->cluster[out->n] = first->cluster[i];
        out->at[out->n++] = i;
    }
    for (size_t r = 0; r < m->n_runs; r++) {
        if (m->kept[r]->n > most) most = m->kept[r]->n;
        for (size_t i = 0; i < out->n && rc == CFB_OK; i++) out->score[r * out->n + i] = by_row[i * m->n_runs + r];
    }
    out->n_apart = most - n_everywhere;
    free(by_row);
    return rc == CFB_OK ? note_clusters(out, err) : rc;
}

cfb_code cli_rows_match(const cli_run *runs, size_t n_runs, const size_t *t, cli_rows *out, cfb_err *err) {
    matching m = {.runs = runs, .task = t, .n_runs = n_runs};
    bool ids = true, unique = false;
    for (size_t r = 0; r < n_runs; r++) {
        m.kept[r] = cfb_scoring_rows(runs[r].scoring, t[r]);
        ids = ids && all_have_ids(m.kept[r]);
    }
    const cfb_report_task *task = &runs[0].report->tasks[t[0]];
    *out = (cli_rows){.first = m.kept[0], .kind = task->kind};
    cfb_code rc = ids ? make_all_keys(&m, true, &unique, err) : CFB_OK;
    if (rc == CFB_OK && !unique) { /* no ids, or not unique: by number */
        free_keys(&m);
        rc = make_all_keys(&m, false, &unique, err);
    }
    if (rc == CFB_OK && !unique) rc = cfb_err_set(err, CFB_EDATA, "task '%s': a row number is there twice", task->task);
    if (rc == CFB_OK) rc = take_rows(&m, out, err);
    free_keys(&m);
    if (rc == CFB_OK && out->n == 0)
        rc = cfb_err_set(err, CFB_EDATA, "task '%s': the runs have no %srow in common", task->task,
                         out->n_failed ? "answered " : "");
    return rc;
}

void cli_rows_free(cli_rows *r) {
    free(r->score);
    free(r->cluster);
    free(r->at);
    *r = (cli_rows){0};
}
