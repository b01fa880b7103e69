/* tensors.c - safetensors: eight bytes with the header's length, a JSON header, then the data; and which files a folder has. They
 * are foreign: nothing in them is trusted. A file that is cut short by another process while it is mapped ends this one (SIGBUS),
 * as with every mapping. */
#include "embed/tensors.h"
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "embed/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_MEMORY(err) cfb_err_set((err), CFB_ENOMEM, "out of memory (tensors)")

const char *embed_shape_text(const size_t *dims, size_t n_dims, char buf[128]) {
    size_t used = 1;
    buf[0] = '[';
    for (size_t i = 0; i < n_dims && used < 100; i++)
        used += (size_t)snprintf(buf + used, 128 - used, "%s%zu", i ? ", " : "", dims[i]);
    snprintf(buf + used, 128 - used, "]");
    return buf;
}

/* ---- the header ---- */

static bool read_dtype(cfb_str name, embed_dtype *dtype, size_t *item_bytes) {
    static const struct {
        const char *name;
        embed_dtype dtype;
        size_t bytes;
    } known[] = {{"F32", EMBED_F32, 4},   {"F16", EMBED_F16, 2},   {"BF16", EMBED_BF16, 2}, {"F64", EMBED_OTHER, 8},
                 {"I64", EMBED_OTHER, 8}, {"I32", EMBED_OTHER, 4}, {"I16", EMBED_OTHER, 2}, {"I8", EMBED_OTHER, 1},
                 {"U64", EMBED_OTHER, 8}, {"U32", EMBED_OTHER, 4}, {"U16", EMBED_OTHER, 2}, {"U8", EMBED_OTHER, 1},
                 {"BOOL", EMBED_OTHER, 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (cfb_str_eqz(name, known[i].name)) {
            *dtype = known[i].dtype;
            *item_bytes = known[i].bytes;
            return true;
        }
    return false;
}

static bool read_size(const cfb_json *node, size_t *out) {
    int64_t v;
    if (!cfb_json_int(node, &v) || v < 0) return false;
    *out = (size_t)v;
    return true;
}

static cfb_code read_tensor(const cfb_json *node, const unsigned char *data, size_t len, embed_tensor *t, cfb_err *err) {
    const cfb_json *shape = cfb_json_get(node, "shape"), *offsets = cfb_json_get(node, "data_offsets");
    cfb_str dtype = cfb_json_str(cfb_json_get(node, "dtype"));
    size_t item = 0, begin = 0, end = 0, bytes;
    if (!read_dtype(dtype, &t->dtype, &item))
        return cfb_err_set(err, CFB_EUNSUPPORTED, "tensor '%.*s' has the type '%.*s'", CFB_STR_ARG(t->name), CFB_STR_ARG(dtype));
    if (cfb_json_kind_of(shape) != CFB_JSON_ARRAY || cfb_json_count(shape) > EMBED_MAX_DIMS)
        return cfb_err_set(err, CFB_EDATA, "tensor '%.*s' has no shape of at most %d numbers", CFB_STR_ARG(t->name),
                           EMBED_MAX_DIMS);
    t->n_items = 1;
    for (const cfb_json *d = cfb_json_first(shape); d != NULL; d = cfb_json_next(d))
        if (!read_size(d, &t->dims[t->n_dims]) || !cfb_size_mul(t->n_items, t->dims[t->n_dims++], &t->n_items))
            return cfb_err_set(err, CFB_EDATA, "tensor '%.*s' has an impossible shape", CFB_STR_ARG(t->name));
    if (cfb_json_kind_of(offsets) != CFB_JSON_ARRAY || cfb_json_count(offsets) != 2 ||
        !read_size(cfb_json_first(offsets), &begin) || !read_size(cfb_json_next(cfb_json_first(offsets)), &end) || begin > end)
        return cfb_err_set(err, CFB_EDATA, "tensor '%.*s' has wrong data_offsets", CFB_STR_ARG(t->name));
    if (end > len)
        return cfb_err_set(err, CFB_ETRUNCATED, "tensor '%.*s' ends at byte %zu of the data, which has %zu", CFB_STR_ARG(t->name),
                           end, len);
    char text[128];
    if (!cfb_size_mul(t->n_items, item, &bytes) || bytes != end - begin)
        return cfb_err_set(err, CFB_EDATA, "tensor '%.*s' of shape %s and type %.*s has %zu bytes", CFB_STR_ARG(t->name),
                           embed_shape_text(t->dims, t->n_dims, text), CFB_STR_ARG(dtype), end - begin);
    t->data = data + begin;
    t->n_bytes = bytes;
    return CFB_OK;
}

static int by_place(const void *a, const void *b) {
    const embed_tensor *x = *(const embed_tensor *const *)a, *y = *(const embed_tensor *const *)b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* Every byte of the data belongs to exactly one tensor. */
static cfb_code check_cover(const embed_tensor *items, size_t n, const unsigned char *data, size_t len, cfb_err *err) {
    const embed_tensor **order = malloc((n ? n : 1) * sizeof *order);
    cfb_code rc = CFB_OK;
    size_t at = 0;
    if (order == NULL) return NO_MEMORY(err);
    for (size_t i = 0; i < n; i++) order[i] = &items[i];
    qsort(order, n, sizeof *order, by_place);
    for (size_t i = 0; i < n && rc == CFB_OK; i++) {
        size_t begin = (size_t)(order[i]->data - data);
        if (begin != at)
            rc = cfb_err_set(err, CFB_EDATA, "tensor '%.*s' begins at byte %zu of the data; %zu was expected",
                             CFB_STR_ARG(order[i]->name), begin, at);
        at = begin + order[i]->n_bytes;
    }
    if (rc == CFB_OK && at != len) rc = cfb_err_set(err, CFB_EDATA, "%zu bytes of data belong to no tensor", len - at);
    free(order);
    return rc;
}

static cfb_code reserve(embed_tensors *t, size_t more, cfb_err *err) {
    if (t->arena == NULL) {
        cfb_code rc = cfb_arena_new((size_t)1 << 30, &t->arena, err);
        if (rc != CFB_OK) return rc;
    }
    if (more > EMBED_MAX_TENSORS - t->n) return cfb_err_set(err, CFB_ELIMIT, "more than %zu tensors", EMBED_MAX_TENSORS);
    if (t->n + more <= t->cap) return CFB_OK;
    size_t cap = t->n + more > 2 * t->cap ? t->n + more : 2 * t->cap;
    embed_tensor *items = realloc(t->items, cap * sizeof *items);
    if (items == NULL) return NO_MEMORY(err);
    t->items = items;
    t->cap = cap;
    return CFB_OK;
}

cfb_code embed_tensors_push(embed_tensors *t, const embed_tensor *item, cfb_err *err) {
    cfb_str name;
    cfb_code rc = reserve(t, 1, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(t->arena, item->name, &name, err);
    if (rc != CFB_OK) return rc;
    if (embed_tensors_find(t, name.ptr)) return cfb_err_set(err, CFB_EDATA, "tensor '%s' is there twice", name.ptr);
    t->items[t->n] = *item;
    t->items[t->n++].name = name;
    return CFB_OK;
}

static cfb_code add_items(embed_tensors *t, const cfb_json *root, const unsigned char *data, size_t len, cfb_err *err) {
    size_t first = t->n;
    cfb_code rc = reserve(t, cfb_json_count(root), err);
    for (const cfb_json *node = cfb_json_first(root); node != NULL && rc == CFB_OK; node = cfb_json_next(node)) {
        embed_tensor *item = &t->items[t->n];
        if (cfb_str_eqz(cfb_json_key(node), "__metadata__")) continue;
        *item = (embed_tensor){0};
        rc = cfb_arena_dup(t->arena, cfb_json_key(node), &item->name, err);
        if (rc == CFB_OK) rc = read_tensor(node, data, len, item, err);
        if (rc == CFB_OK && first > 0 && embed_tensors_find(t, item->name.ptr))
            rc = cfb_err_set(err, CFB_EDATA, "tensor '%s' is in two files", item->name.ptr);
        if (rc == CFB_OK) t->n++;
    }
    return rc == CFB_OK ? check_cover(t->items + first, t->n - first, data, len, err) : rc;
}

cfb_code embed_tensors_add(embed_tensors *t, const char *name, const void *file, size_t len, cfb_err *err) {
    const unsigned char *p = file;
    uint64_t header = 0;
    cfb_json *root = NULL;
    if (len < 8) return cfb_err_set(err, CFB_ETRUNCATED, "%s: %zu bytes are no safetensors file", name, len);
    for (int i = 0; i < 8; i++) header |= (uint64_t)p[i] << (8 * i);
    if (header > EMBED_MAX_HEADER)
        return cfb_err_set(err, CFB_EDATA, "%s: not a safetensors file (header of %llu bytes)", name, (unsigned long long)header);
    if (header > len - 8)
        return cfb_err_set(err, CFB_ETRUNCATED, "%s: the header has %llu bytes, the file %zu", name, (unsigned long long)header,
                           len);
    size_t n = (size_t)header;
    cfb_code rc = cfb_json_parse((const char *)p + 8, n, 0, &root, err);
    if (rc == CFB_OK && cfb_json_kind_of(root) != CFB_JSON_OBJECT)
        rc = cfb_err_set(err, CFB_EDATA, "the header is no JSON object");
    if (rc == CFB_OK) rc = add_items(t, root, p + 8 + n, len - 8 - n, err);
    cfb_json_free(root);
    return rc == CFB_OK ? CFB_OK : cfb_err_add_context(err, "%s", name);
}

embed_tensor *embed_tensors_find(embed_tensors *t, const char *name) {
    for (size_t i = 0; i < t->n; i++)
        if (cfb_str_eqz(t->items[i].name, name)) return &t->items[i];
    return NULL;
}

/* ---- files ---- */

void embed_tensors_free(embed_tensors *t) {
    for (size_t i = 0; i < t->n_maps; i++) munmap(t->maps[i].at, t->maps[i].len);
    free(t->items);
    cfb_arena_free(t->arena);
    *t = (embed_tensors){0};
}

typedef cfb_code (*add_fn)(embed_tensors *t, const char *name, const void *file, size_t len, cfb_err *err);

static cfb_code map_file(embed_tensors *t, const char *path, add_fn add, cfb_err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int e = errno;
        if (fd >= 0) close(fd);
        return cfb_err_set_errno(err, e, "%s", path);
    }
    cfb_code rc = CFB_OK;
    void *at = MAP_FAILED;
    if (!S_ISREG(st.st_mode) || st.st_size < 8)
        rc = cfb_err_set(err, CFB_ETRUNCATED, "%s: %lld bytes are no model", path, (long long)st.st_size);
    else if ((at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
        rc = cfb_err_set_errno(err, errno, "%s: cannot be mapped", path);
    close(fd);
    if (rc != CFB_OK) return rc;
    t->maps[t->n_maps++] = (embed_map){at, (size_t)st.st_size, ""};
    size_t first = t->n;
    rc = add(t, path, at, (size_t)st.st_size, err);
    for (size_t i = first; i < t->n; i++) t->items[i].mapped = true;
    return rc;
}

/* File names of an index: no folders, so that a model cannot make us read elsewhere. */
static cfb_code map_shards(embed_tensors *t, const char *dir, const cfb_json *map, add_fn add, cfb_err *err) {
    const char *done[EMBED_MAX_SHARDS];
    size_t n_done = 0;
    cfb_code rc = CFB_OK;
    char path[PATH_MAX];
    for (const cfb_json *node = cfb_json_first(map); node != NULL && rc == CFB_OK; node = cfb_json_next(node)) {
        cfb_str file = cfb_json_str(node);
        bool known = false;
        if (file.len == 0 || memchr(file.ptr, '/', file.len))
            return cfb_err_set(err, CFB_EDATA, "weight_map has '%.*s' for a file", CFB_STR_ARG(file));
        for (size_t i = 0; i < n_done && !known; i++) known = cfb_str_eqz(file, done[i]);
        if (known) continue;
        if (n_done == EMBED_MAX_SHARDS) return cfb_err_set(err, CFB_ELIMIT, "more than %d files", EMBED_MAX_SHARDS);
        done[n_done++] = file.ptr;
        rc = cfb_path_join(path, sizeof path, dir, file.ptr, err);
        if (rc == CFB_OK) rc = map_file(t, path, add, err);
    }
    for (const cfb_json *node = cfb_json_first(map); node != NULL && rc == CFB_OK; node = cfb_json_next(node))
        if (embed_tensors_find(t, cfb_json_key(node).ptr) == NULL)
            rc = cfb_err_set(err, CFB_EDATA, "tensor '%.*s' of the index is in no file", CFB_STR_ARG(cfb_json_key(node)));
    return rc;
}

static cfb_code open_index(embed_tensors *t, const char *dir, const char *path, add_fn add, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT((size_t)64 << 20);
    cfb_json *root = NULL;
    cfb_code rc = cfb_file_read(path, (size_t)32 << 20, &text, err);
    if (rc == CFB_OK) rc = cfb_json_parse(text.ptr, text.len, 0, &root, err);
    const cfb_json *map = cfb_json_get(root, "weight_map");
    if (rc == CFB_OK && cfb_json_count(map) == 0) rc = cfb_err_set(err, CFB_EDATA, "there is no weight_map");
    if (rc == CFB_OK) rc = map_shards(t, dir, map, add, err);
    if (rc != CFB_OK) cfb_err_add_context(err, "%s", path);
    cfb_json_free(root);
    cfb_buf_free(&text);
    return rc;
}

/* One file: its SHA-256, as sha256sum prints it. Several: SHA-256 over theirs in the order of the index. */
static void hash_files(embed_tensors *t) {
    cfb_str parts[EMBED_MAX_SHARDS];
    for (size_t i = 0; i < t->n_maps; i++) {
        cfb_sha256_hex(t->maps[i].at, t->maps[i].len, t->maps[i].hash);
        (void)madvise(t->maps[i].at, t->maps[i].len, MADV_DONTNEED); /* what is needed comes back */
        parts[i] = cfb_str_from(t->maps[i].hash);
    }
    if (t->n_maps == 1)
        memcpy(t->hash, t->maps[0].hash, sizeof t->hash);
    else
        cfb_sha256_parts_hex(parts, t->n_maps, t->hash);
}

cfb_code embed_tensors_open(embed_tensors *t, const char *dir, cfb_err *err) {
    static const struct {
        const char *name;
        bool is_index;
        add_fn add;
    } files[] = {{"model.safetensors", false, embed_tensors_add},
                 {"model.safetensors.index.json", true, embed_tensors_add},
                 {"pytorch_model.bin", false, embed_checkpoint_add},
                 {"pytorch_model.bin.index.json", true, embed_checkpoint_add}};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cfb_code rc = cfb_path_join(path, sizeof path, dir, files[i].name, err);
        if (rc == CFB_OK && !cfb_path_exists(path)) continue;
        if (rc == CFB_OK)
            rc = files[i].is_index ? open_index(t, dir, path, files[i].add, err) : map_file(t, path, files[i].add, err);
        if (rc == CFB_OK) hash_files(t);
        return rc;
    }
    return cfb_err_set(err, CFB_ENOTFOUND, "%s has no model.safetensors or pytorch_model.bin (and no .index.json of one)", dir);
}

/* ---- items ---- */

/* binary16 to binary32: the exponent is rebased by a multiplication, which is exact for subnormals too. */
static inline float half_value(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7FFFu) << 13, bits;
    float f;
    memcpy(&f, &magnitude, sizeof f);
    f *= 0x1p112f;
    memcpy(&bits, &f, sizeof bits);
    if ((h & 0x7C00u) == 0x7C00u) bits = magnitude | 0x7F800000u; /* infinity, NaN */
    bits |= (uint32_t)(h & 0x8000u) << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void embed_tensor_read(const embed_tensor *t, size_t first, size_t n, float *out) {
    if (t->dtype == EMBED_F32) {
        memcpy(out, t->data + first * 4, n * 4);
        return;
    }
    const unsigned char *p = t->data + first * 2;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        uint32_t bits = (uint32_t)h << 16;
        memcpy(&out[i], &bits, sizeof bits);
        if (t->dtype == EMBED_F16) out[i] = half_value(h);
    }
}

void embed_tensor_release(const embed_tensor *t) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)t->data + page - 1) / page * page,
              end = ((uintptr_t)t->data + t->n_bytes) / page * page;
    if (t->mapped && begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}
