/* command_line.c - the configuration in effect, as the command line that gives it again. */
#include "config/options.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,=@%+";

/* $'...' holds what no line should: line ends and other control characters. */
static cfb_code put_quoted(cfb_buf *out, const char *word, cfb_err *err) {
    cfb_code rc = cfb_buf_append_str(out, CFB_STR_LIT("$'"), err);
    for (const char *p = word; *p != '\0' && rc == CFB_OK; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\'' || c == '\\')
            rc = cfb_buf_printf(out, err, "\\%c", c);
        else if (c == '\n')
            rc = cfb_buf_append_str(out, CFB_STR_LIT("\\n"), err);
        else
            rc = c < 0x20 || c == 0x7f ? cfb_buf_printf(out, err, "\\%03o", c) : cfb_buf_append_char(out, (char)c, err);
    }
    return rc == CFB_OK ? cfb_buf_append_char(out, '\'', err) : rc;
}

static bool has_control(const char *word) {
    for (const char *p = word; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return true;
    return false;
}

cfb_code cfb_config_shell_word(cfb_buf *out, const char *word, cfb_err *err) {
    size_t n = strlen(word);
    if (n > 0 && strspn(word, plain) == n) return cfb_buf_append(out, word, n, err);
    if (has_control(word)) return put_quoted(out, word, err);
    cfb_code rc = cfb_buf_append_char(out, '\'', err);
    for (const char *p = word; *p != '\0' && rc == CFB_OK; p++)
        rc = *p == '\'' ? cfb_buf_append_str(out, CFB_STR_LIT("'\\''"), err) : cfb_buf_append_char(out, *p, err);
    return rc == CFB_OK ? cfb_buf_append_char(out, '\'', err) : rc;
}

static cfb_code put_option(cfb_buf *out, const cfb_opt *o, const char *value, cfb_err *err) {
    cfb_code rc = cfb_buf_printf(out, err, " --%s", o->name);
    /* a value that begins with a dash would be taken for an option */
    if (rc == CFB_OK && value) rc = cfb_buf_append_char(out, value[0] == '-' ? '=' : ' ', err);
    return rc == CFB_OK && value ? cfb_config_shell_word(out, value, err) : rc;
}

static bool same_list(const cfb_string_list *a, const cfb_string_list *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0) return false;
    return true;
}

static cfb_code put_list(cfb_buf *out, const cfb_opt *o, const cfb_string_list *l, const cfb_string_list *def, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (same_list(l, def)) return CFB_OK;
    for (size_t i = 0; i < l->n && rc == CFB_OK; i++) rc = put_option(out, o, o->flags & OPT_HIDDEN ? "..." : l->items[i], err);
    return rc;
}

static cfb_code put_if_set(cfb_buf *out, const cfb_opt *o, const void *field, const void *def, cfb_err *err) {
    char number[32];
    switch (o->type) {
    case OPT_BOOL:
        if (*(const bool *)field == *(const bool *)def) return CFB_OK;
        return *(const bool *)field ? put_option(out, o, NULL, err) : cfb_buf_printf(out, err, " --no-%s", o->name);
    case OPT_INT:
        if (*(const int64_t *)field == *(const int64_t *)def) return CFB_OK;
        snprintf(number, sizeof number, "%lld", (long long)*(const int64_t *)field);
        return put_option(out, o, number, err);
    case OPT_DOUBLE:
        if (*(const double *)field == *(const double *)def) return CFB_OK;
        cfb_format_plain(*(const double *)field, number);
        return put_option(out, o, number, err);
    case OPT_LIST: return put_list(out, o, field, def, err);
    default: break;
    }
    const char *value = *(const char *const *)field, *usual = *(const char *const *)def;
    if (value == NULL || (usual && strcmp(value, usual) == 0)) return CFB_OK;
    return put_option(out, o, o->flags & OPT_HIDDEN ? "..." : value, err);
}

/* What is said of a run, not of how it is shown. */
static bool is_told(const cfb_config *c, const cfb_opt *o) {
    if ((o->flags & (OPT_SECRET | OPT_ACTION)) != 0 || !cfb_opt_is_for(o, c->command)) return false;
    if (c->mock && strcmp(o->name, "base-url") == 0) return false;
    if (strcmp(o->name, "config") == 0 || strcmp(o->name, "threads") == 0 || strcmp(o->name, "preset") == 0) return false;
    static const char *const told[] = {"out", "where", "sample", "worst"}; /* choices of rows are part of a report */
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strcmp(o->name, told[i]) == 0) return true;
    return o->group != GROUP_OUTPUT;
}

cfb_code cfb_config_print_command(const cfb_config *c, cfb_buf *out, cfb_err *err) {
    cfb_loader l;
    cfb_config usual = {0};
    cfb_code rc = cfb_loader_init(&l, c->command, &usual, err);
    if (rc == CFB_OK) rc = cfb_loader_defaults(&l, err);
    if (rc == CFB_OK) rc = cfb_buf_printf(out, err, "cfbench %s", cfb_command_name(c->command));
    for (size_t i = 0; i < cfb_opts_count && rc == CFB_OK; i++) {
        const cfb_opt *o = &cfb_opts[i];
        if (is_told(c, o)) rc = put_if_set(out, o, cfb_opt_field_const(o, c), cfb_opt_field_const(o, &usual), err);
    }
    cfb_config_free(&usual);
    return rc;
}
