/* wire.h - what limiter and clients say to each other: lines of text over a stream socket.
 *
 *   server: cfbench-limiter 1 NONCE
 *   client: join HEX                      HEX: SHA-256 of (NONCE, token): the token itself never travels
 *   server: ok                            or: no REASON, and the end
 *   client: ask STARTS TOKENS SETTLE PAUSE LOST IN_USE HELD WANT N [SIGNAL,AGO_STARTED,AGO_ENDED,IN_FLIGHT]...     (N of these)
 *   server: grant STARTS FIRST STEP IN_FLIGHT PAUSED NOW
 *
 * Times in ns; FIRST, PAUSED and NOW on the server's clock, AGO_... before the line was sent. A line has CFB_WIRE_LINE bytes at
 * most. */
#ifndef CFB_CLUSTER_WIRE_H
#define CFB_CLUSTER_WIRE_H

#include "cluster/hub.h"

#define CFB_WIRE_LINE 8192
#define CFB_WIRE_HELLO "cfbench-limiter 1 "
#define CFB_WIRE_TOKEN_MIN 8

/* A listening socket; name: the address with the real port. Errors: ECONFIG, EACCESS, EIO. */
CFB_MUST_CHECK cfb_code cfb_wire_listen(const char *address, int *fd, char *name, size_t size, cfb_err *err);
void cfb_wire_unlisten(const char *name);
/* A connected socket; reads and writes wait 5 s at most. Errors: ECONFIG, ENET. */
CFB_MUST_CHECK cfb_code cfb_wire_connect(const char *address, int *fd, cfb_err *err);

/* wire.c: lines to structs and back. Without '\n'. */
void cfb_wire_proof(const char *nonce, const char *token, char hex[65]);
bool cfb_wire_same(const char *a, const char *b); /* takes as long for any two texts of one length */
size_t cfb_wire_put_ask(const cfb_hub_ask *a, int64_t now_ns, char line[CFB_WIRE_LINE]);
/* events (CFB_HUB_EVENTS) are filled. False: not such a line. */
bool cfb_wire_get_ask(const char *line, int64_t now_ns, cfb_hub_ask *out, cfb_hub_event *events);
size_t cfb_wire_put_grant(const cfb_hub_grant *g, int64_t now_ns, char line[CFB_WIRE_LINE]);
bool cfb_wire_get_grant(const char *line, cfb_hub_grant *out, int64_t *now_ns);

#endif
