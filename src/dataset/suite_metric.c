/* suite_metric.c - names of metrics, and which kinds of task they suit: from the list in metric_list.h. */
#include "cfbench/suite.h"

static const struct {
    const char *name;
    unsigned kinds;
} metrics[] = {
#define CFB_X(NAME, name, kinds, how, row, full) {name, kinds},
    CFB_METRIC_MAP(CFB_X)
#undef CFB_X
};

const char *cfb_metric_name(cfb_metric m) { return (unsigned)m < CFB_METRIC_COUNT ? metrics[m].name : "?"; }

bool cfb_metric_by_name(cfb_str name, cfb_metric *out) {
    for (unsigned i = 0; i < CFB_METRIC_COUNT; i++) {
        if (!cfb_str_eqz(name, metrics[i].name)) continue;
        *out = (cfb_metric)i;
        return true;
    }
    return false;
}

void cfb_metric_names_for(cfb_task_kind kind, char *buf, size_t size) {
    size_t used = 0;
    if (size == 0) return;
    buf[0] = '\0';
    for (unsigned i = 0; i < CFB_METRIC_COUNT; i++) {
        size_t n = strlen(metrics[i].name), gap = used ? 2 : 0;
        if (!(metrics[i].kinds >> kind & 1u) || used + gap + n + 1 > size) continue;
        memcpy(buf + used, ", ", gap);
        memcpy(buf + used + gap, metrics[i].name, n + 1);
        used += gap + n;
    }
}

cfb_code cfb_metric_check_kind(cfb_metric m, cfb_task_kind kind, cfb_err *err) {
    if ((unsigned)m < CFB_METRIC_COUNT && metrics[m].kinds >> kind & 1u) return CFB_OK;
    char names[256];
    cfb_metric_names_for(kind, names, sizeof names);
    return cfb_err_set(err, CFB_EDATA, "metric %s is for other kinds of task than %s; for that there are: %s", cfb_metric_name(m),
                       cfb_task_kind_name(kind), names);
}
