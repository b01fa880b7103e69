/* tls.h - TLS over sockets of our own (direct.c). One SSL_CTX serves all connections of a server. */
#ifndef CFB_CLIENT_TLS_H
#define CFB_CLIENT_TLS_H

#include "cfbench/client.h"
#include "client/lib.h"

#include <sys/types.h>

typedef enum cfb_tls_state {
    CFB_TLS_DONE,
    CFB_TLS_WANTS_READ,
    CFB_TLS_WANTS_WRITE,
    CFB_TLS_UNTRUSTED,
    CFB_TLS_FAILED
} cfb_tls_state;

/* Verifies servers by trust; at least TLS 1.2. NULL: no memory, or the client's certificate cannot be used (libcurl has words for
 * it). */
SSL_CTX *cfb_tls_context(const cfb_client_opts *o, X509_STORE *trust);
/* host: a name, or an IPv4 or IPv6 address; the certificate must be for it. NULL: no memory. */
SSL *cfb_tls_open(SSL_CTX *ctx, int fd, const char *host);
/* The handshake, as far as it goes. why (size): words, if it failed. */
cfb_tls_state cfb_tls_shake(SSL *s, char *why, size_t size);
/* As send and recv do: -1 with errno EAGAIN, 0 when the other side has closed. */
ssize_t cfb_tls_send(SSL *s, const void *data, size_t n);
ssize_t cfb_tls_receive(SSL *s, void *to, size_t n);
/* NULL is fine. polite: tell the other side. */
void cfb_tls_close(SSL *s, bool polite);

#endif
