/* trace.h - what the program did when, for a trace viewer (chrome://tracing, ui.perfetto.dev): the JSON object form of the Trace
 * Event Format. One trace at a time for the whole process. While none is open, a call costs one predictable branch. */
#ifndef CFBENCH_TRACE_H
#define CFBENCH_TRACE_H

#include "cfbench/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern atomic_int cfb_trace_flag; /* use cfb_trace_on */
static inline bool cfb_trace_on(void) { return atomic_load_explicit(&cfb_trace_flag, memory_order_relaxed) != 0; }

/* Begins a trace. Events go to a temporary beside path as buffers fill (64 KiB for each thread), so memory does not grow with
 * their number. After CFB_TRACE_EVENTS_MAX events only their sums are kept, and the trace says how many are missing. Errors:
 * those of cfb_file_writer_open; EUSAGE if one is open. Threads: call it, and cfb_trace_close, while no other thread records. */
#define CFB_TRACE_EVENTS_MAX 20000000
CFB_MUST_CHECK cfb_code cfb_trace_open(const char *path, cfb_err *err);
/* Ends the trace: the file appears under its name. Nothing without a trace. Errors: EIO, ENOSPACE, also of earlier writes. */
CFB_MUST_CHECK cfb_code cfb_trace_close(cfb_err *err);

/* Something beside an event: a number, or a text if text is not NULL (cut after 120 bytes). */
typedef struct cfb_trace_arg {
    const char *name;
    int64_t n;
    const char *text;
} cfb_trace_arg;

/* Where an event is drawn: the calling thread, or a track of its own, for what overlaps on a thread. */
#define CFB_TRACE_HERE 0
/* A new track; 0 without a trace. Threads: safe. */
int64_t cfb_trace_track(const char *name);

/* Something that lasted from begin to end (cfb_now_ns). category and name live as long as the program; their sums stand in the
 * trace's "otherData" and count every event. Spans of one track lie beside or within each other. Threads: safe, lock-free but for
 * full buffers. */
void cfb_trace_span(const char *category, const char *name, int64_t track, int64_t begin_ns, int64_t end_ns,
                    const cfb_trace_arg *args, size_t n_args);
/* Values of a counter from now on. */
void cfb_trace_counter(const char *name, const cfb_trace_arg *values, size_t n);
/* The calling thread's name, as cfb_thread_name has it; used by that function. */
void cfb_trace_name_thread(const char *name);

#ifdef __cplusplus
}
#endif
#endif
