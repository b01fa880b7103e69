/* Any line as a client's or the limiter's word: refused, or within its bounds, and written again it reads the same. */
#include "cluster/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char line[CFB_WIRE_LINE], again[CFB_WIRE_LINE];
    const int64_t now = INT64_C(2000000000000000000);
    if (size >= sizeof line) return 0;
    if (size) memcpy(line, data, size);
    line[size] = '\0';
    cfb_hub_event events[CFB_HUB_EVENTS], back[CFB_HUB_EVENTS];
    cfb_hub_ask a, b;
    if (cfb_wire_get_ask(line, now, &a, events)) {
        if (a.n_events > CFB_HUB_EVENTS || a.n_starts < 0 || a.want < 0 || !(a.tokens >= 0)) abort();
        cfb_wire_put_ask(&a, now, again);
        if (!cfb_wire_get_ask(again, now, &b, back) || b.n_starts != a.n_starts || b.n_events != a.n_events ||
            b.tokens != a.tokens)
            abort();
        static cfb_hub h;
        const cfb_limits limits = {0.001, 100, 5000};
        cfb_hub_grant g;
        cfb_hub_init(&h, &limits, 50, true, now - 1000000000);
        int m = cfb_hub_join(&h, now);
        for (int i = 0; i < 3; i++) cfb_hub_exchange(&h, m, now + i, &a, &g);
        if (g.in_flight > 50 || g.n_starts > a.n_starts) abort();
    }
    cfb_hub_grant g, k;
    int64_t theirs, same;
    if (cfb_wire_get_grant(line, &g, &theirs)) {
        cfb_wire_put_grant(&g, theirs, again);
        if (!cfb_wire_get_grant(again, &k, &same) || same != theirs || k.first_ns != g.first_ns) abort();
    }
    return 0;
}
