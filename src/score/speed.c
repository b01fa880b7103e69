/* What held scoring up, from what was measured. */
#include "cfbench/speed.h"

#include <stdbool.h>
#include <stdio.h>

#define MB 1e-6

static char *next_remark(char out[][CFB_SPEED_REMARK_BYTES], size_t *n) { return out[(*n)++]; }

size_t cfb_speed_remarks(const cfb_speed *s, char out[CFB_SPEED_REMARKS][CFB_SPEED_REMARK_BYTES]) {
    const size_t size = CFB_SPEED_REMARK_BYTES;
    size_t n = 0;
    if (s->threads > s->cores)
        snprintf(next_remark(out, &n), size, "--threads %d on %d cores: threads take turns; leave it out, or say --threads %d",
                 s->threads, s->cores, s->cores);
    if (s->wall_s < CFB_SPEED_FROM_S) return n;
    double busy = s->cpu_s / s->wall_s;
    int useful = s->threads < s->cores ? s->threads : s->cores;
    bool quota = s->throttled > 0 && s->throttled_s > 0.05 * s->wall_s;
    bool pushed = !quota && busy < 0.7 * useful && s->waited_s > 0.2 * s->wall_s * useful;
    bool idle = !quota && !pushed && s->cpu_s > 0;
    if (quota)
        snprintf(next_remark(out, &n), size,
                 "the cgroup's CPU quota stopped this process %llu times, %.1f s in all; use fewer --threads or ask for a larger "
                 "quota",
                 (unsigned long long)s->throttled, s->throttled_s);
    if (pushed)
        snprintf(
            next_remark(out, &n), size,
            "other processes took the cores: %d threads waited %.1f s for one, and %.1f were busy; run fewer jobs at once, or "
            "say fewer --threads",
            s->threads, s->waited_s, busy);
    double could = idle ? (double)s->text_bytes / s->cpu_s * useful * MB : 0;
    if (idle && s->disk_bytes > s->bytes / 2 && busy < 0.6 * useful)
        snprintf(
            next_remark(out, &n), size,
            "the disk gave %.0f MB/s, while scoring could take %.0f MB/s: compressed files (zstd) or a faster disk would help",
            (double)s->disk_bytes / s->wall_s * MB, could);
    else if (idle && busy < 0.5) /* one thread that unpacks would be busier */
        snprintf(
            next_remark(out, &n), size,
            "the input came at %.1f MB/s, while scoring could take %.0f MB/s: what writes it, or the way from there, is slow",
            (double)s->bytes / s->wall_s * MB, could);
    if (s->gzip_file && s->cores > 1)
        snprintf(next_remark(out, &n), size,
                 "%.80s: a gzip file can be unpacked by one thread only, which took most of the time; zstd unpacks several times "
                 "as fast, and plain files are read by all threads",
                 s->gzip_file);
    return n;
}
