/* What a person at a terminal sees and does while a command runs: signals, log lines, progress. */
#include "cli/cli.h"

#include <errno.h>
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
    pthread_mutex_lock(&stderr_lock);
    erase_drawn();
    fprintf(stderr, "cfbench: %s%s\n", names[level], line);
    pthread_mutex_unlock(&stderr_lock);
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

bool cfb_cli_use_color(const cfb_config *c, FILE *f) {
    if (c->color && strcmp(c->color, "always") == 0) return true;
    if (c->color && strcmp(c->color, "never") == 0) return false;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* ---- progress ---- */

enum mode { MODE_OFF, MODE_LOG, MODE_BAR };

struct cfb_cli_progress {
    enum mode mode;
    cfb_progress *p;
    int64_t start_ns;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

static enum mode choose_mode(const cfb_config *c) {
    const char *want = c->progress ? c->progress : "auto", *term = getenv("TERM");
    if (c->quiet || strcmp(want, "off") == 0) return MODE_OFF;
    if (strcmp(want, "bar") == 0) return MODE_BAR;
    if (strcmp(want, "log") == 0) return MODE_LOG;
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 ? MODE_BAR : MODE_LOG;
}

static void format_left(double seconds, char out[24]) {
    if (!(seconds >= 0 && seconds < 3e6))
        snprintf(out, 24, "--");
    else if (seconds < 100)
        snprintf(out, 24, "%.0fs", seconds);
    else if (seconds < 6000)
        snprintf(out, 24, "%.0fm", seconds / 60);
    else
        snprintf(out, 24, "%.1fh", seconds / 3600);
}

struct counts {
    size_t total, before, done, failed, retries;
};

static struct counts read_counts(const cfb_task_progress *t) {
    return (struct counts){t->total, t->done_before, atomic_load(&t->done), atomic_load(&t->failed), atomic_load(&t->retries)};
}

static void print_counts(const char *name, struct counts n, double elapsed_s, bool bar) {
    char left[24];
    size_t settled = n.before + n.done + n.failed;
    double rate = elapsed_s > 0 ? (double)(n.done + n.failed) / elapsed_s : 0;
    format_left(settled >= n.total ? 0 : rate > 0 ? (double)(n.total - settled) / rate : -1, left);
    if (bar) {
        const int width = 24;
        int full = n.total ? (int)((double)settled / (double)n.total * width) : width;
        fprintf(stderr, "%-18.18s [", name);
        for (int i = 0; i < width; i++) fputc(i < full ? '#' : '.', stderr);
        fprintf(stderr, "] ");
    } else {
        fprintf(stderr, "%s ", name);
    }
    fprintf(stderr, "%zu/%zu done, %zu failed, %zu retries, %.1f/s, %s left\n", n.before + n.done, n.total, n.failed, n.retries,
            rate, left);
}

static void draw(struct cfb_cli_progress *d, bool last) {
    if (!atomic_load(&d->p->ready)) return;
    double elapsed_s = (double)(cfb_now_ns() - d->start_ns) * 1e-9;
    struct counts sum = {0};
    pthread_mutex_lock(&stderr_lock);
    if (d->mode == MODE_BAR) erase_drawn();
    for (size_t i = 0; i < d->p->n_tasks; i++) {
        struct counts n = read_counts(&d->p->tasks[i]);
        sum.total += n.total;
        sum.before += n.before;
        sum.done += n.done;
        sum.failed += n.failed;
        sum.retries += n.retries;
        if (d->mode == MODE_BAR) {
            print_counts(d->p->tasks[i].name, n, elapsed_s, true);
            lines_drawn++;
        }
    }
    char name[64];
    snprintf(name, sizeof name,
             d->mode == MODE_BAR ? "all (%d/%d up)" : "progress: all (%d of %d in flight):", atomic_load(&d->p->in_flight),
             atomic_load(&d->p->limit));
    print_counts(name, sum, elapsed_s, d->mode == MODE_BAR);
    if (d->mode == MODE_BAR) lines_drawn++;
    if (last) lines_drawn = 0;
    fflush(stderr);
    pthread_mutex_unlock(&stderr_lock);
}

static void *draw_loop(void *ctx) {
    struct cfb_cli_progress *d = ctx;
    const int64_t period_ns = d->mode == MODE_BAR ? 250000000 : 10000000000;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t ns = until.tv_nsec + period_ns;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&d->wake, &d->lock, &until);
        if (!d->stopping) draw(d, false);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

cfb_cli_progress_t *cfb_cli_progress_start(const cfb_config *c, cfb_progress *p) {
    enum mode mode = choose_mode(c);
    cfb_cli_progress_t *d = mode == MODE_OFF ? NULL : calloc(1, sizeof *d);
    if (d == NULL) return NULL;
    d->mode = mode;
    d->p = p;
    d->start_ns = cfb_now_ns();
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    if (pthread_create(&d->thread, NULL, draw_loop, d) != 0) { /* a display is not worth failing for */
        free(d);
        return NULL;
    }
    return d;
}

void cfb_cli_progress_stop(cfb_cli_progress_t *d) {
    if (d == NULL) return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    draw(d, true);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->wake);
    free(d);
}
