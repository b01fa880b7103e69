/* fails.c - what is known of each class of failure, from the list in client.h, and the class of an HTTP status. */
#include "client/internal.h"

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

/* RFC 9110, sections 15.4 to 15.6. 402 is how DeepSeek and OpenRouter say that the credit is used up, 529 how Anthropic and
 * some gateways say that they are overloaded. 405 and 410 come from servers that have something else at this address. */
cfb_fail cfb_client__class_of_status(long status) {
    switch (status) {
    case 401:
    case 403:
    case 407: return CFB_FAIL_AUTH;
    case 402: return CFB_FAIL_PAYMENT;
    case 404:
    case 405:
    case 410: return CFB_FAIL_NOT_FOUND;
    case 408:
    case 409:
    case 425: return CFB_FAIL_SERVER;
    case 413: return CFB_FAIL_TOO_LARGE;
    case 429: return CFB_FAIL_RATE_LIMIT;
    case 503:
    case 529: return CFB_FAIL_OVERLOADED;
    default: break;
    }
    if (status >= 500) return CFB_FAIL_SERVER;
    if (status >= 400) return CFB_FAIL_BAD_REQUEST;
    return status >= 300 ? CFB_FAIL_NOT_FOUND : CFB_FAIL_BAD_REPLY; /* a redirect: the API is elsewhere */
}
