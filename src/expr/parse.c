/* parse.c - text to a tree of typed nodes, by recursive descent. Every message says at which character. */
#include "cfbench/utf8.h"
#include "expr/internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_NAME, TOKEN_COLUMN, TOKEN_SIGN } token_kind;

typedef struct token {
    token_kind kind;
    size_t at;
    cfb_str text; /* as it stands; of TOKEN_TEXT and TOKEN_COLUMN what is between the quotes */
    char sign[3];
} token;

typedef struct parser {
    cfb_expr_t *e;
    cfb_str source;
    size_t pos;
    token now;
    const cfb_expr_name *names;
    int depth; /* of open parentheses and signs */
    cfb_err *err;
    cfb_code rc;
} parser;

#define NONE UINT32_MAX
#define MAX_TREE 512

static const struct {
    const char *name;
    cfb_expr_type result;
    int n;
    cfb_expr_type types[2];
} functions[] = {
#define CFB_X(NAME, name, result, n, first, second) {name, CFB_EXPR_##result, n, {CFB_EXPR_##first, CFB_EXPR_##second}},
    EXPR_FUNCTION_MAP(CFB_X)
#undef CFB_X
};
#define N_FUNCTIONS (sizeof functions / sizeof *functions)

static const char *type_name(cfb_expr_type t) {
    return t == CFB_EXPR_NUMBER ? "a number" : t == CFB_EXPR_TEXT ? "a text" : "a truth value";
}

/* The first error counts; returns NONE for `return complain(...)`. */
static uint32_t complain(parser *p, size_t at, const char *what) {
    if (p->rc != CFB_OK) return NONE;
    size_t character = cfb_utf8_count((cfb_str){p->source.ptr, at}) + 1;
    p->rc = cfb_err_set(p->err, CFB_EUSAGE, "at character %zu: %s", character, what);
    if (p->err) p->err->offset = at;
    return NONE;
}

static uint32_t no_memory(parser *p) {
    if (p->rc == CFB_OK) p->rc = cfb_err_set(p->err, CFB_ENOMEM, "out of memory");
    return NONE;
}

/* ---- tokens ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static char peek(const parser *p, size_t ahead) { return p->pos + ahead < p->source.len ? p->source.ptr[p->pos + ahead] : '\0'; }

static void skip_digits(parser *p) {
    while (is_digit(peek(p, 0))) p->pos++;
}

static void read_number(parser *p) {
    p->now.kind = TOKEN_NUMBER;
    skip_digits(p);
    if (peek(p, 0) == '.' && is_digit(peek(p, 1))) {
        p->pos++;
        skip_digits(p);
    }
    if (peek(p, 0) == 'e' || peek(p, 0) == 'E') {
        size_t sign = peek(p, 1) == '+' || peek(p, 1) == '-' ? 2 : 1;
        if (is_digit(peek(p, sign))) {
            p->pos += sign;
            skip_digits(p);
        }
    }
    if (is_name_start(peek(p, 0)) || peek(p, 0) == '.') complain(p, p->pos, "this does not belong to a number");
}

static void read_quoted(parser *p, char quote) {
    p->now.kind = quote == '`' ? TOKEN_COLUMN : TOKEN_TEXT;
    size_t from = ++p->pos;
    while (p->pos < p->source.len && p->source.ptr[p->pos] != quote) {
        if (p->source.ptr[p->pos] == '\n' && quote == '`') break;
        p->pos += p->source.ptr[p->pos] == '\\' && quote != '`' && p->pos + 1 < p->source.len ? 2 : 1;
    }
    if (p->pos >= p->source.len || p->source.ptr[p->pos] != quote) {
        complain(p, from - 1, "this quote is not closed");
        return;
    }
    p->now.text = (cfb_str){p->source.ptr + from, p->pos - from};
    p->pos++;
}

static void read_sign(parser *p) {
    static const char *const signs[] = {"||", "&&", "==", "!=", "<=", ">=", "!", "<", ">", "+", "-", "*", "/", "(", ")", ","};
    p->now.kind = TOKEN_SIGN;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i]);
        if (p->source.len - p->pos < n || memcmp(p->source.ptr + p->pos, signs[i], n) != 0) continue;
        memcpy(p->now.sign, signs[i], n + 1);
        p->pos += n;
        return;
    }
    char c = peek(p, 0);
    complain(p, p->pos,
             c == '='   ? "a single '='; equality is '=='"
             : c == '&' ? "a single '&'; and is '&&'"
             : c == '|' ? "a single '|'; or is '||'"
                        : "this character means nothing here; names with such characters stand between backquotes");
}

static void next(parser *p) {
    while (p->pos < p->source.len && memchr(" \t\r\n", p->source.ptr[p->pos], 4) != NULL) p->pos++;
    p->now = (token){.at = p->pos};
    if (p->rc != CFB_OK || p->pos >= p->source.len) return; /* TOKEN_END ends every loop */
    size_t from = p->pos;
    char c = peek(p, 0);
    if (c == '"' || c == '\'' || c == '`') {
        read_quoted(p, c);
        return;
    }
    if (is_digit(c)) {
        read_number(p);
    } else if (is_name_start(c)) {
        p->now.kind = TOKEN_NAME;
        while (is_name_start(peek(p, 0)) || is_digit(peek(p, 0))) p->pos++;
    } else {
        read_sign(p);
    }
    p->now.text = (cfb_str){p->source.ptr + from, p->pos - from};
}

static bool is_sign(const parser *p, const char *sign) { return p->now.kind == TOKEN_SIGN && strcmp(p->now.sign, sign) == 0; }

/* ---- nodes ---- */

static uint32_t add_node(parser *p, expr_node n) {
    cfb_expr_t *e = p->e;
    if (p->rc != CFB_OK) return NONE;
    n.depth = 1;
    if (n.a != NONE) n.depth = e->nodes[n.a].depth + 1;
    if (n.b != NONE && e->nodes[n.b].depth >= n.depth) n.depth = e->nodes[n.b].depth + 1;
    /* a chain as long as the text allows is a tree as deep: evaluating it must not need more stack than there is */
    if (n.depth > MAX_TREE) return complain(p, n.at, "the expression is too long");
    if (e->n == e->cap) {
        uint32_t cap = e->cap ? e->cap * 2 : 16;
        expr_node *nodes = realloc(e->nodes, cap * sizeof *nodes);
        if (nodes == NULL) return no_memory(p);
        e->nodes = nodes;
        e->cap = cap;
    }
    e->nodes[e->n] = n;
    return e->n++;
}

static bool has_type(parser *p, uint32_t node, cfb_expr_type want, const char *whose) {
    if (p->rc != CFB_OK) return false;
    const expr_node *n = &p->e->nodes[node];
    if (n->type == want) return true;
    char what[200];
    const char *hint = "";
    if (n->type == CFB_EXPR_TEXT && want == CFB_EXPR_NUMBER && n->op == EXPR_NAME) hint = "; number(...) reads one from a column";
    snprintf(what, sizeof what, "%s must be %s, and this is %s%s", whose, type_name(want), type_name(n->type), hint);
    complain(p, n->at, what);
    return false;
}

static uint32_t parse_or(parser *p);

static uint32_t text_node(parser *p, const token *t) {
    char *to = cfb_arena_alloc(p->e->arena, t->text.len + 1);
    if (to == NULL) return no_memory(p);
    size_t n = 0;
    for (size_t i = 0; i < t->text.len; i++) {
        char c = t->text.ptr[i];
        if (c == '\\') {
            static const char from[] = "\\\"'nrt", is[] = "\\\"'\n\r\t";
            const char *known = i + 1 < t->text.len && t->text.ptr[i + 1] ? strchr(from, t->text.ptr[i + 1]) : NULL;
            if (known == NULL) return complain(p, t->at + 1 + i, "escapes are \\\\ \\\" \\' \\n \\r \\t");
            c = is[known - from];
            i++;
        }
        to[n++] = c;
    }
    to[n] = '\0';
    return add_node(
        p, (expr_node){.op = EXPR_CONST, .type = CFB_EXPR_TEXT, .a = NONE, .b = NONE, .at = t->at, .value.text = {to, n}});
}

static uint32_t number_node(parser *p, const token *t) {
    char z[64];
    double v;
    if (t->text.len >= sizeof z) return complain(p, t->at, "a number of more than 63 characters");
    memcpy(z, t->text.ptr, t->text.len);
    z[t->text.len] = '\0';
    if (!cfb_parse_double(z, &v)) return complain(p, t->at, "not a number that binary64 holds");
    return add_node(p,
                    (expr_node){.op = EXPR_CONST, .type = CFB_EXPR_NUMBER, .a = NONE, .b = NONE, .at = t->at, .value.number = v});
}

static uint32_t column_node(parser *p, const token *t) {
    cfb_expr_t *e = p->e;
    size_t i = 0;
    cfb_str name;
    if (t->text.len == 0) return complain(p, t->at, "a column without a name");
    while (i < e->n_columns && !cfb_str_eqz(t->text, e->columns[i])) i++;
    if (i == CFB_EXPR_MAX_COLUMNS) return complain(p, t->at, "too many different columns");
    if (i == e->n_columns) {
        if (cfb_arena_dup(e->arena, t->text, &name, NULL) != CFB_OK) return no_memory(p);
        e->columns[e->n_columns++] = name.ptr;
    }
    return add_node(
        p, (expr_node){
               .op = EXPR_NAME, .type = CFB_EXPR_TEXT, .a = NONE, .b = NONE, .at = t->at, .name = (uint32_t)(e->n_names + i)});
}

static uint32_t call_node(parser *p, const token *t) {
    size_t f = 0;
    char what[160];
    while (f < N_FUNCTIONS && !cfb_str_eqz(t->text, functions[f].name)) f++;
    if (f == N_FUNCTIONS)
        return complain(p, t->at, "no such function (there are: chars, contains, starts, ends, number, missing, abs, min, max)");
    uint32_t args[2] = {NONE, NONE};
    next(p); /* the parenthesis */
    for (int i = 0; i < functions[f].n; i++) {
        snprintf(what, sizeof what, "%s() takes %d value%s", functions[f].name, functions[f].n, functions[f].n == 1 ? "" : "s");
        if (i > 0 && !is_sign(p, ",")) return complain(p, p->now.at, what);
        if (i > 0) next(p);
        if (is_sign(p, ")")) return complain(p, p->now.at, what);
        args[i] = parse_or(p);
        snprintf(what, sizeof what, "the %s value of %s()", i == 0 ? "first" : "second", functions[f].name);
        if (!has_type(p, args[i], functions[f].types[i], what)) return NONE;
    }
    snprintf(what, sizeof what, "%s() takes %d value%s; expected ')'", functions[f].name, functions[f].n,
             functions[f].n == 1 ? "" : "s");
    if (!is_sign(p, ")")) return complain(p, p->now.at, what);
    next(p);
    return add_node(
        p, (expr_node){
               .op = (expr_op)((int)EXPR_CHARS + (int)f), .type = functions[f].result, .a = args[0], .b = args[1], .at = t->at});
}

static uint32_t name_node(parser *p, const token *t) {
    cfb_expr_t *e = p->e;
    if (is_sign(p, "(")) return call_node(p, t);
    bool yes = cfb_str_eqz(t->text, "true");
    if (yes || cfb_str_eqz(t->text, "false"))
        return add_node(
            p, (expr_node){.op = EXPR_CONST, .type = CFB_EXPR_TRUTH, .a = NONE, .b = NONE, .at = t->at, .value.truth = yes});
    size_t i = 0;
    while (i < e->n_names && !cfb_str_eqz(t->text, p->names[i].name)) i++;
    if (i == e->n_names) return column_node(p, t);
    e->used[i] = true;
    return add_node(
        p, (expr_node){.op = EXPR_NAME, .type = p->names[i].type, .a = NONE, .b = NONE, .at = t->at, .name = (uint32_t)i});
}

/* ---- the grammar, from the inside out ---- */

static uint32_t parse_value(parser *p) {
    token t = p->now;
    if (p->rc != CFB_OK) return NONE;
    if (is_sign(p, "(")) {
        next(p);
        uint32_t inner = parse_or(p);
        if (p->rc == CFB_OK && !is_sign(p, ")")) return complain(p, p->now.at, "expected ')'");
        next(p);
        return inner;
    }
    if (t.kind == TOKEN_END) return complain(p, t.at, "a value is missing at the end");
    if (t.kind == TOKEN_SIGN) return complain(p, t.at, "a value is missing here");
    next(p);
    switch (t.kind) {
    case TOKEN_NUMBER: return number_node(p, &t);
    case TOKEN_TEXT: return text_node(p, &t);
    case TOKEN_COLUMN: return column_node(p, &t);
    case TOKEN_NAME: return name_node(p, &t);
    case TOKEN_END:
    case TOKEN_SIGN: break; /* above */
    }
    return NONE;
}

static bool deeper(parser *p) {
    if (p->depth++ < CFB_EXPR_MAX_DEPTH) return true;
    complain(p, p->now.at, "nested too deep");
    return false;
}

static uint32_t parse_sign(parser *p) {
    token t = p->now;
    if (!deeper(p)) return NONE;
    uint32_t out;
    if (is_sign(p, "-")) {
        next(p);
        out = parse_sign(p);
        if (has_type(p, out, CFB_EXPR_NUMBER, "what '-' stands before"))
            out = add_node(p, (expr_node){.op = EXPR_NEG, .type = CFB_EXPR_NUMBER, .a = out, .b = NONE, .at = t.at});
    } else {
        out = parse_value(p);
    }
    p->depth--;
    return out;
}

/* Left-associative: operand { sign operand }. */
static uint32_t parse_chain(parser *p, uint32_t (*operand)(parser *p), const char *const signs[2], const expr_op ops[2],
                            cfb_expr_type type) {
    uint32_t left = operand(p);
    for (;;) {
        token t = p->now;
        int which = is_sign(p, signs[0]) ? 0 : signs[1] && is_sign(p, signs[1]) ? 1 : -1;
        if (p->rc != CFB_OK || which < 0) return left;
        char what[64];
        snprintf(what, sizeof what, "what stands beside '%s'", t.sign);
        next(p);
        if (!has_type(p, left, type, what)) return NONE;
        uint32_t right = operand(p);
        if (!has_type(p, right, type, what)) return NONE;
        left = add_node(p, (expr_node){.op = ops[which], .type = type, .a = left, .b = right, .at = t.at});
    }
}

static uint32_t parse_product(parser *p) {
    return parse_chain(p, parse_sign, (const char *const[]){"*", "/"}, (const expr_op[]){EXPR_MUL, EXPR_DIV}, CFB_EXPR_NUMBER);
}

static uint32_t parse_sum(parser *p) {
    return parse_chain(p, parse_product, (const char *const[]){"+", "-"}, (const expr_op[]){EXPR_ADD, EXPR_SUB}, CFB_EXPR_NUMBER);
}

static int comparison(const parser *p) {
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">="};
    for (int i = 0; i < 6; i++)
        if (is_sign(p, signs[i])) return i;
    return -1;
}

static uint32_t parse_compare(parser *p) {
    uint32_t left = parse_sum(p);
    token t = p->now;
    int which = comparison(p);
    if (p->rc != CFB_OK || which < 0) return left;
    next(p);
    uint32_t right = parse_sum(p);
    if (p->rc != CFB_OK) return NONE;
    cfb_expr_type a = p->e->nodes[left].type, b = p->e->nodes[right].type;
    char what[160];
    if (a != b) {
        bool column = (a == CFB_EXPR_TEXT && b == CFB_EXPR_NUMBER && p->e->nodes[left].op == EXPR_NAME) ||
                      (b == CFB_EXPR_TEXT && a == CFB_EXPR_NUMBER && p->e->nodes[right].op == EXPR_NAME);
        snprintf(what, sizeof what, "%s is compared with %s%s", type_name(a), type_name(b),
                 column ? "; number(...) reads a number from a column" : "");
        return complain(p, t.at, what);
    }
    if (a == CFB_EXPR_TRUTH && which > 1) return complain(p, t.at, "truth values have no order");
    if (comparison(p) >= 0) return complain(p, p->now.at, "comparisons cannot be chained; join them with '&&'");
    return add_node(
        p, (expr_node){.op = (expr_op)((int)EXPR_EQ + which), .type = CFB_EXPR_TRUTH, .a = left, .b = right, .at = t.at});
}

static uint32_t parse_not(parser *p) {
    token t = p->now;
    if (!is_sign(p, "!")) return parse_compare(p);
    if (!deeper(p)) return NONE;
    next(p);
    uint32_t inner = parse_not(p);
    p->depth--;
    if (!has_type(p, inner, CFB_EXPR_TRUTH, "what '!' stands before")) return NONE;
    return add_node(p, (expr_node){.op = EXPR_NOT, .type = CFB_EXPR_TRUTH, .a = inner, .b = NONE, .at = t.at});
}

static uint32_t parse_and(parser *p) {
    return parse_chain(p, parse_not, (const char *const[]){"&&", NULL}, (const expr_op[]){EXPR_AND, EXPR_AND}, CFB_EXPR_TRUTH);
}

static uint32_t parse_or(parser *p) {
    return parse_chain(p, parse_and, (const char *const[]){"||", NULL}, (const expr_op[]){EXPR_OR, EXPR_OR}, CFB_EXPR_TRUTH);
}

/* ---- the whole ---- */

static void parse(parser *p) {
    next(p);
    if (p->rc == CFB_OK && p->now.kind == TOKEN_END) complain(p, 0, "the expression is empty");
    uint32_t root = parse_or(p);
    if (p->rc == CFB_OK && p->now.kind != TOKEN_END)
        complain(p, p->now.at, p->now.kind == TOKEN_SIGN ? "this does not belong here" : "an operator is missing before this");
    if (p->rc == CFB_OK && has_type(p, root, CFB_EXPR_TRUTH, "the whole expression")) p->e->root = root;
}

static cfb_code check_text(cfb_str text, cfb_err *err) {
    if (text.len > CFB_EXPR_MAX_BYTES)
        return cfb_err_set(err, CFB_EUSAGE, "the expression has %zu bytes; at most %d", text.len, CFB_EXPR_MAX_BYTES);
    size_t bad = text.len ? cfb_utf8_find_invalid(text) : SIZE_MAX;
    const char *nul = text.len ? memchr(text.ptr, '\0', text.len) : NULL;
    if (bad == SIZE_MAX && nul == NULL) return CFB_OK;
    cfb_err_set(err, CFB_EUSAGE, "the expression is not valid UTF-8, or holds a zero byte");
    if (err) err->offset = nul ? (size_t)(nul - text.ptr) : bad;
    return CFB_EUSAGE;
}

cfb_code cfb_expr_parse(cfb_str text, const cfb_expr_name *names, size_t n_names, cfb_expr_t **out, cfb_err *err) {
    *out = NULL;
    cfb_code rc = check_text(text, err);
    if (rc != CFB_OK) return rc;
    cfb_expr_t *e = calloc(1, sizeof *e);
    if (e == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    e->n_names = n_names;
    e->used = calloc(n_names ? n_names : 1, sizeof *e->used);
    rc = e->used ? cfb_arena_new(0, &e->arena, err) : cfb_err_set(err, CFB_ENOMEM, "out of memory");
    if (rc == CFB_OK) {
        parser p = {.e = e, .source = text, .names = names, .err = err};
        parse(&p);
        rc = p.rc;
    }
    if (rc == CFB_OK)
        *out = e;
    else
        cfb_expr_free(e);
    return rc;
}

void cfb_expr_free(cfb_expr_t *e) {
    if (e == NULL) return;
    cfb_arena_free(e->arena);
    free(e->nodes);
    free(e->used);
    free(e);
}

bool cfb_expr_uses(const cfb_expr_t *e, size_t i) { return e->used[i]; }
size_t cfb_expr_n_columns(const cfb_expr_t *e) { return e->n_columns; }
const char *cfb_expr_column(const cfb_expr_t *e, size_t i) { return e->columns[i]; }
