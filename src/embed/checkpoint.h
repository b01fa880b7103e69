/* checkpoint.h - weights as torch.save writes them. Private to embed. */
#ifndef CFB_EMBED_CHECKPOINT_H
#define CFB_EMBED_CHECKPOINT_H

#include "embed/tensors.h"

/* As embed_tensors_add, of a pytorch_model.bin (PyTorch 1.6 or later): a state dict of tensors, contiguous, little-endian.
 * Nothing in the file is called: what names a function other than those that make a tensor is EUNSUPPORTED. */
CFB_MUST_CHECK cfb_code embed_checkpoint_add(embed_tensors *t, const char *name, const void *file, size_t len, cfb_err *err);

#endif
