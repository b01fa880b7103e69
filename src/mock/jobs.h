/* jobs.h - the Files and Batches endpoints, in memory. */
#ifndef CFB_MOCK_JOBS_H
#define CFB_MOCK_JOBS_H

#include "mock/plan.h"

#define CFB_MOCK__MAX_FILE ((size_t)200 << 20)  /* as OpenAI's limit for batch input */
#define CFB_MOCK__MAX_STORE ((size_t)512 << 20) /* all files together */
#define CFB_MOCK__MAX_ROWS 50000                /* of one batch, as OpenAI's limit */

typedef struct cfb_mock__jobs cfb_mock__jobs;

/* delay_s: from the creation of a batch to its end. */
CFB_MUST_CHECK cfb_code cfb_mock__jobs_new(double delay_s, uint64_t seed, cfb_mock__jobs **out, cfb_err *err);
void cfb_mock__jobs_free(cfb_mock__jobs *j); /* NULL is fine */

/* Plans the reply to a request for /files... or /batches...; m's model answers the rows. Threads: safe. */
CFB_MUST_CHECK cfb_code cfb_mock__jobs_plan(cfb_mock__jobs *j, cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p,
                                            cfb_err *err);

#endif
