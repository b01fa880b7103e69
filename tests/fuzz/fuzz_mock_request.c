/* Requests to the mock model: heads, chunks, bodies. The first byte chooses; what was accepted must hold. */
#include "mock/http.h"
#include "mock/multipart.h"
#include "mock/replies.h"
#include "mock/request.h"
#include "mock/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

/* What the quick scan accepts, the full parser must accept, with the same result. */
static void fuzz_scan(cfb_str body) {
    cfb_mock__chat quick = {.text = CFB_BUF_INIT(SIZE_MAX / 4)}, full;
    const char *param = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock__scan_chat(body, &quick)) {
        check(cfb_mock__chat_parse_full(body, &full, &param, &err) == CFB_OK);
        check(cfb_str_eq(quick.model, full.model) && cfb_str_eq(quick.prompt, full.prompt));
        check(quick.n_prompt_tokens == full.n_prompt_tokens && quick.max_tokens == full.max_tokens);
        check(quick.has_temperature == full.has_temperature && quick.stream == full.stream);
        check(memcmp(&quick.temperature, &full.temperature, sizeof(double)) == 0 || quick.temperature == full.temperature);
        cfb_mock__chat_free(&full);
    }
    cfb_mock__chat_free(&quick);
}

static void fuzz_chat(cfb_str body) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock__chat_parse(body, &req, &param, &err) == CFB_OK) {
        check(req.model.len > 0 && req.max_tokens >= 0);
        size_t n = cfb_mock__count(req.prompt);
        check(n <= req.n_prompt_tokens && cfb_mock__count(cfb_mock__prefix(req.prompt, n / 2)) == n / 2);
        cfb_buf out = CFB_BUF_INIT((size_t)64 << 20);
        cfb_mock__completion c = {.profile = cfb_mock__profile_of(NULL),
                                  .model = req.model,
                                  .content = req.prompt,
                                  .finish_reason = CFB_STR_LIT("stop"),
                                  .id = "0123456789abcdef",
                                  .prompt_tokens = req.n_prompt_tokens};
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
    if (cfb_mock__embed_parse(body, CFB_MOCK__EMBED_DIM, &req, &param, &err) == CFB_OK) {
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

/* A head is never found in less than itself, and chunks give what they hold. */
static void fuzz_http(cfb_str data) {
    cfb_mock__head head;
    int status = cfb_mock__head_parse(data, &head);
    if (status != 200) return;
    check(head.len <= data.len && head.len <= CFB_MOCK__MAX_HEAD && head.method.len > 0 && head.path.len > 0);
    cfb_mock__head again;
    check(cfb_mock__head_parse((cfb_str){data.ptr, head.len}, &again) == 200 && again.len == head.len);
    cfb_str body = {data.ptr + head.len, data.len - head.len};
    size_t total = 0, content = 0;
    if (cfb_mock__chunks_scan(body, &total, &content) != 200) return;
    check(total <= body.len && content <= total);
    char *copy = malloc(content + 1);
    check(copy != NULL);
    copy[content] = 'x';
    cfb_mock__chunks_join((cfb_str){body.ptr, total}, copy);
    check(copy[content] == 'x');
    free(copy);
}

/* Parts lie in the body, one behind the other. */
static void fuzz_multipart(cfb_str body) {
    cfb_mock__part parts[CFB_MOCK__MAX_PARTS];
    size_t n = 0;
    if (!cfb_mock__multipart(CFB_STR_LIT("multipart/form-data; boundary=b"), body, parts, &n)) return;
    const char *at = body.ptr;
    for (size_t i = 0; i < n; i++) {
        check(parts[i].name.ptr != NULL && parts[i].data.ptr >= at);
        at = parts[i].data.ptr + parts[i].data.len;
        check(at <= body.ptr + body.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    cfb_str body = {(const char *)data + 1, size - 1};
    if (data[0] == 'e') {
        fuzz_embed(body);
    } else if (data[0] == 'h') {
        fuzz_http(body);
    } else if (data[0] == 'm') {
        fuzz_multipart(body);
    } else {
        fuzz_chat(body);
        fuzz_scan(body);
    }
    return 0;
}
