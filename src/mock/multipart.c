#include "mock/multipart.h"

#include <strings.h>

#define MAX_BOUNDARY 70 /* RFC 2046 */

/* Value of NAME=... or NAME="..." in a header's parameters; null when it is not there. name has its '='. */
static cfb_str parameter(cfb_str header, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i + n < header.len; i++) {
        bool begins = i == 0 || header.ptr[i - 1] == ' ' || header.ptr[i - 1] == ';' || header.ptr[i - 1] == '\t';
        if (!begins || strncasecmp(header.ptr + i, name, n) != 0) continue;
        size_t from = i + n, to = from;
        if (header.ptr[from] == '"') {
            to = ++from;
            while (to < header.len && header.ptr[to] != '"') to++;
            if (to == header.len) return CFB_STR_NULL;
        } else {
            while (to < header.len && header.ptr[to] != ';' && header.ptr[to] != ' ' && header.ptr[to] != '\r') to++;
        }
        return (cfb_str){header.ptr + from, to - from};
    }
    return CFB_STR_NULL;
}

/* Head lines of a part; *at moves behind the empty line. */
static bool part_head(cfb_str body, size_t *at, cfb_mock__part *out) {
    for (;;) {
        size_t end = cfb_str_find(body, CFB_STR_LIT("\r\n"), *at);
        if (end == SIZE_MAX) return false;
        cfb_str line = {body.ptr + *at, end - *at};
        *at = end + 2;
        if (line.len == 0) return out->name.ptr != NULL;
        if (line.len > 20 && strncasecmp(line.ptr, "content-disposition:", 20) == 0) {
            out->name = parameter(line, "name=");
            out->filename = parameter(line, "filename=");
        }
    }
}

bool cfb_mock__multipart(cfb_str content_type, cfb_str body, cfb_mock__part *parts, size_t *n) {
    *n = 0;
    cfb_str boundary = content_type.ptr != NULL ? parameter(content_type, "boundary=") : CFB_STR_NULL;
    if (content_type.len < 19 || strncasecmp(content_type.ptr, "multipart/form-data", 19) != 0) return false;
    if (boundary.ptr == NULL || boundary.len == 0 || boundary.len > MAX_BOUNDARY) return false;
    char line[MAX_BOUNDARY + 4] = "\r\n--";
    memcpy(line + 4, boundary.ptr, boundary.len);
    cfb_str mark = {line, boundary.len + 4}, first = {line + 2, boundary.len + 2};
    if (body.len < first.len || memcmp(body.ptr, first.ptr, first.len) != 0) return false;
    size_t at = first.len;
    for (;;) {
        if (body.len - at < 2) return false;
        if (memcmp(body.ptr + at, "--", 2) == 0) return true;
        if (memcmp(body.ptr + at, "\r\n", 2) != 0 || *n == CFB_MOCK__MAX_PARTS) return false;
        at += 2;
        cfb_mock__part *part = &parts[*n];
        *part = (cfb_mock__part){0};
        if (!part_head(body, &at, part)) return false;
        size_t end = cfb_str_find(body, mark, at >= 2 ? at - 2 : at); /* an empty part: its head's last CRLF is the mark's */
        if (end == SIZE_MAX) return false;
        part->data = (cfb_str){body.ptr + at, end > at ? end - at : 0};
        (*n)++;
        at = end + mark.len;
    }
}
