#include "mock/plan.h"

#include "mock/replies.h"

#include <math.h>
#include <stdio.h>

#define MAX_REPLY ((size_t)256 << 20)
#define PI 3.14159265358979323846

cfb_mock__route cfb_mock__route_of(const char *path) {
    if (strcmp(path, "/stats") == 0) return CFB_MOCK__ROUTE_STATS;
    if (strncmp(path, "/v1/", 4) == 0) path += 3;
    if (strcmp(path, "/chat/completions") == 0) return CFB_MOCK__ROUTE_CHAT;
    if (strcmp(path, "/embeddings") == 0) return CFB_MOCK__ROUTE_EMBED;
    if (strcmp(path, "/models") == 0) return CFB_MOCK__ROUTE_MODELS;
    return CFB_MOCK__ROUTE_OTHER;
}

const char *cfb_mock__route_name(cfb_mock__route route) {
    static const char *const names[] = {"other", "chat", "embeddings", "models", "stats"};
    return names[route];
}

/* An error reply, at once: a real server refuses without asking the model. */
static cfb_code refuse(cfb_mock__plan *p, int status, const char *message, const char *param, cfb_err *err) {
    p->status = status;
    p->delay_s = 0;
    return cfb_mock__write_error(status, message, param, &p->body, err);
}

/* A wrong request becomes a 400; other errors are ours. */
static cfb_code refuse_body(cfb_mock__plan *p, const char *param, const cfb_err *why, cfb_err *err) {
    if (why->code != CFB_ENOMEM) return refuse(p, 400, why->msg, param, err);
    if (err != NULL) *err = *why;
    return why->code;
}

static double latency(const cfb_mock__model *m, uint64_t key, uint64_t try_no) {
    if (m->latency_s <= 0 || m->latency_sigma <= 0) return m->latency_s;
    double u = 1 - cfb_mock__draw(m->seed, key, try_no, CFB_MOCK__CHOICE_LATENCY_RADIUS); /* (0, 1] */
    double v = cfb_mock__draw(m->seed, key, try_no, CFB_MOCK__CHOICE_LATENCY_ANGLE);
    double normal = sqrt(-2 * log(u)) * cos(2 * PI * v); /* Box and Muller, 1958 */
    double s = m->latency_s * exp(m->latency_sigma * normal);
    return s < CFB_MOCK__MAX_DELAY_S ? s : CFB_MOCK__MAX_DELAY_S;
}

static bool key_is_right(const cfb_mock__model *m, const char *authorization) {
    if (m->api_key == NULL) return true;
    return authorization != NULL && strncmp(authorization, "Bearer ", 7) == 0 && strcmp(authorization + 7, m->api_key) == 0;
}

/* Limit, try number and fault of a prompt. *go_on is false when the reply is complete (an error). Refusals by the
 * limit are no tries: they hang on the clock, and the draws of later tries must not. */
static cfb_code begin_try(cfb_mock__model *m, const char *sha256, bool is_chat, cfb_mock__plan *p, bool *go_on, cfb_err *err) {
    *go_on = false;
    cfb_code rc = cfb_mock__answers_entry(m->answers, cfb_str_from(sha256), &p->entry, err);
    if (rc != CFB_OK) return rc;
    p->try_no = atomic_load(&p->entry->tries);
    if (!cfb_mock__limit_take(&m->limit, cfb_now_ns(), &p->quota)) {
        p->retry_after_s = p->quota.wait_s;
        return refuse(p, 429, NULL, NULL, err);
    }
    p->try_no = atomic_fetch_add(&p->entry->tries, 1);
    if (is_chat) cfb_mock__trace_ask(&m->trace, p->try_no > 0, atomic_load(&p->entry->answered));
    p->delay_s = latency(m, p->entry->key, p->try_no);
    p->fault = cfb_mock__faults_draw(&m->faults, m->seed, p->entry->key, p->try_no);
    int status = cfb_mock__fault_status(p->fault);
    if (status == 200) {
        *go_on = true;
        return CFB_OK;
    }
    double delay_s = p->delay_s;
    rc = refuse(p, status, NULL, NULL, err);
    if (status >= 500) p->delay_s = delay_s; /* such a server works for a while before it fails */
    if (p->fault == CFB_MOCK__FAULT_429) p->retry_after_s = 1;
    return rc;
}

static void apply_to_text(cfb_mock__fault fault, cfb_mock__completion *c) {
    if (fault == CFB_MOCK__FAULT_EMPTY) {
        c->content = CFB_STR_LIT("");
    } else if (fault == CFB_MOCK__FAULT_LENGTH) {
        c->content = cfb_mock__prefix(c->content, cfb_mock__count(c->content) / 2);
        c->finish_reason = CFB_STR_LIT("length");
    } else if (fault == CFB_MOCK__FAULT_FILTER) {
        c->content = CFB_STR_NULL;
        c->finish_reason = CFB_STR_LIT("content_filter");
    }
}

/* Faults of the body as bytes, and of its way to the client. */
static cfb_code apply_to_body(cfb_mock__plan *p, cfb_err *err) {
    switch (p->fault) {
    case CFB_MOCK__FAULT_SLOW: p->delivery = CFB_MOCK__PIECES; break;
    case CFB_MOCK__FAULT_CUT: p->delivery = CFB_MOCK__CUT; break;
    case CFB_MOCK__FAULT_HANG: p->delay_s = CFB_MOCK__HANG_S; break;
    case CFB_MOCK__FAULT_BADJSON: p->body.len /= 2; break;
    case CFB_MOCK__FAULT_HTML:
        p->content_type = "text/html; charset=utf-8";
        cfb_buf_clear(&p->body);
        return cfb_buf_append_str(
            &p->body, CFB_STR_LIT("<!DOCTYPE html>\n<html><body><h1>This is not the model</h1></body></html>\n"), err);
    default: break;
    }
    return CFB_OK;
}

static bool needs_text(cfb_mock__fault fault) {
    return fault == CFB_MOCK__FAULT_EMPTY || fault == CFB_MOCK__FAULT_LENGTH || fault == CFB_MOCK__FAULT_FILTER;
}

static cfb_code answer_chat(cfb_mock__model *m, const cfb_mock__chat *req, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__answer answer;
    cfb_mock__answers_pick(m->answers, p->entry, m->seed, p->try_no, m->error_rate, &answer);
    if (answer.delay_s >= 0) p->delay_s = answer.delay_s;
    if (answer.status != 200) {
        double delay_s = p->delay_s;
        p->fault = CFB_MOCK__FAULT_NONE; /* the script goes first */
        cfb_code rc = refuse(p, answer.status, answer.content.ptr, NULL, err);
        p->delay_s = delay_s;
        return rc;
    }
    cfb_mock__completion c = {.model = req->model,
                              .content = answer.content,
                              .finish_reason = answer.finish_reason,
                              .id = p->entry->sha256,
                              .try_no = p->try_no,
                              .prompt_tokens = req->n_prompt_tokens};
    char text[64];
    if (!answer.known) {
        snprintf(text, sizeof text, "模拟回答 %.8s", p->entry->sha256);
        c.content = cfb_str_from(text);
    }
    apply_to_text(p->fault, &c);
    size_t limit = req->max_tokens > 0 && req->max_tokens < INT64_C(1) << 40 ? 4 * (size_t)req->max_tokens : SIZE_MAX;
    if (c.content.len > limit && cfb_mock__count(c.content) > limit) {
        c.content = cfb_mock__prefix(c.content, limit);
        c.finish_reason = CFB_STR_LIT("length");
    }
    return cfb_mock__write_chat(&c, &p->body, err);
}

static cfb_code plan_chat(cfb_mock__model *m, cfb_str body, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__chat_parse(body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else {
        char sha256[65];
        cfb_sha256_hex(req.prompt.ptr, req.prompt.len, sha256);
        rc = begin_try(m, sha256, true, p, &go_on, err);
        if (rc == CFB_OK && go_on) rc = answer_chat(m, &req, p, err);
        if (rc == CFB_OK && go_on && p->status == 200) {
            p->good = p->fault == CFB_MOCK__FAULT_NONE || p->fault == CFB_MOCK__FAULT_SLOW;
            rc = apply_to_body(p, err);
        }
    }
    cfb_mock__chat_free(&req);
    return rc;
}

static cfb_code plan_embed(cfb_mock__model *m, cfb_str body, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__embed req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__embed_parse(body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else {
        char sha256[65];
        cfb_sha256_parts_hex(req.texts, req.n_texts, sha256);
        rc = begin_try(m, sha256, false, p, &go_on, err);
        if (needs_text(p->fault)) p->fault = CFB_MOCK__FAULT_NONE;
        if (rc == CFB_OK && go_on) rc = cfb_mock__write_embeddings(&req, &p->body, err);
        if (rc == CFB_OK && go_on) rc = apply_to_body(p, err);
    }
    cfb_mock__embed_free(&req);
    return rc;
}

cfb_code cfb_mock__plan_make(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *out, cfb_err *err) {
    *out = (cfb_mock__plan){
        .status = 200, .content_type = "application/json; charset=utf-8", .body = CFB_BUF_INIT(MAX_REPLY), .retry_after_s = -1};
    bool wants_body = in->route == CFB_MOCK__ROUTE_CHAT || in->route == CFB_MOCK__ROUTE_EMBED;
    if (in->route == CFB_MOCK__ROUTE_OTHER) return refuse(out, 404, NULL, NULL, err);
    if (strcmp(in->method, wants_body ? "POST" : "GET") != 0) {
        out->allow = wants_body ? "POST" : "GET";
        return refuse(out, 405, NULL, NULL, err);
    }
    if (in->route == CFB_MOCK__ROUTE_STATS) return cfb_mock__trace_stats(&m->trace, &out->body, err);
    if (in->too_large) return refuse(out, 413, "the body is larger than 8 MiB", NULL, err);
    if (!key_is_right(m, in->authorization)) return refuse(out, 401, NULL, NULL, err);
    if (in->route == CFB_MOCK__ROUTE_CHAT) return plan_chat(m, in->body, out, err);
    if (in->route == CFB_MOCK__ROUTE_EMBED) return plan_embed(m, in->body, out, err);
    return cfb_mock__write_models(&out->body, err);
}
