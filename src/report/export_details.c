/* export_details.c - TASK-scores_detailed_results.json, laid out as Python's json.dump(ensure_ascii=False, indent=2). */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/text.h"
#include "report/export.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FLUSH_BYTES ((size_t)1 << 18)
#define MAX_BYTES ((size_t)2 << 30)

struct export_details {
    const cfb_task *task;
    cfb_file_writer_t *file;
    char path[PATH_MAX]; /* of the file that appears at the end */
    int fd;              /* rows, in a file that has no name */
    uint64_t n_rows;
    cfb_buf rows, quoted, plain; /* rows not yet written; scratch: a string as JSON; a text with its commas made equal */
    cfb_str *items;              /* scratch: labels of both texts, then their sorted sets */
    size_t items_cap;
};

/* ---- the file behind ---- */

static cfb_code open_unnamed(const char *path, int *fd, cfb_err *err) {
    char tmp[PATH_MAX];
    int n = snprintf(tmp, sizeof tmp, "%s.rows.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof tmp) return cfb_err_set(err, CFB_ELIMIT, "path too long: %.200s", path);
    *fd = mkstemp(tmp);
    if (*fd < 0) return cfb_err_set_errno(err, errno, "cannot write %s", tmp);
    (void)fcntl(*fd, F_SETFD, FD_CLOEXEC);
    if (unlink(tmp) != 0) return cfb_err_set_errno(err, errno, "cannot remove %s", tmp);
    return CFB_OK;
}

static cfb_code flush_rows(export_details *d, cfb_err *err) {
    const char *p = d->rows.ptr;
    size_t left = d->rows.len;
    while (left > 0) {
        ssize_t n = write(d->fd, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot write %s", d->path);
        p += n;
        left -= (size_t)n;
    }
    cfb_buf_clear(&d->rows);
    return CFB_OK;
}

cfb_code export_details_open(const char *path, const cfb_task *task, export_details **out, cfb_err *err) {
    export_details *d = calloc(1, sizeof *d);
    if (d == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    d->task = task;
    d->fd = -1;
    snprintf(d->path, sizeof d->path, "%s", path);
    d->rows = d->quoted = d->plain = CFB_BUF_INIT(MAX_BYTES);
    cfb_code rc = cfb_file_writer_open(path, &d->file, err);
    if (rc == CFB_OK) rc = open_unnamed(path, &d->fd, err);
    if (rc == CFB_OK)
        *out = d;
    else
        export_details_free(d);
    return rc;
}

void export_details_free(export_details *d) {
    if (d == NULL) return;
    cfb_file_writer_abort(d->file);
    if (d->fd >= 0) close(d->fd);
    cfb_buf_free(&d->rows);
    cfb_buf_free(&d->quoted);
    cfb_buf_free(&d->plain);
    free(d->items);
    free(d);
}

/* ---- strings as Python writes them: DEL, U+2028 and U+2029 stay, unlike in our own JSON ---- */

static cfb_code quote_python(cfb_buf *out, cfb_str s, cfb_err *err) {
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    cfb_code rc = cfb_buf_append_char(out, '"', err);
    size_t start = 0;
    if (s.ptr == NULL) s = CFB_STR_LIT("");
    for (size_t i = 0; i < s.len && rc == CFB_OK; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        rc = cfb_buf_append(out, s.ptr + start, i - start, err);
        start = i + 1;
        const char *form = c == 0 ? NULL : short_forms;
        while (form != NULL && *form != '\0' && (unsigned char)*form != c) form += 2;
        if (rc != CFB_OK) break;
        rc = form != NULL && *form != '\0' ? cfb_buf_printf(out, err, "\\%c", form[1]) : cfb_buf_printf(out, err, "\\u%04x", c);
    }
    if (rc == CFB_OK) rc = cfb_buf_append(out, s.ptr + start, s.len - start, err);
    return rc == CFB_OK ? cfb_buf_append_char(out, '"', err) : rc;
}

/* A string value, null as "". */
static void put_text(export_details *d, cfb_jw *w, cfb_str s) {
    cfb_buf_clear(&d->quoted);
    if (w->err.code == CFB_OK) w->err.code = quote_python(&d->quoted, s, &w->err);
    if (w->err.code == CFB_OK) cfb_jw_raw(w, cfb_buf_str(&d->quoted));
}

/* A key: the writer has no raw keys, so it is written as a value and the colon is put behind it. */
static void put_key(export_details *d, cfb_jw *w, cfb_str s) {
    put_text(d, w, s);
    if (w->err.code == CFB_OK) w->err.code = cfb_buf_append(w->out, ": ", 2, &w->err);
    w->after_key = true;
}

static void member_num(cfb_jw *w, const char *key, double v) {
    cfb_jw_key(w, key);
    cfb_jw_num(w, v);
}

static void member_count(cfb_jw *w, const char *key, uint64_t v) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, (int64_t)v);
}

static void member_strz(cfb_jw *w, const char *key, const char *v) {
    cfb_jw_key(w, key);
    cfb_jw_strz(w, v);
}

/* ---- label lists ---- */

static cfb_code make_commas_equal(cfb_str s, cfb_buf *out, cfb_err *err) {
    static const cfb_str wide = {"\xEF\xBC\x8C", 3};
    cfb_code rc = CFB_OK;
    for (size_t from = 0; rc == CFB_OK && from <= s.len;) {
        size_t at = s.len ? cfb_str_find(s, wide, from) : SIZE_MAX;
        rc = cfb_buf_append(out, s.len ? s.ptr + from : "", (at == SIZE_MAX ? s.len : at) - from, err);
        if (at == SIZE_MAX) break;
        if (rc == CFB_OK) rc = cfb_buf_append_char(out, ',', err);
        from = at + wide.len;
    }
    return rc;
}

/* Appends the stripped, non-empty items of `list` to d->items at *n. */
static cfb_code split_items(export_details *d, cfb_str list, size_t *n, cfb_err *err) {
    for (size_t from = 0; from < list.len;) {
        const char *comma = memchr(list.ptr + from, ',', list.len - from);
        size_t end = comma ? (size_t)(comma - list.ptr) : list.len;
        cfb_str item = cfb_text_strip((cfb_str){list.ptr + from, end - from});
        from = end + 1;
        if (item.len == 0) continue;
        if (*n == d->items_cap) {
            size_t cap = d->items_cap ? d->items_cap * 2 : 64, bytes;
            cfb_str *grown = cfb_size_mul(cap, sizeof *grown, &bytes) ? realloc(d->items, bytes) : NULL;
            if (grown == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
            d->items = grown;
            d->items_cap = cap;
        }
        d->items[(*n)++] = item;
    }
    return CFB_OK;
}

static int compare_items(const void *a, const void *b) { return cfb_str_cmp(*(const cfb_str *)a, *(const cfb_str *)b); }

/* Sorts items and keeps each once. */
static size_t make_set(cfb_str *items, size_t n) {
    size_t kept = 0;
    if (n > 1) qsort(items, n, sizeof *items, compare_items);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !cfb_str_eq(items[i], items[kept - 1])) items[kept++] = items[i];
    return kept;
}

static size_t count_common(const cfb_str *a, size_t n_a, const cfb_str *b, size_t n_b) {
    size_t n = 0;
    for (size_t i = 0, k = 0; i < n_a && k < n_b;) {
        int c = cfb_str_cmp(a[i], b[k]);
        n += c == 0;
        i += c <= 0;
        k += c >= 0;
    }
    return n;
}

static void put_list(export_details *d, cfb_jw *w, const char *key, const cfb_str *items, size_t n) {
    cfb_jw_key(w, key);
    cfb_jw_arr(w);
    for (size_t i = 0; i < n; i++) put_text(d, w, items[i]);
    cfb_jw_end_arr(w);
}

/* ---- rows ---- */

static cfb_code put_label_row(export_details *d, cfb_jw *w, cfb_str response, cfb_str output, const cfb_score_row *score,
                              cfb_err *err) {
    cfb_buf_clear(&d->plain);
    cfb_code rc = make_commas_equal(response, &d->plain, err);
    size_t split = d->plain.len, n = 0;
    if (rc == CFB_OK) rc = make_commas_equal(output, &d->plain, err);
    cfb_str all = cfb_buf_str(&d->plain);
    if (rc == CFB_OK) rc = split_items(d, (cfb_str){all.ptr, split}, &n, err);
    size_t n_response = n;
    if (rc == CFB_OK) rc = split_items(d, (cfb_str){all.ptr + split, all.len - split}, &n, err);
    if (rc != CFB_OK) return rc;
    cfb_str *truth = d->items, *pred = d->items ? d->items + n_response : NULL;
    put_list(d, w, "response_labels", truth, n_response);
    put_list(d, w, "output_labels", pred, n - n_response);
    size_t n_truth = make_set(truth, n_response), n_pred = make_set(pred, n - n_response);
    member_num(w, "precision", score->set_precision);
    member_num(w, "recall", score->set_recall);
    member_num(w, "f1", score->set_f1);
    member_count(w, "true_positives", count_common(truth, n_truth, pred, n_pred));
    member_count(w, "predicted_positives", n_pred);
    member_count(w, "actual_positives", n_truth);
    return CFB_OK;
}

static void put_text_row(export_details *d, cfb_jw *w, cfb_str response, cfb_str output, const cfb_score_row *score) {
    cfb_jw_key(w, "response_text");
    put_text(d, w, response);
    cfb_jw_key(w, "output_text");
    put_text(d, w, output);
    member_num(w, d->task->metric == CFB_METRIC_TF ? "cosine_similarity" : cfb_metric_name(d->task->metric), score->score);
    member_count(w, "response_length", score->response_chars);
    member_count(w, "output_length", score->output_chars);
}

/* A writer that continues inside "detailed_results": two levels deep. */
static void begin_row(cfb_jw *w, cfb_buf *out) {
    cfb_jw_init(w, out, 2);
    w->depth = 2;
    w->after_key = true; /* comma and indentation are ours */
}

cfb_code export_details_row(export_details *d, cfb_str response, cfb_str output, const cfb_score_row *score, cfb_err *err) {
    if (cfb_utf8_find_invalid(response) != SIZE_MAX || cfb_utf8_find_invalid(output) != SIZE_MAX)
        return cfb_err_set(err, CFB_EENCODING, "row %llu: text is not valid UTF-8", (unsigned long long)d->n_rows);
    cfb_code rc = cfb_buf_printf(&d->rows, err, "%s\n    ", d->n_rows ? "," : "");
    if (rc != CFB_OK) return rc;
    cfb_jw w;
    begin_row(&w, &d->rows);
    cfb_jw_obj(&w);
    member_count(&w, "index", d->n_rows);
    if (cfb_metric_is_over_labels(d->task->metric))
        rc = put_label_row(d, &w, response, output, score, err);
    else
        put_text_row(d, &w, response, output, score);
    cfb_jw_end_obj(&w);
    if (rc == CFB_OK) rc = cfb_jw_finish(&w, err);
    if (rc != CFB_OK) return rc;
    d->n_rows++;
    return d->rows.len >= FLUSH_BYTES ? flush_rows(d, err) : CFB_OK;
}

/* ---- the whole ---- */

static void put_flushed(export_details *d, cfb_jw *w, bool always) {
    if (w->err.code != CFB_OK || (!always && d->rows.len < FLUSH_BYTES)) return;
    w->err.code = cfb_file_writer_write(d->file, d->rows.ptr, d->rows.len, &w->err);
    cfb_buf_clear(&d->rows);
}

static void put_label_statistics(export_details *d, cfb_jw *w, const cfb_score_summary *s) {
    cfb_jw_key(w, "label_statistics");
    cfb_jw_obj(w);
    member_count(w, "total_unique_labels", s->n_labels);
    cfb_jw_key(w, "label_metrics");
    cfb_jw_obj(w);
    for (size_t i = 0; i < s->n_labels; i++) {
        put_key(d, w, s->labels[i].label);
        cfb_jw_obj(w);
        member_num(w, "precision", s->labels[i].precision);
        member_num(w, "recall", s->labels[i].recall);
        member_num(w, "f1", s->labels[i].f1);
        member_count(w, "actual_count", s->labels[i].actual);
        member_count(w, "predicted_count", s->labels[i].predicted);
        member_count(w, "correct_count", s->labels[i].correct);
        cfb_jw_end_obj(w);
        put_flushed(d, w, false);
    }
    cfb_jw_end_obj(w);
    cfb_jw_end_obj(w);
}

/* Everything before the rows' list. d->rows is empty and serves as buffer. */
static cfb_code put_head(export_details *d, const cfb_score_summary *s, cfb_err *err) {
    bool f1 = cfb_metric_is_over_labels(d->task->metric) != 0;
    char average[64]; /* of the rows' scores, as upstream has it */
    snprintf(average, sizeof average, "average_%s",
             f1                                 ? "f1"
             : d->task->metric == CFB_METRIC_TF ? "cosine_similarity"
                                                : cfb_metric_name(d->task->metric));
    cfb_jw w;
    cfb_jw_init(&w, &d->rows, 2);
    cfb_jw_obj(&w);
    member_strz(&w, "task_type", f1 ? "classification" : "generation");
    member_strz(&w, "classification_type", d->task->name);
    member_count(&w, "total_samples", s->n_rows);
    cfb_jw_key(&w, "metrics");
    cfb_jw_obj(&w);
    member_num(&w, average, f1 ? s->mean_f1 : d->task->metric == CFB_METRIC_TF ? s->mean_all : s->mean_of_rows);
    member_num(&w, f1 ? "average_precision" : "average_response_length", f1 ? s->mean_precision : s->mean_response_chars);
    member_num(&w, f1 ? "average_recall" : "average_output_length", f1 ? s->mean_recall : s->mean_output_chars);
    cfb_jw_end_obj(&w);
    if (f1) put_label_statistics(d, &w, s);
    cfb_jw_key(&w, "detailed_results");
    if (w.err.code == CFB_OK) w.err.code = cfb_buf_append_char(&d->rows, '[', &w.err);
    put_flushed(d, &w, true);
    return cfb_jw_finish(&w, err);
}

static cfb_code copy_rows(export_details *d, cfb_err *err) {
    if (lseek(d->fd, 0, SEEK_SET) != 0) return cfb_err_set_errno(err, errno, "cannot read the rows of %s back", d->path);
    cfb_buf_clear(&d->rows);
    cfb_code rc = cfb_buf_reserve(&d->rows, FLUSH_BYTES, err);
    while (rc == CFB_OK) {
        ssize_t n = read(d->fd, d->rows.ptr, FLUSH_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cfb_err_set_errno(err, errno, "cannot read the rows of %s back", d->path);
        if (n == 0) break;
        rc = cfb_file_writer_write(d->file, d->rows.ptr, (size_t)n, err);
    }
    return rc;
}

cfb_code export_details_finish(export_details *d, const cfb_score_summary *summary, cfb_err *err) {
    const char *tail = d->n_rows ? "\n  ]\n}" : "]\n}";
    cfb_code rc = flush_rows(d, err);
    if (rc == CFB_OK) rc = put_head(d, summary, err);
    if (rc == CFB_OK) rc = copy_rows(d, err);
    return rc == CFB_OK ? cfb_file_writer_write(d->file, tail, strlen(tail), err) : rc;
}

cfb_code export_details_commit(export_details *d, cfb_err *err) {
    cfb_file_writer_t *file = d->file;
    d->file = NULL; /* freed in every case */
    return cfb_file_writer_commit(file, err);
}
