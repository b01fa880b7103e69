/* error.h - error codes, messages, and their exit status.
 *
 * Every fallible function of the library returns a cfb_code and fills an optional, caller-owned cfb_err. The lowest
 * layer writes the message (what, where, what to do); upper layers put context in front of it and never replace it.
 * A cfb_err holds no pointers: it can be copied from a worker thread to the main thread. */
#ifndef CFBENCH_ERROR_H
#define CFBENCH_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CFB_MUST_CHECK __attribute__((warn_unused_result))
#define CFB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CFB_MUST_CHECK
#define CFB_PRINTF(fmt, args)
#endif

/* X(name, text, exit status, retryable by calling again later) */
#define CFB_ERROR_MAP(X)                                                     \
    X(OK, "success", 0, 0)                                                   \
    X(EUSAGE, "wrong use of the command line", 1, 0)                         \
    X(ECONFIG, "wrong configuration", 1, 0)                                  \
    X(ECONFLICT, "the run store belongs to a different configuration", 1, 0) \
    X(EACCESS, "no permission", 1, 0)                                        \
    X(ENOMEM, "out of memory", 1, 1)                                         \
    X(ENOTFOUND, "not found", 2, 0)                                          \
    X(EDATA, "input data is wrong", 2, 0)                                    \
    X(EENCODING, "text is not valid UTF-8", 2, 0)                            \
    X(ETRUNCATED, "input ends too early", 2, 0)                              \
    X(ELIMIT, "a size limit was exceeded", 2, 0)                             \
    X(EUNSUPPORTED, "input uses a feature that is not supported", 2, 0)      \
    X(EDOMAIN, "value outside the function's domain", 2, 0)                  \
    X(EPARTIAL, "finished, but some rows failed", 3, 1)                      \
    X(ENET, "the model could not be reached", 4, 1)                          \
    X(EAUTH, "the model's server refused the key or the request", 4, 0)      \
    X(EPROTOCOL, "the server's answer is not what this API promises", 4, 0)  \
    X(EINTERRUPTED, "interrupted; run again to continue", 5, 1)              \
    X(EIO, "reading or writing failed", 5, 1)                                \
    X(ENOSPACE, "no space left on the device", 5, 1)                         \
    X(EWORSE, "a --fail-if condition holds", 6, 0)                           \
    X(EBUG, "internal error; please report it", 70, 0)

typedef enum cfb_code {
#define CFB_X(name, text, exit_status, retryable) CFB_##name,
    CFB_ERROR_MAP(CFB_X)
#undef CFB_X
        CFB_CODE_COUNT
} cfb_code;

typedef struct cfb_err {
    cfb_code code;
    int sys_errno;   /* errno of the failed system call, or 0 */
    uint64_t offset; /* byte offset in the input, where it makes sense, or 0 */
    char msg[512];   /* UTF-8, one line, NUL-terminated */
} cfb_err;

#define CFB_ERR_INIT        \
    {                       \
        CFB_OK, 0, 0, { 0 } \
    }

/* "EDATA"-style name, human text, process exit status (0, 1, 2, 3, 4, 5, 6, 70) and retryability of a code.
 * Edge: codes outside the enum are treated as EBUG. Threads: pure. */
const char *cfb_code_name(cfb_code code);
const char *cfb_code_text(cfb_code code);
int cfb_code_exit_status(cfb_code code);
int cfb_code_is_retryable(cfb_code code);

/* Fills *err (which may be NULL) and returns code, so that callers can `return cfb_err_set(...)`.
 * The message is cut at a UTF-8 boundary when too long; control characters become spaces. */
cfb_code cfb_err_set(cfb_err *err, cfb_code code, const char *fmt, ...) CFB_PRINTF(3, 4);

/* As cfb_err_set, with `: strerror(sys_errno)` added. Maps ENOENT, EACCES/EROFS/EPERM, ENOSPC/EDQUOT and ENOMEM to
 * their codes; every other errno gives EIO. */
cfb_code cfb_err_set_errno(cfb_err *err, int sys_errno, const char *fmt, ...) CFB_PRINTF(3, 4);

/* Puts "context: " in front of the message that is there; the code stays. Returns err->code (EBUG for NULL). */
cfb_code cfb_err_add_context(cfb_err *err, const char *fmt, ...) CFB_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
