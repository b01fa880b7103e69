/* Scores the rows of a JSON Lines file ({"response", "output", "state"}) and prints every number exactly (%a).
 *   score_rows FILE --metric NAME --label-set row|suite|observed --threads N [--labels FILE] [--batch N] [--confusion]
 * --labels: a JSON list of strings; --batch: rows per call. score_oracle.py computes the same in plain Python. */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/score.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct options {
    const char *file, *metric, *label_set, *labels;
    int threads;
    size_t batch;
    bool confusion;
} options;

static void check(cfb_code code, const cfb_err *err) {
    if (code == CFB_OK) return;
    fprintf(stderr, "score_rows: %s\n", err->msg);
    exit(cfb_code_exit_status(code));
}

static void *list_of(size_t n, size_t size) {
    void *p = calloc(n + 1, size);
    if (p == NULL) exit(1);
    return p;
}

static options read_options(int argc, char **argv) {
    options o = {.metric = "f1", .label_set = "suite", .threads = 1, .batch = SIZE_MAX};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (argv[i][0] != '-')
            o.file = argv[i];
        else if (strcmp(argv[i], "--confusion") == 0)
            o.confusion = true;
        else {
            if (strcmp(argv[i], "--metric") == 0) o.metric = value;
            if (strcmp(argv[i], "--label-set") == 0) o.label_set = value;
            if (strcmp(argv[i], "--labels") == 0) o.labels = value;
            if (strcmp(argv[i], "--threads") == 0) o.threads = atoi(value);
            if (strcmp(argv[i], "--batch") == 0) o.batch = strtoul(value, NULL, 10);
            i++;
        }
    }
    if (o.file == NULL) {
        fprintf(stderr, "score_rows: no file given\n");
        exit(1);
    }
    return o;
}

static cfb_row_state state_of(cfb_str name) {
    for (int s = 0; s < CFB_ROW_STATE_COUNT; s++)
        if (cfb_str_eqz(name, cfb_row_state_name((cfb_row_state)s))) return (cfb_row_state)s;
    return CFB_ROW_OK;
}

/* Rows borrow from docs. */
static size_t read_rows(const char *path, cfb_buf *text, cfb_json ***docs, cfb_score_row_in **rows) {
    cfb_err err = CFB_ERR_INIT;
    check(cfb_file_read(path, (size_t)1 << 32, text, &err), &err);
    size_t n = 0, lines = 0;
    for (size_t i = 0; i < text->len; i++) lines += text->ptr[i] == '\n';
    *docs = list_of(lines, sizeof **docs);
    *rows = list_of(lines, sizeof **rows);
    for (const char *p = text->ptr, *end = p + text->len; p < end; n++) {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        if (q == NULL) exit(2);
        check(cfb_json_parse(p, (size_t)(q - p), 0, &(*docs)[n], &err), &err);
        (*rows)[n].response = cfb_json_str(cfb_json_get((*docs)[n], "response"));
        (*rows)[n].output = cfb_json_str(cfb_json_get((*docs)[n], "output"));
        (*rows)[n].state = state_of(cfb_json_str(cfb_json_get((*docs)[n], "state")));
        p = q + 1;
    }
    return n;
}

static void print_summary(cfb_scorer_t *s) {
    cfb_score_summary sum;
    cfb_err err = CFB_ERR_INIT;
    check(cfb_scorer_summary(s, &sum, &err), &err);
    printf("summary %llu %llu %llu %a %a %a %a %a %a %a\n", (unsigned long long)sum.n_rows, (unsigned long long)sum.n_answered,
           (unsigned long long)sum.n_unmatchable, sum.mean_all, sum.mean_answered, sum.mean_precision, sum.mean_recall,
           sum.mean_f1, sum.mean_response_chars, sum.mean_output_chars);
    for (size_t i = 0; i < sum.n_labels; i++) {
        const cfb_label_stat *l = &sum.labels[i];
        printf("label ");
        for (size_t k = 0; k < l->label.len; k++) printf("%02x", (unsigned)(unsigned char)l->label.ptr[k]);
        printf(" %llu %llu %llu %a %a %a\n", (unsigned long long)l->actual, (unsigned long long)l->predicted,
               (unsigned long long)l->correct, l->precision, l->recall, l->f1);
    }
}

static void print_confusion(cfb_scorer_t *s) {
    const uint64_t *counts;
    size_t n;
    cfb_err err = CFB_ERR_INIT;
    check(cfb_scorer_confusion(s, &counts, &n, &err), &err);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (counts[i * n + k]) printf("confusion %zu %zu %llu\n", i, k, (unsigned long long)counts[i * n + k]);
}

int main(int argc, char **argv) {
    options o = read_options(argc, argv);
    cfb_err err = CFB_ERR_INIT;
    cfb_buf text = CFB_BUF_INIT(0), label_text = CFB_BUF_INIT(0);
    cfb_json **docs, *label_doc = NULL;
    cfb_score_row_in *rows;
    size_t n = read_rows(o.file, &text, &docs, &rows), n_labels = 0;
    cfb_str *labels = NULL;
    if (o.labels != NULL) {
        check(cfb_file_read(o.labels, (size_t)1 << 30, &label_text, &err), &err);
        check(cfb_json_parse(label_text.ptr, label_text.len, 0, &label_doc, &err), &err);
        labels = list_of(cfb_json_count(label_doc), sizeof *labels);
        for (const cfb_json *l = cfb_json_first(label_doc); l; l = cfb_json_next(l)) labels[n_labels++] = cfb_json_str(l);
    }
    cfb_task task = {.name = "oracle", .labels = labels, .n_labels = n_labels};
    if (!cfb_metric_by_name(cfb_str_from(o.metric), &task.metric)) return 1;
    task.label_set = strcmp(o.label_set, "row") == 0 ? CFB_LABELS_ROW : CFB_LABELS_SUITE;
    cfb_score_opts opts = CFB_SCORE_OPTS_INIT;
    opts.n_threads = o.threads;
    opts.confusion = o.confusion;
    if (strcmp(o.label_set, "observed") == 0) opts.label_set = CFB_LABELS_OBSERVED;
    cfb_scorer_t *s;
    check(cfb_scorer_new(&task, &opts, &s, &err), &err);
    cfb_score_row *out = list_of(n, sizeof *out);
    for (size_t i = 0; i < n;) {
        size_t take = n - i < o.batch ? n - i : o.batch;
        check(cfb_scorer_add(s, rows + i, take, out + i, &err), &err);
        i += take;
    }
    for (size_t i = 0; i < n; i++)
        printf("%a %a %a %a %u %u %u %u %u %d\n", out[i].score, out[i].set_precision, out[i].set_recall, out[i].set_f1,
               out[i].true_positives, out[i].predicted_positives, out[i].actual_positives, out[i].response_chars,
               out[i].output_chars, out[i].reference_unmatchable);
    print_summary(s);
    if (o.confusion) print_confusion(s);
    cfb_scorer_free(s);
    for (size_t i = 0; i < n; i++) cfb_json_free(docs[i]);
    cfb_json_free(label_doc);
    cfb_buf_free(&text);
    cfb_buf_free(&label_text);
    free(docs);
    free(rows);
    free(labels);
    free(out);
    return fflush(stdout) == 0 ? 0 : 1;
}
