/* tensors.h - the tensors of a model's files, memory-mapped. Private to embed. */
#ifndef CFB_EMBED_TENSORS_H
#define CFB_EMBED_TENSORS_H

#include "cfbench/buf.h"

#include <stdbool.h>

/* OTHER: a type that is only carried along, such as I64. */
typedef enum embed_dtype { EMBED_F32, EMBED_F16, EMBED_BF16, EMBED_OTHER } embed_dtype;

#define EMBED_MAX_DIMS 8
#define EMBED_MAX_HEADER ((size_t)100 << 20)
#define EMBED_MAX_TENSORS ((size_t)1 << 14)
#define EMBED_MAX_SHARDS 1000
#define EMBED_MAX_NAME 1000 /* bytes of a tensor's name in a checkpoint */

typedef struct embed_tensor {
    cfb_str name;
    embed_dtype dtype;
    const unsigned char *data; /* in the file; any alignment */
    size_t n_bytes, n_items, n_dims, dims[EMBED_MAX_DIMS];
    bool used;   /* by the model */
    bool mapped; /* data lies in a mapped file */
} embed_tensor;

typedef struct embed_map { /* a mapped file */
    void *at;
    size_t len;
    char hash[65]; /* SHA-256 */
} embed_map;

typedef struct embed_tensors {
    cfb_arena_t *arena; /* names and items */
    embed_tensor *items;
    size_t n, cap;
    embed_map maps[EMBED_MAX_SHARDS];
    size_t n_maps;
    char hash[65]; /* SHA-256 of the file's content, or over all shards */
} embed_tensors;

/* Reads the header of one file that lies in memory and adds its tensors, which borrow from data. Checked: the header's length,
 * strict JSON, types, shapes times item size against offsets without overflow, and that the tensors cover the data without gap or
 * overlap. name is for messages. Errors: EDATA, ETRUNCATED, ELIMIT, EUNSUPPORTED, ENOMEM. *t is initialised by zeroing it. */
CFB_MUST_CHECK cfb_code embed_tensors_add(embed_tensors *t, const char *name, const void *data, size_t len, cfb_err *err);
/* Adds one tensor, whose name is copied. EDATA if there is one of this name. */
CFB_MUST_CHECK cfb_code embed_tensors_push(embed_tensors *t, const embed_tensor *item, cfb_err *err);
/* Of DIR the first that is there: model.safetensors, the shards of model.safetensors.index.json, pytorch_model.bin, the shards of
 * pytorch_model.bin.index.json. ENOTFOUND says what is looked for. Also hashes. */
CFB_MUST_CHECK cfb_code embed_tensors_open(embed_tensors *t, const char *dir, cfb_err *err);
void embed_tensors_free(embed_tensors *t);

/* The tensor of this name, or NULL. */
embed_tensor *embed_tensors_find(embed_tensors *t, const char *name);
/* "[1024, 64]" */
const char *embed_shape_text(const size_t *dims, size_t n_dims, char buf[128]);
/* The items from first on as binary32; exact for every type. Types other than OTHER. */
void embed_tensor_read(const embed_tensor *t, size_t first, size_t n, float *out);
/* The tensor's pages of the file need not stay in this process's memory; the next read brings them back. */
void embed_tensor_release(const embed_tensor *t);

#endif
