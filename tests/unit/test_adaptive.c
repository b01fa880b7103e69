/* The adaptive limit against simulated servers: time is simulated too, so nothing here depends on the machine. */
#include "test.h"

#include "cfbench/pace.h"

#include <math.h>

#define MOST 4096

/* A server that refuses what is more than `room` at once, serves `slots` at once and lets the others wait, and refuses a share at
 * random. A refusal takes 5 ms. */
struct server {
    int room, slots;
    double service_s, sigma, random_share;
};

struct event {
    int64_t at;
    int64_t started;
    int in_flight;
    bool refused;
};

struct sim {
    cfb_adaptive a;
    struct server server;
    int64_t now;
    struct event heap[2 * MOST]; /* ends of calls */
    size_t n;
    int64_t slot_free[MOST];
    int served; /* calls that were taken and are not done */
    uint64_t calls;
    /* of the time watched */
    double weighted, watched_s;
    uint64_t refusals, done;
};

static double unit(struct sim *s, uint64_t stream) { return cfb_rand_unit(7, stream, s->calls); }

static void push(struct sim *s, struct event e) {
    size_t at = s->n++;
    for (; at > 0 && s->heap[(at - 1) / 2].at > e.at; at = (at - 1) / 2) s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = e;
}

static struct event pop(struct sim *s) {
    struct event top = s->heap[0], last = s->heap[--s->n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < s->n; at = child) {
        if (child + 1 < s->n && s->heap[child + 1].at < s->heap[child].at) child++;
        if (last.at <= s->heap[child].at) break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return top;
}

static int64_t service_ns(struct sim *s) {
    double u = unit(s, 1), v = unit(s, 2), normal = sqrt(-2 * log(u > 0 ? u : 1e-12)) * cos(6.283185307179586 * v);
    return (int64_t)(s->server.service_s * exp(s->server.sigma * normal) * 1e9);
}

static void start_call(struct sim *s) {
    struct event e = {s->now + 5000000, s->now, (int)s->n + 1, false};
    s->calls++;
    if ((s->server.room > 0 && s->served >= s->server.room) || unit(s, 3) < s->server.random_share) {
        e.refused = true;
    } else {
        int64_t begin = s->now;
        if (s->server.slots > 0) { /* the slot that is free first */
            int first = 0;
            for (int i = 1; i < s->server.slots; i++)
                if (s->slot_free[i] < s->slot_free[first]) first = i;
            if (s->slot_free[first] > begin) begin = s->slot_free[first];
            e.at = s->slot_free[first] = begin + service_ns(s);
        } else {
            e.at = begin + service_ns(s);
        }
        s->served++;
    }
    push(s, e);
}

static void run(struct sim *s, double seconds) {
    int64_t end = s->now + (int64_t)(seconds * 1e9);
    s->weighted = s->watched_s = 0;
    s->refusals = s->done = 0;
    while (s->now < end) {
        while ((int)s->n < s->a.limit) start_call(s);
        struct event e = pop(s);
        double dt = (double)(e.at - s->now) * 1e-9;
        s->weighted += s->a.limit * dt;
        s->watched_s += dt;
        s->now = e.at;
        if (!e.refused) s->served--;
        s->refusals += e.refused;
        s->done += !e.refused;
        cfb_adaptive_done(&s->a, e.refused ? CFB_SIGNAL_REFUSED : CFB_SIGNAL_OK, e.started, e.at, e.in_flight);
        assert_true(s->a.limit >= 1 && s->a.limit <= s->a.max);
    }
}

static struct sim *new_sim(struct server server, int start, int max) {
    struct sim *s = calloc(1, sizeof *s);
    s->server = server;
    cfb_adaptive_init(&s->a, start, max, 0);
    return s;
}

static double mean_limit(const struct sim *s) { return s->weighted / s->watched_s; }

static void assert_near(const struct sim *s, double want, double share) {
    if (fabs(mean_limit(s) - want) <= share * want + 0.5) return;
    fail_msg("mean limit %.1f, want %.1f within %.0f %%", mean_limit(s), want, share * 100);
}

static void a_server_without_limits_gets_all_calls(void **state) {
    (void)state;
    struct sim *s = new_sim((struct server){.service_s = 0.2}, 16, 512);
    run(s, 5);
    run(s, 20);
    assert_near(s, 512, 0);
    free(s);
}

static void a_hidden_limit_is_found_and_kept(void **state) {
    (void)state;
    static const int rooms[] = {1, 3, 10, 40, 100, 333, 1000};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        struct sim *s = new_sim((struct server){.room = rooms[i], .service_s = 0.2, .sigma = 0.2}, 64, 2048);
        run(s, 30);
        run(s, 120);
        assert_near(s, rooms[i], 0.10);
        assert_true((double)s->refusals < 0.05 * (double)s->done + 400); /* probing costs little */
        free(s);
    }
}

static void a_limit_that_moves_is_followed(void **state) {
    (void)state;
    struct sim *s = new_sim((struct server){.room = 100, .service_s = 0.2, .sigma = 0.1}, 64, 1024);
    run(s, 30);
    run(s, 30);
    assert_near(s, 100, 0.10);
    s->server.room = 30;
    run(s, 15);
    run(s, 30);
    assert_near(s, 30, 0.10);
    s->server.room = 300;
    run(s, 60);
    run(s, 60);
    assert_near(s, 300, 0.10);
    free(s);
}

/* More calls than slots only wait in the server's queue. */
static void a_queue_does_not_grow_for_nothing(void **state) {
    (void)state;
    static const int slots[] = {8, 40, 100, 200};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        struct sim *s = new_sim((struct server){.slots = slots[i], .service_s = 0.2}, 16, 2048);
        run(s, 60);
        run(s, 60);
        assert_near(s, slots[i], 0.10);
        assert_true((double)s->done >= 0.9 * slots[i] / 0.2 * 60); /* and nothing is lost by that */
        free(s);
    }
}

static void latency_that_varies_does_not_lower_the_limit(void **state) {
    (void)state;
    struct sim *s = new_sim((struct server){.service_s = 0.5, .sigma = 0.5}, 64, 256);
    run(s, 30);
    run(s, 120);
    assert_true(mean_limit(s) >= 0.85 * 256);
    free(s);
}

static void refusals_at_random_do_not_lower_it_for_good(void **state) {
    (void)state;
    struct sim *s = new_sim((struct server){.service_s = 0.2, .random_share = 0.1}, 64, 256);
    run(s, 60);
    run(s, 120);
    assert_true(mean_limit(s) >= 0.7 * 256);
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_without_limits_gets_all_calls),
        cmocka_unit_test(a_hidden_limit_is_found_and_kept),
        cmocka_unit_test(a_limit_that_moves_is_followed),
        cmocka_unit_test(a_queue_does_not_grow_for_nothing),
        cmocka_unit_test(latency_that_varies_does_not_lower_the_limit),
        cmocka_unit_test(refusals_at_random_do_not_lower_it_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
