#include "cli/asking.h"
#include "cfbench/json.h"

#include <stdio.h>
#include <stdlib.h>

struct teacher {
    cfb_mock_t *mock;
};

static cfb_code teach(void *ctx, const cfb_task *task, cfb_str prompt, cfb_str response, cfb_err *err) {
    const struct teacher *t = ctx;
    char hex[65];
    cfb_sha256_hex(prompt.ptr, prompt.len, hex);
    return cfb_mock_teach(t->mock, hex, cfb_str_from(task->name), response.ptr ? response : CFB_STR_LIT(""), err);
}

/* Everything that decides a reply: a store holds replies of one such configuration only. */
static cfb_code bind_settings(const cfb_config *c, const cfb_suite_t *suite, cfb_store_t *store, cfb_err *err) {
    char temperature[32], max_tokens[24];
    cfb_format_double(c->temperature, temperature);
    snprintf(max_tokens, sizeof max_tokens, "%lld", (long long)c->max_tokens);
    const cfb_store_setting settings[] = {
        {"suite", cfb_suite_name(suite)},
        {"shot", c->shot},
        {"suite.sha256", cfb_suite_fingerprint(suite)},
        {"model", c->model},
        {"base-url", c->mock ? "mock" : c->base_url},
        {"system-prompt", c->system_prompt ? c->system_prompt : ""},
        {"temperature", temperature},
        {"max-tokens", max_tokens},
        {"suite.title", cfb_suite_title(suite)},
    };
    cfb_code rc = c->moved ? cfb_store_setting_put(store, "base-url", c->mock ? "mock" : c->base_url, err) : CFB_OK;
    return rc == CFB_OK ? cfb_store_bind(store, settings, sizeof settings / sizeof *settings, err) : rc;
}

static void say_summary(const cfb_config *c, const cfb_generate_summary *s, bool finished, const char *path) {
    for (size_t i = 0; finished && i < s->n_failed_kept; i++) /* a run that was stopped has one message, not one for each row */
        cfb_log(CFB_LOG_WARN, "%s row %zu (id %s) failed: %s: %s", s->failed[i].task, s->failed[i].row, s->failed[i].id,
                cfb_fail_name(s->failed[i].fail), s->failed[i].message);
    if (finished && s->n_failed > s->n_failed_kept)
        cfb_log(CFB_LOG_WARN, "and %zu more failed rows (table attempt of the run store has all)",
                s->n_failed - s->n_failed_kept);
    if (c->quiet) return;
    fprintf(stderr, "asked %zu calls in %.1f s (%.1f/s): %zu rows done, %zu were done before, %zu failed", s->n_calls,
            s->elapsed_s, s->elapsed_s > 0 ? (double)s->n_calls / s->elapsed_s : 0, s->n_done, s->n_done_before, s->n_failed);
    for (int f = 1; f < CFB_FAIL_COUNT; f++)
        if (s->n_fail[f]) fprintf(stderr, ", %s %zu", cfb_fail_name((cfb_fail)f), s->n_fail[f]);
    fprintf(stderr, "; run store: %s\n", path);
}

/* generate --json: what the line on standard error says, for programs. */
static cfb_code print_summary(const cfb_generate_summary *s, const char *path, cfb_err *err) {
    const struct {
        const char *name;
        size_t n;
    } counts[] = {{"rows", s->n_rows},     {"answered_before", s->n_done_before},
                  {"answered", s->n_done}, {"failed", s->n_failed},
                  {"calls", s->n_calls},   {"retries", s->n_retries}};
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_jw_init(&w, &b, 2);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "schema");
    cfb_jw_strz(&w, "cfbench.generate/1");
    cfb_jw_key(&w, "run_store");
    cfb_jw_strz(&w, path);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        cfb_jw_key(&w, counts[i].name);
        cfb_jw_int(&w, (int64_t)counts[i].n);
    }
    cfb_jw_key(&w, "elapsed_s");
    cfb_jw_num(&w, s->elapsed_s);
    cfb_jw_key(&w, "failed_by_class");
    cfb_jw_obj(&w);
    for (int f = 1; f < CFB_FAIL_COUNT; f++) {
        if (s->n_fail[f] == 0) continue;
        cfb_jw_key(&w, cfb_fail_name((cfb_fail)f));
        cfb_jw_int(&w, (int64_t)s->n_fail[f]);
    }
    cfb_jw_end_obj(&w);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    if (rc == CFB_OK) rc = cfb_buf_append_char(&b, '\n', err);
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&b), err);
    cfb_buf_free(&b);
    return rc;
}

/* mock: started already, or NULL; url: its address, or the server's. */
static cfb_code generate(const cfb_config *c, const cfb_suite_t *suite, const size_t *tasks, size_t n, cfb_store_t *store,
                         const char *path, cfb_mock_t *mock, const char *url, size_t *n_failed, cfb_err *err) {
    struct teacher teacher = {mock};
    cfb_progress progress = {0};
    cfb_generate_summary sum = {0};
    cfb_code rc = cfb_client_global_init(err);
    if (rc == CFB_OK) {
        cfb_generate_opts o = {.suite = suite, .tasks = tasks, .n_tasks = n, .shot = cfb_cli_shot(c), .limit = (size_t)c->limit};
        o.client = (cfb_client_opts)CFB_CLIENT_OPTS_INIT;
        o.client.base_url = url;
        o.client.model = c->model;
        o.client.api_key = c->mock ? NULL : c->api_key;
        o.client.system_prompt = c->system_prompt;
        o.client.temperature = c->temperature;
        o.client.timeout_s = c->timeout;
        o.client.connect_timeout_s = c->connect_timeout;
        o.client.abort = &cfb_cli_abort;
        o.max_tokens = (int)c->max_tokens;
        o.api_rate_limit_s = c->api_rate_limit;
        o.max_retries = (int)c->max_retries;
        o.retry_base_s = c->retry_base;
        o.retry_max_s = c->retry_max;
        o.row_workers = (int)c->max_workers;
        o.task_workers = (int)(c->task_workers > 0 ? c->task_workers : c->max_workers);
        o.seed = (uint64_t)c->seed;
        o.store = store;
        o.stop = &cfb_cli_stop;
        o.progress = &progress;
        o.on_row = mock ? teach : NULL;
        o.on_row_ctx = &teacher;
        cfb_cli_progress_t *display = cfb_cli_progress_start(c, &progress);
        rc = cfb_generate(&o, &sum, err);
        cfb_cli_progress_stop(display);
        say_summary(c, &sum, rc == CFB_OK, path);
        if (c->json && c->command == CFB_CMD_GENERATE) {
            cfb_err print_err = CFB_ERR_INIT;
            cfb_code printed = print_summary(&sum, path, &print_err);
            if (rc == CFB_OK && printed != CFB_OK) {
                rc = printed;
                if (err) *err = print_err;
            }
        }
        *n_failed = sum.n_failed;
        cfb_client_global_cleanup();
    }
    free(progress.tasks);
    return rc;
}

static cfb_code check_metrics(const cfb_config *c, const cfb_suite_t *suite, const size_t *tasks, size_t n, cfb_err *err) {
    const cfb_task **picked = malloc((n ? n : 1) * sizeof *picked);
    if (picked == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) picked[i] = cfb_suite_task(suite, tasks[i]);
    cfb_code rc = cfb_cli_check_metrics(c, picked, n, err);
    free(picked);
    return rc;
}

cfb_code cfb_cli_ask(const cfb_config *c, size_t *n_failed, cfb_err *err) {
    cfb_suite_t *suite = NULL;
    cfb_store_t *store = NULL;
    cfb_mock_t *mock = NULL;
    char path[PATH_MAX], mock_url[64];
    unsigned flags = CFB_SUITE_LABELS | (cfb_cli_shot(c) == CFB_SHOT_FEW ? CFB_SUITE_FEWSHOT : 0u);
    size_t *tasks = NULL, n = 0;
    /* Everything that can be wrong without a run is looked at before a run is made. */
    cfb_code rc = cfb_export_check_model(c->model, err);
    if (rc == CFB_OK) rc = cfb_suite_load(c->suite, c->data, flags, &suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(c, suite, &tasks, &n, err);
    if (rc == CFB_OK) rc = check_metrics(c, suite, tasks, n, err);
    if (rc == CFB_OK && c->mock) rc = cfb_cli_start_mock(c, &mock, err);
    if (mock) snprintf(mock_url, sizeof mock_url, "http://127.0.0.1:%d/v1", cfb_mock_port(mock));
    if (rc == CFB_OK) rc = cfb_mkdir_p(c->out, err);
    if (rc == CFB_OK) rc = cfb_cli_store_path(c->out, path, err);
    if (rc == CFB_OK) rc = cfb_store_open(path, CFB_STORE_WRITE, &store, err);
    if (rc == CFB_OK) rc = bind_settings(c, suite, store, err);
    if (rc == CFB_OK) {
        cfb_cli_catch_signals(true);
        rc = generate(c, suite, tasks, n, store, path, mock, c->mock ? mock_url : c->base_url, n_failed, err);
        cfb_cli_release_signals();
    }
    cfb_code close_rc = cfb_store_close(store, rc == CFB_OK ? err : NULL);
    if (rc == CFB_OK) rc = close_rc;
    if (rc == CFB_EINTERRUPTED)
        cfb_err_set(err, rc, "interrupted; every answer so far is in %s: the same command continues", path);
    cfb_mock_stop(mock);
    cfb_suite_free(suite);
    free(tasks);
    return rc;
}
