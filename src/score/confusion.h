/* confusion.h - label-by-label counts as matrix products. Private to score. */
#ifndef CFB_SCORE_CONFUSION_H
#define CFB_SCORE_CONFUSION_H

#include "score/piece.h"

typedef struct confusion confusion;

CFB_MUST_CHECK cfb_code confusion_new(size_t n_labels, int n_threads, confusion **out, cfb_err *err);
void confusion_free(confusion *c);
/* Adds truth^T pred of the pieces' bit matrices (n_words words a row), in their order. At most CONFUSION_MAX_ROWS rows. */
#define CONFUSION_MAX_ROWS ((size_t)1 << 24)
void confusion_add(confusion *c, const score_piece *pieces, size_t n_pieces, size_t n_words);
const uint64_t *confusion_counts(const confusion *c);

#endif
