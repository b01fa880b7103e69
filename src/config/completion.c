/* completion.c - shell completions, from the option table. */
#include "config/options.h"

static bool is_shown(const cfb_opt *o, cfb_command command) { return cfb_opt_is_for(o, command) && (o->flags & OPT_SECRET) == 0; }

/* The help text up to its first semicolon or colon, without what shells treat specially. An apostrophe is the printer's one. */
static void put_short_help(FILE *to, const char *help) {
    for (const char *p = help; *p != '\0' && *p != ';' && *p != ':'; p++) {
        if (*p == '\'')
            fputs("\xE2\x80\x99", to);
        else if (strchr("\"[]$`\\", *p) == NULL)
            fputc(*p, to);
    }
}

/* "a|b|c" as "a b c" */
static void put_choices(FILE *to, const char *choices) {
    for (const char *p = choices; *p != '\0'; p++) fputc(*p == '|' ? ' ' : *p, to);
}

static void put_commands(FILE *to) {
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) fprintf(to, "%s%s", i == 0 ? "" : " ", cfb_command_name((cfb_command)i));
}

static bool takes_dir(const cfb_opt *o) { return o->type == OPT_PATH && o->metavar != NULL && strcmp(o->metavar, "DIR") == 0; }

/* bash: values of options with choices or paths, then option names of the command, then files. */
static void put_bash_values(FILE *to) {
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        if (o->type == OPT_BOOL || cfb_opt_find(o->name, strlen(o->name), CFB_CMD_COUNT) != o) continue;
        fprintf(to, "        --%s", o->name);
        if (o->letter != '\0') fprintf(to, "|-%c", o->letter);
        fputs(") ", to);
        if (o->choices != NULL) {
            fputs("words='", to);
            put_choices(to, o->choices);
            fputs("'; action=words", to);
        } else {
            fputs(takes_dir(o)                                           ? "action=dirs"
                  : o->type == OPT_PATH || strcmp(o->name, "suite") == 0 ? "action=files"
                                                                         : "action=none",
                  to);
        }
        fputs(" ;;\n", to);
    }
}

static void print_bash(FILE *to) {
    fputs("# bash completion for cfbench\n"
          "_cfbench() {\n"
          "    local cur prev command= words= action= i\n"
          "    cur=${COMP_WORDS[COMP_CWORD]}\n"
          "    prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    if [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
          "    if [[ $cur == = ]]; then cur=; fi\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n",
          to);
    fputs("        ", to);
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) fprintf(to, "%s%s", i == 0 ? "" : "|", cfb_command_name((cfb_command)i));
    fputs(") command=${COMP_WORDS[i]}; break ;;\n"
          "        esac\n"
          "    done\n"
          "    case $prev in\n",
          to);
    put_bash_values(to);
    fputs("    esac\n"
          "    if [[ -z $action && $cur == -* ]]; then\n"
          "        action=words\n"
          "        case $command in\n",
          to);
    for (unsigned c = 0; c < CFB_CMD_COUNT; c++) {
        fprintf(to, "        %s) words='", cfb_command_name((cfb_command)c));
        const char *glue = "";
        for (size_t i = 0; i < cfb_opts_count; i++)
            if (is_shown(&cfb_opts[i], (cfb_command)c)) {
                fprintf(to, "%s--%s", glue, cfb_opts[i].name);
                glue = " ";
            }
        fputs("' ;;\n", to);
    }
    fputs("        *) words='--help --version' ;;\n"
          "        esac\n"
          "    elif [[ -z $action && -z $command ]]; then\n"
          "        action=words\n"
          "        words='",
          to);
    put_commands(to);
    fputs("'\n"
          "    fi\n"
          "    COMPREPLY=()\n"
          "    case $action in\n"
          "    words) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
          "    dirs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
          "    none) ;;\n"
          "    *) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
          "    esac\n"
          "}\n"
          "complete -F _cfbench cfbench\n",
          to);
}

static void put_zsh_option(FILE *to, const cfb_opt *o) {
    if (o->letter != '\0')
        fprintf(to, "        '(-%c --%s)'{-%c,--%s%s}'[", o->letter, o->name, o->letter, o->name, o->type == OPT_BOOL ? "" : "=");
    else
        fprintf(to, "        '--%s%s[", o->name, o->type == OPT_BOOL ? "" : "=");
    put_short_help(to, o->help);
    fputs("]", to);
    if (o->type != OPT_BOOL) {
        fprintf(to, ":%s:", o->name);
        if (o->choices != NULL) {
            fputc('(', to);
            put_choices(to, o->choices);
            fputc(')', to);
        } else if (o->type == OPT_PATH || strcmp(o->name, "suite") == 0) {
            fputs(takes_dir(o) ? "_files -/" : "_files", to);
        }
    }
    fputs("' \\\n", to);
}

static void print_zsh(FILE *to) {
    fputs("#compdef cfbench\n"
          "_cfbench() {\n"
          "    local -a commands\n"
          "    local curcontext=\"$curcontext\" state line\n"
          "    commands=(\n",
          to);
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) {
        fprintf(to, "        '%s:", cfb_command_name((cfb_command)i));
        put_short_help(to, cfb_command_summary((cfb_command)i));
        fputs("'\n", to);
    }
    fputs("    )\n"
          "    _arguments -C '(-h --help)'{-h,--help}'[print help]' '(-V --version)'{-V,--version}'[print the version]' \\\n"
          "        '1:command:->command' '*::argument:->argument'\n"
          "    case $state in\n"
          "    command) _describe command commands ;;\n"
          "    argument)\n"
          "        case $words[1] in\n",
          to);
    for (unsigned c = 0; c < CFB_CMD_COUNT; c++) {
        fprintf(to, "        %s) _arguments -s \\\n", cfb_command_name((cfb_command)c));
        for (size_t i = 0; i < cfb_opts_count; i++)
            if (is_shown(&cfb_opts[i], (cfb_command)c)) put_zsh_option(to, &cfb_opts[i]);
        fputs(cfb_commands[c].max_args > 0 ? "        '*:path:_files' ;;\n" : "        && return ;;\n", to);
    }
    fputs("        esac ;;\n"
          "    esac\n"
          "}\n"
          "if [ \"$funcstack[1]\" = _cfbench ]; then _cfbench \"$@\"; else compdef _cfbench cfbench; fi\n",
          to);
}

static void put_fish_option(FILE *to, const cfb_opt *o) {
    fputs("complete -c cfbench -n '__fish_seen_subcommand_from", to);
    for (unsigned c = 0; c < CFB_CMD_COUNT; c++)
        if (cfb_opt_is_for(o, (cfb_command)c)) fprintf(to, " %s", cfb_command_name((cfb_command)c));
    fprintf(to, "' -l %s", o->name);
    if (o->letter != '\0') fprintf(to, " -s %c", o->letter);
    if (o->choices != NULL) {
        fputs(" -x -a '", to);
        put_choices(to, o->choices);
        fputc('\'', to);
    } else if (o->type == OPT_PATH || strcmp(o->name, "suite") == 0) {
        fputs(" -r -F", to);
    } else if (o->type != OPT_BOOL) {
        fputs(" -x", to);
    }
    fputs(" -d '", to);
    put_short_help(to, o->help);
    fputs("'\n", to);
}

static void print_fish(FILE *to) {
    fputs("# fish completion for cfbench\n", to);
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++) {
        fprintf(to, "complete -c cfbench -f -n __fish_use_subcommand -a %s -d '", cfb_command_name((cfb_command)i));
        put_short_help(to, cfb_command_summary((cfb_command)i));
        fputs("'\n", to);
    }
    for (size_t i = 0; i < cfb_opts_count; i++)
        if ((cfb_opts[i].flags & OPT_SECRET) == 0) put_fish_option(to, &cfb_opts[i]);
}

cfb_code cfb_config_print_completion(FILE *to, const char *shell, cfb_err *err) {
    if (strcmp(shell, "bash") == 0)
        print_bash(to);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(to);
    else if (strcmp(shell, "fish") == 0)
        print_fish(to);
    else {
        char cut[CFB_SHOWN_SIZE];
        return cfb_err_set(err, CFB_EUSAGE, "there are completions for bash, zsh and fish, not for %s", cfb_shown(shell, cut));
    }
    return CFB_OK;
}
