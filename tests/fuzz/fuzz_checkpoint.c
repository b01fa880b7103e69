/* A checkpoint of torch.save in memory (an own allocation of its exact size), every tensor read to its last item. */
#include "embed/checkpoint.h"

#include <stdint.h>
#include <stdlib.h>

static void need(int ok) {
    if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char *copy = malloc(size ? size : 1);
    embed_tensors t = {0};
    float items[64];
    need(copy != NULL);
    if (size) memcpy(copy, data, size);
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = embed_checkpoint_add(&t, "fuzz", copy, size, &err);
    need((rc == CFB_OK) == (err.code == CFB_OK));
    for (size_t i = 0; rc == CFB_OK && i < t.n; i++) {
        const embed_tensor *x = &t.items[i];
        need(x->name.ptr != NULL && x->n_dims <= EMBED_MAX_DIMS && x->data >= copy &&
             x->n_bytes <= size - (size_t)(x->data - copy));
        for (size_t at = 0; x->dtype != EMBED_OTHER && at < x->n_items; at += 64)
            embed_tensor_read(x, at, x->n_items - at < 64 ? x->n_items - at : 64, items);
    }
    embed_tensors_free(&t);
    free(copy);
    return 0;
}
