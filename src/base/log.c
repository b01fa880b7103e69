#include "cfbench/base.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static cfb_log_fn log_fn;
static void *log_ctx;
static cfb_log_level log_max = CFB_LOG_WARN;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void cfb_log_set(cfb_log_fn fn, void *ctx, cfb_log_level max_level) {
    log_fn = fn;
    log_ctx = ctx;
    log_max = max_level;
}

bool cfb_log_enabled(cfb_log_level level) { return log_fn != NULL && level <= log_max; }

void cfb_log(cfb_log_level level, const char *fmt, ...) {
    if (!cfb_log_enabled(level)) return;
    char line[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    for (char *p = line; *p; p++) /* what a server or a file said must not steer the terminal */
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = ' ';
    pthread_mutex_lock(&log_lock);
    log_fn(log_ctx, level, line);
    pthread_mutex_unlock(&log_lock);
}
