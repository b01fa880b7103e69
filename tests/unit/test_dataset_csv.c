/* CSV: RFC 4180, and what pandas writes and reads beyond it. */
#include "test_dataset.h"

static void plain_records(void **state) {
    (void)state;
    td_expect("d.csv", "id,question\n1,a\n2,b\n", "id,question", "2:1|a;3:2|b;");
    td_expect("d.csv", "id,question\n1,a\n2,b", "question,id", "2:a|1;3:b|2;");
    td_expect("d.csv", "id,question\r\n1,a\r\n2,b\r\n", "question", "2:a;3:b;");
    td_expect("d.csv", "\xEF\xBB\xBFid,q\n1,x\n", "id", "2:1;");
    td_expect("d.csv", "id,q\n", "id", "");
    td_expect("d.csv", "id,q", "id", "");
    td_expect("d.csv", "id,q\n1,x\r", "q", "2:x;"); /* cut between CR and LF */
    td_expect("d.csv", "id,q\n1,", "q", "2:;");
    td_expect("d.csv", ",id\n0,a\n", "id", "2:a;"); /* pandas' index column */
    td_expect("d.csv", "id,q\n1,x\n", "", "2:;");
    td_expect("d.csv", "id,q\n1,x\n", "q,q", "2:x|x;");
    td_expect("d.csv", "id,q\n1,x\n", "q,?nope", "2:x|~;");
}

static void quoted_fields(void **state) {
    (void)state;
    td_expect("d.csv", "q,a\n\"x, y\",\"say \"\"hi\"\"\"\n", "q,a", "2:x, y|say \"hi\";");
    td_expect("d.csv", "q,a\n\"one\ntwo\r\nthree\",z\n\"\",w\n", "q,a", "2:one\ntwo\r\nthree|z;5:|w;");
    td_expect("d.csv", "q\n\"\"\"\"\n", "q", "2:\";");
    td_expect("d.csv", "q\n\"\"\n\"x\"", "q", "2:;3:x;");
    td_expect("d.csv", "\"q\",\"a \"\"b\"\"\"\r\n\"1\",\"2\"\r\n", "q,a \"b\"", "2:1|2;");
    td_expect("d.csv", "q,a\nab\"c\"d,5\"\n", "q,a", "2:ab\"c\"d|5\";"); /* a quote inside is literal */
    td_expect("d.csv", "q,a\n\"x\"\r", "q,?b", "!EDATA: d.csv:2: expected 2 fields, found 1");
}

/* Python's csv module, before 3.13, does not quote a lone CR when lines end in LF: it is part of the value. */
static void lone_cr(void **state) {
    (void)state;
    td_expect("d.csv", "q,a\nx\ry,z\n", "q,a", "2:x\ry|z;");
    td_expect("d.csv", "q,a\n\rx,z\r\n", "q,a", "2:\rx|z;");
    td_expect("d.csv", "q,a\n\"x\"\ry,z\n", "q", "!EDATA: d.csv:2: text behind the closing quote of field 1");
}

static void empty_lines(void **state) {
    (void)state;
    td_expect("d.csv", "\n\r\nq,a\n\n1,2\n\r\n\n3,4\n\n", "q,a", "5:1|2;8:3|4;");
    td_expect("d.csv", "q\n \n", "q", "2: ;");
    td_expect("d.csv", "q,a\n1,2\n\r", "q", "2:1;");
}

static void wrong_input(void **state) {
    (void)state;
    td_expect("data.csv", "id,question\n1,x\n", "answer", "!EDATA: data.csv: column 'answer' missing (have: id, question)");
    td_expect("d.csv", ",x\n1,x\n", "q", "!EDATA: d.csv: column 'q' missing (have: (unnamed), x)");
    td_expect("d.csv", "q,a\n1,2\n1,2,3\n", "q", "!EDATA: d.csv:3: expected 2 fields, found 3");
    td_expect("d.csv", "q,a\n\n\"x\ny\",1\nz\n", "q", "!EDATA: d.csv:5: expected 2 fields, found 1");
    td_expect("d.csv", "q\n\"a\"b\n", "q", "!EDATA: d.csv:2: text behind the closing quote of field 1");
    td_expect("d.csv", "q,a\n1,\"x\n\ny", "q", "!ETRUNCATED: d.csv:2: the quoted field that begins here never ends");
    td_expect("d.csv", "q,a\n\"x\n\",\"y", "q", "!ETRUNCATED: d.csv:3: the quoted field that begins here never ends");
    td_expect("d.csv", "", "q", "!ETRUNCATED: d.csv: empty, expected a header line");
    td_expect("d.csv", "\n\n", "q", "!ETRUNCATED: d.csv: empty, expected a header line");
    td_expect("d.csv", "q,a,q\n1,2,3\n", "q", "!EDATA: d.csv:1: column 'q' is there twice (fields 1 and 3)");
    td_expect("d.csv", "q,a,q\n1,2,3\n", "a", "2:2;");
    td_expect("d.csv", "q,a\n\"x\ny\xFF\",\xFE\n", "q", "!EENCODING: d.csv:3: byte 8, column 'q': not valid UTF-8");
    td_expect("d.csv", "q,a\nx,\xFE\n", "q", "2:x;"); /* a column that nobody asked for */
    td_expect("d.csv", "q,\xC3\nx,y\n", "q", "!EENCODING: d.csv:1: byte 2, header: not valid UTF-8");
    td_expect_bytes("d.csv", "\xFF\xFEq\0", 4, "q", "!EENCODING: d.csv: byte 0: this is UTF-16; convert it to UTF-8");
    td_expect("d.txt", "q\nx\n", "q",
              "!EUNSUPPORTED: d.txt: unknown format; expected .arrow, .csv, .json or .jsonl, plain, .gz or .zst");
    td_expect("d.csv", "PAR1....", "q",
              "!EUNSUPPORTED: d.csv: Parquet is not supported; write it as CSV, JSON Lines or Arrow (save_to_disk)");
}

static void limits(void **state) {
    (void)state;
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.max_field_bytes = 4;
    td_expect_limits("d.csv", "q,a\nabcd,\"a\"\"bc\"\n", "q,a", &o, "2:abcd|a\"bc;");
    td_expect_limits("d.csv", "q,a\nabcde,x\n", "q", &o, "!ELIMIT: d.csv:2: field 1 is larger than the limit of 4 bytes");
    td_expect_limits("d.csv", "q,a\nx,\"\n\nabcde", "q", &o, "!ELIMIT: d.csv:2: field 2 is larger than the limit of 4 bytes");
    td_expect_limits("d.csv", "question\n", "q", &o, "!ELIMIT: d.csv:1: field 1 is larger than the limit of 4 bytes");
    o.batch_rows = 2;
    td_expect_limits("d.csv", "q\n1\n2\n3\n4\n5\n", "q", &o, "2:1;3:2;4:3;5:4;6:5;");
    o.batch_bytes = 1;
    td_expect_limits("d.csv", "q\n1\n2\n3\n", "q", &o, "2:1;3:2;4:3;");
}

/* Records far larger than the first window, and many of them; batch sizes must not matter. */
static void windows(void **state) {
    (void)state;
    cfb_buf text = CFB_BUF_INIT(0), expected = CFB_BUF_INIT(0);
    td_put(&text, "q,a\n", 4);
    size_t line = 2;
    for (size_t i = 0; i < 300; i++) {
        size_t n = i % 50 == 0 ? 200000 : i * 37 % 3000;
        assert_int_equal(cfb_buf_printf(&expected, NULL, "%zu:%zu|", line, i), CFB_OK);
        assert_int_equal(cfb_buf_printf(&text, NULL, "%zu,\"", i), CFB_OK);
        for (size_t k = 0; k < n; k++) {
            char c = "abc\n,\"\xC3"[(i + k) % 7];
            line += c == '\n';
            td_put(&expected, c == '\xC3' ? "\xC3\xA9" : &c, c == '\xC3' ? 2 : 1);
            td_put(&text, c == '\xC3' ? "\xC3\xA9" : c == '"' ? "\"\"" : &c, c == '\xC3' || c == '"' ? 2 : 1);
        }
        td_put(&text, "\"\r\n", 3);
        td_put(&expected, ";", 1);
        line++;
    }
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    for (o.batch_bytes = 1; o.batch_bytes < (size_t)1 << 30; o.batch_bytes *= 1000) {
        cfb_buf got = td_memory_opts("d.csv", text.ptr, text.len, "q,a", &o);
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.ptr, expected.ptr, got.len);
        cfb_buf_free(&got);
    }
    cfb_buf_free(&text);
    cfb_buf_free(&expected);
}

static void cut(void **state) {
    (void)state;
    cfb_str text = CFB_STR_LIT("\xEF\xBB\xBFid,q\r\n1,\"a\"\"b\nc\"\r\n\r\n2,\xE5\x85\xAC\n\"3\",\"\"\n");
    cfb_buf whole = td_memory_opts("d.csv", text.ptr, text.len, "id,q", NULL);
    assert_string_equal(whole.ptr, "2:1|a\"b\nc;5:2|\xE5\x85\xAC;6:3|;");
    cfb_buf_free(&whole);
    for (size_t n = 0; n < text.len; n++) { /* a cut last value is not told from a whole one: only no crash is asked */
        cfb_buf part = td_memory_opts("d.csv", text.ptr, n, "?id,?q", NULL);
        cfb_buf_free(&part);
    }
}

static void expect_field(const char *field, bool alone, const char *expected) {
    cfb_buf b = CFB_BUF_INIT(64);
    assert_int_equal(cfb_csv_append_field(&b, cfb_str_from(field), alone, NULL), CFB_OK);
    assert_string_equal(b.ptr ? b.ptr : "", expected);
    cfb_buf_free(&b);
}

static void writing(void **state) {
    (void)state;
    expect_field("abc", false, "abc");
    expect_field("", false, "");
    expect_field("", true, "\"\"");
    expect_field(NULL, false, "");
    expect_field(NULL, true, "\"\"");
    expect_field("a,b", false, "\"a,b\"");
    expect_field("a\nb", true, "\"a\nb\"");
    expect_field("a\rb", false, "\"a\rb\"");
    expect_field("say \"hi\"", false, "\"say \"\"hi\"\"\"");
    expect_field(" a ", false, " a ");
    cfb_buf small = CFB_BUF_INIT(4);
    assert_int_equal(cfb_csv_append_field(&small, CFB_STR_LIT("a,b"), false, NULL), CFB_ELIMIT);
    assert_int_equal(small.len, 0);
    cfb_buf_free(&small);
}

/* What the writer writes, the reader reads. */
static void round_trip(void **state) {
    (void)state;
    static const char marks[] = "a\",\r\n;";
    for (uint64_t seed = 0; seed < 300; seed++) {
        cfb_buf text = CFB_BUF_INIT(0), expected = CFB_BUF_INIT(0);
        td_put(&text, "q,a\n", 4);
        char fields[2][8];
        size_t line = 2;
        for (uint64_t row = 0; row < 4; row++) {
            assert_int_equal(cfb_buf_printf(&expected, NULL, "%zu:", line), CFB_OK);
            for (uint64_t k = 0; k < 2; k++) {
                uint64_t bits = cfb_rand_u64(seed, row, k);
                size_t n = bits % 8;
                for (size_t i = 0; i < n; i++) {
                    fields[k][i] = marks[(bits >> (8 + 4 * i)) % (sizeof marks - 1)];
                    line += fields[k][i] == '\n';
                }
                assert_int_equal(cfb_csv_append_field(&text, (cfb_str){fields[k], n}, false, NULL), CFB_OK);
                td_put(&text, k ? "\n" : ",", 1);
                td_put(&expected, fields[k], n);
                td_put(&expected, k ? ";" : "|", 1);
            }
            line++;
        }
        td_expect_bytes("d.csv", text.ptr, text.len, "q,a", expected.ptr);
        cfb_buf_free(&text);
        cfb_buf_free(&expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_records), cmocka_unit_test(quoted_fields), cmocka_unit_test(lone_cr),
        cmocka_unit_test(empty_lines),   cmocka_unit_test(wrong_input),   cmocka_unit_test(limits),
        cmocka_unit_test(windows),       cmocka_unit_test(cut),           cmocka_unit_test(writing),
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
