/* What a person at a terminal sees and does while a command runs: signals, log lines. Progress: progress.c. */
#include "cli/cli.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

cfb_stop cfb_cli_stop, cfb_cli_abort;
static bool announce_stop;

static void on_signal(int sig) {
    (void)sig;
    if (cfb_stop_is_on(&cfb_cli_stop)) cfb_stop_set(&cfb_cli_abort);
    cfb_stop_set(&cfb_cli_stop);
    static const char first[] = "\ncfbench: stopping: waiting for calls under way (again to give them up)\n";
    if (announce_stop && !cfb_stop_is_on(&cfb_cli_abort)) (void)!write(STDERR_FILENO, first, sizeof first - 1);
}

void cfb_cli_catch_signals(bool announce) {
    struct sigaction a = {0};
    announce_stop = announce;
    a.sa_handler = on_signal;
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL); /* what clusters send before the end of a job's time, if they are asked to */
}

void cfb_cli_release_signals(void) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
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

static void log_line(void *ctx, cfb_log_level level, const char *line) {
    static const char *const names[] = {"error: ", "warning: ", "", ""};
    (void)ctx;
    cfb_cli_stderr_begin();
    fprintf(stderr, "cfbench: %s%s\n", names[level], line);
    cfb_cli_stderr_end(0);
}

void cfb_cli_log_to_stderr(const cfb_config *c) {
    cfb_log_set(log_line, NULL, c && c->verbose ? CFB_LOG_DEBUG : c && c->quiet ? CFB_LOG_WARN : CFB_LOG_INFO);
}

bool cfb_cli_use_color(const cfb_config *c, FILE *f) {
    if (c->color && strcmp(c->color, "always") == 0) return true;
    if (c->color && strcmp(c->color, "never") == 0) return false;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}
