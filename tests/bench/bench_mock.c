/* CPU time of the mock model for one call: the mock in a process of its own, the load from this one.
 *   bench_mock [CONNECTIONS] [CALLS] [ROUNDS] [LATENCY]
 * Each connection stays open and has one call under way: 4 KB prompt, 1 KB reply, each prompt once in a round. Every reply is
 * compared with the taught text; a difference ends the benchmark with status 1. */
#include "cfbench/base.h"
#include "cfbench/mock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROMPT_CHARS 1360
#define REPLY_CHARS 230
#define NUMBER_AT 1 /* "[00000000] ..." */

static _Noreturn void die(const char *what) {
    fprintf(stderr, "bench_mock: FAILED: %s\n", what);
    exit(1);
}

static size_t put_text(char *p, uint32_t first, size_t n) {
    char *at = p;
    for (size_t i = 0; i < n; i++) {
        uint32_t cp = first + (uint32_t)(i * 7919 % 5000);
        *at++ = (char)(0xE0 | cp >> 12);
        *at++ = (char)(0x80 | (cp >> 6 & 0x3F));
        *at++ = (char)(0x80 | (cp & 0x3F));
    }
    return (size_t)(at - p);
}

static void put_number(char *p, unsigned n) {
    for (int i = 7; i >= 0; i--, n /= 10) p[i] = (char)('0' + n % 10);
}

/* "[00000000]" and ideographs. */
static size_t make_text(char *p, uint32_t first, size_t n_chars) {
    memcpy(p, "[00000000]", 10);
    return 10 + put_text(p + 10, first, n_chars);
}

/* ---- the mock's process ---- */

static _Noreturn void serve(int pipe_to, unsigned n_prompts, double latency_s) {
    static char prompt[8192], reply[2048];
    cfb_mock_opts o = CFB_MOCK_OPTS_INIT;
    o.latency_s = latency_s;
    cfb_mock_t *m = NULL;
    cfb_err err = CFB_ERR_INIT;
    if (cfb_mock_start(&o, &m, &err) != CFB_OK) die(err.msg);
    size_t prompt_len = make_text(prompt, 0x4E00, PROMPT_CHARS), reply_len = make_text(reply, 0x5E00, REPLY_CHARS);
    for (unsigned i = 0; i < n_prompts; i++) {
        put_number(prompt + NUMBER_AT, i);
        put_number(reply + NUMBER_AT, i);
        if (cfb_mock_teach_prompt(m, (cfb_str){prompt, prompt_len}, CFB_STR_LIT("t"), (cfb_str){reply, reply_len}, &err) !=
            CFB_OK)
            die(err.msg);
    }
    int port = cfb_mock_port(m);
    if (write(pipe_to, &port, sizeof port) != sizeof port) die("the pipe");
    for (;;) pause();
}

/* ---- the load ---- */

typedef struct conn {
    int fd;
    unsigned number; /* of the prompt */
    size_t got, body_at, want;
    char buf[4096];
} conn;

static char request[8192];
static size_t request_len, request_number_at;

static void make_request(void) {
    static char body[8192], prompt[8192];
    size_t n = make_text(prompt, 0x4E00, PROMPT_CHARS);
    int len = snprintf(body, sizeof body,
                       "{\"model\":\"mock\",\"messages\":[{\"role\":\"user\",\"content\":\"%.*s\"}],\"temperature\":0.0,"
                       "\"max_tokens\":512}",
                       (int)n, prompt);
    int head = snprintf(request, sizeof request,
                        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                        "Authorization: Bearer none\r\nAccept: application/json\r\nContent-Length: %d\r\n\r\n%s",
                        len, body);
    if (head < 0 || (size_t)head >= sizeof request) die("the request is too long");
    request_len = (size_t)head;
    request_number_at = (size_t)(strstr(request, "[00000000]") - request) + NUMBER_AT;
}

static void ask(conn *c, unsigned number) {
    put_number(request + request_number_at, c->number = number);
    c->got = c->want = 0;
    if (write(c->fd, request, request_len) != (ssize_t)request_len) die("a request was not taken whole");
}

/* true: the reply is whole and right. */
static bool take(conn *c) {
    ssize_t n = read(c->fd, c->buf + c->got, sizeof c->buf - 1 - c->got);
    if (n <= 0) die("the mock closed a connection");
    c->got += (size_t)n;
    c->buf[c->got] = '\0';
    if (c->want == 0) {
        const char *end = strstr(c->buf, "\r\n\r\n"), *length = strstr(c->buf, "Content-Length: ");
        if (end == NULL) return false;
        if (strncmp(c->buf, "HTTP/1.1 200", 12) != 0 || length == NULL) die("a reply has another status than 200");
        c->body_at = (size_t)(end - c->buf) + 4;
        c->want = c->body_at + strtoul(length + 16, NULL, 10);
        if (c->want >= sizeof c->buf) die("a reply is too long");
    }
    if (c->got < c->want) return false;
    char right[16] = "[00000000]";
    put_number(right + NUMBER_AT, c->number);
    if (c->got != c->want || strstr(c->buf + c->body_at, right) == NULL) die("a reply has another text than the taught one");
    return true;
}

static void connect_all(conn *conns, int n, int port, int epoll_fd) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < n; i++) {
        int on = 1;
        conns[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (conns[i].fd < 0 || connect(conns[i].fd, (const struct sockaddr *)&addr, sizeof addr) != 0) die("cannot connect");
        setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &e) != 0) die("epoll");
    }
}

static double cpu_s(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void round_of_calls(conn *conns, int n_conns, unsigned n_calls, int epoll_fd, clockid_t mock_clock) {
    struct epoll_event events[256];
    int64_t begin = cfb_now_ns();
    double cpu = cpu_s(mock_clock), own = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
    unsigned next = 0, done = 0;
    for (int i = 0; i < n_conns && next < n_calls; i++) ask(&conns[i], next++);
    while (done < n_calls) {
        int n = epoll_wait(epoll_fd, events, 256, 10000);
        if (n <= 0) die("no reply for 10 s");
        for (int i = 0; i < n; i++) {
            conn *c = events[i].data.ptr;
            if (!take(c)) continue;
            done++;
            if (next < n_calls) ask(c, next++);
        }
    }
    double s = (double)(cfb_now_ns() - begin) * 1e-9;
    printf("%8.0f calls/s   mock %6.2f us/call   load %6.2f us/call\n", n_calls / s, (cpu_s(mock_clock) - cpu) / n_calls * 1e6,
           (cpu_s(CLOCK_PROCESS_CPUTIME_ID) - own) / n_calls * 1e6);
    fflush(stdout);
}

int main(int argc, char **argv) {
    int n_conns = argc > 1 ? atoi(argv[1]) : 256, rounds = argc > 3 ? atoi(argv[3]) : 3;
    unsigned n_calls = argc > 2 ? (unsigned)atoi(argv[2]) : 100000;
    int ends[2], port = 0;
    if (n_conns < 1 || n_calls < 1 || rounds < 1 || pipe(ends) != 0) die("wrong arguments");
    pid_t pid = fork();
    if (pid < 0) die("cannot fork");
    if (pid == 0) serve(ends[1], n_calls, argc > 4 ? atof(argv[4]) : 0);
    close(ends[1]);
    if (read(ends[0], &port, sizeof port) != sizeof port) die("the mock did not start");
    clockid_t mock_clock;
    if (clock_getcpuclockid(pid, &mock_clock) != 0) die("no CPU clock of the mock");
    make_request();
    conn *conns = calloc((size_t)n_conns, sizeof *conns);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (conns == NULL || epoll_fd < 0 || cfb_check_open_files((size_t)n_conns + 16, NULL) != CFB_OK)
        die("out of memory or files");
    connect_all(conns, n_conns, port, epoll_fd);
    printf("%d connections, %u calls a round\n", n_conns, n_calls);
    for (int i = 0; i < rounds; i++) round_of_calls(conns, n_conns, n_calls, epoll_fd, mock_clock);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    free(conns);
    return 0;
}
