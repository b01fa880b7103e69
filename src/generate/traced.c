/* What a trace shows of a run: rows, calls and waits on a track for each lane, tasks on one for each task, counters. */
#include "generate/job.h"

#include <stdio.h>

void cfb_job_trace_taken(struct cfb_lane_trace *t, size_t worker, size_t lane, int64_t now) {
    if (t->track == 0) {
        char name[48];
        snprintf(name, sizeof name, "worker %zu, lane %zu", worker, lane);
        t->track = cfb_trace_track(name);
    }
    t->taken_ns = now;
}

void cfb_job_trace_wait(struct cfb_lane_trace *t, const char *name, int64_t *since_ns, int64_t now) {
    if (*since_ns != 0) cfb_trace_span("wait", name, t->track, *since_ns, now, NULL, 0);
    *since_ns = 0;
}

void cfb_job_trace_call(struct job *j, struct cfb_lane_trace *t, size_t task, size_t row, int64_t start_ns,
                        const cfb_chat_reply *r) {
    const cfb_trace_arg args[] = {{"task", 0, j->tasks[task].task->name},    {"row", (int64_t)row, NULL},
                                  {"result", 0, cfb_fail_name(r->fail)},     {"http_status", r->http_status, NULL},
                                  {"prompt_tokens", r->prompt_tokens, NULL}, {"completion_tokens", r->completion_tokens, NULL},
                                  {"endpoint", (int64_t)r->endpoint, NULL}};
    cfb_trace_span("call", r->fail == CFB_FAIL_NONE ? "call" : "failed call", t->track, start_ns, start_ns + r->latency_us * 1000,
                   args, sizeof args / sizeof *args);
}

static void stretch(struct job_task *t, int64_t begin_ns, int64_t end_ns) {
    long long old = atomic_load(&t->first_ns);
    while ((old == 0 || begin_ns < old) && !atomic_compare_exchange_weak(&t->first_ns, &old, begin_ns)) {
    }
    old = atomic_load(&t->last_ns);
    while (end_ns > old && !atomic_compare_exchange_weak(&t->last_ns, &old, end_ns)) {
    }
}

void cfb_job_trace_row(struct job *j, struct cfb_lane_trace *t, size_t task, size_t row, int tries, cfb_fail last) {
    if (t->taken_ns == 0) return;
    int64_t now = cfb_now_ns();
    const cfb_trace_arg args[] = {{"task", 0, j->tasks[task].task->name},
                                  {"row", (int64_t)row, NULL},
                                  {"tries", tries, NULL},
                                  {"last_failure", 0, cfb_fail_name(last)}};
    cfb_trace_span("row", t->answered ? "row" : "row without a reply", t->track, t->taken_ns, now, args, 4);
    stretch(&j->tasks[task], t->taken_ns, now);
    t->taken_ns = t->rest_ns = 0;
}

void cfb_job_trace_tasks(const struct job *j) {
    for (size_t k = 0; k < j->o->n_tasks; k++) {
        int64_t first = atomic_load(&j->tasks[k].first_ns), last = atomic_load(&j->tasks[k].last_ns);
        if (first == 0) continue;
        char name[80];
        snprintf(name, sizeof name, "task %.64s", j->tasks[k].task->name);
        const cfb_trace_arg args[] = {{"task", 0, j->tasks[k].task->name}, {"rows", (int64_t)j->tasks[k].n_pending, NULL}};
        cfb_trace_span("task", "task", cfb_trace_track(name), first, last, args, 2);
    }
}

void cfb_job_trace_counters(const struct job *j) {
    const cfb_trace_arg calls[] = {{"in flight", atomic_load(&j->progress->in_flight), NULL},
                                   {"limit", atomic_load(&j->gate.limit), NULL}};
    size_t done = 0, failed = 0;
    for (size_t k = 0; k < j->o->n_tasks; k++) {
        done += atomic_load(&j->progress->tasks[k].done);
        failed += atomic_load(&j->progress->tasks[k].failed);
    }
    const cfb_trace_arg rows[] = {{"done", (int64_t)done, NULL}, {"failed", (int64_t)failed, NULL}};
    cfb_trace_counter("calls", calls, 2);
    cfb_trace_counter("rows", rows, 2);
}
