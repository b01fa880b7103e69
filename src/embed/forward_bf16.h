/* forward_bf16.h - the encoder's layers with products in bfloat16. Private to embed.
 *
 * As forward.h has it, but what only products read is kept in bfloat16 from the start: queries, keys, values, the context and the
 * intermediate, and beside the hidden states (binary32) their rounding. All tiles have EMBED_BF16_ROWS rows. */
#ifndef CFB_EMBED_FORWARD_BF16_H
#define CFB_EMBED_FORWARD_BF16_H

#include "embed/forward.h"

typedef struct embed_half embed_half;

/* As embed_pass_new, embed_pass_free, embed_pass_align and embed_pass_run. */
CFB_MUST_CHECK cfb_code embed_half_new(const embed_model *m, int n_threads, embed_half **out, cfb_err *err);
void embed_half_free(embed_half *p);
size_t embed_half_align(const embed_half *p);
const float *embed_half_run(embed_half *p, embed_span *spans, size_t n, size_t n_layers, bool only_first);

#endif
