/* arrow_schema.c - the Schema message: which buffers does each field have, and which columns can become text. */
#include "dataset/arrow.h"

#include "cfbench/utf8.h"

#define MAX_NODES ((size_t)100000)
#define MAX_NESTING 64

enum {
    TYPE_NULL = 1,
    TYPE_INT = 2,
    TYPE_FLOAT = 3,
    TYPE_BINARY = 4,
    TYPE_UTF8 = 5,
    TYPE_BOOL = 6,
    TYPE_UNION = 14,
    TYPE_LARGE_BINARY = 19,
    TYPE_LARGE_UTF8 = 20,
    TYPE_BINARY_VIEW = 23,
    TYPE_UTF8_VIEW = 24,
    N_TYPES = 27
};

/* By number of the Type union. Buffers include the validity bitmap, where the type has one. */
static const struct {
    const char *name;
    uint8_t n_buffers;
} type_table[N_TYPES] = {
    {"none", 0},          {"Null", 0},      {"Int", 2},           {"FloatingPoint", 2},
    {"Binary", 3},        {"Utf8", 3},      {"Bool", 2},          {"Decimal", 2},
    {"Date", 2},          {"Time", 2},      {"Timestamp", 2},     {"Interval", 2},
    {"List", 2},          {"Struct", 1},    {"Union", 1},         {"FixedSizeBinary", 2},
    {"FixedSizeList", 1}, {"Map", 2},       {"Duration", 2},      {"LargeBinary", 3},
    {"LargeUtf8", 3},     {"LargeList", 2}, {"RunEndEncoded", 0}, {"BinaryView", 2},
    {"Utf8View", 2},      {"ListView", 3},  {"LargeListView", 3},
};

typedef struct schema_scan {
    cfb_fb *fb;
    cfb_arena_t *arena;
    arrow_schema *out;
    size_t column;
} schema_scan;

static cfb_code int_type(cfb_fb *fb, cfb_fb_table t, arrow_type *out, cfb_err *err) {
    int64_t bits = cfb_fb__int(fb, t, 0, 4, 0);
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
        return cfb_err_set(err, CFB_EUNSUPPORTED, "integers of %lld bits", (long long)bits);
    *out = (arrow_type){ARROW_INT, (uint8_t)(bits / 8), cfb_fb__bool(fb, t, 1, false), "Int"};
    return CFB_OK;
}

static cfb_code leaf_type(cfb_fb *fb, int64_t number, cfb_fb_table t, arrow_type *out, cfb_err *err) {
    *out = (arrow_type){ARROW_OTHER, 0, false, type_table[number].name};
    switch (number) {
    case TYPE_NULL: out->kind = ARROW_NULL; break;
    case TYPE_BOOL: out->kind = ARROW_BOOL; break;
    case TYPE_INT: return int_type(fb, t, out, err);
    case TYPE_FLOAT:
        out->kind = ARROW_FLOAT; /* precision: half, single, double */
        out->width = (uint8_t)(2u << (cfb_fb__int(fb, t, 0, 2, 0) & 3));
        if (out->width > 8) fb->bad = true;
        break;
    case TYPE_BINARY:
    case TYPE_UTF8:
        out->kind = ARROW_TEXT;
        out->width = 4;
        break;
    case TYPE_LARGE_BINARY:
    case TYPE_LARGE_UTF8:
        out->kind = ARROW_TEXT;
        out->width = 8;
        break;
    case TYPE_BINARY_VIEW:
    case TYPE_UTF8_VIEW: out->kind = ARROW_VIEW; break;
    default: break;
    }
    return CFB_OK;
}

static cfb_code add_node(schema_scan *s, uint8_t n_buffers, bool is_view, cfb_err *err) {
    arrow_schema *out = s->out;
    if (out->n_nodes == MAX_NODES) return cfb_err_set(err, CFB_ELIMIT, "more than %zu fields", MAX_NODES);
    if (out->n_nodes == out->cap_nodes) {
        size_t cap = out->cap_nodes ? out->cap_nodes * 2 : 16;
        arrow_node *nodes = cfb_arena_calloc(s->arena, cap, sizeof *nodes);
        if (nodes == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
        if (out->n_nodes) memcpy(nodes, out->nodes, out->n_nodes * sizeof *nodes);
        out->nodes = nodes;
        out->cap_nodes = cap;
    }
    out->nodes[out->n_nodes++] = (arrow_node){n_buffers, is_view, s->column};
    return CFB_OK;
}

/* Buffers of the field itself, and whether its children follow in a batch. */
static uint8_t count_buffers(const schema_scan *s, int64_t number, cfb_fb_table type) {
    uint8_t n = type_table[number].n_buffers;
    if (number == TYPE_UNION) {
        if (cfb_fb__int(s->fb, type, 0, 2, 0) == 1) n++; /* dense: offsets */
        if (s->out->v4) n++;
    }
    return n;
}

/* Adds the nodes of a field and of what is nested in it. */
static cfb_code add_field(schema_scan *s, cfb_fb_table field, int depth, cfb_err *err) {
    cfb_fb *fb = s->fb;
    int64_t number = cfb_fb__int(fb, field, 2, 1, 0);
    cfb_fb_table type = cfb_fb__table(fb, field, 3), dictionary = cfb_fb__table(fb, field, 4);
    if (depth > MAX_NESTING) return cfb_err_set(err, CFB_ELIMIT, "fields nested more than %d deep", MAX_NESTING);
    if (number <= 0 || number >= N_TYPES)
        return cfb_err_set(err, CFB_EUNSUPPORTED, "a field has the unknown type %lld", (long long)number);
    if (dictionary.pos) return add_node(s, 2, false, err); /* validity and indices; children are in the dictionary */
    bool view = number == TYPE_UTF8_VIEW || number == TYPE_BINARY_VIEW;
    cfb_code rc = add_node(s, count_buffers(s, number, type), view, err);
    cfb_fb_vector children = cfb_fb__vector(fb, field, 5, 4);
    for (size_t i = 0; i < children.count && rc == CFB_OK && !fb->bad; i++)
        rc = add_field(s, cfb_fb__table_at(fb, children, i), depth + 1, err);
    return rc;
}

static cfb_code read_column(schema_scan *s, cfb_fb_table field, arrow_column *c, cfb_err *err) {
    cfb_fb *fb = s->fb;
    cfb_str name = cfb_fb__string(fb, field, 0);
    if (name.ptr == NULL) name = CFB_STR_LIT("");
    if (cfb_utf8_find_invalid(name) != SIZE_MAX)
        return cfb_err_set(err, CFB_EENCODING, "the name of column %zu is not valid UTF-8", s->column + 1);
    cfb_code rc = cfb_arena_dup(s->arena, name, &c->name, err);
    c->node = s->out->n_nodes;
    if (rc == CFB_OK) rc = add_field(s, field, 0, err);
    if (rc != CFB_OK || fb->bad) return rc;
    rc = leaf_type(fb, cfb_fb__int(fb, field, 2, 1, 0), cfb_fb__table(fb, field, 3), &c->type, err);
    cfb_fb_table dictionary = cfb_fb__table(fb, field, 4);
    if (rc == CFB_OK && dictionary.pos) {
        c->has_dictionary = true;
        c->dictionary_id = cfb_fb__int(fb, dictionary, 0, 8, 0);
        cfb_fb_table index = cfb_fb__table(fb, dictionary, 1);
        if (index.pos)
            rc = int_type(fb, index, &c->index, err);
        else
            c->index = (arrow_type){ARROW_INT, 4, true, "Int"};
    }
    return rc;
}

cfb_code arrow_schema_read(cfb_fb *fb, cfb_fb_table schema, bool v4, cfb_arena_t *arena, arrow_schema *out, cfb_err *err) {
    memset(out, 0, sizeof *out);
    out->v4 = v4;
    if (cfb_fb__int(fb, schema, 0, 2, 0) != 0) return cfb_err_set(err, CFB_EUNSUPPORTED, "big-endian data");
    cfb_fb_vector fields = cfb_fb__vector(fb, schema, 1, 4);
    if (fields.count > MAX_NODES) return cfb_err_set(err, CFB_ELIMIT, "more than %zu columns", MAX_NODES);
    out->columns = cfb_arena_calloc(arena, fields.count, sizeof *out->columns);
    if (out->columns == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    schema_scan s = {fb, arena, out, 0};
    for (; s.column < fields.count && !fb->bad; s.column++) {
        cfb_code rc = read_column(&s, cfb_fb__table_at(fb, fields, s.column), &out->columns[s.column], err);
        if (rc != CFB_OK) return rc;
        out->n_columns++;
    }
    return fb->bad ? cfb_err_set(err, CFB_EDATA, "the schema's metadata is damaged") : CFB_OK;
}
