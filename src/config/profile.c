/* profile.c - --profile: what `cfbench tune` found, between the defaults and the config file. */
#include "config/options.h"

#include <stdlib.h>

#define PROFILE_FILE_MAX ((size_t)1 << 20)

/* Variables of OpenMP and BLAS are read before main: they are set, and the program begins again. */
static bool may_set(cfb_str name) {
    static const char *const beginnings[] = {"OMP_", "GOMP_", "KMP_", "OPENBLAS_"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t n = strlen(beginnings[i]);
        if (name.len > n && memcmp(name.ptr, beginnings[i], n) == 0) return true;
    }
    return false;
}

static cfb_code set_environment(cfb_loader *l, const char *path, const cfb_json *list, cfb_err *err) {
    for (const cfb_json *m = cfb_json_first(list); m != NULL; m = cfb_json_next(m)) {
        cfb_str name = cfb_json_key(m), value = cfb_json_str(m);
        if (value.ptr == NULL || !may_set(name))
            return cfb_err_set(err, CFB_ECONFIG, "%s: \"x-environment\" may set OMP_..., GOMP_..., KMP_... and OPENBLAS_... only",
                               path);
        if (getenv(name.ptr) != NULL) continue; /* what the user set holds */
        if (setenv(name.ptr, value.ptr, 0) != 0) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        l->c->begin_again = true;
    }
    return CFB_OK;
}

static cfb_code read_profile(cfb_loader *l, const char *path, cfb_str text, cfb_err *err) {
    cfb_json *root = NULL;
    char here[CFB_MACHINE_KEY_SIZE];
    cfb_code rc = cfb_loader_read_json(l, path, text, err); /* says what is wrong with the JSON */
    if (rc == CFB_OK) rc = cfb_json_parse(text.ptr, text.len, 0, &root, err);
    if (rc != CFB_OK) return rc;
    cfb_str machine = cfb_json_str(cfb_json_get(root, "x-machine"));
    cfb_machine_key(here);
    if (machine.ptr == NULL)
        rc = cfb_err_set(err, CFB_ECONFIG, "%s: not a profile: it names no machine (\"x-machine\"); --config reads any options",
                         path);
    else if (!cfb_str_eqz(machine, here))
        cfb_log(CFB_LOG_WARN, "--profile %s was tuned on another machine (%.*s; this one: %s); `cfbench tune` makes one for this",
                path, CFB_STR_ARG(machine), here);
    const cfb_json *own = l->c->command == CFB_CMD_EMBED ? cfb_json_get(root, "x-embed") : NULL;
    if (rc == CFB_OK && own) rc = cfb_loader_read_members(l, path, own, err);
    if (rc == CFB_OK) rc = set_environment(l, path, cfb_json_get(own ? own : root, "x-environment"), err);
    cfb_json_free(root);
    return rc;
}

cfb_code cfb_loader_read_profile(cfb_loader *l, const char *path, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(CFB_FILE_SLACK + PROFILE_FILE_MAX);
    cfb_code rc = cfb_file_read(path, PROFILE_FILE_MAX, &text, err);
    if (rc == CFB_OK)
        rc = read_profile(l, path, cfb_buf_str(&text), err);
    else {
        cfb_err_add_context(err, "--profile");
        if (rc != CFB_ENOMEM && rc != CFB_EACCESS) rc = CFB_ECONFIG;
        if (err != NULL) err->code = rc;
    }
    cfb_buf_free(&text);
    return rc;
}
