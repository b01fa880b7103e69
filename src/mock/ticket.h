/* ticket.h - what is remembered of a request from its head until its reply has left. */
#ifndef CFB_MOCK_TICKET_H
#define CFB_MOCK_TICKET_H

#include <stdbool.h>
#include <stdint.h>

struct cfb_mock__entry;

typedef struct cfb_mock__ticket {
    int64_t arrival_ns, in_flight; /* in flight on arrival, this one included */
    struct cfb_mock__entry *entry; /* of the prompt, or NULL */
    uint64_t try_no;
    int route, method, fault, status;
    uint32_t tokens_in, tokens_out;
    bool counted;  /* in the statistics: not the mock's own addresses */
    bool admitted; /* holds one of the places under --mock-max-inflight */
    bool good;     /* a faultless answer to a prompt */
} cfb_mock__ticket;

#endif
