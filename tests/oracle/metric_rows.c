/* Every text metric of every row of a JSON Lines file ({"response", "output"}), printed exactly (%a); then the corpus scores.
 *   metric_rows FILE
 * A row: exact choices(reference) choices(output) accuracy | precision recall f of rouge1, rouge2, rougeL | 10 counts of BLEU,
 * score | 18 counts of chrF, score | distance, similarity | chars and tokens of both. metric_oracle.py computes the same in plain
 * Python. */
#include "cfbench/base.h"
#include "cfbench/json.h"
#include "cfbench/metrics.h"

#include <stdio.h>
#include <stdlib.h>

static void check(cfb_code code, const cfb_err *err) {
    if (code == CFB_OK) return;
    fprintf(stderr, "metric_rows: %s\n", err->msg);
    exit(cfb_code_exit_status(code));
}

static void print_counts(const uint64_t *counts, int n) {
    for (int i = 0; i < n; i++) printf(" %llu", (unsigned long long)counts[i]);
}

static void print_row(cfb_metric_scratch_t *s, cfb_str response, cfb_str output, cfb_metric_sums *bleu, cfb_metric_sums *chrf) {
    cfb_err err = CFB_ERR_INIT;
    double exact, accuracy, edit;
    unsigned want, got;
    bool unmatchable;
    uint64_t distance;
    cfb_prf p;
    cfb_lengths l;
    cfb_metric_row row;
    check(cfb_metric_exact(s, response, output, &exact, &err), &err);
    check(cfb_metric_choices(response, &want, &err), &err);
    check(cfb_metric_choices(output, &got, &err), &err);
    check(cfb_metric_accuracy(response, output, &accuracy, &unmatchable, &err), &err);
    printf("%a %u %u %a", exact, want, got, accuracy);
    for (unsigned n = 1; n <= 2; n++) {
        check(cfb_metric_rouge_n(s, n, response, output, &p, &err), &err);
        printf(" %a %a %a", p.precision, p.recall, p.f);
    }
    check(cfb_metric_rouge_l(s, response, output, &p, &err), &err);
    printf(" %a %a %a", p.precision, p.recall, p.f);
    check(cfb_metric_get(CFB_METRIC_BLEU)->row(s, response, output, &row, &err), &err);
    cfb_metric_sums_add(bleu, &row);
    print_counts(row.counts, 2 + 2 * CFB_BLEU_ORDER);
    printf(" %a", row.score);
    check(cfb_metric_get(CFB_METRIC_CHRF)->row(s, response, output, &row, &err), &err);
    cfb_metric_sums_add(chrf, &row);
    print_counts(row.counts, 3 * CFB_CHRF_ORDER);
    check(cfb_metric_edit(s, response, output, &edit, &distance, &err), &err);
    check(cfb_metric_lengths(s, response, output, &l, &err), &err);
    printf(" %a %llu %a", row.score, (unsigned long long)distance, edit);
    print_counts(&l.response_chars, 4);
    putchar('\n');
}

int main(int argc, char **argv) {
    cfb_err err = CFB_ERR_INIT;
    cfb_buf text = CFB_BUF_INIT(0);
    cfb_metric_scratch_t *s;
    cfb_metric_sums bleu = {{0}}, chrf = {{0}};
    if (argc != 2) return 1;
    check(cfb_file_read(argv[1], (size_t)1 << 32, &text, &err), &err);
    check(cfb_metric_scratch_new(&s, &err), &err);
    for (const char *p = text.ptr, *end = p + text.len; p < end;) {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        cfb_json *doc = NULL;
        if (q == NULL) return 2;
        check(cfb_json_parse(p, (size_t)(q - p), 0, &doc, &err), &err);
        print_row(s, cfb_json_str(cfb_json_get(doc, "response")), cfb_json_str(cfb_json_get(doc, "output")), &bleu, &chrf);
        cfb_json_free(doc);
        p = q + 1;
    }
    printf("corpus %a %a\n", cfb_metric_finish(CFB_METRIC_BLEU, &bleu), cfb_metric_finish(CFB_METRIC_CHRF, &chrf));
    cfb_metric_scratch_free(s);
    cfb_buf_free(&text);
    return fflush(stdout) == 0 ? 0 : 1;
}
