/* cfbench verify RUN: what the run store says now, beside the files that were written then. */
#include "cfbench/json.h"
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE ((size_t)4 << 30)
#define MAX_DEPTH 16

typedef struct counts {
    size_t same, different, missing;
    cfb_buf text;
} counts;

static cfb_code say(counts *n, const char *verdict, const char *name, const char *more, cfb_err *err) {
    char line[PATH_MAX + 128];
    int len = snprintf(line, sizeof line, "%-9s %s%s\n", verdict, name, more);
    return cfb_buf_append(&n->text, line, len > 0 && (size_t)len < sizeof line ? (size_t)len : strlen(line), err);
}

/* Compares the file made now with that of the run. */
static cfb_code compare_file(const char *made, const char *kept, const char *name, counts *n, cfb_err *err) {
    if (!cfb_path_exists(kept)) {
        n->missing++;
        return say(n, "missing", name, "", err);
    }
    cfb_buf a = CFB_BUF_INIT(MAX_FILE), b = CFB_BUF_INIT(MAX_FILE);
    cfb_code rc = cfb_file_read(made, MAX_FILE, &a, err);
    if (rc == CFB_OK) rc = cfb_file_read(kept, MAX_FILE, &b, err);
    if (rc == CFB_OK) {
        size_t at = 0, most = a.len < b.len ? a.len : b.len, line = 1;
        for (; at < most && a.ptr[at] == b.ptr[at]; at++) line += a.ptr[at] == '\n';
        char more[80] = "";
        bool same = a.len == b.len && at == a.len;
        if (!same) snprintf(more, sizeof more, ": from line %zu, byte %zu on", line, at);
        n->same += same;
        n->different += !same;
        rc = say(n, same ? "same" : "different", name, more, err);
    }
    cfb_buf_free(&a);
    cfb_buf_free(&b);
    return rc;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static cfb_code list_names(const char *dir, char ***names, size_t *n, cfb_err *err) {
    DIR *d = opendir(dir);
    size_t cap = 0;
    *names = NULL;
    *n = 0;
    if (d == NULL) return cfb_err_set_errno(err, errno, "cannot read the folder %s", dir);
    cfb_code rc = CFB_OK;
    for (struct dirent *e; rc == CFB_OK && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (*n == cap) {
            cap = cap ? cap * 2 : 16;
            char **more = realloc(*names, cap * sizeof *more);
            if (more == NULL) {
                rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
                break;
            }
            *names = more;
        }
        (*names)[*n] = strdup(e->d_name);
        if ((*names)[*n] == NULL)
            rc = cfb_err_set(err, CFB_ENOMEM, "out of memory");
        else
            ++*n;
    }
    closedir(d);
    if (*n) qsort(*names, *n, sizeof **names, by_name);
    return rc;
}

/* Every file below `made`, and then it is removed. name: path below the folder that was asked for, for people. */
static cfb_code compare_and_remove(const char *made, const char *kept, const char *name, int depth, bool compare, counts *n,
                                   cfb_err *err) {
    char **names;
    size_t count;
    cfb_code rc = list_names(made, &names, &count, err);
    for (size_t i = 0; i < count; i++) {
        char a[PATH_MAX], b[PATH_MAX], shown[PATH_MAX];
        cfb_code step = cfb_path_join(a, sizeof a, made, names[i], rc == CFB_OK ? err : NULL);
        if (step == CFB_OK) step = cfb_path_join(b, sizeof b, kept, names[i], rc == CFB_OK ? err : NULL);
        if (step == CFB_OK) step = cfb_path_join(shown, sizeof shown, name[0] ? name : NULL, names[i], rc == CFB_OK ? err : NULL);
        if (step == CFB_OK && cfb_path_is_dir(a)) {
            if (depth < MAX_DEPTH)
                step = compare_and_remove(a, b, shown, depth + 1, compare && rc == CFB_OK, n, rc == CFB_OK ? err : NULL);
        } else if (step == CFB_OK) {
            if (compare && rc == CFB_OK) step = compare_file(a, b, shown, n, err);
            (void)unlink(a);
        }
        if (rc == CFB_OK) rc = step;
        free(names[i]);
    }
    free(names);
    (void)rmdir(made);
    return rc;
}

/* The name that the run's report gives its store: it may have been made from another folder. */
static cfb_code source_of(const char *dir, cfb_buf *out, cfb_err *err) {
    char path[PATH_MAX];
    cfb_buf text = CFB_BUF_INIT(MAX_FILE);
    cfb_json *root = NULL;
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "scores.json", err);
    if (rc != CFB_OK || !cfb_path_exists(path)) return rc;
    rc = cfb_file_read(path, MAX_FILE, &text, err);
    if (rc == CFB_OK && cfb_json_parse(text.ptr, text.len, 0, &root, NULL) == CFB_OK) {
        const cfb_json *task = cfb_json_first(cfb_json_get(root, "tasks"));
        cfb_str source = task ? cfb_json_str(cfb_json_get(task, "source")) : CFB_STR_NULL;
        rc = source.len ? cfb_buf_append_str(out, source, err) : CFB_OK;
    }
    cfb_json_free(root);
    cfb_buf_free(&text);
    return rc;
}

/* The language of the run's page, or of its Markdown where there is no page. Without both: English. */
static cfb_code language_of(const char *dir, cfb_report_language *language, cfb_err *err) {
    char path[PATH_MAX];
    cfb_buf text = CFB_BUF_INIT(MAX_FILE);
    *language = CFB_REPORT_EN;
    cfb_code rc = cfb_path_join(path, sizeof path, dir, "report.html", err);
    if (rc == CFB_OK && !cfb_path_exists(path)) rc = cfb_path_join(path, sizeof path, dir, "report.md", err);
    if (rc != CFB_OK || !cfb_path_exists(path)) return rc;
    rc = cfb_file_read(path, MAX_FILE, &text, err);
    if (rc == CFB_OK) *language = cfb_report_language_of(cfb_buf_str(&text));
    cfb_buf_free(&text);
    return rc;
}

static cfb_code make_again(const cfb_config *c, const char *store, const char *dir, const char *to, cfb_err *err) {
    cfb_scoring_t *s = NULL;
    cfb_buf source = CFB_BUF_INIT(PATH_MAX * 4);
    cfb_report_language language = CFB_REPORT_EN;
    cfb_code rc = source_of(dir, &source, err);
    if (rc == CFB_OK) rc = language_of(dir, &language, err);
    if (rc == CFB_OK) rc = cfb_scoring_new(c, &s, err);
    if (rc == CFB_OK) {
        cfb_scoring_set_language(s, language);
        cfb_scoring_keep_rows(s); /* and the store stays as it is */
        rc = cfb_scoring_add_store(s, store, to, CFB_EXPORT_OUTPUT | CFB_EXPORT_SCORES | CFB_EXPORT_DETAILS, err);
    }
    if (rc == CFB_OK && source.len) rc = cfb_scoring_name_source(s, source.ptr, err);
    if (rc == CFB_OK) rc = cfb_scoring_check_metrics(s, err);
    if (rc == CFB_OK) rc = cfb_scoring_write(s, to, err);
    cfb_scoring_free(s);
    cfb_buf_free(&source);
    return rc;
}

static cfb_code judge(const char *dir, const counts *n, cfb_err *err) {
    if (n->same + n->different == 0)
        return cfb_err_set(err, CFB_ENOTFOUND, "%s has no results to verify; 'cfbench report' or 'cfbench export' writes some",
                           dir);
    if (n->different)
        return cfb_err_set(
            err, CFB_EDATA,
            "%zu of %zu files are not what the run store gives; were they made with other options, or another version?",
            n->different, n->same + n->different);
    return CFB_OK;
}

cfb_code cfb_cmd_verify(const cfb_config *c, cfb_err *err) {
    char store[PATH_MAX], dir[PATH_MAX], to[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    counts n = {.text = CFB_BUF_INIT((size_t)64 << 20)};
    cfb_code rc = cfb_cli_store_path(c->args[0], store, err);
    if (rc == CFB_OK && !cfb_path_exists(store)) rc = cfb_err_set(err, CFB_ENOTFOUND, "there is no run store %s", store);
    if (rc == CFB_OK) rc = cfb_path_join(to, sizeof to, tmp && tmp[0] ? tmp : "/tmp", "cfbench-verify-XXXXXX", err);
    if (rc != CFB_OK) return rc;
    const char *base = cfb_path_base(store);
    snprintf(dir, sizeof dir, "%.*s", base == store ? 1 : (int)(base - store), base == store ? "." : store);
    if (mkdtemp(to) == NULL) return cfb_err_set_errno(err, errno, "cannot make the folder %s", to);
    rc = make_again(c, store, dir, to, err);
    int64_t begin_ns = cfb_cli_stage_begin();
    cfb_code compared = compare_and_remove(to, dir, "", 0, rc == CFB_OK, &n, rc == CFB_OK ? err : NULL);
    cfb_cli_stage_end("compare files", begin_ns);
    if (rc == CFB_OK) rc = compared;
    if (rc == CFB_OK && !c->quiet) rc = cfb_cli_print(cfb_buf_str(&n.text), err);
    if (rc == CFB_OK) rc = judge(dir, &n, err);
    cfb_buf_free(&n.text);
    return rc;
}
