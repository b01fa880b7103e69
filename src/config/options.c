/* options.c - the one place where an option is declared. The parser, --help, the config file, the environment,
 * --print-config, man pages and shell completions are derived from these rows. */
#include "config/options.h"

#include <stddef.h>

#define RUN CMD_BIT(CFB_CMD_RUN)
#define GENERATE CMD_BIT(CFB_CMD_GENERATE)
#define SCORE CMD_BIT(CFB_CMD_SCORE)
#define REPORT CMD_BIT(CFB_CMD_REPORT)
#define COMPARE CMD_BIT(CFB_CMD_COMPARE)
#define VERIFY CMD_BIT(CFB_CMD_VERIFY)
#define EXPORT CMD_BIT(CFB_CMD_EXPORT)
#define CONVERT CMD_BIT(CFB_CMD_CONVERT)
#define PROMPT CMD_BIT(CFB_CMD_PROMPT)
#define BATCH CMD_BIT(CFB_CMD_BATCH)
#define CACHE CMD_BIT(CFB_CMD_CACHE)
#define MERGE CMD_BIT(CFB_CMD_MERGE)
#define LIMITER CMD_BIT(CFB_CMD_LIMITER)
#define MOCK CMD_BIT(CFB_CMD_MOCK)
#define EMBED CMD_BIT(CFB_CMD_EMBED)
#define DOCTOR CMD_BIT(CFB_CMD_DOCTOR)
#define TUNE CMD_BIT(CFB_CMD_TUNE)
#define WITH_BERT (RUN | SCORE | REPORT | COMPARE | VERIFY | EXPORT | DOCTOR)
#define WITH_MODEL (WITH_BERT | EMBED)
#define RUNS (RUN | GENERATE)
#define ASK (RUNS | DOCTOR) /* doctor looks at what a run would do */
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
     .commands = ASK | BATCH | SCORE | COMPARE | PROMPT | MOCK | TUNE,
     .help = "benchmark suite: its name, or the folder that holds its suite.json"},
    {AT("data", data), .type = OPT_PATH, .metavar = "DIR", .group = GROUP_WHAT,
     .commands = ASK | BATCH | SCORE | COMPARE | PROMPT | MOCK | TUNE,
     .help = "folder with the suite's data; without it, the suite's own folder"},
    {AT("tasks", tasks), .type = OPT_STRING, .metavar = "NAME,...", .group = GROUP_WHAT, .check = cfb_check_names,
     .commands = ASK | BATCH | SCORE | COMPARE | PROMPT | MOCK | TUNE,
     .help = "only these tasks of the suite, separated by commas; without it, all"},
    {AT("shot", shot), .type = OPT_ENUM, .choices = "zero|few", .def = "few", .group = GROUP_WHAT,
     .commands = ASK | BATCH | PROMPT | MOCK | TUNE,
     .help = "prompt without worked examples (zero) or with the suite's few-shot head (few)"},
    {AT("limit", limit), .type = OPT_INT, .def = "0", RANGE(0, 9007199254740992.0), .unit = "rows", .metavar = "N",
     .group = GROUP_WHAT, .commands = ASK | BATCH | PROMPT | MOCK, .help = "only the first N rows of each task; 0 = all"},
    {AT("rows", rows), .type = OPT_STRING, .metavar = "LIST", .group = GROUP_WHAT, .check = cfb_check_rows, .commands = PROMPT,
     .help = "only these rows of each task, counted from 0, such as 0,10,20-29; without it, all"},
    {AT("system-prompt", system_prompt), .also = "system", .type = OPT_STRING, .flags = OPT_EMPTY_OK, .metavar = "TEXT",
     .group = GROUP_WHAT, .commands = ASK | BATCH | PROMPT, .help = "system message before the prompt; without it, none is sent"},

    /* The model */
    {AT("model", model), .letter = 'm', .type = OPT_STRING, .metavar = "NAME", .group = GROUP_MODEL, .check = cfb_check_line,
     .commands = ASK | BATCH | PROMPT | TUNE, .help = "model name as the server knows it; needed to ask, except with --mock"},
    {AT("base-url", base_urls), .type = OPT_LIST, .flags = OPT_COMMAS, .def = "https://api.openai.com/v1", .metavar = "URL,...",
     .group = GROUP_MODEL, .check = cfb_check_base_url, .alias = "OPENAI_BASE_URL", .commands = ASK | BATCH | TUNE,
     .help = "OpenAI-compatible server, up to but without /chat/completions; several, if they serve the same model"},
    {AT("api-key-file", api_key_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MODEL, .commands = ASK | BATCH | TUNE,
     .help = "file that holds the key and nothing else; OPENAI_API_KEY is then not used"},
    {AT("api-key", api_key), .type = OPT_STRING, .flags = OPT_SECRET | OPT_NO_FILE, .metavar = "KEY", .group = GROUP_MODEL,
     .alias = "OPENAI_API_KEY", .commands = ASK | BATCH | TUNE, .help = "key for the model's server, sent as a bearer token"},
    {AT("api-key-header", api_key_header), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_MODEL,
     .check = cfb_check_header_name, .commands = ASK | BATCH,
     .help = "header that holds the key alone, such as api-key; without it, the key is a bearer token"},
    {AT("header", headers), .type = OPT_LIST, .flags = OPT_HIDDEN | OPT_LINES, .metavar = "HEADER", .group = GROUP_MODEL,
     .check = cfb_check_header, .alias = "CFBENCH_HEADERS", .commands = ASK | BATCH,
     .help = "further header of every call, \"Name: value\"; secret ones belong into the variable CFBENCH_HEADERS"},
    {AT("proxy", proxy), .type = OPT_STRING, .metavar = "URL", .group = GROUP_MODEL, .check = cfb_check_proxy,
     .commands = ASK | BATCH,
     .help = "proxy for all calls but those to this machine; without it, as https_proxy, http_proxy and no_proxy say"},
    {AT("ca-file", ca_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MODEL, .commands = ASK | BATCH,
     .help = "PEM file with the authorities that may sign the server's certificate; without it, the system's"},
    {AT("client-cert", client_cert), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MODEL, .commands = ASK | BATCH,
     .help = "PEM file with a certificate to show to the server"},
    {AT("client-key", client_key), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MODEL, .commands = ASK | BATCH,
     .help = "PEM file with the key of --client-cert, where that file does not hold it"},
    {AT("unix-socket", unix_socket), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MODEL, .commands = ASK | BATCH,
     .help = "reach the server through this Unix socket instead of TCP"},
    {AT("mock", mock), .type = OPT_BOOL, .group = GROUP_MODEL, .commands = ASK,
     .help = "ask the built-in mock model instead of a server; needs no key and costs nothing"},
    {AT("temperature", temperature), .type = OPT_DOUBLE, .def = "0", RANGE(0, 2), .metavar = "T", .group = GROUP_MODEL,
     .commands = ASK | BATCH | PROMPT, .help = "sampling temperature that is sent"},
    {AT("max-tokens", max_tokens), .type = OPT_INT, .def = "0", RANGE(0, 10000000), .unit = "tokens", .metavar = "N",
     .group = GROUP_MODEL, .commands = ASK | BATCH | PROMPT,
     .help = "longest reply that is asked for; 0 = the suite's limit of each task"},
    {AT("no-temperature", no_temperature), .type = OPT_BOOL, .group = GROUP_MODEL, .commands = ASK | BATCH | PROMPT,
     .help = "send no temperature: the server's default holds"},
    {AT("max-completion-tokens", max_completion_tokens), .type = OPT_BOOL, .group = GROUP_MODEL, .commands = ASK | BATCH | PROMPT,
     .help = "send the limit as max_completion_tokens instead of max_tokens"},
    {AT("stop", stop), .type = OPT_LIST, .metavar = "TEXT", .group = GROUP_MODEL, .commands = ASK | BATCH | PROMPT,
     .help = "text at which the model stops; also a JSON list of texts"},
    {AT("n-seed", n_seed), .type = OPT_INT, .def = "-1", RANGE(-1, 9007199254740992.0), .metavar = "N", .group = GROUP_MODEL,
     .commands = ASK | BATCH | PROMPT, .help = "seed that is sent to the server; -1 = none"},
    {AT("extra-body", extra_body), .type = OPT_STRING, .flags = OPT_JSON, .metavar = "JSON", .group = GROUP_MODEL,
     .check = cfb_check_extra_body, .commands = ASK | BATCH | PROMPT,
     .help = "JSON object whose members are added to every request, or replace what would be sent under their names"},
    {AT("stream", stream), .type = OPT_BOOL, .group = GROUP_MODEL, .commands = ASK | PROMPT,
     .help = "ask for the reply piece by piece, and record the time to its first text"},

    {AT("max-tokens-scale", max_tokens_scale), .type = OPT_DOUBLE, .def = "1", RANGE(0.01, 10000), .metavar = "FACTOR",
     .group = GROUP_MODEL, .commands = ASK | BATCH | PROMPT,
     .help = "times the suite's reply limits: reasoning models need room to think, such as 8"},
    {AT("keep-reasoning", keep_reasoning), .type = OPT_BOOL, .group = GROUP_MODEL, .commands = ASK | BATCH,
     .help = "score <think>...</think> parts of a reply with the rest of it"},

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
    {AT("api-rate-limit", api_rate_limit), .type = OPT_DOUBLE, .def = "0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = LIMITER,
     .help = "shortest time between the starts of two calls, over all clients; 0 = no limit"},
    {AT("in-flight", in_flight), .type = OPT_INT, .def = "0", RANGE(0, 65536), .unit = "calls", .metavar = "N",
     .group = GROUP_PACE, .commands = ASK | TUNE,
     .help =
         "calls at once, over all tasks; 0 = tasks side by side times --max-workers. A few threads keep many calls in flight"},
    {AT("in-flight", in_flight), .type = OPT_INT, .def = "0", RANGE(0, 1000000), .unit = "calls", .metavar = "N",
     .group = GROUP_PACE, .commands = LIMITER, .help = "calls at once, over all clients; 0 = no limit"},
    {AT("calls-per-thread", calls_per_thread), .type = OPT_INT, .def = "0", RANGE(0, 4096), .unit = "calls", .metavar = "N",
     .group = GROUP_PACE, .commands = ASK, .help = "calls that one thread keeps in flight; 0 = chosen by the number of cores"},
    {AT("adaptive", adaptive), .type = OPT_BOOL, .def = "true", .group = GROUP_PACE, .commands = ASK | LIMITER,
     .help =
         "let the number of calls in flight follow what the server takes well, up to --in-flight; --no-adaptive keeps it fixed"},
    {AT("rps", rps), .type = OPT_DOUBLE, .def = "0", RANGE(0, 1000000), .unit = "calls/s", .metavar = "RATE", .group = GROUP_PACE,
     .commands = ASK | LIMITER | TUNE, .help = "starts of calls in a second; 0 = no limit"},
    {AT("rpm", rpm), .type = OPT_DOUBLE, .def = "0", RANGE(0, 60000000), .unit = "calls/min", .metavar = "RATE",
     .group = GROUP_PACE, .commands = ASK | LIMITER, .help = "starts of calls in a minute, evenly spread; 0 = no limit"},
    {AT("tpm", tpm), .type = OPT_DOUBLE, .def = "0", RANGE(0, 1e12), .unit = "tokens/min", .metavar = "RATE", .group = GROUP_PACE,
     .commands = ASK | LIMITER,
     .help = "tokens in a minute, of prompts and replies: estimated before a call, corrected by what the server counts; 0 = no "
             "limit"},
    {AT("max-retries", max_retries), .type = OPT_INT, .def = "3", RANGE(0, 100), .metavar = "N", .group = GROUP_PACE,
     .commands = ASK | BATCH, .help = "further tries after a call failed for a reason that may pass"},
    {AT("retry-base", retry_base), .type = OPT_DOUBLE, .def = "2.0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK | BATCH, .help = "wait before the first retry; doubles with each further one"},
    {AT("retry-max", retry_max), .type = OPT_DOUBLE, .def = "60", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK | BATCH, .help = "longest wait between two tries"},
    {AT("max-requests", max_requests), .type = OPT_INT, .def = "0", RANGE(0, 9007199254740992.0), .unit = "calls", .metavar = "N",
     .group = GROUP_PACE, .commands = ASK | TUNE,
     .help = "calls that this key may make in a day (UTC), over all runs; then the run stops, resumable. 0 = no limit"},
    {AT("max-total-tokens", max_total_tokens), .type = OPT_INT, .def = "0", RANGE(0, 9007199254740992.0), .unit = "tokens",
     .metavar = "N", .group = GROUP_PACE, .commands = ASK,
     .help = "prompt and reply tokens together that this key may use in a day (UTC), over all runs; 0 = no limit"},
    {AT("max-cost", max_cost), .type = OPT_DOUBLE, .def = "0", RANGE(0, 1e9), .metavar = "AMOUNT", .group = GROUP_PACE,
     .commands = ASK, .help = "what this key may cost in a day (UTC), over all runs; needs --price-file. 0 = no limit"},
    {AT("price-file", price_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_PACE, .commands = ASK,
     .help = "JSON file with prices by model"},
    {AT("usage-file", usage_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_PACE, .commands = ASK,
     .help = "where the use of each key and day is kept; without it, cfbench/usage.db in XDG_STATE_HOME or ~/.local/state"},
    {AT("timeout", timeout), .type = OPT_DOUBLE, .def = "120", RANGE(0.001, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK | BATCH, .help = "longest time of one call, from its start to the end of the reply"},
    {AT("connect-timeout", connect_timeout), .type = OPT_DOUBLE, .def = "10", RANGE(0.001, 86400), .unit = "s",
     .metavar = "SECONDS", .group = GROUP_PACE, .commands = ASK | BATCH, .help = "longest time until the connection stands"},
    {AT("idle-timeout", idle_timeout), .type = OPT_DOUBLE, .def = "0", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK, .help = "longest silence in the middle of a reply; 0 = no limit but --timeout"},

    {AT("row-deadline", row_deadline), .type = OPT_DOUBLE, .def = "0", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK, .help = "longest time of a row in this run, with all its tries; 0 = no limit"},
    {AT("max-attempts", max_attempts), .type = OPT_INT, .def = "0", RANGE(0, 1000000), .metavar = "N", .group = GROUP_PACE,
     .commands = ASK,
     .help = "calls of one row that may reach a server and fail, over all runs; then it is not asked again; 0 = no limit"},
    {AT("max-failures", max_failures), .type = OPT_STRING, .metavar = "N|SHARE%", .group = GROUP_PACE,
     .check = cfb_check_failures, .commands = ASK,
     .help = "end the run when more rows than this have failed: a number, or a share such as 10%"},
    {AT("patience", patience), .type = OPT_DOUBLE, .def = "120", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_PACE, .commands = ASK,
     .help = "how long a server that has answered may be gone, before the run ends; meanwhile one call at a time tries it"},
    {AT("grace", grace), .type = OPT_DOUBLE, .def = "25", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS", .group = GROUP_PACE,
     .commands = ASK,
     .help = "after Ctrl-C, SIGTERM or SIGUSR1: how long calls under way may finish; a second signal ends them at once"},

    /* Scoring */
    {AT("task", task), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .commands = SCORE | COMPARE | TUNE,
     .help = "task of the given files, where their names do not say it"},
    {AT("metric", metric), .type = OPT_STRING, .metavar = "NAME|TASK=NAME,...", .group = GROUP_SCORE, .check = cfb_check_metrics,
     .commands = RUN | SCORE | COMPARE | VERIFY | TUNE | MERGE,
     .help = "metric of the generation tasks, or of single tasks, in place of the suite's: docs/metrics.md lists them"},
    {AT("label-set", label_set), .type = OPT_ENUM, .choices = "suite|observed", .group = GROUP_SCORE,
     .commands = RUN | SCORE | COMPARE | VERIFY | TUNE | MERGE,
     .help = "labels that F1 counts: the suite's list, or all that the file holds; without it, as the suite says"},
    {AT("response-column", response_column), .type = OPT_STRING, .def = "response", .metavar = "NAME", .group = GROUP_SCORE,
     .commands = SCORE | COMPARE, .help = "column with the reference answers in response files"},
    {AT("output-column", output_column), .type = OPT_STRING, .def = "output", .metavar = "NAME", .group = GROUP_SCORE,
     .commands = SCORE | COMPARE, .help = "column with the model's answers in response files"},
    {AT("id-column", id_column), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .commands = SCORE | COMPARE,
     .help = "column with the ids of rows in response files; without it, 'id' where there is one"},
    {AT("task-column", task_column), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .commands = SCORE | COMPARE,
     .help = "column that names each row's task: for files with rows of several tasks"},
    {AT("model-column", model_column), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .commands = SCORE | COMPARE,
     .help = "column that names each row's model"},
    {AT("setting-column", setting_column), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE,
     .commands = SCORE | COMPARE, .help = "column that names each row's setting, such as few-shot"},
    {AT("model-name", model_name), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .check = cfb_check_line,
     .commands = SCORE, .help = "model of the given files, in place of what their paths say"},
    {AT("setting", setting), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .check = cfb_check_line,
     .commands = SCORE, .help = "setting of the given files, such as few-shot, in place of what their paths say"},
    {AT("duplicates", duplicates), .type = OPT_ENUM, .choices = "separate|join|fail", .def = "separate", .group = GROUP_SCORE,
     .commands = SCORE | COMPARE,
     .help = "the same task of the same model and setting in two sources: two results with their sources' names, the rows of "
             "both as one result, or an error"},
    {AT("on-bad-row", on_bad_row), .type = OPT_ENUM, .choices = "fail|skip", .def = "fail", .group = GROUP_SCORE,
     .commands = SCORE, .help = "a row that cannot be read: end with an error, or pass over it, list it and end with status 3"},
    {AT("threads", threads), .letter = 'j', .type = OPT_INT, .def = "0", RANGE(0, 1024), .metavar = "N", .group = GROUP_SCORE,
     .commands = RUN | SCORE | REPORT | COMPARE | VERIFY | EMBED | DOCTOR | MERGE,
     .help = "threads for scoring and embedding; 0 = all cores. The scores are the same for any number"},
    {AT("confidence", confidence), .type = OPT_DOUBLE, .def = "0.95", RANGE(0.5, 0.9999), .metavar = "SHARE",
     .group = GROUP_SCORE, .commands = RUN | SCORE | REPORT | COMPARE | VERIFY | MERGE,
     .help = "confidence of the intervals around scores"},
    {AT("resamples", resamples), .type = OPT_INT, .def = "10000", RANGE(0, 10000000), .metavar = "N", .group = GROUP_SCORE,
     .commands = RUN | SCORE | REPORT | COMPARE | VERIFY | MERGE,
     .help = "bootstrap resamples behind an interval; 0 = Student's t interval instead"},
    {AT("fail-if", fail_if), .type = OPT_LIST, .metavar = "CONDITION", .group = GROUP_SCORE, .commands = COMPARE,
     .help = "exit with status 6 where this holds of a later run beside the first, such as 'f1 drops > 0.01 at 95%'"},
    {AT("memory", memory), .type = OPT_INT, .def = "0", RANGE(0, 1 << 24), .unit = "MiB", .metavar = "N", .group = GROUP_SCORE,
     .commands = SCORE | COMPARE,
     .help = "memory that reading files may take, whatever their size; 0 = a quarter of what this machine, cgroup or "
             "Slurm job allows"},
    {AT("block-size", block_size), .type = OPT_INT, .def = "0", RANGE(0, 65536), .unit = "KiB", .metavar = "N",
     .group = GROUP_SCORE, .commands = SCORE | COMPARE,
     .help = "how much of a file a thread takes at a time; changes no result; 0 = 512, or less where --memory is small"},
    {AT("embed-model", embed_model), .type = OPT_PATH, .metavar = "DIR", .group = GROUP_SCORE, .commands = WITH_MODEL | TUNE,
     .help = "folder of the embedding model for --metric bge, as Hugging Face lays it out; scripts/get-bge.sh fetches one"},
    {AT("embed-url", embed_url), .type = OPT_STRING, .metavar = "URL", .group = GROUP_SCORE, .check = cfb_check_base_url,
     .commands = WITH_MODEL,
     .help = "OpenAI-compatible server that gives the vectors, up to but without /embeddings, in place of --embed-model"},
    {AT("embed-name", embed_name), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .check = cfb_check_line,
     .commands = WITH_MODEL, .help = "name of the model at --embed-url"},
    {AT("embed-api-key", embed_key), .type = OPT_STRING, .flags = OPT_SECRET | OPT_NO_FILE, .metavar = "KEY",
     .group = GROUP_SCORE, .commands = WITH_MODEL, .help = "key for --embed-url, sent as a bearer token"},
    {AT("embed-rate-limit", embed_rate_limit), .type = OPT_DOUBLE, .def = "0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_SCORE, .commands = WITH_MODEL, .help = "least time between the starts of two requests to --embed-url"},
    {AT("embed-batch", embed_batch), .type = OPT_INT, .def = "64", RANGE(1, 2048), .metavar = "N", .group = GROUP_SCORE,
     .commands = WITH_MODEL, .help = "texts of one request to --embed-url"},
    {AT("embed-cache", embed_cache), .type = OPT_PATH, .metavar = "DIR|off", .group = GROUP_SCORE, .commands = WITH_MODEL,
     .help = "folder with vectors of texts seen before; without it, cfbench/embeddings in the user's cache folder"},
    {AT("vocab", vocab), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_SCORE, .commands = WITH_MODEL | TUNE,
     .help = "vocab.txt or tokenizer.json in place of the embedding model's own"},
    {AT("pooling", pooling), .type = OPT_ENUM, .choices = "auto|cls|mean", .def = "auto", .group = GROUP_SCORE,
     .commands = WITH_MODEL | TUNE, .help = "how a text's vectors become one; auto = as the model says, else cls"},
    {AT("precision", precision), .type = OPT_ENUM, .choices = "f32|bf16", .def = "f32", .group = GROUP_SCORE,
     .commands = WITH_MODEL | TUNE,
     .help = "numbers that the model's products are computed in; bf16 is faster on some processors and changes scores a little "
             "(builds with DNNL=1 only)"},
    {AT("bert-model", bert_model), .type = OPT_PATH, .metavar = "DIR", .group = GROUP_SCORE, .commands = WITH_BERT,
     .help = "folder of the model for --metric bertscore, such as bert-base-chinese"},
    {AT("bert-layer", bert_layer), .type = OPT_INT, .def = "-1", RANGE(-1, 1000), .metavar = "N", .group = GROUP_SCORE,
     .commands = WITH_BERT,
     .help = "layer whose hidden states --metric bertscore compares; -1 = two thirds of the model's layers"},
    {AT("bert-baseline", bert_baseline), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_SCORE, .commands = WITH_BERT,
     .help = "rescale --metric bertscore by this file's line for the layer: LAYER,P,R,F as the authors publish them"},
    {AT("column", column), .type = OPT_STRING, .metavar = "NAME", .group = GROUP_SCORE, .commands = EMBED | TUNE,
     .help = "the input is a data set, and its texts stand in this column; without it, it has one text per line"},

    /* Batch files and response cache */
    {AT("cache", cache), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_BATCH, .commands = RUNS,
     .help = "response cache: a reply that is in it is not asked for again, by this or any other run"},
    {AT("batch-max-requests", batch_max_requests), .type = OPT_INT, .def = "50000", RANGE(1, 100000000), .unit = "requests",
     .metavar = "N", .group = GROUP_BATCH, .commands = BATCH, .help = "most requests in one batch file"},
    {AT("batch-max-bytes", batch_max_bytes), .type = OPT_STRING, .def = "200M", .metavar = "SIZE", .group = GROUP_BATCH,
     .check = cfb_check_size, .commands = BATCH, .help = "largest batch file, such as 200M or 64MiB"},
    {AT("model", model), .letter = 'm', .type = OPT_STRING, .flags = OPT_NO_FILE | OPT_NO_ENV, .metavar = "NAME",
     .group = GROUP_BATCH, .check = cfb_check_line, .commands = CACHE, .help = "only replies of this model"},
    {AT("older-than", older_than), .type = OPT_STRING, .flags = OPT_NO_FILE | OPT_NO_ENV, .metavar = "AGE", .group = GROUP_BATCH,
     .check = cfb_check_age, .commands = CACHE, .help = "prune replies that are older, such as 30d, 12h or 2w"},
    {AT("max-bytes", max_bytes), .type = OPT_STRING, .flags = OPT_NO_FILE | OPT_NO_ENV, .metavar = "SIZE", .group = GROUP_BATCH,
     .check = cfb_check_size, .commands = CACHE,
     .help = "prune what was not used for longest until the cache is at most so large, such as 1G"},

    /* Cluster jobs */
    {AT("shard", shard), .type = OPT_STRING, .metavar = "i/N|auto", .group = GROUP_CLUSTER, .commands = ASK | SCORE | EMBED,
     .help = "only the rows of shard i of N (from 0), into OUT/shard-i-of-N (embed: OUT.shard-i-of-N); auto = by the job array "
             "or step of Slurm, PBS, LSF or "
             "Grid Engine. 'cfbench merge' joins the shards"},
    {AT("share-rate", share_rate), .type = OPT_INT, .def = "0", RANGE(0, 1000000), .unit = "processes", .metavar = "N",
     .group = GROUP_CLUSTER, .commands = ASK,
     .help = "N processes share the limits: this one takes 1/N of --rps, --rpm, --tpm, and of the starts that --api-rate-limit "
             "allows; 0 = the number of shards"},
    {AT("limiter", limiter), .type = OPT_STRING, .metavar = "ADDRESS", .group = GROUP_CLUSTER, .commands = ASK,
     .help =
         "take starts, and calls in flight, from the 'cfbench limiter' at HOST:PORT or unix:PATH, beside the limits given here; "
         "its token is in CFBENCH_LIMITER_TOKEN"},
    {AT("listen", listen), .type = OPT_STRING, .def = "127.0.0.1:0", .metavar = "ADDRESS", .group = GROUP_CLUSTER,
     .commands = LIMITER,
     .help = "where the limiter serves: HOST:PORT (0 = any free port; 0.0.0.0 = all networks of this machine) or unix:PATH"},
    {AT("limiter-token-file", limiter_token_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_CLUSTER,
     .commands = ASK | LIMITER, .help = "file whose first line is the limiter's token; without it, CFBENCH_LIMITER_TOKEN"},
    {AT("time-limit", time_limit), .type = OPT_DOUBLE, .def = "0", RANGE(0, 31536000), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_CLUSTER, .commands = ASK,
     .help =
         "end, resumable, so long after the start: rows that would not be answered by then are not asked; 0 = when the Slurm job "
         "ends, if there is one, else never"},
    {AT("time-margin", time_margin), .type = OPT_DOUBLE, .def = "20", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_CLUSTER, .commands = ASK,
     .help = "so long before the end of --time-limit or the job no call is under way any more: for commits, and what the job "
             "does next"},
    {AT("requeue-exit", requeue_exit), .type = OPT_INT, .def = "0", RANGE(0, 255), .metavar = "STATUS", .group = GROUP_CLUSTER,
     .commands = ASK, .help = "exit status of an interrupted, resumable run, in place of 5: what the site's requeue rule wants"},
    {AT("store-locks", store_locks), .type = OPT_ENUM, .choices = "auto|shared|exclusive", .def = "auto", .group = GROUP_CLUSTER,
     .commands = ASK | BATCH,
     .help =
         "how the run store is opened: shared lets other programs read it meanwhile, exclusive needs no shared memory; auto = "
         "exclusive on a network file system"},

    /* Mock model */
    {AT("port", port), .type = OPT_INT, .def = "0", RANGE(0, 65535), .metavar = "N", .group = GROUP_MOCK, .commands = MOCK,
     .help = "port on 127.0.0.1; 0 = any free one"},
    {AT("port-file", port_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MOCK, .commands = MOCK,
     .help = "file that gets the port's number once the mock serves"},
    {AT("address-file", address_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_CLUSTER, .commands = LIMITER,
     .help = "file that gets the address once the limiter serves"},
    {AT("replies", replies), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "JSON Lines file with the mock's replies, by the SHA-256 of the prompt"},
    {AT("mock-latency", mock_latency), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_MOCK, .commands = ASK | MOCK | TUNE, .help = "median time until the mock replies"},
    {AT("mock-latency-sigma", mock_latency_sigma), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 5), .metavar = "SIGMA",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "log-normal spread of the mock's latency; 0 = constant"},
    {AT("mock-error-rate", mock_error_rate), .type = OPT_DOUBLE, .def = "0.2", RANGE(0, 1), .metavar = "SHARE",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "share of the mock's replies that differ from the reference"},
    {AT("mock-faults", mock_faults), .type = OPT_STRING, .def = "", .flags = OPT_EMPTY_OK, .metavar = "CLASS:SHARE,...",
     .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "share of the mock's replies that fail, by class: 429, 500, cut, reset, empty, ... (docs/mock.md has all)"},
    {AT("mock-rpm", mock_rpm), .type = OPT_INT, .def = "0", RANGE(0, 1000000000), .unit = "calls/min", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK | TUNE,
     .help = "calls in a minute beyond which the mock answers 429; 0 = no limit"},
    {AT("mock-max-inflight", mock_max_inflight), .type = OPT_INT, .def = "0", RANGE(0, 1000000), .unit = "calls", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK | TUNE, .help = "calls under way beyond which the mock refuses; 0 = no limit"},
    {AT("mock-refuse", mock_refuse), .type = OPT_ENUM, .choices = "429|503", .def = "429", .group = GROUP_MOCK,
     .commands = ASK | MOCK, .help = "status with which the mock refuses calls beyond --mock-max-inflight"},
    {AT("mock-slots", mock_slots), .type = OPT_INT, .def = "0", RANGE(0, 65536), .unit = "calls", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK | TUNE,
     .help = "calls that the mock serves at once while others queue; 0 = all"},
    {AT("mock-control", mock_control), .type = OPT_BOOL, .group = GROUP_MOCK, .commands = MOCK,
     .help = "let POST /mock/control change limits, latency and faults while the mock serves"},
    {AT("mock-tpm", mock_tpm), .type = OPT_INT, .def = "0", RANGE(0, 1000000000000.0), .unit = "tokens/min", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "tokens in a minute beyond which the mock answers 429; 0 = no limit"},
    {AT("mock-quota", mock_quota), .type = OPT_INT, .def = "0", RANGE(0, 1000000000000.0), .unit = "calls", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "calls after which the mock says insufficient_quota for good; 0 = no limit"},
    {AT("mock-ttft", mock_ttft), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 3600), .unit = "s", .metavar = "SECONDS",
     .group = GROUP_MOCK, .commands = ASK | MOCK | TUNE, .help = "time to the mock's first token, added to its latency"},
    {AT("mock-tokens-per-s", mock_tokens_per_s), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 1000000000), .unit = "tokens/s",
     .metavar = "N", .group = GROUP_MOCK, .commands = ASK | MOCK, .help = "pace of the mock's replies; 0 = at once"},
    {AT("mock-profile", mock_profile), .type = OPT_ENUM,
     .choices = "plain|openai|azure|openrouter|vllm|sglang|llamacpp|ollama|deepseek|dashscope", .def = "plain", .metavar = "NAME",
     .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help =
         "server that the mock imitates: plain, openai, azure, openrouter, vllm, sglang, llamacpp, ollama, deepseek, dashscope"},
    {AT("mock-reasoning", mock_reasoning), .type = OPT_ENUM, .choices = "off|think|field|hidden", .def = "off",
     .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "the mock thinks first: in <think> tags, in a field of its own, or counted only"},
    {AT("mock-prefix-cache", mock_prefix_cache), .type = OPT_BOOL, .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "the mock's usage names cached_tokens: what earlier prompts began with, too"},
    {AT("mock-context", mock_context), .type = OPT_INT, .def = "0", RANGE(0, 1000000000), .unit = "tokens", .metavar = "N",
     .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "tokens of prompt and reply beyond which the mock answers 400; 0 = any fit"},
    {AT("mock-embed-dim", mock_embed_dim), .type = OPT_INT, .def = "8", RANGE(1, 4096), .unit = "numbers", .metavar = "N",
     .group = GROUP_MOCK, .commands = MOCK, .help = "length of the mock's embeddings, when the request does not say"},
    {AT("mock-batch-delay", mock_batch_delay), .type = OPT_DOUBLE, .def = "0.0", RANGE(0, 3600), .unit = "s",
     .metavar = "SECONDS", .group = GROUP_MOCK, .commands = MOCK, .help = "time from the creation of a batch to its end"},
    {AT("mock-key", mock_key), .type = OPT_STRING, .metavar = "KEY", .group = GROUP_MOCK, .commands = MOCK,
     .help = "key that the mock demands: others get 401 (a made-up one, as it can be seen in the process list)"},
    {AT("mock-log", mock_log), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_MOCK, .commands = ASK | MOCK,
     .help = "JSON Lines file that gets a line for every call that the mock served"},

    /* Output */
    {AT("out", out), .letter = 'o', .type = OPT_PATH, .def = "cfbench-out", .metavar = "DIR", .group = GROUP_OUTPUT,
     .commands = ASK | BATCH, .help = "folder of the run; the same folder again continues the run"},
    {AT("out", out), .letter = 'o', .type = OPT_PATH, .def = "cfbench-tune", .metavar = "DIR", .group = GROUP_OUTPUT,
     .commands = TUNE, .help = "folder for the profile and what was measured"},
    {AT("out", out), .letter = 'o', .type = OPT_PATH, .metavar = "DIR", .group = GROUP_OUTPUT,
     .commands = SCORE | REPORT | COMPARE, .help = "folder for the files that are written"},
    {AT("format", format), .type = OPT_ENUM, .choices = "csv|jsonl", .def = "csv", .group = GROUP_OUTPUT, .commands = EXPORT,
     .help = "CFBenchmark's CSV layout, or JSON Lines"},
    {AT("format", format), .type = OPT_ENUM, .choices = "csv|jsonl", .def = "jsonl", .group = GROUP_OUTPUT, .commands = CONVERT,
     .help = "CSV, or JSON Lines"},
    {AT("format", format), .type = OPT_ENUM, .choices = "csv|jsonl", .group = GROUP_OUTPUT, .commands = SCORE,
     .help = "form of --rows-out, where the file's name does not say it"},
    {AT("rows-out", rows_out), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_OUTPUT, .commands = SCORE,
     .help = "CSV or JSON Lines file that gets a line for every row, with its score and what that is made of"},
    {AT("rows-texts", rows_texts), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = SCORE,
     .help = "--rows-out has input, response and output too"},
    {AT("where", where), .type = OPT_STRING, .metavar = "EXPR", .group = GROUP_OUTPUT, .commands = SCORE,
     .help = "choose --rows-out, --sample and --worst from these rows, such as 'task == \"sector\" && score < 0.5'; scores stay "
             "those of all rows"},
    {AT("sample", sample), .type = OPT_INT, .def = "0", RANGE(0, 10000), .unit = "rows", .metavar = "N", .group = GROUP_OUTPUT,
     .commands = SCORE, .help = "N random rows of each task, chosen by --seed, for --json and --rows-out; 0 = none"},
    {AT("worst", worst), .type = OPT_INT, .def = "0", RANGE(0, 10000), .unit = "rows", .metavar = "N", .group = GROUP_OUTPUT,
     .commands = SCORE,
     .help = "the N answered rows of each task with the lowest scores, in reports and --rows-out; 0 = 5, in reports only"},
    {AT("language", language), .type = OPT_ENUM, .choices = "en|zh", .def = "en", .group = GROUP_OUTPUT,
     .commands = RUN | SCORE | REPORT | COMPARE | MERGE, .help = "language of reports and tables: English or Chinese"},
    {AT("csv", csv), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_OUTPUT, .commands = RUN | SCORE | REPORT,
     .help = "CSV file that gets the summary: a line for each model, setting and task"},
    {AT("dry-run", dry_run), .type = OPT_BOOL, .flags = OPT_NO_FILE | OPT_NO_ENV, .group = GROUP_OUTPUT, .commands = RUNS,
     .help =
         "say how many calls and tokens it would take, how long and what it would cost, and end; nothing is asked or written"},
    {AT("probe", probe), .type = OPT_BOOL, .flags = OPT_NO_FILE | OPT_NO_ENV, .group = GROUP_OUTPUT, .commands = DOCTOR,
     .help = "ask the model one short question too: only an answer tells some servers' limits"},
    {AT("format", format), .type = OPT_ENUM, .choices = "table|json|markdown|latex", .def = "table", .group = GROUP_OUTPUT,
     .commands = COMPARE, .help = "form on standard output"},
    {AT("force", force), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = EXPORT | CONVERT | EMBED | MERGE,
     .help = "replace files that are there"},
    {AT("moved", moved), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = RUNS | BATCH,
     .help = "continue a run although --base-url changed: the same model now answers at another address"},
    {AT("hash", hash), .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = PROMPT,
     .help = "print the SHA-256 of each prompt instead of its text"},
    {AT("json", json), .type = OPT_BOOL, .group = GROUP_OUTPUT,
     .commands = ASK | BATCH | SCORE | REPORT | COMPARE | PROMPT | CACHE | TUNE | MERGE | EMBED,
     .help = "standard output is one JSON document"},
    {AT("quiet", quiet), .letter = 'q', .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = ALL,
     .help = "no progress; on standard error only warnings and errors"},
    {AT("verbose", verbose), .letter = 'v', .type = OPT_BOOL, .group = GROUP_OUTPUT, .commands = ALL,
     .help = "say more on standard error"},
    {AT("log", log_file), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_OUTPUT, .commands = RUNS,
     .help = "append everything that --verbose says to this file, with times; every failed call and every change of the calls in "
             "flight"},
    {AT("profile-out", profile_out), .type = OPT_PATH, .metavar = "FILE", .group = GROUP_OUTPUT,
     .commands = RUNS | SCORE | REPORT | COMPARE | VERIFY | EXPORT | CONVERT | MERGE | BATCH | EMBED | TUNE,
     .help = "trace of tasks, rows, calls, waits, blocks and commits, as JSON for ui.perfetto.dev or chrome://tracing"},
    {AT("progress", progress), .type = OPT_ENUM, .choices = "auto|bar|log|off", .def = "auto", .group = GROUP_OUTPUT,
     .commands = RUNS | SCORE, .help = "progress on standard error; auto = bar on a terminal, else log"},
    {AT("color", color), .type = OPT_ENUM, .choices = "auto|always|never", .def = "auto", .group = GROUP_OUTPUT, .commands = ALL,
     .help = "colour; auto = on a terminal, unless NO_COLOR is set"},

    /* General */
    {AT("budget", budget), .type = OPT_DOUBLE, .def = "60", RANGE(0, 86400), .unit = "s", .metavar = "SECONDS",
     .flags = OPT_NO_FILE | OPT_NO_ENV, .group = GROUP_GENERAL, .commands = TUNE,
     .help = "time for tuning; every point is measured three times in any case"},
    {AT("reps", reps), .type = OPT_INT, .def = "1000", RANGE(1, 1000), .metavar = "N", .flags = OPT_NO_FILE | OPT_NO_ENV,
     .group = GROUP_GENERAL, .commands = TUNE,
     .help = "most runs of one point, after one that warms up; most often the budget ends it before"},
    {AT("roofline", roofline), .type = OPT_BOOL, .def = "true", .flags = OPT_NO_FILE | OPT_NO_ENV, .group = GROUP_GENERAL,
     .commands = TUNE, .help = "measure memory bandwidth and matrix products too"},
    {AT("profile", profile), .type = OPT_PATH, .flags = OPT_NO_FILE, .metavar = "FILE", .group = GROUP_GENERAL,
     .commands = RUNS | SCORE | EMBED | DOCTOR,
     .help = "settings that 'cfbench tune' found for this machine; the config file, variables and options go before them"},
    {AT("seed", seed), .type = OPT_INT, .def = "0", RANGE(0, 9007199254740992.0), .metavar = "N", .group = GROUP_GENERAL,
     .commands = ASK | MOCK | SCORE | REPORT | COMPARE | VERIFY | TUNE | MERGE,
     .help = "start of every random choice: the mock's, the waits between tries, --sample, the resamples of intervals"},
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

static bool is_name(const char *known, const char *name, size_t len) {
    return strlen(known) == len && memcmp(known, name, len) == 0;
}

const cfb_opt *cfb_opt_find(const char *name, size_t len, cfb_command command) {
    const cfb_opt *first = NULL;
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        if (!is_name(o->name, name, len) && !(o->also != NULL && is_name(o->also, name, len))) continue;
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
    char range[128] = "", def[128] = "", also[64] = "";
    if (o->type == OPT_INT || o->type == OPT_DOUBLE) {
        char low[32], high[32];
        cfb_format_plain(o->min, low);
        cfb_format_plain(o->max, high);
        snprintf(range, sizeof range, "%s..%s%s%s", low, high, o->unit != NULL ? " " : "", o->unit != NULL ? o->unit : "");
    }
    if (o->def != NULL && o->def[0] != '\0') snprintf(def, sizeof def, "default: %s", o->def);
    buf[0] = '\0';
    if (o->also != NULL) snprintf(also, sizeof also, "also --%s", o->also);
    if (o->type == OPT_LIST) snprintf(also, sizeof also, "may be given several times");
    const char *const parts[] = {also, range, def};
    size_t used = 0;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i][0] == '\0' || used >= size) continue;
        int n = snprintf(buf + used, size - used, "%s%s", used == 0 ? "(" : "; ", parts[i]);
        if (n > 0) used += (size_t)n;
    }
    if (used > 0 && used + 1 < size) memcpy(buf + used, ")", 2);
}
