/* escape.c - foreign text made safe for terminals, Markdown and HTML. */
#include "cfbench/utf8.h"
#include "report/internal.h"

#include <stdio.h>

/* Characters that cannot be seen, or change how others are shown. The joiners U+200C and U+200D stay: scripts and emoji
 * need them. */
static bool is_hidden(uint32_t cp) {
    return cp == 0x061C || cp == 0x200B || cp == 0x200E || cp == 0x200F || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF || (cp >= 0xFFF9 && cp <= 0xFFFB) || (cp >= 0xE0000 && cp <= 0xE007F);
}

/* The visible form of a control or hidden character in buf, or false if cp can be shown as it is. */
static bool make_visible(report_form form, uint32_t cp, char buf[16]) {
    if (cp < 0x20 || cp == 0x7f) {
        if (form == REPORT_HTML || form == REPORT_HTML_BLOCK) { /* few browsers' fonts have the pictures */
            snprintf(buf, 16, "\\x%02X", (unsigned)cp);
            return true;
        }
        /* control pictures: U+2400 + cp, and U+2421 for DEL */
        uint32_t picture = cp == 0x7f ? 0x21 : cp;
        snprintf(buf, 16, "\xE2\x90%c", (int)(0x80 + picture));
        return true;
    }
    if (cp < 0x80) return false;
    if (cp > 0x9f && !is_hidden(cp)) return false;
    snprintf(buf, 16, "U+%04X", (unsigned)cp);
    return true;
}

static void put_visible(report_out *o, report_form form, const char *z) {
    if (form == REPORT_HTML_BLOCK) report_put(o, "<span class=\"ctl\">");
    report_put(o, form == REPORT_MARKDOWN && z[0] == '\\' ? "\\" : "");
    report_put(o, z);
    if (form == REPORT_HTML_BLOCK) report_put(o, "</span>");
}

/* What stands for an ASCII character with a meaning of its own, or NULL. */
static const char *special(report_form form, unsigned char c) {
    if (form == REPORT_TERMINAL) return NULL;
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return form == REPORT_MARKDOWN ? NULL : "&quot;";
    case '\'': return form == REPORT_MARKDOWN ? NULL : "&#39;";
    default: break;
    }
    if (form != REPORT_MARKDOWN) return NULL;
    switch (c) {
    case '|': return "\\|";
    case '\\': return "\\\\";
    case '`': return "\\`";
    case '*': return "\\*";
    case '_': return "\\_";
    case '[': return "\\[";
    case ']': return "\\]";
    case '~': return "\\~";
    case '#': return "\\#";
    case '!': return "\\!";
    case '$': return "\\$";
    case '@': return "&#64;"; /* no @mentions */
    default: return NULL;
    }
}

/* Writes one code point in its safe form if it needs one. */
static bool put_changed(report_out *o, report_form form, uint32_t cp) {
    char buf[16];
    if (form == REPORT_HTML_BLOCK && (cp == '\n' || cp == '\t')) return false;
    if (make_visible(form, cp, buf)) {
        put_visible(o, form, buf);
        return true;
    }
    const char *z = cp < 0x80 ? special(form, (unsigned char)cp) : NULL;
    if (z != NULL) report_put(o, z);
    return z != NULL;
}

/* Appends up to *budget code points of valid UTF-8. Returns how many were left out. */
static size_t put_valid(report_out *o, report_form form, cfb_str s, size_t *budget) {
    size_t start = 0, pos = 0;
    while (pos<s.len && * budget> 0 && o->rc == CFB_OK) {
        size_t here = pos;
        uint32_t cp = cfb_utf8_next(s, &pos);
        --*budget;
        char probe[16];
        if (cp >= 0x80 ? !make_visible(form, cp, probe) : (cp >= 0x20 && cp < 0x7f && special(form, (unsigned char)cp) == NULL))
            continue;
        report_put_str(o, (cfb_str){s.ptr + start, here - start});
        start = put_changed(o, form, cp) ? pos : here;
    }
    report_put_str(o, (cfb_str){s.ptr + start, pos - start});
    return cfb_utf8_count((cfb_str){s.ptr + pos, s.len - pos});
}

size_t report_text(report_out *o, report_form form, cfb_str s, size_t max_chars) {
    size_t budget = max_chars == 0 ? SIZE_MAX : max_chars, left_out = 0;
    while (s.len > 0 && o->rc == CFB_OK) {
        size_t bad = cfb_utf8_find_invalid(s);
        size_t n = bad == SIZE_MAX ? s.len : bad;
        left_out += put_valid(o, form, (cfb_str){s.ptr, n}, &budget);
        if (bad != SIZE_MAX) {
            char hex[8];
            snprintf(hex, sizeof hex, "\\x%02X", (unsigned)(unsigned char)s.ptr[n]);
            if (budget > 0) {
                put_visible(o, form, hex);
                budget--;
            } else
                left_out++;
            n++;
        }
        s.ptr += n;
        s.len -= n;
    }
    return left_out;
}
