/* cfbench limiter: the coordinator of one pace for many processes, until a signal comes. And the token, for both sides. */
#include "cfbench/cluster.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

cfb_code cfb_cli_limiter_token(const cfb_config *c, char token[CFB_LIMITER_TOKEN_SIZE], cfb_err *err) {
    const char *from_env = getenv("CFBENCH_LIMITER_TOKEN");
    token[0] = '\0';
    if (c->limiter_token_file == NULL) {
        if (from_env == NULL || *from_env == '\0')
            return cfb_err_set(err, CFB_ECONFIG, "the limiter's token is missing: CFBENCH_LIMITER_TOKEN or --limiter-token-file");
        if (strlen(from_env) >= CFB_LIMITER_TOKEN_SIZE) return cfb_err_set(err, CFB_ECONFIG, "CFBENCH_LIMITER_TOKEN is too long");
        snprintf(token, CFB_LIMITER_TOKEN_SIZE, "%s", from_env);
        return CFB_OK;
    }
    struct stat st;
    if (stat(c->limiter_token_file, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        cfb_log(CFB_LOG_WARN, "%s: other users can get at this token file; 'chmod 600' keeps it to you", c->limiter_token_file);
    cfb_buf text = CFB_BUF_INIT((size_t)1 << 19);
    cfb_code rc = cfb_file_read(c->limiter_token_file, CFB_LIMITER_TOKEN_SIZE, &text, err);
    if (rc == CFB_OK) {
        size_t n = text.ptr ? strcspn(text.ptr, "\r\n") : 0;
        if (n == 0 || n >= CFB_LIMITER_TOKEN_SIZE)
            rc = cfb_err_set(err, CFB_ECONFIG, "%s: there is no token in its first line", c->limiter_token_file);
        else
            snprintf(token, CFB_LIMITER_TOKEN_SIZE, "%.*s", (int)n, text.ptr);
    }
    cfb_buf_free(&text);
    return rc;
}

cfb_code cfb_cmd_limiter(const cfb_config *c, cfb_err *err) {
    char token[CFB_LIMITER_TOKEN_SIZE];
    cfb_limiter_opts o = {.listen = c->listen, .token = token, .in_flight = (int)c->in_flight, .adaptive = c->adaptive};
    cfb_cli_set_limits(c, &o.limits);
    cfb_limiter_server_t *s = NULL;
    cfb_cli_catch_signals(false);
    cfb_code rc = cfb_cli_limiter_token(c, token, err);
    if (rc == CFB_OK) rc = cfb_limiter_server_open(&o, &s, err);
    memset(token, 0, sizeof token);
    if (rc != CFB_OK) return rc;
    const char *address = cfb_limiter_server_address(s);
    char line[400];
    int n = snprintf(line, sizeof line, "%s\n", address);
    if (c->address_file) rc = cfb_file_write(c->address_file, (cfb_str){line, (size_t)n}, err);
    if (rc == CFB_OK && !c->quiet) fprintf(stderr, "cfbench limiter: %s (for --limiter; Ctrl-C ends)\n", address);
    if (rc == CFB_OK) rc = cfb_limiter_server_run(s, &cfb_cli_stop, err);
    cfb_limiter_counts k = cfb_limiter_server_counts(s);
    if (!c->quiet)
        fprintf(stderr,
                "cfbench limiter: %llu clients, %llu refused; %llu starts given, %llu of them came too late; %llu exchanges\n",
                (unsigned long long)k.clients, (unsigned long long)k.refused, (unsigned long long)k.granted,
                (unsigned long long)k.lost, (unsigned long long)k.exchanges);
    cfb_limiter_server_close(s);
    return rc;
}
