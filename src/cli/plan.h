/* plan.h - what a run would take, before it is made: no network, and nothing is written. */
#ifndef CFB_CLI_PLAN_H
#define CFB_CLI_PLAN_H

#include "cfbench/json.h"
#include "cfbench/price.h"
#include "cli/cli.h"

typedef struct cfb_plan_task {
    const char *name;  /* borrowed from the suite */
    size_t rows, done; /* to be asked; answered before */
    uint64_t prompt_bytes, longest_prompt_bytes;
    int max_tokens; /* of one reply */
} cfb_plan_task;

typedef struct cfb_plan {
    cfb_suite_t *suite;
    cfb_plan_task *tasks; /* (n) */
    size_t n, calls, done;
    double prompt_tokens;  /* estimated by bytes */
    double reply_tokens;   /* expected: a tenth of the limits, as limits are set with room to spare */
    double reply_limit;    /* at most */
    double longest_tokens; /* of one call: prompt and reply limit */
    cfb_generate_shape shape;
    double rate_s, tokens_s; /* least time by the rate limits; by --tpm */
    double latency_s;        /* of one call: the mock's, or what was assumed */
    double flight_s;         /* calls * latency / in flight */
    double expected_s;       /* the largest of the three */
    double cost, cost_limit; /* -1: no price */
    char currency[CFB_CURRENCY_SIZE];
    uint64_t store_bytes; /* of the run store, about */
} cfb_plan;

#define CFB_PLAN_TOKENS_PER_BYTE 0.3 /* as the run starts with, until replies have taught it */
#define CFB_PLAN_LATENCY_S 2.0

/* Reads suite and data; with goes_on also the run store of --out, whose answered rows are not asked again. latency_s: of one
 * call; 0 = the mock's, or CFB_PLAN_LATENCY_S. Errors: those of suite and data, of the price file, EUSAGE; of the run store,
 * ECONFLICT where it belongs to another configuration. Owns: *out, freed with cfb_cli_plan_free also after an error. */
CFB_MUST_CHECK cfb_code cfb_cli_plan(const cfb_config *c, double latency_s, bool goes_on, cfb_plan *out, cfb_err *err);
void cfb_cli_plan_free(cfb_plan *p);
void cfb_cli_plan_json(const cfb_plan *p, cfb_jw *w); /* one object */
CFB_MUST_CHECK cfb_code cfb_cli_plan_text(const cfb_plan *p, cfb_buf *out, cfb_err *err);
/* run and generate --dry-run: the plan on standard output. */
CFB_MUST_CHECK cfb_code cfb_cli_dry_run(const cfb_config *c, cfb_err *err);

#endif
