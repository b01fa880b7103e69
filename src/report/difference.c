/* difference.c - a row's reference and output side by side, with what only one of them has marked. */
#include "cfbench/base.h"
#include "report/internal.h"

#include <stdlib.h>

#define MAX_CHARS 2000
#define MAX_TOKENS 1000 /* of each text are compared; what follows is shown without marks */

/* A piece of a text that is marked or not as a whole. */
typedef struct token {
    cfb_str text;
    uint64_t hash;
    bool marked;
} token;

typedef struct tokens {
    token *list; /* (MAX_TOKENS) */
    size_t n;
    cfb_str rest;
} tokens;

static void put_tokens(report_out *o, const tokens *t, const char *element) {
    for (size_t i = 0, n; i < t->n; i += n) {
        size_t len = 0;
        for (n = 0; i + n < t->n && t->list[i + n].marked == t->list[i].marked; n++) len += t->list[i + n].text.len;
        if (t->list[i].marked) report_putf(o, "<%s>", element);
        (void)report_text(o, REPORT_HTML_BLOCK, (cfb_str){t->list[i].text.ptr, len}, 0);
        if (t->list[i].marked) report_putf(o, "</%s>", element);
    }
    (void)report_text(o, REPORT_HTML_BLOCK, t->rest, 0);
}

/* The first MAX_CHARS characters. *left_out: how many more there are. */
static cfb_str cut(cfb_str s, size_t *left_out) {
    size_t n = 0, chars = 0;
    *left_out = 0;
    for (; n < s.len; n++) {
        bool starts = ((unsigned char)s.ptr[n] & 0xC0) != 0x80;
        if (starts && chars == MAX_CHARS) break;
        chars += starts;
    }
    for (size_t i = n; i < s.len; i++) *left_out += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return (cfb_str){s.ptr, n};
}

/* ---- labels ---- */

static bool has_label(cfb_str text, cfb_str label) {
    for (cfb_str other; cfb_label_next(&text, &other);)
        if (cfb_str_eq(other, label)) return true;
    return false;
}

/* Cuts a text behind its commas; marked: labels that `other` has not. */
static void cut_labels(cfb_str s, cfb_str other, tokens *t) {
    while (s.len > 0 && t->n < MAX_TOKENS) {
        cfb_str rest = s, label = {NULL, 0};
        bool any = cfb_label_next(&rest, &label);
        size_t before = any ? (size_t)(label.ptr - s.ptr) : s.len;
        if (before > 0) t->list[t->n++] = (token){{s.ptr, before}, 0, false};
        if (any && t->n < MAX_TOKENS) t->list[t->n++] = (token){label, 0, !has_label(other, label)};
        size_t used = any && (t->n == 0 || t->list[t->n - 1].text.ptr == label.ptr) ? before + label.len : before;
        s = (cfb_str){s.ptr + used, s.len - used};
    }
    t->rest = s;
}

/* ---- running text ---- */

static bool is_word(unsigned char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }

/* Latin words and numbers, and every other character by itself: Chinese is compared by characters. */
static void cut_words(cfb_str s, tokens *t) {
    size_t at = 0;
    while (at < s.len && t->n < MAX_TOKENS) {
        size_t end = at + 1;
        if (is_word((unsigned char)s.ptr[at]))
            while (end < s.len && is_word((unsigned char)s.ptr[end])) end++;
        else
            while (end < s.len && ((unsigned char)s.ptr[end] & 0xC0) == 0x80) end++;
        t->list[t->n++] = (token){{s.ptr + at, end - at}, cfb_hash64(s.ptr + at, end - at, 0), true};
        at = end;
    }
    t->rest = (cfb_str){s.ptr + at, s.len - at};
}

static bool same_token(const token *a, const token *b) { return a->hash == b->hash && cfb_str_eq(a->text, b->text); }

/* Unmarks a longest common subsequence. False: no memory, or the texts have so little in common that marks say nothing. */
static bool match(tokens *a, tokens *b) {
    size_t width = b->n + 1, common = 0;
    uint16_t *len = calloc((a->n + 1) * width, sizeof *len); /* of the common subsequence of the tokens from (i, k) on */
    if (len == NULL) return false;
    for (size_t i = a->n; i-- > 0;)
        for (size_t k = b->n; k-- > 0;) {
            uint16_t down = len[(i + 1) * width + k], right = len[i * width + k + 1];
            bool same = same_token(&a->list[i], &b->list[k]);
            len[i * width + k] = same ? (uint16_t)(len[(i + 1) * width + k + 1] + 1) : down > right ? down : right;
        }
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        if (same_token(&a->list[i], &b->list[k])) {
            a->list[i++].marked = b->list[k++].marked = false;
            common++;
        } else if (len[(i + 1) * width + k] >= len[i * width + k + 1])
            i++;
        else
            k++;
    }
    free(len);
    return 4 * common >= (a->n < b->n ? a->n : b->n);
}

static void unmark(tokens *t) {
    for (size_t i = 0; i < t->n; i++) t->list[i].marked = false;
}

/* ---- both ---- */

static void put_side(report_out *o, const char *label, const char *what, const tokens *t, const char *element, size_t left_out,
                     bool empty) {
    char scratch[48];
    bool marks = false;
    for (size_t i = 0; i < t->n; i++) marks = marks || t->list[i].marked;
    report_putf(o, "<span class=\"lab\">%s%s%s</span>", label, marks ? WORD(o, MARKED) : "", marks ? what : "");
    if (empty) {
        report_putf(o, "<span class=\"txt dim\">%s</span>\n", WORD(o, EMPTY_TEXT));
        return;
    }
    report_put(o, "<bdi class=\"txt\" dir=\"auto\">");
    put_tokens(o, t, element);
    report_put(o, "</bdi>\n");
    if (left_out == 0) return;
    report_putf(o, "<p class=\"dim\">%s", WORD(o, CUT));
    report_put_str(o, report_count(left_out, scratch));
    report_putf(o, "%s</p>\n", WORD(o, CUT_END));
}

void report_difference(report_out *o, const cfb_report_row *row, bool labels) {
    size_t left_a, left_b;
    cfb_str a = cut(row->response, &left_a), b = cut(row->output, &left_b);
    tokens x = {.list = calloc(2 * MAX_TOKENS, sizeof(token))}, y = {0};
    if (x.list == NULL) {
        if (o->rc == CFB_OK) o->rc = cfb_err_set(o->err, CFB_ENOMEM, "out of memory");
        return;
    }
    y.list = x.list + MAX_TOKENS;
    if (labels) {
        cut_labels(a, row->output, &x);
        cut_labels(b, row->response, &y);
    } else {
        cut_words(a, &x);
        cut_words(b, &y);
        if (a.len == 0 || b.len == 0 || !match(&x, &y)) {
            unmark(&x);
            unmark(&y);
        }
    }
    if (row->response.ptr) put_side(o, WORD(o, REFERENCE), WORD(o, NOT_IN_OUTPUT), &x, "del", left_a, a.len == 0);
    if (row->output.ptr) put_side(o, WORD(o, OUTPUT), WORD(o, NOT_IN_REFERENCE), &y, "ins", left_b, b.len == 0);
    free(x.list);
}
