/* ledger.h - the usage ledger: what each key used on each day, over all runs and processes of a user. Budgets are held against
 * it. The keys themselves never get in: only the beginning of a hash. docs/budgets.md describes the file. */
#ifndef CFBENCH_LEDGER_H
#define CFBENCH_LEDGER_H

#include "cfbench/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_ledger cfb_ledger_t;

typedef struct cfb_usage {
    int64_t requests; /* calls that reached the server */
    int64_t prompt_tokens, completion_tokens;
    int64_t cost_micros; /* millionths of the currency's unit: price.h */
} cfb_usage;

#define CFB_KEY_HASH_SIZE 17
/* First 16 hex digits of SHA-256 of a fixed text and the key; a NULL key (a server that needs none) has a hash of its own. */
void cfb_ledger_key_hash(const char *key, char hash[CFB_KEY_HASH_SIZE]);
/* "2026-01-31" of a Unix time in ms: budgets are of days in UTC. */
void cfb_ledger_day(int64_t wall_ms, char day[11]);
/* $XDG_STATE_HOME/cfbench/usage.db, else $HOME/.local/state/cfbench/usage.db. Errors: ECONFIG (no HOME either), ELIMIT. */
CFB_MUST_CHECK cfb_code cfb_ledger_default_path(char *path, size_t size, cfb_err *err);

/* Opens the ledger; makes it and its folder if they are not there, for the user alone. Errors: EACCESS, EDATA (not a usage
 * ledger, a damaged or newer one), EIO, ENOMEM. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_ledger_open(const char *path, cfb_ledger_t **out, cfb_err *err);
void cfb_ledger_close(cfb_ledger_t *l); /* NULL is fine */

/* What a key used on a day, over all models; cost counts only what was noted in this currency (NULL: no cost is wanted). Errors:
 * EDATA, EIO, EACCESS. Threads: safe. */
CFB_MUST_CHECK cfb_code cfb_ledger_get(cfb_ledger_t *l, const char *day, const char *key_hash, const char *currency,
                                       cfb_usage *out, cfb_err *err);
/* Adds to it: one short transaction, so callers collect for about a second. Sums beyond 2^63 stay there. currency may be NULL
 * where cost is 0. Errors: as cfb_ledger_get, ENOSPACE. Threads: safe; processes too. */
CFB_MUST_CHECK cfb_code cfb_ledger_add(cfb_ledger_t *l, const char *day, const char *key_hash, const char *model,
                                       const char *currency, const cfb_usage *delta, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
