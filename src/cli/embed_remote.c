/* embed_remote.c - vectors from a server: --embed-url. */
#include "cfbench/files.h"
#include "cfbench/pace.h"
#include "cli/cli.h"

#include <stdio.h>

static struct {
    bool is_open;
    const cfb_config *c;
    cfb_client_opts client;
    const char *url[1];
    cfb_files_t *server;
    cfb_limiter limiter;
    size_t dim;
} remote;

void cfb_cli_remote_close(void) {
    if (!remote.is_open) return;
    cfb_files_free(remote.server);
    cfb_client_global_cleanup();
    remote.is_open = false;
    remote.server = NULL;
}

static cfb_code ask(const cfb_str *texts, size_t n, cfb_buf *vectors, cfb_err *err) {
    if (!cfb_limiter_wait(&remote.limiter, &cfb_cli_stop)) return cfb_err_set(err, CFB_EINTERRUPTED, "interrupted");
    return cfb_files_embed(remote.server, remote.c->embed_name, texts, n, &remote.dim, vectors, err);
}

/* One short text, for the dimension. */
static cfb_code probe(cfb_err *err) {
    cfb_buf vectors = CFB_BUF_INIT(0);
    const cfb_str text = CFB_STR_LIT("cfbench");
    cfb_code rc = ask(&text, 1, &vectors, err);
    cfb_buf_free(&vectors);
    return rc;
}

cfb_code cfb_cli_remote_open(const cfb_config *c, size_t *dim, char name[320], char hash[65], cfb_err *err) {
    if (c->embed_model) return cfb_err_set(err, CFB_EUSAGE, "--embed-url and --embed-model exclude each other");
    if (cfb_cli_precision(c) != CFB_PRECISION_F32)
        return cfb_err_set(err, CFB_EUSAGE, "--precision bf16 is for --embed-model; the server of --embed-url chooses its own");
    if (c->embed_name == NULL)
        return cfb_err_set(err, CFB_EUSAGE, "--embed-url needs --embed-name: what the model is called at the server");
    remote.c = c;
    remote.url[0] = c->embed_url;
    remote.client = (cfb_client_opts)CFB_CLIENT_OPTS_INIT;
    remote.client.base_urls = remote.url;
    remote.client.n_base_urls = 1;
    remote.client.api_key = c->embed_key;
    remote.dim = 0;
    cfb_limiter_init(&remote.limiter, &(cfb_limits){.spacing_s = c->embed_rate_limit});
    const cfb_files_opts o = {
        .client = &remote.client, .max_retries = 5, .retry_base_s = 1, .retry_max_s = 60, .stop = &cfb_cli_stop};
    cfb_code rc = cfb_client_global_init(err);
    if (rc != CFB_OK) return rc;
    remote.is_open = true;
    rc = cfb_files_new(&o, &remote.server, err);
    if (rc == CFB_OK) rc = probe(err);
    if (rc != CFB_OK) {
        cfb_err_add_context(err, "--embed-url");
        cfb_cli_remote_close();
        return rc;
    }
    *dim = remote.dim;
    snprintf(name, 320, "%.120s at %.120s, %zu dimensions", c->embed_name, c->embed_url, remote.dim);
    const cfb_str parts[] = {CFB_STR_LIT("served"), cfb_str_from(name)};
    cfb_sha256_parts_hex(parts, 2, hash);
    return CFB_OK;
}

cfb_code cfb_cli_remote_embed(void *ctx, const cfb_str *texts, size_t n, float *out, size_t *index, cfb_err *err) {
    size_t batch = (size_t)remote.c->embed_batch;
    cfb_buf vectors = CFB_BUF_INIT(0);
    cfb_code rc = CFB_OK;
    (void)ctx;
    for (size_t at = 0; at < n && rc == CFB_OK; at += batch) {
        size_t m = n - at < batch ? n - at : batch;
        *index = at;
        cfb_buf_clear(&vectors);
        rc = ask(texts + at, m, &vectors, err);
        if (rc == CFB_OK) memcpy(out + at * remote.dim, vectors.ptr, m * remote.dim * sizeof *out);
    }
    cfb_buf_free(&vectors);
    return rc;
}
