/* What a run would take: calls, tokens, time, cost. */
#include "cli/plan.h"

#include "cfbench/cluster.h"
#include "cfbench/prompt.h"
#include "cli/asking.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- rows that are answered already ---- */

/* The run store of --out; NULL: there is none. */
static cfb_code open_store(const cfb_config *c, cfb_store_t **out, cfb_err *err) {
    char path[PATH_MAX];
    *out = NULL;
    cfb_code rc = cfb_cli_store_path(c->out, path, err);
    return rc == CFB_OK && cfb_store_is_run_store(path) ? cfb_store_open(path, CFB_STORE_READ, out, err) : rc;
}

struct wanted_task {
    const char *name;
    int64_t id; /* 0: not in the store */
};

static cfb_code look_for_task(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err) {
    struct wanted_task *w = ctx;
    (void)err;
    if (strcmp(t->name, w->name) == 0) w->id = task_id;
    return CFB_OK;
}

/* (n) flags, or NULL: nothing is answered. The caller frees them. */
static cfb_code read_done(cfb_store_t *store, const char *task, size_t n, unsigned char **done, cfb_err *err) {
    struct wanted_task w = {task, 0};
    *done = NULL;
    if (store == NULL || n == 0) return CFB_OK;
    cfb_code rc = cfb_store_each_task(store, look_for_task, &w, err);
    if (rc != CFB_OK || w.id == 0) return rc;
    *done = calloc(n, 1);
    if (*done == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    return cfb_store_get_done(store, w.id, *done, NULL, n, err);
}

/* ---- what is to be asked ---- */

static cfb_code plan_task(const cfb_config *c, const cfb_suite_t *s, size_t i, cfb_store_t *store, cfb_plan_task *out,
                          cfb_err *err) {
    const cfb_task *t = cfb_suite_task(s, i);
    unsigned char *done = NULL;
    cfb_records records;
    cfb_buf prompt = CFB_BUF_INIT((size_t)64 << 20);
    cfb_code rc = cfb_suite_read_records(s, i, cfb_cli_shot(c), (size_t)c->limit, &records, err);
    if (rc != CFB_OK) return rc;
    rc = read_done(store, t->name, records.n, &done, err);
    size_t system = c->system_prompt ? strlen(c->system_prompt) : 0;
    *out = (cfb_plan_task){.name = t->name, .max_tokens = cfb_generate_reply_limit((int)c->max_tokens, c->max_tokens_scale, t)};
    for (size_t k = 0; k < records.n && rc == CFB_OK; k++) {
        if (c->shard_count && cfb_shard_of(c->shard_count, cfb_str_from(t->name), records.rows[k].id) != c->shard_index) continue;
        if (done && done[k]) {
            out->done++;
            continue;
        }
        cfb_buf_clear(&prompt);
        out->rows++;
        rc = cfb_prompt_render(t, cfb_cli_shot(c), &records.rows[k], &prompt, err);
        uint64_t bytes = prompt.len + system;
        out->prompt_bytes += bytes;
        if (bytes > out->longest_prompt_bytes) out->longest_prompt_bytes = bytes;
    }
    free(done);
    cfb_buf_free(&prompt);
    cfb_records_free(&records);
    return rc;
}

static cfb_code add_price(const cfb_config *c, cfb_plan *p, cfb_err *err) {
    cfb_prices_t *prices = NULL;
    p->cost = p->cost_limit = -1;
    if (c->price_file == NULL || c->model == NULL) return CFB_OK;
    cfb_code rc = cfb_prices_read(c->price_file, &prices, err);
    if (rc != CFB_OK) return rc;
    const cfb_price *price = cfb_prices_find(prices, c->model);
    if (price != NULL) {
        p->cost = (double)cfb_price_cost(price, (int64_t)p->prompt_tokens, 0, (int64_t)p->reply_tokens) * 1e-6;
        p->cost_limit = (double)cfb_price_cost(price, (int64_t)p->prompt_tokens, 0, (int64_t)p->reply_limit) * 1e-6;
        memcpy(p->currency, price->currency, sizeof p->currency);
    }
    cfb_prices_free(prices);
    return CFB_OK;
}

static double larger(double a, double b) { return a > b ? a : b; }

static void add_times(const cfb_config *c, double latency_s, cfb_plan *p) {
    cfb_generate_opts o = {.suite = p->suite, .n_tasks = p->n};
    cfb_cli_set_asking(c, &o);
    p->shape = cfb_generate_plan_shape(&o, p->calls);
    double spacing = o.limits.spacing_s;
    if (o.limits.calls_per_s > 0) spacing = larger(spacing, 1 / o.limits.calls_per_s);
    p->rate_s = p->calls ? spacing * (double)(p->calls - 1) : 0;
    p->tokens_s = o.limits.tokens_per_s > 0 ? (p->prompt_tokens + p->reply_tokens) / o.limits.tokens_per_s : 0;
    p->latency_s = latency_s > 0 ? latency_s : c->mock ? c->mock_latency + c->mock_ttft : CFB_PLAN_LATENCY_S;
    p->flight_s = p->shape.in_flight > 0 ? ceil((double)p->calls / p->shape.in_flight) * p->latency_s : 0;
    p->expected_s = larger(p->rate_s + (p->calls ? p->latency_s : 0), larger(p->tokens_s, p->flight_s));
}

cfb_code cfb_cli_plan(const cfb_config *c, double latency_s, bool goes_on, cfb_plan *p, cfb_err *err) {
    cfb_store_t *store = NULL;
    size_t *tasks = NULL, n = 0;
    unsigned flags = cfb_cli_shot(c) == CFB_SHOT_FEW ? CFB_SUITE_FEWSHOT : 0;
    if (goes_on) flags |= CFB_SUITE_LABELS; /* as the run: what is loaded is part of the suite's fingerprint */
    *p = (cfb_plan){.cost = -1, .cost_limit = -1};
    cfb_code rc = cfb_suite_load(c->suite, c->data, flags, &p->suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(c, p->suite, &tasks, &n, err);
    if (rc == CFB_OK && (p->tasks = calloc(n ? n : 1, sizeof *p->tasks)) == NULL)
        rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK && goes_on) rc = open_store(c, &store, err);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        cfb_plan_task *t = &p->tasks[p->n++];
        rc = plan_task(c, p->suite, tasks[i], store, t, err);
        double limit = (double)t->rows * t->max_tokens, longest = (double)t->longest_prompt_bytes * CFB_PLAN_TOKENS_PER_BYTE;
        p->calls += t->rows;
        p->done += t->done;
        p->prompt_tokens += (double)t->prompt_bytes * CFB_PLAN_TOKENS_PER_BYTE;
        p->reply_limit += limit;
        p->reply_tokens += 0.1 * limit;
        p->longest_tokens = larger(p->longest_tokens, longest + t->max_tokens);
        p->store_bytes += t->prompt_bytes + (uint64_t)t->rows * 1024;
    }
    free(tasks);
    /* as the run will: answers of another configuration are no part of it */
    if (rc == CFB_OK && p->done > 0 && c->model && !c->moved) rc = cfb_cli_bind_settings(c, p->suite, store, err);
    cfb_code close_rc = cfb_store_close(store, rc == CFB_OK ? err : NULL);
    if (rc == CFB_OK) rc = close_rc;
    if (rc == CFB_OK) add_times(c, latency_s, p);
    if (rc == CFB_OK) rc = add_price(c, p, err);
    return rc;
}

void cfb_cli_plan_free(cfb_plan *p) {
    free(p->tasks);
    cfb_suite_free(p->suite);
}

/* ---- output ---- */

static void put_number(cfb_jw *w, const char *key, double v) {
    cfb_jw_key(w, key);
    if (v < 0)
        cfb_jw_null(w);
    else
        cfb_jw_num(w, v);
}

static void put_count(cfb_jw *w, const char *key, double v) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, (int64_t)(v + 0.5));
}

void cfb_cli_plan_json(const cfb_plan *p, cfb_jw *w) {
    cfb_jw_obj(w);
    put_count(w, "calls", (double)p->calls);
    put_count(w, "done", (double)p->done);
    put_count(w, "prompt_tokens", p->prompt_tokens);
    put_count(w, "reply_tokens", p->reply_tokens);
    put_count(w, "reply_tokens_at_most", p->reply_limit);
    put_count(w, "longest_call_tokens", p->longest_tokens);
    put_count(w, "in_flight", p->shape.in_flight);
    put_count(w, "threads", p->shape.outer * p->shape.inner);
    put_number(w, "latency_s", p->latency_s);
    put_number(w, "time_by_rate_s", p->rate_s);
    put_number(w, "time_by_tokens_s", p->tokens_s);
    put_number(w, "time_by_in_flight_s", p->flight_s);
    put_number(w, "expected_s", p->expected_s);
    put_number(w, "cost", p->cost);
    put_number(w, "cost_at_most", p->cost_limit);
    cfb_jw_key(w, "currency");
    if (p->cost >= 0)
        cfb_jw_strz(w, p->currency);
    else
        cfb_jw_null(w);
    put_count(w, "run_store_bytes", (double)p->store_bytes);
    cfb_jw_key(w, "tasks");
    cfb_jw_arr(w);
    for (size_t i = 0; i < p->n; i++) {
        const cfb_plan_task *t = &p->tasks[i];
        cfb_jw_obj(w);
        cfb_jw_key(w, "task");
        cfb_jw_strz(w, t->name);
        put_count(w, "rows", (double)t->rows);
        put_count(w, "done", (double)t->done);
        put_count(w, "prompt_tokens", (double)t->prompt_bytes * CFB_PLAN_TOKENS_PER_BYTE);
        put_count(w, "max_tokens", t->max_tokens);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
    cfb_jw_end_obj(w);
}

static const char *duration(double s, char buf[32]) {
    if (s < 120)
        snprintf(buf, 32, "%.1f s", s);
    else if (s < 7200)
        snprintf(buf, 32, "%.0f min", s / 60);
    else
        snprintf(buf, 32, "%.1f h", s / 3600);
    return buf;
}

cfb_code cfb_cli_plan_text(const cfb_plan *p, cfb_buf *out, cfb_err *err) {
    char a[32], b[32], d[32], e[32];
    cfb_code rc = p->done ? cfb_buf_printf(out, err, "%zu rows are answered already\n", p->done) : CFB_OK;
    if (rc == CFB_OK)
        rc = cfb_buf_printf(out, err, "%zu calls in %zu task%s; about %.0f prompt tokens, %.0f reply tokens (at most %.0f)\n",
                            p->calls, p->n, p->n == 1 ? "" : "s", p->prompt_tokens, p->reply_tokens, p->reply_limit);
    if (rc == CFB_OK)
        rc = cfb_buf_printf(out, err,
                            "about %s: %s by the rate limit, %s by tokens a minute, %s by %d calls in flight of %.3g s each\n",
                            duration(p->expected_s, a), duration(p->rate_s, b), duration(p->tokens_s, d),
                            duration(p->flight_s, e), p->shape.in_flight, p->latency_s);
    if (rc == CFB_OK && p->cost >= 0)
        rc = cfb_buf_printf(out, err, "about %.6g %s, at most %.6g %s\n", p->cost, p->currency, p->cost_limit, p->currency);
    if (rc == CFB_OK && p->cost < 0) rc = cfb_buf_printf(out, err, "cost: unknown (--price-file)\n");
    return rc;
}

/* Budgets of a day that are too small even if nothing of them is used. */
static cfb_code put_budgets(const cfb_config *c, const cfb_plan *p, cfb_buf *out, cfb_err *err) {
    static const char then[] = "the run stops there; the same command goes on the next day";
    cfb_code rc = CFB_OK;
    if (c->max_requests > 0 && (double)p->calls > (double)c->max_requests)
        rc = cfb_buf_printf(out, err, "--max-requests %lld: %s\n", (long long)c->max_requests, then);
    if (rc == CFB_OK && c->max_total_tokens > 0 && p->prompt_tokens + p->reply_tokens > (double)c->max_total_tokens)
        rc = cfb_buf_printf(out, err, "--max-total-tokens %lld: %s\n", (long long)c->max_total_tokens, then);
    if (rc == CFB_OK && c->max_cost > 0 && p->cost > c->max_cost)
        rc = cfb_buf_printf(out, err, "--max-cost %.6g: %s\n", c->max_cost, then);
    return rc;
}

cfb_code cfb_cli_dry_run(const cfb_config *c, cfb_err *err) {
    cfb_plan p;
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_code rc = cfb_cli_plan(c, 0, true, &p, err);
    if (rc == CFB_OK && c->json) {
        cfb_jw w;
        cfb_jw_init(&w, &text, 2);
        cfb_jw_obj(&w);
        cfb_jw_key(&w, "schema");
        cfb_jw_strz(&w, "cfbench.plan/1");
        cfb_jw_key(&w, "plan");
        cfb_cli_plan_json(&p, &w);
        cfb_jw_end_obj(&w);
        rc = cfb_jw_finish(&w, err);
        if (rc == CFB_OK) rc = cfb_buf_append_char(&text, '\n', err);
    } else if (rc == CFB_OK) {
        for (size_t i = 0; i < p.n && rc == CFB_OK; i++)
            rc = cfb_buf_printf(&text, err, "%s: %zu rows, about %.0f prompt tokens, replies of at most %d\n", p.tasks[i].name,
                                p.tasks[i].rows, (double)p.tasks[i].prompt_bytes * CFB_PLAN_TOKENS_PER_BYTE,
                                p.tasks[i].max_tokens);
        if (rc == CFB_OK) rc = cfb_cli_plan_text(&p, &text, err);
        if (rc == CFB_OK) rc = put_budgets(c, &p, &text, err);
    }
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&text), err);
    cfb_buf_free(&text);
    cfb_cli_plan_free(&p);
    return rc;
}
