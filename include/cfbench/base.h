/* base.h - small things that every room uses: files, clock, random streams, hashing, numbers, log, block-parallel loops. */
#ifndef CFBENCH_BASE_H
#define CFBENCH_BASE_H

#include "cfbench/buf.h"

#include <stdatomic.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- files ---- */

/* Reads a whole file. Errors: ENOTFOUND, EACCESS, EIO; ELIMIT when it is larger than max_bytes. Owns: appends to out. */
CFB_MUST_CHECK cfb_code cfb_file_read(const char *path, size_t max_bytes, cfb_buf *out, cfb_err *err);

/* Atomic replacement: writes a temporary beside the target, then fsync, rename, fsync of the folder. After a crash
 * there is the old file or the new one, never half of one. */
typedef struct cfb_file_writer cfb_file_writer_t;
CFB_MUST_CHECK cfb_code cfb_file_writer_open(const char *path, cfb_file_writer_t **out, cfb_err *err);
CFB_MUST_CHECK cfb_code cfb_file_writer_write(cfb_file_writer_t *w, const void *data, size_t len, cfb_err *err);
/* Makes the file appear under its name. The writer is freed in every case. */
CFB_MUST_CHECK cfb_code cfb_file_writer_commit(cfb_file_writer_t *w, cfb_err *err);
void cfb_file_writer_abort(cfb_file_writer_t *w); /* removes the temporary; NULL is fine */
CFB_MUST_CHECK cfb_code cfb_file_write(const char *path, cfb_str data, cfb_err *err);

CFB_MUST_CHECK cfb_code cfb_mkdir_p(const char *path, cfb_err *err);
bool cfb_path_exists(const char *path);
bool cfb_path_is_dir(const char *path);
/* dir + "/" + name into buf; ELIMIT when it does not fit. An absolute name is taken as it is. */
CFB_MUST_CHECK cfb_code cfb_path_join(char *buf, size_t size, const char *dir, const char *name, cfb_err *err);
/* Pointer behind the last '/', within path. */
const char *cfb_path_base(const char *path);
/* Is the path (or, if it is not there, its folder) on a file system that several machines share, or that a user program serves?
 * There, neither locks nor shared memory can be relied on. *name (may be NULL): "nfs", "lustre", ...; "" where it is not. */
bool cfb_path_on_network(const char *path, const char **name);

/* ---- stopping ---- */

/* Asks for an end: set by a signal handler or by any thread, looked at by whoever starts work or waits. A job's own flag may have
 * a parent (the whole program's): it is on when either is. Zero-initialised: off. */
typedef struct cfb_stop {
    atomic_int on;
    struct cfb_stop *parent;
} cfb_stop;

static inline void cfb_stop_set(cfb_stop *s) { atomic_store(&s->on, 1); }
static inline bool cfb_stop_is_on(cfb_stop *s) {
    for (; s != NULL; s = s->parent)
        if (atomic_load(&s->on)) return true;
    return false;
}

/* ---- clock ---- */

int64_t cfb_now_ns(void);  /* CLOCK_MONOTONIC */
int64_t cfb_wall_ms(void); /* Unix time in ms */
/* Sleeps until the monotonic time due_ns, or until stop (may be NULL) is on (looked at every 50 ms). */
void cfb_sleep_until_ns(int64_t due_ns, cfb_stop *stop);
/* "2026-01-31T12:00:00Z" of a Unix time in ms; buf holds at least 21 bytes. */
void cfb_format_utc(int64_t wall_ms, char buf[24]);

/* ---- random streams: a value depends on (seed, stream, index) only, never on a thread ---- */

uint64_t cfb_rand_u64(uint64_t seed, uint64_t stream, uint64_t index);
double cfb_rand_unit(uint64_t seed, uint64_t stream, uint64_t index); /* [0, 1), 53 bits */

/* ---- hashing ---- */

uint64_t cfb_hash64(const void *data, size_t len, uint64_t seed); /* fast, for tables; not for files or ids */
/* Another one, for texts of kilobytes: 8 bytes a cycle or more. */
uint64_t cfb_hash64_long(const void *data, size_t len);
/* SHA-256 (FIPS 180-4) of one buffer, as 64 lower-case hex digits and NUL. */
void cfb_sha256_hex(const void *data, size_t len, char hex[65]);
/* Several pieces, each preceded by its length: ("ab","c") and ("a","bc") differ. Null strings differ from empty ones. */
void cfb_sha256_parts_hex(const cfb_str *parts, size_t n, char hex[65]);

/* ---- numbers ---- */

/* Shortest text that reads back as the same binary64, in the form of Python's repr (1.0, 0.1, 1e-05, 1e+16, nan, inf).
 * Returns its length; buf is NUL-terminated. */
size_t cfb_format_double(double v, char buf[32]);
/* Decimal digits of v, without a NUL. Returns how many. */
size_t cfb_format_count(uint64_t v, char buf[20]);
/* Whole string only; refuses nan, inf, hex, white space and trailing characters. */
bool cfb_parse_double(const char *s, double *out);
bool cfb_parse_int(const char *s, int64_t *out);

/* ---- log: the library never prints; it calls the function that the program set ---- */

typedef enum cfb_log_level { CFB_LOG_ERROR, CFB_LOG_WARN, CFB_LOG_INFO, CFB_LOG_DEBUG } cfb_log_level;
typedef void (*cfb_log_fn)(void *ctx, cfb_log_level level, const char *line);
/* Set before any other thread runs. fn may be called from any thread, one call at a time. NULL silences. */
void cfb_log_set(cfb_log_fn fn, void *ctx, cfb_log_level max_level);
bool cfb_log_enabled(cfb_log_level level);
void cfb_log(cfb_log_level level, const char *fmt, ...) CFB_PRINTF(2, 3);

/* ---- instruction sets: chosen at run time; results never depend on them ---- */

typedef enum cfb_simd_set { CFB_SIMD_AVX512, CFB_SIMD_AVX2, CFB_SIMD_NEON, CFB_SIMD_PORTABLE } cfb_simd_set;
/* The best one that this machine has, unless the environment variable CFBENCH_SIMD or cfb_simd_use named another. */
cfb_simd_set cfb_simd(void);
const char *cfb_simd_name(void);
/* "avx512", "avx2", "neon", "portable"; NULL chooses again. false: unknown, or not on this machine. For tests: not while other
 * threads work. */
bool cfb_simd_use(const char *name);

/* ---- threads ---- */

/* Was this library built with OpenMP? A SERIAL build does the same things one after the other. */
bool cfb_has_openmp(void);
/* Cores this process may use (affinity, cgroup quota and what a batch job was given counted), at least 1; 1 in a SERIAL build. */
int cfb_cpu_count(void);

/* Can n more threads live at the same time? Tries it. ECONFIG says how many there can be. */
CFB_MUST_CHECK cfb_code cfb_check_threads(size_t n, cfb_err *err);
/* Does the URL name this machine: localhost, 127.x.y.z or [::1]? Without a scheme it is read as host and path. Pure. */
bool cfb_url_is_loopback(const char *url);
/* Can n files be open? Raises the soft limit as far as it has to. ECONFIG says what the limit is. */
CFB_MUST_CHECK cfb_code cfb_check_open_files(size_t n, cfb_err *err);

/* Names the calling thread for tools that show threads (top, perf, gdb); at most 15 bytes count. The main thread keeps the
 * program's name. */
void cfb_thread_name(const char *name);
/* CPU time of the whole process so far, user and system, in s. */
double cfb_cpu_time_s(void);
/* Bytes of memory that this process may use: the least of the machine's, its cgroup's, its Slurm job's and its resource limits.
 */
uint64_t cfb_memory_allowed(void);

/* Processor, cores of this process and instruction set, on one line without quotes: two machines with the same text are alike. */
#define CFB_MACHINE_KEY_SIZE 256
void cfb_machine_key(char buf[CFB_MACHINE_KEY_SIZE]);

/* Runs fn(ctx, block) for block = 0 .. n_blocks-1 on up to n_threads OpenMP threads (dynamic order). fn must be pure
 * arithmetic on its own slot. worker is 0 .. n_threads-1 and unique among running calls: an index for scratch space. */
typedef void (*cfb_block_fn)(void *ctx, size_t block, int worker);
void cfb_par_blocks(size_t n_blocks, int n_threads, cfb_block_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
