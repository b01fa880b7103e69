/* cfbench cache stats|prune FILE: what a response cache holds, and removing from it. */
#include "cfbench/cache.h"
#include "cfbench/json.h"
#include "cli/cli.h"

#include <stdio.h>

struct listing {
    cfb_buf models; /* lines of the table, or items of the list */
    const char *only;
    cfb_cache_info one; /* of that model */
    bool json;
    cfb_jw w;
};

static void write_info(cfb_jw *w, const cfb_cache_info *i, bool whole) {
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"entries", i->entries},
                   {"text_bytes", i->text_bytes},
                   {"prompt_tokens", i->prompt_tokens},
                   {"completion_tokens", i->completion_tokens}};
    const struct {
        const char *name;
        int64_t ms;
    } times[] = {{"oldest", i->oldest_ms}, {"newest", i->newest_ms}, {"last_used", i->last_used_ms}};
    char text[24];
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        cfb_jw_key(w, numbers[k].name);
        cfb_jw_int(w, numbers[k].value);
    }
    if (whole) {
        cfb_jw_key(w, "file_bytes");
        cfb_jw_int(w, i->file_bytes);
    }
    for (size_t k = 0; k < sizeof times / sizeof *times; k++) {
        cfb_jw_key(w, times[k].name);
        cfb_format_utc(times[k].ms, text);
        cfb_jw_str(w, i->entries ? cfb_str_from(text) : CFB_STR_NULL);
    }
}

static void text_line(cfb_buf *b, const char *name, const cfb_cache_info *i, cfb_err *err, cfb_code *rc) {
    char oldest[24] = "-", newest[24] = "-", used[24] = "-";
    if (i->entries) {
        cfb_format_utc(i->oldest_ms, oldest);
        cfb_format_utc(i->newest_ms, newest);
        cfb_format_utc(i->last_used_ms, used);
    }
    *rc = cfb_buf_printf(b, err, "%-28s %10lld %14lld  %-20s  %-20s  %-20s\n", name, (long long)i->entries,
                         (long long)i->text_bytes, oldest, newest, used);
}

static cfb_code on_model(void *ctx, const cfb_cache_info *i, cfb_err *err) {
    struct listing *l = ctx;
    cfb_code rc = CFB_OK;
    if (l->only && strcmp(l->only, i->model) != 0) return CFB_OK;
    l->one = *i;
    if (!l->json) {
        text_line(&l->models, i->model, i, err, &rc);
        return rc;
    }
    cfb_jw_obj(&l->w);
    cfb_jw_key(&l->w, "model");
    cfb_jw_strz(&l->w, i->model);
    write_info(&l->w, i, false);
    cfb_jw_end_obj(&l->w);
    return CFB_OK;
}

static cfb_code print_stats(const cfb_config *c, cfb_cache_t *cache, cfb_err *err) {
    struct listing l = {.models = CFB_BUF_INIT(0), .only = c->model, .json = c->json};
    cfb_cache_info all;
    cfb_jw_init(&l.w, &l.models, 2);
    cfb_code rc = CFB_OK;
    if (c->json) {
        cfb_jw_obj(&l.w);
        cfb_jw_key(&l.w, "schema");
        cfb_jw_strz(&l.w, "cfbench.cache/1");
        cfb_jw_key(&l.w, "file");
        cfb_jw_strz(&l.w, c->args[1]);
        cfb_jw_key(&l.w, "models");
        cfb_jw_arr(&l.w);
    } else {
        rc = cfb_buf_printf(&l.models, err, "%-28s %10s %14s  %-20s  %-20s  %-20s\n", "model", "replies", "text bytes", "oldest",
                            "newest", "last used");
    }
    if (rc == CFB_OK) rc = cfb_cache_stats(cache, &all, on_model, &l, err);
    if (rc == CFB_OK && c->json) {
        cfb_jw_end_arr(&l.w);
        cfb_jw_key(&l.w, "all");
        cfb_jw_obj(&l.w);
        write_info(&l.w, &all, true);
        cfb_jw_end_obj(&l.w);
        cfb_jw_end_obj(&l.w);
        rc = cfb_jw_finish(&l.w, err);
        if (rc == CFB_OK) rc = cfb_buf_append_char(&l.models, '\n', err);
    } else if (rc == CFB_OK) {
        if (c->model == NULL) text_line(&l.models, "all", &all, err, &rc);
        if (rc == CFB_OK) rc = cfb_buf_printf(&l.models, err, "the file holds %lld bytes\n", (long long)all.file_bytes);
    }
    if (rc == CFB_OK) rc = cfb_cli_print(cfb_buf_str(&l.models), err);
    cfb_buf_free(&l.models);
    return rc;
}

static cfb_code prune(const cfb_config *c, cfb_cache_t *cache, cfb_err *err) {
    cfb_cache_prune_opts o = CFB_CACHE_PRUNE_INIT;
    int64_t n = 0, age_s = 0;
    if (c->older_than == NULL && c->max_bytes == NULL && c->model == NULL)
        return cfb_err_set(err, CFB_EUSAGE, "cache prune: what is to be removed? give --older-than, --max-bytes or --model");
    if (c->older_than && cfb_config_parse_age(c->older_than, &age_s)) o.before_ms = cfb_wall_ms() - age_s * 1000;
    if (c->max_bytes) (void)cfb_config_parse_size(c->max_bytes, &o.max_bytes); /* both were checked as options */
    o.model = c->model;
    cfb_code rc = cfb_cache_prune(cache, &o, &n, err);
    cfb_cache_info all;
    if (rc == CFB_OK) rc = cfb_cache_stats(cache, &all, NULL, NULL, err);
    if (rc != CFB_OK) return rc;
    cfb_buf b = CFB_BUF_INIT(0);
    if (c->json)
        rc = cfb_buf_printf(&b, err,
                            "{\n  \"schema\": \"cfbench.cache-prune/1\",\n  \"removed\": %lld,\n  \"entries\": %lld,\n"
                            "  \"file_bytes\": %lld\n}\n",
                            (long long)n, (long long)all.entries, (long long)all.file_bytes);
    else if (!c->quiet)
        rc = cfb_buf_printf(&b, err, "removed %lld repl%s; %lld are left, in %lld bytes\n", (long long)n, n == 1 ? "y" : "ies",
                            (long long)all.entries, (long long)all.file_bytes);
    if (rc == CFB_OK && b.len) rc = cfb_cli_print(cfb_buf_str(&b), err);
    cfb_buf_free(&b);
    return rc;
}

cfb_code cfb_cmd_cache(const cfb_config *c, cfb_err *err) {
    bool is_prune = strcmp(c->args[0], "prune") == 0;
    if (!is_prune && strcmp(c->args[0], "stats") != 0)
        return cfb_err_set(err, CFB_EUSAGE, "cache: '%.40s' is neither stats nor prune; see 'cfbench cache --help'", c->args[0]);
    if (!is_prune && (c->older_than || c->max_bytes))
        return cfb_err_set(err, CFB_EUSAGE, "cache stats removes nothing: --older-than and --max-bytes are for cache prune");
    cfb_cache_t *cache = NULL;
    cfb_code rc = cfb_cache_open(c->args[1], false, &cache, err);
    if (rc == CFB_OK) rc = is_prune ? prune(c, cache, err) : print_stats(c, cache, err);
    cfb_code closed = cfb_cache_close(cache, rc == CFB_OK ? err : NULL);
    return rc == CFB_OK ? closed : rc;
}
