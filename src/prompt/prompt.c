#include "cfbench/prompt.h"
#include "cfbench/text.h"

cfb_str cfb_prompt_candidates(const cfb_task *task, cfb_str instruction) {
    if (task->candidates_open.ptr == NULL || instruction.ptr == NULL) return CFB_STR_NULL;
    size_t open = cfb_str_find(instruction, task->candidates_open, 0);
    if (open == SIZE_MAX) return CFB_STR_NULL;
    size_t start = open + task->candidates_open.len;
    size_t close = cfb_str_find(instruction, task->candidates_close, start);
    if (close == SIZE_MAX) return CFB_STR_NULL;
    return (cfb_str){instruction.ptr + start, close - start};
}

static cfb_str value_of(const cfb_task *task, const cfb_record *r, cfb_str place) {
    if (cfb_str_eqz(place, "instruction")) return r->instruction;
    if (cfb_str_eqz(place, "input")) return r->input;
    if (cfb_str_eqz(place, "fewshot")) return task->fewshot;
    return cfb_prompt_candidates(task, r->instruction);
}

cfb_code cfb_prompt_render(const cfb_task *task, cfb_shot shot, const cfb_record *record, cfb_buf *out, cfb_err *err) {
    cfb_str text = task->prompt[shot];
    if (text.ptr == NULL)
        return cfb_err_set(err, CFB_EDATA, "task '%s' has no %s prompt (choose another --shot)", task->name, cfb_shot_name(shot));
    size_t pos = 0;
    cfb_template_piece piece;
    cfb_code rc;
    while (cfb_template_next(text, &pos, &piece, &rc, err)) {
        cfb_str value = piece.is_place ? value_of(task, record, piece.text) : piece.text;
        if (value.ptr == NULL)
            return cfb_err_set(err, CFB_EDATA, "task '%s', row %.*s: there is nothing for {%.*s} of the prompt", task->name,
                               CFB_STR_ARG(record->id), CFB_STR_ARG(piece.text));
        rc = cfb_buf_append_str(out, value, err);
        if (rc != CFB_OK) return rc;
    }
    return rc;
}

static cfb_str last_of_split(cfb_str s, cfb_str separator, size_t max_splits) {
    for (size_t i = 0; i < max_splits; i++) {
        size_t at = cfb_str_find(s, separator, 0);
        if (at == SIZE_MAX) break;
        at += separator.len;
        s = (cfb_str){s.ptr + at, s.len - at};
    }
    return s;
}

static cfb_str apply(const cfb_step *step, cfb_str s) {
    size_t at;
    switch (step->kind) {
    case CFB_STEP_STRIP: return cfb_text_strip(s);
    case CFB_STEP_FIRST_LINE: at = cfb_str_find(s, CFB_STR_LIT("\n"), 0); return at == SIZE_MAX ? s : (cfb_str){s.ptr, at};
    case CFB_STEP_AFTER_FIRST: return last_of_split(s, step->separator, 1);
    case CFB_STEP_LAST_OF_SPLIT: return last_of_split(s, step->separator, step->max_splits);
    }
    return s;
}

cfb_str cfb_prompt_postprocess(const cfb_task *task, cfb_shot shot, cfb_str reply) {
    for (size_t i = 0; i < task->n_steps[shot]; i++) reply = apply(&task->steps[shot][i], reply);
    return reply;
}
