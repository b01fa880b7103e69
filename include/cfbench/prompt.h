/* prompt.h - record -> prompt, and reply -> output. */
#ifndef CFBENCH_PROMPT_H
#define CFBENCH_PROMPT_H

#include "cfbench/suite.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the prompt of one record. Errors: EDATA where the template needs something that the record or task lacks. */
CFB_MUST_CHECK cfb_code cfb_prompt_render(const cfb_task *task, cfb_shot shot, const cfb_record *record, cfb_buf *out,
                                          cfb_err *err);
/* The candidate labels of an instruction: what stands between the first `open` and the next `close`; a null string if
 * either is missing. */
cfb_str cfb_prompt_candidates(const cfb_task *task, cfb_str instruction);
/* The reply behind what a reasoning model thought aloud: without blocks <think>...</think> (also <thinking>, <reasoning>,
 * <thought>, [THINK], <seed:think>, ◁think▷; letters of any case) at its start, or without all up to a closing tag whose opening
 * one stands nowhere before it, and without the white space behind them. A block without an end leaves nothing: the empty string.
 * Anything else stays as it is; a null string too. A slice of reply. Precondition: valid UTF-8. Pure. */
cfb_str cfb_prompt_strip_reasoning(cfb_str reply);
/* What is scored of a reply: the task's steps in order. A slice of reply. */
cfb_str cfb_prompt_postprocess(const cfb_task *task, cfb_shot shot, cfb_str reply);

#ifdef __cplusplus
}
#endif
#endif
