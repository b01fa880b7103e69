/* cfbench doctor: facts and findings about this machine, this configuration, its server and its data. */
#include "cfbench/doctor.h"
#include "cfbench/probe.h"
#include "cli/asking.h"
#include "cli/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FAULT CFB_FINDING_FAULT
#define HINT CFB_FINDING_HINT

struct visit {
    const cfb_config *c;
    cfb_doctor_t *d;
    cfb_plan plan;
    bool has_plan, server_fault;
};

/* ---- the configuration ---- */

static void budgets(struct visit *v) {
    const cfb_config *c = v->c;
    const cfb_plan *p = &v->plan;
    const char *why = "the run stops when the budget is used up; the same command goes on the next day";
    if (c->max_requests > 0 && (double)p->calls > (double)c->max_requests)
        cfb_doctor_find(
            v->d, FAULT, "budget",
            cfb_doctor_text(v->d, "the run needs %zu calls, --max-requests is %lld", p->calls, (long long)c->max_requests), why,
            cfb_doctor_text(v->d, "--max-requests %zu, or --limit", p->calls + p->calls / 10));
    if (c->max_total_tokens > 0 && p->prompt_tokens + p->reply_tokens > (double)c->max_total_tokens)
        cfb_doctor_find(v->d, FAULT, "budget",
                        cfb_doctor_text(v->d, "the run needs about %.0f tokens, --max-total-tokens is %lld",
                                        p->prompt_tokens + p->reply_tokens, (long long)c->max_total_tokens),
                        why,
                        cfb_doctor_text(v->d, "--max-total-tokens %.0f, or --limit", 1.2 * (p->prompt_tokens + p->reply_limit)));
    if (c->max_cost > 0 && p->cost > c->max_cost)
        cfb_doctor_find(
            v->d, FAULT, "budget",
            cfb_doctor_text(v->d, "the run costs about %.4g %s, --max-cost is %.4g", p->cost, p->currency, c->max_cost), why,
            cfb_doctor_text(v->d, "--max-cost %.4g, or --limit", p->cost_limit));
}

static void pace(struct visit *v) {
    const cfb_plan *p = &v->plan;
    if (v->c->model == NULL || p->calls < 2) return;
    if (p->rate_s > 1800 && p->rate_s > 4 * p->flight_s)
        cfb_doctor_find(v->d, HINT, "pace",
                        cfb_doctor_text(v->d, "the rate limit makes the run %.0f minutes long; calls in flight would need %.0f",
                                        p->rate_s / 60, p->flight_s / 60),
                        "a server that takes more is asked less than it could answer",
                        "--rpm with the server's limit, or --api-rate-limit 0 for a server of your own");
}

static void key_file(struct visit *v) {
    struct stat st;
    if (v->c->api_key_file == NULL || stat(v->c->api_key_file, &st) != 0 || (st.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
    cfb_doctor_find(v->d, FAULT, "key-file", cfb_doctor_text(v->d, "other users can get at %s", v->c->api_key_file),
                    "who has the key can spend its owner's money", cfb_doctor_text(v->d, "chmod 600 %s", v->c->api_key_file));
}

static void data(struct visit *v) {
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_cli_plan(v->c, 0, false, &v->plan, &err);
    v->has_plan = rc == CFB_OK;
    if (rc != CFB_OK) {
        cfb_doctor_find(v->d, FAULT, "data", err.msg, "a run would end with this message before its first call",
                        strcmp(v->c->suite, "cfbenchmark") == 0 ? "scripts/get-cfbenchmark.sh, then --data cfbenchmark-data; or "
                                                                  "--suite sample"
                                                                : "--suite and --data name the suite and its data");
        return;
    }
    cfb_doctor_fact(v->d, "run", "suite", "%s", cfb_suite_name(v->plan.suite));
    budgets(v);
    pace(v);
}

/* ---- the server ---- */

static void server_finding(struct visit *v, const char *id, const char *what, const char *why, const char *mend) {
    cfb_doctor_find(v->d, FAULT, id, what, why, mend);
    v->server_fault = true;
}

static void model(struct visit *v, const char *url, const cfb_probe *p) {
    if (!p->has_models) {
        cfb_doctor_find(v->d, HINT, "model-list", cfb_doctor_text(v->d, "%s has no list of models", url),
                        "whether it knows the model cannot be seen before a call", "cfbench doctor --probe ...");
        return;
    }
    if (!p->model_listed)
        server_finding(v, "model",
                       cfb_doctor_text(v->d, "%s does not list the model '%s' (it has: %s%s)", url, v->c->model, p->models,
                                       p->n_models > 8 ? ", ..." : ""),
                       "most servers refuse calls for a model that they do not know",
                       cfb_doctor_text(v->d, "--model %.60s", p->models[0] ? p->models : "NAME"));
    if (p->context > 0) cfb_doctor_number(v->d, "server", "model_context_tokens", (double)p->context);
    if (p->context > 0 && v->has_plan && v->plan.longest_tokens > (double)p->context)
        server_finding(v, "context",
                       cfb_doctor_text(v->d, "the longest call takes about %.0f tokens, the model %lld", v->plan.longest_tokens,
                                       (long long)p->context),
                       "rows that do not fit are refused (context_length)",
                       "--max-tokens, --shot zero, or a server with a longer --max-model-len");
}

static void limits_told(struct visit *v, const cfb_probe *p) {
    const cfb_config *c = v->c;
    const cfb_rate_hints *h = &p->hints;
    if (h->limit_requests >= 0) cfb_doctor_number(v->d, "server", "limit_requests", (double)h->limit_requests);
    if (h->limit_tokens >= 0) cfb_doctor_number(v->d, "server", "limit_tokens", (double)h->limit_tokens);
    if (h->remaining_requests >= 0) cfb_doctor_number(v->d, "server", "remaining_requests", (double)h->remaining_requests);
    double rpm = c->rpm;
    if (c->rps > 0 && (rpm <= 0 || c->rps * 60 < rpm)) rpm = c->rps * 60;
    if (c->api_rate_limit > 0 && (rpm <= 0 || 60 / c->api_rate_limit < rpm)) rpm = 60 / c->api_rate_limit;
    if (h->limit_requests > 0 && rpm > (double)h->limit_requests) /* without a rate the adaptive limit finds its way */
        server_finding(v, "rate",
                       cfb_doctor_text(v->d, "calls would start at %.4g a minute, the server says %lld in its window", rpm,
                                       (long long)h->limit_requests),
                       "calls beyond the limit are refused (429): they cost time and gain nothing",
                       cfb_doctor_text(v->d, "--rpm %lld", (long long)h->limit_requests));
}

static void one_server(struct visit *v, const cfb_client_opts *o, size_t i) {
    cfb_err err = CFB_ERR_INIT;
    cfb_probe p;
    const char *url = o->base_urls[i];
    cfb_code rc = cfb_probe_models(o, i, v->c->model, &p, &err);
    if (rc == CFB_OK && (p.http_status == 404 || p.http_status == 405)) p.fail = CFB_FAIL_NONE; /* no such list: no fault */
    if (rc == CFB_OK && p.fail == CFB_FAIL_NONE && v->c->probe) {
        model(v, url, &p);
        rc = cfb_probe_call(o, i, &p, &err);
    } else if (rc == CFB_OK && p.fail == CFB_FAIL_NONE) {
        model(v, url, &p);
    }
    if (rc != CFB_OK) {
        server_finding(v, "server", err.msg, "no call can be made", "look at --base-url, --header, --ca-file and --proxy");
        return;
    }
    cfb_doctor_fact(v->d, "server", "url", "%s", url);
    if (p.fail != CFB_FAIL_NONE) {
        bool key = p.fail == CFB_FAIL_AUTH;
        server_finding(v, key ? "key" : "server",
                       cfb_doctor_text(v->d, "%s: %s (%s%s)", url, p.message[0] ? p.message : "no answer", cfb_fail_name(p.fail),
                                       p.http_status ? "" : ", no answer"),
                       key ? "every call would be refused" : "no call would be answered", cfb_fail_remedy(p.fail));
        return;
    }
    cfb_doctor_number(v->d, "server", "latency_ms", p.latency_s * 1e3);
    limits_told(v, &p);
}

static void servers(struct visit *v) {
    cfb_generate_opts o = {0};
    cfb_err err = CFB_ERR_INIT;
    if (v->c->model == NULL || v->c->mock) {
        cfb_doctor_fact(v->d, "server", "asked", "%s", v->c->mock ? "no: the built-in mock" : "no: --model is not given");
        return;
    }
    cfb_cli_set_asking(v->c, &o);
    if (cfb_client_global_init(&err) != CFB_OK) {
        server_finding(v, "server", err.msg, "no call can be made", "install libcurl");
        return;
    }
    for (size_t i = 0; i < o.client.n_base_urls; i++) one_server(v, &o.client, i);
    cfb_client_global_cleanup();
}

/* ---- output ---- */

static cfb_code print_json(const struct visit *v, cfb_err *err) {
    const cfb_fact *facts;
    const cfb_finding *findings;
    size_t n_facts = cfb_doctor_facts(v->d, &facts), n = cfb_doctor_findings(v->d, &findings);
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_jw w;
    cfb_jw_init(&w, &b, 2);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "schema");
    cfb_jw_strz(&w, "cfbench.doctor/1");
    cfb_jw_key(&w, "healthy");
    cfb_jw_bool(&w, cfb_doctor_count(v->d, FAULT) == 0);
    cfb_jw_key(&w, "findings");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        cfb_jw_obj(&w);
        cfb_jw_member_strz(&w, "id", findings[i].id);
        cfb_jw_member_strz(&w, "level", findings[i].level == FAULT ? "fault" : "hint");
        cfb_jw_member_strz(&w, "what", findings[i].what);
        cfb_jw_member_strz(&w, "why", findings[i].why);
        cfb_jw_member_strz(&w, "mend", findings[i].mend);
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "facts");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < n_facts; i++) {
        double number = 0;
        int64_t whole;
        cfb_jw_obj(&w);
        cfb_jw_member_strz(&w, "group", facts[i].group);
        cfb_jw_member_strz(&w, "name", facts[i].name);
        cfb_jw_key(&w, "value");
        if (facts[i].is_number && cfb_parse_int(facts[i].text, &whole))
            cfb_jw_int(&w, whole);
        else if (facts[i].is_number && cfb_parse_double(facts[i].text, &number))
            cfb_jw_num(&w, number);
        else
            cfb_jw_strz(&w, facts[i].text);
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "plan");
    if (v->has_plan)
        cfb_cli_plan_json(&v->plan, &w);
    else
        cfb_jw_null(&w);
    cfb_jw_end_obj(&w);
    return cfb_cli_print_json(&w, &b, err);
}

static cfb_code print_text(const struct visit *v, cfb_err *err) {
    const cfb_fact *facts;
    const cfb_finding *findings;
    size_t n_facts = cfb_doctor_facts(v->d, &facts), n = cfb_doctor_findings(v->d, &findings);
    size_t n_faults = cfb_doctor_count(v->d, FAULT);
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_code rc = CFB_OK;
    const char *group = "";
    for (size_t i = 0; i < n_facts && rc == CFB_OK && !v->c->quiet; i++) {
        if (strcmp(group, facts[i].group) != 0) rc = cfb_buf_printf(&b, err, "%s%s\n", i ? "\n" : "", facts[i].group);
        group = facts[i].group;
        if (rc == CFB_OK) rc = cfb_buf_printf(&b, err, "  %-26s %s\n", facts[i].name, facts[i].text);
    }
    if (rc == CFB_OK && v->has_plan && v->c->model && !v->c->quiet) {
        rc = cfb_buf_printf(&b, err, "\nthis run\n");
        if (rc == CFB_OK) rc = cfb_cli_plan_text(&v->plan, &b, err);
    }
    for (size_t i = 0; i < n && rc == CFB_OK; i++)
        rc = cfb_buf_printf(&b, err, "\n%s %s: %s\n  why:  %s\n  mend: %s\n", findings[i].level == FAULT ? "FAULT" : "hint",
                            findings[i].id, findings[i].what, findings[i].why, findings[i].mend);
    if (rc == CFB_OK)
        rc = cfb_buf_printf(&b, err, "%s%zu fault%s, %zu hint%s\n", b.len ? "\n" : "", n_faults, n_faults == 1 ? "" : "s",
                            n - n_faults, n - n_faults == 1 ? "" : "s");
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&b), err);
    cfb_buf_free(&b);
    return rc;
}

static cfb_doctor_want wanted(const struct visit *v) {
    const cfb_config *c = v->c;
    const char *root = getenv("CFBENCH_DOCTOR_ROOT");
    cfb_doctor_want w = {.threads = c->threads > 0 ? (int)c->threads : cfb_cpu_count(),
                         .outer = v->plan.shape.outer,
                         .inner = v->plan.shape.inner,
                         .out = c->out,
                         .out_bytes = 2 * v->plan.store_bytes,
                         .root = root ? root : ""};
    w.calls = (size_t)w.outer * (size_t)w.inner * v->plan.shape.calls_each;
    return w;
}

cfb_code cfb_cmd_doctor(const cfb_config *c, cfb_err *err) {
    struct visit v = {.c = c};
    cfb_code rc = cfb_doctor_new(&v.d, err);
    if (rc != CFB_OK) return rc;
    data(&v);
    cfb_doctor_want w = wanted(&v);
    cfb_err none = CFB_ERR_INIT;
    if (cfb_client_global_init(&none) == CFB_OK) cfb_doctor_fact(v.d, "versions", "libcurl", "%s", cfb_client_version());
    cfb_doctor_libraries(v.d, &w);
    cfb_doctor_machine(v.d, &w);
    cfb_doctor_disk(v.d, &w); /* forks: before there are threads */
    cfb_doctor_threads(v.d, &w);
    key_file(&v);
    servers(&v);
    rc = cfb_doctor_status(v.d, err);
    if (rc == CFB_OK) rc = c->json ? print_json(&v, err) : print_text(&v, err);
    size_t n = cfb_doctor_count(v.d, FAULT);
    if (rc == CFB_OK && n > 0)
        rc = cfb_err_set(err, v.server_fault ? CFB_ENET : CFB_EPARTIAL, "%zu fault%s found; each is named above with its remedy",
                         n, n == 1 ? " was" : "s were");
    cfb_cli_plan_free(&v.plan);
    cfb_doctor_free(v.d);
    return rc;
}
