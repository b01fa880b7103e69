/* Addresses. */
#include "cfbench/base.h"

#include <string.h>

/* "127.0.0.1", "127.1": digits and dots only, for "127.example.org" is somebody's name. */
static bool is_127(const char *host, size_t n) {
    return n > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n;
}

bool cfb_url_is_loopback(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    for (size_t i = n; i-- > 0;)
        if (host[i] == '@') {
            host += i + 1;
            n -= i + 1;
            break;
        }
    if (n > 0 && host[0] == '[') return n >= 5 && memcmp(host, "[::1]", 5) == 0;
    size_t name = strcspn(host, ":");
    if (name < n) n = name;
    return (n == 9 && memcmp(host, "localhost", 9) == 0) || is_127(host, n);
}
