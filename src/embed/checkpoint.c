/* checkpoint.c - a state dict as torch.save writes it: in a ZIP archive, ROOT/data/KEY holds the numbers of a storage, and
 * ROOT/data.pkl is a program for Python's pickle machine that makes the dict. Here a machine runs it that knows tensors and
 * nothing else. The instructions are those of CPython's Lib/pickletools.py; what torch writes with them, of
 * torch/serialization.py. */
#include "embed/checkpoint.h"
#include "cfbench/base.h"
#include "cfbench/utf8.h"
#include "embed/archive.h"

#include <limits.h>
#include <stdlib.h>

#define MAX_PROGRAM ((size_t)64 << 20)
#define MAX_VALUES_BYTES ((size_t)1 << 30)

enum call { CALL_DICT, CALL_TENSOR, CALL_PARAMETER, CALL_STORAGE };

static const struct callable {
    const char *name; /* module and name as in the program */
    enum call call;
    embed_dtype dtype;
    size_t item_bytes;
} callables[] = {
    {"collections\nOrderedDict", CALL_DICT, EMBED_OTHER, 0},
    {"torch._utils\n_rebuild_tensor_v2", CALL_TENSOR, EMBED_OTHER, 0},
    {"torch._utils\n_rebuild_parameter", CALL_PARAMETER, EMBED_OTHER, 0},
    {"torch\nFloatStorage", CALL_STORAGE, EMBED_F32, 4},
    {"torch\nHalfStorage", CALL_STORAGE, EMBED_F16, 2},
    {"torch\nBFloat16Storage", CALL_STORAGE, EMBED_BF16, 2},
    {"torch\nDoubleStorage", CALL_STORAGE, EMBED_OTHER, 8},
    {"torch\nLongStorage", CALL_STORAGE, EMBED_OTHER, 8},
    {"torch\nIntStorage", CALL_STORAGE, EMBED_OTHER, 4},
    {"torch\nShortStorage", CALL_STORAGE, EMBED_OTHER, 2},
    {"torch\nCharStorage", CALL_STORAGE, EMBED_OTHER, 1},
    {"torch\nByteStorage", CALL_STORAGE, EMBED_OTHER, 1},
    {"torch\nBoolStorage", CALL_STORAGE, EMBED_OTHER, 1},
};

/* OTHER: what no tensor needs to know, such as None. */
enum kind { MARK, OTHER, INTEGER, TEXT, TUPLE, DICT, CALLABLE, STORAGE, TENSOR };

struct value {
    enum kind kind;
    union {
        int64_t integer;
        cfb_str text;
        struct {
            size_t first, n; /* in items */
        } tuple;
        size_t index; /* of a dict its number; in callables, storages, tensors */
    } of;
};

struct storage {
    const struct callable *type;
    const embed_entry *entry;
};

struct pair {
    size_t dict;
    struct value key, value;
};

struct machine {
    const embed_archive *archive;
    cfb_str root; /* folder in the archive */
    const unsigned char *p, *end;
    cfb_buf stack, memo, items; /* values */
    cfb_buf storages, tensors, pairs;
    size_t n_dicts;
    cfb_err *err;
};

#define COUNT(buf, type) ((buf).len / sizeof(type))
#define AT(buf, type, i) (((type *)(void *)(buf).ptr)[i])

static cfb_code damaged(struct machine *m, const char *what) {
    return cfb_err_set(m->err, CFB_EDATA, "data.pkl is no state dict: %s", what);
}

/* ---- the stack ---- */

static cfb_code push(struct machine *m, struct value v) { return cfb_buf_append(&m->stack, &v, sizeof v, m->err); }
static cfb_code push_other(struct machine *m) { return push(m, (struct value){.kind = OTHER}); }
static cfb_code push_integer(struct machine *m, int64_t i) { return push(m, (struct value){INTEGER, {.integer = i}}); }

static cfb_code pop(struct machine *m, struct value *out) {
    if (m->stack.len == 0) return damaged(m, "the stack is empty");
    m->stack.len -= sizeof *out;
    *out = AT(m->stack, struct value, COUNT(m->stack, struct value));
    return CFB_OK;
}

static cfb_code pop_kind(struct machine *m, enum kind kind, struct value *out) {
    cfb_code rc = pop(m, out);
    return rc == CFB_OK && out->kind != kind ? damaged(m, "an argument is of another kind") : rc;
}

/* How many values lie above the last mark. */
static cfb_code above_mark(struct machine *m, size_t *n) {
    size_t count = COUNT(m->stack, struct value);
    for (*n = 0; *n < count; ++*n)
        if (AT(m->stack, struct value, count - 1 - *n).kind == MARK) return CFB_OK;
    return damaged(m, "a mark is missing");
}

static cfb_code make_tuple(struct machine *m, size_t n, bool marked) {
    size_t count = COUNT(m->stack, struct value);
    if (n > count) return damaged(m, "the stack is empty");
    struct value v = {TUPLE, {.tuple = {COUNT(m->items, struct value), n}}};
    cfb_code rc = n ? cfb_buf_append(&m->items, &AT(m->stack, struct value, count - n), n * sizeof v, m->err) : CFB_OK;
    if (rc != CFB_OK) return rc;
    m->stack.len -= (n + marked) * sizeof v;
    return push(m, v);
}

static const struct value *item(const struct machine *m, const struct value *tuple, size_t i) {
    return &AT(m->items, const struct value, tuple->of.tuple.first + i);
}

/* ---- what a program makes ---- */

static cfb_code push_callable(struct machine *m, cfb_str name) {
    for (size_t i = 0; i < sizeof callables / sizeof *callables; i++)
        if (cfb_str_eqz(name, callables[i].name)) return push(m, (struct value){CALLABLE, {.index = i}});
    const char *line = memchr(name.ptr, '\n', name.len);
    int n = line ? (int)(line - name.ptr) : 0, rest = line ? (int)name.len - n - 1 : 0;
    return cfb_err_set(m->err, CFB_EUNSUPPORTED, "data.pkl asks for '%.*s.%.*s'; only tensors are read from a checkpoint",
                       n < 80 ? n : 80, name.ptr, rest < 80 ? rest : 80, line ? line + 1 : "");
}

/* ("storage", type, key, device, number of items) */
static cfb_code push_storage(struct machine *m) {
    struct value id;
    cfb_code rc = pop_kind(m, TUPLE, &id);
    if (rc != CFB_OK) return rc;
    if (id.of.tuple.n != 5 || item(m, &id, 0)->kind != TEXT || !cfb_str_eqz(item(m, &id, 0)->of.text, "storage") ||
        item(m, &id, 1)->kind != CALLABLE || callables[item(m, &id, 1)->of.index].call != CALL_STORAGE ||
        item(m, &id, 2)->kind != TEXT)
        return damaged(m, "a storage is described in another way");
    cfb_str key = item(m, &id, 2)->of.text;
    char name[80];
    if (key.len > 64) return damaged(m, "a storage has a long name");
    memcpy(name, "data/", 5);
    memcpy(name + 5, key.ptr, key.len);
    struct storage s = {&callables[item(m, &id, 1)->of.index],
                        embed_archive_find(m->archive, m->root, (cfb_str){name, 5 + key.len})};
    if (s.entry == NULL) return cfb_err_set(m->err, CFB_ETRUNCATED, "the archive has no data/%.*s", CFB_STR_ARG(key));
    rc = cfb_buf_append(&m->storages, &s, sizeof s, m->err);
    return rc == CFB_OK ? push(m, (struct value){STORAGE, {.index = COUNT(m->storages, struct storage) - 1}}) : rc;
}

static bool read_sizes(const struct machine *m, const struct value *tuple, size_t *out) {
    for (size_t i = 0; i < tuple->of.tuple.n; i++) {
        const struct value *v = item(m, tuple, i);
        if (v->kind != INTEGER || v->of.integer < 0) return false;
        out[i] = (size_t)v->of.integer;
    }
    return true;
}

static bool is_contiguous(const embed_tensor *t, const size_t *strides) {
    size_t expected = 1;
    for (size_t i = t->n_dims; i-- > 0 && t->n_items > 0;) {
        if (t->dims[i] != 1 && strides[i] != expected) return false;
        expected *= t->dims[i];
    }
    return true;
}

/* (storage, first item, shape, strides, ...) */
static cfb_code push_tensor(struct machine *m, const struct value *args) {
    size_t strides[EMBED_MAX_DIMS];
    embed_tensor t = {.n_items = 1};
    if (args->of.tuple.n < 4 || item(m, args, 0)->kind != STORAGE || item(m, args, 1)->kind != INTEGER ||
        item(m, args, 1)->of.integer < 0 || item(m, args, 2)->kind != TUPLE || item(m, args, 3)->kind != TUPLE)
        return damaged(m, "a tensor is described in another way");
    const struct storage *s = &AT(m->storages, struct storage, item(m, args, 0)->of.index);
    t.n_dims = item(m, args, 2)->of.tuple.n;
    if (t.n_dims > EMBED_MAX_DIMS || item(m, args, 3)->of.tuple.n != t.n_dims || !read_sizes(m, item(m, args, 2), t.dims) ||
        !read_sizes(m, item(m, args, 3), strides))
        return damaged(m, "a tensor has an impossible shape");
    for (size_t i = 0; i < t.n_dims; i++)
        if (!cfb_size_mul(t.n_items, t.dims[i], &t.n_items)) return damaged(m, "a tensor has an impossible shape");
    size_t first = (size_t)item(m, args, 1)->of.integer, held = s->entry->len / s->type->item_bytes;
    if (first > held || t.n_items > held - first)
        return cfb_err_set(m->err, CFB_ETRUNCATED, "a tensor of %zu items from item %zu on lies in a storage of %zu", t.n_items,
                           first, held);
    if (!is_contiguous(&t, strides))
        return cfb_err_set(m->err, CFB_EUNSUPPORTED, "a tensor is stored with strides; save it contiguous");
    t.dtype = s->type->dtype;
    t.data = s->entry->data + first * s->type->item_bytes;
    t.n_bytes = t.n_items * s->type->item_bytes;
    cfb_code rc = cfb_buf_append(&m->tensors, &t, sizeof t, m->err);
    return rc == CFB_OK ? push(m, (struct value){TENSOR, {.index = COUNT(m->tensors, embed_tensor) - 1}}) : rc;
}

static cfb_code call(struct machine *m) {
    struct value args, f;
    cfb_code rc = pop_kind(m, TUPLE, &args);
    if (rc == CFB_OK) rc = pop_kind(m, CALLABLE, &f);
    if (rc != CFB_OK) return rc;
    switch (callables[f.of.index].call) {
    case CALL_DICT:
        if (args.of.tuple.n != 0) return damaged(m, "a dict is described in another way");
        return push(m, (struct value){DICT, {.index = m->n_dicts++}});
    case CALL_TENSOR: return push_tensor(m, &args);
    case CALL_PARAMETER:
        if (args.of.tuple.n < 1 || item(m, &args, 0)->kind != TENSOR) return damaged(m, "a parameter is no tensor");
        return push(m, *item(m, &args, 0));
    case CALL_STORAGE:
    default: return damaged(m, "a storage is called");
    }
}

/* The n values on top are keys and values of the dict below them (and below their mark). */
static cfb_code set_items(struct machine *m, size_t n, bool marked) {
    size_t count = COUNT(m->stack, struct value), dict = count - n - marked - 1;
    if (n % 2 || n + marked + 1 > count || AT(m->stack, struct value, dict).kind != DICT)
        return damaged(m, "what is filled is no dict");
    cfb_code rc = CFB_OK;
    for (size_t i = count - n; i < count && rc == CFB_OK; i += 2) {
        struct pair p = {AT(m->stack, struct value, dict).of.index, AT(m->stack, struct value, i),
                         AT(m->stack, struct value, i + 1)};
        rc = cfb_buf_append(&m->pairs, &p, sizeof p, m->err);
    }
    m->stack.len -= (n + marked) * sizeof(struct value);
    return rc;
}

/* ---- memo: values by number ---- */

static cfb_code keep(struct machine *m, size_t index) {
    size_t n = COUNT(m->memo, struct value);
    if (m->stack.len == 0 || index > n) return damaged(m, "the memo has gaps");
    struct value top = AT(m->stack, struct value, COUNT(m->stack, struct value) - 1);
    if (index == n) return cfb_buf_append(&m->memo, &top, sizeof top, m->err);
    AT(m->memo, struct value, index) = top;
    return CFB_OK;
}

static cfb_code recall(struct machine *m, size_t index) {
    if (index >= COUNT(m->memo, struct value)) return damaged(m, "the memo has gaps");
    return push(m, AT(m->memo, struct value, index));
}

/* ---- the program ---- */

static cfb_code take(struct machine *m, size_t n, const unsigned char **out) {
    if (n > (size_t)(m->end - m->p)) return cfb_err_set(m->err, CFB_ETRUNCATED, "data.pkl is cut short");
    *out = m->p;
    m->p += n;
    return CFB_OK;
}

static cfb_code take_number(struct machine *m, size_t n_bytes, uint64_t *out) {
    const unsigned char *p = NULL;
    cfb_code rc = take(m, n_bytes, &p);
    *out = 0;
    for (size_t i = n_bytes; rc == CFB_OK && i-- > 0;) *out = *out << 8 | p[i];
    return rc;
}

/* A two's complement number of n_bytes. */
static cfb_code push_signed(struct machine *m, size_t n_bytes) {
    uint64_t v;
    if (n_bytes > 8) return damaged(m, "a number is too long");
    cfb_code rc = take_number(m, n_bytes, &v);
    if (rc != CFB_OK) return rc;
    if (n_bytes > 0 && n_bytes < 8 && v >> (8 * n_bytes - 1)) v |= UINT64_MAX << (8 * n_bytes);
    return push_integer(m, (int64_t)v);
}

static cfb_code push_text(struct machine *m, size_t length_bytes) {
    uint64_t n;
    const unsigned char *p = NULL;
    cfb_code rc = take_number(m, length_bytes, &n);
    if (rc == CFB_OK) rc = take(m, (size_t)n, &p);
    return rc == CFB_OK ? push(m, (struct value){TEXT, {.text = {(const char *)p, (size_t)n}}}) : rc;
}

/* Two lines: module and name. */
static cfb_code push_global(struct machine *m) {
    const unsigned char *begin = m->p, *line = memchr(begin, '\n', (size_t)(m->end - begin));
    const unsigned char *last = line ? memchr(line + 1, '\n', (size_t)(m->end - line - 1)) : NULL;
    if (last == NULL) return cfb_err_set(m->err, CFB_ETRUNCATED, "data.pkl is cut short");
    m->p = last + 1;
    return push_callable(m, (cfb_str){(const char *)begin, (size_t)(last - begin)});
}

static cfb_code push_stack_global(struct machine *m) {
    struct value name, module;
    char both[200];
    cfb_code rc = pop_kind(m, TEXT, &name);
    if (rc == CFB_OK) rc = pop_kind(m, TEXT, &module);
    if (rc != CFB_OK) return rc;
    if (module.of.text.len + name.of.text.len + 1 > sizeof both) return damaged(m, "a long name");
    memcpy(both, module.of.text.ptr, module.of.text.len);
    both[module.of.text.len] = '\n';
    memcpy(both + module.of.text.len + 1, name.of.text.ptr, name.of.text.len);
    return push_callable(m, (cfb_str){both, module.of.text.len + 1 + name.of.text.len});
}

static cfb_code skip(struct machine *m, size_t n) {
    const unsigned char *p = NULL;
    return take(m, n, &p);
}

static cfb_code drop(struct machine *m, size_t n) {
    struct value v;
    cfb_code rc = CFB_OK;
    while (n-- > 0 && rc == CFB_OK) rc = pop(m, &v);
    return rc;
}

static cfb_code to_memo(struct machine *m, size_t n_bytes, cfb_code (*f)(struct machine *, size_t)) {
    uint64_t index;
    cfb_code rc = take_number(m, n_bytes, &index);
    return rc == CFB_OK ? f(m, (size_t)index) : rc;
}

static cfb_code marked(struct machine *m, cfb_code (*f)(struct machine *, size_t, bool)) {
    size_t n;
    cfb_code rc = above_mark(m, &n);
    return rc == CFB_OK ? f(m, n, true) : rc;
}

static cfb_code drop_items(struct machine *m, size_t n, bool is_marked) { return drop(m, n + is_marked); }

static cfb_code step(struct machine *m, unsigned char op) {
    uint64_t n = 0;
    cfb_code rc = CFB_OK;
    switch (op) {
    case 0x80: return skip(m, 1);                           /* PROTO */
    case 0x95: return skip(m, 8);                           /* FRAME */
    case '(': return push(m, (struct value){.kind = MARK}); /* MARK */
    case 'N': return push_other(m);                         /* NONE */
    case 0x88:
    case 0x89: return push_other(m);                                                            /* NEWTRUE, NEWFALSE */
    case 'G': return (rc = skip(m, 8)) == CFB_OK ? push_other(m) : rc;                          /* BINFLOAT */
    case ']': return push_other(m);                                                             /* EMPTY_LIST */
    case 'a': return drop(m, 1);                                                                /* APPEND */
    case 'e': return marked(m, drop_items);                                                     /* APPENDS */
    case 'K': return (rc = take_number(m, 1, &n)) == CFB_OK ? push_integer(m, (int64_t)n) : rc; /* BININT1 */
    case 'M': return (rc = take_number(m, 2, &n)) == CFB_OK ? push_integer(m, (int64_t)n) : rc; /* BININT2 */
    case 'J': return push_signed(m, 4);                                                         /* BININT */
    case 0x8a: return (rc = take_number(m, 1, &n)) == CFB_OK ? push_signed(m, (size_t)n) : rc;  /* LONG1 */
    case 0x8c:
    case 'U': return push_text(m, 1); /* SHORT_BINUNICODE, SHORT_BINSTRING */
    case 'X':
    case 'T': return push_text(m, 4);         /* BINUNICODE, BINSTRING */
    case 'c': return push_global(m);          /* GLOBAL */
    case 0x93: return push_stack_global(m);   /* STACK_GLOBAL */
    case ')': return make_tuple(m, 0, false); /* EMPTY_TUPLE */
    case 0x85:
    case 0x86:
    case 0x87: return make_tuple(m, op - 0x84u, false);                      /* TUPLE1 to TUPLE3 */
    case 't': return marked(m, make_tuple);                                  /* TUPLE */
    case '}': return push(m, (struct value){DICT, {.index = m->n_dicts++}}); /* EMPTY_DICT */
    case 's': return set_items(m, 2, false);                                 /* SETITEM */
    case 'u': return marked(m, set_items);                                   /* SETITEMS */
    case 'Q': return push_storage(m);                                        /* BINPERSID */
    case 'R': return call(m);                                                /* REDUCE */
    case 'b': return drop(m, 1);                                             /* BUILD: attributes, such as _metadata */
    case '0': return drop(m, 1);                                             /* POP */
    case 'q': return to_memo(m, 1, keep);                                    /* BINPUT */
    case 'r': return to_memo(m, 4, keep);                                    /* LONG_BINPUT */
    case 0x94: return keep(m, COUNT(m->memo, struct value));                 /* MEMOIZE */
    case 'h': return to_memo(m, 1, recall);                                  /* BINGET */
    case 'j': return to_memo(m, 4, recall);                                  /* LONG_BINGET */
    default: return cfb_err_set(m->err, CFB_EUNSUPPORTED, "data.pkl has the instruction %#x, which no state dict needs", op);
    }
}

static cfb_code run(struct machine *m, struct value *result) {
    cfb_code rc = CFB_OK;
    while (rc == CFB_OK) {
        if (m->p == m->end) return cfb_err_set(m->err, CFB_ETRUNCATED, "data.pkl is cut short");
        unsigned char op = *m->p++;
        if (op == '.') return pop_kind(m, DICT, result); /* STOP */
        rc = step(m, op);
    }
    return rc;
}

/* ---- the whole ---- */

static cfb_code add_tensors(embed_tensors *t, const struct machine *m, size_t dict, cfb_err *err) {
    cfb_code rc = CFB_OK;
    for (size_t i = 0; i < COUNT(m->pairs, struct pair) && rc == CFB_OK; i++) {
        const struct pair *p = &AT(m->pairs, struct pair, i);
        cfb_str name = p->key.of.text;
        if (p->dict != dict) continue;
        if (p->key.kind != TEXT || name.len > EMBED_MAX_NAME || memchr(name.ptr, '\0', name.len) ||
            cfb_utf8_find_invalid(name) < name.len)
            return cfb_err_set(err, CFB_EDATA, "a tensor's name is no text of at most %d bytes", EMBED_MAX_NAME);
        if (p->value.kind != TENSOR)
            return cfb_err_set(err, CFB_EUNSUPPORTED, "'%.*s' is no tensor: this is more than a model's state dict",
                               CFB_STR_ARG(name));
        embed_tensor x = AT(m->tensors, embed_tensor, p->value.of.index);
        x.name = name;
        rc = embed_tensors_push(t, &x, err);
    }
    return rc;
}

/* Where the program lies: the only entry that is called data.pkl, one folder deep. */
static const embed_entry *find_program(const embed_archive *a, cfb_str *root) {
    for (size_t i = 0; i < a->n; i++) {
        cfb_str s = a->entries[i].name;
        const char *slash = s.len ? memchr(s.ptr, '/', s.len) : NULL;
        if (slash == NULL) continue;
        *root = (cfb_str){s.ptr, (size_t)(slash - s.ptr)};
        if (s.len - root->len - 1 == 8 && memcmp(slash + 1, "data.pkl", 8) == 0) return &a->entries[i];
    }
    return NULL;
}

static cfb_code read_archive(embed_tensors *t, const embed_archive *a, cfb_err *err) {
    struct machine m = {.archive = a, .err = err};
    const embed_entry *program = find_program(a, &m.root), *order = NULL;
    if (program == NULL) return cfb_err_set(err, CFB_EDATA, "the archive has no data.pkl: not written by torch.save");
    if (program->len > MAX_PROGRAM) return cfb_err_set(err, CFB_ELIMIT, "data.pkl has %zu bytes", program->len);
    order = embed_archive_find(a, m.root, CFB_STR_LIT("byteorder"));
    if (order && !(order->len == 6 && memcmp(order->data, "little", 6) == 0))
        return cfb_err_set(err, CFB_EUNSUPPORTED, "the checkpoint is not little-endian");
    m.p = program->data;
    m.end = program->data + program->len;
    cfb_buf *const all[] = {&m.stack, &m.memo, &m.items, &m.storages, &m.tensors, &m.pairs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = CFB_BUF_INIT(MAX_VALUES_BYTES);
    struct value dict;
    cfb_code rc = run(&m, &dict);
    if (rc == CFB_OK) rc = add_tensors(t, &m, dict.of.index, err);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cfb_buf_free(all[i]);
    return rc;
}

cfb_code embed_checkpoint_add(embed_tensors *t, const char *name, const void *file, size_t len, cfb_err *err) {
    embed_archive a;
    cfb_code rc = embed_archive_read(file, len, &a, err);
    if (rc == CFB_OK) {
        rc = read_archive(t, &a, err);
        embed_archive_free(&a);
    }
    return rc == CFB_OK ? CFB_OK : cfb_err_add_context(err, "%s", name);
}
