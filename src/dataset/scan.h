/* scan.h (private) - what the files of a scan share: the parts and the chain that ties them together.
 *
 * A part covers the bytes [begin, end) of the text: to it belong the records that start there. Where the first one starts is
 * known only from the part before, so each part is cut on a guess, and the chain then tells: it carries, from part to part, where
 * the next record starts, its number and its line. A wrong guess costs time, never a row. */
#ifndef CFB_DATASET_SCAN_H
#define CFB_DATASET_SCAN_H

#include "cfbench/scan.h"
#include "dataset/csv.h"
#include "dataset/simd.h"

#include "cfbench/base.h"
#include "cfbench/trace.h"

#include <pthread.h>

#define SLOTS_PER_THREAD 4

enum scan_mode {
    SCAN_PLAIN,   /* text that lies in memory or in a file as it is: any part can be had at once */
    SCAN_STREAM,  /* text that comes from front to back; parts end where records end */
    SCAN_BATCHES, /* batches of a reader (Arrow, JSON lists) */
};

enum scan_cut {
    CUT_OK,
    CUT_MORE, /* the last record ends behind the text in hand */
    CUT_ODD,  /* not for the fast way */
    CUT_FAIL, /* part->code */
};

typedef struct scan_chain {
    uint64_t start; /* offset of the next record */
    uint64_t rows;  /* records before it */
    uint64_t line;  /* of it */
} scan_chain;

typedef struct scan_buffer {
    char *ptr;
    size_t cap;
} scan_buffer;

typedef struct scan_part {
    cfb_scan_part pub;
    struct cfb_scan *scan;
    uint64_t seq;   /* counts the parts of this process, in the order of their commits */
    uint64_t index; /* counts those of the file */
    bool done;
    /* the text: data[0] is the byte `offset` of the stream */
    const char *data;
    uint64_t offset;
    size_t avail; /* bytes in hand */
    bool eof;     /* nothing more is to be had behind data[avail]: */
    bool final;   /* it is the end of the text, not only of this part's share */
    size_t begin, end;
    scan_buffer buf; /* where it lies; not for memory */
    int owner;       /* the worker that took it */
    int64_t cpu_ns;  /* when it was fetched; 0: not measured */
    /* what was cut */
    cfb_str *cells;    /* (cap_rows, n_columns) */
    uint64_t *numbers; /* (cap_rows) */
    size_t *starts;    /* (cap_rows): of each row, in data */
    uint64_t *lines;   /* SCAN_BATCHES: borrowed */
    size_t n_rows, cap_rows;
    uint64_t n_records; /* rows and bad rows */
    size_t start, next; /* of the first record, and of the first one of the next part */
    uint64_t n_lines;   /* between them */
    scan_chain at;      /* where this part starts: known once it is resolved */
    cfb_scan_bad *bad;
    size_t n_bad, cap_bad;
    cfb_arena_t *texts;
    size_t line_row;   /* cfb_scan_line: the row that was asked for last, */
    uint64_t line_of;  /* its line, */
    size_t line_pos;   /* and its place */
    cfb_reader_t json; /* SCAN for JSON Lines: what cfb_jrow__fill needs */
    cfb_code code;     /* of the record behind the last row, or of `work` */
    cfb_err err;
    uint64_t raw_done; /* bytes of the file used up */
} scan_part;

typedef struct scan_worker {
    uint32_t *marks; /* separators found in a piece of text */
    size_t n_marks, cap_marks;
    csv_field *fields;                  /* (n_header), for the careful path */
    scan_buffer free[SLOTS_PER_THREAD]; /* given back by parts of this worker, the warmest last; behind the scan's lock */
    size_t n_free;
} scan_worker;

/* A file is read in segments of whole parts. Each is mapped, or read part by part: which is faster depends on the size of the
 * page cache's folios, so the first few are tried both ways. */
enum scan_way { WAY_OPEN, WAY_MAP, WAY_READ };

typedef struct scan_segment {
    enum scan_way way;
    void *map;
    size_t len;
} scan_segment;

struct cfb_scan {
    cfb_reader_t *reader; /* opened it; knows columns, label, limits */
    enum scan_mode mode;
    bool jsonl;
    const cfb_str *names;
    bool *raw;
    size_t *checked, n_checked; /* CSV: columns that are there and not raw, in the order of their fields */
    size_t n_columns;
    int n_threads;
    size_t n_slots, part_bytes, memory_bytes;
    bool skip_bad_rows;
    cfb_stop *stop;
    cfb_scan_meter *meter, own_meter;
    const char *label;
    size_t max_field_bytes, max_record_bytes;
    csv_state *csv; /* of the reader: header and columns */
    size_t max_source;
    /* SCAN_PLAIN */
    const char *memory; /* or a file: */
    int fd;
    uint64_t size;
    scan_segment *segments;
    size_t n_segments, first_segment, segment_bytes;
    uint64_t n_released; /* segments; the committing thread's */
    bool may_map;
    uint64_t way_ns[3], way_bytes[3]; /* of the segments that were tried */
    atomic_size_t tail;               /* bytes read behind a part, for its last record */
    /* SCAN_PLAIN, shared with other processes */
    const cfb_scan_team *team;
    bool shared;
    uint64_t first_shared, n_shared; /* parts: where the first record is, and how many the file has */
    /* SCAN_STREAM */
    cfb_window *window;
    size_t carry_cap, carry; /* the beginning of a record that the last part did not hold whole */
    char *carry_buf;
    uint64_t stream_offset;
    bool stream_end;
    cfb_err stream_err; /* met behind what was delivered; code OK: none */
    /* SCAN_BATCHES */
    cfb_rows batch;
    size_t batch_pos;
    /* the pipeline; everything below is behind lock, but for n_resolved */
    pthread_mutex_t take, lock;
    pthread_cond_t changed;
    scan_part *parts; /* n_slots */
    scan_worker *workers;
    uint64_t next_part, n_parts;
    atomic_ullong n_resolved;
    scan_chain chain;
    bool chain_dead; /* an error: nothing behind it can be cut */
    uint64_t n_committed;
    bool committing, ended;
    uint64_t raw_done; /* bytes of the file that were committed */
    const cfb_scan_job *job;
    cfb_code code;
    cfb_err err;
};

/* ---- rows of a part (scan_part.c) ---- */
bool scan_part__reserve(scan_part *p, size_t n_rows);
void scan_part__reset(scan_part *p);
/* Records an error (or, where bad rows are skipped, a bad row). Returns true if the part goes on behind it. */
bool scan_part__bad(scan_part *p, uint64_t number, uint64_t line, cfb_err *err);
/* Checks and unescapes what was cut; drops bad rows. Ends at the first error. */
void scan_part__finish(scan_part *p);
cfb_code scan_csv__text(scan_part *p, size_t row, size_t column, cfb_arena_t *arena, cfb_str *out, cfb_err *err);
/* All of a row that is not raw. */
cfb_code scan_csv__row(scan_part *p, size_t row, cfb_err *err);

/* ---- cutting ---- */
/* Cuts on a guess. CUT_OK: start and next are set, and right if the chain says the same start. */
enum scan_cut scan_csv__guess(scan_part *p, scan_worker *w);
/* Cuts from p->start, which is where a record starts. */
enum scan_cut scan_csv__cut(scan_part *p, scan_worker *w);
/* One step of the careful way: a record, or (skip: bad rows are passed over) something that is none: *bad, with err. SCAN_ERROR:
 * no way on. The window's position and line stay for the caller to move. */
enum csv_scan scan_csv__step(csv_state *s, bool skip, char **next, bool *bad, cfb_err *err);
/* Where the last whole record of the text ends; 0: none does. For text that starts with a record. */
size_t scan_csv__last_end(const struct cfb_scan *s, scan_worker *w, const char *text, size_t len);
/* The same, careful: for text that CUT_ODD was said of. */
enum scan_cut scan_csv__strict(scan_part *p, scan_worker *w);
enum scan_cut scan_jsonl__guess(scan_part *p);
enum scan_cut scan_jsonl__cut(scan_part *p);
void scan_jsonl__finish(scan_part *p);
cfb_code scan_jsonl__init(scan_part *p, cfb_err *err);

/* ---- getting text (scan_input.c) ---- */
/* Gives the part its text. SCAN_PLAIN: any time; others: in order, under `take`. *end: there is no such part. */
cfb_code scan_input__fetch(struct cfb_scan *s, scan_part *p, scan_worker *w, bool *end, cfb_err *err);
/* More text behind what the part has (SCAN_PLAIN). */
cfb_code scan_input__extend(scan_part *p, cfb_err *err);
/* The part was cut: what did getting its text cost? */
void scan_input__measure(scan_part *p);
/* The part was committed. */
void scan_input__release(scan_part *p);
cfb_code scan_input__open(struct cfb_scan *s, cfb_err *err);
void scan_input__close(struct cfb_scan *s);

/* Time of this thread for the meter, and for the trace. Returns end_ns. */
static inline int64_t scan__spent(atomic_ullong *meter, const char *name, int64_t begin_ns) {
    int64_t end_ns = cfb_now_ns();
    atomic_fetch_add(meter, (unsigned long long)(end_ns - begin_ns));
    if (cfb_trace_on()) cfb_trace_span("scan", name, CFB_TRACE_HERE, begin_ns, end_ns, NULL, 0);
    return end_ns;
}

#endif
