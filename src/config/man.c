/* man.c - man pages in the troff man macros, from the option table. */
#include "config/options.h"

#include <ctype.h>

/* Text as troff input: a minus that can be copied, no escape, no request. */
static void put_text(FILE *to, const char *text) {
    if (text[0] == '.' || text[0] == '\'') fputs("\\&", to);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\')
            fputs("\\e", to);
        else if (*p == '-')
            fputs("\\-", to);
        else if (*p == '\'')
            fputs("\\(aq", to);
        else if (*p == '~')
            fputs("\\(ti", to);
        else
            fputc(*p, to);
    }
}

static void put_upper(FILE *to, const char *text) {
    for (const char *p = text; *p != '\0'; p++) fputc(toupper((unsigned char)*p), to);
}

static void put_line(FILE *to, const char *text) {
    put_text(to, text);
    fputc('\n', to);
}

static void put_tagged(FILE *to, const char *tag, const char *text) {
    fputs(".TP\n\\fB", to);
    put_text(to, tag);
    fputs("\\fR\n", to);
    put_line(to, text);
}

static void put_title(FILE *to, const char *command) {
    fputs(".TH CFBENCH", to);
    if (command[0] != '\0') fputs("\\-", to);
    put_upper(to, command);
    fputs(" 1 \"\" cfbench \"cfbench manual\"\n.nh\n.ad l\n", to);
}

static void put_option(FILE *to, const cfb_opt *o) {
    char note[160];
    fputs(".TP\n", to);
    if (o->letter != '\0') fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", to);
    put_text(to, o->name);
    fputs("\\fR", to);
    if (o->type != OPT_BOOL) {
        fputs(" \\fI", to);
        put_text(to, cfb_opt_metavar(o));
        fputs("\\fR", to);
    }
    fputc('\n', to);
    cfb_opt_note(o, note, sizeof note);
    put_line(to, o->help);
    if (note[0] != '\0') put_line(to, note);
}

static void put_options(FILE *to, cfb_command command) {
    fputs(".SH OPTIONS\n", to);
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        bool any = false;
        for (size_t i = 0; i < cfb_opts_count; i++) {
            const cfb_opt *o = &cfb_opts[i];
            if (o->group != (cfb_opt_group)g || !cfb_opt_is_for(o, command) || (o->flags & OPT_SECRET) != 0) continue;
            if (!any) fprintf(to, ".SS %s\n", cfb_opt_group_heading((cfb_opt_group)g));
            any = true;
            put_option(to, o);
        }
    }
    fputs(".PP\n", to);
    put_line(to, "An on/off option is turned off by --no-NAME. A value may follow after a space or after =.");
    put_line(to, "Of an option that is given twice, the last one counts, unless its text says otherwise.");
}

static void put_presets(FILE *to) {
    fputs(".SH PRESETS\nValues that are given otherwise win over those of a preset.\n", to);
    for (size_t i = 0; i < cfb_presets_count; i++) {
        char text[128];
        snprintf(text, sizeof text, "--max-workers %s --api-rate-limit %s", cfb_presets[i].max_workers,
                 cfb_presets[i].api_rate_limit);
        put_tagged(to, cfb_presets[i].name, text);
    }
}

static void put_tail(FILE *to, cfb_command command) {
    fputs(".SH ENVIRONMENT\n", to);
    for (const cfb_env_info *e = cfb_env_infos; e->name != NULL; e++) put_tagged(to, e->name, e->text);
    fputs(".SH EXIT STATUS\n", to);
    for (size_t i = 0; i < cfb_exits_count; i++) {
        char status[16];
        snprintf(status, sizeof status, "%d", cfb_exits[i].status);
        put_tagged(to, status, cfb_exits[i].text);
    }
    if ((unsigned)command < CFB_CMD_COUNT) {
        fputs(".SH EXAMPLES\n", to);
        for (const char *const *e = cfb_commands[command].examples; e[0] != NULL; e += 2) {
            fputs(".PP\n", to);
            put_line(to, e[0]);
            fputs(".PP\n.RS 4\n.nf\n", to);
            put_line(to, e[1]);
            fputs(".fi\n.RE\n", to);
        }
    }
    fputs(".SH SEE ALSO\n", to);
    bool first = true;
    if ((unsigned)command < CFB_CMD_COUNT) {
        fputs("\\fBcfbench\\fR(1)", to);
        first = false;
    }
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) {
        if (i == (unsigned)command) continue;
        fprintf(to, "%s\\fBcfbench\\-%s\\fR(1)", first ? "" : ",\n", cfb_command_name((cfb_command)i));
        first = false;
    }
    fputc('\n', to);
}

static void put_overview(FILE *to) {
    put_title(to, "");
    fputs(".SH NAME\ncfbench \\- benchmark language models on CFBenchmark and on suites of your own\n"
          ".SH SYNOPSIS\n\\fBcfbench\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
          ".SH DESCRIPTION\n"
          "Asks a language model the questions of CFBenchmark (Chinese financial texts) or of a suite of your own, and\n"
          "scores the replies, with many calls side by side and without losing one.\n"
          ".SH COMMANDS\n",
          to);
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++)
        put_tagged(to, cfb_command_name((cfb_command)i), cfb_command_summary((cfb_command)i));
    fputs(".SH CONFIGURATION\n", to);
    put_line(to, "Values come from these sources, the later ones winning: defaults, the preset, the config file (--config "
                 "FILE), the environment, the command line.");
    put_line(to, "The config file is one JSON object; its members are the long names of options without the dashes in "
                 "front. Members that begin with x- are ignored, others that are unknown are errors.");
    put_line(to, "--print-config writes the configuration in effect as such a file.");
    put_presets(to);
    put_tail(to, CFB_CMD_COUNT);
}

void cfb_config_print_man(FILE *to, cfb_command command) {
    if ((unsigned)command >= CFB_CMD_COUNT) {
        put_overview(to);
        return;
    }
    const cfb_command_info *info = &cfb_commands[command];
    const char *name = cfb_command_name(command);
    put_title(to, name);
    fprintf(to, ".SH NAME\ncfbench\\-%s \\- ", name);
    put_line(to, cfb_command_summary(command));
    fprintf(to, ".SH SYNOPSIS\n\\fBcfbench %s\\fR [\\fIOPTIONS\\fR]", name);
    if (info->operands[0] != '\0') {
        fputs(" \\fI", to);
        put_text(to, info->operands);
        fputs("\\fR", to);
    }
    fputs("\n.SH DESCRIPTION\n", to);
    put_line(to, info->description);
    put_options(to, command);
    if (cfb_opt_is_for(cfb_opt_find("preset", 6, command), command)) put_presets(to);
    put_tail(to, command);
}
