#include "mock/script.h"

#include "cfbench/base.h"

#define MAX_SCRIPT_BYTES ((size_t)1 << 30)
#define MAX_DELAY_S 3600.0

static cfb_code check_keys(const cfb_json *root, cfb_err *err) {
    static const char *const known[] = {"prompt_sha256", "content", "finish_reason", "status", "delay_s", "task", "row"};
    for (const cfb_json *node = cfb_json_first(root); node != NULL; node = cfb_json_next(node)) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && !cfb_str_eqz(cfb_json_key(node), known[i])) i++;
        if (i == sizeof known / sizeof *known)
            return cfb_err_set(err, CFB_EDATA,
                               "unknown key '%.*s' (known: prompt_sha256, content, finish_reason, status, delay_s, "
                               "task, row)",
                               CFB_STR_ARG(cfb_json_key(node)));
    }
    return CFB_OK;
}

/* A string or null; absent gives null too. */
static cfb_code get_text(const cfb_json *root, const char *key, cfb_str *out, cfb_err *err) {
    const cfb_json *node = cfb_json_get(root, key);
    *out = cfb_json_str(node);
    if (out->ptr == NULL && cfb_json_kind_of(node) != CFB_JSON_NULL)
        return cfb_err_set(err, CFB_EDATA, "%s must be a string, not %s", key, cfb_json_kind_name(node));
    return CFB_OK;
}

static cfb_code read_line(const cfb_json *root, cfb_mock__line *line, cfb_err *err) {
    *line = (cfb_mock__line){.status = 200, .delay_s = -1};
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT)
        return cfb_err_set(err, CFB_EDATA, "a line must be a JSON object, not %s", cfb_json_kind_name(root));
    cfb_code rc = check_keys(root, err);
    if (rc == CFB_OK) rc = get_text(root, "prompt_sha256", &line->sha256, err);
    if (rc == CFB_OK) rc = get_text(root, "content", &line->content, err);
    if (rc == CFB_OK) rc = get_text(root, "finish_reason", &line->finish_reason, err);
    if (rc == CFB_OK) rc = get_text(root, "task", &line->task, err);
    if (rc != CFB_OK) return rc;

    const cfb_json *node = cfb_json_get(root, "status");
    int64_t status = 200;
    if (node != NULL && (!cfb_json_int(node, &status) || status < 200 || status > 599))
        return cfb_err_set(err, CFB_EDATA, "status must be a whole number from 200 to 599");
    line->status = (int)status;
    node = cfb_json_get(root, "delay_s");
    if (node != NULL && (!cfb_json_num(node, &line->delay_s) || line->delay_s < 0 || line->delay_s > MAX_DELAY_S))
        return cfb_err_set(err, CFB_EDATA, "delay_s must be a number from 0 to %g", MAX_DELAY_S);
    if (cfb_json_get(root, "content") == NULL && line->status == 200)
        return cfb_err_set(err, CFB_EDATA, "content is missing (write null for a reply without text)");
    return CFB_OK;
}

cfb_code cfb_mock__script_read(const char *path, cfb_mock__line_fn fn, void *ctx, cfb_err *err) {
    cfb_buf file = CFB_BUF_INIT(MAX_SCRIPT_BYTES + 65536);
    cfb_code rc = cfb_file_read(path, MAX_SCRIPT_BYTES, &file, err);
    size_t line_no = 0;
    for (size_t from = 0; rc == CFB_OK && from < file.len;) {
        size_t end = cfb_str_find(cfb_buf_str(&file), CFB_STR_LIT("\n"), from);
        if (end == SIZE_MAX) end = file.len;
        cfb_str text = {file.ptr + from, end - from};
        from = end + 1;
        line_no++;
        if (text.len > 0 && text.ptr[text.len - 1] == '\r') text.len--;
        if (text.len == 0) continue;
        cfb_json *root = NULL;
        cfb_mock__line line;
        rc = cfb_json_parse(text.ptr, text.len, 0, &root, err);
        if (rc == CFB_OK) rc = read_line(root, &line, err);
        if (rc == CFB_OK) rc = fn(ctx, &line, err);
        if (rc != CFB_OK) rc = cfb_err_add_context(err, "%s:%zu", path, line_no);
        cfb_json_free(root);
    }
    cfb_buf_free(&file);
    return rc;
}
