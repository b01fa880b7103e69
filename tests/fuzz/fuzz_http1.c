/* A response of any bytes: any split of them gives the same state, the same body and the same headers, and a failure has words.
 * The first two bytes say how the rest is split. */
#include "client/http1.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct got {
    cfb_buf body, headers;
};

static void on_header(void *ctx, cfb_str line) {
    struct got *g = ctx;
    if (cfb_buf_append_str(&g->headers, line, NULL) != CFB_OK || cfb_buf_append_char(&g->headers, '\n', NULL) != CFB_OK) abort();
}

static bool on_body(void *ctx, const char *text, size_t n) {
    struct got *g = ctx;
    return cfb_buf_append(&g->body, text, n, NULL) == CFB_OK;
}

static size_t run(cfb_http1 *h, struct got *g, cfb_str text, size_t step, size_t grow) {
    static const cfb_http1_sink sink = {on_header, on_body};
    size_t at = 0, total = 0;
    while (at < text.len && h->state < CFB_HTTP1_DONE) {
        size_t n = step < text.len - at ? step : text.len - at, used;
        cfb_http1_feed(h, (cfb_str){text.ptr + at, n}, &sink, g, &used);
        if (used > n || (used < n && h->state < CFB_HTTP1_DONE)) abort();
        total = at + used;
        at += n;
        step = (step * 7 + grow) % 97 + 1;
    }
    if (h->state < CFB_HTTP1_DONE) cfb_http1_end(h);
    if (h->state == CFB_HTTP1_BAD && h->why == NULL) abort();
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    cfb_str text = {(const char *)data + 2, size - 2};
    struct got one = {CFB_BUF_INIT((size_t)1 << 20), CFB_BUF_INIT((size_t)1 << 22)}, parts = one;
    cfb_http1 a, b;
    cfb_http1_init(&a);
    cfb_http1_init(&b);
    size_t n = run(&a, &one, text, text.len, 0), m = run(&b, &parts, text, (size_t)data[0] % 64 + 1, data[1]);
    if (a.state != b.state || a.status != b.status || !cfb_str_eq(cfb_buf_str(&one.headers), cfb_buf_str(&parts.headers)))
        abort();
    if (a.state == CFB_HTTP1_DONE &&
        (n != m || a.keep != b.keep || !cfb_str_eq(cfb_buf_str(&one.body), cfb_buf_str(&parts.body))))
        abort();
    cfb_http1_free(&a);
    cfb_http1_free(&b);
    cfb_buf_free(&one.body);
    cfb_buf_free(&one.headers);
    cfb_buf_free(&parts.body);
    cfb_buf_free(&parts.headers);
    return 0;
}
