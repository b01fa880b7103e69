#include "mock/control.h"

#include "cfbench/json.h"

#include <stddef.h>
#include <stdlib.h>

#define MAX_CHANGES 100000 /* older settings are kept, so their number is bounded */

/* Members of the control's JSON that are numbers. */
static const struct number {
    const char *name;
    size_t offset;
    bool whole; /* int64_t, else double */
    double max;
} numbers[] = {
    {"latency", offsetof(cfb_mock__settings, latency_s), false, CFB_MOCK__MAX_DELAY_S},
    {"latency_sigma", offsetof(cfb_mock__settings, latency_sigma), false, 10},
    {"ttft", offsetof(cfb_mock__settings, ttft_s), false, CFB_MOCK__MAX_DELAY_S},
    {"tokens_per_s", offsetof(cfb_mock__settings, tokens_per_s), false, 1e9},
    {"rpm", offsetof(cfb_mock__settings, requests_per_minute), true, 1e9},
    {"tpm", offsetof(cfb_mock__settings, tokens_per_minute), true, 1e12},
    {"quota", offsetof(cfb_mock__settings, quota), true, 1e12},
    {"max_inflight", offsetof(cfb_mock__settings, max_inflight), true, 1e6},
    {"slots", offsetof(cfb_mock__settings, slots), true, CFB_MOCK__MAX_SLOTS},
};
#define N_NUMBERS (sizeof numbers / sizeof *numbers)

static double get_number(const cfb_mock__settings *s, const struct number *n) {
    const char *at = (const char *)s + n->offset;
    return n->whole ? (double)*(const int64_t *)(const void *)at : *(const double *)(const void *)at;
}

static void set_number(cfb_mock__settings *s, const struct number *n, double v) {
    char *at = (char *)s + n->offset;
    if (n->whole)
        *(int64_t *)(void *)at = (int64_t)v;
    else
        *(double *)(void *)at = v;
}

static cfb_code check(const cfb_mock__settings *s, cfb_err *err) {
    for (size_t i = 0; i < N_NUMBERS; i++) {
        double v = get_number(s, &numbers[i]);
        if (!(v >= 0 && v <= numbers[i].max))
            return cfb_err_set(err, CFB_ECONFIG, "%s: %g is not in 0..%.15g", numbers[i].name, v, numbers[i].max);
    }
    if (s->refuse_status != 429 && s->refuse_status != 503)
        return cfb_err_set(err, CFB_ECONFIG, "refuse: %d is not 429 or 503", s->refuse_status);
    return CFB_OK;
}

cfb_code cfb_mock__settings_put(cfb_mock__model *m, const cfb_mock__settings *s, cfb_err *err) {
    cfb_code rc = check(s, err);
    if (rc != CFB_OK) return rc;
    cfb_mock__settings *copy = malloc(sizeof *copy);
    if (copy == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    *copy = *s;
    copy->old = atomic_load(&m->settings);
    const cfb_mock__settings *old = copy->old;
    if (old == NULL || old->slots != s->slots) rc = cfb_mock__limit_set_slots(&m->limit, s->slots, err);
    if (rc != CFB_OK) {
        free(copy);
        return rc;
    }
    cfb_mock__limit_set_inflight(&m->limit, s->max_inflight);
    if (old == NULL || old->requests_per_minute != s->requests_per_minute || old->tokens_per_minute != s->tokens_per_minute)
        cfb_mock__limit_set_rates(&m->limit, s->requests_per_minute, s->tokens_per_minute);
    if (old == NULL || old->quota != s->quota) cfb_mock__limit_set_quota(&m->limit, s->quota);
    atomic_store(&m->settings, copy);
    return CFB_OK;
}

void cfb_mock__settings_free(cfb_mock__settings *s) {
    while (s != NULL) {
        cfb_mock__settings *old = s->old;
        free(s);
        s = old;
    }
}

static cfb_code take_faults(cfb_mock__settings *s, const cfb_json *node, cfb_err *err) {
    cfb_str spec = cfb_json_str(node);
    if (spec.ptr == NULL) return cfb_err_set(err, CFB_EDATA, "faults must be a string, not %s", cfb_json_kind_name(node));
    cfb_buf text = CFB_BUF_INIT(65536);
    cfb_code rc = cfb_buf_append_str(&text, spec, err);
    if (rc == CFB_OK) rc = cfb_mock__faults_parse(text.ptr, s->faults.first_tries, &s->faults, err);
    cfb_buf_free(&text);
    return rc;
}

static cfb_code take_member(cfb_mock__model *m, cfb_mock__settings *s, const cfb_json *node, cfb_err *err) {
    cfb_str key = cfb_json_key(node);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        if (!cfb_str_eqz(key, numbers[i].name)) continue;
        double v;
        int64_t n;
        if (!cfb_json_num(node, &v) || (numbers[i].whole && !cfb_json_int(node, &n)))
            return cfb_err_set(err, CFB_EDATA, "%s must be a %snumber", numbers[i].name, numbers[i].whole ? "whole " : "");
        if (!(v >= 0 && v <= numbers[i].max))
            return cfb_err_set(err, CFB_EDATA, "%s: %g is not in 0..%.15g", numbers[i].name, v, numbers[i].max);
        set_number(s, &numbers[i], v);
        return CFB_OK;
    }
    int64_t n = 0;
    bool yes = false;
    if (cfb_str_eqz(key, "faults")) return take_faults(s, node, err);
    if (cfb_str_eqz(key, "refuse")) {
        if (!cfb_json_int(node, &n) || (n != 429 && n != 503)) return cfb_err_set(err, CFB_EDATA, "refuse must be 429 or 503");
        s->refuse_status = (int)n;
        return CFB_OK;
    }
    if (cfb_str_eqz(key, "reset_peak")) {
        if (!cfb_json_bool(node, &yes)) return cfb_err_set(err, CFB_EDATA, "reset_peak must be true or false");
        if (yes) cfb_mock__trace_reset_peak(&m->trace);
        return CFB_OK;
    }
    return cfb_err_set(
        err, CFB_EDATA,
        "unknown member '%.*s' (known: latency, latency_sigma, ttft, tokens_per_s, rpm, tpm, quota, max_inflight, slots, refuse, "
        "faults, reset_peak)",
        CFB_STR_ARG(key));
}

cfb_code cfb_mock__control(cfb_mock__model *m, cfb_str json, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(json.ptr, json.len, 0, &root, err);
    if (rc != CFB_OK) return rc;
    pthread_mutex_lock(&m->settings_lock);
    cfb_mock__settings s = *atomic_load(&m->settings);
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT) rc = cfb_err_set(err, CFB_EDATA, "the body must be a JSON object");
    if (rc == CFB_OK && m->n_changes >= MAX_CHANGES) rc = cfb_err_set(err, CFB_ELIMIT, "the settings were changed too often");
    for (const cfb_json *node = cfb_json_first(root); node != NULL && rc == CFB_OK; node = cfb_json_next(node))
        rc = take_member(m, &s, node, err);
    if (rc == CFB_OK) rc = cfb_mock__settings_put(m, &s, err);
    m->n_changes += rc == CFB_OK;
    pthread_mutex_unlock(&m->settings_lock);
    cfb_json_free(root);
    return rc;
}

cfb_code cfb_mock__control_show(cfb_mock__model *m, cfb_buf *out, cfb_err *err) {
    const cfb_mock__settings *s = atomic_load(&m->settings);
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        cfb_jw_key(&w, numbers[i].name);
        if (numbers[i].whole)
            cfb_jw_int(&w, (int64_t)get_number(s, &numbers[i]));
        else
            cfb_jw_num(&w, get_number(s, &numbers[i]));
    }
    cfb_jw_key(&w, "refuse");
    cfb_jw_int(&w, s->refuse_status);
    cfb_jw_key(&w, "faults");
    cfb_jw_obj(&w);
    for (int i = 1; i < CFB_MOCK__FAULT_COUNT; i++) {
        if (s->faults.share[i] <= 0) continue;
        cfb_jw_key(&w, cfb_mock__fault_name((cfb_mock__fault)i));
        cfb_jw_num(&w, s->faults.share[i]);
    }
    cfb_jw_end_obj(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
