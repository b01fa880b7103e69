/* A safetensors file in memory (an own allocation of its exact size), every tensor read to its last item, and a model of a small
 * shape bound to it. */
#include "embed/model.h"

#include <stdlib.h>
#include <string.h>

static void need(int ok) {
    if (!ok) abort();
}

static void read_all(const embed_tensors *t) {
    float items[64];
    for (size_t i = 0; i < t->n; i++) {
        const embed_tensor *x = &t->items[i];
        need(x->name.ptr != NULL && x->n_dims <= EMBED_MAX_DIMS);
        if (x->dtype == EMBED_OTHER) continue;
        for (size_t at = 0; at < x->n_items; at += 64)
            embed_tensor_read(x, at, x->n_items - at < 64 ? x->n_items - at : 64, items);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char *copy = malloc(size ? size : 1);
    embed_model m = {.config = {2, 1, 1, 2, 2, 2, 2, 1e-12f}};
    need(copy != NULL);
    if (size) memcpy(copy, data, size);
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = embed_tensors_add(&m.tensors, "fuzz", copy, size, &err);
    need((rc == CFB_OK) == (err.code == CFB_OK));
    if (rc == CFB_OK) {
        read_all(&m.tensors);
        rc = embed_model_bind(&m, &err);
        need(rc == CFB_OK || err.msg[0] != '\0');
    }
    if (rc == CFB_OK) {
        const float *w[EMBED_N_WEIGHTS];
        float *scratch = malloc((m.layer_items + 1) * sizeof *scratch);
        need(scratch != NULL);
        embed_model_layer(&m, 0, false, scratch, w);
        free(scratch);
    }
    embed_tensors_free(&m.tensors);
    free(m.layers);
    free(m.norm_w);
    free(copy);
    return 0;
}
