/* Header lines, one after the other: whatever they hold, hints are "not said" or within their bounds. */
#include "client/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(cfb_str text, cfb_rate_hints *h) {
    size_t pos = 0;
    while (pos < text.len) {
        size_t end = cfb_str_find(text, CFB_STR_LIT("\n"), pos);
        if (end == SIZE_MAX) end = text.len;
        cfb_client__read_header((cfb_str){text.ptr + pos, end - pos}, INT64_C(1792065600000), h);
        pos = end + 1;
    }
}

static void check_wait(double v) {
    if (v != -1 && !(v >= 0 && v <= 86400)) abort();
}

static void check_count(int64_t v) {
    if (v < -1) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cfb_rate_hints h = CFB_RATE_HINTS_INIT;
    cfb_str text = {(const char *)data, size};
    read_all(text, &h);
    check_wait(h.retry_after_s);
    check_wait(h.reset_requests_s);
    check_wait(h.reset_tokens_s);
    check_count(h.limit_requests);
    check_count(h.limit_tokens);
    check_count(h.remaining_requests);
    check_count(h.remaining_tokens);
    return 0;
}
