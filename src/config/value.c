/* value.c - a value of any source is read, checked against its row of the table, and stored in its field. */
#include "config/options.h"

#include "cfbench/utf8.h"

typedef struct value {
    bool b;
    int64_t i;
    double d;
    const char *s;
    cfb_string_list list;
} value;

#define SHOWN_MAX (CFB_SHOWN_SIZE - 8)
const char *cfb_shown(const char *text, char buf[CFB_SHOWN_SIZE]) {
    size_t len = strlen(text);
    if (len <= SHOWN_MAX) return len == 0 ? "the empty string" : text;
    len = SHOWN_MAX;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) len--;
    memcpy(buf, text, len);
    memcpy(buf + len, "...", 4);
    return buf;
}

static cfb_code complain(const cfb_loader *l, const cfb_opt *o, cfb_rank rank, const char *where, const char *what,
                         cfb_err *err) {
    const char *command = cfb_command_name(l->c->command);
    return cfb_err_set(err, rank == RANK_COMMAND_LINE ? CFB_EUSAGE : CFB_ECONFIG, "--%s: %s (from %s); see 'cfbench %s%s--help'",
                       o->name, what, where, command, command[0] != '\0' ? " " : "");
}

/* "a|b|c" as "a, b or c" */
static void list_choices(const char *choices, char *buf, size_t size) {
    size_t used = 0;
    for (const char *p = choices; *p != '\0' && used + 8 < size; p++) {
        if (*p != '|') {
            buf[used++] = *p;
            continue;
        }
        const char *glue = strchr(p + 1, '|') != NULL ? ", " : " or ";
        memcpy(buf + used, glue, strlen(glue));
        used += strlen(glue);
    }
    buf[used] = '\0';
}

static bool is_choice(const char *choices, const char *text) {
    size_t len = strlen(text);
    for (const char *p = choices;; p++) {
        size_t n = strcspn(p, "|");
        if (n == len && memcmp(p, text, len) == 0) return true;
        p += n;
        if (*p == '\0') return false;
    }
}

static const char *const true_words[] = {"true", "yes", "on", "1"}, *const false_words[] = {"false", "no", "off", "0"};

static bool parse_bool(const char *text, bool *out) {
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(text, true_words[i]) == 0) return *out = true, true;
        if (strcmp(text, false_words[i]) == 0) return *out = false, true;
    }
    return false;
}

/* Range, choices, and the row's own check. Writes the complaint into what and returns false. */
static bool is_allowed(const cfb_opt *o, const value *v, char *what, size_t size) {
    char low[32], high[32], cut[CFB_SHOWN_SIZE];
    cfb_format_plain(o->min, low);
    cfb_format_plain(o->max, high);
    if (o->type == OPT_INT && (v->i < (int64_t)o->min || v->i > (int64_t)o->max)) {
        snprintf(what, size, "%lld is not in %s..%s", (long long)v->i, low, high);
        return false;
    }
    if (o->type == OPT_DOUBLE && !(v->d >= o->min && v->d <= o->max)) {
        char got[32];
        cfb_format_plain(v->d, got);
        snprintf(what, size, "%s is not in %s..%s", got, low, high);
        return false;
    }
    if (o->type == OPT_ENUM && !is_choice(o->choices, v->s)) {
        char all[128];
        list_choices(o->choices, all, sizeof all);
        snprintf(what, size, "%s is not one of %s", cfb_shown(v->s, cut), all);
        return false;
    }
    bool is_text = o->type == OPT_STRING || o->type == OPT_LIST;
    if ((is_text || o->type == OPT_PATH) && v->s[0] == '\0' && (o->flags & OPT_EMPTY_OK) == 0) {
        snprintf(what, size, "the value is empty");
        return false;
    }
    if (is_text && cfb_utf8_find_invalid(cfb_str_from(v->s)) != SIZE_MAX) {
        snprintf(what, size, "the value is not valid UTF-8");
        return false;
    }
    const char *wrong = o->check != NULL ? o->check(v->s) : NULL;
    if (wrong != NULL) snprintf(what, size, "the value %s", wrong);
    return wrong == NULL;
}

/* Every text of a list by itself. */
static bool are_allowed(const cfb_opt *o, const value *v, char *what, size_t size) {
    if (o->type != OPT_LIST) return is_allowed(o, v, what, size);
    for (size_t i = 0; i < v->list.n; i++) {
        value one = {.s = v->list.items[i]};
        if (!is_allowed(o, &one, what, size)) return false;
    }
    return true;
}

static size_t index_of(const cfb_opt *o) { return (size_t)(o - cfb_opts); }

/* a, then b; in the arena. */
static cfb_code join(cfb_arena_t *arena, cfb_string_list a, cfb_string_list b, cfb_string_list *out, cfb_err *err) {
    *out = (cfb_string_list){NULL, a.n + b.n};
    if (out->n == 0) return CFB_OK;
    const char **items = cfb_arena_calloc(arena, out->n, sizeof *items);
    if (items == NULL) return cfb_err_set(err, CFB_ENOMEM, "no memory for a list of options");
    for (size_t i = 0; i < a.n; i++) items[i] = a.items[i];
    for (size_t i = 0; i < b.n; i++) {
        cfb_str copy;
        cfb_code rc = cfb_arena_dup(arena, cfb_str_from(b.items[i]), &copy, err);
        if (rc != CFB_OK) return rc;
        items[a.n + i] = copy.ptr;
    }
    out->items = items;
    return CFB_OK;
}

static cfb_code store(cfb_loader *l, const cfb_opt *o, const value *v, cfb_rank rank, const char *where, cfb_err *err) {
    char what[256];
    if (!are_allowed(o, v, what, sizeof what)) return complain(l, o, rank, where, what, err);
    for (size_t i = 0; rank == RANK_COMMAND_LINE && (o->flags & OPT_HIDDEN) != 0 && i < v->list.n; i++)
        if (cfb_header_is_secret(v->list.items[i]))
            return complain(
                l, o, rank, where,
                "every user of this machine can read command lines in the process list; put the key into the variable "
                "OPENAI_API_KEY (--api-key-header names another header for it), or the header into CFBENCH_HEADERS",
                err);
    /* A shared config file may hold options of other commands: checked, but without effect. Defaults fill all fields. */
    if (rank > RANK_DEFAULT && !cfb_opt_is_for(o, l->c->command)) return CFB_OK;
    size_t at = index_of(o);
    if (rank < l->rank[at]) return CFB_OK;
    void *field = cfb_opt_field(o, l->c);
    cfb_str copy = CFB_STR_NULL;
    cfb_code rc;
    switch (o->type) {
    case OPT_BOOL: *(bool *)field = v->b; break;
    case OPT_INT: *(int64_t *)field = v->i; break;
    case OPT_DOUBLE: *(double *)field = v->d; break;
    case OPT_STRING:
    case OPT_ENUM:
    case OPT_PATH:
        rc = cfb_arena_dup(l->c->arena, cfb_str_from(v->s), &copy, err);
        if (rc != CFB_OK) return rc;
        *(const char **)field = copy.ptr;
        break;
    case OPT_LIST: { /* a further one of the same command line is added */
        cfb_string_list *list = field,
                        before = rank == RANK_COMMAND_LINE && l->rank[at] == rank ? *list : (cfb_string_list){NULL, 0};
        rc = join(l->c->arena, before, v->list, list, err);
        if (rc != CFB_OK) return rc;
        break;
    }
    }
    l->rank[at] = rank;
    l->where[at] = where;
    return CFB_OK;
}

/* The texts of a JSON array into v->list, which borrows from root. */
static bool read_array(const cfb_json *root, cfb_arena_t *arena, value *v) {
    size_t n = cfb_json_count(root);
    const char **items = cfb_arena_calloc(arena, n + 1, sizeof *items);
    if (items == NULL || cfb_json_kind_of(root) != CFB_JSON_ARRAY) return false;
    v->list = (cfb_string_list){items, 0};
    for (const cfb_json *e = cfb_json_first(root); e != NULL; e = cfb_json_next(e)) {
        items[v->list.n] = cfb_json_str(e).ptr;
        if (items[v->list.n++] == NULL) return false;
    }
    return true;
}

/* Cuts text (which is changed) at every separator; white space around the pieces goes. Empty lines are no pieces, but an empty
 * piece between commas is one, and will be refused. */
static bool split(char *text, char separator, cfb_arena_t *arena, value *v) {
    size_t n = 1;
    for (const char *p = text; *p != '\0'; p++) n += *p == separator;
    const char **items = cfb_arena_calloc(arena, n, sizeof *items);
    if (items == NULL) return false;
    v->list = (cfb_string_list){items, 0};
    for (char *p = text, *next; p != NULL; p = next) {
        next = strchr(p, separator);
        char *end = next != NULL ? next++ : p + strlen(p);
        while (p < end && strchr(" \t\r", *p) != NULL) p++;
        while (end > p && strchr(" \t\r", end[-1]) != NULL) end--;
        *end = '\0';
        if (p < end || separator != '\n') items[v->list.n++] = p;
    }
    return true;
}

/* A list's text: a JSON array, pieces, or one text as it is. */
static cfb_code set_list(cfb_loader *l, const cfb_opt *o, const char *text, cfb_rank rank, const char *where, cfb_err *err) {
    value v = {.s = text};
    char what[256];
    if (text[0] == '[' && (text[1 + strspn(text + 1, " \t\n")] == '"' || strcmp(text, "[]") == 0)) {
        cfb_json *root = NULL;
        cfb_err json_err = CFB_ERR_INIT;
        cfb_code rc = cfb_json_parse(text, strlen(text), 0, &root, &json_err);
        if (rc == CFB_OK && !read_array(root, l->c->arena, &v))
            cfb_err_set(&json_err, rc = CFB_EDATA, "a member is not a string");
        snprintf(what, sizeof what, "the value is not a JSON list of strings: %.160s", json_err.msg);
        rc = rc == CFB_OK ? store(l, o, &v, rank, where, err) : complain(l, o, rank, where, what, err);
        cfb_json_free(root);
        return rc;
    }
    bool lines = (o->flags & OPT_LINES) != 0 && (rank == RANK_ENV || rank == RANK_ENV_ALIAS);
    if (!lines && (o->flags & OPT_COMMAS) == 0) {
        v.list = (cfb_string_list){&text, 1};
        return store(l, o, &v, rank, where, err);
    }
    size_t size = strlen(text) + 1;
    char *own = cfb_arena_alloc(l->c->arena, size);
    if (own == NULL) return cfb_err_set(err, CFB_ENOMEM, "no memory for a list of options");
    memcpy(own, text, size);
    if (!split(own, lines ? '\n' : ',', l->c->arena, &v)) return cfb_err_set(err, CFB_ENOMEM, "no memory for a list of options");
    return store(l, o, &v, rank, where, err);
}

cfb_code cfb_loader_set_text(cfb_loader *l, const cfb_opt *o, const char *text, cfb_rank rank, const char *where, cfb_err *err) {
    if (o->type == OPT_LIST) return set_list(l, o, text, rank, where, err);
    value v = {.s = text};
    char what[256], cut[CFB_SHOWN_SIZE];
    what[0] = '\0';
    if (o->type == OPT_INT && !cfb_parse_int(text, &v.i))
        snprintf(what, sizeof what, "%s is not a whole number", cfb_shown(text, cut));
    if (o->type == OPT_DOUBLE && !cfb_parse_double(text, &v.d))
        snprintf(what, sizeof what, "%s is not a number", cfb_shown(text, cut));
    if (o->type == OPT_BOOL && !parse_bool(text, &v.b))
        snprintf(what, sizeof what, "%s is neither true nor false", cfb_shown(text, cut));
    if (what[0] != '\0') return complain(l, o, rank, where, what, err);
    return store(l, o, &v, rank, where, err);
}

cfb_code cfb_loader_set_bool(cfb_loader *l, const cfb_opt *o, bool b, cfb_rank rank, const char *where, cfb_err *err) {
    value v = {.b = b};
    return store(l, o, &v, rank, where, err);
}

cfb_code cfb_loader_set_json(cfb_loader *l, const cfb_opt *o, const cfb_json *node, cfb_rank rank, const char *where,
                             cfb_err *err) {
    value v = {.b = false};
    char what[256];
    const char *want = NULL;
    if (o->type == OPT_LIST && cfb_json_kind_of(node) == CFB_JSON_STRING)
        return set_list(l, o, cfb_json_str(node).ptr, rank, where, err);
    if ((o->flags & OPT_JSON) != 0 && cfb_json_kind_of(node) == CFB_JSON_OBJECT) {
        cfb_buf text = CFB_BUF_INIT((size_t)1 << 22);
        cfb_code rc = cfb_json_print(node, &text, err);
        if (rc == CFB_OK) rc = cfb_loader_set_text(l, o, text.ptr, rank, where, err);
        cfb_buf_free(&text);
        return rc;
    }
    switch (o->type) {
    case OPT_BOOL: want = cfb_json_bool(node, &v.b) ? NULL : "true or false"; break;
    case OPT_INT: want = cfb_json_int(node, &v.i) ? NULL : "a whole number"; break;
    case OPT_DOUBLE: want = cfb_json_num(node, &v.d) ? NULL : "a number"; break;
    case OPT_STRING:
    case OPT_ENUM:
    case OPT_PATH:
        v.s = cfb_json_str(node).ptr;
        want = v.s != NULL ? NULL : "a string";
        break;
    case OPT_LIST: want = read_array(node, l->c->arena, &v) ? NULL : "a string or a list of strings"; break;
    }
    if (want == NULL) return store(l, o, &v, rank, where, err);
    const char *kind = cfb_json_kind_name(node);
    const char *article = strcmp(kind, "null") == 0 ? "" : strchr("aeiou", kind[0]) != NULL ? "an " : "a ";
    double number = 0;
    if (o->type == OPT_INT && cfb_json_num(node, &number)) {
        char got[32];
        cfb_format_plain(number, got);
        snprintf(what, sizeof what, "%s is not a whole number up to 2^53", got);
    } else {
        snprintf(what, sizeof what, "the value must be %s, not %s%s", want, article, kind);
    }
    return complain(l, o, rank, where, what, err);
}
