#include "cluster/wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void cfb_wire_proof(const char *nonce, const char *token, char hex[65]) {
    const cfb_str parts[] = {cfb_str_from("cfbench-limiter"), cfb_str_from(nonce), cfb_str_from(token)};
    cfb_sha256_parts_hex(parts, 3, hex);
}

bool cfb_wire_same(const char *a, const char *b) {
    size_t n = strlen(a);
    unsigned char differs = strlen(b) != n;
    for (size_t i = 0; b[0] && i < n; i++) differs = (unsigned char)(differs | (a[i] ^ b[i < strlen(b) ? i : 0]));
    return !differs;
}

/* ---- reading numbers: a line comes from outside ---- */

static bool whole(const char **p, int64_t low, int64_t high, int64_t *out) {
    char *end;
    if (**p == ' ' || **p == '+') return false;
    long long v = strtoll(*p, &end, 10);
    if (end == *p || v < low || v > high) return false;
    *p = end;
    *out = v;
    return true;
}

static bool real(const char **p, double low, double high, double *out) {
    char *end;
    if (**p == ' ') return false;
    double v = strtod(*p, &end);
    if (end == *p || !(v >= low && v <= high)) return false;
    *p = end;
    *out = v;
    return true;
}

static bool skip(const char **p, char c) {
    if (**p != c) return false;
    (*p)++;
    return true;
}

#define FAR_NS INT64_C(1000000000000000000)

size_t cfb_wire_put_ask(const cfb_hub_ask *a, int64_t now_ns, char line[CFB_WIRE_LINE]) {
    int n = snprintf(line, CFB_WIRE_LINE, "ask %d %.17g %.17g %.17g %d %d %d %d %zu", a->n_starts, a->tokens, a->settle_tokens,
                     a->pause_s, a->n_lost, a->in_use, a->held, a->want, a->n_events);
    for (size_t i = 0; i < a->n_events && n < CFB_WIRE_LINE - 100; i++) {
        const cfb_hub_event *e = &a->events[i];
        n += snprintf(line + n, CFB_WIRE_LINE - (size_t)n, " %d,%" PRId64 ",%" PRId64 ",%d", (int)e->signal,
                      now_ns - e->started_ns, now_ns - e->ended_ns, e->in_flight);
    }
    return (size_t)n;
}

static bool get_event(const char **p, int64_t now_ns, cfb_hub_event *e) {
    int64_t v[4];
    if (!skip(p, ' ') || !whole(p, CFB_SIGNAL_OK, CFB_SIGNAL_OTHER, &v[0]) || !skip(p, ',') || !whole(p, 0, FAR_NS, &v[1]) ||
        !skip(p, ',') || !whole(p, 0, v[1], &v[2]) || !skip(p, ',') || !whole(p, 0, INT32_MAX / CFB_HUB_MEMBERS, &v[3]))
        return false;
    *e = (cfb_hub_event){(cfb_signal)v[0], (int)v[3], now_ns - v[1], now_ns - v[2]};
    return true;
}

bool cfb_wire_get_ask(const char *line, int64_t now_ns, cfb_hub_ask *out, cfb_hub_event *events) {
    const char *p = line;
    int64_t n[6];
    *out = (cfb_hub_ask){.events = events};
    if (strncmp(p, "ask ", 4) != 0) return false;
    p += 4;
    if (!whole(&p, 0, 4096, &n[0]) || !skip(&p, ' ') || !real(&p, 0, 1e9, &out->tokens) || !skip(&p, ' ') ||
        !real(&p, -1e12, 1e12, &out->settle_tokens) || !skip(&p, ' ') || !real(&p, 0, 86400, &out->pause_s) || !skip(&p, ' ') ||
        !whole(&p, 0, 1000000, &n[1]) || !skip(&p, ' ') || !whole(&p, 0, 1000000, &n[2]) || !skip(&p, ' ') ||
        !whole(&p, 0, 1000000, &n[3]) || !skip(&p, ' ') || !whole(&p, 0, 1000000, &n[4]) || !skip(&p, ' ') ||
        !whole(&p, 0, CFB_HUB_EVENTS, &n[5]))
        return false;
    out->n_starts = (int)n[0];
    out->n_lost = (int)n[1];
    out->in_use = (int)n[2];
    out->held = (int)n[3];
    out->want = (int)n[4];
    out->n_events = (size_t)n[5];
    for (size_t i = 0; i < out->n_events; i++)
        if (!get_event(&p, now_ns, &events[i])) return false;
    return *p == '\0';
}

size_t cfb_wire_put_grant(const cfb_hub_grant *g, int64_t now_ns, char line[CFB_WIRE_LINE]) {
    return (size_t)snprintf(line, CFB_WIRE_LINE, "grant %d %" PRId64 " %" PRId64 " %d %" PRId64 " %" PRId64, g->n_starts,
                            g->first_ns, g->step_ns, g->in_flight, g->paused_until_ns, now_ns);
}

bool cfb_wire_get_grant(const char *line, cfb_hub_grant *out, int64_t *now_ns) {
    const char *p = line;
    int64_t n, limit;
    *out = (cfb_hub_grant){0};
    if (strncmp(p, "grant ", 6) != 0) return false;
    p += 6;
    if (!whole(&p, 0, 4096, &n) || !skip(&p, ' ') || !whole(&p, INT64_MIN, INT64_MAX, &out->first_ns) || !skip(&p, ' ') ||
        !whole(&p, 0, FAR_NS, &out->step_ns) || !skip(&p, ' ') || !whole(&p, 0, INT32_MAX, &limit) || !skip(&p, ' ') ||
        !whole(&p, INT64_MIN, INT64_MAX, &out->paused_until_ns) || !skip(&p, ' ') || !whole(&p, 0, INT64_MAX, now_ns))
        return false;
    out->n_starts = (int)n;
    out->in_flight = (int)limit;
    return *p == '\0';
}
