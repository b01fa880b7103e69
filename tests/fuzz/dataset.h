/* dataset.h - reads everything that the dataset room makes of the input, and touches every byte of it. */
#ifndef FUZZ_DATASET_H
#define FUZZ_DATASET_H

#include "cfbench/dataset.h"

#include <stdlib.h>

static inline void fuzz_dataset(const char *name, const uint8_t *data, size_t size) {
    static const cfb_column columns[] = {{"id", false}, {"question", false}, {"answer", false}, {"label", false}, {"id", false}};
    cfb_reader_opts opts = CFB_READER_OPTS_INIT;
    opts.columns = columns;
    opts.n_columns = sizeof columns / sizeof *columns;
    opts.max_field_bytes = (size_t)1 << 20;
    opts.max_json_bytes = (size_t)4 << 20;
    opts.batch_rows = 7;
    cfb_reader_t *r;
    cfb_rows rows;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_reader_open_memory(name, data, size, &opts, &r, &err) != CFB_OK) {
        if (err.msg[0] == '\0') abort();
        return;
    }
    unsigned sum = 0;
    /* A batch of columns that nobody wants may announce any number of rows: enough is enough. */
    for (int i = 0; i < 200; i++) {
        cfb_code rc = cfb_reader_next(r, &rows, &err);
        if (rc != CFB_OK || rows.n_rows == 0) break;
        for (size_t k = 0; k < rows.n_rows * rows.n_columns; k++)
            for (size_t j = 0; j < rows.cells[k].len; j++) sum += (unsigned char)rows.cells[k].ptr[j];
    }
    volatile unsigned sink = sum;
    (void)sink;
    cfb_reader_close(r);
}

#endif
