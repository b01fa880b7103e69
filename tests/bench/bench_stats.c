/* Times the bootstrap and the permutation test on a file of raw binary64 numbers.
 *   bench_stats FILE RESAMPLES THREADS ROUNDS
 * Prints the best time of each, and the mean and standard deviation of the bootstrap means, which bench_stats.py checks. */
#include "cfbench/base.h"
#include "cfbench/stats.h"

#include <stdio.h>
#include <stdlib.h>

static void check(cfb_code code, const cfb_err *err) {
    if (code == CFB_OK) return;
    fprintf(stderr, "bench_stats: %s\n", err->msg);
    exit(cfb_code_exit_status(code));
}

static double seconds_since(int64_t start_ns) { return (double)(cfb_now_ns() - start_ns) * 1e-9; }

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: bench_stats FILE RESAMPLES THREADS ROUNDS\n");
        return 1;
    }
    cfb_err err = CFB_ERR_INIT;
    cfb_buf file = CFB_BUF_INIT((size_t)1 << 32);
    cfb_stats_opts opts = CFB_STATS_OPTS_INIT;
    check(cfb_file_read(argv[1], file.max, &file, &err), &err);
    size_t n = file.len / sizeof(double);
    opts.n_resamples = opts.n_permutations = (size_t)strtoull(argv[2], NULL, 10);
    opts.n_threads = atoi(argv[3]);
    double *x = malloc(file.len + 1), *means = calloc(opts.n_resamples + 1, sizeof *means), draw = 1e300, flip = 1e300;
    if (x == NULL || means == NULL) return 1;
    memcpy(x, file.ptr, n * sizeof *x);
    cfb_stats_summary s;
    cfb_stats_flip f = {0};
    for (int round = 0; round < atoi(argv[4]); round++) {
        int64_t start = cfb_now_ns();
        check(cfb_stats_bootstrap_means(x, n, NULL, &opts, means, &err), &err);
        double took = seconds_since(start);
        if (took < draw) draw = took;
        start = cfb_now_ns();
        check(cfb_stats_sign_flip(x, n, NULL, &opts, &f, &err), &err);
        took = seconds_since(start);
        if (took < flip) flip = took;
    }
    check(cfb_stats_describe(means, opts.n_resamples, NULL, 0.95, &s, &err), &err);
    printf("{\"bootstrap_s\": %.6f, \"flip_s\": %.6f, \"mean\": %.17g, \"sd\": %.17g, \"flip_p\": %.17g}\n", draw, flip, s.mean,
           s.sd, f.p);
    free(x);
    free(means);
    cfb_buf_free(&file);
    return 0;
}
