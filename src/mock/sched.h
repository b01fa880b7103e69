/* sched.h - one thread that resumes suspended connections when they are due. */
#ifndef CFB_MOCK_SCHED_H
#define CFB_MOCK_SCHED_H

#include "cfbench/base.h"

struct MHD_Connection;
typedef struct cfb_mock__sched cfb_mock__sched;

CFB_MUST_CHECK cfb_code cfb_mock__sched_start(cfb_mock__sched **out, cfb_err *err);
/* Suspends the connection and resumes it at due_ns (CLOCK_MONOTONIC, rounded up a little so that many wake together).
 * watch_fd >= 0: also resumes early when the client has closed that socket. To be called from the connection's own
 * handler. false: the scheduler stops or memory is out, and the connection was not suspended. */
bool cfb_mock__sched_suspend(cfb_mock__sched *s, struct MHD_Connection *conn, int64_t due_ns, int watch_fd);
/* Resumes everything and ends the thread; later suspends are refused. */
void cfb_mock__sched_stop(cfb_mock__sched *s);
void cfb_mock__sched_free(cfb_mock__sched *s); /* after cfb_mock__sched_stop and the end of the daemon; NULL is fine */

/* The peer has closed its side of the connection. */
bool cfb_mock__client_gone(int fd);

#endif
