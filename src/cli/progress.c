/* The progress display: a line for each task, one for all and one on the pace, redrawn on a terminal; a plain line now and then
 * elsewhere. */
#include "cli/cli.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_NAME 24 /* columns */
#define N_MOMENTS 32
#define MOMENT_NS 1000000000
#define WINDOW_NS ((int64_t)30 * 1000000000)

enum mode { MODE_OFF, MODE_LOG, MODE_BAR };

struct counts {
    size_t total, before, done, failed, retries;
};

/* What was done when: rates are of the last half minute, because the pace of a run changes. */
struct moment {
    int64_t at_ns;
    size_t settled;
    long long tokens;
};

struct cfb_cli_progress {
    enum mode mode;
    cfb_progress *p; /* or: */
    const cfb_cli_bytes *bytes;
    bool drawn; /* of bytes */
    const char *currency;
    int64_t start_ns;
    struct moment moments[N_MOMENTS]; /* a ring */
    size_t n_moments;
    cfb_buf line;
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

/* The terminal's size; 0 where there is none. */
static void terminal_size(size_t *columns, size_t *lines) {
    struct winsize size = {0};
    *columns = *lines = 0;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return;
    *columns = size.ws_col;
    *lines = size.ws_row;
}

/* ---- numbers ---- */

static void format_left(double seconds, char out[24]) {
    if (!(seconds >= 0 && seconds < 3e6))
        snprintf(out, 24, "--");
    else if (seconds < 99.5)
        snprintf(out, 24, "%.0fs", seconds);
    else if (seconds < 5970)
        snprintf(out, 24, "%.0fm", seconds / 60);
    else
        snprintf(out, 24, "%.1fh", seconds / 3600);
}

static struct counts read_counts(const cfb_task_progress *t) {
    return (struct counts){t->total, t->done_before, atomic_load(&t->done), atomic_load(&t->failed), atomic_load(&t->retries)};
}

static struct counts sum_counts(const cfb_progress *p) {
    struct counts sum = {0};
    for (size_t i = 0; i < p->n_tasks; i++) {
        struct counts n = read_counts(&p->tasks[i]);
        sum.total += n.total;
        sum.before += n.before;
        sum.done += n.done;
        sum.failed += n.failed;
        sum.retries += n.retries;
    }
    return sum;
}

struct pace {
    double rows_per_s, tokens_per_s;
};

/* Of the last half minute; of the whole at the end. */
static struct pace measure(struct cfb_cli_progress *d, size_t settled, bool last) {
    int64_t now = cfb_now_ns();
    struct moment then = {d->start_ns, 0, 0}, newest = {now, settled, atomic_load(&d->p->completion_tokens)};
    size_t n = d->n_moments, kept = n < N_MOMENTS ? n : N_MOMENTS;
    for (size_t i = 1; i <= kept && !last; i++) { /* the newest first */
        if (i > 1 && now - d->moments[(n - i) % N_MOMENTS].at_ns > WINDOW_NS) break;
        then = d->moments[(n - i) % N_MOMENTS];
    }
    if (n == 0 || now - d->moments[(n - 1) % N_MOMENTS].at_ns >= MOMENT_NS) d->moments[d->n_moments++ % N_MOMENTS] = newest;
    if (now - then.at_ns < MOMENT_NS / 2) then = (struct moment){d->start_ns, 0, 0};
    double s = (double)(now - then.at_ns) * 1e-9;
    if (!(s > 0)) return (struct pace){0, 0};
    return (struct pace){(double)(settled - then.settled) / s, (double)(newest.tokens - then.tokens) / s};
}

/* ---- lines ---- */

/* Errors cannot be helped: a display is not worth failing for. */
static void put(cfb_buf *line, const char *fmt, ...) CFB_PRINTF(2, 3);
static void put(cfb_buf *line, const char *fmt, ...) {
    char text[160];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0) (void)!cfb_buf_append(line, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, NULL);
}

static void write_line(struct cfb_cli_progress *d, size_t columns) {
    cfb_buf cut = CFB_BUF_INIT(1 << 12);
    /* a line that the terminal breaks could not be taken away again */
    if (cfb_display_fit(cfb_buf_str(&d->line), columns > 1 ? columns - 1 : 400, false, &cut, NULL) == CFB_OK)
        fprintf(stderr, "%.*s\n", (int)cut.len, cut.ptr ? cut.ptr : "");
    cfb_buf_free(&cut);
    cfb_buf_clear(&d->line);
}

static void put_bar(cfb_buf *line, struct counts n, int width) {
    size_t settled = n.before + n.done + n.failed;
    int full = n.total ? (int)((double)settled / (double)n.total * width) : width;
    put(line, " [");
    for (int i = 0; i < width; i++) (void)!cfb_buf_append_char(line, i < full ? '#' : '.', NULL);
    put(line, "]");
}

static void put_counts(cfb_buf *line, struct counts n, double rows_per_s, bool left) {
    char time[24];
    size_t settled = n.before + n.done + n.failed;
    put(line, " %zu/%zu done, %zu failed, %zu %s, %.1f/s", n.before + n.done, n.total, n.failed, n.retries,
        n.retries == 1 ? "retry" : "retries", rows_per_s);
    if (!left) return;
    format_left(settled >= n.total ? 0 : rows_per_s > 0 ? (double)(n.total - settled) / rows_per_s : -1, time);
    put(line, ", %s left", time);
}

static void put_pace(struct cfb_cli_progress *d, struct pace pace) {
    cfb_progress *p = d->p;
    int phase = atomic_load(&p->phase);
    long long cost = atomic_load(&p->cost);
    put(&d->line, "in flight %d of %d", atomic_load(&p->in_flight), atomic_load(&p->limit));
    if (phase >= 0) put(&d->line, " (%s)", cfb_adaptive_phase_name((cfb_adaptive_phase)phase));
    put(&d->line, ", %zu refused", atomic_load(&p->refused));
    if (atomic_load(&p->completion_tokens) > 0) put(&d->line, ", %.0f tokens/s", pace.tokens_per_s);
    if (d->currency) put(&d->line, ", cost %.*f %s", cost < 1000000 ? 6 : 2, (double)cost / 1e6, d->currency);
}

/* ---- drawing ---- */

static size_t name_width(const cfb_progress *p) {
    size_t widest = 3; /* "all" */
    for (size_t i = 0; i < p->n_tasks; i++) {
        size_t w = cfb_display_width(cfb_str_from(p->tasks[i].name));
        if (w > widest) widest = w;
    }
    return widest < MAX_NAME ? widest : MAX_NAME;
}

static void draw_task(struct cfb_cli_progress *d, const char *name, struct counts n, double rows_per_s, bool left,
                      size_t columns) {
    (void)!cfb_display_fit(cfb_str_from(name), name_width(d->p), true, &d->line, NULL);
    put_bar(&d->line, n, columns == 0 || columns >= 100 ? 24 : columns >= 72 ? 12 : 6);
    put_counts(&d->line, n, rows_per_s, left);
    write_line(d, columns);
}

/* More tasks than the terminal has lines: those under way and to come. Returns the lines drawn. */
static size_t draw_bars(struct cfb_cli_progress *d, struct counts sum, struct pace pace) {
    size_t columns, lines, drawn = 0;
    terminal_size(&columns, &lines);
    size_t most = lines > 6 ? lines - 4 : lines > 0 ? 2 : d->p->n_tasks, skip = d->p->n_tasks > most ? d->p->n_tasks - most : 0;
    double elapsed_s = (double)(cfb_now_ns() - d->start_ns) * 1e-9;
    for (size_t i = 0; i < d->p->n_tasks && drawn < most; i++) {
        struct counts n = read_counts(&d->p->tasks[i]);
        if (skip > 0 && n.before + n.done + n.failed >= n.total) {
            skip--;
            continue;
        }
        draw_task(d, d->p->tasks[i].name, n, elapsed_s > 0 ? (double)(n.done + n.failed) / elapsed_s : 0, false, columns);
        drawn++;
    }
    draw_task(d, "all", sum, pace.rows_per_s, true, columns);
    put_pace(d, pace);
    write_line(d, columns);
    return drawn + 2;
}

static void draw(struct cfb_cli_progress *d, bool last) {
    if (!atomic_load(&d->p->ready)) return;
    struct counts sum = sum_counts(d->p);
    struct pace pace = measure(d, sum.done + sum.failed, last);
    size_t drawn = 0;
    cfb_cli_stderr_begin();
    if (d->mode == MODE_BAR) {
        drawn = draw_bars(d, sum, pace);
    } else {
        put(&d->line, "progress:");
        put_counts(&d->line, sum, pace.rows_per_s, true);
        put(&d->line, "; ");
        put_pace(d, pace);
        write_line(d, 0);
    }
    cfb_cli_stderr_end(last ? 0 : drawn);
}

/* ---- reading files ---- */

/* "1.5 GB": powers of 1000, as disks and networks count. */
static void format_bytes(double n, char out[24]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int i = 0;
    while (n >= 999.5 && i < 5) {
        n /= 1000;
        i++;
    }
    snprintf(out, 24, i == 0 || n >= 99.95 ? "%.0f %s" : "%.1f %s", n, units[i]);
}

static void draw_bytes(struct cfb_cli_progress *d) {
    const cfb_cli_bytes *b = d->bytes;
    double elapsed_s = (double)(cfb_now_ns() - d->start_ns) * 1e-9;
    double done = (double)(atomic_load(&b->meter->bytes_done) + atomic_load(&b->done)), total = (double)b->total;
    unsigned long long rows = atomic_load(&b->meter->rows_done);
    double rate = elapsed_s > 0 ? done / elapsed_s : 0;
    char done_text[24], total_text[24], rate_text[24], left[24], files[64] = "";
    format_bytes(done, done_text);
    format_bytes(total, total_text);
    format_bytes(rate, rate_text);
    format_left(total > 0 && rate > 0 ? (total > done ? (total - done) / rate : 0) : -1, left);
    if (b->n_sources > 1)
        snprintf(files, sizeof files, ", %zu of %zu sources done", atomic_load(&b->n_sources_done), b->n_sources);
    cfb_cli_stderr_begin();
    if (d->mode == MODE_BAR) {
        const int width = 24;
        int full = total > 0 ? (int)(done < total ? done / total * width : width) : 0;
        fputs("reading [", stderr);
        for (int i = 0; i < width; i++) fputc(i < full ? '#' : '.', stderr);
        fputs("] ", stderr);
    } else {
        fputs("progress: ", stderr);
    }
    fprintf(stderr, "%s%s%s, %llu rows, %s/s%s%s%s%s\n", done_text, total > 0 ? " of " : "", total > 0 ? total_text : "", rows,
            rate_text, files, total > 0 ? ", " : "", total > 0 ? left : "", total > 0 ? " left" : "");
    cfb_cli_stderr_end(d->mode == MODE_BAR ? 1 : 0);
    d->drawn = true;
}

/* ---- the thread ---- */

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
        if (!d->stopping && d->bytes) draw_bytes(d);
        if (!d->stopping && d->p) draw(d, false);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static cfb_cli_progress_t *start(const cfb_config *c, cfb_progress *p, const char *currency, const cfb_cli_bytes *bytes) {
    enum mode mode = choose_mode(c);
    cfb_cli_progress_t *d = mode == MODE_OFF ? NULL : calloc(1, sizeof *d);
    if (d == NULL) return NULL;
    d->mode = mode;
    d->p = p;
    d->currency = currency;
    d->bytes = bytes;
    d->start_ns = cfb_now_ns();
    d->line = (cfb_buf)CFB_BUF_INIT(1 << 12);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    if (pthread_create(&d->thread, NULL, draw_loop, d) != 0) { /* a display is not worth failing for */
        free(d);
        return NULL;
    }
    return d;
}

cfb_cli_progress_t *cfb_cli_progress_start(const cfb_config *c, cfb_progress *p, const char *currency) {
    return start(c, p, currency, NULL);
}

cfb_cli_progress_t *cfb_cli_progress_start_bytes(const cfb_config *c, const cfb_cli_bytes *b) { return start(c, NULL, NULL, b); }

/* Reading that is over leaves no bar behind: the results follow. */
static void end_bytes(struct cfb_cli_progress *d) {
    if (d->mode == MODE_LOG && d->drawn) draw_bytes(d);
    cfb_cli_stderr_begin();
    cfb_cli_stderr_end(0);
}

void cfb_cli_progress_stop(cfb_cli_progress_t *d) {
    if (d == NULL) return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    if (d->bytes)
        end_bytes(d);
    else
        draw(d, true);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->wake);
    cfb_buf_free(&d->line);
    free(d);
}
