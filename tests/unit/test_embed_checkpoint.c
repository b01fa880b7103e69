/* Checkpoints of torch.save: archives and programs that are right, wrong, and hostile. tests/cli/embed.sh has whole models. */
#include "test.h"

#include "embed/checkpoint.h"

/* ---- archives ---- */

struct zip {
    cfb_buf file, directory;
    unsigned n;
};

static void put(cfb_buf *b, uint64_t v, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) assert_ok(cfb_buf_append_char(b, (char)(i < 8 ? v >> (8 * i) : 0), &test_err));
}

/* wide: sizes and place in the extra field of ZIP64. method: 0 is stored. */
static void add_entry(struct zip *z, const char *name, const void *data, size_t len, bool wide, unsigned method) {
    uint64_t at = z->file.len;
    put(&z->file, 0x04034b50, 4);
    put(&z->file, 0, 22);
    put(&z->file, strlen(name), 2);
    put(&z->file, 3, 2); /* extra bytes, as PyTorch's padding */
    assert_ok(cfb_buf_append(&z->file, name, strlen(name), &test_err));
    assert_ok(cfb_buf_append(&z->file, "ZZZ", 3, &test_err));
    assert_ok(cfb_buf_append(&z->file, data, len, &test_err));
    cfb_buf *d = &z->directory;
    put(d, 0x02014b50, 4);
    put(d, 0, 6);
    put(d, method, 2);
    put(d, 0, 8);
    put(d, wide ? 0xFFFFFFFF : len, 4);
    put(d, wide ? 0xFFFFFFFF : len, 4);
    put(d, strlen(name), 2);
    put(d, wide ? 28 : 0, 2);
    put(d, 0, 10);
    put(d, wide ? 0xFFFFFFFF : at, 4);
    assert_ok(cfb_buf_append(d, name, strlen(name), &test_err));
    if (wide) {
        put(d, 1, 2);
        put(d, 24, 2);
        put(d, len, 8);
        put(d, len, 8);
        put(d, at, 8);
    }
    z->n++;
}

static void end_archive(struct zip *z, bool wide, const char *comment) {
    uint64_t at = z->file.len, len = z->directory.len;
    assert_ok(cfb_buf_append_str(&z->file, cfb_buf_str(&z->directory), &test_err));
    if (wide) {
        uint64_t record = z->file.len;
        put(&z->file, 0x06064b50, 4);
        put(&z->file, 44, 8);
        put(&z->file, 0, 12);
        put(&z->file, z->n, 8);
        put(&z->file, z->n, 8);
        put(&z->file, len, 8);
        put(&z->file, at, 8);
        put(&z->file, 0x07064b50, 4);
        put(&z->file, 0, 4);
        put(&z->file, record, 8);
        put(&z->file, 1, 4);
    }
    put(&z->file, 0x06054b50, 4);
    put(&z->file, 0, 4);
    put(&z->file, wide ? 0xFFFF : z->n, 2);
    put(&z->file, wide ? 0xFFFF : z->n, 2);
    put(&z->file, wide ? 0xFFFFFFFF : len, 4);
    put(&z->file, wide ? 0xFFFFFFFF : at, 4);
    put(&z->file, strlen(comment), 2);
    assert_ok(cfb_buf_append(&z->file, comment, strlen(comment), &test_err));
}

static const float numbers[6] = {1, 2, 3, 4, 5, 6};

static struct zip archive_of(const char *program, size_t len, bool wide) {
    struct zip z = {CFB_BUF_INIT((size_t)1 << 20), CFB_BUF_INIT((size_t)1 << 20), 0};
    add_entry(&z, "m/data.pkl", program, len, wide, 0);
    add_entry(&z, "m/data/0", numbers, sizeof numbers, wide, 0);
    add_entry(&z, "m/byteorder", "little", 6, false, 0);
    end_archive(&z, wide, wide ? "" : "a comment");
    return z;
}

static void free_zip(struct zip *z) {
    cfb_buf_free(&z->file);
    cfb_buf_free(&z->directory);
}

/* The archive in an allocation of its own size: what is read beyond its end is seen. */
static cfb_code read_zip(const struct zip *z, size_t len, embed_tensors *t, float *sum) {
    unsigned char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, z->file.ptr, len);
    *t = (embed_tensors){0};
    cfb_code rc = embed_checkpoint_add(t, "w", copy, len, &test_err);
    float x[6];
    *sum = 0;
    for (size_t i = 0; rc == CFB_OK && i < t->n; i++)
        if (t->items[i].dtype != EMBED_OTHER && t->items[i].n_items <= 6) {
            embed_tensor_read(&t->items[i], 0, t->items[i].n_items, x);
            for (size_t k = 0; k < t->items[i].n_items; k++) *sum += x[k];
        }
    free(copy);
    return rc;
}

/* ---- programs ---- */

#define FLOATS "ctorch\nFloatStorage\n"
#define STORAGE(type, key) "(X\7\0\0\0storage" type "X\1\0\0\0" key "X\3\0\0\0cpuK\6tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define REST \
    "\x89"   \
    ")t" /* requires_grad, hooks */
#define TENSOR(storage, first, shape, strides) REBUILD "(" storage first shape strides REST "R"
#define NAME "X\1\0\0\0a"
#define GOOD TENSOR(STORAGE(FLOATS, "0"), "K\0", "K\2K\3\x86", "K\3K\1\x86")
#define DICT(value) "\x80\2}(" NAME value "u."

static cfb_code run(const char *program, size_t len, float *sum) {
    embed_tensors t;
    struct zip z = archive_of(program, len, false);
    cfb_code rc = read_zip(&z, z.file.len, &t, sum);
    embed_tensors_free(&t);
    free_zip(&z);
    return rc;
}
#define RUN(program) run(program, sizeof(program) - 1, &sum)
#define ASSERT_SUM(program, expected) \
    do {                              \
        assert_ok(RUN(program));      \
        assert_true(sum == expected); \
    } while (0)

static void test_good(void **state) {
    (void)state;
    float sum;
    embed_tensors t;
    for (int wide = 0; wide < 2; wide++) {
        struct zip z = archive_of(DICT(GOOD), sizeof DICT(GOOD) - 1, wide);
        assert_ok(read_zip(&z, z.file.len, &t, &sum));
        assert_int_equal(t.n, 1);
        assert_true(sum == 21);
        assert_true(cfb_str_eqz(t.items[0].name, "a") && t.items[0].dtype == EMBED_F32 && t.items[0].n_dims == 2);
        assert_int_equal(t.items[0].dims[0], 2);
        assert_int_equal(t.items[0].dims[1], 3);
        assert_int_equal(t.items[0].n_bytes, 24);
        embed_tensors_free(&t);
        for (size_t len = 0; len < z.file.len; len++) { /* cut anywhere: an error, and nothing is read behind the end */
            assert_true(read_zip(&z, len, &t, &sum) != CFB_OK);
            embed_tensors_free(&t);
        }
        free_zip(&z);
    }
    ASSERT_SUM("\x80\2}.", 0); /* no tensors at all */
    ASSERT_SUM("\x80\2"
               "ccollections\nOrderedDict\n)Rq\0(" NAME GOOD "u}X\1\0\0\0m]sb.",
               21);                                                      /* with attributes */
    ASSERT_SUM("\x80\4\x95\0\0\0\0\0\0\0\0}\x94(\x8c\1a" GOOD "u.", 21); /* protocol 4 */
    ASSERT_SUM(DICT("\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93(" STORAGE(FLOATS, "0") "K\0K\6\x85K\1\x85" REST "R"), 21);
    ASSERT_SUM(DICT("ctorch._utils\n_rebuild_parameter\n(" GOOD "\x88)tR"), 21);
    ASSERT_SUM(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\4", ")", ")")), 5);                      /* a scalar: 5 */
    ASSERT_SUM(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\6", "K\0\x85", "K\1\x85")), 0);          /* empty, at the end */
    ASSERT_SUM(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", "K\6K\1\x86", "K\1K\x09\x86")), 21); /* strides of 1 do not count */
    ASSERT_SUM("\x80\2}" NAME GOOD "s.", 21);
}

static void test_programs(void **state) {
    (void)state;
    float sum;
    assert_fails(RUN(DICT("cposix\nsystem\n(X\4\0\0\0truetR")), CFB_EUNSUPPORTED,
                 "w: data.pkl asks for 'posix.system'; only tensors");
    assert_fails(RUN(DICT("cbuiltins\neval\n")), CFB_EUNSUPPORTED, "'builtins.eval'");
    assert_fails(RUN(DICT("iposix\nsystem\n")), CFB_EUNSUPPORTED, "the instruction 0x69");
    assert_fails(RUN(DICT(NAME)), CFB_EUNSUPPORTED, "'a' is no tensor");
    assert_fails(RUN(DICT("}")), CFB_EUNSUPPORTED, "'a' is no tensor");
    assert_fails(RUN("\x80\2}(" NAME GOOD NAME GOOD "u."), CFB_EDATA, "tensor 'a' is there twice");
    assert_fails(RUN("\x80\2}(K\1" GOOD "u."), CFB_EDATA, "name");
    assert_fails(RUN("\x80\2}(X\1\0\0\0\xff" GOOD "u."), CFB_EDATA, "name");
    assert_fails(RUN("\x80\2" NAME "."), CFB_EDATA, "another kind");
    assert_fails(RUN("\x80\2."), CFB_EDATA, "the stack is empty");
    assert_fails(RUN("\x80\2}u."), CFB_EDATA, "a mark is missing");
    assert_fails(RUN("\x80\2(" NAME NAME "u."), CFB_EDATA, "no dict");
    assert_fails(RUN("\x80\2}(" NAME "u."), CFB_EDATA, "no dict");
    assert_fails(RUN("\x80\2s."), CFB_EDATA, "no dict");
    assert_fails(RUN("\x80\2}q\5."), CFB_EDATA, "the memo has gaps");
    assert_fails(RUN("\x80\2}h\0."), CFB_EDATA, "the memo has gaps");
    assert_fails(RUN("\x80\2q\0."), CFB_EDATA, "the memo has gaps");
    assert_fails(RUN("\x80\2\x86."), CFB_EDATA, "the stack is empty");
    assert_fails(RUN("\x80\2)R."), CFB_EDATA, "the stack is empty");
    assert_fails(RUN("\x80\2" FLOATS ")R."), CFB_EDATA, "a storage is called");
    assert_fails(RUN("\x80\2"
                     "ccollections\nOrderedDict\nK\1\x85R."),
                 CFB_EDATA, "a dict is described");
    assert_fails(RUN("\x80\2X\xff\xff\xff\xff"), CFB_ETRUNCATED, "cut short");
    assert_fails(RUN("\x80\2"
                     "ctorch\nFloatStorage"),
                 CFB_ETRUNCATED, "cut short");
    assert_fails(RUN("\x80\2}"), CFB_ETRUNCATED, "cut short");
    assert_fails(RUN("\x80\2\x8a\x09"
                     "123456789"),
                 CFB_EDATA, "too long");
    assert_fails(RUN(""), CFB_ETRUNCATED, "cut short");
}

static void test_tensors(void **state) {
    (void)state;
    float sum;
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "1"), "K\0", "K\6\x85", "K\1\x85"))), CFB_ETRUNCATED,
                 "the archive has no data/1");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", "K\7\x85", "K\1\x85"))), CFB_ETRUNCATED,
                 "7 items from item 0 on lies in a storage of 6");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\1", "K\6\x85", "K\1\x85"))), CFB_ETRUNCATED, "from item 1 on");
    assert_fails(RUN(DICT(TENSOR(STORAGE("ctorch\nLongStorage\n", "0"), "K\0", "K\4\x85", "K\1\x85"))), CFB_ETRUNCATED,
                 "a storage of 3");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", "K\2K\3\x86", "K\1K\2\x86"))), CFB_EUNSUPPORTED, "with strides");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", "K\2K\3\x86", "K\1\x85"))), CFB_EDATA, "impossible shape");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85"))), CFB_EDATA,
                 "impossible shape");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "J\xff\xff\xff\xff", "K\1\x85", "K\1\x85"))), CFB_EDATA, "in another way");
    /* 2^62 * 2^62 overflows, and so do 2^62 items of four bytes */
#define HUGE "\x8a\10\0\0\0\0\0\0\0\x40"
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", HUGE HUGE "\x86", "K\1K\1\x86"))), CFB_EDATA, "impossible shape");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), "K\0", HUGE "\x85", "K\1\x85"))), CFB_ETRUNCATED, "a storage of 6");
    assert_fails(RUN(DICT(TENSOR(STORAGE(FLOATS, "0"), HUGE, "K\1\x85", "K\1\x85"))), CFB_ETRUNCATED, "a storage of 6");
    assert_fails(RUN(DICT(TENSOR(FLOATS, "K\0", "K\6\x85", "K\1\x85"))), CFB_EDATA, "in another way");
    assert_fails(RUN(DICT(REBUILD ")R")), CFB_EDATA, "in another way");
    assert_fails(RUN(DICT(TENSOR("(X\7\0\0\0storage" REBUILD NAME NAME "K\6tQ", "K\0", "K\6\x85", "K\1\x85"))), CFB_EDATA,
                 "in another way");
    assert_fails(RUN(DICT("ctorch._utils\n_rebuild_parameter\n(" NAME "\x88)tR")), CFB_EDATA, "no tensor");
    assert_fails(RUN(DICT(TENSOR(STORAGE("ctorch\nComplexFloatStorage\n", "0"), "K\0", "K\1\x85", "K\1\x85"))), CFB_EUNSUPPORTED,
                 "'torch.ComplexFloatStorage'");
}

static void test_archives(void **state) {
    (void)state;
    float sum;
    embed_tensors t;
    struct zip z = {CFB_BUF_INIT((size_t)1 << 20), CFB_BUF_INIT((size_t)1 << 20), 0};
    add_entry(&z, "m/data.pkl", DICT(GOOD), sizeof DICT(GOOD) - 1, false, 8);
    end_archive(&z, false, "");
    assert_fails(read_zip(&z, z.file.len, &t, &sum), CFB_EUNSUPPORTED, "w: the archive's entries are compressed");
    free_zip(&z);
    z.n = 0;
    add_entry(&z, "data.pkl", "}.", 2, false, 0);
    end_archive(&z, false, "");
    assert_fails(read_zip(&z, z.file.len, &t, &sum), CFB_EDATA, "no data.pkl");
    free_zip(&z);
    z.n = 0;
    add_entry(&z, "m/data.pkl", "}.", 2, false, 0);
    add_entry(&z, "m/byteorder", "big", 3, false, 0);
    end_archive(&z, false, "");
    assert_fails(read_zip(&z, z.file.len, &t, &sum), CFB_EUNSUPPORTED, "not little-endian");
    free_zip(&z);
    z = archive_of(DICT(GOOD), sizeof DICT(GOOD) - 1, false);
    for (size_t i = 0; i < z.file.len; i++) /* any byte may be any other: no crash */
        for (unsigned bit = 0; bit < 8; bit += 7) {
            z.file.ptr[i] = (char)(z.file.ptr[i] ^ (1 << bit));
            (void)(read_zip(&z, z.file.len, &t, &sum) == CFB_OK);
            embed_tensors_free(&t);
            z.file.ptr[i] = (char)(z.file.ptr[i] ^ (1 << bit));
        }
    free_zip(&z);
    /* what PyTorch wrote before 1.6 */
    assert_fails(embed_checkpoint_add(&t, "w", "\x80\2\x8a\nl\xfc\x9c", 7, &test_err), CFB_EUNSUPPORTED,
                 "not written by PyTorch 1.6 or later");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
