/* csv.h - the careful way through CSV, record by record: for the reader, and for the parts of a scan that are odd. */
#ifndef CFB_DATASET_CSV_H
#define CFB_DATASET_CSV_H

#include "dataset/internal.h"

typedef struct csv_field {
    char *ptr;
    size_t len;
    size_t n_doubled; /* doubled quotes inside, not yet joined */
} csv_field;

typedef struct csv_state {
    cfb_window win;
    const char *label; /* the file, for messages */
    size_t max_field_bytes, max_record_bytes;
    uint64_t line;     /* of win.pos, 1-based */
    csv_field *fields; /* (cap_fields): the first fields of the record */
    size_t cap_fields, n_fields;
    size_t n_header;
    size_t *source_of; /* (n_columns): field of each wanted column, or SIZE_MAX */
    uint64_t lines_in_record;
    const char *error_at; /* behind SCAN_ERROR: where scanning stopped */
    cfb_code code;        /* behind SCAN_ERROR */
} csv_state;

enum csv_scan { SCAN_RECORD, SCAN_MORE, SCAN_ERROR };

/* Finds the fields of the record at the window's position, which is not an empty line. Nothing is changed in the text. */
enum csv_scan cfb_csv__scan_record(csv_state *s, char **next, cfb_err *err);
/* pandas skips empty lines. Returns false if it takes more text to tell. */
bool cfb_csv__skip_empty_lines(csv_state *s);
cfb_code cfb_csv__record_too_large(const csv_state *s, cfb_err *err);
/* The record has another number of fields than the header. */
cfb_code cfb_csv__wrong_fields(const char *label, uint64_t line, size_t expected, size_t found, cfb_err *err);
/* column: its name, or null for the header. at: byte in the file. */
cfb_code cfb_csv__broken_utf8(const char *label, uint64_t line, uint64_t at, cfb_str column, cfb_err *err);
/* Joins doubled quotes: from and to may be the same. Returns the new length. */
size_t cfb_csv__join_doubled(const char *from, size_t len, char *to);

#endif
