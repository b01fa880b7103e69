/* scan.h - all rows of one file, on several threads: parts of the file are read, cut into rows and worked on in parallel, and
 * handed over in the order of the file. What comes out never depends on the number of threads or the size of the parts.
 *
 *   cfb_scan_t *s;
 *   cfb_scan_open("replies.csv", &opts, &s, err);
 *   struct mine *slots = calloc(cfb_scan_n_slots(s), sizeof *slots);         room for the results of a part, one per slot
 *   cfb_scan_run(s, &(cfb_scan_job){&ctx, work, commit}, err);               work: any thread; commit: in order, one at a time
 *   cfb_scan_close(s);
 */
#ifndef CFBENCH_SCAN_H
#define CFBENCH_SCAN_H

#include "cfbench/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_scan_column {
    const char *name;
    bool required; /* a missing one is an error that lists those there are */
    bool raw;      /* only found, neither checked nor unescaped: cfb_scan_text does that for single cells (for texts that are
                      seldom looked at, this is what makes them cheap) */
} cfb_scan_column;

/* Where the time goes, for whoever watches: may be read at any time while a scan runs. Sums over all threads. */
typedef struct cfb_scan_meter {
    atomic_ullong bytes_done;  /* of the file as it lies on the disk, committed */
    atomic_ullong bytes_total; /* its size; 0 where unknown (a pipe) */
    atomic_ullong text_bytes;  /* after decompression */
    atomic_ullong rows_done, bad_rows;
    atomic_ullong ns_read;   /* reading and decompressing */
    atomic_ullong ns_cut;    /* finding records and fields */
    atomic_ullong ns_check;  /* UTF-8, doubled quotes, escapes */
    atomic_ullong ns_work;   /* in work */
    atomic_ullong ns_commit; /* in commit */
    atomic_ullong ns_wait;   /* threads without anything to do */
    atomic_ullong n_again;   /* parts that were cut a second time: a guess about quotes was wrong */
    atomic_ullong n_strict;  /* parts that took the careful path */
} cfb_scan_meter;

/* Where the next record starts: its offset, the records before it, its line. */
typedef struct cfb_scan_place {
    uint64_t start, rows, line;
} cfb_scan_place;

/* How several processes share the parts of one file: each scans those that it takes, and they tell each other where records
 * start. Rows keep the numbers they have in the file; commits of a process are in the order of the file, with gaps. */
typedef struct cfb_scan_team {
    void *ctx;
    /* The next part that no process has taken, from 0; may wait. False: the others gave the file up. One thread at a time. */
    bool (*take)(void *ctx, uint64_t *index);
    /* Waits for tell of the same index, by whichever process. False: the others gave the file up. Any thread. */
    bool (*await)(void *ctx, uint64_t index, cfb_scan_place *at);
    void (*tell)(void *ctx, uint64_t index, const cfb_scan_place *at); /* indexes rise */
    void (*give_up)(void *ctx);                                        /* after an error; maybe more than once */
} cfb_scan_team;

typedef struct cfb_scan_opts {
    const cfb_scan_column *columns; /* delivered in this order; borrowed during open only */
    size_t n_columns;
    const char *format;  /* "csv", "jsonl", "json", "arrow", or NULL: told by content and name ("-": else CSV) */
    int n_threads;       /* 0 = all cores */
    size_t memory_bytes; /* what a scan may hold (its buffers); 0 = 128 MiB. It also bounds a single value (1/16 of it, at least 1
                            MiB, at most 64) and a JSON list */
    size_t max_field_bytes; /* one value: a larger one is an error; 0 = by memory_bytes, or 64 MiB */
    bool skip_bad_rows;     /* rows with a wrong number of fields, broken UTF-8 or broken JSON are passed over, and listed in
                               cfb_scan_part.bad; otherwise the first one ends the scan with an error */
    bool never_map;         /* a plain file may be mapped where that is faster; it must then not get shorter while it is read, or
                               the process gets SIGBUS. true: always copied, which such a file only gives an error */
    cfb_stop *stop;         /* may be NULL; on: cfb_scan_run returns EINTERRUPTED */
    cfb_scan_meter *meter;  /* may be NULL; zero-initialised by the caller, counts on over several scans */
    size_t part_bytes;      /* size of a part; 0 = chosen. Anything from 1 byte on gives the same rows */
    const cfb_scan_team *team; /* may be NULL; else part_bytes must be the same for all processes. Only plain CSV and JSON Lines
                                  files can be shared, see cfb_scan_is_shared; others are scanned whole. Borrowed */
} cfb_scan_opts;
#define CFB_SCAN_OPTS_INIT \
    { NULL, 0, NULL, 0, 0, 0, false, false, NULL, NULL, 0, NULL }

typedef struct cfb_scan_bad {
    uint64_t number, line;
    cfb_code code;
    const char *message; /* with file and line */
} cfb_scan_bad;

/* Some rows that follow each other. Borrowed during the call it is handed to; from work to commit of the same part nothing in
 * it changes. */
typedef struct cfb_scan_part {
    size_t n_rows, n_columns;
    const cfb_str *cells; /* (n_rows, n_columns), row-major; valid UTF-8; a null string is a missing value. raw columns: as they
                             stand in the file, to be used with cfb_scan_text */
    const uint64_t *numbers; /* (n_rows): number of the row in the file, from 0; bad rows count */
    const cfb_scan_bad *bad; /* (n_bad), by number */
    size_t n_bad;
    uint64_t index, n_bytes; /* number of the part in the file from 0 (where processes share it), and its size */
    size_t slot;             /* 0 .. cfb_scan_n_slots - 1: no other part has it until this one was committed */
    void *hidden;
} cfb_scan_part;

typedef struct cfb_scan_job {
    void *ctx;
    /* Called from any thread, several at once; worker is 0 .. n_threads-1 and unique among running calls. */
    cfb_code (*work)(void *ctx, const cfb_scan_part *part, int worker, cfb_err *err);
    /* Called once for each part, in the order of the file, never two at once (but from any thread). */
    cfb_code (*commit)(void *ctx, const cfb_scan_part *part, cfb_err *err);
} cfb_scan_job; /* each may be NULL. An error ends the scan; of several the one of the earliest part is returned. */

typedef struct cfb_scan cfb_scan_t;

/* Opens a file, a save_to_disk folder, or "-" (standard input, plain or compressed). What is read and refused: see dataset.h;
 * messages are the same. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_scan_open(const char *path, const cfb_scan_opts *opts, cfb_scan_t **out, cfb_err *err);
/* The same for bytes in memory, named `name` in messages. Borrows data. */
CFB_MUST_CHECK cfb_code cfb_scan_open_memory(const char *name, const void *data, size_t len, const cfb_scan_opts *opts,
                                             cfb_scan_t **out, cfb_err *err);
bool cfb_scan_is_shared(const cfb_scan_t *s);
const char *cfb_scan_format(const cfb_scan_t *s);
bool cfb_scan_has_column(const cfb_scan_t *s, size_t i); /* JSON: in the first row */
int cfb_scan_n_threads(const cfb_scan_t *s);
size_t cfb_scan_n_slots(const cfb_scan_t *s);
/* Once per scan. Errors: those of the reader with file and line (the lowest bad row wins, whatever the number of threads), those
 * that work and commit return, EINTERRUPTED. */
CFB_MUST_CHECK cfb_code cfb_scan_run(cfb_scan_t *s, const cfb_scan_job *job, cfb_err *err);
void cfb_scan_close(cfb_scan_t *s); /* NULL is fine */

/* The text of one cell, checked and unescaped; a cell of a column that is not raw is returned as it is. In the arena if it had to
 * be changed. Errors: EENCODING, with file and line. */
CFB_MUST_CHECK cfb_code cfb_scan_text(const cfb_scan_part *part, size_t row, size_t column, cfb_arena_t *arena, cfb_str *out,
                                      cfb_err *err);
/* Line where a row starts (CSV, JSON Lines), or its 1-based number. Counts line ends: cheap when rows are asked for in order. */
uint64_t cfb_scan_line(const cfb_scan_part *part, size_t row);

#ifdef __cplusplus
}
#endif
#endif
