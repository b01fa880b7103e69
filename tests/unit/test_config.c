/* Every option, source, priority and error of src/config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ARGS 32

static char dir[] = "/tmp/cfbench-test-config-XXXXXX";
static char log_lines[4096];

static void keep_log(void *ctx, cfb_log_level level, const char *line) {
    (void)ctx;
    (void)level;
    size_t used = strlen(log_lines);
    snprintf(log_lines + used, sizeof log_lines - used, "%s\n", line);
}

/* Splits at spaces; "%" stands for the temporary folder. */
static char words[2048];
static char *arg_list[MAX_ARGS];
static int split(const char *line) {
    size_t used = 0;
    words[0] = '\0';
    for (const char *p = line; *p != '\0'; p++) {
        int w = *p == '%' ? snprintf(words + used, sizeof words - used, "%s", dir)
                          : snprintf(words + used, sizeof words - used, "%c", *p);
        used += (size_t)w;
        assert_true(used < sizeof words);
    }
    int n = 0;
    arg_list[n++] = (char *)(uintptr_t) "cfbench";
    for (char *p = words; *p != '\0';) {
        size_t len = strcspn(p, " ");
        assert_true(n < MAX_ARGS - 1);
        arg_list[n++] = p;
        p += len;
        if (*p == ' ') *p++ = '\0';
    }
    arg_list[n] = NULL;
    return n;
}

static cfb_config parse_want(const char *line, cfb_config_want expected) {
    cfb_config c;
    cfb_config_want want;
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_config_parse(split(line), arg_list, &c, &want, &err);
    if (rc != CFB_OK) fail_msg("%s: %s", line, err.msg);
    assert_int_equal(want, expected);
    return c;
}

static cfb_config parse(const char *line) { return parse_want(line, CFB_WANT_RUN); }

/* The command line fails with this code, and the message holds all of the (up to three) parts. */
static void fails(const char *line, cfb_code code, const char *a, const char *b, const char *c) {
    cfb_config config;
    cfb_config_want want;
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_config_parse(split(line), arg_list, &config, &want, &err);
    if (rc != code) fail_msg("%s: %s instead of %s (%s)", line, cfb_code_name(rc), cfb_code_name(code), err.msg);
    assert_int_equal(err.code, code);
    const char *parts[] = {a, b, c};
    for (size_t i = 0; i < 3; i++)
        if (parts[i] != NULL && strstr(err.msg, parts[i]) == NULL) fail_msg("%s: '%s' is not in '%s'", line, parts[i], err.msg);
    assert_null(config.arena);
}

static void write_file(const char *name, const char *text, mode_t mode) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_file_write(path, cfb_str_from(text), &err), CFB_OK);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_defaults(void **state) {
    (void)state;
    cfb_config c = parse("run --model m");
    assert_int_equal(c.command, CFB_CMD_RUN);
    assert_string_equal(c.suite, "cfbenchmark");
    assert_string_equal(c.shot, "few");
    assert_string_equal(c.model, "m");
    assert_string_equal(c.base_url, "https://api.openai.com/v1");
    assert_string_equal(c.out, "cfbench-out");
    assert_string_equal(c.progress, "auto");
    assert_string_equal(c.color, "auto");
    assert_string_equal(c.mock_faults, "");
    assert_string_equal(c.response_column, "response");
    assert_string_equal(c.output_column, "output");
    assert_null(c.data);
    assert_null(c.tasks);
    assert_null(c.label_set);
    assert_null(c.system_prompt);
    assert_null(c.preset);
    assert_null(c.api_key);
    assert_null(c.config_file);
    assert_int_equal(c.max_workers, 4);
    assert_int_equal(c.task_workers, 0);
    assert_true(c.api_rate_limit == 1.0);
    assert_int_equal(c.max_retries, 3);
    assert_true(c.retry_base == 2.0 && c.retry_max == 60.0);
    assert_true(c.timeout == 120.0 && c.connect_timeout == 10.0);
    assert_true(c.temperature == 0.0);
    assert_int_equal(c.max_tokens, 0);
    assert_int_equal(c.limit, 0);
    assert_int_equal(c.threads, 0);
    assert_int_equal(c.seed, 0);
    assert_int_equal(c.port, 0);
    assert_true(c.mock_error_rate == 0.2 && c.mock_latency == 0.0 && c.mock_latency_sigma == 0.0);
    assert_false(c.mock || c.json || c.quiet || c.verbose || c.force || c.hash);
    assert_int_equal(c.n_args, 0);
    cfb_config_free(&c);
    c = parse("export r");
    assert_string_equal(c.format, "csv");
    cfb_config_free(&c);
    c = parse("convert a b");
    assert_string_equal(c.format, "jsonl");
    assert_int_equal(c.n_args, 2);
    assert_string_equal(c.args[1], "b");
    cfb_config_free(&c);
    c = parse("score x");
    assert_null(c.out);
    cfb_config_free(&c);
}

static void test_forms(void **state) {
    (void)state;
    cfb_config c = parse("--max-workers=7 run --limit 5 -qmx -o q --mock --no-mock --limit=6 --json=yes");
    assert_int_equal(c.max_workers, 7);
    assert_int_equal(c.limit, 6); /* the last one counts */
    assert_string_equal(c.model, "x");
    assert_string_equal(c.out, "q");
    assert_true(c.quiet && c.json);
    assert_false(c.mock);
    cfb_config_free(&c);
    c = parse("score a --json b -- --json -x - --");
    assert_true(c.json);
    assert_int_equal(c.n_args, 6);
    const char *want[] = {"a", "b", "--json", "-x", "-", "--"};
    for (size_t i = 0; i < 6; i++) assert_string_equal(c.args[i], want[i]);
    cfb_config_free(&c);
    c = parse("score -j4 - --task=a=b");
    assert_int_equal(c.threads, 4);
    assert_string_equal(c.args[0], "-");
    assert_string_equal(c.task, "a=b");
    cfb_config_free(&c);
    c = parse("run -m x --out=--json --seed 9007199254740992 --temperature 2 --api-rate-limit 0 --timeout 1e1");
    assert_string_equal(c.out, "--json");
    assert_true(c.seed == 9007199254740992);
    assert_true(c.temperature == 2.0 && c.api_rate_limit == 0.0 && c.timeout == 10.0);
    cfb_config_free(&c);
}

static void test_want(void **state) {
    (void)state;
    static const struct {
        const char *line;
        cfb_config_want want;
        cfb_command command;
    } cases[] = {
        {"", CFB_WANT_HELP, CFB_CMD_COUNT},
        {"--help", CFB_WANT_HELP, CFB_CMD_COUNT},
        {"help", CFB_WANT_HELP, CFB_CMD_COUNT},
        {"help mock", CFB_WANT_HELP, CFB_CMD_MOCK},
        {"run -h", CFB_WANT_HELP, CFB_CMD_RUN},
        {"--help score", CFB_WANT_HELP, CFB_CMD_SCORE},
        {"--version", CFB_WANT_VERSION, CFB_CMD_COUNT},
        {"run --bogus --help", CFB_WANT_HELP, CFB_CMD_RUN},
        {"-V", CFB_WANT_VERSION, CFB_CMD_COUNT},
        {"run --print-config", CFB_WANT_PRINT_CONFIG, CFB_CMD_RUN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cfb_config c = parse_want(cases[i].line, cases[i].want);
        assert_int_equal(c.command, cases[i].command);
        cfb_config_free(&c);
    }
}

static void test_usage_errors(void **state) {
    (void)state;
    const cfb_code u = CFB_EUSAGE;
    fails("rnu", u, "unknown command: rnu", "did you mean run?", "'cfbench --help'");
    fails("help rnu", u, "unknown command: rnu", NULL, NULL);
    fails("--json", u, "the command is missing", NULL, NULL);
    fails("run --mock --max-worker 3", u, "unknown option --max-worker ", "--max-workers?", "'cfbench run --help'");
    fails("run --mock --max_workers=sk-abc", u, "unknown option --max_workers ", "--max-workers?", NULL);
    fails("run --mock -x", u, "unknown option -x", NULL, NULL);
    fails("run --mock --port 3", u, "--port is an option of mock, not of run", NULL, NULL);
    fails("convert a b --shot few", u, "of run, generate, prompt, batch, doctor, tune and mock, not of convert", NULL, NULL);
    fails("run", u, "--model is missing", "--mock", NULL);
    fails("generate", u, "--model is missing", "'cfbench generate --help'", NULL);
    fails("run --mock extra", u, "one argument too many: extra", NULL, NULL);
    fails("convert", u, "use: cfbench convert IN [OUT]", NULL, NULL);
    fails("score", u, "use: cfbench score PATH...", NULL, NULL);
    fails("export a b c", u, "too many: c", NULL, NULL);
    fails("run -o", u, "--out needs a value", NULL, NULL);
    fails("run --out --json", u, "--out needs a value", "--json follows", "--out=--json");
    fails("run --out --no-json", u, "--no-json follows", NULL, NULL);
    fails("run --no-limit", u, "--no-limit: only on/off options", NULL, NULL);
    fails("run --no-help", u, "--no-help: only on/off options", NULL, NULL);
    fails("run --no-mock=true", u, "--no-mock takes no value", NULL, NULL);
    fails("run --print-config=1", u, "--print-config takes no value", NULL, NULL);
    fails("run --mock=maybe", u, "maybe is neither true nor false", NULL, NULL);
    fails("run --mock --quiet --verbose", u, "exclude each other", NULL, NULL);
    fails("run --config= --mock", u, "--config: the value is empty", NULL, NULL);
}

static void test_value_errors(void **state) {
    (void)state;
    const cfb_code u = CFB_EUSAGE;
    fails("run --mock --max-workers 0", u, "--max-workers: 0 is not in 1..4096 (from the command line)",
          "; see 'cfbench run --help'", NULL);
    fails("run --mock --max-workers 4097", u, "4097 is not in 1..4096", NULL, NULL);
    fails("run --mock --max-workers -1", u, "-1 is not in 1..4096", NULL, NULL);
    fails("run --mock --max-workers 8x", u, "8x is not a whole number", NULL, NULL);
    fails("run --mock --max-workers=", u, "the empty string is not a whole number", NULL, NULL);
    fails("run --mock --max-workers 4.0", u, "4.0 is not a whole number", NULL, NULL);
    fails("run --mock --max-workers 0x4", u, "is not a whole number", NULL, NULL);
    fails("run --mock --max-workers 99999999999999999999", u, "is not a whole number", NULL, NULL);
    fails("run --mock --seed 9007199254740993", u, "9007199254740993 is not in 0..2^53", NULL, NULL);
    fails("run --mock --timeout nan", u, "nan is not a number", NULL, NULL);
    fails("run --mock --timeout inf", u, "inf is not a number", NULL, NULL);
    fails("run --mock --timeout 1s", u, "1s is not a number", NULL, NULL);
    fails("run --mock --timeout 0", u, "0 is not in 0.001..86400", NULL, NULL);
    fails("run --mock --api-rate-limit 3600.5", u, "3600.5 is not in 0..3600", NULL, NULL);
    fails("run --mock --mock-error-rate 1.01", u, "1.01 is not in 0..1", NULL, NULL);
    fails("run --mock --shot one", u, "one is not one of zero or few", NULL, NULL);
    fails("run --mock --progress x", u, "auto, bar, log or off", NULL, NULL);
    fails("run --mock --preset fast", u, "high_throughput, moderate, conservative or free_tier", NULL, NULL);
    fails("run --model=", u, "--model: the value is empty", NULL, NULL);
    fails("run --mock --tasks a,,b", u, "--tasks", "empty name", NULL);
    fails("run --mock --tasks a,", u, "--tasks", "empty name", NULL);
    fails("prompt --rows 1-", u, "--rows", "list of row numbers", NULL);
    fails("prompt --rows 5-3", u, "--rows", "end is before its start", NULL);
    fails("prompt --rows 1,,2", u, "--rows", NULL, NULL);
    fails("run --mock --model \x01", u, "control character", NULL, NULL);
    fails("run --mock --model \xff", u, "not valid UTF-8", NULL, NULL);
    cfb_config c = parse("prompt --rows 0,10,20-29");
    assert_string_equal(c.rows, "0,10,20-29");
    cfb_config_free(&c);
    /* a long value is cut, not the message's end */
    fails("run --mock --shot 0123456789012345678901234567890123456789012345678901234567890123456789", u, "123...",
          "is not one of", NULL);
}

static void test_between_options(void **state) {
    (void)state;
    fails("run --mock --retry-base 100", CFB_ECONFIG, "--retry-base: 100 s", "--retry-max: 60 s (from the defaults)", NULL);
    fails("run --mock --timeout 5 --connect-timeout 6", CFB_ECONFIG, "--connect-timeout: 6 s", "--timeout: 5 s", NULL);
    cfb_config c = parse("run --mock --timeout 5 --retry-max 1");
    assert_true(c.connect_timeout == 5.0 && c.retry_base == 1.0); /* defaults give way */
    cfb_config_free(&c);
    setenv("CFBENCH_VERBOSE", "1", 1);
    c = parse("run --mock --quiet");
    assert_true(c.quiet && !c.verbose);
    cfb_config_free(&c);
    unsetenv("CFBENCH_VERBOSE");
}

static void test_base_url(void **state) {
    (void)state;
    const cfb_code u = CFB_EUSAGE;
    fails("run -m x --base-url ftp://h/v1", u, "--base-url", "http:// or https://", NULL);
    fails("run -m x --base-url h/v1", u, "http:// or https://", NULL, NULL);
    fails("run -m x --base-url http://", u, "no host", NULL, NULL);
    fails("run -m x --base-url http://:80/", u, "no host", NULL, NULL);
    fails("run -m x --base-url http://h/v1?key=1", u, "holds a ?", NULL, NULL);
    fails("run -m x --base-url http://h/\x7f", u, "cannot hold", NULL, NULL);
    fails("run -m x --base-url http://user:geheim@h/v1", u, "user name or password", NULL, NULL);
    cfb_err err = CFB_ERR_INIT;
    cfb_config c;
    cfb_config_want want;
    assert_int_not_equal(cfb_config_parse(split("run -m x --base-url http://user:geheim@h/v1"), arg_list, &c, &want, &err),
                         CFB_OK);
    assert_null(strstr(err.msg, "geheim"));
    c = parse("run -m x --base-url HTTP://127.0.0.1:8000/v1///");
    assert_string_equal(c.base_url, "HTTP://127.0.0.1:8000/v1");
    cfb_config_free(&c);
    c = parse("run -m x --base-url http://h/a@b");
    assert_string_equal(c.base_url, "http://h/a@b");
    cfb_config_free(&c);
}

static void test_mock(void **state) {
    (void)state;
    cfb_config c = parse("run --mock");
    assert_string_equal(c.model, "mock");
    assert_string_equal(c.base_url, "mock");
    cfb_config_free(&c);
    c = parse("generate --base-url mock --model m");
    assert_true(c.mock);
    assert_string_equal(c.model, "m");
    cfb_config_free(&c);
    fails("run --mock --base-url http://h/", CFB_EUSAGE, "--mock (from the command line) and --base-url", "--no-mock", NULL);
    fails("run --no-mock --base-url mock", CFB_EUSAGE, "--no-mock", NULL, NULL);
    setenv("OPENAI_BASE_URL", "http://h/v1", 1); /* set for other programs: no contradiction */
    setenv("OPENAI_API_KEY", "sk-1", 1);
    c = parse("run --mock");
    assert_string_equal(c.base_url, "mock");
    assert_null(c.api_key);
    cfb_config_free(&c);
    unsetenv("OPENAI_BASE_URL");
    unsetenv("OPENAI_API_KEY");
    write_file("mock.json", "{\"mock\": true}", 0600);
    fails("run --config %/mock.json --base-url http://h/", CFB_EUSAGE, "mock.json", "--no-mock", NULL);
    c = parse("run --config %/mock.json --base-url http://h/ --no-mock -m x");
    assert_string_equal(c.base_url, "http://h");
    cfb_config_free(&c);
}

static void test_sources(void **state) {
    (void)state;
    write_file("a.json",
               "{\"x-note\": [1], \"mock\": true, \"preset\": \"free_tier\", \"max-workers\": 11, \"limit\": 12,"
               " \"seed\": 13, \"timeout\": 14.5, \"port\": 80, \"out\": \"from-file\"}",
               0600);
    setenv("CFBENCH_LIMIT", "22", 1);
    setenv("CFBENCH_SEED", "23", 1);
    setenv("CFBENCH_QUIET", "yes", 1);
    setenv("CFBENCH_TASKS", "", 1); /* empty counts as unset */
    cfb_config c = parse("run --config %/a.json --seed 33");
    assert_int_equal(c.seed, 33);         /* command line over environment */
    assert_int_equal(c.limit, 22);        /* environment over file */
    assert_int_equal(c.max_workers, 11);  /* file over preset */
    assert_true(c.api_rate_limit == 2.0); /* preset over default */
    assert_true(c.timeout == 14.5);
    assert_int_equal(c.max_retries, 3); /* default */
    assert_string_equal(c.out, "from-file");
    assert_true(c.quiet);
    assert_int_equal(c.port, 0); /* not an option of run: checked, without effect */
    assert_null(c.tasks);
    cfb_config_free(&c);
    setenv("CFBENCH_CONFIG", "/nowhere.json", 1);
    fails("run", CFB_ECONFIG, "/nowhere.json", NULL, NULL);
    c = parse("run --config %/a.json");
    assert_non_null(strstr(c.config_file, "a.json"));
    cfb_config_free(&c);
    unsetenv("CFBENCH_CONFIG");
    unsetenv("CFBENCH_LIMIT");
    unsetenv("CFBENCH_SEED");
    unsetenv("CFBENCH_QUIET");
    unsetenv("CFBENCH_TASKS");
    setenv("OPENAI_BASE_URL", "http://one/v1/", 1);
    c = parse("run -m x");
    assert_string_equal(c.base_url, "http://one/v1");
    cfb_config_free(&c);
    setenv("CFBENCH_BASE_URL", "http://two/v1", 1);
    c = parse("run -m x");
    assert_string_equal(c.base_url, "http://two/v1");
    cfb_config_free(&c);
    unsetenv("OPENAI_BASE_URL");
    unsetenv("CFBENCH_BASE_URL");
    setenv("CFBENCH_MAX_WORKERS", "many", 1);
    fails("run --mock", CFB_ECONFIG, "--max-workers: many is not a whole number (from CFBENCH_MAX_WORKERS)", NULL, NULL);
    unsetenv("CFBENCH_MAX_WORKERS");
    setenv("CFBENCH_MAX_WORKER", "3", 1);
    setenv("CFBENCH_SUITE_PATH", "/x", 1);
    log_lines[0] = '\0';
    c = parse("run --mock");
    assert_non_null(strstr(log_lines, "CFBENCH_MAX_WORKER is not known"));
    assert_non_null(strstr(log_lines, "did you mean CFBENCH_MAX_WORKERS?"));
    assert_null(strstr(log_lines, "SUITE_PATH is"));
    cfb_config_free(&c);
    unsetenv("CFBENCH_MAX_WORKER");
    unsetenv("CFBENCH_SUITE_PATH");
}

/* Every option has its variable, and the table has one for each name. */
static void test_every_variable(void **state) {
    (void)state;
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        if ((o->flags & (OPT_NO_ENV | OPT_SECRET)) != 0 || o->type == OPT_STRING || o->type == OPT_PATH || o->type == OPT_LIST)
            continue;
        char name[CFB_ENV_NAME_MAX];
        cfb_opt_env_name(o, name);
        setenv(name, "no such value", 1);
        fails("run --mock", CFB_ECONFIG, name, "no such value", NULL);
        unsetenv(name);
    }
}

static void test_presets(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t workers;
        double rate;
    } want[] = {{"high_throughput", 8, 0.1}, {"moderate", 4, 0.5}, {"conservative", 2, 1.0}, {"free_tier", 1, 2.0}};
    for (size_t i = 0; i < 4; i++) {
        char line[128];
        snprintf(line, sizeof line, "run --mock --preset %s", want[i].name);
        cfb_config c = parse(line);
        assert_int_equal(c.max_workers, want[i].workers);
        assert_true(c.api_rate_limit == want[i].rate);
        cfb_config_free(&c);
    }
    cfb_config c = parse("run --mock --api-rate-limit 0 --preset high_throughput");
    assert_int_equal(c.max_workers, 8);
    assert_true(c.api_rate_limit == 0.0);
    cfb_config_free(&c);
}

static void test_config_file_errors(void **state) {
    (void)state;
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"{\"max_workers\": 8}", "unknown member \"max_workers\" (did you mean max-workers?)"},
        {"{\"zzzzzzzz\": 8}", "unknown member \"zzzzzzzz\"; members are"},
        {"{\"max-workers\": \"8\"}", "the value must be a whole number, not a string (from "},
        {"{\"max-workers\": 8.5}", "8.5 is not a whole number"},
        {"{\"max-workers\": 0}", "0 is not in 1..4096 (from "},
        {"{\"port\": 70000}", "70000 is not in 0..65535"},
        {"{\"max-workers\": null}", "not null"},
        {"{\"mock\": 1}", "must be true or false, not a number"},
        {"{\"suite\": {}}", "must be a string, not an object"},
        {"{\"timeout\": true}", "must be a number, not a boolean"},
        {"{\"api-key\": \"sk-geheim\"}", "does not belong in a config file"},
        {"{\"config\": \"b.json\"}", "only on the command line"},
        {"{\"help\": true}", "only on the command line"},
        {"{\"limit\": 1, \"limit\": 2}", "limit"},
        {"[1]", "must be a JSON object"},
        {"{\"limit\": 1,}", "line 1"},
        {"", "c.json"},
        {"{\"limit\": 1} x", "line 1"},
        {"{\"base-url\": \"http://u:geheim@h/\"}", "user name or password"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("c.json", cases[i].json, 0600);
        fails("run --mock --config %/c.json", CFB_ECONFIG, "c.json", cases[i].part, NULL);
    }
    fails("run --config %/none.json", CFB_ECONFIG, "none.json", "--config", NULL);
    fails("run --config %", CFB_ECONFIG, "directory", NULL, NULL);
}

static void test_keys(void **state) {
    (void)state;
    fails("run -m x --api-key sk-geheim", CFB_EUSAGE, "process list", "OPENAI_API_KEY", "--api-key-file");
    fails("run -m x --api-key=sk-geheim", CFB_EUSAGE, "process list", NULL, NULL);
    setenv("OPENAI_API_KEY", " sk-open\n", 1);
    cfb_config c = parse("run -m x");
    assert_string_equal(c.api_key, "sk-open");
    cfb_config_free(&c);
    setenv("CFBENCH_API_KEY", "sk-own", 1);
    c = parse("run -m x");
    assert_string_equal(c.api_key, "sk-own");
    cfb_config_free(&c);
    c = parse("score f");
    assert_null(c.api_key);
    cfb_config_free(&c);

    write_file("key", "\n sk-file \r\n", 0644);
    log_lines[0] = '\0';
    c = parse("run -m x --api-key-file %/key");
    assert_string_equal(c.api_key, "sk-file");
    assert_non_null(strstr(log_lines, "other users"));
    assert_null(strstr(log_lines, "sk-"));
    cfb_config_free(&c);
    write_file("key", "sk-file", 0600);
    char json[300];
    snprintf(json, sizeof json, "{\"api-key-file\": \"%s/key\"}", dir);
    write_file("k.json", json, 0600);
    log_lines[0] = '\0';
    c = parse("run -m x --config %/k.json"); /* CFBENCH_API_KEY overrides the file's key */
    assert_string_equal(c.api_key, "sk-own");
    cfb_config_free(&c);
    unsetenv("CFBENCH_API_KEY");
    c = parse("run -m x --config %/k.json"); /* OPENAI_API_KEY, set for other programs, does not */
    assert_string_equal(c.api_key, "sk-file");
    assert_string_equal(log_lines, "");
    cfb_config_free(&c);
    c = parse("run -m x --base-url http://example.com/v1");
    assert_non_null(strstr(log_lines, "without encryption"));
    cfb_config_free(&c);
    setenv("OPENAI_API_KEY", "sk-ge heim", 1);
    fails("run -m x", CFB_ECONFIG, "OPENAI_API_KEY", "no key has", NULL);
    setenv("OPENAI_API_KEY", "", 1);
    c = parse("run -m x");
    assert_null(c.api_key);
    cfb_config_free(&c);
    unsetenv("OPENAI_API_KEY");

    write_file("key", " \n", 0600);
    fails("run -m x --api-key-file %/key", CFB_ECONFIG, "there is no key in it", NULL, NULL);
    write_file("key", "a\nb", 0600);
    fails("run -m x --api-key-file %/key", CFB_ECONFIG, "no key has", NULL, NULL);
    char *big = malloc(9001);
    assert_non_null(big);
    memset(big, 'k', 9000);
    big[9000] = '\0';
    write_file("key", big, 0600);
    free(big);
    fails("run -m x --api-key-file %/key", CFB_ECONFIG, "limit of 8192 bytes", NULL, NULL);
    fails("run -m x --api-key-file %/none", CFB_ECONFIG, "--api-key-file (from the command line)", "none", NULL);
}

/* print -> file -> parse -> print gives the same bytes, for every command and for values of all kinds. */
static void test_round_trip(void **state) {
    (void)state;
    static const char *const lines[] = {
        "run --mock --tasks a,b --limit 3 --temperature 0.1 --mock-faults 429:0.1 --no-json --seed 9007199254740992",
        "run --model m --preset free_tier --retry-max 1 --timeout 0.25 --system-prompt=\xe4\xbd\xa0\"\\ -v -j 8",
        "run",
        "generate --base-url http://h/v1/ --api-key-file /k --model x",
        "generate --base-url mock",
        "score f --label-set observed --task sector",
        "report r -o q",
        "export r",
        "convert a b --force",
        "prompt --rows 1-3 --hash",
        "mock --port 65535 --mock-rpm 60 --mock-latency 0.125",
    };
    setenv("OPENAI_API_KEY", "sk-geheim", 1);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[512];
        snprintf(line, sizeof line, "%s --print-config", lines[i]);
        cfb_config c = parse_want(line, CFB_WANT_PRINT_CONFIG);
        cfb_buf first = CFB_BUF_INIT(1 << 20), second = CFB_BUF_INIT(1 << 20);
        cfb_err err = CFB_ERR_INIT;
        assert_int_equal(cfb_config_print(&c, &first, &err), CFB_OK);
        assert_null(strstr(first.ptr, "geheim"));
        assert_null(strstr(first.ptr, "\"api-key\""));
        write_file("p.json", first.ptr, 0600);
        snprintf(line, sizeof line, "%s --print-config --config %%/p.json", cfb_command_name(c.command));
        cfb_config_free(&c);
        c = parse_want(line, CFB_WANT_PRINT_CONFIG);
        assert_int_equal(cfb_config_print(&c, &second, &err), CFB_OK);
        assert_string_equal(first.ptr, second.ptr);
        cfb_config_free(&c);
        cfb_buf_free(&first);
        cfb_buf_free(&second);
    }
    unsetenv("OPENAI_API_KEY");
}

static void prints_command(const char *line, const char *expected) {
    cfb_config c = parse(line);
    cfb_buf b = CFB_BUF_INIT(1 << 20);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_config_print_command(&c, &b, &err), CFB_OK);
    assert_string_equal(b.ptr, expected);
    cfb_buf_free(&b);
    cfb_config_free(&c);
}

/* What differs from the defaults, in a shell's words; no keys, nothing on how it is shown. */
static void test_command_line(void **state) {
    (void)state;
    setenv("OPENAI_API_KEY", "sk-geheim", 1);
    prints_command("run -m x", "cfbench run --model x");
    prints_command("run -m x --preset free_tier -j 8 -v --json --color never -o out/a",
                   "cfbench run --model x --max-workers 1 --api-rate-limit 2 --out out/a");
    prints_command("generate -m x --base-url http://a/v1,http://b/v1 --header X-Key:geheim --no-adaptive --temperature 0.25",
                   "cfbench generate --model x --base-url http://a/v1 --base-url http://b/v1 --header ... --temperature 0.25 "
                   "--no-adaptive");
    prints_command("run --mock --stop=it's --system-prompt=-v",
                   "cfbench run --system-prompt=-v --model mock --mock --stop 'it'\\''s' --api-rate-limit 0");
    prints_command("run --mock --system-prompt=", "cfbench run --system-prompt '' --model mock --mock --api-rate-limit 0");
    unsetenv("OPENAI_API_KEY");
    cfb_buf b = CFB_BUF_INIT(1 << 10);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_config_shell_word(&b, "a\n\x1b'\\", &err), CFB_OK);
    assert_string_equal(b.ptr, "$'a\\n\\033\\'\\\\'");
    cfb_buf_clear(&b);
    assert_int_equal(cfb_config_shell_word(&b, "$(x) 中", &err), CFB_OK);
    assert_string_equal(b.ptr, "'$(x) 中'");
    cfb_buf_free(&b);
}

static char *captured;
static size_t captured_len;
static FILE *capture(void) {
    free(captured);
    captured = NULL;
    FILE *f = open_memstream(&captured, &captured_len);
    assert_non_null(f);
    return f;
}

static void assert_has(const char *part) {
    if (strstr(captured, part) == NULL) fail_msg("'%s' is missing in: %.300s...", part, captured);
}

static void test_help(void **state) {
    (void)state;
    for (unsigned c = 0; c <= CFB_CMD_COUNT; c++) {
        FILE *f = capture();
        cfb_config_print_help(f, (cfb_command)c);
        fclose(f);
        for (const char *p = captured; *p != '\0';) {
            size_t n = strcspn(p, "\n");
            if (n > 80) fail_msg("longer than 80 columns: %.*s", (int)n, p);
            assert_true(n == 0 || p[n - 1] != ' ');
            for (size_t i = 0; i < n; i++) assert_in_range(p[i], 0x20, 0x7e);
            p += n + 1;
        }
        assert_has("Exit codes:");
        assert_has("70  our bug");
        if (c == CFB_CMD_COUNT) {
            for (unsigned i = 0; i < CFB_CMD_COUNT; i++) assert_has(cfb_command_summary((cfb_command)i));
            for (size_t i = 0; i < cfb_presets_count; i++) assert_has(cfb_presets[i].name);
            assert_has("OPENAI_API_KEY");
            continue;
        }
        assert_has("Examples:");
        for (size_t i = 0; i < cfb_opts_count; i++) {
            char name[64];
            bool is_option = cfb_opt_is_for(&cfb_opts[i], (cfb_command)c) && (cfb_opts[i].flags & OPT_SECRET) == 0;
            snprintf(name, sizeof name, "--%s%s", cfb_opts[i].name, cfb_opts[i].type == OPT_BOOL ? " " : "");
            if (is_option && strstr(captured, name) == NULL && cfb_opts[i].type == OPT_BOOL)
                name[strlen(name) - 1] = '\n'; /* a long name has a line of its own */
            if (is_option) assert_has(name);
        }
        assert_null(strstr(captured, "--api-key "));
    }
    FILE *f = capture();
    cfb_config_print_help(f, CFB_CMD_RUN);
    fclose(f);
    assert_has("(1..4096;");
    assert_null(strstr(captured, "--port"));
}

/* The examples of --help must at least be accepted by the parser. */
static void test_examples(void **state) {
    (void)state;
    for (unsigned c = 0; c < CFB_CMD_COUNT; c++) {
        const char *const *e = cfb_commands[c].examples;
        assert_non_null(e[0]);
        for (; e[0] != NULL; e += 2) {
            assert_int_equal(strncmp(e[1], "cfbench ", 8), 0);
            cfb_config config = parse(e[1] + 8);
            assert_int_equal(config.command, c);
            cfb_config_free(&config);
        }
    }
}

static void test_man_and_completion(void **state) {
    (void)state;
    for (unsigned c = 0; c <= CFB_CMD_COUNT; c++) {
        FILE *f = capture();
        cfb_config_print_man(f, (cfb_command)c);
        fclose(f);
        assert_has(".TH CFBENCH");
        assert_has(".SH NAME\n");
        assert_has(".SH EXIT STATUS\n");
        if (c == CFB_CMD_RUN) assert_has("\\fB\\-\\-max\\-workers\\fR \\fIN\\fR\n");
    }
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t s = 0; s < 3; s++) {
        FILE *f = capture();
        cfb_err err = CFB_ERR_INIT;
        assert_int_equal(cfb_config_print_completion(f, shells[s], &err), CFB_OK);
        fclose(f);
        for (size_t i = 0; i < cfb_opts_count; i++)
            if ((cfb_opts[i].flags & OPT_SECRET) == 0) assert_has(cfb_opts[i].name);
        for (unsigned i = 0; i < CFB_CMD_COUNT; i++) assert_has(cfb_command_name((cfb_command)i));
        assert_has("zero few");
    }
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_config_print_completion(stderr, "tcsh", &err), CFB_EUSAGE);
    assert_non_null(strstr(err.msg, "tcsh"));
}

static void test_sizes_and_ages(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } sizes[] = {{"0", 0},
                 {"17", 17},
                 {"17B", 17},
                 {"1k", 1000},
                 {"1.5G", 1500000000},
                 {"64MiB", 67108864},
                 {"2Ti", 2199023255552},
                 {"1KB", 1000},
                 {"", -1},
                 {"M", -1},
                 {"-1", -1},
                 {"1m", -1},
                 {"1 M", -1},
                 {"1e9", -1},
                 {"99999999T", -1},
                 {"1..5", -1},
                 {"1MBB", -1},
                 {"1iB", -1}},
      ages[] = {{"0s", 0},   {"90min", 5400}, {"1.5h", 5400}, {"30d", 2592000}, {"2w", 1209600}, {"30", -1},
                {"30m", -1}, {"d", -1},       {"-1d", -1},    {"1d2", -1},      {"", -1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t v = -1;
        assert_int_equal(cfb_config_parse_size(sizes[i].text, &v), sizes[i].value >= 0);
        assert_int_equal(v, sizes[i].value);
        assert_int_equal(cfb_check_size(sizes[i].text) == NULL, sizes[i].value >= 0);
    }
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        int64_t v = -1;
        assert_int_equal(cfb_config_parse_age(ages[i].text, &v), ages[i].value >= 0);
        assert_int_equal(v, ages[i].value);
        assert_int_equal(cfb_check_age(ages[i].text) == NULL, ages[i].value >= 0);
    }
}

/* The model of `cache` chooses what is removed: one that a config file or the environment names for runs must not. */
static void test_cache_model_is_typed(void **state) {
    (void)state;
    cfb_config c;
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(cfb_config__from_json(CFB_CMD_CACHE, "x.json", CFB_STR_LIT("{\"model\": \"m\"}"), &c, &err), CFB_OK);
    assert_null(c.model);
    cfb_config_free(&c);
    assert_int_equal(cfb_config__from_json(CFB_CMD_CACHE, "x.json", CFB_STR_LIT("{\"older-than\": \"1d\"}"), &c, &err),
                     CFB_ECONFIG);
    cfb_config_free(&c);
    assert_true((cfb_opt_find("model", 5, CFB_CMD_CACHE)->flags & OPT_NO_ENV) != 0);
}

/* Rows of one name must agree, letters must be unique, every default must be a legal value. */
static void test_table(void **state) {
    (void)state;
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        assert_non_null(o->help);
        assert_true(o->commands != 0);
        assert_true((o->type == OPT_INT || o->type == OPT_DOUBLE) == (o->max > 0));
        assert_true((o->type == OPT_ENUM) == (o->choices != NULL));
        if (o->type == OPT_INT || o->type == OPT_DOUBLE) assert_non_null(o->def);
        if (o->type == OPT_BOOL && o->def != NULL) assert_string_equal(o->def, "true"); /* off is what it is without one */
        for (size_t j = 0; j < i; j++) {
            const cfb_opt *p = &cfb_opts[j];
            bool same = strcmp(o->name, p->name) == 0;
            if (same) {
                assert_int_equal(o->type, p->type);
                assert_int_equal(o->offset, p->offset);
                assert_int_equal(o->letter, p->letter);
                assert_int_equal(o->commands & p->commands, 0);
            } else {
                assert_true(o->letter == '\0' || o->letter != p->letter);
                if (((o->flags | p->flags) & OPT_ACTION) == 0) assert_int_not_equal(o->offset, p->offset);
            }
        }
    }
}

static int setup(void **state) {
    (void)state;
    static const char *const outer[] = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "CFBENCH_API_KEY", "CFBENCH_CONFIG"};
    for (size_t i = 0; i < 4; i++) unsetenv(outer[i]);
    for (size_t i = 0; i < cfb_opts_count; i++) {
        char name[CFB_ENV_NAME_MAX];
        cfb_opt_env_name(&cfb_opts[i], name);
        unsetenv(name);
    }
    cfb_log_set(keep_log, NULL, CFB_LOG_WARN);
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    static const char *const files[] = {"a.json", "c.json", "k.json", "p.json", "mock.json", "key"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    free(captured);
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),          cmocka_unit_test(test_sizes_and_ages), cmocka_unit_test(test_cache_model_is_typed),
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_forms),          cmocka_unit_test(test_want),
        cmocka_unit_test(test_usage_errors),   cmocka_unit_test(test_value_errors),   cmocka_unit_test(test_between_options),
        cmocka_unit_test(test_base_url),       cmocka_unit_test(test_mock),           cmocka_unit_test(test_sources),
        cmocka_unit_test(test_every_variable), cmocka_unit_test(test_presets),        cmocka_unit_test(test_config_file_errors),
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_help),           cmocka_unit_test(test_examples),       cmocka_unit_test(test_man_and_completion),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
