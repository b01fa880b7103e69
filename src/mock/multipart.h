/* multipart.h - the form of an upload (RFC 7578). */
#ifndef CFB_MOCK_MULTIPART_H
#define CFB_MOCK_MULTIPART_H

#include "cfbench/buf.h"

#include <stdbool.h>

typedef struct cfb_mock__part {
    cfb_str name, filename, data; /* borrow from the body; filename may be null */
} cfb_mock__part;

#define CFB_MOCK__MAX_PARTS 16

/* Cuts a multipart/form-data body into its parts. false: the type names no boundary, or the body is not of that form, or has
 * more than CFB_MOCK__MAX_PARTS parts. Pure. */
bool cfb_mock__multipart(cfb_str content_type, cfb_str body, cfb_mock__part *parts, size_t *n);

#endif
