#include "mock/plan.h"

#include "mock/control.h"
#include "mock/jobs.h"
#include "mock/replies.h"

#include <math.h>
#include <stdio.h>

#define MAX_REPLY ((size_t)256 << 20)
#define MAX_HEADERS 65536
#define KEEP_BYTES ((size_t)1 << 20)
#define N_PIECES 10
#define PIECE_GAP_S 0.03
#define UNKNOWN "模拟回答 "
#define PI 3.14159265358979323846

/* Addresses of the same service at different providers: /v1 (OpenAI and most others), /api/v1 (OpenRouter),
 * /compatible-mode/v1 (DashScope), and none. */
cfb_str cfb_mock__strip_base(cfb_str path) {
    static const char *const bases[] = {"/v1", "/api/v1", "/compatible-mode/v1", "/openai/v1"};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        cfb_str rest = cfb_mock__path_after(path, bases[i]);
        if (rest.ptr != NULL && rest.len > 0 && rest.ptr[0] == '/') return rest;
    }
    return path;
}

static bool is_below(cfb_str path, const char *folder) {
    cfb_str rest = cfb_mock__path_after(path, folder);
    return rest.ptr != NULL && (rest.len == 0 || rest.ptr[0] == '/');
}

cfb_mock__route cfb_mock__route_of(cfb_str path) {
    path = cfb_mock__strip_base(path);
    static const struct {
        const char *path;
        cfb_mock__route route;
    } routes[] = {{"/chat/completions", CFB_MOCK__ROUTE_CHAT}, {"/embeddings", CFB_MOCK__ROUTE_EMBED},
                  {"/models", CFB_MOCK__ROUTE_MODELS},         {"/stats", CFB_MOCK__ROUTE_STATS},
                  {"/mock/stats", CFB_MOCK__ROUTE_STATS},      {"/mock/series", CFB_MOCK__ROUTE_SERIES},
                  {"/mock/control", CFB_MOCK__ROUTE_CONTROL}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (cfb_str_eqz(path, routes[i].path)) return routes[i].route;
    if (is_below(path, "/files")) return CFB_MOCK__ROUTE_FILES;
    if (is_below(path, "/batches")) return CFB_MOCK__ROUTE_BATCHES;
    return CFB_MOCK__ROUTE_OTHER;
}

const char *cfb_mock__route_name(cfb_mock__route route) {
    static const char *const names[] = {"other",  "chat",    "embeddings", "models", "stats",
                                        "series", "control", "files",      "batches"};
    return names[route];
}

bool cfb_mock__route_is_own(cfb_mock__route route) {
    return route == CFB_MOCK__ROUTE_STATS || route == CFB_MOCK__ROUTE_SERIES || route == CFB_MOCK__ROUTE_CONTROL;
}

cfb_mock__method cfb_mock__method_of(cfb_str method) {
    static const char *const names[] = {"GET", "POST", "DELETE"};
    int i = 0;
    while (i < 3 && !cfb_str_eqz(method, names[i])) i++;
    return (cfb_mock__method)i;
}

/* ---- plans ---- */

static void reset_buf(cfb_buf *b, size_t max) {
    if (b->cap > KEEP_BYTES) cfb_buf_free(b);
    b->max = max;
    cfb_buf_clear(b);
}

static void reset_plan(cfb_mock__plan *p, int64_t arrival_ns) {
    cfb_buf headers = p->headers, body = p->body, pieces = p->pieces;
    reset_buf(&headers, MAX_HEADERS);
    reset_buf(&body, MAX_REPLY);
    reset_buf(&pieces, MAX_REPLY);
    *p = (cfb_mock__plan){.status = 200,
                          .content_type = "application/json; charset=utf-8",
                          .headers = headers,
                          .body = body,
                          .pieces = pieces,
                          .due_ns = arrival_ns};
}

void cfb_mock__plan_free(cfb_mock__plan *p) {
    cfb_buf_free(&p->headers);
    cfb_buf_free(&p->body);
    cfb_buf_free(&p->pieces);
}

cfb_code cfb_mock__plan_piece(cfb_mock__plan *p, size_t end, double at_s, cfb_err *err) {
    cfb_mock__piece piece = {end, at_s};
    return cfb_buf_append(&p->pieces, &piece, sizeof piece, err);
}

cfb_code cfb_mock__plan_refuse(cfb_mock__plan *p, int status, const char *message, const char *param, cfb_err *err) {
    p->status = status;
    p->delay_s = 0;
    cfb_buf_clear(&p->body);
    return cfb_mock__write_error(status, message, param, &p->body, err);
}

/* A wrong request becomes a 400; other errors are ours. */
static cfb_code refuse_body(cfb_mock__plan *p, const char *param, const cfb_err *why, cfb_err *err) {
    if (why->code != CFB_ENOMEM) return cfb_mock__plan_refuse(p, 400, why->msg, param, err);
    if (err != NULL) *err = *why;
    return why->code;
}

static double latency(const cfb_mock__model *m, const cfb_mock__settings *set, uint64_t key, uint64_t try_no) {
    if (set->latency_s <= 0 || set->latency_sigma <= 0) return set->latency_s;
    double u = 1 - cfb_mock__draw(m->seed, key, try_no, CFB_MOCK__CHOICE_LATENCY_RADIUS); /* (0, 1] */
    double v = cfb_mock__draw(m->seed, key, try_no, CFB_MOCK__CHOICE_LATENCY_ANGLE);
    double normal = sqrt(-2 * log(u)) * cos(2 * PI * v); /* Box and Muller, 1958 */
    double s = set->latency_s * exp(set->latency_sigma * normal);
    return s < CFB_MOCK__MAX_DELAY_S ? s : CFB_MOCK__MAX_DELAY_S;
}

static bool key_is_right(const cfb_mock__model *m, const cfb_mock__head *head) {
    if (m->api_key == NULL) return true;
    cfb_str bearer = head->authorization.ptr != NULL ? cfb_mock__path_after(head->authorization, "Bearer ") : CFB_STR_NULL;
    return (bearer.ptr != NULL && cfb_str_eqz(bearer, m->api_key)) ||
           (head->api_key.ptr != NULL && cfb_str_eqz(head->api_key, m->api_key));
}

/* ---- limits ---- */

static cfb_code write_level(cfb_mock__plan *p, const char *what, const cfb_mock__level *l, cfb_err *err) {
    if (l->limit == 0) return CFB_OK;
    return cfb_buf_printf(&p->headers, err,
                          "x-ratelimit-limit-%s: %lld\r\nx-ratelimit-remaining-%s: %lld\r\nx-ratelimit-reset-%s: %.3fs\r\n", what,
                          (long long)l->limit, what, (long long)l->remaining, what, l->reset_s);
}

/* The limits of calls and tokens. *go_on is false when the call was refused. */
static cfb_code pass_limits(cfb_mock__model *m, const cfb_mock__settings *set, int64_t now_ns, size_t tokens, cfb_mock__plan *p,
                            bool *go_on, cfb_err *err) {
    p->admitted = cfb_mock__limit_enter(&m->limit);
    if (!p->admitted) {
        cfb_mock__trace_refuse(&m->trace, now_ns);
        return cfb_mock__plan_refuse(p, set->refuse_status, set->refuse_status == 429 ? "too many calls are under way" : NULL,
                                     NULL, err);
    }
    cfb_mock__pass pass = cfb_mock__limit_take(&m->limit, now_ns, (int64_t)tokens, &p->quota);
    cfb_code rc = write_level(p, "requests", &p->quota.requests, err);
    if (rc == CFB_OK) rc = write_level(p, "tokens", &p->quota.tokens, err);
    *go_on = pass == CFB_MOCK__PASS;
    if (rc != CFB_OK || *go_on) return rc;
    cfb_mock__trace_refuse(&m->trace, now_ns);
    double s = ceil(p->quota.wait_s); /* whole seconds, and never too early */
    rc = cfb_buf_printf(&p->headers, err, "Retry-After: %.0f\r\nretry-after-ms: %.0f\r\n", s < 1 ? 1 : s,
                        ceil(p->quota.wait_s * 1e3));
    return rc == CFB_OK ? cfb_mock__plan_refuse(p, 429, NULL, NULL, err) : rc;
}

/* Counts the try and draws its fault. *go_on is false when the reply is complete (an error). */
static cfb_code draw_try(cfb_mock__model *m, const cfb_mock__settings *set, bool is_chat, cfb_mock__plan *p, bool *go_on,
                         cfb_err *err) {
    p->try_no = atomic_fetch_add(&p->entry->tries, 1);
    if (is_chat) cfb_mock__trace_ask(&m->trace, p->try_no > 0, atomic_load(&p->entry->answered));
    p->delay_s = latency(m, set, p->entry->key, p->try_no);
    p->fault = cfb_mock__faults_draw(&set->faults, m->seed, p->entry->key, p->try_no);
    int status = cfb_mock__fault_status(p->fault);
    *go_on = status == 200;
    if (*go_on) return CFB_OK;
    double delay_s = p->delay_s;
    cfb_code rc = cfb_mock__plan_refuse(p, status, NULL, NULL, err);
    if (status >= 500) p->delay_s = delay_s; /* such a server works for a while before it fails */
    if (rc == CFB_OK && p->fault == CFB_MOCK__FAULT_429)
        rc = cfb_buf_append_str(&p->headers, CFB_STR_LIT("Retry-After: 1\r\n"), err);
    return rc;
}

/* Limits, try number and fault of a prompt. Refusals by a limit are no tries: they hang on the clock, and the draws of later
 * tries must not. */
static cfb_code begin_try(cfb_mock__model *m, bool is_chat, size_t tokens, int64_t now_ns, cfb_mock__plan *p, bool *go_on,
                          cfb_err *err) {
    const cfb_mock__settings *set = atomic_load(&m->settings);
    *go_on = false;
    p->try_no = atomic_load(&p->entry->tries);
    cfb_code rc = pass_limits(m, set, now_ns, tokens, p, go_on, err);
    return rc == CFB_OK && *go_on ? draw_try(m, set, is_chat, p, go_on, err) : rc;
}

/* ---- answers ---- */

static void apply_to_text(cfb_mock__fault fault, cfb_mock__completion *c) {
    if (fault == CFB_MOCK__FAULT_NONE) return;
    c->quoted = CFB_STR_NULL;
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

static cfb_code in_pieces(cfb_mock__plan *p, cfb_err *err) {
    cfb_code rc = CFB_OK;
    size_t n = (p->body.len + N_PIECES - 1) / N_PIECES;
    for (int i = 0; i < N_PIECES && rc == CFB_OK; i++) {
        size_t end = n * (size_t)(i + 1);
        rc = cfb_mock__plan_piece(p, end < p->body.len ? end : p->body.len, PIECE_GAP_S * i, err);
    }
    return rc;
}

/* Faults of the body as bytes, and of its way to the client. */
static cfb_code apply_to_body(cfb_mock__plan *p, cfb_err *err) {
    switch (p->fault) {
    case CFB_MOCK__FAULT_SLOW: return in_pieces(p, err);
    case CFB_MOCK__FAULT_CUT: p->end = CFB_MOCK__END_CLOSE; return cfb_mock__plan_piece(p, p->body.len / 2, 0, err);
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

/* What a prompt's try is answered, before faults. text: room for an answer that nobody taught. */
static void choose(cfb_mock__model *m, const cfb_mock__chat *req, const cfb_mock__plan *p, char text[64],
                   cfb_mock__answer *answer, cfb_mock__completion *c) {
    cfb_mock__answers_pick(m->answers, p->entry, m->seed, p->try_no, m->error_rate, answer);
    *c = (cfb_mock__completion){.model = req->model,
                                .finish_reason = answer->finish_reason,
                                .id = p->entry->sha256,
                                .try_no = p->try_no,
                                .prompt_tokens = req->n_prompt_tokens};
    if (answer->content != NULL) {
        c->content = answer->content->text;
        c->quoted = answer->content->quoted;
        c->completion_tokens = answer->content->n_chars;
    } else if (!answer->known) {
        memcpy(text, UNKNOWN, sizeof UNKNOWN - 1);
        memcpy(text + sizeof UNKNOWN - 1, p->entry->sha256, 8);
        c->content = (cfb_str){text, sizeof UNKNOWN + 7};
        c->completion_tokens = cfb_mock__count(c->content);
    }
}

/* max_tokens, and the number of tokens of what is left. */
static void cut(const cfb_mock__chat *req, cfb_mock__completion *c) {
    if (c->quoted.ptr == NULL) c->completion_tokens = cfb_mock__count(c->content);
    size_t limit = req->max_tokens > 0 && req->max_tokens < INT64_C(1) << 40 ? 4 * (size_t)req->max_tokens : SIZE_MAX;
    if (c->completion_tokens <= limit) return;
    c->content = cfb_mock__prefix(c->content, limit);
    c->quoted = CFB_STR_NULL;
    c->completion_tokens = limit;
    c->finish_reason = CFB_STR_LIT("length");
}

static cfb_code answer_chat(cfb_mock__model *m, const cfb_mock__chat *req, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__answer answer;
    cfb_mock__completion c;
    char text[64];
    choose(m, req, p, text, &answer, &c);
    if (answer.delay_s >= 0) p->delay_s = answer.delay_s;
    if (answer.status != 200) {
        double delay_s = p->delay_s;
        p->fault = CFB_MOCK__FAULT_NONE; /* the script goes first */
        cfb_code rc = cfb_mock__plan_refuse(p, answer.status, c.content.ptr, NULL, err);
        p->delay_s = delay_s;
        return rc;
    }
    apply_to_text(p->fault, &c);
    cut(req, &c);
    p->tokens_in = c.prompt_tokens;
    p->tokens_out = c.completion_tokens;
    p->good = cfb_mock__fault_is_whole(p->fault);
    cfb_code rc = cfb_mock__write_chat(&c, &p->body, err);
    return rc == CFB_OK ? apply_to_body(p, err) : rc;
}

/* The reply is due after its delay, and in its turn where slots are limited. */
static void set_due(cfb_mock__model *m, int64_t arrival_ns, cfb_mock__plan *p) {
    p->due_ns = arrival_ns + (int64_t)(p->delay_s * 1e9);
    if (p->status == 200) p->due_ns = cfb_mock__limit_queue(&m->limit, arrival_ns, (int64_t)(p->delay_s * 1e9));
}

static cfb_code plan_chat(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__chat_parse(in->body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else if (req.stream) {
        rc = cfb_mock__plan_refuse(p, 400, "stream must be false: the mock model does not stream", "stream", err);
    } else {
        rc = cfb_mock__answers_find(m->answers, req.prompt, &p->entry, err);
        if (rc == CFB_OK) rc = begin_try(m, true, req.n_prompt_tokens, in->arrival_ns, p, &go_on, err);
        if (rc == CFB_OK && go_on) rc = answer_chat(m, &req, p, err);
        if (rc == CFB_OK) set_due(m, in->arrival_ns, p);
    }
    cfb_mock__chat_free(&req);
    return rc;
}

static cfb_code plan_embed(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__embed req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__embed_parse(in->body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else {
        char sha256[65];
        cfb_sha256_parts_hex(req.texts, req.n_texts, sha256);
        rc = cfb_mock__answers_entry(m->answers, cfb_str_from(sha256), &p->entry, err);
        if (rc == CFB_OK) rc = begin_try(m, false, req.n_tokens, in->arrival_ns, p, &go_on, err);
        if (needs_text(p->fault)) p->fault = CFB_MOCK__FAULT_NONE;
        if (rc == CFB_OK && go_on) rc = cfb_mock__write_embeddings(&req, &p->body, err);
        if (rc == CFB_OK && go_on) rc = apply_to_body(p, err);
        if (rc == CFB_OK) set_due(m, in->arrival_ns, p);
    }
    cfb_mock__embed_free(&req);
    return rc;
}

/* Only the text, not its way to the client. */
static void drop_transport(cfb_mock__fault *fault) {
    if (!needs_text(*fault)) *fault = CFB_MOCK__FAULT_NONE;
}

static cfb_code row_chat(cfb_mock__model *m, cfb_str body, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__chat_parse(body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else {
        rc = cfb_mock__answers_find(m->answers, req.prompt, &p->entry, err);
        if (rc == CFB_OK) rc = draw_try(m, atomic_load(&m->settings), true, p, &go_on, err);
        if (go_on) drop_transport(&p->fault);
        if (rc == CFB_OK && go_on) rc = answer_chat(m, &req, p, err);
        if (rc == CFB_OK && p->good) atomic_store(&p->entry->answered, true);
    }
    cfb_mock__chat_free(&req);
    return rc;
}

static cfb_code row_embed(cfb_mock__model *m, cfb_str body, cfb_mock__plan *p, cfb_err *err) {
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
        rc = cfb_mock__answers_entry(m->answers, cfb_str_from(sha256), &p->entry, err);
        if (rc == CFB_OK) rc = draw_try(m, atomic_load(&m->settings), false, p, &go_on, err);
        if (rc == CFB_OK && go_on) rc = cfb_mock__write_embeddings(&req, &p->body, err);
    }
    cfb_mock__embed_free(&req);
    return rc;
}

cfb_code cfb_mock__plan_row(cfb_mock__model *m, cfb_mock__route route, cfb_str body, cfb_mock__plan *p, cfb_err *err) {
    reset_plan(p, 0);
    return route == CFB_MOCK__ROUTE_CHAT ? row_chat(m, body, p, err) : row_embed(m, body, p, err);
}

/* ---- the mock's own addresses ---- */

static cfb_code plan_control(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    if (!m->control) return cfb_mock__plan_refuse(p, 404, "the mock was started without --mock-control", NULL, err);
    if (in->method == CFB_MOCK__POST) {
        cfb_err why = CFB_ERR_INIT;
        if (cfb_mock__control(m, in->body, &why) != CFB_OK) return refuse_body(p, NULL, &why, err);
    }
    return cfb_mock__control_show(m, &p->body, err);
}

/* Methods that a route takes, as bits. */
static unsigned methods_of(cfb_mock__route route) {
    if (route == CFB_MOCK__ROUTE_CHAT || route == CFB_MOCK__ROUTE_EMBED) return 1u << CFB_MOCK__POST;
    if (route == CFB_MOCK__ROUTE_CONTROL) return 1u << CFB_MOCK__GET | 1u << CFB_MOCK__POST;
    if (route == CFB_MOCK__ROUTE_FILES || route == CFB_MOCK__ROUTE_BATCHES) /* it looks itself */
        return 1u << CFB_MOCK__GET | 1u << CFB_MOCK__POST | 1u << CFB_MOCK__DELETE;
    return 1u << CFB_MOCK__GET;
}

static cfb_code refuse_method(cfb_mock__plan *p, unsigned allowed, cfb_err *err) {
    const char *names = allowed == 1u << CFB_MOCK__POST ? "POST" : allowed == 1u << CFB_MOCK__GET ? "GET" : "GET, POST";
    cfb_code rc = cfb_buf_printf(&p->headers, err, "Allow: %s\r\n", names);
    return rc == CFB_OK ? cfb_mock__plan_refuse(p, 405, NULL, NULL, err) : rc;
}

cfb_code cfb_mock__plan_make(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    reset_plan(p, in->arrival_ns);
    if (in->status != 200) return cfb_mock__plan_refuse(p, in->status, "this is no HTTP request", NULL, err);
    if (in->route == CFB_MOCK__ROUTE_OTHER) return cfb_mock__plan_refuse(p, 404, NULL, NULL, err);
    unsigned allowed = methods_of(in->route);
    if (!(allowed & 1u << in->method)) return refuse_method(p, allowed, err);
    if (in->too_large) return cfb_mock__plan_refuse(p, 413, "the body is too large", NULL, err);
    if (in->route == CFB_MOCK__ROUTE_STATS) return cfb_mock__trace_stats(&m->trace, &p->body, err);
    if (in->route == CFB_MOCK__ROUTE_SERIES) return cfb_mock__trace_series(&m->trace, &p->body, err);
    if (in->route == CFB_MOCK__ROUTE_CONTROL) return plan_control(m, in, p, err);
    if (!key_is_right(m, in->head)) return cfb_mock__plan_refuse(p, 401, NULL, NULL, err);
    if (in->route == CFB_MOCK__ROUTE_CHAT) return plan_chat(m, in, p, err);
    if (in->route == CFB_MOCK__ROUTE_EMBED) return plan_embed(m, in, p, err);
    if (in->route == CFB_MOCK__ROUTE_MODELS) return cfb_mock__write_models(&p->body, err);
    return cfb_mock__jobs_plan(m->jobs, m, in, p, err);
}
