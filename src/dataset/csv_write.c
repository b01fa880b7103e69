/* csv_write.c - one CSV field, quoted only where it must be. */
#include "dataset/internal.h"

static bool needs_quotes(cfb_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '"' || s.ptr[i] == ',' || s.ptr[i] == '\n' || s.ptr[i] == '\r') return true;
    return false;
}

cfb_code cfb_csv_append_field(cfb_buf *out, cfb_str field, bool alone, cfb_err *err) {
    if (field.len == 0) return alone ? cfb_buf_append(out, "\"\"", 2, err) : CFB_OK;
    if (!needs_quotes(field)) return cfb_buf_append_str(out, field, err);
    size_t n_quotes = 0, total;
    for (size_t i = 0; i < field.len; i++) n_quotes += field.ptr[i] == '"';
    if (!cfb_size_add(field.len, n_quotes, &total) || !cfb_size_add(total, 2, &total))
        return cfb_err_set(err, CFB_ELIMIT, "field too large for CSV");
    cfb_code rc = cfb_buf_reserve(out, total, err); /* all or nothing: no half field at the limit */
    if (rc != CFB_OK) return rc;
    char *p = out->ptr + out->len;
    *p++ = '"';
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] == '"') *p++ = '"';
        *p++ = field.ptr[i];
    }
    *p++ = '"';
    *p = '\0';
    out->len += total;
    return CFB_OK;
}
