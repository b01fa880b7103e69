/* What a person at a terminal sees and does while a command runs: signals, log lines. Progress: progress.c. */
#include "cfbench/trace.h"
#include "cli/cli.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

cfb_stop cfb_cli_stop, cfb_cli_abort;
static bool announce_stop;

/* A batch system's signal may come twice at once: to the job's script, which hands it on, and to every process of the job. That
 * is one wish, while a person who presses Ctrl-C again means it. */
#define SAME_WISH_NS 2000000000

static void on_signal(int sig) {
    static atomic_llong first_ns;
    long long none = 0, now = cfb_now_ns();
    bool again = !atomic_compare_exchange_strong(&first_ns, &none, now);
    if (again && (sig == SIGINT || now - none > SAME_WISH_NS)) cfb_stop_set(&cfb_cli_abort);
    cfb_stop_set(&cfb_cli_stop);
    static const char first[] = "\ncfbench: stopping: waiting for calls under way (again to give them up)\n";
    if (announce_stop && !again) (void)!write(STDERR_FILENO, first, sizeof first - 1);
}

static const int job_signals[] = {SIGUSR1, SIGUSR2,
                                  SIGXCPU}; /* Slurm, if it is asked to; LSF, Grid Engine; a limit of CPU time */

void cfb_cli_catch_signals(bool announce) {
    struct sigaction a = {0};
    announce_stop = announce;
    a.sa_handler = on_signal;
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    /* what batch systems send before the end of a job's time, or to make room for another one */
    for (size_t i = 0; i < sizeof job_signals / sizeof *job_signals; i++) sigaction(job_signals[i], &a, NULL);
}

void cfb_cli_release_signals(void) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    for (size_t i = 0; i < sizeof job_signals / sizeof *job_signals; i++) signal(job_signals[i], SIG_DFL);
}

/* One lock for everything that goes to standard error, so that log lines and the progress display do not mix. */
static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t lines_drawn;

static void erase_drawn(void) {
    for (; lines_drawn > 0; lines_drawn--) fputs("\x1b[1A\x1b[2K", stderr);
}

void cfb_cli_stderr_begin(void) {
    pthread_mutex_lock(&stderr_lock);
    erase_drawn();
}

void cfb_cli_stderr_end(size_t n_drawn) {
    lines_drawn = n_drawn;
    fflush(stderr);
    pthread_mutex_unlock(&stderr_lock);
}

static FILE *log_file;
static cfb_log_level stderr_level;

static void write_log(const char *prefix, const char *line) {
    char now[24];
    int64_t ms = cfb_wall_ms();
    cfb_format_utc(ms, now);
    fprintf(log_file, "%.19s.%03dZ %s%s\n", now, (int)(ms % 1000), prefix, line);
}

static void log_line(void *ctx, cfb_log_level level, const char *line) {
    static const char *const names[] = {"error: ", "warning: ", "", ""};
    (void)ctx;
    if (log_file) write_log(names[level], line);
    if (level > stderr_level) return;
    cfb_cli_stderr_begin();
    fprintf(stderr, "cfbench: %s%s\n", names[level], line);
    cfb_cli_stderr_end(0);
}

void cfb_cli_log_to_stderr(const cfb_config *c) {
    stderr_level = c && c->verbose ? CFB_LOG_DEBUG : c && c->quiet ? CFB_LOG_WARN : CFB_LOG_INFO;
    cfb_log_set(log_line, NULL, stderr_level);
}

cfb_code cfb_cli_log_to_file(const cfb_config *c, cfb_err *err) {
    if (c->log_file == NULL) return CFB_OK;
    log_file = fopen(c->log_file, "ae");
    if (log_file == NULL) return cfb_err_set_errno(err, errno, "--log: cannot write %s", c->log_file);
    setvbuf(log_file, NULL, _IOLBF, 0);
    cfb_log_set(log_line, NULL, CFB_LOG_DEBUG);
    return CFB_OK;
}

void cfb_cli_log_end(const char *message) {
    if (log_file == NULL) return;
    cfb_log_set(log_line, NULL, stderr_level);
    write_log(message ? "error: " : "", message ? message : "end");
    fclose(log_file);
    log_file = NULL;
}

cfb_report_language cfb_cli_language(const cfb_config *c) {
    return c->language && strcmp(c->language, "zh") == 0 ? CFB_REPORT_ZH : CFB_REPORT_EN;
}

bool cfb_cli_use_color(const cfb_config *c, FILE *f) {
    if (c->color && strcmp(c->color, "always") == 0) return true;
    if (c->color && strcmp(c->color, "never") == 0) return false;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int64_t cfb_cli_stage_begin(void) { return cfb_trace_on() ? cfb_now_ns() : 0; }

void cfb_cli_stage_end(const char *name, int64_t begin_ns) {
    if (cfb_trace_on()) cfb_trace_span("stage", name, CFB_TRACE_HERE, begin_ns, cfb_now_ns(), NULL, 0);
}
