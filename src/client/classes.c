#include "cfbench/client.h"

static const struct {
    const char *name, *remedy;
    bool retried, stops;
} fails[] = {
#define CFB_X(NAME, name, retried, stops, remedy) {name, remedy, retried, stops},
    CFB_FAIL_MAP(CFB_X)
#undef CFB_X
};

const char *cfb_fail_name(cfb_fail f) { return fails[f].name; }
const char *cfb_fail_remedy(cfb_fail f) { return fails[f].remedy; }
bool cfb_fail_is_retried(cfb_fail f) { return fails[f].retried; }
bool cfb_fail_stops_run(cfb_fail f) { return fails[f].stops; }

const char *cfb_finish_name(cfb_finish f) {
    static const char *const names[] = {"stop", "length", "content_filter", "other"};
    return names[f];
}
