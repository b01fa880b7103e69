/* batch.h - what the steps of `cfbench batch` share: the folder OUT/batch and its manifest. */
#ifndef CFB_CLI_BATCH_H
#define CFB_CLI_BATCH_H

#include "cfbench/batch.h"
#include "cli/asking.h"

typedef struct cfb_cli_batch {
    const cfb_config *c;
    char dir[PATH_MAX], path[PATH_MAX]; /* OUT/batch, OUT/batch/manifest.json */
    int lock_fd;                        /* one process at a time changes the manifest */
    cfb_batch_manifest m;
} cfb_cli_batch;

/* Takes the lock and reads the manifest. create: makes the folder, and a manifest with a new tag where there is none. */
CFB_MUST_CHECK cfb_code cfb_cli_batch_open(const cfb_config *c, bool create, cfb_cli_batch *b, cfb_err *err);
void cfb_cli_batch_close(cfb_cli_batch *b);
CFB_MUST_CHECK cfb_code cfb_cli_batch_save(const cfb_cli_batch *b, cfb_err *err);
/* DIR/NAME of a shard's requests (suffix ""), ".output" or ".errors" in front of ".jsonl". */
CFB_MUST_CHECK cfb_code cfb_cli_batch_path(const cfb_cli_batch *b, const cfb_batch_shard *s, const char *suffix,
                                           char path[PATH_MAX], cfb_err *err);

/* batch_remote.c: the steps that talk to the server */
CFB_MUST_CHECK cfb_code cfb_cli_batch_submit(cfb_cli_batch *b, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_batch_status(cfb_cli_batch *b, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_batch_fetch(cfb_cli_batch *b, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_batch_cancel(cfb_cli_batch *b, cfb_err *err);
/* batch_import.c */
CFB_MUST_CHECK cfb_code cfb_cli_batch_import(cfb_cli_batch *b, cfb_err *err);

/* The run that a batch is of: suite, tasks, store, and how it is asked. */
typedef struct cfb_cli_batch_run {
    cfb_suite_t *suite;
    size_t *tasks, n_tasks;
    cfb_store_t *store;
    char store_path[PATH_MAX];
    cfb_generate_opts opts;
} cfb_cli_batch_run;
CFB_MUST_CHECK cfb_code cfb_cli_batch_run_open(const cfb_config *c, cfb_cli_batch_run *r, cfb_err *err);
/* Closes; the first of rc and closing's own error is returned. */
cfb_code cfb_cli_batch_run_close(cfb_cli_batch_run *r, cfb_code rc, cfb_err *err);

#endif
