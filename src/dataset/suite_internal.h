/* suite_internal.h - what the suite's three files share: suite_parse.c fills it, suite_load.c adds texts, records.c reads rows.
 */
#ifndef CFB_DATASET_SUITE_INTERNAL_H
#define CFB_DATASET_SUITE_INTERNAL_H

#include "cfbench/suite.h"

#include <limits.h>
#include <pthread.h>

/* What suite.json says about files, per task: only loading needs it. */
typedef struct cfb_task_files {
    const char *fewshot;    /* path or NULL */
    const char *labels;     /* path or NULL */
    const char *labels_key; /* member of the label file */
} cfb_task_files;

struct cfb_suite {
    cfb_arena_t *arena;
    const char *name, *title;
    const char *column_input, *column_instruction, *column_response, *column_id; /* id: NULL = row number */
    cfb_task *tasks;
    cfb_task_files *files;
    size_t n_tasks;
    char dir[PATH_MAX];   /* where data, few-shot heads and label files lie */
    pthread_mutex_t lock; /* of fingerprint, */
    char fingerprint[65]; /* which is made when it is first asked for */
};

/* Fills s from the text of suite.json; `where` names it in messages. */
CFB_MUST_CHECK cfb_code cfb_suite__parse(cfb_suite_t *s, const char *where, cfb_str json, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_suite__new(cfb_suite_t **out, cfb_err *err);
/* Sorts labels by code point and refuses empty and repeated ones. */
CFB_MUST_CHECK cfb_code cfb_suite__set_labels(cfb_task *t, cfb_str *labels, size_t n, cfb_err *err);
void cfb_suite__make_fingerprint(const cfb_suite_t *s, char hex[65]);
/* Adds to the message of a missing file what a user can do about it. */
void cfb_suite__add_hint(const cfb_suite_t *s, cfb_err *err);

#endif
