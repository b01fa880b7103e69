/* Every metric of the table on two texts, cut at the first 0xFF: finite, in range, 1 for the same text where the metric has
 * tokens, the same again with used scratch space, and counts that fit each other. */
#include "cfbench/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void need(int ok) {
    if (!ok) abort();
}

static void check_counts(cfb_metric m, const cfb_metric_row *r) {
    cfb_metric_sums sums = {{0}};
    cfb_metric_sums_add(&sums, r);
    double corpus = cfb_metric_finish(m, &sums);
    need(corpus >= 0.0 && corpus <= 1.0);
    if (m == CFB_METRIC_BLEU)
        for (int n = 0; n < CFB_BLEU_ORDER; n++) need(r->counts[2 + n] <= r->counts[2 + CFB_BLEU_ORDER + n]);
    for (int n = 0; m == CFB_METRIC_CHRF && n < CFB_CHRF_ORDER; n++) {
        uint64_t match = r->counts[2 * CFB_CHRF_ORDER + n];
        need(match <= r->counts[n] && match <= r->counts[CFB_CHRF_ORDER + n]);
        need(n == 0 || match <= r->counts[2 * CFB_CHRF_ORDER + n - 1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static cfb_metric_scratch_t *used, *fresh; /* fresh: of little use, since making it takes a millisecond */
    static unsigned uses;
    const uint8_t *cut = memchr(data, 0xFF, size);
    cfb_str a = {(const char *)data, cut ? (size_t)(cut - data) : size / 2};
    cfb_str b = {(const char *)data + a.len + (cut != NULL), size - a.len - (cut != NULL)};
    if (used == NULL) need(cfb_metric_scratch_new(&used, NULL) == CFB_OK);
    if (uses++ % 256 == 0) {
        cfb_metric_scratch_free(fresh);
        need(cfb_metric_scratch_new(&fresh, NULL) == CFB_OK);
    }
    for (cfb_metric m = 0; m < CFB_METRIC_COUNT; m++) {
        cfb_metric_row_fn row = cfb_metric_get(m)->row;
        cfb_metric_row one, two, self;
        if (row == NULL) continue;
        cfb_code rc = row(used, a, b, &one, NULL);
        need(rc == CFB_OK || rc == CFB_EENCODING);
        need(row(fresh, a, b, &two, NULL) == rc);
        if (rc != CFB_OK) continue;
        need(isfinite(one.score) && one.score >= 0.0 && one.score <= 1.0);
        need(memcmp(one.counts, two.counts, sizeof one.counts) == 0 && one.score == two.score);
        need(one.response_chars <= a.len && one.output_chars <= b.len);
        if (cfb_metric_get(m)->how == CFB_METRIC_FROM_COUNTS) check_counts(m, &one);
        need(row(used, a, a, &self, NULL) == CFB_OK);
        need(self.score == 0.0 || self.score > 1.0 - 1e-12);
    }
    unsigned choices;
    if (cfb_metric_choices(a, &choices, NULL) == CFB_OK) need(choices < 32);
    cfb_lengths l;
    if (cfb_metric_lengths(used, a, b, &l, NULL) == CFB_OK) need(l.response_tokens <= l.response_chars * 2 && l.n_rows == 1);
    uint64_t ab, ba;
    double s;
    if (cfb_metric_edit(used, a, b, &s, &ab, NULL) == CFB_OK)
        need(cfb_metric_edit(used, b, a, &s, &ba, NULL) == CFB_OK && ab == ba);
    return 0;
}
