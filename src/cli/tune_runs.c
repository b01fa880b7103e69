/* tune_runs.c - the grid, and one run of one point: a process of its own, so that nothing is left over from the one before. */
#include "cfbench/client.h"
#include "cfbench/json.h"
#include "cli/tune.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define MAX_OUTPUT ((size_t)16 << 20)

const char *tune_kind_name(tune_kind k) {
    static const char *const names[TUNE_KINDS] = {"score", "embed", "client", "rate"};
    return names[k];
}

const char *tune_unit(tune_kind k) {
    static const char *const units[TUNE_KINDS] = {"MB/s", "tokens/s", "calls/s", "calls/s"};
    return units[k];
}

/* ---- the grid ---- */

static void add(tune_sweep *s, tune_point p, double effort) {
    if (s->n == TUNE_POINTS_MAX) return;
    s->points[s->n] = p;
    s->effort[s->n++] = effort;
}

/* Ways to bind threads to cores; the first: the system moves them. */
static const tune_variable bindings[][TUNE_VARIABLES] = {{{NULL, NULL}},
                                                         {{"OMP_PROC_BIND", "spread"}},
                                                         {{"OMP_PROC_BIND", "close"}},
                                                         {{"OMP_PROC_BIND", "spread"}, {"OMP_PLACES", "cores"}}};

/* Threads x binding. Binding means something to 2 ... cores threads. Of scoring also how much of a file a thread takes at a time,
 * where the system moves the threads and where they are spread. */
static void thread_points(tune_sweep *s, int most) {
    static const int blocks[] = {0, 64, 256, 2048};
    int cores = cfb_cpu_count(), threads[16], n = 0;
    for (int t = 1; t < cores && n < 12; t *= 2) threads[n++] = t;
    threads[n++] = cores;
    if (most > cores && cfb_has_openmp()) threads[n++] = most; /* shows what too many cost */
    for (int i = 0; i < n; i++) {
        size_t ways = cfb_has_openmp() && threads[i] > 1 && threads[i] <= cores ? sizeof bindings / sizeof *bindings : 1;
        for (size_t b = 0; b < ways; b++) {
            tune_point p = {.threads = threads[i]};
            memcpy(p.variables, bindings[b], sizeof p.variables);
            add(s, p, threads[i] + 0.2 * (double)b);
        }
        for (size_t b = 0; s->kind == TUNE_SCORE && b < (ways > 1 ? 2 : 1); b++)
            for (size_t k = 1; k < sizeof blocks / sizeof *blocks; k++) {
                tune_point p = {.threads = threads[i], .block_kib = blocks[k]};
                memcpy(p.variables, bindings[b], sizeof p.variables);
                add(s, p, threads[i] + 0.2 * (double)b + 0.05 * (double)k);
            }
    }
}

/* Calls in flight x how they are spread: over threads (calls of each), and over tasks side by side. */
static void client_points(tune_sweep *s) {
    static const int in_flight[] = {16, 64, 256, 1024, 4096}, each[] = {0, 16, 256};
    int most = s->c->in_flight > 0 ? (int)s->c->in_flight : 1024;
    for (size_t i = 0; i < sizeof in_flight / sizeof *in_flight; i++) {
        if (in_flight[i] > most) break;
        for (size_t k = 0; k < sizeof each / sizeof *each; k++)
            if (each[k] <= in_flight[i] && (each[k] == 0 || in_flight[i] / each[k] <= 64))
                add(s, (tune_point){.in_flight = in_flight[i], .calls_per_thread = each[k]}, in_flight[i] + 0.1 * (double)k);
        if (s->n_tasks > 1) add(s, (tune_point){.in_flight = in_flight[i], .task_workers = 1}, in_flight[i] + 0.3);
    }
}

void tune_make_points(tune_sweep *s) {
    int cores = cfb_cpu_count();
    s->n = 0;
    switch (s->kind) {
    case TUNE_SCORE: thread_points(s, 2 * cores); break;
    case TUNE_EMBED: thread_points(s, cores); break;
    case TUNE_CLIENT: client_points(s); break;
    case TUNE_RATE:
    case TUNE_KINDS: break; /* rates are searched, not laid out */
    }
}

static void say(char *buf, size_t size, const char *fmt, ...) {
    size_t used = strlen(buf);
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf + used, size - used, fmt, args);
    va_end(args);
}

void tune_describe(const tune_sweep *s, size_t i, char *buf, size_t size) {
    const tune_point *p = &s->points[i];
    buf[0] = '\0';
    for (int v = 0; v < TUNE_VARIABLES && p->variables[v].name; v++)
        say(buf, size, "%s=%s ", p->variables[v].name, p->variables[v].value);
    if (p->threads) say(buf, size, "--threads %d", p->threads);
    if (p->block_kib) say(buf, size, " --block-size %d", p->block_kib);
    if (p->rps > 0) say(buf, size, "--rps %.6g ", p->rps);
    if (p->in_flight) say(buf, size, "--in-flight %d", p->in_flight);
    if (p->calls_per_thread) say(buf, size, " --calls-per-thread %d", p->calls_per_thread);
    if (p->task_workers) say(buf, size, " --task-workers %d", p->task_workers);
}

/* ---- one run ---- */

struct line {
    const char *args[48];
    size_t n;
    char texts[1024];
    size_t used;
};

static void word(struct line *l, const char *w) {
    if (l->n < 47) l->args[l->n++] = w;
}

static void number(struct line *l, const char *option, double v) {
    int n = snprintf(l->texts + l->used, sizeof l->texts - l->used, "%.15g", v);
    word(l, option);
    word(l, l->texts + l->used);
    l->used += (size_t)n + 1;
}

static void score_line(const tune_sweep *s, const tune_point *p, struct line *l) {
    word(l, "score");
    number(l, "--threads", p->threads);
    if (p->block_kib) number(l, "--block-size", p->block_kib);
    const char *const options[] = {"--suite", s->c->suite, "--verbose", "--json", "--progress", "off"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) word(l, options[i]);
    if (s->c->data) word(l, "--data"), word(l, s->c->data);
    if (s->c->tasks) word(l, "--tasks"), word(l, s->c->tasks);
    if (s->c->task) word(l, "--task"), word(l, s->c->task);
    if (s->c->metric) word(l, "--metric"), word(l, s->c->metric);
    if (s->c->label_set) word(l, "--label-set"), word(l, s->c->label_set);
    word(l, "--");
    word(l, s->path);
}

static void embed_line(const tune_sweep *s, const tune_point *p, const char *out, struct line *l) {
    const cfb_config *c = s->c;
    word(l, "embed");
    number(l, "--threads", p->threads);
    const char *const options[] = {"--embed-model", c->embed_model, "--precision", c->precision, "--pooling", c->pooling,
                                   "--embed-cache", "off",          "--json",      "--quiet",    "--force"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) word(l, options[i]);
    if (c->vocab) word(l, "--vocab"), word(l, c->vocab);
    word(l, "--");
    word(l, s->texts);
    word(l, out);
}

static void client_line(const tune_sweep *s, const tune_point *p, const char *out, struct line *l) {
    const cfb_config *c = s->c;
    word(l, "generate");
    number(l, "--in-flight", p->in_flight);
    if (p->calls_per_thread) number(l, "--calls-per-thread", p->calls_per_thread);
    if (p->task_workers) number(l, "--task-workers", p->task_workers);
    const char *const options[] = {
        "--suite",
        s->suite,
        "--base-url",
        s->url ? s->url : s->mock_url,
        "--model",
        c->model ? c->model : "mock",
        "--out",
        out,
        "--json",
        "--quiet",
        "--progress",
        "off",
        "--shot",
        s->url ? c->shot : "zero",
        "--api-rate-limit",
        "0",
        "--no-adaptive",
        "--max-retries", /* a refused call costs time, and is seen as that; of a rate it is the answer */
        s->kind == TUNE_RATE ? "0" : "20"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) word(l, options[i]);
    if (s->url && c->data) word(l, "--data"), word(l, c->data);
    if (s->url && c->tasks) word(l, "--tasks"), word(l, c->tasks);
    if (s->url && c->api_key_file) word(l, "--api-key-file"), word(l, c->api_key_file);
    if (s->kind == TUNE_RATE) number(l, "--retry-max", 0); /* the server's own waits would hide how much it takes */
    double rps = s->kind == TUNE_RATE ? p->rps : c->rps;
    if (rps > 0) number(l, "--rps", rps);
    if (s->url && c->max_requests > 0) number(l, "--max-requests", (double)c->max_requests);
    size_t rows = s->kind == TUNE_RATE ? p->rows : (size_t)p->in_flight * 8;
    if (rows < 200 && s->kind != TUNE_RATE) rows = 200;
    number(l, "--limit", (double)((rows + s->n_tasks - 1) / s->n_tasks)); /* of each task */
}

/* Variables of this process but those that would change what is measured, and the point's own. */
static char **make_environment(const tune_point *p, char own[TUNE_VARIABLES][128]) {
    size_t n = 0, k = 0;
    while (environ[n] != NULL) n++;
    char **list = malloc((n + TUNE_VARIABLES + 1) * sizeof *list);
    if (list == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "CFBENCH_", 8) != 0 || strncmp(environ[i], "CFBENCH_SUITE_PATH=", 19) == 0 ||
            strncmp(environ[i], "CFBENCH_HEADERS=", 16) == 0 || strncmp(environ[i], "CFBENCH_API_KEY=", 16) == 0)
            list[k++] = environ[i];
    for (int v = 0; v < TUNE_VARIABLES && p->variables[v].name; v++) {
        snprintf(own[v], sizeof own[v], "%s=%s", p->variables[v].name, p->variables[v].value);
        list[k++] = own[v];
    }
    list[k] = NULL;
    return list;
}

/* Standard output of the child into out; its last line on standard error into words. */
static cfb_code read_all(int fd, cfb_buf *out, cfb_err *err) {
    for (;;) {
        cfb_code rc = cfb_buf_reserve(out, 65536, err);
        if (rc != CFB_OK) return rc;
        ssize_t n = read(fd, out->ptr + out->len, 65535);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return CFB_OK;
        out->len += (size_t)n;
        out->ptr[out->len] = '\0';
    }
}

static void last_line(const char *path, char words[128]) {
    char line[512];
    FILE *f = fopen(path, "re");
    words[0] = '\0';
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "cfbench: ", 9) == 0) snprintf(words, 128, "%.120s", line + 9);
    }
    if (f != NULL) fclose(f);
}

static cfb_code run_child(const tune_sweep *s, const tune_point *p, struct line *l, cfb_buf *out, cfb_err *err) {
    int ends[2], status = 0;
    char own[TUNE_VARIABLES][128], words[128], log[PATH_MAX + 16];
    posix_spawn_file_actions_t a;
    pid_t child;
    char **env = make_environment(p, own);
    if (env == NULL || pipe(ends) != 0) {
        free(env);
        return cfb_err_set(err, CFB_ENOMEM, "no process can be started");
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    snprintf(log, sizeof log, "%s/stderr", s->scratch);
    l->args[l->n] = NULL;
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_addopen(&a, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&a, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&a, ends[1]);
    posix_spawn_file_actions_addopen(&a, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    union { /* posix_spawn takes texts that it does not change */
        const char **in;
        char *const *out;
    } args = {l->args};
    int failed = posix_spawn(&child, "/proc/self/exe", &a, NULL, args.out, env);
    posix_spawn_file_actions_destroy(&a);
    close(ends[1]);
    free(env);
    cfb_code rc = failed ? cfb_err_set_errno(err, failed, "cannot start cfbench once more") : read_all(ends[0], out, err);
    close(ends[0]);
    if (failed) return rc;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (cfb_stop_is_on(&cfb_cli_stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted: nothing was chosen");
    bool refused = s->kind == TUNE_RATE && WIFEXITED(status) && WEXITSTATUS(status) == cfb_code_exit_status(CFB_EPARTIAL);
    if (rc != CFB_OK || refused || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return rc;
    last_line(log, words);
    return cfb_err_set(err, CFB_ECONFIG, "%s", words[0] ? words : "cfbench ended with an error");
}

static double number_of(const cfb_json *from, const char *name) {
    double v = 0;
    (void)cfb_json_num(cfb_json_get(from, name), &v);
    return v;
}

static cfb_code read_measured(const tune_sweep *s, cfb_str json, tune_measured *m, cfb_err *err) {
    static const char *const names[TUNE_KINDS][2] = {[TUNE_SCORE] = {"text_bytes", "elapsed_s"},
                                                     [TUNE_EMBED] = {"computed_tokens", "embed_s"},
                                                     [TUNE_CLIENT] = {"answered", "asking_s"},
                                                     [TUNE_RATE] = {"answered", "asking_s"}};
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    if (rc != CFB_OK) return rc;
    const cfb_json *from = s->kind == TUNE_SCORE ? cfb_json_get(root, "performance") : root;
    m->work = number_of(from, names[s->kind][0]);
    m->seconds = number_of(from, names[s->kind][1]);
    m->failed = number_of(from, "failed");
    m->calls = number_of(from, "calls");
    m->latency_s = number_of(from, "latency_p50_s");
    const cfb_json *classes = cfb_json_get(from, "failed_calls_by_class");
    m->refused = number_of(classes, cfb_fail_name(CFB_FAIL_RATE_LIMIT)) + number_of(classes, cfb_fail_name(CFB_FAIL_OVERLOADED));
    cfb_json_free(root);
    double done = s->kind == TUNE_RATE ? m->calls : m->work, lost = s->kind == TUNE_RATE ? m->failed - m->refused : m->failed;
    if (m->seconds <= 0 || done <= 0) return cfb_err_set(err, CFB_EBUG, "the run did not say how fast it was");
    if (lost > 0)
        return cfb_err_set(err, CFB_ECONFIG,
                           s->kind == TUNE_RATE ? "%.0f calls failed, and not for a limit: look with generate"
                                                : "%.0f rows failed: the server does not take so many calls",
                           lost);
    return CFB_OK;
}

cfb_code tune_run(tune_sweep *s, const tune_point *p, tune_measured *m, cfb_err *err) {
    struct line l = {.n = 0};
    char out[PATH_MAX + 32];
    cfb_buf text = CFB_BUF_INIT(MAX_OUTPUT);
    word(&l, "cfbench");
    snprintf(out, sizeof out, "%s/run%llu", s->scratch, (unsigned long long)s->n_runs++);
    if (s->kind == TUNE_SCORE)
        score_line(s, p, &l);
    else if (s->kind == TUNE_EMBED)
        embed_line(s, p, out, &l);
    else
        client_line(s, p, out, &l);
    *m = (tune_measured){0};
    int64_t begin_ns = cfb_cli_stage_begin(), begun_ns = cfb_now_ns();
    cfb_code rc = run_child(s, p, &l, &text, err);
    m->wall_s = (double)(cfb_now_ns() - begun_ns) * 1e-9;
    cfb_cli_stage_end("run", begin_ns);
    if (rc == CFB_OK) rc = read_measured(s, cfb_buf_str(&text), m, err);
    if (s->kind == TUNE_EMBED)
        unlink(out);
    else if (s->kind != TUNE_SCORE)
        tune_remove_folder(out);
    cfb_buf_free(&text);
    return rc;
}

cfb_code tune_measure(void *ctx, size_t i, double *rate, cfb_err *err) {
    tune_sweep *s = ctx;
    tune_measured m;
    cfb_code rc = tune_run(s, &s->points[i], &m, err);
    if (rc != CFB_OK) return rc;
    *rate = m.work / m.seconds * (s->kind == TUNE_SCORE ? 1e-6 : 1);
    return CFB_OK;
}

cfb_code tune_try_texts(tune_sweep *s, double *tokens, double *seconds, cfb_err *err) {
    const tune_point all = {.threads = cfb_cpu_count()};
    tune_measured m;
    cfb_code rc = tune_run(s, &all, &m, err);
    if (rc == CFB_OK) {
        *tokens = m.work;
        *seconds = m.seconds;
    }
    return rc;
}
