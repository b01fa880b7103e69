/* The body of a reply, as servers really write it. */
#include "cfbench/client.h"
#include "cfbench/json.h"

#include <stdio.h>

/* One line, cut at a whole character, for messages. */
static void set_message(cfb_chat_reply *r, cfb_str text) {
    cfb_err e = CFB_ERR_INIT;
    size_t n = text.len < 200 ? text.len : 200;
    while (n > 0 && n < text.len && ((unsigned char)text.ptr[n] & 0xC0) == 0x80) n--;
    cfb_err_set(&e, CFB_OK, "%.*s", (int)n, text.ptr ? text.ptr : "");
    snprintf(r->message, sizeof r->message, "%.250s", e.msg);
}

/* {"error": {"message": ..., "code": ...}}, {"error": "..."} or {"message": "..."}. */
static bool read_error(const cfb_json *root, cfb_chat_reply *r) {
    const cfb_json *e = cfb_json_get(root, "error");
    if (e == NULL || cfb_json_kind_of(e) == CFB_JSON_NULL) return false;
    cfb_str text = cfb_json_str(e);
    if (text.ptr == NULL) text = cfb_json_str(cfb_json_get(e, "message"));
    set_message(r, text.len ? text : CFB_STR_LIT("the server answered an error without a message"));
    int64_t code;
    if (r->http_status < 400 && cfb_json_int(cfb_json_get(e, "code"), &code) && code >= 400 && code < 600)
        r->http_status = (long)code; /* some gateways wrap an upstream error in a 200 */
    return true;
}

/* Content is a string, null, or a list of parts of which those of type text count. */
static cfb_code read_content(const cfb_json *content, cfb_buf *scratch, cfb_chat_reply *r, bool *ok, cfb_err *err) {
    cfb_buf_clear(scratch);
    cfb_code rc = cfb_buf_reserve(scratch, 0, err);
    *ok = true;
    switch (cfb_json_kind_of(content)) {
    case CFB_JSON_NULL: break;
    case CFB_JSON_STRING:
        if (rc == CFB_OK) rc = cfb_buf_append_str(scratch, cfb_json_str(content), err);
        break;
    case CFB_JSON_ARRAY:
        for (const cfb_json *p = cfb_json_first(content); p && rc == CFB_OK; p = cfb_json_next(p)) {
            cfb_str type = cfb_json_str(cfb_json_get(p, "type")), text = cfb_json_str(cfb_json_get(p, "text"));
            bool is_text = type.ptr == NULL || cfb_str_eqz(type, "text") || cfb_str_eqz(type, "output_text");
            if (cfb_json_kind_of(p) == CFB_JSON_STRING) text = cfb_json_str(p);
            if (text.ptr && is_text) rc = cfb_buf_append_str(scratch, text, err);
        }
        break;
    default: *ok = false;
    }
    r->content = cfb_buf_str(scratch);
    return rc;
}

static cfb_finish finish_of(cfb_str reason) {
    if (reason.ptr == NULL || cfb_str_eqz(reason, "stop")) return CFB_FINISH_STOP;
    if (cfb_str_eqz(reason, "length")) return CFB_FINISH_LENGTH;
    if (cfb_str_eqz(reason, "content_filter")) return CFB_FINISH_FILTER;
    return CFB_FINISH_OTHER;
}

static cfb_fail bad_reply(cfb_chat_reply *r, const char *what) {
    set_message(r, cfb_str_from(what));
    return CFB_FAIL_BAD_REPLY;
}

cfb_code cfb_client_parse_reply(cfb_str body, cfb_buf *scratch, cfb_chat_reply *r, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_err json_err = CFB_ERR_INIT;
    r->prompt_tokens = r->completion_tokens = -1;
    r->content = CFB_STR_LIT("");
    r->finish = CFB_FINISH_OTHER;
    cfb_code rc = cfb_json_parse(body.ptr, body.len, CFB_JSON_REPAIR, &root, &json_err);
    if (rc == CFB_ENOMEM) {
        if (err) *err = json_err;
        return rc;
    }
    if (rc != CFB_OK) {
        size_t skip = 0;
        while (skip < body.len && strchr(" \t\r\n", body.ptr[skip])) skip++;
        bool html = skip < body.len && body.ptr[skip] == '<';
        char what[200];
        snprintf(what, sizeof what, "the server answered %s instead of JSON (%.120s)", html ? "HTML" : "something", json_err.msg);
        r->fail = bad_reply(r, what);
        return CFB_OK;
    }
    rc = CFB_OK;
    const cfb_json *choice = cfb_json_first(cfb_json_get(root, "choices"));
    const cfb_json *message = cfb_json_get(choice, "message");
    bool ok = false;
    if (cfb_json_kind_of(message) != CFB_JSON_OBJECT) {
        r->fail = read_error(root, r) ? CFB_FAIL_SERVER : bad_reply(r, "the server's JSON has no choices[0].message");
    } else { /* an answer counts, whatever stands beside it */
        rc = read_content(cfb_json_get(message, "content"), scratch, r, &ok, err);
        r->fail = ok ? CFB_FAIL_NONE : bad_reply(r, "choices[0].message.content is neither text nor null");
        r->finish = finish_of(cfb_json_str(cfb_json_get(choice, "finish_reason")));
        const cfb_json *usage = cfb_json_get(root, "usage");
        cfb_json_int(cfb_json_get(usage, "prompt_tokens"), &r->prompt_tokens);
        cfb_json_int(cfb_json_get(usage, "completion_tokens"), &r->completion_tokens);
    }
    cfb_json_free(root);
    return rc;
}

bool cfb_client__read_error_body(cfb_str body, cfb_chat_reply *r);

/* The message of an HTTP error: the API's own words if it is JSON, else the beginning of the body. True if the prompt was refused
 * by the server's content filter (Azure says so with a 400): that is an answer of its kind, not a failure. */
bool cfb_client__read_error_body(cfb_str body, cfb_chat_reply *r) {
    cfb_json *root = NULL;
    bool filtered = false;
    if (cfb_json_parse(body.ptr ? body.ptr : "", body.len, CFB_JSON_REPAIR, &root, NULL) == CFB_OK) {
        cfb_str plain = cfb_json_str(cfb_json_get(root, "message"));
        if (!read_error(root, r)) set_message(r, plain.ptr ? plain : body);
        cfb_str code = cfb_json_str(cfb_json_get(cfb_json_get(root, "error"), "code"));
        filtered = r->http_status == 400 && code.ptr && cfb_str_eqz(code, "content_filter");
    } else {
        set_message(r, body);
    }
    cfb_json_free(root);
    if (filtered) {
        r->fail = CFB_FAIL_NONE;
        r->finish = CFB_FINISH_FILTER;
        r->content = CFB_STR_LIT("");
    }
    return filtered;
}
