/* libcurl and libssl, opened when a client is first wanted. */
#include "client/lib.h"

#ifdef CFB_LAZY
#include "base/lazy.h"

cfb_client_libs cfb_client__lib;

cfb_code cfb_client__libs(cfb_err *err) {
#define CFB_X(name) {#name, &cfb_client__lib.p_##name},
    static const cfb_lazy_symbol curl[] = {CFB_CURL_FUNCTIONS(CFB_X)};
    static const cfb_lazy_symbol ssl[] = {CFB_SSL_FUNCTIONS(CFB_X)};
#undef CFB_X
    cfb_code rc = cfb_lazy_open(CFB_LAZY_CURL, curl, sizeof curl / sizeof *curl, err);
    return rc == CFB_OK ? cfb_lazy_open(CFB_LAZY_SSL, ssl, sizeof ssl / sizeof *ssl, err) : rc;
}

bool cfb_client__has_libs(void) { return cfb_lazy_is_open(CFB_LAZY_SSL); } /* the second of the two */
#else
cfb_code cfb_client__libs(cfb_err *err) {
    (void)err;
    return CFB_OK;
}

bool cfb_client__has_libs(void) { return true; }
#endif
