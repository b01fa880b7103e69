/* config.h - every option, declared once: the command line, --help, config file, environment, presets, man pages and shell
 * completions come from one table (src/config/options.c). */
#ifndef CFBENCH_CONFIG_H
#define CFBENCH_CONFIG_H

#include "cfbench/buf.h"

#include <stdbool.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, name, one-line summary) */
#define CFB_COMMAND_MAP(X)                                                                 \
    X(RUN, "run", "ask the model, score the replies and report, in one go")                \
    X(GENERATE, "generate", "ask the model; a second call asks only for what is missing")  \
    X(SCORE, "score", "score run stores, response files, or folders of them, offline")     \
    X(REPORT, "report", "write the report of a scored run again")                          \
    X(EXPORT, "export", "write a run store in CFBenchmark's CSV layout, or as JSON Lines") \
    X(CONVERT, "convert", "turn Arrow, CSV or JSON data into JSON Lines or CSV")           \
    X(PROMPT, "prompt", "show exactly what would be sent for given rows")                  \
    X(MOCK, "mock", "serve an OpenAI-compatible mock model on loopback")

typedef enum cfb_command {
#define CFB_X(NAME, name, help) CFB_CMD_##NAME,
    CFB_COMMAND_MAP(CFB_X)
#undef CFB_X
        CFB_CMD_COUNT
} cfb_command;

typedef struct cfb_config {
    /* what is asked */
    const char *suite; /* name or path */
    const char *data;  /* folder with the suite's data, or NULL: the suite's own */
    const char *tasks; /* comma-separated names, or NULL: all */
    const char *shot;  /* "zero" or "few" */
    int64_t limit;     /* first N rows of each task; 0 = all */
    /* whom */
    const char *model, *base_url;
    const char *api_key_file;
    const char *api_key; /* from OPENAI_API_KEY or the file; secret: never on the command line, never printed */
    bool mock;           /* serve the built-in mock model for this run */
    const char *system_prompt;
    double temperature;
    int64_t max_tokens; /* 0 = the suite's */
    /* how */
    int64_t max_workers;   /* row workers per task */
    int64_t task_workers;  /* tasks side by side; 0 = min(tasks, max_workers) */
    double api_rate_limit; /* s between two starts, at least */
    const char *preset;
    int64_t max_retries;    /* further tries after the first */
    double retry_base;      /* s before the first retry; doubles */
    double retry_max;       /* s, longest wait between tries */
    double timeout;         /* s, whole call */
    double connect_timeout; /* s */
    int64_t seed;
    /* where to */
    const char *out; /* folder of the run */
    const char *format;
    bool json, quiet, verbose, force;
    bool moved;           /* another --base-url is the same model at another address */
    const char *progress; /* auto, bar, log, off */
    const char *color;    /* auto, always, never */
    /* scoring */
    const char *task;      /* task of the given files, where the file name does not say */
    const char *label_set; /* NULL: the suite's */
    const char *response_column, *output_column;
    int64_t threads; /* 0 = all cores */
    int64_t memory;  /* MiB for reading files; 0 = by what is allowed */
    /* prompt */
    const char *rows; /* "0,10,20-29" */
    bool hash;        /* print SHA-256 instead of text */
    /* mock */
    int64_t port;              /* 0 = any free port */
    const char *port_file;     /* where the mock writes its port once it serves */
    const char *replies;       /* script file of the mock */
    double mock_latency;       /* s, median */
    double mock_latency_sigma; /* log-normal spread; 0 = constant */
    double mock_error_rate;    /* share of replies that differ from the reference */
    const char *mock_faults;   /* "429:0.1,500:0.05,..." */
    int64_t mock_rpm;          /* requests per minute before 429; 0 = no limit */
    const char *mock_key;      /* what the mock demands as a key, or NULL: any key, or none */
    const char *mock_log;      /* JSON Lines of every request served */
    /* not options */
    cfb_command command;
    const char *config_file;
    const char *const *args; /* positional arguments */
    size_t n_args;
    cfb_arena_t *arena; /* owns all strings */
} cfb_config;

/* Parses a command line: defaults, then preset, then the config file, then the environment, then the options, each
 * overriding those before (docs/configuration.md; keys have an order of their own). Validates every value. Errors:
 * EUSAGE/ECONFIG, naming the option, where it came from (command line, file and member, variable), what is allowed and,
 * for a misspelt name, the nearest ones. A config or key file that cannot be read is ECONFIG, EACCESS or ENOMEM.
 * *want: CFB_WANT_HELP (--help anywhere, `help [COMMAND]`, or no arguments) and CFB_WANT_VERSION set only out->command
 * (CFB_CMD_COUNT: none named). CFB_WANT_PRINT_CONFIG: all is set but args may be short, model and api_key NULL.
 * CFB_WANT_RUN: n_args fits the command; for run and generate, model is set, base_url has no trailing slash, and is
 * "mock" exactly if mock is true. Options that the command does not have keep their defaults.
 * Owns: *out, freed with cfb_config_free; after an error it is empty. Threads: call from the main thread. */
typedef enum cfb_config_want { CFB_WANT_RUN, CFB_WANT_HELP, CFB_WANT_VERSION, CFB_WANT_PRINT_CONFIG } cfb_config_want;
CFB_MUST_CHECK cfb_code cfb_config_parse(int argc, char **argv, cfb_config *out, cfb_config_want *want, cfb_err *err);
void cfb_config_free(cfb_config *c);

/* Help of one command, or the overview for CFB_CMD_COUNT: options grouped, with units, defaults, ranges; exit codes. */
void cfb_config_print_help(FILE *to, cfb_command command);
/* The effective configuration as JSON that --config reads back; secrets are left out. */
CFB_MUST_CHECK cfb_code cfb_config_print(const cfb_config *c, cfb_buf *out, cfb_err *err);
/* A man page (troff man macros) of one command, or the overview for CFB_CMD_COUNT. For `make man`. */
void cfb_config_print_man(FILE *to, cfb_command command);
/* Shell completions: shell is "bash", "zsh" or "fish". Errors: EUSAGE. */
CFB_MUST_CHECK cfb_code cfb_config_print_completion(FILE *to, const char *shell, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
