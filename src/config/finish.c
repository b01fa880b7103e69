/* finish.c - what is decided once all sources are read: preset, key, and what must hold between options. */
#include "config/options.h"

#include <errno.h>
#include <sys/stat.h>

#define KEY_FILE_MAX 8192u

static const char *where_of(const cfb_loader *l, const char *name) {
    const cfb_opt *o = cfb_opt_find(name, strlen(name), l->c->command);
    return o != NULL && l->where[o - cfb_opts] != NULL ? l->where[o - cfb_opts] : "the defaults";
}

static cfb_code apply_preset(cfb_loader *l, cfb_err *err) {
    const cfb_preset *p = l->c->preset != NULL ? cfb_preset_find(l->c->preset) : NULL;
    if (p == NULL) return CFB_OK;
    cfb_command cmd = l->c->command;
    cfb_code rc = cfb_loader_set_text(l, cfb_opt_find("max-workers", 11, cmd), p->max_workers, RANK_PRESET, "the preset", err);
    if (rc != CFB_OK) return rc;
    return cfb_loader_set_text(l, cfb_opt_find("api-rate-limit", 14, cmd), p->api_rate_limit, RANK_PRESET, "the preset", err);
}

/* The key without outer white space, as a copy. Messages never hold any of it. */
static cfb_code take_key(cfb_loader *l, cfb_str key, const char *where, cfb_err *err) {
    static const char space[] = " \t\r\n\v\f";
    while (key.len > 0 && strchr(space, key.ptr[key.len - 1]) != NULL && key.ptr[key.len - 1] != '\0') key.len--;
    while (key.len > 0 && strchr(space, key.ptr[0]) != NULL && key.ptr[0] != '\0') key.ptr++, key.len--;
    if (key.len == 0) return cfb_err_set(err, CFB_ECONFIG, "%s: there is no key in it", where);
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] <= 0x20 || (unsigned char)key.ptr[i] >= 0x7f)
            return cfb_err_set(err, CFB_ECONFIG,
                               "%s: the key holds a space, line end or other character that no key has; it must hold the "
                               "key and nothing else",
                               where);
    cfb_str copy;
    cfb_code rc = cfb_arena_dup(l->c->arena, key, &copy, err);
    if (rc == CFB_OK) l->c->api_key = copy.ptr;
    return rc;
}

static cfb_code read_key_file(cfb_loader *l, cfb_err *err) {
    const char *path = l->c->api_key_file;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        cfb_log(CFB_LOG_WARN, "%s: other users can get at this key file; 'chmod 600' keeps it to you", path);
    cfb_buf text = CFB_BUF_INIT(CFB_FILE_SLACK + KEY_FILE_MAX);
    cfb_code rc = cfb_file_read(path, KEY_FILE_MAX, &text, err);
    if (rc != CFB_OK) {
        cfb_err_add_context(err, "--api-key-file (from %s)", where_of(l, "api-key-file"));
        if (rc != CFB_ENOMEM && rc != CFB_EACCESS) rc = CFB_ECONFIG;
        if (err != NULL) err->code = rc;
    } else {
        rc = take_key(l, cfb_buf_str(&text), path, err);
    }
    if (text.ptr != NULL) memset(text.ptr, 0, text.len);
    cfb_buf_free(&text);
    return rc;
}

/* A key file on the command line goes first, then CFBENCH_API_KEY, then a key file of another source, then
 * OPENAI_API_KEY: that one is often set for other programs and must not reach the server of a configuration that names
 * its own key. */
static cfb_code resolve_key(cfb_loader *l, cfb_err *err) {
    cfb_config *c = l->c;
    if (!cfb_opt_is_for(cfb_opt_find("api-key", 7, c->command), c->command)) return CFB_OK;
    const char *from_env = c->api_key, *where = where_of(l, "api-key");
    c->api_key = NULL;
    if (c->mock) return CFB_OK;
    cfb_rank file = c->api_key_file != NULL ? cfb_loader_rank(l, "api-key-file") : RANK_DEFAULT;
    bool own_variable = from_env != NULL && cfb_loader_rank(l, "api-key") == RANK_ENV;
    if (file == RANK_COMMAND_LINE || (file > RANK_DEFAULT && !own_variable)) return read_key_file(l, err);
    return from_env != NULL ? take_key(l, cfb_str_from(from_env), where, err) : CFB_OK;
}

/* Addresses without trailing slashes. */
static cfb_code trim_addresses(cfb_config *c, cfb_err *err) {
    const char **items = cfb_arena_calloc(c->arena, c->base_urls.n, sizeof *items);
    if (items == NULL) return cfb_err_set(err, CFB_ENOMEM, "no memory for --base-url");
    for (size_t i = 0; i < c->base_urls.n; i++) {
        cfb_str url = cfb_str_from(c->base_urls.items[i]);
        while (url.len > 0 && url.ptr[url.len - 1] == '/') url.len--;
        cfb_code rc = cfb_arena_dup(c->arena, url, &url, err);
        if (rc != CFB_OK) return rc;
        items[i] = url.ptr;
    }
    c->base_urls.items = items;
    c->base_url = items[0];
    return CFB_OK;
}

/* One form of every URL, and of every way to ask for the mock. */
static cfb_code settle_server(cfb_loader *l, cfb_err *err) {
    static const char *const mock_url[] = {"mock"};
    cfb_config *c = l->c;
    if (c->base_urls.n == 0)
        return cfb_err_set(err, CFB_ECONFIG, "--base-url: the list is empty (from %s)", where_of(l, "base-url"));
    for (size_t i = 0; c->base_urls.n > 1 && i < c->base_urls.n; i++)
        if (strcmp(c->base_urls.items[i], "mock") == 0)
            return cfb_err_set(err, CFB_ECONFIG, "--base-url: mock cannot stand beside other servers (from %s)",
                               where_of(l, "base-url"));
    c->base_url = c->base_urls.items[0];
    cfb_rank url = cfb_loader_rank(l, "base-url"), mock = cfb_loader_rank(l, "mock");
    if (strcmp(c->base_url, "mock") == 0 && !c->mock) {
        if (mock > RANK_DEFAULT && mock >= url)
            return cfb_err_set(err, CFB_EUSAGE, "--no-mock (from %s) needs a server: --base-url is mock (from %s)",
                               where_of(l, "mock"), where_of(l, "base-url"));
        c->mock = true;
    }
    if (c->mock && strcmp(c->base_url, "mock") != 0 && url != RANK_ENV_ALIAS && url >= mock)
        return cfb_err_set(err, CFB_EUSAGE,
                           "--mock (from %s) and --base-url (from %s) exclude each other: leave one out, or give --no-mock",
                           where_of(l, "mock"), where_of(l, "base-url"));
    if (c->mock) c->base_urls = (cfb_string_list){mock_url, 1};
    if (c->mock && cfb_loader_rank(l, "api-rate-limit") == RANK_DEFAULT) c->api_rate_limit = 0; /* nobody pays for its calls */
    if ((c->rps > 0 || c->rpm > 0 || c->tpm > 0 || c->limiter) && cfb_loader_rank(l, "api-rate-limit") == RANK_DEFAULT)
        c->api_rate_limit = 0; /* a rate was given: it holds alone */
    return trim_addresses(c, err);
}

/* low <= high, where a default gives way to what was said. */
static cfb_code in_order(cfb_loader *l, const char *low_name, double *low, const char *high_name, double high, cfb_err *err) {
    if (*low <= high) return CFB_OK;
    if (cfb_loader_rank(l, low_name) == RANK_DEFAULT) {
        *low = high;
        return CFB_OK;
    }
    char a[32], b[32];
    cfb_format_plain(*low, a);
    cfb_format_plain(high, b);
    return cfb_err_set(err, CFB_ECONFIG, "--%s: %s s (from %s) is more than --%s: %s s (from %s)", low_name, a,
                       where_of(l, low_name), high_name, b, where_of(l, high_name));
}

/* --no-temperature and --temperature: the one of the higher source, never both of one. */
static cfb_code settle_temperature(cfb_loader *l, cfb_err *err) {
    cfb_config *c = l->c;
    cfb_rank with = cfb_loader_rank(l, "temperature"), without = cfb_loader_rank(l, "no-temperature");
    if (!c->no_temperature || with == RANK_DEFAULT) return CFB_OK;
    if (with == without)
        return cfb_err_set(err, CFB_EUSAGE, "--temperature and --no-temperature (from %s) exclude each other",
                           where_of(l, "temperature"));
    if (with > without) c->no_temperature = false;
    return CFB_OK;
}

static cfb_code settle_connection(cfb_loader *l, cfb_err *err) {
    cfb_config *c = l->c;
    if (c->client_key != NULL && c->client_cert == NULL)
        return cfb_err_set(err, CFB_ECONFIG, "--client-key (from %s) needs --client-cert", where_of(l, "client-key"));
    if (c->proxy != NULL && c->unix_socket != NULL)
        return cfb_err_set(err, CFB_ECONFIG, "--proxy (from %s) and --unix-socket (from %s) exclude each other",
                           where_of(l, "proxy"), where_of(l, "unix-socket"));
    return CFB_OK;
}

static cfb_code finish_asking(cfb_loader *l, cfb_err *err) {
    cfb_config *c = l->c;
    cfb_code rc = settle_server(l, err);
    if (rc == CFB_OK) rc = settle_connection(l, err);
    if (rc == CFB_OK) rc = in_order(l, "retry-base", &c->retry_base, "retry-max", c->retry_max, err);
    if (rc == CFB_OK) rc = in_order(l, "connect-timeout", &c->connect_timeout, "timeout", c->timeout, err);
    if (rc != CFB_OK) return rc;
    if (c->model == NULL && c->mock) c->model = "mock";
    if (c->model == NULL && !l->print_config && c->command != CFB_CMD_BATCH && c->command != CFB_CMD_DOCTOR &&
        c->command != CFB_CMD_TUNE) /* batch: only some of its steps need one; doctor then asks no server */
        return cfb_err_set(err, CFB_EUSAGE,
                           "--model is missing: name the model to ask, or give --mock for the built-in one; see 'cfbench %s "
                           "--help'",
                           cfb_command_name(c->command));
    if (cfb_loader_rank(l, "base-url") == RANK_ENV_ALIAS && strcmp(c->base_url, "mock") != 0)
        cfb_log(CFB_LOG_INFO, "the server is %s (from OPENAI_BASE_URL)", c->base_url);
    if (l->print_config) return CFB_OK; /* the key is not printed, so its file need not be there */
    rc = resolve_key(l, err);
    for (size_t i = 0; rc == CFB_OK && c->api_key != NULL && c->unix_socket == NULL && i < c->base_urls.n; i++)
        if (strncmp(c->base_urls.items[i], "http:", 5) == 0 && !cfb_url_is_loopback(c->base_urls.items[i]))
            cfb_log(CFB_LOG_WARN, "--base-url: the key is sent to %s without encryption; use https:// where it is offered",
                    c->base_urls.items[i]);
    return rc;
}

cfb_code cfb_loader_finish(cfb_loader *l, cfb_err *err) {
    cfb_config *c = l->c;
    if (c->command >= CFB_CMD_COUNT) return CFB_OK;
    cfb_code rc = apply_preset(l, err);
    if (rc == CFB_OK) rc = settle_temperature(l, err);
    if (rc == CFB_OK && cfb_opt_is_for(cfb_opt_find("base-url", 8, c->command), c->command)) rc = finish_asking(l, err);
    if (rc == CFB_OK && c->quiet && c->verbose) {
        cfb_rank q = cfb_loader_rank(l, "quiet"), v = cfb_loader_rank(l, "verbose");
        if (q == v)
            return cfb_err_set(err, CFB_EUSAGE, "--quiet and --verbose (from %s) exclude each other", where_of(l, "quiet"));
        if (q > v)
            c->verbose = false;
        else
            c->quiet = false;
    }
    return rc;
}

cfb_code cfb_config__from_json(cfb_command command, const char *name, cfb_str json, cfb_config *out, cfb_err *err) {
    cfb_loader l;
    cfb_code rc = cfb_loader_init(&l, command, out, err);
    l.print_config = true; /* no file is opened, and a model may be missing */
    if (rc == CFB_OK) rc = cfb_loader_defaults(&l, err);
    if (rc == CFB_OK) rc = cfb_loader_read_json(&l, name, json, err);
    if (rc == CFB_OK) rc = cfb_loader_finish(&l, err);
    return rc;
}
