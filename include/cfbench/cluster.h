/* cluster.h - one run as many processes: shards of its rows, what a batch system says about the job, and the hub that shares one
 * pace among them. Knows nothing of HTTP, of stores, or of MPI. */
#ifndef CFBENCH_CLUSTER_H
#define CFBENCH_CLUSTER_H

#include "cfbench/base.h"
#include "cfbench/pace.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- jobenv.c: the job that this process is part of ---- */

/* What Slurm, PBS, LSF or Grid Engine say in the environment. Numbers that are not known: -1 for an index, 0 for a count. */
typedef struct cfb_jobenv {
    const char *scheduler;            /* "slurm", "pbs", "lsf", "sge"; NULL: no job */
    const char *job_id;               /* borrowed from the environment, as all texts here; NULL if unknown */
    int64_t array_index, array_count; /* task of a job array, from 0 */
    int64_t proc_index, proc_count;   /* process of a parallel step (srun), from 0 */
    int64_t cpus;                     /* for this process */
    int64_t restarts;                 /* how often the job was requeued */
    int64_t end_wall_ms;              /* Unix time at which the job is ended; 0 = unknown */
    const char *scratch;              /* folder for temporary files of this job; NULL = none is named */
} cfb_jobenv;
void cfb_jobenv_read(cfb_jobenv *out);

/* ---- shard.c ---- */

typedef struct cfb_shard {
    int64_t index, count; /* 0 <= index < count; count 0: the whole */
} cfb_shard;
#define CFB_SHARDS_MAX 1000000

/* "3/8", or "auto": the place in the job's array, times the place in its step. EUSAGE says what is wrong, or what the job does
 * not say. */
CFB_MUST_CHECK cfb_code cfb_shard_parse(const char *text, const cfb_jobenv *env, cfb_shard *out, cfb_err *err);
/* Which of count shards has the row with this id: the same on every machine and in every version. Shards differ in size by chance
 * alone, and a larger count takes rows away from the old shards only for the new ones.
 * Source: jump consistent hashing, Lamping and Veach 2014, arXiv:1406.2294, of FNV-1a (64 bit) of task, NUL, id. count >= 1.
 * Pure. */
int64_t cfb_shard_of(int64_t count, cfb_str task, cfb_str id);
/* "shard-0003-of-0008": the folder of a shard's run. buf holds 48 bytes. */
void cfb_shard_folder(cfb_shard s, char buf[48]);
/* The reverse. False: not such a name. */
bool cfb_shard_folder_parse(const char *name, cfb_shard *out);

/* ---- limiter_server.c, limiter_client.c: one pace for processes of many machines, over TCP ---- */

typedef struct cfb_limiter_opts {
    const char *listen; /* "HOST:PORT" (port 0: any free one), "[::1]:PORT", or "unix:PATH" */
    const char *token;  /* what clients must know; at least 8 bytes */
    cfb_limits limits;
    int in_flight; /* over all clients; 0 = no limit */
    bool adaptive; /* in_flight follows what the server takes well */
} cfb_limiter_opts;
typedef struct cfb_limiter_server cfb_limiter_server_t;
/* Listens. Errors: ECONFIG (address, token), EACCESS, EIO. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_limiter_server_open(const cfb_limiter_opts *o, cfb_limiter_server_t **out, cfb_err *err);
const char *cfb_limiter_server_address(const cfb_limiter_server_t *s); /* as a client gives it; borrowed */
/* Serves in this thread until stop is on. Clients that go give back what they had. */
CFB_MUST_CHECK cfb_code cfb_limiter_server_run(cfb_limiter_server_t *s, cfb_stop *stop, cfb_err *err);
typedef struct cfb_limiter_counts {
    uint64_t clients, refused, granted, lost, exchanges;
} cfb_limiter_counts;
cfb_limiter_counts cfb_limiter_server_counts(const cfb_limiter_server_t *s);
void cfb_limiter_server_close(cfb_limiter_server_t *s); /* NULL is fine */

/* A client: a thread that keeps a few starts at hand. Errors: ENET (nobody there), EAUTH (token). Owns: *out. */
typedef struct cfb_member cfb_member_t;
CFB_MUST_CHECK cfb_code cfb_limiter_join(const char *address, const char *token, cfb_member_t **out, cfb_err *err);
const cfb_pace_source *cfb_member_source(cfb_member_t *m); /* borrowed */
void cfb_member_leave(cfb_member_t *m);                    /* ends the thread; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
