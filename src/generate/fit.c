/* The end of the job's time: what would not be answered by then is not started, and nothing is under way when it comes. */
#include "generate/job.h"

#include <math.h>

/* Smoothed latency and mean deviation as TCP estimates its time-outs: Jacobson 1988, doi:10.1145/52325.52356. A call is expected
 * to take the mean and so many deviations. */
#define GAIN_MEAN 0.125
#define GAIN_DEVIATION 0.25
#define DEVIATIONS 4.0

static void learn(struct fit *f, double s) {
    if (!f->known) {
        *f = (struct fit){s, s / 2, true};
        return;
    }
    double off = s - f->mean_s;
    f->mean_s += GAIN_MEAN * off;
    f->deviation_s += GAIN_DEVIATION * (fabs(off) - f->deviation_s);
}

void cfb_fit_learn(struct job *j, size_t k, double latency_s) {
    if (j->o->end_ns == 0) return;
    struct fit *of[] = {&j->tasks[k].fit, &j->fit};
#pragma omp critical(cfb_fit)
    for (int i = 0; i < 2; i++) learn(of[i], latency_s);
}

bool cfb_fit_starts(struct job *j, size_t k, int64_t now_ns) {
    if (j->o->end_ns == 0) return true;
    double expected_s = 0; /* before the first reply: not known, and somebody must be first */
#pragma omp critical(cfb_fit)
    {
        const struct fit *f = j->tasks[k].fit.known ? &j->tasks[k].fit : &j->fit;
        if (f->known) expected_s = f->mean_s + DEVIATIONS * f->deviation_s;
    }
    if ((double)now_ns + expected_s * 1e9 <= (double)j->o->end_ns) return true;
    atomic_fetch_add(&j->n_unfit, 1);
    return false;
}

void cfb_fit_watch(struct job *j, int64_t now_ns) {
    if (j->o->end_ns == 0 || now_ns < j->o->end_ns || cfb_stop_is_on(&j->stop)) return;
    atomic_store(&j->time_is_up, 1);
    cfb_stop_set(&j->stop);
}

double cfb_fit_grace_s(const struct job *j) {
    double grace_s = j->o->grace_s;
    if (!atomic_load(&j->time_is_up)) return grace_s;
    return grace_s < 0 || grace_s > j->o->end_grace_s ? j->o->end_grace_s : grace_s;
}

cfb_code cfb_fit_at_end(struct job *j, cfb_err *err) {
    size_t unfit = atomic_load(&j->n_unfit);
    if (unfit == 0 && !atomic_load(&j->time_is_up)) return CFB_OK;
    return cfb_err_set(
        err, CFB_EINTERRUPTED,
        "the job's time is up: rows that would not have been answered before its end were not asked; every answer so "
        "far is stored, and the same command continues");
}
