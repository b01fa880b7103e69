/* average.c - micro, macro and weighted F1 over labels. */
#include "cfbench/metrics.h"

static double f1(uint64_t correct, uint64_t actual, uint64_t predicted) {
    return actual + predicted ? 2.0 * (double)correct / (double)(actual + predicted) : 0.0;
}

void cfb_label_average_add(cfb_label_average *a, uint64_t actual, uint64_t predicted, uint64_t correct) {
    double score = f1(correct, actual, predicted);
    a->n_labels++;
    a->actual += actual;
    a->predicted += predicted;
    a->correct += correct;
    a->f1_sum += score;
    a->weighted_sum += (double)actual * score;
}

double cfb_label_average_micro(const cfb_label_average *a) { return f1(a->correct, a->actual, a->predicted); }
double cfb_label_average_macro(const cfb_label_average *a) { return a->n_labels ? a->f1_sum / (double)a->n_labels : 0.0; }
double cfb_label_average_weighted(const cfb_label_average *a) { return a->actual ? a->weighted_sum / (double)a->actual : 0.0; }
