/* tune_out.c - what was found: a table, JSON, CSV, SVG, and the profile that other commands load. */
#include "cfbench/json.h"
#include "cli/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MUCH_NOISE 0.05

/* ---- speed-up by threads: the best median of each number of threads up to the cores, against one thread ---- */

struct curve {
    double p[16], rate[16], s[16];
    size_t n;
    double amdahl;
};

static struct curve speedup(const tune_sweep *s) {
    struct curve c = {.amdahl = (double)NAN};
    for (int t = 1; t <= cfb_cpu_count() && c.n < 16; t++) {
        double best = 0;
        for (size_t i = 0; i < s->n; i++)
            if (s->points[i].threads == t && s->results[i].n && s->results[i].median > best) best = s->results[i].median;
        if (best <= 0) continue;
        c.p[c.n] = t;
        c.rate[c.n] = best;
        c.s[c.n] = best / c.rate[0];
        c.n++;
    }
    if (c.n > 1 && c.p[0] == 1) c.amdahl = cfb_tune_amdahl(c.p, c.s, c.n);
    return c;
}

static const char *fate(const tune_sweep *s, size_t i) {
    const cfb_tune_result *r = &s->results[i];
    return r->failed ? "failed" : i == s->best ? "chosen" : r->dropped ? "dropped" : "measured";
}

/* ---- the table ---- */

static cfb_code put_curve(const tune_sweep *s, cfb_buf *b, cfb_err *err) {
    struct curve c = speedup(s);
    cfb_code rc = CFB_OK;
    if (c.n < 2) return CFB_OK;
    rc = cfb_buf_printf(b, err, "\nthreads  %10s  speed-up  efficiency  Karp-Flatt\n", tune_unit(s->kind));
    for (size_t i = 0; i < c.n && rc == CFB_OK; i++) {
        double e = cfb_tune_karp_flatt(c.s[i], c.p[i]);
        char text[16] = "-";
        if (!isnan(e)) snprintf(text, sizeof text, "%.4f", e);
        rc = cfb_buf_printf(b, err, "%7.0f  %10.1f  %8.2f  %9.0f %%  %10s\n", c.p[i], c.rate[i], c.s[i], 100 * c.s[i] / c.p[i],
                            text);
    }
    if (rc == CFB_OK && !isnan(c.amdahl))
        rc = cfb_buf_printf(b, err, "Amdahl: serial fraction %.4f, so at most %.0f times one thread\n", c.amdahl,
                            c.amdahl > 1e-4 ? 1 / c.amdahl : 10000.0);
    return rc;
}

static cfb_code put_sweep(const tune_sweep *s, cfb_buf *b, cfb_err *err) {
    char what[160];
    cfb_code rc = cfb_buf_printf(b, err, "%s: %zu points, %llu runs\n%-62s %10s %21s  %4s\n", tune_kind_name(s->kind), s->n,
                                 (unsigned long long)s->n_runs, "", tune_unit(s->kind), "interval", "runs");
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++) {
        const cfb_tune_result *r = &s->results[i];
        tune_describe(s, i, what, sizeof what);
        if (r->n == 0)
            rc = cfb_buf_printf(b, err, "%-62s %10s  %s\n", what, "-", r->failed ? r->why : "not measured");
        else
            rc = cfb_buf_printf(b, err, "%-62s %10.1f %10.1f %10.1f  %4zu%s\n", what, r->median, r->low, r->high, r->n,
                                i == s->best ? "  <- chosen"
                                : r->dropped ? "  (given up)"
                                             : "");
    }
    tune_describe(s, s->best, what, sizeof what);
    if (rc == CFB_OK)
        rc = cfb_buf_printf(b, err, "choice: %s, %.1f %s; noise %.1f %%\n", what, s->results[s->best].median, tune_unit(s->kind),
                            100 * s->noise);
    if (rc == CFB_OK && s->kind != TUNE_RATE && s->noise > MUCH_NOISE)
        rc = cfb_buf_printf(
            b, err, "the noise hides smaller differences: a longer --budget, more data or a quiet machine makes it less\n");
    if (rc == CFB_OK && s->unlimited) rc = cfb_buf_printf(b, err, "no limit was met; the profile gets no rate\n");
    if (rc == CFB_OK && s->kind == TUNE_CLIENT && s->latency_s > 0)
        rc = cfb_buf_printf(b, err, "ideal at %.3g s latency: %.0f calls/s\n", s->latency_s,
                            s->points[s->best].in_flight / s->latency_s);
    return rc == CFB_OK ? put_curve(s, b, err) : rc;
}

static cfb_code put_roofs(const tune_sweep *sweeps, size_t n, const cfb_tune_roof *roofs, size_t n_roofs, cfb_buf *b,
                          cfb_err *err) {
    cfb_code rc = cfb_buf_printf(b, err, "\nroofline   read GB/s  triad GB/s  GEMM GFLOP/s  FLOP/byte at the ridge\n");
    for (size_t i = 0; i < n_roofs && rc == CFB_OK; i++) {
        const cfb_tune_roof *r = &roofs[i];
        rc = cfb_buf_printf(b, err, "%d thread%s  %9.1f  %10.1f  %12.1f  %22.1f\n", r->threads, r->threads == 1 ? " " : "s",
                            r->read_gbs, r->triad_gbs, r->gemm_gflops, r->gemm_gflops / r->read_gbs);
    }
    for (size_t k = 0; k < n && rc == CFB_OK && n_roofs > 0; k++)
        if (sweeps[k].kind == TUNE_SCORE)
            rc = cfb_buf_printf(b, err, "scoring reads %.2f GB/s: %.0f %% of the memory's\n",
                                sweeps[k].results[sweeps[k].best].median * 1e-3,
                                100 * sweeps[k].results[sweeps[k].best].median * 1e-3 / roofs[n_roofs - 1].read_gbs);
    return rc;
}

/* ---- JSON ---- */

static void json_point(const tune_sweep *s, size_t i, cfb_jw *w) {
    const cfb_tune_result *r = &s->results[i];
    char what[160];
    tune_describe(s, i, what, sizeof what);
    cfb_jw_obj(w);
    cfb_jw_member_strz(w, "options", what);
    cfb_jw_member_strz(w, "fate", fate(s, i));
    cfb_jw_member_int(w, "runs", (int64_t)r->n);
    cfb_jw_member_num(w, "median", r->n ? r->median : (double)NAN);
    cfb_jw_member_num(w, "low", r->n ? r->low : (double)NAN);
    cfb_jw_member_num(w, "high", r->n ? r->high : (double)NAN);
    cfb_jw_key(w, "rates");
    cfb_jw_arr(w);
    for (size_t k = 0; k < r->n; k++) cfb_jw_num(w, r->rates[k]);
    cfb_jw_end_arr(w);
    cfb_jw_end_obj(w);
}

static void json_sweep(const tune_sweep *s, cfb_jw *w) {
    struct curve c = speedup(s);
    char what[160];
    tune_describe(s, s->best, what, sizeof what);
    cfb_jw_obj(w);
    cfb_jw_member_strz(w, "what", tune_kind_name(s->kind));
    cfb_jw_member_strz(w, "unit", tune_unit(s->kind));
    cfb_jw_member_strz(w, "choice", what);
    cfb_jw_member_num(w, "rate", s->results[s->best].median);
    cfb_jw_member_num(w, "noise", s->noise);
    if (s->kind == TUNE_RATE) {
        cfb_jw_key(w, "limited");
        cfb_jw_bool(w, !s->unlimited);
    }
    cfb_jw_key(w, "points");
    cfb_jw_arr(w);
    for (size_t i = 0; i < s->n; i++) json_point(s, i, w);
    cfb_jw_end_arr(w);
    cfb_jw_member_num(w, "amdahl_serial_fraction", c.amdahl);
    cfb_jw_key(w, "speedup");
    cfb_jw_arr(w);
    for (size_t i = 0; i < c.n; i++) {
        cfb_jw_obj(w);
        cfb_jw_member_int(w, "threads", (int64_t)c.p[i]);
        cfb_jw_member_num(w, "rate", c.rate[i]);
        cfb_jw_member_num(w, "speedup", c.s[i]);
        cfb_jw_member_num(w, "efficiency", c.s[i] / c.p[i]);
        cfb_jw_member_num(w, "karp_flatt", cfb_tune_karp_flatt(c.s[i], c.p[i]));
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
    cfb_jw_end_obj(w);
}

static cfb_code make_json(const tune_sweep *sweeps, size_t n, const cfb_tune_roof *roofs, size_t n_roofs, cfb_buf *b,
                          cfb_err *err) {
    cfb_jw w;
    char machine[CFB_MACHINE_KEY_SIZE];
    cfb_machine_key(machine);
    cfb_jw_init(&w, b, 2);
    cfb_jw_obj(&w);
    cfb_jw_member_strz(&w, "schema", "cfbench.tune/1");
    cfb_jw_member_strz(&w, "version", CFB_VERSION);
    cfb_jw_member_strz(&w, "machine", machine);
    cfb_jw_key(&w, "sweeps");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < n; i++) json_sweep(&sweeps[i], &w);
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "roofline");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < n_roofs; i++) {
        cfb_jw_obj(&w);
        cfb_jw_member_int(&w, "threads", roofs[i].threads);
        cfb_jw_member_num(&w, "read_gbs", roofs[i].read_gbs);
        cfb_jw_member_num(&w, "triad_gbs", roofs[i].triad_gbs);
        cfb_jw_member_num(&w, "gemm_gflops", roofs[i].gemm_gflops);
        cfb_jw_end_obj(&w);
    }
    cfb_jw_end_arr(&w);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? cfb_buf_append_char(b, '\n', err) : rc;
}

cfb_code tune_print(const cfb_config *c, const tune_sweep *sweeps, size_t n, const cfb_tune_roof *roofs, size_t n_roofs,
                    cfb_err *err) {
    cfb_buf b = CFB_BUF_INIT(0);
    cfb_code rc = CFB_OK;
    if (c->json) rc = make_json(sweeps, n, roofs, n_roofs, &b, err);
    for (size_t i = 0; i < n && rc == CFB_OK && !c->json; i++) {
        if (i) rc = cfb_buf_append_char(&b, '\n', err);
        if (rc == CFB_OK) rc = put_sweep(&sweeps[i], &b, err);
    }
    if (rc == CFB_OK && !c->json && n_roofs) rc = put_roofs(sweeps, n, roofs, n_roofs, &b, err);
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&b), err);
    cfb_buf_free(&b);
    return rc;
}

/* ---- files ---- */

static cfb_code make_csv(const tune_sweep *sweeps, size_t n, cfb_buf *b, cfb_err *err) {
    char what[160];
    cfb_code rc = cfb_buf_printf(b, err, "what,options,unit,run,rate,fate\n");
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < sweeps[k].n; i++) {
            tune_describe(&sweeps[k], i, what, sizeof what);
            for (size_t r = 0; r < sweeps[k].results[i].n && rc == CFB_OK; r++)
                rc = cfb_buf_printf(b, err, "%s,%s,%s,%zu,%.9g,%s\n", tune_kind_name(sweeps[k].kind), what,
                                    tune_unit(sweeps[k].kind), r + 1, sweeps[k].results[i].rates[r], fate(&sweeps[k], i));
        }
    return rc;
}

#define ROW_H 18
#define LEFT 440
#define WIDTH 940

/* A bar for each point's median, a line for its interval. */
static cfb_code draw_sweep(const tune_sweep *s, int y, cfb_buf *b, cfb_err *err) {
    double most = 0;
    char what[160];
    for (size_t i = 0; i < s->n; i++)
        if (s->results[i].n && s->results[i].high > most) most = s->results[i].high;
    double scale = most > 0 ? (WIDTH - LEFT - 110) / most : 0;
    cfb_code rc = cfb_buf_printf(b, err, "<text x=\"10\" y=\"%d\" font-weight=\"bold\">%s, %s; noise %.1f %%</text>\n", y,
                                 tune_kind_name(s->kind), tune_unit(s->kind), 100 * s->noise);
    for (size_t i = 0; i < s->n && rc == CFB_OK; i++) {
        const cfb_tune_result *r = &s->results[i];
        int at = y + ROW_H * ((int)i + 1);
        tune_describe(s, i, what, sizeof what);
        rc = cfb_buf_printf(b, err, "<text x=\"10\" y=\"%d\">%s</text>\n", at, what);
        if (rc == CFB_OK && r->n)
            rc = cfb_buf_printf(b, err,
                                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"10\" fill=\"%s\"/><line x1=\"%.1f\" y1=\"%d\" "
                                "x2=\"%.1f\" y2=\"%d\" stroke=\"#222\"/><text x=\"%.1f\" y=\"%d\">%.5g</text>\n",
                                LEFT, at - 9, r->median * scale,
                                i == s->best ? "#1b7f5c"
                                : r->dropped ? "#c9c9c9"
                                             : "#7aa6d8",
                                LEFT + r->low * scale, at - 4, LEFT + r->high * scale, at - 4, LEFT + r->high * scale + 6, at,
                                r->median);
    }
    return rc;
}

static cfb_code make_svg(const tune_sweep *sweeps, size_t n, cfb_buf *b, cfb_err *err) {
    int height = 20;
    for (size_t k = 0; k < n; k++) height += ROW_H * ((int)sweeps[k].n + 3);
    cfb_code rc = cfb_buf_printf(b, err,
                                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                                 "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                                 WIDTH, height);
    for (size_t k = 0, y = 24; k < n && rc == CFB_OK; k++) {
        rc = draw_sweep(&sweeps[k], (int)y, b, err);
        y += ROW_H * (sweeps[k].n + 3);
    }
    return rc == CFB_OK ? cfb_buf_printf(b, err, "</svg>\n") : rc;
}

static void put_settings(const tune_sweep *s, cfb_jw *w) {
    const tune_point *p = &s->points[s->best];
    if (p->threads) cfb_jw_member_int(w, "threads", p->threads);
    if (p->block_kib) cfb_jw_member_int(w, "block-size", p->block_kib);
    if (p->in_flight) cfb_jw_member_int(w, "in-flight", p->in_flight);
    if (p->rps > 0 && !s->unlimited) cfb_jw_member_num(w, "rps", p->rps);
    if (p->calls_per_thread) cfb_jw_member_int(w, "calls-per-thread", p->calls_per_thread);
    if (p->task_workers) cfb_jw_member_int(w, "task-workers", p->task_workers);
}

static void put_environment(const tune_point *p, cfb_jw *w) {
    if (p->variables[0].name == NULL) return;
    cfb_jw_key(w, "x-environment");
    cfb_jw_obj(w);
    for (int v = 0; v < TUNE_VARIABLES && p->variables[v].name; v++)
        cfb_jw_member_strz(w, p->variables[v].name, p->variables[v].value);
    cfb_jw_end_obj(w);
}

/* Scoring and embedding have settings of the same names: beside scoring's, those for embedding stand in an object of their own.
 */
static cfb_code make_profile(const tune_sweep *sweeps, size_t n, cfb_buf *b, cfb_err *err) {
    cfb_jw w;
    char machine[CFB_MACHINE_KEY_SIZE];
    const tune_point *bound = NULL;
    cfb_machine_key(machine);
    cfb_jw_init(&w, b, 2);
    cfb_jw_obj(&w);
    cfb_jw_member_strz(&w, "x-profile", "cfbench.profile/1");
    cfb_jw_member_strz(&w, "x-machine", machine);
    for (size_t i = 0; i < n; i++) {
        const tune_point *p = &sweeps[i].points[sweeps[i].best];
        char key[48];
        snprintf(key, sizeof key, "x-noise-%s", tune_kind_name(sweeps[i].kind));
        cfb_jw_member_num(&w, key, sweeps[i].noise);
        if (sweeps[i].kind == TUNE_EMBED && i > 0) {
            cfb_jw_key(&w, "x-embed");
            cfb_jw_obj(&w);
            put_settings(&sweeps[i], &w);
            put_environment(p, &w);
            cfb_jw_end_obj(&w);
            continue;
        }
        put_settings(&sweeps[i], &w);
        if (p->variables[0].name) bound = p;
    }
    if (bound) put_environment(bound, &w);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    return rc == CFB_OK ? cfb_buf_append_char(b, '\n', err) : rc;
}

cfb_code tune_write_files(const cfb_config *c, const tune_sweep *sweeps, size_t n, const cfb_tune_roof *roofs, size_t n_roofs,
                          cfb_err *err) {
    static const char *const names[] = {"tune.json", "tune.csv", "tune.svg", "profile.json"};
    cfb_code rc = cfb_mkdir_p(c->out, err);
    for (int i = 0; i < 4 && rc == CFB_OK; i++) {
        char path[PATH_MAX];
        cfb_buf b = CFB_BUF_INIT(0);
        rc = i == 0   ? make_json(sweeps, n, roofs, n_roofs, &b, err)
             : i == 1 ? make_csv(sweeps, n, &b, err)
             : i == 2 ? make_svg(sweeps, n, &b, err)
                      : make_profile(sweeps, n, &b, err);
        if (rc == CFB_OK) rc = cfb_path_join(path, sizeof path, c->out, names[i], err);
        if (rc == CFB_OK) rc = cfb_file_write(path, cfb_buf_str(&b), err);
        cfb_buf_free(&b);
    }
    return rc;
}
