/* metric.c - what --metric says about a task. */
#include "cli/cli.h"

/* One part of --metric: NAME (task is null) or TASK=NAME. The option's check saw to the form. */
struct part {
    cfb_str task, metric;
};

static bool next_part(const char **p, struct part *out) {
    if (*p == NULL || **p == '\0') return false;
    size_t n = strcspn(*p, ","), task = strcspn(*p, "=,");
    out->task = task < n ? (cfb_str){*p, task} : CFB_STR_NULL;
    out->metric = task < n ? (cfb_str){*p + task + 1, n - task - 1} : (cfb_str){*p, n};
    *p += n + ((*p)[n] == ',');
    return true;
}

/* 2: names the task, 1: names all of its kind, 0: does not concern it. */
static int concerns(const struct part *part, const cfb_task *t) {
    if (part->task.ptr != NULL) return cfb_str_eqz(part->task, t->name) ? 2 : 0;
    return t->kind == CFB_KIND_GENERATION;
}

cfb_code cfb_cli_metric(const cfb_config *c, const cfb_task *t, cfb_metric *out, cfb_err *err) {
    int best = 0;
    struct part part;
    *out = t->metric;
    for (const char *p = c->metric; next_part(&p, &part);) {
        int rank = concerns(&part, t);
        if (rank < best || rank == 0) continue;
        best = rank;
        if (!cfb_metric_by_name(part.metric, out)) return cfb_err_set(err, CFB_EBUG, "--metric was not checked");
    }
    cfb_err why = CFB_ERR_INIT;
    if (best == 0 || cfb_metric_check_kind(*out, t->kind, &why) == CFB_OK) return CFB_OK;
    return cfb_err_set(err, CFB_EUSAGE, "--metric: task '%s': %s", t->name, why.msg);
}

cfb_code cfb_cli_check_metrics(const cfb_config *c, const cfb_task *const *tasks, size_t n, cfb_err *err) {
    struct part part;
    for (const char *p = c->metric; next_part(&p, &part);) {
        bool any = false;
        for (size_t i = 0; i < n && !any; i++) any = concerns(&part, tasks[i]) > 0;
        if (any) continue;
        if (part.task.ptr != NULL)
            return cfb_err_set(err, CFB_EUSAGE, "--metric: no task '%.*s' is scored here", CFB_STR_ARG(part.task));
        return cfb_err_set(err, CFB_EUSAGE, "--metric %.*s is for generation tasks, and none is scored here; write TASK=%.*s",
                           CFB_STR_ARG(part.metric), CFB_STR_ARG(part.metric));
    }
    for (size_t i = 0; i < n; i++) {
        cfb_metric m;
        cfb_score_pairs pairs;
        cfb_code rc = cfb_cli_metric(c, tasks[i], &m, err);
        if (rc == CFB_OK && cfb_metric_is_of_pairs(m)) rc = cfb_cli_pairs(c, m, &pairs, err); /* before anything is asked */
        if (rc != CFB_OK) return rc;
    }
    return CFB_OK;
}
