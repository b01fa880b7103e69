/* server.c - the mock as a whole: options, and the way from a request to a plan and from a plan to bytes. */
#include "cfbench/mock.h"

#include "mock/control.h"
#include "mock/jobs.h"
#include "mock/plan.h"
#include "mock/put.h"

#include <stdlib.h>

/* What a thread needs for one request at a time. */
typedef struct scratch {
    cfb_mock__plan plan;
    cfb_buf out; /* head and body */
} scratch;

struct cfb_mock {
    cfb_mock__model model;
    cfb_mock__loop *loop;
    scratch scratch[CFB_MOCK__THREADS];
};

/* ---- life of a request ---- */

static size_t on_arrive(void *ctx, const cfb_mock__head *head, cfb_mock__ticket *t) {
    cfb_mock_t *m = ctx;
    *t = (cfb_mock__ticket){.arrival_ns = cfb_now_ns()};
    cfb_mock__route route = cfb_mock__route_of(head->path);
    t->route = (int)route;
    t->method = (int)cfb_mock__method_of(head->method);
    t->counted = !cfb_mock__route_is_own(route);
    if (t->counted) t->in_flight = cfb_mock__trace_arrive(&m->model.trace, t->arrival_ns);
    return route == CFB_MOCK__ROUTE_FILES ? CFB_MOCK__MAX_FILE + 65536 : CFB_MOCK__MAX_BODY;
}

/* Counts and logs the request. */
static void on_leave(void *ctx, cfb_mock__ticket *t, bool given) {
    cfb_mock_t *m = ctx;
    if (t->admitted) cfb_mock__limit_leave(&m->model.limit);
    if (!t->counted) return;
    if (given && t->good) atomic_store(&t->entry->answered, true);
    cfb_mock__record record = {.arrival_ns = t->arrival_ns,
                               .reply_ns = cfb_now_ns(),
                               .in_flight = t->in_flight,
                               .route = cfb_mock__route_name((cfb_mock__route)t->route),
                               .sha256 = t->entry != NULL ? t->entry->sha256 : NULL,
                               .fault = cfb_mock__fault_name((cfb_mock__fault)t->fault),
                               .try_no = t->try_no,
                               .status = given ? t->status : 0,
                               .tokens_in = given ? t->tokens_in : 0,
                               .tokens_out = given ? t->tokens_out : 0};
    cfb_mock__trace_leave(&m->model.trace, &record);
}

static const char *phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {402, "Payment Required"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {413, "Content Too Large"},
                   {422, "Unprocessable Content"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {529, "Overloaded"}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return "Status";
}

/* Head and body as they leave. *head_len is where the body begins. */
static cfb_code render(const cfb_mock__plan *p, bool keep, cfb_buf *out, size_t *head_len, cfb_err *err) {
    cfb_buf_clear(out);
    cfb_str type = cfb_str_from(p->content_type), words = cfb_str_from(phrase(p->status));
    cfb_code rc = cfb_buf_reserve(out, type.len + words.len + p->headers.len + p->body.len + 256, err);
    if (rc != CFB_OK) return rc;
    char *to = CFB_MOCK__PUT(out->ptr, "HTTP/1.1 ");
    to = cfb_mock__put_num(to, (uint64_t)p->status);
    *to++ = ' ';
    to = cfb_mock__put(to, words.ptr, words.len);
    to = CFB_MOCK__PUT(to, "\r\nContent-Type: ");
    to = cfb_mock__put(to, type.ptr, type.len);
    to = CFB_MOCK__PUT(to, "\r\n");
    to = cfb_mock__put(to, cfb_buf_str(&p->headers).ptr, p->headers.len);
    if (!keep) to = CFB_MOCK__PUT(to, "Connection: close\r\n");
    if (p->chunked) {
        to = CFB_MOCK__PUT(to, "Transfer-Encoding: chunked\r\n\r\n");
    } else {
        to = CFB_MOCK__PUT(to, "Content-Length: ");
        to = cfb_mock__put_num(to, p->body.len);
        to = CFB_MOCK__PUT(to, "\r\n\r\n");
    }
    *head_len = (size_t)(to - out->ptr);
    to = cfb_mock__put(to, cfb_buf_str(&p->body).ptr, p->body.len);
    out->len = (size_t)(to - out->ptr);
    return CFB_OK;
}

static bool on_answer(void *ctx, int thread, int status, const cfb_mock__head *head, cfb_str body, bool too_large,
                      cfb_mock__ticket *t, cfb_mock__reply *r) {
    cfb_mock_t *m = ctx;
    scratch *s = &m->scratch[thread];
    cfb_mock__plan *p = &s->plan;
    cfb_mock__input in = {status, (cfb_mock__route)t->route, (cfb_mock__method)t->method, head, body, too_large, t->arrival_ns};
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_mock__plan_make(&m->model, &in, p, &err);
    t->admitted = p->admitted;
    t->entry = p->entry;
    t->try_no = p->try_no;
    t->fault = (int)p->fault;
    t->status = p->status;
    t->good = p->good && p->entry != NULL;
    t->tokens_in = (uint32_t)p->tokens_in;
    t->tokens_out = (uint32_t)p->tokens_out;
    s->out.max = SIZE_MAX / 4;
    if (s->out.cap > (size_t)1 << 20) cfb_buf_free(&s->out);
    size_t head_len = 0;
    if (rc == CFB_OK) rc = render(p, status == 200 && head->keep_alive, &s->out, &head_len, &err);
    if (rc != CFB_OK) {
        cfb_log(CFB_LOG_ERROR, "mock: a request got no reply: %s", err.msg);
        return false;
    }
    cfb_mock__piece *pieces = (cfb_mock__piece *)(void *)p->pieces.ptr;
    size_t n_pieces = p->pieces.len / sizeof *pieces;
    for (size_t i = 0; i < n_pieces; i++) pieces[i].end += head_len;
    *r = (cfb_mock__reply){cfb_buf_str(&s->out), p->due_ns, pieces, n_pieces, p->end};
    return true;
}

/* ---- start and stop ---- */

/* How it answers: the kind of server, and whether it thinks. */
static cfb_code fill_form(cfb_mock__model *m, const cfb_mock_opts *o, cfb_err *err) {
    static const char *const forms[] = {"off", "think", "field", "hidden"};
    m->profile = cfb_mock__profile_of(o->profile);
    if (m->profile == NULL)
        return cfb_err_set(err, CFB_ECONFIG, "profile '%s' is not one of %s", o->profile, cfb_mock__profile_names);
    int form = 0;
    while (form < 4 && o->reasoning != NULL && strcmp(o->reasoning, forms[form]) != 0) form++;
    if (form == 4) return cfb_err_set(err, CFB_ECONFIG, "reasoning '%s' is not one of off, think, field, hidden", o->reasoning);
    m->thinking = (cfb_mock__thinking)form;
    if (m->context < 0 || m->embed_dim > CFB_MOCK__EMBED_MAX_DIM)
        return cfb_err_set(err, CFB_ECONFIG, "context %lld or dimension %d is out of range", (long long)m->context, m->embed_dim);
    if (!o->prefix_cache) return CFB_OK;
    m->seen = calloc(CFB_MOCK__SEEN_SLOTS, sizeof *m->seen);
    return m->seen != NULL ? CFB_OK : cfb_err_set(err, CFB_ENOMEM, "out of memory");
}

static cfb_code fill_model(cfb_mock__model *m, const cfb_mock_opts *o, cfb_err *err) {
    m->seed = o->seed;
    m->error_rate = o->error_rate;
    m->control = o->control;
    m->context = o->context_tokens;
    m->embed_dim = o->embed_dim > 0 ? o->embed_dim : CFB_MOCK__EMBED_DIM;
    cfb_code rc = fill_form(m, o, err);
    if (rc != CFB_OK) return rc;
    if (!(o->error_rate >= 0 && o->error_rate <= 1))
        return cfb_err_set(err, CFB_ECONFIG, "error rate %g is not in 0..1", o->error_rate);
    cfb_mock__settings s = {.latency_s = o->latency_s,
                            .latency_sigma = o->latency_sigma,
                            .refuse_status = o->refuse_status != 0 ? o->refuse_status : 429,
                            .requests_per_minute = o->requests_per_minute,
                            .tokens_per_minute = o->tokens_per_minute,
                            .quota = o->quota,
                            .ttft_s = o->ttft_s,
                            .tokens_per_s = o->tokens_per_s,
                            .max_inflight = o->max_inflight,
                            .slots = o->slots};
    rc = cfb_mock__faults_parse(o->faults, o->fault_repeats, &s.faults, err);
    if (rc == CFB_OK) rc = cfb_mock__settings_put(m, &s, err);
    if (rc == CFB_OK) rc = cfb_mock__jobs_new(o->batch_delay_s, o->seed, &m->jobs, err);
    if (rc != CFB_OK) return rc;
    if (o->api_key != NULL && (m->api_key = strdup(o->api_key)) == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    rc = cfb_mock__answers_new(&m->answers, err);
    if (rc == CFB_OK && o->script != NULL) {
        rc = cfb_mock__answers_load(m->answers, o->script, err);
        if (rc != CFB_OK) cfb_err_add_context(err, "mock script");
    }
    return rc;
}

cfb_code cfb_mock_start(const cfb_mock_opts *opts, cfb_mock_t **out, cfb_err *err) {
    if (opts->port < 0 || opts->port > 65535) return cfb_err_set(err, CFB_ECONFIG, "port %d is not in 0..65535", opts->port);
    cfb_mock_t *m = calloc(1, sizeof *m);
    if (m == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    atomic_init(&m->model.settings, NULL);
    pthread_mutex_init(&m->model.settings_lock, NULL); /* cannot fail with default attributes */
    cfb_code rc = cfb_mock__limit_init(&m->model.limit, err);
    if (rc != CFB_OK) goto no_limit;
    rc = cfb_mock__trace_init(&m->model.trace, opts->log_path, err);
    if (rc != CFB_OK) goto no_trace;
    rc = fill_model(&m->model, opts, err);
    const cfb_mock__handler handler = {m, on_arrive, on_answer, on_leave};
    if (rc == CFB_OK) rc = cfb_mock__loop_start(opts->port, &handler, &m->loop, err);
    if (rc != CFB_OK) {
        cfb_mock_stop(m);
        return rc;
    }
    *out = m;
    return CFB_OK;

no_trace:
    cfb_mock__limit_destroy(&m->model.limit);
no_limit:
    pthread_mutex_destroy(&m->model.settings_lock);
    free(m);
    return rc;
}

cfb_code cfb_mock_teach(cfb_mock_t *m, const char *prompt_sha256, cfb_str group, cfb_str answer, cfb_err *err) {
    return cfb_mock__answers_teach(m->model.answers, cfb_str_from(prompt_sha256), group, answer, err);
}

cfb_code cfb_mock_teach_prompt(cfb_mock_t *m, cfb_str prompt, cfb_str group, cfb_str answer, cfb_err *err) {
    cfb_mock__entry *e;
    cfb_code rc = cfb_mock__answers_find(m->model.answers, prompt, &e, err);
    return rc == CFB_OK ? cfb_mock_teach(m, e->sha256, group, answer, err) : rc;
}

int cfb_mock_port(const cfb_mock_t *m) { return cfb_mock__loop_port(m->loop); }

void cfb_mock_stop(cfb_mock_t *m) {
    if (m == NULL) return;
    cfb_mock__loop_stop(m->loop);
    cfb_mock__trace_destroy(&m->model.trace);
    cfb_mock__limit_destroy(&m->model.limit);
    cfb_mock__answers_free(m->model.answers);
    cfb_mock__jobs_free(m->model.jobs);
    cfb_mock__settings_free(atomic_load(&m->model.settings));
    pthread_mutex_destroy(&m->model.settings_lock);
    for (int i = 0; i < CFB_MOCK__THREADS; i++) {
        cfb_mock__plan_free(&m->scratch[i].plan);
        cfb_buf_free(&m->scratch[i].out);
    }
    free(m->model.api_key);
    free(m->model.seen);
    free(m);
}
