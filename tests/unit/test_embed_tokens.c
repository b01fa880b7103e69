/* The BERT tokeniser: switches and cuts by hand, files that are wrong, and the ids of ../shared/bert. tests/oracle/wordpiece.sh
 * compares odd Unicode with an independent program. */
#include "test.h"

#include "cfbench/json.h"
#include "cfbench/wordpiece.h"

#define SHARED "../shared/bert/"

static const char small_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##b\nab\n##c\ncafe\nCafe\n,\n中\n文\nσ\n##σ\n##ς\n"
                                  "α\n!\ni\n##i\né\nKafé\n##\xcc\x81\ncafé\n";

static cfb_wordpiece_t *open_small(const cfb_wordpiece_opts *o) {
    cfb_wordpiece_t *w = NULL;
    assert_ok(cfb_wordpiece_from_vocab("small", cfb_str_from(small_vocab), o, &w, &test_err));
    return w;
}

/* The tokens of a text, with spaces between, against a string. */
static void assert_tokens(const cfb_wordpiece_t *w, cfb_wordpiece_cut cut, size_t max, cfb_str text, const char *want) {
    uint32_t ids[64];
    size_t n = 0;
    cfb_buf got = CFB_BUF_INIT(10000);
    assert_ok(cfb_wordpiece_encode(w, text, cut, max, ids, &n, &test_err));
    assert_true(n <= max);
    for (size_t i = 0; i < n; i++) {
        if (i) assert_ok(cfb_buf_append_char(&got, ' ', &test_err));
        assert_ok(cfb_buf_append_str(&got, cfb_wordpiece_token(w, ids[i]), &test_err));
    }
    assert_str(cfb_buf_str(&got), want);
    cfb_buf_free(&got);
}
#define TOKENS(w, text, want) assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 64, CFB_STR_LIT(text), want)

static void test_words(void **state) {
    (void)state;
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    cfb_wordpiece_t *w = open_small(&o);
    assert_int_equal(cfb_wordpiece_size(w), 26);
    TOKENS(w, "", "[CLS] [SEP]");
    TOKENS(w, " \t\xE3\x80\x80\n", "[CLS] [SEP]");
    TOKENS(w, "ab abb AB aBc", "[CLS] ab ab ##b ab ab ##c [SEP]");
    TOKENS(w, "abd", "[CLS] [UNK] [SEP]"); /* one part unknown: the whole word */
    TOKENS(w, "b,b!b", "[CLS] b , b ! b [SEP]");
    TOKENS(w, "a中文b", "[CLS] a 中 文 b [SEP]");
    TOKENS(w, "CAFÉ Cafe\xCC\x81", "[CLS] cafe cafe [SEP]");
    TOKENS(w, "a[MASK]b[UNK] [mask]", "[CLS] a [MASK] b [UNK] [UNK] [UNK] [UNK] [SEP]");
    TOKENS(w,
           "a\xE2\x80\x8B"
           "b\x01",
           "[CLS] ab [SEP]"); /* format and control characters vanish */
    TOKENS(w, "ΑΣΣ ΑΣ!", "[CLS] α ##σ ##ς α ##ς ! [SEP]");
    TOKENS(w, "\xC4\xB0İ", "[CLS] i ##i [SEP]");
    TOKENS(w, "##b", "[CLS] [UNK] [UNK] b [SEP]");
    assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 64, (cfb_str){"a\0b", 3}, "[CLS] ab [SEP]");
    assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 64, CFB_STR_NULL, "[CLS] [SEP]");
    cfb_wordpiece_free(w);
}

static void test_switches(void **state) {
    (void)state;
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    o.lower = o.strip_accents = false;
    cfb_wordpiece_t *w = open_small(&o);
    TOKENS(w, "Cafe cafe AB", "[CLS] Cafe cafe [UNK] [SEP]");
    TOKENS(w, "Kafé", "[CLS] Kafé [SEP]");
    cfb_wordpiece_free(w);
    o.lower = true;
    w = open_small(&o);
    TOKENS(w, "CAFÉ", "[CLS] café [SEP]");
    cfb_wordpiece_free(w);
    o = (cfb_wordpiece_opts)CFB_WORDPIECE_OPTS_INIT;
    o.split_cjk = CFB_WORDPIECE_CJK_NONE;
    o.max_word_chars = 3;
    w = open_small(&o);
    TOKENS(w, "中文", "[CLS] [UNK] [SEP]");
    TOKENS(w, "abb abbb", "[CLS] ab ##b [UNK] [SEP]");
    cfb_wordpiece_free(w);
    o.rules = CFB_WORDPIECE_RUST;
    w = open_small(&o);
    TOKENS(w, "ΑΣΣ", "[CLS] α ##σ ##σ [SEP]");
    cfb_wordpiece_free(w);
}

static void test_cut(void **state) {
    (void)state;
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    cfb_wordpiece_t *w = open_small(&o);
    uint32_t ids[4];
    size_t n;
    cfb_str five = CFB_STR_LIT("a b a b abb");
    assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 5, five, "[CLS] a b a [SEP]");
    assert_tokens(w, CFB_WORDPIECE_CUT, 5, five, "[CLS] a b a b");
    assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 7, five, "[CLS] a b a b ab [SEP]");
    assert_tokens(w, CFB_WORDPIECE_CUT, 7, five, "[CLS] a b a b ab ##b");
    assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 8, five, "[CLS] a b a b ab ##b [SEP]");
    assert_tokens(w, CFB_WORDPIECE_CUT, 8, five, "[CLS] a b a b ab ##b [SEP]");
    assert_tokens(w, CFB_WORDPIECE_CUT, 3, CFB_STR_LIT("a abbd"), "[CLS] a [UNK]"); /* known by its last part only */
    assert_tokens(w, CFB_WORDPIECE_KEEP_SEP, 2, five, "[CLS] [SEP]");
    assert_fails(cfb_wordpiece_encode(w, five, CFB_WORDPIECE_CUT, 1, ids, &n, &test_err), CFB_EDOMAIN, "two tokens");
    assert_fails(cfb_wordpiece_encode(w, CFB_STR_LIT("a b c \xFF"), CFB_WORDPIECE_KEEP_SEP, 3, ids, &n, &test_err), CFB_EENCODING,
                 "UTF-8");
    cfb_wordpiece_free(w);
}

static void test_wrong_vocab(void **state) {
    (void)state;
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    cfb_wordpiece_t *w = NULL;
    assert_fails(cfb_wordpiece_from_vocab("v.txt", CFB_STR_LIT(""), &o, &w, &test_err), CFB_EDATA,
                 "v.txt: the vocabulary has no token [UNK]");
    assert_fails(cfb_wordpiece_from_vocab("v.txt", CFB_STR_LIT("[UNK]\n[CLS]\n"), &o, &w, &test_err), CFB_EDATA, "[SEP]");
    assert_fails(cfb_wordpiece_from_vocab("v.txt", CFB_STR_LIT("[UNK]\n\xFF\n"), &o, &w, &test_err), CFB_EENCODING, "byte 6");
    char *long_token = calloc(1, 3000);
    memset(long_token, 'x', 2000);
    memcpy(long_token + 2000, "\n[UNK]\n", 8);
    assert_fails(cfb_wordpiece_from_vocab("v.txt", cfb_str_from(long_token), &o, &w, &test_err), CFB_ELIMIT,
                 "token 0 has 2000 bytes");
    free(long_token);
    assert_null(w);
    /* of two equal lines the later counts; \r\n ends a line too; the last line needs no end */
    assert_ok(cfb_wordpiece_from_vocab("v.txt", CFB_STR_LIT("[UNK]\r\n[CLS]\na\n[SEP]\na"), &o, &w, &test_err));
    uint32_t ids[8];
    size_t n;
    assert_ok(cfb_wordpiece_encode(w, CFB_STR_LIT("a"), CFB_WORDPIECE_KEEP_SEP, 8, ids, &n, &test_err));
    assert_int_equal(n, 3);
    assert_int_equal(ids[1], 4);
    cfb_wordpiece_free(w);
}

#define JSON_HEAD                                                                                                        \
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":%s,\"strip_accents\":null},\"pre_tokenizer\":{\"type\":" \
    "\"BertPreTokenizer\"},"
#define JSON_VOCAB "\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##b\":4,\"A\":5,\"@@b\":6}"

static cfb_code open_json(const char *lower, const char *rest, cfb_wordpiece_t **w) {
    char text[2000];
    snprintf(text, sizeof text, JSON_HEAD "%s}", lower, rest);
    *w = NULL;
    return cfb_wordpiece_from_json("t.json", cfb_str_from(text), w, &test_err);
}

static void test_json(void **state) {
    (void)state;
    cfb_wordpiece_t *w;
    assert_ok(open_json(
        "true", "\"model\":{\"type\":\"WordPiece\"," JSON_VOCAB "},\"added_tokens\":[{\"id\":9,\"content\":\"<x>\"}]", &w));
    assert_int_equal(cfb_wordpiece_size(w), 10);
    assert_null(cfb_wordpiece_token(w, 8).ptr);
    TOKENS(w, "A<x>ab", "[CLS] a <x> a ##b [SEP]");
    cfb_wordpiece_free(w);
    assert_ok(open_json(
        "false",
        "\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"@@\",\"max_input_chars_per_word\":2," JSON_VOCAB "}",
        &w));
    TOKENS(w, "Ab abb", "[CLS] A @@b [UNK] [SEP]");
    cfb_wordpiece_free(w);
    assert_fails(open_json("true", "\"model\":{\"type\":\"BPE\"," JSON_VOCAB "}", &w), CFB_EUNSUPPORTED,
                 "t.json: model is of type 'BPE'");
    assert_fails(open_json("true", "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":-1}}", &w), CFB_EDATA, "'a' has no id");
    assert_fails(open_json("true", "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1,\"b\":1}}", &w), CFB_EDATA,
                 "two tokens have the id 1");
    assert_fails(open_json("true", "\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}", &w), CFB_EDATA, "no token [UNK]");
    assert_fails(open_json("true",
                           "\"model\":{\"type\":\"WordPiece\"," JSON_VOCAB
                           "},\"added_tokens\":[{\"id\":9,\"content\":\"x\",\"lstrip\":true}]",
                           &w),
                 CFB_EUNSUPPORTED, "'lstrip'");
    assert_fails(cfb_wordpiece_from_json("t.json", CFB_STR_LIT("[1"), &w, &test_err), CFB_ETRUNCATED, "t.json");
}

/* Compares the ids of every line of expected.jsonl. */
static void compare_lines(const cfb_wordpiece_t *w, cfb_str file) {
    uint32_t ids[512];
    size_t n_lines = 0, n = 0;
    for (size_t at = 0; at < file.len; n_lines++) {
        const char *end = memchr(file.ptr + at, '\n', file.len - at);
        size_t len = end ? (size_t)(end - file.ptr) - at : file.len - at, i = 0;
        cfb_json *root = NULL;
        assert_ok(cfb_json_parse(file.ptr + at, len, CFB_JSON_REPAIR, &root, &test_err));
        const cfb_json *want = cfb_json_get(root, "ids"), *id = cfb_json_first(want);
        /* The reference data cut long texts without keeping [SEP], and take no ideograph beyond U+FFFF for a word of its own. */
        assert_ok(cfb_wordpiece_encode(w, cfb_json_str(cfb_json_get(root, "text")), CFB_WORDPIECE_CUT, 512, ids, &n, &test_err));
        if (n != cfb_json_count(want)) fail_msg("line %zu: %zu tokens, not %zu", n_lines + 1, n, cfb_json_count(want));
        for (int64_t v; id != NULL; id = cfb_json_next(id), i++)
            if (!cfb_json_int(id, &v) || v != ids[i]) fail_msg("line %zu, token %zu: %u", n_lines + 1, i, ids[i]);
        cfb_json_free(root);
        at += len + 1;
    }
    assert_int_equal(n_lines, 180);
}

static void test_shared(void **state) {
    (void)state;
    cfb_buf vocab = CFB_BUF_INIT(0), expected = CFB_BUF_INIT(0);
    cfb_wordpiece_opts o = CFB_WORDPIECE_OPTS_INIT;
    cfb_wordpiece_t *w = NULL;
    o.split_cjk = CFB_WORDPIECE_CJK_BMP;
    if (!cfb_path_exists(SHARED "tiny/expected.jsonl")) {
        print_message("skipped: no " SHARED "\n");
        skip();
    }
    assert_ok(cfb_file_read(SHARED "bert-base-chinese-vocab.txt", 1 << 20, &vocab, &test_err));
    assert_ok(cfb_file_read(SHARED "tiny/expected.jsonl", 1 << 24, &expected, &test_err));
    assert_ok(cfb_wordpiece_from_vocab("vocab.txt", cfb_buf_str(&vocab), &o, &w, &test_err));
    assert_int_equal(cfb_wordpiece_size(w), 21128);
    compare_lines(w, cfb_buf_str(&expected));
    cfb_wordpiece_free(w);
    cfb_buf_free(&vocab);
    cfb_buf_free(&expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),       cmocka_unit_test(test_switches), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_wrong_vocab), cmocka_unit_test(test_json),     cmocka_unit_test(test_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
