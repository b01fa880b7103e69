/* member.h - one process's side of a shared pace: what it has at hand, and the thread that gets more. */
#ifndef CFB_CLUSTER_MEMBER_H
#define CFB_CLUSTER_MEMBER_H

#include "cluster/hub.h"

/* The way to the hub. exchange: as cfb_hub_exchange, with all times on this machine's clock (cfb_now_ns); it may wait. After an
 * error it is called again; a code other than ENET ends the member. close frees ctx. */
typedef struct cfb_member_way {
    void *ctx;
    cfb_code (*exchange)(void *ctx, const cfb_hub_ask *ask, cfb_hub_grant *out, cfb_err *err);
    void (*close)(void *ctx);
} cfb_member_way;
/* Owns: *out; way is closed in every case. patience_s: how long the hub may be gone. */
CFB_MUST_CHECK cfb_code cfb_member_new(const cfb_member_way *way, double patience_s, cfb_member_t **out, cfb_err *err);

#endif
