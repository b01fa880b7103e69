/* wordpiece_ids VOCAB MODE: reads texts from standard input, each ended by a NUL, and prints the ids of each in a line. MODE is a
 * sum: 1 lower, 2 strip accents, 4 CJK, 8 cut without [SEP]. wordpiece_oracle.py compares them with its own. */
#include "cfbench/base.h"
#include "cfbench/wordpiece.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    cfb_buf vocab = CFB_BUF_INIT(0), text = CFB_BUF_INIT(0);
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    cfb_wordpiece_t *w = NULL;
    cfb_err err = CFB_ERR_INIT;
    uint32_t ids[512];
    size_t n = 0;
    int mode = argc == 3 ? atoi(argv[2]) : -1;
    if (mode < 0) return 1;
    o.lower = mode & 1;
    o.strip_accents = mode & 2;
    o.split_cjk = mode & 4 ? CFB_WORDPIECE_CJK_ALL : CFB_WORDPIECE_CJK_NONE;
    cfb_code rc = cfb_file_read(argv[1], CFB_WORDPIECE_MAX_FILE, &vocab, &err);
    if (rc == CFB_OK) rc = cfb_wordpiece_from_vocab(argv[1], cfb_buf_str(&vocab), &o, &w, &err);
    for (int c; rc == CFB_OK && (c = getchar()) != EOF;) {
        if (c != 0) {
            rc = cfb_buf_append_char(&text, (char)c, &err);
            continue;
        }
        rc = cfb_wordpiece_encode(w, cfb_buf_str(&text), mode & 8 ? CFB_WORDPIECE_CUT : CFB_WORDPIECE_KEEP_SEP, 512, ids, &n,
                                  &err);
        for (size_t i = 0; rc == CFB_OK && i < n; i++) printf("%s%u", i ? " " : "", ids[i]);
        putchar('\n');
        cfb_buf_clear(&text);
    }
    if (rc != CFB_OK) fprintf(stderr, "%s\n", err.msg);
    cfb_wordpiece_free(w);
    cfb_buf_free(&vocab);
    cfb_buf_free(&text);
    return rc == CFB_OK && fflush(stdout) == 0 ? 0 : 1;
}
