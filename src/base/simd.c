/* simd.c - which instruction set the byte loops of other rooms use. */
#include "cfbench/base.h"

#include <stdlib.h>

static bool here(cfb_simd_set s) {
#if defined(__x86_64__) && defined(__GNUC__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("popcnt") &&
                __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (s == CFB_SIMD_AVX2) return avx2;
    if (s == CFB_SIMD_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#endif
#if defined(__aarch64__)
    if (s == CFB_SIMD_NEON) return true;
#endif
    return s == CFB_SIMD_PORTABLE;
}

static const char *const names[] = {"avx512", "avx2", "neon", "portable"};

static atomic_int chosen; /* set + 1; 0: not yet */

static int find_set(const char *name) {
    for (int i = 0; i <= CFB_SIMD_PORTABLE; i++)
        if ((name == NULL || cfb_str_eqz(cfb_str_from(name), names[i])) && here((cfb_simd_set)i)) return i;
    return -1;
}

cfb_simd_set cfb_simd(void) {
    int s = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (s > 0) return (cfb_simd_set)(s - 1);
    s = find_set(getenv("CFBENCH_SIMD"));
    if (s < 0) s = find_set(NULL); /* a name that this machine does not have */
    atomic_store_explicit(&chosen, s + 1, memory_order_relaxed);
    return (cfb_simd_set)s;
}

bool cfb_simd_use(const char *name) {
    int s = name ? find_set(name) : -1;
    if (name != NULL && s < 0) return false;
    atomic_store_explicit(&chosen, s + 1, memory_order_relaxed);
    return true;
}

const char *cfb_simd_name(void) { return names[cfb_simd()]; }
