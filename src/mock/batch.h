/* batch.h - the rows of a batch: checked, answered, and written as output and error lines. */
#ifndef CFB_MOCK_BATCH_H
#define CFB_MOCK_BATCH_H

#include "mock/plan.h"

typedef enum cfb_mock__endpoint { CFB_MOCK__ENDPOINT_CHAT, CFB_MOCK__ENDPOINT_EMBED } cfb_mock__endpoint;

bool cfb_mock__endpoint_of(cfb_str url, cfb_mock__endpoint *out);
const char *cfb_mock__endpoint_url(cfb_mock__endpoint e);

#define CFB_MOCK__MAX_BATCH_ERRORS 20

typedef struct cfb_mock__batch_error {
    const char *code;
    char message[160];
    size_t line; /* from 1; 0 = the whole file */
} cfb_mock__batch_error;

/* A row that was answered; its line ends with LF. */
typedef struct cfb_mock__batch_row {
    uint64_t order; /* of the output: a hash of the id, so not the order of the input */
    bool failed;
    size_t at, len; /* its line in text */
} cfb_mock__batch_row;

typedef struct cfb_mock__batch_result {
    cfb_mock__batch_error errors[CFB_MOCK__MAX_BATCH_ERRORS]; /* of the validation: then there are no rows */
    size_t n_errors;
    cfb_mock__batch_row *rows; /* in the order of the output */
    size_t n_rows;
    cfb_buf text;
} cfb_mock__batch_result;

/* Checks all lines of an input file, and then answers them as the endpoint would: faults with a status and faults of the text
 * are drawn too, others are not. Wrong lines are a result. Errors: ENOMEM, EBUG. Owns: *out, zeroed before, freed with
 * cfb_mock__batch_free. */
CFB_MUST_CHECK cfb_code cfb_mock__batch_run(cfb_mock__model *m, cfb_mock__endpoint endpoint, cfb_str input, uint64_t seed,
                                            cfb_mock__batch_result *out, cfb_err *err);
/* Of the first share of the rows: how many have a reply, how many failed; their lines. */
void cfb_mock__batch_counts(const cfb_mock__batch_result *r, double share, size_t *completed, size_t *failed);
CFB_MUST_CHECK cfb_code cfb_mock__batch_files(const cfb_mock__batch_result *r, double share, cfb_buf *output, cfb_buf *errors,
                                              cfb_err *err);
void cfb_mock__batch_free(cfb_mock__batch_result *r);

#endif
