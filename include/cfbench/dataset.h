/* dataset.h - rows of text from files: Hugging Face save_to_disk folders (Arrow IPC streams), Arrow stream files, CSV
 * (RFC 4180), JSON lists, JSON Lines; all of them plain, .gz or .zst. The format is detected from layout and content. */
#ifndef CFBENCH_DATASET_H
#define CFBENCH_DATASET_H

#include "cfbench/buf.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_reader cfb_reader_t;

/* A column that the caller wants, by exact name. A missing required column is an error that lists those there are. */
typedef struct cfb_column {
    const char *name;
    bool required;
} cfb_column;

typedef struct cfb_reader_opts {
    const cfb_column *columns; /* delivered in this order; borrowed during open only */
    size_t n_columns;
    size_t max_field_bytes; /* one value: a larger one is an error */
    size_t max_json_bytes;  /* what is held whole: a JSON list, the wanted columns of one Arrow batch, a dictionary */
    size_t batch_rows;      /* rows per batch at most */
    size_t batch_bytes;     /* a batch ends after the row that passes this, or sooner */
} cfb_reader_opts;          /* a limit of 0 stands for its default */

#define CFB_READER_OPTS_INIT \
    { NULL, 0, (size_t)64 << 20, (size_t)1 << 30, 4096, (size_t)8 << 20 }

/* A batch of rows. Everything is borrowed from the reader until the next call on it. */
typedef struct cfb_rows {
    size_t n_rows, n_columns;
    const cfb_str *cells;  /* (n_rows, n_columns), row-major; valid UTF-8; a null string is a missing value */
    const uint64_t *lines; /* (n_rows): line where the row starts (CSV, JSON Lines), or its 1-based number in the file */
    const char *file;      /* the file that the rows come from */
    uint64_t first_row;    /* 0-based number of the first row in the whole data set */
} cfb_rows;

/* Opens a file or folder. Arrow folders list their files in state.json (and splits in dataset_dict.json: give the split's
 * folder). CSV: header line required; quoted fields may hold quotes (doubled), commas and line ends; a byte order mark is
 * skipped; CRLF and LF end a record, a lone CR does not; an unnamed index column is fine; empty lines are skipped; every
 * record must have as many fields as the header.
 * JSON: a list of objects or {"data": [...]}; JSON Lines: one object per line, empty lines skipped. Numbers and booleans
 * become their JSON text, null and absent members a null string; CSV's empty unquoted field is the empty string.
 * Errors: ENOTFOUND, EACCESS, EDATA, EENCODING, ETRUNCATED, ELIMIT, EUNSUPPORTED with file, line or byte, and what was
 * expected. Owns: *out. Threads: one thread per reader. Sources: RFC 4180; Apache Arrow columnar format 1.x (IPC streaming). */
CFB_MUST_CHECK cfb_code cfb_reader_open(const char *path, const cfb_reader_opts *opts, cfb_reader_t **out, cfb_err *err);
/* The same for bytes in memory, named `name` in messages (format by content, or by the suffix of name). Borrows data. */
CFB_MUST_CHECK cfb_code cfb_reader_open_memory(const char *name, const void *data, size_t len, const cfb_reader_opts *opts,
                                               cfb_reader_t **out, cfb_err *err);
/* Next batch; n_rows == 0 at the end. After an error the reader can only be closed. */
CFB_MUST_CHECK cfb_code cfb_reader_next(cfb_reader_t *r, cfb_rows *rows, cfb_err *err);
void cfb_reader_close(cfb_reader_t *r); /* NULL is fine */

const char *cfb_reader_format(const cfb_reader_t *r); /* "arrow", "csv", "json", "jsonl" */
/* Is the wanted column i in the data? (For JSON: known to be so from the first row on.) */
bool cfb_reader_has_column(const cfb_reader_t *r, size_t i);

/* Names of all columns of a file or folder, NUL-terminated, in its order (JSON: those of the first object). In the arena. */
CFB_MUST_CHECK cfb_code cfb_dataset_columns(const char *path, cfb_arena_t *arena, cfb_str **names, size_t *n, cfb_err *err);

/* Where a task's data lies below dir, looked for as upstream does: NAME/ (save_to_disk), NAME.json, NAME.jsonl, NAME.csv,
 * NAME/data.json, NAME/data.jsonl, NAME/data.csv, each also with .gz or .zst, and NAME itself if it is a file.
 * Errors: ENOTFOUND, naming the folder and everything that was looked for. path_out holds PATH_MAX bytes. */
CFB_MUST_CHECK cfb_code cfb_dataset_find(const char *dir, const char *name, char *path_out, size_t size, cfb_err *err);

/* Appends one CSV field as pandas' to_csv does (QUOTE_MINIMAL): quoted if it holds a quote, comma, CR or LF (or is the
 * only, empty field of its record, which the caller knows: pass alone = true). A null string is an empty field. */
CFB_MUST_CHECK cfb_code cfb_csv_append_field(cfb_buf *out, cfb_str field, bool alone, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
