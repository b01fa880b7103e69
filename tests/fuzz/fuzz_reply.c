/* What a server sends: the quick way and the tree give the same, repaired text is valid UTF-8, and a failure has a message.
 * Each input is read as an error's body too. */
#include "client/reading.h"
#include "cfbench/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const cfb_chat_reply *r) {
    if (cfb_utf8_find_invalid(r->content) != SIZE_MAX || cfb_utf8_find_invalid(cfb_str_from(r->message)) != SIZE_MAX) abort();
    if (r->reasoning.ptr && cfb_utf8_find_invalid(r->reasoning) != SIZE_MAX) abort();
    if (r->fail != CFB_FAIL_NONE && r->message[0] == '\0') abort();
}

static bool same(cfb_str a, cfb_str b) { return (a.ptr == NULL) == (b.ptr == NULL) && cfb_str_eq(a, b); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cfb_buf scratch = CFB_BUF_INIT((size_t)1 << 20), other = CFB_BUF_INIT((size_t)1 << 20);
    cfb_str body = {(const char *)data, size};
    cfb_chat_reply r, t;
    cfb_err err = CFB_ERR_INIT;
    cfb_chat_reply_init(&r);
    r.http_status = 200;
    t = r;
    cfb_code rc = cfb_client_parse_reply(body, &scratch, &r, &err);
    if (rc != cfb_client__parse_reply_by_tree(body, &other, &t, &err)) abort();
    if (rc == CFB_OK) {
        check(&r);
        if (r.fail != t.fail || r.finish != t.finish || r.http_status != t.http_status || !same(r.content, t.content) ||
            !same(r.reasoning, t.reasoning) || r.prompt_tokens != t.prompt_tokens || r.completion_tokens != t.completion_tokens ||
            r.reasoning_tokens != t.reasoning_tokens || r.cached_tokens != t.cached_tokens || r.refused != t.refused ||
            strcmp(r.message, t.message) != 0)
            abort();
    }
    static const long statuses[] = {400, 403, 422, 429, 500};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        cfb_chat_reply_init(&r);
        r.http_status = statuses[i];
        cfb_client__read_error_reply(body, &r);
        check(&r);
    }
    cfb_buf_free(&scratch);
    cfb_buf_free(&other);
    return 0;
}
