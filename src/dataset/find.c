/* find.c - where a task's data lies, and the files of a save_to_disk folder. */
#include "dataset/internal.h"

#include "cfbench/json.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define STATE_BYTES ((size_t)16 << 20)

static bool is_file(const char *path) { return cfb_path_exists(path) && !cfb_path_is_dir(path); }

/* dir/name + tail, when that fits and is a file (or has `inside`, when it is a folder). */
static bool try_path(const char *dir, const char *name, const char *tail, char *path, size_t size) {
    char joined[PATH_MAX];
    if (cfb_path_join(joined, sizeof joined, dir, name, NULL) != CFB_OK) return false;
    int n = snprintf(path, size, "%s%s", joined, tail);
    return n >= 0 && (size_t)n < size && is_file(path);
}

static bool try_packed(const char *dir, const char *name, const char *tail, char *path, size_t size) {
    static const char *const packed[] = {"", ".gz", ".zst"};
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        char full[32];
        snprintf(full, sizeof full, "%s%s", tail, packed[i]);
        if (try_path(dir, name, full, path, size)) return true;
    }
    return false;
}

cfb_code cfb_dataset_find(const char *dir, const char *name, char *path_out, size_t size, cfb_err *err) {
    static const char *const tails[] = {".json", ".jsonl", ".csv", "/data.json", "/data.jsonl", "/data.csv"};
    char path[PATH_MAX];
    if (name[0] == '\0') return cfb_err_set(err, CFB_ENOTFOUND, "%s: no name of a data set was given", dir);
    bool found = try_path(dir, name, "/state.json", path, sizeof path);
    bool folder = found;
    for (size_t i = 0; i < sizeof tails / sizeof *tails && !found; i++)
        found = try_packed(dir, name, tails[i], path, sizeof path);
    if (!found) found = try_path(dir, name, "", path, sizeof path);
    /* Nothing to read, but opening it tells which splits it has. */
    if (!found) found = folder = try_path(dir, name, "/dataset_dict.json", path, sizeof path);
    if (!found)
        return cfb_err_set(err, CFB_ENOTFOUND,
                           "no data for '%.40s' in %.150s (looked for %.40s/state.json, %.40s.json, %.40s.jsonl, %.40s.csv, "
                           "%.40s/data.json, .jsonl, .csv, each also .gz or .zst, and %.40s itself)",
                           name, dir, name, name, name, name, name, name);
    return folder ? cfb_path_join(path_out, size, dir, name, err) : cfb_path_join(path_out, size, NULL, path, err);
}

/* ---- save_to_disk folders ---- */

static cfb_code read_json(const char *path, cfb_json **out, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(STATE_BYTES + 65536);
    cfb_code rc = cfb_file_read(path, STATE_BYTES, &text, err);
    if (rc == CFB_OK) {
        rc = cfb_json_parse(text.ptr, text.len, 0, out, err);
        if (rc != CFB_OK) cfb_err_add_context(err, "%.250s", path);
    }
    cfb_buf_free(&text);
    return rc;
}

static cfb_code refuse_top_folder(const char *dir, const char *dict_path, cfb_err *err) {
    cfb_json *root;
    cfb_code rc = read_json(dict_path, &root, err);
    if (rc != CFB_OK) return rc;
    cfb_buf list = CFB_BUF_INIT(400);
    const cfb_json *splits = cfb_json_get(root, "splits");
    for (const cfb_json *c = cfb_json_first(splits); c; c = cfb_json_next(c))
        if (cfb_buf_printf(&list, NULL, "%s%s", list.len ? ", " : "", cfb_json_str(c).ptr ? cfb_json_str(c).ptr : "?")) break;
    rc = cfb_err_set(err, CFB_EDATA, "%.200s: holds several splits; give the folder of one of them: %.*s", dir,
                     CFB_STR_ARG(cfb_buf_str(&list)));
    cfb_buf_free(&list);
    cfb_json_free(root);
    return rc;
}

static cfb_code add_file(cfb_reader_t *r, const char *dir, const cfb_json *entry, const char **out, cfb_err *err) {
    cfb_str name = cfb_json_str(cfb_json_get(entry, "filename"));
    char path[PATH_MAX];
    cfb_str copy;
    if (name.len == 0 || strchr(name.ptr, '/') || strcmp(name.ptr, "..") == 0)
        return cfb_err_set(err, CFB_EDATA, "%.200s/state.json: '_data_files' holds no plain file name: '%.*s'", dir,
                           CFB_STR_ARG(name));
    cfb_code rc = cfb_path_join(path, sizeof path, dir, name.ptr, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(r->arena, cfb_str_from(path), &copy, err);
    if (rc != CFB_OK) return rc;
    if (!is_file(path))
        return cfb_err_set(err, CFB_ENOTFOUND, "%.200s/state.json names %.200s, which is not there", dir, name.ptr);
    *out = copy.ptr;
    return CFB_OK;
}

static cfb_code list_files(cfb_reader_t *r, const char *dir, const cfb_json *state, const char *const **paths, size_t *n_paths,
                           cfb_err *err) {
    const cfb_json *files = cfb_json_get(state, "_data_files");
    size_t n = cfb_json_kind_of(files) == CFB_JSON_ARRAY ? cfb_json_count(files) : 0, i = 0;
    if (n == 0) return cfb_err_set(err, CFB_EDATA, "%.300s/state.json: '_data_files' lists no file", dir);
    /* Old releases kept a selection of rows beside the data; reading the data alone would give other rows. */
    if (cfb_json_count(cfb_json_get(state, "_indices_data_files")) > 0)
        return cfb_err_set(err, CFB_EUNSUPPORTED,
                           "%.300s/state.json: '_indices_data_files' is not supported; save the data set again after "
                           "flatten_indices()",
                           dir);
    const char **list = cfb_arena_calloc(r->arena, n, sizeof *list);
    if (list == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (const cfb_json *c = cfb_json_first(files); c && i < n; c = cfb_json_next(c), i++) {
        cfb_code rc = add_file(r, dir, c, &list[i], err);
        if (rc != CFB_OK) return rc;
    }
    *paths = list;
    *n_paths = n;
    return CFB_OK;
}

cfb_code cfb_folder__list(cfb_reader_t *r, const char *dir, const char *const **paths, size_t *n_paths, cfb_err *err) {
    char path[PATH_MAX];
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "state.json", err);
    if (rc != CFB_OK) return rc;
    if (!cfb_path_exists(path)) {
        char dict[PATH_MAX];
        rc = cfb_path_join(dict, sizeof dict, dir, "dataset_dict.json", err);
        if (rc != CFB_OK) return rc;
        if (cfb_path_exists(dict)) return refuse_top_folder(dir, dict, err);
        return cfb_err_set(err, CFB_ENOTFOUND, "%.300s: no state.json: not a folder that Hugging Face's save_to_disk wrote", dir);
    }
    cfb_json *state;
    rc = read_json(path, &state, err);
    if (rc != CFB_OK) return rc;
    rc = list_files(r, dir, state, paths, n_paths, err);
    cfb_json_free(state);
    return rc;
}
