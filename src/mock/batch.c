#include "mock/batch.h"

#include "cfbench/json.h"
#include "mock/jobs.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_LINE_JSON ((size_t)16 << 20)

/* One line while the file is read. */
typedef struct line {
    uint64_t id_hash, order;
    size_t number, at, len;
} line;

typedef struct run {
    cfb_mock__model *m;
    cfb_mock__endpoint endpoint;
    cfb_str input;
    uint64_t seed;
    cfb_mock__batch_result *out;
    line *lines;
    size_t n_lines;
    cfb_mock__plan plan;
    cfb_buf body;
} run;

const char *cfb_mock__endpoint_url(cfb_mock__endpoint e) {
    return e == CFB_MOCK__ENDPOINT_CHAT ? "/v1/chat/completions" : "/v1/embeddings";
}

bool cfb_mock__endpoint_of(cfb_str url, cfb_mock__endpoint *out) {
    for (int e = 0; e < 2; e++) {
        if (!cfb_str_eqz(url, cfb_mock__endpoint_url((cfb_mock__endpoint)e))) continue;
        *out = (cfb_mock__endpoint)e;
        return true;
    }
    return false;
}

/* ---- validation ---- */

static void complain(run *r, const char *code, const char *message, size_t number) {
    if (r->out->n_errors == CFB_MOCK__MAX_BATCH_ERRORS) return;
    cfb_mock__batch_error *e = &r->out->errors[r->out->n_errors++];
    e->code = code;
    snprintf(e->message, sizeof e->message, "%s", message);
    e->line = number;
}

static void check_line(run *r, cfb_str text, size_t number) {
    cfb_json *root = NULL;
    cfb_err why = CFB_ERR_INIT;
    if (cfb_json_parse(text.ptr, text.len, 0, &root, &why) != CFB_OK || cfb_json_kind_of(root) != CFB_JSON_OBJECT) {
        complain(r, "invalid_json_line", "This line is not parseable as valid JSON.", number);
        cfb_json_free(root);
        return;
    }
    cfb_str id = cfb_json_str(cfb_json_get(root, "custom_id")), url = cfb_json_str(cfb_json_get(root, "url"));
    if (id.ptr == NULL) {
        complain(r, "missing_required_parameter", "Missing required parameter: 'custom_id'.", number);
    } else if (!cfb_str_eqz(cfb_json_str(cfb_json_get(root, "method")), "POST")) {
        complain(r, "invalid_method", "The method must be POST.", number);
    } else if (!cfb_str_eqz(url, cfb_mock__endpoint_url(r->endpoint))) {
        complain(r, "mismatched_url", "The url does not match the batch's endpoint.", number);
    } else if (cfb_json_kind_of(cfb_json_get(root, "body")) != CFB_JSON_OBJECT) {
        complain(r, "missing_required_parameter", "Missing required parameter: 'body'.", number);
    } else {
        uint64_t hash = cfb_hash64(id.ptr, id.len, 0);
        r->lines[r->n_lines++] =
            (line){hash, cfb_hash64(id.ptr, id.len, r->seed + 1), number, (size_t)(text.ptr - r->input.ptr), text.len};
    }
    cfb_json_free(root);
}

static int by_id(const void *a, const void *b) {
    const line *x = a, *y = b;
    if (x->id_hash != y->id_hash) return x->id_hash < y->id_hash ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int by_order(const void *a, const void *b) {
    const line *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Two ids with the same hash count as the same one. */
static void check_ids(run *r) {
    qsort(r->lines, r->n_lines, sizeof *r->lines, by_id);
    for (size_t i = 1; i < r->n_lines; i++)
        if (r->lines[i].id_hash == r->lines[i - 1].id_hash)
            complain(r, "duplicate_custom_id", "The custom_id of this line was used by an earlier line.", r->lines[i].number);
    qsort(r->lines, r->n_lines, sizeof *r->lines, by_order);
}

static void check_all(run *r) {
    size_t number = 0, n = 0;
    for (size_t from = 0; from < r->input.len && n <= CFB_MOCK__MAX_ROWS;) {
        size_t end = cfb_str_find(r->input, CFB_STR_LIT("\n"), from);
        if (end == SIZE_MAX) end = r->input.len;
        cfb_str text = {r->input.ptr + from, end - from};
        from = end + 1;
        number++;
        if (text.len > 0 && text.ptr[text.len - 1] == '\r') text.len--;
        if (text.len == 0) continue;
        if (++n <= CFB_MOCK__MAX_ROWS) check_line(r, text, number);
    }
    if (n == 0) complain(r, "empty_file", "The input file has no requests.", 0);
    if (n > CFB_MOCK__MAX_ROWS) complain(r, "too_many_tasks", "The input file has more than 50000 requests.", 0);
    check_ids(r);
}

/* ---- answers ---- */

/* One row: its line goes to the end of text. */
static cfb_code answer_row(run *r, const line *l, size_t i, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(r->input.ptr + l->at, l->len, 0, &root, err);
    cfb_buf_clear(&r->body);
    if (rc == CFB_OK) rc = cfb_json_print(cfb_json_get(root, "body"), &r->body, err);
    cfb_mock__route route = r->endpoint == CFB_MOCK__ENDPOINT_CHAT ? CFB_MOCK__ROUTE_CHAT : CFB_MOCK__ROUTE_EMBED;
    if (rc == CFB_OK) rc = cfb_mock__plan_row(r->m, route, cfb_buf_str(&r->body), &r->plan, err);
    cfb_buf *text = &r->out->text;
    size_t at = text->len;
    if (rc == CFB_OK)
        rc = cfb_buf_printf(text, err, "{\"id\":\"batch_req_%016llx\",\"custom_id\":", (unsigned long long)l->id_hash);
    if (rc == CFB_OK) rc = cfb_json_quote(text, cfb_json_str(cfb_json_get(root, "custom_id")), err);
    if (rc == CFB_OK)
        rc = cfb_buf_printf(text, err,
                            ",\"response\":{\"status_code\":%d,\"request_id\":\"req_%016llx\",\"body\":", r->plan.status,
                            (unsigned long long)l->order);
    if (rc == CFB_OK) rc = cfb_buf_append_str(text, cfb_buf_str(&r->plan.body), err);
    if (rc == CFB_OK) rc = cfb_buf_append_str(text, CFB_STR_LIT("},\"error\":null}\n"), err);
    r->out->rows[i] = (cfb_mock__batch_row){l->order, r->plan.status != 200, at, text->len - at};
    cfb_json_free(root);
    return rc;
}

static cfb_code answer_all(run *r, cfb_err *err) {
    r->out->rows = calloc(r->n_lines, sizeof *r->out->rows);
    if (r->out->rows == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < r->n_lines && rc == CFB_OK; i++) rc = answer_row(r, &r->lines[i], i, err);
    r->out->n_rows = r->n_lines;
    return rc;
}

cfb_code cfb_mock__batch_run(cfb_mock__model *m, cfb_mock__endpoint endpoint, cfb_str input, uint64_t seed,
                             cfb_mock__batch_result *out, cfb_err *err) {
    run r = {.m = m, .endpoint = endpoint, .input = input, .seed = seed, .out = out, .body = CFB_BUF_INIT(MAX_LINE_JSON)};
    cfb_mock__batch_free(out);
    out->text = CFB_BUF_INIT(CFB_MOCK__MAX_STORE);
    r.lines = calloc(CFB_MOCK__MAX_ROWS, sizeof *r.lines);
    if (r.lines == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    check_all(&r);
    cfb_code rc = out->n_errors == 0 ? answer_all(&r, err) : CFB_OK;
    free(r.lines);
    cfb_buf_free(&r.body);
    cfb_mock__plan_free(&r.plan);
    if (rc != CFB_OK) cfb_mock__batch_free(out);
    return rc;
}

static size_t first_rows(const cfb_mock__batch_result *r, double share) { return (size_t)(share * (double)r->n_rows); }

void cfb_mock__batch_counts(const cfb_mock__batch_result *r, double share, size_t *completed, size_t *failed) {
    *completed = *failed = 0;
    for (size_t i = 0; i < first_rows(r, share); i++) ++*(r->rows[i].failed ? failed : completed);
}

cfb_code cfb_mock__batch_files(const cfb_mock__batch_result *r, double share, cfb_buf *output, cfb_buf *errors, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < first_rows(r, share) && rc == CFB_OK; i++) {
        const cfb_mock__batch_row *row = &r->rows[i];
        rc = cfb_buf_append(row->failed ? errors : output, r->text.ptr + row->at, row->len, err);
    }
    return rc;
}

void cfb_mock__batch_free(cfb_mock__batch_result *r) {
    free(r->rows);
    cfb_buf_free(&r->text);
    *r = (cfb_mock__batch_result){0};
}
