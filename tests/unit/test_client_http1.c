/* Responses as they come over a connection: whole, byte by byte, and broken. */
#include "test.h"

#include "client/http1.h"

#include <zlib.h>

struct got {
    char body[65536], headers[4096];
    size_t n_body, limit;
};

static void on_header(void *ctx, cfb_str line) {
    struct got *g = ctx;
    size_t n = strlen(g->headers);
    snprintf(g->headers + n, sizeof g->headers - n, "%.*s|", CFB_STR_ARG(line));
}

static bool on_body(void *ctx, const char *data, size_t n) {
    struct got *g = ctx;
    if (g->n_body + n > (g->limit ? g->limit : sizeof g->body)) return false;
    memcpy(g->body + g->n_body, data, n);
    g->n_body += n;
    return true;
}

static const cfb_http1_sink sink = {on_header, on_body};

/* Feeds the text in pieces. Returns the state at its end; *used: how much of it belongs to the response. */
static cfb_http1_state feed(cfb_http1 *h, struct got *g, cfb_str text, size_t piece, size_t *used) {
    size_t at = 0;
    *used = 0;
    while (at < text.len && h->state < CFB_HTTP1_DONE) {
        size_t n = text.len - at < piece ? text.len - at : piece, taken;
        char copy[4096]; /* so that a reader beyond the piece is found */
        assert_true(n <= sizeof copy);
        memcpy(copy, text.ptr + at, n);
        cfb_http1_feed(h, (cfb_str){copy, n}, &sink, g, &taken);
        *used = at + taken;
        at += n;
    }
    return h->state;
}

/* Whole and in pieces of every size: the same. ends: the connection is closed behind it. */
static void expect(cfb_str text, bool ends, cfb_http1_state state, int status, const char *body, bool keep, size_t used_want) {
    for (size_t piece = 1; piece <= text.len && piece < 4096; piece++) {
        cfb_http1 h;
        struct got g = {.n_body = 0};
        size_t used;
        cfb_http1_init(&h);
        feed(&h, &g, text, piece, &used);
        if (ends) cfb_http1_end(&h);
        assert_int_equal(h.state, state);
        if (state == CFB_HTTP1_BAD) assert_non_null(h.why);
        if (status) assert_int_equal(h.status, status);
        if (state == CFB_HTTP1_DONE) assert_int_equal(h.keep, keep);
        if (state == CFB_HTTP1_DONE) assert_int_equal(used, used_want);
        if (body) {
            assert_int_equal(g.n_body, strlen(body));
            assert_memory_equal(g.body, body, g.n_body);
        }
        cfb_http1_free(&h);
    }
}

static void expect_done(const char *text, int status, const char *body, bool keep) {
    expect(cfb_str_from(text), false, CFB_HTTP1_DONE, status, body, keep, strlen(text));
}

static void expect_bad(const char *text) { expect(cfb_str_from(text), false, CFB_HTTP1_BAD, 0, NULL, false, 0); }

/* A long stream has more bytes between its chunks than a head may have. */
static void chunks_are_as_many_as_they_are(void **state) {
    (void)state;
    static struct got g;
    cfb_http1 h;
    size_t used;
    cfb_http1_init(&h);
    feed(&h, &g, CFB_STR_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 4096, &used);
    for (size_t i = 0; i < sizeof g.body; i++) feed(&h, &g, CFB_STR_LIT("1\r\nx\r\n"), 4096, &used);
    assert_int_equal(feed(&h, &g, CFB_STR_LIT("0\r\n\r\n"), 4096, &used), CFB_HTTP1_DONE);
    assert_int_equal(g.n_body, sizeof g.body);
    assert_true(h.keep);
    cfb_http1_free(&h);
}

static void bodies_end_where_they_should(void **state) {
    (void)state;
    expect_done("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true);
    expect_done("HTTP/1.1 200\r\ncontent-LENGTH:5  \r\n\r\nhello", 200, "hello", true);
    expect_done("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello", true);
    expect_done("HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", 429, "", true);
    expect_done("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true);
    expect_done("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", 200,
                "hello world", true);
    expect_done("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0A \r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n", 200,
                "0123456789", true);
    expect_done("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\nLink: x\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200, "ok", true);
    expect(CFB_STR_LIT("HTTP/1.1 200 OK\r\n\r\nto the end"), true, CFB_HTTP1_DONE, 200, "to the end", false, 29);
    expect(CFB_STR_LIT("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nnot all"), true, CFB_HTTP1_BAD, 200, "not all", false, 0);
    expect(CFB_STR_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), true, CFB_HTTP1_BAD, 200, "hello",
           false, 0);
    expect(CFB_STR_LIT("HTTP/1.1 200 OK\r\nContent-Le"), true, CFB_HTTP1_BAD, 200, "", false, 0);
}

static void connections_are_kept_only_when_allowed(void **state) {
    (void)state;
    expect_done("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false);
    expect_done("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false);
    expect_done("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false);
    expect_done("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true);
    /* a length beside chunks: RFC 9112, 6.3 */
    expect_done("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok",
                false);
}

static void what_follows_is_left_alone(void **state) {
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n";
    cfb_http1 h;
    struct got g = {.n_body = 0};
    size_t used;
    cfb_http1_init(&h);
    assert_int_equal(cfb_http1_feed(&h, CFB_STR_LIT(text), &sink, &g, &used), CFB_HTTP1_DONE);
    assert_int_equal(used, sizeof text - 1 - 17);
    assert_string_equal(g.headers, "Content-Length: 2|");
    cfb_http1_free(&h);
}

static void broken_ones_are_refused(void **state) {
    (void)state;
    expect_bad("<html>no HTTP</html>\n");
    expect_bad("HTTP/2 200 OK\r\n");
    expect_bad("HTTP/1.1 20 OK\r\n");
    expect_bad("HTTP/1.1 2000 OK\r\n");
    expect_bad("HTTP/1.1 101 Switching Protocols\r\n");
    expect_bad("ICY 200 OK\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000001\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokmore\r\n");
}

static void endless_heads_end(void **state) {
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\n", line[] = "X-Filler: 0123456789012345678901234567890123456789\r\n";
    cfb_http1 h;
    struct got g = {.n_body = 0};
    size_t used, n = 0;
    cfb_http1_sink quiet = {NULL, on_body};
    for (int kind = 0; kind < 2; kind++) { /* many lines; a line without an end */
        cfb_http1_init(&h);
        cfb_http1_feed(&h, CFB_STR_LIT(head), &quiet, &g, &used);
        for (n = 0; n < 10000 && h.state < CFB_HTTP1_DONE; n++)
            cfb_http1_feed(&h, (cfb_str){line, sizeof line - 1 - (kind ? 2 : 0)}, &quiet, &g, &used);
        assert_int_equal(h.state, CFB_HTTP1_BAD);
        cfb_http1_free(&h);
    }
}

static size_t pack(char *to, size_t size, const char *text, size_t n, int bits) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)size;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = size - z.avail_out;
    deflateEnd(&z);
    return n;
}

static void packed_bodies_are_unpacked(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int bits;
    } kinds[] = {{"gzip", MAX_WBITS + 16}, {"x-gzip", MAX_WBITS + 16}, {"deflate", MAX_WBITS}, {"deflate", -MAX_WBITS}};
    char text[40001], packed[8192], whole[9000];
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = (char)('a' + i * i % 23);
    text[sizeof text - 1] = '\0';
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t n = pack(packed, sizeof packed, text, sizeof text - 1, kinds[k].bits), used;
        int head = snprintf(whole, sizeof whole, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                            kinds[k].name, n);
        memcpy(whole + head, packed, n);
        size_t all = (size_t)head + n;
        for (size_t piece = 1; piece < 4096; piece = piece * 3 + 1) {
            cfb_http1 h;
            struct got g = {.n_body = 0};
            cfb_http1_init(&h);
            assert_int_equal(feed(&h, &g, (cfb_str){whole, all}, piece, &used), CFB_HTTP1_DONE);
            assert_int_equal(g.n_body, sizeof text - 1);
            assert_memory_equal(g.body, text, g.n_body);
            /* a bomb ends at the sink's limit */
            g = (struct got){.limit = 20000};
            cfb_http1_reset(&h);
            assert_int_equal(feed(&h, &g, (cfb_str){whole, all}, piece, &used), CFB_HTTP1_REFUSED);
            /* broken */
            cfb_http1_reset(&h);
            g = (struct got){.n_body = 0};
            memset(whole + head, 0xFF, 4);
            feed(&h, &g, (cfb_str){whole, all}, piece, &used);
            assert_int_equal(h.state, CFB_HTTP1_BAD);
            memcpy(whole + head, packed, 4);
            cfb_http1_free(&h);
        }
        /* fewer bytes than the packed body has */
        head = snprintf(whole, sizeof whole, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                        kinds[k].name, n / 2);
        memcpy(whole + head, packed, n / 2);
        cfb_http1 h;
        struct got g = {.n_body = 0};
        cfb_http1_init(&h);
        assert_int_equal(feed(&h, &g, (cfb_str){whole, (size_t)head + n / 2}, 4096, &used), CFB_HTTP1_BAD);
        cfb_http1_free(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_end_where_they_should),
        cmocka_unit_test(chunks_are_as_many_as_they_are),
        cmocka_unit_test(connections_are_kept_only_when_allowed),
        cmocka_unit_test(what_follows_is_left_alone),
        cmocka_unit_test(broken_ones_are_refused),
        cmocka_unit_test(endless_heads_end),
        cmocka_unit_test(packed_bodies_are_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
