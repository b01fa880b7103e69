/* Price files of any bytes: no crash; what was accepted has prices within their range, and costs that neither overflow nor are
 * negative. */
#include "cfbench/price.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cfb_prices_t *p = NULL;
    const cfb_price *m;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_prices_parse("fuzz.json", (cfb_str){(const char *)data, size}, &p, &err) != CFB_OK) {
        if (err.msg[0] == '\0') abort();
        return 0;
    }
    if (cfb_prices_require(p, "m", &m, &err) == CFB_OK) {
        if (m->input < 0 || m->output < 0 || m->cached_input < 0 || m->currency[0] == '\0') abort();
        for (int64_t n = 1; n > 0 && n < INT64_MAX / 7; n *= 7)
            if (cfb_price_cost(m, n, n / 3, n) < 0) abort();
        if (cfb_price_cost(m, INT64_MAX, INT64_MAX, INT64_MAX) < 0) abort();
    } else if (err.msg[0] == '\0') {
        abort();
    }
    cfb_prices_free(p);
    return 0;
}
