#include "score/confusion.h"
#include "base/blas.h"

#include <stdlib.h>

/* The counts are cut into panels of columns (predicted labels). A panel is one unit of parallel work: it goes through the
 * pieces in their order, expands their bits to 0.0 and 1.0, and multiplies. Sums of ones stay below 2^24, where binary32
 * is exact, so neither the order inside sgemm nor the number of threads can change a count. */
#define PANEL ((size_t)64)

typedef struct confusion_worker {
    float *truth;   /* (CFB_SCORE_BLOCK, n_labels) */
    float *pred;    /* (CFB_SCORE_BLOCK, PANEL) */
    float *product; /* (n_labels, PANEL) */
} confusion_worker;

struct confusion {
    size_t n_labels, n_words;
    uint64_t *counts; /* (n_labels, n_labels) */
    confusion_worker *workers;
    int n_threads;
    const score_piece *pieces;
    size_t n_pieces;
};

cfb_code confusion_new(size_t n_labels, int n_threads, confusion **out, cfb_err *err) {
    cfb_code rc = cfb_blas_open(err);
    if (rc != CFB_OK) return rc;
    confusion *c = calloc(1, sizeof *c);
    if (c == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    size_t panels = (n_labels + PANEL - 1) / PANEL;
    c->n_labels = n_labels;
    c->n_threads = (size_t)n_threads < panels ? n_threads : panels > 0 ? (int)panels : 1;
    c->counts = calloc(n_labels * n_labels + 1, sizeof *c->counts);
    c->workers = calloc((size_t)c->n_threads, sizeof *c->workers);
    bool ok = c->counts != NULL && c->workers != NULL;
    for (int i = 0; ok && i < c->n_threads; i++) {
        confusion_worker *w = &c->workers[i];
        w->truth = calloc(CFB_SCORE_BLOCK * n_labels + 1, sizeof *w->truth);
        w->pred = calloc(CFB_SCORE_BLOCK * PANEL, sizeof *w->pred);
        w->product = calloc(n_labels * PANEL + 1, sizeof *w->product);
        ok = w->truth && w->pred && w->product;
    }
    if (!ok) {
        confusion_free(c);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory (confusion matrix of %zu labels)", n_labels);
    }
    *out = c;
    return CFB_OK;
}

void confusion_free(confusion *c) {
    if (c == NULL) return;
    for (int i = 0; c->workers != NULL && i < c->n_threads; i++) {
        free(c->workers[i].truth);
        free(c->workers[i].pred);
        free(c->workers[i].product);
    }
    free(c->workers);
    free(c->counts);
    free(c);
}

/* Columns [first, first + width) of a bit matrix as floats. first is a multiple of 64. Shapes: out (n_rows, width). */
static void expand_bits(const uint64_t *bits, size_t n_rows, size_t n_words, size_t first, size_t width, float *out) {
    for (size_t r = 0; r < n_rows; r++) {
        float *row = out + r * width;
        for (size_t k = 0; k < width; k += 64) {
            uint64_t word = bits[r * n_words + (first + k) / 64];
            size_t n = width - k < 64 ? width - k : 64;
            for (size_t b = 0; b < n; b++) row[k + b] = (float)(word >> b & 1);
        }
    }
}

static void run_panel(void *ctx, size_t panel, int worker) {
    confusion *c = ctx;
    confusion_worker *w = &c->workers[worker];
    size_t n = c->n_labels, first = panel * PANEL, width = n - first < PANEL ? n - first : PANEL;
    memset(w->product, 0, n * width * sizeof *w->product);
    for (size_t i = 0; i < c->n_pieces; i++) {
        const score_piece *p = &c->pieces[i];
        expand_bits(p->truth, p->n, c->n_words, 0, n, w->truth);
        expand_bits(p->pred, p->n, c->n_words, first, width, w->pred);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)n, (int)width, (int)p->n, 1.0f, w->truth, (int)n, w->pred,
                    (int)width, 1.0f, w->product, (int)width);
    }
    for (size_t t = 0; t < n; t++)
        for (size_t k = 0; k < width; k++) c->counts[t * n + first + k] += (uint64_t)w->product[t * width + k];
}

void confusion_add(confusion *c, const score_piece *pieces, size_t n_pieces, size_t n_words) {
    c->pieces = pieces;
    c->n_pieces = n_pieces;
    c->n_words = n_words;
    cfb_blas_enter();
    cfb_par_blocks((c->n_labels + PANEL - 1) / PANEL, c->n_threads, run_panel, c);
    cfb_blas_leave();
}

const uint64_t *confusion_counts(const confusion *c) { return c->counts; }
