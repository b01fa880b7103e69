/* suite.h - a benchmark as data: suite.json, its tasks, label sets, few-shot heads and records. docs/suites.md has the schema. */
#ifndef CFBENCH_SUITE_H
#define CFBENCH_SUITE_H

#include "cfbench/buf.h"
#include "cfbench/metric_list.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cfb_task_kind { CFB_KIND_RECOGNITION, CFB_KIND_CLASSIFICATION, CFB_KIND_GENERATION } cfb_task_kind;
/* Which labels F1 counts: the row's own reference, the suite's list, or all that were seen in the file. */
typedef enum cfb_label_set { CFB_LABELS_ROW, CFB_LABELS_SUITE, CFB_LABELS_OBSERVED } cfb_label_set;
typedef enum cfb_shot { CFB_SHOT_ZERO, CFB_SHOT_FEW } cfb_shot;

const char *cfb_task_kind_name(cfb_task_kind k);
const char *cfb_metric_name(cfb_metric m);
/* Finds a metric by its name. False: there is none. */
bool cfb_metric_by_name(cfb_str name, cfb_metric *out);
/* Whether a metric suits a kind of task. If not, *err says which do: EDATA. */
CFB_MUST_CHECK cfb_code cfb_metric_check_kind(cfb_metric m, cfb_task_kind kind, cfb_err *err);
/* The names that suit a kind, "a, b, c". buf is always terminated. */
void cfb_metric_names_for(cfb_task_kind kind, char *buf, size_t size);
const char *cfb_label_set_name(cfb_label_set s);
const char *cfb_shot_name(cfb_shot s); /* "zero-shot", "few-shot" */

typedef enum cfb_step_kind { CFB_STEP_STRIP, CFB_STEP_FIRST_LINE, CFB_STEP_AFTER_FIRST, CFB_STEP_LAST_OF_SPLIT } cfb_step_kind;
typedef struct cfb_step {
    cfb_step_kind kind;
    cfb_str separator;
    size_t max_splits;
} cfb_step;

typedef struct cfb_task {
    const char *name, *title;
    cfb_task_kind kind;
    cfb_metric metric;
    cfb_label_set label_set;
    const cfb_str *labels; /* n_labels, sorted by code point, unique; NULL if the suite has none */
    size_t n_labels;
    int max_tokens;
    cfb_str prompt[2];        /* template by cfb_shot; a null string if the setting is not offered */
    const cfb_step *steps[2]; /* post-processing by cfb_shot */
    size_t n_steps[2];
    cfb_str candidates_open, candidates_close;
    const char *const *data; /* n_data candidate names */
    size_t n_data;
    cfb_str fewshot; /* text of the few-shot head with CRLF and CR as LF; a null string if there is none or it was not loaded */
} cfb_task;

typedef struct cfb_suite cfb_suite_t;

/* One piece of a template: literal text, or a place. Walks through text: *pos starts at 0; returns false at the end.
 * Places: {instruction} {input} {fewshot} {candidates}; {{ and }} are literal braces.
 * Errors (rc): EDATA for a brace that is none of these, with err->offset. */
typedef struct cfb_template_piece {
    bool is_place;
    cfb_str text; /* the literal, or the place's name */
} cfb_template_piece;
bool cfb_template_next(cfb_str text, size_t *pos, cfb_template_piece *piece, cfb_code *rc, cfb_err *err);
bool cfb_template_uses(cfb_str text, const char *place);

/* Which files beside suite.json to read: without these flags labels in files and few-shot heads stay unknown. */
enum { CFB_SUITE_LABELS = 1, CFB_SUITE_FEWSHOT = 2 };

/* Loads a suite. spec: a folder with suite.json, a path of a JSON file, or a name that is looked for in the folders of
 * $CFBENCH_SUITE_PATH (colon-separated), ./datasets, and the installed suites. data_dir (may be NULL: the suite's folder)
 * is where data, few-shot heads and label files are. flags says which of them are read and so must be there. Errors: file, and
 * line or member, and what was expected. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_suite_load(const char *spec, const char *data_dir, unsigned flags, cfb_suite_t **out, cfb_err *err);
/* The same from memory, without files (labels and few-shot heads stay unread). For tests and fuzzing. */
CFB_MUST_CHECK cfb_code cfb_suite_parse(const char *name, cfb_str json, cfb_suite_t **out, cfb_err *err);
void cfb_suite_free(cfb_suite_t *s);

const char *cfb_suite_name(const cfb_suite_t *s);
const char *cfb_suite_title(const cfb_suite_t *s);
size_t cfb_suite_n_tasks(const cfb_suite_t *s);
const cfb_task *cfb_suite_task(const cfb_suite_t *s, size_t i);
/* Index of a task by name, or SIZE_MAX. */
size_t cfb_suite_find_task(const cfb_suite_t *s, const char *name);
/* SHA-256 over everything that can change a prompt, an output or a score. 64 hex digits, the suite's. Threads: any. */
const char *cfb_suite_fingerprint(const cfb_suite_t *s);

/* A suite.json with one task alone, its labels written in: what a run store keeps, so that it can be scored without the
 * suite's files. Appended to out. */
CFB_MUST_CHECK cfb_code cfb_suite_write_task(const cfb_suite_t *s, size_t i, cfb_buf *out, cfb_err *err);

/* One row of a task. Strings may be null where the data has no value. */
typedef struct cfb_record {
    cfb_str id; /* the id column's value, or the row's number in decimal */
    cfb_str input, instruction, response;
    uint64_t line; /* where it stands in its file */
} cfb_record;

typedef struct cfb_records {
    cfb_record *rows;
    size_t n;
    const char *path; /* data file or folder */
    cfb_arena_t *arena;
} cfb_records;

/* Reads a task's rows, all or the first `limit` (0 = all). Errors: those of the reader; EDATA for a duplicate id or for
 * a null value that the prompt of `shot` needs, with the row. Owns: *out, freed with cfb_records_free. */
CFB_MUST_CHECK cfb_code cfb_suite_read_records(const cfb_suite_t *s, size_t task, cfb_shot shot, size_t limit, cfb_records *out,
                                               cfb_err *err);
void cfb_records_free(cfb_records *r);

#ifdef __cplusplus
}
#endif
#endif
