/* One pool of permits for calls in flight. A permit that comes free goes to a worker that waits, before the one that gives it may
 * take it again: so no worker starves while the limit is low. */
#include "generate/job.h"

#include <stdlib.h>

cfb_code cfb_gate_init(struct gate *g, int limit, size_t n_seats, cfb_err *err) {
    g->seats = calloc(n_seats ? n_seats : 1, sizeof *g->seats);
    if (g->seats == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    g->n_seats = n_seats;
    atomic_store(&g->used, 0);
    atomic_store(&g->limit, limit);
    atomic_store(&g->n_waiting, 0);
    return CFB_OK;
}

void cfb_gate_free(struct gate *g) {
    free(g->seats);
    g->seats = NULL;
}

void cfb_gate_sit(struct gate *g, size_t seat, cfb_calls_t *calls) {
#pragma omp critical(cfb_gate_seats)
    g->seats[seat].calls = calls;
}

static bool take_free(struct gate *g) {
    int used = atomic_load(&g->used);
    while (used < atomic_load(&g->limit))
        if (atomic_compare_exchange_weak(&g->used, &used, used + 1)) return true;
    return false;
}

/* Takes the seat off the list of those that wait. False if it was not there (any more). */
static bool stop_waiting(struct gate *g, struct gate_seat *s) {
    if (atomic_exchange(&s->waiting, 0) == 0) return false;
    atomic_fetch_sub(&g->n_waiting, 1);
    return true;
}

static bool take_granted(struct gate_seat *s) {
    int granted = atomic_load(&s->granted);
    while (granted > 0)
        if (atomic_compare_exchange_weak(&s->granted, &granted, granted - 1)) return true;
    return false;
}

bool cfb_gate_enter(struct gate *g, size_t seat) {
    struct gate_seat *s = &g->seats[seat];
    if (take_granted(s)) return true;
    if (take_free(g)) {
        if (atomic_load(&s->waiting)) stop_waiting(g, s); /* from an earlier try: a permit that nobody takes up would be lost */
        return true;
    }
    if (atomic_exchange(&s->waiting, 1) == 0) atomic_fetch_add(&g->n_waiting, 1);
    if (!take_free(g)) return false; /* one may have come free just before the seat was seen to wait */
    stop_waiting(g, s);
    return true;
}

static void wake(struct gate *g, size_t seat) {
#pragma omp critical(cfb_gate_seats)
    if (g->seats[seat].calls) cfb_calls_wake(g->seats[seat].calls);
}

void cfb_gate_leave(struct gate *g, size_t seat) {
    if (atomic_load(&g->n_waiting) > 0 && atomic_load(&g->used) <= atomic_load(&g->limit)) {
        for (size_t i = 1; i <= g->n_seats; i++) {
            size_t other = (seat + i) % g->n_seats;
            if (!stop_waiting(g, &g->seats[other])) continue;
            atomic_fetch_add(&g->seats[other].granted, 1);
            wake(g, other);
            return;
        }
    }
    atomic_fetch_sub(&g->used, 1);
}

void cfb_gate_set_limit(struct gate *g, int limit) {
    if (atomic_exchange(&g->limit, limit) >= limit) return;
    for (size_t i = 0; i < g->n_seats; i++)
        if (stop_waiting(g, &g->seats[i])) wake(g, i);
}

void cfb_gate_stand_up(struct gate *g, size_t seat) {
    struct gate_seat *s = &g->seats[seat];
    cfb_gate_sit(g, seat, NULL);
    stop_waiting(g, s);
    while (take_granted(s)) cfb_gate_leave(g, seat);
}
