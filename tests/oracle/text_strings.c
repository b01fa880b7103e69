/* Reads strings from standard input, each ended by a NUL, and prints per string a line of three fields: strip(), lower()
 * (UTF-8 in hex) and len(). text_oracle.py compares them with Python's own. */
#include "cfbench/base.h"
#include "cfbench/text.h"

#include <stdio.h>
#include <stdlib.h>

static void print_hex(cfb_str s) {
    for (size_t i = 0; i < s.len; i++) printf("%02x", (unsigned)(unsigned char)s.ptr[i]);
}

int main(void) {
    size_t cap = 1 << 16, len = 0;
    char *text = malloc(cap);
    for (size_t got; text != NULL && (got = fread(text + len, 1, cap - len, stdin)) > 0;) {
        len += got;
        if (len == cap) text = realloc(text, cap *= 2);
    }
    if (text == NULL) return 1;
    cfb_buf lower = CFB_BUF_INIT(0);
    for (size_t i = 0; i < len;) {
        const char *end = memchr(text + i, 0, len - i);
        if (end == NULL) return 1;
        cfb_str s = {text + i, (size_t)(end - (text + i))};
        cfb_buf_clear(&lower);
        if (cfb_text_count_valid(s) == SIZE_MAX || cfb_text_lower(s, &lower, NULL) != CFB_OK) return 1;
        print_hex(cfb_text_strip(s));
        putchar(' ');
        print_hex(cfb_buf_str(&lower));
        printf(" %zu\n", cfb_text_count_valid(s));
        i += s.len + 1;
    }
    cfb_buf_free(&lower);
    free(text);
    return fflush(stdout) == 0 ? 0 : 1;
}
