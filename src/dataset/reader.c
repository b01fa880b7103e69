/* reader.c - opening a reader: which format is it, and the rows that all formats share. */
#include "dataset/internal.h"

#include "cfbench/json.h"

#include <stdlib.h>
#include <strings.h>

#define MAX_PEEK ((size_t)16 << 20)

/* ---- rows ---- */

cfb_code cfb_reader__add_row(cfb_reader_t *r, uint64_t line, cfb_str **cells, cfb_err *err) {
    size_t k = r->opts.n_columns;
    if (r->n_rows == r->cap_rows) {
        size_t cap = r->cap_rows ? r->cap_rows * 2 : 64, n, bytes;
        if (!cfb_size_mul(cap, k ? k : 1, &n) || !cfb_size_mul(n, sizeof(cfb_str), &bytes))
            return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        cfb_str *c = realloc(r->cells, bytes);
        if (c) r->cells = c;
        uint64_t *l = c ? realloc(r->lines, cap * sizeof *l) : NULL;
        if (l) r->lines = l;
        if (l == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory (%zu bytes wanted)", bytes);
        r->cap_rows = cap;
    }
    *cells = r->cells + r->n_rows * k;
    for (size_t i = 0; i < k; i++) (*cells)[i] = CFB_STR_NULL;
    r->lines[r->n_rows] = line;
    return CFB_OK;
}

void cfb_reader__finish_row(cfb_reader_t *r, size_t bytes) {
    r->n_rows++;
    r->batch_bytes = bytes > SIZE_MAX - r->batch_bytes ? SIZE_MAX : r->batch_bytes + bytes;
}

bool cfb_reader__batch_full(const cfb_reader_t *r) {
    return r->n_rows >= r->opts.batch_rows || r->batch_bytes > r->opts.batch_bytes;
}

size_t cfb_reader__window_target(const cfb_reader_t *r) {
    size_t slack = (size_t)64 * 1024;
    return r->opts.batch_bytes > SIZE_MAX / 4 ? SIZE_MAX / 4 : r->opts.batch_bytes + slack;
}

size_t cfb_reader__max_record(const cfb_reader_t *r) {
    size_t slack = (size_t)1 << 20;
    return r->opts.max_field_bytes > SIZE_MAX / 16 ? SIZE_MAX / 4 : r->opts.max_field_bytes * 4 + slack;
}

size_t cfb_reader__find(const cfb_reader_t *r, cfb_str name, size_t from) {
    while (from < r->opts.n_columns && !cfb_str_eq(r->names[from], name)) from++;
    return from;
}

static cfb_code capture_columns(cfb_reader_t *r, const cfb_str *have, size_t n_have, cfb_err *err) {
    r->captured = cfb_arena_calloc(r->capture, n_have, sizeof *r->captured);
    if (r->captured == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < n_have && rc == CFB_OK; i++) rc = cfb_arena_dup(r->capture, have[i], &r->captured[i], err);
    r->n_captured = n_have;
    return rc;
}

cfb_code cfb_reader__check_columns(cfb_reader_t *r, const char *where, const cfb_str *have, size_t n_have, cfb_err *err) {
    if (r->capture) return capture_columns(r, have, n_have, err);
    size_t missing = 0;
    while (missing < r->opts.n_columns && (r->has[missing] || !r->required[missing])) missing++;
    if (missing == r->opts.n_columns) return CFB_OK;
    cfb_buf list = CFB_BUF_INIT(512);
    for (size_t k = 0; k < n_have; k++) { /* a list that is too long for a message is cut */
        cfb_str name = have[k].len ? have[k] : CFB_STR_LIT("(unnamed)");
        if (cfb_buf_printf(&list, NULL, "%s%.*s", k ? ", " : "", CFB_STR_ARG(name)) != CFB_OK) break;
    }
    cfb_code rc = cfb_err_set(err, CFB_EDATA, "%s: column '%.*s' missing (have: %.*s)", where, CFB_STR_ARG(r->names[missing]),
                              CFB_STR_ARG(cfb_buf_str(&list)));
    cfb_buf_free(&list);
    return rc;
}

void *cfb_reader__new_state(cfb_reader_t *r, const cfb_format *format, size_t size, cfb_source_t *src, cfb_err *err) {
    void *state = calloc(1, size);
    if (state == NULL) {
        cfb_source__close(src);
        cfb_err_set(err, CFB_ENOMEM, "out of memory");
        return NULL;
    }
    r->format = format;
    r->state = state;
    r->file = cfb_source__path(src);
    return state;
}

/* ---- which format ---- */

static bool ends_with(const char *s, size_t len, const char *suffix) {
    size_t n = strlen(suffix);
    return len >= n && strncasecmp(s + len - n, suffix, n) == 0;
}

/* Length of the path without a suffix of compression. */
static size_t stem_length(const char *path) {
    static const char *const packed[] = {".gz", ".zst", ".zstd"};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (ends_with(path, len, packed[i])) return len - strlen(packed[i]);
    return len;
}

typedef cfb_code (*open_fn)(cfb_reader_t *, cfb_source_t *, cfb_err *);

static cfb_code open_arrow(cfb_reader_t *r, cfb_source_t *src, cfb_err *err) { return cfb_arrow__open(r, src, NULL, 0, err); }

static open_fn format_of_suffix(const char *path) {
    static const struct {
        const char *suffix;
        open_fn open;
    } table[] = {{".arrow", open_arrow},      {".feather", open_arrow},     {".csv", cfb_csv__open},
                 {".jsonl", cfb_jsonl__open}, {".ndjson", cfb_jsonl__open}, {".json", cfb_jsonlist__open}};
    size_t len = stem_length(path);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (ends_with(path, len, table[i].suffix)) return table[i].open;
    return NULL;
}

/* Formats that people may well hand over, told by their first bytes, with what to do instead. */
static const char *foreign_format(cfb_str head) {
    static const struct {
        const char *magic;
        size_t len;
        const char *advice;
    } table[] = {
        {"PAR1", 4, "Parquet is not supported; write it as CSV, JSON Lines or Arrow (save_to_disk)"},
        {"FEA1", 4, "Feather version 1 is not supported; write Feather version 2 (Arrow IPC)"},
        {"PK\x03\x04", 4, "zip files are not supported; unpack it, or use .gz or .zst"},
        {"\xFD"
         "7zXZ",
         5, "xz is not supported; unpack it, or use .gz or .zst"},
        {"BZh", 3, "bzip2 is not supported; unpack it, or use .gz or .zst"},
        {"\x04\x22\x4D\x18", 4, "lz4 files are not supported; unpack it, or use .gz or .zst"},
        {"\x1f\x8b", 2, "it is compressed twice; unpack it once"},
        {"\x28\xB5\x2F\xFD", 4, "it is compressed twice; unpack it once"},
        {"SQLite format 3", 15, "this is an SQLite file, not a data set"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (head.len >= table[i].len && memcmp(head.ptr, table[i].magic, table[i].len) == 0) return table[i].advice;
    return NULL;
}

static bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t skip_space(cfb_str s, size_t i) {
    while (i < s.len && is_json_space(s.ptr[i])) i++;
    return i;
}

/* Reads on until the line that starts at `start` has ended, within reason. SIZE_MAX: no end in sight. */
static cfb_code find_line_end(cfb_source_t *src, cfb_str *head, size_t start, size_t *end, cfb_err *err) {
    size_t want = head->len;
    for (;;) {
        const char *nl = memchr(head->ptr + start, '\n', head->len - start);
        if (nl != NULL) {
            *end = (size_t)(nl - head->ptr);
            return CFB_OK;
        }
        *end = SIZE_MAX;
        if (head->len < want || want >= MAX_PEEK) return CFB_OK;
        want = want < 2048 ? 4096 : want * 2;
        cfb_code rc = cfb_source__peek(src, want, head, err);
        if (rc != CFB_OK) return rc;
    }
}

/* Text that starts with '{': JSON Lines if the first line is an object and the next one begins with '{' again. */
static cfb_code looks_like_lines(cfb_source_t *src, cfb_str head, size_t start, bool *lines, cfb_err *err) {
    size_t end;
    cfb_code rc = find_line_end(src, &head, start, &end, err);
    if (rc != CFB_OK) return rc;
    *lines = false;
    if (end == SIZE_MAX) return CFB_OK;
    if (cfb_json_check(head.ptr + start, end - start, 0, NULL) != CFB_OK) return CFB_OK;
    rc = cfb_source__peek(src, end + 4096, &head, err);
    if (rc != CFB_OK) return rc;
    size_t next = skip_space(head, end);
    *lines = next < head.len && head.ptr[next] == '{';
    return CFB_OK;
}

/* JSON by its first two marks: '[' and then '{' or ']', or '{' and then '"' or '}'. */
static bool looks_like_json(cfb_str head, size_t i) {
    if (i >= head.len) return false;
    char open = head.ptr[i];
    size_t next = skip_space(head, i + 1);
    char second = next < head.len ? head.ptr[next] : '\0';
    return (open == '[' && (second == '{' || second == ']')) || (open == '{' && (second == '"' || second == '}'));
}

static cfb_code detect(cfb_source_t *src, open_fn *open, cfb_err *err) {
    const char *label = cfb_source__label(src);
    cfb_str head;
    cfb_code rc = cfb_source__peek(src, 4096, &head, err);
    if (rc != CFB_OK) return rc;
    open_fn by_suffix = format_of_suffix(cfb_source__path(src));
    *open = open_arrow;
    if (head.len >= 4 && memcmp(head.ptr, "\xFF\xFF\xFF\xFF", 4) == 0) return CFB_OK;
    if (head.len >= 6 && memcmp(head.ptr, "ARROW1", 6) == 0) return CFB_OK;
    const char *advice = by_suffix == open_arrow ? NULL : foreign_format(head);
    if (advice) return cfb_err_set(err, CFB_EUNSUPPORTED, "%s: %s", label, advice);
    if (head.len >= 2 && (memcmp(head.ptr, "\xFF\xFE", 2) == 0 || memcmp(head.ptr, "\xFE\xFF", 2) == 0))
        return cfb_err_set(err, CFB_EENCODING, "%s: byte 0: this is UTF-16; convert it to UTF-8", label);
    *open = by_suffix;
    if (by_suffix == open_arrow || by_suffix == cfb_jsonl__open) return CFB_OK;
    size_t i = head.len >= 3 && memcmp(head.ptr, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    i = skip_space(head, i);
    if (looks_like_json(head, i)) {
        bool lines = false;
        if (head.ptr[i] == '{') rc = looks_like_lines(src, head, i, &lines, err);
        *open = lines ? cfb_jsonl__open : cfb_jsonlist__open;
        return rc;
    }
    if (by_suffix == NULL)
        return cfb_err_set(err, CFB_EUNSUPPORTED,
                           "%s: unknown format; expected .arrow, .csv, .json or .jsonl, plain, .gz or .zst", label);
    return CFB_OK;
}

/* ---- life of a reader ---- */

static cfb_code copy_columns(cfb_reader_t *r, const cfb_reader_opts *o, cfb_err *err) {
    size_t n = o->n_columns;
    r->names = cfb_arena_calloc(r->arena, n, sizeof *r->names);
    r->required = cfb_arena_calloc(r->arena, n, sizeof *r->required);
    r->has = cfb_arena_calloc(r->arena, n, sizeof *r->has);
    r->seen = cfb_arena_calloc(r->arena, n, sizeof *r->seen);
    if (!r->names || !r->required || !r->has || !r->seen) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        r->required[i] = o->columns[i].required;
        cfb_code rc = cfb_arena_dup(r->arena, cfb_str_from(o->columns[i].name), &r->names[i], err);
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}

/* A limit of 0 would mean "nothing at all": it stands for the default. */
static void set_options(cfb_reader_t *r, const cfb_reader_opts *o) {
    static const cfb_reader_opts usual = CFB_READER_OPTS_INIT;
    r->opts = *o;
    r->opts.columns = NULL;
    if (r->opts.max_field_bytes == 0) r->opts.max_field_bytes = usual.max_field_bytes;
    if (r->opts.max_json_bytes == 0) r->opts.max_json_bytes = usual.max_json_bytes;
    if (r->opts.batch_rows == 0) r->opts.batch_rows = usual.batch_rows;
    if (r->opts.batch_bytes == 0) r->opts.batch_bytes = usual.batch_bytes;
}

static cfb_code new_reader(const cfb_reader_opts *opts, cfb_reader_t **out, cfb_err *err) {
    static const cfb_reader_opts usual = CFB_READER_OPTS_INIT;
    if (opts == NULL) opts = &usual;
    cfb_reader_t *r = calloc(1, sizeof *r);
    if (r == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    set_options(r, opts);
    cfb_code rc = cfb_arena_new(0, &r->arena, err);
    if (rc == CFB_OK) rc = cfb_arena_new(0, &r->values, err);
    if (rc == CFB_OK) rc = copy_columns(r, opts, err);
    if (rc != CFB_OK) {
        cfb_reader_close(r);
        return rc;
    }
    *out = r;
    return CFB_OK;
}

static open_fn format_by_name(const char *name) {
    static const struct {
        const char *name;
        open_fn open;
    } table[] = {{"arrow", open_arrow}, {"csv", cfb_csv__open}, {"jsonl", cfb_jsonl__open}, {"json", cfb_jsonlist__open}};
    for (size_t i = 0; name && i < sizeof table / sizeof *table; i++)
        if (strcmp(name, table[i].name) == 0) return table[i].open;
    return NULL;
}

static cfb_code open_source_as(cfb_reader_t *r, cfb_source_t *src, const char *format, cfb_err *err) {
    open_fn open = format_by_name(format);
    cfb_code rc = open ? CFB_OK : detect(src, &open, err);
    /* Standard input has no name that could tell; CSV is what text without a mark of its own most likely is. */
    if (rc == CFB_EUNSUPPORTED && open == NULL && strcmp(cfb_source__path(src), "-") == 0) {
        open = cfb_csv__open;
        rc = CFB_OK;
    }
    if (rc != CFB_OK) {
        cfb_source__close(src);
        return rc;
    }
    return open(r, src, err);
}

static cfb_code open_source(cfb_reader_t *r, cfb_source_t *src, cfb_err *err) { return open_source_as(r, src, NULL, err); }

static cfb_code open_path(cfb_reader_t *r, const char *path, const char *format, cfb_err *err) {
    const char *const *paths = NULL;
    size_t n_paths = 0;
    bool folder = cfb_path_is_dir(path);
    cfb_source_t *src = NULL;
    cfb_code rc = folder ? cfb_folder__list(r, path, &paths, &n_paths, err) : CFB_OK;
    if (rc == CFB_OK) rc = cfb_source__open(folder ? paths[0] : path, &src, err);
    if (rc != CFB_OK) return rc;
    return folder ? cfb_arrow__open(r, src, paths, n_paths, err) : open_source_as(r, src, format, err);
}

cfb_code cfb_reader__open_as(const char *path, const cfb_reader_opts *opts, const char *format, cfb_reader_t **out,
                             cfb_err *err) {
    cfb_reader_t *r;
    cfb_code rc = new_reader(opts, &r, err);
    if (rc != CFB_OK) return rc;
    rc = open_path(r, path, format, err);
    if (rc != CFB_OK) {
        cfb_reader_close(r);
        return rc;
    }
    *out = r;
    return CFB_OK;
}

cfb_code cfb_reader_open(const char *path, const cfb_reader_opts *opts, cfb_reader_t **out, cfb_err *err) {
    return cfb_reader__open_as(path, opts, NULL, out, err);
}

cfb_window *cfb_reader__text(cfb_reader_t *r, uint64_t *line) {
    if (strcmp(r->format->name, "csv") == 0) return cfb_csv__window(r, line);
    if (strcmp(r->format->name, "jsonl") == 0) return cfb_jsonl__window(r, line);
    return NULL;
}

cfb_code cfb_dataset_columns(const char *path, cfb_arena_t *arena, cfb_str **names, size_t *n, cfb_err *err) {
    cfb_reader_t *r;
    cfb_code rc = new_reader(NULL, &r, err);
    if (rc != CFB_OK) return rc;
    r->capture = arena;
    rc = open_path(r, path, NULL, err);
    *names = r->captured;
    *n = r->n_captured;
    cfb_reader_close(r);
    return rc;
}

cfb_code cfb_reader_open_memory(const char *name, const void *data, size_t len, const cfb_reader_opts *opts, cfb_reader_t **out,
                                cfb_err *err) {
    cfb_reader_t *r;
    cfb_code rc = new_reader(opts, &r, err);
    if (rc != CFB_OK) return rc;
    cfb_source_t *src;
    rc = cfb_source__open_memory(name, data, len, &src, err);
    if (rc == CFB_OK) rc = open_source(r, src, err);
    if (rc != CFB_OK) {
        cfb_reader_close(r);
        return rc;
    }
    *out = r;
    return CFB_OK;
}

cfb_code cfb_reader_next(cfb_reader_t *r, cfb_rows *rows, cfb_err *err) {
    memset(rows, 0, sizeof *rows);
    if (r->dead) return cfb_err_set(err, CFB_EBUG, "a reader was used again after its error");
    r->first_row += r->n_rows;
    r->n_rows = r->batch_bytes = 0;
    cfb_arena_reset(r->values);
    cfb_code rc = r->format->next(r, err);
    if (rc != CFB_OK) {
        r->dead = true;
        return rc;
    }
    *rows = (cfb_rows){.n_rows = r->n_rows,
                       .n_columns = r->opts.n_columns,
                       .cells = r->cells,
                       .lines = r->lines,
                       .file = r->file,
                       .first_row = r->first_row};
    return CFB_OK;
}

void cfb_reader_close(cfb_reader_t *r) {
    if (r == NULL) return;
    if (r->format && r->state) r->format->close(r);
    cfb_arena_free(r->arena);
    cfb_arena_free(r->values);
    free(r->cells);
    free(r->lines);
    free(r);
}

const char *cfb_reader_format(const cfb_reader_t *r) { return r->format->name; }
bool cfb_reader_has_column(const cfb_reader_t *r, size_t i) { return i < r->opts.n_columns && r->has[i]; }
