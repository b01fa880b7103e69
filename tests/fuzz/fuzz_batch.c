/* What comes back from a batch: result lines, the server's objects, and manifests of any bytes. No crash; a result holds valid
 * UTF-8 and, if it failed, says why; a manifest that was accepted is written and read back as the same. */
#include "cfbench/batch.h"
#include "cfbench/files.h"
#include "cfbench/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void manifest(cfb_str json) {
    cfb_batch_manifest m, back;
    cfb_buf a = CFB_BUF_INIT((size_t)1 << 24), b = CFB_BUF_INIT((size_t)1 << 24);
    cfb_err err = CFB_ERR_INIT;
    if (cfb_batch_manifest_parse("m", json, &m, &err) == CFB_OK) {
        if (cfb_batch_manifest_write(&m, &a, &err) != CFB_OK) abort();
        if (cfb_batch_manifest_parse("again", cfb_buf_str(&a), &back, &err) != CFB_OK) abort();
        if (cfb_batch_manifest_write(&back, &b, &err) != CFB_OK || !cfb_str_eq(cfb_buf_str(&a), cfb_buf_str(&b))) abort();
        cfb_batch_manifest_free(&m);
        cfb_batch_manifest_free(&back);
    } else if (err.msg[0] == '\0') {
        abort();
    }
    cfb_buf_free(&a);
    cfb_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cfb_str text = {(const char *)data, size};
    cfb_batch_scratch s = {CFB_BUF_INIT((size_t)1 << 20), CFB_BUF_INIT((size_t)1 << 20)};
    cfb_batch_result r;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_batch_parse_line(text, &s, &r, &err) == CFB_OK) {
        if (cfb_utf8_find_invalid(r.reply.content) != SIZE_MAX) abort();
        if (cfb_utf8_find_invalid(cfb_str_from(r.reply.message)) != SIZE_MAX) abort();
        if (r.reply.fail != CFB_FAIL_NONE && r.reply.message[0] == '\0') abort();
    } else if (err.msg[0] == '\0') {
        abort();
    }
    cfb_batch_scratch_free(&s);
    cfb_remote_file file;
    cfb_remote_batch batch;
    if (cfb_files__read_file(text, &file) && file.id[0] == '\0') abort();
    if (cfb_files__read_batch(text, &batch) && (batch.id[0] == '\0' || batch.status[0] == '\0' || batch.n_total < 0)) abort();
    manifest(text);
    return 0;
}
