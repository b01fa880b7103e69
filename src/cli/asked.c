/* How a run was asked: every call of its store, in numbers and over time. Times are the store's own, so the same store gives the
 * same bytes. */
#include "cli/asked.h"

#include <math.h>
#include <stdlib.h>

#define PAUSE_US ((int64_t)60 * 1000000) /* a longer time without a call is no time of asking */
#define MAX_CLASSES 64

struct call {
    int64_t begin_us, start_us, end_us; /* begin: when it began to wait for the limiter */
    uint32_t task;
    bool failed, refused;
};

/* Time without long pauses. */
struct stretch {
    int64_t begin_us, end_us, before_us; /* before_us: length of all stretches before */
};

struct stretches {
    struct stretch *list;
    size_t n, cap;
    int64_t busy_us;
};

struct task {
    int64_t task_id, n_rows, n_answered;
    unsigned char *asked; /* (n_rows) had a call */
    int64_t n_asked_rows, measured_tokens;
};

struct times {
    int64_t *us; /* (n) */
    uint32_t *task;
    size_t n, cap;
};

struct account {
    cfb_store_t *store;
    cfb_arena_t *arena;
    cfb_report_asking *out;
    cfb_report_asked *asked; /* (n) of the tasks, then (1) of all */
    struct task *tasks;      /* (n) */
    size_t n, cap;
    struct call *calls;
    size_t n_calls, cap_calls;
    struct times latency, ttft;
    const char *classes[MAX_CLASSES];
    uint64_t (*by_class)[MAX_CLASSES]; /* (n + 1) */
    size_t n_classes;
    int64_t measured_tokens, cost;
    bool cost_known;
};

static cfb_code no_memory(cfb_err *err) { return cfb_err_set(err, CFB_ENOMEM, "out of memory"); }

/* Room for one more item. */
static bool grow(void **list, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return true;
    size_t more = *cap ? *cap * 2 : 256;
    void *p = more > SIZE_MAX / size ? NULL : realloc(*list, more * size);
    if (p == NULL) return false;
    *list = p;
    *cap = more;
    return true;
}

/* ---- reading ---- */

static cfb_code on_task(void *ctx, int64_t task_id, const cfb_store_task *t, cfb_err *err) {
    struct account *a = ctx;
    cfb_str name;
    size_t cap = a->cap;
    if (!grow((void **)&a->tasks, a->n, &a->cap, sizeof *a->tasks)) return no_memory(err);
    if (a->cap != cap) {
        cfb_report_asked *p = realloc(a->asked, (a->cap + 1) * sizeof *p);
        if (p == NULL) return no_memory(err);
        a->asked = p;
    }
    struct task *to = &a->tasks[a->n];
    *to = (struct task){.task_id = task_id};
    a->asked[a->n++] = (cfb_report_asked){0}; /* from here on freed with the account */
    cfb_code rc = cfb_arena_dup(a->arena, cfb_str_from(t->name), &name, err);
    if (rc == CFB_OK) rc = cfb_store_count_rows(a->store, task_id, &to->n_rows, err);
    if (rc != CFB_OK) return rc;
    a->asked[a->n - 1].task = name.ptr;
    a->asked[a->n - 1].n_rows = (uint64_t)to->n_rows;
    to->asked = calloc(to->n_rows > 0 ? (size_t)to->n_rows : 1, 1);
    return to->asked ? CFB_OK : no_memory(err);
}

static size_t find_task(const struct account *a, int64_t task_id) {
    size_t low = 0, high = a->n; /* in the order of their numbers */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->tasks[mid].task_id < task_id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < a->n && a->tasks[low].task_id == task_id ? low : SIZE_MAX;
}

static cfb_code class_index(struct account *a, const char *name, size_t *out, cfb_err *err) {
    cfb_str copy;
    for (size_t i = 0; i < a->n_classes; i++)
        if (strcmp(a->classes[i], name) == 0) {
            *out = i;
            return CFB_OK;
        }
    if (a->n_classes == MAX_CLASSES) return cfb_err_set(err, CFB_EDATA, "the run store has too many failure classes");
    cfb_code rc = cfb_arena_dup(a->arena, cfb_str_from(name), &copy, err);
    if (rc != CFB_OK) return rc;
    a->classes[a->n_classes] = copy.ptr;
    *out = a->n_classes++;
    return CFB_OK;
}

static cfb_code add_time(struct times *t, int64_t us, size_t task, cfb_err *err) {
    size_t cap = t->cap;
    if (!grow((void **)&t->us, t->n, &t->cap, sizeof *t->us)) return no_memory(err);
    if (t->cap != cap) {
        uint32_t *p = realloc(t->task, t->cap * sizeof *p);
        if (p == NULL) return no_memory(err);
        t->task = p;
    }
    t->us[t->n] = us;
    t->task[t->n++] = (uint32_t)task;
    return CFB_OK;
}

/* A second answer to a row (no state, no class) is a call, neither reply nor failure. */
static cfb_code add_call(struct account *a, size_t k, const cfb_store_call *c, cfb_err *err) {
    bool failed = c->state == NULL && strcmp(c->fail, "none") != 0;
    if (!grow((void **)&a->calls, a->n_calls, &a->cap_calls, sizeof *a->calls)) return no_memory(err);
    int64_t start_us = c->started_ms * 1000;
    a->calls[a->n_calls++] = (struct call){start_us - (c->wait_us > 0 ? c->wait_us : 0),
                                           start_us,
                                           start_us + (c->latency_us > 0 ? c->latency_us : 0),
                                           (uint32_t)k,
                                           failed,
                                           failed && (strcmp(c->fail, "rate_limit") == 0 || strcmp(c->fail, "overloaded") == 0)};
    a->asked[k].n_calls++;
    a->asked[k].waited_s += (double)c->wait_us; /* us until the end: whole numbers add up exactly */
    if (c->row >= 0 && c->row < a->tasks[k].n_rows && !a->tasks[k].asked[c->row]) {
        a->tasks[k].asked[c->row] = 1;
        a->tasks[k].n_asked_rows++;
    }
    if (!failed) return CFB_OK;
    size_t at = 0;
    cfb_code rc = class_index(a, c->fail, &at, err);
    if (rc != CFB_OK) return rc;
    a->asked[k].n_failed_calls++;
    a->by_class[k][at]++;
    return CFB_OK;
}

static void count_state(cfb_report_asked *t, const char *state) {
    for (int s = 0; s < CFB_ROW_STATE_COUNT; s++)
        if (strcmp(state, cfb_row_state_name((cfb_row_state)s)) == 0) t->n_state[s]++;
}

static void count_tokens(struct account *a, size_t k, const cfb_store_call *c) {
    cfb_report_asked *t = &a->asked[k];
    int64_t *const to[] = {&t->prompt_tokens, &t->completion_tokens, &t->reasoning_tokens, &t->cached_tokens};
    const int64_t from[] = {c->prompt_tokens, c->completion_tokens, c->reasoning_tokens, c->cached_tokens};
    for (int i = 0; i < 4; i++)
        if (from[i] > 0) *to[i] += from[i];
    if (c->prompt_tokens >= 0 || c->completion_tokens >= 0) t->n_counted++;
    if (c->latency_us > 0 && c->completion_tokens > 0) a->tasks[k].measured_tokens += c->completion_tokens;
    if (c->cost < 0) return;
    a->cost_known = true;
    t->cost += (double)c->cost; /* micros until the end */
}

static cfb_code on_call(void *ctx, const cfb_store_call *c, cfb_err *err) {
    struct account *a = ctx;
    size_t k = find_task(a, c->task_id);
    if (k == SIZE_MAX) return CFB_OK;
    if (c->state) {
        count_state(&a->asked[k], c->state);
        a->tasks[k].n_answered++;
    }
    if (c->from_cache) {
        a->asked[k].n_from_cache++;
        return CFB_OK;
    }
    cfb_code rc = add_call(a, k, c, err);
    if (rc != CFB_OK || c->state == NULL) return rc;
    count_tokens(a, k, c);
    if (c->latency_us > 0) { /* results of batch files have none */
        rc = add_time(&a->latency, c->latency_us, k, err);
        a->out->latency_bins[cfb_report_latency_bin(c->latency_us)]++;
    }
    return rc == CFB_OK && c->ttft_us >= 0 ? add_time(&a->ttft, c->ttft_us, k, err) : rc;
}

/* ---- time without pauses ---- */

static int compare_calls(const void *x, const void *y) {
    const struct call *a = x, *b = y;
    if (a->begin_us != b->begin_us) return a->begin_us < b->begin_us ? -1 : 1;
    if (a->start_us != b->start_us) return a->start_us < b->start_us ? -1 : 1;
    if (a->end_us != b->end_us) return a->end_us < b->end_us ? -1 : 1;
    if (a->task != b->task) return a->task < b->task ? -1 : 1;
    return (int)a->failed - (int)b->failed;
}

/* calls are sorted. only: a task's number, or SIZE_MAX for all. */
static cfb_code make_stretches(const struct account *a, size_t only, struct stretches *s, cfb_err *err) {
    s->n = 0;
    s->busy_us = 0;
    for (size_t i = 0; i < a->n_calls; i++) {
        const struct call *c = &a->calls[i];
        if (only != SIZE_MAX && c->task != only) continue;
        struct stretch *last = s->n ? &s->list[s->n - 1] : NULL;
        if (last && c->begin_us <= last->end_us + PAUSE_US) {
            if (c->end_us > last->end_us) last->end_us = c->end_us;
            continue;
        }
        if (!grow((void **)&s->list, s->n, &s->cap, sizeof *s->list)) return no_memory(err);
        int64_t before = s->n ? s->list[s->n - 1].before_us + s->list[s->n - 1].end_us - s->list[s->n - 1].begin_us : 0;
        s->list[s->n++] = (struct stretch){c->begin_us, c->end_us, before};
    }
    if (s->n > 0) s->busy_us = s->list[s->n - 1].before_us + s->list[s->n - 1].end_us - s->list[s->n - 1].begin_us;
    return CFB_OK;
}

/* A moment as time of asking. False: it lies in a pause. */
static bool active_us(const struct stretches *s, int64_t us, int64_t *out) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->list[mid].end_us < us)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == s->n || us < s->list[low].begin_us) return false;
    *out = s->list[low].before_us + us - s->list[low].begin_us;
    return true;
}

/* ---- sums ---- */

static int compare_us(const void *x, const void *y) {
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

/* scratch holds as many values as t. */
static void quantiles(const struct times *t, size_t only, int64_t *scratch, cfb_report_times *out) {
    static const uint64_t thousandths[] = {
#define CFB_X(NAME, name, k) k,
        CFB_REPORT_QUANTILE_MAP(CFB_X)
#undef CFB_X
    };
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (only == SIZE_MAX || t->task[i] == only) scratch[n++] = t->us[i];
    if (n > 0) qsort(scratch, n, sizeof *scratch, compare_us);
    out->n = n;
    for (int q = 0; q < CFB_REPORT_QUANTILE_COUNT; q++) {
        uint64_t rank = ((uint64_t)n * thousandths[q] + 999) / 1000;
        out->s[q] = n ? (double)scratch[rank - 1] / 1e6 : NAN;
    }
}

static void add_up(cfb_report_asked *sum, const cfb_report_asked *t) {
    sum->n_rows += t->n_rows;
    for (int s = 0; s < CFB_ROW_STATE_COUNT; s++) sum->n_state[s] += t->n_state[s];
    sum->n_calls += t->n_calls;
    sum->n_retries += t->n_retries;
    sum->n_failed_calls += t->n_failed_calls;
    sum->n_from_cache += t->n_from_cache;
    sum->waited_s += t->waited_s;
    sum->n_counted += t->n_counted;
    sum->prompt_tokens += t->prompt_tokens;
    sum->completion_tokens += t->completion_tokens;
    sum->reasoning_tokens += t->reasoning_tokens;
    sum->cached_tokens += t->cached_tokens;
    sum->cost += t->cost;
}

/* Units, rates, percentiles. only: SIZE_MAX for all. */
static void finish_sums(const struct account *a, cfb_report_asked *t, size_t only, const struct stretches *s, int64_t tokens,
                        int64_t *scratch) {
    t->waited_s /= 1e6;
    t->cost = a->cost_known ? t->cost / 1e6 : NAN;
    t->busy_s = (double)s->busy_us / 1e6;
    t->calls_per_s = s->busy_us > 0 ? (double)t->n_calls / t->busy_s : NAN;
    t->tokens_per_s = s->busy_us > 0 && t->n_counted > 0 ? (double)tokens / t->busy_s : NAN;
    quantiles(&a->latency, only, scratch, &t->latency);
    quantiles(&a->ttft, only, scratch, &t->ttft);
}

static cfb_code make_sums(struct account *a, struct stretches *s, cfb_err *err) {
    size_t most = a->latency.n > a->ttft.n ? a->latency.n : a->ttft.n;
    int64_t *scratch = malloc((most ? most : 1) * sizeof *scratch), tokens = 0;
    cfb_report_asked *all = &a->asked[a->n];
    cfb_code rc = scratch ? CFB_OK : no_memory(err);
    *all = (cfb_report_asked){0};
    for (size_t k = 0; k < a->n && rc == CFB_OK; k++) {
        cfb_report_asked *t = &a->asked[k];
        t->n_state[CFB_ROW_FAILED] = (uint64_t)(a->tasks[k].n_rows - a->tasks[k].n_answered);
        t->n_retries = t->n_calls - (uint64_t)a->tasks[k].n_asked_rows;
        tokens += a->tasks[k].measured_tokens;
        add_up(all, t);
        rc = make_stretches(a, k, s, err);
        if (rc == CFB_OK) finish_sums(a, t, k, s, a->tasks[k].measured_tokens, scratch);
    }
    if (rc == CFB_OK) rc = make_stretches(a, SIZE_MAX, s, err); /* stays: the time series is made from it */
    if (rc == CFB_OK) finish_sums(a, all, SIZE_MAX, s, tokens, scratch);
    free(scratch);
    return rc;
}

/* Most frequent class first, then by name. */
static cfb_code sort_classes(struct account *a, cfb_err *err) {
    size_t order[MAX_CLASSES], n = a->n_classes;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < a->n; k++) a->by_class[a->n][i] += a->by_class[k][i];
    const uint64_t *sum = a->by_class[a->n];
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            size_t p = order[at - 1];
            if (sum[p] > sum[i] || (sum[p] == sum[i] && strcmp(a->classes[p], a->classes[i]) < 0)) break;
            order[at] = p;
        }
        order[at] = i;
    }
    const char **names = cfb_arena_calloc(a->arena, n + 1, sizeof *names);
    uint64_t *counts = cfb_arena_calloc(a->arena, (a->n + 1) * (n + 1), sizeof *counts);
    if (names == NULL || counts == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++) names[i] = a->classes[order[i]];
    for (size_t k = 0; k <= a->n; k++) {
        for (size_t i = 0; i < n; i++) counts[k * n + i] = a->by_class[k][order[i]];
        a->asked[k].n_by_class = counts + k * n;
    }
    a->out->classes = names;
    a->out->n_classes = n;
    return CFB_OK;
}

/* ---- time series ---- */

struct grid {
    const struct stretches *s;
    int64_t width_us;
    size_t n;
    cfb_report_point *points;
};

static size_t slot_of(const struct grid *g, int64_t at_us) {
    size_t i = (size_t)(at_us / g->width_us);
    return i < g->n ? i : g->n - 1;
}

/* A round interval that gives at most CFB_REPORT_POINTS points: 10, 20, 50, 100 ms ... */
static int64_t choose_width(int64_t busy_us) {
    int64_t unit = 10000;
    for (;; unit *= 10)
        for (int k = 0; k < 3; k++) {
            int64_t width = unit * (k == 0 ? 1 : k == 1 ? 2 : 5);
            if (busy_us / width < CFB_REPORT_POINTS) return width;
        }
}

static void add_ends(const struct account *a, struct grid *g) {
    for (size_t i = 0; i < a->n_calls; i++) {
        const struct call *c = &a->calls[i];
        int64_t start = 0, end = 0;
        if (!active_us(g->s, c->start_us, &start) || !active_us(g->s, c->end_us, &end)) continue;
        cfb_report_point *p = &g->points[slot_of(g, end)];
        p->n_replies += !c->failed;
        p->n_failures += c->failed;
        p->n_refusals += c->refused;
        for (size_t k = slot_of(g, start); k <= slot_of(g, end); k++) { /* us until the end */
            int64_t from = (int64_t)k * g->width_us, to = from + g->width_us;
            if (from < start) from = start;
            if (to > end) to = end;
            if (to > from) g->points[k].in_flight += (double)(to - from);
        }
    }
    for (size_t k = 0; k < g->n; k++) {
        int64_t left = g->s->busy_us - (int64_t)k * g->width_us; /* the last interval may be shorter */
        if (left > 0) g->points[k].in_flight /= (double)(left < g->width_us ? left : g->width_us);
    }
    for (size_t i = 1; i < g->s->n; i++) g->points[slot_of(g, g->s->list[i].before_us)].resumed = true;
}

struct sampling {
    struct account *a;
    struct grid *g;
};

/* The first sample comes just before the first call, the last one when the last call has ended. */
static bool near_active_us(const struct stretches *s, int64_t us, int64_t *out) {
    const int64_t slack_us = 1000000;
    if (active_us(s, us, out)) return true;
    for (size_t i = s->n; i-- > 0;) {
        if (us > s->list[i].end_us + slack_us) return false;
        bool after = us > s->list[i].end_us;
        if (!after && us < s->list[i].begin_us - slack_us) continue;
        *out = s->list[i].before_us + (after ? s->list[i].end_us - s->list[i].begin_us : 0);
        return true;
    }
    return false;
}

static cfb_code on_sample(void *ctx, const cfb_store_sample *p, cfb_err *err) {
    struct sampling *s = ctx;
    int64_t at = 0;
    cfb_str phase;
    if (p->limit <= 0 || !near_active_us(s->g->s, p->wall_ms * 1000, &at)) return CFB_OK; /* 0: a run with nothing to ask */
    cfb_report_point *to = &s->g->points[slot_of(s->g, at)];
    if (to->phase == NULL || strcmp(to->phase, p->phase) != 0) {
        cfb_code rc = cfb_arena_dup(s->a->arena, cfb_str_from(p->phase), &phase, err);
        if (rc != CFB_OK) return rc;
        to->phase = phase.ptr;
    }
    to->limit = (double)p->limit;
    if (!(to->limit_low <= to->limit)) to->limit_low = to->limit;
    return CFB_OK;
}

/* Samples are a second apart: what is between them is as it was, up to a pause. */
static void fill_between_samples(struct grid *g) {
    for (size_t k = 0; k < g->n; k++) {
        cfb_report_point *p = &g->points[k];
        if (p->phase || k == 0 || p->resumed) continue;
        p->phase = p[-1].phase;
        p->limit = p->limit_low = p[-1].limit;
    }
}

struct measured {
    size_t slot;
    int64_t us;
};

static int compare_measured(const void *x, const void *y) {
    const struct measured *a = x, *b = y;
    if (a->slot != b->slot) return a->slot < b->slot ? -1 : 1;
    return a->us < b->us ? -1 : a->us > b->us;
}

static double nearest_rank(const struct measured *m, size_t n, size_t thousandths) {
    return (double)m[(n * thousandths + 999) / 1000 - 1].us / 1e6;
}

static cfb_code add_latencies(const struct account *a, struct grid *g, cfb_err *err) {
    struct measured *m = malloc((a->n_calls ? a->n_calls : 1) * sizeof *m);
    size_t n = 0;
    if (m == NULL) return no_memory(err);
    for (size_t i = 0; i < a->n_calls; i++) {
        const struct call *c = &a->calls[i];
        int64_t end = 0;
        if (c->failed || c->end_us == c->start_us || !active_us(g->s, c->end_us, &end)) continue;
        m[n++] = (struct measured){slot_of(g, end), c->end_us - c->start_us};
    }
    if (n > 0) qsort(m, n, sizeof *m, compare_measured);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i; next < n && m[next].slot == m[i].slot;) next++;
        cfb_report_point *p = &g->points[m[i].slot];
        p->p50_s = nearest_rank(m + i, next - i, 500);
        p->p90_s = nearest_rank(m + i, next - i, 900);
        p->max_s = (double)m[next - 1].us / 1e6;
    }
    free(m);
    return CFB_OK;
}

static int compare_dots(const void *x, const void *y) {
    const cfb_report_dot *a = x, *b = y;
    if (a->at_s != b->at_s) return a->at_s < b->at_s ? -1 : 1;
    if (a->latency_s != b->latency_s) return a->latency_s < b->latency_s ? -1 : 1;
    return (int)a->failed - (int)b->failed;
}

/* Every so many calls one, in the order of their starts; so many of the failures that the few of a good run are all there. */
static cfb_code sample_dots(struct account *a, const struct stretches *s, cfb_err *err) {
    size_t n_of[2] = {0, 0}, seen[2] = {0, 0}, n = 0;
    const size_t most[2] = {CFB_REPORT_DOTS * 3 / 4, CFB_REPORT_DOTS / 4};
    cfb_report_dot *dots = cfb_arena_calloc(a->arena, CFB_REPORT_DOTS, sizeof *dots);
    if (dots == NULL) return no_memory(err);
    for (size_t i = 0; i < a->n_calls; i++) n_of[a->calls[i].failed] += a->calls[i].end_us > a->calls[i].start_us;
    for (size_t i = 0; i < a->n_calls; i++) {
        const struct call *c = &a->calls[i];
        int64_t end = 0;
        if (c->end_us == c->start_us || !active_us(s, c->end_us, &end)) continue;
        size_t step = (n_of[c->failed] + most[c->failed] - 1) / most[c->failed];
        if (seen[c->failed]++ % step != 0) continue;
        dots[n++] = (cfb_report_dot){(double)end / 1e6, (double)(c->end_us - c->start_us) / 1e6, c->failed};
    }
    if (n > 0) qsort(dots, n, sizeof *dots, compare_dots);
    a->out->dots = dots;
    a->out->n_dots = n;
    return CFB_OK;
}

static cfb_code make_series(struct account *a, const struct stretches *s, cfb_err *err) {
    if (s->busy_us <= 0) return CFB_OK;
    struct grid g = {.s = s, .width_us = choose_width(s->busy_us)};
    g.n = (size_t)((s->busy_us + g.width_us - 1) / g.width_us);
    g.points = cfb_arena_calloc(a->arena, g.n, sizeof *g.points);
    if (g.points == NULL) return no_memory(err);
    for (size_t k = 0; k < g.n; k++)
        g.points[k].limit = g.points[k].limit_low = g.points[k].p50_s = g.points[k].p90_s = g.points[k].max_s = NAN;
    struct sampling sampling = {a, &g};
    add_ends(a, &g);
    cfb_code rc = cfb_store_each_sample(a->store, on_sample, &sampling, err);
    fill_between_samples(&g);
    if (rc == CFB_OK) rc = add_latencies(a, &g, err);
    if (rc == CFB_OK) rc = sample_dots(a, s, err);
    a->out->interval_s = (double)g.width_us / 1e6;
    a->out->points = g.points;
    a->out->n_points = g.n;
    return rc;
}

/* ---- the whole ---- */

static cfb_code time_text(struct account *a, int64_t us, const char **out, cfb_err *err) {
    char text[24];
    cfb_str copy;
    cfb_format_utc(us / 1000, text);
    cfb_code rc = cfb_arena_dup(a->arena, cfb_str_from(text), &copy, err);
    if (rc == CFB_OK) *out = copy.ptr;
    return rc;
}

static cfb_code publish(struct account *a, const struct stretches *s, cfb_err *err) {
    cfb_report_asked *tasks = cfb_arena_calloc(a->arena, a->n + 1, sizeof *tasks);
    if (tasks == NULL) return no_memory(err);
    memcpy(tasks, a->asked, a->n * sizeof *tasks);
    a->out->tasks = tasks;
    a->out->n_tasks = a->n;
    a->out->all = a->asked[a->n];
    if (s->n == 0) return CFB_OK;
    cfb_code rc = time_text(a, s->list[0].begin_us, &a->out->first_call, err);
    return rc == CFB_OK ? time_text(a, s->list[s->n - 1].end_us, &a->out->last_call, err) : rc;
}

static void free_account(struct account *a) {
    for (size_t k = 0; k < a->n; k++) free(a->tasks[k].asked);
    free(a->tasks);
    free(a->asked);
    free(a->by_class);
    free(a->calls);
    free(a->latency.us);
    free(a->latency.task);
    free(a->ttft.us);
    free(a->ttft.task);
}

cfb_code cfb_cli_asked(cfb_store_t *store, const char *source, const char *model, const char *setting, cfb_arena_t *arena,
                       cfb_report_asking *out, cfb_err *err) {
    struct account a = {.store = store, .arena = arena, .out = out};
    struct stretches s = {0};
    *out = (cfb_report_asking){.source = source, .model = model, .setting = setting};
    cfb_code rc = cfb_store_each_task(store, on_task, &a, err);
    if (rc == CFB_OK && a.asked == NULL && (a.asked = calloc(1, sizeof *a.asked)) == NULL) rc = no_memory(err);
    if (rc == CFB_OK && (a.by_class = calloc(a.n + 1, sizeof *a.by_class)) == NULL) rc = no_memory(err);
    if (rc == CFB_OK) rc = cfb_store_each_call(store, on_call, &a, err);
    if (rc == CFB_OK && a.n_calls > 0) qsort(a.calls, a.n_calls, sizeof *a.calls, compare_calls);
    if (rc == CFB_OK) rc = make_sums(&a, &s, err);
    if (rc == CFB_OK) rc = sort_classes(&a, err);
    if (rc == CFB_OK) rc = make_series(&a, &s, err);
    if (rc == CFB_OK) rc = publish(&a, &s, err);
    if (rc == CFB_OK) rc = cfb_cli_asked_settings(store, arena, out, err);
    free(s.list);
    free_account(&a);
    return rc;
}
