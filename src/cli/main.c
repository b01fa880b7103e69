#include "cli/cli.h"
#ifdef CFB_MPI
#include "cfbench/team.h"
#endif

#include "cfbench/trace.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static cfb_code dispatch(const cfb_config *c, cfb_err *err) {
    switch (c->command) {
    case CFB_CMD_RUN: return cfb_cmd_run(c, err);
    case CFB_CMD_GENERATE: return cfb_cmd_generate(c, err);
    case CFB_CMD_SCORE: return cfb_cmd_score(c, err);
    case CFB_CMD_REPORT: return cfb_cmd_report(c, err);
    case CFB_CMD_COMPARE: return cfb_cmd_compare(c, err);
    case CFB_CMD_VERIFY: return cfb_cmd_verify(c, err);
    case CFB_CMD_EXPORT: return cfb_cmd_export(c, err);
    case CFB_CMD_CONVERT: return cfb_cmd_convert(c, err);
    case CFB_CMD_PROMPT: return cfb_cmd_prompt(c, err);
    case CFB_CMD_BATCH: return cfb_cmd_batch(c, err);
    case CFB_CMD_CACHE: return cfb_cmd_cache(c, err);
    case CFB_CMD_LIMITER: return cfb_cmd_limiter(c, err);
    case CFB_CMD_MERGE: return cfb_cmd_merge(c, err);
    case CFB_CMD_DOCTOR: return cfb_cmd_doctor(c, err);
    case CFB_CMD_TUNE: return cfb_cmd_tune(c, err);
    case CFB_CMD_MOCK: return cfb_cmd_mock(c, err);
    case CFB_CMD_EMBED: return cfb_cmd_embed(c, err);
    case CFB_CMD_COUNT: break;
    }
    return cfb_err_set(err, CFB_EBUG, "no such command");
}

static cfb_code print_config(const cfb_config *c, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_code rc = cfb_config_print(c, &text, err);
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&text), err);
    cfb_buf_free(&text);
    return rc;
}

/* For `make man` and packagers, not for users: cfbench --write-man DIR, cfbench --completion SHELL. */
static int hidden(int argc, char **argv, int *status) {
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = CFB_OK;
    if (argc != 3) return 0;
    if (strcmp(argv[1], "--completion") == 0) {
        rc = cfb_config_print_completion(stdout, argv[2], &err);
    } else if (strcmp(argv[1], "--write-man") == 0) {
        static const char *const names[] = {
#define CFB_X(NAME, name, help) "-" name,
            CFB_COMMAND_MAP(CFB_X)
#undef CFB_X
                ""};
        for (int i = 0; i <= CFB_CMD_COUNT && rc == CFB_OK; i++) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%.4000s/cfbench%s.1", argv[2], names[i]);
            FILE *f = fopen(path, "w");
            if (f) cfb_config_print_man(f, (cfb_command)i);
            if (f == NULL || fclose(f) != 0) rc = cfb_err_set(&err, CFB_EIO, "cannot write %s", path);
        }
    } else {
        return 0;
    }
    if (rc != CFB_OK) fprintf(stderr, "cfbench: %s\n", err.msg);
    *status = cfb_code_exit_status(rc);
    return 1;
}

/* The command, with a trace around it where one is wanted: also of a run that fails. */
static cfb_code run_command(const cfb_config *c, cfb_err *err) {
    cfb_code rc = c->profile_out ? cfb_trace_open(c->profile_out, err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    int64_t begin_ns = cfb_now_ns();
    rc = dispatch(c, err);
    if (!cfb_trace_on()) return rc;
    cfb_trace_span("command", "command", CFB_TRACE_HERE, begin_ns, cfb_now_ns(), NULL, 0);
    cfb_err trace_err = CFB_ERR_INIT;
    cfb_code traced = cfb_trace_close(&trace_err);
    if (traced != CFB_OK && rc != CFB_OK) cfb_log(CFB_LOG_WARN, "no trace: %s", trace_err.msg);
    if (rc != CFB_OK || traced == CFB_OK) return rc;
    *err = trace_err;
    return traced;
}

/* Of several ranks, 0 speaks for all. */
static cfb_code join_ranks(int *argc, char ***argv, cfb_config *c, cfb_err *err) {
#ifdef CFB_MPI
    bool asks = c->command == CFB_CMD_RUN || c->command == CFB_CMD_GENERATE;
    if ((!asks && c->command != CFB_CMD_SCORE) || c->dry_run || !cfb_team_is_launched()) return CFB_OK;
    cfb_code rc = cfb_team_start(argc, argv, &c->rank, &c->n_ranks, err);
    if (c->rank == 0) return rc;
    c->quiet = true;
    c->json = c->verbose = false;
    c->progress = "off";
    c->log_file = c->profile_out = NULL;
    cfb_cli_log_to_stderr(c);
    return rc;
#else
    (void)argc, (void)argv, (void)c, (void)err;
    return CFB_OK;
#endif
}

int main(int argc, char **argv) {
    cfb_config config;
    cfb_config_want want;
    cfb_err err = CFB_ERR_INIT;
    int status;
    signal(SIGPIPE, SIG_IGN);
    if (hidden(argc, argv, &status)) return status;
    cfb_log_set(NULL, NULL, CFB_LOG_WARN);
    cfb_cli_log_to_stderr(NULL);
    cfb_code rc = cfb_config_parse(argc, argv, &config, &want, &err);
    if (rc == CFB_OK && config.begin_again) execv("/proc/self/exe", argv); /* without it the settings still hold, unbound */
    if (rc == CFB_OK && want == CFB_WANT_HELP) {
        cfb_config_print_help(stdout, config.command);
    } else if (rc == CFB_OK && want == CFB_WANT_VERSION) {
        printf("cfbench %s (%s)\n", CFB_VERSION, cfb_has_openmp() ? "OpenMP" : "serial");
    } else if (rc == CFB_OK && want == CFB_WANT_PRINT_CONFIG) {
        rc = print_config(&config, &err);
    } else if (rc == CFB_OK) {
        config.words = (const char *const *)argv + 1;
        config.n_words = (size_t)argc - 1;
        cfb_cli_log_to_stderr(&config);
        rc = cfb_cli_log_to_file(&config, &err);
        if (rc == CFB_OK) rc = join_ranks(&argc, &argv, &config, &err);
        if (rc == CFB_OK) rc = cfb_cli_place(&config, &err);
        if (rc == CFB_OK) rc = run_command(&config, &err);
        cfb_cli_log_end(rc == CFB_OK ? NULL : err.msg);
        cfb_cli_embed_close();
    }
    if (rc == CFB_OK) rc = cfb_cli_print(CFB_STR_LIT(""), &err); /* what stdio still holds */
    if (rc != CFB_OK) fprintf(stderr, "cfbench: %s\n", err.msg[0] ? err.msg : cfb_code_text(rc));
    status = cfb_code_exit_status(rc);
    if (rc == CFB_EINTERRUPTED && config.requeue_exit > 0) status = (int)config.requeue_exit;
#ifdef CFB_MPI
    int rank = config.rank;
    cfb_team_stop(status);
    if (rank > 0) status = 0; /* what there is to say, rank 0 has said */
#endif
    cfb_config_free(&config);
    return status;
}
