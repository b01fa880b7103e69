/* asking.h - the generation half of `run` and `generate`. */
#ifndef CFB_CLI_ASKING_H
#define CFB_CLI_ASKING_H

#include "cli/cli.h"

/* Asks for everything that is missing, into OUT/run.db; says on standard error how it went. *n_failed: rows without a reply.
 * Errors: those of cfb_generate. */
CFB_MUST_CHECK cfb_code cfb_cli_ask(const cfb_config *c, size_t *n_failed, cfb_err *err);

#endif
