#include "cfbench/json.h"
#include "cfbench/base.h"
#include "cfbench/utf8.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

cfb_code cfb_json__repair(const char *text, size_t len, cfb_buf *out, cfb_err *err);

/* cfb_json is cJSON under a name that other rooms can hold without its header. */
static const cJSON *node_of(const cfb_json *n) { return (const cJSON *)(const void *)n; }
static const cfb_json *wrap(const cJSON *n) { return (const cfb_json *)(const void *)n; }

static int compare_keys(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Objects with many members are checked by sorting their names: comparing all pairs would be quadratic in
 * untrusted input. */
static cfb_code check_duplicate_keys(const cJSON *object, cfb_err *err) {
    size_t n = 0;
    for (const cJSON *c = object->child; c; c = c->next) n++;
    if (n < 2) return CFB_OK;
    const char **keys = malloc(n * sizeof *keys);
    if (keys == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    size_t i = 0;
    for (const cJSON *c = object->child; c; c = c->next) keys[i++] = c->string;
    qsort(keys, n, sizeof *keys, compare_keys);
    cfb_code rc = CFB_OK;
    for (i = 1; i < n && rc == CFB_OK; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            rc = cfb_err_set(err, CFB_EDATA, "member '%.80s' stands twice in one object", keys[i]);
    free(keys);
    return rc;
}

static cfb_code check_duplicates(const cJSON *node, cfb_err *err) {
    cfb_code rc = cJSON_IsObject(node) ? check_duplicate_keys(node, err) : CFB_OK;
    for (const cJSON *c = node->child; c && rc == CFB_OK; c = c->next) /* depth <= CFB_JSON_MAX_DEPTH */
        if (c->child) rc = check_duplicates(c, err);
    return rc;
}

cfb_code cfb_json_parse(const char *text, size_t len, unsigned flags, cfb_json **out, cfb_err *err) {
    cfb_buf fixed = CFB_BUF_INIT(0);
    cfb_code rc = CFB_OK;
    *out = NULL;
    if (flags & CFB_JSON_REPAIR) {
        rc = cfb_json__repair(text, len, &fixed, err);
        text = fixed.ptr ? fixed.ptr : "";
        len = fixed.len;
    }
    if (rc == CFB_OK) rc = cfb_json_check(text, len, flags, err);
    if (rc == CFB_OK) {
        cJSON *root = cJSON_ParseWithLength(text, len);
        if (root == NULL)
            rc = cfb_err_set(err, CFB_ENOMEM, "out of memory while reading JSON (%zu bytes)", len);
        else if (!(flags & CFB_JSON_REPAIR) && (rc = check_duplicates(root, err)) != CFB_OK)
            cJSON_Delete(root);
        else
            *out = (cfb_json *)(void *)root;
    }
    cfb_buf_free(&fixed);
    return rc;
}

void cfb_json_free(cfb_json *root) { cJSON_Delete((cJSON *)(void *)root); }

cfb_json_kind cfb_json_kind_of(const cfb_json *node) {
    const cJSON *n = node_of(node);
    if (n == NULL || cJSON_IsNull(n)) return CFB_JSON_NULL;
    if (cJSON_IsBool(n)) return CFB_JSON_BOOL;
    if (cJSON_IsNumber(n)) return CFB_JSON_NUMBER;
    if (cJSON_IsString(n)) return CFB_JSON_STRING;
    return cJSON_IsArray(n) ? CFB_JSON_ARRAY : CFB_JSON_OBJECT;
}

const char *cfb_json_kind_name(const cfb_json *node) {
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};
    return names[cfb_json_kind_of(node)];
}

const cfb_json *cfb_json_get(const cfb_json *object, const char *key) {
    if (cfb_json_kind_of(object) != CFB_JSON_OBJECT) return NULL;
    return wrap(cJSON_GetObjectItemCaseSensitive(node_of(object), key));
}

const cfb_json *cfb_json_first(const cfb_json *container) { return container ? wrap(node_of(container)->child) : NULL; }
const cfb_json *cfb_json_next(const cfb_json *child) { return child ? wrap(node_of(child)->next) : NULL; }
cfb_str cfb_json_key(const cfb_json *child) { return cfb_str_from(child ? node_of(child)->string : NULL); }

size_t cfb_json_count(const cfb_json *container) {
    size_t n = 0;
    for (const cfb_json *c = cfb_json_first(container); c; c = cfb_json_next(c)) n++;
    return n;
}

cfb_str cfb_json_str(const cfb_json *node) {
    return cfb_json_kind_of(node) == CFB_JSON_STRING ? cfb_str_from(node_of(node)->valuestring) : CFB_STR_NULL;
}

bool cfb_json_copy(const cfb_json *node, char *to, size_t size) {
    cfb_str s = cfb_json_str(node);
    if (s.ptr == NULL || s.len >= size) return false;
    memcpy(to, s.ptr, s.len);
    to[s.len] = '\0';
    return true;
}

bool cfb_json_num(const cfb_json *node, double *out) {
    if (cfb_json_kind_of(node) != CFB_JSON_NUMBER || !isfinite(node_of(node)->valuedouble)) return false;
    *out = node_of(node)->valuedouble;
    return true;
}

bool cfb_json_int(const cfb_json *node, int64_t *out) {
    double v;
    if (!cfb_json_num(node, &v) || v != floor(v) || fabs(v) > 9007199254740992.0) return false;
    *out = (int64_t)v;
    return true;
}

bool cfb_json_bool(const cfb_json *node, bool *out) {
    if (cfb_json_kind_of(node) != CFB_JSON_BOOL) return false;
    *out = cJSON_IsTrue(node_of(node));
    return true;
}

cfb_code cfb_json_print(const cfb_json *node, cfb_buf *out, cfb_err *err) {
    cfb_jw w;
    cfb_jw_init(&w, out, 0);
    switch (cfb_json_kind_of(node)) {
    case CFB_JSON_NULL: return cfb_buf_append(out, "null", 4, err);
    case CFB_JSON_STRING: return cfb_json_quote(out, cfb_json_str(node), err);
    case CFB_JSON_BOOL: cfb_jw_bool(&w, cJSON_IsTrue(node_of(node))); return cfb_jw_finish(&w, err);
    case CFB_JSON_NUMBER: {
        int64_t whole;
        if (cfb_json_int(node, &whole))
            cfb_jw_int(&w, whole);
        else
            cfb_jw_num(&w, node_of(node)->valuedouble);
        return cfb_jw_finish(&w, err);
    }
    default: break;
    }
    bool object = cfb_json_kind_of(node) == CFB_JSON_OBJECT, first = true;
    cfb_code rc = cfb_buf_append_char(out, object ? '{' : '[', err);
    for (const cfb_json *c = cfb_json_first(node); c && rc == CFB_OK; c = cfb_json_next(c)) {
        if (!first) rc = cfb_buf_append_char(out, ',', err);
        first = false;
        if (rc == CFB_OK && object) rc = cfb_json_quote(out, cfb_json_key(c), err);
        if (rc == CFB_OK && object) rc = cfb_buf_append_char(out, ':', err);
        if (rc == CFB_OK) rc = cfb_json_print(c, out, err);
    }
    return rc == CFB_OK ? cfb_buf_append_char(out, object ? '}' : ']', err) : rc;
}
