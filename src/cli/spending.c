#include "cli/spending.h"

#include <stdio.h>

static cfb_code read_prices(const cfb_config *c, cfb_cli_spending *s, cfb_err *err) {
    if (c->price_file == NULL)
        return c->max_cost > 0 ? cfb_err_set(err, CFB_ECONFIG, "--max-cost needs --price-file: what a token costs is not known")
                               : CFB_OK;
    cfb_code rc = cfb_prices_read(c->price_file, &s->prices, err);
    if (rc != CFB_OK) return rc;
    if (c->max_cost > 0)
        rc = cfb_prices_require(s->prices, c->model, &s->model_price, err);
    else if ((s->model_price = cfb_prices_find(s->prices, c->model)) == NULL)
        cfb_log(CFB_LOG_WARN, "%s has no price for the model '%s': costs are not counted", c->price_file, c->model);
    return rc;
}

/* Told by the run about once a second. A ledger that cannot be written must not end a run: its replies are paid for already. */
static void on_spent(void *ctx, int64_t requests, int64_t prompt_tokens, int64_t completion_tokens, int64_t cost) {
    cfb_cli_spending *s = ctx;
    const cfb_usage delta = {requests, prompt_tokens, completion_tokens, cost};
    char day[11];
    cfb_err err = CFB_ERR_INIT;
    if (requests == 0 && prompt_tokens == 0 && completion_tokens == 0 && cost == 0) return;
    cfb_ledger_day(cfb_wall_ms(), day);
    const char *currency = s->model_price ? s->model_price->currency : NULL;
    if (cfb_ledger_add(s->ledger, day, s->key_hash, s->model, currency, &delta, &err) == CFB_OK || s->said) return;
    cfb_log(CFB_LOG_WARN, "%s; what this run uses may be missing there", err.msg);
    s->said = true;
}

static cfb_code open_ledger(const cfb_config *c, cfb_cli_spending *s, cfb_budget *b, cfb_err *err) {
    char path[PATH_MAX], day[11];
    cfb_usage used;
    if (c->max_requests <= 0 && c->max_total_tokens <= 0 && c->max_cost <= 0 && c->usage_file == NULL && c->price_file == NULL)
        return CFB_OK;
    cfb_code rc = c->usage_file ? cfb_path_join(path, sizeof path, NULL, c->usage_file, err)
                                : cfb_ledger_default_path(path, sizeof path, err);
    if (rc == CFB_OK) rc = cfb_ledger_open(path, &s->ledger, err);
    cfb_ledger_day(cfb_wall_ms(), day);
    cfb_ledger_key_hash(c->mock ? NULL : c->api_key, s->key_hash);
    if (rc == CFB_OK)
        rc = cfb_ledger_get(s->ledger, day, s->key_hash, s->model_price ? s->model_price->currency : NULL, &used, err);
    if (rc != CFB_OK) return rc;
    b->used_requests = used.requests;
    b->used_tokens =
        used.prompt_tokens > INT64_MAX - used.completion_tokens ? INT64_MAX : used.prompt_tokens + used.completion_tokens;
    b->used_cost = used.cost_micros;
    b->spent = on_spent;
    b->ctx = s;
    return CFB_OK;
}

cfb_code cfb_cli_spending_open(const cfb_config *c, cfb_cli_spending *s, cfb_generate_opts *o, cfb_err *err) {
    *s = (cfb_cli_spending){.model = c->model};
    cfb_code rc = read_prices(c, s, err);
    if (rc == CFB_OK && s->model_price) {
        s->price = (cfb_token_price){s->model_price->input, s->model_price->cached_input, s->model_price->output};
        o->budget.price = &s->price;
    }
    o->budget.max_requests = c->max_requests;
    o->budget.max_tokens = c->max_total_tokens;
    o->budget.max_cost = c->max_cost > 0 ? cfb_price_micros(c->max_cost) : 0;
    if (rc == CFB_OK) rc = open_ledger(c, s, &o->budget, err);
    if (c->cache && c->mock) /* its replies hang on the --mock options, which no request tells */
        cfb_log(CFB_LOG_WARN, "--cache is not used with the built-in mock model");
    else if (rc == CFB_OK && c->cache)
        rc = cfb_cache_open(c->cache, true, &s->cache, err);
    if (rc != CFB_OK) {
        cfb_cli_spending_close(s);
        return rc;
    }
    o->cache = s->cache;
    return CFB_OK;
}

void cfb_cli_spending_close(cfb_cli_spending *s) {
    cfb_err err = CFB_ERR_INIT;
    if (cfb_cache_close(s->cache, &err) != CFB_OK) cfb_log(CFB_LOG_WARN, "%s; times of use are not written", err.msg);
    cfb_ledger_close(s->ledger);
    cfb_prices_free(s->prices);
    *s = (cfb_cli_spending){0};
}
