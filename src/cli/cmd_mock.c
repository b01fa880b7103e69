/* cfbench mock: the mock model as a server of its own, until a signal comes. */
#include "cfbench/prompt.h"
#include "cli/asking.h"

#include <stdio.h>
#include <stdlib.h>

static cfb_code teach_task(cfb_mock_t *m, const cfb_suite_t *s, size_t i, cfb_shot shot, cfb_err *err) {
    const cfb_task *t = cfb_suite_task(s, i);
    cfb_records records;
    cfb_buf prompt = CFB_BUF_INIT((size_t)64 << 20);
    if (t->prompt[shot].ptr == NULL) return CFB_OK;
    cfb_code rc = cfb_suite_read_records(s, i, shot, 0, &records, err);
    if (rc != CFB_OK) return rc;
    for (size_t k = 0; k < records.n && rc == CFB_OK; k++) {
        cfb_buf_clear(&prompt);
        rc = cfb_prompt_render(t, shot, &records.rows[k], &prompt, err);
        cfb_str answer = records.rows[k].response.ptr ? records.rows[k].response : CFB_STR_LIT("");
        if (rc == CFB_OK) rc = cfb_mock_teach_prompt(m, cfb_buf_str(&prompt), cfb_str_from(t->name), answer, err);
    }
    cfb_buf_free(&prompt);
    cfb_records_free(&records);
    return rc;
}

static cfb_code teach_suite(cfb_mock_t *m, const cfb_config *c, cfb_err *err) {
    cfb_suite_t *s = NULL;
    cfb_code rc = cfb_suite_load(c->suite, c->data, CFB_SUITE_FEWSHOT, &s, err);
    for (size_t i = 0; rc == CFB_OK && i < cfb_suite_n_tasks(s); i++)
        for (int shot = 0; shot < 2 && rc == CFB_OK; shot++) rc = teach_task(m, s, i, (cfb_shot)shot, err);
    cfb_suite_free(s);
    return rc;
}

static cfb_code write_port(const cfb_config *c, int port, cfb_err *err) {
    char text[16];
    int n = snprintf(text, sizeof text, "%d\n", port);
    return c->port_file ? cfb_file_write(c->port_file, (cfb_str){text, (size_t)n}, err) : CFB_OK;
}

cfb_code cfb_cli_start_mock(const cfb_config *c, cfb_mock_t **out, cfb_err *err) {
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.port = (int)c->port;
    o.seed = (uint64_t)c->seed;
    o.latency_s = c->mock_latency;
    o.latency_sigma = c->mock_latency_sigma;
    o.error_rate = c->mock_error_rate;
    o.faults = c->mock_faults;
    o.requests_per_minute = c->mock_rpm;
    o.script = c->replies;
    o.log_path = c->mock_log;
    o.api_key = c->mock_key;
    o.max_inflight = c->mock_max_inflight;
    o.refuse_status = c->mock_refuse != NULL && strcmp(c->mock_refuse, "503") == 0 ? 503 : 429;
    o.slots = c->mock_slots;
    o.control = c->mock_control;
    o.batch_delay_s = c->mock_batch_delay;
    o.tokens_per_minute = c->mock_tpm;
    o.quota = c->mock_quota;
    o.ttft_s = c->mock_ttft;
    o.tokens_per_s = c->mock_tokens_per_s;
    o.profile = c->mock_profile;
    o.reasoning = c->mock_reasoning;
    o.prefix_cache = c->mock_prefix_cache;
    o.context_tokens = c->mock_context;
    o.embed_dim = (int)c->mock_embed_dim;
    cfb_code rc = cfb_mock_start(&o, out, err);
    if (rc == CFB_ECONFIG) cfb_err_add_context(err, "--mock-faults");
    return rc;
}

cfb_code cfb_cmd_mock(const cfb_config *c, cfb_err *err) {
    cfb_mock_t *m = NULL;
    cfb_cli_catch_signals(false);
    cfb_code rc = cfb_cli_start_mock(c, &m, err);
    /* The default suite's data is not part of cfbench: without --data there is nothing to learn from it. */
    if (rc == CFB_OK && (c->data || strcmp(c->suite, "cfbenchmark") != 0)) rc = teach_suite(m, c, err);
    if (rc == CFB_OK) rc = write_port(c, cfb_mock_port(m), err);
    if (rc == CFB_OK && !c->quiet)
        fprintf(stderr, "cfbench mock: http://127.0.0.1:%d/v1 (GET /mock/stats for counts; Ctrl-C ends)\n", cfb_mock_port(m));
    while (rc == CFB_OK && !cfb_stop_is_on(&cfb_cli_stop))
        cfb_sleep_until_ns(cfb_now_ns() + 3600 * (int64_t)1000000000, &cfb_cli_stop);
    cfb_mock_stop(m);
    return rc;
}
