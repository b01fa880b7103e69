/* The encoder on random weights of BGE's shapes and texts with the lengths of real replies, beside the peak of the same OpenBLAS
 * (its own threads, the shapes of the encoder's products).
 *
 *   bench_embed SHAPE [TEXTS [THREADS]]         interleaved rounds, and some vectors against a plain encoder in binary64; a
 * difference above 2e-5 ends it with status 1. SHAPE: small, base or large bench_embed SHAPE TEXTS THREADS FOLDER      the same
 * side by side with another program (torch_embed.py): writes the model, texts and ids to FOLDER; then a line of standard input is
 * a task, and a line of JSON its answer: peak, f32, bf16 (vectors go to FOLDER/f32 or FOLDER/bf16), plain bench_embed SHAPE TEXTS
 * THREADS FOLDER F16  writes a model of such weights to FOLDER, no more */
#include "../bert_model.h"
#include "../unit/bert_plain.h"
#include "cfbench/embed.h"

#include <cblas.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 3
#define MIX 512 /* texts of the length mix */
#define PEAK_ROWS 4608

static void need(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "bench_embed: %s\n", what);
    exit(1);
}

static const struct {
    const char *name;
    bert_shape s;
} shapes[] = {
    {"small", {512, 4, 8, 2048, 21128, 512, "F32", "", 0.03f}},
    {"base", {768, 12, 12, 3072, 21128, 512, "F32", "", 0.03f}},
    {"large", {1024, 24, 16, 4096, 21128, 512, "F32", "", 0.03f}},
};

/* Lengths as of real replies: about log-normal, p10 47, median 113, p90 222 tokens. */
static size_t length_of(size_t i) {
    double u = 0;
    for (size_t k = 0; k < 12; k++) u += cfb_rand_unit(17, k, i);
    double len = exp(log(113) + 0.6 * (u - 6));
    return len < 8 ? 8 : len > 500 ? 500 : (size_t)len;
}

static int by_length(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Floating-point operations of n tokens; the last layer for first rows alone, as the encoder does it. */
static double flops_of(const bert_shape *s, size_t n) {
    double h = (double)s->hidden, wide = (double)s->intermediate, len = (double)n;
    double layer = len * (8 * h * h + 4 * h * wide) + 4 * len * len * h;
    double last = len * 4 * h * h + 4 * h * h + 4 * h * wide + 4 * len * h;
    return layer * (double)(s->layers - 1) + last;
}

static bool is_prime_to(size_t a, size_t b) {
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a == 1;
}

/* n texts whose lengths are quantiles of those of MIX texts, in a mixed order. */
static cfb_str *make_texts(size_t n, const bert_shape *s, double *flops) {
    static size_t lengths[MIX];
    cfb_str *t = calloc(n, sizeof *t);
    char *p = malloc(n * 500 * 3);
    size_t step = n / 2 + 1;
    need(t && p, "out of memory");
    while (!is_prime_to(step, n)) step++;
    for (size_t i = 0; i < MIX; i++) lengths[i] = length_of(i);
    qsort(lengths, MIX, sizeof *lengths, by_length);
    for (size_t i = 0; i < n; i++) {
        char *begin = p;
        size_t len = lengths[(2 * (i * step % n) + 1) * MIX / (2 * n)];
        for (size_t k = len; k > 0; k--) {
            unsigned c = 0x4E00 + (unsigned)(cfb_rand_u64(3, i, k) % 20000);
            *p++ = (char)(0xE0 | c >> 12);
            *p++ = (char)(0x80 | (c >> 6 & 0x3F));
            *p++ = (char)(0x80 | (c & 0x3F));
        }
        t[i] = (cfb_str){begin, (size_t)(p - begin)};
        *flops += flops_of(s, len + 2);
    }
    return t;
}

/* GFLOP/s of OpenBLAS with its own threads, over the products of a layer weighted by their work. */
static double peak(const bert_shape *s, int threads) {
    size_t h = s->hidden, wide = s->intermediate, k_n[][2] = {{h, 3 * h}, {h, h}, {h, wide}, {wide, h}};
    float *x = malloc(PEAK_ROWS * wide * sizeof *x), *w = malloc(3 * h * wide * sizeof *w),
          *c = malloc(PEAK_ROWS * wide * sizeof *c);
    double work = 0, time = 0;
    need(x && w && c, "out of memory");
    for (size_t i = 0; i < PEAK_ROWS * wide; i++) x[i] = (float)(i % 17) / 17;
    for (size_t i = 0; i < 3 * h * wide; i++) w[i] = (float)(i % 13) / 13;
    int before = openblas_get_num_threads();
    openblas_set_num_threads(threads);
    for (size_t i = 0; i < 4; i++) {
        size_t k = k_n[i][0], n = k_n[i][1];
        double best = 1e30;
        for (int r = 0; r < 3; r++) {
            int64_t t = cfb_now_ns();
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, PEAK_ROWS, (blasint)n, (blasint)k, 1, x, (blasint)k, w,
                        (blasint)k, 0, c, (blasint)n);
            double d = (double)(cfb_now_ns() - t) * 1e-9;
            if (d < best) best = d;
        }
        work += 2.0 * PEAK_ROWS * (double)n * (double)k;
        time += best;
    }
    openblas_set_num_threads(before);
    free(x);
    free(w);
    free(c);
    return work / time * 1e-9;
}

static double compare(const char *dir, cfb_encoder_t *e, const cfb_str *texts, const float *got, size_t n) {
    size_t dim = cfb_encoder_dim(e), len;
    uint32_t ids[512];
    double *want = malloc(dim * sizeof *want), worst = 0;
    plain_bert *p = plain_open(dir);
    need(want && p, "out of memory");
    for (size_t i = 0; i < n; i++) {
        need(cfb_wordpiece_encode(cfb_encoder_tokenizer(e), texts[i], CFB_WORDPIECE_KEEP_SEP, 512, ids, &len, NULL) == CFB_OK,
             "tokens");
        need(plain_embed(p, ids, len, 0, want), "out of memory");
        for (size_t k = 0; k < dim; k++) worst = fmax(worst, fabs(want[k] - (double)got[i * dim + k]));
    }
    plain_close(p);
    free(want);
    return worst;
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

typedef struct bench {
    bert_shape s;
    const char *dir;
    size_t n;
    int threads;
    cfb_str *texts;
    float *out;
    double flops;
    cfb_encoder_t *e[2]; /* f32, bf16: opened when first needed */
} bench;

static cfb_code open_encoder(bench *b, cfb_precision precision, cfb_err *err) {
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    o.n_threads = b->threads;
    o.precision = precision;
    return b->e[precision] ? CFB_OK : cfb_encoder_open(b->dir, &o, &b->e[precision], err);
}

/* Seconds for all texts. */
static double embed_all(bench *b, cfb_precision precision, double *cpu) {
    cfb_err err = CFB_ERR_INIT;
    double start = cpu_s();
    int64_t t = cfb_now_ns();
    cfb_code rc = cfb_encoder_embed(b->e[precision], b->texts, b->n, b->out, &err);
    double d = (double)(cfb_now_ns() - t) * 1e-9;
    need(rc == CFB_OK, err.msg);
    *cpu = cpu_s() - start;
    return d;
}

/* ---- side by side with another program ---- */

static void put_file(const char *dir, const char *name, const void *data, size_t size, const char *mode) {
    char path[300];
    snprintf(path, sizeof path, "%.200s/%s", dir, name);
    FILE *f = fopen(path, mode);
    need(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "cannot write to FOLDER");
}

static void put_texts(const bench *b) {
    put_file(b->dir, "ids.u32", "", 0, "wb");
    put_file(b->dir, "lines.txt", "", 0, "wb");
    for (size_t i = 0; i < b->n; i++) {
        uint32_t ids[513];
        size_t len = 0;
        need(cfb_wordpiece_encode(cfb_encoder_tokenizer(b->e[0]), b->texts[i], CFB_WORDPIECE_KEEP_SEP, 512, ids + 1, &len,
                                  NULL) == CFB_OK,
             "tokens");
        ids[0] = (uint32_t)len;
        put_file(b->dir, "ids.u32", ids, (len + 1) * sizeof *ids, "ab");
        put_file(b->dir, "lines.txt", b->texts[i].ptr, b->texts[i].len, "ab");
        put_file(b->dir, "lines.txt", "\n", 1, "ab");
    }
}

static void answer(bench *b, const char *task) {
    cfb_err err = CFB_ERR_INIT;
    double cpu = 0;
    if (strcmp(task, "peak\n") == 0) {
        printf("{\"gflops\": %.6g}\n", peak(&b->s, b->threads));
    } else if (strcmp(task, "plain\n") == 0) {
        size_t i = 0; /* the shortest */
        for (size_t k = 1; k < b->n; k++) i = b->texts[k].len < b->texts[i].len ? k : i;
        need(cfb_encoder_embed(b->e[0], b->texts + i, 1, b->out, &err) == CFB_OK, err.msg);
        printf("{\"difference\": %.6g}\n", compare(b->dir, b->e[0], b->texts + i, b->out, 1));
    } else {
        cfb_precision precision = strcmp(task, "bf16\n") == 0 ? CFB_PRECISION_BF16 : CFB_PRECISION_F32;
        if (open_encoder(b, precision, &err) != CFB_OK) {
            printf("{\"error\": \"%s\"}\n", err.msg);
            return;
        }
        double s = embed_all(b, precision, &cpu);
        put_file(b->dir, precision ? "bf16" : "f32", b->out, b->n * b->s.hidden * sizeof *b->out, "wb");
        printf("{\"s\": %.6g, \"cpu_s\": %.6g, \"gflops\": %.6g}\n", s, cpu, b->flops / s * 1e-9);
    }
}

static void serve(bench *b) {
    char task[80];
    put_texts(b);
    printf("{\"ready\": true}\n");
    fflush(stdout);
    while (fgets(task, sizeof task, stdin)) {
        answer(b, task);
        fflush(stdout);
    }
}

/* ---- alone ---- */

static void remove_model(const char *dir) {
    static const char *const names[] = {"model.safetensors", "config.json", "vocab.txt"};
    char path[200];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%.150s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void run_alone(bench *b, const char *shape, bool check) {
    cfb_err err = CFB_ERR_INIT;
    double best[2] = {1e30, 1e30}, best_cpu[2] = {1e30, 1e30}, best_peak = 0, cpu;
    bool half = open_encoder(b, CFB_PRECISION_BF16, &err) == CFB_OK;
    for (int r = 0; r < ROUNDS; r++) {
        best_peak = fmax(best_peak, peak(&b->s, b->threads));
        for (int k = 0; k <= half; k++) {
            best[k] = fmin(best[k], embed_all(b, (cfb_precision)k, &cpu));
            best_cpu[k] = fmin(best_cpu[k], cpu);
        }
    }
    cfb_encoder_work work = cfb_encoder_work_done(b->e[0]);
    printf("bge-%s shape, %zu texts of %.0f tokens on average, %d threads; sgemm %.1f GFLOP/s\n", shape, b->n,
           (double)work.tokens / (double)work.texts, b->threads, best_peak);
    for (int k = 0; k <= half; k++)
        printf("%s: %.2f texts/s, %.1f GFLOP/s, %.0f %% of sgemm; processor time: %.1f GFLOP/s of a thread\n", k ? "bf16" : "f32",
               (double)b->n / best[k], b->flops / best[k] * 1e-9, 100 * b->flops / best[k] * 1e-9 / best_peak,
               b->flops / best_cpu[k] * 1e-9);
    if (!half) printf("%s\n", err.msg);
    if (!check) return;
    (void)embed_all(b, CFB_PRECISION_F32, &cpu);
    double worst = compare(b->dir, b->e[0], b->texts, b->out, b->s.hidden <= 512 ? 2 : 1);
    printf("largest difference from the plain encoder: %.2g\n", worst);
    need(worst <= 2e-5, "the vectors differ");
}

int main(int argc, char **argv) {
    const char *shape = argc > 1 ? argv[1] : "small";
    char made[] = "/tmp/cfbench-bench-XXXXXX";
    size_t which = 3;
    cfb_err err = CFB_ERR_INIT;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(shapes[i].name, shape) == 0) which = i;
    bench b = {.dir = argc > 4 ? argv[4] : made, .n = argc > 2 ? (size_t)atol(argv[2]) : 512};
    need(which < 3 && b.n > 0 && b.n <= MIX, "usage: bench_embed [small|base|large [TEXTS [THREADS [FOLDER [F16]]]]]");
    b.s = shapes[which].s;
    if (argc > 5) b.s.dtype = argv[5];
    b.threads = argc > 3 ? atoi(argv[3]) : cfb_cpu_count();
    need((argc > 4 || mkdtemp(made) != NULL) && bert_write(b.dir, &b.s), "cannot write a model");
    if (argc > 5) return 0;
    need(open_encoder(&b, CFB_PRECISION_F32, &err) == CFB_OK, err.msg);
    b.texts = make_texts(b.n, &b.s, &b.flops);
    b.out = malloc(b.n * b.s.hidden * sizeof *b.out);
    need(b.out != NULL, "out of memory");
    if (argc > 4)
        serve(&b);
    else
        run_alone(&b, shape, getenv("BENCH_EMBED_UNCHECKED") == NULL);
    for (int k = 0; k < 2; k++) cfb_encoder_free(b.e[k]);
    free((void *)(uintptr_t)b.texts[0].ptr);
    free(b.texts);
    free(b.out);
    if (argc < 5) remove_model(made);
    return 0;
}
