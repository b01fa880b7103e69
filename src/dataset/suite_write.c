#include "cfbench/json.h"
#include "dataset/suite_internal.h"

static void write_steps(cfb_jw *w, const cfb_task *t, int shot) {
    cfb_jw_arr(w);
    for (size_t i = 0; i < t->n_steps[shot]; i++) {
        const cfb_step *s = &t->steps[shot][i];
        if (s->kind == CFB_STEP_STRIP || s->kind == CFB_STEP_FIRST_LINE) {
            cfb_jw_strz(w, s->kind == CFB_STEP_STRIP ? "strip" : "first_line");
            continue;
        }
        cfb_jw_obj(w);
        if (s->kind == CFB_STEP_AFTER_FIRST) {
            cfb_jw_key(w, "after_first");
            cfb_jw_str(w, s->separator);
        } else {
            cfb_jw_key(w, "last_of_split");
            cfb_jw_obj(w);
            cfb_jw_key(w, "separator");
            cfb_jw_str(w, s->separator);
            cfb_jw_key(w, "max_splits");
            cfb_jw_int(w, (int64_t)s->max_splits);
            cfb_jw_end_obj(w);
        }
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
}

static void write_settings(cfb_jw *w, const cfb_task *t) {
    static const char *const shots[] = {"zero", "few"};
    cfb_jw_key(w, "prompt");
    cfb_jw_obj(w);
    for (int k = 0; k < 2; k++)
        if (t->prompt[k].ptr) {
            cfb_jw_key(w, shots[k]);
            cfb_jw_str(w, t->prompt[k]);
        }
    cfb_jw_end_obj(w);
    cfb_jw_key(w, "postprocess");
    cfb_jw_obj(w);
    for (int k = 0; k < 2; k++) {
        cfb_jw_key(w, shots[k]);
        write_steps(w, t, k);
    }
    cfb_jw_end_obj(w);
}

static void write_task(cfb_jw *w, const cfb_task *t) {
    const char *const texts[][2] = {{"name", t->name},
                                    {"title", t->title},
                                    {"kind", cfb_task_kind_name(t->kind)},
                                    {"metric", cfb_metric_name(t->metric)},
                                    {"label_set", cfb_label_set_name(t->label_set)}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cfb_jw_key(w, texts[i][0]);
        cfb_jw_strz(w, texts[i][1]);
    }
    cfb_jw_key(w, "max_tokens");
    cfb_jw_int(w, t->max_tokens);
    if (t->n_labels) {
        cfb_jw_key(w, "labels");
        cfb_jw_arr(w);
        for (size_t i = 0; i < t->n_labels; i++) cfb_jw_str(w, t->labels[i]);
        cfb_jw_end_arr(w);
    }
    if (t->candidates_open.ptr) {
        cfb_jw_key(w, "candidates");
        cfb_jw_obj(w);
        cfb_jw_key(w, "open");
        cfb_jw_str(w, t->candidates_open);
        cfb_jw_key(w, "close");
        cfb_jw_str(w, t->candidates_close);
        cfb_jw_end_obj(w);
    }
    write_settings(w, t);
}

cfb_code cfb_suite_write_task(const cfb_suite_t *s, size_t i, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "schema");
    cfb_jw_strz(&w, "cfbench.suite/1");
    cfb_jw_key(&w, "name");
    cfb_jw_strz(&w, s->name);
    cfb_jw_key(&w, "title");
    cfb_jw_strz(&w, s->title);
    cfb_jw_key(&w, "tasks");
    cfb_jw_arr(&w);
    cfb_jw_obj(&w);
    write_task(&w, &s->tasks[i]);
    cfb_jw_end_obj(&w);
    cfb_jw_end_arr(&w);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}
