/* What a run store says about how it was made: settings that decide replies, and notes that each call of `run` and `generate`
 * leaves: version, command line, currency. */
#include "cli/asked.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_COMMANDS 16
#define MAX_SETTINGS 64

/* "command.03": in the order of first use */
static void command_name(size_t i, char name[24]) { snprintf(name, 24, "command.%02zu", i + 1); }

static cfb_code note(cfb_store_t *store, const char *name, const char *value, cfb_cli_notes *before, cfb_err *err) {
    const char *old = cfb_store_note_get(store, name);
    if (old && strcmp(old, value) == 0) return CFB_OK;
    snprintf(before->list[before->n].name, sizeof before->list[0].name, "%s", name);
    before->list[before->n++].old = old;
    return cfb_store_note_put(store, name, value, err);
}

/* A command that is there already is the same run continued. The last of the places holds the newest. */
static cfb_code note_command(const cfb_config *c, cfb_store_t *store, cfb_cli_notes *before, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(0);
    char name[24];
    cfb_code rc = cfb_config_print_command(c, &text, err);
    for (size_t i = 0; rc == CFB_OK && i < MAX_COMMANDS; i++) {
        command_name(i, name);
        const char *old = cfb_store_note_get(store, name);
        if (old && strcmp(old, text.ptr) == 0) break;
        if (old && i + 1 < MAX_COMMANDS) continue;
        rc = note(store, name, text.ptr, before, err);
        break;
    }
    cfb_buf_free(&text);
    return rc;
}

cfb_code cfb_cli_note_asking(const cfb_config *c, cfb_store_t *store, const char *currency, cfb_cli_notes *before, cfb_err *err) {
    before->n = 0;
    cfb_code rc = note_command(c, store, before, err);
    if (rc == CFB_OK) rc = note(store, "version", CFB_VERSION, before, err);
    return rc == CFB_OK && currency ? note(store, "currency", currency, before, err) : rc;
}

cfb_code cfb_cli_unnote_asking(cfb_store_t *store, const cfb_cli_notes *before, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < before->n && rc == CFB_OK; i++)
        rc = cfb_store_note_put(store, before->list[i].name, before->list[i].old, err);
    return rc;
}

/* ---- reading ---- */

struct taking {
    cfb_arena_t *arena;
    cfb_report_setting *to;
    size_t n;
};

static cfb_code take(struct taking *t, const char *name, const char *value, cfb_err *err) {
    cfb_str n, v;
    if (t->n == MAX_SETTINGS || value == NULL) return CFB_OK;
    cfb_code rc = cfb_arena_dup(t->arena, cfb_str_from(name), &n, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(t->arena, cfb_str_from(value), &v, err);
    if (rc == CFB_OK) t->to[t->n++] = (cfb_report_setting){n.ptr, v.ptr};
    return rc;
}

/* In the order of the options; what is not named here comes behind them, by name. */
static const char *const order[] = {"suite",    "suite.sha256",  "suite.title", "shot",          "model",
                                    "base-url", "system-prompt", "temperature", "max-tokens",    "max-tokens-scale",
                                    "stop",     "n-seed",        "extra-body",  "keep-reasoning"};
#define N_ORDER (sizeof order / sizeof *order)

static cfb_code on_setting(void *ctx, const char *name, const char *value, cfb_err *err) {
    for (size_t i = 0; i < N_ORDER; i++)
        if (strcmp(order[i], name) == 0) return CFB_OK;
    return take(ctx, name, value, err);
}

static cfb_code take_versions(struct taking *t, cfb_store_t *store, cfb_err *err) {
    char schema[16];
    snprintf(schema, sizeof schema, "%d", cfb_store_schema_version());
    cfb_code rc = take(t, "store.created", cfb_store_note_get(store, "created_at"), err);
    if (rc == CFB_OK) rc = take(t, "store.schema", schema, err);
    return rc == CFB_OK ? take(t, "store.cfbench", cfb_store_note_get(store, "version"), err) : rc;
}

/* ---- commands ---- */

static cfb_code keep_command(struct taking *t, const char ***to, size_t *n, const char *text, cfb_err *err) {
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(t->arena, cfb_str_from(text), &copy, err);
    if (rc == CFB_OK) (*to)[(*n)++] = copy.ptr;
    return rc;
}

static cfb_code add_word(cfb_buf *out, const char *option, const char *value, cfb_err *err) {
    cfb_code rc = cfb_buf_printf(out, err, " --%s ", option);
    return rc == CFB_OK ? cfb_config_shell_word(out, value, err) : rc;
}

/* A store without notes (made by an older version, or by batch files): its settings as options. */
static cfb_code command_from_settings(const cfb_report_asking *a, cfb_buf *out, cfb_err *err) {
    cfb_code rc = cfb_buf_append_str(out, CFB_STR_LIT("cfbench run"), err);
    for (size_t i = 0; i < a->n_settings - a->n_notes && rc == CFB_OK; i++) {
        const char *name = a->settings[i].name, *value = a->settings[i].value;
        if (strchr(name, '.') || value[0] == '\0' || strcmp(value, "false") == 0) continue;
        if (strcmp(value, "0") == 0 && strcmp(name, "max-tokens") == 0) continue;
        if (strcmp(name, "max-tokens-scale") == 0 && strtod(value, NULL) == 1) continue;
        if (strcmp(value, "true") == 0)
            rc = cfb_buf_printf(out, err, " --%s", name);
        else if (strcmp(name, "temperature") == 0 && strcmp(value, "none") == 0)
            rc = cfb_buf_append_str(out, CFB_STR_LIT(" --no-temperature"), err);
        else if (strcmp(name, "base-url") == 0 && strcmp(value, "mock") == 0)
            rc = cfb_buf_append_str(out, CFB_STR_LIT(" --mock"), err);
        else
            rc = add_word(out, name, value, err);
    }
    return rc;
}

static cfb_code take_commands(struct taking *t, cfb_store_t *store, cfb_report_asking *out, cfb_err *err) {
    const char **list = cfb_arena_calloc(t->arena, MAX_COMMANDS, sizeof *list), *text;
    char name[24];
    cfb_code rc = list ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    out->commands = list;
    for (size_t i = 0; i < MAX_COMMANDS && rc == CFB_OK; i++) {
        command_name(i, name);
        text = cfb_store_note_get(store, name);
        if (text == NULL) break;
        rc = keep_command(t, &list, &out->n_commands, text, err);
    }
    if (rc != CFB_OK || out->n_commands > 0) return rc;
    cfb_buf b = CFB_BUF_INIT(0);
    rc = command_from_settings(out, &b, err);
    if (rc == CFB_OK) rc = keep_command(t, &list, &out->n_commands, b.ptr, err);
    cfb_buf_free(&b);
    return rc;
}

cfb_code cfb_cli_asked_settings(cfb_store_t *store, cfb_arena_t *arena, cfb_report_asking *out, cfb_err *err) {
    struct taking t = {arena, cfb_arena_calloc(arena, MAX_SETTINGS, sizeof(cfb_report_setting)), 0};
    cfb_code rc = t.to ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < N_ORDER && rc == CFB_OK; i++) rc = take(&t, order[i], cfb_store_setting_get(store, order[i]), err);
    if (rc == CFB_OK) rc = cfb_store_each_setting(store, on_setting, &t, err);
    size_t n = t.n;
    if (rc == CFB_OK) rc = take_versions(&t, store, err);
    out->n_notes = t.n - n;
    out->settings = t.to;
    out->n_settings = t.n;
    const char *currency = cfb_store_note_get(store, "currency");
    cfb_str copy;
    if (rc == CFB_OK && currency) {
        rc = cfb_arena_dup(arena, cfb_str_from(currency), &copy, err);
        if (rc == CFB_OK) out->currency = copy.ptr;
    }
    return rc == CFB_OK ? take_commands(&t, store, out, err) : rc;
}
