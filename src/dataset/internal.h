/* internal.h - what the files of the dataset room share: byte sources, the text window, and the reader that the
 * formats fill with rows. */
#ifndef CFB_DATASET_INTERNAL_H
#define CFB_DATASET_INTERNAL_H

#include "cfbench/base.h"
#include "cfbench/dataset.h"

/* ---- sources: the bytes of one file, decompressed, front to back ---- */

/* Plain, gzip or zstd, told by the first bytes; concatenated members and frames are one stream. Holds at most a few
 * hundred kilobytes, plus the window that the compressed data asks for (zstd: up to 128 MB). */
typedef struct cfb_source cfb_source_t;

CFB_MUST_CHECK cfb_code cfb_source__open(const char *path, cfb_source_t **out, cfb_err *err);
/* Borrows data for the life of the source. */
CFB_MUST_CHECK cfb_code cfb_source__open_memory(const char *name, const void *data, size_t len, cfb_source_t **out, cfb_err *err);
/* Fills dst; *got < size only at the end of the data. A compressed stream that is cut gives ETRUNCATED. */
CFB_MUST_CHECK cfb_code cfb_source__read(cfb_source_t *s, void *dst, size_t size, size_t *got, cfb_err *err);
/* Passes over n bytes; *skipped < n only at the end of the data. */
CFB_MUST_CHECK cfb_code cfb_source__skip(cfb_source_t *s, uint64_t n, uint64_t *skipped, cfb_err *err);
/* Up to `want` bytes from the front, which a later read delivers again. Before the first read only; *out is borrowed
 * until the next call. */
CFB_MUST_CHECK cfb_code cfb_source__peek(cfb_source_t *s, size_t want, cfb_str *out, cfb_err *err);
/* Bytes delivered so far, counted after decompression. */
uint64_t cfb_source__offset(const cfb_source_t *s);
/* A source that is not compressed: all its bytes at once, without going through the source. */
typedef struct cfb_plain {
    const char *data; /* memory; else NULL and a regular file */
    int fd;
    uint64_t size;
} cfb_plain;
bool cfb_source__plain(const cfb_source_t *s, cfb_plain *out);
/* Bytes used of the file as it lies there (compressed), and its size or 0. */
uint64_t cfb_source__raw_offset(const cfb_source_t *s);
uint64_t cfb_source__raw_size(const cfb_source_t *s);
/* The path for messages: at most 200 bytes, cut at its front. */
const char *cfb_source__label(const cfb_source_t *s);
/* The path or name as it was given. */
const char *cfb_source__path(const cfb_source_t *s);
void cfb_source__close(cfb_source_t *s);

/* ---- the text window: unread text in one piece, for formats whose records are found by scanning ---- */

typedef struct cfb_window {
    cfb_source_t *src; /* owned */
    char *buf;
    size_t cap, pos, len; /* unread: buf[pos .. len) */
    uint64_t base;        /* offset of buf[0] in the stream */
    bool eof;             /* buf[len] is the end of the data */
} cfb_window;

/* Reads until `target` bytes are unread or the data ends. Moves the text: pointers into buf become invalid. */
CFB_MUST_CHECK cfb_code cfb_window__fill(cfb_window *w, size_t target, cfb_err *err);
/* At least doubles the unread text. Precondition: not at the end. */
CFB_MUST_CHECK cfb_code cfb_window__grow(cfb_window *w, cfb_err *err);
/* Skips a byte order mark. Call once, first. */
CFB_MUST_CHECK cfb_code cfb_window__start(cfb_window *w, cfb_source_t *src, cfb_err *err);
void cfb_window__free(cfb_window *w);
uint64_t cfb_window__offset(const cfb_window *w, const char *p);
size_t cfb_text__count_lines(const char *p, const char *end); /* number of '\n' */

/* ---- the reader ---- */

typedef struct cfb_format {
    const char *name;
    /* Adds the rows of the next batch with cfb_reader__add_row; adds none at the end. */
    cfb_code (*next)(cfb_reader_t *r, cfb_err *err);
    void (*close)(cfb_reader_t *r); /* frees r->state */
} cfb_format;

struct cfb_reader {
    cfb_reader_opts opts; /* columns is NULL here: see names and required */
    cfb_str *names;       /* (n_columns), NUL-terminated */
    bool *required, *has; /* (n_columns) */
    bool *seen;           /* (n_columns), scratch of one row */
    const cfb_format *format;
    void *state;         /* the format's own */
    cfb_arena_t *arena;  /* lives as long as the reader */
    cfb_arena_t *values; /* cell texts of one batch that are in no other buffer */
    cfb_str *cells;      /* (cap_rows, n_columns) */
    uint64_t *lines;
    size_t n_rows, cap_rows, batch_bytes;
    const char *file; /* of the batch's rows */
    uint64_t first_row;
    bool dead;
    cfb_arena_t *capture; /* cfb_dataset_columns: where the column names go; NULL for readers of rows */
    cfb_str *captured;
    size_t n_captured;
};

/* A text format's zeroed state, set up in r with its format and file; NULL (src closed, ENOMEM in err) without memory. */
void *cfb_reader__new_state(cfb_reader_t *r, const cfb_format *format, size_t size, cfb_source_t *src, cfb_err *err);

/* Room for one more row of the batch: its cells (n_columns), all null. The row counts only once finished. */
CFB_MUST_CHECK cfb_code cfb_reader__add_row(cfb_reader_t *r, uint64_t line, cfb_str **cells, cfb_err *err);
void cfb_reader__finish_row(cfb_reader_t *r, size_t bytes);
bool cfb_reader__batch_full(const cfb_reader_t *r);
/* How much unread text a format should have before it looks for the records of a batch. */
size_t cfb_reader__window_target(const cfb_reader_t *r);
/* Largest record of a text format: several values, and room for delimiters. */
size_t cfb_reader__max_record(const cfb_reader_t *r);
/* Wanted column with this exact name at or after `from`, or n_columns. */
size_t cfb_reader__find(const cfb_reader_t *r, cfb_str name, size_t from);
/* Every format calls this once it knows its columns: a required one that is not there is an error that lists those there are.
 * where: "file" or "file:line". */
CFB_MUST_CHECK cfb_code cfb_reader__check_columns(cfb_reader_t *r, const char *where, const cfb_str *have, size_t n_have,
                                                  cfb_err *err);

/* The window of a text format's reader that was just opened: it stands before the first row, in line *line. NULL: no text format.
 */
cfb_window *cfb_reader__text(cfb_reader_t *r, uint64_t *line);
cfb_window *cfb_csv__window(cfb_reader_t *r, uint64_t *line);
cfb_window *cfb_jsonl__window(cfb_reader_t *r, uint64_t *line);
/* format: "csv", ... or NULL (by content and name). */
cfb_code cfb_reader__open_as(const char *path, const cfb_reader_opts *opts, const char *format, cfb_reader_t **out, cfb_err *err);

/* Each format takes over src, also when it fails. */
cfb_code cfb_csv__open(cfb_reader_t *r, cfb_source_t *src, cfb_err *err);
cfb_code cfb_jsonl__open(cfb_reader_t *r, cfb_source_t *src, cfb_err *err);
cfb_code cfb_jsonlist__open(cfb_reader_t *r, cfb_source_t *src, cfb_err *err);
/* paths[1 .. n_paths-1] follow after src, which is paths[0]. Paths live in r->arena. */
cfb_code cfb_arrow__open(cfb_reader_t *r, cfb_source_t *src, const char *const *paths, size_t n_paths, cfb_err *err);

/* Paths of a save_to_disk folder's Arrow files, in r->arena. */
cfb_code cfb_folder__list(cfb_reader_t *r, const char *dir, const char *const **paths, size_t *n_paths, cfb_err *err);

#endif
