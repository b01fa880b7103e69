/* Compressed and other byte sources: gzip and zstd, several members, cuts, damage, and bounded windows. */
#include "test_dataset.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define CSV "id,q\n1,x\n2,\"y\nz\"\n"
#define CSV_ROWS "2:1|x;3:2|y\nz;"

static void put_gzip(cfb_buf *out, const char *data, size_t len) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, (uLong)len) + 64;
    assert_int_equal(cfb_buf_reserve(out, bound, NULL), CFB_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)out->ptr + out->len;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += z.total_out;
    deflateEnd(&z);
}

static void put_zstd(cfb_buf *out, const char *data, size_t len) {
    size_t bound = ZSTD_compressBound(len);
    assert_int_equal(cfb_buf_reserve(out, bound, NULL), CFB_OK);
    size_t n = ZSTD_compress(out->ptr + out->len, bound, data, len, 5);
    assert_false(ZSTD_isError(n));
    out->len += n;
}

typedef void (*pack_fn)(cfb_buf *, const char *, size_t);

static void packed_text(void **state) {
    (void)state;
    static const pack_fn packs[] = {put_gzip, put_zstd};
    static const char *const names[] = {"d.csv.gz", "d.csv.zst", "d.csv", "D.CSV.GZ", "d.csv.zstd"};
    for (size_t p = 0; p < 2; p++) {
        cfb_buf one = CFB_BUF_INIT(0), many = CFB_BUF_INIT(0);
        packs[p](&one, CSV, strlen(CSV));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            td_expect_bytes(names[i], one.ptr, one.len, "id,q", CSV_ROWS); /* content decides, not the suffix */
        packs[p](&many, "", 0);
        packs[p](&many, CSV, 7);
        packs[p](&many, "", 0);
        packs[p](&many, &CSV[7], strlen(CSV) - 7);
        td_expect_bytes("d.csv", many.ptr, many.len, "id,q", CSV_ROWS);
        cfb_buf_free(&one);
        cfb_buf_free(&many);
    }
}

static void packed_formats(void **state) {
    (void)state;
    cfb_buf lines = CFB_BUF_INIT(0), list = CFB_BUF_INIT(0), arrow = CFB_BUF_INIT(0);
    put_gzip(&lines, "{\"id\":1}\n{\"id\":2}\n", 18);
    td_expect_bytes("d.jsonl.gz", lines.ptr, lines.len, "id", "1:1;2:2;");
    td_expect_bytes("d", lines.ptr, lines.len, "id", "1:1;2:2;");
    put_zstd(&list, "[{\"id\":1}]", 10);
    td_expect_bytes("d.json.zst", list.ptr, list.len, "id", "1:1;");
    cfb_buf plain = td_load("tests/data/arrow/utf8.arrow");
    put_gzip(&arrow, plain.ptr, plain.len);
    td_expect_bytes("d.arrow.gz", arrow.ptr, arrow.len, "id", "1:a-1;2:a-2;3:a-3;4:a-4;5:a-5;");
    cfb_buf twice = CFB_BUF_INIT(0);
    put_zstd(&twice, lines.ptr, lines.len);
    td_expect_bytes("d.jsonl", twice.ptr, twice.len, "id", "!EUNSUPPORTED: d.jsonl: it is compressed twice; unpack it once");
    cfb_buf_free(&lines);
    cfb_buf_free(&list);
    cfb_buf_free(&arrow);
    cfb_buf_free(&plain);
    cfb_buf_free(&twice);
}

static void cut_packed(void **state) {
    (void)state;
    static const pack_fn packs[] = {put_gzip, put_zstd};
    static const char *const message[] = {"the gzip data ends in the middle of a member",
                                          "the zstd data ends in the middle of a frame"};
    for (size_t p = 0; p < 2; p++) {
        cfb_buf b = CFB_BUF_INIT(0);
        packs[p](&b, CSV, strlen(CSV));
        for (size_t n = 4; n < b.len; n++) {
            cfb_buf got = td_memory_opts("d.csv", b.ptr, n, "id,q", NULL);
            if (strncmp(got.ptr, "!ETRUNCATED: d.csv: byte ", 25) != 0 || !strstr(got.ptr, message[p]))
                fail_msg("cut at %zu of %zu: %s", n, b.len, got.ptr);
            cfb_buf_free(&got);
        }
        cfb_buf_free(&b);
    }
}

static void damaged_packed(void **state) {
    (void)state;
    static const pack_fn packs[] = {put_gzip, put_zstd};
    for (size_t p = 0; p < 2; p++) {
        cfb_buf b = CFB_BUF_INIT(0);
        packs[p](&b, CSV, strlen(CSV));
        for (size_t i = 0; i < b.len * 8; i++) {
            b.ptr[i / 8] = (char)(b.ptr[i / 8] ^ 1 << i % 8);
            cfb_buf got = td_memory_opts("d.csv", b.ptr, b.len, "?id,?q", NULL);
            /* gzip has a checksum over its data: an error, or a bit that means nothing. The header has none. */
            if (p == 0 && i / 8 >= 10 && got.ptr[0] != '!') assert_string_equal(got.ptr, CSV_ROWS);
            cfb_buf_free(&got);
            b.ptr[i / 8] = (char)(b.ptr[i / 8] ^ 1 << i % 8);
        }
        td_put(&b, "\0\0\0", 3);
        cfb_buf got = td_memory_opts("d.csv", b.ptr, b.len, "id,q", NULL);
        if (p == 0) assert_string_equal(got.ptr, CSV_ROWS); /* padding, as gzip takes it */
        cfb_buf_free(&got);
        td_put(&b, "junk", 4);
        got = td_memory_opts("d.csv", b.ptr, b.len, "id,q", NULL);
        assert_non_null(strstr(got.ptr, p ? "not zstd data behind a zstd frame" : "not gzip data behind a gzip member"));
        cfb_buf_free(&got);
        cfb_buf_free(&b);
    }
}

/* 64 MB of zeros in 64 KB: given up at the limit of a field, long before it is all in memory. */
static void bomb(void **state) {
    (void)state;
    size_t len = (size_t)64 << 20;
    char *zeros = calloc(1, len);
    assert_non_null(zeros);
    cfb_buf b = CFB_BUF_INIT(0);
    put_gzip(&b, "id\n", 3);
    put_gzip(&b, zeros, len);
    free(zeros);
    cfb_reader_opts o = CFB_READER_OPTS_INIT;
    o.max_field_bytes = 1 << 20;
    o.batch_bytes = 1 << 20;
    cfb_buf got = td_memory_opts("d.csv", b.ptr, b.len, "id", &o);
    assert_string_equal(got.ptr, "!ELIMIT: d.csv:2: field 1 is larger than the limit of 1048576 bytes");
    cfb_buf_free(&got);
    cfb_buf_free(&b);
}

/* Over many buffers and members, with the text found again byte by byte. */
static void large(void **state) {
    (void)state;
    cfb_buf text = CFB_BUF_INIT(0), expected = CFB_BUF_INIT(0), packed[2] = {CFB_BUF_INIT(0), CFB_BUF_INIT(0)};
    td_put(&text, "id,q\n", 5);
    for (unsigned i = 0; i < 40000; i++) {
        unsigned long long x = cfb_rand_u64(1, 2, i);
        assert_int_equal(cfb_buf_printf(&text, NULL, "%u,%llx\n", i, x), CFB_OK);
        assert_int_equal(cfb_buf_printf(&expected, NULL, "%u:%u|%llx;", i + 2, i, x), CFB_OK);
    }
    for (size_t at = 0; at < text.len; at += 300000) {
        size_t n = text.len - at < 300000 ? text.len - at : 300000;
        put_gzip(&packed[0], text.ptr + at, n);
        put_zstd(&packed[1], text.ptr + at, n);
    }
    char path[] = "/tmp/cfb-dataset-XXXXXX.csv";
    int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    close(fd);
    for (size_t p = 0; p < 3; p++) {
        assert_int_equal(cfb_file_write(path, cfb_buf_str(p < 2 ? &packed[p] : &text), NULL), CFB_OK);
        cfb_buf got = td_path(path, "id,q");
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.ptr, expected.ptr, got.len);
        cfb_buf_free(&got);
    }
    unlink(path);
    for (size_t p = 0; p < 2; p++) cfb_buf_free(&packed[p]);
    cfb_buf_free(&text);
    cfb_buf_free(&expected);
}

/* A batch with a large gap at the end of its body, which is passed over by seeking: a cut in it must not go unseen. */
static void seek(void **state) {
    (void)state;
    const size_t gap = 1000000;
    cfb_buf file = td_load("tests/data/arrow/utf8.arrow"), wide = CFB_BUF_INIT(0);
    const unsigned char *p = (const unsigned char *)file.ptr;
    size_t batch = 8 + (size_t)(p[4] | p[5] << 8);            /* behind the schema message */
    size_t meta = (size_t)(p[batch + 4] | p[batch + 5] << 8); /* of the first batch */
    size_t body = batch + 8 + meta;
    size_t next = cfb_str_find(cfb_buf_str(&file), CFB_STR_LIT("\xFF\xFF\xFF\xFF"), body);
    uint64_t old_length = next - body, new_length = old_length + gap;
    char old_bytes[8], new_bytes[8];
    for (int i = 0; i < 8; i++) {
        old_bytes[i] = (char)(old_length >> (8 * i));
        new_bytes[i] = (char)(new_length >> (8 * i));
    }
    size_t at = cfb_str_find(cfb_buf_str(&file), (cfb_str){old_bytes, 8}, batch);
    assert_true(at < body);
    memcpy(file.ptr + at, new_bytes, 8);
    td_put(&wide, file.ptr, next);
    for (size_t i = 0; i < gap / 10; i++) td_put(&wide, "\0\0\0\0\0\0\0\0\0\0", 10);
    td_put(&wide, file.ptr + next, file.len - next);

    char path[] = "/tmp/cfb-dataset-XXXXXX.arrow";
    int fd = mkstemps(path, 6);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(cfb_file_write(path, cfb_buf_str(&wide), NULL), CFB_OK);
    td_expect_path(path, "id", "1:a-1;2:a-2;3:a-3;4:a-4;5:a-5;");
    td_expect_path(path, "answer", "1:2;2:新产品;3:~;4:red, blue;5:;");
    const size_t cuts[] = {next + 1, next + gap / 2, next + gap - 1};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cfb_file_write(path, (cfb_str){wide.ptr, cuts[i]}, NULL), CFB_OK);
        cfb_buf got = td_path(path, "id");
        char expected[128];
        snprintf(expected, sizeof expected, "!ETRUNCATED: %s: ends at byte %zu in a batch: ", path, cuts[i]);
        assert_int_equal(strncmp(got.ptr, expected, strlen(expected)), 0);
        cfb_buf_free(&got);
    }
    assert_int_equal(cfb_file_write(path, (cfb_str){wide.ptr, next + gap}, NULL), CFB_OK);
    td_expect_path(path, "id", "1:a-1;2:a-2;"); /* cut between messages: nothing tells */
    unlink(path);
    cfb_buf_free(&file);
    cfb_buf_free(&wide);
}

static void no_file(void **state) {
    (void)state;
    td_expect_path("tests/data/arrow/nothing.csv", "id",
                   "!ENOTFOUND: cannot open tests/data/arrow/nothing.csv: No such file or directory");
    char name[600] = "";
    while (strlen(name) < 500) strcat(name, "folder/");
    cfb_buf got = td_path(name, "id"); /* a long path leaves room for the message */
    assert_non_null(strstr(got.ptr, "No such file or directory"));
    assert_non_null(strstr(got.ptr, "cannot open ..."));
    cfb_buf_free(&got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_text),    cmocka_unit_test(packed_formats), cmocka_unit_test(cut_packed),
        cmocka_unit_test(damaged_packed), cmocka_unit_test(bomb),           cmocka_unit_test(large),
        cmocka_unit_test(seek),           cmocka_unit_test(no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
