/* "HOST:PORT", "[::1]:PORT" and "unix:PATH" to sockets. */
#include "cluster/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"

static cfb_code set_flags(int fd, cfb_err *err) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return cfb_err_set_errno(err, errno, "a socket");
    return CFB_OK;
}

static cfb_code unix_address(const char *path, struct sockaddr_un *a, cfb_err *err) {
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (*path == '\0' || strlen(path) >= sizeof a->sun_path)
        return cfb_err_set(err, CFB_ECONFIG, "unix:%.80s: a socket's path has 1 to %zu bytes", path, sizeof a->sun_path - 1);
    memcpy(a->sun_path, path, strlen(path));
    return CFB_OK;
}

static cfb_code split(const char *address, char host[256], char port[16], cfb_err *err) {
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    if (colon == NULL || n == 0 || n >= 256 || colon[1] == '\0' || strlen(colon + 1) >= 16 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return cfb_err_set(err, CFB_ECONFIG, "%.100s: write it as HOST:PORT or unix:PATH", address);
    bool bracket = address[0] == '[' && address[n - 1] == ']';
    snprintf(host, 256, "%.*s", (int)(bracket ? n - 2 : n), address + bracket);
    snprintf(port, 16, "%s", colon + 1);
    return CFB_OK;
}

static cfb_code lookup(const char *address, int flags, struct addrinfo **list, cfb_err *err) {
    char host[256], port[16];
    cfb_code rc = split(address, host, port, err);
    if (rc != CFB_OK) return rc;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    int got = getaddrinfo(host, port, &hints, list);
    return got == 0 ? CFB_OK : cfb_err_set(err, CFB_ENET, "%.100s: %s", address, gai_strerror(got));
}

cfb_code cfb_wire_listen(const char *address, int *fd, char *name, size_t size, cfb_err *err) {
    *fd = -1;
    snprintf(name, size, "%s", address);
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        struct sockaddr_un a;
        struct stat st;
        cfb_code rc = unix_address(address + strlen(UNIX_PREFIX), &a, err);
        if (rc != CFB_OK) return rc;
        if (lstat(a.sun_path, &st) == 0 && S_ISSOCK(st.st_mode)) unlink(a.sun_path); /* of one that was killed */
        *fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (*fd < 0 || bind(*fd, (struct sockaddr *)&a, sizeof a) != 0 || chmod(a.sun_path, 0600) != 0 || listen(*fd, 1024) != 0)
            return cfb_err_set_errno(err, errno, "cannot listen on %s", address);
        return set_flags(*fd, err);
    }
    struct addrinfo *list = NULL;
    cfb_code rc = lookup(address, AI_PASSIVE, &list, err);
    if (rc != CFB_OK) return err ? (err->code = CFB_ECONFIG) : CFB_ECONFIG;
    int failed = 0, on = 1;
    for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next) {
        *fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (*fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
            bind(*fd, a->ai_addr, a->ai_addrlen) == 0 && listen(*fd, 1024) == 0)
            break;
        failed = errno;
        if (*fd >= 0) close(*fd);
        *fd = -1;
    }
    freeaddrinfo(list);
    if (*fd < 0) return cfb_err_set_errno(err, failed, "cannot listen on %s", address);
    struct sockaddr_storage got;
    socklen_t len = sizeof got;
    char port[16] = "";
    if (getsockname(*fd, (struct sockaddr *)&got, &len) == 0)
        getnameinfo((struct sockaddr *)&got, len, NULL, 0, port, sizeof port, NI_NUMERICSERV);
    snprintf(name, size, "%.*s:%s", (int)(strrchr(address, ':') - address), address, port);
    return set_flags(*fd, err);
}

cfb_code cfb_wire_connect(const char *address, int *fd, cfb_err *err) {
    *fd = -1;
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        struct sockaddr_un a;
        cfb_code rc = unix_address(address + strlen(UNIX_PREFIX), &a, err);
        if (rc != CFB_OK) return rc;
        *fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (*fd < 0 || connect(*fd, (struct sockaddr *)&a, sizeof a) != 0) {
            int failed = errno;
            if (*fd >= 0) close(*fd);
            *fd = -1;
            return cfb_err_set(err, CFB_ENET, "no limiter at %s: %s", address, strerror(failed));
        }
    } else {
        struct addrinfo *list = NULL;
        cfb_code rc = lookup(address, 0, &list, err);
        if (rc != CFB_OK) return rc;
        int failed = 0, on = 1;
        for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next) {
            *fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
            if (*fd >= 0 && connect(*fd, a->ai_addr, a->ai_addrlen) == 0) break;
            failed = errno;
            if (*fd >= 0) close(*fd);
            *fd = -1;
        }
        freeaddrinfo(list);
        if (*fd < 0) return cfb_err_set(err, CFB_ENET, "no limiter at %s: %s", address, strerror(failed));
        setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(*fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    struct timeval patience = {5, 0};
    setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return set_flags(*fd, err);
}

void cfb_wire_unlisten(const char *name) {
    if (strncmp(name, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) unlink(name + strlen(UNIX_PREFIX));
}
