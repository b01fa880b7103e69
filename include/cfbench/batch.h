/* batch.h - offline batches in OpenAI's form, which vLLM's run-batch reads too: files with one request a line, files with one
 * result a line, and the manifest that remembers how far a batch is. No network here: that is files.h. docs/batch.md describes
 * the files. */
#ifndef CFBENCH_BATCH_H
#define CFBENCH_BATCH_H

#include "cfbench/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- ids: how a result finds its row ---- */

#define CFB_BATCH_ID_SIZE 65
/* "TASK/ID/ROW-KEY": task and id of the row with everything but letters, digits, '.', '_' and '-' as '_', and cut; the row's
 * number; the first 16 hex digits of its key. Unique in a run, since task and row number are; at most 64 bytes of ASCII, which
 * every server takes. A changed prompt changes the key, so old results never pass for answers to it. Pure. */
void cfb_batch_custom_id(cfb_str task, cfb_str id, size_t row, cfb_str key, char out[CFB_BATCH_ID_SIZE]);

/* ---- requests ---- */

#define CFB_BATCH_URL "/v1/chat/completions"
#define CFB_BATCH_FILE_SIZE 32

/* One file of requests. */
typedef struct cfb_batch_file {
    char name[CFB_BATCH_FILE_SIZE]; /* in the batch's folder */
    char sha256[65];
    int64_t n_requests, n_bytes;
} cfb_batch_file;

typedef struct cfb_batch_writer cfb_batch_writer_t;
typedef struct cfb_batch_writer_opts {
    const char *dir;                 /* made if it is not there */
    int round;                       /* names are "rNN-0001.jsonl", "rNN-0002.jsonl", ... */
    int64_t max_requests, max_bytes; /* of a file */
} cfb_batch_writer_opts;
/* Errors: those of files. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_batch_writer_new(const cfb_batch_writer_opts *o, cfb_batch_writer_t **out, cfb_err *err);
/* One line: {"custom_id": ..., "method": "POST", "url": CFB_BATCH_URL, "body": ...}. body: a JSON object, from cfb_request_write.
 * Starts another file where the next line would pass a limit. Errors: ELIMIT (one line alone is larger than max_bytes), those of
 * files. */
CFB_MUST_CHECK cfb_code cfb_batch_writer_add(cfb_batch_writer_t *w, const char *custom_id, cfb_str body, cfb_err *err);
/* Finishes the last file. *files (malloc, owned by the caller) are in order; 0 of them if nothing was added. */
CFB_MUST_CHECK cfb_code cfb_batch_writer_finish(cfb_batch_writer_t *w, cfb_batch_file **files, size_t *n, cfb_err *err);
void cfb_batch_writer_free(cfb_batch_writer_t *w); /* NULL is fine; files that were finished stay */

/* ---- results ---- */

typedef struct cfb_batch_scratch {
    cfb_buf body, text; /* with a maximum each */
} cfb_batch_scratch;
#define CFB_BATCH_SCRATCH_INIT \
    { CFB_BUF_INIT((size_t)64 << 20), CFB_BUF_INIT((size_t)64 << 20) }
void cfb_batch_scratch_free(cfb_batch_scratch *s);

typedef struct cfb_batch_result {
    char custom_id[CFB_BATCH_ID_SIZE]; /* cut if it is longer, which no id of ours is */
    cfb_chat_reply reply;              /* borrows from the scratch; started_wall_ms is 0 where the server gave no time */
} cfb_batch_result;
/* Reads one line of a result file: OpenAI's {"custom_id", "response": {"status_code", "body"}, "error"}, as output and as error
 * file, and vLLM's (body null beside an error; or the completion itself as response). A request that failed is a result, with its
 * class: of its HTTP status; timeout for batch_expired and request_timeout; stopped for batch_cancelled (never asked). Errors:
 * EDATA and others of JSON (the line is no result at all: no object, or without custom_id), ELIMIT (larger than the scratch),
 * ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_batch_parse_line(cfb_str line, cfb_batch_scratch *scratch, cfb_batch_result *out, cfb_err *err);

typedef struct cfb_batch_reader {
    void *ctx;
    cfb_code (*on_result)(void *ctx, const cfb_batch_result *r, uint64_t line, cfb_err *err);
    /* A line that is none: message is "FILE:LINE: what is wrong". Reading goes on. */
    void (*on_bad_line)(void *ctx, const char *message);
} cfb_batch_reader;
/* Reads a result file of any size, line by line; lines end with \n, so U+2028 in a text does no harm. Errors: those of the file,
 * those of on_result, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_batch_read_results(const char *path, const cfb_batch_reader *r, cfb_err *err);
/* Calls fn for each custom_id of a request file that the writer made. */
typedef cfb_code (*cfb_batch_id_fn)(void *ctx, cfb_str custom_id, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_batch_read_ids(const char *path, cfb_batch_id_fn fn, void *ctx, cfb_err *err);

/* ---- the manifest: OUT/batch/manifest.json ---- */

#define CFB_BATCH_REMOTE_ID_SIZE 128

/* A file of requests, and what became of it. Empty strings: not yet. */
typedef struct cfb_batch_shard {
    cfb_batch_file file;
    /* Set before the server is told: after a crash in between, the server is asked what it has got. */
    bool upload_started, create_started;
    char file_id[CFB_BATCH_REMOTE_ID_SIZE], batch_id[CFB_BATCH_REMOTE_ID_SIZE];
    char status[32]; /* the server's word: validating, in_progress, completed, failed, expired, cancelled, ... */
    char output_file_id[CFB_BATCH_REMOTE_ID_SIZE], error_file_id[CFB_BATCH_REMOTE_ID_SIZE];
    int64_t n_total, n_completed, n_failed; /* as the server counts */
    bool output_fetched, errors_fetched;    /* "NAME.output.jsonl", "NAME.errors.jsonl" are there */
    bool imported;
    char message[256]; /* of a batch that failed as a whole */
} cfb_batch_shard;

typedef struct cfb_batch_manifest {
    char tag[17];                    /* random: names on the server are "cfbench-TAG-FILE" */
    char model[256], base_url[1024]; /* base_url: of the first submit; then it must stay */
    int round;
    cfb_batch_shard *shards;
    size_t n_shards;
} cfb_batch_manifest;

/* Errors: JSON with line and column; EDATA for a member that is missing or wrong, and for a manifest of a newer version. Owns:
 * *out. */
CFB_MUST_CHECK cfb_code cfb_batch_manifest_parse(const char *name, cfb_str json, cfb_batch_manifest *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_batch_manifest_write(const cfb_batch_manifest *m, cfb_buf *out, cfb_err *err);
/* From and to a file; saving replaces it as a whole. ENOTFOUND if there is none. */
CFB_MUST_CHECK cfb_code cfb_batch_manifest_read(const char *path, cfb_batch_manifest *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_batch_manifest_save(const cfb_batch_manifest *m, const char *path, cfb_err *err);
void cfb_batch_manifest_free(cfb_batch_manifest *m);
/* Adds files as shards. Errors: ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_batch_manifest_add(cfb_batch_manifest *m, const cfb_batch_file *files, size_t n, cfb_err *err);
/* Has the server said its last word on it (completed, failed, expired, cancelled)? */
bool cfb_batch_shard_is_over(const cfb_batch_shard *s);

#ifdef __cplusplus
}
#endif
#endif
