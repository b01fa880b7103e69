/* hub.h - one pace for many processes, as plain data: whoever holds it (a coordinator's process, a window of MPI) lets members
 * exchange with it. No pointers inside: it may be copied as bytes between processes of one program on like machines. */
#ifndef CFB_CLUSTER_HUB_H
#define CFB_CLUSTER_HUB_H

#include "cfbench/cluster.h"
#include "cfbench/pace.h"

#define CFB_HUB_MEMBERS 1024
#define CFB_HUB_EVENTS 64
#define CFB_HUB_SILENT_NS 10000000000 /* what a member had counts as ended when it was silent for so long */

typedef struct cfb_hub_member {
    int64_t seen_ns;                             /* last exchange; 0: nobody */
    int32_t in_use, want, granted, before, held; /* before: the grant before */
} cfb_hub_member;

typedef struct cfb_hub {
    cfb_limits limits;
    double next_call_ns, next_token_ns; /* NaN before the first */
    int64_t paused_until_ns;
    uint64_t n_granted, n_lost, n_exchanges;
    double lost_left; /* lost starts that were not made up for */
    bool is_adaptive;
    int32_t in_flight; /* over all members; 0: no limit */
    int32_t n_members;
    cfb_adaptive adaptive;
    cfb_hub_member members[CFB_HUB_MEMBERS];
} cfb_hub;

typedef struct cfb_hub_event { /* a call that ended */
    cfb_signal signal;
    int in_flight; /* of its process, when it started */
    int64_t started_ns, ended_ns;
} cfb_hub_event;

typedef struct cfb_hub_ask {
    int n_starts;         /* wanted; 0: none */
    double tokens;        /* of each, about */
    double settle_tokens; /* what earlier starts really took, less what was estimated */
    double pause_s;       /* > 0: a server asked for it */
    int n_lost;           /* starts that were granted and came too late to be used */
    int in_use, want;     /* calls under way; calls that could be */
    int held;             /* the limit of calls that the member keeps to now: an older grant, or the newest */
    const cfb_hub_event *events;
    size_t n_events;
} cfb_hub_ask;

typedef struct cfb_hub_grant {
    int n_starts;
    int64_t first_ns, step_ns; /* on the hub's clock */
    int64_t paused_until_ns;
    int in_flight; /* calls that the member may have under way; INT32_MAX: no limit */
} cfb_hub_grant;

void cfb_hub_init(cfb_hub *h, const cfb_limits *limits, int in_flight, bool adaptive, int64_t now_ns);
/* A place for a new member, or -1: there is none. */
int cfb_hub_join(cfb_hub *h, int64_t now_ns);
/* Its calls count as ended, and what it was granted goes to others. */
void cfb_hub_leave(cfb_hub *h, int member);
/* One step of a member. Starts are evenly spaced on one grid for all members; a block lasts CFB_HUB_BLOCK_S at most. Pure but for
 * *h: the caller sees to it that one at a time is in it. */
#define CFB_HUB_BLOCK_S 0.005
void cfb_hub_exchange(cfb_hub *h, int member, int64_t now_ns, const cfb_hub_ask *ask, cfb_hub_grant *out);

#endif
