/* Bodies of chat and embedding requests to the mock model. The first byte chooses; what was accepted must hold. */
#include "mock/replies.h"
#include "mock/request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

static void fuzz_chat(cfb_str body) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock__chat_parse(body, &req, &param, &err) == CFB_OK) {
        check(req.model.len > 0 && req.max_tokens >= 0);
        cfb_str prompt = cfb_buf_str(&req.prompt);
        size_t n = cfb_mock__count(prompt);
        check(n <= req.n_prompt_tokens && cfb_mock__count(cfb_mock__prefix(prompt, n / 2)) == n / 2);
        cfb_buf out = CFB_BUF_INIT((size_t)64 << 20);
        cfb_mock__completion c = {req.model, prompt, CFB_STR_LIT("stop"), "0123456789abcdef", 0, req.n_prompt_tokens};
        check(cfb_mock__write_chat(&c, &out, &err) == CFB_OK);
        check(cfb_json_check(out.ptr, out.len, 0, &err) == CFB_OK);
        cfb_buf_free(&out);
    } else {
        check(err.msg[0] != '\0');
    }
    cfb_mock__chat_free(&req);
}

static void fuzz_embed(cfb_str body) {
    cfb_mock__embed req;
    const char *param = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock__embed_parse(body, &req, &param, &err) == CFB_OK) {
        check(req.n_texts > 0 && req.dim > 0 && req.n_tokens >= req.n_texts);
        cfb_buf out = CFB_BUF_INIT((size_t)512 << 20);
        if (req.n_texts * (size_t)req.dim < 10000) {
            check(cfb_mock__write_embeddings(&req, &out, &err) == CFB_OK);
            check(cfb_json_check(out.ptr, out.len, 0, &err) == CFB_OK);
        }
        cfb_buf_free(&out);
    } else {
        check(err.msg[0] != '\0');
    }
    cfb_mock__embed_free(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    cfb_str body = {(const char *)data + 1, size - 1};
    if (data[0] == 'e')
        fuzz_embed(body);
    else
        fuzz_chat(body);
    return 0;
}
