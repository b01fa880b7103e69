/* width.c - terminal columns of text. Widths are those of utf8proc (Unicode's East Asian Width; ambiguous = 1). */
#include "cfbench/utf8.h"
#include "report/internal.h"

#include <utf8proc.h>

static size_t char_width(uint32_t cp) {
    if (cp < 0x7f) return cp >= 0x20;
    int w = utf8proc_charwidth((utf8proc_int32_t)cp);
    return w > 0 ? (size_t)w : 0;
}

size_t cfb_display_width(cfb_str s) {
    size_t width = 0, pos = 0;
    while (pos < s.len) width += char_width(cfb_utf8_next(s, &pos));
    return width;
}

size_t report_fit(report_out *o, cfb_str s, size_t width) {
    size_t used = 0, pos = 0, cut = 0, cut_used = 0;
    while (pos < s.len) {
        size_t next = pos, w = char_width(cfb_utf8_next(s, &next));
        if (used + w > width) {
            report_put_str(o, (cfb_str){s.ptr, cut});
            if (width > 0) report_put(o, "…");
            return cut_used + (width > 0);
        }
        used += w;
        pos = next;
        if (used + 1 <= width) { /* room for the ellipsis behind this character */
            cut = pos;
            cut_used = used;
        }
    }
    report_put_str(o, s);
    return used;
}

cfb_code cfb_display_fit(cfb_str s, size_t width, bool pad, cfb_buf *out, cfb_err *err) {
    cfb_buf safe = CFB_BUF_INIT(SIZE_MAX / 2);
    report_out text = {&safe, err, CFB_OK, false}, o = {out, err, CFB_OK, false};
    (void)report_text(&text, REPORT_TERMINAL, s, width + 1); /* bounds the work; report_fit does the exact cut */
    o.rc = text.rc;
    size_t used = o.rc == CFB_OK ? report_fit(&o, cfb_buf_str(&safe), width) : 0;
    if (pad) report_repeat(&o, " ", width > used ? width - used : 0);
    cfb_buf_free(&safe);
    return o.rc;
}
