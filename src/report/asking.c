/* asking.c - how runs were asked: numbers that every form of report shows, JSON, Markdown, the lines of the terminal. */
#include "cfbench/json.h"
#include "report/asking.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *const report_quantile_name[CFB_REPORT_QUANTILE_COUNT] = {
#define CFB_X(NAME, name, thousandths) name,
    CFB_REPORT_QUANTILE_MAP(CFB_X)
#undef CFB_X
};

const char *report_quantile_label(const report_out *o, int q) {
    static const char *const labels[CFB_REPORT_MAX] = {"p50", "p90", "p99", "p99.9"};
    return q < CFB_REPORT_MAX ? labels[q] : WORD(o, LONGEST);
}

/* ---- bins of latencies: the exponent of two, and quarters of it; exact for any library's log ---- */

static const double quarter[4] = {1, 1.189207115002721, 1.4142135623730951, 1.681792830507429}; /* 2^(k/4) */

size_t cfb_report_latency_bin(int64_t us) {
    unsigned e = 0, k = 0;
    if (us < 1) return 0;
    for (int64_t v = us; v > 1; v >>= 1) e++;
    double rest = ldexp((double)us, -(int)e);
    while (k < 3 && rest >= quarter[k + 1]) k++;
    size_t bin = (size_t)e * 4 + k;
    return bin < CFB_REPORT_LATENCY_BINS ? bin : CFB_REPORT_LATENCY_BINS - 1;
}

double cfb_report_latency_edge_s(size_t bin) { return ldexp(quarter[bin % 4], (int)(bin / 4)) / 1e6; }

/* ---- numbers as text ---- */

cfb_str report_seconds(double s, char scratch[48]) {
    int n;
    if (s != s)
        return CFB_STR_LIT("-");
    else if (s == 0)
        return CFB_STR_LIT("0 s");
    else if (s < 0.9995e-3)
        n = snprintf(scratch, 48, "%.0f µs", s * 1e6);
    else if (s < 0.9995)
        n = snprintf(scratch, 48, s < 9.95e-3 ? "%.1f ms" : "%.0f ms", s * 1e3);
    else if (s < 99.95)
        n = snprintf(scratch, 48, s < 9.995 ? "%.2f s" : "%.1f s", s);
    else if (s < 99.95 * 60)
        n = snprintf(scratch, 48, "%.1f min", s / 60);
    else
        n = snprintf(scratch, 48, "%.1f h", s / 3600);
    return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
}

cfb_str report_rate(double v, char scratch[48]) {
    if (v != v) return CFB_STR_LIT("-");
    if (v >= 999.5) return report_count((uint64_t)(v + 0.5), scratch);
    int n = snprintf(scratch, 48, v < 9.995 ? "%.2f" : v < 99.95 ? "%.1f" : "%.0f", v);
    return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
}

cfb_str report_large(int64_t n, char scratch[48]) {
    static const char units[] = "MGTPE";
    double v = (double)(n > 0 ? n : 0) / 1e6;
    size_t u = 0;
    if (v < 1) return report_count(n > 0 ? (uint64_t)n : 0, scratch);
    for (; v >= 999.5 && units[u + 1]; u++) v /= 1000;
    int len = snprintf(scratch, 48, v < 9.995 ? "%.2f %c" : v < 99.95 ? "%.1f %c" : "%.0f %c", v, units[u]);
    return (cfb_str){scratch, len > 0 && len < 48 ? (size_t)len : 0};
}

cfb_str report_cost(double v, char scratch[48]) {
    if (v != v) return CFB_STR_LIT("-");
    int n = snprintf(scratch, 48, v < 1 ? "%.6f" : "%.2f", v);
    return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
}

static cfb_str count(int64_t n, char scratch[48]) { return report_count(n > 0 ? (uint64_t)n : 0, scratch); }

/* ---- the account as a table ---- */

const char *report_asked_head(const report_out *o, report_asked_column c) {
    switch (c) {
#define REPORT_X(NAME, word) \
    case REPORT_ASKED_##NAME: return WORD(o, word);
        REPORT_ASKED_MAP(REPORT_X)
#undef REPORT_X
    default: return "";
    }
}

cfb_str report_asked_cell(const cfb_report_asked *t, report_asked_column c, char scratch[48]) {
    switch (c) {
    case REPORT_ASKED_TASK: return cfb_str_from(t->task ? t->task : "all");
    case REPORT_ASKED_CALLS: return report_count(t->n_calls, scratch);
    case REPORT_ASKED_FAILED: return report_count(t->n_failed_calls, scratch);
    case REPORT_ASKED_RETRIES: return report_count(t->n_retries, scratch);
    case REPORT_ASKED_CACHE: return report_count(t->n_from_cache, scratch);
    case REPORT_ASKED_WAITED: return report_seconds(t->waited_s, scratch);
    case REPORT_ASKED_IN: return t->n_counted ? count(t->prompt_tokens, scratch) : CFB_STR_LIT("-");
    case REPORT_ASKED_OUT: return t->n_counted ? count(t->completion_tokens, scratch) : CFB_STR_LIT("-");
    case REPORT_ASKED_REASONING: return count(t->reasoning_tokens, scratch);
    case REPORT_ASKED_CACHED: return count(t->cached_tokens, scratch);
    case REPORT_ASKED_PER_S: return report_rate(t->tokens_per_s, scratch);
    case REPORT_ASKED_COST: return report_cost(t->cost, scratch);
    default: return CFB_STR_LIT("");
    }
}

unsigned report_asked_columns(const cfb_report_asking *a) {
    unsigned mask = (1u << REPORT_ASKED_COUNT) - 1;
    if (a->all.n_from_cache == 0) mask &= ~(1u << REPORT_ASKED_CACHE);
    if (a->all.reasoning_tokens == 0) mask &= ~(1u << REPORT_ASKED_REASONING);
    if (a->all.cached_tokens == 0) mask &= ~(1u << REPORT_ASKED_CACHED);
    if (a->all.cost != a->all.cost) mask &= ~(1u << REPORT_ASKED_COST);
    return mask;
}

/* ---- terminal ---- */

static void put_number(report_out *o, const char *before, cfb_str s, const char *behind) {
    report_put(o, before);
    report_put_str(o, s);
    report_put(o, behind);
}

static void put_classes(report_out *o, const cfb_report_asking *a) {
    char scratch[48];
    for (size_t i = 0; i < a->n_classes && i < 3; i++) {
        report_put(o, i == 0 ? WORD(o, PAREN) : WORD(o, COMMA));
        report_textz(o, REPORT_TERMINAL, a->classes[i]);
        put_number(o, " ", report_count(a->all.n_by_class[i], scratch), "");
    }
    if (a->n_classes > 3) report_putf(o, "%s...", WORD(o, COMMA));
    if (a->n_classes > 0) report_put(o, WORD(o, PAREN_END));
}

void report_asking_lines(report_out *o, const cfb_report_asking *a) {
    const cfb_report_asked *t = &a->all;
    char scratch[48];
    put_number(o, WORD(o, ASKING_LINE), report_count(t->n_calls, scratch),
               t->n_calls == 1 ? WORD(o, CALL_IN) : WORD(o, CALLS_IN));
    put_number(o, "", report_seconds(t->busy_s, scratch), "");
    put_number(o, WORD(o, FAILED_BEFORE), report_count(t->n_failed_calls, scratch), WORD(o, FAILED_BEHIND));
    put_classes(o, a);
    put_number(o, WORD(o, COMMA), report_count(t->n_retries, scratch),
               t->n_retries == 1 ? WORD(o, RETRY) : WORD(o, RETRIES_UNIT));
    if (t->n_from_cache) put_number(o, WORD(o, COMMA), report_count(t->n_from_cache, scratch), WORD(o, FROM_THE_CACHE));
    put_number(o, WORD(o, WAITED_BEFORE), report_seconds(t->waited_s, scratch), "\n");
    put_number(o, WORD(o, LATENCY_LINE), report_seconds(t->latency.s[CFB_REPORT_P50], scratch), "");
    put_number(o, WORD(o, P99_BEFORE), report_seconds(t->latency.s[CFB_REPORT_P99], scratch), "");
    put_number(o, WORD(o, TOKENS_BEFORE), count(t->prompt_tokens, scratch), "");
    put_number(o, WORD(o, OUT_BEFORE), count(t->completion_tokens, scratch), "");
    if (t->cached_tokens) put_number(o, WORD(o, CACHED_BEFORE), count(t->cached_tokens, scratch), "");
    if (t->tokens_per_s == t->tokens_per_s)
        put_number(o, WORD(o, PAREN), report_rate(t->tokens_per_s, scratch), WORD(o, A_SECOND));
    if (t->cost == t->cost) {
        put_number(o, WORD(o, COST_BEFORE), report_cost(t->cost, scratch), "");
        report_put(o, a->currency ? " " : "");
        report_textz(o, REPORT_TERMINAL, a->currency);
    }
    report_put(o, "\n");
}

/* ---- Markdown ---- */

static void put_row(report_out *o, const cfb_report_asked *t, unsigned mask) {
    char scratch[48];
    report_put(o, "|");
    for (int c = 0; c < REPORT_ASKED_COUNT; c++) {
        if ((mask >> c & 1) == 0) continue;
        report_put(o, " ");
        if (c == REPORT_ASKED_TASK && t->task == NULL)
            report_put(o, WORD(o, ALL));
        else
            (void)report_text(o, REPORT_MARKDOWN, report_asked_cell(t, (report_asked_column)c, scratch), 0);
        report_put(o, " |");
    }
    report_put(o, "\n");
}

static void put_times(report_out *o, const char *name, const cfb_report_times *t) {
    char scratch[48];
    report_put(o, "| ");
    report_textz(o, REPORT_MARKDOWN, name);
    put_number(o, " | ", report_count(t->n, scratch), " |");
    for (int q = 0; q < CFB_REPORT_QUANTILE_COUNT; q++) put_number(o, " ", report_seconds(t->s[q], scratch), " |");
    report_put(o, "\n");
}

static void put_markdown(report_out *o, const cfb_report *r, const cfb_report_asking *a) {
    unsigned mask = report_asked_columns(a);
    char scratch[48], name[64];
    report_putf(o, "\n## %s", WORD(o, ASKING));
    if (r->n_asking > 1) {
        report_put(o, WORD(o, COLON));
        report_textz(o, REPORT_MARKDOWN, a->source);
    }
    report_put(o, "\n\n|");
    for (int c = 0; c < REPORT_ASKED_COUNT; c++)
        if (mask >> c & 1) report_putf(o, " %s |", report_asked_head(o, (report_asked_column)c));
    report_put(o, "\n|");
    for (int c = 0; c < REPORT_ASKED_COUNT; c++)
        if (mask >> c & 1) report_put(o, c == REPORT_ASKED_TASK ? " --- |" : " ---: |");
    report_put(o, "\n");
    for (size_t i = 0; i < a->n_tasks; i++) put_row(o, &a->tasks[i], mask);
    put_row(o, &a->all, mask);
    report_putf(o, "\n| %s | %s |", WORD(o, LATENCY_OF_REPLIES), WORD(o, REPLIES));
    for (int q = 0; q < CFB_REPORT_QUANTILE_COUNT; q++) report_putf(o, " %s |", report_quantile_label(o, q));
    report_put(o, "\n| --- | ---: |");
    report_repeat(o, " ---: |", CFB_REPORT_QUANTILE_COUNT);
    report_put(o, "\n");
    for (size_t i = 0; i < a->n_tasks; i++) put_times(o, a->tasks[i].task, &a->tasks[i].latency);
    put_times(o, WORD(o, ALL), &a->all.latency);
    snprintf(name, sizeof name, "%s%s%s", WORD(o, ALL), WORD(o, COLON), WORD(o, TO_FIRST_TEXT));
    if (a->all.ttft.n) put_times(o, name, &a->all.ttft);
    report_put(o, "\n");
    put_number(o, WORD(o, ASKED_FOR_LINE), report_seconds(a->all.busy_s, scratch), "");
    put_number(o, WORD(o, COMMA), report_rate(a->all.calls_per_s, scratch), WORD(o, CALLS_PER_S));
    for (size_t i = 0; i < a->n_classes; i++) {
        report_put(o, i == 0 ? WORD(o, FAILED_CALLS_LINE) : WORD(o, COMMA));
        report_textz(o, REPORT_MARKDOWN, a->classes[i]);
        put_number(o, " ", report_count(a->all.n_by_class[i], scratch), "");
    }
    report_putf(o, "%s\n", a->n_classes ? WORD(o, STOP) : "");
}

void report_asking_markdown(report_out *o, const cfb_report *r) {
    for (size_t i = 0; i < r->n_asking; i++) put_markdown(o, r, &r->asking[i]);
}

/* ---- JSON ---- */

static void write_times(cfb_jw *w, const char *key, const cfb_report_times *t) {
    char name[16];
    cfb_jw_key(w, key);
    cfb_jw_obj(w);
    cfb_jw_member_count(w, "n", t->n);
    for (int q = 0; q < CFB_REPORT_QUANTILE_COUNT; q++) {
        snprintf(name, sizeof name, "%s_s", report_quantile_name[q]);
        cfb_jw_member_num(w, name, t->s[q]);
    }
    cfb_jw_end_obj(w);
}

static void write_asked(cfb_jw *w, const cfb_report_asking *a, const cfb_report_asked *t) {
#define CFB_X(NAME, name) name,
    static const char *const states[] = {CFB_ROW_STATE_MAP(CFB_X)};
#undef CFB_X
    cfb_jw_obj(w);
    cfb_jw_member_strz(w, "task", t->task ? t->task : "all");
    cfb_jw_member_count(w, "rows", t->n_rows);
    cfb_jw_key(w, "states");
    cfb_jw_obj(w);
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) cfb_jw_member_count(w, states[i], t->n_state[i]);
    cfb_jw_end_obj(w);
    cfb_jw_member_count(w, "calls", t->n_calls);
    cfb_jw_member_count(w, "retries", t->n_retries);
    cfb_jw_member_count(w, "from_cache", t->n_from_cache);
    cfb_jw_member_count(w, "failed_calls", t->n_failed_calls);
    cfb_jw_key(w, "failed_calls_by_class");
    cfb_jw_obj(w);
    for (size_t i = 0; i < a->n_classes; i++)
        if (t->n_by_class[i]) cfb_jw_member_count(w, a->classes[i], t->n_by_class[i]);
    cfb_jw_end_obj(w);
    cfb_jw_member_num(w, "waited_for_limiter_s", t->waited_s);
    cfb_jw_member_count(w, "replies_with_usage", t->n_counted);
    cfb_jw_member_count(w, "prompt_tokens", (uint64_t)t->prompt_tokens);
    cfb_jw_member_count(w, "completion_tokens", (uint64_t)t->completion_tokens);
    cfb_jw_member_count(w, "reasoning_tokens", (uint64_t)t->reasoning_tokens);
    cfb_jw_member_count(w, "cached_tokens", (uint64_t)t->cached_tokens);
    cfb_jw_member_num(w, "cost", t->cost);
    cfb_jw_member_num(w, "asking_s", t->busy_s);
    cfb_jw_member_num(w, "calls_per_s", t->calls_per_s);
    cfb_jw_member_num(w, "completion_tokens_per_s", t->tokens_per_s);
    write_times(w, "latency", &t->latency);
    write_times(w, "time_to_first_text", &t->ttft);
    cfb_jw_end_obj(w);
}

static void write_point(cfb_jw *w, const cfb_report_point *p, double at_s) {
    cfb_jw_obj(w);
    cfb_jw_member_num(w, "at_s", at_s);
    cfb_jw_member_num(w, "in_flight", p->in_flight);
    cfb_jw_member_num(w, "limit", p->limit);
    cfb_jw_member_num(w, "limit_low", p->limit_low);
    cfb_jw_member_strz(w, "phase", p->phase);
    cfb_jw_member_count(w, "replies", p->n_replies);
    cfb_jw_member_count(w, "failures", p->n_failures);
    cfb_jw_member_count(w, "refusals", p->n_refusals);
    cfb_jw_member_num(w, "latency_p50_s", p->p50_s);
    cfb_jw_member_num(w, "latency_p90_s", p->p90_s);
    cfb_jw_member_num(w, "latency_max_s", p->max_s);
    cfb_jw_key(w, "resumed");
    cfb_jw_bool(w, p->resumed);
    cfb_jw_end_obj(w);
}

static void write_bins(cfb_jw *w, const cfb_report_asking *a) {
    cfb_jw_key(w, "latency_histogram");
    cfb_jw_arr(w);
    for (size_t i = 0; i < CFB_REPORT_LATENCY_BINS; i++) {
        if (a->latency_bins[i] == 0) continue;
        cfb_jw_obj(w);
        cfb_jw_member_num(w, "from_s", cfb_report_latency_edge_s(i));
        cfb_jw_member_num(w, "to_s", cfb_report_latency_edge_s(i + 1));
        cfb_jw_member_count(w, "replies", a->latency_bins[i]);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_made(cfb_jw *w, const cfb_report_asking *a) {
    cfb_jw_key(w, "settings");
    cfb_jw_arr(w);
    for (size_t i = 0; i < a->n_settings; i++) {
        cfb_jw_obj(w);
        cfb_jw_member_strz(w, "name", a->settings[i].name);
        cfb_jw_member_strz(w, "value", a->settings[i].value);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
    cfb_jw_key(w, "commands");
    cfb_jw_arr(w);
    for (size_t i = 0; i < a->n_commands; i++) cfb_jw_strz(w, a->commands[i]);
    cfb_jw_end_arr(w);
}

static void write_asking(cfb_jw *w, const cfb_report_asking *a) {
    cfb_jw_obj(w);
    cfb_jw_member_strz(w, "source", a->source);
    cfb_jw_member_strz(w, "model", a->model);
    cfb_jw_member_strz(w, "setting", a->setting);
    cfb_jw_member_strz(w, "first_call", a->first_call);
    cfb_jw_member_strz(w, "last_call", a->last_call);
    cfb_jw_member_strz(w, "currency", a->currency);
    cfb_jw_key(w, "all");
    write_asked(w, a, &a->all);
    cfb_jw_key(w, "tasks");
    cfb_jw_arr(w);
    for (size_t i = 0; i < a->n_tasks; i++) write_asked(w, a, &a->tasks[i]);
    cfb_jw_end_arr(w);
    cfb_jw_member_num(w, "interval_s", a->interval_s);
    cfb_jw_key(w, "series");
    cfb_jw_arr(w);
    for (size_t i = 0; i < a->n_points; i++) write_point(w, &a->points[i], (double)i * a->interval_s);
    cfb_jw_end_arr(w);
    write_bins(w, a);
    write_made(w, a);
    cfb_jw_end_obj(w);
}

void report_asking_json(cfb_jw *w, const cfb_report *r) {
    cfb_jw_key(w, "asking");
    cfb_jw_arr(w);
    for (size_t i = 0; i < r->n_asking; i++) write_asking(w, &r->asking[i]);
    cfb_jw_end_arr(w);
}
