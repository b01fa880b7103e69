/* cfbench tune score|embed|client|rate|all: the fastest settings for this machine, this data and this server. */
#include "cli/asking.h"
#include "cli/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DATA_BYTES ((uint64_t)128 << 20)
#define CLIENT_ROWS 8192
#define MOST_ROWS 32768
#define MOCK_LATENCY_S 0.05
#define ENOUGH_NOISE 0.01
#define EMBED_ROUNDS 12 /* that the budget should be enough for */

/* At most one line a second: a run may take some milliseconds. */
static void told(void *ctx, int round, size_t leader, size_t n_left, double noise) {
    tune_sweep *s = ctx;
    char what[160];
    int64_t now_ns = cfb_now_ns();
    if (s->c->quiet || (round > 1 && now_ns - s->told_ns < 1000000000)) return;
    s->told_ns = now_ns;
    tune_describe(s, leader, what, sizeof what);
    fprintf(stderr, "%s, round %d: %zu points left, noise %.1f %%, leader %s: %.1f %s\n", tune_kind_name(s->kind), round, n_left,
            100 * noise, what, s->results[leader].median, tune_unit(s->kind));
}

static cfb_code search(tune_sweep *s, double budget_s, cfb_err *err) {
    tune_make_points(s);
    const cfb_tune_opts o = {.n_points = s->n,
                             .effort = s->effort,
                             .min_reps = s->c->reps < 3 ? (int)s->c->reps : 3,
                             .max_reps = (int)s->c->reps,
                             .budget_s = budget_s,
                             .enough = ENOUGH_NOISE,
                             .seed = (uint64_t)s->c->seed,
                             .stop = &cfb_cli_stop,
                             .told = told};
    return cfb_tune_search(&o, tune_measure, s, s->results, &s->best, &s->noise, err);
}

static cfb_code tune_score(tune_sweep *s, double budget_s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    s->kind = TUNE_SCORE;
    if (s->c->n_args > 1)
        s->path = s->c->args[1];
    else
        rc = tune_make_responses(s, DATA_BYTES, err);
    return rc == CFB_OK ? search(s, budget_s, err) : rc;
}

static cfb_code tune_embed(tune_sweep *s, double budget_s, cfb_err *err) {
    bool own = s->c->n_args > 1 && strcmp(s->c->args[0], "embed") == 0; /* the PATH of `all` is to be scored */
    s->kind = TUNE_EMBED;
    if (s->c->embed_model == NULL)
        return cfb_err_set(err, CFB_ECONFIG,
                           "tune embed: name the model's folder with --embed-model (scripts/get-bge.sh fetches one)");
    tune_make_points(s);
    double run_s = budget_s / (EMBED_ROUNDS * (double)s->n);
    run_s = run_s < 0.2 ? 0.2 : run_s > 2 ? 2 : run_s;
    cfb_code rc = tune_make_texts(s, own ? s->c->args[1] : NULL, run_s, err);
    return rc == CFB_OK ? search(s, budget_s, err) : rc;
}

static cfb_code count_tasks(tune_sweep *s, cfb_err *err) {
    cfb_suite_t *suite = NULL;
    size_t *tasks = NULL;
    cfb_code rc = cfb_suite_load(s->c->suite, s->c->data, 0, &suite, err);
    if (rc == CFB_OK) rc = cfb_cli_pick_tasks(s->c, suite, &tasks, &s->n_tasks, err);
    free(tasks);
    cfb_suite_free(suite);
    return rc;
}

/* Without --model: a mock server in this process, which has the latency of --mock-latency. */
static cfb_code tune_client(tune_sweep *s, tune_kind kind, double budget_s, cfb_err *err) {
    cfb_code rc = CFB_OK;
    size_t rows = s->c->in_flight > CLIENT_ROWS / 8 ? (size_t)s->c->in_flight * 8 : CLIENT_ROWS;
    if (kind == TUNE_RATE) rows = MOST_ROWS / 2;
    s->kind = kind;
    if (s->c->model != NULL && !s->c->mock) {
        s->url = s->c->base_url;
        s->suite = s->c->suite;
        rc = count_tasks(s, err);
    } else {
        cfb_config c = *s->c;
        if (c.mock_latency <= 0) c.mock_latency = MOCK_LATENCY_S;
        s->latency_s = c.mock_latency + c.mock_ttft;
        rc = tune_make_suite(s, rows < MOST_ROWS ? rows : MOST_ROWS, err);
        if (rc == CFB_OK) rc = cfb_cli_start_mock(&c, &s->mock, err);
        if (rc == CFB_OK) snprintf(s->mock_url, sizeof s->mock_url, "http://127.0.0.1:%d/v1", cfb_mock_port(s->mock));
    }
    if (rc == CFB_OK) rc = kind == TUNE_RATE ? tune_find_rate(s, budget_s, err) : search(s, budget_s, err);
    cfb_mock_stop(s->mock);
    return rc;
}

static cfb_code make_scratch(char path[PATH_MAX], cfb_err *err) {
    const char *base = getenv("TMPDIR");
    snprintf(path, PATH_MAX, "%.4000s/cfbench-tune-XXXXXX", base && base[0] ? base : "/tmp");
    return mkdtemp(path) ? CFB_OK : cfb_err_set(err, CFB_EIO, "no folder can be made: %.200s", path);
}

static cfb_code measure_roofs(const cfb_config *c, cfb_tune_roof roofs[2], size_t *n, cfb_err *err) {
    *n = 0;
    if (!c->roofline || strcmp(c->args[0], "rate") == 0) return CFB_OK; /* it says nothing about a server */
    cfb_code rc = cfb_tune_measure_roof(1, &roofs[(*n)++], err);
    if (rc == CFB_OK && cfb_cpu_count() > 1) rc = cfb_tune_measure_roof(cfb_cpu_count(), &roofs[(*n)++], err);
    return rc;
}

struct wanted {
    bool score, embed, client, rate;
};

/* `all` embeds where there is a model to embed with. A server is asked beyond its limit only where that is wished. */
static cfb_code read_wanted(const cfb_config *c, struct wanted *w, cfb_err *err) {
    const char *what = c->args[0];
    bool all = strcmp(what, "all") == 0;
    *w = (struct wanted){all || strcmp(what, "score") == 0, (all && c->embed_model) || strcmp(what, "embed") == 0,
                         all || strcmp(what, "client") == 0, strcmp(what, "rate") == 0};
    if (w->score || w->embed || w->client || w->rate) return CFB_OK;
    return cfb_err_set(err, CFB_EUSAGE, "tune what? '%.40s' is none of: score, embed, client, rate, all", what);
}

static cfb_code sweep_all(const cfb_config *c, struct wanted w, tune_sweep *s, size_t *n, cfb_err *err) {
    double each_s = c->budget / (w.score + w.embed + w.client + w.rate);
    cfb_code rc = CFB_OK;
    if (w.score) rc = tune_score(&s[(*n)++], each_s, err);
    if (rc == CFB_OK && w.embed) rc = tune_embed(&s[(*n)++], each_s, err);
    if (rc == CFB_OK && w.client) rc = tune_client(&s[(*n)++], TUNE_CLIENT, each_s, err);
    if (rc == CFB_OK && w.rate) rc = tune_client(&s[(*n)++], TUNE_RATE, each_s, err);
    return rc;
}

cfb_code cfb_cmd_tune(const cfb_config *c, cfb_err *err) {
    struct wanted w;
    cfb_tune_roof roofs[2];
    size_t n_roofs = 0, n = 0;
    char scratch[PATH_MAX];
    cfb_code rc = read_wanted(c, &w, err);
    if (rc != CFB_OK) return rc;
    tune_sweep *s = calloc(TUNE_KINDS, sizeof *s);
    rc = s ? make_scratch(scratch, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc != CFB_OK) {
        free(s);
        return rc;
    }
    for (int i = 0; i < TUNE_KINDS; i++) {
        s[i].c = c;
        memcpy(s[i].scratch, scratch, sizeof scratch);
    }
    cfb_cli_catch_signals(false);
    rc = measure_roofs(c, roofs, &n_roofs, err);
    if (rc == CFB_OK) rc = sweep_all(c, w, s, &n, err);
    cfb_cli_release_signals();
    tune_remove_folder(scratch);
    if (rc == CFB_OK) rc = tune_write_files(c, s, n, roofs, n_roofs, err);
    if (rc == CFB_OK) rc = tune_print(c, s, n, roofs, n_roofs, err);
    if (rc == CFB_OK && !c->quiet)
        fprintf(stderr, "written: %s/ (profile.json, tune.json, tune.csv, tune.svg); use it: --profile %s/profile.json\n", c->out,
                c->out);
    free(s);
    return rc;
}
