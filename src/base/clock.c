#include "cfbench/base.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

int64_t cfb_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t cfb_wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void cfb_sleep_until_ns(int64_t due_ns, cfb_stop *stop) {
    const int64_t slice_ns = 50 * 1000000;
    for (;;) {
        if (cfb_stop_is_on(stop)) return;
        int64_t now = cfb_now_ns();
        if (now >= due_ns) return;
        int64_t until = stop != NULL && due_ns - now > slice_ns ? now + slice_ns : due_ns;
        struct timespec t = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
            if (cfb_stop_is_on(stop)) return;
    }
}

void cfb_format_utc(int64_t wall_ms, char buf[24]) {
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    if (strftime(buf, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) buf[0] = '\0';
}
