/* The encoder against ../shared/bert and against a plain-loop encoder in binary64; threads, batches, cosines, cache. */
#include "test.h"

#include "../bert_model.h"
#include "bert_plain.h"
#include "cfbench/embed.h"
#include "cfbench/json.h"
#include "embed/kernels.h"

#include <math.h>
#include <unistd.h>

#define SHARED "../shared/bert/"

static const bert_shape small = {48, 2, 4, 100, 400, 64, "F32", "", 0.05f};

static void make_model(const bert_shape *s, char dir[64]) {
    assert_non_null(test_folder(dir));
    assert_true(bert_write(dir, s));
}

static cfb_encoder_t *open_model(const char *dir, int n_threads, cfb_pooling pooling) {
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    cfb_encoder_t *e = NULL;
    o.n_threads = n_threads;
    o.pooling = pooling;
    assert_ok(cfb_encoder_open(dir, &o, &e, &test_err));
    return e;
}

/* n texts of different lengths, of characters that the small vocabulary knows. Freed with free(texts[0].ptr) and free(texts). */
static cfb_str *make_texts(size_t n, size_t longest) {
    cfb_str *t = calloc(n, sizeof *t);
    char *p = malloc(n * longest * 3);
    assert_non_null(t);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        char *begin = p;
        size_t len = cfb_rand_u64(3, i, 0) % (longest + 1);
        for (size_t k = 0; k < len; k++) {
            unsigned c = 0x4E00 + (unsigned)(cfb_rand_u64(3, i, k + 1) % 300);
            *p++ = (char)(0xE0 | c >> 12);
            *p++ = (char)(0x80 | (c >> 6 & 0x3F));
            *p++ = (char)(0x80 | (c & 0x3F));
        }
        t[i] = (cfb_str){begin, (size_t)(p - begin)};
    }
    return t;
}

static void free_texts(cfb_str *t) {
    free((void *)(uintptr_t)t[0].ptr);
    free(t);
}

/* ---- the reference data ---- */

typedef struct reference {
    cfb_json *roots[200];
    cfb_str texts[200];
    size_t n;
} reference;

/* The model and the texts of ../shared/bert/tiny; skips where they are absent. */
static cfb_encoder_t *open_shared(reference *r, cfb_precision precision) {
    cfb_buf file = CFB_BUF_INIT(0);
    cfb_wordpiece_opts w = CFB_WORDPIECE_OPTS_INIT;
    cfb_encoder_opts o = {SHARED "bert-base-chinese-vocab.txt", &w, CFB_WORDPIECE_CUT, CFB_POOL_AUTO, 0, 2, precision};
    cfb_encoder_t *e = NULL;
    if (!cfb_path_exists(SHARED "tiny/expected.jsonl")) {
        print_message("skipped: no " SHARED "\n");
        skip();
    }
    w.split_cjk = CFB_WORDPIECE_CJK_BMP;
    assert_ok(cfb_encoder_open(SHARED "tiny", &o, &e, &test_err));
    assert_int_equal(cfb_encoder_dim(e), 64);
    assert_ok(cfb_file_read(SHARED "tiny/expected.jsonl", 1 << 24, &file, &test_err));
    r->n = 0;
    for (size_t at = 0; at < file.len; r->n++) {
        const char *end = memchr(file.ptr + at, '\n', file.len - at);
        size_t len = end ? (size_t)(end - file.ptr) - at : file.len - at;
        assert_true(r->n < 200);
        assert_ok(cfb_json_parse(file.ptr + at, len, CFB_JSON_REPAIR, &r->roots[r->n], &test_err));
        r->texts[r->n] = cfb_json_str(cfb_json_get(r->roots[r->n], "text"));
        at += len + 1;
    }
    assert_int_equal(r->n, 180);
    cfb_buf_free(&file);
    return e;
}

static void close_shared(reference *r, cfb_encoder_t *e) {
    for (size_t i = 0; i < r->n; i++) cfb_json_free(r->roots[i]);
    cfb_encoder_free(e);
}

static void compare_embedding(const cfb_json *want, const float *got, size_t dim, size_t line, double *worst) {
    size_t i = 0;
    assert_int_equal(cfb_json_count(want), dim);
    for (const cfb_json *v = cfb_json_first(want); v != NULL; v = cfb_json_next(v), i++) {
        double x = NAN;
        (void)cfb_json_num(v, &x);
        double d = fabs(x - (double)got[i]);
        if (!(d <= 2e-6)) fail_msg("line %zu, component %zu: %.9g, not %.9g", line, i, (double)got[i], x);
        if (d > *worst) *worst = d;
    }
}

static void test_shared(void **state) {
    (void)state;
    static reference r;
    cfb_encoder_t *e = open_shared(&r, CFB_PRECISION_F32);
    double worst = 0;
    float *got = malloc(r.n * 64 * sizeof *got);
    assert_non_null(got);
    assert_ok(cfb_encoder_embed(e, r.texts, r.n, got, &test_err));
    for (size_t i = 0; i < r.n; i++)
        compare_embedding(cfb_json_get(r.roots[i], "cls_embedding"), got + i * 64, 64, i + 1, &worst);
    print_message("largest difference: %.2g\n", worst);
    free(got);
    close_shared(&r, e);
}

/* ---- against the plain encoder ---- */

static void compare_with_plain(const bert_shape *s, cfb_pooling pooling, size_t n, double tolerance) {
    char dir[64];
    make_model(s, dir);
    cfb_encoder_t *e = open_model(dir, 2, pooling);
    cfb_str *texts = make_texts(n, s->positions + 10);
    float *got = malloc(n * s->hidden * sizeof *got);
    double *want = malloc(s->hidden * sizeof *want);
    plain_bert *plain = plain_open(dir);
    assert_non_null(got);
    assert_non_null(want);
    assert_non_null(plain);
    assert_ok(cfb_encoder_embed(e, texts, n, got, &test_err));
    for (size_t i = 0; i < n; i++) {
        uint32_t ids[512];
        size_t len;
        assert_ok(cfb_wordpiece_encode(cfb_encoder_tokenizer(e), texts[i], CFB_WORDPIECE_KEEP_SEP,
                                       s->positions < 512 ? s->positions : 512, ids, &len, &test_err));
        assert_true(plain_embed(plain, ids, len, pooling == CFB_POOL_MEAN, want));
        for (size_t k = 0; k < s->hidden; k++)
            if (!(fabs(want[k] - (double)got[i * s->hidden + k]) <= tolerance))
                fail_msg("text %zu, component %zu: %.9g, not %.9g", i, k, (double)got[i * s->hidden + k], want[k]);
    }
    plain_close(plain);
    free(got);
    free(want);
    free_texts(texts);
    cfb_encoder_free(e);
}

static void test_plain(void **state) {
    (void)state;
    bert_shape s = small;
    compare_with_plain(&s, CFB_POOL_CLS, 40, 2e-6);
    compare_with_plain(&s, CFB_POOL_MEAN, 40, 2e-6);
    s.dtype = "F16";
    s.prefix = "bert.";
    compare_with_plain(&s, CFB_POOL_CLS, 20, 2e-6);
    s.dtype = "BF16";
    compare_with_plain(&s, CFB_POOL_AUTO, 20, 2e-6);
    const bert_shape odd = {40, 3, 5, 1100, 400, 512, "F32", "", 0.08f}; /* heads of 8, pieces of the intermediate */
    compare_with_plain(&odd, CFB_POOL_CLS, 12, 2e-6);
    const bert_shape one = {16, 1, 1, 8, 400, 16, "F32", "", 0.3f}; /* one layer, narrow intermediate */
    compare_with_plain(&one, CFB_POOL_CLS, 12, 2e-6);
}

/* ---- the same bytes ---- */

static void test_threads_and_batches(void **state) {
    (void)state;
    char dir[64];
    const size_t n = 300;
    bert_shape s = small;
    s.positions = 200;
    make_model(&s, dir);
    cfb_str *texts = make_texts(n, 180), *shuffled = malloc(n * sizeof *shuffled);
    size_t bytes = n * s.hidden * sizeof(float);
    float *first = malloc(bytes), *other = malloc(bytes);
    assert_non_null(first);
    assert_non_null(other);
    assert_non_null(shuffled);
    for (int pooling = CFB_POOL_CLS; pooling <= CFB_POOL_MEAN; pooling++) {
        static const int threads[] = {1, 2, 8};
        for (size_t t = 0; t < 3; t++) {
            cfb_encoder_t *e = open_model(dir, threads[t], (cfb_pooling)pooling);
            assert_ok(cfb_encoder_embed(e, texts, n, t ? other : first, &test_err));
            if (t) assert_memory_equal(first, other, bytes);
            if (t == 0) assert_true(cfb_encoder_work_done(e).batches > 3);
            /* alone, and among others in another order */
            for (size_t i = 0; i < n; i += 37) {
                assert_ok(cfb_encoder_embed(e, texts + i, 1, other, &test_err));
                assert_memory_equal(first + i * s.hidden, other, s.hidden * sizeof(float));
            }
            for (size_t i = 0; i < n; i++) shuffled[i] = texts[(i * 7 + 5) % n];
            assert_ok(cfb_encoder_embed(e, shuffled, n, other, &test_err));
            for (size_t i = 0; i < n; i++)
                assert_memory_equal(first + (i * 7 + 5) % n * s.hidden, other + i * s.hidden, s.hidden * sizeof(float));
            cfb_encoder_free(e);
        }
    }
    free(first);
    free(other);
    free(shuffled);
    free_texts(texts);
}

/* ---- bfloat16 ---- */

static cfb_code try_bf16(const char *dir, int n_threads, cfb_encoder_t **e) {
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    o.n_threads = n_threads;
    o.precision = CFB_PRECISION_BF16;
    return cfb_encoder_open(dir, &o, e, &test_err);
}

/* Where it cannot be had, the error says what to do. */
static void need_bf16(void) {
    char dir[64];
    cfb_encoder_t *e = NULL;
    make_model(&small, dir);
    cfb_code rc = try_bf16(dir, 1, &e);
    cfb_encoder_free(e);
    if (rc == CFB_OK) return;
    assert_int_equal(rc, CFB_ECONFIG);
    assert_null(e);
    assert_non_null(strstr(test_err.msg, "--precision bf16"));
    print_message("skipped: %s\n", test_err.msg);
    skip();
}

/* The largest change of any cosine of two of n texts. */
static double largest_change(const float *a, const float *b, size_t n, size_t dim) {
    double worst = 0, x, y;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            cfb_embed_cosines(a + i * dim, a + k * dim, 1, dim, &x);
            cfb_embed_cosines(b + i * dim, b + k * dim, 1, dim, &y);
            worst = fmax(worst, fabs(x - y));
        }
    return worst;
}

static void test_bf16_shared(void **state) {
    (void)state;
    static reference r;
    static float one[200 * 64], two[200 * 64];
    need_bf16();
    cfb_encoder_t *e = open_shared(&r, CFB_PRECISION_F32);
    assert_ok(cfb_encoder_embed(e, r.texts, r.n, one, &test_err));
    close_shared(&r, e);
    e = open_shared(&r, CFB_PRECISION_BF16);
    assert_ok(cfb_encoder_embed(e, r.texts, r.n, two, &test_err));
    double change = largest_change(one, two, r.n, 64);
    close_shared(&r, e);
    print_message("largest change of a cosine: %.2g\n", change);
    assert_true(change > 0 && change < 0.01);
}

/* Near binary32 on random weights of every type, with a name and a hash of its own; the same bytes for any threads and
 * neighbours.
 */
static void test_bf16(void **state) {
    (void)state;
    static const char *const types[] = {"F32", "F16", "BF16"};
    enum { N = 200, DIM = 48 };
    static float one[N * DIM], two[N * DIM], other[N * DIM];
    bert_shape s = small;
    s.positions = 130;
    need_bf16();
    cfb_str *texts = make_texts(N, 120);
    for (size_t t = 0; t < 3; t++) {
        static const int threads[] = {1, 2, 8};
        char dir[64];
        s.dtype = types[t];
        make_model(&s, dir);
        cfb_encoder_t *e = open_model(dir, 2, CFB_POOL_AUTO), *b = NULL;
        assert_ok(cfb_encoder_embed(e, texts, N, one, &test_err));
        for (size_t k = 0; k < 3; k++) {
            assert_ok(try_bf16(dir, threads[k], &b));
            assert_ok(cfb_encoder_embed(b, texts, N, k ? other : two, &test_err));
            if (k) assert_memory_equal(two, other, sizeof two);
            for (size_t i = 0; i < N; i += 37) {
                assert_ok(cfb_encoder_embed(b, texts + i, 1, other, &test_err));
                assert_memory_equal(two + i * DIM, other, DIM * sizeof *two);
            }
            assert_non_null(strstr(cfb_encoder_name(b), t ? ", bf16 of " : ", bf16"));
            assert_string_not_equal(cfb_encoder_hash(e), cfb_encoder_hash(b));
            if (k < 2) cfb_encoder_free(b);
        }
        double change = largest_change(one, two, N, DIM);
        print_message("%s weights: largest change of a cosine %.2g\n", types[t], change);
        assert_true(change > 0 && change < 0.01);
        cfb_encoder_free(e);
        cfb_encoder_free(b);
    }
    free_texts(texts);
}

static void test_texts(void **state) {
    (void)state;
    char dir[64];
    make_model(&small, dir);
    cfb_encoder_t *e = open_model(dir, 2, CFB_POOL_AUTO);
    const cfb_str texts[] = {CFB_STR_LIT("abc"), CFB_STR_LIT(""), CFB_STR_NULL, CFB_STR_LIT("abc"), CFB_STR_LIT("x")};
    float out[5][48];
    assert_ok(cfb_encoder_embed(e, texts, 5, out[0], &test_err));
    assert_int_equal(cfb_encoder_work_done(e).texts, 3); /* equal ones once; null is empty */
    assert_memory_equal(out[0], out[3], sizeof out[0]);
    assert_memory_equal(out[1], out[2], sizeof out[0]);
    for (size_t i = 0; i < 5; i++) {
        double norm = 0;
        for (size_t k = 0; k < 48; k++) norm += (double)out[i][k] * (double)out[i][k];
        assert_true(fabs(norm - 1) < 1e-6);
    }
    const cfb_str bad[] = {CFB_STR_LIT("a"), CFB_STR_LIT("\xFF"), CFB_STR_LIT("\xFE")};
    assert_fails(cfb_encoder_embed(e, bad, 3, out[0], &test_err), CFB_EENCODING, "UTF-8");
    assert_int_equal(test_err.offset, 1);
    assert_ok(cfb_encoder_embed(e, texts, 0, out[0], &test_err));
    assert_non_null(strstr(cfb_encoder_name(e), ", cls, 64 tokens, fp32"));
    assert_int_equal(strlen(cfb_encoder_hash(e)), 64);
    cfb_encoder_free(e);
}

/* Accuracy against binary64, and the same bytes on every instruction set that there is. */
static void test_kernels(void **state) {
    (void)state;
    enum { ROWS = 3, N = 1003 };
    static float start[ROWS * N], bias[N], w[N], b[N], plain[4][ROWS * N], got[4][ROWS * N];
    for (size_t i = 0; i < ROWS * N; i++) start[i] = (float)(20 * cfb_rand_unit(4, 0, i) - 10);
    for (size_t i = 0; i < N; i++) {
        bias[i] = (float)(cfb_rand_unit(4, 1, i) - 0.5);
        w[i] = (float)cfb_rand_unit(4, 2, i);
        b[i] = (float)cfb_rand_unit(4, 3, i);
    }
    start[0] = -100; /* the tail is 0 */
    start[1] = 1e30f;
    for (int level = 0; level <= 2; level++) {
        const embed_kernels *k = embed_kernels_get(level);
        float(*out)[ROWS * N] = level ? got : plain;
        for (size_t i = 0; i < 4; i++) memcpy(out[i], start, sizeof start);
        out[2][1] = out[3][1] = 0;
        k->bias(out[0], ROWS, N, N, bias);
        k->bias_gelu(out[1], ROWS, N, N, bias);
        k->add_norm(out[2], start + 2, bias, ROWS - 1, N, w, b, 1e-12f);
        k->softmax(out[3], ROWS, N, 0.7f);
        if (level) assert_memory_equal(plain, got, sizeof plain);
    }
    for (size_t i = 0; i < ROWS * N; i++) {
        double x = (double)(start[i] + bias[i % N]), want = 0.5 * x * erfc(-x * 0.70710678118654752440);
        if (fabs(want - (double)plain[1][i]) > 1e-6 * fabs(want) + 1e-7 * fabs(x) * exp(-x * x / 4) + 1e-33)
            fail_msg("gelu(%.9g) is %.9g, not %.9g", x, (double)plain[1][i], want);
    }
    for (size_t r = 0; r < ROWS; r++) {
        double total = 0, top = -1e30, sum = 0;
        const float *row = start + r * N;
        for (size_t i = 0; i < N; i++) top = fmax(top, r == 0 && i == 1 ? 0 : (double)row[i]);
        for (size_t i = 0; i < N; i++) total += exp(((r == 0 && i == 1 ? 0 : (double)row[i]) - top) * (double)0.7f);
        for (size_t i = 0; i < N; i++) {
            double want = exp(((r == 0 && i == 1 ? 0 : (double)row[i]) - top) * (double)0.7f) / total;
            assert_true(fabs(want - (double)plain[3][r * N + i]) < 2e-6 * want + 1e-9);
            sum += (double)plain[3][r * N + i];
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
}

/* To bfloat16: the nearest, ties to even, on every instruction set. */
static void test_rounding(void **state) {
    (void)state;
    static const uint32_t bits[] = {0x3F800000, 0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF,
                                    0xBF818000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7F800001,
                                    0xFFFFFFFF, 0x00000001, 0x80000000, 0x00018000, 0x40490FDB};
    static const uint16_t want[] = {0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF82, 0x7F80, 0x7F80,
                                    0xFF80, 0x7FC0, 0x7FC0, 0x0000, 0x8000, 0x0002, 0x4049};
    float x[15 * 5];
    uint16_t got[15 * 5];
    for (size_t i = 0; i < 75; i++) memcpy(&x[i], &bits[i % 15], sizeof *x);
    for (int level = 0; level <= 2; level++) {
        embed_kernels_get(level)->to_bf16(x, 75, got);
        for (size_t i = 0; i < 75; i++) assert_int_equal(got[i], want[i % 15]);
    }
}

static void test_cosines(void **state) {
    (void)state;
    const float a[] = {1, 0, 0.6f, 0.8f, 2, 0}, b[] = {0, 1, 0.8f, 0.6f, 2, 0};
    double out[3];
    cfb_embed_cosines(a, b, 3, 2, out);
    assert_true(out[0] == 0);
    assert_true(fabs(out[1] - 0.96) < 1e-6);
    assert_true(out[2] == 1); /* clamped */
    const size_t na = 300, nb = 1100, dim = 20;
    float *x = malloc(na * dim * sizeof *x), *y = malloc(nb * dim * sizeof *y), *one = malloc(na * nb * sizeof *one),
          *two = malloc(na * nb * sizeof *two);
    assert_true(x && y && one && two);
    for (size_t i = 0; i < na * dim; i++) x[i] = (float)cfb_rand_unit(1, 0, i);
    for (size_t i = 0; i < nb * dim; i++) y[i] = (float)cfb_rand_unit(1, 1, i);
    assert_int_equal(cfb_embed_cross(x, na, y, nb, dim, 1, one, NULL), CFB_OK);
    assert_int_equal(cfb_embed_cross(x, na, y, nb, dim, 3, two, NULL), CFB_OK);
    assert_memory_equal(one, two, na * nb * sizeof *one);
    for (size_t i = 0; i < na; i += 13)
        for (size_t j = 0; j < nb; j += 17) {
            double want = 0;
            for (size_t k = 0; k < dim; k++) want += (double)x[i * dim + k] * (double)y[j * dim + k];
            assert_true(fabs(want - (double)one[i * nb + j]) < 1e-5);
        }
    free(x);
    free(y);
    free(one);
    free(two);
}

static void unit_rows(float *v, size_t n, size_t dim, uint64_t stream) {
    for (size_t i = 0; i < n; i++) {
        double norm = 0;
        for (size_t k = 0; k < dim; k++) {
            v[i * dim + k] = (float)(cfb_rand_unit(9, stream, i * dim + k) - 0.5);
            norm += (double)v[i * dim + k] * (double)v[i * dim + k];
        }
        for (size_t k = 0; k < dim; k++) v[i * dim + k] = (float)((double)v[i * dim + k] / sqrt(norm));
    }
}

/* Against plain loops; the same for any threads; outputs of others score at chance, equal references share. */
static void test_calibrate(void **state) {
    (void)state;
    enum { ROWS = 700, DIM = 24 };
    static float r[ROWS * DIM], o[ROWS * DIM], noise[ROWS * DIM];
    static double p[ROWS], q[ROWS];
    cfb_embed_calibration one, two;
    unit_rows(r, ROWS, DIM, 0);
    unit_rows(noise, ROWS, DIM, 1);
    for (size_t i = 0; i < ROWS * DIM; i++) o[i] = 0.7f * r[i] + 0.7f * noise[i];
    assert_ok(cfb_embed_calibrate(o, r, ROWS, DIM, 0, 0, 1, &one, p, &test_err));
    assert_ok(cfb_embed_calibrate(o, r, ROWS, DIM, 0, 0, 3, &two, q, &test_err));
    assert_memory_equal(&one, &two, sizeof one);
    assert_memory_equal(p, q, sizeof p);
    double matched = 0, mismatched = 0, top1 = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double own = 0, below = 0, best = -2;
        for (size_t j = 0; j < ROWS; j++) {
            double dot = 0;
            for (size_t k = 0; k < DIM; k++) dot += (double)o[i * DIM + k] * (double)r[j * DIM + k];
            if (j == i)
                own = dot;
            else
                mismatched += dot, best = fmax(best, dot);
        }
        for (size_t j = 0; j < ROWS; j++) {
            double dot = 0;
            for (size_t k = 0; k < DIM; k++) dot += (double)o[i * DIM + k] * (double)r[j * DIM + k];
            below += j != i && dot < own;
        }
        matched += own;
        top1 += own > best;
        assert_true(fabs(p[i] - below / (ROWS - 1)) < 2.5 / ROWS);
    }
    assert_int_equal(one.n, ROWS);
    assert_true(fabs(one.matched - matched / ROWS) < 1e-6);
    assert_true(fabs(one.mismatched - mismatched / ROWS / (ROWS - 1)) < 1e-6);
    assert_true(fabs(one.top1 - top1 / ROWS) < 3.0 / ROWS);
    assert_true(one.lift > 0.5 && one.top1 > 0.5);
    /* chance: the next row's reference */
    memcpy(noise, r + DIM, (ROWS - 1) * DIM * sizeof *r);
    memcpy(noise + (ROWS - 1) * DIM, r, DIM * sizeof *r);
    assert_ok(cfb_embed_calibrate(o, noise, ROWS, DIM, 0, 0, 2, &two, NULL, &test_err));
    assert_true(fabs(two.lift) < 0.03 && fabs(two.percentile - 0.5) < 0.05 && two.top1 < 0.02);
    /* all references equal */
    for (size_t i = 1; i < 64; i++) memcpy(r + i * DIM, r, DIM * sizeof *r);
    assert_ok(cfb_embed_calibrate(o, r, 64, DIM, 0, 0, 2, &two, NULL, &test_err));
    assert_true(fabs(two.lift) < 1e-6 && fabs(two.percentile - 0.5) < 1e-12 && fabs(two.top1 - 1.0 / 64) < 1e-12);
    /* a sample, and too few rows */
    assert_ok(cfb_embed_calibrate(o, noise, ROWS, DIM, 100, 5, 2, &one, NULL, &test_err));
    assert_ok(cfb_embed_calibrate(o, noise, ROWS, DIM, 100, 5, 1, &two, NULL, &test_err));
    assert_int_equal(one.n, 100);
    assert_memory_equal(&one, &two, sizeof one);
    assert_ok(cfb_embed_calibrate(o, noise, 1, DIM, 0, 0, 1, &two, NULL, &test_err));
    assert_true(two.n == 1 && isnan(two.lift));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared),    cmocka_unit_test(test_plain),       cmocka_unit_test(test_threads_and_batches),
        cmocka_unit_test(test_kernels),   cmocka_unit_test(test_texts),       cmocka_unit_test(test_cosines),
        cmocka_unit_test(test_calibrate), cmocka_unit_test(test_bf16_shared), cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
