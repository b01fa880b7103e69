/* parse.c - the command line, and the order of all sources. */
#include "config/options.h"

#include <stdlib.h>

/* What happens to an option that was read. text is NULL for a bare on/off option, whose value is `on`. */
typedef struct scanner {
    cfb_loader *l;
    int argc;
    char **argv;
    bool apply; /* first pass: find command, operands and --config; second pass: store values */
    size_t n_operands;
    const char **operands;
} scanner;

static const char from_command_line[] = "the command line";

static cfb_code usage(const cfb_loader *l, cfb_err *err, const char *what) {
    const char *command = cfb_command_name(l->c->command);
    return cfb_err_set(err, CFB_EUSAGE, "%s; see 'cfbench %s%s--help'", what, command, command[0] != '\0' ? " " : "");
}

static cfb_code unknown_option(const scanner *s, const char *name, cfb_err *err) {
    const char *names[CFB_OPTS_MAX];
    cfb_command command = s->l->c->command;
    size_t n = 0;
    for (size_t i = 0; i < cfb_opts_count; i++)
        if ((cfb_opts[i].flags & OPT_SECRET) == 0 && (command == CFB_CMD_COUNT || cfb_opt_is_for(&cfb_opts[i], command)))
            names[n++] = cfb_opts[i].name;
    char near[200], cut[CFB_SHOWN_SIZE], what[400];
    cfb_suggest(name, names, n, "--", near, sizeof near);
    snprintf(what, sizeof what, "unknown option --%s%s", cfb_shown(name, cut), near);
    return usage(s->l, err, what);
}

/* "--port is an option of mock, not of run" */
static cfb_code not_for_command(const scanner *s, const cfb_opt *o, cfb_err *err) {
    unsigned mask = 0;
    for (size_t i = 0; i < cfb_opts_count; i++)
        if (strcmp(cfb_opts[i].name, o->name) == 0) mask |= cfb_opts[i].commands;
    char list[128];
    size_t used = 0;
    list[0] = '\0';
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) {
        if ((mask & CMD_BIT(i)) == 0) continue;
        const char *glue = used == 0 ? "" : (mask >> (i + 1)) != 0 ? ", " : " and ";
        int w = snprintf(list + used, sizeof list - used, "%s%s", glue, cfb_command_name((cfb_command)i));
        if (w > 0) used += (size_t)w;
        if (used >= sizeof list) break;
    }
    char what[300];
    snprintf(what, sizeof what, "--%s is an option of %s, not of %s", o->name, list, cfb_command_name(s->l->c->command));
    return usage(s->l, err, what);
}

static cfb_code refuse_key(cfb_err *err) {
    return cfb_err_set(err, CFB_EUSAGE,
                       "--api-key is refused: every user of this machine can read command lines in the process list; put "
                       "the key into the variable OPENAI_API_KEY, or into a file that only you can read and give "
                       "--api-key-file FILE");
}

static cfb_code take(scanner *s, const cfb_opt *o, const char *text, bool on, cfb_err *err) {
    cfb_loader *l = s->l;
    if (!s->apply) {
        if (strcmp(o->name, "config") == 0) l->c->config_file = text;
        if (strcmp(o->name, "profile") == 0) l->c->profile = text;
        if (strcmp(o->name, "print-config") == 0 && text == NULL) l->print_config = on;
        return CFB_OK;
    }
    if (l->c->command != CFB_CMD_COUNT && !cfb_opt_is_for(o, l->c->command)) return not_for_command(s, o, err);
    if ((o->flags & OPT_ACTION) != 0) return CFB_OK;
    if (text == NULL) return cfb_loader_set_bool(l, o, on, RANK_COMMAND_LINE, from_command_line, err);
    return cfb_loader_set_text(l, o, text, RANK_COMMAND_LINE, from_command_line, err);
}

/* Is the next argument rather an option whose predecessor lost its value? */
static bool looks_like_option(const char *arg) {
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') return false;
    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    if (cfb_opt_find(name, len, CFB_CMD_COUNT) != NULL) return true;
    return len > 3 && strncmp(name, "no-", 3) == 0 && cfb_opt_find(name + 3, len - 3, CFB_CMD_COUNT) != NULL;
}

/* The value of an option that needs one: the next argument. */
static cfb_code next_value(scanner *s, const cfb_opt *o, int *i, const char **text, cfb_err *err) {
    char what[256], cut[CFB_SHOWN_SIZE];
    if (*i + 1 >= s->argc) {
        snprintf(what, sizeof what, "--%s needs a value: --%s %s", o->name, o->name, cfb_opt_metavar(o));
        return usage(s->l, err, what);
    }
    const char *next = s->argv[*i + 1];
    if (looks_like_option(next)) {
        size_t len = strcspn(next, "=");
        char option[CFB_SHOWN_SIZE]; /* an option's value is not repeated: it may be secret */
        snprintf(option, sizeof option, "%.*s", (int)(len < sizeof option ? len : sizeof option - 1), next);
        snprintf(what, sizeof what, "--%s needs a value, but the option %s follows (if this is the value: --%s=%s)", o->name,
                 cfb_shown(option, cut), o->name, option);
        return usage(s->l, err, what);
    }
    *i += 1;
    *text = next;
    return CFB_OK;
}

/* --name, --name=value, --name value, --no-name */
static cfb_code scan_long(scanner *s, int *i, cfb_err *err) {
    const char *name = s->argv[*i] + 2;
    size_t len = strcspn(name, "=");
    const char *text = name[len] == '=' ? name + len + 1 : NULL;
    cfb_command command = s->l->c->command;
    const cfb_opt *o = cfb_opt_find(name, len, command);
    bool on = true;
    if (o == NULL && len > 3 && strncmp(name, "no-", 3) == 0) {
        o = cfb_opt_find(name + 3, len - 3, command);
        on = false;
    }
    if (o != NULL && (o->flags & OPT_SECRET) != 0) return refuse_key(err);
    char what[256];
    if (o == NULL) {
        char copy[CFB_SHOWN_SIZE * 2]; /* without a value, which is no business of the message */
        snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), name);
        return unknown_option(s, copy, err);
    }
    if (!on && (o->type != OPT_BOOL || (o->flags & OPT_ACTION) != 0)) {
        snprintf(what, sizeof what, "--no-%s: only on/off options have a --no- form", o->name);
        return usage(s->l, err, what);
    }
    if (text != NULL && (!on || (o->flags & OPT_ACTION) != 0)) {
        snprintf(what, sizeof what, "--%.*s takes no value", (int)len, name);
        return usage(s->l, err, what);
    }
    if (o->type != OPT_BOOL && text == NULL) {
        cfb_code rc = next_value(s, o, i, &text, err);
        if (rc != CFB_OK) return rc;
    }
    return take(s, o, text, on, err);
}

/* -q, -qv, -oDIR, -o DIR */
static cfb_code scan_short(scanner *s, int *i, cfb_err *err) {
    for (const char *p = s->argv[*i] + 1; *p != '\0'; p++) {
        const cfb_opt *o = cfb_opt_find_letter(*p, s->l->c->command);
        if (o == NULL) {
            char what[128];
            if (*p > 0x20 && *p < 0x7f)
                snprintf(what, sizeof what, "unknown option -%c", *p);
            else
                snprintf(what, sizeof what, "unknown option after -");
            return usage(s->l, err, what);
        }
        const char *text = NULL;
        cfb_code rc = CFB_OK;
        if (o->type != OPT_BOOL) {
            if (p[1] != '\0')
                text = p + 1;
            else
                rc = next_value(s, o, i, &text, err);
        }
        if (rc == CFB_OK) rc = take(s, o, text, true, err);
        if (rc != CFB_OK || o->type != OPT_BOOL) return rc;
    }
    return CFB_OK;
}

static cfb_code unknown_command(const cfb_loader *l, const char *arg, cfb_err *err) {
    const char *names[CFB_CMD_COUNT];
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) names[i] = cfb_command_name((cfb_command)i);
    char near[160], cut[CFB_SHOWN_SIZE], what[320];
    cfb_suggest(arg, names, CFB_CMD_COUNT, "", near, sizeof near);
    snprintf(what, sizeof what, "unknown command: %s%s", cfb_shown(arg, cut), near);
    return usage(l, err, what);
}

static cfb_code scan_operand(scanner *s, const char *arg, cfb_err *err) {
    cfb_config *c = s->l->c;
    if (s->apply) return CFB_OK;
    if (c->command != CFB_CMD_COUNT) {
        s->operands[s->n_operands++] = arg;
        return CFB_OK;
    }
    c->command = cfb_command_find(arg);
    return c->command != CFB_CMD_COUNT ? CFB_OK : unknown_command(s->l, arg, err);
}

static cfb_code scan(scanner *s, bool apply, cfb_err *err) {
    s->apply = apply;
    bool options = true, has_command = false;
    for (int i = 1; i < s->argc; i++) {
        const char *arg = s->argv[i];
        cfb_code rc;
        if (options && strcmp(arg, "--") == 0) {
            options = false;
            continue;
        }
        if (options && strncmp(arg, "--", 2) == 0) {
            rc = scan_long(s, &i, err);
        } else if (options && arg[0] == '-' && arg[1] != '\0') {
            rc = scan_short(s, &i, err);
        } else {
            rc = apply && !has_command ? CFB_OK : scan_operand(s, arg, err);
            has_command = true;
        }
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

/* --help wins over anything that is wrong beside it: whoever asks for help gets it. */
static cfb_config_want find_want(int argc, char **argv, cfb_command *command, const char **unknown) {
    cfb_config_want want = CFB_WANT_RUN;
    bool any_operand = false, said_help = false;
    *command = CFB_CMD_COUNT;
    *unknown = NULL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            want = CFB_WANT_HELP;
        else if ((strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0) && want == CFB_WANT_RUN)
            want = CFB_WANT_VERSION;
        if (arg[0] == '-') continue;
        if (!any_operand && strcmp(arg, "help") == 0)
            said_help = true;
        else if (*command == CFB_CMD_COUNT)
            *command = cfb_command_find(arg);
        if (said_help && any_operand && *command == CFB_CMD_COUNT && *unknown == NULL) *unknown = arg; /* help NAME */
        any_operand = true;
    }
    return said_help || argc <= 1 ? CFB_WANT_HELP : want;
}

static cfb_code keep_operands(scanner *s, cfb_err *err) {
    cfb_config *c = s->l->c;
    const cfb_command_info *info = &cfb_commands[c->command];
    if (!s->l->print_config && (s->n_operands < info->min_args || s->n_operands > info->max_args)) {
        char what[256], cut[CFB_SHOWN_SIZE];
        const char *name = cfb_command_name(c->command);
        if (s->n_operands < info->min_args)
            snprintf(what, sizeof what, "use: cfbench %s %s", name, info->operands);
        else
            snprintf(what, sizeof what, "one argument too many: %s (use: cfbench %s%s%s)",
                     cfb_shown(s->operands[info->max_args], cut), name, info->operands[0] != '\0' ? " " : "", info->operands);
        return usage(s->l, err, what);
    }
    for (size_t i = 0; i < s->n_operands; i++) {
        cfb_str copy;
        cfb_code rc = cfb_arena_dup(c->arena, cfb_str_from(s->operands[i]), &copy, err);
        if (rc != CFB_OK) return rc;
        if (copy.len == 0) return usage(s->l, err, "an argument is the empty string");
        s->operands[i] = copy.ptr;
    }
    c->args = s->operands;
    c->n_args = s->n_operands;
    return CFB_OK;
}

static cfb_code read_sources(scanner *s, cfb_err *err) {
    cfb_loader *l = s->l;
    const char *path = l->c->config_file, *variable = getenv("CFBENCH_CONFIG");
    const char *profile = l->c->profile ? l->c->profile : getenv("CFBENCH_PROFILE");
    cfb_code rc = cfb_loader_defaults(l, err);
    if (path != NULL && path[0] == '\0') return usage(l, err, "--config: the value is empty (from the command line)");
    if (path == NULL && variable != NULL && variable[0] != '\0') path = variable;
    if (!cfb_opt_is_for(cfb_opt_find("profile", 7, l->c->command), l->c->command)) profile = NULL;
    if (rc == CFB_OK && profile != NULL && profile[0] != '\0') rc = cfb_loader_read_profile(l, profile, err);
    if (rc == CFB_OK && path != NULL) rc = cfb_loader_read_file(l, path, err);
    if (rc == CFB_OK) rc = cfb_loader_read_env(l, err);
    if (rc == CFB_OK) rc = scan(s, true, err);
    if (rc == CFB_OK) rc = cfb_loader_finish(l, err);
    return rc;
}

cfb_code cfb_config_parse(int argc, char **argv, cfb_config *out, cfb_config_want *want, cfb_err *err) {
    cfb_loader l;
    *want = CFB_WANT_RUN;
    cfb_code rc = cfb_loader_init(&l, CFB_CMD_COUNT, out, err);
    if (rc != CFB_OK) return rc;
    const char *unknown;
    *want = find_want(argc, argv, &out->command, &unknown);
    if (unknown != NULL) {
        rc = unknown_command(&l, unknown, err);
        cfb_config_free(out);
        return rc;
    }
    if (*want != CFB_WANT_RUN) return CFB_OK;
    out->command = CFB_CMD_COUNT;
    scanner s = {&l, argc, argv, false, 0, NULL};
    s.operands = cfb_arena_calloc(out->arena, (size_t)argc + 1, sizeof *s.operands);
    if (s.operands == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "no memory for the command line");
    if (rc == CFB_OK) rc = scan(&s, false, err);
    if (rc == CFB_OK && out->command == CFB_CMD_COUNT) rc = usage(&l, err, "the command is missing");
    if (rc == CFB_OK) rc = keep_operands(&s, err);
    if (rc == CFB_OK) rc = read_sources(&s, err);
    if (rc == CFB_OK && l.print_config) *want = CFB_WANT_PRINT_CONFIG;
    if (rc != CFB_OK) cfb_config_free(out);
    return rc;
}

void cfb_config_free(cfb_config *c) {
    if (c == NULL) return;
    cfb_arena_free(c->arena);
    memset(c, 0, sizeof *c);
}
