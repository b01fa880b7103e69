/* engine.h - what server.c (shared by all threads) and calls.c (one per thread) know of each other. */
#ifndef CFB_CLIENT_ENGINE_H
#define CFB_CLIENT_ENGINE_H

#include "client/internal.h"
#include "client/lib.h"

#include <stdatomic.h>
#include <sys/socket.h>

struct cfb_endpoint {
    char *url;  /* of chat completions */
    char *head; /* direct: of a request, up to the number of Content-Length */
    size_t head_len;
    char *connect_url, *host; /* direct: what libcurl connects to, without TLS; whom the certificate must be for */
    bool tls;
    struct sockaddr_storage address; /* direct: of a host that is one; of the size address_len, 0 for names */
    socklen_t address_len;
    bool loopback;           /* a proxy of the environment must not take calls to this machine */
    atomic_int outstanding;  /* calls under way */
    atomic_int failures;     /* in a row, of the kinds that speak against the endpoint */
    atomic_llong rest_until; /* cfb_now_ns: ejected until then, then tried with one call */
};

struct cfb_server {
    cfb_client_opts opts;
    struct cfb_endpoint *endpoints; /* (n_endpoints) */
    size_t n_endpoints;
    struct curl_slist *headers;     /* read by all handles, changed by none */
    struct curl_slist *own_headers; /* the last of them: the key's, and those of opts */
    void *trust;         /* X509_STORE: the certificates, parsed once; NULL without https or with another TLS library */
    atomic_uint refused; /* CFB_REFUSED_* */
    void *tls;           /* SSL_CTX, direct calls over https */
    bool direct;         /* calls go over sockets of our own: direct.c */
    size_t head_room;    /* direct: room for any head, in front of the body */
};

/* The endpoint for the next call: of those in health the one with the fewest calls under way. Counts the call. */
size_t cfb_server__take_endpoint(cfb_server_t *s);
/* The call ended: counts it off, and judges the endpoint. */
void cfb_server__give_endpoint(cfb_server_t *s, size_t endpoint, const cfb_chat_reply *r);
/* Puts keys and header values out of a text that the server wrote. */
void cfb_server__redact(const cfb_server_t *s, char *text, size_t len);
/* Posts JSON that may come twice; answer: valid until the next call on f. needs: what a server without this path has not got. */
struct cfb_files;
CFB_MUST_CHECK cfb_code cfb_files__post(struct cfb_files *f, const char *path, const char *body, const char *needs,
                                        cfb_str *answer, cfb_err *err);
/* Options of a handle that talks to this server, whatever it asks: TLS, proxy, protocols, times. */
void cfb_server__set_transport(const cfb_server_t *s, CURL *h);

#endif
