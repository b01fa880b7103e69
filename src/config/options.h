/* options.h - the option table and what is derived from it, private to src/config. */
#ifndef CFBENCH_CONFIG_OPTIONS_H
#define CFBENCH_CONFIG_OPTIONS_H

#include "cfbench/base.h"
#include "cfbench/config.h"
#include "cfbench/json.h"

#include <stdbool.h>
#include <stdio.h>

/* OPT_LIST: texts. On the command line the option may be given several times; in a config file it is an array of strings. Any
 * text that begins with [" is read as such an array. */
typedef enum cfb_opt_type { OPT_BOOL, OPT_INT, OPT_DOUBLE, OPT_STRING, OPT_ENUM, OPT_PATH, OPT_LIST } cfb_opt_type;

/* X(NAME, heading): groups of options, in the order of --help. */
#define CFB_OPT_GROUP_MAP(X)                   \
    X(WHAT, "What is asked")                   \
    X(MODEL, "The model")                      \
    X(PACE, "Pace, retries and time limits")   \
    X(SCORE, "Scoring")                        \
    X(BATCH, "Batch files and response cache") \
    X(CLUSTER, "Cluster jobs")                 \
    X(MOCK, "Mock model")                      \
    X(OUTPUT, "Output")                        \
    X(GENERAL, "General")

typedef enum cfb_opt_group {
#define CFB_X(NAME, heading) GROUP_##NAME,
    CFB_OPT_GROUP_MAP(CFB_X)
#undef CFB_X
        GROUP_COUNT
} cfb_opt_group;

/* X(name, max-workers, api-rate-limit): CFBenchmark's recommended settings. */
#define CFB_PRESET_MAP(X)          \
    X(high_throughput, "8", "0.1") \
    X(moderate, "4", "0.5")        \
    X(conservative, "2", "1.0")    \
    X(free_tier, "1", "2.0")

#define OPT_SECRET 1u    /* only from the environment; never printed */
#define OPT_ACTION 2u    /* has no field: --help and the like */
#define OPT_NO_FILE 4u   /* not a member of the config file */
#define OPT_NO_ENV 8u    /* not a variable of the environment */
#define OPT_EMPTY_OK 16u /* the empty string is a value */
#define OPT_HIDDEN 32u   /* the value is never printed, and cannot stand in a config file */
#define OPT_COMMAS 64u   /* of a list: commas part the texts too */
#define OPT_LINES 128u   /* of a list: in a variable of the environment, line ends part the texts */
#define OPT_JSON 256u    /* of a string: in a config file it may also be a JSON object */

/* One row per option. A name may have two rows with different commands and defaults, but then the same type. */
typedef struct cfb_opt {
    const char *name;
    char letter;
    cfb_opt_type type;
    size_t offset;   /* of the field in cfb_config */
    const char *def; /* default as text; NULL: unset (off for OPT_BOOL) */
    double min, max;
    const char *unit;
    unsigned commands; /* bit mask: CMD_BIT(CFB_CMD_RUN) | ... */
    unsigned flags;
    cfb_opt_group group;
    const char *metavar;
    const char *choices;                 /* "a|b|c" for OPT_ENUM */
    const char *(*check)(const char *v); /* what is wrong with the text, or NULL */
    const char *alias;                   /* a second variable of the environment, of lower priority */
    const char *also;                    /* a second name */
    const char *help;
} cfb_opt;

#define CMD_BIT(cmd) (1u << (unsigned)(cmd))

extern const cfb_opt cfb_opts[];
extern const size_t cfb_opts_count;
#define CFB_OPTS_MAX 200

typedef struct cfb_preset {
    const char *name, *max_workers, *api_rate_limit;
} cfb_preset;
extern const cfb_preset cfb_presets[];
extern const size_t cfb_presets_count;
const cfb_preset *cfb_preset_find(const char *name);

typedef struct cfb_command_info {
    const char *operands; /* "PATH..." or "" */
    size_t min_args, max_args;
    const char *description;
    const char *examples[12]; /* pairs: what it does, the command line; NULL ends */
} cfb_command_info;
extern const cfb_command_info cfb_commands[CFB_CMD_COUNT];

typedef struct cfb_exit_info {
    int status;
    const char *text;
} cfb_exit_info;
extern const cfb_exit_info cfb_exits[];
extern const size_t cfb_exits_count;

/* Variables that are not options: name, text. NULL ends. */
typedef struct cfb_env_info {
    const char *name, *text;
} cfb_env_info;
extern const cfb_env_info cfb_env_infos[];

const char *cfb_opt_group_heading(cfb_opt_group g);
const char *cfb_command_name(cfb_command command); /* "" outside the enum */
const char *cfb_command_summary(cfb_command command);
/* CFB_CMD_COUNT when there is none of this name. */
cfb_command cfb_command_find(const char *name);
/* The row of this name that is for the command; else the first row of this name; else NULL. */
const cfb_opt *cfb_opt_find(const char *name, size_t len, cfb_command command);
const cfb_opt *cfb_opt_find_letter(char letter, cfb_command command);
static inline bool cfb_opt_is_for(const cfb_opt *o, cfb_command command) {
    return command < CFB_CMD_COUNT && (o->commands & CMD_BIT(command)) != 0;
}
static inline void *cfb_opt_field(const cfb_opt *o, cfb_config *c) { return (char *)c + o->offset; }
static inline const void *cfb_opt_field_const(const cfb_opt *o, const cfb_config *c) { return (const char *)c + o->offset; }

/* "CFBENCH_MAX_WORKERS" */
#define CFB_ENV_NAME_MAX 64
void cfb_opt_env_name(const cfb_opt *o, char buf[CFB_ENV_NAME_MAX]);
/* "VALUE", "zero|few" or "" */
const char *cfb_opt_metavar(const cfb_opt *o);
/* "(1..4096; default: 4)" or "" */
void cfb_opt_note(const cfb_opt *o, char *buf, size_t size);
/* 3600 rather than 3600.0, and 2^53 for 2^53 */
void cfb_format_plain(double v, char buf[32]);

/* What a buffer needs beyond the largest allowed file: cfb_file_read fills it in blocks. */
#define CFB_FILE_SLACK ((size_t)1 << 18)

/* What messages show of a text: at most so many bytes, whole characters. */
#define CFB_SHOWN_SIZE 72
const char *cfb_shown(const char *text, char buf[CFB_SHOWN_SIZE]);

/* Nearest names by edit distance, as " (did you mean A, B or C?)", or "" when none is near.
 * names: n names, each printed behind `prefix`. */
void cfb_suggest(const char *typed, const char *const *names, size_t n, const char *prefix, char *buf, size_t size);

/* Checks of single values: NULL, or what is wrong. They never repeat the value. */
const char *cfb_check_size(const char *v);
const char *cfb_check_age(const char *v);
const char *cfb_check_base_url(const char *v);
const char *cfb_check_names(const char *v);
const char *cfb_check_metrics(const char *v);
const char *cfb_check_rows(const char *v);
const char *cfb_check_line(const char *v);
const char *cfb_check_failures(const char *v);
const char *cfb_check_header(const char *v);      /* "Name: value" */
bool cfb_header_is_secret(const char *line);      /* does it usually hold a key? */
const char *cfb_check_header_name(const char *v); /* "api-key" */
const char *cfb_check_proxy(const char *v);
/* Says where in the text the JSON is wrong, in a buffer of its own: for the main thread. */
const char *cfb_check_extra_body(const char *v);

/* Private steps of cfb_config_parse, also used by tests and fuzzing. */

/* Where a value came from; a higher rank overrides a lower one. */
typedef enum cfb_rank { RANK_DEFAULT, RANK_PRESET, RANK_FILE, RANK_ENV_ALIAS, RANK_ENV, RANK_COMMAND_LINE } cfb_rank;

typedef struct cfb_loader {
    cfb_config *c;
    cfb_rank rank[CFB_OPTS_MAX];
    const char *where[CFB_OPTS_MAX]; /* "the command line", "CFBENCH_X", "file: \"x\"" */
    bool print_config;
} cfb_loader;

/* *out is zeroed, gets an arena and all defaults. */
CFB_MUST_CHECK cfb_code cfb_loader_init(cfb_loader *l, cfb_command command, cfb_config *out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_loader_defaults(cfb_loader *l, cfb_err *err);
/* Text of any source -> field, unless a higher rank has set it. */
CFB_MUST_CHECK cfb_code cfb_loader_set_text(cfb_loader *l, const cfb_opt *o, const char *text, cfb_rank rank, const char *where,
                                            cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_loader_set_bool(cfb_loader *l, const cfb_opt *o, bool v, cfb_rank rank, const char *where,
                                            cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_loader_set_json(cfb_loader *l, const cfb_opt *o, const cfb_json *node, cfb_rank rank,
                                            const char *where, cfb_err *err);
/* The members of a config file. name is for messages. */
CFB_MUST_CHECK cfb_code cfb_loader_read_members(cfb_loader *l, const char *name, const cfb_json *object, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_loader_read_json(cfb_loader *l, const char *name, cfb_str json, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_loader_read_file(cfb_loader *l, const char *path, cfb_err *err);
/* --profile */
CFB_MUST_CHECK cfb_code cfb_loader_read_profile(cfb_loader *l, const char *path, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_loader_read_env(cfb_loader *l, cfb_err *err);
/* Preset, key, and what must hold between options. */
CFB_MUST_CHECK cfb_code cfb_loader_finish(cfb_loader *l, cfb_err *err);
cfb_rank cfb_loader_rank(const cfb_loader *l, const char *name);

/* defaults + JSON + finish, nothing else. Owns: *out, also after an error (cfb_config_free). */
CFB_MUST_CHECK cfb_code cfb_config__from_json(cfb_command command, const char *name, cfb_str json, cfb_config *out, cfb_err *err);

#endif
