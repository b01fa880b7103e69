/* load.c - the sources below the command line: defaults, config file, environment. */
#include "config/options.h"

#include <stdlib.h>

extern char **environ;

#define CONFIG_FILE_MAX ((size_t)1 << 20)
#define ARENA_MAX ((size_t)64 << 20)

cfb_code cfb_loader_init(cfb_loader *l, cfb_command command, cfb_config *out, cfb_err *err) {
    memset(l, 0, sizeof *l);
    memset(out, 0, sizeof *out);
    l->c = out;
    out->command = command;
    return cfb_arena_new(ARENA_MAX, &out->arena, err);
}

cfb_code cfb_loader_defaults(cfb_loader *l, cfb_err *err) {
    for (int for_command = 0; for_command <= 1; for_command++) /* the command's own row of a name goes last and wins */
        for (size_t i = 0; i < cfb_opts_count; i++) {
            const cfb_opt *o = &cfb_opts[i];
            if ((o->flags & OPT_ACTION) != 0 || cfb_opt_is_for(o, l->c->command) != (for_command == 1)) continue;
            bool is_text = o->type == OPT_STRING || o->type == OPT_ENUM || o->type == OPT_PATH;
            if (o->def == NULL && o->type == OPT_LIST) *(cfb_string_list *)cfb_opt_field(o, l->c) = (cfb_string_list){NULL, 0};
            if (o->def == NULL && is_text) *(const char **)cfb_opt_field(o, l->c) = NULL;
            if (o->def == NULL) continue;
            cfb_code rc = cfb_loader_set_text(l, o, o->def, RANK_DEFAULT, "the defaults", err);
            if (rc != CFB_OK) return rc;
        }
    return CFB_OK;
}

cfb_rank cfb_loader_rank(const cfb_loader *l, const char *name) {
    const cfb_opt *o = cfb_opt_find(name, strlen(name), l->c->command);
    return o != NULL ? l->rank[o - cfb_opts] : RANK_DEFAULT;
}

static cfb_code unknown_member(const char *file, const char *member, cfb_err *err) {
    const char *names[CFB_OPTS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < cfb_opts_count; i++)
        if ((cfb_opts[i].flags & OPT_NO_FILE) == 0) names[n++] = cfb_opts[i].name;
    char near[160], cut[CFB_SHOWN_SIZE];
    cfb_suggest(member, names, n, "", near, sizeof near);
    return cfb_err_set(err, CFB_ECONFIG, "%s: unknown member \"%s\"%s%s", file, cfb_shown(member, cut), near,
                       near[0] != '\0' ? "" : "; members are the long names of options ('cfbench --help'), or begin with x-");
}

/* An option that means something else to this command, such as the model of `cache`: a config file speaks of the other one. */
static bool is_for_others(const cfb_opt *o) {
    if ((o->flags & OPT_NO_FILE) == 0) return false;
    for (size_t i = 0; i < cfb_opts_count; i++)
        if ((cfb_opts[i].flags & OPT_NO_FILE) == 0 && strcmp(cfb_opts[i].name, o->name) == 0) return true;
    return false;
}

static cfb_code read_member(cfb_loader *l, const char *file, const cfb_json *node, cfb_err *err) {
    cfb_str key = cfb_json_key(node);
    if (key.len >= 2 && memcmp(key.ptr, "x-", 2) == 0) return CFB_OK;
    const cfb_opt *o = cfb_opt_find(key.ptr, key.len, l->c->command);
    if (o != NULL && is_for_others(o)) return CFB_OK;
    if (o != NULL && (o->flags & OPT_SECRET) != 0)
        return cfb_err_set(err, CFB_ECONFIG,
                           "%s: \"%s\" does not belong in a config file, which gets copied and shared; use the variable %s or "
                           "the member \"api-key-file\"",
                           file, o->name, o->alias);
    if (o != NULL && (o->flags & OPT_HIDDEN) != 0)
        return cfb_err_set(err, CFB_ECONFIG,
                           "%s: \"%s\" does not belong in a config file, which gets copied and shared; use the variable %s", file,
                           o->name, o->alias);
    if (o != NULL && (o->flags & OPT_NO_FILE) != 0)
        return cfb_err_set(err, CFB_ECONFIG, "%s: \"%s\" works only on the command line, not in a config file", file, o->name);
    if (o == NULL) return unknown_member(file, key.ptr, err);
    char where[256];
    snprintf(where, sizeof where, "%s: \"%s\"", file, o->name);
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(l->c->arena, cfb_str_from(where), &copy, err);
    if (rc != CFB_OK) return rc;
    return cfb_loader_set_json(l, o, node, RANK_FILE, copy.ptr, err);
}

cfb_code cfb_loader_read_members(cfb_loader *l, const char *name, const cfb_json *object, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (cfb_json_kind_of(object) != CFB_JSON_OBJECT)
        return cfb_err_set(err, CFB_ECONFIG, "%s: must be a JSON object with options as members, not %s", name,
                           cfb_json_kind_name(object));
    for (const cfb_json *m = cfb_json_first(object); m != NULL && rc == CFB_OK; m = cfb_json_next(m))
        rc = read_member(l, name, m, err);
    return rc;
}

cfb_code cfb_loader_read_json(cfb_loader *l, const char *name, cfb_str text, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_code rc = cfb_json_parse(text.ptr, text.len, 0, &root, err);
    if (rc != CFB_OK) {
        cfb_err_add_context(err, "%s", name);
        if (rc == CFB_ENOMEM) return rc;
        if (err != NULL) err->code = CFB_ECONFIG;
        return CFB_ECONFIG;
    }
    rc = cfb_loader_read_members(l, name, root, err);
    cfb_json_free(root);
    return rc;
}

/* A config file that is missing or too large is a wrong configuration, not wrong input data. */
cfb_code cfb_loader_read_file(cfb_loader *l, const char *path, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(CFB_FILE_SLACK + CONFIG_FILE_MAX);
    cfb_code rc = cfb_file_read(path, CONFIG_FILE_MAX, &text, err);
    if (rc != CFB_OK) {
        cfb_err_add_context(err, "--config");
        if (rc != CFB_ENOMEM && rc != CFB_EACCESS) rc = CFB_ECONFIG;
        if (err != NULL) err->code = rc;
    } else {
        rc = cfb_loader_read_json(l, path, cfb_buf_str(&text), err);
    }
    cfb_buf_free(&text);
    return rc;
}

/* A misspelt variable would be without effect and without a word: warn, but only where one is near. */
static void warn_unknown_variables(void) {
    char names[CFB_OPTS_MAX][CFB_ENV_NAME_MAX];
    const char *known[CFB_OPTS_MAX];
    for (size_t i = 0; i < cfb_opts_count; i++) {
        cfb_opt_env_name(&cfb_opts[i], names[i]);
        known[i] = names[i];
    }
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        if (strncmp(*e, "CFBENCH_", 8) != 0) continue;
        char name[CFB_ENV_NAME_MAX], near[256];
        size_t len = strcspn(*e, "=");
        if (len >= sizeof name) continue;
        memcpy(name, *e, len);
        name[len] = '\0';
        bool is_known = false;
        for (const cfb_env_info *v = cfb_env_infos; v->name != NULL; v++) is_known |= strcmp(v->name, name) == 0;
        for (size_t i = 0; i < cfb_opts_count; i++)
            is_known |= (cfb_opts[i].flags & OPT_NO_ENV) == 0 && strcmp(names[i], name) == 0;
        if (is_known) continue;
        cfb_suggest(name, known, cfb_opts_count, "", near, sizeof near);
        if (near[0] != '\0') cfb_log(CFB_LOG_WARN, "the variable %s is not known and has no effect%s", name, near);
    }
}

static cfb_code read_variable(cfb_loader *l, const cfb_opt *o, const char *name, cfb_rank rank, cfb_err *err) {
    const char *text = getenv(name);
    if (text == NULL || text[0] == '\0') return CFB_OK;
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(l->c->arena, cfb_str_from(name), &copy, err);
    if (rc != CFB_OK) return rc;
    return cfb_loader_set_text(l, o, text, rank, copy.ptr, err);
}

cfb_code cfb_loader_read_env(cfb_loader *l, cfb_err *err) {
    for (size_t i = 0; i < cfb_opts_count; i++) {
        const cfb_opt *o = &cfb_opts[i];
        /* Of two rows of one name only the command's own is read, or the first. */
        if ((o->flags & OPT_NO_ENV) != 0 || cfb_opt_find(o->name, strlen(o->name), l->c->command) != o) continue;
        char name[CFB_ENV_NAME_MAX];
        cfb_opt_env_name(o, name);
        cfb_code rc = CFB_OK;
        if (o->alias != NULL) rc = read_variable(l, o, o->alias, RANK_ENV_ALIAS, err);
        if (rc == CFB_OK) rc = read_variable(l, o, name, RANK_ENV, err);
        if (rc != CFB_OK) return rc;
    }
    warn_unknown_variables();
    return CFB_OK;
}
