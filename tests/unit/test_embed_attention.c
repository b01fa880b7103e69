/* Attention in bfloat16 against plain loops, on the kernels that this processor has. */
#include "test.h"

#include "cfbench/base.h"
#include "embed/attention.h"

#include <math.h>

enum { ROWS = 512, LD = 176 };

static float widen(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Numbers between -2 and 2, cut to bfloat16. */
static void fill(uint16_t *x, size_t n, uint64_t stream) {
    for (size_t i = 0; i < n; i++) {
        float f = (float)(cfb_rand_unit(5, stream, i) * 4 - 2);
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        x[i] = (uint16_t)(bits >> 16);
    }
}

/* One row in binary64. */
static void want_row(const uint16_t *q, const uint16_t *k, const uint16_t *v, size_t n, size_t d, double *out) {
    double p[ROWS], top = -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++) {
        p[j] = 0;
        for (size_t c = 0; c < d; c++) p[j] += (double)widen(q[c]) * (double)widen(k[j * LD + c]);
        p[j] /= sqrt((double)d);
        top = fmax(top, p[j]);
    }
    for (size_t c = 0; c < d; c++) out[c] = 0;
    for (size_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - top);
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < d; c++) out[c] += p[j] / sum * (double)widen(v[j * LD + c]);
}

typedef struct planes {
    uint16_t q[ROWS * LD], k[ROWS * LD], v[ROWS * LD], out[ROWS * LD], again[ROWS * LD];
    void *scratch;
} planes;

static planes *make_planes(size_t n, size_t d) {
    planes *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->scratch = aligned_alloc(64, embed_attention_bytes(n, d));
    assert_non_null(p->scratch);
    fill(p->q, ROWS * LD, 1);
    fill(p->k, ROWS * LD, 2);
    fill(p->v, ROWS * LD, 3);
    return p;
}

static void free_planes(planes *p) {
    free(p->scratch);
    free(p);
}

static void test_against_loops(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 2, 15, 16, 17, 33, 142, 512}, dims[] = {64, 1, 7, 16, 33, 80, 96};
    for (int level = 0; level <= 1; level++)
        for (size_t a = 0; a < 8; a++)
            for (size_t b = 0; b < 7; b++) {
                size_t n = lengths[a], d = dims[b];
                double want[96], worst = 0;
                planes *p = make_planes(n, d);
                for (size_t i = 0; i < ROWS * LD; i++) p->out[i] = 0x4242;
                embed_attention_get(level)(p->q, p->k, p->v, n, n, d, LD, p->scratch, p->out);
                for (size_t i = 0; i < n; i += n / 8 + 1) {
                    want_row(p->q + i * LD, p->k, p->v, n, d, want);
                    for (size_t c = 0; c < d; c++) worst = fmax(worst, fabs(want[c] - (double)widen(p->out[i * LD + c])));
                }
                assert_true(worst <
                            0.008); /* numbers below 2: half a last place of 8 digits, and what the weights' rounding adds */
                for (size_t i = 0; i < ROWS * LD; i++)
                    if (i % LD >= d || i / LD >= n) assert_int_equal(p->out[i], 0x4242);
                free_planes(p);
            }
}

/* A row's bits do not depend on its place, or on the rows beside it. */
static void test_rows_alone(void **state) {
    (void)state;
    enum { N = 37, D = 24 };
    for (int level = 0; level <= 1; level++) {
        planes *p = make_planes(N, D);
        embed_attention_get(level)(p->q, p->k, p->v, N, N, D, LD, p->scratch, p->out);
        for (size_t i = 0; i < N; i++) {
            embed_attention_get(level)(p->q + i * LD, p->k, p->v, 1, N, D, LD, p->scratch, p->again);
            assert_memory_equal(p->again, p->out + i * LD, D * sizeof *p->out);
        }
        free_planes(p);
    }
}

/* What is not a number is never swallowed; scores far apart are. */
static void test_odd_numbers(void **state) {
    (void)state;
    enum { N = 20, D = 8 };
    static const uint16_t odd[] = {0x7FC0, 0x7F81, 0x7F80};
    for (int level = 0; level <= 1; level++)
        for (size_t place = 0; place < N; place++) {
            planes *p = make_planes(N, D);
            for (size_t i = 0; i < 3; i++) {
                p->k[place * LD + 3] = odd[i];
                embed_attention_get(level)(p->q, p->k, p->v, 1, N, D, LD, p->scratch, p->out);
                if (i < 2 || widen(p->q[3]) > 0) assert_true(isnan(widen(p->out[0])));
            }
            for (size_t c = 0; c < D; c++) p->k[place * LD + c] = (uint16_t)(p->q[c] + (8 << 7)); /* 256 q */
            for (size_t c = 0; c < D; c++) p->q[c] = (uint16_t)(p->q[c] + (8 << 7));
            embed_attention_get(level)(p->q, p->k, p->v, 1, N, D, LD, p->scratch, p->out);
            for (size_t c = 0; c < D; c++) assert_int_equal(p->out[c], p->v[place * LD + c]);
            free_planes(p);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_loops),
        cmocka_unit_test(test_rows_alone),
        cmocka_unit_test(test_odd_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
