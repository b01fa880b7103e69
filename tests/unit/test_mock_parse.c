/* The mock's reading of requests: heads, chunks, and the quick scan against the full parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mock/http.h"
#include "mock/request.h"
#include "mock/scan.h"

#include <stdio.h>
#include <stdlib.h>

static void test_heads(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"", 0},
        {"GET / HTTP/1.1\r\n", 0},
        {"GET / HTTP/1.1\r\n\r\n", 200},
        {"\r\n\r\nGET / HTTP/1.0\r\n\r\n", 200},
        {"GET / HTTP/1.1\n\n", 400},
        {"GET  HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\n\r\n", 400},
        {"GET ?a HTTP/1.1\r\n\r\n", 400},
        {"GET http://h:1/a HTTP/1.1\r\n\r\n", 200},
        {"GET http://h:1 HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"GET / FTP!/1.1\r\n\r\n", 400},
        {"G T / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nName : v\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cfb_mock__head head;
        int status = cfb_mock__head_parse(cfb_str_from(cases[i].text), &head);
        if (status != cases[i].status) fail_msg("%s: %d", cases[i].text, status);
    }
    char *big = malloc(CFB_MOCK__MAX_HEAD + 1);
    assert_non_null(big);
    memset(big, 'a', CFB_MOCK__MAX_HEAD + 1);
    memcpy(big, "GET /", 5);
    cfb_mock__head head;
    assert_int_equal(cfb_mock__head_parse((cfb_str){big, CFB_MOCK__MAX_HEAD - 1}, &head), 0);
    assert_int_equal(cfb_mock__head_parse((cfb_str){big, CFB_MOCK__MAX_HEAD + 1}, &head), 431);
    free(big);
}

static void test_head_fields(void **state) {
    (void)state;
    cfb_mock__head h;
    static const char text[] =
        "POST /a/b?c=d&e HTTP/1.1\r\nhost: x\r\nCONTENT-LENGTH:  17 \r\nAuthorization: Bearer k\r\nApi-Key: z\r\n"
        "Expect: 100-Continue\r\nConnection: foo, Close\r\nAccept-Encoding: deflate, gzip\r\n\r\nrest";
    assert_int_equal(cfb_mock__head_parse(cfb_str_from(text), &h), 200);
    assert_int_equal(h.len, sizeof text - 1 - 4);
    assert_true(cfb_str_eqz(h.method, "POST") && cfb_str_eqz(h.path, "/a/b") && cfb_str_eqz(h.query, "c=d&e"));
    assert_true(cfb_str_eqz(h.authorization, "Bearer k") && cfb_str_eqz(h.api_key, "z"));
    assert_true(cfb_str_eqz(h.accept_encoding, "deflate, gzip"));
    assert_int_equal(h.content_length, 17);
    assert_true(h.expect_continue && !h.keep_alive && !h.chunked);
    assert_int_equal(cfb_mock__head_parse(CFB_STR_LIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), &h), 200);
    assert_true(h.keep_alive && h.query.ptr == NULL && h.authorization.ptr == NULL);
}

static void test_chunks(void **state) {
    (void)state;
    static const char text[] = "5\r\nhello\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
    size_t total = 0, content = 0, whole = sizeof text - 1 - 4;
    for (size_t n = 0; n < whole; n++) assert_int_equal(cfb_mock__chunks_scan((cfb_str){text, n}, &total, &content), 0);
    assert_int_equal(cfb_mock__chunks_scan(cfb_str_from(text), &total, &content), 200);
    assert_int_equal(total, whole);
    assert_int_equal(content, 15);
    char copy[sizeof text];
    memcpy(copy, text, sizeof text);
    cfb_mock__chunks_join((cfb_str){copy, total}, copy); /* in place */
    assert_memory_equal(copy, "hello0123456789", 15);
    static const char *const bad[] = {"x\r\n", "\r\n", "5\nhello", "2\r\nabc\r\n", "123456789\r\n", "0\r\n\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cfb_mock__chunks_scan(cfb_str_from(bad[i]), &total, &content), 400);
}

/* The quick scan takes these itself, and says the same as the full parser. */
static void test_quick(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        " { \"model\" : \"m\" , \"messages\" : [ { \"content\" : \"\" , \"role\" : \"user\" } ] , \"temperature\" : 0.25 } \n",
        ("{\"messages\":[{\"role\":\"system\",\"content\":\"s\\n\"},{\"role\":\"user\",\"content\":"
         "\"\\u4e2d\\uD83D\\uDE00\\\"\\\\\\/\"},"
         "{\"role\":\"assistant\",\"content\":\"x\\t\"}],\"model\":\"m\",\"max_tokens\":12,\"top_p\":1,\"n\":1,\"seed\":7,"
         "\"stream\":true}"),
        "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"only\"}],\"max_completion_tokens\":3}",
        ("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"ab中文字é\xf0\x9f\x98\x80 and a longer piece of "
         "ASCII\"}]}"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        cfb_mock__chat quick = {.text = CFB_BUF_INIT(1 << 20)}, full;
        const char *param = NULL;
        cfb_err err = CFB_ERR_INIT;
        if (!cfb_mock__scan_chat(cfb_str_from(bodies[i]), &quick)) fail_msg("not quick: %s", bodies[i]);
        if (cfb_mock__chat_parse_full(cfb_str_from(bodies[i]), &full, &param, &err) != CFB_OK) fail_msg("%s", err.msg);
        assert_true(cfb_str_eq(quick.model, full.model) && cfb_str_eq(quick.prompt, full.prompt));
        assert_int_equal(quick.n_prompt_tokens, full.n_prompt_tokens);
        assert_int_equal(quick.max_tokens, full.max_tokens);
        assert_ptr_equal(quick.max_tokens_key != NULL, full.max_tokens_key != NULL);
        assert_int_equal(quick.stream, full.stream);
        assert_int_equal(quick.has_temperature, full.has_temperature);
        assert_memory_equal(&quick.temperature, &full.temperature, sizeof quick.temperature);
        cfb_mock__chat_free(&quick);
        cfb_mock__chat_free(&full);
    }
}

/* And these it leaves to the full parser. */
static void test_not_quick(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "",
        "[]",
        "{\"model\":\"m\"}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]} x",
        "{\"model\":\"m\",\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"n\":1,\"n\":1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"role\":\"user\",\"content\":\"q\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\",\"name\":\"x\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u0000\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\x\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\nb\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xe0\x80\x80\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"aaaa\xed\xa0\x80\xe4\xb8\xad\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"temperature\":01}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"temperature\":1e0}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"temperature\":0.1234567890123456789}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"max_tokens\":0}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"stop\":[\"a\"]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        cfb_mock__chat quick = {.text = CFB_BUF_INIT(1 << 20)};
        if (cfb_mock__scan_chat(cfb_str_from(bodies[i]), &quick)) fail_msg("quick: %s", bodies[i]);
        cfb_mock__chat_free(&quick);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads), cmocka_unit_test(test_head_fields), cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_quick), cmocka_unit_test(test_not_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
