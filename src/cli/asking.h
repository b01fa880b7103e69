/* asking.h - the generation half of `run` and `generate`, and the mock that both and `mock` start. */
#ifndef CFB_CLI_ASKING_H
#define CFB_CLI_ASKING_H

#include "cfbench/mock.h"
#include "cli/cli.h"

/* Starts the mock model with the --mock-... options (cmd_mock.c); ended by cfb_mock_stop. */
CFB_MUST_CHECK cfb_code cfb_cli_start_mock(const cfb_config *c, cfb_mock_t **out, cfb_err *err);

/* What the command line says about asking, addresses included: everything but suite, tasks, store, mock and callbacks. */
void cfb_cli_set_asking(const cfb_config *c, cfb_generate_opts *o);
/* Everything that decides a reply: a store holds replies of one such configuration only. Errors: ECONFLICT. */
CFB_MUST_CHECK cfb_code cfb_cli_bind_settings(const cfb_config *c, const cfb_suite_t *suite, cfb_store_t *store, cfb_err *err);

/* Asks for everything that is missing, into OUT/run.db; says on standard error how it went. *n_failed: rows without a reply.
 * Errors: those of cfb_generate. */
CFB_MUST_CHECK cfb_code cfb_cli_ask(const cfb_config *c, size_t *n_failed, cfb_err *err);

/* cmd_run.c: scores OUT/run.db; upstream's files (what: CFB_EXPORT_*) and the reports go to dir. */
CFB_MUST_CHECK cfb_code cfb_cli_publish_store(const cfb_config *c, const char *out, const char *dir, unsigned what,
                                              uint64_t *n_failed, cfb_err *err);

#endif
