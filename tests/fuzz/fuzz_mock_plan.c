/* Plans of the mock model: any body, any fault, any profile. The first three bytes choose profile, fault and reasoning; the rest
 * is the body of a chat request. Whatever comes out must be a reply that can be sent. */
#include "cfbench/json.h"
#include "mock/control.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

static cfb_mock__model *make_model(void) {
    static cfb_mock__model m;
    cfb_err err = CFB_ERR_INIT;
    pthread_mutex_init(&m.settings_lock, NULL);
    m.embed_dim = 8;
    m.context = 2000;
    m.seen = calloc(CFB_MOCK__SEEN_SLOTS, sizeof *m.seen);
    check(m.seen != NULL && cfb_mock__answers_new(&m.answers, &err) == CFB_OK);
    check(cfb_mock__limit_init(&m.limit, &err) == CFB_OK && cfb_mock__trace_init(&m.trace, NULL, &err) == CFB_OK);
    const cfb_mock__settings s = {.refuse_status = 429};
    check(cfb_mock__settings_put(&m, &s, &err) == CFB_OK);
    return &m;
}

/* Pieces rise, in bytes and in time. */
static void check_pieces(const cfb_mock__plan *p) {
    const cfb_mock__piece *piece = (const cfb_mock__piece *)(const void *)p->pieces.ptr;
    size_t n = p->pieces.len / sizeof *piece;
    for (size_t i = 0; i < n; i++) {
        check(piece[i].end <= p->body.len && piece[i].at_s >= 0);
        check(i == 0 || (piece[i].end >= piece[i - 1].end && piece[i].at_s >= piece[i - 1].at_s));
    }
    check(n == 0 || p->end != CFB_MOCK__END_KEEP || piece[n - 1].end == p->body.len);
}

static void check_plan(const cfb_mock__plan *p) {
    cfb_str body = cfb_buf_str(&p->body);
    size_t total = 0, content = 0;
    cfb_err err = CFB_ERR_INIT;
    check(p->status >= 200 && p->status < 600 && p->due_ns >= 0);
    check_pieces(p);
    if (p->chunked && p->end == CFB_MOCK__END_KEEP)
        check(cfb_mock__chunks_scan(body, &total, &content) == 200 && total == body.len);
    bool json = strncmp(p->content_type, "application/json", 16) == 0 && !p->chunked && p->fault != CFB_MOCK__FAULT_BADJSON &&
                p->fault != CFB_MOCK__FAULT_GZIP;
    if (json) check(cfb_json_check(body.ptr, body.len, 0, &err) == CFB_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static cfb_mock__model *m;
    static cfb_mock__plan plan;
    static const char *const names[] = {"plain",  "openai",   "azure",  "openrouter", "vllm",
                                        "sglang", "llamacpp", "ollama", "deepseek",   "dashscope"};
    if (size < 3) return 0;
    if (m == NULL) m = make_model();
    m->profile = cfb_mock__profile_of(names[data[0] % 10]);
    m->thinking = (cfb_mock__thinking)(data[2] % 4);
    cfb_mock__settings *s = atomic_load(&m->settings); /* one thread: changed in place */
    int fault = data[1] % CFB_MOCK__FAULT_COUNT;
    s->faults = (cfb_mock__faults){.any = fault != 0};
    s->faults.share[fault] = fault != 0 ? 1 : 0;
    s->tokens_per_s = data[2] & 16 ? 100 : 0;
    s->latency_s = data[2] & 32 ? 1 : 0;
    if (fault == CFB_MOCK__FAULT_HUGE && data[2] & 192) return 0; /* 17 MiB: now and then is enough */
    const cfb_mock__head head = {.accept_encoding = CFB_STR_LIT("gzip")};
    const cfb_mock__input in = {.status = 200,
                                .route = data[2] & 4 ? CFB_MOCK__ROUTE_EMBED : CFB_MOCK__ROUTE_CHAT,
                                .method = CFB_MOCK__POST,
                                .head = &head,
                                .body = {(const char *)data + 3, size - 3}};
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_mock__plan_make(m, &in, &plan, &err);
    check(rc == CFB_OK);
    check_plan(&plan);
    if (plan.admitted) cfb_mock__limit_leave(&m->limit);
    if (data[2] & 8) {
        check(cfb_mock__plan_row(m, in.route, in.body, &plan, &err) == CFB_OK);
        check(cfb_json_check(plan.body.ptr, plan.body.len, 0, &err) == CFB_OK || strcmp(plan.content_type, "text/html") == 0);
    }
    return 0;
}
