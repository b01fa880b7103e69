/* svg.c - inline SVG. Colours come from the page's classes, so light and dark need no second drawing. */
#include "report/internal.h"

#include <inttypes.h>
#include <math.h>

#define LEFT 44
#define TOP 8
#define PLOT_W 520
#define PLOT_H 120
#define BAR_W (PLOT_W / CFB_REPORT_BINS)

static void put_bar(report_out *o, size_t i, uint64_t n, uint64_t top, uint64_t all) {
    if (n == 0) return;
    double h = (double)n / (double)top * PLOT_H;
    if (h < 1.5) h = 1.5; /* a rare score must not vanish */
    report_putf(o, "<rect class=\"hb\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" rx=\"2\">", LEFT + (int)i * BAR_W + 1,
                TOP + PLOT_H - h, BAR_W - 2, h);
    report_put(o, "<title>");
    report_putf(o, n == 1 ? WORD(o, BAR_ONE) : WORD(o, BAR_MANY), (double)i / CFB_REPORT_BINS, (double)(i + 1) / CFB_REPORT_BINS,
                n, 100.0 * (double)n / (double)all);
    report_put(o, "</title></rect>");
}

static void put_axes(report_out *o, uint64_t top) {
    char scratch[48];
    static const char *const ticks[] = {"0", "0.25", "0.5", "0.75", "1"};
    for (int i = 0; i <= 2; i++) { /* top, middle, bottom */
        int y = TOP + i * PLOT_H / 2;
        report_putf(o, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", i == 2 ? "ax" : "gl", LEFT, LEFT + PLOT_W,
                    y, y);
    }
    report_putf(o, "<text class=\"tk\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", LEFT - 6, TOP + 4);
    report_put_str(o, report_count(top, scratch));
    report_putf(o, "</text><text class=\"tk\" x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>", LEFT - 6, TOP + PLOT_H + 4);
    for (int i = 0; i < 5; i++)
        report_putf(o, "<text class=\"tk\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>", LEFT + i * PLOT_W / 4,
                    TOP + PLOT_H + 17, ticks[i]);
}

void report_svg_histogram(report_out *o, const uint64_t bins[CFB_REPORT_BINS]) {
    uint64_t top = 0, all = 0;
    size_t mode = 0;
    for (size_t i = 0; i < CFB_REPORT_BINS; i++) {
        all += bins[i];
        if (bins[i] > top) {
            top = bins[i];
            mode = i;
        }
    }
    if (top == 0) return;
    report_putf(o, "<svg class=\"hist\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", LEFT + PLOT_W + 16, TOP + PLOT_H + 22);
    report_putf(o, WORD(o, HISTOGRAM), all);
    report_putf(o, WORD(o, HISTOGRAM_MODE), top, (double)mode / CFB_REPORT_BINS, (double)(mode + 1) / CFB_REPORT_BINS);
    report_put(o, "\">");
    put_axes(o, top);
    for (size_t i = 0; i < CFB_REPORT_BINS; i++) put_bar(o, i, bins[i], top, all);
    report_put(o, "</svg>\n");
}

/* ---- length against score ---- */

#define SHADES 5

size_t cfb_report_length_bin(uint32_t chars) {
    if (chars == 0) return 0;
    size_t k = 31 - (size_t)__builtin_clz(chars);
    return 1 + 2 * k + (k > 0 ? chars >> (k - 1) & 1 : 0);
}

double cfb_report_length_edge(size_t bin) { return bin == 0 ? 0 : ldexp((bin - 1) % 2 ? 1.5 : 1, (int)((bin - 1) / 2)); }

static uint64_t in_bin(const cfb_report_lengths *l, size_t bin) {
    uint64_t n = 0;
    for (size_t k = 0; k < CFB_REPORT_BINS; k++) n += l->n[bin][k];
    return n;
}

/* The bins in use, at least four. False: fewer than two are, and there is nothing to see. */
static bool find_range(const cfb_report_lengths *l, size_t *first, size_t *last) {
    *first = CFB_REPORT_LENGTH_BINS;
    *last = 0;
    for (size_t i = 0; i < CFB_REPORT_LENGTH_BINS; i++) {
        if (in_bin(l, i) == 0) continue;
        if (*first > i) *first = i;
        *last = i;
    }
    if (*first >= *last) return false;
    while (*last - *first < 3 && *last + 1 < CFB_REPORT_LENGTH_BINS) ++*last;
    return true;
}

/* One path for each shade: the page stays small. Shades grow with the logarithm of the rows in a cell. */
static void put_cells(report_out *o, const cfb_report_lengths *l, size_t first, size_t last, double step) {
    uint64_t top = 1;
    for (size_t i = first; i <= last; i++)
        for (size_t k = 0; k < CFB_REPORT_BINS; k++)
            if (l->n[i][k] > top) top = l->n[i][k];
    const double h = (double)PLOT_H / CFB_REPORT_BINS;
    for (int shade = 0; shade < SHADES; shade++) {
        bool open = false;
        for (size_t i = first; i <= last; i++)
            for (size_t k = 0; k < CFB_REPORT_BINS; k++) {
                if (l->n[i][k] == 0) continue;
                double share = top > 1 ? log((double)l->n[i][k]) / log((double)top) : 1;
                if ((int)(share * (SHADES - 1) + 0.5) != shade) continue;
                if (!open) report_putf(o, "<path class=\"hb\" opacity=\"%.2f\" d=\"", 0.2 + 0.2 * shade);
                open = true;
                report_putf(o, "M%.1f %.1fh%.1fv%.1fh-%.1fz", LEFT + (double)(i - first) * step + 0.5,
                            TOP + PLOT_H - (double)(k + 1) * h, step - 1, h - 0.5, step - 1);
            }
        if (open) report_put(o, "\"/>\n");
    }
}

static void put_means(report_out *o, const cfb_report_lengths *l, size_t first, size_t last, double step) {
    bool open = false;
    for (size_t i = first; i <= last; i++) {
        uint64_t n = in_bin(l, i);
        if (n == 0) continue;
        report_putf(o, "%s%.1f %.1f", open ? "L" : "<path class=\"mean\" d=\"M", LEFT + ((double)(i - first) + 0.5) * step,
                    TOP + PLOT_H * (1 - fmax(0, l->sum[i] / (double)n)));
        open = true;
    }
    if (open) report_put(o, "\"/>\n");
}

static void put_length_axes(report_out *o, size_t first, size_t last, double step) {
    static const char *const ticks[] = {"1", "0.5", "0"};
    for (int i = 0; i <= 2; i++) {
        int y = TOP + i * PLOT_H / 2;
        report_putf(o, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", i == 2 ? "ax" : "gl", LEFT, LEFT + PLOT_W,
                    y, y);
        report_putf(o, "<text class=\"tk\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", LEFT - 6, y + 4, ticks[i]);
    }
    size_t every = (last - first) / 10 + 1;
    for (size_t i = first, shown = 0; i <= last; i++) {
        double edge = cfb_report_length_edge(i);
        if (edge != floor(edge) || shown++ % every) continue; /* no whole number of characters lies at 1.5 */
        report_putf(o, "<text class=\"tk\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>",
                    LEFT + (double)(i - first) * step, TOP + PLOT_H + 17, edge);
    }
}

void report_svg_lengths(report_out *o, const cfb_report_lengths *l, size_t id) {
    size_t first, last;
    if (l == NULL || !find_range(l, &first, &last)) return;
    double step = (double)PLOT_W / (double)(last - first + 1);
    report_putf(o, "<h4>%s</h4>\n<svg class=\"hist len\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"lt%zu ld%zu\">",
                WORD(o, LENGTH_AND_SCORE), LEFT + PLOT_W + 16, TOP + PLOT_H + 22, id, id);
    report_putf(o, "<title id=\"lt%zu\">%s</title><desc id=\"ld%zu\">%s", id, WORD(o, SCORES_BY_LENGTH), id,
                WORD(o, MEAN_BY_LENGTH));
    for (size_t i = first; i <= last; i++) {
        uint64_t n = in_bin(l, i);
        if (n) report_putf(o, WORD(o, FROM_LENGTH), ceil(cfb_report_length_edge(i)), l->sum[i] / (double)n, n);
    }
    report_put(o, "</desc>\n");
    put_cells(o, l, first, last, step);
    put_length_axes(o, first, last, step);
    put_means(o, l, first, last, step);
    report_putf(o, "</svg>\n<p class=\"dim\">%s</p>\n", WORD(o, LENGTH_NOTE));
}
