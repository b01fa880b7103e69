/* csv.c - the overview as a CSV table, a line for each task, numbers in full. */
#include "cfbench/base.h"
#include "cfbench/dataset.h"
#include "report/internal.h"

#include <inttypes.h>
#include <math.h>

static void put_text(report_out *o, const char *z) {
    if (o->rc == CFB_OK) o->rc = cfb_csv_append_field(o->buf, cfb_str_from(z), false, o->err);
    report_put(o, ",");
}

static void put_count(report_out *o, uint64_t v) { report_putf(o, "%" PRIu64 ",", v); }

static void put_number(report_out *o, double v, const char *end) {
    char text[32] = "";
    if (!isnan(v)) text[cfb_format_double(v, text)] = '\0';
    report_putf(o, "%s%s", text, end);
}

static void put_task(report_out *o, const cfb_report_task *t) {
    const cfb_score_summary *s = &t->summary;
    bool f1 = report_is_f1(t);
    put_text(o, t->model);
    put_text(o, t->setting);
    put_text(o, t->task);
    put_text(o, t->kind);
    put_text(o, t->source);
    put_text(o, s->metric);
    put_count(o, s->n_rows);
    put_count(o, s->n_answered);
    for (size_t i = 0; i < CFB_ROW_STATE_COUNT; i++) put_count(o, s->n_state[i]);
    const cfb_report_interval *v = &t->interval;
    put_number(o, s->mean_all, ",");
    put_number(o, s->mean_answered, ",");
    put_number(o, v->method ? v->best : (double)NAN, ",");
    put_number(o, v->method ? v->lo : (double)NAN, ",");
    put_number(o, v->method ? v->hi : (double)NAN, ",");
    put_number(o, f1 ? s->mean_precision : (double)NAN, ",");
    put_number(o, f1 ? s->mean_recall : (double)NAN, ",");
    put_number(o, f1 ? s->mean_f1 : (double)NAN, ",");
    put_number(o, s->mean_response_chars, ",");
    put_number(o, s->mean_output_chars, ",");
    report_putf(o, "%" PRIu64 "\n", s->n_unmatchable);
}

cfb_code cfb_report_csv(const cfb_report *r, cfb_buf *out, cfb_err *err) {
    report_out o = {out, err, CFB_OK, false};
    report_put(&o, "model,setting,task,kind,source,metric,rows,answered");
#define CFB_X(NAME, name) report_put(&o, "," name);
    CFB_ROW_STATE_MAP(CFB_X)
#undef CFB_X
    report_put(&o, ",score_all,score_answered,score_best,score_low,score_high,set_precision,set_recall,set_f1,mean_response_"
                   "chars,mean_output_chars,"
                   "unmatchable_references\n");
    for (size_t i = 0; i < r->n_tasks; i++) put_task(&o, &r->tasks[i]);
    return o.rc;
}
