#include "mock/plan.h"

#include "cfbench/json.h"
#include "mock/control.h"
#include "mock/deliver.h"
#include "mock/jobs.h"
#include "mock/replies.h"
#include "mock/sse.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#define MAX_REPLY ((size_t)256 << 20)
#define MAX_HEADERS 65536
#define KEEP_BYTES ((size_t)1 << 20)
#define UNKNOWN "模拟回答 "
#define PI 3.14159265358979323846

/* Addresses of the same service at different providers: /v1 (OpenAI and most others), /api/v1 (OpenRouter),
 * /compatible-mode/v1 (DashScope), and none. */
cfb_str cfb_mock__strip_base(cfb_str path) {
    static const char *const bases[] = {"/v1", "/api/v1", "/compatible-mode/v1", "/openai/v1"};
    cfb_str azure = cfb_mock__path_after(path, "/openai/deployments/"); /* NAME/chat/completions?api-version=... */
    const char *slash = azure.ptr != NULL ? memchr(azure.ptr, '/', azure.len) : NULL;
    if (slash != NULL) return (cfb_str){slash, azure.len - (size_t)(slash - azure.ptr)};
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

static void reset_plan(const cfb_mock__model *m, cfb_mock__plan *p, int64_t arrival_ns) {
    cfb_buf headers = p->headers, body = p->body, pieces = p->pieces, text = p->text;
    reset_buf(&text, MAX_REPLY);
    reset_buf(&headers, MAX_HEADERS);
    reset_buf(&body, MAX_REPLY);
    reset_buf(&pieces, MAX_REPLY);
    *p = (cfb_mock__plan){.profile = m->profile,
                          .status = 200,
                          .text = text,
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
    cfb_buf_free(&p->text);
}

cfb_code cfb_mock__plan_piece(cfb_mock__plan *p, size_t end, double at_s, cfb_err *err) {
    cfb_mock__piece piece = {end, at_s};
    return cfb_buf_append(&p->pieces, &piece, sizeof piece, err);
}

cfb_code cfb_mock__plan_error(cfb_mock__plan *p, const cfb_mock__error *e, cfb_err *err) {
    p->status = e->status;
    p->delay_s = 0;
    cfb_buf_clear(&p->body);
    return cfb_mock__write_error(p->profile, e, &p->body, err);
}

cfb_code cfb_mock__plan_refuse(cfb_mock__plan *p, int status, const char *message, const char *param, cfb_err *err) {
    const cfb_mock__error e = {.status = status, .message = message, .param = param};
    return cfb_mock__plan_error(p, &e, err);
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

/* "20ms", "1.5s", "6m0s": platform.openai.com/docs/guides/rate-limits, "Rate limits in headers". */
static void format_reset(double s, char buf[32]) {
    double minutes = floor(s / 60);
    if (s < 1)
        snprintf(buf, 32, "%.0fms", ceil(s * 1e3));
    else if (s < 60)
        snprintf(buf, 32, "%.4gs", s);
    else
        snprintf(buf, 32, "%.0fm%.0fs", minutes, floor(s - 60 * minutes));
}

static cfb_code write_level(cfb_mock__plan *p, const char *what, const cfb_mock__level *l, cfb_err *err) {
    if (l->limit == 0) return CFB_OK;
    if (p->profile->rates == CFB_MOCK__RATE_OPENROUTER) /* openrouter.ai/docs/api-reference/limits; Reset is a Unix time in ms */
        return cfb_buf_printf(
            &p->headers, err, "X-RateLimit-Limit: %lld\r\nX-RateLimit-Remaining: %lld\r\nX-RateLimit-Reset: %lld\r\n",
            (long long)l->limit, (long long)l->remaining, (long long)(cfb_wall_ms() + (int64_t)(l->reset_s * 1e3)));
    char reset[32];
    format_reset(l->reset_s, reset);
    return cfb_buf_printf(&p->headers, err,
                          "x-ratelimit-limit-%s: %lld\r\nx-ratelimit-remaining-%s: %lld\r\nx-ratelimit-reset-%s: %s\r\n", what,
                          (long long)l->limit, what, (long long)l->remaining, what, reset);
}

static const cfb_mock__error quota_error = {.status = 429,
                                            .type = "insufficient_quota",
                                            .code = "insufficient_quota",
                                            .message =
                                                "You exceeded your current quota, please check your plan and billing details."};

static cfb_code refuse_pass(cfb_mock__plan *p, cfb_mock__pass pass, cfb_err *err) {
    if (pass == CFB_MOCK__PASS_QUOTA) return cfb_mock__plan_error(p, &quota_error, err);
    double s = ceil(p->quota.wait_s); /* whole seconds, and never too early */
    cfb_code rc = cfb_buf_printf(&p->headers, err, "Retry-After: %.0f\r\nretry-after-ms: %.0f\r\n", s < 1 ? 1 : s,
                                 ceil(p->quota.wait_s * 1e3));
    const cfb_mock__error e = {.status = 429,
                               .type = pass == CFB_MOCK__PASS_TOKENS ? "tokens" : "requests",
                               .code = "rate_limit_exceeded",
                               .message = pass == CFB_MOCK__PASS_TOKENS
                                              ? "the limit of tokens per minute was reached; try again later"
                                              : "the limit of requests per minute was reached; try again later"};
    return rc == CFB_OK ? cfb_mock__plan_error(p, &e, err) : rc;
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
    return refuse_pass(p, pass, err);
}

/* ---- faults with a status ---- */

/* RFC 9110, 5.6.7; rounded up to whole seconds. */
static cfb_code retry_after_date(cfb_mock__plan *p, double seconds, cfb_err *err) {
    char text[64];
    time_t t = (time_t)((cfb_wall_ms() + (int64_t)(seconds * 1e3) + 999) / 1000);
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0) return CFB_OK;
    return cfb_buf_printf(&p->headers, err, "Retry-After: %s\r\n", text);
}

static cfb_code fault_headers(cfb_mock__plan *p, cfb_err *err) {
    switch (p->fault) {
    case CFB_MOCK__FAULT_429: return cfb_buf_append_str(&p->headers, CFB_STR_LIT("Retry-After: 1\r\n"), err);
    case CFB_MOCK__FAULT_429_DATE: return retry_after_date(p, 1, err);
    case CFB_MOCK__FAULT_429_MS: return cfb_buf_append_str(&p->headers, CFB_STR_LIT("retry-after-ms: 300\r\n"), err);
    case CFB_MOCK__FAULT_429_FLOAT: return cfb_buf_append_str(&p->headers, CFB_STR_LIT("Retry-After: 0.5\r\n"), err);
    default: return CFB_OK;
    }
}

static cfb_code refuse_fault(cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__error e = {.status = cfb_mock__fault_status(p->fault)};
    double delay_s = p->delay_s;
    if (p->fault == CFB_MOCK__FAULT_429_QUOTA) {
        e = quota_error;
    } else if (p->fault == CFB_MOCK__FAULT_CONTEXT) {
        e.type = p->profile->errors == CFB_MOCK__ERROR_LLAMACPP ? "exceed_context_size_error" : "invalid_request_error";
        e.code = "context_length_exceeded";
        e.param = "messages";
        e.message = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens. Please "
                    "reduce the "
                    "length of the messages.";
        e.n_prompt_tokens = 5000;
        e.n_ctx = 4096;
    } else if (p->fault == CFB_MOCK__FAULT_FILTER400) {
        e.code = "content_filter";
        e.type = "invalid_request_error";
        e.param = "prompt";
        e.content_filter = true;
        e.message =
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your "
            "prompt and retry.";
    }
    cfb_code rc = cfb_mock__plan_error(p, &e, err);
    if (p->status >= 500 || p->status == 408) p->delay_s = delay_s; /* such a server works for a while before it fails */
    if (rc == CFB_OK && p->fault == CFB_MOCK__FAULT_502) {          /* a proxy in front knows nothing of JSON */
        p->content_type = "text/html";
        cfb_buf_clear(&p->body);
        rc = cfb_buf_append_str(
            &p->body,
            CFB_STR_LIT("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
                        "Gateway</h1></center>\r\n</body>\r\n</html>\r\n"),
            err);
    }
    return rc == CFB_OK ? fault_headers(p, err) : rc;
}

/* Counts the try and draws its fault. *go_on is false when the reply is complete (an error). */
static cfb_code draw_try(cfb_mock__model *m, const cfb_mock__settings *set, bool is_chat, cfb_mock__plan *p, bool *go_on,
                         cfb_err *err) {
    p->try_no = atomic_fetch_add(&p->entry->tries, 1);
    if (is_chat) cfb_mock__trace_ask(&m->trace, p->try_no > 0, atomic_load(&p->entry->answered));
    p->delay_s = latency(m, set, p->entry->key, p->try_no);
    p->fault = cfb_mock__faults_draw(&set->faults, m->seed, p->entry->key, p->try_no);
    *go_on = cfb_mock__fault_status(p->fault) == 200;
    return *go_on ? CFB_OK : refuse_fault(p, err);
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

/* How many bytes of the prompt's beginning were in earlier prompts, in whole blocks; and they are remembered. */
static size_t seen_before(cfb_mock__model *m, cfb_str prompt) {
    uint64_t h = 0;
    size_t seen = 0;
    for (size_t at = 0; prompt.len - at >= CFB_MOCK__SEEN_BYTES; at += CFB_MOCK__SEEN_BYTES) {
        h = cfb_hash64(prompt.ptr + at, CFB_MOCK__SEEN_BYTES, h + 1);
        atomic_uint_fast64_t *slot = &m->seen[h % CFB_MOCK__SEEN_SLOTS];
        if (seen == at && atomic_load(slot) == h) seen = at + CFB_MOCK__SEEN_BYTES;
        atomic_store(slot, h);
    }
    return seen;
}

/* What a prompt's try is answered, before faults. text: room for an answer that nobody taught. */
static void choose(cfb_mock__model *m, const cfb_mock__chat *req, const cfb_mock__plan *p, char text[64],
                   cfb_mock__answer *answer, cfb_mock__completion *c) {
    cfb_mock__answers_pick(m->answers, p->entry, m->seed, p->try_no, m->error_rate, answer);
    *c = (cfb_mock__completion){.profile = m->profile,
                                .model = req->model,
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
    if (m->seen == NULL) return;
    c->with_cached = true;
    c->cached_tokens = cfb_mock__count((cfb_str){req->prompt.ptr, seen_before(m, req->prompt)});
}

static cfb_code add_control_chars(cfb_mock__plan *p, cfb_mock__completion *c, cfb_err *err) {
    cfb_buf quoted = CFB_BUF_INIT(MAX_REPLY);
    cfb_code rc = cfb_json_quote(&quoted, c->content, err);
    /* U+2028 and U+2029 raw, as JSON allows; control characters as escapes, as it demands */
    if (rc == CFB_OK) rc = cfb_buf_append_str(&p->text, CFB_STR_LIT("\"\xe2\x80\xa8\\t"), err);
    if (rc == CFB_OK) rc = cfb_buf_append(&p->text, quoted.ptr + 1, quoted.len - 2, err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(&p->text, CFB_STR_LIT("\\u0001\\u001b[31m\x7f\xc2\x85\xe2\x80\xa9\\r\\n\""), err);
    c->quoted = cfb_buf_str(&p->text);
    cfb_buf_free(&quoted);
    return rc;
}

static cfb_code apply_to_text(cfb_mock__plan *p, const cfb_mock__chat *req, cfb_mock__completion *c, cfb_err *err) {
    if (!cfb_mock__fault_is_text(p->fault)) return CFB_OK;
    if (p->fault == CFB_MOCK__FAULT_PARTS) {
        c->as_parts = true;
        return CFB_OK;
    }
    if (p->fault == CFB_MOCK__FAULT_CONTROL && !req->stream) return add_control_chars(p, c, err);
    c->quoted = CFB_STR_NULL;
    if (p->fault == CFB_MOCK__FAULT_EMPTY || p->fault == CFB_MOCK__FAULT_THINKING) {
        c->content = CFB_STR_LIT("");
    } else if (p->fault == CFB_MOCK__FAULT_NULL) {
        c->content = CFB_STR_NULL;
    } else if (p->fault == CFB_MOCK__FAULT_LENGTH) {
        c->content = cfb_mock__prefix(c->content, cfb_mock__count(c->content) / 2);
        c->finish_reason = CFB_STR_LIT("length");
    } else if (p->fault == CFB_MOCK__FAULT_FILTER) {
        c->content = CFB_STR_NULL;
        c->finish_reason = CFB_STR_LIT("content_filter");
    }
    c->completion_tokens = cfb_mock__count(c->content);
    return CFB_OK;
}

/* max_tokens: the number of code points that fit. */
static size_t limit_of(const cfb_mock__chat *req) {
    return req->max_tokens > 0 && req->max_tokens < INT64_C(1) << 40 ? 4 * (size_t)req->max_tokens : SIZE_MAX;
}

static void cut(size_t limit, cfb_mock__completion *c) {
    if (c->completion_tokens <= limit) return;
    c->content = cfb_mock__prefix(c->content, limit);
    c->quoted = CFB_STR_NULL;
    c->completion_tokens = limit;
    c->finish_reason = CFB_STR_LIT("length");
}

/* The model thinks before it answers, and its thoughts count as tokens. They are a text of their own for each prompt. */
static cfb_code think(const cfb_mock__model *m, size_t limit, cfb_mock__plan *p, cfb_mock__completion *c, cfb_err *err) {
    bool only = p->fault == CFB_MOCK__FAULT_THINKING; /* all tokens go into it */
    if (m->thinking == CFB_MOCK__THINKING_OFF && !only) return CFB_OK;
    cfb_mock__thinking form = m->thinking == CFB_MOCK__THINKING_OFF ? CFB_MOCK__THINKING_HIDDEN : m->thinking;
    bool tag = form == CFB_MOCK__THINKING_THINK;
    cfb_code rc = cfb_buf_printf(&p->text, err, "%s先想一想：这个问题（%.8s）要怎么回答？答案应当简短。", tag ? "<think>\n" : "",
                                 p->entry->sha256);
    if (rc != CFB_OK) return rc;
    cfb_str thoughts = cfb_buf_str(&p->text);
    c->reasoning_tokens = cfb_mock__count(thoughts);
    c->with_reasoning = true;
    only = only || c->reasoning_tokens >= limit;
    if (only && limit != SIZE_MAX) {
        thoughts = cfb_mock__prefix(thoughts, limit);
        c->reasoning_tokens = limit;
    }
    if (only) {
        p->text.len = thoughts.len;
        c->finish_reason = CFB_STR_LIT("length");
        c->completion_tokens = 0;
        c->content = CFB_STR_LIT("");
        c->quoted = CFB_STR_NULL;
    } else {
        cut(limit - c->reasoning_tokens, c);
    }
    c->completion_tokens += c->reasoning_tokens;
    if (form == CFB_MOCK__THINKING_FIELD) c->reasoning = thoughts;
    if (!tag) return CFB_OK;
    if (!only) rc = cfb_buf_append_str(&p->text, CFB_STR_LIT("\n</think>\n\n"), err);
    if (rc == CFB_OK && !only) rc = cfb_buf_append_str(&p->text, c->content, err);
    c->content = cfb_buf_str(&p->text);
    c->quoted = CFB_STR_NULL;
    return rc;
}

static cfb_code write_error200(cfb_mock__plan *p, cfb_err *err) {
    const cfb_mock__error e = {.status = 502, .message = "the provider behind this service returned an error"};
    return cfb_mock__write_error(p->profile, &e, &p->body, err);
}

/* The reply's bytes and times. */
static cfb_code write_reply(cfb_mock__model *m, const cfb_mock__chat *req, const cfb_mock__settings *set,
                            const cfb_mock__completion *c, bool accepts_gzip, cfb_mock__plan *p, cfb_err *err) {
    bool streamed = req->stream && p->fault != CFB_MOCK__FAULT_ERROR200;
    double seconds = set->tokens_per_s > 0 ? (double)c->completion_tokens / set->tokens_per_s : 0;
    p->delay_s += set->ttft_s + (streamed ? 0 : seconds);
    p->busy_s = streamed ? seconds : 0;
    cfb_code rc;
    if (p->fault == CFB_MOCK__FAULT_ERROR200) {
        rc = write_error200(p, err);
    } else if (streamed) {
        const cfb_mock__sse o = {.include_usage = req->include_usage,
                                 .tokens_per_s = set->tokens_per_s,
                                 .pings = p->fault == CFB_MOCK__FAULT_SSE_PING,
                                 .crlf = p->fault == CFB_MOCK__FAULT_SSE_CRLF,
                                 .split = p->fault == CFB_MOCK__FAULT_SSE_SPLIT,
                                 .no_done = p->fault == CFB_MOCK__FAULT_SSE_NODONE,
                                 .error = p->fault == CFB_MOCK__FAULT_SSE_ERROR};
        rc = cfb_mock__write_sse(c, &o, p, err);
    } else {
        rc = cfb_mock__write_chat(c, &p->body, err);
    }
    if (rc == CFB_OK) rc = cfb_mock__deliver(p, streamed, accepts_gzip, err);
    const char *line = streamed ? m->profile->keep_alive : m->profile->keep_alive_plain;
    bool waits = line != NULL && p->fault != CFB_MOCK__FAULT_HANG && p->fault != CFB_MOCK__FAULT_GZIP;
    if (rc == CFB_OK && waits) rc = cfb_mock__deliver_keep_alive(p, line, streamed ? 1 : 0, err);
    /* a head that left before the reply was known promises no length */
    if (rc == CFB_OK && (streamed || waits || p->chunked)) rc = cfb_mock__deliver_chunked(p, err);
    return rc;
}

static cfb_code answer_chat(cfb_mock__model *m, const cfb_mock__chat *req, bool accepts_gzip, cfb_mock__plan *p, cfb_err *err) {
    const cfb_mock__settings *set = atomic_load(&m->settings);
    cfb_mock__answer answer;
    cfb_mock__completion c;
    char text[64];
    if (!req->stream && cfb_mock__fault_is_stream(p->fault)) p->fault = CFB_MOCK__FAULT_NONE;
    choose(m, req, p, text, &answer, &c);
    if (answer.delay_s >= 0) p->delay_s = answer.delay_s;
    if (answer.status != 200) {
        double delay_s = p->delay_s;
        p->fault = CFB_MOCK__FAULT_NONE; /* the script goes first */
        cfb_code rc = cfb_mock__plan_refuse(p, answer.status, c.content.ptr, NULL, err);
        p->delay_s = delay_s;
        return rc;
    }
    cfb_code rc = apply_to_text(p, req, &c, err);
    if (rc == CFB_OK && p->fault != CFB_MOCK__FAULT_CONTROL) {
        cut(limit_of(req), &c);
        rc = think(m, limit_of(req), p, &c, err);
    }
    p->tokens_in = c.prompt_tokens;
    p->tokens_out = c.completion_tokens;
    p->good = cfb_mock__fault_is_whole(p->fault);
    return rc == CFB_OK ? write_reply(m, req, set, &c, accepts_gzip, p, err) : rc;
}

/* The reply is due after its delay, and in its turn where slots are limited. */
static void set_due(cfb_mock__model *m, int64_t arrival_ns, cfb_mock__plan *p) {
    int64_t delay_ns = (int64_t)(p->delay_s * 1e9), busy_ns = (int64_t)(p->busy_s * 1e9);
    p->due_ns = arrival_ns + delay_ns;
    if (p->status == 200) p->due_ns = cfb_mock__limit_queue(&m->limit, arrival_ns, delay_ns + busy_ns) - busy_ns;
}

/* What a server of this kind refuses before it looks at its limits. true: the plan is made. */
static bool refuses(const cfb_mock__model *m, const cfb_mock__chat *req, cfb_mock__plan *p, cfb_code *rc, cfb_err *err) {
    cfb_mock__refusal r;
    bool too_long = false;
    if (!cfb_mock__profile_refuses(m->profile, req, &r) && !(too_long = cfb_mock__too_long(m->profile, req, m->context, &r)))
        return false;
    const cfb_mock__error e = {.status = 400,
                               .type = r.type,
                               .code = r.code,
                               .message = r.message,
                               .param = r.param,
                               .n_prompt_tokens = (int64_t)req->n_prompt_tokens,
                               .n_ctx = too_long ? m->context : 0};
    *rc = cfb_mock__plan_error(p, &e, err);
    return true;
}

static cfb_code plan_chat(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__chat_parse(in->body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else if (!refuses(m, &req, p, &rc, err)) {
        bool gzip = in->head->accept_encoding.ptr != NULL && cfb_mock__has_word(in->head->accept_encoding, "gzip");
        rc = cfb_mock__answers_find(m->answers, req.prompt, &p->entry, err);
        if (rc == CFB_OK) rc = begin_try(m, true, req.n_prompt_tokens, in->arrival_ns, p, &go_on, err);
        if (rc == CFB_OK && go_on) rc = answer_chat(m, &req, gzip, p, err);
        if (rc == CFB_OK && go_on && p->status == 200) cfb_mock__limit_settle(&m->limit, (int64_t)p->tokens_out);
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
    cfb_code rc = cfb_mock__embed_parse(in->body, m->embed_dim, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else {
        char sha256[65];
        cfb_sha256_parts_hex(req.texts, req.n_texts, sha256);
        rc = cfb_mock__answers_entry(m->answers, cfb_str_from(sha256), &p->entry, err);
        if (rc == CFB_OK) rc = begin_try(m, false, req.n_tokens, in->arrival_ns, p, &go_on, err);
        if (cfb_mock__fault_is_text(p->fault) || cfb_mock__fault_is_stream(p->fault)) p->fault = CFB_MOCK__FAULT_NONE;
        if (rc == CFB_OK && go_on && p->fault == CFB_MOCK__FAULT_ERROR200)
            rc = write_error200(p, err);
        else if (rc == CFB_OK && go_on)
            rc = cfb_mock__write_embeddings(&req, &p->body, err);
        if (rc == CFB_OK && go_on) rc = cfb_mock__deliver(p, false, false, err);
        if (rc == CFB_OK && go_on && p->chunked) rc = cfb_mock__deliver_chunked(p, err);
        if (rc == CFB_OK) set_due(m, in->arrival_ns, p);
    }
    cfb_mock__embed_free(&req);
    return rc;
}

/* As a call without its way to the client. */
static cfb_code answer_row(cfb_mock__model *m, const cfb_mock__chat *req, cfb_mock__plan *p, cfb_err *err) {
    cfb_code rc = answer_chat(m, req, false, p, err);
    if (rc != CFB_OK || !p->chunked) return rc;
    size_t total, content; /* a profile that keeps connections alive: the frame is taken off again */
    if (cfb_mock__chunks_scan(cfb_buf_str(&p->body), &total, &content) != 200)
        return cfb_err_set(err, CFB_EBUG, "a frame is wrong");
    cfb_mock__chunks_join(cfb_buf_str(&p->body), p->body.ptr);
    p->body.len = content;
    return CFB_OK;
}

static cfb_code row_chat(cfb_mock__model *m, cfb_str body, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__chat req;
    const char *param = NULL;
    cfb_err why = CFB_ERR_INIT;
    bool go_on = false;
    cfb_code rc = cfb_mock__chat_parse(body, &req, &param, &why);
    if (rc != CFB_OK) {
        rc = refuse_body(p, param, &why, err);
    } else if (req.stream) {
        rc = cfb_mock__plan_refuse(p, 400, "a batch does not stream", "stream", err);
    } else if (!refuses(m, &req, p, &rc, err)) {
        rc = cfb_mock__answers_find(m->answers, req.prompt, &p->entry, err);
        if (rc == CFB_OK) rc = draw_try(m, atomic_load(&m->settings), true, p, &go_on, err);
        if (go_on && !cfb_mock__fault_is_text(p->fault))
            p->fault = CFB_MOCK__FAULT_NONE; /* the text, not its way to the client */
        if (rc == CFB_OK && go_on) rc = answer_row(m, &req, p, err);
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
    cfb_code rc = cfb_mock__embed_parse(body, m->embed_dim, &req, &param, &why);
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
    reset_plan(m, p, 0);
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

static bool misses_version(const cfb_mock__model *m, const cfb_mock__input *in) {
    if (m->profile->errors != CFB_MOCK__ERROR_AZURE || cfb_mock__path_after(in->head->path, "/openai/deployments/").ptr == NULL)
        return false;
    return in->head->query.ptr == NULL || cfb_str_find(in->head->query, CFB_STR_LIT("api-version="), 0) == SIZE_MAX;
}

cfb_code cfb_mock__plan_make(cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    reset_plan(m, p, in->arrival_ns);
    if (in->status != 200) return cfb_mock__plan_refuse(p, in->status, "this is no HTTP request", NULL, err);
    if (in->route == CFB_MOCK__ROUTE_OTHER) return cfb_mock__plan_refuse(p, 404, NULL, NULL, err);
    if (misses_version(m, in)) { /* learn.microsoft.com, Azure OpenAI REST API reference: api-version is required there */
        const cfb_mock__error e = {.status = 404, .code = "404", .message = "Resource not found"};
        return cfb_mock__plan_error(p, &e, err);
    }
    unsigned allowed = methods_of(in->route);
    if (!(allowed & 1u << in->method)) return refuse_method(p, allowed, err);
    if (in->too_large) return cfb_mock__plan_refuse(p, 413, "the body is too large", NULL, err);
    if (in->route == CFB_MOCK__ROUTE_STATS) return cfb_mock__trace_stats(&m->trace, &p->body, err);
    if (in->route == CFB_MOCK__ROUTE_SERIES) return cfb_mock__trace_series(&m->trace, &p->body, err);
    if (in->route == CFB_MOCK__ROUTE_CONTROL) return plan_control(m, in, p, err);
    if (!key_is_right(m, in->head)) return cfb_mock__plan_refuse(p, 401, NULL, NULL, err);
    if (in->route == CFB_MOCK__ROUTE_CHAT) return plan_chat(m, in, p, err);
    if (in->route == CFB_MOCK__ROUTE_EMBED) return plan_embed(m, in, p, err);
    if (in->route == CFB_MOCK__ROUTE_MODELS) return cfb_mock__write_models(m->profile, m->context, &p->body, err);
    return cfb_mock__jobs_plan(m->jobs, m, in, p, err);
}
