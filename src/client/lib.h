/* lib.h - libcurl, and what of OpenSSL it and tls.c need. Both are opened by cfb_client_global_init: see
 * base/lazy.h. Functions that are not in these lists cannot be called; without CFB_LAZY the compiler also checks the types of
 * curl_easy_setopt's values. */
#ifndef CFB_CLIENT_LIB_H
#define CFB_CLIENT_LIB_H

#include "cfbench/error.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#define CFB_CURL_FUNCTIONS(X)   \
    X(curl_easy_cleanup)        \
    X(curl_easy_escape)         \
    X(curl_easy_getinfo)        \
    X(curl_easy_init)           \
    X(curl_easy_perform)        \
    X(curl_easy_setopt)         \
    X(curl_easy_strerror)       \
    X(curl_free)                \
    X(curl_global_cleanup)      \
    X(curl_global_init)         \
    X(curl_mime_addpart)        \
    X(curl_mime_data)           \
    X(curl_mime_filedata)       \
    X(curl_mime_filename)       \
    X(curl_mime_free)           \
    X(curl_mime_init)           \
    X(curl_mime_name)           \
    X(curl_mime_type)           \
    X(curl_multi_add_handle)    \
    X(curl_multi_assign)        \
    X(curl_multi_cleanup)       \
    X(curl_multi_info_read)     \
    X(curl_multi_init)          \
    X(curl_multi_remove_handle) \
    X(curl_multi_setopt)        \
    X(curl_multi_socket_action) \
    X(curl_slist_append)        \
    X(curl_slist_free_all)      \
    X(curl_url)                 \
    X(curl_url_cleanup)         \
    X(curl_url_get)             \
    X(curl_url_set)             \
    X(curl_version)             \
    X(curl_version_info)
#define CFB_SSL_FUNCTIONS(X)              \
    X(SSL_CTX_check_private_key)          \
    X(SSL_CTX_ctrl)                       \
    X(SSL_CTX_free)                       \
    X(SSL_CTX_get0_param)                 \
    X(SSL_CTX_new)                        \
    X(SSL_CTX_set1_cert_store)            \
    X(SSL_CTX_set_alpn_protos)            \
    X(SSL_CTX_set_options)                \
    X(SSL_CTX_set_verify)                 \
    X(SSL_CTX_use_PrivateKey_file)        \
    X(SSL_CTX_use_certificate_chain_file) \
    X(SSL_connect)                        \
    X(SSL_ctrl)                           \
    X(SSL_free)                           \
    X(SSL_get0_param)                     \
    X(SSL_get_error)                      \
    X(SSL_get_verify_result)              \
    X(SSL_has_pending)                    \
    X(SSL_new)                            \
    X(SSL_read)                           \
    X(SSL_set1_host)                      \
    X(SSL_set_fd)                         \
    X(SSL_set_hostflags)                  \
    X(SSL_shutdown)                       \
    X(SSL_write)                          \
    X(TLS_client_method)

/* Both libraries are there, or err says which is not. Threads: any. */
CFB_MUST_CHECK cfb_code cfb_client__libs(cfb_err *err);
/* Were they opened? */
bool cfb_client__has_libs(void);

#ifdef CFB_LAZY
typedef struct cfb_client_libs {
#define CFB_X(name) __typeof__(&(name)) p_##name;
    CFB_CURL_FUNCTIONS(CFB_X)
    CFB_SSL_FUNCTIONS(CFB_X)
#undef CFB_X
} cfb_client_libs;
extern cfb_client_libs cfb_client__lib;

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#define curl_easy_cleanup cfb_client__lib.p_curl_easy_cleanup
#define curl_easy_escape cfb_client__lib.p_curl_easy_escape
#define curl_easy_getinfo cfb_client__lib.p_curl_easy_getinfo
#define curl_easy_init cfb_client__lib.p_curl_easy_init
#define curl_easy_perform cfb_client__lib.p_curl_easy_perform
#define curl_easy_setopt cfb_client__lib.p_curl_easy_setopt
#define curl_easy_strerror cfb_client__lib.p_curl_easy_strerror
#define curl_free cfb_client__lib.p_curl_free
#define curl_global_cleanup cfb_client__lib.p_curl_global_cleanup
#define curl_global_init cfb_client__lib.p_curl_global_init
#define curl_mime_addpart cfb_client__lib.p_curl_mime_addpart
#define curl_mime_data cfb_client__lib.p_curl_mime_data
#define curl_mime_filedata cfb_client__lib.p_curl_mime_filedata
#define curl_mime_filename cfb_client__lib.p_curl_mime_filename
#define curl_mime_free cfb_client__lib.p_curl_mime_free
#define curl_mime_init cfb_client__lib.p_curl_mime_init
#define curl_mime_name cfb_client__lib.p_curl_mime_name
#define curl_mime_type cfb_client__lib.p_curl_mime_type
#define curl_multi_add_handle cfb_client__lib.p_curl_multi_add_handle
#define curl_multi_assign cfb_client__lib.p_curl_multi_assign
#define curl_multi_cleanup cfb_client__lib.p_curl_multi_cleanup
#define curl_multi_info_read cfb_client__lib.p_curl_multi_info_read
#define curl_multi_init cfb_client__lib.p_curl_multi_init
#define curl_multi_remove_handle cfb_client__lib.p_curl_multi_remove_handle
#define curl_multi_setopt cfb_client__lib.p_curl_multi_setopt
#define curl_multi_socket_action cfb_client__lib.p_curl_multi_socket_action
#define curl_slist_append cfb_client__lib.p_curl_slist_append
#define curl_slist_free_all cfb_client__lib.p_curl_slist_free_all
#define curl_url cfb_client__lib.p_curl_url
#define curl_url_cleanup cfb_client__lib.p_curl_url_cleanup
#define curl_url_get cfb_client__lib.p_curl_url_get
#define curl_url_set cfb_client__lib.p_curl_url_set
#define curl_version cfb_client__lib.p_curl_version
#define curl_version_info cfb_client__lib.p_curl_version_info
#define SSL_CTX_check_private_key cfb_client__lib.p_SSL_CTX_check_private_key
#define SSL_CTX_ctrl cfb_client__lib.p_SSL_CTX_ctrl
#define SSL_CTX_free cfb_client__lib.p_SSL_CTX_free
#define SSL_CTX_get0_param cfb_client__lib.p_SSL_CTX_get0_param
#define SSL_CTX_new cfb_client__lib.p_SSL_CTX_new
#define SSL_CTX_set1_cert_store cfb_client__lib.p_SSL_CTX_set1_cert_store
#define SSL_CTX_set_alpn_protos cfb_client__lib.p_SSL_CTX_set_alpn_protos
#define SSL_CTX_set_options cfb_client__lib.p_SSL_CTX_set_options
#define SSL_CTX_set_verify cfb_client__lib.p_SSL_CTX_set_verify
#define SSL_CTX_use_PrivateKey_file cfb_client__lib.p_SSL_CTX_use_PrivateKey_file
#define SSL_CTX_use_certificate_chain_file cfb_client__lib.p_SSL_CTX_use_certificate_chain_file
#define SSL_connect cfb_client__lib.p_SSL_connect
#define SSL_ctrl cfb_client__lib.p_SSL_ctrl
#define SSL_free cfb_client__lib.p_SSL_free
#define SSL_get0_param cfb_client__lib.p_SSL_get0_param
#define SSL_get_error cfb_client__lib.p_SSL_get_error
#define SSL_get_verify_result cfb_client__lib.p_SSL_get_verify_result
#define SSL_has_pending cfb_client__lib.p_SSL_has_pending
#define SSL_new cfb_client__lib.p_SSL_new
#define SSL_read cfb_client__lib.p_SSL_read
#define SSL_set1_host cfb_client__lib.p_SSL_set1_host
#define SSL_set_fd cfb_client__lib.p_SSL_set_fd
#define SSL_set_hostflags cfb_client__lib.p_SSL_set_hostflags
#define SSL_shutdown cfb_client__lib.p_SSL_shutdown
#define SSL_write cfb_client__lib.p_SSL_write
#define TLS_client_method cfb_client__lib.p_TLS_client_method
#endif

#endif
