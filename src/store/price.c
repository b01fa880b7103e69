/* Prices per million tokens, and costs in micros. All sums are whole numbers, so the order of adding never matters. */
#include "cfbench/price.h"
#include "cfbench/base.h"
#include "cfbench/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MILLION 1000000
#define MAX_PRICE 1000000.0 /* units per million tokens: 10^12 micros */
#define MAX_TOKENS INT64_C(1000000000000)
#define MAX_MICROS INT64_C(9007199254740992)
#define MAX_FILE_BYTES ((size_t)8 << 20)

struct cfb_prices {
    cfb_arena_t *arena;
    const char *name;
    cfb_price *list;
    size_t n;
};

static cfb_code wrong(const cfb_prices_t *p, const cfb_json *model, const char *what, cfb_err *err) {
    return cfb_err_set(err, CFB_EDATA, "%s: \"%.80s\": %s", p->name, cfb_json_key(model).ptr, what);
}

static bool read_price(const cfb_json *node, int64_t *out) {
    double v;
    if (!cfb_json_num(node, &v) || !(v >= 0 && v <= MAX_PRICE)) return false;
    *out = (int64_t)(v * MILLION + 0.5);
    return true;
}

static bool read_currency(cfb_str s, char out[CFB_CURRENCY_SIZE]) {
    if (s.ptr == NULL || s.len == 0 || s.len >= CFB_CURRENCY_SIZE) return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 'A' || s.ptr[i] > 'Z') return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static cfb_code read_member(const cfb_prices_t *p, const cfb_json *model, const cfb_json *m, cfb_price *out, cfb_err *err) {
    static const char *const names[] = {"input_per_million", "output_per_million", "cached_input_per_million"};
    int64_t *const fields[] = {&out->input, &out->output, &out->cached_input};
    char what[200];
    cfb_str key = cfb_json_key(m);
    for (int i = 0; i < 3; i++) {
        if (!cfb_str_eqz(key, names[i])) continue;
        if (read_price(m, fields[i])) return CFB_OK;
        snprintf(what, sizeof what, "\"%s\" must be a number from 0 to 1000000", names[i]);
        return wrong(p, model, what, err);
    }
    if (cfb_str_eqz(key, "currency")) {
        if (read_currency(cfb_json_str(m), out->currency)) return CFB_OK;
        return wrong(p, model, "\"currency\" must be 1 to 8 capital letters, such as \"USD\"", err);
    }
    if (key.len >= 2 && memcmp(key.ptr, "x-", 2) == 0) return CFB_OK;
    snprintf(what, sizeof what,
             "unknown member \"%.40s\" (there are input_per_million, output_per_million, cached_input_per_million, currency)",
             key.ptr);
    return wrong(p, model, what, err);
}

static cfb_code read_model(cfb_prices_t *p, const cfb_json *model, cfb_price *out, cfb_err *err) {
    cfb_str name = cfb_json_key(model), copy;
    cfb_code rc = CFB_OK;
    *out = (cfb_price){.input = -1, .output = -1, .cached_input = -1, .currency = "USD"};
    if (name.len == 0) return cfb_err_set(err, CFB_EDATA, "%s: a model has no name", p->name);
    if (cfb_json_kind_of(model) != CFB_JSON_OBJECT) return wrong(p, model, "must be an object with prices", err);
    for (const cfb_json *m = cfb_json_first(model); m && rc == CFB_OK; m = cfb_json_next(m))
        rc = read_member(p, model, m, out, err);
    if (rc == CFB_OK && out->input < 0) rc = wrong(p, model, "\"input_per_million\" is missing", err);
    if (rc == CFB_OK && out->output < 0) rc = wrong(p, model, "\"output_per_million\" is missing", err);
    if (rc == CFB_OK) rc = cfb_arena_dup(p->arena, name, &copy, err);
    if (rc != CFB_OK) return rc;
    out->model = copy.ptr;
    if (out->cached_input < 0) out->cached_input = out->input;
    return CFB_OK;
}

static cfb_code read_models(cfb_prices_t *p, const cfb_json *root, cfb_err *err) {
    cfb_code rc = CFB_OK;
    if (cfb_json_kind_of(root) != CFB_JSON_OBJECT)
        return cfb_err_set(err, CFB_EDATA, "%s: must be a JSON object with models as members, not %s", p->name,
                           cfb_json_kind_name(root));
    p->list = cfb_arena_calloc(p->arena, cfb_json_count(root) + 1, sizeof *p->list);
    if (p->list == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    for (const cfb_json *m = cfb_json_first(root); m && rc == CFB_OK; m = cfb_json_next(m)) {
        cfb_str key = cfb_json_key(m);
        if (key.len >= 2 && memcmp(key.ptr, "x-", 2) == 0) continue;
        rc = read_model(p, m, &p->list[p->n], err);
        if (rc == CFB_OK) p->n++;
    }
    return rc;
}

cfb_code cfb_prices_parse(const char *name, cfb_str text, cfb_prices_t **out, cfb_err *err) {
    cfb_json *root = NULL;
    cfb_str copy;
    cfb_prices_t *p = calloc(1, sizeof *p);
    if (p == NULL) return cfb_err_set(err, CFB_ENOMEM, "out of memory");
    cfb_code rc = cfb_arena_new(0, &p->arena, err);
    if (rc == CFB_OK) rc = cfb_arena_dup(p->arena, cfb_str_from(name), &copy, err);
    if (rc == CFB_OK) {
        p->name = copy.ptr;
        rc = cfb_json_parse(text.ptr, text.len, 0, &root, err);
        if (rc != CFB_OK) cfb_err_add_context(err, "%s", name);
    }
    if (rc == CFB_OK) rc = read_models(p, root, err);
    cfb_json_free(root);
    if (rc != CFB_OK) {
        cfb_prices_free(p);
        return rc;
    }
    *out = p;
    return CFB_OK;
}

cfb_code cfb_prices_read(const char *path, cfb_prices_t **out, cfb_err *err) {
    cfb_buf text = CFB_BUF_INIT(MAX_FILE_BYTES + 131072);
    cfb_code rc = cfb_file_read(path, MAX_FILE_BYTES, &text, err);
    if (rc == CFB_OK) rc = cfb_prices_parse(path, cfb_buf_str(&text), out, err);
    cfb_buf_free(&text);
    return rc;
}

void cfb_prices_free(cfb_prices_t *p) {
    if (p == NULL) return;
    cfb_arena_free(p->arena);
    free(p);
}

const cfb_price *cfb_prices_find(const cfb_prices_t *p, const char *model) {
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i].model, model) == 0) return &p->list[i];
    return NULL;
}

cfb_code cfb_prices_require(const cfb_prices_t *p, const char *model, const cfb_price **out, cfb_err *err) {
    char have[200] = "";
    *out = cfb_prices_find(p, model);
    if (*out) return CFB_OK;
    for (size_t i = 0; i < p->n && i < 5; i++) {
        size_t used = strlen(have);
        snprintf(have + used, sizeof have - used, "%s%.60s", i ? ", " : "", p->list[i].model);
    }
    return cfb_err_set(err, CFB_ECONFIG,
                       "%s: no price for the model '%.80s', so its cost cannot be limited; add it (there %s: %s%s)", p->name,
                       model, p->n == 1 ? "is" : "are", p->n ? have : "none", p->n > 5 ? ", ..." : "");
}

static int64_t clamp(int64_t v, int64_t max) { return v < 0 ? 0 : v > max ? max : v; }

int64_t cfb_price_cost(const cfb_price *p, int64_t prompt, int64_t cached, int64_t completion) {
    prompt = clamp(prompt, MAX_TOKENS);
    cached = clamp(cached, prompt);
    completion = clamp(completion, MAX_TOKENS);
    const int64_t tokens[] = {prompt - cached, cached, completion}, prices[] = {p->input, p->cached_input, p->output};
    /* tokens = whole * 10^6 + rest: both products stay below 10^18, and so their sums below 2^63 */
    int64_t micros = 0, rest = 0;
    for (int i = 0; i < 3; i++) {
        micros += tokens[i] / MILLION * prices[i];
        rest += tokens[i] % MILLION * prices[i];
    }
    return micros + rest / MILLION + (rest % MILLION != 0);
}

int64_t cfb_price_micros(double amount) {
    if (!(amount * MILLION < (double)MAX_MICROS)) return MAX_MICROS;
    return amount <= 0 ? 0 : (int64_t)llround(amount * MILLION);
}

const char *cfb_price_format(int64_t micros, char buf[32]) {
    uint64_t v = micros < 0 ? (uint64_t)0 - (uint64_t)micros : (uint64_t)micros;
    int n = snprintf(buf, 32, "%s%llu.%06llu", micros < 0 ? "-" : "", (unsigned long long)(v / MILLION),
                     (unsigned long long)(v % MILLION));
    for (int dropped = 0; dropped < 4 && buf[n - 1] == '0'; dropped++) buf[--n] = '\0';
    return buf;
}
