/* speed.h - what was measured while rows were scored, and what it says about what held scoring up. */
#ifndef CFBENCH_SPEED_H
#define CFBENCH_SPEED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cfb_speed {
    double wall_s, cpu_s;
    int threads, cores;         /* asked for; this process may use */
    uint64_t bytes, text_bytes; /* of files as they lie on the disk; after decompression */
    uint64_t disk_bytes;        /* that came from a disk, not from the page cache */
    double waited_s;            /* of all threads, ready to run, for a core; negative: unknown */
    uint64_t throttled;         /* how often a CPU quota stopped the process, */
    double throttled_s;         /* and for how long: over all cores */
    const char *gzip_file;      /* a large gzip file that was read, or NULL */
} cfb_speed;

/* Runs shorter than this are not judged: what takes no time needs no remedy. */
#define CFB_SPEED_FROM_S 2.0
#define CFB_SPEED_REMARKS 5 /* at most */
#define CFB_SPEED_REMARK_BYTES 320

/* Fills in one line for each thing that made scoring slower than this machine allows, with the remedy; returns how many.
 * One cause is named once: a quota is not also called another process, nor either of them a slow disk. Pure. */
size_t cfb_speed_remarks(const cfb_speed *s, char out[CFB_SPEED_REMARKS][CFB_SPEED_REMARK_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
