/* report_forms.h - what the tests of reports and comparisons look for in their forms. */
#ifndef CFB_TESTS_REPORT_FORMS_H
#define CFB_TESTS_REPORT_FORMS_H

#include "cfbench/json.h"
#include "cfbench/report.h"
#include "cfbench/utf8.h"

#include "test.h"

#include <math.h>

/* Text as a model, a server or a file may hold it. */
#define EVIL                                                            \
    "<script>alert(1)</script>\"'&|`*_[x](y)\x1b[31m\x07\r\xE2\x80\xAE" \
    "abc\xC2\x9B"                                                       \
    "\xff"                                                              \
    "\n# head"

typedef cfb_code (*report_writer)(const cfb_report *, cfb_buf *, cfb_err *);

static inline cfb_buf write_form(report_writer fn, const cfb_report *r) {
    cfb_buf b = CFB_BUF_INIT((size_t)1 << 28);
    assert_ok(fn(r, &b, e_));
    return b;
}

static inline void assert_has(const cfb_buf *b, const char *z) {
    if (strstr(b->ptr, z) == NULL) fail_msg("'%s' is missing in:\n%.6000s", z, b->ptr);
}

static inline void assert_lacks(const cfb_buf *b, const char *z) {
    const char *at = strstr(b->ptr, z);
    if (at != NULL) fail_msg("'%s' is in the text: %.200s", z, at);
}

/* A writer says that there is no room instead of leaving half a form. */
static inline void assert_limited(report_writer fn, const cfb_report *r) {
    cfb_buf b = CFB_BUF_INIT(200);
    cfb_err err = CFB_ERR_INIT;
    assert_int_equal(fn(r, &b, &err), CFB_ELIMIT);
    cfb_buf_free(&b);
}

static inline double number_of(const cfb_json *node, const char *key) {
    double v = NAN;
    if (!cfb_json_num(cfb_json_get(node, key), &v)) fail_msg("no number '%s'", key);
    return v;
}

static inline cfb_json *parse_form(const cfb_buf *b) {
    cfb_json *root = NULL;
    assert_ok(cfb_json_parse(b->ptr, b->len, 0, &root, e_));
    return root;
}

/* Every line of the Markdown table that starts with `head` has the same number of cells. */
static inline void assert_cells(const cfb_buf *b, const char *head) {
    size_t want = 0;
    const char *p = strstr(b->ptr, head);
    assert_non_null(p);
    while (*p == '|') {
        size_t n = strcspn(p, "\n"), cells = 0;
        for (size_t i = 0; i < n; i++) cells += p[i] == '|' && (i == 0 || p[i - 1] != '\\');
        if (want == 0) want = cells;
        assert_int_equal(cells, want);
        p += n + 1;
    }
}

/* Tags nest: a reader that knows void elements sees every end tag match. */
static inline void assert_nests(const cfb_buf *b) {
    char stack[64][16];
    size_t depth = 0;
    const char *p = strstr(b->ptr, "<html");
    assert_non_null(p);
    while ((p = strchr(p, '<')) != NULL) {
        bool closing = p[1] == '/';
        const char *name = p + 1 + closing, *close = strchr(p, '>');
        size_t n = strcspn(name, " >/");
        assert_non_null(close);
        assert_true(n > 0 && n < 16);
        bool is_void = close[-1] == '/' || strncmp(name, "meta", 4) == 0 || (n == 2 && strncmp(name, "br", 2) == 0);
        if (closing) {
            assert_true(depth > 0);
            depth--;
            if (strlen(stack[depth]) != n || strncmp(stack[depth], name, n) != 0)
                fail_msg("</%.*s> closes <%s>", (int)n, name, stack[depth]);
        } else if (!is_void) {
            assert_true(depth < 64);
            snprintf(stack[depth++], 16, "%.*s", (int)n, name);
        }
        p = close;
    }
    assert_int_equal(depth, 0);
}

#endif
