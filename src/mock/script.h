/* script.h - JSON Lines of scripted replies. */
#ifndef CFB_MOCK_SCRIPT_H
#define CFB_MOCK_SCRIPT_H

#include "cfbench/json.h"

typedef struct cfb_mock__line cfb_mock__line;
struct cfb_mock__line {
    cfb_mock__line *next;
    cfb_str sha256;
    cfb_str content;       /* null is allowed */
    cfb_str finish_reason; /* null = "stop" */
    cfb_str task;          /* null = no group */
    int status;
    double delay_s; /* < 0 = the usual latency */
    bool has_group; /* filled by the table of answers */
    size_t group;
    const struct cfb_mock__text *text; /* of the content, or NULL */
};

/* Calls fn for every line; its strings live until fn returns. Errors, also those of fn, get "file:line" in front. */
typedef cfb_code (*cfb_mock__line_fn)(void *ctx, const cfb_mock__line *line, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_mock__script_read(const char *path, cfb_mock__line_fn fn, void *ctx, cfb_err *err);

#endif
