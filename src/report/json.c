/* json.c - the whole report as one JSON document. docs/json.md describes every member. */
#include "report/asking.h"

#include <math.h>

static void member_str(cfb_jw *w, const char *key, const char *value) {
    cfb_jw_key(w, key);
    cfb_jw_strz(w, value);
}

static void member_num(cfb_jw *w, const char *key, double value) {
    cfb_jw_key(w, key);
    cfb_jw_num(w, value);
}

static void member_count(cfb_jw *w, const char *key, uint64_t value) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void member_text(cfb_jw *w, const char *key, cfb_str value) {
    cfb_jw_key(w, key);
    cfb_jw_str(w, value);
}

static void write_settings(cfb_jw *w, const cfb_report *r) {
    cfb_jw_key(w, "settings");
    cfb_jw_arr(w);
    for (size_t i = 0; i < r->n_settings; i++) {
        cfb_jw_obj(w);
        member_str(w, "name", r->settings[i].name);
        member_str(w, "value", r->settings[i].value);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_states(cfb_jw *w, const uint64_t n_state[CFB_ROW_STATE_COUNT]) {
#define CFB_X(NAME, name) name,
    static const char *const names[] = {CFB_ROW_STATE_MAP(CFB_X)};
#undef CFB_X
    cfb_jw_key(w, "states");
    cfb_jw_obj(w);
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) member_count(w, names[i], n_state[i]);
    cfb_jw_end_obj(w);
}

static void write_labels(cfb_jw *w, const cfb_score_summary *s) {
    cfb_jw_key(w, "labels");
    cfb_jw_arr(w);
    for (size_t i = 0; i < s->n_labels; i++) {
        const cfb_label_stat *l = &s->labels[i];
        cfb_jw_obj(w);
        member_text(w, "label", l->label);
        member_count(w, "actual", l->actual);
        member_count(w, "predicted", l->predicted);
        member_count(w, "correct", l->correct);
        member_num(w, "precision", l->precision);
        member_num(w, "recall", l->recall);
        member_num(w, "f1", l->f1);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_rows(cfb_jw *w, const char *key, const cfb_report_row *rows, size_t n) {
    cfb_jw_key(w, key);
    cfb_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        cfb_jw_obj(w);
        member_count(w, "row", rows[i].row);
        member_text(w, "id", rows[i].id);
        member_str(w, "state", rows[i].state);
        member_num(w, "score", rows[i].score);
        member_str(w, "error", rows[i].fail);
        member_str(w, "message", rows[i].message);
        member_text(w, "input", rows[i].input);
        member_text(w, "response", rows[i].response);
        member_text(w, "output", rows[i].output);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_interval(cfb_jw *w, const cfb_report_interval *v) {
    cfb_jw_key(w, "interval");
    if (v->method == NULL) {
        cfb_jw_null(w);
        return;
    }
    cfb_jw_obj(w);
    member_num(w, "low", v->lo);
    member_num(w, "high", v->hi);
    member_num(w, "standard_error", v->se);
    member_str(w, "method", v->method);
    member_count(w, "clusters", v->n_clusters);
    cfb_jw_end_obj(w);
}

static void write_scores(cfb_jw *w, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    bool f1 = report_is_f1(t);
    member_str(w, "metric", s->metric);
    member_count(w, "rows", s->n_rows);
    member_count(w, "answered", s->n_answered);
    write_states(w, s->n_state);
    member_num(w, "score_all", s->mean_all);
    member_num(w, "score_answered", s->mean_answered);
    member_num(w, "score_best", t->interval.method ? t->interval.best : NAN);
    cfb_jw_key(w, "headline");
    cfb_jw_bool(w, !report_is_open(t));
    write_interval(w, &t->interval);
    member_num(w, "set_precision", f1 ? s->mean_precision : NAN);
    member_num(w, "set_recall", f1 ? s->mean_recall : NAN);
    member_num(w, "set_f1", f1 ? s->mean_f1 : NAN);
    member_num(w, "mean_response_chars", s->mean_response_chars);
    member_num(w, "mean_output_chars", s->mean_output_chars);
    member_count(w, "unmatchable_references", s->n_unmatchable);
}

static void write_calibration(cfb_jw *w, const cfb_report_calibration *c) {
    if (c == NULL) return;
    cfb_jw_key(w, "calibration");
    cfb_jw_obj(w);
    member_count(w, "rows", c->n);
    member_num(w, "matched", c->matched);
    member_num(w, "mismatched", c->mismatched);
    member_num(w, "lift", c->lift);
    member_num(w, "percentile", c->percentile);
    member_num(w, "top1", c->top1);
    cfb_jw_key(w, "row_percentiles");
    cfb_jw_arr(w);
    for (size_t i = 0; c->n >= 2 && i < c->n; i++) {
        cfb_jw_arr(w);
        cfb_jw_int(w, (int64_t)c->rows[i]);
        cfb_jw_num(w, c->percentiles[i]);
        cfb_jw_end_arr(w);
    }
    cfb_jw_end_arr(w);
    cfb_jw_end_obj(w);
}

static void write_skipped(cfb_jw *w, const cfb_report *r) {
    member_count(w, "skipped", r->n_skipped);
    cfb_jw_key(w, "skipped_rows");
    cfb_jw_arr(w);
    for (size_t i = 0; i < r->n_skipped_listed; i++) {
        const cfb_report_skipped *k = &r->skipped[i];
        cfb_jw_obj(w);
        member_str(w, "source", k->source);
        member_count(w, "row", k->row);
        member_count(w, "line", k->line);
        member_str(w, "message", k->message);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

#define MAX_PAIRS 100

static void write_confused(cfb_jw *w, const cfb_report_task *t) {
    member_count(w, "confused_rows_seen", t->n_confused_rows);
    cfb_jw_key(w, "confused");
    cfb_jw_arr(w);
    for (size_t i = 0; i < t->n_confused && i < MAX_PAIRS; i++) {
        cfb_jw_obj(w);
        member_text(w, "reference", t->confused[i].reference);
        member_text(w, "output", t->confused[i].output);
        member_count(w, "rows", t->confused[i].n);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_lengths(cfb_jw *w, const cfb_report_lengths *l) {
    cfb_jw_key(w, "scores_by_length");
    cfb_jw_arr(w);
    for (size_t i = 0; i < CFB_REPORT_LENGTH_BINS; i++) {
        uint64_t n = 0;
        for (size_t k = 0; k < CFB_REPORT_BINS; k++) n += l->n[i][k];
        if (n == 0) continue;
        cfb_jw_obj(w);
        member_count(w, "from_chars", (uint64_t)ceil(cfb_report_length_edge(i)));
        member_count(w, "rows", n);
        member_num(w, "mean_score", l->sum[i] / (double)n);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_task(cfb_jw *w, const cfb_report_task *t, bool selected) {
    cfb_jw_obj(w);
    member_str(w, "model", t->model);
    member_str(w, "setting", t->setting);
    member_str(w, "task", t->task);
    member_str(w, "title", t->title);
    member_str(w, "kind", t->kind);
    member_str(w, "source", t->source);
    write_scores(w, t);
    write_calibration(w, t->calibration);
    if (selected) member_count(w, "selected", t->n_selected);
    cfb_jw_key(w, "histogram");
    cfb_jw_arr(w);
    for (size_t i = 0; i < CFB_REPORT_BINS; i++) cfb_jw_int(w, (int64_t)t->histogram[i]);
    cfb_jw_end_arr(w);
    write_labels(w, &t->summary);
    write_rows(w, "failed_rows", t->failed, t->n_failed_listed);
    write_rows(w, "worst_rows", t->worst, t->n_worst);
    write_rows(w, "best_rows", t->best, t->n_best);
    if (report_is_f1(t)) write_confused(w, t);
    if (t->lengths) write_lengths(w, t->lengths);
    if (t->n_sample) write_rows(w, "sample_rows", t->sample, t->n_sample);
    cfb_jw_end_obj(w);
}

static void write_means(cfb_jw *w, const cfb_report *r) {
    cfb_jw_key(w, "means");
    cfb_jw_arr(w);
    report_group g = {0};
    while (report_next_group(r, &g)) {
        report_mean means[REPORT_MAX_MEANS];
        size_t n = report_means(&g, means);
        for (size_t i = 0; i < n; i++) {
            cfb_jw_obj(w);
            member_str(w, "model", g.model);
            member_str(w, "setting", g.setting);
            member_str(w, "kind", means[i].kind ? means[i].kind : "all");
            member_count(w, "tasks", means[i].n_tasks);
            member_count(w, "rows", means[i].n_rows);
            member_count(w, "answered", means[i].n_answered);
            write_states(w, means[i].n_state);
            member_num(w, "score_all", means[i].all);
            member_num(w, "score_answered", means[i].answered);
            member_num(w, "interval_low", means[i].lo);
            member_num(w, "interval_high", means[i].hi);
            cfb_jw_end_obj(w);
        }
    }
    cfb_jw_end_arr(w);
}

cfb_code cfb_report_json(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 2);
    cfb_jw_obj(&w);
    member_str(&w, "schema", "cfbench.scores/2");
    member_str(&w, "title", r->title);
    member_str(&w, "version", r->version);
    if (r->created_at) member_str(&w, "created_at", r->created_at);
    if (r->command) member_str(&w, "command", r->command);
    write_settings(&w, r);
    if (r->where) member_str(&w, "where", r->where);
    if (r->confidence > 0) member_num(&w, "confidence", r->confidence);
    cfb_jw_key(&w, "tasks");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < r->n_tasks; i++) write_task(&w, &r->tasks[i], r->where != NULL);
    cfb_jw_end_arr(&w);
    write_means(&w, r);
    if (r->n_skipped) write_skipped(&w, r);
    if (r->performance) {
        cfb_jw_key(&w, "performance");
        cfb_jw_raw(&w, cfb_str_from(r->performance));
    }
    report_asking_json(&w, r);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? cfb_buf_append_char(out, '\n', err) : rc;
}
