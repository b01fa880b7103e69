/* tune_runs.c - the grid, and one run of one point: a process of its own, so that nothing is left over from the one before. */
#include "cfbench/json.h"
#include "cli/tune.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define MAX_OUTPUT ((size_t)16 << 20)

const char *tune_kind_name(tune_kind k) { return k == TUNE_SCORE ? "score" : "client"; }
const char *tune_unit(tune_kind k) { return k == TUNE_SCORE ? "MB/s" : "calls/s"; }

/* ---- the grid ---- */

static void add(tune_sweep *s, tune_point p, double effort) {
    if (s->n == TUNE_POINTS_MAX) return;
    s->points[s->n] = p;
    s->effort[s->n++] = effort;
}

static void score_points(tune_sweep *s) {
    static const int memory[] = {0, 64};
    int cores = cfb_cpu_count(), threads[16], n = 0;
    for (int t = 1; t < cores && n < 12; t *= 2) threads[n++] = t;
    threads[n++] = cores;
    if (cfb_has_openmp()) threads[n++] = 2 * cores; /* shows what too many cost */
    for (int i = 0; i < n; i++)
        for (int m = 0; m < 2; m++)
            for (int bound = 0; bound < (cfb_has_openmp() && threads[i] > 1 && threads[i] <= cores ? 2 : 1); bound++)
                add(s,
                    (tune_point){.threads = threads[i],
                                 .memory = memory[m],
                                 .variable = bound ? "OMP_PROC_BIND" : NULL,
                                 .value = bound ? "spread" : NULL},
                    threads[i] + 0.1 * m + 0.2 * bound);
}

static void client_points(tune_sweep *s) {
    static const int in_flight[] = {16, 64, 256, 1024}, each[] = {0, 16, 256};
    int most = s->c->in_flight > 0 ? (int)s->c->in_flight : 1024;
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++)
            if (in_flight[i] <= most && each[k] <= in_flight[i] && (each[k] == 0 || in_flight[i] / each[k] <= 64))
                add(s, (tune_point){.in_flight = in_flight[i], .calls_per_thread = each[k]}, in_flight[i] + 0.1 * (double)k);
}

void tune_make_points(tune_sweep *s) {
    s->n = 0;
    if (s->kind == TUNE_SCORE)
        score_points(s);
    else
        client_points(s);
}

void tune_describe(const tune_sweep *s, size_t i, char *buf, size_t size) {
    const tune_point *p = &s->points[i];
    char more[64] = "";
    if (s->kind == TUNE_SCORE) {
        if (p->memory) snprintf(more, sizeof more, " --memory %d", p->memory);
        snprintf(buf, size, "%s%s%s%s--threads %d%s", p->variable ? p->variable : "", p->variable ? "=" : "",
                 p->variable ? p->value : "", p->variable ? " " : "", p->threads, more);
    } else {
        if (p->calls_per_thread) snprintf(more, sizeof more, " --calls-per-thread %d", p->calls_per_thread);
        snprintf(buf, size, "--in-flight %d%s", p->in_flight, more);
    }
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

static void number(struct line *l, const char *option, long long v) {
    int n = snprintf(l->texts + l->used, sizeof l->texts - l->used, "%lld", v);
    word(l, option);
    word(l, l->texts + l->used);
    l->used += (size_t)n + 1;
}

static void score_line(const tune_sweep *s, const tune_point *p, struct line *l) {
    word(l, "score");
    number(l, "--threads", p->threads);
    if (p->memory) number(l, "--memory", p->memory);
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

static void client_line(const tune_sweep *s, const tune_point *p, const char *out, struct line *l) {
    const cfb_config *c = s->c;
    word(l, "generate");
    number(l, "--in-flight", p->in_flight);
    if (p->calls_per_thread) number(l, "--calls-per-thread", p->calls_per_thread);
    const char *const options[] = {"--suite",
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
                                   "--no-adaptive"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) word(l, options[i]);
    if (s->url && c->data) word(l, "--data"), word(l, c->data);
    if (s->url && c->tasks) word(l, "--tasks"), word(l, c->tasks);
    if (s->url && c->api_key_file) word(l, "--api-key-file"), word(l, c->api_key_file);
    size_t rows = (size_t)p->in_flight * 8;
    number(l, "--limit", (long long)(rows < 200 ? 200 : rows));
}

/* Variables of this process but those that would change what is measured, and the point's own. */
static char **make_environment(const tune_point *p, char *own, size_t own_size) {
    size_t n = 0, k = 0;
    while (environ[n] != NULL) n++;
    char **list = malloc((n + 2) * sizeof *list);
    if (list == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "CFBENCH_", 8) != 0 || strncmp(environ[i], "CFBENCH_SUITE_PATH=", 19) == 0 ||
            strncmp(environ[i], "CFBENCH_HEADERS=", 16) == 0 || strncmp(environ[i], "CFBENCH_API_KEY=", 16) == 0)
            list[k++] = environ[i];
    if (p->variable) {
        snprintf(own, own_size, "%s=%s", p->variable, p->value);
        list[k++] = own;
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
    char own[128], words[128], log[PATH_MAX + 16];
    posix_spawn_file_actions_t a;
    pid_t child;
    char **env = make_environment(p, own, sizeof own);
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
    if (rc != CFB_OK || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return rc;
    last_line(log, words);
    return cfb_err_set(err, CFB_ECONFIG, "%s", words[0] ? words : "cfbench ended with an error");
}

static cfb_code read_rate(const tune_sweep *s, cfb_str json, double *rate, cfb_err *err) {
    cfb_json *root = NULL;
    double work = 0, seconds = 0, failed = 0;
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    if (rc != CFB_OK) return rc;
    const cfb_json *from = s->kind == TUNE_SCORE ? cfb_json_get(root, "performance") : root;
    bool ok = cfb_json_num(cfb_json_get(from, s->kind == TUNE_SCORE ? "text_bytes" : "answered"), &work) &&
              cfb_json_num(cfb_json_get(from, s->kind == TUNE_SCORE ? "elapsed_s" : "asking_s"), &seconds);
    if (s->kind == TUNE_CLIENT) ok = ok && cfb_json_num(cfb_json_get(from, "failed"), &failed);
    cfb_json_free(root);
    if (!ok || seconds <= 0 || work <= 0) return cfb_err_set(err, CFB_EBUG, "the run did not say how fast it was");
    if (failed > 0) return cfb_err_set(err, CFB_ECONFIG, "%.0f rows failed: the server does not take so many calls", failed);
    *rate = work / seconds * (s->kind == TUNE_SCORE ? 1e-6 : 1);
    return CFB_OK;
}

cfb_code tune_measure(void *ctx, size_t i, double *rate, cfb_err *err) {
    tune_sweep *s = ctx;
    struct line l = {.n = 0};
    char out[PATH_MAX + 32];
    cfb_buf text = CFB_BUF_INIT(MAX_OUTPUT);
    word(&l, "cfbench");
    snprintf(out, sizeof out, "%s/run%llu", s->scratch, (unsigned long long)s->n_runs++);
    if (s->kind == TUNE_SCORE)
        score_line(s, &s->points[i], &l);
    else
        client_line(s, &s->points[i], out, &l);
    int64_t begin_ns = cfb_cli_stage_begin();
    cfb_code rc = run_child(s, &s->points[i], &l, &text, err);
    cfb_cli_stage_end("run", begin_ns);
    if (rc == CFB_OK) rc = read_rate(s, cfb_buf_str(&text), rate, err);
    if (s->kind == TUNE_CLIENT) tune_remove_folder(out);
    cfb_buf_free(&text);
    return rc;
}
