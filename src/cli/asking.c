#include "cli/asking.h"
#include "cli/asked.h"
#include "cli/spending.h"
#ifdef CFB_MPI
#include "cfbench/team.h"
#endif
#include "cfbench/json.h"

#include <math.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
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

static cfb_code join_list(const cfb_string_list *l, const char *between, cfb_buf *out, cfb_err *err) {
    cfb_code rc = cfb_buf_reserve(out, 0, err);
    for (size_t i = 0; i < l->n && rc == CFB_OK; i++) rc = cfb_buf_printf(out, err, "%s%s", i ? between : "", l->items[i]);
    return rc;
}

/* --moved: the same model at another address. Everything else must still be the same, and a mock is never the same model. */
static cfb_code bind_moved(cfb_store_t *store, cfb_store_setting *settings, size_t n, size_t url, cfb_err *err) {
    const char *now = settings[url].value, *old = cfb_store_setting_get(store, "base-url");
    if (old && (strcmp(old, "mock") == 0) != (strcmp(now, "mock") == 0))
        return cfb_err_set(err, CFB_ECONFLICT,
                           "--moved: the run was begun with --base-url %s, and %s is not the same model; use another --out", old,
                           now);
    if (old) settings[url].value = old;
    cfb_code rc = cfb_store_bind(store, settings, n, err);
    return rc == CFB_OK ? cfb_store_setting_put(store, "base-url", now, err) : rc;
}

/* Everything that decides a reply: a store holds replies of one such configuration only. */
cfb_code cfb_cli_bind_settings(const cfb_config *c, const cfb_suite_t *suite, cfb_store_t *store, cfb_err *err) {
    char temperature[32] = "none", max_tokens[24], scale[32], seed[24] = "", shard[48];
    cfb_buf urls = CFB_BUF_INIT(0), stop = CFB_BUF_INIT(0);
    if (!c->no_temperature) cfb_format_double(c->temperature, temperature);
    snprintf(max_tokens, sizeof max_tokens, "%lld", (long long)c->max_tokens);
    cfb_format_double(c->max_tokens_scale, scale);
    snprintf(shard, sizeof shard, "%lld/%lld", (long long)c->shard_index, (long long)c->shard_count);
    if (c->n_seed >= 0) snprintf(seed, sizeof seed, "%lld", (long long)c->n_seed);
    cfb_code rc = join_list(&c->base_urls, ",", &urls, err);
    if (rc == CFB_OK) rc = join_list(&c->stop, "\n", &stop, err);
    if (rc == CFB_OK) {
        cfb_store_setting settings[] = {
            {"base-url", c->mock ? "mock" : urls.ptr},
            {"suite", cfb_suite_name(suite)},
            {"shot", c->shot},
            {"suite.sha256", cfb_suite_fingerprint(suite)},
            {"model", c->model},
            {"system-prompt", c->system_prompt ? c->system_prompt : ""},
            {"temperature", temperature},
            {"max-tokens", max_tokens},
            {"max-tokens-scale", scale},
            {"stop", stop.len ? stop.ptr : ""},
            {"n-seed", seed},
            {"extra-body", c->extra_body ? c->extra_body : ""},
            {"keep-reasoning", c->keep_reasoning ? "true" : "false"},
            {"suite.title", cfb_suite_title(suite)},
            {"shard", shard},
        };
        const size_t n = sizeof settings / sizeof *settings - (c->shard_count == 0);
        rc = c->moved ? bind_moved(store, settings, n, 0, err) : cfb_store_bind(store, settings, n, err);
    }
    cfb_buf_free(&urls);
    cfb_buf_free(&stop);
    return rc;
}

static void say_counts(const cfb_generate_summary *s) {
    fprintf(stderr, "asked %zu calls in %.1f s (%.1f/s): %zu rows done, %zu were done before, %zu failed", s->n_calls,
            s->elapsed_s, s->asking_s > 0 ? (double)s->n_calls / s->asking_s : 0, s->n_done, s->n_done_before, s->n_failed);
    for (int f = 1; f < CFB_FAIL_COUNT; f++)
        if (s->n_fail[f]) fprintf(stderr, ", %s %zu", cfb_fail_name((cfb_fail)f), s->n_fail[f]);
    if (s->n_given_up) fprintf(stderr, ", given up before %zu (--max-attempts)", s->n_given_up);
}

/* A truncated reply is scored as it is: a low score would be taken for the model's. */
static void say_truncated(const cfb_generate_summary *s) {
    if (s->n_truncated == 0) return;
    char thought[96] = "";
    if (s->n_thought)
        snprintf(thought, sizeof thought, ", %zu of them before any answer: all of it went into reasoning", s->n_thought);
    cfb_log(CFB_LOG_WARN,
            "%zu repl%s cut at the token limit (state truncated)%s; a new run with a higher --max-tokens-scale or --max-tokens "
            "leaves more room",
            s->n_truncated, s->n_truncated == 1 ? "y was" : "ies were", thought);
}

static void say_summary(const cfb_config *c, const cfb_generate_summary *s, bool finished, const char *path) {
    for (size_t i = 0; finished && i < s->n_failed_kept; i++) /* a run that was stopped has one message, not one for each row */
        cfb_log(CFB_LOG_WARN, "%s row %zu (id %s) failed: %s: %s", s->failed[i].task, s->failed[i].row, s->failed[i].id,
                cfb_fail_name(s->failed[i].fail), s->failed[i].message);
    if (finished && s->n_failed > s->n_failed_kept + s->n_given_up)
        cfb_log(CFB_LOG_WARN, "and %zu more failed rows (table failure of the run store has all)",
                s->n_failed - s->n_failed_kept - s->n_given_up);
    say_truncated(s);
    if (c->quiet) return;
    say_counts(s);
    if (s->n_from_cache) fprintf(stderr, ", %zu from the cache", s->n_from_cache);
    fprintf(stderr, "; run store: %s\n", path);
    if (s->n_done == 0) return;
    fprintf(stderr, "latency p50 %.3g s, p99 %.3g s; tokens in %lld, out %lld", s->latency_s[0], s->latency_s[2],
            (long long)s->prompt_tokens, (long long)s->completion_tokens);
    if (s->cached_tokens) fprintf(stderr, ", cached %lld", (long long)s->cached_tokens);
    if (s->reasoning_tokens) fprintf(stderr, ", reasoning %lld", (long long)s->reasoning_tokens);
    if (s->cost >= 0) fprintf(stderr, "; cost %.6g", (double)s->cost * 1e-6);
    if (s->in_flight_end != s->in_flight)
        fprintf(stderr, "; calls in flight: %d of %d at the end", s->in_flight_end, s->in_flight);
    fputc('\n', stderr);
}

/* generate --json: what the line on standard error says, for programs. */
static cfb_code print_summary(const cfb_generate_summary *s, const char *path, cfb_err *err) {
    const struct {
        const char *name;
        int64_t n;
    } counts[] = {{"rows", (int64_t)s->n_rows},
                  {"answered_before", (int64_t)s->n_done_before},
                  {"answered", (int64_t)s->n_done},
                  {"failed", (int64_t)s->n_failed},
                  {"given_up", (int64_t)s->n_given_up},
                  {"calls", (int64_t)s->n_calls},
                  {"retries", (int64_t)s->n_retries},
                  {"from_cache", (int64_t)s->n_from_cache},
                  {"truncated", (int64_t)s->n_truncated},
                  {"truncated_by_reasoning", (int64_t)s->n_thought},
                  {"prompt_tokens", s->prompt_tokens},
                  {"completion_tokens", s->completion_tokens},
                  {"reasoning_tokens", s->reasoning_tokens},
                  {"cached_tokens", s->cached_tokens},
                  {"in_flight_limit", s->in_flight},
                  {"in_flight_limit_at_end", s->in_flight_end}};
    const struct {
        const char *name;
        double v;
    } numbers[] = {{"elapsed_s", s->elapsed_s},
                   {"asking_s", s->asking_s},
                   {"asking_cpu_s", s->asking_cpu_s},
                   {"waited_for_limiter_s", s->waited_s},
                   {"cost", s->cost >= 0 ? (double)s->cost * 1e-6 : NAN},
                   {"latency_p50_s", s->latency_s[0]},
                   {"latency_p90_s", s->latency_s[1]},
                   {"latency_p99_s", s->latency_s[2]},
                   {"latency_p999_s", s->latency_s[3]},
                   {"latency_max_s", s->latency_s[4]}};
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_jw_init(&w, &b, 2);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "schema");
    cfb_jw_strz(&w, "cfbench.generate/2");
    cfb_jw_key(&w, "run_store");
    cfb_jw_strz(&w, path);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) cfb_jw_member_int(&w, counts[i].name, counts[i].n);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) cfb_jw_member_num(&w, numbers[i].name, numbers[i].v);
    for (int rows = 1; rows >= 0; rows--) {
        const size_t *n = rows ? s->n_fail : s->n_failed_calls;
        cfb_jw_key(&w, rows ? "failed_by_class" : "failed_calls_by_class");
        cfb_jw_obj(&w);
        for (int f = 1; f < CFB_FAIL_COUNT; f++) {
            if (n[f] == 0) continue;
            cfb_jw_member_int(&w, cfb_fail_name((cfb_fail)f), (int64_t)n[f]);
        }
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_obj(&w);
    return cfb_cli_print_json(&w, &b, err);
}

/* urls: the mock's address, or the servers'. */
static void set_client(const cfb_config *c, const char *const *urls, size_t n_urls, cfb_client_opts *o) {
    *o = (cfb_client_opts)CFB_CLIENT_OPTS_INIT;
    o->base_urls = urls;
    o->n_base_urls = n_urls;
    o->api_key = c->mock ? NULL : c->api_key;
    o->api_key_header = c->api_key_header;
    o->headers = c->headers.items;
    o->n_headers = c->headers.n;
    o->proxy = c->proxy;
    o->ca_file = c->ca_file;
    o->client_cert = c->client_cert;
    o->client_key = c->client_key;
    o->unix_socket = c->mock ? NULL : c->unix_socket;
    o->timeout_s = c->timeout;
    o->connect_timeout_s = c->connect_timeout;
    o->idle_timeout_s = c->idle_timeout;
    o->request = (cfb_request){.model = c->model,
                               .system_prompt = c->system_prompt,
                               .temperature = c->no_temperature ? NAN : c->temperature,
                               .stop = c->stop.items,
                               .n_stop = c->stop.n,
                               .seed = c->n_seed,
                               .has_seed = c->n_seed >= 0,
                               .stream = c->stream,
                               .completion_tokens = c->max_completion_tokens,
                               .extra_body = c->extra_body};
}

void cfb_cli_set_limits(const cfb_config *c, cfb_limits *out) {
    out->spacing_s = c->api_rate_limit;
    out->calls_per_s = c->rps;
    if (c->rpm > 0 && (c->rps <= 0 || c->rpm / 60 < c->rps)) out->calls_per_s = c->rpm / 60;
    out->tokens_per_s = c->tpm / 60;
}

static void set_pace(const cfb_config *c, cfb_generate_opts *o) {
    cfb_cli_set_limits(c, &o->limits);
    double share = c->share_rate > 0                          ? (double)c->share_rate
                   : c->shard_count > 0 && c->limiter == NULL ? (double)c->shard_count
                                                              : 1;
    o->limits.spacing_s *= share;
    o->limits.calls_per_s /= share;
    o->limits.tokens_per_s /= share;
    o->adaptive = c->adaptive;
    o->row_workers = (int)c->max_workers;
    o->task_workers = (int)(c->task_workers > 0 ? c->task_workers : c->max_workers);
    o->in_flight = (int)c->in_flight;
    o->calls_per_thread = (int)c->calls_per_thread;
    o->max_retries = (int)c->max_retries;
    o->max_attempts = (int)c->max_attempts;
    o->retry_base_s = c->retry_base;
    o->retry_max_s = c->retry_max;
    o->row_deadline_s = c->row_deadline;
    o->patience_s = c->patience;
    o->grace_s = c->grace;
    if (c->end_ns) o->end_ns = c->end_ns - (int64_t)(c->time_margin * 1e9);
    o->end_grace_s = c->time_margin / 2;
    o->scratch = c->scratch;
    o->max_failures = -1;
    size_t n = c->max_failures ? strlen(c->max_failures) : 0;
    if (n > 0 && c->max_failures[n - 1] == '%')
        o->max_failure_share = strtod(c->max_failures, NULL) / 100;
    else if (n > 0)
        o->max_failures = strtoll(c->max_failures, NULL, 10);
}

void cfb_cli_set_asking(const cfb_config *c, cfb_generate_opts *o) {
    o->shot = cfb_cli_shot(c);
    o->limit = (size_t)c->limit;
    o->shard = (cfb_shard){c->shard_index, c->shard_count};
    set_client(c, c->base_urls.items, c->base_urls.n, &o->client);
    set_pace(c, o);
    o->max_tokens = (int)c->max_tokens;
    o->max_tokens_scale = c->max_tokens_scale;
    o->keep_reasoning = c->keep_reasoning;
    o->seed = (uint64_t)c->seed;
}

static cfb_code join_limiter(const cfb_config *c, cfb_member_t **out, cfb_err *err) {
    char token[CFB_LIMITER_TOKEN_SIZE];
    cfb_code rc = cfb_cli_limiter_token(c, token, err);
    if (rc == CFB_OK) rc = cfb_limiter_join(c->limiter, token, out, err);
    memset(token, 0, sizeof token);
    return rc;
}

/* ---- several ranks over MPI ---- */

struct ranks {
    cfb_team_t *team;
};

#ifdef CFB_MPI
static cfb_code gather_ranks(const cfb_config *c, cfb_generate_opts *o, struct ranks *r, cfb_err *err) {
    if (c->n_ranks < 2) return CFB_OK;
    int side_by_side = o->task_workers < (int)o->n_tasks ? o->task_workers : (int)o->n_tasks;
    int in_flight = o->in_flight > 0 ? o->in_flight : side_by_side * o->row_workers;
    const cfb_limits none = {0};
    cfb_code rc = cfb_team_new(&o->limits, in_flight, o->adaptive, &r->team, err);
    if (rc != CFB_OK) return rc;
    o->limits = none; /* those of the whole team hold */
    o->source = cfb_team_source(r->team);
    o->team = cfb_team_of(r->team);
    return rc;
}

/* Rows that a rank took with it: rank 0 asks for them alone. */
static cfb_code ask_for_the_dead(struct ranks *r, cfb_generate_opts *o, cfb_generate_summary *sum, cfb_err *err) {
    if (r->team == NULL || cfb_team_n_dead(r->team) == 0) return CFB_OK;
    cfb_generate_summary first = *sum;
    free(o->progress->tasks);
    *o->progress = (cfb_progress){0};
    o->team = NULL;
    cfb_code rc = cfb_generate(o, sum, err);
    sum->n_calls += first.n_calls;
    sum->n_done += first.n_done;
    sum->n_done_before = first.n_done_before;
    return rc;
}

static void leave_ranks(struct ranks *r) { cfb_team_free(r->team); }
#else
static cfb_code gather_ranks(const cfb_config *c, cfb_generate_opts *o, struct ranks *r, cfb_err *err) {
    (void)c, (void)o, (void)r, (void)err;
    return CFB_OK;
}
static cfb_code ask_for_the_dead(struct ranks *r, cfb_generate_opts *o, cfb_generate_summary *sum, cfb_err *err) {
    (void)r, (void)o, (void)sum, (void)err;
    return CFB_OK;
}
static void leave_ranks(struct ranks *r) { (void)r; }
#endif

/* mock: started already, or NULL. */
static cfb_code generate(const cfb_config *c, const cfb_suite_t *suite, const size_t *tasks, size_t n, cfb_store_t *store,
                         const char *path, cfb_mock_t *mock, const char *const *urls, size_t n_urls, size_t *n_failed,
                         cfb_err *err) {
    struct teacher teacher = {mock};
    cfb_progress progress = {0};
    cfb_generate_summary sum = {0};
    cfb_code rc = cfb_client_global_init(err);
    if (rc == CFB_OK) {
        cfb_generate_opts o = {.suite = suite, .tasks = tasks, .n_tasks = n};
        cfb_cli_set_asking(c, &o);
        o.client.base_urls = urls;
        o.client.n_base_urls = n_urls;
        o.store = store;
        o.stop = &cfb_cli_stop;
        o.abort = &cfb_cli_abort;
        o.progress = &progress;
        o.on_row = mock ? teach : NULL;
        o.on_row_ctx = &teacher;
        cfb_store_t **earlier = NULL;
        rc = cfb_cli_earlier_stores(c, store, &earlier, &o.n_earlier, err);
        o.earlier = earlier;
        cfb_cli_spending spending = {0};
        if (rc == CFB_OK) rc = cfb_cli_spending_open(c, &spending, &o, err);
        cfb_member_t *member = NULL;
        if (rc == CFB_OK && c->limiter) rc = join_limiter(c, &member, err);
        o.source = member ? cfb_member_source(member) : NULL;
        struct ranks ranks = {0};
        if (rc == CFB_OK) rc = gather_ranks(c, &o, &ranks, err);
        const char *currency = rc == CFB_OK && spending.model_price ? spending.model_price->currency : NULL;
        cfb_cli_notes notes = {.n = 0};
        if (rc == CFB_OK) rc = cfb_cli_note_asking(c, store, currency, &notes, err);
        if (rc == CFB_OK) {
            cfb_cli_progress_t *display = cfb_cli_progress_start(c, &progress, currency);
            rc = cfb_generate(&o, &sum, err);
            if (rc == CFB_OK) rc = ask_for_the_dead(&ranks, &o, &sum, err);
            cfb_cli_progress_stop(display);
            if (rc == CFB_OK && sum.n_calls + sum.n_from_cache == 0) rc = cfb_cli_unnote_asking(store, &notes, err);
        }
        leave_ranks(&ranks);
        cfb_member_leave(member);
        cfb_cli_spending_close(&spending);
        cfb_cli_close_stores(earlier, o.n_earlier);
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

/* Every thread allocates from an arena of its own, which by default grows and shrinks a page at a time: a system call for every
 * few calls of ours. */
static void settle_allocator(void) {
#ifdef __GLIBC__
    mallopt(M_TOP_PAD, 1 << 20);
#endif
}

cfb_code cfb_cli_ask(const cfb_config *c, size_t *n_failed, cfb_err *err) {
    cfb_suite_t *suite = NULL;
    cfb_store_t *store = NULL;
    cfb_mock_t *mock = NULL;
    char path[PATH_MAX], mock_url[64];
    unsigned flags = CFB_SUITE_LABELS | (cfb_cli_shot(c) == CFB_SHOT_FEW ? CFB_SUITE_FEWSHOT : 0u);
    size_t *tasks = NULL, n = 0;
    settle_allocator();
    /* Everything that can be wrong without a run is looked at before a run is made. */
    cfb_code rc = cfb_export_check_model(c->model, err);
    if (rc == CFB_OK) rc = cfb_suite_load(c->suite, c->data, flags, &suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(c, suite, &tasks, &n, err);
    if (rc == CFB_OK) rc = check_metrics(c, suite, tasks, n, err);
    if (rc == CFB_OK && c->mock) rc = cfb_cli_start_mock(c, &mock, err);
    if (mock) snprintf(mock_url, sizeof mock_url, "http://127.0.0.1:%d/v1", cfb_mock_port(mock));
    if (rc == CFB_OK) rc = cfb_mkdir_p(c->out, err);
    if (rc == CFB_OK) rc = cfb_cli_store_path(c->out, path, err);
    if (rc == CFB_OK) rc = cfb_store_open(path, cfb_cli_store_mode(c), &store, err);
    if (rc == CFB_OK) rc = cfb_cli_bind_settings(c, suite, store, err);
    if (rc == CFB_OK) {
        cfb_cli_catch_signals(true);
        const char *const mock_urls[] = {mock_url};
        rc = generate(c, suite, tasks, n, store, path, mock, c->mock ? mock_urls : c->base_urls.items,
                      c->mock ? 1 : c->base_urls.n, n_failed, err);
        cfb_cli_release_signals();
    }
    cfb_code close_rc = cfb_store_close(store, rc == CFB_OK ? err : NULL);
    if (c->rank > 0) cfb_cli_remove_scratch(c);
    if (rc == CFB_OK) rc = close_rc;
    if (rc == CFB_EINTERRUPTED && cfb_stop_is_on(&cfb_cli_stop))
        cfb_err_set(err, rc, "interrupted; every answer so far is in %s: the same command continues", path);
    cfb_mock_stop(mock);
    cfb_suite_free(suite);
    free(tasks);
    return rc;
}
