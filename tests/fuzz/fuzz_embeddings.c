/* The answer of an /embeddings endpoint, as any bytes: whole unit vectors, one for each text, or a failure with a message and no
 * vector. The first byte says how many texts were asked about. */
#include "cfbench/files.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    size_t n = data[0] % 8, dim = data[0] & 64 ? 3 : 0, asked = dim;
    cfb_buf vectors = CFB_BUF_INIT((size_t)64 << 20);
    cfb_err err = CFB_ERR_INIT;
    cfb_code rc = cfb_files__read_embeddings((cfb_str){(const char *)data + 1, size - 1}, n, &dim, &vectors, &err);
    if (rc != CFB_OK) {
        if (err.msg[0] == '\0' || vectors.len != 0 || dim != asked) abort();
    } else {
        if (n == 0 || dim == 0 || (asked != 0 && dim != asked) || vectors.len != n * dim * sizeof(float)) abort();
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t k = 0; k < dim; k++) {
                float x;
                memcpy(&x, vectors.ptr + (i * dim + k) * sizeof x, sizeof x);
                sum += (double)x * (double)x;
            }
            if (!(fabs(sum - 1) < 1e-3)) abort();
        }
    }
    cfb_buf_free(&vectors);
    return 0;
}
