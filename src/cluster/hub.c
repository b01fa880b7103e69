/* The state behind one pace for many processes: the grid of starts, the calls in flight, the adaptive limit. */
#include "cluster/hub.h"

#include <math.h>

#define CATCH_UP 0.005 /* starts that were lost come back by a grid that is faster by so much */

void cfb_hub_init(cfb_hub *h, const cfb_limits *limits, int in_flight, bool adaptive, int64_t now_ns) {
    *h = (cfb_hub){.limits = *limits, .next_call_ns = NAN, .next_token_ns = NAN, .in_flight = in_flight};
    h->paused_until_ns = INT64_MIN / 2;
    h->is_adaptive = adaptive && in_flight > 0;
    cfb_adaptive_init(&h->adaptive, in_flight < 64 ? in_flight : 64, in_flight, now_ns);
}

int cfb_hub_join(cfb_hub *h, int64_t now_ns) {
    for (int i = 0; i < CFB_HUB_MEMBERS; i++) {
        if (h->members[i].seen_ns != 0) continue;
        h->members[i] = (cfb_hub_member){.seen_ns = now_ns};
        if (i >= h->n_members) h->n_members = i + 1;
        return i;
    }
    return -1;
}

void cfb_hub_leave(cfb_hub *h, int member) { h->members[member] = (cfb_hub_member){0}; }

/* ---- the grid ---- */

static double on_grid(double next_ns, int64_t now_ns) {
    double earliest = (double)now_ns - CFB_LIMITER_SLACK_NS;
    return isnan(next_ns) || next_ns < earliest ? isnan(next_ns) ? (double)now_ns : earliest : next_ns;
}

/* Time between two starts by the rate of calls and the spacing; 0: no limit. */
static double call_step_ns(const cfb_hub *h) {
    double by_rate = h->limits.calls_per_s > 0 ? 1e9 / h->limits.calls_per_s : 0, by_spacing = h->limits.spacing_s * 1e9;
    return by_rate > by_spacing ? by_rate : by_spacing;
}

static void grant_starts(cfb_hub *h, int64_t now_ns, const cfb_hub_ask *a, cfb_hub_grant *g) {
    double call_ns = call_step_ns(h), token_ns = h->limits.tokens_per_s > 0 ? a->tokens * 1e9 / h->limits.tokens_per_s : 0;
    double due = (double)now_ns - CFB_LIMITER_SLACK_NS, step = call_ns > token_ns ? call_ns : token_ns;
    int n = a->n_starts;
    if (step > 0 && n > 1 + (int)(CFB_HUB_BLOCK_S * 1e9 / step)) n = 1 + (int)(CFB_HUB_BLOCK_S * 1e9 / step);
    if (call_ns > 0) {
        h->next_call_ns = on_grid(h->next_call_ns, now_ns);
        if (h->next_call_ns > due) due = h->next_call_ns;
    }
    if (h->limits.tokens_per_s > 0) {
        h->next_token_ns = on_grid(h->next_token_ns, now_ns);
        if (h->next_token_ns > due) due = h->next_token_ns;
    }
    if ((double)h->paused_until_ns > due) due = (double)h->paused_until_ns;
    /* without spacing, what was lost may be made up for, a little at a time */
    double quick = call_ns;
    if (h->limits.spacing_s <= 0 && token_ns < call_ns && h->lost_left > 0) {
        double back = CATCH_UP * n < h->lost_left ? CATCH_UP * n : h->lost_left;
        quick = call_ns * (1 - back / n);
        h->lost_left -= back;
    }
    step = quick > token_ns ? quick : token_ns;
    if (call_ns > 0) h->next_call_ns = due + n * quick;
    if (h->limits.tokens_per_s > 0) h->next_token_ns = due + n * token_ns;
    g->n_starts = n;
    g->first_ns = (int64_t)due;
    g->step_ns = (int64_t)step;
    h->n_granted += (uint64_t)n;
}

/* ---- calls in flight ---- */

/* What a member may have under way until it says otherwise: a lower grant counts once it is kept to. */
static int32_t counted(const cfb_hub_member *m) {
    int32_t most = m->granted > m->held ? m->granted : m->held;
    if (m->before > most) most = m->before; /* it may be about to keep to that one */
    return most > m->in_use ? most : m->in_use;
}

/* No member keeps another from its fair part, and what one does not want the others have. The sum is never more than the limit:
 * what is under way counts until it has ended. */
static int grant_in_flight(cfb_hub *h, int member, int limit, int64_t now_ns) {
    cfb_hub_member *m = &h->members[member];
    int64_t others = 0, n_live = 0;
    for (int i = 0; i < h->n_members; i++) {
        cfb_hub_member *o = &h->members[i];
        if (o->seen_ns == 0) continue;
        if (i != member && now_ns - o->seen_ns > CFB_HUB_SILENT_NS) { /* its place stays its own: it may only be held up */
            *o = (cfb_hub_member){.seen_ns = o->seen_ns};
            continue;
        }
        n_live += o->want > 0 || i == member;
        if (i != member) others += counted(o);
    }
    int64_t fair = (limit + n_live - 1) / n_live, spare = 0; /* rounded up: what is there decides at the end */
    for (int i = 0; i < h->n_members; i++) {                 /* parts that others leave */
        const cfb_hub_member *o = &h->members[i];
        if (i != member && o->seen_ns != 0 && o->want > 0 && o->want < fair) spare += fair - o->want;
    }
    if (fair < 1) fair = 1;
    if (n_live > 1) fair += (spare + n_live - 2) / (n_live - 1);
    int64_t get = m->want < fair ? m->want : fair;
    if (get > limit - others) get = limit - others;
    if (get < 0) get = 0;
    m->before = m->granted;
    m->granted = (int32_t)get;
    return (int)get;
}

static void learn(cfb_hub *h, const cfb_hub_ask *a) {
    int others = 0;
    for (int i = 0; i < h->n_members; i++) others += h->members[i].in_use;
    for (size_t i = 0; i < a->n_events; i++) {
        const cfb_hub_event *e = &a->events[i];
        int in_flight = others - a->in_use + e->in_flight; /* of all members, about */
        cfb_adaptive_done(&h->adaptive, e->signal, e->started_ns, e->ended_ns, in_flight > 0 ? in_flight : 1);
    }
}

void cfb_hub_exchange(cfb_hub *h, int member, int64_t now_ns, const cfb_hub_ask *ask, cfb_hub_grant *out) {
    cfb_hub_member *m = &h->members[member];
    *out = (cfb_hub_grant){.in_flight = INT32_MAX};
    h->n_exchanges++;
    if (member >= h->n_members) h->n_members = member + 1;
    m->seen_ns = now_ns;
    m->in_use = ask->in_use;
    m->want = ask->want;
    m->held = ask->held;
    if (ask->pause_s > 0) {
        int64_t until = now_ns + (int64_t)(ask->pause_s * 1e9);
        if (until > h->paused_until_ns) h->paused_until_ns = until;
    }
    if (h->limits.tokens_per_s > 0 && ask->settle_tokens != 0 && !isnan(h->next_token_ns))
        h->next_token_ns += ask->settle_tokens * 1e9 / h->limits.tokens_per_s;
    h->n_lost += (uint64_t)ask->n_lost;
    h->lost_left += ask->n_lost;
    if (h->is_adaptive) learn(h, ask);
    if (h->in_flight > 0) out->in_flight = grant_in_flight(h, member, h->is_adaptive ? h->adaptive.limit : h->in_flight, now_ns);
    if (ask->n_starts > 0) grant_starts(h, now_ns, ask, out);
    out->paused_until_ns = h->paused_until_ns;
}
