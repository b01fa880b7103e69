/* asked.h - how a run was asked, from its store: the report's account of calls, tokens, latencies. */
#ifndef CFB_CLI_ASKED_H
#define CFB_CLI_ASKED_H

#include "cli/cli.h"

/* Fills out from the store. source, model and setting are borrowed; everything else that out borrows is in arena. Errors: those
 * of reading the store, ENOMEM. */
CFB_MUST_CHECK cfb_code cfb_cli_asked(cfb_store_t *store, const char *source, const char *model, const char *setting,
                                      cfb_arena_t *arena, cfb_report_asking *out, cfb_err *err);
/* asked_notes.c: notes in the store how this call asks: version, command, currency (NULL: unknown). The store is open for
 * writing. before is filled with what was there, for a call that had nothing to ask: cfb_cli_unnote_asking puts it back. */
typedef struct cfb_cli_notes {
    struct {
        char name[24];
        const char *old; /* borrowed from the store; NULL: none */
    } list[3];
    size_t n;
} cfb_cli_notes;
CFB_MUST_CHECK cfb_code cfb_cli_note_asking(const cfb_config *c, cfb_store_t *store, const char *currency, cfb_cli_notes *before,
                                            cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_cli_unnote_asking(cfb_store_t *store, const cfb_cli_notes *before, cfb_err *err);
/* asked_notes.c: the settings, notes and commands of a store. */
CFB_MUST_CHECK cfb_code cfb_cli_asked_settings(cfb_store_t *store, cfb_arena_t *arena, cfb_report_asking *out, cfb_err *err);

#endif
