/* calibrate.c - cosines of true pairs against those of mismatched ones. BGE's cosines lie close together, so a mean says little.
 */
#include "cfbench/base.h"
#include "cfbench/embed.h"

#include <math.h>
#include <stdlib.h>

/* Equal references may get cosines that differ in last bits, by where they lie in a product. */
#define SAME 0x1p-20f
#define ROWS 256 /* outputs at a time: the memory for cosines is ROWS * n */

/* Rows of the sample in ascending order: n_wanted of n, by the hash of each index, which is a draw without replacement. */
typedef struct draw {
    uint64_t rank;
    size_t row;
} draw;

static int by_rank(const void *a, const void *b) {
    const draw *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}
static int by_row(const void *a, const void *b) {
    const draw *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

static bool pick(const float *from, size_t n, size_t dim, const draw *drawn, size_t n_wanted, float **out) {
    size_t bytes;
    *out = cfb_size_mul(n_wanted, dim * sizeof(float), &bytes) && n_wanted <= n ? malloc(bytes) : NULL;
    for (size_t i = 0; *out != NULL && i < n_wanted; i++) memcpy(*out + i * dim, from + drawn[i].row * dim, dim * sizeof **out);
    return *out != NULL;
}

/* One output: s (n) its cosines with all references, its own at `own`. Adds to the sums; returns the percentile. */
static double add_row(const float *s, size_t n, size_t own, cfb_embed_calibration *sum) {
    size_t below = 0, equal = 0;
    double others = 0;
    for (size_t j = 0; j < n; j++) {
        below += s[j] < s[own] - SAME;
        equal += fabsf(s[j] - s[own]) <= SAME;
        others += (double)s[j];
    }
    equal--; /* itself */
    sum->matched += (double)s[own];
    sum->mismatched += (others - (double)s[own]) / (double)(n - 1);
    if (below + equal == n - 1) sum->top1 += 1.0 / (double)(equal + 1);
    return ((double)below + 0.5 * (double)equal) / (double)(n - 1);
}

static cfb_code run(const float *outputs, const float *references, size_t n, size_t dim, int n_threads,
                    cfb_embed_calibration *out, double *percentiles, cfb_err *err) {
    size_t items;
    float *s = cfb_size_mul(n, ROWS * sizeof *s, &items) ? malloc(items) : NULL;
    if (s == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (cosines of %zu rows)", n);
    cfb_code rc = CFB_OK;
    for (size_t at = 0; rc == CFB_OK && at < n; at += ROWS) {
        size_t m = n - at < ROWS ? n - at : ROWS;
        rc = cfb_embed_cross(outputs + at * dim, m, references, n, dim, n_threads, s, err);
        for (size_t i = 0; rc == CFB_OK && i < m; i++) {
            double p = add_row(s + i * n, n, at + i, out);
            out->percentile += p;
            if (percentiles) percentiles[at + i] = p;
        }
    }
    free(s);
    return rc;
}

cfb_code cfb_embed_calibrate(const float *outputs, const float *references, size_t n, size_t dim, size_t max_rows, uint64_t seed,
                             int n_threads, cfb_embed_calibration *out, double *percentiles, cfb_err *err) {
    float *some_outputs = NULL, *some_references = NULL;
    size_t k = max_rows && max_rows < n ? max_rows : n;
    const double none = (double)NAN;
    cfb_code rc = CFB_OK;
    *out = (cfb_embed_calibration){k, none, none, none, none, none};
    if (k < 2) return CFB_OK;
    if (k < n) {
        draw *drawn = malloc(n * sizeof *drawn);
        for (size_t i = 0; drawn != NULL && i < n; i++) drawn[i] = (draw){cfb_rand_u64(seed, 0, i), i};
        if (drawn != NULL) {
            qsort(drawn, n, sizeof *drawn, by_rank);
            qsort(drawn, k, sizeof *drawn, by_row);
        }
        if (drawn == NULL || !pick(outputs, n, dim, drawn, k, &some_outputs) ||
            !pick(references, n, dim, drawn, k, &some_references))
            rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (a sample of %zu rows)", k);
        free(drawn);
    }
    cfb_embed_calibration sum = {k, 0, 0, 0, 0, 0};
    if (rc == CFB_OK)
        rc = run(some_outputs ? some_outputs : outputs, some_references ? some_references : references, k, dim, n_threads, &sum,
                 percentiles, err);
    free(some_outputs);
    free(some_references);
    if (rc != CFB_OK) return rc;
    double rows = (double)k;
    *out = (cfb_embed_calibration){k,
                                   sum.matched / rows,
                                   sum.mismatched / rows,
                                   (sum.matched - sum.mismatched) / rows,
                                   sum.percentile / rows,
                                   sum.top1 / rows};
    return CFB_OK;
}
