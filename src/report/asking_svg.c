/* asking_svg.c - figures of how a run was asked. Inline SVG; colours come from the page's classes. Each has a title and a
 * description for those who do not see it; the page has the numbers beside it. */
#include "report/asking.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define W 500
#define H 190
#define LEFT 46
#define RIGHT 8
#define TOP 10
#define BOTTOM 34 /* tick labels and the axis' name */
#define PLOT_W (W - LEFT - RIGHT)
#define PLOT_H (H - TOP - BOTTOM)

typedef struct axis {
    double from, to;
    bool log;
} axis;

typedef struct plot {
    report_out *o;
    axis x, y;
} plot;

static double share(const axis *a, double v) {
    double s = a->log ? log(v / a->from) / log(a->to / a->from) : (v - a->from) / (a->to - a->from);
    return s < 0 ? 0 : s > 1 ? 1 : s;
}

static double px(const plot *p, double v) { return LEFT + share(&p->x, v) * PLOT_W; }
static double py(const plot *p, double v) { return TOP + (1 - share(&p->y, v)) * PLOT_H; }

/* ---- ticks ---- */

/* 1, 2 or 5 times a power of ten, so that about n of them make `range`. */
static double nice_step(double range, int n) {
    double raw = range / n, unit = pow(10, floor(log10(raw)));
    double m = raw / unit;
    return unit * (m <= 1.0001 ? 1 : m <= 2.0001 ? 2 : m <= 5.0001 ? 5 : 10);
}

/* A linear axis from 0 that ends at a tick. */
static axis make_axis(double most, int n) {
    if (!(most > 0)) most = 1;
    double step = nice_step(most, n);
    return (axis){0, step * ceil(most / step - 1e-9), false};
}

static void put_y_tick(const plot *p, double v, cfb_str label) {
    double y = py(p, v);
    report_putf(p->o, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", v == p->y.from ? "ax" : "gl", LEFT,
                LEFT + PLOT_W, y, y);
    report_putf(p->o, "<text class=\"tk\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 6, y + 4);
    report_put_str(p->o, label);
    report_put(p->o, "</text>");
}

static void put_x_tick(const plot *p, double v, cfb_str label) {
    double x = px(p, v);
    report_putf(p->o, "<text class=\"tk\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", x, TOP + PLOT_H + 17,
                x > W - 16 ? "end" : "middle");
    report_put_str(p->o, label);
    report_put(p->o, "</text>");
}

static cfb_str plain_number(double v, char scratch[48]) {
    if (v >= 1000) return report_count((uint64_t)(v + 0.5), scratch);
    int n = snprintf(scratch, 48, "%.6g", v);
    return (cfb_str){scratch, n > 0 ? (size_t)n : 0};
}

static void put_linear_y(const plot *p, int n) {
    char scratch[48];
    double step = nice_step(p->y.to, n);
    for (int i = 0; i * step <= p->y.to * 1.0001; i++) put_y_tick(p, i * step, plain_number(i * step, scratch));
}

static void put_axis_name(const plot *p, const char *name) {
    report_putf(p->o, "<text class=\"tk\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", LEFT + PLOT_W, H - 4, name);
}

static void put_time_x(const plot *p) {
    const struct {
        double s;
        const char *name;
    } units[] = {{1, WORD(p->o, S_OF_ASKING)}, {60, WORD(p->o, MIN_OF_ASKING)}, {3600, WORD(p->o, H_OF_ASKING)}};
    const size_t u = p->x.to < 180 ? 0 : p->x.to < 3 * 3600 ? 1 : 2;
    double most = p->x.to / units[u].s, step = nice_step(most, 6);
    char scratch[48];
    for (int i = 0; i * step <= most * 1.0001; i++) put_x_tick(p, i * step * units[u].s, plain_number(i * step, scratch));
    put_axis_name(p, units[u].name);
}

/* "500 ms" */
static cfb_str tick_seconds(double v, char scratch[48]) {
    int n = v < 0.9e-3 ? snprintf(scratch, 48, "%.4g µs", v * 1e6)
            : v < 0.9  ? snprintf(scratch, 48, "%.4g ms", v * 1e3)
                       : snprintf(scratch, 48, "%.6g s", v);
    return (cfb_str){scratch, n > 0 && n < 48 ? (size_t)n : 0};
}

/* Powers of ten in seconds; between them 2 and 5 where there is room. */
static void put_log(const plot *p, bool is_y) {
    const axis *a = is_y ? &p->y : &p->x;
    double decades = log10(a->to / a->from);
    bool fine = decades < (is_y ? 2.1 : 3.1);
    static const int steps[] = {1, 2, 5};
    char scratch[48];
    for (int e = -6; e <= 5; e++)
        for (int k = 0; k < (fine ? 3 : 1); k++) {
            double v = steps[k] * pow(10, e);
            if (v < a->from * 0.999 || v > a->to * 1.001) continue;
            if (is_y)
                put_y_tick(p, v, tick_seconds(v, scratch));
            else
                put_x_tick(p, v, tick_seconds(v, scratch));
        }
}

/* ---- frame ---- */

static void begin(report_out *o, size_t id, const char *name, const char *title) {
    report_putf(o, "<figure class=\"fig\" id=\"%s%zu\">\n<figcaption>%s</figcaption>\n", name, id, title);
    report_putf(
        o, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s%zut %s%zud\"><title id=\"%s%zut\">%s", W,
        H, name, id, name, id, name, id, title);
    report_putf(o, "</title><desc id=\"%s%zud\">", name, id);
}

typedef struct key {
    const char *css, *text;
} key;

static void end(report_out *o, const key *keys, size_t n) {
    report_put(o, "</svg>\n<ul class=\"legend\">");
    for (size_t i = 0; i < n; i++) report_putf(o, "<li><span class=\"dot %s\"></span>%s</li>", keys[i].css, keys[i].text);
    report_put(o, "</ul>\n</figure>\n");
}

/* ---- lines over time ---- */

typedef double (*value_fn)(const cfb_report_asking *a, size_t i);

/* A level for each interval; nothing where there is no value. closed: down to the axis, for an area. */
static void put_steps(const plot *p, const cfb_report_asking *a, value_fn value, const char *css, bool closed) {
    bool pen = false, any = false;
    double base = TOP + PLOT_H;
    report_putf(p->o, "<path class=\"%s\" d=\"", css);
    for (size_t i = 0; i < a->n_points; i++) {
        double v = value(a, i);
        if (v != v) {
            if (pen && closed) report_putf(p->o, "V%.1fZ", base);
            pen = false;
            continue;
        }
        double x = px(p, (double)i * a->interval_s), next = px(p, (double)(i + 1) * a->interval_s), y = py(p, v);
        if (!pen && closed)
            report_putf(p->o, "M%.1f %.1fV%.1f", x, base, y);
        else
            report_putf(p->o, pen ? "V%.1f" : "M%.1f %.1f", pen ? y : x, y);
        report_putf(p->o, "H%.1f", next);
        pen = any = true;
    }
    if (pen && closed) report_putf(p->o, "V%.1fZ", base);
    report_put(p->o, any ? "\"/>" : "M0 0\"/>");
}

/* Bars from the axis up, for what is rare. */
static void put_spikes(const plot *p, const cfb_report_asking *a, value_fn value, const char *css) {
    double width = (double)PLOT_W / (double)(a->n_points ? a->n_points : 1);
    bool any = false;
    for (size_t i = 0; i < a->n_points; i++) any = any || value(a, i) > 0;
    if (!any) return;
    report_putf(p->o, "<path class=\"%s\" style=\"stroke-width:%.1f\" d=\"", css, width > 6 ? 6 : width < 1.5 ? 1.5 : width);
    for (size_t i = 0; i < a->n_points; i++) {
        double v = value(a, i);
        if (v > 0) report_putf(p->o, "M%.1f %dV%.1f", px(p, ((double)i + 0.5) * a->interval_s), TOP + PLOT_H, py(p, v));
    }
    report_put(p->o, "\"/>");
}

static void put_pauses(const plot *p, const cfb_report_asking *a) {
    for (size_t i = 0; i < a->n_points; i++) {
        if (!a->points[i].resumed) continue;
        double x = px(p, (double)i * a->interval_s);
        report_putf(p->o, "<line class=\"pause\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"><title>%s</title></line>", x, x, TOP,
                    TOP + PLOT_H, WORD(p->o, PAUSE));
    }
}

static axis time_axis(const cfb_report_asking *a) { return (axis){0, (double)a->n_points * a->interval_s, false}; }

/* ---- calls in flight and the limit ---- */

static double in_flight_of(const cfb_report_asking *a, size_t i) { return a->points[i].in_flight; }
static double limit_of(const cfb_report_asking *a, size_t i) { return a->points[i].limit; }

#define PHASE_MAP(X) X(GROW, "grow") X(SEARCH, "search") X(TRIM, "trim") X(HOLD, "hold") X(PROBE, "probe") X(FIXED, "fixed")
#define PHASE_X(NAME, name) name,
static const char *const phases[] = {PHASE_MAP(PHASE_X)};
#undef PHASE_X
#define N_PHASES (sizeof phases / sizeof *phases)

const char *report_phase_word(const report_out *o, const char *phase) {
#define PHASE_X(NAME, name) \
    if (strcmp(phase, name) == 0) return WORD(o, NAME);
    PHASE_MAP(PHASE_X)
#undef PHASE_X
    return phase;
}

static size_t phase_of(const char *name) {
    size_t k = 0;
    while (k < N_PHASES && (name == NULL || strcmp(phases[k], name) != 0)) k++;
    return k;
}

/* A strip under the plot: what the adaptive limit was doing. Returns the phases that there were, as bits. */
static unsigned put_phases(const plot *p, const cfb_report_asking *a) {
    unsigned seen = 0;
    for (size_t i = 0, next; i < a->n_points; i = next) {
        size_t k = phase_of(a->points[i].phase);
        for (next = i + 1; next < a->n_points && phase_of(a->points[next].phase) == k;) next++;
        if (k == N_PHASES) continue;
        double x = px(p, (double)i * a->interval_s), to = px(p, (double)next * a->interval_s);
        report_putf(p->o, "<rect class=\"ph-%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"5\"><title>%s</title></rect>",
                    phases[k], x, TOP + PLOT_H, to - x, report_phase_word(p->o, phases[k]));
        seen |= 1u << k;
    }
    return seen;
}

static void put_low_limits(const plot *p, const cfb_report_asking *a) {
    report_put(p->o, "<path class=\"lim\" d=\"M0 0");
    for (size_t i = 0; i < a->n_points; i++) {
        const cfb_report_point *q = &a->points[i];
        if (q->limit_low < q->limit)
            report_putf(p->o, "M%.1f %.1fV%.1f", px(p, ((double)i + 0.5) * a->interval_s), py(p, q->limit), py(p, q->limit_low));
    }
    report_put(p->o, "\"/>");
}

void report_svg_in_flight(report_out *o, const cfb_report_asking *a, size_t id) {
#define PHASE_X(NAME, name) {"ph-" name, WORD(o, NAME##_MEANING)},
    const key meaning[N_PHASES] = {PHASE_MAP(PHASE_X)};
#undef PHASE_X
    double most = 0, limit = 0;
    char scratch[48];
    if (a->n_points == 0) return;
    for (size_t i = 0; i < a->n_points; i++) {
        most = fmax(most, a->points[i].in_flight);
        limit = fmax(limit, a->points[i].limit); /* fmax leaves NaN out */
    }
    /* a limit far above what was ever used would flatten everything else */
    double top = limit > 8 * most ? most * 1.25 : fmax(most, limit);
    plot p = {o, time_axis(a), make_axis(top, 4)};
    begin(o, id, "flight", WORD(o, FLIGHT));
    report_put(o, WORD(o, UNDER_WAY_OVER));
    report_put_str(o, report_seconds(a->all.busy_s, scratch));
    report_putf(o, WORD(o, FLIGHT_DESC), most, limit);
    report_put(o, "</desc>");
    put_linear_y(&p, 4);
    put_steps(&p, a, in_flight_of, "area", true);
    put_steps(&p, a, in_flight_of, "ln", false);
    if (limit > 0 && limit <= p.y.to) {
        put_steps(&p, a, limit_of, "lim", false);
        put_low_limits(&p, a);
    }
    put_time_x(&p);
    put_pauses(&p, a);
    unsigned seen = put_phases(&p, a);
    key keys[N_PHASES + 2] = {{"k-ln", WORD(o, UNDER_WAY)}, {"k-lim", limit <= p.y.to ? WORD(o, LIMIT) : WORD(o, LIMIT_ABOVE)}};
    size_t n = limit > 0 ? 2 : 1;
    for (size_t k = 0; k < N_PHASES; k++)
        if (seen >> k & 1) keys[n++] = meaning[k];
    end(o, keys, n);
}

/* ---- rates ---- */

static double replies_of(const cfb_report_asking *a, size_t i) { return (double)a->points[i].n_replies / a->interval_s; }
static double failures_of(const cfb_report_asking *a, size_t i) { return (double)a->points[i].n_failures / a->interval_s; }
static double refusals_of(const cfb_report_asking *a, size_t i) { return (double)a->points[i].n_refusals / a->interval_s; }

void report_svg_rates(report_out *o, const cfb_report_asking *a, size_t id) {
    double most = 0;
    uint64_t failures = 0, refusals = 0, replies = 0;
    char scratch[48];
    if (a->n_points == 0) return;
    for (size_t i = 0; i < a->n_points; i++) {
        most = fmax(most, fmax(replies_of(a, i), failures_of(a, i)));
        replies += a->points[i].n_replies;
        failures += a->points[i].n_failures;
        refusals += a->points[i].n_refusals;
    }
    plot p = {o, time_axis(a), make_axis(most, 4)};
    begin(o, id, "rates", WORD(o, RATES));
    report_put_str(o, report_count(replies, scratch));
    report_put(o, WORD(o, N_REPLIES));
    report_put_str(o, report_count(failures, scratch));
    report_put(o, WORD(o, N_FAILED_CALLS));
    report_put_str(o, report_count(refusals, scratch));
    report_put(o, WORD(o, N_REFUSED));
    report_put_str(o, report_seconds(a->interval_s, scratch));
    report_putf(o, "%s</desc>", WORD(o, STOP));
    put_linear_y(&p, 4);
    put_steps(&p, a, replies_of, "area ok", true);
    put_steps(&p, a, replies_of, "ln ok", false);
    put_spikes(&p, a, failures_of, "spike");
    put_spikes(&p, a, refusals_of, "spike ref");
    put_time_x(&p);
    put_pauses(&p, a);
    const key keys[] = {
        {"k-ok", WORD(o, REPLIES_PER_S)}, {"s-failed", WORD(o, FAILED_PER_S)}, {"k-ref", WORD(o, OF_THESE_REFUSED)}};
    end(o, keys, refusals ? 3 : failures ? 2 : 1);
}

/* ---- latency over time ---- */

static double p50_of(const cfb_report_asking *a, size_t i) { return a->points[i].p50_s; }
static double p90_of(const cfb_report_asking *a, size_t i) { return a->points[i].p90_s; }

static void put_dots(const plot *p, const cfb_report_asking *a, bool failed) {
    report_putf(p->o, "<path class=\"dots%s\" d=\"M0 0", failed ? " bad" : "");
    for (size_t i = 0; i < a->n_dots; i++)
        if (a->dots[i].failed == failed) report_putf(p->o, "M%.1f %.1fh0", px(p, a->dots[i].at_s), py(p, a->dots[i].latency_s));
    report_put(p->o, "\"/>");
}

/* A logarithmic axis that holds both values, from one of 1, 2, 5 times a power of ten to another. */
static axis make_log_axis(double low, double high) {
    static const double steps[] = {1, 2, 5, 10};
    axis a = {low, high, true};
    double unit = pow(10, floor(log10(low)));
    for (int i = 3; i >= 0; i--)
        if (steps[i] * unit <= low * 1.0001) {
            a.from = steps[i] * unit;
            break;
        }
    unit = pow(10, floor(log10(high)));
    for (int i = 0; i < 4; i++)
        if (steps[i] * unit >= high * 0.9999) {
            a.to = steps[i] * unit;
            break;
        }
    if (a.to < a.from * 1.9) a.to = a.from * 2;
    return a;
}

void report_svg_latency(report_out *o, const cfb_report_asking *a, size_t id) {
    double low = INFINITY, high = 0;
    bool failed = false;
    char scratch[48];
    for (size_t i = 0; i < a->n_dots; i++) { /* refusals take no time: they stand at the foot of the figure */
        if (!a->dots[i].failed || a->all.latency.n == 0) low = fmin(low, a->dots[i].latency_s);
        high = fmax(high, a->dots[i].latency_s);
        failed = failed || a->dots[i].failed;
    }
    for (size_t i = 0; i < a->n_points; i++) high = fmax(high, a->points[i].p90_s);
    if (!(low > 0 && high > 0) || a->n_points == 0) return;
    plot p = {o, time_axis(a), make_log_axis(low, high)};
    begin(o, id, "latency", WORD(o, LATENCY));
    report_put(o, WORD(o, LATENCY_MEDIAN));
    report_put_str(o, report_seconds(a->all.latency.s[CFB_REPORT_P50], scratch));
    report_put(o, WORD(o, LATENCY_P99));
    report_put_str(o, report_seconds(a->all.latency.s[CFB_REPORT_P99], scratch));
    report_put(o, WORD(o, LATENCY_LONGEST));
    report_put_str(o, report_seconds(a->all.latency.s[CFB_REPORT_MAX], scratch));
    report_putf(o, "%s</desc>", WORD(o, LOG_AXIS));
    put_log(&p, true);
    put_dots(&p, a, false);
    if (failed) put_dots(&p, a, true);
    put_steps(&p, a, p90_of, "ln q90", false);
    put_steps(&p, a, p50_of, "ln q50", false);
    put_time_x(&p);
    put_pauses(&p, a);
    uint64_t measured = a->all.latency.n + a->all.n_failed_calls;
    const key keys[] = {{"k-q50", WORD(o, MEDIAN)},
                        {"k-q90", WORD(o, P90)},
                        {"k-dot", measured > a->n_dots ? WORD(o, REPLIES_SAMPLE) : WORD(o, REPLIES)},
                        {"s-failed", WORD(o, QUICK_AT_FOOT)}};
    end(o, keys, failed ? 4 : 3);
}

/* ---- histogram of latencies ---- */

static void put_bins(const plot *p, const cfb_report_asking *a, size_t first, size_t last) {
    char from[48], to[48];
    for (size_t i = first; i <= last; i++) {
        if (a->latency_bins[i] == 0) continue;
        double x = px(p, cfb_report_latency_edge_s(i)), next = px(p, cfb_report_latency_edge_s(i + 1));
        double y = py(p, (double)a->latency_bins[i]), gap = next - x > 4 ? 1 : 0;
        if (y > TOP + PLOT_H - 1.5) y = TOP + PLOT_H - 1.5; /* a rare latency must not vanish */
        report_putf(p->o, "<rect class=\"hb\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>", x + gap / 2, y,
                    next - x - gap > 0.5 ? next - x - gap : 0.5, TOP + PLOT_H - y);
        report_put_str(p->o, report_seconds(cfb_report_latency_edge_s(i), from));
        report_put(p->o, WORD(p->o, TO));
        report_put_str(p->o, report_seconds(cfb_report_latency_edge_s(i + 1), to));
        report_putf(p->o, "%s%" PRIu64 "</title></rect>", WORD(p->o, COLON), a->latency_bins[i]);
    }
}

static void put_marks(const plot *p, const cfb_report_times *t) {
    double room = -1000;
    for (int q = CFB_REPORT_P50; q <= CFB_REPORT_P99; q++) {
        double x = px(p, t->s[q]);
        report_putf(p->o, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, TOP, TOP + PLOT_H);
        if (x - room < 24) continue; /* its name would stand on the one before */
        report_putf(p->o, "<text class=\"tk mk\" x=\"%.1f\" y=\"%d\">%s</text>", x + 3, TOP + 9, report_quantile_label(p->o, q));
        room = x;
    }
}

void report_svg_latencies(report_out *o, const cfb_report_asking *a, size_t id) {
    size_t first = CFB_REPORT_LATENCY_BINS, last = 0;
    uint64_t top = 0, n = 0;
    char scratch[48];
    for (size_t i = 0; i < CFB_REPORT_LATENCY_BINS; i++) {
        if (a->latency_bins[i] == 0) continue;
        if (first == CFB_REPORT_LATENCY_BINS) first = i;
        last = i;
        n += a->latency_bins[i];
        if (a->latency_bins[i] > top) top = a->latency_bins[i];
    }
    if (n == 0) return;
    size_t low = first >= 2 ? first - 2 : 0, high = last + 3 < CFB_REPORT_LATENCY_BINS ? last + 3 : CFB_REPORT_LATENCY_BINS;
    plot p = {o, {cfb_report_latency_edge_s(low), cfb_report_latency_edge_s(high), true}, make_axis((double)top, 4)};
    begin(o, id, "latencies", WORD(o, BY_LATENCY));
    report_put(o, WORD(o, LATENCIES_OF));
    report_put_str(o, report_count(n, scratch));
    report_put(o, WORD(o, LATENCIES_FROM));
    report_put_str(o, report_seconds(cfb_report_latency_edge_s(first), scratch));
    report_put(o, WORD(o, TO));
    report_put_str(o, report_seconds(cfb_report_latency_edge_s(last + 1), scratch));
    report_putf(o, "%s</desc>", WORD(o, LOG_AXIS));
    put_linear_y(&p, 4);
    put_bins(&p, a, first, last);
    put_marks(&p, &a->all.latency);
    put_log(&p, false);
    put_axis_name(&p, WORD(o, LATENCY_AXIS));
    const key keys[] = {{"k-ln", WORD(o, REPLIES)}};
    end(o, keys, 1);
}
