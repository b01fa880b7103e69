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
#define CFB_COMMAND_MAP(X)                                                                    \
    X(RUN, "run", "ask the model, score the replies and report, in one go")                   \
    X(GENERATE, "generate", "ask the model; a second call asks only for what is missing")     \
    X(SCORE, "score", "score run stores, response files, or folders of them, offline")        \
    X(REPORT, "report", "write the report of a scored run again")                             \
    X(COMPARE, "compare", "compare models on the same rows: differences, intervals, ranks")   \
    X(VERIFY, "verify", "compute a run's results again and compare them byte by byte")        \
    X(EXPORT, "export", "write a run store in CFBenchmark's CSV layout, or as JSON Lines")    \
    X(CONVERT, "convert", "turn Arrow, CSV or JSON data into JSON Lines or CSV")              \
    X(PROMPT, "prompt", "show exactly what would be sent for given rows")                     \
    X(BATCH, "batch", "ask by the server's batch files: cheaper, and later")                  \
    X(CACHE, "cache", "show or prune a response cache")                                       \
    X(DOCTOR, "doctor", "say what is wrong with this machine and configuration, and mend it") \
    X(TUNE, "tune", "find the fastest settings for this machine, data and server")            \
    X(MERGE, "merge", "join the shards of a run")                                             \
    X(LIMITER, "limiter", "share one rate and one number of calls among many processes")      \
    X(MOCK, "mock", "serve an OpenAI-compatible mock model on loopback")                      \
    X(EMBED, "embed", "turn texts into vectors (.npy) with an embedding model")

typedef enum cfb_command {
#define CFB_X(NAME, name, help) CFB_CMD_##NAME,
    CFB_COMMAND_MAP(CFB_X)
#undef CFB_X
        CFB_CMD_COUNT
} cfb_command;

/* Texts of an option that may be given several times. Borrowed from the configuration's arena. */
typedef struct cfb_string_list {
    const char *const *items; /* (n); NULL if n is 0 */
    size_t n;
} cfb_string_list;

typedef struct cfb_config {
    /* what is asked */
    const char *suite; /* name or path */
    const char *data;  /* folder with the suite's data, or NULL: the suite's own */
    const char *tasks; /* comma-separated names, or NULL: all */
    const char *shot;  /* "zero" or "few" */
    int64_t limit;     /* first N rows of each task; 0 = all */
    /* whom */
    const char *model;
    cfb_string_list base_urls; /* at least one; without trailing slashes; exactly "mock" if mock is true */
    const char *base_url;      /* the first of them */
    const char *api_key_file;
    const char *api_key;        /* from OPENAI_API_KEY or the file; secret: never on the command line, never printed */
    bool mock;                  /* serve the built-in mock model for this run */
    const char *api_key_header; /* NULL: "Authorization: Bearer KEY"; else the header that holds the key alone */
    cfb_string_list headers;    /* further lines "Name: value"; secret: never printed, never stored */
    const char *proxy;          /* NULL: as the environment says */
    const char *ca_file, *client_cert, *client_key, *unix_socket; /* or NULL */
    const char *system_prompt;
    double temperature;
    bool no_temperature; /* send none */
    int64_t max_tokens;  /* 0 = the suite's */
    double max_tokens_scale;
    bool keep_reasoning;
    bool max_completion_tokens; /* the limit goes by this name */
    cfb_string_list stop;
    int64_t n_seed;         /* sent as "seed"; -1 = none */
    const char *extra_body; /* text of a JSON object without model, messages and stream; or NULL */
    bool stream;
    /* how */
    int64_t max_workers;      /* row workers per task */
    int64_t task_workers;     /* tasks side by side; 0 = min(tasks, max_workers) */
    double api_rate_limit;    /* s between two starts, at least */
    int64_t in_flight;        /* calls at once over all tasks; 0 = tasks side by side * max_workers */
    int64_t calls_per_thread; /* 0 = chosen */
    bool adaptive;
    double rps, rpm, tpm; /* 0 = no limit */
    const char *preset;
    int64_t max_retries;      /* further tries after the first */
    double retry_base;        /* s before the first retry; doubles */
    double retry_max;         /* s, longest wait between tries */
    double timeout;           /* s, whole call */
    double connect_timeout;   /* s */
    double row_deadline;      /* s; 0 = none */
    int64_t max_attempts;     /* failed calls of a row over all runs; 0 = any number */
    const char *max_failures; /* "20" or "10%"; NULL = any number */
    double patience;          /* s */
    double grace;             /* s */
    double idle_timeout;      /* s, longest silence in the middle of a reply; 0 = no limit */
    int64_t seed;
    const char *cache;        /* response cache, or NULL: none */
    int64_t max_requests;     /* budgets of a key and day (UTC), 0 = no limit */
    int64_t max_total_tokens; /* prompt and reply tokens together */
    double max_cost;          /* in the price file's currency */
    const char *price_file;
    const char *usage_file; /* NULL: the user's own */
    /* where to */
    const char *out; /* folder of the run */
    const char *format;
    bool json, quiet, verbose, force;
    bool moved;              /* another --base-url is the same model at another address */
    const char *log_file;    /* or NULL */
    const char *profile_out; /* trace, or NULL */
    bool dry_run;
    const char *profile; /* what tune found, or NULL */
    bool begin_again;    /* the profile set variables that count from the start of the program only */
    double budget;       /* s, tune */
    int64_t reps;
    bool roofline;
    bool probe;           /* doctor asks one question */
    const char *progress; /* auto, bar, log, off */
    const char *color;    /* auto, always, never */
    /* scoring */
    const char *task;      /* task of the given files, where the file name does not say */
    const char *label_set; /* NULL: the suite's */
    const char *metric;    /* "NAME" for generation tasks, "TASK=NAME,..." for single ones; NULL: the suite's */
    const char *response_column, *output_column;
    const char *id_column, *task_column, *model_column, *setting_column; /* NULL: none */
    const char *model_name, *setting;                                    /* of the given files, where paths do not say */
    const char *duplicates;                                              /* separate, join, fail */
    const char *on_bad_row;                                              /* fail, skip */
    const char *language;                                                /* of HTML pages: en, zh */
    const char *where, *rows_out;                                        /* or NULL */
    bool rows_texts;
    int64_t sample, worst;
    const char *csv;    /* file for the summary, or NULL */
    int64_t threads;    /* 0 = all cores */
    int64_t memory;     /* MiB for reading files; 0 = by what is allowed */
    int64_t block_size; /* KiB of a file that a thread takes at a time; 0 = chosen */
    /* cluster jobs */
    const char *shard;                /* "i/N" or "auto"; NULL: the whole run */
    int64_t shard_index, shard_count; /* what that means, once cfb_cli_place has looked; count 0: the whole run */
    int64_t share_rate;               /* this process takes 1/N of the rates; 0 = by the number of shards */
    const char *limiter, *listen;     /* "HOST:PORT" or "unix:PATH"; limiter NULL: none */
    const char *address_file;         /* where the limiter writes its address */
    const char *limiter_token_file;   /* NULL: CFBENCH_LIMITER_TOKEN */
    const char *store_locks;          /* auto, shared, exclusive */
    double time_limit, time_margin;   /* s; limit 0 = by the job, if it says */
    int64_t end_ns;                   /* cfb_now_ns at which the job ends, 0 = never; settled by cfb_cli_place */
    const char *scratch;              /* folder for temporary files of this job, or NULL; settled by cfb_cli_place */
    int64_t requeue_exit;             /* status in place of 5; 0 = 5 */
    int rank, n_ranks;                /* of a job over MPI; n_ranks 0: none */
    /* embedding */
    const char *embed_model;   /* folder of the model, or NULL */
    const char *embed_url;     /* server of the vectors in place of a folder, or NULL */
    const char *embed_name;    /* the model's name there */
    const char *embed_key;     /* secret, or NULL */
    double embed_rate_limit;   /* seconds between the starts of two requests */
    int64_t embed_batch;       /* texts of a request */
    const char *embed_cache;   /* folder, "off", or NULL: below the user's cache folder */
    const char *vocab;         /* vocabulary file in place of the model's, or NULL */
    const char *pooling;       /* auto, cls, mean */
    const char *precision;     /* f32, bf16 */
    const char *bert_model;    /* folder of the model for bertscore, or NULL */
    int64_t bert_layer;        /* -1: two thirds of the model's */
    const char *bert_baseline; /* file, or NULL: not rescaled */
    const char *column;        /* of a data set; NULL: the file has one text per line */
    /* statistics */
    double confidence;
    cfb_string_list fail_if;
    int64_t resamples; /* 0 = Student's t instead of the bootstrap */
    /* prompt */
    const char *rows; /* "0,10,20-29" */
    bool hash;        /* print SHA-256 instead of text */
    /* batch */
    int64_t batch_max_requests;  /* of one file */
    const char *batch_max_bytes; /* of one file: cfb_config_parse_size */
    /* cache */
    const char *older_than; /* cfb_config_parse_age, or NULL */
    const char *max_bytes;  /* cfb_config_parse_size, or NULL */
    /* mock */
    int64_t port;                 /* 0 = any free port */
    const char *port_file;        /* where the mock writes its port once it serves */
    const char *replies;          /* script file of the mock */
    double mock_latency;          /* s, median */
    double mock_latency_sigma;    /* log-normal spread; 0 = constant */
    double mock_error_rate;       /* share of replies that differ from the reference */
    const char *mock_faults;      /* "429:0.1,500:0.05,..." */
    int64_t mock_rpm;             /* requests per minute before 429; 0 = no limit */
    const char *mock_key;         /* what the mock demands as a key, or NULL: any key, or none */
    const char *mock_log;         /* JSON Lines of every request served */
    int64_t mock_max_inflight;    /* calls under way beyond which it refuses; 0 = no limit */
    const char *mock_refuse;      /* "429" or "503": with which status */
    int64_t mock_slots;           /* calls served at once, others queue; 0 = all */
    bool mock_control;            /* POST /mock/control */
    int64_t mock_tpm, mock_quota; /* tokens per minute; calls in all; 0 = no limit */
    double mock_ttft;             /* s, added to the latency */
    double mock_tokens_per_s;     /* pace of replies; 0 = at once */
    const char *mock_profile;     /* kind of server */
    const char *mock_reasoning;   /* off, think, field, hidden */
    bool mock_prefix_cache;       /* usage names cached tokens */
    int64_t mock_context;         /* tokens that fit; 0 = any */
    int64_t mock_embed_dim;       /* length of embeddings, when the request does not say */
    double mock_batch_delay;      /* s, from the creation of a batch to its end */
    /* not options */
    cfb_command command;
    const char *config_file;
    const char *const *args; /* positional arguments */
    size_t n_args;
    const char *const *words; /* (n_words) the command line behind the program's name, as it was given; set by the program */
    size_t n_words;
    cfb_arena_t *arena; /* owns all strings */
} cfb_config;

/* Parses a command line: defaults, then preset, then the config file, then the environment, then the options, each
 * overriding those before (docs/configuration.md; keys have an order of their own). Validates every value. Errors:
 * EUSAGE/ECONFIG, naming the option, where it came from (command line, file and member, variable), what is allowed and,
 * for a misspelt name, the nearest ones. A config or key file that cannot be read is ECONFIG, EACCESS or ENOMEM.
 * *want: CFB_WANT_HELP (--help anywhere, `help [COMMAND]`, or no arguments) and CFB_WANT_VERSION set only out->command
 * (CFB_CMD_COUNT: none named). CFB_WANT_PRINT_CONFIG: all is set but args may be short, model and api_key NULL.
 * CFB_WANT_RUN: n_args fits the command; for run and generate, model is set, and base_urls are as said above. Options that the
 * command does not have keep their defaults. Owns: *out, freed with cfb_config_free; after an error it is empty. Threads: call
 * from the main thread. */
typedef enum cfb_config_want { CFB_WANT_RUN, CFB_WANT_HELP, CFB_WANT_VERSION, CFB_WANT_PRINT_CONFIG } cfb_config_want;
CFB_MUST_CHECK cfb_code cfb_config_parse(int argc, char **argv, cfb_config *out, cfb_config_want *want, cfb_err *err);
void cfb_config_free(cfb_config *c);

/* "200M" -> bytes: a whole or decimal number with k, M, G or T (1000 each), Ki, Mi, Gi or Ti (1024 each), or nothing behind it,
 * and a B if one likes. False for anything else, and beyond 2^53. Pure. */
bool cfb_config_parse_size(const char *text, int64_t *bytes);
/* "30d" -> seconds: a whole or decimal number with s, min, h, d or w behind it. False for anything else. Pure. */
bool cfb_config_parse_age(const char *text, int64_t *seconds);

/* Help of one command, or the overview for CFB_CMD_COUNT: options grouped, with units, defaults, ranges; exit codes. */
void cfb_config_print_help(FILE *to, cfb_command command);
/* The effective configuration as JSON that --config reads back; secrets are left out. */
CFB_MUST_CHECK cfb_code cfb_config_print(const cfb_config *c, cfb_buf *out, cfb_err *err);
/* The command line that sets what differs from the defaults, in the words of a POSIX shell: what is asked, whom and how, not how
 * it is shown. Keys, and values that are never printed, are left out: "..." stands for the latter. */
CFB_MUST_CHECK cfb_code cfb_config_print_command(const cfb_config *c, cfb_buf *out, cfb_err *err);
/* Appends a word as a POSIX shell reads it back: as it is where it can be, else in single quotes, or in
 * $'...' if it holds control characters. */
CFB_MUST_CHECK cfb_code cfb_config_shell_word(cfb_buf *out, const char *word, cfb_err *err);
/* A man page (troff man macros) of one command, or the overview for CFB_CMD_COUNT. For `make man`. */
void cfb_config_print_man(FILE *to, cfb_command command);
/* Shell completions: shell is "bash", "zsh" or "fish". Errors: EUSAGE. */
CFB_MUST_CHECK cfb_code cfb_config_print_completion(FILE *to, const char *shell, cfb_err *err);

#ifdef __cplusplus
}
#endif
#endif
