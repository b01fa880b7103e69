/* team.h - several processes of one program that ask for one run's rows together: rank 0 has the store, the others send it their
 * replies. Only in a build with MPI=1. */
#ifndef CFBENCH_TEAM_H
#define CFBENCH_TEAM_H

#include "cfbench/cluster.h"
#include "cfbench/generate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Was this process started by mpirun, srun --mpi or the like, with others? */
bool cfb_team_is_launched(void);
/* Starts MPI. *rank, *size. Errors: ECONFIG (MPI without threads). Main thread, once. */
CFB_MUST_CHECK cfb_code cfb_team_start(int *argc, char ***argv, int *rank, int *size, cfb_err *err);
/* Ends MPI. If a rank has died, or this one failed where others wait for it, the process (or the whole job) ends here with
 * status. */
void cfb_team_stop(int status);

/* Collective. limits, in_flight (0 = none) and adaptive are those of the whole team: a hub in a window of rank 0, with which each
 * rank exchanges under an exclusive lock; rows are handed out by a counter in another window. Owns: *out. */
CFB_MUST_CHECK cfb_code cfb_team_new(const cfb_limits *limits, int in_flight, bool adaptive, cfb_team_t **out, cfb_err *err);
const cfb_pace_source *cfb_team_source(cfb_team_t *t);
const cfb_team *cfb_team_of(cfb_team_t *t);
size_t cfb_team_n_dead(const cfb_team_t *t); /* rank 0, after the end: ranks that ended without a word */
void cfb_team_free(cfb_team_t *t);           /* collective unless a rank died; NULL is fine */

/* ---- without a team: messages, for other work that ranks share ---- */

/* To rank 0; returns before it has arrived, but waits while many are on their way. Errors: ENOMEM. Any thread, one at a time. */
CFB_MUST_CHECK cfb_code cfb_team_send(const void *data, size_t len, cfb_err *err);
/* Rank 0: waits for the next message of a rank; replaces what is in out. Errors: ENOMEM. Any thread, one at a time. */
CFB_MUST_CHECK cfb_code cfb_team_receive(int from, cfb_buf *out, cfb_err *err);
/* The same without waiting: *there tells whether one has come. */
CFB_MUST_CHECK cfb_code cfb_team_poll(int from, cfb_buf *out, bool *there, cfb_err *err);
/* This rank has nothing more to send or to receive; waits until what it sent has arrived. */
void cfb_team_sent(void);

/* ---- without a team: a board of numbers that all ranks see, in a window of rank 0, all 0 at first ---- */
#define CFB_BOARD_WORDS 16
void cfb_team_board_new(void); /* collective, once; it lasts until cfb_team_stop */
/* Any thread. Each word is read and written as a whole; a write has arrived when the call returns. */
int64_t cfb_team_board_add(int word, int64_t n); /* what was there before */
void cfb_team_board_read(int word, int n, int64_t *out);
void cfb_team_board_write(int word, int n, const int64_t *values);

#ifdef __cplusplus
}
#endif
#endif
