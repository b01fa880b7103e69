/* A vocabulary (vocab.txt or tokenizer.json, by its first byte) and a text behind the first 0xFE: no more ids than asked for, all
 * of them in the vocabulary, and a cut text is the beginning of the whole one. */
#include "cfbench/wordpiece.h"

#include <stdlib.h>
#include <string.h>

static void need(int ok) {
    if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *cut = size ? memchr(data, 0xFE, size) : NULL;
    size_t head = cut ? (size_t)(cut - data) : size;
    cfb_str file = {(const char *)data, head}, text = {(const char *)data + head + (cut != NULL), size - head - (cut != NULL)};
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    cfb_wordpiece_t *w = NULL;
    uint32_t all[512], some[8];
    size_t n_all = 0, n_some = 0;
    if (size > 0) {
        o.strip_accents = data[0] % 3 != 0;
        o.lower = data[0] % 5 != 0;
        o.rules = data[0] % 2 ? CFB_WORDPIECE_PYTHON : CFB_WORDPIECE_RUST;
        o.max_word_chars = data[0] % 7 == 0 ? 300 : 100;
    }
    cfb_code rc = head > 0 && data[0] == '{' ? cfb_wordpiece_from_json("f", file, &w, NULL)
                                             : cfb_wordpiece_from_vocab("f", file, &o, &w, NULL);
    need((rc == CFB_OK) == (w != NULL));
    if (rc != CFB_OK) return 0;
    rc = cfb_wordpiece_encode(w, text, CFB_WORDPIECE_CUT, 512, all, &n_all, NULL);
    need(rc == CFB_OK || rc == CFB_EENCODING);
    need(cfb_wordpiece_encode(w, text, CFB_WORDPIECE_CUT, 8, some, &n_some, NULL) == rc);
    if (rc == CFB_OK) {
        need(n_all >= 2 && n_all <= 512 && n_some == (n_all < 8 ? n_all : 8));
        need(memcmp(all, some, n_some * sizeof *all) == 0);
        for (size_t i = 0; i < n_all; i++) need(cfb_wordpiece_token(w, all[i]).ptr != NULL);
    }
    cfb_wordpiece_free(w);
    return 0;
}
