/* files.h - a server's Files and Batches endpoints: one request after the other, tried again where that can do no harm. */
#ifndef CFBENCH_FILES_H
#define CFBENCH_FILES_H

#include "cfbench/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_files cfb_files_t;

typedef struct cfb_files_opts {
    const cfb_client_opts *client; /* address (the first one), key, headers, proxy, certificates, time limits; borrowed */
    int max_retries;
    double retry_base_s, retry_max_s;
    uint64_t seed;
    cfb_stop *stop; /* when on: the request under way is given up. May be NULL */
} cfb_files_opts;

#define CFB_REMOTE_ID_SIZE 128

typedef struct cfb_remote_file {
    char id[CFB_REMOTE_ID_SIZE];
    char name[256];
    int64_t n_bytes; /* -1: the server does not say */
} cfb_remote_file;

typedef struct cfb_remote_batch {
    char id[CFB_REMOTE_ID_SIZE], input_file_id[CFB_REMOTE_ID_SIZE];
    char output_file_id[CFB_REMOTE_ID_SIZE], error_file_id[CFB_REMOTE_ID_SIZE]; /* "": none (yet) */
    char status[32];
    int64_t n_total, n_completed, n_failed; /* 0 until the server counts */
    char message[256];                      /* first of the errors of a batch that failed as a whole */
} cfb_remote_batch;

/* client's time limit counts as the longest silence, because an upload may take long. Needs cfb_client_global_init. Errors:
 * ECONFIG (an address, header or file that cannot be used), ENOMEM. Owns: *out. Threads: one at a time. */
CFB_MUST_CHECK cfb_code cfb_files_new(const cfb_files_opts *o, cfb_files_t **out, cfb_err *err);
void cfb_files_free(cfb_files_t *f); /* NULL is fine */

/* All of the following fail with ENET (no connection, no answer, an overloaded server, after all tries), EAUTH (key, credit),
 * EPROTOCOL (refused, or no such endpoint or id; an answer that is none), EINTERRUPTED (stop), ENOMEM; messages hold the server's
 * words and never the key.
 *
 * Sending a file or starting a batch twice would be paid for twice. So where it is not known whether a try came through (the
 * connection broke, the server failed), the server is asked what it has got before the next try. */

/* Sends a file, streaming from disk, with purpose "batch" and this name, which must not have been used before. Further errors:
 * those of reading path. */
CFB_MUST_CHECK cfb_code cfb_files_upload(cfb_files_t *f, const char *path, const char *name, cfb_remote_file *out, cfb_err *err);
/* Has the server got a file of this name (and size, where it says one)? */
CFB_MUST_CHECK cfb_code cfb_files_find(cfb_files_t *f, const char *name, int64_t n_bytes, cfb_remote_file *out, bool *found,
                                       cfb_err *err);
/* Starts a batch of chat requests on an uploaded file, to be done in 24 hours; tag is kept beside it by the server. */
CFB_MUST_CHECK cfb_code cfb_files_batch_create(cfb_files_t *f, const char *input_file_id, const char *tag, cfb_remote_batch *out,
                                               cfb_err *err);
/* Is there a batch on this file? The newest one counts. */
CFB_MUST_CHECK cfb_code cfb_files_batch_find(cfb_files_t *f, const char *input_file_id, cfb_remote_batch *out, bool *found,
                                             cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_files_batch_get(cfb_files_t *f, const char *id, cfb_remote_batch *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_files_batch_cancel(cfb_files_t *f, const char *id, cfb_remote_batch *out, cfb_err *err);
/* Downloads a file's content; path appears only when all of it is there. Further errors: those of writing. */
CFB_MUST_CHECK cfb_code cfb_files_download(cfb_files_t *f, const char *id, const char *path, cfb_err *err);

/* ---- embeddings ---- */

/* One request to POST /embeddings for n texts: their vectors as the server counts their dimensions, divided by their lengths, row
 * by row, appended to vectors (floats). *dim: 0, or what it must be; then what it is. Errors: as above; EPROTOCOL also for an
 * answer with other texts, dimensions or numbers than asked for. Posts are repeated after failures that may pass. */
CFB_MUST_CHECK cfb_code cfb_files_embed(cfb_files_t *f, const char *model, const cfb_str *texts, size_t n, size_t *dim,
                                        cfb_buf *vectors, cfb_err *err);
/* Reads an answer to it: as cfb_files_embed. Pure; for tests and fuzzing. */
CFB_MUST_CHECK cfb_code cfb_files__read_embeddings(cfb_str json, size_t n, size_t *dim, cfb_buf *vectors, cfb_err *err);

/* ---- for tests and fuzzing: reading the server's objects. False: not one, or without an id. Pure. ---- */
bool cfb_files__read_file(cfb_str json, cfb_remote_file *out);
bool cfb_files__read_batch(cfb_str json, cfb_remote_batch *out);

#ifdef __cplusplus
}
#endif
#endif
