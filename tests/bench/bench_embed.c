/* Texts per second of the encoder on random weights of BGE's shapes, against the peak of the same OpenBLAS (its own threads, the
 * shapes of the encoder's products), interleaved in one run. bench_embed [SHAPE [TEXTS [THREADS
 * [FOLDER]]]] SHAPE: small, base or large. FOLDER gets model, token ids, vectors and rates, for torch_embed.py.
 * Some vectors are compared with a plain encoder in binary64 (a few layers deep models only: the plain loops are slow); a
 * difference above 2e-5 ends the benchmark with status 1. */
#include "../bert_model.h"
#include "../unit/bert_plain.h"
#include "cfbench/embed.h"

#include <cblas.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 3
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

static cfb_str *make_texts(size_t n) {
    cfb_str *t = calloc(n, sizeof *t);
    char *p = malloc(n * 500 * 3);
    need(t && p, "out of memory");
    for (size_t i = 0; i < n; i++) {
        char *begin = p;
        for (size_t k = length_of(i); k > 0; k--) {
            unsigned c = 0x4E00 + (unsigned)(cfb_rand_u64(3, i, k) % 20000);
            *p++ = (char)(0xE0 | c >> 12);
            *p++ = (char)(0x80 | (c >> 6 & 0x3F));
            *p++ = (char)(0x80 | (c & 0x3F));
        }
        t[i] = (cfb_str){begin, (size_t)(p - begin)};
    }
    return t;
}

/* Floating-point operations of n tokens; the last layer for first rows alone, as the encoder does it. */
static double flops_of(const bert_shape *s, size_t n) {
    double h = (double)s->hidden, wide = (double)s->intermediate, len = (double)n;
    double layer = len * (8 * h * h + 4 * h * wide) + 4 * len * len * h;
    double last = len * 4 * h * h + 4 * h * h + 4 * h * wide + 4 * len * h;
    return layer * (double)(s->layers - 1) + last;
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

static void put_file(const char *dir, const char *name, const void *data, size_t size, const char *mode) {
    char path[300];
    snprintf(path, sizeof path, "%.200s/%s", dir, name);
    FILE *f = fopen(path, mode);
    need(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, "cannot write what torch_embed.py reads");
}

static void keep(const char *dir, const cfb_encoder_t *e, const cfb_str *texts, const float *out, size_t n, double rate) {
    char json[80];
    put_file(dir, "vectors.f32", out, n * cfb_encoder_dim(e) * sizeof *out, "wb");
    put_file(dir, "ids.u32", "", 0, "wb");
    for (size_t i = 0; i < n; i++) {
        uint32_t ids[513];
        size_t len = 0;
        need(cfb_wordpiece_encode(cfb_encoder_tokenizer(e), texts[i], CFB_WORDPIECE_KEEP_SEP, 512, ids + 1, &len, NULL) == CFB_OK,
             "tokens");
        ids[0] = (uint32_t)len;
        put_file(dir, "ids.u32", ids, (len + 1) * sizeof *ids, "ab");
    }
    put_file(dir, "rate.json", json, (size_t)snprintf(json, sizeof json, "{\"fp32\": %.6g}", rate), "wb");
}

static void remove_model(const char *dir) {
    static const char *const names[] = {"model.safetensors", "config.json", "vocab.txt"};
    char path[200];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%.150s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

int main(int argc, char **argv) {
    const char *shape = argc > 1 ? argv[1] : "small";
    size_t n = argc > 2 ? (size_t)atol(argv[2]) : 512, which = 3;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(shapes[i].name, shape) == 0) which = i;
    need(which < 3 && n > 0, "usage: bench_embed [small|base|large [TEXTS [THREADS]]]");
    const bert_shape *s = &shapes[which].s;
    char made[] = "/tmp/cfbench-bench-XXXXXX";
    const char *dir = argc > 4 ? argv[4] : made;
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    cfb_encoder_t *e = NULL;
    cfb_err err = CFB_ERR_INIT;
    o.n_threads = argc > 3 ? atoi(argv[3]) : cfb_cpu_count();
    need((argc > 4 || mkdtemp(made) != NULL) && bert_write(dir, s), "cannot write a model to /tmp");
    int64_t t = cfb_now_ns();
    cfb_code rc = cfb_encoder_open(dir, &o, &e, &err);
    double open_s = (double)(cfb_now_ns() - t) * 1e-9;
    need(rc == CFB_OK, err.msg);
    cfb_str *texts = make_texts(n);
    float *out = malloc(n * s->hidden * sizeof *out);
    double flops = 0, best = 1e30, best_peak = 0, cpu = 1e30;
    need(out != NULL, "out of memory");
    for (size_t i = 0; i < n; i++) flops += flops_of(s, length_of(i) + 2);
    for (int r = 0; r < ROUNDS; r++) {
        double gemm = peak(s, o.n_threads), start = cpu_s();
        t = cfb_now_ns();
        rc = cfb_encoder_embed(e, texts, n, out, &err);
        double d = (double)(cfb_now_ns() - t) * 1e-9;
        cpu = fmin(cpu, cpu_s() - start);
        need(rc == CFB_OK, err.msg);
        if (d < best) best = d;
        if (gemm > best_peak) best_peak = gemm;
    }
    cfb_encoder_work work = cfb_encoder_work_done(e);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "bge-%s shape, %zu texts of %.0f tokens on average, %d threads: %.2f texts/s, %.1f GFLOP/s; sgemm %.1f GFLOP/s: %.0f %%; "
        "opened in %.2f s, peak memory %ld MB\n",
        shape, n, (double)work.tokens / (double)work.texts, o.n_threads, (double)n / best, flops / best * 1e-9, best_peak,
        100 * flops / best * 1e-9 / best_peak, open_s, usage.ru_maxrss / 1024);
    printf("processor time: %.1f GFLOP/s of a thread\n", flops / cpu * 1e-9);
    if (argc > 4) keep(dir, e, texts, out, n, (double)n / best);
    double worst = compare(dir, e, texts, out, which == 0 ? 2 : 1);
    printf("largest difference from the plain encoder: %.2g\n", worst);
    cfb_encoder_free(e);
    free((void *)(uintptr_t)texts[0].ptr);
    free(texts);
    free(out);
    if (argc < 5) remove_model(dir);
    need(worst <= 2e-5, "the vectors differ");
    return 0;
}
