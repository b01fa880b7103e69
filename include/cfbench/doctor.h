/* doctor.h - what this machine will do to a run: facts, and findings with their remedy. */
#ifndef CFBENCH_DOCTOR_H
#define CFBENCH_DOCTOR_H

#include "cfbench/buf.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* FAULT: the run will fail, lose time for sure, or put data at risk. HINT: it could be better; a healthy machine may have some.
 */
typedef enum cfb_finding_level { CFB_FINDING_FAULT, CFB_FINDING_HINT } cfb_finding_level;

typedef struct cfb_finding {
    const char *id; /* stable: "open-files" */
    cfb_finding_level level;
    const char *what, *why, *mend; /* mend: a command, or what to change */
} cfb_finding;

typedef struct cfb_fact {
    const char *group, *name, *text;
    bool is_number;
} cfb_fact;

/* Facts and findings in the order in which they came. Owns all texts. Threads: one at a time. */
typedef struct cfb_doctor cfb_doctor_t;
CFB_MUST_CHECK cfb_code cfb_doctor_new(cfb_doctor_t **out, cfb_err *err);
void cfb_doctor_free(cfb_doctor_t *d); /* NULL is fine */
/* group and name live as long as the program. Without memory they are lost, and cfb_doctor_status says so. */
void cfb_doctor_fact(cfb_doctor_t *d, const char *group, const char *name, const char *fmt, ...) CFB_PRINTF(4, 5);
void cfb_doctor_number(cfb_doctor_t *d, const char *group, const char *name, double v);
/* Texts are copied. id lives as long as the program. */
void cfb_doctor_find(cfb_doctor_t *d, cfb_finding_level level, const char *id, const char *what, const char *why,
                     const char *mend);
/* A text of d's: for what and mend. "" without memory. */
const char *cfb_doctor_text(cfb_doctor_t *d, const char *fmt, ...) CFB_PRINTF(2, 3);
size_t cfb_doctor_facts(const cfb_doctor_t *d, const cfb_fact **out);
size_t cfb_doctor_findings(const cfb_doctor_t *d, const cfb_finding **out);
size_t cfb_doctor_count(const cfb_doctor_t *d, cfb_finding_level level);
CFB_MUST_CHECK cfb_code cfb_doctor_status(const cfb_doctor_t *d, cfb_err *err); /* ENOMEM if something was lost */

/* What a run will want of the machine. */
typedef struct cfb_doctor_want {
    int threads;        /* for scoring */
    int outer, inner;   /* threads that ask; 0 x 0: nothing is asked */
    size_t calls;       /* in flight */
    const char *out;    /* folder of the run; NULL: nothing is written */
    uint64_t out_bytes; /* that the run will write there, about */
    const char *root;   /* "" or a folder that stands for / when /proc and /sys are read: for tests */
} cfb_doctor_want;

/* Processor, cores, cgroup, Slurm job, NUMA, memory, load. */
void cfb_doctor_machine(cfb_doctor_t *d, const cfb_doctor_want *w);
/* OpenMP's settings and what it really gives; stacks; limits of threads and files; BLAS and versions of libraries. Opens parallel
 * regions: call it outside of one, and after cfb_doctor_disk, which forks. */
void cfb_doctor_threads(cfb_doctor_t *d, const cfb_doctor_want *w);
void cfb_doctor_libraries(cfb_doctor_t *d, const cfb_doctor_want *w);
/* The file system of out: can it be written, room, kind, locks, how long a commit takes. Writes and removes one small file. */
void cfb_doctor_disk(cfb_doctor_t *d, const cfb_doctor_want *w);

#ifdef __cplusplus
}
#endif
#endif
