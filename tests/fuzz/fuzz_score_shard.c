/* A shard of scores of any bytes, and of any bytes whose tail has the right hash: refused, or every row that is in it can be
 * asked for and every count added. */
#include "cfbench/base.h"
#include "cfbench/score_shard.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const void *data, size_t size) {
    cfb_score_shards_t *s = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_score_shards_open_memory("fuzz", data, size, &s, &err) != CFB_OK) {
        if (err.msg[0] == '\0') abort();
        return;
    }
    const cfb_score_shard_head *h = cfb_score_shards_head(s);
    cfb_task task = {.name = "t", .metric = CFB_METRIC_F1, .label_set = CFB_LABELS_OBSERVED};
    cfb_score_opts o = CFB_SCORE_OPTS_INIT;
    cfb_scorer_t *to = NULL;
    cfb_score_row row;
    o.n_threads = 1;
    o.label_set = CFB_LABELS_OBSERVED;
    if (cfb_scorer_new(&task, &o, &to, &err) != CFB_OK) abort();
    for (size_t i = 0; i < h->n_sources && i < 4; i++) {
        cfb_score_shards_select(s, i, CFB_STR_LIT(""));
        for (uint64_t n = 0; n < 20; n++)
            if (cfb_score_shards_find(s, 0, n * n * n, 0, &row, &err) == CFB_OK && row.state >= CFB_ROW_STATE_COUNT) abort();
        const cfb_score_shard_key key = {i, CFB_STR_NULL, CFB_STR_LIT("s"), CFB_STR_LIT("t")};
        if (cfb_score_shards_add_counts(s, &key, to, &err) != CFB_OK && err.msg[0] == '\0') abort();
    }
    cfb_scorer_free(to);
    cfb_score_shards_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t len = 0;
    look(data, size);
    if (size < 32) return 0;
    for (int i = 0; i < 8; i++) len |= (uint64_t)data[size - 16 + (size_t)i] << 8 * i;
    if (len > size - 32) return 0;
    unsigned char *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    uint64_t hash = cfb_hash64(copy + size - 16 - len, (size_t)len, 1);
    for (int i = 0; i < 8; i++) copy[size - 8 + (size_t)i] = (unsigned char)(hash >> 8 * i);
    look(copy, size);
    free(copy);
    return 0;
}
