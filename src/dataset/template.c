#include "cfbench/suite.h"

static const char *const places[] = {"instruction", "input", "fewshot", "candidates"};

static bool is_place(cfb_str name) {
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (cfb_str_eqz(name, places[i])) return true;
    return false;
}

static bool fail(cfb_code *rc, cfb_err *err, size_t at, cfb_str text) {
    size_t n = text.len - at < 24 ? text.len - at : 24;
    *rc = cfb_err_set(err, CFB_EDATA,
                      "'%.*s' is not a place of a prompt template (there are {instruction}, {input}, {fewshot} and "
                      "{candidates}; write {{ and }} for braces)",
                      (int)n, text.ptr + at);
    if (err) err->offset = at;
    return false;
}

bool cfb_template_next(cfb_str text, size_t *pos, cfb_template_piece *piece, cfb_code *rc, cfb_err *err) {
    *rc = CFB_OK;
    size_t start = *pos;
    if (start >= text.len) return false;
    char c = text.ptr[start];
    if (c == '{' || c == '}') {
        if (start + 1 < text.len && text.ptr[start + 1] == c) { /* a doubled brace stands for itself */
            *piece = (cfb_template_piece){false, {text.ptr + start, 1}};
            *pos = start + 2;
            return true;
        }
        size_t close = c == '{' ? cfb_str_find(text, CFB_STR_LIT("}"), start) : SIZE_MAX;
        if (close == SIZE_MAX) return fail(rc, err, start, text);
        cfb_str name = {text.ptr + start + 1, close - start - 1};
        if (!is_place(name)) return fail(rc, err, start, text);
        *piece = (cfb_template_piece){true, name};
        *pos = close + 1;
        return true;
    }
    size_t end = start;
    while (end < text.len && text.ptr[end] != '{' && text.ptr[end] != '}') end++;
    *piece = (cfb_template_piece){false, {text.ptr + start, end - start}};
    *pos = end;
    return true;
}

bool cfb_template_uses(cfb_str text, const char *place) {
    size_t pos = 0;
    cfb_template_piece piece;
    cfb_code rc;
    while (cfb_template_next(text, &pos, &piece, &rc, NULL))
        if (piece.is_place && cfb_str_eqz(piece.text, place)) return true;
    return false;
}
