/* json.c - the whole report as one JSON document. docs/json.md describes every member. */
#include "report/asking.h"

#include <math.h>

static void write_settings(cfb_jw *w, const cfb_report *r) {
    cfb_jw_key(w, "settings");
    cfb_jw_arr(w);
    for (size_t i = 0; i < r->n_settings; i++) {
        cfb_jw_obj(w);
        cfb_jw_member_strz(w, "name", r->settings[i].name);
        cfb_jw_member_strz(w, "value", r->settings[i].value);
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
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) cfb_jw_member_count(w, names[i], n_state[i]);
    cfb_jw_end_obj(w);
}

static void write_labels(cfb_jw *w, const cfb_score_summary *s) {
    cfb_jw_key(w, "labels");
    cfb_jw_arr(w);
    for (size_t i = 0; i < s->n_labels; i++) {
        const cfb_label_stat *l = &s->labels[i];
        cfb_jw_obj(w);
        cfb_jw_member_str(w, "label", l->label);
        cfb_jw_member_count(w, "actual", l->actual);
        cfb_jw_member_count(w, "predicted", l->predicted);
        cfb_jw_member_count(w, "correct", l->correct);
        cfb_jw_member_num(w, "precision", l->precision);
        cfb_jw_member_num(w, "recall", l->recall);
        cfb_jw_member_num(w, "f1", l->f1);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_rows(cfb_jw *w, const char *key, const cfb_report_row *rows, size_t n) {
    cfb_jw_key(w, key);
    cfb_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        cfb_jw_obj(w);
        cfb_jw_member_count(w, "row", rows[i].row);
        cfb_jw_member_str(w, "id", rows[i].id);
        cfb_jw_member_strz(w, "state", rows[i].state);
        cfb_jw_member_num(w, "score", rows[i].score);
        cfb_jw_member_strz(w, "error", rows[i].fail);
        cfb_jw_member_strz(w, "message", rows[i].message);
        cfb_jw_member_str(w, "input", rows[i].input);
        cfb_jw_member_str(w, "response", rows[i].response);
        cfb_jw_member_str(w, "output", rows[i].output);
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
    cfb_jw_member_num(w, "low", v->lo);
    cfb_jw_member_num(w, "high", v->hi);
    cfb_jw_member_num(w, "standard_error", v->se);
    cfb_jw_member_strz(w, "method", v->method);
    cfb_jw_member_count(w, "clusters", v->n_clusters);
    cfb_jw_end_obj(w);
}

static void write_scores(cfb_jw *w, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    bool f1 = report_is_f1(t);
    cfb_jw_member_strz(w, "metric", s->metric);
    cfb_jw_member_count(w, "rows", s->n_rows);
    cfb_jw_member_count(w, "answered", s->n_answered);
    write_states(w, s->n_state);
    cfb_jw_member_num(w, "score_all", s->mean_all);
    cfb_jw_member_num(w, "score_answered", s->mean_answered);
    cfb_jw_member_num(w, "score_best", t->interval.method ? t->interval.best : NAN);
    cfb_jw_key(w, "headline");
    cfb_jw_bool(w, !report_is_open(t));
    write_interval(w, &t->interval);
    cfb_jw_member_num(w, "set_precision", f1 ? s->mean_precision : NAN);
    cfb_jw_member_num(w, "set_recall", f1 ? s->mean_recall : NAN);
    cfb_jw_member_num(w, "set_f1", f1 ? s->mean_f1 : NAN);
    cfb_jw_member_num(w, "mean_response_chars", s->mean_response_chars);
    cfb_jw_member_num(w, "mean_output_chars", s->mean_output_chars);
    cfb_jw_member_count(w, "unmatchable_references", s->n_unmatchable);
}

static void write_calibration(cfb_jw *w, const cfb_report_calibration *c) {
    if (c == NULL) return;
    cfb_jw_key(w, "calibration");
    cfb_jw_obj(w);
    cfb_jw_member_count(w, "rows", c->n);
    cfb_jw_member_num(w, "matched", c->matched);
    cfb_jw_member_num(w, "mismatched", c->mismatched);
    cfb_jw_member_num(w, "lift", c->lift);
    cfb_jw_member_num(w, "percentile", c->percentile);
    cfb_jw_member_num(w, "top1", c->top1);
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
    cfb_jw_member_count(w, "skipped", r->n_skipped);
    cfb_jw_key(w, "skipped_rows");
    cfb_jw_arr(w);
    for (size_t i = 0; i < r->n_skipped_listed; i++) {
        const cfb_report_skipped *k = &r->skipped[i];
        cfb_jw_obj(w);
        cfb_jw_member_strz(w, "source", k->source);
        cfb_jw_member_count(w, "row", k->row);
        cfb_jw_member_count(w, "line", k->line);
        cfb_jw_member_strz(w, "message", k->message);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

#define MAX_PAIRS 100

static void write_confused(cfb_jw *w, const cfb_report_task *t) {
    cfb_jw_member_count(w, "confused_rows_seen", t->n_confused_rows);
    cfb_jw_key(w, "confused");
    cfb_jw_arr(w);
    for (size_t i = 0; i < t->n_confused && i < MAX_PAIRS; i++) {
        cfb_jw_obj(w);
        cfb_jw_member_str(w, "reference", t->confused[i].reference);
        cfb_jw_member_str(w, "output", t->confused[i].output);
        cfb_jw_member_count(w, "rows", t->confused[i].n);
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
        cfb_jw_member_count(w, "from_chars", (uint64_t)ceil(cfb_report_length_edge(i)));
        cfb_jw_member_count(w, "rows", n);
        cfb_jw_member_num(w, "mean_score", l->sum[i] / (double)n);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_task(cfb_jw *w, const cfb_report_task *t, bool selected) {
    cfb_jw_obj(w);
    cfb_jw_member_strz(w, "model", t->model);
    cfb_jw_member_strz(w, "setting", t->setting);
    cfb_jw_member_strz(w, "task", t->task);
    cfb_jw_member_strz(w, "title", t->title);
    cfb_jw_member_strz(w, "kind", t->kind);
    cfb_jw_member_strz(w, "source", t->source);
    write_scores(w, t);
    write_calibration(w, t->calibration);
    if (selected) cfb_jw_member_count(w, "selected", t->n_selected);
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
            cfb_jw_member_strz(w, "model", g.model);
            cfb_jw_member_strz(w, "setting", g.setting);
            cfb_jw_member_strz(w, "kind", means[i].kind ? means[i].kind : "all");
            cfb_jw_member_count(w, "tasks", means[i].n_tasks);
            cfb_jw_member_count(w, "rows", means[i].n_rows);
            cfb_jw_member_count(w, "answered", means[i].n_answered);
            write_states(w, means[i].n_state);
            cfb_jw_member_num(w, "score_all", means[i].all);
            cfb_jw_member_num(w, "score_answered", means[i].answered);
            cfb_jw_member_num(w, "interval_low", means[i].lo);
            cfb_jw_member_num(w, "interval_high", means[i].hi);
            cfb_jw_end_obj(w);
        }
    }
    cfb_jw_end_arr(w);
}

cfb_code cfb_report_json(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 2);
    cfb_jw_obj(&w);
    cfb_jw_member_strz(&w, "schema", "cfbench.scores/2");
    cfb_jw_member_strz(&w, "title", r->title);
    cfb_jw_member_strz(&w, "version", r->version);
    if (r->created_at) cfb_jw_member_strz(&w, "created_at", r->created_at);
    if (r->command) cfb_jw_member_strz(&w, "command", r->command);
    write_settings(&w, r);
    if (r->where) cfb_jw_member_strz(&w, "where", r->where);
    if (r->confidence > 0) cfb_jw_member_num(&w, "confidence", r->confidence);
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
