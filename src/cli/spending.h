/* spending.h - what a run may take from elsewhere and what it may spend: response cache, budgets, prices, usage ledger. */
#ifndef CFB_CLI_SPENDING_H
#define CFB_CLI_SPENDING_H

#include "cfbench/cache.h"
#include "cfbench/ledger.h"
#include "cfbench/price.h"
#include "cli/cli.h"

typedef struct cfb_cli_spending {
    cfb_cache_t *cache;
    cfb_ledger_t *ledger;
    cfb_prices_t *prices;
    cfb_token_price price;
    const cfb_price *model_price; /* NULL: unknown */
    const char *model;
    char key_hash[CFB_KEY_HASH_SIZE];
    bool said; /* that the ledger cannot be written */
} cfb_cli_spending;

/* Opens what the options name and sets it in o (cache, budget); s must stay where it is until it is closed. The ledger is kept by
 * runs that were given a budget, prices or a usage file; by others it is not touched. Replies of
 * the built-in mock are not cached. Errors: those of the files; ECONFIG where
 * --max-cost has no price to go by. Then s is closed. */
CFB_MUST_CHECK cfb_code cfb_cli_spending_open(const cfb_config *c, cfb_cli_spending *s, cfb_generate_opts *o, cfb_err *err);
void cfb_cli_spending_close(cfb_cli_spending *s); /* after the run; a zeroed one is fine */

#endif
