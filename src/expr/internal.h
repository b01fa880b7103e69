/* internal.h - a parsed expression. Private to expr. */
#ifndef CFB_EXPR_INTERNAL_H
#define CFB_EXPR_INTERNAL_H

#include "cfbench/base.h"
#include "cfbench/expr.h"

/* X(NAME, name, result, number of arguments, their types) */
#define EXPR_FUNCTION_MAP(X)                      \
    X(CHARS, "chars", NUMBER, 1, TEXT, TEXT)      \
    X(CONTAINS, "contains", TRUTH, 2, TEXT, TEXT) \
    X(STARTS, "starts", TRUTH, 2, TEXT, TEXT)     \
    X(ENDS, "ends", TRUTH, 2, TEXT, TEXT)         \
    X(NUMBER, "number", NUMBER, 1, TEXT, TEXT)    \
    X(MISSING, "missing", TRUTH, 1, TEXT, TEXT)   \
    X(ABS, "abs", NUMBER, 1, NUMBER, NUMBER)      \
    X(MIN, "min", NUMBER, 2, NUMBER, NUMBER)      \
    X(MAX, "max", NUMBER, 2, NUMBER, NUMBER)

typedef enum expr_op {
    EXPR_CONST,
    EXPR_NAME,
    EXPR_OR,
    EXPR_AND,
    EXPR_NOT,
    EXPR_EQ,
    EXPR_NE,
    EXPR_LT,
    EXPR_LE,
    EXPR_GT,
    EXPR_GE,
    EXPR_ADD,
    EXPR_SUB,
    EXPR_MUL,
    EXPR_DIV,
    EXPR_NEG,
#define CFB_X(NAME, name, result, n, first, second) EXPR_##NAME,
    EXPR_FUNCTION_MAP(CFB_X)
#undef CFB_X
} expr_op;

typedef struct expr_node {
    expr_op op;
    cfb_expr_type type;
    uint32_t a, b; /* operands */
    uint32_t name; /* EXPR_NAME: index into the values */
    uint32_t depth;
    size_t at;            /* byte where it stands */
    cfb_expr_value value; /* EXPR_CONST */
} expr_node;

struct cfb_expr {
    cfb_arena_t *arena;
    expr_node *nodes;
    uint32_t n, cap, root;
    size_t n_names, n_columns;
    bool *used;                                /* (n_names) */
    const char *columns[CFB_EXPR_MAX_COLUMNS]; /* in the arena */
};

#endif
