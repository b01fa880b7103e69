/* arrow_codec.c - compressed buffers of a record batch. */
#include "dataset/arrow.h"

#include <lz4frame.h>
#include <zstd.h>

/* No LZ4 block grows by more than 255 times; the slack is for short frames. */
#define LZ4_MAX_RATIO 256u

/* Space for more output: at least doubled each time, never more than what was promised, so a false promise costs no memory
 * that the data does not fill. */
static cfb_code more_room(cfb_buf *out, size_t promised, size_t n_in, cfb_err *err) {
    size_t step = out->len > n_in * 4 ? out->len : n_in * 4;
    if (step < 65536) step = 65536;
    if (step > promised - out->len) step = promised - out->len;
    return cfb_buf_reserve(out, step + 1, err); /* 1: to see whether there is more than promised */
}

static cfb_code bad_frame(const char *codec, const char *what, cfb_err *err) {
    return cfb_err_set(err, CFB_EDATA, "damaged %s data: %s", codec, what);
}

static cfb_code wrong_size(const char *codec, size_t len, size_t promised, cfb_err *err) {
    return cfb_err_set(err, CFB_EDATA, "damaged %s data: %s than the %zu bytes that were announced", codec,
                       len < promised ? "less" : "more", promised);
}

static cfb_code run_zstd(cfb_str in, size_t promised, cfb_buf *out, cfb_err *err) {
    ZSTD_DStream *z = ZSTD_createDStream();
    if (z == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    ZSTD_inBuffer src = {in.ptr, in.len, 0};
    cfb_code rc = CFB_OK;
    size_t ret = 1;
    while (rc == CFB_OK && ret != 0 && out->len <= promised) {
        rc = more_room(out, promised, in.len, err);
        if (rc != CFB_OK) break;
        ZSTD_outBuffer dst = {out->ptr, out->cap - 1, out->len};
        size_t before = src.pos;
        ret = ZSTD_decompressStream(z, &dst, &src);
        bool stuck = dst.pos == out->len && src.pos == before;
        out->len = dst.pos;
        if (ZSTD_isError(ret))
            rc = bad_frame("zstd", ZSTD_getErrorName(ret), err);
        else if (ret != 0 && stuck)
            rc = bad_frame("zstd", "the frame is cut", err);
    }
    ZSTD_freeDStream(z);
    if (rc == CFB_OK && out->len != promised) rc = wrong_size("zstd", out->len, promised, err);
    return rc;
}

static cfb_code run_lz4(cfb_str in, size_t promised, cfb_buf *out, cfb_err *err) {
    if (promised / LZ4_MAX_RATIO > in.len + 64) return wrong_size("LZ4", 0, promised, err);
    LZ4F_dctx *z = NULL;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION))) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = CFB_OK;
    size_t pos = 0, ret = 1;
    while (rc == CFB_OK && ret != 0 && out->len <= promised) {
        rc = more_room(out, promised, in.len, err);
        if (rc != CFB_OK) break;
        size_t n_out = out->cap - 1 - out->len, n_in = in.len - pos;
        ret = LZ4F_decompress(z, out->ptr + out->len, &n_out, in.ptr + pos, &n_in, NULL);
        if (LZ4F_isError(ret)) {
            rc = bad_frame("LZ4", LZ4F_getErrorName(ret), err);
            break;
        }
        out->len += n_out;
        pos += n_in;
        if (ret != 0 && n_out == 0 && n_in == 0) rc = bad_frame("LZ4", "the frame is cut", err);
    }
    LZ4F_freeDecompressionContext(z);
    if (rc == CFB_OK && out->len != promised) rc = wrong_size("LZ4", out->len, promised, err);
    return rc;
}

cfb_code arrow_decompress(cfb_str in, arrow_codec codec, size_t max_bytes, cfb_buf *out, cfb_err *err) {
    cfb_buf_clear(out);
    if (in.len == 0) return CFB_OK;
    if (in.len < 8) return cfb_err_set(err, CFB_EDATA, "a compressed buffer of %zu bytes, at least 8 expected", in.len);
    int64_t promised = (int64_t)cfb_le64((const unsigned char *)in.ptr);
    in.ptr += 8;
    in.len -= 8;
    if (promised == -1) return cfb_buf_append_str(out, in, err);
    if (promised < 0) return cfb_err_set(err, CFB_EDATA, "a compressed buffer announces %lld bytes", (long long)promised);
    if ((uint64_t)promised > max_bytes)
        return cfb_err_set(err, CFB_ELIMIT, "a compressed buffer announces %lld bytes, the limit is %zu", (long long)promised,
                           max_bytes);
    cfb_code rc = codec == ARROW_LZ4 ? run_lz4(in, (size_t)promised, out, err) : run_zstd(in, (size_t)promised, out, err);
    if (rc == CFB_OK && out->ptr) out->ptr[out->len] = '\0';
    return rc;
}
