#include "cfbench/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
    int exit_status, retryable;
} error_map[] = {
#define CFB_X(name, text, exit_status, retryable) {#name, text, exit_status, retryable},
    CFB_ERROR_MAP(CFB_X)
#undef CFB_X
};

static size_t index_of(cfb_code code) { return (unsigned)code < CFB_CODE_COUNT ? (size_t)code : (size_t)CFB_EBUG; }

const char *cfb_code_name(cfb_code code) { return error_map[index_of(code)].name; }
const char *cfb_code_text(cfb_code code) { return error_map[index_of(code)].text; }
int cfb_code_exit_status(cfb_code code) { return error_map[index_of(code)].exit_status; }
int cfb_code_is_retryable(cfb_code code) { return error_map[index_of(code)].retryable; }

/* A message is one line of whole UTF-8 characters: input may have put anything into it. */
static void tidy(char *msg, size_t size) {
    size_t len = strlen(msg);
    if (len == size - 1) { /* maybe cut: step back over an incomplete last character */
        size_t i = len;
        while (i > 0 && ((unsigned char)msg[i - 1] & 0xC0) == 0x80) i--;
        if (i > 0) {
            unsigned char lead = (unsigned char)msg[i - 1];
            size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
            if (len - (i - 1) < want) msg[i - 1] = '\0';
        }
    }
    for (char *p = msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = ' ';
}

static void set_va(cfb_err *err, cfb_code code, int sys_errno, const char *fmt, va_list args) {
    char text[sizeof err->msg]; /* fmt's arguments may point into err itself */
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n < 0) text[0] = '\0';
    memcpy(err->msg, text, sizeof text);
    if (sys_errno != 0) {
        size_t used = strlen(err->msg);
        snprintf(err->msg + used, sizeof err->msg - used, ": %s", strerror(sys_errno));
    }
    tidy(err->msg, sizeof err->msg);
    err->code = code;
    err->sys_errno = sys_errno;
    err->offset = 0;
}

cfb_code cfb_err_set(cfb_err *err, cfb_code code, const char *fmt, ...) {
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        set_va(err, code, 0, fmt, args);
        va_end(args);
    }
    return code;
}

static cfb_code code_of_errno(int e) {
    switch (e) {
    case ENOENT:
    case ENOTDIR: return CFB_ENOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS: return CFB_EACCESS;
    case ENOSPC:
    case EDQUOT: return CFB_ENOSPACE;
    case ENOMEM: return CFB_ENOMEM;
    default: return CFB_EIO;
    }
}

cfb_code cfb_err_set_errno(cfb_err *err, int sys_errno, const char *fmt, ...) {
    cfb_code code = code_of_errno(sys_errno);
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        set_va(err, code, sys_errno, fmt, args);
        va_end(args);
    }
    return code;
}

cfb_code cfb_err_add_context(cfb_err *err, const char *fmt, ...) {
    if (err == NULL) return CFB_EBUG;
    char context[sizeof err->msg], joined[2 * sizeof err->msg + 4];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    if (n < 0) context[0] = '\0';
    snprintf(joined, sizeof joined, "%s: %s", context, err->msg);
    memcpy(err->msg, joined, sizeof err->msg - 1);
    err->msg[sizeof err->msg - 1] = '\0';
    tidy(err->msg, sizeof err->msg);
    return err->code;
}
