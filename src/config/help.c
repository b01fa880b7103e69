/* help.c - --help, from the option table. */
#include "config/options.h"

#define WIDTH 80
#define OPTION_COLUMN 28

/* Words of text from column `at` on, in lines of WIDTH columns; further lines begin at column `indent`. ASCII only. */
static void put_wrapped(FILE *to, const char *text, size_t indent, size_t at) {
    bool line_start = true;
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (!line_start && at + 1 + n > WIDTH) {
            fputc('\n', to);
            at = 0;
            line_start = true;
        }
        if (line_start) {
            fprintf(to, "%*s", (int)(indent > at ? indent - at : 0), "");
            at = indent > at ? indent : at;
        } else {
            fputc(' ', to);
            at++;
        }
        fwrite(p, 1, n, to);
        at += n;
        line_start = false;
        p += n;
        while (*p == ' ') p++;
    }
    fputc('\n', to);
}

/* "  left      text", the text wrapped at `column`; on the next line where left is too long. */
static void put_row(FILE *to, const char *left, const char *text, size_t column) {
    size_t at = (size_t)fprintf(to, "  %s", left);
    if (at + 1 >= column) {
        fputc('\n', to);
        at = 0;
    }
    put_wrapped(to, text, column, at);
}

static void put_option(FILE *to, const cfb_opt *o) {
    char left[128], note[160], text[512], letter[8] = "    ";
    if (o->letter != '\0') snprintf(letter, sizeof letter, "-%c, ", o->letter);
    const char *metavar = cfb_opt_metavar(o);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, metavar[0] != '\0' ? " " : "", metavar);
    cfb_opt_note(o, note, sizeof note);
    snprintf(text, sizeof text, "%s%s%s", o->help, note[0] != '\0' ? " " : "", note);
    put_row(to, left, text, OPTION_COLUMN);
}

static void put_options(FILE *to, cfb_command command) {
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        bool any = false;
        for (size_t i = 0; i < cfb_opts_count; i++) {
            const cfb_opt *o = &cfb_opts[i];
            if (o->group != (cfb_opt_group)g || !cfb_opt_is_for(o, command) || (o->flags & OPT_SECRET) != 0) continue;
            if (!any) fprintf(to, "\n%s:\n", cfb_opt_group_heading((cfb_opt_group)g));
            any = true;
            put_option(to, o);
        }
    }
    fputc('\n', to);
    put_wrapped(to,
                "An on/off option is turned off by --no-NAME. A value may follow after a space or after =. Options and "
                "arguments may mix; -- ends the options. Of an option that is given twice, the last one counts, unless its help "
                "says otherwise. Every "
                "option can also be set in a config file or in the environment: see 'cfbench --help'.",
                0, 0);
}

static void put_presets(FILE *to) {
    fputs("\nPresets (--preset NAME; values that are given otherwise win):\n", to);
    for (size_t i = 0; i < cfb_presets_count; i++) {
        char text[128];
        snprintf(text, sizeof text, "--max-workers %s --api-rate-limit %s", cfb_presets[i].max_workers,
                 cfb_presets[i].api_rate_limit);
        put_row(to, cfb_presets[i].name, text, 20);
    }
}

static void put_exits(FILE *to) {
    fputs("\nExit codes:\n", to);
    for (size_t i = 0; i < cfb_exits_count; i++) {
        char left[16];
        snprintf(left, sizeof left, "%2d", cfb_exits[i].status);
        put_row(to, left, cfb_exits[i].text, 6);
    }
}

/* A command line, broken with a backslash where it is too long, so that it can be copied. */
static void put_command_line(FILE *to, const char *line) {
    size_t at = (size_t)fprintf(to, "   ");
    for (const char *p = line; *p != '\0';) {
        size_t n = strcspn(p, " ");
        size_t whole = n; /* an option and its value stay together */
        if (*p == '-' && p[n] == ' ' && p[n + 1] != '-') whole += 1 + strcspn(p + n + 1, " ");
        if (p != line && at + 1 + whole + 2 > WIDTH) at = (size_t)fprintf(to, " \\\n       ") - 3;
        at += (size_t)fprintf(to, " %.*s", (int)n, p);
        p += n;
        while (*p == ' ') p++;
    }
    fputc('\n', to);
}

static void put_examples(FILE *to, cfb_command command) {
    fputs("\nExamples:\n", to);
    const char *const *e = cfb_commands[command].examples;
    for (; e[0] != NULL; e += 2) {
        put_wrapped(to, e[0], 2, 0);
        put_command_line(to, e[1]);
    }
}

static void put_overview(FILE *to) {
    fputs("Usage: cfbench COMMAND [OPTIONS] [ARGUMENTS]\n"
          "       cfbench COMMAND --help\n\n",
          to);
    put_wrapped(to,
                "Asks a language model the questions of CFBenchmark (Chinese financial texts) or of a suite of your own, "
                "and scores the replies, with many calls side by side and without losing one.",
                0, 0);
    fputs("\nCommands:\n", to);
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++)
        put_row(to, cfb_command_name((cfb_command)i), cfb_command_summary((cfb_command)i), 12);
    fputs("\nTry it, without a key:\n    cfbench run --mock --suite sample\n", to);
    fputs("\nWhere values come from, the later ones winning:\n", to);
    put_wrapped(to,
                "defaults, the preset, the config file (--config FILE), the environment, the command line. 'cfbench "
                "COMMAND --print-config' shows the result, as a config file.",
                2, 0);
    put_presets(to);
    fputs("\nEnvironment:\n", to);
    for (const cfb_env_info *e = cfb_env_infos; e->name != NULL; e++) put_row(to, e->name, e->text, 22);
    put_exits(to);
    fputs("\nMore: man cfbench, man cfbench-COMMAND, docs/configuration.md\n", to);
}

void cfb_config_print_help(FILE *to, cfb_command command) {
    if ((unsigned)command >= CFB_CMD_COUNT) {
        put_overview(to);
        return;
    }
    const cfb_command_info *info = &cfb_commands[command];
    fprintf(to, "Usage: cfbench %s [OPTIONS]%s%s\n\n", cfb_command_name(command), info->operands[0] != '\0' ? " " : "",
            info->operands);
    put_wrapped(to, info->description, 0, 0);
    put_options(to, command);
    if (cfb_opt_is_for(cfb_opt_find("preset", 6, command), command)) put_presets(to);
    put_examples(to, command);
    put_exits(to);
}
