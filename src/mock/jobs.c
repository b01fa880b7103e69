/* jobs.c - files, and the life of a batch.
 *
 * Shapes, states and limits follow OpenAI's reference of the Files and Batch APIs (platform.openai.com/docs/api-reference/files,
 * .../batch, and the Batch guide): a batch is validating, in_progress, finalizing, completed; or failed (its input is wrong, with
 * a list of errors by line), or cancelling and cancelled. Replies are in the output file, in no particular order; rows that
 * failed are in the error file; a file without lines is not made.
 *
 * A batch has no thread: where it stands is a function of the time. Its rows are answered when somebody asks for it after the
 * validation. */
#include "mock/jobs.h"

#include "cfbench/json.h"
#include "mock/batch.h"
#include "mock/multipart.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_FILES 1000
#define MAX_BATCHES 1000
#define ID_BYTES 24

typedef struct file {
    char id[ID_BYTES], name[64], purpose[24];
    int64_t created_ms;
    char *data; /* NULL: deleted */
    size_t len;
} file;

typedef struct batch {
    char id[ID_BYTES], input[ID_BYTES], output[ID_BYTES], errors_file[ID_BYTES];
    cfb_mock__endpoint endpoint;
    int64_t created_ns, created_ms, cancel_ns; /* cancel_ns 0 = not cancelled */
    bool ran;
    cfb_mock__batch_result result;
    char *metadata; /* JSON, or NULL */
} batch;

struct cfb_mock__jobs {
    pthread_mutex_t lock;
    double delay_s;
    uint64_t seed;
    file files[MAX_FILES];
    batch batches[MAX_BATCHES];
    size_t n_files, n_batches, bytes;
};

cfb_code cfb_mock__jobs_new(double delay_s, uint64_t seed, cfb_mock__jobs **out, cfb_err *err) {
    if (!(delay_s >= 0 && delay_s <= CFB_MOCK__MAX_DELAY_S))
        return cfb_err_set(err, CFB_ECONFIG, "batch delay %g s is not in 0..%g", delay_s, CFB_MOCK__MAX_DELAY_S);
    cfb_mock__jobs *j = calloc(1, sizeof *j);
    if (j == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    pthread_mutex_init(&j->lock, NULL); /* cannot fail with default attributes */
    j->delay_s = delay_s;
    j->seed = seed;
    *out = j;
    return CFB_OK;
}

void cfb_mock__jobs_free(cfb_mock__jobs *j) {
    if (j == NULL) return;
    for (size_t i = 0; i < j->n_files; i++) free(j->files[i].data);
    for (size_t i = 0; i < j->n_batches; i++) {
        free(j->batches[i].metadata);
        cfb_mock__batch_free(&j->batches[i].result);
    }
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* ---- files ---- */

static file *find_file(cfb_mock__jobs *j, cfb_str id) {
    for (size_t i = 0; i < j->n_files; i++)
        if (j->files[i].data != NULL && cfb_str_eqz(id, j->files[i].id)) return &j->files[i];
    return NULL;
}

static void copy_text(char *to, size_t size, cfb_str s) {
    size_t n = s.len < size - 1 ? s.len : size - 1;
    memcpy(to, s.ptr != NULL ? s.ptr : "", n);
    to[n] = '\0';
}

/* NULL: there is no room (err says so) or no memory. */
static file *add_file(cfb_mock__jobs *j, cfb_str name, cfb_str purpose, cfb_str data, cfb_err *err) {
    if (j->n_files == MAX_FILES || data.len > CFB_MOCK__MAX_STORE - j->bytes) {
        (void)cfb_err_set(err, CFB_ELIMIT, "the mock keeps at most %d files and %zu bytes", MAX_FILES, CFB_MOCK__MAX_STORE);
        return NULL;
    }
    file *f = &j->files[j->n_files];
    f->data = malloc(data.len + 1);
    if (f->data == NULL) {
        (void)cfb_err_set(err, CFB_ENOMEM, "out of memory");
        return NULL;
    }
    memcpy(f->data, data.ptr, data.len);
    f->len = data.len;
    f->created_ms = cfb_wall_ms();
    snprintf(f->id, sizeof f->id, "file-mock%06zu", ++j->n_files);
    copy_text(f->name, sizeof f->name, name);
    copy_text(f->purpose, sizeof f->purpose, purpose);
    j->bytes += data.len;
    return f;
}

static void member(cfb_jw *w, const char *key, const char *value) {
    cfb_jw_key(w, key);
    if (value != NULL && *value != '\0')
        cfb_jw_strz(w, value);
    else
        cfb_jw_null(w);
}

static void member_int(cfb_jw *w, const char *key, int64_t v) {
    cfb_jw_key(w, key);
    cfb_jw_int(w, v);
}

static void write_file(const file *f, cfb_jw *w) {
    cfb_jw_obj(w);
    member(w, "id", f->id);
    member(w, "object", "file");
    member_int(w, "bytes", (int64_t)f->len);
    member_int(w, "created_at", f->created_ms / 1000);
    member(w, "filename", f->name);
    member(w, "purpose", f->purpose);
    member(w, "status", "processed");
    cfb_jw_end_obj(w);
}

static cfb_code show_file(const file *f, cfb_mock__plan *p, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, &p->body, 0);
    write_file(f, &w);
    return cfb_jw_finish(&w, err);
}

static cfb_code upload(cfb_mock__jobs *j, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    cfb_mock__part parts[CFB_MOCK__MAX_PARTS];
    size_t n = 0;
    const cfb_mock__part *data = NULL;
    cfb_str purpose = CFB_STR_NULL;
    if (!cfb_mock__multipart(in->head->content_type, in->body, parts, &n))
        return cfb_mock__plan_refuse(p, 400, "the body must be multipart/form-data", NULL, err);
    for (size_t i = 0; i < n; i++) {
        if (cfb_str_eqz(parts[i].name, "file")) data = &parts[i];
        if (cfb_str_eqz(parts[i].name, "purpose")) purpose = parts[i].data;
    }
    if (data == NULL || data->filename.ptr == NULL)
        return cfb_mock__plan_refuse(p, 400, "'file' is a required property", "file", err);
    if (!cfb_str_eqz(purpose, "batch"))
        return cfb_mock__plan_refuse(p, 400, "purpose must be \"batch\": the mock has no use for others", "purpose", err);
    if (data->data.len > CFB_MOCK__MAX_FILE) return cfb_mock__plan_refuse(p, 413, "the file is larger than 200 MiB", "file", err);
    cfb_err why = CFB_ERR_INIT;
    const file *f = add_file(j, data->filename, purpose, data->data, &why);
    if (f != NULL) return show_file(f, p, err);
    if (why.code == CFB_ELIMIT) return cfb_mock__plan_refuse(p, 400, why.msg, "file", err);
    return cfb_err_set(err, why.code, "%s", why.msg);
}

static cfb_code delete_file(cfb_mock__jobs *j, file *f, cfb_mock__plan *p, cfb_err *err) {
    free(f->data);
    f->data = NULL;
    j->bytes -= f->len;
    return cfb_buf_printf(&p->body, err, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}", f->id);
}

static cfb_code list_files(const cfb_mock__jobs *j, cfb_mock__plan *p, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, &p->body, 0);
    cfb_jw_obj(&w);
    member(&w, "object", "list");
    cfb_jw_key(&w, "data");
    cfb_jw_arr(&w);
    for (size_t i = j->n_files; i-- > 0;)
        if (j->files[i].data != NULL) write_file(&j->files[i], &w);
    cfb_jw_end_arr(&w);
    cfb_jw_key(&w, "has_more");
    cfb_jw_bool(&w, false);
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

/* rest: what follows "/files" in the path. */
static cfb_code plan_files(cfb_mock__jobs *j, cfb_str rest, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    if (rest.len == 0) {
        if (in->method == CFB_MOCK__POST) return upload(j, in, p, err);
        return in->method == CFB_MOCK__GET ? list_files(j, p, err) : cfb_mock__plan_refuse(p, 405, NULL, NULL, err);
    }
    cfb_str id = {rest.ptr + 1, rest.len - 1};
    const char *slash = memchr(id.ptr, '/', id.len);
    cfb_str tail = slash != NULL ? (cfb_str){slash, id.len - (size_t)(slash - id.ptr)} : CFB_STR_LIT("");
    id.len -= tail.len;
    file *f = find_file(j, id);
    if (f == NULL) return cfb_mock__plan_refuse(p, 404, "no such file", "id", err);
    if (cfb_str_eqz(tail, "/content") && in->method == CFB_MOCK__GET) {
        p->content_type = "application/octet-stream";
        return cfb_buf_append(&p->body, f->data, f->len, err);
    }
    if (tail.len > 0) return cfb_mock__plan_refuse(p, 404, NULL, NULL, err);
    if (in->method == CFB_MOCK__GET) return show_file(f, p, err);
    return in->method == CFB_MOCK__DELETE ? delete_file(j, f, p, err) : cfb_mock__plan_refuse(p, 405, NULL, NULL, err);
}

/* ---- batches ---- */

/* Shares of the delay after which a batch goes on to its next state. */
#define VALIDATED 0.1
#define ANSWERED 0.9

typedef struct standing {
    const char *status;
    double share; /* of the rows that are done */
    bool ended;
} standing;

static int64_t after(const cfb_mock__jobs *j, const batch *b, double share) {
    return b->created_ns + (int64_t)(j->delay_s * share * 1e9);
}

static double share_at(const cfb_mock__jobs *j, const batch *b, int64_t now) {
    if (j->delay_s <= 0) return 1;
    double t = (double)(now - b->created_ns) * 1e-9 / j->delay_s;
    double share = (t - VALIDATED) / (ANSWERED - VALIDATED);
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static standing stand(const cfb_mock__jobs *j, const batch *b, int64_t now) {
    if (b->cancel_ns != 0) {
        bool ended = now >= b->cancel_ns + (int64_t)(j->delay_s * VALIDATED * 1e9);
        return (standing){ended ? "cancelled" : "cancelling", share_at(j, b, b->cancel_ns), ended};
    }
    if (now < after(j, b, VALIDATED)) return (standing){"validating", 0, false};
    if (b->ran && b->result.n_errors > 0) return (standing){"failed", 0, true};
    if (now < after(j, b, ANSWERED)) return (standing){"in_progress", share_at(j, b, now), false};
    if (now < after(j, b, 1)) return (standing){"finalizing", 1, false};
    return (standing){"completed", 1, true};
}

/* Answers the rows, once, and makes the files when the batch has ended. */
static cfb_code bring_up(cfb_mock__jobs *j, cfb_mock__model *m, batch *b, int64_t now, standing *s, cfb_err *err) {
    *s = stand(j, b, now);
    cfb_code rc = CFB_OK;
    if (!b->ran && (s->ended || strcmp(s->status, "validating") != 0)) {
        const file *in = find_file(j, cfb_str_from(b->input));
        cfb_str data = in != NULL ? (cfb_str){in->data, in->len} : CFB_STR_LIT("");
        rc = cfb_mock__batch_run(m, b->endpoint, data, j->seed, &b->result, err);
        b->ran = rc == CFB_OK;
        *s = stand(j, b, now);
    }
    if (rc != CFB_OK || !s->ended || b->result.n_errors > 0 || b->output[0] != '\0' || b->errors_file[0] != '\0') return rc;
    cfb_buf files[2] = {CFB_BUF_INIT(CFB_MOCK__MAX_STORE), CFB_BUF_INIT(CFB_MOCK__MAX_STORE)};
    rc = cfb_mock__batch_files(&b->result, s->share, &files[0], &files[1], err);
    char *ids[2] = {b->output, b->errors_file};
    static const char *const names[] = {"output.jsonl", "error.jsonl"};
    for (int i = 0; i < 2 && rc == CFB_OK; i++) {
        if (files[i].len == 0) continue;
        const file *f = add_file(j, cfb_str_from(names[i]), CFB_STR_LIT("batch_output"), cfb_buf_str(&files[i]), err);
        if (f == NULL)
            rc = CFB_ENOMEM;
        else
            memcpy(ids[i], f->id, ID_BYTES);
    }
    cfb_buf_free(&files[0]);
    cfb_buf_free(&files[1]);
    return rc;
}

/* A moment of the batch's life, or null when it has not come. */
static void write_time(cfb_jw *w, const char *key, const batch *b, int64_t at_ns, bool come) {
    cfb_jw_key(w, key);
    if (come)
        cfb_jw_int(w, (b->created_ms + (at_ns - b->created_ns) / 1000000) / 1000);
    else
        cfb_jw_null(w);
}

static void write_errors(cfb_jw *w, const batch *b) {
    cfb_jw_key(w, "errors");
    if (!b->ran || b->result.n_errors == 0) {
        cfb_jw_null(w);
        return;
    }
    cfb_jw_obj(w);
    member(w, "object", "list");
    cfb_jw_key(w, "data");
    cfb_jw_arr(w);
    for (size_t i = 0; i < b->result.n_errors; i++) {
        cfb_jw_obj(w);
        member(w, "code", b->result.errors[i].code);
        member(w, "message", b->result.errors[i].message);
        member(w, "param", NULL);
        if (b->result.errors[i].line > 0)
            member_int(w, "line", (int64_t)b->result.errors[i].line);
        else
            member(w, "line", NULL);
        cfb_jw_end_obj(w);
    }
    cfb_jw_end_arr(w);
    cfb_jw_end_obj(w);
}

static void write_counts(cfb_jw *w, const batch *b, const standing *s) {
    size_t total = 0, completed = 0, failed = 0;
    if (b->ran && b->result.n_errors == 0) {
        total = b->result.n_rows;
        cfb_mock__batch_counts(&b->result, s->share, &completed, &failed);
    }
    cfb_jw_key(w, "request_counts");
    cfb_jw_obj(w);
    member_int(w, "total", (int64_t)total);
    member_int(w, "completed", (int64_t)completed);
    member_int(w, "failed", (int64_t)failed);
    cfb_jw_end_obj(w);
}

static cfb_code write_batch(const cfb_mock__jobs *j, const batch *b, const standing *s, int64_t now, cfb_buf *out, cfb_err *err) {
    bool failed = strcmp(s->status, "failed") == 0, cancelled = b->cancel_ns != 0;
    int64_t last = cancelled ? b->cancel_ns : now;
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    cfb_jw_obj(&w);
    member(&w, "id", b->id);
    member(&w, "object", "batch");
    member(&w, "endpoint", cfb_mock__endpoint_url(b->endpoint));
    write_errors(&w, b);
    member(&w, "input_file_id", b->input);
    member(&w, "completion_window", "24h");
    member(&w, "status", s->status);
    member(&w, "output_file_id", b->output);
    member(&w, "error_file_id", b->errors_file);
    member_int(&w, "created_at", b->created_ms / 1000);
    write_time(&w, "in_progress_at", b, after(j, b, VALIDATED), !failed && last >= after(j, b, VALIDATED));
    member_int(&w, "expires_at", b->created_ms / 1000 + 86400);
    write_time(&w, "finalizing_at", b, after(j, b, ANSWERED), !failed && !cancelled && last >= after(j, b, ANSWERED));
    write_time(&w, "completed_at", b, after(j, b, 1), strcmp(s->status, "completed") == 0);
    write_time(&w, "failed_at", b, after(j, b, VALIDATED), failed);
    member(&w, "expired_at", NULL);
    write_time(&w, "cancelling_at", b, b->cancel_ns, cancelled);
    write_time(&w, "cancelled_at", b, b->cancel_ns + (int64_t)(j->delay_s * VALIDATED * 1e9), cancelled && s->ended);
    write_counts(&w, b, s);
    cfb_jw_key(&w, "metadata");
    cfb_jw_raw(&w, cfb_str_from(b->metadata != NULL ? b->metadata : "null"));
    cfb_jw_end_obj(&w);
    return cfb_jw_finish(&w, err);
}

static batch *find_batch(cfb_mock__jobs *j, cfb_str id) {
    for (size_t i = 0; i < j->n_batches; i++)
        if (cfb_str_eqz(id, j->batches[i].id)) return &j->batches[i];
    return NULL;
}

static cfb_code take_metadata(const cfb_json *node, batch *b, cfb_err *err) {
    if (cfb_json_kind_of(node) != CFB_JSON_OBJECT) return CFB_OK;
    cfb_buf text = CFB_BUF_INIT(65536);
    cfb_code rc = cfb_json_print(node, &text, err);
    if (rc == CFB_OK && (b->metadata = strdup(text.ptr)) == NULL) rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_buf_free(&text);
    return rc;
}

static cfb_code create(cfb_mock__jobs *j, const cfb_json *root, cfb_mock__plan *p, batch **out, cfb_err *err) {
    cfb_str input = cfb_json_str(cfb_json_get(root, "input_file_id"));
    const file *f = input.ptr != NULL ? find_file(j, input) : NULL;
    cfb_mock__endpoint endpoint;
    if (input.ptr == NULL)
        return cfb_mock__plan_refuse(p, 400, "Missing required parameter: 'input_file_id'.", "input_file_id", err);
    if (f == NULL) return cfb_mock__plan_refuse(p, 400, "no such input file", "input_file_id", err);
    if (!cfb_mock__endpoint_of(cfb_json_str(cfb_json_get(root, "endpoint")), &endpoint))
        return cfb_mock__plan_refuse(p, 400, "endpoint must be /v1/chat/completions or /v1/embeddings", "endpoint", err);
    if (!cfb_str_eqz(cfb_json_str(cfb_json_get(root, "completion_window")), "24h"))
        return cfb_mock__plan_refuse(p, 400, "completion_window must be 24h", "completion_window", err);
    if (j->n_batches == MAX_BATCHES) return cfb_mock__plan_refuse(p, 400, "the mock keeps at most 1000 batches", NULL, err);
    batch *b = &j->batches[j->n_batches];
    *b = (batch){.endpoint = endpoint, .created_ns = cfb_now_ns(), .created_ms = cfb_wall_ms()};
    cfb_code rc = take_metadata(cfb_json_get(root, "metadata"), b, err);
    if (rc != CFB_OK) return rc;
    memcpy(b->input, f->id, ID_BYTES);
    snprintf(b->id, sizeof b->id, "batch_mock%06zu", ++j->n_batches);
    *out = b;
    return CFB_OK;
}

static cfb_code plan_create(cfb_mock__jobs *j, cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_err why = CFB_ERR_INIT;
    batch *b = NULL;
    if (cfb_json_parse(in->body.ptr, in->body.len, 0, &root, &why) != CFB_OK)
        return cfb_mock__plan_refuse(p, 400, why.msg, NULL, err);
    cfb_code rc = create(j, root, p, &b, err);
    cfb_json_free(root);
    if (rc != CFB_OK || b == NULL) return rc;
    standing s;
    int64_t now = b->created_ns;
    rc = bring_up(j, m, b, now, &s, err);
    return rc == CFB_OK ? write_batch(j, b, &s, now, &p->body, err) : rc;
}

static cfb_code list_batches(cfb_mock__jobs *j, cfb_mock__model *m, cfb_mock__plan *p, cfb_err *err) {
    cfb_code rc = cfb_buf_append_str(&p->body, CFB_STR_LIT("{\"object\":\"list\",\"data\":["), err);
    int64_t now = cfb_now_ns();
    for (size_t i = j->n_batches; i-- > 0 && rc == CFB_OK;) {
        standing s;
        rc = bring_up(j, m, &j->batches[i], now, &s, err);
        if (rc == CFB_OK) rc = write_batch(j, &j->batches[i], &s, now, &p->body, err);
        if (rc == CFB_OK && i > 0) rc = cfb_buf_append_char(&p->body, ',', err);
    }
    return rc == CFB_OK ? cfb_buf_append_str(&p->body, CFB_STR_LIT("],\"has_more\":false}"), err) : rc;
}

static cfb_code plan_batches(cfb_mock__jobs *j, cfb_mock__model *m, cfb_str rest, const cfb_mock__input *in, cfb_mock__plan *p,
                             cfb_err *err) {
    if (rest.len == 0) {
        if (in->method == CFB_MOCK__POST) return plan_create(j, m, in, p, err);
        return in->method == CFB_MOCK__GET ? list_batches(j, m, p, err) : cfb_mock__plan_refuse(p, 405, NULL, NULL, err);
    }
    cfb_str id = {rest.ptr + 1, rest.len - 1};
    bool cancel = id.len > 7 && memcmp(id.ptr + id.len - 7, "/cancel", 7) == 0;
    if (cancel) id.len -= 7;
    batch *b = find_batch(j, id);
    if (b == NULL) return cfb_mock__plan_refuse(p, 404, "no such batch", "id", err);
    if (in->method != (cancel ? CFB_MOCK__POST : CFB_MOCK__GET)) return cfb_mock__plan_refuse(p, 405, NULL, NULL, err);
    standing s;
    int64_t now = cfb_now_ns();
    cfb_code rc = bring_up(j, m, b, now, &s, err);
    if (rc == CFB_OK && cancel && s.ended)
        return cfb_mock__plan_refuse(p, 400, "the batch has ended: it cannot be cancelled", NULL, err);
    if (rc == CFB_OK && cancel && b->cancel_ns == 0) {
        b->cancel_ns = now;
        rc = bring_up(j, m, b, now, &s, err);
    }
    return rc == CFB_OK ? write_batch(j, b, &s, now, &p->body, err) : rc;
}

cfb_code cfb_mock__jobs_plan(cfb_mock__jobs *j, cfb_mock__model *m, const cfb_mock__input *in, cfb_mock__plan *p, cfb_err *err) {
    bool files = in->route == CFB_MOCK__ROUTE_FILES;
    cfb_str rest = cfb_mock__path_after(cfb_mock__strip_base(in->head->path), files ? "/files" : "/batches");
    pthread_mutex_lock(&j->lock);
    cfb_code rc = files ? plan_files(j, rest, in, p, err) : plan_batches(j, m, rest, in, p, err);
    pthread_mutex_unlock(&j->lock);
    return rc;
}
