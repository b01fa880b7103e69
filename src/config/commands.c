/* commands.c - what --help and the man pages say about commands, exit codes and the environment. */
#include "config/options.h"

static const struct {
    const char *name, *summary;
} command_names[CFB_CMD_COUNT] = {
#define CFB_X(NAME, name, summary) {name, summary},
    CFB_COMMAND_MAP(CFB_X)
#undef CFB_X
};

const char *cfb_command_name(cfb_command command) { return (unsigned)command < CFB_CMD_COUNT ? command_names[command].name : ""; }

const char *cfb_command_summary(cfb_command command) {
    return (unsigned)command < CFB_CMD_COUNT ? command_names[command].summary : "";
}

cfb_command cfb_command_find(const char *name) {
    for (unsigned i = 0; i < CFB_CMD_COUNT; i++)
        if (strcmp(command_names[i].name, name) == 0) return (cfb_command)i;
    return CFB_CMD_COUNT;
}

const cfb_command_info cfb_commands[CFB_CMD_COUNT] = {
    [CFB_CMD_RUN] = {"",
                     0,
                     0,
                     "Asks the model for every row of the suite's tasks, scores the replies and writes a report. Every reply is "
                     "stored before it counts as done, so an interrupted run loses nothing: the same command again asks only for "
                     "what is missing or failed. A failed row is shown as failed and never scored as if it were an answer.",
                     {"Try the whole way without a key, on the built-in mock model:", "cfbench run --mock --suite sample",
                      "The first 20 rows of two tasks, before a full run is paid for:",
                      "cfbench run --model gpt-4.1-mini --data ~/cfbenchmark --tasks company,sentiment --limit 20",
                      "A server of your own, without a rate limit:",
                      "cfbench run --model qwen2.5-7b --base-url http://127.0.0.1:8000/v1 --max-workers 64 --api-rate-limit 0"}},
    [CFB_CMD_GENERATE] =
        {"",
         0,
         0,
         "Asks the model for every row of the suite's tasks and stores the replies in the run store of --out. The "
         "same command again asks only for what is missing or failed. Nothing is scored: that can be done later, "
         "elsewhere and offline, by 'cfbench score'.",
         {"Ask now, score later:", "cfbench generate --model gpt-4.1-mini --data ~/cfbenchmark --out runs/mini",
          "Gently, for a free account:",
          "cfbench generate --model gpt-4.1-mini --data ~/cfbenchmark --out runs/mini --preset free_tier"}},
    [CFB_CMD_SCORE] =
        {"PATH...",
         1,
         SIZE_MAX,
         "Scores replies offline. Each PATH is a run store, a response file (CSV, JSON or Arrow, with the reference and the "
         "model's answer in columns), a folder of such files, or - for standard input. Files of any size are read as a stream.",
         {"Score a run again, as one JSON document:", "cfbench score --json runs/mini",
          "Score one response file by the labels that it holds:",
          "cfbench score --task sector --label-set observed sector-output.csv", "Response files with columns of other names:",
          "cfbench score --task company --response-column gold --output-column answer company.csv",
          "The rows that score low, with their texts:",
          "cfbench score --rows-out low.jsonl --rows-texts --where 'score < 0.5' runs/mini"}},
    [CFB_CMD_REPORT] = {"RUN",
                        1,
                        1,
                        "Writes the report of a scored run again, without asking or scoring anything. RUN is the "
                        "folder of the run.",
                        {"Write the report beside its run:", "cfbench report runs/mini",
                         "Write it into another folder:", "cfbench report runs/mini --out public/mini"}},
    [CFB_CMD_COMPARE] =
        {"PATH...",
         1,
         SIZE_MAX,
         "Compares models on the same rows, matched by task and id. Each PATH is a run store, a response file, or a "
         "folder of such; every model in it is a run, and there must be two or more. For every pair: the "
         "difference with its interval, the chance of it if both were equal (adjusted for many comparisons by "
         "Holm's method), effect size, and which rows changed. Ranks are shared where the data cannot tell "
         "models apart.",
         {"Is the new model better?", "cfbench compare runs/old runs/new",
          "In CI: fail if F1 has dropped by more than a point, beyond doubt:",
          "cfbench compare runs/old runs/new --fail-if 'f1 drops > 0.01 at 95%'",
          "A table for a paper:", "cfbench compare --format latex runs/*"}},
    [CFB_CMD_VERIFY] = {"RUN",
                        1,
                        1,
                        "Computes the results of a run again from its run store, and compares them byte by byte with the files "
                        "in its folder. Nothing is written. RUN is the folder of the run. Options that decided the results, "
                        "such as --metric, must be given as they were then.",
                        {"Are these the results of this run?", "cfbench verify runs/mini"}},
    [CFB_CMD_EXPORT] = {"RUN [DIR]",
                        1,
                        2,
                        "Writes the replies and scores of a run as files: in CFBenchmark's layout of folders and CSV "
                        "columns, or as JSON Lines. RUN is the folder of the run. DIR is where the files go.",
                        {"CSV files that CFBenchmark's own scripts read:", "cfbench export runs/mini exported",
                         "JSON Lines instead, over files that are there:",
                         "cfbench export --format jsonl --force runs/mini exported"}},
    [CFB_CMD_CONVERT] = {"IN [OUT]",
                         1,
                         2,
                         "Turns a data set into JSON Lines or CSV. IN is a Hugging Face save_to_disk folder, or an "
                         "Arrow stream, CSV, JSON or JSON Lines file, plain or as .gz or .zst; which one it is, is seen "
                         "from its content. Without OUT, or with -, the rows go to standard output.",
                         {"An Arrow data set as JSON Lines:", "cfbench convert data/company company.jsonl",
                          "JSON as CSV:", "cfbench convert --format csv rows.json rows.csv"}},
    [CFB_CMD_PROMPT] = {"",
                        0,
                        0,
                        "Shows exactly what would be sent for rows of the suite's tasks. Nothing is sent.",
                        {"The prompt of one row:", "cfbench prompt --suite sample --tasks company --rows 0",
                         "Hashes of all prompts, to compare two versions of a suite:", "cfbench prompt --suite sample --hash"}},
    [CFB_CMD_BATCH] =
        {"STEP [FILE...]",
         1,
         SIZE_MAX,
         "Asks by batch files instead of call by call: many servers do it for less, within a day. STEP is one of: export "
         "(writes the requests of all rows without a reply into OUT/batch), submit (uploads them and starts batches), status "
         "(shows how far they are), fetch (downloads their results), import (puts the replies into the run store), cancel. Each "
         "step can be repeated and goes on where it stopped. 'import FILE...' takes result files that came another way, such as "
         "vLLM's run-batch.",
         {"The whole way:", "cfbench batch export --model gpt-4.1-mini --data ~/cfbenchmark --out runs/mini",
          "Upload, and look again later:", "cfbench batch submit --out runs/mini", "Files that vLLM's run-batch wrote:",
          "cfbench batch import --model qwen2.5-7b --data ~/cfbenchmark --out runs/qwen results.jsonl"}},
    [CFB_CMD_CACHE] =
        {"stats|prune FILE",
         2,
         2,
         "Shows what a response cache holds, or removes replies from it. FILE is the file of --cache. It can be used "
         "by runs meanwhile.",
         {"What is in it:", "cfbench cache stats replies.db", "Forget what is older than 30 days, and stay below 1 GB:",
          "cfbench cache prune --older-than 30d --max-bytes 1G replies.db"}},
    [CFB_CMD_MERGE] =
        {"OUT SHARD...",
         2,
         SIZE_MAX,
         "Joins the shards of a run (made with --shard) into the run store of OUT, scores it and writes its reports, as one "
         "process would have. SHARD is a shard's folder, its run.db, or a folder that holds shards. All must be of one "
         "configuration, and together hold every row once. Give the --seed of the shards, where they had one: intervals "
         "depend on it. Shards of 'score' are joined too: their options are taken from them, the scored files are read once "
         "more, "
         "and OUT gets what one process would have written. Shards of 'embed' become the .npy file OUT.",
         {"A run of 8 shards, made with --out runs/qwen --shard i/8:", "cfbench merge runs/qwen-whole runs/qwen",
          "Files scored by 4 processes, with score --out part --shard i/4:", "cfbench merge scores part"}},
    [CFB_CMD_LIMITER] =
        {"",
         0,
         0,
         "Hands out starts of calls, and calls in flight, to any number of processes with --limiter, so that all of "
         "them together keep to one limit. Clients must know its token (CFBENCH_LIMITER_TOKEN or "
         "--limiter-token-file). What a killed client had goes to the others.",
         {"One rate for all jobs of a user:", "cfbench limiter --listen 0.0.0.0:7700 --rps 50 --in-flight 200"}},
    [CFB_CMD_DOCTOR] =
        {"",
         0,
         0,
         "Looks at this machine, the limits of this process, OpenMP and BLAS, the file system of --out, the server and "
         "the suite, and says what is wrong: what, why it matters, and the command that mends it. It takes the "
         "options of a run and says how many calls and tokens that run would take, how long and what it would cost. "
         "Nothing is asked but the list of models, and nothing is kept. Exit status: 0 nothing wrong (hints "
         "apart), 3 at least one fault, 4 at least one fault of the server.",
         {"This machine:", "cfbench doctor --suite sample", "A run before it is paid for:",
          "cfbench doctor --model gpt-4.1-mini --data ~/cfbenchmark --rpm 500 --in-flight 256 --out runs/mini"}},
    [CFB_CMD_TUNE] =
        {"score|embed|client|all [PATH]",
         1,
         2,
         "Runs the same work with different settings, in turn and again, and says which is fastest: 'score' sweeps "
         "threads, memory and binding over PATH (response files; without it, files of the suite's shape), 'embed' "
         "threads and binding for the model of --embed-model over PATH (a text on each line, or --column; without it, the "
         "suite's texts), 'client' "
         "calls in flight and how threads and tasks share them, against the server of --model "
         "and --base-url (its calls are real and cost what "
         "calls cost) or without --model against a mock of --mock-latency; 'rate' finds the most calls a second that this "
         "server takes (with --mock-rpm: the mock), by asking it for more. Points that cannot win are given up early. "
         "It prints a table with intervals, the noise, speed-up with Amdahl's and Karp and Flatt's figures and a "
         "roofline, and writes OUT/profile.json, which other commands load with --profile.",
         {"All, in two minutes:", "cfbench tune all --suite sample --budget 120",
          "Scoring, on files of one's own:", "cfbench tune score --suite sample results/"}},
    [CFB_CMD_MOCK] = {"",
                      0,
                      0,
                      "Serves an OpenAI-compatible mock model on 127.0.0.1 until it is interrupted. It knows the "
                      "suite's reference answers and can be slow, wrong, limited or faulty, always in the same way for "
                      "the same seed.",
                      {"Serve, and ask it from another terminal:", "cfbench mock --suite sample --port 8080",
                       "A slow server that refuses one call in ten:",
                       "cfbench mock --suite sample --port 8080 --mock-latency 0.5 --mock-faults 429:0.1"}},
    [CFB_CMD_EMBED] =
        {"IN OUT",
         2,
         2,
         "Turns texts into vectors of length 1 with the embedding model of --embed-model, and writes them to OUT as a NumPy "
         "array of binary32, one row per text. IN is a text file with one text per line, or - for standard input; with "
         "--column it is a data set in any format that 'cfbench convert' reads.",
         {"One vector per line of a file:", "cfbench embed --embed-model models/bge-small-zh-v1.5 lines.txt lines.npy",
          "The references of a response file:",
          "cfbench embed --embed-model models/bge-small-zh-v1.5 --column response summary-output.csv references.npy"}},
};

const cfb_exit_info cfb_exits[] = {
    {0, "all done"},
    {1, "wrong use or configuration"},
    {2, "input data wrong"},
    {3, "finished, but some rows failed (named in the output, retried on the next run)"},
    {4, "the model could not be reached or refused the key"},
    {5, "interrupted, resumable"},
    {6, "a --fail-if condition of compare holds"},
    {70, "our bug"},
};
const size_t cfb_exits_count = sizeof cfb_exits / sizeof cfb_exits[0];

const cfb_env_info cfb_env_infos[] = {
    {"CFBENCH_NAME", "value of the option --name, in capitals and with _ for -, such as CFBENCH_MAX_WORKERS=8; on/off "
                     "options take true or false; an empty variable counts as unset"},
    {"OPENAI_API_KEY", "the key; CFBENCH_API_KEY goes first, and so does a key file"},
    {"OPENAI_BASE_URL", "as --base-url; CFBENCH_BASE_URL goes first"},
    {"CFBENCH_HEADERS", "as --header, one header in each line"},
    {"CFBENCH_SUITE_PATH", "folders in which suites are looked for by name, separated by colons"},
    {"CFBENCH_DOCTOR_ROOT", "folder that stands for / when doctor reads /proc and /sys; for tests"},
    {"CFBENCH_SIMD", "avx512, avx2, neon or portable: the instruction set for reading; for measuring and tests"},
    {"CFBENCH_LIMITER_TOKEN", "what a limiter and its clients must have in common; a token file goes first"},
    {"NO_COLOR", "if set, --color auto means never"},
    {NULL, NULL},
};
