/* svg.c - inline SVG. Colours come from the page's classes, so light and dark need no second drawing. */
#include "report/internal.h"

#include <inttypes.h>

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
    report_putf(o, "<title>%.2f to %.2f: %" PRIu64 " row%s (%.1f %%)</title></rect>", (double)i / CFB_REPORT_BINS,
                (double)(i + 1) / CFB_REPORT_BINS, n, n == 1 ? "" : "s", 100.0 * (double)n / (double)all);
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
    report_putf(o,
                "<svg class=\"hist\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Histogram of %" PRIu64
                " row scores from 0 to 1; ",
                LEFT + PLOT_W + 16, TOP + PLOT_H + 22, all);
    report_putf(o, "most rows, %" PRIu64 ", between %.2f and %.2f\">", top, (double)mode / CFB_REPORT_BINS,
                (double)(mode + 1) / CFB_REPORT_BINS);
    put_axes(o, top);
    for (size_t i = 0; i < CFB_REPORT_BINS; i++) put_bar(o, i, bins[i], top, all);
    report_put(o, "</svg>\n");
}
