/* A process among several that share one pace. Its thread exchanges with the hub when starts are wanted, and a few hundred times
 * a second while calls begin and end; nobody else ever waits for the network. */
#include "cluster/member.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define LATE_NS 7000000    /* a start that comes later than this is lost: its place in the grid is past */
#define RETRY_NS 300000    /* how soon to look again while starts are being fetched */
#define ACTIVE_NS 4000000  /* between exchanges while there is something to tell */
#define IDLE_NS 1000000000 /* so that the hub knows that we live */
#define AGAIN_NS 200000000 /* between tries to reach a hub that is gone */
#define MOST_STARTS 64

struct block {
    int64_t next_ns, step_ns;
    int n;
};

struct cfb_member {
    cfb_pace_source source;
    cfb_member_way way;
    double patience_s;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    /* behind lock */
    bool quit, hungry, fetching; /* hungry: somebody wants to start, and there is nothing at hand */
    struct block now, later;     /* starts at hand */
    int target;                  /* how many starts to ask for */
    double tokens, settle;
    double pause_s;
    int64_t paused_until_ns, used_ns; /* used: when a start was taken or wanted last */
    int n_lost, want;
    atomic_int *in_use;
    int told_in_use, told_held;
    cfb_hub_event events[CFB_HUB_EVENTS];
    size_t n_events;
    int64_t gone_ns; /* since when the hub does not answer; 0: it does */
    cfb_err failed;
    atomic_int limit, held;
};

/* ---- what workers call ---- */

static void want(void *ctx, double tokens) {
    cfb_member_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    m->tokens = m->tokens > 0 ? 0.9 * m->tokens + 0.1 * tokens : tokens;
    m->used_ns = cfb_now_ns();
    if (m->now.n == 0 && m->later.n == 0) {
        m->hungry = true;
        pthread_cond_signal(&m->wanted);
    }
    pthread_mutex_unlock(&m->lock);
}

static void drop_late(cfb_member_t *m, int64_t now_ns) {
    for (;;) {
        while (m->now.n > 0 && m->now.next_ns < now_ns - LATE_NS) {
            m->now.next_ns += m->now.step_ns;
            m->now.n--;
            m->n_lost++;
        }
        if (m->now.n > 0 || m->later.n == 0) return;
        m->now = m->later;
        m->later.n = 0;
    }
}

static int64_t take(void *ctx, int64_t now_ns) {
    cfb_member_t *m = ctx;
    int64_t later = 0;
    pthread_mutex_lock(&m->lock);
    m->used_ns = now_ns;
    if (now_ns < m->paused_until_ns) {
        later = m->paused_until_ns;
        goto out;
    }
    drop_late(m, now_ns);
    if (m->now.n == 0) {
        m->hungry = true;
        later = now_ns + RETRY_NS;
    } else if (m->now.next_ns > now_ns) {
        later = m->now.next_ns;
    } else {
        m->now.next_ns += m->now.step_ns;
        m->now.n--;
    }
    if (m->later.n == 0) pthread_cond_signal(&m->wanted); /* the next block is fetched while this one is used */
out:
    pthread_mutex_unlock(&m->lock);
    return later;
}

static void settle(void *ctx, double tokens) {
    cfb_member_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    m->settle += tokens;
    pthread_mutex_unlock(&m->lock);
}

static void pause_all(void *ctx, double delay_s) {
    cfb_member_t *m = ctx;
    int64_t until = cfb_now_ns() + (int64_t)(delay_s * 1e9);
    pthread_mutex_lock(&m->lock);
    if (until > m->paused_until_ns) m->paused_until_ns = until;
    if (delay_s > m->pause_s) m->pause_s = delay_s;
    pthread_cond_signal(&m->wanted);
    pthread_mutex_unlock(&m->lock);
}

static void watch(void *ctx, atomic_int *in_use, int most) {
    cfb_member_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    m->in_use = in_use;
    m->want = in_use ? most : 0;
    pthread_cond_signal(&m->wanted);
    pthread_mutex_unlock(&m->lock);
}

static void keep_to(void *ctx, int limit) { atomic_store(&((cfb_member_t *)ctx)->held, limit); }

static int in_flight(void *ctx) { return atomic_load(&((cfb_member_t *)ctx)->limit); }

static void call_done(void *ctx, int signal, int64_t started_ns, int64_t ended_ns, int n) {
    cfb_member_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    if (m->n_events < CFB_HUB_EVENTS) m->events[m->n_events++] = (cfb_hub_event){(cfb_signal)signal, n, started_ns, ended_ns};
    if (m->n_events >= CFB_HUB_EVENTS / 2) pthread_cond_signal(&m->wanted);
    pthread_mutex_unlock(&m->lock);
}

static cfb_code check(void *ctx, cfb_err *err) {
    cfb_member_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    cfb_code rc = m->failed.code;
    if (rc != CFB_OK && err) *err = m->failed;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* ---- the thread ---- */

/* Behind lock: what to ask for now. False: nothing yet. */
static bool make_ask(cfb_member_t *m, int64_t now, int64_t last_ns, cfb_hub_ask *a, cfb_hub_event *events) {
    int held = m->in_use ? atomic_load(&m->held) : 0;
    bool recent = now - m->used_ns < 100000000;          /* workers that want no starts any more get none */
    int in_use = m->in_use ? atomic_load(m->in_use) : 0; /* after held: what starts meanwhile is within it */
    *a = (cfb_hub_ask){.tokens = m->tokens,
                       .settle_tokens = m->settle,
                       .pause_s = m->pause_s,
                       .n_lost = m->n_lost,
                       .in_use = in_use,
                       .held = held,
                       .want = m->want,
                       .events = events,
                       .n_events = m->n_events};
    if (recent && now >= m->paused_until_ns && m->later.n == 0 && m->want > 0) a->n_starts = m->target;
    bool news = a->held != m->told_held || m->n_events > 0 || m->settle != 0 || in_use != m->told_in_use ||
                (m->want > 0 && atomic_load(&m->limit) == 0);
    bool due = now - last_ns >= (news ? ACTIVE_NS : IDLE_NS);
    if (a->n_starts == 0 && a->pause_s <= 0 && !due && m->n_events < CFB_HUB_EVENTS / 2) return false;
    memcpy(events, m->events, m->n_events * sizeof *events);
    m->n_events = 0;
    m->settle = m->pause_s = 0;
    m->n_lost = 0;
    m->told_in_use = in_use;
    m->told_held = a->held;
    return true;
}

/* Behind lock. */
static void take_grant(cfb_member_t *m, const cfb_hub_ask *a, const cfb_hub_grant *g) {
    m->gone_ns = 0;
    atomic_store(&m->limit, g->in_flight);
    if (g->paused_until_ns > m->paused_until_ns) m->paused_until_ns = g->paused_until_ns;
    if (g->n_starts == 0) return;
    struct block b = {g->first_ns, g->step_ns, g->n_starts};
    if (m->now.n == 0)
        m->now = b;
    else
        m->later = b;
    /* all that was asked for came, and it had run dry: more at once */
    if (m->hungry && g->n_starts >= a->n_starts && m->target < MOST_STARTS) m->target *= 2;
    if (g->n_starts < a->n_starts) m->target = g->n_starts;
    m->hungry = false;
}

/* Behind lock. */
static void note_failure(cfb_member_t *m, int64_t now, cfb_code rc, const cfb_err *err) {
    if (m->gone_ns == 0) m->gone_ns = now;
    if (rc == CFB_ENET && (double)(now - m->gone_ns) * 1e-9 < m->patience_s) return;
    m->failed = *err;
    m->quit = true;
}

static void wait_wanted(cfb_member_t *m, int64_t ns) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)(ns % 1000000000);
    t.tv_sec += ns / 1000000000 + t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&m->wanted, &m->lock, &t);
}

static void *run(void *ctx) {
    cfb_member_t *m = ctx;
    cfb_hub_event events[CFB_HUB_EVENTS];
    int64_t last_ns = 0;
    cfb_thread_name("cfb-pace");
    pthread_mutex_lock(&m->lock);
    while (!m->quit) {
        cfb_hub_ask a;
        cfb_hub_grant g;
        cfb_err err = CFB_ERR_INIT;
        if (!make_ask(m, cfb_now_ns(), last_ns, &a, events)) {
            wait_wanted(m, m->want > 0 ? ACTIVE_NS : IDLE_NS);
            continue;
        }
        pthread_mutex_unlock(&m->lock);
        cfb_code rc = m->way.exchange(m->way.ctx, &a, &g, &err);
        last_ns = cfb_now_ns();
        pthread_mutex_lock(&m->lock);
        if (rc == CFB_OK) {
            take_grant(m, &a, &g);
        } else {
            note_failure(m, last_ns, rc, &err);
            if (!m->quit) wait_wanted(m, AGAIN_NS);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- life ---- */

const cfb_pace_source *cfb_member_source(cfb_member_t *m) { return &m->source; }

cfb_code cfb_member_new(const cfb_member_way *way, double patience_s, cfb_member_t **out, cfb_err *err) {
    cfb_member_t *m = calloc(1, sizeof *m);
    if (m == NULL) {
        way->close(way->ctx);
        return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    }
    m->way = *way;
    m->patience_s = patience_s;
    m->target = 1;
    m->paused_until_ns = INT64_MIN / 2;
    m->used_ns = INT64_MIN / 2;
    m->source = (cfb_pace_source){m, want, take, settle, pause_all, watch, in_flight, keep_to, call_done, check};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wanted, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&m->lock, NULL);
    m->has_thread = pthread_create(&m->thread, NULL, run, m) == 0;
    if (!m->has_thread) {
        cfb_member_leave(m);
        return cfb_err_set(err, CFB_ENOMEM, "no thread for the shared pace");
    }
    *out = m;
    return CFB_OK;
}

void cfb_member_leave(cfb_member_t *m) {
    if (m == NULL) return;
    if (m->has_thread) {
        pthread_mutex_lock(&m->lock);
        m->quit = true;
        pthread_cond_signal(&m->wanted);
        pthread_mutex_unlock(&m->lock);
        pthread_join(m->thread, NULL);
    }
    m->way.close(m->way.ctx);
    pthread_cond_destroy(&m->wanted);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
