#include "mock/faults.h"

static const struct {
    const char *name;
    int status;
    bool whole;
} table[CFB_MOCK__FAULT_COUNT] = {{NULL, 200, true},
#define CFB_X(name, text, status, whole) {text, status, whole},
                                  CFB_MOCK__FAULT_MAP(CFB_X)
#undef CFB_X
};

const char *cfb_mock__fault_name(cfb_mock__fault fault) { return table[fault].name; }
int cfb_mock__fault_status(cfb_mock__fault fault) { return table[fault].status; }
bool cfb_mock__fault_is_whole(cfb_mock__fault fault) { return table[fault].whole; }

double cfb_mock__draw(uint64_t seed, uint64_t prompt_key, uint64_t try_no, cfb_mock__choice choice) {
    return cfb_rand_unit(seed, prompt_key, try_no * CFB_MOCK__CHOICE_COUNT + (uint64_t)choice);
}

bool cfb_mock__fault_is_stream(cfb_mock__fault fault) {
    return fault >= CFB_MOCK__FAULT_SSE_PING && fault <= CFB_MOCK__FAULT_SSE_NODONE;
}

bool cfb_mock__fault_is_text(cfb_mock__fault fault) {
    return fault >= CFB_MOCK__FAULT_EMPTY && fault <= CFB_MOCK__FAULT_THINKING;
}

static int find_class(cfb_str name) {
    for (int i = 1; i < CFB_MOCK__FAULT_COUNT; i++)
        if (cfb_str_eqz(name, table[i].name)) return i;
    return CFB_MOCK__FAULT_NONE;
}

#define CFB_X(name, text, status, whole) text ", "
static const char all_classes[] = CFB_MOCK__FAULT_MAP(CFB_X);
#undef CFB_X

static cfb_code unknown_class(cfb_str item, cfb_err *err) {
    /* the list is longer than a message may be: the item first */
    return cfb_err_set(err, CFB_ECONFIG, "faults: '%.*s' is not CLASS:SHARE with a class of %.*s", CFB_STR_ARG(item),
                       (int)sizeof all_classes - 3, all_classes);
}

static cfb_code parse_item(cfb_str item, bool seen[], cfb_mock__faults *out, cfb_err *err) {
    size_t colon = cfb_str_find(item, CFB_STR_LIT(":"), 0);
    if (colon == SIZE_MAX) return unknown_class(item, err);
    int fault = find_class((cfb_str){item.ptr, colon});
    if (fault == CFB_MOCK__FAULT_NONE) return unknown_class(item, err);
    if (seen[fault]) return cfb_err_set(err, CFB_ECONFIG, "faults: class '%s' is given twice", table[fault].name);
    seen[fault] = true;

    char number[64];
    cfb_str text = {item.ptr + colon + 1, item.len - colon - 1};
    double share = 0;
    bool ok = text.len < sizeof number;
    if (ok) {
        memcpy(number, text.ptr, text.len);
        number[text.len] = '\0';
        ok = cfb_parse_double(number, &share) && share >= 0 && share <= 1;
    }
    if (!ok)
        return cfb_err_set(err, CFB_ECONFIG, "faults: the share of '%s' must be a number from 0 to 1, not '%.*s'",
                           table[fault].name, CFB_STR_ARG(text));
    out->share[fault] = share;
    out->any = out->any || share > 0;
    return CFB_OK;
}

cfb_code cfb_mock__faults_parse(const char *spec, int first_tries, cfb_mock__faults *out, cfb_err *err) {
    *out = (cfb_mock__faults){.first_tries = first_tries};
    if (first_tries < 0) return cfb_err_set(err, CFB_ECONFIG, "fault_repeats must not be negative (%d)", first_tries);
    if (spec == NULL || *spec == '\0') return CFB_OK;
    bool seen[CFB_MOCK__FAULT_COUNT] = {false};
    cfb_str all = cfb_str_from(spec);
    for (size_t from = 0; from <= all.len;) {
        size_t comma = cfb_str_find(all, CFB_STR_LIT(","), from);
        size_t end = comma == SIZE_MAX ? all.len : comma;
        cfb_code rc = parse_item((cfb_str){all.ptr + from, end - from}, seen, out, err);
        if (rc != CFB_OK) return rc;
        from = end + 1;
    }
    double sum = 0;
    for (int i = 1; i < CFB_MOCK__FAULT_COUNT; i++) sum += out->share[i];
    if (sum > 1 + 1e-9) return cfb_err_set(err, CFB_ECONFIG, "faults: the shares add up to %g, more than 1", sum);
    return CFB_OK;
}

cfb_mock__fault cfb_mock__faults_draw(const cfb_mock__faults *f, uint64_t seed, uint64_t prompt_key, uint64_t try_no) {
    if (!f->any) return CFB_MOCK__FAULT_NONE;
    if (f->first_tries > 0 && try_no >= (uint64_t)f->first_tries) return CFB_MOCK__FAULT_NONE;
    double u = cfb_mock__draw(seed, prompt_key, try_no, CFB_MOCK__CHOICE_FAULT);
    double sum = 0;
    int last = CFB_MOCK__FAULT_NONE;
    for (int i = 1; i < CFB_MOCK__FAULT_COUNT; i++) {
        if (f->share[i] <= 0) continue;
        sum += f->share[i];
        last = i;
        if (u < sum) return (cfb_mock__fault)i;
    }
    /* shares of 0.1 and alike add up to a little less than 1; "together always" must still mean always */
    return sum > 1 - 1e-9 ? (cfb_mock__fault)last : CFB_MOCK__FAULT_NONE;
}
