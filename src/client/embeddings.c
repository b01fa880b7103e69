/* embeddings.c - POST /embeddings: texts to vectors by a server. */
#include "cfbench/files.h"
#include "cfbench/json.h"
#include "client/engine.h"

#include <math.h>
#include <stdlib.h>

#define MAX_DIM 65536

static cfb_code not_ours(cfb_err *err, const char *what) {
    return cfb_err_set(err, CFB_EPROTOCOL, "the answer to /embeddings %s", what);
}

/* One vector, of length 1, in its row. */
static cfb_code read_vector(const cfb_json *item, size_t n, size_t dim, float *rows, bool *seen, cfb_err *err) {
    const cfb_json *list = cfb_json_get(item, "embedding");
    int64_t index = -1;
    double sum = 0;
    if (!cfb_json_int(cfb_json_get(item, "index"), &index) || index < 0 || (uint64_t)index >= n || seen[index])
        return not_ours(err, "has not one vector for each text");
    if (cfb_json_count(list) != dim) return not_ours(err, "has vectors of different dimensions");
    seen[index] = true;
    float *row = rows + (size_t)index * dim;
    size_t i = 0;
    for (const cfb_json *v = cfb_json_first(list); v != NULL; v = cfb_json_next(v), i++) {
        double x = NAN;
        if (!cfb_json_num(v, &x) || !(fabs(x) < 1e30)) return not_ours(err, "holds something that is no number");
        row[i] = (float)x;
        sum += x * x;
    }
    double length = sqrt(sum);
    if (!(length > 0)) return not_ours(err, "holds a vector without a direction");
    for (i = 0; i < dim; i++) row[i] = (float)((double)row[i] / length);
    return CFB_OK;
}

cfb_code cfb_files__read_embeddings(cfb_str json, size_t n, size_t *dim, cfb_buf *vectors, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(json.ptr, json.len, CFB_JSON_REPAIR, &root, err);
    if (rc != CFB_OK) return rc == CFB_ENOMEM ? rc : not_ours(err, "is not JSON");
    const cfb_json *data = cfb_json_get(root, "data"), *first = cfb_json_first(data);
    size_t found = cfb_json_count(cfb_json_get(first, "embedding")), bytes = 0;
    float *rows = NULL;
    bool *seen = NULL;
    if (n == 0 || cfb_json_count(data) != n || found == 0 || found > MAX_DIM)
        rc = not_ours(err, "has not one vector for each text");
    else if (*dim != 0 && *dim != found)
        rc = cfb_err_set(err, CFB_EPROTOCOL, "the server now gives vectors of %zu dimensions; they had %zu", found, *dim);
    if (rc == CFB_OK) {
        rows = cfb_size_mul(n * sizeof *rows, found, &bytes) ? malloc(bytes) : NULL;
        seen = calloc(n, sizeof *seen);
        if (rows == NULL || seen == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory (vectors)");
    }
    for (const cfb_json *item = first; item != NULL && rc == CFB_OK; item = cfb_json_next(item))
        rc = read_vector(item, n, found, rows, seen, err);
    if (rc == CFB_OK) rc = cfb_buf_append(vectors, (const char *)rows, bytes, err);
    if (rc == CFB_OK) *dim = found;
    free(rows);
    free(seen);
    cfb_json_free(root);
    return rc;
}

cfb_code cfb_files_embed(cfb_files_t *f, const char *model, const cfb_str *texts, size_t n, size_t *dim, cfb_buf *vectors,
                         cfb_err *err) {
    cfb_buf body = CFB_BUF_INIT((size_t)1 << 30);
    cfb_str answer = CFB_STR_NULL;
    cfb_jw w;
    cfb_jw_init(&w, &body, 0);
    cfb_jw_obj(&w);
    cfb_jw_key(&w, "model");
    cfb_jw_strz(&w, model);
    cfb_jw_key(&w, "input");
    cfb_jw_arr(&w);
    for (size_t i = 0; i < n; i++) cfb_jw_str(&w, texts[i].ptr ? texts[i] : CFB_STR_LIT(""));
    cfb_jw_end_arr(&w);
    cfb_jw_end_obj(&w);
    cfb_code rc = cfb_jw_finish(&w, err);
    if (rc == CFB_OK) rc = cfb_buf_append_char(&body, '\0', err);
    if (rc == CFB_OK) rc = cfb_files__post(f, "/embeddings", body.ptr, "an embeddings endpoint", &answer, err);
    if (rc == CFB_OK) rc = cfb_files__read_embeddings(answer, n, dim, vectors, err);
    cfb_buf_free(&body);
    return rc;
}
