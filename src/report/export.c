/* export.c - response and score files in CFBenchmark's own layout, byte for byte as pandas writes them. */
#include "cfbench/base.h"
#include "cfbench/dataset.h"
#include "report/export.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_LINE ((size_t)1 << 30)

struct cfb_export {
    cfb_file_writer_t *output, *scores;
    export_details *details;
    uint64_t n_rows;
    cfb_buf line;
    cfb_code rc; /* of the first failed row: such an export can only be aborted */
};

/* ---- paths ---- */

#define MAX_PART 255 /* bytes of one file name on the usual file systems */

/* A relative path without parts that are empty, ".", ".." or too long. */
static bool is_safe_path(const char *path, bool with_folders) {
    if (path == NULL || *path == '\0') return false;
    for (const char *p = path; p != NULL;) {
        const char *end = strchr(p, '/');
        size_t n = end ? (size_t)(end - p) : strlen(p);
        if (n == 0 || n > MAX_PART || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) return false;
        if (end != NULL && !with_folders) return false;
        p = end ? end + 1 : NULL;
    }
    return true;
}

static const char *without_root(const char *model) {
    while (model != NULL && *model == '/') model++;
    return model;
}

cfb_code cfb_export_check_model(const char *model, cfb_err *err) {
    if (is_safe_path(without_root(model), true)) return CFB_OK;
    return cfb_err_set(
        err, CFB_EUSAGE,
        "cannot make a folder for the model '%.100s': empty, '.' and '..' parts and parts of more than 255 bytes are refused",
        model ? model : "");
}

static cfb_code check_names(const char *setting, const char *model, const cfb_task *task, cfb_err *err) {
    if (setting == NULL || (strcmp(setting, "zero-shot") != 0 && strcmp(setting, "few-shot") != 0))
        return cfb_err_set(err, CFB_EUSAGE, "cannot export the setting '%s': it is neither zero-shot nor few-shot",
                           setting ? setting : "");
    cfb_code rc = cfb_export_check_model(model, err);
    if (rc != CFB_OK) return rc;
    if (!is_safe_path(task->name, false))
        return cfb_err_set(err, CFB_EUSAGE, "cannot make a file for the task '%s'", task->name ? task->name : "");
    return CFB_OK;
}

typedef struct place {
    const char *dir, *setting, *model;
    const cfb_task *task;
    bool keep; /* a file that is there stays */
} place;

static cfb_code make_path(const place *p, const char *kind, const char *suffix, char path[PATH_MAX], cfb_err *err) {
    const char *dir = p->dir && *p->dir ? p->dir : ".";
    int n = snprintf(path, PATH_MAX, "%s/cfbenchmark-%s/%s/%s", dir, kind, p->setting, p->model);
    if (n < 0 || n >= PATH_MAX) return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", dir);
    cfb_code rc = cfb_mkdir_p(path, err);
    if (rc != CFB_OK) return rc;
    int m = snprintf(path + n, (size_t)(PATH_MAX - n), "/%s%s", p->task->name, suffix);
    if (m < 0 || m >= PATH_MAX - n) return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", dir);
    if (p->keep && cfb_path_exists(path)) return cfb_err_set(err, CFB_EUSAGE, "%s is there already; --force replaces it", path);
    return CFB_OK;
}

/* ---- files ---- */

static cfb_code open_csv(const place *p, const char *kind, const char *suffix, const char *head, cfb_file_writer_t **out,
                         cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = make_path(p, kind, suffix, path, err);
    if (rc == CFB_OK) rc = cfb_file_writer_open(path, out, err);
    return rc == CFB_OK ? cfb_file_writer_write(*out, head, strlen(head), err) : rc;
}

static cfb_code open_details(const place *p, export_details **out, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = make_path(p, "scores", "-scores_detailed_results.json", path, err);
    return rc == CFB_OK ? export_details_open(path, p->task, out, err) : rc;
}

/* Upstream's names where it has the metric. */
static const char *score_column(cfb_metric m) {
    return m == CFB_METRIC_TF ? "cosine_s" : cfb_metric_is_over_labels(m) ? "f1score" : cfb_metric_name(m);
}

cfb_code cfb_export_open(const char *dir, const char *setting, const char *model, const cfb_task *task, unsigned what,
                         cfb_export_t **out, cfb_err *err) {
    *out = NULL;
    cfb_code rc = check_names(setting, model, task, err);
    if (rc != CFB_OK) return rc;
    cfb_export_t *e = calloc(1, sizeof *e);
    if (e == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    e->line = CFB_BUF_INIT(MAX_LINE);
    place p = {dir, setting, without_root(model), task, (what & CFB_EXPORT_KEEP) != 0};
    if (what & CFB_EXPORT_OUTPUT) rc = open_csv(&p, "response", "-output.csv", "input,response,output\n", &e->output, err);
    char head[64];
    snprintf(head, sizeof head, ",input,response,output,%s\n", score_column(task->metric));
    if (rc == CFB_OK && (what & CFB_EXPORT_SCORES)) rc = open_csv(&p, "scores", "-scores.csv", head, &e->scores, err);
    if (rc == CFB_OK && (what & CFB_EXPORT_DETAILS)) rc = open_details(&p, &e->details, err);
    if (rc == CFB_OK)
        *out = e;
    else
        cfb_export_abort(e);
    return rc;
}

/* ---- rows ---- */

static cfb_code append_fields(cfb_buf *line, cfb_str input, cfb_str response, cfb_str output, cfb_err *err) {
    cfb_code rc = cfb_csv_append_field(line, input, false, err);
    if (rc == CFB_OK) rc = cfb_buf_append_char(line, ',', err);
    if (rc == CFB_OK) rc = cfb_csv_append_field(line, response, false, err);
    if (rc == CFB_OK) rc = cfb_buf_append_char(line, ',', err);
    if (rc == CFB_OK) rc = cfb_csv_append_field(line, output, false, err);
    return rc;
}

static cfb_code append_score(cfb_buf *line, double score, cfb_err *err) {
    char text[32];
    cfb_code rc = cfb_buf_append_char(line, ',', err);
    if (rc != CFB_OK || score != score) return rc; /* pandas writes NaN as an empty field */
    return cfb_buf_append(line, text, cfb_format_double(score, text), err);
}

static cfb_code write_row(cfb_export_t *e, cfb_str input, cfb_str response, cfb_str output, const cfb_score_row *score,
                          cfb_err *err) {
    cfb_code rc = CFB_OK;
    if ((e->scores || e->details) && score == NULL) return cfb_err_set(err, CFB_EBUG, "export of scores without a score");
    if (score != NULL && score->state == CFB_ROW_FAILED) output = CFB_STR_NULL; /* whatever text it carries is no answer */
    if (e->scores != NULL) {
        cfb_buf_clear(&e->line);
        rc = cfb_buf_printf(&e->line, err, "%" PRIu64 ",", e->n_rows);
        if (rc == CFB_OK) rc = append_fields(&e->line, input, response, output, err);
        if (rc == CFB_OK) rc = append_score(&e->line, score->score, err);
        if (rc == CFB_OK) rc = cfb_buf_append_char(&e->line, '\n', err);
        if (rc == CFB_OK) rc = cfb_file_writer_write(e->scores, e->line.ptr, e->line.len, err);
    }
    if (rc == CFB_OK && e->output != NULL) {
        cfb_buf_clear(&e->line);
        rc = append_fields(&e->line, input, response, output, err);
        if (rc == CFB_OK) rc = cfb_buf_append_char(&e->line, '\n', err);
        if (rc == CFB_OK) rc = cfb_file_writer_write(e->output, e->line.ptr, e->line.len, err);
    }
    if (rc == CFB_OK && e->details != NULL) rc = export_details_row(e->details, response, output, score, err);
    return rc;
}

cfb_code cfb_export_row(cfb_export_t *e, cfb_str input, cfb_str response, cfb_str output, const cfb_score_row *score,
                        cfb_err *err) {
    if (e->rc != CFB_OK) return cfb_err_set(err, e->rc, "an earlier row of this export failed");
    e->rc = write_row(e, input, response, output, score, err);
    if (e->rc != CFB_OK) return e->rc;
    e->n_rows++;
    return CFB_OK;
}

/* ---- the end ---- */

static cfb_code commit_csv(cfb_file_writer_t **w, cfb_err *err) {
    if (*w == NULL) return CFB_OK;
    cfb_file_writer_t *file = *w;
    *w = NULL; /* freed in every case */
    return cfb_file_writer_commit(file, err);
}

cfb_code cfb_export_commit(cfb_export_t *e, const cfb_score_summary *summary, cfb_err *err) {
    cfb_code rc = e->rc;
    if (rc != CFB_OK) (void)cfb_err_set(err, rc, "a row of this export failed");
    if (rc == CFB_OK && e->details != NULL && summary == NULL)
        rc = cfb_err_set(err, CFB_EBUG, "export of details without a summary");
    if (rc == CFB_OK && e->details != NULL) rc = export_details_finish(e->details, summary, err); /* the longest step first */
    if (rc == CFB_OK) rc = commit_csv(&e->output, err);
    if (rc == CFB_OK) rc = commit_csv(&e->scores, err);
    if (rc == CFB_OK && e->details != NULL) rc = export_details_commit(e->details, err);
    cfb_export_abort(e);
    return rc;
}

void cfb_export_abort(cfb_export_t *e) {
    if (e == NULL) return;
    cfb_file_writer_abort(e->output);
    cfb_file_writer_abort(e->scores);
    export_details_free(e->details);
    cfb_buf_free(&e->line);
    free(e);
}
