/* Weights, configuration and pooling that are wrong; shards; the cache of vectors. */
#include "test.h"

#include "../bert_model.h"
#include "cfbench/embed.h"
#include "embed/encoder.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

static const bert_shape small = {16, 2, 2, 32, 150, 32, "F32", "", 0.05f};

/* ---- safetensors ---- */

static cfb_code parse(const char *header, size_t n_data, embed_tensors *t) {
    unsigned char *file = calloc(1, 8 + strlen(header) + n_data);
    size_t n = strlen(header);
    assert_non_null(file);
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < n_data; i++) file[8 + n + i] = (unsigned char)(i * 37);
    *t = (embed_tensors){0};
    cfb_code rc = embed_tensors_add(t, "w", file, 8 + n + n_data, &test_err);
    for (size_t i = 0; i < t->n && rc == CFB_OK; i++)
        if (t->items[i].dtype != EMBED_OTHER && t->items[i].n_items) {
            float last;
            embed_tensor_read(&t->items[i], t->items[i].n_items - 1, 1, &last);
        }
    embed_tensors_free(t);
    free(file);
    return rc;
}

static void test_headers(void **state) {
    (void)state;
    embed_tensors t;
#define A(shape, offsets) "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    assert_ok(parse("{}", 0, &t));
    assert_ok(parse("{\"__metadata__\":{\"format\":\"pt\"}}   ", 0, &t));
    assert_ok(parse(A("[2,3]", "[0,24]"), 24, &t));
    assert_ok(parse(A("[]", "[0,4]"), 4, &t));
    assert_ok(parse(A("[0,7]", "[0,0]"), 0, &t));
    assert_fails(parse(A("[2,3]", "[0,24]"), 23, &t), CFB_ETRUNCATED, "w: tensor 'a' ends at byte 24 of the data, which has 23");
    assert_fails(parse(A("[2,3]", "[0,24]"), 25, &t), CFB_EDATA, "1 bytes of data belong to no tensor");
    assert_fails(parse(A("[2,3]", "[0,20]"), 20, &t), CFB_EDATA, "shape [2, 3] and type F32 has 20 bytes");
    assert_fails(parse(A("[2,3]", "[1,25]"), 25, &t), CFB_EDATA, "begins at byte 1");
    assert_fails(parse(A("[2,3]", "[24,0]"), 24, &t), CFB_EDATA, "wrong data_offsets");
    assert_fails(parse(A("[2,3]", "[0]"), 24, &t), CFB_EDATA, "wrong data_offsets");
    assert_fails(parse(A("[2.5]", "[0,4]"), 4, &t), CFB_EDATA, "impossible shape");
    assert_fails(parse(A("[-1]", "[0,4]"), 4, &t), CFB_EDATA, "impossible shape");
    /* 2^52 * 2^52 overflows, and so do 2^62 items of four bytes */
    assert_fails(parse(A("[4503599627370496,4503599627370496]", "[0,0]"), 0, &t), CFB_EDATA, "impossible shape");
    assert_fails(parse(A("[4503599627370496,1024]", "[0,0]"), 0, &t), CFB_EDATA, "has 0 bytes");
    assert_fails(parse(A("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, &t), CFB_EDATA, "no shape of at most 8");
    assert_fails(parse("{\"a\":{\"dtype\":\"F8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, &t), CFB_EUNSUPPORTED,
                 "the type 'F8'");
    assert_fails(parse("[]", 0, &t), CFB_EDATA, "no JSON object");
    assert_fails(parse("{\"a\":1}", 0, &t), CFB_EUNSUPPORTED, "tensor 'a'");
    assert_fails(parse("{", 0, &t), CFB_ETRUNCATED, "w:");
    /* two tensors over the same bytes */
    assert_fails(parse("{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F16\",\"shape\":[2],"
                       "\"data_offsets\":[2,6]}}",
                       6, &t),
                 CFB_EDATA, "tensor 'b' begins at byte 2 of the data; 4 was expected");
    embed_tensors none = {0};
    assert_fails(embed_tensors_add(&none, "w", "1234567", 7, &test_err), CFB_ETRUNCATED, "7 bytes");
    assert_fails(embed_tensors_add(&none, "w", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, &test_err), CFB_EDATA,
                 "not a safetensors file");
    assert_fails(embed_tensors_add(&none, "w", "\x09\0\0\0\0\0\0\0{}", 10, &test_err), CFB_ETRUNCATED, "header has 9 bytes");
}

/* Every binary16 and bfloat16 number, against ldexp. */
static void test_halves(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint16_t bits = (uint16_t)h;
        embed_tensor t = {.dtype = EMBED_F16, .data = (const unsigned char *)&bits, .n_items = 1};
        float got, want;
        int exponent = (int)(h >> 10 & 31);
        embed_tensor_read(&t, 0, 1, &got);
        if (exponent == 31)
            assert_true(h & 0x3FF ? isnan(got) : isinf(got));
        else {
            want = exponent ? ldexpf(1 + (float)(h & 0x3FF) / 1024, exponent - 15) : ldexpf((float)(h & 0x3FF) / 1024, -14);
            assert_true(got == (h & 0x8000 ? -want : want));
        }
        t.dtype = EMBED_BF16;
        embed_tensor_read(&t, 0, 1, &got);
        uint32_t wide = h << 16;
        memcpy(&want, &wide, sizeof want);
        assert_memory_equal(&got, &want, sizeof got);
    }
}

/* ---- model folders ---- */

static void change(const char *dir, const char *file, const char *from, const char *to) {
    char path[200];
    cfb_buf b = CFB_BUF_INIT(0);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    assert_ok(cfb_file_read(path, 1 << 24, &b, &test_err));
    size_t at = cfb_str_find(cfb_buf_str(&b), cfb_str_from(from), 0);
    assert_true(at != SIZE_MAX);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(b.ptr + at, to, strlen(to));
    assert_ok(cfb_file_write(path, cfb_buf_str(&b), &test_err));
    cfb_buf_free(&b);
}

static cfb_code open_changed(const char *file, const char *from, const char *to) {
    char dir[64];
    cfb_encoder_t *e = NULL;
    assert_non_null(test_folder(dir));
    assert_true(bert_write(dir, &small));
    change(dir, file, from, to);
    cfb_err keep = CFB_ERR_INIT;
    cfb_code rc = cfb_encoder_open(dir, NULL, &e, &keep);
    cfb_encoder_free(e);
    test_err = keep;
    return rc;
}

static void test_wrong_model(void **state) {
    (void)state;
    const char *w = "model.safetensors", *c = "config.json";
    assert_ok(open_changed(c, "bert", "bert"));
    assert_fails(open_changed(c, "\"hidden_size\":16", "\"hidden_size\":18"), CFB_EDATA,
                 "tensor 'embeddings.word_embeddings.weight' has the shape [150, 16]; config.json asks for [150, 18]");
    assert_fails(open_changed(c, "\"num_hidden_layers\":2", "\"num_hidden_layers\":3"), CFB_EDATA,
                 "16 tensors are missing: encoder.layer.2.attention.self.query.weight");
    assert_fails(open_changed(c, "\"num_hidden_layers\":2", "\"num_hidden_layers\":1"), CFB_EDATA, "16 tensors are unknown");
    assert_fails(open_changed(w, "attention.self.query.bias", "attention.self.Query.bias"), CFB_EDATA,
                 "1 tensors are missing: encoder.layer.0.attention.self.query.bias");
    assert_fails(open_changed(c, "\"gelu\"", "\"relu\""), CFB_EUNSUPPORTED, "\"hidden_act\" is \"relu\"");
    assert_fails(open_changed(c, ":\"bert\"", ":\"bart\""), CFB_EUNSUPPORTED, "\"model_type\" is \"bart\"");
    assert_fails(open_changed(c, "\"num_attention_heads\":2", "\"num_attention_heads\":3"), CFB_EDATA, "no multiple");
    assert_fails(open_changed(c, "1e-12", "-1e-2"), CFB_EDATA, "layer_norm_eps");
    assert_fails(open_changed(c, "\"vocab_size\":150", "\"vocab_size\":0.5"), CFB_EDATA, "vocab_size");
    assert_fails(open_changed("vocab.txt", "[SEP]", "[Sep]"), CFB_EDATA, "no token [SEP]");
    char dir[64];
    cfb_encoder_t *e = NULL;
    assert_non_null(test_folder(dir));
    assert_fails(cfb_encoder_open(dir, NULL, &e, &test_err), CFB_ENOTFOUND, "scripts/get-bge.sh");
    assert_null(e);
    cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
    o.max_tokens = 33;
    assert_true(bert_write(dir, &small));
    assert_fails(cfb_encoder_open(dir, &o, &e, &test_err), CFB_EDOMAIN, "2 to 32");
    char path[100];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(unlink(path), 0);
    assert_fails(cfb_encoder_open(dir, NULL, &e, &test_err), CFB_ENOTFOUND, "has no model.safetensors");
}

static void test_pooling(void **state) {
    (void)state;
    cfb_pooling p;
    assert_ok(embed_pooling_parse("p", CFB_STR_LIT("{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}"), &p,
                                  &test_err));
    assert_int_equal(p, CFB_POOL_CLS);
    assert_ok(embed_pooling_parse("p", CFB_STR_LIT("{\"pooling_mode_mean_tokens\":true}"), &p, &test_err));
    assert_int_equal(p, CFB_POOL_MEAN);
    assert_fails(embed_pooling_parse("p", CFB_STR_LIT("{\"pooling_mode_max_tokens\":true}"), &p, &test_err), CFB_EUNSUPPORTED,
                 "p: pooling");
    assert_fails(embed_pooling_parse("p", CFB_STR_LIT("{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}"), &p,
                                     &test_err),
                 CFB_EUNSUPPORTED, "either");
}

/* ---- the cache ---- */

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void put_some(cfb_embed_cache_t *c, size_t first, size_t n) {
    unsigned char keys[40][32];
    float v[40][8];
    for (size_t i = 0; i < n; i++) {
        char text[40];
        snprintf(text, sizeof text, "text %zu", first + i);
        cfb_embed_key(cfb_str_from(text), keys[i]);
        for (size_t k = 0; k < 8; k++) v[i][k] = (float)(first + i) + (float)k / 16;
    }
    assert_ok(cfb_embed_cache_put(c, (const unsigned char(*)[32])keys, v[0], n, &test_err));
}

static size_t count_found(cfb_embed_cache_t *c, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        char text[40];
        unsigned char key[32];
        float v[8];
        snprintf(text, sizeof text, "text %zu", i);
        cfb_embed_key(cfb_str_from(text), key);
        if (!cfb_embed_cache_get(c, key, v)) continue;
        for (size_t k = 0; k < 8; k++) assert_true(v[k] == (float)i + (float)k / 16);
        found++;
    }
    return found;
}

static void test_cache(void **state) {
    (void)state;
    char dir[64], path[128];
    cfb_embed_cache_t *c = NULL, *d = NULL;
    assert_non_null(test_folder(dir));
    snprintf(path, sizeof path, "%s/0011223344556677.emb", dir);
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &c, &test_err));
    assert_int_equal(cfb_embed_cache_count(c), 0);
    put_some(c, 0, 40);
    put_some(c, 20, 40); /* half of them again */
    assert_int_equal(cfb_embed_cache_count(c), 60);
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &d, &test_err)); /* a second reader sees what the first wrote */
    assert_int_equal(count_found(d, 100), 60);
    put_some(d, 60, 10);
    put_some(c, 70, 10); /* takes in the other's */
    assert_int_equal(count_found(c, 100), 80);
    cfb_embed_cache_free(c);
    cfb_embed_cache_free(d);
    /* a torn tail, as a killed writer leaves it, is dropped by the next writer */
    assert_int_equal(truncate(path, 64 + 100 * 72 - 30), 0);
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &c, &test_err));
    assert_int_equal(count_found(c, 100), 79);
    put_some(c, 79, 2);
    cfb_embed_cache_free(c);
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &c, &test_err));
    assert_int_equal(count_found(c, 100), 81);
    cfb_embed_cache_free(c);
    /* one flipped bit: that record alone is gone */
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 64 + 5 * 72 + 40, SEEK_SET);
    int byte = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(byte ^ 4, f);
    fclose(f);
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &c, &test_err));
    assert_int_equal(count_found(c, 100), 80);
    cfb_embed_cache_free(c);
    assert_fails(cfb_embed_cache_open(dir, HASH, 9, &c, &test_err), CFB_EDATA, "no embedding cache of this model");
    assert_int_equal(truncate(path, 10), 0); /* a head that was cut */
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &c, &test_err));
    assert_int_equal(cfb_embed_cache_count(c), 0);
    cfb_embed_cache_free(c);
}

/* Several processes write the same file at the same time; some are killed. Every record that is there is whole. */
static void test_cache_processes(void **state) {
    (void)state;
    char dir[64];
    cfb_embed_cache_t *c = NULL;
    pid_t child[4];
    assert_non_null(test_folder(dir));
    for (size_t p = 0; p < 4; p++) {
        child[p] = fork();
        assert_true(child[p] >= 0);
        if (child[p] > 0) continue;
        if (cfb_embed_cache_open(dir, HASH, 8, &c, &test_err) != CFB_OK) _exit(1);
        for (size_t i = 0; i < (p == 3 ? 100000 : 20); i++) put_some(c, p * 1000 + i * 40 % 800, 40);
        _exit(0);
    }
    for (size_t p = 0; p < 3; p++) {
        int status;
        assert_int_equal(waitpid(child[p], &status, 0), child[p]);
        assert_int_equal(status, 0);
    }
    kill(child[3], SIGKILL);
    waitpid(child[3], NULL, 0);
    assert_ok(cfb_embed_cache_open(dir, HASH, 8, &c, &test_err));
    put_some(c, 3900, 1);
    assert_true(count_found(c, 4000) >= 2401);
    cfb_embed_cache_free(c);
}

/* Ten models against the same references: each reference is computed once. */
static void test_cache_spares_work(void **state) {
    (void)state;
    char dir[64], cache_dir[64];
    cfb_encoder_t *e = NULL;
    cfb_embed_cache_t *c = NULL;
    const cfb_str references[] = {CFB_STR_LIT("abc"), CFB_STR_LIT("d e"), CFB_STR_LIT("")};
    float out[4][16], again[4][16];
    assert_non_null(test_folder(dir));
    assert_non_null(test_folder(cache_dir));
    assert_true(bert_write(dir, &small));
    for (int model = 0; model < 10; model++) {
        char answer[20];
        snprintf(answer, sizeof answer, "answer %d", model);
        const cfb_str texts[] = {references[0], references[1], references[2], {answer, strlen(answer)}};
        cfb_encoder_opts o = CFB_ENCODER_OPTS_INIT;
        o.n_threads = 1;
        assert_ok(cfb_encoder_open(dir, &o, &e, &test_err));
        assert_ok(cfb_embed_cache_open(cache_dir, cfb_encoder_hash(e), cfb_encoder_dim(e), &c, &test_err));
        assert_ok(cfb_embed_texts(e, c, texts, 4, model ? again[0] : out[0], &test_err));
        assert_int_equal(cfb_encoder_work_done(e).texts, model ? 1 : 4);
        if (model) assert_memory_equal(out, again, 3 * sizeof out[0]);
        cfb_embed_cache_free(c);
        cfb_encoder_free(e);
    }
}

/* The same tensors in two files with an index: the layers' in one, the rest in the other. */
static void write_shard(const char *dir, const char *name, const cfb_json *head, const char *data, bool layers, cfb_jw *map) {
    cfb_buf text = CFB_BUF_INIT(0), body = CFB_BUF_INIT(0), file = CFB_BUF_INIT(0);
    char path[200];
    cfb_jw w;
    cfb_jw_init(&w, &text, 0);
    cfb_jw_obj(&w);
    for (const cfb_json *t = cfb_json_first(head); t != NULL; t = cfb_json_next(t)) {
        int64_t begin = 0, end = 0;
        const cfb_json *offsets = cfb_json_get(t, "data_offsets");
        if ((strncmp(cfb_json_key(t).ptr, "encoder", 7) == 0) != layers) continue;
        assert_true(cfb_json_int(cfb_json_first(offsets), &begin) && cfb_json_int(cfb_json_next(cfb_json_first(offsets)), &end));
        cfb_buf shape = CFB_BUF_INIT(0);
        assert_ok(cfb_json_print(cfb_json_get(t, "shape"), &shape, &test_err));
        cfb_jw_key_str(&w, cfb_json_key(t));
        cfb_jw_obj(&w);
        cfb_jw_key(&w, "dtype");
        cfb_jw_strz(&w, "F32");
        cfb_jw_key(&w, "shape");
        cfb_jw_raw(&w, cfb_buf_str(&shape));
        cfb_jw_key(&w, "data_offsets");
        cfb_jw_arr(&w);
        cfb_jw_int(&w, (int64_t)body.len);
        assert_ok(cfb_buf_append(&body, data + begin, (size_t)(end - begin), &test_err));
        cfb_jw_int(&w, (int64_t)body.len);
        cfb_jw_end_arr(&w);
        cfb_jw_end_obj(&w);
        cfb_jw_key_str(map, cfb_json_key(t));
        cfb_jw_strz(map, name);
        cfb_buf_free(&shape);
    }
    cfb_jw_end_obj(&w);
    assert_ok(cfb_jw_finish(&w, &test_err));
    for (int i = 0; i < 8; i++) assert_ok(cfb_buf_append_char(&file, (char)((uint64_t)text.len >> (8 * i) & 0xFF), &test_err));
    assert_ok(cfb_buf_append_str(&file, cfb_buf_str(&text), &test_err));
    assert_ok(cfb_buf_append_str(&file, cfb_buf_str(&body), &test_err));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(cfb_file_write(path, cfb_buf_str(&file), &test_err));
    cfb_buf_free(&text);
    cfb_buf_free(&body);
    cfb_buf_free(&file);
}

static void test_shards(void **state) {
    (void)state;
    char dir[64], path[100];
    cfb_encoder_t *e = NULL;
    cfb_buf whole = CFB_BUF_INIT(0), index = CFB_BUF_INIT(0);
    cfb_json *head = NULL;
    cfb_jw map;
    float one[16], two[16];
    const cfb_str text = CFB_STR_LIT("abc");
    assert_non_null(test_folder(dir));
    assert_true(bert_write(dir, &small));
    assert_ok(cfb_encoder_open(dir, NULL, &e, &test_err));
    assert_ok(cfb_encoder_embed(e, &text, 1, one, &test_err));
    cfb_encoder_free(e);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_ok(cfb_file_read(path, 1 << 24, &whole, &test_err));
    size_t n = (unsigned char)whole.ptr[0] | (size_t)(unsigned char)whole.ptr[1] << 8;
    assert_ok(cfb_json_parse(whole.ptr + 8, n, 0, &head, &test_err));
    cfb_jw_init(&map, &index, 0);
    cfb_jw_obj(&map);
    cfb_jw_key(&map, "weight_map");
    cfb_jw_obj(&map);
    write_shard(dir, "b-1.safetensors", head, whole.ptr + 8 + n, true, &map);
    write_shard(dir, "a-2.safetensors", head, whole.ptr + 8 + n, false, &map);
    cfb_jw_end_obj(&map);
    cfb_jw_end_obj(&map);
    assert_ok(cfb_jw_finish(&map, &test_err));
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
    assert_ok(cfb_file_write(path, cfb_buf_str(&index), &test_err));
    assert_ok(cfb_encoder_open(dir, NULL, &e, &test_err));
    assert_ok(cfb_encoder_embed(e, &text, 1, two, &test_err));
    assert_memory_equal(one, two, sizeof one);
    cfb_encoder_free(e);
    change(dir, "model.safetensors.index.json", "a-2.safe", "../.safe");
    assert_fails(cfb_encoder_open(dir, NULL, &e, &test_err), CFB_EDATA, "for a file");
    change(dir, "model.safetensors.index.json", "../.safe", "a-3.safe");
    assert_fails(cfb_encoder_open(dir, NULL, &e, &test_err), CFB_ENOTFOUND, "a-3.safetensors");
    cfb_json_free(head);
    cfb_buf_free(&whole);
    cfb_buf_free(&index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),           cmocka_unit_test(test_halves), cmocka_unit_test(test_wrong_model),
        cmocka_unit_test(test_pooling),           cmocka_unit_test(test_cache),  cmocka_unit_test(test_cache_processes),
        cmocka_unit_test(test_cache_spares_work), cmocka_unit_test(test_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
