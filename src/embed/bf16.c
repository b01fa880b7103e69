#include "embed/bf16.h"

#include <stdlib.h>

#ifdef CFB_DNNL
#if !__has_include(<oneapi/dnnl/dnnl.h>)
#error "DNNL=1 needs oneDNN's header (Debian: libdnnl-dev)"
#endif
#include "base/omp.h"
#include "cfbench/base.h"

#include <oneapi/dnnl/dnnl.h>
#if DNNL_VERSION_MAJOR != 2
#error "DNNL=1 needs oneDNN 2"
#endif

/* Each with the prefix dnnl_. */
#define FUNCTIONS(X)                      \
    X(engine_create)                      \
    X(engine_destroy)                     \
    X(get_effective_cpu_isa)              \
    X(matmul_desc_init)                   \
    X(memory_create)                      \
    X(memory_desc_get_size)               \
    X(memory_desc_init_by_tag)            \
    X(memory_destroy)                     \
    X(memory_set_data_handle)             \
    X(post_ops_append_eltwise)            \
    X(post_ops_create)                    \
    X(post_ops_destroy)                   \
    X(primitive_attr_create)              \
    X(primitive_attr_destroy)             \
    X(primitive_attr_set_post_ops)        \
    X(primitive_attr_set_scratchpad_mode) \
    X(primitive_create)                   \
    X(primitive_desc_create)              \
    X(primitive_desc_destroy)             \
    X(primitive_desc_query_md)            \
    X(primitive_destroy)                  \
    X(primitive_execute)                  \
    X(reorder_primitive_desc_create)      \
    X(stream_create)                      \
    X(stream_destroy)

/* ---- the library ---- */

#ifdef CFB_LAZY
#include "base/lazy.h"

static struct {
#define X(name) __typeof__(&(dnnl_##name)) name;
    FUNCTIONS(X)
#undef X
    /* of the OpenMP that oneDNN was built with, which may be another than ours */
    int (*omp_max)(void);
    void (*omp_set)(int);
} lib;
#define DNNL(name) lib.name

static cfb_code open_library(cfb_err *err) {
#define X(name) {"dnnl_" #name, &lib.name},
    static const cfb_lazy_symbol symbols[] = {FUNCTIONS(X){"omp_get_max_threads", &lib.omp_max},
                                              {"omp_set_num_threads", &lib.omp_set}};
#undef X
    return cfb_lazy_open(CFB_LAZY_DNNL, symbols, sizeof symbols / sizeof *symbols, err);
}
static int lib_threads(int n) {
    int before = lib.omp_max();
    if (before != n) lib.omp_set(n);
    return before;
}
#else
#define DNNL(name) dnnl_##name
static cfb_code open_library(cfb_err *err) {
    (void)err;
    return CFB_OK;
}
static int lib_threads(int n) { return n; }
#endif

/* oneDNN starts as many threads as OpenMP would for the calling thread, and chooses its blocks by that number too. */
typedef struct threads {
    int ours, theirs;
} threads;

static threads one_thread(void) {
    threads before = {omp_get_max_threads(), lib_threads(1)};
    if (before.ours != 1) omp_set_num_threads(1);
    return before;
}

static void restore(threads before) {
    if (before.ours != 1) omp_set_num_threads(before.ours);
    if (before.theirs != 1) (void)lib_threads(before.theirs);
}

/* ---- what a model needs ---- */

typedef struct shape { /* products of one shape */
    size_t n, k;
    bool rounded, gelu; /* rounded: with a bias, to bfloat16 */
    dnnl_memory_desc_t src, packed, bias, dst, scratch;
    dnnl_primitive_t run;
} shape;

enum { HEADS, OUT, UP, DOWN, SHAPES }; /* (H, H) twice, (I, H), (H, I) */

typedef struct worker {
    dnnl_stream_t stream;
    void *scratch;
    dnnl_memory_t srcs[SHAPES], biases[SHAPES], dsts[SHAPES], scratches[SHAPES];
    bool failed;
} worker;

typedef struct packed {
    void *data;
    dnnl_memory_t memory;
} packed;

struct embed_bf16 {
    const embed_kernels *k;
    dnnl_engine_t engine;
    shape shapes[SHAPES];
    packed *weights; /* (layers, EMBED_N_WEIGHTS); NULL where a weight is no matrix */
    size_t n_weights;
    worker *workers;
    int n_workers;
};

static size_t shape_of(embed_weight which) {
    return which == EMBED_F1_W ? UP : which == EMBED_F2_W ? DOWN : which == EMBED_O_W ? OUT : HEADS;
}

static void *room(size_t bytes) { return bytes <= SIZE_MAX - 128 ? aligned_alloc(64, (bytes + 127) / 64 * 64) : NULL; }

static cfb_code refused(cfb_err *err, const char *what, dnnl_status_t status) {
    if (status == dnnl_out_of_memory) return cfb_err_set(err, CFB_ENOMEM, "out of memory (oneDNN)");
    return cfb_err_set(err, CFB_ECONFIG, "oneDNN cannot make %s (status %d); use --precision f32", what, (int)status);
}

static dnnl_status_t describe(dnnl_memory_desc_t *d, size_t rows, size_t columns, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    return DNNL(memory_desc_init_by_tag)(d, 2, dims, type, tag);
}

static dnnl_status_t describe_all(shape *s, dnnl_memory_desc_t *any) {
    dnnl_status_t rc = describe(&s->src, EMBED_BF16_ROWS, s->k, dnnl_bf16, dnnl_ab);
    if (rc == dnnl_success) rc = describe(any, s->k, s->n, dnnl_bf16, dnnl_format_tag_any);
    if (rc == dnnl_success) rc = describe(&s->bias, 1, s->n, dnnl_f32, dnnl_ab);
    if (rc == dnnl_success) rc = describe(&s->dst, EMBED_BF16_ROWS, s->n, s->rounded ? dnnl_bf16 : dnnl_f32, dnnl_ab);
    return rc;
}

static dnnl_status_t append_gelu(dnnl_primitive_attr_t attr) {
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t rc = DNNL(post_ops_create)(&ops);
    if (rc == dnnl_success) rc = DNNL(post_ops_append_eltwise)(ops, 1.0f, dnnl_eltwise_gelu_erf, 0, 0);
    if (rc == dnnl_success) rc = DNNL(primitive_attr_set_post_ops)(attr, ops);
    if (ops) DNNL(post_ops_destroy)(ops);
    return rc;
}

static dnnl_status_t make_product(embed_bf16 *b, shape *s) {
    dnnl_matmul_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_memory_desc_t any;
    dnnl_status_t rc = describe_all(s, &any);
    if (rc == dnnl_success) rc = DNNL(matmul_desc_init)(&d, &s->src, &any, s->rounded ? &s->bias : NULL, &s->dst);
    if (rc == dnnl_success) rc = DNNL(primitive_attr_create)(&attr);
    if (rc == dnnl_success) rc = DNNL(primitive_attr_set_scratchpad_mode)(attr, dnnl_scratchpad_mode_user);
    if (rc == dnnl_success && s->gelu) rc = append_gelu(attr);
    if (rc == dnnl_success) rc = DNNL(primitive_desc_create)(&pd, &d, attr, b->engine, NULL);
    if (rc == dnnl_success) {
        s->packed = *DNNL(primitive_desc_query_md)(pd, dnnl_query_weights_md, 0);
        s->scratch = *DNNL(primitive_desc_query_md)(pd, dnnl_query_scratchpad_md, 0);
        rc = DNNL(primitive_create)(&s->run, pd);
    }
    if (pd) DNNL(primitive_desc_destroy)(pd);
    if (attr) DNNL(primitive_attr_destroy)(attr);
    return rc;
}

static dnnl_status_t make_worker(embed_bf16 *b, worker *w) {
    size_t most = 64;
    for (size_t i = 0; i < SHAPES; i++) {
        size_t bytes = DNNL(memory_desc_get_size)(&b->shapes[i].scratch);
        most = bytes > most ? bytes : most;
    }
    w->scratch = room(most);
    if (w->scratch == NULL) return dnnl_out_of_memory;
    dnnl_status_t rc = DNNL(stream_create)(&w->stream, b->engine, dnnl_stream_default_flags);
    for (size_t i = 0; i < SHAPES && rc == dnnl_success; i++) {
        const shape *s = &b->shapes[i];
        rc = DNNL(memory_create)(&w->srcs[i], &s->src, b->engine, DNNL_MEMORY_NONE);
        if (rc == dnnl_success) rc = DNNL(memory_create)(&w->biases[i], &s->bias, b->engine, DNNL_MEMORY_NONE);
        if (rc == dnnl_success) rc = DNNL(memory_create)(&w->dsts[i], &s->dst, b->engine, DNNL_MEMORY_NONE);
        if (rc == dnnl_success) rc = DNNL(memory_create)(&w->scratches[i], &s->scratch, b->engine, w->scratch);
    }
    return rc;
}

/* ---- packing ---- */

typedef struct packer { /* of one shape */
    dnnl_memory_desc_t plain;
    dnnl_memory_t from;
    dnnl_primitive_t run;
} packer;

static dnnl_status_t make_packer(embed_bf16 *b, const shape *s, uint16_t *plain, packer *p) {
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t rc = describe(&p->plain, s->k, s->n, dnnl_bf16, dnnl_ba);
    if (rc == dnnl_success) rc = DNNL(memory_create)(&p->from, &p->plain, b->engine, plain);
    if (rc == dnnl_success) rc = DNNL(reorder_primitive_desc_create)(&pd, &p->plain, b->engine, &s->packed, b->engine, NULL);
    if (rc == dnnl_success) rc = DNNL(primitive_create)(&p->run, pd);
    if (pd) DNNL(primitive_desc_destroy)(pd);
    return rc;
}

static dnnl_status_t pack_one(embed_bf16 *b, const embed_tensor *t, const packer *p, const shape *s, float *items,
                              uint16_t *plain, packed *out) {
    embed_tensor_read(t, 0, t->n_items, items);
    embed_tensor_release(t);
    b->k->to_bf16(items, t->n_items, plain);
    out->data = room(DNNL(memory_desc_get_size)(&s->packed));
    if (out->data == NULL) return dnnl_out_of_memory;
    dnnl_status_t rc = DNNL(memory_create)(&out->memory, &s->packed, b->engine, out->data);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, p->from}, {DNNL_ARG_TO, out->memory}};
    return rc == dnnl_success ? DNNL(primitive_execute)(p->run, b->workers[0].stream, 2, args) : rc;
}

static dnnl_status_t pack_all(embed_bf16 *b, const embed_model *m) {
    packer packers[SHAPES] = {0};
    size_t most = b->shapes[OUT].n * b->shapes[OUT].k, wide = b->shapes[UP].n * b->shapes[UP].k;
    most = wide > most ? wide : most;
    float *items = room(most * sizeof *items);
    uint16_t *plain = room(most * sizeof *plain);
    dnnl_status_t rc = items && plain ? dnnl_success : dnnl_out_of_memory;
    for (size_t i = 0; i < SHAPES && rc == dnnl_success; i++) rc = make_packer(b, &b->shapes[i], plain, &packers[i]);
    for (size_t i = 0; i < b->n_weights && rc == dnnl_success; i++) {
        const embed_tensor *t = m->layers[i / EMBED_N_WEIGHTS].t[i % EMBED_N_WEIGHTS];
        size_t s = shape_of((embed_weight)(i % EMBED_N_WEIGHTS));
        if (t->n_dims == 2) rc = pack_one(b, t, &packers[s], &b->shapes[s], items, plain, &b->weights[i]);
    }
    for (size_t i = 0; i < SHAPES; i++) {
        if (packers[i].run) DNNL(primitive_destroy)(packers[i].run);
        if (packers[i].from) DNNL(memory_destroy)(packers[i].from);
    }
    free(items);
    free(plain);
    return rc;
}

/* ---- the whole ---- */

static cfb_code check_machine(cfb_err *err) {
    cfb_code rc = open_library(err);
    if (rc != CFB_OK) return cfb_err_add_context(err, "--precision bf16");
    unsigned isa = (unsigned)DNNL(get_effective_cpu_isa)(), needed = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
    if (isa != (unsigned)dnnl_cpu_isa_all && (isa & needed) != needed)
        return cfb_err_set(err, CFB_ECONFIG,
                           "--precision bf16: oneDNN finds no bfloat16 instructions (AVX-512 BF16 or AMX) on this processor, or "
                           "ONEDNN_MAX_CPU_ISA forbids them; use --precision f32");
    return CFB_OK;
}

static dnnl_status_t make_all(embed_bf16 *b, const embed_model *m) {
    size_t h = m->config.hidden, wide = m->config.intermediate;
    b->shapes[HEADS] = (shape){.n = h, .k = h, .rounded = true};
    b->shapes[OUT] = (shape){.n = h, .k = h};
    b->shapes[UP] = (shape){.n = wide, .k = h, .rounded = true, .gelu = true};
    b->shapes[DOWN] = (shape){.n = h, .k = wide};
    dnnl_status_t rc = DNNL(engine_create)(&b->engine, dnnl_cpu, 0);
    for (size_t i = 0; i < SHAPES && rc == dnnl_success; i++) rc = make_product(b, &b->shapes[i]);
    for (int i = 0; i < b->n_workers && rc == dnnl_success; i++) rc = make_worker(b, &b->workers[i]);
    return rc == dnnl_success ? pack_all(b, m) : rc;
}

cfb_code embed_bf16_new(const embed_model *m, const embed_kernels *k, int n_workers, embed_bf16 **out, cfb_err *err) {
    *out = NULL;
    cfb_code rc = check_machine(err);
    if (rc != CFB_OK) return rc;
    embed_bf16 *b = calloc(1, sizeof *b);
    if (b == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (encoder)");
    b->k = k;
    b->n_weights = m->config.layers * EMBED_N_WEIGHTS;
    b->n_workers = n_workers;
    b->weights = calloc(b->n_weights, sizeof *b->weights);
    b->workers = calloc((size_t)n_workers, sizeof *b->workers);
    threads before = one_thread();
    dnnl_status_t status = b->weights && b->workers ? make_all(b, m) : dnnl_out_of_memory;
    restore(before);
    if (status == dnnl_success) {
        *out = b;
        return CFB_OK;
    }
    embed_bf16_free(b);
    return refused(err, "bfloat16 products of this model's shapes", status);
}

static void free_worker(worker *w) {
    for (size_t i = 0; i < SHAPES; i++) {
        if (w->srcs[i]) DNNL(memory_destroy)(w->srcs[i]);
        if (w->biases[i]) DNNL(memory_destroy)(w->biases[i]);
        if (w->dsts[i]) DNNL(memory_destroy)(w->dsts[i]);
        if (w->scratches[i]) DNNL(memory_destroy)(w->scratches[i]);
    }
    if (w->stream) DNNL(stream_destroy)(w->stream);
    free(w->scratch);
}

void embed_bf16_free(embed_bf16 *b) {
    if (b == NULL) return;
    for (int i = 0; b->workers != NULL && i < b->n_workers; i++) free_worker(&b->workers[i]);
    for (size_t i = 0; b->weights != NULL && i < b->n_weights; i++) {
        if (b->weights[i].memory) DNNL(memory_destroy)(b->weights[i].memory);
        free(b->weights[i].data);
    }
    for (size_t i = 0; i < SHAPES; i++)
        if (b->shapes[i].run) DNNL(primitive_destroy)(b->shapes[i].run);
    if (b->engine) DNNL(engine_destroy)(b->engine);
    free(b->weights);
    free(b->workers);
    free(b);
}

void embed_bf16_product(embed_bf16 *b, size_t layer, embed_weight which, const uint16_t *x, const float *bias, void *c,
                        int worker_no) {
    worker *w = &b->workers[worker_no];
    size_t i = shape_of(which);
    const shape *s = &b->shapes[i];
    threads before = one_thread();
    /* oneDNN only reads them */
    dnnl_status_t rc = DNNL(memory_set_data_handle)(w->srcs[i], (void *)(uintptr_t)x);
    if (rc == dnnl_success) rc = DNNL(memory_set_data_handle)(w->biases[i], (void *)(uintptr_t)bias);
    if (rc == dnnl_success) rc = DNNL(memory_set_data_handle)(w->dsts[i], c);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, w->srcs[i]},
                                    {DNNL_ARG_WEIGHTS, b->weights[layer * EMBED_N_WEIGHTS + (size_t)which].memory},
                                    {DNNL_ARG_DST, w->dsts[i]},
                                    {DNNL_ARG_SCRATCHPAD, w->scratches[i]},
                                    {DNNL_ARG_BIAS, w->biases[i]}};
    if (rc == dnnl_success) rc = DNNL(primitive_execute)(s->run, w->stream, s->rounded ? 5 : 4, args);
    restore(before);
    w->failed = w->failed || rc != dnnl_success;
}

bool embed_bf16_failed(embed_bf16 *b) {
    bool failed = false;
    for (int i = 0; i < b->n_workers; i++) {
        failed = failed || b->workers[i].failed;
        b->workers[i].failed = false;
    }
    return failed;
}
#else
struct embed_bf16 {
    int unused;
};

cfb_code embed_bf16_new(const embed_model *m, const embed_kernels *k, int n_workers, embed_bf16 **out, cfb_err *err) {
    (void)m;
    (void)k;
    (void)n_workers;
    *out = NULL;
    return cfb_err_set(
        err, CFB_ECONFIG,
        "--precision bf16: this program was built without oneDNN; build it with make DNNL=1 (Debian: libdnnl-dev), "
        "or use --precision f32");
}

void embed_bf16_free(embed_bf16 *b) { (void)b; }

void embed_bf16_product(embed_bf16 *b, size_t layer, embed_weight which, const uint16_t *x, const float *bias, void *c,
                        int worker) {
    (void)b;
    (void)layer;
    (void)which;
    (void)x;
    (void)bias;
    (void)c;
    (void)worker;
}

bool embed_bf16_failed(embed_bf16 *b) {
    (void)b;
    return true;
}
#endif
