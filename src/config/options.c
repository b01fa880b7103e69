/* options.c - the one place where an option is declared. The parser, --help, the config file, the environment,
 * --print-config, man pages and shell completions are derived from these rows. */
#include "config/options.h"

#include <stddef.h>

#define RUN CMD_BIT(CFB_CMD_RUN)
#define GENERATE CMD_BIT(CFB_CMD_GENERATE)
#define SCORE CMD_BIT(CFB_CMD_SCORE)
#define REPORT CMD_BIT(CFB_CMD_REPORT)
#define EXPORT CMD_BIT(CFB_CMD_EXPORT)
#define CONVERT CMD_BIT(CFB_CMD_CONVERT)
#define PROMPT CMD_BIT(CFB_CMD_PROMPT)
#define MOCK CMD_BIT(CFB_CMD_MOCK)
#define ASK (RUN | GENERATE)
#define ALL (CMD_BIT(CFB_CMD_COUNT) - 1u)

/* name and field of a row */
#define AT(name_text, member) .name = (name_text), .offset = offsetof(cfb_config, member)
#define RANGE(low, high) .min = (low), .max = (high)

#define PRESET_CHOICE(name, workers, rate) "|" #name
static const char preset_choices[] = CFB_PRESET_MAP(PRESET_CHOICE);

/* Rows of one group stand in the order of --help. */
const cfb_opt cfb_opts[] = {
    /* What is asked */
    {AT("suite", suite), .type = OPT_STRING, .def = "cfbenchmark", .metavar = "NAME|DIR", .group = GROUP_WHAT,
     .commands = ASK | SCORE | PROMPT | MOCK, .help = "benchmark suite: its name, or the folder that holds its suite.json"},
    {AT("data", data), .type = OPT_PATH, .metavar = "DIR", .group = GROUP_WHAT, .commands = ASK | SCORE | PROMPT | MOCK,
     .help = "folder with the suite's data; without it, the suite's own folder"},
    {AT("tasks", tasks), .type = OPT_STRING, .metavar = "NAME,...", .group = GROUP_WHAT, .check = cfb_check_names,
     .commands = ASK | SCORE | PROMPT | MOCK, .help = "only these tasks of the suite, separated by commas; without it, all"},
    {AT("shot", shot), .type = OPT_ENUM, .choices = "zero|few", .def = "few", .group = GROUP_WHAT,
     .commands = ASK | PROMPT | MOCK, .help = "prompt without worked examples (zero) or with the suite's few-shot head (few)"},
    {AT("limit", limit), .type = OPT_INT, .def = "0", RANGE(0, 9007199254740992.0), .unit = "rows", .metavar = "N",
     .group = GROUP_WHAT, .commands = ASK | PROMPT | MOCK, .help = "only the first N rows of each task; 0 = all"},
    {AT("rows", rows), .type = OPT_STRING, .metavar = "LIST", .group = GROUP_WHAT, .check = cfb_check_rows, .commands = PROMPT,
     .help = "only these rows of each task, counted from 0, such as 0,10,20-29; without it, all"},
    {AT("system-prompt", system_prompt), .type = OPT_STRING, .flags = OPT_EMPTY_OK, .metavar = "TEXT", .group = GROUP_WHAT,
     .commands = ASK | PROMPT, .help = "system message before the prompt; without it, none is sent"},

    /* The model */
    {AT("model", model), .letter = 'm', .type = OPT_STRING, .metavar = "NAME", .group = GROUP_MODEL, .check = cfb_check_line,
     .commands = ASK | PROMPT, .help = "model name as the server knows it; needed to ask, except with --mock"},
    {AT("base-url", base_url), .type = OPT_STRING, .def = "https://api.openai.com/v1", .metavar = "URL", .group = GROUP_MODEL,
     .check = cfb_check_base_url, .alias = "OPENAI_BASE_URL", .commands = ASK,
     .help = "OpenAI-compatible server, up to but without /chat/completions"},
    {AT("api-key-file", api_key_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MODEL, .commands = ASK,
     .help = "file that holds the key and nothing else; OPENAI_API_KEY is then not used"},
    {AT("api-key", api_key), .type = OPT_STRING, .flags = OPT_SECRET | OPT_NO_FILE, .metavar = "KEY", .group = GROUP_MODEL,
     .alias = "OPENAI_API_KEY", .commands = ASK, .help = "key for the model's server, sent as a bearer token"},
    {AT("mock", mock), .type = OPT_BOOL, .group = GROUP_MODEL, .commands = ASK,
     .help = "ask the built-in mock model instead of a server; needs no key and costs nothing"},
    {AT("temperature", temperature), .type = OPT_DOUBLE, .def = "0", RANGE(0, 2), .metavar = "T", .group = GROUP_MODEL,
     .commands = ASK | PROMPT, .help = "sampling temperature that is sent"},
    {AT("max-tokens", max_tokens), .type = OPT_INT, .def = "0", RANGE(0, 10000000), .unit = "tokens", .metavar = "N",
     .group = GROUP_MODEL, .commands = ASK | PROMPT,
     .help = "longest reply that is asked for; 0 = the suite's limit of each task"},

    /* Pace, retries and time limits */
    {AT("preset", preset), .type = OPT_ENUM, .choices = preset_choices + 1, .metavar = "NAME", .group = GROUP_PACE,
     .commands = ASK, .help = "sets --max-workers and --api-rate-limit, where these are not given: see Presets below"},
    {AT("max-workers", max_workers), .type = OPT_INT, .def = "4", RANGE(1, 4096), .metavar = "N", .group = GROUP_PACE,
     .commands = ASK, .help = "rows of a task that are asked side by side"},
    {AT("task-workers", task_workers), .type = OPT_INT, .def = "0", RANGE(0, 4096), .metavar = "N", .group = GROUP_PACE,
     .commands = ASK, .help = "tasks side by side; 0 = as many as there are, up to --max-workers"},
    {AT("api-rate-limit", api_rate_limit), .type = OPT_DOUBLE, .def = "1.0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK,
     .help = "shortest time between the starts of two calls, over all workers; 0 = no limit, which is the default with --mock"},
    {AT("max-retries", max_retries), .type = OPT_INT, .def = "3", RANGE(0, 100), .metavar = "N", .group = GROUP_PACE,
     .commands = ASK, .help = "further tries after a call failed for a reason that may pass"},
    {AT("retry-base", retry_base), .type = OPT_DOUBLE, .def = "2.0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK, .help = "wait before the first retry; doubles with each further one"},
    {AT("retry-max", retry_max), .type = OPT_DOUBLE, .def = "60", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK, .help = "longest wait between two tries"},
    {AT("timeout", timeout), .type = OPT_DOUBLE, .def = "120", RANGE(0.001, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK, .help = "longest time of one call, from its start to the end of the reply"},
    {AT("connect-timeout", connect_timeout), .type = OPT_DOUBLE, .def = "10", RANGE(0.001, 86400), .unit = "s",
     .metavar = "SECONDS", .group = GROUP_PACE, .commands = ASK, .help = "longest time until the connection stands"},

    /* Scoring */
    {AT("task", task), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .commands = SCORE,
     .help = "task of the given files, where their names do not say it"},
    {AT("label-set", label_set), .type = OPT_ENUM, .choices = "suite|observed", .group = GROUP_SCORE, .commands = RUN | SCORE,
     .help = "labels that F1 counts: the suite's list, or all that the file holds; without it, as the suite says"},
    {AT("response-column", response_column), .type = OPT_STRING, .def = "response", .metavar = "NAME", .group = GROUP_SCORE,
     .commands = SCORE, .help = "column with the reference answers in response files"},
    {AT("output-column", output_column), .type = OPT_STRING, .def = "output", .metavar = "NAME", .group = GROUP_SCORE,
     .commands = SCORE, .help = "column with the model's answers in response files"},
    {AT("threads", threads), .letter = 'j', .type = OPT_INT, .def = "0", RANGE(0, 1024), .metavar = "N", .group = GROUP_SCORE,
     .commands = RUN | SCORE, .help = "threads for scoring; 0 = all cores. The scores are the same for any number"},
    {AT("memory", memory), .type = OPT_INT, .def = "0", RANGE(0, 1 << 24), .unit = "MiB", .metavar = "N", .group = GROUP_SCORE,
     .commands = SCORE,
     .help = "memory that reading files may take, whatever their size; 0 = a quarter of what this machine, cgroup or "
             "Slurm job allows"},

    /* Mock model */
    {AT("port", port), .type = OPT_INT, .def = "0", RANGE(0, 65535), .metavar = "N", .group = GROUP_MOCK, .commands = MOCK,
     .help = "port on 127.0.0.1; 0 = any free one"},
    {AT("port-file", port_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MOCK, .commands = MOCK,
     .help = "file that gets the port's number once the mock serves"},
    {AT("replies", replies), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "JSON Lines file with the mock's replies, by the SHA-256 of the prompt"},
    {AT("mock-latency", mock_latency), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "median time until the mock replies"},
    {AT("mock-latency-sigma", mock_latency_sigma), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 5), .metavar = "SIGMA",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "log-normal spread of the mock's latency; 0 = constant"},
    {AT("mock-error-rate", mock_error_rate), .type = OPT_DOUBLE, .def = "0.2", RANGE(0, 1), .metavar = "SHARE",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "share of the mock's replies that differ from the reference"},
    {AT("mock-faults", mock_faults), .type = OPT_STRING, .def = "", .flags = OPT_EMPTY_OK, .metavar = "CLASS:SHARE,...",
     .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "share of the mock's replies that fail, by class: 429, 429-bare, 500, 503, slow, cut, badjson, html, empty, "
             "length, filter, hang, 400, 401, 404"},
    {AT("mock-rpm", mock_rpm), .type = OPT_INT, .def = "0", RANGE(0, 1000000000), .unit = "calls/min", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "calls in a minute beyond which the mock answers 429; 0 = no limit"},
    {AT("mock-key", mock_key), .type = OPT_STRING, .metavar = "KEY", .group = GROUP_MOCK, .commands = MOCK,
     .help = "key that the mock demands: others get 401 (a made-up one, as it can be seen in the process list)"},
    {AT("mock-log", mock_log), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "JSON Lines file that gets a line for every call that the mock served"},

    /* Output */
    {AT("out", out), .letter = 'o', .type = OPT_PATH, .def = "cfbench-out", .metavar = "DIR", .group = GROUP_OUTPUT,
     .commands = ASK, .help = "folder of the run; the same folder again continues the run"},
    {AT("out", out), .letter = 'o', .type = OPT_PATH, .metavar = "DIR", .group = GROUP_OUTPUT, .commands = SCORE | REPORT,
     .help = "folder for the files that are written"},
    {AT("format", format), .type = OPT_ENUM, .choices = "csv|jsonl", .def = "csv", .group = GROUP_OUTPUT, .commands = EXPORT,
     .help = "CFBenchmark's CSV layout, or JSON Lines"},
    {AT("format", format), .type = OPT_ENUM, .choices = "csv|jsonl", .def = "jsonl", .group = GROUP_OUTPUT, .commands = CONVERT,
     .help = "CSV, or JSON Lines"},
    {AT("force", force), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = EXPORT | CONVERT,
     .help = "replace files that are there"},
    {AT("moved", moved), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = ASK,
     .help = "continue a run although --base-url changed: the same model now answers at another address"},
    {AT("hash", hash), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = PROMPT,
     .help = "print the SHA-256 of each prompt instead of its text"},
    {AT("json", json), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = ASK | SCORE | REPORT | PROMPT,
     .help = "standard output is one JSON document"},
    {AT("quiet", quiet), .letter = 'q', .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = ALL,
     .help = "no progress; on standard error only warnings and errors"},
    {AT("verbose", verbose), .letter = 'v', .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = ALL,
     .help = "say more on standard error"},
    {AT("progress", progress), .type = OPT_ENUM, .choices = "auto|bar|log|off", .def = "auto", .group = GROUP_OUTPUT,
     .commands = ASK | SCORE, .help = "progress on standard error; auto = bar on a terminal, else log"},
    {AT("color", color), .type = OPT_ENUM, .choices = "auto|always|never", .def = "auto", .group = GROUP_OUTPUT, .commands = ALL,
     .help = "colour; auto = on a terminal, unless NO_COLOR is set"},

    /* General */
    {AT("seed", seed), .type = OPT_INT, .def = "0", RANGE(0, 9007199254740992.0), .metavar = "N", .group = GROUP_GENERAL,
     .commands = ASK | MOCK, .help = "start of every random choice: the mock's, and the waits between tries"},
    {AT("config", config_file), .type = OPT_PATH, .flags = OPT_NO_FILE, .metavar = "FILE", .group = GROUP_GENERAL,
     .commands = ALL, .help = "JSON file with options, as --print-config writes it"},
    {.name = "print-config",
     .type = OPT_BOOL,
     .flags = OPT_ACTION | OPT_NO_FILE | OPT_NO_ENV,
     .group = GROUP_GENERAL,
     .commands = ALL,
     .help = "print the configuration in effect as JSON for --config, without keys, and end"},
    {.name = "help",
     .letter = 'h',
     .type = OPT_BOOL,
     .flags = OPT_ACTION | OPT_NO_FILE | OPT_NO_ENV,
     .group = GROUP_GENERAL,
     .commands = ALL,
     .help = "print this help and end"},
    {.name = "version",
     .letter = 'V',
     .type = OPT_BOOL,
     .flags = OPT_ACTION | OPT_NO_FILE | OPT_NO_ENV,
     .group = GROUP_GENERAL,
     .commands = ALL,
     .help = "print the version and end"},
};
const size_t cfb_opts_count = sizeof cfb_opts / sizeof cfb_opts[0];
_Static_assert(sizeof cfb_opts / sizeof cfb_opts[0] <= CFB_OPTS_MAX, "enlarge CFB_OPTS_MAX");

const char *cfb_opt_group_heading(cfb_opt_group g) {
    static const char *const headings[] = {
#define CFB_X(NAME, heading) heading,
        CFB_OPT_GROUP_MAP(CFB_X)
#undef CFB_X
    };
    return (unsigned)g < GROUP_COUNT ? headings[g] : "";
}

const cfb_opt *cfb_opt_find(const char *name, size_t len, cfb_command command) {
    const cfb_opt *first = NULL;
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        if (strlen(o->name) != len || memcmp(o->name, name, len) != 0) continue;
        if (cfb_opt_is_for(o, command)) return o;
        if (first == NULL) first = o;
    }
    return first;
}

const cfb_opt *cfb_opt_find_letter(char letter, cfb_command command) {
    for (size_t i = 0; i < cfb_opts_count; i++)
        if (letter != '\0' && cfb_opts[i].letter == letter)
            return cfb_opt_find(cfb_opts[i].name, strlen(cfb_opts[i].name), command);
    return NULL;
}

void cfb_opt_env_name(const cfb_opt *o, char buf[CFB_ENV_NAME_MAX]) {
    snprintf(buf, CFB_ENV_NAME_MAX, "CFBENCH_%s", o->name);
    for (char *p = buf; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
        if (*p == '-') *p = '_';
    }
}

const char *cfb_opt_metavar(const cfb_opt *o) {
    if (o->type == OPT_BOOL) return "";
    if (o->metavar != NULL) return o->metavar;
    return o->choices != NULL ? o->choices : "VALUE";
}

void cfb_format_plain(double v, char buf[32]) {
    if (v == 9007199254740992.0)
        snprintf(buf, 32, "2^53");
    else if (v > -1e15 && v < 1e16 && v == (double)(int64_t)v)
        snprintf(buf, 32, "%lld", (long long)v);
    else
        cfb_format_double(v, buf);
}

void cfb_opt_note(const cfb_opt *o, char *buf, size_t size) {
    char range[128] = "", def[128] = "";
    if (o->type == OPT_INT || o->type == OPT_DOUBLE) {
        char low[32], high[32];
        cfb_format_plain(o->min, low);
        cfb_format_plain(o->max, high);
        snprintf(range, sizeof range, "%s..%s%s%s", low, high, o->unit != NULL ? " " : "", o->unit != NULL ? o->unit : "");
    }
    if (o->def != NULL && o->def[0] != '\0') snprintf(def, sizeof def, "default: %s", o->def);
    buf[0] = '\0';
    if (range[0] != '\0' || def[0] != '\0')
        snprintf(buf, size, "(%s%s%s)", range, range[0] != '\0' && def[0] != '\0' ? "; " : "", def);
}
