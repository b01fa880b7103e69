/* eval.c - the value of an expression for one row. The parser has checked types and depth. */
#include "cfbench/text.h"
#include "cfbench/utf8.h"
#include "expr/internal.h"

#include <math.h>

static int sign_of(const expr_node *type_of, const cfb_expr_value *a, const cfb_expr_value *b) {
    if (type_of->type == CFB_EXPR_TEXT) return cfb_str_cmp(a->text, b->text);
    return a->number < b->number ? -1 : a->number > b->number;
}

static bool equal(const expr_node *type_of, const cfb_expr_value *a, const cfb_expr_value *b) {
    switch (type_of->type) {
    case CFB_EXPR_TEXT: return cfb_str_eq(a->text, b->text);
    case CFB_EXPR_TRUTH: return a->truth == b->truth;
    case CFB_EXPR_NUMBER: break;
    }
    return a->number == b->number;
}

static bool compare(expr_op op, const expr_node *type_of, const cfb_expr_value *a, const cfb_expr_value *b) {
    if (op == EXPR_EQ) return equal(type_of, a, b);
    if (op == EXPR_NE) return !equal(type_of, a, b);
    if (type_of->type == CFB_EXPR_NUMBER && (isnan(a->number) || isnan(b->number))) return false;
    int s = sign_of(type_of, a, b);
    return op == EXPR_LT ? s < 0 : op == EXPR_LE ? s <= 0 : op == EXPR_GT ? s > 0 : s >= 0;
}

static bool is_at(cfb_str text, size_t at, cfb_str part) {
    return part.len == 0 || (at <= text.len && part.len <= text.len - at && memcmp(text.ptr + at, part.ptr, part.len) == 0);
}

/* Longer texts are no numbers that anyone wrote. */
static double to_number(cfb_str text) {
    char z[64];
    double v;
    cfb_str t = text.len ? cfb_text_strip(text) : text;
    if (t.len == 0 || t.len >= sizeof z) return (double)NAN;
    memcpy(z, t.ptr, t.len);
    z[t.len] = '\0';
    if (strspn(z, "0123456789+-.eE") != t.len) return (double)NAN; /* no hexadecimal, no "inf" */
    return cfb_parse_double(z, &v) ? v : (double)NAN;
}

static double pick(expr_op op, double a, double b) {
    if (isnan(a) || isnan(b)) return (double)NAN;
    return (op == EXPR_MIN) == (a < b) ? a : b;
}

static cfb_expr_value eval(const cfb_expr_t *e, uint32_t i, const cfb_expr_value *values) {
    const expr_node *n = &e->nodes[i];
    cfb_expr_value a = {0}, b = {0}, out = {0};
    if (n->op == EXPR_CONST) return n->value;
    if (n->op == EXPR_NAME) return values[n->name];
    a = eval(e, n->a, values);
    if (n->op == EXPR_OR || n->op == EXPR_AND) return a.truth == (n->op == EXPR_OR) ? a : eval(e, n->b, values);
    if (n->b != UINT32_MAX) b = eval(e, n->b, values);
    switch (n->op) {
    case EXPR_CONST:
    case EXPR_NAME:
    case EXPR_OR:
    case EXPR_AND: break; /* above */
    case EXPR_NOT: out.truth = !a.truth; break;
    case EXPR_EQ:
    case EXPR_NE:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_GT:
    case EXPR_GE: out.truth = compare(n->op, &e->nodes[n->a], &a, &b); break;
    case EXPR_ADD: out.number = a.number + b.number; break;
    case EXPR_SUB: out.number = a.number - b.number; break;
    case EXPR_MUL: out.number = a.number * b.number; break;
    case EXPR_DIV: out.number = a.number / b.number; break;
    case EXPR_NEG: out.number = -a.number; break;
    case EXPR_CHARS: out.number = (double)cfb_utf8_count(a.text); break;
    case EXPR_CONTAINS: out.truth = b.text.len == 0 || (a.text.len && cfb_str_find(a.text, b.text, 0) != SIZE_MAX); break;
    case EXPR_STARTS: out.truth = is_at(a.text, 0, b.text); break;
    case EXPR_ENDS: out.truth = a.text.len >= b.text.len && is_at(a.text, a.text.len - b.text.len, b.text); break;
    case EXPR_NUMBER: out.number = to_number(a.text); break;
    case EXPR_MISSING: out.truth = a.text.ptr == NULL; break;
    case EXPR_ABS: out.number = fabs(a.number); break;
    case EXPR_MIN:
    case EXPR_MAX: out.number = pick(n->op, a.number, b.number); break;
    }
    return out;
}

bool cfb_expr_eval(const cfb_expr_t *e, const cfb_expr_value *values) { return eval(e, e->root, values).truth; }
