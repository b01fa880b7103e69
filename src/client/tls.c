/* As libcurl sets TLS up: the peer and its name are verified, TLS 1.2 or later, HTTP/1.1 by ALPN. */
#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

SSL_CTX *cfb_tls_context(const cfb_client_opts *o, X509_STORE *trust) {
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) return NULL;
    SSL_CTX_set1_cert_store(ctx, trust);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* an end without a farewell is common; JSON and streams say by themselves whether they are whole */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body with one system call */
    const char *key = o->client_key ? o->client_key : o->client_cert;
    bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 && SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1) == 0;
    if (ok && o->client_cert)
        ok = SSL_CTX_use_certificate_chain_file(ctx, o->client_cert) == 1 &&
             SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    ERR_clear_error();
    if (ok) return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

SSL *cfb_tls_open(SSL_CTX *ctx, int fd, const char *host) {
    unsigned char address[16];
    SSL *s = SSL_new(ctx);
    if (s == NULL) return NULL;
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    bool ok = SSL_set_fd(s, fd) == 1;
    if (is_address)
        ok = ok && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), host) == 1;
    else
        ok = ok && SSL_set1_host(s, host) == 1 && SSL_set_tlsext_host_name(s, host) == 1;
    SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (ok) return s;
    SSL_free(s);
    return NULL;
}

cfb_tls_state cfb_tls_shake(SSL *s, char *why, size_t size) {
    ERR_clear_error();
    errno = 0;
    int rc = SSL_connect(s), e = SSL_get_error(s, rc), sys = errno;
    if (rc == 1) return CFB_TLS_DONE;
    if (e == SSL_ERROR_WANT_READ) return CFB_TLS_WANTS_READ;
    if (e == SSL_ERROR_WANT_WRITE) return CFB_TLS_WANTS_WRITE;
    long verdict = SSL_get_verify_result(s);
    if (verdict != X509_V_OK) {
        snprintf(why, size, "SSL certificate problem: %s", X509_verify_cert_error_string(verdict));
        return CFB_TLS_UNTRUSTED;
    }
    unsigned long code = ERR_get_error();
    const char *words = code ? ERR_reason_error_string(code) : NULL;
    if (words == NULL) words = sys ? strerror(sys) : "the server closed the connection";
    snprintf(why, size, "TLS handshake: %s", words);
    ERR_clear_error();
    return CFB_TLS_FAILED;
}

/* What a failed read or write means, in the words of errno. */
static ssize_t meaning_of(const SSL *s, int rc, int sys) {
    switch (SSL_get_error(s, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL: errno = sys ? sys : ECONNRESET; return -1;
    default: errno = EPROTO; return -1;
    }
}

ssize_t cfb_tls_send(SSL *s, const void *data, size_t n) {
    ERR_clear_error();
    errno = 0;
    int rc = SSL_write(s, data, n > INT_MAX ? INT_MAX : (int)n), sys = errno;
    return rc > 0 ? rc : meaning_of(s, rc, sys);
}

ssize_t cfb_tls_receive(SSL *s, void *to, size_t n) {
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read(s, to, n > INT_MAX ? INT_MAX : (int)n), sys = errno;
    return rc > 0 ? rc : meaning_of(s, rc, sys);
}

void cfb_tls_close(SSL *s, bool polite) {
    if (s == NULL) return;
    ERR_clear_error();
    if (polite) SSL_shutdown(s); /* one record; nobody waits for an answer */
    ERR_clear_error();
    SSL_free(s);
}
