/* A stream of any bytes: any split of them, and the slow way of reading chunks, give the same result; texts are valid UTF-8; a
 * failure has a message. The first two bytes say how the rest is split. */
#include "client/internal.h"
#include "cfbench/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cfb_code run(cfb_sse *s, cfb_str text, size_t step, size_t grow, bool by_tree, cfb_chat_reply *r) {
    cfb_err err = CFB_ERR_INIT;
    cfb_sse_reset(s);
    s->by_tree = by_tree;
    cfb_chat_reply_init(r);
    for (size_t at = 0; at < text.len;) {
        size_t n = step < text.len - at ? step : text.len - at;
        cfb_code rc = cfb_sse_feed(s, (cfb_str){text.ptr + at, n}, &err);
        if (rc != CFB_OK) return rc;
        at += n;
        step = (step * 7 + grow) % 97 + 1;
    }
    return cfb_sse_finish(s, r, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    cfb_str text = {(const char *)data + 2, size - 2};
    cfb_sse a, b;
    cfb_chat_reply ra, rb;
    cfb_sse_init(&a, (size_t)1 << 16);
    cfb_sse_init(&b, (size_t)1 << 16);
    cfb_code rc = run(&a, text, text.len, 0, false, &ra);
    for (int way = 0; way < 3; way++) {
        if (run(&b, text, way == 2 ? text.len : (size_t)data[0] % 64 + 1, data[1], way > 0, &rb) != rc) abort();
        if (rc != CFB_OK) continue;
        if (ra.fail != rb.fail || ra.finish != rb.finish || !cfb_str_eq(ra.content, rb.content) ||
            !cfb_str_eq(ra.reasoning, rb.reasoning) || ra.prompt_tokens != rb.prompt_tokens ||
            ra.completion_tokens != rb.completion_tokens || ra.cached_tokens != rb.cached_tokens ||
            ra.reasoning_tokens != rb.reasoning_tokens || strcmp(ra.message, rb.message) != 0 || a.any_text != b.any_text ||
            a.done != b.done)
            abort();
    }
    if (rc == CFB_OK) {
        if (cfb_utf8_find_invalid(ra.content) != SIZE_MAX || cfb_utf8_find_invalid(cfb_str_from(ra.message)) != SIZE_MAX) abort();
        if (ra.reasoning.ptr && cfb_utf8_find_invalid(ra.reasoning) != SIZE_MAX) abort();
        if (ra.fail != CFB_FAIL_NONE && ra.message[0] == '\0') abort();
    }
    cfb_sse_free(&a);
    cfb_sse_free(&b);
    return 0;
}
