#include "base/omp.h"
#include "cfbench/base.h"
#include "cfbench/generate.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* What all threads share. Rows are handed out under one named critical: a few integer operations per network call. */
struct run {
    const cfb_sched *s;
    size_t *next;      /* (n_tasks) first row that is not handed out */
    size_t *home;      /* (task_workers) each team's task, or SIZE_MAX */
    size_t next_task;  /* first task that no team has taken up */
    atomic_int failed; /* a worker failed: hand out nothing more */
    size_t rows_started, rows_helped;
    int inner_min, inner_max, outer;
    /* the failure to report: of the lowest seat, so that it does not depend on timing more than it must */
    size_t err_seat;
    cfb_err err;
};

struct cfb_seat {
    struct run *run;
    size_t team, number;
};

size_t cfb_sched_seat_number(const cfb_seat_t *seat) { return seat->number; }

/* A team's workers stay together on one task while it has rows. */
bool cfb_sched_next(cfb_seat_t *seat, size_t *task, size_t *row) {
    struct run *r = seat->run;
    size_t team = seat->team;
    const cfb_sched *s = r->s;
    if (atomic_load(&r->failed) || cfb_stop_is_on(s->stop)) return false;
    if (s->claim) return s->claim(s->ctx, task, row);
    bool got = false;
#pragma omp critical(cfb_sched_rows)
    {
        size_t t = r->home[team];
        bool helped = false;
        while ((t == SIZE_MAX || r->next[t] >= s->n_rows[t]) && r->next_task < s->n_tasks) {
            t = r->next_task++;
            r->home[team] = t;
        }
        if (t == SIZE_MAX || r->next[t] >= s->n_rows[t]) { /* all tasks are taken up: help the longest-remaining one */
            size_t most = 0;
            for (size_t k = 0; k < s->n_tasks; k++) {
                size_t left = s->n_rows[k] - r->next[k];
                if (left > most) {
                    most = left;
                    t = k;
                }
            }
            helped = most > 0;
        }
        if (t != SIZE_MAX && r->next[t] < s->n_rows[t]) {
            *task = t;
            *row = r->next[t]++;
            r->rows_started++;
            r->rows_helped += helped;
            got = true;
        }
    }
    return got;
}

static void note_failure(struct run *r, size_t seat, const cfb_err *err) {
#pragma omp critical(cfb_sched_failure)
    {
        if (!atomic_load(&r->failed) || seat < r->err_seat) {
            r->err_seat = seat;
            r->err = *err;
        }
        atomic_store(&r->failed, 1);
    }
}

static void work(struct run *r, size_t team, size_t number) {
    cfb_err err = CFB_ERR_INIT;
    cfb_seat_t seat = {r, team, number};
    if (r->s->work(r->s->ctx, &seat, &err) != CFB_OK) note_failure(r, number, &err);
}

static void note_team(struct run *r, int inner) {
#pragma omp critical(cfb_sched_rows)
    {
        if (r->inner_min == 0 || inner < r->inner_min) r->inner_min = inner;
        if (inner > r->inner_max) r->inner_max = inner;
    }
}

/* Level 1: one outer thread per task under way. Level 2: its inner team, opened once, works until no row is left. */
static void run_regions(struct run *r, int outer, int inner) {
    (void)outer, (void)inner; /* a SERIAL build has no pragmas that use them */
#pragma omp parallel num_threads(outer) default(none) shared(r, inner)
    {
        size_t team = (size_t)omp_get_thread_num();
        if (team == 0) r->outer = omp_get_num_threads();
#pragma omp parallel num_threads(inner) default(none) shared(r, team, inner)
        {
            if (omp_get_thread_num() == 0) note_team(r, omp_get_num_threads());
            work(r, team, team * (size_t)inner + (size_t)omp_get_thread_num());
        }
    }
}

cfb_code cfb_sched_run(const cfb_sched *s, cfb_sched_stats *stats, cfb_err *err) {
    struct run r = {.s = s};
    int outer = s->task_workers > 0 ? s->task_workers : 1, inner = s->row_workers > 0 ? s->row_workers : 1;
    if ((size_t)outer > s->n_tasks) outer = s->n_tasks ? (int)s->n_tasks : 1;
    r.next = calloc(s->n_tasks ? s->n_tasks : 1, sizeof *r.next);
    r.home = malloc((size_t)outer * sizeof *r.home);
    if (r.next == NULL || r.home == NULL) {
        free(r.next);
        free(r.home);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    for (int i = 0; i < outer; i++) r.home[i] = SIZE_MAX;
    atomic_init(&r.failed, 0);
    omp_set_dynamic(0);
    omp_set_max_active_levels(2);
    run_regions(&r, outer, inner);
    free(r.next);
    free(r.home);
    if (stats) *stats = (cfb_sched_stats){r.outer, r.inner_min, r.inner_max, r.rows_started, r.rows_helped};
    if (atomic_load(&r.failed)) {
        if (err) *err = r.err;
        return r.err.code;
    }
    if (cfb_stop_is_on(s->stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "stopped before all rows were done");
    return CFB_OK;
}
